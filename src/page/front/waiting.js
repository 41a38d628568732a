// What waits for this person's decision, as the server counts it, read again whenever a request changes that could
// matter.

import { useEffect, useRef, useState } from './vendor/preact-htm.js';
import { read } from './call.js';
import { isUnreviewed, keyOf, state } from './request.js';

/**
 * @typedef {{ namespace: string, name: string, uid: string, resourceVersion: string, why: string, until: string | null, risk: string, rights: string[] }} Task
 * @typedef {{ value?: { requests: Task[], gaps: string[] }, error?: any, loading: boolean, again: () => void }} Waiting
 */

/** At least so long between two readings. */
const GAP = 600;

/** @param {import('./requests.js').Seen} seen @returns {Waiting} */
export function useInbox(seen) {
  const [answer, set] = useState(/** @type {Omit<Waiting, 'again'>} */ ({ loading: true }));
  const reading = useRef({ busy: false, stale: false });
  const load = () => {
    const at = reading.current;
    at.stale = at.busy;
    if (at.busy) return;
    at.busy = true;
    read('/api/inbox')
      .then(
        (value) => set({ value, loading: false }),
        (error) => set((before) => ({ ...before, error, loading: false })),
      )
      .then(() => new Promise((done) => setTimeout(done, GAP)))
      .then(() => {
        at.busy = false;
        if (at.stale) load();
      });
  };
  const undecided = seen.all.filter((request) => state(request) === 'Pending' || isUnreviewed(request));
  const versions = undecided.map((request) => `${keyOf(request)}@${request.metadata.resourceVersion}`).join(' ');
  useEffect(() => {
    if (seen.phase !== 'loading' && seen.phase !== 'lost') load();
  }, [versions, seen.phase]);
  return { ...answer, again: load };
}
