//! What people are told is what is decided: the explanation of a request against the plan and the decision for it.

use proptest::prelude::*;

use super::answers::{asks, policies};
use super::simulator::Simulator;
use super::strategies::{Event, Moment, scenarios, stories};
use super::{cases, play};
use crate::api::request::State;
use crate::core::decision::answer::Decision;
use crate::core::decision::approvals::ReviewLog;
use crate::core::decision::decide::decide;
use crate::core::decision::validate::validate;
use crate::core::laws::fixtures::{namespaces, noon};
use crate::core::lifecycle::hindrance::prepare;
use crate::core::report::explain::{Outcome, StageState, Verdict, explain};

/// What the explanation must say, when `decide` says this.
fn word(decision: &Decision<'_>) -> Outcome {
    match decision {
        Decision::Undecided(_) | Decision::RightUnknown(_) => Outcome::Undecided,
        Decision::Denied(_) | Decision::Refused { .. } => Outcome::Denied,
        Decision::Waiting(_) | Decision::Frozen(..) | Decision::RoleAway(..) => Outcome::Waiting,
        Decision::Lapsed(_) => Outcome::Lapsed,
        Decision::Approved(_) => Outcome::Granted,
    }
}

/// Whether a request that is explained so can be planned to stand so next.
fn fits(outcome: Outcome, next: State) -> bool {
    match outcome {
        Outcome::Granted => matches!(next, State::Scheduled | State::Active | State::Failed),
        Outcome::Waiting | Outcome::Undecided => next == State::Pending,
        Outcome::Denied => next == State::Denied,
        Outcome::Lapsed => next == State::Lapsed,
        Outcome::Over => next.is_final(),
    }
}

/// How the request stands after the next step.
fn next(simulator: &Simulator) -> State {
    simulator.plan().comes_to().unwrap_or_else(|| simulator.state())
}

fn as_decided(simulator: &Simulator) -> Result<(), TestCaseError> {
    simulator.with_snapshot(|s| {
        let status = simulator.status();
        let explanation = explain(s, simulator.now);
        let Ok(ask) = validate(s.request) else {
            prop_assert!(
                matches!(explanation.outcome, Outcome::Denied | Outcome::Lapsed | Outcome::Over),
                "{explanation:?}"
            );
            return Ok(());
        };
        let log = ReviewLog::of(&status);
        let Ok(ask) = prepare(s, &status, &ask, simulator.now) else { return Ok(()) };
        let decision = decide(&ask, s, log, simulator.now);
        if explanation.outcome != Outcome::Over {
            prop_assert_eq!(explanation.outcome, word(&decision));
        }
        if let Decision::Denied(reasons) = &decision {
            let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
            prop_assert_eq!(&explanation.reasons, &reasons);
        }
        let (policy, open) = match &decision {
            Decision::Approved(approved) | Decision::Frozen(approved, _) | Decision::RoleAway(approved, _) => {
                (Some(approved.policy), None)
            }
            Decision::Waiting(waiting) => (Some(waiting.policy), Some((&waiting.stage.name, waiting.approved))),
            _ => return Ok(()),
        };
        if explanation.outcome != Outcome::Over {
            let named = explanation.decides.as_ref().map(|d| &d.policy);
            prop_assert_eq!(named, policy.map(|p| &p.reference.name));
            let waits = explanation.stages.iter().find(|s| s.state == StageState::Open).map(|s| (&s.name, s.approved));
            prop_assert_eq!(waits, open);
            let deciding = explanation.policies.iter().filter(|p| p.verdict == Verdict::Decides).count();
            prop_assert_eq!(deciding, 1);
        }
        Ok(())
    })
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn an_explanation_says_what_is_decided(policies in policies(), ask in asks()) {
        as_decided(&Simulator::new(ask, policies, namespaces(), noon()))?;
    }

    #[test]
    fn an_explanation_fits_what_is_planned_in_every_story(scenario in scenarios(), story in stories()) {
        let mut simulator = play(&scenario, false, &[]);
        for story_step in story {
            story_step.event.happen(&mut simulator, &scenario);
            let live = simulator.status().granted_at.is_some();
            let quiet = !simulator.is_deleted() && simulator.failure.is_none() && !simulator.refuses;
            if quiet && !simulator.state().is_final() {
                if !live && simulator.end().is_none_or(|end| end > simulator.now) {
                    as_decided(&simulator)?;
                }
                // Bindings that somebody took or changed are not looked at: the explanation is about the decision.
                let explanation = simulator.with_snapshot(|s| explain(s, simulator.now));
                if !live {
                    prop_assert!(fits(explanation.outcome, next(&simulator)), "{explanation:?} and next {:?}", next(&simulator));
                }
            }
            simulator.settle();
        }
        Event::Clock(Moment::AroundEnd { seconds: 1 }).happen(&mut simulator, &scenario);
        let explanation = simulator.with_snapshot(|s| explain(s, simulator.now));
        prop_assert!(simulator.end().is_none() || explanation.outcome != Outcome::Granted, "{explanation:?}");
    }
}
