//! `make faults`: what is left of every promise when the line to the API server is bad, controllers die and clocks are
//! wrong. Two controllers work through proxies that do to their requests what networks and API servers do; people ask
//! for short access meanwhile, directly at the API server. It must all come to its end, in time and once.
//!
//! A seed repeats what is asked for, and the weather: when storms come, who is killed, how clocks are set, and the order
//! of faults on each line. Which request a fault falls on depends on the timing of the run.

mod archive;
mod judge;
mod people;
mod stories;
mod weather;

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::Method;
use daypass::api::State;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use libtest_mimic::Trial;
use serde_json::json;
use tokio::task::JoinSet;

use crate::harness::cast::SOON;
use crate::harness::install::NAMESPACE;
use crate::harness::proxy::Fault;
use crate::harness::users::{ADMIN, ALICE};
use crate::harness::wait::{now, poll, random};
use crate::harness::{Cluster, eventually, private, trial};
use crate::leader::Stranger;
use judge::{Verdict, judge};
use people::People;
use weather::{Dice, Replica, Weather};

/// A controller that cannot renew the lease for this long stops.
const RENEW_DEADLINE: Duration = Duration::from_secs(4);
const TERMS: [&str; 3] = ["--lease-duration=5s", "--lease-renew-deadline=4s", "--lease-retry=1s"];
/// How long everything that was asked for may take to come to its end when the weather is fine again.
const AFTERWARDS: Duration = Duration::from_secs(50);

pub fn trials() -> Vec<Trial> {
    vec![
        private("faults::sixty_of_them_lose_nothing", short),
        private("faults::with_a_clock_that_is_behind_nothing_is_overdue", clock_set_right),
        private("faults::an_end_is_kept_by_the_clock_as_it_is", clock_set_back),
        private("faults::since_when_the_guard_holds_is_told_by_the_cluster_s_clock", guard_dated),
        private("faults::a_conflict_does_not_prove_that_a_binding_is_gone", conflict),
        private("faults::a_revoke_that_is_turned_away_comes_within_a_second_when_it_can", revoke_turned_away),
        private("faults::watches_that_are_turned_away_are_tried_every_few_seconds", turned_away),
    ]
}

/// How much goes wrong in a run.
struct Size {
    seed: u64,
    faults: usize,
    /// The most that a clock is wrong by, in milliseconds.
    longest_step: i64,
    /// Whether to print also when all is well.
    verbose: bool,
}

/// The parts of a run.
const PARTS: [&str; 3] = ["weather", "stories", "archive"];

/// Runs it with `[SEED [FAULTS [PART]]]`: a part, or all of them.
pub fn run(arguments: &[String]) -> ExitCode {
    let given = |index: usize| arguments.get(index).filter(|text| !text.is_empty());
    let parsed = |index: usize, otherwise: u64| given(index).map_or(Ok(otherwise), |text| text.parse());
    let only = given(2).map(String::as_str);
    let (Ok(seed), Ok(faults), true) =
        (parsed(0, random()), parsed(1, 1_000), only.is_none_or(|only| PARTS.contains(&only)))
    else {
        eprintln!("make faults SEED=number FAULTS=number ONLY={}", PARTS.join("|"));
        return ExitCode::FAILURE;
    };
    let faults = usize::try_from(faults).unwrap_or(usize::MAX);
    let runtime = trial::runtime();
    let mut complaints = Vec::new();
    for part in PARTS.into_iter().filter(|part| only.is_none_or(|only| only == *part)) {
        match part {
            "weather" => complaints.extend(runtime.block_on(weathered(seed, faults))),
            "stories" => runtime.block_on(stories::play()),
            _ => complaints.extend(runtime.block_on(archive::play(seed))),
        }
    }
    if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn weathered(seed: u64, faults: usize) -> Vec<String> {
    let cluster = Cluster::private().await;
    let verdict = endure(&cluster, &Size { seed, faults, longest_step: 3_600_000, verbose: true }).await;
    if !verdict.complaints.is_empty() {
        cluster.control_plane.keep();
    }
    verdict.complaints
}

async fn short(cluster: Arc<Cluster>) {
    let verdict = endure(&cluster, &Size { seed: random(), faults: 60, longest_step: 20_000, verbose: false }).await;
    assert!(verdict.complaints.is_empty(), "{} complaints: {:#?}", verdict.complaints.len(), verdict.complaints);
}

async fn endure(cluster: &Cluster, size: &Size) -> Verdict {
    let Size { seed, faults, verbose, .. } = size;
    println!("seed {seed}, at least {faults} faults; repeat: make faults SEED={seed} FAULTS={faults}");
    cluster.controller.terminate().await;
    let one = Arc::new(Replica::new("one", cluster.replica_through_proxy("one", &TERMS).await));
    let two = Arc::new(Replica::new("two", cluster.replica_through_proxy("two", &TERMS).await));
    let people = People::gather(cluster).await;
    let stranger = Stranger::in_the(cluster).await;
    let weather = Weather::new([one.clone(), two.clone()], size.longest_step, stranger);
    let (mut dice, mut lives, begun) = (Dice::new(size.seed), JoinSet::new(), Instant::now());
    let actions = dice.more();

    let beside = async { tokio::join!(people.look_on(), weather.keep_alive()) };
    let course = async {
        tokio::select! {
            () = weather.rage(&mut dice, size.faults) => {}
            () = people.ask_on(actions, &mut lives) => {}
        }
        weather.set_clocks_right();
        // A failure of one of the people is one of the run.
        while let Some(lived) = lives.join_next().await {
            lived.expect("nobody is let down by the API server itself");
        }
        let left = poll(AFTERWARDS, async || match unfinished(cluster, &people).await {
            left if left.is_empty() => ControlFlow::Break(()),
            left => ControlFlow::Continue(left.join(", ")),
        })
        .await;
        left.err()
    };
    let left = tokio::select! {
        left = course => left,
        _ = beside => unreachable!("they go on"),
    };
    let mut verdict = judge(&cluster.control_plane.audit_log(), &weather.log(), &people.asked(), &people.seen());
    verdict.complaints.extend(left.map(|left| format!("not over: {left}")));
    for replica in [one, two] {
        let status = replica.controller.terminate().await;
        if !status.success() {
            verdict.complaints.push(format!("{} does not stop as asked: {status}", replica.name));
        }
    }
    if *verbose || !verdict.complaints.is_empty() {
        report(&verdict, &weather, &people, begun.elapsed());
    }
    verdict
}

/// What is not over yet, or is left of what is.
async fn unfinished(cluster: &Cluster, people: &People) -> Vec<String> {
    let mut left = Vec::new();
    for asked in people.asked() {
        let over = people.seen().of(&asked.uid).is_some_and(|status| status.state.is_final());
        let deleted = asked.action == people::Wish::Deleted && asked.ended_early.is_some();
        if !over && !deleted {
            left.push(asked.place);
        }
    }
    let ours = ListParams::default().labels("app.kubernetes.io/managed-by=daypass,daypass.dev/request-uid");
    let client = cluster.client(ADMIN).await;
    let bindings = Api::<RoleBinding>::all(client.clone()).list(&ours).await.map(|list| list.items);
    let roles = Api::<Role>::all(client).list(&ours).await.map(|list| list.items);
    left.extend(bindings.iter().flatten().map(|b| format!("binding {}", b.name_any())));
    left.extend(roles.iter().flatten().map(|r| format!("role {}", r.name_any())));
    left.extend(bindings.err().into_iter().chain(roles.err()).map(|error| error.to_string()));
    left
}

fn report(verdict: &Verdict, weather: &Weather, people: &People, lasted: Duration) {
    println!("{} faults in {:.0} s of storms and calms:", weather.count(), lasted.as_secs_f64());
    for (kind, count) in weather.counts() {
        println!("  {kind:<28} {count:>6}");
    }
    let asked = people.asked();
    println!(
        "{} requests, {} bindings, {} handovers of the lease; requests by wish:",
        asked.len(),
        verdict.bindings,
        verdict.handovers
    );
    let mut actions = std::collections::BTreeMap::<_, usize>::new();
    asked.iter().for_each(|asked| *actions.entry(asked.action).or_default() += 1);
    actions.iter().for_each(|(action, count)| println!("  {:<28} {count:>6}", format!("{action:?}")));
    println!("and by what became of them:");
    verdict.ends.iter().for_each(|(end, count)| println!("  {end:<28} {count:>6}"));
    println!("Lateness, from the API server's audit log: the deletion of the binding is complete.");
    println!("{:<66} {:>6} {:>10} {:>10} {:>10}", "", "ends", "p50", "p99", "max");
    figures("after the stated end, storms included; one leader, one clock", &verdict.late);
    figures("  of these, nothing in the way", &verdict.late_in_calm);
    figures("after an end is due and a leader has recovered, any kind of end", &verdict.took);
    for complaint in &verdict.complaints {
        println!("NOT WELL: {complaint}");
    }
}

/// Prints how many there are, p50, p99 and the maximum, in milliseconds.
fn figures(what: &str, millis: &[f64]) {
    let mut sorted = millis.to_vec();
    sorted.sort_by(f64::total_cmp);
    if sorted.is_empty() {
        println!("{what:<66} {:>6}", 0);
        return;
    }
    let at = |share: f64| format!("{:.0} ms", sorted[((sorted.len() - 1) as f64 * share).round() as usize]);
    println!("{what:<66} {:>6} {:>10} {:>10} {:>10}", sorted.len(), at(0.5), at(0.99), at(1.0));
}

/// The clock is two minutes behind while ends come. They come by the API server's, and when it is right again nothing is
/// overdue.
async fn clock_set_right(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("clock").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let names = ["a", "b", "c"];
    for name in names {
        cluster.ask(ALICE, &namespace, name, json!({ "duration": "4s" })).await;
    }
    let mut last = now();
    for name in names {
        let status = cluster.until(&namespace, name, State::Active).await.status.expect("a status");
        last = last.max(status.expires_at.expect("an end").0);
    }
    cluster.controller.set_clock(-120_000);
    eventually("what is due is gone", SOON, async || {
        let left = cluster.our_bindings(&namespace).await.len();
        if left == 0 { Ok(()) } else { Err(format!("{left} are left")) }
    })
    .await;
    let late = now().duration_since(last).as_millis();
    assert!(late < 1_000, "{late} ms after the last end by the right clock");
    cluster.controller.set_clock(0);
    for name in names {
        cluster.until(&namespace, name, State::Expired).await;
    }
}

/// The clock goes back by a little while access runs: it runs on, and ends when that clock says so.
async fn clock_set_back(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("clock").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "3s" })).await;
    let end =
        cluster.until(&namespace, "fix", State::Active).await.status.expect("a status").expires_at.expect("an end").0;
    cluster.controller.set_clock(-4_000);
    let expired = cluster.until(&namespace, "fix", State::Expired).await;
    let name = format!("daypass-{}", expired.uid().expect("a uid"));
    let gone = cluster.control_plane.audit_log().iter().find_map(|event| {
        let is_it = event["verb"] == "delete" && event["objectRef"]["name"] == name.as_str();
        event["stageTimestamp"].as_str().filter(|_| is_it)?.parse::<k8s_openapi::jiff::Timestamp>().ok()
    });
    let late = gone.expect("it was deleted").duration_since(end).as_millis();
    assert!((4_000..5_000).contains(&late), "{late} ms after the end by the right clock");
}

/// Or a fast clock would deny everything that is asked for until the cluster's has caught up, and a slow one would let
/// pass what was forged before the guard came.
async fn guard_dated(cluster: Arc<Cluster>) {
    cluster.controller.terminate().await;
    let admin = cluster.kubectl(ADMIN);
    let namespace = cluster.namespace("dated").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    for (name, wrong_by, wanted) in [("fast", 120_000, State::Active), ("slow", -120_000, State::Denied)] {
        // Without it the controller has nothing to tell by how long the guard has been there.
        admin.ok(&["delete", "areq", "daypass-canary", "-n", NAMESPACE]).await;
        let early = wanted == State::Denied;
        if early {
            cluster.ask(ALICE, &namespace, name, json!({ "duration": "1h" })).await;
            let asked = now();
            eventually("the second in which it was asked for is over", SOON, async || {
                if now().as_second() > asked.as_second() { Ok(()) } else { Err(asked.to_string()) }
            })
            .await;
        }
        cluster.controller.set_clock(wrong_by);
        cluster.controller.start_again();
        eventually("only its clock is wrong", SOON, async || {
            let (status, body) = cluster.controller.get("/readyz").await?;
            let waits = body.starts_with("waiting for: clock (the own clock is") && !body.contains("guard");
            if status == 503 && waits { Ok(()) } else { Err(format!("{status}: {body}")) }
        })
        .await;
        if !early {
            cluster.ask(ALICE, &namespace, name, json!({ "duration": "1h" })).await;
            cluster.until_reason(&namespace, name, "Approved", "ClockWrong").await;
        }
        cluster.controller.set_clock(0);
        let decided = cluster.until(&namespace, name, wanted).await;
        if early {
            crate::guards::gaps::assert_made_in_a_gap(&cluster, &decided).await;
        }
        cluster.controller.terminate().await;
    }
}

async fn conflict(cluster: Arc<Cluster>) {
    cluster.controller.kill();
    let (proxy, _controller) = cluster.controller_through_proxy().await;
    let namespace = cluster.namespace("conflict").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "2s" })).await;
    cluster.until(&namespace, "fix", State::Active).await;
    let tries = Arc::new(AtomicUsize::new(0));
    let count = tries.clone();
    proxy.disturb(move |call| {
        let unbinds = call.method == Method::DELETE && call.path.contains("/rolebindings/");
        (unbinds && count.fetch_add(1, Ordering::SeqCst) < 3).then_some(Fault::Answer(409))
    });
    cluster.until(&namespace, "fix", State::Expired).await;
    assert!(cluster.our_bindings(&namespace).await.is_empty(), "the record says that it is over");
    assert_eq!(tries.load(Ordering::SeqCst), 4);
}

async fn revoke_turned_away(cluster: Arc<Cluster>) {
    cluster.controller.kill();
    let (proxy, _controller) = cluster.controller_through_proxy().await;
    let namespace = cluster.namespace("revoke").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "1h" })).await;
    cluster.until(&namespace, "fix", State::Active).await;
    proxy.disturb(|call| (call.method == Method::DELETE).then_some(Fault::Answer(503)));
    cluster.review(ALICE, &namespace, "fix", "Revoke", "").await;
    let begun = Instant::now();
    eventually("it has been so for a while", SOON, async || {
        if begun.elapsed() > Duration::from_secs(15) { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    assert_eq!(cluster.our_bindings(&namespace).await.len(), 1);
    proxy.calm();
    let calm = Instant::now();
    cluster.until(&namespace, "fix", State::Revoked).await;
    assert!(calm.elapsed() < Duration::from_secs(1), "{:?}", calm.elapsed());
}

/// The client library would wait longer and longer by itself, for minutes, and nobody would see it.
async fn turned_away(cluster: Arc<Cluster>) {
    cluster.controller.kill();
    let (proxy, _controller) = cluster.controller_through_proxy().await;
    let begun = Instant::now();
    let looks = Arc::new(Mutex::new(vec![begun]));
    let verbose = looks.clone();
    proxy.disturb(move |call| {
        if call.path.ends_with("/accessrequests") {
            verbose.lock().expect("no panic").push(Instant::now());
        }
        (call.method == Method::GET).then_some(Fault::Answer(503))
    });
    proxy.cut_watches();
    eventually("it has been so for a while", SOON, async || {
        if begun.elapsed() > Duration::from_secs(20) { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    let mut looks = looks.lock().expect("no panic").clone();
    looks.push(Instant::now());
    let longest = looks.windows(2).map(|pair| pair[1] - pair[0]).max().expect("two looks");
    assert!(longest < Duration::from_secs(6), "{longest:?} without a look, of {} looks", looks.len());
}
