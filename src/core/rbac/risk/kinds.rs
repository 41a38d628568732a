//! Which kinds this reading knows, and what is to be thought of one that it does not.
//!
//! Owns the line between known and unknown. A kind is known when a finding names it, or the list here of kinds with
//! which no harm is done. It must not say how bad a kind is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::finding::{ANY, READ, is_a_kind};
use super::findings;
use crate::core::rbac::rules::{ALL, list};

/// API groups that Kubernetes itself serves or asks for, and our own. A kind of one of them in another of them is not
/// there: roles often name every kind with every group.
pub(super) const BUILT_IN: &[&str] = &[
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "daypass.dev",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
    "storagemigration.k8s.io",
];

/// API groups that answer and store nothing, whatever verb somebody has there.
pub(super) const ONLY_ANSWER: &[&str] = &["custom.metrics.k8s.io", "external.metrics.k8s.io", "metrics.k8s.io"];

/// API group of the parts of virtual machines that one connects to (KubeVirt).
pub const KUBEVIRT_PARTS: &str = "subresources.kubevirt.io";
/// Consoles, screens and ports of virtual machines. A connection may begin with a `get`.
pub const KUBEVIRT_CONSOLES: &[&str] = &[
    "virtualmachineinstances/console",
    "virtualmachineinstances/portforward",
    "virtualmachineinstances/usbredir",
    "virtualmachineinstances/vnc",
    "virtualmachineinstances/vnc/screenshot",
    "virtualmachineinstances/vsock",
    "virtualmachines/portforward",
];
/// API group of the tokens that open a screen of a virtual machine.
pub const KUBEVIRT_TOKENS: &str = "token.kubevirt.io";
/// What such a token is for.
pub const KUBEVIRT_SCREENS: &[&str] = &["virtualmachines/vnc"];

/// With these nothing can be done that a finding would have to tell, and why.
pub(super) const HARMLESS: &[(&str, &[&str])] = &[
    // Answers of a kubelet about itself, or of the control plane; none of them can be written.
    ("", &["componentstatuses", "nodes/healthz", "nodes/metrics", "nodes/pods", "nodes/spec", "nodes/stats"]),
    // A metric is answered for any kind, and nothing of it is stored.
    ("custom.metrics.k8s.io", &[ANY]),
    ("external.metrics.k8s.io", &[ANY]),
    ("metrics.k8s.io", &[ANY]),
    // What one may ask of oneself.
    ("authentication.k8s.io", &["selfsubjectreviews"]),
    ("authorization.k8s.io", &["selfsubjectaccessreviews", "selfsubjectrulesreviews"]),
    // A node's own certificate is given to that node alone.
    (
        "certificates.k8s.io",
        &["certificatesigningrequests/selfnodeclient", "certificatesigningrequests/selfnodeserver"],
    ),
    // To ask decides nothing, and what was asked for cannot be changed.
    ("daypass.dev", &["accessrequests"]),
    // Gone since Kubernetes 1.25.
    ("policy", &["podsecuritypolicies"]),
];

/// The resources of each API group that are known.
static KNOWN: LazyLock<BTreeMap<&'static str, BTreeSet<&'static str>>> = LazyLock::new(|| {
    let named = findings::all().flat_map(|finding| finding.rights()).map(|(_, group, resources)| (*group, *resources));
    let mut known: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (group, resources) in named.chain(HARMLESS.iter().copied()) {
        known.entry(group).or_default().extend(resources.iter().copied());
    }
    known
});

/// The resources of all built-in groups that are known.
static KNOWN_BUILT_IN: LazyLock<BTreeSet<&'static str>> =
    LazyLock::new(|| BUILT_IN.iter().filter_map(|group| KNOWN.get(group)).flatten().copied().collect());

/// Every kind that is known, with its group.
#[cfg(test)]
pub(super) fn known() -> impl Iterator<Item = (&'static str, &'static str)> {
    KNOWN.iter().flat_map(|(group, resources)| resources.iter().map(|resource| (*group, *resource)))
}

/// A verb that does more than look. An empty one is none.
pub(super) fn is_write(verb: &str) -> bool {
    !verb.is_empty() && !READ.contains(&verb)
}

/// Whether the rule does more than look at kinds that are not known.
pub(super) fn changes_unknown(rule: &PolicyRule) -> bool {
    rule.verbs.iter().any(|verb| is_write(verb)) && with_resources(rule, is_unknown)
}

/// Whether the rule changes the scale of kinds that are not built in.
pub(super) fn scales_unknown(rule: &PolicyRule) -> bool {
    let foreign = |group: &str, resource: &str| !BUILT_IN.contains(&group) && part_is(resource, "scale");
    rule.verbs.iter().any(|verb| is_write(verb)) && with_resources(rule, foreign)
}

/// Whether the rule has an API group and a resource of which this holds. Each is looked at once, however often it is
/// named, and the groups that are not known all count as one, so that no role takes long.
fn with_resources(rule: &PolicyRule, holds: impl Fn(&str, &str) -> bool) -> bool {
    let groups: BTreeSet<&str> = list(&rule.api_groups).iter().map(|group| known_or_foreign(group)).collect();
    let resources: BTreeSet<&str> = list(&rule.resources).iter().map(String::as_str).collect();
    groups.iter().any(|group| resources.iter().any(|resource| holds(group, resource)))
}

/// Stands for any API group that is not known; no group has this name.
const FOREIGN: &str = "/";

fn known_or_foreign(group: &str) -> &str {
    if group == ALL || KNOWN.contains_key(group) || BUILT_IN.contains(&group) { group } else { FOREIGN }
}

fn part_is(resource: &str, part: &str) -> bool {
    resource.split_once('/').is_some_and(|(_, of)| of == part)
}

fn is_unknown(group: &str, resource: &str) -> bool {
    // A scale has a finding of its own.
    if !is_a_kind(resource) || part_is(resource, "scale") {
        return false;
    }
    if group == ALL || BUILT_IN.contains(&group) {
        return !is_known_built_in(group, resource);
    }
    let Some(known) = KNOWN.get(group) else { return true };
    // The status of a kind counts as the kind.
    let kind = resource.strip_suffix("/status").unwrap_or(resource);
    !known.contains(resource) && !known.contains(kind) && !known.contains(ANY)
}

/// A kind of a built-in group. All of such a group, future ones included, has a finding of its own (`*`), and so has one
/// kind of every group; what is in every group includes what is not known.
fn is_known_built_in(group: &str, resource: &str) -> bool {
    let any_of = |part: &str| KNOWN_BUILT_IN.iter().any(|known| part_is(known, part));
    match resource.split_once('/') {
        None if resource == ALL => group != ALL,
        Some((ALL, part)) => any_of(part),
        // An extra of a user, by its name.
        Some(("userextras", _)) => true,
        _ => KNOWN_BUILT_IN.contains(resource),
    }
}
