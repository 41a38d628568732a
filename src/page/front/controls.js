// The small parts that every view is made of, each with its name for screen readers. They know no calls and no view.

import { html, useEffect, useId, useRef, useState } from './vendor/preact-htm.js';
import { MINUTE, SECOND, bothTimes, clockTime, exactTime, instant, now, span, useTold } from './clock.js';
import { state, toneOf } from './request.js';
import { hasMoved } from './route.js';
import { words } from './words.js';

/** @typedef {import('./vendor/preact-htm.js').Child} Child */

/** So close to a time, seconds are counted. */
const NEAR = 5 * MINUTE;

/** @type {(sentence: string) => void} */
let speak = () => {};

/** Tells a screen reader what just happened. @param {string} sentence */
export function say(sentence) {
  speak(sentence);
}

/** Where what is said is put. One a page. */
export function Announcer() {
  const [sentence, set] = useState('');
  useEffect(() => {
    speak = set;
  }, []);
  return html`<p class="unseen" role="status" aria-live="polite">${sentence}</p>`;
}

/**
 * The heading of a view, which takes the focus when one goes there from another.
 * @param {{ title: string, children?: Child }} props
 */
export function Head({ title, children }) {
  const heading = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    document.title = words.shell.title(title);
    const { activeElement } = document;
    if (!hasMoved()) return;
    if (!activeElement || activeElement === document.body || activeElement.closest('nav'))
      heading.current?.focus({ preventScroll: true });
  }, [title]);
  return html`<header class="head"><h1 ref=${heading} tabindex="-1">${title}</h1>${children}</header>`;
}

/**
 * Goes on at the heading when what had the focus is gone with what somebody did, and not at the start of the page.
 * @param {unknown[]} inputs what changes when that goes
 * @returns {() => void} to be told that something was done
 */
export function useFocusAfter(inputs) {
  const done = useRef(false);
  useEffect(() => {
    if (!done.current || document.activeElement !== document.body) return;
    done.current = false;
    document.querySelector('h1')?.focus();
  }, inputs);
  return () => {
    done.current = true;
  };
}

/** A sentence that stands out. @param {{ tone?: string, alert?: boolean, children?: Child }} props */
export function Notice({ tone = 'plain', alert = false, children }) {
  return html`<div class=${`notice ${tone}`} role=${alert ? 'alert' : undefined}>${children}</div>`;
}

/** What cannot be read of what a view shows, each in a sentence. @param {{ gaps: string[] }} props */
export function Gaps({ gaps }) {
  if (!gaps.length) return null;
  return html`<${Notice} tone="waiting"><details><summary>${words.gaps(gaps.length)}</summary>
    <ul>${gaps.map((gap) => html`<li key=${gap}><${Said} text=${gap} /></li>`)}</ul></details><//>`;
}

/** A sentence where there is nothing to show. @param {{ children?: Child }} props */
export function Empty({ children }) {
  return html`<p class="empty">${children}</p>`;
}

/** @param {{ request: import('./request.js').Request }} props */
export function State({ request }) {
  const word = state(request);
  return html`<span class=${`state ${toneOf(word)}`}>${words.state[word] ?? word}</span>`;
}

/** @param {{ level?: string }} props */
export function Risk({ level }) {
  if (!level) return null;
  return html`<span class=${`risk ${level.toLowerCase()}`}>${words.risk(level)}</span>`;
}

export function BreakGlassMark() {
  return html`<span class="mark">${words.breakGlass}</span>`;
}

/**
 * A time in the reader's zone; its seconds, its day and UTC when pointed at. Seconds and day at once when it is to be
 * exact.
 * @param {{ at: number, exact?: boolean }} props
 */
export function Time({ at, exact = false }) {
  const unknown = Number.isNaN(at);
  const text = useTold(MINUTE, (today) => (unknown || exact ? '' : clockTime(at, today)));
  if (unknown) return null;
  return html`<time datetime=${new Date(at).toISOString()} title=${bothTimes(at)}>${text || exactTime(at)}</time>`;
}

/** A sentence of the cluster, with its times in the reader's zone. @param {{ text?: string, exact?: boolean }} props */
export function Said({ text = '', exact = false }) {
  const parts = text.split(/(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)/);
  return parts.map((part, nth) => (nth % 2 ? html`<${Time} key=${nth} at=${instant(part)} exact=${exact} />` : part));
}

/** How long it is until then, by the second when it is near. @param {{ at: number }} props */
export function Left({ at }) {
  const step = Math.abs(at - now()) < NEAR ? SECOND : 15 * SECOND;
  const text = useTold(step, (present) => {
    if (Number.isNaN(at)) return '';
    return at > present ? words.time.in(span(at - present)) : words.time.ago(span(present - at));
  });
  return text ? html`<span class="left">${text}</span>` : null;
}

/**
 * A line of text to fill in. @param {{ label: string, value: string, onInput: (value: string) => void, hint?: string,
 * wrong?: string, list?: string[], type?: string, required?: boolean, lines?: number, placeholder?: string }} props
 */
export function TextField({
  label,
  value,
  onInput,
  hint,
  wrong,
  list,
  type = 'text',
  required = false,
  lines = 0,
  placeholder,
}) {
  const id = useId();
  const told = [hint && `${id}-hint`, wrong && `${id}-wrong`].filter(Boolean).join(' ') || undefined;
  const shared = {
    id,
    value,
    required,
    placeholder,
    'aria-describedby': told,
    'aria-invalid': wrong ? 'true' : undefined,
    onInput: (/** @type {any} */ event) => onInput(event.currentTarget.value),
    autocomplete: 'off',
  };
  return html`<div class="field">
    <label for=${id}>${label}</label>
    ${lines ? html`<textarea ...${shared} rows=${lines} maxlength="1024"></textarea>` : html`<input ...${shared}
      type=${type} list=${list ? `${id}-list` : undefined} spellcheck="false" />`}
    ${list && html`<datalist id=${`${id}-list`}>${list.map((item) => html`<option key=${item}
      value=${item}></option>`)}</datalist>`}
    ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
    ${wrong && html`<p class="wrong" id=${`${id}-wrong`}>${wrong}</p>`}
  </div>`;
}

/**
 * @param {{ label: string, value: string, onInput: (value: string) => void, options: [string, string][] }} props options as value and words
 */
export function SelectField({ label, value, onInput, options }) {
  const id = useId();
  const choose = (/** @type {any} */ event) => onInput(event.currentTarget.value);
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <select id=${id} value=${value} onChange=${choose}>
      ${options.map(([key, text]) => html`<option key=${key} value=${key} selected=${key === value}>${text}</option>`)}
    </select>
  </div>`;
}

/** @param {{ label: string, checked: boolean, onInput: (checked: boolean) => void, hint?: string }} props */
export function CheckField({ label, checked, onInput, hint }) {
  const id = useId();
  const turn = (/** @type {any} */ event) => onInput(event.currentTarget.checked);
  return html`<div class="check">
    <input id=${id} type="checkbox" checked=${checked} onChange=${turn}
      aria-describedby=${hint ? `${id}-hint` : undefined} />
    <label for=${id}>${label}</label>
    ${hint && html`<p class="hint" id=${`${id}-hint`}>${hint}</p>`}
  </div>`;
}

/**
 * A dialog over the page, with its heading as its name. Escape closes it.
 * @param {{ title: string, onClose: () => void, children?: Child }} props
 */
export function Dialog({ title, onClose, children }) {
  const box = useRef(/** @type {any} */ (null));
  const id = useId();
  useEffect(() => {
    const opener = document.activeElement;
    box.current.showModal();
    return () => {
      const back = opener?.isConnected ? opener : document.querySelector('h1');
      if (back instanceof HTMLElement) back.focus();
    };
  }, []);
  return html`<dialog ref=${box} aria-labelledby=${id} onClose=${onClose}>
    <header><h2 id=${id}>${title}</h2><button type="button" class="quiet" onClick=${onClose}>
      ${words.close}</button></header>
    ${children}
  </dialog>`;
}

/**
 * A table whose rows are stacked where there is little room. The browser forgets then what its parts are, so that is
 * said. @param {{ label: string, columns: readonly string[], kind?: string, children?: Child }} props
 */
export function Table({ label, columns, kind = '', children }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${label}>
    <table class=${`plain stacks ${kind}`} role="table">
      <thead role="rowgroup"><tr role="row">${columns.map((column) => html`<th key=${column} role="columnheader"
        scope="col">${column}</th>`)}</tr></thead>
      <tbody role="rowgroup">${children}</tbody>
    </table>
  </div>`;
}

/** Rights, a line each. @param {{ lines: string[], label: string }} props */
export function Rights({ lines, label }) {
  return html`<ul class="rights" aria-label=${label}>${lines.map((line) => html`<li key=${line}><code>
    ${line}</code></li>`)}</ul>`;
}

/**
 * Reads something once and then again with every change of what it hangs on.
 * @param {() => Promise<any>} load
 * @param {unknown[]} inputs
 */
export function useAnswer(load, inputs) {
  const [answer, set] = useState(/** @type {{ value?: any, error?: any, loading: boolean }} */ ({ loading: true }));
  const [round, again] = useState(0);
  useEffect(() => {
    let wanted = true;
    set((before) => ({ ...before, loading: true }));
    load().then(
      (value) => wanted && set({ value, loading: false }),
      (error) => wanted && set({ error, loading: false }),
    );
    return () => {
      wanted = false;
    };
  }, [...inputs, round]);
  return { ...answer, again: () => again((n) => n + 1) };
}

/**
 * A sentence for what is still loading or was refused; nothing when it is there.
 * @param {{ of: { value?: any, error?: any, loading: boolean, again: () => void } }} props
 */
export function Waiting({ of }) {
  if (of.error) {
    return html`<${Notice} tone="bad" alert><p>${of.error.message}</p><button type="button" onClick=${of.again}>
      ${words.again}</button><//>`;
  }
  return of.value === undefined ? html`<${Empty}>${words.loading}<//>` : null;
}
