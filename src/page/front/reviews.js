// Review campaigns: what this person confirms or removes by a date, and how each campaign stands. What is shown is what is
// decided on: a decision names it, and the archive refuses one about anything else.

import { html, useEffect, useRef, useState } from './vendor/preact-htm.js';
import { ARCHIVE, Refused, post, read } from './call.js';
import { instant } from './clock.js';
import { Empty, Head, Left, Notice, Table, TextField, Time, Waiting, say, useAnswer } from './controls.js';
import { callName, roleName } from './request.js';
import { words } from './words.js';

/**
 * @typedef {{ kind: string, name: string, namespace?: string }} Subject
 * @typedef {{ kind: string, object: { kind: string, namespace?: string, name: string }, holder?: { subject: Subject }, role?: { kind?: string, name: string }, namespaces?: string[], until?: string, text?: string }} Reviewed
 * @typedef {{ by: string, at: string, verdict: 'Confirm' | 'Remove', reason: string, late: boolean, counts: boolean }} Made
 * @typedef {{ id: string, digest: string, standing: string, mine: boolean, own: boolean, owners: Subject[], item: Reviewed, decisions?: Made[] }} Item
 * @typedef {{ items: number, open: number, confirmed: number, removed: number, stillThere: number, gone: number, late: number }} Counts
 * @typedef {{ name: string, purpose: string, startedBy: string, due: string, closed?: { by: string, at: string, acknowledged: string }, whole: boolean, counts: Counts, items?: Item[] }} Campaign
 */

const OPEN = ['Open', 'Overdue', 'Changed'];
/** How a standing is told apart by colour; its words say the same. */
const TONES = /** @type {Record<string, string>} */ ({
  Confirmed: 'good',
  Removed: 'good',
  Open: 'waiting',
  Overdue: 'bad',
  Changed: 'bad',
  StillThere: 'bad',
});

/** @param {{ page: import('./shell.js').Page, query: URLSearchParams }} props */
export function Reviews({ query }) {
  const name = query.get('campaign') ?? '';
  return name ? html`<${One} key=${name} name=${name} />` : html`<${All} />`;
}

function All() {
  const asked = useAnswer(all, []);
  /** @type {Campaign[]} */
  const campaigns = asked.value ?? [];
  return html`<${Head} title=${words.view.reviews} />
    <${Waiting} of=${asked} />
    ${asked.value && !campaigns.length && html`<${Empty}>${words.reviews.none}<//>`}
    <ul class="cards">${campaigns.map((campaign) => html`<li key=${campaign.name} class="card">
      <div class="card-head"><h2><a href=${`/reviews?campaign=${encodeURIComponent(campaign.name)}`}>
        ${campaign.name}</a></h2></div>
      <${Facts} campaign=${campaign} />
    </li>`)}</ul>`;
}

/** None where there is no archive, or this person has no part in reviews. @returns {Promise<Campaign[]>} */
async function all() {
  try {
    const list = await read(`${ARCHIVE}/campaigns`);
    return list.items.map((/** @type {{ campaign: Campaign }} */ item) => item.campaign);
  } catch (error) {
    if (error instanceof Refused && (error.status === 403 || error.status === 404)) return [];
    throw error;
  }
}

/** @param {{ campaign: Campaign }} props */
function Facts({ campaign }) {
  const { closed, counts } = campaign;
  return html`<p>${campaign.purpose}</p><dl class="facts">
    <dt>${words.reviews.due}</dt><dd><${Time} at=${instant(campaign.due)} />
      ${!closed && html` <${Left} at=${instant(campaign.due)} />`}</dd>
    <dt>${words.reviews.stands}</dt><dd>${words.reviews.counts(counts)}</dd>
    ${closed && html`<dt>${words.reviews.closed}</dt><dd>${callName(closed.by)} <${Time} at=${instant(closed.at)} />
      <q>${closed.acknowledged}</q></dd>`}
  </dl>
  ${!campaign.whole && html`<p class="dim">${words.reviews.yours}</p>`}`;
}

/** @param {{ name: string }} props */
function One({ name }) {
  const asked = useAnswer(async () => (await read(`${ARCHIVE}/campaigns/${encodeURIComponent(name)}`)).campaign, []);
  /** @type {Campaign | undefined} */
  const campaign = asked.value;
  return html`<${Head} title=${name}><p><a href="/reviews">${words.reviews.all}</a></p><//>
    <${Waiting} of=${asked} />
    ${campaign && html`<${Facts} campaign=${campaign} /><${Items} campaign=${campaign} again=${asked.again} />`}`;
}

/** @param {{ campaign: Campaign, again: () => void }} props */
function Items({ campaign, again }) {
  const items = campaign.items ?? [];
  const waits = (/** @type {Item} */ item) => !campaign.closed && item.mine && OPEN.includes(item.standing);
  const [mine, others] = [items.filter(waits), items.filter((item) => !waits(item))];
  const before = useRef(mine.length);
  useEffect(() => {
    // What had the focus is gone with what was decided: go on at the top, not at the start of the page.
    if (mine.length < before.current && document.activeElement === document.body) document.querySelector('h1')?.focus();
    before.current = mine.length;
  }, [mine.length]);
  return html`
    ${!campaign.closed && html`<h2>${words.reviews.mine}</h2>`}
    ${mine.length > 0 && html`<${Deciding} name=${campaign.name} items=${mine} again=${again} />`}
    ${!campaign.closed && !mine.length && html`<${Empty}>${words.reviews.nothing}<//>`}
    ${
      others.length > 0 &&
      html`<h2>${words.reviews.others}</h2><${Table} label=${words.reviews.others}
        columns=${words.reviews.columns}>${others.map(
        (item) => html`<tr key=${item.id} role="row"><${Access} item=${item} />
          <td role="cell"><span class=${`state ${TONES[item.standing] ?? ''}`}>
            ${words.reviews.standing[item.standing] ?? item.standing}</span>${item.own && html` <span class="dim">
            ${words.reviews.own}</span>`}</td>
          <td role="cell"><${Decided} item=${item} /></td></tr>`,
      )}<//>`
    }`;
}

/** Whose access by what, where. @param {{ item: Item }} props */
function Access({ item: { item } }) {
  const { holder, object, role, namespaces = [] } = item;
  const where = namespaces.length || item.kind !== 'StandingAccess' ? namespaces.join(', ') : words.where.cluster;
  return html`<th role="rowheader" scope="row">${holder ? subject(holder.subject) : words.reviews.policy}</th>
    <td role="cell">${role && roleName(role)} ${where}<br /><span class="dim">${object.kind}
      ${[object.namespace, object.name].filter(Boolean).join('/')}</span>${item.text && html`<details><summary>
      ${words.reviews.text}</summary><pre>${readable(item.text)}</pre></details>`}</td>`;
}

/** @param {Subject} of */
function subject({ kind, name, namespace }) {
  if (kind === 'ServiceAccount') return words.serviceAccount(namespace ?? '', name);
  return kind === 'Group' ? words.reviews.group(name) : callName(name);
}

/** JSON with a line for each field; what is none as it is. @param {string} text */
function readable(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 1);
  } catch {
    return text;
  }
}

/** @param {{ item: Item }} props */
function Decided({ item: { decisions = [] } }) {
  const last = decisions.at(-1);
  if (!last) return null;
  return html`${words.reviews.made(last.verdict, callName(last.by), last.late)} <${Time} at=${instant(last.at)} />
    <q>${last.reason}</q>`;
}

/** @param {{ name: string, items: Item[], again: () => void }} props */
function Deciding({ name, items, again }) {
  const [chosen, choose] = useState(/** @type {Set<string>} */ (new Set()));
  const [reason, setReason] = useState('');
  const [sending, setSending] = useState(false);
  const [told, tell] = useState(/** @type {{ tone: string, sentence: string } | null} */ (null));
  const still = items.filter((item) => chosen.has(item.id));
  const turn = (/** @type {string} */ id) => (/** @type {any} */ event) => {
    const next = new Set(chosen);
    if (event.currentTarget.checked) next.add(id);
    else next.delete(id);
    choose(next);
  };
  const decide = async (/** @type {'Confirm' | 'Remove'} */ verdict) => {
    setSending(true);
    const decisions = still.map(({ id, digest }) => ({ item: id, digest, verdict, reason }));
    const sentence = await post(`${ARCHIVE}/campaigns/${encodeURIComponent(name)}/decisions`, { decisions }).then(
      () => ({ tone: 'good', sentence: words.reviews.done(verdict, decisions.length) }),
      (error) => ({ tone: 'bad', sentence: words.reviews.failed(error.message) }),
    );
    setSending(false);
    tell(sentence);
    say(sentence.sentence);
    choose(new Set());
    if (sentence.tone === 'good') setReason('');
    again();
  };
  const idle = sending || !still.length || !reason.trim();
  return html`<${Table} label=${words.reviews.mine} columns=${words.reviews.toDecide}>${items.map(
      (item) => html`<tr key=${item.id} role="row">
      <td role="cell"><input type="checkbox" aria-label=${words.reviews.choose(item.item.object.name, item.id)}
        checked=${chosen.has(item.id)} onChange=${turn(item.id)} /></td>
      <${Access} item=${item} />
      <td role="cell"><span class=${`state ${TONES[item.standing] ?? ''}`}>
        ${words.reviews.standing[item.standing] ?? item.standing}</span> <${Decided} item=${item} /></td></tr>`,
    )}<//>
    <div class="decision" role="group" aria-label=${words.reviews.mine}>
      <p class="row"><button type="button" class="quiet" onClick=${() => choose(new Set(items.map(({ id }) => id)))}>
        ${words.reviews.chooseAll(items.length)}</button></p>
      <${TextField} label=${words.reviews.reason} value=${reason} onInput=${setReason} lines=${2} required
        hint=${words.reviews.hint} />
      <p class="row">
        <button type="button" class="main" disabled=${idle} onClick=${() => decide('Confirm')}>
          ${words.reviews.confirm(still.length)}</button>
        <button type="button" class="no" disabled=${idle} onClick=${() => decide('Remove')}>
          ${words.reviews.remove(still.length)}</button>
      </p>
      ${told && html`<${Notice} tone=${told.tone} alert=${told.tone === 'bad'}><p>${told.sentence}</p><//>`}
    </div>`;
}
