// The light table in the Gradio page: its value is the scene, and what a user does becomes the component's events.
// Where the browser fuses the lights itself, the server gets the lit lamps when none has changed for `QUIET`.
import { render } from './table.js';

const QUIET = 800;  // milliseconds
const value = () => props.value ? JSON.parse(props.value) : null;
const litOf = scene => (scene?.lights ?? []).filter(item => item.usable && item.on).map(item => item.name).join();
let made = 0, timer = 0, number = 0;
let heardOf = litOf(value());  // the lamps of the server's latest scene
let own = null;  // { lights, before, heard }: what the server is to hear, what it may still say, when it had heard

function tell() {
  if (timer) trigger('lit', { lights: own.lights, number: ++number });
  clearTimeout(timer);
  timer = 0;
}

function emit(event, data) {
  if (event === 'fused') return;  // of this user alone
  if (event === 'lit' || event === 'lights') {
    const before = (own?.before ?? new Set()).add(own ? own.lights.join() : heardOf);
    own = { lights: data.lights, before, heard: null };
    clearTimeout(timer);
    timer = event === 'lit' ? setTimeout(tell, QUIET) : 0;
  } else {
    tell();
  }
  if (event !== 'lit') trigger(event, data);
}

function follow(scene) {  // the lamps stay as they are in a scene that was drawn before the server had heard of them
  heardOf = litOf(scene);
  if (!own) return;
  const late = scene.fusion && (!own.heard || scene.made < own.heard) && own.before.has(heardOf);
  if (late) for (const item of scene.lights) item.on = item.usable && own.lights.includes(item.name);
  if (late || heardOf === own.lights.join()) return;
  clearTimeout(timer);  // they were chosen elsewhere
  [timer, own] = [0, null];
}

const table = render(element.querySelector('.light-table'), value(), { emit, style: STYLE });
watch('value', () => {
  const scene = value();
  if (scene?.heard) {
    if (scene.heard === number && !timer && own) own.heard = scene.made;
    return;
  }
  if (scene?.made < made) return;  // an answer that a later one has overtaken
  made = scene?.made ?? made;
  if (scene?.lights) follow(scene);
  table.update(scene);
});
