// What was done with a grant: by its status in a line, and by the archive call for call where this person may read it there.

import { html } from './vendor/preact-htm.js';
import { ARCHIVE, read, withQuery } from './call.js';
import { instant } from './clock.js';
import { Table, Time, Waiting, useAnswer } from './controls.js';
import { callName } from './request.js';
import { words } from './words.js';

/** @typedef {import('./request.js').Request} Request */
/**
 * @typedef {{ verb?: string, group?: string, resource?: string, namespace?: string, target?: string, path?: string, user?: string, impersonated?: string, address?: string, program?: string, ports?: string[], refused?: boolean, others?: boolean, instead?: { by: string }, calls: number, first: string, last: string }} Row
 * @typedef {{ known: string, why: string, calls: number, open: number, rows: Row[] }} Done
 */

/** @param {{ request: Request }} props */
export function Activity({ request }) {
  const { metadata, status } = request;
  const begun = Boolean(status?.grantedAt);
  const asked = useAnswer(
    async () => (begun ? ofArchive(metadata.namespace, metadata.uid) : null),
    [begun, status?.state, status?.recorded],
  );
  if (!begun) return null;
  const done = asked.value;
  if (!status?.activity && asked.error) return null;
  const line = status?.activity && html`<${InALine} activity=${status.activity} />`;
  if (asked.value === null && !line) return null;
  return html`<h2>${words.activity.title}</h2>
    ${done ? html`<${Calls} done=${done} />` : (line ?? html`<${Waiting} of=${asked} />`)}`;
}

/** @param {{ activity: NonNullable<NonNullable<Request['status']>['activity']> }} props */
function InALine({ activity }) {
  const { used, calls, last } = activity;
  return html`<p><strong>${words.activity.used[used] ?? used}</strong> ${
    last && html`<span class="dim">${words.activity.calls(calls)} <${Time} at=${instant(last)} /></span>`
  }</p>`;
}

/** @param {{ done: Done }} props */
function Calls({ done }) {
  const label = words.activity.known[done.known];
  return html`<p>${label && html`<strong>${label}: </strong>`}<span class="dim">${done.why}.${
    done.open ? ` ${words.activity.open(done.open)}` : ''
  }</span></p>
    ${
      done.rows.length > 0 &&
      html`<${Table} label=${words.activity.title} columns=${words.activity.columns} kind="happened">${done.rows.map(
        (row, index) => html`<tr key=${index} role="row">
        <td role="cell">${what(row)}</td>
        <td role="cell">${who(row)}</td>
        <td role="cell">${row.calls}</td>
        <td role="cell"><${Time} at=${instant(row.last)} /></td></tr>`,
      )}<//>`
    }`;
}

/** What a row counts, as kubectl names it. @param {Row} row */
function what(row) {
  if (row.others) return words.activity.others;
  const kind = [row.resource, row.group].filter(Boolean).join('.');
  const place = [row.namespace, row.target].filter(Boolean).join('/');
  const parts = [row.verb, kind || row.path, place, row.program, row.ports?.join(' ')];
  return html`<code>${parts.filter(Boolean).join(' ')}</code>${row.refused && html` ${words.activity.refused}`}${
    row.instead && html` <span class="dim">${words.activity.instead(row.instead.by)}</span>`
  }`;
}

/** @param {Row} row */
function who(row) {
  const name = row.impersonated ? words.activity.as(row.user ?? '', row.impersonated) : callName(row.user ?? '');
  return html`${name}${row.address && html` <span class="dim">${row.address}</span>`}`;
}

/** None where the archive knows nothing of it. @param {string} namespace @param {string} uid @returns {Promise<Done | null>} */
async function ofArchive(namespace, uid) {
  const path = `${ARCHIVE}/namespaces/${encodeURIComponent(namespace)}/activity`;
  const list = await read(withQuery(path, { request: uid }));
  return list.items[0] ?? null;
}
