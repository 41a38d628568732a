//! What to look at next: names on their way from the watches to the passes and the reaper.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc;

use super::kept::KeptRequest;
use super::observe::GuardedPolicy;
use crate::api::request::AccessRequest;
use crate::core::rbac::binding::Observed;

/// Something that the reaper should look into.
pub enum Suspect {
    /// Every binding: a list was read anew, so that deletions may have been missed.
    Everything,
    /// A binding that does not fit what is known of its request.
    Binding(Box<Observed>),
    /// A request that was deleted: its bindings must go.
    Deleted(Box<AccessRequest>),
}

/// Names that were put into a queue and whose pass has not begun. The runtime behind a queue keeps one entry for each
/// object, and takes it in at once, so its length says nothing.
pub struct Waiting<K: kube::Resource>(Arc<Mutex<HashSet<ObjectRef<K>>>>);

impl<K: kube::Resource> Clone for Waiting<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: kube::Resource<DynamicType: Hash + Eq + Clone>> Waiting<K> {
    fn new() -> Self {
        Self(Arc::default())
    }

    fn add(&self, object: ObjectRef<K>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(object);
    }

    /// Its pass has begun, or there will be none.
    pub fn begun(&self, object: &ObjectRef<K>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(object);
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// The sending ends of the queues.
#[derive(Clone)]
pub struct Queues {
    /// Requests that wait for a pass.
    pub waiting_requests: Waiting<KeptRequest>,
    /// Policies that wait for a pass.
    pub waiting_policies: Waiting<GuardedPolicy>,
    requests: mpsc::UnboundedSender<ObjectRef<KeptRequest>>,
    policies: mpsc::UnboundedSender<ObjectRef<GuardedPolicy>>,
    reaper: mpsc::UnboundedSender<Suspect>,
}

/// The receiving ends of the queues.
pub struct Inbox {
    /// Requests to take through a pass.
    pub requests: mpsc::UnboundedReceiver<ObjectRef<KeptRequest>>,
    /// Policies to take through a pass.
    pub policies: mpsc::UnboundedReceiver<ObjectRef<GuardedPolicy>>,
    /// What the reaper should look into.
    pub reaper: mpsc::UnboundedReceiver<Suspect>,
}

impl Queues {
    /// Unbounded queues: an entry is a name, and the runtime behind them keeps one entry for each object.
    pub fn new() -> (Self, Inbox) {
        let (requests, requests_in) = mpsc::unbounded_channel();
        let (policies, policies_in) = mpsc::unbounded_channel();
        let (reaper, reaper_in) = mpsc::unbounded_channel();
        let inbox = Inbox { requests: requests_in, policies: policies_in, reaper: reaper_in };
        let (waiting_requests, waiting_policies) = (Waiting::new(), Waiting::new());
        (Self { waiting_requests, waiting_policies, requests, policies, reaper }, inbox)
    }

    /// Asks for a pass over a request.
    pub fn look_at(&self, request: ObjectRef<KeptRequest>) {
        self.waiting_requests.add(request.clone());
        // A closed queue means that the process is on its way out.
        let _ = self.requests.send(request);
    }

    /// Asks for a pass over a policy.
    pub fn look_at_policy(&self, policy: ObjectRef<GuardedPolicy>) {
        self.waiting_policies.add(policy.clone());
        let _ = self.policies.send(policy);
    }

    /// How many requests and policies wait for a pass.
    pub fn depth(&self) -> usize {
        self.waiting_requests.count() + self.waiting_policies.count()
    }

    /// Asks the reaper to look into something.
    pub fn suspect(&self, suspect: Suspect) {
        let _ = self.reaper.send(suspect);
    }
}
