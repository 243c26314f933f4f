// The keyboard: everything that the pointer does.
import { clamp, make } from '../common/dom.js';
import { copyCode } from './code.js';
import { pixel, pointAt } from './cursor.js';
import { showPhotograph } from './panels.js';
import { drawingKey } from './region.js';
import { savePicture } from './save.js';
import { sendLamps } from './tiles.js';
import { moveTo, wholePicture, zoomBy } from './view.js';
import { pin } from './why.js';

const KEYS = [
  ['← →', 'previous, next sample'], ['1 … 9', 'lamp on or off'], ['Shift + 1 … 9, or s and 1 … 9', 'lamp solo'],
  ['m', 'outline of the true defect'], ['t', 'outline of what is over the threshold'], ['Space', 'picture or map'],
  ['+ −', 'zoom at the cursor'], ['0', 'whole picture'], ['Shift + arrows', 'move the cursor'],
  ['Enter', 'pin the place, or show the picture'], ['l', 'loupe'], ['v', 'values beside the cursor'],
  ['p', 'save the table as a PNG'], ['c', 'copy the view as Python code'],
  ['Esc', 'take the pin out; else whole picture'], ['?', 'this list'],
];
const POINTER = [['wheel, pinch', 'zoom'], ['drag', 'move the zoomed pictures'], ['double click', 'whole picture'],
  ['click', 'pin a place on a large picture']];
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const TYPED_IN = 'input:not([type=checkbox], [type=range]), textarea, select, [role=tab], [role=listbox], ' +
  '[contenteditable], .gallery-box, dialog[open]';

export function keyList() {
  const row = ([keys, what]) => make('tr', {}, make('th', { scope: 'row' }, keys), make('td', {}, what));
  return make('dialog', { class: 'box keys', 'aria-label': 'keys', onclick: event => event.currentTarget.close() },
    make('table', {}, make('tbody', {}, ...[...KEYS, ...POINTER].map(row))),
    make('button', { type: 'button' }, 'close'));
}

function moveCursor(table, [across, down]) {
  const { place, view } = table, step = 0.02 / view.zoom;
  pointAt(table, place.x + across * step, place.y + down * step, place.at ?? table.stages[0]);
  const width = 1 / view.zoom;  // the view follows
  moveTo(table, clamp(view.left, place.x - width, place.x), clamp(view.top, place.y - width, place.y));
}

function flip(table, name) {
  if (name === 'passed' ? !table.root.querySelector('.key.passed') : name === 'truth' && !table.scene.truth) return;
  table.view[name] = !table.view[name];
  table.draw();
}

function pictureOrMap({ root, view, soon }) {
  if (view.cover > 0) view.covered = view.cover;
  view.cover = view.cover > 0 ? 0 : view.covered;
  const slider = root.querySelector('.cover');
  if (slider) slider.value = view.cover;
  soon('maps');
}

function lampKey(table, name, solo) {
  if (solo || performance.now() < table.soloNext) {
    table.lamps.solo(name);
    table.view.lighting = 'lamps';
  } else {
    table.lamps.switch(name);
  }
  table.soloNext = 0;
  sendLamps(table);
}

const SIMPLE = {
  s: table => { table.soloNext = performance.now() + 1500; },  // until when a digit means solo
  m: table => flip(table, 'truth'), t: table => flip(table, 'passed'), l: table => flip(table, 'loupe'),
  v: table => flip(table, 'values'), p: savePicture, c: copyCode,
  '+': table => zoomBy(table, 1.5), '=': table => zoomBy(table, 1.5),
  '-': table => zoomBy(table, 1 / 1.5), 0: wholePicture, '?': ({ root }) => root.querySelector('.keys').showModal(),
  Escape: table => table.scene.pinned ? pin(table, null) : wholePicture(table),
};

function action(table, event) {  // what a key does, or null
  const { key, target } = event, { place, root, scene } = table;
  const onButton = target.closest?.('button, a, summary, input, [role=button]:not(.stage)');
  const drawn = table.drawing && drawingKey(table, key, onButton);
  if (drawn) return drawn;
  const digit = /^Digit([1-9])$/.exec(event.code)?.[1] ?? (/^[1-9]$/.test(key) ? key : null);
  const name = digit && scene.lights[digit - 1]?.name;
  if (name) return () => lampKey(table, name, event.shiftKey);
  if (ARROWS[key] && event.shiftKey) return () => moveCursor(table, ARROWS[key]);
  if ((key === 'ArrowLeft' || key === 'ArrowRight') && scene.steps) {
    return () => root.querySelectorAll('.step')[key === 'ArrowLeft' ? 0 : 1].click();
  }
  if (key === ' ' && !onButton) return () => pictureOrMap(table);
  if (Object.hasOwn(SIMPLE, key)) return () => SIMPLE[key](table);
  const stage = table.stages.find(one => one.box === target);
  if (key === 'Enter' && stage?.light) return () => showPhotograph(table, stage.light);
  if (key === 'Enter' && place.on && !onButton) return () => pin(table, pixel(table));
  return null;
}

export function listenToKeys(table, signal) {
  const listen = event => {
    const { key, target } = event;
    if (event.altKey || event.ctrlKey || event.metaKey || !table.scene?.lights || !table.root.offsetParent) return;
    if (target.closest?.(TYPED_IN) || (target.type === 'range' && key.startsWith('Arrow'))) return;
    const act = action(table, event);
    if (!act) return;
    act();
    event.preventDefault();
  };
  table.keys.addEventListener('keydown', listen, { signal });
}
