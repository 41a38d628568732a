use super::*;
use crate::api::policy::AccessPolicy;
use crate::api::request::{AccessRequest, FreezeAhead, ReviewVerdict};
use crate::api::subject::{RoleKind, RoleName};
use crate::core::decision::answer::{AllowedBy, HeldBy};
use crate::core::decision::freeze::{Denying, FreezeEdge, Frozen, Moment};
use crate::core::decision::shortfall::Shortfall;
use crate::core::guard::Guard;
use crate::core::laws::fixtures::{approve, denied_by, deny, fault, namespaces, noon, policy, request, review};
use crate::core::lifecycle::extension::{NotExtendable, WhyNot};
use crate::core::lifecycle::granted::NoLonger;
use crate::core::lifecycle::hindrance::Hindrance;
use crate::core::model::duration::BadDuration;
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

fn allowed_by(policy: &str) -> String {
    AllowedBy { policy: policy.to_owned(), approvers: Vec::new() }.to_string()
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
    let [asked, view] = ["edit", "view"].map(|name| RoleName { kind: RoleKind::ClusterRole, name: name.to_owned() });
    assert_eq!(explanation.policies[3].why, [Shortfall::Role { asked, listed: vec![view] }.to_string()]);
    let soon = fault("spec.duration.max", BadDuration::Form("soon".to_owned()));
    assert_eq!(explanation.policies[5].why, [soon.to_string()]);
    let decides = explanation.decides.unwrap();
    assert_eq!(decides.policy, "b-free");
    assert_eq!(decides.because, Because::FirstByName);
    assert_eq!(explanation.outcome, Outcome::Granted);
    assert!(explanation.summary.ends_with(&allowed_by("b-free")), "{}", explanation.summary);
    let grant = explanation.grant.unwrap();
    assert_eq!((grant.role.as_str(), grant.namespaces), ("ClusterRole/edit", vec!["shop".to_owned()]));
    assert_eq!(grant.until, Some(Time(noon() + SignedDuration::from_hours(1))));
}

#[test]
fn the_reason_for_the_choice_is_the_one_that_made_it() {
    let because =
        |spec: Value, policies: &[AccessPolicy]| explanation(&request(spec), policies).decides.unwrap().because;
    let (asks, free) = (policy("a-asks", chain()), policy("b-free", json!({})));
    assert_eq!(because(json!({}), std::slice::from_ref(&free)), Because::OnlyMatch);
    let both = [asks, free];
    assert_eq!(because(json!({}), &both), Because::LeastFriction);
    assert_eq!(because(json!({ "policy": "a-asks" }), &both), Because::Named);
}

#[test]
fn a_denial_says_who_denies_and_nothing_decides() {
    let explanation = explanation(&request(json!({})), &[policy("allow", json!({})), deny("no", json!({}))]);
    let reasons = denied_by(&["no"]).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!((explanation.outcome, &explanation.reasons), (Outcome::Denied, &reasons));
    assert!(explanation.summary.ends_with(&reasons[0]), "{}", explanation.summary);
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
    let [window] = ahead.policies[1].why.as_slice() else { panic!("{ahead:?}") };
    assert!(["Mon 12:30-14:00 UTC", "2026-11-23T12:30:00Z"].iter().all(|part| window.contains(part)), "{window}");
    let until = |explanation: &Explanation| explanation.grant.as_ref().and_then(|grant| grant.until.clone());
    assert_eq!((ahead.outcome, until(&ahead)), (Outcome::Granted, Some(Time("2026-11-23T12:30:00Z".parse().unwrap()))));
    let within = explanation(&request(json!({})), &all(denies("11:30", "14:00")));
    assert_eq!(verdicts(&within), [("allow", Verdict::Decides), ("freeze", Verdict::Freezes)]);
    let two = "2026-11-23T14:00:00Z".parse().unwrap();
    let frozen = HeldBy::Frozen(FreezeEdge { policy: "freeze".to_owned(), at: two }).to_string();
    assert!(within.summary.ends_with(&format!("{}; {frozen}", allowed_by("allow"))), "{}", within.summary);
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
    let under = |freeze: AccessPolicy| explanation(&runs, &all(freeze));
    let still = under(denies("13:00", "14:00"));
    assert_eq!((still.outcome, until(&still)), (Outcome::Granted, Some(Time("2026-11-23T12:45:00Z".parse().unwrap()))));
    let cut = under(denies("12:30", "14:00"));
    let opens_at = Time("2026-11-23T12:30:00Z".parse().unwrap());
    let ahead = Happened::FreezeAhead(FreezeAhead { policy: "freeze".to_owned(), opens_at });
    assert_eq!((cut.outcome, cut.summary), (Outcome::Granted, format!("{}; {ahead}", still.summary)));
    let over = under(denies("11:50", "14:00"));
    let window = Some(Frozen { what: Moment::Running, at: noon(), until: two });
    let denying = Denying { policy: "freeze".to_owned(), unevaluated: None, window };
    assert_eq!(over.outcome, Outcome::Over);
    assert!(over.summary.ends_with(&denying.to_string()), "{}", over.summary);
    let asks = [policy("allow", chain()), denies("11:30", "14:00")];
    let waits = explanation(&request(json!({})), &asks);
    assert_eq!(waits.outcome, Outcome::Waiting);
    assert!(waits.summary.ends_with(&frozen), "{}", waits.summary);
}

#[test]
fn stages_say_how_far_they_are_and_who_may_approve_now() {
    let asks = [policy("p", chain())];
    let opened = json!({ "name": "leads", "openedAt": "2026-11-23T11:30:00Z", "required": 1, "approved": 0 });
    let waiting = explanation(&with_status(request(json!({})), json!({ "stage": opened })), &asks);
    assert_eq!(waiting.outcome, Outcome::Waiting);
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
    let vain = [("alice", Eligibility::OwnRequest), ("mallory", Eligibility::NotAnApprover)];
    let review = review(ReviewVerdict::Approve, &[]);
    let vain = vain.map(|(who, eligibility)| Said { who, review: &review, eligibility }.to_string());
    assert_eq!(half.without_effect, vain);
}

#[test]
fn a_start_ahead_and_a_low_risk_are_told() {
    let spare = json!({ "automaticWhen": "true", "stages": chain()["approval"]["stages"] });
    let later = request(json!({ "startTime": "2026-11-23T13:00:00Z", "duration": "30m" }));
    let explanation = explanation(&later, &[policy("p", json!({ "approval": spare }))]);
    assert_eq!(explanation.outcome, Outcome::Granted);
    assert!(explanation.summary.ends_with(&allowed_by("p")), "{}", explanation.summary);
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
    assert_eq!(explanation.decides.unwrap().because, Because::RunsUnder("running".to_owned()));
    let alone = told_in(&more, &policies, None);
    let missing = NotExtendable { of: "running".to_owned(), why: WhyNot::NotThere };
    let reasons = vec![Hindrance::NotExtendable { why: missing, could: false }.to_string()];
    assert_eq!((alone.outcome, alone.reasons), (Outcome::Denied, reasons));
    // The running one is explained by what holds for it now.
    let runs = told_in(&running, &policies, None);
    let end = running.status.as_ref().unwrap().expires_at.clone();
    assert_eq!((runs.outcome, runs.grant.unwrap().until), (Outcome::Granted, end));
    let gone = told_in(&running, &[], None);
    assert_eq!(gone.outcome, Outcome::Over);
    assert!(gone.summary.ends_with(&NoLonger::PolicyGone("p".to_owned()).to_string()), "{}", gone.summary);
}

#[test]
fn what_is_over_stays_as_it_was_said() {
    let over = with_status(request(json!({})), json!({ "state": "Denied", "message": "because" }));
    let explanation = explanation(&over, &[policy("p", json!({}))]);
    assert_eq!((explanation.outcome, explanation.reasons), (Outcome::Denied, vec!["because".to_owned()]));
}
