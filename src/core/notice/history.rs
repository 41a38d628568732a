//! Notices of what the history of a request says: which of its entries are worth one, and what each says.
//!
//! It must not look at the clock, nor judge whether a notice still matters: [`super::is_pointless`] does.

use kube::ResourceExt;

use super::{Approvals, Notice, NoticeEvent, NoticedRequest};
use crate::api::reason::Reason;
use crate::api::request::{AccessRequest, AccessRequestStatus, HistoryEntry, NotedFacts};
use crate::core::model::facts;
use crate::core::report::in_words;

/// The notices of the entries from this index on, in their order, each with the index of its entry.
pub fn of_history(request: &AccessRequest, from: usize) -> Vec<(usize, Notice)> {
    let history = request.status.as_ref().map_or(&[][..], |status| &status.history);
    let automatic = is_automatic(request);
    let mut known = NotedFacts::default();
    let mut notices = Vec::new();
    for (index, entry) in history.iter().enumerate() {
        known = facts::with_entry(known, entry);
        let Some(event) = event_of(request, &history[..index], entry).filter(|_| index >= from) else { continue };
        let told = NoticedRequest { stage: entry.stage.clone(), ..with_facts(noticed(request), &known) };
        let notice = Notice {
            id: format!("{}/{index}", told.uid),
            event,
            at: entry.at.0,
            automatic,
            by: entry.by.clone(),
            comment: entry.by.as_deref().and_then(|by| said(request, by)),
            message: Some(entry.message.clone()),
            request: told,
        };
        notices.push((index, notice));
    }
    notices
}

/// What an entry tells, if it is worth a notice.
fn event_of(request: &AccessRequest, before: &[HistoryEntry], entry: &HistoryEntry) -> Option<NoticeEvent> {
    let is_extension = request.spec.extends.is_some();
    let was = |reason: Reason| before.iter().any(|entry| entry.event == reason);
    // Without a wildcard, so that whoever adds a reason has to say.
    match entry.event.known()? {
        Reason::ApprovalNeeded => Some(NoticeEvent::Waits),
        Reason::Escalated => Some(NoticeEvent::Escalated),
        // Access that begins as it was approved before is no news, and an emergency is told as one.
        Reason::Approved => (!was(Reason::Approved)).then_some(NoticeEvent::Approved),
        Reason::Granted => (!was(Reason::Approved) && !was(Reason::BreakGlass)).then_some(NoticeEvent::Approved),
        Reason::Denied => Some(NoticeEvent::Denied),
        Reason::Lapsed => Some(NoticeEvent::Lapsed),
        Reason::Failed => Some(NoticeEvent::Failed),
        // The request that was extended says it.
        Reason::Extended => (!is_extension).then_some(NoticeEvent::Extended),
        Reason::Expired => Some(NoticeEvent::Expired),
        Reason::Revoked | Reason::Idle => Some(NoticeEvent::Revoked),
        Reason::BreakGlass => Some(NoticeEvent::BreakGlass),
        Reason::ReviewOverdue => Some(NoticeEvent::ReviewOverdue),
        Reason::Justified => Some(NoticeEvent::Justified),
        Reason::Unjustified => Some(NoticeEvent::Unjustified),
        Reason::PolicyNotReady
        | Reason::GuardMissing
        | Reason::ClockWrong
        | Reason::Reviewed
        | Reason::ReviewIgnored
        | Reason::ReviewWithdrawn
        | Reason::WrittenInGap
        | Reason::PolicyChanged
        | Reason::WaitingForStart
        | Reason::AwaitingRecord
        | Reason::Unrecorded
        | Reason::Frozen
        | Reason::RoleUnusable
        | Reason::RightUnknown
        | Reason::FreezeAhead
        | Reason::Binding
        | Reason::Extending
        | Reason::Suspended
        | Reason::Resumed
        | Reason::RoleChanged
        | Reason::BindingRestored
        | Reason::HistoryFull
        | Reason::ReviewOpen => None,
    }
}

/// What somebody wrote in their review.
fn said(request: &AccessRequest, by: &str) -> Option<String> {
    let review = request.status.as_ref()?.reviews.get(by)?;
    review.comment.clone().filter(|comment| !comment.is_empty())
}

/// Whether policy decided alone: nobody was asked, and it is no emergency.
pub(super) fn is_automatic(request: &AccessRequest) -> bool {
    let history = request.status.iter().flat_map(|status| &status.history);
    let mut asked = history.filter(|entry| entry.event == Reason::ApprovalNeeded);
    asked.next().is_none() && !request.spec.break_glass
}

/// A request as it stands.
pub(super) fn noticed(request: &AccessRequest) -> NoticedRequest {
    let told = NoticedRequest {
        namespace: request.namespace().unwrap_or_default(),
        name: request.name_any(),
        uid: request.uid().unwrap_or_default(),
        requester: in_words::requester(request).to_owned(),
        access: in_words::what(request),
        place: in_words::place(request),
        length: in_words::length(request),
        reason: request.spec.reason.clone(),
        ticket: request.spec.ticket.clone(),
        break_glass: request.spec.break_glass,
        extends: request.spec.extends.clone(),
        begins: request.spec.start_time.as_ref().map(|start| start.0),
        ..NoticedRequest::default()
    };
    match &request.status {
        Some(status) => with_status(told, status),
        None => told,
    }
}

fn with_status(told: NoticedRequest, status: &AccessRequestStatus) -> NoticedRequest {
    let stage = status.stage.as_ref();
    let review = status.break_glass.as_ref();
    let reviewers = || review.map(|review| review.reviewers.clone()).unwrap_or_default();
    NoticedRequest {
        policy: status.policy.as_ref().map(|policy| policy.name.clone()),
        risk: status.risk.as_ref().map(|risk| risk.level.clone()),
        stage: stage.map(|stage| stage.name.clone()),
        approvers: stage.map_or_else(reviewers, |stage| stage.approvers.clone()),
        approvals: stage.map(|stage| Approvals { required: stage.required, given: stage.approved }),
        begins: status.granted_at.as_ref().map(|begin| begin.0).or(told.begins),
        ends: status.expires_at.as_ref().map(|end| end.0),
        review_by: review.filter(|review| review.is_open()).map(|review| review.review_by.0),
        ..told
    }
}

/// The same with what the history says up to some entry.
fn with_facts(told: NoticedRequest, known: &NotedFacts) -> NoticedRequest {
    NoticedRequest {
        policy: known.policy.as_ref().map(|policy| policy.name.clone()).or(told.policy),
        risk: known.risk.clone().or(told.risk),
        approved_by: known.approved_by.clone().unwrap_or_default(),
        begins: known.from.as_ref().map(|begin| begin.0).or(told.begins),
        ends: known.until.as_ref().map(|end| end.0).or(told.ends),
        ..told
    }
}
