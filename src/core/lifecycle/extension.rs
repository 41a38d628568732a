//! Moving the end of a running grant: what an extension asks for, and which approved one is due.
//!
//! An extension is a request of its own, decided by the policy that allowed the running one. It never writes to
//! the running request: that one's own pass takes up what has been approved, has it decided once more, and moves
//! its end. So every request has one writer, and an end that has come is an end whatever is on its way.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::core::decision::approvals::ReviewLog;
use crate::core::decision::decide::{Approved, Decision, decide};
use crate::core::guard::Guard;
use crate::core::model::grant_scope::GrantScope;
use crate::core::model::instants::whole_second;

use crate::api::request::{AccessRequest, AccessRequestStatus, GrantExtension, State};
use crate::core::decision::snapshot::Snapshot;
use crate::core::decision::validate::validate;
use crate::core::model::ask::{RequestKind, Running, ValidRequest};
use crate::core::model::grant_scope::Target;

/// How the end of the request that `extension` extends was moved by it, if it was.
pub fn applied<'a>(extension: &AccessRequest, extended: Option<&'a AccessRequest>) -> Option<&'a GrantExtension> {
    let uid = extension.metadata.uid.as_deref()?;
    extended?.status.as_ref()?.extensions.iter().find(|e| e.uid == uid)
}

/// What an extension asks for, with all that the running grant settles: where, and by which policy.
///
/// # Errors
/// Why there is nothing that it could extend.
pub fn complete<'a>(ask: &ValidRequest<'a>, of: &'a str, s: &Snapshot<'a>) -> Result<ValidRequest<'a>, String> {
    let running = s.extended.ok_or_else(|| format!("there is no request {of} in this namespace"))?;
    let status = running.status.as_ref().ok_or_else(|| format!("{of} is not granted yet"))?;
    belongs(ask, of, s.request, running)?;
    if status.state.is_final() || running.metadata.deletion_timestamp.is_some() {
        return Err(format!("{of} is over ({}): make a new request", status.state.as_str()));
    }
    let (Some(end), Some(policy), true) = (&status.expires_at, &status.policy, status.granted_at.is_some()) else {
        return Err(format!("{of} does not run yet: extend it when it does"));
    };
    if ask.policy.is_some_and(|named| named != policy.name) {
        return Err(format!("{of} runs under policy {}, which decides: leave spec.policy out", policy.name));
    }
    let running = Running { extended: status.extensions.len(), end: end.0 };
    Ok(ValidRequest {
        target: Target::Granted(GrantScope::recorded(status).living(s.namespaces)),
        policy: Some(&policy.name),
        aim: RequestKind::Extension { of, running: Some(running) },
        ..ask.clone()
    })
}

/// Whether the running request is the same person's and about the same thing.
fn belongs(ask: &ValidRequest<'_>, of: &str, extension: &AccessRequest, running: &AccessRequest) -> Result<(), String> {
    let known = extension.status.as_ref().and_then(|s| s.extends.as_ref());
    if known.is_some_and(|known| running.metadata.uid.as_deref() != Some(&known.uid)) {
        return Err(format!("{of} was deleted and made anew"));
    }
    if running.spec.extends.is_some() {
        return Err(format!("{of} is an extension itself: name the request that it extends"));
    }
    let owner = running.spec.requester.as_ref();
    if owner.is_none_or(|o| o.username != ask.requester.username || o.uid != ask.requester.uid) {
        return Err(format!("{of} is not yours: only who asked for it can have it extended"));
    }
    if running.spec.role != *ask.role {
        return Err(format!("{of} is for {}: an extension is for the same role", running.spec.role));
    }
    if running.spec.rules != ask.request.spec.rules {
        return Err(format!("{of} has other rules: an extension is for the same spec.rules"));
    }
    if running.spec.recurrence.is_some() {
        return Err(format!("{of} comes back every week and is not extended: make a new request"));
    }
    Ok(())
}

/// An extension that is due, and who allowed it.
pub struct Due<'a> {
    /// How it moves the end.
    pub extension: GrantExtension,
    /// The decision on it.
    pub approved: Approved<'a>,
}

/// The first approved extension of this running grant that is not on its record yet. It is decided once more:
/// policy and approvers may have changed since it was approved.
pub fn due<'a>(s: &Snapshot<'a>, status: &AccessRequestStatus, now: Timestamp) -> Option<Due<'a>> {
    let Guard::InForce(gaps) = s.guard else { return None };
    let end = status.expires_at.as_ref().filter(|_| status.state == State::Active)?.0;
    let mut waiting: Vec<&AccessRequest> = s.extensions.iter().filter(|e| is_approved(e)).collect();
    waiting.sort_by_key(|e| (&e.metadata.creation_timestamp, &e.metadata.name));
    waiting.into_iter().filter(|e| applied(e, Some(s.request)).is_none()).find_map(|extension| {
        let as_asked = validate(extension).ok().filter(|ask| gaps.around(ask.created).is_none())?;
        let RequestKind::Extension { of, .. } = as_asked.aim else { return None };
        let of_extension = Snapshot { request: extension, extended: Some(s.request), ..*s };
        let ask = complete(&as_asked, of, &of_extension).ok()?;
        let reviews = extension.status.as_ref()?;
        let said = ReviewLog::of(reviews);
        let Decision::Approved(approved) = decide(&ask, &of_extension, said, now) else {
            return None;
        };
        let extension = GrantExtension {
            name: extension.metadata.name.clone()?,
            uid: extension.metadata.uid.clone()?,
            at: Time(whole_second(now)),
            from: Time(end),
            to: Time(approved.period.end),
        };
        Some(Due { extension, approved })
    })
}

/// Approved on record, and not over.
fn is_approved(extension: &AccessRequest) -> bool {
    let state = extension.status.as_ref().map(|status| status.state);
    state == Some(State::Scheduled) && extension.metadata.deletion_timestamp.is_none()
}

#[cfg(test)]
mod tests;
