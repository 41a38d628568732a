//! What a policy that denies in windows makes of single requests.

use serde_json::{Value, json};

use super::*;
use crate::api::policy::AccessPolicy;
use crate::core::decision::answer::Decision;
use crate::core::decision::approvals::{ReviewLog, Reviews};
use crate::core::decision::decide::decide;
use crate::core::decision::period::NoTime;
use crate::core::decision::shortfall::{Denial, Shortfall};
use crate::core::decision::validate::validate;
use crate::core::laws::fixtures::{deny, falls_short, namespaces, noon, policy, request};
use crate::core::laws::simulator::Simulator;
use crate::core::model::ask::RunningGrant;
use crate::core::policies::PolicySet;

/// Noon of the samples is a Monday.
fn at(time: &str) -> Timestamp {
    format!("2026-11-{time}:00Z").parse().unwrap()
}

fn windows(days: &[&str], start: &str, end: &str) -> Value {
    json!({ "timeZone": "UTC", "windows": [{ "days": days, "start": start, "end": end }] })
}

fn denies(days: &[&str], start: &str, end: &str, spec: Value) -> AccessPolicy {
    let mut whole = json!({ "schedule": windows(days, start, end) });
    spec.as_object().unwrap().iter().for_each(|(key, value)| whole[key] = value.clone());
    deny("freeze", whole)
}

/// An answer, without what it borrows.
#[derive(Debug, PartialEq)]
enum Answer {
    From(Timestamp, Timestamp),
    Waits(Timestamp),
    No(Vec<Denial>),
}

fn answer(spec: Value, policies: &[AccessPolicy], now: Timestamp) -> Answer {
    let (set, simulator) = (PolicySet::new(policies), Simulator::new(request(spec), Vec::new(), namespaces(), now));
    let log = ReviewLog { reviews: &Reviews::new(), escalated: &[], counted: &[] };
    match decide(&validate(&simulator.request).unwrap(), &simulator.snapshot(&set, &[]), log, now) {
        Decision::Approved(approved) => Answer::From(approved.period.begin, approved.period.end),
        Decision::Frozen(_, edge) => Answer::Waits(edge.at),
        Decision::Denied(reasons) => Answer::No(reasons),
        other => panic!("{other:?}"),
    }
}

fn window(what: Moment, at: Timestamp, until: Timestamp) -> Answer {
    let window = Some(Frozen { what, at, until });
    Answer::No(vec![Denial::Policy(Denying { policy: "freeze".to_owned(), unevaluated: None, window })])
}

fn long(spec: Value) -> AccessPolicy {
    let reviewers = json!([{ "kind": "User", "name": "bob" }]);
    let mut whole = json!({
        "duration": { "max": "200h", "default": "1h" }, "recurrence": { "weeks": 4 },
        "approval": { "automaticWhen": "true", "stages": [{ "name": "s", "approvers": reviewers }] },
        "breakGlass": { "reviewers": reviewers, "reviewWithin": "1h" }
    });
    spec.as_object().unwrap().iter().for_each(|(key, value)| whole[key] = value.clone());
    policy("allow", whole)
}

#[test]
fn access_ends_at_the_opening_and_waits_for_the_closing() {
    let weekend = || denies(&["Sat", "Sun"], "00:00", "24:00", json!({}));
    let asked = |spec: Value, now: &str| answer(spec, &[long(json!({})), weekend()], at(now));
    assert_eq!(asked(json!({}), "23T12:00"), Answer::From(at("23T12:00"), at("23T13:00")));
    assert_eq!(asked(json!({ "duration": "100h" }), "24T12:00"), Answer::From(at("24T12:00"), at("28T00:00")));
    assert_eq!(asked(json!({}), "27T23:30"), Answer::From(at("27T23:30"), at("28T00:00")));
    assert_eq!(asked(json!({}), "28T00:00"), Answer::Waits(at("30T00:00")));
    assert_eq!(asked(json!({}), "29T23:59"), Answer::Waits(at("30T00:00")));
    assert_eq!(asked(json!({}), "30T00:00"), Answer::From(at("30T00:00"), at("30T01:00")));
}

#[test]
fn what_cannot_be_moved_is_denied_and_told_why() {
    let weekend = |spec: Value| denies(&["Sat", "Sun"], "00:00", "24:00", spec);
    let asked = |spec: Value, now: &str| answer(spec, &[long(json!({})), weekend(json!({}))], at(now));
    let start = |time: &str, hours: u32| json!({ "startTime": at(time).to_string(), "duration": format!("{hours}h") });
    let monday = at("30T00:00");
    assert_eq!(asked(start("28T12:00", 1), "23T12:00"), window(Moment::Start, at("28T12:00"), monday));
    // Named for before, it is cut; and what is left of it when it is decided late counts from then on.
    assert_eq!(asked(start("27T20:00", 100), "23T12:00"), Answer::From(at("27T20:00"), at("28T00:00")));
    assert_eq!(asked(start("27T20:00", 100), "29T12:00"), Answer::Waits(monday));
    assert_eq!(asked(start("30T00:00", 2), "29T12:00"), Answer::From(monday, at("30T02:00")));
    let emergency = json!({ "breakGlass": true });
    assert_eq!(asked(emergency.clone(), "28T12:00"), window(Moment::Emergency, at("28T12:00"), monday));
    assert_eq!(asked(emergency.clone(), "27T23:30"), Answer::From(at("27T23:30"), at("28T00:00")));
    let exempts = [long(json!({})), weekend(json!({ "onBreakGlass": "Exempt" }))];
    assert_eq!(answer(emergency.clone(), &exempts, at("28T12:00")), Answer::From(at("28T12:00"), at("28T13:00")));
    assert_eq!(answer(emergency, &exempts, at("27T23:30")), Answer::From(at("27T23:30"), at("28T00:30")));
    assert_eq!(answer(json!({}), &exempts, at("28T12:00")), Answer::Waits(monday));
}

#[test]
fn windows_that_allow_and_windows_that_deny_are_taken_together() {
    let office = || long(json!({ "schedule": windows(&["Mon", "Tue", "Wed", "Thu", "Fri"], "09:00", "17:00") }));
    let until_ten = || denies(&["Mon"], "00:00", "10:00", json!({}));
    let asked = |now: &str| answer(json!({}), &[office(), until_ten()], at(now));
    // It begins later anyway, so its time is settled.
    assert_eq!(asked("28T12:00"), Answer::From(at("30T10:00"), at("30T11:00")));
    assert_eq!(asked("30T08:00"), Answer::Waits(at("30T10:00")));
    let never = denies(&["Mon", "Tue", "Wed", "Thu", "Fri"], "09:00", "17:00", json!({}));
    let windows = "Mon-Fri 09:00-17:00 UTC but not Mon-Fri 09:00-17:00 UTC (policy freeze)".to_owned();
    let never_opens = Shortfall::NoTime(NoTime::NeverOpens { windows });
    let no = answer(json!({}), &[office(), never], at("28T12:00"));
    assert_eq!(no, Answer::No(falls_short("allow", [never_opens])));
}

#[test]
fn windows_without_an_end_deny_as_one_without_windows() {
    let every_day = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let always = denies(&every_day, "00:00", "24:00", json!({}));
    let no = Denying { policy: "freeze".to_owned(), unevaluated: None, window: None };
    let no = || Answer::No(vec![Denial::Policy(no.clone())]);
    assert_eq!(answer(json!({}), &[long(json!({})), always], noon()), no());
    // What an earlier version took up denies always, in its windows and outside of them.
    let mut earlier = denies(&["Sat"], "00:00", "24:00", json!({}));
    earlier.status = Some(serde_json::from_value(json!({ "observedGeneration": 1 })).unwrap());
    assert_eq!(answer(json!({}), &[long(json!({})), earlier.clone()], noon()), no());
    earlier.spec.on_break_glass = Some(crate::api::policy::OnBreakGlass::Deny);
    let free = answer(json!({}), &[long(json!({})), earlier], noon());
    assert_eq!(free, Answer::From(noon(), at("23T13:00")));
}

#[test]
fn it_denies_only_what_it_is_about() {
    let weekend = |spec: Value| denies(&["Sat", "Sun"], "00:00", "24:00", spec);
    let asked = |spec: Value| answer(json!({}), &[long(json!({})), weekend(spec)], at("28T12:00"));
    let free = Answer::From(at("28T12:00"), at("28T13:00"));
    assert_eq!(asked(json!({ "scope": { "namespaces": ["bank"] } })), free);
    assert_eq!(asked(json!({ "roles": [{ "name": "view" }] })), free);
    let when = |expression: &str| json!({ "conditions": [{ "expression": expression, "message": "m" }] });
    assert_eq!(asked(when("request.role == 'view'")), free);
    assert_eq!(asked(when("request.role == 'edit'")), Answer::Waits(at("30T00:00")));
    // One that cannot be evaluated lets nobody in while the window is open.
    assert_eq!(asked(when("1 / 0 == 1")), Answer::Waits(at("30T00:00")));
}

#[test]
fn each_kind_of_request_is_held_against_the_moment_that_is_fixed() {
    let (now, end) = (at("23T12:00"), at("23T15:00"));
    let moment = |spec: Value, running: Option<RunningGrant>| {
        let request = request(spec);
        let ask = validate(&request).unwrap();
        let aim = match ask.aim {
            RequestKind::Extension { of, .. } => RequestKind::Extension { of, running },
            other => other,
        };
        fixed_moment(&ValidRequest { aim, ..ask }, now)
    };
    let running = Some(RunningGrant { extended: 0, end });
    for (spec, running, expected) in [
        (json!({}), None, None),
        (json!({ "startTime": end.to_string() }), None, Some((Moment::Start, end))),
        (json!({ "breakGlass": true }), None, Some((Moment::Emergency, now))),
        (json!({ "extends": "first" }), running, Some((Moment::EndOfGrant, end))),
        (json!({ "extends": "first" }), None, None),
    ] {
        assert_eq!(moment(spec.clone(), running), expected, "{spec}");
    }
}
