//! What keeps access waiting that is approved and due: a policy that denies it for now, or its role.
//!
//! Owns when such a wait counts and how long it may take. It must not say whether the request is approved.

use k8s_openapi::jiff::Timestamp;

use crate::core::decision::answer::RoleAway;
use crate::core::decision::context::EvalContext;
use crate::core::decision::freeze::FreezeEdge;
use crate::core::decision::period::Period;
use crate::core::model::ask::{RequestKind, ValidRequest};
use crate::core::model::instants::later;
use crate::core::policies::Policy;

/// What keeps access waiting that is due, for want of its role. Once a start is named, the wait ends with what was asked
/// for; otherwise as that for approvers would.
pub fn role_away(
    ask: &ValidRequest<'_>,
    policy: &Policy,
    period: Period,
    context: &EvalContext<'_>,
) -> Option<RoleAway> {
    let is_due = matches!(ask.aim, RequestKind::Extension { .. }) || period.begin <= context.at;
    let why = context.role_away().filter(|_| is_due)?.clone();
    Some(RoleAway { why, deadline: deadline(ask, policy, period) })
}

/// By when what holds up access that is due must be out of the way.
pub fn deadline(ask: &ValidRequest<'_>, policy: &Policy, period: Period) -> Timestamp {
    ask.start.map_or(later(ask.created, policy.deadline), |_| period.end)
}

/// The policy that keeps access waiting now, and until when. What begins later anyway waits for its start.
pub fn frozen(ask: &ValidRequest<'_>, context: &EvalContext<'_>) -> Option<FreezeEdge> {
    let is_due = ask.recurrence.is_none() && ask.start.is_none_or(|start| start <= context.at);
    context.freezes.in_force(context.at).filter(|_| is_due)
}
