//! The controller may die at any moment. What it left half done is finished by the next one, nothing outlives
//! its end, and nothing is granted twice.

use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::Method;
use daypass::api::{AccessRequest, State};
use daypass::controller::loops::reaper::SWEEP;
use daypass::core::lifecycle::drift::GrantLoss;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::cast::{SOON, why_over};
use crate::harness::install::CONTROLLER;
use crate::harness::proxy::{Fault, Way, deaths};
use crate::harness::users::{ADMIN, ALICE};
use crate::harness::wait::now;
use crate::harness::{Cluster, eventually, private};

pub fn trials() -> Vec<Trial> {
    vec![
        private("crash::killed_at_every_write_of_a_grant_and_a_revoke", killed_at_every_write),
        private("crash::killed_at_every_write_of_a_narrow_grant", killed_at_every_narrow_write),
        private("crash::a_namespace_made_anew_unseen_is_not_the_one_that_was_granted", namespace_made_anew),
        private("crash::overdue_grants_go_when_the_controller_starts", overdue_grants),
        private("crash::an_end_that_comes_while_the_api_server_is_away", api_server_away),
        private("crash::what_an_api_server_forbids_that_just_started_is_not_over", api_server_starts),
        private("crash::a_controller_that_is_asked_to_stop_does", asked_to_stop),
        private("crash::what_happened_meanwhile_is_seen_at_the_start", what_happened_meanwhile),
        private("crash::a_binding_that_nobody_knows_is_removed", a_stray_binding),
    ]
}

/// Writes of one life: record, bind, record, Event; unbind, record, Event.
const WRITES: usize = 7;

/// The same of one that asks for less than its role: after the first record the controller asks who it is, lends itself
/// the role, makes one and binds it, gives the loan back; at the end it deletes the role before the binding.
const NARROW_WRITES: usize = 12;

async fn killed_at_every_write(cluster: Arc<Cluster>) {
    killed(cluster, &json!({ "duration": "3s" }), WRITES).await;
}

async fn killed_at_every_narrow_write(cluster: Arc<Cluster>) {
    let rule = json!({ "verbs": ["delete"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["web-0"] });
    killed(cluster, &json!({ "duration": "3s", "rules": [rule] }), NARROW_WRITES).await;
}

async fn killed(cluster: Arc<Cluster>, spec: &Value, writes: usize) {
    // The controller under test speaks through the proxy; the one that the cluster came with is not needed.
    cluster.controller.kill();
    let (proxy, controller) = cluster.controller_through_proxy().await;
    let controller = Arc::new(controller);
    let namespace = cluster.namespace("crash").await;
    cluster.allow(&namespace, &namespace, json!({})).await;

    for (write, moment) in deaths(writes) {
        let name = format!("die-{write}-{moment:?}").to_lowercase();
        let seen = AtomicUsize::new(0);
        let died = Arc::new(Mutex::new(None));
        let (death, victim) = (died.clone(), controller.clone());
        proxy.watch(move |at, request| {
            if death.lock().unwrap().is_some() {
                return Way::Cut;
            }
            if at != moment || seen.fetch_add(1, Ordering::SeqCst) != write {
                return Way::On;
            }
            victim.kill();
            *death.lock().unwrap() = Some(format!("{} {}", request.method, request.path));
            Way::Cut
        });
        cluster.ask(ALICE, &namespace, &name, spec.clone()).await;
        eventually(&format!("it dies at write {write}"), SOON, async || {
            died.lock().unwrap().clone().ok_or_else(|| "it lives".to_owned())
        })
        .await;
        proxy.pass_all();
        controller.restart().await;
        let ended = cluster.until(&namespace, &name, State::Expired).await;
        let at = died.lock().unwrap().clone().unwrap();
        whole(&cluster, &namespace, &ended, &format!("{moment:?} {at}")).await;
    }
}

/// The record is complete, nothing is left, and the audit log has one binding, created and deleted once.
async fn whole(cluster: &Cluster, namespace: &str, ended: &AccessRequest, at: &str) {
    assert!(cluster.our_bindings(namespace).await.is_empty(), "{at}: a binding is left");
    let roles = cluster.kubectl(ADMIN).ok(&["get", "roles", "-n", namespace, "-o", "name"]).await;
    assert_eq!(roles, "", "{at}: a role is left");
    let status = ended.status.as_ref().unwrap();
    let history: Vec<&str> = status.history.iter().map(|entry| entry.event.as_str()).collect();
    let (from, until) = (status.granted_at.clone().unwrap().0, status.expires_at.clone().unwrap().0);
    assert_eq!(until.duration_since(from).as_secs(), 3, "{at}: the end moved");
    let name = format!("daypass-{}", ended.uid().unwrap());
    let count = |verb: &str| cluster.times_done(verb, "rolebindings", &name);
    let bound = usize::from(history.contains(&"Granted"));
    assert!(
        count("delete") <= 1 && (bound..=1).contains(&count("create")),
        "{at}: {} created, {} deleted",
        count("create"),
        count("delete")
    );
    // Killed between the bind and its record for longer than the grant, there was no time to be active.
    assert!(history == ["Granted", "Expired"] || history == ["Expired"], "{at}: {history:?}");
}

async fn overdue_grants(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("overdue").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let names: Vec<String> = (0..20).map(|n| format!("overdue-{n}")).collect();
    for name in &names {
        cluster.ask(ALICE, &namespace, name, json!({ "duration": "15s" })).await;
    }
    let mut last = None;
    for name in &names {
        let end = cluster.until(&namespace, name, State::Active).await.status.unwrap().expires_at.unwrap().0;
        last = last.max(Some(end));
    }
    cluster.controller.kill();
    past(last.unwrap()).await;
    assert_eq!(cluster.our_bindings(&namespace).await.len(), names.len(), "without a controller nothing ends");
    cluster.controller.restart().await;
    eventually("every overdue binding is gone", Duration::from_secs(10), async || {
        let left = cluster.our_bindings(&namespace).await.len();
        if left == 0 { Ok(()) } else { Err(format!("{left} are left")) }
    })
    .await;
    for name in &names {
        cluster.until(&namespace, name, State::Expired).await;
    }
    // Records take longer than deletions, and wait for all of them.
    let when = |verb: &str, resource: &str| {
        let calls = cluster.control_plane.calls_of(CONTROLLER).into_iter();
        let of_it = |event: &Value| {
            (&event["verb"], &event["objectRef"]["resource"]) == (&json!(verb), &json!(resource))
                && event["objectRef"]["namespace"] == namespace
                && event["responseStatus"]["code"] == 200
        };
        let times = calls.filter(of_it).map(|event| event["requestReceivedTimestamp"].as_str().unwrap().to_owned());
        let mut times: Vec<Timestamp> = times.map(|time| time.parse().unwrap()).collect();
        times.sort_unstable();
        times
    };
    let (deletions, records) = (when("delete", "rolebindings"), when("patch", "accessrequests"));
    assert_eq!((deletions.len(), records.len()), (names.len(), names.len() * 3));
    let first = records[names.len() * 2];
    assert!(deletions.iter().all(|deletion| *deletion < first), "{first} is before some of {deletions:?}");
}

async fn api_server_away(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("away").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "4s" })).await;
    let granted = cluster.until(&namespace, "fix", State::Active).await;
    cluster.until_events(&granted, &["Granted"]).await;
    let end = granted.status.unwrap().expires_at.unwrap().0;
    cluster.control_plane.stop_api_server();
    past(end).await;
    cluster.control_plane.start_api_server().await;
    // A leader that was away for longer than its deadline ends, and is started again.
    cluster.controller.revive();
    let expired = cluster.until(&namespace, "fix", State::Expired).await;
    assert!(cluster.our_bindings(&namespace).await.is_empty());
    cluster.until_events(&expired, &["Granted", "Expired"]).await;
}

/// An API server that starts forbids what roles allow that it does not know yet. It is so for milliseconds only, in which
/// a trial cannot be sure to meet it, so a proxy says it.
async fn api_server_starts(cluster: Arc<Cluster>) {
    cluster.controller.kill();
    let (proxy, controller) = cluster.controller_through_proxy().await;
    let namespace = cluster.namespace("starts").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let refusals = Arc::new(AtomicUsize::new(0));
    let ready = Arc::new(AtomicU16::new(500));
    let (refused, answer) = (refusals.clone(), ready.clone());
    let place = format!("/namespaces/{namespace}/rolebindings");
    proxy.disturb(move |call| match call.path.as_str() {
        "/readyz" => Some(Fault::Answer(answer.load(Ordering::SeqCst))),
        path if call.method == Method::POST && path.ends_with(&place) => {
            refused.fetch_add(1, Ordering::SeqCst);
            Some(Fault::Answer(403))
        }
        _ => None,
    });
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "1h" })).await;
    eventually("the binding was refused four times", SOON, async || {
        let times = refusals.load(Ordering::SeqCst);
        if times >= 4 { Ok(()) } else { Err(format!("it was {times} times: {}", controller.log())) }
    })
    .await;
    // Who may not even ask that is in need of help, whatever else failed before.
    ready.store(403, Ordering::SeqCst);
    let waits = cluster.requests(&namespace).await.get("fix").await.unwrap();
    cluster.until_events(&waits, &["Hindered"]).await;
    proxy.calm();
    let granted = cluster.until(&namespace, "fix", State::Active).await;
    cluster.until_events(&granted, &["Hindered", "Granted"]).await;
}

async fn asked_to_stop(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("stop").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "4s" })).await;
    cluster.until(&namespace, "fix", State::Active).await;
    let status = cluster.controller.terminate().await;
    assert!(status.success(), "{status}: {}", cluster.controller.log());
    // Stopping takes no access away: that is for the next one, or for the end.
    assert_eq!(cluster.our_bindings(&namespace).await.len(), 1);
    cluster.controller.restart().await;
    cluster.until(&namespace, "fix", State::Expired).await;
}

async fn past(end: Timestamp) {
    eventually("the end is past", SOON, async || if now() > end { Ok(()) } else { Err(end.to_string()) }).await;
}

/// Each of these would have been an event of a watch; at the start there is only what the lists say.
async fn what_happened_meanwhile(cluster: Arc<Cluster>) {
    let (home, away) = (cluster.namespace("home").await, cluster.namespace("away").await);
    let both = json!({ "namespaces": [home, away] });
    cluster.allow(&home, &home, json!({ "scope": both })).await;
    cluster.allow("going", &home, json!({ "roles": [{ "name": "view" }] })).await;
    let long = json!({ "duration": "1h", "scope": { "namespaces": [away] } });
    cluster.ask(ALICE, &home, "deleted-request", long).await;
    cluster.ask(ALICE, &home, "deleted-binding", json!({ "duration": "1h" })).await;
    cluster.ask(ALICE, &home, "deleted-policy", json!({ "duration": "1h", "role": { "name": "view" } })).await;
    cluster.ask(ALICE, &home, "replaced-binding", json!({ "duration": "1h" })).await;
    for name in ["deleted-request", "deleted-policy"] {
        cluster.until(&home, name, State::Active).await;
    }
    let bindings_of =
        async |name: &str| cluster.until(&home, name, State::Active).await.status.unwrap().bindings.remove(0).name;
    let (binding, replaced) = (bindings_of("deleted-binding").await, bindings_of("replaced-binding").await);
    cluster.controller.kill();
    let admin = cluster.kubectl(ADMIN);
    admin.ok(&["delete", "areq", "deleted-request", "-n", &home]).await;
    // In the foreground, so that the garbage collector has to take its finalizer away without the controller.
    let foreground = ["--cascade=foreground", "--timeout=30s"];
    admin.ok(&[&["delete", "rolebinding", &binding, &replaced, "-n", &home], &foreground[..]].concat()).await;
    admin.ok(&["create", "rolebinding", &replaced, "-n", &home, "--clusterrole=view", "--user=mallory"]).await;
    admin.ok(&["delete", "apol", "going"]).await;
    assert_eq!(cluster.our_bindings(&away).await.len(), 1, "the garbage collector does not reach across namespaces");
    cluster.controller.restart().await;
    cluster.until(&home, "deleted-binding", State::Revoked).await;
    cluster.until(&home, "deleted-policy", State::Revoked).await;
    cluster.until(&home, "replaced-binding", State::Revoked).await;
    let strange = cluster.bindings(&home).await.get(&replaced).await.expect("what an admin made is left alone");
    assert_eq!(strange.subjects.unwrap()[0].name, "mallory");
    eventually("no binding is left", SOON, async || {
        let left = cluster.our_bindings(&home).await.len() + cluster.our_bindings(&away).await.len();
        if left == 0 { Ok(()) } else { Err(format!("{left} are")) }
    })
    .await;
}

/// A namespace of a grant is deleted and made anew while no controller looks.
async fn namespace_made_anew(cluster: Arc<Cluster>) {
    let admin = cluster.kubectl(ADMIN);
    let (home, away) = (cluster.namespace("home").await, cluster.namespace("away").await);
    cluster.allow(&home, &home, json!({ "scope": { "namespaces": [home, away] } })).await;
    cluster.ask(ALICE, &home, "fix", json!({ "duration": "1h", "scope": { "namespaces": [away] } })).await;
    let granted = cluster.until(&home, "fix", State::Active).await.status.expect("a status");
    assert_eq!(granted.namespace_uids.keys().collect::<Vec<_>>(), [&away]);
    cluster.controller.kill();
    admin.ok(&["delete", "namespace", &away, "--timeout=60s"]).await;
    admin.ok(&["create", "namespace", &away]).await;
    cluster.controller.restart().await;
    let ended = cluster.until(&home, "fix", State::Revoked).await.status.expect("a status");
    assert_eq!(why_over(&ended), GrantLoss::NamespaceRemade(away.clone()).to_string());
    assert!(cluster.our_bindings(&away).await.is_empty());
}

/// A binding with our mark that no record knows, as if somebody had switched the guard off for a moment.
async fn a_stray_binding(cluster: Arc<Cluster>) {
    let admin = cluster.kubectl(ADMIN);
    let namespace = cluster.namespace("stray").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "1h" })).await;
    let live = cluster.until(&namespace, "fix", State::Active).await;
    admin.ok(&["delete", "validatingadmissionpolicybinding", "daypass-binding-guard"]).await;

    // One that carries the label alone is somebody's: it stays, and is no access that is overdue.
    let foreign = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": { "name": "foreign", "namespace": namespace,
            "labels": { "app.kubernetes.io/managed-by": "daypass" } },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view" },
        "subjects": [{ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "theirs" }]
    });
    eventually("the foreign one is accepted", SOON, async || {
        let output = admin.run_with(&["apply", "-f", "-"], &foreign.to_string()).await;
        if output.ok { Ok(()) } else { Err(output.stderr) }
    })
    .await;
    let uids = [live.uid().unwrap(), "00000000-0000-0000-0000-000000000000".to_owned()];
    for (index, uid) in uids.iter().enumerate() {
        let stray = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": { "name": format!("stray-{index}"), "namespace": namespace,
                "labels": { "app.kubernetes.io/managed-by": "daypass", "daypass.dev/request-uid": uid } },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view" },
            "subjects": [{ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "mallory" }]
        });
        eventually("the stray is accepted", SOON, async || {
            let output = admin.run_with(&["apply", "-f", "-"], &stray.to_string()).await;
            if output.ok { Ok(()) } else { Err(output.stderr) }
        })
        .await;
    }
    let bindings = cluster.bindings(&namespace).await;
    eventually("the one of no request does not wait for a sweep", Duration::from_secs(10), async || {
        let found = bindings.get_opt("stray-1").await.map_err(|error| error.to_string())?;
        if found.is_none() { Ok(()) } else { Err("it is there".to_owned()) }
    })
    .await;
    // With the guard gone, the real binding can be edited too, and is put back.
    let real = live.status.as_ref().unwrap().bindings[0].name.clone();
    let wider = r#"{"subjects":[{"kind":"Group","apiGroup":"rbac.authorization.k8s.io","name":"system:authenticated"}],"metadata":{"annotations":{"daypass.dev/expires-at":"2030-01-01T00:00:00Z"}}}"#;
    admin.ok(&["patch", "rolebinding", &real, "-n", &namespace, "--type=merge", "-p", wider]).await;
    let unmarked = r#"{"metadata":{"labels":{"app.kubernetes.io/managed-by":null}}}"#;
    restored(&cluster, &namespace, &real).await;
    admin.ok(&["patch", "rolebinding", &real, "-n", &namespace, "--type=merge", "-p", unmarked]).await;
    restored(&cluster, &namespace, &real).await;
    // The other stray names a live request, so it takes a sweep to find it.
    eventually("only the real binding is left", SWEEP + SOON, async || {
        let left: Vec<String> = cluster.our_bindings(&namespace).await.iter().map(ResourceExt::name_any).collect();
        if left == [real.clone(), "foreign".to_owned()] { Ok(()) } else { Err(format!("{left:?} are")) }
    })
    .await;
    assert_eq!(cluster.controller.metric("daypass_foreign_bindings").await, 1.0);
    assert_eq!(cluster.controller.metric("daypass_overdue_grants").await, 0.0);
    let warnings = cluster.controller.log().lines().filter(|line| line.contains("delete it and make it anew")).count();
    assert_eq!(warnings, 1, "the sweeps name it once");
    admin.ok(&["delete", "rolebinding", "foreign", "-n", &namespace]).await;
    let request = cluster.until(&namespace, "fix", State::Active).await;
    let events = cluster.until_events(&request, &["Granted", "BindingRestored", "BindingRestored"]).await;
    assert_eq!(events[1].type_.as_deref(), Some("Warning"));

    // RBAC goes on honouring a deleted binding until its last finalizer is gone. It goes without delay.
    cluster.controller.kill();
    let stays = r#"{"metadata":{"finalizers":["example.com/stays"]}}"#;
    admin.ok(&["patch", "rolebinding", &real, "-n", &namespace, "--type=merge", "-p", stays]).await;
    admin.ok(&["delete", "rolebinding", &real, "-n", &namespace, "--wait=false"]).await;
    cluster.controller.start_again();
    cluster.until(&namespace, "fix", State::Revoked).await;
    assert!(cluster.our_bindings(&namespace).await.is_empty(), "a finalizer keeps the access in force");
}

async fn restored(cluster: &Cluster, namespace: &str, name: &str) {
    let bindings = cluster.bindings(namespace).await;
    eventually("the binding is as it was", SOON, async || {
        let binding = bindings.get(name).await.map_err(|error| error.to_string())?;
        let subjects = binding.subjects.clone().unwrap_or_default();
        let marked = binding.labels().contains_key("app.kubernetes.io/managed-by");
        let alone = subjects.len() == 1 && subjects[0].name == "alice";
        let dated = !binding.annotations()["daypass.dev/expires-at"].starts_with("2030");
        if marked && alone && dated { Ok(()) } else { Err(format!("{marked} {subjects:?}")) }
    })
    .await;
}
