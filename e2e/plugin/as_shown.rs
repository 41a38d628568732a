//! What changes between the look and the yes: another request of the same name, other rules of the same role. It must not be
//! approved unseen.

use std::sync::Arc;

use daypass::api::State;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::request::stages;
use crate::harness::cast::SOON;
use crate::harness::plugin::{Plugin, Terminal};
use crate::harness::users::{ADMIN, ALICE, CAROL, EVE};
use crate::harness::{Cluster, eventually, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("plugin::as_shown::no_other_request_of_that_name_is_approved", replaced),
        shared("plugin::as_shown::no_other_rules_of_the_role_are_approved", role_changed),
    ]
}

/// carol, who has been shown request `fix` and is asked whether she approves it.
async fn asked(cluster: &Cluster, namespace: &str) -> Terminal {
    let mut terminal = Plugin::of(cluster, CAROL).start_at_terminal(&["approve", "fix", "-n", namespace]);
    terminal.until_shown("approve it? [y/N]").await;
    terminal
}

/// She says yes, nothing is approved, and she is told why.
async fn says_yes_in_vain(cluster: &Cluster, namespace: &str, mut terminal: Terminal, why: &str) {
    terminal.types("y\r").await;
    let (code, screen) = terminal.end().await;
    assert_eq!(code, Some(1), "{screen}");
    assert!(screen.contains(why), "{screen}");
    let fix = cluster.requests(namespace).await.get("fix").await.unwrap();
    assert!(fix.status.unwrap().reviews.is_empty(), "{screen}");
}

async fn waits(cluster: &Cluster, namespace: &str) {
    cluster.until_reason(namespace, "fix", "Approved", "ApprovalNeeded").await;
}

async fn replaced(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("replaced").await;
    cluster.allow(&namespace, &namespace, stages()).await;
    cluster.ask(ALICE, &namespace, "fix", json!({})).await;
    waits(&cluster, &namespace).await;
    let terminal = asked(&cluster, &namespace).await;
    cluster.kubectl(ADMIN).ok(&["delete", "areq", "fix", "-n", &namespace]).await;
    cluster.ask(EVE, &namespace, "fix", json!({ "reason": "another thing" })).await;
    waits(&cluster, &namespace).await;
    let why = "it was deleted, and another request has its name: look at it again, and then decide";
    says_yes_in_vain(&cluster, &namespace, terminal, why).await;
}

async fn role_changed(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("rules").await;
    let admin = cluster.kubectl(ADMIN);
    admin.ok(&["create", "role", "deployer", "--verb=get", "--resource=pods", "-n", &namespace]).await;
    let mut terms: Value = stages();
    terms["roles"] = json!([{ "kind": "Role", "name": "deployer" }]);
    cluster.allow(&namespace, &namespace, terms).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "role": { "kind": "Role", "name": "deployer" } })).await;
    waits(&cluster, &namespace).await;
    let digest = async || {
        let fix = cluster.requests(&namespace).await.get("fix").await.map_err(|error| error.to_string())?;
        fix.status.and_then(|status| status.role).map(|role| role.digest).ok_or_else(|| "no role".to_owned())
    };
    let shown = digest().await.unwrap();
    let terminal = asked(&cluster, &namespace).await;
    let more = r#"[{"op": "add", "path": "/rules/0/verbs/-", "value": "delete"}]"#;
    admin.ok(&["patch", "role", "deployer", "-n", &namespace, "--type=json", "-p", more]).await;
    eventually("the changed role is on record", SOON, async || {
        let now = digest().await?;
        if now == shown { Err("it is not".to_owned()) } else { Ok(()) }
    })
    .await;
    let why = "the rules of its role are others than those that you were shown: look at it again, and then decide";
    says_yes_in_vain(&cluster, &namespace, terminal, why).await;
    // Who looks again sees what is approved.
    let carol = Plugin::of(&cluster, CAROL);
    carol.done(&["approve", "fix", "-n", &namespace, "--yes"]).await;
    cluster.until(&namespace, "fix", State::Active).await;
}
