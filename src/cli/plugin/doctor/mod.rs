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
use super::contexts::ContextsArgs;
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
    #[arg(long, value_name = "FILE", conflicts_with_all = ["contexts", "all_contexts"])]
    bundle: Option<PathBuf>,
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    installation: InstallationArgs,
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    contexts: ContextsArgs,
}

/// A cluster that was looked at.
pub struct ExaminedCluster {
    facts: HealthFacts,
    pub report: HealthReport,
}

/// Looks at a cluster.
pub async fn examine(cluster: &Cluster, installation: &InstallationArgs) -> ExaminedCluster {
    let facts = reading::facts(cluster, installation).await;
    ExaminedCluster { report: report(&facts), facts }
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
    let look = async |cluster: Cluster, _: &mut Console| -> Result<ExaminedCluster, PluginError> {
        Ok(examine(&cluster, &args.installation).await)
    };
    let mut all = args.contexts.ask(&args.connection, console, look).await?;
    if let (Some(path), Some(only)) = (&args.bundle, all.answers.first()) {
        bundle::write(path, &only.answer.facts, &only.answer.report)?;
        console.note(&format!("{} has the report without names: look through it before you send it", path.display()));
    }
    // Not in the report for strangers: they name things.
    for of in &mut all.answers {
        of.answer.report = of.answer.report.clone().leading_to(&of.connection.flags());
    }
    let documents = all.answers.iter().map(|of| (of.context.as_deref(), printed::document(&of.answer.report)));
    let (documents, format): (Vec<_>, _) = (documents.collect(), args.format.format());
    let document = match documents.as_slice() {
        [(None, document)] => format.object(document)?,
        several => format.side_by_side(several, &all.failed)?,
    };
    match document {
        Some(document) => console.print(&document),
        None => console.show(&printed::text(&all, &args.format)),
    }
    let well = all.answers.iter().all(|of| of.answer.report.is_well(args.strict));
    Ok(if well { all.exit() } else { Exit::Error })
}
