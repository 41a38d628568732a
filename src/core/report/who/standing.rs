//! Access by bindings that no running request accounts for: those of others, and those of Daypass that are left over.

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::{PolicyRule, RoleRef, Subject as RbacSubject};

use super::{Allowance, Held, Through, WhoQuestion, WhoSeen, as_subject, is_active};
use crate::api::keys;
use crate::api::request::AccessRequest;
use crate::api::subject::{Identity, RoleKind, RoleName, Subject, SubjectKind};
use crate::core::model::subjects::{is_same_person, is_subject};
use crate::core::rbac::binding::Observed;
use crate::core::rbac::rules::covers;

/// Who is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhoseAccess {
    /// Somebody, with the groups that they are known to be in.
    Person(Identity),
    /// The group of this name, and whoever is in it.
    Group(String),
}

impl WhoseAccess {
    /// Whether somebody is meant.
    pub fn is(&self, who: &Identity) -> bool {
        match self {
            Self::Person(asked) => is_same_person(asked, who),
            Self::Group(name) => who.groups.contains(name),
        }
    }

    /// Whether what a subject of a binding has is theirs.
    fn has_what(&self, subject: &Subject) -> bool {
        match self {
            Self::Person(asked) => is_subject(asked, subject),
            Self::Group(name) => subject.kind == SubjectKind::Group && subject.name == *name,
        }
    }
}

/// The rules of roles, by namespace, which a ClusterRole has none of, and name.
#[derive(Clone, Debug, Default)]
pub struct KnownRoles(BTreeMap<(Option<String>, String), KnownRules>);

/// The rules of one role, as far as they could be read.
#[derive(Clone, Debug, PartialEq)]
pub enum KnownRules {
    Rules(Vec<PolicyRule>),
    /// There is no such role, so it gives nothing.
    Gone,
    /// Why it could not be read.
    Unread(String),
}

impl KnownRoles {
    /// Adds what is known of a role.
    pub fn insert(&mut self, namespace: Option<String>, name: String, rules: KnownRules) {
        self.0.insert((namespace, name), rules);
    }

    /// Whether anything is known of a role, also that it could not be read.
    pub fn contains(&self, namespace: Option<&str>, name: &str) -> bool {
        self.0.contains_key(&(namespace.map(str::to_owned), name.to_owned()))
    }

    /// The rules of a role; none when they could not be read.
    pub fn rules(&self, namespace: Option<&str>, name: &str) -> Option<&[PolicyRule]> {
        match self.0.get(&(namespace.map(str::to_owned), name.to_owned())) {
            Some(KnownRules::Rules(rules)) => Some(rules),
            Some(KnownRules::Gone) => Some(&[]),
            Some(KnownRules::Unread(_)) | None => None,
        }
    }

    /// Whether it is known that there is no such role.
    pub fn is_gone(&self, namespace: Option<&str>, name: &str) -> bool {
        self.0.get(&(namespace.map(str::to_owned), name.to_owned())) == Some(&KnownRules::Gone)
    }

    /// The roles that could not be read, each with its namespace and why.
    pub fn unread(&self) -> impl Iterator<Item = (Option<&str>, &str, &str)> {
        self.0.iter().filter_map(|((namespace, name), rules)| match rules {
            KnownRules::Unread(why) => Some((namespace.as_deref(), name.as_str(), why.as_str())),
            _ => None,
        })
    }
}

impl WhoSeen<'_> {
    /// Bindings of others that give what is asked. When neither a right nor anybody is asked about: those that give somebody
    /// what they have through a request, so that its end takes nothing away.
    pub(super) fn standing<'s>(&'s self, question: &WhoQuestion, granted: &[Held<'_>]) -> Vec<Held<'s>> {
        let of_others = self.bindings.iter().filter(|binding| binding.request_uid().is_none());
        let here = of_others.filter(|binding| question.covers(binding.metadata.namespace.as_deref()));
        let mut all = Vec::new();
        for binding in here {
            let held =
                subjects(binding).filter_map(|who| self.held_by(binding, who, question, Through::Standing(binding)));
            let open = question.right.is_none() && question.subject.is_none();
            all.extend(
                held.filter(|held| !open || granted.iter().any(|grant| self.gives_the_same(binding, held, grant))),
            );
        }
        all.sort_by_key(|held| (is_of_the_cluster(held), held.who.clone(), held.role.clone()));
        all
    }

    /// Bindings of Daypass of which no running request knows. Where the request of one could not be looked at, nothing is said of
    /// it.
    pub(super) fn unaccounted<'s>(&'s self, question: &WhoQuestion) -> Vec<Held<'s>> {
        let known = |binding: &Observed| {
            let labels = binding.metadata.labels.as_ref();
            let namespace = labels.and_then(|labels| labels.get(keys::REQUEST_NAMESPACE));
            self.has_all_requests || (question.namespace.is_some() && namespace == question.namespace.as_ref())
        };
        let accounts = |request: &AccessRequest, binding: &Observed| {
            let mut recorded = request.status.iter().flat_map(|status| &status.bindings);
            is_active(request) && recorded.any(|recorded| binding.is_at(recorded))
        };
        let ours = self.bindings.iter().filter(|binding| binding.request_uid().is_some() && !binding.is_self_binding());
        let left = ours.filter(|binding| !self.requests.iter().any(|request| accounts(request, binding)));
        let here = left.filter(|binding| question.covers(binding.metadata.namespace.as_deref()) && known(binding));
        let held = |binding: &'s Observed| {
            subjects(binding).filter_map(|who| self.held_by(binding, who, question, Through::Unaccounted(binding)))
        };
        here.flat_map(held).collect()
    }

    /// What a binding gives to one of its subjects, if that is asked about.
    fn held_by<'s>(
        &'s self,
        binding: &'s Observed,
        who: Subject,
        question: &WhoQuestion,
        through: Through<'s>,
    ) -> Option<Held<'s>> {
        if question.subject.as_ref().is_some_and(|asked| !asked.has_what(&who)) {
            return None;
        }
        let role = bound_role(&binding.role)?;
        let allowed = match &question.right {
            None => None,
            Some(right) => Some(match self.rules_bound(binding, &role) {
                Some(rules) => Allowance::On(right.allowed_by(rules)?),
                None => Allowance::NotKnown,
            }),
        };
        let namespaces = binding.metadata.namespace.clone().map(|name| vec![name]);
        Some(Held { who, role, namespaces, allowed, through })
    }

    fn rules_bound(&self, binding: &Observed, role: &RoleName) -> Option<&[PolicyRule]> {
        let place = binding.metadata.namespace.as_deref().filter(|_| role.kind == RoleKind::Role);
        self.roles.rules(place, &role.name)
    }

    /// Whether a binding of others gives the requester all that a request gives them, where it does.
    fn gives_the_same(&self, binding: &Observed, held: &Held<'_>, grant: &Held<'_>) -> bool {
        let Through::Request(request, _) = grant.through else { return false };
        let requester = request.spec.requester.clone().unwrap_or_default();
        let place = match (&held.namespaces, &grant.namespaces) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(here), Some(there)) => there.iter().any(|name| here.contains(name)),
        };
        let mut recorded = request.status.iter().flat_map(|status| &status.bindings);
        let rules = recorded.next().and_then(|recorded| self.rules_of(request, recorded));
        let role = match (self.rules_bound(binding, &held.role), rules) {
            (Some(standing), Some(granted)) => covers(standing, &granted).is_ok(),
            _ => held.role == grant.role,
        };
        (is_subject(&requester, &held.who) || held.who == as_subject(&requester.username)) && place && role
    }
}

/// Whether it is what the cluster itself has, by the prefix that Kubernetes keeps for that.
fn is_of_the_cluster(held: &Held<'_>) -> bool {
    const PREFIX: &str = "system:";
    let Through::Standing(binding) = held.through else { return false };
    let name = binding.metadata.name.as_deref().unwrap_or_default();
    held.who.name.starts_with(PREFIX) || name.starts_with(PREFIX)
}

/// The subjects of a binding that RBAC knows.
fn subjects(binding: &Observed) -> impl Iterator<Item = Subject> {
    binding.subjects.iter().filter_map(|who| bound_subject(who, binding.metadata.namespace.as_deref()))
}

/// A subject of a binding, if RBAC knows its kind.
pub fn bound_subject(subject: &RbacSubject, bound_in: Option<&str>) -> Option<Subject> {
    let kind = match subject.kind.as_str() {
        "User" => SubjectKind::User,
        "Group" => SubjectKind::Group,
        "ServiceAccount" => SubjectKind::ServiceAccount,
        _ => return None,
    };
    // An account without a namespace is one of the namespace that the binding is in.
    let namespace = subject.namespace.as_deref().filter(|name| !name.is_empty()).or(bound_in);
    let namespace = namespace.filter(|_| kind == SubjectKind::ServiceAccount).map(str::to_owned);
    Some(Subject { kind, name: subject.name.clone(), namespace, api_group: None })
}

/// The role that a binding names, if RBAC knows its kind.
pub fn bound_role(role: &RoleRef) -> Option<RoleName> {
    let kind = match role.kind.as_str() {
        "ClusterRole" => RoleKind::ClusterRole,
        "Role" => RoleKind::Role,
        _ => return None,
    };
    Some(RoleName { kind, name: role.name.clone() })
}
