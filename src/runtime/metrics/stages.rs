//! What `/metrics` says of approval stages: how long they waited until they were decided.
//!
//! Owns the labels and what bounds them. It must not say what a decision is: whoever observes one does.

use std::collections::{BTreeSet, HashSet};
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;

/// Upper bounds of the time that people take, in seconds: up to the week after which a request lapses that sets no deadline.
const SECONDS: [f64; 12] = [
    MINUTE,
    5.0 * MINUTE,
    15.0 * MINUTE,
    30.0 * MINUTE,
    HOUR,
    2.0 * HOUR,
    4.0 * HOUR,
    8.0 * HOUR,
    DAY,
    2.0 * DAY,
    3.0 * DAY,
    7.0 * DAY,
];

/// What was decided of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StageOutcome {
    /// Enough people agreed.
    Approved,
    /// Somebody said no, or a policy does.
    Denied,
    /// Nobody answered in time.
    Lapsed,
}

/// Names of a policy and of one of its stages are labels here. Only who may write policies gives them, a policy has eight
/// stages at most, and there are three outcomes. The series of a policy go with it; those of a stage that was renamed stay
/// until then, or until the process ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    policy: String,
    stage: String,
    outcome: StageOutcome,
}

/// Figures of stages; clones tell and show the same ones.
#[derive(Clone)]
pub struct StageDecisions {
    decided: Family<StageLabels, Histogram>,
    /// The series that there are: the family does not tell.
    series: Arc<Mutex<HashSet<StageLabels>>>,
}

impl StageOutcome {
    const ALL: [Self; 3] = [Self::Approved, Self::Denied, Self::Lapsed];
}

impl EncodeLabelValue for StageOutcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(match self {
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Lapsed => "lapsed",
        })
    }
}

impl Default for StageDecisions {
    fn default() -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        Self { decided: Family::new_with_constructor(histogram), series: Arc::default() }
    }
}

impl StageDecisions {
    /// Has them shown.
    pub(super) fn register(&self, r: &mut Registry) {
        let help = "Seconds for which a stage waited until it was decided, by policy, stage and what was decided";
        r.register("stage_decision_seconds", help, self.decided.clone());
    }

    /// A stage of a policy waits. It is shown as never decided until it is: what first appears with its first event has no
    /// increase to draw.
    pub fn opened(&self, policy: &str, stage: &str) {
        for outcome in StageOutcome::ALL {
            self.with(policy, stage, outcome, |_| {});
        }
    }

    /// A stage of a policy was decided after it had waited for that long.
    pub fn decided(&self, policy: &str, stage: &str, outcome: StageOutcome, waited: Duration) {
        self.with(policy, stage, outcome, |histogram| histogram.observe(waited.as_secs_f64()));
    }

    fn with(&self, policy: &str, stage: &str, outcome: StageOutcome, tell: impl Fn(&Histogram)) {
        let labels = StageLabels { policy: policy.to_owned(), stage: stage.to_owned(), outcome };
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        tell(&self.decided.get_or_create(&labels));
        series.insert(labels);
    }

    /// Drops the series of policies that are not among these.
    pub(super) fn keep(&self, policies: &BTreeSet<String>) {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let gone: Vec<StageLabels> = series.extract_if(|labels| !policies.contains(&labels.policy)).collect();
        for labels in gone {
            self.decided.remove(&labels);
        }
    }
}
