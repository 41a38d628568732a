//! One right as it is typed: `delete:pods/shop-0`, `get,list:deployments.apps`, `create:pods/shop-0/exec`.
//!
//! Reads the words. Which group a resource is in that names none, [`super::groups`] finds out.

use std::str::FromStr;

use crate::api::request::NarrowRule;

/// How a rule is written.
pub const FORM: &str = "VERB[,VERB]:RESOURCE[.GROUP][/NAME[/SUBRESOURCE]]";

/// A right on a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleArg {
    pub verbs: Vec<String>,
    /// In plural.
    pub resource: String,
    /// None when the command line names none; the empty one is the core group.
    pub group: Option<String>,
    /// None for all objects.
    pub name: Option<String>,
    pub subresource: Option<String>,
}

impl FromStr for RuleArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            |what: &str| format!("{what}: write {FORM}, such as delete:pods/shop-0 or get,list:deployments.apps");
        let (verbs, rest) = text.split_once(':').ok_or_else(|| wrong("there is no verb before a colon"))?;
        let verbs: Vec<String> = verbs.split(',').map(|verb| verb.trim().to_lowercase()).collect();
        let mut parts = rest.split('/');
        let kind = parts.next().unwrap_or_default();
        let (resource, group) = match kind.split_once('.') {
            Some((resource, group)) => (resource, Some(group.to_owned())),
            None => (kind, None),
        };
        let (name, subresource) = (parts.next(), parts.next());
        if verbs.iter().any(String::is_empty) || resource.is_empty() {
            return Err(wrong("a verb or the resource is empty"));
        }
        if parts.next().is_some() || name == Some("") || subresource == Some("") {
            return Err(wrong("after the resource come a name and a subresource, and nothing more"));
        }
        Ok(Self {
            verbs,
            resource: resource.to_lowercase(),
            group,
            name: name.filter(|name| *name != "*").map(str::to_owned),
            subresource: subresource.map(str::to_owned),
        })
    }
}

impl RuleArg {
    /// The rule of a request, on a resource of this group.
    pub fn rule(&self, group: String) -> NarrowRule {
        let resource = match &self.subresource {
            Some(subresource) => format!("{}/{subresource}", self.resource),
            None => self.resource.clone(),
        };
        NarrowRule {
            verbs: self.verbs.clone(),
            api_groups: vec![group],
            resources: vec![resource],
            resource_names: self.name.iter().cloned().collect(),
            non_resource_urls: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Verbs, resource, group and names.
    type Parts = (Vec<String>, String, Option<String>, Vec<String>);

    fn rule(text: &str) -> Result<Parts, String> {
        let right: RuleArg = text.parse()?;
        let rule = right.rule(String::new());
        Ok((rule.verbs, rule.resources[0].clone(), right.group, rule.resource_names))
    }

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_right_is_read_as_kubectl_writes_objects() {
        for (text, verbs, resource, group, names) in [
            ("delete:pods/shop-0.v2", &["delete"][..], "pods", None, &["shop-0.v2"][..]),
            ("get,list:deployments.apps", &["get", "list"], "deployments", Some("apps"), &[]),
            ("create:pods/shop-0/exec", &["create"], "pods/exec", None, &["shop-0"]),
            ("get:pods/*/log", &["get"], "pods/log", None, &[]),
            ("GET:Pods", &["get"], "pods", None, &[]),
        ] {
            let expected = (strings(verbs), resource.to_owned(), group.map(str::to_owned), strings(names));
            assert_eq!(rule(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_right_is_refused_with_the_form() {
        for text in ["pods", ":pods", "get:", "get,:pods", "get:pods/", "get:pods/a/log/b", "get:pods/a/"] {
            assert!(rule(text).is_err_and(|why| why.contains(FORM)), "{text}: {:?}", rule(text));
        }
    }
}
