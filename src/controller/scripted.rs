//! An API server for unit tests that follows a script: it answers the calls that the script names, in its order, and fails
//! the test on one that is missing from it, and on one that nobody made.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use kube::core::{DeserializeGuard, Status};
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use tower::{BoxError, service_fn};

use super::context::{Context, Reach};
use super::queues::{Inbox, Incoming, Queues};
use super::records::RecordPrinter;
use super::stores::Feeds;
use super::stores::outbox::OutboxSettings;
use super::stores::packed::{PackedRequest, pack};
use super::write::transition_metrics::TransitionMetrics;
use super::write::{TransitionListeners, Writer};
use crate::api::AccessRequest;
use crate::core::decision::served::ServedNamespaces;
use crate::core::laws::fixtures::{namespaces, noon, policy, request};
use crate::core::laws::simulator::Simulator;
use crate::core::rbac::binding::{Wanted, wanted};
use crate::runtime::clock::Clock;
use crate::runtime::gate::seat;
use crate::runtime::judged_clock::JudgedClock;
use crate::runtime::metrics::Metrics;

/// One call that must come, and its answer.
struct Call {
    method: Method,
    /// The end of the path; with the query where it has one.
    path: String,
    /// What the body must have in it, if anything.
    sends: Option<Value>,
    /// How long the answer takes.
    takes: Duration,
    code: u16,
    body: String,
}

/// The script. Dropped at the end of a test, it fails when a call did not come.
#[derive(Clone, Default)]
pub struct Script(Arc<Mutex<VecDeque<Call>>>);

/// What is said of a call that failed, as API servers say it.
pub fn failure(code: u16, reason: &str) -> Value {
    serde_json::to_value(Status::failure("somebody says no", reason).with_code(code)).unwrap()
}

impl Script {
    /// One more call, answered with a code and a body.
    pub fn then(self, method: Method, path: &str, code: u16, body: Value) -> Self {
        let (path, body) = (path.to_owned(), body.to_string());
        let call = Call { method, path, sends: None, takes: Duration::ZERO, code, body };
        self.0.lock().unwrap().push_back(call);
        self
    }

    /// The call before must send this, among other things.
    pub fn sending(self, body: Value) -> Self {
        self.0.lock().unwrap().back_mut().unwrap().sends = Some(body);
        self
    }

    /// The call before is answered after this time.
    pub fn taking(self, time: Duration) -> Self {
        self.0.lock().unwrap().back_mut().unwrap().takes = time;
        self
    }

    /// A client of the server that follows it.
    pub fn client(&self) -> Client {
        let script = self.clone();
        let server = service_fn(move |request: Request<Body>| {
            let script = script.clone();
            async move {
                let (parts, body) = request.into_parts();
                let sent = body.collect_bytes().await?;
                let (path, asked) = (parts.uri.path_and_query().unwrap().as_str(), parts.method.clone());
                let call = script.0.lock().unwrap().pop_front();
                let call = call.unwrap_or_else(|| panic!("{asked} {path} is not in the script, which is at its end"));
                let goes_to = if call.path.contains('?') { path } else { parts.uri.path() };
                assert!(
                    asked == call.method && goes_to.ends_with(&call.path),
                    "{asked} {path} is not in the script; it goes on with {} …{}",
                    call.method,
                    call.path
                );
                if let Some(expected) = &call.sends {
                    let sent: Value = serde_json::from_slice(&sent).unwrap();
                    assert!(has(&sent, expected), "{asked} {path} sends {sent}, without {expected}");
                }
                tokio::time::sleep(call.takes).await;
                let answer = Response::builder().status(call.code).body(Body::from(call.body.into_bytes()));
                answer.map_err(BoxError::from)
            }
        });
        Client::new(server, "default")
    }

    /// How many calls have yet to come.
    pub fn left(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Every call has come.
    pub fn is_over(&self) {
        let left = self.0.lock().unwrap();
        let left: Vec<String> = left.iter().map(|call| format!("{} …{}", call.method, call.path)).collect();
        assert!(left.is_empty(), "never called: {}", left.join(", "));
    }
}

/// A writer of a replica that leads, and what it counts.
pub fn writer(script: &Script, clock: Clock) -> (Writer, Arc<TransitionMetrics>) {
    printing_writer(script, clock).0
}

/// The same, and what is printed of it.
fn printing_writer(script: &Script, clock: Clock) -> ((Writer, Arc<TransitionMetrics>), RecordPrinter) {
    let (seat, leadership) = seat();
    seat.take_for_good();
    let metrics = Arc::new(TransitionMetrics::new(Metrics::default(), leadership));
    let (records, printer) = RecordPrinter::new(script.client());
    let listeners = TransitionListeners { transitions: metrics.clone(), records };
    let writer = Writer::new(script.client(), "test".to_owned(), JudgedClock::new(clock), listeners).0;
    ((writer, metrics), printer)
}

/// A grant on record whose binding is about to be made, and what that is.
pub fn granted() -> (AccessRequest, Wanted) {
    let mut simulator = Simulator::new(request(json!({})), vec![policy("base", json!({}))], namespaces(), noon());
    simulator.step(1);
    let mut request = simulator.request.clone();
    request.metadata.resource_version = Some("7".to_owned());
    let status = request.status.clone().unwrap();
    let wanted = wanted(&request, &status, &status.bindings[0]);
    (request, wanted)
}

/// What all loops share, at a server that follows the script, with the ends that feed it and that hear from it.
pub fn context(script: &Script, clock: Clock) -> (Context, Feeds, Inbox) {
    context_with(script, clock, OutboxSettings::default())
}

/// The same with these settings of an archive.
pub fn context_with(script: &Script, clock: Clock, outbox: OutboxSettings) -> (Context, Feeds, Inbox) {
    let (context, feeds, inbox, _) = printing_context(script, clock, outbox);
    (context, feeds, inbox)
}

/// The same with what is printed.
pub fn printing_context(
    script: &Script,
    clock: Clock,
    outbox: OutboxSettings,
) -> (Context, Feeds, Inbox, RecordPrinter) {
    let (queues, inbox) = Queues::new();
    let scope = Reach {
        served: ServedNamespaces::Cluster,
        release: "daypass-system".to_owned(),
        extra_keys: Vec::new(),
        insight: false,
        outbox,
    };
    let (writer, printer) = printing_writer(script, clock);
    let (context, feeds) = Context::new(script.client(), writer, queues, JudgedClock::new(clock), scope);
    (context, feeds, inbox, printer)
}

/// Names of the requests that were put into a queue since the last look.
pub fn asked(queue: &Incoming<PackedRequest>) -> Vec<String> {
    let next = || poll_fn(|task| queue.poll_next(task)).now_or_never();
    std::iter::from_fn(next).map(|request| request.name).collect()
}

/// The watch brings a request, or a newer version of it.
pub fn bring(context: &Context, feeds: &mut Feeds, request: AccessRequest) {
    let request = DeserializeGuard(Ok(request));
    feeds.requests.apply_watcher_event(&pack(&Event::Apply(request.clone())));
    context.stores.requests.came(&request);
}

/// Whether a value has all that another one has.
fn has(value: &Value, part: &Value) -> bool {
    match (value, part) {
        (Value::Object(value), Value::Object(part)) => {
            part.iter().all(|(key, part)| value.get(key).is_some_and(|value| has(value, part)))
        }
        (value, part) => value == part,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Api;
    use std::panic::AssertUnwindSafe;

    async fn reads(script: &Script, name: &str) -> bool {
        let maps: Api<ConfigMap> = Api::namespaced(script.client(), "shop");
        AssertUnwindSafe(maps.get(name)).catch_unwind().await.is_ok()
    }

    #[tokio::test]
    async fn it_fails_on_a_call_that_it_does_not_know_and_on_one_that_is_missing() {
        let script = || Script::default().then(Method::GET, "/configmaps/a", 200, json!({ "metadata": {} }));
        let right = script();
        assert!(reads(&right, "a").await);
        right.is_over();
        assert!(!reads(&right, "a").await, "the script is at its end");
        assert!(!reads(&script(), "b").await, "another call");
        let with_query =
            Script::default().then(Method::GET, "/configmaps/a?dryRun=All", 200, json!({ "metadata": {} }));
        assert!(!reads(&with_query, "a").await, "another query");
        assert!(std::panic::catch_unwind(AssertUnwindSafe(|| script().is_over())).is_err(), "never called");
    }
}
