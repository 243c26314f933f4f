// Two maps on one scale, each in units of its own threshold, and what the first has more than the second.
import { judge } from './fuse.js';
import { bytesOf } from './maps.js';

const MIDDLE = 128;  // of the bytes of a difference: none

// How the runs of the two maps fuse, as far as the browser does.
export const besideFusion = ({ beside, fusion }) => beside?.same ? fusion : beside?.fusion ?? null;

export function chooseFusions({ scene, view }) {  // those of this user, where the runs know them
  const own = scene.fusion, other = besideFusion(scene);
  if (own && !(view.fusion in own.thresholds)) view.fusion = own.how;
  if (!other || view.besideFusion in other.thresholds) return;
  const ways = Object.keys(other.thresholds);  // the same run is shown by another way
  view.besideFusion = scene.beside.same ? ways.find(way => way !== own.how) ?? own.how : other.how;
}

export const tellFused = ({ emit, lamps, scene, view }) => emit('fused', { fusion: view.fusion ?? '',
  weights: lamps.said(), beside_fusion: besideFusion(scene) ? view.besideFusion : '' });

export function judgeTable({ lamps, scene, style, view }) {
  const ways = [view.fusion, view.besideFusion];
  if (scene.fusion || scene.beside) judge(scene, style, ways, lamps.say);
  nameMaps(scene, ways);
  compare(scene, style);
}

// What the maps are called: by their method, where that is the same by their run, and of one run by its fusion.
function nameMaps({ beside, panels }, ways) {
  const alike = panels.every(({ method }) => method === panels[0].method);
  panels.forEach((panel, i) => {
    panel.name = !alike ? panel.method : beside?.same ? `${panel.method}, ${ways[i]}` : panel.title || panel.method;
  });
}

export const comparable = ({ panels }) => panels.length > 1 &&
  panels.every(panel => panel.values && panel.units && panel.values.width === panels[0].values.width);

// The difference as a panel of its own: `scene.difference`, null where the two maps have no common unit.
export function compare(scene, style) {
  const [first, second] = scene.panels;
  if (!comparable(scene)) { scene.difference = null; return; }
  const { width, height } = first.values, range = { most: 0, least: 0 };
  const map = bytesOf({ kind: 'difference', limit: style.limit, width, height, unit: 255 / style.limit },
    () => subtract(first.values.values, second.values.values, range), scene.difference?.values);
  map.zero = MIDDLE;
  const told = value => (value / 255 * style.limit).toFixed(2).replace('-', '−');
  scene.difference = { method: 'Difference', title: `${first.name} − ${second.name}`, values: map, units: false,
    right: null, exact: null,
    get score() { return map.values && `from ${told(range.least)} to +${told(range.most)} × threshold`; },
    made_by: 'orange where the first map is higher, violet where the second is',
    threshold: 'each map in units of its own threshold, up to 2' };
}

function subtract(first, second, range) {  // bytes; `range` becomes that of the difference
  let [most, least] = [0, 0];
  const values = new Float32Array(first.length);
  for (let i = 0; i < values.length; i++) {
    const more = first[i] - second[i];
    if (more > most) most = more;
    if (more < least) least = more;
    values[i] = MIDDLE + more * 127 / 255;
  }
  Object.assign(range, { most, least });
  return values;
}
