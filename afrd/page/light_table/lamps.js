// The lamps: light adds up, so the part under any mixture of them is the weighted sum of its pictures in linear light.
// A lamp's switch and solo also decide what the model sees; a dimmer changes the picture alone, a weight the map alone.
import { resize } from '../common/dom.js';

export const linear = Float32Array.from({ length: 256 }, (_, v) =>
  v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
export const LINEAR_STEPS = 8192;
export const stored = Uint8Array.from({ length: LINEAR_STEPS + 1 }, (_, i) => {
  const light = i / LINEAR_STEPS;
  return Math.round(255 * (light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055));
});

const SAMPLED = 6000;  // pixels of a picture, at least, where it has them
const brightnesses = new WeakMap();  // by picture: of some of its pixels, in linear light
function brightnessOf(picture) {
  if (brightnesses.has(picture)) return brightnesses.get(picture);
  const { data } = picture, length = data.length / 4, step = Math.max(1, Math.floor(length / SAMPLED));
  const sampled = Float64Array.from({ length: Math.ceil(length / step) }, (_, i) => {
    const at = 4 * step * i;
    return 0.2126 * linear[data[at]] + 0.7152 * linear[data[at + 1]] + 0.0722 * linear[data[at + 2]];
  });
  brightnesses.set(picture, sampled);
  return sampled;
}

// The brightness that one pixel in a hundred exceeds, in linear light, of the sum of these pictures.
function highlight(pictures) {
  const [first, ...others] = pictures.map(brightnessOf), sum = first.slice();
  for (const values of others) for (let i = 0; i < sum.length; i++) sum[i] += values[i];
  return sum.sort()[Math.floor(0.99 * (sum.length - 1))];
}

// So that the lamps that are lit, undimmed, are together as bright as the brightest of their photographs; the dimmers
// brighten and darken from there, and one lamp alone is as photographed.
export function exposure(pictures) {
  const together = highlight(pictures);
  for (const picture of pictures) if (!highlights.has(picture)) highlights.set(picture, highlight([picture]));
  return together > 0 ? Math.max(...pictures.map(picture => highlights.get(picture))) / together : 1;
}

const highlights = new WeakMap();  // by picture
const TURNS = 50;  // after which a sum is made anew, as rounding adds up

// A function that gives a canvas with factor * the sum of gain * picture. What frames need is made once for a size, and
// of the sum only what has changed: most often one lamp.
export function relighter() {
  const canvas = document.createElement('canvas'), context = canvas.getContext('2d');
  let image = null, rgba = null, sum = null, summed = new Map(), turns = 0;
  return (pictures, gains, factor) => {
    const { width, height } = pictures[0], shares = new Map();  // two lamps may have the same picture
    pictures.forEach((picture, i) => shares.set(picture, (shares.get(picture) ?? 0) + gains[i]));
    if (image?.width !== width || image?.height !== height) {
      resize(canvas, width, height);
      image = context.createImageData(width, height);
      rgba = new Uint32Array(image.data.buffer);
      sum = new Float32Array(width * height * 3);
      summed = new Map();
    }
    const more = picture => (shares.get(picture) ?? 0) - (summed.get(picture) ?? 0);
    let changed = [...new Set([...summed.keys(), ...shares.keys()])].filter(more);
    if (2 * changed.length > shares.size || ++turns > TURNS) {
      sum.fill(0);
      [summed, turns, changed] = [new Map(), 0, [...shares.keys()]];
    }
    for (const picture of changed) add(sum, picture, more(picture));
    summed = shares;
    const light = factor * LINEAR_STEPS, byte = value => stored[Math.min(LINEAR_STEPS, value * light + 0.5 | 0)];
    for (let i = 0, j = 0; i < rgba.length; i++, j += 3) {
      rgba[i] = 255 << 24 | byte(sum[j + 2]) << 16 | byte(sum[j + 1]) << 8 | byte(sum[j]);
    }
    context.putImageData(image, 0, 0);
    return canvas;
  };
}

function add(sum, { data }, gain) {
  if (!gain) return;
  const light = linear.map(value => value * gain);
  for (let i = 0, j = 0; j < sum.length; i += 4, j += 3) {
    sum[j] += light[data[i]]; sum[j + 1] += light[data[i + 1]]; sum[j + 2] += light[data[i + 2]];
  }
}

export class Lamps {
  lit = new Set();
  before = null;  // what was lit until a lamp went solo
  gain = {};
  say = {};  // by name, how much a light may say in the map, where that is not 1
  exposed = '';  // the lamps that `exposure` is of
  exposure = 1;
  mixed = '';  // the lamps and dimmers that `mix`, a canvas, shows
  mix = null;
  picture = null;  // the canvas that is seen
  asked = '';  // until `patience` the host is expected to answer for these
  patience = 0;
  relit = relighter();
  exposureOf = exposure;

  gainOf(name) { return this.gain[name] ?? 1; }
  sayOf(name) { return this.say[name] ?? 1; }
  said() { return Object.fromEntries(Object.entries(this.say).filter(([, part]) => part !== 1)); }

  follow(tiles, waits) {  // what the host says is lit; a lamp that the run does not know is lit here only
    const told = tiles.filter(tile => tile.usable && tile.on).map(tile => tile.name).join();
    if (told !== this.asked && waits && performance.now() < this.patience) return false;  // answers an earlier question
    this.patience = 0;
    const lit = new Set(tiles.filter(tile => tile.usable ? tile.on : this.lit.has(tile.name)).map(tile => tile.name));
    if (lit.size !== this.lit.size || [...lit].some(name => !this.lit.has(name))) this.before = null;
    this.lit = lit;
    return true;
  }

  set(names) {
    this.before = null;
    this.lit = new Set(names);
  }

  switch(name) {
    if (!this.lit.delete(name)) this.lit.add(name);
    if (!this.lit.size) this.before = null;
  }

  solo(name) {  // as on a mixing desk: the first press leaves this lamp alone, further ones join it
    if (!this.before) {
      this.before = this.lit;
      this.lit = new Set([name]);
    } else if (!this.lit.has(name)) {
      this.lit.add(name);
    } else if (this.lit.size > 1) {
      this.lit.delete(name);
    } else {
      this.lit = this.before;
      this.before = null;
    }
  }
}
