//! What a call is answered when it fails: a Status, as of Kubernetes, which kubectl prints.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use kube::core::Status;

use super::super::feed::BadEnvelope;
use super::super::intake::UnreadableDelivery;
use super::super::store::StoreError;
use super::super::who::feeders::NotAFeeder;
use super::super::who::token::BadToken;
use super::super::who::writers::NotAWriter;

/// A call that failed.
#[derive(Debug, PartialEq, Eq)]
pub struct FailedCall {
    pub code: StatusCode,
    /// The word of Kubernetes for the kind of failure.
    pub reason: &'static str,
    /// Field, rule, way out.
    pub message: String,
}

impl FailedCall {
    /// A parameter or a body that is wrong.
    pub fn bad(message: String) -> Self {
        Self { code: StatusCode::BAD_REQUEST, reason: "BadRequest", message }
    }

    /// Who calls may not.
    pub fn forbidden(message: String) -> Self {
        Self { code: StatusCode::FORBIDDEN, reason: "Forbidden", message }
    }

    /// Nobody knows who calls.
    pub fn unknown(message: String) -> Self {
        Self { code: StatusCode::UNAUTHORIZED, reason: "Unauthorized", message }
    }

    /// Something else is away; whoever calls may try again.
    pub fn away(message: String) -> Self {
        tracing::warn!(message, "cannot answer a call");
        Self { code: StatusCode::SERVICE_UNAVAILABLE, reason: "ServiceUnavailable", message }
    }
}

impl From<StoreError> for FailedCall {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full(_) => Self {
                code: StatusCode::INSUFFICIENT_STORAGE,
                reason: "InsufficientStorage",
                ..Self::away(error.to_string())
            },
            _ => Self::away(error.to_string()),
        }
    }
}

impl From<UnreadableDelivery> for FailedCall {
    fn from(error: UnreadableDelivery) -> Self {
        if error.is_forbidden() { Self::forbidden(error.to_string()) } else { Self::bad(error.to_string()) }
    }
}

impl From<NotAWriter> for FailedCall {
    fn from(error: NotAWriter) -> Self {
        let message = error.to_string();
        match error {
            NotAWriter::Token(bad) => bad.into(),
            NotAWriter::Unknown => Self::unknown(message),
            NotAWriter::Stranger(_) | NotAWriter::StrangerThere(..) => Self::forbidden(message),
            NotAWriter::NoAnswer(_) => Self::away(message),
        }
    }
}

impl From<NotAFeeder> for FailedCall {
    fn from(error: NotAFeeder) -> Self {
        let message = error.to_string();
        match error {
            NotAFeeder::Token(bad) => bad.into(),
            NotAFeeder::Unknown(_) => Self::unknown(message),
            NotAFeeder::Stranger(_) | NotAFeeder::StrangerThere(..) | NotAFeeder::OtherAccount => {
                Self::forbidden(message)
            }
            NotAFeeder::NoAnswer(_) => Self::away(message),
        }
    }
}

impl From<BadEnvelope> for FailedCall {
    fn from(error: BadEnvelope) -> Self {
        Self::bad(error.to_string())
    }
}

impl From<BadToken> for FailedCall {
    fn from(error: BadToken) -> Self {
        let message = error.to_string();
        if matches!(error, BadToken::NoKeys(..)) { Self::away(message) } else { Self::unknown(message) }
    }
}

impl IntoResponse for FailedCall {
    fn into_response(self) -> Response {
        let status = Status::failure(&self.message, self.reason).with_code(self.code.as_u16());
        let body = serde_json::to_string(&status).unwrap_or_default();
        (self.code, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

/// A body of bytes that are to be taken as they are.
pub fn bytes(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response()
}

/// A body of text.
pub fn text(body: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response()
}

/// A body of JSON.
pub fn json(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
