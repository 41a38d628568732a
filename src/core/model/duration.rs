//! Lengths of time as people write them: GEP-2257, a subset of Go's durations.

use k8s_openapi::jiff::SignedDuration;

/// The longest length that a request or policy may name: 720 hours.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(720);
/// The shortest length that a request or policy may name: one second, the resolution of stored times.
pub const SHORTEST: SignedDuration = SignedDuration::from_secs(1);

const UNITS: [(&str, i64); 4] = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];

/// Why a text is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDuration {
    /// Not of the form number, unit, up to four times.
    #[error("{0:?} is not hours, minutes and seconds such as 30m or 1h30m")]
    Form(String),
    /// Outside [`SHORTEST`] to [`LONGEST`].
    #[error("{0} is not between 1s and 720h")]
    Range(String),
}

/// Reads a length of time.
///
/// # Errors
/// When the text has another form than `([0-9]{1,5}(h|m|s|ms)){1,4}`, or its sum is out of range.
pub fn parse(text: &str) -> Result<SignedDuration, BadDuration> {
    let bad = || BadDuration::Form(text.chars().take(40).collect());
    let mut rest = text;
    let mut millis = 0_i64;
    for _ in 0..4 {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 || digits > 5 {
            return Err(bad());
        }
        let (number, tail) = rest.split_at(digits);
        let (unit, factor) = UNITS.into_iter().find(|(unit, _)| tail.starts_with(unit)).ok_or_else(bad)?;
        millis += number.parse::<i64>().map_err(|_| bad())? * factor;
        rest = &tail[unit.len()..];
        if rest.is_empty() {
            let length = SignedDuration::from_millis(millis);
            return if (SHORTEST..=LONGEST).contains(&length) {
                Ok(length)
            } else {
                Err(BadDuration::Range(text.to_owned()))
            };
        }
    }
    Err(bad())
}

/// Writes a length of time as people write it: `1h30m`, `45s`, `0s`.
pub fn format(length: SignedDuration) -> String {
    let millis = length.as_millis().max(0);
    let parts =
        [(millis / 3_600_000, "h"), (millis / 60_000 % 60, "m"), (millis / 1_000 % 60, "s"), (millis % 1_000, "ms")];
    let text: String = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_gep_2257_allows() {
        for (text, seconds) in
            [("1h30m", 5400), ("90m", 5400), ("1s", 1), ("1000ms", 1), ("720h", 2_592_000), ("1h1h", 7200)]
        {
            assert_eq!(parse(text), Ok(SignedDuration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            "0s",
            "1",
            "h",
            "-1h",
            "+1h",
            "1h-5m",
            "1.5h",
            "1d",
            "1h ",
            " 1h",
            "1H",
            "1h2m3s4ms5h",
            "100000h",
            "721h",
            "999ms",
            "PT1H",
            "1:30",
            "１h",
            "1µs",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_round_trips(text in ".{0,40}", seconds in 1_i64..=2_592_000) {
            let _ = parse(&text);
            let length = SignedDuration::from_secs(seconds);
            prop_assert_eq!(parse(&format(length)), Ok(length));
        }
    }
}
