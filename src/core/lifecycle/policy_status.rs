//! What a policy's status says about it: whether it is in use, whether the schedule of one that denies counts, whether the
//! roles of one that allows can be handed out, and whether reviews of break-glass access under it are overdue.
//!
//! Owns when each of it is judged. The sentences are in [`super::policy_finding`].

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::api::conditions::{self, Condition};
use crate::api::policy::{AccessPolicy, AccessPolicyStatus, Effect, PolicyOrigin};
use crate::api::request::AccessRequest;
use crate::api::word::Vocabulary;
use crate::core::lifecycle::break_glass::{overdue_since, place, review_due};
use crate::core::lifecycle::policy_finding::{OverdueReview, PolicyFinding};
use crate::core::model::history::shorten;
use crate::core::model::instants::whole_second;
use crate::core::model::schedule::Schedule;
use crate::core::policies::Entry;
use crate::core::policies::origin::disbelief;
use crate::core::policies::unrecorded::unrecorded;
use crate::core::policies::usable::ListedRole;
use crate::core::policies::wildcards::wildcards;
use crate::core::policies::written_for::{DeniesAlways, schedule_counts, schedule_since};

/// The status of a policy: the old one with Ready judged anew, what was judged of its `origin`, if anything was, and which
/// keys of a login's extra the cluster records.
pub fn readiness(
    policy: &AccessPolicy,
    origin: Option<PolicyOrigin>,
    extra_keys: &[String],
    now: Timestamp,
) -> AccessPolicyStatus {
    let mut status = policy.status.clone().unwrap_or_default();
    status.extra_keys = extra_keys.to_vec();
    status.origin = origin.or(status.origin);
    let generation = policy.metadata.generation.unwrap_or_default();
    let doubt = status.origin.as_ref().filter(|origin| origin.generation == generation);
    let doubt = doubt.and_then(|origin| disbelief(policy, origin));
    let entry = Entry::read(policy);
    let finding = match (entry.consequence(), doubt) {
        (Some(consequence), _) => PolicyFinding::Faulty { faults: entry.faults().to_vec(), consequence },
        (_, Some(why)) => PolicyFinding::Doubted(why),
        (_, None) => {
            PolicyFinding::InUse { nobody: wildcards(&policy.spec), unrecorded: unrecorded(&policy.spec, extra_keys) }
        }
    };
    put(&mut status, policy, &finding, now);
    status.schedule_since = Some(schedule_since(policy));
    of_schedule(&mut status, policy, now);
    status.observed_generation = policy.metadata.generation;
    status
}

/// Judges ScheduleInForce, which only a policy has that denies and has a schedule.
fn of_schedule(status: &mut AccessPolicyStatus, policy: &AccessPolicy, now: Timestamp) {
    let schedule = policy.spec.schedule.as_ref().filter(|_| policy.spec.effect == Effect::Deny);
    let Some(schedule) = schedule.and_then(|raw| Schedule::read(raw, "spec.schedule").ok()) else {
        conditions::remove(&mut status.conditions, conditions::SCHEDULE_IN_FORCE);
        return;
    };
    let finding = match schedule_counts(policy) {
        true => PolicyFinding::DeniesInWindows(schedule.describe()),
        false => PolicyFinding::DeniesAlways(DeniesAlways::of(policy)),
    };
    put(status, policy, &finding, now);
}

/// Judges RolesUsable by those of its roles that cannot be handed out, none while that is not known: then what was said
/// stands. A policy that denies says nothing of roles: to deny one before it is there is no fault.
pub fn roles_usable(
    status: &mut AccessPolicyStatus,
    policy: &AccessPolicy,
    unusable: Option<&[ListedRole]>,
    now: Timestamp,
) {
    if policy.spec.effect == Effect::Deny {
        conditions::remove(&mut status.conditions, conditions::ROLES_USABLE);
        status.unusable_roles.clear();
        return;
    }
    let Some(unusable) = unusable else { return };
    status.unusable_roles = unusable.iter().map(|listed| listed.why.on_record()).collect();
    let first = status.unusable_roles.first().and_then(|role| role.why.known());
    let finding = match first {
        None => PolicyFinding::RolesUsable,
        Some(first) => PolicyFinding::RolesUnusable { roles: unusable.to_vec(), first },
    };
    put(status, policy, &finding, now);
}

/// Judges Reviewed by the requests under this policy whose access has yet to be reviewed. When to look again.
///
/// A policy that never had break-glass access says nothing about it.
pub fn reviews(
    status: &mut AccessPolicyStatus,
    policy: &AccessPolicy,
    unreviewed: &[&AccessRequest],
    now: Timestamp,
) -> Option<Timestamp> {
    let had = conditions::find(&status.conditions, conditions::REVIEWED).is_some();
    if policy.spec.break_glass.is_none() && unreviewed.is_empty() && !had {
        return None;
    }
    let overdue: Vec<OverdueReview> = unreviewed
        .iter()
        .filter_map(|request| overdue_since(request, now).map(|since| overdue(request, since)))
        .collect();
    let finding =
        if overdue.is_empty() { PolicyFinding::ReviewsInTime } else { PolicyFinding::ReviewsOverdue(overdue) };
    put(status, policy, &finding, now);
    let due = unreviewed.iter().filter_map(|request| request.status.as_ref().and_then(review_due));
    due.filter(|by| *by > now).min()
}

fn overdue(request: &AccessRequest, since: Timestamp) -> OverdueReview {
    let who = request.spec.requester.as_ref().map_or("", |who| who.username.as_str());
    OverdueReview { place: place(request), who: who.to_owned(), since }
}

/// Puts what was found into its condition.
fn put(status: &mut AccessPolicyStatus, policy: &AccessPolicy, finding: &PolicyFinding, now: Timestamp) {
    let (type_, is, reason) = finding.condition();
    let new = Condition {
        type_: type_.to_owned(),
        status: is,
        reason: reason.as_str().to_owned(),
        message: shorten(&finding.to_string()),
        last_transition_time: Time(whole_second(now)),
        observed_generation: policy.metadata.generation,
    };
    conditions::set(&mut status.conditions, new);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::conditions::ConditionStatus;
    use crate::api::policy_reason::{PolicyReason, UnusableReason};
    use crate::api::subject::{RoleKind, RoleName};
    use crate::api::word::Word;
    use crate::core::laws::fixtures::{deny, noon, policy, request};
    use crate::core::policies::usable::{Sought, Unusable};
    use k8s_openapi::jiff::SignedDuration;
    use serde_json::json;

    fn known(reason: &str) -> Word<PolicyReason> {
        Word::from(reason)
    }

    fn broke_the_glass(namespace: &str, by: Timestamp) -> AccessRequest {
        let mut request = request(json!({ "breakGlass": true }));
        request.metadata.namespace = Some(namespace.to_owned());
        let review = json!({ "breakGlass": { "reviewers": [], "reviewBy": by.to_string() } });
        request.status = Some(serde_json::from_value(review).unwrap());
        request
    }

    #[test]
    fn a_policy_with_a_fault_says_what_becomes_of_it_until_it_is_mended() {
        let slip = json!({ "conditions": [{ "expression": "request.reson == ''", "message": "m" }] });
        for policy in [
            policy("p", slip.clone()),
            deny("p", slip),
            policy("p", json!({ "requesters": [] })),
            deny("p", json!({ "scope": {} })),
        ] {
            let entry = Entry::read(&policy);
            let (faults, consequence) = (entry.faults().to_vec(), entry.consequence().unwrap());
            let status = readiness(&policy, None, &[], noon());
            let ready = conditions::find(&status.conditions, conditions::READY).unwrap();
            assert_eq!((ready.status, known(&ready.reason)), (ConditionStatus::False, PolicyReason::Invalid.into()));
            assert_eq!(ready.message, PolicyFinding::Faulty { faults, consequence }.to_string());
        }
    }

    fn reviewed(status: &AccessPolicyStatus) -> (ConditionStatus, Word<PolicyReason>, &str) {
        let reviewed = conditions::find(&status.conditions, conditions::REVIEWED).unwrap();
        (reviewed.status, known(&reviewed.reason), &reviewed.message)
    }

    #[test]
    fn a_policy_shows_which_reviews_are_overdue_and_looks_again_when_the_next_one_is() {
        let terms = json!({ "breakGlass": { "reviewers": [{ "kind": "User", "name": "bob" }], "reviewWithin": "1h" } });
        let policy = policy("p", terms);
        let (late, later) = (noon(), noon() + SignedDuration::from_secs(1));
        let requests = [broke_the_glass("shop", later), broke_the_glass("bank", late)];
        let all: Vec<&AccessRequest> = requests.iter().collect();
        let mut status = AccessPolicyStatus::default();
        assert_eq!(reviews(&mut status, &policy, &all[..1], noon()), Some(later));
        let in_time = (ConditionStatus::True, PolicyReason::InTime.into());
        assert_eq!((reviewed(&status).0, reviewed(&status).1), in_time);
        assert_eq!(reviews(&mut status, &policy, &all, noon()), Some(later));
        let (is, reason, message) = reviewed(&status);
        assert_eq!((is, reason), (ConditionStatus::False, PolicyReason::ReviewOverdue.into()));
        assert_eq!(message, PolicyFinding::ReviewsOverdue(vec![overdue(all[1], late)]).to_string());
        assert_eq!(reviews(&mut status, &policy, &all, later), None);
        let (_, _, message) = reviewed(&status);
        let both = [overdue(all[1], late), overdue(all[0], later)];
        assert_eq!(message, PolicyFinding::ReviewsOverdue(both.into()).to_string());
        assert_eq!(reviews(&mut status, &policy, &[], later), None);
        assert_eq!(reviewed(&status).0, ConditionStatus::True);
    }

    #[test]
    fn a_policy_that_is_used_says_who_in_it_is_nobody() {
        let ready = |spec| {
            let status = readiness(&policy("p", spec), None, &["country".to_owned()], noon());
            let ready = conditions::find(&status.conditions, conditions::READY).unwrap();
            (ready.status, known(&ready.reason), ready.message.clone())
        };
        let (used, in_use) = (ConditionStatus::True, Word::from(PolicyReason::InUse));
        let (is, reason, plain) = ready(json!({}));
        assert_eq!((is, &reason), (used, &in_use));
        assert_eq!(plain, PolicyFinding::InUse { nobody: Vec::new(), unrecorded: Vec::new() }.to_string());
        let spec = json!({ "requesters": [{ "kind": "Group", "name": "team-*" }] });
        let nobody = wildcards(&policy("p", spec.clone()).spec).remove(0);
        let (is, reason, message) = ready(spec);
        assert_eq!((is, &reason), (used, &in_use), "it is used as it was: {message}");
        assert_eq!(message, PolicyFinding::InUse { nobody: vec![nobody], unrecorded: Vec::new() }.to_string());
    }

    #[test]
    fn a_policy_says_which_keys_are_recorded_and_which_it_asks_for_in_vain() {
        let asks = |key: &str| {
            let expression = format!("'CH' in requester.extra['{key}']");
            policy("p", json!({ "conditions": [{ "expression": expression, "message": "m" }] }))
        };
        let keys = ["country".to_owned()];
        for key in ["country", "contry"] {
            let status = readiness(&asks(key), None, &keys, noon());
            assert_eq!(status.extra_keys, keys);
            let ready = conditions::find(&status.conditions, conditions::READY).unwrap();
            assert_eq!((ready.status, known(&ready.reason)), (ConditionStatus::True, PolicyReason::InUse.into()));
            let unrecorded = unrecorded(&asks(key).spec, &keys);
            assert_eq!(unrecorded.is_empty(), key == "country");
            let finding = PolicyFinding::InUse { nobody: Vec::new(), unrecorded };
            assert_eq!(ready.message, finding.to_string());
        }
        let mut before = asks("country");
        before.status = Some(readiness(&before, None, &keys, noon()));
        assert_eq!(readiness(&before, None, &[], noon()).extra_keys, [""; 0], "none is recorded any more");
    }

    #[test]
    fn a_scheduled_denial_says_whether_its_schedule_counts_and_which_generation_it_counts_from() {
        let windows = json!([{ "days": ["Sat", "Sun"], "start": "00:00", "end": "24:00" }]);
        let schedule = json!({ "timeZone": "UTC", "windows": windows });
        let judged = |policy: &AccessPolicy| {
            let status = readiness(policy, None, &[], noon());
            let said = conditions::find(&status.conditions, conditions::SCHEDULE_IN_FORCE).cloned();
            (status.schedule_since, said.map(|c| (c.status, known(&c.reason))), status)
        };
        let mut weekends = deny("weekends", json!({ "schedule": schedule }));
        let (since, said, status) = judged(&weekends);
        assert_eq!((since, said), (Some(1), Some((ConditionStatus::True, PolicyReason::InForce.into()))));
        // Without the note it is as an earlier version left it.
        weekends.status = Some(AccessPolicyStatus { schedule_since: None, ..status });
        let (since, said, status) = judged(&weekends);
        let earlier = Some((ConditionStatus::False, PolicyReason::WrittenForEarlierVersion.into()));
        assert_eq!((since, said), (Some(2), earlier.clone()));
        weekends.status = Some(status);
        assert_eq!((judged(&weekends).0, judged(&weekends).1), (Some(2), earlier), "looked at again");
        weekends.metadata.generation = Some(2);
        let (since, said, status) = judged(&weekends);
        assert_eq!((since, said.map(|said| said.0)), (Some(2), Some(ConditionStatus::True)), "written anew");
        weekends.status = Some(status);
        weekends.spec.schedule = None;
        assert_eq!(judged(&weekends).1, None, "it has no schedule any more");
        let (since, said, _) = judged(&policy("p", json!({ "schedule": schedule })));
        assert_eq!((since, said), (Some(1), None), "one that allows has always been held to its own");
    }

    #[test]
    fn a_policy_names_the_roles_that_cannot_be_handed_out_and_one_that_denies_does_not() {
        let role = |name: &str| RoleName { kind: RoleKind::ClusterRole, name: name.to_owned() };
        let missing = ListedRole { index: 1, why: Unusable::Missing { role: role("ops"), sought: Sought::Cluster } };
        let unbindable = ListedRole { index: 2, why: Unusable::NotBindable { role: role("admin"), namespace: None } };
        let allows = policy("p", json!({ "roles": [{ "name": "edit" }, { "name": "ops" }, { "name": "admin" }] }));
        let said = |status: &AccessPolicyStatus| {
            let said = conditions::find(&status.conditions, conditions::ROLES_USABLE);
            said.map(|c| (c.status, known(&c.reason)))
        };
        let no = |reason: PolicyReason| Some((ConditionStatus::False, reason.into()));
        let mut status = AccessPolicyStatus::default();
        roles_usable(&mut status, &allows, None, noon());
        assert_eq!(said(&status), None, "nobody knows");
        roles_usable(&mut status, &allows, Some(&[]), noon());
        assert_eq!(said(&status), Some((ConditionStatus::True, PolicyReason::AllUsable.into())));
        roles_usable(&mut status, &allows, Some(std::slice::from_ref(&unbindable)), noon());
        assert_eq!(said(&status), no(PolicyReason::RoleNotBindable));
        let both = [missing, unbindable];
        roles_usable(&mut status, &allows, Some(&both), noon());
        assert_eq!(said(&status), no(PolicyReason::RoleMissing));
        let message = &conditions::find(&status.conditions, conditions::ROLES_USABLE).unwrap().message;
        let first = UnusableReason::Missing;
        assert_eq!(*message, PolicyFinding::RolesUnusable { roles: both.to_vec(), first }.to_string());
        assert_eq!(status.unusable_roles, both.map(|listed| listed.why.on_record()));
        let before = status.clone();
        roles_usable(&mut status, &allows, None, noon());
        assert_eq!(status, before, "what was said stands while nobody knows");
        roles_usable(&mut status, &deny("no", json!({})), None, noon());
        assert_eq!((said(&status), status.unusable_roles.len()), (None, 0));
    }

    #[test]
    fn a_policy_without_break_glass_says_nothing_about_reviews_until_there_was_one() {
        let (plain, mut status) = (policy("p", json!({})), AccessPolicyStatus::default());
        assert_eq!(reviews(&mut status, &plain, &[], noon()), None);
        assert!(conditions::find(&status.conditions, conditions::REVIEWED).is_none());
        // The policy had it once, and a review is still open.
        let request = broke_the_glass("shop", noon());
        reviews(&mut status, &plain, &[&request], noon());
        assert_eq!(reviewed(&status).0, ConditionStatus::False);
        reviews(&mut status, &plain, &[], noon());
        assert_eq!(reviewed(&status).0, ConditionStatus::True);
    }
}
