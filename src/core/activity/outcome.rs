//! What is known of the use of a grant that is over, for its status.
//!
//! It must not say whether a grant that runs is idle: [`idle`](super::idle) does.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::idle::{Listened, UsesHeard, listened};
use crate::api::conditions;
use crate::api::request::{AccessRequest, GrantActivity, GrantUse};

/// For how long the audit logs are waited for after an end.
pub const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(2);

/// When access of a request that is over began and ended; none where it never began.
pub fn term(request: &AccessRequest) -> Option<(Timestamp, Timestamp)> {
    let status = request.status.as_ref().filter(|status| status.state.is_final())?;
    let finished = conditions::find(&status.conditions, conditions::FINISHED)?;
    Some((status.granted_at.as_ref()?.0, finished.last_transition_time.0))
}

/// What is known of the use of a grant with this term; none while more may be known soon.
pub fn outcome(
    heard: Option<&UsesHeard>,
    (begin, end): (Timestamp, Timestamp),
    now: Timestamp,
) -> Option<GrantActivity> {
    let used = heard.and_then(|heard| heard.used.as_ref());
    let calls = used.map_or(0, |used| i64::try_from(used.calls).unwrap_or(i64::MAX));
    let last = used.and_then(|used| used.last).map(Time);
    let known = heard.and_then(|heard| listened(heard, now).ok());
    let to_the_end = known.is_some_and(|Listened { until, .. }| end <= until);
    if !to_the_end && now.duration_since(end) < LONGEST_WAIT {
        return None;
    }
    let whole = to_the_end && known.is_some_and(|Listened { from, .. }| from <= begin);
    let used = match used {
        Some(used) if used.calls > 0 => GrantUse::Used,
        _ if !whole => GrantUse::Unknown,
        Some(used) if used.beside > 0 => GrantUse::Redundant,
        _ => GrantUse::NotUsed,
    };
    Some(GrantActivity { used, calls, last })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::activity::{HeardServer, KnownUse};
    use crate::core::activity::idle::ServersKnown;
    use crate::core::laws::fixtures::noon;

    fn at(seconds: i64) -> Timestamp {
        noon() + SignedDuration::from_secs(seconds)
    }

    /// Of a grant from noon on for ten minutes: what was done with it, and from when until when the one API server was heard.
    fn known(used: Option<(u64, u64)>, (from, until): (i64, i64), now: i64) -> Option<(GrantUse, i64)> {
        let used = used.map(|(calls, beside)| {
            let last = (calls > 0).then(|| at(60));
            KnownUse { uid: "u".to_owned(), calls, refused: 0, beside, open: 0, first: last, last }
        });
        let servers = ServersKnown { servers: ["a:1".to_owned()].into(), since: at(-900), until: at(now) };
        let heard = vec![HeardServer { server: "a:1".to_owned(), from: at(from), until: at(until) }];
        let heard = UsesHeard { at: at(now), known: servers, heard, used };
        outcome(Some(&heard), (at(0), at(600)), at(now)).map(|activity| (activity.used, activity.calls))
    }

    #[test]
    fn what_was_done_is_told_when_all_was_heard() {
        let whole = (-10, 610);
        for (used, told) in [
            (None, (GrantUse::NotUsed, 0)),
            (Some((3, 0)), (GrantUse::Used, 3)),
            (Some((3, 7)), (GrantUse::Used, 3)),
            (Some((0, 7)), (GrantUse::Redundant, 0)),
        ] {
            assert_eq!(known(used, whole, 611), Some(told), "{used:?}");
        }
    }

    #[test]
    fn the_logs_are_waited_for_and_not_for_ever() {
        assert_eq!(known(None, (-10, 609), 719), None);
        assert_eq!(known(Some((3, 0)), (-10, 609), 719), None, "there may have been more");
        assert_eq!(known(None, (-10, 609), 720), Some((GrantUse::Unknown, 0)));
        assert_eq!(known(Some((3, 0)), (-10, 609), 720), Some((GrantUse::Used, 3)));
        // They were not heard from its begin on.
        assert_eq!(known(None, (-9, 610), 611), Some((GrantUse::Unknown, 0)));
        assert_eq!(outcome(None, (at(0), at(600)), at(719)), None);
        assert_eq!(outcome(None, (at(0), at(600)), at(720)).map(|activity| activity.used), Some(GrantUse::Unknown));
    }
}
