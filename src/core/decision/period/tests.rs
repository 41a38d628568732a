//! When access would be, within windows and without.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;
use crate::api::policy::AccessPolicy;
use crate::api::request::State;
use crate::core::decision::shortfall::Shortfall;
use crate::core::decision::validate::validate;
use crate::core::laws::fixtures::{message_of, namespaces, noon, policy, request};
use crate::core::laws::simulator::Simulator;
use crate::core::lifecycle::granted::NoLonger;
use crate::core::model::ask::RunningGrant;
use crate::core::policies::{Entry, Policy};

/// Those of [`windowed`], as people write them.
const WINDOWS: &str = "Mon 11:00-13:00, Mon 20:00-24:00 UTC";

/// Noon of the samples is a Monday. Eleven to one, and in the evening until midnight, by UTC.
fn windowed(spec: Value) -> AccessPolicy {
    let windows = json!([
        { "days": ["Mon"], "start": "11:00", "end": "13:00" }, { "days": ["Mon"], "start": "20:00", "end": "24:00" }
    ]);
    let mut whole = json!({
        "schedule": { "timeZone": "UTC", "windows": windows }, "duration": { "max": "48h" },
        "extension": { "max": "2h", "count": 9 },
        "breakGlass": { "reviewers": [{ "kind": "User", "name": "bob" }], "reviewWithin": "1h" },
        "approval": { "automaticWhen": "true", "stages": [{ "name": "s", "approvers": [{ "kind": "User", "name": "bob" }] }] }
    });
    spec.as_object().unwrap().iter().for_each(|(key, value)| whole[key] = value.clone());
    policy("p", whole)
}

fn read(policy: &AccessPolicy) -> Arc<Policy> {
    match Entry::read(policy) {
        Entry::Valid(policy) => policy,
        other => panic!("{:?}", other.faults()),
    }
}

fn at(time: &str) -> Timestamp {
    format!("2026-11-23T{time}:00Z").parse().unwrap()
}

/// Begin and end of a period by the clock, or why there is none.
fn asked(spec: Value, now: &str) -> Result<(String, String), NoTime> {
    let request = request(spec);
    let found = period(&validate(&request).unwrap(), &read(&windowed(json!({}))), &Freezes::default(), at(now));
    let clock = |t: Timestamp| t.strftime("%d %H:%M").to_string();
    found.map(|period| (clock(period.begin), clock(period.end)))
}

#[test]
fn access_begins_in_a_window_and_ends_with_it() {
    let period = |from: &str, to: &str| Ok((from.to_owned(), to.to_owned()));
    for (duration, now, expected) in [
        ("30m", "12:00", period("23 12:00", "23 12:30")),
        ("2h", "12:00", period("23 12:00", "23 13:00")),
        ("30m", "10:59", period("23 11:00", "23 11:30")),
        ("30m", "13:00", period("23 20:00", "23 20:30")),
        ("9h", "13:00", period("23 20:00", "24 00:00")),
    ] {
        assert_eq!(asked(json!({ "duration": duration }), now), expected, "{duration} at {now}");
    }
}

#[test]
fn a_start_that_is_named_can_wait_but_never_lasts_longer() {
    let start = |time: &str, duration: &str| json!({ "startTime": at(time).to_string(), "duration": duration });
    let period = |from: &str, to: &str| Ok((from.to_owned(), to.to_owned()));
    assert_eq!(asked(start("12:30", "10m"), "12:00"), period("23 12:30", "23 12:40"));
    assert_eq!(asked(start("12:30", "3h"), "12:00"), period("23 12:30", "23 13:00"));
    assert_eq!(asked(start("19:00", "3h"), "12:00"), period("23 20:00", "23 22:00"));
    assert_eq!(asked(start("14:00", "3h"), "12:00"), Err(NoTime::NotInTime { windows: WINDOWS.to_owned() }));
    // Decided late, it has what is left of it.
    assert_eq!(asked(start("11:30", "1h"), "12:00"), period("23 11:30", "23 12:30"));
    // The window that counts is the one that is open now, not one that was open at the start.
    assert_eq!(asked(start("12:30", "10h"), "20:30"), period("23 12:30", "23 22:30"));
    assert_eq!(asked(start("12:30", "14h"), "20:30"), period("23 12:30", "24 00:00"));
    assert_eq!(asked(start("14:00", "8h"), "20:30"), period("23 14:00", "23 22:00"));
}

#[test]
fn an_emergency_does_not_wait_for_a_window() {
    let emergency = || json!({ "breakGlass": true, "duration": "2h" });
    assert_eq!(asked(emergency(), "12:00"), Ok(("23 12:00".to_owned(), "23 13:00".to_owned())));
    let closed = NoTime::NotOpen { windows: WINDOWS.to_owned(), at: at("14:00") };
    assert_eq!(asked(emergency(), "14:00"), Err(closed));
}

#[test]
fn an_extension_goes_on_from_the_end_without_a_gap() {
    let request = request(json!({ "extends": "other", "duration": "1h" }));
    let mut ask = validate(&request).unwrap();
    let mut until = |end: &str| {
        ask.aim = RequestKind::Extension { of: "other", running: Some(RunningGrant { extended: 0, end: at(end) }) };
        period(&ask, &read(&windowed(json!({}))), &Freezes::default(), at("12:00"))
            .map(|period| (period.begin, period.end))
    };
    assert_eq!(until("12:30"), Ok((at("12:30"), at("13:00"))));
    assert_eq!(until("20:30"), Ok((at("20:30"), at("21:30"))));
    assert!(until("13:00").is_err(), "its window closes where the grant ends");
}

#[test]
fn outside_of_its_windows_a_request_waits_for_the_next_one() {
    let mut simulator =
        Simulator::new(request(json!({ "duration": "1h" })), vec![windowed(json!({}))], namespaces(), at("13:00"));
    simulator.settle();
    assert_eq!((simulator.state(), simulator.ours(), simulator.end()), (State::Scheduled, 0, Some(at("21:00"))));
    assert_eq!(simulator.plan().wake, Some(at("20:00")));
    simulator.now = at("20:00");
    simulator.settle();
    assert_eq!((simulator.state(), simulator.ours(), simulator.end()), (State::Active, 1, Some(at("21:00"))));
    assert!(simulator.breaches.is_empty(), "{:#?}", simulator.breaches);
}

#[test]
fn a_window_that_is_taken_away_takes_the_access_with_it() {
    let mut simulator =
        Simulator::new(request(json!({ "duration": "1h" })), vec![windowed(json!({}))], namespaces(), noon());
    simulator.settle();
    assert_eq!((simulator.state(), simulator.end()), (State::Active, Some(at("13:00"))));
    let windows = json!([{ "days": ["Mon"], "start": "11:00", "end": "12:30" }]);
    simulator.policies = vec![windowed(json!({ "schedule": { "timeZone": "UTC", "windows": windows } }))];
    simulator.settle();
    assert_eq!((simulator.state(), simulator.plan().wake), (State::Active, Some(at("12:30"))));
    simulator.now = at("12:30");
    simulator.settle();
    assert_eq!((simulator.state(), simulator.ours()), (State::Revoked, 0));
    let closed = NoTime::NotOpen { windows: "Mon 11:00-12:30 UTC".to_owned(), at: at("12:30") };
    let why = NoLonger::FallsShort { policy: "p".to_owned(), shortfalls: vec![Shortfall::NoTime(closed)] };
    assert_eq!(message_of(simulator.status().message), why.to_string());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// However the clock and the windows go: no binding while no window is open.
    #[test]
    fn nothing_is_ever_bound_outside_of_a_window(
        duration in select(vec!["1m", "45m", "3h", "48h"]),
        start in prop::option::of(-300..3_000_i64),
        jumps in prop::collection::vec(1..40_000_i64, 1..12),
        other in prop::option::of(0..11_usize),
    ) {
        let mut spec = json!({ "duration": duration });
        if let Some(minutes) = start {
            spec["startTime"] = json!((noon() + SignedDuration::from_mins(minutes)).to_string());
        }
        let mut simulator = Simulator::new(request(spec), vec![windowed(json!({}))], namespaces(), noon());
        let mut schedule = read(&simulator.policies[0]).schedule.clone().unwrap();
        for (index, jump) in jumps.into_iter().enumerate() {
            if other == Some(index) {
                let windows = json!([{ "days": ["Tue", "Wed"], "start": "22:00", "end": "06:00" }]);
                simulator.policies = vec![windowed(json!({ "schedule": { "timeZone": "Asia/Kathmandu", "windows": windows } }))];
                schedule = read(&simulator.policies[0]).schedule.clone().unwrap();
            }
            simulator.settle();
            prop_assert!(simulator.ours() == 0 || schedule.open(simulator.now).is_some(), "{:#?}", simulator.status());
            // Waking when told is enough.
            let wake = simulator.plan().wake.filter(|_| !simulator.state().is_final());
            let jumped = simulator.now + SignedDuration::from_secs(jump);
            simulator.now = wake.map_or(jumped, |wake| wake.min(jumped));
        }
        prop_assert!(simulator.breaches.is_empty(), "{:#?}", simulator.breaches);
    }
}
