//! What is told of a life, from its beginning to its end.

use k8s_openapi::jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::api::request::AccessRequest;
use crate::core::laws::fixtures::{noon, request};

/// A request with this spec and status on top of the least, and a history of these events, a minute apart from noon on.
fn with_history(spec: Value, status: Value, events: &[&str]) -> AccessRequest {
    let mut request = request(spec);
    let mut status = status;
    let entry = |(n, event): (usize, &&str)| {
        let at = noon() + SignedDuration::from_mins(i64::try_from(n).unwrap());
        let stage = matches!(*event, "ApprovalNeeded" | "Escalated").then_some("leads");
        let by = matches!(*event, "Denied" | "Revoked" | "BreakGlass" | "Justified").then_some("bob");
        json!({ "at": at.to_string(), "event": event, "stage": stage, "by": by, "message": format!("{event} it is") })
    };
    status["history"] = events.iter().enumerate().map(entry).collect();
    request.status = serde_json::from_value(status).unwrap();
    request
}

fn told(request: &AccessRequest) -> Vec<(usize, NoticeEvent)> {
    of_history(request, 0).into_iter().map(|(index, notice)| (index, notice.event)).collect()
}

#[test]
fn a_life_is_told_in_its_order_and_each_thing_once() {
    use NoticeEvent::{Approved, Denied, Escalated, Expired, Extended, Failed, Lapsed, Revoked, Waits};
    for (events, expected) in [
        (
            &["ApprovalNeeded", "Escalated", "Reviewed", "Granted", "Expired"][..],
            &[(0, Waits), (1, Escalated), (3, Approved), (4, Expired)][..],
        ),
        (
            &["ApprovalNeeded", "Approved", "Granted", "Suspended", "Resumed", "Revoked"],
            &[(0, Waits), (1, Approved), (5, Revoked)],
        ),
        (&["ApprovalNeeded", "ApprovalNeeded", "Denied"], &[(0, Waits), (1, Waits), (2, Denied)]),
        (&["ApprovalNeeded", "Lapsed"], &[(0, Waits), (1, Lapsed)]),
        (
            &["ApprovalNeeded", "Granted", "Extended", "Expired"],
            &[(0, Waits), (1, Approved), (2, Extended), (3, Expired)],
        ),
        (&["Approved", "Failed"], &[(0, Approved), (1, Failed)]),
        (&["WrittenInGap", "Tomorrow", "PolicyChanged"], &[]),
    ] {
        assert_eq!(told(&with_history(json!({}), json!({}), events)), expected, "{events:?}");
    }
}

#[test]
fn an_emergency_is_told_as_one_and_not_as_an_approval() {
    use NoticeEvent::{BreakGlass, Expired, Justified, ReviewOverdue};
    let events = ["BreakGlass", "Granted", "Expired", "ReviewOverdue", "Justified"];
    let glass = with_history(json!({ "breakGlass": true }), json!({}), &events);
    assert_eq!(told(&glass), [(0, BreakGlass), (2, Expired), (3, ReviewOverdue), (4, Justified)]);
    assert!(of_history(&glass, 0).iter().all(|(_, notice)| !notice.automatic));
}

#[test]
fn an_extension_is_told_by_the_request_that_it_moved() {
    let extension = with_history(json!({ "extends": "fix" }), json!({}), &["ApprovalNeeded", "Approved", "Extended"]);
    assert_eq!(told(&extension), [(0, NoticeEvent::Waits), (1, NoticeEvent::Approved)]);
}

#[test]
fn what_nobody_was_asked_for_is_automatic() {
    for (events, automatic) in [(&["Granted", "Expired"][..], true), (&["ApprovalNeeded", "Granted", "Expired"], false)]
    {
        let notices = of_history(&with_history(json!({}), json!({}), events), 0);
        assert!(notices.iter().all(|(_, notice)| notice.automatic == automatic), "{events:?}");
    }
}

#[test]
fn what_was_dealt_with_is_not_told_again_and_what_follows_is_told_alike() {
    let request = with_history(json!({}), json!({}), &["ApprovalNeeded", "Escalated", "Granted", "Expired"]);
    let all = of_history(&request, 0);
    for from in 0..=5 {
        let rest: Vec<_> = all.iter().filter(|(index, _)| *index >= from).cloned().collect();
        assert_eq!(of_history(&request, from), rest, "from {from}");
    }
    let mut ids: Vec<&str> = all.iter().map(|(_, notice)| notice.id.as_str()).collect();
    assert_eq!(ids, ["r-1/0", "r-1/1", "r-1/2", "r-1/3"]);
    ids.dedup();
    assert_eq!(ids.len(), all.len());
}

#[test]
fn who_said_no_is_told_with_their_words() {
    let reviews =
        json!({ "bob": { "verdict": "Deny", "comment": "not today" }, "eve": { "verdict": "Deny", "comment": "ha" } });
    let request = with_history(json!({}), json!({ "reviews": reviews }), &["ApprovalNeeded", "Denied"]);
    let (_, denied) = of_history(&request, 1).remove(0);
    assert_eq!((denied.by.as_deref(), denied.comment.as_deref()), (Some("bob"), Some("not today")));
}

fn at(minutes: i64) -> Timestamp {
    noon() + SignedDuration::from_mins(minutes)
}

fn running(minutes: i64) -> AccessRequest {
    let status = json!({ "state": "Active", "grantedAt": noon().to_string(), "expiresAt": at(minutes).to_string() });
    with_history(json!({}), status, &["ApprovalNeeded", "Granted"])
}

#[test]
fn access_that_ends_soon_is_told_once_for_each_end() {
    let foresight = Foresight::default();
    let request = running(30);
    assert_eq!(next_by_time(&request, foresight, noon()), Some(at(20)));
    assert!(by_time(&request, foresight, at(20) - SignedDuration::from_nanos(1)).is_empty());
    let [soon] = <[Notice; 1]>::try_from(by_time(&request, foresight, at(20))).unwrap();
    assert_eq!((soon.event, soon.id.as_str()), (NoticeEvent::EndsSoon, "r-1/EndsSoon/2026-11-23T12:30:00Z"));
    assert_eq!(next_by_time(&request, foresight, at(20)), None);
    assert!(!is_pointless(&soon, &request));
    let extended = running(60);
    assert!(is_pointless(&soon, &extended), "its end is another by now");
    let [later] = <[Notice; 1]>::try_from(by_time(&extended, foresight, at(50))).unwrap();
    assert_ne!(later.id, soon.id);
}

#[test]
fn of_access_that_is_short_nobody_is_told_that_it_ends_soon() {
    let short = running(10);
    assert_eq!(next_by_time(&short, Foresight::default(), noon()), None);
    assert!(by_time(&short, Foresight::default(), at(9)).is_empty());
}

fn emergency(state: &str, verdict: Option<&str>) -> AccessRequest {
    let closed = verdict.map(|_| at(40).to_string());
    let review = json!({
        "reviewers": [{ "kind": "Group", "name": "security", "apiGroup": "rbac.authorization.k8s.io" }],
        "reviewBy": at(48 * 60).to_string(), "closedAt": closed, "verdict": verdict,
    });
    let status = json!({ "state": state, "grantedAt": noon().to_string(), "expiresAt": at(30).to_string(), "breakGlass": review });
    with_history(json!({ "breakGlass": true }), status, &["BreakGlass", "Granted"])
}

#[test]
fn a_review_is_due_a_day_before_it_is_overdue_and_after_access() {
    let (foresight, due) = (Foresight::default(), at(24 * 60));
    let over = emergency("Expired", None);
    assert_eq!(next_by_time(&over, foresight, at(31)), Some(due));
    let [review] = <[Notice; 1]>::try_from(by_time(&over, foresight, due)).unwrap();
    assert_eq!(review.event, NoticeEvent::ReviewDue);
    assert_eq!(review.request.approvers[0].name, "security");
    assert!(by_time(&emergency("Expired", Some("Approve")), foresight, due).is_empty());
    assert!(is_pointless(&review, &emergency("Expired", Some("Approve"))));
    // Where access ended later than that, it is due since then: what was due before it ended would count as told.
    let mut late = emergency("Expired", None);
    let finished = json!({
        "type": "Finished", "status": "True", "reason": "Expired", "message": "",
        "lastTransitionTime": at(25 * 60).to_string(),
    });
    late.status.as_mut().unwrap().conditions = serde_json::from_value(json!([finished])).unwrap();
    assert_eq!(by_time(&late, foresight, at(26 * 60))[0].at, at(25 * 60));
    let runs = by_time(&emergency("Active", None), foresight, due);
    assert!(runs.iter().all(|notice| notice.event != NoticeEvent::ReviewDue), "{runs:?}");
}

#[test]
fn what_waited_is_pointless_once_its_stage_is_over() {
    let stage = |name: &str| json!({ "name": name, "openedAt": noon().to_string(), "required": 1, "approved": 0 });
    let waits = |status| with_history(json!({}), status, &["ApprovalNeeded"]);
    let open = waits(json!({ "stage": stage("leads") }));
    let (_, notice) = of_history(&open, 0).remove(0);
    assert!(!is_pointless(&notice, &open));
    assert!(is_pointless(&notice, &waits(json!({ "stage": stage("security") }))));
    assert!(is_pointless(&notice, &waits(json!({ "state": "Denied" }))));
}

#[test]
fn a_request_that_waits_for_the_guard_says_so_while_it_does() {
    let missing = json!([{
        "type": "Approved", "status": "Unknown", "reason": "GuardMissing", "message": "", "lastTransitionTime": noon().to_string()
    }]);
    let waits = with_history(json!({}), json!({ "conditions": missing }), &[]);
    let [guard] = <[Notice; 1]>::try_from(by_time(&waits, Foresight::default(), noon())).unwrap();
    assert_eq!((guard.event, guard.id.as_str()), (NoticeEvent::GuardMissing, "guard/2026-11-23T12:00:00Z"));
    assert!(!is_pointless(&guard, &waits));
    assert!(is_pointless(&guard, &with_history(json!({}), json!({}), &["Granted"])));
}

#[test]
fn what_is_deleted_before_its_end_is_told_and_what_is_over_is_not() {
    let open = with_history(json!({}), json!({ "state": "Pending" }), &["ApprovalNeeded"]);
    assert_eq!(deleted(&open, at(3)).map(|notice| (notice.event, notice.at)), Some((NoticeEvent::Deleted, at(3))));
    assert_eq!(deleted(&with_history(json!({}), json!({ "state": "Expired" }), &[]), at(3)), None);
}

#[test]
fn the_schema_of_notices_in_the_examples_is_what_the_types_say() {
    let stored = include_str!("../../../examples/notice/notice.v1.schema.json");
    assert!(stored == notice_schema_as_json(), "{NOTICE_SCHEMA_FILE} is not what src/core says: run `make crds`");
}

/// A topic that no event belongs to could be asked for and would never come.
#[test]
fn every_topic_has_an_event_and_every_event_is_known_by_its_word() {
    for topic in NoticeTopic::ALL {
        assert!(NoticeEvent::ALL.iter().any(|event| event.topic() == topic), "{topic:?}");
    }
    for event in NoticeEvent::ALL {
        assert_eq!(serde_json::to_value(event).unwrap(), format!("{event:?}"));
    }
}
