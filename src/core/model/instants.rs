//! When to look at a request again.
//!
//! The controller keeps one timer for each object in each of its loops, so every way out of a pass must name the next
//! deadline, and none may be later than the end of a grant.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// The longest sleep. Timers run on the monotonic clock. The controller looks at everything again when the wall clock was
/// set; this bounds how late an end can be should it not notice.
pub const LONGEST_SLEEP: Duration = Duration::from_secs(300);

/// The earliest of some instants.
pub fn earliest(candidates: impl IntoIterator<Item = Option<Timestamp>>) -> Option<Timestamp> {
    candidates.into_iter().flatten().min()
}

/// Stored times have whole seconds. Cutting once, where an instant is stored, keeps a status equal to itself
/// after a round trip, and a grant never longer than it was allowed to be.
pub fn whole_second(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// `from + length` as it can be stored, in whole seconds; at most the end of time.
pub fn later(from: Timestamp, length: SignedDuration) -> Timestamp {
    whole_second(from.checked_add(length).unwrap_or(Timestamp::MAX))
}

/// How long to sleep at `now` in order to wake at `wake`: never early by more than the timer's resolution,
/// never longer than [`LONGEST_SLEEP`].
pub fn sleep_until(wake: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(wake.duration_since(now)).unwrap_or(Duration::ZERO).min(LONGEST_SLEEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeps_to_the_instant_but_not_past_the_bound() {
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(sleep_until(now + SignedDuration::from_millis(1500), now), Duration::from_millis(1500));
        assert_eq!(sleep_until(now - SignedDuration::from_secs(9), now), Duration::ZERO);
        assert_eq!(sleep_until(now + SignedDuration::from_hours(9), now), LONGEST_SLEEP);
        assert_eq!(earliest([None, Some(now), Some(Timestamp::MAX)]), Some(now));
    }
}
