//! All policies of the cluster: read once, all faults found, sorted by name.
//!
//! A policy with a fault grants nothing new. One that denies and has a fault cannot be ignored either: with a fault in an
//! expression it denies all that its other fields touch; with one in those fields, everything waits until it is mended.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::origin::Disbelief;
use super::policy::Policy;
use super::read::read;
use super::written_for::schedule_counts;
use crate::api::policy::{AccessPolicy, Effect};
use crate::api::request::{AccessRequest, PolicyRef};
use crate::api::subject::RoleName;
use crate::core::model::field_error::FieldError;
use crate::core::model::problem::FieldProblem;

/// Every policy of the cluster, by name.
#[derive(Clone, Debug, Default)]
pub struct PolicySet {
    entries: BTreeMap<String, Entry>,
    /// Whether any has limits: asked for at every step of every request.
    limits: bool,
}

/// A policy, readable or not.
#[derive(Clone, Debug)]
pub enum Entry {
    Valid(Arc<Policy>),
    /// Has faults in its expressions alone. It gives nothing new; what runs under it goes on for as long as the rest of
    /// it allows. If it denies, it denies what its other fields touch.
    Faulty(Arc<Policy>),
    /// Written while the author guard was not in place, and not confirmed. It gives nothing new and ends nothing that
    /// runs. It may have faults in its expressions as well.
    Doubted {
        /// What it would be if it were believed.
        policy: Arc<Policy>,
        /// Why it is not, and the way out.
        why: Disbelief,
    },
    /// Has faults outside of its expressions. `effect` is what it would do, as far as that can be read.
    Broken {
        /// What it would do if it were in order.
        effect: Effect,
        faults: Vec<FieldError>,
    },
}

impl PolicySet {
    /// Reads all policies, and believes them. One being deleted counts as gone.
    pub fn new<'a>(policies: impl IntoIterator<Item = &'a AccessPolicy>) -> Self {
        Self::default().renewed(policies, |_| None)
    }

    /// Reads all policies, and takes over from this set what has not changed: a thousand policies are not read anew
    /// because one of them was edited. `doubt` says why one is not believed.
    #[must_use]
    pub fn renewed<'a>(
        &self,
        policies: impl IntoIterator<Item = &'a AccessPolicy>,
        doubt: impl Fn(&AccessPolicy) -> Option<Disbelief>,
    ) -> Self {
        let read = |policy: &AccessPolicy| {
            let name = policy.metadata.name.clone().unwrap_or_default();
            let known = self.entries.get(&name).filter(|entry| entry.is_of(policy)).cloned();
            (name, known.unwrap_or_else(|| Entry::read(policy)).doubted(doubt(policy)))
        };
        let there = policies.into_iter().filter(|p| p.metadata.deletion_timestamp.is_none());
        let entries: BTreeMap<String, Entry> = there.map(read).collect();
        let limits = entries.values().any(Entry::has_limits);
        Self { entries, limits }
    }

    /// Adds a policy that could not even be decoded. It might be one that denies.
    pub fn insert_unreadable(&mut self, name: &str, problem: &str) {
        let faults = vec![FieldError::new("spec", FieldProblem::Undecodable(problem.to_owned()))];
        self.entries.insert(name.to_owned(), Entry::Broken { effect: Effect::Deny, faults });
    }

    /// The policy of this name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// Digest of the text of a policy, if it can be read and is still this version.
    pub fn digest(&self, version: &PolicyRef) -> Option<String> {
        let policy = self.get(&version.name)?.readable()?;
        (policy.reference == *version).then(|| policy.digest.clone())
    }

    /// The text with this digest, if it is that of a policy as it is now.
    pub fn text(&self, digest: &str) -> Option<Arc<str>> {
        let mut readable = self.entries.values().filter_map(Entry::readable);
        readable.find(|policy| policy.digest == digest).map(|policy| policy.text.clone())
    }

    /// The policies of which another set has no longer this text.
    pub fn gone_from<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a Policy> {
        let readable = self.entries.iter().filter_map(|(name, entry)| Some((name, entry.readable()?)));
        readable.filter_map(|(name, policy)| {
            let still = other.get(name).and_then(Entry::readable).is_some_and(|now| now.digest == policy.digest);
            (!still).then_some(policy)
        })
    }

    /// All policies, in the order of their names.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// Whether the policy of this name has limits.
    pub fn has_limits(&self, name: &str) -> bool {
        self.get(name).is_some_and(Entry::has_limits)
    }

    /// Whether any policy ends access that nobody uses.
    pub fn any_idle_timeout(&self) -> bool {
        self.entries.values().filter_map(Entry::readable).any(|policy| policy.idle_timeout.is_some())
    }

    /// Whether any policy has limits.
    pub fn any_limits(&self) -> bool {
        self.limits
    }

    /// Whether the request could be granted under a policy that has limits, as far as who asks and for which role goes.
    /// Others need not be counted.
    pub fn may_limit(&self, request: &AccessRequest) -> bool {
        let (role, who) = (&request.spec.role, request.spec.requester.as_ref());
        let may = |policy: &Policy| policy.limits.are_set() && policy.may_concern(who, role);
        self.any_limits() && self.valid(Effect::Allow).any(may)
    }

    /// Whether what becomes of the request can hang on the labels of the namespace of this name; with none, on those of all
    /// namespaces. It may say so too often, never too seldom.
    pub fn asks_for_labels(&self, request: &AccessRequest, namespace: Option<&str>) -> bool {
        let (role, who) = (&request.spec.role, request.spec.requester.as_ref());
        let asks = |policy: &Policy| policy.asks_for_labels_of(namespace) && policy.may_concern(who, role);
        self.entries.values().filter_map(Entry::readable).any(asks)
    }

    /// Valid policies with this effect, in the order of their names.
    pub fn valid(&self, effect: Effect) -> impl Iterator<Item = &Policy> {
        self.entries.values().filter_map(move |entry| match entry {
            Entry::Valid(policy) if policy.effect == effect => Some(&**policy),
            _ => None,
        })
    }

    /// The roles that policies allow which can be read, one after the other; the same one as often as it is listed.
    pub fn listed_roles(&self) -> impl Iterator<Item = &RoleName> {
        let readable = self.entries.values().filter_map(Entry::readable);
        readable.filter(|policy| policy.effect == Effect::Allow).flat_map(|policy| &policy.roles)
    }

    /// Policies that deny what is new, in the order of their names: also those that are doubted.
    pub fn denying(&self) -> impl Iterator<Item = &Policy> {
        self.entries.values().filter_map(Entry::readable).filter(|policy| policy.effect == Effect::Deny)
    }

    /// Policies that deny what runs, in the order of their names.
    pub fn revoking(&self) -> impl Iterator<Item = &Policy> {
        self.entries.values().filter_map(|entry| match entry {
            Entry::Valid(policy) | Entry::Faulty(policy) if policy.effect == Effect::Deny => Some(&**policy),
            _ => None,
        })
    }

    /// Policies that would allow and have faults in their expressions, in the order of their names.
    pub fn faulty(&self) -> impl Iterator<Item = &Policy> {
        self.entries.values().filter_map(|entry| match entry {
            Entry::Faulty(policy) if policy.effect == Effect::Allow => Some(&**policy),
            _ => None,
        })
    }

    /// Doubted policies that would allow, and why they do not, in the order of their names.
    pub fn doubted(&self) -> impl Iterator<Item = (&Policy, &Disbelief)> {
        self.entries.values().filter_map(|entry| match entry {
            Entry::Doubted { policy, why } if policy.effect == Effect::Allow => Some((&**policy, why)),
            _ => None,
        })
    }

    /// Whether the policy of this name is doubted.
    pub fn doubts(&self, name: &str) -> bool {
        matches!(self.get(name), Some(Entry::Doubted { .. }))
    }

    /// Names and faults of broken policies with this effect, in the order of their names.
    pub fn broken(&self, wanted: Effect) -> impl Iterator<Item = (&str, &[FieldError])> {
        self.entries.iter().filter_map(move |(name, entry)| match entry {
            Entry::Broken { effect, faults } if *effect == wanted => Some((name.as_str(), faults.as_slice())),
            _ => None,
        })
    }
}

impl Entry {
    /// Reads one policy and finds all its faults.
    pub fn read(policy: &AccessPolicy) -> Self {
        match read(policy) {
            Ok(policy) => Self::believed(Arc::new(policy)),
            Err(faults) => Self::Broken { effect: policy.spec.effect, faults },
        }
    }

    fn believed(policy: Arc<Policy>) -> Self {
        if policy.faults.is_empty() { Self::Valid(policy) } else { Self::Faulty(policy) }
    }

    /// The policy, unless nothing can be said of whom and what it touches.
    pub fn readable(&self) -> Option<&Policy> {
        match self {
            Self::Valid(policy) | Self::Faulty(policy) | Self::Doubted { policy, .. } => Some(policy),
            Self::Broken { .. } => None,
        }
    }

    /// What is wrong with it.
    pub fn faults(&self) -> &[FieldError] {
        match self {
            Self::Valid(policy) | Self::Faulty(policy) | Self::Doubted { policy, .. } => &policy.faults,
            Self::Broken { faults, .. } => faults,
        }
    }

    /// What becomes of it until its faults are mended; none when it has none.
    pub fn consequence(&self) -> Option<&'static str> {
        match self {
            _ if self.faults().is_empty() => None,
            Self::Broken { effect: Effect::Allow, .. } => Some("until then the policy grants nothing"),
            Self::Broken { effect: Effect::Deny, .. } => Some("until then no request can be decided"),
            Self::Valid(policy) | Self::Faulty(policy) | Self::Doubted { policy, .. } => Some(match policy.effect {
                Effect::Allow => "until then the policy grants nothing new, and what runs under it goes on",
                Effect::Deny => "until then the policy denies all that its requesters, roles and scope touch",
            }),
        }
    }

    /// Whether it is in use and has limits. One that denies has none.
    fn has_limits(&self) -> bool {
        matches!(self, Self::Valid(policy) if policy.effect == Effect::Allow && policy.limits.are_set())
    }

    /// The same policy, doubted for this reason or believed. One with faults is of no use either way.
    fn doubted(self, why: Option<Disbelief>) -> Self {
        match (self, why) {
            (Self::Valid(policy) | Self::Faulty(policy) | Self::Doubted { policy, .. }, Some(why)) => {
                Self::Doubted { policy, why }
            }
            (Self::Doubted { policy, .. }, None) => Self::believed(policy),
            (entry, _) => entry,
        }
    }

    /// Whether this is what reading the policy would give: the same object with the same spec, written for the same version.
    fn is_of(&self, policy: &AccessPolicy) -> bool {
        let Some(known) = self.readable() else { return false };
        let of = &known.reference;
        let version = (policy.metadata.uid.as_ref(), policy.metadata.generation);
        // Whether a schedule counts is in the status, which may come later than the spec.
        version == (Some(&of.uid), Some(of.generation)) && known.schedule_counts == schedule_counts(policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::{policy, request};
    use serde_json::json;

    #[test]
    fn a_policy_that_is_being_deleted_counts_as_gone() {
        let mut policy = policy("p", json!({}));
        policy.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(crate::core::laws::fixtures::noon()));
        assert!(PolicySet::new([&policy]).get("p").is_none());
    }

    #[test]
    fn what_has_not_changed_is_not_read_again() {
        let before = PolicySet::new([&policy("a", json!({})), &policy("b", json!({}))]);
        let same = |set: &PolicySet, name: &str| match (before.get(name), set.get(name)) {
            (Some(Entry::Valid(old)), Some(Entry::Valid(new))) => Arc::ptr_eq(old, new),
            _ => false,
        };
        let mut edited = policy("a", json!({ "duration": { "max": "2h" } }));
        edited.metadata.generation = Some(2);
        let mut anew = policy("b", json!({}));
        anew.metadata.uid = Some("another".to_owned());
        let after = before.renewed([&edited, &policy("b", json!({}))], |_| None);
        assert!(!same(&after, "a") && same(&after, "b"));
        assert!(!same(&before.renewed([&anew], |_| None), "b"));
        assert!(before.renewed([&anew], |_| None).get("a").is_none());
    }

    #[test]
    fn texts_are_found_by_their_digest_and_missed_when_they_go() {
        let before = PolicySet::new([&policy("a", json!({})), &policy("b", json!({})), &policy("c", json!({}))]);
        let mut edited = policy("a", json!({ "duration": { "max": "2h" } }));
        edited.metadata.generation = Some(2);
        let after = before.renewed([&edited, &policy("b", json!({}))], |_| None);
        let gone: Vec<&str> = before.gone_from(&after).map(|policy| policy.reference.name.as_str()).collect();
        assert_eq!(gone, ["a", "c"]);
        let now = after.get("a").and_then(Entry::readable).unwrap();
        assert_eq!(crate::api::record::digest(now.text.as_bytes()), now.digest);
        assert_eq!(after.text(&now.digest), Some(now.text.clone()));
        assert_eq!(before.text(&now.digest), None);
    }

    #[test]
    fn only_whom_a_limit_can_concern_is_counted() {
        let set = PolicySet::new(&[
            policy("free", json!({ "roles": [{ "name": "view" }] })),
            policy("full", json!({ "limits": { "liveGrants": 1 } })),
        ]);
        assert!(set.may_limit(&request(json!({}))));
        let others = [
            json!({ "role": { "name": "view" } }),
            json!({ "role": { "kind": "Role", "name": "edit" } }),
            json!({ "requester": { "username": "mallory" } }),
            json!({ "requester": null }),
        ];
        assert!(others.into_iter().all(|spec| !set.may_limit(&request(spec))));
        assert!(!PolicySet::new(&[policy("free", json!({}))]).may_limit(&request(json!({}))));
    }

    #[test]
    fn labels_matter_where_a_policy_that_may_be_about_it_asks_for_them() {
        let asks = |spec: serde_json::Value, namespace: Option<&str>| {
            PolicySet::new(&[policy("p", spec)]).asks_for_labels(&request(json!({})), namespace)
        };
        let label = json!([{ "expression": "label('env') == ['dev']", "message": "dev only" }]);
        let by_label = json!({ "namespaces": ["team-*"], "namespaceSelector": { "matchLabels": { "env": "dev" } } });
        assert!(!asks(json!({}), Some("shop")) && !asks(json!({}), None), "nobody asks for labels");
        assert!(asks(json!({ "scope": by_label }), Some("team-a")));
        assert!(!asks(json!({ "scope": by_label }), Some("shop")), "its name keeps it out");
        assert!(!asks(json!({ "scope": by_label }), None), "the whole cluster is not chosen by label");
        assert!(asks(json!({ "conditions": label }), Some("shop")) && asks(json!({ "conditions": label }), None));
        let stage = json!({ "name": "s", "approvers": [{ "kind": "User", "name": "bob" }] });
        let automatic = json!({ "approval": { "automaticWhen": "label('env') == []", "stages": [stage] } });
        assert!(asks(automatic, Some("shop")));
        let of_others = json!({ "conditions": label, "roles": [{ "name": "view" }] });
        assert!(!asks(of_others.clone(), Some("shop")));
        let denies = json!({ "effect": "Deny", "conditions": label, "requesters": [], "roles": [], "duration": null });
        assert!(asks(denies, Some("shop")), "one that denies and names nobody is about everybody");
    }

    #[test]
    fn an_unreadable_policy_might_deny() {
        let mut set = PolicySet::default();
        set.insert_unreadable("odd", "unknown field");
        assert_eq!(set.broken(Effect::Deny).map(|(name, _)| name).collect::<Vec<_>>(), ["odd"]);
    }
}
