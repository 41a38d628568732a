//! High rights that people hold all the time and nobody used for as long as is looked at.
//!
//! It must not call unused what it could not hear: it speaks only where all audit logs are known to have arrived for the
//! whole of that time, and only of rights whose use they show. RBAC names only the first binding that allows a call, so one
//! that is never named was never needed.

use k8s_openapi::api::rbac::v1::PolicyRule;
use k8s_openapi::jiff::Timestamp;

use super::bound::{BoundHolder, BoundRole};
use super::finding::{InsightFact, InsightFinding, InsightKind};
use super::narrower::silent::with_trace;
use super::seen::{BindingUses, ClusterSeen, username};
use super::standing::is_of_people;
use crate::api::risk::RiskLevel;
use crate::core::activity::bindings::PRECISION;
use crate::core::rbac::risk::risk;

/// Verbs with which somebody acts as somebody else: an event tells of it, and names no binding either.
const ACTS: &str = "impersonate";
/// Bindings that the cluster gives to everybody, of which no use is kept.
const KEPT: &str = "system:";

/// Finds them.
pub fn unused(seen: &ClusterSeen, bound: &[BoundRole<'_>]) -> Vec<InsightFinding> {
    let (Ok(uses), Ok(since)) = (&seen.uses, seen.now.saturating_sub(seen.window)) else { return Vec::new() };
    if uses.heard_from(since).is_err() {
        return Vec::new();
    }
    let high = bound.iter().filter(|role| shows_use(role));
    let old = high.filter(|role| role.binding.metadata.creation_timestamp.as_ref().is_some_and(|at| at.0 <= since));
    let held = old.flat_map(|role| role.holders.iter().map(move |held| (role, held)));
    let mut found = Vec::new();
    for (role, held) in held.filter(|(_, held)| is_of_people(held)) {
        let last = uses.last_of(&role.about(), username(&held.who).as_deref());
        if is_since(last, since) || may_have_acted(uses, role, held, since) {
            continue;
        }
        let mut evidence = vec![role.bound(), InsightFact::Within(seen.window)];
        evidence.extend(last.map(InsightFact::Last));
        found.push(role.finding(InsightKind::UnusedHighRights, held, role.risk.level, evidence));
    }
    found
}

/// Whether something may have happened since then that is known by its hour.
fn is_since(hour: Option<Timestamp>, since: Timestamp) -> bool {
    hour.is_some_and(|hour| hour.checked_add(PRECISION).map_or(true, |end| end > since))
}

/// Whether a role is high by rights for whose use events name the binding.
fn shows_use(role: &BoundRole<'_>) -> bool {
    let is_kept = role.binding.metadata.name.as_deref().is_some_and(|name| name.starts_with(KEPT));
    let shown: Vec<PolicyRule> = role.rules.into_iter().flatten().map(with_trace).collect();
    !is_kept && risk(&shown, role.extent).level >= RiskLevel::High
}

/// Whether somebody has acted as somebody else by this role.
fn may_have_acted(uses: &BindingUses, role: &BoundRole<'_>, held: &BoundHolder, since: Timestamp) -> bool {
    let acted = match username(&held.who) {
        Some(username) => uses.acted.get(&username),
        None => uses.acted.values().max(),
    };
    is_since(acted.copied(), since) && verbs(role).any(|verb| verb == "*" || verb.starts_with(ACTS))
}

fn verbs<'a>(role: &'a BoundRole<'_>) -> impl Iterator<Item = &'a str> {
    role.rules.into_iter().flatten().flat_map(|rule| &rule.verbs).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::jiff::SignedDuration;

    use super::super::findings;
    use super::super::tests::{binding, cluster_binding, seen};
    use super::*;
    use crate::core::laws::fixtures::noon;
    use crate::core::rbac::binding::Observed;

    fn ago(days: i64) -> Timestamp {
        noon() - SignedDuration::from_hours(24 * days)
    }

    fn uses(heard: i64) -> BindingUses {
        BindingUses { heard_since: Ok(ago(heard)), last: BTreeMap::new(), acted: BTreeMap::new() }
    }

    /// Who holds high rights in vain.
    fn found(binding: &Observed, uses: &BindingUses) -> Vec<String> {
        let one = vec![binding.clone()];
        let here = binding.metadata.namespace.is_some();
        let (bindings, wide) = if here { (one, Vec::new()) } else { (Vec::new(), one) };
        let seen = ClusterSeen {
            role_bindings: Ok(bindings),
            cluster_role_bindings: Ok(wide),
            uses: Ok(uses.clone()),
            ..seen()
        };
        let all = findings(&seen).found.into_iter();
        all.filter(|one| one.kind == InsightKind::UnusedHighRights).map(|one| one.who.unwrap().name).collect()
    }

    fn used(binding: &Observed, by: &[(&str, Timestamp)]) -> BindingUses {
        let by = by.iter().map(|(user, hour)| ((*user).to_owned(), *hour)).collect();
        BindingUses { last: [(super::super::bound::about(binding), by)].into(), ..uses(91) }
    }

    #[test]
    fn unused_is_said_only_where_everything_was_heard() {
        let bound = binding("shop", "b", "edit", &["User/alice"]);
        assert_eq!(found(&bound, &uses(91)), ["alice"]);
        assert!(found(&bound, &uses(89)).is_empty(), "it was not heard for long enough");
        let deaf = BindingUses { heard_since: Err("silent".to_owned()), ..uses(91) };
        assert!(found(&bound, &deaf).is_empty(), "nothing was heard");
        assert!(found(&bound, &used(&bound, &[("alice", ago(5))])).is_empty());
        assert_eq!(found(&bound, &used(&bound, &[("alice", ago(91))])), ["alice"]);
        // Any time of the hour may be meant.
        assert!(found(&bound, &used(&bound, &[("alice", ago(90) - SignedDuration::from_mins(59))])).is_empty());
        assert_eq!(found(&bound, &used(&bound, &[("alice", ago(90) - PRECISION)])), ["alice"]);
    }

    #[test]
    fn a_binding_that_is_younger_than_the_time_had_no_chance() {
        let mut young = binding("shop", "b", "edit", &["User/alice"]);
        young.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(ago(89)));
        assert!(found(&young, &uses(91)).is_empty());
        young.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(ago(90)));
        assert_eq!(found(&young, &uses(91)), ["alice"]);
    }

    #[test]
    fn what_no_event_names_a_binding_for_is_left_out_of_a_rule() {
        let rule = PolicyRule {
            verbs: ["get", "bind", "use", "*", "impersonate"].map(str::to_owned).into(),
            api_groups: Some(["", "coordination.k8s.io"].map(str::to_owned).into()),
            resources: Some(["pods", "nodes/proxy", "deployments/finalizers"].map(str::to_owned).into()),
            non_resource_urls: Some(vec!["/logs".to_owned()]),
            resource_names: None,
        };
        let shown = with_trace(&rule);
        assert_eq!(shown.verbs, ["get", "*", "impersonate"]);
        assert_eq!(shown.api_groups, Some(vec![String::new()]));
        assert_eq!((shown.resources, shown.non_resource_urls), (Some(vec!["pods".to_owned()]), None));
    }

    #[test]
    fn each_of_a_binding_is_judged_by_their_own_calls_and_a_group_by_those_of_anybody() {
        let two = binding("shop", "b", "edit", &["User/alice", "User/bob", "ServiceAccount/shop/strong"]);
        assert_eq!(found(&two, &used(&two, &[("alice", ago(5))])), ["bob"]);
        let group = binding("shop", "b", "edit", &["Group/dev"]);
        assert_eq!(found(&group, &uses(91)), ["dev"]);
        assert!(found(&group, &used(&group, &[("carol", ago(5)), ("dave", ago(91))])).is_empty());
        let other = binding("shop", "other", "edit", &["User/alice"]);
        assert_eq!(found(&two, &used(&other, &[("alice", ago(5))])), ["alice", "bob"]);
    }

    #[test]
    fn a_right_whose_use_no_event_shows_is_never_called_unused() {
        assert!(found(&cluster_binding("b", "binder", "User/alice"), &uses(91)).is_empty());
        assert!(found(&cluster_binding("system:b", "cluster-admin", "User/alice"), &uses(91)).is_empty());
        let admin = cluster_binding("b", "cluster-admin", "User/alice");
        assert_eq!(found(&admin, &uses(91)), ["alice"]);
        let acted = |who: &str, days| BindingUses { acted: [(who.to_owned(), ago(days))].into(), ..uses(91) };
        assert!(found(&admin, &acted("alice", 5)).is_empty(), "as whom she acted, this may have let her");
        assert_eq!(found(&admin, &acted("alice", 91)), ["alice"]);
        assert_eq!(found(&admin, &acted("bob", 5)), ["alice"]);
        let admins = cluster_binding("b", "cluster-admin", "Group/admins");
        assert!(found(&admins, &acted("bob", 5)).is_empty(), "who is in a group nobody knows");
        let edit = binding("shop", "b", "edit", &["User/alice"]);
        assert_eq!(found(&edit, &acted("alice", 5)), ["alice"], "it lets nobody act as somebody else");
    }
}
