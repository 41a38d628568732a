//! Requests that somebody may have written to in a gap, from where they stand to where that leaves them.

use k8s_openapi::jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::api::policy::AccessPolicy;
use crate::api::request::{ReviewVerdict, State};
use crate::core::laws::fixtures::{namespaces, noon, policy, request, review, said};
use crate::core::laws::simulator::World;

fn asking_bob() -> AccessPolicy {
    let stage = json!({ "name": "leads", "approvers": [{ "kind": "User", "name": "bob" }] });
    policy("ask-bob", json!({ "approval": { "deadline": "2h", "stages": [stage] } }))
}

fn world(spec: serde_json::Value, policy: AccessPolicy) -> World {
    let mut world = World::new(request(spec), vec![policy], namespaces(), noon());
    world.settle();
    world
}

fn write(world: &mut World, change: impl FnOnce(&mut AccessRequestStatus)) {
    change(world.request.status.get_or_insert_default());
    world.version += 1;
}

/// One pass in the light of the doubt, and those after it.
fn doubt(world: &mut World) {
    world.doubted = true;
    world.step(usize::MAX);
    world.doubted = false;
    world.settle();
}

#[test]
fn approvals_are_taken_away_and_may_be_given_again() {
    let mut world = world(json!({}), asking_bob());
    let approve = |world: &mut World| {
        write(world, |status| {
            status.reviews.insert("bob".to_owned(), review(ReviewVerdict::Approve, &[]));
        });
    };
    approve(&mut world);
    doubt(&mut world);
    assert_eq!(world.state(), State::Pending);
    assert!(world.status().reviews.is_empty());
    let mark = world.status().history.into_iter().find(|entry| entry.event == Reason::WrittenInGap).unwrap();
    assert!(mark.message.ends_with("what was said as bob: who meant it may say it again"), "{}", mark.message);
    approve(&mut world);
    world.settle();
    assert_eq!(world.state(), State::Active);
    assert!(
        !world.status().history.iter().any(|entry| entry.event == Reason::ReviewWithdrawn),
        "bob took nothing back"
    );
}

#[test]
fn an_end_that_was_written_before_access_began_is_not_believed() {
    let begin = noon() + SignedDuration::from_mins(5);
    let mut world = world(json!({ "startTime": begin.to_string(), "duration": "1h" }), policy("base", json!({})));
    assert_eq!(world.state(), State::Scheduled);
    let end = world.status().expires_at;
    write(&mut world, |status| status.expires_at.as_mut().unwrap().0 += SignedDuration::from_hours(100));
    doubt(&mut world);
    assert_eq!((world.state(), world.status().expires_at), (State::Scheduled, end));
}

#[test]
fn what_is_granted_ends() {
    let mut world = world(json!({}), policy("base", json!({})));
    assert_eq!((world.state(), world.ours()), (State::Active, 1));
    doubt(&mut world);
    assert_eq!((world.state(), world.ours()), (State::Revoked, 0));
    assert_eq!(said(world.status().message), ENDED);
    assert!(world.breaches.is_empty(), "{:#?}", world.breaches);
}

#[test]
fn a_review_of_break_glass_access_may_be_anybodys_too() {
    let terms = json!({ "breakGlass": { "reviewers": [{ "kind": "User", "name": "bob" }], "reviewWithin": "24h" } });
    let mut world = world(json!({ "breakGlass": true }), policy("glass", terms));
    write(&mut world, |status| {
        status.reviews.insert("alice".to_owned(), review(ReviewVerdict::Revoke, &[]));
    });
    world.settle();
    assert_eq!(world.state(), State::Revoked);
    write(&mut world, |status| {
        status.reviews.insert("bob".to_owned(), review(ReviewVerdict::Approve, &[]));
    });
    doubt(&mut world);
    let review = world.status().break_glass.unwrap();
    assert!(review.is_open() && world.status().reviews.is_empty(), "{review:?}");
}

#[test]
fn the_history_before_the_mark_is_kept_and_not_believed() {
    let mut world = world(json!({}), asking_bob());
    let before = world.status().history.len();
    doubt(&mut world);
    let history = world.status().history;
    assert!(before > 0 && history.len() > before);
    assert_eq!(believed(&history).len(), history.len() - before - 1);
    assert_eq!(believed(&history[..before]).len(), before);
}
