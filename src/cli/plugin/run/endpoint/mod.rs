//! A server on this machine that forwards the calls of one command to the API server, with the caller's own login.
//!
//! [`keys`] are what both sides prove themselves with, [`guard`] says which calls are taken, [`headers`] and [`body`] what of
//! them goes on, [`forward`] what becomes of one; [`splice`] carries what has become a stream of bytes. [`desk`] is who decides what becomes of a call that is refused. It must not know why a call is refused, nor any
//! kind of Daypass's.

mod body;
pub mod desk;
mod forward;
mod guard;
mod headers;
mod keys;
mod splice;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use self::desk::RefusalDesk;
use self::forward::Forwarding;
use self::guard::EndpointGuard;
use self::keys::EndpointKeys;
use self::splice::SpliceSlot;
use crate::runtime::carried::CarriedCalls;
use crate::runtime::peer;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A server on this machine, for as long as it is not closed.
pub struct Endpoint {
    /// Its URL.
    pub server: String,
    /// The certificate that proves it, in PEM.
    pub authority: String,
    /// What each call must carry.
    pub token: String,
    serving: JoinHandle<()>,
}

impl Endpoint {
    /// Begins to take calls.
    ///
    /// # Errors
    /// When there is no port or no cryptography to be had.
    pub async fn open<D: RefusalDesk>(calls: CarriedCalls, desk: D) -> io::Result<Self> {
        let keys = EndpointKeys::make().map_err(io::Error::other)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let forwarding = Forwarding {
            guard: EndpointGuard::new(address.to_string(), &keys.token),
            api_server: calls.api_server.clone(),
            impersonates: calls.impersonates,
            desk,
        };
        let door = Door { acceptor: TlsAcceptor::from(keys.tls), address, forwarding: Arc::new(forwarding), calls };
        let serving = tokio::spawn(door.serve(listener));
        Ok(Self { server: format!("https://{address}"), authority: keys.authority, token: keys.token, serving })
    }

    /// Ends all connections and takes no more. Calls that are held are given up.
    pub async fn close(self) {
        self.serving.abort();
        // It says that it was aborted.
        let _ = self.serving.await;
    }
}

/// Where connections come in.
struct Door<D> {
    acceptor: TlsAcceptor,
    address: SocketAddr,
    forwarding: Arc<Forwarding<D>>,
    calls: CarriedCalls,
}

impl<D: RefusalDesk> Door<D> {
    async fn serve(self, listener: TcpListener) {
        // They end with it.
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) if peer::is_own(self.address, peer) => {
                        let acceptor = self.acceptor.clone();
                        connections.spawn(connection(stream, acceptor, self.forwarding.clone(), self.calls.clone()));
                    }
                    Ok(_) => {}
                    // Out of file descriptors, most likely; it would fail again at once.
                    Err(_) => sleep(Duration::from_millis(100)).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

/// One connection, from its handshake to its end. Who is at fault when it fails sees it fail too.
async fn connection<D: RefusalDesk>(
    stream: TcpStream,
    acceptor: TlsAcceptor,
    forwarding: Arc<Forwarding<D>>,
    calls: CarriedCalls,
) {
    // Or an answer would wait until the end of the handshake is acknowledged.
    let _ = stream.set_nodelay(true);
    let Ok(Ok(stream)) = timeout(HANDSHAKE, acceptor.accept(stream)).await else { return };
    let slot = SpliceSlot::default();
    let service = service_fn(|request| {
        let (forwarding, calls, slot) = (forwarding.clone(), calls.clone(), slot.clone());
        async move { forwarding.answer(request, &calls, &slot).await }.boxed()
    });
    let mut http = http1::Builder::new();
    // Commands keep a connection open for as long as they like.
    http.timer(TokioTimer::new()).header_read_timeout(None);
    // Boxed, or the compiler cannot tell that all of it may go from one thread to another.
    let served = http.serve_connection(TokioIo::new(stream), service).with_upgrades().boxed();
    if let (Ok(()), Some(splice)) = (served.await, slot.take()) {
        splice.carry().await;
    }
}
