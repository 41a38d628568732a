//! Owns the proxies that companies put between people and a cluster: HTTP with CONNECT, in the clear or over TLS, and
//! SOCKS5. Whatever host is asked of them, they lead to one address, so whoever gets there went through them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// How it speaks.
#[derive(Clone)]
pub enum Speaks {
    Http,
    Https(TlsAcceptor),
    Socks5,
}

/// What was asked of a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelAsked {
    /// Host and port.
    pub target: String,
    /// The login: a header's value, or `user:password`.
    pub login: Option<String>,
}

/// A running proxy. It ends with the runtime that it was started on.
pub struct Tunnels {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<TunnelAsked>>>,
}

impl Tunnels {
    /// Starts one that leads to this address.
    pub async fn start(speaks: Speaks, to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let record = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (speaks, record) = (speaks.clone(), record.clone());
                tokio::spawn(async move {
                    // Whoever breaks off is no matter.
                    let _ = match speaks {
                        Speaks::Http => connect(stream, to, &record).await,
                        Speaks::Socks5 => socks(stream, to, &record).await,
                        Speaks::Https(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => connect(stream, to, &record).await,
                            Err(error) => Err(error),
                        },
                    };
                });
            }
        });
        Self { address, asked }
    }

    /// All that was asked so far.
    pub fn asked(&self) -> Vec<TunnelAsked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

type Record = Mutex<Vec<TunnelAsked>>;

fn write_down(record: &Record, target: String, login: Option<String>) {
    record.lock().unwrap_or_else(PoisonError::into_inner).push(TunnelAsked { target, login });
}

async fn through(mut stream: impl AsyncRead + AsyncWrite + Unpin, to: SocketAddr) -> std::io::Result<()> {
    let mut server = TcpStream::connect(to).await?;
    copy_bidirectional(&mut stream, &mut server).await.map(drop)
}

async fn connect(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    to: SocketAddr,
    record: &Record,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.lines();
    let target = lines.next().and_then(|line| line.strip_prefix("CONNECT ")?.split(' ').next());
    let login = lines
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("proxy-authorization"));
    write_down(record, target.unwrap_or(&head).to_owned(), login.map(|(_, value)| value.to_owned()));
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    through(stream, to).await
}

/// RFC 1928 and RFC 1929, as far as clients of an API server need them.
async fn socks(mut stream: TcpStream, to: SocketAddr, record: &Record) -> std::io::Result<()> {
    let [_, methods] = bytes(&mut stream).await?;
    let mut offered = vec![0; methods.into()];
    stream.read_exact(&mut offered).await?;
    let login = if offered.contains(&2) {
        stream.write_all(&[5, 2]).await?;
        stream.read_u8().await?;
        let both = [text(&mut stream).await?, text(&mut stream).await?];
        stream.write_all(&[1, 0]).await?;
        Some(both.join(":"))
    } else {
        stream.write_all(&[5, 0]).await?;
        None
    };
    let [_, _, _, kind] = bytes(&mut stream).await?;
    let host = match kind {
        1 => bytes::<4>(&mut stream).await?.map(|byte| byte.to_string()).join("."),
        _ => text(&mut stream).await?,
    };
    let port = stream.read_u16().await?;
    write_down(record, format!("{host}:{port}"), login);
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    through(stream, to).await
}

async fn bytes<const N: usize>(stream: &mut TcpStream) -> std::io::Result<[u8; N]> {
    let mut read = [0; N];
    stream.read_exact(&mut read).await?;
    Ok(read)
}

/// A text behind its length.
async fn text(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut read = vec![0; stream.read_u8().await?.into()];
    stream.read_exact(&mut read).await?;
    Ok(String::from_utf8_lossy(&read).into_owned())
}
