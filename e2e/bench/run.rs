//! How much longer a call takes through the endpoint of `run`, beside the same call without it by the same kind of client,
//! in turn and each over a connection that stays.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use tokio::time::Instant;

use super::{Spread, in_millis};
use crate::harness::control_plane::ControlPlane;
use crate::harness::kubeconfig;
use crate::harness::plugin::Plugin;
use crate::harness::users::ADMIN;

/// How many calls are made each way.
const CALLS: usize = 5000;
/// The first calls of a connection are its slowest.
const TO_WARM_UP: usize = 200;
/// Says where its kubeconfig is, and stays.
const STAYS: &str = "echo $KUBECONFIG; exec tail -f /dev/null";

/// Measures and prints.
pub async fn measure() {
    let control_plane = ControlPlane::start().await;
    control_plane.kubectl(ADMIN).ok(&["create", "configmap", "read", "--from-literal=a=b"]).await;
    let own = control_plane.kubeconfig(ADMIN);
    let mut running = Plugin::with(&own).start(&["run", "--", "sh", "-c", STAYS]);
    let printed = running.until_printed("\n").await;
    let of_run = kubeconfig::client(printed.trim().as_ref()).await;
    let plain = kubeconfig::client(&own).await;
    let (mut without, mut within) = (Vec::new(), Vec::new());
    for n in 0..TO_WARM_UP + CALLS {
        let took = [timed(&plain).await, timed(&of_run).await];
        if n >= TO_WARM_UP {
            without.push(took[0]);
            within.push(took[1]);
        }
    }
    running.interrupt();
    running.end().await;
    println!("The endpoint of run: {CALLS} reads of an object each way, in turn");
    println!("{:<54} {:>9} {:>9}", "", "p50, ms", "p99, ms");
    let (without, within) = (Spread::of(in_millis(&without)), Spread::of(in_millis(&within)));
    let line = |what: &str, p50: f64, p99: f64| println!("{what:<54} {p50:>9.3} {p99:>9.3}");
    line("a call without it", without.p50, without.p99);
    line("the same call through it", within.p50, within.p99);
    line("added", within.p50 - without.p50, within.p99 - without.p99);
    println!();
}

async fn timed(client: &Client) -> Duration {
    let objects: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let begin = Instant::now();
    objects.get("read").await.expect("read an object");
    begin.elapsed()
}
