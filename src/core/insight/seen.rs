//! What findings go by: what was read of the cluster, and what was not, with why.
//!
//! It must not judge any of it. A part that was not read is an error, never an empty list: a rule that needs it says that
//! it did not look.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::finding::AboutObject;
use crate::api::policy::AccessPolicy;
use crate::api::request::AccessRequest;
use crate::core::model::namespaces::Namespaces;
use crate::core::rbac::binding::Observed;
use crate::core::report::who::KnownRoles;

/// A part of the cluster: what was read, or why it was not.
pub type SeenPart<T> = Result<T, UnreadPart>;

/// Why a part was not read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnreadPart {
    /// What was to be read, as `list rolebindings`.
    pub what: String,
    /// Why it was not, in words of whoever refused it.
    pub why: String,
}

/// A cluster as it was read at one time.
#[derive(Clone, Debug)]
pub struct ClusterSeen {
    /// When it was read.
    pub now: Timestamp,
    /// How far back records are looked at: from then until now.
    pub window: SignedDuration,
    /// The one namespace that is looked at; none for the whole cluster.
    pub only: Option<String>,
    /// RoleBindings of the namespaces that are looked at.
    pub role_bindings: SeenPart<Vec<Observed>>,
    /// All ClusterRoleBindings.
    pub cluster_role_bindings: SeenPart<Vec<Observed>>,
    /// The rules of each role that is bound; of one that is not there, that it is gone.
    pub roles: KnownRoles,
    /// Service accounts of the namespaces that are looked at, by namespace and name.
    pub accounts: SeenPart<BTreeSet<(String, String)>>,
    /// All namespaces.
    pub namespaces: SeenPart<Namespaces>,
    /// All policies that can be decoded.
    pub policies: SeenPart<Vec<AccessPolicy>>,
    /// The requests of the namespaces that are looked at, those that are over included as far as they are kept.
    pub requests: SeenPart<Vec<AccessRequest>>,
    /// When bindings were last used, where an archive keeps that.
    pub uses: SeenPart<BindingUses>,
    /// Where Daypass is installed, and what is its own.
    pub installation: InstallationSeen,
}

/// When bindings were last used, as the audit logs of the API servers say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BindingUses {
    /// Since when all audit logs are known to have arrived; before that, nothing is known.
    pub heard_since: Option<Timestamp>,
    /// The last call that each binding allowed. RBAC names only the first one that allows a call, so one that is left out
    /// may have been there for nothing.
    pub last: BTreeMap<AboutObject, Timestamp>,
}

/// Where Daypass is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallationSeen {
    /// Its namespace.
    pub release: String,
    /// Names of its service accounts in that namespace.
    pub accounts: BTreeSet<String>,
}
