//! The eighth law: people decide who were asked, and nobody else.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;

use super::cases;
use super::simulator::Simulator;
use super::strategies::{Event, Moment, Scenario, idle_reviews, moments, scenarios, verdicts};
use crate::api::reason::Reason;
use crate::api::request::{AccessRequestStatus, ReviewVerdict};
use crate::core::model::facts;

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn law_8_people_who_were_not_asked_change_nothing(
        scenario in scenarios(),
        asked in prop::collection::vec((select(vec![2, 3, 4, 7_usize]), verdicts()), 0..4),
        idle in prop::collection::vec(idle_reviews(), 1..5),
    ) {
        let mut quiet = scenario.begin();
        for (who, verdict) in asked {
            Event::Review(who, verdict).happen(&mut quiet, &scenario);
        }
        let mut noisy = quiet.clone();
        for event in idle {
            event.happen(&mut noisy, &scenario);
        }
        for simulator in [&mut quiet, &mut noisy] {
            simulator.settle();
            Event::Clock(Moment::Start).happen(simulator, &scenario);
            simulator.settle();
        }
        prop_assert_eq!(noisy.ours(), quiet.ours());
        let outcome = |w: &Simulator| {
            let mut status = AccessRequestStatus { reviews: BTreeMap::new(), ..w.status() };
            // That they spoke is on record; it changes nothing else. What is new may stand with what they said.
            let known = facts::known(&status.history);
            status.history.retain(|entry| entry.event != Reason::ReviewIgnored);
            status.history.iter_mut().for_each(|entry| entry.facts = None);
            (status, known)
        };
        prop_assert_eq!(outcome(&noisy), outcome(&quiet));
    }

    #[test]
    fn law_8_without_the_people_it_needs_nothing_is_ever_bound(
        scenario in scenarios(),
        story in prop::collection::vec(prop_oneof![idle_reviews(), moments().prop_map(Event::Clock)], 1..12),
        only in select(vec![None, Some(2), Some(3_usize)]),
    ) {
        // One person alone is enough for one stage, and never for two.
        let stages = if only.is_some() { 2 } else { scenario.stages.max(1) };
        let scenario = Scenario { stages, break_glass: false, ..scenario };
        let mut simulator = scenario.begin();
        if let Some(who) = only {
            Event::Review(who, ReviewVerdict::Approve).happen(&mut simulator, &scenario);
        }
        for event in story {
            event.happen(&mut simulator, &scenario);
            simulator.settle();
        }
        prop_assert_eq!(simulator.binds, 0);
    }
}
