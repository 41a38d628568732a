//! What a tail tells of itself: its figures, and what it waits for.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::jiff::Timestamp;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::reader::LogBatch;
use crate::runtime::archive_line::LineError;

/// What a tail can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TailWait {
    /// A log to read.
    Log,
    /// An archive that takes what is read.
    Archive,
}

impl TailWait {
    fn word(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Archive => "archive",
        }
    }
}

/// A handle on the figures; clones share them.
#[derive(Clone)]
pub struct TailFigures {
    registry: Arc<Registry>,
    waits: Arc<Mutex<BTreeMap<TailWait, String>>>,
    events: Counter,
    files: Counter,
    gaps: Counter,
    too_long: Counter,
    failures: Family<FailureLabels, Counter>,
    behind: Gauge,
    caught_up: Gauge<f64, AtomicU64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FailureLabels {
    code: String,
}

impl Default for TailFigures {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("daypass_tail");
        let counter = |registry: &mut Registry, name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let events = counter(&mut registry, "events", "Lines of the log that the archive has taken");
        let files = counter(&mut registry, "files_finished", "Files of the log that were read to their end");
        let help =
            "Places in the log before which lines may be missing: removed, cut off or broken before they were read";
        let gaps = counter(&mut registry, "gaps", help);
        let too_long = counter(&mut registry, "lines_too_long", "Lines that no archive takes, and that were left out");
        let failures = Family::<FailureLabels, Counter>::default();
        let help = "Tries to send that failed, by the code of the answer; none where there was no answer";
        registry.register("failures", help, failures.clone());
        let behind = Gauge::default();
        registry.register("behind_bytes", "Bytes of the log that the archive has not taken", behind.clone());
        let caught_up = Gauge::<f64, AtomicU64>::default();
        let help = "When the archive had last taken all that was in the log, in seconds since 1970";
        registry.register("caught_up_timestamp_seconds", help, caught_up.clone());
        let waits = [(TailWait::Log, "not looked yet".to_owned())].into();
        let (registry, waits) = (Arc::new(registry), Arc::new(Mutex::new(waits)));
        Self { registry, waits, events, files, gaps, too_long, failures, behind, caught_up }
    }
}

impl TailFigures {
    /// What was read.
    pub fn read(&self, batch: &LogBatch) {
        self.files.inc_by(batch.files);
        self.gaps.inc_by(batch.gaps.len() as u64);
        self.too_long.inc_by(batch.too_long);
        self.behind.set(i64::try_from(batch.behind + batch.lines.len() as u64).unwrap_or(i64::MAX));
    }

    /// The archive has taken it.
    pub fn sent(&self, batch: &LogBatch, now: Timestamp) {
        self.events.inc_by(batch.events as u64);
        self.behind.set(i64::try_from(batch.behind).unwrap_or(i64::MAX));
        if !batch.more {
            self.caught_up.set(now.as_millisecond() as f64 / 1000.0);
        }
    }

    /// A try failed.
    pub fn failed(&self, error: &LineError) {
        let code = match error {
            LineError::Refused { code, .. } => code.to_string(),
            LineError::Away(_) | LineError::File(..) => "none".to_owned(),
        };
        self.failures.get_or_create(&FailureLabels { code }).inc();
        self.waits_for(TailWait::Archive, &error.to_string());
    }

    /// It cannot go on without this.
    pub fn waits_for(&self, what: TailWait, why: &str) {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).insert(what, why.to_owned());
    }

    /// It has this.
    pub fn has(&self, what: TailWait) {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).remove(&what);
    }

    /// What it waits for, for people; nothing, where it is ready.
    pub fn waiting(&self) -> Option<String> {
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<String> = waits.iter().map(|(what, why)| format!("{} ({why})", what.word())).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }

    /// As OpenMetrics.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
