//! `kubectl daypass retention`: for how long the archive keeps what, what is kept beyond its time, and what is
//! erased before.
//!
//! The archive keeps and erases; the plugin asks it with the caller's own login ([`calls`]) and prints what it says.

pub mod calls;
pub mod erase;
pub mod hold;
pub mod list;
pub mod show;

use super::error::PluginError;
use super::exit::Exit;
use super::output::console::Console;

/// What to do with what the archive keeps.
#[derive(Debug, clap::Subcommand)]
pub enum RetentionCommand {
    /// Tell for how long the archive keeps what.
    Show(show::RetentionShowArgs),
    /// List legal holds, the latest first.
    Holds(list::HoldListArgs),
    /// Set a legal hold: records of requests or of a person are kept until it is lifted.
    Hold(hold::HoldSetArgs),
    /// Lift a legal hold.
    Lift(hold::HoldLiftArgs),
    /// Erase what the archive holds of the requests that somebody made; proofs of the log hold on.
    Erase(erase::EraseArgs),
}

/// Does it.
///
/// # Errors
/// When the cluster or the archive refuses, or does not answer.
pub async fn run(command: RetentionCommand, console: &mut Console) -> Result<Exit, PluginError> {
    match command {
        RetentionCommand::Show(args) => show::run(args, console).await,
        RetentionCommand::Holds(args) => list::run(args, console).await,
        RetentionCommand::Hold(args) => hold::run(args, console).await,
        RetentionCommand::Lift(args) => hold::lift(args, console).await,
        RetentionCommand::Erase(args) => erase::run(args, console).await,
    }
}
