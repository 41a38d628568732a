//! A grant that is running: whether it still may, whether its bindings are as they should be, and how its end
//! moves. What ends it is told to `plan`, which knows how to end a request.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::api::conditions;
use crate::api::policy::Effect as PolicyEffect;
use crate::api::reason::Reason;
use crate::api::request::{AccessRequestStatus, MadeRole, RoleRisk, State};
use crate::core::decision::context::EvalContext;
use crate::core::decision::freeze::Freezes;
use crate::core::decision::matching::{extension_shortfalls, shortfalls};
use crate::core::decision::period::closed;
use crate::core::decision::shortfall::Shortfall;
use crate::core::decision::snapshot::Snapshot;
use crate::core::decision::stance::stance_to_running;
use crate::core::guard::Guard;
use crate::core::lifecycle::break_glass::{follow_review, unjustified};
use crate::core::lifecycle::drift::{Bindings, ChangedBinding, Uids, inspect};
use crate::core::lifecycle::end::{Ending, finish};
use crate::core::lifecycle::extension::{self, DueExtension};
use crate::core::lifecycle::freeze::note_freeze_ahead;
use crate::core::lifecycle::granted::{GrantLength, Granted, NoLonger};
use crate::core::lifecycle::happened::Happened;
use crate::core::lifecycle::idle;
use crate::core::lifecycle::record;
use crate::core::lifecycle::stages::{follow_may_revoke, note_vain_revokes};
use crate::core::lifecycle::step::Step;
use crate::core::lifecycle::suspend::{in_window, note_role_change, rest_unused, resume, suspend, suspended_for_role};
use crate::core::model::ask::ValidRequest;
use crate::core::model::grant_scope::GrantScope;
use crate::core::model::history;
use crate::core::model::instants::earliest;
use crate::core::policies::{Entry, Policy};
use crate::core::rbac::binding::Observed;
use crate::core::rbac::role::missing_rights;

/// A request whose grant is on record and whose end lies ahead: see that it still may, and that its bindings
/// are as they should be.
pub fn keep(s: &Snapshot<'_>, mut status: AccessRequestStatus, ask: &ValidRequest<'_>, now: Timestamp) -> Step {
    follow_review(s, &mut status, now);
    note_vain_revokes(s, &mut status, ask.requester, now);
    match unjustified(&status) {
        Some((by, why)) => finish(s, status, Ending::Revoked, Some(&by), &why, now),
        None => keep_bindings(s, status, ask, now),
    }
}

fn keep_bindings(s: &Snapshot<'_>, mut status: AccessRequestStatus, ask: &ValidRequest<'_>, now: Timestamp) -> Step {
    let Allowed { policy, freezes } = match still_allowed(s, &status, ask, now) {
        Ok(allowed) => allowed,
        Err(why) => return finish(s, status, Ending::Revoked, None, &why, now),
    };
    follow_may_revoke(s, &mut status);
    // No role is being made while this is planned, so a self-binding that is there was left behind.
    let left_behind = s.bindings.iter().filter(|binding| binding.is_self_binding() && binding.request_uid() == s.uid());
    let give_back: Vec<_> = left_behind.map(Observed::reference).collect();
    if !give_back.is_empty() {
        return Step { unbind: give_back, ..Step::default() };
    }
    note_role_change(s, &mut status, now);
    if let Some(why) = suspended_for_role(s, policy, &status) {
        return suspend(s, status, &why, now);
    }
    announce_freeze(s, &mut status, &freezes, ask, now);
    let usable = freezes.openings(policy);
    let closes = match &ask.recurrence {
        None => usable.open(now).filter(|_| !usable.is_unbounded()),
        Some(recurrence) => match in_window(s, status.clone(), recurrence, usable, now) {
            Ok(closes) => Some(closes),
            Err(plan) => return *plan,
        },
    };
    if status.state == State::Suspended {
        return resume(s, status, now);
    }
    if let Some(unused) = idle::unused(s, &status, now) {
        return match &ask.recurrence {
            Some(recurrence) => rest_unused(s, status, unused, (recurrence, usable), now),
            None => finish(s, status, Ending::Idle, None, &unused.happened(), now),
        };
    }
    let plan = match inspect(s, &status) {
        Bindings::Lost(lost) => finish(s, status, Ending::Revoked, None, &lost, now),
        Bindings::Blocked(binding) => finish(s, status, Ending::Failed, None, &Happened::Blocked(binding), now),
        // On record, but not bound: whether it was forged, or by which time its end was told, cannot be known any more.
        Bindings::Missing(_) if matches!(s.guard, Guard::Missing(_)) || s.wrong_clock.is_some() => Step::default(),
        Bindings::Missing(wanted) => Step { bind: wanted, ..Step::default() },
        Bindings::Changed(changes) => restore(s, status, changes, now),
        Bindings::Complete(uids) => match extension::due(s, &status, now) {
            Some(due) => extend(s, status, ask, due, now),
            None => activate(s, status, ask, uids, now),
        },
    };
    Step { wake: earliest([plan.wake, closes]), ..plan }
}

/// Running access, and what is still to come between it and its end.
#[derive(Debug)]
pub struct Allowed<'a> {
    /// The policy that allows it.
    pub policy: &'a Policy,
    /// The windows in which others deny it.
    pub freezes: Freezes<'a>,
}

/// Whether policy still allows what is granted, and which. People are asked once, before the grant; the bounds of
/// the policy hold for as long as the grant does. A grant ends with the window of the policy that it began in, and a
/// policy that has other windows by now ends it with those, and so does one that denies in windows; recurring access only
/// rests. A change of the policy that is doubted ends nothing.
///
/// # Errors
/// Why it does not.
pub fn still_allowed<'a>(
    s: &Snapshot<'a>,
    status: &AccessRequestStatus,
    ask: &ValidRequest<'_>,
    now: Timestamp,
) -> Result<Allowed<'a>, NoLonger> {
    let place = GrantScope::recorded(status).living(s.namespaces);
    let began = status.granted_at.as_ref().map_or(Timestamp::MIN, |t| t.0);
    let risk = risk_decided_on(s, status);
    let seen = Snapshot { risk, ..*s };
    let [context, today] = [began, now].map(|at| EvalContext::new(&seen, &place, at));
    // What denies and is doubted ends nothing.
    let (denying, freezes) = Freezes::of(s.policies.revoking(), |policy| {
        // What denies in windows is judged by each of them anew.
        let context = if policy.denies_in().is_some() { &today } else { &context };
        stance_to_running(policy, ask, context)
    });
    if let Some(denying) = denying.into_iter().next() {
        return Err(NoLonger::Denied(denying));
    }
    if status.expires_at.is_none() {
        return Err(NoLonger::NoEnd);
    }
    if let Some(lacks) = missing_rights(&s.request.spec.rules, s.role).into_iter().next() {
        return Err(NoLonger::RoleNarrowed { role: ask.role.clone(), lacks: Box::new(lacks) });
    }
    let Some(decided) = &status.policy else {
        return Err(NoLonger::NoPolicy);
    };
    let name = || decided.name.clone();
    match s.policies.get(&decided.name) {
        None => Err(NoLonger::PolicyGone(name())),
        Some(Entry::Broken { faults, .. }) => Err(NoLonger::PolicyNotReady { policy: name(), faults: faults.clone() }),
        Some(Entry::Valid(policy) | Entry::Faulty(policy) | Entry::Doubted { policy, .. })
            if policy.reference.uid != decided.uid =>
        {
            Err(NoLonger::PolicyMadeAnew(name()))
        }
        // Whoever changed it may not have been allowed to, so what it says now takes nothing away.
        Some(Entry::Doubted { policy, .. }) => Ok(Allowed { policy, freezes }),
        Some(Entry::Valid(policy) | Entry::Faulty(policy)) if policy.effect != PolicyEffect::Allow => {
            Err(NoLonger::PolicyDenies(name()))
        }
        // A slip in an expression ends nothing. What else the policy says holds.
        Some(Entry::Valid(policy) | Entry::Faulty(policy)) => {
            let mut short = shortfalls(policy, ask, first_length(status, ask), &context);
            let longest = status.extensions.iter().map(|e| e.to.0.duration_since(e.from.0)).max();
            if longest.is_some() {
                short.extend(extension_shortfalls(policy, status.extensions.len(), longest));
            }
            if ask.recurrence.is_none() {
                short.extend(closed(policy, now).map(Shortfall::NoTime));
            }
            match short.is_empty() {
                true => Ok(Allowed { policy, freezes }),
                false => Err(NoLonger::FallsShort { policy: name(), shortfalls: short }),
            }
        }
    }
}

/// The risk that was decided on, for as long as the role is the same: a version that reads roles another way ends
/// nothing by that. When the role has changed, what it is now.
fn risk_decided_on<'s>(s: &Snapshot<'s>, status: &'s AccessRequestStatus) -> Option<&'s RoleRisk> {
    if s.risk == status.risk.as_ref() {
        return s.risk;
    }
    let same = status.role.as_ref().zip(s.role).is_some_and(|(decided, role)| role.has_digest(&decided.digest));
    if same { status.risk.as_ref().or(s.risk) } else { s.risk }
}

/// Puts on record what is known of the next window in which a policy denies this access, also in the sentence that says
/// until when it runs.
fn announce_freeze(
    s: &Snapshot<'_>,
    status: &mut AccessRequestStatus,
    freezes: &Freezes<'_>,
    ask: &ValidRequest<'_>,
    now: Timestamp,
) {
    if !note_freeze_ahead(status, freezes, ask, now) || status.state != State::Active {
        return;
    }
    let has = granted(s, status, ask);
    if let Some(condition) = status.conditions.iter_mut().find(|c| c.type_ == conditions::GRANTED) {
        condition.message.clone_from(&has);
    }
    status.message = Some(has);
}

/// How long the grant lasts in all.
fn granted_length(status: &AccessRequestStatus, ask: &ValidRequest<'_>) -> Option<SignedDuration> {
    length_until(status.expires_at.as_ref(), status, ask)
}

/// How long the grant was to last before its end was moved.
fn first_length(status: &AccessRequestStatus, ask: &ValidRequest<'_>) -> Option<SignedDuration> {
    length_until(status.extensions.first().map(|e| &e.from).or(status.expires_at.as_ref()), status, ask)
}

/// Of recurring access it is each time bounded, not all of it.
fn length_until(end: Option<&Time>, status: &AccessRequestStatus, ask: &ValidRequest<'_>) -> Option<SignedDuration> {
    if ask.recurrence.is_some() {
        return None;
    }
    let begin = ask.start.or(status.granted_at.as_ref().map(|t| t.0))?;
    end.map(|end| end.0.duration_since(begin))
}

/// An extension is due: the end moves, on record first. The binding stays as it is, so access has no gap; the next
/// step writes the new end on it, for people.
fn extend(
    s: &Snapshot<'_>,
    mut status: AccessRequestStatus,
    ask: &ValidRequest<'_>,
    due: DueExtension<'_>,
    now: Timestamp,
) -> Step {
    let DueExtension { extension, approved } = due;
    let (by, from, to) = (extension.name.clone(), extension.from.0, extension.to.0);
    let why = Happened::EndMoved { by, from, to, allowed: approved.allowed_by() };
    status.expires_at = Some(extension.to.clone());
    status.extensions.push(extension);
    history::add(&mut status.history, now, Reason::Extended, None, &why);
    let has = granted(s, &status, ask);
    record::holds(&mut status, conditions::GRANTED, Reason::Extended, &has, now);
    status.message = Some(has);
    Step { record: record::if_changed(s, status), wake: Some(to), ..Step::default() }
}

fn restore(s: &Snapshot<'_>, mut status: AccessRequestStatus, changes: Vec<ChangedBinding>, now: Timestamp) -> Step {
    let mut restore = Vec::new();
    for ChangedBinding { restored, what } in changes {
        if let Some(what) = what {
            let put_back = Happened::PutBack { binding: restored.reference(), what };
            history::add(&mut status.history, now, Reason::BindingRestored, None, &put_back);
        }
        restore.push(restored);
    }
    Step { restore, record: record::if_changed(s, status), ..Step::default() }
}

/// Every binding is there: say so, once.
fn activate(
    s: &Snapshot<'_>,
    mut status: AccessRequestStatus,
    ask: &ValidRequest<'_>,
    uids: Vec<Uids>,
    now: Timestamp,
) -> Step {
    for (binding, uids) in status.bindings.iter_mut().zip(uids) {
        binding.uid = uids.binding;
        binding.role = binding.role.take().map(|_| MadeRole { uid: uids.role });
    }
    if status.state != State::Active {
        let why = granted(s, &status, ask);
        status.state = State::Active;
        let before = status.history.iter().any(|entry| entry.event == Reason::Granted);
        let reason = if before { Reason::Resumed } else { Reason::Granted };
        record::holds(&mut status, conditions::GRANTED, reason, &why, now);
        history::add(&mut status.history, now, reason, None, &why);
        status.message = Some(why);
    }
    Step { record: record::if_changed(s, status), ..Step::default() }
}

/// What somebody has, for the record.
fn granted(s: &Snapshot<'_>, status: &AccessRequestStatus, ask: &ValidRequest<'_>) -> String {
    let length = match &ask.recurrence {
        Some(recurrence) => GrantLength::Recurring(recurrence.describe()),
        None => GrantLength::Once(granted_length(status, ask)),
    };
    let granted = Granted {
        who: ask.requester.username.clone(),
        rules: s.request.spec.rules.clone(),
        role: s.request.spec.role.clone(),
        place: GrantScope::recorded(status),
        length,
        until: status.expires_at.as_ref().map(|end| end.0),
        because: conditions::find(&status.conditions, conditions::APPROVED).map(|c| c.message.clone()),
        freeze: status.freeze_ahead.clone(),
    };
    history::shorten(&granted.to_string())
}
