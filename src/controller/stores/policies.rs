//! Policies as the watch has them, read in the light of the guards: what was written without them is not believed.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use kube::runtime::reflector::store::Writer as StoreWriter;
use kube::runtime::reflector::{self, Store};
use tokio::time::Instant;

use super::first_seen::FirstSeen;
use crate::controller::observe::{self, DecodedPolicy};
use crate::core::guard::{Guard, NotInForce};
use crate::core::policies::{PolicySet, origin};

/// Policies, and what is known of the guards.
pub struct Policies {
    pub store: Store<DecodedPolicy>,
    /// Since when policies are as they are.
    pub first_seen: FirstSeen,
    guard: RwLock<Guard>,
    sound: Mutex<Option<Instant>>,
    set: RwLock<Option<Arc<PolicySet>>>,
}

impl Policies {
    /// None yet, and the writing end of the store.
    pub fn new() -> (Self, StoreWriter<DecodedPolicy>) {
        let (store, feed) = reflector::store();
        let guard = RwLock::new(Guard::Missing(NotInForce::Untried));
        let policies =
            Self { store, first_seen: FirstSeen::default(), guard, sound: Mutex::default(), set: RwLock::default() };
        (policies, feed)
    }

    /// What the canary last said of the guards.
    pub fn guard(&self) -> Guard {
        self.guard.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces what is known of the guards. Policies are judged in its light first: whoever sees this guard and then the
    /// policies sees no gap without what was written in it.
    pub fn set_guard(&self, guard: Guard) {
        let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = set.take() {
            *set = Some(Arc::new(self.read(&known, &guard)));
        }
        *self.guard.write().unwrap_or_else(PoisonError::into_inner) = guard;
    }

    /// When the last round of the canary began in which the guards were in force; none while they are not.
    pub fn sound(&self) -> Option<Instant> {
        *self.sound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces it.
    pub fn set_sound(&self, began: Option<Instant>) {
        *self.sound.lock().unwrap_or_else(PoisonError::into_inner) = began;
    }

    /// All of them as the core reads them, once they have been listed.
    pub fn set(&self) -> Option<Arc<PolicySet>> {
        self.set.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads them anew, as the store has them.
    pub fn renew(&self) {
        let mut set = self.set.write().unwrap_or_else(PoisonError::into_inner);
        let known = set.take().unwrap_or_default();
        *set = Some(Arc::new(self.read(&known, &self.guard())));
    }

    fn read(&self, known: &PolicySet, guard: &Guard) -> PolicySet {
        let stored = self.store.state();
        observe::policy_set(known, stored.iter().map(|policy| &**policy), |policy| origin::doubt(policy, guard))
    }
}
