// The lamps: light adds up, so the part under any mixture of them is the weighted sum of its pictures in linear light.
// A lamp's switch and solo also decide what the model sees; a dimmer changes the picture alone, a weight the map alone.
import { resize } from '../common/dom.js';

export const linear = Float32Array.from({ length: 256 }, (_, v) =>
  v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
export const STEPS = 8192;
export const stored = Uint8Array.from({ length: STEPS + 1 }, (_, i) => {
  const light = i / STEPS;
  return Math.round(255 * (light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055));
});

// The brightness that one pixel in a hundred exceeds, in linear light, of the sum of these pictures.
function highlight(pictures) {
  const length = pictures[0].data.length / 4;
  const step = Math.max(1, Math.floor(length / 6000));
  const found = [];
  for (let i = 0; i < length; i += step) {
    let sum = 0;
    for (const { data } of pictures) {
      sum += 0.2126 * linear[data[4 * i]] + 0.7152 * linear[data[4 * i + 1]] + 0.0722 * linear[data[4 * i + 2]];
    }
    found.push(sum);
  }
  return found.sort((a, b) => a - b)[Math.floor(0.99 * (found.length - 1))];
}

// So that the lamps that are lit, undimmed, are together as bright as the brightest of their photographs; the dimmers
// brighten and darken from there, and one lamp alone is as photographed.
export function exposure(pictures) {
  const together = highlight(pictures);
  return together > 0 ? Math.max(...pictures.map(picture => highlight([picture]))) / together : 1;
}

// A function that gives a canvas with the sum of gain * factor * picture; what frames need is made once for a size.
export function relighter() {
  const canvas = document.createElement('canvas'), context = canvas.getContext('2d');
  let image = null, sum = null;
  return (pictures, gains, factor) => {
    const { width, height } = pictures[0];
    if (image?.width !== width || image?.height !== height) {
      resize(canvas, width, height);
      image = context.createImageData(width, height);
      image.data.fill(255);
      sum = new Float32Array(width * height * 3);
    }
    sum.fill(0.5);  // to be rounded
    pictures.forEach(({ data }, lamp) => {
      const gain = gains[lamp] * factor * STEPS;
      if (!gain) return;
      const light = linear.map(value => value * gain);
      for (let i = 0, j = 0; j < sum.length; i += 4, j += 3) {
        sum[j] += light[data[i]]; sum[j + 1] += light[data[i + 1]]; sum[j + 2] += light[data[i + 2]];
      }
    });
    for (let i = 0, j = 0; j < sum.length; i += 4, j += 3) {
      for (let c = 0; c < 3; c++) image.data[i + c] = stored[Math.min(STEPS, sum[j + c] | 0)];
    }
    context.putImageData(image, 0, 0);
    return canvas;
  };
}

export class Lamps {
  lit = new Set();
  before = null;  // what was lit until a lamp went solo
  gain = {};
  say = {};  // by name, how much a light may say in the map, where that is not 1
  exposed = '';  // the lamps that `exposure` is of
  exposure = 1;
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
