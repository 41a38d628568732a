//! What to look at next: names on their way from the watches to the passes and the reaper.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc;

use crate::api::request::AccessRequest;
use crate::controller::observe::GuardedPolicy;
use crate::controller::stores::packed::PackedRequest;
use crate::core::rbac::binding::Observed;

/// Something that the reaper should look into.
pub enum ReapTask {
    /// Every binding: a list was read anew, so that deletions may have been missed.
    Everything,
    /// A binding that does not fit what is known of its request.
    Binding(Box<Observed>),
    /// A request that was deleted: its bindings must go.
    Deleted(Box<AccessRequest>),
}

/// Names that were put into a queue and whose pass has not begun. The runtime behind a queue keeps one entry for each
/// object, and takes it in at once, so its length says nothing.
struct Backlog<K: kube::Resource>(Arc<Mutex<HashSet<ObjectRef<K>>>>);

impl<K: kube::Resource> Clone for Backlog<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: kube::Resource<DynamicType: Hash + Eq + Clone>> Backlog<K> {
    fn lock(&self) -> MutexGuard<'_, HashSet<ObjectRef<K>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sending end of a queue.
struct Queue<K: kube::Resource> {
    backlog: Backlog<K>,
    sender: mpsc::UnboundedSender<ObjectRef<K>>,
}

/// The receiving end of a queue.
pub struct Incoming<K: kube::Resource> {
    backlog: Backlog<K>,
    receiver: mpsc::UnboundedReceiver<ObjectRef<K>>,
}

impl<K: kube::Resource<DynamicType: Hash + Eq + Clone>> Queue<K> {
    /// Unbounded: an entry is a name, and the runtime behind it keeps one entry for each object.
    fn new() -> (Self, Incoming<K>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let backlog = Backlog(Arc::default());
        (Self { backlog: backlog.clone(), sender }, Incoming { backlog, receiver })
    }

    fn add(&self, object: ObjectRef<K>) {
        self.backlog.lock().insert(object.clone());
        // A closed queue means that the process is on its way out.
        let _ = self.sender.send(object);
    }

    fn depth(&self) -> usize {
        self.backlog.lock().len()
    }
}

impl<K: kube::Resource<DynamicType: Hash + Eq + Clone>> Incoming<K> {
    /// Waits for the next name.
    pub fn poll_next(&mut self, task: &mut std::task::Context<'_>) -> std::task::Poll<Option<ObjectRef<K>>> {
        self.receiver.poll_recv(task)
    }

    /// Says of a name that its pass has begun, or that there will be none.
    pub fn begun(&self) -> impl Fn(&ObjectRef<K>) + Clone + use<K> {
        let backlog = self.backlog.clone();
        move |object| {
            backlog.lock().remove(object);
        }
    }

    /// Throws away what comes, for as long as it is polled.
    pub async fn discard(&mut self) {
        while let Some(object) = self.receiver.recv().await {
            self.backlog.lock().remove(&object);
        }
    }
}

/// Beside which others a request is worked on. Whatever decisions wait for, passes over running access do not wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Access runs, or rests.
    Grants,
    /// Limits count it, so that it is decided when no other of these is.
    Limited,
    /// All others: nothing is granted, or all is over.
    Decisions,
}

/// The sending ends of the queues.
pub struct Queues {
    grants: Queue<PackedRequest>,
    limited: Queue<PackedRequest>,
    decisions: Queue<PackedRequest>,
    policies: Queue<GuardedPolicy>,
    reaper: mpsc::UnboundedSender<ReapTask>,
}

/// The receiving ends of the queues.
pub struct Inbox {
    /// Requests whose access runs, to take through a pass.
    pub grants: Incoming<PackedRequest>,
    /// Requests that limits count, to take through a pass.
    pub limited: Incoming<PackedRequest>,
    /// Other requests to take through a pass.
    pub decisions: Incoming<PackedRequest>,
    /// Policies to take through a pass.
    pub policies: Incoming<GuardedPolicy>,
    /// What the reaper should look into.
    pub reaper: mpsc::UnboundedReceiver<ReapTask>,
}

impl Queues {
    /// All queues, empty.
    pub fn new() -> (Self, Inbox) {
        let (grants, grants_in) = Queue::new();
        let (limited, limited_in) = Queue::new();
        let (decisions, decisions_in) = Queue::new();
        let (policies, policies_in) = Queue::new();
        let (reaper, reaper_in) = mpsc::unbounded_channel();
        let inbox = Inbox {
            grants: grants_in,
            limited: limited_in,
            decisions: decisions_in,
            policies: policies_in,
            reaper: reaper_in,
        };
        (Self { grants, limited, decisions, policies, reaper }, inbox)
    }

    /// Asks for a pass over a request.
    pub fn enqueue(&self, lane: Lane, request: ObjectRef<PackedRequest>) {
        match lane {
            Lane::Grants => self.grants.add(request),
            Lane::Limited => self.limited.add(request),
            Lane::Decisions => self.decisions.add(request),
        }
    }

    /// Asks for a pass over a policy.
    pub fn enqueue_policy(&self, policy: ObjectRef<GuardedPolicy>) {
        self.policies.add(policy);
    }

    /// How many requests and policies wait for a pass.
    pub fn depth(&self) -> usize {
        self.grants.depth() + self.limited.depth() + self.decisions.depth() + self.policies.depth()
    }

    /// Asks the reaper to look into something.
    pub fn reap(&self, task: ReapTask) {
        let _ = self.reaper.send(task);
    }
}
