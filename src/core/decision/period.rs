//! From when until when a grant under a policy would hold: what is asked for, cut to the windows of its schedule and to
//! the time between those in which others deny.

use std::fmt;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::core::decision::freeze::Freezes;
use crate::core::model::ask::{RequestKind, ValidRequest};
use crate::core::model::instants::{later, whole_second};
use crate::core::model::openings::Openings;
use crate::core::model::recurrence::Recurrence;
use crate::core::model::schedule::Schedule;
use crate::core::policies::Policy;

/// When access would begin and end; half-open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// When it begins. Not later than now: at once.
    pub begin: Timestamp,
    pub end: Timestamp,
}

impl Period {
    /// How long it is.
    pub fn length(self) -> SignedDuration {
        self.end.duration_since(self.begin)
    }
}

/// The period of a request under a policy. What is asked for ends `duration` after its start, however late it is
/// decided. Outside of the policy's windows, and within those in which others deny, access waits until it may be, and it
/// ends when it may be no longer.
///
/// # Errors
/// Why there is no such time.
pub fn period(
    ask: &ValidRequest<'_>,
    policy: &Policy,
    freezes: &Freezes<'_>,
    now: Timestamp,
) -> Result<Period, NoTime> {
    let length = policy.length(ask);
    let times = Times { openings: freezes.openings(policy), policy, freezes };
    let begin = whole_second(now);
    match ask.aim {
        RequestKind::Extension { running: Some(running), .. } => times.extended(running.end, length),
        RequestKind::BreakGlass => times.within(begin, later(begin, length), now),
        RequestKind::Grant | RequestKind::Extension { .. } => match (&ask.recurrence, ask.start) {
            (Some(recurrence), start) => times.recurring(recurrence, start.unwrap_or(begin), now),
            (None, Some(start)) => times.fixed(start, later(start, length), now),
            (None, None) => times.flexible(length, now),
        },
    }
}

/// When access may be used, and by whose windows.
struct Times<'a> {
    openings: Openings<'a>,
    policy: &'a Policy,
    freezes: &'a Freezes<'a>,
}

impl Times<'_> {
    /// From the first of its windows to the end of its last week.
    fn recurring(&self, recurrence: &Recurrence, start: Timestamp, now: Timestamp) -> Result<Period, NoTime> {
        let end = recurrence.end(start);
        let first = recurrence.next(self.openings, start.max(whole_second(now)), end);
        let first = first.ok_or_else(|| NoTime::NoCommonWindow {
            asked: recurrence.describe(),
            allowed: (!self.openings.is_unbounded()).then(|| self.describe()),
            end,
        })?;
        Ok(Period { begin: first.opens, end })
    }

    /// At once, and as soon as access may be if it may not be now.
    fn flexible(&self, length: SignedDuration, now: Timestamp) -> Result<Period, NoTime> {
        let begin = whole_second(now);
        let open = self.openings.open(now).map(|_| begin);
        let begin = open.or_else(|| self.openings.first_open(now));
        let begin = begin.ok_or_else(|| NoTime::NeverOpens { windows: self.describe() })?;
        self.within(begin, later(begin, length), begin.max(now))
    }

    /// From a start that is given. It can only become shorter.
    fn fixed(&self, start: Timestamp, end: Timestamp, now: Timestamp) -> Result<Period, NoTime> {
        let from = start.max(now);
        let open = self.openings.open(from).map(|_| start);
        let begin = open.or_else(|| self.openings.first_open(from)).filter(|begin| *begin < end);
        let begin = begin.ok_or_else(|| NoTime::NotInTime { windows: self.describe() })?;
        self.within(begin, end, begin.max(now))
    }

    /// The time that is added to a running grant: from its end on, without a gap.
    fn extended(&self, from: Timestamp, length: SignedDuration) -> Result<Period, NoTime> {
        self.within(from, later(from, length), from)
    }

    /// The period, cut to the time for which access may go on that runs at this instant.
    fn within(&self, begin: Timestamp, end: Timestamp, at: Timestamp) -> Result<Period, NoTime> {
        match self.openings.open(at) {
            Some(closes) => Ok(Period { begin, end: end.min(whole_second(closes)) }),
            None => Err(NoTime::NotOpen { windows: self.describe(), at }),
        }
    }

    fn describe(&self) -> String {
        let allowed = self.policy.schedule.as_ref().map_or_else(|| "any time".to_owned(), Schedule::describe);
        match self.freezes.describe() {
            denied if denied.is_empty() => allowed,
            denied => format!("{allowed} but not {}", denied.join(" nor ")),
        }
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
