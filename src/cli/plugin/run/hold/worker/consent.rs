//! Who is asked before a request is made: the limit of a script, or the person at the terminal. Makes no request.

use std::collections::BTreeSet;

use tokio::sync::watch;

use super::super::plan::{HoldPlan, PlannedRequest};
use super::super::question::{self, TerminalReply};
use super::super::queue::CallQueue;
use super::{HoldWorker, OpenCalls, until_over};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::output::text::{TextSpan, Tone};
use crate::cli::plugin::refused::{RefusedCall, listed};
use crate::core::decision::protected::Protected;

impl HoldWorker {
    /// Those of the requests that may be made without asking anybody; of the others it is said. What goes too far with what the
    /// command needs beside is asked for without that.
    pub(super) async fn within_limit(
        &mut self,
        drafts: Vec<PlannedRequest>,
        refused: &[RefusedCall],
    ) -> Result<Vec<PlannedRequest>, PluginError> {
        let goes_beyond =
            |drafts: &[PlannedRequest]| drafts.iter().any(|planned| self.over_limit(planned, 0).is_some());
        let drafts = if goes_beyond(&drafts) { self.plan(refused, &[]).await?.drafts } else { drafts };
        let mut within = Vec::new();
        for planned in drafts {
            match self.over_limit(&planned, within.len()) {
                None => within.push(planned),
                Some(why) => {
                    let words = format!("kubectl daypass does not ask for {}: {why}", listed(&planned.calls));
                    self.console.say(TextSpan::new(words, Tone::Bad));
                    self.declined.extend(planned.calls);
                }
            }
        }
        Ok(within)
    }

    /// Why a request may not be made without asking anybody, when so many are made before it.
    fn over_limit(&self, planned: &PlannedRequest, before: usize) -> Option<String> {
        let protected = Protected::with_release(&self.installation.release_namespace);
        let limit = self.limit.as_ref()?;
        limit.check(&planned.draft, protected, self.made.len() + before).err().map(|why| why.to_string())
    }

    /// The requests that the person at the terminal wants; without one nobody does. What is refused while they think is asked
    /// for with the rest.
    pub(super) async fn agreed(
        &mut self,
        open: &mut OpenCalls,
        queue: &mut CallQueue,
        over: &mut watch::Receiver<bool>,
    ) -> Result<Vec<PlannedRequest>, PluginError> {
        if !question::can_ask() {
            self.console.say("nobody can be asked here: give --yes and --reason, and --allow or --max-risk");
            self.declined.extend(calls_of(&open.plan.drafts));
            return Ok(Vec::new());
        }
        if !self.granted.is_empty() {
            let had: Vec<RefusedCall> = self.granted.iter().cloned().collect();
            self.console.say(format!("the command needs more than it has ({})", listed(&had)));
        }
        let wider = self.wider(open).await?;
        let mut wanted = Vec::new();
        loop {
            let plan = std::mem::take(&mut open.plan);
            let new: Vec<RefusedCall> =
                calls_of(&plan.drafts).into_iter().filter(|call| !calls_of(&wanted).contains(call)).collect();
            if new.is_empty() {
                return Ok(wanted);
            }
            match self.asked(&plan, wider.as_ref().filter(|_| wanted.is_empty()), over).await {
                TerminalReply::Yes => wanted = plan.drafts,
                TerminalReply::All => return Ok(wider.map(|plan| plan.drafts).unwrap_or_default()),
                TerminalReply::No => {
                    self.declined.extend(new);
                    return Ok(wanted);
                }
            }
            let more = queue.until_quiet().await;
            if more.is_empty() || *over.borrow() {
                return Ok(wanted);
            }
            let all = std::mem::replace(open, OpenCalls::none()).waiting(more);
            let Some(with_more) = self.open(all, over).await? else { return Ok(wanted) };
            *open = with_more;
            self.declined.extend(open.plan.uncovered.iter().cloned());
            self.console.say("the command needs more by now: this is all of it");
        }
    }

    async fn asked(
        &mut self,
        plan: &HoldPlan,
        wider: Option<&HoldPlan>,
        over: &mut watch::Receiver<bool>,
    ) -> TerminalReply {
        self.console.remark(&plan.told);
        if let Some(wider) = wider {
            self.console.say("it goes from one object to the next: answer a to ask for all of them");
            self.console.remark(&wider.told);
        }
        tokio::select! {
            biased;
            () = until_over(over) => TerminalReply::No,
            reply = self.replied(wider.is_some()) => reply,
        }
    }

    /// What the person answers, with a reason where it is no no.
    async fn replied(&mut self, offers_all: bool) -> TerminalReply {
        let reply = question::reply("ask for it?", offers_all).await;
        if reply != TerminalReply::No && !self.has_reason().await { TerminalReply::No } else { reply }
    }

    /// The same for all objects of the kind, where the command was given it for another one. It is offered once.
    async fn wider(&mut self, open: &OpenCalls) -> Result<Option<HoldPlan>, PluginError> {
        let is_next = |call: &&RefusedCall| {
            call.is_of_one() && self.granted.iter().any(|had| had != *call && had.of_all() == call.of_all())
        };
        let kinds: BTreeSet<RefusedCall> = open
            .refused
            .iter()
            .filter(is_next)
            .map(RefusedCall::of_all)
            .filter(|kind| !self.offered.contains(kind))
            .collect();
        if kinds.is_empty() {
            return Ok(None);
        }
        let widened = |calls: &[RefusedCall]| {
            // Beside it the command does the same with each of them.
            let same = |call: &RefusedCall| kinds.iter().any(|kind| kind.target == call.of_all().target);
            let wide = calls.iter().map(|call| if same(call) { call.of_all() } else { call.clone() });
            wide.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
        };
        let plan = self.plan(&widened(&open.refused), &widened(&open.beside)).await?;
        self.offered.extend(kinds);
        Ok((plan.uncovered.is_empty() && !plan.drafts.is_empty()).then_some(plan))
    }

    /// Whether there is a reason to give, which is asked for once.
    async fn has_reason(&mut self) -> bool {
        if self.terms.reason.is_none() {
            self.terms.reason = question::ask("why is access needed? ").await.filter(|reason| !reason.is_empty());
        }
        self.terms.reason.is_some()
    }
}

fn calls_of(drafts: &[PlannedRequest]) -> Vec<RefusedCall> {
    drafts.iter().flat_map(|planned| planned.calls.clone()).collect()
}
