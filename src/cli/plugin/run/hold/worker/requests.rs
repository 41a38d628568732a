//! Makes the requests that were agreed, waits for their answers, and asks for less where policy denies the whole. Asks no person.

use std::collections::VecDeque;

use kube::ResourceExt;
use tokio::sync::watch;
use tokio::time::Instant;

use super::super::plan::PlannedRequest;
use super::{HoldWorker, until_over};
use crate::api::reason::Reason;
use crate::api::request::AccessRequest;
use crate::cli::plugin::ask::ending;
use crate::cli::plugin::ask::wait::{self, Waited, Why};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::output::text::{TextSpan, Tone};
use crate::cli::plugin::refused::{RefusedCall, listed};
use crate::cli::plugin::see::words;
use crate::cli::plugin::write;

/// What came of a request of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HeldOutcome {
    Granted,
    /// No person has said so.
    DeniedByPolicy,
    /// It was denied by somebody, is gone, or nobody waits for it any more.
    NotGranted,
}

impl HoldWorker {
    /// Makes the requests, and waits for the answers. Who cannot read roles learns only from a denial that the role lacks
    /// something: where the request was for more than what was `refused`, that alone is asked for then.
    pub(super) async fn make(
        &mut self,
        wanted: Vec<PlannedRequest>,
        refused: &[RefusedCall],
        over: &mut watch::Receiver<bool>,
    ) -> Result<(), PluginError> {
        let mut wanted = VecDeque::from(wanted);
        let mut spared = Vec::new();
        while let Some(PlannedRequest { mut draft, calls }) = wanted.pop_front() {
            draft.spec.reason = self.terms.reason.clone().unwrap_or_default();
            // Not given up halfway: what is made must be known, to be ended.
            let sent = write::request(&self.cluster, &draft, false).await?;
            self.made.push(sent.clone());
            let (part, beside) = parts(&calls, refused);
            match self.waited(&sent, over).await? {
                HeldOutcome::Granted => {
                    self.granted.extend(calls);
                    self.granted_at = Some(Instant::now());
                }
                HeldOutcome::DeniedByPolicy if !part.is_empty() && !beside.is_empty() => {
                    let alone = self.alone(&part).await?;
                    alone.into_iter().rev().for_each(|planned| wanted.push_front(planned));
                    spared.push((part, beside));
                }
                HeldOutcome::DeniedByPolicy | HeldOutcome::NotGranted => self.declined.extend(calls),
            }
            if *over.borrow() {
                break;
            }
        }
        for (part, beside) in spared {
            // It is the only one that policy can have denied the whole for.
            if beside.len() == 1 && part.iter().all(|call| self.has(call)) {
                self.declined.extend(beside);
            }
        }
        Ok(())
    }

    /// The requests for a part of what policy denied. Whoever agreed to all of it has agreed to them.
    async fn alone(&mut self, part: &[RefusedCall]) -> Result<Vec<PlannedRequest>, PluginError> {
        self.asks_for_parts = true;
        let plan = self.plan(part, &[]).await?;
        self.declined.extend(plan.uncovered);
        if plan.drafts.is_empty() {
            self.console.remark(&plan.told);
            return Ok(Vec::new());
        }
        self.console.say(format!("that was for all that the command needs; now it asks for {} alone", listed(part)));
        if self.limit.is_some() { self.within_limit(plan.drafts, part).await } else { Ok(plan.drafts) }
    }

    /// Waits until a request is decided.
    async fn waited(
        &mut self,
        sent: &AccessRequest,
        over: &mut watch::Receiver<bool>,
    ) -> Result<HeldOutcome, PluginError> {
        let patience = self.patience.and_then(|patience| patience.0);
        let waited = tokio::select! {
            biased;
            () = until_over(over) => return Ok(HeldOutcome::NotGranted),
            waited = wait::until_answered(&self.cluster, sent, patience, &mut self.console) => waited?,
        };
        let (words, outcome) = match &waited {
            Waited::Answered(request) => (ending::line(request), outcome(request)),
            Waited::Deleted => {
                // There is nothing of it to end.
                self.made.retain(|made| made.uid() != sent.uid());
                (ending::deleted(), HeldOutcome::NotGranted)
            }
            Waited::StillOpen(Why::Timeout) => (TextSpan::new("no answer in time", Tone::Bad), HeldOutcome::NotGranted),
            // The run ends.
            Waited::StillOpen(Why::Interrupted) => return Ok(HeldOutcome::NotGranted),
        };
        self.console.say(TextSpan { words: format!("{}: {}", words::name(sent), words.words), ..words });
        Ok(outcome)
    }
}

fn outcome(request: &AccessRequest) -> HeldOutcome {
    let status = request.status.clone().unwrap_or_default();
    let denied = status.history.iter().rfind(|entry| entry.event == Reason::Denied);
    match denied {
        _ if ending::exit(status.state) == Exit::Done => HeldOutcome::Granted,
        Some(entry) if entry.by.is_none() => HeldOutcome::DeniedByPolicy,
        _ => HeldOutcome::NotGranted,
    }
}

/// Of what a request is for: what was refused of it, and what it has beside that.
fn parts(calls: &[RefusedCall], refused: &[RefusedCall]) -> (Vec<RefusedCall>, Vec<RefusedCall>) {
    let is_in = |call: &&RefusedCall| calls.contains(call) || calls.contains(&call.of_all());
    let beside = calls.iter().filter(|call| !refused.contains(call));
    (refused.iter().filter(is_in).cloned().collect(), beside.cloned().collect())
}
