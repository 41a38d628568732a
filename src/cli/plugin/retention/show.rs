//! `kubectl daypass retention show`: for how long the archive keeps what.

use super::calls;
use crate::api::keeping::KeepingTimes;
use crate::cli::plugin::cluster::{Cluster, Connection};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::format::FormatArgs;

/// The command line of `retention show`.
#[derive(Debug, clap::Args)]
pub struct RetentionShowArgs {
    #[command(flatten)]
    format: FormatArgs,
    #[command(flatten)]
    connection: Connection,
}

/// Tells it.
///
/// # Errors
/// When the archive does not say.
pub async fn run(args: RetentionShowArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let times = calls::times(&cluster).await?;
    if let Some(document) = args.format.format().object(&times)? {
        console.print(&document);
        return Ok(Exit::Done);
    }
    let KeepingTimes { decision_days, activity_days, read_days, finding_days } = times;
    let mut table = args.format.table(&["WHAT", "KEPT FOR", "FROM"], &[]);
    for (what, days, from) in [
        ("records of requests, and campaigns", decision_days, "the last record of a request, the end of a campaign"),
        ("calls made with access", activity_days, "the last call, when the request is over"),
        ("reads of the archive", Some(read_days), "the read"),
        ("writes that no record explains", Some(finding_days), "the write"),
    ] {
        let kept = days.map_or_else(|| "good".to_owned(), |days| format!("{days} days"));
        table.row(vec![what.into(), kept.into(), from.into()]);
    }
    console.show(&table.text());
    Ok(Exit::Done)
}
