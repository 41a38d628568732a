//! Values of a request's status about its access: policy, role, bindings, windows and extensions.
//!
//! Owns their schema. Must not say when access ends: `core/lifecycle/expiry` does.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::risk::StoredRiskLevel;

/// What was done with access, as far as the audit logs of the API servers say.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct GrantActivity {
    /// Whether it was used.
    pub used: GrantUse,
    /// How many calls its bindings allowed, as far as was heard. There may have been more: the API server names only the first
    /// binding that allows a call.
    #[schemars(range(min = 0))]
    pub calls: i64,
    /// The last of them; of a stream, its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Time>,
}

/// Whether access was used. Used: its bindings allowed calls. Redundant: standing access allowed calls that it would have
/// allowed too, and it none. NotUsed: neither. Redundant and NotUsed are said only where they are proven. Unknown: nothing is.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GrantUse {
    /// Its bindings allowed calls.
    Used,
    /// Standing access allowed calls that it would have allowed too, and it none; that is proven.
    Redundant,
    /// Nothing was done that it allows, and that is proven.
    NotUsed,
    /// Nothing is proven: not all audit logs were heard for all of its time, or another grant of the same person allowed calls
    /// that it would have allowed too.
    Unknown,
}

impl GrantUse {
    /// The word as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Used => "Used",
            Self::Redundant => "Redundant",
            Self::NotUsed => "NotUsed",
            Self::Unknown => "Unknown",
        }
    }
}

/// A window that is still to come in which a policy denies what was granted.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FreezeAhead {
    /// Name of the AccessPolicy that denies.
    #[schemars(length(max = 253))]
    pub policy: String,
    /// When its window opens.
    pub opens_at: Time,
}

/// One window of recurring access. The role is bound from the first instant to just before the second.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RecurringWindow {
    /// When it opens.
    pub opens_at: Time,
    /// When it closes. Access is taken away then.
    pub closes_at: Time,
}

/// Which policy, in which version, decided.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRef {
    /// Name of the AccessPolicy.
    #[schemars(length(max = 253))]
    pub name: String,
    /// UID of the AccessPolicy.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// Generation of its spec.
    pub generation: i64,
}

/// What kind of binding carries a grant.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BindingKind {
    /// In one namespace.
    RoleBinding,
    /// In the whole cluster.
    ClusterRoleBinding,
}

/// The role that is made for a binding, with the rules that the request asks for. It has the binding's name.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MadeRole {
    /// UID of the role, once it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub uid: Option<String>,
}

/// A binding of this grant. Its name is written here before it exists, its UID as soon as it does.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BindingRef {
    /// RoleBinding or ClusterRoleBinding.
    pub kind: BindingKind,
    /// Namespace of a RoleBinding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    /// Name of the binding.
    #[schemars(length(max = 253))]
    pub name: String,
    /// UID of the binding, once it exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub uid: Option<String>,
    /// The role that is made for this binding, when the request asks for less than its role has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<MadeRole>,
}

/// How much harm a role can do, and why.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RoleRisk {
    /// Low, Medium, High, Critical, or Unknown when the role cannot be read.
    #[schemars(length(max = 16))]
    pub level: StoredRiskLevel,
    /// What somebody can do with the role, worst first; at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 512)))]
    pub reasons: Vec<String>,
}

/// What the role asked for allowed when the request was decided, and what it allows now.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct DecidedRole {
    /// SHA-256 over the role's rules as they were when the request was decided; `none` when there was no such role.
    #[schemars(length(max = 80))]
    pub digest: String,
    /// The same of the rules as they are now, when somebody has changed them since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub changed_to: Option<String>,
}

/// The running request that an extension is for.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ExtendedRequest {
    /// UID of the request. Another request of the same name is not extended.
    #[schemars(length(max = 64))]
    pub uid: String,
}

/// An approved extension that moved the end of this grant.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct GrantExtension {
    /// Name of the request that asked for it.
    #[schemars(length(max = 253))]
    pub name: String,
    /// UID of the request that asked for it.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// When the end was moved.
    pub at: Time,
    /// The end before.
    pub from: Time,
    /// The end since then.
    pub to: Time,
}
