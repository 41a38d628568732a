//! `kubectl daypass report`: what records say in sum. [`decisions`] is where requests wait for people, and for how long.
//!
//! It must not judge people: it counts.

pub mod decisions;

use self::decisions::DecisionsArgs;
use super::error::PluginError;
use super::exit::Exit;
use super::output::console::Console;

/// What to report on.
#[derive(Debug, clap::Subcommand)]
pub enum ReportCommand {
    /// Tell where requests wait for approvers, and for how long: by policy and stage, and by whom they wait for.
    Decisions(DecisionsArgs),
}

/// Tells it.
///
/// # Errors
/// When neither the archive nor the requests can be read.
pub async fn run(command: ReportCommand, console: &mut Console) -> Result<Exit, PluginError> {
    match command {
        ReportCommand::Decisions(args) => decisions::run(args, console).await,
    }
}
