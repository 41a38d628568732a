//! What is wrong with the clock of the controller, as far as decisions care. Reads no clock.

use std::fmt;

/// Why nothing new is granted by the controller's clock. It is held against the API server's, and ends are judged by that
/// one then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrongClock {
    /// The API server has not said yet what time it is there.
    Unheard,
    /// It is too far ahead.
    Ahead,
    /// It is too far behind.
    Behind,
}

impl fmt::Display for WrongClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Unheard => {
                return f.write_str("nothing new is granted until the API server has said what time it is there");
            }
            Self::Ahead => "ahead of",
            Self::Behind => "behind",
        };
        write!(
            f,
            "the controller's clock is more than 5s {what} the API server's: nothing new is granted until an \
             administrator has set the clock of its node right (NTP)"
        )
    }
}
