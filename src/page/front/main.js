// Starts the page: exchanges the one-time token of the address for a session, reads who is signed in, and draws the
// shell.

import { html, render } from './vendor/preact-htm.js';
import { Refused, onSignedOut, post, read } from './call.js';
import { Requests, keptPlace } from './requests.js';
import { followLinks } from './route.js';
import { Shell, SignedOut, Start } from './shell.js';
import { words } from './words.js';

const page = /** @type {Element} */ (document.getElementById('page'));
const requests = new Requests();
page.replaceChildren();

/**
 * Takes the one-time token out of the address, so that it stays in no history, and gives it for a session. Why that
 * failed is answered: it matters only to a browser that has no session yet.
 * @returns {Promise<string>}
 */
async function openSession() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (!token) return '';
  history.replaceState(null, '', location.pathname + location.search);
  try {
    await post('/session', { token });
    return '';
  } catch (error) {
    if (error instanceof Refused && !error.isAway) return error.message;
    throw error;
  }
}

async function start() {
  render(html`<${Start} sentence=${words.loading} />`, page);
  let spent = '';
  try {
    spent = await openSession();
    const me = await read('/api/me');
    render(html`<${Shell} first=${me} requests=${requests} />`, page);
    requests.look(keptPlace());
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const out = error instanceof Refused && (error.status === 401 || error.status === 403);
    render(
      out ? html`<${SignedOut} why=${spent || message} reason=${spent ? '' : error.reason} />` : html`<${Start} sentence=${message} retry=${start} />`,
      page,
    );
  }
}

onSignedOut((why, reason) => {
  requests.stop();
  render(html`<${SignedOut} why=${why} reason=${reason} />`, page);
});
followLinks();
start();
