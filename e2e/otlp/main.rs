//! What a build with OTLP sends: passes of a controller at work on a real API server as traces, records as logs, as a
//! collector gets them; and what becomes of access while the collector does not answer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code, unused_imports, reason = "shared with the trials of everything else")]
#[path = "../harness/mod.rs"]
mod harness;
mod wire;

use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use daypass::api::State;
use daypass::api::record::Record;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use libtest_mimic::Arguments;
use serde_json::json;
use tokio::net::TcpListener;

use harness::cast::SOON;
use harness::users::ALICE;
use harness::{Cluster, Controller, eventually, private};
use wire::{Export, Log, Span};

/// How long the kubelet waits for a Pod that does not say otherwise, before it kills it.
/// (`terminationGracePeriodSeconds` of `kubectl explain pod.spec`.)
const GRACE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    // Fails only when a provider is installed already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let trials = vec![
        private("otlp::a_pass_is_a_trace_with_its_calls_and_a_record_is_a_log", traced),
        private("otlp::a_collector_that_never_answers_holds_nothing_up", never_answers),
    ];
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    harness::cluster::end();
    harness::records::verdict(conclusion.exit_code())
}

/// What a collector has got, as it came.
#[derive(Clone, Default)]
struct Got {
    traces: Arc<Mutex<Vec<Bytes>>>,
    logs: Arc<Mutex<Vec<Bytes>>>,
}

async fn collector() -> (String, Got) {
    let got = Got::default();
    let take = async |Shared(got): Shared<Arc<Mutex<Vec<Bytes>>>>, headers: axum::http::HeaderMap, body: Bytes| {
        assert_eq!(headers[CONTENT_TYPE], "application/x-protobuf");
        got.lock().unwrap().push(body);
    };
    let traces = Router::new().route("/v1/traces", post(take)).with_state(got.traces.clone());
    let logs = Router::new().route("/v1/logs", post(take)).with_state(got.logs.clone());
    let routes = traces.merge(logs);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, got)
}

/// The only controller, which sends its traces to this URL.
async fn controller(cluster: &Cluster, url: &str) -> Controller {
    cluster.controller.terminate().await;
    cluster.replica("traced", &[&format!("--otlp-endpoint={url}"), "--otlp-records", "--cluster=eu-1"]).await
}

async fn traced(cluster: Arc<Cluster>) {
    let (url, got) = collector().await;
    let controller = controller(&cluster, &url).await;
    let namespace = cluster.namespace("otlp").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "reason": "a secret reason" })).await;
    let granted = cluster.until(&namespace, "fix", State::Active).await;
    let uid = granted.uid().expect("a UID");
    let is_it = |span: &&Span| span.name == "pass" && span.has("uid", &uid);
    let spans = eventually("the calls of its grant are with the collector", SOON, async || {
        let exports: Vec<Export> = got.traces.lock().unwrap().iter().map(|body| wire::read(body)).collect();
        for export in &exports {
            for (key, value) in
                [("service.name", "daypass"), ("service.instance.id", "traced"), ("k8s.cluster.name", "eu-1")]
            {
                assert_eq!(export.resource.get(key).map(String::as_str), Some(value), "{:?}", export.resource);
            }
        }
        let spans: Vec<Span> = exports.into_iter().flat_map(|export| export.spans).collect();
        let binds = |span: &&Span| span.name == "POST rolebindings" && span.is_child_of_one(&spans, is_it);
        if spans.iter().any(|span| binds(&span)) { Ok(spans) } else { Err(format!("{} spans are", spans.len())) }
    })
    .await;
    let pass = spans.iter().find(is_it).expect("its pass");
    assert!(pass.has("namespace", &namespace) && pass.has("name", "fix"), "{pass:?}");
    assert!(pass.parent.is_empty(), "{pass:?}");
    for (name, code) in [("PATCH accessrequests/status", "200"), ("POST rolebindings", "201")] {
        let call = spans.iter().find(|span| span.name == name && span.is_child_of_one(&spans, is_it)).expect(name);
        let (method, resource) = name.split_once(' ').unwrap();
        assert!(call.has("http.request.method", method) && call.has("resource", resource), "{call:?}");
        assert!(call.has("http.response.status_code", code), "{call:?}");
        assert!(call.ends > call.begins, "{call:?}");
    }
    // Watches, leases and the canary would be traces without end.
    let of_work = |span: &&Span| span.name == "pass" || span.name == "reap" || !span.parent.is_empty();
    let strays: Vec<&Span> = spans.iter().filter(|span| !of_work(span)).collect();
    assert!(strays.is_empty(), "{strays:?}");

    // What is on its way when the process ends arrives.
    cluster.review(ALICE, &namespace, "fix", "Revoke", "done").await;
    cluster.until(&namespace, "fix", State::Revoked).await;
    let status = controller.terminate().await;
    assert!(status.success(), "{status}: {}", controller.log());
    let all: Vec<Bytes> = got.traces.lock().unwrap().clone();
    let unbound = |export: &Export| export.spans.iter().any(|span| span.name == "DELETE rolebindings");
    assert!(all.iter().map(|body| wire::read(body)).any(|export| unbound(&export)), "the last pass is lost");
    for word in ["alice", "secret reason"] {
        let appears = all.iter().any(|body| body.windows(word.len()).any(|part| part == word.as_bytes()));
        assert!(!appears, "{word:?} is in a trace");
    }
    records_are_logs(&controller, &got, &uid);
}

/// Each record that was printed is a log record, whole.
fn records_are_logs(controller: &Controller, got: &Got, uid: &str) {
    let logs: Vec<Log> = got.logs.lock().unwrap().iter().flat_map(|body| wire::logs(body)).collect();
    let sent: Vec<&Log> = logs.iter().filter(|log| log.body.contains(uid)).collect();
    let printed = controller.log();
    let printed: Vec<&str> =
        printed.lines().filter(|line| line.starts_with("{\"access\"") && line.contains(uid)).collect();
    assert_eq!(sent.iter().map(|log| log.body.as_str()).collect::<Vec<_>>(), printed);
    let records: Vec<Record> = printed.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = records.iter().map(|record| record.kind.as_str()).collect();
    assert_eq!(kinds, ["Requested", "Granted", "Revoked"]);
    for (log, record) in sent.iter().zip(&records) {
        assert_eq!(log.event, "dev.daypass.record.v1");
        assert_eq!(i128::from(log.at), record.at.0.as_nanosecond());
        let said = |key: &str| log.attributes.get(key).map(String::as_str);
        assert_eq!(said("daypass.record.id"), Some(record.id.as_str()));
        assert_eq!(said("daypass.record.kind"), Some(record.kind.as_str()));
        assert_eq!(said("k8s.cluster.uid"), Some(record.cluster.as_str()));
        assert_eq!(said("k8s.namespace.name"), Some(record.request.namespace.as_str()));
    }
}

async fn never_answers(cluster: Arc<Cluster>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let calls = Arc::new(Mutex::new(Vec::new()));
    let received = calls.clone();
    // It takes calls and says nothing, for ever.
    tokio::spawn(async move {
        while let Ok((call, _)) = listener.accept().await {
            received.lock().unwrap().push(call);
        }
    });
    let controller = controller(&cluster, &url).await;
    let namespace = cluster.namespace("otlp").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    eventually("spans are on their way", SOON, async || {
        if calls.lock().unwrap().is_empty() { Err("none".to_owned()) } else { Ok(()) }
    })
    .await;
    let names: Vec<String> = (0..20).map(|n| format!("fix-{n}")).collect();
    for name in &names {
        cluster.ask(ALICE, &namespace, name, json!({ "duration": "4s" })).await;
    }
    for name in &names {
        let ended = cluster.until(&namespace, name, State::Expired).await;
        let status = ended.status.clone().expect("a status");
        let end = status.expires_at.expect("an end").0;
        let gone = removed(&cluster, &status.bindings[0].name);
        assert!(gone >= end, "{name}: its end is {end}, its binding went {gone}");
        let late = gone.duration_since(end);
        assert!(late.as_millis() < 1_000, "{name}: {late:?} late");
    }
    eventually("the log says that traces are lost", SOON, async || {
        let log = controller.log();
        if log.contains("traces are lost: the collector does not answer") { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    assert_eq!(controller.log().matches("traces are lost").count(), 1, "it is said once");
    let asked = Instant::now();
    let status = controller.terminate().await;
    assert!(status.success(), "{status}: {}", controller.log());
    assert!(asked.elapsed() < GRACE, "{:?}", asked.elapsed());
    assert!(controller.log().contains("the lease is given back"));
}

/// When a binding was deleted, as the API server's audit log has it.
fn removed(cluster: &Cluster, name: &str) -> Timestamp {
    let log = cluster.control_plane.audit_log();
    let is_it = |event: &&serde_json::Value| {
        event["verb"] == "delete" && event["objectRef"]["name"] == name && event["responseStatus"]["code"] == 200
    };
    let event = log.iter().find(is_it).expect("its deletion");
    event["requestReceivedTimestamp"].as_str().and_then(|at| at.parse().ok()).expect("a time")
}
