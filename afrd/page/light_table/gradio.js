// The light table in the Gradio page: its value is the scene, and what a user does becomes the component's events.
import { render } from './table.js';

const value = () => props.value ? JSON.parse(props.value) : null;
const table = render(element.querySelector('.light-table'), value(), { emit: trigger, style: STYLE });
let made = 0;
watch('value', () => {
  const scene = value();
  if (scene?.made < made) return;  // an answer that a later one has overtaken
  made = scene?.made ?? made;
  table.update(scene);
});
