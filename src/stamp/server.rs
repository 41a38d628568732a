//! How the API server calls the webhook: HTTP/1.1 over TLS, from anybody who can reach the port, so everything that a
//! caller can take is bounded: connections, bodies, memory and time. Who calls is not asked: an answer holds nothing but
//! what its question held.
//!
//! Owns the ports and the bounds. What is answered is for [`super::patch`].

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hyper_util::service::TowerToHyperService;
use rustls::crypto::CryptoProvider;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::patch::answer;
use crate::runtime::certificate::Certificate;
use crate::runtime::door::{DoorBounds, tls};

/// Where the API server posts its reviews.
pub const PATH: &str = "/stamp";

/// What callers can take.
#[derive(Clone, Copy, Debug)]
pub struct CallBounds {
    /// Most bytes of a review. It holds the old and the new object, and etcd takes none of more than 1.5 MiB; the rest is
    /// for who calls (512 groups of 253 characters at most are stamped) and for what is around them. A larger object
    /// cannot be stored, stamped or not.
    pub body: usize,
    /// How many reviews are read and answered at a time; more wait for their turn.
    pub at_once: usize,
    /// How many connections there are at a time; more wait to be accepted.
    pub connections: usize,
    /// For how long a TLS handshake may take.
    pub handshake: Duration,
    /// For how long a review may take, from its head to its answer. The API server waits no longer than 2 s.
    pub review: Duration,
    /// For how long a connection may be without the head of a request. Longer than the API server keeps an idle one (90 s),
    /// so that it never sends on one that is being closed.
    pub idle: Duration,
    /// For how long new connections are accepted after a wish to stop: the API server learns a moment later that this
    /// address is no more.
    pub linger: Duration,
    /// For how long open calls may go on after that.
    pub drain: Duration,
}

/// Those of the program.
pub const BOUNDS: CallBounds = CallBounds {
    body: 4 << 20,
    at_once: 8,
    connections: 256,
    handshake: Duration::from_secs(5),
    review: Duration::from_secs(5),
    idle: Duration::from_secs(120),
    linger: Duration::from_secs(5),
    drain: Duration::from_secs(5),
};

/// Most bytes of the head of a request.
const HEAD: usize = 16 << 10;

/// Answers reviews until it is asked to stop. Of a login's extra these keys are stamped.
///
/// # Errors
/// When TLS cannot be set up.
pub async fn serve(
    listener: TcpListener,
    certificate: Arc<Certificate>,
    provider: Arc<CryptoProvider>,
    (bounds, extra_keys): (CallBounds, Vec<String>),
    stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let (acceptor, routes, door) = (tls(certificate, provider)?, routes(bounds, extra_keys), bounds.door());
    let answer = |stream, watcher| {
        let (acceptor, routes) = (acceptor.clone(), routes.clone());
        async move {
            if let Some(stream) = door.shake_hands(&acceptor, stream).await {
                door.answer(stream, TowerToHyperService::new(routes), watcher).await;
            }
        }
    };
    if !door.take(listener, stop, answer).await {
        warn!("some connections were still open at the end");
    }
    Ok(())
}

impl CallBounds {
    fn door(&self) -> DoorBounds {
        let Self { connections, handshake, idle, linger, drain, .. } = *self;
        DoorBounds { connections, handshake, idle, head: HEAD, linger, drain }
    }
}

#[derive(Clone)]
struct Reviewing {
    turns: Arc<Semaphore>,
    bounds: CallBounds,
    extra_keys: Arc<[String]>,
}

fn routes(bounds: CallBounds, extra_keys: Vec<String>) -> Router {
    let turns = Arc::new(Semaphore::new(bounds.at_once));
    let reviewing = Reviewing { turns, bounds, extra_keys: extra_keys.into() };
    Router::new().route(PATH, post(stamp)).with_state(reviewing)
}

async fn stamp(State(reviewing): State<Reviewing>, request: Request) -> Response {
    match timeout(reviewing.bounds.review, reviewing.stamp(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "the review did not arrive in time\n").into_response(),
    }
}

impl Reviewing {
    async fn stamp(&self, request: Request) -> Response {
        let length =
            request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if length.is_some_and(|length: usize| length > self.bounds.body) {
            return self.too_large();
        }
        let Ok(_turn) = self.turns.acquire().await else { return StatusCode::SERVICE_UNAVAILABLE.into_response() };
        // One that says no length may turn out too large, or break off; then nobody reads the answer.
        let Ok(body) = to_bytes(request.into_body(), self.bounds.body).await else { return self.too_large() };
        match answer(&body, &self.extra_keys) {
            Ok(answer) => {
                if let Some(why) = answer.unread() {
                    warn!(why, "allowed a review without a stamp");
                }
                debug!(stamped = answer.stamps(), "answered");
                match answer.body() {
                    Ok(body) => ([(header::CONTENT_TYPE, "application/json")], Body::from(body)).into_response(),
                    Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
                }
            }
            Err(no_review) => {
                warn!(why = %no_review, "cannot answer a call");
                (StatusCode::BAD_REQUEST, format!("{no_review}\n")).into_response()
            }
        }
    }

    fn too_large(&self) -> Response {
        warn!(bound = self.bounds.body, "a review is too large to be stamped");
        let why = format!("a review may have {} bytes at most\n", self.bounds.body);
        (StatusCode::PAYLOAD_TOO_LARGE, why).into_response()
    }
}

#[cfg(test)]
mod tests;
