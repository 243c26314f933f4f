// The light table in a file of its own: some samples of one run, without a server.
import { make } from '../common/dom.js';
import { render } from './table.js';

let at = Math.max(0, SCENES.findIndex(({ header }) => header.kind === 'anomalous'));  // the sample that is shown
let lit = null, shown = null;  // the lamps and the photograph that stay from sample to sample

function scene(number) {
  // the table fills it with what it works out
  const sample = { ...structuredClone(SCENES[number]), fusion: FUSION };
  if (sample.beside && !sample.beside.same) sample.beside.fusion = BESIDE;
  if (lit) for (const item of sample.lights) item.on = item.usable && lit.includes(item.name);
  if (shown) sample.shown = shown;
  return sample;
}

function show(number) {
  at = (number + SCENES.length) % SCENES.length;
  table.update(scene(at));
  mark();
}

function mark() {
  tiles.forEach((tile, number) => tile.setAttribute('aria-pressed', String(number === at)));
  tiles[at].scrollIntoView({ block: 'nearest', inline: 'nearest' });
}

function emit(event, { by, light, lights }) {
  if (event === 'step') show(at + by);
  else if (event === 'lit' || event === 'lights') lit = lights;
  else if (event === 'shown') shown = light;
}

const tiles = SCENES.map(({ header, lights, shown: name }, number) => make('button',
  { type: 'button', class: header.kind, onclick: () => show(number) },
  make('img', { src: lights.find(light => light.name === name).picture, alt: '' }),
  `${header.name}: ${header.truth.replace('anomalous: ', '')}`));
document.querySelector('.samples').append(...tiles);

const night = window.matchMedia('(prefers-color-scheme: dark)');
const follow = () => document.documentElement.classList.toggle('dark', night.matches);
night.addEventListener('change', follow);
follow();
const table = render(document.querySelector('.light-table'), scene(at), { emit, style: STYLE });
mark();
