//! Which requests a change of the cluster can concern, so that one edit does not cause a pass over every request.
//!
//! May name too many requests, never too few: `laws::dependence` checks that a request that is left out gets the same plan as
//! before. It must not decide a request.

use crate::api::request::AccessRequest;
use crate::api::selector::RequestScope;

/// Something that decisions go by has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// The namespace of this name: made, relabelled, going away or gone.
    Namespace(&'a str),
    /// A policy: made, edited, believed or not, or gone.
    Policy {
        name: &'a str,
        /// Whether it denies, did until now, or cannot be read.
        may_deny: bool,
    },
}

/// What the decision of one request depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependence {
    /// Name of the policy that granted it, when it was granted: no other that allows bears on it any more.
    granted_by: Option<Box<str>>,
    /// Namespaces that it asks for by name; none when any namespace may be one of its own.
    namespaces: Option<Box<[Box<str>]>>,
}

impl Dependence {
    /// Of a request.
    pub fn of(request: &AccessRequest) -> Self {
        let decided = request.status.as_ref().and_then(|status| status.policy.as_ref());
        let granted_by = decided.filter(|_| request.has_grant()).map(|policy| policy.name.as_str().into());
        // Those of an extension are those of the request that it extends.
        let unnamed = |scope: &RequestScope| scope.cluster || scope.namespace_selector.is_some();
        let scope = request.spec.scope.as_ref();
        let any = request.spec.extends.is_some() || scope.is_some_and(unnamed);
        let named = scope.map(|scope| scope.namespaces.as_slice()).filter(|names| !names.is_empty());
        let own = request.metadata.namespace.as_slice();
        let namespaces = (!any).then(|| named.unwrap_or(own).iter().map(|name| name.as_str().into()).collect());
        Self { granted_by, namespaces }
    }

    /// Whether this change can concern it.
    pub fn on(&self, change: &Change<'_>) -> bool {
        match change {
            Change::Namespace(name) => {
                self.namespaces.as_ref().is_none_or(|names| names.iter().any(|own| **own == **name))
            }
            Change::Policy { name, may_deny } => *may_deny || self.granted_by.as_ref().is_none_or(|by| **by == **name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::request;
    use serde_json::{Value, json};

    fn on_namespace(spec: Value, name: &str) -> bool {
        Dependence::of(&request(spec)).on(&Change::Namespace(name))
    }

    #[test]
    fn a_namespace_concerns_those_that_ask_for_it_or_may_come_to() {
        assert!(on_namespace(json!({}), "shop"));
        assert!(!on_namespace(json!({}), "bank"));
        let named = json!({ "scope": { "namespaces": ["bank", "yard"] } });
        assert!(on_namespace(named.clone(), "yard"));
        assert!(!on_namespace(named, "moon"));
        assert!(on_namespace(json!({ "scope": { "namespaceSelector": { "matchLabels": { "a": "b" } } } }), "moon"));
        assert!(on_namespace(json!({ "scope": { "cluster": true } }), "moon"));
        assert!(on_namespace(json!({ "extends": "other" }), "moon"));
    }

    fn granted() -> AccessRequest {
        let mut request = request(json!({}));
        request.status = serde_json::from_value(json!({
            "state": "Active", "grantedAt": "2026-01-01T00:00:00Z",
            "policy": { "name": "allow", "uid": "p", "generation": 1 }
        }))
        .unwrap();
        request
    }

    #[test]
    fn what_is_granted_is_concerned_by_its_policy_and_by_those_that_deny() {
        let depends = Dependence::of(&granted());
        assert!(depends.on(&Change::Policy { name: "allow", may_deny: false }));
        assert!(depends.on(&Change::Policy { name: "no", may_deny: true }));
        assert!(!depends.on(&Change::Policy { name: "other", may_deny: false }));
    }

    #[test]
    fn what_is_not_granted_is_concerned_by_every_policy() {
        assert!(Dependence::of(&request(json!({}))).on(&Change::Policy { name: "other", may_deny: false }));
        let mut scheduled = granted();
        scheduled.status.as_mut().unwrap().granted_at = None;
        assert!(Dependence::of(&scheduled).on(&Change::Policy { name: "other", may_deny: false }));
    }
}
