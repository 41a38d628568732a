// Everything about one request: how it stands and what is next, who decides, who said what, what happened, and what
// this person can do about it.

import { html, useEffect, useState } from './vendor/preact-htm.js';
import { Activity } from './activity.js';
import { GROUP, Refused, read, requestPath } from './call.js';
import { instant } from './clock.js';
import {
  BreakGlassMark,
  Empty,
  Head,
  Left,
  Notice,
  Rights,
  Risk,
  Said,
  State,
  Table,
  TextField,
  Time,
  Waiting,
  useAnswer,
  useFocusAfter,
} from './controls.js';
import { ChangedNotice, Decision, useShown } from './decide.js';
import { extension } from './draft.js';
import { Forecast, useForecast } from './foresee.js';
import { RiskReasons } from './inbox.js';
import {
  beginsWhenApproved,
  callName,
  hasGrant,
  isOver,
  isUnreviewed,
  keyOf,
  lengthOf,
  person,
  rights,
  roleName,
  saysOf,
  state,
  subjectName,
  tense,
  times,
  what,
  where,
} from './request.js';
import { useSending } from './sending.js';
import { words } from './words.js';

/** @typedef {import('./request.js').Request} Request */
/** @typedef {import('./shell.js').Page} Page */

/** @param {{ page: Page, namespace: string, name: string, uid: string }} props */
export function Details({ page, namespace, name, uid }) {
  const key = `${namespace}/${name}`;
  const { seen } = page;
  const known = seen.byKey.get(key);
  const [anyway, setAnyway] = useState(false);
  const asked = useAnswer(
    async () => known ?? read(requestPath(namespace, name)),
    [Boolean(known), seen.phase === 'loading'],
  );
  const missing = asked.error instanceof Refused && asked.error.status === 404;
  useEffect(() => {
    // Where not all namespaces may be watched, or another one is, that of the request is from now on.
    const elsewhere = seen.phase === 'refused' || (seen.place !== '' && seen.place !== namespace);
    if (elsewhere && asked.value) page.requests.look(namespace);
  }, [seen.phase, seen.place, Boolean(asked.value)]);
  const request = known ?? asked.value;
  if (!request) {
    const body = missing
      ? html`<${Empty}>${words.details.gone(key)} <a href=${`/history?text=${encodeURIComponent(name)}`}>
        ${words.details.seeHistory}</a><//>`
      : html`<${Waiting} of=${asked} />`;
    return html`<${Head} title=${key} />${body}`;
  }
  if (uid && request.metadata.uid !== uid && !anyway) {
    return html`<${Head} title=${key} /><${Notice} tone="waiting" alert>
      <p>${words.details.another}</p>
      <p class="row"><button type="button" onClick=${() => setAnyway(true)}>${words.details.showAnother}</button>
        <a href=${`/history?request=${encodeURIComponent(uid)}`}>${words.details.seeHistory}</a></p>
    <//>`;
  }
  return html`<${One} key=${request.metadata.uid} page=${page} live=${request} />`;
}

/** @param {{ page: Page, live: Request }} props */
function One({ page, live }) {
  const task = page.inbox.value?.requests.find((each) => each.uid === live.metadata.uid);
  const asks = tasksOf(live, page.me, task);
  const { shown, changed, showNew, reading } = useShown(live, asks.decide || asks.review, task?.resourceVersion);
  const { begins, ends } = times(shown);
  const { spec, status } = shown;
  const planned = !beginsWhenApproved(shown);
  return html`<${Head} title=${keyOf(shown)}><p class="row"><${State} request=${shown} />
    ${spec.breakGlass && html`<${BreakGlassMark} />`}<${Risk} level=${status?.risk?.level} /></p><//>
    <p class="lead">${words.details.lead[tense(shown)](callName(person(shown)), what(shown), where(shown))}</p>
    <${ChangedNotice} shown=${shown} changed=${changed} showNew=${showNew} />
    <${Notice} tone=${isOver(shown) ? 'plain' : hasGrant(shown) ? 'good' : 'waiting'}><p>
      <${Said} text=${status?.message || words.details.notLooked} /> ${!isOver(shown) && !Number.isNaN(ends) && hasGrant(shown) && html`<span class="dim">
      ${words.details.endsIn} <${Left} at=${ends} /></span>`}</p>
      ${status?.freezeAhead && html`<p>
        ${words.details.freeze(status.freezeAhead.policy)} <${Time} at=${instant(status.freezeAhead.opensAt)} /></p>`}<//>
    <div class="halves">
      <div>
        <blockquote>${spec.reason}</blockquote>
        <dl class="facts">
          <dt>${words.field.length}</dt><dd>${lengthOf(shown)}</dd>
          <dt>${words.field.begins}</dt><dd>${planned ? html`<${Time} at=${begins} />` : words.details.onApproval}</dd>
          ${planned && !Number.isNaN(ends) && html`<dt>${words.field.ends}</dt><dd><${Time} at=${ends} /></dd>`}
          ${status?.window && html`<dt>${words.field.window}</dt><dd>
            <${Time} at=${instant(status.window.opensAt)} /> – <${Time} at=${instant(status.window.closesAt)} /></dd>`}
          <dt>${words.field.asked}</dt><dd>
            <${Time} at=${instant(shown.metadata.creationTimestamp)} /> <${Left} at=${instant(shown.metadata.creationTimestamp)} /></dd>
          ${spec.ticket && html`<dt>${words.field.ticket}</dt><dd>${spec.ticket}</dd>`}
          ${status?.policy && html`<dt>${words.field.policy}</dt><dd>
            <a href=${`/policies?name=${encodeURIComponent(status.policy.name)}`}>${status.policy.name}</a></dd>`}
          ${spec.extends && html`<dt>${words.field.extends}</dt><dd>
            <a href=${`/r/${shown.metadata.namespace}/${spec.extends}`}>${spec.extends}</a></dd>`}
          ${status?.recorded ? html`<dt>${words.field.recorded}</dt><dd>
            ${words.details.recorded(status.recorded)}</dd>` : null}
        </dl>
        <h2>${words.details.what[tense(shown)]}</h2>
        <${Granted} request=${shown} lines=${task?.rights} />
        <${RiskReasons} request=${shown} />
        <${Stages} request=${shown} />
        <${Bindings} request=${shown} />
      </div>
      <${Actions} page=${page} shown=${shown} changed=${changed} reading=${reading} task=${task} />
    </div>
    <${Activity} request=${shown} />
    <${Happened} request=${shown} />`;
}

/** @param {{ request: Request, lines?: string[] }} props */
function Granted({ request, lines }) {
  const { rules } = request.spec;
  const all = lines ?? (rules?.length ? rights(rules) : []);
  if (!all.length) return html`<p>${words.details.wholeRole(roleName(request.spec.role))}</p>`;
  return html`<${Rights} lines=${all} label=${words.details.what[tense(request)]} />`;
}

/**
 * @param {{ page: Page, shown: Request, changed: import('./decide.js').Changed, reading: boolean, task?: import('./waiting.js').Task }} props
 */
function Actions({ page, shown, changed, reading, task }) {
  const may = saysOf(shown, page.me);
  const { decide, review } = tasksOf(shown, page.me, task);
  const again = `/ask?again=${encodeURIComponent(keyOf(shown))}`;
  const decided = useFocusAfter([decide, review, may.drop, may.revoke]);
  return html`<div class="actions">
    ${decide && html`<section><h2>${words.details.decide}</h2>
      <${Decision} page=${page} shown=${shown} changed=${changed} reading=${reading} task="decide"
        onGiven=${decided} /></section>`}
    ${
      review &&
      html`<section><h2>${words.details.review}</h2><p>
        ${words.details.reviewBy} <${Time} at=${instant(shown.status?.breakGlass?.reviewBy)} /></p>
      <${Decision} page=${page} shown=${shown} changed=${changed} reading=${reading} task="review"
        onGiven=${decided} /></section>`
    }
    ${may.extend && html`<section><h2>${words.details.extend}</h2>
      <${Extend} page=${page} running=${shown} /></section>`}
    ${may.drop && html`<section><h2>${hasGrant(shown) ? words.details.drop : words.details.withdraw}</h2>
      <${Decision} page=${page} shown=${shown} changed=${[]} task="drop" onGiven=${decided} /></section>`}
    ${may.revoke && html`<section><h2>${words.details.revoke}</h2>
      <${Decision} page=${page} shown=${shown} changed=${[]} task="revoke" onGiven=${decided} /></section>`}
    ${!decide && !review && !may.drop && !may.revoke && html`<p class="dim">
      ${may.own ? words.details.nothingToDoOwn : words.details.nothingToDo}</p>`}
    <p class="row">${!shown.spec.extends && html`<a class="button" href=${again}>${words.details.again}</a>`}
      <a href=${`/history?request=${encodeURIComponent(shown.metadata.uid)}`}>${words.details.seeHistory}</a></p>
  </div>`;
}

/**
 * What this person is asked for, by the request itself or by what the server counts.
 * @param {Request} request
 * @param {import('./request.js').Me} me
 * @param {import('./waiting.js').Task} [task]
 */
function tasksOf(request, me, task) {
  const may = saysOf(request, me);
  const review = may.review || (isUnreviewed(request) && task?.why === 'review');
  return { review, decide: !review && (may.decide || (state(request) === 'Pending' && Boolean(task))) };
}

/** @param {{ page: Page, running: Request }} props */
function Extend({ page, running }) {
  const [by, setBy] = useState('30m');
  const [reason, setReason] = useState('');
  const { sending, error, send } = useSending(page);
  const fine = /^([0-9]{1,5}(h|m|s|ms)){1,4}$/.test(by.trim());
  const draft = fine ? extension(running, by, reason) : null;
  const foreseen = useForecast(draft);
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (draft) send(draft);
  };
  return html`<form onSubmit=${submit} aria-label=${words.details.extend}>
    <div class="row"><${TextField} label=${words.field.by} value=${by} onInput=${setBy}
      wrong=${fine ? '' : words.ask.wrong.duration} />
      <${TextField} label=${words.field.whyLonger} value=${reason} onInput=${setReason} /></div>
    <${Forecast} foreseen=${foreseen} none=${words.ask.noDraft} />
    ${error && html`<${Notice} tone="bad" alert><p>${error}</p><//>`}
    <button class="main" disabled=${sending || !draft}>${words.details.extendBy}</button>
  </form>`;
}

/** The stages of the policy, which of them is open, and who said what. @param {{ request: Request }} props */
function Stages({ request }) {
  const { status } = request;
  const name = status?.policy?.name ?? '';
  const policy = useAnswer(
    async () => (name ? read(`${GROUP}/accesspolicies/${encodeURIComponent(name)}`) : null),
    [name],
  );
  const open = status?.stage;
  /** @type {any[]} */
  const told = request.spec.breakGlass ? [] : (policy.value?.spec.approval?.stages ?? []);
  const all = told.some((stage) => stage.name === open?.name) || !open ? told : [...told, open];
  const reviews = Object.entries(status?.reviews ?? {});
  if (!all.length && !reviews.length && !isUnreviewed(request)) return null;
  const index = all.findIndex((stage) => stage.name === open?.name);
  const decided = state(request) !== 'Pending';
  return html`${
    all.length > 0 &&
    html`<h2>${words.details.stages}</h2><ol class="stages">${all.map((stage, at) => {
      const is = decided ? 'decided' : at === index ? 'open' : at < index ? 'done' : 'later';
      const approvers = (at === index && open?.approvers) || stage.approvers || [];
      return html`<li key=${stage.name} class=${is} aria-current=${is === 'open' ? 'step' : undefined}>
      <strong>${stage.name}</strong> <span class="dim">${words.details.stageIs[is]}</span><br />
      ${words.details.stage(is === 'open' ? (open?.approved ?? 0) : null, stage.required ?? 1, approvers.map(subjectName).join(', '))}
      ${status?.escalated?.includes(stage.name) && html`<br /><span class="told waiting">
        ${words.details.escalated}</span>`}
    </li>`;
    })}</ol>`
  }
  ${
    reviews.length > 0 &&
    html`<h2>${words.details.reviews}</h2><ul class="reasons">${reviews.map(([who, review]) => {
      const counted = status?.countedReviews?.find((each) => each.reviewer === who);
      return html`<li key=${who}><strong>
        ${callName(who)}</strong> ${words.verdict[review.verdict] ?? review.verdict}${review.comment && html`: <q>
        ${review.comment}</q>`}
      <span class="dim"> ${counted ? words.details.counts : words.details.countsNot}</span></li>`;
    })}</ul>`
  }
  ${isUnreviewed(request) && html`<h2>${words.details.whoReviews}</h2><p>${words.details.reviewers((status?.breakGlass?.reviewers ?? []).map(subjectName).join(', '))}</p>`}`;
}

/** @param {{ namespace?: string, name: string }} binding */
function nameOf(binding) {
  return binding.namespace ? `${binding.namespace}/${binding.name}` : binding.name;
}

/** @param {{ request: Request }} props */
function Bindings({ request }) {
  const bindings = request.status?.bindings ?? [];
  if (!bindings.length || isOver(request)) return null;
  return html`<h2>${words.details.bindings}</h2><ul class="rights">
    ${bindings.map((binding) => html`<li key=${nameOf(binding)}><code>${binding.kind} ${nameOf(binding)}</code></li>`)}</ul>`;
}

/** @param {{ request: Request }} props */
function Happened({ request }) {
  const history = request.status?.history ?? [];
  return html`<h2>${words.details.history}</h2>
    ${request.status?.historyDropped ? html`<p>${words.details.dropped(request.status.historyDropped)}</p>` : null}
    ${
      history.length
        ? html`<${Table} label=${words.details.history} columns=${words.details.columns} kind="happened">${history.map(
            (entry, index) => html`<tr key=${index} role="row">
          <td role="cell"><${Time} at=${instant(entry.at)} /></td>
          <td role="cell">${words.event[entry.event] ?? entry.event}</td>
          <td role="cell">${entry.by ? callName(entry.by) : words.details.controller}</td>
          <td role="cell"><${Said} text=${entry.message} />${entry.review?.comment && html` <q>
            ${entry.review.comment}</q>`}</td></tr>`,
          )}<//>`
        : html`<${Empty}>${words.details.noHistory}<//>`
    }`;
}
