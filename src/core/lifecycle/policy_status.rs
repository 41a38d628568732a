//! What a policy's status says about it: whether it is in use, and whether reviews of break-glass access under it
//! are overdue.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::api::conditions::{self, Condition, ConditionStatus};
use crate::api::policy::{AccessPolicy, AccessPolicyStatus, PolicyOrigin};
use crate::api::request::AccessRequest;
use crate::core::lifecycle::break_glass::{overdue_since, place, review_due};
use crate::core::model::field_error::sentence;
use crate::core::model::history::{join, shorten};
use crate::core::model::instants::whole_second;
use crate::core::policies::Entry;
use crate::core::policies::origin::disbelief;
use crate::core::policies::wildcards::{self, wildcards};

/// Reason of Ready when the policy is used in decisions.
pub const IN_USE: &str = "InUse";
/// Reason of Ready when the policy has faults and grants nothing new.
pub const INVALID: &str = "Invalid";
/// Reason of Ready when the policy was written while the author guard was not in place.
pub const WRITTEN_IN_GAP: &str = "WrittenInGap";
/// Reason of Reviewed when no review is overdue.
pub const IN_TIME: &str = "InTime";
/// Reason of Reviewed when one is.
pub const OVERDUE: &str = "ReviewOverdue";

/// The status of a policy: the old one with Ready judged anew, and what was judged of its `origin`, if anything was.
pub fn readiness(policy: &AccessPolicy, origin: Option<PolicyOrigin>, now: Timestamp) -> AccessPolicyStatus {
    let mut status = policy.status.clone().unwrap_or_default();
    status.origin = origin.or(status.origin);
    let generation = policy.metadata.generation.unwrap_or_default();
    let doubt = status.origin.as_ref().filter(|origin| origin.generation == generation);
    let doubt = doubt.and_then(|origin| disbelief(policy, origin));
    let entry = Entry::read(policy);
    let (is, reason, message) = match (entry.consequence(), doubt) {
        (Some(consequence), _) => {
            (ConditionStatus::False, INVALID, format!("{}; {consequence}", sentence(entry.faults())))
        }
        (_, Some(why)) => (ConditionStatus::False, WRITTEN_IN_GAP, why),
        (_, None) => (ConditionStatus::True, IN_USE, in_use(policy)),
    };
    condition(&mut status, policy, conditions::READY, is, reason, &message, now);
    status.observed_generation = policy.metadata.generation;
    status
}

/// What is said of a policy that is used: that it is, and who in it is nobody.
fn in_use(policy: &AccessPolicy) -> String {
    let nobody = wildcards(&policy.spec);
    let each = nobody.iter().map(|wildcard| format!("; {}: {wildcard}", wildcard.field)).collect::<String>();
    let way_out = if nobody.is_empty() { String::new() } else { format!("; {}", wildcards::WAY_OUT) };
    format!("requests are decided by it{each}{way_out}")
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
    let mut overdue: Vec<String> = unreviewed
        .iter()
        .filter_map(|request| overdue_since(request, now).map(|since| overdue(request, since)))
        .collect();
    overdue.sort();
    let (is, reason, message) = match overdue.len() {
        0 => (ConditionStatus::True, IN_TIME, "no review of break-glass access is overdue".to_owned()),
        n => (ConditionStatus::False, OVERDUE, format!("{n} overdue: {}", join(&overdue))),
    };
    condition(status, policy, conditions::REVIEWED, is, reason, &message, now);
    let due = unreviewed.iter().filter_map(|request| request.status.as_ref().and_then(review_due));
    due.filter(|by| *by > now).min()
}

fn overdue(request: &AccessRequest, since: Timestamp) -> String {
    let who = request.spec.requester.as_ref().map_or("", |who| who.username.as_str());
    format!("{} of {who} since {since}", place(request))
}

fn condition(
    status: &mut AccessPolicyStatus,
    policy: &AccessPolicy,
    type_: &str,
    is: ConditionStatus,
    reason: &str,
    message: &str,
    now: Timestamp,
) {
    let new = Condition {
        type_: type_.to_owned(),
        status: is,
        reason: reason.to_owned(),
        message: shorten(message),
        last_transition_time: Time(whole_second(now)),
        observed_generation: policy.metadata.generation,
    };
    conditions::set(&mut status.conditions, new);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::{deny, noon, policy, request};
    use k8s_openapi::jiff::SignedDuration;
    use serde_json::json;

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
        for (policy, begins, ends) in [
            (
                policy("p", slip.clone()),
                "spec.conditions[0].expression: ",
                "grants nothing new, and what runs under it goes on",
            ),
            (
                deny("p", slip),
                "spec.conditions[0].expression: ",
                "denies all that its requesters, roles and scope touch",
            ),
            (policy("p", json!({ "requesters": [] })), "spec.requesters: ", "until then the policy grants nothing"),
            (deny("p", json!({ "scope": {} })), "spec.scope: ", "until then no request can be decided"),
        ] {
            let status = readiness(&policy, None, noon());
            let ready = conditions::find(&status.conditions, conditions::READY).unwrap();
            assert_eq!((ready.status, ready.reason.as_str()), (ConditionStatus::False, INVALID));
            assert!(ready.message.starts_with(begins) && ready.message.ends_with(ends), "{}", ready.message);
        }
    }

    fn reviewed(status: &AccessPolicyStatus) -> Option<(ConditionStatus, &str)> {
        conditions::find(&status.conditions, conditions::REVIEWED).map(|c| (c.status, c.message.as_str()))
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
        assert_eq!(reviewed(&status), Some((ConditionStatus::True, "no review of break-glass access is overdue")));
        assert_eq!(reviews(&mut status, &policy, &all, noon()), Some(later));
        let one = "1 overdue: bank/fix of alice since 2026-11-23T12:00:00Z";
        assert_eq!(reviewed(&status), Some((ConditionStatus::False, one)));
        assert_eq!(reviews(&mut status, &policy, &all, later), None);
        assert!(reviewed(&status).unwrap().1.starts_with("2 overdue: bank/fix"));
        assert_eq!(reviews(&mut status, &policy, &[], later), None);
        assert_eq!(reviewed(&status).unwrap().0, ConditionStatus::True);
    }

    #[test]
    fn a_policy_that_is_used_says_who_in_it_is_nobody() {
        let ready = |spec| {
            let status = readiness(&policy("p", spec), None, noon());
            conditions::find(&status.conditions, conditions::READY).map(|c| (c.status, c.message.clone())).unwrap()
        };
        assert_eq!(ready(json!({})), (ConditionStatus::True, "requests are decided by it".to_owned()));
        let (is, message) = ready(json!({ "requesters": [{ "kind": "Group", "name": "team-*" }] }));
        assert_eq!(is, ConditionStatus::True, "it is used as it was: {message}");
        assert!(message.contains("spec.requesters[0]: Group/team-* stands for nobody"), "{message}");
    }

    #[test]
    fn a_policy_without_break_glass_says_nothing_about_reviews_until_there_was_one() {
        let (plain, mut status) = (policy("p", json!({})), AccessPolicyStatus::default());
        assert_eq!(reviews(&mut status, &plain, &[], noon()), None);
        assert_eq!(reviewed(&status), None);
        // The policy had it once, and a review is still open.
        let request = broke_the_glass("shop", noon());
        reviews(&mut status, &plain, &[&request], noon());
        assert_eq!(reviewed(&status).unwrap().0, ConditionStatus::False);
        reviews(&mut status, &plain, &[], noon());
        assert_eq!(reviewed(&status).unwrap().0, ConditionStatus::True);
    }
}
