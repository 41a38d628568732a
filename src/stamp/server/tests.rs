//! The webhook over real connections.

use std::net::SocketAddr;
use std::path::Path;

use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::runtime::certificate::{CHAIN, KEY};

/// No call of these tests takes so long unless it hangs.
const LIMIT: Duration = Duration::from_secs(20);

/// A webhook at work.
struct Webhook {
    address: SocketAddr,
    certificate: Arc<Certificate>,
    folder: TempDir,
    /// Of the certificate that was made last.
    root: CertificateDer<'static>,
    stop: watch::Sender<bool>,
    served: tokio::task::JoinHandle<io::Result<()>>,
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Writes a new certificate and its key.
fn renew(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["stamp.test".to_owned()]).unwrap();
    std::fs::write(folder.join(CHAIN), made.cert.pem()).unwrap();
    std::fs::write(folder.join(KEY), made.signing_key.serialize_pem()).unwrap();
    CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()
}

/// The bounds of the program, without the wait at its end.
fn bounds() -> CallBounds {
    CallBounds { linger: Duration::ZERO, ..BOUNDS }
}

async fn webhook(bounds: CallBounds) -> Webhook {
    let folder = tempfile::tempdir().unwrap();
    let root = renew(folder.path());
    let certificate = Certificate::read(folder.path(), provider()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let served = tokio::spawn(serve(listener, certificate.clone(), provider(), (bounds, Vec::new()), stopped));
    Webhook { address, certificate, folder, root, stop, served }
}

impl Webhook {
    async fn connect(&self) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        // As the API server, which would rather have HTTP/2.
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("stamp.test").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// Status and body of what comes back for a body.
    async fn post(&self, body: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = self.connect().await.unwrap();
        // A large body may be refused while it is still being sent.
        let _ = stream.write_all(&head(body.len())).await;
        let _ = stream.write_all(body).await;
        answer_of(&mut stream).await
    }
}

fn head(length: usize) -> Vec<u8> {
    format!("POST {PATH} HTTP/1.1\r\nhost: stamp.test\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n").into()
}

/// Status and body of what a connection that is closed afterwards says.
async fn answer_of(stream: &mut TlsStream<TcpStream>) -> (u16, Vec<u8>) {
    let (status, _, body) = whole_answer_of(stream).await;
    (status, body)
}

/// Status, head and body.
async fn whole_answer_of(stream: &mut TlsStream<TcpStream>) -> (u16, String, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    // One that is reset after its answer has answered all the same.
    while let Ok(count @ 1..) = timeout(LIMIT, stream.read(&mut chunk)).await.expect("an answer in time") {
        bytes.extend_from_slice(&chunk[..count]);
    }
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let status = std::str::from_utf8(&bytes[9..12]).unwrap().parse().unwrap();
    (status, String::from_utf8(bytes[..end].to_vec()).unwrap(), bytes[end + 4..].to_vec())
}

/// A review of a creation by bob, whose old object takes this many bytes.
fn review(padding: usize) -> Vec<u8> {
    let request = json!({
        "uid": "r-1", "operation": "CREATE",
        "resource": { "group": "daypass.dev", "version": "v1alpha1", "resource": "accessrequests" },
        "userInfo": { "username": "bob" }, "object": { "spec": {} }, "oldObject": { "x": "x".repeat(padding) }
    });
    serde_json::to_vec(&json!({ "request": request })).unwrap()
}

#[tokio::test]
async fn a_review_is_stamped_over_tls() {
    let webhook = webhook(bounds()).await;
    let spoken = webhook.connect().await.unwrap().get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
    assert_eq!(spoken.as_deref(), Some(&b"http/1.1"[..]));
    let (status, body) = webhook.post(&review(0)).await;
    assert_eq!(status, 200);
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&body["response"]["uid"], &body["response"]["allowed"]), (&json!("r-1"), &json!(true)));
    assert_eq!(body["response"]["patchType"], "JSONPatch");
    assert_eq!(webhook.post(b"no review").await.0, 400);
}

#[tokio::test]
async fn an_answer_is_json_and_only_posts_to_its_path_are_answered() {
    let webhook = webhook(bounds()).await;
    let asked = async |line: &str| {
        let mut stream = webhook.connect().await.unwrap();
        let length = review(0).len();
        let head = format!("{line} HTTP/1.1\r\nhost: s\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(&[head.into_bytes(), review(0)].concat()).await.unwrap();
        whole_answer_of(&mut stream).await
    };
    let (status, head, _) = asked("POST /stamp").await;
    assert_eq!(status, 200);
    assert!(head.to_lowercase().contains("content-type: application/json"), "{head}");
    assert_eq!(asked("GET /stamp").await.0, 405);
    assert_eq!(asked("PUT /stamp").await.0, 405);
    assert_eq!(asked("POST /").await.0, 404);
}

#[tokio::test]
async fn the_largest_that_can_be_stored_is_stamped_and_more_is_not_read() {
    let webhook = webhook(bounds()).await;
    // Old and new object, each of the most that etcd takes, and a login of the most that is stamped.
    let (status, body) = webhook.post(&review(2 * 1_572_864 + 512 * 253 * 2)).await;
    assert_eq!(status, 200);
    assert!(String::from_utf8_lossy(&body).contains("JSONPatch"));
    assert_eq!(webhook.post(&review(BOUNDS.body)).await.0, 413);
    // Who says so in its head need not send it.
    let mut announced = webhook.connect().await.unwrap();
    announced.write_all(&head(BOUNDS.body + 1)).await.unwrap();
    assert_eq!(answer_of(&mut announced).await.0, 413);
    let mut exact = webhook.connect().await.unwrap();
    exact.write_all(&[head(BOUNDS.body), vec![b' '; BOUNDS.body]].concat()).await.unwrap();
    assert_eq!(answer_of(&mut exact).await.0, 400);
    // The same when it does not say how much it will be.
    let mut stream = webhook.connect().await.unwrap();
    let head = format!("POST {PATH} HTTP/1.1\r\nhost: s\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = [format!("{:x}\r\n", 1 << 20).as_bytes(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    for _ in 0..5 {
        let _ = stream.write_all(&chunk).await;
    }
    assert_eq!(answer_of(&mut stream).await.0, 413);
}

#[tokio::test]
async fn who_says_nothing_or_not_enough_is_left() {
    let short = Duration::from_millis(200);
    let webhook = webhook(CallBounds { handshake: short, review: short, idle: short, ..bounds() }).await;
    let closed = async |stream: &mut (dyn tokio::io::AsyncRead + Unpin + Send)| {
        let mut bytes = Vec::new();
        timeout(LIMIT, stream.read_to_end(&mut bytes)).await.expect("it is left open").map(|_| bytes)
    };
    let mut no_handshake = TcpStream::connect(webhook.address).await.unwrap();
    assert_eq!(closed(&mut no_handshake).await.unwrap(), b"");
    let mut no_head = webhook.connect().await.unwrap();
    no_head.write_all(b"POST /stamp HTTP/1.1\r\n").await.unwrap();
    let _ = closed(&mut no_head).await;
    let mut no_body = webhook.connect().await.unwrap();
    no_body.write_all(&head(100)).await.unwrap();
    assert_eq!(answer_of(&mut no_body).await.0, 408);
    assert_eq!(webhook.post(&review(0)).await.0, 200);
}

#[tokio::test]
async fn connections_and_reviews_beyond_the_bounds_wait_for_their_turn() {
    let webhook = webhook(CallBounds { connections: 2, at_once: 1, ..bounds() }).await;
    // It has its turn and does not end.
    let mut slow = webhook.connect().await.unwrap();
    slow.write_all(&head(review(0).len())).await.unwrap();
    slow.write_all(&review(0)[..10]).await.unwrap();
    slow.flush().await.unwrap();
    let mut idle = webhook.connect().await.unwrap();
    // The third is not even shaken hands with.
    let third = timeout(Duration::from_millis(300), webhook.connect()).await;
    assert!(third.is_err(), "a third connection was served");
    idle.shutdown().await.unwrap();
    slow.write_all(&review(0)[10..]).await.unwrap();
    assert_eq!(answer_of(&mut slow).await.0, 200);
    assert_eq!(webhook.post(&review(0)).await.0, 200);
}

#[tokio::test]
async fn only_so_many_reviews_are_read_at_a_time() {
    let webhook = webhook(CallBounds { at_once: 1, ..bounds() }).await;
    // Who asks before it sends its body is told to go on when the body is read.
    let asks = async || {
        let mut stream = webhook.connect().await.unwrap();
        let length = review(0).len();
        let more = format!("connection: close\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n");
        stream.write_all(format!("POST {PATH} HTTP/1.1\r\nhost: s\r\n{more}").as_bytes()).await.unwrap();
        stream
    };
    let goes_on = async |stream: &mut TlsStream<TcpStream>| {
        let mut told = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
        stream.read_exact(&mut told).await.unwrap();
        assert!(told.starts_with(b"HTTP/1.1 100"), "{}", String::from_utf8_lossy(&told));
    };
    let mut first = asks().await;
    timeout(LIMIT, goes_on(&mut first)).await.expect("the first has its turn");
    let mut second = asks().await;
    let early = timeout(Duration::from_millis(300), goes_on(&mut second)).await;
    assert!(early.is_err(), "a second review was read beside the first");
    first.write_all(&review(0)).await.unwrap();
    assert_eq!(answer_of(&mut first).await.0, 200);
    timeout(LIMIT, goes_on(&mut second)).await.expect("the second has its turn after the first");
    second.write_all(&review(0)).await.unwrap();
    assert_eq!(answer_of(&mut second).await.0, 200);
}

#[tokio::test]
async fn a_head_beyond_the_bound_is_not_read() {
    let webhook = webhook(bounds()).await;
    let asked = async |padding: usize| {
        let mut stream = webhook.connect().await.unwrap();
        let (length, padding) = (review(0).len(), "x".repeat(padding));
        let head = format!(
            "POST {PATH} HTTP/1.1\r\nhost: s\r\nconnection: close\r\nx: {padding}\r\ncontent-length: {length}\r\n\r\n"
        );
        let _ = stream.write_all(&[head.into_bytes(), review(0)].concat()).await;
        answer_of(&mut stream).await.0
    };
    assert_eq!((asked(HEAD / 2).await, asked(2 * HEAD).await), (200, 431));
}

#[tokio::test]
async fn who_is_asked_to_stop_does_not_wait_for_ever() {
    let never = Duration::from_secs(3600);
    let webhook = webhook(CallBounds { drain: Duration::from_millis(100), review: never, ..bounds() }).await;
    let mut hangs = webhook.connect().await.unwrap();
    hangs.write_all(&head(100)).await.unwrap();
    webhook.stop.send_replace(true);
    timeout(LIMIT, webhook.served).await.expect("it ends").unwrap().unwrap();
}

#[tokio::test]
async fn a_renewed_certificate_is_in_use_and_open_connections_stay() {
    let mut webhook = webhook(bounds()).await;
    let mut open = webhook.connect().await.unwrap();
    let old = std::mem::replace(&mut webhook.root, renew(webhook.folder.path()));
    assert!(webhook.certificate.refresh().unwrap());
    assert_eq!(webhook.post(&review(0)).await.0, 200);
    webhook.root = old;
    assert!(webhook.connect().await.is_err(), "the old certificate is still shown");
    open.write_all(&[head(review(0).len()), review(0)].concat()).await.unwrap();
    assert_eq!(answer_of(&mut open).await.0, 200);
}

#[tokio::test]
async fn files_that_change_are_looked_at_by_themselves() {
    let mut webhook = webhook(bounds()).await;
    let certificate = webhook.certificate.clone();
    let follows = tokio::spawn(async move { certificate.follow(Duration::from_millis(20)).await });
    webhook.root = renew(webhook.folder.path());
    let taken_up = async {
        while webhook.connect().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, taken_up).await.expect("the new certificate is never in use");
    follows.abort();
}

#[tokio::test]
async fn who_is_asked_to_stop_answers_what_is_under_way() {
    let mut webhook = webhook(CallBounds { linger: Duration::from_millis(300), ..bounds() }).await;
    let mut under_way = webhook.connect().await.unwrap();
    under_way.write_all(&head(review(0).len())).await.unwrap();
    webhook.stop.send_replace(true);
    // The API server has not learnt of it yet.
    assert_eq!(webhook.post(&review(0)).await.0, 200);
    while webhook.connect().await.is_ok() {}
    // The process ends with it, and what is under way would be cut off.
    let early = timeout(Duration::from_millis(100), &mut webhook.served).await;
    assert!(early.is_err(), "it does not wait for the call");
    under_way.write_all(&review(0)).await.unwrap();
    assert_eq!(answer_of(&mut under_way).await.0, 200);
    timeout(LIMIT, webhook.served).await.expect("it ends").unwrap().unwrap();
}
