//! Policies that are not in use, requests that hang, bindings that nobody stands behind.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::or_ok;
use crate::api::conditions::{
    APPROVED, Condition, ConditionStatus, GRANTED, READY, REVIEWED, ROLES_USABLE, SCHEDULE_IN_FORCE, find, is_true,
};
use crate::api::keys;
use crate::api::policy::AccessPolicy;
use crate::api::request::{AccessRequest, BindingKind, State};
use crate::cli::plugin::doctor::facts::{HealthFacts, Looked, RequestStanding, RequestsSeen};
use crate::cli::plugin::doctor::finding::{CheckFinding, HealthCheck};
use crate::cli::plugin::doctor::marked::MarkedText;
use crate::cli::plugin::requests::Where;
use crate::controller::observe::DecodedPolicy;
use crate::core::lifecycle::expiry::has_come;
use crate::core::lifecycle::reap::{Owner, verdict};
use crate::core::model::instants::later;
use crate::core::rbac::binding::Observed;
use crate::core::rbac::ownership::possible_request_uids;
use crate::core::report::explain::Outcome;

/// How long the controller may take for what takes it milliseconds before it counts as hanging.
pub const GRACE: SignedDuration = SignedDuration::from_secs(30);
const SEE_CONTROLLER: &str =
    "see what the checks leader, readiness and controller-rights say: the controller should have acted by now";

fn metadata_age(metadata: &ObjectMeta, now: Timestamp) -> SignedDuration {
    metadata.creation_timestamp.as_ref().map_or(SignedDuration::ZERO, |made| now.duration_since(made.0))
}

/// Every policy that is not in use as it is written.
pub fn policies(policies: &Looked<Vec<DecodedPolicy>>, now: Timestamp) -> Vec<CheckFinding> {
    let check = HealthCheck::Policy;
    let policies = match policies {
        Ok(policies) => policies,
        Err(unread) => return vec![check.unknown(unread)],
    };
    if policies.is_empty() {
        let note = check.note("there is no policy, so nothing can be granted");
        return vec![note.fix("write one: examples/README.md has some to begin with")];
    }
    let findings = policies.iter().flat_map(|policy| match &policy.0 {
        Ok(policy) => one_policy(policy, now),
        Err(invalid) => {
            let name = invalid.metadata.name.clone().unwrap_or_default();
            let error = check.error(MarkedText::of("cannot be read: ").said(&invalid.error));
            vec![error.of(MarkedText::default().object(name)).fix("apply it again as the CRD of this version has it")]
        }
    });
    or_ok(findings.collect(), || check.ok(MarkedText::of("all are ready: ").value(policies.len())))
}

fn one_policy(policy: &AccessPolicy, now: Timestamp) -> Vec<CheckFinding> {
    let check = HealthCheck::Policy;
    let object = MarkedText::default().object(policy.name_any());
    let status = policy.status.clone().unwrap_or_default();
    if status.observed_generation != policy.metadata.generation {
        let young = metadata_age(&policy.metadata, now) < GRACE;
        let text = "the controller has not looked at it as it is now";
        let finding = if young { check.note(text) } else { check.warning(text).fix(SEE_CONTROLLER) };
        return vec![finding.of(object)];
    }
    let holds_not = |type_: &str| find(&status.conditions, type_).filter(|c| c.status != ConditionStatus::True);
    let told = |condition: &Condition, what: &'static str| {
        MarkedText::of(what).value(&condition.reason).words("): ").said(&condition.message)
    };
    let ready = match find(&status.conditions, READY) {
        Some(ready) if ready.status != ConditionStatus::True => {
            let fix = MarkedText::of("the message names the field and the rule; kubectl daypass policy lint --cluster");
            let fix = fix.flags().words(" has all of them");
            Some(check.error(told(ready, "is not ready (")).fix(fix))
        }
        Some(_) => None,
        None => Some(check.error("has no condition Ready").fix(SEE_CONTROLLER)),
    };
    let roles = holds_not(ROLES_USABLE).map(|condition| {
        let fix = "add the role to bindableClusterRoles or bindableRoles of the chart, or take it out of the policy";
        check.warning(told(condition, "lists a role that cannot be granted (")).fix(fix)
    });
    let reviewed = holds_not(REVIEWED).map(|condition| {
        let fix = MarkedText::of("have a reviewer answer: kubectl daypass pending").flags();
        let fix = fix.words(" shows them what waits");
        check.warning(told(condition, "a review of emergency access is overdue (")).fix(fix)
    });
    let schedule = holds_not(SCHEDULE_IN_FORCE).map(|condition| {
        let fix = "change its spec once, and its schedule counts";
        check.warning(told(condition, "denies always, whatever its schedule says (")).fix(fix)
    });
    [ready, roles, reviewed, schedule].into_iter().flatten().map(|finding| finding.of(object.clone())).collect()
}

/// Every request about which the controller should have done something by now.
pub fn requests(requests: &Looked<RequestsSeen>, now: Timestamp) -> Vec<CheckFinding> {
    let check = HealthCheck::Request;
    let seen = match requests {
        Ok(seen) => seen,
        Err(unread) => return vec![check.unknown(unread)],
    };
    let hanging = seen.requests.iter().filter_map(|standing| Some((standing, hangs(standing, now)?)));
    let hanging = hanging.map(|(standing, finding)| finding.of(place(&standing.request)));
    let undecodable = seen.undecodable.iter().map(|(namespace, name)| {
        check
            .error("cannot be read as the CRD of this version has it, so nobody decides about it")
            .of(MarkedText::default().namespace(namespace).words("/").object(name))
            .fix(
                MarkedText::of("look at it: kubectl get accessrequests -o yaml -n ")
                    .namespace(namespace)
                    .flags()
                    .words("; then have somebody with purge delete it"),
            )
    });
    let mut findings = or_ok(hanging.chain(undecodable).collect(), || {
        let text = MarkedText::of("none hangs");
        let text = match &seen.place {
            Where::Everywhere => text.words(": "),
            Where::Namespace(name) => text.words(" in namespace ").namespace(name).words(": "),
        };
        check.ok(text.value(seen.requests.len()))
    });
    findings.extend(seen.elsewhere.as_ref().map(|unread| check.unknown(unread)));
    findings
}

fn place(request: &AccessRequest) -> MarkedText {
    let namespace = request.namespace().unwrap_or_default();
    MarkedText::default().namespace(namespace).words("/").object(request.name_any())
}

/// Why a request hangs, if it does.
fn hangs(standing: &RequestStanding, now: Timestamp) -> Option<CheckFinding> {
    let RequestStanding { request, outcome } = standing;
    let error = |text: MarkedText| Some(HealthCheck::Request.error(text).fix(SEE_CONTROLLER));
    let is_late = |at: Timestamp| has_come(later(at, GRACE), now);
    let Some(status) = request.status.as_ref().filter(|status| !status.conditions.is_empty()) else {
        let old = request.creation_timestamp().is_some_and(|made| is_late(made.0));
        return if old { error("no controller has looked at it".into()) } else { None };
    };
    if status.state.is_final() {
        return None;
    }
    if let Some(end) = status.expires_at.as_ref().filter(|end| is_late(end.0)) {
        return error(
            MarkedText::of("is ").words(status.state.as_str()).words(", and should have ended at ").value(end.0),
        );
    }
    let approved = find(&status.conditions, APPROVED);
    let since = approved.filter(|c| c.status == ConditionStatus::True).map(|c| c.last_transition_time.0);
    let start = request.spec.start_time.as_ref().map(|start| start.0);
    match (status.state, since) {
        (State::Pending, _) if *outcome == Some(Outcome::Lapsed) => {
            error("waits for people, and its deadline is over".into())
        }
        (State::Pending | State::Scheduled, Some(since)) if !is_true(&status.conditions, GRANTED) => {
            let due = start.map_or(since, |start| start.max(since));
            is_late(due).then(|| {
                let text = MarkedText::of("was approved, and should have been bound at ").value(due);
                HealthCheck::Request.error(text).fix(SEE_CONTROLLER)
            })
        }
        _ => None,
    }
}

/// Every binding with Daypass's label that no live request stands behind.
pub fn bindings(facts: &HealthFacts) -> Vec<CheckFinding> {
    let check = HealthCheck::Binding;
    let bindings = match &facts.bindings {
        Ok(bindings) => bindings,
        Err(unread) => return vec![check.unknown(unread)],
    };
    let requests = match &facts.requests {
        Ok(requests) => requests,
        Err(unread) => return vec![check.unknown(unread)],
    };
    let now = facts.clock.now;
    let findings = bindings.iter().filter_map(|binding| Some(one_binding(binding, requests, now)?.of(name(binding))));
    or_ok(findings.collect(), || check.ok(MarkedText::of("a live request stands behind each: ").value(bindings.len())))
}

fn name(binding: &Observed) -> MarkedText {
    let text = MarkedText::default();
    let text = match (&binding.kind, &binding.metadata.namespace) {
        (BindingKind::RoleBinding, Some(namespace)) => text.words("RoleBinding ").namespace(namespace).words("/"),
        _ => text.words("ClusterRoleBinding "),
    };
    text.object(binding.metadata.name.clone().unwrap_or_default())
}

fn one_binding(binding: &Observed, requests: &RequestsSeen, now: Timestamp) -> Option<CheckFinding> {
    let check = HealthCheck::Binding;
    if binding.request_uid().is_none() {
        let text = "has Daypass's label and names no request, so Daypass leaves it alone";
        return Some(check.warning(text).fix("if it is not Daypass's, delete it and make it anew without the label"));
    }
    if metadata_age(&binding.metadata, now) < GRACE {
        return None;
    }
    let owner = match (owner(binding, requests), &requests.elsewhere) {
        (Some(request), _) => Owner::Found(request),
        (None, Some(_)) => Owner::Unreadable,
        (None, None) => Owner::Gone,
    };
    let why = verdict(binding, owner, now)?;
    let text = MarkedText::of("gives access that it should not: ").value(why);
    Some(check.error(text).fix("delete it, which ends the access; the controller should have: see the check leader"))
}

/// The request that a binding was made for: by UID, or where the binding says that it is.
fn owner<'a>(binding: &Observed, requests: &'a RequestsSeen) -> Option<&'a AccessRequest> {
    let all = || requests.requests.iter().map(|standing| &standing.request);
    let metadata = &binding.metadata;
    let by_uid = || possible_request_uids(metadata).find_map(|uid| all().find(|r| r.uid().as_deref() == Some(uid)));
    let label = |key| metadata.labels.as_ref().and_then(|labels| labels.get(key));
    let name = metadata.annotations.as_ref().and_then(|annotations| annotations.get(keys::REQUEST_NAME));
    by_uid().or_else(|| {
        let (name, namespace) = (name?, label(keys::REQUEST_NAMESPACE)?);
        all().find(|r| r.name_any() == *name && r.namespace().as_ref() == Some(namespace))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::plugin::doctor::finding::FindingLevel::{self, Error, Note, Ok as Good, Warning};
    use crate::core::laws::fixtures::{noon, policy, request};
    use serde_json::{Value, json};

    fn at(seconds: i64) -> Timestamp {
        noon() + SignedDuration::from_secs(seconds)
    }

    fn standing(spec: Value, status: Value, outcome: Option<Outcome>) -> RequestStanding {
        let mut request = json!(request(spec));
        request["metadata"]["creationTimestamp"] = json!(noon().to_string());
        request["status"] = status;
        RequestStanding { request: serde_json::from_value(request).unwrap(), outcome }
    }

    fn condition(type_: &str, status: &str) -> Value {
        json!({ "type": type_, "status": status, "reason": "Because", "message": "m", "lastTransitionTime": noon().to_string() })
    }

    #[test]
    fn a_request_hangs_when_what_is_due_was_not_done_for_a_while() {
        let waits = || json!({ "state": "Pending", "conditions": [condition(APPROVED, "Unknown")] });
        let agreed =
            || json!({ "state": "Pending", "conditions": [condition(APPROVED, "True"), condition(GRANTED, "False")] });
        let runs = |state: &str| {
            json!({ "state": state, "conditions": [condition(APPROVED, "True"), condition(GRANTED, "True")],
                "grantedAt": noon().to_string(), "expiresAt": at(60).to_string() })
        };
        let lapsed = Some(Outcome::Lapsed);
        for (spec, status, outcome, now, hangs_then) in [
            (json!({}), json!(null), None, 29, false),
            (json!({}), json!(null), None, 30, true),
            (json!({}), waits(), Some(Outcome::Waiting), 3600, false),
            (json!({}), waits(), lapsed, 3600, true),
            (json!({}), agreed(), None, 29, false),
            (json!({}), agreed(), None, 30, true),
            (json!({ "startTime": at(100).to_string() }), agreed(), None, 129, false),
            (json!({ "startTime": at(100).to_string() }), agreed(), None, 130, true),
            (json!({}), runs("Active"), None, 89, false),
            (json!({}), runs("Active"), None, 90, true),
            (json!({}), runs("Expired"), None, 90, false),
        ] {
            let standing = standing(spec, status, outcome);
            let found = hangs(&standing, at(now)).map(|finding| finding.level);
            assert_eq!(found, hangs_then.then_some(Error), "{standing:?} at {now}");
        }
    }

    fn judged(conditions: Vec<Value>, observed: i64, now: i64) -> Vec<FindingLevel> {
        let mut policy = json!(policy("p", json!({})));
        policy["metadata"]["generation"] = json!(2);
        policy["metadata"]["creationTimestamp"] = json!(noon().to_string());
        policy["status"] = json!({ "conditions": conditions, "observedGeneration": observed });
        let policies = vec![serde_json::from_value::<DecodedPolicy>(policy).unwrap()];
        super::policies(&Ok(policies), at(now)).into_iter().map(|finding| finding.level).collect()
    }

    #[test]
    fn a_policy_is_well_when_it_is_in_use_as_it_is_written() {
        let ready = || condition(READY, "True");
        assert_eq!(judged(vec![ready()], 2, 0), [Good]);
        assert_eq!(judged(vec![condition(READY, "False")], 2, 0), [Error]);
        assert_eq!(judged(vec![ready(), condition(ROLES_USABLE, "False")], 2, 0), [Warning]);
        assert_eq!(
            judged(vec![ready(), condition(REVIEWED, "False"), condition(SCHEDULE_IN_FORCE, "False")], 2, 0),
            [Warning, Warning]
        );
        assert_eq!((judged(vec![ready()], 1, 5), judged(vec![ready()], 1, 60)), (vec![Note], vec![Warning]));
        assert_eq!(judged(vec![], 2, 60), [Error]);
        assert_eq!(policies(&Ok(vec![]), noon())[0].level, Note);
    }
}
