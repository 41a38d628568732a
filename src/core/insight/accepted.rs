//! Findings that somebody knows of: noted on the object, with a reason. They are told all the same.
//!
//! Owns how that is written and whether it counts. Whoever may write the object may write the note. So a note counts only
//! when those whom the finding is about could not have written it themselves, as far as the rights that were read say; and
//! of rights of everybody none counts.

use std::collections::BTreeMap;

use super::bound::{BoundRole, about};
use super::finding::{AboutKind, AboutObject, AcceptedFinding, Holder, InsightFinding};
use super::seen::ClusterSeen;
use crate::api::keys::{ACCEPTED_FINDING, GROUP};
use crate::api::subject::Subject;
use crate::api::word::Vocabulary;
use crate::core::rbac::allowed::AllowedOn;

/// Longest reason that is told, in characters.
const LONGEST: usize = 256;
const RBAC: &str = "rbac.authorization.k8s.io";

/// Marks the findings that are noted as known.
pub fn accept(found: &mut [InsightFinding], seen: &ClusterSeen, bound: &[BoundRole<'_>]) {
    let notes = notes(seen);
    for finding in found {
        let note = notes.get(&finding.about).and_then(|note| reason(note, finding.kind.as_str()));
        finding.accepted = note.map(|reason| AcceptedFinding {
            reason: reason.chars().take(LONGEST).collect(),
            by_holder: could_write(finding, bound),
        });
    }
}

fn notes(seen: &ClusterSeen) -> BTreeMap<AboutObject, &str> {
    let bindings = seen.role_bindings.iter().flatten().chain(seen.cluster_role_bindings.iter().flatten());
    let of_bindings = bindings.map(|binding| (about(binding), &binding.metadata));
    let of_policies = seen.policies.iter().flatten().map(|policy| {
        let name = policy.metadata.name.clone().unwrap_or_default();
        (AboutObject { kind: AboutKind::AccessPolicy, namespace: None, name }, &policy.metadata)
    });
    let noted = of_bindings
        .chain(of_policies)
        .filter_map(|(about, metadata)| Some((about, metadata.annotations.as_ref()?.get(ACCEPTED_FINDING)?.as_str())));
    noted.collect()
}

/// The reason in a note for findings of a kind. A note has a line for each: `KIND[,KIND]: REASON`.
fn reason<'n>(note: &'n str, kind: &str) -> Option<&'n str> {
    let lines = note.lines().filter_map(|line| line.split_once(':'));
    let of_kind = lines.filter(|(kinds, _)| kinds.split(',').any(|one| one.trim() == kind));
    of_kind.map(|(_, reason)| reason.trim()).find(|reason| !reason.is_empty())
}

/// Whether whom it is about may write the object that it is about.
fn could_write(finding: &InsightFinding, bound: &[BoundRole<'_>]) -> bool {
    let Some(who) = &finding.who else { return false };
    if matches!(finding.holder, Some(Holder::Anonymous | Holder::Everybody | Holder::AllAccounts)) {
        return true;
    }
    bound.iter().any(|role| has(role, who) && writes(role, &finding.about))
}

fn has(role: &BoundRole<'_>, who: &Subject) -> bool {
    role.holders.iter().any(|held| held.who == *who)
}

fn writes(role: &BoundRole<'_>, about: &AboutObject) -> bool {
    let (group, resource) = match about.kind {
        AboutKind::ClusterRoleBinding => (RBAC, "clusterrolebindings"),
        AboutKind::RoleBinding => (RBAC, "rolebindings"),
        AboutKind::AccessPolicy => (GROUP, "accesspolicies"),
        AboutKind::ClusterRole => (RBAC, "clusterroles"),
        AboutKind::Role => (RBAC, "roles"),
        AboutKind::AccessRequest => (GROUP, "accessrequests"),
        AboutKind::User => return false,
    };
    let here = match (&role.binding.metadata.namespace, &about.namespace) {
        (None, _) => true,
        (Some(own), Some(place)) => own == place,
        (Some(_), None) => false,
    };
    let may = |verb: &&str| match role.allows(verb, group, resource) {
        Some(AllowedOn::All) => true,
        Some(AllowedOn::Named(names)) => names.contains(&about.name),
        None => false,
    };
    here && ["create", "update", "patch"].iter().any(may)
}
