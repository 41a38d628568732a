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
use axum::routing::{get, post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::patch::answer;
use crate::runtime::certificate::Certificate;

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
    mut stop: watch::Receiver<bool>,
) -> io::Result<()> {
    let server = TlsServer { acceptor: acceptor(certificate, provider)?, routes: routes(bounds, extra_keys), bounds };
    let (places, graceful) = (Arc::new(Semaphore::new(bounds.connections)), GracefulShutdown::new());
    let stopped = async {
        // A sender that is gone is a wish to stop too.
        let _ = stop.wait_for(|stop| *stop).await;
        sleep(bounds.linger).await;
    };
    tokio::select! {
        () = stopped => {}
        () = accept(&listener, &server, &places, &graceful) => {}
    }
    drop(listener);
    if timeout(bounds.drain, graceful.shutdown()).await.is_err() {
        warn!("some connections were still open at the end");
    }
    Ok(())
}

async fn accept(listener: &TcpListener, server: &TlsServer, places: &Arc<Semaphore>, graceful: &GracefulShutdown) {
    // Never closed.
    while let Ok(place) = places.clone().acquire_owned().await {
        match next_connection(listener).await {
            Ok(stream) => {
                tokio::spawn(server.clone().serve_connection(stream, graceful.watcher(), place));
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                // Out of file descriptors, most likely; it would fail again at once.
                sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// An answer on a new connection is written right behind the end of the handshake. Without `nodelay` it would wait until the
/// caller has acknowledged that, 40 ms on Linux.
async fn next_connection(listener: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    // Of one that is gone already, the handshake says so.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

fn acceptor(certificate: Arc<Certificate>, provider: Arc<CryptoProvider>) -> io::Result<TlsAcceptor> {
    let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let versions = versions.map_err(io::Error::other)?;
    let mut config = versions.with_no_client_auth().with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// What every connection goes through.
#[derive(Clone)]
struct TlsServer {
    acceptor: TlsAcceptor,
    routes: Router,
    bounds: CallBounds,
}

impl TlsServer {
    /// One connection, from its handshake to its end.
    async fn serve_connection(self, stream: TcpStream, watcher: Watcher, _place: OwnedSemaphorePermit) {
        let stream = match timeout(self.bounds.handshake, self.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return debug!(%error, "a TLS handshake failed"),
            Err(_) => return debug!("a TLS handshake took too long"),
        };
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(self.bounds.idle).max_buf_size(HEAD);
        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(self.routes));
        if let Err(error) = watcher.watch(connection).await {
            debug!(%error, "a connection ended");
        }
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

/// Answers `/livez` and `/readyz` over plain HTTP, for the kubelet. Ready is who is not asked to stop.
///
/// # Errors
/// When the port is lost.
pub async fn serve_probes(listener: TcpListener, stop: watch::Receiver<bool>) -> io::Result<()> {
    let ready = move || async move {
        if *stop.borrow() { (StatusCode::SERVICE_UNAVAILABLE, "stops\n") } else { (StatusCode::OK, "ok\n") }
    };
    let routes = Router::new().route("/livez", get(|| async { "ok\n" })).route("/readyz", get(ready));
    axum::serve(listener, routes).await
}

#[cfg(test)]
mod tests;
