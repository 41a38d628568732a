//! The one place that reads the wall clock.

use k8s_openapi::jiff::Timestamp;

/// The machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    /// The time now.
    #[expect(clippy::disallowed_methods, reason = "everything else takes the time as a parameter")]
    pub fn now(self) -> Timestamp {
        Timestamp::now()
    }
}
