// Starts the page: exchanges the one-time token of the address for a session, reads who is signed in, and draws the shell.

import { html, render } from './vendor/preact-htm.js';
import { Refused, onSignedOut, post, read } from './call.js';
import { Requests, keptPlace } from './requests.js';
import { followLinks } from './route.js';
import { Shell, SignedOut, Start } from './shell.js';
import { words } from './words.js';

const page = /** @type {Element} */ (document.getElementById('page'));
const requests = new Requests();

/** Takes the one-time token out of the address, so that it stays in no history, and gives it for a session. */
async function openSession() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (!token) return;
  history.replaceState(null, '', location.pathname + location.search);
  await post('/session', { token });
}

async function start() {
  page.replaceChildren();
  render(html`<${Start} sentence=${words.loading} />`, page);
  try {
    await openSession();
    const me = await read('/api/me');
    render(html`<${Shell} me=${me} requests=${requests} />`, page);
    requests.look(new URLSearchParams(location.search).get('in') ?? keptPlace());
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const out = error instanceof Refused && (error.status === 401 || error.status === 403);
    render(out ? html`<${SignedOut} why=${message} />` : html`<${Start} sentence=${message} retry=${start} />`, page);
  }
}

onSignedOut(() => {
  requests.stop();
  render(html`<${SignedOut} why="" />`, page);
});
followLinks();
start();
