// Fusion in the browser: the map, score and verdict of any set of lights, from every light's evidence on its grid, as
// `afrd.model.maps` makes them.
import { percent } from '../common/dom.js';
import { blend, floored } from './blend.js';
import { attend, ofTerms } from './learned.js';
import { bytesOf } from './maps.js';
import { floats, insideOf } from './numbers.js';

const ROUNDING = 1e-5;  // as in afrd.metrics.threshold
const SETS_BYTES = 8 * 2 ** 20;  // all sets of six lights on a grid of 64 x 64

const indexOf = (fusion, names) => names.reduce((index, name) => index | 1 << fusion.lights.indexOf(name), 0);

function decoded({ evidence, name }, { learned, lights }) {  // a light's error and weight on the grid
  if (evidence.errors instanceof Float32Array) return evidence;
  return Object.assign(evidence, evidence.terms ? ofTerms(evidence.terms, learned, lights.indexOf(name))
    : { errors: floats(evidence.errors), weights: floored(floats(evidence.weights)) });
}

// Learned attention of a set of lights, kept with the run's part of the scene: a weight that is moved or a lamp that is
// switched back asks for the same set again.
function attended(source, on) {
  const { fusion, grid } = source, key = on.map(item => item.name).join('\n');
  const sets = source.sets ??= new Map(), evidence = sets.get(key) ?? attend(on, fusion.learned, grid);
  sets.delete(key);
  sets.set(key, evidence);  // the latest one
  const bytes = () => [...sets.values()].reduce((sum, lights) => sum + lights.length * 8 * grid[0] * grid[1], 0);
  while (sets.size > 1 && bytes() > SETS_BYTES) sets.delete(sets.keys().next().value);
  return evidence;
}

// Whether the host need not be asked anything about the lights that are on.
export function knows(scene) {
  const answered = (fusion, evidence) => {
    const names = scene.lights.filter(item => item.on && evidence(item)).map(item => item.name);
    return !names.length || indexOf(fusion, names) in fusion.thresholds[fusion.how];
  };
  const { beside, fusion } = scene;
  return answered(fusion, item => item.evidence) &&
    (!beside || beside.same || answered(beside.fusion, item => beside.evidence[item.name]));
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
  const { on, blended, unit } = fill(scene, scene, scene.lights, { style, how, say, panel: scene.panels[0] });
  for (const item of scene.lights) {
    if (!on.includes(item)) Object.assign(item, { errors: null, shares: null, mean: undefined, peak: undefined });
  }
  on.forEach((item, i) => Object.assign(item, {
    errors: bytesOf({ ...blended.tile, kind: 'error', limit: style.limit, unit }, () => blended.error(i), item.errors),
    shares: bytesOf({ ...blended.tile, kind: 'share', limit: 1, unit: 1 }, () => blended.share(i), item.shares),
    mean: blended.means[i], peak: blended.peaks[i] }));
}

// Fills the panel of a run, `{ fusion, grid }`; gives its lights that are on, what `blend` finds, the unit of errors.
function fill(scene, source, items, { style, how, say, panel }) {
  const { fusion, grid } = source, { size } = scene, part = ({ name }) => say[name] ?? 1;
  const on = items.filter(item => item.on && item.evidence && part(item));
  if (!on.length) {
    const others = items.some(item => item.on && !item.evidence);
    Object.assign(panel, { values: null, units: false, problem: others
      ? `Choose at least one of its lights: ${fusion.lights.join(', ')}.` : 'Choose at least one light.' });
    return { on };
  }
  for (const item of on) decoded(item, fusion);
  const learned = how === 'learned', names = on.map(item => item.name);
  const evidence = learned ? attended(source, on) : on.map(item => item.evidence);
  const lights = evidence.map(({ errors, weights }, i) => ({ errors, weights, say: part(on[i]) }));
  const blended = blend(lights, learned ? 'attention' : how, grid, size, insideIn(scene));
  const thresholds = fusion.thresholds[how], index = indexOf(fusion, names), threshold = thresholds[index] ?? null;
  const whole = thresholds[(1 << fusion.lights.length) - 1], unit = threshold ?? whole ?? 1;
  const verdict = threshold === null ? null : blended.score > threshold * (1 + ROUNDING) ? 'anomalous' : 'good';
  const score = blended.score / unit;
  const why = index in thresholds ? 'no verdict without a threshold' : 'its threshold follows';
  const shownNames = names.map((name, i) => part(on[i]) < 1 ? `${name} at ${percent(part(on[i]))}` : name);
  const full = shownNames.join() === names.join() ? '' : ', of these lights at their full weight';
  Object.assign(panel, { problem: null, units: threshold !== null, verdict, score_units: score,
    values: bytesOf({ ...blended.map, kind: 'error', limit: style.limit, unit }, () => blended.map.values,
      panel.values),
    score: verdict ? `score ${score.toFixed(2)} × threshold: ${verdict}`
      : `score ${+blended.score.toPrecision(3)}: ${why}`,
    exact: `score ${+blended.score.toPrecision(6)}`,
    right: rightness(verdict, scene.header.kind),
    threshold: verdict ? `threshold ${+threshold.toPrecision(4)} (${fusion.promise})${full}` : 'no threshold',
    made_by: `lights: ${shownNames.join(', ')}${how === fusion.how ? '' : `; fused by ${how}`}` });
  return { on, blended, unit };
}

export function insideIn({ region, size: [height, width] }) {  // the pixels in which a scene's run judges; null: in all
  if (region && !region.inside) region.inside = insideOf(region.lengths, height * width);
  return region?.inside ?? null;
}

function rightness(verdict, truth) {
  if (!verdict || truth === 'unknown') return null;
  return verdict === truth ? 'right' : truth === 'anomalous' ? 'missed' : 'false alarm';
}
