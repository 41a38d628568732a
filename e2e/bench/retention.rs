//! What ten thousand requests leave behind: kept in the cluster without an archive, then delivered and removed when there is
//! one, then as many again that are removed as they end. Objects, bytes in etcd, what the controller takes, and how fast it
//! starts.

use std::sync::Arc;
use std::time::Duration;

use daypass::api::AccessRequest;
use futures::{StreamExt, stream};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{CLIENTS, request};
use crate::harness::archive::RunningArchive;
use crate::harness::install::Controller;
use crate::harness::users::{ADMIN, ALICE, MALLORY};
use crate::harness::wait::eventually;
use crate::harness::{Cluster, ControlPlane, Daypass, cast, process};

/// How many requests, if nobody says otherwise.
const REQUESTS: usize = 10_000;
/// How long until so many are all over, and are all removed.
const SETTLED: Duration = Duration::from_secs(900);

/// How many requests; `DAYPASS_RECORDS` says another number.
fn wanted() -> usize {
    let said = std::env::var("DAYPASS_RECORDS").ok().filter(|said| !said.is_empty());
    said.map_or(REQUESTS, |said| said.parse().expect("DAYPASS_RECORDS is a number"))
}

/// Measures and prints.
pub async fn measure() {
    let many = wanted();
    println!("{many} requests of a second each, through archive and retention:");
    let columns = ["took", "objects", "at most", "etcd", "memory", "at most", "ready in"];
    println!("{:<30} {}", "", columns.map(|column| format!("{column:>10}")).join(" "));
    let control_plane = Arc::new(ControlPlane::start().await);
    Daypass::install(&control_plane, &["bindableRoles={deployer}", "archive.enabled=true"]).await;
    cast::give_rights(&control_plane.kubectl(ADMIN)).await;
    let archive = RunningArchive::start(&control_plane).await;
    let mut bench = RetentionBench::start(control_plane).await;
    bench.row("nothing", Duration::ZERO, 0).await;

    let (took, most) = bench.live("kept", many, many).await;
    bench.row("over, without an archive", took, most).await;

    let mut flags = archive.flags();
    flags.push("--retention=1s".to_owned());
    bench.controller_with(flags).await;
    let begun = Instant::now();
    bench.until_left(0).await;
    bench.row("delivered and removed", begun.elapsed(), many).await;

    let (took, most) = bench.live("passing", many, 0).await;
    bench.row("as many again, with an archive", took, most).await;
    bench.compare(2 * many).await;
}

struct RetentionBench {
    cluster: Cluster,
    /// As the admin.
    requests: Api<AccessRequest>,
    /// As a requester.
    asked: Api<AccessRequest>,
    client: Client,
    namespace: String,
}

impl RetentionBench {
    async fn start(control_plane: Arc<ControlPlane>) -> Self {
        let controller = controller(&control_plane, &[], "without").await;
        let cluster = Cluster { controller, control_plane };
        cast::until_stamped(&cluster.kubectl(MALLORY)).await;
        let namespace = cluster.namespace("bench").await;
        cluster.allow(&namespace, &namespace, json!({})).await;
        let client = cluster.client(ADMIN).await;
        Self {
            requests: Api::namespaced(client.clone(), &namespace),
            asked: Api::namespaced(cluster.client(ALICE).await, &namespace),
            cluster,
            client,
            namespace,
        }
    }

    /// Ends the controller, and starts one with these flags.
    async fn controller_with(&mut self, flags: Vec<String>) {
        self.cluster.controller.terminate().await;
        self.cluster.controller = controller(&self.cluster.control_plane, &flags, "with").await;
    }

    /// So many requests come and go, until no more than `left` are there and all of those are over. How long it took, and how
    /// many were there at most.
    async fn live(&self, prefix: &str, many: usize, left: usize) -> (Duration, usize) {
        let begun = Instant::now();
        let made = stream::iter(0..many).map(|n| async move {
            let asked = request(&format!("{prefix}-{n}"), json!({ "duration": "1s" }));
            self.asked.create(&PostParams::default(), &asked).await.expect("create a request");
        });
        let make = made.buffer_unordered(CLIENTS).collect::<Vec<()>>();
        let mut most = 0;
        tokio::select! {
            _ = make => {}
            () = async {
                loop {
                    most = most.max(self.objects().await);
                    sleep(Duration::from_millis(500)).await;
                }
            } => {}
        }
        most = most.max(self.objects().await);
        self.until_left(left).await;
        self.until_over().await;
        (begun.elapsed(), most)
    }

    /// How many requests are stored, without reading them.
    async fn objects(&self) -> usize {
        let listed = self.requests.list_metadata(&ListParams::default().limit(1)).await.expect("list one");
        let more = listed.metadata.remaining_item_count.unwrap_or_default();
        listed.items.len() + usize::try_from(more).expect("a count")
    }

    async fn until_left(&self, left: usize) {
        eventually("no more are left", SETTLED, async || match self.objects().await {
            there if there <= left => Ok(()),
            there => Err(format!("{there} are there")),
        })
        .await;
    }

    /// Nothing is live: no binding of Daypass is there.
    async fn until_over(&self) {
        eventually("all are over", SETTLED, async || {
            let left = self.cluster.our_bindings(&self.namespace).await.len();
            let live = self.cluster.controller.metric(r#"daypass_requests{state="Active"}"#).await;
            if left == 0 && live == 0.0 { Ok(()) } else { Err(format!("{left} bindings, {live} active")) }
        })
        .await;
    }

    /// What there is now, and what the controller takes once it has started again.
    async fn row(&self, what: &str, took: Duration, most: usize) {
        let objects = self.objects().await;
        let etcd = self
            .cluster
            .control_plane
            .dir()
            .join("etcd/member/snap/db")
            .metadata()
            .map_or(0.0, |file| file.len() as f64);
        let pid = self.cluster.controller.pid();
        let (memory, at_most) = (process::size(pid, "VmRSS"), process::size(pid, "VmHWM"));
        let begun = Instant::now();
        self.cluster.controller.restart().await;
        let ready = begun.elapsed();
        let row = [
            format!("{took:.1?}"),
            objects.to_string(),
            most.to_string(),
            format!("{:.1} MiB", etcd / f64::from(1 << 20)),
            memory,
            at_most,
            format!("{ready:.2?}"),
        ];
        println!("{what:<30} {}", row.map(|cell| format!("{cell:>10}")).join(" "));
    }

    /// Counts what is held, each request from its beginning to its end.
    async fn compare(&self, many: usize) {
        let path = format!("/apis/archive.daypass.dev/v1/namespaces/{}/records?format=jsonl", self.namespace);
        let asked = http::Request::get(path).body(Vec::new()).expect("a request");
        let lines = self.client.request_text(asked).await.expect("an export");
        let of = |kind: &str| lines.lines().filter(|line| line.contains(&format!(r#""kind":"{kind}""#))).count();
        println!(
            "held: {} records, of {many} requests {} asked, {} granted, {} expired",
            lines.lines().count(),
            of("Requested"),
            of("Granted"),
            of("Expired")
        );
    }
}

async fn controller(control_plane: &ControlPlane, flags: &[String], name: &str) -> Controller {
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    Controller::start_with(control_plane, name, &flags).await
}
