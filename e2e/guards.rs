//! The guards are proven, not believed: whatever is done to one is noticed at once, and what was written in the meantime
//! is told from what was there before.

use std::sync::Arc;

use daypass::api::request::BindingRef;
use daypass::api::{AccessRequest, State};
use k8s_openapi::jiff::SignedDuration;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::cast::{SOON, request};
use crate::harness::users::{ADMIN, ALICE, BOB, CAROL, MALLORY};
use crate::harness::{Cluster, Daypass, eventually, private};

pub fn trials() -> Vec<Trial> {
    vec![
        private("guards::whatever_is_changed_in_one_is_noticed_and_named", drift),
        private("guards::the_refusal_of_another_s_policy_proves_nothing", foreign_policy),
        private("guards::what_was_made_in_a_gap_is_denied_and_what_was_there_before_stands", gap),
        private("guards::a_gap_while_no_controller_ran_is_found_afterwards", unwatched_gap),
        private("guards::what_was_written_into_requests_in_a_gap_is_not_believed", forged),
        private("guards::what_was_written_into_requests_while_no_controller_ran_is_not_believed", unwatched_forged),
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
        let remark = log.lines().rev().find(|line| line.contains("believed by sight"));
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
            if readiness.contains("daypass-binding-guard is believed by sight")
                && readiness.contains("cannot create") =>
        {
            Ok(())
        }
        (status, readiness) => Err(format!("{status}: {readiness}")),
    })
    .await;
}

/// A policy of two approvals, one of which is there, and a request that goes on as if nothing had been.
async fn gap(cluster: Arc<Cluster>) {
    let namespace = with_two_approvals(&cluster).await;
    cluster.ask(ALICE, &namespace, "before", json!({})).await;
    cluster.until_reason(&namespace, "before", "Approved", "ApprovalNeeded").await;
    cluster.review(BOB, &namespace, "before", "Approve", "").await;
    until_counted(&cluster, &namespace, "before").await;
    let guard =
        guards(&cluster).await.into_iter().find(|guard| guard.name == "daypass-identity-check").expect("the guard");
    cluster.kubectl(ADMIN).ok(&["delete", BINDING, &guard.name]).await;
    until_missing(&cluster, &guard.name).await;
    cluster.ask(ALICE, &namespace, "within", json!({})).await;
    put_back(&cluster, &guard).await;
    until_ready(&cluster).await;
    denied_as_made_in_a_gap(&cluster, &namespace).await;
    cluster.review(CAROL, &namespace, "before", "Approve", "").await;
    cluster.until(&namespace, "before", State::Active).await;
}

async fn with_two_approvals(cluster: &Cluster) -> String {
    let namespace = cluster.namespace("gap").await;
    let stage = json!({ "name": "leads", "required": 2, "approvers": [{ "kind": "Group", "name": "approvers" }] });
    cluster.allow(&namespace, &namespace, json!({ "approval": { "stages": [stage] } })).await;
    namespace
}

async fn until_counted(cluster: &Cluster, namespace: &str, name: &str) {
    let requests = cluster.requests(namespace).await;
    eventually("one approval counts", SOON, async || {
        let request = requests.get(name).await.map_err(|error| error.to_string())?;
        let counted = request.status.and_then(|status| status.stage).map(|stage| stage.approved);
        if counted == Some(1) { Ok(()) } else { Err(format!("{counted:?} do")) }
    })
    .await;
}

async fn denied_as_made_in_a_gap(cluster: &Cluster, namespace: &str) {
    let denied = cluster.until(namespace, "within", State::Denied).await.status.expect("a status");
    let message = denied.message.unwrap_or_default();
    assert!(message.contains("it was made between") && message.contains("make it again"), "{message}");
}

async fn unwatched_gap(cluster: Arc<Cluster>) {
    let namespace = with_two_approvals(&cluster).await;
    cluster.ask(ALICE, &namespace, "before", json!({})).await;
    cluster.until_reason(&namespace, "before", "Approved", "ApprovalNeeded").await;
    // Objects are dated in seconds: what is made in the second of the last round cannot be told from what came after it.
    let requests = cluster.requests(&namespace).await;
    let made = requests.get("before").await.expect("the request").metadata.creation_timestamp.expect("a date");
    eventually("another second has begun", SOON, async || {
        let later = cluster.kubectl(ALICE).run_with(&["create", "-f", "-", "-o", "json"], &again(&namespace)).await;
        let later: AccessRequest = serde_json::from_str(&later.stdout).map_err(|error| error.to_string())?;
        let later = later.metadata.creation_timestamp.ok_or("no date")?;
        if later.0 > made.0 { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    // It stores the time of a last round when it is asked to end.
    cluster.controller.terminate().await;
    let guard =
        guards(&cluster).await.into_iter().find(|guard| guard.name == "daypass-identity-check").expect("the guard");
    cluster.kubectl(ADMIN).ok(&["delete", BINDING, &guard.name]).await;
    Daypass::take_stamp_away(&cluster.control_plane).await;
    let forged =
        json!({ "requester": { "username": "alice", "uid": "u-alice", "groups": ["dev", "system:authenticated"] } });
    let forged = request(&namespace, "within", forged).to_string();
    eventually("a forged request is stored", SOON, async || {
        let output = cluster.kubectl(MALLORY).run_with(&["create", "-f", "-"], &forged).await;
        if output.ok { Ok(()) } else { Err(output.stderr) }
    })
    .await;
    put_back(&cluster, &guard).await;
    cluster.controller.restart().await;
    denied_as_made_in_a_gap(&cluster, &namespace).await;
    let stands = cluster.until(&namespace, "before", State::Pending).await.status.expect("a status");
    assert!(stands.message.unwrap_or_default().contains("stage leads"));
}

async fn forged(cluster: Arc<Cluster>) {
    forged_in_gap(&cluster, true).await;
}

async fn unwatched_forged(cluster: Arc<Cluster>) {
    forged_in_gap(&cluster, false).await;
}

/// Whoever may write statuses at all writes in others' names while the status guard is away: approvals, a later end, and
/// an end that never was. What nobody touched goes on as if nothing had been.
async fn forged_in_gap(cluster: &Cluster, running: bool) {
    let namespace = with_two_approvals(cluster).await;
    let of_itself = format!("{namespace}-view");
    cluster.allow(&of_itself, &namespace, json!({ "roles": [{ "name": "view" }] })).await;
    for name in ["untouched", "approved"] {
        cluster.ask(ALICE, &namespace, name, json!({})).await;
        cluster.until_reason(&namespace, name, "Approved", "ApprovalNeeded").await;
        cluster.review(BOB, &namespace, name, "Approve", "").await;
        until_counted(cluster, &namespace, name).await;
    }
    for name in ["running", "longer", "revived"] {
        cluster.ask(ALICE, &namespace, name, json!({ "role": { "name": "view" }, "duration": "10m" })).await;
        cluster.until(&namespace, name, State::Active).await;
    }
    let granted = cluster.until(&namespace, "revived", State::Active).await.status.expect("a status");
    cluster.review(ALICE, &namespace, "revived", "Revoke", "").await;
    cluster.until(&namespace, "revived", State::Revoked).await;

    let guard =
        guards(cluster).await.into_iter().find(|guard| guard.name == "daypass-status-guard").expect("the guard");
    if !running {
        cluster.controller.terminate().await;
    }
    cluster.kubectl(ADMIN).ok(&["delete", BINDING, &guard.name]).await;
    if running {
        until_missing(cluster, &guard.name).await;
    }
    let carol = json!({ "verdict": "Approve", "uid": "u-carol", "groups": ["approvers", "system:authenticated"] });
    // As the policy would allow it.
    let later = granted.granted_at.as_ref().expect("a begin").0 + SignedDuration::from_mins(40);
    let end = json!({ "expiresAt": later });
    // Without a UID the binding looks as if it had yet to be made.
    let unbound: Vec<_> = granted.bindings.iter().map(|binding| BindingRef { uid: None, ..binding.clone() }).collect();
    let again = json!({ "state": "Active", "expiresAt": later, "grantedAt": granted.granted_at,
        "bindings": unbound, "conditions": [], "reviews": null });
    let forgeries =
        [("approved", json!({ "reviews": { "carol": carol } })), ("longer", end.clone()), ("revived", again)];
    for (name, status) in forgeries {
        let status = json!({ "status": status }).to_string();
        let patch = ["patch", "areq", name, "-n", &namespace, "--subresource=status", "--type=merge", "-p", &status];
        eventually("the forged status is stored", SOON, async || {
            let output = cluster.kubectl(BOB).run(&patch).await;
            if output.ok { Ok(()) } else { Err(output.stderr) }
        })
        .await;
    }
    put_back(cluster, &guard).await;
    eventually("the status guard is in force", SOON, async || {
        let end = json!({ "status": end }).to_string();
        let patch = ["patch", "areq", "running", "-n", &namespace, "--subresource=status", "--type=merge", "-p", &end];
        let output = cluster.kubectl(BOB).run(&[&patch[..], &["--dry-run=server"]].concat()).await;
        if output.ok { Err("it passes".to_owned()) } else { Ok(()) }
    })
    .await;
    if !running {
        cluster.controller.restart().await;
    }
    until_ready(cluster).await;

    for name in ["longer", "revived"] {
        let ended = cluster.until(&namespace, name, State::Revoked).await.status.expect("a status");
        assert!(
            ended.message.as_ref().is_some_and(|message| message.contains("make the request again")),
            "{name}: {ended:?}"
        );
        assert!(ended.history.iter().any(|entry| entry.event.as_str() == "WrittenInGap"), "{name}: {ended:?}");
    }
    let requests = cluster.requests(&namespace).await;
    let asked = eventually("its approvals are not believed", SOON, async || {
        let status = requests.get("approved").await.map_err(|error| error.to_string())?.status.unwrap_or_default();
        let mark = status
            .history
            .iter()
            .find(|entry| entry.event.as_str() == "WrittenInGap")
            .map(|entry| entry.message.clone());
        mark.map(|mark| (mark, status.clone())).ok_or(format!("{:?}", status.history))
    })
    .await;
    assert!(asked.0.contains("not what was said as bob, carol"), "{}", asked.0);
    assert!(asked.1.reviews.is_empty() && asked.1.state == State::Pending, "{:?}", asked.1);
    // What stood before stands: one more is enough for the one, and both must say it again for the other.
    cluster.review(CAROL, &namespace, "untouched", "Approve", "").await;
    cluster.review(CAROL, &namespace, "approved", "Approve", "").await;
    cluster.until(&namespace, "untouched", State::Active).await;
    until_counted(cluster, &namespace, "approved").await;
    cluster.review(BOB, &namespace, "approved", "Approve", "").await;
    cluster.until(&namespace, "approved", State::Active).await;
    cluster.until(&namespace, "running", State::Active).await;
    assert_eq!(cluster.our_bindings(&namespace).await.len(), 3);
}

/// One more request, of a name that the API server makes up.
fn again(namespace: &str) -> String {
    let mut request = request(namespace, "again", json!({}));
    request["metadata"] = json!({ "generateName": "again-", "namespace": namespace });
    request.to_string()
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
