//! Expressions that ask for what there is not, or for what can never be: the API server stores them, as it did for every
//! earlier version, and the controller says so and grants nothing by them.

use std::sync::Arc;

use daypass::api::State;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::cast::SOON;
use crate::harness::users::{ADMIN, ALICE, EVE, GITOPS};
use crate::harness::{Cluster, eventually, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("expressions::every_slip_is_told_on_the_policy_and_grants_nothing", are_told),
        shared("expressions::a_slip_ends_nothing_that_runs_and_other_changes_do", end_nothing),
        shared("expressions::a_slip_in_a_deny_denies_what_it_touches_and_nothing_else", deny_what_they_touch),
    ]
}

/// Each kind of slip, and what is told of it.
const SLIPS: [(&str, &str); 9] = [
    ("request.reson == ''", "character 9: request has no reson, did you mean reason?"),
    ("reqest.ticket != ''", "character 1: there is no reqest, did you mean request?"),
    ("requester.groups.contains('dev')", "character 18: contains is not for a list"),
    ("request.reason.startWith('x')", "character 16: there is no function startWith, did you mean startsWith?"),
    ("risk.level == 'low'", "character 15: risk.level is never 'low', did you mean 'Low'?"),
    ("time.weekday in ['Mon', 'Tues']", "character 25: time.weekday is never 'Tues', did you mean 'Tue'?"),
    ("risk.score == '1'", "character 12: == compares a number with a text, which are never the same"),
    ("request.ticket", "is a text, not true or false"),
    ("request.role ==", "is not CEL"),
];

fn condition(expression: &str) -> Value {
    json!([{ "expression": expression, "message": "not so" }])
}

/// What a policy says of itself once it is not ready.
async fn fault(cluster: &Cluster, policy: &str) -> String {
    let admin = cluster.kubectl(ADMIN);
    admin.ok(&["wait", "--for=condition=Ready=False", "--timeout=30s", "apol", policy]).await;
    admin.ok(&["get", "apol", policy, "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].message}"]).await
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
    for (index, (expression, words)) in SLIPS.iter().enumerate() {
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
            let reported = fault(&cluster, &name).await;
            assert!(
                reported.starts_with(&format!("{field}: ")) && reported.contains(words),
                "{expression}: {reported}"
            );
            assert!(
                reported.ends_with("until then the policy grants nothing new, and what runs under it goes on"),
                "{reported}"
            );
            cluster.ask(ALICE, &namespace, &format!("by-{kind}{index}"), json!({ "policy": name })).await;
            let denied = cluster.until(&namespace, &format!("by-{kind}{index}"), State::Denied).await;
            let message = denied.status.unwrap().message.unwrap();
            let (problem, _) = reported.split_once("; until").unwrap();
            assert!(message.contains(problem), "{message}\n{reported}");
            // Offline the same is said with the same words.
            let stored = cluster.kubectl(ADMIN).ok(&["get", "apol", &name, "-o", "json"]).await;
            let linted = lint(&stored).await;
            assert!(linted.contains(&format!("{name}: {problem}")), "{linted}\n{reported}");
        }
    }
}

async fn end_nothing(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("slip").await;
    cluster.allow(&namespace, &namespace, json!({ "conditions": condition("request.reason != ''") })).await;
    cluster.ask(ALICE, &namespace, "runs", json!({})).await;
    cluster.until(&namespace, "runs", State::Active).await;
    for (index, (expression, _)) in SLIPS.iter().enumerate() {
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
    let narrowed = json!({ "conditions": condition(SLIPS[0].0), "roles": [{ "name": "view" }] });
    cluster.allow(&namespace, &namespace, narrowed).await;
    let revoked = cluster.until(&namespace, "runs", State::Revoked).await.status.unwrap().message.unwrap();
    assert!(revoked.contains("is not among its roles"), "{revoked}");
}

async fn deny_what_they_touch(cluster: Arc<Cluster>) {
    let (touched, elsewhere) = (cluster.namespace("touched").await, cluster.namespace("elsewhere").await);
    for place in [&touched, &elsewhere] {
        cluster.allow(place, place, json!({})).await;
        cluster.ask(ALICE, place, "runs", json!({})).await;
        cluster.until(place, "runs", State::Active).await;
    }
    for (index, (expression, words)) in SLIPS.iter().enumerate() {
        let name = format!("{touched}-deny");
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
        let reported = fault(&cluster, &name).await;
        assert!(
            reported.ends_with("until then the policy denies all that its requesters, roles and scope touch"),
            "{reported}"
        );
        let asked = format!("asked-{index}");
        for place in [&touched, &elsewhere] {
            cluster.ask(ALICE, place, &asked, json!({})).await;
        }
        let denied = cluster.until(&touched, &asked, State::Denied).await.status.unwrap().message.unwrap();
        assert!(denied.contains(&format!("policy {name} denies it")) && denied.contains(words), "{denied}");
        cluster.until(&elsewhere, &asked, State::Active).await;
    }
    // As any Deny, it ends what it touches: nobody can say that it does not mean this.
    let revoked = cluster.until(&touched, "runs", State::Revoked).await.status.unwrap().message.unwrap();
    assert!(revoked.contains("a condition cannot be evaluated"), "{revoked}");
    cluster.until(&elsewhere, "runs", State::Active).await;
}
