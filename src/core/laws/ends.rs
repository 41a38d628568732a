//! The second law: access ends at its stated end, then and never later, whatever happens.

use k8s_openapi::jiff::SignedDuration;
use proptest::prelude::*;
use proptest::sample::select;

use super::simulator::{Law, Simulator, cannot_bind};
use super::strategies::{Event, disturbances, scenarios};
use super::{ASKED, cases, holds};
use crate::api::keys;
use crate::api::request::{ReviewVerdict, State};

proptest! {
    #![proptest_config(cases(150))]

    /// Whatever is broken at that moment, even all of it, and even if the first try is cut short.
    #[test]
    fn law_2_at_its_end_access_goes_whatever_else_is_broken(
        scenario in scenarios(),
        broken in prop::collection::vec(disturbances(), 0..6),
        late in prop_oneof![Just(0), 0..5_000_000_000_i64],
        crash in prop::option::of(0..3_usize),
        refused in prop::option::of(Just(cannot_bind())),
    ) {
        let Some(mut simulator) = scenario.granted() else { return Ok(()) };
        let end = simulator.end().unwrap();
        for event in broken {
            event.happen(&mut simulator, &scenario);
        }
        (simulator.now, simulator.failure) = (end + SignedDuration::from_nanos(late), refused);
        if let Some(after) = crash {
            simulator.step(after);
        }
        simulator.step(usize::MAX);
        prop_assert_eq!(simulator.ours(), 0);
        prop_assert_eq!(simulator.end(), Some(end));
        prop_assert_eq!(simulator.state(), State::Expired);
        holds(&simulator, Law::ExpiryFirst)?;
    }

    #[test]
    fn law_2_until_its_end_access_stays(
        scenario in scenarios(),
        before in select(vec![1, 1_000_000, 999_999_999, 1_000_000_000_i64]),
    ) {
        let Some(mut simulator) = scenario.granted() else { return Ok(()) };
        let just_before = simulator.end().unwrap() - SignedDuration::from_nanos(before);
        prop_assume!(just_before > simulator.now);
        simulator.now = just_before;
        let before = simulator.status();
        simulator.settle();
        // That a review is overdue goes on record meanwhile.
        prop_assert!(scenario.break_glass || simulator.status() == before);
        prop_assert_eq!((simulator.state(), simulator.end()), (State::Active, before.expires_at.map(|t| t.0)));
        prop_assert!(simulator.ours() > 0);
    }

    /// However long a request waits for its end, nothing stretches it: the length is counted from the start.
    #[test]
    fn law_2_a_late_grant_ends_as_early_as_a_punctual_one(scenario in scenarios(), late in 0..3600_i64) {
        let Some(start) = scenario.begin().request.spec.start_time.map(|t| t.0) else { return Ok(()) };
        let punctual = scenario.granted().and_then(|w| w.end());
        let mut simulator = scenario.begin();
        simulator.now = simulator.now.max(start) + SignedDuration::from_secs(late);
        for who in ASKED {
            Event::Review(who, ReviewVerdict::Approve).happen(&mut simulator, &scenario);
        }
        simulator.settle();
        if simulator.ours() > 0 {
            prop_assert_eq!(simulator.end(), punctual);
        }
    }

    /// Forward it ends early, back it ends late, by the clock's own error; no jump moves the end or brings it back.
    #[test]
    fn law_2_a_clock_that_jumps_neither_moves_an_end_nor_revives_it(
        scenario in scenarios(), jumps in prop::collection::vec(-20_000..20_000_i64, 1..8),
    ) {
        let Some(mut simulator) = scenario.granted() else { return Ok(()) };
        let (end, binds, mut over) = (simulator.end(), simulator.binds, false);
        for jump in jumps {
            simulator.now += SignedDuration::from_secs(jump);
            simulator.settle();
            over |= end.is_some_and(|end| end <= simulator.now);
            prop_assert_eq!((simulator.end(), simulator.binds), (end, binds));
            prop_assert_eq!((simulator.state().is_final(), simulator.ours() == 0), (over, over));
        }
        prop_assert!(simulator.breaches.is_empty(), "{:#?}", simulator.breaches);
    }

    /// The end moves by what was approved, the bindings stay the same ones, and then it ends.
    #[test]
    fn law_2_an_extension_moves_the_end_and_leaves_no_gap(
        scenario in scenarios(), crash in prop::option::of(0..3_usize), minutes in select(vec![1, 10, 30_i64]),
    ) {
        let Some(mut simulator) = scenario.granted() else { return Ok(()) };
        // Without stages the policy of an emergency is for emergencies only.
        prop_assume!(!(scenario.break_glass && scenario.stages == 0));
        let (end, binds) = (simulator.end().unwrap(), simulator.binds);
        let standing = |w: &Simulator| w.bindings.iter().map(|b| b.object.metadata.uid.clone()).collect::<Vec<_>>();
        let before = standing(&simulator);
        Event::Extension { minutes, approved: true }.happen(&mut simulator, &scenario);
        if let Some(after) = crash {
            simulator.step(after);
        }
        simulator.settle();
        let later = end + SignedDuration::from_mins(minutes);
        prop_assert_eq!((simulator.end(), simulator.state()), (Some(later), State::Active));
        prop_assert_eq!((standing(&simulator), simulator.binds), (before, binds));
        for binding in &simulator.bindings {
            let annotations = binding.object.metadata.annotations.as_ref().unwrap();
            prop_assert_eq!(&annotations[keys::EXPIRES_AT], &later.to_string());
        }
        let message: Vec<String> = simulator.status().history.iter().map(|entry| entry.event.as_str().to_owned()).collect();
        prop_assert_eq!(message.last().map(String::as_str), Some("Extended"));
        prop_assert!(!message.iter().any(|event| event == "BindingRestored"));
        simulator.now = end;
        simulator.settle();
        prop_assert!(simulator.ours() > 0, "a gap at the old end");
        simulator.now = later;
        simulator.settle();
        prop_assert_eq!((simulator.state(), simulator.ours()), (State::Expired, 0));
        prop_assert!(simulator.breaches.is_empty(), "{:#?}", simulator.breaches);
    }

    /// Too long, one too many, or not approved any more by the time it counts: the end stays.
    #[test]
    fn law_2_an_extension_that_is_not_allowed_moves_nothing(
        scenario in scenarios(), more in prop::collection::vec((select(vec![10, 31, 600_i64]), any::<bool>()), 1..6),
    ) {
        let Some(mut simulator) = scenario.granted() else { return Ok(()) };
        let end = simulator.end().unwrap();
        let for_emergencies = scenario.break_glass && scenario.stages == 0;
        let allowed = |(minutes, approved): &&(i64, bool)| {
            *minutes <= 30 && (*approved || scenario.stages == 0) && !for_emergencies
        };
        for (minutes, approved) in &more {
            Event::Extension { minutes: *minutes, approved: *approved }.happen(&mut simulator, &scenario);
        }
        simulator.settle();
        let added: i64 = more.iter().filter(allowed).take(2).map(|(minutes, _)| minutes).sum();
        prop_assert_eq!(simulator.end(), Some(end + SignedDuration::from_mins(added)));
        prop_assert!(simulator.breaches.is_empty(), "{:#?}", simulator.breaches);
    }
}
