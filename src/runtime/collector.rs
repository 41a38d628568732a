//! The collector that traces and records go to, where this build has a way: OTLP in protobuf over plain HTTP.
//!
//! Owns its address and the calls. It must not know what is sent, and whoever sends must not wait for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http::uri::Scheme;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::KeyValue;
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use opentelemetry_sdk::Resource;
use tokio::runtime::Handle;
use tracing::{info, warn};

/// How long the collector may take to answer.
pub const ANSWER: Duration = Duration::from_secs(5);
/// How long the process waits at its end for what is on its way.
pub const LAST: Duration = Duration::from_secs(2);
/// Time between two sendings, unless a batch is full before.
pub const EVERY: Duration = Duration::from_secs(2);
/// How much of an answer is read, in bytes.
const LONGEST_ANSWER: usize = 64 * 1024;

/// The base URL of a collector that speaks OTLP over plain HTTP, as `OTEL_EXPORTER_OTLP_ENDPOINT` has it.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn endpoint(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|error| format!("{error}"))?;
    if uri.scheme() != Some(&Scheme::HTTP) {
        return Err(
            "it must be http://HOST:PORT; a collector in the cluster is meant, TLS is for it to speak".to_owned()
        );
    }
    // They would be lost, and a fragment the path with it.
    let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    if uri.query().is_some() || text.contains('#') || has_user {
        return Err("it must have no query, no fragment and no user".to_owned());
    }
    text.trim_end_matches('/').parse().map_err(|error| format!("{error}"))
}

/// What is sent to a collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Traces,
    /// Records, as log records.
    Records,
}

impl Signal {
    /// Where a collector with this base URL takes it. (OTLP, "OTLP/HTTP Request".)
    pub fn url(self, base: &Uri) -> String {
        let path = match self {
            Self::Traces => "traces",
            Self::Records => "logs",
        };
        format!("{}/v1/{path}", base.to_string().trim_end_matches('/'))
    }

    fn word(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Records => "records for the collector",
        }
    }
}

/// In whose name a process sends.
pub fn resource(cluster: Option<&str>, instance: &str) -> Resource {
    let cluster = cluster.map(|cluster| KeyValue::new("k8s.cluster.name", cluster.to_owned()));
    Resource::builder_empty()
        .with_attribute(KeyValue::new("service.name", "daypass"))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", instance.to_owned()))
        .with_attributes(cluster)
        .build()
}

/// Sends for the exporter, whose thread has no runtime of its own.
#[derive(Debug)]
pub struct Collector {
    signal: Signal,
    client: Client<HttpConnector, Full<Bytes>>,
    runtime: Handle,
    /// Whether the last sending failed: what has been said is not said again.
    away: AtomicBool,
}

impl Collector {
    /// One that is there. Must be called on the runtime.
    pub fn taking(signal: Signal) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { signal, client, runtime: Handle::current(), away: AtomicBool::new(false) }
    }

    fn record_outcome(&self, answer: &Result<Response<Bytes>, HttpError>) {
        let why = match answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("the collector answers {}", answer.status())),
            Err(error) => Some(error.to_string()),
        };
        let was_away = self.away.swap(why.is_some(), Ordering::Relaxed);
        let what = self.signal.word();
        match why {
            Some(why) if !was_away => warn!("{what} are lost: {why}"),
            None if was_away => info!("{what} are sent again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let exchange = async move {
            let (head, body) = client.request(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, LONGEST_ANSWER).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(head, body))
        };
        let exchange = self.runtime.spawn(async move { tokio::time::timeout(ANSWER, exchange).await });
        let answer = match exchange.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(format!("the collector does not answer within {ANSWER:?}").into()),
            Err(error) => Err(error.into()),
        };
        self.record_outcome(&answer);
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_base_url_in_plain_http() {
        let whole = |signal: Signal, text| endpoint(text).map(|base| signal.url(&base));
        let traces = |text| whole(Signal::Traces, text);
        assert_eq!(traces("http://collector:4318").unwrap(), "http://collector:4318/v1/traces");
        assert_eq!(traces("http://collector:4318/otlp/").unwrap(), "http://collector:4318/otlp/v1/traces");
        assert_eq!(whole(Signal::Records, "http://collector:4318").unwrap(), "http://collector:4318/v1/logs");
        for wrong in [
            "https://collector:4318",
            "collector:4318",
            "/v1/traces",
            "http://collector?x=1",
            "",
            "http://",
            "http://collector#x",
            "http://collector/otlp#",
            "http://me:secret@collector",
        ] {
            assert!(traces(wrong).is_err(), "{wrong}");
        }
    }
}
