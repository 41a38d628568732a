//! Requests as limits count them: what the watch has brought, and over it what passes have recorded since. Without the
//! second, two requests that are decided at the same moment would not count each other.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use super::observe::{GuardedRequest, reference, version};
use crate::api::request::AccessRequest;
use crate::core::limits::{Counted, others};
use crate::core::policies::PolicySet;

/// What has been recorded and not yet been seen, and whose turn it is to decide.
#[derive(Default)]
pub struct Ledger {
    recorded: Mutex<HashMap<ObjectRef<GuardedRequest>, AccessRequest>>,
    turn: Arc<Turn<()>>,
    complete: AtomicBool,
}

impl Ledger {
    /// Whether the store has what the process recorded that led before. Until then nobody can count.
    pub fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    /// From now on it has.
    pub fn complete(&self) {
        self.complete.store(true, Ordering::Release);
    }

    /// Waits for one's turn. Whoever counts requests and then adds one must not be overtaken in between.
    pub async fn turn(&self) -> OwnedMutexGuard<()> {
        self.turn.clone().lock_owned().await
    }

    /// Notes what a pass has recorded, if there are limits that it could count for.
    pub fn note(&self, request: &AccessRequest, limits: bool) {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        if limits {
            recorded.insert(reference(request), request.clone());
        } else {
            recorded.clear();
        }
    }

    /// Every other request under a policy that has limits.
    pub fn others(&self, own: &AccessRequest, policies: &PolicySet, store: &Store<GuardedRequest>) -> Vec<Counted> {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.retain(|reference, newer| {
            let seen = store.get(reference);
            let seen = seen.as_ref().and_then(|guarded| guarded.0.as_ref().ok());
            seen.is_some_and(|seen| seen.metadata.uid == newer.metadata.uid && version(seen) < version(newer))
        });
        let stored = store.state_filter(|guarded| guarded.0.is_ok());
        let newest = stored.iter().filter_map(|guarded| guarded.0.as_ref().ok()).map(|stored| {
            if recorded.is_empty() { stored } else { recorded.get(&reference(stored)).unwrap_or(stored) }
        });
        others(own, policies, newest)
    }
}
