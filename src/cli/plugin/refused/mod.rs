//! Calls that the API server's authorizer refused: what was called, by whom and where.
//!
//! [`message`] finds them in text; whoever has the attributes of a call makes one itself. Proposes nothing and asks nobody.

pub mod message;

use std::fmt;

use k8s_openapi::api::authorization::v1::{NonResourceAttributes, ResourceAttributes, SelfSubjectAccessReviewSpec};

use crate::api::request::NarrowRule;

/// A call that was refused because a right was missing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RefusedCall {
    /// Name of the user that the API server knew; none when nobody has said.
    pub user: Option<String>,
    pub verb: String,
    pub target: RefusedTarget,
}

/// What was called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusedTarget {
    /// A resource, or objects of it.
    Resource {
        /// The empty one is the core group.
        group: String,
        /// In plural.
        resource: String,
        subresource: Option<String>,
        /// None for all objects.
        name: Option<String>,
        /// None at the scope of the cluster.
        namespace: Option<String>,
    },
    /// A path that is no resource, such as `/metrics`.
    Path(String),
}

impl RefusedCall {
    /// The namespace that the call was in; none at the scope of the cluster.
    pub fn namespace(&self) -> Option<&str> {
        match &self.target {
            RefusedTarget::Resource { namespace, .. } => namespace.as_deref(),
            RefusedTarget::Path(_) => None,
        }
    }

    /// Whether it is of one object that is there already.
    pub fn is_of_one(&self) -> bool {
        !self.rule().resource_names.is_empty()
    }

    /// The name of the object.
    fn name(&self) -> Option<&str> {
        match &self.target {
            RefusedTarget::Resource { name, .. } => name.as_deref(),
            RefusedTarget::Path(_) => None,
        }
    }

    /// The same call of all objects of its kind.
    pub fn of_all(&self) -> Self {
        let mut all = self.clone();
        if let RefusedTarget::Resource { name, .. } = &mut all.target {
            *name = None;
        }
        all
    }

    fn of(mut self, its: &str) -> Self {
        if let RefusedTarget::Resource { name, .. } = &mut self.target {
            *name = Some(its.to_owned());
        }
        self
    }

    /// The least rule that has the right. An object that is made has no name yet, as far as RBAC goes, and what deletes a
    /// collection names none.
    pub fn rule(&self) -> NarrowRule {
        let verbs = vec![self.verb.clone()];
        match &self.target {
            RefusedTarget::Path(path) => {
                NarrowRule { verbs, non_resource_urls: vec![path.clone()], ..NarrowRule::default() }
            }
            RefusedTarget::Resource { group, resource, subresource, name, .. } => {
                let unnamed = self.verb == "deletecollection" || (self.verb == "create" && subresource.is_none());
                let path = match subresource {
                    Some(subresource) => format!("{resource}/{subresource}"),
                    None => resource.clone(),
                };
                NarrowRule {
                    verbs,
                    api_groups: vec![group.clone()],
                    resources: vec![path],
                    resource_names: name.iter().filter(|_| !unnamed).cloned().collect(),
                    non_resource_urls: Vec::new(),
                }
            }
        }
    }

    /// The question whether the caller may make this call.
    pub fn question(&self) -> SelfSubjectAccessReviewSpec {
        let verb = Some(self.verb.clone());
        match &self.target {
            RefusedTarget::Path(path) => {
                let path = NonResourceAttributes { path: Some(path.clone()), verb };
                SelfSubjectAccessReviewSpec {
                    non_resource_attributes: Some(path),
                    ..SelfSubjectAccessReviewSpec::default()
                }
            }
            RefusedTarget::Resource { group, resource, subresource, name, namespace } => {
                let attributes = ResourceAttributes {
                    group: Some(group.clone()),
                    resource: Some(resource.clone()),
                    subresource: subresource.clone(),
                    name: name.clone(),
                    namespace: namespace.clone(),
                    verb,
                    ..ResourceAttributes::default()
                };
                SelfSubjectAccessReviewSpec {
                    resource_attributes: Some(attributes),
                    ..SelfSubjectAccessReviewSpec::default()
                }
            }
        }
    }
}

/// The least rules for several calls: verbs on the same objects are one rule, and so are the same verbs on objects of a kind.
pub fn rules(calls: &[RefusedCall]) -> Vec<NarrowRule> {
    let (mut of_objects, mut rules): (Vec<NarrowRule>, Vec<NarrowRule>) = (Vec::new(), Vec::new());
    for rule in calls.iter().map(RefusedCall::rule) {
        let without_verbs = |rule: &NarrowRule| NarrowRule { verbs: Vec::new(), ..rule.clone() };
        match of_objects.iter_mut().find(|other| without_verbs(other) == without_verbs(&rule)) {
            Some(other) => add_missing(&mut other.verbs, rule.verbs),
            None => of_objects.push(rule),
        }
    }
    for rule in of_objects {
        let without_names = |rule: &NarrowRule| NarrowRule { resource_names: Vec::new(), ..rule.clone() };
        let is_same = |other: &NarrowRule| {
            let both_have_names = !other.resource_names.is_empty() && !rule.resource_names.is_empty();
            both_have_names && without_names(other) == without_names(&rule)
        };
        match rules.iter_mut().find(|other| is_same(other)) {
            Some(other) => add_missing(&mut other.resource_names, rule.resource_names),
            None => rules.push(rule),
        }
    }
    rules
}

fn add_missing(to: &mut Vec<String>, more: Vec<String>) {
    to.extend(more.into_iter().filter(|one| !to.contains(one)).collect::<Vec<_>>());
}

/// Calls in a row of words; those that differ by their names only are one.
pub fn listed(calls: &[RefusedCall]) -> String {
    let mut together: Vec<(RefusedCall, Vec<&str>)> = Vec::new();
    for call in calls {
        let all = call.of_all();
        match (call.name(), together.iter_mut().find(|(other, names)| *other == all && !names.is_empty())) {
            (Some(name), Some((_, names))) => names.push(name),
            (name, _) => together.push((all, name.into_iter().collect())),
        }
    }
    let words = together.into_iter().map(|(call, names)| match names.is_empty() {
        true => call.to_string(),
        false => call.of(&names.join(",")).to_string(),
    });
    words.collect::<Vec<_>>().join(", ")
}

impl fmt::Display for RefusedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            RefusedTarget::Path(path) => write!(f, "{} {path}", self.verb),
            RefusedTarget::Resource { group, resource, subresource, name, namespace } => {
                write!(f, "{} {resource}", self.verb)?;
                subresource.iter().try_for_each(|part| write!(f, "/{part}"))?;
                if !group.is_empty() {
                    write!(f, ".{group}")?;
                }
                name.iter().try_for_each(|name| write!(f, " {name}"))?;
                match namespace {
                    Some(namespace) => write!(f, " in namespace {namespace}"),
                    None => f.write_str(" in the whole cluster"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call(verb: &str, path: &str, name: Option<&str>) -> RefusedCall {
        let (resource, part) = path.split_once('/').map_or((path, None), |(r, p)| (r, Some(p.to_owned())));
        let target = RefusedTarget::Resource {
            group: String::new(),
            resource: resource.to_owned(),
            subresource: part,
            name: name.map(str::to_owned),
            namespace: Some("shop".to_owned()),
        };
        RefusedCall { user: None, verb: verb.to_owned(), target }
    }

    #[test]
    fn the_least_rule_is_for_the_object_where_it_has_a_name() {
        for (verb, path, names) in [
            ("delete", "pods", json!(["a"])),
            ("create", "pods/exec", json!(["a"])),
            ("list", "pods", json!(["a"])),
            ("create", "pods", json!(null)),
            ("deletecollection", "pods", json!(null)),
        ] {
            let rule = json!(call(verb, path, Some("a")).rule());
            assert_eq!(rule["resourceNames"], names, "{verb} {path}");
            assert_eq!((&rule["verbs"], &rule["resources"]), (&json!([verb]), &json!([path])));
        }
        let path = RefusedCall { user: None, verb: "get".into(), target: RefusedTarget::Path("/metrics".into()) };
        assert_eq!(json!(path.rule()), json!({ "verbs": ["get"], "nonResourceURLs": ["/metrics"] }));
    }

    #[test]
    fn verbs_on_the_same_objects_are_one_rule() {
        let calls = [
            call("get", "pods", Some("a")),
            call("list", "pods", None),
            call("delete", "pods", Some("a")),
            call("get", "pods", Some("a")),
        ];
        let verbs: Vec<String> = rules(&calls).iter().map(|rule| rule.verbs.join(",")).collect();
        assert_eq!(verbs, ["get,delete", "list"]);
    }

    #[test]
    fn objects_with_the_same_verbs_are_one_rule() {
        let mut calls: Vec<RefusedCall> = ["a", "b"]
            .iter()
            .flat_map(|name| ["get", "patch"].map(|verb| call(verb, "configmaps", Some(name))))
            .collect();
        calls.extend([
            call("get", "configmaps", Some("c")),
            call("list", "configmaps", None),
            call("list", "pods", None),
        ]);
        let rules: Vec<(String, String)> =
            rules(&calls).iter().map(|rule| (rule.verbs.join(","), rule.resource_names.join(","))).collect();
        let expected = [("get,patch", "a,b"), ("get", "c"), ("list", ""), ("list", "")];
        assert_eq!(rules, expected.map(|(verbs, names)| (verbs.to_owned(), names.to_owned())));
        calls.drain(4..5);
        let words = "get configmaps a,b in namespace shop, patch configmaps a,b in namespace shop, \
            list configmaps in namespace shop, list pods in namespace shop";
        assert_eq!(listed(&calls), words);
    }
}
