//! Requests as limits count them: what the watch has brought, and over it what passes have recorded since. Without the
//! second, two requests that are decided at the same moment would not count each other.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use kube::Resource;
use kube::runtime::reflector::{ObjectRef, Store};
use tokio::sync::{Mutex as CountingLock, OwnedMutexGuard};

use crate::api::request::AccessRequest;
use crate::controller::observe::version;
use crate::controller::stores::packed::{PackedRequest, reference};
use crate::core::policies::PolicySet;
use crate::core::policies::limits::{Counted, others};

/// What has been recorded and not yet been seen, and who counts now.
#[derive(Default)]
pub struct Ledger {
    recorded: Mutex<HashMap<ObjectRef<PackedRequest>, AccessRequest>>,
    counting: Arc<CountingLock<()>>,
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

    /// Waits until nobody else counts. Whoever counts requests and then adds one must not be overtaken in between.
    pub async fn lock_counting(&self) -> OwnedMutexGuard<()> {
        self.counting.clone().lock_owned().await
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
    pub fn others(&self, own: &AccessRequest, policies: &PolicySet, store: &Store<PackedRequest>) -> Vec<Counted> {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.retain(|reference, newer| {
            let seen = store.get(reference).filter(|seen| seen.meta().uid == newer.metadata.uid);
            seen.and_then(|seen| seen.version()).is_some_and(|seen| Some(seen) < version(newer))
        });
        let stored = store.state();
        let newest = stored.iter().filter_map(|packed| {
            let summary = packed.summary.as_ref()?;
            let newer = if recorded.is_empty() { None } else { recorded.get(&reference(&**packed)) };
            let counted = match newer {
                Some(newer) => Cow::Owned(Counted::of(newer)?),
                None => Cow::Borrowed(summary.counted.as_ref()?),
            };
            Some((packed.meta().uid.as_deref(), counted))
        });
        others(own, |name| policies.has_limits(name), newest)
    }
}
