// What happened, to be searched, printed and taken along.

import { html, useEffect, useState } from './vendor/preact-htm.js';
import { instant, now } from './clock.js';
import { Empty, Head, Notice, Said, SelectField, Table, TextField, Time, Waiting, useAnswer } from './controls.js';
import { growAll, useGrowth } from './growth.js';
import { exported, find } from './records.js';
import { callName, roleName } from './request.js';
import { linkTo, setQuery } from './route.js';
import { words } from './words.js';

/** @typedef {import('./records.js').Kept} Kept */
/** @typedef {import('./records.js').Wish} Wish */

const TEXTS = /** @type {const} */ (['text', 'person', 'role', 'namespace', 'policy']);

/** @param {URLSearchParams} query @returns {Wish} */
function wishOf(query) {
  const get = (/** @type {string} */ key) => query.get(key) ?? '';
  return {
    person: get('person'),
    role: get('role'),
    namespace: get('namespace'),
    policy: get('policy'),
    kind: get('kind'),
    text: get('text'),
    request: get('request'),
    since: get('since'),
    until: get('until'),
  };
}

/** @param {{ page: import('./shell.js').Page, query: URLSearchParams }} props */
export function History({ page, query }) {
  const wish = wishOf(query);
  const [typed, type] = useState(wish);
  const { seen } = page;
  const asked = useAnswer(
    async () => (seen.phase === 'loading' ? undefined : find(wish, seen.all)),
    [query.toString(), seen.phase === 'loading'],
  );
  const [further, setFurther] = useState(/** @type {{ records: Kept[], more: string } | null} */ (null));
  useEffect(() => setFurther(null), [asked.value]);
  const found = asked.value;
  const records = [...(found?.records ?? []), ...(further?.records ?? [])];
  const more = further ? further.more : (found?.more ?? '');
  const search = (/** @type {Event} */ event) => {
    event.preventDefault();
    setQuery({ ...typed });
  };
  const readOn = async () => {
    const next = await find(wish, seen.all, more);
    setFurther({ records: [...(further?.records ?? []), ...next.records], more: next.more });
  };
  return html`<${Head} title=${words.view.history}>${found && html`<${Export} wish=${wish} found=${found} />`}<//>
    <p class="paper">${words.history.paper(
      page.me.cluster,
      page.me.username,
      Object.entries(wish)
        .filter((pair) => pair[1])
        .map(([key, value]) => `${words.field[/** @type {'text'} */ (key)] ?? key}: ${value}`)
        .join(', '),
    )} <${Time} at=${now()} exact /></p>
    <form class="filters" role="search" aria-label=${words.history.search} onSubmit=${search}>
      ${TEXTS.map((key) => html`<${TextField} key=${key} label=${words.field[key]} type="search" value=${typed[key]}
        onInput=${(/** @type {string} */ value) => type({ ...typed, [key]: value })} />`)}
      <${SelectField} label=${words.field.kind} value=${typed.kind} options=${words.history.kinds}
        onInput=${(/** @type {string} */ kind) => type({ ...typed, kind })} />
      <${TextField} label=${words.field.since} type="datetime-local" value=${typed.since}
        onInput=${(/** @type {string} */ since) => type({ ...typed, since })} />
      <${TextField} label=${words.field.until} type="datetime-local" value=${typed.until}
        onInput=${(/** @type {string} */ until) => type({ ...typed, until })} />
      <button class="main">${words.history.find}</button>
    </form>
    ${
      wish.request &&
      html`<p class="place">${words.history.ofOne} <button type="button" class="quiet" onClick=${() => {
        type({ ...typed, request: '' });
        setQuery({ request: '' });
      }}>${words.history.ofAll}</button></p>`
    }
    <${Waiting} of=${asked} />
    ${found?.from === 'requests' && html`<${Notice}><p>${words.history.noArchive} ${found.why}</p><//>`}
    ${found && (records.length ? html`<${Records} records=${records} />` : html`<${Empty}>${words.history.none}<//>`)}
    ${more && html`<button type="button" class="more" onClick=${readOn}>${words.history.more}</button>`}`;
}

/** @param {{ records: Kept[] }} props */
function Records({ records }) {
  const [many, more] = useGrowth(records.length);
  return html`<${Table} label=${words.history.table} columns=${words.history.columns} kind="records">
    ${records.slice(0, many).map(
      (record) => html`<tr key=${record.id} role="row">
      <td role="cell"><${Time} at=${instant(record.at)} exact /></td>
      <td role="cell">${words.event[record.kind] ?? record.kind}</td>
      <td role="cell">${callName(record.subject?.username ?? '')}</td>
      <td role="cell">${record.access && roleName(record.access.role)}</td>
      <td role="cell">
        ${record.access?.clusterWide ? words.where.cluster : (record.access?.namespaces ?? []).join(', ')}</td>
      <td role="cell">${record.actor ? callName(record.actor.username) : words.details.controller}</td>
      <td role="cell"><${Said} text=${record.message} exact />${record.asked?.reason && record.kind === 'Requested' && html` <q>
        ${record.asked.reason}</q>`}${record.review?.comment && html` <q>${record.review.comment}</q>`}</td>
      <td role="cell"><a href=${linkTo({ metadata: record.request })}>
        ${record.request.namespace}/${record.request.name}</a></td>
    </tr>`,
    )}<//>
  ${many < records.length && html`<button ref=${more} type="button" class="more">${words.now.more(records.length - many)}</button>`}`;
}

/** @param {{ wish: Wish, found: import('./records.js').Found }} props */
function Export({ wish, found }) {
  const [error, setError] = useState('');
  const save = async (/** @type {'jsonl' | 'csv'} */ format) => {
    try {
      const url = URL.createObjectURL(await exported(format, wish, found));
      const link = document.createElement('a');
      link.href = url;
      link.download = `daypass-history.${format}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
      setError('');
    } catch (why) {
      setError(why instanceof Error ? why.message : String(why));
    }
  };
  return html`<p class="row export">
    <button type="button" onClick=${() => save('jsonl')}>${words.history.jsonl}</button>
    <button type="button" onClick=${() => save('csv')}>${words.history.csv}</button>
    <button type="button" onClick=${printAll}>${words.history.print}</button>
    ${error && html`<span class="told bad" role="alert">${error}</span>`}
  </p>`;
}

/** Prints every row that was read, also those that are not drawn yet. */
function printAll() {
  growAll();
  setTimeout(() => print(), 100);
}
