//! Traces over OTLP: each pass is a trace, each call of the API server in it a span. Owns what is a span.
//! A collector that is slow or away costs spans and nothing else: what does not fit into a queue of fixed length is
//! dropped, and one thread of its own waits for answers.
//!
//! A span names objects, and never people: it has no event, no body and no path.

use http::{Request, Response, Uri};
use kube::client::Body;
use opentelemetry::trace::{Status, TracerProvider};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use tower::BoxError;
use tracing::{Instrument, Span, Subscriber, error_span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

use super::collector::{ANSWER, Collector, EVERY, LAST, Signal, resource};
use super::layer::{Interceptor, ResponseFuture};

/// How many spans wait to be sent. What goes over is dropped.
const WAITING: usize = 4096;
/// How many spans are sent at once.
const BATCH: usize = 512;
/// What the targets of this program's own spans begin with. The client library has spans too, with whole URLs.
const OWN: &str = "daypass::";

/// The traces of this process.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Traces that go to the collector with this base URL, in the name of this process. Must be called on the runtime.
    ///
    /// # Errors
    /// When other `OTEL_EXPORTER_OTLP_` variables ask for what this build has not.
    pub fn to(collector: &Uri, cluster: Option<&str>, instance: &str) -> Result<Self, ExporterBuildError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::taking(Signal::Traces))
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(Signal::Traces.url(collector))
            .with_timeout(ANSWER)
            .build()?;
        let queue = BatchConfigBuilder::default()
            .with_max_queue_size(WAITING)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(EVERY)
            .build();
        let queue = BatchSpanProcessor::builder(exporter).with_batch_config(queue).build();
        Ok(Self(
            SdkTracerProvider::builder().with_resource(resource(cluster, instance)).with_span_processor(queue).build(),
        ))
    }

    /// Makes traces of this program's spans. Not of its events: log lines may name people.
    pub fn layer<S: Subscriber + for<'s> LookupSpan<'s> + Send + Sync>(&self) -> impl Layer<S> + Send + Sync + use<S> {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("daypass"))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_target(false)
            .with_filter(filter_fn(|metadata| metadata.is_span() && metadata.target().starts_with(OWN)))
    }

    /// Sends what is left, as far as there is time.
    pub async fn end(self) {
        // It waits in its thread, and no longer than this.
        let _ = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(LAST)).await;
    }
}

/// Notes on the trace of this pass that it failed, and with what kind of error.
pub fn pass_failed(kind: &'static str) {
    Span::current().set_status(Status::error(kind));
}

/// Has the calls of a client traced that belong to some work. Changes none of them.
#[derive(Clone)]
pub struct Tracing;

impl Interceptor for Tracing {
    fn intercept<B: 'static, F>(
        &self,
        request: Request<Body>,
        call: impl FnOnce(Request<Body>) -> F,
    ) -> ResponseFuture<B>
    where
        F: Future<Output = Result<Response<B>, BoxError>> + Send + 'static,
    {
        // Watches, the Lease and the canary belong to no pass, and would be traces of one span without end.
        if Span::current().is_none() {
            return Box::pin(call(request));
        }
        let (method, resource) = (request.method().as_str(), resource_of(request.uri().path()));
        let span = error_span!(
            "call",
            otel.name = format!("{method} {resource}"),
            otel.kind = "client",
            http.request.method = method,
            http.response.status_code = field::Empty,
            resource,
        );
        let answer = call(request);
        let message = async move {
            let answer = answer.await;
            let span = Span::current();
            match &answer {
                Ok(response) => {
                    span.record("http.response.status_code", response.status().as_u16());
                    if response.status().is_server_error() {
                        span.set_status(Status::error("the API server failed"));
                    }
                }
                Err(_) => span.set_status(Status::error("no answer")),
            }
            answer
        };
        Box::pin(message.instrument(span))
    }
}

/// The resource that a path of the API server is about, with its subresource and without any name.
fn resource_of(path: &str) -> String {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let versions = match parts.next() {
        Some("api") => 1,
        Some("apis") => 2,
        _ => return "other".to_owned(),
    };
    let parts: Vec<&str> = parts.skip(versions).collect();
    match parts.as_slice() {
        ["namespaces", _, resource] | ["namespaces", _, resource, _] => (*resource).to_owned(),
        ["namespaces", _, resource, _, part, ..] | [resource, _, part, ..] => format!("{resource}/{part}"),
        [resource, ..] => (*resource).to_owned(),
        [] => "other".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::collector::endpoint;
    use opentelemetry_http::Bytes;
    use std::sync::{Arc, Mutex};
    use std::time::Instant;
    use tokio::net::TcpListener;
    use tokio::sync::Notify;
    use tracing_subscriber::layer::SubscriberExt;

    /// Of an endless collector, that answers when it is let, and what it has got.
    async fn collector() -> (Uri, Arc<Notify>, Arc<Mutex<Vec<Bytes>>>) {
        let (answer, got) = (Arc::new(Notify::new()), Arc::new(Mutex::new(Vec::new())));
        let (may, received) = (answer.clone(), got.clone());
        let take = move |body: axum::body::Bytes| {
            received.lock().unwrap().push(body);
            let may = may.clone();
            async move { may.notified().await }
        };
        let routes = axum::Router::new().route("/v1/traces", axum::routing::post(take));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = endpoint(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (url, answer, got)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_a_slow_collector_does_not_take_is_dropped_and_nobody_waits() {
        let (url, answer, got) = collector().await;
        let traces = Traces::to(&url, None, "one").unwrap();
        let subscriber = tracing_subscriber::Registry::default().with(traces.layer());
        let began = Instant::now();
        tracing::subscriber::with_default(subscriber, || (0..20_000).for_each(|_| drop(error_span!("flood"))));
        assert!(began.elapsed() < ANSWER, "{:?}: it was waited for", began.elapsed());
        // From now on it answers, each time at once.
        let answering = tokio::spawn(async move {
            loop {
                answer.notify_one();
                tokio::task::yield_now().await;
            }
        });
        traces.end().await;
        answering.abort();
        let got = got.lock().unwrap();
        let many: usize = got.iter().map(|body| body.windows(5).filter(|part| *part == b"flood").count()).sum();
        assert!((BATCH..=WAITING + 2 * BATCH).contains(&many), "{many} were kept");
    }

    #[test]
    fn a_span_says_what_kind_of_object_is_called_and_not_which() {
        for (path, expected) in [
            ("/apis/daypass.dev/v1alpha1/namespaces/shop/accessrequests/fix/status", "accessrequests/status"),
            ("/apis/daypass.dev/v1alpha1/namespaces/shop/accessrequests/fix", "accessrequests"),
            ("/apis/daypass.dev/v1alpha1/namespaces/shop/accessrequests", "accessrequests"),
            ("/apis/daypass.dev/v1alpha1/accesspolicies/p/status", "accesspolicies/status"),
            ("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/daypass-1", "clusterrolebindings"),
            ("/api/v1/namespaces", "namespaces"),
            ("/api/v1/namespaces/shop", "namespaces"),
            ("/api/v1/namespaces/shop/serviceaccounts/robot/token", "serviceaccounts/token"),
            ("/version", "other"),
            ("/apis", "other"),
        ] {
            assert_eq!(resource_of(path), expected, "{path}");
        }
    }
}
