// Where the page is: the path names the view, the query what is filtered. Links are plain links; this follows them
// without loading the page anew.

import { useEffect, useState } from './vendor/preact-htm.js';

/** @typedef {{ path: string, query: URLSearchParams }} Place */

/** @type {Set<(place: Place) => void>} */
const told = new Set();

/** @returns {Place} */
export function here() {
  return { path: location.pathname, query: new URLSearchParams(location.search) };
}

let moved = false;

/** Whether this is another view than the one that the page was opened with. */
export function hasMoved() {
  return moved;
}

function tell() {
  const place = here();
  moved = true;
  for (const each of [...told]) each(place);
}

/** Goes to another view. @param {string} to */
export function go(to) {
  if (to !== location.pathname + location.search) history.pushState(null, '', to);
  tell();
}

/** Changes the query of this view, and keeps no step to go back to. @param {Record<string, string>} change */
export function setQuery(change) {
  const { path, query } = here();
  for (const [key, value] of Object.entries(change)) {
    if (value) query.set(key, value);
    else query.delete(key);
  }
  const text = query.toString();
  history.replaceState(null, '', text ? `${path}?${text}` : path);
  tell();
}

/** The place, anew whenever it changes. */
export function usePlace() {
  const [place, set] = useState(here());
  useEffect(() => {
    told.add(set);
    return () => void told.delete(set);
  }, []);
  return place;
}

/** Follows links of this page from now on. */
export function followLinks() {
  addEventListener('popstate', tell);
  document.addEventListener('click', (event) => {
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    const link = event.target instanceof Element ? event.target.closest('a') : null;
    if (!plain || event.defaultPrevented || !link || link.target || link.download || link.hasAttribute('data-plain'))
      return;
    if (link.origin !== location.origin || link.hash) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}

/** The link to a request. @param {{ metadata: { namespace: string, name: string, uid: string } }} request */
export function linkTo(request) {
  const { namespace, name, uid } = request.metadata;
  return `/r/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}?uid=${encodeURIComponent(uid)}`;
}
