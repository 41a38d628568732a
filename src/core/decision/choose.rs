//! Which policy decides a request: the one that it names, or of those that match the one that asks least of people.

use super::context::EvalContext;
use super::matching::shortfalls;
use super::period::{Period, period};
use crate::api::policy::Effect;
use crate::core::decision::shortfall::{Denial, Shortfall};
use crate::core::model::ask::{RequestKind, ValidRequest};
use crate::core::model::nearest::several;
use crate::core::policies::cel::Unevaluated;
use crate::core::policies::{Entry, Policy, PolicySet};

/// How many near names are told to who names a policy that is not there.
const MOST_NEAR: usize = 3;

/// The policy that decides.
pub struct Chosen<'p> {
    pub policy: &'p Policy,
    /// When access would be.
    pub period: Period,
    /// Whether nobody needs to agree, or why that cannot be said.
    pub automatic: Result<bool, Unevaluated>,
}

/// The named policy, or of those that match the one with least friction; ties by name. When none does, all
/// reasons: what came closest first, then by name.
///
/// # Errors
/// Why no policy allows it.
pub fn choose<'p>(
    ask: &ValidRequest<'_>,
    policies: &'p PolicySet,
    context: &EvalContext<'_>,
) -> Result<Chosen<'p>, Vec<Denial>> {
    let named = |name: &str| ask.policy.is_none_or(|wanted| wanted == name);
    let mut denials = Vec::new();
    let falls_short =
        |policy: &Policy, shortfalls| Denial::FallsShort { policy: policy.reference.name.clone(), shortfalls };
    let mut least = (usize::MAX, i64::MAX);
    let mut best = None;
    for policy in policies.valid(Effect::Allow).filter(|p| named(&p.reference.name)) {
        match fits(policy, ask, context) {
            Err(short) => denials.push(falls_short(policy, short)),
            Ok(period) => {
                let automatic = is_automatic(policy, ask, context);
                let friction = friction(policy, ask.aim, automatic == Ok(true));
                if friction < least {
                    (least, best) = (friction, Some(Chosen { policy, period, automatic }));
                }
            }
        }
    }
    if let Some(best) = best {
        return Ok(best);
    }
    for (policy, why) in policies.doubted().filter(|(p, _)| named(&p.reference.name)) {
        denials.push(falls_short(policy, beside(fits(policy, ask, context), Shortfall::Disbelieved(why.clone()))));
    }
    for policy in policies.faulty().filter(|p| named(&p.reference.name)) {
        denials.push(falls_short(policy, beside(fits(policy, ask, context), Shortfall::Faulty(policy.faults.clone()))));
    }
    for (policy, faults) in policies.broken(Effect::Allow).filter(|(name, _)| named(name)) {
        denials.push(Denial::NotReady { policy: policy.to_owned(), faults: faults.to_vec() });
    }
    if denials.is_empty() {
        denials.push(match ask.policy {
            Some(name) if policies.get(name).and_then(Entry::readable).is_some() => {
                Denial::NamesDenying(name.to_owned())
            }
            Some(name) => Denial::NamesNone {
                name: name.to_owned(),
                near: several(
                    name,
                    policies.valid(Effect::Allow).map(|policy| policy.reference.name.as_str()),
                    MOST_NEAR,
                ),
            },
            None => Denial::NoPolicy,
        });
    }
    denials.sort_by_cached_key(|denial| (denial.distance(), denial.to_string()));
    Err(denials)
}

/// What is told of a policy that gives nothing new: why, unless the request is none of its business anyway.
fn beside(fits: Result<Period, Vec<Shortfall>>, why: Shortfall) -> Vec<Shortfall> {
    match fits.err().unwrap_or_default() {
        of_the_policy if of_the_policy.iter().all(Shortfall::is_of_the_policy) => {
            [why].into_iter().chain(of_the_policy).collect()
        }
        of_the_request => of_the_request,
    }
}

/// When access would be, if the policy has room for it. Otherwise everything that is in the way.
pub fn fits(policy: &Policy, ask: &ValidRequest<'_>, context: &EvalContext<'_>) -> Result<Period, Vec<Shortfall>> {
    let mut short = shortfalls(policy, ask, ask.length, context);
    // Not among the others: what runs already is held to those, and goes on where a new grant would not begin.
    short.extend(context.beyond_protection(ask, policy).map(Shortfall::Protected));
    short.extend(context.unusable_role(policy).map(Shortfall::RoleUnusable));
    if !short.is_empty() {
        return Err(short);
    }
    let period = period(ask, policy, &context.freezes, context.at).map_err(|why| vec![Shortfall::NoTime(why)])?;
    let over = context.over_limits(ask, policy, period.length());
    if over.is_empty() { Ok(period) } else { Err(over.into_iter().map(Shortfall::Limit).collect()) }
}

/// How much a request under this policy asks of people before it is granted: stages, then approvals; nothing of
/// anybody when it is `automatic`.
pub fn friction(policy: &Policy, aim: RequestKind<'_>, automatic: bool) -> (usize, i64) {
    match aim {
        RequestKind::BreakGlass => (0, 0),
        _ if automatic => (0, 0),
        RequestKind::Grant | RequestKind::Extension { .. } => {
            (policy.stages.len(), policy.stages.iter().map(|s| i64::from(s.required)).sum())
        }
    }
}

/// Whether nobody needs to agree to this request.
///
/// # Errors
/// When that cannot be said.
pub fn is_automatic(policy: &Policy, ask: &ValidRequest<'_>, context: &EvalContext<'_>) -> Result<bool, Unevaluated> {
    let Some(condition) = &policy.automatic_when else { return Ok(false) };
    condition.holds(&context.facts(ask, policy))
}
