//! What somebody calls who verifies the log: checkpoints, tiles and openings.
//!
//! Owns the paths, which are those of C2SP tlog-tiles. Checkpoints and tiles tell of no person, so who fetches them is not
//! noted; openings are the records themselves, so who reads them is. What was erased is left out of them.

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::{Value, json};

use super::super::store::leaves::{KeptCheckpoint, LeafOpening};
use super::super::store::reads::ArchiveRead;
use super::super::who::readers::{LOG, OPENINGS};
use super::answer::{self, FailedCall};
use super::door::CalledBy;
use super::reading::admit;
use super::{ArchiveDesk, noted, query};
use crate::core::proof::tile::{Tile, TileKind, entry_bytes, hash_bytes};

/// The last checkpoint.
const CHECKPOINT: &str = "checkpoint";
/// Those before it.
const CHECKPOINTS: &str = "checkpoints";

/// `GET .../log?path=PATH`, as the API server passes it on.
pub async fn of_query(
    State(desk): State<ArchiveDesk>,
    Extension(by): Extension<CalledBy>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, FailedCall> {
    admit(&desk, &by, &headers, LOG, None).await?;
    let mut path = None;
    let after = numbers(&query.unwrap_or_default(), "after", |name, value| {
        let is_path = name == "path";
        path = is_path.then(|| value.to_owned()).or(path.take());
        is_path
    })?;
    let missing = || FailedCall::bad("path: it is missing; ask with path=checkpoint".to_owned());
    told(&desk, &path.ok_or_else(missing)?, after).await
}

/// `GET /log/PATH`, for readers with a token.
pub async fn of_path(
    State(desk): State<ArchiveDesk>,
    Extension(by): Extension<CalledBy>,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, FailedCall> {
    admit(&desk, &by, &headers, LOG, None).await?;
    let after = numbers(&query.unwrap_or_default(), "after", |_, _| false)?;
    told(&desk, &path, after).await
}

/// `GET .../openings?from=PLACE`: records with the salts of their leaves.
pub async fn openings(
    State(desk): State<ArchiveDesk>,
    Extension(by): Extension<CalledBy>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, FailedCall> {
    let user = admit(&desk, &by, &headers, OPENINGS, None).await?;
    let query = query.unwrap_or_default();
    let from = numbers(&query, "from", |_, _| false)?.unwrap_or_default();
    let found = desk.store.openings(from).await?;
    let end = desk.store.log_end().await?;
    desk.note(&ArchiveRead { rows: found.len(), ..noted::of(user, OPENINGS, None, format!("from={from}")) }).await?;
    let items: Vec<Value> = found.iter().map(opening).collect();
    Ok(answer::json(json!({ "items": items, "size": end.size }).to_string()))
}

/// A number among the parameters, if it is there. `other` takes those that it knows.
fn numbers(query: &str, wanted: &str, mut other: impl FnMut(&str, &str) -> bool) -> Result<Option<u64>, FailedCall> {
    let mut number = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            name if name == wanted => {
                let wrong = |_| FailedCall::bad(format!("{wanted}: {value:?} is no number; count leaves from 0"));
                number = Some(value.parse().map_err(wrong)?);
            }
            name if other(name, &value) || query::OF_KUBERNETES.contains(&name) => {}
            name => return Err(FailedCall::bad(format!("{name}: it is no parameter; there is {wanted}"))),
        }
    }
    Ok(number)
}

async fn told(desk: &ArchiveDesk, path: &str, after: Option<u64>) -> Result<Response, FailedCall> {
    if after.is_some() && path != CHECKPOINTS {
        return Err(FailedCall::bad(format!("after: it goes with path={CHECKPOINTS} alone; leave it out")));
    }
    match path {
        CHECKPOINT => {
            let none =
                || absent("checkpoint: none is signed yet; ask again in a minute, or see the log of the archive");
            desk.store.last_checkpoint().await?.map(|last| answer::text(last.note)).ok_or_else(none)
        }
        CHECKPOINTS => {
            let found = desk.store.checkpoints(after.unwrap_or_default()).await?;
            let items: Vec<Value> = found.iter().map(as_item).collect();
            Ok(answer::json(json!({ "items": items }).to_string()))
        }
        tile => {
            let wrong =
                || absent(format!("path: {tile:?} is none; there are {CHECKPOINT}, {CHECKPOINTS} and tile/..."));
            of_tile(desk, Tile::read(tile).ok_or_else(wrong)?).await
        }
    }
}

async fn of_tile(desk: &ArchiveDesk, tile: Tile) -> Result<Response, FailedCall> {
    let bytes = match tile.kind() {
        TileKind::Hashes(_) => desk.store.hashes(tile).await?.map(|hashes| hash_bytes(&hashes)),
        TileKind::Entries => {
            let leaves = desk.store.entries(tile).await?;
            leaves.and_then(|leaves| entry_bytes(leaves.iter().map(String::as_bytes)))
        }
    };
    let none = || absent(format!("path: the log has no {tile} yet; ask for those of its checkpoint"));
    bytes.map(answer::bytes).ok_or_else(none)
}

fn absent(message: impl Into<String>) -> FailedCall {
    FailedCall { code: StatusCode::NOT_FOUND, reason: "NotFound", message: message.into() }
}

fn as_item(checkpoint: &KeptCheckpoint) -> Value {
    json!({ "size": checkpoint.size, "at": checkpoint.at, "note": checkpoint.note })
}

fn opening(opening: &LeafOpening) -> Value {
    let LeafOpening { place, salts, event, record } = opening;
    let mut item = json!({ "place": place });
    for (name, text) in [("salts", salts), ("event", event)] {
        if let Ok(value) = serde_json::from_str::<Value>(text) {
            item[name] = value;
        }
    }
    if !record.is_empty() {
        item["record"] = json!(record);
    }
    item
}
