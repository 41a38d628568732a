//! Which policies match a request, and why the others do not.
//!
//! An Allow must cover everything that is asked for; a Deny matches when it touches any of it.

use std::collections::BTreeSet;

use k8s_openapi::jiff::SignedDuration;
use kube::core::SelectorExt;

use super::duration;
use super::facts::Circumstances;
use super::fault::Fault;
use super::namespaces::{Namespace, Namespaces};
use super::policies::{Policy, Requirement};
use super::recurrence::Recurrence;
use super::subjects::is_subject;
use super::validate::{Aim, Ask, Target};

/// The most namespaces that one grant may cover; each has a binding of its own.
pub const MOST_NAMESPACES: usize = 256;

/// Where a grant would hold, with names instead of selectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// These namespaces, sorted; never none.
    Namespaces(BTreeSet<String>),
    /// The whole cluster.
    Cluster,
}

/// Names the namespaces that a request asks for.
///
/// # Errors
/// When one of them does not exist, or a selector matches none or too many.
pub fn place(target: &Target, namespaces: &Namespaces) -> Result<Place, Fault> {
    let usable = |name: &str| namespaces.get(name).is_some_and(|n| !n.terminating);
    match target {
        Target::Cluster => Ok(Place::Cluster),
        Target::Granted(place) => Ok(place.clone()),
        Target::Namespaces(names) => {
            let missing: Vec<&str> = names.iter().map(String::as_str).filter(|n| !usable(n)).collect();
            if missing.is_empty() {
                return Ok(Place::Namespaces(names.iter().cloned().collect()));
            }
            let problem = format!("no such namespace: {}", missing.join(", "));
            Err(Fault::new("spec.scope.namespaces", problem))
        }
        Target::Selected(selector) => {
            let found: BTreeSet<String> = namespaces
                .iter()
                .filter(|(_, n)| !n.terminating && selector.matches(&n.labels))
                .map(|(name, _)| name.clone())
                .collect();
            let problem = match found.len() {
                0 => "no namespace has these labels".to_owned(),
                n if n > MOST_NAMESPACES => {
                    format!(
                        "{n} namespaces have these labels, at most {MOST_NAMESPACES} can be granted at once: narrow it, or ask for the cluster"
                    )
                }
                _ => return Ok(Place::Namespaces(found)),
            };
            Err(Fault::new("spec.scope.namespaceSelector", problem))
        }
    }
}

/// Why a policy that denies does so, if it touches what is asked for. A condition of it that cannot be evaluated
/// does not let anybody in.
pub fn denies(policy: &Policy, ask: &Ask<'_>, circumstances: &Circumstances<'_>) -> Option<String> {
    let Circumstances { place, namespaces, .. } = circumstances;
    let name = &policy.reference.name;
    let somebody = policy.requesters.is_empty() || policy.requesters.iter().any(|s| is_subject(ask.requester, s));
    let role = policy.roles.is_empty() || policy.roles.contains(ask.role);
    if !(somebody && role && touches(policy, place, namespaces)) {
        return None;
    }
    let facts = policy.conditions.first().map(|_| circumstances.facts(ask, policy));
    for (requirement, facts) in policy.conditions.iter().zip(facts.iter().cycle()) {
        match requirement.condition.holds(facts) {
            Ok(true) => {}
            Ok(false) => return None,
            Err(why) => return Some(format!("policy {name} denies it, since a condition cannot be evaluated: {why}")),
        }
    }
    Some(format!("policy {name} denies it"))
}

fn touches(policy: &Policy, place: &Place, namespaces: &Namespaces) -> bool {
    match place {
        // Access to the whole cluster is access to every namespace that the policy protects.
        Place::Cluster => policy.scope.cluster || policy.scope.has_namespaces(),
        Place::Namespaces(names) => names.iter().any(|n| covers(policy, n, namespaces)),
    }
}

/// Whether a policy covers the namespace of this name.
pub fn covers(policy: &Policy, name: &str, namespaces: &Namespaces) -> bool {
    // A namespace that is gone has no labels; its name still counts.
    let gone = Namespace::default();
    policy.scope.covers(name, namespaces.get(name).unwrap_or(&gone))
}

/// Everything in which a policy that allows falls short of what is asked for; empty when it matches.
pub fn shortfalls(
    policy: &Policy,
    ask: &Ask<'_>,
    length: Option<SignedDuration>,
    circumstances: &Circumstances<'_>,
) -> Vec<String> {
    let Circumstances { place, namespaces, .. } = circumstances;
    let mut short = Vec::new();
    if !policy.requesters.iter().any(|s| is_subject(ask.requester, s)) {
        short.push(format!("{} is not among its requesters", ask.requester.username));
    }
    if !policy.roles.contains(ask.role) {
        let listed: Vec<String> = policy.roles.iter().map(ToString::to_string).collect();
        short.push(format!("{} is not among its roles ({})", ask.role, listed.join(", ")));
    }
    match place {
        Place::Cluster if !policy.scope.cluster => short.push("it does not cover the whole cluster".to_owned()),
        Place::Cluster => {}
        Place::Namespaces(names) => {
            let outside: Vec<&str> =
                names.iter().map(String::as_str).filter(|n| !covers(policy, n, namespaces)).collect();
            if !outside.is_empty() {
                short.push(format!("it does not cover namespace {}", outside.join(", ")));
            }
        }
    }
    match ask.aim {
        Aim::Extension { of, running } => match running {
            Some(running) => short.extend(extension_shortfalls(policy, running.extended + 1, length)),
            None => short.push(format!("nothing is known of {of}")),
        },
        Aim::Grant | Aim::BreakGlass => {
            short.extend(ask.recurrence.as_ref().and_then(|recurrence| recurrence_shortfall(policy, recurrence)));
            if let Some(length) = length.filter(|l| *l > policy.longest) {
                let (asked, longest) = (duration::format(length), duration::format(policy.longest));
                short.push(format!("{asked} is longer than its maximum of {longest}"));
            }
        }
    }
    match ask.aim {
        Aim::BreakGlass if policy.break_glass.is_none() => short.push("it has no breakGlass".to_owned()),
        Aim::Grant | Aim::Extension { .. } if policy.is_for_break_glass_only() => {
            short.push("it is for emergencies only (spec.breakGlass)".to_owned());
        }
        _ => {}
    }
    // What is out of the question anyway need not be evaluated.
    if short.is_empty() {
        short.extend(unmet(policy, ask, circumstances));
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
fn unmet(policy: &Policy, ask: &Ask<'_>, circumstances: &Circumstances<'_>) -> Vec<String> {
    let Some(facts) = policy.conditions.first().map(|_| circumstances.facts(ask, policy)) else { return Vec::new() };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::samples::{namespaces, request};
    use crate::core::validate::validate;
    use serde_json::json;

    fn found(scope: serde_json::Value, namespaces: &Namespaces) -> Result<Place, String> {
        let request = request(json!({ "scope": scope }));
        place(&validate(&request).unwrap().target, namespaces).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_place_that_does_not_exist_is_a_fault() {
        for (scope, told) in [
            (json!({ "namespaces": ["shop", "moon", "mars"] }), "spec.scope.namespaces: no such namespace: mars, moon"),
            (
                json!({ "namespaceSelector": { "matchLabels": { "team": "ghosts" } } }),
                "spec.scope.namespaceSelector: no namespace has these labels",
            ),
        ] {
            assert_eq!(found(scope, &namespaces()), Err(told.to_owned()));
        }
    }

    #[test]
    fn a_namespace_that_is_going_away_counts_as_gone() {
        let mut all = namespaces();
        all.get_mut("bank").unwrap().terminating = true;
        assert!(found(json!({ "namespaces": ["bank"] }), &all).is_err());
        let pay = json!({ "namespaceSelector": { "matchLabels": { "team": "pay" } } });
        assert_eq!(found(pay, &all), Ok(Place::Namespaces(["shop".to_owned()].into())));
    }

    #[test]
    fn a_selector_that_fits_too_many_is_refused_rather_than_cut() {
        let all: Namespaces = (0..=MOST_NAMESPACES).map(|i| (format!("n{i}"), Namespace::default())).collect();
        assert!(found(json!({ "namespaceSelector": {} }), &all).unwrap_err().contains("257 namespaces"));
    }
}
