// Where a login works: who one is to the API server, and on which kinds of clusters a proxy's login is accepted at all.

import { html, useEffect } from './vendor/preact-htm.js';
import { Head, Table } from './controls.js';
import { words } from './words.js';

/** Who the API server says that one is. @param {{ page: import('./shell.js').Page }} props */
export function You({ page }) {
  const { me } = page;
  return html`<${Head} title=${words.you.title} />
    <p class="lead">${words.you.name(me.username)}</p>
    <p>${me.groups.length ? words.you.groups : words.you.noGroups}</p>
    ${me.groups.length > 0 && html`<ul class="reasons">${me.groups.map((group) => html`<li key=${group}>${group}</li>`)}</ul>`}
    <p>${words.you.names}</p>
    ${me.signOut && html`<p><a href=${me.signOut} data-plain>${words.you.signOut}</a></p>`}
    <h2>${words.you.where}</h2>
    <${Kinds} />`;
}

/** When the proxy's login is none to the API server. */
export function NotTaken() {
  useEffect(() => {
    document.title = words.shell.title(words.you.notTaken);
  }, []);
  return html`<main class="start" id="main">
    <h1>${words.you.notTaken}</h1>
    <p role="alert">${words.you.notTakenWhy}</p>
    <p>${words.you.wayOut} <code>kubectl daypass ui</code></p>
    <p>${words.you.tell}</p>
    <${Kinds} />
  </main>`;
}

function Kinds() {
  return html`<${Table} label=${words.you.table} columns=${words.you.columns}>${words.you.kinds.map(
    ([kind, here, ui]) => html`<tr key=${kind} role="row"><th role="rowheader" scope="row">${kind}</th>
      <td role="cell">${here}</td><td role="cell">${ui}</td></tr>`,
  )}<//>`;
}
