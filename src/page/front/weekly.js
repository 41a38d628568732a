// The windows of access that comes back every week, to be filled in.

import { html } from './vendor/preact-htm.js';
import { CheckField, TextField } from './controls.js';
import { words } from './words.js';

/** @typedef {NonNullable<import('./request.js').Spec['recurrence']>} Recurrence */

const DAYS = /** @type {const} */ (['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun']);

/**
 * What is there before anything is filled in: nights of a day, in the time zone of this browser.
 * @returns {Recurrence}
 */
function first() {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  return { timeZone, weeks: 4, windows: [{ days: ['Tue'], start: '22:00', end: '24:00' }] };
}

/** @param {{ value: Recurrence | null, onInput: (value: Recurrence | null) => void }} props */
export function Weekly({ value, onInput }) {
  const turn = (/** @type {boolean} */ on) => onInput(on ? first() : null);
  return html`<${CheckField} label=${words.weekly.turn} checked=${Boolean(value)} hint=${words.weekly.hint}
    onInput=${turn} />
    ${value && html`<${Windows} value=${value} onInput=${onInput} />`}`;
}

/** @param {{ value: Recurrence, onInput: (value: Recurrence) => void }} props */
function Windows({ value, onInput }) {
  const change = (/** @type {number} */ at, /** @type {Partial<Recurrence['windows'][number]>} */ to) =>
    onInput({
      ...value,
      windows: value.windows.map((window, index) => (index === at ? { ...window, ...to } : window)),
    });
  const add = () => onInput({ ...value, windows: [...value.windows, ...first().windows] });
  const remove = (/** @type {number} */ at) =>
    onInput({ ...value, windows: value.windows.filter((_, index) => index !== at) });
  return html`${value.windows.map(
    (window, at) => html`<fieldset key=${at} class="window">
        <legend>${words.weekly.window(at + 1)}</legend>
        <${Days} days=${window.days} onInput=${(/** @type {string[]} */ days) => change(at, { days })} />
        <div class="row">
          <${TextField} label=${words.weekly.start} value=${window.start}
            onInput=${(/** @type {string} */ start) => change(at, { start })} />
          <${TextField} label=${words.weekly.end} value=${window.end}
            onInput=${(/** @type {string} */ end) => change(at, { end })} />
          ${
            value.windows.length > 1 &&
            html`<button type="button" class="quiet" onClick=${() => remove(at)}>
              ${words.weekly.remove(at + 1)}</button>`
          }
        </div>
      </fieldset>`,
  )}
    <p><button type="button" onClick=${add}>${words.weekly.add}</button></p>
    <div class="row">
      <${TextField} label=${words.weekly.weeks} type="number" value=${String(value.weeks)}
        onInput=${(/** @type {string} */ weeks) => onInput({ ...value, weeks: Number(weeks) })} />
      <${TextField} label=${words.weekly.timeZone} value=${value.timeZone}
        onInput=${(/** @type {string} */ timeZone) => onInput({ ...value, timeZone })} />
    </div>`;
}

/** @param {{ days: string[], onInput: (days: string[]) => void }} props */
function Days({ days, onInput }) {
  const turn = (/** @type {string} */ day, /** @type {boolean} */ on) =>
    onInput(DAYS.filter((each) => (each === day ? on : days.includes(each))));
  return html`<div class="row">
    ${DAYS.map(
      (day) => html`<${CheckField} key=${day} label=${words.weekly.day[day]} checked=${days.includes(day)}
        onInput=${(/** @type {boolean} */ on) => turn(day, on)} />`,
    )}
  </div>`;
}
