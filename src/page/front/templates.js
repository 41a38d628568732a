// Requests that somebody keeps to ask for again, in this browser alone, by person and cluster.

/** @typedef {import('./draft.js').Form} Form */
/** @typedef {{ name: string, form: Form }} Template */

/** @param {import('./request.js').Me} me */
function placeOf(me) {
  return `daypass.templates ${me.cluster} ${me.username}`;
}

/** @param {import('./request.js').Me} me @returns {Template[]} */
export function templates(me) {
  try {
    const kept = JSON.parse(localStorage.getItem(placeOf(me)) ?? '[]');
    return Array.isArray(kept) ? kept.filter((each) => typeof each?.name === 'string' && each.form) : [];
  } catch {
    return [];
  }
}

/**
 * Keeps a form by a name, in place of another of that name.
 * @param {import('./request.js').Me} me
 * @param {string} name
 * @param {Form} form
 */
export function keep(me, name, form) {
  return write(me, [...templates(me).filter((each) => each.name !== name), { name, form }]);
}

/** @param {import('./request.js').Me} me @param {string} name */
export function forget(me, name) {
  return write(
    me,
    templates(me).filter((each) => each.name !== name),
  );
}

/** @param {import('./request.js').Me} me @param {Template[]} all */
function write(me, all) {
  const sorted = all.sort((a, b) => (a.name < b.name ? -1 : 1));
  try {
    localStorage.setItem(placeOf(me), JSON.stringify(sorted));
  } catch {
    return templates(me);
  }
  return sorted;
}
