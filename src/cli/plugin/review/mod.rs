//! `kubectl daypass review`: campaigns in which owners confirm or remove access and policies by a date.
//!
//! The archive keeps them and says who may what; the plugin reads the cluster with the caller's own rights ([`population`]),
//! shows what is about to be kept, and sends it ([`calls`]). It removes access only when it is told to, as the caller
//! ([`removal`]).

pub mod calls;
pub mod close;
pub mod decide;
pub mod export;
pub mod list;
pub mod population;
pub mod printed;
pub mod removal;
pub mod show;
pub mod start;

use super::error::PluginError;
use super::exit::Exit;
use super::output::console::Console;
use crate::api::campaign::ItemVerdict;

/// What to do with review campaigns.
#[derive(Debug, clap::Subcommand)]
pub enum CampaignCommand {
    /// Start a campaign about what is there now: shows what would be reviewed, and by whom.
    Start(start::StartArgs),
    /// List campaigns, and how they stand.
    List(list::CampaignListArgs),
    /// Show a campaign: what you have to decide first, and all that was decided.
    Show(show::CampaignShowArgs),
    /// Confirm that access or a policy is still needed.
    Confirm(decide::DecideArgs),
    /// Decide that access or a policy goes, and tell how; with --now take it away.
    Remove(decide::RemoveArgs),
    /// Look once more what is there: what is gone or has changed since is told to the campaign.
    Look(close::CampaignLookArgs),
    /// Look once more, acknowledge the result and close the campaign for good.
    Close(close::CampaignCloseArgs),
    /// Write a campaign as evidence: CSV, JSON, or all that happened to the byte.
    Export(export::ExportArgs),
}

/// Does it.
///
/// # Errors
/// When the cluster or the archive refuses, or does not answer.
pub async fn run(command: CampaignCommand, console: &mut Console) -> Result<Exit, PluginError> {
    match command {
        CampaignCommand::Start(args) => start::run(args, console).await,
        CampaignCommand::List(args) => list::run(args, console).await,
        CampaignCommand::Show(args) => show::run(args, console).await,
        CampaignCommand::Confirm(args) => decide::run(args, ItemVerdict::Confirm, console).await.map(|done| done.exit),
        CampaignCommand::Remove(args) => decide::remove(args, console).await,
        CampaignCommand::Look(args) => close::look(args, console).await,
        CampaignCommand::Close(args) => close::run(args, console).await,
        CampaignCommand::Export(args) => export::run(args, console).await,
    }
}
