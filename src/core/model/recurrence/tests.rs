use super::*;
use crate::api::request::State;
use crate::core::decision::shortfall::Shortfall;
use crate::core::laws::fixtures::{falls_short, message_of, namespaces, noon, policy, request};
use crate::core::laws::simulator::Simulator;
use crate::core::model::history::join;
use crate::core::model::schedule::Schedule;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

const ALWAYS: Openings<'static> = Openings { allowed: None, denied: &[] };

fn within(allowed: Option<&Schedule>) -> Openings<'_> {
    Openings { allowed, ..ALWAYS }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn window(days: &[&str], start: &str, end: &str) -> Value {
    json!({ "days": days, "start": start, "end": end })
}

fn recurrence(zone: &str, windows: Value, weeks: i32) -> Recurrence {
    let raw = json!({ "timeZone": zone, "windows": windows, "weeks": weeks });
    Recurrence::read(&serde_json::from_value(raw).unwrap()).unwrap()
}

fn schedule(zone: &str, windows: Value) -> Schedule {
    let raw = json!({ "timeZone": zone, "windows": windows });
    Schedule::read(&serde_json::from_value(raw).unwrap(), "spec.schedule").unwrap()
}

#[test]
fn a_week_is_a_week_by_the_clock_of_the_zone() {
    let tuesdays = recurrence("Europe/Berlin", json!([window(&["Tue"], "02:00", "04:00")]), 2);
    // Clocks are put forward in between: two weeks are an hour shorter.
    assert_eq!(tuesdays.end(at("2027-03-16T09:00:00Z")), at("2027-03-30T08:00:00Z"));
    assert_eq!(tuesdays.end(at("2027-03-02T09:00:00Z")), at("2027-03-16T09:00:00Z"));
    assert_eq!(tuesdays.end(Timestamp::MAX), Timestamp::MAX);
}

#[test]
fn a_window_is_where_people_read_it_on_both_sides_of_a_change() {
    let sundays = recurrence("Europe/Berlin", json!([window(&["Sun"], "01:30", "03:30")]), 3);
    let end = at("2027-12-31T00:00:00Z");
    let opening = |from: &str| sundays.next(ALWAYS, at(from), end).map(|o| (o.opens, o.closes)).unwrap();
    // 02:00 becomes 03:00 on that Sunday: an hour is not there. Half a year later one is there twice.
    assert_eq!(opening("2027-03-27T12:00:00Z"), (at("2027-03-28T00:30:00Z"), at("2027-03-28T01:30:00Z")));
    assert_eq!(opening("2027-04-03T12:00:00Z"), (at("2027-04-03T23:30:00Z"), at("2027-04-04T01:30:00Z")));
    assert_eq!(opening("2027-10-30T12:00:00Z"), (at("2027-10-30T23:30:00Z"), at("2027-10-31T02:30:00Z")));
}

#[test]
fn an_open_window_counts_from_now_on_and_none_goes_past_the_end() {
    let tuesdays = recurrence("UTC", json!([window(&["Tue"], "02:00", "04:00")]), 1);
    let next = |from: &str, end: &str| tuesdays.next(ALWAYS, at(from), at(end)).map(|o| (o.opens, o.closes));
    let inside = "2026-11-24T03:00:00Z";
    assert_eq!(next(inside, "2026-12-01T00:00:00Z"), Some((at(inside), at("2026-11-24T04:00:00Z"))));
    assert_eq!(next(inside, "2026-11-24T03:30:00Z"), Some((at(inside), at("2026-11-24T03:30:00Z"))));
    assert_eq!(next("2026-11-24T04:00:00Z", "2026-12-01T02:00:00Z"), None, "it opens at the end");
}

#[test]
fn a_policy_without_a_common_window_leaves_none() {
    let nights = recurrence("UTC", json!([window(&["Mon", "Tue"], "22:00", "23:00")]), 4);
    let days = json!([window(&["Mon", "Tue", "Wed", "Thu", "Fri"], "09:00", "17:00")]);
    let allowed = schedule("UTC", days);
    assert_eq!(nights.next(within(Some(&allowed)), at("2026-11-23T12:00:00Z"), at("2026-12-20T00:00:00Z")), None);
}

#[test]
fn each_time_is_bounded_by_the_policy_and_so_are_the_weeks() {
    let asked = |end: &str, weeks: i32| {
        let window = window(&["Tue"], "02:00", end);
        let recurrence = json!({ "timeZone": "UTC", "windows": [window], "weeks": weeks });
        let mut simulator = Simulator::new(
            request(json!({ "recurrence": recurrence })),
            vec![policy("p", json!({ "duration": { "max": "1h" }, "recurrence": { "weeks": 2 } }))],
            namespaces(),
            noon(),
        );
        simulator.settle();
        (simulator.state(), message_of(simulator.status().message))
    };
    assert_eq!(asked("03:00", 2).0, State::Scheduled);
    let [asked_for, most] = [61, 60].map(SignedDuration::from_mins);
    for (end, weeks, shortfall) in [
        ("03:01", 2, Shortfall::WindowLength { asked: asked_for, most }),
        ("03:00", 3, Shortfall::Weeks { asked: 3, most: 2 }),
    ] {
        assert_eq!(asked(end, weeks), (State::Denied, join(&falls_short("p", [shortfall]))));
    }
}

#[test]
fn a_window_on_record_is_open_at_its_first_instant_and_closed_at_its_end() {
    let (opens, closes) = (at("2026-11-24T02:00:00Z"), at("2026-11-24T04:00:00Z"));
    let window = Opening { opens, closes }.on_record();
    let moment = SignedDuration::from_nanos(1);
    let open = [opens - moment, opens, closes - moment, closes].map(|now| is_open(&window, now));
    assert_eq!(open, [false, true, true, false]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is found is what a walk finds, minute by minute, that asks both schedules each time.
    #[test]
    fn a_walk_minute_by_minute_finds_the_same(
        zones in (select(ZONES.to_vec()), select(ZONES.to_vec())),
        wanted in prop::collection::vec((0..7_usize, 0..1440_i64, 1..300_i64), 1..4),
        allowed in prop::option::of(prop::collection::vec((0..7_usize, 0..1440_i64, 30..900_i64), 1..6)),
        from in select(vec!["2027-03-27T11:17:00Z", "2027-10-30T11:17:00Z", "2026-11-24T00:00:00Z", "2027-04-03T10:00:00Z"]),
        days in 1..8_i64,
    ) {
        let request = recurrence(zones.0, windows(&wanted), 2);
        let allowed = allowed.map(|allowed| schedule(zones.1, windows(&allowed)));
        let (from, minute) = (at(from), SignedDuration::from_mins(1));
        let end = from + SignedDuration::from_hours(24 * days);
        let is_open = |at: Timestamp| {
            request.schedule.open(at).is_some() && allowed.as_ref().is_none_or(|s| s.open(at).is_some())
        };
        let mut walked = None;
        let mut now = from;
        while now < end && walked.is_none() {
            if is_open(now) {
                let opens = now;
                while now < end && is_open(now) {
                    now += minute;
                }
                walked = Some(Opening { opens, closes: now.min(end) });
            }
            now += minute;
        }
        prop_assert_eq!(request.next(within(allowed.as_ref()), from, end), walked);
    }
}

/// With clocks that change in spring and in autumn, by half an hour, never, and off by three quarters.
const ZONES: [&str; 6] =
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns"];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

fn windows(windows: &[(usize, i64, i64)]) -> Value {
    let clock = |minute: i64| format!("{:02}:{:02}", minute / 60 % 24, minute % 60);
    windows.iter().map(|(day, start, length)| window(&[DAYS[*day]], &clock(*start), &clock(start + length))).collect()
}
