//! The end of a request: bindings go first, and the record of it follows.

use k8s_openapi::jiff::Timestamp;

use super::binding::Observed;
use super::effect::{Effect, Plan};
use super::history::{self, Reason};
use super::record;
use super::snapshot::Snapshot;
use crate::api::conditions::{self, ConditionStatus};
use crate::api::request::{AccessRequestStatus, BindingRef, State};

/// The end of a request, in the order that keeps a grant from outliving its record.
pub fn finish(
    s: &Snapshot<'_>,
    mut status: AccessRequestStatus,
    state: State,
    reason: Reason,
    by: Option<&str>,
    why: &str,
    now: Timestamp,
) -> Plan {
    let mut effects = leftovers(s, &status);
    let why = history::shorten(why);
    status.state = state;
    status.stage = None;
    status.message = Some(why.clone());
    if state == State::Denied || state == State::Lapsed {
        record::condition(&mut status, conditions::APPROVED, ConditionStatus::False, reason, &why, now);
    }
    record::condition(&mut status, conditions::GRANTED, ConditionStatus::False, reason, &why, now);
    record::condition(&mut status, conditions::FINISHED, ConditionStatus::True, reason, &why, now);
    history::add(&mut status.history, now, reason, by, &why);
    effects.push(Effect::Record(Box::new(status)));
    Plan { effects, wake: None }
}

/// Bindings that must not be there: those on record that may exist, and any that carry the request's UID.
/// A recorded one that cannot be seen is deleted all the same, unless the record says that it is gone: the sight
/// of it may have failed.
pub fn leftovers(s: &Snapshot<'_>, status: &AccessRequestStatus) -> Vec<Effect> {
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
    all.into_iter().map(Effect::Unbind).collect()
}
