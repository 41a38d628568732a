//! What people call who say what is kept beyond its time or erased before, and who ask for how long what is kept.
//!
//! Owns the order: first who, then whether they may by the roles of the cluster, then what the core says to it. Whose word
//! counts is said by the API server of the archive's own cluster alone.

use axum::Extension;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use k8s_openapi::api::authorization::v1::ResourceAttributes;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use serde_json::{Value, json};
use tracing::warn;

use super::super::who::readers::{ERASURES, GROUP, HOLDS, RETENTION, attributes, may};
use super::ArchiveDesk;
use super::answer::{self, FailedCall};
use super::door::CalledBy;
use super::reading::{admit, version};
use super::writing::asked_in;
use crate::api::keeping::{ErasureAsked, HoldAsked, KeptHold, LiftedHold};
use crate::core::record::keeping::{HoldRefusal, check, check_erasure, why};
use crate::runtime::clock::Clock;

impl From<HoldRefusal> for FailedCall {
    fn from(refusal: HoldRefusal) -> Self {
        Self::bad(refusal.to_string())
    }
}

/// `GET .../retention`: for how long what is kept.
pub async fn retention(
    State(desk): State<ArchiveDesk>,
    Extension(by): Extension<CalledBy>,
    headers: HeaderMap,
) -> Result<Response, FailedCall> {
    admit(&desk, &by, &headers, RETENTION, None).await?;
    let list = json!({
        "apiVersion": version(), "kind": "RetentionList", "metadata": {},
        "items": [{ "apiVersion": version(), "kind": "Retention", "metadata": { "name": "archive" }, "retention": desk.keeping }],
    });
    Ok(answer::json(list.to_string()))
}

/// `GET .../holds`: the latest, those that are over included.
pub async fn list(
    State(desk): State<ArchiveDesk>,
    Extension(by): Extension<CalledBy>,
    headers: HeaderMap,
) -> Result<Response, FailedCall> {
    admit(&desk, &by, &headers, HOLDS, None).await?;
    let items: Vec<Value> = desk.store.holds().await?.iter().map(object).collect();
    let list = json!({ "apiVersion": version(), "kind": "HoldList", "metadata": {}, "items": items });
    Ok(answer::json(list.to_string()))
}

/// `POST .../holds`: sets one.
pub async fn hold(
    State(desk): State<ArchiveDesk>,
    Extension(by): Extension<CalledBy>,
    request: Request,
) -> Result<Response, FailedCall> {
    let (parts, body) = request.into_parts();
    let by = allowed(&desk, &by, &parts.headers, attributes("create", HOLDS)).await?;
    let asked: HoldAsked = asked_in(body, "retention hold").await?;
    let now = Clock::wall().now();
    check(&asked, now)?;
    let hold = KeptHold { asked, at: MicroTime(now), by, lifted: None };
    if !desk.store.keep_hold(&hold).await? {
        let message = format!("name: there is or was a hold {:?} already; give another name", hold.asked.name);
        return Err(FailedCall { code: StatusCode::CONFLICT, reason: "AlreadyExists", message });
    }
    warn!(hold = hold.asked.name, by = hold.by, requests = hold.asked.requests.len(), "a legal hold is set");
    Ok((StatusCode::CREATED, answer::json(object(&hold).to_string())).into_response())
}

/// `DELETE .../holds/NAME?reason=...`: lifts one, which is told from then on as lifted.
pub async fn lift(
    State(desk): State<ArchiveDesk>,
    Extension(by): Extension<CalledBy>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, FailedCall> {
    let right = ResourceAttributes { name: Some(name.clone()), ..attributes("delete", HOLDS) };
    let by = allowed(&desk, &by, &headers, right).await?;
    let query = query.unwrap_or_default();
    let reason = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "reason");
    let reason = reason.map(|(_, reason)| reason.into_owned()).unwrap_or_default();
    why(&reason)?;
    let lifted = LiftedHold { at: MicroTime(Clock::wall().now()), by, reason };
    let Some(hold) = desk.store.lift_hold(&name, lifted).await? else {
        let name: String = name.chars().take(64).collect();
        let message = format!("name: no hold {name:?} lasts; see kubectl daypass retention holds");
        return Err(FailedCall { code: StatusCode::NOT_FOUND, reason: "NotFound", message });
    };
    warn!(hold = hold.asked.name, by = hold.lifted.as_ref().map(|lifted| &lifted.by), "a legal hold is lifted");
    Ok(answer::json(object(&hold).to_string()))
}

/// `POST .../erasures`: erases the requests that somebody made.
pub async fn erase(
    State(desk): State<ArchiveDesk>,
    Extension(by): Extension<CalledBy>,
    request: Request,
) -> Result<Response, FailedCall> {
    let (parts, body) = request.into_parts();
    let by = allowed(&desk, &by, &parts.headers, attributes("create", ERASURES)).await?;
    let asked: ErasureAsked = asked_in(body, "retention erase").await?;
    check_erasure(&asked)?;
    let told = desk.store.erase_person(&asked, &by, Clock::wall().now()).await?;
    // Whose they were is what was to be forgotten.
    warn!(by, requests = told.erased, "the requests of a person are erased");
    let answer = json!({ "apiVersion": version(), "kind": "Erasure", "metadata": {}, "erasure": told });
    Ok((StatusCode::CREATED, answer::json(answer.to_string())).into_response())
}

/// Username of who calls, if they may do this by the roles of the cluster.
async fn allowed(
    desk: &ArchiveDesk,
    by: &CalledBy,
    headers: &HeaderMap,
    right: ResourceAttributes,
) -> Result<String, FailedCall> {
    let from_nobody =
        || FailedCall::unknown("only the API server may ask for people; use kubectl daypass retention".to_owned());
    let caller = by.0.as_ref().and_then(|proxy| proxy.reader(headers)).ok_or_else(from_nobody)?;
    let needed = format!(
        "verb {} on {}.{GROUP}",
        right.verb.clone().unwrap_or_default(),
        right.resource.clone().unwrap_or_default()
    );
    let asked = may(&desk.client, &caller, right).await;
    if asked.map_err(|error| FailedCall::away(format!("cannot ask who may do this: {error}")))? {
        return Ok(caller.username);
    }
    let username = caller.username;
    Err(FailedCall::forbidden(format!(
        "user {username:?} needs a role with {needed} in the whole cluster; ask for one"
    )))
}

fn object(hold: &KeptHold) -> Value {
    let metadata = json!({ "name": hold.asked.name, "creationTimestamp": hold.at });
    json!({ "apiVersion": version(), "kind": "Hold", "metadata": metadata, "hold": hold })
}
