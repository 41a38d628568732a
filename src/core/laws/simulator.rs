//! A small cluster with one request in it, for the laws: it carries out plans effect by effect, the way the
//! documentation of `plan` promises, and writes down every breach of a law that it sees.
//!
//! It owns what is true between two passes. What may happen to it from outside is in `strategies`, what counts as a breach in
//! `judge`.

mod judge;
mod records;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::api::policy::AccessPolicy;
use crate::api::request::{AccessRequest, AccessRequestStatus, BindingRef, RoleRisk, State};
use crate::core::activity::idle::UsesHeard;
use crate::core::decision::protected::Protected;
use crate::core::decision::served::ServedNamespaces;
use crate::core::decision::snapshot::{ArchiveSight, Snapshot};
use crate::core::guard::Guard;
use crate::core::lifecycle::plan::{ends, plan};
use crate::core::lifecycle::reap::{Owner, verdict};
use crate::core::lifecycle::step::{Step, Write};
use crate::core::model::namespaces::Namespaces;
use crate::core::model::own_clock::WrongClock;
use crate::core::model::recurrence::is_open;
use crate::core::policies::PolicySet;
use crate::core::policies::limits::Counted;
use crate::core::policies::usable::BindRights;
use crate::core::rbac::bind_refusal::BindRefusal;
use crate::core::rbac::binding::{Observed, Wanted};
use crate::core::rbac::made_role::ObservedRole;
use crate::core::rbac::role::RoleSeen;

/// Why nothing can be bound when the simulator refuses to.
pub fn cannot_bind() -> BindRefusal {
    BindRefusal::RoleTaken("edit".to_owned())
}

/// Steps after which a request must have come to rest. The longest way has four.
const MOST_STEPS: usize = 8;

/// The most that one extension adds under the policies of `strategies`, and how many there may be.
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
    /// Not one of the ten: no access in a window in which a policy denies it, but in emergencies that it spares.
    Freeze,
    /// Not one of the ten: what is made of a role gives no more than the role does.
    Narrow,
    /// Not one of the ten: nothing new is granted by a wrong clock.
    Clock,
    /// Not one of the ten: what was recorded once is recorded the same for good.
    Records,
}

/// A binding in the cluster, and whether a `Bind` made it.
#[derive(Clone, Debug)]
pub struct ClusterBinding {
    pub object: Observed,
    pub ours: bool,
}

#[derive(Clone, Debug)]
pub struct Simulator {
    pub now: Timestamp,
    pub request: AccessRequest,
    pub policies: Vec<AccessPolicy>,
    pub namespaces: Namespaces,
    pub bindings: Vec<ClusterBinding>,
    /// The request that this one extends.
    pub extended: Option<AccessRequest>,
    /// Requests that extend this one.
    pub extensions: Vec<AccessRequest>,
    /// Other break-glass requests of the same person.
    pub unreviewed: Vec<AccessRequest>,
    /// Other requests under policies that have limits.
    pub others: Vec<Counted>,
    /// What is known of the archive.
    pub archive: Option<ArchiveSight>,
    /// What it said of the use of the grant.
    pub uses: Option<UsesHeard>,
    /// How much harm the role can do.
    pub risk: Option<RoleRisk>,
    /// The role asked for.
    pub role: Option<RoleSeen>,
    /// What the controller may bind, as it was told.
    pub bind_rights: Option<BindRights>,
    /// What the canary says.
    pub guard: Guard,
    /// What is wrong with the controller's clock.
    pub wrong_clock: Option<WrongClock>,
    /// Whether somebody may have written to the request while the guard was missing.
    pub doubted: bool,
    /// Whether the API server refuses to bind the role.
    pub refuses: bool,
    /// Why it did, as the process remembers it until it ends.
    pub failure: Option<BindRefusal>,
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

impl Simulator {
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
            archive: None,
            uses: None,
            risk: None,
            role: Some(RoleSeen::that_only_looks()),
            bind_rights: None,
            guard: Guard::since(Timestamp::MIN),
            wrong_clock: None,
            doubted: false,
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
            reach: &ServedNamespaces::Cluster,
            protected: Protected::default(),
            bindings,
            extended: self.extended.as_ref(),
            extensions: &self.extensions,
            unreviewed: &self.unreviewed,
            others: &self.others,
            archive: self.archive,
            uses: self.uses.as_ref(),
            risk: self.risk.as_ref(),
            role: self.role.as_ref(),
            bind_rights: self.bind_rights.as_ref(),
            wrong_clock: self.wrong_clock,
            doubted: self.doubted,
            bind_failure: self.failure.as_ref(),
        }
    }

    /// The plan for this moment.
    pub fn plan(&self) -> Step {
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
        let seen = |b: &&ClusterBinding| {
            status.bindings.iter().any(|r| b.object.is_at(r)) || (uid.is_some() && b.object.request_uid() == uid)
        };
        let bindings: Vec<Observed> = self.bindings.iter().filter(seen).map(|b| b.object.clone()).collect();
        let policies = PolicySet::new(&self.policies);
        look(&self.snapshot(&policies, &bindings))
    }

    /// Plans and carries out one step; the process dies after `most` writes. False when there was nothing to do.
    pub fn step(&mut self, most: usize) -> bool {
        self.step_with(most, |_| {})
    }

    /// Like [`Simulator::step`] to the end, with something happening after `at` writes.
    pub fn step_interrupted(&mut self, at: usize, what: impl FnOnce(&mut Self)) {
        let mut what = Some(what);
        let plan = self.judged_plan();
        let planned_for = self.version;
        let mut failed = false;
        for (index, write) in plan.writes().enumerate() {
            if index == at
                && let Some(what) = what.take()
            {
                what(self);
            }
            self.carry_out(write, planned_for, &mut failed);
        }
        if let Some(what) = what {
            what(self);
        }
    }

    fn step_with(&mut self, most: usize, mut after: impl FnMut(&mut Self)) -> bool {
        let plan = self.judged_plan();
        let planned_for = self.version;
        let mut failed = false;
        for write in plan.writes().take(most) {
            self.carry_out(write, planned_for, &mut failed);
            after(self);
        }
        !plan.is_settled()
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
        let (mut remaining, mut breaches) = (Vec::new(), Vec::new());
        for standing in std::mem::take(&mut self.bindings) {
            let why = verdict(&standing.object, Owner::Found(&self.request), self.now);
            let recorded = status.bindings.iter().any(|r| standing.object.is_at(r));
            let dated = status.expires_at.as_ref().is_some_and(|end| self.now < end.0);
            let recurs = self.request.spec.recurrence.is_some();
            let suspended = recurs && !status.window.as_ref().is_some_and(|window| is_open(window, self.now));
            let live = dated && !status.state.is_final() && !suspended;
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
            remaining.push(standing);
        }
        self.bindings = remaining;
        self.breaches.extend(breaches.into_iter().map(|b| (Law::Reaper, b)));
    }

    /// After a failed write none that follows is made, but for `Unbind`s.
    fn carry_out(&mut self, write: Write<'_>, planned_for: u64, failed: &mut bool) {
        if *failed && !matches!(write, Write::Unbind(_)) {
            return;
        }
        let result = match write {
            Write::Record(status) => self.record(status, planned_for),
            Write::Bind(wanted) => self.bind(wanted),
            Write::Restore(wanted) => self.restore(wanted),
            Write::Unbind(binding) => {
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
        self.judge_records(new);
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
            self.failure = Some(cannot_bind());
        }
        if self.refuses || taken || !reference.namespace.as_ref().is_none_or(usable) {
            return Err(Refused);
        }
        if self.end().is_none_or(|end| end <= self.now) {
            self.breach(Law::ExpiryFirst, "binds at or after the end");
        }
        self.judge_clock("binds");
        self.binds += 1;
        let mut metadata = wanted.metadata.clone();
        metadata.uid = Some(self.new_uid());
        metadata.resource_version = Some("1".to_owned());
        let (role, subjects) = (wanted.role.clone(), vec![wanted.subject.clone()]);
        let made_role = wanted.made_role.as_ref().map(|role| {
            let metadata = ObjectMeta { uid: Some(self.new_uid()), ..role.metadata.clone() };
            ObservedRole { metadata, rules: role.rules.clone() }
        });
        let object = Observed { kind: wanted.kind, metadata, role, subjects, made_role };
        self.bindings.push(ClusterBinding { object, ours: true });
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
            *made = ObservedRole { metadata: role.metadata.clone(), rules: role.rules.clone() };
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
}

impl ClusterBinding {
    /// A new version, as after every write.
    pub fn touch(&mut self) {
        let version = self.object.metadata.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0_u64);
        self.object.metadata.resource_version = Some((version + 1).to_string());
    }
}
