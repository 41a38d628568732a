//! Requests as the watch has them, and what passes have noted of each.
//!
//! It must not call the API server.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::reflector::store::Writer as StoreWriter;
use kube::runtime::reflector::{self, ObjectRef, Store};

use super::doubts::Doubts;
use super::ends::Ends;
use super::expectations::Expectations;
use super::extensions::Extensions;
use super::failures::Failures;
use super::ledger::Ledger;
use super::packed::{PackedRequest, Summary, reference};
use super::worked_on::WorkedOn;
use crate::api::request::AccessRequest;
use crate::controller::observe::DecodedRequest;

/// Requests.
pub struct Requests {
    pub store: Store<PackedRequest>,
    /// Where the request with a UID is.
    pub by_uid: Index,
    /// Which requests extend which.
    pub extensions: Extensions,
    /// Requests as limits count them.
    pub ledger: Ledger,
    /// What passes wrote and the watch has yet to bring.
    pub expectations: Expectations,
    pub ends: Ends,
    /// Requests that somebody may have written to while the guards were missing.
    pub doubts: Arc<Doubts>,
    pub failures: Failures,
    pub worked_on: WorkedOn,
}

impl Requests {
    /// None yet, and the writing end of the store.
    pub fn new() -> (Self, StoreWriter<PackedRequest>) {
        let (store, feed) = reflector::store();
        let requests = Self {
            store,
            by_uid: Index::default(),
            extensions: Extensions::default(),
            ledger: Ledger::default(),
            expectations: Expectations::default(),
            ends: Ends::default(),
            doubts: Arc::default(),
            failures: Failures::default(),
            worked_on: WorkedOn::default(),
        };
        (requests, feed)
    }

    /// The request itself, if it can be read.
    pub fn open(&self, request: &ObjectRef<PackedRequest>) -> Option<AccessRequest> {
        self.store.get(request)?.open()
    }

    /// Those of which this is so.
    pub fn which(&self, holds: impl Fn(&Summary) -> bool) -> Vec<Arc<PackedRequest>> {
        self.store.state_filter(|packed| packed.summary.as_ref().is_some_and(&holds))
    }

    /// A pass settled on this version and said when to look again; noted if the watch has yet to bring it.
    pub fn settled(&self, request: &ObjectRef<PackedRequest>, at: u64, wake: Option<Timestamp>) {
        if self.store.get(request).and_then(|packed| packed.version()).is_some_and(|stored| stored < at) {
            self.expectations.note(request, at, wake);
        }
    }

    /// The watch has brought a request.
    pub fn came(&self, request: &DecodedRequest) {
        self.by_uid.insert(request);
        if let Ok(request) = &request.0 {
            self.ends.note(request);
        }
    }

    /// A request is gone.
    pub fn forget(&self, request: &ObjectRef<PackedRequest>, uid: &str) {
        self.by_uid.remove(uid);
        self.ends.forget(uid);
        self.failures.forget(request);
        self.expectations.forget(request);
        self.doubts.forget(request);
    }
}

/// Requests by UID, since a binding is tied to its request by UID and its other marks can be edited.
#[derive(Default)]
pub struct Index(RwLock<HashMap<String, ObjectRef<PackedRequest>>>);

impl Index {
    /// Where the request with this UID is.
    pub fn get(&self, uid: &str) -> Option<ObjectRef<PackedRequest>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(uid).cloned()
    }

    fn insert(&self, request: &DecodedRequest) {
        if let Some(uid) = request.uid() {
            self.0.write().unwrap_or_else(PoisonError::into_inner).insert(uid, reference(request));
        }
    }

    fn remove(&self, uid: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }

    /// Keeps only the requests of these UIDs.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|uid, _| keep(uid));
    }
}
