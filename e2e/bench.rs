//! `make bench`: how fast access comes and goes, beside a bare client that only creates and deletes RoleBindings, on a
//! control plane of its own without Daypass, just before in the same run. It prints figures and judges none. Some sections
//! of it: `make bench ONLY=one,burst`.

mod archive;
mod bare;
mod figures;
mod live;
mod plugin;
mod policies;
mod proof;
mod retention;
mod run;
mod same_writes;
mod seen;
mod waiting;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use daypass::api::AccessRequest;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tokio::time::Instant;

use self::bare::{Bare, stated_ends};
use self::figures::{Spread, beside, line, whole};
use self::seen::Seen;
use self::waiting::AT_ONCE;
use crate::harness::cast;
use crate::harness::install::{CONTROLLER, PROGRAM};
use crate::harness::users::{ADMIN, ALICE};
use crate::harness::wait::{eventually, now};
use crate::harness::{Cluster, process, trial};

const ONE_AT_A_TIME: usize = 200;
const BURST: usize = 1000;
const CLIENTS: usize = 16;
const ENDS: usize = 200;
const ENDS_WITHIN: usize = 20;
const OVERDUE: usize = 200;
/// Nothing in a benchmark takes longer.
const LIMIT: Duration = Duration::from_secs(180);

/// What can be measured alone.
const SECTIONS: [&str; 12] = [
    "plugin",
    "run",
    "archive",
    "proof",
    "retention",
    "one",
    "burst",
    "ends",
    "waiting",
    "restart",
    "policies",
    "live",
];

/// Those that are beside no bare client.
const BY_THEMSELVES: [&str; 5] = ["plugin", "run", "archive", "proof", "retention"];

/// Measures and prints; only these sections, if some are named. `live`: how many live grants there are at last, if not as
/// many as usual.
pub fn run(only: Option<&str>, live: Option<&str>) -> ExitCode {
    let only: Vec<&str> = only.map_or_else(|| SECTIONS.to_vec(), |only| only.split(',').collect());
    if let Some(unknown) = only.iter().find(|only| !SECTIONS.contains(only)) {
        eprintln!("there is no section {unknown}: name some of {}", SECTIONS.join(","));
        return ExitCode::from(2);
    }
    let live = match live.map(str::parse).transpose() {
        Ok(live) => live,
        Err(error) => {
            eprintln!("how many live grants? {error}");
            return ExitCode::from(2);
        }
    };
    trial::runtime().block_on(measure(&only, live));
    ExitCode::SUCCESS
}

async fn measure(only: &[&str], live: Option<usize>) {
    let profile = if cfg!(debug_assertions) { "debug build: figures mean nothing" } else { "release build" };
    println!("daypass {} ({profile})", env!("CARGO_PKG_VERSION"));
    let other = std::env::var(PROGRAM).ok().filter(|program| !program.is_empty());
    println!("{}\n", other.map_or_else(String::new, |program| format!("the controller is {program}")));
    if only.contains(&"plugin") {
        plugin::measure().await;
    }
    if only.contains(&"run") {
        run::measure().await;
    }
    if only.contains(&"archive") {
        archive::measure().await;
    }
    if only.contains(&"proof") {
        proof::measure();
    }
    if only.contains(&"retention") {
        retention::measure().await;
    }
    if only.iter().all(|only| BY_THEMSELVES.contains(only)) {
        return;
    }
    println!(
        "Bare: a client that only creates and deletes RoleBindings, on a control plane of its own without Daypass."
    );
    let bare = Bare::measure().await;
    println!("{:<54} {:>9} {:>9} {:>9}", "", "p50", "p99", "max");
    line("create -> seen, one at a time", &bare.one);
    println!("{:<54} {:>9.2?}", format!("{BURST} from {CLIENTS} clients, all seen"), bare.burst);
    line("the same, each: accepted -> seen", &bare.each);
    line(&format!("stated end -> gone, {ENDS} in {ENDS_WITHIN} s"), &bare.ends);
    line(&format!("stated end -> gone, {AT_ONCE} at once, from {} clients", bare.at_once_from), &bare.at_once);
    println!("{:<54} {:>9.2?}", format!("{OVERDUE} at once, all gone"), bare.overdue);

    println!("\nDaypass: on a control plane with its chart, the bare one ended. x: how many times the bare figure.");
    let cluster = Cluster::private().await;
    let namespace = cluster.namespace("bench").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let bench = Bench {
        bare,
        bindings: Api::namespaced(cluster.client(ADMIN).await, &namespace),
        requests: Api::namespaced(cluster.client(ALICE).await, &namespace),
        stored: Api::namespaced(cluster.client(ADMIN).await, &namespace),
        events: Api::namespaced(cluster.client(ADMIN).await, &namespace),
        seen: Seen::start(Api::<RoleBinding>::namespaced(cluster.client(ADMIN).await, &namespace), |_| true).await,
        cluster: cluster.clone(),
    };
    println!("{:<54} {:>9} {:>9} {:>9} {:>7} {:>7}", "", "p50", "p99", "max", "x p50", "x p99");
    for section in SECTIONS.into_iter().filter(|section| !BY_THEMSELVES.contains(section) && only.contains(section)) {
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
    bare: Bare,
    bindings: Api<RoleBinding>,
    requests: Api<AccessRequest>,
    /// The same for who may delete what gave access.
    stored: Api<AccessRequest>,
    events: Api<Event>,
    seen: Seen,
}

impl Bench {
    async fn one_at_a_time(&self) {
        let alone = self.one_by_one("alone", ONE_AT_A_TIME, true).await;
        beside("request -> binding seen, one at a time", &alone, &self.bare.one);
        let behind = self.one_by_one("behind", ONE_AT_A_TIME, false).await;
        beside("the same right behind the one before", &behind, &self.bare.one);
        self.clear().await;
    }

    /// So many requests, one at a time: from when each was made until its binding was seen. Each when all has been
    /// written about the one before, Events too, or else as soon as that one's binding is there.
    async fn one_by_one(&self, prefix: &str, samples: usize, settled: bool) -> Spread {
        let mut ours = Vec::new();
        for n in 0..samples {
            let begin = Instant::now();
            let made = self.file(&format!("{prefix}-{n}"), "1h").await;
            ours.push(self.seen.added(&binding_of(&made)).await.duration_since(begin));
            if settled {
                self.until_told(&made).await;
            }
        }
        Spread::of(in_millis(&ours))
    }

    /// Waits for the Event that a request is granted, by its name: to look through all takes longer the more there are.
    /// It is the last that is written.
    async fn until_told(&self, made: &AccessRequest) {
        let name = event_of(made);
        eventually("the Event of a grant", LIMIT, async || {
            let found = self.events.get_metadata_opt(&name).await.map_err(|error| error.to_string())?;
            found.map(drop).ok_or_else(|| "it is not there".to_owned())
        })
        .await;
    }

    async fn burst(&self) {
        let (ours, each) = salvo(&self.seen, "burst", BURST, async |name: String| self.ask(&name, "1h").await).await;
        whole(&format!("{BURST} from {CLIENTS} clients, all bound"), ours, self.bare.burst);
        beside("the same, each: accepted -> binding seen", &Spread::of(each), &self.bare.each);
        println!("{:<54} {:>9}", format!("memory with {BURST} live grants"), self.memory());
        let sample = self.sample().await;
        self.clear().await;
        self.cluster.controller.kill();
        let same = self.same_writes(&sample).await;
        whole("the same writes by a client, nothing decided", same, self.bare.burst);
        println!("{:<54} {:>9.2}", "Daypass beside that client, x", ours.as_secs_f64() / same.as_secs_f64());
        self.clear().await;
        self.cluster.controller.restart().await;
    }

    async fn ends(&self) {
        let ours = self.lateness("end", ENDS, ENDS_WITHIN).await;
        let what = format!("stated end -> binding gone, {ENDS} in {ENDS_WITHIN} s");
        beside(&what, &Spread::of(ours), &self.bare.ends);
        self.clear().await;
    }

    /// How late a client is on this control plane that only deletes each binding at its time.
    async fn bare_lateness(&self, prefix: &str) -> Spread {
        let ends = stated_ends();
        let deleted = stream::iter(ends.into_iter().enumerate()).map(|(n, end)| async move {
            let name = format!("{prefix}-{n}");
            bare::bind(&self.bindings, &name).await;
            tokio::time::sleep(Duration::try_from(end.duration_since(now())).unwrap_or_default()).await;
            self.bindings.delete(&name, &DeleteParams::default()).await.expect("delete a RoleBinding");
            late(self.seen.removed(&name).await, end)
        });
        Spread::of(deleted.buffer_unordered(ENDS).collect().await)
    }

    async fn idle_and_restart(&self) {
        println!("{:<54} {:>9}", "memory, nothing live", self.memory());
        let writes = self.writes_of_one_life().await;
        println!("{:<54} {:>9}", "API writes of one life, Events too", writes);
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
        let what = format!("{OVERDUE} overdue beside {BURST} live, gone after a start");
        whole(&what, begin.elapsed(), self.bare.overdue);
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

    /// Files a request; the name that its binding will have.
    async fn ask(&self, name: &str, duration: &str) -> String {
        binding_of(&self.file(name, duration).await)
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
        process::size(self.cluster.controller.pid(), "VmRSS")
    }

    /// The most that it has been since the process began.
    fn most_memory(&self) -> String {
        process::size(self.cluster.controller.pid(), "VmHWM")
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

/// Makes so many from several clients at a time; `make` takes a name and says which binding will be seen. The time until
/// all were seen, and for each the milliseconds from when it was accepted.
async fn salvo(seen: &Seen, prefix: &str, many: usize, make: impl AsyncFn(String) -> String) -> (Duration, Vec<f64>) {
    let begin = Instant::now();
    let make = &make;
    let made = stream::iter((0..many).map(|n| format!("{prefix}-{n}")))
        .map(|name| async move { (make(name).await, Instant::now()) });
    let made: Vec<(String, Instant)> = made.buffer_unordered(CLIENTS).collect().await;
    seen.many(many).await;
    let whole = begin.elapsed();
    let mut each = Vec::new();
    for (binding, accepted) in made {
        each.push(seen.added(&binding).await.saturating_duration_since(accepted));
    }
    (whole, in_millis(&each))
}

/// How late something was, in milliseconds; negative when it was early.
fn late(at: Timestamp, stated: Timestamp) -> f64 {
    at.duration_since(stated).as_secs_f64() * 1000.0
}

fn in_millis(figures: &[Duration]) -> Vec<f64> {
    figures.iter().map(|figure| figure.as_secs_f64() * 1000.0).collect()
}

/// Whether an entry of the audit log is of something that is changed. A question about rights stores nothing.
fn is_write(event: &serde_json::Value) -> bool {
    event["objectRef"]["resource"] != "selfsubjectaccessreviews"
        && !["get", "list", "watch"].contains(&event["verb"].as_str().unwrap_or_default())
}

fn binding_of(request: &AccessRequest) -> String {
    format!("daypass-{}", request.uid().expect("a uid"))
}

/// The name of the Event that a request is granted.
fn event_of(request: &AccessRequest) -> String {
    let uid: String = request.uid().expect("a uid").chars().take(8).collect();
    format!("{}.{uid}-0", request.name_any())
}
