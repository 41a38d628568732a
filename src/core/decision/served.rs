//! The namespaces that this Daypass serves: those of the whole cluster, or the listed ones.
//!
//! Owns what is said to a request elsewhere. RBAC, not this module, keeps the controller out of other namespaces.

use std::collections::BTreeSet;

use crate::core::model::field_error::FieldError;
use crate::core::model::grant_scope::GrantScope;
use crate::core::model::grant_scope::Target;
use crate::core::model::namespaces::Namespaces;
use crate::core::model::problem::{OutOfReach, ScopeProblem};

/// Where requests are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServedNamespaces {
    Cluster,
    /// In these namespaces only; never none. Nothing can be bound in the whole cluster.
    Namespaces(BTreeSet<String>),
}

impl ServedNamespaces {
    /// These namespaces; with none named, everywhere.
    pub fn of(names: impl IntoIterator<Item = String>) -> Self {
        let names: BTreeSet<String> = names.into_iter().collect();
        if names.is_empty() { Self::Cluster } else { Self::Namespaces(names) }
    }

    /// Of these namespaces those that are served, which are all that is known of from here.
    pub fn known(&self, mut namespaces: Namespaces) -> Namespaces {
        namespaces.retain(|name, _| self.serves(name));
        namespaces
    }

    /// Whether requests in this namespace are served.
    pub fn serves(&self, namespace: &str) -> bool {
        match self {
            Self::Cluster => true,
            Self::Namespaces(served) => served.contains(namespace),
        }
    }

    /// Why what is asked for in namespace `from` cannot be granted from here, with the way out; none when it can. Labels
    /// choose among the namespaces that are served, so they never lead out of reach.
    pub fn refusal(&self, from: &str, target: &Target) -> Option<FieldError> {
        let Self::Namespaces(served) = self else { return None };
        let (field, what) = match target {
            // None is made there while the guards are in force.
            _ if !self.serves(from) => ("metadata.namespace", OutOfReach::Own(from.to_owned())),
            Target::Selected(_) => return None,
            Target::Cluster | Target::Granted(GrantScope::Cluster) => ("spec.scope.cluster", OutOfReach::Cluster),
            Target::Namespaces(names) => ("spec.scope.namespaces", unserved(names, served)?),
            Target::Granted(GrantScope::Namespaces(names)) => ("spec.scope.namespaces", unserved(names, served)?),
        };
        Some(FieldError::new(field, ScopeProblem::OutOfReach { what, served: served.iter().cloned().collect() }))
    }
}

/// Those of these namespaces that are not served, if any.
fn unserved<'a>(names: impl IntoIterator<Item = &'a String>, served: &BTreeSet<String>) -> Option<OutOfReach> {
    let outside: BTreeSet<&String> = names.into_iter().filter(|name| !served.contains(*name)).collect();
    (!outside.is_empty()).then(|| OutOfReach::Namespaces(outside.into_iter().cloned().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::decision::validate::validate;
    use crate::core::laws::fixtures::{fault, request};
    use serde_json::{Value, json};

    fn limited() -> ServedNamespaces {
        ServedNamespaces::of(["shop", "bank"].map(str::to_owned))
    }

    fn out_of_reach(what: OutOfReach) -> ScopeProblem {
        ScopeProblem::OutOfReach { what, served: ["bank", "shop"].map(str::to_owned).into() }
    }

    fn refusal(scope: Value) -> Option<FieldError> {
        let reach = limited();
        let request = request(json!({ "scope": scope }));
        let target = validate(&request).unwrap().target;
        assert_eq!(ServedNamespaces::of([]).refusal("shop", &target), None);
        reach.refusal("shop", &target)
    }

    #[test]
    fn what_is_out_of_reach_is_refused_by_its_field() {
        let outside = OutOfReach::Namespaces(["moon", "yard"].map(str::to_owned).into());
        for (scope, field, what) in [
            (json!({ "cluster": true }), "spec.scope.cluster", OutOfReach::Cluster),
            (json!({ "namespaces": ["yard", "shop", "moon"] }), "spec.scope.namespaces", outside),
        ] {
            assert_eq!(refusal(scope), Some(fault(field, out_of_reach(what))));
        }
        assert_eq!(refusal(json!({ "namespaces": ["shop", "bank"] })), None);
        assert_eq!(refusal(json!({})), None, "a request without a scope is for its own namespace");
        assert_eq!(refusal(json!({ "namespaceSelector": { "matchLabels": { "team": "pay" } } })), None);
    }

    #[test]
    fn nobody_answers_a_request_in_a_namespace_that_is_not_served() {
        let target = Target::Namespaces(["shop".to_owned()].into());
        let own = out_of_reach(OutOfReach::Own("yard".to_owned()));
        assert_eq!(limited().refusal("yard", &target), Some(fault("metadata.namespace", own)));
    }

    #[test]
    fn of_all_namespaces_only_those_that_are_served_are_known() {
        let all: Namespaces = ["bank", "yard"].map(|name| (name.to_owned(), Default::default())).into();
        let known: Vec<String> = limited().known(all.clone()).into_keys().collect();
        assert_eq!(known, ["bank"]);
        assert_eq!(ServedNamespaces::Cluster.known(all.clone()), all);
    }

    #[test]
    fn a_grant_that_is_to_be_extended_is_in_reach_where_it_holds() {
        let reach = ServedNamespaces::Namespaces(["shop".to_owned()].into());
        let of =
            |names: &[&str]| Target::Granted(GrantScope::Namespaces(names.iter().map(|n| (*n).to_owned()).collect()));
        assert_eq!(reach.refusal("shop", &of(&["shop"])), None);
        assert!(reach.refusal("shop", &of(&["shop", "yard"])).is_some());
        assert!(reach.refusal("shop", &Target::Granted(GrantScope::Cluster)).is_some());
    }
}
