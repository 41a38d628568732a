//! Where records go besides standard output, on a real API server: what a receiver of CloudEvents gets is what was printed,
//! from the leader alone, and a receiver that is away delays no access.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use daypass::api::State;
use daypass::api::request::AccessRequest;
use kube::ResourceExt;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

use crate::harness::cast::SOON;
use crate::harness::users::ALICE;
use crate::harness::{Cluster, Controller, eventually, private};

pub fn trials() -> Vec<Trial> {
    vec![private(
        "outputs::a_receiver_gets_what_was_printed_and_delays_nothing_while_it_is_away",
        receiver_comes_and_goes,
    )]
}

pub(crate) const KEY: &[u8; 24] = b"twenty-four random bytes";

/// A receiver that keeps every delivery, and answers what it is told to.
#[derive(Clone)]
struct Collector {
    got: Arc<Mutex<Vec<Value>>>,
    answers: Arc<AtomicU16>,
}

impl Collector {
    async fn start() -> (Self, String) {
        let this = Self { got: Arc::default(), answers: Arc::new(AtomicU16::new(200)) };
        let routes = Router::new().route("/in", post(Self::take)).with_state(this.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/in", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (this, url)
    }

    async fn take(Shared(this): Shared<Self>, headers: HeaderMap, body: String) -> StatusCode {
        let header = |name: &str| headers[name].to_str().expect("text").to_owned();
        let signed = format!("{}.{}.{body}", header("webhook-id"), header("webhook-timestamp"));
        assert_eq!(header("webhook-signature"), format!("v1,{}", STANDARD.encode(hmac(signed.as_bytes()))));
        let event: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(event["id"], header("webhook-id"));
        this.got.lock().expect("no panic").push(event);
        StatusCode::from_u16(this.answers.load(Ordering::SeqCst)).expect("a status")
    }

    fn answer(&self, status: u16) {
        self.answers.store(status, Ordering::SeqCst);
    }

    /// What it got of a request, each id once, in the order in which it came first.
    fn of(&self, uid: &str) -> Vec<Value> {
        let mut events: Vec<Value> = Vec::new();
        for event in self.got.lock().expect("no panic").iter().filter(|event| event["data"]["request"]["uid"] == uid) {
            match events.iter().find(|known| known["id"] == event["id"]) {
                Some(known) => assert_eq!(known, event, "two events have one id"),
                None => events.push(event.clone()),
            }
        }
        events
    }
}

/// RFC 2104 over SHA-256, by the book and not by the library that signs.
pub(crate) fn hmac(text: &[u8]) -> Vec<u8> {
    let padded = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(KEY).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().to_vec()
}

/// Waits until the receiver has an event for each record that was printed of a request, and for nothing else.
async fn until_complete(collector: &Collector, controller: &Controller, request: &AccessRequest) {
    let uid = request.uid().expect("a UID");
    let all = request.status.as_ref().expect("a status").history.len() + 1;
    let events = eventually("the receiver has it all", SOON, async || {
        let events = collector.of(&uid);
        if events.len() >= all { Ok(events) } else { Err(format!("{} of {all} are there", events.len())) }
    })
    .await;
    let log = controller.log();
    let printed = log.lines().filter(|line| line.starts_with(r#"{"access":"#) && line.contains(&uid));
    let printed: Vec<Value> = printed.map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let sent: Vec<Value> = events.iter().map(|event| event["data"].clone()).collect();
    assert_eq!(sent, printed);
    assert!(events.iter().all(|event| event["source"] == event["data"]["cluster"]), "{events:#?}");
}

async fn receiver_comes_and_goes(cluster: Arc<Cluster>) {
    let ((collector, url), (idle, idle_url)) = (Collector::start().await, Collector::start().await);
    let secrets = cluster.control_plane.dir().join("cloud-event-secrets");
    std::fs::write(&secrets, format!("whsec_{}\n", STANDARD.encode(KEY))).expect("write the secrets");
    let flags = |url: &str| [format!("--cloud-events={url}"), format!("--cloud-events-secrets={}", secrets.display())];
    cluster.controller.terminate().await;
    let leader = cluster.replica("sender", &flags(&url).each_ref().map(String::as_str)).await;
    let _standby = cluster.replica("standby", &flags(&idle_url).each_ref().map(String::as_str)).await;
    let namespace = cluster.namespace("outputs").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "first", json!({ "duration": "2s" })).await;
    let first = cluster.until(&namespace, "first", State::Expired).await;
    until_complete(&collector, &leader, &first).await;

    // It keeps what it refuses to acknowledge, so it gets that again.
    collector.answer(503);
    cluster.ask(ALICE, &namespace, "second", json!({ "duration": "2s" })).await;
    let second = cluster.until(&namespace, "second", State::Expired).await;
    assert_eq!(collector.of(&second.uid().expect("a UID")).len(), 1, "more is sent before the first is taken");
    assert!(leader.metric(r#"daypass_cloud_events_total{result="failed"}"#).await > 0.0);
    collector.answer(204);
    until_complete(&collector, &leader, &second).await;
    assert_eq!(leader.metric(r#"daypass_cloud_events_total{result="dropped"}"#).await, 0.0);
    assert!(idle.got.lock().expect("no panic").is_empty(), "who stands by sends");
}
