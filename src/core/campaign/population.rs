//! What there is to review in a cluster: bindings of others, requests that come back or run long, and policies.
//!
//! Owns what counts as one item and who is named its owner: by an annotation of the policy or of the namespace, or else who is
//! named for all. It must not judge whether access should be there, and tells of what could not be read nothing.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::SignedDuration;
use serde::Serialize;
use serde_json::Value;

use crate::api::campaign::{ItemHolder, ItemKind, ItemObject, OwnedItem, ReviewItem};
use crate::api::keys;
use crate::api::policy::AccessPolicy;
use crate::api::record::{canonical, digest};
use crate::api::request::{AccessRequest, BindingKind};
use crate::api::subject::{RoleKind, Subject, SubjectKind};
use crate::core::insight::bound::{comes_with_cluster, holder};
use crate::core::insight::finding::Holder;
use crate::core::rbac::binding::Observed;
use crate::core::report::who::{KnownRoles, as_subject, bound_role, bound_subject};

/// Access that runs for so long is reviewed like standing access.
pub const LONG: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What could be read of a cluster.
#[derive(Clone, Debug, Default)]
pub struct PopulationSeen {
    pub bindings: Vec<Observed>,
    pub requests: Vec<AccessRequest>,
    pub policies: Vec<AccessPolicy>,
    /// The rules of each role that there is.
    pub roles: KnownRoles,
    pub owners: KnownOwners,
    /// Whether service accounts and parts of the cluster are reviewed too, and not people alone.
    pub accounts: bool,
}

/// Who owns what.
#[derive(Clone, Debug, Default)]
pub struct KnownOwners {
    /// Annotations of namespaces, by the name of the namespace.
    pub namespaces: BTreeMap<String, String>,
    /// Who owns what nobody else does.
    pub others: Vec<Subject>,
}

/// A subject as people write one in a line: NAME or user/NAME, group/NAME, serviceaccount/NAMESPACE/NAME.
///
/// # Errors
/// When it is none, in words.
pub fn subject_of(text: &str) -> Result<Subject, String> {
    let subject = |kind, name: &str, namespace: Option<&str>| Subject {
        kind,
        name: name.to_owned(),
        namespace: namespace.map(str::to_owned),
        api_group: None,
    };
    let found = match text.split_once('/') {
        None => subject(SubjectKind::User, text, None),
        Some(("user", name)) => subject(SubjectKind::User, name, None),
        Some(("group", name)) => subject(SubjectKind::Group, name, None),
        Some(("serviceaccount", account)) => match account.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() => {
                subject(SubjectKind::ServiceAccount, name, Some(namespace))
            }
            _ => return Err(format!("{text:?} is no account; write serviceaccount/NAMESPACE/NAME")),
        },
        // Users of an issuer often have one in their names.
        Some(_) => subject(SubjectKind::User, text, None),
    };
    if found.name.is_empty() { Err(format!("{text:?} has no name; write NAME, group/NAME")) } else { Ok(found) }
}

impl KnownOwners {
    /// Who is named by an annotation, by that of the namespace, or for all. What of an annotation names nobody is left out.
    fn of(&self, annotated: Option<&String>, namespace: Option<&str>) -> Vec<Subject> {
        let of_namespace = namespace.and_then(|namespace| self.namespaces.get(namespace));
        let named = |text: &String| -> Vec<Subject> {
            text.split(',').map(str::trim).filter_map(|one| subject_of(one).ok()).collect()
        };
        let found = annotated.into_iter().chain(of_namespace).map(named).find(|owners| !owners.is_empty());
        found.unwrap_or_else(|| self.others.clone())
    }
}

impl PopulationSeen {
    /// The items, each with its owners.
    pub fn items(&self) -> Vec<OwnedItem> {
        let standing = self.bindings.iter().filter(|binding| binding.is_of_others()).flat_map(|b| self.bound(b));
        let running = self.requests.iter().filter_map(|request| self.asked(request));
        let policies = self.policies.iter().map(|policy| self.policy(policy));
        let mut items: Vec<OwnedItem> = standing.chain(running).chain(policies).collect();
        items.sort_by_key(|owned| owned.item.id());
        // A binding may name a subject twice.
        items.dedup_by_key(|owned| owned.item.id());
        items
    }

    fn bound(&self, binding: &Observed) -> Vec<OwnedItem> {
        let namespace = binding.metadata.namespace.as_deref();
        let Some(role) = bound_role(&binding.role) else { return Vec::new() };
        let object = match binding.kind {
            BindingKind::RoleBinding => object("RoleBinding", &binding.metadata),
            BindingKind::ClusterRoleBinding => object("ClusterRoleBinding", &binding.metadata),
        };
        let rules = self.roles.rules(namespace.filter(|_| role.kind == RoleKind::Role), &role.name);
        let written = rules.map(|rules| digest(canonical(&rules).as_bytes()));
        let holders = binding
            .subjects
            .iter()
            .filter_map(|subject| bound_subject(subject, namespace))
            .filter(|subject| self.is_reviewed(subject))
            .filter(|subject| !comes_with_cluster(binding, subject, rules.unwrap_or_default()));
        let item = |subject: Subject| OwnedItem {
            item: ReviewItem {
                kind: ItemKind::StandingAccess,
                object: object.clone(),
                holder: Some(ItemHolder { subject, uid: None }),
                role: Some(role.clone()),
                rules: written.clone(),
                namespaces: namespace.map(str::to_owned).into_iter().collect(),
                until: None,
                text: None,
            },
            owners: self.owners.of(None, namespace),
        };
        holders.map(item).collect()
    }

    fn is_reviewed(&self, subject: &Subject) -> bool {
        // Whoever asks without a login may be a person.
        let is_of_people =
            matches!(holder(subject), Some(Holder::Person | Holder::Group | Holder::Everybody | Holder::Anonymous));
        self.accounts || is_of_people
    }

    fn asked(&self, request: &AccessRequest) -> Option<OwnedItem> {
        let status = request.status.clone().unwrap_or_default();
        let length = || Some(status.expires_at.as_ref()?.0.duration_since(status.granted_at.as_ref()?.0));
        let kind = match &request.spec.recurrence {
            _ if request.is_over() => return None,
            Some(_) => ItemKind::RecurringAccess,
            None if request.has_grant() && length().is_some_and(|length| length >= LONG) => ItemKind::LongAccess,
            None => return None,
        };
        let namespace = request.metadata.namespace.as_deref();
        let requester = request.spec.requester.clone().unwrap_or_default();
        let subject = as_subject(&requester.username);
        let until = status.expires_at.filter(|_| kind == ItemKind::LongAccess).map(|end| MicroTime(end.0));
        Some(OwnedItem {
            item: ReviewItem {
                kind,
                object: object("AccessRequest", &request.metadata),
                holder: Some(ItemHolder { subject, uid: requester.uid.filter(|uid| !uid.is_empty()) }),
                role: Some(request.spec.role.clone()),
                rules: None,
                namespaces: Vec::new(),
                until,
                text: Some(without(&request.spec, "requester")),
            },
            owners: self.owners.of(None, namespace),
        })
    }

    fn policy(&self, policy: &AccessPolicy) -> OwnedItem {
        let annotations = policy.metadata.annotations.as_ref();
        OwnedItem {
            item: ReviewItem {
                kind: ItemKind::Policy,
                object: object("AccessPolicy", &policy.metadata),
                holder: None,
                role: None,
                rules: None,
                namespaces: Vec::new(),
                until: None,
                text: Some(canonical(&policy.spec)),
            },
            owners: self.owners.of(annotations.and_then(|all| all.get(keys::OWNER)), None),
        }
    }
}

fn object(kind: &str, metadata: &ObjectMeta) -> ItemObject {
    ItemObject {
        kind: kind.to_owned(),
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone().unwrap_or_default(),
        uid: metadata.uid.clone(),
    }
}

/// What an object says, without one of its fields.
fn without(spec: &impl Serialize, field: &str) -> String {
    let mut value = serde_json::to_value(spec).unwrap_or(Value::Null);
    if let Some(fields) = value.as_object_mut() {
        fields.remove(field);
    }
    value.to_string()
}
