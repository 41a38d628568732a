//! Who read what of the archive, for those who may read all records.
//!
//! Owns the form of the answer. To read that is a read too, and noted as all are.

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::{Value, json};

use super::super::store::reads::{ArchiveRead, MOST_TOLD};
use super::super::who::readers::READS;
use super::answer::{self, FailedCall};
use super::door::CalledBy;
use super::reading::{admit, version};
use super::{ArchiveDesk, noted, query};

/// `GET .../reads`: reads, the newest first.
pub async fn list(
    State(desk): State<ArchiveDesk>,
    Extension(by): Extension<CalledBy>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, FailedCall> {
    let user = admit(&desk, &by, &headers, READS, None).await?;
    let before = before(&query.unwrap_or_default())?;
    let found = desk.store.reads(before.unwrap_or(i64::MAX)).await?;
    let is_full = i64::try_from(found.len()).is_ok_and(|count| count == MOST_TOLD);
    let next = found.last().filter(|_| is_full).map(|last| last.n.to_string());
    let read =
        ArchiveRead { rows: found.len(), goes_on: before.is_some(), ..noted::of(user, READS, None, String::new()) };
    desk.note(&read).await?;
    let metadata = next.map_or_else(|| json!({}), |next| json!({ "continue": next }));
    let items: Vec<Value> = found.iter().map(|read| json!(read)).collect();
    Ok(answer::json(
        json!({ "apiVersion": version(), "kind": "ReadList", "metadata": metadata, "items": items }).to_string(),
    ))
}

fn before(query: &str) -> Result<Option<i64>, FailedCall> {
    let mut before = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "continue" if value.is_empty() => {}
            "continue" => {
                let wrong =
                    |_| FailedCall::bad(format!("continue: {value:?} is no number; take it from the page before"));
                before = Some(value.parse().map_err(wrong)?);
            }
            name if query::OF_KUBERNETES.contains(&name) || name == "limit" => {}
            name => return Err(FailedCall::bad(format!("{name}: it is no parameter; there is continue"))),
        }
    }
    Ok(before)
}
