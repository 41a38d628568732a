//! What is known of the cluster's admission policies, the guards, as far as decisions care: whether they keep people from
//! writing in another's name now, and when they did not.
//!
//! Owns how a guard is judged from what is seen of it and what came of trying it ([`sight`]), why it does not count
//! ([`missing`]), how the times without guard are remembered ([`record`]), and how it is told what was written in them
//! ([`touched`]). It must not read the
//! cluster or a clock; `controller/loops/canary` does.

pub mod missing;
pub mod record;
pub mod sight;
pub mod touched;

use std::fmt;

use k8s_openapi::jiff::Timestamp;

pub use missing::NotInForce;
pub use record::{Gap, GapRecord};

/// Whether the cluster keeps people from writing in another's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// It does, and did at all times but these.
    InForce(Gaps),
    /// It does not, or that cannot be told; why. Nothing new may be granted.
    Missing(NotInForce),
}

impl Guard {
    /// In force since then, without a gap.
    pub fn since(since: Timestamp) -> Self {
        Self::InForce(Gaps { since, between: Vec::new() })
    }
}

/// When the guard was not in force, or may not have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gaps {
    /// Nothing is known of the time before.
    pub since: Timestamp,
    /// Later gaps, in the order of time.
    pub between: Vec<Gap>,
}

impl Gaps {
    /// The gap that this instant lies in: why what was written then is not believed.
    pub fn gap_at(&self, at: Timestamp) -> Option<Unguarded> {
        if at < self.since {
            return Some(Unguarded { from: None, to: self.since });
        }
        let gap = self.between.iter().find(|gap| gap.from <= at && at < gap.to)?;
        Some(Unguarded { from: Some(gap.from), to: gap.to })
    }

    /// The end of the last gap that ends after this instant.
    pub fn last_after(&self, at: Timestamp) -> Option<Timestamp> {
        Some(self.end()).filter(|end| *end > at)
    }

    /// The end of the last gap; of the time that nothing is known of, if there was none later.
    pub fn end(&self) -> Timestamp {
        self.between.iter().map(|gap| gap.to).fold(self.since, Timestamp::max)
    }
}

/// A time without guard, or the span of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unguarded {
    /// When the first of them began; none when nothing is known of the time before the end.
    pub from: Option<Timestamp>,
    /// When the last of them ended.
    pub to: Timestamp,
}

impl fmt::Display for Unguarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.from {
            None => write!(f, "before {}", self.to)?,
            Some(from) => write!(f, "between {from} and {}", self.to)?,
        }
        f.write_str(", when the cluster's guard was not in place")
    }
}

#[cfg(test)]
mod golden;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::noon;
    use k8s_openapi::jiff::SignedDuration;

    #[test]
    fn what_was_written_before_the_guard_or_in_a_gap_of_it_was_unguarded() {
        let at = |seconds: i64| noon() + SignedDuration::from_secs(seconds);
        let gaps = Gaps { since: at(0), between: vec![Gap { from: at(10), to: at(20) }] };
        let gap = Some(Unguarded { from: Some(at(10)), to: at(20) });
        for (seconds, expected) in
            [(-1, Some(Unguarded { from: None, to: at(0) })), (0, None), (9, None), (10, gap), (19, gap), (20, None)]
        {
            assert_eq!(gaps.gap_at(at(seconds)), expected, "{seconds} s after noon");
        }
    }
}
