//! `kubectl daypass report`: what records say in sum. [`decisions`] is where requests wait for people, and for how long;
//! [`findings`] is what stands out in who may do what.
//!
//! It must not judge people: it counts.

pub mod decisions;
pub mod findings;

use self::decisions::DecisionsArgs;
use self::findings::FindingsArgs;
use super::error::PluginError;
use super::exit::Exit;
use super::output::console::Console;

/// What to report on.
#[derive(Debug, clap::Subcommand)]
pub enum ReportCommand {
    /// Tell where requests wait for approvers, and for how long: by policy and stage, and by whom they wait for.
    Decisions(DecisionsArgs),
    /// Tell what stands out: who has too much all the time, who can forge or stop Daypass, bindings that lead nowhere or were made
    /// beside a grant, access and policies that nobody uses. Each with a way out. What you may not read is not looked for,
    /// and said. A binding or policy is noted as known by the annotation daypass.dev/accepted-finding: KIND: REASON.
    Findings(FindingsArgs),
}

/// Tells it.
///
/// # Errors
/// When what it goes by cannot be read.
pub async fn run(command: ReportCommand, console: &mut Console) -> Result<Exit, PluginError> {
    match command {
        ReportCommand::Decisions(args) => decisions::run(args, console).await,
        ReportCommand::Findings(args) => findings::run(args, console).await,
    }
}
