//! Requests that somebody may have written to in a gap, from where they stand to where that leaves them.

use k8s_openapi::jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::api::policy::AccessPolicy;
use crate::api::request::{ReviewVerdict, State};
use crate::core::laws::fixtures::{message_of, namespaces, noon, policy, request, review};
use crate::core::laws::simulator::Simulator;

fn asking_bob() -> AccessPolicy {
    let stage = json!({ "name": "leads", "approvers": [{ "kind": "User", "name": "bob" }] });
    policy("ask-bob", json!({ "approval": { "deadline": "2h", "stages": [stage] } }))
}

fn simulator(spec: serde_json::Value, policy: AccessPolicy) -> Simulator {
    let mut simulator = Simulator::new(request(spec), vec![policy], namespaces(), noon());
    simulator.settle();
    simulator
}

fn write(simulator: &mut Simulator, change: impl FnOnce(&mut AccessRequestStatus)) {
    change(simulator.request.status.get_or_insert_default());
    simulator.version += 1;
}

/// One pass in the light of the doubt, and those after it.
fn doubt(simulator: &mut Simulator) {
    simulator.doubted = true;
    simulator.step(usize::MAX);
    simulator.doubted = false;
    simulator.settle();
}

#[test]
fn approvals_are_taken_away_and_may_be_given_again() {
    let mut simulator = simulator(json!({}), asking_bob());
    let approve = |simulator: &mut Simulator| {
        write(simulator, |status| {
            status.reviews.insert("bob".to_owned(), review(ReviewVerdict::Approve, &[]));
        });
    };
    approve(&mut simulator);
    doubt(&mut simulator);
    assert_eq!(simulator.state(), State::Pending);
    assert!(simulator.status().reviews.is_empty());
    let mark = simulator.status().history.into_iter().find(|entry| entry.event == Reason::WrittenInGap).unwrap();
    assert_eq!(mark.message, Happened::WrittenInGap { reviewers: vec!["bob".to_owned()] }.to_string());
    approve(&mut simulator);
    simulator.settle();
    assert_eq!(simulator.state(), State::Active);
    assert!(
        !simulator.status().history.iter().any(|entry| entry.event == Reason::ReviewWithdrawn),
        "bob took nothing back"
    );
}

#[test]
fn an_end_that_was_written_before_access_began_is_not_believed() {
    let begin = noon() + SignedDuration::from_mins(5);
    let mut simulator =
        simulator(json!({ "startTime": begin.to_string(), "duration": "1h" }), policy("base", json!({})));
    assert_eq!(simulator.state(), State::Scheduled);
    let end = simulator.status().expires_at;
    write(&mut simulator, |status| status.expires_at.as_mut().unwrap().0 += SignedDuration::from_hours(100));
    doubt(&mut simulator);
    assert_eq!((simulator.state(), simulator.status().expires_at), (State::Scheduled, end));
}

#[test]
fn what_is_granted_ends() {
    let mut simulator = simulator(json!({}), policy("base", json!({})));
    assert_eq!((simulator.state(), simulator.ours()), (State::Active, 1));
    doubt(&mut simulator);
    assert_eq!((simulator.state(), simulator.ours()), (State::Revoked, 0));
    assert_eq!(message_of(simulator.status().message), Happened::NotBelieved.to_string());
    assert!(simulator.breaches.is_empty(), "{:#?}", simulator.breaches);
}

#[test]
fn a_review_of_break_glass_access_may_be_anybodys_too() {
    let terms = json!({ "breakGlass": { "reviewers": [{ "kind": "User", "name": "bob" }], "reviewWithin": "24h" } });
    let mut simulator = simulator(json!({ "breakGlass": true }), policy("glass", terms));
    write(&mut simulator, |status| {
        status.reviews.insert("alice".to_owned(), review(ReviewVerdict::Revoke, &[]));
    });
    simulator.settle();
    assert_eq!(simulator.state(), State::Revoked);
    write(&mut simulator, |status| {
        status.reviews.insert("bob".to_owned(), review(ReviewVerdict::Approve, &[]));
    });
    doubt(&mut simulator);
    let review = simulator.status().break_glass.unwrap();
    assert!(review.is_open() && simulator.status().reviews.is_empty(), "{review:?}");
}

#[test]
fn the_history_before_the_mark_is_kept_and_not_believed() {
    let mut simulator = simulator(json!({}), asking_bob());
    let before = simulator.status().history.len();
    doubt(&mut simulator);
    let history = simulator.status().history;
    assert!(before > 0 && history.len() > before);
    assert_eq!(believed(&history).len(), history.len() - before - 1);
    assert_eq!(believed(&history[..before]).len(), before);
}
