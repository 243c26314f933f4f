// One cursor, one zoom and one pin for all pictures. A place is x, y in 0..1 of the picture.
const ZOOM = 16, LOUPE = 8;  // the largest zoom; the loupe shows this part of what a stage shows
const place = { x: 0.5, y: 0.5, on: false, at: null };  // `at`: the stage under the pointer
const pointers = new Map();  // those that are down, to tell a click, a drag and a pinch apart
let gesture = null;
let pinning = 0;
let stages = [];  // see `stage` in light_table.js

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

function inside(stage, { clientX, clientY }) {  // the place under the pointer
  const area = stage.box.getBoundingClientRect();
  return {
    x: clamp(view.left + (clientX - area.left) / area.width / view.zoom, 0, 0.99999),
    y: clamp(view.top + (clientY - area.top) / area.height / view.zoom, 0, 0.99999),
  };
}

function zoomTo(zoom, x, y) {  // keeps the place x, y where it is on the screen
  const wanted = clamp(zoom, 1, ZOOM);
  const across = (x - view.left) * view.zoom, down = (y - view.top) * view.zoom;
  view.zoom = wanted;
  moveTo(x - across / wanted, y - down / wanted);
}

function moveTo(left, top) {
  const most = 1 - 1 / view.zoom;
  view.left = clamp(left, 0, most); view.top = clamp(top, 0, most);
  soon(drawAll); soon(drawCursor);
}

// Pictures and maps are drawn at the screen's own resolution, so that the browser need not scale them in every frame.
function drawStage(stage, fresh = true) {
  const { canvas, base, layer } = stage;
  if (!canvas.width || !base.width) return;  // under another tab, where nothing has a size
  const part = 1 / view.zoom;
  const draw = (context, image, smooth) => {
    context.imageSmoothingQuality = smooth;
    context.drawImage(image, view.left * image.width, view.top * image.height, part * image.width, part * image.height,
      0, 0, canvas.width, canvas.height);
  };
  if (fresh) {
    const context = base.getContext('2d', { alpha: false }), picture = stage.source();
    context.globalAlpha = 1;
    context.fillRect(0, 0, base.width, base.height);
    context.globalAlpha = stage.dark ? 0.36 : 1;
    draw(context, picture, picture.width > 1.5 * view.zoom * canvas.width ? 'medium' : 'low');
  }
  if (!layer) return;
  const context = canvas.getContext('2d', { alpha: false });
  context.drawImage(base, 0, 0);
  draw(context, layer, 'low');
}

const drawLarge = () => stages.forEach(stage => { if (stage.large) drawStage(stage); });
const drawMaps = () => stages.forEach(stage => { if (stage.layer) drawStage(stage, false); });

function drawAll() {
  const [high, wide] = scene.size;
  const box = `${view.left * wide} ${view.top * high} ${wide / view.zoom} ${high / view.zoom}`;
  for (const stage of stages) {
    drawStage(stage);
    for (const lines of [stage.truth, stage.passed]) lines?.setAttribute('viewBox', box);
  }
  root.classList.toggle('zoomed', view.zoom > 1);
  root.querySelector('.percent').textContent = percent(view.zoom);
  drawPins();
}

function onScreen(stage, x, y) {  // pixels in the stage
  return [(x - view.left) * view.zoom * stage.width, (y - view.top) * view.zoom * stage.height];
}

function measure() {
  const sharp = Math.min(2, window.devicePixelRatio || 1);
  for (const stage of stages) {
    stage.width = stage.box.clientWidth; stage.height = stage.box.clientHeight;
    for (const canvas of [stage.canvas, stage.base]) resize(canvas, Math.round(sharp * stage.width), Math.round(sharp * stage.height));
    stage.side = Math.round(clamp(stage.width / 3, 30, 104));
    resize(stage.loupe, stage.side, stage.side);
  }
  soon(drawAll); soon(drawCursor);
}

function drawPins() {
  const pinned = scene.pinned;
  for (const stage of stages) {
    stage.mark.hidden = !pinned;
    if (!pinned) continue;
    const [x, y] = onScreen(stage, (pinned[0] + 0.5) / scene.size[1], (pinned[1] + 0.5) / scene.size[0]);
    stage.mark.style.transform = `translate(${x}px,${y}px)`;
  }
}

function drawCursor() {
  root.classList.toggle('at', place.on);
  root.classList.toggle('magnified', view.loupe);
  if (!place.on) return;
  const beside = place.at && { area: place.at.box.getBoundingClientRect(), whole: root.getBoundingClientRect() };
  for (const stage of stages) {
    const [x, y] = onScreen(stage, place.x, place.y);
    stage.cross.style.transform = `translate(${x}px,${y}px)`;
    drawLoupe(stage, x, y);
    const text = stage.map ? valueText(stage.map, place.x, place.y) : stage.large ? placeText() : '';
    if (stage.said !== text) stage.reading.textContent = stage.said = text;
    if (!text) continue;
    const gap = view.loupe ? stage.side / 2 + 4 : 12, wide = widthOf(text);
    const [right, left] = [x + gap + wide < stage.width, x - gap - wide > 0];  // beside the cursor, else below or above
    const across = right ? x + gap : left ? x - gap - wide : clamp(x - wide / 2, 0, Math.max(0, stage.width - wide));
    const down = right || left ? y - 9 : y + gap + 18 < stage.height ? y + gap : y - gap - 18;
    stage.reading.style.transform = `translate(${across}px,${clamp(down, 2, stage.height - 20)}px)`;
  }
  drawValues(beside);
}

const widthOf = text => 6.7 * text.length + 13;  // of a reading; to ask the browser would cost a layout each time

function drawLoupe(stage, x, y) {
  const { loupe, side } = stage;
  loupe.hidden = !view.loupe;
  if (!view.loupe || !side) return;
  loupe.style.transform = `translate(${x - side / 2}px,${y - side / 2}px)`;
  const context = loupe.getContext('2d');
  const wide = 1 / view.zoom / LOUPE, high = wide * stage.width / stage.height;  // parts of the picture
  context.globalCompositeOperation = 'copy';
  for (const layer of [stage.source(), stage.layer]) {
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

// The round glass, and its rim with the place marked in the middle: drawn once, because round corners and shadows of the
// browser cost more than all the rest of a frame.
const shapes = new Map();
function loupeShape(side) {
  if (!shapes.has(side)) {
    const middle = side / 2;
    shapes.set(side, [[['#000', middle - 2, 0]], [['#000a', middle - 0.9, 1], ['#fff', middle - 2, 1.6], ['#000a', 4.6, 1], ['#fff', 3.4, 1.5]]].map(rings => {
      const shape = make('canvas', { width: side, height: side }), context = shape.getContext('2d');
      for (const [colour, radius, width] of rings) {
        Object.assign(context, { fillStyle: colour, strokeStyle: colour, lineWidth: width });
        context.beginPath();
        context.arc(middle, middle, radius, 0, 7);
        width ? context.stroke() : context.fill();
      }
      return shape;
    }));
  }
  return shapes.get(side);
}

const pixel = () => [Math.floor(place.x * scene.size[1]), Math.floor(place.y * scene.size[0])];
const placeText = () => { const [x, y] = pixel(); return `x ${x}, y ${y}`; };

function colourAt(picture, x, y) {
  const column = Math.min(picture.width - 1, Math.floor(x * picture.width));
  const row = Math.min(picture.height - 1, Math.floor(y * picture.height));
  const at = 4 * (row * picture.width + column);
  return [...picture.data.subarray(at, at + 3)];
}

// What stands beside the cursor: every light's colour, error and attention, and the evidence of the maps.
function valueTable() {
  const judged = scene.lights.some(item => item.error), alone = scene.lights.some(item => item.single);
  const heads = ['', 'light', 'R G B', ...(judged ? ['error', 'attn'] : []), ...(alone ? ['RD'] : [])];
  const rows = scene.lights.map(item => ({ item, swatch: make('i'), cells: heads.slice(2).map(() => make('td')) }));
  const maps = scene.panels.filter(panel => panel.values).map(panel => ({ panel, line: make('p') }));
  const spot = make('p');
  const card = make('div', { class: 'values', 'aria-hidden': 'true' }, spot, ...maps.map(({ line }) => line), make('table', {},
    make('tr', {}, ...heads.map(text => make('th', {}, text))),
    ...rows.map(({ item, swatch, cells }) => make('tr', {}, make('td', {}, swatch), make('td', {}, item.name), ...cells))));
  return { card, spot, maps, rows, judged, alone };
}

function drawValues(beside) {
  const { card, spot, maps, rows, judged, alone } = table;
  card.hidden = !view.values || !beside || gesture?.moved === true;
  if (card.hidden) return;
  spot.textContent = placeText();
  for (const { panel, line } of maps) {
    const over = panel.units && valueAt(panel.values, place.x, place.y) > view.level;
    line.textContent = `${panel.method} ${valueText(panel.values, place.x, place.y)}` +
      (panel.units ? ` × threshold${over ? ' ▲' : ''}` : '');
  }
  for (const { item, swatch, cells } of rows) {
    const colour = colourAt(kept.get(item.picture), place.x, place.y);
    swatch.style.background = `rgb(${colour.join(',')})`;
    const read = map => map ? valueText(map, place.x, place.y) : '–';
    const texts = [colour.join(' '), ...(judged ? [read(item.errors), read(item.shares)] : []),
      ...(alone ? [read(item.singles)] : [])];
    texts.forEach((text, i) => { if (cells[i].textContent !== text) cells[i].textContent = text; });
  }
  table.size ??= [card.offsetWidth, card.offsetHeight];
  const [wide, high] = table.size, { area, whole } = beside;
  const [x, y] = onScreen(place.at, place.x, place.y);
  const gap = (view.loupe ? place.at.side / 2 : 8) + 8;  // below or above, so that the other pictures show this place
  const left = clamp(area.left - whole.left + x + 12, 0, Math.max(0, whole.width - wide));
  const below = area.top - whole.top + y + gap;
  const top = area.top + y + gap + high < window.innerHeight ? below : below - 2 * gap - high;
  card.style.transform = `translate(${left}px,${top}px)`;
}

function tellValues() {  // to a screen reader, when the cursor rests
  const maps = scene.panels.filter(panel => panel.values)
    .map(panel => `${panel.method} ${valueText(panel.values, place.x, place.y)}${panel.units ? ' times the threshold' : ''}`);
  const lights = scene.lights.filter(item => item.errors).map(item =>
    `${item.name} error ${valueText(item.errors, place.x, place.y)}, attention ${valueText(item.shares, place.x, place.y)}`);
  said.textContent = [placeText(), ...maps, ...lights].join('; ');
}

let telling = 0;
function pointAt(x, y, at) {
  Object.assign(place, { x: clamp(x, 0, 0.99999), y: clamp(y, 0, 0.99999), on: true, at });
  soon(drawCursor);
  clearTimeout(telling);
  telling = setTimeout(tellValues, 600);
}

function pointNowhere() {
  if (!place.on) return;
  Object.assign(place, { on: false, at: null });
  clearTimeout(telling);
  soon(drawCursor);
}

const stageOf = event => stages.find(stage => stage.box === event.target.closest?.('.stage'));

function pointerMoved(event) {
  if (pointers.has(event.pointerId)) pointers.set(event.pointerId, event);
  const stage = gesture?.stage ?? stageOf(event);
  if (!stage) return pointNowhere();
  if (gesture && pointers.size === 2) return pinch(stage);
  if (gesture && pointers.size === 1) {
    const across = event.clientX - gesture.clientX, down = event.clientY - gesture.clientY;
    if (Math.hypot(across, down) > 4) gesture.moved = true;
    if (gesture.moved && view.zoom > 1) {
      moveTo(gesture.left - across / stage.width / view.zoom, gesture.top - down / stage.height / view.zoom);
    }
  }
  const { x, y } = inside(stage, event);
  pointAt(x, y, stage);
}

function pinch(stage) {
  const [a, b] = [...pointers.values()];
  const middle = { clientX: (a.clientX + b.clientX) / 2, clientY: (a.clientY + b.clientY) / 2 };
  const apart = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
  const here = inside(stage, middle);
  if (gesture.apart) {
    view.left += gesture.middle.x - here.x; view.top += gesture.middle.y - here.y;
    zoomTo(view.zoom * apart / gesture.apart, gesture.middle.x, gesture.middle.y);
  }
  Object.assign(gesture, { apart, moved: true, middle: inside(stage, middle) });
  pointNowhere();
}

function pointerDown(event) {
  const stage = stageOf(event);
  if (!stage && event.pointerType === 'touch') pointNowhere();
  if (!stage || event.button) return;
  pointers.set(event.pointerId, event);
  if (pointers.size === 1) {
    gesture = { stage, moved: false, clientX: event.clientX, clientY: event.clientY, left: view.left, top: view.top };
  } else {
    for (const id of pointers.keys()) stage.box.setPointerCapture?.(id);
  }
}

function pointerUp(event) {
  if (!pointers.delete(event.pointerId) || !gesture) return;
  const { stage, moved } = gesture;
  if (pointers.size) { gesture.apart = null; return; }
  gesture = null;
  if (event.type === 'pointercancel' || moved || stageOf(event) !== stage) return soon(drawCursor);
  const { x, y } = inside(stage, event);
  pointAt(x, y, stage);
  clicked(stage);
}

function clicked(stage) {  // a picture of the strip comes to the large ones; a place on a large one is pinned
  stage.box.focus({ preventScroll: true });
  if (stage.light) return showPhotograph(stage.light);
  clearTimeout(pinning);
  pinning = setTimeout(() => pin(pixel()), 230);  // unless it becomes a double click
}

function pin(at) {
  const there = scene.pinned && at && scene.pinned[0] === at[0] && scene.pinned[1] === at[1];
  scene.pinned = there ? null : at;
  scene.why = scene.pinned && scene.panels[0].map ? { waiting: true } : null;
  drawPins();
  drawWhy();
  trigger('pinned', { place: scene.pinned ?? [] });
}

function wheeled(event) {
  const stage = stageOf(event);
  if (!stage || (view.zoom === 1 && event.deltaY >= 0)) return;  // zoomed out already: the page scrolls
  event.preventDefault();
  const { x, y } = inside(stage, event);
  zoomTo(view.zoom * Math.exp(-clamp(event.deltaY, -120, 120) * 0.0025), x, y);
  pointAt(x, y, stage);
}

function doubleClicked(event) {
  if (!stageOf(event)) return;
  clearTimeout(pinning);
  zoomTo(1, 0.5, 0.5);
}

function listenToPointers() {
  root.addEventListener('pointermove', pointerMoved);
  root.addEventListener('pointerleave', event => { if (!gesture && event.pointerType !== 'touch') pointNowhere(); });
  root.addEventListener('pointerdown', pointerDown);
  window.addEventListener('pointerup', pointerUp);
  window.addEventListener('pointercancel', pointerUp);
  root.addEventListener('wheel', wheeled, { passive: false });
  root.addEventListener('dblclick', doubleClicked);
  new ResizeObserver(measure).observe(root);
}
