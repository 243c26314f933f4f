// One cursor for all pictures: a cross or a loupe on each, a reading, and beside it the values of every light.
import { clamp, make } from '../common/dom.js';
import { lensLayers } from './lens.js';
import { valueAt, valueText } from './maps.js';
import { onScreen } from './view.js';

const LOUPE = 8;  // it shows this part of what a stage shows

export const pixel = ({ place, scene: { size } }) => [Math.floor(place.x * size[1]), Math.floor(place.y * size[0])];
const placeText = table => { const [x, y] = pixel(table); return `x ${x}, y ${y}`; };

export function pointAt(table, x, y, at) {
  Object.assign(table.place, { x: clamp(x, 0, 0.99999), y: clamp(y, 0, 0.99999), on: true, at });
  table.soon('cursor');
  clearTimeout(table.telling);
  table.telling = setTimeout(tellValues, 600, table);
}

export function pointNowhere(table) {
  if (!table.place.on) return;
  Object.assign(table.place, { on: false, at: null });
  clearTimeout(table.telling);
  table.soon('cursor');
}

export function drawCursor(table) {
  const { place, root, view } = table;
  root.classList.toggle('at', place.on);
  root.classList.toggle('magnified', view.loupe);
  if (!place.on) return;
  const beside = place.at && { area: place.at.box.getBoundingClientRect(), whole: root.getBoundingClientRect() };
  for (const stage of table.stages) {
    const [x, y] = onScreen(table, stage, place.x, place.y);
    stage.cross.style.transform = `translate(${x}px,${y}px)`;
    drawLoupe(table, stage, x, y);
    const text = stage.map ? valueText(stage.map, place.x, place.y) : stage.large ? placeText(table) : '';
    if (stage.said !== text) stage.reading.textContent = stage.said = text;
    if (!text) continue;
    const gap = view.loupe ? stage.side / 2 + 4 : 12, wide = widthOf(text);
    const right = x + gap + wide < stage.width, left = x - gap - wide > 0;  // beside the cursor, else below or above
    const middle = clamp(x - wide / 2, 0, Math.max(0, stage.width - wide));
    const across = right ? x + gap : left ? x - gap - wide : middle;
    const down = right || left ? y - 9 : y + gap + 18 < stage.height ? y + gap : y - gap - 18;
    stage.reading.style.transform = `translate(${across}px,${clamp(down, 2, stage.height - 20)}px)`;
  }
  drawValues(table, beside);
}

const widthOf = text => 6.7 * text.length + 13;  // of a reading; to ask the browser would cost a layout each time

function drawLoupe(table, stage, x, y) {
  const { place, view } = table, { loupe, side } = stage;
  loupe.hidden = !view.loupe;
  if (!view.loupe || !side) return;
  loupe.style.transform = `translate(${x - side / 2}px,${y - side / 2}px)`;
  const context = loupe.getContext('2d');
  const other = lensLayers(table), wide = other ? side / stage.width / view.zoom : 1 / view.zoom / LOUPE;
  const high = wide * stage.width / stage.height;  // parts of the picture
  context.globalCompositeOperation = 'copy';
  for (const layer of other ?? [stage.source(), stage.layer]) {
    if (!layer) continue;
    context.drawImage(layer, (place.x - wide / 2) * layer.width, (place.y - high / 2) * layer.height,
      wide * layer.width, high * layer.height, 0, 0, side, side);
    context.globalCompositeOperation = 'source-over';
  }
  const [glass, rim] = loupeShape(side);
  context.globalCompositeOperation = 'destination-in';
  context.drawImage(glass, 0, 0);
  context.globalCompositeOperation = 'source-over';
  context.drawImage(rim, 0, 0);
}

// The round glass, and its rim with the place marked in the middle: drawn once, because round corners and shadows of
// the browser cost more than all the rest of a frame.
const shapes = new Map();
function loupeShape(side) {
  if (!shapes.has(side)) {
    const middle = side / 2;
    const glass = [['#000', middle - 2, 0]];  // colour, radius, width of the line or 0 for a disc
    const rim = [['#000a', middle - 0.9, 1], ['#fff', middle - 2, 1.6], ['#000a', 4.6, 1], ['#fff', 3.4, 1.5]];
    shapes.set(side, [glass, rim].map(rings => {
      const shape = make('canvas', { width: side, height: side }), context = shape.getContext('2d');
      for (const [colour, radius, width] of rings) {
        Object.assign(context, { fillStyle: colour, strokeStyle: colour, lineWidth: width });
        context.beginPath();
        context.arc(middle, middle, radius, 0, 7);
        if (width) context.stroke(); else context.fill();
      }
      return shape;
    }));
  }
  return shapes.get(side);
}

function colourAt(picture, x, y) {
  const column = Math.min(picture.width - 1, Math.floor(x * picture.width));
  const row = Math.min(picture.height - 1, Math.floor(y * picture.height));
  const at = 4 * (row * picture.width + column);
  return [...picture.data.subarray(at, at + 3)];
}

// What stands beside the cursor: every light's colour, error and attention, and the evidence of the maps.
export function valueCard({ lights, panels }) {
  const judged = lights.some(item => item.errors), alone = lights.some(item => item.singles);
  const heads = ['', 'light', 'R G B', ...(judged ? ['error', 'attn'] : []), ...(alone ? ['RD'] : [])];
  const rows = lights.map(item => ({ item, swatch: make('i'), cells: heads.slice(2).map(() => make('td')) }));
  const maps = panels.filter(panel => panel.values).map(panel => ({ panel, line: make('p') }));
  const spot = make('p');
  const row = ({ item, swatch, cells }) =>
    make('tr', {}, make('td', {}, swatch), make('td', {}, item.name), ...cells);
  const card = make('div', { class: 'values', 'aria-hidden': 'true' }, spot, ...maps.map(({ line }) => line),
    make('table', {}, make('tr', {}, ...heads.map(text => make('th', {}, text))), ...rows.map(row)));
  return { card, spot, maps, rows, judged, alone };
}

function drawValues(table, beside) {
  const { place, view, values } = table, { card, spot, maps, rows, judged, alone } = values;
  card.hidden = !view.values || !beside || table.gesture?.moved === true;
  if (card.hidden) return;
  spot.textContent = placeText(table);
  for (const { panel, line } of maps) {
    const over = panel.units && valueAt(panel.values, place.x, place.y) > view.level;
    line.textContent = `${panel.name} ${valueText(panel.values, place.x, place.y)}` +
      (panel.units ? ` × threshold${over ? ' ▲' : ''}` : '');
  }
  for (const { item, swatch, cells } of rows) {
    const colour = colourAt(table.pixels.get(item.picture), place.x, place.y);
    swatch.style.background = `rgb(${colour.join(',')})`;
    const read = map => map ? valueText(map, place.x, place.y) : '–';
    const texts = [colour.join(' '), ...(judged ? [read(item.errors), read(item.shares)] : []),
      ...(alone ? [read(item.singles)] : [])];
    texts.forEach((text, i) => { if (cells[i].textContent !== text) cells[i].textContent = text; });
  }
  values.size ??= [card.offsetWidth, card.offsetHeight];
  const [wide, high] = values.size, { area, whole } = beside;
  const [x, y] = onScreen(table, place.at, place.x, place.y);
  const gap = (view.loupe ? place.at.side / 2 : 8) + 8;  // below or above, so that the other pictures show this place
  const left = clamp(area.left - whole.left + x + 12, 0, Math.max(0, whole.width - wide));
  const below = area.top - whole.top + y + gap;
  const top = area.top + y + gap + high < window.innerHeight ? below : below - 2 * gap - high;
  card.style.transform = `translate(${left}px,${top}px)`;
}

function tellValues(table) {  // to a screen reader, when the cursor rests
  const { scene: { lights, panels }, place: { x, y } } = table;
  const maps = panels.filter(panel => panel.values)
    .map(panel => `${panel.name} ${valueText(panel.values, x, y)}${panel.units ? ' times the threshold' : ''}`);
  const errors = lights.filter(item => item.errors).map(item =>
    `${item.name} error ${valueText(item.errors, x, y)}, attention ${valueText(item.shares, x, y)}`);
  table.said.textContent = [placeText(table), ...maps, ...errors].join('; ');
}
