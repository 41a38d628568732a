//! Owns a line to a server that fails as lines do: it is cut, it is slow, it loses an answer after the server has acted.
//! What goes over it is not read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How long a slow line keeps each answer.
const SLOW: Duration = Duration::from_secs(3);
/// What a client has sent before an answer counts as one to a call, and not as part of a handshake.
const HANDSHAKE: usize = 4 << 10;

/// What happens on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LineFault {
    /// Nobody gets through.
    Cut,
    /// Calls get through; their answers are lost with the connection.
    AnswersLost,
    /// Answers come late.
    Slow,
}

/// A line. It ends with the runtime that it was started on.
pub struct Line {
    pub address: SocketAddr,
    fault: watch::Sender<Option<LineFault>>,
    lost: Arc<AtomicUsize>,
}

impl Line {
    /// Starts one that leads to this address.
    pub async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (fault, seen) = watch::channel(None);
        let lost = Arc::new(AtomicUsize::new(0));
        let count = lost.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, to, seen.clone(), count.clone()));
            }
        });
        Self { address, fault, lost }
    }

    /// From now on this happens, or nothing.
    pub fn set(&self, fault: Option<LineFault>) {
        self.fault.send_replace(fault);
    }

    /// How many answers were lost.
    pub fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }
}

async fn carry(
    client: TcpStream,
    to: SocketAddr,
    mut fault: watch::Receiver<Option<LineFault>>,
    lost: Arc<AtomicUsize>,
) {
    if *fault.borrow() == Some(LineFault::Cut) {
        return;
    }
    let Ok(server) = TcpStream::connect(to).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let sent = Arc::new(AtomicUsize::new(0));
    let seen = fault.clone();
    // Whoever breaks off ends both ways.
    tokio::select! {
        () = calls(from_client, to_server, sent.clone()) => {}
        () = answers(from_server, to_client, &sent, seen, &lost) => {}
        _ = fault.wait_for(|fault| *fault == Some(LineFault::Cut)) => {}
    }
}

async fn calls(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, sent: Arc<AtomicUsize>) {
    let mut chunk = [0; 16 << 10];
    while let Ok(many @ 1..) = from.read(&mut chunk).await {
        sent.fetch_add(many, Ordering::SeqCst);
        if to.write_all(&chunk[..many]).await.is_err() {
            return;
        }
    }
}

async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    sent: &AtomicUsize,
    fault: watch::Receiver<Option<LineFault>>,
    lost: &AtomicUsize,
) {
    let mut chunk = [0; 16 << 10];
    while let Ok(many @ 1..) = from.read(&mut chunk).await {
        let now = *fault.borrow();
        match now {
            Some(LineFault::AnswersLost) if sent.load(Ordering::SeqCst) > HANDSHAKE => {
                lost.fetch_add(1, Ordering::SeqCst);
                return;
            }
            Some(LineFault::Slow) => tokio::time::sleep(SLOW).await,
            _ => {}
        }
        if to.write_all(&chunk[..many]).await.is_err() {
            return;
        }
    }
}
