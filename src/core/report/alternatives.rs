//! Requests near to one that is denied: each with what would have to be another thing, the smallest change first.
//!
//! Owns which changes are worth asking about and which of two is smaller. Whether one of them is allowed it must not say: the
//! decision is asked for each as for any request.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::api::policy::Effect;
use crate::api::request::{AccessRequest, AccessRequestSpec};
use crate::api::selector::RequestScope;
use crate::api::subject::{RoleKind, RoleName};
use crate::core::decision::choose::fits;
use crate::core::decision::context::EvalContext;
use crate::core::decision::freeze::{Denying, Frozen, Moment};
use crate::core::decision::protected::ProtectedBy;
use crate::core::decision::shortfall::Shortfall;
use crate::core::decision::snapshot::Snapshot;
use crate::core::decision::stance::denials;
use crate::core::decision::validate::validate;
use crate::core::lifecycle::hindrance::{Hindrance, prepare};
use crate::core::model::ask::ValidRequest;
use crate::core::model::duration;
use crate::core::model::grant_scope::GrantScope;
use crate::core::policies::Policy;
use crate::core::policies::limits::Exceeded;

/// How many alternatives there are at most: each costs a decision.
const MOST_ALTERNATIVES: usize = 24;
/// How many roles of one policy are tried.
const MOST_ROLES: usize = 8;
/// What stands for a ticket that is still to be named.
pub const TICKET_TO_NAME: &str = "TICKET";

/// A request that is like another one but for these changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Alternative {
    pub request: AccessRequest,
    pub changes: Vec<RequestChange>,
}

/// In what a request differs from what was asked for, the smallest change first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestChange {
    /// It names no policy.
    AnyPolicy,
    /// It names a ticket, which is [`TICKET_TO_NAME`].
    Ticket,
    /// It is shorter, or for fewer weeks.
    Shorter,
    /// It begins later.
    Later,
    /// It is for fewer namespaces, or for one in place of the whole cluster.
    Narrower,
    /// It is no emergency.
    NoEmergency,
    /// It is for once, and does not come back.
    Once,
    /// It is for another role.
    OtherRole,
}

impl RequestChange {
    /// How far it leads from what was asked for.
    fn weight(self) -> u32 {
        match self {
            Self::AnyPolicy | Self::Ticket => 1,
            Self::Shorter => 2,
            Self::Later => 3,
            Self::Narrower | Self::NoEmergency => 4,
            Self::Once => 6,
            Self::OtherRole => 8,
        }
    }
}

/// The requests near to a denied one, the nearest first. None when nothing in it can be another thing: of one that was read
/// with faults, and where no policy names who asks.
pub fn alternatives(s: &Snapshot<'_>, now: Timestamp) -> Vec<Alternative> {
    let Ok(ask) = validate(s.request) else { return Vec::new() };
    let status = s.request.status.clone().unwrap_or_default();
    let (ask, lacks) = match prepare(s, &status, &ask, now) {
        Ok(ask) => (ask, false),
        // Another role may have what this one lacks.
        Err(Hindrance::Lacks(_)) => (ask, true),
        Err(_) => return Vec::new(),
    };
    let Ok(place) = ask.target.resolve(s.namespaces) else { return Vec::new() };
    let mut context = EvalContext::new(s, &place, now);
    let (denying, freezes) = denials(&ask, s.policies, &context);
    context.freezes = freezes;
    let denied = DeniedAsk { s, ask: &ask, place: &place, context: &context, denying: &denying, lacks };
    let mut found: Vec<Alternative> = s
        .policies
        .valid(Effect::Allow)
        .flat_map(|policy| denied.under(policy))
        .filter(|a| !a.changes.is_empty())
        .collect();
    let far = |a: &Alternative| a.changes.iter().map(|change| change.weight()).sum::<u32>();
    found.sort_by_cached_key(|a| (far(a), a.changes.clone(), a.request.spec.role.clone()));
    let mut kept: Vec<Alternative> = Vec::new();
    for alternative in found {
        if kept.len() < MOST_ALTERNATIVES && !kept.iter().any(|k| k.request.spec == alternative.request.spec) {
            kept.push(alternative);
        }
    }
    kept
}

/// A request that is denied, and what it is denied by.
struct DeniedAsk<'s, 'a> {
    s: &'s Snapshot<'a>,
    ask: &'s ValidRequest<'a>,
    place: &'s GrantScope,
    context: &'s EvalContext<'a>,
    denying: &'s [Denying],
    /// Whether the role does not have what is asked of it.
    lacks: bool,
}

impl DeniedAsk<'_, '_> {
    /// What this policy might allow in its place.
    fn under(&self, policy: &Policy) -> Vec<Alternative> {
        let short = fits(policy, self.ask, self.context).err().unwrap_or_default();
        let mut draft = ChangedSpec { spec: self.ask.request.spec.clone(), changes: BTreeSet::new() };
        if draft.spec.policy.as_ref().is_some_and(|named| *named != policy.reference.name) {
            draft.spec.policy = None;
            draft.changes.insert(RequestChange::AnyPolicy);
        }
        if self.after_denials(&mut draft).is_none() {
            return Vec::new();
        }
        let other_role =
            self.lacks || short.iter().any(|s| matches!(s, Shortfall::Role { .. } | Shortfall::RoleUnusable(_)));
        let others = |s: &&Shortfall| !matches!(s, Shortfall::Role { .. } | Shortfall::RoleUnusable(_));
        if short.iter().filter(others).any(|s| self.mend(s, policy, &mut draft).is_none()) {
            return Vec::new();
        }
        let drafts = if other_role { self.with_roles(policy, &draft) } else { vec![draft] };
        let conditions = !policy.conditions.is_empty() && self.ask.request.spec.ticket.is_none();
        let tickets = drafts.iter().filter(|_| conditions).map(ChangedSpec::with_ticket).collect::<Vec<_>>();
        drafts.into_iter().chain(tickets).map(|draft| draft.alternative(self.ask.request)).collect()
    }

    /// Another start where a policy denies this one; none where one denies whatever its start is.
    fn after_denials(&self, draft: &mut ChangedSpec) -> Option<()> {
        for denying in self.denying {
            match &denying.window {
                Some(Frozen { what: Moment::Start, until, .. }) => draft.start(*until),
                Some(Frozen { what: Moment::Emergency, .. }) => draft.no_emergency(),
                // In another place, or of another role, it may not be touched by it.
                None if self.can_be_narrower() => {}
                _ => return None,
            }
        }
        Some(())
    }

    fn can_be_narrower(&self) -> bool {
        match self.place {
            GrantScope::Cluster => true,
            GrantScope::Namespaces(names) => names.len() > 1,
        }
    }

    /// Changes what this policy does not give; none when nothing can be done about it.
    fn mend(&self, short: &Shortfall, policy: &Policy, draft: &mut ChangedSpec) -> Option<()> {
        match short {
            Shortfall::Length { most, .. } | Shortfall::ExtensionLength { most, .. } => draft.length(*most),
            Shortfall::Limit(Exceeded::TimePerDay { had, most, .. }) if most > had => draft.length(*most - *had),
            Shortfall::Weeks { most, .. } => {
                draft.spec.recurrence.as_mut()?.weeks = *most;
                draft.changes.insert(RequestChange::Shorter);
            }
            Shortfall::Recurrence => {
                let longest = self.ask.recurrence.as_ref()?.longest();
                draft.spec.recurrence = None;
                draft.spec.duration = Some(duration::format(longest.min(policy.longest)));
                draft.changes.insert(RequestChange::Once);
            }
            Shortfall::BreakGlass => draft.no_emergency(),
            Shortfall::Cluster => self.own_namespace(policy, draft)?,
            Shortfall::Namespaces(outside) => self.without(outside, draft)?,
            Shortfall::Protected(protection) => match &protection.of {
                ProtectedBy::Cluster { .. } => self.own_namespace(policy, draft)?,
                ProtectedBy::Namespaces { reached, .. } => self.without(reached, draft)?,
            },
            Shortfall::NoTime(_) if self.ask.recurrence.is_none() => {
                let from = self.ask.start?.max(self.context.at);
                draft.start(self.context.freezes.openings(policy).first_open(from)?);
            }
            // A ticket is tried for it.
            Shortfall::Condition(_) => {}
            _ => return None,
        }
        Some(())
    }

    fn own_namespace(&self, policy: &Policy, draft: &mut ChangedSpec) -> Option<()> {
        let own = self.ask.request.metadata.namespace.as_deref()?;
        policy.covers(own, self.s.namespaces).then(|| draft.place(own, vec![own.to_owned()]))
    }

    fn without(&self, outside: &[String], draft: &mut ChangedSpec) -> Option<()> {
        let GrantScope::Namespaces(names) = self.place else { return None };
        let left: Vec<String> = names.iter().filter(|name| !outside.contains(name)).cloned().collect();
        let own = self.ask.request.metadata.namespace.as_deref()?;
        (!left.is_empty()).then(|| draft.place(own, left))
    }

    /// The same of each other role that the policy lists.
    fn with_roles(&self, policy: &Policy, draft: &ChangedSpec) -> Vec<ChangedSpec> {
        let in_cluster = draft.spec.scope.as_ref().is_some_and(|scope| scope.cluster);
        let fits = |role: &&RoleName| **role != *self.ask.role && !(in_cluster && role.kind == RoleKind::Role);
        policy.roles.iter().filter(fits).take(MOST_ROLES).map(|role| draft.with_role(role)).collect()
    }
}

/// A spec on its way to another one.
#[derive(Clone)]
struct ChangedSpec {
    spec: AccessRequestSpec,
    changes: BTreeSet<RequestChange>,
}

impl ChangedSpec {
    fn length(&mut self, most: SignedDuration) {
        self.spec.duration = Some(duration::format(most));
        self.changes.insert(RequestChange::Shorter);
    }

    fn start(&mut self, at: Timestamp) {
        self.spec.start_time = Some(Time(at));
        self.changes.insert(RequestChange::Later);
    }

    fn no_emergency(&mut self) {
        self.spec.break_glass = false;
        self.changes.insert(RequestChange::NoEmergency);
    }

    fn place(&mut self, own: &str, names: Vec<String>) {
        let named = RequestScope { namespaces: names, namespace_selector: None, cluster: false };
        self.spec.scope = (named.namespaces != [own]).then_some(named);
        self.changes.insert(RequestChange::Narrower);
    }

    fn with_role(&self, role: &RoleName) -> Self {
        let mut other = self.clone();
        other.spec.role = role.clone();
        other.changes.insert(RequestChange::OtherRole);
        other
    }

    fn with_ticket(&self) -> Self {
        let mut other = self.clone();
        other.spec.ticket = Some(TICKET_TO_NAME.to_owned());
        other.changes.insert(RequestChange::Ticket);
        other
    }

    fn alternative(self, of: &AccessRequest) -> Alternative {
        let request = AccessRequest { spec: self.spec, ..of.clone() };
        Alternative { request, changes: self.changes.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::policy::AccessPolicy;
    use crate::core::laws::fixtures::{deny, namespaces, noon, policy, request};
    use crate::core::laws::simulator::Simulator;
    use crate::core::policies::PolicySet;
    use crate::core::rbac::role::RoleSeen;
    use serde_json::{Value, json};

    use super::RequestChange::{AnyPolicy, Later, Narrower, NoEmergency, Once, OtherRole, Shorter, Ticket};

    fn near(spec: Value, policies: &[AccessPolicy]) -> Vec<Alternative> {
        let simulator = Simulator::new(request(spec), Vec::new(), namespaces(), noon());
        alternatives(&simulator.snapshot(&PolicySet::new(policies), &[]), noon())
    }

    /// The changes of the nearest, and these fields of its spec.
    fn nearest(spec: Value, policies: &[AccessPolicy], fields: &[&str]) -> (Vec<RequestChange>, Vec<Value>) {
        let found = near(spec, policies).into_iter().next().expect("an alternative");
        let spec = json!(found.request.spec);
        (found.changes, fields.iter().map(|field| spec[field].clone()).collect())
    }

    #[test]
    fn each_thing_that_a_policy_does_not_give_has_its_change() {
        let plain = || policy("p", json!({}));
        let role = |name: &str| json!({ "kind": "ClusterRole", "name": name });
        let cases = [
            (json!({ "duration": "8h" }), plain(), vec![Shorter], "duration", json!("1h")),
            (json!({ "scope": { "cluster": true } }), plain(), vec![Narrower], "scope", json!(null)),
            (json!({ "scope": { "namespaces": ["bank", "shop"] } }), plain(), vec![Narrower], "scope", json!(null)),
            (json!({ "breakGlass": true }), plain(), vec![NoEmergency], "breakGlass", json!(null)),
            (json!({ "role": { "name": "admin" } }), plain(), vec![OtherRole], "role", role("edit")),
        ];
        for (spec, policy, changes, field, value) in cases {
            assert_eq!(nearest(spec.clone(), &[policy], &[field]), (changes, vec![value]), "{spec}");
        }
        let windows = json!([{ "days": ["Tue"], "start": "02:00", "end": "04:00" }]);
        let weekly = json!({ "recurrence": { "timeZone": "UTC", "windows": windows, "weeks": 8 } });
        assert_eq!(nearest(weekly.clone(), &[plain()], &["duration"]), (vec![Once], vec![json!("1h")]));
        let four = policy("p", json!({ "recurrence": { "weeks": 4 }, "duration": { "max": "4h" } }));
        let (changes, values) = nearest(weekly, &[four], &["recurrence"]);
        assert_eq!((changes, &values[0]["weeks"]), (vec![Shorter], &json!(4)));
        let start = "2026-11-23T20:00:00Z";
        let hours = json!([{ "days": ["Tue"], "start": "09:00", "end": "17:00" }]);
        let office = policy("p", json!({ "schedule": { "timeZone": "UTC", "windows": hours } }));
        let opens = json!("2026-11-24T09:00:00Z");
        assert_eq!(nearest(json!({ "startTime": start }), &[office], &["startTime"]), (vec![Later], vec![opens]));
    }

    #[test]
    fn the_smallest_change_comes_first_and_several_may_be_needed() {
        let (long, other) = (
            policy("a", json!({ "roles": [{ "name": "view" }], "duration": { "max": "24h" } })),
            policy("b", json!({})),
        );
        let found = near(json!({ "duration": "8h" }), &[long.clone(), other]);
        let changes: Vec<_> = found.into_iter().map(|a| a.changes).collect();
        assert_eq!(changes, [vec![Shorter], vec![OtherRole]]);
        let both = near(json!({ "duration": "48h", "policy": "gone" }), &[long]);
        assert_eq!(both[0].changes, [AnyPolicy, Shorter, OtherRole]);
    }

    #[test]
    fn a_ticket_is_tried_where_a_condition_may_want_one() {
        let wants = json!({ "expression": "request.ticket != ''", "message": "name a ticket" });
        let policies = [policy("p", json!({ "conditions": [wants] }))];
        assert_eq!(near(json!({}), &policies)[0].changes, [Ticket]);
        assert_eq!(near(json!({ "ticket": "OPS-7" }), &policies), []);
    }

    #[test]
    fn another_role_may_have_what_this_one_lacks() {
        let rules = json!([{ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] }]);
        let both = policy("p", json!({ "roles": [{ "name": "edit" }, { "name": "view" }] }));
        let mut simulator = Simulator::new(request(json!({ "rules": rules })), Vec::new(), namespaces(), noon());
        simulator.role = Some(RoleSeen::that_only_looks());
        let found = alternatives(&simulator.snapshot(&PolicySet::new(&[both]), &[]), noon());
        assert_eq!((found.len(), &found[0].changes[..]), (1, &[OtherRole][..]));
        assert_eq!(json!(found[0].request.spec.rules), rules);
    }

    #[test]
    fn nothing_is_near_where_nobody_is_meant_or_a_policy_denies() {
        let others = policy("p", json!({ "requesters": [{ "kind": "Group", "name": "sre" }] }));
        assert_eq!(near(json!({ "duration": "8h" }), &[others]), []);
        assert_eq!(near(json!({ "duration": "8h" }), &[policy("p", json!({})), deny("no", json!({}))]), []);
        let fire =
            json!({ "breakGlass": { "reviewers": [{ "kind": "Group", "name": "leads" }], "reviewWithin": "24h" } });
        assert_eq!(near(json!({}), &[policy("p", fire)]), [], "nobody is talked into an emergency");
    }
}
