//! What writers call: they deliver records, and ask how far the archive is. They read nothing else.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::timeout;

use super::super::intake::read;
use super::ArchiveDesk;
use super::answer::{self, FailedCall};
use crate::api::delivery::{ChainAnswer, ChainAnswers, MOST_ASKED, MOST_BYTES, MOST_OPEN};
use crate::core::record::texts::named;

/// How long the body of one may take.
const ARRIVAL: Duration = Duration::from_secs(30);

/// `POST /v1/records`: records and texts, one on each line. What is answered to be held is on disk.
pub async fn deliver(State(desk): State<ArchiveDesk>, request: Request) -> Result<Response, FailedCall> {
    let (parts, body) = request.into_parts();
    // Before a byte of the body takes memory.
    let cluster = desk.writers.cluster(&desk.client, &parts.headers).await?;
    let body = whole(body).await?;
    let delivery = read(&body, &cluster)?;
    let records = delivery.records.len();
    let named = delivery.records.iter().flat_map(|arrival| named(&arrival.record)).map(str::to_owned).collect();
    let answers = desk.store.take(&cluster, delivery).await?;
    desk.figures.delivered(records, &answers);
    for ChainAnswer { uid, refused, .. } in answers.iter().filter(|answer| answer.refused.is_some()) {
        let why = refused.as_ref().map(|refused| refused.message.as_str());
        tracing::warn!(cluster, request = uid, why, "does not keep a record");
    }
    let lacks = desk.store.lacking(named).await?;
    desk.figures.lack(lacks.len());
    Ok(answer::json(json!(ChainAnswers { requests: answers, lacks }).to_string()))
}

/// A body, bounded in time and size.
pub(super) async fn whole(body: Body) -> Result<Bytes, FailedCall> {
    let body = timeout(ARRIVAL, to_bytes(body, MOST_BYTES)).await.map_err(|_| FailedCall {
        code: StatusCode::REQUEST_TIMEOUT,
        reason: "Timeout",
        message: format!("body: it did not arrive within {} s; send less at a time", ARRIVAL.as_secs()),
    })?;
    body.map_err(|why| FailedCall {
        code: StatusCode::PAYLOAD_TOO_LARGE,
        reason: "RequestEntityTooLarge",
        message: format!("body: {why}; send at most {MOST_BYTES} bytes at a time"),
    })
}

/// What a body asks for; `command`: that of the plugin which sends such.
pub(super) async fn asked_in<T: DeserializeOwned>(body: Body, command: &str) -> Result<T, FailedCall> {
    serde_json::from_slice(&whole(body).await?)
        .map_err(|error| FailedCall::bad(format!("body: {error}; send what kubectl daypass {command} sends")))
}

/// `GET /v1/heads?uid=...&uid=...`: what is held of these requests of the writer's cluster.
pub async fn heads(
    State(desk): State<ArchiveDesk>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, FailedCall> {
    let cluster = desk.writers.cluster(&desk.client, &headers).await?;
    let mut uids = Vec::new();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if name != "uid" {
            return Err(FailedCall::bad(format!(
                "{name}: it is no parameter here; ask with uid=UID, for each request"
            )));
        }
        uids.push(value.into_owned());
    }
    if uids.is_empty() || uids.len() > MOST_ASKED {
        return Err(FailedCall::bad(format!("uid: there are {}; ask about 1 to {MOST_ASKED} at a time", uids.len())));
    }
    let held = desk.store.held(&cluster, uids.clone()).await?;
    let answers = uids.into_iter().map(|uid| {
        let held = held.get(&uid).cloned().unwrap_or_default();
        ChainAnswer { uid, held, refused: None }
    });
    Ok(answer::json(json!(ChainAnswers { requests: answers.collect(), lacks: Vec::new() }).to_string()))
}

/// `GET /v1/open?after=...`: requests of the writer's cluster whose records do not end, each with the last of them.
pub async fn open(
    State(desk): State<ArchiveDesk>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, FailedCall> {
    let cluster = desk.writers.cluster(&desk.client, &headers).await?;
    let mut after = 0;
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        let number = value.parse().ok().filter(|_| name == "after");
        after = number.ok_or_else(|| {
            FailedCall::bad(format!("{name}: {value:?} is no number to go on after; take `next` of the answer before"))
        })?;
    }
    let found = desk.store.open_chains(&cluster, after).await?;
    let next = found.last().filter(|_| found.len() == MOST_OPEN).map(|end| end.n);
    let next = next.map(|next| format!(r#","next":{next}"#)).unwrap_or_default();
    // The record byte for byte as it came: its digest is of that.
    let chains = found.iter().map(|end| format!(r#"{{"digest":{},"last":{}}}"#, json!(end.digest), end.bytes));
    Ok(answer::json(format!(r#"{{"chains":[{}]{next}}}"#, chains.collect::<Vec<_>>().join(","))))
}
