//! The namespaces that this Daypass serves: those of the whole cluster, or the listed ones.
//!
//! Owns what is said to a request elsewhere. RBAC, not this module, keeps the controller out of other namespaces.

use std::collections::BTreeSet;

use crate::core::model::field_error::FieldError;
use crate::core::model::grant_scope::GrantScope;
use crate::core::model::grant_scope::Target;
use crate::core::model::namespaces::Namespaces;

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
        let (field, problem) = match target {
            // None is made there while the guards are in force.
            _ if !self.serves(from) => ("metadata.namespace", format!("nobody answers a request in namespace {from}")),
            Target::Selected(_) => return None,
            Target::Cluster | Target::Granted(GrantScope::Cluster) => {
                ("spec.scope.cluster", "access to the whole cluster cannot be granted here".to_owned())
            }
            Target::Namespaces(names) => ("spec.scope.namespaces", unserved(names, served)?),
            Target::Granted(GrantScope::Namespaces(names)) => ("spec.scope.namespaces", unserved(names, served)?),
        };
        let served: Vec<&str> = served.iter().map(String::as_str).collect();
        Some(FieldError::new(
            field,
            format!(
                "{problem}: ask for namespaces that this Daypass is limited to, or have who installs it change \
                 `watchNamespaces` of its chart; now it serves {}",
                served.join(", ")
            ),
        ))
    }
}

/// Says which of these namespaces are not served; nothing when all are.
fn unserved<'a>(names: impl IntoIterator<Item = &'a String>, served: &BTreeSet<String>) -> Option<String> {
    let outside: BTreeSet<&str> =
        names.into_iter().filter(|name| !served.contains(*name)).map(String::as_str).collect();
    let outside: Vec<&str> = outside.into_iter().collect();
    (!outside.is_empty()).then(|| format!("namespace {} is not served", outside.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::decision::validate::validate;
    use crate::core::laws::fixtures::request;
    use serde_json::{Value, json};

    fn limited() -> ServedNamespaces {
        ServedNamespaces::of(["shop", "bank"].map(str::to_owned))
    }

    fn refusal(scope: Value) -> Option<String> {
        let reach = limited();
        let request = request(json!({ "scope": scope }));
        let target = validate(&request).unwrap().target;
        assert_eq!(ServedNamespaces::of([]).refusal("shop", &target), None);
        reach.refusal("shop", &target).map(|fault| fault.to_string())
    }

    #[test]
    fn what_is_out_of_reach_is_told_with_the_field_the_rule_and_the_way_out() {
        let way_out = "ask for namespaces that this Daypass is limited to, or have who installs it change \
                       `watchNamespaces` of its chart; now it serves bank, shop";
        for (scope, message) in [
            (json!({ "cluster": true }), "spec.scope.cluster: access to the whole cluster cannot be granted here: "),
            (
                json!({ "namespaces": ["yard", "shop", "moon"] }),
                "spec.scope.namespaces: namespace moon, yard is not served: ",
            ),
        ] {
            assert_eq!(refusal(scope), Some(format!("{message}{way_out}")));
        }
        assert_eq!(refusal(json!({ "namespaces": ["shop", "bank"] })), None);
        assert_eq!(refusal(json!({})), None, "a request without a scope is for its own namespace");
        assert_eq!(refusal(json!({ "namespaceSelector": { "matchLabels": { "team": "pay" } } })), None);
    }

    #[test]
    fn nobody_answers_a_request_in_a_namespace_that_is_not_served() {
        let target = Target::Namespaces(["shop".to_owned()].into());
        let message = limited().refusal("yard", &target).map(|fault| fault.to_string()).unwrap();
        assert!(message.starts_with("metadata.namespace: nobody answers a request in namespace yard: "), "{message}");
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
