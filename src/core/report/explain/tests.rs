use super::*;
use crate::api::policy::AccessPolicy;
use crate::api::request::{AccessRequest, ReviewVerdict};
use crate::core::guard::Guard;
use crate::core::laws::fixtures::{approve, deny, namespaces, noon, policy, request, review};
use crate::core::policies::PolicySet;
use k8s_openapi::jiff::SignedDuration;
use serde_json::{Value, json};

fn told_in(request: &AccessRequest, policies: &[AccessPolicy], running: Option<&AccessRequest>) -> Explanation {
    let (set, namespaces) = (PolicySet::new(policies), namespaces());
    let guard = Guard::since(Timestamp::MIN);
    let snapshot = Snapshot { extended: running, ..Snapshot::bare(request, &set, &namespaces, &guard) };
    explain(&snapshot, noon())
}

fn explanation(request: &AccessRequest, policies: &[AccessPolicy]) -> Explanation {
    told_in(request, policies, None)
}

fn chain() -> Value {
    let group = |name: &str| json!([{ "kind": "Group", "name": name }]);
    json!({ "approval": { "deadline": "24h", "stages": [
        { "name": "leads", "approvers": group("leads"), "escalateAfter": "1h",
          "escalateTo": [{ "kind": "User", "name": "head" }] },
        { "name": "on-call", "approvers": group("sre") } ] } })
}

fn with_status(mut request: AccessRequest, status: Value) -> AccessRequest {
    request.status = Some(serde_json::from_value(status).unwrap());
    request
}

fn verdicts(explanation: &Explanation) -> Vec<(&str, Verdict)> {
    explanation.policies.iter().map(|p| (p.name.as_str(), p.verdict)).collect()
}

#[test]
fn every_policy_is_told_and_why_one_decides() {
    let policies = [
        policy("a-asks", chain()),
        policy("b-free", json!({})),
        policy("c-free", json!({})),
        policy("d-view", json!({ "roles": [{ "name": "view" }] })),
        deny("e-bank", json!({ "scope": { "namespaces": ["bank"] } })),
        policy("f-odd", json!({ "duration": { "max": "soon" } })),
    ];
    let explanation = explanation(&request(json!({})), &policies);
    use Verdict::{Broken, Decides, DoesNotTouch, FallsShort, Matches};
    let all = [Matches, Decides, Matches, FallsShort, DoesNotTouch, Broken];
    let names = ["a-asks", "b-free", "c-free", "d-view", "e-bank", "f-odd"];
    assert_eq!(verdicts(&explanation), names.into_iter().zip(all).collect::<Vec<_>>());
    assert_eq!(explanation.policies[3].why, ["ClusterRole/edit is not among its roles (ClusterRole/view)"]);
    assert!(explanation.policies[5].why[0].starts_with("spec.duration.max:"), "{explanation:?}");
    let decides = explanation.decides.unwrap();
    assert_eq!(decides.policy, "b-free");
    assert_eq!(decides.because, "it comes first by name of those that ask least of people");
    assert_eq!(explanation.summary, "granted at once: policy b-free allows it");
    let grant = explanation.grant.unwrap();
    assert_eq!((grant.role.as_str(), grant.namespaces), ("ClusterRole/edit", vec!["shop".to_owned()]));
    assert_eq!(grant.until, Some(Time(noon() + SignedDuration::from_hours(1))));
}

#[test]
fn the_reason_for_the_choice_is_the_one_that_made_it() {
    let because =
        |spec: Value, policies: &[AccessPolicy]| explanation(&request(spec), policies).decides.unwrap().because;
    let (asks, free) = (policy("a-asks", chain()), policy("b-free", json!({})));
    assert_eq!(because(json!({}), std::slice::from_ref(&free)), "no other policy matches");
    let both = [asks, free];
    assert_eq!(because(json!({}), &both), "of those that match it asks least of people");
    assert_eq!(because(json!({ "policy": "a-asks" }), &both), "the request names it");
}

#[test]
fn a_denial_says_who_denies_and_nothing_decides() {
    let explanation = explanation(&request(json!({})), &[policy("allow", json!({})), deny("no", json!({}))]);
    assert_eq!(
        (explanation.outcome, explanation.summary.as_str()),
        (Outcome::Denied, "denied because policy no denies it")
    );
    assert_eq!(verdicts(&explanation), [("allow", Verdict::Matches), ("no", Verdict::Denies)]);
    assert_eq!((explanation.decides, explanation.grant), (None, None));
}

#[test]
fn a_denial_in_windows_says_when_and_what_waits_for_it() {
    let denies = |start: &str, end: &str| {
        let windows = json!([{ "days": ["Mon"], "start": start, "end": end }]);
        deny("freeze", json!({ "schedule": { "timeZone": "UTC", "windows": windows } }))
    };
    let all = |freeze: AccessPolicy| [policy("allow", json!({})), freeze];
    let ahead = explanation(&request(json!({})), &all(denies("12:30", "14:00")));
    assert_eq!(verdicts(&ahead), [("allow", Verdict::Decides), ("freeze", Verdict::Freezes)]);
    assert_eq!(ahead.policies[1].why, ["it denies Mon 12:30-14:00 UTC: next from 2026-11-23T12:30:00Z on"]);
    let until = |explanation: &Explanation| explanation.grant.as_ref().and_then(|grant| grant.until.clone());
    assert_eq!((ahead.outcome, until(&ahead)), (Outcome::Granted, Some(Time("2026-11-23T12:30:00Z".parse().unwrap()))));
    let within = explanation(&request(json!({})), &all(denies("11:30", "14:00")));
    assert_eq!(verdicts(&within), [("allow", Verdict::Decides), ("freeze", Verdict::Freezes)]);
    assert_eq!(
        within.summary,
        "waits: policy allow allows it; policy freeze denies it until 2026-11-23T14:00:00Z: access waits for that"
    );
    assert_eq!(within.outcome, Outcome::Waiting);
    assert_eq!(until(&within), Some(Time("2026-11-23T15:00:00Z".parse().unwrap())));
    let start = request(json!({ "startTime": "2026-11-23T13:00:00Z" }));
    let denied = explanation(&start, &all(denies("11:30", "14:00")));
    assert_eq!((denied.outcome, denied.policies[1].verdict), (Outcome::Denied, Verdict::Denies));
    let granted = json!({
        "state": "Active", "grantedAt": "2026-11-23T11:45:00Z", "expiresAt": "2026-11-23T12:45:00Z",
        "policy": { "name": "allow", "uid": "p-allow", "generation": 1 },
        "bindings": [{ "kind": "RoleBinding", "namespace": "shop", "name": "daypass-r-1" }]
    });
    let runs = with_status(request(json!({})), granted);
    let summary_under = |freeze: AccessPolicy| explanation(&runs, &all(freeze)).summary;
    let still = "granted, and still allowed, until 2026-11-23T12:45:00Z";
    assert_eq!(summary_under(denies("13:00", "14:00")), still);
    let cut = "policy freeze denies it from 2026-11-23T12:30:00Z on: access ends then";
    assert_eq!(summary_under(denies("12:30", "14:00")), format!("{still}; {cut}"));
    let over = "over (Revoked): policy freeze denies it until 2026-11-23T14:00:00Z";
    assert_eq!(summary_under(denies("11:50", "14:00")), over);
    let asks = [policy("allow", chain()), denies("11:30", "14:00")];
    let waits = explanation(&request(json!({})), &asks);
    assert!(waits.summary.ends_with("until 2026-11-23T14:00:00Z: access waits for that"), "{}", waits.summary);
}

#[test]
fn stages_say_how_far_they_are_and_who_may_approve_now() {
    let asks = [policy("p", chain())];
    let opened = json!({ "name": "leads", "openedAt": "2026-11-23T11:30:00Z", "required": 1, "approved": 0 });
    let waiting = explanation(&with_status(request(json!({})), json!({ "stage": opened })), &asks);
    assert_eq!(waiting.summary, "waits for one more approval in stage leads of policy p, until 2026-11-24T12:00:00Z");
    let states =
        |explanation: &Explanation| explanation.stages.iter().map(|s| (s.state, s.approved)).collect::<Vec<_>>();
    assert_eq!(states(&waiting), [(StageState::Open, 0), (StageState::Later, 0)]);
    assert_eq!(waiting.stages[0].escalates_at, Some(Time("2026-11-23T12:30:00Z".parse().unwrap())));
    assert_eq!(waiting.deadline, Some(Time(noon() + SignedDuration::from_hours(24))));
    assert_eq!(waiting.grant.unwrap().until, None);

    let mut half = with_status(request(json!({})), json!({ "escalated": ["leads"] }));
    let lead = ("bob".to_owned(), review(ReviewVerdict::Approve, &["leads"]));
    half.status.as_mut().unwrap().reviews = [lead, approve("alice"), approve("mallory")].into();
    let half = explanation(&half, &asks);
    assert_eq!(states(&half), [(StageState::Full, 1), (StageState::Open, 0)]);
    let who: Vec<_> = half.stages[0].approvers.iter().map(|a| (a.subject.as_str(), a.escalated)).collect();
    assert_eq!(who, [("Group/leads", false), ("User/head", true)]);
    assert_eq!(half.without_effect.len(), 2);
    assert!(half.without_effect[0].contains("nobody reviews their own request"), "{:?}", half.without_effect);
    assert!(half.without_effect[1].contains("no stage of the policy names this person"), "{:?}", half.without_effect);
}

#[test]
fn a_start_ahead_and_a_low_risk_are_told() {
    let spare = json!({ "automaticWhen": "true", "stages": chain()["approval"]["stages"] });
    let later = request(json!({ "startTime": "2026-11-23T13:00:00Z", "duration": "30m" }));
    let explanation = explanation(&later, &[policy("p", json!({ "approval": spare }))]);
    assert_eq!(explanation.summary, "scheduled for 2026-11-23T13:00:00Z: policy p allows it");
    assert!(explanation.stages.iter().all(|s| s.state == StageState::Spared) && explanation.stages.len() == 2);
    assert_eq!(explanation.grant.unwrap().until, Some(Time("2026-11-23T13:30:00Z".parse().unwrap())));
}

#[test]
fn an_emergency_says_who_must_review_it_and_by_when() {
    let terms = json!({ "reviewers": [{ "kind": "User", "name": "bob" }], "reviewWithin": "2h" });
    let explanation =
        explanation(&request(json!({ "breakGlass": true })), &[policy("p", json!({ "breakGlass": terms }))]);
    let by = Time(noon() + SignedDuration::from_hours(2));
    assert_eq!(explanation.review, Some(ReviewAfterwards { reviewers: vec!["User/bob".to_owned()], by }));
}

#[test]
fn an_extension_says_what_it_moves() {
    let status = json!({
        "state": "Active", "policy": { "name": "p", "uid": "p-p", "generation": 1 },
        "grantedAt": "2026-11-23T11:30:00Z", "expiresAt": "2026-11-23T12:30:00Z",
        "bindings": [{ "kind": "RoleBinding", "namespace": "shop", "name": "daypass-r-0" }]
    });
    let mut running = with_status(request(json!({})), status);
    running.metadata.name = Some("running".to_owned());
    running.metadata.uid = Some("r-0".to_owned());
    let more = request(json!({ "extends": "running", "duration": "15m" }));
    let policies = [policy("p", json!({ "extension": { "max": "1h", "count": 1 } }))];
    let explanation = told_in(&more, &policies, Some(&running));
    let moves = explanation.extension.unwrap();
    assert_eq!((moves.of.as_str(), moves.to), ("running", Time("2026-11-23T12:45:00Z".parse().unwrap())));
    assert_eq!(explanation.decides.unwrap().because, "running runs under it");
    let alone = told_in(&more, &policies, None);
    assert_eq!(alone.summary, "denied because spec.extends: there is no request running in this namespace");
    // The running one is explained by what holds for it now.
    let runs = told_in(&running, &policies, None);
    assert_eq!(
        (runs.outcome, runs.summary.as_str()),
        (Outcome::Granted, "granted, and still allowed, until 2026-11-23T12:30:00Z")
    );
    assert_eq!(told_in(&running, &[], None).summary, "over (Revoked): policy p is gone");
}

#[test]
fn what_is_over_stays_as_it_was_said() {
    let over = with_status(request(json!({})), json!({ "state": "Denied", "message": "policy no denies it" }));
    let explanation = explanation(&over, &[policy("p", json!({}))]);
    assert_eq!(
        (explanation.outcome, explanation.summary.as_str()),
        (Outcome::Denied, "denied because policy no denies it")
    );
}
