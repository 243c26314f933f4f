// The large panels, the picture and two maps, and the legend that says how maps are drawn.
import { make, percent, write } from '../common/dom.js';
import { besideFusion, tellFused } from './difference.js';
import { ageOf, colourTable, contour, paintMap } from './maps.js';
import { stage } from './view.js';
import { drawEstimate, drawLamp, ESTIMATES, estimated, lampSliders, tellEstimate } from './virtual.js';

// The picture that lies under the large maps: as photographed under one light, under the lamps as they are, or an
// estimate, see virtual.js.
export function relight(table) {
  const { lamps, pixels, root, scene, view } = table, before = lamps.picture;
  const lit = scene.lights.filter(item => lamps.lit.has(item.name));
  let told = `a click ${scene.answers ? 'asks why' : 'pins a place'}, the wheel zooms, ? lists the keys`;
  lamps.picture = pixels.get(scene.lights.find(item => item.name === scene.shown).picture).canvas;
  const photograph = view.lighting === 'photograph' || (view.lighting !== 'lamps' && !estimated(table));
  let title = `under light ${scene.shown}`, other = false;
  if (estimated(table)) {
    lamps.picture = drawEstimate(table);
    [title, told] = tellEstimate(table);
    other = true;
  } else if (!photograph && lit.length) {
    title = 'under the lamps, mixed';
    other = mixLamps(table, lit);
    const named = lit.filter(item => lit.length < 4 || lamps.gainOf(item.name) !== 1)
      .map(item => `${item.name} ${percent(lamps.gainOf(item.name))}`);
    told = [...(lit.length < 4 ? [] : [`${lit.length} lamps`]), ...named].join(', ') +
      `; exposure × ${lamps.exposure.toFixed(2)}`;
  } else if (!photograph) {
    told = 'no lamp is on, so this is as photographed';
  }
  const panel = root.querySelector('.lighting');
  write(panel.querySelector('.verdict'), title);
  write(panel.querySelector('.small'), told);
  panel.querySelector('select').value = photograph ? scene.shown : `:${view.lighting}`;
  const virtual = view.lighting === 'virtual' && !photograph, sliders = panel.querySelector('.virtual');
  panel.classList.toggle('dragged', virtual);
  if (sliders) sliders.hidden = !virtual;
  drawLamp(table);
  table.lens = null;
  for (const tile of root.querySelectorAll('.tile')) {
    tile.classList.toggle('shown', photograph && tile.dataset.light === scene.shown);
  }
  table.soon(...(other || lamps.picture !== before ? ['large'] : []), 'cursor');
}

const numbers = new WeakMap();  // of pictures
let counted = 0;
const numberOf = picture => numbers.get(picture) ?? (numbers.set(picture, ++counted), counted);

function mixLamps({ lamps, pixels }, lit) {  // gives whether the picture is another one
  const pictures = lit.map(item => pixels.get(item.picture)), gains = lit.map(item => lamps.gainOf(item.name));
  const key = pictures.map(numberOf).join(), mixed = [key, ...gains].join();
  if (lamps.exposed !== key) Object.assign(lamps, { exposed: key, exposure: lamps.exposureOf(pictures) });
  const other = lamps.mixed !== mixed;
  if (other) Object.assign(lamps, { mixed, mix: lamps.relit(pictures, gains, lamps.exposure) });
  lamps.picture = lamps.mix;
  return other;
}

export function showPhotograph(table, name) {
  table.view.lighting = 'photograph';
  table.scene.shown = name;
  table.soon('light');
  table.emit('shown', { light: name });
}

export function showLamps(table) {
  showLighting(table, 'lamps');
}

export function showLighting(table, lighting) {
  table.view.lighting = lighting;
  table.soon('light');
}

export function picturePanel(table) {
  const choice = make('select', { 'aria-label': 'lighting of the picture',
    onchange: ({ target: { value } }) => value.startsWith(':') ? showLighting(table, value.slice(1))
      : showPhotograph(table, value) },
  ...table.scene.lights.map(item => make('option', { value: item.name }, `as photographed: ${item.name}`)),
  make('option', { value: ':lamps' }, 'the lamps that are on, mixed'),
  ...(table.scene.relief?.normals ? ESTIMATES.map(([name, text]) => make('option', { value: `:${name}` }, text)) : []));
  const picture = stage(table, () => table.lamps.picture, null,
    { title: 'the picture; a click pins a place', large: true });
  if (table.scene.relief?.normals) picture.append(make('span', { class: 'sun', 'aria-hidden': 'true', hidden: true }));
  return make('section', { class: 'panel lighting' }, make('h3', {}, 'Picture', choice),
    make('div', { class: 'verdict' }), picture, lampSliders(table),
    make('p', { class: 'small', title: 'Exposure: undimmed, the lamps that are on are together as bright as the ' +
      'brightest of their photographs.' }));
}

export function mapPanel(table, panel) {
  const { size, missing } = table.scene;
  const heading = (...right) =>
    make('h3', {}, panel.method, panel.title ? make('small', {}, panel.title) : null, ...right);
  if (!panel.values) {
    const needsRun = panel.method === 'AFRD' && missing;
    const without = needsRun ? 'No run for this category yet:' : 'No single-light run for this category yet.';
    return make('section', { class: 'panel' }, heading(), make('div', { class: 'verdict' }, '–'),
      make('div', { class: 'stage hole', style: `aspect-ratio:${size[1]}/${size[0]}` },
        make('p', {}, panel.problem || without), needsRun ? make('code', {}, missing) : null));
  }
  const section = make('section', { class: 'panel' }, heading(besideMenu(table, panel), make('span')), make('div'),
    stage(table, () => table.lamps.picture, panel.values,
      { title: `map of ${panel.name}; a click pins a place`, large: true, units: panel.units }),
    make('p', { class: 'small' }), make('p', { class: 'small' }));
  tellVerdict(section, panel);
  return section;
}

function besideMenu(table, panel) {  // how the run beside is fused, where the browser does that
  const { scene, view } = table, ways = Object.keys(besideFusion(scene)?.thresholds ?? {});
  if (panel !== scene.panels[1] || ways.length < 2) return null;
  const choose = event => {
    view.besideFusion = event.target.value;
    table.judge();
    table.draw();
    tellFused(table);
  };
  const label = 'fusion of the run beside';
  return make('select', { 'aria-label': label, title: label, onchange: choose },
    ...ways.map(way => make('option', { value: way, selected: way === view.besideFusion }, way)));
}

export function tellVerdict(section, { verdict, right, exact, score, made_by: lights, threshold }) {
  const sign = verdict === undefined ? '' : { anomalous: '▲ ', good: '● ' }[verdict] ?? '○ ';
  const label = section.querySelector('h3 > span'), line = section.children[1];
  const told = section.querySelectorAll('.small');
  label.hidden = !right;
  label.className = right ? `right ${right.replace(' ', '-')}` : '';
  line.className = `verdict ${verdict || ''}`;
  line.title = exact ?? '';
  if (!line.firstChild) line.append('', make('b'));
  [[label, right ?? ''], [line.firstChild, sign], [line.lastChild, score], [told[0], lights], [told[1], threshold]]
    .forEach(([node, text]) => write(node, text));
}

// --- how maps are drawn ---

export function paint(table) {
  const { palettes, soon, stages, style, view } = table, { difference, share } = palettes;
  const colours = { difference, error: palettes[view.scale], share }, made = {};
  for (const stage of stages) {
    const { layer, map } = stage, kind = map?.kind;
    if (!layer || !changed(stage, 'painted', [ageOf(map), kind, view.scale, view.cover])) continue;
    paintMap(layer, map, made[kind] ??= colourTable(colours[kind], kind, view.cover, style));
    stage.stale = true;
  }
  table.lens = null;
  soon('drawn', 'cursor');
}

// Whether a stage's layer or line is to be made of other things than it was.
function changed(stage, name, things) {
  const key = things.join();
  if (stage[name] === key) return false;
  stage[name] = key;
  return true;
}

export function outline({ scene, stages, view }) {  // what is over the threshold, or over the level that the user tries
  for (const stage of stages) {
    const { map, passed } = stage, shown = passed && map && view.passed;
    if (!passed || !changed(stage, 'outlined', shown ? [ageOf(map), view.level] : [])) continue;
    const path = shown ? contour(map, view.level, scene.size) : '';
    for (const line of passed.children) line.setAttribute('d', path);
  }
}

function gradient(colours) {
  const stops = colours.filter((_, i) => i % 15 === 0).map(colour => `rgb(${colour.join(',')})`);
  return `background:linear-gradient(90deg,${stops.join(',')})`;
}

function errorBar(table) {
  const { palettes, scene, view } = table;
  const one = [scene.unit ? '1' : make('span', {}, '1 = '), scene.unit ? null : 'threshold'];
  const strip = make('span', { class: 'colours', style: gradient(palettes[view.scale]) },
    make('i', { style: 'left:25%' }, '0.5'), make('span', { class: 'line' }, make('b', {}, ...one.filter(Boolean))),
    make('i', { style: 'left:75%' }, '1.5'));
  if (scene.panels.some(panel => panel.units)) {
    strip.append(make('input', { type: 'range', min: 0.3, max: 1.98, step: 0.01, value: view.level, class: 'level',
      'aria-label': 'threshold to try, in units of the run’s threshold',
      title: 'try another threshold; double click: the run’s own',
      oninput: event => tryLevel(table, +event.target.value),
      ondblclick: event => { event.target.value = 1; tryLevel(table, 1); } }));
  }
  return make('span', { class: 'bar' }, make('i', { class: 'end' }, '0'), strip, make('i', { class: 'end' }, '≥ 2'));
}

export function shareBar({ palettes }) {
  return make('span', { class: 'bar share' }, '0', make('span', { class: 'colours', style: gradient(palettes.share) }),
    '1 attention');
}

function tryLevel(table, level) {
  table.view.level = Math.abs(level - 1) < 0.015 ? 1 : level;
  tellLevel(table);
  table.soon('lines');
}

export function tellLevel({ root, scene, view: { level } }) {  // what the verdicts would be
  const trial = root.querySelector('.trial'), key = root.querySelector('.key.passed span');
  if (!key) return;
  const own = level === 1;
  key.textContent = own ? 'over threshold' : `over ${level.toFixed(2)} ×`;
  const verdicts = scene.panels.filter(panel => panel.units)
    .map(panel => `${panel.name} says ${panel.score_units > level ? 'anomalous' : 'good'}`);
  trial.textContent = own ? '' : `at ${level.toFixed(2)} × threshold: ${verdicts.join(', ')}`;
}

function differenceBar({ palettes }) {
  return make('span', { class: 'bar share' }, '−2', make('span', { class: 'colours',
    style: gradient(palettes.difference) }), '+2 × threshold');
}

function choice(view, name, text, act) {
  const box = make('input', { type: 'checkbox', 'aria-label': text, checked: view[name],
    onchange: event => { view[name] = event.target.checked; act(); } });
  return make('label', { class: `key ${name}` }, box, make('span', {}, text));
}

export function legend(table) {
  const { palettes, root, scene, soon, style, view } = table;
  const judged = scene.panels.some(panel => panel.values);
  if (!judged && !scene.truth) return null;
  const slider = make('input', { type: 'range', min: 0, max: 1, step: 0.02, value: view.cover, class: 'cover',
    'aria-label': 'picture or map', oninput: event => { view.cover = +event.target.value; soon('maps'); } });
  const rescale = event => {
    view.scale = event.target.value;
    root.querySelector('.bar:not(.share) .colours').style.cssText = gradient(palettes[view.scale]);
    soon('maps');
  };
  const scales = make('select', { 'aria-label': 'colour scale', title: 'colour scale of the maps', onchange: rescale },
    ...Object.keys(style.scales).map(name => make('option', { value: name, selected: name === view.scale }, name)));
  return make('div', { class: 'legend' },
    ...(judged ? [make('span', { class: 'mix' }, 'picture', slider, 'map'), errorBar(table), scales] : []),
    scene.truth ? choice(view, 'truth', 'true defect', table.draw) : null,
    judged && !scene.unit ? choice(view, 'passed', 'over threshold', () => soon('lines')) : null,
    scene.difference ? choice(view, 'difference', 'difference', table.draw) : null,
    scene.difference && view.difference ? differenceBar(table) : null,
    scene.region?.share ? make('span', { class: 'small', title: 'outside of it, in the shade, nothing is judged' },
      `judged inside ${scene.region.share} of the picture`) : null,
    make('span', { class: 'small trial', role: 'status' }),
    scene.unit ? make('span', { class: 'small' }, scene.unit) : null);
}
