//! `request` while it waits: who does not want to, and what becomes of a request that somebody deletes.

use std::sync::Arc;

use daypass::api::State;
use libtest_mimic::Trial;

use super::request::stages;
use crate::harness::plugin::{Plugin, only_request};
use crate::harness::users::{ADMIN, GRETA};
use crate::harness::{Cluster, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("plugin::waits::not_for_who_does_not_want_to", not_at_all),
        shared("plugin::waits::not_for_a_request_that_was_deleted", deleted),
    ]
}

async fn not_at_all(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("nowait").await;
    cluster.allow(&namespace, &namespace, stages()).await;
    let asks = ["request", "edit", "--reason=x", "--no-wait", "-n", &namespace];
    let (code, screen) = Plugin::of(&cluster, GRETA).start_at_terminal(&asks).end().await;
    let name = only_request(&cluster, &namespace).await;
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains(&format!("request {namespace}/{name} is made")) && !screen.contains("waiting"), "{screen}");
    assert!(screen.contains(&format!("kubectl daypass show {name} -n {namespace}")), "no way back: {screen}");
    let request = cluster.requests(&namespace).await.get(&name).await.unwrap();
    assert_eq!(request.status.unwrap_or_default().state, State::Pending);
}

async fn deleted(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("gone").await;
    cluster.allow(&namespace, &namespace, stages()).await;
    let mut asking = Plugin::of(&cluster, GRETA).start(&["request", "edit", "--reason=x", "-n", &namespace]);
    asking.until_said("waiting: stage leads of policy").await;
    let name = only_request(&cluster, &namespace).await;
    cluster.kubectl(ADMIN).ok(&["delete", "areq", &name, "-n", &namespace]).await;
    let (code, out, err) = asking.end().await;
    assert_eq!(code, Some(3), "{out}{err}");
    assert!(err.ends_with("the request was deleted before it was decided\n"), "{err}");
}
