//! Works off the calls that wait at the desk: one question at a time, and at the end nothing is left.
//!
//! It must not decide who gets what, nor ask for anything that [`super::plan`] did not plan.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::ResourceExt;
use tokio::sync::{OnceCell, mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use super::lacking::{candidates, lacking};
use super::plan::{HoldPlan, PlanReading, PlannedRequest};
use super::{HoldArgs, WaitingCall, question};
use crate::api::request::{AccessRequest, Review, ReviewVerdict};
use crate::api::subject::Identity;
use crate::cli::plugin::ask::ending;
use crate::cli::plugin::ask::propose::AskedTerms;
use crate::cli::plugin::ask::wait::{self, Waited, Why};
use crate::cli::plugin::cluster::{Cluster, Timeout};
use crate::cli::plugin::decide::review::{Vain, give, review};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::identity;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::text::{TextSpan, Tone};
use crate::cli::plugin::refused::RefusedCall;
use crate::cli::plugin::requests::{self, EndSeen};
use crate::cli::plugin::run::allowed::UnaskedLimit;
use crate::cli::plugin::run::endpoint::desk::AfterRefusal;
use crate::cli::plugin::run::known;
use crate::cli::plugin::see::words;
use crate::cli::plugin::seen::InstallationArgs;
use crate::cli::plugin::write;
use crate::core::decision::protected::Protected;

/// How long no further call must come for a question to be put. Programs call several things at the same time.
const GATHERED: Duration = Duration::from_millis(75);
/// How long RBAC may need to know of a binding that is there, before the call is sent again all the same.
const KNOWN_WITHIN: Duration = Duration::from_secs(5);
/// How often it is asked whether it knows.
const ASKED_EVERY: Duration = Duration::from_millis(50);
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
    flags: String,
    console: Console,
    /// All requests of this run.
    made: Vec<AccessRequest>,
    granted: BTreeSet<RefusedCall>,
    /// When access came last.
    granted_at: Option<Instant>,
    /// What nobody is asked for again.
    declined: BTreeSet<RefusedCall>,
}

/// A call that waits, and what it lacks.
struct LackingCall {
    waiting: WaitingCall,
    lacks: Vec<RefusedCall>,
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
            console: Console::default(),
            made: Vec::new(),
            granted: BTreeSet::new(),
            granted_at: None,
            declined: BTreeSet::new(),
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
    pub async fn run(
        mut self,
        mut calls: mpsc::UnboundedReceiver<WaitingCall>,
        mut over: watch::Receiver<bool>,
    ) -> Exit {
        loop {
            let first = tokio::select! {
                biased;
                () = until_over(&mut over) => break,
                first = calls.recv() => first,
            };
            let Some(first) = first else { break };
            let mut batch = vec![first];
            while let Ok(Some(next)) = timeout(GATHERED, calls.recv()).await {
                batch.push(next);
            }
            if let Err(error) = self.work_off(batch, &mut over).await {
                self.console.say(TextSpan::new(format!("kubectl daypass: {error}"), Tone::Bad));
            }
        }
        // Whoever still waits gets the answer as it was.
        drop(calls);
        self.end_all().await
    }

    /// Answers the calls of a batch; those that are dropped unanswered go through as they are.
    async fn work_off(&mut self, batch: Vec<WaitingCall>, over: &mut watch::Receiver<bool>) -> Result<(), PluginError> {
        let batch = batch.into_iter().filter(|waiting| !waiting.answer.is_closed()).collect();
        let (open, plan) = tokio::select! {
            biased;
            () = until_over(over) => return Ok(()),
            planned = self.planned(batch) => planned?,
        };
        let Some(plan) = plan else { return Ok(()) };
        self.declined.extend(plan.uncovered.iter().cloned());
        let calls: Vec<RefusedCall> = plan.drafts.iter().flat_map(|planned| planned.calls.clone()).collect();
        if !plan.drafts.is_empty() {
            self.ask_for(plan, over).await?;
        } else {
            self.console.remark(&plan.told);
        }
        if *over.borrow() {
            return Ok(());
        }
        self.until_known(&calls, over).await?;
        for LackingCall { waiting, lacks } in open {
            let all = lacks.iter().all(|call| self.granted.contains(call));
            let _ = waiting.answer.send(if all { AfterRefusal::SendAgain } else { AfterRefusal::Pass });
        }
        Ok(())
    }

    /// Answers what needs no question; the calls that do, and what to ask for.
    async fn planned(&self, batch: Vec<WaitingCall>) -> Result<(Vec<LackingCall>, Option<HoldPlan>), PluginError> {
        let who = self.who.get_or_try_init(async || identity::caller(&self.cluster).await).await?;
        let (mut open, mut refused) = (Vec::new(), Vec::new());
        for waiting in batch {
            let calls = candidates(&waiting.call, who);
            let was_granted = calls.iter().any(|call| self.granted.contains(call))
                || self.granted_at.is_some_and(|at| waiting.since < at);
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
            return Ok((open, None));
        }
        let mut beside: Vec<RefusedCall> = Vec::new();
        for call in refused.iter().flat_map(|call| known::beside(&self.line, call)) {
            if !refused.contains(&call) && !beside.contains(&call) && !self.declined.contains(&call) {
                beside.push(call);
            }
        }
        let beside = lacking(&self.cluster, beside).await?;
        let reading = PlanReading {
            cluster: &self.cluster,
            installation: &self.installation,
            who,
            terms: &self.terms,
            flags: &self.flags,
        };
        Ok((open, Some(reading.plan(&refused, &beside).await?)))
    }

    fn is_not_asked_for(&self, call: &RefusedCall) -> bool {
        self.declined.contains(call) || known::does_without(&self.line, call)
    }

    /// Asks whoever is to be asked, makes the requests, and waits for the answers.
    async fn ask_for(&mut self, plan: HoldPlan, over: &mut watch::Receiver<bool>) -> Result<(), PluginError> {
        let HoldPlan { drafts, told, .. } = plan;
        let wanted = match self.limit.is_some() {
            true => self.within_limit(drafts),
            false => {
                if !self.granted.is_empty() {
                    let had: Vec<String> = self.granted.iter().map(ToString::to_string).collect();
                    self.console.say(format!("the command needs more than it has ({})", had.join(", ")));
                }
                self.console.remark(&told);
                self.confirmed(drafts, over).await
            }
        };
        for PlannedRequest { mut draft, calls } in wanted {
            draft.spec.reason = self.terms.reason.clone().unwrap_or_default();
            // Not given up halfway: what is made must be known, to be ended.
            let sent = write::request(&self.cluster, &draft, false).await?;
            self.made.push(sent.clone());
            if self.waited(&sent, over).await? {
                self.granted.extend(calls);
                self.granted_at = Some(Instant::now());
            } else {
                self.declined.extend(calls);
            }
            if *over.borrow() {
                break;
            }
        }
        Ok(())
    }

    /// Those of the requests that may be made without asking anybody; of the others it is said.
    fn within_limit(&mut self, drafts: Vec<PlannedRequest>) -> Vec<PlannedRequest> {
        let Some(limit) = &self.limit else { return Vec::new() };
        let release = self.installation.release_namespace.clone();
        let mut within = Vec::new();
        for planned in drafts {
            let made = self.made.len() + within.len();
            match limit.check(&planned.draft, Protected::with_release(&release), made) {
                Ok(()) => within.push(planned),
                Err(why) => {
                    let calls: Vec<String> = planned.calls.iter().map(ToString::to_string).collect();
                    let words = format!("kubectl daypass does not ask for {}: {why}", calls.join(", "));
                    self.console.say(TextSpan::new(words, Tone::Bad));
                    self.declined.extend(planned.calls);
                }
            }
        }
        within
    }

    /// The requests, if the person at the terminal wants them; without one nobody does.
    async fn confirmed(
        &mut self,
        drafts: Vec<PlannedRequest>,
        over: &mut watch::Receiver<bool>,
    ) -> Vec<PlannedRequest> {
        if !question::can_ask() {
            self.console.say("nobody can be asked here: give --yes and --reason, and --allow or --max-risk");
        } else {
            let agreed = tokio::select! {
                biased;
                () = until_over(over) => false,
                agreed = question::confirm("ask for it?") => agreed && self.has_reason().await,
            };
            if agreed {
                return drafts;
            }
        }
        self.declined.extend(drafts.into_iter().flat_map(|planned| planned.calls));
        Vec::new()
    }

    /// Whether there is a reason to give, which is asked for once.
    async fn has_reason(&mut self) -> bool {
        if self.terms.reason.is_none() {
            self.terms.reason = question::ask("why is access needed? ").await.filter(|reason| !reason.is_empty());
        }
        self.terms.reason.is_some()
    }

    /// Waits until a request is decided: whether access is there.
    async fn waited(&mut self, sent: &AccessRequest, over: &mut watch::Receiver<bool>) -> Result<bool, PluginError> {
        let patience = self.patience.and_then(|patience| patience.0);
        let waited = tokio::select! {
            biased;
            () = until_over(over) => return Ok(false),
            waited = wait::until_answered(&self.cluster, sent, patience, &mut self.console) => waited?,
        };
        let (words, is_granted) = match &waited {
            Waited::Answered(request) => {
                let state = request.status.clone().unwrap_or_default().state;
                (ending::line(request), ending::exit(state) == Exit::Done)
            }
            Waited::Deleted => (ending::deleted(), false),
            Waited::StillOpen(Why::Timeout) => (TextSpan::new("no answer in time", Tone::Bad), false),
            // The run ends.
            Waited::StillOpen(Why::Interrupted) => return Ok(false),
        };
        self.console.say(TextSpan { words: format!("{}: {}", words::name(sent), words.words), ..words });
        Ok(is_granted)
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
        let mut exit = Exit::Done;
        for made in std::mem::take(&mut self.made) {
            exit = exit.or(match self.end(&made, &who, &review).await {
                Ok(ended) => ended,
                Err(error) => {
                    let (name, namespace) = (made.name_any(), made.namespace().unwrap_or_default());
                    self.console.say(TextSpan::new(format!("{}: {error}", words::name(&made)), Tone::Bad));
                    self.console.say(format!("end it: kubectl daypass drop {name} -n {namespace}{}", self.flags));
                    error.exit()
                }
            });
        }
        exit
    }

    async fn end(&mut self, made: &AccessRequest, who: &Identity, review: &Review) -> Result<Exit, PluginError> {
        let name = words::name(made);
        let told = match give(&self.cluster, made, who, review).await? {
            Ok(told) => told,
            Err(Vain::Over(_)) => return Ok(Exit::Done),
            Err(why) => {
                self.console.say(TextSpan::new(format!("{name}: {why}"), Tone::Bad));
                return Ok(Exit::Error);
            }
        };
        let (words, exit) = match requests::until_over(&self.cluster, &told).await {
            Ok(EndSeen::Over) if told.has_grant() => (format!("dropped {name}: its access is gone"), Exit::Done),
            Ok(EndSeen::Over | EndSeen::Deleted) => (format!("dropped {name}"), Exit::Done),
            Err(why) => (format!("{name} is told to end, and has not ended yet: {why}"), Exit::Waiting),
        };
        let tone = if exit == Exit::Done { Tone::Good } else { Tone::Waiting };
        self.console.say(TextSpan::new(words, tone));
        Ok(exit)
    }
}

/// Waits until the run is over.
async fn until_over(over: &mut watch::Receiver<bool>) {
    // The other end is gone with the desk, which is an end too.
    let _ = over.wait_for(|over| *over).await;
}
