// A virtual lamp: the part relit from the normals and the albedo that photometric stereo gives (afrd.data.relief), as a
// matt surface under a lamp far away. It changes the picture only; the model sees none of it.
import { clamp, make, resize } from '../common/dom.js';
import { linear, LINEAR_STEPS, stored } from './lamps.js';
import { inside, onScreen } from './view.js';

const AMBIENT = 0.04, BRIGHT = 1.2;

// The picture panel's choices beside the photographs and the mixed lamps.
export const ESTIMATES = [['virtual', 'a virtual lamp (estimate)'], ['normals', 'normals (estimate)']];

export const estimated = ({ scene: { relief }, view: { lighting } }) =>
  Boolean(relief?.normals) && ESTIMATES.some(([name]) => name === lighting);

export function direction({ azimuth, height }) {  // x right, y up, z to the camera
  const [a, h] = [azimuth, height].map(degrees => degrees * Math.PI / 180);
  return [Math.cos(h) * Math.cos(a), Math.cos(h) * Math.sin(a), Math.sin(h)];
}

const units = new WeakMap();  // of pictures of normals, whose colours are 0 for -1 and 255 for 1
function unitsOf(normals) {  // x, y, z of each pixel
  if (units.has(normals)) return units.get(normals);
  const { data } = normals, found = new Float32Array(data.length / 4 * 3);
  for (let i = 0, j = 0; j < found.length; i += 4, j += 3) {
    const [x, y, z] = [data[i] - 127.5, data[i + 1] - 127.5, data[i + 2] - 127.5], length = Math.hypot(x, y, z) || 1;
    found[j] = x / length; found[j + 1] = y / length; found[j + 2] = z / length;
  }
  units.set(normals, found);
  return found;
}

// A function that gives a canvas with the part under a lamp; what frames need is made once for a size.
export function shader() {
  const canvas = document.createElement('canvas'), context = canvas.getContext('2d');
  let image = null;
  return (normals, albedo, lamp) => {
    const { width, height } = normals, [x, y, z] = direction(lamp);
    if (image?.width !== width || image?.height !== height) {
      resize(canvas, width, height);
      image = context.createImageData(width, height);
      image.data.fill(255);
    }
    const unit = unitsOf(normals);
    for (let i = 0, j = 0; j < unit.length; i += 4, j += 3) {
      const shine = Math.max(0, unit[j] * x + unit[j + 1] * y + unit[j + 2] * z);
      const light = LINEAR_STEPS * (AMBIENT + BRIGHT * shine);
      for (let c = 0; c < 3; c++) {
        image.data[i + c] = stored[Math.min(LINEAR_STEPS, linear[albedo.data[i + c]] * light | 0)];
      }
    }
    context.putImageData(image, 0, 0);
    return canvas;
  };
}

export function drawEstimate(table, lighting = table.view.lighting) {  // a canvas
  const { pixels, scene: { relief }, shade, view } = table, normals = pixels.get(relief.normals);
  return lighting === 'normals' ? normals.canvas : shade(normals, pixels.get(relief.albedo), view.lamp);
}

export function tellEstimate({ scene: { relief }, view: { lighting } }) {
  const from = `estimated from ${relief.lights.join(', ')} by photometric stereo; the model sees none of it`;
  return lighting === 'normals' ? ['normals: right red, up green, to the camera blue', from]
    : ['under a virtual lamp', `drag it on the picture; ${from}`];
}

// The lamp stands on a half sphere over the picture: its place on the picture is that of the sphere.
function half({ width, height }) { return Math.min(width, height) / 2; }

export function dragLamp(table, stage, event) {
  const { view } = table, place = inside(table, stage, event), reach = half(stage);
  const across = (place.x - 0.5) * stage.width / reach, up = (0.5 - place.y) * stage.height / reach;
  const azimuth = Math.round(Math.atan2(up, across) * 180 / Math.PI);
  view.lamp = { azimuth: (azimuth + 360) % 360,
    height: Math.round(Math.acos(clamp(Math.hypot(across, up), 0, 1)) * 180 / Math.PI) };
  const sliders = table.root.querySelectorAll('.virtual input');
  [view.lamp.azimuth, view.lamp.height].forEach((value, i) => { sliders[i].value = value; });
  table.soon('light');
}

export function drawLamp(table) {  // its mark on the picture
  const mark = table.root.querySelector('.lighting .sun');
  if (!mark) return;
  const stage = table.stages[0], [x, y] = direction(table.view.lamp), reach = half(stage);
  mark.hidden = !estimated(table) || table.view.lighting !== 'virtual';
  const [left, top] = onScreen(table, stage, 0.5 + x * reach / stage.width, 0.5 - y * reach / stage.height);
  mark.style.transform = `translate(${left}px,${top}px)`;
}

export function lampSliders(table) {  // the same from the keyboard
  const { scene, view } = table;
  if (!scene.relief?.normals) return null;
  const slider = (name, label, largest) => make('label', {}, label, make('input', { type: 'range', min: 0, max: largest,
    step: 1, value: view.lamp[name], 'aria-label': `${label} of the virtual lamp, degrees`,
    oninput: event => { view.lamp[name] = +event.target.value; table.soon('light'); } }));
  return make('div', { class: 'virtual', hidden: !estimated(table) || view.lighting !== 'virtual' },
    slider('azimuth', 'direction', 359), slider('height', 'height', 90));
}
