//! Bindings that lead nowhere, or to somebody whom nobody meant: missing roles and accounts, default accounts, and commands in
//! pods by `get` alone.
//!
//! It must not say that something is missing where it could not look.

use super::bound::{BoundHolder, BoundRole, account};
use super::finding::{CommandLine, Holder, InsightFact, InsightFinding, InsightKind, PowerfulRight, Remedy};
use super::remedy::delete;
use super::seen::ClusterSeen;
use crate::api::risk::RiskLevel;
use crate::api::subject::RoleKind;
use crate::core::rbac::allowed::AllowedOn;

/// The service account that pods run as unless they say otherwise.
const DEFAULT_ACCOUNT: &str = "default";
/// Streams to pods, which an API server before 1.35 opens for who has `get` alone (KEP-4006).
const STREAMS: [&str; 3] = ["pods/exec", "pods/attach", "pods/portforward"];

/// Finds them.
pub fn broken(seen: &ClusterSeen, bound: &[BoundRole<'_>]) -> Vec<InsightFinding> {
    let mut found = Vec::new();
    for role in bound {
        found.extend(missing_role(seen, role));
        for held in &role.holders {
            found.extend(missing_account(seen, role, held));
            found.extend(default_account(role, held));
            found.extend(stream_by_get(role, held));
        }
    }
    found
}

fn missing_role(seen: &ClusterSeen, role: &BoundRole<'_>) -> Option<InsightFinding> {
    let place = role.binding.metadata.namespace.as_deref().filter(|_| role.role.kind == RoleKind::Role);
    let gone = seen.roles.is_gone(place, &role.role.name) && !role.holders.is_empty();
    gone.then(|| InsightFinding {
        kind: InsightKind::MissingRole,
        // Who makes a role of this name gives its rights to those who are bound: nobody looks at them again.
        severity: RiskLevel::Medium,
        about: role.about(),
        who: None,
        holder: None,
        evidence: vec![InsightFact::NoSuchRole(role.role.clone())],
        remedy: Remedy::Unbind(delete(role.binding)),
        accepted: None,
    })
}

fn missing_account(seen: &ClusterSeen, role: &BoundRole<'_>, held: &BoundHolder) -> Option<InsightFinding> {
    let (namespace, name) = account(&held.who)?;
    let is_there = seen.accounts.as_ref().ok()?.contains(&(namespace.to_owned(), name.to_owned()));
    let is_looked_at = seen.only.as_deref().is_none_or(|only| only == namespace);
    if is_there || !is_looked_at {
        return None;
    }
    let namespace_gone = seen.namespaces.as_ref().is_ok_and(|all| !all.contains_key(namespace));
    let evidence = vec![role.bound(), InsightFact::NoSuchAccount { namespace_gone }];
    Some(role.finding(InsightKind::MissingAccount, held, role.risk.level, evidence))
}

/// A right of whatever runs in a namespace and says nothing of its account, or of all that run there.
fn default_account(role: &BoundRole<'_>, held: &BoundHolder) -> Option<InsightFinding> {
    let is_default = account(&held.who).is_some_and(|(_, name)| name == DEFAULT_ACCOUNT);
    let gives = role.rules.is_none_or(|rules| !rules.is_empty());
    let is_meant = is_default || held.holder == Holder::AccountsOfNamespace;
    (is_meant && gives).then(|| role.finding(InsightKind::DefaultAccountBound, held, role.risk.level, role.risks()))
}

fn stream_by_get(role: &BoundRole<'_>, held: &BoundHolder) -> Option<InsightFinding> {
    let by_get_alone = |stream: &&&str| {
        let by = |verb| role.allows(verb, "", stream);
        by("get").is_some() && !matches!(by("create"), Some(AllowedOn::All)) && by("create") != by("get")
    };
    let stream = STREAMS.iter().find(by_get_alone)?;
    let namespace = role.binding.metadata.namespace.clone();
    let right = PowerfulRight { verb: "get", group: "", resource: stream, namespace };
    let evidence = vec![role.bound(), InsightFact::Right(right)];
    Some(InsightFinding {
        remedy: Remedy::Look(edit(role)),
        ..role.finding(InsightKind::ExecByGet, held, role.risk.level.max(RiskLevel::Medium), evidence)
    })
}

/// What opens the role of a binding for change.
fn edit(role: &BoundRole<'_>) -> CommandLine {
    let kind = match role.role.kind {
        RoleKind::ClusterRole => "clusterrole",
        RoleKind::Role => "role",
    };
    let place: Vec<&str> = match role.binding.metadata.namespace.as_deref() {
        Some(namespace) if role.role.kind == RoleKind::Role => vec!["-n", namespace],
        _ => Vec::new(),
    };
    CommandLine::of(&[&["kubectl", "edit", kind, role.role.name.as_str()], place.as_slice()].concat())
}
