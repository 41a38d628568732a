//! A small cluster with one request in it, for the laws: it carries out plans effect by effect, the way the
//! documentation of `plan` promises, and writes down every breach of a law that it sees.
//!
//! It owns what is true between two passes. What may happen to it from outside is in `chance`.

use k8s_openapi::api::rbac::v1::Subject;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::api::conditions;
use crate::api::keys;
use crate::api::policy::{AccessPolicy, Effect as PolicyEffect, OnRoleChange, Schedule};
use crate::api::request::{AccessRequest, AccessRequestStatus, BindingRef, ReviewVerdict, RoleRisk, State};
use crate::core::binding::{Observed, Wanted};
use crate::core::duration;
use crate::core::effect::{Effect, Plan};
use crate::core::guard::Guard;
use crate::core::history::Reason;
use crate::core::limits::Counted;
use crate::core::made_role::MadeRole;
use crate::core::namespaces::Namespaces;
use crate::core::plan::{ends, plan};
use crate::core::policies::{Entry, PolicySet};
use crate::core::reach::Reach;
use crate::core::reap::{Owner, verdict};
use crate::core::recurrence::is_open;
use crate::core::role::RoleSeen;
use crate::core::rules::covers;
use crate::core::schedule;
use crate::core::snapshot::Snapshot;

/// Steps after which a request must have come to rest. The longest way has four.
const MOST_STEPS: usize = 8;

/// The most that one extension adds under the policies of `chance`, and how many there may be.
pub const MOST_ADDED: SignedDuration = SignedDuration::from_mins(30);
pub const MOST_EXTENSIONS: usize = 2;

/// What a breach is a breach of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    RecordBeforeGrant,
    RevokeBeforeRecord,
    ExpiryFirst,
    Withdrawal,
    ByHand,
    OnlyOurs,
    Reaper,
    Wake,
    People,
    History,
    Settles,
    /// Not one of the ten: access rests outside of its windows, and while its role is another.
    Rest,
    /// Not one of the ten: what is made of a role gives no more than the role does.
    Narrow,
}

/// A binding in the cluster, and whether a `Bind` made it.
#[derive(Clone, Debug)]
pub struct Standing {
    pub object: Observed,
    pub ours: bool,
}

#[derive(Clone, Debug)]
pub struct World {
    pub now: Timestamp,
    pub request: AccessRequest,
    pub policies: Vec<AccessPolicy>,
    pub namespaces: Namespaces,
    pub bindings: Vec<Standing>,
    /// The request that this one extends.
    pub extended: Option<AccessRequest>,
    /// Requests that extend this one.
    pub extensions: Vec<AccessRequest>,
    /// Other break-glass requests of the same person.
    pub unreviewed: Vec<AccessRequest>,
    /// Other requests under policies that have limits.
    pub others: Vec<Counted>,
    /// How much harm the role can do.
    pub risk: Option<RoleRisk>,
    /// The role asked for.
    pub role: Option<RoleSeen>,
    /// What the canary says.
    pub guard: Guard,
    /// Whether the API server refuses to bind the role.
    pub refuses: bool,
    /// Why it did, as the process remembers it until it ends.
    pub failure: Option<String>,
    /// Whether ends are judged before bindings are read, as `ends` allows.
    pub blind: bool,
    pub breaches: Vec<(Law, String)>,
    /// How many bindings were made.
    pub binds: usize,
    /// Changes with every write to the request.
    pub version: u64,
    uids: u64,
}

/// Why an effect could not be carried out.
#[derive(Debug)]
struct Refused;

impl World {
    pub fn new(request: AccessRequest, policies: Vec<AccessPolicy>, namespaces: Namespaces, now: Timestamp) -> Self {
        Self {
            now,
            request,
            policies,
            namespaces,
            bindings: Vec::new(),
            extended: None,
            extensions: Vec::new(),
            unreviewed: Vec::new(),
            others: Vec::new(),
            risk: None,
            role: Some(RoleSeen::OfCluster(None)),
            guard: Guard::Since(Timestamp::MIN),
            refuses: false,
            failure: None,
            blind: false,
            breaches: Vec::new(),
            binds: 0,
            version: 0,
            uids: 0,
        }
    }

    pub fn status(&self) -> AccessRequestStatus {
        self.request.status.clone().unwrap_or_default()
    }

    pub fn state(&self) -> State {
        self.request.status.as_ref().map(|s| s.state).unwrap_or_default()
    }

    pub fn end(&self) -> Option<Timestamp> {
        self.request.status.as_ref()?.expires_at.as_ref().map(|t| t.0)
    }

    pub fn is_deleted(&self) -> bool {
        self.request.metadata.deletion_timestamp.is_some()
    }

    /// How many bindings are there that a `Bind` made.
    pub fn ours(&self) -> usize {
        self.bindings.iter().filter(|b| b.ours).count()
    }

    fn marked(&self) -> usize {
        self.bindings.iter().filter(|b| b.object.request_uid() == self.request.metadata.uid.as_deref()).count()
    }

    pub fn new_uid(&mut self) -> String {
        self.uids += 1;
        format!("b-{}", self.uids)
    }

    pub fn breach(&mut self, law: Law, what: impl Into<String>) {
        self.breaches.push((law, what.into()));
    }

    /// The facts of this moment.
    pub fn snapshot<'a>(&'a self, policies: &'a PolicySet, bindings: &'a [Observed]) -> Snapshot<'a> {
        Snapshot {
            guard: &self.guard,
            request: &self.request,
            policies,
            namespaces: &self.namespaces,
            reach: &Reach::Cluster,
            bindings,
            extended: self.extended.as_ref(),
            extensions: &self.extensions,
            unreviewed: &self.unreviewed,
            others: &self.others,
            risk: self.risk.as_ref(),
            role: self.role.as_ref(),
            bind_failure: self.failure.as_deref(),
        }
    }

    /// The plan for this moment.
    pub fn plan(&self) -> Plan {
        self.with_snapshot(|snapshot| {
            if self.blind
                && !self.state().is_final()
                && let Some(end) = ends(&Snapshot { bindings: &[], ..*snapshot }, self.now)
            {
                return end;
            }
            plan(snapshot, self.now)
        })
    }

    /// What `look` makes of the facts of this moment.
    pub fn with_snapshot<T>(&self, look: impl FnOnce(&Snapshot<'_>) -> T) -> T {
        let status = self.status();
        let uid = self.request.metadata.uid.as_deref();
        let seen = |b: &&Standing| {
            status.bindings.iter().any(|r| b.object.is_at(r)) || (uid.is_some() && b.object.request_uid() == uid)
        };
        let bindings: Vec<Observed> = self.bindings.iter().filter(seen).map(|b| b.object.clone()).collect();
        let policies = PolicySet::new(&self.policies);
        look(&self.snapshot(&policies, &bindings))
    }

    /// Plans and carries out one step; the process dies after `most` effects. False when there was nothing to do.
    pub fn step(&mut self, most: usize) -> bool {
        self.step_with(most, |_| {})
    }

    /// Like [`World::step`] to the end, with something happening after `at` effects.
    pub fn step_interrupted(&mut self, at: usize, what: impl FnOnce(&mut Self)) {
        let mut what = Some(what);
        let plan = self.judged_plan();
        let planned_for = self.version;
        let mut failed = false;
        for (index, effect) in plan.effects.iter().enumerate() {
            if index == at
                && let Some(what) = what.take()
            {
                what(self);
            }
            self.carry_out(effect, planned_for, &mut failed);
        }
        if let Some(what) = what {
            what(self);
        }
    }

    fn step_with(&mut self, most: usize, mut after: impl FnMut(&mut Self)) -> bool {
        let plan = self.judged_plan();
        let planned_for = self.version;
        let mut failed = false;
        for effect in plan.effects.iter().take(most) {
            self.carry_out(effect, planned_for, &mut failed);
            after(self);
        }
        !plan.effects.is_empty()
    }

    /// Steps until nothing is left to do, as the controller does.
    pub fn settle(&mut self) {
        for _ in 0..MOST_STEPS {
            if !self.step(usize::MAX) {
                self.judge_rest();
                return;
            }
        }
        let next = self.plan();
        self.breach(Law::Settles, format!("does not come to rest; next: {next:?}"));
    }

    /// Looks at every binding, as the reaper does.
    pub fn reap(&mut self) {
        let status = self.status();
        let (mut kept, mut breaches) = (Vec::new(), Vec::new());
        for standing in std::mem::take(&mut self.bindings) {
            let why = verdict(&standing.object, Owner::Found(&self.request), self.now);
            let recorded = status.bindings.iter().any(|r| standing.object.is_at(r));
            let dated = status.expires_at.as_ref().is_some_and(|end| self.now < end.0);
            let recurs = self.request.spec.recurrence.is_some();
            let rests = recurs && !status.window.as_ref().is_some_and(|window| is_open(window, self.now));
            let live = dated && !status.state.is_final() && !rests;
            match why {
                Some(why) if live && recorded => breaches.push(format!("takes a live grant's binding: {why}")),
                Some(why) if standing.object.request_uid().is_none() => {
                    breaches.push(format!("takes a stranger: {why}"))
                }
                Some(_) => continue,
                None if standing.ours && !live && standing.object.request_uid().is_some() => {
                    breaches.push("leaves a binding of a request that is over".to_owned());
                }
                None => {}
            }
            kept.push(standing);
        }
        self.bindings = kept;
        self.breaches.extend(breaches.into_iter().map(|b| (Law::Reaper, b)));
    }

    /// After a failed effect none that follows is made, but for `Unbind`s.
    fn carry_out(&mut self, effect: &Effect, planned_for: u64, failed: &mut bool) {
        if *failed && !matches!(effect, Effect::Unbind(_)) {
            return;
        }
        let result = match effect {
            Effect::Record(status) => self.record(status, planned_for),
            Effect::Bind(wanted) => self.bind(wanted),
            Effect::Restore(wanted) => self.restore(wanted),
            Effect::Unbind(binding) => {
                self.unbind(binding);
                Ok(())
            }
        };
        *failed |= result.is_err();
        self.judge_bindings();
    }

    fn record(&mut self, new: &AccessRequestStatus, planned_for: u64) -> Result<(), Refused> {
        if self.version != planned_for {
            return Err(Refused);
        }
        self.judge_record(new);
        let text = serde_json::to_string(new).unwrap();
        self.request.status = Some(serde_json::from_str(&text).unwrap());
        self.version += 1;
        Ok(())
    }

    fn bind(&mut self, wanted: &Wanted) -> Result<(), Refused> {
        let reference = wanted.reference();
        let usable = |n: &String| self.namespaces.get(n).is_some_and(|n| !n.terminating);
        let taken = self.bindings.iter().any(|b| b.object.is_at(&reference));
        if self.refuses {
            self.failure = Some("the role cannot be bound".to_owned());
        }
        if self.refuses || taken || !reference.namespace.as_ref().is_none_or(usable) {
            return Err(Refused);
        }
        if self.end().is_none_or(|end| end <= self.now) {
            self.breach(Law::ExpiryFirst, "binds at or after the end");
        }
        self.binds += 1;
        let mut metadata = wanted.metadata.clone();
        metadata.uid = Some(self.new_uid());
        metadata.resource_version = Some("1".to_owned());
        let (role, subjects) = (wanted.role.clone(), vec![wanted.subject.clone()]);
        let made_role = wanted.made_role.as_ref().map(|role| {
            let metadata = ObjectMeta { uid: Some(self.new_uid()), ..role.metadata.clone() };
            MadeRole { metadata, rules: role.rules.clone() }
        });
        let object = Observed { kind: wanted.kind, metadata, role, subjects, made_role };
        self.bindings.push(Standing { object, ours: true });
        self.judge_access("binds");
        Ok(())
    }

    fn restore(&mut self, wanted: &Wanted) -> Result<(), Refused> {
        let reference = wanted.reference();
        // A copy that was made before the UID was on record cannot be told from the binding, and is on record since.
        let recorded = self.status().bindings;
        let standing = self.bindings.iter_mut().find(|b| b.object.is_at(&reference)).ok_or(Refused)?;
        let known = recorded.iter().any(|r| r.uid.is_some() && r.uid == standing.object.metadata.uid);
        let marked = known || standing.object.request_uid() == self.request.metadata.uid.as_deref();
        let metadata = &mut standing.object.metadata;
        if metadata.uid != wanted.metadata.uid || metadata.resource_version != wanted.metadata.resource_version {
            return Err(Refused);
        }
        *metadata = wanted.metadata.clone();
        standing.object.subjects = vec![wanted.subject.clone()];
        if let (Some(made), Some(role)) = (&mut standing.object.made_role, &wanted.made_role)
            && role.metadata.uid == made.metadata.uid
        {
            *made = MadeRole { metadata: role.metadata.clone(), rules: role.rules.clone() };
        }
        standing.touch();
        if !standing.ours && !marked {
            self.breach(Law::OnlyOurs, format!("writes over a binding that is not ours: {reference:?}"));
        }
        Ok(())
    }

    fn unbind(&mut self, binding: &BindingRef) {
        let Some(at) = self.bindings.iter().position(|b| b.object.is_at(binding)) else { return };
        let standing = &self.bindings[at];
        let marked = standing.object.request_uid() == self.request.metadata.uid.as_deref();
        let meant = match &binding.uid {
            Some(uid) => standing.object.metadata.uid.as_ref() == Some(uid),
            None => marked,
        };
        if !meant {
            return;
        }
        if !standing.ours && !marked {
            self.breach(Law::OnlyOurs, format!("deletes a binding that is not ours: {binding:?}"));
        }
        self.bindings.remove(at);
    }

    /// The plan for this moment, after looking for what no plan may do.
    fn judged_plan(&mut self) -> Plan {
        let plan = self.plan();
        let now = self.now;
        let old = self.status();
        let overdue = old.expires_at.as_ref().is_some_and(|end| end.0 <= now);
        let mut status = old.clone();
        for effect in &plan.effects {
            let writes_binding = matches!(effect, Effect::Bind(_) | Effect::Restore(_));
            if writes_binding && overdue {
                self.breach(Law::ExpiryFirst, format!("after the end: {effect:?}"));
            }
            if writes_binding && (self.is_deleted() || status.state.is_final()) {
                self.breach(Law::Withdrawal, format!("after the request is over: {effect:?}"));
            }
            match effect {
                Effect::Record(new) => status = (**new).clone(),
                Effect::Bind(wanted) => self.judge_bind(&status, wanted),
                Effect::Restore(_) | Effect::Unbind(_) => {}
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
        }
        plan
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
        // While a policy that might deny cannot be read, only its mending can change anything.
        let undecided = approved.is_some_and(|c| c.reason == Reason::PolicyNotReady.as_str());
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

    fn judge_record(&mut self, new: &AccessRequestStatus) {
        let old = self.status();
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
        let asked = asked.and_then(|e| duration::parse(e.spec.duration.as_deref()?).ok());
        let sound = before == old.extensions
            && !before.iter().any(|e| e.uid == last.uid)
            && (last.from.clone(), Some(last.to.clone())) == (end.clone(), new.expires_at.clone())
            && asked.is_some_and(|length| last.to.0.duration_since(end.0) == length && length <= MOST_ADDED)
            && new.extensions.len() <= MOST_EXTENSIONS
            && end.0 > self.now
            && (old.state, new.state) == (State::Active, State::Active);
        if !sound {
            self.breach(Law::ExpiryFirst, format!("an end may not move so: {:?} to {last:?}", old.extensions));
        }
        sound
    }

    /// What holds after every single write, whatever comes next.
    fn judge_bindings(&mut self) {
        let status = self.status();
        let on_record = |b: &Standing| status.bindings.iter().any(|r| b.object.is_at(r));
        let dated = status.granted_at.is_some() && status.expires_at.is_some();
        if self.bindings.iter().any(|b| b.ours && !(dated && on_record(b))) {
            self.breach(Law::RecordBeforeGrant, "a binding exists that is not on record");
        }
    }

    /// What holds whenever a binding is made or left: recurring access is inside of a window that is on record, and
    /// what is made of a role gives nothing that it does not.
    fn judge_access(&mut self, does: &str) {
        let status = self.status();
        if let Some(raw) = &self.request.spec.recurrence {
            let recorded = status.window.as_ref().is_some_and(|window| is_open(window, self.now));
            let raw = Schedule { time_zone: raw.time_zone.clone(), windows: raw.windows.clone() };
            let open = schedule::Schedule::read(&raw, "").is_ok_and(|schedule| schedule.open(self.now).is_some());
            if !(recorded && open) {
                self.breach(Law::Rest, format!("{does} at {} outside of its windows: {:?}", self.now, status.window));
            }
        }
        let made: Vec<MadeRole> =
            self.bindings.iter().filter(|b| b.ours).filter_map(|b| b.object.made_role.clone()).collect();
        if made.is_empty() && !self.request.spec.rules.is_empty() && self.ours() > 0 {
            self.breach(Law::Narrow, format!("{does} with the whole role where less was asked for"));
        }
        let all = match &self.role {
            Some(RoleSeen::OfCluster(Some(role))) => role.rules.clone().unwrap_or_default(),
            _ => Vec::new(),
        };
        let wide = |made: &MadeRole| covers(&all, &made.rules).is_err();
        // What somebody wrote into a made role since is put back in the next pass, which is what comes to rest.
        if made.iter().any(wide) {
            self.breach(Law::Narrow, format!("{does} with rights that its role does not have"));
        }
    }

    /// What holds once nothing is left to do.
    fn judge_rest(&mut self) {
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
        let edited = |b: &&Standing| b.ours && !b.is_sound(&self.request);
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

impl Standing {
    /// A new version, as after every write.
    pub fn touch(&mut self) {
        let version = self.object.metadata.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0_u64);
        self.object.metadata.resource_version = Some((version + 1).to_string());
    }

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
