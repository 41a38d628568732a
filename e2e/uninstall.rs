//! The chart can be taken away without leaving anything stuck.

use std::sync::Arc;

use daypass::api::State;
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::cast::SOON;
use crate::harness::users::{ADMIN, ALICE};
use crate::harness::{Cluster, Daypass, eventually, private};

pub fn trials() -> Vec<Trial> {
    vec![private("uninstall::leaves_no_stuck_object", leaves_no_stuck_object)]
}

async fn leaves_no_stuck_object(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("uninstall").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let other = cluster.namespace("uninstall").await;
    cluster.allow("another", &other, json!({})).await;
    for (place, name) in [(&namespace, "running"), (&other, "over")] {
        cluster.ask(ALICE, place, name, json!({ "duration": "1h" })).await;
        cluster.until(place, name, State::Active).await;
    }
    let admin = cluster.kubectl(ADMIN);
    // As the notes of the chart say: take policies away while the controller can still end access. The record stays.
    admin.ok(&["delete", "accesspolicies", "another"]).await;
    cluster.until(&other, "over", State::Revoked).await;
    cluster.until_unbound(&other).await;
    cluster.controller.kill();
    Daypass::uninstall(&cluster.control_plane).await;

    // Nothing of ours has a finalizer, so everything can be deleted with nobody there to help.
    admin.ok(&["delete", "areq", "running", "-n", &namespace, "--timeout=60s"]).await;
    eventually("the garbage collector ends the access", std::time::Duration::from_secs(60), async || {
        let left = cluster.our_bindings(&namespace).await.len();
        if left == 0 { Ok(()) } else { Err(format!("{left} bindings are left")) }
    })
    .await;
    assert!(!cluster.kubectl(ALICE).can_i("create", "pods", Some(&namespace)).await);
    admin.ok(&["delete", "apol", "--all", "--timeout=60s"]).await;
    admin.ok(&["delete", "crd", "accessrequests.daypass.dev", "accesspolicies.daypass.dev", "--timeout=60s"]).await;
    admin.ok(&["delete", "namespace", &namespace, "daypass-system", "--timeout=80s"]).await;
    // Which kinds of admission there are depends on the version.
    let admission = ["api-resources", "--api-group=admissionregistration.k8s.io", "--verbs=list", "-o", "name"];
    let admission = admin.ok(&admission).await;
    assert!(admission.contains("validatingadmissionpolicies"), "{admission}");
    let kinds: Vec<&str> = admission.lines().chain(["clusterroles", "clusterrolebindings", "crd"]).collect();
    eventually("no object of the chart is left", SOON, async || {
        let left = admin.ok(&["get", &kinds.join(","), "-o", "name"]).await;
        let ours: Vec<&str> = left.lines().filter(|line| line.contains("daypass")).collect();
        if ours.is_empty() { Ok(()) } else { Err(ours.join(", ")) }
    })
    .await;
}
