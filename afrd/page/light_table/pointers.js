// Mouse, pen and fingers: they point, zoom, move the view and pin a place.
import { clamp } from '../common/dom.js';
import { pixel, pointAt, pointNowhere } from './cursor.js';
import { showPhotograph } from './panels.js';
import { addCorner, closeShape, dragCorner, letGo, takeHold } from './region.js';
import { inside, measure, moveTo, stageOf, wholePicture, zoomTo } from './view.js';
import { dragLamp, estimated } from './virtual.js';
import { pin } from './why.js';

function moved(table, event) {
  const { gesture, pointers, view } = table;
  if (pointers.has(event.pointerId)) pointers.set(event.pointerId, event);
  const stage = gesture?.stage ?? stageOf(table, event);
  if (!stage) return pointNowhere(table);
  if (gesture && pointers.size === 2) return pinch(table, stage);
  if (gesture && pointers.size === 1) {
    const across = event.clientX - gesture.clientX, down = event.clientY - gesture.clientY;
    if (Math.hypot(across, down) > 4) gesture.moved = true;
    if (gesture.lamp) {
      if (gesture.moved) dragLamp(table, stage, event);
    } else if (gesture.holds) {
      if (gesture.moved) dragCorner(table, inside(table, stage, event));
    } else if (gesture.moved && view.zoom > 1) {
      moveTo(table, gesture.left - across / stage.width / view.zoom, gesture.top - down / stage.height / view.zoom);
    }
  }
  const { x, y } = inside(table, stage, event);
  pointAt(table, x, y, stage);
}

function pinch(table, stage) {
  const { gesture, pointers, view } = table, [a, b] = [...pointers.values()];
  const middle = { clientX: (a.clientX + b.clientX) / 2, clientY: (a.clientY + b.clientY) / 2 };
  const apart = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
  const here = inside(table, stage, middle);
  if (gesture.apart) {
    view.left += gesture.middle.x - here.x; view.top += gesture.middle.y - here.y;
    zoomTo(table, view.zoom * apart / gesture.apart, gesture.middle.x, gesture.middle.y);
  }
  Object.assign(gesture, { apart, moved: true, middle: inside(table, stage, middle) });
  pointNowhere(table);
}

function down(table, event) {
  const { pointers, view } = table, stage = stageOf(table, event);
  if (!stage && event.pointerType === 'touch') pointNowhere(table);
  if (!stage || event.button) return;
  pointers.set(event.pointerId, event);
  if (pointers.size === 1) {
    const { clientX, clientY } = event, { left, top } = view;
    const holds = table.drawing !== null && stage.large && takeHold(table, stage, event);
    const lamp = !table.drawing && stage === table.stages[0] && view.lighting === 'virtual' && estimated(table);
    table.gesture = { stage, moved: false, clientX, clientY, left, top, holds, lamp };
    if (holds || lamp) stage.box.setPointerCapture?.(event.pointerId);
  } else {
    for (const id of pointers.keys()) stage.box.setPointerCapture?.(id);
  }
}

function up(table, event) {
  if (!table.pointers.delete(event.pointerId) || !table.gesture) return;
  const { stage, moved, holds } = table.gesture;
  if (table.pointers.size) { table.gesture.apart = null; return; }
  table.gesture = null;
  if (holds && table.drawing?.held) return letGo(table, moved);
  if (event.type === 'pointercancel' || moved || stageOf(table, event) !== stage) return table.soon('cursor');
  const { x, y } = inside(table, stage, event);
  pointAt(table, x, y, stage);
  stage.box.focus({ preventScroll: true });
  if (stage.light) return showPhotograph(table, stage.light);  // to the large ones; a place on a large one is pinned
  if (table.drawing) return addCorner(table, { x, y });
  clearTimeout(table.pinning);
  table.pinning = setTimeout(() => pin(table, pixel(table)), 230);  // unless it becomes a double click
}

function wheeled(table, event) {
  const { view } = table, stage = stageOf(table, event);
  if (!stage || (view.zoom === 1 && event.deltaY >= 0)) return;  // zoomed out already: the page scrolls
  event.preventDefault();
  const { x, y } = inside(table, stage, event);
  zoomTo(table, view.zoom * Math.exp(-clamp(event.deltaY, -120, 120) * 0.0025), x, y);
  pointAt(table, x, y, stage);
}

function doubleClicked(table, event) {
  if (!stageOf(table, event)) return;
  clearTimeout(table.pinning);
  if (table.drawing) return closeShape(table);
  wholePicture(table);
}

function left(table, event) {
  if (!table.gesture && event.pointerType !== 'touch') pointNowhere(table);
}

export function listenToPointers(table, signal) {
  const on = (target, name, act, options) =>
    target.addEventListener(name, event => act(table, event), { signal, ...options });
  on(table.root, 'pointermove', moved);
  on(table.root, 'pointerleave', left);
  on(table.root, 'pointerdown', down);
  on(window, 'pointerup', up);
  on(window, 'pointercancel', up);
  on(table.root, 'wheel', wheeled, { passive: false });
  on(table.root, 'dblclick', doubleClicked);
  const observer = new ResizeObserver(() => measure(table));
  observer.observe(table.root);
  signal.addEventListener('abort', () => {
    observer.disconnect();
    for (const timer of [table.pinning, table.telling]) clearTimeout(timer);
  });
}
