// What would be decided about a request that is not sent yet, as the server foresees it, in words.

import { html, useEffect, useState } from './vendor/preact-htm.js';
import { Refused, post, requestPath } from './call.js';
import { instant } from './clock.js';
import { Empty, Gaps, Notice, Risk, Said, Time } from './controls.js';
import { withSomeReason } from './draft.js';
import { lengthOf, roleName, toldSubject } from './request.js';
import { words } from './words.js';

/**
 * @typedef {import('./request.js').Draft} Draft
 * @typedef {{ stage: string, required: number, approvers: string[], then?: { at: string, approvers: string[] } | null }} ForeseenStage
 * @typedef {{ outcome: 'Granted' | 'Needs' | 'Waits' | 'Denied' | 'Unknown', sure: boolean, policy?: string | null, begins?: string | null, ends?: string | null,
 * stages?: ForeseenStage[], deadline?: string | null, reasons?: string[], gaps?: string[], rights?: number | null,
 * risk?: string | null, nearest?: Draft | null }} Forecast
 * @typedef {{ forecast?: Forecast, refused?: string, error?: string, busy: boolean }} Foreseen
 */

/** How long somebody must not have typed before it is asked about. */
const QUIET = 350;
/** @type {Record<string, string>} */
export const TONES = { Granted: 'good', Needs: 'waiting', Waits: 'waiting', Denied: 'bad', Unknown: 'waiting' };

/**
 * Asks what would be decided, again with every change of the draft; and, where it is complete, whether the cluster
 * would take it. @param {Draft | null} draft @param {boolean} [dry] @returns {Foreseen}
 */
export function useForecast(draft, dry = false) {
  const [foreseen, set] = useState(/** @type {Foreseen} */ ({ busy: false }));
  const text = draft ? JSON.stringify(draft) : '';
  useEffect(() => {
    if (!draft) return set({ busy: false });
    let wanted = true;
    set((before) => ({ ...before, busy: true }));
    const timer = setTimeout(async () => {
      const next = await ask(draft, dry);
      if (wanted) set(next);
    }, QUIET);
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [text, dry]);
  return foreseen;
}

/** @param {Draft} draft @param {boolean} dry @returns {Promise<Foreseen>} */
async function ask(draft, dry) {
  try {
    const [forecast, refused] = await Promise.all([
      post('/api/foresee', withSomeReason(draft)),
      dry ? refusalOf(draft) : '',
    ]);
    return { forecast, refused, busy: false };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error), busy: false };
  }
}

/** Why the cluster would not take it; empty when it would. @param {Draft} draft */
async function refusalOf(draft) {
  try {
    await post(`${requestPath(draft.metadata.namespace)}?dryRun=All`, draft);
    return '';
  } catch (error) {
    if (error instanceof Refused && !error.isAway) return error.message;
    throw error;
  }
}

/**
 * @param {{ foreseen: Foreseen, none: string, title?: string, onUse?: (draft: Draft) => void }} props `title` tells two on one
 * view apart
 */
export function Forecast({ foreseen, none, title = words.foresee.title, onUse }) {
  const { forecast, refused, error, busy } = foreseen;
  return html`<section class="forecast" aria-label=${title} aria-busy=${busy ? 'true' : 'false'}>
    <h2>${title}</h2>
    <div role="status">
      ${error && html`<${Notice} tone="bad"><p>${error}</p><//>`}
      ${refused && html`<${Notice} tone="bad"><p>${words.foresee.refused} ${refused}</p><//>`}
      ${forecast ? html`<${Told} forecast=${forecast} onUse=${onUse} />` : !error && html`<${Empty}>
        ${busy ? words.loading : none}<//>`}
    </div>
  </section>`;
}

/** @param {{ forecast: Forecast, onUse?: (draft: Draft) => void }} props */
function Told({ forecast, onUse }) {
  const { outcome, sure, nearest } = forecast;
  const stages = forecast.stages ?? [];
  return html`<${Notice} tone=${TONES[outcome] ?? 'plain'}>
      <p><strong>${words.foresee.outcome[outcome] ?? outcome}</strong>${sure ? '' : ` ${words.foresee.unsure}`}</p>
      ${forecast.reasons?.length ? html`<ul>${forecast.reasons.map((reason) => html`<li key=${reason}>
        <${Said} text=${reason} /></li>`)}</ul>` : null}
    <//>
    ${
      stages.length > 0 &&
      html`<h3>${words.foresee.stages}</h3><ol class="stages">${stages.map(
        (stage) => html`<li key=${stage.stage}>
      <strong>${stage.stage}</strong>: ${words.foresee.stage(stage.required, stage.approvers.map(toldSubject).join(', '))}
      ${stage.then && html` <span class="dim">
        ${words.foresee.then} <${Time} at=${instant(stage.then.at)} />: ${stage.then.approvers.map(toldSubject).join(', ')}</span>`}
    </li>`,
      )}</ol>`
    }
    <dl class="facts">
      ${forecast.begins && html`<dt>${words.field.begins}</dt><dd><${Time} at=${instant(forecast.begins)} /></dd>`}
      ${forecast.ends && html`<dt>${words.field.ends}</dt><dd><${Time} at=${instant(forecast.ends)} /></dd>`}
      ${forecast.deadline && html`<dt>${words.field.deadline}</dt><dd>
        <${Time} at=${instant(forecast.deadline)} /></dd>`}
      ${forecast.policy && html`<dt>${words.field.policy}</dt><dd>
        <a href=${`/policies?name=${encodeURIComponent(forecast.policy)}`}>${forecast.policy}</a></dd>`}
      ${forecast.risk && html`<dt>${words.field.risk}</dt><dd><${Risk} level=${forecast.risk} /></dd>`}
      ${forecast.rights ? html`<dt>${words.field.rights}</dt><dd>${words.foresee.rights(forecast.rights)}</dd>` : null}
    </dl>
    <${Gaps} gaps=${forecast.gaps ?? []} />
    ${
      nearest &&
      onUse &&
      html`<${Notice}>
      <p>${words.foresee.nearest} <strong>
        ${roleName(nearest.spec.role)}</strong>, ${nearest.metadata.namespace}, ${lengthOf(nearest)}</p>
      <button type="button" onClick=${() => onUse(nearest)}>${words.foresee.useNearest}</button>
    <//>`
    }`;
}
