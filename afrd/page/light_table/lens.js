// What the round glass under the cursor shows: the same place enlarged, or another layer in its place.
import { make } from '../common/dom.js';
import { colourTable, paintMap } from './maps.js';
import { drawEstimate, ESTIMATES } from './virtual.js';

function choices({ panels, lights, relief }) {  // [key, text]
  const judged = lights.filter(item => item.errors);
  return [['', 'the place enlarged'], ...lights.map(item => [`light:${item.name}`, `light ${item.name}`]),
    ...panels.map((panel, i) => [panel, i]).filter(([panel]) => panel.values)
      .map(([panel, i]) => [`map:${i}`, `map of ${panel.name}`]),
    ...judged.map(item => [`errors:${item.name}`, `error of ${item.name}`]),
    ...judged.map(item => [`shares:${item.name}`, `attention of ${item.name}`]),
    ...(relief?.normals ? ESTIMATES.map(([name, text]) => [`estimate:${name}`, text]) : [])];
}

export const lensStays = ({ scene, view }) => !view.lens || choices(scene).some(([key]) => key === view.lens);

export function lensMenu(table) {
  const { scene, view } = table, known = choices(scene);
  if (!lensStays(table)) view.lens = '';
  return make('select', { class: 'lens', 'aria-label': 'what the loupe shows', title: 'what the loupe shows',
    onchange: event => { view.lens = event.target.value; view.loupe = true; table.draw(); } },
  ...known.map(([key, text]) => make('option', { value: key, selected: key === view.lens }, text)));
}

function painted({ palettes, style, view }, map) {
  const canvas = document.createElement('canvas');
  const colours = map.kind === 'share' ? palettes.share : palettes[view.scale];
  Object.assign(canvas, { width: map.width, height: map.height });
  paintMap(canvas, map, colourTable(colours, map.kind, view.cover, style));
  return canvas;
}

// The pictures one over the other that the glass shows in the place of a stage's own; null: the stage's own.
export function lensLayers(table) {
  const { lamps, pixels, scene, view } = table;
  if (!view.lens) return null;
  if (table.lens) return table.lens;
  const [kind, name] = [view.lens.split(':', 1)[0], view.lens.slice(view.lens.indexOf(':') + 1)];
  const item = scene.lights.find(light => light.name === name);
  if (kind === 'estimate') table.lens = [drawEstimate(table, name)];
  else if (kind === 'light') table.lens = [pixels.get(item.picture).canvas];
  else {
    const map = kind === 'map' ? scene.panels[name].values : item[kind];
    const under = kind === 'map' ? lamps.picture : pixels.get(item.picture).canvas;
    table.lens = map ? [under, painted(table, map)] : [under];
  }
  return table.lens;
}
