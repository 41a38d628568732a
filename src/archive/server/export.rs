//! All that is found, as a stream of lines.
//!
//! Owns the columns of CSV. A page at a time is in memory.

use std::collections::VecDeque;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::Value;

use super::super::store::reads::ArchiveRead;
use super::super::store::search::{PagePlace, Search};
use super::super::store::{ArchiveStore, StoreError};
use super::answer::FailedCall;
use super::query::ExportFormat;
use crate::core::report::csv::line;
use crate::runtime::clock::Clock;

/// Records read at a time.
const PAGE: usize = 500;
/// The columns, each with its place in a record.
const COLUMNS: [(&str, &str); 19] = [
    ("id", "/id"),
    ("at", "/at"),
    ("cluster", "/cluster"),
    ("namespace", "/request/namespace"),
    ("name", "/request/name"),
    ("kind", "/kind"),
    ("outcome", "/outcome"),
    ("subject", "/subject/username"),
    ("actor", "/actor/username"),
    ("roleKind", "/access/role/kind"),
    ("role", "/access/role/name"),
    ("namespaces", "/access/namespaces"),
    ("clusterWide", "/access/clusterWide"),
    ("breakGlass", "/access/breakGlass"),
    ("policy", "/policy/name"),
    ("from", "/given/from"),
    ("until", "/given/until"),
    ("reason", "/asked/reason"),
    ("message", "/message"),
];

/// Where an export is.
struct Way {
    store: ArchiveStore,
    search: Search,
    format: ExportFormat,
    ready: VecDeque<String>,
    /// The next page, until there is none.
    next: Option<Option<PagePlace>>,
    /// What is noted of it.
    read: ArchiveRead,
}

/// Answers with all of them. One that breaks off is cut short, which a reader sees.
///
/// # Errors
/// When the first page cannot be read.
pub async fn all(
    store: ArchiveStore,
    search: Search,
    format: ExportFormat,
    read: ArchiveRead,
) -> Result<Response, FailedCall> {
    let next = Some(search.after);
    let search = Search { limit: PAGE, ..search };
    let mut way = Way { store, search, format, ready: VecDeque::new(), next, read };
    let kind = match format {
        ExportFormat::JsonLines => "application/jsonl",
        ExportFormat::Csv => {
            way.ready.push_back(csv_heads());
            "text/csv; charset=utf-8"
        }
    };
    way.read().await?;
    let lines = stream::try_unfold(way, async |mut way| {
        while way.ready.is_empty() && way.next.is_some() {
            way.read().await?;
        }
        let lines: String = way.ready.drain(..).collect();
        Ok::<_, StoreError>((!lines.is_empty()).then_some((lines, way)))
    });
    Ok(([(header::CONTENT_TYPE, kind)], Body::from_stream(lines)).into_response())
}

impl Way {
    async fn read(&mut self) -> Result<(), StoreError> {
        let Some(after) = self.next else { return Ok(()) };
        let page = self.store.search(Search { after, ..self.search.clone() }).await?;
        self.next = page.next.map(Some);
        self.read.rows = page.records.len();
        self.store.note_read(&self.read, Clock::wall().now()).await?;
        self.read.goes_on = true;
        let format = self.format;
        self.ready.extend(page.records.into_iter().map(|found| match format {
            ExportFormat::JsonLines => found.bytes + "\n",
            ExportFormat::Csv => csv_line(&serde_json::from_str(&found.bytes).unwrap_or_default()),
        }));
        Ok(())
    }
}

/// The line of heads.
pub fn csv_heads() -> String {
    line(COLUMNS.iter().map(|(name, _)| *name))
}

/// The line of a record.
pub fn csv_line(record: &Value) -> String {
    line(COLUMNS.iter().map(|(_, place)| record.pointer(place).map(in_cell).unwrap_or_default()))
}

fn in_cell(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(in_cell).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}
