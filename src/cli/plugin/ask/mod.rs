//! `kubectl daypass request`: says what would be decided, sends the request, and waits for the answer.
//!
//! [`draft`] makes the request of the command line, [`anew`] one of a request that there is, [`forecast`] asks the core about
//! it, [`wait`] watches it, and [`ending`] says how it went. Nothing here decides.

pub mod anew;
mod draft;
mod ending;
mod forecast;
mod groups;
mod rule;
mod wait;

use clap::builder::NonEmptyStringValueParser;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use self::draft::{Wish, as_if_sent};
use self::forecast::Forecast;
use self::rule::RuleArg;
use self::wait::{Waited, Why};
use super::cluster::{Cluster, Connection, Timeout, quoted, timeout};
use super::error::PluginError;
use super::exit::Exit;
use super::identity;
use super::output::console::Console;
use super::output::format::{Format, FormatArgs};
use super::output::text::{Text, TextSpan, Tone};
use super::see::words;
use super::seen::{InstallationArgs, PoliciesRead, Seen};
use super::write;
use crate::api::request::AccessRequest;
use crate::api::selector::RequestScope;
use crate::core::model::duration;
use crate::runtime::clock::Clock;

/// The command line of `request`.
#[derive(Debug, clap::Args)]
pub struct RequestArgs {
    /// Role to ask for: a ClusterRole, or role/NAME for a Role of the namespace.
    role: String,
    /// For how long, such as 30m or 1h30m. Left out: the default of the policy.
    #[arg(long = "for", id = "for", value_name = "DURATION")]
    duration: Option<String>,
    /// When access begins, RFC 3339 with a zone, such as 2026-01-05T18:00:00Z. Left out: as soon as it is approved.
    #[arg(long, value_name = "TIME", value_parser = instant, conflicts_with = "break_glass")]
    at: Option<Timestamp>,
    /// Why access is needed. Approvers and auditors read it.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Number or link of the ticket this belongs to.
    #[arg(long, value_name = "TEXT")]
    ticket: Option<String>,
    /// Ask for less than the role: VERB[,VERB]:RESOURCE[.GROUP][/NAME[/SUBRESOURCE]], such as delete:pods/shop-0,
    /// get,list:deployments.apps, create:pods/shop-0/exec. Can be given again.
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
    /// An emergency: access at once under a policy that has breakGlass, announced by a Warning Event and reviewed afterwards.
    #[arg(long)]
    break_glass: bool,
    /// Policy to decide by. Left out: of those that allow it, the one that asks least.
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    #[command(flatten)]
    how: SendArgs,
}

/// How a request is sent, whatever it asks for.
#[derive(Debug, clap::Args)]
pub struct SendArgs {
    /// Say what would be decided, have the API server look at the request, and make none. That the cluster's guard and the clock
    /// of Daypass are in order, and that Daypass is installed as --watch-namespaces and --release-namespace say, is taken for
    /// granted: neither can be seen from here.
    #[arg(long)]
    dry_run: bool,
    /// Do not wait for the answer.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait for the answer, such as 10m. When that is up the exit code is 4, and the request stays. Left out, or 0:
    /// until there is one.
    #[arg(long, value_name = "DURATION", value_parser = timeout, conflicts_with = "no_wait")]
    timeout: Option<Timeout>,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    installation: InstallationArgs,
    #[command(flatten)]
    pub connection: Connection,
}

/// An instant as the API takes it.
fn instant(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|error| format!("{error}: write it with a zone, such as 2026-01-05T18:00:00Z"))
}

impl RequestArgs {
    fn scope(&self) -> Option<RequestScope> {
        let named = self.cluster_wide || !self.namespaces.is_empty();
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
    let draft = Wish {
        role: &args.role,
        namespace: cluster.namespace_or(&args.namespace),
        duration: args.duration.clone(),
        start: args.at,
        reason: args.reason.clone(),
        ticket: args.ticket.clone(),
        rules: groups::rules(&cluster, &args.rules).await?,
        scope: args.scope(),
        policy: args.policy.clone(),
        break_glass: args.break_glass,
        requester: identity::caller(&cluster).await?,
    }
    .request();
    send(cluster, &draft, &args.how, console).await
}

/// Looks at a length of time that was typed.
///
/// # Errors
/// That it is none, and what one looks like.
pub fn check_length(flag: &'static str, length: &str) -> Result<(), PluginError> {
    let bad = duration::parse(length).err();
    bad.map_or(Ok(()), |bad| Err(PluginError::Flag { flag, problem: format!("{bad}: write 30m or 1h30m") }))
}

/// Says what would be decided about a request, sends it, and waits for the answer.
///
/// # Errors
/// Why it cannot. A request that is refused is no error.
pub async fn send(
    cluster: Cluster,
    draft: &AccessRequest,
    how: &SendArgs,
    console: &mut Console,
) -> Result<Exit, PluginError> {
    let (forecast, notes) = foresee(&cluster, &how.installation, draft).await?;
    let asking = RequestRun { cluster, how };
    notes.iter().for_each(|note| console.note(note));
    asking.tell(&forecast.text(), console);
    if forecast.is_in_vain() {
        return Ok(Exit::Refused);
    }
    let sent = write::request(&asking.cluster, draft, how.dry_run).await?;
    if how.dry_run {
        return asking.end(&sent, Text::of("nothing was asked for: that was a dry run"), Exit::Done, console);
    }
    asking.tell(&Text::of(format!("request {} is made", words::name(&sent))), console);
    if how.no_wait {
        console.next(&asking.see(&sent));
        return asking.end(&sent, Text::default(), Exit::Done, console);
    }
    asking.wait(sent, console).await
}

/// What would be decided, and what the caller may not read of what decides it.
async fn foresee(
    cluster: &Cluster,
    installation: &InstallationArgs,
    draft: &AccessRequest,
) -> Result<(Forecast, Vec<String>), PluginError> {
    let now: Timestamp = Clock::wall().now();
    let request = as_if_sent(draft, now);
    let policies = match PoliciesRead::read(cluster).await {
        Ok(policies) => policies,
        Err(error) if error.is_forbidden() => return Ok((Forecast::Unknown { why: error.to_string() }, Vec::new())),
        Err(error) => return Err(error),
    };
    let seen = match Seen::of(cluster, &request, &policies, installation).await {
        Ok(seen) => seen,
        // Who may ask for namespaces by label need not see them.
        Err(error @ PluginError::NamespacesNotListed) => {
            return Ok((Forecast::Unknown { why: error.to_string() }, Vec::new()));
        }
        Err(error) => return Err(error),
    };
    Ok((Forecast::of(&seen, now), seen.gaps.iter().map(ToString::to_string).collect()))
}

/// One run of the command.
struct RequestRun<'a> {
    cluster: Cluster,
    how: &'a SendArgs,
}

impl RequestRun<'_> {
    /// What happens on the way: a result for people, and beside the result for programs.
    fn tell(&self, text: &Text, console: &mut Console) {
        match self.how.format.format() {
            Format::People | Format::Wide => console.show(text),
            _ => console.remark(text),
        }
    }

    /// The end: words for people, the request for programs.
    fn end(
        &self,
        request: &AccessRequest,
        words: Text,
        exit: Exit,
        console: &mut Console,
    ) -> Result<Exit, PluginError> {
        match self.how.format.format().object(request)? {
            Some(document) => console.print(&document),
            None => console.show(&words),
        }
        Ok(exit)
    }

    async fn wait(&self, sent: AccessRequest, console: &mut Console) -> Result<Exit, PluginError> {
        let flags = self.how.connection.flags();
        match wait::until_answered(&self.cluster, &sent, self.how.timeout.and_then(|timeout| timeout.0), console)
            .await?
        {
            Waited::Answered(request) => {
                let exit = ending::exit(request.status.clone().unwrap_or_default().state);
                let ended = self.end(&request, Text::of(ending::line(&request)), exit, console)?;
                if exit == Exit::Done {
                    console.next(&ending::to_try(&request, &flags));
                } else {
                    console.next(&self.explain(&request));
                }
                Ok(ended)
            }
            Waited::Deleted => {
                console.say(TextSpan::new("the request was deleted before it was decided", Tone::Bad));
                Ok(Exit::Refused)
            }
            Waited::StillOpen(why) => {
                let why = match why {
                    Why::Timeout => "no answer in time",
                    Why::Interrupted => "you do not wait any more",
                };
                console.say(TextSpan::new(
                    format!("{why}: the request stays, and is decided all the same"),
                    Tone::Waiting,
                ));
                console.say(format!("to come back: {}", self.see(&sent)));
                self.end(&sent, Text::default(), Exit::Waiting, console)
            }
        }
    }

    fn see(&self, request: &AccessRequest) -> String {
        self.command("show", request)
    }

    fn explain(&self, request: &AccessRequest) -> String {
        self.command("explain", request)
    }

    fn command(&self, command: &str, request: &AccessRequest) -> String {
        let (namespace, name) = (request.namespace().unwrap_or_default(), request.name_any());
        format!("kubectl daypass {command} {} -n {namespace}{}", quoted(&name), self.how.connection.flags())
    }
}
