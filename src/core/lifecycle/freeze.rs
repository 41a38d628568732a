//! The announcement that a window in which a policy denies will open before running access ends.
//!
//! Owns the entry in the status. It must not end access: `plan` does when the window opens, and where the window was known
//! at the grant the stated end comes before it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::api::reason::Reason;
use crate::api::request::{AccessRequestStatus, FreezeAhead};
use crate::core::decision::freeze::Freezes;
use crate::core::lifecycle::happened::Happened;
use crate::core::model::ask::ValidRequest;
use crate::core::model::history;

/// The first window in which a policy denies this access, if it opens by the time of its end. None for recurring access,
/// which rests then: its own windows on record end where those begin.
pub fn freeze_ahead(
    status: &AccessRequestStatus,
    freezes: &Freezes<'_>,
    ask: &ValidRequest<'_>,
    now: Timestamp,
) -> Option<FreezeAhead> {
    let end = status.expires_at.as_ref().filter(|_| ask.recurrence.is_none())?.0;
    let next = freezes.next(now).filter(|edge| edge.at <= end)?;
    Some(FreezeAhead { policy: next.policy, opens_at: Time(next.at) })
}

/// Puts the next such window on record. One that takes access away before its stated end is told once. Whether anything
/// is new.
pub fn note_freeze_ahead(
    status: &mut AccessRequestStatus,
    freezes: &Freezes<'_>,
    ask: &ValidRequest<'_>,
    now: Timestamp,
) -> bool {
    let ahead = freeze_ahead(status, freezes, ask, now);
    if ahead == status.freeze_ahead {
        return false;
    }
    let end = status.expires_at.as_ref().map(|end| end.0);
    if let Some(early) = ahead.as_ref().filter(|ahead| end.is_some_and(|end| ahead.opens_at.0 < end)) {
        history::add(&mut status.history, now, Reason::FreezeAhead, None, &Happened::FreezeAhead(early.clone()));
    }
    status.freeze_ahead = ahead;
    true
}
