//! Not among the ten: access that rests between its windows or while its role is another, and roles made for a binding.

use k8s_openapi::jiff::SignedDuration;
use proptest::prelude::*;
use proptest::sample::select;

use super::cases;
use super::simulator::World;
use super::strategies::{Event, RoleEdit, Scenario, recurring, scenarios};
use crate::api::policy;
use crate::api::reason::Reason;
use crate::api::request::State;
use crate::core::lifecycle::plan::ends;
use crate::core::model::schedule::Schedule;

fn schedule_of(world: &World) -> Schedule {
    let raw = world.request.spec.recurrence.clone().unwrap();
    Schedule::read(&policy::Schedule { time_zone: raw.time_zone, windows: raw.windows }, "").unwrap()
}

proptest! {
    #![proptest_config(cases(150))]

    /// Walked through second by second around every wake: bound exactly while a window is open, and over at the end.
    #[test]
    fn recurring_access_is_there_in_its_windows_and_at_no_other_time(scenario in recurring(), crash in 0..4_usize) {
        let Some(mut world) = scenario.granted() else { return Ok(()) };
        let zone = schedule_of(&world);
        let end = world.end().unwrap();
        let (mut opened, mut rests) = (0, 0);
        while !world.state().is_final() {
            let wake = world.plan().wake.unwrap();
            prop_assert!(wake > world.now && wake <= end);
            // Just before nothing changes; and the process may die half way through what it does at the moment itself.
            let before = world.ours();
            world.now = (wake - SignedDuration::from_millis(1)).max(world.now);
            world.settle();
            prop_assert_eq!(world.ours(), before, "changes early, before {}", wake);
            world.now = wake;
            // Its end needs no policy, no namespace and no sight of a binding.
            if world.ours() > 0 && world.status().window.is_some_and(|window| window.closes_at.0 == wake) {
                prop_assert!(world.with_snapshot(|snapshot| ends(snapshot, wake)).is_some());
            }
            world.step(crash);
            world.failure = None;
            world.settle();
            let open = world.now < end && zone.open(world.now).is_some();
            prop_assert_eq!(world.ours() > 0, open, "at {}", world.now);
            (opened, rests) = (opened + usize::from(open), rests + usize::from(!open));
        }
        prop_assert_eq!(world.state(), State::Expired);
        prop_assert!(opened >= 4 && rests >= 4, "{opened} times there and {rests} times not");
        prop_assert!(world.breaches.is_empty(), "{:#?}", world.breaches);
    }

    /// Changed under a running grant: told once, and taken away where the policy says so, until it is put back.
    #[test]
    fn a_role_that_changes_is_told_and_comes_back(scenario in scenarios(), crash in prop::option::of(0..3_usize)) {
        let Some(mut world) = scenario.granted() else { return Ok(()) };
        let before = world.ours();
        let message = |world: &World| world.status().history.iter().filter(|e| e.event == Reason::RoleChanged).count();
        for (edit, changed) in [(RoleEdit::Wider, true), (RoleEdit::Back, false)] {
            Event::RoleEdited(edit).happen(&mut world, &scenario);
            if let Some(after) = crash {
                world.step(after);
                prop_assert!(world.ours() == 0 || world.state() != State::Suspended, "bound, and on record as resting");
            }
            world.settle();
            world.settle();
            let rests = changed && scenario.suspends;
            // Half a suspension, and the role back before the process is: what is gone by then counts as deleted.
            prop_assume!(world.state() != State::Revoked);
            prop_assert_eq!(world.ours(), if rests { 0 } else { before });
            prop_assert_eq!(world.state(), if rests { State::Suspended } else { State::Active });
            prop_assert_eq!(message(&world), if changed { 1 } else { 2 });
        }
        prop_assert!(world.breaches.is_empty(), "{:#?}", world.breaches);
    }

    /// Less than what somebody has been given: that goes, whatever the policy says about changes.
    #[test]
    fn a_role_that_loses_what_was_made_of_it_ends_the_grant(scenario in scenarios(), gone in any::<bool>()) {
        let scenario = Scenario { narrow: true, ..scenario };
        let Some(mut world) = scenario.granted() else { return Ok(()) };
        Event::RoleEdited(if gone { RoleEdit::Gone } else { RoleEdit::Smaller }).happen(&mut world, &scenario);
        world.settle();
        prop_assert_eq!((world.ours(), world.state()), (0, State::Revoked));
        prop_assert!(world.breaches.is_empty(), "{:#?}", world.breaches);
    }

    /// As with bindings: put back when edited, and the end of the grant when deleted.
    #[test]
    fn a_made_role_is_put_back_or_ends_the_grant(
        scenario in scenarios(),
        event in select(vec![Event::MadeRoleEdited(0), Event::MadeRoleDeleted(0), Event::MadeRoleReplaced(0)]),
    ) {
        let scenario = Scenario { narrow: true, ..scenario };
        let Some(mut world) = scenario.granted() else { return Ok(()) };
        let made = |world: &World| {
            let made = world.bindings.iter().filter_map(|b| b.object.made_role.clone());
            made.map(|role| (role.metadata.uid, role.metadata.labels, role.rules)).collect::<Vec<_>>()
        };
        let before = made(&world);
        event.happen(&mut world, &scenario);
        world.settle();
        if !matches!(event, Event::MadeRoleEdited(_)) {
            prop_assert_eq!((world.ours(), world.state()), (0, State::Revoked));
        } else {
            prop_assert_eq!(made(&world), before);
            let last = world.status().history.pop().unwrap().event;
            prop_assert_eq!(last, Reason::BindingRestored);
        }
        prop_assert!(world.breaches.is_empty(), "{:#?}", world.breaches);
    }
}
