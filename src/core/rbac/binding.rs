//! What a binding looks like: its name, labels, annotations and subject; and which request it belongs to.
//!
//! The name holds the request's UID, so that the API server's audit log ties every action to its request. Annotations are
//! for people, with one exception: where a request cannot be read, `reap` removes its bindings by the end noted on them. It
//! must not say whether a binding should exist.

use std::collections::BTreeMap;

use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};

use super::ownership::{NAME_PREFIX, possible_request_uids, request_uid};
use crate::api::keys;
use crate::api::request::{AccessRequest, AccessRequestStatus, BindingKind, BindingRef, MadeRole as RecordedRole};
use crate::api::subject::RoleKind;
use crate::core::model::duration;
use crate::core::model::grant_scope::GrantScope;
use crate::core::model::subjects::service_account;
use crate::core::rbac::made_role::{ObservedRole, WantedRole};
use crate::core::rbac::rules::from_narrow;

/// What the name of the controller's own binding ends with, while it makes a role.
const SELF_BINDING_SUFFIX: &str = "-loan";
const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// A binding as the cluster has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    pub kind: BindingKind,
    pub metadata: ObjectMeta,
    /// The role that is bound.
    pub role: RoleRef,
    pub subjects: Vec<Subject>,
    /// The role that was made for it, as far as one was looked for and is there.
    pub made_role: Option<ObservedRole>,
}

/// A binding as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    pub kind: BindingKind,
    pub metadata: ObjectMeta,
    /// The role to bind.
    pub role: RoleRef,
    /// Who gets it: always exactly one, the requester.
    pub subject: Subject,
    /// The role to make for it first, when the request asks for less than its role has.
    pub made_role: Option<WantedRole>,
}

impl From<&RoleBinding> for Observed {
    fn from(b: &RoleBinding) -> Self {
        let subjects = b.subjects.clone().unwrap_or_default();
        let (kind, metadata, role) = (BindingKind::RoleBinding, b.metadata.clone(), b.role_ref.clone());
        Self { kind, metadata, role, subjects, made_role: None }
    }
}

impl From<&ClusterRoleBinding> for Observed {
    fn from(b: &ClusterRoleBinding) -> Self {
        let subjects = b.subjects.clone().unwrap_or_default();
        let (kind, metadata, role) = (BindingKind::ClusterRoleBinding, b.metadata.clone(), b.role_ref.clone());
        Self { kind, metadata, role, subjects, made_role: None }
    }
}

impl Observed {
    /// Whether it is the controller's own, by which it holds a role while it makes a narrower one.
    pub fn is_self_binding(&self) -> bool {
        self.metadata
            .name
            .as_deref()
            .is_some_and(|name| name.starts_with(NAME_PREFIX) && name.ends_with(SELF_BINDING_SUFFIX))
    }

    /// Whether Daypass did not make it: what it gives is standing access.
    pub fn is_of_others(&self) -> bool {
        self.request_uid().is_none() && !self.is_self_binding()
    }

    /// UID of the request that it says it belongs to, when it carries our mark.
    pub fn request_uid(&self) -> Option<&str> {
        request_uid(&self.metadata)
    }

    /// Whether it binds a role that was made for it: one of its own name.
    pub fn has_made_role(&self) -> bool {
        self.metadata.name.as_deref() == Some(self.role.name.as_str()) && self.role.name.starts_with(NAME_PREFIX)
    }

    /// UIDs of requests that it may belong to: by its label, and by its name in case the label was edited.
    pub fn possible_request_uids(&self) -> impl Iterator<Item = &str> {
        possible_request_uids(&self.metadata)
    }

    /// Whether it stands where the recorded binding should.
    pub fn is_at(&self, recorded: &BindingRef) -> bool {
        self.kind == recorded.kind
            && self.metadata.namespace == recorded.namespace
            && self.metadata.name.as_deref() == Some(recorded.name.as_str())
    }

    /// A reference to exactly this object.
    pub fn reference(&self) -> BindingRef {
        BindingRef {
            kind: self.kind,
            namespace: self.metadata.namespace.clone(),
            name: self.metadata.name.clone().unwrap_or_default(),
            uid: self.metadata.uid.clone(),
            role: self
                .has_made_role()
                .then(|| RecordedRole { uid: self.made_role.as_ref().and_then(|role| role.metadata.uid.clone()) }),
        }
    }
}

/// When access is to end, as a binding says for people to read. It can be edited, so it counts only where the record
/// cannot be read: then it is better than none.
pub fn noted_end(metadata: &ObjectMeta) -> Option<Timestamp> {
    metadata.annotations.as_ref()?.get(keys::EXPIRES_AT)?.parse().ok()
}

impl Wanted {
    /// Which object this is.
    pub fn reference(&self) -> BindingRef {
        BindingRef {
            kind: self.kind,
            namespace: self.metadata.namespace.clone(),
            name: self.metadata.name.clone().unwrap_or_default(),
            uid: None,
            role: self.made_role.as_ref().map(|_| RecordedRole::default()),
        }
    }

    /// As a RoleBinding to send.
    pub fn role_binding(&self) -> RoleBinding {
        RoleBinding {
            metadata: self.metadata.clone(),
            role_ref: self.role.clone(),
            subjects: Some(vec![self.subject.clone()]),
        }
    }

    /// As a ClusterRoleBinding to send.
    pub fn cluster_role_binding(&self) -> ClusterRoleBinding {
        ClusterRoleBinding {
            metadata: self.metadata.clone(),
            role_ref: self.role.clone(),
            subjects: Some(vec![self.subject.clone()]),
        }
    }
}

/// Name of every binding of a request.
pub fn name(request: &AccessRequest) -> String {
    format!("{NAME_PREFIX}{}", request.metadata.uid.as_deref().unwrap_or_default())
}

/// The bindings that a grant will have, to be recorded before any exists.
pub fn references(request: &AccessRequest, place: &GrantScope) -> Vec<BindingRef> {
    let name = name(request);
    let role = (!request.spec.rules.is_empty()).then(RecordedRole::default);
    match place {
        GrantScope::Cluster => {
            vec![BindingRef { kind: BindingKind::ClusterRoleBinding, namespace: None, name, uid: None, role }]
        }
        GrantScope::Namespaces(names) => names
            .iter()
            .map(|namespace| BindingRef {
                kind: BindingKind::RoleBinding,
                namespace: Some(namespace.clone()),
                name: name.clone(),
                uid: None,
                role: role.clone(),
            })
            .collect(),
    }
}

/// What a recorded binding of a granted request should look like.
pub fn wanted(request: &AccessRequest, status: &AccessRequestStatus, recorded: &BindingRef) -> Wanted {
    let labels = [
        (keys::MANAGED_BY, keys::DAYPASS.to_owned()),
        (keys::REQUEST_UID, request.metadata.uid.clone().unwrap_or_default()),
        (keys::REQUEST_NAMESPACE, request.namespace().unwrap_or_default()),
    ];
    let metadata = ObjectMeta {
        name: Some(recorded.name.clone()),
        namespace: recorded.namespace.clone(),
        labels: Some(labels.map(|(k, v)| (k.to_owned(), v)).into()),
        owner_references: owner(request, recorded).map(|o| vec![o]),
        ..ObjectMeta::default()
    };
    let asked = role_ref(request.spec.role.kind, &request.spec.role.name);
    let (role, made_role) = match &recorded.role {
        None => (asked, None),
        Some(_) => {
            let kind = match recorded.kind {
                BindingKind::RoleBinding => RoleKind::Role,
                BindingKind::ClusterRoleBinding => RoleKind::ClusterRole,
            };
            let rules = request.spec.rules.iter().map(from_narrow).collect();
            (role_ref(kind, &recorded.name), Some(WantedRole { metadata: metadata.clone(), rules, within: asked }))
        }
    };
    let metadata = ObjectMeta { annotations: Some(annotations(request, status)), ..metadata };
    let username = request.spec.requester.as_ref().map(|r| r.username.as_str()).unwrap_or_default();
    Wanted { kind: recorded.kind, metadata, role, subject: subject(username), made_role }
}

/// Where the self-binding stands that belongs to a recorded binding, if its role has to be made.
pub fn self_binding_of(recorded: &BindingRef) -> Option<BindingRef> {
    recorded.role.as_ref()?;
    let name = format!("{}{SELF_BINDING_SUFFIX}", recorded.name);
    Some(BindingRef { name, uid: None, role: None, ..recorded.clone() })
}

/// The binding by which the controller holds the role asked for itself, for the moment that it takes to make a role
/// and its binding: the API server lets nobody hand out more rights than they have, and so checks the made role too.
pub fn self_binding(wanted: &Wanted, within: &RoleRef, controller: &str) -> Wanted {
    let name = wanted.metadata.name.clone().unwrap_or_default();
    let metadata = ObjectMeta {
        name: Some(format!("{name}{SELF_BINDING_SUFFIX}")),
        namespace: wanted.metadata.namespace.clone(),
        labels: wanted.metadata.labels.clone(),
        owner_references: wanted.metadata.owner_references.clone(),
        ..ObjectMeta::default()
    };
    Wanted { kind: wanted.kind, metadata, role: within.clone(), subject: subject(controller), made_role: None }
}

fn role_ref(kind: RoleKind, name: &str) -> RoleRef {
    RoleRef { api_group: RBAC_GROUP.to_owned(), kind: kind.as_str().to_owned(), name: name.to_owned() }
}

fn annotations(request: &AccessRequest, status: &AccessRequestStatus) -> BTreeMap<String, String> {
    let at = |t: Option<Timestamp>| t.map(|t| t.to_string()).unwrap_or_default();
    let (from, until) = (status.granted_at.as_ref().map(|t| t.0), status.next_end());
    // Of access that comes back every week, a binding has its window alone.
    let bound = status.window.as_ref().map(|window| window.opens_at.0).or(from);
    let ttl = bound.zip(until).map(|(f, u)| duration::format(u.duration_since(f))).unwrap_or_default();
    [
        (keys::REQUEST_NAME, request.name_any()),
        (keys::POLICY, status.policy.as_ref().map(|p| p.name.clone()).unwrap_or_default()),
        (keys::GRANTED_AT, at(from)),
        (keys::EXPIRES_AT, at(until)),
        (keys::TTL, ttl),
    ]
    .map(|(k, v)| (k.to_owned(), v))
    .into()
}

/// An owner reference works inside one namespace only. There it lets the garbage collector revoke even
/// while the controller is down.
fn owner(request: &AccessRequest, recorded: &BindingRef) -> Option<OwnerReference> {
    let same = recorded.kind == BindingKind::RoleBinding && recorded.namespace == request.metadata.namespace;
    same.then(|| OwnerReference { controller: Some(true), ..request.owner_ref(&()).unwrap_or_default() })
}

fn subject(username: &str) -> Subject {
    match service_account(username) {
        Some((namespace, name)) => Subject {
            kind: "ServiceAccount".to_owned(),
            api_group: None,
            name: name.to_owned(),
            namespace: Some(namespace.to_owned()),
        },
        None => {
            let (kind, api_group) = ("User".to_owned(), Some(RBAC_GROUP.to_owned()));
            Subject { kind, api_group, name: username.to_owned(), namespace: None }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::{noon, request};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::SignedDuration;
    use serde_json::json;

    fn granted() -> AccessRequestStatus {
        AccessRequestStatus {
            granted_at: Some(Time(noon())),
            expires_at: Some(Time(noon() + SignedDuration::from_mins(90))),
            ..AccessRequestStatus::default()
        }
    }

    fn wanted_in(request: &AccessRequest, namespace: Option<&str>) -> Wanted {
        let place = namespace.map_or(GrantScope::Cluster, |n| GrantScope::Namespaces([n.to_owned()].into()));
        wanted(request, &granted(), &references(request, &place)[0])
    }

    #[test]
    fn it_binds_the_requester_alone_and_none_of_their_groups() {
        let binding = wanted_in(&request(json!({})), Some("shop")).role_binding();
        let subjects = serde_json::to_value(binding.subjects).unwrap();
        assert_eq!(subjects, json!([{ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "alice" }]));
        assert_eq!(binding.metadata.name.as_deref(), Some("daypass-r-1"));
        assert_eq!(binding.metadata.finalizers, None);
    }

    #[test]
    fn a_service_account_is_bound_as_one() {
        let robot = request(json!({ "requester": { "username": "system:serviceaccount:ci:bot" } }));
        let subject = serde_json::to_value(wanted_in(&robot, Some("shop")).subject).unwrap();
        assert_eq!(subject, json!({ "kind": "ServiceAccount", "name": "bot", "namespace": "ci" }));
    }

    #[test]
    fn only_in_the_request_s_own_namespace_it_has_an_owner() {
        let request = request(json!({}));
        let owners = wanted_in(&request, Some("shop")).metadata.owner_references.unwrap();
        assert_eq!((owners.len(), owners[0].uid.as_str(), owners[0].controller), (1, "r-1", Some(true)));
        assert_eq!(wanted_in(&request, Some("bank")).metadata.owner_references, None);
        assert_eq!(wanted_in(&request, None).metadata.owner_references, None);
    }

    #[test]
    fn annotations_tell_people_whose_it_is_and_until_when() {
        let annotations = wanted_in(&request(json!({})), Some("shop")).metadata.annotations.unwrap();
        assert_eq!(annotations[keys::REQUEST_NAME], "fix");
        assert_eq!(annotations[keys::GRANTED_AT], "2026-11-23T12:00:00Z");
        assert_eq!(annotations[keys::EXPIRES_AT], "2026-11-23T13:30:00Z");
        assert_eq!(annotations[keys::TTL], "1h30m");
    }

    #[test]
    fn in_a_window_annotations_tell_when_that_closes() {
        let (opens, closes) = (noon() + SignedDuration::from_mins(10), noon() + SignedDuration::from_mins(40));
        let window = Some(crate::core::model::recurrence::Opening { opens, closes }.on_record());
        let (request, place) = (request(json!({})), GrantScope::Namespaces(["shop".to_owned()].into()));
        let binding = wanted(&request, &AccessRequestStatus { window, ..granted() }, &references(&request, &place)[0]);
        let annotations = binding.metadata.annotations.clone().unwrap();
        assert_eq!(annotations[keys::GRANTED_AT], "2026-11-23T12:00:00Z");
        assert_eq!(annotations[keys::EXPIRES_AT], "2026-11-23T12:40:00Z");
        assert_eq!(annotations[keys::TTL], "30m");
        assert_eq!(noted_end(&binding.metadata), Some(closes));
    }

    #[test]
    fn it_is_ours_by_both_marks_only() {
        let mut seen = Observed::from(&wanted_in(&request(json!({})), Some("shop")).role_binding());
        assert_eq!(seen.request_uid(), Some("r-1"));
        seen.metadata.labels.get_or_insert_default().insert(keys::MANAGED_BY.to_owned(), "Helm".to_owned());
        assert_eq!(seen.request_uid(), None);
    }
}
