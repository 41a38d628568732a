//! The desk of `run`: a refused call becomes a request for the least that lets it pass, and waits until access is there.
//!
//! [`queue`] is where they come in, [`lacking`] finds what was refused for want of a right, [`reviewed`] what a command was told that
//! it may not do, [`objects`] and [`rendered`] what else the
//! command names, [`plan`] what to ask for, [`question`] asks the person at the terminal, and [`worker`] does one thing after the other:
//! however many calls are refused at the same time, they are one question.
//! Who gets what the core and the cluster decide. What a run was given ends with it.

mod lacking;
mod objects;
mod plan;
mod question;
mod queue;
mod rendered;
mod reviewed;
mod worker;

use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser};
use http::StatusCode;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::queue::CallQueue;
use self::reviewed::{OWN_REVIEWS, asks_first, denied_by_review};
use self::worker::HoldWorker;
use super::allowed::UnaskedLimit;
use super::endpoint::desk::{AfterRefusal, HeldCall, RefusalDesk};
use crate::api::risk::RiskLevel;
use crate::api::word::Vocabulary;
use crate::cli::plugin::ask::groups;
use crate::cli::plugin::ask::rule::RuleArg;
use crate::cli::plugin::ask::send::check_length;
use crate::cli::plugin::cluster::{Cluster, Timeout, timeout};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::seen::InstallationArgs;
use crate::core::rbac::rules::from_narrow;

/// How what is refused is asked for.
#[derive(Debug, clap::Args)]
pub struct HoldArgs {
    /// Why access is needed. Approvers and auditors read it. Left out: you are asked, at a terminal.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Number or link of the ticket this belongs to.
    #[arg(long, value_name = "TEXT")]
    ticket: Option<String>,
    /// For how long at most, such as 30m. Access ends with the command. Left out: the default of the policy.
    #[arg(long = "for", id = "for", value_name = "DURATION")]
    duration: Option<String>,
    /// Policy to decide by. Left out: of those that allow it, the one that asks least.
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// Namespace of the context that the command has, and in which is asked for what belongs to the whole cluster.
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// How long to wait for an answer, such as 10m. Left out, or 0: until there is one.
    #[arg(long, value_name = "DURATION", value_parser = timeout)]
    timeout: Option<Timeout>,
    /// Ask nobody here: what is within --allow or --max-risk is asked for as soon as it is refused, and the rest is not.
    #[arg(long, requires = "reason")]
    yes: bool,
    /// With --yes: ask for nothing but this, VERB[,VERB]:RESOURCE[.GROUP][/NAME[/SUBRESOURCE]]. Can be given again.
    #[arg(long = "allow", value_name = "RULE", requires = "yes")]
    allow: Vec<RuleArg>,
    /// With --yes: ask for nothing that can do more harm: Low, Medium, High or Critical. Left out, and no --allow: Low.
    #[arg(long, value_parser = levels(), ignore_case = true, hide_possible_values = true, value_name = "LEVEL", requires = "yes")]
    max_risk: Option<RiskLevel>,
    /// With --yes: ask in these namespaces too, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new(), requires = "yes")]
    namespaces: Vec<String>,
    /// With --yes: ask for the whole cluster too.
    #[arg(long, requires = "yes")]
    cluster_wide: bool,
    #[command(flatten)]
    installation: InstallationArgs,
}

/// The levels that are words of a limit: what nobody can say is none.
fn levels() -> impl TypedValueParser<Value = RiskLevel> {
    let known = RiskLevel::ALL.iter().filter(|level| **level != RiskLevel::Unknown);
    PossibleValuesParser::new(known.map(|level| level.as_str())).map(|word| {
        let named = RiskLevel::ALL.iter().find(|level| level.as_str().eq_ignore_ascii_case(&word));
        named.copied().unwrap_or_default()
    })
}

impl HoldArgs {
    /// How far the run may go without asking anybody; none when somebody is asked.
    async fn limit(&self, cluster: &Cluster) -> Result<Option<UnaskedLimit>, PluginError> {
        if !self.yes {
            return Ok(None);
        }
        let rules = groups::rules(cluster, "--allow", &self.allow).await?;
        let rules = (!rules.is_empty()).then(|| rules.iter().map(from_narrow).collect());
        let max_risk = self.max_risk.or(if rules.is_some() { None } else { Some(RiskLevel::Low) });
        let own = std::iter::once(cluster.namespace_or(&self.namespace).to_owned());
        let namespaces = own.chain(self.namespaces.iter().cloned()).collect();
        Ok(Some(UnaskedLimit { rules, max_risk, namespaces, cluster: self.cluster_wide }))
    }
}

/// A call that waits at the desk.
struct WaitingCall {
    call: HeldCall,
    /// When it came, refused.
    since: Instant,
    answer: oneshot::Sender<AfterRefusal>,
}

/// Where refused calls of one run come to.
pub struct HoldingDesk {
    queue: mpsc::UnboundedSender<WaitingCall>,
    /// Whether the command asks what it may do, and does not try what it may not.
    asks_first: bool,
}

/// What one run asks for and has, until it is closed.
pub struct Holding {
    over: watch::Sender<bool>,
    worker: JoinHandle<Exit>,
}

impl Holding {
    /// Opens the desk for a command. `line` are its words, the program first; `flags` lead a further command to the same cluster.
    ///
    /// # Errors
    /// When the command line cannot be used.
    pub async fn open(
        cluster: Cluster,
        args: HoldArgs,
        line: Vec<String>,
        flags: String,
    ) -> Result<(HoldingDesk, Self), PluginError> {
        if let Some(length) = &args.duration {
            check_length("--for", length)?;
        }
        let limit = args.limit(&cluster).await?;
        let (queue, calls) = mpsc::unbounded_channel();
        let (over, is_over) = watch::channel(false);
        let asks_first = asks_first(&line);
        let worker = HoldWorker::new(cluster, args, limit, line, flags);
        let worker = tokio::spawn(worker.run(CallQueue::new(calls), is_over));
        Ok((HoldingDesk { queue, asks_first }, Self { over, worker }))
    }

    /// Closes the desk: what waits goes through as it is, and everything that the run has asked for ends, decided or not. Says
    /// what did not.
    pub async fn close(self) -> Exit {
        let _ = self.over.send(true);
        self.worker.await.unwrap_or(Exit::Error)
    }
}

impl RefusalDesk for HoldingDesk {
    fn looks_at(&self, path: &str, code: StatusCode) -> bool {
        code == StatusCode::FORBIDDEN || (code.is_success() && self.reads(path))
    }

    fn reads(&self, path: &str) -> bool {
        self.asks_first && path == OWN_REVIEWS
    }

    async fn refused(&self, call: HeldCall) -> AfterRefusal {
        if call.path == OWN_REVIEWS && denied_by_review(&call.answer).is_none() {
            return AfterRefusal::Pass;
        }
        let (answer, answered) = oneshot::channel();
        // Once the desk is closed nobody answers any more.
        let _ = self.queue.send(WaitingCall { call, since: Instant::now(), answer });
        answered.await.unwrap_or(AfterRefusal::Pass)
    }
}
