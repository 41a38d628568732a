// What is around every view: the name of who is signed in, the cluster, the connection, the way to each view; and
// what is shown in place of them before anybody is signed in, or when the sign-in has ended.

import { html, useEffect, useRef, useState } from './vendor/preact-htm.js';
import { onSignedOut, read } from './call.js';
import { MINUTE, SECOND, instant, now, useNow } from './clock.js';
import { Announcer, Empty, Head, Left, Notice, SelectField, TextField, Time, say } from './controls.js';
import { callName } from './request.js';
import { keepPlace, useRequests } from './requests.js';
import { usePlace } from './route.js';
import { words } from './words.js';
import { useInbox } from './waiting.js';
import { Now } from './now.js';
import { Inbox } from './inbox.js';
import { Ask } from './ask.js';
import { Details } from './details.js';
import { Policies } from './policies.js';
import { History } from './history.js';
import { Reviews } from './reviews.js';
import { Health } from './health.js';
import { You } from './start.js';

/** @typedef {import('./request.js').Me} Me */
/**
 * @typedef {{ me: Me, requests: import('./requests.js').Requests, seen: import('./requests.js').Seen, inbox: import('./waiting.js').Waiting }} Page
 */

const VIEWS = /** @type {const} */ ([
  ['now', Now],
  ['inbox', Inbox],
  ['ask', Ask],
  ['policies', Policies],
  ['history', History],
  ['reviews', Reviews],
  ['health', Health],
]);
/** So long before its end the sign-in is pointed at. */
const SOON = 10 * MINUTE;
/** So long before its end the sign-in is read again. */
const RENEWED = 20 * SECOND;
const THEME = 'daypass.theme';

/** @param {{ first: Me, requests: import('./requests.js').Requests }} props */
export function Shell({ first, requests }) {
  const seen = useRequests(requests);
  const inbox = useInbox(seen);
  const { me, out, goOn } = useSignIn(first, requests);
  const page = { me, requests, seen, inbox };
  // What somebody has typed is kept behind it.
  return html`${out !== null && html`<${SignedOut} why=${out} me=${me} goOn=${goOn} />`}
    <div hidden=${out !== null}>
      <a class="skip" href="#main" data-plain>${words.shell.skip}</a>
      <${Top} page=${page} />
      <${Announcer} />
      <main id="main" tabindex="-1">
        <${Connection} page=${page} />
        <${View} page=${page} />
      </main>
    </div>`;
}

/**
 * Who is signed in; why that is over, when it is; and how to go on when they are signed in again. A proxy or a plugin of
 * the login may have renewed it, so it is read again when its end comes near.
 * @param {Me} first
 * @param {import('./requests.js').Requests} requests
 */
function useSignIn(first, requests) {
  const [me, setMe] = useState(first);
  const [out, setOut] = useState(/** @type {string | null} */ (null));
  const ends = instant(me.expires);
  const present = useNow(5 * SECOND);
  const [due, ended] = [present >= ends - RENEWED, present >= ends];
  useEffect(() => {
    if (!due) return;
    read('/api/me').then(
      (next) => {
        if (ended && instant(next.expires) <= now()) setOut('');
        else setMe(next);
      },
      () => ended && setOut(''),
    );
  }, [due, ended]);
  useEffect(() => onSignedOut(setOut), []);
  useEffect(() => {
    if (out !== null) requests.stop();
  }, [out]);
  const goOn = async () => {
    const next = await read('/api/me');
    // What is shown and typed is somebody else's.
    if (next.username !== me.username) return location.reload();
    setMe(next);
    setOut(null);
    requests.goOn();
  };
  return { me, out, goOn };
}

/** The parts of a path; none of one that is written wrongly. @param {string} path */
function partsOf(path) {
  try {
    return path.split('/').map(decodeURIComponent);
  } catch {
    return ['', path];
  }
}

/** @param {{ page: Page }} props */
function View({ page }) {
  const { path, query } = usePlace();
  const [, first, namespace, name] = partsOf(path);
  if (first === 'r' && namespace && name) {
    return html`<${Details} key=${path} page=${page} namespace=${namespace} name=${name}
      uid=${query.get('uid') ?? ''} />`;
  }
  if (first === 'you') return html`<${You} page=${page} />`;
  const [, Component] = VIEWS.find(([view]) => view === (first || 'now')) ?? [];
  if (Component) return html`<${Component} key=${first} page=${page} query=${query} />`;
  return html`<${Head} title=${words.shell.nowhere} /><${Empty}>${words.shell.nowhereWay}<//>`;
}

/** @param {{ page: Page }} props */
function Top({ page }) {
  const { path } = usePlace();
  const { me, inbox } = page;
  const current = path.split('/')[1] || 'now';
  const waiting = inbox.value?.requests.length ?? 0;
  const before = useRef(waiting);
  useEffect(() => {
    if (waiting > before.current) say(words.inbox.come(waiting));
    before.current = waiting;
  }, [waiting]);
  return html`<header class="top">
    <a class="brand" href="/now">${words.shell.name}</a>
    <nav aria-label=${words.shell.views}>
      ${VIEWS.map(
        ([view]) => html`<a key=${view} href=${`/${view}`} aria-current=${view === current ? 'page' : undefined}>
          ${words.view[view]}${view === 'inbox' && waiting ? html` <span class="count">${waiting}
            <span class="unseen"> ${words.shell.waiting}</span></span>` : null}
        </a>`,
      )}
    </nav>
    <div class="who">
      <span><a href="/you" title=${words.shell.signedInAs}><span class="unseen">${words.shell.signedInAs} </span>
        <strong>${callName(me.username)}</strong></a> <span class="dim" title=${words.shell.cluster}>
        ${words.shell.on} <span class="unseen">${words.shell.cluster} </span>${me.cluster}</span></span>
      <${SignInEnd} at=${instant(me.expires)} />
      <${Live} page=${page} />
      <${Theme} />
    </div>
  </header>`;
}

/** @param {{ at: number }} props */
function SignInEnd({ at }) {
  const present = useNow(15 * SECOND);
  if (Number.isNaN(at)) return null;
  return html`<span class=${at - present < SOON ? 'soon' : 'dim'}>
    ${words.shell.signInEnds} ${at - present < SOON ? html`<${Left} at=${at} />` : html`<${Time} at=${at} />`}</span>`;
}

/** @param {{ page: Page }} props */
function Live({ page }) {
  const { phase } = page.seen;
  return html`<span class=${`live ${phase}`} role="status">${words.shell.phase[phase]}</span>`;
}

function Theme() {
  const [theme, set] = useState(document.documentElement.dataset.theme ?? '');
  const choose = (/** @type {string} */ to) => {
    set(to);
    if (to) document.documentElement.dataset.theme = to;
    else delete document.documentElement.dataset.theme;
    try {
      localStorage.setItem(THEME, to);
    } catch {
      // Then it holds until the page is loaded anew.
    }
  };
  return html`<${SelectField} label=${words.shell.theme} value=${theme} onInput=${choose}
    options=${words.shell.themes} />`;
}

/**
 * What is wrong with the connection, and which namespace is looked at where not all may be.
 * @param {{ page: Page }} props
 */
function Connection({ page }) {
  const { seen, requests } = page;
  if (seen.phase === 'lost') {
    return html`<${Notice} tone="waiting" alert>
      <p>${words.shell.lost} ${seen.why}</p>
      <p class="row"><${Retry} at=${seen.retryAt} /> <button type="button" onClick=${() => requests.retry()}>
        ${words.shell.retryNow}</button></p>
    <//>`;
  }
  if (seen.phase === 'refused') return html`<${Narrow} page=${page} why=${seen.why} />`;
  if (!seen.place) return null;
  const all = () => look(requests, '');
  return html`<p class="place">${words.shell.onlyIn(seen.place)} <button type="button" class="quiet" onClick=${all}>
    ${words.shell.lookAtAll}</button></p>`;
}

/** @param {{ at: number }} props */
function Retry({ at }) {
  useNow(SECOND);
  return html`<span>${words.shell.retryIn(Math.max(0, Math.ceil((at - now()) / SECOND)))}</span>`;
}

/** @param {{ page: Page, why: string }} props */
function Narrow({ page, why }) {
  const [place, set] = useState('');
  const choose = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (place.trim()) look(page.requests, place.trim());
  };
  return html`<${Notice} tone="waiting" alert>
    <p>${words.shell.notAll} ${why}</p>
    <p><button type="button" onClick=${() => page.requests.retry()}>${words.again}</button></p>
    <form class="row" onSubmit=${choose}>
      <${TextField} label=${words.field.namespace} value=${place} onInput=${set} required />
      <button>${words.shell.lookThere}</button>
    </form>
  <//>`;
}

/** @param {import('./requests.js').Requests} requests @param {string} place */
function look(requests, place) {
  keepPlace(place);
  requests.look(place);
}

/** Before anything is known. @param {{ sentence: string, retry?: () => void }} props */
export function Start({ sentence, retry }) {
  return html`<main class="start" id="main">
    <h1>${words.shell.name}</h1>
    <p role="status">${sentence}</p>
    ${retry && html`<button type="button" onClick=${retry}>${words.again}</button>`}
  </main>`;
}

/**
 * When nobody is signed in, and how to be. Who was signed in can go on where they were.
 * @param {{ why: string, me?: Me, goOn?: () => Promise<void> }} props
 */
export function SignedOut({ why, me, goOn }) {
  const heading = useRef(/** @type {HTMLElement | null} */ (null));
  const [failed, setFailed] = useState('');
  useEffect(() => {
    const [title, opener] = [document.title, document.activeElement];
    document.title = words.shell.title(words.signedOut.title);
    heading.current?.focus();
    return () => {
      document.title = title;
      setTimeout(() => opener instanceof HTMLElement && opener.focus());
    };
  }, []);
  const tryOn = () => goOn?.().catch((/** @type {Error} */ error) => setFailed(error.message));
  return html`<main class="start" id=${goOn ? undefined : 'main'}>
    <h1 ref=${heading} tabindex="-1">${words.signedOut.title}</h1>
    <p role="alert">${failed || why || words.signedOut.ended}</p>
    ${
      goOn
        ? html`<${WayBack} me=${me} />
        <p>${words.signedOut.kept}</p>
        <p><button type="button" class="main" onClick=${tryOn}>${words.signedOut.goOn}</button></p>`
        : html`<p>${words.signedOut.loopback} <code>kubectl daypass ui</code></p>
        <p>${words.signedOut.cluster} <button type="button" onClick=${() => location.reload()}>
          ${words.signedOut.signIn}</button></p>`
    }
  </main>`;
}

/** How to be signed in again beside this tab. @param {{ me?: Me }} props */
function WayBack({ me }) {
  if (me?.place === 'cluster') {
    return html`<p>${words.signedOut.elsewhere} <a href="/" target="_blank" rel="noopener">
      ${words.signedOut.signIn}</a></p>`;
  }
  return html`<p>${words.signedOut.rerun}</p>
    <p><code>kubectl daypass ui --port ${location.port}</code></p>`;
}
