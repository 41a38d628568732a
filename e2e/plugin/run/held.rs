//! A call that is held for as long as a person may take to approve: tried when somebody asks for it, since it takes that long.

use std::sync::Arc;
use std::time::Duration;

use daypass::api::State;
use libtest_mimic::{Completion, Failed, Trial};

use super::super::request::stages;
use super::hold::{SCRIPT, configmap, line, nothing_is_left, run_as};
use crate::harness::Cluster;
use crate::harness::cluster::shared_cluster;
use crate::harness::plugin::only_request;
use crate::harness::trial::runtime;
use crate::harness::users::{ALICE, CAROL};

/// For how many minutes.
const MINUTES: &str = "DAYPASS_HELD_MINUTES";
/// What everything else takes at most.
const BESIDE: Duration = Duration::from_secs(180);

pub fn trials() -> Vec<Trial> {
    vec![Trial::ignorable_test("plugin::run::held::a_call_goes_on_after_so_many_minutes", || {
        let minutes = std::env::var(MINUTES).ok().and_then(|minutes| minutes.parse().ok());
        let Some(held) = minutes.map(|minutes: u64| Duration::from_secs(60 * minutes)) else {
            return Ok(Completion::ignored_with("make held-call takes ten minutes"));
        };
        let cluster = shared_cluster();
        let tried = runtime().block_on(async { tokio::time::timeout(BESIDE + held, goes_on(cluster, held)).await });
        tried.map(|()| Completion::Completed).map_err(|_| Failed::from("no end"))
    })]
}

async fn goes_on(cluster: Arc<Cluster>, held: Duration) {
    let namespace = cluster.namespace("run-long").await;
    let n = &namespace;
    cluster.allow(n, n, stages()).await;
    configmap(&cluster, n).await;
    let get = ["kubectl", "get", "configmap", "app", "-o", "name"];
    let running = run_as(&cluster, ALICE).start(&line(n, &SCRIPT, &get));
    let name = only_request(&cluster, n).await;
    cluster.until(n, &name, State::Pending).await;
    tokio::time::sleep(held).await;
    cluster.review(CAROL, n, &name, "Approve", "at last").await;
    let (code, out, err) = running.end().await;
    assert_eq!((code, out.as_str()), (Some(0), "configmap/app\n"), "{err}");
    cluster.until(n, &name, State::Revoked).await;
    nothing_is_left(&cluster, n).await;
}
