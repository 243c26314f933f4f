// Fusion in the browser: the map, score and verdict of any set of lights, from every light's error and weight on the
// grid of the evidence, as `afrd.model.evidence.to_maps` makes them.
import { bytesOf, shrink } from './maps.js';

const MIN_WEIGHT = 1e-12, ROUNDING = 1e-5;  // as in afrd.model.fusion and afrd.metrics.threshold
const MAP_SIDE = 256, TILE_SIDE = 128;

export function floats(text) {  // base64 of little-endian float16
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  return Float32Array.from({ length: bytes.length / 2 }, (_, i) => {
    const bits = bytes[2 * i] | bytes[2 * i + 1] << 8, fraction = bits & 1023, exponent = bits >> 10 & 31;
    return exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;  // none is negative
  });
}

export function enlarge(values, [high, wide], [height, width]) {  // bilinear, between the middles of the cells
  const taps = (from, to) => Array.from({ length: to }, (_, i) => {
    const at = Math.max(0, (i + 0.5) * from / to - 0.5), low = Math.floor(at);
    return [low, Math.min(low + 1, from - 1), at - low];
  });
  const across = taps(wide, width), found = new Float32Array(height * width);
  taps(high, height).forEach(([top, bottom, down], y) => across.forEach(([left, right, part], x) => {
    const upper = values[top * wide + left] * (1 - part) + values[top * wide + right] * part;
    const lower = values[bottom * wide + left] * (1 - part) + values[bottom * wide + right] * part;
    found[y * width + x] = upper * (1 - down) + lower * down;
  }));
  return found;
}

// The map sum_l a_l E_l, its maximum, where that is, and every light's share a_l; `how` is attention, mean or max.
export function fuse(lights, how) {
  const length = lights[0].errors.length, map = new Float32Array(length);
  const shares = lights.map(() => new Float32Array(length));
  const each = act => lights.forEach((light, l) => { for (let i = 0; i < length; i++) act(i, light, shares[l], l); });
  if (how === 'max') {
    const most = new Float32Array(length).fill(-1), winner = new Uint8Array(length);
    each((i, { errors }, _, l) => { if (errors[i] > most[i]) [most[i], winner[i]] = [errors[i], l]; });
    each((i, _, share, l) => { share[i] = +(winner[i] === l); });
  } else {
    const total = new Float32Array(length), equal = how === 'mean';
    each((i, { weights }, share) => { total[i] += share[i] = equal ? 1 : Math.max(weights[i], MIN_WEIGHT); });
    each((i, _, share) => { share[i] /= total[i]; });
  }
  each((i, { errors }, share) => { map[i] += share[i] * errors[i]; });
  const peak = map.reduce((best, value, i) => value > map[best] ? i : best, 0);
  return { map, shares, score: map[peak], peak };
}

const indexOf = (fusion, names) => names.reduce((index, name) => index | 1 << fusion.lights.indexOf(name), 0);

// What the first map says of the lights that are on: fills the scene as a host does that asks the model.
export function judge(scene, style, how) {
  const { fusion, size } = scene, [panel] = scene.panels;
  const on = scene.lights.filter(item => item.on && item.evidence);
  const nothing = { errors: null, shares: null, mean: undefined, peak: undefined };
  for (const item of scene.lights) Object.assign(item, nothing);
  if (!on.length) return Object.assign(panel, { values: null, units: false, problem: 'Choose at least one light.' });
  for (const { evidence } of on) {
    for (const name of ['errors', 'weights']) {
      if (typeof evidence[name] === 'string') evidence[name] = enlarge(floats(evidence[name]), fusion.grid, size);
    }
  }
  const found = fuse(on.map(item => item.evidence), how), names = on.map(item => item.name);
  const threshold = fusion.thresholds[how]?.[indexOf(fusion, names)] ?? null, unit = threshold ?? 1;
  const shown = (values, kind, side, limit, one = 1) => bytesOf(shrink(values, size, side), kind, limit, one);
  on.forEach((item, i) => Object.assign(item, {
    errors: shown(item.evidence.errors, 'error', TILE_SIDE, style.limit, unit),
    shares: shown(found.shares[i], 'share', TILE_SIDE, 1),
    mean: found.shares[i].reduce((sum, share) => sum + share, 0) / found.map.length,
    peak: found.shares[i][found.peak] }));
  const verdict = threshold === null ? null : found.score > threshold * (1 + ROUNDING) ? 'anomalous' : 'good';
  const score = found.score / unit;
  return Object.assign(panel, { problem: null, units: threshold !== null, verdict, score_units: score,
    values: shown(found.map, 'error', MAP_SIDE, style.limit, unit),
    score: verdict ? `score ${score.toFixed(2)} × threshold: ${verdict}`
      : `score ${+found.score.toPrecision(3)}: no verdict without a threshold`,
    exact: `score ${+found.score.toPrecision(6)}`,
    right: rightness(verdict, scene.header.kind),
    threshold: verdict ? `threshold ${+threshold.toPrecision(4)} (${fusion.promise})` : 'no threshold',
    made_by: `lights: ${names.join(', ')}` });
}

function rightness(verdict, truth) {
  if (!verdict || truth === 'unknown') return null;
  return verdict === truth ? 'correct' : truth === 'anomalous' ? 'missed' : 'false alarm';
}
