//! The port of the page in the cluster: connections of the proxy before it, over TLS or without, their bounds, and the log of
//! what came over them.
//!
//! It must not look into a call, nor write into the log what a caller sent but its method and the path.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::server::graceful::Watcher;
use rustls::crypto::CryptoProvider;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info};

use super::answer::PageBody;
use super::desk::PageDesk;
use super::routes::PageServer;
use crate::runtime::certificate::Certificate;
use crate::runtime::door::{DoorBounds, tls};

/// What connections can take. Each open page has one for its watch, which is cut at the end, and its page begins another; a
/// token names the groups of its caller, and proxies pass their cookies on.
const BOUNDS: DoorBounds = DoorBounds {
    connections: 1024,
    handshake: Duration::from_secs(5),
    idle: Duration::from_secs(360),
    head: 64 << 10,
    linger: Duration::from_secs(5),
    drain: Duration::from_secs(5),
};
/// How many characters of a path are logged.
const LOGGED: usize = 200;

/// How connections come in.
pub struct ClusterDoor {
    tls: Option<TlsAcceptor>,
}

impl ClusterDoor {
    /// Without TLS: between the proxy and here, whoever sees the network sees tokens.
    pub fn plain() -> Self {
        Self { tls: None }
    }

    /// Over TLS, with this certificate.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn with_certificate(certificate: Arc<Certificate>, provider: Arc<CryptoProvider>) -> io::Result<Self> {
        Ok(Self { tls: Some(tls(certificate, provider)?) })
    }

    /// Answers calls until it is asked to stop.
    pub async fn serve<D: PageDesk>(self, listener: TcpListener, server: PageServer<D>, stop: watch::Receiver<bool>) {
        let server = Arc::new(server);
        let answer = |stream, watcher| connection(self.tls.clone(), stream, server.clone(), watcher);
        if !BOUNDS.take(listener, stop, answer).await {
            debug!("some connections were still open at the end");
        }
    }
}

/// One connection, from its handshake to its end.
async fn connection<D: PageDesk>(
    tls: Option<TlsAcceptor>,
    stream: TcpStream,
    server: Arc<PageServer<D>>,
    watcher: Watcher,
) {
    let Some(tls) = tls else { return calls(stream, server, watcher).await };
    if let Some(stream) = BOUNDS.shake_hands(&tls, stream).await {
        calls(stream, server, watcher).await;
    }
}

async fn calls<S, D>(stream: S, server: Arc<PageServer<D>>, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    D: PageDesk,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let server = server.clone();
        async move { Ok::<_, Infallible>(logged(&server, request).await) }.boxed()
    });
    BOUNDS.answer(stream, service, watcher).boxed().await;
}

/// The answer to a call. What writes is logged, and what is refused; of all else nobody needs a line.
async fn logged<D: PageDesk>(server: &PageServer<D>, request: Request<Incoming>) -> Response<PageBody> {
    let method = request.method().clone();
    let path: String = request.uri().path().chars().take(LOGGED).collect();
    let began = Instant::now();
    let answer = server.answer(request).await;
    let (status, ms) = (answer.status(), began.elapsed().as_millis());
    match method == Method::GET && !status.is_client_error() && !status.is_server_error() {
        true => debug!(%method, path, status = status.as_u16(), ms, "answered"),
        false => info!(%method, path, status = status.as_u16(), ms, "answered"),
    }
    answer
}
