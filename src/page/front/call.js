// Calls to the page's server: headers, JSON, and refusals as one kind of error. It knows no view and no kind of object.

import { words } from './words.js';
import { setClock } from './clock.js';

export const GROUP = '/k/apis/daypass.dev/v1alpha1';
export const ARCHIVE = '/k/apis/archive.daypass.dev/v1';

/** A call that was not answered as wished. `status` 0 means that there was no answer. */
export class Refused extends Error {
  /** @param {number} status @param {string} reason @param {string} message */
  constructor(status, reason, message) {
    super(message);
    this.status = status;
    this.reason = reason;
  }

  /** Whether to try again later makes sense: nobody answered, or the API server behind the page did not. */
  get isAway() {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** @type {(why: string) => void} */
let signedOut = () => {};

/** Sets what happens when a call is answered with 401. @param {(why: string) => void} then */
export function onSignedOut(then) {
  signedOut = then;
}

/**
 * Sends a call and gives its answer when that is a good one.
 * @param {string} path
 * @param {{ method?: string, body?: unknown, type?: string, signal?: AbortSignal }} [how]
 * @returns {Promise<Response>}
 */
export async function send(path, how = {}) {
  /** @type {Record<string, string>} */
  const headers = { 'X-Daypass': 'page', Accept: 'application/json' };
  if (how.body !== undefined) headers['Content-Type'] = how.type ?? 'application/json';
  const body = how.body === undefined ? undefined : JSON.stringify(how.body);
  let answer;
  try {
    answer = await fetch(path, { method: how.method ?? 'GET', headers, body, signal: how.signal, redirect: 'error' });
  } catch (error) {
    if (how.signal?.aborted) throw error;
    throw new Refused(0, 'Unreachable', words.call.unreachable);
  }
  setClock(answer.headers.get('Date'));
  if (answer.ok) return answer;
  const refused = await refusal(answer);
  if (answer.status === 401) signedOut(refused.message);
  throw refused;
}

/** The JSON of a good answer. @param {string} path @param {Parameters<typeof send>[1]} [how] @returns {Promise<any>} */
export async function read(path, how) {
  const answer = await send(path, how);
  return answer.status === 204 ? null : answer.json();
}

/** @param {string} path @param {unknown} body @returns {Promise<any>} */
export function post(path, body) {
  return read(path, { method: 'POST', body });
}

/** A path with a query of what is not empty. @param {string} path @param {Record<string, string | undefined>} query */
export function withQuery(path, query) {
  const given = Object.entries(query).filter((pair) => pair[1]);
  const text = new URLSearchParams(/** @type {[string, string][]} */ (given)).toString();
  return text ? `${path}?${text}` : path;
}

/** Where a request is at the API server. @param {string} namespace @param {string} [name] */
export function requestPath(namespace, name) {
  const all = `${GROUP}/namespaces/${encodeURIComponent(namespace)}/accessrequests`;
  return name ? `${all}/${encodeURIComponent(name)}` : all;
}

/** @param {Response} answer */
async function refusal(answer) {
  const said = await answer.json().catch(() => null);
  const message = typeof said?.message === 'string' && said.message ? said.message : words.call.failed(answer.status);
  return new Refused(answer.status, String(said?.reason ?? ''), message);
}
