// The keyboard: everything that the pointer does.
const KEYS = [
  ['← →', 'previous, next sample'], ['1 … 9', 'lamp on or off'], ['Shift + 1 … 9, or s and 1 … 9', 'lamp solo'],
  ['m', 'outline of the true defect'], ['t', 'outline of what is over the threshold'], ['Space', 'picture or map'],
  ['+ −', 'zoom at the cursor'], ['0', 'whole picture'], ['Shift + arrows', 'move the cursor'], ['Enter', 'pin the place, or show the picture'],
  ['l', 'loupe'], ['v', 'values beside the cursor'], ['Esc', 'take the pin out; else whole picture'], ['?', 'this list'],
];
const POINTER = [['wheel, pinch', 'zoom'], ['drag', 'move the zoomed pictures'], ['double click', 'whole picture'],
  ['click', 'pin a place on a large picture: why?']];
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
let soloNext = 0;  // until when a digit means solo, after `s`

function keyList() {
  const rows = pairs => pairs.map(([keys, what]) => make('tr', {}, make('th', { scope: 'row' }, keys), make('td', {}, what)));
  return make('dialog', { class: 'keys', 'aria-label': 'keys', onclick: event => event.currentTarget.close() },
    make('table', {}, make('tbody', {}, ...rows(KEYS), ...rows(POINTER))), make('button', { type: 'button' }, 'close'));
}

function zoomBy(factor) {
  const [x, y] = place.on ? [place.x, place.y] : [view.left + 0.5 / view.zoom, view.top + 0.5 / view.zoom];
  zoomTo(view.zoom * factor, x, y);
}

function moveCursor([across, down]) {
  const step = 0.02 / view.zoom;
  const stage = place.at ?? stages[0];
  pointAt(place.x + across * step, place.y + down * step, stage);
  const most = 1 / view.zoom;  // the view follows
  moveTo(clamp(view.left, place.x - most, place.x), clamp(view.top, place.y - most, place.y));
}

function flip(name) {
  if (name === 'passed' ? !root.querySelector('.key.passed') : name === 'truth' && !scene.truth) return;
  view[name] = !view[name];
  draw();
}

function pictureOrMap() {
  if (view.cover > 0) { view.covered = view.cover; view.cover = 0; } else { view.cover = view.covered; }
  const slider = root.querySelector('.cover');
  if (slider) slider.value = view.cover;
  soon(paint);
}

function pressed(event) {
  const { key, target } = event;
  if (event.altKey || event.ctrlKey || event.metaKey || !scene?.lights || !root.offsetParent) return;
  if (target.closest?.('input:not([type=checkbox], [type=range]), textarea, select, [role=tab], [role=listbox], [contenteditable], ' +
    '.gallery-box, dialog[open]') || (target.type === 'range' && key.startsWith('Arrow'))) return;
  const onButton = target.closest?.('button, a, summary, input, [role=button]:not(.stage)');
  const digit = /^Digit([1-9])$/.exec(event.code)?.[1] ?? (/^[1-9]$/.test(key) ? key : null);
  if (act()) event.preventDefault();

  function act() {
    if (digit && scene.lights[digit - 1]) {
      const name = scene.lights[digit - 1].name;
      if (event.shiftKey || performance.now() < soloNext) { soloLamp(name); view.relit = true; } else { switchLamp(name); }
      soloNext = 0;
      return sendLamps() ?? true;
    }
    if (ARROWS[key] && event.shiftKey) return moveCursor(ARROWS[key]) ?? true;
    if ((key === 'ArrowLeft' || key === 'ArrowRight') && scene.steps) {
      return root.querySelectorAll('.step')[key === 'ArrowLeft' ? 0 : 1].click() ?? true;
    }
    if (key === 's') { soloNext = performance.now() + 1500; return true; }
    if (key === 'm') return flip('truth') ?? true;
    if (key === 't') return flip('passed') ?? true;
    if (key === 'l') return flip('loupe') ?? true;
    if (key === 'v') return flip('values') ?? true;
    if (key === ' ' && !onButton) return pictureOrMap() ?? true;
    if (key === '+' || key === '=') return zoomBy(1.5) ?? true;
    if (key === '-') return zoomBy(1 / 1.5) ?? true;
    if (key === '0') return zoomTo(1, 0.5, 0.5) ?? true;
    if (key === 'Escape' && scene.pinned) return pin(null) ?? true;
    if (key === 'Escape') return zoomTo(1, 0.5, 0.5) ?? true;
    if (key === '?') return root.querySelector('.keys').showModal() ?? true;
    const stage = stages.find(one => one.box === target);
    if (key === 'Enter' && stage?.light) return showPhotograph(stage.light) ?? true;
    if (key === 'Enter' && place.on && !onButton) return pin(pixel()) ?? true;
    return false;
  }
}

function listenToKeys() {
  const listen = event => root.isConnected ? pressed(event) : document.removeEventListener('keydown', listen);
  document.addEventListener('keydown', listen);
}
