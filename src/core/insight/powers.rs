//! Who has everything, and who can come by it: cluster-admin by any way, rights of everybody, and who can forge or stop
//! Daypass.
//!
//! Owns which rights are a way to forge or to stop it. It goes by RBAC alone: what the guards of Daypass refuse while they are
//! in force is allowed by RBAC all the same, and to lift a guard is a way to stop it.

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::bound::{BoundHolder, BoundRole, account};
use super::finding::{Holder, InsightFact, InsightFinding, InsightKind, PowerfulRight};
use super::seen::ClusterSeen;
use crate::api::risk::RiskLevel;
use crate::core::rbac::allowed::AllowedOn;
use crate::core::rbac::risk::{Extent, risk};
use crate::core::rbac::rules::covers;

const CORE: &str = "";
const ADMISSION: &str = "admissionregistration.k8s.io";
const AUTHENTICATION: &str = "authentication.k8s.io";
const CERTIFICATES: &str = "certificates.k8s.io";
const DAYPASS: &str = "daypass.dev";
const RBAC: &str = "rbac.authorization.k8s.io";

/// Verbs, API group and resources.
type Way = (&'static [&'static str], &'static str, &'static [&'static str]);

const WRITE: &[&str] = &["create", "update", "patch"];
const CHANGE: &[&str] = &["create", "update", "patch", "delete", "deletecollection"];

/// To have any of these in the whole cluster is to act as somebody else, to give oneself any role, or to write policy.
const FORGES_EVERYWHERE: &[Way] = &[
    (&["impersonate"], CORE, &["users", "groups", "serviceaccounts"]),
    (&["impersonate"], AUTHENTICATION, &["users", "groups", "serviceaccounts"]),
    (&["bind", "escalate"], RBAC, &["clusterroles", "roles"]),
    (&["approve", "sign"], CERTIFICATES, &["signers"]),
    (&["create"], CORE, &["serviceaccounts/token"]),
    (WRITE, DAYPASS, &["accesspolicies"]),
    (&["administer"], DAYPASS, &["accesspolicies"]),
];
/// To have any of these in the namespace of Daypass is to be its controller.
const FORGES_BESIDE: &[Way] = &[
    (&["impersonate"], CORE, &["serviceaccounts"]),
    (&["bind", "escalate"], RBAC, &["clusterroles", "roles"]),
    (&["create"], CORE, &["serviceaccounts/token", "pods", "pods/exec", "pods/attach"]),
    (&["update", "patch"], CORE, &["pods/ephemeralcontainers"]),
    (&["get", "list", "watch"], CORE, &["secrets"]),
    (WRITE, "apps", &["deployments", "daemonsets", "statefulsets", "replicasets"]),
    (WRITE, "batch", &["jobs", "cronjobs"]),
    (WRITE, CORE, &["replicationcontrollers"]),
];
/// To have any of these in the whole cluster is to lift what holds Daypass, or to take its kinds, objects or record away.
const STOPS_EVERYWHERE: &[Way] = &[
    (
        CHANGE,
        ADMISSION,
        &[
            "validatingadmissionpolicies",
            "validatingadmissionpolicybindings",
            "mutatingadmissionpolicies",
            "mutatingadmissionpolicybindings",
            "validatingwebhookconfigurations",
            "mutatingwebhookconfigurations",
        ],
    ),
    (CHANGE, "apiextensions.k8s.io", &["customresourcedefinitions"]),
    (CHANGE, "apiregistration.k8s.io", &["apiservices"]),
    (&["delete", "deletecollection"], DAYPASS, &["accesspolicies"]),
    (&["purge"], DAYPASS, &["accessrequests"]),
    (&["delete"], CORE, &["namespaces"]),
];
/// To have any of these in the namespace of Daypass is to stop its controller.
const STOPS_BESIDE: &[Way] = &[
    (&["delete", "deletecollection"], CORE, &["pods"]),
    (&["update", "patch", "delete", "deletecollection"], "apps", &["deployments", "replicasets"]),
    (&["update", "patch"], "apps", &["deployments/scale", "replicasets/scale"]),
    (&["update", "patch", "delete"], "coordination.k8s.io", &["leases"]),
    (&["update", "patch", "delete"], CORE, &["serviceaccounts"]),
    (&["delete"], CORE, &["namespaces"]),
];
/// By any of these somebody runs what they like as a service account of a namespace.
const RUNS_AS_ACCOUNT: &[Way] = &[
    (&["create"], CORE, &["pods", "serviceaccounts/token"]),
    (WRITE, "apps", &["deployments", "daemonsets", "statefulsets", "replicasets"]),
    (WRITE, "batch", &["jobs", "cronjobs"]),
    (WRITE, CORE, &["replicationcontrollers"]),
];
/// Verbs that are as good as all of them.
const ALL_THAT_MATTER: &[&str] = &["get", "list", "create", "update", "delete"];

/// Finds them.
pub fn powers(seen: &ClusterSeen, bound: &[BoundRole<'_>]) -> Vec<InsightFinding> {
    let mut found = Vec::new();
    for role in bound {
        for held in &role.holders {
            found.extend(of_everybody(role, held));
            if has_everything(role) {
                found.push(finding(InsightKind::ClusterAdminBound, role, held, RiskLevel::Critical, Vec::new()));
                continue;
            }
            found.extend(over_daypass(seen, role, held));
            found.extend(stronger(seen, bound, role, held));
            if held.holder == Holder::Account && role.extent == Extent::Cluster && is_critical(role) {
                found.push(finding(InsightKind::PowerfulAccount, role, held, role.risk.level, Vec::new()));
            }
        }
    }
    found
}

/// Whether a binding gives everything in the cluster: there, or in the namespace from which its components can be taken.
pub fn has_everything(role: &BoundRole<'_>) -> bool {
    let everything = |rules: &[PolicyRule]| {
        let all = || Some(vec!["*".to_owned()]);
        let verbs = ALL_THAT_MATTER.iter().map(|verb| (*verb).to_owned()).collect();
        covers(rules, &[PolicyRule { verbs, api_groups: all(), resources: all(), ..PolicyRule::default() }]).is_ok()
    };
    role.extent != Extent::Namespaces && role.rules.is_some_and(everything)
}

fn is_critical(role: &BoundRole<'_>) -> bool {
    role.risk.level == RiskLevel::Critical
}

/// Rights of callers who are not logged in, and of everybody who is.
fn of_everybody(role: &BoundRole<'_>, held: &BoundHolder) -> Option<InsightFinding> {
    let (kind, least) = match held.holder {
        Holder::Anonymous => (InsightKind::AnonymousBound, RiskLevel::High),
        // That everybody may ask is how Daypass is meant to be installed.
        Holder::Everybody if role.only_asks() => return None,
        Holder::Everybody | Holder::AllAccounts => (InsightKind::AllAuthenticatedBound, RiskLevel::Medium),
        _ => return None,
    };
    let gives = role.rules.is_none_or(|rules| !rules.is_empty());
    gives.then(|| finding(kind, role, held, role.risk.level.max(least), Vec::new()))
}

fn over_daypass(seen: &ClusterSeen, role: &BoundRole<'_>, held: &BoundHolder) -> Vec<InsightFinding> {
    let release = seen.installation.release.as_str();
    let in_cluster = role.extent == Extent::Cluster;
    // Robots that act in all namespaces do so in this one too, and that is what they are for; see `PowerfulAccount`.
    let beside = role.holds_in(release) && !(in_cluster && held.holder == Holder::Account);
    let ways = |everywhere: &[Way], beside_it: &[Way]| {
        let mut found = Vec::new();
        if in_cluster {
            found.extend(allowed(seen, role, everywhere, None));
        }
        if beside {
            found.extend(allowed(seen, role, beside_it, Some(release)));
        }
        found.sort();
        found.dedup_by(|a, b| (a.verb, a.group, a.resource) == (b.verb, b.group, b.resource));
        found
    };
    let kinds = [
        (InsightKind::CanForgeDaypass, ways(FORGES_EVERYWHERE, FORGES_BESIDE)),
        (InsightKind::CanStopDaypass, ways(STOPS_EVERYWHERE, STOPS_BESIDE)),
    ];
    let found = kinds.into_iter().filter(|(_, ways)| !ways.is_empty());
    let severity = role.risk.level.max(RiskLevel::High);
    found
        .map(|(kind, ways)| finding(kind, role, held, severity, ways.into_iter().map(InsightFact::Right).collect()))
        .collect()
}

/// A stronger service account of the namespace, as which somebody can run pods there.
fn stronger(
    seen: &ClusterSeen,
    bound: &[BoundRole<'_>],
    role: &BoundRole<'_>,
    held: &BoundHolder,
) -> Option<InsightFinding> {
    let namespace = role.binding.metadata.namespace.as_deref()?;
    if role.extent != Extent::Namespaces || held.holder == Holder::Account {
        return None;
    }
    let way = allowed(seen, role, RUNS_AS_ACCOUNT, Some(namespace)).into_iter().next()?;
    let is_there =
        |name: &str| seen.accounts.as_ref().is_ok_and(|all| all.contains(&(namespace.to_owned(), name.to_owned())));
    let strong = bound.iter().filter(|other| other.extent != Extent::Namespaces && is_critical(other));
    let mut names = strong.flat_map(|other| &other.holders).filter_map(|other| account(&other.who));
    let (_, name) = names.find(|(place, name)| *place == namespace && is_there(name))?;
    let stronger = InsightFact::Stronger { namespace: namespace.to_owned(), name: name.to_owned() };
    let evidence = vec![InsightFact::Right(way), stronger];
    Some(finding(InsightKind::CanUseStrongerAccount, role, held, RiskLevel::Critical, evidence))
}

/// The rights among these ways that a binding gives on an object for which they count.
fn allowed(seen: &ClusterSeen, role: &BoundRole<'_>, ways: &[Way], namespace: Option<&str>) -> Vec<PowerfulRight> {
    let each = ways.iter().flat_map(|(verbs, group, resources)| {
        resources.iter().flat_map(move |resource| verbs.iter().map(move |verb| (*verb, *group, *resource)))
    });
    let given = each.filter(|(verb, group, resource)| match role.allows(verb, group, resource) {
        None => false,
        Some(AllowedOn::All) => true,
        Some(AllowedOn::Named(names)) => names.iter().any(|name| counts(seen, verb, resource, name)),
    });
    let right =
        |(verb, group, resource)| PowerfulRight { verb, group, resource, namespace: namespace.map(str::to_owned) };
    given.map(right).collect()
}

/// Whether a right counts that holds on the object of one name alone.
fn counts(seen: &ClusterSeen, verb: &str, resource: &str, name: &str) -> bool {
    match (verb, resource) {
        ("bind" | "escalate", "clusterroles") => {
            seen.roles.rules(None, name).is_none_or(|rules| risk(rules, Extent::Cluster).level >= RiskLevel::High)
        }
        ("approve" | "sign", "signers") => name.starts_with("kubernetes.io/"),
        ("impersonate", "serviceaccounts") | (_, "serviceaccounts" | "serviceaccounts/token") => {
            seen.installation.accounts.contains(name)
        }
        // Of what guards the cluster, what is Daypass's has its name; so have its kinds.
        (_, "customresourcedefinitions" | "apiservices") => name.ends_with(DAYPASS),
        (_, "leases" | "deployments" | "replicasets" | "deployments/scale" | "replicasets/scale") => true,
        _ if resource.starts_with("validating") || resource.starts_with("mutating") => name.contains("daypass"),
        (_, "namespaces") => name == seen.installation.release,
        _ => true,
    }
}

fn finding(
    kind: InsightKind,
    role: &BoundRole<'_>,
    held: &BoundHolder,
    severity: RiskLevel,
    evidence: Vec<InsightFact>,
) -> InsightFinding {
    let evidence = if evidence.is_empty() { role.risks() } else { [vec![role.bound()], evidence].concat() };
    role.finding(kind, held, severity, evidence)
}
