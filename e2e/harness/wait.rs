//! Owns waiting: conditions are polled until they hold or the time is up; nothing sleeps for a fixed time.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;

/// The shortest and the longest time between two looks at a condition. In between it is an eighth of what was waited for so
/// far: most of the calls of the trials, and of the work of their API servers, were looks that came to nothing.
const SHORTEST: Duration = Duration::from_millis(25);
const LONGEST: Duration = Duration::from_millis(250);

/// Waits until `check` returns `Ok` and returns its value. When the time is up it panics with `what` and
/// the last reason why not.
pub async fn eventually<T>(what: &str, within: Duration, mut check: impl AsyncFnMut() -> Result<T, String>) -> T {
    let outcome = poll(within, async || match check().await {
        Ok(value) => ControlFlow::Break(value),
        Err(reason) => ControlFlow::Continue(reason),
    })
    .await;
    match outcome {
        Ok(value) => value,
        Err(reason) => panic!("{what}: not within {within:?}; last seen: {reason}"),
    }
}

/// Calls `check` until it breaks, and returns what it broke with; or, when the time is up, the last
/// reason to go on. A check may break with a failure, so that a lost cause is not waited for.
pub async fn poll<T>(within: Duration, mut check: impl AsyncFnMut() -> ControlFlow<T, String>) -> Result<T, String> {
    let began = Instant::now();
    let deadline = began + within;
    let mut last = "the condition was never answered".to_owned();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // A check that hangs must not outlast the deadline either.
        match tokio::time::timeout(left.max(SHORTEST), check()).await {
            Ok(ControlFlow::Break(value)) => return Ok(value),
            Ok(ControlFlow::Continue(reason)) => last = reason,
            Err(_) => return Err(format!("{last}; the last look did not end in time")),
        }
        if Instant::now() >= deadline {
            return Err(last);
        }
        tokio::time::sleep((began.elapsed() / 8).clamp(SHORTEST, LONGEST)).await;
    }
}

/// The wall clock's time.
#[expect(clippy::disallowed_methods, reason = "the controller under test lives on the wall clock")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// The time in some seconds, cut to the whole second, as a manifest has it.
pub fn now_plus_seconds(seconds: i64) -> String {
    Timestamp::from_second(now().as_second() + seconds).expect("a time of this age").to_string()
}

/// A number that no other call gives.
pub fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}
