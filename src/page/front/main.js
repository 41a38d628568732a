// Starts the page: exchanges the one-time token of the address for a session, reads who is signed in, and draws the
// shell.

import { html, render } from './vendor/preact-htm.js';
import { Refused, post, read } from './call.js';
import { Requests, keptPlace } from './requests.js';
import { followLinks } from './route.js';
import { Shell, SignedOut, Start } from './shell.js';
import { NotTaken } from './start.js';
import { words } from './words.js';

const page = /** @type {Element} */ (document.getElementById('page'));
const requests = new Requests();
page.replaceChildren();

/** So long after each failure it is tried again by itself: an API server that has just started refuses everybody. */
const PAUSES = [500, 1000, 2000, 4000, 8000, 8000];

/** Why the one-time token of the address was not taken. It matters only to a browser that has no session yet. */
let spent = '';

/** The one-time token, which is taken out of the address at once, so that it stays in no history. */
let token = new URLSearchParams(location.hash.slice(1)).get('token');
if (token) history.replaceState(null, '', location.pathname + location.search);

/** Gives the token for a session. */
async function openSession() {
  if (!token) return;
  try {
    await post('/session', { token });
  } catch (error) {
    if (!(error instanceof Refused) || error.isAway) throw error;
    spent = error.message;
  }
  token = null;
}

/** @param {number} failed how often it was tried in vain */
async function start(failed) {
  try {
    await openSession();
    const me = await read('/api/me');
    render(html`<${Shell} first=${me} requests=${requests} />`, page);
    requests.look(keptPlace());
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof Refused && error.status === 401) {
      const isOurs = error.reason !== 'NotTaken' || spent;
      render(isOurs ? html`<${SignedOut} why=${spent || message} />` : html`<${NotTaken} />`, page);
      return;
    }
    const timer = failed < PAUSES.length ? setTimeout(() => start(failed + 1), PAUSES[failed]) : 0;
    const retry = () => {
      clearTimeout(timer);
      start(failed);
    };
    render(html`<${Start} sentence=${message} retry=${retry} />`, page);
  }
}

followLinks();
render(html`<${Start} sentence=${words.loading} />`, page);
start(0);
