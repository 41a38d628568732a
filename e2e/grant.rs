//! Access that is granted works as the real user, and ends as the real user.

use std::sync::Arc;

use daypass::api::{AccessRequest, State};
use kube::ResourceExt;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::cast::request;
use crate::harness::users::{ADMIN, ALICE, BOB, EVE};
use crate::harness::{World, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("grant::works_and_ends_as_the_real_user", works_and_ends_as_the_real_user),
        shared("grant::listed_namespaces_each_get_a_binding", listed_namespaces_each_get_a_binding),
        shared("grant::labels_choose_namespaces", labels_choose_namespaces),
        shared("grant::cluster_wide_access_is_a_cluster_role_binding", cluster_wide),
        shared("grant::begins_at_its_start_time", begins_at_its_start_time),
        shared("grant::of_a_role_that_may_not_be_bound_fails_aloud", fails_aloud),
        shared("grant::whose_name_is_taken_fails_aloud", name_is_taken),
        shared("grant::to_a_service_account_works_and_ends", service_account),
    ]
}

async fn works_and_ends_as_the_real_user(world: Arc<World>) {
    let namespace = world.namespace("grant").await;
    world.allow(&namespace, &namespace, json!({})).await;
    let alice = world.kubectl(ALICE);
    let make =
        |name: &str| format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, namespace: {namespace}}}}}");
    let refusal = alice.apply_refused(&make("before")).await;
    assert!(refusal.contains("cannot"), "{refusal}");

    world.ask(ALICE, &namespace, "fix", json!({ "duration": "10s", "ticket": "OPS-7" })).await;
    let granted = world.until(&namespace, "fix", State::Active).await;
    alice.apply(&make("during")).await;
    assert!(!world.kubectl(EVE).can_i("create", "configmaps", Some(&namespace)).await, "nobody else has it");

    let status = granted.status.clone().unwrap();
    let (from, until) = (status.granted_at.unwrap().0, status.expires_at.clone().unwrap().0);
    assert_eq!(until.duration_since(from).as_secs(), 10);
    assert_eq!(granted.spec.requester.as_ref().unwrap().username, "alice");
    let bindings = world.our_bindings(&namespace).await;
    assert_eq!(bindings.len(), 1);
    assert_eq!(bindings[0].annotations()["daypass.dev/expires-at"], until.to_string());
    assert_eq!(bindings[0].annotations()["daypass.dev/ttl"], "10s");
    assert_eq!(bindings[0].owner_references()[0].uid, granted.uid().unwrap());

    let expired = world.until(&namespace, "fix", State::Expired).await;
    let refusal = alice.apply_refused(&make("after")).await;
    assert!(refusal.contains("cannot"), "{refusal}");
    assert!(world.our_bindings(&namespace).await.is_empty());
    assert_eq!(expired.status.as_ref().unwrap().expires_at, status.expires_at, "the end is written once");
    let events = world.until_events(&expired, &["Granted", "Expired"]).await;
    let note = events[0].note.clone().unwrap();
    assert!(note.contains("alice has ClusterRole/edit") && note.contains(&format!("policy {namespace}")), "{note}");
    assert_eq!(history(&expired), ["Granted", "Expired"]);
    // Well before a sweep would have come by.
    let late = expired.status.as_ref().unwrap().history[1].at.0.duration_since(until).as_secs();
    assert!(late < 10, "it ended {late} s late");
    let log = world.controller.log();
    let told = |event: &str| log.lines().any(|line| line.contains(&expired.uid().unwrap()) && line.contains(event));
    assert!(told(r#""event":"Granted""#) && told(r#""event":"Expired""#), "every transition is in the log");
}

async fn listed_namespaces_each_get_a_binding(world: Arc<World>) {
    let (home, away) = (world.namespace("home").await, world.namespace("away").await);
    world.allow(&home, &home, json!({ "scope": { "namespaces": [home, away] } })).await;
    world.ask(ALICE, &home, "both", json!({ "duration": "1h", "scope": { "namespaces": [home, away] } })).await;
    let granted = world.until(&home, "both", State::Active).await;
    let alice = world.kubectl(ALICE);
    assert!(alice.can_i("delete", "pods", Some(&home)).await && alice.can_i("delete", "pods", Some(&away)).await);
    // An owner reference across namespaces would make the garbage collector delete the binding.
    assert!(world.our_bindings(&away).await[0].owner_references().is_empty());

    world.kubectl(ADMIN).ok(&["delete", "areq", "both", "-n", &home]).await;
    for namespace in [&home, &away] {
        world.until_unbound(namespace).await;
        assert!(!alice.can_i("delete", "pods", Some(namespace)).await);
    }
    // The deletion itself takes them. A sweep would too, up to a minute later, and says so.
    let swept = |line: &str| line.contains(&granted.uid().unwrap()) && line.contains("a binding is removed");
    assert!(!world.controller.log().lines().any(swept), "it waited for a sweep");
}

async fn labels_choose_namespaces(world: Arc<World>) {
    let (one, two, other) = (world.namespace("sel").await, world.namespace("sel").await, world.namespace("sel").await);
    let admin = world.kubectl(ADMIN);
    for namespace in [&one, &two] {
        admin.ok(&["label", "namespace", namespace, &format!("team={one}")]).await;
    }
    let selector = json!({ "namespaceSelector": { "matchLabels": { "team": one } } });
    world.allow(&one, &one, json!({ "scope": selector })).await;
    world.ask(ALICE, &one, "team", json!({ "scope": selector, "duration": "1h" })).await;
    let granted = world.until(&one, "team", State::Active).await;
    assert_eq!(granted.status.unwrap().bindings.len(), 2);
    let alice = world.kubectl(ALICE);
    assert!(alice.can_i("create", "pods", Some(&two)).await);
    assert!(!alice.can_i("create", "pods", Some(&other)).await);

    // The policy reads labels live: a namespace that leaves the team takes the access with it.
    admin.ok(&["label", "namespace", &two, "team-"]).await;
    world.until(&one, "team", State::Revoked).await;
    assert!(!alice.can_i("create", "pods", Some(&two)).await);
}

async fn cluster_wide(world: Arc<World>) {
    let namespace = world.namespace("cluster").await;
    let bob_only = json!({
        "requesters": [{ "kind": "User", "name": "bob" }], "roles": [{ "name": "view" }], "scope": { "cluster": true }
    });
    world.allow(&namespace, &namespace, bob_only).await;
    let ask = json!({ "role": { "name": "view" }, "scope": { "cluster": true }, "duration": "10s" });
    world.ask(ALICE, &namespace, "not-hers", ask.clone()).await;
    world.until(&namespace, "not-hers", State::Denied).await;

    let bob = world.kubectl(BOB);
    assert!(!bob.can_i("list", "pods", None).await);
    world.ask(BOB, &namespace, "look", ask).await;
    world.until(&namespace, "look", State::Active).await;
    assert!(bob.can_i("list", "pods", None).await);
    world.until(&namespace, "look", State::Expired).await;
    assert!(!bob.can_i("list", "pods", None).await);
}

async fn begins_at_its_start_time(world: Arc<World>) {
    let namespace = world.namespace("later").await;
    world.allow(&namespace, &namespace, json!({})).await;
    let start = crate::harness::wait::now_plus_seconds(4);
    world.ask(ALICE, &namespace, "later", json!({ "startTime": start, "duration": "3s" })).await;
    let scheduled = world.until(&namespace, "later", State::Scheduled).await;
    assert!(scheduled.status.as_ref().unwrap().granted_at.is_none());
    assert!(world.our_bindings(&namespace).await.is_empty(), "nothing is bound before the start");
    let granted = world.until(&namespace, "later", State::Active).await.status.unwrap();
    assert!(granted.granted_at.unwrap().0.to_string() >= start);
    assert_eq!(granted.expires_at, scheduled.status.unwrap().expires_at, "the end is start plus duration");
    let expired = world.until(&namespace, "later", State::Expired).await;
    world.until_events(&expired, &["Approved", "Granted", "Expired"]).await;
}

/// The chart's values bound what the controller may bind, whatever a policy says.
async fn fails_aloud(world: Arc<World>) {
    let namespace = world.namespace("fails").await;
    world.allow(&namespace, &namespace, json!({ "roles": [{ "name": "admin" }] })).await;
    let admin_role: Value = json!({ "role": { "name": "admin" }, "duration": "1h" });
    world.ask(ALICE, &namespace, "too-much", admin_role).await;
    let failed = world.until(&namespace, "too-much", State::Failed).await;
    let message = failed.status.clone().unwrap().message.unwrap();
    assert!(message.contains("bindableClusterRoles"), "{message}");
    assert!(world.our_bindings(&namespace).await.is_empty());
    world.until_events(&failed, &["Failed"]).await;
}

/// Somebody made a binding of the name that this grant would have. It is neither used nor taken away.
async fn name_is_taken(world: Arc<World>) {
    let namespace = world.namespace("taken").await;
    world.allow(&namespace, &namespace, json!({})).await;
    let start = crate::harness::wait::now_plus_seconds(6);
    world.ask(ALICE, &namespace, "fix", json!({ "startTime": start, "duration": "1h" })).await;
    let scheduled = world.until(&namespace, "fix", State::Scheduled).await;
    let name = format!("daypass-{}", scheduled.uid().unwrap());
    let admin = world.kubectl(ADMIN);
    admin.ok(&["create", "rolebinding", &name, "-n", &namespace, "--clusterrole=edit", "--user=mallory"]).await;

    let failed = world.until(&namespace, "fix", State::Failed).await;
    let message = failed.status.as_ref().unwrap().message.clone().unwrap();
    assert!(message.contains(&name) && message.contains("is there already and is not Daypass's"), "{message}");
    let strange = world.bindings(&namespace).await.get(&name).await.expect("what an admin made is left alone");
    assert_eq!(strange.subjects.unwrap()[0].name, "mallory");
    assert!(!world.kubectl(ALICE).can_i("create", "pods", Some(&namespace)).await);
    let events = world.until_events(&failed, &["Approved", "Failed"]).await;
    assert_eq!(events[1].type_.as_deref(), Some("Warning"));
}

async fn service_account(world: Arc<World>) {
    let namespace = world.namespace("robot").await;
    let robot = json!({ "kind": "ServiceAccount", "name": "robot", "namespace": namespace });
    world.allow(&namespace, &namespace, json!({ "requesters": [robot] })).await;
    let admin = world.kubectl(ADMIN);
    let login = async |name: &str| {
        admin.ok(&["create", "serviceaccount", name, "-n", &namespace]).await;
        let token = admin.ok(&["create", "token", name, "-n", &namespace]).await;
        let kubeconfig = world.control_plane.kubeconfig_for_token(&format!("{name}-of-{namespace}"), token.trim());
        world.control_plane.kubectl_with(&kubeconfig)
    };
    let (robot, other) = (login("robot").await, login("other").await);
    let ask = |name: &str| request(&namespace, name, json!({ "duration": "5s" })).to_string();
    let make =
        |name: &str| format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, namespace: {namespace}}}}}");
    robot.apply_refused(&make("before")).await;

    robot.apply(&ask("deploy")).await;
    let granted = world.until(&namespace, "deploy", State::Active).await;
    robot.apply(&make("during")).await;
    let username = format!("system:serviceaccount:{namespace}:robot");
    assert_eq!(granted.spec.requester.as_ref().unwrap().username, username);
    let status = granted.status.unwrap();
    let bound = world.bindings(&namespace).await.get(&status.bindings[0].name).await.expect("its binding");
    assert_eq!(json!(bound.subjects), json!([{ "kind": "ServiceAccount", "name": "robot", "namespace": namespace }]));

    other.apply(&ask("not-its")).await;
    world.until(&namespace, "not-its", State::Denied).await;
    world.until(&namespace, "deploy", State::Expired).await;
    let refusal = robot.apply_refused(&make("after")).await;
    assert!(refusal.contains(&format!("User \"{username}\" cannot")), "{refusal}");
}

fn history(request: &AccessRequest) -> Vec<String> {
    request.status.iter().flat_map(|s| &s.history).map(|h| h.event.as_str().to_owned()).collect()
}
