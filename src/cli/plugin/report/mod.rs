//! `kubectl daypass report`: what records say in sum. [`decisions`] is where requests wait for people, and for how long;
//! [`findings`] is what stands out in who may do what. [`pack`] makes the files that an auditor asks for. [`access`], [`usage`]
//! and [`standing`] count who got what, what was done with it, and what others than Daypass gave; [`reading`] reads for them.
//! What owners said in a review campaign, [`show`] tells.
//!
//! It must not judge people: it counts.

pub mod access;
pub mod decisions;
pub mod findings;
pub mod pack;
pub mod reading;
pub mod standing;
pub mod usage;

use self::decisions::DecisionsArgs;
use self::findings::FindingsArgs;
use self::pack::PackArgs;
use self::reading::ScopedReportArgs;
use self::standing::StandingArgs;
use super::error::PluginError;
use super::exit::Exit;
use super::output::console::Console;
use super::review::show::{self, CampaignShowArgs};

/// What to report on.
#[derive(Debug, clap::Subcommand)]
pub enum ReportCommand {
    /// Tell where requests wait for approvers, and for how long: by policy and stage, and by whom they wait for.
    Decisions(DecisionsArgs),
    /// Tell what stands out: who has too much all the time, who can forge or stop Daypass, bindings that lead nowhere or were made
    /// beside a grant, access and policies that nobody uses. Each with a way out. What you may not read is not looked for,
    /// and said. A binding or policy is noted as known by the annotation daypass.dev/accepted-finding: KIND: REASON.
    Findings(FindingsArgs),
    /// Tell who got which access, how it was decided and how it ended.
    Access(ScopedReportArgs),
    /// Tell what was done with access, and what was not used.
    Usage(ScopedReportArgs),
    /// Tell what bindings give that Daypass did not make.
    Standing(StandingArgs),
    /// Write what an auditor asks for: every request of a time with its records, tests of order and ends, and how to verify it.
    Pack(PackArgs),
    /// Tell what owners decided in a review campaign, when, and what is open.
    Review(CampaignShowArgs),
}

/// Tells it.
///
/// # Errors
/// When what it goes by cannot be read.
pub async fn run(command: ReportCommand, console: &mut Console) -> Result<Exit, PluginError> {
    match command {
        ReportCommand::Decisions(args) => decisions::run(args, console).await,
        ReportCommand::Findings(args) => findings::run(args, console).await,
        ReportCommand::Access(args) => access::run(args, console).await,
        ReportCommand::Usage(args) => usage::run(args, console).await,
        ReportCommand::Standing(args) => standing::run(args, console).await,
        ReportCommand::Pack(args) => pack::run(args, console).await,
        ReportCommand::Review(args) => show::run(args, console).await,
    }
}
