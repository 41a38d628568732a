//! Windows that come back, as they are typed: `Mon-Fri 09:00-17:00, Sat 10:00-12:00 Europe/Berlin`.
//!
//! Reads the form in which the core writes a schedule. Whether the hours and the zone are any, the core says.

use std::str::FromStr;

use crate::api::policy::{Weekday, Window};
use crate::api::request::Recurrence;
use crate::core::model;

/// How windows are written.
const FORM: &str = "DAYS HH:MM-HH:MM[, DAYS HH:MM-HH:MM] ZONE, such as 'Mon-Fri 09:00-17:00 Europe/Berlin'";
const DAYS: [(Weekday, &str); 7] = [
    (Weekday::Mon, "Mon"),
    (Weekday::Tue, "Tue"),
    (Weekday::Wed, "Wed"),
    (Weekday::Thu, "Thu"),
    (Weekday::Fri, "Fri"),
    (Weekday::Sat, "Sat"),
    (Weekday::Sun, "Sun"),
];

/// Windows of every week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EveryArg {
    windows: Vec<Window>,
    zone: String,
}

impl FromStr for EveryArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |what: &str| format!("{what}: write {FORM}");
        let (windows, zone) = text.trim().rsplit_once(' ').ok_or_else(|| wrong("there is no time zone"))?;
        let words: Vec<&str> = windows.split_whitespace().map(|word| word.trim_end_matches(',')).collect();
        let window = |pair: &[&str]| match pair {
            [days, hours] => {
                let (start, end) = hours.split_once('-').ok_or_else(|| wrong(&format!("{hours} are no hours")))?;
                Ok(Window { days: days_of(days).map_err(|what| wrong(&what))?, start: start.into(), end: end.into() })
            }
            _ => Err(wrong("each window has days and hours")),
        };
        let windows = words.chunks(2).map(window).collect::<Result<Vec<_>, _>>()?;
        let every = Self { windows, zone: zone.to_owned() };
        let faults = model::recurrence::Recurrence::read(&every.for_weeks(1)).err().unwrap_or_default();
        match faults.first() {
            Some(fault) => Err(wrong(&fault.to_string())),
            None => Ok(every),
        }
    }
}

impl EveryArg {
    /// The windows as a request has them.
    pub fn for_weeks(&self, weeks: i32) -> Recurrence {
        Recurrence { time_zone: self.zone.clone(), windows: self.windows.clone(), weeks }
    }
}

/// Days such as `Mon`, `Sat-Mon` or `Mon,Wed`.
fn days_of(text: &str) -> Result<Vec<Weekday>, String> {
    let at = |name: &str| {
        let found = DAYS.iter().position(|(_, day)| day.eq_ignore_ascii_case(name));
        found.ok_or_else(|| format!("{name} is no day"))
    };
    let mut days = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (at(first)?, at(last)?);
        let count = (last + DAYS.len() - first) % DAYS.len() + 1;
        days.extend((0..count).map(|n| DAYS[(first + n) % DAYS.len()].0));
    }
    Ok(days)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn windows_are_read_as_the_core_writes_them() {
        let every: EveryArg = "Mon-Wed 09:00-17:00, Sat-Mon,thu 22:00-02:00 Europe/Berlin".parse().unwrap();
        let expected = json!({
            "timeZone": "Europe/Berlin", "weeks": 3,
            "windows": [
                { "days": ["Mon", "Tue", "Wed"], "start": "09:00", "end": "17:00" },
                { "days": ["Sat", "Sun", "Mon", "Thu"], "start": "22:00", "end": "02:00" }
            ]
        });
        let raw = every.for_weeks(3);
        assert_eq!(json!(raw), expected);
        let read = |raw: &Recurrence| model::recurrence::Recurrence::read(raw).unwrap();
        let described = read(&raw).describe();
        let again: EveryArg = described.parse().unwrap();
        assert_eq!(read(&again.for_weeks(3)), read(&raw), "{described}");
    }

    #[test]
    fn what_is_no_window_is_refused_with_the_form() {
        for text in [
            "",
            "Mon",
            "Mon UTC",
            "Mon 09:00 UTC",
            "Mon 09:00-17:00",
            "Xyz 09:00-17:00 UTC",
            "Mon 9-17 UTC",
            "Mon 09:00-17:00 Mars/Base",
            "Mon 09:00-17:00, UTC Tue",
        ] {
            assert!(text.parse::<EveryArg>().is_err_and(|why| why.contains(FORM)), "{text}");
        }
    }
}
