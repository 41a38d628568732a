//! Tables at the days on which clocks are changed, and walks minute by minute that know nothing of offsets: they
//! only read the wall clock.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use jiff::civil::{self, DateTime};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::core::laws::fixtures::fault;
use crate::core::model::field_error::sentence;

const ZONES: [&str; 22] = [
    "Europe/Berlin",
    "Europe/Dublin",
    "America/New_York",
    "America/St_Johns",
    "America/Havana",
    "America/Sao_Paulo",
    "America/Scoresbysund",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "Pacific/Chatham",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Kolkata",
    "Africa/Casablanca",
    "Africa/Cairo",
    "Antarctica/Troll",
    "Etc/GMT-14",
    "Etc/GMT+12",
    "UTC",
];

fn raw(zone: &str, windows: &[(&[Weekday], &str, &str)]) -> policy::Schedule {
    let window = |(days, start, end): &(&[Weekday], &str, &str)| policy::Window {
        days: days.to_vec(),
        start: (*start).to_owned(),
        end: (*end).to_owned(),
    };
    policy::Schedule { time_zone: zone.to_owned(), windows: windows.iter().map(window).collect() }
}

fn read(raw: &policy::Schedule) -> Schedule {
    Schedule::read(raw, "spec.schedule").unwrap()
}

/// Windows as people write them: `Mon-Fri 09:00-17:00, Sat,Sun 10:00-12:00`.
fn schedule(zone: &str, windows: &str) -> Schedule {
    let windows = windows.split(", ").map(|window| {
        let (days, times) = window.split_once(' ').unwrap();
        let (start, end) = times.split_once('-').unwrap();
        let days: Vec<&str> = days
            .split(',')
            .flat_map(|run| {
                let (first, last) = run.split_once('-').unwrap_or((run, run));
                let place = |day| NAMES.iter().position(|name| *name == day).unwrap();
                &NAMES[place(first)..=place(last)]
            })
            .copied()
            .collect();
        json!({ "days": days, "start": start, "end": end })
    });
    let raw = json!({ "timeZone": zone, "windows": windows.collect::<Vec<_>>() });
    read(&serde_json::from_value(raw).unwrap())
}

fn at(instant: &str) -> Timestamp {
    instant.parse().unwrap()
}

/// The runs of a schedule that open after one instant and before another.
fn runs(schedule: &Schedule, from: &str, to: &str) -> Vec<(String, String)> {
    let (mut now, to, mut runs) = (at(from), at(to), Vec::new());
    while let Some(opening) = schedule.next_opening(now).filter(|opening| *opening < to) {
        let nanosecond = SignedDuration::from_nanos(1);
        let closing = schedule.open(opening).expect("open at its first instant");
        assert_eq!(schedule.open(opening - nanosecond), None, "closed just before {opening}");
        assert_eq!(schedule.open(closing - nanosecond), Some(closing), "open until {closing}");
        assert_eq!(schedule.open(closing), None, "closed at its end");
        runs.push((opening.to_string(), closing.to_string()));
        now = opening;
    }
    runs
}

fn check(zone: &str, windows: &str, from: &str, to: &str, expected: &[(&str, &str)]) {
    let expected: Vec<(String, String)> =
        expected.iter().map(|(opening, closing)| ((*opening).to_owned(), (*closing).to_owned())).collect();
    assert_eq!(runs(&schedule(zone, windows), from, to), expected, "{windows} {zone}");
}

#[test]
fn an_ordinary_week_opens_and_closes_by_the_wall_clock() {
    check(
        "Europe/Berlin",
        "Mon-Fri 09:00-17:00, Sat 10:00-12:00",
        "2024-01-10T12:00:00Z",
        "2024-01-16T00:00:00Z",
        &[
            ("2024-01-11T08:00:00Z", "2024-01-11T16:00:00Z"),
            ("2024-01-12T08:00:00Z", "2024-01-12T16:00:00Z"),
            ("2024-01-13T09:00:00Z", "2024-01-13T11:00:00Z"),
            ("2024-01-15T08:00:00Z", "2024-01-15T16:00:00Z"),
        ],
    );
    check(
        "Asia/Kathmandu",
        "Sun 09:00-17:00",
        "2024-01-10T12:00:00Z",
        "2024-01-16T00:00:00Z",
        &[("2024-01-14T03:15:00Z", "2024-01-14T11:15:00Z")],
    );
}

#[test]
fn what_a_window_means_over_midnight_and_over_the_week_is_as_written() {
    for (windows, expected) in [
        ("Mon 22:00-06:00", ("2024-01-08T22:00:00Z", "2024-01-09T06:00:00Z")),
        ("Mon 09:00-09:00", ("2024-01-08T09:00:00Z", "2024-01-09T09:00:00Z")),
        ("Mon 00:00-00:00", ("2024-01-08T00:00:00Z", "2024-01-09T00:00:00Z")),
        ("Mon 00:00-24:00", ("2024-01-08T00:00:00Z", "2024-01-09T00:00:00Z")),
        ("Mon 18:00-24:00", ("2024-01-08T18:00:00Z", "2024-01-09T00:00:00Z")),
        ("Mon 00:00-00:01", ("2024-01-08T00:00:00Z", "2024-01-08T00:01:00Z")),
        ("Mon 00:01-00:00", ("2024-01-08T00:01:00Z", "2024-01-09T00:00:00Z")),
        ("Mon,Mon 08:00-09:00", ("2024-01-08T08:00:00Z", "2024-01-08T09:00:00Z")),
        ("Sun 22:00-06:00", ("2024-01-14T22:00:00Z", "2024-01-15T06:00:00Z")),
        // Those that touch or overlap are one run.
        ("Sun 22:00-24:00, Mon 00:00-03:00", ("2024-01-14T22:00:00Z", "2024-01-15T03:00:00Z")),
        ("Mon 03:00-04:00, Mon 04:00-05:00", ("2024-01-08T03:00:00Z", "2024-01-08T05:00:00Z")),
        ("Mon 03:00-09:00, Mon 04:00-05:00", ("2024-01-08T03:00:00Z", "2024-01-08T09:00:00Z")),
        ("Sat,Sun 00:00-24:00, Mon 00:00-08:00", ("2024-01-13T00:00:00Z", "2024-01-15T08:00:00Z")),
        // All but an hour.
        ("Mon 01:00-24:00, Tue-Sun 00:00-24:00", ("2024-01-08T01:00:00Z", "2024-01-15T00:00:00Z")),
        ("Wed 01:00-24:00, Thu-Sun 00:00-24:00, Mon,Tue 00:00-24:00", ("2024-01-10T01:00:00Z", "2024-01-17T00:00:00Z")),
    ] {
        check("UTC", windows, "2024-01-07T23:00:00Z", "2024-01-14T22:30:00Z", &[expected]);
    }
}

#[test]
fn a_run_of_nearly_a_week_is_found_from_its_end_far_west_of_utc() {
    // In UTC it is Monday already, two weeks after the one that the run began in.
    let schedule = schedule("Etc/GMT+12", "Sun 13:00-24:00, Mon-Sat 00:00-24:00, Sun 00:00-12:59");
    assert_eq!(schedule.open(at("2024-01-15T00:30:00Z")), Some(at("2024-01-15T00:59:00Z")));
    assert_eq!(schedule.next_opening(at("2024-01-15T00:30:00Z")), Some(at("2024-01-15T01:00:00Z")));
}

#[test]
fn windows_with_a_minute_between_them_are_two_runs() {
    check(
        "UTC",
        "Mon 03:00-04:00, Mon 04:01-05:00",
        "2024-01-07T12:00:00Z",
        "2024-01-14T00:00:00Z",
        &[("2024-01-08T03:00:00Z", "2024-01-08T04:00:00Z"), ("2024-01-08T04:01:00Z", "2024-01-08T05:00:00Z")],
    );
}

#[test]
fn a_week_without_a_break_never_closes_and_never_opens() {
    for windows in [
        "Mon-Sun 00:00-24:00",
        "Mon-Sun 00:00-00:00",
        "Mon-Sun 13:30-13:30",
        "Mon-Sun 20:00-08:00, Mon-Sun 07:00-21:00",
        "Mon-Sat 12:00-12:00, Sun 12:00-24:00, Mon 00:00-12:00",
    ] {
        for zone in ZONES {
            let schedule = schedule(zone, windows);
            for now in [Timestamp::MIN, Timestamp::UNIX_EPOCH, at("2011-12-30T10:00:00Z"), Timestamp::MAX] {
                assert_eq!(schedule.open(now), Some(Timestamp::MAX), "{windows} {zone} {now}");
                assert_eq!(schedule.next_opening(now), None, "{windows} {zone} {now}");
            }
        }
    }
}

/// The zone and the day on which its clock is changed, the windows, and when they open and close.
type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

#[test]
fn when_the_clock_is_put_forward_what_it_skips_does_not_take_place() {
    let cases: [Case; 19] = [
        // Berlin skips 02:00 to 03:00 at 01:00 UTC.
        ("Europe/Berlin 2024-03-31", "Sun 01:00-05:00", &[("2024-03-31T00:00:00Z", "2024-03-31T03:00:00Z")]),
        ("Europe/Berlin 2024-03-31", "Sun 02:30-05:00", &[("2024-03-31T01:00:00Z", "2024-03-31T03:00:00Z")]),
        ("Europe/Berlin 2024-03-31", "Sun 01:30-02:30", &[("2024-03-31T00:30:00Z", "2024-03-31T01:00:00Z")]),
        ("Europe/Berlin 2024-03-31", "Sun 01:30-02:00", &[("2024-03-31T00:30:00Z", "2024-03-31T01:00:00Z")]),
        ("Europe/Berlin 2024-03-31", "Sun 03:00-04:00", &[("2024-03-31T01:00:00Z", "2024-03-31T02:00:00Z")]),
        ("Europe/Berlin 2024-03-31", "Sun 02:10-02:50", &[]),
        ("Europe/Berlin 2024-03-31", "Sun 02:00-03:00", &[]),
        // The pause between the two is skipped: one run.
        (
            "Europe/Berlin 2024-03-31",
            "Sun 01:00-02:00, Sun 03:00-04:00",
            &[("2024-03-31T00:00:00Z", "2024-03-31T02:00:00Z")],
        ),
        ("America/New_York 2024-03-10", "Sun 02:30-05:00", &[("2024-03-10T07:00:00Z", "2024-03-10T09:00:00Z")]),
        ("America/St_Johns 2024-03-10", "Sun 01:00-02:30", &[("2024-03-10T04:30:00Z", "2024-03-10T05:30:00Z")]),
        // Lord Howe skips half an hour, 02:00 to 02:30.
        ("Australia/Lord_Howe 2024-10-06", "Sun 02:15-03:00", &[("2024-10-05T15:30:00Z", "2024-10-05T16:00:00Z")]),
        ("Australia/Lord_Howe 2024-10-06", "Sun 02:00-02:30", &[]),
        // Casablanca leaves standard time for the month of Ramadan and skips 02:00 to 03:00 when it is over.
        ("Africa/Casablanca 2024-04-14", "Sun 02:30-04:00", &[("2024-04-14T02:00:00Z", "2024-04-14T03:00:00Z")]),
        // Tehran skipped the first hour of the day.
        ("Asia/Tehran 2022-03-22", "Tue 00:00-08:00", &[("2022-03-21T20:30:00Z", "2022-03-22T03:30:00Z")]),
        ("Asia/Tehran 2022-03-22", "Mon 22:00-24:00", &[("2022-03-21T18:30:00Z", "2022-03-21T20:30:00Z")]),
        // Troll skips two hours, 01:00 to 03:00.
        ("Antarctica/Troll 2024-03-31", "Sun 00:30-02:30", &[("2024-03-31T00:30:00Z", "2024-03-31T01:00:00Z")]),
        ("Antarctica/Troll 2024-03-31", "Sun 01:30-03:30", &[("2024-03-31T01:00:00Z", "2024-03-31T01:30:00Z")]),
        // Apia had no Friday, 2011-12-30: the clock went from Thursday's end to Saturday's start.
        ("Pacific/Apia 2011-12-30", "Fri 09:00-17:00", &[]),
        (
            "Pacific/Apia 2011-12-30",
            "Thu 22:00-06:00, Fri 22:00-06:00",
            &[("2011-12-30T08:00:00Z", "2011-12-30T16:00:00Z")],
        ),
    ];
    for (place, windows, expected) in cases {
        on_the_day(place, windows, expected);
    }
}

#[test]
fn when_the_clock_is_put_back_no_minute_that_reads_inside_is_lost() {
    let cases: [Case; 14] = [
        // Berlin reads 02:00 to 03:00 twice, from 00:00 UTC and from 01:00 UTC.
        ("Europe/Berlin 2024-10-27", "Sun 01:00-05:00", &[("2024-10-26T23:00:00Z", "2024-10-27T04:00:00Z")]),
        ("Europe/Berlin 2024-10-27", "Sun 02:30-05:00", &[("2024-10-27T00:30:00Z", "2024-10-27T04:00:00Z")]),
        ("Europe/Berlin 2024-10-27", "Sun 01:00-02:30", &[("2024-10-26T23:00:00Z", "2024-10-27T01:30:00Z")]),
        ("Europe/Berlin 2024-10-27", "Sun 02:10-02:20", &[("2024-10-27T00:10:00Z", "2024-10-27T01:20:00Z")]),
        ("Europe/Berlin 2024-10-27", "Sun 02:00-03:00", &[("2024-10-27T00:00:00Z", "2024-10-27T02:00:00Z")]),
        // Nothing of the repeated hour is inside these.
        ("Europe/Berlin 2024-10-27", "Sun 01:00-02:00", &[("2024-10-26T23:00:00Z", "2024-10-27T00:00:00Z")]),
        ("Europe/Berlin 2024-10-27", "Sun 03:00-04:00", &[("2024-10-27T02:00:00Z", "2024-10-27T03:00:00Z")]),
        ("America/New_York 2024-11-03", "Sun 01:30-05:00", &[("2024-11-03T05:30:00Z", "2024-11-03T10:00:00Z")]),
        ("America/St_Johns 2024-11-03", "Sun 00:30-01:30", &[("2024-11-03T03:00:00Z", "2024-11-03T05:00:00Z")]),
        ("Australia/Lord_Howe 2024-04-07", "Sun 01:45-03:00", &[("2024-04-06T14:45:00Z", "2024-04-06T16:30:00Z")]),
        ("Africa/Casablanca 2024-03-10", "Sun 01:00-02:30", &[("2024-03-10T00:00:00Z", "2024-03-10T02:30:00Z")]),
        // Tehran read 23:00 to 24:00 twice: the end of the day is the second.
        ("Asia/Tehran 2022-09-21", "Wed 22:00-24:00", &[("2022-09-21T17:30:00Z", "2022-09-21T20:30:00Z")]),
        ("Antarctica/Troll 2024-10-27", "Sun 00:30-02:30", &[("2024-10-26T22:30:00Z", "2024-10-27T02:30:00Z")]),
        // Havana reads 00:00 to 01:00 twice: the day before ends before the first.
        ("America/Havana 2024-11-02", "Sat 22:00-24:00", &[("2024-11-03T02:00:00Z", "2024-11-03T04:00:00Z")]),
    ];
    for (place, windows, expected) in cases {
        on_the_day(place, windows, expected);
    }
}

/// The runs that open on that day, or within the hours around it that the zone is away from UTC.
fn on_the_day(place: &str, windows: &str, expected: &[(&str, &str)]) {
    let (zone, day) = place.split_once(' ').unwrap();
    let day: Timestamp = format!("{day}T00:00:00Z").parse().unwrap();
    let (from, to) = (day - SignedDuration::from_hours(36), day + SignedDuration::from_hours(48));
    check(zone, windows, &from.to_string(), &to.to_string(), expected);
}

#[test]
fn a_window_that_is_skipped_opens_a_week_later() {
    let friday = schedule("Pacific/Apia", "Fri 09:00-17:00");
    assert_eq!(friday.next_opening(at("2011-12-28T00:00:00Z")), Some(at("2012-01-05T19:00:00Z")));
    assert_eq!(friday.next_opening(at("2011-12-25T00:00:00Z")), Some(at("2012-01-05T19:00:00Z")));
    let early = schedule("Europe/Berlin", "Sun 02:00-03:00");
    assert_eq!(early.next_opening(at("2024-03-30T00:00:00Z")), Some(at("2024-04-07T00:00:00Z")));
}

#[test]
fn a_pause_that_is_skipped_makes_one_run_of_two_weeks() {
    let nights = schedule("Europe/Berlin", "Mon-Sat 00:00-24:00, Sun 00:00-02:00, Sun 03:00-24:00");
    assert_eq!(nights.open(at("2024-03-24T02:00:00Z")), Some(at("2024-04-07T00:00:00Z")));
    assert_eq!(nights.next_opening(at("2024-03-24T02:00:00Z")), Some(at("2024-04-07T01:00:00Z")));
    let no_friday = schedule("Pacific/Apia", "Mon-Thu 00:00-24:00, Sat,Sun 00:00-24:00");
    assert_eq!(no_friday.open(at("2011-12-25T12:00:00Z")), Some(at("2012-01-05T10:00:00Z")));
}

#[test]
fn a_repeated_pause_is_no_pause_when_the_windows_around_it_meet() {
    // The first ends after the second 02:20, and the second begins at the first 02:40, which is before.
    check(
        "Europe/Berlin",
        "Sun 01:00-02:20, Sun 02:40-04:00",
        "2024-10-26T12:00:00Z",
        "2024-10-28T00:00:00Z",
        &[("2024-10-26T23:00:00Z", "2024-10-27T03:00:00Z")],
    );
}

#[test]
fn at_the_ends_of_time_and_far_away_nothing_panics() {
    let day = SignedDuration::from_hours(24);
    for zone in ZONES {
        for windows in ["Mon-Fri 09:00-17:00", "Sun 23:00-22:59", "Mon-Sun 00:00-23:59", "Wed 02:30-02:31"] {
            let schedule = schedule(zone, windows);
            for days in 0..40 {
                for now in [Timestamp::MIN + day * days, Timestamp::MAX - day * days] {
                    let (open, next) = (schedule.open(now), schedule.next_opening(now));
                    assert!(open.is_none_or(|closing| closing > now), "{windows} {zone} {now}");
                    assert!(next.is_none_or(|opening| opening > now), "{windows} {zone} {now}");
                }
            }
            assert_eq!(schedule.next_opening(Timestamp::MAX), None);
            assert!(schedule.next_opening(Timestamp::MIN).is_some());
        }
    }
    let days = schedule("UTC", "Mon-Sun 00:00-23:00");
    assert_eq!(days.open(Timestamp::MAX - SignedDuration::from_hours(1)), Some(Timestamp::MAX));
    assert_eq!(days.open(Timestamp::MIN), Some(at("-009999-01-02T23:00:00Z")));
    // The rule in force goes on for as long as time does.
    let berlin = schedule("Europe/Berlin", "Mon 09:00-17:00");
    assert_eq!(berlin.next_opening(at("9000-07-01T00:00:00Z")), Some(at("9000-07-07T07:00:00Z")));
    // Before there was standard time clocks went by the sun, 53 minutes and 28 seconds ahead.
    assert_eq!(berlin.next_opening(at("1800-01-01T00:00:00Z")), Some(at("1800-01-06T08:06:32Z")));
}

#[test]
fn a_schedule_reads_as_people_write_it() {
    for (windows, text) in [
        ("Mon-Fri 09:00-17:00", "Mon-Fri 09:00-17:00 Europe/Berlin"),
        ("Sat,Sun 10:00-12:30, Mon 00:05-24:00", "Sat,Sun 10:00-12:30, Mon 00:05-24:00 Europe/Berlin"),
        ("Fri,Mon,Wed,Tue 22:00-06:00", "Mon-Wed,Fri 22:00-06:00 Europe/Berlin"),
        ("Mon-Sun 00:00-00:00", "Mon-Sun 00:00-00:00 Europe/Berlin"),
        ("Sun,Mon,Sun 08:00-09:00", "Mon,Sun 08:00-09:00 Europe/Berlin"),
    ] {
        assert_eq!(schedule("Europe/Berlin", windows).describe(), text);
    }
}

fn faults(raw: &policy::Schedule) -> Vec<FieldError> {
    Schedule::read(raw, "spec.schedule").err().unwrap_or_default()
}

/// A fault in a field of `spec.schedule`.
fn wrong(field: &str, problem: TimeProblem) -> FieldError {
    fault(&format!("spec.schedule.{field}"), problem)
}

#[test]
fn every_fault_is_named_with_its_field_and_a_way_out() {
    let days = &[Weekday::Mon, Weekday::Mon][..];
    let bad = raw("Berlin", &[(days, "09:00", "17:00"), (&[], "24:00", "9"), (days, "9:00", "24:01")]);
    assert_eq!(
        faults(&bad),
        [
            wrong("timeZone", TimeProblem::NoZone("Berlin".to_owned())),
            wrong("windows[1].days", TimeProblem::NoDay),
            wrong("windows[1].start", TimeProblem::StartsAtEnd),
            wrong("windows[1].end", TimeProblem::End("9".to_owned())),
            wrong("windows[2].start", TimeProblem::Start("9:00".to_owned())),
            wrong("windows[2].end", TimeProblem::End("24:01".to_owned())),
        ]
    );
    assert_eq!(faults(&raw("UTC", &[])), [wrong("windows", TimeProblem::NoWindow)]);
}

#[test]
fn a_zone_is_known_by_its_exact_name_only() {
    let windows: &[(&[Weekday], &str, &str)] = &[(&[Weekday::Mon], "09:00", "17:00")];
    for zone in ZONES {
        assert_eq!(faults(&raw(zone, windows)), [], "{zone}");
    }
    for (zone, exact) in [("europe/berlin", "Europe/Berlin"), ("utc", "UTC"), ("AMERICA/ST_JOHNS", "America/St_Johns")]
    {
        // Twice: an answer must not hang on what was asked before.
        for _ in 0..2 {
            let case = TimeProblem::ZoneCase { written: zone.to_owned(), exact: exact.to_owned() };
            assert_eq!(faults(&raw(zone, windows)), [wrong("timeZone", case)]);
        }
    }
    for zone in
        ["", " ", "Berlin", "CEST", "Europe/Berlin ", "+01:00", "CET-1CEST", "Etc/Unknown", "../etc/passwd", "Local"]
    {
        let unknown = wrong("timeZone", TimeProblem::NoZone(zone.to_owned()));
        assert_eq!(faults(&raw(zone, windows)), [unknown], "{zone:?}");
    }
}

#[test]
fn a_time_is_two_digits_a_colon_and_two_digits() {
    for (text, minutes) in [("00:00", 0), ("00:59", 59), ("09:05", 545), ("23:59", 1439), ("24:00", 1440)] {
        assert_eq!(minute(text), Some(minutes), "{text}");
    }
    for text in ["", ":", "9:00", "09:0", "009:00", "09:000", "09-00", "24:01", "25:00", "09:60", "-1:00", "+9:00"] {
        assert_eq!(minute(text), None, "{text}");
    }
    for text in
        [" 9:00", "09:00 ", "0a:00", "09.00", "٠٩:٠٠", "０９:００", "09:00:00", "9 PM", "/0:00", "0:000", "00:0:"]
    {
        assert_eq!(minute(text), None, "{text}");
    }
    assert!(start_of_window("24:00").is_err());
    assert_eq!(end_of_window("24:00"), Ok(1440));
}

/// Whether the wall clock reads inside a window, and if so of which window and which day: the definition, without
/// a thought of offsets.
fn inside(raw: &policy::Schedule, reading: DateTime) -> Vec<(usize, civil::Date)> {
    let time = |text: &str| text[..2].parse::<i64>().unwrap() * 60 + text[3..].parse::<i64>().unwrap();
    let mut found = Vec::new();
    for (back, day) in [reading.date(), reading.date().yesterday().unwrap()].into_iter().enumerate() {
        let minute = i64::from(reading.hour()) * 60 + i64::from(reading.minute()) + [0, 24 * 60][back];
        for (number, window) in raw.windows.iter().enumerate() {
            let (start, end) = (time(&window.start), time(&window.end));
            let end = if end > start { end } else { end + 24 * 60 };
            if (start..end).contains(&minute) && window.days.iter().any(|name| same_day(*name, day)) {
                found.push((number, day));
            }
        }
    }
    found
}

fn same_day(name: Weekday, day: civil::Date) -> bool {
    let other = match day.weekday() {
        civil::Weekday::Monday => Weekday::Mon,
        civil::Weekday::Tuesday => Weekday::Tue,
        civil::Weekday::Wednesday => Weekday::Wed,
        civil::Weekday::Thursday => Weekday::Thu,
        civil::Weekday::Friday => Weekday::Fri,
        civil::Weekday::Saturday => Weekday::Sat,
        civil::Weekday::Sunday => Weekday::Sun,
    };
    name == other
}

const MINUTES: usize = 12 * 24 * 60;

/// Walks twelve days minute by minute. A minute is open when it lies between the first and the last one that read
/// inside one window of one day.
fn walk(raw: &policy::Schedule, zone: &TimeZone, from: Timestamp) -> Vec<bool> {
    let mut stretches: BTreeMap<(usize, civil::Date), (usize, usize)> = BTreeMap::new();
    for (number, now) in minutes(from) {
        for window in inside(raw, zone.to_datetime(now)) {
            stretches.entry(window).or_insert((number, number)).1 = number;
        }
    }
    let mut open = vec![false; MINUTES];
    for (first, last) in stretches.into_values() {
        open[first..=last].fill(true);
    }
    open
}

fn minutes(from: Timestamp) -> impl Iterator<Item = (usize, Timestamp)> {
    (0..MINUTES).map(move |number| (number, from + SignedDuration::from_mins(i64::try_from(number).unwrap())))
}

fn days() -> impl Strategy<Value = Vec<Weekday>> {
    let day = prop_oneof![
        1 => Just(Weekday::Mon),
        1 => Just(Weekday::Tue),
        1 => Just(Weekday::Wed),
        1 => Just(Weekday::Thu),
        1 => Just(Weekday::Fri),
        1 => Just(Weekday::Sat),
        2 => Just(Weekday::Sun)
    ];
    prop::collection::vec(day, 1..8)
}

/// Times on which clocks are changed more often than others.
fn time() -> impl Strategy<Value = i64> {
    prop_oneof![3 => (0..10_i64).prop_map(|half| half * 30), 2 => 0..300_i64, 1 => 0..1440_i64, 1 => Just(1410)]
}

fn written(minute: i64) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

fn window() -> impl Strategy<Value = policy::Window> {
    let end = prop_oneof![6 => time(), 1 => Just(1440_i64)];
    (days(), time(), end).prop_map(|(days, start, end)| policy::Window {
        days,
        start: written(start),
        end: written(end),
    })
}

fn any_schedule() -> impl Strategy<Value = policy::Schedule> {
    (prop::sample::select(&ZONES[..]), prop::collection::vec(window(), 1..5))
        .prop_map(|(zone, windows)| policy::Schedule { time_zone: zone.to_owned(), windows })
}

/// Six days before a change of the clock in that zone, if there is one in the years to come, and some hours more.
fn before_a_change(zone: &TimeZone, seconds: i64, hours: i64) -> Timestamp {
    let start = Timestamp::from_second(seconds - seconds.rem_euclid(60)).unwrap();
    let change = zone.following(start).next().map_or(start, |change| change.timestamp());
    // None is left to come where the rule in force knows no summer time.
    let change = if change > at("2200-01-01T00:00:00Z") { start } else { change };
    change - SignedDuration::from_hours(6 * 24 + hours)
}

/// From 1973, when the last offset that is no whole number of minutes was gone, to 2100.
const YEARS: std::ops::Range<i64> = 94_694_400..4_102_444_800;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_walk_minute_by_minute_finds_the_same(raw in any_schedule(), seconds in YEARS, hours in -30_i64..30) {
        let schedule = read(&raw);
        let from = before_a_change(&schedule.zone, seconds, hours);
        let open = walk(&raw, &schedule.zone, from);
        let walked: Vec<Timestamp> = minutes(from).map(|(_, now)| now).collect();
        // A window reaches over two days at most, so that those at the rim of the walk are not whole.
        let rim = 2 * 24 * 60 + 180;
        let mut later = MINUTES - rim;
        let (mut closing, mut opening) = (None, None);
        while later > rim {
            later -= 1;
            if open[later] && !open[later + 1] {
                closing = Some(later + 1);
            }
            if open[later + 1] && !open[later] {
                opening = Some(later + 1);
            }
            let now = walked[later];
            let (found, next) = (schedule.open(now), schedule.next_opening(now));
            prop_assert_eq!(found.is_some(), open[later], "at {}", now);
            match closing {
                Some(closing) if open[later] => prop_assert_eq!(found, Some(walked[closing]), "at {}", now),
                _ if open[later] => prop_assert!(found >= Some(walked[MINUTES - rim]), "at {}", now),
                _ => {}
            }
            match opening {
                Some(opening) => prop_assert_eq!(next, Some(walked[opening]), "at {}", now),
                None => prop_assert!(next.is_none_or(|next| next > walked[MINUTES - rim]), "at {}", now),
            }
        }
    }

    #[test]
    fn where_the_clock_reads_nothing_twice_it_alone_decides(raw in any_schedule(), seconds in YEARS, hours in -30_i64..30) {
        let schedule = read(&raw);
        let from = before_a_change(&schedule.zone, seconds, hours);
        for (_, now) in minutes(from).skip(3 * 24 * 60).take(6 * 24 * 60) {
            let reading = schedule.zone.to_datetime(now);
            let (reads_inside, open) = (!inside(&raw, reading).is_empty(), schedule.open(now).is_some());
            let repeated = schedule.zone.to_ambiguous_timestamp(reading).is_ambiguous();
            prop_assert!(open == reads_inside || repeated && open, "{} reads {}", now, reading);
        }
    }

    #[test]
    fn the_answers_hold_together_at_any_time(raw in any_schedule(), second in Timestamp::MIN.as_second()..Timestamp::MAX.as_second(), nanos in 0_i64..1_000_000_000) {
        let schedule = read(&raw);
        let now = Timestamp::new(second, 0).unwrap().checked_add(SignedDuration::from_nanos(nanos)).unwrap();
        let (open, next) = (schedule.open(now), schedule.next_opening(now));
        if let Some(closing) = open.filter(|closing| *closing < Timestamp::MAX) {
            prop_assert!(closing > now);
            prop_assert_eq!(schedule.open(closing), None);
            prop_assert_eq!(schedule.next_opening(closing), next);
        }
        if let Some(next) = next.filter(|next| *next < Timestamp::MAX) {
            prop_assert!(next > open.unwrap_or(now));
            prop_assert!(schedule.open(next).is_some());
            prop_assert_eq!(schedule.open(next - SignedDuration::from_nanos(1)), None);
        }
    }

    #[test]
    fn hostile_texts_are_faults_and_never_a_panic(
        zone in prop_oneof![".{0,70}", "[A-Za-z/_+-]{0,30}", "(?i)europe/berlin"],
        start in prop_oneof![".{0,8}", "[0-9]{1,3}:[0-9]{1,3}"],
        end in prop_oneof![".{0,8}", "[0-2][0-9]:[0-6][0-9]"],
        now in any::<i64>(),
    ) {
        let raw = raw(&zone, &[(&[Weekday::Sun], &start, &end)]);
        match Schedule::read(&raw, "spec.schedule") {
            Ok(schedule) => {
                let now = instant(now);
                let _ = (schedule.open(now), schedule.next_opening(now), schedule.describe());
            }
            Err(faults) => {
                prop_assert!(!faults.is_empty() && faults.len() <= 3);
                prop_assert!(sentence(&faults).len() < 2500);
            }
        }
    }
}
