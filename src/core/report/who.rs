//! Who can do what now, and through what: the access of requests held against the bindings that are there, and the bindings of
//! others that give the same.
//!
//! Owns what counts as access now and what is said of a request whose binding is not as it should be. It must not decide
//! whether any of it should be there.

mod standing;

use k8s_openapi::api::rbac::v1::PolicyRule;
use k8s_openapi::jiff::Timestamp;

pub use self::standing::{KnownRoles, KnownRules, WhoseAccess, bound_role, bound_subject};
use crate::api::request::{AccessRequest, BindingKind, BindingRef, State};
use crate::api::subject::{RoleKind, RoleName, Subject, SubjectKind};
use crate::core::lifecycle::expiry::has_come;
use crate::core::model::subjects::service_account;
use crate::core::rbac::allowed::{AllowedOn, AskedRight};
use crate::core::rbac::binding::{self, Observed};
use crate::core::rbac::changed::ChangedPart;
use crate::core::rbac::rules::from_narrow;

/// What is asked: who, can do what, where.
#[derive(Clone, Debug, Default)]
pub struct WhoQuestion {
    /// In this namespace; none means everywhere.
    pub namespace: Option<String>,
    pub right: Option<AskedRight>,
    pub subject: Option<WhoseAccess>,
}

/// What could be read to answer it.
#[derive(Debug)]
pub struct WhoSeen<'a> {
    pub requests: &'a [AccessRequest],
    /// Whether these are the requests of all namespaces.
    pub has_all_requests: bool,
    /// The bindings that there are, of the kinds that could be listed.
    pub bindings: &'a [Observed],
    /// The kinds that could be listed.
    pub kinds: &'a [BindingKind],
    pub roles: &'a KnownRoles,
    pub now: Timestamp,
}

/// Somebody's access.
#[derive(Clone, Debug, PartialEq)]
pub struct Held<'a> {
    pub who: Subject,
    pub role: RoleName,
    /// The namespaces that are asked about where it holds; none for the whole cluster.
    pub namespaces: Option<Vec<String>>,
    /// On which objects it allows what is asked; none when nothing is asked.
    pub allowed: Option<Allowance>,
    pub through: Through<'a>,
}

/// Whether, and on what, somebody can do what is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allowance {
    On(AllowedOn),
    /// The role could not be read.
    NotKnown,
}

/// What gives the access.
#[derive(Clone, Debug, PartialEq)]
pub enum Through<'a> {
    Request(&'a AccessRequest, Evidence),
    /// A binding that Daypass did not make.
    Standing(&'a Observed),
    /// A binding of Daypass that no running request accounts for.
    Unaccounted(&'a Observed),
}

/// What the bindings say of access that a request says is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// Nothing: they could not be looked at.
    OnRecord,
    /// The binding is there.
    Bound,
    /// The end has come, and the binding is there, as far as could be looked.
    Overdue,
    /// The binding is not there.
    Missing,
    /// The binding is there and differs in this.
    Changed(ChangedPart),
}

impl WhoSeen<'_> {
    /// All access that the question is about: that of requests, what ends first coming first; then bindings that nobody accounts
    /// for; then standing access, that of people before that of the cluster itself.
    pub fn held(&self, question: &WhoQuestion) -> Vec<Held<'_>> {
        let active = self.requests.iter().filter(|request| is_active(request));
        let mut granted: Vec<Held<'_>> = active.flat_map(|request| self.granted(request, question)).collect();
        granted.sort_by_key(|held| (held.until(), held.who.clone(), held.namespaces.clone()));
        let standing = self.standing(question, &granted);
        granted.extend(self.unaccounted(question));
        granted.extend(standing);
        granted
    }

    /// What a running request gives in the place that is asked about: once for each way in which its bindings stand.
    fn granted<'s>(&'s self, request: &'s AccessRequest, question: &WhoQuestion) -> Vec<Held<'s>> {
        let requester = request.spec.requester.clone().unwrap_or_default();
        if question.subject.as_ref().is_some_and(|asked| !asked.is(&requester)) {
            return Vec::new();
        }
        let bindings = request.status.iter().flat_map(|status| &status.bindings);
        let mut all: Vec<Held<'s>> = Vec::new();
        for recorded in bindings.filter(|recorded| question.covers(recorded.namespace.as_deref())) {
            let allowed = match &question.right {
                None => None,
                Some(right) => match self.allowance(right, request, recorded) {
                    None => continue,
                    some => some,
                },
            };
            let through = Through::Request(request, self.evidence(request, recorded));
            match (all.iter_mut().find(|held| held.allowed == allowed && held.through == through), &recorded.namespace)
            {
                (Some(Held { namespaces: Some(names), .. }), Some(name)) => names.push(name.clone()),
                (_, place) => all.push(Held {
                    who: as_subject(&requester.username),
                    role: request.spec.role.clone(),
                    namespaces: place.clone().map(|name| vec![name]),
                    allowed,
                    through,
                }),
            }
        }
        all
    }

    /// On what a binding of a request allows what is asked; none when on nothing.
    fn allowance(&self, right: &AskedRight, request: &AccessRequest, recorded: &BindingRef) -> Option<Allowance> {
        match self.rules_of(request, recorded) {
            Some(rules) => right.allowed_by(&rules).map(Allowance::On),
            None => Some(Allowance::NotKnown),
        }
    }

    /// The rules that a binding of a request gives; none when they could not be read.
    fn rules_of(&self, request: &AccessRequest, recorded: &BindingRef) -> Option<Vec<PolicyRule>> {
        if !request.spec.rules.is_empty() {
            return Some(request.spec.rules.iter().map(from_narrow).collect());
        }
        let role = &request.spec.role;
        let place = recorded.namespace.as_deref().filter(|_| role.kind == RoleKind::Role);
        self.roles.rules(place, &role.name).map(<[PolicyRule]>::to_vec)
    }

    fn evidence(&self, request: &AccessRequest, recorded: &BindingRef) -> Evidence {
        let status = request.status.clone().unwrap_or_default();
        let is_overdue = status.expires_at.as_ref().is_some_and(|end| has_come(end.0, self.now));
        let there = self.bindings.iter().find(|observed| observed.is_at(recorded));
        match there {
            _ if !self.kinds.contains(&recorded.kind) => {
                if is_overdue {
                    Evidence::Overdue
                } else {
                    Evidence::OnRecord
                }
            }
            None => Evidence::Missing,
            Some(there) => match there.drift(&binding::wanted(request, &status, recorded)) {
                Some(what) => Evidence::Changed(what),
                None if is_overdue => Evidence::Overdue,
                None => Evidence::Bound,
            },
        }
    }
}

impl WhoQuestion {
    /// Whether it is about access that holds there: in a namespace, or with none in the whole cluster.
    fn covers(&self, namespace: Option<&str>) -> bool {
        match (&self.namespace, namespace) {
            (Some(asked), Some(there)) => asked == there,
            _ => true,
        }
    }
}

impl Held<'_> {
    /// When it ends, if it does.
    pub fn until(&self) -> Option<Timestamp> {
        match &self.through {
            Through::Request(request, _) => Some(request.status.as_ref()?.expires_at.as_ref()?.0),
            Through::Standing(_) | Through::Unaccounted(_) => None,
        }
    }
}

/// Whether a request says that its access is there now.
pub fn is_active(request: &AccessRequest) -> bool {
    request.status.as_ref().is_some_and(|status| status.state == State::Active)
}

/// A user or service account by its username.
pub fn as_subject(username: &str) -> Subject {
    let (kind, name, namespace) = match service_account(username) {
        Some((namespace, name)) => (SubjectKind::ServiceAccount, name, Some(namespace.to_owned())),
        None => (SubjectKind::User, username, None),
    };
    Subject { kind, name: name.to_owned(), namespace, api_group: None }
}

#[cfg(test)]
mod tests;
