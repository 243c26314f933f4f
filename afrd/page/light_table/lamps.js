// The lamps: light adds up, so the part under any mixture of them is the weighted sum of its pictures in linear light.
// A lamp's switch and solo also decide what the model sees; a dimmer changes the picture alone.
// `before`: what was lit until a lamp went solo; `exposure` is that of the lamps named in `exposed`
// and `picture` the canvas that is seen; until `patience` the server is expected to answer for the lamps in `asked`
const lamps = { lit: new Set(), before: null, gain: {}, exposed: '', exposure: 1, picture: null, asked: '', patience: 0 };
const mixture = document.createElement('canvas');
const linear = Float32Array.from({ length: 256 }, (_, v) =>
  v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
const STEPS = 8192;
const stored = Uint8Array.from({ length: STEPS + 1 }, (_, i) => {
  const light = i / STEPS;
  return Math.round(255 * (light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055));
});

const gainOf = light => lamps.gain[light] ?? 1;

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
function exposure(pictures) {
  const together = highlight(pictures);
  return together > 0 ? Math.max(...pictures.map(picture => highlight([picture]))) / together : 1;
}

function resize(canvas, width, height) {
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
}

const kit = {};  // what every frame of a dimmer needs, made once for a size
function relit(pictures, gains, factor) {  // a canvas with the sum of gain * factor * picture
  const { width, height } = pictures[0];
  if (kit.image?.width !== width || kit.image?.height !== height) {
    resize(mixture, width, height);
    kit.context = mixture.getContext('2d');
    kit.image = kit.context.createImageData(width, height);
    kit.image.data.fill(255);
    kit.sum = new Float32Array(width * height * 3);
  }
  const { sum, image: { data: out } } = kit;
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
    for (let c = 0; c < 3; c++) out[i + c] = stored[Math.min(STEPS, sum[j + c] | 0)];
  }
  kit.context.putImageData(kit.image, 0, 0);
  return mixture;
}

function lampsFrom(tiles, waits) {  // what the server says is lit; a lamp that the run does not know is lit here only
  const told = tiles.filter(tile => tile.usable && tile.on).map(tile => tile.name).join();
  if (told !== lamps.asked && waits && performance.now() < lamps.patience) return false;  // answers an earlier question
  lamps.patience = 0;
  const lit = new Set(tiles.filter(tile => tile.usable ? tile.on : lamps.lit.has(tile.name)).map(tile => tile.name));
  if (lit.size !== lamps.lit.size || [...lit].some(name => !lamps.lit.has(name))) lamps.before = null;
  lamps.lit = lit;
  return true;
}

function switchLamp(name) {
  lamps.lit.has(name) ? lamps.lit.delete(name) : lamps.lit.add(name);
  if (!lamps.lit.size) lamps.before = null;
}

function soloLamp(name) {  // as on a mixing desk: the first press leaves this lamp alone, further ones join it
  if (!lamps.before) {
    lamps.before = lamps.lit;
    lamps.lit = new Set([name]);
  } else if (!lamps.lit.has(name)) {
    lamps.lit.add(name);
  } else if (lamps.lit.size > 1) {
    lamps.lit.delete(name);
  } else {
    lamps.lit = lamps.before;
    lamps.before = null;
  }
}
