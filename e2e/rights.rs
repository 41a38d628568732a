//! The controller's rights are as few as they can be: in one long story it uses each, and calls nothing besides; and
//! each that is taken away is missed.

mod operations;
mod taken;

use std::collections::BTreeSet;
use std::sync::Arc;

use daypass::api::State;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::chart;
use crate::harness::cast::SOON;
use crate::harness::install::CONTROLLER;
use crate::harness::users::{ADMIN, ALICE, EVE};
use crate::harness::{Cluster, eventually, private};

pub fn trials() -> Vec<Trial> {
    vec![
        private("rights::each_is_used_and_nothing_else_is_called", each_is_used),
        private("rights::each_that_is_taken_away_is_missed_while_it_works", taken::while_it_works),
        private("rights::each_that_is_taken_away_is_missed_at_its_start", taken::at_its_start),
        private("rights::each_that_is_taken_away_is_missed_at_its_first_start", taken::at_its_first_start),
        private("rights::each_that_is_taken_away_is_missed_by_who_proves_the_guards", taken::to_prove),
    ]
}

async fn each_is_used(cluster: Arc<Cluster>) {
    story(&cluster).await;
    let rendered = chart::render(&cluster.control_plane, &["--set", "bindableRoles={deployer}"]).await;
    let listed = single(&chart::rights_of(&rendered, "daypass"));
    let called: BTreeSet<String> = cluster.control_plane.audit_log().iter().filter_map(call).collect();
    are_the_same(&listed, &called);
}

/// Each right was used, and nothing else was called.
pub(crate) fn are_the_same(listed: &BTreeSet<String>, called: &BTreeSet<String>) {
    let unused: Vec<&String> = listed.difference(called).collect();
    let beyond: Vec<&String> = called.difference(listed).collect();
    assert!(unused.is_empty(), "rights that nothing needs: {unused:?}");
    assert!(beyond.is_empty(), "called, and not in the list: {beyond:?}");
}

/// Rights one by one, as `verb resource`. Whether `bind` is needed the API server asks itself: it is no call.
pub(crate) fn single(rights: &[String]) -> BTreeSet<String> {
    let mut single = BTreeSet::new();
    for right in rights {
        let (resource, verbs) = right.trim_start_matches("here: ").split_once(": ").expect("a right");
        let verbs = verbs.split(' ').next().expect("verbs").split(',');
        single.extend(verbs.filter(|verb| *verb != "bind").map(|verb| format!("{verb} {resource}")));
    }
    single
}

/// What the controller called, in the same words. Who one is, and what one may, everybody may ask.
pub(crate) fn call(event: &Value) -> Option<String> {
    call_by(CONTROLLER, event)
}

/// The same of another account.
pub(crate) fn call_by(account: &str, event: &Value) -> Option<String> {
    let object = &event["objectRef"];
    let asks = ["selfsubjectreviews", "selfsubjectaccessreviews"];
    let resource = object["resource"].as_str().filter(|resource| !asks.contains(resource))?;
    let part = object["subresource"].as_str().map(|part| format!("/{part}")).unwrap_or_default();
    let verb = event["verb"].as_str().expect("a verb");
    (event["user"]["username"] == account).then(|| format!("{verb} {resource}{part}"))
}

/// Grants of every form, each edited by hand and put back, and ended.
async fn story(cluster: &Cluster) {
    let namespace = cluster.namespace("rights").await;
    let (admin, roles) = (cluster.kubectl(ADMIN), json!([{ "name": "view" }, { "kind": "Role", "name": "deployer" }]));
    let scope = json!({ "namespaces": [namespace], "cluster": true });
    cluster.allow(&namespace, &namespace, json!({ "roles": roles, "scope": scope })).await;
    admin.ok(&["create", "role", "deployer", "-n", &namespace, "--verb=get", "--resource=pods"]).await;
    let one = json!([{ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["web-0"] }]);
    let (view, everywhere) = (json!({ "name": "view" }), json!({ "cluster": true }));
    let deployer = json!({ "kind": "Role", "name": "deployer" });
    for (name, who, spec) in [
        ("whole", ALICE, json!({ "role": deployer })),
        ("narrow", ALICE, json!({ "role": deployer, "rules": one })),
        ("everywhere", EVE, json!({ "role": view, "scope": everywhere })),
        ("narrow-everywhere", EVE, json!({ "role": view, "scope": everywhere, "rules": one })),
    ] {
        cluster.ask(who, &namespace, name, spec).await;
        cluster.until(&namespace, name, State::Active).await;
    }
    // Nothing is denied on what the watches say alone.
    for (name, role) in [("denied", deployer), ("denied-too", view)] {
        let rules = json!([{ "verbs": ["escalate"], "apiGroups": [""], "resources": ["pods"] }]);
        cluster.ask(ALICE, &namespace, name, json!({ "role": role, "rules": rules })).await;
        cluster.until(&namespace, name, State::Denied).await;
    }
    edit(cluster, &[&namespace]).await;
    stray(cluster, &namespace).await;
    for (name, who) in [("whole", ALICE), ("narrow", ALICE), ("everywhere", EVE), ("narrow-everywhere", EVE)] {
        cluster.review(who, &namespace, name, "Revoke", "done").await;
        cluster.until(&namespace, name, State::Revoked).await;
    }
}

/// A binding that says it belongs to a request that there is not.
pub(crate) async fn stray(cluster: &Cluster, namespace: &str) {
    let labels = json!({ "app.kubernetes.io/managed-by": "daypass", "daypass.dev/request-namespace": namespace,
        "daypass.dev/request-uid": "00000000-0000-0000-0000-000000000000" });
    let stray = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": { "name": "stray", "namespace": namespace, "labels": labels,
            "annotations": { "daypass.dev/request-name": "gone" } },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view" },
        "subjects": []
    });
    cluster.kubectl(ADMIN).apply(&stray.to_string()).await;
    let bindings = cluster.bindings(namespace).await;
    eventually("the stray is removed", SOON, async || {
        let left = bindings.get_opt("stray").await.map_err(|error| error.to_string())?;
        if left.is_none() { Ok(()) } else { Err("it is there".to_owned()) }
    })
    .await;
}

/// Takes the mark off every binding and role of Daypass, as can be done without its guard, until it is back.
pub(crate) async fn edit(cluster: &Cluster, namespaces: &[&str]) {
    let admin = cluster.kubectl(ADMIN);
    admin.ok(&["delete", "validatingadmissionpolicybinding", "daypass-binding-guard"]).await;
    let no_mark = r#"{"metadata":{"labels":{"app.kubernetes.io/managed-by":null}}}"#;
    let mine = ["-l", "app.kubernetes.io/managed-by=daypass", "-o", "name"];
    let of_namespaces =
        namespaces.iter().flat_map(|namespace| ["rolebindings", "roles"].map(|kind| (kind, *namespace)));
    let of_cluster = ["clusterrolebindings", "clusterroles"].map(|kind| (kind, "default"));
    for (kind, place) in of_namespaces.chain(of_cluster) {
        let place = ["-n", place];
        let listed = admin.ok(&[&["get", kind], &place[..], &mine].concat()).await;
        for name in listed.lines() {
            let patch = [&["patch", name, "--type=merge", "-p", no_mark], &place[..]].concat();
            eventually("the edit is accepted", SOON, async || {
                let output = admin.run(&patch).await;
                if output.ok { Ok(()) } else { Err(output.stderr) }
            })
            .await;
            eventually(&format!("{name} is as it was"), SOON, async || {
                let path = "jsonpath={.metadata.labels.app\\.kubernetes\\.io/managed-by}";
                let label = admin.ok(&[&["get", name, "-o", path], &place[..]].concat()).await;
                if label == "daypass" { Ok(()) } else { Err(format!("its label is {label:?}")) }
            })
            .await;
        }
    }
}
