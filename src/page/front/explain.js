// What would be decided if somebody else asked, and what each policy says to that: computed with what this person may
// read, and never in the name of the other.

import { html, useState } from './vendor/preact-htm.js';
import { Refused, post } from './call.js';
import { Table, TextField } from './controls.js';
import { draftOf, emptyForm, withSomeReason } from './draft.js';
import { Forecast } from './foresee.js';
import { words } from './words.js';

/**
 * @typedef {{ policy: string, effect: string, says: string, decides: boolean }} Judgement
 * @typedef {{ person: { username: string, groups: string[] }, policies: Judgement[] } & import('./foresee.js').Forecast} Explanation
 */

/** @param {string} text */
function listed(text) {
  return text.split(/[\n,]+/).map((each) => each.trim()).filter(Boolean);
}

/** The form that names somebody and what they would ask for, and what would become of it. */
export function Explain() {
  const [form, setForm] = useState({ username: '', groups: '', namespace: '', role: '' });
  const [asked, setAsked] = useState(
    /** @type {{ answer?: Explanation, error?: string, busy: boolean }} */ ({ busy: false }),
  );
  const set = (/** @type {any} */ change) => setForm((before) => ({ ...before, ...change }));
  const ask = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const { namespace, role } = form;
    const draft = withSomeReason(draftOf({ ...emptyForm(), namespace, role }));
    const person = { username: form.username.trim(), groups: listed(form.groups) };
    setAsked((before) => ({ ...before, busy: true }));
    try {
      setAsked({ answer: await post('/api/explain', { person, draft }), busy: false });
    } catch (error) {
      setAsked({ error: error instanceof Refused ? error.message : String(error), busy: false });
    }
  };
  const { answer, error, busy } = asked;
  return html`<details class="card"><summary>${words.explain.title}</summary><div class="halves">
    <form aria-label=${words.explain.title} onSubmit=${ask}>
      <p class="dim">${words.explain.hint}</p>
      <${TextField} label=${words.explain.username} value=${form.username} required
        onInput=${(/** @type {string} */ username) => set({ username })} />
      <${TextField} label=${words.explain.groups} value=${form.groups} lines=${2} hint=${words.explain.groupsHint}
        onInput=${(/** @type {string} */ groups) => set({ groups })} />
      <${TextField} label=${words.field.role} value=${form.role} required
        onInput=${(/** @type {string} */ role) => set({ role })} />
      <${TextField} label=${words.field.namespace} value=${form.namespace} required
        onInput=${(/** @type {string} */ namespace) => set({ namespace })} />
      <p><button type="submit" disabled=${busy}>${words.explain.ask}</button></p>
    </form>
    <div>
      ${answer && html`<p>${words.explain.of(answer.person.username, answer.person.groups.join(', '))}</p>`}
      <${Forecast} foreseen=${{ forecast: answer, error, busy }} none=${words.explain.none}
        title=${words.explain.foreseen} />
      ${answer && answer.policies.length > 0 && html`<${Judgements} all=${answer.policies} />`}
    </div>
  </div></details>`;
}

/** @param {{ all: Judgement[] }} props */
function Judgements({ all }) {
  return html`<h3>${words.explain.policies}</h3>
    <${Table} label=${words.explain.policies} columns=${words.explain.columns}>${all.map(
      (each) => html`<tr key=${each.policy} role="row">
        <th role="rowheader" scope="row">${each.decides ? html`<strong>${each.policy}</strong>` : each.policy}</th>
        <td role="cell">${words.explain.effect[each.effect] ?? each.effect}</td>
        <td role="cell">${each.says}</td>
      </tr>`,
    )}<//>`;
}
