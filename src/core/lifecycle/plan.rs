//! From a snapshot and a time to a step: the one place that says what happens next.
//!
//! Each plan is one step. The controller carries it out and plans again on the result until nothing is left,
//! so a crash between any two writes is only a plan that was cut short. Two orders keep that safe: a grant
//! is on record before its binding exists, and a binding is gone before the record says so.

use std::fmt::Display;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use crate::api::conditions;
use crate::api::reason::Reason;
use crate::api::request::{AccessRequestStatus, ExtendedRequest, ReviewVerdict, State};
use crate::core::decision::answer::{Approved, Decision, HeldBy, Lapse};
use crate::core::decision::approvals::{ReviewLog, said_by};
use crate::core::decision::decide::decide;
use crate::core::decision::snapshot::Snapshot;
use crate::core::decision::validate::validate;
use crate::core::lifecycle::active;
use crate::core::lifecycle::break_glass::{follow_review, is_unreviewed, open_review, review_due};
use crate::core::lifecycle::disbelief::{start_over, without_reviews};
use crate::core::lifecycle::end::{Ending, finish, leftovers};
use crate::core::lifecycle::expiry::{Ended, ended};
use crate::core::lifecycle::former::with_counted_reviews;
use crate::core::lifecycle::freeze::freeze_ahead;
use crate::core::lifecycle::happened::{Happened, Next, Rest};
use crate::core::lifecycle::hindrance::{Hindrance, prepare};
use crate::core::lifecycle::record;
use crate::core::lifecycle::recorded_first;
use crate::core::lifecycle::stages;
use crate::core::lifecycle::step::Step;
use crate::core::lifecycle::suspend::{decide_on_role, suspend};
use crate::core::model::ask::{RequestKind, ValidRequest};
use crate::core::model::field_error::sentence;
use crate::core::model::history::{self, join};
use crate::core::model::instants::{earliest, whole_second};
use crate::core::model::recurrence::Opening;
use crate::core::rbac::binding;
use crate::core::rbac::rules::describe;

/// The step of a request that is over, was deleted, or whose end or window has come: all that follows from its record and
/// the time alone. None for any other request, and for one that is over and has yet to be reviewed.
pub fn ends(s: &Snapshot<'_>, now: Timestamp) -> Option<Step> {
    let is_deleted = s.request.metadata.deletion_timestamp.is_some();
    let status = s.request.status.clone().unwrap_or_default();
    if s.request.is_over() {
        let reviewed = is_deleted || !is_unreviewed(s.request);
        return reviewed.then(|| Step { unbind: leftovers(s, &status), ..Step::default() });
    }
    match ended(&status, now) {
        Some(Ended::Stated(_)) => Some(expire(s, status, now)),
        _ if is_deleted => Some(deleted(s, status, now)),
        Some(Ended::Window(closed)) => {
            let end = status.expires_at.as_ref().map(|end| end.0);
            let status = AccessRequestStatus { window: None, ..status };
            let rest = suspend(s, status, &Rest::WindowClosed(closed), now);
            Some(Step { wake: end, ..rest })
        }
        None => None,
    }
}

/// A request that was deleted and is still there: somebody's finalizer, or a deletion in the foreground, can keep it for
/// long. Its end goes on record.
fn deleted(s: &Snapshot<'_>, status: AccessRequestStatus, now: Timestamp) -> Step {
    if status.bindings.is_empty() {
        return Step { unbind: leftovers(s, &status), ..Step::default() };
    }
    finish(s, status, Ending::Revoked, None, &Happened::Deleted, now)
}

/// Plans the next step of a request.
pub fn plan(s: &Snapshot<'_>, now: Timestamp) -> Step {
    // Before anything that can fail: an end that has come is an end, whatever else is broken.
    if let Some(end) = ends(s, now) {
        return end;
    }
    let mut status = s.request.status.clone().unwrap_or_default();
    if s.doubted {
        status = match (status.state.is_final(), status.granted_at.is_some()) {
            (false, false) => start_over(status, now),
            _ => without_reviews(status, now),
        };
    }
    if status.state.is_final() {
        return review_afterwards(s, status, now);
    }
    if s.doubted && status.granted_at.is_some() {
        return finish(s, status, Ending::Revoked, None, &Happened::NotBelieved, now);
    }
    let status = with_narrowing(s, with_counted_reviews(status));
    if let Some(why) = s.bind_failure.filter(|_| status.granted_at.is_some()) {
        return finish(s, status, Ending::Failed, None, why, now);
    }
    let end = status.expires_at.as_ref().map(|t| t.0);
    let review_by = review_due(&status).filter(|by| *by > now);
    let planned = match validate(s.request) {
        Err(faults) if status.granted_at.is_some() => finish(s, status, Ending::Revoked, None, &sentence(&faults), now),
        Err(faults) => finish(s, status, Ending::Denied, None, &sentence(&faults), now),
        Ok(ask) => match withdrawn(s, &status, &ask) {
            Some((by, why)) => finish(s, status, Ending::Revoked, Some(&by), &why, now),
            None if status.granted_at.is_some() => active::keep(s, status, &ask, now),
            None => consider(s, status, &ask, now),
        },
    };
    // Every way out wakes no later than the end that is on record, and than the review is due.
    Step { wake: earliest([planned.wake, end, review_by]), ..planned }
}

/// The status with what the request asks for, when that is less than its role: a column shows it beside the role, which
/// alone would say too much.
fn with_narrowing(s: &Snapshot<'_>, status: AccessRequestStatus) -> AccessRequestStatus {
    const ROOM: usize = 256;
    let rules = &s.request.spec.rules;
    let narrowed_to = (!rules.is_empty()).then(|| history::cut(&describe(rules), ROOM));
    AccessRequestStatus { narrowed_to, ..status }
}

/// A request that is over, and whose access has yet to be reviewed: nothing else of it changes any more.
fn review_afterwards(s: &Snapshot<'_>, mut status: AccessRequestStatus, now: Timestamp) -> Step {
    let unbind = leftovers(s, &status);
    follow_review(s, &mut status, now);
    let wake = review_due(&status).filter(|by| *by > now);
    Step { unbind, record: record::if_changed(s, status), wake, ..Step::default() }
}

/// A request whose end is on record and has come.
fn expire(s: &Snapshot<'_>, status: AccessRequestStatus, now: Timestamp) -> Step {
    if status.granted_at.is_none() {
        return finish(s, status, Ending::Lapsed, None, &Happened::NeverBegan, now);
    }
    let at = status.expires_at.as_ref().map_or(now, |t| t.0);
    let frozen = status.freeze_ahead.as_ref().filter(|freeze| freeze.opens_at.0 == at);
    let why = Happened::Ended { at, denied_by: frozen.map(|freeze| freeze.policy.clone()) };
    finish(s, status, Ending::Expired, None, &why, now)
}

/// Whether the requester or an approver said that it should end.
pub fn withdrawn(s: &Snapshot<'_>, status: &AccessRequestStatus, ask: &ValidRequest<'_>) -> Option<(String, Happened)> {
    let stages = stages::in_force(s, status);
    let (by, review) = said_by(&stages, &status.reviews, ask.requester, ReviewVerdict::Revoke)?;
    let by = by.to_owned();
    Some((by.clone(), Happened::EndedBy { by, comment: review.comment.clone() }))
}

/// A request that is not granted yet.
fn consider(s: &Snapshot<'_>, status: AccessRequestStatus, ask: &ValidRequest<'_>, now: Timestamp) -> Step {
    let ask = match prepare(s, &status, ask, now) {
        Ok(ask) => ask,
        Err(hindrance) => return hindered(s, status, &hindrance, now),
    };
    let mut status = status;
    if s.risk.is_some() {
        status.risk = s.risk.cloned();
    }
    decide_on_role(s, &mut status, now);
    if let RequestKind::Extension { .. } = ask.aim {
        let uid = s.extended.and_then(|r| r.metadata.uid.clone()).unwrap_or_default();
        status.extends = Some(ExtendedRequest { uid });
    }
    let log = ReviewLog::of(&status);
    match decide(&ask, s, log, now) {
        Decision::Undecided(policy) => wait(s, status, Reason::PolicyNotReady, &policy, None, now),
        Decision::RightUnknown(unknown) => wait(s, status, Reason::RightUnknown, &unknown, None, now),
        Decision::Denied(reasons) => finish(s, status, Ending::Denied, None, &join(&reasons), now),
        Decision::Refused { policy, refusal } => {
            // What others said in the same moment goes on record too.
            stages::note_approvals(&mut status, policy, ask.requester, now);
            finish(s, status, Ending::Denied, Some(&refusal.by), &refusal, now)
        }
        Decision::Lapsed(lapse) => finish(s, status, Ending::Lapsed, None, &lapse, now),
        Decision::Waiting(waiting) => {
            let (why, wake) = stages::ask(&mut status, &ask, &waiting, now);
            wait(s, status, Reason::ApprovalNeeded, &why, wake, now)
        }
        Decision::Frozen(approved, edge) => {
            decided(&mut status, &approved, &ask, now);
            let until = edge.at;
            let why = Happened::AllowedAnd(approved.allowed_by(), Next::Held(HeldBy::Frozen(edge)));
            held_up(s, status, Reason::Frozen, &why, until, now)
        }
        Decision::RoleAway(approved, away) => {
            decided(&mut status, &approved, &ask, now);
            let why = Happened::AllowedAnd(approved.allowed_by(), Next::Held(HeldBy::Role(away.why)));
            held_up(s, status, Reason::RoleUnusable, &why, away.deadline, now)
        }
        Decision::Approved(approved) => {
            decided(&mut status, &approved, &ask, now);
            match (ask.aim, Some(approved.period.begin).filter(|begin| *begin > now)) {
                // The running request's own pass moves its end.
                (RequestKind::Extension { of, running }, _) => {
                    let next = Next::EndMoves { of: of.to_owned(), by: approved.period.length() };
                    let why = Happened::AllowedAnd(approved.allowed_by(), next);
                    ahead(s, status, Reason::Extending, &why, running.map(|running| running.end), now)
                }
                // The end is settled now and not by when the controller gets to it.
                (_, Some(begin)) => {
                    status.expires_at.get_or_insert(Time(approved.period.end));
                    let why = Happened::AllowedAnd(approved.allowed_by(), Next::Begins(begin));
                    ahead(s, status, Reason::WaitingForStart, &why, Some(begin), now)
                }
                (_, None) => match recorded_first::by(s, &status, &ask, &approved) {
                    None => grant(s, status, &ask, &approved, now),
                    Some(by) if by <= now => finish(s, status, Ending::Lapsed, None, &Lapse::Record, now),
                    Some(by) => {
                        let next = Next::Recorded { archive: s.archive.is_some() };
                        let why = Happened::AllowedAnd(approved.allowed_by(), next);
                        ahead(s, status, Reason::AwaitingRecord, &why, Some(by), now)
                    }
                },
            }
        }
    }
}

/// Puts on record which policy decides, and who agreed.
fn decided(status: &mut AccessRequestStatus, approved: &Approved<'_>, ask: &ValidRequest<'_>, now: Timestamp) {
    record::decided_by(status, approved.policy, now);
    stages::note_approvals(status, approved.policy, ask.requester, now);
}

/// The request waits for the guard or a right clock, or comes to its end.
fn hindered(s: &Snapshot<'_>, status: AccessRequestStatus, hindrance: &Hindrance, now: Timestamp) -> Step {
    let waits_for = if matches!(hindrance, Hindrance::Clock(_)) { Reason::ClockWrong } else { Reason::GuardMissing };
    match hindrance.ending() {
        Some(ending) => finish(s, status, ending, None, hindrance, now),
        None => wait(s, status, waits_for, hindrance, None, now),
    }
}

/// Not decided yet.
fn wait(
    s: &Snapshot<'_>,
    mut status: AccessRequestStatus,
    reason: Reason,
    why: &dyn Display,
    wake: Option<Timestamp>,
    now: Timestamp,
) -> Step {
    status.state = State::Pending;
    status.message = Some(history::shorten(&why.to_string()));
    record::undecided(&mut status, conditions::APPROVED, reason, why, now);
    Step { record: record::if_changed(s, status), wake, ..Step::default() }
}

/// Approved, and held up: a policy denies it until its window closes, or its role cannot be handed out. It is decided anew
/// then, so nothing is settled yet.
fn held_up(
    s: &Snapshot<'_>,
    mut status: AccessRequestStatus,
    reason: Reason,
    why: &dyn Display,
    until: Timestamp,
    now: Timestamp,
) -> Step {
    let before = conditions::find(&status.conditions, conditions::APPROVED).map(|c| c.reason.as_str());
    if before != Some(reason.as_str()) {
        history::add(&mut status.history, now, reason, None, why);
    }
    status.stage = None;
    wait(s, status, reason, why, Some(until), now)
}

/// Approved, and something is still to come before it takes effect: its start, or the move of an end.
fn ahead(
    s: &Snapshot<'_>,
    mut status: AccessRequestStatus,
    reason: Reason,
    why: &dyn Display,
    wake: Option<Timestamp>,
    now: Timestamp,
) -> Step {
    if status.state != State::Scheduled {
        history::add(&mut status.history, now, Reason::Approved, None, why);
    }
    status.state = State::Scheduled;
    status.stage = None;
    status.may_revoke = stages::may_revoke(s, &status);
    status.message = Some(history::shorten(&why.to_string()));
    record::holds(&mut status, conditions::APPROVED, Reason::Approved, why, now);
    record::fails(&mut status, conditions::GRANTED, reason, why, now);
    Step { record: record::if_changed(s, status), wake, ..Step::default() }
}

/// Approved and due: the grant goes on record. The binding follows in the next step.
fn grant(
    s: &Snapshot<'_>,
    mut status: AccessRequestStatus,
    ask: &ValidRequest<'_>,
    approved: &Approved<'_>,
    now: Timestamp,
) -> Step {
    let begin = whole_second(now);
    let why = Happened::Allowed(approved.allowed_by());
    status.state = State::Scheduled;
    status.stage = None;
    status.granted_at = Some(Time(begin));
    let end = status.expires_at.get_or_insert(Time(approved.period.end)).0;
    let openings = approved.freezes.openings(approved.policy);
    let window = ask.recurrence.as_ref().and_then(|recurrence| recurrence.next(openings, begin, end));
    status.window = window.map(Opening::on_record);
    status.freeze_ahead = freeze_ahead(&status, &approved.freezes, ask, now);
    status.bindings = binding::references(s.request, &approved.place);
    status.namespace_uids = approved.place.namespace_uids(s.namespaces);
    recorded_first::warn(s, &mut status, ask, approved.policy, now);
    if matches!(ask.aim, RequestKind::BreakGlass) {
        open_review(s, &mut status, approved.policy, begin);
    }
    status.may_revoke = stages::may_revoke(s, &status);
    status.message = Some(history::shorten(&why.to_string()));
    record::holds(&mut status, conditions::APPROVED, Reason::Approved, &why, now);
    record::fails(&mut status, conditions::GRANTED, Reason::Binding, &why, now);
    let wake = earliest([Some(end), window.map(|window| window.closes), review_due(&status)]);
    Step { record: record::if_changed(s, status), wake, ..Step::default() }
}

#[cfg(test)]
mod tests;
