//! The port of the archive: TLS, and whether it is the API server who calls.
//!
//! Owns the bounds of connections. A certificate of a caller is verified against the authority of the API server as it
//! is stated now; whoever has none may still come in, as a writer does, and nothing that they say of a user counts.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::{Extension, Router};
use hyper_util::server::graceful::Watcher;
use hyper_util::service::TowerToHyperService;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tracing::warn;

use super::super::who::front_proxy::FrontProxy;
use crate::runtime::certificate::Certificate;
use crate::runtime::door::DoorBounds;

/// What connections can take. Clients keep an idle one for less long, and a person may be in many groups.
const BOUNDS: DoorBounds = DoorBounds {
    connections: 256,
    handshake: Duration::from_secs(5),
    idle: Duration::from_secs(120),
    head: 64 << 10,
    linger: Duration::ZERO,
    drain: Duration::from_secs(10),
};

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
    pub async fn serve(self, listener: TcpListener, routes: Router, stop: watch::Receiver<bool>) {
        let answer = |stream, watcher| self.clone().connection(stream, routes.clone(), watcher);
        if !BOUNDS.take(listener, stop, answer).await {
            warn!("some connections were still open at the end");
        }
    }

    /// One connection, from its handshake to its end.
    async fn connection(self, stream: TcpStream, routes: Router, watcher: Watcher) {
        let (acceptor, proxy) = self.now();
        let Some(stream) = BOUNDS.shake_hands(&acceptor, stream).await else { return };
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let is_proxy = shown.is_some_and(|certificate| proxy.has(certificate));
        let routes = routes.layer(Extension(CalledBy(is_proxy.then_some(proxy))));
        BOUNDS.answer(stream, TowerToHyperService::new(routes), watcher).await;
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
