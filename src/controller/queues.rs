//! Queues of what a loop takes up next: requests in three lanes, policies, and bindings for the reaper.
//!
//! Owns the order within a lane and that a name waits in it once. It must not read an object: a loop does, when it takes the
//! name.

use std::collections::{HashSet, VecDeque};
use std::future::poll_fn;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{self, Poll, Waker};

use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc;

use crate::api::request::AccessRequest;
use crate::controller::observe::DecodedPolicy;
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

/// Names that wait for a pass, in the order in which they came: where more come all the time, each has its turn.
struct Backlog<K: kube::Resource> {
    names: VecDeque<ObjectRef<K>>,
    /// The same.
    known: HashSet<ObjectRef<K>>,
    /// Who waits for the next name.
    waker: Option<Waker>,
}

/// A backlog as its two ends share it.
struct Shared<K: kube::Resource>(Arc<Mutex<Backlog<K>>>);

impl<K: kube::Resource> Clone for Shared<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: kube::Resource<DynamicType: Hash + Eq + Clone>> Shared<K> {
    fn lock(&self) -> MutexGuard<'_, Backlog<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Unbounded: an entry is a name, and each stands in it once.
    fn add(&self, object: ObjectRef<K>) {
        let mut backlog = self.lock();
        if backlog.known.insert(object.clone()) {
            backlog.names.push_back(object);
            backlog.waker.take().into_iter().for_each(Waker::wake);
        }
    }
}

/// The sending end of a queue.
struct WorkQueue<K: kube::Resource>(Shared<K>);

/// The receiving end of a queue.
pub struct Incoming<K: kube::Resource>(Shared<K>);

impl<K: kube::Resource<DynamicType: Hash + Eq + Clone>> WorkQueue<K> {
    fn new() -> (Self, Incoming<K>) {
        let backlog = Backlog { names: VecDeque::new(), known: HashSet::new(), waker: None };
        let shared = Shared(Arc::new(Mutex::new(backlog)));
        (Self(shared.clone()), Incoming(shared))
    }

    fn add(&self, object: ObjectRef<K>) {
        self.0.add(object);
    }

    fn depth(&self) -> usize {
        self.0.lock().known.len()
    }
}

impl<K: kube::Resource<DynamicType: Hash + Eq + Clone>> Incoming<K> {
    /// Waits for the next name and takes it.
    pub fn poll_next(&self, task: &mut task::Context<'_>) -> Poll<ObjectRef<K>> {
        let mut backlog = self.0.lock();
        let Some(object) = backlog.names.pop_front() else {
            backlog.waker = Some(task.waker().clone());
            return Poll::Pending;
        };
        backlog.known.remove(&object);
        Poll::Ready(object)
    }

    /// Puts in a name that this end asks for itself.
    pub fn add(&self, object: ObjectRef<K>) {
        self.0.add(object);
    }

    /// Throws away what comes, for as long as it is polled.
    pub async fn discard(&self) {
        loop {
            drop(poll_fn(|task| self.poll_next(task)).await);
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
    grants: WorkQueue<PackedRequest>,
    limited: WorkQueue<PackedRequest>,
    decisions: WorkQueue<PackedRequest>,
    policies: WorkQueue<DecodedPolicy>,
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
    pub policies: Incoming<DecodedPolicy>,
    /// What the reaper should look into.
    pub reaper: mpsc::UnboundedReceiver<ReapTask>,
}

impl Queues {
    /// All queues, empty.
    pub fn new() -> (Self, Inbox) {
        let (grants, grants_in) = WorkQueue::new();
        let (limited, limited_in) = WorkQueue::new();
        let (decisions, decisions_in) = WorkQueue::new();
        let (policies, policies_in) = WorkQueue::new();
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
    pub fn enqueue_policy(&self, policy: ObjectRef<DecodedPolicy>) {
        self.policies.add(policy);
    }

    /// How many requests and policies wait for a pass. One that is asked for while its pass runs counts when that has ended.
    pub fn depth(&self) -> usize {
        self.grants.depth() + self.limited.depth() + self.decisions.depth() + self.policies.depth()
    }

    /// Asks the reaper to look into something.
    pub fn reap(&self, task: ReapTask) {
        let _ = self.reaper.send(task);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn name(name: &str) -> ObjectRef<PackedRequest> {
        ObjectRef::new(name).within("shop")
    }

    fn next(incoming: &Incoming<PackedRequest>) -> Option<String> {
        poll_fn(|task| incoming.poll_next(task)).now_or_never().map(|object| object.name)
    }

    #[test]
    fn names_come_in_the_order_in_which_they_were_added_and_once() {
        let (queue, incoming) = WorkQueue::new();
        ["b", "a", "b"].iter().for_each(|object| queue.add(name(object)));
        assert_eq!(queue.depth(), 2);
        assert_eq!((next(&incoming), queue.depth()), (Some("b".into()), 1));
        queue.add(name("b"));
        assert_eq!(
            (next(&incoming), next(&incoming), next(&incoming)),
            (Some("a".into()), Some("b".into()), None),
            "asked for again when it was taken"
        );
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_a_name() {
        let (queue, incoming) = WorkQueue::new();
        let waiting = tokio::spawn(async move { poll_fn(|task| incoming.poll_next(task)).await.name });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        queue.add(name("b"));
        assert_eq!(waiting.await.unwrap(), "b");
    }
}
