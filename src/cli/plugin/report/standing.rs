//! What bindings give that Daypass did not make: who has it, which role, where, and when it was last used.

use super::reading::{counted, listed};
use crate::cli::plugin::activity::reading::binding_uses;
use crate::cli::plugin::cluster::{Cluster, Connection};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::document::{ReportDocument, ReportFormArgs};
use crate::cli::plugin::requests::Where;
use crate::cli::plugin::who::read::{WhoRead, WhoReading};
use crate::core::evidence::standing::standing;
use crate::core::evidence::summary::by_word;
use crate::core::insight::seen::BindingUses;
use crate::runtime::clock::Clock;

/// The command line of `report standing`.
#[derive(Debug, clap::Args)]
pub struct StandingArgs {
    /// Namespace of the bindings; those of the whole cluster are told too. Left out: that of the context.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// Bindings of all namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    #[command(flatten)]
    form: ReportFormArgs,
    #[command(flatten)]
    connection: Connection,
}

/// Tells it.
///
/// # Errors
/// When requests may not be read, or the API server cannot be asked.
pub async fn run(args: StandingArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let place = Where::of(&cluster, args.all_namespaces, &args.namespace);
    // Without a question about a right no role is read.
    let read = WhoReading { cluster: &cluster, place: &place, right: false, subject: true }.read(console).await?;
    let uses = binding_uses(&cluster).await;
    report(&read, &uses, &place).print(args.form.form(), console);
    Ok(Exit::Done)
}

fn report(read: &WhoRead, uses: &Result<BindingUses, String>, place: &Where) -> ReportDocument {
    let table = standing(&read.bindings, uses.as_ref().ok());
    let unread = read.unread(place).map(|what| format!("Not read: {what}"));
    let (heard, unheard) = match uses.as_ref().map(|uses| &uses.heard_since) {
        Ok(Ok(since)) => (format!("since {since}"), None),
        Ok(Err(why)) | Err(why) => ("not known".to_owned(), Some(why)),
    };
    let unheard = unheard.map(|why| format!("When bindings were last used is not known, or not of all: {why}"));
    ReportDocument {
        title: format!("Standing access{}", place.words()),
        facts: vec![
            ("Read", Clock::wall().now().to_string()),
            ("Bindings of others", table.rows.len().to_string()),
            ("Audit logs heard", heard),
        ],
        notes: unread.into_iter().chain(unheard).collect(),
        parts: vec![
            counted("By kind of subject", "subjectKind", by_word(&table, "subjectKind")),
            counted("By role", "role", by_word(&table, "role")),
            listed(
                "Every subject of every binding",
                &table,
                &["subjectKind", "subject", "role", "namespace", "binding", "createdAt", "lastUsed"],
            ),
        ],
    }
}
