//! `kubectl daypass doctor`: looks at everything that Daypass needs, and says of each what is wrong and how to mend it.
//!
//! [`reading`] reads with the caller's own rights, into [`facts`]; [`judge`] says what they mean, and is pure; [`printed`]
//! writes that for people. What could not be read is unknown, and never taken for well. It changes nothing.

pub mod bundle;
pub mod certificate;
pub mod facts;
pub mod finding;
pub mod judge;
pub mod marked;
pub mod printed;
pub mod reading;
pub mod rights;
pub mod setup;

use std::path::PathBuf;

use self::facts::HealthFacts;
use self::finding::HealthReport;
use super::cluster::{Cluster, Connection};
use super::error::PluginError;
use super::exit::Exit;
use super::output::console::Console;
use super::output::format::FormatArgs;
use super::seen::InstallationArgs;

/// The command line of `doctor`.
#[derive(Debug, clap::Args)]
pub struct DoctorArgs {
    /// End with 1 also when there is a warning, or something could not be looked at.
    #[arg(long)]
    strict: bool,
    /// Also write what was found to this file, as JSON, for people outside: names of users, groups, namespaces, objects and
    /// hosts are replaced, each by the same everywhere, and nothing that anybody wrote is in it.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    installation: InstallationArgs,
    #[command(flatten)]
    connection: Connection,
}

/// Looks at a cluster, and judges what was seen.
///
/// # Errors
/// When there is no cluster to look at.
pub async fn examine(connection: &Connection, installation: &InstallationArgs) -> Result<HealthReport, PluginError> {
    look(connection, installation).await.map(|facts| report(&facts))
}

async fn look(connection: &Connection, installation: &InstallationArgs) -> Result<HealthFacts, PluginError> {
    let cluster = Cluster::connect(connection).await?;
    Ok(reading::facts(&cluster, installation).await)
}

fn report(facts: &HealthFacts) -> HealthReport {
    let controller = facts.controller.as_ref().ok().and_then(Option::as_ref);
    HealthReport {
        plugin: env!("CARGO_PKG_VERSION").to_owned(),
        kubernetes: facts.kubernetes.clone().ok(),
        controller: controller.map(|controller| controller.version.clone()),
        findings: judge::judged(facts),
    }
}

/// Looks, and says what was found.
///
/// # Errors
/// When there is no cluster to look at, or the result cannot be written.
pub async fn run(args: DoctorArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let facts = look(&args.connection, &args.installation).await?;
    let report = report(&facts);
    if let Some(path) = &args.bundle {
        bundle::write(path, &facts, &report)?;
        console.note(&format!("{} has the report without names: look through it before you send it", path.display()));
    }
    match args.format.format().object(&printed::document(&report))? {
        Some(document) => console.print(&document),
        None => console.show(&printed::text(&report, &args.format)),
    }
    Ok(if report.is_well(args.strict) { Exit::Done } else { Exit::Error })
}
