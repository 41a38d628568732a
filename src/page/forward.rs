//! What becomes of a call of the table: it is made anew, sent with its caller's login, and answered as it comes.
//!
//! Only a login, what is taken as an answer and what kind of body it has go on; only what kind of body it is, warnings and
//! when to try again come back. It must not judge a call: the table and the guard have.

use std::error::Error;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT, WARNING};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, BodyStream, Limited, StreamBody};
use hyper::body::Bytes;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::jiff::Timestamp;
use kube::client::DynBody;
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::answer::{JSON, PageBody};
use super::caller::CallLogin;
use super::refusal::PageRefusal;
use super::table::{TableCall, TableDeed};
use crate::api::subject::Identity;
use crate::runtime::carried::{CarriedBody, LoginEnd};
use crate::runtime::clock::Clock;

/// How long the API server may take to begin an answer.
const ANSWER: Duration = Duration::from_secs(30);
/// What a review of the caller is no longer than, in bytes: they may be in many groups.
const REVIEW: usize = 1 << 20;
/// What a merge patch is sent as.
pub const MERGE_PATCH: &str = "application/merge-patch+json";
/// Headers of an answer that come back.
const BACK: [HeaderName; 3] = [CONTENT_TYPE, RETRY_AFTER, WARNING];
/// Has a proxy before the page pass a stream on as it comes.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");
const AGENT: &str = concat!("daypass-page/", env!("CARGO_PKG_VERSION"));

/// Who the caller is to the API server, and when their login ends as far as that is known.
#[derive(Debug, PartialEq, Eq)]
pub struct KnownCaller {
    pub who: Identity,
    pub ends: Option<Timestamp>,
}

/// Sends a call of the table, with its body if it has one.
///
/// # Errors
/// When there is no login, no API server, or it leads elsewhere.
pub async fn forward(login: &CallLogin, call: TableCall, body: Bytes) -> Result<Response<PageBody>, PageRefusal> {
    let kind = match call.deed {
        TableDeed::Read | TableDeed::Watch => None,
        TableDeed::Ask => Some(JSON),
        TableDeed::Review => Some(MERGE_PATCH),
    };
    let answer = send(login, request(call.method, &call.target, kind, body)?).await?;
    Ok(back(login, answer, call.deed == TableDeed::Watch))
}

/// Asks the API server who the caller is. Nothing else is believed about that.
///
/// # Errors
/// When there is no login, or no API server.
pub async fn known(login: &CallLogin) -> Result<KnownCaller, PageRefusal> {
    let question = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" }).to_string();
    let target = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let answer = send(login, request(Method::POST, target, Some(JSON), question.into())?).await?;
    let (status, ends) = (answer.status(), end_of(login, &answer));
    let body = Limited::new(answer.into_body(), REVIEW).collect().boxed().await;
    let body = body.map_err(|error| login.failed(&*error))?.to_bytes();
    let unknown = |why: String| PageRefusal::Unusable(format!("the API server does not say who you are: {why}"));
    if !status.is_success() {
        return Err(unknown(status.to_string()));
    }
    let review: SelfSubjectReview = serde_json::from_slice(&body).map_err(|error| unknown(error.to_string()))?;
    let who = review.status.and_then(|status| status.user_info).unwrap_or_default();
    let who = Identity {
        username: who.username.unwrap_or_default(),
        uid: who.uid.filter(|uid| !uid.is_empty()),
        groups: who.groups.unwrap_or_default(),
        ..Identity::default()
    };
    Ok(KnownCaller { who, ends })
}

fn request(
    method: Method,
    target: &str,
    kind: Option<&'static str>,
    body: Bytes,
) -> Result<Request<CarriedBody>, PageRefusal> {
    let uri = Uri::try_from(target).map_err(|_| PageRefusal::NotInTable)?;
    let mut request = Request::new(CarriedBody::from(body));
    (*request.method_mut(), *request.uri_mut()) = (method, uri);
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static(JSON));
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    if let Some(kind) = kind {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    Ok(request)
}

async fn send(login: &CallLogin, request: Request<CarriedBody>) -> Result<Response<Box<DynBody>>, PageRefusal> {
    let answer = match timeout(ANSWER, login.calls.send(request).boxed()).await {
        Ok(answer) => answer.map_err(|error| login.failed(&*error as &(dyn Error + 'static)))?,
        Err(_) => return Err(PageRefusal::Away(format!("no answer within {} s", ANSWER.as_secs()))),
    };
    match answer.status() {
        StatusCode::UNAUTHORIZED => Err(login.not_taken()),
        status if status.is_redirection() || status.is_informational() => Err(PageRefusal::LedElsewhere),
        _ => Ok(answer),
    }
}

/// When the login ends that was carried, the earliest of what is said.
fn end_of(login: &CallLogin, answer: &Response<Box<DynBody>>) -> Option<Timestamp> {
    let carried = answer.extensions().get::<LoginEnd>().map(|end| end.0);
    carried.into_iter().chain(login.ends).min()
}

/// The answer as the page gets it. A watch ends with the login that it was begun with: the API server looks at that once only.
fn back(login: &CallLogin, answer: Response<Box<DynBody>>, watches: bool) -> Response<PageBody> {
    let ends = end_of(login, &answer);
    let (head, body) = answer.into_parts();
    let mut headers: HeaderMap = BACK
        .iter()
        .flat_map(|name| head.headers.get_all(name).iter().map(move |v| (name.clone(), v.clone())))
        .collect();
    let body = match ends.filter(|_| watches && head.status.is_success()) {
        Some(end) => {
            let left = Duration::try_from(end.duration_since(Clock::wall().now())).unwrap_or_default();
            StreamBody::new(BodyStream::new(body).take_until(Box::pin(sleep(left)))).boxed_unsync()
        }
        None => body.boxed_unsync(),
    };
    if watches {
        headers.insert(UNBUFFERED, HeaderValue::from_static("no"));
    }
    let mut told = Response::new(body);
    (*told.status_mut(), *told.headers_mut()) = (head.status, headers);
    told
}
