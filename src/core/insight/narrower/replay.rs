//! Which past grants would have lacked a right under other rules.
//!
//! Owns what a call wants of rules, and holds it against them as the API server does. It must not know where the rules are from.

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::compact::compact;
use super::evidence::{PastGrant, UsedCall};
use super::needs::{UsedRights, allowed};
use crate::core::activity::names::ObjectNames;
use crate::core::rbac::allowed::AllowedOn;
use crate::core::rbac::rules::{Uncovered, covers};

/// Past grants held against rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// How many were looked at.
    pub grants: usize,
    /// Those that would have lacked a right.
    pub lacking: Vec<LackingGrant>,
}

/// A grant that would have lacked rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LackingGrant {
    /// Namespace, a slash and name of its request.
    pub name: String,
    pub lacks: Vec<Uncovered>,
}

impl Replay {
    /// Of these grants of a role under these rules.
    pub fn of(role: &[PolicyRule], rules: &[PolicyRule], grants: &[PastGrant]) -> Self {
        Self::with(role, grants, |_| rules.to_vec())
    }

    /// Of each grant under the rules that the others alone would have led to. As far as it goes, it says what becomes of grants
    /// that are yet to come.
    pub fn left_out(role: &[PolicyRule], used: &UsedRights<'_>, grants: &[PastGrant]) -> Self {
        Self::with(role, grants, |place| compact(&used.needed(Some(place))))
    }

    fn with(role: &[PolicyRule], grants: &[PastGrant], rules: impl Fn(usize) -> Vec<PolicyRule>) -> Self {
        let used = grants.iter().enumerate().filter(|(_, grant)| !grant.calls().is_empty());
        let lacking = used.filter_map(|(place, grant)| {
            let rules = rules(place);
            let lacks = |wanted: &PolicyRule| covers(&rules, std::slice::from_ref(wanted)).err();
            let lacks: Vec<Uncovered> = wanted(role, grant).iter().filter_map(lacks).flatten().collect();
            (!lacks.is_empty()).then(|| LackingGrant { name: grant.name.clone(), lacks })
        });
        Self { grants: grants.len(), lacking: lacking.collect() }
    }
}

/// What the calls of a grant want of rules.
fn wanted(role: &[PolicyRule], grant: &PastGrant) -> Vec<PolicyRule> {
    let mut rules: Vec<PolicyRule> = Vec::new();
    for call in grant.calls() {
        let rule = wanted_by(role, call);
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    rules
}

/// Of a call about an object whose name is not known, every object that the role allows.
pub fn wanted_by(role: &[PolicyRule], call: &UsedCall) -> PolicyRule {
    let names = match (&call.names, allowed(role, &call.right)) {
        (ObjectNames::Few(names), _) if !names.is_empty() => Some(names.clone()),
        (_, Some(AllowedOn::Named(names))) => Some(names),
        _ => None,
    };
    PolicyRule {
        verbs: vec![call.right.verb.clone()],
        api_groups: Some(vec![call.right.group.clone()]),
        resources: Some(vec![call.right.resource.clone()]),
        resource_names: names.map(|names| names.into_iter().collect()),
        non_resource_urls: None,
    }
}
