//! Access that is granted works as the real user, and ends as the real user.

use std::sync::Arc;

use daypass::api::{AccessRequest, State};
use daypass::core::decision::answer::AllowedBy;
use daypass::core::decision::shortfall::Shortfall;
use daypass::core::lifecycle::happened::Happened;
use daypass::core::lifecycle::reap::Stray;
use kube::ResourceExt;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::cast::{assert_says, cluster_role, falls_short, not_bindable, request, why_over};
use crate::harness::users::{ADMIN, ALICE, BOB, EVE};
use crate::harness::{Cluster, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("grant::works_and_ends_as_the_real_user", works_and_ends_as_the_real_user),
        shared("grant::listed_namespaces_each_get_a_binding", listed_namespaces_each_get_a_binding),
        shared("grant::labels_choose_namespaces", labels_choose_namespaces),
        shared("grant::cluster_wide_access_is_a_cluster_role_binding", cluster_wide),
        shared("grant::begins_at_its_start_time", begins_at_its_start_time),
        shared("grant::of_a_role_that_may_not_be_bound_is_denied_aloud", denied_aloud),
        shared("grant::whose_name_is_taken_fails_aloud", name_is_taken),
        shared("grant::to_a_service_account_works_and_ends", service_account),
    ]
}

async fn works_and_ends_as_the_real_user(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("grant").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let alice = cluster.kubectl(ALICE);
    let make =
        |name: &str| format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, namespace: {namespace}}}}}");
    let refusal = alice.apply_refused(&make("before")).await;
    assert!(refusal.contains("cannot"), "{refusal}");

    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "10s", "ticket": "OPS-7" })).await;
    let granted = cluster.until(&namespace, "fix", State::Active).await;
    alice.apply(&make("during")).await;
    assert!(!cluster.kubectl(EVE).can_i("create", "configmaps", Some(&namespace)).await, "nobody else has it");

    let status = granted.status.clone().unwrap();
    let (from, until) = (status.granted_at.unwrap().0, status.expires_at.clone().unwrap().0);
    assert_eq!(until.duration_since(from).as_secs(), 10);
    assert_eq!(granted.spec.requester.as_ref().unwrap().username, "alice");
    let bindings = cluster.our_bindings(&namespace).await;
    assert_eq!(bindings.len(), 1);
    assert_eq!(bindings[0].annotations()["daypass.dev/expires-at"], until.to_string());
    assert_eq!(bindings[0].annotations()["daypass.dev/ttl"], "10s");
    assert_eq!(bindings[0].owner_references()[0].uid, granted.uid().unwrap());

    let expired = cluster.until(&namespace, "fix", State::Expired).await;
    let refusal = alice.apply_refused(&make("after")).await;
    assert!(refusal.contains("cannot"), "{refusal}");
    assert!(cluster.our_bindings(&namespace).await.is_empty());
    assert_eq!(expired.status.as_ref().unwrap().expires_at, status.expires_at, "the end is written once");
    let events = cluster.until_events(&expired, &["Granted", "Expired"]).await;
    let note = events[0].note.clone().unwrap();
    assert!(note.contains(&cluster_role("edit").to_string()), "{note}");
    assert_says(&note, &AllowedBy { policy: namespace.clone(), approvers: Vec::new() });
    assert_eq!(history(&expired), ["Granted", "Expired"]);
    // Well before a sweep would have come by.
    let late = expired.status.as_ref().unwrap().history[1].at.0.duration_since(until).as_secs();
    assert!(late < 10, "it ended {late} s late");
    let log = cluster.controller.log();
    let logged = |event: &str| log.lines().any(|line| line.contains(&expired.uid().unwrap()) && line.contains(event));
    assert!(logged(r#""event":"Granted""#) && logged(r#""event":"Expired""#), "every transition is in the log");
}

async fn listed_namespaces_each_get_a_binding(cluster: Arc<Cluster>) {
    let (home, away) = (cluster.namespace("home").await, cluster.namespace("away").await);
    cluster.allow(&home, &home, json!({ "scope": { "namespaces": [home, away] } })).await;
    cluster.ask(ALICE, &home, "both", json!({ "duration": "1h", "scope": { "namespaces": [home, away] } })).await;
    let granted = cluster.until(&home, "both", State::Active).await;
    let alice = cluster.kubectl(ALICE);
    assert!(alice.can_i("delete", "pods", Some(&home)).await && alice.can_i("delete", "pods", Some(&away)).await);
    // An owner reference across namespaces would make the garbage collector delete the binding.
    assert!(cluster.our_bindings(&away).await[0].owner_references().is_empty());

    cluster.kubectl(ADMIN).ok(&["delete", "areq", "both", "-n", &home]).await;
    for namespace in [&home, &away] {
        cluster.until_unbound(namespace).await;
        assert!(!alice.can_i("delete", "pods", Some(namespace)).await);
    }
    // The deletion itself takes them. A sweep would too, up to a minute later, and says so.
    let strays = [Stray::RequestGone, Stray::RequestReplaced].map(|stray| stray.to_string());
    let is_stray = |line: &str| strays.iter().any(|stray| line.contains(stray));
    let swept = |line: &str| line.contains(&granted.uid().unwrap()) && is_stray(line);
    assert!(!cluster.controller.log().lines().any(swept), "it waited for a sweep");
}

async fn labels_choose_namespaces(cluster: Arc<Cluster>) {
    let (one, two, other) =
        (cluster.namespace("sel").await, cluster.namespace("sel").await, cluster.namespace("sel").await);
    let admin = cluster.kubectl(ADMIN);
    for namespace in [&one, &two] {
        admin.ok(&["label", "namespace", namespace, &format!("team={one}")]).await;
    }
    let selector = json!({ "namespaceSelector": { "matchLabels": { "team": one } } });
    cluster.allow(&one, &one, json!({ "scope": selector })).await;
    cluster.ask(ALICE, &one, "team", json!({ "scope": selector, "duration": "1h" })).await;
    let granted = cluster.until(&one, "team", State::Active).await;
    assert_eq!(granted.status.unwrap().bindings.len(), 2);
    let alice = cluster.kubectl(ALICE);
    assert!(alice.can_i("create", "pods", Some(&two)).await);
    assert!(!alice.can_i("create", "pods", Some(&other)).await);

    // The policy reads labels live: a namespace that leaves the team takes the access with it.
    admin.ok(&["label", "namespace", &two, "team-"]).await;
    cluster.until(&one, "team", State::Revoked).await;
    assert!(!alice.can_i("create", "pods", Some(&two)).await);
}

async fn cluster_wide(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("cluster").await;
    let bob_only = json!({
        "requesters": [{ "kind": "User", "name": "bob" }], "roles": [{ "name": "view" }], "scope": { "cluster": true }
    });
    cluster.allow(&namespace, &namespace, bob_only).await;
    let ask = json!({ "role": { "name": "view" }, "scope": { "cluster": true }, "duration": "10s" });
    cluster.ask(ALICE, &namespace, "not-hers", ask.clone()).await;
    cluster.until(&namespace, "not-hers", State::Denied).await;

    let bob = cluster.kubectl(BOB);
    assert!(!bob.can_i("list", "pods", None).await);
    cluster.ask(BOB, &namespace, "look", ask).await;
    cluster.until(&namespace, "look", State::Active).await;
    assert!(bob.can_i("list", "pods", None).await);
    cluster.until(&namespace, "look", State::Expired).await;
    assert!(!bob.can_i("list", "pods", None).await);
}

async fn begins_at_its_start_time(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("later").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let start = crate::harness::wait::now_plus_seconds(12);
    cluster.ask(ALICE, &namespace, "later", json!({ "startTime": start, "duration": "3s" })).await;
    let scheduled = cluster.until(&namespace, "later", State::Scheduled).await;
    assert!(scheduled.status.as_ref().unwrap().granted_at.is_none());
    assert!(cluster.our_bindings(&namespace).await.is_empty(), "nothing is bound before the start");
    let granted = cluster.until(&namespace, "later", State::Active).await.status.unwrap();
    assert!(granted.granted_at.unwrap().0.to_string() >= start);
    assert_eq!(granted.expires_at, scheduled.status.unwrap().expires_at, "the end is start plus duration");
    let expired = cluster.until(&namespace, "later", State::Expired).await;
    cluster.until_events(&expired, &["Approved", "Granted", "Expired"]).await;
}

/// The chart's values bound what the controller may bind, whatever a policy says.
async fn denied_aloud(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("fails").await;
    cluster.allow(&namespace, &namespace, json!({ "roles": [{ "name": "admin" }] })).await;
    let admin_role: Value = json!({ "role": { "name": "admin" }, "duration": "1h" });
    cluster.ask(ALICE, &namespace, "too-much", admin_role).await;
    let denied = cluster.until(&namespace, "too-much", State::Denied).await;
    let message = denied.status.clone().unwrap().message.unwrap();
    assert_says(&message, &falls_short(&namespace, [Shortfall::RoleUnusable(not_bindable(0, "admin"))]));
    assert!(cluster.our_bindings(&namespace).await.is_empty());
    cluster.until_events(&denied, &["Denied"]).await;
}

/// Somebody made a binding of the name that this grant would have. It is neither used nor taken away.
async fn name_is_taken(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("taken").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let start = crate::harness::wait::now_plus_seconds(6);
    cluster.ask(ALICE, &namespace, "fix", json!({ "startTime": start, "duration": "1h" })).await;
    let scheduled = cluster.until(&namespace, "fix", State::Scheduled).await;
    let name = format!("daypass-{}", scheduled.uid().unwrap());
    let admin = cluster.kubectl(ADMIN);
    admin.ok(&["create", "rolebinding", &name, "-n", &namespace, "--clusterrole=edit", "--user=mallory"]).await;

    let failed = cluster.until(&namespace, "fix", State::Failed).await;
    let status = failed.status.as_ref().unwrap();
    assert_eq!(status.bindings[0].name, name);
    assert_eq!(why_over(status), Happened::Blocked(status.bindings[0].clone()).to_string());
    let strange = cluster.bindings(&namespace).await.get(&name).await.expect("what an admin made is left alone");
    assert_eq!(strange.subjects.unwrap()[0].name, "mallory");
    assert!(!cluster.kubectl(ALICE).can_i("create", "pods", Some(&namespace)).await);
    let events = cluster.until_events(&failed, &["Approved", "Failed"]).await;
    assert_eq!(events[1].type_.as_deref(), Some("Warning"));
}

async fn service_account(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("robot").await;
    let robot = json!({ "kind": "ServiceAccount", "name": "robot", "namespace": namespace });
    cluster.allow(&namespace, &namespace, json!({ "requesters": [robot] })).await;
    let admin = cluster.kubectl(ADMIN);
    let login = async |name: &str| {
        admin.ok(&["create", "serviceaccount", name, "-n", &namespace]).await;
        let token = admin.ok(&["create", "token", name, "-n", &namespace]).await;
        let kubeconfig = cluster.control_plane.kubeconfig_for_token(&format!("{name}-of-{namespace}"), token.trim());
        cluster.control_plane.kubectl_with(&kubeconfig)
    };
    let (robot, other) = (login("robot").await, login("other").await);
    let ask = |name: &str| request(&namespace, name, json!({ "duration": "5s" })).to_string();
    let make =
        |name: &str| format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, namespace: {namespace}}}}}");
    robot.apply_refused(&make("before")).await;

    robot.apply(&ask("deploy")).await;
    let granted = cluster.until(&namespace, "deploy", State::Active).await;
    robot.apply(&make("during")).await;
    let username = format!("system:serviceaccount:{namespace}:robot");
    assert_eq!(granted.spec.requester.as_ref().unwrap().username, username);
    let status = granted.status.unwrap();
    let bound = cluster.bindings(&namespace).await.get(&status.bindings[0].name).await.expect("its binding");
    assert_eq!(json!(bound.subjects), json!([{ "kind": "ServiceAccount", "name": "robot", "namespace": namespace }]));

    other.apply(&ask("not-its")).await;
    cluster.until(&namespace, "not-its", State::Denied).await;
    cluster.until(&namespace, "deploy", State::Expired).await;
    let refusal = robot.apply_refused(&make("after")).await;
    assert!(refusal.contains(&format!("User \"{username}\" cannot")), "{refusal}");
}

fn history(request: &AccessRequest) -> Vec<String> {
    request.status.iter().flat_map(|s| &s.history).map(|h| h.event.as_str().to_owned()).collect()
}
