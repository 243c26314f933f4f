// One tile a lamp: its switch, its picture or a map over it, its dimmer and its readings.
import { focusIn, make, percent, toggleButton } from '../common/dom.js';
import { tellFused } from './difference.js';
import { knows } from './fuse.js';
import { lensMenu, lensStays } from './lens.js';
import { shareBar, showLamps, tellLevel, tellVerdict } from './panels.js';
import { drawWhole, fit, stage } from './view.js';
import { drawWhy } from './why.js';

export function sendLamps(table) {  // to the model, those that its run knows
  const { lamps, scene } = table;
  const wanted = scene.lights.filter(item => item.usable && lamps.lit.has(item.name)).map(item => item.name);
  const before = scene.lights.filter(item => item.usable && item.on).map(item => item.name);
  if (scene.missing || wanted.join() === before.join()) return rejudge(table);
  for (const item of scene.lights) item.on = item.usable && wanted.includes(item.name);
  const told = scene.fusion && knows(scene) && !scene.why;  // else the host asks the model
  if (scene.why) scene.why = { waiting: true };
  rejudge(table);
  if (!scene.fusion) {
    table.root.classList.add('busy');
    Object.assign(lamps, { asked: wanted.join(), patience: performance.now() + 30000 });
  }
  table.emit(told ? 'lit' : 'lights', { lights: wanted });
}

function dim(table, tile, name, gain) {
  table.lamps.gain[name] = gain;
  tile.querySelector('.dimmer b').textContent = percent(gain);
  table.root.querySelector('.undim').hidden = false;
  showLamps(table);
}

function lamp(table, item) {
  const { lamps, pixels, scene, view } = table, { name } = item;
  const lit = lamps.lit.has(name), solo = lamps.before !== null && lit, gain = lamps.gainOf(name);
  const map = { error: item.errors, share: item.shares, single: item.singles }[view.mode] ?? null;
  const picture = stage(table, () => pixels.get(item.picture).canvas, map, {
    title: `picture under ${name}: show it large`, light: name, dark: !lit,
    units: view.mode === 'single' ? item.single?.units : scene.panels[0].units });
  const dimmed = event => dim(table, event.target.closest('.tile'), name, +event.target.value);
  const dimmer = make('div', { class: 'dimmer', title: 'dims the picture; the model does not see it' },
    make('input', { type: 'range', min: 0, max: 2, step: 0.02, value: gain, 'aria-label': `dimmer of ${name}`,
      oninput: dimmed, ondblclick: event => { event.target.value = 1; dimmed(event); } }),
    make('b', {}, percent(gain)));
  const weighed = event => weigh(table, event.target.closest('.tile'), item, +event.target.value);
  const say = !scene.fusion || !item.usable ? null : make('div', { class: 'dimmer say',
    title: 'weight: how much this light may say in the map, times its attention; 0 is as if it were off' },
  make('input', { type: 'range', min: 0, max: 1, step: 0.01, value: lamps.sayOf(name),
    'aria-label': `weight of ${name}`, oninput: weighed,
    onchange: () => tellFused(table), ondblclick: event => { event.target.value = 1; weighed(event); } }),
  make('b', {}, sayText(lamps.sayOf(name))));
  const onOff = make('input', { type: 'checkbox', value: name, checked: lit, 'aria-label': `lamp ${name}`,
    onchange: () => { lamps.switch(name); sendLamps(table); } });
  const alone = () => { lamps.solo(name); view.lighting = 'lamps'; sendLamps(table); };
  return make('div', { class: `tile ${lit ? '' : 'out'}`, 'data-light': name, 'data-state': stateOf(table, item) },
    make('div', { class: 'lamp' },
      make('label', { title: name }, onOff, make('span', {}, name)),
      toggleButton('S', solo, alone, { class: 'solo', 'aria-label': `solo ${name}`, title: 'this lamp alone' })),
    picture, dimmer, say, under(table, item));
}

const sayText = part => `w ${part.toFixed(2)}`;

function weigh(table, tile, { name }, part) {
  table.lamps.say[name] = part;
  tile.querySelector('.say b').textContent = sayText(part);
  table.root.querySelector('.undim').hidden = false;
  table.soon('fused');
}

// What follows from other lamps, weights or fusion: maps, numbers and the tiles of the lamps that were switched. Where
// a panel comes or goes, the table is drawn anew.
export function rejudge(table) {
  const { root, scene, soon, view } = table;
  const shape = () => JSON.stringify([...scene.panels, scene.difference].map(panel =>
    [Boolean(panel?.values), panel?.units, panel?.problem]));
  const judged = () => scene.lights.map(item => Boolean(item.errors)).join(), before = [shape(), judged()];
  if (scene.fusion) table.judge();
  if (shape() !== before[0] || !lensStays(table)) return table.draw();
  const sections = root.querySelectorAll('.panels .panel');
  [...scene.panels, scene.difference].forEach((panel, i) => {
    if (panel?.values && sections[i + 1]) tellVerdict(sections[i + 1], panel);
  });
  const focusAgain = focusIn(root);
  for (const item of scene.lights) followLamp(table, item);
  if (judged() !== before[1]) root.querySelector('.lens').replaceWith(lensMenu(table));
  focusAgain();
  tellLevel(table);
  drawWhy(table);
  soon('maps', 'lines', ...(view.lighting === 'lamps' ? ['light'] : []));
}

function followLamp(table, item) {
  const { root, stages } = table, at = stages.findIndex(one => one.light === item.name), old = stages[at];
  const tile = root.querySelector(`.tile[data-light="${CSS.escape(item.name)}"]`);
  if (tile.dataset.state === stateOf(table, item)) {
    tile.querySelector('.weights')?.replaceWith(under(table, item));
    return;
  }
  const next = lamp(table, item), fresh = stages.pop();
  next.classList.toggle('shown', tile.classList.contains('shown'));
  tile.replaceWith(next);
  stages[at] = fresh;
  if (table.place.at === old) table.place.at = fresh;
  fit(table, fresh, old.width, old.height);
  drawWhole(table, fresh);
}

// All that a tile is drawn from that a switch of lamps changes.
const stateOf = ({ lamps, view }, { errors, name, shares }) => [lamps.lit.has(name), lamps.before !== null,
  Boolean({ error: errors, share: shares }[view.mode])].join();

function under({ scene, view }, item) {  // a lamp's tile
  if (view.mode === 'single' && item.single) {
    return make('div', { class: `weights off ${item.single.verdict ?? ''}` }, item.single.text);
  }
  if (item.mean === undefined) {
    return scene.missing ? null : make('div', { class: 'weights off' }, item.usable ? 'off' : 'not in this run');
  }
  return make('div', { class: 'weights', title: 'attention: mean over the picture, and where the map is highest' },
    ...[['mean', item.mean], ['peak', item.peak]].map(([name, value]) => make('span', {}, `${name} ${value.toFixed(2)}`,
      make('i', { style: `--part:${100 * value}%` }))));
}

function fusionMenu(table) {  // where the browser fuses, and knows thresholds of several ways
  const { draw, judge, scene, view } = table, ways = Object.keys(scene.fusion?.thresholds ?? {});
  if (ways.length < 2) return null;
  const choose = event => {
    view.fusion = event.target.value;
    tellFused(table);
    judge();
    draw();
  };
  return make('label', {}, 'fusion ', make('select', { 'aria-label': 'fusion of the lights', onchange: choose },
    ...ways.map(way => make('option', { value: way, selected: way === view.fusion }, way))));
}

export function strip(table) {
  const { lamps, scene, view } = table;
  const modes = [['picture', 'pictures'],
    ...(scene.lights.some(item => item.errors) ? [['error', 'error'], ['share', 'attention']] : []),
    ...(scene.lights.some(item => item.singles) ? [['single', 'single-light RD']] : [])];
  if (!modes.some(([mode]) => mode === view.mode)) view.mode = 'picture';
  const buttons = modes.map(([mode, text]) =>
    toggleButton(text, view.mode === mode, () => { view.mode = mode; table.draw(); }));
  const sets = scene.presets.map(({ name, lights, title }) => make('button', { type: 'button', title: title || null,
    onclick: () => { lamps.set(lights); sendLamps(table); } }, name));
  const undim = make('button', { type: 'button', class: 'undim',
    hidden: scene.lights.every(({ name }) => lamps.gainOf(name) === 1 && lamps.sayOf(name) === 1),
    title: 'dimmers at 100 %, weights at 1',
    onclick: () => {
      Object.assign(lamps, { gain: {}, say: {} });
      if (scene.fusion) { table.judge(); tellFused(table); }
      table.draw();
    } },
  'undim');
  const rows = Math.ceil(scene.lights.length / 6), weights = scene.fusion ? ', its weight w how much it may say' : '';
  return make('div', { class: 'strip' },
    make('div', { class: 'tools' }, make('b', {}, 'Lights'), make('span', { class: 'sets' }, ...sets, undim),
      fusionMenu(table), view.mode === 'share' ? shareBar(table) : null,
      modes.length > 1 ? make('span', { class: 'segments', role: 'group', 'aria-label': 'shown under each light' },
        ...buttons) : null),
    make('div', { class: 'tiles', style: `--count:${Math.ceil(scene.lights.length / rows)}` },
      ...scene.lights.map(item => lamp(table, item))),
    make('p', { class: 'small' }, scene.missing ? 'Dimmers and solo relight the picture above.'
      : `A lamp’s switch and solo decide what the model sees${weights}. ` +
        'A dimmer changes the picture above, not the model.'),
    scene.relief?.missing ? make('p', { class: 'small' }, scene.relief.missing) : null);
}
