// How the installation is, as the doctor finds it.

import { html } from './vendor/preact-htm.js';
import { read } from './call.js';
import { Empty, Head, Waiting, useAnswer } from './controls.js';
import { words } from './words.js';

/** @typedef {{ level: string, subject: string, message: string, wayOut?: string | null }} Finding */

/** The worst first. */
const LEVELS = ['problem', 'error', 'warning', 'unknown', 'note', 'ok'];
const TONES = /** @type {Record<string, string>} */ ({
  problem: 'bad',
  error: 'bad',
  warning: 'waiting',
  unknown: 'waiting',
  ok: 'good',
});

/** @param {{ page: import('./shell.js').Page }} props */
export function Health({ page }) {
  const health = useAnswer(() => read('/api/health'), []);
  /** @type {Finding[]} */
  const findings = [...(health.value?.findings ?? [])].sort(
    (a, b) => LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level),
  );
  const bad = findings.filter((each) => !['ok', 'note'].includes(each.level)).length;
  return html`<${Head} title=${words.view.health}><p class="row"><button type="button" onClick=${health.again}>
    ${words.health.again}</button></p><//>
    <${Waiting} of=${health} />
    ${health.value && html`<p class="lead">${bad ? words.health.bad(bad) : words.health.good}</p>`}
    ${health.value && !findings.length && html`<${Empty}>${words.health.none}<//>`}
    ${
      findings.length > 0 &&
      html`<div class="scroll" tabindex="0" role="region" aria-label=${words.health.table}><table class="plain">
      <thead><tr>${words.health.columns.map((column) => html`<th key=${column} scope="col">
        ${column}</th>`)}</tr></thead>
      <tbody>${findings.map(
        (each, index) => html`<tr key=${index}>
        <td><span class=${`state ${TONES[each.level] ?? 'dim'}`}>${words.level[each.level] ?? each.level}</span></td>
        <th scope="row">${each.subject}</th><td>${each.message}${each.wayOut && html`<br /><span class="dim">
          ${each.wayOut}</span>`}</td>
      </tr>`,
      )}</tbody>
    </table></div>`
    }
    <p class="dim">${words.health.version(page.me.version)}</p>`;
}
