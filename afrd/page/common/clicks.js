// A click on a button, or a choice in a menu, that names one of EVENTS in `data-do` becomes it, with its `data-number`.
function send({ target, type }) {
  const source = target.closest(type === 'click' ? 'button[data-do]' : 'select[data-do]');
  const { do: name, number } = source?.dataset ?? {};
  if (EVENTS.includes(name)) trigger(name, { number: +number, value: source.value });
}

element.addEventListener('click', send);
element.addEventListener('change', send);
