// Pictures and maps as numbers: a map is sent once, as the grey PNG of its values (0..255 means 0..its limit); colours,
// contours and readings are made of them here, without the server.
const kept = new Map();  // data URI -> pixels, of the scene that is shown
const palettes = Object.fromEntries(Object.entries(SCALES).map(([name, colours]) => [name, palette(colours)]));
const shares = palette(SHARES);

function palette(colours) {  // any number of #rrggbb -> 256 colours between them
  const rgb = colours.map(hex => [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16)));
  return Array.from({ length: 256 }, (_, v) => {
    const at = v / 255 * (rgb.length - 1);
    const low = Math.min(rgb.length - 2, Math.floor(at));
    return rgb[low].map((c, i) => Math.round(c + (rgb[low + 1][i] - c) * (at - low)));
  });
}

async function pixelsOf(uri) {
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

async function decode(uris) {  // what is new among them
  await Promise.all(uris.map(async uri => { if (uri && !kept.has(uri)) kept.set(uri, await pixelsOf(uri)); }));
}

function forgetAllBut(uris) {
  const wanted = new Set(uris);
  for (const uri of kept.keys()) if (!wanted.has(uri)) kept.delete(uri);
}

function mapOf(uri, kind) {  // kind: error (0..LIMIT thresholds) or share (0..1)
  if (!uri) return null;
  const { width, height, data } = kept.get(uri);
  const values = Uint8Array.from({ length: width * height }, (_, i) => data[4 * i]);
  return { kind, limit: kind === 'share' ? 1 : LIMIT, width, height, values };
}

function valueAt(map, x, y) {  // x, y in 0..1
  const column = Math.min(map.width - 1, Math.floor(x * map.width));
  const row = Math.min(map.height - 1, Math.floor(y * map.height));
  return map.values[row * map.width + column] / 255 * map.limit;
}

function valueText(map, x, y) {
  const value = valueAt(map, x, y);
  return (map.kind === 'error' && value >= map.limit * 0.998 ? '≥ ' : '') + value.toFixed(2);
}

// How much of the picture a map covers: as afrd.figures.coverage at the middle of the slider, 0 picture, 1 map.
function coverage(value) {
  const t = Math.min(1, Math.max(0, (value - CLEAR) / (FULL - CLEAR)));
  return mixed(t * t * (3 - 2 * t) * 0.9);
}

function mixed(calm) {
  return view.cover <= 0.5 ? 2 * view.cover * calm : calm + (1 - calm) * (2 * view.cover - 1);
}

function colourTable(kind) {  // value -> RGBA, as a canvas keeps it
  const table = new Uint32Array(256);
  const colours = kind === 'share' ? shares : palettes[view.scale];
  for (let v = 0; v < 256; v++) {
    const alpha = kind === 'share' ? mixed(0.76) : coverage(v / 255 * LIMIT);
    table[v] = (Math.round(255 * alpha) << 24 | colours[v][2] << 16 | colours[v][1] << 8 | colours[v][0]) >>> 0;
  }
  return table;
}

function paintMap(canvas, map, table) {
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
    for (let y = 0; y < map.height; y++) map.ringed.set(map.values.subarray(y * map.width, (y + 1) * map.width), (y + 1) * wide + 1);
  }
  const mirror = (x, y) => {
    const value = map.ringed[clamp(y, 1, map.height) * wide + clamp(x, 1, map.width)];
    map.ringed[y * wide + x] = Math.min(value, 2 * cut - value);
  };
  for (let x = 0; x < wide; x++) { mirror(x, 0); mirror(x, high - 1); }
  for (let y = 1; y < high - 1; y++) { mirror(0, y); mirror(wide - 1, y); }
  return map.ringed;
}

function contour(map, level, [height, width]) {
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
      const edge = { T: 2 * n, R: 2 * n + 3, B: 2 * (n + wide), L: 2 * n + 1 };  // of the cell; twice its node, 1 if it goes down
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
