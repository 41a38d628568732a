use k8s_openapi::jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::core::laws::fixtures::{noon, request};
use crate::notify::routes::NotifyConfig;

const UID: &str = "r-1";

fn at(minutes: i64) -> Timestamp {
    noon() + SignedDuration::from_mins(minutes)
}

/// A route that carries this.
fn route(events: &[&str]) -> NoticeRoute {
    let route =
        json!({ "name": "chat", "teams": { "urlFile": "/secrets/teams" }, "automatic": true, "events": events });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json!({ "routes": [route] }).to_string()).unwrap();
    NotifyConfig::read(file.path()).unwrap().routes.remove(0)
}

/// A request in this state, with this history: minutes after noon, and events.
fn seen(state: &str, status: Value, history: &[(i64, &str)]) -> AccessRequest {
    let mut seen = request(json!({}));
    let mut status = status;
    let entry = |(minutes, event): &(i64, &str)| {
        let stage = (*event == "ApprovalNeeded").then_some("leads");
        json!({ "at": at(*minutes).to_string(), "event": event, "stage": stage, "message": "" })
    };
    status["history"] = history.iter().map(entry).collect();
    status["state"] = json!(state);
    seen.status = serde_json::from_value(status).unwrap();
    seen.metadata.uid = Some(UID.to_owned());
    seen
}

fn waiting(minutes: i64) -> AccessRequest {
    let stage =
        json!({ "name": "leads", "required": 1, "approved": 0, "approvers": [], "openedAt": at(minutes).to_string() });
    seen("Pending", json!({ "stage": stage }), &[(minutes, "ApprovalNeeded")])
}

fn active() -> AccessRequest {
    let status = json!({ "grantedAt": at(2).to_string(), "expiresAt": at(62).to_string() });
    seen("Active", status, &[(1, "ApprovalNeeded"), (2, "Granted")])
}

/// Tells all that is due by then, as a route would, and what it was.
fn told(lives: &NoticedLives, ledger: &mut NoticeLedger, route: &NoticeRoute, minutes: i64) -> Vec<NoticeEvent> {
    let mut events = Vec::new();
    while let Some(next) = lives.next(UID, route, ledger, at(minutes)) {
        ledger.dealt_with(&route.name, UID, &next.notice, next.index, None);
        events.push(next.notice.event);
        assert!(events.len() < 20, "{events:?}");
    }
    events
}

fn ledger() -> NoticeLedger {
    NoticeLedger::read(&BTreeMap::new(), noon())
}

fn lives() -> NoticedLives {
    NoticedLives::new(Foresight::default())
}

#[test]
fn a_life_is_told_as_it_goes_and_each_thing_once() {
    use NoticeEvent::{Approved, EndsSoon, Expired, Waits};
    let (mut lives, mut ledger) = (lives(), ledger());
    let route = route(&["Waits", "Decided", "EndsSoon", "Ended"]);
    lives.saw(UID, waiting(1), 0, at(1));
    assert_eq!(told(&lives, &mut ledger, &route, 1), [Waits]);
    assert_eq!(lives.next_by_time(UID, at(1)), None);
    lives.saw(UID, active(), 0, at(2));
    assert_eq!(told(&lives, &mut ledger, &route, 2), [Approved]);
    assert_eq!(lives.next_by_time(UID, at(2)), Some(at(52)));
    assert_eq!(told(&lives, &mut ledger, &route, 52), [EndsSoon]);
    assert!(!lives.is_settled(UID, at(52)));
    let status = json!({ "grantedAt": at(2).to_string(), "expiresAt": at(62).to_string() });
    lives.saw(UID, seen("Expired", status, &[(1, "ApprovalNeeded"), (2, "Granted"), (62, "Expired")]), 0, at(62));
    assert_eq!(told(&lives, &mut ledger, &route, 63), [Expired]);
    assert!(lives.is_settled(UID, at(63)));
}

#[test]
fn what_nobody_needs_to_hear_any_more_is_not_told() {
    let (mut lives, mut ledger) = (lives(), ledger());
    let route = route(&["Waits", "Decided", "EndsSoon"]);
    // The place was away meanwhile.
    lives.saw(UID, active(), 0, at(2));
    assert_eq!(told(&lives, &mut ledger, &route, 3), [NoticeEvent::Approved]);
    let status = json!({ "grantedAt": at(2).to_string(), "expiresAt": at(62).to_string() });
    lives.saw(UID, seen("Expired", status, &[(1, "ApprovalNeeded"), (2, "Granted"), (62, "Expired")]), 0, at(62));
    assert_eq!(told(&lives, &mut ledger, &route, 63), []);
}

#[test]
fn a_deletion_is_told_to_whoever_heard_that_the_request_waits() {
    for (heard, expected) in [(true, &[NoticeEvent::Deleted][..]), (false, &[])] {
        let (mut lives, mut ledger) = (lives(), ledger());
        let route = route(&["Waits"]);
        lives.saw(UID, waiting(1), 0, at(1));
        if heard {
            assert_eq!(told(&lives, &mut ledger, &route, 1), [NoticeEvent::Waits]);
        }
        lives.is_gone(UID, at(5));
        assert_eq!(told(&lives, &mut ledger, &route, 6), expected, "nobody can approve it any more");
        assert!(lives.is_settled(UID, at(6)) && lives.was_deleted(UID));
    }
}

#[test]
fn what_came_of_a_request_is_told_after_it_is_gone() {
    let (mut lives, mut ledger) = (lives(), ledger());
    let route = route(&["Waits", "Ended"]);
    lives.saw(UID, seen("Expired", json!({}), &[(1, "ApprovalNeeded"), (2, "Granted"), (62, "Expired")]), 0, at(62));
    lives.is_gone(UID, at(63));
    assert_eq!(told(&lives, &mut ledger, &route, 64), [NoticeEvent::Expired]);
}

#[test]
fn what_a_watch_does_not_list_any_more_was_deleted_unseen() {
    let mut lives = lives();
    lives.saw("r-1", waiting(1), 0, at(1));
    lives.saw("r-2", waiting(1), 0, at(1));
    lives.saw("r-3", waiting(1), 1, at(1));
    let listed = BTreeSet::from(["r-2".to_owned()]);
    assert_eq!(lives.missing(0, &listed), ["r-1"]);
    lives.is_gone("r-1", at(2));
    assert_eq!(lives.missing(0, &listed), [""; 0]);
}

#[test]
fn the_missing_guard_is_told_once_for_all_requests_until_it_is_back() {
    let unguarded = |minutes: i64| {
        let condition = json!({
            "type": "Approved", "status": "Unknown", "reason": "GuardMissing", "message": "",
            "lastTransitionTime": at(minutes).to_string(),
        });
        seen("Pending", json!({ "conditions": [condition] }), &[(minutes, "GuardMissing")])
    };
    let (mut lives, mut ledger) = (lives(), ledger());
    let (security, others) = (route(&["GuardMissing"]), route(&["Waits"]));
    assert!(lives.is_guarded() && lives.next_of_guard(&security, &ledger).is_none());
    lives.saw("r-2", unguarded(2), 0, at(3));
    lives.saw("r-1", unguarded(1), 0, at(3));
    assert_eq!(lives.next_of_guard(&others, &ledger), None);
    let next = lives.next_of_guard(&security, &ledger).unwrap();
    assert_eq!((next.notice.event, next.notice.at), (NoticeEvent::GuardMissing, at(1)));
    ledger.dealt_with("chat", GUARD, &next.notice, None, None);
    lives.is_gone("r-1", at(4));
    assert_eq!(lives.next_of_guard(&security, &ledger), None, "it is missing on and on");
    assert_eq!(lives.next("r-2", &security, &ledger, at(4)), None);
    lives.saw("r-2", waiting(5), 0, at(5));
    assert!(lives.is_guarded());
    ledger.forget(GUARD);
    lives.saw("r-2", unguarded(6), 0, at(7));
    assert_eq!(lives.next_of_guard(&security, &ledger).unwrap().notice.at, at(6));
}
