//! What becomes of one call: it is checked, sent on, held where it is refused, and answered.
//!
//! It must not know why a call is refused: the desk does.

use http::header::ACCEPT;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::upgrade::OnUpgrade;
use serde_json::json;
use tower::BoxError;

use super::body::{self, BodyRead};
use super::desk::{AfterRefusal, HeldCall, RefusalDesk};
use super::guard::{EndpointGuard, NotTaken};
use super::headers;
use super::splice::{Splice, SpliceSlot};
use crate::cli::plugin::reach::failure::reason;
use crate::runtime::carried::{CarriedBody, CarriedCalls};

/// Up to here a body is kept, so that it can be sent twice; in bytes.
const KEPT: usize = 8 << 20;
/// A refusal is no longer than this, in bytes.
const REFUSAL: usize = 64 << 10;

/// Body of an answer.
type AnswerBody = UnsyncBoxBody<Bytes, BoxError>;

/// What all calls of one endpoint go through.
pub struct Forwarding<D> {
    pub guard: EndpointGuard,
    /// URL of the API server.
    pub api_server: Uri,
    /// Whether each call impersonates somebody already.
    pub impersonates: bool,
    pub desk: D,
}

impl<D: RefusalDesk> Forwarding<D> {
    /// Answers one call. What is to be spliced once the answer is sent is left in the slot.
    ///
    /// # Errors
    /// When the command stops in the middle of it.
    pub async fn answer(
        &self,
        request: Request<Incoming>,
        calls: &CarriedCalls,
        slot: &SpliceSlot,
    ) -> Result<Response<AnswerBody>, BoxError> {
        let (mut head, body) = request.into_parts();
        if let Err(why) = self.check(&head) {
            return Ok(status(why.status(), why.words()));
        }
        let upgrade = headers::upgrade_of(&head.headers);
        let upgraded = head.extensions.remove::<OnUpgrade>();
        let read = body::read(body.map_err(BoxError::from), KEPT).await?;
        let mut call = TakenCall::new(head, upgrade.as_ref(), &read);
        if self.desk.reads(call.head.uri.path()) {
            call.takes_json();
        }
        Ok(match self.send(&call, read, calls).await {
            Ok(answer) => self.told(answer, upgrade.zip(upgraded), slot),
            Err(error) => {
                let why = format!("{} cannot be reached ({})", self.api_server, reason(&*error));
                status(StatusCode::BAD_GATEWAY, &why)
            }
        })
    }

    fn check(&self, head: &Parts) -> Result<(), NotTaken> {
        self.guard.check(head)?;
        let twice = self.impersonates && headers::impersonates(&head.headers);
        if twice { Err(NotTaken::Impersonates) } else { Ok(()) }
    }

    /// Sends a call, and once more where the desk says so.
    async fn send(
        &self,
        call: &TakenCall,
        read: BodyRead,
        calls: &CarriedCalls,
    ) -> Result<Response<AnswerBody>, BoxError> {
        let first = calls.send(call.request(read.into_body())).await?;
        if !self.desk.looks_at(call.head.uri.path(), first.status()) {
            return Ok(first.map(BodyExt::boxed_unsync));
        }
        let (head, body) = first.into_parts();
        let refusal = body::read(body, REFUSAL).await?;
        if let Some((held, kept)) = call.held(&refusal)
            && self.desk.refused(held).await == AfterRefusal::SendAgain
        {
            let again = calls.send(call.request(BodyRead::Whole(kept).into_body())).await?;
            return Ok(again.map(BodyExt::boxed_unsync));
        }
        Ok(Response::from_parts(head, refusal.into_body().boxed_unsync()))
    }

    /// An answer as the command gets it.
    fn told(
        &self,
        mut answer: Response<AnswerBody>,
        upgrade: Option<(HeaderValue, OnUpgrade)>,
        slot: &SpliceSlot,
    ) -> Response<AnswerBody> {
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            *answer.headers_mut() = headers::back(answer.headers(), &self.api_server, None);
            return answer;
        }
        let Some((to, command)) = upgrade else {
            return status(StatusCode::BAD_GATEWAY, "the API server upgrades a call that did not ask for it");
        };
        slot.put(Splice { command, api_server: hyper::upgrade::on(&mut answer) });
        *answer.headers_mut() = headers::back(answer.headers(), &self.api_server, Some(&to));
        answer
    }
}

/// A call that is taken.
struct TakenCall {
    head: Parts,
    sent: HeaderMap,
    /// The body, where it is kept.
    kept: Option<Bytes>,
}

impl TakenCall {
    fn new(head: Parts, upgrade: Option<&HeaderValue>, read: &BodyRead) -> Self {
        Self { sent: headers::onward(&head.headers, upgrade), kept: read.whole().cloned(), head }
    }

    /// Has it answered in JSON, where its client takes that too.
    fn takes_json(&mut self) {
        let is_json = |types: &HeaderValue| types.to_str().is_ok_and(|types| types.contains("application/json"));
        if self.sent.get(ACCEPT).is_some_and(is_json) {
            self.sent.insert(ACCEPT, HeaderValue::from_static("application/json"));
        }
    }

    fn request(&self, body: CarriedBody) -> Request<CarriedBody> {
        let mut request = Request::new(body);
        *request.method_mut() = self.head.method.clone();
        *request.uri_mut() = self.head.uri.clone();
        *request.headers_mut() = self.sent.clone();
        request
    }

    /// The call as the desk sees it, and the body to send again. None for a call that is not held: the rights of somebody who
    /// is impersonated are not the caller's to ask for.
    fn held(&self, refusal: &BodyRead) -> Option<(HeldCall, Bytes)> {
        let (kept, answer) = (self.kept.clone()?, refusal.whole()?.clone());
        let uri = &self.head.uri;
        let (path, query) = (uri.path().to_owned(), uri.query().map(str::to_owned));
        let held = HeldCall { method: self.head.method.clone(), path, query, answer };
        (!headers::impersonates(&self.sent)).then_some((held, kept))
    }
}

/// An answer of the endpoint itself, as the API server would write it.
fn status(code: StatusCode, why: &str) -> Response<AnswerBody> {
    let reason = match code {
        StatusCode::UNAUTHORIZED => "Unauthorized",
        StatusCode::FORBIDDEN => "Forbidden",
        StatusCode::BAD_GATEWAY => "ServiceUnavailable",
        _ => "BadRequest",
    };
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("kubectl daypass run: {why}"), "reason": reason, "code": code.as_u16()
    });
    let body = Full::new(Bytes::from(status.to_string())).map_err(|never| match never {}).boxed_unsync();
    let mut answer = Response::new(body);
    *answer.status_mut() = code;
    answer.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
