//! Which policy covers another, as far as that can be proven from the two alone.
//!
//! Every answer of yes is a proof; no means only that there is none.

use crate::api::policy::AccessPolicy;
use crate::api::selector::{LabelSelector, PolicyScope};
use crate::api::subject::Subject;
use crate::core::model::namespaces::glob_matches;
use crate::core::policies::Policy;

/// The field by which a scope has every namespace, if it has.
pub fn everywhere(scope: &PolicyScope) -> Option<&'static str> {
    let no_label = |labels: &LabelSelector| labels.match_labels.is_empty() && labels.match_expressions.is_empty();
    let by_label = scope.namespace_selector.as_ref();
    let by_name = scope.namespaces.iter().any(|glob| is_everything(glob));
    match (by_name, by_label.is_none_or(no_label)) {
        (true, true) => Some("spec.scope.namespaces"),
        (false, true) if scope.namespaces.is_empty() && by_label.is_some() => Some("spec.scope.namespaceSelector"),
        _ => None,
    }
}

/// Whether a glob fits every name.
fn is_everything(glob: &str) -> bool {
    !glob.is_empty() && glob.bytes().all(|letter| letter == b'*')
}

/// Whether the subject is among these, however it is written.
pub fn names(among: &[Subject], subject: &Subject) -> bool {
    among.iter().any(|s| (s.kind, &s.name, &s.namespace) == (subject.kind, &subject.name, &subject.namespace))
}

/// Whether every request that `allow` could allow is denied by `deny`.
pub fn is_stopped_by(allow: &Policy, allow_raw: &AccessPolicy, deny: &Policy, deny_raw: &AccessPolicy) -> bool {
    let (of, by) = (&allow_raw.spec.scope, &deny_raw.spec.scope);
    let everybody = deny.requesters.is_empty() || allow.requesters.iter().all(|s| names(&deny.requesters, s));
    let every_role = deny.roles.is_empty() || allow.roles.iter().all(|role| deny.roles.contains(role));
    // Access to the whole cluster touches every namespace that is denied.
    let cluster = !of.cluster || by.cluster || has_namespaces(by);
    // In windows it stops only what falls into them, and it may spare emergencies.
    let always = deny.denies_in().is_none() && !(deny.exempts_emergencies && allow.break_glass.is_some());
    always && deny.conditions.is_empty() && everybody && every_role && cluster && namespaces_within(of, by)
}

/// Whether `outer` allows every request that `inner` allows.
pub fn is_within(inner: &Policy, inner_raw: &AccessPolicy, outer: &Policy, outer_raw: &AccessPolicy) -> bool {
    let (of, by) = (&inner_raw.spec.scope, &outer_raw.spec.scope);
    // A policy for emergencies only never decides an ordinary request, and is never in the way of one.
    let ordinary = inner.is_for_break_glass_only() || !outer.is_for_break_glass_only();
    let emergencies = inner.break_glass.is_none() || outer.break_glass.is_some();
    outer.conditions.is_empty()
        && inner.requesters.iter().all(|s| names(&outer.requesters, s))
        && inner.roles.iter().all(|role| outer.roles.contains(role))
        && inner.longest <= outer.longest
        && (!of.cluster || by.cluster)
        && (!of.system_namespaces || by.system_namespaces)
        && namespaces_within(of, by)
        && ordinary
        && emergencies
}

/// Whether `first` is chosen before `second` whenever both match.
pub fn less_friction(first: &Policy, second: &Policy) -> bool {
    let most = |policy: &Policy| {
        (policy.stages.len(), policy.stages.iter().map(|stage| i64::from(stage.required)).sum::<i64>())
    };
    // One that may spare its approvers asks nothing of anybody then.
    let least = if second.automatic_when.is_some() { (0, 0) } else { most(second) };
    let by_name = first.reference.name < second.reference.name;
    // Emergencies ask for nobody under either, so there the name alone decides.
    if second.break_glass.is_some() {
        by_name && (second.is_for_break_glass_only() || most(first) <= least)
    } else {
        most(first) < least || (most(first) == least && by_name)
    }
}

fn has_namespaces(scope: &PolicyScope) -> bool {
    !scope.namespaces.is_empty() || scope.namespace_selector.is_some()
}

/// Whether every namespace of `inner` is one of `outer`. A star in a glob is fitted by a star alone, so a glob that
/// fits another as a text fits all that the other does.
fn namespaces_within(inner: &PolicyScope, outer: &PolicyScope) -> bool {
    if !has_namespaces(inner) {
        return true;
    }
    let any_name =
        |scope: &PolicyScope| scope.namespaces.is_empty() || scope.namespaces.iter().any(|g| is_everything(g));
    let fits = |glob: &String| outer.namespaces.iter().any(|wide| glob_matches(wide, glob));
    let by_name = any_name(outer) || (!inner.namespaces.is_empty() && inner.namespaces.iter().all(fits));
    let by_label = outer.namespace_selector.is_none() || outer.namespace_selector == inner.namespace_selector;
    has_namespaces(outer) && by_name && by_label
}
