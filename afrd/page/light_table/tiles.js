// One tile a lamp: its switch, its picture or a map over it, its dimmer and its readings.
import { focusIn, make, percent, toggleButton, write } from '../common/dom.js';
import { tellFused } from './difference.js';
import { knows } from './fuse.js';
import { lensMenu, lensStays } from './lens.js';
import { shareBar, showLamps, tellLevel, tellVerdict } from './panels.js';
import { showMap, stage } from './view.js';
import { drawWhy } from './why.js';

export function sendLamps(table) {  // to the model, those that its run knows
  const { lamps, scene } = table;
  const chosen = scene.lights.filter(item => item.usable && lamps.lit.has(item.name)).map(item => item.name);
  const before = scene.lights.filter(item => item.usable && item.on).map(item => item.name);
  if (scene.missing || chosen.join() === before.join()) return rejudge(table);
  for (const item of scene.lights) item.on = item.usable && chosen.includes(item.name);
  const judgedHere = scene.fusion && knows(scene) && !scene.why;  // else the host asks the model
  if (scene.why) scene.why = { waiting: true };
  rejudge(table);
  if (!scene.fusion) {
    table.root.classList.add('busy');
    Object.assign(lamps, { asked: chosen.join(), patience: performance.now() + 30000 });
  }
  table.emit(judgedHere ? 'lit' : 'lights', { lights: chosen });
}

function dim(table, tile, name, gain) {
  table.lamps.gain[name] = gain;
  tile.querySelector('.dimmer b').textContent = percent(gain);
  table.root.querySelector('.undim').hidden = false;
  showLamps(table);
}

function lamp(table, item) {
  const { lamps, pixels, scene, view } = table, { name } = item, gain = lamps.gainOf(name);
  const picture = stage(table, () => pixels.get(item.picture).canvas, mapUnder(table, item), {
    title: `picture under ${name}: show it large`, light: name,
    units: { single: item.single?.units, error: scene.panels[0].units }[view.mode] });
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
  const onOff = make('input', { type: 'checkbox', value: name, 'aria-label': `lamp ${name}`,
    onchange: () => { lamps.switch(name); sendLamps(table); } });
  const alone = () => { lamps.solo(name); view.lighting = 'lamps'; sendLamps(table); };
  const tile = make('div', { class: 'tile', 'data-light': name },
    make('div', { class: 'lamp' },
      make('label', { title: name }, onOff, make('span', {}, name)),
      toggleButton('S', false, alone, { class: 'solo', 'aria-label': `solo ${name}`, title: 'this lamp alone' })),
    picture, dimmer, say, under(table, item));
  light(table, tile, table.stages.at(-1));
  return tile;
}

const mapUnder = ({ view: { mode } }, { errors, shares, singles }) =>
  ({ error: errors, share: shares, single: singles })[mode] ?? null;

// What a tile shows of whether its lamp is lit, and whether it is solo.
function light({ lamps }, tile, stage) {
  const lit = lamps.lit.has(stage.light), solo = lamps.before !== null && lit, button = tile.querySelector('.solo');
  tile.classList.toggle('out', !lit);
  tile.querySelector('input').checked = lit;
  button.classList.toggle('on', solo);
  button.setAttribute('aria-pressed', solo);
  stage.dark = !lit;
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
  for (const item of scene.lights) followLamp(table, item);
  if (judged() !== before[1]) {
    const focusAgain = focusIn(root);
    root.querySelector('.lens').replaceWith(lensMenu(table));
    focusAgain();
  }
  tellLevel(table);
  drawWhy(table);
  soon('maps', 'lines', ...(view.lighting === 'lamps' ? ['light'] : []));
}

function followLamp(table, item) {
  const tile = table.root.querySelector(`.tile[data-light="${CSS.escape(item.name)}"]`);
  const stage = table.stages.find(one => one.light === item.name), { dark } = stage, map = mapUnder(table, item);
  if (stage.map !== map) showMap(stage, map);
  light(table, tile, stage);
  if (stage.dark !== dark) Object.assign(stage, { fresh: true, stale: true });
  tellUnder(table, tile.querySelector('.weights'), item);
}

function under({ scene, view }, item) {  // a lamp's tile
  if (view.mode === 'single' && item.single) {
    return make('div', { class: `weights off ${item.single.verdict ?? ''}` }, item.single.text);
  }
  if (item.mean === undefined) {
    return scene.missing ? null : make('div', { class: 'weights off' }, item.usable ? 'off' : 'not in this run');
  }
  const title = 'attention: mean over the picture, and where the map is highest';
  const shares = make('div', { class: 'weights', title },
    ...['mean', 'peak'].map(() => make('span', {}, '', make('i'))));
  tellShares(shares, item);
  return shares;
}

function tellUnder(table, old, item) {
  if (!old || (table.view.mode === 'single' && item.single)) return;
  if (item.mean !== undefined && old.children.length) return tellShares(old, item);
  const next = under(table, item);
  if (!next.isEqualNode(old)) old.replaceWith(next);
}

function tellShares(node, item) {
  ['mean', 'peak'].forEach((name, i) => {
    const { firstChild: text, lastChild: bar } = node.children[i];
    write(text, `${name} ${item[name].toFixed(2)}`);
    bar.style.setProperty('--part', `${(100 * item[name]).toFixed(1)}%`);
  });
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
