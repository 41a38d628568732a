//! `explain`: why a request is decided as it is, for those who ask and those who approve.

use std::sync::Arc;

use daypass::api::State;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::draft;
use crate::harness::plugin::Plugin;
use crate::harness::users::{ADMIN, ALICE, CAROL, MALLORY, User};
use crate::harness::{Cluster, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("plugin::explains_a_request_to_those_who_ask_and_approve", explains),
        shared("plugin::explains_what_is_not_asked_yet", dry_run),
        shared("plugin::counts_limits_and_reads_the_risk_for_what_is_not_asked_yet", dry_run_counts),
        shared("plugin::says_which_right_is_missing", missing_right),
    ]
}

async fn explained(cluster: &Cluster, user: User, args: &[&str]) -> String {
    Plugin::of(cluster, user).done(&[&["explain"], args].concat()).await
}

fn asks() -> Value {
    json!({ "approval": { "stages": [{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }] } })
}

async fn explains(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("told").await;
    cluster.allow(&namespace, &namespace, asks()).await;
    cluster.ask(ALICE, &namespace, "fix", json!({})).await;
    let waiting = cluster.until_reason(&namespace, "fix", "Approved", "ApprovalNeeded").await;
    cluster.review(ALICE, &namespace, "fix", "Approve", "").await;
    for user in [ALICE, CAROL] {
        let printed = explained(&cluster, user, &["fix", "-n", &namespace]).await;
        let waits = format!("waits for one more approval in stage leads of policy {namespace}, until ");
        for words in
            [&waits, "decides: no other policy matches", "0 of 1", "Group/approvers", "nobody reviews their own"]
        {
            assert!(printed.contains(words), "{words}: {printed}");
        }
    }
    let json = explained(&cluster, CAROL, &["fix", "-n", &namespace, "-o", "json"]).await;
    let printed: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&printed["outcome"], &printed["stages"][0]["state"]), (&json!("Waiting"), &json!("Open")));
    // The same as the controller says.
    let message = waiting.status.unwrap().message.unwrap();
    assert!(message.contains("needs one more approval"), "{message}");
    cluster.review(CAROL, &namespace, "fix", "Approve", "").await;
    cluster.until(&namespace, "fix", State::Active).await;
    let printed = explained(&cluster, ALICE, &["fix", "-n", &namespace]).await;
    assert!(printed.contains("granted, and still allowed, until "), "{printed}");
}

async fn dry_run(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("draft").await;
    let by_label = json!({ "matchExpressions": [{ "key": "frozen", "operator": "DoesNotExist" }] });
    cluster
        .allow(&namespace, &namespace, json!({ "scope": { "namespaces": [namespace], "namespaceSelector": by_label } }))
        .await;
    let file = draft(&namespace, json!({ "duration": "20m" }));
    let path = file.path().display().to_string();
    let printed = explained(&cluster, ALICE, &["-f", &path]).await;
    let words = format!("granted at once: policy {namespace} allows it");
    assert!(printed.contains("alice asks for ClusterRole/edit") && printed.contains(&words), "{printed}");
    // alice may not read namespaces, and is told what that means.
    assert!(printed.contains(&format!("note: you may not read namespace {namespace}")), "{printed}");
    let printed = explained(&cluster, ALICE, &["-f", &path, "--for-user", "eve", "--for-group", "ops"]).await;
    assert!(printed.contains("eve is not among its requesters") && printed.contains("denied because"), "{printed}");
    // Where nobody serves, nothing is granted, whatever policies say. It has to be told.
    let served = async |names: &str| explained(&cluster, ALICE, &["-f", &path, "--watch-namespaces", names]).await;
    let printed = served("bank,yard").await;
    assert!(
        printed
            .contains(&format!("denied because metadata.namespace: nobody answers a request in namespace {namespace}")),
        "{printed}"
    );
    let printed = served(&format!("bank,{namespace}")).await;
    assert!(printed.contains(&words), "{printed}");
    // Of less than a role it says what it has and what it lacks.
    let rules = |resource: &str| json!([{ "verbs": ["get"], "apiGroups": [""], "resources": [resource] }]);
    for (resource, words) in [
        ("pods", "get on pods of ClusterRole/edit in namespace"),
        ("nodes", "spec.rules: the role does not allow get on nodes of the core group"),
    ] {
        let file = draft(&namespace, json!({ "rules": rules(resource) }));
        let path = file.path().display().to_string();
        let printed = explained(&cluster, ADMIN, &["-f", &path, "--for-user", "alice", "--for-group", "dev"]).await;
        assert!(printed.contains(words), "{printed}");
    }
    // Nothing was asked for.
    assert!(cluster.requests(&namespace).await.list(&Default::default()).await.unwrap().items.is_empty());
}

async fn dry_run_counts(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("draft").await;
    let stages = asks()["approval"]["stages"].clone();
    let known = json!({ "automaticWhen": "risk.level != 'Unknown'", "stages": stages });
    let limits = json!({ "liveGrantsPerPerson": 1 });
    cluster.allow(&namespace, &namespace, json!({ "approval": known, "limits": limits })).await;
    let file = draft(&namespace, json!({}));
    let path = file.path().display().to_string();
    let printed = explained(&cluster, ADMIN, &["-f", &path, "--for-user", "alice", "--for-group", "dev"]).await;
    assert!(printed.contains(&format!("granted at once: policy {namespace} allows it")), "{printed}");
    // alice may not read roles: the answer is another, and she is told why.
    let printed = explained(&cluster, ALICE, &["-f", &path]).await;
    assert!(printed.contains("waits for one more approval"), "{printed}");
    assert!(printed.contains("note: ClusterRole/edit could not be read"), "{printed}");

    cluster.ask(ALICE, &namespace, "first", json!({})).await;
    cluster.until(&namespace, "first", State::Active).await;
    let printed = explained(&cluster, ALICE, &["-f", &path]).await;
    cluster.ask(ALICE, &namespace, "second", json!({})).await;
    let denied = cluster.until(&namespace, "second", State::Denied).await;
    let why = denied.status.unwrap().message.unwrap();
    let full = format!("policy {namespace}: there are 1 running grants of alice under it, and it allows 1");
    assert!(why.contains(&full), "{why}");
    assert!(
        printed.contains("denied because") && printed.contains(&full),
        "not what the controller says, {why}: {printed}"
    );
    // The one that runs does not count for itself.
    let printed = explained(&cluster, ALICE, &["first", "-n", &namespace]).await;
    assert!(printed.contains("granted, and still allowed"), "{printed}");
}

async fn missing_right(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("none").await;
    let file = draft(&namespace, json!({}));
    let token = cluster.control_plane.kubeconfig(MALLORY);
    let mut kubeconfig: Value = serde_json::from_str(&std::fs::read_to_string(token).unwrap()).unwrap();
    kubeconfig["users"][0]["user"] = json!({});
    let nobody = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(nobody.path(), kubeconfig.to_string()).unwrap();
    let path = file.path().display().to_string();
    let args = ["explain", "-f", &path, "--for-user", "eve"];
    let (code, _, err) = Plugin::with(nobody.path()).run(&args).await;
    assert_eq!(code, Some(1));
    assert!(err.contains("you may not list accesspolicies") && err.contains("daypass-reader"), "{err}");
}
