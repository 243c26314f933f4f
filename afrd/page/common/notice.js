// A sentence above the tabs; as text, never as HTML: what it quotes comes from an address.
const line = element.querySelector('.notice'), text = line.querySelector('span');

function show() {
  text.textContent = props.value || '';
  line.hidden = !props.value;
}

line.querySelector('button').addEventListener('click', () => { line.hidden = true; });
watch('value', show);
show();
