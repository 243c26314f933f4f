// The pinned place, and what the host answers of it: why the map is what it is there, light by light.
import { make } from '../common/dom.js';
import { drawPins } from './view.js';

export function pin(table, at) {
  const { scene } = table;
  const pinnedHere = scene.pinned && at && scene.pinned[0] === at[0] && scene.pinned[1] === at[1];
  scene.pinned = pinnedHere ? null : at;
  scene.why = scene.pinned && scene.answers && scene.panels[0].values ? { waiting: true } : null;
  drawPins(table);
  drawWhy(table);
  table.emit('pinned', { place: scene.pinned ?? [] });
}

export function drawWhy(table) {
  const { why, pinned } = table.scene;
  const old = table.root.querySelector('.why');
  if (!why) return old.replaceChildren();
  const close = make('button', { type: 'button', class: 'quiet', 'aria-label': 'take the pin out',
    title: 'take the pin out (Esc)', onclick: () => pin(table, null) }, '✕');
  const head = text => make('header', {}, make('h3', {}, `Why, at x ${pinned[0]}, y ${pinned[1]}`),
    make('span', { class: 'small' }, text), close);
  if (why.waiting) return old.replaceChildren(head('asking the model …'));
  const told = why.summary ?? why.problem;
  if (told !== table.toldWhy) table.said.textContent = table.toldWhy = told;  // to a screen reader
  if (why.problem) return old.replaceChildren(head(why.problem));
  old.replaceChildren(head(why.summary), reasonTable(why), make('p', { class: 'small' }, why.note));
}

const HEADS = {
  here: 'the place under this light, enlarged',
  attention: 'its weight in the map here; over the lights the weights sum to 1. Below: the contrast of its picture ' +
    'here, in grey levels',
  error: 'the light’s error here, and how much of it is of each of the teacher’s scales',
  part: 'attention × error: what the light adds to the map here',
  similar: 'under the same light, with their distance; beside it how far they are from each other',
};

function reasonTable(why) {
  const largest = Math.max(...why.lights.map(light => light.error), 1e-9);
  const similar = why.lights.some(light => light.neighbours.length);
  const heads = [['light'], ['here', HEADS.here], ['attention', HEADS.attention], [`error${why.unit}`, HEADS.error],
    ['of the map', HEADS.part], ...(similar ? [['most similar places of good parts', HEADS.similar]] : [])];
  const row = light => make('tr', {},
    make('th', { scope: 'row' }, light.name),
    make('td', { class: 'here' }, patch(light.patch, `the place under ${light.name}`),
      make('small', {}, light.colour.join(' '))),
    make('td', { class: 'number' }, light.attention.toFixed(2), bars([light.attention]),
      make('small', {}, `contrast ${light.contrast.toFixed(0)}`)),
    errorCell(light, why, largest),
    make('td', { class: 'number' }, `${Math.round(100 * light.part)} %`, bars([light.part])),
    similar ? make('td', {}, make('div', { class: 'similar' }, ...light.neighbours.map(neighbour),
      make('small', {}, light.spread ? `± ${light.spread.toFixed(2)}` : ''))) : null);
  return make('table', {},
    make('thead', {}, make('tr', {}, ...heads.map(([text, title]) => make('th', { title, scope: 'col' }, text)))),
    make('tbody', {}, ...why.lights.map(row)));
}

function errorCell({ error, scales, distance }, { strides }, largest) {
  const parts = scales.map((scale, i) => `1/${strides[i]} ${scale.toFixed(2)}`).join(' + ');
  const memory = distance ? `, memory ${distance.toFixed(2)}` : '';
  return make('td', { class: 'number' }, error.toFixed(2),
    bars((scales.length ? scales : [error]).map(part => part / largest)),
    scales.length ? make('small', {}, parts + memory) : null);
}

const patch = (src, alt, more = {}) => make('img', { src, alt, width: 44, height: 44, ...more });

function neighbour({ sample, x, y, distance, patch: src }) {
  return make('figure', {}, patch(src, `good part ${sample} at x ${x}, y ${y}`, { title: `${sample}, x ${x}, y ${y}` }),
    make('figcaption', {}, distance.toFixed(2)));
}

function bars(parts) {
  return make('span', { class: 'parts' },
    ...parts.map(part => make('i', { style: `width:${100 * Math.min(1, part)}%` })));
}
