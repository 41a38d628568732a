//! What the process tells Prometheus: the names, the labels and the text. Measures nothing by itself and decides
//! nothing; those who know a figure hold a handle and tell it. Labels are closed sets: no name of a user, an object
//! or a namespace becomes one.

use std::fmt::{self, Write};
use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What [`Metrics::text`] is served as.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A handle on the figures of this process; clones tell and show the same ones.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    guard_in_force: Gauge,
    guard_tries: Family<TryLabels, Counter>,
}

/// What came of trying the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tried {
    /// Every guard is in force.
    Sound,
    /// One is not.
    Missing,
    /// The try said nothing.
    CannotTry,
}

impl Tried {
    const ALL: [Self; 3] = [Self::Sound, Self::Missing, Self::CannotTry];
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TryLabels {
    result: Tried,
}

impl EncodeLabelValue for Tried {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(match self {
            Self::Sound => "sound",
            Self::Missing => "missing",
            Self::CannotTry => "cannot_try",
        })
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("daypass");
        let guard_in_force = Gauge::default();
        let help = "1 while every guard is in force as far as is known; at 0 nothing new is granted";
        registry.register("guard_in_force", help, guard_in_force.clone());
        let guard_tries = Family::<TryLabels, Counter>::default();
        // A counter that first appears with its first event has no increase to alert on.
        for result in Tried::ALL {
            guard_tries.get_or_create(&TryLabels { result }).inc_by(0);
        }
        registry.register("guard_tries", "Rounds of trying every guard, by what came of it", guard_tries.clone());
        Self { registry: Arc::new(registry), guard_in_force, guard_tries }
    }
}

impl Metrics {
    /// Whether the guard is in force as far as decisions care.
    pub fn guard_in_force(&self, in_force: bool) {
        self.guard_in_force.set(i64::from(in_force));
    }

    /// The guard was tried once more.
    pub fn guard_tried(&self, result: Tried) {
        self.guard_tries.get_or_create(&TryLabels { result }).inc();
    }

    /// All of it as OpenMetrics text.
    ///
    /// # Errors
    /// When a figure cannot be written as text.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_can_be_said_of_the_guard() {
        let metrics = Metrics::default();
        let told = metrics.clone();
        told.guard_tried(Tried::CannotTry);
        told.guard_tried(Tried::Sound);
        told.guard_tried(Tried::Sound);
        told.guard_in_force(true);
        let text = metrics.text().unwrap();
        let mut lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.pop(), Some("# EOF"));
        lines.sort_unstable();
        let expected = [
            "# HELP daypass_guard_in_force 1 while every guard is in force as far as is known; at 0 nothing new is granted.",
            "# HELP daypass_guard_tries Rounds of trying every guard, by what came of it.",
            "# TYPE daypass_guard_in_force gauge",
            "# TYPE daypass_guard_tries counter",
            "daypass_guard_in_force 1",
            r#"daypass_guard_tries_total{result="cannot_try"} 1"#,
            r#"daypass_guard_tries_total{result="missing"} 0"#,
            r#"daypass_guard_tries_total{result="sound"} 2"#,
        ];
        assert_eq!(lines, expected);
        told.guard_in_force(false);
        assert!(metrics.text().unwrap().contains("daypass_guard_in_force 0\n"));
    }
}
