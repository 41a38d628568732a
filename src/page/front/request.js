// What can be read off a request and a policy: whose, what, where, from when to when. Pure; nothing here decides who
// may do what: where it says that somebody has a say, that only chooses which buttons are shown, and the cluster
// judges.

import { instant, parseLength } from './clock.js';
import { words } from './words.js';

/**
 * @typedef {{ kind: string, name: string, namespace?: string }} Subject
 * @typedef {{ verbs: string[], apiGroups?: string[], resources?: string[], resourceNames?: string[], nonResourceURLs?: string[] }} Rule
 * @typedef {{ timeZone: string, windows: { days: string[], start: string, end: string }[] }} Schedule
 * @typedef {{ key: string, operator: string, values?: string[] }} LabelRule
 * @typedef {{ matchLabels?: Record<string, string>, matchExpressions?: LabelRule[] }} Selector
 * @typedef {{ namespaces?: string[], namespaceSelector?: Selector, cluster?: boolean, systemNamespaces?: boolean }} Scope
 * @typedef {{ name: string, namespace: string, uid: string, resourceVersion: string, creationTimestamp: string, generateName?: string }} Metadata
 * @typedef {{ verdict: string, comment?: string, groups?: string[] }} Review
 * @typedef {{ reviewer: string, verdict: string, countedAt: string, stage?: string }} CountedReview
 * @typedef {{ at: string, event: string, message?: string, by?: string, stage?: string, review?: { verdict?: string, comment?: string, countsFrom?: string } }} Entry
 * @typedef {{ name: string, required: number, approved?: number, approvers?: Subject[], openedAt?: string }} OpenStage
 * @typedef {{ reviewBy: string, reviewers: Subject[], verdict?: string, closedAt?: string, closedBy?: string }} BreakGlass
 * @typedef {object} Spec
 * @property {{ kind?: string, name: string }} role
 * @property {string} reason
 * @property {{ username: string, groups?: string[] }} [requester]
 * @property {Rule[]} [rules]
 * @property {Scope} [scope]
 * @property {string} [duration]
 * @property {string} [startTime]
 * @property {Schedule & { weeks: number }} [recurrence]
 * @property {string} [ticket]
 * @property {string} [policy]
 * @property {string} [extends]
 * @property {boolean} [breakGlass]
 * @typedef {object} Status
 * @property {string} [state]
 * @property {string} [message]
 * @property {string} [grantedAt]
 * @property {string} [expiresAt]
 * @property {string} [narrowedTo]
 * @property {{ name: string, uid: string, generation: number }} [policy]
 * @property {{ digest: string, changedTo?: string }} [role]
 * @property {{ level: string, reasons?: string[] }} [risk]
 * @property {OpenStage} [stage]
 * @property {string[]} [escalated]
 * @property {Record<string, Review>} [reviews]
 * @property {CountedReview[]} [countedReviews]
 * @property {Subject[]} [mayRevoke]
 * @property {BreakGlass} [breakGlass]
 * @property {Entry[]} [history]
 * @property {number} [historyDropped]
 * @property {number} [recorded]
 * @property {{ used: string, calls: number, last?: string }} [activity]
 * @property {{ name: string, at: string, from: string, to: string }[]} [extensions]
 * @property {{ opensAt: string, policy: string }} [freezeAhead]
 * @property {{ opensAt: string, closesAt: string }} [window]
 * @property {{ kind: string, name: string, namespace?: string }[]} [bindings]
 * @typedef {{ metadata: Metadata, spec: Spec, status?: Status }} Request
 * @typedef {{ apiVersion: string, kind: string, metadata: { generateName: string, namespace: string }, spec: Spec }} Draft
 * @typedef {{ username: string, groups: string[], cluster: string, place: string, expires: string | null, version: string, signOut?: string }} Me
 */

const OVER = new Set(['Denied', 'Expired', 'Revoked', 'Lapsed', 'Failed', 'Extended']);
/** The states of a request, as they follow one another. */
export const STATES = [
  'Pending',
  'Scheduled',
  'Active',
  'Suspended',
  'Expired',
  'Revoked',
  'Denied',
  'Lapsed',
  'Failed',
  'Extended',
];
const WAITING = new Set(['Pending', 'Scheduled', 'Suspended']);
/** Name of the request that Daypass has of its own, and of the service account that makes it. */
const CANARY = 'daypass-canary';

/** @param {Request} request */
export function state(request) {
  return request.status?.state ?? 'Pending';
}

/** The tone that a state is shown in. @param {string} word */
export function toneOf(word) {
  if (word === 'Active') return 'good';
  if (WAITING.has(word)) return 'waiting';
  return word === 'Expired' || word === 'Extended' ? 'dim' : 'bad';
}

/** @param {Request} request */
export function isOver(request) {
  return OVER.has(state(request));
}

/** Whether access runs or comes back by itself. @param {Request} request */
export function hasGrant(request) {
  return ['Active', 'Suspended'].includes(state(request));
}

/** Whether it is not settled yet when access would begin: as soon as people agree. @param {Request} request */
export function beginsWhenApproved(request) {
  return state(request) === 'Pending' && !request.spec.startTime;
}

/**
 * Whether somebody asks for it, has it, or did ask once.
 * @param {Request} request
 * @returns {'asks' | 'has' | 'asked'}
 */
export function tense(request) {
  if (isOver(request)) return 'asked';
  return hasGrant(request) ? 'has' : 'asks';
}

/** Whether break-glass access has yet to be reviewed. @param {Request} request */
export function isUnreviewed(request) {
  const review = request.status?.breakGlass;
  return Boolean(review) && !review?.closedAt;
}

/** What tells requests apart in lists and links. @param {Request} request */
export function keyOf(request) {
  return `${request.metadata.namespace}/${request.metadata.name}`;
}

/** @param {Request} request */
export function person(request) {
  return request.spec.requester?.username ?? '';
}

/**
 * Whether it is the one on which Daypass tries, without end, that its guards are in force. Nobody asks for anything by it.
 * @param {Request} request
 */
export function isCanary(request) {
  const { name, namespace } = request.metadata;
  return name === CANARY && person(request) === `system:serviceaccount:${namespace}:${CANARY}`;
}

/** The role as it is typed. @param {{ kind?: string, name: string }} role */
export function roleName(role) {
  return role.kind === 'Role' ? `role/${role.name}` : role.name;
}

/** The role, and what of it. @param {Request} request */
export function what(request) {
  const narrowed =
    request.status?.narrowedTo ?? (request.spec.rules?.length ? rights(request.spec.rules).join('; ') : '');
  return narrowed ? `${roleName(request.spec.role)}: ${narrowed}` : roleName(request.spec.role);
}

/** Rules, a line each. @param {Rule[]} rules */
export function rights(rules) {
  return rules.map((rule) => {
    const verbs = rule.verbs.join(', ');
    if (rule.nonResourceURLs?.length) return words.rights.urls(verbs, rule.nonResourceURLs.join(', '));
    const group = rule.apiGroups?.filter(Boolean).join(', ');
    const resources = (rule.resources ?? []).join(', ') + (group ? `.${group}` : '');
    return words.rights.resources(verbs, resources, (rule.resourceNames ?? []).join(', '));
  });
}

/** Where access holds. @param {Request} request */
export function where(request) {
  const { scope } = request.spec;
  if (request.spec.extends) return words.where.extended(request.spec.extends);
  if (scope?.cluster) return words.where.cluster;
  if (scope?.namespaces?.length) return scope.namespaces.join(', ');
  if (!scope?.namespaceSelector) return request.metadata.namespace;
  const granted = [...new Set((request.status?.bindings ?? []).flatMap((binding) => binding.namespace ?? []))];
  const labels = words.where.labels(labelsOf(scope.namespaceSelector));
  return granted.length ? `${granted.join(', ')} (${labels})` : labels;
}

/** Every namespace that a request is of or for. @param {Request} request */
export function namespacesOf(request) {
  return [request.metadata.namespace, ...(request.spec.scope?.namespaces ?? [])];
}

/** A label selector as kubectl writes it. @param {Selector} selector */
export function labelsOf(selector) {
  const exact = Object.entries(selector.matchLabels ?? {}).map(([key, value]) => `${key}=${value}`);
  const rules = (selector.matchExpressions ?? []).map((rule) => {
    if (rule.operator === 'Exists') return rule.key;
    if (rule.operator === 'DoesNotExist') return `!${rule.key}`;
    return `${rule.key} ${rule.operator === 'In' ? 'in' : 'notin'} (${(rule.values ?? []).join(', ')})`;
  });
  return [...exact, ...rules].join(', ');
}

/** For how long access was asked for. @param {Request | Draft} request */
export function lengthOf(request) {
  const { recurrence, duration, extends: extended } = request.spec;
  if (recurrence) return words.length.recurs(windowsOf(recurrence), recurrence.weeks);
  if (!duration) return words.length.byPolicy;
  return extended ? words.length.more(duration) : duration;
}

/** Weekly windows in words. @param {Schedule} schedule */
export function windowsOf(schedule) {
  const each = schedule.windows.map((window) => `${window.days.join(' ')} ${window.start}–${window.end}`);
  return `${each.join('; ')} (${schedule.timeZone})`;
}

/**
 * From when to when access is, was, or would be; of what is neither granted nor planned, from when it was asked for on.
 * An end that nobody has stated yet is NaN. @param {Request} request
 */
export function times(request) {
  const { status, spec, metadata } = request;
  const asked = instant(metadata.creationTimestamp);
  const planned = instant(status?.grantedAt ?? spec.startTime);
  const begins = Number.isNaN(planned) ? asked : planned;
  const stated = instant(status?.expiresAt);
  const until = Number.isNaN(stated) ? begins + parseLength(spec.duration) : stated;
  return { asked, begins, ends: isOver(request) ? endOf(request, begins, until) : until };
}

/** When it was over, by what happened last. @param {Request} request @param {number} begins @param {number} until */
function endOf(request, begins, until) {
  const last = request.status?.history?.findLast((entry) => entry.event === state(request));
  const at = last ? instant(last.at) : until;
  return Number.isNaN(at) ? begins : at;
}

/** Whether a subject of a policy means this person. @param {Subject} subject @param {Me} me */
export function means(subject, me) {
  if (subject.kind === 'Group') return me.groups.includes(subject.name);
  const name =
    subject.kind === 'ServiceAccount' ? `system:serviceaccount:${subject.namespace}:${subject.name}` : subject.name;
  return name === me.username;
}

/** Who it is, as people say it. @param {string} username */
export function callName(username) {
  const [, namespace, name] = username.match(/^system:serviceaccount:([^:]+):([^:]+)$/) ?? [];
  return name ? words.serviceAccount(namespace, name) : username;
}

/** The name of a subject that the server tells as `Kind/name`. @param {string} told */
export function toldSubject(told) {
  return told.replace(/^(User|Group|ServiceAccount)\//, '');
}

/** A subject in words. @param {Subject} subject */
export function subjectName(subject) {
  return subject.kind === 'ServiceAccount' ? `${subject.namespace}/${subject.name}` : subject.name;
}

/** What this person could say to a request, as far as it shows. @param {Request} request @param {Me} me */
export function saysOf(request, me) {
  const own = person(request) === me.username;
  const among = (/** @type {Subject[] | undefined} */ subjects) =>
    !own && (subjects ?? []).some((subject) => means(subject, me));
  return {
    own,
    decide: state(request) === 'Pending' && among(request.status?.stage?.approvers),
    review: isUnreviewed(request) && among(request.status?.breakGlass?.reviewers),
    drop: own && !isOver(request),
    extend: own && state(request) === 'Active' && !request.spec.recurrence && !request.spec.breakGlass,
    revoke:
      !own &&
      !isOver(request) &&
      (hasGrant(request) || state(request) === 'Scheduled') &&
      among(request.status?.mayRevoke),
  };
}

/**
 * What somebody who decides relies on, and what of it is another thing in `now`. The spec of a request cannot be
 * changed.
 * @param {Request} shown @param {Request} now @returns {('request' | 'role' | 'policy')[]}
 */
export function changes(shown, now) {
  const policy = (/** @type {Request} */ of) => {
    const by = of.status?.policy;
    return by ? `${by.name} ${by.uid} ${by.generation}` : '';
  };
  const role = (/** @type {Request} */ of) => `${of.status?.role?.digest} ${of.status?.role?.changedTo}`;
  if (shown.metadata.uid !== now.metadata.uid) return ['request'];
  return [
    ...(role(shown) === role(now) ? [] : [/** @type {const} */ ('role')]),
    ...(policy(shown) === policy(now) ? [] : [/** @type {const} */ ('policy')]),
  ];
}
