// What the server answers of the pinned place: why the map is what it is there, light by light.
const told = { why: '' };  // to a screen reader
function drawWhy() {
  const why = scene.why;
  const old = root.querySelector('.why');
  if (!why) return old.replaceChildren();
  const close = make('button', { type: 'button', class: 'quiet', 'aria-label': 'take the pin out', title: 'take the pin out (Esc)',
    onclick: () => pin(null) }, '✕');
  const [x, y] = scene.pinned;
  const head = text => make('header', {}, make('h3', {}, `Why, at x ${x}, y ${y}`), make('span', { class: 'small' }, text), close);
  if (why.waiting) return old.replaceChildren(head('asking the model …'));
  if (why.summary !== told.why) said.textContent = told.why = why.summary ?? why.problem;
  if (why.problem) return old.replaceChildren(head(why.problem));
  old.replaceChildren(head(why.summary), reasonTable(why),
    make('p', { class: 'small' }, why.note));
}

function reasonTable(why) {
  const most = Math.max(...why.lights.map(light => light.error), 1e-9);
  const similar = why.lights.some(light => light.neighbours.length);
  const heads = [['light'], ['here', 'the place under this light, enlarged'],
    ['attention', 'its weight in the map here; over the lights the weights sum to 1. Below: the contrast of its picture here, in grey levels'],
    [`error${why.unit}`, 'the light’s error here, and how much of it is of each of the teacher’s scales'],
    ['of the map', 'attention × error: what the light adds to the map here'],
    ...(similar ? [['most similar places of good parts', 'under the same light, with their distance; beside it how far they are from each other']] : [])];
  return make('table', {}, make('thead', {}, make('tr', {}, ...heads.map(([text, title]) => make('th', { title, scope: 'col' }, text)))),
    make('tbody', {}, ...why.lights.map(light => make('tr', {},
      make('th', { scope: 'row' }, light.name),
      make('td', { class: 'here' }, make('img', { src: light.patch, alt: `the place under ${light.name}`, width: 44, height: 44 }),
        make('small', {}, light.colour.join(' '))),
      make('td', { class: 'number' }, light.attention.toFixed(2), bars([light.attention]),
        make('small', {}, `contrast ${light.contrast.toFixed(0)}`)),
      make('td', { class: 'number' }, light.error.toFixed(2), bars((light.scales.length ? light.scales : [light.error]).map(s => s / most)),
        light.scales.length ? make('small', {}, light.scales.map((s, i) => `1/${why.strides[i]} ${s.toFixed(2)}`).join(' + ')) : null,
        light.scales.length && light.distance ? make('small', {}, `, memory ${light.distance.toFixed(2)}`) : null),
      make('td', { class: 'number' }, `${Math.round(100 * light.part)} %`, bars([light.part])),
      similar ? make('td', {}, make('div', { class: 'similar' }, ...light.neighbours.map(near => make('figure', {},
        make('img', { src: near.patch, alt: `good part ${near.sample} at x ${near.x}, y ${near.y}`, width: 44, height: 44,
          title: `${near.sample}, x ${near.x}, y ${near.y}` }),
        make('figcaption', {}, near.distance.toFixed(2)))), make('small', {}, light.spread ? `± ${light.spread.toFixed(2)}` : ''))) : null))));
}

function bars(parts) {
  return make('span', { class: 'parts' }, ...parts.map(part => make('i', { style: `width:${100 * Math.min(1, part)}%` })));
}
