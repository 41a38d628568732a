//! From a snapshot and a time to ordered effects: the one place that says what happens next.
//!
//! Each plan is one step. The controller carries it out and plans again on the result until nothing is left,
//! so a crash between any two effects is only a plan that was cut short. Two orders keep that safe: a grant
//! is on record before its binding exists, and a binding is gone before the record says so.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::approvals::{Said, as_escalated, revoked_by};
use super::binding::{self, Observed, Wanted};
use super::deadline::{earliest, whole_second};
use super::decide::{Approved, Decision, decide, denials, later};
use super::duration;
use super::fault::sentence;
use super::guard::Guard;
use super::history::{self, Reason, join};
use super::inspect::{Bindings, Change, describe, inspect};
use super::namespaces::Namespaces;
use super::policies::Entry;
use super::select::{Place, shortfalls};
use super::snapshot::Snapshot;
use super::stages;
use super::validate::{Ask, validate};
use crate::api::conditions::{self, Condition, ConditionStatus};
use crate::api::policy::Effect as PolicyEffect;
use crate::api::request::{AccessRequestStatus, BindingKind, BindingRef, State};

/// One write to the cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Store this status, if the request is still the one that was planned for.
    Record(Box<AccessRequestStatus>),
    /// Create this binding.
    Bind(Box<Wanted>),
    /// Put this binding back to what it should be. Its metadata carries UID and version of what was seen, so
    /// that nothing else is written over.
    Restore(Box<Wanted>),
    /// Delete this binding, if it is ours.
    Unbind(BindingRef),
}

/// What to do now, in this order, and when to look again if nothing changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Writes, in order. After a failed one, none that follows may be made, but for other `Unbind`s.
    pub effects: Vec<Effect>,
    /// When to look again.
    pub wake: Option<Timestamp>,
}

/// What needs no policy, no namespace and no sight of a binding: that a request is over, or has come to its
/// end. None when neither is so.
pub fn ends(s: &Snapshot<'_>, now: Timestamp) -> Option<Plan> {
    let stored = s.request.status.as_ref();
    let over = stored.is_some_and(|status| status.state.is_final());
    let expired = stored.and_then(|status| status.expires_at.as_ref()).is_some_and(|end| end.0 <= now);
    if !over && !expired && s.request.metadata.deletion_timestamp.is_none() {
        return None;
    }
    let status = stored.cloned().unwrap_or_default();
    if over {
        return Some(Plan { effects: leftovers(s, &status), wake: None });
    }
    if expired {
        return Some(expire(s, status, now));
    }
    // Somebody's finalizer, or a deletion in the foreground, can keep it here for long: its end goes on record.
    if status.bindings.is_empty() {
        return Some(Plan { effects: leftovers(s, &status), wake: None });
    }
    Some(finish(s, status, State::Revoked, Reason::Revoked, None, "the request was deleted", now))
}

/// Plans the next step of a request.
pub fn plan(s: &Snapshot<'_>, now: Timestamp) -> Plan {
    // Before anything that can fail: an end that has come is an end, whatever else is broken.
    if let Some(end) = ends(s, now) {
        return end;
    }
    let status = s.request.status.clone().unwrap_or_default();
    if let Some(why) = s.bind_failure.filter(|_| status.granted_at.is_some()) {
        return finish(s, status, State::Failed, Reason::Failed, None, why, now);
    }
    let end = status.expires_at.as_ref().map(|t| t.0);
    let planned = match validate(s.request) {
        Err(faults) if status.granted_at.is_some() => {
            finish(s, status, State::Revoked, Reason::Revoked, None, &sentence(&faults), now)
        }
        Err(faults) => finish(s, status, State::Denied, Reason::Denied, None, &sentence(&faults), now),
        Ok(ask) => match withdrawn(s, &status, &ask) {
            Some((by, why)) => finish(s, status, State::Revoked, Reason::Revoked, Some(&by), &why, now),
            None if status.granted_at.is_some() => keep(s, status, &ask, now),
            None => consider(s, status, &ask, now),
        },
    };
    // Every way out wakes no later than the end that is on record.
    Plan { wake: earliest([planned.wake, end]), ..planned }
}

/// A request whose end is on record and has come.
fn expire(s: &Snapshot<'_>, status: AccessRequestStatus, now: Timestamp) -> Plan {
    if status.granted_at.is_none() {
        let why = "the time asked for ended before access began";
        return finish(s, status, State::Lapsed, Reason::Lapsed, None, why, now);
    }
    let end = status.expires_at.as_ref().map_or(now, |t| t.0);
    let why = format!("access ended as stated at {end}");
    finish(s, status, State::Expired, Reason::Expired, None, &why, now)
}

/// The end of a request, in the order that keeps a grant from outliving its record.
fn finish(
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
        condition(&mut status, conditions::APPROVED, ConditionStatus::False, reason, &why, now);
    }
    condition(&mut status, conditions::GRANTED, ConditionStatus::False, reason, &why, now);
    condition(&mut status, conditions::FINISHED, ConditionStatus::True, reason, &why, now);
    history::add(&mut status.history, now, reason, by, &why);
    effects.push(Effect::Record(Box::new(status)));
    Plan { effects, wake: None }
}

/// Bindings that must not be there: those on record that may exist, and any that carry the request's UID.
/// A recorded one that cannot be seen is deleted all the same, unless the record says it is over: the sight
/// of it may have failed.
fn leftovers(s: &Snapshot<'_>, status: &AccessRequestStatus) -> Vec<Effect> {
    let over = status.state.is_final();
    let recorded = status.bindings.iter().filter(|_| !over).cloned();
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

/// Whether the requester or an approver said that it should end.
fn withdrawn(s: &Snapshot<'_>, status: &AccessRequestStatus, ask: &Ask<'_>) -> Option<(String, String)> {
    let stages = match status.policy.as_ref().and_then(|p| s.policies.get(&p.name)) {
        Some(Entry::Valid(policy)) => as_escalated(&policy.stages, &status.escalated),
        _ => Vec::new(),
    };
    let (by, review) = revoked_by(&stages, &status.reviews, ask.requester)?;
    let why = match &review.comment {
        Some(comment) => format!("{by} ended it: {comment}"),
        None => format!("{by} ended it"),
    };
    Some((by.to_owned(), why))
}

/// A request that is not granted yet.
fn consider(s: &Snapshot<'_>, status: AccessRequestStatus, ask: &Ask<'_>, now: Timestamp) -> Plan {
    // Once an end is on record the length is settled, whichever policy allows it by then.
    let settled = ask.start.zip(status.expires_at.as_ref()).map(|(start, end)| end.0.duration_since(start));
    let ask = Ask { length: settled.or(ask.length), ..ask.clone() };
    match s.guard {
        Guard::Missing(why) => return wait(s, status, Reason::GuardMissing, why, None, now),
        Guard::Since(since) if ask.created < *since => {
            let why = format!("it was made before {since}, when the cluster's guard was not in place: make it again");
            return finish(s, status, State::Denied, Reason::Denied, None, &why, now);
        }
        Guard::Since(_) => {}
    }
    let said = Said { reviews: &status.reviews, escalated: &status.escalated };
    match decide(&ask, s.policies, s.namespaces, said, now) {
        Decision::Undecided(why) => wait(s, status, Reason::PolicyNotReady, &why, None, now),
        Decision::Denied(reasons) => finish(s, status, State::Denied, Reason::Denied, None, &join(&reasons), now),
        Decision::Lapsed(why) => finish(s, status, State::Lapsed, Reason::Lapsed, None, &why, now),
        Decision::Waiting(waiting) => {
            let mut status = status;
            let (why, wake) = stages::ask(&mut status, &ask, &waiting, now);
            wait(s, status, Reason::ApprovalNeeded, &why, wake, now)
        }
        Decision::Approved(approved) => {
            let mut status = status;
            stages::note_reviews(&mut status, approved.policy, &ask, now);
            match ask.start.filter(|start| *start > now) {
                Some(start) => schedule(s, status, &approved, start, now),
                None => grant(s, status, &ask, &approved, now),
            }
        }
    }
}

/// Not decided yet.
fn wait(
    s: &Snapshot<'_>,
    mut status: AccessRequestStatus,
    reason: Reason,
    why: &str,
    wake: Option<Timestamp>,
    now: Timestamp,
) -> Plan {
    status.state = State::Pending;
    status.message = Some(history::shorten(why));
    condition(&mut status, conditions::APPROVED, ConditionStatus::Unknown, reason, why, now);
    Plan { effects: record_if_changed(s, status), wake }
}

/// Approved for a start that lies ahead. The end is settled now and never moves.
fn schedule(
    s: &Snapshot<'_>,
    mut status: AccessRequestStatus,
    approved: &Approved<'_>,
    start: Timestamp,
    now: Timestamp,
) -> Plan {
    let why = format!("{}; access begins at {start}", approval(approved));
    if status.state != State::Scheduled {
        history::add(&mut status.history, now, Reason::Approved, None, &why);
    }
    status.state = State::Scheduled;
    status.stage = None;
    status.policy = Some(approved.policy.reference.clone());
    status.expires_at.get_or_insert(Time(later(start, approved.length)));
    status.message = Some(history::shorten(&why));
    condition(&mut status, conditions::APPROVED, ConditionStatus::True, Reason::Approved, &why, now);
    condition(&mut status, conditions::GRANTED, ConditionStatus::False, Reason::WaitingForStart, &why, now);
    Plan { effects: record_if_changed(s, status), wake: Some(start) }
}

fn approval(approved: &Approved<'_>) -> String {
    let policy = &approved.policy.reference.name;
    if approved.approvers.is_empty() {
        format!("policy {policy} allows it")
    } else {
        format!("policy {policy} allows it, approved by {}", approved.approvers.join(", "))
    }
}

/// Approved and due: the grant goes on record. The binding follows in the next step.
fn grant(
    s: &Snapshot<'_>,
    mut status: AccessRequestStatus,
    ask: &Ask<'_>,
    approved: &Approved<'_>,
    now: Timestamp,
) -> Plan {
    let begin = whole_second(now);
    let end = later(ask.start.unwrap_or(begin), approved.length);
    let why = approval(approved);
    status.state = State::Scheduled;
    status.stage = None;
    status.policy = Some(approved.policy.reference.clone());
    status.granted_at = Some(Time(begin));
    let end = status.expires_at.get_or_insert(Time(end)).0;
    status.bindings = binding::references(s.request, &approved.place);
    status.message = Some(history::shorten(&why));
    condition(&mut status, conditions::APPROVED, ConditionStatus::True, Reason::Approved, &why, now);
    condition(&mut status, conditions::GRANTED, ConditionStatus::False, Reason::Binding, &why, now);
    Plan { effects: record_if_changed(s, status), wake: Some(end) }
}

/// A request whose grant is on record and whose end lies ahead: see that it still may, and that its bindings
/// are as they should be.
fn keep(s: &Snapshot<'_>, status: AccessRequestStatus, ask: &Ask<'_>, now: Timestamp) -> Plan {
    if let Err(why) = still_allowed(s, &status, ask) {
        return finish(s, status, State::Revoked, Reason::Revoked, None, &why, now);
    }
    match inspect(s, &status) {
        Bindings::Lost(why) => finish(s, status, State::Revoked, Reason::Revoked, None, &why, now),
        Bindings::Blocked(why) => finish(s, status, State::Failed, Reason::Failed, None, &why, now),
        // On record, but not bound: whether it was forged cannot be told any more.
        Bindings::Missing(_) if matches!(s.guard, Guard::Missing(_)) => Plan::default(),
        Bindings::Missing(wanted) => {
            let effects = wanted.into_iter().map(|w| Effect::Bind(Box::new(w))).collect();
            Plan { effects, wake: None }
        }
        Bindings::Changed(changes) => restore(status, changes, now),
        Bindings::Complete(uids) => activate(s, status, ask, uids, now),
    }
}

/// Whether policy still allows what is granted. People are asked once, before the grant; the bounds of the
/// policy hold for as long as the grant does.
fn still_allowed(s: &Snapshot<'_>, status: &AccessRequestStatus, ask: &Ask<'_>) -> Result<(), String> {
    let place = living(granted_place(status), s.namespaces);
    if let Some(reason) = denials(ask, s.policies, &place, s.namespaces).into_iter().next() {
        return Err(reason);
    }
    if status.expires_at.is_none() {
        return Err("the record names no end".to_owned());
    }
    let Some(decided) = &status.policy else {
        return Err("the record names no policy".to_owned());
    };
    let name = &decided.name;
    match s.policies.get(name) {
        None => Err(format!("policy {name} is gone")),
        Some(Entry::Broken { faults, .. }) => Err(format!("policy {name} is not ready any more: {}", sentence(faults))),
        Some(Entry::Valid(policy)) if policy.reference.uid != decided.uid => {
            Err(format!("policy {name} was deleted and made anew"))
        }
        Some(Entry::Valid(policy)) if policy.effect != PolicyEffect::Allow => Err(format!("policy {name} denies now")),
        Some(Entry::Valid(policy)) => {
            let short = shortfalls(policy, ask, &place, granted_length(status, ask), s.namespaces);
            if short.is_empty() {
                Ok(())
            } else {
                Err(format!("policy {name} does not allow it any more: {}", short.join(", ")))
            }
        }
    }
}

fn granted_place(status: &AccessRequestStatus) -> Place {
    if status.bindings.iter().any(|b| b.kind == BindingKind::ClusterRoleBinding) {
        Place::Cluster
    } else {
        Place::Namespaces(status.bindings.iter().filter_map(|b| b.namespace.clone()).collect())
    }
}

/// One namespace that is gone must not cost the grant in the others.
fn living(place: Place, namespaces: &Namespaces) -> Place {
    match place {
        Place::Cluster => Place::Cluster,
        Place::Namespaces(names) => {
            Place::Namespaces(names.into_iter().filter(|n| namespaces.contains_key(n)).collect())
        }
    }
}

fn granted_length(status: &AccessRequestStatus, ask: &Ask<'_>) -> Option<SignedDuration> {
    let begin = ask.start.or(status.granted_at.as_ref().map(|t| t.0))?;
    status.expires_at.as_ref().map(|end| end.0.duration_since(begin))
}

fn restore(mut status: AccessRequestStatus, changes: Vec<Change>, now: Timestamp) -> Plan {
    let mut effects = Vec::new();
    for Change { restored, what } in changes {
        let message = format!("{}: somebody changed {what}; it was put back", describe(&restored.reference()));
        history::add(&mut status.history, now, Reason::BindingRestored, None, &message);
        effects.push(Effect::Restore(Box::new(restored)));
    }
    effects.push(Effect::Record(Box::new(status)));
    Plan { effects, wake: None }
}

/// Every binding is there: say so, once.
fn activate(
    s: &Snapshot<'_>,
    mut status: AccessRequestStatus,
    ask: &Ask<'_>,
    uids: Vec<Option<String>>,
    now: Timestamp,
) -> Plan {
    for (binding, uid) in status.bindings.iter_mut().zip(uids) {
        binding.uid = uid;
    }
    if status.state != State::Active {
        let why = granted_sentence(s, &status, ask);
        status.state = State::Active;
        condition(&mut status, conditions::GRANTED, ConditionStatus::True, Reason::Granted, &why, now);
        history::add(&mut status.history, now, Reason::Granted, None, &why);
        status.message = Some(why);
    }
    Plan { effects: record_if_changed(s, status), wake: None }
}

fn granted_sentence(s: &Snapshot<'_>, status: &AccessRequestStatus, ask: &Ask<'_>) -> String {
    let place = match granted_place(status) {
        Place::Cluster => "the whole cluster".to_owned(),
        Place::Namespaces(names) if names.len() > 8 => format!("{} namespaces", names.len()),
        Place::Namespaces(names) => format!("namespace {}", names.into_iter().collect::<Vec<_>>().join(", ")),
    };
    let length = granted_length(status, ask).map(duration::format).unwrap_or_default();
    let until = status.expires_at.as_ref().map(|t| t.0.to_string()).unwrap_or_default();
    let because = conditions::find(&status.conditions, conditions::APPROVED).map_or("", |c| c.message.as_str());
    let (who, role) = (&ask.requester.username, &s.request.spec.role);
    history::shorten(&format!("{who} has {role} in {place} for {length}, until {until}; {because}"))
}

/// A record is written only when it says something new.
fn record_if_changed(s: &Snapshot<'_>, status: AccessRequestStatus) -> Vec<Effect> {
    if s.request.status.as_ref() == Some(&status) {
        return Vec::new();
    }
    vec![Effect::Record(Box::new(status))]
}

fn condition(
    status: &mut AccessRequestStatus,
    type_: &str,
    is: ConditionStatus,
    reason: Reason,
    why: &str,
    now: Timestamp,
) {
    let new = Condition {
        type_: type_.to_owned(),
        status: is,
        reason: reason.as_str().to_owned(),
        message: history::shorten(why),
        last_transition_time: Time(whole_second(now)),
        observed_generation: None,
    };
    conditions::set(&mut status.conditions, new);
}

#[cfg(test)]
mod tests;
