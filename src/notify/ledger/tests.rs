use serde_json::json;

use super::*;
use crate::core::laws::fixtures::{noon, request};
use crate::core::notice::of_history;
use crate::notify::routes::NotifyConfig;

fn at(minutes: i64) -> Timestamp {
    noon() + SignedDuration::from_mins(minutes)
}

/// A request that waited from the first minute on and was decided in the second.
fn decided() -> AccessRequest {
    let mut request = request(json!({}));
    let entry = |minutes: i64, event: &str| json!({ "at": at(minutes).to_string(), "event": event, "message": "" });
    let history = json!([entry(1, "ApprovalNeeded"), entry(2, "Denied")]);
    request.status = serde_json::from_value(json!({ "state": "Denied", "history": history })).unwrap();
    request
}

/// What is read after the changes have been laid over the data, as the API server does it.
fn stored(ledger: &NoticeLedger, data: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut data = data.clone();
    for (key, value) in ledger.changes().unwrap_or_else(|| json!({})).as_object().unwrap() {
        match value.as_str() {
            Some(text) => data.insert(key.clone(), text.to_owned()),
            None => data.remove(key),
        };
    }
    data
}

fn again(ledger: &NoticeLedger, data: &BTreeMap<String, String>) -> NoticeLedger {
    NoticeLedger::read(&stored(ledger, data), at(9999))
}

/// A route to a place that does not matter, which carries this.
fn route(name: &str, carries: &str) -> NoticeRoute {
    let mut route: Value = serde_json::from_str(carries).unwrap();
    (route["name"], route["teams"]) = (json!(name), json!({ "urlFile": "/secrets/teams" }));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), json!({ "routes": [route] }).to_string()).unwrap();
    NotifyConfig::read(file.path()).unwrap().routes.remove(0)
}

#[test]
fn what_happened_before_the_first_start_is_old_and_what_follows_is_due() {
    let empty = BTreeMap::new();
    for (started, due) in [(0, 0), (1, 1), (2, 2), (30, 2)] {
        let ledger = NoticeLedger::read(&empty, at(started));
        assert_eq!(ledger.first_due("chat", &decided(), "r-1"), due, "started {started} minutes after noon");
        // The first start is remembered.
        assert_eq!(again(&ledger, &empty).first_due("chat", &decided(), "r-1"), due);
    }
}

#[test]
fn what_was_told_stays_told_for_that_route_alone() {
    let empty = BTreeMap::new();
    let mut ledger = NoticeLedger::read(&empty, noon());
    let (index, waits) = of_history(&decided(), 0).remove(0);
    let posted = Posted { place: Some("C1".to_owned()), id: Some("17.2".to_owned()) };
    ledger.dealt_with("chat", "r-1", &waits, Some(index), Some(posted.clone()));
    for ledger in [ledger.clone(), again(&ledger, &empty)] {
        assert_eq!(ledger.first_due("chat", &decided(), "r-1"), 1);
        assert_eq!(ledger.first_due("mail", &decided(), "r-1"), 0);
        assert_eq!(ledger.posted("chat", "r-1"), Some(&posted));
        assert_eq!(ledger.posted("mail", "r-1"), None);
        assert_eq!(ledger.open().collect::<Vec<_>>(), [("r-1", "shop", "fix")]);
    }
    ledger.forget_posted("chat", "r-1");
    assert_eq!(again(&ledger, &empty).posted("chat", "r-1"), None);
}

#[test]
fn a_notice_of_time_is_told_by_its_id() {
    let empty = BTreeMap::new();
    let mut ledger = NoticeLedger::read(&empty, noon());
    let (_, mut soon) = of_history(&decided(), 0).remove(0);
    soon.id = "r-1/EndsSoon/2026".to_owned();
    assert!(ledger.is_due("chat", "r-1", &soon) && !ledger.has_told("chat", "r-1"));
    ledger.dealt_with("chat", "r-1", &soon, None, None);
    let mut ledger = again(&ledger, &empty);
    assert!(!ledger.is_due("chat", "r-1", &soon) && ledger.has_told("chat", "r-1"));
    assert!(ledger.is_due("mail", "r-1", &soon));
    soon.id = "r-1/EndsSoon/2027".to_owned();
    assert!(ledger.is_due("chat", "r-1", &soon));
    ledger.begin(&[route("chat", "{}")], at(30));
    assert!(!ledger.is_due("chat", "r-1", &soon), "it was due before the route was there");
}

#[test]
fn what_is_over_is_left_out_when_nothing_of_it_can_arrive_any_more_and_is_not_told_again() {
    let empty = BTreeMap::new();
    let mut ledger = NoticeLedger::read(&empty, noon());
    for (index, notice) in of_history(&decided(), 0) {
        ledger.dealt_with("chat", "r-1", &notice, Some(index), None);
    }
    ledger.leave_out(None, at(60));
    assert_eq!(ledger.requests.len(), 1, "it is not over");
    ledger.note_over("r-1", true);
    ledger.leave_out(None, at(6));
    assert_eq!(ledger.requests.len(), 1, "more of it may arrive");
    ledger.leave_out(Some(at(1)), at(60));
    assert_eq!(ledger.requests.len(), 1, "what waits is older, and would count as told");
    ledger.leave_out(Some(at(3)), at(60));
    assert!(ledger.requests.is_empty());
    let ledger = again(&ledger, &empty);
    assert!(ledger.requests.is_empty());
    assert_eq!(ledger.first_due("chat", &decided(), "r-1"), 2, "it would be told again");
}

#[test]
fn only_what_has_changed_is_stored() {
    let empty = BTreeMap::new();
    let mut ledger = NoticeLedger::read(&empty, noon());
    assert_eq!(ledger.changes(), Some(json!({ "since": noon() })));
    ledger.stored(&ledger.changes().unwrap());
    assert_eq!(ledger.changes(), None);
    let (index, notice) = of_history(&decided(), 0).remove(0);
    ledger.dealt_with("chat", "r-1", &notice, Some(index), None);
    let keys: Vec<String> = ledger.changes().unwrap().as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["r-1"]);
    ledger.stored(&ledger.changes().unwrap());
    ledger.forget("r-1");
    assert_eq!(ledger.changes(), Some(json!({ "r-1": null })));
}

#[test]
fn a_value_that_cannot_be_read_costs_that_request_alone() {
    let data = [
        ("since", at(1).to_string()),
        ("r-1", "{".to_owned()),
        ("r-2", r#"{"namespace":"a","name":"b","routes":{"chat":{"entries":2}}}"#.to_owned()),
    ];
    let data = data.map(|(key, value)| (key.to_owned(), value)).into();
    let ledger = NoticeLedger::read(&data, at(30));
    assert_eq!(ledger.first_due("chat", &decided(), "r-1"), 1, "what happened since is due");
    assert_eq!(ledger.first_due("chat", &decided(), "r-2"), 2);
    assert_eq!(ledger.changes(), None, "nothing is lost of what cannot be read");
}

#[test]
fn the_last_that_no_place_took_can_be_looked_at() {
    let empty = BTreeMap::new();
    let mut ledger = NoticeLedger::read(&empty, noon());
    let (_, notice) = of_history(&decided(), 0).remove(0);
    for n in 0..MOST_DEAD + 5 {
        ledger.bury("chat", &notice, "no such channel", at(n as i64));
    }
    let dead = again(&ledger, &empty).dead;
    assert_eq!((dead.len(), dead[0].at), (MOST_DEAD, at(5)));
}

#[test]
fn a_route_does_not_tell_what_happened_before_it_carried_that() {
    let empty = BTreeMap::new();
    let mut ledger = NoticeLedger::read(&empty, noon());
    ledger.begin(&[route("chat", r#"{ "events": ["Waits"] }"#)], noon());
    let (index, waits) = of_history(&decided(), 0).remove(0);
    ledger.dealt_with("chat", "r-1", &waits, Some(index), None);
    let stored = stored(&ledger, &empty);
    for (route, due) in [
        (route("chat", r#"{ "events": ["Waits"] }"#), 1),
        (route("chat", r#"{ "events": ["Waits", "Decided"] }"#), 2),
        (route("mail", r#"{ "events": ["Waits"] }"#), 2),
    ] {
        let mut ledger = NoticeLedger::read(&stored, at(30));
        ledger.begin(std::slice::from_ref(&route), at(30));
        assert_eq!(ledger.first_due(&route.name, &decided(), "r-1"), due, "{route:?}");
    }
}

#[test]
fn an_answer_in_a_thread_does_not_take_the_place_of_the_message() {
    let empty = BTreeMap::new();
    let mut ledger = NoticeLedger::read(&empty, noon());
    let posted = |id: &str| Some(Posted { place: None, id: Some(id.to_owned()) });
    for (notice, id) in of_history(&decided(), 0).into_iter().zip(["first", "second"]) {
        ledger.dealt_with("chat", "r-1", &notice.1, Some(notice.0), posted(id));
    }
    assert_eq!(ledger.posted("chat", "r-1"), posted("first").as_ref());
}

#[test]
fn what_is_stored_fits_into_a_config_map_and_what_is_over_goes_first() {
    let mut data = BTreeMap::new();
    let mut ledger = NoticeLedger::read(&data, noon());
    let (index, notice) = of_history(&decided(), 0).remove(0);
    let posted = || Some(Posted { place: None, id: Some("x".repeat(1000)) });
    let uid = |n: usize| format!("r-{n:04}");
    for n in 0..1200 {
        let notice = Notice { at: at(n), ..notice.clone() };
        let n = usize::try_from(n).unwrap();
        ledger.dealt_with("chat", &uid(n), &notice, Some(index), posted());
        ledger.note_over(&uid(n), n % 2 == 1);
        let changes = ledger.changes().unwrap();
        data = stored(&ledger, &data);
        ledger.stored(&changes);
        let bytes = data.iter().map(|(key, text)| key.len() + text.len()).sum::<usize>();
        assert!(bytes <= MOST_BYTES && bytes == ledger.bytes(), "{bytes}");
    }
    let kept = NoticeLedger::read(&data, at(9999));
    assert!(kept.requests.len() > 800 && (0..600).all(|n| kept.has_told("chat", &uid(2 * n))), "what is open stays");
    assert!(!kept.has_told("chat", &uid(1)) && kept.has_told("chat", &uid(1199)), "the oldest goes first");
    assert!(ledger.has_told("chat", &uid(1)), "here it is known");
}
