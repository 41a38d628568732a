//! What feeds of audit events call. They read nothing.
//!
//! Owns the order: first who, then the body, then what it is wrapped in, then the store. A call is answered with 200 when what
//! counts of it is on disk. An event that cannot be read is counted and told, without what it says, and keeps no other back.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::task::spawn_blocking;

use super::super::feed::firehose::{self, FirehoseAnswer};
use super::super::feed::{BadEnvelope, MOST_UNPACKED, Unwrapped, eventhubs, events, gzip, pubsub};
use super::super::who::feeders::FeedKind;
use super::answer::{self, FailedCall};
use super::{ArchiveDesk, writing};
use crate::runtime::clock::Clock;

/// `POST /v1/audit/events`: lines of a log, or a list of the audit webhook.
pub async fn of_api_server(State(desk): State<ArchiveDesk>, request: Request) -> Result<Response, FailedCall> {
    let fed = feed(&desk, FeedKind::Events, request, events::unwrapped).await?;
    Ok(answer::json(json!({ "events": fed.events, "unreadable": fed.unreadable }).to_string()))
}

/// `POST /v1/audit/pubsub`: an entry of Cloud Logging. Pub/Sub pushes again whatever is not answered so.
pub async fn of_pubsub(State(desk): State<ArchiveDesk>, request: Request) -> Result<StatusCode, FailedCall> {
    feed(&desk, FeedKind::PubSub, request, pubsub::unwrapped).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/audit/eventhubs`: records of Event Hubs.
pub async fn of_eventhubs(State(desk): State<ArchiveDesk>, request: Request) -> Result<Response, FailedCall> {
    let fed = feed(&desk, FeedKind::EventHubs, request, eventhubs::unwrapped).await?;
    Ok(answer::json(json!({ "events": fed.events, "unreadable": fed.unreadable }).to_string()))
}

/// `POST /v1/audit/firehose`: a delivery of Firehose, which takes no answer but one in its own form.
pub async fn of_firehose(State(desk): State<ArchiveDesk>, request: Request) -> Response {
    let id = request.headers().get(firehose::REQUEST_ID).and_then(|id| id.to_str().ok());
    let mut request_id = id.unwrap_or_default().to_owned();
    let fed = feed(&desk, FeedKind::Firehose, request, firehose::unwrapped).await;
    let (code, error_message) = match fed {
        Ok(fed) => {
            request_id = fed.call.unwrap_or(request_id);
            (StatusCode::OK, None)
        }
        Err(failed) => (failed.code, Some(failed.message)),
    };
    let timestamp = Clock::wall().now().as_millisecond();
    let body = json!(FirehoseAnswer { request_id, timestamp, error_message }).to_string();
    (code, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// What became of a call.
struct FedCall {
    events: usize,
    unreadable: usize,
    /// Its own name for itself.
    call: Option<String>,
}

async fn feed(
    desk: &ArchiveDesk,
    kind: FeedKind,
    request: Request,
    unwrap: fn(&[u8]) -> Result<Unwrapped, BadEnvelope>,
) -> Result<FedCall, FailedCall> {
    let (parts, body) = request.into_parts();
    // Before a byte of the body takes memory.
    let feeder = desk.feeders.feeder(&desk.client, &parts.headers, kind).await;
    let feeder = feeder.inspect_err(|_| desk.figures.shut_out())?;
    let _place = desk.feeding.acquire().await.map_err(|error| FailedCall::away(error.to_string()))?;
    let body = writing::whole(body).await?;
    let is_packed = is_packed(&parts.headers);
    let unwrapped = spawn_blocking(move || match is_packed {
        true => unwrap(&gzip::unpacked(&body, MOST_UNPACKED)?),
        false => unwrap(&body),
    });
    let unwrapped = unwrapped.await.map_err(|error| FailedCall::away(error.to_string()))??;
    let taken = desk.take_events(&feeder.cluster, &unwrapped.events).await?;
    let unreadable = unwrapped.unreadable + unwrapped.events.len() - taken.events;
    desk.figures.unreadable(unwrapped.unreadable);
    desk.figures.brought(&feeder.name, taken.events, unreadable);
    Ok(FedCall { events: taken.events, unreadable, call: unwrapped.call })
}

fn is_packed(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"gzip"))
}
