//! Who asks, who approves and which role: the RBAC nouns that both kinds share.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// What kind of account a subject is.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SubjectKind {
    /// A user by name, as the cluster's login gives it.
    User,
    /// A group of users, as the cluster's login gives it.
    Group,
    /// A service account by namespace and name.
    ServiceAccount,
}

/// A user, group or service account, written as in a RoleBinding.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.kind == 'ServiceAccount') == (has(self.__namespace__) && self.__namespace__ != '')")
    .message("namespace goes with kind ServiceAccount, and only with it: add namespace for a ServiceAccount, remove it for a User or Group"))]
pub struct Subject {
    /// User, Group or ServiceAccount.
    pub kind: SubjectKind,
    /// Name of the user, group or service account, exactly as the cluster's login gives it. No wildcards.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace of a ServiceAccount. Leave out for User and Group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    /// Accepted so that subjects can be copied from a RoleBinding. Leave out, or `rbac.authorization.k8s.io`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = r"^(rbac\.authorization\.k8s\.io)?$"))]
    pub api_group: Option<String>,
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = &self.name;
        match (self.kind, &self.namespace) {
            (SubjectKind::User, _) => write!(f, "User/{name}"),
            (SubjectKind::Group, _) => write!(f, "Group/{name}"),
            (SubjectKind::ServiceAccount, namespace) => {
                write!(f, "ServiceAccount/{}/{name}", namespace.as_deref().unwrap_or_default())
            }
        }
    }
}

/// Who somebody is, as the API server authenticated them. Stamped by the cluster's admission policies.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Name of the user.
    #[schemars(length(min = 1, max = 253))]
    pub username: String,
    /// UID that the cluster's login gives the user. Users known by certificate alone have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub uid: Option<String>,
    /// Groups of the user at the time of the request. At most 512.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512), inner(length(max = 253)))]
    pub groups: Vec<String>,
    /// What else the cluster's login says of the user, for example how they signed in and from where: values by key. Of
    /// `userInfo.extra` only the keys that who installs Daypass has named (`identity.extraKeys` of its chart), and of these
    /// only those that the login has. Conditions of policies see them as `requester.extra`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::extra")]
    pub extra: BTreeMap<String, Vec<String>>,
}

/// Which kind of role a request is for.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoleKind {
    /// A ClusterRole, bound in a namespace or in the whole cluster.
    #[default]
    ClusterRole,
    /// A Role of the same name in every namespace asked for.
    Role,
}

impl RoleKind {
    /// The kind as RBAC writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterRole => "ClusterRole",
            Self::Role => "Role",
        }
    }
}

/// A role by kind and name.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "camelCase")]
pub struct RoleName {
    /// ClusterRole or Role. Left out: ClusterRole.
    #[serde(default)]
    pub kind: RoleKind,
    /// Name of the role. No wildcards.
    #[schemars(schema_with = "schema::role_name")]
    pub name: String,
}

impl std::fmt::Display for RoleName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.name)
    }
}
