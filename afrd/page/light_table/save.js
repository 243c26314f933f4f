// The table as it stands as a PNG: drawn anew on white, at twice the size, with the scale and a caption, so that it
// looks the same from every screen.
import { percent } from '../common/dom.js';
import { besideFusion } from './difference.js';

const SCALE = 2, WIDTH = 1200, EDGE = 16, GAP = 12, TILES = 6;
const INK = '#18181b', QUIET = '#52525b', FONT = 'system-ui, sans-serif';

// What a reader must know of the pictures.
export function caption({ lamps, scene, view }) {
  const { header, panels } = scene, on = scene.lights.filter(item => item.on).map(item => item.name);
  const weights = Object.entries(lamps.said()).map(([name, part]) => `${name} ${part}`);
  const told = [`Sample ${header.name}${header.place ? ` of ${header.place}` : ''} (${header.truth}).`,
    on.length ? `Lights: ${on.join(', ')}.` : 'No light is on.'];
  if (scene.fusion) {
    told.push(`Fusion: ${view.fusion}${weights.length ? `; weights: ${weights.join(', ')}` : ''}.`);
  }
  const other = besideFusion(scene) && view.besideFusion;
  panels.filter(one => one.values).forEach(panel => {
    const how = other && panel === panels[1] ? `, fusion ${other}` : '';
    told.push(`${[panel.method, panel.title].filter(Boolean).join(' ')}${how}: ${panel.score}; ${panel.threshold}.`);
  });
  if (view.difference && scene.difference) told.push(`${scene.difference.title}: ${scene.difference.made_by}.`);
  if (scene.region?.share) told.push(`Judged inside ${scene.region.share} of the picture.`);
  if (view.zoom > 1) told.push(`Enlarged to ${percent(view.zoom)}.`);
  if (scene.unit) told.push(scene.unit);
  return told.join(' ');
}

function write(context, text, x, y, { font = 12, bold = false, colour = INK, width = Infinity } = {}) {
  context.font = `${bold ? 650 : 400} ${font}px ${FONT}`;
  context.fillStyle = colour;
  let shown = text;
  for (let count = text.length; count && context.measureText(shown).width > width;) {
    shown = `${text.slice(0, --count)}…`;
  }
  context.fillText(shown, x, y);
  return context.measureText(shown).width;
}

function wrapped(context, text, width, font) {  // lines
  context.font = `400 ${font}px ${FONT}`;
  const lines = [''];
  for (const part of text.match(/ ?[^ ]{1,60}/gu) ?? []) {  // a longer word is broken
    const longer = lines.at(-1) + part;
    if (context.measureText(longer).width > width) lines.push(part.trimStart());
    else lines[lines.length - 1] = longer;
  }
  return lines;
}

function strokes({ outside, truth, passed }, style) {  // the lines of a stage, as style.css draws them
  const of = svg => svg?.lastChild.getAttribute('d') || null, [shade, defect, over] = [outside, truth, passed].map(of);
  return [...(shade ? [{ path: shade, fill: 'rgb(30 34 40 / .5)' }] : []),
    ...[[defect, style.truth, []], [over, style.threshold, [4, 3]]].filter(([path]) => path).flatMap(
      ([path, colour, dash]) => [{ path, colour: 'rgb(0 0 0 / .6)', wide: 3.6, dash: [] },
        { path, colour, wide: 1.8, dash }])];
}

function drawStage(context, { scene, style, view }, stage, { x, y, width, height }) {
  const part = 1 / view.zoom, source = stage.source();
  const lay = image => context.drawImage(image, view.left * image.width, view.top * image.height, part * image.width,
    part * image.height, x, y, width, height);
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.fillStyle = '#000';
  context.fillRect(x, y, width, height);
  context.imageSmoothingQuality = 'high';
  context.globalAlpha = stage.dark ? 0.36 : 1;
  lay(source);
  context.globalAlpha = 1;
  if (stage.layer) lay(stage.layer);
  const factor = width * view.zoom / scene.size[1];  // of a pixel of the sample's pictures
  context.translate(x - view.left * view.zoom * width, y - view.top * view.zoom * height);
  context.scale(factor, factor);
  for (const { path, fill, colour, wide, dash } of strokes(stage, style)) {
    const line = new Path2D(path);
    if (fill) { context.fillStyle = fill; context.fill(line, 'evenodd'); continue; }
    Object.assign(context, { strokeStyle: colour, lineWidth: wide / factor, lineJoin: 'round' });
    context.setLineDash(dash.map(length => length / factor));
    context.stroke(line);
  }
  if (scene.pinned) mark(context, scene.pinned, factor);
  context.restore();
}

function mark(context, [x, y], factor) {  // the pinned place
  context.setLineDash([]);
  for (const [colour, wide] of [['#000', 4], ['#ffe14d', 2]]) {
    Object.assign(context, { strokeStyle: colour, lineWidth: wide / factor });
    context.beginPath();
    context.arc(x + 0.5, y + 0.5, 8 / factor, 0, 7);
    context.stroke();
  }
}

function drawBar(context, palette, x, y, width, [least, most]) {  // gives where its colours begin, and its end
  const left = x + write(context, least, x, y + 10) + 6;
  const colours = context.createLinearGradient(left, 0, left + width, 0);
  palette.forEach((colour, v) => colours.addColorStop(v / 255, `rgb(${colour.join(',')})`));
  context.fillStyle = colours;
  context.fillRect(left, y, width, 12);
  return [left, left + width + 6 + write(context, most, left + width + 6, y + 10)];
}

function drawScale(context, { palettes, scene, view }, y) {  // colours of the maps, and what the lines are
  const width = 300, [left, end] = drawBar(context, palettes[view.scale], EDGE, y, width, ['0', '≥ 2']);
  context.fillStyle = INK;
  context.fillRect(left + width / 2 - 0.75, y - 3, 1.5, 18);
  context.textAlign = 'center';
  for (const [at, text] of [[0.25, '0.5'], [0.5, scene.unit ? '1' : '1 = threshold'], [0.75, '1.5']]) {
    write(context, text, left + at * width, y + 26, { font: 11, colour: QUIET });
  }
  context.textAlign = 'left';
  return end + 22;
}

function drawKeys(context, { palettes, scene, stages, style, view }, x, y) {
  const over = view.level === 1 ? 'over threshold' : `over ${view.level.toFixed(2)} × threshold`;
  const keys = [[stages.some(stage => stage.truth) && scene.truth, 'true defect', style.truth, []],
    [view.passed && stages.some(stage => stage.passed), over, style.threshold, [4, 3]]];
  for (const [shown, text, colour, dash] of keys) {
    if (!shown) continue;
    for (const [stroke, wide, dashes] of [['rgb(0 0 0 / .6)', 3.6, []], [colour, 1.8, dash]]) {
      Object.assign(context, { strokeStyle: stroke, lineWidth: wide });
      context.setLineDash(dashes);
      context.beginPath();
      context.moveTo(x, y + 6);
      context.lineTo(x + 26, y + 6);
      context.stroke();
    }
    context.setLineDash([]);
    x += 52 + write(context, text, x + 33, y + 10);
  }
  if (stages.some(stage => stage.map?.kind === 'difference')) {
    drawBar(context, palettes.difference, x, y, 110, ['−2', '+2 × threshold']);
  }
}

function drawPanels(context, table, y) {
  const { scene, stages } = table, aspect = scene.size[0] / scene.size[1];
  const large = stages.filter(stage => stage.large), count = Math.max(3, large.length);
  const width = (WIDTH - 2 * EDGE - (count - 1) * GAP) / count;
  large.forEach((stage, i) => {
    const x = EDGE + i * (width + GAP), section = stage.box.closest('.panel');
    const panel = [...scene.panels, scene.difference].find(one => one?.values && one.values === stage.map);
    const right = section.querySelector('.right:not([hidden])')?.textContent;
    const name = write(context, panel?.method ?? 'Picture', x, y + 13, { font: 14, bold: true });
    write(context, [panel?.title, right].filter(Boolean).join(' · '), x + name + 8, y + 13,
      { colour: QUIET, width: width - name - 8 });
    write(context, section.querySelector('.verdict').textContent, x, y + 32, { font: 14, width });
    drawStage(context, table, stage, { x, y: y + 40, width, height: width * aspect });
    const below = panel ? panel.made_by : table.view.lighting === 'photograph' ? ''
      : section.querySelector('.small').textContent.replace(/^drag[^;]*; |; the model[^;]*$/g, '');
    if (below) write(context, below, x, y + 54 + width * aspect, { font: 11, colour: QUIET, width });
  });
  return y + 40 + width * aspect + 20;
}

function drawTiles(context, table, y) {
  const { scene, stages } = table, aspect = scene.size[0] / scene.size[1];
  const rows = Math.ceil(scene.lights.length / TILES), count = Math.max(3, Math.ceil(scene.lights.length / rows));
  const width = (WIDTH - 2 * EDGE - (count - 1) * GAP) / count, high = width * aspect + 38;
  scene.lights.forEach((item, i) => {
    const x = EDGE + i % count * (width + GAP), top = y + Math.floor(i / count) * high;
    const lit = table.lamps.lit.has(item.name), gain = table.lamps.gainOf(item.name);
    write(context, `${lit ? '●' : '○'} ${item.name}${gain === 1 ? '' : ` dimmed to ${percent(gain)}`}`, x, top + 12,
      { bold: lit, colour: lit ? INK : QUIET, width });
    drawStage(context, table, stages.find(stage => stage.light === item.name),
      { x, y: top + 18, width, height: width * aspect });
    if (item.mean === undefined) return;
    write(context, `attention: mean ${item.mean.toFixed(2)}, peak ${item.peak.toFixed(2)}`, x,
      top + 30 + width * aspect, { font: 10.5, colour: QUIET, width });
  });
  return y + rows * high;
}

export function drawTable(table) {  // a canvas
  const { scene, view } = table, canvas = document.createElement('canvas'), draft = canvas.getContext('2d');
  const lines = wrapped(draft, caption(table), WIDTH - 2 * EDGE, 12);
  const paint = (context, stop) => {
    const { header } = scene, shown = { picture: 'pictures', error: 'error', share: 'attention, 0 to 1',
      single: 'the map of the light’s own single-light RD' }[view.mode];
    let y = EDGE;
    const available = WIDTH - 2 * EDGE, wide = write(context, header.name, EDGE, y + 17,
      { font: 20, bold: true, width: 0.6 * available });
    write(context, `${header.truth}   ${header.place}`, EDGE + wide + 12, y + 17,
      { font: 13, colour: QUIET, width: available - wide - 12 });
    y = drawPanels(context, table, y + 30);
    if (table.stages.some(stage => stage.layer)) {
      drawKeys(context, table, drawScale(context, table, y + 4), y + 4);
      y += 44;
    }
    write(context, `Lights: ${shown}`, EDGE, y + 12, { font: 13, bold: true });
    y = drawTiles(context, table, y + 22) + 4;
    for (const line of lines) write(context, line, EDGE, y += 16, { colour: QUIET });
    return stop(y + EDGE);
  };
  // once on a canvas of no size, to know the height
  Object.assign(canvas, { width: 1, height: 1 });
  const height = paint(draft, end => end);
  Object.assign(canvas, { width: SCALE * WIDTH, height: Math.round(SCALE * height) });
  const context = canvas.getContext('2d');
  context.scale(SCALE, SCALE);
  context.fillStyle = '#fff';
  context.fillRect(0, 0, WIDTH, height);
  paint(context, () => null);
  return canvas;
}

export function savePicture(table) {
  const { header, lights } = table.scene;
  const name = [header.name, ...lights.filter(item => item.on).map(item => item.name)].join('-');
  drawTable(table).toBlob(blob => {
    const link = document.createElement('a'), address = URL.createObjectURL(blob);
    const short = [...name.replace(/[^\p{L}\p{M}\p{N}._-]+/gu, '-')].slice(0, 80).join('');  // within 255 bytes
    Object.assign(link, { href: address, download: `${short}.png` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  }, 'image/png');
}
