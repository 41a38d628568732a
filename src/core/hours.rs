//! When approvals count: the hours that a stage of a policy may have.
//!
//! An approval from outside of them waits for the next window. One that has counted goes on counting, or a stage that
//! is complete would come undone in the evening; that it did is told by the history, where what reviewers say goes on
//! record with its time. Hours bind those whom a stage asks first: whom it is escalated to may answer at any time. A
//! Deny or Revoke is never kept waiting.

use k8s_openapi::jiff::Timestamp;

use super::approvals::{Said, approval};
use super::deadline::earliest;
use super::history::Reason;
use super::policies::Policy;
use super::subjects::is_approver;
use crate::api::policy::Stage;
use crate::api::request::{HistoryEntry, Review};
use crate::api::subject::Identity;

/// Whether an approval of somebody who may approve in this stage counts now.
pub fn counts(policy: &Policy, stage: &Stage, who: &Identity, said: Said<'_>, now: Timestamp) -> bool {
    let Some(hours) = policy.hours.get(&stage.name) else { return true };
    let counted = || {
        let review = said.reviews.get(&who.username)?;
        counted_at(said.history, &who.username, review).filter(|at| hours.open(*at).is_some())
    };
    is_escalated_to(who, stage, said) || hours.open(now).is_some() || counted().is_some()
}

/// Whether the stage has been escalated to this person.
fn is_escalated_to(who: &Identity, stage: &Stage, said: Said<'_>) -> bool {
    said.escalated.contains(&stage.name) && is_approver(who, &stage.escalate_to)
}

/// When what somebody says now went on record without having to wait.
fn counted_at(history: &[HistoryEntry], username: &str, review: &Review) -> Option<Timestamp> {
    let of_them = |entry: &&HistoryEntry| entry.by.as_deref() == Some(username);
    let last = history.iter().rev().find(of_them)?;
    let same = last.event == Reason::Reviewed.as_str() && last.message == approval(username, review);
    same.then_some(last.at.0)
}

/// From when on an approval counts that has to wait: when the first of the stages opens in which this person may
/// approve. None when it counts in one already, or they may approve in none.
pub fn waits_until(policy: &Policy, who: &Identity, said: Said<'_>, now: Timestamp) -> Option<Timestamp> {
    let may = |stage: &&Stage| is_approver(who, &stage.approvers) || is_escalated_to(who, stage, said);
    let mut first = None;
    for stage in policy.stages.iter().filter(may) {
        if counts(policy, stage, who, said, now) {
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
    use crate::api::request::{AccessRequest, ReviewVerdict};
    use crate::core::history::Reason;
    use crate::core::laws::world::World;
    use crate::core::samples::{namespaces, noon, policy, request, review};
    use k8s_openapi::jiff::SignedDuration;
    use serde_json::json;

    /// Monday noon; bob may approve in office hours until 17:00, then carol; the stage is escalated to dave.
    fn begin() -> World {
        let bob = json!([{ "kind": "User", "name": "bob" }]);
        let carol = json!([{ "kind": "User", "name": "carol" }]);
        let dave = json!([{ "kind": "User", "name": "dave" }]);
        let week = json!(["Mon", "Tue", "Wed", "Thu", "Fri"]);
        let hours = json!({ "timeZone": "UTC", "windows": [{ "days": week, "start": "09:00", "end": "17:00" }] });
        let first =
            json!({ "name": "leads", "approvers": bob, "hours": hours, "escalateAfter": "12h", "escalateTo": dave });
        let stages = json!([first, { "name": "owners", "approvers": carol }]);
        let policy = policy("p", json!({ "approval": { "stages": stages } }));
        let mut world = World::new(request(json!({})), vec![policy], namespaces(), noon());
        world.settle();
        world
    }

    fn says(world: &mut World, who: &str, verdict: ReviewVerdict) {
        world.request.status.get_or_insert_default().reviews.insert(who.to_owned(), review(verdict, &[]));
        world.version += 1;
        world.settle();
    }

    fn hours(world: &mut World, hours: i64) {
        world.now = noon() + SignedDuration::from_hours(hours);
        world.settle();
    }

    fn stage(world: &World) -> Option<String> {
        world.status().stage.map(|stage| stage.name)
    }

    fn told(request: &AccessRequest) -> Vec<String> {
        let history = request.status.iter().flat_map(|status| &status.history);
        history.filter(|entry| entry.by.is_some()).map(|entry| entry.message.clone()).collect()
    }

    #[test]
    fn an_approval_from_outside_waits_for_the_next_window() {
        let mut world = begin();
        hours(&mut world, 6);
        says(&mut world, "bob", ReviewVerdict::Approve);
        let opens: Timestamp = "2026-11-24T09:00:00Z".parse().unwrap();
        assert_eq!(
            (stage(&world), world.plan().wake),
            (Some("leads".to_owned()), Some(noon() + SignedDuration::from_hours(12)))
        );
        assert_eq!(told(&world.request), [format!("Approve of bob counts from {opens} on: its stage has hours")]);
        world.now = opens - SignedDuration::from_secs(1);
        world.settle();
        assert_eq!((stage(&world), world.plan().wake), (Some("leads".to_owned()), Some(opens)));
        world.now = opens;
        world.settle();
        assert_eq!(stage(&world).as_deref(), Some("owners"));
        assert_eq!(told(&world.request).last().unwrap(), "bob says Approve");
    }

    #[test]
    fn one_that_has_counted_goes_on_counting_until_it_is_changed() {
        let mut world = begin();
        says(&mut world, "bob", ReviewVerdict::Approve);
        hours(&mut world, 8);
        assert_eq!(stage(&world).as_deref(), Some("owners"), "in the evening");
        let mut changed = world.clone();
        let review = changed.request.status.as_mut().unwrap().reviews.get_mut("bob").unwrap();
        review.comment = Some("after all".to_owned());
        changed.settle();
        assert_eq!(stage(&changed).as_deref(), Some("leads"), "that is another approval");
        says(&mut world, "carol", ReviewVerdict::Approve);
        assert_eq!(world.ours(), 1);
        assert!(world.breaches.is_empty(), "{:#?}", world.breaches);
    }

    #[test]
    fn a_denial_and_whom_the_stage_is_escalated_to_are_not_kept_waiting() {
        let mut world = begin();
        hours(&mut world, 6);
        let mut denied = world.clone();
        says(&mut denied, "bob", ReviewVerdict::Deny);
        assert_eq!(denied.state(), crate::api::State::Denied);
        hours(&mut world, 12);
        says(&mut world, "dave", ReviewVerdict::Approve);
        assert_eq!(stage(&world).as_deref(), Some("owners"));
        let escalated = |entry: &HistoryEntry| entry.event == Reason::Escalated.as_str();
        assert!(world.status().history.iter().any(escalated));
    }
}
