// Gives a review of exactly what was shown: the call carries its UID and version. When somebody wrote in between, it is
// read again and asked about again; nothing is sent a second time unseen.

import { html, useEffect, useRef, useState } from './vendor/preact-htm.js';
import { GROUP, Refused, read, requestPath } from './call.js';
import { Notice, TextField, say } from './controls.js';
import { changes, keyOf } from './request.js';
import { words } from './words.js';

/**
 * @typedef {import('./request.js').Request} Request
 * @typedef {'Approve' | 'Deny' | 'Revoke'} Verdict
 * @typedef {('request' | 'role' | 'policy' | 'policyNow' | 'gone')[]} Changed
 * @typedef {{ given: Request } | { changed: Changed, latest: Request | null }} Outcome
 */

/**
 * Sends a review of what was shown. What was changed since is answered, and then nothing is written.
 * @param {Request} shown @param {string} me @param {Verdict} verdict @param {string} comment @returns {Promise<Outcome>}
 */
export async function give(shown, me, verdict, comment) {
  const { namespace, name, uid, resourceVersion } = shown.metadata;
  if (verdict !== 'Revoke' && (await policyMoved(shown))) return { changed: ['policyNow'], latest: shown };
  const review = comment.trim() ? { verdict, comment: comment.trim() } : { verdict };
  const body = { metadata: { uid, resourceVersion }, status: { reviews: { [me]: review } } };
  try {
    const given = await read(`${requestPath(namespace, name)}/status`, {
      method: 'PATCH',
      body,
      type: 'application/merge-patch+json',
    });
    return { given };
  } catch (error) {
    if (!(error instanceof Refused) || ![404, 409].includes(error.status)) throw error;
    const latest = await read(requestPath(namespace, name)).catch((why) => {
      if (why instanceof Refused && why.status === 404) return null;
      throw why;
    });
    return { changed: latest ? changes(shown, latest) : ['gone'], latest };
  }
}

/**
 * Whether the policy is another now than the one by which the request is being decided, as far as it may be read.
 * @param {Request} shown
 */
async function policyMoved(shown) {
  const by = shown.status?.policy;
  if (!by || shown.status?.state !== 'Pending') return false;
  try {
    const { metadata } = await read(`${GROUP}/accesspolicies/${encodeURIComponent(by.name)}`);
    return metadata.uid !== by.uid || metadata.generation !== by.generation;
  } catch (error) {
    if (error instanceof Refused && error.status === 403) return false;
    if (error instanceof Refused && error.status === 404) return true;
    throw error;
  }
}

/**
 * What is shown of a request that changes while somebody looks. It follows what does not matter for a decision; what
 * does is held back until they ask for it, so that nobody approves what slid under the button. Who has nothing to
 * decide sees everything as it comes. `reading` is true while the rights that are shown are those from before such a
 * change.
 * @param {Request} live @param {boolean} decides @param {string} [rightsOf] the version whose rights are shown
 */
export function useShown(live, decides, rightsOf) {
  const [held, hold] = useState(live);
  const [moved, setMoved] = useState(false);
  const changed = decides ? changes(held, live) : [];
  useEffect(() => {
    if (!changed.length && held !== live) hold(live);
  }, [live, decides]);
  const reading = decides && moved && rightsOf !== undefined && rightsOf !== live.metadata.resourceVersion;
  useEffect(() => {
    if (moved && rightsOf === live.metadata.resourceVersion) setMoved(false);
  }, [moved, rightsOf, live]);
  const showNew = () => {
    setMoved(true);
    hold(live);
  };
  return { shown: changed.length ? held : live, changed, showNew, reading };
}

/**
 * That what is shown is not what there is any more.
 * @param {{ shown: Request, changed: Changed, showNew: () => void }} props
 */
export function ChangedNotice({ shown, changed, showNew }) {
  if (!changed.length) return null;
  return html`<${Notice} tone="waiting" alert>
    <p>${changed.map((what) => words.decide.changed[what]).join(' ')} ${words.decide.lookAgain}</p>
    <button type="button" onClick=${showNew}>${words.decide.showNew}
      <span class="unseen"> ${keyOf(shown)}</span></button>
  <//>`;
}

/**
 * A comment and the buttons of a decision.
 * @param {{ page: import('./shell.js').Page, shown: Request, changed: Changed, task: 'decide' | 'review' | 'revoke' | 'drop', reading?: boolean, onGiven?: (sentence: string) => void }} props
 */
export function Decision({ page, shown, changed, task, reading = false, onGiven }) {
  const [comment, setComment] = useState('');
  const [sending, setSending] = useState(false);
  const [told, tell] = useState(/** @type {{ tone: string, sentence: string } | null} */ (null));
  const buttons = words.decide[task];
  const pressed = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    // A button that cannot be pressed meanwhile has lost the focus.
    if (!sending && document.activeElement === document.body) pressed.current?.focus();
  }, [sending]);
  const decide = async (/** @type {Verdict} */ verdict, /** @type {HTMLElement} */ button) => {
    pressed.current = button;
    setSending(true);
    tell(null);
    const result = await sent(shown, page.me.username, verdict, comment);
    setSending(false);
    if (result.latest) page.requests.take(result.latest);
    tell(result);
    say(result.sentence);
    if (!result.given) return;
    page.inbox.again();
    onGiven?.(result.sentence);
  };
  return html`<div class="decision" role="group" aria-label=${words.decide.group(keyOf(shown))}>
    <${TextField} label=${words.field.comment} value=${comment} onInput=${setComment} lines=${2} />
    <p class="row">
      ${buttons.map(
        ([
          verdict,
          word,
        ]) => html`<button key=${verdict} type="button" class=${verdict === 'Approve' ? 'main' : 'no'}
          disabled=${sending || reading || changed.length > 0}
          onClick=${(/** @type {any} */ event) => decide(verdict, event.currentTarget)}>${word}<span class="unseen"> ${keyOf(shown)}</span></button>`,
      )}
    </p>
    ${reading && html`<p class="hint">${words.decide.reading}</p>`}
    ${told && html`<${Notice} tone=${told.tone} alert=${told.tone === 'bad'}><p>${told.sentence}</p><//>`}
  </div>`;
}

/**
 * Sends it, and says in a sentence how it went.
 * @param {Request} shown @param {string} me @param {Verdict} verdict @param {string} comment
 * @returns {Promise<{ tone: string, sentence: string, given?: Request, latest?: Request | null }>}
 */
export async function sent(shown, me, verdict, comment) {
  try {
    const outcome = await give(shown, me, verdict, comment);
    if ('given' in outcome)
      return {
        tone: 'good',
        sentence: words.decide.done(verdict, keyOf(shown)),
        given: outcome.given,
        latest: outcome.given,
      };
    const { changed, latest } = outcome;
    const what = changed.map((each) => words.decide.changed[each]).join(' ') || words.decide.nothingThatMatters;
    const anew = changed.includes('gone') || changed.includes('policyNow') ? '' : words.decide.decideAnew;
    return { tone: 'waiting', sentence: `${words.decide.notSent} ${what} ${anew}`, latest };
  } catch (error) {
    return { tone: 'bad', sentence: words.decide.failed(error instanceof Error ? error.message : String(error)) };
  }
}
