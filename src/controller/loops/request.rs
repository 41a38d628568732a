//! Takes one request through a pass: plan a step, carry it out, plan again on the result, until nothing is left.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use kube::runtime::controller::Action;
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;
use tracing::warn;

use super::lost_namespace;
use crate::api::request::{AccessRequest, AccessRequestStatus, BindingRef, RoleRisk, State};
use crate::controller::context::Context;
use crate::controller::error::{BindError, Error};
use crate::controller::loops::bind_rights;
use crate::controller::loops::related::Related;
use crate::controller::observe::{self, Rules, version};
use crate::controller::queues::Lane;
use crate::controller::stores::ends::{Gone, Moving};
use crate::controller::stores::packed::{PackedRequest, reference};
use crate::controller::write::transition_metrics::PassInfo;
use crate::core::decision::snapshot::Snapshot;
use crate::core::guard::Guard;
use crate::core::lifecycle::expiry::{bound_until, has_come};
use crate::core::lifecycle::plan::{ends, plan};
use crate::core::lifecycle::step::Step;
use crate::core::model::instants::sleep_until;
use crate::core::model::namespaces::Namespaces;
use crate::core::policies::PolicySet;
use crate::core::policies::limits::Counted;
use crate::core::policies::usable::BindRights;
use crate::core::rbac::binding::{self, Observed, Wanted};
use crate::core::rbac::role::RoleSeen;

/// The longest way from a new request to its end has four steps; twice that is a fault.
const MOST_STEPS: usize = 8;
/// How many bindings of one request are written at a time.
const CONCURRENT_BINDINGS: usize = 16;
/// First wait after a failed pass; doubles each time.
const FIRST_RETRY: Duration = Duration::from_millis(50);
/// Longest wait after failed passes.
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// Longest wait after failed passes over a request that is past its end, or that could not be ended early.
const LONGEST_OVERDUE_RETRY: Duration = Duration::from_millis(500);

/// When to look again at a request whose access is being taken away: that loop asks for a pass when it is done.
const LEFT_TO_ENDS: Duration = Duration::from_secs(1);
/// When to look again at a request that another pass is working on.
const WORKED_ON: Duration = Duration::from_millis(20);

/// Takes a request as far as it can go now.
///
/// # Errors
/// When a read or write failed. What was done stays done; the next pass goes on from there.
pub async fn reconcile(lane: Lane, packed: Arc<PackedRequest>, context: Arc<Context>) -> Result<Action, Error> {
    let reference = reference(&*packed);
    // The watch has yet to bring what a pass wrote, and planning on the old version would only end in a conflict. An end
    // does not wait for a watch, though: when one has come, the API server is asked.
    let ahead = packed.version().and_then(|version| context.requests.expectations.ahead_of(&reference, version));
    let now = context.clock.now();
    if let Some(wake) = ahead.filter(|wake| wake.is_none_or(|wake| wake > now)) {
        return Ok(look_again(wake, now));
    }
    // The loop of ends takes it away first, and asks for a pass then.
    if packed_uid(&packed).is_some_and(|uid| context.requests.ends.is_due(uid, now)) {
        return Ok(Action::requeue(LEFT_TO_ENDS));
    }
    // An echo that came since this was taken from the store is in the store by now, and no other pass is made for it.
    let newest = context.requests.store.get(&reference).unwrap_or(packed);
    // The reaper takes its bindings: a request that cannot be read grants nothing.
    let Some(request) = newest.open() else { return Ok(Action::await_change()) };
    if lane == Lane::Decisions && context.is_limited(&request) {
        context.queues.enqueue(Lane::Limited, reference);
        return Ok(Action::await_change());
    }
    let guard = context.policies.guard();
    // After the guard: whoever sees it in force again sees what was written without it.
    let doubted = matches!(guard, Guard::InForce(_)) && context.requests.doubts.has(&reference);
    let Some(_working) = context.requests.worked_on.begin(&reference) else { return Ok(Action::requeue(WORKED_ON)) };
    let gone = packed_uid(&newest).and_then(|uid| context.requests.ends.gone(uid));
    let mut pass = Pass {
        context: &context,
        request,
        began: Instant::now(),
        guard,
        end_come: packed_uid(&newest).and_then(|uid| context.requests.ends.come(uid)),
        role: None,
        bind_rights: Arc::default(),
        risk: None,
        related: Related::default(),
        others: Vec::new(),
        doubted,
        answers: false,
        counting_lock: None,
        fresh_rules: None,
        fresh: false,
        made: Vec::new(),
        unbound: gone.as_ref().map(|gone| gone.bindings.clone()).unwrap_or_default(),
        gone,
        failure: None,
    };
    if ahead.is_some() && !pass.refresh().await? {
        return Ok(Action::await_change());
    }
    for _ in 0..MOST_STEPS {
        let step = pass.next_step().await?;
        if step.is_settled() {
            context.requests.failures.forget(&reference);
            pass.settle_doubt();
            if let Some(version) = version(&pass.request).filter(|_| pass.fresh) {
                context.requests.settled(&reference, version, step.wake);
            }
            return Ok(look_again(step.wake, context.clock.now()));
        }
        if !pass.carry_out(step).await? {
            return Ok(Action::await_change());
        }
        pass.settle_doubt();
    }
    Err(Error::DoesNotSettle(MOST_STEPS))
}

/// When to try again after a failed pass. The wait doubles, but stays short once access is overdue to end.
pub fn after_error(packed: Arc<PackedRequest>, error: &Error, context: Arc<Context>) -> Action {
    if matches!(error, Error::Conflict) {
        return Action::requeue(FIRST_RETRY);
    }
    let (failures, report) = context.requests.failures.count(reference(&*packed), error);
    if report {
        packed.open().iter().for_each(|request| context.writer.announce_hindrance(request, &error.to_string()));
    }
    let longest = if matches!(error, Error::CannotEnd(_)) { LONGEST_OVERDUE_RETRY } else { LONGEST_RETRY };
    let wait = FIRST_RETRY.saturating_mul(1 << (failures - 1).min(15)).min(longest);
    let end = packed.summary.as_ref().and_then(|summary| summary.ends);
    let until_end = end.map_or(LONGEST_RETRY, |end| sleep_until(end, context.clock.now()));
    Action::requeue(wait.min(until_end.max(LONGEST_OVERDUE_RETRY)))
}

fn packed_uid(packed: &PackedRequest) -> Option<&str> {
    packed.meta().uid.as_deref()
}

fn look_again(wake: Option<Timestamp>, now: Timestamp) -> Action {
    wake.map_or_else(Action::await_change, |wake| Action::requeue(sleep_until(wake, now)))
}

/// The final state that a step would refuse or take away access with.
fn refusal(step: &Step) -> Option<State> {
    step.comes_to().filter(|state| matches!(state, State::Denied | State::Revoked))
}

/// What keeps the end of running access from being taken for due while a later one is stored, if `new` has one.
///
/// # Errors
/// When the end has come: then it is not moved any more.
fn begin_to_move_end<'c>(
    context: &'c Context,
    request: &AccessRequest,
    new: &AccessRequestStatus,
) -> Result<Option<Moving<'c>>, Error> {
    let (before, after) = (request.status.as_ref().and_then(bound_until), bound_until(new));
    let uid = request.metadata.uid.as_deref().filter(|_| before.is_some() && after > before);
    let begin = |uid| context.requests.ends.begin_to_move(uid, context.clock.now()).ok_or(Error::Conflict);
    uid.map(begin).transpose()
}

/// One pass over one request.
struct Pass<'a> {
    context: &'a Context,
    request: AccessRequest,
    /// When the pass began.
    began: Instant,
    /// What the canary said when the pass began.
    guard: Guard,
    /// Its end, when that had come before the pass: whatever the clock says now.
    end_come: Option<Timestamp>,
    /// Its role; nothing once it is over.
    role: Option<RoleSeen>,
    /// What this process may bind.
    bind_rights: Arc<BindRights>,
    /// How much harm that can do.
    risk: Option<RoleRisk>,
    /// Other requests that it has to do with.
    related: Related,
    /// Other requests under policies that have limits.
    others: Vec<Counted>,
    /// Whether somebody may have written to it while the guard was missing, as far as no step has answered that.
    doubted: bool,
    /// Whether the step that is carried out is the answer.
    answers: bool,
    /// Held while they must not become more.
    counting_lock: Option<OwnedMutexGuard<()>>,
    /// Policies and namespaces read in this pass, when the watches' were not good enough.
    fresh_rules: Option<Rules>,
    /// Whether the request comes from the API server within this pass, rather than from the store.
    fresh: bool,
    /// Bindings written in this pass; the store may not have them yet.
    made: Vec<Observed>,
    /// Bindings deleted in this pass; the store may have them still.
    unbound: Vec<BindingRef>,
    /// What the loop of ends has deleted before this pass.
    gone: Option<Gone>,
    /// Why a binding was refused in this pass.
    failure: Option<String>,
}

impl Pass<'_> {
    async fn next_step(&mut self) -> Result<Step, Error> {
        self.answers = false;
        // Before anything that can fail, also a read: an end that has come is an end.
        let nothing = (PolicySet::default(), Namespaces::default());
        let now = self.now();
        let open = !self.request.is_over();
        if let Some(end) = ends(&self.snapshot(&nothing.0, &nothing.1, &[]), now).filter(|_| open) {
            return Ok(end);
        }
        let Some(rules) = self.fresh_rules.clone().or_else(|| self.context.rules()) else {
            return Ok(self.wait(now));
        };
        if !self.count_others(&rules.policies).await {
            return Ok(self.wait(now));
        }
        let bindings = self.with_made(self.bindings().await?);
        if self.fresh_rules.is_none() {
            let open = !self.request.is_over();
            self.related = Related::seen(self.context, &self.request);
            let role = open.then(|| self.context.rbac.role(&self.request, &rules.namespaces));
            self.see_role(role, &rules.namespaces);
        }
        if open && !self.request.has_grant() {
            bind_rights::learn_for(self.context, &self.request, &rules.namespaces).await;
        }
        self.bind_rights = self.context.bind_rights.answers();
        let step = plan(&self.snapshot(&rules.policies, &rules.namespaces, &bindings), now);
        self.answers = self.doubted;
        match refusal(&step) {
            Some(state) if self.fresh_rules.is_none() => {
                match self.read_afresh().await {
                    // Access must be able to end even when nothing can be read.
                    Err(error) if state == State::Revoked => warn!(%error, "revoking on what the watches say"),
                    read => read?,
                }
                let Some(rules) = &self.fresh_rules else { return Ok(step) };
                Ok(plan(&self.snapshot(&rules.policies, &rules.namespaces, &bindings), now))
            }
            _ => Ok(step),
        }
    }

    /// What was carried out last was planned in the light of the doubt, so the doubt is over.
    fn settle_doubt(&mut self) {
        if std::mem::take(&mut self.answers) {
            self.doubted = false;
            self.context.settle_doubt(&reference(&self.request));
        }
    }

    /// Undecided is not denied: wait for the stores, but no longer than to the end.
    fn wait(&self, now: Timestamp) -> Step {
        let wake = self.status().and_then(AccessRequestStatus::next_end).filter(|end| !has_come(*end, now));
        Step { wake, ..Step::default() }
    }

    /// Counts what limits count, in one's turn, until the request is granted or over. Where no policy that could allow it
    /// has limits, nobody waits for anybody. False when it cannot be counted yet.
    async fn count_others(&mut self, policies: &PolicySet) -> bool {
        // Moving an end is counted by the request that has it, and takes a turn for itself.
        let extends = !self.context.requests.extensions.of(&self.request).is_empty();
        if (self.request.is_decided() && !extends) || !policies.may_limit(&self.request) {
            (self.counting_lock, self.others) = (None, Vec::new());
            return true;
        }
        // A turn is no place to wait in: passes that end something would stand behind it.
        if !self.context.requests.ledger.is_complete() {
            return false;
        }
        if self.counting_lock.is_none() {
            self.counting_lock = Some(self.context.requests.ledger.lock_counting().await);
        }
        self.others = self.context.requests.ledger.others(&self.request, policies, &self.context.requests.store);
        true
    }

    fn see_role(&mut self, role: Option<RoleSeen>, namespaces: &Namespaces) {
        let extended = self.related.extended.as_ref();
        let extent = || self.context.protected().extent(&self.request, extended, namespaces);
        self.risk = role.as_ref().map(|role| role.risk(&self.request.spec.rules, extent()));
        self.role = role;
    }

    /// Reads what the request is decided by from the API server.
    async fn read_afresh(&mut self) -> Result<(), Error> {
        let known = self.context.policies.set().unwrap_or_default();
        let Context { fresh_rules, reader, served, .. } = self.context;
        let rules = fresh_rules.since(self.began, &known, || self.context.policies.guard(), reader, served).await?;
        self.related.refresh(self.context, &self.request).await?;
        let role = observe::role(&self.context.reader, &self.request, &rules.namespaces).await?;
        self.see_role(Some(role), &rules.namespaces);
        bind_rights::ask_again(self.context, &self.request, &rules.namespaces, self.began).await?;
        self.bind_rights = self.context.bind_rights.answers();
        self.fresh_rules = Some(rules);
        Ok(())
    }

    /// Reads the request from the API server. False when it is gone, or another has its name.
    async fn refresh(&mut self) -> Result<bool, Error> {
        let (namespace, name) = observe::place(&self.request)?;
        let found = observe::request(&self.context.reader, &namespace, &name).await?;
        let Some(request) = found.filter(|r| r.metadata.uid == self.request.metadata.uid) else { return Ok(false) };
        self.request = request;
        self.fresh = true;
        Ok(true)
    }

    /// The time that counts, and no earlier than an end that has come.
    fn now(&self) -> Timestamp {
        let now = self.context.clock.now();
        self.end_come.map_or(now, |end| end.max(now))
    }

    fn status(&self) -> Option<&AccessRequestStatus> {
        self.request.status.as_ref()
    }

    fn snapshot<'s>(
        &'s self,
        policies: &'s PolicySet,
        namespaces: &'s Namespaces,
        bindings: &'s [Observed],
    ) -> Snapshot<'s> {
        Snapshot {
            request: &self.request,
            policies,
            namespaces,
            reach: &self.context.served,
            protected: self.context.protected(),
            bindings,
            extended: self.related.extended.as_ref(),
            extensions: &self.related.extensions,
            unreviewed: &self.related.unreviewed,
            others: &self.others,
            role: self.role.as_ref(),
            bind_rights: Some(&self.bind_rights),
            risk: self.risk.as_ref(),
            guard: &self.guard,
            wrong_clock: self.context.wrong_clock(),
            doubted: self.doubted,
            bind_failure: self.failure.as_deref(),
        }
    }

    /// What stands in the place of each recorded binding. The store answers when it can. When it has nothing
    /// where a binding is known to have been made, the API server is asked: the binding may be newer than the
    /// store, or have lost the label that the store selects by.
    async fn bindings(&self) -> Result<Vec<Observed>, Error> {
        let Some(status) = self.status() else { return Ok(Vec::new()) };
        let mut seen = Vec::new();
        for recorded in &status.bindings {
            seen.extend(
                binding::self_binding_of(recorded).and_then(|self_binding| self.context.rbac.binding(&self_binding)),
            );
            let made_role = recorded.role.as_ref().is_some_and(|role| role.uid.is_some());
            match self.context.rbac.binding(recorded) {
                Some(binding) if binding.made_role.is_some() || !made_role => seen.push(binding),
                _ if recorded.uid.is_some() && !status.state.is_final() => {
                    seen.extend(lost_namespace::binding(self.context, recorded).await?);
                }
                _ => {}
            }
        }
        Ok(seen)
    }

    /// What was seen, without what this pass deleted and with what it wrote.
    fn with_made(&self, mut seen: Vec<Observed>) -> Vec<Observed> {
        let is_gone = |b: &Observed| {
            self.unbound.iter().any(|gone| b.is_at(gone) && (gone.uid.is_none() || gone.uid == b.metadata.uid))
        };
        seen.retain(|b| !is_gone(b));
        for made in &self.made {
            let place = made.reference();
            seen.retain(|b| !b.is_at(&place));
            seen.push(made.clone());
        }
        seen
    }

    /// Carries out one step. False when the request is gone meanwhile, so that nothing is left to do.
    async fn carry_out(&mut self, step: Step) -> Result<bool, Error> {
        let Step { unbind, bind, restore, record, wake } = step;
        self.unbind(unbind).await.map_err(Error::cannot_end)?;
        if !bind.is_empty() && !self.bind(bind).await? {
            return Ok(false);
        }
        for wanted in restore {
            self.made.push(self.context.writer.restore(&wanted).await?);
        }
        if let Some(status) = record {
            let unbound_at = self.gone.as_ref().map(|gone| gone.at);
            let info = PassInfo { began: self.began, wake, unbound_at };
            let on = version(&self.request);
            let _moving = begin_to_move_end(self.context, &self.request, &status)?;
            self.request = self.context.writer.record(&self.request, *status, info).await?;
            let limits = self.context.policies.set().is_some_and(|policies| policies.any_limits());
            self.context.requests.ledger.note(&self.request, limits);
            self.context.requests.ends.note(&self.request);
            (self.fresh, self.gone, self.end_come) = (true, None, None);
            if let Some(version) = version(&self.request) {
                let reference = reference(&self.request);
                on.into_iter().for_each(|on| self.context.requests.doubts.wrote(reference.clone(), on, version));
                self.context.requests.expectations.note(&reference, version, wake);
            }
        }
        Ok(true)
    }

    /// Deletes every binding that can be deleted, also when one of them cannot.
    async fn unbind(&mut self, bindings: Vec<BindingRef>) -> Result<(), Error> {
        let uid = self.request.metadata.uid.as_deref().ok_or(Error::Incomplete("uid"))?;
        let context = self.context;
        let gone = self.gone.as_ref().map(|gone| gone.bindings.as_slice()).unwrap_or_default();
        let left = bindings.into_iter().filter(|binding| !gone.contains(binding));
        let results: Vec<_> = stream::iter(left)
            .map(|binding| async move { lost_namespace::unbind(context, &binding, uid).await.map(|()| binding) })
            .buffer_unordered(CONCURRENT_BINDINGS)
            .collect()
            .await;
        let mut failed = Ok(());
        for result in results {
            match result {
                Ok(binding) => {
                    self.made.retain(|made| !made.is_at(&binding));
                    self.unbound.push(binding);
                }
                Err(error) => failed = Err(error),
            }
        }
        failed
    }

    /// Creates bindings. The record that allows it must not come from the store alone: another process may
    /// have ended the grant since.
    async fn bind(&mut self, binds: Vec<Wanted>) -> Result<bool, Error> {
        if !self.fresh {
            return self.refresh().await;
        }
        let writer = &self.context.writer;
        self.unbound.extend(binds.iter().filter_map(|wanted| binding::self_binding_of(&wanted.reference())));
        let results: Vec<_> = stream::iter(binds)
            .map(|wanted| async move { writer.bind(wanted).await })
            .buffer_unordered(CONCURRENT_BINDINGS)
            .collect()
            .await;
        let (mut retry, mut refused) = (None, None);
        for result in results {
            match result {
                Ok(binding) => {
                    self.unbound.retain(|gone| !binding.is_at(gone));
                    self.made.push(binding);
                }
                Err(BindError::Refused(why)) => refused = Some(why),
                Err(BindError::Retry(error)) => retry = Some(error),
            }
        }
        if let Some(error) = retry {
            return Err(error);
        }
        if let Some(why) = refused {
            // One that has just started forbids what roles allow that it does not know yet.
            let ready = observe::is_ready(&self.context.reader).await;
            ready.inspect_err(|_| warn!("refused, but not by an API server that is ready: {why}"))?;
            self.failure = Some(why);
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
