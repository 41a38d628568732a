//! What a valid request asks for. `decision::validate` makes it.
//!
//! It must not know a policy.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::grant_scope::Target;
use super::recurrence::Recurrence;
use crate::api::request::AccessRequest;
use crate::api::subject::{Identity, RoleName};

/// What a valid request asks for.
#[derive(Clone, Debug)]
pub struct ValidRequest<'a> {
    /// The request itself, for what conditions may ask about it.
    pub request: &'a AccessRequest,
    /// Who asks, as stamped.
    pub requester: &'a Identity,
    pub role: &'a RoleName,
    pub target: Target,
    /// For how long, if it says.
    pub length: Option<SignedDuration>,
    /// From when on; none means at once.
    pub start: Option<Timestamp>,
    /// In which windows, if it comes back every week.
    pub recurrence: Option<Recurrence>,
    /// Name of the policy to decide by, if it says.
    pub policy: Option<&'a str>,
    /// What it is for.
    pub aim: RequestKind<'a>,
    /// When it was made.
    pub created: Timestamp,
}

/// What a request is for.
#[derive(Clone, Copy, Debug)]
pub enum RequestKind<'a> {
    /// Access that policy and people decide on.
    Grant,
    /// Access at once, reviewed afterwards.
    BreakGlass,
    /// A later end for a running grant.
    Extension {
        /// Name of the request that has the grant.
        of: &'a str,
        /// What is known of the grant; nothing until somebody has looked.
        running: Option<RunningGrant>,
    },
}

/// A running grant, as far as its extension cares.
#[derive(Clone, Copy, Debug)]
pub struct RunningGrant {
    /// How many times it has been extended.
    pub extended: usize,
    pub end: Timestamp,
}
