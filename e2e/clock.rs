//! A controller whose clock is wrong: it notices, says so, grants nothing new, and ends access by the API server's clock.

use std::sync::Arc;
use std::time::Duration;

use daypass::api::State;
use daypass::api::request::AccessRequest;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::cast::SOON;
use crate::harness::users::{ALICE, CAROL};
use crate::harness::wait::now;
use crate::harness::{Cluster, Controller, eventually, private};

pub fn trials() -> Vec<Trial> {
    vec![
        private("clock::an_hour_ahead_nothing_is_granted_and_ends_come_by_the_api_server", ahead),
        private("clock::an_hour_behind_nothing_is_granted_and_ends_come_by_the_api_server", behind),
        private("clock::three_seconds_off_the_own_clock_counts", three_seconds),
        private("clock::a_leader_with_a_wrong_clock_takes_over_and_ends_in_time", taken_over),
        private("clock::a_controller_that_starts_with_a_wrong_clock_ends_in_time", started),
        private("clock::a_proxy_with_another_time_is_not_believed", proxy),
    ]
}

const HOUR: i64 = 3_600_000;
/// By how much an end may come early by the API server's clock: it says its time in whole seconds.
const EARLY: SignedDuration = SignedDuration::from_millis(1_100);
const LATE: SignedDuration = SignedDuration::from_secs(1);

/// How long after its stated end the binding of a request was gone, by the API server's clock.
fn late(cluster: &Cluster, ended: &AccessRequest) -> SignedDuration {
    let end = ended.status.as_ref().and_then(|status| status.expires_at.as_ref()).expect("an end").0;
    let name = format!("daypass-{}", ended.uid().expect("a uid"));
    let gone = cluster.control_plane.audit_log().iter().find_map(|event| {
        let is_it = event["verb"] == "delete" && event["objectRef"]["name"] == name.as_str();
        event["stageTimestamp"].as_str().filter(|_| is_it)?.parse::<Timestamp>().ok()
    });
    gone.expect("it was deleted").duration_since(end)
}

fn in_time(cluster: &Cluster, ended: &AccessRequest) {
    let late = late(cluster, ended);
    assert!(late > -EARLY && late < LATE, "gone {late} after its end by the API server's clock");
}

async fn until_unready(controller: &Controller, words: &str) {
    eventually(&format!("it says {words:?}"), SOON, async || {
        let (status, body) = controller.get("/readyz").await?;
        if status == 503 && body.contains(words) { Ok(()) } else { Err(format!("{status}: {body}")) }
    })
    .await;
}

async fn until_ready(controller: &Controller) {
    eventually("it is ready", SOON, async || {
        let (status, body) = controller.get("/readyz").await?;
        if status == 200 { Ok(()) } else { Err(format!("{status}: {body}")) }
    })
    .await;
}

/// A namespace in which alice gets what she asks for.
async fn open_namespace(cluster: &Cluster) -> String {
    let namespace = cluster.namespace("clock").await;
    cluster.allow(&namespace, &namespace, json!({ "extension": { "max": "1h", "count": 3 } })).await;
    namespace
}

async fn ahead(cluster: Arc<Cluster>) {
    an_hour_off(&cluster, HOUR, "59 min ahead of the API server's").await;
}

async fn behind(cluster: Arc<Cluster>) {
    an_hour_off(&cluster, -HOUR, "59 min behind the API server's").await;
}

async fn an_hour_off(cluster: &Cluster, wrong_by: i64, body: &str) {
    let namespace = open_namespace(cluster).await;
    cluster.ask(ALICE, &namespace, "runs", json!({ "duration": "8s" })).await;
    cluster.ask(ALICE, &namespace, "dropped", json!({ "duration": "1h" })).await;
    cluster.until(&namespace, "runs", State::Active).await;
    cluster.until(&namespace, "dropped", State::Active).await;
    cluster.controller.set_clock(wrong_by);
    until_unready(&cluster.controller, body).await;
    let difference = cluster.controller.metric("daypass_clock_difference_seconds").await;
    let wrong_seconds = f64::from(i32::try_from(wrong_by / 1_000).expect("an hour"));
    assert!((difference - wrong_seconds).abs() < 1.5, "{difference}");

    cluster.ask(ALICE, &namespace, "new", json!({ "duration": "10m" })).await;
    cluster.ask(ALICE, &namespace, "more", json!({ "duration": "10m", "extends": "runs" })).await;
    for name in ["new", "more"] {
        let waits = cluster.until_reason(&namespace, name, "Approved", "ClockWrong").await;
        let message = waits.status.and_then(|status| status.message).unwrap_or_default();
        assert!(message.contains("(NTP)"), "{message}");
    }
    let ended = cluster.until(&namespace, "runs", State::Expired).await;
    in_time(cluster, &ended);
    let recorded = ended.status.as_ref().and_then(|status| status.history.last()).expect("an entry").at.0;
    assert!(recorded.duration_since(now()).abs() < SignedDuration::from_secs(5), "on record at {recorded}");
    // What is withdrawn ends at once.
    cluster.review(ALICE, &namespace, "dropped", "Revoke", "").await;
    cluster.until(&namespace, "dropped", State::Revoked).await;
    assert!(cluster.our_bindings(&namespace).await.is_empty(), "nothing was granted");

    cluster.controller.set_clock(0);
    let right = now();
    let granted = cluster.until(&namespace, "new", State::Active).await.status.expect("a status");
    until_ready(&cluster.controller).await;
    let (from, to) = (granted.granted_at.expect("a begin").0, granted.expires_at.expect("an end").0);
    assert!(from.duration_since(right).abs() < SignedDuration::from_secs(5), "{from}, set right at {right}");
    assert_eq!(to.duration_since(from), SignedDuration::from_mins(10));
}

async fn three_seconds(cluster: Arc<Cluster>) {
    for (wrong_by, name) in [(3_000, "fast"), (-3_000, "slow")] {
        let namespace = open_namespace(&cluster).await;
        cluster.ask(ALICE, &namespace, "before", json!({ "duration": "8s" })).await;
        cluster.until(&namespace, "before", State::Active).await;
        cluster.controller.set_clock(wrong_by);
        cluster.ask(ALICE, &namespace, name, json!({ "duration": "2s" })).await;
        cluster.until(&namespace, name, State::Expired).await;
        let ended = cluster.until(&namespace, "before", State::Expired).await;
        let late = late(&cluster, &ended) + SignedDuration::from_millis(wrong_by);
        assert!(late >= SignedDuration::ZERO && late < LATE, "{late} after its end by the own clock");
        until_ready(&cluster.controller).await;
        cluster.controller.set_clock(0);
    }
}

/// The one that stands by is an hour off, and comes to lead while access runs.
async fn taken_over(cluster: Arc<Cluster>) {
    const TERMS: [&str; 3] = ["--lease-duration=5s", "--lease-renew-deadline=4s", "--lease-retry=1s"];
    cluster.controller.terminate().await;
    for wrong_by in [HOUR, -HOUR] {
        let (one, two) = (cluster.replica("one", &TERMS).await, cluster.replica("two", &TERMS).await);
        let namespace = open_namespace(&cluster).await;
        cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "20s" })).await;
        cluster.until(&namespace, "fix", State::Active).await;
        two.set_clock(wrong_by);
        until_unready(&two, "clock (the own clock is 59 min").await;
        one.kill();
        cluster.ask(ALICE, &namespace, "new", json!({ "duration": "10m" })).await;
        cluster.until_reason(&namespace, "new", "Approved", "ClockWrong").await;
        assert_eq!(cluster.our_bindings(&namespace).await.len(), 1, "it runs on under the other");
        in_time(&cluster, &cluster.until(&namespace, "fix", State::Expired).await);
        // The right clock comes back as a second one, and the wrong one goes.
        one.start_again();
        two.terminate().await;
        cluster.until(&namespace, "new", State::Active).await;
        one.terminate().await;
        two.set_clock(0);
    }
}

async fn started(cluster: Arc<Cluster>) {
    for wrong_by in [HOUR, -HOUR] {
        let namespace = open_namespace(&cluster).await;
        cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "15s" })).await;
        cluster.until(&namespace, "fix", State::Active).await;
        cluster.controller.set_clock(wrong_by);
        cluster.controller.start_again();
        until_unready(&cluster.controller, "the own clock is 59 min").await;
        cluster.ask(ALICE, &namespace, "new", json!({ "duration": "10m" })).await;
        cluster.until_reason(&namespace, "new", "Approved", "ClockWrong").await;
        assert_eq!(cluster.our_bindings(&namespace).await.len(), 1, "it runs on");
        in_time(&cluster, &cluster.until(&namespace, "fix", State::Expired).await);
        cluster.controller.set_clock(0);
        cluster.until(&namespace, "new", State::Active).await;
    }
}

/// A proxy writes its own time into answers. The API server still dates objects.
async fn proxy(cluster: Arc<Cluster>) {
    cluster.controller.terminate().await;
    let (proxy, controller) = cluster.controller_through_proxy().await;
    let namespace = open_namespace(&cluster).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "20s" })).await;
    cluster.until(&namespace, "fix", State::Active).await;
    proxy.redate(SignedDuration::from_hours(-1));
    eventually("it is said", Duration::from_secs(30), async || {
        let (status, body) = controller.get("/readyz").await?;
        let is = status == 200 && body.contains("the Date of answers is not believed");
        if is { Ok(()) } else { Err(format!("{status}: {body}")) }
    })
    .await;
    in_time(&cluster, &cluster.until(&namespace, "fix", State::Expired).await);
    cluster.ask(ALICE, &namespace, "new", json!({ "duration": "10m" })).await;
    cluster.until(&namespace, "new", State::Active).await;
    cluster.review(CAROL, &namespace, "new", "Revoke", "").await;
}
