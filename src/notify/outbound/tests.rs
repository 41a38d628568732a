//! On real sockets: 127.0.0.2 stands for a public address where a route names it, 127.0.0.1 for one that nobody may reach.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use http::{HeaderValue, Method, StatusCode};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

const TAKEN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const SECRET: &str = "/hook/s3cret?key=s3cret";

/// How a receiver answers each call.
#[derive(Clone)]
enum AnswerManner {
    Says(String),
    /// Says it, and then more of that for as long as anybody reads.
    Endless(&'static str, &'static str),
    /// Says it and stays silent, with the connection open.
    Stuck(&'static str),
}

/// What accepts TLS under a certificate for that name, and the certificate in PEM.
pub(super) fn certified(name: &str) -> (TlsAcceptor, String) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(made.signing_key.serialize_pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap();
    (TlsAcceptor::from(Arc::new(config)), made.cert.pem())
}

/// A receiver that counts.
#[derive(Clone, Default)]
struct CountingReceiver {
    connections: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl CountingReceiver {
    async fn listen(&self, at: &str, manner: AnswerManner) -> SocketAddr {
        let listener = TcpListener::bind(at).await.unwrap();
        let (place, here) = (listener.local_addr().unwrap(), self.clone());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                here.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(here.clone().serve(stream, manner.clone()));
            }
        });
        place
    }

    /// Under a certificate for that name, which is returned in PEM.
    async fn listen_with_tls(&self, name: &str) -> (SocketAddr, String) {
        let (acceptor, pem) = certified(name);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (place, here) = (listener.local_addr().unwrap(), self.clone());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                here.connections.fetch_add(1, Ordering::SeqCst);
                let (here, acceptor) = (here.clone(), acceptor.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        here.serve(stream, AnswerManner::Says(TAKEN.to_owned())).await;
                    }
                });
            }
        });
        (place, pem)
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(self, mut stream: S, manner: AnswerManner) {
        let (mut got, mut chunk) = (Vec::new(), [0; 4096]);
        while let Ok(n @ 1..) = stream.read(&mut chunk).await {
            got.extend_from_slice(&chunk[..n]);
            // All bodies of these tests are `{}`.
            let Some(end) = got.windows(6).position(|part| part == b"\r\n\r\n{}") else { continue };
            let head = String::from_utf8_lossy(&got[..end]).into_owned();
            got.clear();
            self.heads.lock().unwrap().push(head);
            let said = match &manner {
                AnswerManner::Says(text) => stream.write_all(text.as_bytes()).await,
                AnswerManner::Stuck(text) => stream.write_all(text.as_bytes()).await,
                AnswerManner::Endless(first, more) => {
                    let mut said = stream.write_all(first.as_bytes()).await;
                    while said.is_ok() {
                        said = stream.write_all(more.as_bytes()).await;
                    }
                    said
                }
            };
            if said.is_err() {
                return;
            }
        }
    }

    fn connected(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn reach(named: &[&str]) -> RouteReach {
    let allow_private = named.iter().map(|range| (*range).to_owned()).collect();
    RouteReach { allow_private, allow_plain: true, authorities: None }
}

fn call_of(url: &str) -> HttpCall {
    HttpCall { method: Method::POST, url: url.parse().unwrap(), headers: HeaderMap::new(), body: "{}".to_owned() }
}

const QUICK: CallLimits = CallLimits { connect: Duration::from_millis(400), answer: Duration::from_millis(600) };

fn quick(reach: &RouteReach) -> Outbound {
    Outbound::over(reach, Dialer::new(reach).unwrap(), QUICK).unwrap()
}

/// Calls whose names have these addresses: the first look-up the first of them, and so on; the last for all after it.
fn knowing(reach: &RouteReach, answers: Vec<Vec<SocketAddr>>) -> (Outbound, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let dialer = Dialer::asking(
        reach,
        Arc::new(move |_, _| {
            let n = count.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
            let answer = answers[n].clone();
            Box::pin(async move { Ok(answer) })
        }),
    );
    (Outbound::over(reach, dialer.unwrap(), CallLimits::default()).unwrap(), asked)
}

fn refused(answer: Result<HttpAnswer, CallFault>) -> String {
    match answer {
        Err(CallFault::Dial(DialFault::Refused { ip, .. })) => ip.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn no_address_that_is_not_public_is_connected_to_however_it_is_written() {
    let receiver = CountingReceiver::default();
    let port = receiver.listen("127.0.0.1:0", AnswerManner::Says(TAKEN.to_owned())).await.port();
    let outbound = quick(&reach(&[]));
    let literal =
        ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "10.1.2.3", "169.254.169.254", "[fe80::1]"];
    for host in literal {
        let url = format!("http://{host}:{port}/");
        assert_eq!(
            refused(outbound.call(call_of(&url)).await),
            host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().unwrap().to_string()
        );
    }
    for host in ["localhost", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "0"] {
        let answer = outbound.call(call_of(&format!("http://{host}:{port}/"))).await;
        // Not every machine takes each of the forms; none may be connected to.
        assert!(
            matches!(answer, Err(CallFault::Dial(DialFault::Refused { .. } | DialFault::Unknown { .. }))),
            "{host}: {answer:?}"
        );
    }
    assert!(matches!(
        outbound.call(call_of(&format!("http://localhost:{port}/"))).await,
        Err(CallFault::Dial(DialFault::Refused { .. }))
    ));
    assert_eq!(receiver.connected(), 0);
}

#[tokio::test]
async fn a_range_that_is_named_is_reached_in_both_kinds_of_address() {
    for (at, host, range) in [("127.0.0.1:0", "127.0.0.1", "127.0.0.1/32"), ("[::1]:0", "[::1]", "::1/128")] {
        let receiver = CountingReceiver::default();
        let port = receiver.listen(at, AnswerManner::Says(TAKEN.to_owned())).await.port();
        let answer = quick(&reach(&[range])).call(call_of(&format!("http://{host}:{port}{SECRET}"))).await.unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (StatusCode::OK, b"ok".as_slice()));
        let heads = receiver.heads.lock().unwrap().clone();
        assert!(heads[0].starts_with(&format!("POST {SECRET} HTTP/1.1\r\n")), "{heads:?}");
        assert!(heads[0].contains(&format!("host: {host}:{port}")), "{heads:?}");
    }
}

#[tokio::test]
async fn a_name_that_changes_its_address_leads_nowhere_else() {
    let (public, private) = (CountingReceiver::default(), CountingReceiver::default());
    let closing = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
    let good = public.listen("127.0.0.2:0", AnswerManner::Says(closing.to_owned())).await;
    let bad = private.listen("127.0.0.1:0", AnswerManner::Says(TAKEN.to_owned())).await;
    let (outbound, asked) = knowing(&reach(&["127.0.0.2/32"]), vec![vec![good], vec![bad]]);
    outbound.call(call_of("http://rebinds.test/")).await.unwrap();
    assert_eq!((public.connected(), private.connected(), asked.load(Ordering::SeqCst)), (1, 0, 1));
    assert_eq!(refused(outbound.call(call_of("http://rebinds.test/")).await), "127.0.0.1");
    assert_eq!((public.connected(), private.connected(), asked.load(Ordering::SeqCst)), (1, 0, 2));
}

#[tokio::test]
async fn of_many_addresses_only_those_that_are_allowed_are_tried() {
    let (public, private) = (CountingReceiver::default(), CountingReceiver::default());
    let good = public.listen("127.0.0.2:0", AnswerManner::Says(TAKEN.to_owned())).await;
    let bad = private.listen("127.0.0.1:0", AnswerManner::Says(TAKEN.to_owned())).await;
    let closed = TcpListener::bind("127.0.0.2:0").await.unwrap().local_addr().unwrap();
    let named = reach(&["127.0.0.2/32"]);
    for answers in [vec![bad, good], vec![good, bad], vec![bad, closed, good]] {
        knowing(&named, vec![answers]).0.call(call_of("http://mixed.test/")).await.unwrap();
    }
    let unreachable = knowing(&named, vec![vec![closed, bad]]).0.call(call_of("http://mixed.test/")).await;
    assert!(matches!(unreachable, Err(CallFault::Dial(DialFault::Unreachable { .. }))), "{unreachable:?}");
    let none = knowing(&named, vec![vec![]]).0.call(call_of("http://mixed.test/")).await;
    assert!(matches!(none, Err(CallFault::Dial(DialFault::Unknown { .. }))), "{none:?}");
    assert_eq!((public.connected(), private.connected()), (3, 0));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let (first, second) = (CountingReceiver::default(), CountingReceiver::default());
    let target = second.listen("127.0.0.1:0", AnswerManner::Says(TAKEN.to_owned())).await;
    for status in [301, 302, 307, 308] {
        let says = format!("HTTP/1.1 {status} Go\r\nlocation: http://{target}/\r\ncontent-length: 0\r\n\r\n");
        let at = first.listen("127.0.0.1:0", AnswerManner::Says(says)).await;
        let answer = quick(&reach(&["127.0.0.0/8"])).call(call_of(&format!("http://{at}/"))).await.unwrap();
        assert_eq!(answer.status.as_u16(), status);
    }
    assert_eq!(second.connected(), 0);
}

#[tokio::test]
async fn what_is_slow_or_endless_ends_in_time() {
    let receiver = CountingReceiver::default();
    let outbound = quick(&reach(&["127.0.0.0/8"]));
    let silent = ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok"];
    for said in silent {
        let at = receiver.listen("127.0.0.1:0", AnswerManner::Stuck(said)).await;
        let (begun, answer) = (Instant::now(), outbound.call(call_of(&format!("http://{at}{SECRET}"))).await);
        assert!(matches!(answer, Err(CallFault::Silent { limit, .. }) if limit == QUICK.answer), "{answer:?}");
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
    let endless = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let at = receiver.listen("127.0.0.1:0", AnswerManner::Endless(endless, "8\r\nabcdefgh\r\n")).await;
    let answer = outbound.call(call_of(&format!("http://{at}/"))).await.unwrap();
    assert_eq!((answer.status, answer.body.len()), (StatusCode::OK, MOST_BODY));
    for more in ["x-a: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        let at = receiver.listen("127.0.0.1:0", AnswerManner::Endless("HTTP/1.1 200 OK\r\nx-b: b", more)).await;
        let answer = outbound.call(call_of(&format!("http://{at}{SECRET}"))).await;
        assert!(matches!(answer, Err(CallFault::Broken { .. })), "{answer:?}");
        assert!(!answer.unwrap_err().to_string().contains("s3cret"));
    }
}

#[tokio::test]
async fn a_connection_that_never_gets_to_speak_tls_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let reach = trusted(folder.path(), &made.cert.pem());
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let answer = quick(&reach).call(call_of(&url)).await;
    assert!(matches!(answer, Err(CallFault::Silent { limit, .. }) if limit == QUICK.connect), "{answer:?}");
}

#[tokio::test]
async fn a_connection_serves_the_next_call_too() {
    let receiver = CountingReceiver::default();
    let at = receiver.listen("127.0.0.1:0", AnswerManner::Says(TAKEN.to_owned())).await;
    let outbound = quick(&reach(&["127.0.0.0/8"]));
    for _ in 0..3 {
        outbound.call(call_of(&format!("http://{at}/"))).await.unwrap();
    }
    assert_eq!((receiver.connected(), receiver.heads.lock().unwrap().len()), (1, 3));
}

/// Reaches this machine by TLS alone, and trusts these authorities.
fn trusted(folder: &Path, pem: &str) -> RouteReach {
    let file = folder.join("ca.pem");
    std::fs::write(&file, pem).unwrap();
    RouteReach { allow_plain: false, authorities: Some(file), ..reach(&["127.0.0.0/8"]) }
}

#[tokio::test]
async fn a_receiver_is_known_by_the_authorities_of_the_route_and_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let (right, other) = (CountingReceiver::default(), CountingReceiver::default());
    let (at, pem) = right.listen_with_tls("receiver.test").await;
    let (_, pem_of_other) = other.listen_with_tls("receiver.test").await;
    let outbound = |pem: &str| knowing(&trusted(folder.path(), pem), vec![vec![at]]).0;
    let answer = outbound(&pem).call(call_of("https://receiver.test/")).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    for (pem, url) in [(&pem_of_other, "https://receiver.test/s3cret"), (&pem, "https://another.test/s3cret")] {
        let fault = outbound(pem).call(call_of(url)).await.unwrap_err();
        assert!(matches!(fault, CallFault::Broken { .. }), "{fault:?}");
        assert!(!format!("{fault} {fault:?}").contains("s3cret"), "{fault:?}");
    }
    assert_eq!(right.heads.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn plain_http_and_users_in_urls_are_refused_before_anything_is_connected_to() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = CountingReceiver::default();
    let at = receiver.listen("127.0.0.1:0", AnswerManner::Says(TAKEN.to_owned())).await;
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let secure = quick(&trusted(folder.path(), &made.cert.pem()));
    for url in [format!("http://{at}{SECRET}"), format!("ftp://{at}{SECRET}")] {
        let fault = secure.call(call_of(&url)).await.unwrap_err();
        assert!(matches!(fault, CallFault::Plain(_)) && !fault.to_string().contains("s3cret"), "{fault}");
    }
    for url in [format!("https://s3cret@{at}/"), "/s3cret".to_owned()] {
        let fault = secure.call(call_of(&url)).await.unwrap_err();
        assert!(matches!(fault, CallFault::Url) && !fault.to_string().contains("s3cret"), "{fault}");
    }
    assert_eq!(receiver.connected(), 0);
}

#[test]
fn a_reach_that_cannot_be_used_is_told_by_its_field() {
    let folder = tempfile::tempdir().unwrap();
    let told = |reach: &RouteReach| Outbound::new(reach).err().unwrap_or_default();
    assert!(told(&reach(&["10.0.0.0/33"])).starts_with("allowPrivate: "));
    assert!(told(&trusted(folder.path(), "")).starts_with("caFile: "));
    let missing = RouteReach { authorities: Some(folder.path().join("missing.pem")), ..reach(&[]) };
    assert!(told(&missing).starts_with("caFile: "));
}

#[test]
fn how_long_to_wait_is_read_in_both_forms_and_has_a_limit() {
    let after = |text: &str, date: Option<&'static str>| {
        let mut headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(text).unwrap())]);
        headers.extend(date.map(|date| (http::header::DATE, HeaderValue::from_static(date))));
        retry_after(&headers).map(|wait| wait.as_secs())
    };
    assert_eq!((after("0", None), after("30", None), after(" 7 ", None)), (Some(0), Some(30), Some(7)));
    assert_eq!((after("3601", None), after("99999999999999999999999", None)), (Some(3600), Some(3600)));
    let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(after("Sun, 06 Nov 1994 08:50:37 GMT", date), Some(60));
    assert_eq!(after("Sun, 06 Nov 1994 08:40:37 GMT", date), Some(0));
    assert_eq!(after("Mon, 07 Nov 1994 08:49:37 GMT", date), Some(3600));
    assert_eq!(after("Sun, 06 Nov 1994 08:50:37 GMT", None), Some(0));
    for nonsense in ["", "soon", "-1", "1.5", "+1"] {
        assert_eq!(after(nonsense, None), None, "{nonsense}");
    }
    assert_eq!(retry_after(&HeaderMap::new()), None);
}
