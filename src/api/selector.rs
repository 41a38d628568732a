//! Label selectors and scopes: which namespaces a request asks for and which a policy covers.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// A Kubernetes label selector with bounds. All parts must hold; an empty selector matches everything.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that must be there with exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::label_values")]
    pub match_labels: BTreeMap<String, String>,
    /// Rules over labels, each of which must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub match_expressions: Vec<LabelRule>,
}

/// One rule over a label.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.operator in ['In', 'NotIn'] ? (has(self.values) && size(self.values) > 0) : (!has(self.values) || size(self.values) == 0)")
    .message("In and NotIn need values; Exists and DoesNotExist take none"))]
pub struct LabelRule {
    /// Label key.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// In, NotIn, Exists or DoesNotExist.
    pub operator: LabelOperator,
    /// Values for In and NotIn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 63)))]
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelOperator {
    /// The label has one of the values.
    In,
    /// The label is missing or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is missing.
    DoesNotExist,
}

/// Where a request wants its role. One of the three; with none, the request's own namespace.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.namespaces) ? 1 : 0) + (has(self.namespaceSelector) ? 1 : 0) + (has(self.cluster) && self.cluster ? 1 : 0) <= 1")
    .message("give one of namespaces, namespaceSelector and cluster; leave scope out for the request's own namespace"))]
pub struct RequestScope {
    /// Namespaces by name. Each must exist when the request is decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::namespace_names")]
    pub namespaces: Vec<String>,
    /// Namespaces by label. The list is fixed when access is granted; namespaces that match later are not added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// The whole cluster, by a ClusterRoleBinding. Needs a ClusterRole.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cluster: bool,
}

/// Where a policy applies.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.namespaces) || has(self.namespaceSelector) || (has(self.cluster) && self.cluster)")
    .message("give at least one of namespaces (\"*\" for all), namespaceSelector and cluster"))]
pub struct PolicyScope {
    /// Namespaces by name; `*` stands for any run of characters, so `team-*` covers `team-a`.
    /// With namespaceSelector as well, a namespace must match both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::namespace_globs")]
    pub namespaces: Vec<String>,
    /// Namespaces by label, read live: a namespace that loses the label loses the access that hung on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Requests for the whole cluster. Namespaces are covered by the two fields above, never by this one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cluster: bool,
    /// Whether an Allow reaches the namespaces from which the cluster or Daypass itself can be taken over: kube-system and
    /// the one that Daypass runs in. Without it neither names, globs nor labels reach them, and requests for the whole
    /// cluster are granted only what looks: get, list and watch, and no Secrets. To set it takes the verb `administer` on
    /// accesspolicies.daypass.dev. A Deny reaches them always.
    #[serde(default, skip_serializing_if = "is_false")]
    pub system_namespaces: bool,
}

pub(super) fn is_false(value: &bool) -> bool {
    !value
}
