//! What was done with access: how much was used, how much was not, and of how much nobody knows.

use std::collections::BTreeMap;

use super::reading::{ScopeRead, ScopedReportArgs, activity, counted};
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::exit::Exit;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::output::document::{ReportDocument, ReportPart};
use crate::core::evidence::activity::activity as table_of;
use crate::core::evidence::pack::begun_of;
use crate::core::evidence::summary::by_word;
use crate::core::evidence::table::EvidenceTable;

/// Tells it.
///
/// # Errors
/// When neither the archive nor the requests can be read.
pub async fn run(args: ScopedReportArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let cluster = Cluster::connect(&args.connection).await?;
    let read = args.scope.read(&cluster, console).await?;
    let answers = match read.has_archive {
        true => activity(&cluster, &read.place, begun_of(&read.chains)).await.map_err(|error| error.to_string()),
        false => Err("there is no archive that may be read, so nobody knows what was done".to_owned()),
    };
    let (uses, notes) = match answers {
        Ok(answers) => (table_of(&answers), Vec::new()),
        Err(why) => (table_of(&[]), vec![format!("The use of access was not read: {why}")]),
    };
    report(&read, &uses, notes).print(args.form.form(), console);
    Ok(Exit::Done)
}

/// The report; `uses` has a row for each grant of which the archive says something.
pub fn report(read: &ScopeRead, uses: &EvidenceTable, notes: Vec<String>) -> ReportDocument {
    let by_uid: BTreeMap<&str, &Vec<String>> = uses.rows.iter().map(|row| (uses.cell(row, "uid"), row)).collect();
    let grants = &read.grants;
    let (mut unused, mut rows) = (BTreeMap::<String, usize>::new(), Vec::new());
    // An extension has no use of its own.
    for grant in grants.rows.iter().filter(|grant| grants.cell(grant, "end") != "moved") {
        let of_use = by_uid.get(grants.cell(grant, "uid"));
        let used = |column: &str| of_use.map_or("", |row| uses.cell(row, column)).to_owned();
        if used("known") == "NotUsed" {
            *unused.entry(grants.cell(grant, "role").to_owned()).or_default() += 1;
        }
        let of_grant = |column: &str| grants.cell(grant, column).to_owned();
        rows.push(vec![
            of_grant("beganAt"),
            of_grant("requester"),
            of_grant("role"),
            of_grant("where"),
            used("known"),
            used("calls"),
            used("refused"),
            used("standing"),
            used("ambiguous"),
            used("last"),
            of_grant("uid"),
        ]);
    }
    let heads = vec![
        "beganAt",
        "requester",
        "role",
        "where",
        "known",
        "calls",
        "refused",
        "standing",
        "ambiguous",
        "last",
        "uid",
    ];
    ReportDocument {
        title: format!("Use of access{}", read.place.words()),
        facts: read.facts(),
        notes,
        parts: vec![
            counted("Whether access was used", "known", by_word(uses, "known")),
            counted("Access that was not used, by role", "role", unused.into_iter().collect()),
            ReportPart { title: "Every grant".to_owned(), heads, rows, drawn: None },
        ],
    }
}
