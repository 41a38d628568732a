//! Admission of others stands in the way: a policy or a webhook that knows nothing of Daypass refuses what it writes, with
//! whatever code. People are told, it is tried on, and nothing is believed that is not so.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::Method;
use daypass::api::State;
use k8s_openapi::api::events::v1::Event;
use kube::{Api, ResourceExt};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::cast::SOON;
use crate::harness::proxy::Fault;
use crate::harness::users::{ADMIN, ALICE};
use crate::harness::{Cluster, eventually, private};

pub fn trials() -> Vec<Trial> {
    vec![
        private("hindered::an_end_that_a_policy_of_others_refuses_is_told_and_comes_when_it_can", ends),
        private("hindered::a_grant_that_a_policy_of_others_refuses_says_so", grants),
        private("hindered::a_status_that_a_policy_of_others_refuses_is_told_and_tried_on", statuses),
        private("hindered::whatever_code_a_deletion_is_refused_with_it_is_told_and_tried_on", codes),
        private("hindered::a_conflict_that_never_ends_is_told", conflicts),
    ]
}

/// Every reason that a ValidatingAdmissionPolicy can give.
const REASONS: [&str; 3] = ["Invalid", "Forbidden", "RequestEntityTooLarge"];
const SAID: &str = "the platform team says no";

/// A policy of somebody else in one namespace, in force when `probe` is refused by it.
async fn refuse(cluster: &Cluster, namespace: &str, rule: (&str, &str, &str), reason: &str, probe: (&[&str], &str)) {
    let (group, resource, operation) = rule;
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": { "name": namespace },
        "spec": {
            "matchConstraints": {
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace } },
                "resourceRules": [{
                    "apiGroups": [group], "apiVersions": ["*"], "operations": [operation], "resources": [resource]
                }]
            },
            "validations": [{ "expression": "false", "reason": reason, "message": SAID }]
        }
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": { "name": namespace }, "spec": { "policyName": namespace, "validationActions": ["Deny"] }
    });
    let admin = cluster.kubectl(ADMIN);
    admin.apply(&policy.to_string()).await;
    admin.apply(&binding.to_string()).await;
    eventually("the policy is in force", SOON, async || {
        let output = admin.run_with(probe.0, probe.1).await;
        if output.stderr.contains(SAID) { Ok(()) } else { Err(format!("{}{}", output.stdout, output.stderr)) }
    })
    .await;
}

async fn refuse_no_more(cluster: &Cluster, namespace: &str) {
    cluster.kubectl(ADMIN).ok(&["delete", "validatingadmissionpolicybinding", namespace]).await;
}

/// Bindings in this namespace cannot be deleted.
async fn refuse_ends(cluster: &Cluster, namespace: &str, reason: &str) {
    let probe = ["create", "rolebinding", "probe", "-n", namespace, "--clusterrole=view", "--user=nobody"];
    cluster.kubectl(ADMIN).ok(&probe).await;
    let probe = ["delete", "rolebinding", "probe", "-n", namespace, "--dry-run=server"];
    refuse(cluster, namespace, ("rbac.authorization.k8s.io", "rolebindings", "DELETE"), reason, (&probe, "")).await;
}

async fn events(cluster: &Cluster, namespace: &str, about: &str) -> Vec<Event> {
    let events: Api<Event> = Api::namespaced(cluster.client(ADMIN).await, namespace);
    let all = events.list(&Default::default()).await.expect("list Events").items;
    all.into_iter().filter(|e| e.regarding.as_ref().and_then(|r| r.name.as_deref()) == Some(about)).collect()
}

/// A Warning on the request says what cannot be done, in these words too.
async fn until_told(cluster: &Cluster, namespace: &str, name: &str, words: &[&str]) {
    eventually(&format!("{namespace}/{name} is told of"), SOON, async || {
        let events = events(cluster, namespace, name).await;
        let announced = events.iter().any(|event| {
            let note = event.note.as_deref().unwrap_or_default();
            event.reason.as_deref() == Some("Hindered") && words.iter().all(|words| note.contains(words))
        });
        if announced {
            Ok(())
        } else {
            Err(format!("{:?}", events.iter().map(|e| (&e.reason, &e.note)).collect::<Vec<_>>()))
        }
    })
    .await;
}

async fn bound(cluster: &Cluster, namespace: &str) -> usize {
    cluster.our_bindings(namespace).await.len()
}

async fn until_overdue(cluster: &Cluster, many: usize) {
    eventually(&format!("{many} grants are overdue"), SOON, async || {
        let overdue = cluster.controller.metric("daypass_overdue_grants").await;
        if overdue == many as f64 { Ok(()) } else { Err(format!("{overdue} are")) }
    })
    .await;
}

async fn ends(cluster: Arc<Cluster>) {
    let mut places = Vec::new();
    for reason in REASONS {
        let namespace = cluster.namespace("ends").await;
        cluster.allow(&namespace, &namespace, json!({})).await;
        refuse_ends(&cluster, &namespace, reason).await;
        cluster.ask(ALICE, &namespace, "past", json!({ "duration": "2s" })).await;
        cluster.ask(ALICE, &namespace, "deleted", json!({ "duration": "1h" })).await;
        for name in ["past", "deleted"] {
            cluster.until(&namespace, name, State::Active).await;
        }
        cluster.kubectl(ADMIN).ok(&["delete", "areq", "deleted", "-n", &namespace]).await;
        places.push(namespace);
    }
    for namespace in &places {
        for name in ["past", "deleted"] {
            until_told(&cluster, namespace, name, &["access cannot be ended", "delete a binding", SAID]).await;
        }
        assert_eq!(bound(&cluster, namespace).await, 2, "the policy refuses nothing");
        cluster.until(namespace, "past", State::Active).await;
    }
    until_overdue(&cluster, places.len() * 2).await;
    for namespace in &places {
        let announced = events(&cluster, namespace, "past").await;
        assert_eq!(
            announced.iter().filter(|event| event.reason.as_deref() == Some("Hindered")).count(),
            1,
            "{announced:?}"
        );
        refuse_no_more(&cluster, namespace).await;
    }
    for namespace in &places {
        cluster.until(namespace, "past", State::Expired).await;
        cluster.until_unbound(namespace).await;
    }
    until_overdue(&cluster, 0).await;
}

async fn grants(cluster: Arc<Cluster>) {
    for reason in REASONS {
        let namespace = cluster.namespace("grants").await;
        cluster.allow(&namespace, &namespace, json!({})).await;
        let probe = [
            "create",
            "rolebinding",
            "probe",
            "-n",
            &namespace,
            "--clusterrole=view",
            "--user=nobody",
            "--dry-run=server",
        ];
        let rule = ("rbac.authorization.k8s.io", "rolebindings", "CREATE");
        refuse(&cluster, &namespace, rule, reason, (&probe, "")).await;
        cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "1h" })).await;
        let failed = cluster.until(&namespace, "fix", State::Failed).await.status.expect("a status");
        assert!(failed.message.as_deref().is_some_and(|why| why.contains(SAID)), "{reason}: {:?}", failed.message);
        assert_eq!(bound(&cluster, &namespace).await, 0);
        refuse_no_more(&cluster, &namespace).await;
    }
}

async fn statuses(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("statuses").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "ending", json!({ "duration": "12s" })).await;
    cluster.until(&namespace, "ending", State::Active).await;
    let nothing = r#"{"status":{}}"#;
    let probe = [
        "patch",
        "areq",
        "ending",
        "-n",
        &namespace,
        "--subresource=status",
        "--type=merge",
        "-p",
        nothing,
        "--dry-run=server",
    ];
    refuse(&cluster, &namespace, ("daypass.dev", "accessrequests/status", "UPDATE"), "Invalid", (&probe, "")).await;
    cluster.ask(ALICE, &namespace, "new", json!({ "duration": "1h" })).await;
    for name in ["new", "ending"] {
        until_told(&cluster, &namespace, name, &["store the status", SAID]).await;
    }
    // What is not on record is not granted; and what must end has, whether that can be recorded or not.
    cluster.until_unbound(&namespace).await;
    refuse_no_more(&cluster, &namespace).await;
    cluster.until(&namespace, "new", State::Active).await;
    cluster.until(&namespace, "ending", State::Expired).await;
}

/// A webhook may answer with any code, also with those that usually mean that there is nothing to do.
async fn codes(cluster: Arc<Cluster>) {
    cluster.controller.kill();
    let (proxy, controller) = cluster.controller_through_proxy().await;
    let mut answers = HashMap::new();
    for code in [400, 401, 403, 404, 409, 413, 422, 429, 500, 503] {
        let namespace = cluster.namespace("codes").await;
        cluster.allow(&namespace, &namespace, json!({})).await;
        answers.insert(namespace, code);
    }
    let chosen = answers.clone();
    proxy.disturb(move |call| {
        let namespace = call.path.split_once("/namespaces/")?.1.split('/').next()?;
        let deletes = call.method == Method::DELETE && call.path.contains("/rolebindings/");
        chosen.get(namespace).filter(|_| deletes).map(|code| Fault::Answer(*code))
    });
    for namespace in answers.keys() {
        cluster.ask(ALICE, namespace, "fix", json!({ "duration": "3s" })).await;
    }
    for (namespace, code) in &answers {
        until_told(&cluster, namespace, "fix", &["access cannot be ended", &format!("({code})")]).await;
        assert_eq!(bound(&cluster, namespace).await, 1, "{code}");
        cluster.until(namespace, "fix", State::Active).await;
    }
    assert_eq!(controller.metric("daypass_overdue_grants").await, answers.len() as f64);
    proxy.calm();
    let calm = Instant::now();
    for namespace in answers.keys() {
        cluster.until(namespace, "fix", State::Expired).await;
        assert_eq!(bound(&cluster, namespace).await, 0);
    }
    // Whoever was told to come back in a second does.
    assert!(calm.elapsed() < Duration::from_secs(3), "{:?}", calm.elapsed());
}

/// Nothing has changed, and yet what is written conflicts.
async fn conflicts(cluster: Arc<Cluster>) {
    cluster.controller.kill();
    let (proxy, _controller) = cluster.controller_through_proxy().await;
    let namespace = cluster.namespace("conflicts").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let tries: Arc<Mutex<Vec<Value>>> = Arc::default();
    let noted = tries.clone();
    proxy.disturb(move |call| {
        let stores = call.method == Method::PATCH && call.path.ends_with("/stored/status");
        let binds = call.method == Method::POST && call.path.ends_with("/rolebindings");
        let disturbed = stores || binds;
        if disturbed {
            noted.lock().expect("no panic").push(json!(call.path));
        }
        disturbed.then_some(Fault::Answer(409))
    });
    cluster.ask(ALICE, &namespace, "stored", json!({ "duration": "1h" })).await;
    cluster.ask(ALICE, &namespace, "bound", json!({ "duration": "1h" })).await;
    until_told(&cluster, &namespace, "stored", &["store the status", "(409)"]).await;
    until_told(&cluster, &namespace, "bound", &["create a binding", "(409)"]).await;
    // And it is not hammered.
    let before = tries.lock().expect("no panic").len();
    assert!(before < 60, "{before} tries");
    proxy.calm();
    for name in ["stored", "bound"] {
        cluster.until(&namespace, name, State::Active).await;
    }
    assert_eq!(cluster.our_bindings(&namespace).await.iter().map(ResourceExt::name_any).count(), 2);
}
