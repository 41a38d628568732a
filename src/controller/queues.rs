//! What to look at next: names on their way from the watches to the passes and the reaper.

use kube::runtime::reflector::ObjectRef;
use tokio::sync::mpsc;

use super::observe::{GuardedPolicy, GuardedRequest};
use crate::api::request::AccessRequest;
use crate::core::binding::Observed;

/// Something that the reaper should look into.
pub enum Suspect {
    /// Every binding: a list was read anew, so that deletions may have been missed.
    Everything,
    /// A binding that does not fit what is known of its request.
    Binding(Box<Observed>),
    /// A request that was deleted: its bindings must go.
    Deleted(Box<AccessRequest>),
}

/// The sending ends of the queues.
#[derive(Clone)]
pub struct Queues {
    requests: mpsc::UnboundedSender<ObjectRef<GuardedRequest>>,
    policies: mpsc::UnboundedSender<ObjectRef<GuardedPolicy>>,
    reaper: mpsc::UnboundedSender<Suspect>,
}

/// The receiving ends of the queues.
pub struct Inbox {
    /// Requests to take through a pass.
    pub requests: mpsc::UnboundedReceiver<ObjectRef<GuardedRequest>>,
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
        (Self { requests, policies, reaper }, inbox)
    }

    /// Asks for a pass over a request.
    pub fn look_at(&self, request: ObjectRef<GuardedRequest>) {
        // A closed queue means that the process is on its way out.
        let _ = self.requests.send(request);
    }

    /// Asks for a pass over a policy.
    pub fn look_at_policy(&self, policy: ObjectRef<GuardedPolicy>) {
        let _ = self.policies.send(policy);
    }

    /// Asks the reaper to look into something.
    pub fn suspect(&self, suspect: Suspect) {
        let _ = self.reaper.send(suspect);
    }
}
