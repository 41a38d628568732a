//! `kubectl daypass review list`: campaigns, and how they stand.

use super::{calls, printed};
use crate::api::campaign::ShownCampaign;
use crate::cli::plugin::cluster::{Cluster, Connection};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::format::FormatArgs;
use crate::cli::plugin::output::text::{TextSpan, Tone};
use crate::runtime::clock::Clock;

/// The command line of `review list`.
#[derive(Debug, clap::Args)]
pub struct CampaignListArgs {
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    connection: Connection,
}

/// Lists campaigns.
///
/// # Errors
/// When they may not be listed.
pub async fn run(args: CampaignListArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let campaigns = calls::list(&cluster).await?;
    match args.format.format().list(&campaigns)? {
        Some(document) => console.print(&document),
        None if campaigns.is_empty() => console.say("there is no campaign in which you decide on something"),
        None => {
            let now = Clock::wall().now();
            let mut table = args
                .format
                .table(&["CAMPAIGN", "DUE", "STATE", "ITEMS", "OPEN", "STILL THERE", "FOR"], &["STARTED BY"]);
            for campaign in &campaigns {
                let ShownCampaign { name, due, counts, purpose, started_by, closed, .. } = campaign;
                let state = match closed {
                    Some(_) => TextSpan::new("closed", Tone::Dim),
                    None if counts.open == 0 => TextSpan::new("decided on", Tone::Good),
                    None if now > due.0 => TextSpan::new("overdue", Tone::Bad),
                    None => TextSpan::new("running", Tone::Waiting),
                };
                let mut row: Vec<TextSpan> = vec![name.clone().into(), printed::second(due.0).into(), state];
                let figures = [counts.items, counts.open, counts.still_there];
                row.extend(figures.map(|figure| TextSpan::from(figure.to_string())));
                row.push(purpose.clone().into());
                if args.format.is_wide() {
                    row.push(started_by.clone().into());
                }
                table.row(row);
            }
            console.show(&table.text());
        }
    }
    Ok(Exit::Done)
}
