//! What the API server writes down under the audit policy of the examples: who did what with which grant, and
//! nothing that would be a leak.

use std::sync::Arc;

use daypass::api::State;
use kube::ResourceExt;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::cast::SOON;
use crate::harness::install::CONTROLLER;
use crate::harness::users::{ADMIN, ALICE, BOB};
use crate::harness::{Cluster, ControlPlane, alone, eventually};

const POLICY: &str = include_str!("../examples/audit/policy.yaml");
const SINK: &str = include_str!("../examples/audit/fluent-bit-values.yaml");

pub fn trials() -> Vec<Trial> {
    vec![alone("audit::every_act_leads_to_its_request", POLICY, every_act_leads_to_its_request)]
}

/// The regular expressions that the sink keeps audit lines by.
fn kept_by_the_sink() -> impl Fn(&Value) -> bool {
    let values: Value = serde_saphyr::from_str(SINK).expect("YAML");
    let filters = values["config"]["filters"].as_str().expect("filters").to_owned();
    let of = |key: &str| {
        let line = filters.lines().find_map(|line| line.trim().strip_prefix("Regex ")?.strip_prefix(key)).expect(key);
        regex::Regex::new(line.trim()).expect("a regular expression")
    };
    let (reason, group) = (of("$annotations['authorization.k8s.io/reason']"), of("$objectRef['apiGroup']"));
    move |event| {
        let matches =
            |expression: &regex::Regex, text: &Value| text.as_str().is_some_and(|text| expression.is_match(text));
        matches(&reason, &event["annotations"]["authorization.k8s.io/reason"])
            || matches(&group, &event["objectRef"]["apiGroup"])
    }
}

async fn every_act_leads_to_its_request(control_plane: Arc<ControlPlane>) {
    let cluster = Cluster::on(control_plane).await;
    let namespace = cluster.namespace("audit").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let secret = ["create", "secret", "generic", "token", "--from-literal=key=not-for-the-log", "-n", &namespace];
    cluster.kubectl(ADMIN).ok(&secret).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "1h" })).await;
    let granted = cluster.until(&namespace, "fix", State::Active).await;
    let alice = cluster.kubectl(ALICE);
    alice.ok(&["create", "configmap", "by-alice", "-n", &namespace]).await;
    alice.ok(&["get", "configmaps", "-n", &namespace]).await;
    cluster.kubectl(BOB).refused(&["delete", "configmap", "by-alice", "-n", &namespace]).await;

    let binding = format!("RoleBinding \"daypass-{}/{namespace}\"", granted.uid().expect("a UID"));
    let records = kept_by_the_sink();
    let find = |event: &Value, verb: &str, resource: &str, user: &str| {
        event["verb"] == verb && event["objectRef"]["resource"] == resource && event["user"]["username"] == user
    };
    let log = eventually("the acts are in the log", SOON, async || {
        let log = cluster.control_plane.audit_log();
        let refused = log.iter().any(|event| find(event, "delete", "configmaps", "bob"));
        if refused { Ok(log) } else { Err(format!("{} lines", log.len())) }
    })
    .await;
    for (verb, resource) in [("create", "configmaps"), ("list", "configmaps")] {
        let event = log.iter().find(|event| find(event, verb, resource, "alice"));
        let event = event.unwrap_or_else(|| panic!("no line of alice's {verb} of {resource}"));
        let reason = event["annotations"]["authorization.k8s.io/reason"].as_str().expect("a reason");
        assert!(reason.contains(&binding), "{reason}");
        assert!(records(event), "the sink lets it go: {event}");
    }
    // The controller's grant, and the request itself.
    for (verb, resource, user) in [
        ("create", "rolebindings", CONTROLLER),
        ("create", "accessrequests", "alice"),
        ("patch", "accessrequests", CONTROLLER),
    ] {
        assert!(log.iter().any(|event| find(event, verb, resource, user)), "no line of {user}'s {verb} of {resource}");
    }
    let asked = log.iter().find(|event| find(event, "create", "accessrequests", "alice")).expect("a line");
    assert!(records(asked));
    let refused = log.iter().find(|event| find(event, "delete", "configmaps", "bob")).expect("a line");
    assert_eq!(refused["responseStatus"]["code"], 403);
    assert!(!records(refused), "what has nothing to do with Daypass is left to other sinks");
    // No bodies, and not the noise.
    assert!(log.iter().all(|event| event["level"] == "Metadata" && event["requestObject"].is_null()));
    assert!(!json!(log).to_string().contains("not-for-the-log"));
    for noise in ["leases", "selfsubjectaccessreviews", "events"] {
        assert!(log.iter().all(|event| event["objectRef"]["resource"] != noise), "{noise} are in the log");
    }
}
