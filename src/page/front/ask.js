// Asks for access: what the policies offer here, what would be decided, and then the request itself.

import { html, useEffect, useId, useMemo, useState } from './vendor/preact-htm.js';
import { read, requestPath, withQuery } from './call.js';
import { now } from './clock.js';
import {
  BreakGlassMark,
  CheckField,
  Empty,
  Gaps,
  Head,
  Notice,
  SelectField,
  TextField,
  Waiting,
  say,
  useAnswer,
} from './controls.js';
import { draftOf, emptyForm, formOf, worthRepeating, wrongsOf } from './draft.js';
import { Forecast, TONES, useForecast } from './foresee.js';
import { lengthOf, roleName, toldSubject, what, where } from './request.js';
import { useSending } from './sending.js';
import { forget, keep, templates } from './templates.js';
import { Weekly } from './weekly.js';
import { words } from './words.js';

/** @typedef {import('./draft.js').Form} Form */
/**
 * @typedef {object} Option
 * @property {{ kind?: string, name: string }} role
 * @property {string} policy
 * @property {boolean} [cluster]
 * @property {boolean} [breakGlass]
 * @property {string} longest
 * @property {string} [usual]
 * @property {boolean} [needsTicket]
 * @property {string} outcome
 * @property {string[]} approvers
 */

const MOST_AGAIN = 5;

/**
 * Ways to change a form: several fields at once, or one with what a control has.
 * @param {import('./vendor/preact-htm.js').Update<Form>} change
 */
function setterOf(change) {
  const all = (/** @type {Partial<Form>} */ to) => change((before) => ({ ...before, ...to }));
  return { all, to: (/** @type {keyof Form} */ key) => (/** @type {unknown} */ value) => all({ [key]: value }) };
}

/** @typedef {ReturnType<typeof setterOf>} Setter */

/** @param {{ page: import('./shell.js').Page, query: URLSearchParams }} props */
export function Ask({ page, query }) {
  const { me, seen } = page;
  const [form, setForm] = useState(() => ({
    ...emptyForm(),
    namespace: query.get('namespace') ?? seen.place,
    role: query.get('role') ?? '',
  }));
  const set = setterOf(setForm);
  useAgain(query.get('again') ?? '', page, setForm);
  const { sending, error, send } = useSending(page);
  const wrong = wrongsOf(form);
  const fine = Boolean(form.namespace.trim() && form.role.trim()) && !Object.keys(wrong).length;
  const draft = fine ? draftOf(form) : null;
  const foreseen = useForecast(draft, Boolean(form.reason.trim()));
  const id = useId();
  const take = (/** @type {any} */ near) => setForm({ ...formOf(near, me.username, now()), reason: form.reason });
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (draft && form.reason.trim()) send(draft);
  };
  return html`<${Head} title=${words.view.ask} />
    <div class="halves">
      <form id=${id} onSubmit=${submit} aria-label=${words.ask.form}>
        <${Templates} page=${page} form=${form} setForm=${setForm} />
        <${Where} page=${page} form=${form} set=${set} />
        <${Why} form=${form} set=${set} wrong=${wrong} />
        <${More} form=${form} set=${set} wrong=${wrong} />
      </form>
      <${Forecast} foreseen=${foreseen} none=${Object.keys(wrong).length ? words.ask.wrongDraft : words.ask.noDraft}
        onUse=${take} />
      <div>
        ${error && html`<${Notice} tone="bad" alert><p>${error}</p><//>`}
        <p class="row">
          <button class="main" form=${id} disabled=${sending || !draft || !form.reason.trim()}>
            ${words.ask.send}</button>
          ${!form.reason.trim() && html`<span class="dim">${words.ask.needsReason}</span>`}
        </p>
      </div>
    </div>`;
}

/**
 * Fills the form with a request that there was.
 * @param {string} again its namespace and name
 * @param {import('./shell.js').Page} page
 * @param {(form: Form) => void} setForm
 */
function useAgain(again, page, setForm) {
  useEffect(() => {
    const [namespace, name] = again.split('/');
    if (!name) return;
    const known = page.seen.byKey.get(again);
    const fill = (/** @type {any} */ request) => setForm(formOf(request, page.me.username, now()));
    if (known) fill(known);
    else read(requestPath(namespace, name)).then(fill, (error) => say(error.message));
  }, [again]);
}

/**
 * The namespace, and what may be asked for in it.
 * @param {{ page: import('./shell.js').Page, form: Form, set: Setter }} props
 */
function Where({ page, form, set }) {
  const names = useAnswer(
    async () =>
      (await read('/k/api/v1/namespaces?limit=500')).items.map((/** @type {any} */ item) => item.metadata.name),
    [],
  );
  const seen = useMemo(
    () => [...new Set(page.seen.all.map((request) => request.metadata.namespace))].sort(),
    [page.seen.all],
  );
  return html`<${TextField} label=${words.field.namespace} value=${form.namespace} required list=${names.value ?? seen}
    onInput=${set.to('namespace')} />
    <${Options} namespace=${form.namespace.trim()} form=${form} set=${set} />`;
}

/** @param {{ namespace: string, form: Form, set: Setter }} props */
function Options({ namespace, form, set }) {
  const valid = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(namespace);
  const settled = useSettled(valid ? namespace : '');
  const offered = useAnswer(
    async () => (settled ? read(withQuery('/api/options', { namespace: settled })) : null),
    [settled],
  );
  if (!valid) return html`<${Empty}>${words.ask.noNamespace}<//>`;
  if (!settled) return html`<${Empty}>${words.loading}<//>`;
  if (!offered.value) return html`<${Waiting} of=${offered} />`;
  /** @type {{ options: Option[], gaps: string[] }} */
  const { options, gaps } = offered.value;
  const choose = (/** @type {Option} */ option) =>
    set.all({
      role: roleName(option.role),
      reach: option.cluster ? 'cluster' : 'here',
      breakGlass: Boolean(option.breakGlass),
      duration: option.usual ?? '',
      rules: '',
      policy: '',
      recurrence: null,
    });
  const isChosen = (/** @type {Option} */ option) =>
    form.role === roleName(option.role) &&
    form.breakGlass === Boolean(option.breakGlass) &&
    (form.reach === 'cluster') === Boolean(option.cluster);
  return html`<fieldset class="options"><legend>${words.ask.offered(settled)}</legend>
      ${!options.length && html`<${Empty}>${words.ask.noOptions}<//>`}
      ${options.map(
        (option, index) => html`<label key=${index} class="option">
        <input type="radio" name="option" checked=${isChosen(option)} onChange=${() => choose(option)} />
        <span><strong>
          ${roleName(option.role)}</strong> ${option.cluster && words.where.cluster} ${option.breakGlass && html`<${BreakGlassMark} />`}
          <span class="dim"> ${words.ask.upTo(option.longest)}</span><br />
          <span class=${`told ${TONES[option.outcome] ?? 'waiting'}`}>
            ${words.ask.outcome(option.outcome, option.approvers.map(toldSubject).join(', '))}</span>
          <span class="dim"> · ${words.ask.byPolicy(option.policy)}${option.needsTicket ? ` · ${words.ask.needsTicket}` : ''}</span></span>
      </label>`,
      )}
    </fieldset>
    <${Gaps} gaps=${gaps} />
    <${TextField} label=${words.field.role} value=${form.role} required hint=${words.ask.roleHint} onInput=${set.to('role')} />`;
}

/** A text once nobody has typed for a moment. @param {string} text */
function useSettled(text) {
  const [settled, set] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => set(text), 250);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
}

/** @param {{ form: Form, set: Setter, wrong: Partial<Record<keyof Form, string>> }} props */
function Why({ form, set, wrong }) {
  return html`<${TextField} label=${words.field.reason} value=${form.reason} required lines=${3}
    hint=${words.ask.reasonHint} onInput=${set.to('reason')} />
    <div class="row">
      ${
        !form.recurrence &&
        html`<${TextField} label=${words.field.length} value=${form.duration} wrong=${wrong.duration}
          placeholder="1h30m"
        onInput=${set.to('duration')} />`
      }
      <${TextField} label=${words.field.ticket} value=${form.ticket} onInput=${set.to('ticket')} />
    </div>`;
}

/** @param {{ form: Form, set: Setter, wrong: Partial<Record<keyof Form, string>> }} props */
function More({ form, set, wrong }) {
  const filled = Boolean(
    form.rules || form.starts || form.reach !== 'here' || form.policy || form.recurrence || form.breakGlass,
  );
  return html`<details open=${filled}><summary>${words.ask.more}</summary>
    <${TextField} label=${words.field.rules} value=${form.rules} lines=${2} wrong=${wrong.rules}
      hint=${words.ask.rulesHint} onInput=${set.to('rules')} />
    <div class="row">
      <${SelectField} label=${words.field.reach} value=${form.reach} options=${words.ask.reaches}
        onInput=${set.to('reach')} />
      ${form.reach === 'names' && html`<${TextField} label=${words.field.namespaces} value=${form.namespaces}
        wrong=${wrong.namespaces} onInput=${set.to('namespaces')} />`}
      ${
        form.reach === 'labels' &&
        html`<${TextField} label=${words.field.labels} value=${form.labels} wrong=${wrong.labels} placeholder="env=dev"
        onInput=${set.to('labels')} />`
      }
    </div>
    <div class="row">
      ${!form.breakGlass && html`<${TextField} label=${words.field.starts} type="datetime-local" value=${form.starts}
        onInput=${set.to('starts')} />`}
      <${TextField} label=${words.field.policy} value=${form.policy} hint=${words.ask.policyHint}
        onInput=${set.to('policy')} />
    </div>
    ${!form.breakGlass && html`<${Weekly} value=${form.recurrence} onInput=${set.to('recurrence')} />`}
    ${wrong.recurrence && html`<p class="wrong" role="alert">${wrong.recurrence}</p>`}
    <${CheckField} label=${words.ask.breakGlass} checked=${form.breakGlass} hint=${words.ask.breakGlassHint}
      onInput=${set.to('breakGlass')} />
  </details>`;
}

/**
 * What was kept, and what was asked for before.
 * @param {{ page: import('./shell.js').Page, form: Form, setForm: (form: Form) => void }} props
 */
function Templates({ page, form, setForm }) {
  const { me, seen } = page;
  const [kept, setKept] = useState(() => templates(me));
  const [name, setName] = useState('');
  const before = useMemo(() => worthRepeating(seen.all, me.username, MOST_AGAIN), [seen.all]);
  const store = () => {
    setKept(keep(me, name.trim(), form));
    setName('');
    say(words.ask.templateKept);
  };
  return html`<details class="again" open=${kept.length > 0}><summary>
    ${words.ask.again(kept.length + before.length)}</summary>
    ${!kept.length && !before.length && html`<${Empty}>${words.ask.noneAgain}<//>`}
    <ul class="picks">
      ${kept.map(
        (
          each,
        ) => html`<li key=${each.name}><button type="button" class="quiet"
          onClick=${() => setForm({ ...emptyForm(), ...each.form })}>${each.name}</button>
        <button type="button" class="quiet dim" aria-label=${words.ask.forget(each.name)}
          onClick=${() => setKept(forget(me, each.name))}>${words.ask.remove}</button></li>`,
      )}
      ${before.map((request) => html`<li key=${request.metadata.uid}>
        <button type="button" class="quiet" onClick=${() => setForm(formOf(request, me.username, now()))}>
          ${words.ask.againLike(what(request), where(request), lengthOf(request))}</button></li>`)}
    </ul>
    ${
      form.role.trim() &&
      html`<div class="row end"><${TextField} label=${words.ask.templateName} value=${name} onInput=${setName} />
      <button type="button" disabled=${!name.trim()} onClick=${store}>${words.ask.keepTemplate}</button></div>`
    }
  </details>`;
}
