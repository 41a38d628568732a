//! Who got which access, how it was decided and how it ended: counts with charts, and every grant of the time.

use super::reading::{ScopeRead, ScopedReportArgs, counted, listed};
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::document::ReportDocument;
use crate::core::evidence::population::population;
use crate::core::evidence::summary::{by_week, by_word};

/// Tells it.
///
/// # Errors
/// When neither the archive nor the requests can be read.
pub async fn run(args: ScopedReportArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let read = args.scope.read(&cluster, console).await?;
    report(&read).print(args.form.form(), console);
    Ok(Exit::Done)
}

/// The report.
pub fn report(read: &ScopeRead) -> ReportDocument {
    let grants = &read.grants;
    let columns = ["beganAt", "requester", "role", "where", "risk", "policy", "approvers", "endedAt", "end", "uid"];
    ReportDocument {
        title: format!("Access{}", read.place.words()),
        facts: read.facts(),
        notes: Vec::new(),
        parts: vec![
            counted("What became of requests", "result", by_word(&population(&read.chains), "result")),
            counted("Access that began, by week", "monday", by_week(grants, "beganAt")),
            counted("Access that began, by role", "role", by_word(grants, "role")),
            counted("Access that began, by person", "requester", by_word(grants, "requester")),
            counted("How access ended", "end", by_word(grants, "end")),
            listed("Every grant", grants, &columns),
        ],
    }
}
