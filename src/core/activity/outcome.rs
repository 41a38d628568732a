//! What is known of the use of a grant that is over, for its status.
//!
//! Owns when it is known, and what was heard of its time. It must not judge a use, which [`verdict`](super::verdict) does, nor
//! say whether a grant that runs is idle: [`idle`](super::idle) does.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::idle::{Listened, UsesHeard, listened};
use super::verdict::{UnknownUse, verdict};
use crate::api::activity::UseCount;
use crate::api::conditions;
use crate::api::request::{AccessRequest, GrantActivity};

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
    let count = heard.and_then(|heard| heard.used.as_ref()).map_or_else(UseCount::default, |used| used.count.clone());
    let known = heard.and_then(|heard| listened(heard, now).ok());
    let to_the_end = known.is_some_and(|Listened { until, .. }| end <= until);
    if !to_the_end && now.duration_since(end) < LONGEST_WAIT {
        return None;
    }
    let whole = to_the_end && known.is_some_and(|Listened { from, .. }| from <= begin);
    let used = verdict(&count, if whole { Ok(()) } else { Err(UnknownUse::Unheard) }).used;
    let calls = i64::try_from(count.calls).unwrap_or(i64::MAX);
    Some(GrantActivity { used, calls, last: count.last.map(Time) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::activity::{HeardServer, KnownUse};
    use crate::api::request::GrantUse;
    use crate::core::activity::idle::ServersKnown;
    use crate::core::laws::fixtures::noon;

    fn at(seconds: i64) -> Timestamp {
        noon() + SignedDuration::from_secs(seconds)
    }

    /// Of a grant from noon on for ten minutes: what was done with it, and from when until when the one API server was heard.
    fn known(used: Option<(u64, u64)>, run: (i64, i64), now: i64) -> Option<(GrantUse, i64)> {
        let count = used.map(|(calls, standing)| {
            let last = (calls > 0).then(|| at(60));
            UseCount { calls, standing, first: last, last, ..UseCount::default() }
        });
        since(-900, count, run, now)
    }

    /// The same of a controller that knows since then which API servers there are.
    fn since(read: i64, count: Option<UseCount>, (from, until): (i64, i64), now: i64) -> Option<(GrantUse, i64)> {
        let used = count.map(|count| KnownUse { uid: "u".to_owned(), count, open: 0, open_beside: 0 });
        let servers = ServersKnown { servers: ["a:1".to_owned()].into(), since: at(read), until: at(now) };
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
        let ambiguous = UseCount { standing: 1, ambiguous: 1, ..UseCount::default() };
        assert_eq!(since(-900, Some(ambiguous), whole, 611), Some((GrantUse::Unknown, 0)));
    }

    /// Which API servers there were before it began to read them, nobody can say.
    #[test]
    fn a_controller_that_started_meanwhile_says_of_no_grant_that_it_was_not_used() {
        let (whole, standing) = ((-10, 610), UseCount { standing: 1, ..UseCount::default() });
        for count in [None, Some(standing)] {
            assert_eq!(since(1, count.clone(), whole, 611), Some((GrantUse::Unknown, 0)), "{count:?}");
            assert_ne!(since(0, count.clone(), whole, 611), Some((GrantUse::Unknown, 0)), "{count:?}");
        }
        let used = UseCount { calls: 1, ..UseCount::default() };
        assert_eq!(since(1, Some(used), whole, 611), Some((GrantUse::Used, 1)));
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
