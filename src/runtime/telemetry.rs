//! Logs: one JSON object a line, or plain text for a terminal. A line has what its event says and, beside it, what is
//! known of the work that it belongs to: the fields of the spans around it. Nothing is nested.

use std::fmt::{Debug, Write as _};
use std::io::Write as _;

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry};

use super::clock::Clock;

/// Names of fields that other crates' `log` lines bring along and nobody reads.
const BULK: &str = "log.";

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    Text,
}

/// Which log lines to write.
#[derive(Clone, Debug)]
pub struct Filter(Box<EnvFilter>);

/// Reads a filter as in `RUST_LOG`, for example `info` or `warn,daypass=debug`.
///
/// # Errors
/// What is wrong with it, and what it could be.
pub fn filter(text: &str) -> Result<Filter, String> {
    // What the runtime warns of at every try, the watches tell in their own words; so does whoever makes a call that fails,
    // and knows which it was.
    let filter = EnvFilter::try_new(format!("kube_runtime::watcher=error,kube_client::client::builder=off,{text}"));
    filter.map(|filter| Filter(Box::new(filter))).map_err(|error| {
        format!("{error}; write a level, such as info, or levels of modules, such as warn,daypass=debug")
    })
}

/// Starts logging to standard error. `cluster` is in every line, so that lines of many clusters can be told apart in
/// one place. `beside` sees the same spans and events.
pub fn start(format: LogFormat, filter: &Filter, cluster: Option<String>, beside: impl Layer<Registry> + Send + Sync) {
    let filter = (*filter.0).clone();
    let lines = Lines { format, cluster, write: Box::new(to_standard_error) };
    Registry::default().with(beside).with(filter).with(lines).init();
}

fn to_standard_error(line: &str) {
    // One call a line, so that lines do not mix. A log that cannot be written has nobody to be told.
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
}

/// Writes events as lines.
struct Lines {
    format: LogFormat,
    cluster: Option<String>,
    write: Box<dyn Fn(&str) + Send + Sync>,
}

/// What a span or an event says.
#[derive(Clone, Default)]
struct Fields(Map<String, Value>);

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a str>,
    target: &'a str,
    message: Value,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        if !field.name().starts_with(BULK) {
            self.0.insert(field.name().to_owned(), value.into());
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}"));
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Lines {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id);
        let mut extensions = span.as_ref().map(|span| span.extensions_mut());
        if let Some(fields) = extensions.as_mut().and_then(|extensions| extensions.get_mut::<Fields>()) {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        // From the outside in: what is said closer to the event goes over the rest.
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.0.extend(of_span.0.clone());
            }
        }
        event.record(&mut fields);
        let metadata = event.metadata();
        let line = Line {
            timestamp: micros(Clock::wall().now()),
            level: metadata.level().as_str(),
            cluster: self.cluster.as_deref(),
            target: metadata.target(),
            message: fields.0.remove("message").unwrap_or_default(),
            fields: fields.0,
        };
        let text = match self.format {
            LogFormat::Json => serde_json::to_string(&line).unwrap_or_default(),
            LogFormat::Text => text(&line),
        };
        (self.write)(&(text + "\n"));
    }
}

fn micros(now: Timestamp) -> String {
    format!("{now:.6}")
}

fn text(line: &Line<'_>) -> String {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut text = format!("{} {:>5} {}: {}", line.timestamp, line.level, line.target, plain(&line.message));
    let cluster = line.cluster.map(|cluster| ("cluster", cluster.to_owned()));
    for (name, value) in cluster.into_iter().chain(line.fields.iter().map(|(name, v)| (name.as_str(), plain(v)))) {
        // Writing to a String cannot fail.
        let _ = write!(text, " {name}={value}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing::{error_span, warn};

    /// What is written while `work` runs.
    fn written(format: LogFormat, cluster: Option<&str>, filter: &str, work: impl FnOnce()) -> Vec<String> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let seen = lines.clone();
        let write = Box::new(move |line: &str| seen.lock().unwrap().push(line.to_owned()));
        let layer = Lines { format, cluster: cluster.map(str::to_owned), write };
        tracing::subscriber::with_default(Registry::default().with(EnvFilter::new(filter)).with(layer), work);
        let lines = lines.lock().unwrap();
        lines.clone()
    }

    #[test]
    fn a_filter_that_says_nothing_is_refused_with_the_way_out() {
        for wrong in ["daypass=loud", "info,kube=quite", "a[b"] {
            let refusal = filter(wrong).unwrap_err();
            assert!(refusal.ends_with("write a level, such as info, or levels of modules, such as warn,daypass=debug"));
        }
        for right in ["info", "warn,daypass=debug", "off"] {
            assert!(filter(right).is_ok(), "{right}");
        }
    }

    #[test]
    fn a_line_has_the_fields_of_its_spans_beside_its_own() {
        let lines = written(LogFormat::Json, Some("eu-1"), "warn", || {
            let _outer = error_span!("pass", name = "fix", uid = "u-1").entered();
            let _inner = error_span!("step", name = "deeper", n = 2).entered();
            warn!(ok = true, why = ?Some(1), "it is \"so\"\nor not");
        });
        let [line] = lines.as_slice() else { panic!("{lines:?}") };
        assert!(line.ends_with('\n') && line.trim_end().lines().count() == 1, "{line}");
        let mut line: Value = serde_json::from_str(line).unwrap();
        let at: Timestamp = line["timestamp"].as_str().unwrap().parse().unwrap();
        assert!(Clock::wall().now().duration_since(at).as_secs() < 60);
        line.as_object_mut().unwrap().remove("timestamp");
        let expected = serde_json::json!({
            "level": "WARN", "cluster": "eu-1", "target": "daypass::runtime::telemetry::tests",
            "message": "it is \"so\"\nor not", "name": "deeper", "uid": "u-1", "n": 2, "ok": true, "why": "Some(1)"
        });
        assert_eq!(line, expected);
    }

    #[test]
    fn without_a_cluster_nothing_is_said_of_one_and_text_is_for_people() {
        let lines = written(LogFormat::Json, None, "info", || warn!("so"));
        assert!(!lines[0].contains("cluster"), "{lines:?}");
        let lines = written(LogFormat::Text, Some("eu-1"), "info", || {
            let _span = error_span!("pass", uid = "u-1").entered();
            warn!(n = 3, "so it is");
        });
        assert!(lines[0].ends_with("so it is cluster=eu-1 n=3 uid=u-1\n"), "{lines:?}");
        assert!(written(LogFormat::Text, None, "error", || warn!("not said")).is_empty());
    }
}
