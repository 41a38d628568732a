//! `kubectl daypass approve`, `deny` and `revoke`: shows what is decided on, asks, and writes the caller's own review.
//!
//! [`pending`] lists what waits for one, and [`drop`](mod@drop) ends what is the caller's own. [`mod@review`] says
//! whether a review would have an effect and writes it, [`shown`] sees to it that what was shown is what is approved,
//! and [`mod@end`] revokes and sees access end. Whether a review counts, the controller decides. What fails for one
//! request keeps no other from being decided.

pub mod drop;
pub mod end;
pub mod pending;
pub mod review;
pub mod shown;

use kube::ResourceExt;

use self::end::Revocation;
use self::review::{Vain, fail, give, has_effect, refuse, review};
use super::cluster::{Cluster, Connection};
use super::error::PluginError;
use super::exit::Exit;
use super::identity;
use super::output::console::Console;
use super::output::table::Table;
use super::output::text::{Text, TextSpan, Tone};
use super::requests;
use super::see::{show, words};
use super::seen::PoliciesRead;
use crate::api::request::{AccessRequest, ReviewVerdict};
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
    let namespace = cluster.namespace_or(&args.namespace);
    let who = identity::caller(&cluster).await?;
    let review = review(answer.verdict(), args.message.as_deref(), &who);
    let (requests, mut exit) = requests::named(&cluster, namespace, &args.names, console).await;
    let policies = match PoliciesRead::read(&cluster).await {
        Ok(policies) => Some(policies.set),
        // Then the cluster says afterwards who has a say.
        Err(error) if error.is_forbidden() => None,
        Err(error) => return Err(error),
    };
    let (mut worthwhile, mut judged) = (Vec::new(), Vec::new());
    for request in requests {
        match has_effect(&request, policies.as_ref(), &who, &review) {
            // Access that was told to end before, and has not: its end is waited for.
            Err(why) if answer != ReviewCommand::Revoke || why != Vain::Said => {
                exit = exit.or(refuse(&request, &why, console));
            }
            effect => {
                judged.push(effect);
                worthwhile.push(request);
            }
        }
    }
    if worthwhile.is_empty() {
        return Ok(exit);
    }
    console.remark(&shown(&worthwhile));
    let these = if worthwhile.len() == 1 { "it".to_owned() } else { format!("these {}", worthwhile.len()) };
    if !console.agreed(args.yes, None, &format!("{} {these}?", answer.words().0))? {
        console.say("nothing was said to them");
        return Ok(Exit::Error);
    }
    let done = answer.words().1;
    let revocation = Revocation { cluster: &cluster, who: &who, review: &review, done };
    for (request, judged) in worthwhile.iter().zip(judged) {
        exit = exit.or(if answer == ReviewCommand::Revoke {
            revocation.end(request, judged, console).await
        } else {
            match give(&cluster, request, &who, &review).await {
                Ok(Ok(_)) => {
                    console.show(&Text::of(TextSpan::new(format!("{done} {}", words::name(request)), Tone::Good)));
                    Exit::Done
                }
                Ok(Err(why)) => refuse(request, &why, console),
                Err(error) => fail(request, &error, console),
            }
        });
    }
    Ok(exit)
}

/// What is decided on: one on a page, several in a table. A column is there when one of them has something for it.
fn shown(requests: &[AccessRequest]) -> Text {
    if let [one] = requests {
        return show::page(one, Clock::wall().now());
    }
    type Cell = fn(&AccessRequest) -> TextSpan;
    let columns: [(&str, Cell); 10] = [
        ("NAME", |request| request.name_any().into()),
        ("REQUESTER", |request| words::requester(request).into()),
        ("ROLE", |request| words::what(request).into()),
        ("WHERE", |request| words::place(request).into()),
        ("BEGINS", |request| words::begins(request).into()),
        ("FOR", |request| words::length(request).into()),
        ("EXTENDS", |request| request.spec.extends.clone().unwrap_or_default().into()),
        ("KIND", words::kind),
        ("RISK", words::risk),
        ("REASON", |request| request.spec.reason.clone().into()),
    ];
    let told = |(_, cell): &&(&str, Cell)| requests.iter().any(|request| !cell(request).words.is_empty());
    let columns: Vec<&(&str, Cell)> = columns.iter().filter(told).collect();
    let mut table = Table::new(&columns.iter().map(|(head, _)| *head).collect::<Vec<_>>());
    for request in requests {
        table.row(columns.iter().map(|(_, cell)| cell(request)).collect());
    }
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::{noon, request};
    use serde_json::json;

    #[test]
    fn a_table_of_several_has_what_one_of_them_is_about() {
        let plain = || request(json!({ "duration": "30m" }));
        let heads = |others: [AccessRequest; 1]| {
            let text = shown(&[&[plain()][..], &others].concat()).to_string();
            let heads = anstream::adapter::strip_str(&text).to_string();
            heads.lines().next().unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(heads([plain()]), ["NAME", "REQUESTER", "ROLE", "WHERE", "FOR", "REASON"]);
        for (spec, head) in [
            (json!({ "startTime": noon().to_string() }), "BEGINS"),
            (json!({ "extends": "fix-1" }), "EXTENDS"),
            (json!({ "breakGlass": true }), "KIND"),
        ] {
            assert!(heads([request(spec)]).contains(&head.to_owned()), "{head}");
        }
    }
}
