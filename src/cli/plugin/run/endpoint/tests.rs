//! An endpoint as a whole, with an API server and a desk that answer as a test says.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use kube::client::DynBody;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::util::BoxCloneService;
use tower::{BoxError, service_fn};

use super::desk::{AfterRefusal, HeldCall};
use super::*;
use crate::runtime::carried::CarriedBody;

/// A call as the API server got it: method, path and how long its body was.
type Heard = Arc<Mutex<Vec<(Method, String, usize)>>>;

/// An API server that refuses so many calls of each path, and then answers with a word.
fn refusing(times: usize) -> (CarriedCalls, Heard) {
    refusing_with("no".to_owned(), times)
}

fn refusing_with(no: String, times: usize) -> (CarriedCalls, Heard) {
    let heard = Heard::default();
    let hears = heard.clone();
    let service = service_fn(move |request: Request<CarriedBody>| {
        let (hears, no) = (hears.clone(), no.clone());
        async move {
            let (head, body) = request.into_parts();
            let length = body.collect().await.unwrap().to_bytes().len();
            let mut heard = hears.lock().unwrap();
            let before = heard.iter().filter(|(_, path, _)| path == head.uri.path()).count();
            heard.push((head.method, head.uri.path().to_owned(), length));
            let (code, said) =
                if before < times { (StatusCode::FORBIDDEN, no) } else { (StatusCode::OK, "yes".to_owned()) };
            let body: Box<DynBody> = Box::new(Full::new(Bytes::from(said)).map_err(|never| match never {}));
            let mut answer = Response::new(body);
            *answer.status_mut() = code;
            Ok::<_, BoxError>(answer)
        }
    });
    let api_server = "https://api.example:6443".parse().unwrap();
    (CarriedCalls::new(BoxCloneService::new(service), api_server, false), heard)
}

/// A desk that notes what it is asked, answers once it may, and counts whom it could not answer.
#[derive(Default)]
struct NotingDesk {
    asked: Mutex<Vec<HeldCall>>,
    may: Notify,
    came: Notify,
    given_up: AtomicUsize,
    gone: Notify,
}

struct GivenUp<'a>(&'a NotingDesk, bool);

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        if !self.1 {
            self.0.given_up.fetch_add(1, Ordering::SeqCst);
            self.0.gone.notify_one();
        }
    }
}

impl RefusalDesk for Arc<NotingDesk> {
    async fn refused(&self, call: HeldCall) -> AfterRefusal {
        let mut waiting = GivenUp(self, false);
        self.asked.lock().unwrap().push(call);
        self.came.notify_one();
        self.may.notified().await;
        waiting.1 = true;
        AfterRefusal::SendAgain
    }
}

struct Opened {
    endpoint: Endpoint,
    desk: Arc<NotingDesk>,
}

impl Opened {
    async fn before(calls: CarriedCalls) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let desk = Arc::<NotingDesk>::default();
        Self { endpoint: Endpoint::open(calls, desk.clone()).await.unwrap(), desk }
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.endpoint.authority.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(self.host()).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    fn host(&self) -> &str {
        self.endpoint.server.trim_start_matches("https://")
    }

    /// The head of a call that is taken.
    fn head(&self, line: &str, more: &str) -> String {
        let (host, token) = (self.host(), &self.endpoint.token);
        format!("{line} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n{more}\r\n")
    }

    async fn answer(&self, call: String) -> String {
        let mut stream = self.connect().await;
        stream.write_all(call.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // Whoever is refused early may find the connection reset.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }
}

#[tokio::test]
async fn a_refused_call_is_sent_once_more_with_its_body() {
    let (calls, heard) = refusing(1);
    let opened = Opened::before(calls).await;
    opened.desk.may.notify_one();
    let call = opened.head("PATCH /api/v1/namespaces/shop/pods/a?x=1", "Content-Length: 4\r\n") + "body";
    let answer = opened.answer(call).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("yes"), "{answer}");
    let path = "/api/v1/namespaces/shop/pods/a".to_owned();
    assert_eq!(*heard.lock().unwrap(), [(Method::PATCH, path.clone(), 4), (Method::PATCH, path.clone(), 4)]);
    let asked = opened.desk.asked.lock().unwrap().clone();
    let query = Some("x=1".to_owned());
    assert_eq!(asked, [HeldCall { method: Method::PATCH, path, query, answer: Bytes::from_static(b"no") }]);
}

#[tokio::test]
async fn what_is_refused_twice_is_refused() {
    let (calls, heard) = refusing(2);
    let opened = Opened::before(calls).await;
    opened.desk.may.notify_one();
    let answer = opened.answer(opened.head("GET /api", "")).await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.ends_with("no"), "{answer}");
    assert_eq!((heard.lock().unwrap().len(), opened.desk.asked.lock().unwrap().len()), (2, 1));
}

#[tokio::test]
async fn a_call_that_is_too_large_or_of_somebody_else_is_not_held() {
    let (calls, heard) = refusing(1);
    let opened = Opened::before(calls).await;
    let length = 9 << 20;
    let call = opened.head("POST /large", &format!("Content-Length: {length}\r\n")) + &"x".repeat(length);
    let answers = [opened.answer(call).await, opened.answer(opened.head("GET /as", "Impersonate-User: bob\r\n")).await];
    assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.1 403")), "{answers:?}");
    assert!(opened.desk.asked.lock().unwrap().is_empty());
    assert_eq!(heard.lock().unwrap()[0].2, length, "it arrives whole all the same");
}

#[tokio::test]
async fn an_answer_without_end_is_not_held() {
    let no = "x".repeat(65 << 10);
    let (calls, _) = refusing_with(no.clone(), 1);
    let opened = Opened::before(calls).await;
    let answer = opened.answer(opened.head("GET /api", "")).await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains(&no), "{}", &answer[..200]);
    assert!(opened.desk.asked.lock().unwrap().is_empty());
}

/// Somebody may take their time to approve.
#[tokio::test]
async fn a_call_is_held_for_as_long_as_it_takes() {
    let (calls, heard) = refusing(1);
    let opened = Opened::before(calls).await;
    let mut stream = opened.connect().await;
    stream.write_all(opened.head("GET /api", "").as_bytes()).await.unwrap();
    opened.desk.came.notified().await;
    // From here on time goes by as fast as nothing happens, so every timer that there is comes to its end.
    tokio::time::pause();
    tokio::time::sleep(Duration::from_hours(24)).await;
    assert_eq!(opened.desk.given_up.load(Ordering::SeqCst), 0);
    opened.desk.may.notify_one();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("yes"), "{answer}");
    assert_eq!(heard.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn who_says_nothing_holds_no_connection() {
    let opened = Opened::before(refusing(0).0).await;
    let mut stream = TcpStream::connect(opened.host()).await.unwrap();
    tokio::time::pause();
    let ended = tokio::time::timeout(Duration::from_hours(1), stream.read_u8()).await;
    assert!(ended.is_ok_and(|read| read.is_err()));
}

#[tokio::test]
async fn a_call_that_is_given_up_is_not_held_any_longer() {
    let (calls, heard) = refusing(1);
    let opened = Opened::before(calls).await;
    let mut stream = opened.connect().await;
    stream.write_all(opened.head("GET /api", "").as_bytes()).await.unwrap();
    opened.desk.came.notified().await;
    drop(stream);
    opened.desk.gone.notified().await;
    assert_eq!((opened.desk.given_up.load(Ordering::SeqCst), heard.lock().unwrap().len()), (1, 1));
}

#[tokio::test]
async fn a_closed_endpoint_gives_up_what_it_holds() {
    let (calls, _) = refusing(1);
    let opened = Opened::before(calls).await;
    let mut stream = opened.connect().await;
    stream.write_all(opened.head("GET /api", "").as_bytes()).await.unwrap();
    opened.desk.came.notified().await;
    let (address, desk) = (opened.host().to_owned(), opened.desk.clone());
    opened.endpoint.close().await;
    desk.gone.notified().await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens there any more");
}

#[tokio::test]
async fn one_who_is_somebody_else_already_is_not_one_more() {
    let (mut calls, heard) = refusing(0);
    calls.impersonates = true;
    let opened = Opened::before(calls).await;
    let answer = opened.answer(opened.head("GET /api", "Impersonate-Group: admins\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("leave --as out"), "{answer}");
    assert!(heard.lock().unwrap().is_empty());
    assert!(opened.answer(opened.head("GET /api", "")).await.starts_with("HTTP/1.1 200"));
}
