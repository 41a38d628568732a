//! Policies that are written while the author guard is away: they give nothing new, end nothing that runs and
//! change nobody's right to end it, until somebody confirms them whom the author guard lets pass.

use std::sync::Arc;

use daypass::api::{AccessPolicy, State};
use daypass::core::decision::shortfall::Shortfall;
use daypass::core::policies::origin::doubt_on_record;
use k8s_openapi::jiff::SignedDuration;
use kube::Api;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::cast::{
    SOON, assert_refused_by, assert_says, falls_short, no_longer, not_bindable, policy, why_over,
};
use crate::harness::users::{ADMIN, ALICE, CAROL, GITOPS, MALLORY};
use crate::harness::{Cluster, eventually, private};

/// The part of the author guard that looks at the first roles.
const BINDING: [&str; 2] = ["validatingadmissionpolicybinding", "daypass-policy-author-guard-1"];

pub fn trials() -> Vec<Trial> {
    vec![
        private("gap::a_policy_written_without_the_author_guard_is_not_used_until_it_is_confirmed", seen),
        private("gap::a_controller_that_was_away_finds_out_too", unseen),
    ]
}

async fn seen(cluster: Arc<Cluster>) {
    gap(&cluster, true).await;
}

async fn unseen(cluster: Arc<Cluster>) {
    gap(&cluster, false).await;
}

/// What the policy's status says.
async fn status(cluster: &Cluster, name: &str) -> Value {
    let read = cluster.kubectl(ADMIN).ok(&["get", "apol", name, "-o", "json"]).await;
    serde_json::from_str::<Value>(&read).expect("JSON")["status"].take()
}

/// Waits until the spec as it is was judged so; the status then.
async fn until_judged(cluster: &Cluster, name: &str, believed: bool) -> Value {
    eventually(&format!("{name} is judged"), SOON, async || {
        let read = cluster.kubectl(ADMIN).ok(&["get", "apol", name, "-o", "json"]).await;
        let policy = serde_json::from_str::<Value>(&read).map_err(|error| error.to_string())?;
        let origin = &policy["status"]["origin"];
        let judged = origin["generation"] == policy["metadata"]["generation"] && origin["believed"] == believed;
        if judged { Ok(policy["status"].clone()) } else { Err(origin.to_string()) }
    })
    .await
}

async fn until_guarded(cluster: &Cluster, code: u16) {
    eventually(&format!("/readyz answers {code}"), SOON, async || {
        let (status, body) = cluster.controller.get("/readyz").await?;
        if status == code { Ok(()) } else { Err(body) }
    })
    .await;
}

async fn gap(cluster: &Cluster, running: bool) {
    let namespace = &cluster.namespace("written").await;
    // One policy is changed while the guard is away, and one is made.
    let (own, new) = (namespace, &format!("{namespace}-new"));
    cluster.allow(own, namespace, json!({ "approval": asking("carol") })).await;
    until_judged(cluster, own, true).await;
    for name in ["running", "ended"] {
        cluster.ask(ALICE, namespace, name, json!({ "duration": "1h" })).await;
        cluster.until(namespace, name, State::Active).await;
    }
    write_without_the_guard(cluster, namespace, new, running).await;
    gives_nothing_new(cluster, namespace, new).await;
    ends_by_whom_it_named(cluster, namespace).await;
    counts_once_confirmed(cluster, namespace, new).await;

    // What is written anew is judged as what it is now: narrower than what runs.
    cluster.allow(own, namespace, json!({ "duration": { "max": "2m" } })).await;
    until_judged(cluster, own, true).await;
    let revoked = cluster.until(namespace, "running", State::Revoked).await.status.unwrap();
    let longer = Shortfall::Length { asked: SignedDuration::from_hours(1), most: SignedDuration::from_mins(2) };
    assert_eq!(why_over(&revoked), no_longer(own, longer).to_string());
}

/// Nobody needs to agree, and this person may end what runs.
fn asking(who: &str) -> Value {
    let stages = json!([{ "name": "leads", "approvers": [{ "kind": "User", "name": who }] }]);
    json!({ "automaticWhen": "true", "stages": stages })
}

/// Makes the policy `new` and changes that of the namespace's name, while the author guard is away and the controller runs
/// or does not.
async fn write_without_the_guard(cluster: &Cluster, namespace: &str, new: &str, running: bool) {
    let (admin, gitops) = (cluster.kubectl(ADMIN), cluster.kubectl(GITOPS));
    let mut handed_out = policy(new, namespace);
    handed_out["spec"]["roles"] = json!([{ "name": "cluster-admin" }]);
    gitops.apply_refused(&handed_out.to_string()).await;
    let backup = admin.ok(&["get", BINDING[0], BINDING[1], "-o", "json"]).await;
    if !running {
        cluster.controller.kill();
    }
    admin.ok(&["delete", BINDING[0], BINDING[1]]).await;
    // Nothing refuses it any more.
    eventually("the author guard is away", SOON, async || {
        let output = gitops.run_with(&["apply", "-f", "-"], &handed_out.to_string()).await;
        if output.stderr.is_empty() { Ok(()) } else { Err(output.stderr) }
    })
    .await;
    if running {
        until_guarded(cluster, 503).await;
    }
    // What is changed would end the running grant, if it were believed.
    cluster.allow(namespace, namespace, json!({ "duration": { "max": "1m" }, "approval": asking("mallory") })).await;
    admin.apply(&restored(&backup)).await;
    eventually("the author guard is back", SOON, async || {
        let mut other = handed_out.clone();
        other["metadata"]["name"] = json!(format!("{new}-other"));
        let output = gitops.run_with(&["create", "--dry-run=server", "-f", "-"], &other.to_string()).await;
        if output.stderr.contains(&format!("'{}'", BINDING[1])) { Ok(()) } else { Err(output.stderr) }
    })
    .await;
    if !running {
        cluster.controller.start_again();
    }
    until_guarded(cluster, 200).await;
}

/// Both policies say how to have them used, and deny until then.
async fn gives_nothing_new(cluster: &Cluster, namespace: &str, new: &str) {
    for (name, role) in [(new, "cluster-admin"), (namespace, "edit")] {
        let read = until_judged(cluster, name, false).await;
        let ready = read["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "Ready").unwrap();
        assert_eq!((&ready["status"], &ready["reason"]), (&json!("False"), &json!("WrittenInGap")));
        let policy: AccessPolicy = Api::all(cluster.client(ADMIN).await).get(name).await.expect("the policy");
        let doubt = doubt_on_record(&policy).expect("a doubt");
        assert_eq!(ready["message"], doubt.to_string());
        let asked = format!("asks-for-{role}");
        cluster.ask(ALICE, namespace, &asked, json!({ "role": { "name": role }, "duration": "30s" })).await;
        let denied = cluster.until(namespace, &asked, State::Denied).await.status.unwrap().message.unwrap();
        assert_says(&denied, &falls_short(name, [Shortfall::Disbelieved(doubt)]));
    }
}

async fn ends_by_whom_it_named(cluster: &Cluster, namespace: &str) {
    // Who may end what runs is whom the policy named while it was believed.
    cluster.review(MALLORY, namespace, "ended", "Revoke", "").await;
    let requests = cluster.requests(namespace).await;
    eventually("the word of mallory is on record as one without effect", SOON, async || {
        let status = requests.get("ended").await.map_err(|error| error.to_string())?.status.unwrap_or_default();
        let last = status.history.last().map(|entry| (entry.event.as_str().to_owned(), entry.by.clone()));
        let vain = last == Some(("ReviewIgnored".to_owned(), Some("mallory".to_owned())));
        if vain && status.state == State::Active { Ok(()) } else { Err(format!("{:?}: {last:?}", status.state)) }
    })
    .await;
    cluster.review(CAROL, namespace, "ended", "Revoke", "").await;
    let ended = cluster.until(namespace, "ended", State::Revoked).await.status.unwrap();
    assert_eq!(ended.history.last().unwrap().by.as_deref(), Some("carol"));
    cluster.until(namespace, "running", State::Active).await;
    assert_eq!(cluster.our_bindings(namespace).await.len(), 1);
}

async fn counts_once_confirmed(cluster: &Cluster, namespace: &str, new: &str) {
    let (admin, gitops) = (cluster.kubectl(ADMIN), cluster.kubectl(GITOPS));
    // Whom the author guard refuses, confirms nothing.
    let confirm = |name: &str, token: &Value| {
        let body = format!("daypass.dev/confirm={}", token.as_str().unwrap());
        ["annotate", "accesspolicy", name, "--overwrite", &body].map(str::to_owned)
    };
    let token = status(cluster, new).await["origin"]["confirm"].take();
    let words = confirm(new, &token);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let refusal = gitops.refused(&words).await;
    assert_refused_by(&refusal, BINDING[1]);
    until_judged(cluster, new, false).await;
    admin.ok(&words).await;
    let read = until_judged(cluster, new, true).await;
    assert!(read["origin"].get("confirm").is_none(), "{read}");
    cluster.ask(ALICE, namespace, "confirmed", json!({ "role": { "name": "cluster-admin" }, "duration": "2s" })).await;
    // The policy counts again. The chart lets the controller bind no such role, which is another matter.
    let denied = cluster.until(namespace, "confirmed", State::Denied).await.status.unwrap().message.unwrap();
    assert_says(&denied, &falls_short(new, [Shortfall::RoleUnusable(not_bindable(0, "cluster-admin"))]));
}

/// An object as it can be applied again.
fn restored(object: &str) -> String {
    let mut object: Value = serde_json::from_str(object).expect("JSON");
    object["metadata"] = json!({ "name": object["metadata"]["name"], "labels": object["metadata"]["labels"], "annotations": object["metadata"]["annotations"] });
    object.as_object_mut().expect("an object").remove("status");
    object.to_string()
}
