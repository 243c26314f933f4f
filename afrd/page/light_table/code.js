// The shown view as Python for a notebook, in three lines. JSON of texts and lists of texts is Python, too.
import { make } from '../common/dom.js';

const text = JSON.stringify, list = names => `[${names.map(text).join(', ')}]`;

export function codeOf({ lamps, scene, view }) {
  const { run, beside, root, category, views, split, sample, index } = scene.code;
  const all = scene.lights.filter(item => item.usable), on = all.filter(item => item.on).map(item => item.name);
  const few = on.length < all.length ? [`lights=${list(on)}`] : [];
  const named = [root, category].map(text).join(', ') + (views.length ? `, views=${list(views)}` : '');
  const data = `afrd.open_dataset(${named})[${text(split)}]`;
  if (!run) return `import afrd\nsample = ${data}[${index}]\nafrd.light_table(${['sample', ...few].join(', ')})\n`;
  const opened = `afrd.load_run(${text(run)})`;
  if (!scene.fusion) {
    return `import afrd\nrun, sample = ${opened}, ${data}[${index}]\n` +
      `afrd.light_table(${['sample', 'run=run', ...few].join(', ')})\n`;
  }
  const weights = Object.entries(lamps.said()).map(([name, part]) => `${text(name)}: ${part}`);
  const options = [`sample=${text(sample)}`, ...few,
    ...(view.fusion === scene.fusion.how ? [] : [`fusion=${text(view.fusion)}`]),
    ...(weights.length ? [`weights={${weights.join(', ')}}`] : []),
    ...(beside ? [`beside=${beside === run ? 'run' : `afrd.load_run(${text(beside)})`}`] : []),
    ...(scene.beside ? [`beside_fusion=${text(view.besideFusion)}`] : []),
    ...(scene.pinned ? [`pinned=[${scene.pinned.join(', ')}]`] : [])];
  return `import afrd\nrun, data = ${opened}, ${data}\nafrd.explore(run, data, ${options.join(', ')})\n`;
}

async function copied(area) {
  try {
    await navigator.clipboard.writeText(area.value);
    return true;
  } catch {  // not allowed, or a page without encryption
    area.select();
    return document.execCommand('copy');
  }
}

export async function copyCode(table) {
  if (!table.scene.code) return;
  const dialog = table.root.querySelector('.code'), [told, area] = dialog.children;
  area.value = codeOf(table);
  dialog.showModal();
  const done = await copied(area);
  told.textContent = (done ? 'Copied; in a notebook it shows this view.' : 'To be copied; it shows this view in a ' +
    'notebook.') + (table.scene.code.elsewhere ? ' Its folders are those of the machine that made this file.' : '');
}

export function codeBox() {
  return make('dialog', { class: 'box code', 'aria-label': 'this view as Python code' },
    make('p', { role: 'status' }),
    make('textarea', { readonly: true, rows: 4, cols: 84, wrap: 'off', spellcheck: 'false',
      'aria-label': 'Python code' }),
    make('button', { type: 'button', onclick: event => event.currentTarget.parentElement.close() }, 'close'));
}
