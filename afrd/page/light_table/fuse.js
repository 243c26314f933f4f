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
  const found = new Float32Array(height * width), [rows, columns] = [taps(high, height), taps(wide, width)];
  for (let y = 0, n = 0; y < height; y++) {
    const top = rows.low[y] * wide, bottom = rows.high[y] * wide, down = rows.part[y];
    for (let x = 0; x < width; x++, n++) {
      const left = columns.low[x], right = columns.high[x], across = columns.part[x];
      const upper = values[top + left] + (values[top + right] - values[top + left]) * across;
      const lower = values[bottom + left] + (values[bottom + right] - values[bottom + left]) * across;
      found[n] = upper + (lower - upper) * down;
    }
  }
  return found;
}

function taps(from, to) {  // between which cells a pixel lies, and how far from the first
  const at = Float64Array.from({ length: to }, (_, i) => Math.max(0, (i + 0.5) * from / to - 0.5));
  const low = Int32Array.from(at, Math.floor);
  return { low, high: low.map(cell => Math.min(cell + 1, from - 1)), part: at.map((place, i) => place - low[i]) };
}

// The map sum_l a_l E_l, its maximum, where that is, and every light's share a_l; `how` is attention, mean or max.
export function fuse(lights, how) {  // plain loops: every toggle of a lamp waits for them
  const length = lights[0].errors.length, map = new Float32Array(length), total = new Float32Array(length);
  const shares = lights.map(() => new Float32Array(length));
  if (how === 'max') weighLargest(lights, shares, total); else weigh(lights, shares, total, how === 'mean');
  let peak = 0;
  lights.forEach(({ errors }, light) => {
    const share = shares[light];
    for (let i = 0; i < length; i++) {
      share[i] /= total[i];
      map[i] += share[i] * errors[i];
    }
  });
  for (let i = 0; i < length; i++) if (map[i] > map[peak]) peak = i;
  return { map, shares, score: map[peak], peak };
}

function weigh(lights, shares, total, equal) {
  lights.forEach(({ weights }, light) => {
    const share = shares[light];
    for (let i = 0; i < total.length; i++) {
      const weight = equal ? 1 : weights[i] > MIN_WEIGHT ? weights[i] : MIN_WEIGHT;
      share[i] = weight;
      total[i] += weight;
    }
  });
}

function weighLargest(lights, shares, total) {  // 1 for the light of the largest error, the first of equal ones
  const winner = new Uint8Array(total.length);
  lights.forEach(({ errors }, light) => {
    for (let i = 0; i < total.length; i++) if (errors[i] > lights[winner[i]].errors[i]) winner[i] = light;
  });
  for (let i = 0; i < total.length; i++) shares[winner[i]][i] = 1;
  total.fill(1);
}

function meanOf(values) {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum / values.length;
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
    errors: bytesOf(item.evidence.small ??= shrink(item.evidence.errors, size, TILE_SIDE), 'error', style.limit, unit),
    shares: shown(found.shares[i], 'share', TILE_SIDE, 1),
    mean: meanOf(found.shares[i]), peak: found.shares[i][found.peak] }));
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
  return verdict === truth ? 'right' : truth === 'anomalous' ? 'missed' : 'false alarm';
}
