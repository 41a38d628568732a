//! Rights that nobody has listed one by one, or that this reading does not know.
//!
//! Owns wildcards, and what is thought of unknown kinds and verbs: of a write the worst that is usual, of a look nothing.

use k8s_openapi::api::rbac::v1::PolicyRule;

use crate::api::risk::RiskLevel::{Critical, High, Medium};
use crate::core::rbac::risk::finding::{Finding, Sign, finding};
use crate::core::rbac::risk::kinds::{BUILT_IN, ONLY_ANSWER, changes_unknown, is_write, scales_unknown};
use crate::core::rbac::rules::{ALL, list};

pub(in crate::core::rbac::risk) static FINDINGS: &[Finding] = &[
    finding(
        Some(Critical),
        Critical,
        "may do everything (* on * of *), also what guards the place itself and what is yet to be installed",
        Sign::Wildcard(everything),
    ),
    finding(
        Some(High),
        Critical,
        "has its verbs on every resource (* of *), secrets and those yet to be installed included",
        Sign::Wildcard(every_resource),
    ),
    finding(
        Some(Medium),
        High,
        "writes whole API groups or a resource of every group (*), also those yet to be installed",
        Sign::Wildcard(whole_groups),
    ),
    finding(
        Some(Medium),
        High,
        "has every verb (*), also those that Kubernetes guards on their own and those yet to come",
        Sign::Wildcard(every_verb),
    ),
    finding(
        Some(High),
        Critical,
        "changes objects of kinds that this reading does not know: their controllers may run code or apply manifests for it",
        Sign::Objects(changes_unknown),
    ),
    finding(
        Some(Medium),
        High,
        "scales what is not built in: stops it, or has more of it",
        Sign::Objects(scales_unknown),
    ),
    finding(
        Some(Medium),
        High,
        "has verbs that this reading does not know: what they are good for is up to whoever asks for them",
        Sign::Objects(unknown_verbs),
    ),
];

fn is_star(text: &String) -> bool {
    text == ALL
}

fn any_star(texts: &[String]) -> bool {
    texts.iter().any(is_star)
}

fn any_other(texts: &[String]) -> bool {
    texts.iter().any(|text| !is_star(text))
}

/// A group of its own name, in which something can be written.
fn any_written(groups: &[String]) -> bool {
    groups.iter().any(|group| !is_star(group) && !ONLY_ANSWER.contains(&group.as_str()))
}

// The four kinds of wildcards are apart: each single right is of one kind at most, so one right is told once.

fn everything(rule: &PolicyRule) -> bool {
    any_star(&rule.verbs) && any_star(list(&rule.api_groups)) && any_star(list(&rule.resources))
}

fn every_resource(rule: &PolicyRule) -> bool {
    any_other(&rule.verbs) && any_star(list(&rule.api_groups)) && any_star(list(&rule.resources))
}

/// To look at a whole group is told by what is there to be seen, secrets above all.
fn whole_groups(rule: &PolicyRule) -> bool {
    let (groups, resources) = (list(&rule.api_groups), list(&rule.resources));
    let one_is = (any_star(groups) && any_other(resources)) || (any_written(groups) && any_star(resources));
    rule.verbs.iter().any(|verb| is_write(verb)) && one_is
}

fn every_verb(rule: &PolicyRule) -> bool {
    any_star(&rule.verbs) && any_written(list(&rule.api_groups)) && any_other(list(&rule.resources))
}

/// Verbs that Kubernetes or Daypass asks for somewhere. One of them where nobody asks for it is no right.
const KNOWN_VERBS: &[&str] = &[
    ALL,
    "administer",
    "approve",
    "attest",
    "bind",
    "create",
    "delete",
    "deletecollection",
    "escalate",
    "get",
    "impersonate",
    "list",
    "patch",
    "proxy",
    "sign",
    "update",
    "use",
    "watch",
];

fn unknown_verbs(rule: &PolicyRule) -> bool {
    // Those of constrained impersonation (KEP-5284) have the target or the deed in their name.
    let unknown = |verb: &String| {
        let known = KNOWN_VERBS.contains(&verb.as_str()) || verb.starts_with("impersonate");
        !verb.is_empty() && !known
    };
    let here = |group: &String| BUILT_IN.contains(&group.as_str());
    let any = |resource: &String| !resource.is_empty();
    rule.verbs.iter().any(unknown) && list(&rule.api_groups).iter().any(here) && list(&rule.resources).iter().any(any)
}
