// A policy in sentences: who may ask for what and where, for how long, who agrees, and what else it says. Pure; it
// judges nothing, and leaves nothing out that a policy can say.

import { labelsOf, roleName, subjectName, windowsOf } from './request.js';
import { words } from './words.js';

/**
 * @typedef {import('./request.js').Subject} Subject
 * @typedef {{ name: string, approvers: Subject[], required?: number, escalateAfter?: string, escalateTo?: Subject[], hours?: import('./request.js').Schedule }} Stage
 * @typedef {object} PolicySpec
 * @property {'Allow' | 'Deny'} [effect]
 * @property {string} [description]
 * @property {Subject[]} [requesters]
 * @property {{ kind?: string, name: string }[]} [roles]
 * @property {import('./request.js').Scope} scope
 * @property {{ default?: string, max: string }} [duration]
 * @property {{ automaticWhen?: string, deadline?: string, stages?: Stage[] }} [approval]
 * @property {{ reviewers: Subject[], reviewWithin?: string }} [breakGlass]
 * @property {{ expression?: string, message?: string, name?: string }[]} [conditions]
 * @property {{ max: string, count?: number }} [extension]
 * @property {string} [idleTimeout]
 * @property {Record<string, string | number>} [limits]
 * @property {'Deny' | 'Exempt'} [onBreakGlass]
 * @property {'Warn' | 'Suspend'} [onRoleChange]
 * @property {{ weeks: number }} [recurrence]
 * @property {boolean} [requireRecord]
 * @property {import('./request.js').Schedule} [schedule]
 * @typedef {{ type: string, status: string, reason: string, message?: string }} Condition
 * @typedef {{ metadata: { name: string, uid: string, generation?: number }, spec: PolicySpec, status?: { conditions?: Condition[] } }} Policy
 */

/** @param {Policy} policy @returns {{ term: string, says: string[] }[]} */
export function sentences(policy) {
  const { spec } = policy;
  const w = words.policy;
  const deny = spec.effect === 'Deny';
  const all = [
    { term: deny ? w.whoDeny : w.who, says: [names(spec.requesters) || w.everybody] },
    { term: w.what, says: [(spec.roles ?? []).map(roleName).join(', ') || w.everyRole] },
    { term: w.where, says: places(spec.scope) },
    { term: w.howLong, says: spec.duration ? [w.duration(spec.duration.max, spec.duration.default)] : [] },
    { term: w.agree, says: deny ? [] : agreement(spec) },
    { term: w.when, says: spec.schedule ? [windowsOf(spec.schedule)] : [] },
    { term: w.onlyIf, says: (spec.conditions ?? []).map(condition) },
    { term: w.breakGlass, says: emergencies(spec) },
    { term: w.extension, says: spec.extension ? [w.extended(spec.extension.max, spec.extension.count)] : [] },
    { term: w.recurrence, says: spec.recurrence ? [w.recurs(spec.recurrence.weeks)] : [] },
    {
      term: w.limits,
      says: Object.entries(spec.limits ?? {}).map(([key, most]) => (w.limit[key] ?? ((n) => `${key}: ${n}`))(most)),
    },
    {
      term: w.also,
      says: [
        ...(spec.onRoleChange === 'Suspend' ? [w.suspends] : []),
        ...(spec.requireRecord ? [w.record] : []),
        ...(spec.idleTimeout ? [w.idle(spec.idleTimeout)] : []),
      ],
    },
  ];
  return all.filter((each) => each.says.length);
}

/** @param {Subject[] | undefined} subjects */
function names(subjects) {
  return (subjects ?? []).map((subject) => words.policy.subject(subject.kind, subjectName(subject))).join(', ');
}

/** @param {import('./request.js').Scope} scope */
function places(scope) {
  const w = words.policy;
  const says = [];
  if (scope.namespaces) says.push(w.namespaces(scope.namespaces.join(', ')));
  if (scope.namespaceSelector) says.push(w.labels(labelsOf(scope.namespaceSelector) || w.anyLabel));
  if (scope.cluster) says.push(w.cluster);
  if (scope.systemNamespaces) says.push(w.system);
  return says;
}

/** @param {PolicySpec} spec */
function agreement(spec) {
  const w = words.policy;
  const stages = spec.approval?.stages ?? [];
  if (!stages.length) return [spec.breakGlass ? w.emergencyOnly : w.nobody];
  const says = stages.map((stage) => {
    const then = stage.escalateAfter ? w.escalates(stage.escalateAfter, names(stage.escalateTo)) : '';
    const hours = stage.hours ? w.hours(windowsOf(stage.hours)) : '';
    return [w.stage(stage.name, stage.required ?? 1, names(stage.approvers)), then, hours].filter(Boolean).join(' ');
  });
  if (spec.approval?.automaticWhen) says.push(w.automatic(spec.approval.automaticWhen));
  return [...says, w.deadline(spec.approval?.deadline ?? '168h')];
}

/** @param {PolicySpec} spec */
function emergencies(spec) {
  const w = words.policy;
  if (spec.effect === 'Deny') return [spec.onBreakGlass === 'Exempt' ? w.spares : w.sparesNot];
  if (!spec.breakGlass) return [];
  return [w.reviewed(names(spec.breakGlass.reviewers), spec.breakGlass.reviewWithin)];
}

/** @param {{ expression?: string, message?: string, name?: string }} each */
function condition(each) {
  return [each.message ?? each.name, each.expression].filter(Boolean).join(': ');
}
