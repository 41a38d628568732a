// How the installation is, as the doctor finds it.

import { html } from './vendor/preact-htm.js';
import { read } from './call.js';
import { Empty, Head, Notice, Said, Table, Waiting, useAnswer } from './controls.js';
import { words } from './words.js';

/** @typedef {{ level: string, subject: string, message: string, wayOut?: string | null }} Finding */

/** The worst first. */
const LEVELS = ['problem', 'error', 'warning', 'note', 'unknown', 'ok'];
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
  const bad = findings.filter((each) => !['ok', 'note', 'unknown'].includes(each.level)).length;
  const unread = findings.filter((each) => each.level === 'unknown');
  // Who may not look at much is told the way once.
  const ways = new Set(unread.map((each) => each.wayOut).filter(Boolean));
  const wayOf = (/** @type {Finding} */ each) => (each.level === 'unknown' ? '' : each.wayOut);
  return html`<${Head} title=${words.view.health}><p class="row"><button type="button" onClick=${health.again}>
    ${words.health.again}</button></p><//>
    <${Waiting} of=${health} />
    ${health.value && html`<p class="lead">${bad ? words.health.bad(bad) : words.health.good}</p>`}
    ${
      unread.length > 0 &&
      html`<${Notice} tone="waiting"><p>${words.health.unread(unread.length)}</p>
      ${[...ways].map((way) => html`<p key=${way}>${way}</p>`)}<//>`
    }
    ${health.value && !findings.length && html`<${Empty}>${words.health.none}<//>`}
    ${
      findings.length > 0 &&
      html`<${Table} label=${words.health.table} columns=${words.health.columns} kind="findings">${findings.map(
        (each, index) => html`<tr key=${index} role="row">
        <td role="cell"><span class=${`state ${TONES[each.level] ?? 'dim'}`}>
          ${words.level[each.level] ?? each.level}</span></td>
        <th role="rowheader" scope="row">${each.subject}</th>
        <td role="cell"><${Said} text=${each.message} />${wayOf(each) && html`<br /><span class="dim">
          ${wayOf(each)}</span>`}</td>
      </tr>`,
      )}<//>`
    }
    <p class="dim">${words.health.version(page.me.version)}</p>`;
}
