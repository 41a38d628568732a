//! What the history notes beside each entry, so that a record of it can be made from the history alone.
//!
//! Owns their schema. Must not say what is new: `core/model/facts` does.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::grant::PolicyRef;
use crate::api::risk::StoredRiskLevel;

/// Who somebody was when they did something, beside their username.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NotedIdentity {
    /// UID that their login gave them. Users known by certificate alone have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub uid: Option<String>,
    /// SHA-256 over the names of their groups, as a sorted JSON array.
    #[schemars(length(max = 80))]
    pub groups: String,
}

/// What of a request was new with an entry of its history; what is left out had not changed since the entry before.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NotedFacts {
    /// The policy that decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyRef>,
    /// SHA-256 over the spec of that policy; empty when it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub policy_digest: Option<String>,
    /// SHA-256 over the rules of the role, as they were then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub role_digest: Option<String>,
    /// How much harm the role can do: Low, Medium, High, Critical or Unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub risk: Option<StoredRiskLevel>,
    /// Usernames of those whose approval counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), inner(length(max = 1024)))]
    pub approved_by: Option<Vec<String>>,
    /// Of a request for namespaces by label: those that access is granted in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512), inner(length(max = 63)))]
    pub namespaces: Option<Vec<String>>,
    /// When access began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Time>,
    /// When access ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// What the history had no room for, up to here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<NotedGap>,
}

/// Entries that a history had no room for.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NotedGap {
    /// How many.
    #[schemars(range(min = 0))]
    pub count: i64,
    /// Digest of them, as in `status.historyDroppedDigest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 80))]
    pub digest: Option<String>,
}
