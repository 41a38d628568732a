//! A cluster that stamps nobody: each command that writes says who it is, and the cluster holds that against the login.

use std::sync::Arc;

use daypass::api::request::ReviewVerdict;
use daypass::api::subject::Identity;
use daypass::api::{AccessRequest, State};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::request::stages;
use crate::harness::cast::{self, SOON};
use crate::harness::plugin::Plugin;
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::users::{CAROL, GRETA, User};
use crate::harness::{Cluster, ControlPlane, alone, eventually};

pub fn trials() -> Vec<Trial> {
    vec![alone("plugin::writes_who_it_is_by_each_command_where_the_cluster_does_not", AUDIT_POLICY, written)]
}

async fn written(control_plane: Arc<ControlPlane>) {
    let cluster = Cluster::with(control_plane, &["identity.stamp=off"]).await;
    let namespace = cluster.namespace("nobody").await;
    let without = cast::request(&namespace, "fix", json!({})).to_string();
    eventually("who says nothing is refused", SOON, async || {
        let output = cluster.kubectl(GRETA).run_with(&["create", "--dry-run=server", "-f", "-"], &without).await;
        if output.stderr.contains("'daypass-identity-check'") { Ok(()) } else { Err(output.stderr) }
    })
    .await;
    tokio::join!(reviews(&cluster), ends(&cluster), goes_on(&cluster));
}

/// What the API server knows of a user, who has logged in.
fn identity(user: User) -> Identity {
    let groups = user.groups.iter().chain(&["system:authenticated"]).map(|group| (*group).to_owned()).collect();
    Identity { username: user.name.to_owned(), uid: Some(user.uid.to_owned()), groups, ..Identity::default() }
}

/// greta asks for `edit` under a name.
async fn ask(cluster: &Cluster, namespace: &str, name: &str) {
    let request = cast::request(namespace, name, json!({ "duration": "30m" })).to_string();
    let (code, out, err) = Plugin::of(cluster, GRETA).fed(&["request", "-f", "-", "--no-wait"], &request).await;
    assert_eq!(code, Some(0), "{out}{err}");
}

/// That the review of a request by a user is this one, and whose.
fn assert_reviewed(request: &AccessRequest, user: User, verdict: ReviewVerdict) {
    let review = &request.status.as_ref().unwrap().reviews[user.name];
    let Identity { uid, groups, .. } = identity(user);
    assert_eq!((review.verdict, &review.uid, &review.groups), (verdict, &uid, &groups), "{review:?}");
}

/// `approve`, `deny` and `revoke`.
async fn reviews(cluster: &Cluster) {
    let namespace = cluster.namespace("reviews").await;
    cluster.allow(&namespace, &namespace, stages()).await;
    let carol = Plugin::of(cluster, CAROL);
    for (name, command, verdict, state) in [
        ("yes", "approve", ReviewVerdict::Approve, State::Active),
        ("no", "deny", ReviewVerdict::Deny, State::Denied),
        ("yes", "revoke", ReviewVerdict::Revoke, State::Revoked),
    ] {
        if command != "revoke" {
            ask(cluster, &namespace, name).await;
            cluster.until_reason(&namespace, name, "Approved", "ApprovalNeeded").await;
        }
        carol.done(&[command, name, "-n", &namespace, "--yes"]).await;
        assert_reviewed(&cluster.until(&namespace, name, state).await, CAROL, verdict);
    }
    cluster.until_unbound(&namespace).await;
}

/// `drop`, one and all.
async fn ends(cluster: &Cluster) {
    let namespace = cluster.namespace("drops").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    for name in ["one", "two", "three"] {
        ask(cluster, &namespace, name).await;
        cluster.until(&namespace, name, State::Active).await;
    }
    let greta = Plugin::of(cluster, GRETA);
    greta.done(&["drop", "one", "-n", &namespace]).await;
    assert_reviewed(&cluster.until(&namespace, "one", State::Revoked).await, GRETA, ReviewVerdict::Revoke);
    greta.done(&["drop", "--all", "-n", &namespace]).await;
    for name in ["two", "three"] {
        assert_reviewed(&cluster.until(&namespace, name, State::Revoked).await, GRETA, ReviewVerdict::Revoke);
    }
}

/// `extend` and `again`.
async fn goes_on(cluster: &Cluster) {
    let namespace = cluster.namespace("goes-on").await;
    cluster.allow(&namespace, &namespace, json!({ "extension": { "max": "1h", "count": 1 } })).await;
    ask(cluster, &namespace, "fix").await;
    let end = |request: &AccessRequest| request.status.as_ref().unwrap().expires_at.clone().unwrap().0;
    let first = cluster.until(&namespace, "fix", State::Active).await;
    assert_eq!(first.spec.requester, Some(identity(GRETA)));
    let greta = Plugin::of(cluster, GRETA);
    let made = async |args: &[&str]| -> AccessRequest {
        let out = greta.done(&[args, &["-n", &namespace, "-o", "json"]].concat()).await;
        let made: Value = serde_json::from_str(&out).unwrap();
        serde_json::from_value(made).unwrap()
    };
    let more = made(&["extend", "fix", "--by=20m"]).await;
    assert_eq!((more.spec.extends.as_deref(), more.spec.requester), (Some("fix"), Some(identity(GRETA))));
    let longer = cluster.until(&namespace, "fix", State::Active).await;
    assert!(end(&longer) > end(&first));
    let again = made(&["again", "fix"]).await;
    assert_eq!((again.status.unwrap().state, again.spec.requester), (State::Active, Some(identity(GRETA))));
}
