// The requests that this person may see, live: one list and then one watch a tab, in all namespaces or in one. Owns
// what is known of the connection. It must not judge a request.

import { useEffect, useState } from './vendor/preact-htm.js';
import { GROUP, Refused, read, requestPath, send, withQuery } from './call.js';
import { now } from './clock.js';
import { isCanary, keyOf } from './request.js';

/** @typedef {import('./request.js').Request} Request */
/**
 * @typedef {object} Seen
 * @property {'loading' | 'live' | 'lost' | 'refused'} phase
 * @property {string} place the namespace that is looked at; empty for all
 * @property {Request[]} all the newest first
 * @property {Map<string, Request>} byKey
 * @property {string} why of what was refused or lost, in a sentence
 * @property {number} retryAt when a lost connection is tried again
 */

const PAGE = '500';
/** How long changes are gathered before they are told: shorter than anybody sees, longer than a burst. */
const GATHER = 40;
/** So long a tab may be out of sight before it lets go of its connection. */
const HIDDEN = 30_000;
const LONGEST_PAUSE = 15_000;
/** How often a list that was refused is tried again by itself. */
const REFUSALS = 6;
/** A watch that ends sooner is no good end, and is not begun again at once. */
const SHORT = 1000;
const KEPT = 'daypass.namespace';

export class Requests {
  constructor() {
    /** @type {Map<string, Request>} */
    this.byKey = new Map();
    /** @type {Set<(seen: Seen) => void>} */
    this.told = new Set();
    this.gathering = 0;
    this.version = '';
    /** @type {'stopped' | 'looking' | 'resting'} */
    this.state = 'stopped';
    this.pause = 0;
    this.refusals = 0;
    this.running = new AbortController();
    this.wake = () => {};
    /** @type {Seen} */
    this.seen = { phase: 'loading', place: '', all: [], byKey: this.byKey, why: '', retryAt: 0 };
    addEventListener('online', () => this.wake());
    this.cut = new AbortController();
    this.hiding = 0;
    addEventListener('offline', () => this.cut.abort());
    // A browser opens six connections to a server. A tab that nobody looks at, or that is only kept to go back to,
    // must not hold one of them.
    addEventListener('pagehide', () => this.rest());
    addEventListener('pageshow', (event) => event.persisted && this.resume());
    document.addEventListener('visibilitychange', () => {
      clearTimeout(this.hiding);
      if (document.hidden) this.hiding = setTimeout(() => this.rest(), HIDDEN);
      else this.resume();
    });
  }

  /** Looks at all namespaces, or at this one, from now on. @param {string} place */
  look(place) {
    this.running.abort();
    this.cut.abort();
    this.running = new AbortController();
    this.byKey.clear();
    this.state = 'looking';
    this.refusals = 0;
    this.version = '';
    this.tell({ phase: 'loading', place, why: '' });
    this.run(place, this.running.signal);
  }

  /** Looks no more. */
  stop() {
    this.state = 'stopped';
    this.running.abort();
  }

  /** Lets go of the connection until somebody looks again. */
  rest() {
    if (this.state !== 'looking') return;
    this.state = 'resting';
    this.running.abort();
  }

  /** Goes on where it rested. */
  resume() {
    if (this.state !== 'resting') return;
    this.state = 'looking';
    this.running = new AbortController();
    this.run(this.seen.place, this.running.signal);
  }

  /** Goes on after it was stopped. */
  goOn() {
    if (this.state === 'stopped') this.state = 'resting';
    this.resume();
  }

  /** Tries at once what was lost or refused. */
  retry() {
    this.wake();
    this.goOn();
  }

  /** Takes in what a call just answered, so that it shows before the watch tells it. @param {Request} request */
  take(request) {
    const { place } = this.seen;
    if (place && request.metadata.namespace !== place) return;
    this.byKey.set(keyOf(request), request);
    this.gather();
  }

  /** @param {string} place @param {AbortSignal} stop */
  async run(place, stop) {
    // Or a watch goes on from what is known.
    let fresh = this.seen.phase === 'loading' || !this.version;
    while (!stop.aborted) {
      this.cut = new AbortController();
      const signal = AbortSignal.any([stop, this.cut.signal]);
      try {
        if (fresh) await this.list(place, signal);
        fresh = false;
        await this.watch(place, signal);
      } catch (error) {
        if (stop.aborted) return;
        const status = error instanceof Refused ? error.status : 0;
        const wasSeen = this.seen.phase === 'live' || this.seen.phase === 'lost';
        if (status === 410) fresh = true;
        else if (!(error instanceof Refused) || error.isAway || (status === 403 && wasSeen)) await this.wait(error, stop);
        else if (!(await this.mayPass(error, stop))) return;
      }
    }
  }

  /**
   * Tells that it is refused. An API server that has just started refuses everybody until it knows its roles, so that is
   * tried again some times. @param {Refused} error @param {AbortSignal} stop
   */
  async mayPass(error, stop) {
    this.tell({ phase: 'refused', why: error.message });
    this.refusals += 1;
    if (error.status === 403 && this.refusals <= REFUSALS) {
      this.lengthen();
      await this.paused(stop);
      return true;
    }
    this.state = 'stopped';
    return false;
  }

  /** @param {string} place @param {AbortSignal} signal */
  async list(place, signal) {
    /** @type {Map<string, Request>} */
    const listed = new Map();
    let more = '';
    do {
      const page = await read(withQuery(pathOf(place), { limit: PAGE, continue: more }), { signal });
      for (const item of page.items) listed.set(keyOf(item), item);
      this.version = page.metadata.resourceVersion;
      more = page.metadata.continue ?? '';
      if (this.seen.phase === 'loading') this.fill(listed);
    } while (more);
    this.byKey.clear();
    this.fill(listed);
  }

  /** @param {Map<string, Request>} listed */
  fill(listed) {
    for (const [key, item] of listed) this.byKey.set(key, item);
    this.tell({ phase: 'live', why: '' });
  }

  /** Reads events until the stream ends. @param {string} place @param {AbortSignal} signal */
  async watch(place, signal) {
    const query = { watch: '1', allowWatchBookmarks: 'true', resourceVersion: this.version };
    const began = now();
    const answer = await send(withQuery(pathOf(place), query), { signal });
    this.tell({ phase: 'live', why: '' });
    try {
      for await (const event of lines(answer)) this.heed(event);
    } finally {
      if (now() - began > SHORT) this.pause = 0;
    }
    if (now() - began <= SHORT) throw new Refused(0, 'Ended', '');
  }

  /** @param {{ type: string, object: any }} event */
  heed(event) {
    if (event.type === 'ERROR')
      throw new Refused(event.object.code ?? 500, event.object.reason ?? '', event.object.message ?? '');
    this.version = event.object.metadata.resourceVersion;
    if (event.type === 'BOOKMARK') return;
    if (event.type === 'DELETED') this.byKey.delete(keyOf(event.object));
    else this.byKey.set(keyOf(event.object), event.object);
    this.gather();
  }

  /** @param {unknown} error @param {AbortSignal} stop */
  async wait(error, stop) {
    this.lengthen();
    const why = error instanceof Refused ? error.message : '';
    // One short break is nothing to tell of.
    if (this.pause > 500 || this.seen.phase !== 'live') this.tell({ phase: 'lost', why, retryAt: now() + this.pause });
    await this.paused(stop);
  }

  lengthen() {
    this.pause = Math.min(LONGEST_PAUSE, this.pause * 2 || 500);
  }

  /** Waits for the pause to be over, or for somebody to end it. @param {AbortSignal} stop */
  async paused(stop) {
    await new Promise((done) => {
      const timer = setTimeout(done, this.pause);
      this.wake = () => {
        clearTimeout(timer);
        done(undefined);
      };
      stop.addEventListener('abort', this.wake, { once: true });
    });
  }

  gather() {
    if (this.gathering) return;
    this.gathering = setTimeout(() => {
      this.gathering = 0;
      this.tell({});
    }, GATHER);
  }

  /** @param {Partial<Seen>} change */
  tell(change) {
    const people = [...this.byKey.values()].filter((request) => !isCanary(request));
    const all = people.sort((a, b) =>
      a.metadata.creationTimestamp < b.metadata.creationTimestamp ? 1 : -1,
    );
    this.seen = { ...this.seen, ...change, all, byKey: this.byKey };
    for (const tell of [...this.told]) tell(this.seen);
  }
}

/** The live requests, anew with every change. @param {Requests} requests */
export function useRequests(requests) {
  const [seen, tell] = useState(requests.seen);
  useEffect(() => {
    tell(requests.seen);
    requests.told.add(tell);
    return () => void requests.told.delete(tell);
  }, [requests]);
  return seen;
}

/** The namespace that was looked at last; empty for all. */
export function keptPlace() {
  try {
    return localStorage.getItem(KEPT) ?? '';
  } catch {
    return '';
  }
}

/** @param {string} place */
export function keepPlace(place) {
  try {
    localStorage.setItem(KEPT, place);
  } catch {
    // Then it is asked for again next time.
  }
}

/** @param {string} place */
function pathOf(place) {
  return place ? requestPath(place) : `${GROUP}/accessrequests`;
}

/** The JSON of each line of an answer, as it comes. @param {Response} answer @returns {AsyncGenerator<any>} */
async function* lines(answer) {
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!reader) return;
  let rest = '';
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch {
      throw new Refused(0, 'Cut', '');
    }
    if (part.done) return;
    const all = (rest + part.value).split('\n');
    rest = all.pop() ?? '';
    for (const line of all) if (line.trim()) yield JSON.parse(line);
  }
}
