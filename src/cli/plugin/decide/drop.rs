//! `kubectl daypass drop`: the caller gives back access of their own, or takes back what they asked for. Both are a review of
//! Revoke by the requester, so the record stays.

use super::end::Revocation;
use super::review::{Vain, has_effect, refuse, review};
use crate::api::request::{AccessRequest, ReviewVerdict};
use crate::api::subject::Identity;
use crate::cli::plugin::cluster::{Cluster, Connection};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::identity;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::requests::{self, Where};
use crate::cli::plugin::see::words;

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
    let who = identity::caller(&cluster).await?;
    let (chosen, mut exit) = args.chosen(&cluster, &who, console).await?;
    if chosen.is_empty() && args.all {
        console.say("you have no request here that is not over");
    }
    let review = review(ReviewVerdict::Revoke, args.message.as_deref(), &who);
    let revocation = Revocation { cluster: &cluster, who: &who, review: &review, done: "dropped" };
    for request in &chosen {
        exit = exit.or(if requests::is_of(request, &who) {
            revocation.end(request, has_effect(request, None, &who, &review), console).await
        } else {
            refuse(request, &Vain::NotYours(words::requester(request).to_owned()), console)
        });
    }
    Ok(exit)
}

impl DropArgs {
    /// Those that are meant, and how the command ends if some of them cannot be read, which is said.
    async fn chosen(
        &self,
        cluster: &Cluster,
        who: &Identity,
        console: &mut Console,
    ) -> Result<(Vec<AccessRequest>, Exit), PluginError> {
        if !self.all {
            let namespace = cluster.namespace_or(&self.namespace);
            return Ok(requests::named(cluster, namespace, &self.names, console).await);
        }
        let place = Where::of(cluster, self.all_namespaces, &self.namespace);
        let requests = requests::list(cluster, &place, console).await?;
        let own = requests.into_iter().filter(|request| requests::is_of(request, who) && !request.is_over()).collect();
        Ok((own, Exit::Done))
    }
}
