//! Two controllers run and one writes. When it is gone, stuck or cut off, the other takes over, and never do both write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use daypass::api::State;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::cast::SOON;
use crate::harness::proxy::{Moment, Read, Way};
use crate::harness::users::ALICE;
use crate::harness::wait::{now, now_plus_seconds};
use crate::harness::{Controller, World, eventually, private};

pub fn trials() -> Vec<Trial> {
    vec![
        private("leader::one_writes_and_is_followed_at_once_when_it_is_asked_to_stop", asked_to_stop),
        private("leader::a_leader_that_dies_is_followed_when_its_lease_is_over", killed),
        private("leader::a_leader_that_is_cut_off_stops_before_another_begins", cut_off),
        private("leader::a_leader_that_was_frozen_writes_nothing_any_more", frozen),
        private("leader::a_new_leader_counts_what_the_old_one_granted_last", last_grant),
    ]
}

const LEASE: Duration = Duration::from_secs(9);
const TERMS: [&str; 3] = ["--lease-duration=9s", "--lease-renew-deadline=6s", "--lease-retry=1s"];

/// A change that a controller asked the API server for, whether it was made or not: when, and what.
type Write = (Timestamp, String);

/// What a controller has asked to change, the canary's account included. Dry runs and questions change nothing, and the
/// lease is what the election itself writes.
fn writes_of(world: &World, name: &str) -> Vec<Write> {
    let changes = |event: &&Value| {
        let resource = event["objectRef"]["resource"].as_str().unwrap_or_default();
        let uri = event["requestURI"].as_str().unwrap_or_default();
        ["create", "update", "patch", "delete"].contains(&event["verb"].as_str().unwrap_or_default())
            && !["leases", "selfsubjectreviews", "serviceaccounts"].contains(&resource)
            && !uri.contains("dryRun=All")
    };
    events_of(world, name, changes)
}

/// When a controller has renewed the lease.
fn renewals_of(world: &World, name: &str) -> Vec<Write> {
    events_of(world, name, |event| event["verb"] == "update" && event["objectRef"]["resource"] == "leases")
}

fn events_of(world: &World, name: &str, which: impl Fn(&&Value) -> bool) -> Vec<Write> {
    let agent = format!("({name})");
    let of_it = |event: &&Value| event["userAgent"].as_str().is_some_and(|said| said.ends_with(&agent));
    let read = |event: &Value| {
        let at = event["requestReceivedTimestamp"].as_str().and_then(|at| at.parse().ok()).expect("a time");
        (at, format!("{} {}", event["verb"], event["requestURI"]))
    };
    world.control_plane.audit_log().iter().filter(of_it).filter(which).map(read).collect()
}

/// The writes of two controllers, of which the second took over from the first: all of the first come before all of
/// the second.
fn one_after_the_other(world: &World, first: &str, second: &str) {
    let (before, after) = (writes_of(world, first), writes_of(world, second));
    let last = before.iter().map(|write| write.0).max().expect("a write of the first");
    let begins = after.iter().map(|write| write.0).min().expect("a write of the second");
    assert!(last < begins, "{first} writes until {last}, {second} from {begins}: {before:?} {after:?}");
}

async fn until_role(controller: &Controller, within: Duration, role: &str) {
    eventually(&format!("it says {role:?}"), within, async || {
        let (status, said) = controller.get("/readyz").await?;
        if status == 200 && said.trim_end() == role { Ok(()) } else { Err(format!("{status}: {said}")) }
    })
    .await;
}

/// Two controllers, of which `one` leads, and a namespace in which alice gets what she asks for.
async fn two(world: &World) -> (Controller, Controller, String) {
    world.controller.terminate().await;
    let one = world.replica("one", &TERMS).await;
    until_role(&one, SOON, "ok: leads").await;
    let other = world.replica("two", &TERMS).await;
    until_role(&other, SOON, "ok: stands by; one leads").await;
    let namespace = world.namespace("lead").await;
    world.allow(&namespace, &namespace, json!({})).await;
    (one, other, namespace)
}

async fn asked_to_stop(world: Arc<World>) {
    let (one, other, namespace) = two(&world).await;
    for name in ["a", "b", "c"] {
        world.ask(ALICE, &namespace, name, json!({ "duration": "6s" })).await;
    }
    for name in ["a", "b", "c"] {
        world.until(&namespace, name, State::Active).await;
    }
    assert!(writes_of(&world, "two").is_empty(), "{:?}", writes_of(&world, "two"));
    let status = one.terminate().await;
    assert!(status.success(), "{status}: {}", one.log());
    until_role(&other, Duration::from_secs(3), "ok: leads").await;
    for name in ["a", "b", "c"] {
        let ended = world.until(&namespace, name, State::Expired).await;
        // What the first one announced had been sent when it ended.
        world.until_events(&ended, &["Granted", "Expired"]).await;
    }
    one_after_the_other(&world, "one", "two");
}

async fn killed(world: Arc<World>) {
    let (one, other, namespace) = two(&world).await;
    world.ask(ALICE, &namespace, "fix", json!({ "duration": "2s" })).await;
    world.until(&namespace, "fix", State::Active).await;
    one.kill();
    let died = Instant::now();
    world.until(&namespace, "fix", State::Expired).await;
    assert!(died.elapsed() < LEASE + Duration::from_secs(5), "{:?}", died.elapsed());
    until_role(&other, SOON, "ok: leads").await;
    assert!(world.our_bindings(&namespace).await.is_empty());
    one_after_the_other(&world, "one", "two");
    // Not a moment before: the dead one might have been alive.
    let renewed = renewals_of(&world, "one").pop().expect("a renewal").0;
    let begins = writes_of(&world, "two").into_iter().map(|write| write.0).min().expect("a write");
    assert!(begins.duration_since(renewed).as_millis() >= 9_000, "renewed {renewed}, taken over {begins}");
    // The dead one comes back, and has to stand by.
    one.restart().await;
    until_role(&one, SOON, "ok: stands by; two leads").await;
    let status = one.terminate().await;
    assert!(status.success(), "{status}: {}", one.log());
    until_role(&other, SOON, "ok: leads").await;
}

async fn cut_off(world: Arc<World>) {
    world.controller.terminate().await;
    let (proxy, one) = world.replica_through_proxy("one", &TERMS).await;
    until_role(&one, SOON, "ok: leads").await;
    let other = world.replica("two", &TERMS).await;
    let namespace = world.namespace("cut").await;
    world.allow(&namespace, &namespace, json!({})).await;
    world.ask(ALICE, &namespace, "live", json!({ "duration": "5s" })).await;
    world.until(&namespace, "live", State::Active).await;

    // A write is on its way when the line breaks, and nobody knows where it is.
    let held = Arc::new(AtomicBool::new(false));
    let tell = held.clone();
    proxy.watch(move |at, write| {
        if at == Moment::Before && write.path.ends_with("/accessrequests/late/status") {
            tell.store(true, Ordering::SeqCst);
            return Way::Wait;
        }
        Way::On
    });
    world.ask(ALICE, &namespace, "late", json!({ "duration": "1h" })).await;
    eventually("a write is on its way", SOON, async || {
        if held.load(Ordering::SeqCst) { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    proxy.part();
    assert!(!one.end().await.success());
    let log = one.log();
    let last: Value = log.lines().last().and_then(|line| serde_json::from_str(line).ok()).expect("a log line");
    assert!(last["error"].as_str().is_some_and(|why| why.starts_with("this replica leads no more")), "{last}");
    assert!(writes_of(&world, "two").is_empty(), "the other has begun before");
    world.until(&namespace, "live", State::Expired).await;
    world.until(&namespace, "late", State::Active).await;
    proxy.pass_all();
    until_role(&other, SOON, "ok: leads").await;
    one_after_the_other(&world, "one", "two");
}

async fn frozen(world: Arc<World>) {
    let (one, other, namespace) = two(&world).await;
    let live: Vec<String> = (0..10).map(|n| format!("live-{n}")).collect();
    for name in &live {
        world.ask(ALICE, &namespace, name, json!({ "duration": "20s" })).await;
    }
    for name in &live {
        world.until(&namespace, name, State::Active).await;
    }
    one.freeze();
    // The frozen one will have timers that are due, and news from its watches, all at once.
    world.ask(ALICE, &namespace, "new", json!({ "duration": "1h" })).await;
    until_role(&other, SOON, "ok: leads").await;
    for name in &live {
        world.until(&namespace, name, State::Expired).await;
    }
    world.until(&namespace, "new", State::Active).await;
    let before = writes_of(&world, "one").len();
    one.thaw();
    assert!(!one.end().await.success());
    let writes = writes_of(&world, "one");
    assert_eq!(writes.len(), before, "{writes:?}");
    one_after_the_other(&world, "one", "two");
}

/// The watch of the one that stands by is behind when it takes over.
async fn last_grant(world: Arc<World>) {
    world.controller.terminate().await;
    let one = world.replica("one", &TERMS).await;
    until_role(&one, SOON, "ok: leads").await;
    let (proxy, other) = world.replica_through_proxy("two", &TERMS).await;
    let namespace = world.namespace("count").await;
    world.allow(&namespace, &namespace, json!({ "limits": { "liveGrants": 1 } })).await;
    let start = now_plus_seconds(15);
    world.ask(ALICE, &namespace, "later", json!({ "duration": "1h", "startTime": start })).await;
    world.until(&namespace, "later", State::Scheduled).await;
    eventually("the one that stands by knows of it", SOON, async || {
        let scheduled = other.metric(r#"daypass_requests{state="Scheduled"}"#).await;
        if scheduled == 1.0 { Ok(()) } else { Err(format!("{scheduled} are")) }
    })
    .await;
    proxy.hold("accessrequests", Read::Watch);
    world.ask(ALICE, &namespace, "first", json!({ "duration": "1h" })).await;
    world.until(&namespace, "first", State::Active).await;
    assert!(one.terminate().await.success());
    until_role(&other, SOON, "ok: leads").await;
    let due: Timestamp = start.parse().expect("a time");
    eventually("the start is well past", SOON, async || {
        if now() > due + SignedDuration::from_secs(2) { Ok(()) } else { Err(start.clone()) }
    })
    .await;
    world.until(&namespace, "later", State::Scheduled).await;
    proxy.release();
    let refused = world.until(&namespace, "later", State::Denied).await;
    assert!(refused.status.expect("a status").granted_at.is_none());
    assert_eq!(world.our_bindings(&namespace).await.len(), 1);
    let by_the_new_one = |write: &Write| write.1.contains("/accessrequests/later/status");
    assert!(writes_of(&world, "two").iter().any(by_the_new_one), "the first one has decided it");
}
