// A region that is being drawn: shapes on the large pictures, corner by corner, in pixels of the sample's pictures. A
// host begins it by `drawing` in a scene, the shapes to start from, and hears of those to be kept as `region`
// { shapes }. Where the browser fuses, the score is that inside the drawn shapes at once.
import { clamp, make } from '../common/dom.js';
import { onScreen } from './view.js';

const NEAR = 11;  // pixels on the screen between the pointer and a corner that it takes hold of

export function beginDrawing(table, scene, shapes) {
  table.drawing = { shapes, open: null, held: null, chosen: null, before: scene.region };
  scene.region = regionOf(table.drawing, scene);
}

export function followDrawing(table, scene) {  // another sample comes while a region is being drawn, or it was kept
  if (!table.drawing || table.drawing.sent) table.drawing = null;
  else {
    table.drawing.before = scene.region;
    scene.region = regionOf(table.drawing, scene);
  }
}

// The pixels whose middle lies in a shape, as `afrd.runs.region.drawn_region` finds them.
export function filled(shapes, [height, width]) {
  const inside = new Uint8Array(height * width);
  for (const corners of shapes) {
    const changes = new Uint8Array(height * (width + 1));
    corners.forEach(([x0, y0], i) => {
      const [x1, y1] = corners[(i + 1) % corners.length];
      const [first, last] = [Math.min(y0, y1), Math.max(y0, y1)].map(y => clamp(Math.ceil(y - 0.5), 0, height));
      for (let y = first; y < last; y++) {
        const at = clamp(Math.ceil(x0 + (y + 0.5 - y0) * (x1 - x0) / (y1 - y0) - 0.5), 0, width);
        changes[y * (width + 1) + at] ^= 1;
      }
    });
    for (let y = 0; y < height; y++) {
      let within = 0;
      for (let x = 0; x < width; x++) {
        within ^= changes[y * (width + 1) + x];
        if (within) inside[y * width + x] = 1;
      }
    }
  }
  return inside;
}

const regionOf = ({ shapes }, { size }) => shapes.length ? { outline: '', inside: filled(shapes, size) } : null;

function changed(table) {
  const { drawing, scene, soon } = table;
  scene.region = regionOf(drawing, scene);
  soon('sketch', ...(scene.fusion ? ['fused'] : []));
}

function end(table) {
  table.scene.region = table.drawing.before;
  table.drawing = null;
  if (table.scene.fusion) table.judge();
  table.draw();
}

function keep(table) {
  table.drawing.sent = true;
  table.root.classList.add('busy');
  table.emit('region', { shapes: table.drawing.shapes });
}

const allCorners = ({ shapes, open }) =>
  [...shapes, ...(open ? [open] : [])].flatMap(corners => corners.map((at, i) => ({ corners, i, at })));

export function takeHold(table, stage, { clientX, clientY }) {  // of the corner under the pointer; whether there is one
  const { drawing, scene: { size } } = table, area = stage.box.getBoundingClientRect();
  const away = ({ at }) => {
    const [x, y] = onScreen(table, stage, at[0] / size[1], at[1] / size[0]);
    return Math.hypot(x - clientX + area.left, y - clientY + area.top);
  };
  const near = allCorners(drawing).filter(corner => away(corner) < NEAR).sort((a, b) => away(a) - away(b));
  drawing.held = near[0] ?? null;
  return drawing.held !== null;
}

const pixelAt = ({ scene: { size } }, x, y) => [Math.round(x * size[1]), Math.round(y * size[0])];

export function dragCorner(table, { x, y }) {
  const { corners, i } = table.drawing.held;
  corners[i] = pixelAt(table, x, y);
  changed(table);
}

export function letGo(table, moved) {  // a corner that was not moved is chosen; the first one closes its shape
  const { drawing } = table, { held, open } = drawing;
  drawing.held = null;
  if (!moved && open && held.corners === open && held.i === 0) return closeShape(table);
  drawing.chosen = held;
  table.soon('sketch');
}

export function addCorner(table, { x, y }) {
  const { drawing } = table;
  drawing.open ??= [];
  drawing.open.push(pixelAt(table, x, y));
  drawing.chosen = null;
  table.soon('sketch');
}

export function closeShape(table) {
  const { drawing } = table;
  if ((drawing.open?.length ?? 0) < 3) return;
  drawing.shapes.push(drawing.open);
  Object.assign(drawing, { open: null, chosen: null });
  changed(table);
}

function removeCorner(table) {  // the chosen one, else the last; a shape that has no three corners left goes too
  const { drawing } = table, last = drawing.chosen ?? allCorners(drawing).at(-1);
  if (!last) return;
  last.corners.splice(last.i, 1);
  drawing.shapes = drawing.shapes.filter(corners => corners.length > 2);
  if (!drawing.open?.length) drawing.open = null;
  drawing.chosen = null;
  changed(table);
}

function removeAll(table) {
  Object.assign(table.drawing, { shapes: [], open: null, chosen: null });
  changed(table);
}

export function drawingKey(table, key, onButton) {  // what a key does while a region is being drawn, or null
  const { drawing, place } = table;
  if (key === 'Escape') {
    if (!drawing.open) return () => end(table);
    return () => { drawing.open = null; table.soon('sketch'); };
  }
  if (key === 'Delete' || key === 'Backspace') return () => removeCorner(table);
  if (key === 'c') return () => closeShape(table);
  return key === 'Enter' && place.on && !onButton ? () => addCorner(table, place) : null;
}

export function drawingBar(table) {
  if (!table.drawing) return null;
  const tool = (text, title, act) => make('button', { type: 'button', title, onclick: () => act(table) }, text);
  return make('div', { class: 'drawing-bar', role: 'group', 'aria-label': 'drawing of the region' },
    make('b', {}, 'Region'), make('span', { class: 'small hint', role: 'status' }),
    tool('Close shape', 'c, or a click on its first corner', closeShape),
    tool('Remove corner', 'Delete: the chosen corner, else the last one', removeCorner),
    tool('Remove all', 'all shapes', removeAll),
    make('button', { type: 'button', class: 'keep on', onclick: () => keep(table) }, 'Keep'),
    tool('Cancel', 'Esc', end));
}

const path = (corners, end) => `M${corners.map(at => at.join(' ')).join('L')}${end}`;
const dots = corners => corners.map(at => `M${at.join(' ')}h0`).join('');

export function sketch(table) {
  const { drawing, root, scene: { size }, stages } = table;
  if (!drawing) return;
  const { shapes, open, chosen } = drawing, closed = shapes.map(corners => path(corners, 'Z')).join('');
  const lines = [shapes.length ? `M0 0H${size[1]}V${size[0]}H0Z${closed}` : '', closed + (open ? path(open, '') : ''),
    dots(allCorners(drawing).map(corner => corner.at)), chosen ? dots([chosen.corners[chosen.i]]) : ''];
  for (const stage of stages) lines.forEach((line, i) => stage.sketch?.children[i].setAttribute('d', line));
  root.querySelector('.drawing-bar .keep').disabled = !shapes.length || open !== null;
  root.querySelector('.drawing-bar .hint').textContent = open
    ? `${open.length} corners: click the next one; the first one, or c, closes the shape; Esc takes it away`
    : shapes.length ? 'Drag a corner, click one to choose it, or begin another shape. The score is that inside, ' +
      'against the threshold so far; its own follows when it is kept.'
    : 'Click the corners of a shape on a large picture; with the keyboard: Shift + arrows and Enter.';
}
