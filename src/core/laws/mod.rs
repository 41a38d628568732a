//! The ten laws, each as a property over a small simulated cluster.
//!
//! A story is what happens from outside, beat by beat, while the controller settles, crashes after any write,
//! is interrupted between any two, or sleeps. The `simulator` writes down what breaks a law; each test
//! here asks about its own. Tests of single answers live in the modules.

mod answers;
mod arrows;
mod completeness;
mod contributing;
mod dependence;
mod ends;
mod explanation;
pub(crate) mod fixtures;
mod freezes;
mod people;
mod purity;
pub(crate) mod quarter;
mod roles;
pub(crate) mod simulator;
mod strategies;
mod suspension;
mod texts;
mod wording;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::SignedDuration;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::json;

use self::simulator::{Law, Simulator};
use self::strategies::{
    Event, Fault, Moment, Narrowing, Scenario, StoryStep, edits, moments, recurring, scenarios, stories, withdrawals,
};
use crate::api::keys;
use crate::api::reason::Reason;
use crate::api::request::{AccessRequestStatus, BindingKind, BindingRef, ReviewVerdict, State};
use crate::core::laws::fixtures::{message_of, noon, request};
use crate::core::lifecycle::drift::GrantLoss;
use crate::core::lifecycle::reap::{Owner, verdict};
use crate::core::model::duration;
use crate::core::rbac::binding::{self, Observed};

/// Everybody whom the policies here ask, by position in the list of reviewers.
const ASKED: [usize; 3] = [2, 3, 7];

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Plays a story, mostly from a live grant, and lets the controller come to rest.
fn play(scenario: &Scenario, live: bool, story: &[StoryStep]) -> Simulator {
    let mut simulator = if live { scenario.granted() } else { None }.unwrap_or_else(|| scenario.begin());
    for story_step in story {
        story_step.play(&mut simulator, scenario);
    }
    simulator.settle();
    simulator
}

/// Where a story is told from: a scenario, and whether the grant is live when it begins.
fn scenes() -> impl Strategy<Value = (Scenario, bool)> {
    (prop_oneof![3 => scenarios(), 1 => recurring()], prop::bool::weighted(0.7))
}

fn holds(simulator: &Simulator, law: Law) -> Result<(), TestCaseError> {
    let breaches: Vec<&String> = simulator.breaches.iter().filter(|(l, _)| *l == law).map(|(_, what)| what).collect();
    prop_assert!(breaches.is_empty(), "{law:?}: {breaches:#?}\nhistory: {:#?}", simulator.status().history);
    Ok(())
}

/// One test for each law that holds at every moment of every story.
macro_rules! in_every_story {
    ($($name:ident: $law:ident,)*) => {
        proptest! {
            #![proptest_config(cases(150))]
            $(
                #[test]
                fn $name((scenario, live) in scenes(), story in stories()) {
                    holds(&play(&scenario, live, &story), Law::$law)?;
                }
            )*
        }
    };
}

in_every_story! {
    law_1_a_grant_is_on_record_before_its_binding_exists: RecordBeforeGrant,
    law_1_a_binding_is_gone_before_the_record_says_so: RevokeBeforeRecord,
    law_2_the_end_never_moves_and_nothing_is_left_after_it: ExpiryFirst,
    law_3_nothing_is_left_of_a_grant_that_is_withdrawn: Withdrawal,
    law_4_what_was_deleted_stays_deleted_and_what_was_edited_is_put_back: ByHand,
    law_5_bindings_of_others_are_left_alone: OnlyOurs,
    law_6_the_reaper_takes_what_is_over_and_nothing_else: Reaper,
    law_7_every_plan_wakes_by_the_next_deadline: Wake,
    law_8_what_reviewers_wrote_is_theirs: People,
    law_10_history_only_grows_and_the_end_is_final: History,
    every_story_comes_to_rest: Settles,
    access_rests_outside_of_its_windows_and_while_its_role_is_another: Rest,
    there_is_no_access_while_a_policy_denies_it: Freeze,
    what_is_made_of_a_role_gives_no_more_than_it: Narrow,
    what_was_recorded_stays_as_it_was: Records,
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn law_3_access_goes_when_it_is_withdrawn(
        scenario in scenarios(),
        event in withdrawals(),
        crash in prop::option::of(0..3_usize),
    ) {
        let Some(mut simulator) = scenario.granted() else { return Ok(()) };
        event.happen(&mut simulator, &scenario);
        // A grant of one second fits under every maximum that a policy can have.
        let shortest = matches!(scenario.duration, Some("1s" | "1s500ms"));
        prop_assume!(!(shortest && matches!(event, Event::PolicyNarrowed(Narrowing::Max))));
        if let Some(after) = crash {
            simulator.step(after);
        }
        simulator.settle();
        prop_assert_eq!(simulator.ours(), 0);
        prop_assert_eq!(simulator.state(), State::Revoked);
        let binds = simulator.binds;
        Event::PolicyBack.happen(&mut simulator, &scenario);
        simulator.settle();
        prop_assert_eq!(simulator.binds, binds, "granted again");
        prop_assert!(simulator.breaches.is_empty(), "{:#?}", simulator.breaches);
    }

    #[test]
    fn law_4_an_edited_binding_is_put_back_and_warned_about(
        scenario in scenarios(), at in 0..3_usize, edit in edits(),
    ) {
        let Some(mut simulator) = scenario.granted() else { return Ok(()) };
        let before: Vec<Observed> = simulator.bindings.iter().map(|b| b.object.clone()).collect();
        Event::BindingEdited(at, edit).happen(&mut simulator, &scenario);
        simulator.settle();
        for (was, is) in before.iter().zip(&simulator.bindings) {
            prop_assert_eq!(&was.subjects, &is.object.subjects);
            prop_assert_eq!(&was.metadata.labels, &is.object.metadata.labels);
            prop_assert_eq!(&was.metadata.annotations, &is.object.metadata.annotations);
            prop_assert_eq!(&was.metadata.uid, &is.object.metadata.uid);
        }
        let history = simulator.status().history;
        prop_assert_eq!(&history.last().unwrap().event, &Reason::BindingRestored);
        prop_assert_eq!(simulator.state(), State::Active);
    }

    #[test]
    fn law_4_a_binding_deleted_by_hand_ends_the_whole_grant(scenario in scenarios(), at in 0..3_usize) {
        let Some(mut simulator) = scenario.granted() else { return Ok(()) };
        let binds = simulator.binds;
        Event::BindingDeleted(at).happen(&mut simulator, &scenario);
        simulator.settle();
        prop_assert_eq!((simulator.state(), simulator.ours(), simulator.binds), (State::Revoked, 0, binds));
        let status = simulator.status();
        let deleted: Vec<String> = status.bindings.iter().map(|b| GrantLoss::Deleted(b.clone()).to_string()).collect();
        prop_assert!(deleted.contains(&message_of(status.message.clone())), "{:?}", status.message);
    }

    /// A stranger in the place of a binding fails the request, and stands there afterwards as before.
    #[test]
    fn law_5_a_binding_of_the_same_name_is_not_adopted(scenario in scenarios(), at in 0..4_usize) {
        let mut simulator = scenario.begin();
        Event::StrangerFirst(at).happen(&mut simulator, &scenario);
        let stranger = simulator.bindings[0].object.clone();
        for who in ASKED {
            Event::Review(who, ReviewVerdict::Approve).happen(&mut simulator, &scenario);
        }
        simulator.settle();
        Event::Clock(Moment::Start).happen(&mut simulator, &scenario);
        simulator.settle();
        let in_the_way = simulator.status().bindings.iter().any(|r| stranger.is_at(r));
        prop_assert_eq!(in_the_way, simulator.state() == State::Failed);
        prop_assert_eq!(in_the_way && simulator.ours() > 0, false);
        prop_assert!(simulator.bindings.iter().any(|b| b.object == stranger));
        holds(&simulator, Law::OnlyOurs)?;
    }

    /// The runtime keeps one timer: if nothing ever happens, waking when told must be enough to see the end.
    #[test]
    fn law_7_waking_when_told_is_enough(scenario in scenarios(), approved in any::<bool>()) {
        let mut simulator = scenario.begin();
        for who in ASKED {
            if approved {
                Event::Review(who, ReviewVerdict::Approve).happen(&mut simulator, &scenario);
            }
        }
        for _ in 0..4 {
            simulator.settle();
            let Some(wake) = simulator.plan().wake.filter(|_| !simulator.state().is_final()) else { break };
            prop_assert!(wake > simulator.now);
            simulator.now = wake;
        }
        prop_assert!(simulator.state().is_final(), "{:#?}", simulator.status());
        let length = duration::parse(scenario.duration.unwrap_or("1h")).unwrap();
        let window = simulator.request.spec.start_time.as_ref().map(|start| start.0 + length);
        let answer = noon() + SignedDuration::from_hours(2);
        let over = simulator.end().unwrap_or(window.map_or(answer, |window| window.min(answer)));
        prop_assert!(simulator.now <= over.max(noon()), "ended at {} only", simulator.now);
        prop_assert!(simulator.breaches.is_empty(), "{:#?}", simulator.breaches);
    }

    /// A policy that might deny cannot be read: nothing is granted and nothing denied, until it is mended.
    #[test]
    fn law_9_undecided_is_not_denied(scenario in scenarios()) {
        let mut simulator = scenario.begin();
        let mut sound = scenario.granted();
        Event::DenyAdded(Fault::Scope).happen(&mut simulator, &scenario);
        for who in ASKED {
            Event::Review(who, ReviewVerdict::Approve).happen(&mut simulator, &scenario);
        }
        simulator.settle();
        prop_assert_eq!((simulator.state(), simulator.binds), (State::Pending, 0));
        Event::DenyRemoved.happen(&mut simulator, &scenario);
        simulator.settle();
        Event::Clock(Moment::Start).happen(&mut simulator, &scenario);
        simulator.settle();
        prop_assert_eq!(simulator.ours(), sound.as_mut().map_or(0, |w| w.ours()));
    }

    /// Nothing at all brings a finished request back, nor changes a letter of it.
    #[test]
    fn law_10_a_finished_request_is_left_as_it_is((scenario, live) in scenes(), story in stories(), more in stories()) {
        let mut simulator = play(&scenario, live, &story);
        // The review of break-glass access is all that may come after the end.
        if !simulator.state().is_final() || simulator.status().break_glass.is_some_and(|review| review.is_open()) {
            return Ok(());
        }
        let (before, binds) = (AccessRequestStatus { reviews: BTreeMap::new(), ..simulator.status() }, simulator.binds);
        for story_step in more {
            story_step.play(&mut simulator, &scenario);
            simulator.settle();
        }
        prop_assert_eq!(AccessRequestStatus { reviews: BTreeMap::new(), ..simulator.status() }, before);
        prop_assert_eq!((simulator.binds, simulator.ours()), (binds, 0));
    }

    /// Whatever the status says, even if somebody wrote nonsense into it: no binding without a record that
    /// names it and dates it, and no panic.
    #[test]
    fn law_1_no_record_however_odd_leads_to_a_binding_that_it_does_not_name(
        (scenario, live) in scenes(), holes in subsequence(vec![0, 1, 2, 3, 4, 5, 6], 0..5),
        state in select(vec![State::Pending, State::Scheduled, State::Active, State::Revoked]), moment in moments(),
    ) {
        let mut simulator = play(&scenario, live, &[]);
        let mut status = simulator.status();
        status.state = state;
        for hole in holes {
            match hole {
                0 => status.granted_at = None,
                1 => status.expires_at = None,
                2 => status.bindings.clear(),
                3 => status.policy = None,
                4 => status.conditions.clear(),
                5 => status.bindings.iter_mut().for_each(|b| b.uid = None),
                _ => simulator.bindings.clear(),
            }
        }
        simulator.request.status = Some(status);
        Event::Clock(moment).happen(&mut simulator, &scenario);
        for wanted in simulator.plan().bind {
            let status = simulator.status();
            prop_assert!(status.granted_at.is_some() && !status.state.is_final());
            prop_assert!(status.expires_at.is_some_and(|end| simulator.now < end.0));
            let place = |b: &BindingRef| (b.kind, b.namespace.clone(), b.name.clone());
            prop_assert!(status.bindings.iter().any(|recorded| place(recorded) == place(&wanted.reference())));
        }
    }

    #[test]
    fn law_6_a_binding_is_condemned_exactly_when_no_live_grant_knows_it(
        right in prop::collection::vec(prop::bool::weighted(0.9), 6),
        state in select(vec![State::Scheduled, State::Active, State::Active, State::Expired, State::Revoked]),
        left in prop_oneof![-1..=1_i64, -1_000_000_000..=1_000_000_000_i64],
    ) {
        let [marked, same_uid, same_name, same_place, owner_is_there, dated] = right.try_into().unwrap();
        let end = noon() + SignedDuration::from_hours(1);
        let now = end - SignedDuration::from_nanos(left);
        let recorded = BindingRef {
            role: None,
            kind: BindingKind::RoleBinding,
            namespace: Some("shop".to_owned()),
            name: "daypass-r-1".to_owned(),
            uid: None,
        };
        let mut request = request(json!({}));
        let wanted = binding::wanted(&request, &AccessRequestStatus::default(), &recorded);
        let mut binding = Observed::from(&wanted.role_binding());
        let labels = binding.metadata.labels.get_or_insert_default();
        if !marked {
            labels.remove(keys::MANAGED_BY);
        }
        if !same_uid {
            labels.insert(keys::REQUEST_UID.to_owned(), "r-2".to_owned());
        }
        if !same_name {
            binding.metadata.name = Some("daypass-r-2".to_owned());
        }
        if !same_place {
            binding.metadata.namespace = Some("bank".to_owned());
        }
        request.status = Some(AccessRequestStatus {
            state,
            granted_at: Some(Time(noon())),
            expires_at: dated.then_some(Time(end)),
            bindings: vec![recorded],
            ..Default::default()
        });
        let owner = if owner_is_there { Owner::Found(&request) } else { Owner::Gone };
        let live = owner_is_there && same_uid && !state.is_final() && dated && now < end;
        let known = live && same_name && same_place;
        prop_assert_eq!(verdict(&binding, owner, now).is_some(), marked && !known);
    }
}
