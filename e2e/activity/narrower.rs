//! Narrower rules, from what real users did with real grants, applied and tried.

use daypass::api::State;
use k8s_openapi::api::rbac::v1::PolicyRule;
use serde_json::{Value, json};

use super::Fed;
use crate::harness::cast::SOON;
use crate::harness::eventually;
use crate::harness::plugin::Plugin;
use crate::harness::users::{ADMIN, ALICE};

const MADE: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: made, namespace: NAMESPACE}
"#;

pub(super) async fn proposed(fed: Fed) {
    let cluster = fed.cluster();
    let (namespace, admin) = (cluster.namespace("narrower").await, cluster.kubectl(ADMIN));
    cluster.allow(&namespace, &namespace, json!({})).await;
    admin.ok(&["create", "configmap", "web", "-n", &namespace]).await;
    fed.until_marked().await;
    let plugin = Plugin::of(cluster, ADMIN);
    let narrower = ["policy", "narrower", namespace.as_str()];
    let none = plugin.done(&[&narrower[..], &["-o", "json"]].concat()).await;
    let none: Value = serde_json::from_str(&none).expect("JSON");
    assert_eq!(none["roles"][0]["nothing"][0]["reason"], "NoGrants", "{none}");

    for name in ["first", "second"] {
        used(&fed, &namespace, name).await;
    }
    let enough = [&narrower[..], &["--min-grants=2", "--min-weeks=0"]].concat();
    let report = eventually("all that was done is told", SOON, async || {
        fed.send(&fed.log()).await;
        let (_, out, err) = plugin.run(&[&enough[..], &["-o", "json"]].concat()).await;
        let report: Value = serde_json::from_str(&out).map_err(|_| err)?;
        if report["roles"][0]["rules"].is_array() { Ok(report) } else { Err(report.to_string()) }
    })
    .await;
    let role = &report["roles"][0];
    let rules: Vec<PolicyRule> = serde_json::from_value(role["rules"].clone()).expect("rules");
    let of_maps = rules.iter().find(|rule| rule.resources == Some(vec!["configmaps".to_owned()])).expect("a rule");
    assert_eq!(of_maps.verbs, ["get", "list", "create", "patch"], "{role}");
    let others =
        rules.iter().filter(|rule| *rule != of_maps).flat_map(|rule| rule.resources.clone().unwrap_or_default());
    // What the audit policy leaves out is kept.
    assert!(others.clone().all(|resource| resource == "events" || resource == "leases"), "{role}");
    assert_eq!((&role["replay"]["grants"], &role["replay"]["lacking"]), (&json!(2), &json!([])), "{role}");
    assert!(role["riskBefore"]["level"] == "High" && role["riskAfter"]["level"] != "High", "{role}");

    let text = plugin.done(&enough).await;
    assert!(text.contains("0 of 2") && text.contains("edit-for-"), "{text}");
    let few = plugin.ends(&[&narrower[..], &["--role-yaml"]].concat(), 1).await;
    assert!(few.0.is_empty() && few.1.contains("--min-grants"), "{few:?}");
    // It must not have been written anywhere by itself.
    let narrow = format!("edit-for-{namespace}");
    admin.refused(&["get", "clusterrole", &narrow]).await;
    let manifest = plugin.done(&[&enough[..], &["--role-yaml"]].concat()).await;
    admin.apply(&manifest).await;
    tried(&fed, &namespace, &narrow).await;
}

/// A grant that is used for what it is for, and ends.
async fn used(fed: &Fed, namespace: &str, name: &str) {
    let (cluster, alice) = (fed.cluster(), fed.cluster().kubectl(ALICE));
    cluster.ask(ALICE, namespace, name, json!({ "duration": "1h" })).await;
    cluster.until(namespace, name, State::Active).await;
    fed.recorded.until_recorded(namespace, name, &["Requested", "Granted"]).await;
    work(fed, namespace).await;
    Plugin::of(cluster, ALICE).done(&["drop", name, "-n", namespace]).await;
    cluster.until_unbound(namespace).await;
    alice.refused(&["get", "configmap", "web", "-n", namespace]).await;
}

/// Reads, and makes by `apply` what is not there, for which the API server asks for `create` within a patch.
async fn work(fed: &Fed, namespace: &str) {
    let (alice, admin) = (fed.cluster().kubectl(ALICE), fed.cluster().kubectl(ADMIN));
    admin.run(&["delete", "configmap", "made", "-n", namespace]).await;
    alice.ok(&["get", "configmap", "web", "-n", namespace]).await;
    alice.ok(&["get", "configmaps", "-n", namespace]).await;
    alice.apply_server_side(&MADE.replace("NAMESPACE", namespace)).await;
}

/// The narrower role in place of the other: all that was done can be done again, and nothing else.
async fn tried(fed: &Fed, namespace: &str, role: &str) {
    let (cluster, alice) = (fed.cluster(), fed.cluster().kubectl(ALICE));
    let (admin, binder) = (cluster.kubectl(ADMIN), format!("binds-{role}"));
    let (name, to) = (format!("--resource-name={role}"), format!("--clusterrole={binder}"));
    let bind = ["create", "clusterrole", &binder, "--verb=bind", "--resource=clusterroles.rbac.authorization.k8s.io"];
    admin.ok(&[&bind[..], &[&name]].concat()).await;
    let give = ["create", "clusterrolebinding", &binder, &to, "--user=gitops"];
    admin.ok(&[&give[..], &["--serviceaccount=daypass-system:daypass"]].concat()).await;
    cluster.allow(namespace, namespace, json!({ "roles": [{ "name": role }] })).await;
    cluster.ask(ALICE, namespace, "third", json!({ "duration": "1h", "role": { "name": role } })).await;
    cluster.until(namespace, "third", State::Active).await;
    work(fed, namespace).await;
    for never in [["delete", "configmap", "web"], ["get", "secrets", "--ignore-not-found"]] {
        alice.refused(&[&never[..], &["-n", namespace]].concat()).await;
    }
}
