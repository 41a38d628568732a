//! `kubectl daypass request`: says what would be decided, sends the request, and waits for the answer.
//!
//! [`draft`] makes the request of the command line, [`anew`] one of a request that there is, [`options`] says what there is to
//! ask for and [`pick`] has somebody choose, [`manifest`] reads requests from a file and
//! [`from_error`] makes them of what was refused, by [`mod@propose`]. [`mod@send`] makes them: [`forecast`] asks
//! the core, [`wait`] watches, and [`ending`] says how it went. [`mod@line`] is the way back, from a request to its line. Nothing
//! here decides.

pub mod anew;
pub mod draft;
pub mod ending;
mod every;
pub mod forecast;
mod from_error;
pub mod groups;
pub mod line;
mod manifest;
pub mod options;
mod pick;
pub mod propose;
pub mod rule;
pub mod send;
pub mod wait;

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use k8s_openapi::jiff::Timestamp;

use self::draft::Wish;
use self::every::EveryArg;
use self::options::AskOptions;
use self::propose::AskedTerms;
use self::rule::RuleArg;
use self::send::{SendArgs, check_length, send, send_all};
use super::cluster::Cluster;
use super::error::PluginError;
use super::exit::Exit;
use super::identity;
use super::output::console::Console;
use crate::api::selector::RequestScope;
use crate::api::subject::Identity;

/// The command line of `request`.
#[derive(Debug, clap::Args)]
pub struct RequestArgs {
    /// Role to ask for: a ClusterRole, or role/NAME for a Role of the namespace. Left out, and no -f: the command shows what you may ask
    /// for, as `options` does, and on a terminal has you pick.
    role: Option<String>,
    /// For how long, such as 30m or 1h30m. Left out: the default of the policy.
    #[arg(long = "for", id = "for", value_name = "DURATION")]
    duration: Option<String>,
    /// When access begins, RFC 3339 with a zone, such as 2026-01-05T18:00:00Z. Left out: as soon as it is approved.
    #[arg(long, value_name = "TIME", value_parser = instant, conflicts_with = "break_glass")]
    at: Option<Timestamp>,
    /// Why access is needed. Approvers and auditors read it. Left out on a terminal: you are asked.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Number or link of the ticket this belongs to.
    #[arg(long, value_name = "TEXT")]
    ticket: Option<String>,
    /// Ask for less than the role: VERB[,VERB]:RESOURCE[.GROUP][/NAME[/SUBRESOURCE]], such as delete:pods/shop-0,
    /// get,list:deployments.apps, create:pods/shop-0/exec; or a path, as get:/metrics with --cluster-wide. Can be given again.
    #[arg(long = "rule", value_name = "RULE")]
    rules: Vec<RuleArg>,
    /// Namespace to ask in. Left out: that of the context.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Ask for access in these namespaces, separated by commas, rather than in that of the request.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = NonEmptyStringValueParser::new())]
    namespaces: Vec<String>,
    /// Ask for access in the whole cluster.
    #[arg(long, conflicts_with = "namespaces")]
    cluster_wide: bool,
    /// Ask for access that comes back every week, such as 'Mon-Fri 09:00-17:00 Europe/Berlin'.
    #[arg(long, value_name = "WINDOWS", conflicts_with_all = ["for", "break_glass"])]
    every: Option<EveryArg>,
    /// With --every: for how many weeks.
    #[arg(long, value_name = "NUMBER", default_value_t = 1, requires = "every")]
    weeks: i32,
    /// An emergency: access at once under a policy that has breakGlass, announced by a Warning Event and reviewed afterwards.
    #[arg(long)]
    break_glass: bool,
    /// Policy to decide by. Left out: of those that allow it, the one that asks least.
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// Ask for what AccessRequests in a file ask for, or - for standard input.
    #[arg(short, long = "filename", value_name = "FILE", id = "file", conflicts_with_all = ["role", "for", "at", "reason", "ticket",
        "rules", "namespaces", "cluster_wide", "every", "break_glass", "policy"])]
    file: Option<PathBuf>,
    /// Read an error that says Forbidden from standard input, of kubectl or of any other program, and propose the narrowest
    /// request for what was refused. With --reason it is asked for.
    #[arg(long, conflicts_with_all = ["role", "rules", "namespaces", "cluster_wide", "every", "break_glass", "file", "at"])]
    from_error: bool,
    #[command(flatten)]
    how: SendArgs,
}

/// An instant as the API takes it.
fn instant(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|error| format!("{error}: write it with a zone, such as 2026-01-05T18:00:00Z"))
}

impl RequestArgs {
    fn names_a_place(&self) -> bool {
        self.cluster_wide || !self.namespaces.is_empty()
    }

    /// Looks at what makes no sense without a role: it belongs to what is picked.
    ///
    /// # Errors
    /// The flag that needs one.
    fn without_role(&self) -> Result<(), PluginError> {
        let needs = [
            ("--rule", !self.rules.is_empty()),
            ("--namespaces or --cluster-wide", self.names_a_place()),
            ("--at", self.at.is_some()),
            ("--break-glass", self.break_glass),
            ("--policy", self.policy.is_some()),
            ("--every", self.every.is_some()),
        ];
        let problem = || "name the role that you ask for; kubectl daypass options lists those that you may".to_owned();
        match needs.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(PluginError::Flag { flag, problem: problem() }),
            None => Ok(()),
        }
    }

    fn scope(&self) -> Option<RequestScope> {
        let named = self.names_a_place();
        named.then(|| RequestScope {
            namespaces: self.namespaces.clone(),
            namespace_selector: None,
            cluster: self.cluster_wide,
        })
    }
}

/// Asks for access.
///
/// # Errors
/// Why it cannot. A request that is refused is no error.
pub async fn run(args: RequestArgs, console: &mut Console) -> Result<Exit, PluginError> {
    if let Some(length) = &args.duration {
        check_length("--for", length)?;
    }
    let cluster = Cluster::connect(&args.how.connection).await?;
    let requester = identity::requester(&cluster).await?;
    if let Some(file) = &args.file {
        let drafts = manifest::drafts(file, args.namespace.as_deref(), &cluster.namespace, &requester)?;
        return send_all(cluster, &drafts, &args.how, console).await;
    }
    if args.from_error {
        let (RequestArgs { duration, reason, ticket, policy, namespace, how, .. }, who) = (args, requester);
        let namespace = cluster.namespace_or(&namespace).to_owned();
        let terms = AskedTerms { duration, reason, ticket, policy, namespace };
        return from_error::run(cluster, &terms, who, &how, console).await;
    }
    let Some(role) = args.role.clone() else { return choose(args, cluster, requester, console).await };
    let draft = Wish {
        role: &role,
        namespace: cluster.namespace_or(&args.namespace),
        duration: args.duration.clone(),
        start: args.at,
        recurrence: args.every.as_ref().map(|every| every.for_weeks(args.weeks)),
        reason: reason(args.reason.clone(), console)?,
        ticket: args.ticket.clone(),
        rules: groups::rules(&cluster, "--rule", &args.rules).await?,
        scope: args.scope(),
        policy: args.policy.clone(),
        break_glass: args.break_glass,
        requester,
    }
    .request();
    send(cluster, &draft, &args.how, console).await
}

/// Shows what one may ask for; on a terminal, has one pick and asks for that.
async fn choose(
    args: RequestArgs,
    cluster: Cluster,
    requester: Identity,
    console: &mut Console,
) -> Result<Exit, PluginError> {
    args.without_role()?;
    let namespace = cluster.namespace_or(&args.namespace).to_owned();
    let flags = args.how.connection.flags();
    let options = AskOptions::read(&cluster, &args.how.installation, &namespace, &requester, flags).await?;
    options.tell_notes(console);
    if !console.can_ask() || options.is_empty() {
        options.show(&args.how.format.format(), console)?;
        console.say("name the role that you ask for");
        return Ok(Exit::Usage);
    }
    let Some(option) = pick::option(&options, console) else { return Ok(Exit::Usage) };
    let given = pick::GivenAnswers { reason: args.reason, ticket: args.ticket, duration: args.duration };
    let Some(draft) = pick::draft(option, given, console)? else { return Ok(Exit::Usage) };
    send(cluster, &draft, &args.how, console).await
}

/// The reason, asked for at a terminal when the command line has none.
///
/// # Errors
/// When there is none.
fn reason(typed: Option<String>, console: &mut Console) -> Result<String, PluginError> {
    if let Some(typed) = typed {
        return Ok(typed);
    }
    let asked = if console.can_ask() { console.ask("why is access needed? ") } else { None };
    let problem = || "say why access is needed: approvers and auditors read it".to_owned();
    asked.filter(|reason| !reason.is_empty()).ok_or_else(|| PluginError::Flag { flag: "--reason", problem: problem() })
}
