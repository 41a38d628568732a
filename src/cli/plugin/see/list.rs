//! `kubectl daypass list`: requests as a table, the caller's own unless they want all.

use kube::ResourceExt;

use super::choice::Choice;
use super::{watch, words};
use crate::api::request::AccessRequest;
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::contexts::{ContextAnswers, ContextsArgs};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::text::{Text, TextSpan};
use crate::cli::plugin::requests::{self, Where};
use crate::runtime::clock::Clock;

/// The command line of `list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    choice: Choice,
    /// Go on with a line for each change, as the command watch does.
    #[arg(short, long, conflicts_with_all = ["contexts", "all_contexts"])]
    watch: bool,
    #[command(flatten)]
    contexts: ContextsArgs,
}

/// The requests of one cluster, and where they were looked for.
type ListedHere = (Where, Vec<AccessRequest>);

/// Lists requests.
///
/// # Errors
/// When they cannot be read.
pub async fn run(args: ListArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let ListArgs { choice, watch, contexts } = args;
    if watch {
        return watch::run(choice, console).await;
    }
    let list = async |cluster: Cluster, console: &mut Console| -> Result<ListedHere, PluginError> {
        let place = choice.place(&cluster);
        let requests = requests::list(&cluster, &place, console).await?;
        let whose = choice.whose(&cluster).await?;
        let chosen: Vec<AccessRequest> = requests.into_iter().filter(|request| choice.wants(request, &whose)).collect();
        if chosen.is_empty() && choice.format.is_for_people() {
            console.say(choice.nothing(&place));
        }
        Ok((place, chosen))
    };
    let listed = contexts.ask(&choice.connection, console, list).await?;
    let all = listed.answers.iter().flat_map(|of| of.answer.1.iter().map(|request| (of.context.as_deref(), request)));
    match choice.format.format().side_by_side(&all.collect::<Vec<_>>(), &listed.failed)? {
        Some(document) => console.print(&document),
        None => console.show(&table(&choice, &listed)),
    }
    Ok(listed.exit())
}

fn table(choice: &Choice, listed: &ContextAnswers<ListedHere>) -> Text {
    let (now, format) = (Clock::wall().now(), &choice.format);
    // The contexts of a kubeconfig may mean several namespaces.
    let with_namespaces = listed.are_named || listed.answers.iter().any(|of| of.answer.0 == Where::Everywhere);
    let heads: &[&str] = if with_namespaces { &["NAMESPACE"] } else { &[] };
    let heads = [listed.head(), heads, &["NAME", "REQUESTER", "ROLE", "STATE", "UNTIL", "AGE"]].concat();
    let mut table = format.table(&heads, &["RISK", "POLICY", "USED", "REASON"]);
    for (of, request) in listed.answers.iter().flat_map(|of| of.answer.1.iter().map(move |request| (of, request))) {
        let until = words::until(request).map(|until| until.to_string()).unwrap_or_default();
        let mut row: Vec<TextSpan> = of.cell().into_iter().collect();
        row.extend(with_namespaces.then(|| request.namespace().unwrap_or_default().into()));
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
            let used = request.status.as_ref().and_then(|status| status.activity.as_ref());
            let used = used.map(|activity| activity.used.as_str()).unwrap_or_default();
            row.extend([words::risk(request), policy.into(), used.into(), request.spec.reason.clone().into()]);
        }
        table.row(row);
    }
    if table.is_empty() { Text::default() } else { table.text() }
}
