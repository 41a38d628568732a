//! From when until when a grant under a policy would hold: what is asked for, cut to the windows of its schedule.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::core::model::ask::{RequestKind, ValidRequest};
use crate::core::model::instants::{later, whole_second};
use crate::core::model::recurrence::Recurrence;
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
pub fn period(ask: &ValidRequest<'_>, policy: &Policy, now: Timestamp) -> Result<Period, String> {
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
fn recurring(policy: &Policy, recurrence: &Recurrence, start: Timestamp, now: Timestamp) -> Result<Period, String> {
    let end = recurrence.end(start);
    let first = recurrence.next(policy.schedule.as_ref(), start.max(whole_second(now)), end);
    let first = first.ok_or_else(|| {
        let allowed = policy.schedule.as_ref().map(|schedule| format!(" and {}", schedule.describe()));
        format!("no window is open both in {}{} before {end}", recurrence.describe(), allowed.unwrap_or_default())
    })?;
    Ok(Period { begin: first.opens, end })
}

/// At once, and as soon as a window opens if none is open.
fn flexible(policy: &Policy, length: SignedDuration, now: Timestamp) -> Result<Period, String> {
    let begin = whole_second(now);
    let Some(schedule) = &policy.schedule else { return Ok(Period { begin, end: later(begin, length) }) };
    let begin = if schedule.open(now).is_some() { Some(begin) } else { schedule.next_opening(now) };
    let begin = begin.ok_or_else(|| never(policy, "it never opens again"))?;
    within(policy, begin, later(begin, length), begin.max(now))
}

/// From a start that is given. It can only become shorter.
fn fixed(policy: &Policy, start: Timestamp, end: Timestamp, now: Timestamp) -> Result<Period, String> {
    let Some(schedule) = &policy.schedule else { return Ok(Period { begin: start, end }) };
    let from = start.max(now);
    let begin = if schedule.open(from).is_some() { Some(start) } else { schedule.next_opening(from) };
    let begin =
        begin.filter(|begin| *begin < end).ok_or_else(|| never(policy, "no window is open in the time asked for"))?;
    within(policy, begin, end, begin.max(now))
}

/// The time that is added to a running grant: from its end on, without a gap.
fn extended(policy: &Policy, from: Timestamp, length: SignedDuration) -> Result<Period, String> {
    within(policy, from, later(from, length), from)
}

/// The period, cut to the window that is open at this instant.
fn within(policy: &Policy, begin: Timestamp, end: Timestamp, at: Timestamp) -> Result<Period, String> {
    let Some(schedule) = &policy.schedule else { return Ok(Period { begin, end }) };
    match schedule.open(at) {
        Some(closes) => Ok(Period { begin, end: end.min(whole_second(closes)) }),
        None => Err(never(policy, &format!("no window is open at {at}"))),
    }
}

fn never(policy: &Policy, why: &str) -> String {
    let windows = policy.schedule.as_ref().map(crate::core::model::schedule::Schedule::describe).unwrap_or_default();
    format!("access is for {windows} only, and {why}")
}

/// Why access that runs may not go on: no window of the policy is open any more.
pub fn closed(policy: &Policy, now: Timestamp) -> Option<String> {
    let closed = policy.schedule.as_ref().is_some_and(|schedule| schedule.open(now).is_none());
    closed.then(|| never(policy, &format!("no window is open at {}", whole_second(now))))
}

#[cfg(test)]
mod tests;
