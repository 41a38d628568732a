//! `kubectl daypass retention holds`: legal holds, and which of them last.

use k8s_openapi::jiff::Timestamp;

use super::calls;
use crate::api::keeping::KeptHold;
use crate::cli::plugin::cluster::{Cluster, Connection};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::format::FormatArgs;
use crate::cli::plugin::output::text::{TextSpan, Tone};
use crate::cli::plugin::review::printed::second;
use crate::runtime::clock::Clock;

/// The command line of `retention holds`.
#[derive(Debug, clap::Args)]
pub struct HoldListArgs {
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    connection: Connection,
}

/// Lists holds.
///
/// # Errors
/// When they may not be listed.
pub async fn run(args: HoldListArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let holds = calls::holds(&cluster).await?;
    match args.format.format().list(&holds)? {
        Some(document) => console.print(&document),
        None if holds.is_empty() => console.say("nothing is held beyond its time"),
        None => {
            let now = Clock::wall().now();
            let mut table =
                args.format.table(&["HOLD", "STATE", "HOLDS", "SET BY", "SINCE", "FOR"], &["LIFTED BY", "WHY"]);
            for hold in &holds {
                let asked = &hold.asked;
                let mut row: Vec<TextSpan> = vec![asked.name.clone().into(), state(hold, now), held(hold).into()];
                row.extend([hold.by.clone(), second(hold.at.0), asked.reason.clone()].map(TextSpan::from));
                if args.format.is_wide() {
                    let lifted = hold.lifted.as_ref().map(|lifted| [lifted.by.clone(), lifted.reason.clone()]);
                    row.extend(lifted.unwrap_or_default().map(TextSpan::from));
                }
                table.row(row);
            }
            console.show(&table.text());
        }
    }
    Ok(Exit::Done)
}

fn state(hold: &KeptHold, now: Timestamp) -> TextSpan {
    match (&hold.lifted, &hold.asked.until) {
        (Some(_), _) => TextSpan::new("lifted", Tone::Dim),
        (None, Some(until)) if until.0 <= now => TextSpan::new("over", Tone::Dim),
        (None, Some(until)) => TextSpan::new(format!("until {}", second(until.0)), Tone::Waiting),
        (None, None) => TextSpan::new("lasts", Tone::Waiting),
    }
}

fn held(hold: &KeptHold) -> String {
    let requests = match hold.asked.requests.len() {
        0 => None,
        1 => Some("1 request".to_owned()),
        many => Some(format!("{many} requests")),
    };
    let person = hold.asked.person.as_ref().map(|person| format!("all of {person}"));
    requests.into_iter().chain(person).collect::<Vec<_>>().join(", ")
}
