// Sends a request that somebody has filled in, and goes to where it is shown.

import { useState } from './vendor/preact-htm.js';
import { post, requestPath } from './call.js';
import { say } from './controls.js';
import { keyOf } from './request.js';
import { go, linkTo } from './route.js';
import { words } from './words.js';

/** @typedef {import('./request.js').Draft} Draft */

/**
 * Whether one is being sent, why the last could not be, and how to send one.
 * @param {import('./shell.js').Page} page
 */
export function useSending(page) {
  const [sending, setSending] = useState(false);
  const [error, setError] = useState('');
  const send = async (/** @type {Draft} */ draft) => {
    setSending(true);
    setError('');
    try {
      const made = await post(requestPath(draft.metadata.namespace), draft);
      page.requests.take(made);
      say(words.ask.sent(keyOf(made)));
      go(linkTo(made));
    } catch (why) {
      setError(why instanceof Error ? why.message : String(why));
      setSending(false);
    }
  };
  return { sending, error, send };
}
