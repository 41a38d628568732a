//! A request as the line that asks for it.
//!
//! Writes what [`super::RequestArgs`] reads; both must say the same.

use kube::ResourceExt;

use crate::api::request::{AccessRequest, AccessRequestSpec, NarrowRule};
use crate::api::subject::{RoleKind, RoleName};
use crate::cli::plugin::cluster::quoted;
use crate::core::model::recurrence::Recurrence;

/// The command line that asks for what this request asks for. `flags` lead to the cluster. None when there is no line for it:
/// it asks for namespaces by label, or for URLs that are no path.
pub fn line(request: &AccessRequest, flags: &str) -> Option<String> {
    let spec = &request.spec;
    let by_label = spec.scope.as_ref().is_some_and(|scope| scope.namespace_selector.is_some());
    if by_label {
        return None;
    }
    let windows = spec.recurrence.as_ref().map(|raw| Recurrence::read(raw).map(|read| read.describe()));
    let windows = windows.transpose().ok()?;
    let namespace = request.namespace().unwrap_or_default();
    if let Some(running) = &spec.extends {
        let (by, reason) = (quoted(spec.duration.as_deref()?), quoted(&spec.reason));
        let (running, namespace) = (quoted(running), quoted(&namespace));
        return Some(format!("kubectl daypass extend {running} -n {namespace} --by {by} --reason {reason}{flags}"));
    }
    let rules = spec.rules.iter().map(rules).collect::<Option<Vec<_>>>()?.concat();
    let mut words = vec![format!("kubectl daypass request {} -n {}", quoted(&role(&spec.role)), quoted(&namespace))];
    words.extend(rules.iter().map(|rule| format!("--rule {}", quoted(rule))));
    words.extend(place(spec));
    let given = [
        ("for", spec.duration.clone()),
        ("every", windows),
        ("weeks", spec.recurrence.as_ref().map(|recurrence| recurrence.weeks.to_string())),
        ("at", spec.start_time.as_ref().map(|start| start.0.to_string())),
        ("reason", Some(spec.reason.clone())),
        ("ticket", spec.ticket.clone()),
        ("policy", spec.policy.clone()),
    ];
    words.extend(given.into_iter().filter_map(|(flag, value)| Some(format!("--{flag} {}", quoted(&value?)))));
    Some(format!("{}{flags}", words.join(" ")))
}

/// A role as it is typed.
pub fn role(role: &RoleName) -> String {
    match role.kind {
        RoleKind::ClusterRole => role.name.clone(),
        RoleKind::Role => format!("role/{}", role.name),
    }
}

fn place(spec: &AccessRequestSpec) -> Vec<String> {
    let scope = spec.scope.as_ref();
    let whole = scope.filter(|scope| scope.cluster).map(|_| "--cluster-wide".to_owned());
    let named = scope.filter(|scope| !scope.namespaces.is_empty());
    let named = named.map(|scope| format!("--namespaces {}", quoted(&scope.namespaces.join(","))));
    let fire = spec.break_glass.then(|| "--break-glass".to_owned());
    [whole, named, fire].into_iter().flatten().collect()
}

/// A rule as it is typed, once for each group, resource and name.
fn rules(rule: &NarrowRule) -> Option<Vec<String>> {
    let verbs = rule.verbs.join(",");
    if !rule.non_resource_urls.is_empty() {
        let typed = |url: &String| url.starts_with('/').then(|| format!("{verbs}:{url}"));
        return rule.non_resource_urls.iter().map(typed).collect();
    }
    let every = [String::new()];
    let names = if rule.resource_names.is_empty() { &every[..] } else { &rule.resource_names[..] };
    let mut typed = Vec::new();
    for group in &rule.api_groups {
        for resource in &rule.resources {
            let (kind, part) = resource.split_once('/').map_or((resource.as_str(), None), |(k, p)| (k, Some(p)));
            // Of a name that several groups serve, the core group goes first where it is read.
            let kind = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
            typed.extend(names.iter().map(|name| match (name.as_str(), part) {
                ("", None) => format!("{verbs}:{kind}"),
                ("", Some(part)) => format!("{verbs}:{kind}/*/{part}"),
                (name, None) => format!("{verbs}:{kind}/{name}"),
                (name, Some(part)) => format!("{verbs}:{kind}/{name}/{part}"),
            }));
        }
    }
    Some(typed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::plugin::ask::draft::role_name;
    use crate::cli::plugin::ask::rule::RuleArg;
    use crate::core::laws::fixtures::request;
    use serde_json::json;

    #[test]
    fn the_line_asks_for_what_the_request_asks_for() {
        let rule = |resource: &str, names: &[&str]| json!({ "verbs": ["get", "list"], "apiGroups": ["", "apps"], "resources": [resource], "resourceNames": names });
        for (spec, expected) in [
            (json!({}), "edit -n shop --reason 'fix the shop'"),
            (
                json!({ "role": { "kind": "Role", "name": "deployer" }, "duration": "30m", "ticket": "OPS-7" }),
                "role/deployer -n shop --for 30m --reason 'fix the shop' --ticket OPS-7",
            ),
            (
                json!({ "scope": { "cluster": true }, "breakGlass": true, "policy": "p" }),
                "edit -n shop --cluster-wide --break-glass --reason 'fix the shop' --policy p",
            ),
            (
                json!({ "scope": { "namespaces": ["bank", "shop"] }, "startTime": "2026-11-23T13:00:00Z" }),
                "edit -n shop --namespaces bank,shop --at 2026-11-23T13:00:00Z --reason 'fix the shop'",
            ),
            (
                json!({ "rules": [rule("pods/log", &["a", "b"])] }),
                "edit -n shop --rule get,list:pods/a/log --rule get,list:pods/b/log --rule get,list:pods.apps/a/log \
                 --rule get,list:pods.apps/b/log --reason 'fix the shop'",
            ),
            (
                json!({ "recurrence": {
                    "timeZone": "UTC", "weeks": 4, "windows": [{ "days": ["Mon", "Wed"], "start": "09:00", "end": "17:00" }]
                } }),
                "edit -n shop --every 'Mon,Wed 09:00-17:00 UTC' --weeks 4 --reason 'fix the shop'",
            ),
            (
                json!({ "scope": { "cluster": true }, "rules": [{ "verbs": ["get"], "nonResourceURLs": ["/metrics", "/logs/*"] }] }),
                "edit -n shop --rule get:/metrics --rule 'get:/logs/*' --cluster-wide --reason 'fix the shop'",
            ),
            (
                json!({ "rules": [rule("pods/log", &[])] }),
                "edit -n shop --rule 'get,list:pods/*/log' --rule 'get,list:pods.apps/*/log' --reason 'fix the shop'",
            ),
        ] {
            let expected = format!("kubectl daypass request {expected} --context c");
            assert_eq!(line(&request(spec.clone()), " --context c"), Some(expected), "{spec}");
        }
        let more = json!({ "extends": "x", "duration": "20m" });
        let more = line(&request(more), "");
        assert_eq!(more.as_deref(), Some("kubectl daypass extend x -n shop --by 20m --reason 'fix the shop'"));
        let no_path = json!({ "verbs": ["get"], "nonResourceURLs": ["*"] });
        for spec in [json!({ "scope": { "namespaceSelector": {} } }), json!({ "rules": [no_path] })] {
            assert_eq!(line(&request(spec.clone()), ""), None, "{spec}");
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        for rule in [
            json!({ "verbs": ["delete"], "apiGroups": [""], "resources": ["pods/exec"], "resourceNames": ["a"] }),
            json!({ "verbs": ["get", "head"], "nonResourceURLs": ["/metrics"] }),
        ] {
            let rule: NarrowRule = serde_json::from_value(rule).unwrap();
            let typed: RuleArg = rules(&rule).unwrap()[0].parse().unwrap();
            assert_eq!(typed.rule(String::new()), rule);
        }
        for name in ["edit", "role/deployer"] {
            assert_eq!(role(&role_name(name)), name);
        }
    }
}
