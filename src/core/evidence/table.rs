//! A table of a pack, with what each column means.
//!
//! Owns the form: text cells, CSV by RFC 4180. It must not say what stands in a table.

use serde_json::{Value, json};

use crate::core::report::csv;

/// What a file of a pack holds.
#[derive(Debug)]
pub struct TableSchema {
    /// Name of the file.
    pub file: &'static str,
    /// What a row is.
    pub row: &'static str,
    /// Each column with what it means.
    pub columns: &'static [(&'static str, &'static str)],
}

/// A file of rows.
#[derive(Clone, Debug)]
pub struct EvidenceTable {
    pub schema: &'static TableSchema,
    pub rows: Vec<Vec<String>>,
}

impl EvidenceTable {
    /// One with these rows: a cell for each column.
    pub fn new(schema: &'static TableSchema, rows: Vec<Vec<String>>) -> Self {
        Self { schema, rows }
    }

    /// The cell of a row in the column of this name; empty where there is none.
    pub fn cell<'a>(&self, row: &'a [String], column: &str) -> &'a str {
        let place = self.schema.columns.iter().position(|(name, _)| *name == column);
        place.and_then(|place| row.get(place)).map_or("", String::as_str)
    }

    /// The file.
    pub fn csv(&self) -> String {
        let heads = csv::line(self.schema.columns.iter().map(|(name, _)| name));
        std::iter::once(heads).chain(self.rows.iter().map(csv::line)).collect()
    }

    /// Its columns, for the manifest.
    pub fn columns(&self) -> Value {
        self.schema.columns.iter().map(|(name, meaning)| json!({ "name": name, "meaning": meaning })).collect()
    }
}

/// A cell that says yes or no.
pub fn yes_or_no(is_so: bool) -> String {
    if is_so { "yes" } else { "no" }.to_owned()
}
