//! Expressions that ask for what there is not, or for what can never be: the API server stores them, as it did for every
//! earlier version, and the controller says so and grants nothing by them.

use std::sync::Arc;

use daypass::api::conditions::{ConditionStatus, READY, find};
use daypass::api::policy_reason::PolicyReason;
use daypass::api::word::Vocabulary;
use daypass::api::{AccessPolicy, State};
use daypass::core::decision::freeze::{Denying, NoAnswer};
use daypass::core::decision::shortfall::Shortfall;
use daypass::core::lifecycle::granted::NoLonger;
use daypass::core::model::field_error::FieldError;
use daypass::core::policies::Entry;
use kube::Api;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::cast::{SOON, assert_says, cluster_role, denies, falls_short, no_longer, why_over};
use crate::harness::users::{ADMIN, ALICE, EVE, GITOPS};
use crate::harness::{Cluster, eventually, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("expressions::every_slip_is_told_on_the_policy_and_grants_nothing", are_told),
        shared("expressions::a_slip_ends_nothing_that_runs_and_other_changes_do", end_nothing),
        shared("expressions::a_slip_in_a_deny_denies_what_it_touches_and_nothing_else", deny_what_they_touch),
    ]
}

/// One of each kind of slip.
const SLIPS: [&str; 9] = [
    "request.reson == ''",
    "reqest.ticket != ''",
    "requester.groups.contains('dev')",
    "request.reason.startWith('x')",
    "risk.level == 'low'",
    "time.weekday in ['Mon', 'Tues']",
    "risk.score == '1'",
    "request.ticket",
    "request.role ==",
];

fn condition(expression: &str) -> Value {
    json!([{ "expression": expression, "message": "not so" }])
}

/// What is wrong with a policy, once its status says that, and what becomes of it meanwhile.
async fn fault(cluster: &Cluster, policy: &str) -> FieldError {
    let policies: Api<AccessPolicy> = Api::all(cluster.client(ADMIN).await);
    let read = eventually(&format!("{policy} is judged"), SOON, async || {
        let read = policies.get(policy).await.map_err(|error| error.to_string())?;
        let judged = read.status.as_ref().and_then(|status| status.observed_generation);
        if judged == read.metadata.generation { Ok(read) } else { Err(format!("{judged:?}")) }
    })
    .await;
    let ready = read.status.as_ref().and_then(|status| find(&status.conditions, READY)).expect("Ready");
    assert_eq!((ready.status, ready.reason.as_str()), (ConditionStatus::False, PolicyReason::Invalid.as_str()));
    let entry = Entry::read(&read);
    assert_says(&ready.message, &entry.consequence().expect("a consequence"));
    let [fault] = entry.faults() else { panic!("{:?}", entry.faults()) };
    assert_says(&ready.message, fault);
    fault.clone()
}

/// What the plugin says of a policy in a file.
async fn lint(policy: &str) -> String {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    std::fs::write(file.path(), policy).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-daypass"));
    let output = command.args(["policy", "lint"]).arg(file.path()).output().await.expect("run the plugin");
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

async fn are_told(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("slips").await;
    let stages = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }]);
    for (index, expression) in SLIPS.iter().enumerate() {
        let sound = json!({ "expression": "true", "message": "m" });
        for (kind, field, spec) in [
            ("c", "spec.conditions[1].expression", json!({ "conditions": [sound, condition(expression)[0].clone()] })),
            (
                "a",
                "spec.approval.automaticWhen",
                json!({ "approval": { "automaticWhen": expression, "stages": stages } }),
            ),
        ] {
            let name = format!("{namespace}-{kind}{index}");
            cluster.allow(&name, &namespace, spec).await;
            let fault = fault(&cluster, &name).await;
            assert_eq!(fault.field, field, "{expression}");
            cluster.ask(ALICE, &namespace, &format!("by-{kind}{index}"), json!({ "policy": name })).await;
            let denied = cluster.until(&namespace, &format!("by-{kind}{index}"), State::Denied).await;
            let message = denied.status.unwrap().message.unwrap();
            assert_says(&message, &falls_short(&name, [Shortfall::Faulty(vec![fault.clone()])]));
            // Offline the same is said with the same words.
            let stored = cluster.kubectl(ADMIN).ok(&["get", "apol", &name, "-o", "json"]).await;
            assert_says(&lint(&stored).await, &format!("{name}: {fault}"));
        }
    }
}

async fn end_nothing(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("slip").await;
    cluster.allow(&namespace, &namespace, json!({ "conditions": condition("request.reason != ''") })).await;
    cluster.ask(ALICE, &namespace, "runs", json!({})).await;
    cluster.until(&namespace, "runs", State::Active).await;
    for (index, expression) in SLIPS.iter().enumerate() {
        cluster.allow(&namespace, &namespace, json!({ "conditions": condition(expression) })).await;
        let name = format!("new-{index}");
        cluster.ask(ALICE, &namespace, &name, json!({})).await;
        cluster.until(&namespace, &name, State::Denied).await;
    }
    // What nobody heeds is noted in a pass, and so there has been one since the policy changed.
    cluster.review(EVE, &namespace, "runs", "Revoke", "").await;
    let requests = cluster.requests(&namespace).await;
    eventually("the request was looked at again", SOON, async || {
        let status = requests.get("runs").await.map_err(|error| error.to_string())?.status.unwrap();
        let seen = status.history.iter().any(|entry| entry.event.as_str() == "ReviewIgnored");
        if seen { Ok(()) } else { Err(format!("{:?}", status.history)) }
    })
    .await;
    cluster.until(&namespace, "runs", State::Active).await;
    assert_eq!(cluster.our_bindings(&namespace).await.len(), 1);
    // Whoever takes the role away means it, slip or not.
    let narrowed = json!({ "conditions": condition(SLIPS[0]), "roles": [{ "name": "view" }] });
    cluster.allow(&namespace, &namespace, narrowed).await;
    let revoked = cluster.until(&namespace, "runs", State::Revoked).await.status.unwrap().message.unwrap();
    let other = Shortfall::Role { asked: cluster_role("edit"), listed: vec![cluster_role("view")] };
    assert_says(&revoked, &no_longer(&namespace, other));
}

async fn deny_what_they_touch(cluster: Arc<Cluster>) {
    let (touched, elsewhere) = (cluster.namespace("touched").await, cluster.namespace("elsewhere").await);
    for place in [&touched, &elsewhere] {
        cluster.allow(place, place, json!({})).await;
        cluster.ask(ALICE, place, "runs", json!({})).await;
        cluster.until(place, "runs", State::Active).await;
    }
    let name = format!("{touched}-deny");
    for (index, expression) in SLIPS.iter().enumerate() {
        // What is asked for in the whole cluster is touched too, so it is about nobody that other trials ask for there.
        let (scope, alice) = (json!({ "namespaces": [touched] }), json!([{ "kind": "User", "name": "alice" }]));
        let spec = json!({
            "effect": "Deny", "requesters": alice, "roles": [{ "name": "edit" }], "scope": scope,
            "conditions": condition(expression)
        });
        let policy = json!({
            "apiVersion": "daypass.dev/v1alpha1", "kind": "AccessPolicy", "metadata": { "name": name }, "spec": spec
        });
        cluster.kubectl(GITOPS).apply(&policy.to_string()).await;
        let unevaluated = Some(NoAnswer::Faults(vec![fault(&cluster, &name).await]));
        let denying = Denying { unevaluated, ..denies(&name) };
        let asked = format!("asked-{index}");
        for place in [&touched, &elsewhere] {
            cluster.ask(ALICE, place, &asked, json!({})).await;
        }
        let denied = cluster.until(&touched, &asked, State::Denied).await.status.unwrap().message.unwrap();
        assert_says(&denied, &denying);
        cluster.until(&elsewhere, &asked, State::Active).await;
        if index == 0 {
            // As any Deny, it ends what it touches: nobody can say that it does not mean this.
            let revoked = cluster.until(&touched, "runs", State::Revoked).await.status.unwrap();
            assert_eq!(why_over(&revoked), NoLonger::Denied(denying).to_string());
        }
    }
    cluster.until(&elsewhere, "runs", State::Active).await;
}
