//! `kubectl daypass list`: requests as a table, the caller's own unless they want all.

use kube::ResourceExt;

use super::choice::Choice;
use super::{watch, words};
use crate::api::request::AccessRequest;
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::format::FormatArgs;
use crate::cli::plugin::output::text::{Text, TextSpan};
use crate::cli::plugin::requests::{self, Where};
use crate::runtime::clock::Clock;

/// The command line of `list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    choice: Choice,
    /// Go on with a line for each change, as the command watch does.
    #[arg(short, long)]
    watch: bool,
}

/// Lists requests.
///
/// # Errors
/// When they cannot be read.
pub async fn run(args: ListArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let ListArgs { choice, watch } = args;
    if watch {
        return watch::run(choice, console).await;
    }
    let cluster = Cluster::connect(&choice.connection).await?;
    let place = choice.place(&cluster);
    let requests = requests::list(&cluster, &place, console).await?;
    let whose = choice.whose(&cluster).await?;
    let chosen: Vec<AccessRequest> = requests.into_iter().filter(|request| choice.wants(request, &whose)).collect();
    match choice.format.format().list(&chosen)? {
        Some(document) => console.print(&document),
        None if chosen.is_empty() => console.say(choice.nothing(&place)),
        None => console.show(&table(&choice.format, &chosen, &place)),
    }
    Ok(Exit::Done)
}

fn table(format: &FormatArgs, requests: &[AccessRequest], place: &Where) -> Text {
    let now = Clock::wall().now();
    let everywhere = *place == Where::Everywhere;
    let heads: &[&str] = if everywhere { &["NAMESPACE"] } else { &[] };
    let heads = [heads, &["NAME", "REQUESTER", "ROLE", "STATE", "UNTIL", "AGE"]].concat();
    let mut table = format.table(&heads, &["RISK", "POLICY", "REASON"]);
    for request in requests {
        let until = words::until(request).map(|until| until.to_string()).unwrap_or_default();
        let mut row: Vec<TextSpan> =
            if everywhere { vec![request.namespace().unwrap_or_default().into()] } else { vec![] };
        row.extend([
            request.name_any().into(),
            words::requester(request).into(),
            words::what(request).into(),
            words::state(request),
            until.into(),
            words::age(request, now).into(),
        ]);
        if format.is_wide() {
            let policy = request.status.as_ref().and_then(|status| status.policy.as_ref());
            let policy = policy.map(|policy| policy.name.clone()).unwrap_or_default();
            row.extend([words::risk(request), policy.into(), request.spec.reason.clone().into()]);
        }
        table.row(row);
    }
    table.text()
}
