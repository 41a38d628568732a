//! Time zones and weekly windows, at every time.

use daypass::api::policy::Schedule as Raw;
use daypass::core::model::schedule::Schedule;
use daypass::core::policies::PolicySet;
use jiff::tz::TimeZoneDatabase;
use k8s_openapi::jiff::Timestamp;
use libtest_mimic::Trial;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use crate::bounds::{each, fuzz};
use crate::largest::{decided, policy};

/// Where clocks do what they do nowhere else: half an hour for summer, a day left out, days repeated, Ramadan, summer
/// that is no summer, none at all.
const ODD: [&str; 10] = [
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "Africa/Casablanca",
    "Europe/Dublin",
    "Antarctica/Troll",
    "America/Scoresbysund",
    "Asia/Kathmandu",
    "Africa/Monrovia",
    "UTC",
];

pub fn trials() -> Vec<Trial> {
    vec![
        each("schedules::the_worst_at_the_ends_of_time", worst(), judged),
        fuzz("schedules::any_schedule_at_any_time", || (any_schedule(), any_time()), judged),
        fuzz(
            "schedules::any_zone",
            || prop_oneof!["\\PC{0,64}", "[A-Za-z/_+-]{0,64}", "(\\.\\./){0,9}etc/[a-z]{1,9}"],
            |zone| {
                let windows = json!([{ "days": ["Mon"], "start": "09:00", "end": "17:00" }]);
                judged(&(json!({ "timeZone": zone, "windows": windows }), Timestamp::UNIX_EPOCH));
            },
        ),
    ]
}

fn judged((raw, at): &(Value, Timestamp)) {
    let read: Raw = serde_json::from_value(raw.clone()).unwrap();
    if let Ok(schedule) = Schedule::read(&read, "spec.schedule") {
        let _ = (schedule.open(*at), schedule.next_opening(*at), schedule.describe());
    }
    decided(&PolicySet::new([&policy(&json!({ "schedule": raw }))]), false, *at);
}

/// 32 windows of a minute each day, none of which touches another.
fn worst() -> Vec<(Value, Timestamp)> {
    let days = json!(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]);
    let window = |n: usize| {
        let (hour, minute) = (n * 44 / 60, n * 44 % 60);
        json!({ "days": days, "start": format!("{hour:02}:{minute:02}"), "end": format!("{hour:02}:{:02}", minute + 1) })
    };
    let many: Vec<Value> = (0..32).map(window).collect();
    let always = json!([{ "days": days, "start": "00:00", "end": "24:00" }]);
    let gap = json!([{ "days": ["Sun"], "start": "02:00", "end": "02:30" }, { "days": ["Sun"], "start": "02:45", "end": "02:44" }]);
    let zones = ODD.iter().flat_map(|zone| {
        [json!(many), always.clone(), gap.clone()].map(|windows| json!({ "timeZone": zone, "windows": windows }))
    });
    let times = [Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH, "2011-12-30T10:00:00Z".parse().unwrap()];
    zones.flat_map(|schedule| times.map(|at| (schedule.clone(), at))).collect()
}

fn any_schedule() -> impl Strategy<Value = Value> {
    let names: Vec<String> = TimeZoneDatabase::bundled().available().map(|name| name.to_string()).collect();
    assert!(names.len() > 400, "the zones that are compiled in");
    let zone = prop_oneof![select(names), select(&ODD[..]).prop_map(str::to_owned)];
    let time = || {
        let clock = (0..25_u32, 0..60_u32).prop_map(|(hour, minute)| format!("{hour:02}:{minute:02}"));
        prop_oneof![20 => clock, 1 => "\\PC{0,5}"]
    };
    let days = subsequence(vec!["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], 0..=7);
    let window =
        (days, time(), time()).prop_map(|(days, start, end)| json!({ "days": days, "start": start, "end": end }));
    (zone, vec(window, 0..=32)).prop_map(|(zone, windows)| json!({ "timeZone": zone, "windows": windows }))
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    let (least, most) = (Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    let seconds = prop_oneof![
        least..=most,
        least..least + 2_000_000,
        most - 2_000_000..=most,
        0..4_000_000_000_i64,
        // The last Sundays of March and October, the first of April.
        select(vec![1_774_746_000_i64, 1_792_890_000, 1_775_314_800]).prop_flat_map(|at| at - 10_000..at + 10_000),
    ];
    seconds.prop_map(|second| Timestamp::from_second(second).unwrap())
}
