//! What a plan consists of: writes to the cluster as values, and when to look again.

use k8s_openapi::jiff::Timestamp;

use super::binding::Wanted;
use crate::api::request::{AccessRequestStatus, BindingRef};

/// One write to the cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Store this status, if the request is still the one that was planned for.
    Record(Box<AccessRequestStatus>),
    /// Create this binding.
    Bind(Box<Wanted>),
    /// Put this binding back to what it should be. Its metadata carries UID and version of what was seen, so
    /// that nothing else is written over.
    Restore(Box<Wanted>),
    /// Delete this binding, if it is ours.
    Unbind(BindingRef),
}

/// What to do now, in this order, and when to look again if nothing changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Writes, in order. After a failed one, none that follows may be made, but for other `Unbind`s.
    pub effects: Vec<Effect>,
    /// When to look again.
    pub wake: Option<Timestamp>,
}
