// A request before it is sent: from what a form holds, from one that there was, or to move the end of one that runs.
// Pure.

import { instant } from './clock.js';
import { isOver, labelsOf, person, roleName } from './request.js';
import { words } from './words.js';

/**
 * @typedef {import('./request.js').Request} Request
 * @typedef {import('./request.js').Draft} Draft
 * @typedef {import('./request.js').Spec} Spec
 * @typedef {object} Form
 * @property {string} namespace
 * @property {string} role as it is typed: NAME, or role/NAME for one of the namespace
 * @property {string} duration
 * @property {string} reason
 * @property {string} ticket
 * @property {string} starts as an input of date and time gives it, in local time
 * @property {'here' | 'cluster' | 'names' | 'labels'} reach
 * @property {string} namespaces separated by commas, where `reach` is names
 * @property {string} labels as kubectl writes a selector, where `reach` is labels
 * @property {string} rules one a line
 * @property {boolean} breakGlass
 * @property {string} policy
 * @property {Spec['recurrence'] | null} recurrence
 */

const LONGEST_STEM = 150;
const MOST_WEEKS = 48;

/** @returns {Form} */
export function emptyForm() {
  return {
    namespace: '',
    role: '',
    duration: '',
    reason: '',
    ticket: '',
    starts: '',
    reach: 'here',
    namespaces: '',
    labels: '',
    rules: '',
    breakGlass: false,
    policy: '',
    recurrence: null,
  };
}

/** The request that a form asks for. @param {Form} form @returns {Draft} */
export function draftOf(form) {
  /** @type {Spec} */
  const spec = { role: roleOf(form.role.trim()), reason: form.reason.trim() };
  if (form.rules.trim()) spec.rules = rulesOf(form.rules);
  if (form.reach === 'cluster') spec.scope = { cluster: true };
  if (form.reach === 'names') spec.scope = { namespaces: form.namespaces.split(/[\s,]+/).filter(Boolean) };
  if (form.reach === 'labels') spec.scope = { namespaceSelector: selectorOf(form.labels) };
  if (form.duration.trim() && !form.recurrence) spec.duration = form.duration.trim();
  if (form.starts && !form.breakGlass) spec.startTime = new Date(form.starts).toISOString();
  if (form.recurrence && !form.breakGlass) spec.recurrence = form.recurrence;
  if (form.ticket.trim()) spec.ticket = form.ticket.trim();
  if (form.policy.trim()) spec.policy = form.policy.trim();
  if (form.breakGlass) spec.breakGlass = true;
  return draft(form.namespace.trim(), stem(spec.role.name), spec);
}

/**
 * A form for the same once more. A start that is past has no meaning any more, an emergency is nothing to repeat
 * unseen, and a policy that was named for one, or by somebody else, is not taken over.
 * @param {Request | Draft} before @param {string} me @param {number} present @returns {Form}
 */
export function formOf(before, me, present) {
  const { spec, metadata } = before;
  const { scope } = spec;
  const begins = instant(spec.startTime);
  const own = !spec.requester || person(/** @type {Request} */ (before)) === me;
  return {
    namespace: metadata.namespace,
    role: roleName(spec.role),
    duration: spec.duration ?? '',
    reason: spec.reason,
    ticket: spec.ticket ?? '',
    starts: begins > present ? localInput(begins) : '',
    reach: reachOf(scope),
    namespaces: (scope?.namespaces ?? []).join(', '),
    labels: scope?.namespaceSelector ? labelsOf(scope.namespaceSelector) : '',
    rules: (spec.rules ?? []).map(ruleLine).join('\n'),
    breakGlass: false,
    policy: own && !spec.breakGlass ? (spec.policy ?? '') : '',
    recurrence: spec.recurrence ?? null,
  };
}

/**
 * The request that moves the end of a running one.
 * @param {Request} running
 * @param {string} by
 * @param {string} reason
 */
export function extension(running, by, reason) {
  const { role, rules, ticket } = running.spec;
  /** @type {Spec} */
  const spec = {
    role,
    reason: reason.trim() || running.spec.reason,
    duration: by.trim(),
    extends: running.metadata.name,
  };
  if (rules?.length) spec.rules = rules;
  if (ticket) spec.ticket = ticket;
  return draft(running.metadata.namespace, stem(`${running.metadata.name}-more`), spec);
}

/**
 * What of a form cannot be as it stands, by field.
 * @param {Form} form
 * @returns {Partial<Record<keyof Form, string>>}
 */
export function wrongsOf(form) {
  /** @type {Partial<Record<keyof Form, string>>} */
  const wrong = {};
  if (form.duration && !/^([0-9]{1,5}(h|m|s|ms)){1,4}$/.test(form.duration.trim()))
    wrong.duration = words.ask.wrong.duration;
  try {
    rulesOf(form.rules);
  } catch (error) {
    wrong.rules = error instanceof Error ? error.message : '';
  }
  if (form.reach === 'names' && !form.namespaces.trim()) wrong.namespaces = words.ask.wrong.namespaces;
  if (form.reach === 'labels' && !isSelector(form.labels)) wrong.labels = words.ask.wrong.labels;
  if (!isFilledIn(form.recurrence)) wrong.recurrence = words.weekly.wrong;
  return wrong;
}

/** The same with some reason, so that a preview can be made before one is given. @param {Draft} of */
export function withSomeReason(of) {
  return of.spec.reason ? of : { ...of, spec: { ...of.spec, reason: words.ask.someReason } };
}

/**
 * Own requests worth asking for again: each thing once, the newest first.
 * @param {Request[]} all
 * @param {string} me
 * @param {number} most
 */
export function worthRepeating(all, me, most) {
  const seen = new Set();
  return all.filter((request) => {
    if (person(request) !== me || request.spec.extends || !isOver(request)) return false;
    const { role, rules, scope } = request.spec;
    const thing = JSON.stringify([request.metadata.namespace, role, rules, scope]);
    if (seen.has(thing)) return false;
    seen.add(thing);
    return seen.size <= most;
  });
}

/** Whether each window has a day and times. @param {Form['recurrence']} of */
function isFilledIn(of) {
  const fine = (/** @type {import('./request.js').Schedule['windows'][number]} */ window) =>
    window.days.length > 0 && /^\d\d:\d\d$/.test(window.start) && /^\d\d:\d\d$/.test(window.end);
  return !of || (of.windows.every(fine) && of.weeks >= 1 && of.weeks <= MOST_WEEKS && Boolean(of.timeZone));
}

/** @param {import('./request.js').Scope | undefined} scope @returns {Form['reach']} */
function reachOf(scope) {
  if (scope?.cluster) return 'cluster';
  if (scope?.namespaces) return 'names';
  return scope?.namespaceSelector ? 'labels' : 'here';
}

const KEY = '[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?';
/** The ways to write one rule of a selector. */
const EXACT = new RegExp(`^(?<key>${KEY})==?(?<value>[-A-Za-z0-9_.]*)$`);
const THERE = new RegExp(`^(?<not>!?)(?<key>${KEY})$`);
const AMONG = new RegExp(`^(?<key>${KEY}) (?<not>not)?in \\((?<values>[^()]*)\\)$`);

/** The rules of a selector, each by itself: commas within brackets part nothing. @param {string} text */
function partsOf(text) {
  return text
    .split(/,(?![^(]*\))/)
    .map((part) => part.trim().replace(/\s+/g, ' '))
    .filter(Boolean);
}

/** @param {string} text */
function isSelector(text) {
  const parts = partsOf(text);
  return parts.length > 0 && parts.every((part) => [EXACT, THERE, AMONG].some((way) => way.test(part)));
}

/** A label selector as kubectl writes it: `env=dev, team in (a, b), critical, !old`. @param {string} text */
function selectorOf(text) {
  /** @type {import('./request.js').Selector} */
  const selector = {};
  for (const part of partsOf(text)) {
    const exact = EXACT.exec(part)?.groups;
    const there = THERE.exec(part)?.groups;
    const among = AMONG.exec(part)?.groups;
    if (exact) selector.matchLabels = { ...selector.matchLabels, [exact.key]: exact.value };
    const rule = there
      ? { key: there.key, operator: there.not ? 'DoesNotExist' : 'Exists' }
      : among && {
          key: among.key,
          operator: among.not ? 'NotIn' : 'In',
          values: among.values.split(',').map((each) => each.trim()),
        };
    if (rule) selector.matchExpressions = [...(selector.matchExpressions ?? []), rule];
  }
  return selector;
}

/** @param {string} typed */
function roleOf(typed) {
  const [kind, name] = typed.includes('/') ? typed.split(/\/(.*)/s) : ['', typed];
  if (kind.toLowerCase() === 'role') return { kind: 'Role', name };
  return { kind: 'ClusterRole', name: kind.toLowerCase() === 'clusterrole' ? name : typed };
}

/** Rules as kubectl daypass takes them: `get,list:deployments.apps/web`, one a line. @param {string} text */
export function rulesOf(text) {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
    .map(ruleOf);
}

/** @param {string} line @returns {import('./request.js').Rule} */
function ruleOf(line) {
  const [, left, right] = line.match(/^([^:]+):(.+)$/) ?? [];
  const verbs = (left ?? '')
    .split(',')
    .map((verb) => verb.trim().toLowerCase())
    .filter(Boolean);
  if (!verbs.length || !right) throw new Error(words.ask.wrong.rule(line));
  if (right.startsWith('/')) return { verbs, nonResourceURLs: [right.trim()] };
  const [kind, name, sub, ...rest] = right.trim().split('/');
  const [, resource, group = ''] = kind.match(/^([^.]+)(?:\.(.+))?$/) ?? [];
  if (!resource || rest.length || name === '' || sub === '') throw new Error(words.ask.wrong.rule(line));
  const names = name && name !== '*' ? { resourceNames: [name] } : {};
  return {
    verbs,
    apiGroups: [group],
    resources: [sub ? `${resource.toLowerCase()}/${sub}` : resource.toLowerCase()],
    ...names,
  };
}

/** @param {import('./request.js').Rule} rule */
function ruleLine(rule) {
  const verbs = rule.verbs.join(',');
  if (rule.nonResourceURLs?.length) return rule.nonResourceURLs.map((url) => `${verbs}:${url}`).join('\n');
  const group = rule.apiGroups?.[0] ? `.${rule.apiGroups[0]}` : '';
  const names = rule.resourceNames?.length ? rule.resourceNames : [''];
  return (rule.resources ?? [])
    .flatMap((resource) =>
      names.map((name) => {
        const [kind, sub] = resource.split('/');
        return `${verbs}:${kind}${group}${name || sub ? `/${name || '*'}` : ''}${sub ? `/${sub}` : ''}`;
      }),
    )
    .join('\n');
}

/** What the generated name of a request begins with. @param {string} role */
function stem(role) {
  const name = role
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '-')
    .slice(0, LONGEST_STEM)
    .replace(/^-+|-+$/g, '');
  return name ? `${name}-` : 'access-';
}

/** @param {string} namespace @param {string} generateName @param {Spec} spec @returns {Draft} */
function draft(namespace, generateName, spec) {
  return { apiVersion: 'daypass.dev/v1alpha1', kind: 'AccessRequest', metadata: { generateName, namespace }, spec };
}

/** A time as an input of date and time takes it. @param {number} at */
function localInput(at) {
  const date = new Date(at - new Date(at).getTimezoneOffset() * 60_000);
  return date.toISOString().slice(0, 16);
}
