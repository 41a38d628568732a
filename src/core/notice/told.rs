//! Notices that time brings, or the sight of an object that is gone; and which notices have become pointless.
//!
//! Each is made from the request as it stands and the instant that it is looked at. It must not know what was told before.

use k8s_openapi::jiff::Timestamp;

use super::history::{is_automatic, noticed};
use super::{Foresight, Notice, NoticeEvent};
use crate::api::conditions;
use crate::api::reason::Reason;
use crate::api::request::{AccessRequest, AccessRequestStatus, State};
use crate::core::lifecycle::break_glass::review_due;

/// What time alone has brought by now, in order: that access ends soon, that its review is due, that the guard is missing.
pub fn by_time(request: &AccessRequest, foresight: Foresight, now: Timestamp) -> Vec<Notice> {
    let Some(status) = &request.status else { return Vec::new() };
    let due = due(status, foresight).into_iter().filter(|due| due.told_at <= now);
    due.map(|due| of_time(request, &due)).collect()
}

/// When time brings the next, if nothing changes.
pub fn next_by_time(request: &AccessRequest, foresight: Foresight, now: Timestamp) -> Option<Timestamp> {
    let status = request.status.as_ref()?;
    due(status, foresight).into_iter().map(|due| due.told_at).filter(|at| *at > now).min()
}

/// That a request was deleted before it was over, as it was last seen.
pub fn deleted(request: &AccessRequest, seen_at: Timestamp) -> Option<Notice> {
    if request.is_over() {
        return None;
    }
    let told = noticed(request);
    let id = format!("{}/deleted", told.uid);
    Some(Notice {
        id,
        event: NoticeEvent::Deleted,
        at: seen_at,
        automatic: is_automatic(request),
        by: None,
        comment: None,
        message: None,
        request: told,
    })
}

/// Whether nobody needs to hear this any more, since the request has gone on: what waited is decided, what ended soon has
/// ended. Outcomes never become pointless.
pub fn is_pointless(notice: &Notice, request: &AccessRequest) -> bool {
    let Some(status) = &request.status else { return true };
    match notice.event {
        NoticeEvent::Waits | NoticeEvent::Escalated => {
            status.stage.as_ref().map(|stage| &stage.name) != notice.request.stage.as_ref()
        }
        NoticeEvent::EndsSoon => !runs(status) || status.expires_at.as_ref().map(|end| end.0) != notice.request.ends,
        NoticeEvent::ReviewDue | NoticeEvent::ReviewOverdue => review_due(status).is_none(),
        NoticeEvent::GuardMissing => guard_missing(status).is_none(),
        NoticeEvent::Approved
        | NoticeEvent::Denied
        | NoticeEvent::Lapsed
        | NoticeEvent::Failed
        | NoticeEvent::Extended
        | NoticeEvent::Expired
        | NoticeEvent::Revoked
        | NoticeEvent::Deleted
        | NoticeEvent::BreakGlass
        | NoticeEvent::Justified
        | NoticeEvent::Unjustified => false,
    }
}

/// Something that time brings.
struct TimelyNotice {
    event: NoticeEvent,
    /// From when on it is told.
    told_at: Timestamp,
    /// What it is about: another end is another notice.
    about: Timestamp,
}

fn due(status: &AccessRequestStatus, foresight: Foresight) -> Vec<TimelyNotice> {
    let mut all = Vec::new();
    if let Some(missing) = guard_missing(status) {
        all.push(TimelyNotice { event: NoticeEvent::GuardMissing, told_at: missing, about: missing });
    }
    let begin = status.granted_at.as_ref().map(|begin| begin.0);
    if let (true, Some(begin), Some(end)) = (runs(status), begin, status.expires_at.as_ref().map(|end| end.0)) {
        let told_at = end - foresight.end;
        // Of access that is shorter than that, everybody knows that it ends soon.
        if told_at > begin {
            all.push(TimelyNotice { event: NoticeEvent::EndsSoon, told_at, about: end });
        }
    }
    let ended = conditions::find(&status.conditions, conditions::FINISHED).map(|over| over.last_transition_time.0);
    if let (true, Some(by)) = (status.state.is_final(), review_due(status)) {
        let early = by - foresight.review;
        let told_at = ended.map_or(early, |ended| early.max(ended));
        all.push(TimelyNotice { event: NoticeEvent::ReviewDue, told_at, about: by });
    }
    all
}

fn of_time(request: &AccessRequest, due: &TimelyNotice) -> Notice {
    let told = noticed(request);
    // Of the missing guard all requests say the same: who tells it picks one of them.
    let id = match due.event {
        NoticeEvent::GuardMissing => format!("guard/{}", due.about),
        event => format!("{}/{event:?}/{}", told.uid, due.about),
    };
    Notice {
        id,
        event: due.event,
        at: due.told_at,
        automatic: is_automatic(request),
        by: None,
        comment: None,
        message: request.status.as_ref().and_then(|status| status.message.clone()),
        request: told,
    }
}

fn runs(status: &AccessRequestStatus) -> bool {
    matches!(status.state, State::Active | State::Suspended)
}

/// Since when the request waits for the guard.
fn guard_missing(status: &AccessRequestStatus) -> Option<Timestamp> {
    let approved = conditions::find(&status.conditions, conditions::APPROVED)?;
    (approved.reason == Reason::GuardMissing.as_str()).then_some(approved.last_transition_time.0)
}
