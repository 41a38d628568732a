//! Which bindings have no business being there, whatever the requests' own passes do.
//!
//! The second line of defence: it looks at bindings, not at requests, so it also finds those whose request
//! is gone. It takes only bindings that carry our mark.

use k8s_openapi::jiff::Timestamp;

use super::binding::Observed;
use crate::api::request::{AccessRequest, BindingRef};

/// What is known of the request that a binding names.
#[derive(Clone, Copy, Debug)]
pub enum Owner<'a> {
    /// There is no request of that name and UID.
    Gone,
    /// This one.
    Found(&'a AccessRequest),
}

/// Why a binding must go, if it must.
pub fn verdict(binding: &Observed, owner: Owner<'_>, now: Timestamp) -> Option<&'static str> {
    let uid = binding.request_uid()?;
    let Owner::Found(request) = owner else {
        return Some("its request is gone");
    };
    let live =
        request.status.as_ref().filter(|s| !s.state.is_final() && s.expires_at.as_ref().is_some_and(|e| e.0 > now));
    let known = |r: &BindingRef| r.uid.is_some() && r.uid == binding.metadata.uid;
    if live.is_some_and(|status| status.bindings.iter().any(known)) {
        // Whatever else was edited on it, the request's own pass puts it back.
        return None;
    }
    if request.metadata.uid.as_deref() != Some(uid) {
        return Some("its request is gone, and another has its name");
    }
    let Some(status) = &request.status else {
        return Some("its request has not been granted");
    };
    if status.state.is_final() {
        return Some("its request is over");
    }
    if status.expires_at.as_ref().is_none_or(|end| end.0 <= now) {
        return Some("its end has come");
    }
    let recorded = status.bindings.iter().any(|r| binding.is_at(r));
    (!recorded).then_some("its request does not know it")
}
