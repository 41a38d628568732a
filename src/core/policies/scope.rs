//! Where a policy applies: namespaces by name and label, and the whole cluster.
//!
//! It must not know a request.

use kube::core::{Selector, SelectorExt};

use crate::api::selector::PolicyScope;
use crate::core::model::namespaces::{Namespace, glob_matches, selector};

/// Where a policy applies.
#[derive(Clone, Debug)]
pub struct Scope {
    globs: Vec<String>,
    selector: Option<Selector>,
    /// Whether requests for the whole cluster are covered.
    pub cluster: bool,
    /// Whether it reaches the protected namespaces. One that denies always does.
    pub system_namespaces: bool,
}

impl Scope {
    /// As it is written.
    pub fn read(scope: &PolicyScope) -> Self {
        Self {
            globs: scope.namespaces.clone(),
            selector: scope.namespace_selector.as_ref().map(selector),
            cluster: scope.cluster,
            system_namespaces: scope.system_namespaces,
        }
    }

    /// Whether the scope names namespaces at all, rather than only the whole cluster.
    pub fn has_namespaces(&self) -> bool {
        !self.globs.is_empty() || self.selector.is_some()
    }

    /// Whether it chooses namespaces by their labels.
    pub fn chooses_by_label(&self) -> bool {
        self.selector.is_some()
    }

    /// Whether a namespace of this name is covered with some labels or other.
    pub fn may_cover(&self, name: &str) -> bool {
        self.has_namespaces() && (self.globs.is_empty() || self.globs.iter().any(|glob| glob_matches(glob, name)))
    }

    /// The namespaces that it gives by their whole name.
    pub fn named(&self) -> impl Iterator<Item = &str> {
        self.globs.iter().map(String::as_str).filter(|glob| !glob.contains('*'))
    }

    /// Whether the namespace is covered: by name and by label, where both are given.
    pub fn covers(&self, name: &str, namespace: &Namespace) -> bool {
        self.may_cover(name) && self.selector.as_ref().is_none_or(|s| s.matches(&namespace.labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn a_scope_with_names_and_labels_asks_for_both() {
        let spec = json!({ "namespaces": ["team-*"], "namespaceSelector": { "matchLabels": { "env": "prod" } } });
        let scope = Scope::read(&serde_json::from_value(spec).unwrap());
        let prod = Namespace { labels: [("env".to_owned(), "prod".to_owned())].into(), ..Namespace::default() };
        assert!(scope.covers("team-a", &prod));
        assert!(!scope.covers("team-a", &Namespace::default()));
        assert!(!scope.covers("other", &prod));
        assert!(!Scope::read(&PolicyScope::default()).covers("team-a", &prod), "an empty scope covers nothing");
    }

    #[test]
    fn selectors_mean_what_kubernetes_means() {
        let labelled = |value: &str| [("env".to_owned(), value.to_owned())].into();
        let (prod, dev, bare) = (labelled("prod"), labelled("dev"), BTreeMap::new());
        for (operator, values, fits) in [
            ("In", json!(["prod"]), [true, false, false]),
            ("NotIn", json!(["prod"]), [false, true, true]),
            ("Exists", json!([]), [true, true, false]),
            ("DoesNotExist", json!([]), [false, false, true]),
        ] {
            let rule = json!({ "matchExpressions": [{ "key": "env", "operator": operator, "values": values }] });
            let selector = selector(&serde_json::from_value(rule).unwrap());
            let seen = [&prod, &dev, &bare].map(|labels: &BTreeMap<String, String>| selector.matches(labels));
            assert_eq!(seen, fits, "{operator}");
        }
    }
}
