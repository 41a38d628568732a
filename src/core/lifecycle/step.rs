//! What a plan consists of: writes to the cluster as values, in a fixed order, and when to plan again.
//!
//! It must not carry anything out: the controller does.

use k8s_openapi::jiff::Timestamp;

use crate::api::request::{AccessRequestStatus, BindingRef};
use crate::core::rbac::binding::Wanted;

/// What to do now, and when to look again if nothing changes. It is done in the order of the fields. After a write that
/// failed none that follows may be made, but for other `unbind`s: a binding is gone before the record says so, and what
/// is recorded of bindings has been done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// Bindings to delete, if they are ours.
    pub unbind: Vec<BindingRef>,
    pub bind: Vec<Wanted>,
    /// Bindings to put back to what they should be. Their metadata carries UID and version of what was seen, so that
    /// nothing else is written over.
    pub restore: Vec<Wanted>,
    /// The status to store, if the request is still the one that was planned for.
    pub record: Option<Box<AccessRequestStatus>>,
    /// When to look again.
    pub wake: Option<Timestamp>,
}

/// One write of a step.
#[derive(Clone, Copy, Debug)]
pub enum Write<'a> {
    Unbind(&'a BindingRef),
    Bind(&'a Wanted),
    /// Put this binding back.
    Restore(&'a Wanted),
    Record(&'a AccessRequestStatus),
}

impl Step {
    /// Every write, in order.
    pub fn writes(&self) -> impl Iterator<Item = Write<'_>> {
        let (unbind, bind) = (self.unbind.iter().map(Write::Unbind), self.bind.iter().map(Write::Bind));
        let (restore, record) = (self.restore.iter().map(Write::Restore), self.record.iter());
        unbind.chain(bind).chain(restore).chain(record.map(|status| Write::Record(status)))
    }

    /// Whether nothing is to be written.
    pub fn is_settled(&self) -> bool {
        self.unbind.is_empty() && self.bind.is_empty() && self.restore.is_empty() && self.record.is_none()
    }

    /// The state that the request comes to, if one is recorded.
    pub fn comes_to(&self) -> Option<crate::api::State> {
        self.record.as_ref().map(|status| status.state)
    }
}
