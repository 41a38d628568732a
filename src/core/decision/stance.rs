//! What one policy that denies does to a request: denies it, or bounds the time of its access.
//!
//! A policy without a schedule denies. One with a schedule denies what cannot wait until its window closes (see
//! [`Moment`]). All other access ends when a window opens, or waits until it closes. It must not
//! compute that time: `period` does.

use k8s_openapi::jiff::Timestamp;

use crate::core::decision::context::EvalContext;
use crate::core::decision::freeze::{Denying, Freezes, Frozen, Moment, Stance};
use crate::core::decision::matching::{Touch, touch};
use crate::core::model::ask::{RequestKind, ValidRequest};
use crate::core::model::instants::whole_second;
use crate::core::policies::{Policy, PolicySet};

/// What policies that deny say to a request that has not been granted, and the windows of those that only bound its
/// time. Whoever decides further does so with these in the context.
pub fn denials<'p>(
    ask: &ValidRequest<'_>,
    policies: &'p PolicySet,
    context: &EvalContext<'_>,
) -> (Vec<Denying>, Freezes<'p>) {
    Freezes::of(policies.denying(), |policy| stance(policy, ask, context))
}

/// What a policy that denies makes of a request that has not been granted. None when it is not about it.
pub fn stance<'p>(policy: &'p Policy, ask: &ValidRequest<'_>, context: &EvalContext<'_>) -> Option<Stance<'p>> {
    stance_at(policy, ask, context, fixed_moment(ask, context.at))
}

/// The same for access that runs, at the instant of the context. Recurring access rests, all other ends.
pub fn stance_to_running<'p>(
    policy: &'p Policy,
    ask: &ValidRequest<'_>,
    context: &EvalContext<'_>,
) -> Option<Stance<'p>> {
    let moment = ask.recurrence.is_none().then_some((Moment::Running, context.at));
    stance_at(policy, ask, context, moment)
}

fn stance_at<'p>(
    policy: &'p Policy,
    ask: &ValidRequest<'_>,
    context: &EvalContext<'_>,
    moment: Option<(Moment, Timestamp)>,
) -> Option<Stance<'p>> {
    let unevaluated = match touch(policy, ask, context) {
        Touch::No => return None,
        Touch::Yes => None,
        Touch::Unevaluated(why) => Some(why),
    };
    let window = match policy.denies_in() {
        None => None,
        Some(schedule) => match moment.and_then(|(what, at)| Some((what, at, schedule.open(at)?))) {
            Some((what, at, until)) => Some(Frozen { what, at: whole_second(at), until }),
            None => return Some(Stance::Bounds(schedule)),
        },
    };
    Some(Stance::Denies(Denying { policy: policy.reference.name.clone(), unevaluated, window }))
}

/// What of the request cannot be moved, and when that is.
fn fixed_moment(ask: &ValidRequest<'_>, now: Timestamp) -> Option<(Moment, Timestamp)> {
    match ask.aim {
        RequestKind::BreakGlass => Some((Moment::Emergency, now)),
        RequestKind::Extension { running, .. } => running.map(|running| (Moment::EndOfGrant, running.end)),
        RequestKind::Grant if ask.recurrence.is_some() => None,
        RequestKind::Grant => ask.start.map(|start| (Moment::Start, start)),
    }
}

#[cfg(test)]
mod tests;
