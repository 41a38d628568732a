//! What was not the plain way of a request: a row each.
//!
//! Owns which kinds of records these are, and what is found beside them in the tables and chains.

use super::chain::{EvidenceChain, instant};
use super::grants::GRANTS;
use super::table::{EvidenceTable, TableSchema};
use crate::api::record::{Record, RecordKind};

/// The table.
pub static EXCEPTIONS: TableSchema = TableSchema {
    file: "exceptions.csv",
    row: "Something beside the plain way from asking to the end.",
    columns: &[
        ("uid", "UID of the request."),
        ("at", "When it was recorded; of what no record says, `at` of the last record."),
        (
            "what",
            "The kind of a record; or Automatic (access that nobody was asked for), Late, Overdue (not ended at its stated end), \
             DeletedUnended (the object went before its access ended), DeletedUndecided, LeftOut (the history had no room), \
             BrokenChain, UnknownKind.",
        ),
        ("detail", "By whom, by how much, or which."),
    ],
};

/// Kinds of records that are exceptions by themselves.
const KINDS: [&str; 18] = [
    "BindingRestored",
    "BreakGlass",
    "ClockWrong",
    "Extended",
    "Failed",
    "Frozen",
    "GuardMissing",
    "HistoryFull",
    "Idle",
    "PolicyChanged",
    "ReviewIgnored",
    "ReviewOverdue",
    "Revoked",
    "RoleChanged",
    "Suspended",
    "Unjustified",
    "Unrecorded",
    "WrittenInGap",
];

/// The rows of all chains; `grants` is the table of those that began.
pub fn exceptions(chains: &[EvidenceChain], grants: &EvidenceTable) -> EvidenceTable {
    let mut rows = Vec::new();
    let mut begun = grants.rows.iter();
    for chain in chains {
        rows.extend(chain.records().filter_map(of_record));
        let grant = chain.begun().and_then(|_| begun.next());
        rows.extend(beside(chain, grant));
    }
    EvidenceTable::new(&EXCEPTIONS, rows)
}

fn of_record(record: &Record) -> Option<Vec<String>> {
    let kind = record.kind.as_str();
    let what = match record.kind.known() {
        None => "UnknownKind",
        Some(RecordKind::Entry(_)) if KINDS.contains(&kind) => kind,
        Some(_) => return None,
    };
    let by = record.actor.as_ref().map(|who| who.username.clone()).unwrap_or_default();
    let detail = if record.kind.known().is_none() { kind.to_owned() } else { by };
    Some(vec![record.request.uid.clone(), instant(&record.at), what.to_owned(), detail])
}

/// What no single record says.
fn beside(chain: &EvidenceChain, grant: Option<&Vec<String>>) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let Some(last) = chain.records().next_back() else { return rows };
    let mut add = |what: &str, detail: String| {
        rows.push(vec![last.request.uid.clone(), instant(&last.at), what.to_owned(), detail]);
    };
    if let Some(grant) = grant {
        let column = |name: &str| GRANTS.columns.iter().position(|(column, _)| *column == name);
        let cell = |name: &str| column(name).and_then(|place| grant.get(place)).map_or("", String::as_str);
        if cell("asAsked") == "automatic" {
            add("Automatic", cell("policy").to_owned());
        }
        if cell("end") == "overdue" {
            add("Overdue", cell("lateSeconds").to_owned());
        } else if cell("inTime") == "no" {
            add("Late", cell("lateSeconds").to_owned());
        }
        if cell("endedBy") == "Deleted" {
            add("DeletedUnended", String::new());
        }
    } else if chain.is_deleted() && chain.result() == "Requested" {
        add("DeletedUndecided", String::new());
    }
    if let Some(gap) = last.left_out.as_ref().filter(|gap| gap.count > 0) {
        add("LeftOut", gap.count.to_string());
    }
    if let Some(broken) = chain.broken() {
        add("BrokenChain", broken.to_string());
    }
    rows
}
