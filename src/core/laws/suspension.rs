//! Not among the ten: access that rests between its windows or while its role is another, and roles made for a binding.

use k8s_openapi::jiff::SignedDuration;
use proptest::prelude::*;
use proptest::sample::select;

use super::cases;
use super::simulator::Simulator;
use super::strategies::{Event, RoleEdit, Scenario, recurring, scenarios};
use crate::api::policy;
use crate::api::reason::Reason;
use crate::api::request::State;
use crate::core::lifecycle::plan::ends;
use crate::core::model::schedule::Schedule;

fn schedule_of(simulator: &Simulator) -> Schedule {
    let raw = simulator.request.spec.recurrence.clone().unwrap();
    Schedule::read(&policy::Schedule { time_zone: raw.time_zone, windows: raw.windows }, "").unwrap()
}

proptest! {
    #![proptest_config(cases(150))]

    /// Walked through second by second around every wake: bound exactly while a window is open, and over at the end.
    #[test]
    fn recurring_access_is_there_in_its_windows_and_at_no_other_time(scenario in recurring(), crash in 0..4_usize) {
        let Some(mut simulator) = scenario.granted() else { return Ok(()) };
        let zone = schedule_of(&simulator);
        let end = simulator.end().unwrap();
        let (mut opened, mut suspended) = (0, 0);
        while !simulator.state().is_final() {
            let wake = simulator.plan().wake.unwrap();
            prop_assert!(wake > simulator.now && wake <= end);
            // Just before nothing changes; and the process may die half way through what it does at the moment itself.
            let before = simulator.ours();
            simulator.now = (wake - SignedDuration::from_millis(1)).max(simulator.now);
            simulator.settle();
            prop_assert_eq!(simulator.ours(), before, "changes early, before {}", wake);
            simulator.now = wake;
            // Its end needs no policy, no namespace and no sight of a binding.
            if simulator.ours() > 0 && simulator.status().window.is_some_and(|window| window.closes_at.0 == wake) {
                prop_assert!(simulator.with_snapshot(|snapshot| ends(snapshot, wake)).is_some());
            }
            simulator.step(crash);
            simulator.failure = None;
            simulator.settle();
            let open = simulator.now < end && zone.open(simulator.now).is_some();
            prop_assert_eq!(simulator.ours() > 0, open, "at {}", simulator.now);
            (opened, suspended) = (opened + usize::from(open), suspended + usize::from(!open));
        }
        prop_assert_eq!(simulator.state(), State::Expired);
        prop_assert!(opened >= 4 && suspended >= 4, "{opened} times there and {suspended} times not");
        prop_assert!(simulator.breaches.is_empty(), "{:#?}", simulator.breaches);
    }

    /// Changed under a running grant: told once, and taken away where the policy says so, until it is put back.
    #[test]
    fn a_role_that_changes_is_told_and_comes_back(scenario in scenarios(), crash in prop::option::of(0..3_usize)) {
        let Some(mut simulator) = scenario.granted() else { return Ok(()) };
        let before = simulator.ours();
        let message = |simulator: &Simulator| simulator.status().history.iter().filter(|e| e.event == Reason::RoleChanged).count();
        for (edit, changed) in [(RoleEdit::Wider, true), (RoleEdit::Back, false)] {
            Event::RoleEdited(edit).happen(&mut simulator, &scenario);
            if let Some(after) = crash {
                simulator.step(after);
                prop_assert!(simulator.ours() == 0 || simulator.state() != State::Suspended, "bound, and on record as resting");
            }
            simulator.settle();
            simulator.settle();
            let suspended = changed && scenario.suspends;
            // Half a suspension, and the role back before the process is: what is gone by then counts as deleted.
            prop_assume!(simulator.state() != State::Revoked);
            prop_assert_eq!(simulator.ours(), if suspended { 0 } else { before });
            prop_assert_eq!(simulator.state(), if suspended { State::Suspended } else { State::Active });
            prop_assert_eq!(message(&simulator), if changed { 1 } else { 2 });
        }
        prop_assert!(simulator.breaches.is_empty(), "{:#?}", simulator.breaches);
    }

    /// Less than what somebody has been given: that goes, whatever the policy says about changes.
    #[test]
    fn a_role_that_loses_what_was_made_of_it_ends_the_grant(scenario in scenarios(), gone in any::<bool>()) {
        let scenario = Scenario { narrow: true, ..scenario };
        let Some(mut simulator) = scenario.granted() else { return Ok(()) };
        Event::RoleEdited(if gone { RoleEdit::Gone } else { RoleEdit::Smaller }).happen(&mut simulator, &scenario);
        simulator.settle();
        prop_assert_eq!((simulator.ours(), simulator.state()), (0, State::Revoked));
        prop_assert!(simulator.breaches.is_empty(), "{:#?}", simulator.breaches);
    }

    /// As with bindings: put back when edited, and the end of the grant when deleted.
    #[test]
    fn a_made_role_is_put_back_or_ends_the_grant(
        scenario in scenarios(),
        event in select(vec![Event::MadeRoleEdited(0), Event::MadeRoleDeleted(0), Event::MadeRoleReplaced(0)]),
    ) {
        let scenario = Scenario { narrow: true, ..scenario };
        let Some(mut simulator) = scenario.granted() else { return Ok(()) };
        let made = |simulator: &Simulator| {
            let made = simulator.bindings.iter().filter_map(|b| b.object.made_role.clone());
            made.map(|role| (role.metadata.uid, role.metadata.labels, role.rules)).collect::<Vec<_>>()
        };
        let before = made(&simulator);
        event.happen(&mut simulator, &scenario);
        simulator.settle();
        if !matches!(event, Event::MadeRoleEdited(_)) {
            prop_assert_eq!((simulator.ours(), simulator.state()), (0, State::Revoked));
        } else {
            prop_assert_eq!(made(&simulator), before);
            let last = simulator.status().history.pop().unwrap().event;
            prop_assert_eq!(last, Reason::BindingRestored);
        }
        prop_assert!(simulator.breaches.is_empty(), "{:#?}", simulator.breaches);
    }
}
