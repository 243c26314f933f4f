// Stages: pictures with a map over them, all at one zoom and with one pin. A place is x, y in 0..1 of the picture.
import { clamp, make, percent, resize } from '../common/dom.js';

const ZOOM = 16;

// A picture, a map over it, lines, and what the cursor says. `source` gives the picture's canvas; `units`: whether its
// maps are errors in units of a threshold.
export function stage(table, source, map, { title, light = null, large = false, units = false }) {
  const { scene, view } = table, canvas = make('canvas'), loupe = make('canvas', { class: 'loupe' });
  const [cross, mark, reading] = ['cross', 'mark', 'reading'].map(name =>
    make('span', { class: name, 'aria-hidden': 'true' }));
  const box = make('div', { class: 'stage', style: `aspect-ratio:${scene.size[1]}/${scene.size[0]}`, tabindex: 0,
    role: light ? 'button' : 'img', 'aria-label': title, 'data-key': title }, canvas);
  const lines = kind => {
    box.insertAdjacentHTML('beforeend', `<svg class="lines ${kind}" preserveAspectRatio="none" aria-hidden="true">` +
      '<path class="edge"/><path/></svg>');
    return box.lastChild;
  };
  const outside = scene.region?.outline ? lines('outside') : null;
  if (outside) outside.lastChild.setAttribute('d', `M0 0H${scene.size[1]}V${scene.size[0]}H0Z${scene.region.outline}`);
  const truth = view.truth && scene.truth ? lines('truth') : null;
  if (truth) for (const path of truth.children) path.setAttribute('d', scene.truth);
  const passed = units ? lines('passed') : null;
  const sketch = table.drawing && large ? lines('sketch') : null;
  sketch?.insertAdjacentHTML('beforeend', '<path class="corner"/><path class="corner chosen"/>');
  box.append(mark, loupe, cross, reading);
  const made = { box, source, canvas, base: canvas, layer: null, outside, truth, passed, sketch, loupe, cross, mark,
    reading, light, large, dark: false };
  showMap(made, map);
  table.stages.push(made);
  return box;
}

export function showMap(stage, map) {  // over a stage's picture; null: none
  const { canvas } = stage, { width, height } = canvas;
  const shown = map ? stage.over ??= { layer: make('canvas', { width: map.width, height: map.height }),
    base: make('canvas') } : { layer: null, base: canvas };
  resize(shown.base, width, height);
  canvas.className = map ? 'map' : 'picture';
  Object.assign(stage, shown, { map, painted: null, outlined: null, fresh: true, stale: true });
}

export const stageOf = (table, event) => table.stages.find(one => one.box === event.target.closest?.('.stage'));

export function inside({ view }, { box }, { clientX, clientY }) {  // the place under the pointer
  const area = box.getBoundingClientRect();
  return {
    x: clamp(view.left + (clientX - area.left) / area.width / view.zoom, 0, 0.99999),
    y: clamp(view.top + (clientY - area.top) / area.height / view.zoom, 0, 0.99999),
  };
}

export function onScreen({ view }, { width, height }, x, y) {  // pixels in the stage
  return [(x - view.left) * view.zoom * width, (y - view.top) * view.zoom * height];
}

export function zoomTo(table, zoom, x, y) {  // keeps the place x, y where it is on the screen
  const { view } = table, wanted = clamp(zoom, 1, ZOOM);
  const across = (x - view.left) * view.zoom, down = (y - view.top) * view.zoom;
  view.zoom = wanted;
  moveTo(table, x - across / wanted, y - down / wanted);
}

export const wholePicture = table => zoomTo(table, 1, 0.5, 0.5);

export function zoomBy(table, factor) {
  const { place, view } = table;
  const [x, y] = place.on ? [place.x, place.y] : [view.left + 0.5 / view.zoom, view.top + 0.5 / view.zoom];
  zoomTo(table, view.zoom * factor, x, y);
}

export function moveTo(table, left, top) {
  const { view } = table, most = 1 - 1 / view.zoom;
  Object.assign(view, { left: clamp(left, 0, most), top: clamp(top, 0, most) });
  table.soon('all', 'cursor');
}

// Pictures and maps are drawn at the screen's own resolution, so that the browser need not scale them in every frame.
// Under a map lies `base`, the picture alone, which is drawn anew where that is `fresh`.
function drawStage({ view }, stage, fresh = true) {
  const { canvas, base, layer, source, dark } = stage;
  if (!canvas.width || !base.width) return;  // under another tab, where nothing has a size
  Object.assign(stage, { fresh: false, stale: false });
  const part = 1 / view.zoom;
  const draw = (context, image, smooth) => {
    context.imageSmoothingQuality = smooth;
    context.drawImage(image, view.left * image.width, view.top * image.height, part * image.width, part * image.height,
      0, 0, canvas.width, canvas.height);
  };
  if (fresh) {
    const context = base.getContext('2d', { alpha: false }), picture = source();
    context.fillRect(0, 0, base.width, base.height);
    context.globalAlpha = dark ? 0.36 : 1;
    draw(context, picture, picture.width > 1.5 * view.zoom * canvas.width ? 'medium' : 'low');
    context.globalAlpha = 1;
  }
  if (!layer) return;
  const context = canvas.getContext('2d', { alpha: false });
  context.drawImage(base, 0, 0);
  draw(context, layer, 'low');
}

export const drawLarge = table => table.stages.forEach(stage => { if (stage.large) drawStage(table, stage); });
export const drawMaps = table => table.stages.forEach(stage => {  // those that are not what they should be
  if (stage.stale) drawStage(table, stage, stage.fresh);
});

export function drawWhole(table, stage) {
  const { scene, view } = table, [high, wide] = scene.size;
  const box = `${view.left * wide} ${view.top * high} ${wide / view.zoom} ${high / view.zoom}`;
  drawStage(table, stage);
  for (const lines of [stage.outside, stage.truth, stage.passed, stage.sketch]) lines?.setAttribute('viewBox', box);
  drawPin(table, stage);
}

export function drawAll(table) {
  const { root, stages, view } = table;
  stages.forEach(stage => drawWhole(table, stage));
  root.classList.toggle('zoomed', view.zoom > 1);
  root.querySelector('.percent').textContent = percent(view.zoom);
}

function drawPin(table, stage) {
  const { pinned, size } = table.scene;
  stage.mark.hidden = !pinned;
  if (!pinned) return;
  const [x, y] = onScreen(table, stage, (pinned[0] + 0.5) / size[1], (pinned[1] + 0.5) / size[0]);
  stage.mark.style.transform = `translate(${x}px,${y}px)`;
}

export const drawPins = table => table.stages.forEach(stage => drawPin(table, stage));

export function fit(table, stage, width, height) {  // pixels of the page
  const sharp = Math.min(2, window.devicePixelRatio || 1);
  const side = Math.round(table.view.lens ? clamp(width / 2.4, 40, 150) : clamp(width / 3, 30, 104));
  Object.assign(stage, { width, height, side });
  const [wide, high] = [width, height].map(length => Math.round(sharp * length));
  for (const canvas of [stage.canvas, stage.base]) resize(canvas, wide, high);
  resize(stage.loupe, side, side);
}

export function measure(table) {
  for (const stage of table.stages) fit(table, stage, stage.box.clientWidth, stage.box.clientHeight);
  table.soon('all', 'cursor');
}
