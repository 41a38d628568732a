//! Requests that somebody may have written to while the guard was missing, until a pass has answered each.
//!
//! Owns the controller's own writes, which raise no doubt, and finds the others by their versions
//! ([`crate::core::guard::touched`]). It must not say what becomes of such a request: `core/lifecycle/disbelief` does.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::runtime::reflector::{ObjectRef, Store};

use crate::controller::stores::packed::{PackedRequest, Summary};
use crate::controller::versions::Versions;
use crate::core::guard::touched::{OwnWrites, is_touched};
use crate::core::model::revision::Revision;

/// Requests in doubt.
#[derive(Default)]
pub struct Doubts(Mutex<DoubtIndex>);

#[derive(Default)]
struct DoubtIndex {
    own: HashMap<ObjectRef<PackedRequest>, OwnWrites>,
    doubted: HashSet<ObjectRef<PackedRequest>>,
}

impl Doubts {
    /// The controller wrote to a request in this version, which led to that one.
    pub fn wrote(&self, request: ObjectRef<PackedRequest>, on: Revision, to: Revision) {
        let mut known = self.lock();
        let before = known.own.get(&request).copied();
        known.own.insert(request, OwnWrites::after(before, on, to));
    }

    /// The guard was in force in this state of the cluster: what was written before it needs no proof any more.
    pub fn sound_at(&self, revision: Revision) {
        self.lock().own.retain(|_, own| own.to() > revision);
    }

    /// Finds the requests to doubt among those that are there, in the state in which the guard is in force again. `sound`:
    /// the state in which it was last known to be so. Left out are those that no pass decides on: they are over and have
    /// been reviewed, or cannot be read.
    pub fn find(&self, there: Versions, sound: Revision, stored: &Store<PackedRequest>) {
        let is_decided_on = |request: &ObjectRef<PackedRequest>, version: Revision| {
            let Some(packed) = stored.get(request) else { return true };
            let behind = packed.version().is_some_and(|stored| stored < version);
            behind || packed.summary.as_ref().is_some_and(Summary::is_open)
        };
        let mut known = self.lock();
        let DoubtIndex { own, doubted } = &mut *known;
        let touched = there.into_iter().filter(|(at, version)| is_touched(*version, own.get(at).copied(), sound));
        doubted.extend(touched.filter(|(at, version)| is_decided_on(at, *version)).map(|(at, _)| at));
    }

    /// Whether a request is in doubt.
    pub fn has(&self, request: &ObjectRef<PackedRequest>) -> bool {
        self.lock().doubted.contains(request)
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.lock().doubted.is_empty()
    }

    /// A pass has dealt with it. True when it was the last one.
    pub fn settle(&self, request: &ObjectRef<PackedRequest>) -> bool {
        let mut known = self.lock();
        known.doubted.remove(request) && known.doubted.is_empty()
    }

    /// Forgets a request that is gone.
    pub fn forget(&self, request: &ObjectRef<PackedRequest>) {
        let mut known = self.lock();
        known.own.remove(request);
        known.doubted.remove(request);
    }

    fn lock(&self) -> MutexGuard<'_, DoubtIndex> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
