//! `kubectl daypass review look` and `close`: looks once more with the caller's rights, tells the campaign what is gone or has
//! changed, and closes it as it was shown.

use super::{calls, population, printed};
use crate::api::campaign::{CloseAsked, ItemSight, LookAsked, ShownCampaign};
use crate::cli::plugin::cluster::{Cluster, Connection};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::text::Text;

/// The command line of `review look`.
#[derive(Debug, clap::Args)]
pub struct CampaignLookArgs {
    /// Name of the campaign.
    #[arg(value_name = "CAMPAIGN")]
    campaign: String,
    #[command(flatten)]
    connection: Connection,
}

/// The command line of `review close`.
#[derive(Debug, clap::Args)]
pub struct CampaignCloseArgs {
    /// Name of the campaign.
    #[arg(value_name = "CAMPAIGN")]
    campaign: String,
    /// What you say to the result, for the record: you acknowledge it.
    #[arg(short, long, value_name = "TEXT", required = true)]
    message: String,
    /// Do not ask. Needed where there is no terminal.
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Looks once more.
///
/// # Errors
/// When something may not be read, or the archive refuses it.
pub async fn look(args: CampaignLookArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let campaign = looked(&cluster, &args.campaign, console).await?;
    console.show(&Text::of(printed::counts(&campaign.counts)));
    Ok(Exit::Done)
}

/// Closes a campaign.
///
/// # Errors
/// When something may not be read, or the archive refuses it.
pub async fn run(args: CampaignCloseArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let campaign = looked(&cluster, &args.campaign, console).await?;
    if !console.agreed(args.yes, Some(&printed::head(&campaign)), "acknowledge this, and close it for good?")? {
        console.say("it goes on");
        return Ok(Exit::Error);
    }
    let close = CloseAsked { acknowledged: args.message, last: campaign.last.clone() };
    calls::close(&cluster, &campaign.name, &close).await?;
    console.show(&Text::of(format!("closed {}: {}", campaign.name, printed::counts(&campaign.counts))));
    Ok(Exit::Done)
}

/// The campaign, after it was told what is there now.
async fn looked(cluster: &Cluster, name: &str, console: &mut Console) -> Result<ShownCampaign, PluginError> {
    let campaign = calls::shown(cluster, name).await?;
    if campaign.closed.is_some() {
        return Ok(campaign);
    }
    let items = population::changes(cluster, &campaign, console).await?;
    if items.is_empty() {
        return Ok(campaign);
    }
    for ItemSight { id, item } in &items {
        let is = if item.is_some() { "is another than before" } else { "is gone" };
        console.note(&format!("item {id} {is}"));
    }
    calls::look(cluster, name, &LookAsked { items }).await?;
    calls::shown(cluster, name).await
}
