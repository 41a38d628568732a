//! What is known of the use of grants: which API servers there are, what the archive said last, and which requests wait for
//! what it says of them after their end.
//!
//! Nothing of it is stored: after a restart, all is asked for again. It must not call the archive: `loops::activity` does.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::Notify;

use super::packed::{PackedRequest, reference};
use crate::api::request::AccessRequest;
use crate::core::activity::idle::{ServersKnown, UsesHeard};
use crate::core::activity::outcome::term;

/// What is known of the use of grants.
pub struct GrantUses {
    /// Whether an archive hears the audit logs of the API servers.
    hears: bool,
    known: Mutex<KnownUses>,
    closed: Notify,
}

#[derive(Default)]
struct KnownUses {
    servers: Option<ServersKnown>,
    /// How many of them the archive has heard of late.
    heard: usize,
    /// What it said of grants that seem to be idle, by UID of the request.
    idle: HashMap<String, Arc<UsesHeard>>,
    /// Requests that are over, and whose use has yet to be told.
    closing: HashSet<ObjectRef<PackedRequest>>,
}

/// The API servers of the cluster, and of how many of them the audit log arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerCount {
    pub known: usize,
    pub heard: usize,
}

impl GrantUses {
    /// With nothing known.
    pub fn new(hears: bool) -> Self {
        Self { hears, known: Mutex::default(), closed: Notify::new() }
    }

    /// Whether an archive hears the audit logs of the API servers.
    pub fn hears(&self) -> bool {
        self.hears
    }

    /// The API servers were read.
    pub fn read_servers(&self, servers: BTreeSet<String>, now: Timestamp) {
        let mut known = self.lock();
        known.servers = Some(ServersKnown::read(known.servers.take(), servers, now));
    }

    /// The API servers, once they have been read.
    pub fn servers(&self) -> Option<ServersKnown> {
        self.lock().servers.clone()
    }

    /// The archive has heard so many of them of late.
    pub fn heard(&self, servers: usize) {
        self.lock().heard = servers;
    }

    /// Of how many API servers the audit log arrives.
    pub fn count(&self) -> ServerCount {
        let known = self.lock();
        let servers = known.servers.as_ref().map_or(0, |servers| servers.servers.len());
        ServerCount { known: servers, heard: known.heard }
    }

    /// What was said just now of grants that seem to be idle; what was said before counts no more.
    pub fn seem_idle(&self, idle: HashMap<String, Arc<UsesHeard>>) {
        self.lock().idle = idle;
    }

    /// What was said of the grant of this request, by UID.
    pub fn of(&self, uid: &str) -> Option<Arc<UsesHeard>> {
        self.lock().idle.get(uid).cloned()
    }

    /// Puts aside a request whose history the archive holds, until it is told how its access was used. False when there is
    /// nothing to tell.
    pub fn close(&self, request: &AccessRequest) -> bool {
        let is_told = request.status.as_ref().is_some_and(|status| status.activity.is_some());
        if !self.hears || is_told || term(request).is_none() {
            return false;
        }
        self.lock().closing.insert(reference(request));
        self.closed.notify_one();
        true
    }

    /// Requests that wait to be told of.
    pub fn closing(&self) -> Vec<ObjectRef<PackedRequest>> {
        self.lock().closing.iter().cloned().collect()
    }

    /// One does not wait any more.
    pub fn forget_closing(&self, request: &ObjectRef<PackedRequest>) {
        self.lock().closing.remove(request);
    }

    /// Waits until another request waits to be told of.
    pub async fn closed(&self) {
        self.closed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, KnownUses> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
