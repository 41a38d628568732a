//! `make bench`: how fast access comes and goes, beside a bare client that only creates and deletes the same
//! RoleBindings on the same control plane in the same run. It prints figures and judges none. One section of it:
//! `make bench ONLY=policies`.

mod live;
mod policies;
mod same_writes;
mod seen;
mod waiting;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use daypass::api::AccessRequest;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tokio::time::Instant;

use self::seen::Seen;
use crate::harness::cast;
use crate::harness::install::{CONTROLLER, PROGRAM};
use crate::harness::users::{ADMIN, ALICE};
use crate::harness::wait::now;
use crate::harness::{Cluster, trial};

const ONE_AT_A_TIME: usize = 200;
const BURST: usize = 1000;
const CLIENTS: usize = 16;
const ENDS: usize = 200;
const ENDS_WITHIN: usize = 20;
const OVERDUE: usize = 200;
/// Nothing in a benchmark takes longer.
const LIMIT: Duration = Duration::from_secs(180);

/// What can be measured alone.
const SECTIONS: [&str; 7] = ["one", "burst", "ends", "waiting", "restart", "policies", "live"];

/// Measures and prints; only this section, if one is named. `live`: how many live grants there are at last, if not as
/// many as usual.
pub fn run(only: Option<&str>, live: Option<&str>) -> ExitCode {
    if let Some(only) = only.filter(|only| !SECTIONS.contains(only)) {
        eprintln!("there is no section {only}: name one of {}", SECTIONS.join(", "));
        return ExitCode::from(2);
    }
    let live = match live.map(str::parse).transpose() {
        Ok(live) => live,
        Err(error) => {
            eprintln!("how many live grants? {error}");
            return ExitCode::from(2);
        }
    };
    trial::runtime().block_on(measure(only, live));
    ExitCode::SUCCESS
}

async fn measure(only: Option<&str>, live: Option<usize>) {
    let profile = if cfg!(debug_assertions) { "debug build: figures mean nothing" } else { "release build" };
    println!("daypass {} ({profile}), beside a bare client in the same run", env!("CARGO_PKG_VERSION"));
    let other = std::env::var(PROGRAM).ok().filter(|program| !program.is_empty());
    println!("{}\n", other.map_or_else(String::new, |program| format!("the controller is {program}")));
    let cluster = Cluster::private().await;
    let namespace = cluster.namespace("bench").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let bench = Bench {
        bindings: Api::namespaced(cluster.client(ADMIN).await, &namespace),
        requests: Api::namespaced(cluster.client(ALICE).await, &namespace),
        stored: Api::namespaced(cluster.client(ADMIN).await, &namespace),
        seen: Seen::start(Api::<RoleBinding>::namespaced(cluster.client(ADMIN).await, &namespace), |_| true).await,
        cluster: cluster.clone(),
    };
    println!("{:<44} {:>9} {:>9} {:>9} {:>9}", "", "p50", "p99", "max", "x bare p50");
    for section in SECTIONS.into_iter().filter(|section| only.is_none_or(|only| only == *section)) {
        match section {
            "one" => bench.one_at_a_time().await,
            "burst" => bench.burst().await,
            "ends" => {
                bench.ends().await;
                bench.ends_at_once().await;
            }
            "waiting" => bench.waiting().await,
            "restart" => bench.idle_and_restart().await,
            "policies" => bench.policies().await,
            _ => bench.live(live).await,
        }
    }
}

struct Bench {
    cluster: Arc<Cluster>,
    bindings: Api<RoleBinding>,
    requests: Api<AccessRequest>,
    /// The same for who may delete what gave access.
    stored: Api<AccessRequest>,
    seen: Seen,
}

impl Bench {
    async fn one_at_a_time(&self) {
        let (mut bare, mut ours) = self.in_turns("one", ONE_AT_A_TIME).await;
        let base = report("bare: create -> seen, one at a time", &mut bare, None);
        report("daypass: request -> binding seen", &mut ours, Some(base));
        self.clear().await;
    }

    /// So many bare bindings and so many requests, one at a time: from when each was made until it was seen. Taken in
    /// turns, so that a machine whose speed drifts slows both.
    async fn in_turns(&self, prefix: &str, samples: usize) -> (Vec<Duration>, Vec<Duration>) {
        let (mut bare, mut ours) = (Vec::new(), Vec::new());
        for n in 0..samples {
            let (name, begin) = (format!("bare-{prefix}-{n}"), Instant::now());
            self.bind(&name).await;
            bare.push(self.seen.added(&name).await.duration_since(begin));
            let begin = Instant::now();
            let binding = self.ask(&format!("{prefix}-{n}"), "1h").await;
            ours.push(self.seen.added(&binding).await.duration_since(begin));
        }
        (bare, ours)
    }

    async fn burst(&self) {
        let (whole, mut bare) = self
            .salvo("bare-burst", async |name: String| {
                self.bind(&name).await;
                name
            })
            .await;
        println!("{:<44} {:>9.2?}", format!("bare: {BURST} from {CLIENTS} clients, all seen"), whole);
        let base = report("bare: created -> seen, each", &mut bare, None);
        self.clear().await;
        let (ours, mut each) = self.salvo("burst", async |name: String| self.ask(&name, "1h").await).await;
        let ratio = ours.as_secs_f64() / whole.as_secs_f64();
        println!("{:<44} {:>9.2?} {ratio:>29.1}", format!("daypass: {BURST} from {CLIENTS} clients, all bound"), ours);
        report("daypass: accepted -> binding seen, each", &mut each, Some(base));
        println!("{:<44} {:>9}", format!("daypass: memory with {BURST} live grants"), self.memory());
        let sample = self.sample().await;
        self.clear().await;
        self.cluster.controller.kill();
        let same = self.same_writes(&sample).await;
        let ratio = same.as_secs_f64() / whole.as_secs_f64();
        println!("{:<44} {:>9.2?} {ratio:>29.1}", "the same writes by a client, nothing decided", same);
        self.clear().await;
        self.cluster.controller.restart().await;
    }

    /// Makes as many as a burst has, from several clients at a time. The time until all were seen, and for each
    /// the time from when it was accepted.
    async fn salvo(&self, prefix: &str, make: impl AsyncFn(String) -> String) -> (Duration, Vec<Duration>) {
        let begin = Instant::now();
        let names = (0..BURST).map(|n| format!("{prefix}-{n}"));
        let made = stream::iter(names).map(|name| async { (make(name).await, Instant::now()) });
        let made: Vec<(String, Instant)> = made.buffer_unordered(CLIENTS).collect().await;
        self.seen.many(BURST).await;
        let whole = begin.elapsed();
        let mut each = Vec::new();
        for (name, accepted) in made {
            each.push(self.seen.added(&name).await.saturating_duration_since(accepted));
        }
        (whole, each)
    }

    async fn ends(&self) {
        let mut bare = self.bare_lateness("bare-end").await;
        let mut ours = self.lateness("end", ENDS, ENDS_WITHIN).await;
        let base = report_millis(&format!("bare: stated end -> gone, {ENDS} in {ENDS_WITHIN} s"), &mut bare, None);
        report_millis("daypass: stated end -> binding gone", &mut ours, Some(base));
        self.clear().await;
    }

    /// How late a client is that only deletes each binding at its time.
    async fn bare_lateness(&self, prefix: &str) -> Vec<f64> {
        let first = now() + SignedDuration::from_secs(3);
        let step = SignedDuration::from_secs(i64::try_from(ENDS_WITHIN).expect("a small number"))
            / i32::try_from(ENDS).expect("a small number");
        let ends = (0..ENDS).map(|n| first + step * i32::try_from(n).expect("a small number"));
        let deleted = stream::iter(ends.enumerate()).map(|(n, end)| async move {
            let name = format!("{prefix}-{n}");
            self.bind(&name).await;
            tokio::time::sleep(Duration::try_from(end.duration_since(now())).unwrap_or_default()).await;
            self.unbind(&name).await;
            late(self.seen.removed(&name).await, end)
        });
        deleted.buffer_unordered(ENDS).collect().await
    }

    async fn idle_and_restart(&self) {
        println!("{:<44} {:>9}", "daypass: memory, nothing live", self.memory());
        let writes = self.writes_of_one_life().await;
        println!("{:<44} {:>9}", "daypass: API writes of one life, Events too", writes);
        self.fill(0, BURST).await;
        self.settled().await;
        let ends = (0..OVERDUE).map(|n| async move { self.ask(&format!("late-{n}"), "10s").await });
        stream::iter(ends).buffer_unordered(CLIENTS).collect::<Vec<_>>().await;
        self.seen.many(BURST + OVERDUE).await;
        let begin = Instant::now();
        self.cluster.controller.kill();
        tokio::time::sleep(Duration::from_secs(12).saturating_sub(begin.elapsed())).await;
        let begin = Instant::now();
        self.cluster.controller.restart().await;
        self.seen.many(BURST).await;
        let what = format!("daypass: {OVERDUE} overdue and {BURST} live, gone after start");
        println!("{what:<50} {:>9.2?}", begin.elapsed());
        self.clear().await;
    }

    /// Counts the controller's writes about one request, from the audit log.
    async fn writes_of_one_life(&self) -> usize {
        let binding = self.ask("life", "2s").await;
        self.seen.added(&binding).await;
        self.seen.removed(&binding).await;
        let namespace = self.requests.get("life").await.expect("read it").namespace().expect("a namespace");
        self.cluster
            .until_events(
                &self.cluster.until(&namespace, "life", daypass::api::State::Expired).await,
                &["Granted", "Expired"],
            )
            .await;
        let uid = binding.trim_start_matches("daypass-");
        let about = |event: &serde_json::Value| {
            let name = event["objectRef"]["name"].as_str().unwrap_or_default();
            name == "life" || name == binding || name.starts_with(&format!("life.{}", &uid[..8]))
        };
        self.cluster.control_plane.calls_of(CONTROLLER).iter().filter(|event| about(event) && is_write(event)).count()
    }

    /// Creates the RoleBinding that Daypass would.
    async fn bind(&self, name: &str) {
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": { "name": name, "labels": { "bench": "bare" } },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit" },
            "subjects": [{ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "alice" }]
        }))
        .expect("a RoleBinding");
        self.bindings.create(&PostParams::default(), &binding).await.expect("create a RoleBinding");
    }

    async fn unbind(&self, name: &str) {
        self.bindings.delete(name, &DeleteParams::default()).await.expect("delete a RoleBinding");
    }

    /// Files a request; the name that its binding will have.
    async fn ask(&self, name: &str, duration: &str) -> String {
        let created = self.file(name, duration).await;
        format!("daypass-{}", created.uid().expect("a uid"))
    }

    /// Files a request, as it is stored.
    async fn file(&self, name: &str, duration: &str) -> AccessRequest {
        create(&self.requests, &request(name, json!({ "duration": duration }))).await
    }

    /// Removes every request and bare binding, and waits until all are gone.
    async fn clear(&self) {
        let requests: Vec<String> = self
            .requests
            .list(&Default::default())
            .await
            .expect("list")
            .items
            .iter()
            .map(ResourceExt::name_any)
            .collect();
        let bare: Vec<String> = self.seen.names().into_iter().filter(|name| name.starts_with("bare-")).collect();
        let exactly = DeleteParams::default();
        stream::iter(requests)
            .map(|name| self.delete_request(name))
            .buffer_unordered(CLIENTS)
            .collect::<Vec<_>>()
            .await;
        let deleted = stream::iter(bare).map(|name| {
            let exactly = &exactly;
            async move { self.bindings.delete(&name, exactly).await.map(|_| ()) }
        });
        deleted.buffer_unordered(CLIENTS).try_collect::<Vec<_>>().await.expect("delete bindings");
        self.seen.many(0).await;
    }

    async fn delete_request(&self, name: String) {
        self.stored.delete(&name, &DeleteParams::default()).await.expect("delete a request");
    }

    /// Resident memory of the controller now, as the kernel tells it.
    fn memory(&self) -> String {
        self.kernel_says("VmRSS:")
    }

    /// The most that it has been since the process began.
    fn most_memory(&self) -> String {
        self.kernel_says("VmHWM:")
    }

    /// A size out of proc_pid_status(5).
    fn kernel_says(&self, size: &str) -> String {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.cluster.controller.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(size)).unwrap_or_default();
        let kilobytes: Option<f64> = line.trim().trim_end_matches(" kB").parse().ok();
        kilobytes.map_or("unknown".to_owned(), |kb| format!("{:.1} MiB", kb / 1024.0))
    }
}

/// A request for `edit` in the namespace that it is made in, with `spec` on top.
fn request(name: &str, spec: Value) -> AccessRequest {
    let mut request: AccessRequest = serde_json::from_value(cast::request("", name, spec)).expect("a request");
    request.metadata.namespace = None;
    request
}

async fn create(requests: &Api<AccessRequest>, request: &AccessRequest) -> AccessRequest {
    requests.create(&PostParams::default(), request).await.expect("create a request")
}

/// How late something was, in milliseconds; negative when it was early.
fn late(at: Timestamp, stated: Timestamp) -> f64 {
    at.duration_since(stated).as_secs_f64() * 1000.0
}

fn report(what: &str, figures: &mut [Duration], bare: Option<f64>) -> f64 {
    report_millis(what, &mut in_millis(figures), bare)
}

fn in_millis(figures: &[Duration]) -> Vec<f64> {
    figures.iter().map(|figure| figure.as_secs_f64() * 1000.0).collect()
}

/// Whether an entry of the audit log is of something that is changed. A question about rights stores nothing.
fn is_write(event: &serde_json::Value) -> bool {
    event["objectRef"]["resource"] != "selfsubjectaccessreviews"
        && !["get", "list", "watch"].contains(&event["verb"].as_str().unwrap_or_default())
}

/// p50, p99 and maximum.
fn spread(millis: &mut [f64]) -> (f64, f64, f64) {
    millis.sort_by(f64::total_cmp);
    let at = |share: f64| millis[((millis.len() - 1) as f64 * share).round() as usize];
    (at(0.5), at(0.99), at(1.0))
}

/// Prints p50, p99 and maximum; the p50, as the base for a ratio.
fn report_millis(what: &str, millis: &mut [f64], bare: Option<f64>) -> f64 {
    let (p50, p99, max) = spread(millis);
    let ratio = bare.map_or(String::new(), |bare| format!("{:.1}", p50 / bare));
    println!("{what:<44} {:>9} {:>9} {:>9} {ratio:>9}", ms(p50), ms(p99), ms(max));
    if millis[0] < 0.0 {
        println!("  {} of {} were early", millis.iter().filter(|m| **m < 0.0).count(), millis.len());
    }
    p50
}

fn ms(millis: f64) -> String {
    format!("{millis:.1} ms")
}
