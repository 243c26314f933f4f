// What every script makes elements with.
export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
export const percent = part => `${Math.round(100 * part)} %`;

const given = value => value !== null && value !== undefined;

// An element; attributes that are null or false are left out, `on…` are listeners, children that are null are left out.
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'class') node.className = value;
    else if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (given(value) && value !== false) node.setAttribute(name, value === true ? '' : value);
  }
  const key = attributes['aria-label'] || attributes.value || (tag === 'button' && children[0]);
  if (typeof key === 'string' && /^(input|button|select)$/.test(tag)) node.dataset.key = key;  // to keep the focus
  node.append(...children.filter(given));
  return node;
}

export const button = (text, label, onclick, more = {}) =>
  make('button', { type: 'button', 'aria-label': label, title: label, onclick, ...more }, text);

// A button that is pressed or not.
export const toggleButton = (text, pressed, onclick, more = {}) => make('button', { type: 'button', onclick,
  'aria-pressed': String(pressed), ...more, class: `${more.class ?? ''} ${pressed ? 'on' : ''}` }, text);

// A function that gives the focus back to what had it, or to what has replaced it.
export function focusIn(root) {
  const held = root.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  return () => {
    if (!held || document.activeElement.dataset.key === held) return;
    root.querySelector(`[data-key="${CSS.escape(held)}"]`)?.focus({ preventScroll: true });
  };
}

export function write(node, text) {  // where it is another: each text that is set is laid out again
  if (node.textContent !== String(text)) node.textContent = text;
}

export function resize(canvas, width, height) {
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
}
