//! `kubectl daypass drop`: the caller gives back access of their own, or takes back what they asked for. Both are a review of
//! Revoke by the requester, so the record stays.

use super::end::see_end;
use super::review::{Vain, give, has_effect, refuse, review};
use crate::api::request::{AccessRequest, ReviewVerdict};
use crate::api::subject::Identity;
use crate::cli::plugin::cluster::{Cluster, Connection};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::identity::Caller;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::requests::{self, Where};
use crate::cli::plugin::see::words;
use crate::core::model::subjects::is_same_person;

/// The command line of `drop`.
#[derive(Debug, clap::Args)]
pub struct DropArgs {
    /// Names of your requests.
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "NAME")]
    names: Vec<String>,
    /// All of yours that are not over.
    #[arg(long)]
    all: bool,
    /// Namespace of the requests. Left out: that of the context.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// With --all: those in all namespaces.
    #[arg(short = 'A', long, requires = "all", conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Why, for the record.
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Ends what is the caller's own.
///
/// # Errors
/// When nothing can be read or written. That there is nothing to end is said, and is no error of this kind.
pub async fn run(args: DropArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let who = Caller::of(&cluster).await?.identity;
    let chosen = args.chosen(&cluster, &who, console).await?;
    if chosen.is_empty() {
        console.say("you have no request here that is not over");
    }
    let revoke = review(ReviewVerdict::Revoke, args.message.as_deref(), &who);
    let mut exit = Exit::Done;
    for request in chosen {
        let own = if is_of(&request, &who) {
            has_effect(&request, None, &who, &revoke)
        } else {
            Err(Vain::NotYours(words::requester(&request).to_owned()))
        };
        let given = match own {
            Ok(()) => give(&cluster, &request, &who, &revoke).await?,
            Err(why) => Err(why),
        };
        let ended = match given {
            Ok(told) => see_end(&cluster, &told, "dropped", console).await,
            Err(why) => {
                refuse(&request, &why, console);
                Exit::Error
            }
        };
        exit = exit.or(ended);
    }
    Ok(exit)
}

fn is_of(request: &AccessRequest, who: &Identity) -> bool {
    request.spec.requester.as_ref().is_some_and(|requester| is_same_person(requester, who))
}

impl DropArgs {
    async fn chosen(
        &self,
        cluster: &Cluster,
        who: &Identity,
        console: &mut Console,
    ) -> Result<Vec<AccessRequest>, PluginError> {
        let namespace = self.namespace.clone().unwrap_or_else(|| cluster.namespace.clone());
        if !self.all {
            let mut named = Vec::new();
            for name in &self.names {
                named.push(requests::get(cluster, &namespace, name).await?);
            }
            return Ok(named);
        }
        let place = if self.all_namespaces { Where::Everywhere } else { Where::Namespace(namespace) };
        let (requests, unreadable) = requests::list(cluster, &place).await?;
        for name in &unreadable {
            console.say(format!("note: request {name} cannot be read, and is left out"));
        }
        Ok(requests.into_iter().filter(|request| is_of(request, who) && !request.is_over()).collect())
    }
}
