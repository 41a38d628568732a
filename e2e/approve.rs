//! Approvers decide with kubectl alone: stages, distinct people, denial, escalation, withdrawal, deadlines.

use std::sync::Arc;

use daypass::api::State;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::cast::SOON;
use crate::harness::users::{ALICE, BOB, CAROL, DAVE, EVE, GITOPS, User};
use crate::harness::{World, eventually, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("approve::each_stage_takes_another_person", each_stage_takes_another_person),
        shared("approve::a_denial_ends_it", a_denial_ends_it),
        shared("approve::what_does_not_count_is_put_on_record", what_does_not_count),
        shared("approve::a_silent_stage_is_escalated", a_silent_stage_is_escalated),
        shared("approve::nobody_answers_and_it_lapses", nobody_answers),
        shared("approve::the_requester_gives_access_back", the_requester_gives_access_back),
        shared("approve::an_approver_ends_what_was_granted", an_approver_ends_it),
        shared("approve::two_approvers_at_the_same_moment", at_the_same_moment),
        shared("approve::a_policy_that_nobody_can_satisfy_is_reported", an_impossible_policy),
    ]
}

const APPROVERS: &str = r#"[{ "kind": "Group", "name": "approvers" }]"#;

fn stage(name: &str, over: Value) -> Value {
    let approvers: Value = serde_json::from_str(APPROVERS).unwrap();
    let mut stage = json!({ "name": name, "approvers": approvers });
    over.as_object().unwrap().iter().for_each(|(key, value)| stage[key] = value.clone());
    stage
}

/// A namespace whose policy has these stages, in which alice has asked.
async fn asked(world: &World, stages: Value, more: Value) -> String {
    let namespace = world.namespace("approve").await;
    let mut approval = json!({ "stages": stages });
    more.as_object().unwrap().iter().for_each(|(key, value)| approval[key] = value.clone());
    world.allow(&namespace, &namespace, json!({ "approval": approval })).await;
    world.ask(ALICE, &namespace, "fix", json!({ "duration": "1h" })).await;
    world.until(&namespace, "fix", State::Pending).await;
    namespace
}

async fn say(world: &World, namespace: &str, user: User, verdict: &str, comment: &str) {
    let patch =
        json!({ "status": { "reviews": { user.name: { "verdict": verdict, "comment": comment } } } }).to_string();
    world
        .kubectl(user)
        .ok(&["patch", "areq", "fix", "-n", namespace, "--subresource=status", "--type=merge", "-p", &patch])
        .await;
}

async fn until_message(world: &World, namespace: &str, words: &str) {
    let requests = world.requests(namespace).await;
    eventually(&format!("the message says {words:?}"), SOON, async || {
        let status = requests.get("fix").await.map_err(|e| e.to_string())?.status.unwrap_or_default();
        let message = status.message.unwrap_or_default();
        if message.contains(words) { Ok(()) } else { Err(message) }
    })
    .await;
}

async fn each_stage_takes_another_person(world: Arc<World>) {
    let namespace = asked(&world, json!([stage("first", json!({})), stage("second", json!({}))]), json!({})).await;
    say(&world, &namespace, BOB, "Approve", "first").await;
    until_message(&world, &namespace, "stage second").await;
    // bob may approve in both stages, and counts in one.
    say(&world, &namespace, BOB, "Approve", "second as well").await;
    until_message(&world, &namespace, "stage second").await;
    say(&world, &namespace, CAROL, "Approve", "").await;
    let granted = world.until(&namespace, "fix", State::Active).await;
    let message = granted.status.unwrap().message.unwrap();
    assert!(message.contains("approved by") && message.contains("bob") && message.contains("carol"), "{message}");
    assert!(world.kubectl(ALICE).can_i("create", "pods", Some(&namespace)).await);
}

async fn a_denial_ends_it(world: Arc<World>) {
    let namespace = asked(&world, json!([stage("leads", json!({ "required": 2 }))]), json!({})).await;
    say(&world, &namespace, BOB, "Approve", "fine").await;
    say(&world, &namespace, CAROL, "Deny", "not during the sale").await;
    let denied = world.until(&namespace, "fix", State::Denied).await;
    assert_eq!(denied.status.unwrap().message.unwrap(), "carol denied it: not during the sale");
    assert!(world.our_bindings(&namespace).await.is_empty());
}

async fn what_does_not_count(world: Arc<World>) {
    let namespace = asked(&world, json!([stage("leads", json!({}))]), json!({})).await;
    say(&world, &namespace, ALICE, "Approve", "it is urgent").await;
    say(&world, &namespace, EVE, "Approve", "she is right").await;
    say(&world, &namespace, DAVE, "Deny", "no").await;
    let waiting = world.until(&namespace, "fix", State::Pending).await;
    let reasons = ["ApprovalNeeded", "ReviewIgnored", "ReviewIgnored", "ReviewIgnored"];
    let events = world.until_events(&waiting, &reasons).await;
    assert!(events[1..].iter().all(|event| event.type_.as_deref() == Some("Warning")));
    let history = world.until(&namespace, "fix", State::Pending).await.status.unwrap().history;
    let of_alice = history.iter().find(|entry| entry.by.as_deref() == Some("alice")).unwrap();
    assert_eq!(of_alice.message, "Approve of alice has no effect: nobody reviews their own request: it is urgent");
    let of_dave = history.iter().find(|entry| entry.by.as_deref() == Some("dave")).unwrap();
    assert!(of_dave.message.contains("no stage of the policy names this person"), "{}", of_dave.message);
    assert!(world.our_bindings(&namespace).await.is_empty());
}

async fn a_silent_stage_is_escalated(world: Arc<World>) {
    let dave = json!([{ "kind": "User", "name": "dave" }]);
    let silent = stage("leads", json!({ "escalateAfter": "2s", "escalateTo": dave }));
    let namespace = asked(&world, json!([silent]), json!({})).await;
    until_message(&world, &namespace, "of: approvers, dave").await;
    say(&world, &namespace, DAVE, "Approve", "").await;
    let granted = world.until(&namespace, "fix", State::Active).await;
    world.until_events(&granted, &["ApprovalNeeded", "Escalated", "Reviewed", "Granted"]).await;
}

async fn nobody_answers(world: Arc<World>) {
    let namespace = asked(&world, json!([stage("leads", json!({}))]), json!({ "deadline": "3s" })).await;
    let lapsed = world.until(&namespace, "fix", State::Lapsed).await;
    assert_eq!(lapsed.status.unwrap().message.unwrap(), "stage leads had no answer in time");
    let patch = r#"{"status":{"reviews":{"bob":{"verdict":"Approve","comment":"too late"}}}}"#;
    let late = ["patch", "areq", "fix", "-n", &namespace, "--subresource=status", "--type=merge", "-p", patch];
    let refusal = world.kubectl(BOB).refused(&late).await;
    assert!(refusal.contains("the request is over (Lapsed)"), "{refusal}");
    world.until(&namespace, "fix", State::Lapsed).await;
    assert!(world.our_bindings(&namespace).await.is_empty());
}

async fn the_requester_gives_access_back(world: Arc<World>) {
    let namespace = asked(&world, json!([stage("leads", json!({}))]), json!({})).await;
    say(&world, &namespace, CAROL, "Approve", "").await;
    world.until(&namespace, "fix", State::Active).await;
    say(&world, &namespace, ALICE, "Revoke", "done early").await;
    let over = world.until(&namespace, "fix", State::Revoked).await.status.unwrap();
    assert_eq!(over.history.last().unwrap().by.as_deref(), Some("alice"));
    assert!(!world.kubectl(ALICE).can_i("create", "pods", Some(&namespace)).await);
}

async fn an_approver_ends_it(world: Arc<World>) {
    let namespace = asked(&world, json!([stage("leads", json!({}))]), json!({})).await;
    say(&world, &namespace, CAROL, "Approve", "").await;
    world.until(&namespace, "fix", State::Active).await;
    // eve is no approver.
    say(&world, &namespace, EVE, "Revoke", "").await;
    say(&world, &namespace, BOB, "Revoke", "the incident is over").await;
    let over = world.until(&namespace, "fix", State::Revoked).await.status.unwrap();
    assert_eq!(over.message.unwrap(), "bob ended it: the incident is over");
    assert!(world.our_bindings(&namespace).await.is_empty());
}

/// Reviews are a map by username, so merge patches of two people cannot undo each other.
async fn at_the_same_moment(world: Arc<World>) {
    for _ in 0..10 {
        let namespace = asked(&world, json!([stage("leads", json!({ "required": 2 }))]), json!({})).await;
        tokio::join!(say(&world, &namespace, BOB, "Approve", ""), say(&world, &namespace, CAROL, "Approve", ""));
        let granted = world.until(&namespace, "fix", State::Active).await.status.unwrap();
        assert_eq!(granted.reviews.len(), 2);
        assert_eq!(world.our_bindings(&namespace).await.len(), 1);
    }
}

async fn an_impossible_policy(world: Arc<World>) {
    let namespace = world.namespace("impossible").await;
    let bob = json!([{ "kind": "User", "name": "bob" }]);
    let stages = json!([stage("two-of-one", json!({ "approvers": bob, "required": 2 }))]);
    world.allow(&namespace, &namespace, json!({ "approval": { "stages": stages } })).await;
    let gitops = world.kubectl(GITOPS);
    gitops.ok(&["wait", "--for=condition=Ready=False", "apol", &namespace, "--timeout=30s"]).await;
    let ready = r#"jsonpath={.status.conditions[?(@.type=="Ready")].message}"#;
    let message = gitops.ok(&["get", "apol", &namespace, "-o", ready]).await;
    assert!(message.contains("spec.approval.stages[two-of-one]: cannot be complete"), "{message}");
}
