//! Two controllers run and one writes. When it is gone, stuck or cut off, the other takes over, and never do both write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use daypass::api::State;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Api;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::cast::SOON;
use crate::harness::install::NAMESPACE;
use crate::harness::proxy::{Moment, Read, Way};
use crate::harness::users::{ADMIN, ALICE};
use crate::harness::wait::{now, now_plus_seconds};
use crate::harness::{Cluster, Controller, eventually, private};

pub fn trials() -> Vec<Trial> {
    vec![
        private("leader::one_writes_and_is_followed_at_once_when_it_is_asked_to_stop", asked_to_stop),
        private("leader::a_leader_that_dies_is_followed_when_its_lease_is_over", killed),
        private("leader::a_leader_that_is_cut_off_stops_before_another_begins", cut_off),
        private("leader::a_leader_that_was_frozen_writes_nothing_any_more", frozen),
        private("leader::a_new_leader_counts_what_the_old_one_granted_last", last_grant),
        private("leader::a_lease_that_somebody_overwrites_or_deletes_is_taken_back", taken_back),
        private("leader::a_lease_in_a_strange_name_is_waited_for_no_longer_than_any_other", strange_name),
        private("leader::who_writes_the_lease_again_and_again_cannot_keep_it", again_and_again),
    ]
}

const LEASE: Duration = Duration::from_secs(9);
const TERMS: [&str; 3] = ["--lease-duration=9s", "--lease-renew-deadline=6s", "--lease-retry=1s"];

/// A change that a controller asked the API server for, whether it was made or not: when, and what.
type Write = (Timestamp, String);

/// What a controller has asked to change, the canary's account included. Dry runs and questions change nothing, and the
/// lease is what the election itself writes.
fn writes_of(cluster: &Cluster, name: &str) -> Vec<Write> {
    let changes = |event: &&Value| {
        let resource = event["objectRef"]["resource"].as_str().unwrap_or_default();
        let uri = event["requestURI"].as_str().unwrap_or_default();
        ["create", "update", "patch", "delete"].contains(&event["verb"].as_str().unwrap_or_default())
            && !["leases", "selfsubjectreviews", "selfsubjectaccessreviews", "serviceaccounts"].contains(&resource)
            && !uri.contains("dryRun=All")
    };
    events_of(cluster, name, changes)
}

/// When a controller has renewed the lease.
fn renewals_of(cluster: &Cluster, name: &str) -> Vec<Write> {
    events_of(cluster, name, |event| event["verb"] == "update" && event["objectRef"]["resource"] == "leases")
}

fn events_of(cluster: &Cluster, name: &str, which: impl Fn(&&Value) -> bool) -> Vec<Write> {
    let agent = format!("({name})");
    let of_it = |event: &&Value| event["userAgent"].as_str().is_some_and(|body| body.ends_with(&agent));
    let read = |event: &Value| {
        let at = event["requestReceivedTimestamp"].as_str().and_then(|at| at.parse().ok()).expect("a time");
        (at, format!("{} {}", event["verb"], event["requestURI"]))
    };
    cluster.control_plane.audit_log().iter().filter(of_it).filter(which).map(read).collect()
}

/// The writes of two controllers, of which the second took over from the first: all of the first come before all of
/// the second.
fn one_after_the_other(cluster: &Cluster, first: &str, second: &str) {
    let (before, after) = (writes_of(cluster, first), writes_of(cluster, second));
    let last = before.iter().map(|write| write.0).max().expect("a write of the first");
    let begins = after.iter().map(|write| write.0).min().expect("a write of the second");
    assert!(last < begins, "{first} writes until {last}, {second} from {begins}: {before:?} {after:?}");
}

async fn until_role(controller: &Controller, within: Duration, role: &str) {
    eventually(&format!("it says {role:?}"), within, async || {
        let (status, body) = controller.get("/readyz").await?;
        if status == 200 && body.trim_end() == role { Ok(()) } else { Err(format!("{status}: {body}")) }
    })
    .await;
}

/// Two controllers, of which `one` leads, and a namespace in which alice gets what she asks for.
async fn two(cluster: &Cluster) -> (Controller, Controller, String) {
    cluster.controller.terminate().await;
    let one = cluster.replica("one", &TERMS).await;
    until_role(&one, SOON, "ok: leads").await;
    let other = cluster.replica("two", &TERMS).await;
    until_role(&other, SOON, "ok: stands by; one leads").await;
    let namespace = cluster.namespace("lead").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    (one, other, namespace)
}

async fn asked_to_stop(cluster: Arc<Cluster>) {
    let (one, other, namespace) = two(&cluster).await;
    for name in ["a", "b", "c"] {
        cluster.ask(ALICE, &namespace, name, json!({ "duration": "6s" })).await;
    }
    for name in ["a", "b", "c"] {
        cluster.until(&namespace, name, State::Active).await;
    }
    assert!(writes_of(&cluster, "two").is_empty(), "{:?}", writes_of(&cluster, "two"));
    let status = one.terminate().await;
    assert!(status.success(), "{status}: {}", one.log());
    until_role(&other, Duration::from_secs(3), "ok: leads").await;
    for name in ["a", "b", "c"] {
        let ended = cluster.until(&namespace, name, State::Expired).await;
        // What the first one announced had been sent when it ended.
        cluster.until_events(&ended, &["Granted", "Expired"]).await;
    }
    one_after_the_other(&cluster, "one", "two");
}

async fn killed(cluster: Arc<Cluster>) {
    let (one, other, namespace) = two(&cluster).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "2s" })).await;
    cluster.until(&namespace, "fix", State::Active).await;
    one.kill();
    let died = Instant::now();
    cluster.until(&namespace, "fix", State::Expired).await;
    assert!(died.elapsed() < LEASE + Duration::from_secs(5), "{:?}", died.elapsed());
    until_role(&other, SOON, "ok: leads").await;
    assert!(cluster.our_bindings(&namespace).await.is_empty());
    one_after_the_other(&cluster, "one", "two");
    // Not a moment before: the dead one might have been alive.
    let renewed = renewals_of(&cluster, "one").pop().expect("a renewal").0;
    let begins = writes_of(&cluster, "two").into_iter().map(|write| write.0).min().expect("a write");
    assert!(begins.duration_since(renewed).as_millis() >= 9_000, "renewed {renewed}, taken over {begins}");
    // The dead one comes back, and has to stand by.
    one.restart().await;
    until_role(&one, SOON, "ok: stands by; two leads").await;
    let status = one.terminate().await;
    assert!(status.success(), "{status}: {}", one.log());
    until_role(&other, SOON, "ok: leads").await;
}

async fn cut_off(cluster: Arc<Cluster>) {
    cluster.controller.terminate().await;
    let (proxy, one) = cluster.replica_through_proxy("one", &TERMS).await;
    until_role(&one, SOON, "ok: leads").await;
    let other = cluster.replica("two", &TERMS).await;
    let namespace = cluster.namespace("cut").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "live", json!({ "duration": "5s" })).await;
    cluster.until(&namespace, "live", State::Active).await;

    // A write is on its way when the line breaks, and nobody knows where it is.
    let held = Arc::new(AtomicBool::new(false));
    let flag = held.clone();
    proxy.watch(move |at, write| {
        if at == Moment::Before && write.path.ends_with("/accessrequests/late/status") {
            flag.store(true, Ordering::SeqCst);
            return Way::Wait;
        }
        Way::On
    });
    cluster.ask(ALICE, &namespace, "late", json!({ "duration": "1h" })).await;
    eventually("a write is on its way", SOON, async || {
        if held.load(Ordering::SeqCst) { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    proxy.part();
    assert!(!one.end().await.success());
    let log = one.log();
    let last: Value = log.lines().last().and_then(|line| serde_json::from_str(line).ok()).expect("a log line");
    assert!(last["error"].as_str().is_some_and(|why| why.starts_with("this replica leads no more")), "{last}");
    assert!(writes_of(&cluster, "two").is_empty(), "the other has begun before");
    cluster.until(&namespace, "live", State::Expired).await;
    cluster.until(&namespace, "late", State::Active).await;
    proxy.pass_all();
    until_role(&other, SOON, "ok: leads").await;
    one_after_the_other(&cluster, "one", "two");
}

async fn frozen(cluster: Arc<Cluster>) {
    let (one, other, namespace) = two(&cluster).await;
    let live: Vec<String> = (0..10).map(|n| format!("live-{n}")).collect();
    for name in &live {
        cluster.ask(ALICE, &namespace, name, json!({ "duration": "20s" })).await;
    }
    for name in &live {
        cluster.until(&namespace, name, State::Active).await;
    }
    one.freeze();
    // The frozen one will have timers that are due, and news from its watches, all at once.
    cluster.ask(ALICE, &namespace, "new", json!({ "duration": "1h" })).await;
    until_role(&other, SOON, "ok: leads").await;
    for name in &live {
        cluster.until(&namespace, name, State::Expired).await;
    }
    cluster.until(&namespace, "new", State::Active).await;
    let before = writes_of(&cluster, "one").len();
    one.thaw();
    assert!(!one.end().await.success());
    let writes = writes_of(&cluster, "one");
    assert_eq!(writes.len(), before, "{writes:?}");
    one_after_the_other(&cluster, "one", "two");
}

/// The watch of the one that stands by is behind when it takes over.
async fn last_grant(cluster: Arc<Cluster>) {
    cluster.controller.terminate().await;
    let one = cluster.replica("one", &TERMS).await;
    until_role(&one, SOON, "ok: leads").await;
    let (proxy, other) = cluster.replica_through_proxy("two", &TERMS).await;
    let namespace = cluster.namespace("count").await;
    cluster.allow(&namespace, &namespace, json!({ "limits": { "liveGrants": 1 } })).await;
    let start = now_plus_seconds(15);
    cluster.ask(ALICE, &namespace, "later", json!({ "duration": "1h", "startTime": start })).await;
    cluster.until(&namespace, "later", State::Scheduled).await;
    eventually("the one that stands by knows of it", SOON, async || {
        let scheduled = other.metric(r#"daypass_requests{state="Scheduled"}"#).await;
        if scheduled == 1.0 { Ok(()) } else { Err(format!("{scheduled} are")) }
    })
    .await;
    proxy.hold("accessrequests", Read::Watch);
    cluster.ask(ALICE, &namespace, "first", json!({ "duration": "1h" })).await;
    cluster.until(&namespace, "first", State::Active).await;
    assert!(one.terminate().await.success());
    until_role(&other, SOON, "ok: leads").await;
    let due: Timestamp = start.parse().expect("a time");
    eventually("the start is well past", SOON, async || {
        if now() > due + SignedDuration::from_secs(2) { Ok(()) } else { Err(start.clone()) }
    })
    .await;
    cluster.until(&namespace, "later", State::Scheduled).await;
    proxy.release();
    let refused = cluster.until(&namespace, "later", State::Denied).await;
    assert!(refused.status.expect("a status").granted_at.is_none());
    assert_eq!(cluster.our_bindings(&namespace).await.len(), 1);
    let by_the_new_one = |write: &Write| write.1.contains("/accessrequests/later/status");
    assert!(writes_of(&cluster, "two").iter().any(by_the_new_one), "the first one has decided it");
}

/// Somebody whom the guard of the Lease does not stop, as where it is not in force yet: they have a token of the controller's
/// account to write it, and an admin's to delete it.
pub struct Stranger {
    writes: Api<Lease>,
    deletes: Api<Lease>,
}

impl Stranger {
    pub async fn in_the(cluster: &Cluster) -> Self {
        let token = Controller::token(&cluster.control_plane).await;
        let thief = cluster.control_plane.client_for_token("stolen", &token).await;
        let admin = cluster.client(ADMIN).await;
        Self { writes: Api::namespaced(thief, NAMESPACE), deletes: Api::namespaced(admin, NAMESPACE) }
    }

    /// Writes over what the lease says.
    pub async fn write(&self, over: &Value) -> Result<(), String> {
        loop {
            let lease = self.writes.get("daypass").await.map_err(|error| error.to_string())?;
            let mut lease = serde_json::to_value(lease).expect("a lease as JSON");
            for (key, value) in over.as_object().expect("fields of the spec") {
                lease["spec"][key] = value.clone();
            }
            let lease = serde_json::from_value(lease).expect("a lease");
            match self.writes.replace("daypass", &Default::default(), &lease).await {
                // Its holder was faster.
                Err(kube::Error::Api(status)) if status.is_conflict() => {}
                written => return written.map(drop).map_err(|error| error.to_string()),
            }
        }
    }

    pub async fn delete(&self) -> Result<(), String> {
        self.deletes.delete("daypass", &Default::default()).await.map(drop).map_err(|error| error.to_string())
    }
}

/// The lease is eve's for as long as can be.
pub fn for_ever() -> Value {
    // A MicroTime has six digits.
    let now = format!("{:.6}", now());
    json!({ "holderIdentity": "eve", "leaseDurationSeconds": 2_147_483_647, "renewTime": now, "acquireTime": now })
}

/// The leader that lives goes on, whatever stands in the lease.
async fn taken_back(cluster: Arc<Cluster>) {
    let (one, other, namespace) = two(&cluster).await;
    let stranger = Stranger::in_the(&cluster).await;
    let odd = [
        for_ever(),
        json!({ "holderIdentity": "" }),
        json!({ "holderIdentity": null, "renewTime": null, "leaseDurationSeconds": null }),
        json!({ "holderIdentity": "eve", "leaseDurationSeconds": 1, "renewTime": "1970-01-01T00:00:00.000000Z" }),
        json!({ "holderIdentity": "eve_", "leaseTransitions": 2_147_483_647, "renewTime": "9999-01-01T00:00:00.000000Z" }),
        // No replica forgets its own name.
        json!({ "leaseDurationSeconds": 2_147_483_647 }),
    ];
    let mut written: Vec<Option<Value>> = odd.into_iter().map(Some).collect();
    written.push(None);
    for (round, spec) in written.into_iter().enumerate() {
        let name = format!("fix-{round}");
        cluster.ask(ALICE, &namespace, &name, json!({ "duration": "2s" })).await;
        cluster.until(&namespace, &name, State::Active).await;
        let before = renewals_of(&cluster, "one").len();
        let done = match &spec {
            Some(spec) => stranger.write(spec).await,
            None => stranger.delete().await,
        };
        done.unwrap_or_else(|why| panic!("{spec:?} cannot be written: {why}"));
        cluster.until(&namespace, &name, State::Expired).await;
        eventually("the leader has the lease again", SOON, async || {
            let holder = holder(&cluster).await;
            let renewed = renewals_of(&cluster, "one").len();
            let has = holder.starts_with("one_") && renewed > before + 2;
            if has { Ok(()) } else { Err(format!("after {spec:?} it is {holder:?}'s, renewed {renewed} times")) }
        })
        .await;
        until_role(&one, SOON, "ok: leads").await;
        until_role(&other, SOON, "ok: stands by; one leads").await;
    }
    let (first, second) = (writes_of(&cluster, "one"), writes_of(&cluster, "two"));
    assert!(!first.is_empty() && second.is_empty(), "two writes: {second:?}");
}

async fn holder(cluster: &Cluster) -> String {
    let args =
        ["get", "lease", "daypass", "-n", NAMESPACE, "-o", "jsonpath={.spec.holderIdentity}", "--ignore-not-found"];
    cluster.kubectl(ADMIN).ok(&args).await
}

/// Nobody leads, and the lease says that somebody does. Who comes waits for as long as for a replica that died.
async fn strange_name(cluster: Arc<Cluster>) {
    let (one, other, namespace) = two(&cluster).await;
    let stranger = Stranger::in_the(&cluster).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "3s" })).await;
    cluster.until(&namespace, "fix", State::Active).await;
    one.freeze();
    stranger.write(&for_ever()).await.expect("written");
    let wrote = now();
    eventually("the one that stands by says who has the lease", SOON, async || {
        let (status, body) = other.get("/readyz").await?;
        let explained = status == 200 && body.contains("eve") && body.contains("no replica of Daypass");
        if explained { Ok(()) } else { Err(format!("{status}: {body}")) }
    })
    .await;
    until_role(&other, LEASE + Duration::from_secs(5), "ok: leads").await;
    cluster.until(&namespace, "fix", State::Expired).await;
    let begins = writes_of(&cluster, "two").into_iter().map(|write| write.0).min().expect("a write");
    assert!(begins.duration_since(wrote).as_millis() >= 9_000, "written {wrote}, taken over {begins}");
    one.thaw();
    assert!(!one.end().await.success());
    one_after_the_other(&cluster, "one", "two");

    // And one that was not there when it was written.
    other.kill();
    stranger.write(&for_ever()).await.expect("written");
    one.restart().await;
    until_role(&one, LEASE + Duration::from_secs(5), "ok: leads").await;
    one.kill();
    stranger.delete().await.expect("deleted");
    let begun = Instant::now();
    other.restart().await;
    until_role(&other, LEASE + Duration::from_secs(5), "ok: leads").await;
    assert!(begun.elapsed() >= LEASE, "the one whose lease was deleted may be alive: {:?}", begun.elapsed());
}

/// Every second, or somewhat less. With a leader, and when it is dead.
async fn again_and_again(cluster: Arc<Cluster>) {
    let (one, other, namespace) = two(&cluster).await;
    let stranger = Stranger::in_the(&cluster).await;
    let eve = async {
        let mut rhythm = tokio::time::interval(Duration::from_secs(1));
        for round in 0_u64.. {
            rhythm.tick().await;
            // In turns for some seconds each.
            let written = if round / 4 % 2 == 0 { stranger.write(&for_ever()).await } else { stranger.delete().await };
            // There may be none to write.
            let _ = written;
        }
    };
    let people = async {
        for name in ["led", "missed"] {
            cluster.ask(ALICE, &namespace, name, json!({ "duration": "14s" })).await;
            cluster.until(&namespace, name, State::Active).await;
            if name == "led" {
                // For longer than a leader goes on without a lease.
                cluster.until(&namespace, name, State::Expired).await;
                let writes = writes_of(&cluster, "two");
                assert!(writes.is_empty(), "the leader is alive, and the other writes: {writes:?}");
                until_leads(&one).await;
            }
        }
        one.kill();
        let died = Instant::now();
        until_leads(&other).await;
        assert!(died.elapsed() < LEASE + Duration::from_secs(8), "{:?}", died.elapsed());
        cluster.until(&namespace, "missed", State::Expired).await;
    };
    tokio::select! {
        () = people => {}
        () = eve => unreachable!("eve goes on"),
    }
    one_after_the_other(&cluster, "one", "two");
}

/// It leads, whatever it has to say of its lease.
async fn until_leads(controller: &Controller) {
    eventually("it leads", SOON, async || {
        let (status, body) = controller.get("/readyz").await?;
        if status == 200 && body.starts_with("ok: leads") { Ok(()) } else { Err(format!("{status}: {body}")) }
    })
    .await;
}
