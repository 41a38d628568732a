//! `kubectl daypass review show` and `report review`: a campaign with its items, what the caller has to decide first.

use super::{calls, printed};
use crate::api::campaign::{ItemStanding, ShownItem};
use crate::cli::plugin::cluster::{Cluster, Connection};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::format::FormatArgs;

/// The command line of `review show` and of `report review`.
#[derive(Debug, clap::Args)]
pub struct CampaignShowArgs {
    /// Name of the campaign.
    #[arg(value_name = "CAMPAIGN")]
    campaign: String,
    /// Only what you have to decide.
    #[arg(long)]
    mine: bool,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    connection: Connection,
}

/// Shows a campaign.
///
/// # Errors
/// When there is none for the caller.
pub async fn run(args: CampaignShowArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let mut campaign = calls::shown(&cluster, &args.campaign).await?;
    if args.mine {
        campaign.items.retain(waits_for_reader);
    }
    match args.format.format().object(&campaign)? {
        Some(document) => console.print(&document),
        None => {
            let mut text = printed::head(&campaign);
            let items: Vec<&ShownItem> = campaign.items.iter().collect();
            text.extend(printed::table(&items, &args.format));
            console.show(&text);
            if let Some(first) = campaign.items.iter().find(|item| waits_for_reader(item)) {
                let (name, flags) = (&campaign.name, args.connection.flags());
                console.next(&format!("kubectl daypass review confirm {name} {} -m WHY{flags}", first.id));
            }
        }
    }
    Ok(Exit::Done)
}

/// Whether the reader has to decide on it.
pub fn waits_for_reader(item: &ShownItem) -> bool {
    let is_open = matches!(item.standing, ItemStanding::Open | ItemStanding::Overdue | ItemStanding::Changed);
    item.mine && is_open
}
