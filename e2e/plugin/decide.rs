//! `approve` and `deny`: what was shown is what is approved, and what would have no effect is not said.

use std::sync::Arc;

use daypass::api::request::ReviewVerdict;
use daypass::api::{AccessRequest, State};
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::cast::SOON;
use crate::harness::plugin::Plugin;
use crate::harness::users::{ADMIN, ALICE, BOB, CAROL, EVE};
use crate::harness::{Cluster, eventually, private, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("plugin::approves_and_denies_what_waits", decides),
        shared("plugin::asks_an_approver_at_a_terminal_and_nobody_elsewhere", asks),
        shared("plugin::refuses_a_review_that_would_have_no_effect", in_vain),
        shared("plugin::approves_what_was_shown_and_nothing_else", as_shown),
        shared("plugin::says_nothing_to_what_was_decided_meanwhile", meanwhile),
        shared("plugin::decides_on_namespaces_by_label_without_a_look_at_namespaces", by_label),
        private("plugin::holds_a_policy_against_what_daypass_has_recorded_of_it", unrecorded),
    ]
}

async fn waiting(cluster: &Cluster, namespace: &str, names: &[&str]) {
    let leads = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }]);
    cluster.allow(namespace, namespace, json!({ "approval": { "stages": leads } })).await;
    for name in names {
        cluster.ask(ALICE, namespace, name, json!({})).await;
        cluster.until_reason(namespace, name, "Approved", "ApprovalNeeded").await;
    }
}

async fn seen(cluster: &Cluster, namespace: &str, name: &str) -> AccessRequest {
    cluster.requests(namespace).await.get(name).await.unwrap()
}

async fn decides(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("decide").await;
    waiting(&cluster, &namespace, &["one", "two", "three"]).await;
    let carol = Plugin::of(&cluster, CAROL);
    let (out, err) = carol.ends(&["approve", "one", "two", "-n", &namespace, "--yes"], 0).await;
    assert_eq!(out, format!("approved {namespace}/one\napproved {namespace}/two\n"), "{err}");
    assert!(err.starts_with("NAME  REQUESTER  ROLE  WHERE"), "{err}");
    for name in ["one", "two"] {
        cluster.until(&namespace, name, State::Active).await;
    }
    let (out, err) = carol.ends(&["deny", "three", "-n", &namespace, "--yes", "-m", "not today"], 0).await;
    assert_eq!(out, format!("denied {namespace}/three\n"), "{err}");
    // What is decided on is shown.
    assert!(err.contains("who     alice") && err.contains("why     a trial") && err.contains("risk    High"), "{err}");
    let denied = cluster.until(&namespace, "three", State::Denied).await.status.unwrap();
    let review = &denied.reviews["carol"];
    assert_eq!((review.verdict, review.comment.as_deref()), (ReviewVerdict::Deny, Some("not today")));
}

async fn asks(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("yes").await;
    waiting(&cluster, &namespace, &["fix"]).await;
    let carol = Plugin::of(&cluster, CAROL);
    let approve = ["approve", "fix", "-n", &namespace];
    let (_, err) = carol.ends(&approve, 2).await;
    assert!(err.contains("give --yes"), "{err}");
    let mut terminal = carol.start_at_terminal(&approve);
    terminal.until_shown("approve it? [y/N]").await;
    terminal.types("\r").await;
    let (code, screen) = terminal.end().await;
    assert_eq!(code, Some(1), "{screen}");
    assert!(seen(&cluster, &namespace, "fix").await.status.unwrap().reviews.is_empty(), "{screen}");
    let mut terminal = carol.start_at_terminal(&approve);
    terminal.until_shown("approve it? [y/N]").await;
    terminal.types("y\r").await;
    let (code, screen) = terminal.end().await;
    assert_eq!(code, Some(0), "{screen}");
    cluster.until(&namespace, "fix", State::Active).await;
}

async fn in_vain(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("vain").await;
    waiting(&cluster, &namespace, &["fix"]).await;
    for (user, why) in [
        (ALICE, "nobody reviews their own request"),
        (EVE, "no stage of the policy names this person or one of their groups"),
    ] {
        let (_, err) = Plugin::of(&cluster, user).ends(&["approve", "fix", "-n", &namespace, "--yes"], 1).await;
        assert!(err.contains(&format!("{namespace}/fix: {why}, so it would have no effect")), "{err}");
    }
    assert!(seen(&cluster, &namespace, "fix").await.status.unwrap().reviews.is_empty());
    let carol = Plugin::of(&cluster, CAROL);
    carol.done(&["approve", "fix", "-n", &namespace, "--yes"]).await;
    cluster.until(&namespace, "fix", State::Active).await;
    let (_, err) = carol.ends(&["deny", "fix", "-n", &namespace, "--yes"], 1).await;
    assert!(err.contains("its access runs: only a review of Revoke has an effect now"), "{err}");
    cluster.review(CAROL, &namespace, "fix", "Revoke", "").await;
    cluster.until(&namespace, "fix", State::Revoked).await;
    let (_, err) = carol.ends(&["approve", "fix", "-n", &namespace, "--yes"], 1).await;
    assert!(err.contains("it is over (Revoked)"), "{err}");
    // One that is not there, or over, keeps no other from being decided.
    cluster.ask(ALICE, &namespace, "more", json!({})).await;
    cluster.until_reason(&namespace, "more", "Approved", "ApprovalNeeded").await;
    let (out, err) = carol.ends(&["approve", "nix", "fix", "more", "-n", &namespace, "--yes"], 1).await;
    assert_eq!(out, format!("approved {namespace}/more\n"), "{err}");
    assert!(err.contains("there is no request nix") && err.contains("it is over (Revoked)"), "{err}");
    cluster.until(&namespace, "more", State::Active).await;
}

/// carol may not list namespaces, and need not.
async fn by_label(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("label").await;
    waiting(&cluster, &namespace, &[]).await;
    let labels = json!({ "matchLabels": { "kubernetes.io/metadata.name": &namespace } });
    cluster.ask(ALICE, &namespace, "fix", json!({ "scope": { "namespaceSelector": labels } })).await;
    cluster.until_reason(&namespace, "fix", "Approved", "ApprovalNeeded").await;
    let carol = Plugin::of(&cluster, CAROL);
    assert!(!cluster.kubectl(CAROL).can_i("list", "namespaces", None).await);
    let (_, err) = Plugin::of(&cluster, EVE).ends(&["approve", "fix", "-n", &namespace, "--yes"], 1).await;
    assert!(err.contains("no stage of the policy names this person or one of their groups"), "{err}");
    let (_, err) = carol.ends(&["approve", "fix", "-n", &namespace, "--yes"], 0).await;
    assert!(err.contains(&format!("where   namespaces with kubernetes.io/metadata.name={namespace}\n")), "{err}");
    cluster.until(&namespace, "fix", State::Active).await;
    carol.done(&["revoke", "fix", "-n", &namespace, "--yes"]).await;
    cluster.until(&namespace, "fix", State::Revoked).await;
}

/// While no controller runs, nothing is recorded of what changes.
async fn unrecorded(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("unrecorded").await;
    waiting(&cluster, &namespace, &["fix"]).await;
    cluster.controller.kill();
    let carol = Plugin::of(&cluster, CAROL);
    let said = async || {
        let mut status = seen(&cluster, &namespace, "fix").await.status.unwrap();
        let review = status.reviews.remove("carol").unwrap();
        (review.verdict, review.comment, review.uid, review.groups.is_empty())
    };
    let uid = || Some(CAROL.uid.to_owned());
    carol.done(&["deny", "fix", "-n", &namespace, "--yes", "-m", "not today"]).await;
    assert_eq!(said().await, (ReviewVerdict::Deny, Some("not today".to_owned()), uid(), false));
    // Nothing of what she said first is left.
    carol.done(&["approve", "fix", "-n", &namespace, "--yes"]).await;
    assert_eq!(said().await, (ReviewVerdict::Approve, None, uid(), false));
    let leads = json!([{ "name": "leads", "approvers": [{ "kind": "User", "name": CAROL.name }] }]);
    cluster.allow(&namespace, &namespace, json!({ "approval": { "stages": leads } })).await;
    let (_, err) = carol.ends(&["deny", "fix", "-n", &namespace, "--yes"], 1).await;
    assert!(err.contains("another policy decides than the one that you were shown, or it was changed"), "{err}");
    assert_eq!(said().await.0, ReviewVerdict::Approve);
}

async fn as_shown(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("shown").await;
    waiting(&cluster, &namespace, &["fix", "other"]).await;
    let carol = Plugin::of(&cluster, CAROL);
    // Somebody else writes in between, and nothing of it matters: it is approved all the same.
    let mut terminal = carol.start_at_terminal(&["approve", "other", "-n", &namespace]);
    terminal.until_shown("approve it? [y/N]").await;
    cluster.review(EVE, &namespace, "other", "Approve", "me too").await;
    terminal.types("y\r").await;
    let (code, screen) = terminal.end().await;
    assert_eq!(code, Some(0), "{screen}");
    let reviews = cluster.until(&namespace, "other", State::Active).await.status.unwrap().reviews;
    assert_eq!(reviews.keys().collect::<Vec<_>>(), ["carol", "eve"]);
    // The policy is another: carol was not shown this one.
    let mut terminal = carol.start_at_terminal(&["approve", "fix", "-n", &namespace]);
    terminal.until_shown("approve it? [y/N]").await;
    let leads = json!([{ "name": "leads", "approvers": [{ "kind": "User", "name": BOB.name }, { "kind": "User", "name": CAROL.name }] }]);
    cluster.allow(&namespace, &namespace, json!({ "approval": { "stages": leads } })).await;
    eventually("the changed policy decides", SOON, async || {
        let policy = seen(&cluster, &namespace, "fix").await.status.unwrap().policy;
        if policy.as_ref().is_some_and(|policy| policy.generation == 2) { Ok(()) } else { Err(format!("{policy:?}")) }
    })
    .await;
    terminal.types("y\r").await;
    let (code, screen) = terminal.end().await;
    assert_eq!(code, Some(1), "{screen}");
    assert!(screen.contains("another policy decides than the one that you were shown, or it was changed"), "{screen}");
    assert!(seen(&cluster, &namespace, "fix").await.status.unwrap().reviews.is_empty(), "{screen}");
}

/// While carol reads what she is shown, somebody else decides, or the requester does.
async fn meanwhile(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("meanwhile").await;
    waiting(&cluster, &namespace, &["denied", "granted", "dropped", "deleted"]).await;
    let (admin, bob) = (cluster.kubectl(ADMIN), Plugin::of(&cluster, BOB));
    let decided = async |name: &str| match name {
        "denied" => {
            bob.done(&["deny", name, "-n", &namespace, "--yes"]).await;
            cluster.until(&namespace, name, State::Denied).await;
        }
        "granted" => {
            bob.done(&["approve", name, "-n", &namespace, "--yes"]).await;
            cluster.until(&namespace, name, State::Active).await;
        }
        "deleted" => drop(admin.ok(&["delete", "areq", name, "-n", &namespace]).await),
        _ => {
            Plugin::of(&cluster, ALICE).done(&["drop", name, "-n", &namespace]).await;
        }
    };
    for (command, name, why) in [
        ("approve", "denied", "it is over (Denied)"),
        ("deny", "granted", "its access runs: only a review of Revoke has an effect now"),
        ("approve", "dropped", "it is over (Revoked)"),
        ("approve", "deleted", "accessrequests.daypass.dev \"deleted\" not found"),
    ] {
        let mut terminal = Plugin::of(&cluster, CAROL).start_at_terminal(&[command, name, "-n", &namespace]);
        terminal.until_shown(&format!("{command} it? [y/N]")).await;
        decided(name).await;
        terminal.types("y\r").await;
        let (code, screen) = terminal.end().await;
        assert!(code == Some(1) && screen.contains(why), "{command} {name}: {code:?} {screen}");
        let reviews =
            cluster.requests(&namespace).await.get_opt(name).await.unwrap().and_then(|request| request.status);
        let reviews = reviews.map(|status| status.reviews).unwrap_or_default();
        assert!(!reviews.contains_key("carol"), "{command} {name}: {reviews:?}");
    }
}
