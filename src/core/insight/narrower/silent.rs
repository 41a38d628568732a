//! Rights that the API server asks for within a call for another, and rights of which its audit log never tells.
//!
//! Owns both tables. The first say which call shows that such a right may have been needed; where no call can show it, a right
//! that the role names is kept. So is what the audit policy that Daypass comes with writes nothing of (`examples/audit/policy.yaml`);
//! events are part of every `kubectl describe`, so to read them is kept also where the role does not name them. Sources are in Kubernetes: `pkg/registry/rbac` for bind and escalate,
//! `plugin/pkg/admission/certificates` for approve, sign and attest, KEP-4006 for exec, attach and port-forward,
//! `plugin/pkg/admission/gc` for finalizers, and the kubelet's own authorisation for the subresources of nodes.

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::evidence::UsedRight;
use crate::core::rbac::rules::list;

const RBAC: &str = "rbac.authorization.k8s.io";
const CERTIFICATES: &str = "certificates.k8s.io";
/// Verbs that stand in an audit log as they are.
const TOLD: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
const WRITING: &[&str] = &["create", "update", "patch"];
/// What a person opens in a pod: over SPDY by `create`, over WebSocket by `get`, for which newer API servers ask for `create`
/// too.
const OPENED: &[&str] = &["pods/exec", "pods/attach", "pods/portforward"];

/// A right that is asked for within calls.
struct AskedWithin {
    /// Verbs of the calls.
    verbs: &'static [&'static str],
    /// API group of the calls, and of the right.
    group: &'static str,
    /// What the calls are about.
    resources: &'static [&'static str],
    verb: &'static str,
    /// What the right is on; left out: what the call is about.
    on: &'static [&'static str],
}

const ASKED_WITHIN: [AskedWithin; 7] = [
    AskedWithin { verbs: &["get"], group: "", resources: OPENED, verb: "create", on: &[] },
    AskedWithin { verbs: &["create"], group: "", resources: OPENED, verb: "get", on: &[] },
    AskedWithin {
        verbs: WRITING,
        group: RBAC,
        resources: &["rolebindings", "clusterrolebindings"],
        verb: "bind",
        on: &["roles", "clusterroles"],
    },
    AskedWithin { verbs: WRITING, group: RBAC, resources: &["roles", "clusterroles"], verb: "escalate", on: &[] },
    AskedWithin {
        verbs: &["update", "patch"],
        group: CERTIFICATES,
        resources: &["certificatesigningrequests/approval"],
        verb: "approve",
        on: &["signers"],
    },
    AskedWithin {
        verbs: &["update", "patch"],
        group: CERTIFICATES,
        resources: &["certificatesigningrequests/status"],
        verb: "sign",
        on: &["signers"],
    },
    AskedWithin {
        verbs: WRITING,
        group: CERTIFICATES,
        resources: &["clustertrustbundles"],
        verb: "attest",
        on: &["signers"],
    },
];
/// API groups of which the audit policy of Daypass writes nothing.
const UNLOGGED_GROUPS: [&str; 4] =
    ["authentication.k8s.io", "authorization.k8s.io", "coordination.k8s.io", "events.k8s.io"];
const EVENTS: &str = "events";
const IMPERSONATE: &str = "impersonate";
/// Whom somebody acts as is told of users and service accounts, and not of groups, UIDs and other marks.
const IMPERSONATED: [&str; 2] = ["users", "serviceaccounts"];

/// The rights that may have been asked for within calls that used this one.
pub fn asked_within(right: &UsedRight) -> Vec<UsedRight> {
    let within = |asked: &&AskedWithin| {
        asked.group == right.group
            && asked.verbs.contains(&right.verb.as_str())
            && asked.resources.contains(&right.resource.as_str())
    };
    let rights = ASKED_WITHIN.iter().filter(within).flat_map(|asked| {
        let on: Vec<&str> = if asked.on.is_empty() { vec![&right.resource] } else { asked.on.to_vec() };
        on.into_iter().map(|resource| UsedRight {
            group: asked.group.to_owned(),
            resource: resource.to_owned(),
            verb: asked.verb.to_owned(),
        })
    });
    rights.collect()
}

/// Rights to read events, of which the audit policy of Daypass writes nothing.
pub fn reading_events() -> Vec<UsedRight> {
    let of = |group: &str, verb: &str| UsedRight {
        group: group.to_owned(),
        resource: EVENTS.to_owned(),
        verb: verb.to_owned(),
    };
    ["", "events.k8s.io"].iter().flat_map(|group| ["get", "list", "watch"].map(|verb| of(group, verb))).collect()
}

/// What of a rule no call can show to have been used, as a rule: rights on URLs, and those by verbs and on resources that the
/// rule names and of which no audit log tells. What stands for all of them names none.
pub fn without_trace(rule: &PolicyRule) -> Vec<PolicyRule> {
    let mut kept = Vec::new();
    if !list(&rule.non_resource_urls).is_empty() {
        let (verbs, non_resource_urls) = (rule.verbs.clone(), rule.non_resource_urls.clone());
        kept.push(PolicyRule { verbs, non_resource_urls, ..PolicyRule::default() });
    }
    let some = |verbs: Vec<String>, resources: Vec<String>| {
        let is_some = !verbs.is_empty() && !resources.is_empty();
        let (api_groups, resource_names) = (rule.api_groups.clone(), rule.resource_names.clone());
        is_some.then(|| PolicyRule {
            verbs,
            resources: Some(resources),
            api_groups,
            resource_names,
            ..PolicyRule::default()
        })
    };
    let is_named = |text: &&String| !text.contains('*');
    let resources = list(&rule.resources);
    for verb in rule.verbs.iter().filter(is_named).filter(|verb| !TOLD.contains(&verb.as_str())) {
        let on = resources.iter().filter(|resource| !is_shown(verb, resource));
        kept.extend(some(vec![verb.clone()], on.cloned().collect()));
    }
    let silent = resources.iter().filter(is_named).filter(|resource| is_asked_elsewhere(resource));
    let told = rule.verbs.iter().filter(|verb| verb.contains('*') || TOLD.contains(&verb.as_str()));
    let told: Vec<String> = told.cloned().collect();
    kept.extend(some(told.clone(), silent.cloned().collect()));
    kept.extend(unlogged(rule, told));
    kept
}

/// What of a rule an audit log names the binding for, when it is used; who acts as somebody else is told of too, without it.
pub fn with_trace(rule: &PolicyRule) -> PolicyRule {
    let is_told = |verb: &&String| verb.contains('*') || TOLD.contains(&verb.as_str()) || verb.starts_with(IMPERSONATE);
    let is_logged = |group: &&String| !UNLOGGED_GROUPS.contains(&group.as_str());
    PolicyRule {
        verbs: rule.verbs.iter().filter(is_told).cloned().collect(),
        api_groups: Some(list(&rule.api_groups).iter().filter(is_logged).cloned().collect()),
        resources: Some(list(&rule.resources).iter().filter(|one| !is_asked_elsewhere(one)).cloned().collect()),
        resource_names: rule.resource_names.clone(),
        non_resource_urls: None,
    }
}

/// What of a rule the audit policy of Daypass writes nothing of.
fn unlogged(rule: &PolicyRule, verbs: Vec<String>) -> Vec<PolicyRule> {
    let groups = list(&rule.api_groups);
    let some = |groups: Vec<String>, resources: Vec<String>| {
        let is_some = !verbs.is_empty() && !groups.is_empty() && !resources.is_empty();
        let (verbs, resource_names) = (verbs.clone(), rule.resource_names.clone());
        let (api_groups, resources) = (Some(groups), Some(resources));
        is_some.then(|| PolicyRule { verbs, api_groups, resources, resource_names, ..PolicyRule::default() })
    };
    let named = groups.iter().filter(|group| UNLOGGED_GROUPS.contains(&group.as_str())).cloned().collect();
    let core = groups.iter().any(|group| group.is_empty() || group == "*");
    let events = list(&rule.resources).iter().filter(|resource| core && *resource == EVENTS).cloned().collect();
    [some(named, list(&rule.resources).to_vec()), some(vec![String::new()], events)].into_iter().flatten().collect()
}

/// Whether calls show that a verb which is none of HTTP was needed on a resource.
fn is_shown(verb: &str, resource: &str) -> bool {
    let within = |asked: &AskedWithin| {
        asked.verb == verb
            && (asked.on.contains(&resource) || (asked.on.is_empty() && asked.resources.contains(&resource)))
    };
    (verb == IMPERSONATE && IMPERSONATED.contains(&resource)) || ASKED_WITHIN.iter().any(within)
}

/// Whether rights on a resource are asked for by the kubelet, or by admission for who owns an object.
fn is_asked_elsewhere(resource: &str) -> bool {
    match resource.split_once('/') {
        Some(("nodes", subresource)) => subresource != "status",
        Some((_, subresource)) => subresource == "finalizers",
        None => false,
    }
}
