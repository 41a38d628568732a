//! Weekly windows in a time zone: whether one is open at an instant, until when, and when the next one opens.
//!
//! It owns the reading of `schedule` and the way from wall clock to instant. It must not know what hangs on a
//! window, and it must not ask the machine: zones come from the database that is compiled in, so that every
//! replica, in whatever image, gives the same answer.
//!
//! A window of a day is the time from the first to the last instant at which the wall clock reads inside it.
//! On nearly every day that is simply from `start` to `end`. Where clocks are changed:
//!
//! - A start or end that the clock skips moves to the instant of the skip. So nothing is open while the clock
//!   reads outside, and a window that is skipped as a whole does not take place. (Moving on by the length of the
//!   gap, as calendars do, would open too late and close too late by what people read.)
//! - Where the clock reads the same twice, a window begins at the first reading of its start and ends after the
//!   last reading that is inside. So no minute that people read as inside is lost, and a window does not close
//!   and open again by itself. The price: it may be open in the repeated hour while the clock reads outside.
//!
//! Windows that reach to within a day of [`Timestamp::MIN`] or [`Timestamp::MAX`] may be cut off there.

use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

use crate::api::policy::{self, Weekday};
use crate::core::model::field_error::FieldError;
use crate::core::model::problem::TimeProblem;

const DAY: i64 = 24 * 60;
const WEEK: i64 = 7 * DAY;
/// The first Monday that is counted, in minutes since 1970-01-01, a Thursday.
const MONDAY: i64 = 4 * DAY;
/// Further than any wall clock is from UTC, and than any stretch of time was ever repeated, taken together.
const SLACK: i64 = 2 * DAY;
/// How many weeks to look at from this one on: a change of the clock can swallow next week's only window, or its
/// only pause, and then the one after that counts. One more for good measure.
const WEEKS: i64 = 4;
const NAMES: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Weekly windows without faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    name: String,
    zone: TimeZone,
    /// As written, for people.
    windows: Vec<Window>,
    spans: Vec<Span>,
    /// Whether the windows leave no minute of the week out.
    always: bool,
}

/// A window as written: days as bits from Monday on, and minutes of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    days: u8,
    start: i64,
    end: i64,
}

/// A stretch of wall-clock time without a break, in minutes since the Monday of the week that it begins in. Those
/// of a schedule are in order, and neither overlap nor touch, not even around the end of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    start: i64,
    end: i64,
}

impl Schedule {
    /// Reads a schedule and finds all its faults. `field` is the path of the schedule in its object.
    ///
    /// # Errors
    /// When the zone is unknown, a time is none, or there is no window or no day: all of them.
    pub fn read(raw: &policy::Schedule, field: &str) -> Result<Self, Vec<FieldError>> {
        let mut faults = Vec::new();
        let zone = zone(&raw.time_zone)
            .map_err(|problem| faults.push(FieldError::new(format!("{field}.timeZone"), problem)))
            .unwrap_or(TimeZone::UTC);
        if raw.windows.is_empty() {
            faults.push(FieldError::new(format!("{field}.windows"), TimeProblem::NoWindow));
        }
        let numbered = raw.windows.iter().enumerate();
        let windows: Vec<Window> = numbered
            .filter_map(|(number, window)| Window::read(window, &format!("{field}.windows[{number}]"), &mut faults))
            .collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        let spans = merged(windows.iter().flat_map(|window| window.spans()).collect());
        let always = spans.iter().any(|span| span.end - span.start >= WEEK);
        Ok(Self { name: raw.time_zone.clone(), zone, windows, spans, always })
    }

    /// When the windows that are open at this instant close; none when none is open. Windows that overlap or touch
    /// are one run, which closes with the last. [`Timestamp::MAX`] when they never close.
    ///
    /// A window is open at its first instant and closed at its end.
    pub fn open(&self, at: Timestamp) -> Option<Timestamp> {
        if self.always {
            return Some(Timestamp::MAX);
        }
        let mut closing = None;
        for (start, end) in self.ahead(at) {
            if start > closing.unwrap_or(at) {
                break;
            }
            if end > at {
                closing = Some(end);
            }
        }
        closing
    }

    /// The next instant after this one at which a window opens while all are closed just before. None when they
    /// never close, or when no more windows come before the end of time.
    pub fn next_opening(&self, at: Timestamp) -> Option<Timestamp> {
        if self.always {
            return None;
        }
        let closed = self.open(at).unwrap_or(at);
        self.ahead(closed).find(|(start, end)| *start > closed && end > start).map(|(start, _)| start)
    }

    /// Whether some window is open at any time.
    pub fn is_always(&self) -> bool {
        self.always
    }

    /// How many windows there are in a week; those that overlap or touch are one.
    pub fn per_week(&self) -> usize {
        self.spans.len()
    }

    /// The longest window, by the wall clock. Where clocks are put back one can last longer by that.
    pub fn longest(&self) -> SignedDuration {
        let minutes = self.spans.iter().map(|span| span.end - span.start).max().unwrap_or_default();
        SignedDuration::from_mins(minutes)
    }

    /// The time zone of its clock.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The schedule as people write it: `Mon-Fri 09:00-17:00, Sat 10:00-12:00 Europe/Berlin`.
    pub fn describe(&self) -> String {
        let windows: Vec<String> = self.windows.iter().map(Window::describe).collect();
        format!("{} {}", windows.join(", "), self.name)
    }

    /// The spans around an instant and after it, as instants and in order. One may be empty: it is skipped where
    /// the clock is put forward. Nothing that ends long before the instant is worth a look into the zone.
    fn ahead(&self, at: Timestamp) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let now = at.as_second().div_euclid(60);
        let week = (now - MONDAY).div_euclid(WEEK);
        (week - 2..week + WEEKS)
            .map(|week| MONDAY + week * WEEK)
            .flat_map(|monday| self.spans.iter().map(move |span| (monday + span.start, monday + span.end)))
            .filter(move |(_, end)| *end > now - SLACK)
            .map(|(start, end)| (self.first(start), self.last(end)))
    }

    /// The first instant at which the wall clock reads this or later.
    fn first(&self, minute: i64) -> Timestamp {
        match self.reading(minute * 60) {
            Reading::Read { first, .. } => first,
            Reading::Skipped { at } => at,
        }
    }

    /// The end of the last instant at which the wall clock reads less than this. That is asked of the second
    /// before: where the clock is put back from 03:00 to 02:00, a window that ends at 02:00 knows nothing of it.
    fn last(&self, minute: i64) -> Timestamp {
        match self.reading(minute * 60 - 1) {
            Reading::Read { last, .. } => instant(last.as_second().saturating_add(1)),
            Reading::Skipped { at } => at,
        }
    }

    /// When the wall clock reads this many seconds since 1970-01-01 00:00.
    fn reading(&self, clock: i64) -> Reading {
        let at = |offset: Offset| instant(clock - i64::from(offset.seconds()));
        let clock = Offset::UTC.to_datetime(instant(clock));
        match self.zone.to_ambiguous_timestamp(clock).offset() {
            AmbiguousOffset::Unambiguous { offset } => Reading::Read { first: at(offset), last: at(offset) },
            AmbiguousOffset::Fold { before, after } => Reading::Read { first: at(before), last: at(after) },
            // In a gap the new offset leads to an instant before the skip, and the old one to one at or after it.
            AmbiguousOffset::Gap { before, after } => {
                let mut skips = self.zone.following(at(after)).take_while(|skip| skip.timestamp() <= at(before));
                let skip = skips.find(|skip| skip.offset() == after);
                Reading::Skipped { at: skip.map_or(at(before), |skip| skip.timestamp()) }
            }
        }
    }
}

/// What the wall clock does with a time.
enum Reading {
    /// Reads it, once or twice.
    Read { first: Timestamp, last: Timestamp },
    /// Skips it, at this instant.
    Skipped { at: Timestamp },
}

impl Window {
    fn read(raw: &policy::Window, field: &str, faults: &mut Vec<FieldError>) -> Option<Self> {
        let days = raw.days.iter().fold(0, |days, day| days | 1 << number(*day));
        if days == 0 {
            faults.push(FieldError::new(format!("{field}.days"), TimeProblem::NoDay));
        }
        let mut time = |name: &str, read: Result<i64, TimeProblem>| {
            read.map_err(|problem| faults.push(FieldError::new(format!("{field}.{name}"), problem))).ok()
        };
        let start = time("start", start_of_window(&raw.start));
        let end = time("end", end_of_window(&raw.end));
        Some(Self { days, start: start?, end: end? })
    }

    /// One for each of its days.
    fn spans(self) -> impl Iterator<Item = Span> {
        let length = if self.end > self.start { self.end - self.start } else { self.end - self.start + DAY };
        (0..7).filter(move |day| self.days & (1 << day) != 0).map(move |day| {
            let start = day * DAY + self.start;
            Span { start, end: start + length }
        })
    }

    fn describe(&self) -> String {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for day in (0..7).filter(|day| self.days & (1 << day) != 0) {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == day => *last = day,
                _ => runs.push((day, day)),
            }
        }
        let days = runs.iter().map(|(first, last)| match last - first {
            0 => NAMES[*first].to_owned(),
            1 => format!("{},{}", NAMES[*first], NAMES[*last]),
            _ => format!("{}-{}", NAMES[*first], NAMES[*last]),
        });
        let time = |minute: i64| format!("{:02}:{:02}", minute / 60, minute % 60);
        format!("{} {}-{}", days.collect::<Vec<_>>().join(","), time(self.start), time(self.end))
    }
}

/// The zone of exactly this name, or what is wrong with the name.
fn zone(name: &str) -> Result<TimeZone, TimeProblem> {
    // Never the lookup of the same name on the type of zones: that one may read the machine's files.
    let zone = TimeZoneDatabase::bundled().get(name).ok().filter(|zone| !zone.is_unknown());
    let zone = zone.ok_or_else(|| TimeProblem::NoZone(name.to_owned()))?;
    match zone.iana_name() {
        Some(exact) if exact != name => {
            Err(TimeProblem::ZoneCase { written: name.to_owned(), exact: exact.to_owned() })
        }
        _ => Ok(zone),
    }
}

fn start_of_window(text: &str) -> Result<i64, TimeProblem> {
    match minute(text) {
        Some(DAY) => Err(TimeProblem::StartsAtEnd),
        Some(minute) => Ok(minute),
        None => Err(TimeProblem::Start(text.to_owned())),
    }
}

fn end_of_window(text: &str) -> Result<i64, TimeProblem> {
    minute(text).ok_or_else(|| TimeProblem::End(text.to_owned()))
}

/// `HH:MM` in minutes, from `00:00` to `24:00`.
fn minute(text: &str) -> Option<i64> {
    let &[h1, h2, b':', m1, m2] = text.as_bytes() else { return None };
    let number = |tens: u8, ones: u8| {
        (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
    };
    let (hours, minutes) = (number(h1, h2)?, number(m1, m2)?);
    (minutes < 60 && hours * 60 + minutes <= DAY).then_some(hours * 60 + minutes)
}

/// Joins what overlaps or touches, also around the end of the week.
fn merged(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort();
    let mut joined: Vec<Span> = Vec::with_capacity(spans.len());
    for span in spans {
        match joined.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => joined.push(span),
        }
    }
    while let [first, .., last] = joined.as_mut_slice()
        && first.start + WEEK <= last.end
    {
        last.end = last.end.max(first.end + WEEK);
        joined.remove(0);
    }
    joined
}

fn number(day: Weekday) -> usize {
    match day {
        Weekday::Mon => 0,
        Weekday::Tue => 1,
        Weekday::Wed => 2,
        Weekday::Thu => 3,
        Weekday::Fri => 4,
        Weekday::Sat => 5,
        Weekday::Sun => 6,
    }
}

/// Seconds since 1970-01-01 as an instant, cut off at the ends of time.
fn instant(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(if second < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

#[cfg(test)]
mod tests;
