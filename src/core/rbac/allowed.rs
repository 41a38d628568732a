//! Whether the rules of a role allow one right, and on which objects: what "who can delete pods" asks of each role.
//!
//! [`super::rules`] says how a rule matches, which is as Kubernetes matches it. URLs that are no resources are no part of
//! this. It must not know who has the role.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::rules::{group_matches, list, resource_matches, verb_matches};

/// Verbs of which the API server does not know the object when it authorises, so that a rule for names never matches.
const WITHOUT_NAME: [&str; 2] = ["create", "deletecollection"];

/// A right that is asked about: all of these verbs on a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedRight {
    pub verbs: Vec<String>,
    /// API group, empty for the core group.
    pub group: String,
    /// Resource in plural, with `/` and its subresource if any.
    pub resource: String,
    /// The one object that is meant; none for whichever there are.
    pub name: Option<String>,
}

/// On which objects a right holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AllowedOn {
    /// On all of them; or on the one that was asked about.
    All,
    /// On those of these names alone.
    Named(BTreeSet<String>),
}

impl AskedRight {
    /// On which objects rules allow all of these verbs; none when they do not allow one of them on any.
    pub fn allowed_by(&self, rules: &[PolicyRule]) -> Option<AllowedOn> {
        let each = self.verbs.iter().map(|verb| self.allows_verb(rules, verb));
        each.reduce(|one, other| one?.and(other?)).flatten()
    }

    fn allows_verb(&self, rules: &[PolicyRule], verb: &str) -> Option<AllowedOn> {
        let is_for = |rule: &&PolicyRule| {
            verb_matches(rule, verb) && group_matches(rule, &self.group) && resource_matches(rule, &self.resource)
        };
        let has_name = self.resource.contains('/') || !WITHOUT_NAME.contains(&verb);
        let mut named = BTreeSet::new();
        for rule in rules.iter().filter(is_for) {
            match list(&rule.resource_names) {
                [] => return Some(AllowedOn::All),
                names if has_name => named.extend(names.iter().cloned()),
                _ => {}
            }
        }
        match &self.name {
            Some(name) => named.contains(name).then_some(AllowedOn::All),
            None => (!named.is_empty()).then_some(AllowedOn::Named(named)),
        }
    }
}

impl AllowedOn {
    /// The objects that both are about; none when there is none.
    fn and(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::All, other) => Some(other),
            (one, Self::All) => Some(one),
            (Self::Named(one), Self::Named(other)) => {
                let both: BTreeSet<String> = one.intersection(&other).cloned().collect();
                (!both.is_empty()).then_some(Self::Named(both))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn right(verbs: &[&str], resource: &str, name: Option<&str>) -> AskedRight {
        let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
        AskedRight {
            verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            name: name.map(str::to_owned),
        }
    }

    fn rules(rules: Value) -> Vec<PolicyRule> {
        serde_json::from_value(rules).unwrap()
    }

    fn rule(verbs: &[&str], groups: &[&str], resources: &[&str], names: &[&str]) -> Value {
        json!([{ "verbs": verbs, "apiGroups": groups, "resources": resources, "resourceNames": names }])
    }

    fn named(names: &[&str]) -> Option<AllowedOn> {
        Some(AllowedOn::Named(names.iter().map(|name| (*name).to_owned()).collect()))
    }

    #[test]
    fn a_rule_allows_what_kubernetes_says_that_it_allows() {
        let all = Some(AllowedOn::All);
        let delete = |resource: &str| right(&["delete"], resource, None);
        for (asked, rule, allowed) in [
            (delete("pods"), rule(&["delete"], &[""], &["pods"], &[]), &all),
            (delete("pods"), rule(&["*"], &["*"], &["*"], &[]), &all),
            (delete("pods"), rule(&["get"], &[""], &["pods"], &[]), &None),
            (delete("pods"), rule(&["delete"], &["apps"], &["pods"], &[]), &None),
            (delete("pods"), rule(&["delete"], &[""], &["pods/log"], &[]), &None),
            (delete("deployments.apps"), rule(&["delete"], &["apps"], &["deployments"], &[]), &all),
            (delete("pods/exec"), rule(&["delete"], &[""], &["*/exec"], &[]), &all),
            (delete("pods/exec"), rule(&["delete"], &[""], &["pods"], &[]), &None),
            (delete("pods/exec"), rule(&["delete"], &[""], &["pods/*"], &[]), &None),
            (right(&["*"], "pods", None), rule(&["get", "delete"], &[""], &["pods"], &[]), &None),
        ] {
            assert_eq!(asked.allowed_by(&rules(rule.clone())), *allowed, "{asked:?} by {rule}");
        }
        let url = rules(json!([{ "verbs": ["get"], "nonResourceURLs": ["*"] }]));
        assert_eq!(right(&["get"], "pods", None).allowed_by(&url), None);
        assert_eq!(delete("pods").allowed_by(&[]), None);
    }

    #[test]
    fn names_narrow_a_right_and_a_creation_has_none() {
        let web = rules(rule(&["delete", "create"], &[""], &["pods", "pods/exec"], &["web-0", "web-1"]));
        assert_eq!(right(&["delete"], "pods", None).allowed_by(&web), named(&["web-0", "web-1"]));
        assert_eq!(right(&["delete"], "pods", Some("web-0")).allowed_by(&web), Some(AllowedOn::All));
        assert_eq!(right(&["delete"], "pods", Some("db-0")).allowed_by(&web), None);
        for name in [None, Some("web-0")] {
            assert_eq!(right(&["create"], "pods", name).allowed_by(&web), None, "nobody knows its name yet");
        }
        assert_eq!(right(&["create"], "pods/exec", Some("web-0")).allowed_by(&web), Some(AllowedOn::All));
        let by_two = json!([
            { "verbs": ["delete"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["web-0"] },
            { "verbs": ["delete"], "apiGroups": [""], "resources": ["pods"] }
        ]);
        assert_eq!(right(&["delete"], "pods", None).allowed_by(&rules(by_two)), Some(AllowedOn::All));
    }

    #[test]
    fn of_several_verbs_all_are_asked_for() {
        let some = rules(json!([
            { "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] },
            { "verbs": ["delete"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["web-0", "web-1"] },
            { "verbs": ["patch"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["web-1", "db-0"] },
            { "verbs": ["update"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["db-0"] }
        ]));
        assert_eq!(right(&["get", "delete"], "pods", None).allowed_by(&some), named(&["web-0", "web-1"]));
        assert_eq!(right(&["delete", "patch"], "pods", None).allowed_by(&some), named(&["web-1"]));
        assert_eq!(right(&["delete", "update"], "pods", None).allowed_by(&some), None);
        assert_eq!(right(&["get", "list"], "pods", None).allowed_by(&some), None);
    }
}
