//! One right as it is typed: `delete:pods/shop-0`, `get,list:deployments.apps`, `create:pods/shop-0/exec`, `get:/metrics`.
//!
//! Reads the words. Which group a resource is in that names none, [`super::groups`] finds out.

use std::str::FromStr;

use crate::api::request::NarrowRule;

/// How a rule is written.
pub const FORM: &str = "VERB[,VERB]:RESOURCE[.GROUP][/NAME[/SUBRESOURCE]]";

/// A right: what may be done, and to what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleArg {
    pub verbs: Vec<String>,
    pub on: RuleTarget,
}

/// What a right is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleTarget {
    /// A resource.
    Resource {
        /// In plural.
        resource: String,
        /// None when the command line names none; the empty one is the core group.
        group: Option<String>,
        /// None for all objects.
        name: Option<String>,
        subresource: Option<String>,
    },
    /// A URL path that is no resource, such as `/metrics`.
    Url(String),
}

impl FromStr for RuleArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |what: &str| {
            format!(
                "{what}: write {FORM}, such as delete:pods/shop-0 or get,list:deployments.apps; or a path, as get:/metrics"
            )
        };
        let (verbs, rest) = text.split_once(':').ok_or_else(|| wrong("there is no verb before a colon"))?;
        let verbs: Vec<String> = verbs.split(',').map(|verb| verb.trim().to_lowercase()).collect();
        if verbs.iter().any(String::is_empty) || rest.is_empty() {
            return Err(wrong("a verb or the resource is empty"));
        }
        let on =
            if rest.starts_with('/') { RuleTarget::Url(rest.to_owned()) } else { resource(rest).map_err(wrong)? };
        Ok(Self { verbs, on })
    }
}

/// A resource as it is typed.
///
/// # Errors
/// What is wrong with it.
fn resource(typed: &str) -> Result<RuleTarget, &'static str> {
    let mut parts = typed.split('/');
    let kind = parts.next().unwrap_or_default();
    let (resource, group) = match kind.split_once('.') {
        Some((resource, group)) => (resource, Some(group.to_owned())),
        None => (kind, None),
    };
    let (name, subresource) = (parts.next(), parts.next());
    if resource.is_empty() {
        return Err("a verb or the resource is empty");
    }
    if parts.next().is_some() || name == Some("") || subresource == Some("") {
        return Err("after the resource come a name and a subresource, and nothing more");
    }
    Ok(RuleTarget::Resource {
        resource: resource.to_lowercase(),
        group,
        name: name.filter(|name| *name != "*").map(str::to_owned),
        subresource: subresource.map(str::to_owned),
    })
}

impl RuleArg {
    /// The rule of a request, on a resource of this group; a path is in none.
    pub fn rule(&self, in_group: String) -> NarrowRule {
        let verbs = self.verbs.clone();
        match &self.on {
            RuleTarget::Url(path) => {
                NarrowRule { verbs, non_resource_urls: vec![path.clone()], ..NarrowRule::default() }
            }
            RuleTarget::Resource { resource, name, subresource, .. } => NarrowRule {
                verbs,
                api_groups: vec![in_group],
                resources: vec![match subresource {
                    Some(subresource) => format!("{resource}/{subresource}"),
                    None => resource.clone(),
                }],
                resource_names: name.iter().cloned().collect(),
                non_resource_urls: Vec::new(),
            },
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
        let RuleTarget::Resource { group, .. } = right.on else { return Err("it is a path".to_owned()) };
        Ok((rule.verbs, rule.resources[0].clone(), group, rule.resource_names))
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
    fn a_path_is_a_right_on_no_resource() {
        let rule = "GET,head:/healthz/Ready.x/*".parse::<RuleArg>().unwrap().rule("apps".to_owned());
        let urls = vec!["/healthz/Ready.x/*".to_owned()];
        let verbs = strings(&["get", "head"]);
        assert_eq!(rule, NarrowRule { verbs, non_resource_urls: urls, ..NarrowRule::default() });
    }

    #[test]
    fn what_is_no_right_is_refused_with_the_form() {
        for text in ["pods", ":pods", "get:", "get,:pods", ":/metrics", "get:pods/", "get:pods/a/log/b", "get:pods/a/"]
        {
            assert!(rule(text).is_err_and(|why| why.contains(FORM)), "{text}: {:?}", rule(text));
        }
    }
}
