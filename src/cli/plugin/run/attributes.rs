//! The attributes by which the API server authorizes a call, worked out from its method, path and query.
//!
//! Follows what `RequestInfoFactory` of k8s.io/apiserver does, oddities included, and knows nothing of who calls or of what
//! was answered. A call that no rule can name is none: above all one whose path has an asterisk where a rule would take it
//! for everything.

use crate::cli::plugin::refused::{RefusedCall, RefusedTarget};

/// What stands for everything in a rule.
const EVERYTHING: char = '*';

/// The call that a request makes, as RBAC looks at it. `path` and `query` are as they stand on the wire, escapes and all.
/// None when there is no rule that would be for it and nothing else, or the API server would not read it.
pub fn refused_call(method: &str, path: &str, query: &str) -> Option<RefusedCall> {
    let path = unescaped(path, false)?;
    let (verb, target) = match ResourcePath::of(&path)? {
        Some(found) => found.attributes(method, query)?,
        None => (method.to_lowercase(), RefusedTarget::Path(path)),
    };
    is_nameable(&target).then_some(RefusedCall { user: None, verb, target })
}

/// Whether a rule for this would be for nothing else.
fn is_nameable(target: &RefusedTarget) -> bool {
    let is_plain = |text: &str| !text.contains(EVERYTHING);
    match target {
        RefusedTarget::Path(path) => is_plain(path),
        RefusedTarget::Resource { group, resource, subresource, name, .. } => {
            !resource.is_empty()
                && [Some(group), Some(resource), subresource.as_ref(), name.as_ref()]
                    .into_iter()
                    .flatten()
                    .all(|text| is_plain(text))
        }
    }
}

/// A path below a version of the API.
struct ResourcePath<'a> {
    group: &'a str,
    /// The verb that the path itself says, as old watches do.
    verb: Option<&'a str>,
    /// None at the scope of the cluster.
    namespace: Option<&'a str>,
    /// Resource, name, subresource and what follows.
    parts: Vec<&'a str>,
}

impl<'a> ResourcePath<'a> {
    /// Of an unescaped path: the inner none is a path that is no resource, the outer one what the API server cannot read.
    fn of(path: &'a str) -> Option<Option<Self>> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, below) = match parts[..] {
            ["api", _, _, ..] => ("", &parts[2..]),
            ["apis", group, _, _, ..] => (group, &parts[3..]),
            _ => return Some(None),
        };
        let (verb, below) = match below {
            ["watch" | "proxy"] => return None,
            [verb @ ("watch" | "proxy"), rest @ ..] => (Some(*verb), rest),
            rest => (None, rest),
        };
        let (namespace, parts) = match below {
            ["namespaces", namespace, part, ..] if !matches!(*part, "status" | "finalize") => {
                (Some(*namespace), below[2..].to_vec())
            }
            ["namespaces", namespace, ..] => (Some(*namespace), below.to_vec()),
            _ => (None, below.to_vec()),
        };
        Some(Some(Self { group, verb, namespace: namespace.filter(|name| !name.is_empty()), parts }))
    }

    /// Verb and target. None for a method that no verb stands for.
    fn attributes(&self, method: &str, query: &str) -> Option<(String, RefusedTarget)> {
        let verb = match (self.verb, method) {
            (Some(verb), _) => verb,
            (None, "GET" | "HEAD") => "get",
            (None, "POST") => "create",
            (None, "PUT") => "update",
            (None, "PATCH") => "patch",
            (None, "DELETE") => "delete",
            (None, _) => return None,
        };
        let part = |at: usize| self.parts.get(at).map(|part| (*part).to_owned());
        let mut name = part(1).filter(|name| !name.is_empty());
        let verb = match (verb, &name) {
            ("get", None) => {
                let options = ListQuery::of(query);
                name = options.name;
                if options.watch { "watch" } else { "list" }
            }
            ("delete", None) => "deletecollection",
            (verb, _) => verb,
        };
        let target = RefusedTarget::Resource {
            group: self.group.to_owned(),
            resource: part(0).unwrap_or_default(),
            subresource: part(2).filter(|part| verb != "proxy" && !part.is_empty()),
            name,
            namespace: self.namespace.map(str::to_owned),
        };
        Some((verb.to_owned(), target))
    }
}

/// What the query of a list says that authorization looks at.
struct ListQuery {
    watch: bool,
    /// The only object that is asked for.
    name: Option<String>,
}

impl ListQuery {
    fn of(query: &str) -> Self {
        let pairs = pairs(query);
        let first = |key: &str| pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        let watch = first("watch").is_some_and(|value| value != "0" && !value.eq_ignore_ascii_case("false"));
        // One option that cannot be read makes the API server forget the selectors.
        let is_number = |key| first(key).is_none_or(|value| value.parse::<i64>().is_ok());
        let is_read = is_number("limit") && is_number("timeoutSeconds");
        Self { watch, name: first("fieldSelector").filter(|_| is_read).and_then(only_name) }
    }
}

/// The name that a field selector asks for, if it can be the name of an object.
fn only_name(selector: &str) -> Option<String> {
    let mut terms = Vec::new();
    for term in terms_of(selector).filter(|term| !term.is_empty()) {
        terms.push((term, read_term(term)?));
    }
    terms.sort_unstable();
    let name = terms.into_iter().find_map(|(_, (field, value))| value.filter(|_| field == "metadata.name"))?;
    let is_name = !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '%']);
    is_name.then_some(name)
}

/// The terms of a field selector, apart from each other at the commas that are not escaped.
fn terms_of(selector: &str) -> impl Iterator<Item = &str> {
    let mut is_escaped = false;
    selector.split(move |c| {
        let parts = c == ',' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        parts
    })
}

/// Field and value of a term; no value when it asks for all others. None when it cannot be read.
fn read_term(term: &str) -> Option<(&str, Option<String>)> {
    let equals = term.find('=')?;
    let (field, value, is_equal) = match &term[..equals] {
        field if field.ends_with('!') => (&field[..equals - 1], &term[equals + 1..], false),
        field => (field, term[equals + 1..].strip_prefix('=').unwrap_or(&term[equals + 1..]), true),
    };
    let mut literal = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => literal.push(letters.next().filter(|escaped| matches!(escaped, '\\' | ',' | '='))?),
            ',' | '=' => return None,
            letter => literal.push(letter),
        }
    }
    Some((field, is_equal.then_some(literal)))
}

/// The pairs of a query, as Go reads them: what cannot be read is left out.
fn pairs(query: &str) -> Vec<(String, String)> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((unescaped(key, true)?, unescaped(value, true)?))
    };
    query.split('&').filter(|text| !text.is_empty() && !text.contains(';')).filter_map(pair).collect()
}

/// A text without its escapes. None when one of them is none, or they are no text.
fn unescaped(text: &str, plus_is_space: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            b'+' if plus_is_space => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(method: &str, url: &str) -> Option<String> {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        refused_call(method, path, query).map(|call| call.to_string())
    }

    /// What an API server answers to somebody without rights; a trial asks a real one.
    #[test]
    fn a_call_is_read_as_the_api_server_reads_it() {
        let shop = "/api/v1/namespaces/shop";
        for (method, url, expected) in [
            ("GET", "/api/v1/pods", "list pods in the whole cluster"),
            ("HEAD", "/api/v1/pods", "list pods in the whole cluster"),
            ("GET", "/api/v1/namespaces/shop/pods/a", "get pods a in namespace shop"),
            ("POST", "SHOP/pods", "create pods in namespace shop"),
            ("PUT", "SHOP/pods/a", "update pods a in namespace shop"),
            ("DELETE", "SHOP/pods/a", "delete pods a in namespace shop"),
            (
                "DELETE",
                "/apis/apps/v1/namespaces/shop/deployments",
                "deletecollection deployments.apps in namespace shop",
            ),
            (
                "PATCH",
                "/apis/apps/v1/namespaces/shop/deployments/a/scale",
                "patch deployments/scale.apps a in namespace shop",
            ),
            ("GET", "SHOP/pods?fieldSelector=metadata.name%3Da&limit=5", "list pods a in namespace shop"),
            ("GET", "SHOP/pods?fieldSelector=metadata.name%3Da&limit=x", "list pods in namespace shop"),
            ("GET", "SHOP/pods?fieldSelector=metadata.name!%3Da", "list pods in namespace shop"),
            ("GET", "SHOP/pods?fieldSelector=spec.x%3Db,metadata.name%3D%3Da", "list pods a in namespace shop"),
            ("GET", "SHOP/pods?fieldSelector=metadata.name%3Da%5C%2Cb", "list pods a,b in namespace shop"),
            ("GET", "SHOP/pods?fieldSelector=metadata.name%3Da,b", "list pods in namespace shop"),
            ("GET", "SHOP/pods?fieldSelector=metadata.name%3Da;watch=1", "list pods in namespace shop"),
            ("GET", "SHOP/pods?fieldSelector=metadata.name%3Da%252Fb", "list pods in namespace shop"),
            ("GET", "SHOP/pods?watch", "watch pods in namespace shop"),
            ("GET", "SHOP/pods?watch=FALSE", "list pods in namespace shop"),
            ("GET", "SHOP/pods?watch=%zz", "list pods in namespace shop"),
            ("GET", "/api/v1/watch/namespaces/shop/pods/a", "watch pods a in namespace shop"),
            ("GET", "/api/v1/proxy/namespaces/shop/pods/a/b", "proxy pods a in namespace shop"),
            ("GET", "SHOP", "get namespaces shop in namespace shop"),
            ("GET", "SHOP/status", "get namespaces/status shop in namespace shop"),
            ("GET", "/api/v1/namespaces//pods", "list pods in the whole cluster"),
            ("GET", "/api//v1/pods", "get v1 pods in the whole cluster"),
            ("GET", "//api/v1/pods//", "list pods in the whole cluster"),
            ("GET", "SHOP/pods/a%2Fb", "get pods/b a in namespace shop"),
            ("GET", "SHOP/pods/a%2520b", "get pods a%20b in namespace shop"),
            ("GET", "SHOP/pods/a+b", "get pods a+b in namespace shop"),
            ("GET", "SHOP/pods/a//exec", "get pods a in namespace shop"),
            ("GET", "SHOP/pods/..", "get pods .. in namespace shop"),
            ("GET", "SHOP/services/http:web:80/proxy/x/y", "get services/proxy http:web:80 in namespace shop"),
            ("GET", "/api/v1", "get /api/v1"),
            ("GET", "/apis/apps/v1", "get /apis/apps/v1"),
            ("POST", "/metrics/a/../b", "post /metrics/a/../b"),
        ] {
            assert_eq!(read(method, &url.replace("SHOP", shop)).as_deref(), Some(expected), "{method} {url}");
        }
    }

    /// A rule with an asterisk would be for everything.
    #[test]
    fn what_no_rule_is_for_alone_is_no_call() {
        for (method, url) in [
            ("GET", "/api/v1/*"),
            ("GET", "/api/v1/%2A"),
            ("GET", "/apis/*/v1/pods"),
            ("GET", "/api/v1/namespaces/shop/pods/a/*"),
            ("GET", "/api/v1/namespaces/shop/pods?fieldSelector=metadata.name%3D*"),
            ("GET", "/*"),
            ("GET", "/metrics*"),
            ("OPTIONS", "/api/v1/pods"),
            ("get", "/api/v1/pods"),
            ("GET", "/api/v1/watch"),
            ("GET", "/api/v1/pods/%zz"),
            ("GET", "/api/v1/pods/%ff"),
        ] {
            assert_eq!(read(method, url), None, "{method} {url}");
        }
    }

    fn escaped(text: &str) -> String {
        text.bytes().map(|byte| format!("%{byte:02X}")).collect()
    }

    proptest! {
        #[test]
        fn a_name_comes_back_however_it_is_escaped(name in "[a-z.:+ \u{e4}-\u{fc}]{1,12}") {
            let plain = format!("/api/v1/namespaces/shop/configmaps/{name}");
            let hidden = format!("/api/v1/namespaces/shop/configmaps/{}", escaped(&name));
            prop_assert_eq!(refused_call("GET", &plain, ""), refused_call("GET", &hidden, ""));
            let listed = format!("fieldSelector={}", escaped(&format!("metadata.name={name}")));
            let list = refused_call("GET", "/api/v1/namespaces/shop/configmaps", &listed);
            let found = list.map(|call| call.to_string());
            let expected = if [".", ".."].contains(&name.as_str()) {
                "list configmaps in namespace shop".to_owned()
            } else {
                format!("list configmaps {name} in namespace shop")
            };
            prop_assert_eq!(found, Some(expected));
        }

        #[test]
        fn no_call_has_a_rule_for_everything(
            method in "GET|PUT|POST|DELETE|FROB",
            path in "(/(api|apis|v1|namespaces|watch|pods|[*]|%2[aA]|%2F|[.]{1,2}|a)?){0,9}",
            query in "((watch|fieldSelector|limit)=(metadata.name)?[=!,*a\\\\%;&]{0,6}&?){0,3}",
        ) {
            if let Some(call) = refused_call(&method, &path, &query) {
                let rule = call.rule();
                let parts = [rule.verbs, rule.api_groups, rule.resources, rule.resource_names, rule.non_resource_urls];
                prop_assert!(parts.iter().flatten().all(|part| !part.contains('*')), "{:?}", parts);
            }
        }
    }
}
