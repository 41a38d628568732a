//! The end of a request: its bindings are deleted first, and the status says so after that.
//!
//! It must not say whether a request ends: [`plan`](super::plan) does.

use std::fmt::Display;

use k8s_openapi::jiff::Timestamp;

use crate::api::conditions;
use crate::api::reason::Reason;
use crate::api::request::{AccessRequestStatus, BindingRef, State};
use crate::core::decision::snapshot::Snapshot;
use crate::core::lifecycle::record;
use crate::core::lifecycle::step::Step;
use crate::core::model::history;
use crate::core::rbac::binding::Observed;

/// What the message of a request that is over says to do. Who applies its file again is told `unchanged` by kubectl, and
/// nothing more.
pub const ASK_ANEW: &str =
    "for new access make a new request under another name: to apply this one again changes nothing";

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Policy or an approver said no.
    Denied,
    /// Nobody decided in time.
    Lapsed,
    /// It was an extension, and has been carried out.
    Extended,
    /// The stated end has come.
    Expired,
    /// It is ended before its time.
    Revoked,
    /// The same, since nobody used it.
    Idle,
    /// The role cannot be bound.
    Failed,
}

impl Ending {
    /// The state of a request that has ended so.
    pub fn state(self) -> State {
        match self {
            Self::Denied => State::Denied,
            Self::Lapsed => State::Lapsed,
            Self::Extended => State::Extended,
            Self::Expired => State::Expired,
            Self::Revoked | Self::Idle => State::Revoked,
            Self::Failed => State::Failed,
        }
    }

    /// The word for it in conditions, history and Events.
    pub fn reason(self) -> Reason {
        match self {
            Self::Denied => Reason::Denied,
            Self::Lapsed => Reason::Lapsed,
            Self::Extended => Reason::Extended,
            Self::Expired => Reason::Expired,
            Self::Revoked => Reason::Revoked,
            Self::Idle => Reason::Idle,
            Self::Failed => Reason::Failed,
        }
    }

    /// What to do now; nothing when the request got what it asked for elsewhere.
    pub fn way_on(self) -> Option<&'static str> {
        match self {
            Self::Denied | Self::Lapsed | Self::Expired | Self::Revoked | Self::Idle | Self::Failed => Some(ASK_ANEW),
            Self::Extended => None,
        }
    }

    /// Whether it was never approved.
    fn is_refusal(self) -> bool {
        matches!(self, Self::Denied | Self::Lapsed)
    }
}

/// The end of a request: its bindings go, and the record says why, and by whom where it was somebody.
pub fn finish(
    s: &Snapshot<'_>,
    mut status: AccessRequestStatus,
    ending: Ending,
    by: Option<&str>,
    why: &dyn Display,
    now: Timestamp,
) -> Step {
    let unbind = leftovers(s, &status);
    let (why, reason) = (history::shorten(&why.to_string()), ending.reason());
    status.state = ending.state();
    status.stage = None;
    status.may_revoke = None;
    status.message = Some(ending.way_on().map_or_else(|| why.clone(), |way| history::followed_by(&why, way)));
    if ending.is_refusal() {
        record::fails(&mut status, conditions::APPROVED, reason, &why, now);
    }
    record::fails(&mut status, conditions::GRANTED, reason, &why, now);
    record::holds(&mut status, conditions::FINISHED, reason, &why, now);
    history::add(&mut status.history, now, reason, by, &why);
    Step { unbind, record: Some(record::bounded(s, status)), ..Step::default() }
}

/// Bindings that must not be there: those on record that may exist, and any that carry the request's UID.
/// A recorded one that cannot be seen is deleted all the same, unless the record says that it is gone: the sight
/// of it may have failed.
pub fn leftovers(s: &Snapshot<'_>, status: &AccessRequestStatus) -> Vec<BindingRef> {
    let gone = status.state.is_final() || status.state == State::Suspended;
    let recorded = status.bindings.iter().filter(|_| !gone).cloned();
    let uid = s.request.metadata.uid.as_deref();
    let seen = s.bindings.iter().filter(|b| uid.is_some() && b.request_uid() == uid).map(Observed::reference);
    let mut all: Vec<BindingRef> = recorded.collect();
    for binding in seen {
        if !all.iter().any(|b| b.uid == binding.uid && b.name == binding.name && b.namespace == binding.namespace) {
            all.push(binding);
        }
    }
    all
}
