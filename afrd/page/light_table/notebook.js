// The light table in a notebook's cell, for anywidget: the model holds the scene, and the traits that Python reads and
// sets (`lights`, `sample`, `pinned`, `fusion`, `weights`, `beside_fusion`).
import { render } from './table.js';

const FUSING = ['fusion', 'weights', 'beside_fusion'];

export function show({ model, el }) {
  const node = document.createElement('div');
  node.className = 'afrd-table';
  node.dataset.lmSuppressShortcuts = 'true';  // of JupyterLab, while the table has the focus
  el.replaceChildren(node);
  for (const saved of document.querySelectorAll(`[data-afrd-saved="${model.get('_name')}"]`)) saved.hidden = true;
  let scene = null;
  const litOf = () => scene.lights.filter(item => item.usable && item.on).map(item => item.name);
  const read = () => (scene = { ...JSON.parse(model.get('_scene')), fusion: JSON.parse(model.get('_fusion')) });
  const fusing = () => Object.fromEntries(FUSING.map(name => [name, model.get(name)]));
  let told = JSON.stringify(fusing());  // what the table does
  const emit = (event, { by, lights, place, ...fused }) => {
    if (event === 'step') model.set('sample', (model.get('sample') + by + model.get('_count')) % model.get('_count'));
    else if (event === 'pinned') model.set('pinned', place);
    else if (event === 'fused') {
      told = JSON.stringify(fused);
      for (const [name, value] of Object.entries(fused)) model.set(name, value);
    } else if (event !== 'shown') model.set('lights', lights);
    model.save_changes();
  };
  const table = render(node, read(), { emit, style: STYLE, keys: node });
  table.fuse(fusing());
  const fuse = () => {
    if (JSON.stringify(fusing()) === told) return;
    told = JSON.stringify(fusing());
    table.fuse(fusing());
  };
  const follow = {
    ...Object.fromEntries(FUSING.map(name => [`change:${name}`, fuse])),
    'change:_scene': () => table.update(read()),
    'change:lights': () => {
      const lights = model.get('lights');
      if (lights.join() === litOf().join()) return;
      for (const item of scene.lights) item.on = item.usable && lights.includes(item.name);
      table.update(scene);
    },
    'change:pinned': () => {
      const place = model.get('pinned');
      if (place.join() === (scene.pinned ?? []).join()) return;
      scene.pinned = place.length ? place : null;
      table.update(scene);
    },
  };
  for (const [event, act] of Object.entries(follow)) model.on(event, act);
  return () => {
    for (const [event, act] of Object.entries(follow)) model.off(event, act);
    table.destroy();
  };
}
