//! When access ends, and whether it has: at its stated end, or before that when its window closes.
//!
//! An end is half-open: access is gone at the very instant that is stated. Whoever compares an end on record with a clock
//! does it here. What is done about it is for `plan` and for the controller's loop of ends.

use k8s_openapi::jiff::Timestamp;

use crate::api::request::{AccessRequestStatus, State};

/// How access has ended that is on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Its stated end has come, at this instant.
    Stated(Timestamp),
    /// Its window has closed, at this instant; it may come back.
    Window(Timestamp),
}

/// Whether an end has come.
pub fn has_come(end: Timestamp, now: Timestamp) -> bool {
    end <= now
}

/// How the access on record has ended by now, if it has. The stated end counts also for a request whose access has not
/// begun.
pub fn ended(status: &AccessRequestStatus, now: Timestamp) -> Option<Ended> {
    let stated = status.expires_at.as_ref().map(|end| end.0).filter(|end| has_come(*end, now));
    let closed = status.window.as_ref().filter(|_| status.granted_at.is_some()).map(|window| window.closes_at.0);
    let closed = closed.filter(|closes| has_come(*closes, now));
    stated.map(Ended::Stated).or(closed.map(Ended::Window))
}

/// Until when the bindings of a request in this state may stand; none when it has none now.
pub fn bound_until(status: &AccessRequestStatus) -> Option<Timestamp> {
    let bound = status.granted_at.is_some() && !status.state.is_final() && status.state != State::Suspended;
    status.next_end().filter(|_| bound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn status(granted: bool) -> AccessRequestStatus {
        let window = json!({ "opensAt": at(10).to_string(), "closesAt": at(20).to_string() });
        let mut status = json!({ "state": "Active", "expiresAt": at(30).to_string(), "window": window });
        if granted {
            status["grantedAt"] = at(10).to_string().into();
        }
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn access_is_gone_at_the_very_instant_and_a_stated_end_comes_before_a_window() {
        let granted = [19, 20, 29, 30].map(|now| ended(&status(true), at(now)));
        let (window, stated) = (Some(Ended::Window(at(20))), Some(Ended::Stated(at(30))));
        assert_eq!(granted, [None, window, window, stated]);
        let not_yet = [20, 29, 30].map(|now| ended(&status(false), at(now)));
        assert_eq!(not_yet, [None, None, stated], "a window bounds access that has begun");
    }

    #[test]
    fn what_rests_or_is_over_has_no_bindings_to_end() {
        let of = |state: State, granted: bool| bound_until(&AccessRequestStatus { state, ..status(granted) });
        assert_eq!((of(State::Active, true), of(State::Scheduled, true)), (Some(at(20)), Some(at(20))));
        assert_eq!(
            (of(State::Suspended, true), of(State::Expired, true), of(State::Scheduled, false)),
            (None, None, None)
        );
    }
}
