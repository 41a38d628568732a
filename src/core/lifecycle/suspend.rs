//! When running access is suspended: between the windows of recurring access, in what is left of one in which nobody uses
//! it, and while the rules of its role differ from
//! those that were decided on.
//!
//! Suspended access is granted, keeps its end, and has no binding. It resumes without anybody being asked. It must not end
//! access: [`active`](super::active) and [`plan`](super::plan) do.

use std::fmt::Display;

use k8s_openapi::jiff::Timestamp;

use crate::api::conditions;
use crate::api::reason::Reason;
use crate::api::request::{AccessRequestStatus, DecidedRole, MadeRole, State};
use crate::core::decision::snapshot::Snapshot;
use crate::core::lifecycle::end::leftovers;
use crate::core::lifecycle::happened::Rest;
use crate::core::lifecycle::idle::Unused;
use crate::core::lifecycle::record;
use crate::core::lifecycle::step::Step;
use crate::core::model::history;
use crate::core::model::instants::whole_second;
use crate::core::model::openings::Openings;
use crate::core::model::recurrence::{Opening, Recurrence, is_open};
use crate::core::policies::Policy;

/// Access rests: its bindings go, and the record says that it comes back. Nothing is done where that is so already.
pub fn suspend(s: &Snapshot<'_>, status: AccessRequestStatus, why: &dyn Display, now: Timestamp) -> Step {
    rest(s, status, Reason::Suspended, why, now)
}

/// Recurring access that nobody used rests for what is left of its window: its next one goes on record.
pub fn rest_unused(
    s: &Snapshot<'_>,
    mut status: AccessRequestStatus,
    unused: Unused,
    (recurrence, usable): (&Recurrence, Openings<'_>),
    now: Timestamp,
) -> Step {
    let end = status.expires_at.as_ref().map_or(now, |end| end.0);
    let closes = status.window.as_ref().map_or(now, |window| window.closes_at.0);
    let next = recurrence.next(usable, closes, end);
    let opens = next.map(|next| next.opens);
    let why = Rest::Unused { timeout: unused.timeout, since: unused.since, opens };
    status.window = next.map(Opening::on_record);
    let step = rest(s, status, Reason::Idle, &why, now);
    Step { wake: opens, ..step }
}

/// Until when access rests that nobody used, while that lasts; without a next window, to its end.
fn rests_unused(status: &AccessRequestStatus, now: Timestamp) -> Option<Option<Timestamp>> {
    let granted = conditions::find(&status.conditions, conditions::GRANTED);
    let is_idle = granted.is_some_and(|condition| condition.reason == Reason::Idle.as_str());
    let opens = status.window.as_ref().map(|window| window.opens_at.0);
    let lasts = status.state == State::Suspended && is_idle && opens.is_none_or(|opens| opens > now);
    lasts.then_some(opens)
}

fn rest(s: &Snapshot<'_>, mut status: AccessRequestStatus, reason: Reason, why: &dyn Display, now: Timestamp) -> Step {
    let unbind = leftovers(s, &status);
    if status.state != State::Suspended {
        history::add(&mut status.history, now, Reason::Suspended, None, why);
    }
    status.state = State::Suspended;
    status.message = Some(history::shorten(&why.to_string()));
    for binding in &mut status.bindings {
        // What comes back is made anew.
        binding.uid = None;
        binding.role = binding.role.take().map(|_| MadeRole::default());
    }
    record::fails(&mut status, conditions::GRANTED, reason, why, now);
    Step { unbind, record: record::if_changed(s, status), ..Step::default() }
}

/// Access that rested comes back: on record first, as with a grant, so that no binding exists while the record says that
/// there is none.
pub fn resume(s: &Snapshot<'_>, mut status: AccessRequestStatus, now: Timestamp) -> Step {
    comes_back(&mut status, now);
    Step { record: record::if_changed(s, status), ..Step::default() }
}

fn comes_back(status: &mut AccessRequestStatus, now: Timestamp) {
    status.state = State::Scheduled;
    status.message = Some(Rest::Over.to_string());
    record::fails(status, conditions::GRANTED, Reason::Binding, &Rest::Over, now);
}

/// Recurring access: until when the window is open that is on record.
///
/// # Errors
/// What to do instead. Outside of its windows access rests; and one that has opened goes on record before anything
/// is bound in it.
pub fn in_window(
    s: &Snapshot<'_>,
    mut status: AccessRequestStatus,
    recurrence: &Recurrence,
    usable: Openings<'_>,
    now: Timestamp,
) -> Result<Timestamp, Box<Step>> {
    if let Some(opens) = rests_unused(&status, now) {
        let record = record::if_changed(s, status);
        return Err(Box::new(Step { record, wake: opens, ..Step::default() }));
    }
    let end = status.expires_at.as_ref().map_or(now, |end| end.0);
    let next = recurrence.next(usable, whole_second(now), end);
    let recorded = status.window.as_ref().filter(|window| is_open(window, now)).map(|window| window.closes_at.0);
    match next {
        Some(next) if next.opens <= now => match recorded {
            Some(closes) => Ok(closes.min(next.closes)),
            None => {
                status.window = Some(next.on_record());
                if status.state == State::Suspended {
                    comes_back(&mut status, now);
                }
                let record = record::if_changed(s, status);
                Err(Box::new(Step { record, wake: Some(next.closes), ..Step::default() }))
            }
        },
        next => {
            let why = Rest::UntilWindow(next.map(|next| next.opens));
            status.window = next.map(Opening::on_record);
            let plan = suspend(s, status, &why, now);
            Err(Box::new(Step { wake: next.map(|next| next.opens), ..plan }))
        }
    }
}

/// What the role is at the decision, for comparison afterwards. That it changed while people were asked goes on record.
pub fn decide_on_role(s: &Snapshot<'_>, status: &mut AccessRequestStatus, now: Timestamp) {
    let Some(role) = s.role else { return };
    let decided = status.role.take().map(|decided| decided.digest);
    let is_same = decided.as_ref().is_some_and(|decided| role.has_digest(decided));
    if decided.is_some() && !is_same {
        let why = Rest::RoleChangedBefore(s.request.spec.role.clone());
        history::add(&mut status.history, now, Reason::RoleChanged, None, &why);
    }
    let digest = decided.filter(|_| is_same).unwrap_or_else(|| role.digest());
    status.role = Some(DecidedRole { digest, changed_to: None });
}

/// Puts on record that the role is not what was decided on any more, or that it is again.
pub fn note_role_change(s: &Snapshot<'_>, status: &mut AccessRequestStatus, now: Timestamp) {
    let Some((decided, seen)) = status.role.as_mut().zip(s.role) else { return };
    let is_restored = seen.has_digest(&decided.digest);
    let is_noted = match &decided.changed_to {
        Some(changed_to) => !is_restored && seen.has_digest(changed_to),
        None => is_restored,
    };
    if !is_noted {
        let role = s.request.spec.role.clone();
        let why = if is_restored { Rest::RoleRestored(role) } else { Rest::RoleChanged(role) };
        decided.changed_to = (!is_restored).then(|| seen.digest());
        history::add(&mut status.history, now, Reason::RoleChanged, None, &why);
    }
}

/// Why access rests for now, when its role was changed and the policy says so.
pub fn suspended_for_role(s: &Snapshot<'_>, policy: &Policy, status: &AccessRequestStatus) -> Option<Rest> {
    let changed = status.role.as_ref().is_some_and(|role| role.changed_to.is_some());
    (policy.suspends && changed).then(|| Rest::ForRole(s.request.spec.role.clone()))
}
