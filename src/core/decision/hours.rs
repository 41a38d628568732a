//! When approvals count: the hours that a stage of a policy may have.
//!
//! An approval from outside of them waits for the next window. One that has counted goes on counting, or a stage that
//! is complete would come undone in the evening; that it did is in the status, with its time. Hours bind those whom a stage
//! asks first: whom it is escalated to may answer at any time. A Deny or Revoke is never kept waiting.

use k8s_openapi::jiff::Timestamp;

use crate::api::policy::Stage;
use crate::api::request::{CountedReview, Review};
use crate::api::subject::Identity;
use crate::core::decision::approvals::ReviewLog;
use crate::core::model::instants::earliest;
use crate::core::model::subjects::is_approver;
use crate::core::policies::Policy;

/// Whether an approval of somebody who may approve in this stage counts now.
pub fn counts(policy: &Policy, stage: &Stage, who: &Identity, log: ReviewLog<'_>, now: Timestamp) -> bool {
    let Some(hours) = policy.hours.get(&stage.name) else { return true };
    let counted = || {
        let review = log.reviews.get(&who.username)?;
        let counted = log.counted.iter().find(|counted| is_of(counted, &who.username, review))?;
        hours.open(counted.counted_at.0)
    };
    is_escalated_to(who, stage, log) || hours.open(now).is_some() || counted().is_some()
}

/// Whether the stage has been escalated to this person.
fn is_escalated_to(who: &Identity, stage: &Stage, log: ReviewLog<'_>) -> bool {
    log.escalated.contains(&stage.name) && is_approver(who, &stage.escalate_to)
}

/// Whether it is this review that counted, whatever its comment says by now.
pub fn is_of(counted: &CountedReview, username: &str, review: &Review) -> bool {
    counted.reviewer == username && counted.uid == review.uid && counted.verdict == review.verdict
}

/// From when on an approval counts that has to wait: when the first of the stages opens in which this person may
/// approve. None when it counts in one already, or they may approve in none.
pub fn waits_until(policy: &Policy, who: &Identity, log: ReviewLog<'_>, now: Timestamp) -> Option<Timestamp> {
    let may = |stage: &&Stage| is_approver(who, &stage.approvers) || is_escalated_to(who, stage, log);
    let mut first = None;
    for stage in policy.stages.iter().filter(may) {
        if counts(policy, stage, who, log, now) {
            return None;
        }
        first = earliest([first, opens(policy, &stage.name, now)]);
    }
    first
}

/// When the hours of a stage begin, if they are not running now.
pub fn opens(policy: &Policy, stage: &str, now: Timestamp) -> Option<Timestamp> {
    policy.hours.get(stage).filter(|hours| hours.open(now).is_none()).and_then(|hours| hours.next_opening(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::reason::Reason;
    use crate::api::request::{AccessRequest, HistoryEntry, ReviewVerdict};
    use crate::core::laws::fixtures::{namespaces, noon, policy, request, review};
    use crate::core::laws::simulator::Simulator;
    use k8s_openapi::jiff::SignedDuration;
    use serde_json::json;

    /// Monday noon; bob may approve in office hours until 17:00, then carol; the stage is escalated to dave.
    fn begin() -> Simulator {
        let bob = json!([{ "kind": "User", "name": "bob" }]);
        let carol = json!([{ "kind": "User", "name": "carol" }]);
        let dave = json!([{ "kind": "User", "name": "dave" }]);
        let week = json!(["Mon", "Tue", "Wed", "Thu", "Fri"]);
        let hours = json!({ "timeZone": "UTC", "windows": [{ "days": week, "start": "09:00", "end": "17:00" }] });
        let first =
            json!({ "name": "leads", "approvers": bob, "hours": hours, "escalateAfter": "12h", "escalateTo": dave });
        let stages = json!([first, { "name": "owners", "approvers": carol }]);
        let policy = policy("p", json!({ "approval": { "stages": stages } }));
        let mut simulator = Simulator::new(request(json!({})), vec![policy], namespaces(), noon());
        simulator.settle();
        simulator
    }

    fn submit_review(simulator: &mut Simulator, who: &str, verdict: ReviewVerdict) {
        simulator.request.status.get_or_insert_default().reviews.insert(who.to_owned(), review(verdict, &[]));
        simulator.version += 1;
        simulator.settle();
    }

    fn hours(simulator: &mut Simulator, hours: i64) {
        simulator.now = noon() + SignedDuration::from_hours(hours);
        simulator.settle();
    }

    fn stage(simulator: &Simulator) -> Option<String> {
        simulator.status().stage.map(|stage| stage.name)
    }

    /// What is on record of what bob said: from when on it counts, if it had to wait.
    fn noted(request: &AccessRequest) -> Vec<Option<Timestamp>> {
        let history = request.status.iter().flat_map(|status| &status.history);
        let of_bob = history.filter(|entry| entry.event == Reason::Reviewed && entry.by.as_deref() == Some("bob"));
        let noted = of_bob.map(|entry| entry.review.clone().unwrap());
        noted.map(|review| review.counts_from.map(|from| from.0)).collect()
    }

    /// What is put on record of one person has an end; that they approve has not.
    #[test]
    fn an_approval_goes_on_counting_however_often_its_comment_is_reworded() {
        let mut simulator = begin();
        for n in 0..40 {
            let mut log = review(ReviewVerdict::Approve, &[]);
            log.comment = Some(format!("go, for the {n}th time"));
            simulator.request.status.get_or_insert_default().reviews.insert("bob".to_owned(), log);
            simulator.version += 1;
            simulator.settle();
        }
        assert_eq!(stage(&simulator).as_deref(), Some("owners"));
        hours(&mut simulator, 6);
        assert_eq!(stage(&simulator).as_deref(), Some("owners"), "it counted at noon");
        // Reworded in the evening it is the same approval.
        submit_review(&mut simulator, "bob", ReviewVerdict::Approve);
        assert_eq!(stage(&simulator).as_deref(), Some("owners"));
    }

    #[test]
    fn an_approval_from_outside_waits_for_the_next_window() {
        let mut simulator = begin();
        hours(&mut simulator, 6);
        submit_review(&mut simulator, "bob", ReviewVerdict::Approve);
        let opens: Timestamp = "2026-11-24T09:00:00Z".parse().unwrap();
        assert_eq!(
            (stage(&simulator), simulator.plan().wake),
            (Some("leads".to_owned()), Some(noon() + SignedDuration::from_hours(12)))
        );
        assert_eq!(noted(&simulator.request), [Some(opens)]);
        simulator.now = opens - SignedDuration::from_secs(1);
        simulator.settle();
        assert_eq!((stage(&simulator), simulator.plan().wake), (Some("leads".to_owned()), Some(opens)));
        simulator.now = opens;
        simulator.settle();
        assert_eq!(stage(&simulator).as_deref(), Some("owners"));
        assert_eq!(noted(&simulator.request), [Some(opens), None]);
    }

    #[test]
    fn one_that_has_counted_goes_on_counting_until_it_is_changed() {
        let mut simulator = begin();
        submit_review(&mut simulator, "bob", ReviewVerdict::Approve);
        hours(&mut simulator, 8);
        assert_eq!(stage(&simulator).as_deref(), Some("owners"), "in the evening");
        let mut changed = simulator.clone();
        let reviews = &mut changed.request.status.as_mut().unwrap().reviews;
        let another = Review { uid: Some("u-another".to_owned()), ..review(ReviewVerdict::Approve, &[]) };
        reviews.insert("bob".to_owned(), another);
        changed.settle();
        assert_eq!(stage(&changed).as_deref(), Some("leads"), "that is another bob");
        let mut again = simulator.clone();
        again.request.status.as_mut().unwrap().reviews.clear();
        again.settle();
        submit_review(&mut again, "bob", ReviewVerdict::Approve);
        assert_eq!(stage(&again).as_deref(), Some("leads"), "taken back at noon, and given again in the evening");
        submit_review(&mut simulator, "carol", ReviewVerdict::Approve);
        assert_eq!(simulator.ours(), 1);
        assert!(simulator.breaches.is_empty(), "{:#?}", simulator.breaches);
    }

    #[test]
    fn a_denial_and_whom_the_stage_is_escalated_to_are_not_kept_waiting() {
        let mut simulator = begin();
        hours(&mut simulator, 6);
        let mut denied = simulator.clone();
        submit_review(&mut denied, "bob", ReviewVerdict::Deny);
        assert_eq!(denied.state(), crate::api::State::Denied);
        hours(&mut simulator, 12);
        submit_review(&mut simulator, "dave", ReviewVerdict::Approve);
        assert_eq!(stage(&simulator).as_deref(), Some("owners"));
        let escalated = |entry: &HistoryEntry| entry.event == Reason::Escalated;
        assert!(simulator.status().history.iter().any(escalated));
    }
}
