//! The port of the archive: TLS, and whether it is the API server who calls.
//!
//! Owns connections and their bounds. A certificate of a caller is verified against the authority of the API server as it
//! is stated now; whoever has none may still come in, as a writer does, and nothing that they say of a user counts.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use super::super::who::front_proxy::FrontProxy;
use crate::runtime::certificate::Certificate;

/// How many connections there are at a time; more wait to be accepted.
const CONNECTIONS: usize = 256;
/// For how long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// For how long a connection may be without the head of a request: longer than clients keep an idle one.
const IDLE: Duration = Duration::from_secs(120);
/// Most bytes of the head of a request: a person may be in many groups.
const HEAD: usize = 64 << 10;
/// For how long calls that are open may go on after a wish to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// The API server, where it is who calls on this connection.
#[derive(Clone, Debug)]
pub struct CalledBy(pub Option<Arc<FrontProxy>>);

/// Makes the TLS of new connections; clones share what it goes by.
#[derive(Clone)]
pub struct ArchiveDoor {
    certificate: Arc<Certificate>,
    provider: Arc<CryptoProvider>,
    current: Arc<RwLock<(TlsAcceptor, Arc<FrontProxy>)>>,
}

impl ArchiveDoor {
    /// One under this certificate, for this API server.
    ///
    /// # Errors
    /// When the authority of the API server cannot be used.
    pub fn new(certificate: Arc<Certificate>, provider: Arc<CryptoProvider>, proxy: FrontProxy) -> io::Result<Self> {
        let acceptor = acceptor(&certificate, &provider, &proxy)?;
        let current = Arc::new(RwLock::new((acceptor, Arc::new(proxy))));
        Ok(Self { certificate, provider, current })
    }

    /// The API server states something else of itself now. It holds for new connections.
    ///
    /// # Errors
    /// When that cannot be used; what was stated before holds on then.
    pub fn changed(&self, proxy: FrontProxy) -> io::Result<()> {
        if *self.now().1 != proxy {
            let acceptor = acceptor(&self.certificate, &self.provider, &proxy)?;
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = (acceptor, Arc::new(proxy));
        }
        Ok(())
    }

    fn now(&self) -> (TlsAcceptor, Arc<FrontProxy>) {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Serves the routes until it is asked to stop.
    pub async fn serve(self, listener: TcpListener, routes: Router, mut stop: watch::Receiver<bool>) {
        let (places, graceful) = (Arc::new(Semaphore::new(CONNECTIONS)), GracefulShutdown::new());
        tokio::select! {
            // A sender that is gone is a wish to stop too.
            _ = stop.wait_for(|stop| *stop) => {}
            () = self.accept(&listener, &routes, &places, &graceful) => {}
        }
        drop(listener);
        if timeout(DRAIN, graceful.shutdown()).await.is_err() {
            warn!("some connections were still open at the end");
        }
    }

    async fn accept(
        &self,
        listener: &TcpListener,
        routes: &Router,
        places: &Arc<Semaphore>,
        graceful: &GracefulShutdown,
    ) {
        // Never closed.
        while let Ok(place) = places.clone().acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _)) => {
                    // Of one that is gone already, the handshake says so.
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(self.clone().connection(stream, routes.clone(), graceful.watcher(), place));
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    // Out of file descriptors, most likely; it would fail again at once.
                    sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }

    /// One connection, from its handshake to its end.
    async fn connection(self, stream: TcpStream, routes: Router, watcher: Watcher, _place: OwnedSemaphorePermit) {
        let (acceptor, proxy) = self.now();
        let stream = match timeout(HANDSHAKE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return debug!(%error, "a TLS handshake failed"),
            Err(_) => return debug!("a TLS handshake took too long"),
        };
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let is_proxy = shown.is_some_and(|certificate| proxy.has(certificate));
        let routes = routes.layer(Extension(CalledBy(is_proxy.then_some(proxy))));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(HEAD);
        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
        if let Err(error) = watcher.watch(connection).await {
            debug!(%error, "a connection ended");
        }
    }
}

fn acceptor(
    certificate: &Arc<Certificate>,
    provider: &Arc<CryptoProvider>,
    proxy: &FrontProxy,
) -> io::Result<TlsAcceptor> {
    let mut roots = RootCertStore::empty();
    for authority in &proxy.authority {
        roots.add(authority.clone()).map_err(io::Error::other)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let verifier = verifier.allow_unauthenticated().build().map_err(io::Error::other)?;
    let versions = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let versions = versions.map_err(io::Error::other)?;
    let mut config = versions.with_client_cert_verifier(verifier).with_cert_resolver(certificate.clone());
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
