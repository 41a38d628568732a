//! The port of the page on this machine: connections of the same user, and their bounds.
//!
//! It must not look into a call: [`super::routes`] does.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::desk::PageDesk;
use super::routes::PageServer;
use crate::runtime::peer;

/// How many connections there are at a time; more wait to be accepted. A browser has six for each host.
const CONNECTIONS: usize = 64;
/// For how long a connection may be without the head of a call: longer than browsers keep an idle one.
const IDLE: Duration = Duration::from_secs(360);
/// Most bytes of the head of a call.
const HEAD: usize = 32 << 10;

/// A port of this machine that nobody else can reach.
pub struct PageDoor {
    listener: TcpListener,
    address: SocketAddr,
}

impl PageDoor {
    /// Opens this port, or one that is free.
    ///
    /// # Errors
    /// When it is taken.
    pub async fn open(port: Option<u16>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.unwrap_or_default())).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens, such as `127.0.0.1:4711`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers calls for as long as it is polled.
    pub async fn serve<D: PageDesk>(self, server: PageServer<D>) {
        let (server, places) = (Arc::new(server), Arc::new(Semaphore::new(CONNECTIONS)));
        // They end with it.
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.accept(&places) => match accepted {
                    Ok((stream, place)) => drop(connections.spawn(connection(stream, server.clone(), place))),
                    // Out of file descriptors, most likely; it would fail again at once.
                    Err(_) => sleep(Duration::from_millis(100)).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }

    /// The next connection of the same user, once there is room for it.
    async fn accept(&self, places: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
        let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
        loop {
            let (stream, peer) = self.listener.accept().await?;
            if peer::is_own(self.address, peer) {
                return Ok((stream, place));
            }
        }
    }
}

/// One connection to its end.
async fn connection<D: PageDesk>(stream: TcpStream, server: Arc<PageServer<D>>, _place: OwnedSemaphorePermit) {
    // Or what happens in the cluster would wait for an acknowledgement before it is seen.
    let _ = stream.set_nodelay(true);
    answer_calls(stream, server).await;
}

/// Answers the calls that come in one after the other.
pub(super) async fn answer_calls<D: PageDesk>(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    server: Arc<PageServer<D>>,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let server = server.clone();
        async move { Ok::<_, std::convert::Infallible>(server.answer(request).await) }.boxed()
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(HEAD);
    // Who is at fault when it fails sees it fail too.
    let _ = http.serve_connection(TokioIo::new(stream), service).boxed().await;
}
