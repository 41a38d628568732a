// What waits for this person: exactly what would be granted, its risk and its reason; decided one by one, or several
// with one look.

import { html, useEffect, useState } from './vendor/preact-htm.js';
import { read, requestPath } from './call.js';
import { instant } from './clock.js';
import {
  BreakGlassMark,
  Dialog,
  Empty,
  Gaps,
  Head,
  Left,
  Notice,
  Rights,
  Risk,
  Table,
  TextField,
  Time,
  Waiting,
  say,
  useAnswer,
  useFocusAfter,
} from './controls.js';
import { ChangedNotice, Decision, sent, useShown } from './decide.js';
import { callName, keyOf, lengthOf, person, tense, what, where } from './request.js';
import { linkTo } from './route.js';
import { words } from './words.js';

/** @typedef {import('./request.js').Request} Request */
/** @typedef {import('./waiting.js').Task} Task */
/** @typedef {{ task: Task, shown: Request }} Chosen */
/** So many reasons of a risk are shown at once. */
const FIRST = 5;

/**
 * @typedef {object} ItemProps
 * @property {import('./shell.js').Page} page
 * @property {Task} task
 * @property {boolean} picked whether it is chosen to be decided together with others
 * @property {(task: Task, shown: Request | null) => void} pick
 * @property {(sentence: string, shown: Request) => void} onGiven
 */

/** @param {{ page: import('./shell.js').Page }} props */
export function Inbox({ page }) {
  const { inbox } = page;
  const [chosen, choose] = useState(/** @type {Map<string, Chosen>} */ (new Map()));
  const [together, setTogether] = useState(/** @type {Chosen[] | null} */ (null));
  const [last, setLast] = useState(/** @type {{ sentence: string, shown: Request } | null} */ (null));
  const tasks = inbox.value?.requests ?? [];
  const decided = useFocusAfter([tasks.length]);
  const onGiven = (/** @type {string} */ sentence, /** @type {Request} */ shown) => {
    decided();
    setLast({ sentence, shown });
  };
  const onClose = () => {
    decided();
    setTogether(null);
  };
  const still = tasks.flatMap((task) => chosen.get(task.uid) ?? []);
  const pick = (/** @type {Task} */ task, /** @type {Request | null} */ shown) =>
    choose((before) => {
      const next = new Map(before);
      if (shown) next.set(task.uid, { task, shown });
      else next.delete(task.uid);
      return next;
    });
  return html`<${Head} title=${words.view.inbox}>
      ${still.length > 0 && html`<p class="row"><button type="button" class="main" onClick=${() => setTogether(still)}>
        ${words.inbox.decideAll(still.length)}</button></p>`}
    <//>
    ${last && html`<${Notice} tone="good"><p>${last.sentence} <a href=${linkTo(last.shown)}>
      ${words.inbox.seeIt}</a></p><//>`}
    <${Waiting} of=${inbox} />
    ${inbox.value && html`<${Gaps} gaps=${inbox.value.gaps} />`}
    ${inbox.value && !tasks.length && html`<${Empty}>${words.inbox.none}<//>`}
    <ul class="cards">${tasks.map((task) => html`<${Item} key=${task.uid} page=${page} task=${task}
      picked=${chosen.has(task.uid)} pick=${pick} onGiven=${onGiven} />`)}</ul>
    ${together && html`<${Several} page=${page} all=${together} onClose=${onClose} />`}`;
}

/**
 * @param {ItemProps} props
 */
function Item({ page, task, picked, pick, onGiven }) {
  const known = page.seen.byKey.get(`${task.namespace}/${task.name}`);
  const live = known?.metadata.uid === task.uid ? known : undefined;
  const asked = useAnswer(
    async () => live ?? read(requestPath(task.namespace, task.name)),
    [task.resourceVersion, Boolean(live)],
  );
  const request = live ?? asked.value;
  if (!request) return html`<li class="card"><h2>${task.namespace}/${task.name}</h2><${Waiting} of=${asked} /></li>`;
  return html`<${Card} page=${page} task=${task} live=${request} picked=${picked} pick=${pick} onGiven=${onGiven} />`;
}

/**
 * @param {ItemProps & { live: Request }} props
 */
function Card({ page, task, live, picked, pick, onGiven }) {
  const { shown, changed, showNew, reading } = useShown(live, true, task.resourceVersion);
  useEffect(() => {
    if (picked) pick(task, changed.length || reading ? null : shown);
  }, [shown, changed.length, reading]);
  const title = words.details.lead[tense(shown)](callName(person(shown)), what(shown), where(shown));
  const turn = (/** @type {any} */ event) => pick(task, event.currentTarget.checked ? shown : null);
  return html`<li class="card">
    <div class="card-head">
      <input type="checkbox" aria-label=${words.inbox.choose(keyOf(shown))} checked=${picked}
        disabled=${reading || changed.length > 0} onChange=${turn} />
      <h2><a href=${linkTo(shown)}>${title}</a></h2>
      ${shown.spec.breakGlass && html`<${BreakGlassMark} />`}
      <${Risk} level=${task.risk} />
    </div>
    <${ChangedNotice} shown=${shown} changed=${changed} showNew=${showNew} />
    <div class="halves">
      <div>
        <blockquote>${shown.spec.reason}</blockquote>
        <dl class="facts">
          <dt>${words.field.asks}</dt><dd>
            ${words.inbox.why(task.why)}${task.until && html`<${Until} at=${instant(task.until)} />`}</dd>
          <dt>${words.field.length}</dt><dd>${lengthOf(shown)}</dd>
          ${shown.spec.startTime && html`<dt>${words.field.begins}</dt><dd>
            <${Time} at=${instant(shown.spec.startTime)} /></dd>`}
          <dt>${words.field.asked}</dt><dd><${Left} at=${instant(shown.metadata.creationTimestamp)} /></dd>
          ${shown.spec.ticket && html`<dt>${words.field.ticket}</dt><dd>${shown.spec.ticket}</dd>`}
        </dl>
        <h3>${words.details.what[tense(shown)]}</h3>
        <${Rights} lines=${task.rights} label=${words.details.what[tense(shown)]} />
        <${RiskReasons} request=${shown} />
      </div>
      <${Decision} page=${page} shown=${shown} changed=${changed} reading=${reading}
        task=${task.why === 'review' ? 'review' : 'decide'}
        onGiven=${(/** @type {string} */ sentence) => onGiven(sentence, shown)} />
    </div>
  </li>`;
}

/** @param {{ at: number }} props */
function Until({ at }) {
  return html`<span> · ${words.inbox.until} <${Time} at=${at} /> <${Left} at=${at} /></span>`;
}

/** Why a role is taken to be harmful. @param {{ request: Request }} props */
export function RiskReasons({ request }) {
  const reasons = request.status?.risk?.reasons ?? [];
  if (!reasons.length) return null;
  // The worst are first.
  const [first, rest] = [reasons.slice(0, FIRST), reasons.slice(FIRST)];
  const list = (/** @type {string[]} */ of) => html`<ul class="reasons">${of.map((reason) => html`<li key=${reason}>
    ${reason}</li>`)}</ul>`;
  return html`<h3>${words.inbox.riskWhy}</h3>${list(first)}
    ${rest.length > 0 && html`<details><summary>${words.inbox.moreRisk(rest.length)}</summary>${list(rest)}</details>`}`;
}

/**
 * What the dialog shows when it opens is what is decided, whatever becomes of it meanwhile.
 * @param {{ page: import('./shell.js').Page, all: Chosen[], onClose: () => void }} props
 */
function Several({ page, all, onClose }) {
  const [comment, setComment] = useState('');
  const [results, setResults] = useState(/** @type {Record<string, { tone: string, sentence: string }>} */ ({}));
  const [state, setState] = useState(/** @type {'asking' | 'sending' | 'done'} */ ('asking'));
  const decide = async (/** @type {'Approve' | 'Deny'} */ verdict) => {
    setState('sending');
    for (const { shown } of all) {
      const result = await sent(shown, page.me.username, verdict, comment);
      if (result.latest) page.requests.take(result.latest);
      setResults((before) => ({ ...before, [shown.metadata.uid]: result }));
    }
    setState('done');
    say(words.inbox.allDone);
    page.inbox.again();
  };
  return html`<${Dialog} title=${words.inbox.decideAll(all.length)} onClose=${onClose}>
    <${Table} label=${words.inbox.table} columns=${words.inbox.columns}>${all.map(
        ({ task, shown }) => html`<tr key=${task.uid} role="row">
        <th role="rowheader" scope="row">${callName(person(shown))}<br /><span class="dim">${keyOf(shown)}</span></th>
        <td role="cell"><strong>${what(shown)}</strong> ${words.inbox.in} ${where(shown)}, ${lengthOf(shown)}
          <${Rights} lines=${task.rights} label=${words.details.what[tense(shown)]} /></td>
        <td role="cell"><${Risk} level=${task.risk} /></td>
        <td role="cell">${shown.spec.reason}<br /><span class="dim">${words.inbox.why(task.why)}</span></td>
        <td role="cell"><span role="status" class=${`told ${results[task.uid]?.tone ?? ''}`}>
          ${results[task.uid]?.sentence}</span></td>
      </tr>`,
      )}<//>
    ${
      state === 'done'
        ? html`<p class="row"><button type="button" class="main" onClick=${onClose}>${words.close}</button></p>`
        : html`<${TextField} label=${words.field.comment} value=${comment} onInput=${setComment} lines=${2} />
        <p class="row">
          <button type="button" class="main" disabled=${state === 'sending'} onClick=${() => decide('Approve')}>
            ${words.inbox.approveAll(all.length)}</button>
          <button type="button" class="no" disabled=${state === 'sending'} onClick=${() => decide('Deny')}>
            ${words.inbox.denyAll(all.length)}</button>
        </p>`
    }
  <//>`;
}
