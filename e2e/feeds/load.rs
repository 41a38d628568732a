//! `make activity-load`: so many audit events a minute of a real API server, all under one grant, by a tail and by the webhook,
//! each for a cluster of its own, so that what one loses the other does not hide. Halfway the archive is away for a minute,
//! and the log is renamed and packed all the time. It prints figures, and fails when an event is missing.

use std::fs;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use rusqlite::{Connection, OpenFlags};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::ground::{BY_WEBHOOK, FeedGround};
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::users::ADMIN;
use crate::harness::wait::{now, poll};
use crate::harness::{ControlPlane, process, trial};

/// Files that are full every half minute, and a webhook as it is by default but for its wait.
const FLAGS: &[&str] = &["--audit-log-maxsize=10", "--audit-log-compress", "--audit-webhook-batch-max-wait=5s"];
/// For how long the archive is away.
const AWAY: Duration = Duration::from_secs(60);
/// Time between two looks at how far all are.
const LOOKS: Duration = Duration::from_secs(2);
/// How long everything may take to arrive after the last call.
const LIMIT: Duration = Duration::from_secs(300);
const CLIENTS: u32 = 32;

/// Runs it; the variables RATE (events a minute) and MINUTES of make say how much.
pub fn run() -> ExitCode {
    let number = |name: &str, or: u32| {
        let text = std::env::var(name).ok().filter(|text| !text.is_empty());
        text.map_or(Ok(or), |text| text.parse().map_err(|error| format!("{name}: {error}")))
    };
    match (number("DAYPASS_RATE", 20_000), number("DAYPASS_MINUTES", 10)) {
        (Ok(rate), Ok(minutes)) if rate > 0 && minutes > 0 => trial::runtime().block_on(measure(rate, minutes)),
        (rate, minutes) => {
            eprintln!("how much? RATE: {rate:?}, MINUTES: {minutes:?}");
            ExitCode::from(2)
        }
    }
}

/// What was seen of a process, over all its lives.
#[derive(Default)]
struct ProcessUse {
    /// Processor time of lives that are over, in seconds.
    before: f64,
    processor: f64,
    memory: f64,
}

impl ProcessUse {
    fn look(&mut self, pid: u32) {
        self.processor = self.before + processor_seconds(pid);
        let most = process::size(pid, "VmHWM").trim_end_matches(" MiB").parse().unwrap_or_default();
        self.memory = self.memory.max(most);
    }

    fn ends(&mut self, pid: u32) {
        self.look(pid);
        self.before = self.processor;
    }

    fn line(&self, name: &str) {
        println!("{name:<40} {:>9.1} s of processor {:>8.1} MiB at most", self.processor, self.memory);
    }
}

/// User and system time, as proc_pid_stat(5) has them in ticks, of which there are a hundred a second.
fn processor_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let behind_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks = behind_name.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

/// What was seen while it ran.
#[derive(Default)]
struct LoadSeen {
    archive: ProcessUse,
    tail: ProcessUse,
    api_server: ProcessUse,
    /// Most bytes that the tail was behind.
    behind: f64,
    /// From the archive's return until the tail had sent all there was.
    caught_up: Option<Duration>,
}

impl LoadSeen {
    async fn look(&mut self, ground: &mut FeedGround) {
        self.tail.look(ground.tail().pid());
        self.api_server.look(ground.cluster.control_plane.api_server_pid());
        self.behind = self.behind.max(ground.tail_figure("daypass_tail_behind_bytes").await.unwrap_or_default());
    }
}

async fn measure(rate: u32, minutes: u32) -> ExitCode {
    let profile = if cfg!(debug_assertions) { "debug build: figures mean little" } else { "release build" };
    println!("{rate} audit events a minute for {minutes} minutes ({profile})");
    let control_plane = Arc::new(ControlPlane::start_with(AUDIT_POLICY, FLAGS).await);
    let mut ground = FeedGround::of_clusters(control_plane, Some(BY_WEBHOOK)).await;
    ground.start_webhook().await;
    ground.start_tail().await;
    ground.tail().until_ready().await;

    let whole = Duration::from_secs(u64::from(minutes) * 60);
    let (begin, mut seen) = (Instant::now(), LoadSeen::default());
    let calls = calls(ground.maps().await, rate, begin, whole);
    let goes = begin + whole.saturating_sub(AWAY) / 2;
    until(goes, &mut ground, &mut seen).await;
    seen.archive.ends(ground.archive.pid());
    ground.archive.kill();
    until(goes + AWAY, &mut ground, &mut seen).await;
    ground.archive.run().await;
    let (back, back_at) = (Instant::now(), now().as_millisecond() as f64 / 1000.0);
    while !calls.is_finished() {
        seen.look(&mut ground).await;
        seen.archive.look(ground.archive.pid());
        let caught_up = ground.tail_figure("daypass_tail_caught_up_timestamp_seconds").await.unwrap_or_default();
        if seen.caught_up.is_none() && caught_up > back_at {
            seen.caught_up = Some(back.elapsed());
        }
        sleep(LOOKS).await;
    }
    let made = calls.await.expect("the calls end");
    verdict(&mut ground, seen, made, begin.elapsed()).await
}

/// Looks every now and then until a time.
async fn until(time: Instant, ground: &mut FeedGround, seen: &mut LoadSeen) {
    while Instant::now() < time {
        seen.look(ground).await;
        sleep_until(time.min(Instant::now() + LOOKS)).await;
    }
}

/// Calls of alice at this rate, by several clients. How many were answered.
fn calls(maps: Api<ConfigMap>, rate: u32, begin: Instant, whole: Duration) -> JoinHandle<u32> {
    let next = Arc::new(AtomicU32::new(0));
    let client = move || {
        let (maps, next) = (maps.clone(), next.clone());
        tokio::spawn(async move {
            let mut made = 0;
            loop {
                let at = Duration::from_secs(60) * next.fetch_add(1, Ordering::Relaxed) / rate;
                if at >= whole {
                    return made;
                }
                sleep_until(begin + at).await;
                made += u32::from(maps.get_opt("none").await.is_ok());
            }
        })
    };
    let clients: Vec<_> = (0..CLIENTS).map(|_| client()).collect();
    tokio::spawn(async move { join_all(clients).await.into_iter().map(|made| made.expect("a client ends")).sum() })
}

async fn verdict(ground: &mut FeedGround, mut seen: LoadSeen, made: u32, took: Duration) -> ExitCode {
    let (begin, home) = (Instant::now(), ground.home.clone());
    let by = |cluster: &str| known(ground, cluster);
    let arrived = poll(LIMIT, async || {
        let (logged, by_tail, by_webhook) = (ground.logged_calls(), by(&home), by(BY_WEBHOOK));
        match logged == by_tail && logged == by_webhook {
            true => ControlFlow::Break((logged, begin.elapsed())),
            false => ControlFlow::Continue(format!("{logged} in the log, {by_tail} by tail, {by_webhook} by webhook")),
        }
    })
    .await;
    seen.look(ground).await;
    seen.archive.look(ground.archive.pid());
    println!(
        "{made} calls in {took:.0?}; the archive was away for {AWAY:.0?}; {} files of the log",
        ground.renamed() + 1
    );
    seen.archive.line("archive");
    seen.tail.line("tail");
    seen.api_server.line("API server");
    println!("{:<40} {:>9.1} MiB", "most that the tail was behind", seen.behind / 1024.0 / 1024.0);
    let caught_up = seen.caught_up.map_or("not before the last call".to_owned(), |time| format!("{time:.1?}"));
    println!("{:<40} {caught_up:>9}", "the archive is back -> the tail has sent all");
    let dropped = ground.cluster.kubectl(ADMIN).ok(&["get", "--raw", "/metrics"]).await;
    let dropped = dropped.lines().find(|line| line.starts_with("apiserver_audit_error_total")).unwrap_or("none");
    println!("{:<40} {dropped:>9}", "what the API server says it dropped");
    match arrived {
        Ok((calls, after)) => {
            println!("each of {calls} events of the grant arrived once by each way, {after:.1?} after the last call");
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("events are missing: {why}");
            ExitCode::FAILURE
        }
    }
}

/// How many calls of the grant the archive has counted of a cluster.
fn known(ground: &FeedGround, cluster: &str) -> u64 {
    let database = Connection::open_with_flags(ground.archive.database(), OpenFlags::SQLITE_OPEN_READ_ONLY);
    let calls = database.and_then(|database| {
        let asked = "SELECT calls FROM used WHERE cluster = ?1 AND request = ?2";
        database.query_row(asked, [cluster, &ground.request], |row| row.get::<_, i64>(0))
    });
    calls.map_or(0, |calls| u64::try_from(calls).unwrap_or_default())
}
