//! What `/metrics` says of findings: how many there are, by kind and severity.

use std::collections::BTreeMap;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::number;

/// Findings that are not noted as known; clones tell and show the same ones.
#[derive(Clone, Default)]
pub struct FindingFigures {
    findings: Family<FindingKindLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FindingKindLabels {
    kind: &'static str,
    severity: &'static str,
}

impl FindingFigures {
    /// Has them shown.
    pub(super) fn register(&self, r: &mut Registry) {
        // Without `..`, so that a figure that is not registered below is an unused variable.
        let Self { findings } = self;
        let help =
            "Findings at the last look that nobody noted as known, by kind and severity; none where insight is off";
        r.register("findings", help, findings.clone());
    }

    /// There are so many now, by kind and severity, and no others.
    pub fn are(&self, counts: &BTreeMap<(&'static str, &'static str), usize>) {
        self.findings.clear();
        for ((kind, severity), count) in counts {
            self.findings.get_or_create(&FindingKindLabels { kind, severity }).set(number(*count));
        }
    }
}
