// The light table: draws the JSON that scene.py makes. One sample; hovering marks the same place on every picture.
// COLOURS, SHARES (256 colours each), LIMIT, CLEAR, FULL come from afrd/figures.py.
const root = element.querySelector('.light-table');
const view = { mix: 0.5, mode: 'picture', truth: true, passed: true };  // of this user, kept from sample to sample
let scene = null;
let painters = [];  // called when the mixture of picture and map changes
let spots = [];     // every canvas with a map, to be read under the cursor
let generation = 0;

const rgb = hex => [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));
const scales = { error: COLOURS.map(rgb), share: SHARES.map(rgb) };

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'class') node.className = value;
    else if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? '' : value);
  }
  const key = attributes.value || attributes['aria-label'] || (tag === 'button' && children[0]);
  if (typeof key === 'string' && (tag === 'input' || tag === 'button')) node.dataset.key = key;  // to keep the focus
  node.append(...children.filter(child => child !== null && child !== undefined));
  return node;
}

function coverage(value) {  // as afrd.figures.coverage, and mixed by the slider: 0 picture, 1 map
  const t = Math.min(1, Math.max(0, (value - CLEAR) / (FULL - CLEAR)));
  const calm = t * t * (3 - 2 * t) * 0.9;
  return view.mix <= 0.5 ? 2 * view.mix * calm : calm + (1 - calm) * (2 * view.mix - 1);
}

function lines(kind, path) {
  const svg = `<svg class="lines ${kind}" viewBox="0 0 ${scene.size[1]} ${scene.size[0]}" preserveAspectRatio="none">` +
    `<path class="edge" d="${path}"/><path d="${path}"/></svg>`;
  const holder = make('div');
  holder.innerHTML = svg;
  return holder.firstChild;
}

// A picture, a map over it, lines, and what the cursor says. `map` is a grey PNG: 0..255 means 0..limit.
function stage(picture, map, scale, limit, paths, title) {
  const box = make('div', { class: 'stage', style: `aspect-ratio:${scene.size[1]}/${scene.size[0]}` },
    make('img', { src: picture, alt: title, draggable: 'false' }));
  if (map) {
    const canvas = make('canvas');
    box.append(canvas);
    const image = new Image();
    const mine = generation;
    image.onload = () => {
      if (mine !== generation) return;
      canvas.width = image.width; canvas.height = image.height;
      const context = canvas.getContext('2d', { willReadFrequently: true });
      context.drawImage(image, 0, 0);
      const grey = context.getImageData(0, 0, image.width, image.height);
      const values = Uint8Array.from({ length: image.width * image.height }, (_, i) => grey.data[4 * i]);
      const paint = () => {
        for (let i = 0; i < values.length; i++) {
          const colour = scales[scale][values[i]];
          grey.data[4 * i] = colour[0]; grey.data[4 * i + 1] = colour[1]; grey.data[4 * i + 2] = colour[2];
          grey.data[4 * i + 3] = scale === 'share' ? 195 : 255 * coverage(values[i] / 255 * limit);
        }
        context.putImageData(grey, 0, 0);
      };
      painters.push(paint);
      paint();
      box.reader = (x, y) => {
        const column = Math.min(image.width - 1, Math.floor(x * image.width));
        const row = Math.min(image.height - 1, Math.floor(y * image.height));
        const value = values[row * image.width + column] / 255 * limit;
        return (value >= limit * 0.998 && scale === 'error' ? '≥ ' : '') + value.toFixed(2);
      };
    };
    image.src = map;
  }
  if (view.truth && paths.truth) box.append(lines('truth', paths.truth));
  if (view.passed && paths.passed) box.append(lines('passed', paths.passed));
  box.append(make('span', { class: 'cross' }), make('span', { class: 'reading' }));
  spots.push(box);
  return box;
}

function point(event) {  // the same place on every picture
  const box = event.target.closest('.stage');
  if (!box || !root.contains(box)) return spots.forEach(spot => spot.classList.remove('at'));
  const area = box.getBoundingClientRect();
  const x = Math.min(0.9999, Math.max(0, (event.clientX - area.left) / area.width));
  const y = Math.min(0.9999, Math.max(0, (event.clientY - area.top) / area.height));
  for (const spot of spots) {
    spot.classList.add('at');
    spot.querySelector('.cross').style.cssText = `left:${100 * x}%;top:${100 * y}%`;
    const place = `x ${Math.floor(x * scene.size[1])}, y ${Math.floor(y * scene.size[0])}`;
    const text = spot.reader ? spot.reader(x, y) : spot.classList.contains('first') ? place : '';
    spot.querySelector('.reading').textContent = text;
  }
}

function panel(content, title) {
  if (!content.map) {
    const missing = content.method === 'AFRD' && scene.missing;
    const text = content.problem || (missing ? 'No run for this category yet:' : 'No single-light run for this category yet.');
    const body = make('div', { class: 'stage hole', style: `aspect-ratio:${scene.size[1]}/${scene.size[0]}` },
      make('p', {}, text), missing ? make('code', {}, scene.missing) : null);
    return make('section', { class: 'panel' }, heading(content.method, title), make('div', { class: 'verdict' }, '–'), body);
  }
  const judge = { anomalous: '▲', good: '●' }[content.verdict] || '○';
  const right = content.right ? make('span', { class: `right ${content.right.replace(' ', '-')}` }, content.right) : null;
  return make('section', { class: 'panel' }, heading(content.method, title, right),
    make('div', { class: `verdict ${content.verdict || ''}`, title: content.exact }, `${judge} `, make('b', {}, content.score)),
    stage(scene.picture, content.map, 'error', LIMIT, { truth: scene.truth, passed: content.passed }, `${content.method} map`),
    make('p', { class: 'small' }, content.made_by), make('p', { class: 'small' }, content.threshold));
}

function heading(method, title, right) {
  return make('h3', {}, method, title ? make('small', {}, title) : null, right);
}

function bar(scale) {
  const colours = scale === 'share' ? SHARES : COLOURS;
  const strip = make('span', { class: 'colours', style: `background:linear-gradient(90deg,${colours.filter((_, i) => i % 15 === 0).join(',')})` });
  if (scale === 'share') return make('span', { class: 'bar share' }, '0', strip, '1 attention');
  const mark = make('span', { class: 'mark' }, make('b', {}, scene.unit ? '1' : '1 = threshold'));
  strip.append(make('i', { style: 'left:25%' }, '0.5'), mark, make('i', { style: 'left:75%' }, '1.5'));
  return make('span', { class: 'bar' }, make('i', { class: 'end' }, '0'), strip, make('i', { class: 'end' }, '≥ 2'));
}

function toggle(name, text) {
  return make('label', { class: `key ${name}` }, make('input', {
    type: 'checkbox', checked: view[name], onchange: event => { view[name] = event.target.checked; draw(); } }), text);
}

function legend() {
  const slider = make('input', { type: 'range', min: 0, max: 1, step: 0.02, value: view.mix, 'aria-label': 'picture or map',
    oninput: event => { view.mix = +event.target.value; painters.forEach(paint => paint()); } });
  const judged = scene.panels.some(content => content.map);
  return make('div', { class: 'legend' },
    ...(judged ? [make('span', { class: 'mix' }, 'picture', slider, 'map'), bar('error')] : []),
    scene.truth ? toggle('truth', 'true defect') : null, judged ? toggle('passed', 'over threshold') : null,
    scene.unit ? make('span', { class: 'small' }, scene.unit) : null);
}

function chosen() {
  return [...root.querySelectorAll('.tile input[type=checkbox]')].filter(i => i.checked).map(i => i.value);
}

function light(names) {
  for (const input of root.querySelectorAll('.tile input[type=checkbox]')) input.checked = names.includes(input.value);
  root.classList.add('busy');
  trigger('lights', { lights: names });
}

function tile(item) {
  const used = item.error !== undefined;
  const map = view.mode === 'picture' || !used ? null : view.mode === 'error' ? item.error : item.share;
  const picture = stage(item.picture, map, view.mode === 'share' ? 'share' : 'error', view.mode === 'share' ? 1 : LIMIT,
    { truth: scene.truth }, `picture under ${item.name}`);
  picture.title = 'show this picture under the maps';
  picture.addEventListener('click', () => { root.classList.add('busy'); trigger('shown', { light: item.name }); });
  const box = scene.missing ? null : make('input', { type: 'checkbox', value: item.name, checked: item.on, disabled: !item.usable,
    onchange: () => light(chosen()) });
  const weights = used
    ? make('div', { class: 'weights', title: 'attention: mean over the picture, and where the map is highest' },
      ...[['mean', item.mean], ['peak', item.peak]].map(([name, value]) => make('span', {}, `${name} ${value.toFixed(2)}`,
        make('i', { style: `--part:${100 * value}%` }))))
    : scene.missing ? null : make('div', { class: 'weights off' }, item.usable ? 'off' : 'not in this run');
  const classes = `tile ${item.on ? '' : 'out'} ${item.name === scene.shown ? 'shown' : ''}`;
  return make('div', { class: classes }, make('label', {}, box, make('span', {}, item.name)), picture, weights);
}

function strip() {
  if (scene.missing) view.mode = 'picture';
  const modes = [['picture', 'pictures'], ['error', 'error'], ['share', 'attention']];
  const buttons = modes.map(([mode, text]) => make('button', { type: 'button', class: view.mode === mode ? 'on' : '',
    'aria-pressed': view.mode === mode ? 'true' : 'false', onclick: () => { view.mode = mode; draw(); } }, text));
  const sets = scene.presets.map(set => make('button', { type: 'button', onclick: () => light(set.lights) }, set.name));
  const told = 'mean and peak: attention over the picture and at the map’s peak';
  const note = view.mode === 'share' ? bar('share')
    : scene.lights.some(item => item.error) ? make('span', { class: 'small' }, told) : null;
  return make('div', { class: 'strip' },
    make('div', { class: 'tools' }, make('b', {}, 'Lights'), ...(scene.missing ? [] : [
      make('span', { class: 'sets' }, ...sets), note, make('span', { class: 'segments' }, ...buttons)])),
    make('div', { class: 'tiles', style: `--count:${Math.min(scene.lights.length, 9)}` }, ...scene.lights.map(tile)));
}

function header() {
  const step = (by, text, label) => make('button', { type: 'button', class: 'step', 'aria-label': label, title: label,
    onclick: () => { root.classList.add('busy'); trigger('step', { by }); } }, text);
  const { name, place, truth, kind } = scene.header;
  return make('header', {}, step(-1, '‹', 'previous sample'), step(1, '›', 'next sample'),
    make('h2', {}, name), make('span', { class: `label ${kind}` }, truth), make('span', { class: 'place' }, place));
}

function draw() {
  const held = root.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  rebuild();
  if (held) root.querySelector(`[data-key="${CSS.escape(held)}"]`)?.focus({ preventScroll: true });
}

function rebuild() {
  generation += 1; painters = []; spots = [];
  root.classList.remove('busy');
  if (!scene || scene.message) {
    const { title = 'Loading …', text = '', command = '' } = (scene && scene.message) || {};
    return root.replaceChildren(make('div', { class: 'message' }, make('h2', {}, title), make('p', {}, text),
      command ? make('code', {}, command) : null));
  }
  const first = stage(scene.picture, null, null, null, { truth: scene.truth }, `picture under ${scene.shown}`);
  first.classList.add('first');
  const picture = make('section', { class: 'panel' }, heading('Picture'),
    make('div', { class: 'verdict' }, `under light ${scene.shown}`), first,
    make('p', { class: 'small' }, 'click a light below to see its picture here'));
  root.replaceChildren(header(),
    make('div', { class: 'panels' }, picture, ...scene.panels.map((content, i) => panel(content, scene.panel_titles[i]))),
    legend(), strip());
}

function update() {
  scene = props.value ? JSON.parse(props.value) : null;
  draw();
}

function stepByKey(event) {
  if (!root.isConnected) return document.removeEventListener('keydown', stepByKey);
  const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const elsewhere = event.target.closest?.('input, textarea, select, [role=tab], [role=listbox], .gallery-box');
  if (!by || elsewhere || event.altKey || event.ctrlKey || event.metaKey || !root.offsetParent) return;
  root.querySelectorAll('.step')[by < 0 ? 0 : 1]?.click();
}

document.addEventListener('keydown', stepByKey);
root.addEventListener('pointermove', point);
root.addEventListener('pointerleave', () => spots.forEach(spot => spot.classList.remove('at')));
watch('value', update);
update();
