//! Standing rights, binding by binding: what is bound, where, and who holds it.
//!
//! Owns who a subject is to the cluster, and what is the cluster's own or Daypass's own and so no finding. It must not say
//! what is wrong with any of it.

use k8s_openapi::api::rbac::v1::PolicyRule;

use super::finding::{AboutKind, AboutObject, Holder, InsightFact};
use super::seen::ClusterSeen;
use crate::api::request::BindingKind;
use crate::api::risk::RiskLevel;
use crate::api::subject::{RoleKind, RoleName, Subject, SubjectKind};
use crate::core::decision::protected::Protected;
use crate::core::model::subjects::service_account;
use crate::core::rbac::allowed::{AllowedOn, AskedRight};
use crate::core::rbac::binding::Observed;
use crate::core::rbac::risk::{Extent, Risk, risk};
use crate::core::rbac::rules::covers;
use crate::core::report::who::{bound_role, bound_subject};

/// Prefix of the names that Kubernetes keeps for itself.
const KEPT: &str = "system:";
/// Label of what the API server makes and mends itself.
const BOOTSTRAPPING: (&str, &str) = ("kubernetes.io/bootstrapping", "rbac-defaults");
/// What Kubernetes and kubeadm give to broad subjects from the first day on: binding and subject.
const DEFAULTS: [(&str, &str); 9] = [
    ("cluster-admin", "system:masters"),
    ("kubeadm:bootstrap-signer-clusterinfo", "system:anonymous"),
    ("system:basic-user", "system:authenticated"),
    ("system:discovery", "system:authenticated"),
    ("system:monitoring", "system:monitoring"),
    ("system:public-info-viewer", "system:authenticated"),
    ("system:public-info-viewer", "system:unauthenticated"),
    ("system:service-account-issuer-discovery", "system:serviceaccounts"),
    ("system:cluster-trust-bundle-discovery", "system:serviceaccounts"),
];
const KUBE_SYSTEM: &str = "kube-system";

/// What one binding gives, and to whom.
pub struct BoundRole<'a> {
    pub binding: &'a Observed,
    pub role: RoleName,
    /// The rules of the role; none when they could not be read.
    pub rules: Option<&'a [PolicyRule]>,
    pub extent: Extent,
    /// What the rules are good for there.
    pub risk: Risk,
    /// Those of its subjects that are neither the cluster's own nor Daypass's.
    pub holders: Vec<BoundHolder>,
}

/// One subject of a binding.
pub struct BoundHolder {
    /// Its place among the subjects of the binding.
    pub index: usize,
    pub who: Subject,
    pub holder: Holder,
}

/// All standing rights that are looked at: of bindings that Daypass did not make.
pub fn standing(seen: &ClusterSeen) -> Vec<BoundRole<'_>> {
    let bindings = seen.role_bindings.iter().flatten().chain(seen.cluster_role_bindings.iter().flatten());
    let others = bindings.filter(|binding| binding.is_of_others());
    others.filter_map(|binding| BoundRole::of(binding, seen)).collect()
}

impl<'a> BoundRole<'a> {
    fn of(binding: &'a Observed, seen: &'a ClusterSeen) -> Option<Self> {
        let role = bound_role(&binding.role)?;
        let namespace = binding.metadata.namespace.as_deref();
        let rules = seen.roles.rules(namespace.filter(|_| role.kind == RoleKind::Role), &role.name);
        let extent = match (binding.kind, namespace) {
            (BindingKind::RoleBinding, Some(name)) if is_protected(name, seen) => Extent::SystemNamespaces,
            (BindingKind::RoleBinding, _) => Extent::Namespaces,
            (BindingKind::ClusterRoleBinding, _) => Extent::Cluster,
        };
        let risk = risk(rules.unwrap_or_default(), extent);
        let subjects = binding.subjects.iter().enumerate();
        let holders = subjects.filter_map(|(index, subject)| {
            let who = bound_subject(subject, namespace)?;
            let holder = holder(&who)?;
            let theirs = !is_default(binding, &who, &risk) && !is_own(&who, seen);
            theirs.then_some(BoundHolder { index, who, holder })
        });
        let holders = holders.collect();
        Some(Self { binding, role, rules, extent, risk, holders })
    }

    /// The binding as a finding names it.
    pub fn about(&self) -> AboutObject {
        about(self.binding)
    }

    /// That it is bound, as evidence.
    pub fn bound(&self) -> InsightFact {
        InsightFact::Bound { role: self.role.clone(), namespace: self.binding.metadata.namespace.clone() }
    }

    /// That it is bound and what harm its rights can do, as evidence.
    pub fn risks(&self) -> Vec<InsightFact> {
        vec![self.bound(), InsightFact::Risk(self.risk.on_record().reasons)]
    }

    /// On which objects its rules allow a verb on a resource; none when on no object, or when they could not be read.
    pub fn allows(&self, verb: &str, group: &str, resource: &str) -> Option<AllowedOn> {
        let right = AskedRight {
            verbs: vec![verb.to_owned()],
            group: group.to_owned(),
            resource: resource.to_owned(),
            name: None,
        };
        right.allowed_by(self.rules?)
    }

    /// Whether it gives no more than it takes to ask Daypass, to approve and to read.
    pub fn only_asks(&self) -> bool {
        self.rules.is_some_and(|rules| covers(&what_daypass_takes(), rules).is_ok())
    }

    /// Whether it holds in this namespace.
    pub fn holds_in(&self, namespace: &str) -> bool {
        self.binding.metadata.namespace.as_deref().is_none_or(|own| own == namespace)
    }
}

/// What people need of Daypass's own kinds to ask, to approve and to read.
fn what_daypass_takes() -> Vec<PolicyRule> {
    let rule = |verbs: &[&str], resources: &[&str]| {
        let list = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        PolicyRule {
            verbs: list(verbs),
            api_groups: Some(list(&["daypass.dev"])),
            resources: Some(list(resources)),
            ..PolicyRule::default()
        }
    };
    vec![
        rule(&["create", "get", "list", "watch", "patch", "delete"], &["accessrequests"]),
        rule(&["get", "patch"], &["accessrequests/status"]),
        rule(&["get", "list", "watch"], &["accesspolicies"]),
    ]
}

/// A binding as a finding names it.
pub fn about(binding: &Observed) -> AboutObject {
    AboutObject {
        kind: AboutKind::from(binding.kind),
        namespace: binding.metadata.namespace.clone(),
        name: binding.metadata.name.clone().unwrap_or_default(),
    }
}

fn is_protected(namespace: &str, seen: &ClusterSeen) -> bool {
    Protected::with_release(&seen.installation.release).contains(namespace)
}

/// Who a subject is to the cluster; none for a component of the cluster itself, such as a node.
pub fn holder(who: &Subject) -> Option<Holder> {
    let of_namespace = || who.name.strip_prefix("system:serviceaccounts:");
    match (who.kind, who.name.as_str()) {
        (SubjectKind::ServiceAccount, _) => Some(Holder::Account),
        (SubjectKind::User, "system:anonymous") | (SubjectKind::Group, "system:unauthenticated") => {
            Some(Holder::Anonymous)
        }
        (SubjectKind::Group, "system:authenticated") => Some(Holder::Everybody),
        (SubjectKind::Group, "system:serviceaccounts") => Some(Holder::AllAccounts),
        (SubjectKind::Group, _) if of_namespace().is_some() => Some(Holder::AccountsOfNamespace),
        // Whoever has a certificate of this group needs no binding.
        (SubjectKind::Group, "system:masters") => Some(Holder::Group),
        (SubjectKind::User, name) if service_account(name).is_some() => Some(Holder::Account),
        (_, name) if name.starts_with(KEPT) => None,
        (SubjectKind::User, _) => Some(Holder::Person),
        (SubjectKind::Group, _) => Some(Holder::Group),
    }
}

/// Whether the cluster comes with it: as Kubernetes made it, and with no more rights than to look. The label alone says
/// nothing, since anybody who may write the binding may set it.
fn is_default(binding: &Observed, who: &Subject, risk: &Risk) -> bool {
    let name = binding.metadata.name.as_deref().unwrap_or_default();
    let listed = DEFAULTS.contains(&(name, who.name.as_str()));
    if listed {
        return name == "cluster-admin" || risk.level == RiskLevel::Low;
    }
    let labels = binding.metadata.labels.as_ref();
    let made = labels.and_then(|labels| labels.get(BOOTSTRAPPING.0)).is_some_and(|value| value == BOOTSTRAPPING.1);
    let controllers = who.kind == SubjectKind::ServiceAccount && who.namespace.as_deref() == Some(KUBE_SYSTEM);
    made && controllers && name.starts_with(KEPT) && binding.role.name.starts_with(KEPT)
}

/// Whether a binding with these rules gives a subject no more than what every cluster comes with.
pub fn comes_with_cluster(binding: &Observed, who: &Subject, rules: &[PolicyRule]) -> bool {
    let extent = match binding.kind {
        BindingKind::RoleBinding => Extent::Namespaces,
        BindingKind::ClusterRoleBinding => Extent::Cluster,
    };
    is_default(binding, who, &risk(rules, extent))
}

/// Whether it is an account of Daypass itself.
fn is_own(who: &Subject, seen: &ClusterSeen) -> bool {
    who.kind == SubjectKind::ServiceAccount
        && who.namespace.as_deref() == Some(&seen.installation.release)
        && seen.installation.accounts.contains(&who.name)
}

/// Namespace and name of the service account that a subject is, in either way of writing it.
pub fn account(who: &Subject) -> Option<(&str, &str)> {
    match who.kind {
        SubjectKind::ServiceAccount => Some((who.namespace.as_deref().unwrap_or_default(), &who.name)),
        SubjectKind::User => service_account(&who.name),
        SubjectKind::Group => None,
    }
}
