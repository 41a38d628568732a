//! The one place that reads the wall clock, and notices when somebody has set it. Whether it is right is for
//! [`super::judged_clock`].
//!
//! In a debug build, which is what the tests run, the clock can be made wrong: the file that the environment variable
//! `DAYPASS_CLOCK_OFFSET` names says by how many milliseconds, and may say something else at any time. That is there to
//! try what a wrong clock does to a controller on a machine whose own clock is right. A release build has none of it:
//! neither the variable nor the file is in the program, so nobody can move an end by them.
//!
//! Unit tests have clocks of their own beside that, which they can set. No other build has them.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// What is less than this is no step. Clocks of one machine drift apart by less than a millisecond in a look.
const STEP: SignedDuration = SignedDuration::from_millis(100);

/// The machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// Nothing but in a unit test that sets its clock.
    #[cfg(test)]
    of_test: Option<&'static std::sync::Mutex<settable::Hands>>,
}

impl Clock {
    /// The machine's.
    pub fn wall() -> Self {
        Self::default()
    }

    /// The time now.
    #[expect(clippy::disallowed_methods, reason = "everything else takes the time as a parameter")]
    pub fn now(self) -> Timestamp {
        #[cfg(test)]
        if let Some(hands) = self.of_test {
            return settable::read(hands);
        }
        wrong::by(Timestamp::now())
    }
}

/// Notices when a clock and the monotonic one went apart: it was set, or the machine had been suspended. Timers run on
/// the monotonic clock, so what they were to wait for has to be looked at again then.
#[derive(Debug)]
pub struct Steps {
    wall: Timestamp,
    steady: Instant,
}

impl Steps {
    /// Steps from now on, of a clock that says this now.
    pub fn from(wall: Timestamp) -> Self {
        Self { wall, steady: Instant::now() }
    }

    /// How far the clock was set since the last step, when it says this now; negative when it was set back.
    pub fn step(&mut self, wall: Timestamp) -> Option<SignedDuration> {
        self.seen(wall, Instant::now())
    }

    /// Compares the two clocks with what they said at the last step, so that small steps add up.
    fn seen(&mut self, wall: Timestamp, steady: Instant) -> Option<SignedDuration> {
        let passed = SignedDuration::try_from(steady.duration_since(self.steady)).unwrap_or(SignedDuration::MAX);
        let step = wall.duration_since(self.wall).saturating_sub(passed);
        if step.abs() < STEP {
            return None;
        }
        (self.wall, self.steady) = (wall, steady);
        Some(step)
    }
}

/// The clock is what the machine's is.
#[cfg(not(debug_assertions))]
mod wrong {
    use k8s_openapi::jiff::Timestamp;

    /// The time that the process sees instead of the right one: the same.
    pub fn by(right: Timestamp) -> Timestamp {
        right
    }
}

/// How the tests make the clock wrong.
#[cfg(debug_assertions)]
mod wrong {
    use std::path::{Path, PathBuf};
    use std::sync::LazyLock;

    use k8s_openapi::jiff::{SignedDuration, Timestamp};

    static FILE: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| std::env::var_os("DAYPASS_CLOCK_OFFSET").map(PathBuf::from));

    /// The time that the process sees instead of the right one.
    pub fn by(right: Timestamp) -> Timestamp {
        FILE.as_deref().map_or(right, |file| right.saturating_add(offset(file)).unwrap_or(right))
    }

    /// What the file says; nothing when there is none, or no number in it.
    pub fn offset(file: &Path) -> SignedDuration {
        let answer = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
        SignedDuration::from_millis(answer.unwrap_or(0))
    }
}

/// Clocks that a unit test sets. They go with tokio's time, so they stand while that is paused.
#[cfg(test)]
mod settable {
    use std::sync::Mutex;

    use super::*;

    /// What the wall clock said at an instant of the monotonic one.
    #[derive(Debug)]
    pub struct Hands {
        wall: Timestamp,
        steady: Instant,
    }

    /// What they say now.
    pub fn read(hands: &Mutex<Hands>) -> Timestamp {
        let hands = hands.lock().unwrap();
        hands.wall + hands.steady.elapsed()
    }

    impl Clock {
        /// A clock that says this now.
        pub fn at(wall: Timestamp) -> Self {
            let hands = Hands { wall, steady: Instant::now() };
            // Leaked, so that a clock can be copied here too. A test makes one.
            Self { of_test: Some(Box::leak(Box::new(Mutex::new(hands)))) }
        }

        /// Sets it forward, or back. Timers know nothing of that.
        pub fn set_by(self, step: SignedDuration) {
            self.of_test.expect("the machine's clock is not for a test to set").lock().unwrap().wall += step;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::sleep;

    #[test]
    fn a_step_is_seen_whichever_way_it_goes_and_small_ones_add_up() {
        let (wall, steady) = (Timestamp::UNIX_EPOCH, Instant::now());
        let mut steps = Steps { wall, steady };
        let at = |millis: i64| wall + SignedDuration::from_millis(millis);
        let later = |millis: u64| steady + Duration::from_millis(millis);
        assert_eq!(steps.seen(at(1_000), later(1_000)), None);
        assert_eq!(steps.seen(at(2_060), later(2_000)), None, "less than a step");
        assert_eq!(steps.seen(at(3_120), later(3_000)), Some(SignedDuration::from_millis(120)));
        assert_eq!(steps.seen(at(4_120), later(4_000)), None, "it was told");
        assert_eq!(steps.seen(at(-55_880), later(4_000)), Some(SignedDuration::from_secs(-60)));
        assert_eq!(steps.seen(at(4_120), later(4_000)), Some(SignedDuration::from_secs(60)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_of_a_test_goes_with_its_time_and_can_be_set() {
        let clock = Clock::at(Timestamp::UNIX_EPOCH);
        let copy = clock;
        assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
        sleep(Duration::from_secs(60)).await;
        assert_eq!(clock.now().as_second(), 60);
        clock.set_by(SignedDuration::from_secs(-90));
        assert_eq!((clock.now().as_second(), copy.now()), (-30, clock.now()));
        clock.set_by(SignedDuration::from_secs(100));
        assert_eq!(clock.now().as_second(), 70);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_is_noticed_and_one_that_only_goes_on_never() {
        let clock = Clock::at(Timestamp::UNIX_EPOCH);
        let mut steps = Steps::from(clock.now());
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(steps.step(clock.now()), None);
        for set in [SignedDuration::from_mins(-1), SignedDuration::from_hours(2), SignedDuration::from_millis(100)] {
            clock.set_by(set);
            assert_eq!(steps.step(clock.now()), Some(set));
        }
        clock.set_by(SignedDuration::from_millis(60));
        assert_eq!(steps.step(clock.now()), None, "less than a step");
        clock.set_by(SignedDuration::from_millis(60));
        assert_eq!(steps.step(clock.now()), Some(SignedDuration::from_millis(120)));
    }

    #[cfg(debug_assertions)]
    #[test]
    fn only_a_number_makes_the_clock_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("offset");
        assert_eq!(wrong::offset(&file), SignedDuration::ZERO);
        for (answer, millis) in [("-90000\n", -90_000), ("1500", 1_500), ("", 0), ("soon", 0)] {
            std::fs::write(&file, answer).unwrap();
            assert_eq!(wrong::offset(&file), SignedDuration::from_millis(millis), "{answer:?}");
        }
    }
}
