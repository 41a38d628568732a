//! Few rules of single rights, and how rules differ from others.
//!
//! Owns the writing of rules: nothing stands for more than it names, and the same rights give the same rules in the same order.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::evidence::UsedRight;
use super::needs::RightsNeeded;
use crate::core::rbac::allowed::AllowedOn;
use crate::core::rbac::rules::list;

/// The order in which verbs are written; others follow by name.
const ORDER: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];

/// Names of objects; none for all.
type OnNames = Option<BTreeSet<String>>;

/// The rules that hold what is needed and nothing else.
pub fn compact(needed: &RightsNeeded) -> Vec<PolicyRule> {
    let mut verbs: BTreeMap<(&str, OnNames, &str), BTreeSet<&str>> = BTreeMap::new();
    for (UsedRight { group, resource, verb }, objects) in &needed.rights {
        verbs.entry((group, on_names(objects), resource)).or_default().insert(verb);
    }
    let mut resources: BTreeMap<(&str, BTreeSet<&str>, OnNames), BTreeSet<&str>> = BTreeMap::new();
    for ((group, names, resource), verbs) in verbs {
        resources.entry((group, verbs, names)).or_default().insert(resource);
    }
    let texts = |texts: BTreeSet<&str>| texts.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let mut rules: Vec<PolicyRule> = resources
        .into_iter()
        .map(|((group, verbs, names), resources)| PolicyRule {
            verbs: in_order(texts(verbs)),
            api_groups: Some(vec![group.to_owned()]),
            resources: Some(texts(resources)),
            resource_names: names.map(|names| names.into_iter().collect()),
            non_resource_urls: None,
        })
        .collect();
    rules.sort_by_key(|rule| (rule.api_groups.clone(), rule.resources.clone(), rule.resource_names.clone()));
    for rule in &needed.without_trace {
        let rule = PolicyRule { verbs: in_order(rule.verbs.clone()), ..rule.clone() };
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    rules
}

fn on_names(objects: &AllowedOn) -> OnNames {
    match objects {
        AllowedOn::All => None,
        AllowedOn::Named(names) => Some(names.clone()),
    }
}

fn in_order(mut verbs: Vec<String>) -> Vec<String> {
    let place = |verb: &String| ORDER.iter().position(|known| known == verb).unwrap_or(ORDER.len());
    verbs.sort_by_key(|verb| (place(verb), verb.clone()));
    verbs
}

/// What goes and what comes between rules: those of the first that are not among the second, and the other way round. In
/// which order a list of a rule is written makes no difference.
pub fn difference(before: &[PolicyRule], after: &[PolicyRule]) -> (Vec<PolicyRule>, Vec<PolicyRule>) {
    let without = |rules: &[PolicyRule], others: &[PolicyRule]| {
        let others: Vec<[BTreeSet<String>; 5]> = others.iter().map(lists).collect();
        rules.iter().filter(|rule| !others.contains(&lists(rule))).cloned().collect()
    };
    (without(before, after), without(after, before))
}

fn lists(rule: &PolicyRule) -> [BTreeSet<String>; 5] {
    let lists = [&rule.api_groups, &rule.resources, &rule.resource_names, &rule.non_resource_urls];
    let [groups, resources, names, urls] = lists.map(|texts| list(texts).iter().cloned().collect());
    [rule.verbs.iter().cloned().collect(), groups, resources, names, urls]
}
