//! The chart renders what it should, refuses values that would be unsafe, and gives the controller no right
//! beyond its list.

use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::{ControlPlane, bare, binaries, install};

pub fn trials() -> Vec<Trial> {
    vec![
        bare("chart::is_clean_and_refuses_unsafe_values", refuses_unsafe_values),
        bare("chart::two_replicas_run_and_one_is_always_ready", two_replicas),
        bare("chart::the_controller_has_only_the_rights_of_its_list", rights_of_the_controller),
    ]
}

fn chart() -> String {
    binaries::repository().join("charts/daypass").display().to_string()
}

async fn refuses_unsafe_values(control_plane: Arc<ControlPlane>) {
    control_plane.helm(&["lint", "--strict", &chart()]).await;
    for (value, words) in [
        ("bindableClusterRoles={*}", "bindableClusterRoles"),
        ("replicaCount=2", "replicaCount"),
        ("leaderElection.leaseDuration=10s", "leaseDuration"),
        ("leaderElection.retryPeriod=6s", "retryPeriod"),
        ("leaderElection.leaseDuration=15", "leaseDuration"),
        ("identity.mutatingAdmissionPolicy=maybe", "mutatingAdmissionPolicy"),
    ] {
        let refusal = control_plane.helm_refused(&["template", "daypass", &chart(), "--set", value]).await;
        assert!(refusal.contains(words), "{value}: {refusal}");
    }
}

async fn two_replicas(control_plane: Arc<ControlPlane>) {
    let args = ["template", "daypass", &chart(), "-n", install::NAMESPACE, "--set", "clusterName=eu-1"];
    let objects: Vec<Value> = serde_saphyr::from_multiple(&control_plane.helm(&args).await).expect("YAML");
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment").expect("a Deployment");
    assert_eq!(deployment["spec"]["replicas"], 2);
    let rolling = json!({ "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 0, "maxSurge": 1 } });
    assert_eq!(deployment["spec"]["strategy"], rolling);
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let args: Vec<&str> = container["args"].as_array().expect("arguments").iter().filter_map(Value::as_str).collect();
    for flag in ["--cluster=eu-1", "--lease-duration=15s", "--lease-renew-deadline=10s", "--lease-retry=2s"] {
        assert!(args.contains(&flag), "{flag} is not in {args:?}");
    }
    // The name that it stands for election in.
    let named = container["env"].as_array().expect("variables").iter().find(|variable| variable["name"] == "POD_NAME");
    assert_eq!(named.expect("POD_NAME")["valueFrom"]["fieldRef"]["fieldPath"], "metadata.name");
}

/// What the bindings of the chart give to one of its service accounts, `here` where only in its namespace.
fn rights_of(objects: &[Value], account: &str) -> Vec<String> {
    let of_account = |binding: &&Value| binding["subjects"].as_array().is_some_and(|s| s[0]["name"] == account);
    let mut rights = Vec::new();
    for binding in objects.iter().filter(of_account) {
        let is_role =
            |o: &&Value| o["kind"] == binding["roleRef"]["kind"] && o["metadata"]["name"] == binding["roleRef"]["name"];
        let role = objects.iter().find(is_role).expect("a role of the chart");
        let here = if binding["kind"] == "RoleBinding" { "here: " } else { "" };
        for rule in role["rules"].as_array().expect("rules") {
            let texts = |key: &str| -> Vec<String> {
                rule[key].as_array().into_iter().flatten().map(|v| v.as_str().unwrap().to_owned()).collect()
            };
            let names = texts("resourceNames").join(",");
            for resource in texts("resources") {
                rights.push(format!("{here}{resource}: {} {names}", texts("verbs").join(",")).trim_end().to_owned());
            }
        }
    }
    rights.sort();
    rights
}

async fn rights_of_the_controller(control_plane: Arc<ControlPlane>) {
    let args = ["template", "daypass", &chart(), "-n", install::NAMESPACE, "--set", "bindableRoles={deployer}"];
    let rendered = control_plane.helm(&args).await;
    let objects: Vec<Value> = serde_saphyr::from_multiple(&rendered).expect("YAML");
    let rights = rights_of(&objects, "daypass");
    // A new right must be added here too, with a reason in the chart.
    let expected = [
        "accesspolicies/status: patch",
        "accesspolicies: get,list,watch",
        "accessrequests/status: patch",
        "accessrequests: get,list,watch",
        "clusterrolebindings: get,list,watch,create,update,delete",
        "clusterroles: bind view,edit",
        "clusterroles: get,list,watch",
        "events: create",
        "here: leases: create",
        "here: leases: get,update daypass",
        "here: serviceaccounts/token: create daypass-canary",
        "namespaces: get,list,watch",
        "rolebindings: get,list,watch,create,update,delete",
        "roles: bind deployer",
        "roles: get",
    ];
    assert_eq!(json!(rights), json!(expected));
    // The canary can give itself the role that it may bind, so that has nothing in it.
    let expected = [
        "here: accessrequests/status: patch daypass-canary",
        "here: accessrequests: create",
        "here: accessrequests: get,patch daypass-canary",
        "here: rolebindings: create",
        "here: roles: bind daypass-canary",
    ];
    assert_eq!(json!(rights_of(&objects, "daypass-canary")), json!(expected));
    let empty = objects.iter().find(|o| o["kind"] == "Role" && o["metadata"]["name"] == "daypass-canary");
    assert_eq!(empty.expect("the canary's Role")["rules"], json!([]));
    let rendered = control_plane.helm(&args[..5]).await;
    // An empty resourceNames would mean every role.
    assert!(!rendered.contains("resourceNames: []"), "an empty list must not be rendered");
}
