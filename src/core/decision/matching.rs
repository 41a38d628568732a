//! Which policies match a request, and why the others do not.
//!
//! An Allow must cover everything that is asked for; a Deny matches when it touches any of it.

use k8s_openapi::jiff::SignedDuration;

use crate::core::decision::context::EvalContext;
use crate::core::decision::freeze::NoAnswer;
use crate::core::decision::shortfall::{Requesters, Shortfall};
use crate::core::model::ask::{RequestKind, ValidRequest};
use crate::core::model::grant_scope::GrantScope;
use crate::core::model::namespaces::Namespaces;
use crate::core::model::near_miss::near_miss;
use crate::core::model::recurrence::Recurrence;
use crate::core::model::subjects::is_subject;
use crate::core::policies::Policy;
use crate::core::policies::policy::Requirement;

/// What a policy that denies has to say to what is asked for, whenever it denies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touch {
    /// It leaves it alone.
    No,
    /// All of it holds.
    Yes,
    /// A condition of it cannot be evaluated. That does not let anybody in.
    Unevaluated(NoAnswer),
}

/// Whether a policy that denies is about what is asked for. When it denies is in its schedule. One with a fault in a
/// condition is about all that it touches, whatever the others say.
pub fn touch(policy: &Policy, ask: &ValidRequest<'_>, context: &EvalContext<'_>) -> Touch {
    let EvalContext { place, namespaces, .. } = context;
    let spared = policy.exempts_emergencies && matches!(ask.aim, RequestKind::BreakGlass);
    let somebody = policy.requesters.is_empty() || policy.requesters.iter().any(|s| is_subject(ask.requester, s));
    let role = policy.roles.is_empty() || policy.roles.contains(ask.role);
    if spared || !(somebody && role && touches(policy, place, namespaces)) {
        return Touch::No;
    }
    if !policy.faults.is_empty() {
        return Touch::Unevaluated(NoAnswer::Faults(policy.faults.clone()));
    }
    let facts = policy.conditions.first().map(|_| context.facts(ask, policy));
    for (requirement, facts) in policy.conditions.iter().zip(facts.iter().cycle()) {
        match requirement.condition.holds(facts) {
            Ok(true) => {}
            Ok(false) => return Touch::No,
            Err(why) => return Touch::Unevaluated(NoAnswer::Evaluation(why)),
        }
    }
    Touch::Yes
}

fn touches(policy: &Policy, place: &GrantScope, namespaces: &Namespaces) -> bool {
    match place {
        // Access to the whole cluster is access to every namespace that the policy protects.
        GrantScope::Cluster => policy.scope.cluster || policy.scope.has_namespaces(),
        GrantScope::Namespaces(names) => names.iter().any(|n| policy.covers(n, namespaces)),
    }
}

/// Everything in which a policy that allows falls short of what is asked for; empty when it matches.
pub fn shortfalls(
    policy: &Policy,
    ask: &ValidRequest<'_>,
    length: Option<SignedDuration>,
    context: &EvalContext<'_>,
) -> Vec<Shortfall> {
    let EvalContext { place, namespaces, .. } = context;
    let mut short = Vec::new();
    if !policy.requesters.iter().any(|s| is_subject(ask.requester, s)) {
        short.push(Shortfall::Requester {
            who: ask.requester.username.clone(),
            wanted: Requesters::of(&policy.requesters),
            near: near_miss(ask.requester, &policy.requesters),
        });
    }
    if !policy.roles.contains(ask.role) {
        short.push(Shortfall::Role { asked: ask.role.clone(), listed: policy.roles.clone() });
    }
    match place {
        GrantScope::Cluster if !policy.scope.cluster => short.push(Shortfall::Cluster),
        GrantScope::Cluster => {}
        GrantScope::Namespaces(names) => {
            let outside: Vec<String> = names.iter().filter(|name| !policy.covers(name, namespaces)).cloned().collect();
            if !outside.is_empty() {
                short.push(Shortfall::Namespaces(outside));
            }
        }
    }
    match ask.aim {
        RequestKind::Extension { of, running } => match running {
            Some(running) => short.extend(extension_shortfalls(policy, running.extended + 1, length)),
            None => short.push(Shortfall::UnknownGrant(of.to_owned())),
        },
        RequestKind::Grant | RequestKind::BreakGlass => {
            short.extend(ask.recurrence.as_ref().and_then(|recurrence| recurrence_shortfall(policy, recurrence)));
            let too_long = length.filter(|length| *length > policy.longest);
            short.extend(too_long.map(|asked| Shortfall::Length { asked, most: policy.longest }));
        }
    }
    match ask.aim {
        RequestKind::BreakGlass if policy.break_glass.is_none() => short.push(Shortfall::BreakGlass),
        RequestKind::Grant | RequestKind::Extension { .. } if policy.is_for_break_glass_only() => {
            short.push(Shortfall::BreakGlassOnly);
        }
        _ => {}
    }
    // What is out of the question anyway need not be evaluated.
    if short.is_empty() {
        short.extend(unmet(policy, ask, context));
    }
    short
}

/// In what a policy falls short of access that comes back every week.
fn recurrence_shortfall(policy: &Policy, recurrence: &Recurrence) -> Option<Shortfall> {
    let (weeks, length) = (recurrence.weeks, recurrence.longest());
    match policy.weeks {
        None => Some(Shortfall::Recurrence),
        Some(most) if weeks > most => Some(Shortfall::Weeks { asked: weeks, most }),
        Some(_) if length > policy.longest => Some(Shortfall::WindowLength { asked: length, most: policy.longest }),
        Some(_) => None,
    }
}

/// Conditions that do not hold.
fn unmet(policy: &Policy, ask: &ValidRequest<'_>, context: &EvalContext<'_>) -> Vec<Shortfall> {
    let Some(input) = policy.conditions.first().map(|_| context.facts(ask, policy)) else { return Vec::new() };
    let unmet = |requirement: &Requirement| match requirement.condition.holds(&input) {
        Ok(true) => None,
        Ok(false) => Some(Shortfall::Condition(requirement.message.clone())),
        Err(why) => Some(Shortfall::ConditionUnevaluated(why)),
    };
    policy.conditions.iter().filter_map(unmet).collect()
}

/// In what a policy falls short of so many extensions of one grant, the longest of them adding `length`.
pub fn extension_shortfalls(policy: &Policy, extensions: usize, length: Option<SignedDuration>) -> Vec<Shortfall> {
    let Some(bound) = policy.extension else { return vec![Shortfall::Extension] };
    let too_many = (extensions > bound.count).then_some(Shortfall::Extensions(bound.count));
    let too_long = length.filter(|length| *length > bound.most);
    let too_long = too_long.map(|asked| Shortfall::ExtensionLength { asked, most: bound.most });
    too_many.into_iter().chain(too_long).collect()
}
