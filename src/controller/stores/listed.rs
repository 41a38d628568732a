//! Which kinds have been listed as a whole, so that what a store lacks is not there.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

/// Name of a kind that is watched, as readiness gives it.
pub const ACCESS_REQUESTS: &str = "accessrequests";
/// Name of a kind that is watched.
pub const ACCESS_POLICIES: &str = "accesspolicies";
/// Name of a kind that is watched.
pub const NAMESPACES: &str = "namespaces";
/// Name of a kind that is watched.
pub const ROLE_BINDINGS: &str = "rolebindings";
/// Name of a kind that is watched.
pub const CLUSTER_ROLE_BINDINGS: &str = "clusterrolebindings";
/// Name of a kind that is watched.
pub const CLUSTER_ROLES: &str = "clusterroles";
/// Name of a kind that is watched.
pub const ROLES: &str = "roles";
/// Every kind that is watched.
pub const KINDS: [&str; 7] =
    [ACCESS_REQUESTS, ACCESS_POLICIES, NAMESPACES, ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLES];

/// The kinds that have been listed.
#[derive(Default)]
pub struct Listed(RwLock<BTreeSet<&'static str>>);

impl Listed {
    /// Notes that a kind has been listed.
    pub fn mark(&self, kind: &'static str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(kind);
    }

    /// Whether all of these kinds have been listed.
    pub fn has(&self, kinds: &[&str]) -> bool {
        let listed = self.0.read().unwrap_or_else(PoisonError::into_inner);
        kinds.iter().all(|kind| listed.contains(kind))
    }
}
