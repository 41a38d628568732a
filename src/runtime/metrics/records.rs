//! What `/metrics` says of the delivery of records to an archive.

use std::time::Duration;

use k8s_openapi::jiff::SignedDuration;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::number;

/// Upper bounds of the time until a record is acknowledged, in seconds.
const SECONDS: [f64; 10] = [0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0, 86400.0];

/// Figures of the delivery; clones tell and show the same ones.
#[derive(Clone)]
pub struct RecordFigures {
    waiting: Gauge,
    stuck: Gauge,
    oldest: Gauge,
    took: Histogram,
    failures: Counter,
    removed: Counter,
    lost_texts: Counter,
    servers: Gauge,
    servers_heard: Gauge,
}

/// How far an archive is behind, when it is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordsBehind {
    /// How many requests have records that it has not acknowledged.
    pub waiting: usize,
    /// For how long the first of them waits.
    pub oldest: Duration,
    /// How many of them it does not take.
    pub stuck: usize,
    /// How many API servers there are whose audit logs it should hear.
    pub servers: usize,
    /// How many of them it hears.
    pub servers_heard: usize,
}

impl Default for RecordFigures {
    fn default() -> Self {
        Self {
            waiting: Gauge::default(),
            stuck: Gauge::default(),
            oldest: Gauge::default(),
            took: Histogram::new(SECONDS),
            failures: Counter::default(),
            removed: Counter::default(),
            lost_texts: Counter::default(),
            servers: Gauge::default(),
            servers_heard: Gauge::default(),
        }
    }
}

impl RecordFigures {
    /// Has them shown.
    pub(super) fn register(&self, r: &mut Registry) {
        // Without `..`, so that a figure that is not registered below is an unused variable.
        let Self { waiting, stuck, oldest, took, failures, removed, lost_texts, servers, servers_heard } = self;
        let help = "API servers of the cluster, where the archive hears their audit logs";
        r.register("api_servers", help, servers.clone());
        let help = "API servers whose audit log arrives at the archive, as far as the replica that leads knows";
        r.register("api_servers_heard", help, servers_heard.clone());
        r.register("unrecorded_requests", "Requests with records that no archive has acknowledged", waiting.clone());
        let help =
            "Requests of which the archive holds something else than their history says, or refuses what it says";
        r.register("unrecordable_requests", help, stuck.clone());
        let help = "Seconds for which the oldest record waits that no archive has acknowledged";
        r.register("oldest_unrecorded_seconds", help, oldest.clone());
        let help = "Seconds from a transition to the archive's acknowledgement of its record";
        r.register("record_seconds", help, took.clone());
        r.register("record_failures", "Deliveries of records that failed and are tried again", failures.clone());
        let help = "Requests that were removed from the cluster since they were over, recorded and old enough";
        r.register("removed_requests", help, removed.clone());
        let help = "Texts that records name and that were gone before an archive had them";
        r.register("lost_texts", help, lost_texts.clone());
    }

    /// A record was acknowledged that long after what it tells of.
    pub fn acknowledged(&self, after: SignedDuration) {
        self.took.observe(after.as_secs_f64().max(0.0));
    }

    /// A delivery failed.
    pub fn failed(&self) {
        self.failures.inc();
    }

    /// So many requests were removed.
    pub fn removed(&self, requests: u64) {
        self.removed.inc_by(requests);
    }

    /// A text is gone that a record names and the archive lacks.
    pub fn lost_text(&self) {
        self.lost_texts.inc();
    }

    pub(super) fn show(&self, behind: RecordsBehind) {
        self.waiting.set(number(behind.waiting));
        self.stuck.set(number(behind.stuck));
        self.servers.set(number(behind.servers));
        self.servers_heard.set(number(behind.servers_heard));
        self.oldest.set(i64::try_from(behind.oldest.as_secs()).unwrap_or(i64::MAX));
    }
}
