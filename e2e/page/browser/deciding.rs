//! What an approver does beside one approval: several at once, a denial, a second look at what has changed.

use std::sync::Arc;

use daypass::api::State;
use daypass::api::request::ReviewVerdict;
use kube::ResourceExt;
use serde_json::json;

use super::chromium::ESCAPE;
use super::{Seat, asks_approvers, with_approval};
use crate::harness::Cluster;
use crate::harness::cast::SOON;
use crate::harness::eventually;
use crate::harness::users::{ALICE, CAROL, EVE};

/// Requests that wait for an approver, and the approver at her inbox.
async fn at_the_inbox(cluster: &Cluster, namespace: &str, names: &[&str]) -> Seat {
    for name in names {
        cluster.ask(ALICE, namespace, name, json!({ "duration": "30m", "reason": format!("{name} hangs") })).await;
        cluster.until_reason(namespace, name, "Approved", "ApprovalNeeded").await;
    }
    let carol = Seat::of(cluster, CAROL).await;
    carol.go("Inbox").await;
    carol
}

/// Waits until the focus is on what has this name.
pub async fn until_focus(seat: &Seat, name: &str) {
    eventually(&format!("the focus is on {name:?}"), SOON, async || {
        let (role, is) = seat.browser.focus().await;
        if is == name { Ok(()) } else { Err(format!("it is on {role} {is:?}")) }
    })
    .await;
}

pub async fn several_at_once(cluster: Arc<Cluster>) {
    let namespace = with_approval(&cluster).await;
    let carol = at_the_inbox(&cluster, &namespace, &["one", "two", "three", "left"]).await;
    for name in ["one", "two", "three"] {
        carol.browser.press("checkbox", &format!("Choose {namespace}/{name}")).await;
    }
    carol.browser.until_there("link", "Inbox 4 waiting…").await;
    carol.browser.press("button", "Decide 3 together").await;
    carol.browser.until_there("dialog", "Decide 3 together").await;
    carol.browser.keys(ESCAPE).await;
    until_focus(&carol, "Decide 3 together").await;
    carol.browser.press("button", "Decide 3 together").await;
    carol.browser.until_there("dialog", "Decide 3 together").await;
    let told = carol.browser.dialog().await;
    for words in ["alice", &format!("edit in {namespace}, 30m"), "High risk", "one hangs", "two hangs", "three hangs"] {
        assert!(told.contains(words), "{words} is not in {told}");
    }
    assert!(!told.contains("left hangs"), "it shows what was not chosen: {told}");

    // What has this name from now on was not looked at.
    let requests = cluster.requests(&namespace).await;
    requests.delete("three", &Default::default()).await.expect("delete a request");
    cluster.ask(EVE, &namespace, "three", json!({ "duration": "1h" })).await;
    carol.browser.fill("Comment, for the record", "as agreed").await;
    carol.browser.press("button", "Approve all 3").await;
    carol.browser.until_shows("It was deleted, and another request has its name.").await;
    for name in ["one", "two"] {
        carol.browser.until_shows(&format!("You approved {namespace}/{name}.")).await;
        let granted = cluster.until(&namespace, name, State::Active).await;
        assert_eq!(granted.status.expect("a status").reviews["carol"].comment.as_deref(), Some("as agreed"));
    }
    carol.browser.keys(ESCAPE).await;
    carol.browser.until_gone("dialog", "Decide 3 together").await;
    // The button that opened it is gone with what was decided.
    until_focus(&carol, "Inbox").await;
    carol.browser.until_shows("left hangs").await;
    for name in ["three", "left"] {
        let other = requests.get(name).await.expect("a request");
        assert!(other.status.unwrap_or_default().reviews.is_empty(), "{name} was reviewed");
    }
}

pub async fn denies(cluster: Arc<Cluster>) {
    let namespace = with_approval(&cluster).await;
    let approval = json!({ "stages": [{ "name": "leads", "required": 2, "approvers": [{ "kind": "Group", "name": "approvers" }] }] });
    cluster.allow(&namespace, &namespace, json!({ "approval": approval })).await;
    let carol = at_the_inbox(&cluster, &namespace, &["fix"]).await;
    let key = format!("{namespace}/fix");
    let alice = Seat::of(&cluster, ALICE).await;
    alice.browser.press("link", "alice").await;

    carol.browser.fill("Comment, for the record", "looks fine").await;
    carol.browser.press("button", &format!("Approve {key}")).await;
    alice.browser.until_shows("carol approved: looks fine").await;
    alice.browser.until_shows("1 of 2 so far").await;
    // She has another look, and thinks better of it.
    carol.browser.press("link", "See it").await;
    carol.browser.until_there("heading", &key).await;
    // What is said once more leaves the buttons there, and the focus where it was.
    carol.browser.press("button", &format!("Approve {key}")).await;
    carol.browser.until_shows(&format!("You approved {key}.")).await;
    until_focus(&carol, &format!("Approve {key}")).await;
    carol.browser.press("button", &format!("Deny {key}")).await;
    carol.browser.until_shows(&format!("You denied {key}.")).await;
    carol.browser.until_gone("button", &format!("Deny {key}")).await;
    until_focus(&carol, &key).await;
    alice.browser.until_shows("Denied").await;
    let denied = cluster.until(&namespace, "fix", State::Denied).await.status.expect("a status");
    let review = &denied.reviews["carol"];
    assert_eq!((review.verdict, review.comment.as_deref()), (ReviewVerdict::Deny, None), "what she said before stays");

    cluster.ask(EVE, &namespace, "other", json!({})).await;
    carol.go("Inbox").await;
    carol.browser.until_there("button", &format!("Deny {namespace}/other")).await;
    carol.browser.fill("Comment, for the record", "ask for less").await;
    carol.browser.press("button", &format!("Deny {namespace}/other")).await;
    carol.browser.until_shows(&format!("You denied {namespace}/other.")).await;
    let denied = cluster.until(&namespace, "other", State::Denied).await.status.expect("a status");
    assert_eq!(denied.reviews["carol"].comment.as_deref(), Some("ask for less"));
}

pub async fn looks_again(cluster: Arc<Cluster>) {
    let namespace = with_approval(&cluster).await;
    let carol = at_the_inbox(&cluster, &namespace, &["fix"]).await;
    let (key, approve) = (format!("{namespace}/fix"), format!("Approve {namespace}/fix"));
    carol.browser.until_there("button", &approve).await;
    carol.browser.press("link", &format!("alice asks for edit in {namespace}")).await;
    carol.browser.until_there("heading", &key).await;
    carol.browser.until_there("button", &approve).await;
    let mut changed = asks_approvers();
    changed["duration"] = json!({ "max": "45m" });
    cluster.allow(&namespace, &namespace, changed).await;
    carol.browser.until_shows("Another policy decides than the one that you were shown, or it was changed.").await;
    assert!(!carol.browser.is_enabled("button", &approve).await, "she can approve what she has not seen");
    carol.browser.press("button", &format!("Show it as it is now {key}")).await;
    eventually("it can be approved again", SOON, async || {
        if carol.browser.is_enabled("button", &approve).await {
            Ok(())
        } else {
            Err("the button is disabled".to_owned())
        }
    })
    .await;
    carol.browser.press("button", &approve).await;
    let granted = cluster.until(&namespace, "fix", State::Active).await;
    assert_eq!(granted.name_any(), "fix");
}
