// Where the history comes from: the archive where there is one that this person may read, else the requests themselves.
// Both as records of one shape; and records as JSON lines and as CSV. It draws nothing.

import { ARCHIVE, Refused, read, send, withQuery } from './call.js';
import { instant } from './clock.js';
import { namespacesOf, person, roleName, what } from './request.js';

/** @typedef {import('./request.js').Request} Request */
/**
 * @typedef {{ id: string, at: string, kind: string, outcome?: string, message?: string, cluster?: string, request: { namespace: string, name: string, uid: string },
 * subject?: { username: string }, actor?: { username: string } | null, access?: { role: { kind?: string, name: string
 * }, namespaces?: string[], clusterWide?: boolean, breakGlass?: boolean }, asked?: { reason?: string, ticket?: string
 * } | null, policy?: { name: string } | null, given?: { from?: string, until?: string } | null, review?: { comment?:
 * string } | null }} Kept
 * @typedef {{ person: string, role: string, namespace: string, policy: string, kind: string, text: string, request: string, since: string, until: string }} Wish
 * @typedef {{ from: 'archive' | 'requests', records: Kept[], more: string, why?: string }} Found
 */

export const PAGE = 200;
/** The columns of CSV, as the archive's own export has them, each with its place in a record. */
const COLUMNS = /** @type {const} */ ([
  ['id', 'id'],
  ['at', 'at'],
  ['cluster', 'cluster'],
  ['namespace', 'request.namespace'],
  ['name', 'request.name'],
  ['kind', 'kind'],
  ['outcome', 'outcome'],
  ['subject', 'subject.username'],
  ['actor', 'actor.username'],
  ['roleKind', 'access.role.kind'],
  ['role', 'access.role.name'],
  ['namespaces', 'access.namespaces'],
  ['clusterWide', 'access.clusterWide'],
  ['breakGlass', 'access.breakGlass'],
  ['policy', 'policy.name'],
  ['from', 'given.from'],
  ['until', 'given.until'],
  ['reason', 'asked.reason'],
  ['message', 'message'],
]);

/** @param {Wish} wish */
function query(wish) {
  const moment = (/** @type {string} */ text) => (text ? new Date(text).toISOString() : '');
  return { ...wish, since: moment(wish.since), until: moment(wish.until) };
}

/**
 * A page of what is found, the newest first. @param {Wish} wish @param {Request[]} all the requests to fall back to
 * @param {string} [after] where the page before ended @returns {Promise<Found>}
 */
export async function find(wish, all, after = '') {
  try {
    const list = await read(withQuery(`${ARCHIVE}/records`, { ...query(wish), limit: String(PAGE), continue: after }));
    return {
      from: 'archive',
      records: list.items.map((/** @type {any} */ item) => item.record),
      more: list.metadata?.continue ?? '',
    };
  } catch (error) {
    if (!(error instanceof Refused) || error.status === 400 || error.status === 401) throw error;
    return { from: 'requests', records: fromRequests(all, wish), more: '', why: error.message };
  }
}

/**
 * All that is found, as a file.
 * @param {'jsonl' | 'csv'} format
 * @param {Wish} wish
 * @param {Found} found
 * @returns {Promise<Blob>}
 */
export async function exported(format, wish, found) {
  if (found.from === 'archive') return (await send(withQuery(`${ARCHIVE}/records`, { ...query(wish), format }))).blob();
  const text =
    format === 'csv' ? csv(found.records) : found.records.map((record) => `${JSON.stringify(record)}\n`).join('');
  return new Blob([text], { type: format === 'csv' ? 'text/csv' : 'application/jsonl' });
}

/** What the requests themselves say happened. @param {Request[]} all @param {Wish} wish @returns {Kept[]} */
export function fromRequests(all, wish) {
  const [since, until] = [instant(wish.since), instant(wish.until)];
  const records = all.flatMap((request) => recordsOf(request));
  const fits = records.filter((record) => {
    const at = instant(record.at);
    const people = [record.subject?.username, record.actor?.username];
    const text =
      `${record.message} ${record.asked?.reason} ${record.asked?.ticket} ${record.review?.comment} ${record.request.name}`.toLowerCase();
    return (
      (!wish.person || people.includes(wish.person)) &&
      (!wish.role || [record.access?.role.name, record.access && roleName(record.access.role)].includes(wish.role)) &&
      (!wish.namespace || record.access?.namespaces?.includes(wish.namespace)) &&
      (!wish.policy || record.policy?.name === wish.policy) &&
      (!wish.kind || record.kind === wish.kind) &&
      (!wish.request || record.request.uid === wish.request) &&
      wish.text
        .toLowerCase()
        .split(/\s+/)
        .every((word) => text.includes(word)) &&
      !(at < since) &&
      !(at >= until)
    );
  });
  const index = (/** @type {Kept} */ record) => Number(record.id.slice(record.id.lastIndexOf('/') + 1));
  return fits.sort((a, b) => instant(b.at) - instant(a.at) || index(b) - index(a));
}

/** @param {Request} request @returns {Kept[]} */
function recordsOf(request) {
  const { metadata, spec, status } = request;
  const shared = {
    request: { namespace: metadata.namespace, name: metadata.name, uid: metadata.uid },
    subject: { username: person(request) },
    access: {
      role: spec.role,
      namespaces: namespacesOf(request),
      clusterWide: Boolean(spec.scope?.cluster),
      breakGlass: Boolean(spec.breakGlass),
    },
    asked: { reason: spec.reason, ticket: spec.ticket },
    policy: status?.policy ? { name: status.policy.name } : null,
    given: status?.grantedAt ? { from: status.grantedAt, until: status.expiresAt } : null,
  };
  const made = {
    ...shared,
    id: `${metadata.uid}/0`,
    at: metadata.creationTimestamp,
    kind: 'Requested',
    outcome: 'Asked',
    message: `${person(request)}: ${what(request)}`,
  };
  const rest = (status?.history ?? []).map((entry, index) => ({
    ...shared,
    id: `${metadata.uid}/${index + 1}`,
    at: entry.at,
    kind: entry.event,
    message: entry.message,
    actor: entry.by ? { username: entry.by } : null,
    review: entry.review ?? null,
  }));
  return [made, ...rest];
}

/** @param {Kept[]} records */
function csv(records) {
  const lines = [
    COLUMNS.map(([name]) => name),
    ...records.map((record) => COLUMNS.map(([, place]) => text(at(record, place)))),
  ];
  return lines.map((cells) => `${cells.map(cell).join(',')}\r\n`).join('');
}

/** @param {any} record @param {string} place */
function at(record, place) {
  return place.split('.').reduce((within, key) => within?.[key], record);
}

/** @param {unknown} value */
function text(value) {
  if (value === undefined || value === null) return '';
  return Array.isArray(value) ? value.join(' ') : String(value);
}

/**
 * A cell by RFC 4180. A spreadsheet would calculate what begins like a formula, so that gets a quote in front.
 * @param {string} value
 */
function cell(value) {
  const guarded = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[,"\n\r]/.test(guarded) ? `"${guarded.replaceAll('"', '""')}"` : guarded;
}
