//! The guards are proven, not believed: whatever is done to one is noticed at once, and what was written in the meantime
//! is told from what was there before.

pub mod gaps;

use std::sync::Arc;

use daypass::core::guard::missing::BySight;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::cast::SOON;
use crate::harness::users::ADMIN;
use crate::harness::{Cluster, eventually, private};

pub fn trials() -> Vec<Trial> {
    vec![
        private("guards::whatever_is_changed_in_one_is_noticed_and_named", drift),
        private("guards::the_refusal_of_another_s_policy_proves_nothing", foreign_policy),
        private("guards::what_was_made_in_a_gap_is_denied_and_what_was_there_before_stands", gaps::gap),
        private("guards::a_gap_while_no_controller_ran_is_found_afterwards", gaps::unwatched_gap),
        private("guards::what_was_written_into_requests_in_a_gap_is_not_believed", gaps::forged),
        private(
            "guards::what_was_written_into_requests_while_no_controller_ran_is_not_believed",
            gaps::unwatched_forged,
        ),
        private("guards::a_second_release_is_refused_and_never_ready", second_release),
    ]
}

const POLICY: &str = "validatingadmissionpolicy";
const BINDING: &str = "validatingadmissionpolicybinding";

/// A guard as the cluster has it, so that it can be put back.
struct Guard {
    name: String,
    policy: Value,
    binding: Value,
}

async fn guards(cluster: &Cluster) -> Vec<Guard> {
    let mut guards = Vec::new();
    for flag in crate::harness::Daypass::guards(&cluster.control_plane).await {
        let name = flag.trim_start_matches("--guard=").split('=').next().expect("a name").to_owned();
        let (policy, binding) = (stored(cluster, POLICY, &name).await, stored(cluster, BINDING, &name).await);
        guards.push(Guard { name, policy, binding });
    }
    assert!(guards.len() >= 10, "the chart hands over {} guards", guards.len());
    guards
}

async fn stored(cluster: &Cluster, kind: &str, name: &str) -> Value {
    let object = cluster.kubectl(ADMIN).ok(&["get", kind, name, "-o", "json"]).await;
    let mut object: Value = serde_json::from_str(&object).expect("JSON");
    let metadata = object["metadata"].as_object_mut().expect("metadata");
    metadata.retain(|key, _| matches!(key.as_str(), "name" | "labels" | "annotations"));
    object.as_object_mut().expect("an object").remove("status");
    object
}

async fn put_back(cluster: &Cluster, guard: &Guard) {
    for object in [&guard.policy, &guard.binding] {
        let name = guard.name.as_str();
        let kind = object["kind"].as_str().expect("a kind");
        let output = cluster.kubectl(ADMIN).run_with(&["replace", "-f", "-"], &object.to_string()).await;
        if !output.ok {
            cluster.kubectl(ADMIN).run_with(&["create", "-f", "-"], &object.to_string()).await;
        }
        assert!(!cluster.kubectl(ADMIN).ok(&["get", kind, name]).await.is_empty());
    }
}

/// Each change, as what kubectl is told.
fn alterations(name: &str, policy: &Value) -> Vec<(&'static str, Vec<String>)> {
    let patch = |kind: &str, body: Value| {
        let args = ["patch", kind, name, "--type=merge", "-p"];
        args.iter().map(|arg| (*arg).to_owned()).chain([body.to_string()]).collect()
    };
    let elsewhere = json!({ "matchExpressions": [
        { "key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["shop"] }
    ] });
    let mut conditions = policy["spec"]["matchConditions"].as_array().cloned().unwrap_or_default();
    conditions.push(json!({ "name": "not-alice", "expression": "request.userInfo.username != 'alice'" }));
    vec![
        ("the binding is deleted", vec!["delete".to_owned(), BINDING.to_owned(), name.to_owned()]),
        ("the binding only audits", patch(BINDING, json!({ "spec": { "validationActions": ["Audit"] } }))),
        (
            "the binding spares a namespace",
            patch(BINDING, json!({ "spec": { "matchResources": { "namespaceSelector": elsewhere } } })),
        ),
        ("the policy spares a user", patch(POLICY, json!({ "spec": { "matchConditions": conditions } }))),
        ("the policy may fail", patch(POLICY, json!({ "spec": { "failurePolicy": "Ignore" } }))),
        ("the policy is deleted", vec!["delete".to_owned(), POLICY.to_owned(), name.to_owned()]),
    ]
}

async fn drift(cluster: Arc<Cluster>) {
    let guards = guards(&cluster).await;
    let admin = cluster.kubectl(ADMIN);
    for i in 0..alterations("", &Value::Null).len() {
        let mut what = "";
        for guard in &guards {
            let (label, args) = alterations(&guard.name, &guard.policy).swap_remove(i);
            admin.ok(&args.iter().map(String::as_str).collect::<Vec<_>>()).await;
            what = label;
        }
        eventually(&format!("{what}: every guard is missed by name"), SOON, async || {
            let (status, readiness) = cluster.controller.get("/readyz").await?;
            let unsaid = guards.iter().find(|guard| !readiness.contains(&guard.name));
            match unsaid {
                None if status == 503 => Ok(()),
                _ => Err(format!("{status}: {readiness}")),
            }
        })
        .await;
        for guard in &guards {
            let sound = cluster.controller.metric(&format!(r#"daypass_guard_sound{{guard="{}"}}"#, guard.name)).await;
            assert_eq!(sound, 0.0, "{what}: {}", guard.name);
            put_back(&cluster, guard).await;
        }
        until_ready(&cluster).await;
    }
}

async fn until_ready(cluster: &Cluster) {
    eventually("the guards are in force again", SOON, async || match cluster.controller.get("/readyz").await? {
        (200, _) => Ok(()),
        (status, readiness) => Err(format!("{status}: {readiness}")),
    })
    .await;
}

async fn until_missing(cluster: &Cluster, guard: &str) {
    eventually(&format!("{guard} is missed"), SOON, async || match cluster.controller.get("/readyz").await? {
        (503, readiness) if readiness.contains(guard) => Ok(()),
        (status, readiness) => Err(format!("{status}: {readiness}")),
    })
    .await;
}

/// What is said of a guard over which sight alone decides, up to what refused its try.
pub fn believed_by_sight(guard: &str) -> String {
    let by_sight = BySight { guard: guard.to_owned(), refusal: String::new() };
    by_sight.to_string().trim_end_matches(')').to_owned()
}

/// A platform team's own policy happens to refuse what the canary tries.
async fn foreign_policy(cluster: Arc<Cluster>) {
    let admin = cluster.kubectl(ADMIN);
    let name = "aaa-no-status-from-accounts";
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": { "name": name },
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": { "resourceRules": [{ "apiGroups": ["daypass.dev"], "apiVersions": ["*"],
                "operations": ["UPDATE"], "resources": ["accessrequests/status"] }] },
            "validations": [{ "expression": "!request.userInfo.username.endsWith(':daypass-canary')", "message": "no" }]
        }
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": { "name": name }, "spec": { "policyName": name, "validationActions": ["Deny"] }
    });
    let guard =
        guards(&cluster).await.into_iter().find(|guard| guard.name == "daypass-status-guard").expect("the guard");
    admin.apply(&policy.to_string()).await;
    admin.apply(&binding.to_string()).await;
    // The status guard alone is gone: the canary is refused all the same.
    admin.ok(&["delete", BINDING, &guard.name]).await;
    until_missing(&cluster, &guard.name).await;
    eventually("another's policy refuses the canary, which says so", SOON, async || {
        let log = cluster.controller.log();
        let by_sight = believed_by_sight(&guard.name);
        let remark = log.lines().rev().find(|line| line.contains(&by_sight));
        remark.filter(|line| line.contains(name)).map(drop).ok_or(format!("{remark:?}"))
    })
    .await;
    until_missing(&cluster, &guard.name).await;
    put_back(&cluster, &guard).await;
    until_ready(&cluster).await;
    // A try that something else refuses proves nothing either way, and sight decides. Here the canary lacks a right.
    admin.ok(&["delete", "rolebinding", "daypass-canary-tries", "-n", "daypass-system"]).await;
    let reads =
        ["create", "role", "canary-reads", "-n", "daypass-system", "--verb=get,patch", "--resource=accessrequests"];
    admin.ok(&reads).await;
    let canary = "--serviceaccount=daypass-system:daypass-canary";
    admin.ok(&["create", "rolebinding", "canary-reads", "-n", "daypass-system", "--role=canary-reads", canary]).await;
    eventually("sight decides, and that is said", SOON, async || match cluster.controller.get("/readyz").await? {
        (200, readiness)
            if readiness.contains(&believed_by_sight("daypass-binding-guard"))
                && readiness.contains("cannot create") =>
        {
            Ok(())
        }
        (status, readiness) => Err(format!("{status}: {readiness}")),
    })
    .await;
}

async fn second_release(cluster: Arc<Cluster>) {
    let chart = crate::harness::binaries::repository().join("charts/daypass").display().to_string();
    let install = ["install", "second", &chart, "--namespace", "daypass-system", "--set", "fullnameOverride=second"];
    let refusal = cluster
        .control_plane
        .helm_refused(&[&install[..], &["--dry-run=server", "--set", "crds.install=false"]].concat())
        .await;
    assert!(refusal.contains("this cluster has a Daypass already, release daypass"), "{refusal}");
    // Past the render, as GitOps tools go: the first is not ready any more, since its own status writes are refused. Its Lease
    // is refused too, so it may have ended by then; started again, it cannot even sign in as the canary.
    let (_, rest) =
        crate::harness::Daypass::render(&cluster.control_plane, &["fullnameOverride=second", "crds.install=false"])
            .await;
    cluster.kubectl(ADMIN).apply_server_side(&rest).await;
    eventually("the first says whose guard refuses it", SOON, async || {
        cluster.controller.revive();
        match cluster.controller.get("/readyz").await? {
            (503, readiness)
                if readiness.contains("'second-status-guard'") || readiness.contains("'second-self-guard'") =>
            {
                Ok(())
            }
            (status, readiness) => Err(format!("{status}: {readiness}")),
        }
    })
    .await;
}
