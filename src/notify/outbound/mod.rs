//! Calls over HTTP, and mails over SMTP, to where a route leads.
//!
//! | Module | What it owns |
//! | --- | --- |
//! | [`ranges`] | Which addresses are public, and which others a route names |
//! | [`dial`] | Names, addresses and connections: what is connected to is what was checked |
//! | [`smtp`] | A conversation with a mail server |
//! | [`mail`] | Mails of a route, and who has which already |
//!
//! Owns the limits of a call over HTTP and what is read of its answer. It must not follow a redirect, use a proxy, try again, or put the
//! path or query of a URL into an error, since they hold secrets.

pub mod dial;
pub mod mail;
pub mod ranges;
pub mod smtp;

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::header::RETRY_AFTER;
use http::uri::Scheme;
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::jiff::fmt::rfc2822::DateTimeParser;
use kube::Config;
use kube::client::ConfigExt;
use rustls::ClientConfig;
use tokio::time::timeout;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt};

use self::dial::{DialFault, Dialer};
use super::providers::{HttpAnswer, HttpCall};
use super::routes::RouteReach;
use crate::runtime::clock::Clock;
use crate::runtime::connection;
use crate::runtime::dates;

/// How much of the body of an answer is read, in bytes.
const MOST_BODY: usize = 4 * 1024;
/// How large the head of an answer may be, in bytes.
const MOST_HEAD: usize = 16 * 1024;
/// The longest wait that an answer may ask for.
const MOST_WAIT: Duration = Duration::from_secs(3600);
/// How long a connection may be idle before the next call makes its own.
const IDLE: Duration = Duration::from_secs(20);

/// How long a call may take.
#[derive(Clone, Copy, Debug)]
pub struct CallLimits {
    /// Until the connection stands, with the look-up of the name and TLS.
    pub connect: Duration,
    /// Until all that is read of the answer is there, connecting included.
    pub answer: Duration,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), answer: Duration::from_secs(10) }
    }
}

/// Why a call has no answer. None of it repeats the path or query of the URL.
#[derive(Debug, thiserror::Error)]
pub enum CallFault {
    /// The URL is in plain HTTP.
    #[error("{0}: its URL is not https://; give one that is, or set allowPlain for a receiver within the cluster")]
    Plain(String),
    /// The URL cannot be called.
    #[error("its URL must be https://HOST/PATH, without a user")]
    Url,
    /// There is nobody to know its certificate by.
    #[error("{0}: the machine has no authorities to know its certificate by; name a file with them in caFile")]
    NoAuthorities(String),
    /// The route may not connect to it, or nothing connects there.
    #[error(transparent)]
    Dial(DialFault),
    /// It speaks no TLS or HTTP that can be used, or ends the connection.
    #[error("{host}: {why}")]
    Broken { host: String, why: String },
    /// It takes too long.
    #[error("{host} does not answer within {limit:?}")]
    Silent { host: String, limit: Duration },
}

/// Calls in the name of one route.
#[derive(Clone)]
pub struct Outbound {
    client: BoxCloneSyncService<Request<Full<Bytes>>, http::Response<hyper::body::Incoming>, BoxError>,
    allow_plain: bool,
    knows_authorities: bool,
    limits: CallLimits,
}

impl Outbound {
    /// Calls as far as a route may reach. The file of authorities is read now.
    ///
    /// # Errors
    /// A sentence that names the field and says what is wrong with it.
    pub fn new(reach: &RouteReach) -> Result<Self, String> {
        Self::over(reach, Dialer::new(reach)?, CallLimits::default())
    }

    /// The same with this way to connect and these limits.
    fn over(reach: &RouteReach, dialer: Dialer, limits: CallLimits) -> Result<Self, String> {
        let (config, knows_authorities) = match tls_settings(reach) {
            Ok(config) => (config, true),
            // Whoever needs no certificate shall not fail for want of authorities.
            Err(_) if reach.allow_plain && reach.authorities.is_none() => (trusting(Some(Vec::new())), false),
            Err(why) => return Err(why),
        };
        let https = config.rustls_https_connector_with_connector(dialer).map_err(|error| causes(&error))?;
        let mut connector = TimeoutConnector::new(https);
        connector.set_connect_timeout(Some(limits.connect));
        let client = Client::builder(TokioExecutor::new())
            .http1_max_buf_size(MOST_HEAD)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(1)
            .build(connector);
        let client = BoxCloneSyncService::new(client.map_err(BoxError::from));
        Ok(Self { client, allow_plain: reach.allow_plain, knows_authorities, limits })
    }

    /// Makes one call and reads the answer, whatever its status is: a redirect is an answer too.
    ///
    /// # Errors
    /// When there is no answer, or the route may not reach so far.
    pub async fn call(&self, call: HttpCall) -> Result<HttpAnswer, CallFault> {
        let host = self.host(&call.url)?;
        let mut request = Request::new(Full::from(call.body));
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (call.method, call.url, call.headers);
        let limit = self.limits.answer;
        match timeout(limit, self.exchange(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.fault(host, error.as_ref())),
            Err(_) => Err(CallFault::Silent { host, limit }),
        }
    }

    /// The host of a URL that may be called.
    fn host(&self, url: &Uri) -> Result<String, CallFault> {
        let (Some(scheme), Some(authority)) = (url.scheme(), url.authority()) else { return Err(CallFault::Url) };
        let host = authority.host().to_owned();
        if host.is_empty() || authority.as_str().contains('@') {
            return Err(CallFault::Url);
        }
        if *scheme == Scheme::HTTPS {
            return if self.knows_authorities { Ok(host) } else { Err(CallFault::NoAuthorities(host)) };
        }
        if *scheme == Scheme::HTTP && self.allow_plain { Ok(host) } else { Err(CallFault::Plain(host)) }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<HttpAnswer, BoxError> {
        let (head, mut body) = self.client.clone().oneshot(request).await?.into_parts();
        let mut read = Vec::new();
        // What is left over is not waited for: the connection ends with the answer.
        while read.len() < MOST_BODY && !body.is_end_stream() {
            let Some(frame) = body.frame().await else { break };
            if let Some(data) = frame?.data_ref() {
                read.extend_from_slice(&data[..data.len().min(MOST_BODY - read.len())]);
            }
        }
        Ok(HttpAnswer { status: head.status, retry_after: retry_after(&head.headers), body: read })
    }

    fn fault(&self, host: String, error: &(dyn Error + 'static)) -> CallFault {
        let chain = || std::iter::successors(Some(error), |error| below(*error));
        if let Some(fault) = chain().find_map(|error| error.downcast_ref::<DialFault>()) {
            return CallFault::Dial(fault.clone());
        }
        let late = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
        if chain().filter_map(|error| error.downcast_ref::<io::Error>()).any(late) {
            return CallFault::Silent { host, limit: self.limits.connect };
        }
        CallFault::Broken { host, why: causes(error) }
    }
}

/// The TLS of a route, for protocols other than HTTP.
///
/// # Errors
/// A sentence that names the field and says what is wrong with it.
pub fn tls(reach: &RouteReach) -> Result<Arc<ClientConfig>, String> {
    tls_settings(reach)?.rustls_client_config().map(Arc::new).map_err(|error| causes(&error))
}

fn tls_settings(reach: &RouteReach) -> Result<Config, String> {
    let config = trusting(reach.authorities.as_deref().map(authorities).transpose()?);
    match config.rustls_client_config() {
        Ok(_) => Ok(config),
        Err(error) if reach.authorities.is_some() => Err(format!("caFile: {}", causes(&error))),
        Err(error) => Err(format!(
            "caFile: the machine has no authorities to know a certificate by ({}); name a file with them",
            causes(&error)
        )),
    }
}

/// Settings that trust these authorities, or those of the machine. They lead nowhere.
fn trusting(authorities: Option<Vec<Vec<u8>>>) -> Config {
    let mut config = Config::new(Uri::from_static("https://daypass.invalid/"));
    config.root_cert = authorities;
    config
}

fn authorities(file: &Path) -> Result<Vec<Vec<u8>>, String> {
    let pem = std::fs::read(file).map_err(|error| format!("caFile: cannot read {}: {error}", file.display()))?;
    connection::authorities(&pem)
        .map_err(|error| format!("caFile: {} holds no certificate in PEM: {error}", file.display()))
}

/// How long an answer asks to wait: in seconds, or until a time of the clock that the answer is dated by.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse().map_or(MOST_WAIT, Duration::from_secs).min(MOST_WAIT));
    }
    let until = DateTimeParser::new().parse_timestamp(text).ok()?;
    let now = dates::date(headers).unwrap_or_else(|| Clock::wall().now());
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default().min(MOST_WAIT))
}

/// What an error comes from. One of input and output does not say itself what it holds.
fn below<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    held.map(|held| held as &(dyn Error + 'static)).or_else(|| error.source())
}

/// An error with what it comes from: the outermost says little of a connection.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    for text in std::iter::successors(Some(error), |error| below(*error)).map(ToString::to_string) {
        if said.last() != Some(&text) {
            said.push(text);
        }
    }
    said.join(": ")
}

#[cfg(test)]
mod tests;
