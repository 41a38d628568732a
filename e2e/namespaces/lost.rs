//! A served namespace that goes, or the right to read it: the others go on, and nothing that was given outlives its end.

use std::sync::Arc;

use daypass::api::State;
use daypass::core::lifecycle::reap::Stray;
use daypass::core::model::field_error::FieldError;
use daypass::core::model::problem::ScopeProblem;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::{SERVED, limited, make, much};
use crate::harness::cast::{SOON, assert_says, request, why_over};
use crate::harness::cluster::limits;
use crate::harness::users::{ADMIN, ALICE};
use crate::harness::wait::now;
use crate::harness::{Cluster, ControlPlane, Daypass, eventually};

pub async fn one_is_missing(control_plane: Arc<ControlPlane>) {
    let namespaces = ["bank", "late", "shop"];
    make(&control_plane, &namespaces).await;
    let cluster = Cluster::limited(control_plane, &namespaces).await;
    cluster.allow("much", "*", much()).await;
    let admin = cluster.kubectl(ADMIN);
    cluster.ask(ALICE, "late", "before", json!({ "scope": { "namespaces": ["late", "shop"] } })).await;
    cluster.until("late", "before", State::Active).await;
    // It goes, and takes along what is for it and in it. The rest of what its requests gave ends as well.
    admin.ok(&["delete", "namespace", "late", "--timeout=60s"]).await;
    cluster.until_unbound("shop").await;

    cluster.controller.restart().await;
    let unread = "ok: leads; cannot read namespace late (accessrequests, rolebindings, roles)\n";
    until_ready(&cluster, unread).await;
    cluster.ask(ALICE, "bank", "fix", json!({ "duration": "2s" })).await;
    cluster.until("bank", "fix", State::Active).await;
    cluster.until("bank", "fix", State::Expired).await;
    cluster.ask(ALICE, "bank", "there", json!({ "scope": { "namespaces": ["late"] } })).await;
    let denied = cluster.until("bank", "there", State::Denied).await.status.expect("a status");
    let missing = FieldError::new("spec.scope.namespaces", ScopeProblem::Missing(vec!["late".to_owned()]));
    assert_eq!(why_over(&denied), missing.to_string());
    let log = cluster.controller.log();
    let is_warning =
        |line: &&str| [r#""WARN""#, r#""kind":"#, r#""namespace":"late""#].iter().all(|part| line.contains(part));
    let warnings = log.lines().filter(is_warning).count();
    assert_eq!(warnings, 3, "each kind is told once: {log}");

    eventually("it is asked for less and less often", SOON, async || {
        let refusals = refused_at(&cluster, "late");
        let waits = refusals.windows(2).map(|two| two[1].duration_since(two[0]).as_millis());
        let longest = waits.max().unwrap_or_default();
        if longest > 1_000 { Ok(()) } else { Err(format!("{} times, at most {longest} ms apart", refusals.len())) }
    })
    .await;

    // It comes, and waits for its Role.
    make(&cluster.control_plane, &["late"]).await;
    cluster.ask(ALICE, "late", "again", json!({ "scope": { "namespaces": ["late", "shop"] } })).await;
    until_ready(&cluster, unread).await;
    let waits = cluster.requests("late").await.get("again").await.expect("the request");
    assert!(waits.status.is_none(), "{waits:?}");
    Daypass::install(&cluster.control_plane, &["bindableRoles={deployer}", &limits(&namespaces).0]).await;
    cluster.until("late", "again", State::Active).await;
    until_ready(&cluster, "ok: leads\n").await;
    assert!(cluster.kubectl(ALICE).can_i("create", "pods", Some("late")).await);
}

/// It goes while no controller runs. With it go its requests and the right to ask for them.
pub async fn gone_unseen(control_plane: Arc<ControlPlane>) {
    let namespaces = ["late", "shop"];
    make(&control_plane, &namespaces).await;
    let cluster = Cluster::limited(control_plane, &namespaces).await;
    cluster.allow("much", "*", much()).await;
    cluster.ask(ALICE, "late", "fix", json!({ "scope": { "namespaces": ["late", "shop"] } })).await;
    cluster.until("late", "fix", State::Active).await;
    cluster.controller.kill();
    cluster.kubectl(ADMIN).ok(&["delete", "namespace", "late", "--timeout=60s"]).await;
    assert_eq!(cluster.our_bindings("shop").await.len(), 1);
    cluster.controller.restart().await;
    cluster.until_unbound("shop").await;
}

/// One of two that a grant is over goes, with the right to delete what was in it.
pub async fn gone_under_a_grant(control_plane: Arc<ControlPlane>) {
    let namespaces = ["late", "shop"];
    make(&control_plane, &namespaces).await;
    let cluster = Cluster::limited(control_plane, &namespaces).await;
    cluster.allow("much", "*", much()).await;
    let one = json!([{ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["web-0"] }]);
    for (name, spec) in [("whole", json!({})), ("narrow", json!({ "rules": one, "duration": "15s" }))] {
        let mut spec = spec;
        spec["scope"] = json!({ "namespaces": namespaces });
        cluster.ask(ALICE, "shop", name, spec).await;
        let granted = cluster.until("shop", name, State::Active).await;
        cluster.until_events(&granted, &["Granted"]).await;
    }
    cluster.controller.kill();
    cluster.kubectl(ADMIN).ok(&["delete", "namespace", "late", "--timeout=60s"]).await;
    cluster.controller.restart().await;
    cluster.review(ALICE, "shop", "whole", "Revoke", "done").await;
    for (name, state, event) in [("whole", State::Revoked, "Revoked"), ("narrow", State::Expired, "Expired")] {
        let over = cluster.until("shop", name, state).await;
        cluster.until_events(&over, &["Granted", event]).await;
    }
    assert!(cluster.our_bindings("shop").await.is_empty());
}

/// The record that says when it ends is out of sight, and the binding is not.
pub async fn unread(control_plane: Arc<ControlPlane>) {
    let cluster = limited(control_plane).await;
    let scope = json!({ "namespaces": ["shop"] });
    cluster.ask(ALICE, "bank", "fix", json!({ "scope": scope, "duration": "8s" })).await;
    let granted = cluster.until("bank", "fix", State::Active).await.status.expect("a status");
    let end = granted.expires_at.expect("an end").0;
    cluster.ask(ALICE, "bank", "long", json!({ "policy": "much", "scope": scope, "duration": "30m" })).await;
    cluster.until("bank", "long", State::Active).await;
    cluster.kubectl(ADMIN).ok(&["delete", "rolebinding", "daypass", "-n", "bank"]).await;
    cluster.controller.kill();
    cluster.controller.restart().await;
    until_ready(&cluster, "ok: leads; cannot read namespace bank (accessrequests, rolebindings, roles)\n").await;
    eventually("the one whose end has come is gone", SOON, async || match cluster.our_bindings("shop").await.len() {
        1 => Ok(()),
        left => Err(format!("{left} are there")),
    })
    .await;
    assert!(now() >= end, "it went before its end");
    let log = cluster.controller.log();
    assert_says(&log, &Stray::NotedEnd);

    // What happened meanwhile goes on record, and the other is ended as ever.
    Daypass::install(&cluster.control_plane, &["bindableRoles={deployer}", &limits(&SERVED).0]).await;
    cluster.until("bank", "fix", State::Expired).await;
    cluster.review(ALICE, "bank", "long", "Revoke", "done").await;
    cluster.until("bank", "long", State::Revoked).await;
    assert!(cluster.our_bindings("shop").await.is_empty());
}

/// When the controller was refused to list the Roles of a namespace.
fn refused_at(cluster: &Cluster, namespace: &str) -> Vec<Timestamp> {
    let is_it = |event: &&Value| {
        let object = &event["objectRef"];
        event["verb"] == "list"
            && (&object["resource"], &object["namespace"]) == (&json!("roles"), &json!(namespace))
            && event["responseStatus"]["code"] == 403
    };
    let log = cluster.control_plane.audit_log();
    let times = log.iter().filter(is_it).map(|event| event["stageTimestamp"].as_str().expect("a time"));
    times.map(|time| time.parse().expect("a time")).collect()
}

/// The chart's binding in one namespace is deleted, and its watches break. What happens there meanwhile is seen when it is
/// back; in the other one all goes on.
pub async fn right_goes_and_comes_back(control_plane: Arc<ControlPlane>) {
    let cluster = limited(control_plane).await;
    let admin = cluster.kubectl(ADMIN);
    for name in ["first", "second"] {
        cluster.ask(ALICE, "shop", name, json!({})).await;
        cluster.until("shop", name, State::Active).await;
    }
    admin.ok(&["delete", "rolebinding", "daypass", "-n", "shop"]).await;
    cluster.control_plane.stop_api_server();
    cluster.control_plane.start_api_server().await;
    let unread = "ok: leads; cannot read namespace shop (accessrequests, rolebindings, roles)\n";
    until_ready(&cluster, unread).await;
    let first = cluster.requests("shop").await.get("first").await.expect("a request").uid().expect("a UID");
    admin.ok(&["delete", "rolebinding", &format!("daypass-{first}"), "-n", "shop"]).await;
    eventually("what is asked is heard again", SOON, async || {
        let ask = request("bank", "fix", json!({ "duration": "2s" })).to_string();
        let output = cluster.kubectl(ALICE).run_with(&["apply", "-f", "-"], &ask).await;
        if output.ok { Ok(()) } else { Err(output.stderr) }
    })
    .await;
    cluster.until("bank", "fix", State::Expired).await;
    let still = cluster.requests("shop").await.get("first").await.expect("a request").status.expect("a status").state;
    assert_eq!(still, State::Active, "nobody could see it");

    Daypass::install(&cluster.control_plane, &["bindableRoles={deployer}", &limits(&SERVED).0]).await;
    cluster.until("shop", "first", State::Revoked).await;
    // Without any event since: the watch begins anew, and that is enough.
    until_ready(&cluster, "ok: leads\n").await;
    let second = cluster.requests("shop").await.get("second").await.expect("a request").status.expect("a status").state;
    assert_eq!((second, cluster.our_bindings("shop").await.len()), (State::Active, 1));
}

async fn until_ready(cluster: &Cluster, wanted: &str) {
    eventually(&format!("/readyz says {wanted}"), SOON, async || match cluster.controller.get("/readyz").await? {
        (200, answer) if answer == wanted => Ok(()),
        (_, answer) => Err(answer),
    })
    .await;
}
