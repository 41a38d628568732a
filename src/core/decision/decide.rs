//! Yes, no, or not yet: what the policies and reviewers say to a request.
//!
//! The answer does not depend on the order of policies. A denial carries all reasons.

use k8s_openapi::jiff::Timestamp;

use super::choose::{Chosen, choose};
use crate::api::policy::Effect;
use crate::core::decision::answer::{Approved, Decision, Lapse, RightUnknown, Unreadable, Waiting};
use crate::core::decision::approvals::ReviewLog;
use crate::core::decision::context::EvalContext;
use crate::core::decision::held_up::{frozen, role_away};
use crate::core::decision::people::{Answer, ask_people};
use crate::core::decision::shortfall::{Denial, Shortfall};
use crate::core::decision::snapshot::Snapshot;
use crate::core::decision::stance::denials;
use crate::core::model::ask::ValidRequest;

/// Decides a request at a time.
pub fn decide<'p>(ask: &ValidRequest<'_>, s: &Snapshot<'p>, log: ReviewLog<'_>, now: Timestamp) -> Decision<'p> {
    let policies = s.policies;
    if let Some(fault) = s.reach.refusal(s.request.metadata.namespace.as_deref().unwrap_or_default(), &ask.target) {
        return Decision::Denied(vec![Denial::Request(fault)]);
    }
    let place = match ask.target.resolve(s.namespaces) {
        Ok(place) => place,
        Err(fault) => return Decision::Denied(vec![Denial::Request(fault)]),
    };
    if let Some((name, faults)) = policies.broken(Effect::Deny).next() {
        return Decision::Undecided(Unreadable { policy: name.to_owned(), faults: faults.to_vec() });
    }
    let mut context = EvalContext::new(s, &place, now);
    let (denied, freezes) = denials(ask, policies, &context);
    context.freezes = freezes.clone();
    if !denied.is_empty() {
        return Decision::Denied(denied.into_iter().map(Denial::Policy).collect());
    }
    let Chosen { policy, period, automatic } = match choose(ask, policies, &context) {
        Ok(chosen) => chosen,
        Err(reasons) => return Decision::Denied(reasons),
    };
    let denied = |shortfall| {
        let policy = policy.reference.name.clone();
        Decision::Denied(vec![Denial::FallsShort { policy, shortfalls: vec![shortfall] }])
    };
    let automatic = match automatic {
        Ok(automatic) => automatic,
        Err(why) => return denied(Shortfall::AutomaticUnevaluated(why)),
    };
    if context.role_is_unknown() {
        return Decision::RightUnknown(RightUnknown(ask.role.clone()));
    }
    let frozen = frozen(ask, &context);
    match ask_people(ask, policy, automatic, period, log, now) {
        Answer::Open(waiting) => match context.too_many_open(ask, policy) {
            None => {
                Decision::Waiting(Waiting { frozen, role_away: context.role_away().cloned().map(Box::new), ..waiting })
            }
            Some(exceeded) => denied(Shortfall::Limit(exceeded)),
        },
        Answer::Complete(approvers) => {
            let approved = Approved { policy, place: place.clone(), period, approvers, freezes };
            match (frozen, role_away(ask, policy, period, &context)) {
                (Some(edge), _) => Decision::Frozen(approved, edge),
                (None, None) => Decision::Approved(approved),
                (None, Some(away)) if away.deadline <= now => Decision::Lapsed(Lapse::Role(away.why)),
                (None, Some(away)) => Decision::RoleAway(approved, away),
            }
        }
        Answer::Refused(refusal) => Decision::Refused { policy, refusal },
        Answer::Late(why) => Decision::Lapsed(why),
    }
}

#[cfg(test)]
mod tests;
