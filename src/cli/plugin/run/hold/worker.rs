//! Works off the calls that wait at the desk: one question at a time, and at the end nothing is left.
//!
//! [`consent`] asks whoever is to be asked first, and [`requests`] makes what was agreed. It must not decide who gets what, nor ask for anything that [`super::plan`] did
//! not plan.

mod consent;
mod requests;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::FutureExt;
use kube::ResourceExt;
use tokio::sync::{OnceCell, watch};
use tokio::time::{Instant, sleep};

use super::lacking::{candidates, lacking};
use super::objects::ObjectsOfLine;
use super::plan::{HoldPlan, PlanReading};
use super::queue::CallQueue;
use super::{HoldArgs, WaitingCall};
use crate::api::request::{AccessRequest, ReviewVerdict};
use crate::api::subject::Identity;
use crate::cli::plugin::ask::propose::AskedTerms;
use crate::cli::plugin::cluster::{Cluster, Timeout};
use crate::cli::plugin::decide::end::Revocation;
use crate::cli::plugin::decide::review::review;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::identity;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::text::{TextSpan, Tone};
use crate::cli::plugin::refused::RefusedCall;
use crate::cli::plugin::run::allowed::UnaskedLimit;
use crate::cli::plugin::run::endpoint::desk::AfterRefusal;
use crate::cli::plugin::run::known::line::ToolLine;
use crate::cli::plugin::run::known::{self, CommandScope};
use crate::cli::plugin::seen::InstallationArgs;

/// How long RBAC may need to know of a binding that is there, before the call is sent again all the same.
const KNOWN_WITHIN: Duration = Duration::from_secs(5);
/// How often it is asked whether it knows.
const ASKED_EVERY: Duration = Duration::from_millis(50);
/// How often a plan is made anew because further calls came meanwhile.
const MOST_PLANS: usize = 8;
/// What is on record for the end of a run's access.
const ENDED: &str = "the command that it was for has ended";

/// What one run asks for, and has.
pub struct HoldWorker {
    cluster: Cluster,
    /// Nobody is asked before a call is refused.
    who: OnceCell<Identity>,
    terms: AskedTerms,
    installation: InstallationArgs,
    limit: Option<UnaskedLimit>,
    patience: Option<Timeout>,
    /// The words of the command.
    line: Vec<String>,
    /// What the command names, once something of it is refused.
    named: OnceCell<ObjectsOfLine>,
    flags: String,
    console: Console,
    /// All requests of this run.
    made: Vec<AccessRequest>,
    granted: BTreeSet<RefusedCall>,
    /// When access came last.
    granted_at: Option<Instant>,
    /// What nobody is asked for again.
    declined: BTreeSet<RefusedCall>,
    /// Whether policy denied what was asked for whole: from then on only what is refused is asked for.
    asks_for_parts: bool,
    /// What the person was offered for all objects of a kind; that happens once.
    offered: BTreeSet<RefusedCall>,
}

/// A call that waits, and what it lacks.
struct LackingCall {
    waiting: WaitingCall,
    lacks: Vec<RefusedCall>,
}

/// Calls that need a question, and what to ask for.
struct OpenCalls {
    calls: Vec<LackingCall>,
    /// What they lack.
    refused: Vec<RefusedCall>,
    /// What the command lacks beside them, as far as that is known.
    beside: Vec<RefusedCall>,
    plan: HoldPlan,
}

impl HoldWorker {
    /// Of a run that has asked for nothing yet.
    pub fn new(
        cluster: Cluster,
        args: HoldArgs,
        limit: Option<UnaskedLimit>,
        line: Vec<String>,
        flags: String,
    ) -> Self {
        let HoldArgs { reason, ticket, duration, policy, namespace, installation, timeout: patience, .. } = args;
        let namespace = cluster.namespace_or(&namespace).to_owned();
        Self {
            terms: AskedTerms { duration, reason, ticket, policy, namespace },
            console: Console::beside_a_command(),
            made: Vec::new(),
            granted: BTreeSet::new(),
            granted_at: None,
            declined: BTreeSet::new(),
            asks_for_parts: false,
            offered: BTreeSet::new(),
            named: OnceCell::new(),
            who: OnceCell::new(),
            cluster,
            installation,
            limit,
            patience,
            line,
            flags,
        }
    }

    /// Works until the run is over, and then ends everything that it asked for.
    pub async fn run(mut self, mut queue: CallQueue, mut over: watch::Receiver<bool>) -> Exit {
        loop {
            let batch = tokio::select! {
                biased;
                () = until_over(&mut over) => break,
                batch = queue.next() => batch,
            };
            let Some(batch) = batch else { break };
            if let Err(error) = self.work_off(batch, &mut queue, &mut over).await {
                self.console.say(TextSpan::new(format!("kubectl daypass: {error}"), Tone::Bad));
            }
        }
        // Whoever still waits gets the answer as it was.
        drop(queue);
        self.end_all().await
    }

    /// Answers the calls of a batch, and of what comes while it is looked at; those that are dropped unanswered go through as
    /// they are.
    async fn work_off(
        &mut self,
        mut batch: Vec<WaitingCall>,
        queue: &mut CallQueue,
        over: &mut watch::Receiver<bool>,
    ) -> Result<(), PluginError> {
        let mut plans = 0;
        let mut open = loop {
            let Some(open) = self.open(batch, over).await? else { return Ok(()) };
            plans += 1;
            if plans == MOST_PLANS || !queue.has_more() {
                break open;
            }
            batch = open.waiting(queue.until_quiet().await);
        };
        self.declined.extend(open.plan.uncovered.iter().cloned());
        let drafts = std::mem::take(&mut open.plan.drafts);
        let wanted = match (drafts.is_empty(), self.limit.is_some()) {
            (true, _) => {
                self.console.remark(&open.plan.told);
                Vec::new()
            }
            (false, true) => self.within_limit(drafts, &open.refused).await?,
            (false, false) => {
                open.plan.drafts = drafts;
                self.agreed(&mut open, queue, over).await?
            }
        };
        let calls: Vec<RefusedCall> = wanted.iter().flat_map(|planned| planned.calls.clone()).collect();
        self.make(wanted, &open.refused, over).await?;
        if *over.borrow() {
            return Ok(());
        }
        self.until_known(&calls, over).await?;
        for LackingCall { waiting, lacks } in open.calls {
            let all = lacks.iter().all(|call| self.has(call));
            let _ = waiting.answer.send(if all { AfterRefusal::SendAgain } else { AfterRefusal::Pass });
        }
        Ok(())
    }

    /// Answers what needs no question; the calls that do, and what to ask for. None when there are none, or the run is over.
    async fn open(
        &self,
        batch: Vec<WaitingCall>,
        over: &mut watch::Receiver<bool>,
    ) -> Result<Option<OpenCalls>, PluginError> {
        let batch = batch.into_iter().filter(|waiting| !waiting.answer.is_closed()).collect();
        tokio::select! {
            biased;
            () = until_over(over) => Ok(None),
            // Boxed, or the compiler cannot tell that it may go from one thread to another.
            open = self.planned(batch).boxed() => open,
        }
    }

    async fn planned(&self, batch: Vec<WaitingCall>) -> Result<Option<OpenCalls>, PluginError> {
        let who = self.who.get_or_try_init(async || identity::requester(&self.cluster).await).await?;
        let (mut open, mut refused) = (Vec::new(), Vec::new());
        for waiting in batch {
            let calls = candidates(&waiting.call, who);
            let was_granted =
                calls.iter().any(|call| self.has(call)) || self.granted_at.is_some_and(|at| waiting.since < at);
            let lacks = lacking(&self.cluster, calls).await?;
            if lacks.is_empty() {
                // It lacks nothing now: it was refused before access came, or for another reason.
                let _ = waiting.answer.send(if was_granted { AfterRefusal::SendAgain } else { AfterRefusal::Pass });
            } else if !lacks.iter().any(|call| self.is_not_asked_for(call)) {
                refused.extend(lacks.iter().filter(|call| !refused.contains(*call)).cloned().collect::<Vec<_>>());
                open.push(LackingCall { waiting, lacks });
            }
        }
        if refused.is_empty() {
            return Ok(None);
        }
        let beside = self.beside(&refused).await?;
        let plan = self.plan(&refused, &beside).await?;
        Ok(Some(OpenCalls { calls: open, refused, beside, plan }))
    }

    /// What the command lacks beside what was refused.
    async fn beside(&self, refused: &[RefusedCall]) -> Result<Vec<RefusedCall>, PluginError> {
        if self.asks_for_parts {
            return Ok(Vec::new());
        }
        let named = self.named.get_or_try_init(|| ObjectsOfLine::find(&self.cluster, &self.line)).await?;
        let tool = ToolLine::read(&self.line);
        let typed = tool.as_ref().and_then(|line| line.values("--namespace", 'n').last().copied());
        let namespace = typed.unwrap_or(&self.terms.namespace);
        let mut beside: Vec<RefusedCall> = Vec::new();
        for call in refused {
            let mut objects = named.all();
            if call.verb == "create" && tool.as_ref().is_some_and(|line| line.words.first() == Some(&"apply")) {
                // What is there is not made.
                let missing = named.missing(&self.cluster, namespace).await;
                objects.retain(|object| missing.contains(object));
            }
            let scope = CommandScope { line: &self.line, named: &objects, namespace };
            for call in scope.beside(call) {
                if !refused.contains(&call) && !beside.contains(&call) && !self.declined.contains(&call) {
                    beside.push(call);
                }
            }
        }
        lacking(&self.cluster, beside).await
    }

    async fn plan(&self, refused: &[RefusedCall], beside: &[RefusedCall]) -> Result<HoldPlan, PluginError> {
        let who = self.who.get_or_try_init(async || identity::requester(&self.cluster).await).await?;
        let (cluster, installation, terms, flags) = (&self.cluster, &self.installation, &self.terms, &*self.flags);
        PlanReading { cluster, installation, who, terms, flags }.plan(refused, beside).await
    }

    /// Whether the run was given this, or the same for all objects of the kind.
    fn has(&self, call: &RefusedCall) -> bool {
        self.granted.contains(call) || self.granted.contains(&call.of_all())
    }

    fn is_not_asked_for(&self, call: &RefusedCall) -> bool {
        self.declined.contains(call) || known::does_without(&self.line, call)
    }

    /// Waits until RBAC knows of what was granted, for as long as that may take.
    async fn until_known(&self, calls: &[RefusedCall], over: &mut watch::Receiver<bool>) -> Result<(), PluginError> {
        let granted: Vec<RefusedCall> = calls.iter().filter(|call| self.granted.contains(call)).cloned().collect();
        let until = Instant::now() + KNOWN_WITHIN;
        while Instant::now() < until && !lacking(&self.cluster, granted.clone()).await?.is_empty() {
            tokio::select! {
                () = until_over(over) => return Ok(()),
                () = sleep(ASKED_EVERY) => {}
            }
        }
        Ok(())
    }

    /// Ends all that the run asked for.
    async fn end_all(&mut self) -> Exit {
        // Who has asked for something is known.
        let Some(who) = self.who.get().cloned() else { return Exit::Done };
        let review = review(ReviewVerdict::Revoke, Some(ENDED), &who);
        let revocation = Revocation { cluster: &self.cluster, who: &who, review: &review, done: "dropped" };
        let mut exit = Exit::Done;
        for made in std::mem::take(&mut self.made) {
            let ended = revocation.end_if_open(&made, &mut self.console).boxed().await;
            if !matches!(ended, Exit::Done | Exit::Waiting) {
                let (name, namespace) = (made.name_any(), made.namespace().unwrap_or_default());
                self.console.say(format!("end it: kubectl daypass drop {name} -n {namespace}{}", self.flags));
            }
            exit = exit.or(ended);
        }
        exit
    }
}

impl OpenCalls {
    fn none() -> Self {
        Self { calls: Vec::new(), refused: Vec::new(), beside: Vec::new(), plan: HoldPlan::default() }
    }

    /// The calls, and further ones behind them.
    fn waiting(self, more: Vec<WaitingCall>) -> Vec<WaitingCall> {
        self.calls.into_iter().map(|call| call.waiting).chain(more).collect()
    }
}

/// Waits until the run is over.
async fn until_over(over: &mut watch::Receiver<bool>) {
    // The other end is gone with the desk, which is an end too.
    let _ = over.wait_for(|over| *over).await;
}
