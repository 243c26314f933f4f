// The strip of samples: thumbnails with scores and verdicts, drawn from the JSON that strip.py makes.
import { clamp, make } from '../common/dom.js';

const box = element.querySelector('.strip-box');
let stamp = 0, chosen = null;
let picked = null, since = 0;  // what was picked last, and when: answers to earlier picks do not take the reader back

function thumb(sample) {
  const current = sample.id === chosen;
  const score = sample.exact || (sample.score && `score ${sample.score}`);
  const label = [`${sample.name}, ${sample.what}`, score, sample.verdict, sample.mark].filter(Boolean).join(', ');
  const wrong = sample.mark === 'missed' || sample.mark === 'false alarm';
  return make('button', { type: 'button', class: `thumb ${sample.verdict || ''}`, title: label, 'aria-label': label,
    'aria-pressed': current ? 'true' : 'false', tabindex: current ? '0' : '-1', 'data-id': sample.id,
    onclick: () => pick(sample.id) },
  make('span', { class: 'frame' }, make('img', { src: sample.picture, alt: '', draggable: 'false' }),
    sample.score ? make('span', { class: 'score' }, sample.score) : null,
    wrong ? make('span', { class: 'wrong' }, sample.mark) : null),
  make('span', { class: 'caption' }, `${sample.name} · ${sample.what}`));
}

function mark(id, focus) {
  chosen = id;
  for (const button of box.querySelectorAll('.thumb')) {
    const current = button.dataset.id === id;
    button.setAttribute('aria-pressed', current ? 'true' : 'false');
    button.tabIndex = current ? 0 : -1;
    if (current && focus) button.focus();
    if (current) reveal(button);
  }
  const first = box.querySelector('.thumb');
  if (first && !box.querySelector('.thumb[tabindex="0"]')) first.tabIndex = 0;
}

function reveal(button) {  // scrolls the strip alone, not the page
  const frame = box.querySelector('.thumbs');
  const [area, place] = [frame, button].map(node => node.getBoundingClientRect());
  const middle = ({ left, top, width, height }) => [left + width / 2, top + height / 2];
  const [[x, y], [across, down]] = [area, place].map(middle);
  if (place.top < area.top || place.bottom > area.bottom) frame.scrollTop += down - y;
  if (place.left < area.left || place.right > area.right) frame.scrollLeft += across - x;
}

function pick(id, focus = false) {
  [picked, since] = [id, performance.now()];
  mark(id, focus);
  trigger('pick', { sample: id });
}

function work(event) {
  event.target.disabled = true;
  trigger('work', {});
}

function draw() {
  const content = props.value ? JSON.parse(props.value) : { samples: [] };
  if (content.stamp < stamp) return;  // an answer that a later one has overtaken
  stamp = content.stamp || 0;
  if (content.selected === picked || performance.now() - since > 5000) picked = null;
  chosen = content.samples.some(sample => sample.id === picked) ? picked : content.selected;
  const held = box.contains(document.activeElement);
  const place = box.querySelector('.thumbs');
  const [top, left] = place ? [place.scrollTop, place.scrollLeft] : [0, 0];
  box.replaceChildren(...[
    content.note ? make('p', { class: 'empty' }, content.note) : null,
    make('div', { class: 'thumbs' }, ...content.samples.map(thumb)),
    content.wait ? make('div', { class: 'wait' }, make('span', {}, content.wait),
      make('button', { type: 'button', onclick: work }, 'Work them out')) : null,
  ].filter(Boolean));
  Object.assign(box.querySelector('.thumbs'), { scrollTop: top, scrollLeft: left });
  mark(chosen, held);
}

box.addEventListener('keydown', event => {
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1, Home: -Infinity, End: Infinity }[event.key];
  const buttons = [...box.querySelectorAll('.thumb')], at = buttons.indexOf(event.target);
  if (by === undefined || at < 0) return;
  event.preventDefault();
  const step = event.key === 'ArrowUp' || event.key === 'ArrowDown' ? by * columns(buttons) : by;
  const next = buttons[clamp(at + step, 0, buttons.length - 1)];
  if (next !== event.target) pick(next.dataset.id, true);
});

function columns(buttons) {
  const row = buttons.filter(button => button.offsetTop === buttons[0].offsetTop).length;
  return row === buttons.length ? 1 : row;  // a strip of one row has no line above
}

// Only what is laid out can be scrolled to: the strip may have been drawn under another tab.
new ResizeObserver(() => {
  const button = box.querySelector('.thumb[aria-pressed=true]');
  if (button) reveal(button);
}).observe(box);
watch('value', draw);
draw();
