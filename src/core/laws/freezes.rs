//! Not among the ten: policies that deny in windows. Access is cut where one opens, and waits or rests until it closes.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::sample::select;

use super::cases;
use super::simulator::Simulator;
use super::strategies::{Event, FREEZES, Moment, Scenario, recurring, scenarios};
use crate::api::reason::Reason;
use crate::api::request::{ReviewVerdict, State};
use crate::core::laws::fixtures::noon;

/// When a window on the day of the stories opens and closes.
fn of_day(window: usize) -> (Timestamp, Timestamp) {
    let at = |time: &str| format!("2026-11-23T{time}:00Z").parse().unwrap();
    (at(FREEZES[window].0), at(FREEZES[window].1))
}

/// Whether a window is open, also in the weeks that follow.
fn denies_at(window: usize, now: Timestamp) -> bool {
    const WEEK: i64 = 7 * 24 * 3600;
    let (opens, closes) = of_day(window);
    (now.as_second() - opens.as_second()).rem_euclid(WEEK) < closes.duration_since(opens).as_secs()
}

/// A cluster in which a policy denies in a window, and everybody has approved who is asked.
fn frozen(scenario: &Scenario, window: usize, exempt: bool) -> Simulator {
    let mut simulator = scenario.begin();
    Event::FreezeAdded { window, exempt }.happen(&mut simulator, scenario);
    if !scenario.break_glass {
        for who in [2, 3, 7] {
            Event::Review(who, ReviewVerdict::Approve).happen(&mut simulator, scenario);
        }
    }
    simulator
}

/// Goes from wake to wake until the request is over, and looks each time.
fn walk(
    simulator: &mut Simulator,
    mut look: impl FnMut(&mut Simulator) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    for _ in 0..60 {
        simulator.settle();
        look(simulator)?;
        let Some(wake) = simulator.plan().wake.filter(|_| !simulator.state().is_final()) else { break };
        prop_assert!(wake > simulator.now);
        // Just before it nothing changes.
        let before = simulator.ours();
        simulator.now = (wake - SignedDuration::from_millis(1)).max(simulator.now);
        simulator.settle();
        prop_assert_eq!(simulator.ours(), before, "changes early, before {}", wake);
        simulator.now = wake;
    }
    prop_assert!(simulator.breaches.is_empty(), "{:#?}", simulator.breaches);
    Ok(())
}

fn spared(scenario: &Scenario, exempt: bool) -> bool {
    scenario.break_glass && exempt
}

/// An extension is decided as any other request, also one of access that was given in an emergency that the policy spares.
#[test]
fn an_extension_of_emergency_access_adds_no_time_in_a_window() {
    let scenario = Scenario {
        scope: serde_json::json!({}),
        start: None,
        duration: Some("1s"),
        stages: 1,
        break_glass: true,
        by_label: false,
        blind: false,
        narrow: false,
        recurs: false,
        suspends: false,
    };
    let mut world = frozen(&scenario, 1, true);
    world.settle();
    Event::Extension { minutes: 10, approved: true }.happen(&mut world, &scenario);
    world.settle();
    assert_eq!((world.state(), world.end()), (State::Active, Some(of_day(1).0)));
    assert!(world.breaches.is_empty(), "{:#?}", world.breaches);
}

proptest! {
    #![proptest_config(cases(150))]

    /// Woken when told and at no other time: bound at no instant of the window, and over at the end that was stated.
    #[test]
    fn access_is_never_there_in_a_window_that_was_known(
        scenario in prop_oneof![3 => scenarios(), 1 => recurring()], window in 0..FREEZES.len(), exempt in any::<bool>(),
    ) {
        let (opens, _) = of_day(window);
        let mut simulator = frozen(&scenario, window, exempt);
        let free = spared(&scenario, exempt);
        let mut stated = None;
        walk(&mut simulator, |simulator| {
            let denied = denies_at(window, simulator.now);
            prop_assert!(free || !denied || simulator.ours() == 0, "access at {}", simulator.now);
            if simulator.status().granted_at.is_some() && !scenario.recurs {
                // Written once, and not after the opening.
                let end = *stated.get_or_insert(simulator.end().unwrap());
                prop_assert_eq!(simulator.end(), Some(end));
                let began = simulator.status().granted_at.unwrap().0;
                prop_assert!(free || began >= opens || end <= opens, "from {} until {}", began, end);
            }
            Ok(())
        })?;
        prop_assert!(simulator.state() != State::Revoked, "{:#?}", simulator.status());
    }

    /// Made later, it revokes when its window opens, in the second, and running access says so before.
    #[test]
    fn a_denial_made_later_is_told_and_revokes_when_its_window_opens(
        scenario in scenarios(), window in 1..FREEZES.len(), exempt in any::<bool>(), crash in prop::option::of(0..3_usize),
    ) {
        let scenario = Scenario { duration: Some("1h"), start: None, ..scenario };
        let Some(mut simulator) = scenario.granted() else { return Ok(()) };
        let (opens, _) = of_day(window);
        let end = simulator.end().unwrap();
        Event::FreezeAdded { window, exempt }.happen(&mut simulator, &scenario);
        simulator.settle();
        let announced = simulator.status().history.iter().filter(|e| e.event == Reason::FreezeAhead).count();
        let free = spared(&scenario, exempt);
        prop_assert_eq!(announced, usize::from(!free && opens < end));
        let ahead = simulator.status().freeze_ahead.map(|freeze| freeze.opens_at.0);
        prop_assert_eq!(ahead, (!free && opens <= end).then_some(opens));
        if free || opens >= end {
            prop_assert_eq!((simulator.state(), simulator.end()), (State::Active, Some(end)));
            return Ok(());
        }
        simulator.now = opens - SignedDuration::from_nanos(1);
        simulator.settle();
        prop_assert!(simulator.ours() > 0, "access goes before its time");
        simulator.now = opens;
        if let Some(after) = crash {
            simulator.step(after);
        }
        simulator.settle();
        prop_assert_eq!((simulator.state(), simulator.ours(), simulator.end()), (State::Revoked, 0, Some(end)));
        prop_assert!(simulator.breaches.is_empty(), "{:#?}", simulator.breaches);
    }

    /// Taken back before it opens, it leaves access as it was, and no note of it.
    #[test]
    fn a_denial_that_is_removed_before_its_window_opens_changes_nothing(scenario in scenarios()) {
        let scenario = Scenario { duration: Some("1h"), start: None, ..scenario };
        let Some(mut simulator) = scenario.granted() else { return Ok(()) };
        let (before, bindings) = (simulator.status(), simulator.ours());
        Event::FreezeAdded { window: 1, exempt: false }.happen(&mut simulator, &scenario);
        simulator.settle();
        Event::DenyRemoved.happen(&mut simulator, &scenario);
        simulator.settle();
        let mut after = simulator.status();
        after.history.truncate(before.history.len());
        prop_assert_eq!((after, simulator.ours()), (before, bindings));
    }

    /// It keeps its approvals: at the closing access begins, and lasts for what was asked for.
    #[test]
    fn a_request_without_a_start_waits_for_the_closing_and_is_granted_then(
        scenario in scenarios(), duration in select(vec!["1s", "10m", "1h"]),
    ) {
        let scenario = Scenario { start: None, break_glass: false, duration: Some(duration), ..scenario };
        // The same request where nobody denies tells whether it can be granted at all.
        let Some(granted) = scenario.granted() else { return Ok(()) };
        let length = granted.end().unwrap().duration_since(noon());
        let (_, closes) = of_day(0);
        let mut simulator = frozen(&scenario, 0, false);
        simulator.settle();
        prop_assert_eq!((simulator.state(), simulator.binds, simulator.end()), (State::Pending, 0, None));
        prop_assert_eq!(simulator.plan().wake, Some(closes));
        prop_assert!(simulator.status().message.unwrap().contains(&closes.to_string()));
        simulator.now = closes - SignedDuration::from_nanos(1);
        simulator.settle();
        prop_assert_eq!(simulator.binds, 0);
        simulator.now = closes;
        simulator.settle();
        prop_assert_eq!((simulator.state(), simulator.end()), (State::Active, Some(closes + length)));
        prop_assert!(simulator.breaches.is_empty(), "{:#?}", simulator.breaches);
    }

    /// Bound before the window and after it, in those of its own; never revoked.
    #[test]
    fn recurring_access_rests_and_comes_back(scenario in recurring(), known in any::<bool>()) {
        let Some(mut plain) = scenario.granted() else { return Ok(()) };
        let mut simulator = if known { frozen(&scenario, 1, false) } else { plain.clone() };
        Event::FreezeAdded { window: 1, exempt: false }.happen(&mut simulator, &scenario);
        let (_, closes) = of_day(1);
        let mut came_back = false;
        walk(&mut simulator, |simulator| {
            plain.now = simulator.now.max(plain.now);
            plain.settle();
            let denied = denies_at(1, simulator.now);
            if simulator.status().granted_at.is_some() {
                prop_assert_eq!(simulator.ours() > 0, plain.ours() > 0 && !denied, "at {}", simulator.now);
            }
            came_back |= simulator.now >= closes && simulator.ours() > 0;
            Ok(())
        })?;
        prop_assert_eq!((simulator.state(), came_back), (State::Expired, true));
    }

    /// A start that is named does not move: no, with the time from which on it could be.
    #[test]
    fn a_start_in_a_window_is_denied_with_the_way_out(scenario in scenarios(), minutes in 10..35_i64) {
        let scenario = Scenario { start: Some((minutes * 60, 0)), break_glass: false, ..scenario };
        let (_, closes) = of_day(1);
        let mut simulator = frozen(&scenario, 1, false);
        simulator.settle();
        prop_assert_eq!(simulator.state(), State::Denied);
        if scenario.granted().is_some() {
            let message = simulator.status().message.unwrap();
            prop_assert!(message.contains("spec.startTime") && message.contains(&closes.to_string()), "{}", message);
        }
    }

    /// No or at once, and never later.
    #[test]
    fn an_emergency_does_not_wait(scenario in scenarios(), exempt in any::<bool>()) {
        let scenario = Scenario { break_glass: true, start: None, ..scenario };
        if scenario.granted().is_none() {
            return Ok(());
        }
        let mut simulator = frozen(&scenario, 0, exempt);
        simulator.settle();
        let expected = if exempt { State::Active } else { State::Denied };
        prop_assert_eq!(simulator.state(), expected);
        if exempt {
            // The policy spares what it let in, and not what it let in before somebody thought otherwise.
            Event::FreezeAdded { window: 0, exempt: false }.happen(&mut simulator, &scenario);
            simulator.settle();
            prop_assert_eq!((simulator.state(), simulator.ours()), (State::Revoked, 0));
        }
        Event::Clock(Moment::Later { seconds: 3600, nanos: 0 }).happen(&mut simulator, &scenario);
        simulator.settle();
        prop_assert!(simulator.breaches.is_empty(), "{:#?}", simulator.breaches);
    }
}
