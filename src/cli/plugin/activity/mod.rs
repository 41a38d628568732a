//! `kubectl daypass activity`: what was done with the access of one request, call by call, as far as it can be known.
//!
//! [`reading`] asks the archive with the caller's own login, also for other commands, and [`printed`] writes it. Where the
//! archive says nothing, the summary in the request's status is shown, and why there is no more.

pub mod printed;
pub mod reading;

use clap::builder::NonEmptyStringValueParser;
use kube::ResourceExt;

use self::reading::{NoActivity, told};
use super::cluster::{Cluster, Connection};
use super::error::PluginError;
use super::exit::Exit;
use super::history::lives::{self, WantedLife};
use super::output::console::Console;
use super::output::format::FormatArgs;
use super::requests::{self, Where};
use super::see::words;
use crate::api::request::AccessRequest;

/// The command line of `activity`.
#[derive(Debug, clap::Args)]
pub struct ActivityArgs {
    /// Name or UID of a request.
    #[arg(value_name = "REQUEST", value_parser = NonEmptyStringValueParser::new())]
    request: String,
    /// Namespace of the request. Left out: that of the context.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    connection: Connection,
}

/// Shows what was done with a request's access.
///
/// # Errors
/// When nothing of it can be known, and why.
pub async fn run(args: ActivityArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let namespace = cluster.namespace_or(&args.namespace);
    let place = Where::Namespace(namespace.to_owned());
    let wanted = WantedLife::of(&args.request);
    let (uid, request) = match &wanted {
        WantedLife::Uid(uid) => (uid.clone(), None),
        WantedLife::Name(name) => match requests::get(&cluster, namespace, name).await {
            Ok(request) => (request.uid().unwrap_or_default(), Some(request)),
            Err(gone @ PluginError::NoSuchRequest { .. }) => {
                let last = lives::archived(&cluster, &place, &wanted, console).await?.pop();
                let record = last.and_then(|life| life.items.into_iter().next()).ok_or(gone)?.record;
                (record.request.uid, None)
            }
            Err(error) => return Err(error),
        },
    };
    match told(&cluster, &place, &uid).await {
        Ok(told) => match args.format.format().object(&printed::object(&told))? {
            Some(document) => console.print(&document),
            None => console.show(&printed::page(&told, &args.format)),
        },
        Err(why) => in_short(request.as_ref(), why, &args, &place, console)?,
    }
    Ok(Exit::Done)
}

/// The summary in the status of a request, where there is one, and why there is no more.
fn in_short(
    request: Option<&AccessRequest>,
    why: NoActivity,
    args: &ActivityArgs,
    place: &Where,
    console: &mut Console,
) -> Result<(), PluginError> {
    let summary = request.map(words::used).filter(|used| !used.words.is_empty() && args.format.is_for_people());
    let why = why.words(place)?;
    let Some(summary) = summary else {
        return Err(PluginError::NoActivity { request: args.request.clone(), why });
    };
    console.note(&format!("no call can be listed: {why}"));
    console.say(summary);
    Ok(())
}
