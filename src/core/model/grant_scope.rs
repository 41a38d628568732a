//! Where access holds: as a request asks for it, by names, labels or the whole cluster; and as it is granted, by names.

use std::collections::{BTreeMap, BTreeSet};

use kube::core::{Selector, SelectorExt};

use super::field_error::FieldError;
use super::namespaces::Namespaces;
use super::problem::ScopeProblem;
use crate::api::request::{AccessRequestStatus, BindingKind};

/// The most namespaces that one grant may cover; each has a binding of its own.
pub const MOST_NAMESPACES: usize = 256;

/// Where a grant would hold, with names instead of selectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantScope {
    /// These namespaces, sorted; never none.
    Namespaces(BTreeSet<String>),
    Cluster,
}

impl GrantScope {
    /// UIDs of its namespaces by name, as far as they are known.
    pub fn namespace_uids(&self, namespaces: &Namespaces) -> BTreeMap<String, String> {
        let Self::Namespaces(names) = self else { return BTreeMap::new() };
        names.iter().filter_map(|name| Some((name.clone(), namespaces.get(name)?.uid.clone()?))).collect()
    }

    /// Where a grant holds, as recorded.
    pub fn recorded(status: &AccessRequestStatus) -> Self {
        if status.bindings.iter().any(|b| b.kind == BindingKind::ClusterRoleBinding) {
            Self::Cluster
        } else {
            Self::Namespaces(status.bindings.iter().filter_map(|b| b.namespace.clone()).collect())
        }
    }

    /// What is left of it: one namespace that is gone must not cost the grant in the others.
    #[must_use]
    pub fn living(self, namespaces: &Namespaces) -> Self {
        match self {
            Self::Cluster => Self::Cluster,
            Self::Namespaces(names) => {
                Self::Namespaces(names.into_iter().filter(|n| namespaces.contains_key(n)).collect())
            }
        }
    }
}

/// Where a request wants its role.
#[derive(Clone, Debug)]
pub enum Target {
    Namespaces(Vec<String>),
    /// The namespaces with these labels.
    Selected(Selector),
    Cluster,
    /// Where a grant that is to be extended holds.
    Granted(GrantScope),
}

impl Target {
    /// Names the namespaces that a request asks for.
    ///
    /// # Errors
    /// When one of them does not exist, or a selector matches none or too many.
    pub fn resolve(&self, namespaces: &Namespaces) -> Result<GrantScope, FieldError> {
        let usable = |name: &str| namespaces.get(name).is_some_and(|n| !n.terminating);
        match self {
            Self::Cluster => Ok(GrantScope::Cluster),
            Self::Granted(place) => Ok(place.clone()),
            Self::Namespaces(names) => {
                let missing: Vec<String> = names.iter().filter(|name| !usable(name)).cloned().collect();
                if missing.is_empty() {
                    return Ok(GrantScope::Namespaces(names.iter().cloned().collect()));
                }
                Err(FieldError::new("spec.scope.namespaces", ScopeProblem::Missing(missing)))
            }
            Self::Selected(selector) => {
                let found: BTreeSet<String> = namespaces
                    .iter()
                    .filter(|(_, n)| !n.terminating && selector.matches(&n.labels))
                    .map(|(name, _)| name.clone())
                    .collect();
                let problem = match found.len() {
                    0 => ScopeProblem::Unmatched,
                    there if there > MOST_NAMESPACES => ScopeProblem::TooMany { there, most: MOST_NAMESPACES },
                    _ => return Ok(GrantScope::Namespaces(found)),
                };
                Err(FieldError::new("spec.scope.namespaceSelector", problem))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::decision::validate::validate;
    use crate::core::laws::fixtures::{fault, namespaces, request};
    use crate::core::model::namespaces::Namespace;
    use serde_json::json;

    fn found(scope: serde_json::Value, namespaces: &Namespaces) -> Result<GrantScope, FieldError> {
        let request = request(json!({ "scope": scope }));
        validate(&request).unwrap().target.resolve(namespaces)
    }

    #[test]
    fn a_namespace_that_is_gone_is_left_out_and_the_others_stay() {
        let of = |names: &[&str]| GrantScope::Namespaces(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(of(&["bank", "gone", "shop"]).living(&namespaces()), of(&["bank", "shop"]));
        assert_eq!(of(&["gone"]).living(&namespaces()), of(&[]));
        assert_eq!(GrantScope::Cluster.living(&namespaces()), GrantScope::Cluster);
    }

    #[test]
    fn a_place_that_does_not_exist_is_a_fault() {
        let missing = ScopeProblem::Missing(["mars", "moon"].map(str::to_owned).into());
        for (scope, expected) in [
            (json!({ "namespaces": ["shop", "moon", "mars"] }), fault("spec.scope.namespaces", missing)),
            (
                json!({ "namespaceSelector": { "matchLabels": { "team": "ghosts" } } }),
                fault("spec.scope.namespaceSelector", ScopeProblem::Unmatched),
            ),
        ] {
            assert_eq!(found(scope, &namespaces()), Err(expected));
        }
    }

    #[test]
    fn a_namespace_that_is_going_away_counts_as_gone() {
        let mut all = namespaces();
        all.get_mut("bank").unwrap().terminating = true;
        assert!(found(json!({ "namespaces": ["bank"] }), &all).is_err());
        let pay = json!({ "namespaceSelector": { "matchLabels": { "team": "pay" } } });
        assert_eq!(found(pay, &all), Ok(GrantScope::Namespaces(["shop".to_owned()].into())));
    }

    #[test]
    fn a_selector_that_fits_too_many_is_refused_rather_than_cut() {
        let all: Namespaces = (0..=MOST_NAMESPACES).map(|i| (format!("n{i}"), Namespace::default())).collect();
        let many = ScopeProblem::TooMany { there: MOST_NAMESPACES + 1, most: MOST_NAMESPACES };
        let expected = fault("spec.scope.namespaceSelector", many);
        assert_eq!(found(json!({ "namespaceSelector": {} }), &all), Err(expected));
    }
}
