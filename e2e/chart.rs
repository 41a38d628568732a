//! The chart renders what it should, refuses values that would be unsafe, and gives the controller no right
//! beyond its list.

use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::{ControlPlane, bare, binaries, install};

pub fn trials() -> Vec<Trial> {
    vec![
        bare("chart::is_clean_and_refuses_unsafe_values", refuses_unsafe_values),
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
        ("identity.mutatingAdmissionPolicy=maybe", "mutatingAdmissionPolicy"),
    ] {
        let refusal = control_plane.helm_refused(&["template", "daypass", &chart(), "--set", value]).await;
        assert!(refusal.contains(words), "{value}: {refusal}");
    }
}

async fn rights_of_the_controller(control_plane: Arc<ControlPlane>) {
    let args = ["template", "daypass", &chart(), "-n", install::NAMESPACE, "--set", "bindableRoles={deployer}"];
    let rendered = control_plane.helm(&args).await;
    let objects: Vec<Value> = serde_saphyr::from_multiple(&rendered).expect("YAML");
    let of_controller = |object: &&Value| object["kind"] == "ClusterRole" && object["metadata"]["name"] == "daypass";
    let role = objects.iter().find(of_controller).expect("the controller's ClusterRole");
    let mut rights: Vec<String> = Vec::new();
    for rule in role["rules"].as_array().expect("rules") {
        let texts = |key: &str| -> Vec<String> {
            rule[key].as_array().into_iter().flatten().map(|v| v.as_str().unwrap().to_owned()).collect()
        };
        let names = texts("resourceNames").join(",");
        for resource in texts("resources") {
            rights.push(format!("{resource}: {} {names}", texts("verbs").join(",")).trim_end().to_owned());
        }
    }
    rights.sort();
    // A new right must be added here too, with a reason in the chart.
    let expected = [
        "accesspolicies/status: patch",
        "accesspolicies: get,list,watch",
        "accessrequests/status: patch",
        "accessrequests: get,list,watch",
        "clusterrolebindings: get,list,watch,create,update,delete",
        "clusterroles: bind view,edit",
        "events: create",
        "namespaces: get,list,watch",
        "rolebindings: get,list,watch,create,update,delete",
        "roles: bind deployer",
    ];
    assert_eq!(json!(rights), json!(expected));
    let rendered = control_plane.helm(&args[..5]).await;
    // An empty resourceNames would mean every role.
    assert!(!rendered.contains("resourceNames: []"), "an empty list must not be rendered");
}
