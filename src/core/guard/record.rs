//! The times without guard, as they are remembered over restarts: a record that each round moves on.
//!
//! A gap begins when the guard was last known to be in force and ends when it is known to be so again, both by the API
//! server's clock, which also dates objects. Between two rounds the versions of the guards tell whether anything was
//! changed, so a controller that was away for an hour misses nothing.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::sight::{Marks, RoundFindings};
use super::{Gaps, Guard, NotInForce};
use crate::core::model::revision::Revision;

/// How many gaps are remembered one by one. Of more, the oldest count as one with all that was before.
const MOST_GAPS: usize = 16;
/// Objects are dated in whole seconds, so what is written in the second in which a gap ends cannot be told from what
/// was written in it.
const SECOND: SignedDuration = SignedDuration::from_secs(1);
/// How old the stored time of the last sound round may get before it is written anew.
const REFRESH: SignedDuration = SignedDuration::from_mins(5);

/// A time without guard: half open, by the API server's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The guard was last known to be in force.
    pub from: Timestamp,
    /// It was so again.
    pub to: Timestamp,
}

/// What is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapRecord {
    /// Nothing is known of the time before.
    since: Timestamp,
    #[serde(default)]
    gaps: Vec<Gap>,
    /// When the guard was last known to be in force.
    sound: Timestamp,
    /// The state of the cluster in which it was so. None: written by a version of Daypass that did not note it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revision: Option<Revision>,
    /// Statuses that were written after this state of the cluster, while their guard was missing, have yet to be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unsettled: Option<Revision>,
    /// The versions of all guards then. None: written by a version of Daypass that did not look at them.
    #[serde(default)]
    marks: Marks,
    /// The guard is not in force now, since `sound`; whether something passed it, and not only its looks had changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    open: Option<Open>,
    /// It let statuses be written since `sound`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    statuses_open: bool,
}

/// How a gap was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Open {
    /// A guard was not what the chart made. The next version of the chart may have made it.
    Drifted,
    /// A guard let something pass.
    Passed,
}

/// What a round found, and when.
#[derive(Clone, Copy, Debug)]
pub struct Round<'a> {
    /// What it says of the guards.
    pub verdict: &'a RoundFindings,
    /// The API server's time when it began.
    pub began: Timestamp,
    /// The API server's time when it was over.
    pub ended: Timestamp,
    /// A state of the cluster in which the guards stood as the round found them.
    pub revision: Option<Revision>,
}

impl GapRecord {
    /// What a version of Daypass left that noted only since when the guard had been in force.
    pub fn of_former(since: Timestamp) -> Self {
        Self::begun(since, since, None, Marks::new())
    }

    fn begun(since: Timestamp, sound: Timestamp, revision: Option<Revision>, marks: Marks) -> Self {
        let (gaps, unsettled, open) = (Vec::new(), None, None);
        Self { since, gaps, sound, revision, unsettled, marks, open, statuses_open: false }
    }

    /// The versions of guards that were found to be in order.
    pub fn vouched(&self) -> &Marks {
        &self.marks
    }

    /// The record after one more round. Without one before there is nothing to go by, so all that was before is a gap.
    #[must_use]
    pub fn after(before: Option<Self>, round: Round<'_>) -> Option<Self> {
        let Round { verdict, began, ended, revision } = round;
        let Some(mut record) = before else {
            let since = ended.saturating_add(SECOND).unwrap_or(Timestamp::MAX);
            return verdict.is_sound().then(|| Self::begun(since, began, revision, verdict.marks.clone()));
        };
        if !verdict.is_sound() {
            // Until the guards of this version are there for the first time, the former ones are still in force.
            let adopted = !record.marks.is_empty();
            record.statuses_open |= verdict.passed.iter().any(|(guard, _)| is_of_statuses(guard));
            if !verdict.passed.is_empty() {
                record.open = Some(Open::Passed);
            } else if adopted {
                record.open = record.open.or(Some(Open::Drifted));
            }
            return Some(record);
        }
        let lost: Vec<&str> = record.lost_until(&verdict.marks).collect();
        let statuses_open = record.statuses_open || lost.iter().any(|guard| is_of_statuses(guard));
        if record.open == Some(Open::Passed) || !lost.is_empty() {
            let to = ended.saturating_add(SECOND).unwrap_or(Timestamp::MAX);
            record.remember(Gap { from: record.sound, to });
        }
        if statuses_open {
            record.unsettled = record.unsettled.into_iter().chain(record.revision).min();
        }
        let changed = record.marks != verdict.marks;
        (record.open, record.statuses_open) = (None, false);
        record.marks.clone_from(&verdict.marks);
        record.revision = revision;
        record.sound = if changed { began } else { record.sound.max(began) };
        Some(record)
    }

    /// The guards that may have been something else since the last sound round than what they were then and are now. A
    /// guard that is new was not relied on before.
    fn lost_until<'a>(&'a self, now: &'a Marks) -> impl Iterator<Item = &'a str> {
        let lost =
            self.marks.iter().filter(|(name, mark)| now.get(*name).is_some_and(|now| !mark.leads_straight_to(now)));
        lost.map(|(name, _)| name.as_str())
    }

    fn remember(&mut self, gap: Gap) {
        match self.gaps.last_mut().filter(|last| gap.from <= last.to) {
            Some(last) => last.to = last.to.max(gap.to),
            None => self.gaps.push(gap),
        }
        if self.gaps.len() > MOST_GAPS {
            self.since = self.gaps.remove(0).to;
        }
    }

    /// After which state of the cluster statuses may have been written by anybody, and nobody has looked at them yet.
    pub fn unsettled(&self) -> Option<Revision> {
        self.unsettled
    }

    /// The state of the cluster in which the guard was last known to be in force, if that was noted.
    pub fn revision(&self) -> Option<Revision> {
        self.revision
    }

    /// The record once what was written in gaps has been looked at and dealt with.
    #[must_use]
    pub fn settled(self) -> Self {
        Self { unsettled: None, ..self }
    }

    /// What decisions go by after this round.
    pub fn guard(&self, round: Round<'_>) -> Guard {
        let Round { verdict, began, .. } = round;
        if !verdict.is_sound() {
            return Guard::Missing(verdict.complaint());
        }
        let gaps = Gaps { since: self.since, between: self.gaps.clone() };
        match gaps.last_after(began) {
            // Whoever is told that it is in force may ask at once, and would be taken for somebody who asked before.
            Some(to) => Guard::Missing(NotInForce::CountsFrom(to)),
            None => Guard::InForce(gaps),
        }
    }

    /// Whether this must be stored in place of that.
    pub fn is_news_to(&self, stored: Option<&Self>) -> bool {
        stored.is_none_or(|stored| {
            let aside = Self { sound: stored.sound, revision: stored.revision, ..self.clone() };
            aside != *stored || self.sound.duration_since(stored.sound) >= REFRESH
        })
    }

    /// Since when the guard has been in force without a break, for a version of Daypass that knows nothing of gaps.
    pub fn unbroken_since(&self) -> Option<Timestamp> {
        self.open.is_none().then(|| self.gaps.last().map_or(self.since, |gap| gap.to))
    }
}

/// Whether this is the guard of what is written into statuses. That of policies is taken for it too, since the chart names
/// both after a release that may have any name.
fn is_of_statuses(guard: &str) -> bool {
    guard.ends_with("status-guard")
}

#[cfg(test)]
mod tests;
