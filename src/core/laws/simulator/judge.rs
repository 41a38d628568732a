//! What the small cluster calls a breach: looked for in every plan, after every write, and when all has come to rest.
//! Changes nothing but the list of breaches.

use k8s_openapi::api::rbac::v1::Subject;
use k8s_openapi::jiff::Timestamp;

use super::{ClusterBinding, Law, MOST_ADDED, MOST_EXTENSIONS, Simulator};
use crate::api::conditions;
use crate::api::keys;
use crate::api::policy::{Effect as PolicyEffect, OnBreakGlass, OnRoleChange, Schedule};
use crate::api::reason::Reason;
use crate::api::request::{AccessRequest, AccessRequestStatus, BindingRef, ReviewVerdict, State};
use crate::core::lifecycle::step::{Step, Write};
use crate::core::model::duration;
use crate::core::model::recurrence::is_open;
use crate::core::model::schedule;
use crate::core::policies::Entry;
use crate::core::rbac::binding::Wanted;
use crate::core::rbac::made_role::ObservedRole;
use crate::core::rbac::role::RoleSeen;
use crate::core::rbac::rules::covers;

impl Simulator {
    /// The plan for this moment, after looking for what no plan may do.
    pub(super) fn judged_plan(&mut self) -> Step {
        let plan = self.plan();
        let now = self.now;
        let old = self.status();
        let overdue = old.expires_at.as_ref().is_some_and(|end| end.0 <= now);
        let mut status = old.clone();
        for write in plan.writes() {
            let writes_binding = matches!(write, Write::Bind(_) | Write::Restore(_));
            if writes_binding && overdue {
                self.breach(Law::ExpiryFirst, format!("after the end: {write:?}"));
            }
            if writes_binding && (self.is_deleted() || status.state.is_final()) {
                self.breach(Law::Withdrawal, format!("after the request is over: {write:?}"));
            }
            match write {
                Write::Record(new) => status = new.clone(),
                Write::Bind(wanted) => self.judge_bind(&status, wanted),
                Write::Restore(_) | Write::Unbind(_) => {}
            }
        }
        if old.state.is_final() && !is_the_same_or_reviewed(&old, &status) {
            self.breach(Law::History, "a finished request changes");
        }
        if overdue && !self.is_deleted() && !status.state.is_final() {
            self.breach(Law::ExpiryFirst, "the end has come and the plan does not end it");
        }
        if !self.is_deleted() && !status.state.is_final() {
            self.judge_wake(&status, plan.wake);
            self.judge_wake_for_freeze(&status, &plan);
        }
        plan
    }

    /// The windows in which a policy here denies this request.
    fn freeze(&self) -> Option<schedule::Schedule> {
        self.freeze_for(&self.request)
    }

    /// The windows in which a policy here denies a request; written down from what the policy says alone.
    fn freeze_for(&self, request: &AccessRequest) -> Option<schedule::Schedule> {
        let denies = self.policies.iter().find(|p| p.spec.effect == PolicyEffect::Deny && p.spec.schedule.is_some())?;
        let spared = denies.spec.on_break_glass == Some(OnBreakGlass::Exempt) && request.spec.break_glass;
        let raw = denies.spec.schedule.as_ref().filter(|_| !spared)?;
        Some(schedule::Schedule::read(raw, "").unwrap())
    }

    /// Access that runs is looked at again when a policy begins to deny it, and a request that waits for it when it ends.
    fn judge_wake_for_freeze(&mut self, status: &AccessRequestStatus, plan: &Step) {
        let Some(freeze) = self.freeze().filter(|_| plan.is_settled()) else { return };
        let waits = conditions::find(&status.conditions, conditions::APPROVED)
            .is_some_and(|c| c.reason == Reason::Frozen.as_str());
        let edge = match freeze.open(self.now) {
            Some(closes) if waits => Some(closes),
            None if self.ours() > 0 => freeze.next_opening(self.now),
            _ => None,
        };
        if edge.is_some_and(|edge| plan.wake.is_none_or(|wake| wake > edge)) {
            self.breach(Law::Wake, format!("wakes at {:?}, and a policy turns at {edge:?}", plan.wake));
        }
    }

    fn judge_bind(&mut self, status: &AccessRequestStatus, wanted: &Wanted) {
        let reference = wanted.reference();
        let recorded = status.bindings.iter().find(|r| **r == BindingRef { uid: r.uid.clone(), ..reference.clone() });
        if status.granted_at.is_none() || status.expires_at.is_none() || recorded.is_none() {
            self.breach(Law::RecordBeforeGrant, format!("binds what is not on record: {reference:?}"));
        }
        if recorded.is_some_and(|r| r.uid.is_some()) {
            self.breach(Law::ByHand, format!("binds again what was there before: {reference:?}"));
        }
        if wanted.metadata.finalizers.is_some() {
            self.breach(Law::Reaper, "a finalizer");
        }
    }

    fn judge_wake(&mut self, status: &AccessRequestStatus, wake: Option<Timestamp>) {
        let end = status.expires_at.as_ref().map(|t| t.0);
        let approved = conditions::find(&status.conditions, conditions::APPROVED);
        // While a policy that might deny cannot be read, or the clock is wrong, only its mending can change anything.
        let mended = [Reason::PolicyNotReady, Reason::ClockWrong].map(Reason::as_str);
        let undecided = approved.is_some_and(|c| mended.contains(&&*c.reason));
        let due = end.is_some() || (status.stage.is_some() && !undecided);
        let review = status.break_glass.as_ref().filter(|review| review.is_open()).map(|review| review.review_by.0);
        if review.is_some_and(|by| by > self.now && wake.is_none_or(|wake| wake > by)) {
            self.breach(Law::Wake, format!("wakes at {wake:?}, its review is due by {review:?}"));
        }
        if (due && wake.is_none()) || wake.zip(end).is_some_and(|(wake, end)| wake > end) {
            self.breach(Law::Wake, format!("wakes at {wake:?}, ends at {end:?}"));
        }
        if wake.is_some_and(|wake| wake <= self.now) {
            self.breach(Law::Wake, format!("wakes at {wake:?}, in the past"));
        }
    }

    /// What is planned by a right clock may be written when it is right no more, so this is judged where both go together.
    pub(super) fn judge_clock(&mut self, does: &str) {
        if let Some(wrong) = self.wrong_clock {
            self.breach(Law::Clock, format!("{does}, and {wrong}"));
        }
    }

    pub(super) fn judge_record(&mut self, new: &AccessRequestStatus) {
        let old = self.status();
        if (old.granted_at.is_none() && new.granted_at.is_some()) || old.extensions.len() < new.extensions.len() {
            self.judge_clock("puts a grant on record");
        }
        let extended = self.is_extended(&old, new);
        for (before, after, name) in
            [(&old.expires_at, &new.expires_at, "expiresAt"), (&old.granted_at, &new.granted_at, "grantedAt")]
        {
            if before.is_some() && before != after && !(extended && name == "expiresAt") {
                self.breach(Law::ExpiryFirst, format!("{name} moves from {before:?} to {after:?}"));
            }
            if after.as_ref().is_some_and(|t| t.0.subsec_nanosecond() != 0) {
                self.breach(Law::ExpiryFirst, format!("{name} does not read back as it was written: {after:?}"));
            }
        }
        if new.granted_at.is_some() && (new.expires_at.is_none() || new.bindings.is_empty()) {
            self.breach(Law::RecordBeforeGrant, "a grant on record without its end or its bindings");
        }
        if new.state.is_final() && self.ours() > 0 {
            self.breach(Law::RevokeBeforeRecord, format!("{:?} is on record while a binding exists", new.state));
        }
        if !new.history.starts_with(&old.history) || new.history.len() > 128 {
            self.breach(Law::History, "history does not only grow, or past its bound");
        }
        if new.message.as_ref().is_some_and(|m| m.len() > 4096) {
            self.breach(Law::History, "a message that the schema refuses");
        }
        if new.reviews != old.reviews {
            self.breach(Law::People, "the controller writes reviews");
        }
        let is = |type_| conditions::is_true(&new.conditions, type_);
        if is(conditions::FINISHED) != new.state.is_final() || is(conditions::GRANTED) != (new.state == State::Active) {
            self.breach(Law::History, format!("state {:?} and conditions disagree", new.state));
        }
    }

    /// Whether the new record moves the end by one extension, in the only way that an end may move.
    fn is_extended(&mut self, old: &AccessRequestStatus, new: &AccessRequestStatus) -> bool {
        if old.extensions == new.extensions {
            return false;
        }
        let (Some((last, before)), Some(end)) = (new.extensions.split_last(), old.expires_at.clone()) else {
            self.breach(Law::ExpiryFirst, "an extension of what has no end");
            return false;
        };
        let asked = self.extensions.iter().find(|e| e.metadata.uid.as_ref() == Some(&last.uid));
        // An extension is no emergency, also where it is one of access that was.
        let bounded = asked.and_then(|extension| {
            let length = duration::parse(extension.spec.duration.as_deref()?).ok()?;
            let opens = self.freeze_for(extension).and_then(|freeze| freeze.next_opening(end.0));
            let to = end.0 + length;
            (length <= MOST_ADDED).then_some(opens.map_or(to, |opens| opens.min(to)))
        });
        let sound = before == old.extensions
            && !before.iter().any(|e| e.uid == last.uid)
            && (last.from.clone(), Some(last.to.clone())) == (end.clone(), new.expires_at.clone())
            && bounded == Some(last.to.0)
            && new.extensions.len() <= MOST_EXTENSIONS
            && end.0 > self.now
            && (old.state, new.state) == (State::Active, State::Active);
        if !sound {
            self.breach(Law::ExpiryFirst, format!("an end may not move so: {:?} to {last:?}", old.extensions));
        }
        sound
    }

    /// What holds after every single write, whatever comes next.
    pub(super) fn judge_bindings(&mut self) {
        let status = self.status();
        let on_record = |b: &ClusterBinding| status.bindings.iter().any(|r| b.object.is_at(r));
        let dated = status.granted_at.is_some() && status.expires_at.is_some();
        if self.bindings.iter().any(|b| b.ours && !(dated && on_record(b))) {
            self.breach(Law::RecordBeforeGrant, "a binding exists that is not on record");
        }
    }

    /// What holds whenever a binding is made or left: recurring access is inside of a window that is on record, and
    /// what is made of a role gives nothing that it does not.
    pub(super) fn judge_access(&mut self, does: &str) {
        let status = self.status();
        if let Some(raw) = &self.request.spec.recurrence {
            let recorded = status.window.as_ref().is_some_and(|window| is_open(window, self.now));
            let raw = Schedule { time_zone: raw.time_zone.clone(), windows: raw.windows.clone() };
            let open = schedule::Schedule::read(&raw, "").is_ok_and(|schedule| schedule.open(self.now).is_some());
            if !(recorded && open) {
                self.breach(Law::Rest, format!("{does} at {} outside of its windows: {:?}", self.now, status.window));
            }
        }
        let made: Vec<ObservedRole> =
            self.bindings.iter().filter(|b| b.ours).filter_map(|b| b.object.made_role.clone()).collect();
        if made.is_empty() && !self.request.spec.rules.is_empty() && self.ours() > 0 {
            self.breach(Law::Narrow, format!("{does} with the whole role where less was asked for"));
        }
        let all = match &self.role {
            Some(RoleSeen::OfCluster(Some(role))) => role.rules.clone().unwrap_or_default(),
            _ => Vec::new(),
        };
        let wide = |made: &ObservedRole| covers(&all, &made.rules).is_err();
        // What somebody wrote into a made role since is put back in the next pass, which is what comes to rest.
        if made.iter().any(wide) {
            self.breach(Law::Narrow, format!("{does} with rights that its role does not have"));
        }
    }

    /// What holds once nothing is left to do.
    pub(super) fn judge_rest(&mut self) {
        let status = self.status();
        let over = status.state.is_final() || self.is_deleted();
        if over && self.ours() + self.marked() > 0 {
            self.breach(Law::Withdrawal, "the request is over and a binding is left");
        }
        if self.end().is_some_and(|end| end <= self.now) && (self.ours() > 0 || !over) {
            self.breach(Law::ExpiryFirst, "the end has come and access is left");
        }
        if over || self.ours() == 0 {
            return;
        }
        self.judge_access("comes to rest with access");
        if self.freeze().is_some_and(|freeze| freeze.open(self.now).is_some()) {
            self.breach(Law::Freeze, format!("access is left at {}, and a policy denies it", self.now));
        }
        let decided = status.policy.as_ref().map(|p| p.uid.clone()).unwrap_or_default();
        let policy = self.policies.iter().find(|p| p.metadata.uid.as_ref() == Some(&decided)).cloned();
        let policy = policy.as_ref();
        if policy.is_none_or(|p| p.spec.effect != PolicyEffect::Allow || matches!(Entry::read(p), Entry::Broken { .. }))
        {
            self.breach(Law::Withdrawal, "access is left, and no policy that allows it");
        }
        let requester = self.request.spec.requester.clone().unwrap_or_default().username;
        if status.reviews.get(&requester).is_some_and(|r| r.verdict == ReviewVerdict::Revoke) {
            self.breach(Law::Withdrawal, "access is left after the requester dropped it");
        }
        let changed =
            status.role.as_ref().map(|role| &role.digest) != self.role.as_ref().map(RoleSeen::digest).as_ref();
        if changed && policy.is_some_and(|p| p.spec.on_role_change == Some(OnRoleChange::Suspend)) {
            self.breach(Law::Rest, "access is left while its role is another than was decided on");
        }
        if status.break_glass.as_ref().is_some_and(|review| review.verdict == Some(ReviewVerdict::Deny)) {
            self.breach(Law::Withdrawal, "access is left that a reviewer found not to be justified");
        }
        let edited = |b: &&ClusterBinding| b.ours && !b.is_sound(&self.request);
        if let Some(standing) = self.bindings.iter().find(edited) {
            let what = format!("left as somebody changed it: {:?}", standing.object);
            self.breach(Law::ByHand, what);
        }
    }
}

/// A finished request stays as it is; only the review of break-glass access is still to come.
fn is_the_same_or_reviewed(old: &AccessRequestStatus, new: &AccessRequestStatus) -> bool {
    let open = old.break_glass.as_ref().is_some_and(|review| review.is_open());
    let reviewed = AccessRequestStatus {
        break_glass: old.break_glass.clone(),
        conditions: old.conditions.clone(),
        history: old.history.clone(),
        ..new.clone()
    };
    let other = |status: &AccessRequestStatus| {
        status.conditions.iter().filter(|c| c.type_ != conditions::REVIEWED).cloned().collect::<Vec<_>>()
    };
    old == new || (open && reviewed == *old && other(old) == other(new) && new.history.starts_with(&old.history))
}

impl ClusterBinding {
    /// Whether it gives the role to the requester and to nobody else, and says whose it is.
    fn is_sound(&self, request: &AccessRequest) -> bool {
        let requester = request.spec.requester.as_ref().map(|r| r.username.clone()).unwrap_or_default();
        let subjects: Vec<&str> = self.object.subjects.iter().map(|s: &Subject| s.name.as_str()).collect();
        let annotations = self.object.metadata.annotations.as_ref();
        subjects == [requester]
            && self.object.request_uid() == request.metadata.uid.as_deref()
            && annotations.is_some_and(|a| a.contains_key(keys::EXPIRES_AT))
    }
}
