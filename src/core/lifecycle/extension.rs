//! Moving the end of a running grant: what an extension asks for, and which approved one is due.
//!
//! An extension is a request of its own, decided by the policy that allowed the running one. It never writes to
//! the running request: that one's own pass takes up what has been approved, has it decided once more, and moves
//! its end. So every request has one writer, and an end that has come is an end whatever is on its way.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::core::decision::answer::{Approved, Decision};
use crate::core::decision::approvals::ReviewLog;
use crate::core::decision::decide::decide;
use crate::core::guard::Guard;
use crate::core::model::grant_scope::GrantScope;
use crate::core::model::instants::whole_second;

use crate::api::request::{AccessRequest, AccessRequestStatus, GrantExtension, State};
use crate::api::subject::RoleName;
use crate::core::decision::snapshot::Snapshot;
use crate::core::decision::validate::validate;
use crate::core::model::ask::{RequestKind, RunningGrant, ValidRequest};
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
pub fn complete<'a>(ask: &ValidRequest<'a>, of: &'a str, s: &Snapshot<'a>) -> Result<ValidRequest<'a>, NotExtendable> {
    let no = |why| NotExtendable { of: of.to_owned(), why };
    let running = s.extended.ok_or_else(|| no(WhyNot::NotThere))?;
    let status = running.status.as_ref().ok_or_else(|| no(WhyNot::NotGranted))?;
    belongs(ask, s.request, running).map_err(no)?;
    if status.state.is_final() || running.metadata.deletion_timestamp.is_some() {
        return Err(no(WhyNot::Over(status.state)));
    }
    let (Some(end), Some(policy), true) = (&status.expires_at, &status.policy, status.granted_at.is_some()) else {
        return Err(no(WhyNot::NotRunning));
    };
    if ask.policy.is_some_and(|named| named != policy.name) {
        return Err(no(WhyNot::OtherPolicy(policy.name.clone())));
    }
    let running = RunningGrant { extended: status.extensions.len(), end: end.0 };
    Ok(ValidRequest {
        target: Target::Granted(GrantScope::recorded(status).living(s.namespaces)),
        policy: Some(&policy.name),
        aim: RequestKind::Extension { of, running: Some(running) },
        ..ask.clone()
    })
}

/// Whether the running request is the same person's and about the same thing.
fn belongs(ask: &ValidRequest<'_>, extension: &AccessRequest, running: &AccessRequest) -> Result<(), WhyNot> {
    let known = extension.status.as_ref().and_then(|s| s.extends.as_ref());
    let owner = running.spec.requester.as_ref();
    if known.is_some_and(|known| running.metadata.uid.as_deref() != Some(&known.uid)) {
        Err(WhyNot::MadeAnew)
    } else if running.spec.extends.is_some() {
        Err(WhyNot::ExtensionItself)
    } else if owner.is_none_or(|o| o.username != ask.requester.username || o.uid != ask.requester.uid) {
        Err(WhyNot::OtherPerson)
    } else if running.spec.role != *ask.role {
        Err(WhyNot::OtherRole(running.spec.role.clone()))
    } else if running.spec.rules != ask.request.spec.rules {
        Err(WhyNot::OtherRules)
    } else if running.spec.recurrence.is_some() {
        Err(WhyNot::Recurring)
    } else {
        Ok(())
    }
}

/// Why the request of this name cannot be extended by another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotExtendable {
    /// Name of the request that would be extended.
    pub of: String,
    /// Why it is not.
    pub why: WhyNot,
}

/// Why a request cannot be extended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// There is none of its name.
    NotThere,
    /// It is not granted yet.
    NotGranted,
    /// Its access has not begun.
    NotRunning,
    Over(State),
    /// It is another one than was extended before.
    MadeAnew,
    /// It extends a request itself.
    ExtensionItself,
    /// It is somebody else's.
    OtherPerson,
    /// It is for this role.
    OtherRole(RoleName),
    /// It has other rules.
    OtherRules,
    /// It runs under this policy.
    OtherPolicy(String),
    /// It comes back every week.
    Recurring,
}

impl fmt::Display for NotExtendable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = &self.of;
        match &self.why {
            WhyNot::NotThere => write!(f, "there is no request {of} in this namespace"),
            WhyNot::NotGranted => write!(f, "{of} is not granted yet"),
            WhyNot::NotRunning => write!(f, "{of} does not run yet: extend it when it does"),
            WhyNot::Over(state) => write!(f, "{of} is over ({}): make a new request", state.as_str()),
            WhyNot::MadeAnew => write!(f, "{of} was deleted and made anew"),
            WhyNot::ExtensionItself => {
                write!(f, "{of} is an extension itself: name the request that it extends")
            }
            WhyNot::OtherPerson => write!(f, "{of} is not yours: only who asked for it can have it extended"),
            WhyNot::OtherRole(role) => write!(f, "{of} is for {role}: an extension is for the same role"),
            WhyNot::OtherRules => write!(f, "{of} has other rules: an extension is for the same spec.rules"),
            WhyNot::OtherPolicy(policy) => {
                write!(f, "{of} runs under policy {policy}, which decides: leave spec.policy out")
            }
            WhyNot::Recurring => {
                write!(f, "{of} comes back every week and is not extended: make a new request")
            }
        }
    }
}

/// An extension that is due, and who allowed it.
pub struct DueExtension<'a> {
    /// How it moves the end.
    pub extension: GrantExtension,
    /// The decision on it.
    pub approved: Approved<'a>,
}

/// The first approved extension of this running grant that is not on its record yet. It is decided once more:
/// policy and approvers may have changed since it was approved.
pub fn due<'a>(s: &Snapshot<'a>, status: &AccessRequestStatus, now: Timestamp) -> Option<DueExtension<'a>> {
    let (Guard::InForce(gaps), None) = (s.guard, s.wrong_clock) else { return None };
    let end = status.expires_at.as_ref().filter(|_| status.state == State::Active)?.0;
    let mut waiting: Vec<&AccessRequest> = s.extensions.iter().filter(|e| is_approved(e)).collect();
    waiting.sort_by_key(|e| (&e.metadata.creation_timestamp, &e.metadata.name));
    waiting.into_iter().filter(|e| applied(e, Some(s.request)).is_none()).find_map(|extension| {
        let as_asked = validate(extension).ok().filter(|ask| gaps.gap_at(ask.created).is_none())?;
        let RequestKind::Extension { of, .. } = as_asked.aim else { return None };
        let of_extension = Snapshot { request: extension, extended: Some(s.request), ..*s };
        let ask = complete(&as_asked, of, &of_extension).ok()?;
        let reviews = extension.status.as_ref()?;
        let log = ReviewLog::of(reviews);
        let Decision::Approved(approved) = decide(&ask, &of_extension, log, now) else {
            return None;
        };
        let extension = GrantExtension {
            name: extension.metadata.name.clone()?,
            uid: extension.metadata.uid.clone()?,
            at: Time(whole_second(now)),
            from: Time(end),
            to: Time(approved.period.end),
        };
        Some(DueExtension { extension, approved })
    })
}

/// Approved on record, and not over.
fn is_approved(extension: &AccessRequest) -> bool {
    let state = extension.status.as_ref().map(|status| status.state);
    state == Some(State::Scheduled) && extension.metadata.deletion_timestamp.is_none()
}

#[cfg(test)]
mod tests;
