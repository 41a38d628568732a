//! What was done with access that began, as the archive sums up the audit log of the API server. A row a request.
//!
//! It must not judge whether a grant was used: the archive says so, and why it cannot say.

use serde_json::Value;

use super::table::{EvidenceTable, TableSchema};

/// The table.
pub static ACTIVITY: TableSchema = TableSchema {
    file: "activity.csv",
    row: "A request whose access began, and what the archive knows of its use.",
    columns: &[
        ("uid", "UID of the request."),
        ("known", "Whether it was used, as the archive says: Used, Redundant, NotUsed or Unknown."),
        ("why", "Why that is so, or cannot be said."),
        ("calls", "Calls that the access allowed."),
        ("refused", "Calls of it that were refused."),
        ("standing", "Calls that standing access allowed their requester as well."),
        ("ambiguous", "Calls that another grant allowed as well, or something that is not named."),
        ("first", "The first call."),
        ("last", "The last call."),
        ("open", "Streams that are open."),
    ],
};

/// File with the whole answers of the archive, one on each line.
pub const ACTIVITY_LINES: &str = "activity.jsonl";

/// The rows, in the order of the answers.
pub fn activity(answers: &[Value]) -> EvidenceTable {
    let row = |answer: &Value| {
        let cell = |name: &str| match &answer[name] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        ["request", "known", "why", "calls", "refused", "standing", "ambiguous", "first", "last", "open"]
            .map(cell)
            .to_vec()
    };
    EvidenceTable::new(&ACTIVITY, answers.iter().map(row).collect())
}
