//! `kubectl daypass approve`, `deny` and `revoke`: shows what is decided on, asks, and writes the caller's own review.
//!
//! [`pending`] lists what waits for one, and [`drop`](mod@drop) ends what is the caller's own. [`review`] says whether a review
//! would have an effect and writes it, [`shown`] sees to it that what was shown is what is approved, and [`end`] sees access
//! end. Whether a review counts, the controller decides.

pub mod drop;
pub mod end;
pub mod pending;
pub mod review;
pub mod shown;

use kube::ResourceExt;

use self::end::see_end;
use self::review::{Vain, give, has_effect, refuse, review};
use super::cluster::{Cluster, Connection};
use super::error::PluginError;
use super::exit::Exit;
use super::identity::Caller;
use super::output::console::Console;
use super::output::table::Table;
use super::output::text::{Text, TextSpan, Tone};
use super::requests;
use super::see::{show, words};
use super::seen::{InstallationArgs, PoliciesRead, Seen};
use crate::api::request::{AccessRequest, Review, ReviewVerdict};
use crate::api::subject::Identity;
use crate::runtime::clock::Clock;

/// The command line of `approve`, `deny` and `revoke`.
#[derive(Debug, clap::Args)]
pub struct ReviewArgs {
    /// Names of the requests.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Namespace of the requests. Left out: that of the context.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Why, for the record.
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Do not ask. Needed where there is no terminal.
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    installation: InstallationArgs,
    #[command(flatten)]
    connection: Connection,
}

/// What is said to the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewCommand {
    Approve,
    Deny,
    Revoke,
}

impl ReviewCommand {
    fn verdict(self) -> ReviewVerdict {
        match self {
            Self::Approve => ReviewVerdict::Approve,
            Self::Deny => ReviewVerdict::Deny,
            Self::Revoke => ReviewVerdict::Revoke,
        }
    }

    /// The command, and what is done by it.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Approve => ("approve", "approved"),
            Self::Deny => ("deny", "denied"),
            Self::Revoke => ("revoke", "revoked"),
        }
    }
}

/// Reviews requests.
///
/// # Errors
/// When nothing can be read or written. That a review would have no effect is said, and is no error of this kind.
pub async fn run(args: ReviewArgs, answer: ReviewCommand, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let namespace = args.namespace.clone().unwrap_or_else(|| cluster.namespace.clone());
    let who = Caller::of(&cluster).await?.identity;
    let review = review(answer.verdict(), args.message.as_deref(), &who);
    let mut requests = Vec::new();
    for name in &args.names {
        requests.push(requests::get(&cluster, &namespace, name).await?);
    }
    let (worthwhile, vain) = sort_out(&cluster, &args, requests, &who, &review).await?;
    for (request, why) in &vain {
        refuse(request, why, console);
    }
    if worthwhile.is_empty() {
        return Ok(Exit::Error);
    }
    console.remark(&shown(&worthwhile));
    if !args.yes {
        if !console.can_ask() {
            return Err(PluginError::NobodyToAsk);
        }
        let these = if worthwhile.len() == 1 { "it".to_owned() } else { format!("these {}", worthwhile.len()) };
        if !console.confirm(&format!("{} {these}?", answer.words().0)) {
            console.say("nothing was said to them");
            return Ok(Exit::Error);
        }
    }
    let done = answer.words().1;
    let mut exit = if vain.is_empty() { Exit::Done } else { Exit::Error };
    for request in &worthwhile {
        exit = exit.or(match give(&cluster, request, &who, &review).await? {
            Ok(told) if answer == ReviewCommand::Revoke => see_end(&cluster, &told, done, console).await,
            Ok(_) => {
                console.show(&Text::of(TextSpan::new(format!("{done} {}", name(request)), Tone::Good)));
                Exit::Done
            }
            Err(why) => {
                refuse(request, &why, console);
                Exit::Error
            }
        });
    }
    Ok(exit)
}

fn name(request: &AccessRequest) -> String {
    format!("{}/{}", request.namespace().unwrap_or_default(), request.name_any())
}

/// Those to which the review would do something, and the others, each with the reason.
async fn sort_out(
    cluster: &Cluster,
    args: &ReviewArgs,
    requests: Vec<AccessRequest>,
    who: &Identity,
    review: &Review,
) -> Result<(Vec<AccessRequest>, Vec<(AccessRequest, Vain)>), PluginError> {
    let policies = match PoliciesRead::read(cluster).await {
        Ok(policies) => Some(policies),
        // Then the cluster says afterwards who has a say.
        Err(error) if error.is_forbidden() => None,
        Err(error) => return Err(error),
    };
    let (mut worthwhile, mut vain) = (Vec::new(), Vec::new());
    for request in requests {
        let seen = match &policies {
            Some(policies) => Some(Seen::of(cluster, &request, policies, &args.installation).await?),
            None => None,
        };
        match has_effect(&request, seen.as_ref(), who, review) {
            Ok(()) => worthwhile.push(request.clone()),
            Err(why) => vain.push((request.clone(), why)),
        }
    }
    Ok((worthwhile, vain))
}

/// What is decided on: one on a page, several in a table.
fn shown(requests: &[AccessRequest]) -> Text {
    if let [one] = requests {
        return show::page(one, Clock::wall().now());
    }
    let mut table = Table::new(&["NAME", "REQUESTER", "ROLE", "WHERE", "FOR", "RISK", "REASON"]);
    for request in requests {
        table.row(vec![
            request.name_any().into(),
            words::requester(request).into(),
            words::what(request).into(),
            words::place(request).into(),
            words::length(request).into(),
            words::risk(request),
            request.spec.reason.clone().into(),
        ]);
    }
    table.text()
}
