//! Not among the ten: a role that is gone, or that the controller may not bind, is denied before anybody is asked, and ends
//! nothing.

use proptest::prelude::*;
use proptest::sample::select;

use super::cases;
use super::simulator::Simulator;
use super::strategies::{Event, Moment, RoleEdit, Scenario, recurring, scenarios};
use crate::api::conditions;
use crate::api::reason::Reason;
use crate::api::request::{ReviewVerdict, State};
use crate::core::policies::usable::BindRights;

/// Everybody whom the policies here ask, by position in the list of reviewers.
const ASKED: [usize; 3] = [2, 3, 7];

fn losses() -> impl Strategy<Value = Event> {
    select(vec![Event::BindRight(false), Event::RoleEdited(RoleEdit::Gone)])
}

fn recovers(loss: &Event) -> Event {
    match loss {
        Event::BindRight(_) => Event::BindRight(true),
        _ => Event::RoleEdited(RoleEdit::Back),
    }
}

fn approved(simulator: &mut Simulator, scenario: &Scenario) {
    for who in ASKED {
        Event::Review(who, ReviewVerdict::Approve).happen(simulator, scenario);
    }
    simulator.settle();
}

fn reason(simulator: &Simulator) -> Option<String> {
    conditions::find(&simulator.status().conditions, conditions::APPROVED).map(|approved| approved.reason.clone())
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn what_the_controller_may_bind_changes_nothing_of_what_is_granted(
        scenario in prop_oneof![scenarios(), recurring()],
    ) {
        let Some(mut simulator) = scenario.granted() else { return Ok(()) };
        let before = simulator.plan();
        simulator.bind_rights = Some(BindRights::default());
        prop_assert_eq!(simulator.plan(), before.clone(), "nobody knows");
        Event::BindRight(false).happen(&mut simulator, &scenario);
        prop_assert_eq!(simulator.plan(), before);
    }

    /// Less than the role is another matter: that goes with the role that it was made of.
    #[test]
    fn a_role_that_goes_ends_nothing_that_was_given_of_it(scenario in prop_oneof![scenarios(), recurring()]) {
        let scenario = Scenario { narrow: false, suspends: false, ..scenario };
        let Some(mut simulator) = scenario.granted() else { return Ok(()) };
        let before = (simulator.state(), simulator.ours(), simulator.end());
        Event::RoleEdited(RoleEdit::Gone).happen(&mut simulator, &scenario);
        simulator.settle();
        prop_assert_eq!((simulator.state(), simulator.ours(), simulator.end()), before);
    }

    #[test]
    fn a_request_for_it_is_denied_at_once_and_nobody_is_asked(scenario in scenarios(), loss in losses()) {
        let mut fine = scenario.begin();
        fine.settle();
        // A start so far back that its time is over lapses.
        prop_assume!(fine.state() != State::Lapsed);
        let mut simulator = scenario.begin();
        loss.happen(&mut simulator, &scenario);
        simulator.settle();
        prop_assert_eq!(simulator.state(), State::Denied);
        let status = simulator.status();
        prop_assert!(status.stage.is_none() && status.granted_at.is_none() && status.policy.is_none());
        prop_assert_eq!(simulator.binds, 0);
    }

    #[test]
    fn while_nobody_knows_a_request_waits_and_nobody_is_asked(scenario in scenarios()) {
        let mut simulator = scenario.begin();
        let mut fine = simulator.clone();
        fine.settle();
        prop_assume!(!fine.state().is_final());
        simulator.bind_rights = Some(BindRights::default());
        simulator.settle();
        prop_assert_eq!(simulator.state(), State::Pending);
        prop_assert_eq!(reason(&simulator), Some(Reason::RightUnknown.as_str().to_owned()));
        prop_assert!(simulator.status().stage.is_none());
        Event::BindRight(true).happen(&mut simulator, &scenario);
        simulator.settle();
        prop_assert_eq!((simulator.state(), simulator.end()), (fine.state(), fine.end()));
    }

    /// It waits, keeps its approvals, and is granted when the role is back, without anybody being asked again.
    #[test]
    fn a_request_that_people_were_asked_about_waits_for_its_role(scenario in scenarios(), loss in losses()) {
        let scenario = Scenario { start: None, ..scenario };
        let mut simulator = scenario.begin();
        simulator.settle();
        prop_assume!(simulator.status().stage.is_some());
        loss.happen(&mut simulator, &scenario);
        simulator.settle();
        prop_assert_eq!(simulator.state(), State::Pending);
        approved(&mut simulator, &scenario);
        prop_assert_eq!((simulator.state(), simulator.ours()), (State::Pending, 0));
        prop_assert_eq!(reason(&simulator), Some(Reason::RoleUnusable.as_str().to_owned()));
        prop_assert!(simulator.plan().wake.is_some_and(|wake| wake > simulator.now), "the wait has no end");
        let mut too_late = simulator.clone();
        recovers(&loss).happen(&mut simulator, &scenario);
        simulator.settle();
        prop_assert_eq!(simulator.state(), State::Active);
        too_late.now = too_late.plan().wake.unwrap();
        too_late.settle();
        prop_assert_eq!(too_late.state(), State::Lapsed);
        prop_assert!(simulator.breaches.is_empty(), "{:#?}", simulator.breaches);
    }

    #[test]
    fn what_was_approved_for_later_stays_so_until_its_start(scenario in scenarios(), loss in losses()) {
        let mut simulator = scenario.begin();
        approved(&mut simulator, &scenario);
        prop_assume!(simulator.state() == State::Scheduled && simulator.ours() == 0);
        let end = simulator.end();
        loss.happen(&mut simulator, &scenario);
        simulator.settle();
        prop_assert_eq!((simulator.state(), simulator.end()), (State::Scheduled, end));
        Event::Clock(Moment::Start).happen(&mut simulator, &scenario);
        simulator.settle();
        prop_assert_eq!((simulator.state(), simulator.ours()), (State::Pending, 0), "it waits for its role");
        recovers(&loss).happen(&mut simulator, &scenario);
        simulator.settle();
        prop_assert_eq!((simulator.state(), simulator.end()), (State::Active, end));
    }
}
