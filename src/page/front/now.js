// Who has what, from when to when: every request as a bar on a time axis, with its words beside it, live and filtered.

import { html, useMemo } from './vendor/preact-htm.js';
import { DAY, HOUR, SECOND, useNow } from './clock.js';
import { BreakGlassMark, Empty, Head, Left, SelectField, State, TextField, Time } from './controls.js';
import { useGrowth } from './growth.js';
import {
  STATES,
  beginsWhenApproved,
  callName,
  isOver,
  keyOf,
  lengthOf,
  namespacesOf,
  person,
  roleName,
  state,
  times,
  what,
  where,
} from './request.js';
import { linkTo, setQuery } from './route.js';
import { Axis, Bar, rangeAround } from './timeline.js';
import { words } from './words.js';

/** @typedef {import('./request.js').Request} Request */

/** @type {Record<string, number>} */
const LENGTHS = { '3h': 3 * HOUR, '6h': 6 * HOUR, '12h': 12 * HOUR, '2d': 2 * DAY, '14d': 14 * DAY };
const USUAL = '6h';
const ORDER = ['Active', 'Suspended', 'Scheduled', 'Pending'];

/** @param {{ page: import('./shell.js').Page, query: URLSearchParams }} props */
export function Now({ page, query }) {
  const { seen } = page;
  const wish = {
    person: query.get('person') ?? '',
    namespace: query.get('namespace') ?? '',
    role: query.get('role') ?? '',
    state: query.get('state') ?? '',
  };
  const length = LENGTHS[query.get('span') ?? USUAL] ?? LENGTHS[USUAL];
  const shown = useMemo(
    () => sorted(seen.all.filter((request) => fits(request, wish))),
    [seen.all, ...Object.values(wish)],
  );
  return html`<${Head} title=${words.view.now}><p class="dim">${words.now.count(shown.length, seen.all.length)}</p><//>
    <${Filters} all=${seen.all} wish=${wish} query=${query} />
    ${shown.length ? html`<${Rows} all=${shown} length=${length} />` : html`<${None} page=${page} />`}`;
}

/** @param {{ page: import('./shell.js').Page }} props */
function None({ page }) {
  const { seen } = page;
  if (seen.phase === 'loading') return html`<${Empty}>${words.loading}<//>`;
  if (seen.phase === 'refused') return html`<${Empty}>${words.now.refused}<//>`;
  return html`<${Empty}>${seen.all.length ? words.now.noneFits : words.now.none} <a href="/ask">
    ${words.now.askOne}</a><//>`;
}

/** @param {{ all: Request[], wish: Record<string, string>, query: URLSearchParams }} props */
function Filters({ all, wish, query }) {
  const lists = useMemo(
    () => ({
      person: distinct(all.map(person)),
      namespace: distinct(all.flatMap(namespacesOf)),
      role: distinct(all.map((request) => roleName(request.spec.role))),
    }),
    [all],
  );
  const text = (
    /** @type {'person' | 'namespace' | 'role'} */ key,
  ) => html`<${TextField} label=${words.field[key]} type="search" value=${wish[key]}
    list=${lists[key]} onInput=${(/** @type {string} */ value) => setQuery({ [key]: value })} />`;
  const states = [
    ['', words.now.notOver],
    ['all', words.now.allStates],
    ...STATES.map((each) => [each, words.state[each]]),
  ];
  return html`<form class="filters" role="search" aria-label=${words.now.filters}
    onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
    ${text('person')}${text('namespace')}${text('role')}
    <${SelectField} label=${words.field.state} value=${wish.state} options=${states}
      onInput=${(/** @type {string} */ value) => setQuery({ state: value })} />
    <${SelectField} label=${words.now.span} value=${query.get('span') ?? USUAL} options=${words.now.spans}
      onInput=${(/** @type {string} */ value) => setQuery({ span: value })} />
  </form>`;
}

/** @param {{ all: Request[], length: number }} props */
function Rows({ all, length }) {
  const present = useNow(Math.min(30 * SECOND, Math.max(SECOND, length / 1500)));
  const range = useMemo(() => rangeAround(present, length), [present, length]);
  const [many, more] = useGrowth(all.length);
  return html`<table class="grants" role="table" aria-label=${words.now.table}>
    <thead role="rowgroup"><tr role="row">
      ${words.now.columns.map((column) => html`<th key=${column} role="columnheader" scope="col">${column}</th>`)}
      <td role="cell" class="chart"><${Axis} range=${range} /></td>
    </tr></thead>
    <tbody role="rowgroup">${all.slice(0, many).map((request) => html`<${Row} key=${request.metadata.uid}
      request=${request} range=${range} />`)}</tbody>
  </table>
  ${many < all.length && html`<button ref=${more} type="button" class="more">${words.now.more(all.length - many)}</button>`}`;
}

/** @param {{ request: Request, range: import('./timeline.js').Range }} props */
function Row({ request, range }) {
  return useMemo(() => {
    const { asked, begins, ends } = times(request);
    const over = isOver(request);
    return html`<tr role="row" class=${over ? 'over' : ''}>
      <th role="rowheader" scope="row"><a href=${linkTo(request)}>${callName(person(request))}</a></th>
      <td role="cell" class="role">${what(request)} ${request.spec.breakGlass && html`<${BreakGlassMark} />`}</td>
      <td role="cell" class="where">${where(request)}</td>
      <td role="cell"><${State} request=${request} /></td>
      <td role="cell" class="when">${
        beginsWhenApproved(request)
          ? html`<span class="dim">${words.now.asked}</span> <${Time} at=${asked} />`
          : html`<${Time} at=${begins} />${Number.isNaN(ends) ? null : html`<span class="dim"> – </span>
            <${Time} at=${ends} />`}`
      }</td>
      <td role="cell" class="when">
        ${beginsWhenApproved(request) ? lengthOf(request) : html`<${Left} at=${state(request) === 'Scheduled' ? begins : ends} />`}</td>
      <td role="cell" class="chart"><${Bar} request=${request} range=${range} /></td>
    </tr>`;
  }, [request, range]);
}

/** @param {Request} request @param {Record<string, string>} wish */
function fits(request, wish) {
  if (wish.state ? wish.state !== 'all' && state(request) !== wish.state : isOver(request)) return false;
  const has = (/** @type {string} */ text, /** @type {string} */ part) =>
    text.toLowerCase().includes(part.toLowerCase());
  return (
    has(person(request), wish.person) &&
    has(what(request), wish.role) &&
    (!wish.namespace || has(where(request), wish.namespace) || has(request.metadata.namespace, wish.namespace))
  );
}

/** What runs first, by its end; then what comes, waits, and is over. @param {Request[]} all */
function sorted(all) {
  const keyed = all.map((request) => ({
    request,
    rank: isOver(request) ? ORDER.length : ORDER.indexOf(state(request)),
    times: times(request),
  }));
  keyed.sort(
    (a, b) =>
      a.rank - b.rank ||
      (a.rank === ORDER.length ? b.times.ends - a.times.ends : a.times.ends - b.times.ends) ||
      (keyOf(a.request) < keyOf(b.request) ? -1 : 1),
  );
  return keyed.map((each) => each.request);
}

/** @param {string[]} all */
function distinct(all) {
  return [...new Set(all)].filter(Boolean).sort();
}
