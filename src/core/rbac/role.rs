//! The role asked for, as the cluster has it: what it allows, how bad that is, and whether it is still what was
//! decided on.
//!
//! A ClusterRole is one object; a Role is one in each namespace, and they may differ. It must not know who asks or
//! what a change leads to.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::api::record::{digest, digest_of_sum};
use crate::api::request::{NarrowRule, RoleRisk};
use crate::core::rbac::risk::{Extent, Risk, risk, unreadable};
use crate::core::rbac::rules::{self, Uncovered, covers};

/// What stands for the digest of a role that is not there.
const NO_ROLE: &str = "none";

/// A role asked for.
#[derive(Clone, Debug)]
pub enum RoleSeen {
    /// A ClusterRole; none when there is no such.
    OfCluster(Option<Arc<ClusterRole>>),
    /// The Roles of that name by namespace; none where there is no such.
    OfNamespaces(BTreeMap<String, Option<Arc<Role>>>),
}

impl RoleSeen {
    /// A role that has all that anybody can ask of it, for where none can be looked at.
    pub fn with_every_right() -> Self {
        let all = || Some(vec![rules::ALL.to_owned()]);
        let verbs = vec![rules::ALL.to_owned()];
        let resources =
            PolicyRule { verbs: verbs.clone(), api_groups: all(), resources: all(), ..PolicyRule::default() };
        let urls = PolicyRule { verbs, non_resource_urls: all(), ..PolicyRule::default() };
        Self::OfCluster(Some(Arc::new(ClusterRole { rules: Some(vec![resources, urls]), ..ClusterRole::default() })))
    }

    /// A role with which nothing can be done but look, for where none can be looked at.
    pub fn that_only_looks() -> Self {
        Self::OfCluster(Some(Arc::default()))
    }

    /// Whether both are one and the same reading of a ClusterRole, so that all that follows from its rules is the same. False
    /// when that is not known: for Roles, and for a role that is not there.
    pub fn is_the_same_reading(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::OfCluster(Some(one)), Self::OfCluster(Some(other))) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// Where it was looked up, when it is in none of these places: no namespace for a ClusterRole.
    pub fn nowhere(&self) -> Option<Vec<&str>> {
        match self {
            Self::OfCluster(role) => role.is_none().then(Vec::new),
            Self::OfNamespaces(roles) if roles.is_empty() || roles.values().any(Option::is_some) => None,
            Self::OfNamespaces(roles) => Some(roles.keys().map(String::as_str).collect()),
        }
    }

    /// The rules in each place where it is looked up; none where the role is not there.
    fn places(&self) -> Vec<(Option<&str>, Option<&[PolicyRule]>)> {
        fn rules(rules: &Option<Vec<PolicyRule>>) -> &[PolicyRule] {
            rules.as_deref().unwrap_or_default()
        }
        match self {
            Self::OfCluster(role) => vec![(None, role.as_ref().map(|role| rules(&role.rules)))],
            Self::OfNamespaces(roles) => roles
                .iter()
                .map(|(ns, role)| (Some(ns.as_str()), role.as_ref().map(|role| rules(&role.rules))))
                .collect(),
        }
    }

    /// The rules of all places together; none when the role is not there in one of them.
    pub fn rules_in_every_place(&self) -> Option<Vec<&PolicyRule>> {
        let places = self.places().into_iter();
        let rules: Option<Vec<&[PolicyRule]>> = places.map(|(_, rules)| rules).collect();
        rules.map(|rules| rules.into_iter().flatten().collect())
    }

    /// How bad it is, where it would hold, for the record: what a request asks of it (its `spec.rules`), or else the whole
    /// role, and then the worst of its places.
    pub fn risk(&self, narrow: &[NarrowRule], extent: Extent) -> RoleRisk {
        if !narrow.is_empty() {
            let wanted: Vec<PolicyRule> = narrow.iter().map(rules::from_narrow).collect();
            return risk(&wanted, extent).on_record();
        }
        let places = self.places();
        let all: Option<Vec<Risk>> = places.into_iter().map(|(_, rules)| Some(risk(rules?, extent))).collect();
        let worst = all.and_then(|all| all.into_iter().max_by_key(|risk| risk.level));
        worst.map_or_else(unreadable, |risk| risk.on_record())
    }

    /// What is wanted and the role does not allow; nothing when it has all of it, everywhere.
    pub fn lacks(&self, narrow: &[NarrowRule]) -> Vec<Lack> {
        let wanted: Vec<PolicyRule> = narrow.iter().map(rules::from_narrow).collect();
        let lacks = |(namespace, rules): (Option<&str>, Option<&[PolicyRule]>)| {
            let namespace = namespace.map(str::to_owned);
            let Some(rules) = rules else { return vec![Lack::Role { namespace }] };
            let uncovered = covers(rules, &wanted).err().unwrap_or_default();
            uncovered.into_iter().map(|what| Lack::Right { what, namespace: namespace.clone() }).collect()
        };
        self.places().into_iter().map(lacks).find(|lacks| !lacks.is_empty()).unwrap_or_default()
    }

    /// The rules in canonical JSON: a list of the places where it is looked up, each with its namespace, if it has one, and its
    /// rules, which are null where it is not there. The order in which somebody wrote them changes nothing. None when it is
    /// nowhere.
    pub fn text(&self) -> Option<String> {
        let places = self.places();
        if places.iter().all(|(_, rules)| rules.is_none()) {
            return None;
        }
        let places: Vec<String> = places.into_iter().map(|(namespace, rules)| place_text(namespace, rules)).collect();
        Some(format!("[{}]", places.join(",")))
    }

    /// What the rules are, in one word that changes when they do: SHA-256 over [`RoleSeen::text`].
    pub fn digest(&self) -> String {
        self.text().map_or_else(|| NO_ROLE.to_owned(), |text| digest(text.as_bytes()))
    }

    /// Whether this digest, which may be stored by an earlier version, is of these rules.
    pub fn has_digest(&self, stored: &str) -> bool {
        self.digest() == stored || self.earlier_digest() == stored
    }

    /// As versions made it that kept no texts.
    fn earlier_digest(&self) -> String {
        let places = self.places();
        if places.iter().all(|(_, rules)| rules.is_none()) {
            return NO_ROLE.to_owned();
        }
        let mut sha = Sha256::new();
        for (namespace, rules) in places {
            sha.update(namespace.unwrap_or_default());
            sha.update([0, u8::from(rules.is_some())]);
            let mut texts: Vec<String> = rules.unwrap_or_default().iter().map(in_order).collect();
            texts.sort();
            for text in texts {
                sha.update(text);
                sha.update([0]);
            }
        }
        digest_of_sum(&sha.finalize())
    }
}

/// What a request wants that its role does not allow, when it asks for less than the whole role.
pub fn missing_rights(narrow: &[NarrowRule], role: Option<&RoleSeen>) -> Vec<Lack> {
    match role {
        _ if narrow.is_empty() => Vec::new(),
        Some(role) => role.lacks(narrow),
        None => vec![Lack::Unread],
    }
}

/// What a role does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Nobody has looked at the role.
    Unread,
    /// The role is not there: in this namespace, when it is looked for in several.
    Role { namespace: Option<String> },
    /// A right.
    Right { what: Uncovered, namespace: Option<String> },
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespace = match self {
            Self::Unread => return f.write_str("the role has not been read"),
            Self::Role { namespace } => {
                f.write_str("there is no such role")?;
                namespace
            }
            Self::Right { what, namespace } => {
                write!(f, "{what}")?;
                namespace
            }
        };
        namespace.iter().try_for_each(|name| write!(f, " in namespace {name}"))
    }
}

/// A place in canonical JSON.
fn place_text(namespace: Option<&str>, rules: Option<&[PolicyRule]>) -> String {
    let namespace = namespace.map(|name| format!(r#""namespace":{},"#, json!(name))).unwrap_or_default();
    let rules = rules.map_or_else(
        || "null".to_owned(),
        |rules| {
            let mut texts: Vec<String> = rules.iter().map(rule_text).collect();
            texts.sort();
            format!("[{}]", texts.join(","))
        },
    );
    format!(r#"{{{namespace}"rules":{rules}}}"#)
}

/// A rule in canonical JSON, each list sorted and none empty.
fn rule_text(rule: &PolicyRule) -> String {
    let lists = [
        ("apiGroups", rules::list(&rule.api_groups)),
        ("nonResourceURLs", rules::list(&rule.non_resource_urls)),
        ("resourceNames", rules::list(&rule.resource_names)),
        ("resources", rules::list(&rule.resources)),
        ("verbs", rule.verbs.as_slice()),
    ];
    let members = lists.into_iter().filter(|(_, words)| !words.is_empty());
    let members: Vec<String> = members.map(|(name, words)| format!(r#""{name}":{}"#, sorted(words))).collect();
    format!("{{{}}}", members.join(","))
}

fn sorted(words: &[String]) -> String {
    let mut words: Vec<&String> = words.iter().collect();
    words.sort();
    words.dedup();
    json!(words).to_string()
}

/// A rule as earlier versions wrote it, its lists sorted. Each word is quoted, so that no two rules have the same text.
fn in_order(rule: &PolicyRule) -> String {
    let lists = [
        rule.verbs.as_slice(),
        rules::list(&rule.api_groups),
        rules::list(&rule.resources),
        rules::list(&rule.resource_names),
        rules::list(&rule.non_resource_urls),
    ];
    lists.map(sorted).join(";")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::record::canonical;
    use crate::api::risk::RiskLevel;

    /// Of the role in the test below, as it was stored.
    const EARLIER: &str = "sha256:adfb1b583a6084980283afc405aca071f00d178c300874b8219762d6678864a8";

    fn cluster(rules: serde_json::Value) -> RoleSeen {
        let role = serde_json::from_value(json!({ "metadata": { "name": "edit" }, "rules": rules })).unwrap();
        RoleSeen::OfCluster(Some(Arc::new(role)))
    }

    fn narrow(rules: serde_json::Value) -> Vec<NarrowRule> {
        serde_json::from_value(rules).unwrap()
    }

    fn pods(verbs: &[&str]) -> serde_json::Value {
        json!({ "verbs": verbs, "apiGroups": [""], "resources": ["pods"] })
    }

    #[test]
    fn the_digest_changes_with_the_rules_and_with_nothing_else() {
        let (a, b) = (pods(&["get", "list"]), pods(&["delete"]));
        let first = cluster(json!([a, b])).digest();
        assert_eq!(first, cluster(json!([b, pods(&["list", "get"])])).digest());
        for other in [json!([a]), json!([a, pods(&["delete", "get"])]), json!([a, b, a]), json!([])] {
            assert_ne!(first, cluster(other.clone()).digest(), "{other}");
        }
        let named = |names: &[&str]| {
            let rule = json!({ "verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": names });
            cluster(json!([rule])).digest()
        };
        assert_ne!(named(&["a"]), named(&["b"]), "the objects that it is for");
        assert_ne!(named(&["a"]), named(&[]), "all objects");
        assert_eq!(named(&["a", "b"]), named(&["b", "a"]));
        assert_eq!(RoleSeen::OfCluster(None).digest(), "none");
        assert_ne!(cluster(json!([])).digest(), "none");
        let empty = Some(Arc::new(Role::default()));
        let in_two = |first: &Option<Arc<Role>>, second: &Option<Arc<Role>>| {
            let roles = [("a".to_owned(), first.clone()), ("b".to_owned(), second.clone())];
            RoleSeen::OfNamespaces(roles.into()).digest()
        };
        assert_ne!(in_two(&empty, &None), in_two(&empty, &empty), "one that is gone is not one without rules");
        assert!(first.starts_with("sha256:") && first.len() <= 80);
    }

    #[test]
    fn the_text_is_canonical_json_that_the_digest_is_of() {
        let odd = json!({ "verbs": ["list", "get", "get"], "apiGroups": [""], "resources": ["p\"ods"] });
        let urls = json!({ "verbs": ["get"], "nonResourceURLs": ["/ü\u{1}"], "resourceNames": [] });
        let named: Role = serde_json::from_value(json!({ "rules": [odd, urls] })).unwrap();
        let roles = [("a".to_owned(), Some(Arc::new(named))), ("b".to_owned(), None)];
        for role in [cluster(json!([odd, urls])), cluster(json!([])), RoleSeen::OfNamespaces(roles.into())] {
            let text = role.text().unwrap();
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(canonical(&value), text);
            assert_eq!(digest(text.as_bytes()), role.digest());
            assert!(role.has_digest(&role.digest()) && role.has_digest(&role.earlier_digest()));
            assert!(!role.has_digest(&cluster(json!([odd])).digest()) && !role.has_digest(NO_ROLE));
        }
        let rules = r#"[{"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["get"]}]}]"#;
        assert_eq!(cluster(json!([pods(&["get"])])).text().unwrap(), rules);
        assert_eq!(RoleSeen::OfCluster(None).text(), None);
        assert!(RoleSeen::OfCluster(None).has_digest(NO_ROLE));
    }

    /// What a grant of an earlier version was decided on must not seem to have changed.
    #[test]
    fn digests_of_earlier_versions_are_still_known() {
        let role = cluster(json!([pods(&["get", "list"]), pods(&["delete"])]));
        assert_eq!(role.earlier_digest(), EARLIER);
    }

    #[test]
    fn words_do_not_run_into_one_another() {
        let rule = |verbs: &[&str], groups: &[&str]| cluster(json!([{ "verbs": verbs, "apiGroups": groups }])).digest();
        assert_ne!(rule(&["get", "list"], &[]), rule(&["get, list"], &[]));
        assert_ne!(rule(&["get\", \"list"], &[]), rule(&["get", "list"], &[]));
        assert_ne!(rule(&["get"], &["list"]), rule(&["get", "list"], &[]));
    }

    #[test]
    fn what_is_wanted_must_be_in_the_role_in_every_namespace() {
        let wanted = narrow(
            json!([{ "verbs": ["delete"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["web-0"] }]),
        );
        let role = |verbs: &[&str]| {
            let role = json!({ "metadata": { "name": "ops" }, "rules": [pods(verbs)] });
            Some(Arc::new(serde_json::from_value::<Role>(role).unwrap()))
        };
        let of = |roles: Vec<(&str, Option<Arc<Role>>)>| {
            RoleSeen::OfNamespaces(roles.into_iter().map(|(n, r)| (n.to_owned(), r)).collect())
        };
        assert_eq!(of(vec![("a", role(&["delete"])), ("b", role(&["*"]))]).lacks(&wanted), []);
        let short = of(vec![("a", role(&["delete"])), ("b", role(&["get"]))]).lacks(&wanted);
        let text = str::to_owned;
        let (verbs, group, resource) = (vec![text("delete")], String::new(), text("pods"));
        let what = Uncovered::Resource { verbs, group, resource, name: Some(text("web-0")) };
        assert_eq!(short, [Lack::Right { what, namespace: Some(text("b")) }]);
        assert_eq!(of(vec![("a", None)]).lacks(&wanted), [Lack::Role { namespace: Some(text("a")) }]);
        assert_eq!(RoleSeen::OfCluster(None).lacks(&wanted), [Lack::Role { namespace: None }]);
    }

    #[test]
    fn the_risk_is_that_of_what_is_wanted() {
        let admin = cluster(json!([{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }]));
        assert_eq!(admin.risk(&[], Extent::Namespaces).level, RiskLevel::Critical);
        let one =
            narrow(json!([{ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["web-0"] }]));
        assert_eq!(admin.risk(&one, Extent::Namespaces).level, RiskLevel::Low);
        assert_eq!(RoleSeen::OfCluster(None).risk(&[], Extent::Namespaces).level, RiskLevel::Unknown);
    }
}
