//! Access that comes back every week: how long it goes on, and which of its windows is open or comes next.
//!
//! A window is open here while it is open in the request and policies leave it open. It must not know what becomes of a
//! binding when a window closes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Span, Timestamp};

use crate::api::policy::Schedule as RawSchedule;
use crate::api::request::{Recurrence as Raw, RecurringWindow};
use crate::core::model::field_error::FieldError;
use crate::core::model::instants::whole_second;
use crate::core::model::openings::Openings;
use crate::core::model::problem::RequestProblem;
use crate::core::model::schedule::Schedule;

/// The most windows of one request: each leaves two entries in a history that has an end.
const MOST_WINDOWS: usize = 48;
/// How far ahead a window is looked for. What comes back every week has come by then, also around a change of clocks.
const HORIZON: SignedDuration = SignedDuration::from_hours(24 * 15);

/// Weekly windows for some weeks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recurrence {
    schedule: Schedule,
    /// For how many weeks.
    pub weeks: i32,
}

/// One window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    pub opens: Timestamp,
    /// The first instant after it.
    pub closes: Timestamp,
}

impl Recurrence {
    /// Reads what a request asks for.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(raw: &Raw) -> Result<Self, Vec<FieldError>> {
        let schedule = RawSchedule { time_zone: raw.time_zone.clone(), windows: raw.windows.clone() };
        let schedule = Schedule::read(&schedule, "spec.recurrence")?;
        let weeks = usize::try_from(raw.weeks).unwrap_or_default();
        let windows = weeks.saturating_mul(schedule.per_week());
        if weeks == 0 || windows > MOST_WINDOWS {
            let problem = RequestProblem::Windows { there: windows, most: MOST_WINDOWS };
            return Err(vec![FieldError::new("spec.recurrence.weeks", problem)]);
        }
        Ok(Self { schedule, weeks: raw.weeks })
    }

    /// When it is over that begins at this instant: so many weeks later by the clock of its zone.
    pub fn end(&self, begin: Timestamp) -> Timestamp {
        let zoned = begin.to_zoned(self.schedule.zone().clone());
        let weeks = Span::new().try_weeks(self.weeks).unwrap_or_default();
        zoned.checked_add(weeks).map_or(Timestamp::MAX, |end| whole_second(end.timestamp()))
    }

    /// The longest that access lasts at a time, by the wall clock.
    pub fn longest(&self) -> SignedDuration {
        self.schedule.longest()
    }

    /// As people write it.
    pub fn describe(&self) -> String {
        self.schedule.describe()
    }

    /// The first window that is open at `from` or opens later, before `end`, as far as access may be used in it and it lies
    /// within both. None when there is none in the next two weeks.
    pub fn next(&self, usable: Openings<'_>, from: Timestamp, end: Timestamp) -> Option<Opening> {
        let until = from.checked_add(HORIZON).unwrap_or(Timestamp::MAX).min(end);
        let mut from = from;
        while from < until {
            let (opens, closes) = next_open(&self.schedule, from)?;
            match usable.open(opens) {
                Some(usable_until) => return opening(opens, closes.min(usable_until).min(end), until),
                None => from = usable.first_open(opens)?,
            }
        }
        None
    }
}

/// The window that is open at this instant, from then on, or the next one.
fn next_open(schedule: &Schedule, from: Timestamp) -> Option<(Timestamp, Timestamp)> {
    let opens = if schedule.open(from).is_some() { from } else { schedule.next_opening(from)? };
    Some((opens, schedule.open(opens)?))
}

fn opening(opens: Timestamp, closes: Timestamp, until: Timestamp) -> Option<Opening> {
    (opens < until).then(|| Opening { opens, closes: whole_second(closes) })
}

impl Opening {
    /// As it goes on record.
    pub fn on_record(self) -> RecurringWindow {
        RecurringWindow { opens_at: Time(self.opens), closes_at: Time(self.closes) }
    }
}

/// Whether a window on record is open.
pub fn is_open(window: &RecurringWindow, now: Timestamp) -> bool {
    window.opens_at.0 <= now && now < window.closes_at.0
}

#[cfg(test)]
mod tests;
