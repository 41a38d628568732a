//! How far `run --yes` may go: no script that is run gets what nobody has said that it may have.
//!
//! The risk of what would be asked for is what the core reads in its rules. Asks nobody, and knows no policy.

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::api::rbac::v1::PolicyRule;

use crate::api::request::AccessRequest;
use crate::api::risk::RiskLevel;
use crate::core::decision::protected::Protected;
use crate::core::rbac::risk::{Extent, risk};
use crate::core::rbac::rules::{covers, from_narrow};

/// How many requests one run makes that nobody was asked about.
const MOST_UNASKED: usize = 16;

/// What may be asked for without asking anybody.
#[derive(Clone, Debug)]
pub struct UnaskedLimit {
    /// Nothing but these; none when only the risk counts.
    pub rules: Option<Vec<PolicyRule>>,
    /// Nothing that can do more harm; none when only the rules count.
    pub max_risk: Option<RiskLevel>,
    /// Nothing elsewhere.
    pub namespaces: BTreeSet<String>,
    /// Whether the whole cluster may be asked for.
    pub cluster: bool,
}

/// Why something is not asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OverLimit {
    /// Some of it is in none of the rules.
    Rules,
    /// It can do this much harm, and no more than the other was said.
    Risk { level: RiskLevel, most: RiskLevel },
    /// It is in this namespace.
    Namespace(String),
    /// It is for the whole cluster.
    Cluster,
    /// The run has asked for as much as it may.
    TooMany,
}

impl fmt::Display for OverLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rules => f.write_str("it is beyond --allow"),
            Self::Risk { level, most } => write!(f, "its risk is {level}, and --yes goes up to {most}: see --max-risk"),
            Self::Namespace(name) => write!(f, "it is in namespace {name}: see --namespaces"),
            Self::Cluster => f.write_str("it is for the whole cluster: see --cluster-wide"),
            Self::TooMany => {
                write!(f, "{MOST_UNASKED} requests are made already, which is the most that one run makes")
            }
        }
    }
}

impl UnaskedLimit {
    /// Whether this may be asked for, when so many requests were made before it.
    ///
    /// # Errors
    /// Why it may not.
    pub fn check(&self, draft: &AccessRequest, protected: Protected<'_>, made: usize) -> Result<(), OverLimit> {
        if made >= MOST_UNASKED {
            return Err(OverLimit::TooMany);
        }
        let extent = self.place(draft, protected)?;
        let wanted: Vec<PolicyRule> = draft.spec.rules.iter().map(from_narrow).collect();
        if let Some(rules) = &self.rules {
            covers(rules, &wanted).map_err(|_| OverLimit::Rules)?;
        }
        // Without rules it would be for the whole role, which nobody has looked at.
        let level = if wanted.is_empty() { RiskLevel::Unknown } else { risk(&wanted, extent).level };
        match self.max_risk {
            Some(most) if level > most => Err(OverLimit::Risk { level, most }),
            _ => Ok(()),
        }
    }

    /// Where it would hold, if that may be asked for.
    fn place(&self, draft: &AccessRequest, protected: Protected<'_>) -> Result<Extent, OverLimit> {
        let scope = draft.spec.scope.as_ref();
        if scope.is_some_and(|scope| scope.cluster || scope.namespace_selector.is_some()) {
            return if self.cluster { Ok(Extent::Cluster) } else { Err(OverLimit::Cluster) };
        }
        let own = draft.metadata.namespace.iter();
        let named: Vec<&String> = match scope {
            Some(scope) if !scope.namespaces.is_empty() => scope.namespaces.iter().collect(),
            _ => own.collect(),
        };
        if let Some(other) = named.iter().find(|name| !self.cluster && !self.namespaces.contains(**name)) {
            return Err(OverLimit::Namespace((*other).clone()));
        }
        let is_protected = named.iter().any(|name| protected.contains(name));
        Ok(if is_protected { Extent::SystemNamespaces } else { Extent::Namespaces })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::request;
    use proptest::prelude::*;
    use proptest::sample::select;
    use serde_json::{Value, json};

    fn limit(allow: Value, max_risk: Option<RiskLevel>) -> UnaskedLimit {
        let rules = serde_json::from_value(allow).unwrap();
        UnaskedLimit { rules, max_risk, namespaces: BTreeSet::from(["shop".to_owned()]), cluster: false }
    }

    fn rule(verb: &str, resource: &str, names: &[&str]) -> Value {
        json!({ "verbs": [verb], "apiGroups": [""], "resources": [resource], "resourceNames": names })
    }

    fn draft(rules: &[Value]) -> AccessRequest {
        request(json!({ "rules": rules }))
    }

    fn check(limit: &UnaskedLimit, draft: &AccessRequest) -> Result<(), OverLimit> {
        limit.check(draft, Protected::default(), 0)
    }

    #[test]
    fn rules_that_are_allowed_are_the_most() {
        let limit = limit(json!([rule("delete", "pods", &["a"])]), None);
        assert_eq!(check(&limit, &draft(&[rule("delete", "pods", &["a"])])), Ok(()));
        for more in [
            vec![rule("delete", "pods", &["b"])],
            vec![rule("delete", "pods", &[])],
            vec![rule("get", "pods", &["a"])],
            vec![rule("delete", "pods", &["a"]), rule("get", "secrets", &["a"])],
        ] {
            assert!(matches!(check(&limit, &draft(&more)), Err(OverLimit::Rules)), "{more:?}");
        }
    }

    #[test]
    fn the_risk_is_what_the_core_reads() {
        let low = limit(json!(null), Some(RiskLevel::Low));
        assert_eq!(check(&low, &draft(&[rule("get", "pods", &[])])), Ok(()));
        for high in [rule("get", "secrets", &[]), rule("create", "pods", &[]), rule("delete", "pods", &["a"])] {
            let over = check(&low, &draft(std::slice::from_ref(&high)));
            assert!(matches!(over, Err(OverLimit::Risk { .. })), "{high}: {over:?}");
        }
        assert!(check(&low, &draft(&[])).is_err(), "the whole role");
        let critical = limit(json!(null), Some(RiskLevel::Critical));
        assert_eq!(check(&critical, &draft(&[rule("get", "secrets", &[])])), Ok(()));
        // Both hold where both are given.
        let both = limit(json!([rule("delete", "pods", &[])]), Some(RiskLevel::Low));
        assert!(matches!(check(&both, &draft(&[rule("delete", "pods", &["a"])])), Err(OverLimit::Risk { .. })));
    }

    #[test]
    fn what_is_asked_for_in_a_system_namespace_does_more_harm() {
        let medium = limit(json!(null), Some(RiskLevel::Medium));
        let mut patch = draft(&[rule("patch", "configmaps", &["a"])]);
        assert_eq!(check(&medium, &patch), Ok(()));
        patch.metadata.namespace = Some("kube-system".to_owned());
        let there = UnaskedLimit { namespaces: BTreeSet::from(["kube-system".to_owned()]), ..medium };
        assert!(matches!(check(&there, &patch), Err(OverLimit::Risk { .. })));
    }

    #[test]
    fn no_other_place_is_asked_in_and_no_end_of_requests_is_made() {
        let low = limit(json!(null), Some(RiskLevel::Low));
        let mut there = draft(&[rule("get", "pods", &[])]);
        assert_eq!(low.check(&there, Protected::default(), MOST_UNASKED), Err(OverLimit::TooMany));
        there.metadata.namespace = Some("bank".to_owned());
        assert_eq!(check(&low, &there), Err(OverLimit::Namespace("bank".to_owned())));
        there.spec.scope = serde_json::from_value(json!({ "cluster": true })).unwrap();
        assert_eq!(check(&low, &there), Err(OverLimit::Cluster));
        let wide = UnaskedLimit { cluster: true, ..low };
        assert_eq!(check(&wide, &there), Ok(()));
    }

    proptest! {
        /// Whatever a command calls, nothing passes that its own rules do not have.
        #[test]
        fn what_passes_is_covered(
            verbs in prop::collection::vec(select(vec!["get", "list", "delete", "create", "*"]), 1..4),
            resource in select(vec!["pods", "secrets", "pods/exec", "*"]),
            names in prop::collection::vec(select(vec!["a", "b", "*"]), 0..3),
        ) {
            let allow: Vec<PolicyRule> =
                serde_json::from_value(json!([rule("get", "pods", &[]), rule("delete", "pods", &["a"])])).unwrap();
            let limit = UnaskedLimit { rules: Some(allow.clone()), ..limit(json!(null), None) };
            let wanted: Vec<Value> = verbs.iter().map(|verb| rule(verb, resource, &names)).collect();
            let passes = check(&limit, &draft(&wanted)).is_ok();
            let is_own = |verb: &&str| resource == "pods"
                && (*verb == "get" || *verb == "delete" && !names.is_empty() && names.iter().all(|name| *name == "a"));
            prop_assert_eq!(passes, verbs.iter().all(is_own));
        }
    }
}
