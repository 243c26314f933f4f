// The map of some lights from every light's error and weight on a grid: both are enlarged bilinearly between the
// middles of the cells, map = sum_l a_l E_l. Between two cells of a row, E_l and its weight are straight lines, so the
// sums over the lights are two polynomials, whatever the number of lights; each pixel takes their quotient.
import { blocks } from './maps.js';

export const MIN_WEIGHT = 1e-12;  // as in afrd.model.fusion
const MAP_SIDE = 256, TILE_SIDE = 128;

export const floored = weights => weights.map(weight => Math.max(weight, MIN_WEIGHT));

function shape([height, width], side) {  // of a map that holds the maximum of each block, as afrd.figures.shrink
  const factor = Math.min(1, side / Math.max(height, width));
  return [height, width].map(length => Math.max(1, Math.round(length * factor)));
}

// Of `from` cells enlarged to `to` pixels in `short` blocks: between which cells each pixel lies, and how far from the
// first; where the pixels of each cell begin; and the blocks of the map and of the tile.
function axis(from, to, short) {
  const place = Float64Array.from({ length: to }, (_, i) => Math.max(0, (i + 0.5) * from / to - 0.5));
  const low = Int32Array.from(place, Math.floor), part = place.map((at, i) => at - low[i]);
  const tile = blocks(to, short.tile);
  const same = (i, j) => low[i] === low[j] && tile[i] === tile[j], all = Int32Array.from(low.keys());
  const some = pixels => ({ at: pixels, low: pixels.map(i => low[i]),
    high: pixels.map(i => Math.min(low[i] + 1, from - 1)), tile: pixels.map(i => tile[i]),
    part: Float64Array.from(pixels, i => part[i]),
    begin: Int32Array.from({ length: from + 1 }, (_, cell) => pixels.filter(i => low[i] < cell).length) });
  // `ends`, the first and last ones of what of a block lies between the same cells
  return { ...some(all), map: blocks(to, short.map), all: some(all),
    ends: some(all.filter(i => !same(i, i - 1) || !same(i, i + 1))) };
}

const frames = new Map();  // what depends on the sizes alone
function frameOf(grid, size) {
  const key = [...grid, ...size].join();
  if (!frames.has(key)) {
    const [map, tile] = [MAP_SIDE, TILE_SIDE].map(side => shape(size, side));
    const [rows, columns] = [0, 1].map(i => axis(grid[i], size[i], { map: map[i], tile: tile[i] }));
    frames.set(key, { grid, size, rows, columns, map: { width: map[1], height: map[0] },
      tile: { width: tile[1], height: tile[0] } });
  }
  return frames.get(key);
}

// `lights` have errors E_l and weights w_l (1 for the mean) on the grid; `say`, 0..1, is how much one may say. By `how`
// a_l is say_l w_l / sum_k say_k w_k (attention, mean) or 1 for the largest say_l E_l (max). The map is 0 where
// `inside`, of the pixels, is. Gives the map, shrunk, and its maximum; each light's mean share and that at the maximum;
// and functions that work out a light's error and share, shrunk, when they are looked at.
export function blend(lights, how, grid, size, inside = null) {
  const frame = frameOf(grid, size), { height, width } = frame.map, one = new Float32Array(grid[0] * grid[1]).fill(1);
  const given = { frame, inside, lights: lights.map(({ errors, weights, say = 1 }) =>
    ({ errors, weights: how === 'attention' ? weights : one, say })),
  map: { height, width, values: new Float32Array(height * width) } };
  return { map: given.map, tile: frame.tile, ...how === 'max' ? largest(given) : weighted(given),
    error: light => errorOf(frame, lights[light].errors, inside) };
}

function weighted({ frame, lights, inside, map }) {
  const { grid: [, wide], size: [height, width], rows, columns: { begin, map: block, part } } = frame;
  const total = totalOf(frame, lights), spread = new Float64Array(total.length), { values } = map;
  const lines = Array.from({ length: 3 }, () => new Float64Array(wide));
  const [constant, linear, square] = lines, best = { score: -1, x: 0, y: 0 };
  for (let y = 0; y < height; y++) {
    const top = rows.low[y] * wide, bottom = rows.high[y] * wide, down = rows.part[y];
    for (const line of lines) line.fill(0);
    for (const light of lights) addRow(light, lines, { top, bottom, down });
    const from = rows.map[y] * map.width;
    let next = total[top] + (total[bottom] - total[top]) * down;
    for (let cell = 0; cell < wide; cell++) {
      const a = constant[cell], b = linear[cell], c = square[cell], right = Math.min(cell + 1, wide - 1);
      const sum = next;
      next = total[top + right] + (total[bottom + right] - total[top + right]) * down;
      const rise = next - sum;
      let all = 0, moved = 0;  // sums of 1 / total, and of that times the part of the right cell
      for (let x = begin[cell]; x < begin[cell + 1]; x++) {
        const t = part[x], share = 1 / (sum + rise * t);
        all += share;
        moved += share * t;
        const value = inside && !inside[y * width + x] ? 0 : (a + (b + c * t) * t) * share;
        if (value > best.score) { best.score = value; best.x = x; best.y = y; }
        const at = from + block[x];
        if (value > values[at]) values[at] = value;
      }
      spread[top + cell] += (all - moved) * (1 - down);
      spread[bottom + cell] += (all - moved) * down;
      spread[top + right] += moved * (1 - down);
      spread[bottom + right] += moved * down;
    }
  }
  const pixel = of => enlarged(frame, of, best), parts = { of: null };  // of the total, when first asked for
  return { score: best.score, means: lights.map(light => light.say * dot(light.weights, spread) / height / width),
    peaks: lights.map(({ say, weights }) => say * pixel(weights) / pixel(total)),
    share(light) {
      const { say, weights } = lights[light];
      return shrunk(frame, weights.map(weight => say * weight), parts.of ??= partsOf(frame, total));
    } };
}

function totalOf({ grid: [high, wide] }, lights) {  // of the weights on the grid
  const total = new Float64Array(high * wide);
  for (const { say, weights } of lights) {
    for (let i = 0; i < total.length; i++) total[i] += say * weights[i];
  }
  return total;
}

// Adds a light's weight times its error, for a row of pixels between two rows of cells: constant + linear t + square t²
// at the part t of the way from a cell to the one on its right.
function addRow({ errors, weights, say }, [constant, linear, square], { top, bottom, down }) {
  const wide = constant.length;
  let right = errors[top] + (errors[bottom] - errors[top]) * down;
  let rightWeight = weights[top] + (weights[bottom] - weights[top]) * down;
  for (let cell = 0, i = top + 1, j = bottom + 1; cell < wide; cell++, i++, j++) {
    const error = right, weight = say * rightWeight;
    if (cell + 1 < wide) {
      right = errors[i] + (errors[j] - errors[i]) * down;
      rightWeight = weights[i] + (weights[j] - weights[i]) * down;
    }
    const step = right - error, stepWeight = say * rightWeight - weight;
    constant[cell] += weight * error;
    linear[cell] += weight * step + stepWeight * error;
    square[cell] += stepWeight * step;
  }
}

function dot(weights, spread) {
  let sum = 0;
  for (let i = 0; i < spread.length; i++) sum += weights[i] * spread[i];
  return sum;
}

function enlarged({ grid: [, wide], rows, columns }, values, { x, y }) {  // at a pixel
  const along = row => values[row * wide + columns.low[x]] * (1 - columns.part[x]) +
    values[row * wide + columns.high[x]] * columns.part[x];
  return along(rows.low[y]) * (1 - rows.part[y]) + along(rows.high[y]) * rows.part[y];
}

function largest({ frame, lights, inside, map }) {  // the first of equal ones
  const { grid: [, wide], size: [height, width], rows, columns: { begin, map: block, part } } = frame;
  const winner = new Uint8Array(height * width), counts = new Float64Array(lights.length), { values } = map;
  const line = new Float64Array(width), said = new Float64Array(width);
  let score = -1, best = 0;
  for (let y = 0; y < height; y++) {
    const top = rows.low[y] * wide, bottom = rows.high[y] * wide, down = rows.part[y], first = y * width;
    said.fill(-1);
    lights.forEach(({ errors, say }, light) => {
      let right = errors[top] + (errors[bottom] - errors[top]) * down;
      for (let cell = 0; cell < wide; cell++) {
        const error = right, i = top + Math.min(cell + 1, wide - 1), j = bottom + Math.min(cell + 1, wide - 1);
        right = errors[i] + (errors[j] - errors[i]) * down;
        for (let x = begin[cell]; x < begin[cell + 1]; x++) {
          const own = error + (right - error) * part[x];
          if (say * own > said[x]) { said[x] = say * own; line[x] = own; winner[first + x] = light; }
        }
      }
    });
    for (let x = 0, from = rows.map[y] * map.width; x < width; x++) {
      const value = inside && !inside[first + x] ? 0 : line[x], at = from + block[x];
      counts[winner[first + x]]++;
      if (value > score) { score = value; best = first + x; }
      if (value > values[at]) values[at] = value;
    }
  }
  return { score, means: [...counts].map(count => count / height / width),
    peaks: lights.map((_, light) => Number(winner[best] === light)), share: light => won(frame, winner, light) };
}

function won({ size: [height, width], rows, columns, tile }, winner, light) {
  const result = new Float32Array(tile.height * tile.width);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (winner[i] === light) result[rows.tile[y] * tile.width + columns.tile[x]] = 1;
    }
  }
  return result;
}

// A grid enlarged, times `factors` of its pixels, and shrunk. From cell to cell of a row or column a straight line, and
// the quotient of two, only rises or only falls, so that the maximum of a block is at the ends of what of it is between
// the same cells.
function shrunk({ rows, columns, tile, grid: [, wide] }, values, factors, which = 'ends') {
  const result = new Float32Array(tile.height * tile.width), line = new Float64Array(wide + 1);
  const down = rows[which], { begin, part, tile: block } = columns[which];
  for (let y = 0, i = 0; y < down.at.length; y++) {
    between(values, line, down, y);
    const from = down.tile[y] * tile.width;
    for (let cell = 0; cell < wide; cell++) {
      const left = line[cell], step = line[cell + 1] - left;
      for (let x = begin[cell]; x < begin[cell + 1]; x++, i++) {
        const value = factors ? (left + step * part[x]) * factors[i] : left + step * part[x], at = from + block[x];
        if (value > result[at]) result[at] = value;
      }
    }
  }
  return result;
}

// 1 / total at those ends.
function partsOf({ rows: { ends: down }, columns: { ends: { at, begin, part } }, grid: [, wide] }, total) {
  const result = new Float64Array(down.at.length * at.length), line = new Float64Array(wide + 1);
  for (let y = 0, i = 0; y < down.at.length; y++) {
    between(total, line, down, y);
    for (let cell = 0; cell < wide; cell++) {
      const left = line[cell], step = line[cell + 1] - left;
      for (let x = begin[cell]; x < begin[cell + 1]; x++, i++) result[i] = 1 / (left + step * part[x]);
    }
  }
  return result;
}

// The row of cells in which a row of pixels lies, with the last one again.
function between(values, line, { high, low, part }, y) {
  const wide = line.length - 1, top = low[y] * wide, bottom = high[y] * wide, down = part[y];
  for (let x = 0; x < wide; x++) line[x] = values[top + x] + (values[bottom + x] - values[top + x]) * down;
  line[wide] = line[wide - 1];
}

const errorsInTiles = new WeakMap();  // by the formulas a light's error is the same in every set
function errorOf(frame, errors, inside) {
  if (errorsInTiles.get(errors)?.inside !== inside) {
    errorsInTiles.set(errors, { inside, errors: shrunk(frame, errors, inside, inside ? 'all' : 'ends') });
  }
  return errorsInTiles.get(errors).errors;
}
