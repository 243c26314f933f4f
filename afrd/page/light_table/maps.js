// Pictures and maps as numbers: a map is sent once, as the grey PNG of its values (0..255 means 0..its limit); colours,
// contours and readings are made of them here, without the server.
import { clamp } from '../common/dom.js';

export function palette(colours) {  // any number of #rrggbb -> 256 colours between them
  const rgb = colours.map(hex => [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16)));
  return Array.from({ length: 256 }, (_, v) => {
    const at = v / 255 * (rgb.length - 1);
    const low = Math.min(rgb.length - 2, Math.floor(at));
    return rgb[low].map((c, i) => Math.round(c + (rgb[low + 1][i] - c) * (at - low)));
  });
}

export async function pixelsOf(uri) {
  const image = new Image();
  image.src = uri;
  await image.decode();
  const canvas = document.createElement('canvas');
  canvas.width = image.width; canvas.height = image.height;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const data = context.getImageData(0, 0, image.width, image.height).data;
  return { canvas, width: image.width, height: image.height, data };
}

// What a map says, as bytes; `limit` is the value of the largest. Kinds: error (in thresholds) and share (0..1).
export function mapOf({ width, height, data }, kind, limit) {
  const values = Uint8Array.from({ length: width * height }, (_, i) => data[4 * i]);
  return { kind, limit, width, height, values };
}

// Of numbers, where `unit` counts as 1; into `old`, a map that is drawn already, where that has the size.
export function bytesOf({ width, height, values }, kind, limit, unit, old) {
  const kept = old?.width === width && old.height === height;
  const map = kept ? old : { kind, limit, width, height, values: new Uint8ClampedArray(values.length) };
  const factor = 255 / unit / limit;
  for (let i = 0; i < values.length; i++) map.values[i] = values[i] * factor;  // it rounds
  map.ringed = null;
  return map;
}

export function blocks(from, to) {  // the block of each row or column, as in afrd.figures.shrink
  let block = 0;
  return Int32Array.from({ length: from }, (_, i) => {
    if (block + 1 < to && i >= Math.floor((block + 1) * from / to)) block++;
    return block;
  });
}

export function valueAt(map, x, y) {  // x, y in 0..1
  const column = Math.min(map.width - 1, Math.floor(x * map.width));
  const row = Math.min(map.height - 1, Math.floor(y * map.height));
  const { limit, values, zero = 0 } = map;  // `zero`: of maps with a sign
  return (values[row * map.width + column] - zero) / (255 - zero) * limit;
}

export function valueText(map, x, y) {
  const value = valueAt(map, x, y);
  const sign = map.kind === 'difference' && value > 0 ? '+' : '';
  return (map.kind === 'error' && value >= map.limit * 0.998 ? '≥ ' : sign) + value.toFixed(2).replace('-', '−');
}

// How much of the picture a map covers: `calm` at the middle of the slider, 0 picture, 1 map.
const mixed = (cover, calm) => cover <= 0.5 ? 2 * cover * calm : calm + (1 - calm) * (2 * cover - 1);

function coverage(value, { clear, full }) {  // as afrd.figures.coverage
  const t = clamp((value - clear) / (full - clear), 0, 1);
  return t * t * (3 - 2 * t) * 0.9;
}

export function colourTable(colours, kind, cover, style) {  // value -> RGBA, as a canvas keeps it
  return Uint32Array.from({ length: 256 }, (_, v) => {
    const value = kind === 'difference' ? 2 * Math.abs(v - 128) / 127 : v / 255;  // a difference is seen from a quarter
    const alpha = mixed(cover, kind === 'share' ? 0.76 : coverage(value * style.limit, style));
    return (Math.round(255 * alpha) << 24 | colours[v][2] << 16 | colours[v][1] << 8 | colours[v][0]) >>> 0;
  });
}

export function paintMap(canvas, map, table) {
  const context = canvas.getContext('2d');
  const image = context.createImageData(map.width, map.height);
  const rgba = new Uint32Array(image.data.buffer);
  for (let i = 0; i < rgba.length; i++) rgba[i] = table[map.values[i]];
  context.putImageData(image, 0, 0);
}

// Marching squares: an SVG path, in pixels of `size`, around where a map lies above `level`. As in
// afrd.figures.contour_lines, a ring of mirrored values makes lines that meet the border run along it.
const CELLS = [[], ['T', 'L'], ['R', 'T'], ['R', 'L'], ['B', 'R'], null, ['B', 'T'], ['B', 'L'],
  ['L', 'B'], ['T', 'B'], null, ['R', 'B'], ['L', 'R'], ['T', 'R'], ['L', 'T'], []];

function ringed(map, cut) {  // the map's values with a ring around them, mirrored at the level
  const wide = map.width + 2, high = map.height + 2;
  if (!map.ringed) {
    map.ringed = new Float32Array(wide * high);
    for (let y = 0; y < map.height; y++) {
      map.ringed.set(map.values.subarray(y * map.width, (y + 1) * map.width), (y + 1) * wide + 1);
    }
  }
  const mirror = (x, y) => {
    const value = map.ringed[clamp(y, 1, map.height) * wide + clamp(x, 1, map.width)];
    map.ringed[y * wide + x] = Math.min(value, 2 * cut - value);
  };
  for (let x = 0; x < wide; x++) { mirror(x, 0); mirror(x, high - 1); }
  for (let y = 1; y < high - 1; y++) { mirror(0, y); mirror(wide - 1, y); }
  return map.ringed;
}

export function contour(map, level, [height, width]) {
  const cut = level / map.limit * 255;
  const wide = map.width + 2, high = map.height + 2;
  const values = ringed(map, cut);
  const next = new Map();  // from one edge of a cell to another, what is above the level on the same side
  for (let y = 0; y < high - 1; y++) {
    for (let x = 0; x < wide - 1; x++) {
      const n = y * wide + x;
      const a = values[n], b = values[n + 1], c = values[n + wide + 1], d = values[n + wide];
      const kind = (a > cut) | (b > cut) << 1 | (c > cut) << 2 | (d > cut) << 3;
      if (kind === 0 || kind === 15) continue;
      // of the cell: twice its node, 1 if it goes down
      const edge = { T: 2 * n, R: 2 * n + 3, B: 2 * (n + wide), L: 2 * n + 1 };
      if (kind === 5 || kind === 10) {
        const joined = (a + b + c + d) / 4 > cut;
        const pairs = kind === 5 ? (joined ? ['TR', 'BL'] : ['TL', 'BR']) : (joined ? ['LT', 'RB'] : ['RT', 'LB']);
        for (const [from, to] of pairs) next.set(edge[from], edge[to]);
      } else {
        next.set(edge[CELLS[kind][0]], edge[CELLS[kind][1]]);
      }
    }
  }
  const point = key => {
    const n = key >> 1, down = key & 1;
    const t = (cut - values[n]) / (values[down ? n + wide : n + 1] - values[n]);
    const x = (n % wide + (down ? 0 : t) - 0.5) * width / map.width;
    const y = (Math.floor(n / wide) + (down ? t : 0) - 0.5) * height / map.height;
    return `${Math.min(width, Math.max(0, x)).toFixed(1)} ${Math.min(height, Math.max(0, y)).toFixed(1)}`;
  };
  let path = '';
  while (next.size) {
    const first = next.keys().next().value;
    const points = [];
    for (let at = first; next.has(at);) {
      const to = next.get(at);
      next.delete(at);
      points.push(point(at));
      at = to;
    }
    path += `M${points.join('L')}Z`;
  }
  return path;
}
