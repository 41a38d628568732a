//! What the archive tells Prometheus.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use k8s_openapi::jiff::Timestamp;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::super::activity::Taken;
use super::super::log::figures::LogFigures;
use crate::api::delivery::ChainAnswer;

/// A handle on the figures; clones share them.
#[derive(Clone)]
pub struct ArchiveFigures {
    registry: Arc<Registry>,
    delivered: Counter,
    refused: Family<RuleLabels, Counter>,
    lacking: Counter,
    events: Family<EventLabels, Counter>,
    calls: Family<TieLabels, Counter>,
    marks: Family<ServerLabels, Gauge<f64, AtomicU64>>,
    lag: Family<ClusterLabels, Gauge<f64, AtomicU64>>,
    unexplained: Family<FindingLabels, Counter>,
    feeds: FeedFigures,
    log: LogFigures,
    reviews: ReviewFigures,
}

/// What is left to do in the campaigns of a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReviewsLeft {
    /// Campaigns that nobody has closed.
    pub open: u64,
    /// Items of these without a decision that counts, although it was due.
    pub overdue: u64,
}

/// Gauges of the same.
#[derive(Clone, Default)]
struct ReviewFigures {
    open: Gauge,
    overdue: Gauge,
}

/// What feeds bring.
#[derive(Clone, Default)]
struct FeedFigures {
    events: Family<FeedLabels, Counter>,
    unreadable: Family<FeedLabels, Counter>,
    shut_out: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FeedLabels {
    feed: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    readable: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TieLabels {
    by: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ServerLabels {
    cluster: String,
    server: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClusterLabels {
    cluster: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FindingLabels {
    why: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RuleLabels {
    rule: String,
}

impl Default for ArchiveFigures {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("daypass_archive");
        let (delivered, refused) = (Counter::default(), Family::<RuleLabels, Counter>::default());
        registry.register("records_delivered", "Records that arrived, again or not", delivered.clone());
        registry.register("requests_refused", "Answers that left records out, by the rule they break", refused.clone());
        let lacking = Counter::default();
        let help = "Answers that a text is not held which a delivered record names";
        registry.register("texts_lacking", help, lacking.clone());
        let (events, calls) = (Family::<EventLabels, Counter>::default(), Family::<TieLabels, Counter>::default());
        registry.register("audit_events", "Audit events that arrived, again or not", events.clone());
        let help = "Calls in audit events that a grant allowed, or would have allowed beside what did";
        registry.register("audit_calls", help, calls.clone());
        let marks = Family::<ServerLabels, Gauge<f64, AtomicU64>>::default();
        let help = "When an API server was heard last, by the call of a canary, in seconds since 1970";
        registry.register("audit_heard_timestamp_seconds", help, marks.clone());
        let lag = Family::<ClusterLabels, Gauge<f64, AtomicU64>>::default();
        let help = "How long the latest event of a delivery was on its way";
        registry.register("audit_lag_seconds", help, lag.clone());
        let unexplained = Family::<FindingLabels, Counter>::default();
        registry.register(
            "unexplained_writes",
            "Writes that no record explains, when they are told",
            unexplained.clone(),
        );
        let (feeds, reviews) = (FeedFigures::registered(&mut registry), ReviewFigures::registered(&mut registry));
        let log = LogFigures::registered(&mut registry);
        Self {
            registry: Arc::new(registry),
            delivered,
            refused,
            lacking,
            events,
            calls,
            marks,
            lag,
            unexplained,
            feeds,
            log,
            reviews,
        }
    }
}

impl FeedFigures {
    fn registered(registry: &mut Registry) -> Self {
        let this = Self::default();
        registry.register("audit_feed_events", "Audit events that a feed brought, again or not", this.events.clone());
        let help = "What a feed brought in place of an audit event and cannot be read";
        registry.register("audit_feed_unreadable", help, this.unreadable.clone());
        registry.register("audit_shut_out", "Calls to feed audit events of who may not", this.shut_out.clone());
        this
    }
}

impl ReviewFigures {
    fn registered(registry: &mut Registry) -> Self {
        let this = Self::default();
        registry.register("campaigns_open", "Review campaigns that nobody has closed", this.open.clone());
        let help = "Items of open campaigns without a decision that counts, although it was due";
        registry.register("campaign_items_overdue", help, this.overdue.clone());
        this
    }
}

impl ArchiveFigures {
    /// So much is left to do in campaigns.
    pub fn reviewing(&self, left: ReviewsLeft) {
        self.reviews.open.set(i64::try_from(left.open).unwrap_or(i64::MAX));
        self.reviews.overdue.set(i64::try_from(left.overdue).unwrap_or(i64::MAX));
    }

    /// So many records came, and this became of their requests.
    pub fn delivered(&self, records: usize, answers: &[ChainAnswer]) {
        self.delivered.inc_by(records as u64);
        for refused in answers.iter().filter_map(|answer| answer.refused.as_ref()) {
            self.refused.get_or_create(&RuleLabels { rule: format!("{:?}", refused.rule) }).inc();
        }
    }

    /// So many texts were answered to be missing.
    pub fn lack(&self, texts: usize) {
        self.lacking.inc_by(texts as u64);
    }

    /// What became of audit events of a cluster.
    pub fn fed(&self, cluster: &str, taken: &Taken, now: Timestamp) {
        self.events.get_or_create(&EventLabels { readable: "true".to_owned() }).inc_by(taken.events as u64);
        for (by, calls) in [("grant", taken.tied), ("beside", taken.beside)] {
            self.calls.get_or_create(&TieLabels { by: by.to_owned() }).inc_by(calls as u64);
        }
        for mark in &taken.marks {
            let labels = ServerLabels { cluster: cluster.to_owned(), server: mark.server.clone() };
            let gauge = self.marks.get_or_create(&labels);
            // One that comes late says nothing new.
            gauge.set(mark.at.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64().max(gauge.get()));
        }
        if let Some(latest) = taken.latest {
            let lag = now.duration_since(latest).as_secs_f64();
            self.lag.get_or_create(&ClusterLabels { cluster: cluster.to_owned() }).set(lag);
        }
        for (_, why) in &taken.told {
            self.unexplained.get_or_create(&FindingLabels { why: format!("{why:?}") }).inc();
        }
    }

    /// So many events came that cannot be read.
    pub fn unreadable(&self, events: usize) {
        self.events.get_or_create(&EventLabels { readable: "false".to_owned() }).inc_by(events as u64);
    }

    /// A feed brought so many events, and so many things that are none.
    pub fn brought(&self, feed: &str, events: usize, unreadable: usize) {
        let labels = FeedLabels { feed: feed.to_owned() };
        self.feeds.events.get_or_create(&labels).inc_by(events as u64);
        self.feeds.unreadable.get_or_create(&labels).inc_by(unreadable as u64);
    }

    /// Somebody called to feed who may not.
    pub fn shut_out(&self) {
        self.feeds.shut_out.inc();
    }

    /// Those of the log.
    pub fn log(&self) -> LogFigures {
        self.log.clone()
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
