// Keeps the page's address in step with what is shown: parameters of the view are replaced, all others stay.
// PARAMETERS (names), FIRST_TAB and TAB_EVENT come from links.py.
// Plotly fills and clips by the page's whole address where the page names a base; those would break with every change.
if (document.baseURI === new URL('./', location.href).href) document.querySelector('base')?.remove();
let tab = new URLSearchParams(location.search).get('tab') || FIRST_TAB;
let view = '';  // the query of the view, without the tab; empty until the page has opened
let latest = 0;

function write() {
  if (!view) return;
  const named = part => part.split('=')[0];
  const others = location.search.slice(1).split('&').filter(part => part && !PARAMETERS.includes(named(part)));
  const parts = [tab === FIRST_TAB ? '' : `tab=${encodeURIComponent(tab)}`, view, ...others].filter(Boolean);
  history.replaceState(history.state, '', `${location.pathname}?${parts.join('&')}${location.hash}`);
  // In a Space the page lies in a frame, and the address that people see is that of the page around it.
  if (parent !== window && location.hostname.endsWith('.hf.space')) {
    parent.postMessage({ queryString: parts.join('&'), hash: location.hash }, 'https://huggingface.co');
  }
}

watch('value', () => {
  const [number, query] = (props.value || '').split(' ');
  if (!query || +number < latest) return;
  latest = +number;
  const parts = query.split('&');
  const opened = parts.find(part => part.startsWith('tab='));  // only when a link was opened
  if (opened) tab = decodeURIComponent(opened.slice(4));
  view = parts.filter(part => part !== opened).join('&');
  write();
});

document.addEventListener(TAB_EVENT, event => {
  setTimeout(() => window.dispatchEvent(new Event('resize')), 100);  // figures drawn while their tab was hidden
  if (!view && event.detail === FIRST_TAB) return;  // the first tab reports itself before the link has been read
  tab = event.detail;
  write();
});
