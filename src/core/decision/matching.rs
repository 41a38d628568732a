//! Which policies match a request, and why the others do not.
//!
//! An Allow must cover everything that is asked for; a Deny matches when it touches any of it.

use k8s_openapi::jiff::SignedDuration;

use crate::core::decision::context::EvalContext;
use crate::core::model::ask::{RequestKind, ValidRequest};
use crate::core::model::duration;
use crate::core::model::grant_scope::GrantScope;
use crate::core::model::namespaces::Namespaces;
use crate::core::model::recurrence::Recurrence;
use crate::core::model::subjects::is_subject;
use crate::core::policies::Policy;
use crate::core::policies::policy::Requirement;

/// Why a policy that denies does so, if it touches what is asked for. A condition of it that cannot be evaluated
/// does not let anybody in.
pub fn denies(policy: &Policy, ask: &ValidRequest<'_>, context: &EvalContext<'_>) -> Option<String> {
    let EvalContext { place, namespaces, .. } = context;
    let name = &policy.reference.name;
    let somebody = policy.requesters.is_empty() || policy.requesters.iter().any(|s| is_subject(ask.requester, s));
    let role = policy.roles.is_empty() || policy.roles.contains(ask.role);
    if !(somebody && role && touches(policy, place, namespaces)) {
        return None;
    }
    let facts = policy.conditions.first().map(|_| context.facts(ask, policy));
    for (requirement, facts) in policy.conditions.iter().zip(facts.iter().cycle()) {
        match requirement.condition.holds(facts) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(why) => return Some(format!("policy {name} denies it, since a condition cannot be evaluated: {why}")),
        }
    }
    Some(format!("policy {name} denies it"))
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
) -> Vec<String> {
    let EvalContext { place, namespaces, .. } = context;
    let mut short = Vec::new();
    if !policy.requesters.iter().any(|s| is_subject(ask.requester, s)) {
        short.push(format!("{} is not among its requesters", ask.requester.username));
    }
    if !policy.roles.contains(ask.role) {
        let listed: Vec<String> = policy.roles.iter().map(ToString::to_string).collect();
        short.push(format!("{} is not among its roles ({})", ask.role, listed.join(", ")));
    }
    match place {
        GrantScope::Cluster if !policy.scope.cluster => short.push("it does not cover the whole cluster".to_owned()),
        GrantScope::Cluster => {}
        GrantScope::Namespaces(names) => {
            let outside: Vec<&str> =
                names.iter().map(String::as_str).filter(|n| !policy.covers(n, namespaces)).collect();
            if !outside.is_empty() {
                short.push(format!("it does not cover namespace {}", outside.join(", ")));
            }
        }
    }
    match ask.aim {
        RequestKind::Extension { of, running } => match running {
            Some(running) => short.extend(extension_shortfalls(policy, running.extended + 1, length)),
            None => short.push(format!("nothing is known of {of}")),
        },
        RequestKind::Grant | RequestKind::BreakGlass => {
            short.extend(ask.recurrence.as_ref().and_then(|recurrence| recurrence_shortfall(policy, recurrence)));
            if let Some(length) = length.filter(|l| *l > policy.longest) {
                let (asked, longest) = (duration::format(length), duration::format(policy.longest));
                short.push(format!("{asked} is longer than its maximum of {longest}"));
            }
        }
    }
    match ask.aim {
        RequestKind::BreakGlass if policy.break_glass.is_none() => short.push("it has no breakGlass".to_owned()),
        RequestKind::Grant | RequestKind::Extension { .. } if policy.is_for_break_glass_only() => {
            short.push("it is for emergencies only (spec.breakGlass)".to_owned());
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
fn recurrence_shortfall(policy: &Policy, recurrence: &Recurrence) -> Option<String> {
    let (weeks, length) = (recurrence.weeks, recurrence.longest());
    match policy.weeks {
        None => Some("it allows no recurring access (spec.recurrence)".to_owned()),
        Some(most) if weeks > most => Some(format!("{weeks} weeks are more than the {most} that it allows")),
        Some(_) if length > policy.longest => {
            let (length, longest) = (duration::format(length), duration::format(policy.longest));
            Some(format!("windows of {length} are longer than its maximum of {longest}"))
        }
        Some(_) => None,
    }
}

/// What the requester is told of conditions that do not hold.
fn unmet(policy: &Policy, ask: &ValidRequest<'_>, context: &EvalContext<'_>) -> Vec<String> {
    let Some(facts) = policy.conditions.first().map(|_| context.facts(ask, policy)) else { return Vec::new() };
    let told = |requirement: &Requirement| match requirement.condition.holds(&facts) {
        Ok(true) => None,
        Ok(false) => Some(requirement.message.clone()),
        Err(why) => Some(format!("its condition cannot be evaluated: {why}")),
    };
    policy.conditions.iter().filter_map(told).collect()
}

/// In what a policy falls short of so many extensions of one grant, the longest of them adding `length`.
pub fn extension_shortfalls(policy: &Policy, extensions: usize, length: Option<SignedDuration>) -> Vec<String> {
    let Some(bound) = policy.extension else { return vec!["it allows no extension".to_owned()] };
    let mut short = Vec::new();
    if extensions > bound.count {
        let times = if bound.count == 1 { "once".to_owned() } else { format!("{} times", bound.count) };
        short.push(format!("it allows a grant to be extended {times} only"));
    }
    if let Some(length) = length.filter(|l| *l > bound.most) {
        let (asked, most) = (duration::format(length), duration::format(bound.most));
        short.push(format!("{asked} is longer than {most}, the most that one extension adds"));
    }
    short
}
