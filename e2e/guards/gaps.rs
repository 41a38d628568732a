//! What was made or written while a guard was away is told from what was there before.

use std::sync::Arc;

use daypass::api::request::BindingRef;
use daypass::api::{AccessRequest, State};
use daypass::core::guard::Gaps;
use daypass::core::lifecycle::happened::Happened;
use daypass::core::lifecycle::hindrance::Hindrance;
use k8s_openapi::jiff::SignedDuration;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::{BINDING, guards, put_back, until_missing, until_ready};
use crate::harness::cast::{SOON, request, why_over};
use crate::harness::install::NAMESPACE;
use crate::harness::users::{ADMIN, ALICE, BOB, CAROL, MALLORY};
use crate::harness::{Cluster, Daypass, eventually};

/// A policy of two approvals, one of which is there, and a request that goes on as if nothing had been.
pub async fn gap(cluster: Arc<Cluster>) {
    let namespace = with_two_approvals(&cluster).await;
    cluster.ask(ALICE, &namespace, "before", json!({})).await;
    cluster.until_reason(&namespace, "before", "Approved", "ApprovalNeeded").await;
    cluster.review(BOB, &namespace, "before", "Approve", "").await;
    until_counted(&cluster, &namespace, "before").await;
    let guard =
        guards(&cluster).await.into_iter().find(|guard| guard.name == "daypass-identity-check").expect("the guard");
    cluster.kubectl(ADMIN).ok(&["delete", BINDING, &guard.name]).await;
    until_missing(&cluster, &guard.name).await;
    cluster.ask(ALICE, &namespace, "within", json!({})).await;
    put_back(&cluster, &guard).await;
    until_ready(&cluster).await;
    denied_as_made_in_a_gap(&cluster, &namespace).await;
    cluster.review(CAROL, &namespace, "before", "Approve", "").await;
    cluster.until(&namespace, "before", State::Active).await;
}

async fn with_two_approvals(cluster: &Cluster) -> String {
    let namespace = cluster.namespace("gap").await;
    let stage = json!({ "name": "leads", "required": 2, "approvers": [{ "kind": "Group", "name": "approvers" }] });
    cluster.allow(&namespace, &namespace, json!({ "approval": { "stages": [stage] } })).await;
    namespace
}

async fn until_counted(cluster: &Cluster, namespace: &str, name: &str) {
    let requests = cluster.requests(namespace).await;
    eventually("one approval counts", SOON, async || {
        let request = requests.get(name).await.map_err(|error| error.to_string())?;
        let counted = request.status.and_then(|status| status.stage).map(|stage| stage.approved);
        if counted == Some(1) { Ok(()) } else { Err(format!("{counted:?} do")) }
    })
    .await;
}

async fn denied_as_made_in_a_gap(cluster: &Cluster, namespace: &str) {
    let denied = cluster.until(namespace, "within", State::Denied).await;
    assert_made_in_a_gap(cluster, &denied).await;
}

/// That a request was denied since it was made in a time without guard that is on record.
pub async fn assert_made_in_a_gap(cluster: &Cluster, denied: &AccessRequest) {
    let canary = cluster.requests(NAMESPACE).await.get("daypass-canary").await.expect("the canary's request");
    let record: Value = serde_json::from_str(&canary.annotations()["daypass.dev/guard-record"]).expect("a record");
    let read = |field: &str| record[field].clone();
    let since = serde_json::from_value(read("since")).expect("an instant");
    let gaps = Gaps { since, between: serde_json::from_value(read("gaps")).expect("gaps") };
    let made = denied.metadata.creation_timestamp.as_ref().expect("a date").0;
    let gap = gaps.gap_at(made).unwrap_or_else(|| panic!("{made} is in no gap: {gaps:?}"));
    let status = denied.status.as_ref().expect("a status");
    assert_eq!(why_over(status), Hindrance::MadeInGap(gap).to_string());
}

pub async fn unwatched_gap(cluster: Arc<Cluster>) {
    let namespace = with_two_approvals(&cluster).await;
    cluster.ask(ALICE, &namespace, "before", json!({})).await;
    cluster.until_reason(&namespace, "before", "Approved", "ApprovalNeeded").await;
    // Objects are dated in seconds: what is made in the second of the last round cannot be told from what came after it.
    let requests = cluster.requests(&namespace).await;
    let made = requests.get("before").await.expect("the request").metadata.creation_timestamp.expect("a date");
    eventually("another second has begun", SOON, async || {
        let later = cluster.kubectl(ALICE).run_with(&["create", "-f", "-", "-o", "json"], &again(&namespace)).await;
        let later: AccessRequest = serde_json::from_str(&later.stdout).map_err(|error| error.to_string())?;
        let later = later.metadata.creation_timestamp.ok_or("no date")?;
        if later.0 > made.0 { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    // It stores the time of a last round when it is asked to end.
    cluster.controller.terminate().await;
    let guard =
        guards(&cluster).await.into_iter().find(|guard| guard.name == "daypass-identity-check").expect("the guard");
    cluster.kubectl(ADMIN).ok(&["delete", BINDING, &guard.name]).await;
    Daypass::take_stamp_away(&cluster.control_plane).await;
    let forged =
        json!({ "requester": { "username": "alice", "uid": "u-alice", "groups": ["dev", "system:authenticated"] } });
    let forged = request(&namespace, "within", forged).to_string();
    eventually("a forged request is stored", SOON, async || {
        let output = cluster.kubectl(MALLORY).run_with(&["create", "-f", "-"], &forged).await;
        if output.ok { Ok(()) } else { Err(output.stderr) }
    })
    .await;
    put_back(&cluster, &guard).await;
    cluster.controller.restart().await;
    denied_as_made_in_a_gap(&cluster, &namespace).await;
    let stands = cluster.until(&namespace, "before", State::Pending).await.status.expect("a status");
    assert_eq!(stands.stage.map(|stage| stage.name).as_deref(), Some("leads"));
}

pub async fn forged(cluster: Arc<Cluster>) {
    forged_in_gap(&cluster, true).await;
}

pub async fn unwatched_forged(cluster: Arc<Cluster>) {
    forged_in_gap(&cluster, false).await;
}

/// Whoever may write statuses at all writes in others' names while the status guard is away: approvals, a later end, and
/// an end that never was. What nobody touched goes on as if nothing had been.
async fn forged_in_gap(cluster: &Cluster, running: bool) {
    let namespace = with_two_approvals(cluster).await;
    let of_itself = format!("{namespace}-view");
    cluster.allow(&of_itself, &namespace, json!({ "roles": [{ "name": "view" }] })).await;
    for name in ["untouched", "approved"] {
        cluster.ask(ALICE, &namespace, name, json!({})).await;
        cluster.until_reason(&namespace, name, "Approved", "ApprovalNeeded").await;
        cluster.review(BOB, &namespace, name, "Approve", "").await;
        until_counted(cluster, &namespace, name).await;
    }
    for name in ["running", "longer", "revived"] {
        cluster.ask(ALICE, &namespace, name, json!({ "role": { "name": "view" }, "duration": "10m" })).await;
        cluster.until(&namespace, name, State::Active).await;
    }
    let granted = cluster.until(&namespace, "revived", State::Active).await.status.expect("a status");
    cluster.review(ALICE, &namespace, "revived", "Revoke", "").await;
    cluster.until(&namespace, "revived", State::Revoked).await;

    let guard =
        guards(cluster).await.into_iter().find(|guard| guard.name == "daypass-status-guard").expect("the guard");
    if !running {
        cluster.controller.terminate().await;
    }
    cluster.kubectl(ADMIN).ok(&["delete", BINDING, &guard.name]).await;
    if running {
        until_missing(cluster, &guard.name).await;
    }
    let carol = json!({ "verdict": "Approve", "uid": "u-carol", "groups": ["approvers", "system:authenticated"] });
    // As the policy would allow it.
    let later = granted.granted_at.as_ref().expect("a begin").0 + SignedDuration::from_mins(40);
    let end = json!({ "expiresAt": later });
    // Without a UID the binding looks as if it had yet to be made.
    let unbound: Vec<_> = granted.bindings.iter().map(|binding| BindingRef { uid: None, ..binding.clone() }).collect();
    let again = json!({ "state": "Active", "expiresAt": later, "grantedAt": granted.granted_at,
        "bindings": unbound, "conditions": [], "reviews": null });
    let forgeries =
        [("approved", json!({ "reviews": { "carol": carol } })), ("longer", end.clone()), ("revived", again)];
    for (name, status) in forgeries {
        let status = json!({ "status": status }).to_string();
        let patch = ["patch", "areq", name, "-n", &namespace, "--subresource=status", "--type=merge", "-p", &status];
        eventually("the forged status is stored", SOON, async || {
            let output = cluster.kubectl(BOB).run(&patch).await;
            if output.ok { Ok(()) } else { Err(output.stderr) }
        })
        .await;
    }
    put_back(cluster, &guard).await;
    eventually("the status guard is in force", SOON, async || {
        let end = json!({ "status": end }).to_string();
        let patch = ["patch", "areq", "running", "-n", &namespace, "--subresource=status", "--type=merge", "-p", &end];
        let output = cluster.kubectl(BOB).run(&[&patch[..], &["--dry-run=server"]].concat()).await;
        if output.ok { Err("it passes".to_owned()) } else { Ok(()) }
    })
    .await;
    if !running {
        cluster.controller.restart().await;
    }
    until_ready(cluster).await;

    for name in ["longer", "revived"] {
        let ended = cluster.until(&namespace, name, State::Revoked).await.status.expect("a status");
        assert_eq!(why_over(&ended), Happened::NotBelieved.to_string(), "{name}");
        assert!(ended.history.iter().any(|entry| entry.event.as_str() == "WrittenInGap"), "{name}: {ended:?}");
    }
    let requests = cluster.requests(&namespace).await;
    let asked = eventually("its approvals are not believed", SOON, async || {
        let status = requests.get("approved").await.map_err(|error| error.to_string())?.status.unwrap_or_default();
        let mark = status
            .history
            .iter()
            .find(|entry| entry.event.as_str() == "WrittenInGap")
            .map(|entry| entry.message.clone());
        mark.map(|mark| (mark, status.clone())).ok_or(format!("{:?}", status.history))
    })
    .await;
    let reviewers = ["bob", "carol"].map(str::to_owned).into();
    assert_eq!(asked.0, Happened::WrittenInGap { reviewers }.to_string());
    assert!(asked.1.reviews.is_empty() && asked.1.state == State::Pending, "{:?}", asked.1);
    // What stood before stands: one more is enough for the one, and both must say it again for the other.
    cluster.review(CAROL, &namespace, "untouched", "Approve", "").await;
    cluster.review(CAROL, &namespace, "approved", "Approve", "").await;
    cluster.until(&namespace, "untouched", State::Active).await;
    until_counted(cluster, &namespace, "approved").await;
    cluster.review(BOB, &namespace, "approved", "Approve", "").await;
    cluster.until(&namespace, "approved", State::Active).await;
    cluster.until(&namespace, "running", State::Active).await;
    assert_eq!(cluster.our_bindings(&namespace).await.len(), 3);
}

/// One more request, of a name that the API server makes up.
fn again(namespace: &str) -> String {
    let mut request = request(namespace, "again", json!({}));
    request["metadata"] = json!({ "generateName": "again-", "namespace": namespace });
    request.to_string()
}
