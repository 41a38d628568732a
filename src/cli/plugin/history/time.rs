//! Times as people give them to look back: how long ago, a day, or an instant.

use std::str::FromStr;

use k8s_openapi::jiff::civil::Date;
use k8s_openapi::jiff::tz::TimeZone;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// Units of a length of time, in seconds.
const UNITS: [(&str, i64); 5] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400), ("w", 604_800)];
/// A day as ISO 8601 has it.
const DAY: &str = "%Y-%m-%d";
/// The most digits that a length of time may have.
const MOST_DIGITS: usize = 5;

/// A time as it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeGiven {
    /// So long ago.
    Ago(SignedDuration),
    At(Timestamp),
}

impl TimeGiven {
    /// The instant that is meant, now.
    pub fn instant(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(length) => now.saturating_sub(length).unwrap_or(Timestamp::MIN),
            Self::At(instant) => instant,
        }
    }
}

impl FromStr for TimeGiven {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A day alone: what follows it may be a time that says no zone.
        let day = || Date::strptime(DAY, text).ok()?.to_zoned(TimeZone::UTC).ok().map(|day| day.timestamp());
        let ago = || length(text).map(Self::Ago);
        let at = || text.parse().ok().or_else(day).map(Self::At);
        ago().or_else(at).ok_or_else(|| {
            "write how long ago, such as 90m, 12h, 7d or 2w, or a time such as 2026-11-29 or 2026-11-29T16:00:00Z"
                .to_owned()
        })
    }
}

/// Numbers, each with a unit behind it.
fn length(text: &str) -> Option<SignedDuration> {
    let (mut rest, mut seconds) = (text, 0_i64);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits > MOST_DIGITS {
            return None;
        }
        let (number, tail) = rest.split_at(digits);
        let (unit, factor) = UNITS.into_iter().find(|(unit, _)| tail.starts_with(unit))?;
        seconds = seconds.checked_add(number.parse::<i64>().ok()? * factor)?;
        rest = &tail[unit.len()..];
    }
    (!text.is_empty()).then(|| SignedDuration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::noon;

    #[test]
    fn a_time_is_how_long_ago_or_a_day_or_an_instant() {
        for (text, expected) in [
            ("90m", "2026-11-23T10:30:00Z"),
            ("7d", "2026-11-16T12:00:00Z"),
            ("1w1d12h", "2026-11-15T00:00:00Z"),
            ("2026-11-20", "2026-11-20T00:00:00Z"),
            ("2026-11-20T12:00:00.5+01:00", "2026-11-20T11:00:00.5Z"),
            ("99999w99999w99999w99999w99999w99999w99999w", "-009999-01-02T01:59:59Z"),
        ] {
            let given: TimeGiven = text.parse().unwrap();
            assert_eq!(given.instant(noon()).to_string(), expected, "{text}");
        }
        for wrong in ["", "7", "d", "7y", "-7d", "yesterday", "2026-13-01", "123456s", "7d ", "2026-11-20T12:00"] {
            assert!(wrong.parse::<TimeGiven>().is_err(), "{wrong}");
        }
    }
}
