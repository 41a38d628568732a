//! What the archive tells Prometheus.

use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::api::delivery::ChainAnswer;

/// A handle on the figures; clones share them.
#[derive(Clone)]
pub struct ArchiveFigures {
    registry: Arc<Registry>,
    delivered: Counter,
    refused: Family<RuleLabels, Counter>,
    lacking: Counter,
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
        Self { registry: Arc::new(registry), delivered, refused, lacking }
    }
}

impl ArchiveFigures {
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
