// The light table: one sample with all its pictures and maps, drawn from the JSON that scene.py makes. A host calls
//
//   const table = render(element, scene, { emit, style });   // later table.update(scene), table.destroy()
//
// and hears emit(event, data): `lights` { lights }, the lamps that are lit, for which it asks the model; `lit`
// { lights }, those for which the table has worked everything out; `shown` { light }; `step` { by }, -1 or 1; `pinned`
// { place }, [x, y] in pixels of the sample's pictures or []; `region` { shapes }, see region.js. `style` is what
// style.py's `style` gives; `keys` is where keys are heard, the whole document by default. `fused` { fusion, weights }
// says how the table fuses, with the weights of lights by name where they are not 1, and beside_fusion, how the run
// beside is fused; table.fuse(...) sets the same.
import { button, focusIn, make } from '../common/dom.js';
import { codeBox, copyCode } from './code.js';
import { drawCursor, valueCard } from './cursor.js';
import { chooseFusions, judgeTable } from './difference.js';
import { keyList, listenToKeys } from './keys.js';
import { Lamps } from './lamps.js';
import { lensMenu } from './lens.js';
import { mapOf, palette, pixelsOf } from './maps.js';
import { legend, mapPanel, outline, paint, picturePanel, relight, tellLevel } from './panels.js';
import { listenToPointers } from './pointers.js';
import { beginDrawing, drawingBar, followDrawing, sketch } from './region.js';
import { savePicture } from './save.js';
import { rejudge, strip } from './tiles.js';
import { drawAll, drawLarge, drawMaps, measure, wholePicture, zoomBy } from './view.js';
import { drawLamp, shader } from './virtual.js';
import { drawWhy } from './why.js';

// What is worked out before the next frame, in this order, by the names that `soon` takes; a task may ask for later
// ones.
const TASKS = { fused: rejudge, light: relight, maps: paint, lines: outline,
  all: table => { drawAll(table); drawLamp(table); }, large: drawLarge, drawn: drawMaps, sketch, cursor: drawCursor };
const IN_ALL = ['large', 'drawn'];

export function render(element, scene, { emit = () => {}, style, keys = document }) {
  element.classList.add('light-table');
  element.style.setProperty('--truth-line', style.truth);
  element.style.setProperty('--threshold-line', style.threshold);
  const table = {
    root: element, emit, style, keys, scene: null, stages: [], values: null, lamps: new Lamps(),
    shade: shader(), lens: null,  // the layers that the loupe shows
    pixels: new Map(),  // by data URI, of the scene that is shown
    palettes: { share: palette(style.shares), difference: palette(style.differences) },
    view: {  // of this user, kept from sample to sample
      cover: 0.5, covered: 0.5, scale: Object.keys(style.scales)[0], level: 1, mode: 'picture', truth: true,
      passed: true, fusion: null, besideFusion: null, difference: false,
      loupe: true, values: true, zoom: 1, left: 0, top: 0,
      lens: '', lighting: 'photograph', lamp: { azimuth: 135, height: 40 } },
    place: { x: 0.5, y: 0.5, on: false, at: null },  // the cursor; `at` is the stage under the pointer
    pointers: new Map(),  // those that are down, to tell a click, a drag and a pinch apart
    drawing: null,  // the region that is being drawn
    gesture: null, pinning: 0, telling: 0, soloNext: 0, generation: 0, toldWhy: '',
    said: make('p', { class: 'said', 'aria-live': 'polite' }),
    draw: () => draw(table),
    judge: () => judgeTable(table),
    soon: frames(name => { if (table.scene?.lights) TASKS[name](table); }),
  };
  for (const [name, colours] of Object.entries(style.scales)) table.palettes[name] = palette(colours);
  const listening = new AbortController();
  listenToPointers(table, listening.signal);
  listenToKeys(table, listening.signal);
  update(table, scene);
  return {
    update: next => update(table, next),
    fuse: how => fuse(table, how),
    destroy() { listening.abort(); table.generation++; element.replaceChildren(); },
  };
}

function frames(run) {  // a function that has tasks run once before the next frame, however often it is asked for them
  const waiting = new Set();
  let requested = false;
  const frame = () => {
    let all = requested = false;
    for (const name of Object.keys(TASKS)) {
      if (!waiting.delete(name) || (all && IN_ALL.includes(name))) continue;
      all ||= name === 'all';
      run(name);
    }
  };
  return (...names) => {
    names.forEach(name => waiting.add(name));
    if (!requested) requestAnimationFrame(frame);
    requested = true;
  };
}

function fuse(table, { fusion, weights, beside_fusion: beside }) {
  const { lamps, scene, view } = table;
  if (fusion) view.fusion = fusion;
  if (beside) view.besideFusion = beside;
  lamps.say = { ...weights };
  if (!scene?.fusion) return;
  table.judge();
  draw(table);
}

function header(table) {
  const { emit, root, scene, view } = table;
  const step = (by, text, label) => scene.steps
    ? button(text, label, () => { root.classList.add('busy'); emit('step', { by }); }, { class: 'step' }) : null;
  const { name, place, truth, kind } = scene.header;
  const flip = (name, text, label) => button(text, label, () => { view[name] = !view[name]; draw(table); },
    { class: `flip ${view[name] ? 'on' : ''}`, 'aria-pressed': String(view[name]) });
  return make('header', {}, step(-1, '‹', 'previous sample'), step(1, '›', 'next sample'),
    make('h2', {}, name), make('span', { class: `label ${kind}` }, truth),
    make('span', { class: 'place', title: place }, place),
    make('span', { class: 'zoom' }, button('−', 'zoom out', () => zoomBy(table, 1 / 1.5)),
      button('100 %', 'whole picture', () => wholePicture(table), { class: 'percent' }),
      button('+', 'zoom in', () => zoomBy(table, 1.5))),
    button('save PNG', 'save the table as a PNG picture (p)', () => savePicture(table)),
    scene.code ? button('copy code', 'copy the view as Python code (c)', () => copyCode(table)) : null,
    flip('loupe', 'loupe', 'magnifier under the cursor (l)'), lensMenu(table),
    flip('values', 'values', 'values beside the cursor (v)'),
    button('?', 'keys', () => root.querySelector('.keys').showModal()));
}

function draw(table) {
  const { place, root, scene } = table;
  const focusAgain = focusIn(root);
  const pointed = table.stages.indexOf(place.at);
  table.stages = [];
  if (!scene?.lights) {
    const { title = 'Loading …', text = '', command = '' } = scene?.message ?? {};
    return root.replaceChildren(make('div', { class: 'message' }, make('h2', {}, title), make('p', {}, text),
      command ? make('code', {}, command) : null));
  }
  root.classList.toggle('sketching', table.drawing !== null);
  table.values = valueCard(scene);
  const bare = scene.missing && scene.panels.every(panel => !panel.values);  // room for the picture without a run
  const aspect = `--aspect:${scene.size[1] / scene.size[0]}`;
  const difference = table.view.difference && !bare ? scene.difference : null;
  const shown = [...scene.panels.slice(0, bare ? 1 : 2), ...(difference ? [difference] : [])];
  const panels = make('div', { class: `panels ${bare ? 'bare' : ''} ${difference ? 'four' : ''}`, style: aspect },
    picturePanel(table), ...shown.map(panel => mapPanel(table, panel)));
  const note = scene.note ? make('p', { class: 'note' }, scene.note) : null;
  const parts = [header(table), note, drawingBar(table), panels, legend(table), make('section', { class: 'why' }),
    strip(table), table.values.card, table.said, keyList(), scene.code ? codeBox() : null];
  root.replaceChildren(...parts.filter(Boolean));
  place.at = table.stages[pointed] ?? null;
  measure(table);
  for (const show of [relight, paint, outline, tellLevel, drawWhy, sketch]) show(table);
  focusAgain();
}

async function update(table, next) {
  const { lamps, pixels, root, scene } = table, mine = ++table.generation;
  if (next?.lights) {
    const uris = new Set([next.relief?.normals, next.relief?.albedo, ...next.panels.map(panel => panel.map),
      ...next.lights.flatMap(item => [item.picture, item.error, item.share, item.single?.map])].filter(Boolean));
    const fresh = [...uris].filter(uri => !pixels.has(uri));
    const loaded = await Promise.all(fresh.map(pixelsOf));
    if (mine !== table.generation) return;  // overtaken by a later one
    for (const uri of pixels.keys()) if (!uris.has(uri)) pixels.delete(uri);
    fresh.forEach((uri, i) => pixels.set(uri, loaded[i]));
    const { limit } = table.style, map = (uri, kind, largest) => uri ? mapOf(pixels.get(uri), kind, largest) : null;
    for (const panel of next.panels) panel.values = map(panel.map, 'error', limit);
    for (const item of next.lights) {
      Object.assign(item, { errors: map(item.error, 'error', limit), shares: map(item.share, 'share', 1),
        singles: map(item.single?.map, 'error', limit) });
    }
    if (next.drawing) beginDrawing(table, next, next.drawing); else followDrawing(table, next);
    const coming = { ...table, scene: next };
    chooseFusions(coming);
    judgeTable(coming);
    const same = what => what.lights && JSON.stringify([what.header, what.panels[0].title]);
    root.classList.toggle('busy', !lamps.follow(next.lights, scene && same(next) === same(scene)));
  } else {
    root.classList.remove('busy');
    table.drawing = null;
  }
  table.scene = next;
  draw(table);
  if (next?.drawing) root.querySelector('.drawing-bar').scrollIntoView({ block: 'nearest' });
}
