//! From when until when a grant under a policy would hold: what is asked for, cut to the windows of its schedule.

use std::fmt;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::core::model::ask::{RequestKind, ValidRequest};
use crate::core::model::instants::{later, whole_second};
use crate::core::model::recurrence::Recurrence;
use crate::core::model::schedule::Schedule;
use crate::core::policies::Policy;

/// When access would begin and end; half-open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// When it begins. Not later than now: at once.
    pub begin: Timestamp,
    /// When it ends.
    pub end: Timestamp,
}

impl Period {
    /// How long it is.
    pub fn length(self) -> SignedDuration {
        self.end.duration_since(self.begin)
    }
}

/// The period of a request under a policy. What is asked for ends `duration` after its start, however late it is
/// decided. Outside of the policy's windows access waits for the next one, and it ends with the window.
///
/// # Errors
/// Why there is no such time.
pub fn period(ask: &ValidRequest<'_>, policy: &Policy, now: Timestamp) -> Result<Period, NoTime> {
    let length = policy.length(ask);
    match ask.aim {
        RequestKind::Extension { running: Some(running), .. } => extended(policy, running.end, length),
        RequestKind::BreakGlass => within(policy, whole_second(now), later(whole_second(now), length), now),
        RequestKind::Grant | RequestKind::Extension { .. } => match (&ask.recurrence, ask.start) {
            (Some(recurrence), start) => recurring(policy, recurrence, start.unwrap_or(whole_second(now)), now),
            (None, Some(start)) => fixed(policy, start, later(start, length), now),
            (None, None) => flexible(policy, length, now),
        },
    }
}

/// From the first of its windows to the end of its last week.
fn recurring(policy: &Policy, recurrence: &Recurrence, start: Timestamp, now: Timestamp) -> Result<Period, NoTime> {
    let end = recurrence.end(start);
    let first = recurrence.next(policy.schedule.as_ref(), start.max(whole_second(now)), end);
    let first = first.ok_or_else(|| NoTime::NoCommonWindow {
        asked: recurrence.describe(),
        allowed: policy.schedule.as_ref().map(Schedule::describe),
        end,
    })?;
    Ok(Period { begin: first.opens, end })
}

/// At once, and as soon as a window opens if none is open.
fn flexible(policy: &Policy, length: SignedDuration, now: Timestamp) -> Result<Period, NoTime> {
    let begin = whole_second(now);
    let Some(schedule) = &policy.schedule else { return Ok(Period { begin, end: later(begin, length) }) };
    let begin = if schedule.open(now).is_some() { Some(begin) } else { schedule.next_opening(now) };
    let begin = begin.ok_or_else(|| NoTime::NeverOpens { windows: schedule.describe() })?;
    within(policy, begin, later(begin, length), begin.max(now))
}

/// From a start that is given. It can only become shorter.
fn fixed(policy: &Policy, start: Timestamp, end: Timestamp, now: Timestamp) -> Result<Period, NoTime> {
    let Some(schedule) = &policy.schedule else { return Ok(Period { begin: start, end }) };
    let from = start.max(now);
    let begin = if schedule.open(from).is_some() { Some(start) } else { schedule.next_opening(from) };
    let begin = begin.filter(|begin| *begin < end).ok_or_else(|| NoTime::NotInTime { windows: schedule.describe() })?;
    within(policy, begin, end, begin.max(now))
}

/// The time that is added to a running grant: from its end on, without a gap.
fn extended(policy: &Policy, from: Timestamp, length: SignedDuration) -> Result<Period, NoTime> {
    within(policy, from, later(from, length), from)
}

/// The period, cut to the window that is open at this instant.
fn within(policy: &Policy, begin: Timestamp, end: Timestamp, at: Timestamp) -> Result<Period, NoTime> {
    let Some(schedule) = &policy.schedule else { return Ok(Period { begin, end }) };
    match schedule.open(at) {
        Some(closes) => Ok(Period { begin, end: end.min(whole_second(closes)) }),
        None => Err(NoTime::NotOpen { windows: schedule.describe(), at }),
    }
}

/// Why access that runs may not go on: no window of the policy is open any more.
pub fn closed(policy: &Policy, now: Timestamp) -> Option<NoTime> {
    let schedule = policy.schedule.as_ref().filter(|schedule| schedule.open(now).is_none())?;
    Some(NoTime::NotOpen { windows: schedule.describe(), at: whole_second(now) })
}

/// Why a policy has no time for access; with its windows, as people write them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoTime {
    /// No window opens any more.
    NeverOpens {
        /// Those of the policy.
        windows: String,
    },
    /// None is open in the time asked for.
    NotInTime {
        /// Those of the policy.
        windows: String,
    },
    /// None is open at an instant.
    NotOpen {
        /// Those of the policy.
        windows: String,
        /// When.
        at: Timestamp,
    },
    /// None of those asked for overlaps one of the policy.
    NoCommonWindow {
        /// Those of the request.
        asked: String,
        /// Those of the policy, if it has any.
        allowed: Option<String>,
        /// When recurring access would end.
        end: Timestamp,
    },
}

impl fmt::Display for NoTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverOpens { windows } => write!(f, "access is for {windows} only, and it never opens again"),
            Self::NotInTime { windows } => {
                write!(f, "access is for {windows} only, and no window is open in the time asked for")
            }
            Self::NotOpen { windows, at } => write!(f, "access is for {windows} only, and no window is open at {at}"),
            Self::NoCommonWindow { asked, allowed: None, end } => {
                write!(f, "no window is open both in {asked} before {end}")
            }
            Self::NoCommonWindow { asked, allowed: Some(allowed), end } => {
                write!(f, "no window is open both in {asked} and {allowed} before {end}")
            }
        }
    }
}

#[cfg(test)]
mod tests;
