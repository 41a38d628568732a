//! What every answer of the page carries, and how an answer of its own is made.
//!
//! It must not know what an answer is about.

use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use tower::BoxError;

use super::refusal::PageRefusal;

/// Body of an answer: whole, or as it comes.
pub type PageBody = UnsyncBoxBody<Bytes, BoxError>;

/// Its own files and calls alone, nothing that is written into a page, and nobody around it.
pub const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                       form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                       trusted-types 'none'";
/// What keeps pages of others out of every answer, and what an answer says of this page from others.
const KEPT_APART: [(HeaderName, &str); 5] = [
    (CONTENT_SECURITY_POLICY, CSP),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
];
/// What kind of body a JSON answer has.
pub const JSON: &str = "application/json";

/// Bytes of a kind.
pub fn bytes(status: StatusCode, kind: &'static str, bytes: impl Into<Bytes>) -> Response<PageBody> {
    let body = Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync();
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

/// A value, as JSON.
pub fn value(value: &impl Serialize) -> Response<PageBody> {
    let text = serde_json::to_string(value);
    match text {
        Ok(text) => bytes(StatusCode::OK, JSON, text),
        Err(error) => refused(&PageRefusal::Unusable(error.to_string())),
    }
}

/// That nothing is answered, and why.
pub fn refused(refusal: &PageRefusal) -> Response<PageBody> {
    let (status, reason) = refusal.word();
    let told: Value = json!({ "reason": reason, "message": refusal.to_string() });
    bytes(status, JSON, told.to_string())
}

/// The answer with what every one of them carries. What does not say how long it may be kept is not kept.
pub fn kept_apart(mut answer: Response<PageBody>) -> Response<PageBody> {
    let headers = answer.headers_mut();
    for (name, value) in KEPT_APART {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the browser is told is held letter by letter: each part of it stops something.
    #[test]
    fn every_answer_is_kept_apart_from_other_pages() {
        let answer = kept_apart(refused(&PageRefusal::NoSession));
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(
            header("content-security-policy"),
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
             form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
             trusted-types 'none'"
        );
        assert_eq!(header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(header("cross-origin-resource-policy"), "same-origin");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
}
