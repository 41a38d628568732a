//! Takes one request through a pass: plan a step, carry it out, plan again on the result, until nothing is left.
//!
//! Owns the order of reading, planning and writing. [`facts`] reads what a plan needs, [`bindings`] knows what became of the
//! bindings. It must not decide: `core/lifecycle/plan` does.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use tokio::time::Instant;
use tracing::warn;

use self::bindings::PassBindings;
use self::facts::Facts;
use crate::api::request::{AccessRequest, AccessRequestStatus, BindingRef, State};
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::loops::passes::NextPass;
use crate::controller::observe::{self, version};
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
use crate::core::rbac::binding::{Observed, Wanted};

mod bindings;
mod facts;

/// The longest way from a new request to its end has four steps; twice that is a fault.
const MOST_STEPS: usize = 8;
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
pub async fn reconcile(lane: Lane, packed: Arc<PackedRequest>, context: Arc<Context>) -> Result<NextPass, Error> {
    let reference = reference(&*packed);
    // The watch has yet to bring what a pass wrote, and planning on the old version would only end in a conflict. An end
    // does not wait for a watch, though: when one has come, the API server is asked.
    let ahead = packed.version().and_then(|version| context.stores.requests.expectations.ahead_of(&reference, version));
    let now = context.clock.now();
    if let Some(wake) = ahead.filter(|wake| wake.is_none_or(|wake| wake > now)) {
        return Ok(look_again(wake, now));
    }
    // The loop of ends takes it away first, and asks for a pass then.
    if packed_uid(&packed).is_some_and(|uid| context.stores.requests.ends.is_due(uid, now)) {
        return Ok(NextPass::after(LEFT_TO_ENDS));
    }
    // An echo that came since this was taken from the store is in the store by now, and no other pass is made for it.
    let newest = context.stores.requests.store.get(&reference).unwrap_or(packed);
    // The reaper takes its bindings: a request that cannot be read grants nothing.
    let Some(request) = newest.open() else { return Ok(NextPass::when_asked()) };
    if lane == Lane::Decisions && context.is_limited(&request) {
        context.queues.enqueue(Lane::Limited, reference);
        return Ok(NextPass::when_asked());
    }
    let guard = context.stores.policies.guard();
    // After the guard: whoever sees it in force again sees what was written without it.
    let doubted = matches!(guard, Guard::InForce(_)) && context.stores.requests.doubts.has(&reference);
    let Some(_working) = context.stores.requests.worked_on.begin(&reference) else {
        return Ok(NextPass::after(WORKED_ON));
    };
    let mut pass = Pass::begin(&context, request, guard, doubted);
    if ahead.is_some() && !pass.refresh().await? {
        return Ok(NextPass::when_asked());
    }
    for _ in 0..MOST_STEPS {
        let step = pass.next_step().await?;
        if step.is_settled() {
            context.stores.requests.failures.forget(&reference);
            pass.settle_doubt();
            if let Some(version) = version(&pass.request).filter(|_| pass.fresh) {
                context.stores.requests.settled(&reference, version, step.wake);
            }
            return Ok(look_again(step.wake, context.clock.now()));
        }
        if !pass.carry_out(step).await? {
            return Ok(NextPass::when_asked());
        }
        pass.settle_doubt();
    }
    Err(Error::DoesNotSettle(MOST_STEPS))
}

/// When to try again after a failed pass. The wait doubles, but stays short once access is overdue to end.
pub fn after_error(packed: Arc<PackedRequest>, error: &Error, context: Arc<Context>) -> NextPass {
    if matches!(error, Error::Conflict) {
        return NextPass::after(FIRST_RETRY);
    }
    let (failures, report) = context.stores.requests.failures.count(reference(&*packed), error);
    if report {
        packed.open().iter().for_each(|request| context.writer.announce_hindrance(request, &error.to_string()));
    }
    let longest = if matches!(error, Error::CannotEnd(_)) { LONGEST_OVERDUE_RETRY } else { LONGEST_RETRY };
    let wait = FIRST_RETRY.saturating_mul(1 << (failures - 1).min(15)).min(longest);
    let end = packed.summary.as_ref().and_then(|summary| summary.ends);
    let until_end = end.map_or(LONGEST_RETRY, |end| sleep_until(end, context.clock.now()));
    NextPass::after(wait.min(until_end.max(LONGEST_OVERDUE_RETRY)))
}

fn packed_uid(packed: &PackedRequest) -> Option<&str> {
    packed.meta().uid.as_deref()
}

fn look_again(wake: Option<Timestamp>, now: Timestamp) -> NextPass {
    wake.map_or_else(NextPass::when_asked, |wake| NextPass::after(sleep_until(wake, now)))
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
    let begin = |uid| context.stores.requests.ends.begin_to_move(uid, context.clock.now()).ok_or(Error::Conflict);
    uid.map(begin).transpose()
}

/// What the loop of ends had done before the pass began.
struct EndBefore {
    /// The end, when it had come: it stays come, whatever the clock says now.
    come: Option<Timestamp>,
    /// The bindings that are gone by it.
    gone: Option<Gone>,
}

/// Whether somebody may have written to the request while the guard was missing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doubt {
    /// Nobody may, or a step has answered that.
    None,
    Open,
    /// Somebody may, and the step that is carried out was planned for that.
    Answered,
}

/// One pass over one request: what it works on, what that is decided by, and what became of its bindings.
struct Pass<'a> {
    context: &'a Context,
    request: AccessRequest,
    /// Whether the request comes from the API server within this pass, rather than from the store.
    fresh: bool,
    began: Instant,
    end: EndBefore,
    doubt: Doubt,
    facts: Facts<'a>,
    bindings: PassBindings<'a>,
}

impl<'a> Pass<'a> {
    fn begin(context: &'a Context, request: AccessRequest, guard: Guard, doubted: bool) -> Self {
        let (began, ends) = (Instant::now(), &context.stores.requests.ends);
        let uid = request.metadata.uid.as_deref();
        let gone = uid.and_then(|uid| ends.gone(uid));
        let unbound = gone.as_ref().map(|gone| gone.bindings.clone()).unwrap_or_default();
        let come = uid.and_then(|uid| ends.come(uid));
        Self {
            context,
            request,
            fresh: false,
            began,
            end: EndBefore { come, gone },
            doubt: if doubted { Doubt::Open } else { Doubt::None },
            facts: Facts::new(context, began, guard),
            bindings: PassBindings::new(context, unbound),
        }
    }

    async fn next_step(&mut self) -> Result<Step, Error> {
        if self.doubt == Doubt::Answered {
            self.doubt = Doubt::Open;
        }
        // Before anything that can fail, also a read: an end that has come is an end.
        let nothing = (PolicySet::default(), Namespaces::default());
        let now = self.now();
        let open = !self.request.is_over();
        if let Some(end) = ends(&self.snapshot(&nothing.0, &nothing.1, &[]), now).filter(|_| open) {
            return Ok(end);
        }
        let Some(rules) = self.facts.rules() else { return Ok(self.wait(now)) };
        self.facts.learn_bind_rights(&self.request, &rules).await;
        if !self.facts.count_others(&self.request, &rules.policies).await {
            return Ok(self.wait(now));
        }
        let bindings = self.bindings.seen(self.request.status.as_ref()).await?;
        self.facts.see(&self.request, &rules.namespaces);
        let step = plan(&self.snapshot(&rules.policies, &rules.namespaces, &bindings), now);
        if self.doubt == Doubt::Open {
            self.doubt = Doubt::Answered;
        }
        match refusal(&step) {
            Some(state) if !self.facts.are_fresh() => {
                match self.facts.read(&self.request).await {
                    Ok(()) => {}
                    // Access must be able to end even when nothing can be read.
                    Err(error) if state == State::Revoked => {
                        warn!(%error, "revoking on what the watches say");
                        return Ok(step);
                    }
                    Err(error) => return Err(error),
                }
                let Some(rules) = self.facts.rules() else { return Ok(step) };
                Ok(plan(&self.snapshot(&rules.policies, &rules.namespaces, &bindings), now))
            }
            _ => Ok(step),
        }
    }

    /// What was carried out last was planned in the light of the doubt, so the doubt is over.
    fn settle_doubt(&mut self) {
        if self.doubt == Doubt::Answered {
            self.doubt = Doubt::None;
            self.context.settle_doubt(&reference(&self.request));
        }
    }

    /// Undecided is not denied: wait for the stores, but no longer than to the end.
    fn wait(&self, now: Timestamp) -> Step {
        let status = self.request.status.as_ref();
        let wake = status.and_then(AccessRequestStatus::next_end).filter(|end| !has_come(*end, now));
        Step { wake, ..Step::default() }
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
        self.end.come.map_or(now, |end| end.max(now))
    }

    fn snapshot<'s>(
        &'s self,
        policies: &'s PolicySet,
        namespaces: &'s Namespaces,
        bindings: &'s [Observed],
    ) -> Snapshot<'s> {
        let Facts { guard, role, bind_rights, risk, related, others, uses, .. } = &self.facts;
        Snapshot {
            request: &self.request,
            policies,
            namespaces,
            reach: &self.context.served,
            protected: self.context.protected(),
            bindings,
            extended: related.extended.as_ref(),
            extensions: &related.extensions,
            unreviewed: &related.unreviewed,
            others,
            archive: self.request.metadata.uid.as_deref().and_then(|uid| self.context.stores.outbox.sight(uid)),
            uses: uses.as_deref(),
            role: role.as_ref(),
            bind_rights: Some(bind_rights),
            risk: risk.as_ref(),
            guard,
            wrong_clock: self.context.wrong_clock(),
            doubted: self.doubt != Doubt::None,
            bind_failure: self.bindings.refused(),
        }
    }

    /// Carries out one step. False when the request is gone meanwhile, so that nothing is left to do.
    async fn carry_out(&mut self, step: Step) -> Result<bool, Error> {
        let Step { unbind, bind, restore, record, wake } = step;
        self.unbind(unbind).await.map_err(Error::cannot_end)?;
        if !bind.is_empty() && !self.bind(bind).await? {
            return Ok(false);
        }
        self.bindings.restore(restore).await?;
        if let Some(status) = record {
            self.record(*status, wake).await?;
        }
        Ok(true)
    }

    async fn record(&mut self, status: AccessRequestStatus, wake: Option<Timestamp>) -> Result<(), Error> {
        let unbound_at = self.end.gone.as_ref().map(|gone| gone.at);
        let info = PassInfo { began: self.began, wake, unbound_at };
        let on = version(&self.request);
        let _moving = begin_to_move_end(self.context, &self.request, &status)?;
        self.facts.keep_texts(&status);
        self.request = self.context.writer.record(&self.request, status, info).await?;
        let limits = self.context.stores.policies.set().is_some_and(|policies| policies.any_limits());
        let requests = &self.context.stores.requests;
        requests.ledger.note(&self.request, limits);
        requests.ends.note(&self.request);
        (self.fresh, self.end) = (true, EndBefore { come: None, gone: None });
        if let Some(version) = version(&self.request) {
            let reference = reference(&self.request);
            on.into_iter().for_each(|on| requests.doubts.wrote(reference.clone(), on, version));
            requests.expectations.note(&reference, version, wake);
        }
        Ok(())
    }

    async fn unbind(&mut self, mut bindings: Vec<BindingRef>) -> Result<(), Error> {
        let uid = self.request.metadata.uid.as_deref().ok_or(Error::Incomplete("uid"))?;
        bindings.retain(|binding| self.end.gone.as_ref().is_none_or(|gone| !gone.bindings.contains(binding)));
        self.bindings.unbind(uid, bindings).await
    }

    /// Creates bindings. The record that allows it must not come from the store alone: another process may
    /// have ended the grant since.
    async fn bind(&mut self, wanted: Vec<Wanted>) -> Result<bool, Error> {
        if !self.fresh {
            return self.refresh().await;
        }
        self.bindings.bind(wanted).await.map(|()| true)
    }
}

#[cfg(test)]
mod tests;
