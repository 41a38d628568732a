//! Providers: Slack, Microsoft Teams, Mattermost and others by template, mail, PagerDuty, and CloudEvents.
//!
//! Owns the shape that each place wants a [`Message`] in, and what its answers mean. It must not make connections, wait or try
//! again: who sends does. What people wrote must never become markup, a mention or a link.

mod answers;
pub mod cloud_events;
mod fitted;
pub mod mail;
pub mod pager_duty;
pub mod slack;
pub mod teams;
pub mod webhook;

#[cfg(test)]
mod tests;

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

use super::message::Message;

/// JSON, as a body that says how its letters are written.
const JSON: &str = "application/json; charset=utf-8";

/// A call of HTTP that tells something. Headers with a secret are marked as sensitive.
#[derive(Clone)]
pub struct HttpCall {
    pub method: Method,
    /// Where to. It may hold a secret itself, so it must appear in no log line and in no error.
    pub url: Uri,
    pub headers: HeaderMap,
    pub body: String,
}

impl HttpCall {
    /// A POST of a body of this media type.
    pub fn post(url: Uri, media_type: &'static str, body: String) -> Self {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media_type))]);
        Self { method: Method::POST, url, headers, body }
    }
}

/// Shows no address, which may be a secret as a whole, and nothing that people wrote.
impl std::fmt::Debug for HttpCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpCall").field("method", &self.method).field("headers", &self.headers).finish_non_exhaustive()
    }
}

/// What was answered to it.
#[derive(Clone, Debug)]
pub struct HttpAnswer {
    pub status: StatusCode,
    /// How long to wait before the next call, from `Retry-After` (RFC 9110, section 10.2.3).
    pub retry_after: Option<Duration>,
    /// Its first 4 KiB.
    pub body: Vec<u8>,
}

/// By what a place knows a message again, to change it or to answer in its thread. Some have none.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Posted {
    /// Where it is, such as the id of a channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Which one it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reception {
    /// It was taken; how the message is known from now on, where the place says so.
    Taken(Option<Posted>),
    /// It may be taken later, not before that time.
    Later { why: String, after: Option<Duration> },
    /// It will never be taken as it is. The reason holds no secret.
    Never(String),
    /// The earlier message that it changes, or answers to, is gone, or can be changed no more. Told anew, without it, it may be
    /// taken.
    Gone,
}

/// A place that takes messages over HTTP.
pub trait HttpProvider: Send + Sync {
    /// The calls that tell this, in order. `earlier` is how the place knows the message about the same request that was
    /// posted first, if there is one: a place that answers to a later notice knows another message, which must not be kept instead.
    /// The last call's answer counts for [`HttpProvider::read`], and so does each before it.
    ///
    /// # Errors
    /// A sentence that says what is missing or wrong of the settings, without any secret.
    fn calls(
        &self,
        message: &Message,
        earlier: Option<&Posted>,
        now: k8s_openapi::jiff::Timestamp,
    ) -> Result<Vec<HttpCall>, String>;

    /// What an answer means.
    fn read(&self, answer: &HttpAnswer) -> Reception;
}
