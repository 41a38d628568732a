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

/// Names that wait for a pass, in the order in which they came. The runtime behind a queue takes the names that it has in no
/// order, so it is given only as many as it can begin with: where more come all the time, each has its turn.
struct Backlog<K: kube::Resource> {
    /// Those not handed out yet. One whose pass began meanwhile, by a timer, is not `known` any more and is passed over.
    names: VecDeque<ObjectRef<K>>,
    /// Those whose pass has not begun.
    known: HashSet<ObjectRef<K>>,
    /// Those of them that the runtime has.
    handed_out: HashSet<ObjectRef<K>>,
    /// How many passes run.
    running: usize,
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

impl<K: kube::Resource> Shared<K> {
    fn lock(&self) -> MutexGuard<'_, Backlog<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sending end of a queue.
struct WorkQueue<K: kube::Resource>(Shared<K>);

/// The receiving end of a queue.
pub struct Incoming<K: kube::Resource>(Shared<K>);

/// A pass runs for as long as this lives.
pub struct PassRunning<K: kube::Resource>(Shared<K>);

impl<K: kube::Resource> Drop for PassRunning<K> {
    fn drop(&mut self) {
        let mut backlog = self.0.lock();
        backlog.running -= 1;
        backlog.waker.take().into_iter().for_each(Waker::wake);
    }
}

impl<K: kube::Resource<DynamicType: Hash + Eq + Clone>> WorkQueue<K> {
    fn new() -> (Self, Incoming<K>) {
        let backlog = Backlog {
            names: VecDeque::new(),
            known: HashSet::new(),
            handed_out: HashSet::new(),
            running: 0,
            waker: None,
        };
        let shared = Shared(Arc::new(Mutex::new(backlog)));
        (Self(shared.clone()), Incoming(shared))
    }

    /// Unbounded: an entry is a name, and each stands in it once.
    fn add(&self, object: ObjectRef<K>) {
        let mut backlog = self.0.lock();
        if backlog.known.insert(object.clone()) {
            backlog.names.push_back(object);
            backlog.waker.take().into_iter().for_each(Waker::wake);
        }
    }

    fn depth(&self) -> usize {
        self.0.lock().known.len()
    }
}

impl<K: kube::Resource<DynamicType: Hash + Eq + Clone>> Incoming<K> {
    /// Waits for the next name, and until fewer than `most` passes run or are about to.
    pub fn poll_next(&self, task: &mut task::Context<'_>, most: usize) -> Poll<ObjectRef<K>> {
        let mut backlog = self.0.lock();
        while backlog.running + backlog.handed_out.len() < most {
            let Some(object) = backlog.names.pop_front() else { break };
            if backlog.known.contains(&object) && backlog.handed_out.insert(object.clone()) {
                return Poll::Ready(object);
            }
        }
        backlog.waker = Some(task.waker().clone());
        Poll::Pending
    }

    /// The pass over an object begins, by its name or by a timer.
    pub fn begun(&self, object: &ObjectRef<K>) -> PassRunning<K> {
        self.forget(object);
        self.0.lock().running += 1;
        PassRunning(self.0.clone())
    }

    /// There will be no pass over an object: it is gone.
    pub fn forget(&self, object: &ObjectRef<K>) {
        let mut backlog = self.0.lock();
        backlog.known.remove(object);
        backlog.handed_out.remove(object);
        backlog.waker.take().into_iter().for_each(Waker::wake);
    }

    /// Throws away what comes, for as long as it is polled.
    pub async fn discard(&self) {
        loop {
            let object = poll_fn(|task| self.poll_next(task, usize::MAX)).await;
            self.forget(&object);
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

    /// How many requests and policies wait for a pass.
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

    fn next(incoming: &Incoming<PackedRequest>, most: usize) -> Option<String> {
        poll_fn(|task| incoming.poll_next(task, most)).now_or_never().map(|object| object.name)
    }

    #[test]
    fn names_come_in_the_order_in_which_they_were_added_and_once() {
        let (queue, incoming) = WorkQueue::new();
        ["b", "a", "b"].iter().for_each(|object| queue.add(name(object)));
        assert_eq!(queue.depth(), 2);
        assert_eq!(
            (next(&incoming, 9), next(&incoming, 9), next(&incoming, 9)),
            (Some("b".into()), Some("a".into()), None)
        );
        // Their passes have not begun, so these will see what is new.
        queue.add(name("a"));
        assert_eq!((next(&incoming, 9), queue.depth()), (None, 2));
        let running = incoming.begun(&name("a"));
        queue.add(name("a"));
        assert_eq!((next(&incoming, 9), queue.depth()), (Some("a".into()), 2), "the pass that runs may not see it");
        drop(running);
    }

    #[test]
    fn no_more_are_handed_out_than_can_begin() {
        let (queue, incoming) = WorkQueue::new();
        ["a", "b", "c", "d"].iter().for_each(|object| queue.add(name(object)));
        assert_eq!(
            (next(&incoming, 2), next(&incoming, 2), next(&incoming, 2)),
            (Some("a".into()), Some("b".into()), None)
        );
        let running = incoming.begun(&name("a"));
        incoming.forget(&name("b"));
        assert_eq!((next(&incoming, 2), next(&incoming, 2)), (Some("c".into()), None));
        drop(running);
        assert_eq!(next(&incoming, 2), Some("d".into()));
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_a_name_and_by_the_end_of_a_pass() {
        let (queue, incoming) = WorkQueue::new();
        let running = incoming.begun(&name("a"));
        let waiting = tokio::spawn(async move { poll_fn(|task| incoming.poll_next(task, 1)).await.name });
        tokio::task::yield_now().await;
        queue.add(name("b"));
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(running);
        assert_eq!(waiting.await.unwrap(), "b");
    }

    #[test]
    fn one_whose_pass_was_begun_by_a_timer_is_passed_over() {
        let (queue, incoming) = WorkQueue::new();
        ["a", "b"].iter().for_each(|object| queue.add(name(object)));
        drop(incoming.begun(&name("a")));
        assert_eq!((next(&incoming, 9), next(&incoming, 9)), (Some("b".into()), None));
    }
}
