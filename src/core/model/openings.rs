//! When access may be used: inside of the windows that allow it, and outside of all those that deny it.
//!
//! It owns how several schedules are taken together. It must not know whose they are.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::schedule::Schedule;

/// How far ahead an instant is looked for that all schedules leave open. They repeat every week; what has not come in two
/// weeks and a change of clocks does not come.
const HORIZON: SignedDuration = SignedDuration::from_hours(24 * 15);

/// The schedules that bound access.
#[derive(Clone, Copy, Debug)]
pub struct Openings<'a> {
    /// Access is for these windows; none means for any time.
    pub allowed: Option<&'a Schedule>,
    /// Access is not for these windows.
    pub denied: &'a [&'a Schedule],
}

impl Openings<'_> {
    /// Until when access may go on that runs at this instant; none when it may not run. [`Timestamp::MAX`] when nothing
    /// bounds it.
    pub fn open(&self, at: Timestamp) -> Option<Timestamp> {
        if self.denied.iter().any(|schedule| schedule.open(at).is_some()) {
            return None;
        }
        let closes = self.allowed.map_or(Some(Timestamp::MAX), |schedule| schedule.open(at))?;
        let denied = self.denied.iter().filter_map(|schedule| schedule.next_opening(at)).min();
        Some(denied.map_or(closes, |opening| opening.min(closes)))
    }

    /// The first instant from this one on at which access may run; none when there is none in the next two weeks.
    pub fn first_open(&self, from: Timestamp) -> Option<Timestamp> {
        let horizon = from.checked_add(HORIZON).unwrap_or(Timestamp::MAX);
        let mut at = from;
        while at < horizon {
            let denied = self.denied.iter().filter_map(|schedule| schedule.open(at)).max();
            let shut = self.allowed.filter(|schedule| schedule.open(at).is_none());
            at = match (denied, shut) {
                (Some(closes), _) => closes,
                (None, Some(schedule)) => schedule.next_opening(at)?,
                (None, None) => return Some(at),
            };
        }
        None
    }

    /// Whether access may run at any time.
    pub fn is_unbounded(&self) -> bool {
        self.allowed.is_none() && self.denied.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::policy;
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};
    use serde_json::json;

    fn schedule(days: &[&str], start: &str, end: &str) -> Schedule {
        let raw = json!({ "timeZone": "Europe/Berlin", "windows": [{ "days": days, "start": start, "end": end }] });
        let raw: policy::Schedule = serde_json::from_value(raw).unwrap();
        Schedule::read(&raw, "").unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const ALL_DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

    #[test]
    fn what_denies_goes_before_what_allows() {
        let (office, noon) = (schedule(&["Mon"], "09:00", "17:00"), schedule(&["Mon"], "12:00", "13:00"));
        let both = Openings { allowed: Some(&office), denied: &[&noon] };
        let day = |time: &str| at(&format!("2026-11-23T{time}:00+01:00"));
        assert_eq!(both.open(day("10:00")), Some(day("12:00")));
        assert_eq!(both.open(day("12:00")), None);
        assert_eq!(both.open(day("13:00")), Some(day("17:00")));
        assert_eq!(both.first_open(day("12:30")), Some(day("13:00")));
        assert_eq!(both.first_open(day("08:00")), Some(day("09:00")));
        assert_eq!(both.first_open(day("17:00")), Some(at("2026-11-30T09:00:00+01:00")));
        let never = schedule(&ALL_DAYS, "09:00", "17:00");
        let shut = Openings { allowed: Some(&office), denied: &[&never] };
        assert_eq!((shut.open(day("10:00")), shut.first_open(day("10:00"))), (None, None));
        let whole_week = [schedule(&ALL_DAYS, "06:00", "18:00"), schedule(&ALL_DAYS, "18:00", "06:00")];
        let nothing_left = Openings { allowed: None, denied: &[&whole_week[0], &whole_week[1]] };
        assert_eq!(nothing_left.first_open(day("10:00")), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

        /// Every quarter of an hour: open where one schedule allows and none denies, and told before and after as it is then.
        #[test]
        fn what_is_told_ahead_is_what_comes(
            allowed in prop::option::of((subsequence(ALL_DAYS.to_vec(), 1..=7), 0..24_i64, 1..24_i64)),
            denied in prop::collection::vec((subsequence(ALL_DAYS.to_vec(), 1..=7), 0..24_i64, 1..24_i64), 0..3),
            // The last one is the night in which clocks are put back.
            from in select(vec!["2026-11-23T12:00:00Z", "2026-11-27T16:59:30Z", "2026-10-24T22:00:00Z"]),
        ) {
            let read = |(days, start, hours): &(Vec<&str>, i64, i64)| {
                schedule(days, &format!("{start:02}:00"), &format!("{:02}:00", (start + hours) % 24))
            };
            let (allowed, denied) = (allowed.as_ref().map(read), denied.iter().map(read).collect::<Vec<_>>());
            let denied: Vec<&Schedule> = denied.iter().collect();
            let openings = Openings { allowed: allowed.as_ref(), denied: &denied };
            let is_open = |at: Timestamp| {
                allowed.as_ref().is_none_or(|a| a.open(at).is_some()) && denied.iter().all(|d| d.open(at).is_none())
            };
            let from = at(from);
            let minutes = (0..60 * 24 * 8_i64).step_by(15).map(|minutes| from + SignedDuration::from_mins(minutes));
            let first = openings.first_open(from);
            for minute in minutes {
                prop_assert_eq!(openings.open(minute).is_some(), is_open(minute), "at {}", minute);
                if first.is_none_or(|first| minute < first) {
                    prop_assert!(!is_open(minute), "{} is before {:?}", minute, first);
                }
                if let Some(closes) = openings.open(from) {
                    prop_assert!(minute >= closes || is_open(minute), "{} is before {}", minute, closes);
                }
            }
            if let Some(first) = first {
                prop_assert!(is_open(first));
            }
            if let Some(closes) = openings.open(from).filter(|closes| *closes < Timestamp::MAX) {
                prop_assert!(!is_open(closes), "{} is no end", closes);
            }
        }
    }
}
