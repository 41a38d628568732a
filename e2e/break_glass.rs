//! Break-glass access: at once, announced aloud, and reviewed afterwards by somebody else.

use std::sync::Arc;

use daypass::api::State;
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::cast::{SOON, why_over};
use crate::harness::users::{ALICE, BOB, CAROL, EVE, GITOPS, MALLORY};
use crate::harness::wait::now;
use crate::harness::{World, eventually, private, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        // A review that is overdue binds the person in every namespace.
        private("break_glass::is_let_in_at_once_and_must_be_reviewed", must_be_reviewed),
        shared("break_glass::that_was_not_justified_ends", not_justified),
        shared("break_glass::is_reviewed_after_its_end_by_reviewers_only", after_its_end),
        shared("break_glass::needs_a_policy_that_has_it", needs_a_policy),
        private("break_glass::a_review_falls_due_while_the_controller_is_away", due_meanwhile),
    ]
}

/// A policy that asks two approvers, and none in an emergency; approvers review within so long.
async fn emergencies(world: &World, within: &str) -> String {
    let namespace = world.namespace("glass").await;
    let approvers = json!([{ "kind": "Group", "name": "approvers" }]);
    let stages = json!([{ "name": "leads", "approvers": approvers, "required": 2 }]);
    let spec = json!({
        "approval": { "stages": stages }, "breakGlass": { "reviewers": approvers, "reviewWithin": within }
    });
    world.allow(&namespace, &namespace, spec).await;
    namespace
}

async fn policy_is_reviewed(world: &World, policy: &str, is: &str, words: &str) {
    let gitops = world.kubectl(GITOPS);
    eventually(&format!("policy {policy} says Reviewed={is}"), SOON, async || {
        let said = gitops.ok(&["get", "apol", policy, "-o", REVIEWED]).await;
        if said.starts_with(is) && said.contains(words) { Ok(()) } else { Err(said) }
    })
    .await;
}

const REVIEWED: &str = r#"jsonpath={.status.conditions[?(@.type=="Reviewed")].status} {.status.conditions[?(@.type=="Reviewed")].message}"#;

async fn must_be_reviewed(world: Arc<World>) {
    let namespace = emergencies(&world, "4s").await;
    world.ask(ALICE, &namespace, "fix", json!({ "duration": "1h", "breakGlass": true })).await;
    let let_in = world.until(&namespace, "fix", State::Active).await;
    assert!(world.kubectl(ALICE).can_i("delete", "pods", Some(&namespace)).await);
    let events = world.until_events(&let_in, &["BreakGlass", "Granted"]).await;
    assert_eq!(events[0].type_.as_deref(), Some("Warning"));
    let told = events[0].note.clone().unwrap();
    assert!(told.contains("alice broke the glass (a trial); one of approvers must review it by"), "{told}");

    let overdue = world.until_reason(&namespace, "fix", "Reviewed", "ReviewOverdue").await;
    world.until_events(&overdue, &["BreakGlass", "Granted", "ReviewOverdue"]).await;
    policy_is_reviewed(&world, &namespace, "False", &format!("1 overdue: {namespace}/fix of alice since")).await;
    assert_eq!(
        world.until(&namespace, "fix", State::Active).await.status.unwrap().expires_at,
        let_in.status.unwrap().expires_at
    );
    // That person gets no more of it, another does, and what is approved by people goes on.
    world.ask(ALICE, &namespace, "once-more", json!({ "breakGlass": true })).await;
    let denied = world.until(&namespace, "once-more", State::Denied).await.status.unwrap().message.unwrap();
    assert!(denied.contains(&format!("has not been reviewed ({namespace}/fix since")), "{denied}");
    world.ask(BOB, &namespace, "of-bob", json!({ "breakGlass": true, "duration": "1h" })).await;
    world.until(&namespace, "of-bob", State::Active).await;
    world.ask(ALICE, &namespace, "ordinary", json!({ "duration": "1h" })).await;
    world.until(&namespace, "ordinary", State::Pending).await;

    // To make the request go away is no way round.
    let refusal = world.kubectl(ALICE).refused(&["delete", "areq", "fix", "-n", &namespace]).await;
    assert!(refusal.contains("this request gave access and is the record of it"), "{refusal}");

    world.review(CAROL, &namespace, "fix", "Approve", "the shop was down").await;
    let closed = world.until_reason(&namespace, "fix", "Reviewed", "Justified").await;
    let review = closed.status.clone().unwrap().break_glass.unwrap();
    assert_eq!(review.closed_by.as_deref(), Some("carol"));
    world.until_events(&closed, &["BreakGlass", "Granted", "ReviewOverdue", "Reviewed", "Justified"]).await;
    world.review(CAROL, &namespace, "of-bob", "Approve", "").await;
    policy_is_reviewed(&world, &namespace, "True", "no review of break-glass access is overdue").await;
    world.ask(ALICE, &namespace, "next-time", json!({ "breakGlass": true })).await;
    world.until(&namespace, "next-time", State::Active).await;
}

async fn not_justified(world: Arc<World>) {
    let namespace = emergencies(&world, "1h").await;
    world.ask(ALICE, &namespace, "fix", json!({ "duration": "1h", "breakGlass": true })).await;
    world.until(&namespace, "fix", State::Active).await;
    policy_is_reviewed(&world, &namespace, "True", "no review of break-glass access is overdue").await;
    world.review(CAROL, &namespace, "fix", "Deny", "nothing was down").await;
    let over = world.until(&namespace, "fix", State::Revoked).await;
    assert_eq!(why_over(over.status.as_ref().unwrap()), "carol found the access to be not justified: nothing was down");
    assert!(world.our_bindings(&namespace).await.is_empty());
    assert!(!world.kubectl(ALICE).can_i("delete", "pods", Some(&namespace)).await);
    world.until_events(&over, &["BreakGlass", "Granted", "Reviewed", "Unjustified", "Revoked"]).await;
}

async fn after_its_end(world: Arc<World>) {
    let namespace = emergencies(&world, "1h").await;
    world.ask(BOB, &namespace, "fix", json!({ "duration": "10s", "breakGlass": true })).await;
    world.until(&namespace, "fix", State::Active).await;
    let expired = world.until(&namespace, "fix", State::Expired).await;
    // bob may review others, never himself; eve and mallory nobody.
    for user in [BOB, EVE, MALLORY] {
        world.review(user, &namespace, "fix", "Approve", "fine").await;
    }
    let ignored = ["ReviewIgnored"; 3];
    let told = [&["BreakGlass", "Granted", "Expired"][..], &ignored].concat();
    world.until_events(&expired, &told).await;
    world.until_reason(&namespace, "fix", "Reviewed", "ReviewOpen").await;
    world.review(CAROL, &namespace, "fix", "Approve", "fine").await;
    let closed = world.until_reason(&namespace, "fix", "Reviewed", "Justified").await.status.unwrap();
    assert_eq!((closed.state, closed.expires_at), (State::Expired, expired.status.unwrap().expires_at));
}

async fn needs_a_policy(world: Arc<World>) {
    let namespace = world.namespace("glass").await;
    world.allow(&namespace, &namespace, json!({})).await;
    world.ask(ALICE, &namespace, "fix", json!({ "breakGlass": true })).await;
    let denied = world.until(&namespace, "fix", State::Denied).await.status.unwrap().message.unwrap();
    assert!(denied.contains(&format!("policy {namespace}: it has no breakGlass")), "{denied}");
    // The other way round: a policy for emergencies lets nobody in without the word, and without a review.
    let terms = json!({ "reviewers": [{ "kind": "Group", "name": "approvers" }], "reviewWithin": "1h" });
    world.allow(&namespace, &namespace, json!({ "breakGlass": terms })).await;
    world.ask(ALICE, &namespace, "plain", json!({})).await;
    let denied = world.until(&namespace, "plain", State::Denied).await.status.unwrap().message.unwrap();
    assert!(denied.contains("it is for emergencies only"), "{denied}");
}

async fn due_meanwhile(world: Arc<World>) {
    let namespace = emergencies(&world, "12s").await;
    world.ask(ALICE, &namespace, "fix", json!({ "duration": "10s", "breakGlass": true })).await;
    let let_in = world.until(&namespace, "fix", State::Active).await;
    world.controller.kill();
    let due = let_in.status.unwrap().break_glass.unwrap().review_by.0;
    eventually("the review is overdue", SOON, async || if now() > due { Ok(()) } else { Err("not yet".to_owned()) })
        .await;
    world.controller.restart().await;
    world.until_reason(&namespace, "fix", "Reviewed", "ReviewOverdue").await;
    world.until(&namespace, "fix", State::Expired).await;
    policy_is_reviewed(&world, &namespace, "False", "1 overdue").await;
    world.ask(ALICE, &namespace, "again", json!({ "breakGlass": true })).await;
    world.until(&namespace, "again", State::Denied).await;
    // Whoever deletes the request, the policy goes by what is there.
    world.kubectl(crate::harness::users::ADMIN).ok(&["delete", "areq", "fix", "-n", &namespace]).await;
    policy_is_reviewed(&world, &namespace, "True", "").await;
}
