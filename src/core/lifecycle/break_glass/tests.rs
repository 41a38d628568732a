//! Stories of break-glass access: let in at once, reviewed afterwards or not.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::conditions::{self, ConditionStatus};
use crate::api::policy::AccessPolicy;
use crate::api::reason::Reason;
use crate::api::request::{AccessRequest, ReviewVerdict, State};
use crate::core::decision::shortfall::Shortfall;
use crate::core::guard::{Guard, NotInForce};
use crate::core::laws::fixtures::{
    deny, falls_short, group, message_of, namespaces, noon, policy, request, review, user,
};
use crate::core::laws::simulator::Simulator;
use crate::core::lifecycle::break_glass::Unreviewed;
use crate::core::lifecycle::happened::GlassReview;
use crate::core::model::history::join;

/// Takes two approvals, and none in an emergency; carol or somebody of `ops` reviews within 30 minutes.
fn emergency(spec: Value) -> AccessPolicy {
    let stages = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "leads" }], "required": 2 }]);
    let reviewers = json!([{ "kind": "User", "name": "carol" }, { "kind": "Group", "name": "ops" }]);
    let mut whole = json!({
        "approval": { "stages": stages }, "breakGlass": { "reviewers": reviewers, "reviewWithin": "30m" }
    });
    spec.as_object().unwrap().iter().for_each(|(key, value)| whole[key] = value.clone());
    policy("p", whole)
}

fn asked(spec: Value, policies: Vec<AccessPolicy>) -> Simulator {
    let mut simulator = Simulator::new(request(spec), policies, namespaces(), noon());
    settle(&mut simulator);
    simulator
}

fn let_in() -> Simulator {
    asked(json!({ "breakGlass": true }), vec![emergency(json!({}))])
}

fn settle(simulator: &mut Simulator) {
    simulator.settle();
    assert!(simulator.breaches.is_empty(), "{:#?}", simulator.breaches);
}

fn go_to(simulator: &mut Simulator, time: &str) {
    simulator.now = at(time);
    settle(simulator);
}

fn at(time: &str) -> Timestamp {
    format!("2026-11-23T{time}Z").parse().unwrap()
}

fn submit_review(simulator: &mut Simulator, who: &str, groups: &[&str], verdict: ReviewVerdict) {
    let mut reply = review(verdict, groups);
    reply.comment = Some("seen".to_owned());
    simulator.request.status.get_or_insert_default().reviews.insert(who.to_owned(), reply);
    simulator.version += 1;
    settle(simulator);
}

fn events(simulator: &Simulator) -> Vec<String> {
    simulator.status().history.iter().map(|entry| entry.event.as_str().to_owned()).collect()
}

fn reviewed(simulator: &Simulator) -> (ConditionStatus, String) {
    let status = simulator.status();
    let found = conditions::find(&status.conditions, conditions::REVIEWED).unwrap();
    (found.status, found.reason.clone())
}

#[test]
fn it_waits_for_nobody_and_says_so_aloud() {
    let simulator = let_in();
    assert_eq!((simulator.state(), simulator.ours()), (State::Active, 1));
    assert_eq!(events(&simulator), ["BreakGlass", "Granted"]);
    let by = at("12:30:00");
    let [reviewers, whom] = [vec![user("carol"), group("ops")], vec![user("carol"), group("ops")]];
    let (who, reason) = ("alice".to_owned(), "fix the shop".to_owned());
    let broken = GlassReview::Broken { who, reason, reviewers, by };
    let status = simulator.status();
    assert_eq!(status.history[0].message, broken.to_string());
    let review = status.break_glass.unwrap();
    assert_eq!((review.reviewers, review.review_by.0), (whom, by));
    assert_eq!(reviewed(&simulator), (ConditionStatus::False, "ReviewOpen".to_owned()));
    assert_eq!(simulator.plan().wake, Some(at("12:30:00")));
}

#[test]
fn without_the_word_it_waits_for_approvers_like_any_other() {
    let simulator = asked(json!({}), vec![emergency(json!({}))]);
    assert_eq!((simulator.state(), simulator.ours()), (State::Pending, 0));
}

/// Otherwise whoever asks without the word would be let in, and never reviewed.
#[test]
fn a_policy_without_stages_is_for_emergencies_only() {
    let only = emergency(json!({ "approval": {} }));
    let simulator = asked(json!({}), vec![only.clone()]);
    assert_eq!(simulator.state(), State::Denied);
    let only_then = falls_short("p", [Shortfall::BreakGlassOnly]);
    assert_eq!(message_of(simulator.status().message), join(&only_then));
    assert_eq!(asked(json!({ "breakGlass": true }), vec![only]).state(), State::Active);
}

/// Its stages are no friction in an emergency, so the name decides.
#[test]
fn of_two_policies_that_have_it_the_first_by_name_decides() {
    let mut staged = emergency(json!({}));
    staged.metadata.name = Some("a".to_owned());
    let only = emergency(json!({ "approval": {} }));
    let simulator = asked(json!({ "breakGlass": true }), vec![only, staged]);
    assert_eq!(simulator.status().policy.unwrap().name, "a");
}

#[test]
fn a_policy_must_have_it_and_a_denial_still_wins() {
    let plain = asked(json!({ "breakGlass": true }), vec![policy("p", json!({}))]);
    let none = join(&falls_short("p", [Shortfall::BreakGlass]));
    assert_eq!((plain.state(), message_of(plain.status().message)), (State::Denied, none));
    let denied = asked(json!({ "breakGlass": true }), vec![emergency(json!({})), deny("no", json!({}))]);
    assert_eq!((denied.state(), denied.binds), (State::Denied, 0));
    let long = asked(json!({ "breakGlass": true, "duration": "2h" }), vec![emergency(json!({}))]);
    assert_eq!(long.state(), State::Denied, "the maximum holds in an emergency too");
}

#[test]
fn nothing_is_granted_while_the_guard_is_missing() {
    let mut simulator =
        Simulator::new(request(json!({ "breakGlass": true })), vec![emergency(json!({}))], namespaces(), noon());
    simulator.guard = Guard::Missing(NotInForce::Untried);
    settle(&mut simulator);
    assert_eq!((simulator.state(), simulator.binds), (State::Pending, 0));
}

/// An emergency waits for nobody, but a reviewer who is there before it is granted is heard. Approvers of the
/// ordinary stages have no say in it.
#[test]
fn a_reviewer_can_say_no_before_it_is_granted() {
    for (who, groups, state) in [("carol", "none", State::Denied), ("bob", "leads", State::Active)] {
        let asked = request(json!({ "breakGlass": true }));
        let mut simulator = Simulator::new(asked, vec![emergency(json!({}))], namespaces(), noon());
        simulator.guard = Guard::Missing(NotInForce::Untried);
        submit_review(&mut simulator, who, &[groups], ReviewVerdict::Deny);
        simulator.guard = Guard::since(Timestamp::MIN);
        settle(&mut simulator);
        assert_eq!(simulator.state(), state, "{who}");
    }
}

#[test]
fn a_reviewer_closes_the_review_and_access_goes_on() {
    for (who, groups) in [("carol", &[][..]), ("dave", &["ops"])] {
        let mut simulator = let_in();
        submit_review(&mut simulator, who, groups, ReviewVerdict::Approve);
        assert_eq!(reviewed(&simulator), (ConditionStatus::True, "Justified".to_owned()));
        let status = simulator.status();
        let review = status.break_glass.unwrap();
        assert_eq!((review.closed_by.as_deref(), review.verdict), (Some(who), Some(ReviewVerdict::Approve)));
        assert_eq!((simulator.state(), simulator.ours()), (State::Active, 1));
        assert_eq!(status.history.last().unwrap().event, Reason::Justified);
        assert_eq!(simulator.plan().wake, Some(at("13:00:00")));
    }
}

#[test]
fn access_that_was_not_justified_ends() {
    let mut simulator = let_in();
    submit_review(&mut simulator, "carol", &[], ReviewVerdict::Deny);
    assert_eq!((simulator.state(), simulator.ours()), (State::Revoked, 0));
    let found = GlassReview::Found { by: "carol".to_owned(), justified: false, comment: Some("seen".to_owned()) };
    assert_eq!(message_of(simulator.status().message), found.to_string());
    let last = simulator.status().history.pop().unwrap();
    assert_eq!((last.event, last.by.as_deref()), (Reason::Revoked.into(), Some("carol")));
    assert_eq!(reviewed(&simulator), (ConditionStatus::True, "Unjustified".to_owned()));
}

#[test]
fn a_denial_goes_before_an_approval() {
    let mut simulator = let_in();
    simulator
        .request
        .status
        .get_or_insert_default()
        .reviews
        .insert("dave".to_owned(), review(ReviewVerdict::Deny, &["ops"]));
    submit_review(&mut simulator, "carol", &[], ReviewVerdict::Approve);
    assert_eq!(reviewed(&simulator).1, "Unjustified");
}

#[test]
fn who_is_not_a_reviewer_closes_nothing_and_that_is_on_record() {
    let mut simulator = let_in();
    let mut alice = review(ReviewVerdict::Approve, &["ops"]);
    alice.uid = Some("u-alice".to_owned());
    for (who, reply) in [
        ("alice", review(ReviewVerdict::Approve, &["ops"])),
        ("alice-by-another-name", alice),
        ("mallory", review(ReviewVerdict::Approve, &["leads"])),
        ("system:serviceaccount:ci:bot", review(ReviewVerdict::Approve, &["ops"])),
    ] {
        simulator.request.status.get_or_insert_default().reviews.insert(who.to_owned(), reply);
        simulator.version += 1;
        settle(&mut simulator);
        assert_eq!(reviewed(&simulator).1, "ReviewOpen", "{who}");
        assert_eq!(
            simulator.status().history.last().unwrap().event,
            crate::api::reason::Reason::ReviewIgnored,
            "{who}"
        );
        assert_eq!(simulator.status().history.last().unwrap().by.as_deref(), Some(who));
    }
}

#[test]
fn a_reviewer_who_ends_the_access_has_not_reviewed_it() {
    let mut simulator = let_in();
    submit_review(&mut simulator, "carol", &[], ReviewVerdict::Revoke);
    assert_eq!((simulator.state(), simulator.ours()), (State::Revoked, 0));
    assert_eq!(reviewed(&simulator).1, "ReviewOpen");
    submit_review(&mut simulator, "carol", &[], ReviewVerdict::Approve);
    assert_eq!((simulator.state(), reviewed(&simulator).1.as_str()), (State::Revoked, "Justified"));
}

#[test]
fn after_the_end_the_review_is_still_to_be_closed_and_changes_nothing_else() {
    let mut simulator = let_in();
    go_to(&mut simulator, "13:00:00");
    assert_eq!((simulator.state(), simulator.ours()), (State::Expired, 0));
    let before = simulator.status();
    submit_review(&mut simulator, "dave", &["ops"], ReviewVerdict::Deny);
    let after = simulator.status();
    assert_eq!((after.state, &after.message, &after.expires_at), (before.state, &before.message, &before.expires_at));
    assert_eq!(reviewed(&simulator).1, "Unjustified");
    submit_review(&mut simulator, "carol", &[], ReviewVerdict::Approve);
    assert_eq!(reviewed(&simulator).1, "Unjustified", "what is closed is closed");
}

#[test]
fn an_overdue_review_is_told_once_and_can_still_be_closed() {
    let mut simulator = let_in();
    go_to(&mut simulator, "12:29:59.999");
    assert_eq!(reviewed(&simulator).1, "ReviewOpen");
    for time in ["12:30:00", "12:40:00", "13:00:00", "20:00:00"] {
        go_to(&mut simulator, time);
        assert_eq!(reviewed(&simulator), (ConditionStatus::False, "ReviewOverdue".to_owned()));
    }
    assert_eq!(events(&simulator).iter().filter(|event| *event == "ReviewOverdue").count(), 1);
    submit_review(&mut simulator, "carol", &[], ReviewVerdict::Approve);
    assert_eq!(reviewed(&simulator), (ConditionStatus::True, "Justified".to_owned()));
}

/// When the policy is gone, those whom it named at the grant may still close the review.
#[test]
fn the_reviewers_are_those_of_the_policy_as_long_as_it_names_some() {
    let bob = json!([{ "kind": "User", "name": "bob" }]);
    let renamed = emergency(json!({ "breakGlass": { "reviewers": bob, "reviewWithin": "30m" } }));
    let plain = emergency(json!({ "breakGlass": null }));
    let mut anew = renamed.clone();
    anew.metadata.uid = Some("another".to_owned());
    for (policies, who, closes) in [
        (vec![renamed.clone()], "bob", true),
        (vec![renamed], "carol", false),
        (vec![], "carol", true),
        (vec![], "bob", false),
        (vec![plain], "carol", true),
        (vec![anew], "carol", true),
    ] {
        let mut simulator = let_in();
        simulator.policies = policies;
        settle(&mut simulator);
        submit_review(&mut simulator, who, &[], ReviewVerdict::Approve);
        assert_eq!(reviewed(&simulator).0 == ConditionStatus::True, closes, "{who}");
    }
}

#[test]
fn a_policy_that_loses_it_takes_the_access_away() {
    let mut simulator = let_in();
    simulator.policies = vec![emergency(json!({ "breakGlass": null }))];
    settle(&mut simulator);
    assert_eq!((simulator.state(), simulator.ours()), (State::Revoked, 0));
    assert_eq!(reviewed(&simulator).1, "ReviewOpen");
}

#[test]
fn while_a_review_is_overdue_that_person_gets_no_further_emergency() {
    let earlier = |requester: Value, closed: bool| {
        let mut earlier: AccessRequest = request(json!({ "breakGlass": true, "requester": requester }));
        earlier.metadata.name = Some("earlier".to_owned());
        let mut review = json!({ "reviewers": [], "reviewBy": noon().to_string() });
        if closed {
            review["closedAt"] = json!(noon().to_string());
        }
        earlier.status = Some(serde_json::from_value(json!({ "breakGlass": review })).unwrap());
        earlier
    };
    let alice = json!({ "username": "alice", "uid": "u-alice", "groups": ["dev"] });
    let renamed = json!({ "username": "alice-by-another-name", "uid": "u-alice" });
    let bob = json!({ "username": "bob", "uid": "u-bob" });
    let answer = |earlier: AccessRequest, now: Timestamp| {
        let mut simulator =
            Simulator::new(request(json!({ "breakGlass": true })), vec![emergency(json!({}))], namespaces(), now);
        simulator.unreviewed = vec![earlier];
        settle(&mut simulator);
        (simulator.state(), message_of(simulator.status().message))
    };
    for requester in [&alice, &renamed] {
        let unreviewed = Unreviewed { overdue: vec![("shop/earlier".to_owned(), noon())] };
        assert_eq!(answer(earlier(requester.clone(), false), noon()), (State::Denied, unreviewed.to_string()));
    }
    assert_eq!(answer(earlier(bob, false), noon()).0, State::Active, "another person's");
    assert_eq!(answer(earlier(alice.clone(), true), noon()).0, State::Active, "closed");
    assert_eq!(answer(earlier(alice, false), at("11:59:59")).0, State::Active, "not overdue yet");
}
