//! `kubectl daypass retention erase`: erases the requests that somebody made from the archive.

use super::calls;
use crate::api::keeping::{ErasureAsked, ErasureTold};
use crate::cli::plugin::cluster::{Cluster, Connection};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::text::Text;

/// The command line of `retention erase`.
#[derive(Debug, clap::Args)]
pub struct EraseArgs {
    /// Username, as the cluster's login gave it.
    #[arg(value_name = "USER")]
    person: String,
    /// Why, for the record.
    #[arg(short, long, value_name = "TEXT", required = true)]
    message: String,
    /// Do not ask. Needed where there is no terminal.
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Erases them.
///
/// # Errors
/// When the archive refuses it.
pub async fn run(args: EraseArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let question = format!("erase all requests that {} made and that are over, for good?", args.person);
    if !console.agreed(args.yes, None, &question)? {
        console.say("nothing was erased");
        return Ok(Exit::Error);
    }
    let told = calls::erase(&cluster, &ErasureAsked { person: args.person, reason: args.message }).await?;
    let ErasureTold { erased, kept, of_others } = told;
    console.show(&Text::of(format!("erased {erased}, and what was done with their access")));
    if kept > 0 {
        console.note(&format!("{kept} more are not over, held, or the latest that the archive heard of, and stay"));
    }
    if of_others > 0 {
        console.note(&format!("{of_others} of others have a decision of theirs, and stay until their time is over"));
    }
    Ok(Exit::Done)
}
