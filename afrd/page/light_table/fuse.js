// Fusion in the browser: the map, score and verdict of any set of lights, from every light's evidence on its grid, as
// `afrd.model.maps` makes them.
import { percent } from '../common/dom.js';
import { attend, ofTerms } from './learned.js';
import { blocks, bytesOf } from './maps.js';
import { floats, insideOf } from './numbers.js';

const MIN_WEIGHT = 1e-12, ROUNDING = 1e-5;  // as in afrd.model.fusion and afrd.metrics.threshold
const MAP_SIDE = 256, TILE_SIDE = 128;

function taps(from, to) {  // between which cells a pixel lies, and how far from the first
  const at = Float64Array.from({ length: to }, (_, i) => Math.max(0, (i + 0.5) * from / to - 0.5));
  const low = Int32Array.from(at, Math.floor);
  const part = Float32Array.from(at, (place, i) => place - low[i]);
  return { low, high: low.map(cell => Math.min(cell + 1, from - 1)), part };
}

function blocked([height, width], side) {  // to hold the maximum of each block of pixels, as afrd.figures.shrink
  const factor = Math.min(1, side / Math.max(height, width));
  const [high, wide] = [height, width].map(length => Math.max(1, Math.round(length * factor)));
  return { width: wide, height: high, rows: blocks(height, high), columns: blocks(width, wide),
    make: () => ({ width: wide, height: high, values: new Float32Array(high * wide) }) };
}

// Enlarges every light's error and weight to `size`, bilinearly between the middles of the cells, and fuses them row by
// row: every toggle of a lamp waits for this. `how` is attention, mean or max; `say` of a light, 0..1, is how much it
// may say; errors are 0 where `inside`, of the pixels, is. Gives the map (sum_l a_l E_l) and each light's error and
// share a_l, shrunk; the score, and each light's mean share and that at the map's maximum.
export function fuse(lights, how, [high, wide], size, inside = null) {
  const [height, width] = size, rows = taps(high, height), columns = taps(wide, width);
  const large = blocked(size, MAP_SIDE), small = blocked(size, TILE_SIDE), map = large.make();
  const found = lights.map(({ errors, weights, say = 1 }) => ({ errors, weights: how === 'attention' ? weights : null,
    say, weight: new Float32Array(width), share: small.make(), sum: 0, peak: 0 }));
  const lines = { total: new Float32Array(width), value: new Float32Array(width), largest: new Float32Array(width),
    error: new Float32Array(wide), weight: new Float32Array(wide) };
  const { total, value } = lines;
  let score = -1;
  for (let y = 0; y < height; y++) {
    total.fill(0);
    value.fill(0);
    if (how === 'max') weighLargest(found, lines, y, rows, columns);
    else for (const light of found) weigh(light, lines, y, rows, columns);
    for (let x = 0; x < width; x++) total[x] = 1 / total[x];
    let best = -1;
    for (let x = 0; x < width; x++) {
      value[x] *= inside && !inside[y * width + x] ? 0 : total[x];
      if (value[x] > score) score = value[best = x];
    }
    raise(map, large, y, value);
    for (const light of found) {
      const { weight } = light;
      let sum = 0;
      for (let x = 0; x < width; x++) sum += weight[x] *= total[x];
      light.sum += sum;
      if (best >= 0) light.peak = weight[best];
      raise(light.share, small, y, weight);
    }
  }
  return { map, score, errors: found.map(({ errors }) => shrunk(errors, [high, wide], size, small, inside)),
    shares: found.map(light => light.share), means: found.map(light => light.sum / height / width),
    peaks: found.map(light => light.peak) };
}

function between(grid, row, { low, high, part }, y) {  // the row of cells in which a row of pixels lies
  const wide = row.length, top = low[y] * wide, bottom = high[y] * wide, down = part[y];
  for (let x = 0; x < wide; x++) row[x] = grid[top + x] + (grid[bottom + x] - grid[top + x]) * down;
  return row;
}

// Adds a light to the sums of a row of pixels.
function weigh({ errors, weights, weight, say }, lines, y, rows, { low, high, part }) {
  const { total, value } = lines, error = between(errors, lines.error, rows, y);
  const other = weights && between(weights, lines.weight, rows, y);
  for (let x = 0; x < total.length; x++) {
    const left = low[x], right = high[x], across = part[x];
    const raw = other ? other[left] + (other[right] - other[left]) * across : 1;
    const own = say * (raw > MIN_WEIGHT ? raw : MIN_WEIGHT);
    weight[x] = own;
    total[x] += own;
    value[x] += own * (error[left] + (error[right] - error[left]) * across);
  }
}

// The weight 1 for the light of the largest error, the first of equal ones.
function weighLargest(found, { total, value, largest, error }, y, rows, { low, high, part }) {
  const winner = new Uint8Array(total.length);
  total.fill(1);
  largest.fill(-1);
  found.forEach(({ errors, say }, light) => {
    between(errors, error, rows, y);
    for (let x = 0; x < total.length; x++) {
      const own = error[low[x]] + (error[high[x]] - error[low[x]]) * part[x];
      if (say * own > largest[x]) {
        largest[x] = say * own;
        value[x] = own;
        winner[x] = light;
      }
    }
  });
  found.forEach(({ weight }, light) => weight.forEach((_, x) => { weight[x] = winner[x] === light ? 1 : 0; }));
}

function raise(map, { rows, columns }, y, line) {  // the blocks of a row of pixels
  const from = rows[y] * map.width, { values } = map;
  for (let x = 0; x < line.length; x++) {
    const cell = from + columns[x];
    if (line[x] > values[cell]) values[cell] = line[x];
  }
}

const kept = new WeakMap();  // maps on the grid, shrunk: by the formulas a light's error is the same in every set
function shrunk(grid, [high, wide], [height, width], blocks, inside) {
  if (kept.get(grid)?.inside === inside) return kept.get(grid).map;
  const map = blocks.make(), rows = taps(high, height), { low, high: next, part } = taps(wide, width);
  const row = new Float32Array(wide), line = new Float32Array(width);
  for (let y = 0; y < height; y++) {
    between(grid, row, rows, y);
    for (let x = 0; x < width; x++) line[x] = row[low[x]] + (row[next[x]] - row[low[x]]) * part[x];
    if (inside) for (let x = 0; x < width; x++) line[x] *= inside[y * width + x];
    raise(map, blocks, y, line);
  }
  kept.set(grid, { map, inside });
  return map;
}

const indexOf = (fusion, names) => names.reduce((index, name) => index | 1 << fusion.lights.indexOf(name), 0);

function decoded({ evidence, name }, { learned, lights }) {  // a light's error and weight on the grid
  if (evidence.errors instanceof Float32Array) return evidence;
  return Object.assign(evidence, evidence.terms ? ofTerms(evidence.terms, learned, lights.indexOf(name))
    : { errors: floats(evidence.errors), weights: floats(evidence.weights) });
}

// Whether the host need not be asked anything about the lights that are on.
export function knows(scene) {
  const known = (fusion, evidence) => {
    const names = scene.lights.filter(item => item.on && evidence(item)).map(item => item.name);
    return !names.length || indexOf(fusion, names) in fusion.thresholds[fusion.how];
  };
  const { beside, fusion } = scene;
  return known(fusion, item => item.evidence) &&
    (!beside || beside.same || known(beside.fusion, item => beside.evidence[item.name]));
}

// What the maps say of the lights that are on: fills the scene as a host does that asks the model. `ways` are how the
// run fuses, and the one beside it. `say` has, by name, how much a light may say, 0..1, where that is not all; one that
// may say nothing is as if off.
export function judge(scene, style, ways, say) {
  const { beside } = scene;
  if (scene.fusion) judgeLights(scene, style, ways[0], say);
  if (beside?.same) fill(scene, scene, scene.lights, { style, how: ways[1], say, panel: scene.panels[1] });
  else if (beside) {
    const lights = scene.lights.map(({ name, on }) => ({ name, on, evidence: beside.evidence[name] }));
    fill(scene, beside, lights, { style, how: ways[1], say, panel: scene.panels[1] });
  }
  return scene.panels[0];
}

function judgeLights(scene, style, how, say) {
  const { on, found, unit } = fill(scene, scene, scene.lights, { style, how, say, panel: scene.panels[0] });
  for (const item of scene.lights) {
    if (!on.includes(item)) Object.assign(item, { errors: null, shares: null, mean: undefined, peak: undefined });
  }
  on.forEach((item, i) => Object.assign(item, {
    errors: bytesOf(found.errors[i], 'error', style.limit, unit, item.errors),
    shares: bytesOf(found.shares[i], 'share', 1, 1, item.shares), mean: found.means[i], peak: found.peaks[i] }));
}

// Fills the panel of a run, `{ fusion, grid }`; gives its lights that are on, what `fuse` finds, the unit of errors.
function fill(scene, { fusion, grid }, items, { style, how, say, panel }) {
  const { size } = scene, part = ({ name }) => say[name] ?? 1;
  const on = items.filter(item => item.on && item.evidence && part(item));
  if (!on.length) {
    const others = items.some(item => item.on && !item.evidence);
    Object.assign(panel, { values: null, units: false, problem: others
      ? `Choose at least one of its lights: ${fusion.lights.join(', ')}.` : 'Choose at least one light.' });
    return { on };
  }
  for (const item of on) decoded(item, fusion);
  const learned = how === 'learned', names = on.map(item => item.name);
  const evidence = learned ? attend(on, fusion.learned, grid) : on.map(item => item.evidence);
  const lights = evidence.map(({ errors, weights }, i) => ({ errors, weights, say: part(on[i]) }));
  const found = fuse(lights, learned ? 'attention' : how, grid, size, insideIn(scene));
  const known = fusion.thresholds[how], index = indexOf(fusion, names), threshold = known[index] ?? null;
  const whole = known[(1 << fusion.lights.length) - 1], unit = threshold ?? whole ?? 1;
  const verdict = threshold === null ? null : found.score > threshold * (1 + ROUNDING) ? 'anomalous' : 'good';
  const score = found.score / unit, why = index in known ? 'no verdict without a threshold' : 'its threshold follows';
  const told = names.map((name, i) => part(on[i]) < 1 ? `${name} at ${percent(part(on[i]))}` : name);
  const full = told.join() === names.join() ? '' : ', of these lights at their full weight';
  Object.assign(panel, { problem: null, units: threshold !== null, verdict, score_units: score,
    values: bytesOf(found.map, 'error', style.limit, unit, panel.values),
    score: verdict ? `score ${score.toFixed(2)} × threshold: ${verdict}`
      : `score ${+found.score.toPrecision(3)}: ${why}`,
    exact: `score ${+found.score.toPrecision(6)}`,
    right: rightness(verdict, scene.header.kind),
    threshold: verdict ? `threshold ${+threshold.toPrecision(4)} (${fusion.promise})${full}` : 'no threshold',
    made_by: `lights: ${told.join(', ')}${how === fusion.how ? '' : `; fused by ${how}`}` });
  return { on, found, unit };
}

export function insideIn({ region, size: [height, width] }) {  // the pixels in which a scene's run judges; null: in all
  if (region && !region.inside) region.inside = insideOf(region.lengths, height * width);
  return region?.inside ?? null;
}

function rightness(verdict, truth) {
  if (!verdict || truth === 'unknown') return null;
  return verdict === truth ? 'right' : truth === 'anomalous' ? 'missed' : 'false alarm';
}
