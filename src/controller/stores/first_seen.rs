//! When this process first saw a policy as it is now, so that it is judged by no older look at the guard. Decides nothing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kube::ResourceExt;
use tokio::time::Instant;

use crate::api::AccessPolicy;
use crate::api::keys::CONFIRM;

/// What somebody can change of a policy: its spec, and who stands in for it.
type Version = (Option<i64>, Option<String>);

/// Policies by UID: the version last seen, and when it came.
#[derive(Default)]
pub struct FirstSeen(Mutex<HashMap<String, (Version, Instant)>>);

impl FirstSeen {
    /// When this version of the policy was first seen: now, if it was not before.
    pub fn of(&self, policy: &AccessPolicy) -> Instant {
        let version = (policy.metadata.generation, policy.annotations().get(CONFIRM).cloned());
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = seen.entry(policy.uid().unwrap_or_default()).or_insert_with(|| (version.clone(), Instant::now()));
        if known.0 != version {
            *known = (version, Instant::now());
        }
        known.1
    }

    /// Forgets a policy that is gone.
    pub fn forget(&self, uid: Option<&str>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid.unwrap_or_default());
    }
}
