//! The facts of a request at its decision, as policies match against them and as CEL expressions see them.
//!
//! It must not match a policy: `matching` does.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::jiff::tz::TimeZone;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::core::decision::freeze::Freezes;
use crate::core::decision::protected::{Protected, Protection};
use crate::core::decision::snapshot::Snapshot;
use crate::core::model::ask::{RequestKind, ValidRequest};
use crate::core::model::grant_scope::GrantScope;
use crate::core::model::namespaces::Namespaces;
use crate::core::model::schedule::Schedule;
use crate::core::policies::Policy;
use crate::core::policies::cel::{CelInput, RequestFacts, RiskScore, When, Who};
use crate::core::policies::limits::{Counted, Exceeded};
use crate::core::policies::usable::{ListedRole, RoleUse, Unusable, role_use};
use crate::core::rbac::role::RoleSeen;

/// Values by label key.
type Labels = BTreeMap<String, Arc<BTreeSet<String>>>;

/// What a request is decided in the light of.
pub struct EvalContext<'a> {
    /// Where the grant would hold.
    pub place: &'a GrantScope,
    pub namespaces: &'a Namespaces,
    /// When it is decided. For a running grant, when it began: a condition about the hour does not end it.
    pub at: Timestamp,
    /// How much harm the role can do.
    pub harm: RiskScore,
    /// Other requests under policies that have limits.
    pub others: &'a [Counted],
    /// Windows in which policies deny what is asked for.
    pub freezes: Freezes<'a>,
    /// What only policies that say so reach.
    protected: Protected<'a>,
    /// The role asked for; none while nobody has looked.
    role: Option<&'a RoleSeen>,
    /// Whether it can be handed out there.
    role_use: RoleUse,
    /// Whether a policy was found for the request before. People may have been asked since.
    was_allowed: bool,
    /// Those that somebody has asked for.
    labels: RefCell<Labels>,
}

impl<'a> EvalContext<'a> {
    /// What holds in a place at a time.
    pub fn new(s: &Snapshot<'a>, place: &'a GrantScope, at: Timestamp) -> Self {
        let Snapshot { request, namespaces, risk, others, protected, role, bind_rights, .. } = *s;
        let harm = RiskScore::recorded(risk);
        let (freezes, labels) = (Freezes::default(), RefCell::default());
        let role_use = role_use(&request.spec.role, role, bind_rights, place);
        let was_allowed = request.status.as_ref().is_some_and(|status| status.policy.is_some());
        Self { place, namespaces, at, harm, others, freezes, protected, role, role_use, was_allowed, labels }
    }

    /// Why the policy's limits leave no room for this request.
    pub fn over_limits(&self, ask: &ValidRequest<'_>, policy: &Policy, length: SignedDuration) -> Vec<Exceeded> {
        policy.limits.exceeded(ask, self.place, length, &self.under(policy), self.at)
    }

    /// Why the policy's limits leave no room for one more request that waits.
    pub fn too_many_open(&self, ask: &ValidRequest<'_>, policy: &Policy) -> Option<Exceeded> {
        policy.limits.too_many_open(ask, &self.under(policy))
    }

    /// Why the policy does not give this anew, since it would reach what is protected.
    pub fn beyond_protection(&self, ask: &ValidRequest<'_>, policy: &Policy) -> Option<Protection> {
        self.protected.shortfall(policy, ask, self.place, self.namespaces, self.role)
    }

    /// Why the policy does not give this role to somebody whom nobody has been asked about yet.
    pub fn unusable_role(&self, policy: &Policy) -> Option<ListedRole> {
        let RoleUse::Unusable(why) = &self.role_use else { return None };
        let index = policy.roles.iter().position(|role| why.is_about(role))?;
        (!self.was_allowed).then(|| ListedRole { index, why: why.clone() })
    }

    /// Why access has to wait for its role, when people may have been asked already: they are not asked again because a role
    /// is made anew.
    pub fn role_away(&self) -> Option<&Unusable> {
        match &self.role_use {
            RoleUse::Unusable(why) if self.was_allowed => Some(why),
            _ => None,
        }
    }

    /// Whether nobody knows yet if the role can be handed out, and nobody has been asked.
    pub fn role_is_unknown(&self) -> bool {
        self.role_use == RoleUse::Unknown && !self.was_allowed
    }

    fn under(&self, policy: &Policy) -> Vec<&'a Counted> {
        self.others.iter().filter(|other| other.policy == policy.reference.name).collect()
    }

    /// What a condition of this policy can ask about the request.
    pub fn facts(&self, ask: &ValidRequest<'_>, policy: &Policy) -> CelInput {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let request = ask.request;
        CelInput {
            request: RequestFacts {
                name: text(&request.metadata.name),
                namespace: text(&request.metadata.namespace),
                role: ask.role.name.clone(),
                role_kind: ask.role.kind.as_str().to_owned(),
                namespaces: self.names().map(str::to_owned).collect(),
                cluster: *self.place == GrantScope::Cluster,
                duration_seconds: policy.length(ask).as_secs(),
                reason: request.spec.reason.clone(),
                ticket: text(&request.spec.ticket),
                break_glass: matches!(ask.aim, RequestKind::BreakGlass),
                extension: matches!(ask.aim, RequestKind::Extension { .. }),
            },
            requester: Who {
                username: ask.requester.username.clone(),
                uid: text(&ask.requester.uid),
                groups: ask.requester.groups.clone(),
                extra: ask.requester.extra.clone(),
            },
            risk: self.harm.clone(),
            time: when(self.at, policy.schedule.as_ref().map_or(&TimeZone::UTC, Schedule::zone)),
            labels: policy.labels().map(|key| (key.to_owned(), self.label(key))).collect(),
        }
    }

    /// Names of the namespaces asked for; none for the whole cluster.
    fn names(&self) -> impl Iterator<Item = &str> {
        match self.place {
            GrantScope::Namespaces(names) => Some(names.iter().map(String::as_str)),
            GrantScope::Cluster => None,
        }
        .into_iter()
        .flatten()
    }

    /// Values of a label. A namespace that lacks one that another has counts with an empty text, so that "all are dev" is
    /// not true of those that say nothing; one that none has is empty. Access to the whole cluster is access to every
    /// namespace.
    fn label(&self, key: &str) -> Arc<BTreeSet<String>> {
        if let Some(known) = self.labels.borrow().get(key) {
            return known.clone();
        }
        let of = |name: &str| self.namespaces.get(name);
        let all: Vec<_> = match self.place {
            GrantScope::Cluster => self.namespaces.values().collect(),
            GrantScope::Namespaces(names) => names.iter().filter_map(|name| of(name)).collect(),
        };
        let values: BTreeSet<&str> = all.iter().map(|n| n.labels.get(key).map_or("", String::as_str)).collect();
        let nobody = all.iter().all(|n| !n.labels.contains_key(key));
        let values = if nobody { BTreeSet::new() } else { values.into_iter().map(str::to_owned).collect() };
        let values = Arc::new(values);
        self.labels.borrow_mut().insert(key.to_owned(), values.clone());
        values
    }
}

/// An instant as a clock in a zone shows it.
fn when(at: Timestamp, zone: &TimeZone) -> When {
    let clock = at.to_zoned(zone.clone());
    When {
        weekday: clock.strftime("%a").to_string(),
        hour: clock.hour().into(),
        minute: clock.minute().into(),
        date: clock.date().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::decision::validate::validate;
    use crate::core::laws::fixtures::{namespaces, noon, policy, request};
    use crate::core::laws::simulator::Simulator;
    use crate::core::policies::{Entry, Policy, PolicySet};
    use serde_json::json;

    fn read(spec: serde_json::Value) -> Arc<Policy> {
        match Entry::read(&policy("p", spec)) {
            Entry::Valid(policy) => policy,
            other => panic!("{:?}", other.faults()),
        }
    }

    #[test]
    fn a_condition_sees_the_request_as_it_was_made() {
        let request = request(json!({ "ticket": "OPS-7", "breakGlass": true }));
        let place = GrantScope::Namespaces(["shop".to_owned()].into());
        let simulator = Simulator::new(request.clone(), Vec::new(), namespaces(), noon());
        let set = PolicySet::default();
        let context = EvalContext::new(&simulator.snapshot(&set, &[]), &place, noon());
        let facts = context.facts(&validate(&request).unwrap(), &read(json!({})));
        let asked = serde_json::to_value(&facts.request).unwrap();
        let expected = json!({
            "name": "fix", "namespace": "shop", "role": "edit", "roleKind": "ClusterRole", "namespaces": ["shop"],
            "cluster": false, "durationSeconds": 3600, "reason": "fix the shop", "ticket": "OPS-7", "breakGlass": true,
            "extension": false
        });
        assert_eq!(asked, expected);
        let windows = json!([{ "days": ["Mon"], "start": "09:00", "end": "17:00" }]);
        let far = read(json!({ "schedule": { "timeZone": "Asia/Kathmandu", "windows": windows } }));
        let there = context.facts(&validate(&request).unwrap(), &far).time;
        assert_eq!((there.hour, there.minute), (17, 45), "by the clock of the policy's schedule");
        let time = serde_json::to_value(&facts.time).unwrap();
        assert_eq!(time, json!({ "weekday": "Mon", "hour": 12, "minute": 0, "date": "2026-11-23" }));
        let who = serde_json::to_value(&facts.requester).unwrap();
        assert_eq!(who, json!({ "username": "alice", "uid": "u-alice", "groups": ["dev"], "extra": {} }));
    }

    #[test]
    fn a_label_that_one_namespace_lacks_is_not_one_that_all_have() {
        let simulator = Simulator::new(request(json!({})), Vec::new(), namespaces(), noon());
        let set = PolicySet::default();
        let teams = |place: &GrantScope| {
            let context = EvalContext::new(&simulator.snapshot(&set, &[]), place, noon());
            let asks = read(json!({ "conditions": [{ "expression": "label('team') == []", "message": "m" }] }));
            let facts = context.facts(&validate(&simulator.request).unwrap(), &asks);
            assert_eq!(facts.labels.len(), 1, "no more than is asked for");
            facts.labels["team"].iter().cloned().collect::<Vec<_>>().join("|")
        };
        let named = |names: &[&str]| GrantScope::Namespaces(names.iter().map(|n| (*n).to_owned()).collect());
        assert_eq!(teams(&named(&["shop", "bank"])), "pay");
        assert_eq!(teams(&named(&["shop", "yard"])), "|pay");
        assert_eq!(teams(&named(&["yard"])), "");
        assert_eq!(teams(&GrantScope::Cluster), "|pay");
    }
}
