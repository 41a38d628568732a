//! A port at which many call: how connections are taken, over TLS or without, their bounds, and their end.
//!
//! It must not know what is called, nor log what a caller sends.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::HttpService;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};

use super::certificate::Certificate;

/// What connections can take.
#[derive(Clone, Copy, Debug)]
pub struct DoorBounds {
    /// How many there are at a time; more wait to be accepted.
    pub connections: usize,
    /// For how long a TLS handshake may take.
    pub handshake: Duration,
    /// For how long one may be without the head of a call: longer than callers keep an idle one that they might use.
    pub idle: Duration,
    /// Most bytes of the head of a call.
    pub head: usize,
    /// For how long new ones are accepted after a wish to stop: callers learn a moment later that this address is no more.
    pub linger: Duration,
    /// For how long calls that are open may go on after that.
    pub drain: Duration,
}

impl DoorBounds {
    /// Hands on each connection until it is asked to stop. Whether all had ended by themselves then.
    pub async fn take<F, A>(&self, listener: TcpListener, mut stop: watch::Receiver<bool>, answer: F) -> bool
    where
        F: Fn(TcpStream, Watcher) -> A,
        A: Future<Output = ()> + Send + 'static,
    {
        let graceful = GracefulShutdown::new();
        let stopped = async {
            // A sender that is gone is a wish to stop too.
            let _ = stop.wait_for(|stop| *stop).await;
            sleep(self.linger).await;
        };
        tokio::select! {
            () = stopped => {}
            () = self.accept(&listener, &graceful, answer) => {}
        }
        drop(listener);
        timeout(self.drain, graceful.shutdown()).await.is_ok()
    }

    async fn accept<F, A>(&self, listener: &TcpListener, graceful: &GracefulShutdown, answer: F)
    where
        F: Fn(TcpStream, Watcher) -> A,
        A: Future<Output = ()> + Send + 'static,
    {
        let places = Arc::new(Semaphore::new(self.connections));
        // Never closed.
        while let Ok(place) = places.clone().acquire_owned().await {
            match next_connection(listener).await {
                Ok(stream) => {
                    let answered = answer(stream, graceful.watcher());
                    tokio::spawn(async move {
                        answered.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    // Out of file descriptors, most likely; it would fail again at once.
                    sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }

    /// The handshake of a connection; none when nothing comes of it.
    pub async fn shake_hands(&self, acceptor: &TlsAcceptor, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        match timeout(self.handshake, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => debug!(%error, "a TLS handshake failed"),
            Err(_) => debug!("a TLS handshake took too long"),
        }
        None
    }

    /// Answers the calls of a connection, one after the other, to its end.
    pub async fn answer<I, S>(&self, stream: I, service: S, watcher: Watcher)
    where
        I: AsyncRead + AsyncWrite + Unpin + 'static,
        S: HttpService<Incoming> + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        S::ResBody: Body + 'static,
        <S::ResBody as Body>::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(self.idle).max_buf_size(self.head);
        if let Err(error) = watcher.watch(http.serve_connection(TokioIo::new(stream), service)).await {
            debug!(%error, "a connection ended");
        }
    }
}

/// An answer on a new connection is written right behind the end of the handshake. Without `nodelay` it would wait until the
/// caller has acknowledged that, 40 ms on Linux; so would each piece of what is watched.
async fn next_connection(listener: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    // Of one that is gone already, the handshake says so.
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

/// TLS with this certificate, of whoever calls.
///
/// # Errors
/// When TLS cannot be set up.
pub fn tls(certificate: Arc<Certificate>, provider: Arc<CryptoProvider>) -> io::Result<TlsAcceptor> {
    let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let versions = versions.map_err(io::Error::other)?;
    let mut config = versions.with_no_client_auth().with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_is_not_held_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _caller = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        assert!(next_connection(&listener).await.unwrap().nodelay().unwrap());
    }
}
