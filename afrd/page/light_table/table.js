// The light table: draws the JSON that scene.py makes, one sample with all its pictures and maps. SHARES, LIMIT, CLEAR,
// FULL and SCALES come from afrd/figures. The other light_*.js stand before this file, in one script with it.
const view = {  // of this user, kept from sample to sample
  cover: 0.5, covered: 0.5, scale: Object.keys(SCALES)[0], level: 1, mode: 'picture', truth: true, passed: true,
  loupe: true, values: true, zoom: 1, left: 0, top: 0, relit: false };
const root = element.querySelector('.light-table');
const said = make('p', { class: 'said', 'aria-live': 'polite' });
let scene = null;
let table = null;  // the values beside the cursor
let generation = 0;

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'class') node.className = value;
    else if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? '' : value);
  }
  const key = attributes['aria-label'] || attributes.value || (tag === 'button' && children[0]);
  if (typeof key === 'string' && /^(input|button|select)$/.test(tag)) node.dataset.key = key;  // to keep the focus
  node.append(...children.filter(child => child !== null && child !== undefined));
  return node;
}

const button = (text, label, onclick, more = {}) =>
  make('button', { type: 'button', 'aria-label': label, title: label, onclick, ...more }, text);

const waiting = new Set();
function soon(task) {  // once before the next frame, however often it is asked for
  if (!waiting.size) requestAnimationFrame(() => {
    const now = [...waiting];
    waiting.clear();
    if (scene?.lights) now.forEach(run => run());
  });
  waiting.add(task);
}

// A picture, a map over it, lines, and what the cursor says; light_view.js draws it. `source` gives the picture's canvas.
function stage(source, map, { title, light = null, large = false, units = false, dark = false }) {
  const layer = map ? make('canvas', { width: map.width, height: map.height }) : null;
  const canvas = make('canvas', { class: map ? 'map' : 'picture' }), loupe = make('canvas', { class: 'loupe' });
  const [cross, mark, reading] = ['cross', 'mark', 'reading'].map(name => make('span', { class: name, 'aria-hidden': 'true' }));
  const box = make('div', { class: 'stage', style: `aspect-ratio:${scene.size[1]}/${scene.size[0]}`, tabindex: 0,
    role: light ? 'button' : 'img', 'aria-label': title, 'data-key': title }, canvas);
  const lines = kind => {
    box.insertAdjacentHTML('beforeend', `<svg class="lines ${kind}" preserveAspectRatio="none" aria-hidden="true"><path class="edge"/><path/></svg>`);
    return box.lastChild;
  };
  const truth = view.truth && scene.truth ? lines('truth') : null;
  if (truth) for (const path of truth.children) path.setAttribute('d', scene.truth);
  const passed = map && units && map.kind === 'error' ? lines('passed') : null;
  box.append(mark, loupe, cross, reading);
  stages.push({ box, source, canvas, base: map ? make('canvas') : canvas, layer, map, truth, passed, loupe, cross, mark, reading, light, large, dark });
  return box;
}

function paint() {
  const tables = { error: colourTable('error'), share: colourTable('share') };
  for (const { layer, map } of stages) if (layer) paintMap(layer, map, tables[map.kind]);
  soon(drawMaps); soon(drawCursor);
}

function outline() {  // what is over the threshold, or over the level that the user tries
  for (const { passed, map } of stages) {
    const path = passed && view.passed ? contour(map, view.level, scene.size) : '';
    if (passed) for (const line of passed.children) line.setAttribute('d', path);
  }
}

const percent = part => `${Math.round(100 * part)} %`;

// The picture that lies under the large maps: as photographed under one light, or under the lamps as they are.
function relight() {
  const lit = scene.lights.filter(item => lamps.lit.has(item.name));
  let told = 'a click asks why, the wheel zooms, ? lists the keys';
  lamps.picture = kept.get(scene.lights.find(item => item.name === scene.shown).picture).canvas;
  if (view.relit && lit.length) {
    const pictures = lit.map(item => kept.get(item.picture));
    const key = [generation, ...lit.map(item => item.name)].join();
    if (lamps.exposed !== key) Object.assign(lamps, { exposed: key, exposure: exposure(pictures) });
    lamps.picture = relit(pictures, lit.map(item => gainOf(item.name)), lamps.exposure);
    const named = lit.filter(item => lit.length < 4 || gainOf(item.name) !== 1);
    told = [...(lit.length < 4 ? [] : [`${lit.length} lamps`]), ...named.map(item => `${item.name} ${percent(gainOf(item.name))}`)]
      .join(', ') + `; exposure × ${lamps.exposure.toFixed(2)}`;
  } else if (view.relit) {
    told = 'no lamp is on';
  }
  root.querySelector('.lighting .verdict').textContent = view.relit ? 'under the lamps, mixed' : `under light ${scene.shown}`;
  root.querySelector('.lighting .small').textContent = told;
  root.querySelector('.lighting select').value = view.relit ? '' : scene.shown;
  for (const tile of root.querySelectorAll('.tile')) {
    tile.classList.toggle('shown', !view.relit && tile.dataset.light === scene.shown);
  }
  soon(drawLarge); soon(drawCursor);
}

function showPhotograph(name) {
  view.relit = false;
  scene.shown = name;
  soon(relight);
  trigger('shown', { light: name });
}

function showLamps() {
  view.relit = true;
  soon(relight);
}

// --- the large panels ---

function picturePanel() {
  const choice = make('select', { 'aria-label': 'lighting of the picture',
    onchange: event => event.target.value ? showPhotograph(event.target.value) : showLamps() },
  ...scene.lights.map(item => make('option', { value: item.name }, `as photographed: ${item.name}`)),
  make('option', { value: '' }, 'the lamps that are on, mixed'));
  return make('section', { class: 'panel lighting' }, make('h3', {}, 'Picture', choice), make('div', { class: 'verdict' }),
    stage(() => lamps.picture, null, { title: 'the picture; a click pins a place', large: true }),
    make('p', { class: 'small', title: 'Exposure: undimmed, the lamps that are on are together as bright as the brightest of their photographs.' }));
}

function mapPanel(panel) {
  const heading = right => make('h3', {}, panel.method, panel.title ? make('small', {}, panel.title) : null, right);
  if (!panel.map) {
    const missing = panel.method === 'AFRD' && scene.missing;
    const text = panel.problem || (missing ? 'No run for this category yet:' : 'No single-light run for this category yet.');
    return make('section', { class: 'panel' }, heading(), make('div', { class: 'verdict' }, '–'),
      make('div', { class: 'stage hole', style: `aspect-ratio:${scene.size[1]}/${scene.size[0]}` },
        make('p', {}, text), missing ? make('code', {}, scene.missing) : null));
  }
  const sign = { anomalous: '▲', good: '●' }[panel.verdict] || '○';
  const right = panel.right ? make('span', { class: `right ${panel.right.replace(' ', '-')}` }, panel.right) : null;
  return make('section', { class: 'panel' }, heading(right),
    make('div', { class: `verdict ${panel.verdict || ''}`, title: panel.exact }, `${sign} `, make('b', {}, panel.score)),
    stage(() => lamps.picture, panel.values, { title: `map of ${panel.method}; a click pins a place`, large: true, units: panel.units }),
    make('p', { class: 'small' }, panel.made_by), make('p', { class: 'small' }, panel.threshold));
}

// --- how maps are drawn ---

const gradient = colours => `background:linear-gradient(90deg,${colours.filter((_, i) => i % 15 === 0).map(c => `rgb(${c.join(',')})`).join(',')})`;

function errorBar() {
  const strip = make('span', { class: 'colours', style: gradient(palettes[view.scale]) },
    make('i', { style: 'left:25%' }, '0.5'), make('span', { class: 'line' }, make('b', {}, ...(scene.unit ? ['1'] : [make('span', {}, '1 = '), 'threshold']))),
    make('i', { style: 'left:75%' }, '1.5'));
  if (scene.panels.some(panel => panel.units)) {
    strip.append(make('input', { type: 'range', min: 0.3, max: 1.98, step: 0.01, value: view.level, class: 'level',
      'aria-label': 'threshold to try, in units of the run’s threshold', title: 'try another threshold; double click: the run’s own',
      ondblclick: event => { event.target.value = 1; tryLevel(1); }, oninput: event => tryLevel(+event.target.value) }));
  }
  return make('span', { class: 'bar' }, make('i', { class: 'end' }, '0'), strip, make('i', { class: 'end' }, '≥ 2'));
}

function shareBar() {
  return make('span', { class: 'bar share' }, '0', make('span', { class: 'colours', style: gradient(shares) }), '1 attention');
}

function tryLevel(level) {
  view.level = Math.abs(level - 1) < 0.015 ? 1 : level;
  tellLevel();
  soon(outline);
}

function tellLevel() {  // what the verdicts would be
  const trial = root.querySelector('.trial'), key = root.querySelector('.key.passed span');
  if (!key) return;
  const own = view.level === 1;
  key.textContent = own ? 'over threshold' : `over ${view.level.toFixed(2)} ×`;
  trial.textContent = own ? '' : `at ${view.level.toFixed(2)} × threshold: ` + scene.panels.filter(panel => panel.units)
    .map(panel => `${panel.method} says ${panel.score_units > view.level ? 'anomalous' : 'good'}`).join(', ');
}

function toggle(name, text, act) {
  return make('label', { class: `key ${name}` }, make('input', { type: 'checkbox', 'aria-label': text, checked: view[name],
    onchange: event => { view[name] = event.target.checked; act(); } }), make('span', {}, text));
}

function legend() {
  const judged = scene.panels.some(panel => panel.map);
  if (!judged && !scene.truth) return null;
  const slider = make('input', { type: 'range', min: 0, max: 1, step: 0.02, value: view.cover, 'aria-label': 'picture or map', class: 'cover',
    oninput: event => { view.cover = +event.target.value; soon(paint); } });
  const scales = make('select', { 'aria-label': 'colour scale', title: 'colour scale of the maps', onchange: event => {
    view.scale = event.target.value;
    root.querySelector('.bar:not(.share) .colours').style.cssText = gradient(palettes[view.scale]);
    soon(paint); } }, ...Object.keys(SCALES).map(name => make('option', { value: name, selected: name === view.scale }, name)));
  return make('div', { class: 'legend' },
    ...(judged ? [make('span', { class: 'mix' }, 'picture', slider, 'map'), errorBar(), scales] : []),
    scene.truth ? toggle('truth', 'true defect', draw) : null,
    judged && !scene.unit ? toggle('passed', 'over threshold', () => soon(outline)) : null,
    make('span', { class: 'small trial', role: 'status' }), scene.unit ? make('span', { class: 'small' }, scene.unit) : null);
}

// --- the lamps ---

function sendLamps() {  // to the model, those that its run knows
  const wanted = scene.lights.filter(item => item.usable && lamps.lit.has(item.name)).map(item => item.name);
  const before = scene.lights.filter(item => item.usable && item.on).map(item => item.name);
  if (scene.missing || wanted.join() === before.join()) return draw();
  for (const item of scene.lights) item.on = item.usable && wanted.includes(item.name);
  draw();
  root.classList.add('busy');
  Object.assign(lamps, { asked: wanted.join(), patience: performance.now() + 30000 });
  trigger('lights', { lights: wanted });
}

function setLamps(names) {
  lamps.before = null;
  lamps.lit = new Set(names);
  sendLamps();
}

function dim(name, gain) {
  lamps.gain[name] = gain;
  const tile = [...root.querySelectorAll('.tile')].find(tile => tile.dataset.light === name);
  tile.querySelector('.dimmer b').textContent = percent(gain);
  root.querySelector('.undim').hidden = false;
  showLamps();
}

function lamp(item) {
  const lit = lamps.lit.has(item.name), solo = lamps.before !== null && lit;
  const own = item.name;
  const map = { error: item.errors, share: item.shares, single: item.singles }[view.mode] ?? null;
  const picture = stage(() => kept.get(item.picture).canvas, map, { title: `picture under ${own}: show it large`, light: own, dark: !lit,
    units: view.mode === 'single' ? item.single?.units : scene.panels[0].units });
  const gain = gainOf(own);
  const dimmer = make('div', { class: 'dimmer', title: 'dims the picture; the model does not see it' },
    make('input', { type: 'range', min: 0, max: 2, step: 0.02, value: gain, 'aria-label': `dimmer of ${own}`,
      oninput: event => dim(own, +event.target.value), ondblclick: event => { event.target.value = 1; dim(own, 1); } }),
    make('b', {}, percent(gain)));
  return make('div', { class: `tile ${lit ? '' : 'out'}`, 'data-light': own },
    make('div', { class: 'lamp' },
      make('label', { title: own }, make('input', { type: 'checkbox', value: own, checked: lit, 'aria-label': `lamp ${own}`,
        onchange: () => { switchLamp(own); sendLamps(); } }), make('span', {}, own)),
      make('button', { type: 'button', class: `solo ${solo ? 'on' : ''}`, 'aria-pressed': String(solo), 'aria-label': `solo ${own}`,
        title: 'this lamp alone', onclick: () => { soloLamp(own); view.relit = true; sendLamps(); } }, 'S')),
    picture, dimmer, under(item));
}

function under(item) {  // a lamp's tile
  if (view.mode === 'single' && item.single) {
    return make('div', { class: `weights off ${item.single.verdict ?? ''}` }, item.single.text);
  }
  if (item.error === undefined) {
    return scene.missing ? null : make('div', { class: 'weights off' }, item.usable ? 'off' : 'not in this run');
  }
  return make('div', { class: 'weights', title: 'attention: mean over the picture, and where the map is highest' },
    ...[['mean', item.mean], ['peak', item.peak]].map(([name, value]) => make('span', {}, `${name} ${value.toFixed(2)}`,
      make('i', { style: `--part:${100 * value}%` }))));
}

function strip() {
  const modes = [['picture', 'pictures'], ...(scene.lights.some(item => item.error) ? [['error', 'error'], ['share', 'attention']] : []),
    ...(scene.lights.some(item => item.single) ? [['single', 'single-light RD']] : [])];
  if (!modes.some(([mode]) => mode === view.mode)) view.mode = 'picture';
  const buttons = modes.map(([mode, text]) => make('button', { type: 'button', class: view.mode === mode ? 'on' : '',
    'aria-pressed': String(view.mode === mode), onclick: () => { view.mode = mode; draw(); } }, text));
  const sets = scene.presets.map(set => make('button', { type: 'button', title: set.title || null, onclick: () => setLamps(set.lights) }, set.name));
  const undim = make('button', { type: 'button', class: 'undim', hidden: scene.lights.every(item => gainOf(item.name) === 1),
    onclick: () => { lamps.gain = {}; draw(); } }, 'undim');
  const rows = Math.ceil(scene.lights.length / 6);
  return make('div', { class: 'strip' },
    make('div', { class: 'tools' }, make('b', {}, 'Lights'), make('span', { class: 'sets' }, ...sets, undim),
      view.mode === 'share' ? shareBar() : null,
      modes.length > 1 ? make('span', { class: 'segments', role: 'group', 'aria-label': 'shown under each light' }, ...buttons) : null),
    make('div', { class: 'tiles', style: `--count:${Math.ceil(scene.lights.length / rows)}` }, ...scene.lights.map(lamp)),
    make('p', { class: 'small' }, scene.missing ? 'Dimmers and solo relight the picture above.'
      : 'A lamp’s switch and solo decide what the model sees. A dimmer changes the picture above, not the model.'));
}

// --- the whole ---

function header() {
  const step = (by, text, label) => scene.steps
    ? button(text, label, () => { root.classList.add('busy'); trigger('step', { by }); }, { class: 'step' }) : null;
  const { name, place, truth, kind } = scene.header;
  const flip = (name, text, label) => button(text, label, () => { view[name] = !view[name]; draw(); },
    { class: `flip ${view[name] ? 'on' : ''}`, 'aria-pressed': String(view[name]) });
  return make('header', {}, step(-1, '‹', 'previous sample'), step(1, '›', 'next sample'),
    make('h2', {}, name), make('span', { class: `label ${kind}` }, truth), make('span', { class: 'place' }, place),
    make('span', { class: 'zoom' }, button('−', 'zoom out', () => zoomBy(1 / 1.5)),
      button('100 %', 'whole picture', () => zoomTo(1, 0.5, 0.5), { class: 'percent' }), button('+', 'zoom in', () => zoomBy(1.5))),
    flip('loupe', 'loupe', 'magnifier under the cursor (l)'), flip('values', 'values', 'values beside the cursor (v)'),
    button('?', 'keys', () => root.querySelector('.keys').showModal()));
}

function draw() {
  const held = root.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const pointed = stages.indexOf(place.at);
  stages = [];
  if (!scene || scene.message) {
    const { title = 'Loading …', text = '', command = '' } = (scene && scene.message) || {};
    return root.replaceChildren(make('div', { class: 'message' }, make('h2', {}, title), make('p', {}, text),
      command ? make('code', {}, command) : null));
  }
  table = valueTable();
  const bare = scene.missing && scene.panels.every(panel => !panel.map);  // room for the picture where there is no run
  const panels = make('div', { class: `panels ${bare ? 'bare' : ''}`, style: `--aspect:${scene.size[1] / scene.size[0]}` },
    picturePanel(), ...scene.panels.slice(0, bare ? 1 : 2).map(mapPanel));
  const parts = [header(), panels, legend(), make('section', { class: 'why' }), strip(), table.card, said, keyList()];
  root.replaceChildren(...parts.filter(Boolean));
  place.at = stages[pointed] ?? null;
  measure();
  relight(); paint(); outline(); tellLevel(); drawWhy();
  if (held) root.querySelector(`[data-key="${CSS.escape(held)}"]`)?.focus({ preventScroll: true });
}

async function update() {
  const mine = ++generation;
  const next = props.value ? JSON.parse(props.value) : null;
  if (next?.lights) {
    const uris = [...next.panels.map(panel => panel.map),
      ...next.lights.flatMap(item => [item.picture, item.error, item.share, item.single?.map])];
    await decode(uris);
    if (mine !== generation) return;  // overtaken by a later one
    forgetAllBut(uris);
    for (const panel of next.panels) panel.values = mapOf(panel.map, 'error');
    for (const item of next.lights) {
      Object.assign(item, { errors: mapOf(item.error, 'error'), shares: mapOf(item.share, 'share'), singles: mapOf(item.single?.map, 'error') });
    }
    const same = what => what.lights && JSON.stringify([what.header, what.panels[0].title]);
    root.classList.toggle('busy', !lampsFrom(next.lights, scene && same(next) === same(scene)));
  } else {
    root.classList.remove('busy');
  }
  scene = next;
  draw();
}

listenToPointers();
listenToKeys();
watch('value', update);
update();
