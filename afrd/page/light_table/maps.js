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

// Numbers, where `unit` counts as 1, as bytes that are worked out when somebody looks at them: most are never shown.
class LateMap {
  age = 0;  // counts what it has been
  #bytes;
  #numbers = null;
  #factor = 1;

  constructor({ kind, limit, width, height }) {
    Object.assign(this, { kind, limit, width, height });
    this.#bytes = new Uint8ClampedArray(width * height);
  }

  become({ limit, unit }, numbers) {
    this.#numbers = numbers;
    this.#factor = 255 / unit / limit;
    this.age++;
  }

  get values() {
    if (this.#numbers) {
      const numbers = this.#numbers(), bytes = this.#bytes, factor = this.#factor;
      for (let i = 0; i < bytes.length; i++) bytes[i] = numbers[i] * factor;  // it rounds
      this.#numbers = null;
    }
    return this.#bytes;
  }
}

export const ageOf = map => map.age ?? 0;  // a map that has another age is another one

// Of what the function `numbers` gives; in the place of `old`, a map that is drawn already, where that has the size.
export function bytesOf(what, numbers, old) {
  const reusable = old instanceof LateMap && old.width === what.width && old.height === what.height;
  const map = reusable ? old : new LateMap(what);
  map.become(what, numbers);
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

const drafts = new WeakMap();  // the pixels of a canvas before they are put on it
export function paintMap(canvas, map, table) {
  const context = canvas.getContext('2d'), { values } = map;
  if (!drafts.has(canvas)) {
    const image = context.createImageData(map.width, map.height);
    drafts.set(canvas, { image, rgba: new Uint32Array(image.data.buffer) });
  }
  const { image, rgba } = drafts.get(canvas);
  for (let i = 0; i < rgba.length; i++) rgba[i] = table[values[i]];
  context.putImageData(image, 0, 0);
}

// Marching squares: an SVG path, in pixels of `size`, around where a map lies above `level`. As in
// afrd.figures.contour_lines, a ring of mirrored values makes lines that meet the border run along it.
const CELLS = [[], ['T', 'L'], ['R', 'T'], ['R', 'L'], ['B', 'R'], null, ['B', 'T'], ['B', 'L'],
  ['L', 'B'], ['T', 'B'], null, ['R', 'B'], ['L', 'R'], ['T', 'R'], ['L', 'T'], []];

const rings = new WeakMap();  // by map: its values with a ring around them
function ringed(map, cut) {  // mirrored at the level
  const wide = map.width + 2, high = map.height + 2, ring = rings.get(map) ?? { values: new Float32Array(wide * high) };
  const { values } = ring;
  if (ring.age !== ageOf(map)) {
    const bytes = map.values;
    for (let y = 0; y < map.height; y++) {
      values.set(bytes.subarray(y * map.width, (y + 1) * map.width), (y + 1) * wide + 1);
    }
    ring.age = ageOf(map);
    rings.set(map, ring);
  }
  const mirror = (x, y) => {
    const value = values[clamp(y, 1, map.height) * wide + clamp(x, 1, map.width)];
    values[y * wide + x] = Math.min(value, 2 * cut - value);
  };
  for (let x = 0; x < wide; x++) { mirror(x, 0); mirror(x, high - 1); }
  for (let y = 1; y < high - 1; y++) { mirror(0, y); mirror(wide - 1, y); }
  return values;
}

export function contour(map, level, [height, width]) {
  const cut = level / map.limit * 255;
  const wide = map.width + 2, high = map.height + 2;
  const values = ringed(map, cut);
  const next = new Map();  // from one edge of a cell to another, what is above the level on the same side
  const join = (n, kind) => {
    // of the cell: twice its node, 1 if it goes down
    const edge = { T: 2 * n, R: 2 * n + 3, B: 2 * (n + wide), L: 2 * n + 1 };
    if (kind === 5 || kind === 10) {
      const joined = (values[n] + values[n + 1] + values[n + wide + 1] + values[n + wide]) / 4 > cut;
      const pairs = kind === 5 ? (joined ? ['TR', 'BL'] : ['TL', 'BR']) : (joined ? ['LT', 'RB'] : ['RT', 'LB']);
      for (const [from, to] of pairs) next.set(edge[from], edge[to]);
    } else {
      next.set(edge[CELLS[kind][0]], edge[CELLS[kind][1]]);
    }
  };
  for (let y = 0, n = 0; y < high - 1; y++, n++) {
    let left = values[n] > cut ? 1 : 0;
    if (values[n + wide] > cut) left |= 8;
    for (let x = 0; x < wide - 1; x++, n++) {
      const right = (values[n + 1] > cut ? 2 : 0) | (values[n + wide + 1] > cut ? 4 : 0), kind = left | right;
      if (kind !== 0 && kind !== 15) join(n, kind);
      left = right >> 1 & 1 | right << 1 & 8;
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
