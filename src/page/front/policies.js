// The policies, readable; what is odd about them; and what they would decide about a request that is only thought of.

import { html, useMemo, useState } from './vendor/preact-htm.js';
import { GROUP, read } from './call.js';
import { Empty, Gaps, Head, Notice, TextField, Waiting, useAnswer } from './controls.js';
import { draftOf, emptyForm } from './draft.js';
import { Explain } from './explain.js';
import { Forecast, useForecast } from './foresee.js';
import { sentences } from './readable.js';
import { setQuery } from './route.js';
import { words } from './words.js';

/** @typedef {import('./readable.js').Policy} Policy */
/** @typedef {{ policy: string, severity: string, message: string, wayOut?: string }} Oddity */

/** @param {{ page: import('./shell.js').Page, query: URLSearchParams }} props */
export function Policies({ query }) {
  const policies = useAnswer(async () => (await read(`${GROUP}/accesspolicies?limit=500`)).items, []);
  const lint = useAnswer(() => read('/api/lint'), []);
  const oddOf = (/** @type {Policy} */ policy) =>
    (lint.value?.findings ?? []).filter((/** @type {Oddity} */ each) => each.policy === policy.metadata.name);
  const wish = query.get('name') ?? '';
  /** @type {Policy[]} */
  const all = policies.value ?? [];
  const shown = all.filter((policy) =>
    `${policy.metadata.name} ${policy.spec.description ?? ''}`.toLowerCase().includes(wish.toLowerCase()),
  );
  return html`<${Head} title=${words.view.policies}><p class="dim">
    ${policies.value && words.policies.count(shown.length, all.length)}</p><//>
    <${Try} />
    <${Explain} />
    <div class="filters" role="search"><${TextField} label=${words.policies.find} type="search" value=${wish}
      onInput=${(/** @type {string} */ name) => setQuery({ name })} /></div>
    <${Waiting} of=${policies} />
    ${lint.error && html`<${Waiting} of=${lint} />`}
    ${lint.value && policies.value && html`<${Gaps} gaps=${lint.value.gaps} />`}
    ${policies.value && !shown.length && html`<${Empty}>
      ${all.length ? words.policies.noneFits : words.policies.none}<//>`}
    <ul class="cards tiles">${shown.map((policy) => html`<${Card} key=${policy.metadata.uid} policy=${policy} odd=${oddOf(policy)} />`)}</ul>`;
}

/** @param {{ policy: Policy, odd: Oddity[] }} props */
function Card({ policy, odd }) {
  const deny = policy.spec.effect === 'Deny';
  const wrong = (policy.status?.conditions ?? []).filter(
    (condition) => condition.status !== 'True' && condition.message,
  );
  return html`<li class="card policy">
    <div class="card-head"><h2>${policy.metadata.name}</h2><span class=${`state ${deny ? 'bad' : 'good'}`}>
      ${deny ? words.policy.denies : words.policy.allows}</span></div>
    ${policy.spec.description && html`<p>${policy.spec.description}</p>`}
    <dl class="facts">${sentences(policy).map(({ term, says }) => html`<dt key=${term}>${term}</dt>
      ${says.map((sentence) => html`<dd key=${sentence}>${sentence}</dd>`)}`)}</dl>
    ${wrong.map((condition) => html`<${Notice} key=${condition.type} tone="waiting"><p><strong>
      ${condition.type}</strong>: ${condition.message}</p><//>`)}
    ${odd.map((each) => html`<${Notice} key=${each.message} tone=${each.severity === 'problem' ? 'bad' : 'waiting'}><p>
      <strong>${words.level[each.severity] ?? each.severity}</strong>: ${each.message}</p>${each.wayOut && html`<p>${each.wayOut}</p>`}<//>`)}
  </li>`;
}

/** Asks what would be decided, and sends nothing. */
function Try() {
  const [form, setForm] = useState(emptyForm);
  const set = (/** @type {any} */ change) => setForm((before) => ({ ...before, ...change }));
  const draft = useMemo(() => (form.namespace.trim() && form.role.trim() ? draftOf(form) : null), [form]);
  const foreseen = useForecast(draft);
  const link = `/ask?namespace=${encodeURIComponent(form.namespace)}&role=${encodeURIComponent(form.role)}`;
  return html`<details class="card"><summary>${words.policies.try}</summary><div class="halves">
    <form aria-label=${words.policies.try} onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      <p class="dim">${words.policies.tryHint}</p>
      <${TextField} label=${words.field.namespace} value=${form.namespace}
        onInput=${(/** @type {string} */ namespace) => set({ namespace })} />
      <${TextField} label=${words.field.role} value=${form.role}
        onInput=${(/** @type {string} */ role) => set({ role })} />
      <${TextField} label=${words.field.length} value=${form.duration} placeholder="1h"
        onInput=${(/** @type {string} */ duration) => set({ duration })} />
      ${draft && html`<p><a href=${link}>${words.policies.askForIt}</a></p>`}
    </form>
    <${Forecast} foreseen=${foreseen} none=${words.ask.noDraft} />
  </div></details>`;
}
