//! Break-glass access: at once, announced aloud, and reviewed afterwards by somebody else.

use std::sync::Arc;

use daypass::api::State;
use daypass::api::policy_reason::PolicyReason;
use daypass::api::word::Vocabulary;
use daypass::core::decision::shortfall::Shortfall;
use daypass::core::lifecycle::break_glass::Unreviewed;
use daypass::core::lifecycle::happened::GlassReview;
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::cast::{SOON, assert_refused_by, assert_says, falls_short, why_over};
use crate::harness::users::{ALICE, BOB, CAROL, EVE, GITOPS, MALLORY};
use crate::harness::wait::now;
use crate::harness::{Cluster, eventually, private, shared};

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
async fn emergencies(cluster: &Cluster, within: &str) -> String {
    let namespace = cluster.namespace("glass").await;
    let approvers = json!([{ "kind": "Group", "name": "approvers" }]);
    let stages = json!([{ "name": "leads", "approvers": approvers, "required": 2 }]);
    let spec = json!({
        "approval": { "stages": stages }, "breakGlass": { "reviewers": approvers, "reviewWithin": within }
    });
    cluster.allow(&namespace, &namespace, spec).await;
    namespace
}

async fn policy_is_reviewed(cluster: &Cluster, policy: &str, is: &str, reason: PolicyReason) {
    let gitops = cluster.kubectl(GITOPS);
    eventually(&format!("policy {policy} says Reviewed={is}"), SOON, async || {
        let patched = gitops.ok(&["get", "apol", policy, "-o", REVIEWED]).await;
        if patched == format!("{is} {}", reason.as_str()) { Ok(()) } else { Err(patched) }
    })
    .await;
}

const REVIEWED: &str =
    r#"jsonpath={.status.conditions[?(@.type=="Reviewed")].status} {.status.conditions[?(@.type=="Reviewed")].reason}"#;

async fn must_be_reviewed(cluster: Arc<Cluster>) {
    let namespace = emergencies(&cluster, "4s").await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "1h", "breakGlass": true })).await;
    let let_in = cluster.until(&namespace, "fix", State::Active).await;
    assert!(cluster.kubectl(ALICE).can_i("delete", "pods", Some(&namespace)).await);
    let events = cluster.until_events(&let_in, &["BreakGlass", "Granted"]).await;
    assert_eq!(events[0].type_.as_deref(), Some("Warning"));
    let (who, reason) = ("alice".to_owned(), "a trial".to_owned());
    let review = let_in.status.clone().unwrap().break_glass.unwrap();
    let broken = GlassReview::Broken { who, reason, reviewers: review.reviewers, by: review.review_by.0 };
    assert_eq!(events[0].note, Some(broken.to_string()));

    let overdue = cluster.until_reason(&namespace, "fix", "Reviewed", "ReviewOverdue").await;
    cluster.until_events(&overdue, &["BreakGlass", "Granted", "ReviewOverdue"]).await;
    policy_is_reviewed(&cluster, &namespace, "False", PolicyReason::ReviewOverdue).await;
    assert_eq!(
        cluster.until(&namespace, "fix", State::Active).await.status.unwrap().expires_at,
        let_in.status.unwrap().expires_at
    );
    // That person gets no more of it, another does, and what is approved by people goes on.
    cluster.ask(ALICE, &namespace, "once-more", json!({ "breakGlass": true })).await;
    let denied = cluster.until(&namespace, "once-more", State::Denied).await.status.unwrap();
    let unreviewed = Unreviewed { overdue: vec![(format!("{namespace}/fix"), review.review_by.0)] };
    assert_eq!(why_over(&denied), unreviewed.to_string());
    cluster.ask(BOB, &namespace, "of-bob", json!({ "breakGlass": true, "duration": "1h" })).await;
    cluster.until(&namespace, "of-bob", State::Active).await;
    cluster.ask(ALICE, &namespace, "ordinary", json!({ "duration": "1h" })).await;
    cluster.until(&namespace, "ordinary", State::Pending).await;

    // To make the request go away is no way round.
    let refusal = cluster.kubectl(ALICE).refused(&["delete", "areq", "fix", "-n", &namespace]).await;
    assert_refused_by(&refusal, "daypass-deletion-guard");

    cluster.review(CAROL, &namespace, "fix", "Approve", "the shop was down").await;
    let closed = cluster.until_reason(&namespace, "fix", "Reviewed", "Justified").await;
    let review = closed.status.clone().unwrap().break_glass.unwrap();
    assert_eq!(review.closed_by.as_deref(), Some("carol"));
    cluster.until_events(&closed, &["BreakGlass", "Granted", "ReviewOverdue", "Reviewed", "Justified"]).await;
    cluster.review(CAROL, &namespace, "of-bob", "Approve", "").await;
    policy_is_reviewed(&cluster, &namespace, "True", PolicyReason::InTime).await;
    cluster.ask(ALICE, &namespace, "next-time", json!({ "breakGlass": true })).await;
    cluster.until(&namespace, "next-time", State::Active).await;
}

async fn not_justified(cluster: Arc<Cluster>) {
    let namespace = emergencies(&cluster, "1h").await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "1h", "breakGlass": true })).await;
    cluster.until(&namespace, "fix", State::Active).await;
    policy_is_reviewed(&cluster, &namespace, "True", PolicyReason::InTime).await;
    cluster.review(CAROL, &namespace, "fix", "Deny", "nothing was down").await;
    let over = cluster.until(&namespace, "fix", State::Revoked).await;
    let comment = Some("nothing was down".to_owned());
    let found = GlassReview::Found { by: "carol".to_owned(), justified: false, comment };
    assert_eq!(why_over(over.status.as_ref().unwrap()), found.to_string());
    assert!(cluster.our_bindings(&namespace).await.is_empty());
    assert!(!cluster.kubectl(ALICE).can_i("delete", "pods", Some(&namespace)).await);
    cluster.until_events(&over, &["BreakGlass", "Granted", "Reviewed", "Unjustified", "Revoked"]).await;
}

async fn after_its_end(cluster: Arc<Cluster>) {
    let namespace = emergencies(&cluster, "1h").await;
    cluster.ask(BOB, &namespace, "fix", json!({ "duration": "10s", "breakGlass": true })).await;
    cluster.until(&namespace, "fix", State::Active).await;
    let expired = cluster.until(&namespace, "fix", State::Expired).await;
    // bob may review others, never himself; eve and mallory nobody.
    for user in [BOB, EVE, MALLORY] {
        cluster.review(user, &namespace, "fix", "Approve", "fine").await;
    }
    let ignored = ["ReviewIgnored"; 3];
    let expected = [&["BreakGlass", "Granted", "Expired"][..], &ignored].concat();
    cluster.until_events(&expired, &expected).await;
    cluster.until_reason(&namespace, "fix", "Reviewed", "ReviewOpen").await;
    cluster.review(CAROL, &namespace, "fix", "Approve", "fine").await;
    let closed = cluster.until_reason(&namespace, "fix", "Reviewed", "Justified").await.status.unwrap();
    assert_eq!((closed.state, closed.expires_at), (State::Expired, expired.status.unwrap().expires_at));
}

async fn needs_a_policy(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("glass").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "breakGlass": true })).await;
    let denied = cluster.until(&namespace, "fix", State::Denied).await.status.unwrap().message.unwrap();
    assert_says(&denied, &falls_short(&namespace, [Shortfall::BreakGlass]));
    // The other way round: a policy for emergencies lets nobody in without the word, and without a review.
    let terms = json!({ "reviewers": [{ "kind": "Group", "name": "approvers" }], "reviewWithin": "1h" });
    cluster.allow(&namespace, &namespace, json!({ "breakGlass": terms })).await;
    cluster.ask(ALICE, &namespace, "plain", json!({})).await;
    let denied = cluster.until(&namespace, "plain", State::Denied).await.status.unwrap().message.unwrap();
    assert_says(&denied, &falls_short(&namespace, [Shortfall::BreakGlassOnly]));
}

async fn due_meanwhile(cluster: Arc<Cluster>) {
    let namespace = emergencies(&cluster, "12s").await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "10s", "breakGlass": true })).await;
    let let_in = cluster.until(&namespace, "fix", State::Active).await;
    cluster.controller.kill();
    let due = let_in.status.unwrap().break_glass.unwrap().review_by.0;
    eventually("the review is overdue", SOON, async || if now() > due { Ok(()) } else { Err("not yet".to_owned()) })
        .await;
    cluster.controller.restart().await;
    cluster.until_reason(&namespace, "fix", "Reviewed", "ReviewOverdue").await;
    cluster.until(&namespace, "fix", State::Expired).await;
    policy_is_reviewed(&cluster, &namespace, "False", PolicyReason::ReviewOverdue).await;
    cluster.ask(ALICE, &namespace, "again", json!({ "breakGlass": true })).await;
    cluster.until(&namespace, "again", State::Denied).await;
    // Whoever deletes the request, the policy goes by what is there.
    cluster.kubectl(crate::harness::users::ADMIN).ok(&["delete", "areq", "fix", "-n", &namespace]).await;
    policy_is_reviewed(&cluster, &namespace, "True", PolicyReason::InTime).await;
}
