//! What the log tells Prometheus.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::append::LogEnd;
use crate::archive::store::leaves::KeptCheckpoint;

/// A handle on the figures of the log; clones share them.
#[derive(Clone, Default)]
pub struct LogFigures {
    size: Gauge,
    signed: Gauge<f64, AtomicU64>,
    witnessed: Family<HolderLabels, Gauge<f64, AtomicU64>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HolderLabels {
    holder: String,
}

impl LogFigures {
    /// Figures that are told by this registry.
    pub fn registered(registry: &mut Registry) -> Self {
        let this = Self::default();
        registry.register(
            "log_size",
            "Leaves of the log: records, and what the archive says of itself",
            this.size.clone(),
        );
        let help = "When the last checkpoint of the log was signed, in seconds since 1970; 0 where none is";
        registry.register("log_signed_timestamp_seconds", help, this.signed.clone());
        let help = "When the last checkpoint was signed that a witness or an anchor has, in seconds since 1970";
        registry.register("log_held_timestamp_seconds", help, this.witnessed.clone());
        this
    }

    /// The log ends there, and that is its last checkpoint.
    pub fn grown(&self, end: &LogEnd, last: Option<&KeptCheckpoint>) {
        self.size.set(i64::try_from(end.size).unwrap_or(i64::MAX));
        self.signed.set(last.map_or(0.0, |last| last.at as f64));
    }

    /// A witness or an anchor is there; of what it holds nothing is known yet.
    pub fn awaits(&self, holder: &str) {
        self.witnessed.get_or_create(&HolderLabels { holder: holder.to_owned() }).set(0.0);
    }

    /// A witness or an anchor has this checkpoint.
    pub fn held(&self, holder: &str, checkpoint: &KeptCheckpoint) {
        self.witnessed.get_or_create(&HolderLabels { holder: holder.to_owned() }).set(checkpoint.at as f64);
    }
}
