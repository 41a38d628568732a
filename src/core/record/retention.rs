//! When a request that is over may be removed from the cluster.
//!
//! It must not look at an archive: that one holds the whole history is in status, and is asked again before the deletion.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::api::request::AccessRequest;
use crate::core::policies::PolicySet;
use crate::core::record::outbox::is_noted;

/// By how much the clocks of two replicas may differ, and how long a watch may be late.
const SLACK: SignedDuration = SignedDuration::from_secs(60);

/// Since when a request has been at rest, if an archive holds its whole history and nothing more can happen to it.
pub fn rests_since(request: &AccessRequest) -> Option<Timestamp> {
    let status = request.status.as_ref().filter(|_| is_noted(request))?;
    status.history.last().map(|entry| entry.at.0)
}

/// For how long a request must stay that is at rest: for the retention time, and for as long as a policy may count it. None
/// when a policy cannot be read, since nobody knows what that one counts.
pub fn kept_for(retention: SignedDuration, policies: &PolicySet) -> Option<SignedDuration> {
    policies.all().try_fold(retention, |longest, (_, entry)| Some(longest.max(entry.readable()?.limits.looks_back())))
}

/// When a request may be removed that has been at rest since then.
pub fn due(since: Timestamp, kept_for: SignedDuration) -> Timestamp {
    since.checked_add(kept_for).unwrap_or(Timestamp::MAX)
}

/// Whether the removal of a request that is gone was due, so that its going is not news. The last record of its chain says
/// how it ended.
pub fn was_due(request: &AccessRequest, kept_for: Option<SignedDuration>, now: Timestamp) -> bool {
    let due = rests_since(request).zip(kept_for).map(|(since, kept_for)| due(since, kept_for));
    due.is_some_and(|due| due <= now.saturating_add(SLACK).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::{noon, policy, request};
    use serde_json::json;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);
    const DAY: SignedDuration = SignedDuration::from_hours(24);

    #[test]
    fn it_stays_for_the_retention_time_and_as_long_as_a_policy_counts_it() {
        let month = HOUR * 720;
        let kept =
            |retention, limits| kept_for(retention, &PolicySet::new([&policy("p", json!({ "limits": limits }))]));
        assert_eq!(kept(month, json!({})), Some(month));
        assert_eq!(kept(HOUR, json!({ "timePerDay": "4h" })), Some(DAY));
        assert_eq!(kept(HOUR, json!({ "cooldown": "72h" })), Some(HOUR * 72));
        assert_eq!(kept(month, json!({ "cooldown": "72h" })), Some(month));
        let mut unreadable = PolicySet::default();
        unreadable.insert_unreadable("odd", "unknown field");
        assert_eq!(kept_for(month, &unreadable), None, "nobody knows what it counts");
        assert_eq!(kept_for(month, &PolicySet::default()), Some(month));
    }

    #[test]
    fn only_what_an_archive_holds_is_at_rest() {
        let mut request = request(json!({}));
        assert_eq!(rests_since(&request), None);
        let entry = |event, at: Timestamp| json!({ "at": at.to_string(), "event": event, "message": "so" });
        let history = json!([entry("Granted", noon()), entry("Expired", noon() + HOUR)]);
        let status = json!({ "state": "Expired", "history": history, "recorded": 2 });
        request.status = serde_json::from_value(status).unwrap();
        assert_eq!(rests_since(&request), Some(noon() + HOUR));
        request.status.as_mut().unwrap().recorded = Some(1);
        assert_eq!(rests_since(&request), None, "an entry was added since");
        request.status.as_mut().unwrap().recorded = None;
        assert_eq!(rests_since(&request), None);
    }

    #[test]
    fn what_goes_when_it_is_due_is_no_news() {
        let mut request = request(json!({}));
        let entry = json!({ "at": noon().to_string(), "event": "Denied", "message": "so" });
        request.status =
            serde_json::from_value(json!({ "state": "Denied", "history": [entry], "recorded": 1 })).unwrap();
        let gone = |after: SignedDuration| was_due(&request, Some(DAY), noon() + after);
        assert!(!gone(HOUR) && !gone(DAY - SLACK * 2) && gone(DAY - SLACK) && gone(DAY * 9));
        assert!(!was_due(&request, None, noon() + DAY), "nobody knows");
        request.status.as_mut().unwrap().recorded = None;
        assert!(!was_due(&request, Some(DAY), noon() + DAY), "its history would be lost");
    }
}
