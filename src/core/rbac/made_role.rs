//! The role that is made for a binding, when a request asks for less than its role has: what it looks like.
//!
//! It stands beside its binding under the same name and lives exactly as long. Whether its rules fit inside the role
//! asked for is for `role` to say.

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role, RoleRef};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::request::{BindingKind, BindingRef, MadeRole as Recorded};
use crate::core::rbac::ownership::{possible_request_uids, request_uid};

/// A made role as the cluster has it.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedRole {
    pub metadata: ObjectMeta,
    pub rules: Vec<PolicyRule>,
}

/// A made role as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedRole {
    /// Metadata. It names a version when a role that is there has to be put back.
    pub metadata: ObjectMeta,
    /// What it should allow.
    pub rules: Vec<PolicyRule>,
    /// The role asked for, whose rights these are some of.
    pub within: RoleRef,
}

impl From<&Role> for ObservedRole {
    fn from(role: &Role) -> Self {
        Self { metadata: role.metadata.clone(), rules: role.rules.clone().unwrap_or_default() }
    }
}

impl From<&ClusterRole> for ObservedRole {
    fn from(role: &ClusterRole) -> Self {
        let rules = if role.aggregation_rule.is_some() { None } else { role.rules.clone() };
        Self { metadata: role.metadata.clone(), rules: rules.unwrap_or_default() }
    }
}

impl ObservedRole {
    /// UID of the request that it says it belongs to, when it carries our mark.
    pub fn request_uid(&self) -> Option<&str> {
        request_uid(&self.metadata)
    }

    /// UIDs of requests that it may belong to: by its label, and by its name in case the label was edited.
    pub fn possible_request_uids(&self) -> impl Iterator<Item = &str> {
        possible_request_uids(&self.metadata)
    }

    /// The binding that it stands beside, as far as that is known from here.
    pub fn beside(&self, kind: BindingKind) -> Option<BindingRef> {
        Some(BindingRef {
            kind,
            namespace: self.metadata.namespace.clone(),
            name: self.metadata.name.clone()?,
            uid: None,
            role: Some(Recorded { uid: self.metadata.uid.clone() }),
        })
    }
}

impl WantedRole {
    /// As a Role to send.
    pub fn role(&self) -> Role {
        Role { metadata: self.metadata.clone(), rules: Some(self.rules.clone()) }
    }

    /// As a ClusterRole to send.
    pub fn cluster_role(&self) -> ClusterRole {
        ClusterRole { metadata: self.metadata.clone(), rules: Some(self.rules.clone()), aggregation_rule: None }
    }
}
