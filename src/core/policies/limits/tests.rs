//! What counts towards a limit, and what does not.

use serde_json::{Value, json};

use super::*;
use crate::core::decision::validate::validate;
use crate::core::laws::fixtures::{noon, request};

fn limits(raw: Value) -> Limits {
    let mut faults = Vec::new();
    let limits = Limits::read(Some(&serde_json::from_value(raw).unwrap()), &mut faults);
    assert_eq!(faults, []);
    limits
}

fn at(minutes: i64) -> Timestamp {
    noon() + SignedDuration::from_mins(minutes)
}

fn other(who: &str, minutes: i64, status: Value) -> Counted {
    let mut other = request(json!({ "requester": { "username": who, "uid": format!("u-{who}") } }));
    other.metadata.uid = Some(format!("{who}-{minutes}"));
    other.metadata.creation_timestamp.as_mut().unwrap().0 = at(minutes);
    let mut whole = json!({ "policy": { "name": "p", "uid": "p-p", "generation": 1 } });
    status.as_object().unwrap().iter().for_each(|(key, value)| whole[key] = value.clone());
    other.status = Some(serde_json::from_value(whole).unwrap());
    Counted::of(&other).unwrap()
}

fn waiting(who: &str, minutes: i64) -> Counted {
    other(who, minutes, json!({ "state": "Pending" }))
}

fn running(who: &str, from: i64, to: i64, namespace: &str) -> Counted {
    let binding = json!({ "kind": "RoleBinding", "namespace": namespace, "name": "daypass-x" });
    let (from_, to) = (at(from).to_string(), at(to).to_string());
    other(who, from, json!({ "state": "Active", "grantedAt": from_, "expiresAt": to, "bindings": [binding] }))
}

fn ended(who: &str, from: i64, to: i64, stated: i64) -> Counted {
    let finished =
        json!({ "type": "Finished", "status": "True", "reason": "Revoked", "lastTransitionTime": at(to).to_string() });
    let (from_, stated) = (at(from).to_string(), at(stated).to_string());
    other(who, from, json!({ "state": "Revoked", "grantedAt": from_, "expiresAt": stated, "conditions": [finished] }))
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

/// What stands against alice, who asks at noon for so many minutes in `shop`.
fn exceeded(raw: Value, minutes: i64, others: &[Counted]) -> Vec<Exceeded> {
    let request = request(json!({}));
    let place = GrantScope::Namespaces(["shop".to_owned()].into());
    let others: Vec<&Counted> = others.iter().collect();
    let length = SignedDuration::from_mins(minutes);
    limits(raw).exceeded(&validate(&request).unwrap(), &place, length, &others, noon())
}

#[test]
fn running_grants_are_counted_by_person_by_namespace_and_in_all() {
    let live = [running("alice", -5, 5, "shop"), running("bob", -5, 5, "bank"), running("bob", -5, 9, "bank")];
    for (name, there, what) in [
        ("liveGrantsPerPerson", 1, Count::GrantsOf("alice".to_owned())),
        ("liveGrantsPerNamespace", 1, Count::GrantsIn("shop".to_owned())),
        ("liveGrants", 3, Count::Grants),
    ] {
        assert_eq!(exceeded(json!({ name: there }), 10, &live), [Exceeded::Full { what, there, most: there }]);
        assert_eq!(exceeded(json!({ name: there + 1 }), 10, &live), []);
    }
    let not_live = [waiting("alice", -5), ended("alice", -9, -5, 60)];
    let all = json!({ "liveGrantsPerPerson": 1, "liveGrants": 1, "liveGrantsPerNamespace": 1 });
    assert_eq!(exceeded(all, 10, &not_live), []);
}

#[test]
fn the_same_person_under_another_name_is_the_same_person() {
    let mut renamed = running("alice-by-another-name", -5, 5, "bank");
    renamed.person.uid = Some("u-alice".to_owned());
    let full = Exceeded::Full { what: Count::GrantsOf("alice".to_owned()), there: 1, most: 1 };
    assert_eq!(exceeded(json!({ "liveGrantsPerPerson": 1 }), 10, &[renamed]), [full]);
}

#[test]
fn after_a_grant_there_is_a_pause_from_its_real_end() {
    let pause = || json!({ "cooldown": "30m" });
    let early = exceeded(pause(), 10, &[ended("alice", -50, -29, 60)]);
    assert_eq!(early, [Exceeded::Cooldown { again: at(1), cooldown: minutes(30) }]);
    assert_eq!(exceeded(pause(), 10, &[ended("alice", -50, -30, 60)]), []);
    assert_eq!(exceeded(pause(), 10, &[ended("bob", -50, -1, 60)]), [], "somebody else's");
    assert_eq!(exceeded(pause(), 10, &[running("alice", -50, 5, "shop")]), [], "what runs has not ended");
}

#[test]
fn the_time_of_a_day_is_what_was_and_is_granted_in_it_and_what_would_be() {
    let hour = || json!({ "timePerDay": "1h" });
    // Twenty minutes that were used, of an hour that was stated, and ten that run.
    let had = [ended("alice", -60, -40, 0), running("alice", -5, 5, "shop")];
    let over = |had, length| [Exceeded::TimePerDay { had: minutes(had), length: minutes(length), most: minutes(60) }];
    assert_eq!(exceeded(hour(), 30, &had), []);
    assert_eq!(exceeded(hour(), 31, &had), over(30, 31));
    let day = 24 * 60;
    assert_eq!(exceeded(hour(), 60, &[ended("alice", -day - 60, -day, 0)]), [], "a day ago");
    let partly = exceeded(hour(), 51, &[ended("alice", -day - 60, 10 - day, 0)]);
    assert_eq!(partly, over(10, 51), "only its part in the day");
    assert_eq!(exceeded(hour(), 60, &[running("bob", -5, 500, "shop")]), []);
}

#[test]
fn a_request_that_waits_never_puts_out_one_that_was_there_before() {
    let mut request = request(json!({}));
    let one = limits(json!({ "openRequestsPerPerson": 1 }));
    let too_many = |request: &AccessRequest, others: &[Counted]| {
        one.too_many_open(&validate(request).unwrap(), &others.iter().collect::<Vec<_>>())
    };
    let full = Exceeded::Full { what: Count::RequestsOf("alice".to_owned()), there: 1, most: 1 };
    assert_eq!(too_many(&request, &[waiting("alice", -1)]), Some(full));
    assert_eq!(too_many(&request, &[waiting("bob", -1), running("alice", -5, 5, "shop")]), None);
    let open = json!({ "stage": { "name": "s", "openedAt": noon().to_string(), "required": 1, "approved": 0 } });
    request.status = Some(serde_json::from_value(open).unwrap());
    assert_eq!(too_many(&request, &[waiting("alice", -1)]), None);
}

#[test]
fn requests_that_wait_are_counted_by_person_by_namespace_and_in_all() {
    let mut elsewhere = waiting("carol", -1);
    elsewhere.made_in = Some("bank".to_owned());
    let others = [waiting("bob", -2), elsewhere, running("alice", -5, 5, "shop")];
    let message = |raw: Value| {
        let request = request(json!({}));
        limits(raw).too_many_open(&validate(&request).unwrap(), &others.iter().collect::<Vec<_>>())
    };
    for (name, there, what) in [
        ("openRequestsPerPerson", 0, Count::RequestsOf("alice".to_owned())),
        ("openRequestsPerNamespace", 1, Count::RequestsIn("shop".to_owned())),
        ("openRequests", 2, Count::Requests),
    ] {
        assert_eq!(message(json!({ name: there + 1 })), None);
        if there > 0 {
            assert_eq!(message(json!({ name: there })), Some(Exceeded::Full { what, there, most: there }));
        }
    }
}

#[test]
fn an_extension_is_no_further_grant_but_more_time() {
    let request = request(json!({ "extends": "other" }));
    let ask = validate(&request).unwrap();
    let running = running("alice", -5, 55, "shop");
    let place = GrantScope::Namespaces(["shop".to_owned()].into());
    let all = json!({ "liveGrantsPerPerson": 1, "liveGrants": 1, "cooldown": "1h", "timePerDay": "90m" });
    let message =
        |minutes| limits(all.clone()).exceeded(&ask, &place, SignedDuration::from_mins(minutes), &[&running], noon());
    assert_eq!(message(30), Vec::new());
    assert_eq!(message(31).len(), 1);
}

#[test]
fn nonsense_is_a_fault_and_names_its_field() {
    for (raw, field) in [
        (json!({ "liveGrants": 0 }), "spec.limits.liveGrants"),
        (json!({ "openRequestsPerPerson": -1 }), "spec.limits.openRequestsPerPerson"),
        (json!({ "cooldown": "soon" }), "spec.limits.cooldown"),
        (json!({ "timePerDay": "-1h" }), "spec.limits.timePerDay"),
    ] {
        let mut faults = Vec::new();
        Limits::read(Some(&serde_json::from_value(raw).unwrap()), &mut faults);
        assert_eq!(faults.iter().map(|f| f.field.as_str()).collect::<Vec<_>>(), [field]);
    }
}

#[test]
fn what_was_never_let_in_does_not_count() {
    for state in ["Denied", "Lapsed", "Scheduled", "Extended"] {
        let mut other = request(json!({}));
        let status = json!({ "state": state, "policy": { "name": "p", "uid": "p-p", "generation": 1 } });
        other.status = Some(serde_json::from_value(status).unwrap());
        assert!(Counted::of(&other).is_none(), "{state}");
    }
}

#[test]
fn of_several_namespaces_each_counts() {
    let request = request(json!({}));
    let place = GrantScope::Namespaces(["bank".to_owned(), "shop".to_owned()].into());
    let exceeded = |there: &Counted| {
        let limits = limits(json!({ "liveGrantsPerNamespace": 1 }));
        limits.exceeded(&validate(&request).unwrap(), &place, minutes(10), &[there], noon())
    };
    for name in ["bank", "shop"] {
        let full = Exceeded::Full { what: Count::GrantsIn(name.to_owned()), there: 1, most: 1 };
        assert_eq!(exceeded(&running("bob", -5, 5, name)), [full]);
    }
    assert_eq!(exceeded(&running("bob", -5, 5, "elsewhere")), []);
}
