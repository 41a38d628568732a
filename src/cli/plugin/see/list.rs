//! `kubectl daypass list`: requests as a table, the caller's own unless they want all.

use kube::ResourceExt;

use super::words;
use crate::api::request::{AccessRequest, State};
use crate::cli::plugin::cluster::{Cluster, Connection};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::identity::Caller;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::format::FormatArgs;
use crate::cli::plugin::output::text::{Span, Text};
use crate::cli::plugin::requests::{self, Where};
use crate::core::model::subjects::is_same_person;
use crate::runtime::clock::Clock;

/// The command line of `list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Namespace to look in. Left out: that of the context.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Look in all namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Those of everybody, and not yours alone.
    #[arg(long)]
    everyone: bool,
    /// Only those of this user.
    #[arg(long, value_name = "NAME", conflicts_with = "everyone")]
    requester: Option<String>,
    /// Only those in one of these states, separated by commas: Pending, Scheduled, Active, Suspended, Denied, Expired, Revoked,
    /// Lapsed, Failed, Extended.
    #[arg(long, value_name = "STATES", value_delimiter = ',', value_parser = state)]
    state: Vec<State>,
    /// Only those that this policy decided, or decides.
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    connection: Connection,
}

/// A state by its name, in whatever letters.
fn state(text: &str) -> Result<State, String> {
    let all = [
        State::Pending,
        State::Scheduled,
        State::Active,
        State::Suspended,
        State::Denied,
        State::Expired,
        State::Revoked,
        State::Lapsed,
        State::Failed,
        State::Extended,
    ];
    let names = || all.map(State::as_str).join(", ");
    all.into_iter()
        .find(|state| state.as_str().eq_ignore_ascii_case(text))
        .ok_or_else(|| format!("there is no state {text}: give one of {}", names()))
}

/// Lists requests.
///
/// # Errors
/// When they cannot be read.
pub async fn run(args: ListArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let place = match (args.all_namespaces, &args.namespace) {
        (true, _) => Where::Everywhere,
        (false, Some(name)) => Where::Namespace(name.clone()),
        (false, None) => Where::Namespace(cluster.namespace.clone()),
    };
    let (requests, unreadable) = requests::list(&cluster, &place).await?;
    let chosen: Vec<AccessRequest> = match (&args.requester, args.everyone) {
        (Some(name), _) => requests.into_iter().filter(|request| words::requester(request) == name).collect(),
        (None, true) => requests,
        (None, false) => {
            let me = Caller::of(&cluster).await?.identity;
            let mine = |r: &AccessRequest| r.spec.requester.as_ref().is_some_and(|who| is_same_person(who, &me));
            requests.into_iter().filter(mine).collect()
        }
    };
    let chosen: Vec<AccessRequest> = chosen.into_iter().filter(|request| args.wants(request)).collect();
    for name in &unreadable {
        console.say(format!("note: request {name} cannot be read, and is left out"));
    }
    match args.format.format().list(&chosen)? {
        Some(document) => console.print(&document),
        None if chosen.is_empty() => console.say(args.nothing(&place)),
        None => console.show(&args.table(&chosen, &place)),
    }
    Ok(Exit::Done)
}

impl ListArgs {
    fn wants(&self, request: &AccessRequest) -> bool {
        let status = request.status.clone().unwrap_or_default();
        let policy = status.policy.map(|policy| policy.name);
        (self.state.is_empty() || self.state.contains(&status.state))
            && self.policy.as_ref().is_none_or(|wanted| policy.as_ref() == Some(wanted))
    }

    fn nothing(&self, place: &Where) -> String {
        let place = match place {
            Where::Namespace(name) => format!("in namespace {name}: -A looks in all"),
            Where::Everywhere => "in any namespace".to_owned(),
        };
        match (&self.requester, self.everyone) {
            (Some(name), _) => format!("no such request of {name} {place}"),
            (None, true) => format!("no such request {place}"),
            (None, false) => format!("no such request of yours {place}, and --everyone shows those of others"),
        }
    }

    fn table(&self, requests: &[AccessRequest], place: &Where) -> Text {
        let now = Clock::wall().now();
        let everywhere = *place == Where::Everywhere;
        let heads: &[&str] = if everywhere { &["NAMESPACE"] } else { &[] };
        let heads = [heads, &["NAME", "REQUESTER", "ROLE", "STATE", "UNTIL", "AGE"]].concat();
        let mut table = self.format.table(&heads, &["RISK", "POLICY", "REASON"]);
        for request in requests {
            let until = words::until(request).map(|until| until.to_string()).unwrap_or_default();
            let mut row: Vec<Span> =
                if everywhere { vec![request.namespace().unwrap_or_default().into()] } else { vec![] };
            row.extend([
                request.name_any().into(),
                words::requester(request).into(),
                words::what(request).into(),
                words::state(request),
                until.into(),
                words::age(request, now).into(),
            ]);
            if self.format.is_wide() {
                let policy = request.status.as_ref().and_then(|status| status.policy.as_ref());
                let policy = policy.map(|policy| policy.name.clone()).unwrap_or_default();
                row.extend([words::risk(request), policy.into(), request.spec.reason.clone().into()]);
            }
            table.row(row);
        }
        table.text()
    }
}
