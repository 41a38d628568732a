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
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};

use super::answer::PageBody;
use super::desk::PageDesk;
use super::routes::PageServer;
use crate::runtime::certificate::Certificate;

/// How many connections there are at a time; more wait to be accepted. Each open page has one for its watch.
const CONNECTIONS: usize = 1024;
/// For how long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// For how long a connection may be without the head of a call: longer than proxies keep an idle one that they might use.
const IDLE: Duration = Duration::from_secs(360);
/// Most bytes of the head of a call: its token names the groups of its caller, and proxies pass their cookies on.
const HEAD: usize = 64 << 10;
/// For how long new connections are accepted after a wish to stop: the proxy learns a moment later that this address is no
/// more.
const LINGER: Duration = Duration::from_secs(5);
/// For how long calls that are open may go on after that. A watch is cut then, and its page begins another.
const DRAIN: Duration = Duration::from_secs(5);
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
        let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let versions = versions.map_err(io::Error::other)?;
        let mut config = versions.with_no_client_auth().with_cert_resolver(certificate);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { tls: Some(TlsAcceptor::from(Arc::new(config))) })
    }

    /// Answers calls until it is asked to stop.
    pub async fn serve<D: PageDesk>(
        self,
        listener: TcpListener,
        server: PageServer<D>,
        mut stop: watch::Receiver<bool>,
    ) {
        let (server, graceful) = (Arc::new(server), GracefulShutdown::new());
        let stopped = async {
            // A sender that is gone is a wish to stop too.
            let _ = stop.wait_for(|stop| *stop).await;
            sleep(LINGER).await;
        };
        tokio::select! {
            () = stopped => {}
            () = self.accept(&listener, &server, &graceful) => {}
        }
        drop(listener);
        if timeout(DRAIN, graceful.shutdown()).await.is_err() {
            debug!("some connections were still open at the end");
        }
    }

    async fn accept<D: PageDesk>(
        &self,
        listener: &TcpListener,
        server: &Arc<PageServer<D>>,
        graceful: &GracefulShutdown,
    ) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        // Never closed.
        while let Ok(place) = places.clone().acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _)) => {
                    // Or what happens in the cluster would wait for an acknowledgement before it is seen.
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(connection(self.tls.clone(), stream, server.clone(), graceful.watcher(), place));
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    // Out of file descriptors, most likely; it would fail again at once.
                    sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }
}

/// One connection, from its handshake to its end.
async fn connection<D: PageDesk>(
    tls: Option<TlsAcceptor>,
    stream: TcpStream,
    server: Arc<PageServer<D>>,
    watcher: Watcher,
    _place: OwnedSemaphorePermit,
) {
    let Some(tls) = tls else { return calls(stream, server, watcher).await };
    match timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => calls(stream, server, watcher).await,
        Ok(Err(error)) => debug!(%error, "a TLS handshake failed"),
        Err(_) => debug!("a TLS handshake took too long"),
    }
}

async fn calls<S, D>(stream: S, server: Arc<PageServer<D>>, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    D: PageDesk,
{
    let service = service_fn(|request: Request<Incoming>| {
        let server = server.clone();
        async move { Ok::<_, Infallible>(logged(&server, request).await) }.boxed()
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(HEAD);
    if let Err(error) = watcher.watch(http.serve_connection(TokioIo::new(stream), service)).boxed().await {
        debug!(%error, "a connection ended");
    }
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
