//! The population: every request to which anything happened in the time, a row each.
//!
//! Owns the row. Denied, lapsed and deleted requests are in it as all others are.

use super::chain::{EvidenceChain, instant, place, role, username};
use super::table::{EvidenceTable, TableSchema, yes_or_no};

/// The table.
pub static POPULATION: TableSchema = TableSchema {
    file: "population.csv",
    row: "A request to which anything happened in the time.",
    columns: &[
        ("cluster", "UID of the namespace kube-system of the cluster."),
        ("uid", "UID of the request."),
        ("namespace", "Namespace of the request."),
        ("name", "Name of the request."),
        ("requester", "Who asked. Empty: the cluster did not say."),
        ("role", "The role asked for, by kind and name."),
        ("where", "Namespaces, labels of namespaces, or * for the whole cluster."),
        ("breakGlass", "Whether it was asked for as an emergency."),
        ("extends", "Name of the running request whose end it asks to move."),
        ("reasonGiven", "Whether a reason was given."),
        ("requestedAt", "When it was made: `at` of its first record."),
        ("lastAt", "`at` of its last record."),
        ("result", "What became of it: the kind of the last record that changed something for access."),
        ("began", "Whether access began, or the end of another request moved."),
        ("deleted", "Whether its object is gone."),
        ("records", "How many records there are of it."),
        ("head", "Digest of its last record, which carries those of all before."),
        ("chain", "Whole; or lacks N, unlinked N: the first record that is missing or does not follow."),
        ("leftOut", "How many entries its history had no room for."),
    ],
};

/// The rows of all chains.
pub fn population(chains: &[EvidenceChain]) -> EvidenceTable {
    EvidenceTable::new(&POPULATION, chains.iter().filter_map(row).collect())
}

fn row(chain: &EvidenceChain) -> Option<Vec<String>> {
    let (first, last) = (chain.records().next()?, chain.records().next_back()?);
    let reason = first.asked.as_ref().map(|asked| asked.reason.as_str()).unwrap_or_default();
    let left_out = last.left_out.as_ref().map_or(0, |gap| gap.count);
    Some(vec![
        first.cluster.clone(),
        first.request.uid.clone(),
        first.request.namespace.clone(),
        first.request.name.clone(),
        username(first.subject.as_ref()),
        role(first),
        place(last),
        yes_or_no(first.access.break_glass),
        chain.extends().unwrap_or_default().to_owned(),
        yes_or_no(!reason.trim_matches(' ').is_empty()),
        instant(&first.at),
        instant(&last.at),
        chain.result().to_owned(),
        yes_or_no(chain.begun().is_some()),
        yes_or_no(chain.is_deleted()),
        chain.links().len().to_string(),
        chain.head(),
        chain.broken().map_or_else(|| "whole".to_owned(), |broken| broken.to_string()),
        left_out.to_string(),
    ])
}
