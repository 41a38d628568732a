//! A page as a whole, with an API server and a desk that answer as a test says.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures::FutureExt;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use k8s_openapi::jiff::SignedDuration;
use kube::Client;
use kube::client::{Body, DynBody};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;
use tower::util::BoxCloneService;
use tower::{BoxError, service_fn as tower_service_fn};

use super::answer::PageBody;
use super::caller::{BearerPlace, OwnLogin, PageCaller};
use super::desk::{PageDesk, PageExplanation, PageForecast, PageHealth, PageInbox, PageLint, PageOptions, PagePerson};
use super::guard::PageGuard;
use super::refusal::PageRefusal;
use super::routes::PageServer;
use super::rules::PageRules;
use super::session::PageSession;
use crate::api::request::AccessRequest;
use crate::runtime::carried::{CarriedBody, CarriedCalls, LoginEnd};
use crate::runtime::clock::Clock;

mod attacks;

const PAGE: &str = "127.0.0.1:4711";
const REQUESTS: &str = "/k/apis/daypass.dev/v1alpha1/namespaces/shop/accessrequests";
const ALL: [&str; 6] =
    ["/api/me", "/api/options?namespace=shop", "/api/inbox", "/api/health", "/api/lint", "/k/api/v1/namespaces"];

/// A desk that finds nothing.
struct EmptyDesk;

impl PageDesk for EmptyDesk {
    async fn foresee(&self, _: Client, _: AccessRequest) -> Result<PageForecast, PageRefusal> {
        Err(PageRefusal::Unusable("nothing is foreseen".to_owned()))
    }

    async fn explain(&self, _: Client, _: AccessRequest, _: PagePerson) -> Result<PageExplanation, PageRefusal> {
        Err(PageRefusal::Unusable("nothing is explained".to_owned()))
    }

    async fn options(&self, _: Client, _: String) -> Result<PageOptions, PageRefusal> {
        Ok(PageOptions { options: Vec::new(), gaps: Vec::new() })
    }

    async fn inbox(&self, _: Client) -> Result<PageInbox, PageRefusal> {
        Ok(PageInbox { requests: Vec::new(), gaps: Vec::new() })
    }

    async fn health(&self, _: Client) -> Result<PageHealth, PageRefusal> {
        Ok(PageHealth { findings: Vec::new() })
    }

    async fn lint(&self, _: Client) -> Result<PageLint, PageRefusal> {
        Ok(PageLint { findings: Vec::new(), gaps: Vec::new() })
    }
}

/// A call as the API server got it.
#[derive(Clone, Debug)]
struct HeardCall {
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Bytes,
}

type Heard = Arc<Mutex<Vec<HeardCall>>>;

/// What an API server answers to a call.
type Answers = fn(&HeardCall) -> Result<Response<Box<DynBody>>, BoxError>;

fn whole(text: impl Into<Bytes>) -> Box<DynBody> {
    Box::new(Full::new(text.into()).map_err(|never| match never {}))
}

/// carol, whoever asks.
fn says_carol() -> Value {
    json!({ "status": { "userInfo": { "username": "carol", "uid": "u-carol", "groups": ["approvers"] } } })
}

fn plainly(call: &HeardCall) -> Result<Response<Box<DynBody>>, BoxError> {
    let is_review = call.target.ends_with("selfsubjectreviews");
    let told = if is_review { says_carol() } else { json!({ "kind": "Some" }) };
    let answer = Response::builder().header(CONTENT_TYPE, "application/json").header("set-cookie", "a=b");
    Ok(answer.header("location", "https://evil.example").body(whole(told.to_string()))?)
}

/// A page on somebody's machine, and the cookie that opens it.
struct OwnPage {
    server: PageServer<EmptyDesk>,
    cookie: String,
    /// The one-time token, which was exchanged for it.
    token: SecretString,
    heard: Heard,
}

fn own(answers: Answers) -> OwnPage {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let heard = Heard::default();
    let hears = heard.clone();
    let service = tower_service_fn(move |request: Request<CarriedBody>| {
        let hears = hears.clone();
        async move {
            let (head, body) = request.into_parts();
            let (target, body) = (head.uri.to_string(), body.collect().await?.to_bytes());
            let call = HeardCall { method: head.method, target, headers: head.headers, body };
            hears.lock().unwrap().push(call.clone());
            answers(&call)
        }
    });
    let api_server = "https://api.example:6443".parse().unwrap();
    let calls = CarriedCalls::new(BoxCloneService::new(service), api_server, false);
    let nobody =
        tower_service_fn(|_: Request<Body>| async { Err::<Response<Box<DynBody>>, BoxError>("unused".into()) });
    let no_login =
        |error: &(dyn std::error::Error + 'static)| (error.to_string() == "over").then(|| "it is over".into());
    let login = OwnLogin { calls, client: Client::new(nobody, "default"), no_login };
    let (session, token) = PageSession::new(4711).unwrap();
    let cookie = session.exchange(&PageRules::all(), token.expose_secret()).unwrap();
    let cookie = cookie.to_str().unwrap().split_once(';').unwrap().0.to_owned();
    let server = page(PageCaller::Own(login), Some(session));
    OwnPage { server, cookie, token, heard }
}

fn page(caller: PageCaller, session: Option<PageSession>) -> PageServer<EmptyDesk> {
    PageServer { guard: PageGuard::new("http", PAGE), session, caller, desk: EmptyDesk, cluster: "c".to_owned() }
}

/// A call that the page itself makes.
fn call(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(target).header(HOST, PAGE);
    request = request.header("sec-fetch-site", "same-origin").header("x-daypass", "page");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if !body.is_empty() {
        request = request.header("content-length", body.len());
    }
    request.body(Full::new(Bytes::from(body.to_owned()))).unwrap()
}

async fn told(answer: Response<PageBody>) -> (StatusCode, Value) {
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn refusal(answer: Response<PageBody>) -> (u16, String) {
    let (status, told) = told(answer).await;
    (status.as_u16(), told["reason"].as_str().unwrap_or_default().to_owned())
}

impl OwnPage {
    async fn get(&self, target: &str, headers: &[(&str, &str)]) -> Response<PageBody> {
        let headers = [&[(COOKIE.as_str(), self.cookie.as_str())], headers].concat();
        self.server.answer(call("GET", target, &headers, "")).await
    }
}

#[tokio::test]
async fn nothing_is_told_without_the_session() {
    let page = own(plainly);
    for target in ALL {
        let answer = page.server.answer(call("GET", target, &[], "")).await;
        assert_eq!(refusal(answer).await, (401, "NoSession".to_owned()), "{target}");
        assert_eq!(page.get(target, &[]).await.status(), StatusCode::OK, "{target}");
    }
    for (method, target) in [("POST", "/api/foresee"), ("POST", REQUESTS), ("PATCH", &format!("{REQUESTS}/fix/status"))]
    {
        let answer = page.server.answer(call(method, target, &[("content-type", "application/json")], "{}")).await;
        assert_eq!(refusal(answer).await, (401, "NoSession".to_owned()), "{method} {target}");
    }
    assert_eq!(page.server.answer(call("GET", "/inbox", &[], "")).await.status(), StatusCode::OK, "it tells nothing");
}

#[tokio::test]
async fn a_call_is_made_anew_and_so_is_its_answer() {
    let page = own(plainly);
    let sent = [
        ("accept", "*/*"),
        ("accept-encoding", "gzip"),
        ("authorization", "Bearer of-the-browser"),
        ("content-type", "text/html"),
        ("x-forwarded-for", "10.0.0.1"),
        ("referer", "http://127.0.0.1:4711/"),
        ("connection", "accept"),
    ];
    let answer = page.get(&format!("{REQUESTS}?limit=5"), &sent).await;
    let kept: Vec<&str> = answer.headers().keys().map(|name| name.as_str()).collect();
    assert_eq!(answer.status(), StatusCode::OK);
    for name in ["set-cookie", "location"] {
        assert!(!kept.contains(&name), "{kept:?}");
    }
    assert!(kept.contains(&"content-type") && kept.contains(&"content-security-policy"), "{kept:?}");
    let heard = page.heard.lock().unwrap().clone();
    assert_eq!(heard.len(), 1);
    assert_eq!(
        (&heard[0].method, heard[0].target.as_str()),
        (&Method::GET, &format!("{}?limit=5", &REQUESTS[2..])[..])
    );
    let mut names: Vec<&str> = heard[0].headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "user-agent"], "the login comes with the connection to the API server");
}

#[tokio::test]
async fn a_review_is_written_by_whom_the_api_server_knows() {
    let page = own(plainly);
    let patch = |who: &str| {
        let seen = json!({ "uid": "u", "resourceVersion": "7" });
        json!({ "metadata": seen, "status": { "reviews": { who: { "verdict": "Deny" } } } }).to_string()
    };
    let headers = [("cookie", page.cookie.as_str()), ("content-type", "application/merge-patch+json")];
    let target = format!("{REQUESTS}/fix/status");
    let answer = page.server.answer(call("PATCH", &target, &headers, &patch("bob"))).await;
    assert_eq!(refusal(answer).await, (403, "NotYourReview".to_owned()));
    let answer = page.server.answer(call("PATCH", &target, &headers, &patch("carol"))).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let heard = page.heard.lock().unwrap().clone();
    let patches: Vec<&HeardCall> = heard.iter().filter(|call| call.method == Method::PATCH).collect();
    assert_eq!((patches.len(), heard.len()), (1, 3), "who calls is asked each time");
    assert_eq!(patches[0].headers[CONTENT_TYPE], "application/merge-patch+json");
    let body: Value = serde_json::from_slice(&patches[0].body).unwrap();
    assert_eq!(body["metadata"], json!({ "uid": "u", "resourceVersion": "7" }));
}

#[tokio::test]
async fn what_is_asked_for_is_read_and_written_again() {
    let page = own(plainly);
    let headers = [("cookie", page.cookie.as_str()), ("content-type", "application/json; charset=utf-8")];
    let twice = r#"{"kind":"Secret", "kind":"AccessRequest"}"#;
    assert_eq!(page.server.answer(call("POST", REQUESTS, &headers, twice)).await.status(), StatusCode::OK);
    assert_eq!(page.heard.lock().unwrap()[0].body, r#"{"kind":"AccessRequest"}"#);
}

#[tokio::test]
async fn an_api_server_leads_nowhere_and_its_absence_is_said() {
    let answers: [(Answers, (u16, &str)); 4] = [
        (
            |_| Ok(Response::builder().status(302).header("location", "https://evil.example").body(whole("")).unwrap()),
            (502, "LedElsewhere"),
        ),
        (|_| Ok(Response::builder().status(401).body(whole("")).unwrap()), (401, "SignInAgain")),
        (|_| Err("away".into()), (503, "Away")),
        (|_| Err("over".into()), (401, "SignInAgain")),
    ];
    for (answers, (code, reason)) in answers {
        let page = own(answers);
        for target in ["/api/me", REQUESTS, &format!("{REQUESTS}?watch=true")] {
            assert_eq!(refusal(page.get(target, &[]).await).await, (code, reason.to_owned()), "{target}");
        }
    }
}

/// An answer that goes on, to a call whose login ends in a minute.
fn goes_on(_: &HeardCall) -> Result<Response<Box<DynBody>>, BoxError> {
    let first = futures::stream::iter([Ok::<_, BoxError>(Frame::data(Bytes::from_static(b"{}\n")))]);
    let body = StreamBody::new(futures::StreamExt::chain(first, futures::stream::pending()));
    let mut answer = Response::new(Box::new(body) as Box<DynBody>);
    answer.extensions_mut().insert(LoginEnd(Clock::wall().now() + SignedDuration::from_secs(60)));
    Ok(answer)
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_with_the_login_that_it_was_begun_with() {
    let page = own(goes_on);
    let answer = page.get(&format!("{REQUESTS}?watch=true"), &[]).await;
    assert_eq!(answer.headers()["x-accel-buffering"], "no");
    let mut body = answer.into_body();
    let began = Instant::now();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "{}\n", "it comes as it comes");
    assert!(began.elapsed() < Duration::from_secs(1));
    let last = tokio::time::timeout(Duration::from_secs(120), body.frame()).await;
    assert!(last.expect("it goes on for ever").is_none());
    let lasted = began.elapsed();
    assert!(lasted > Duration::from_secs(55) && lasted < Duration::from_secs(61), "{lasted:?}");
}

/// An API server that says who a token is of, and counts connections.
async fn serve(answer: Response<String>) -> (String, Heard, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let (heard, connections) = (Heard::default(), Arc::new(AtomicUsize::new(0)));
    let (hears, counts) = (heard.clone(), connections.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counts.fetch_add(1, Ordering::SeqCst);
            let (hears, answer) = (hears.clone(), answer.clone());
            let service = service_fn(move |request: Request<Incoming>| {
                let (hears, answer) = (hears.clone(), answer.clone());
                async move {
                    let (head, body) = request.into_parts();
                    let (target, body) = (head.uri.to_string(), body.collect().await?.to_bytes());
                    hears.lock().unwrap().push(HeardCall { method: head.method, target, headers: head.headers, body });
                    Ok::<_, hyper::Error>(answer)
                }
                .boxed()
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (server, heard, connections)
}

fn in_cluster(server: &str) -> PageServer<EmptyDesk> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    page(PageCaller::Bearer(BearerPlace::new(server.parse().unwrap(), Vec::new())), None)
}

fn token(who: &str) -> String {
    format!("Bearer e30.{}.{who}", BASE64_URL_SAFE_NO_PAD.encode(r#"{"exp":1900000000}"#))
}

#[tokio::test]
async fn who_has_no_token_is_nobody_and_no_call_is_made() {
    let (server, heard, connections) = serve(Response::new(says_carol().to_string())).await;
    let page = in_cluster(&server);
    for headers in [
        vec![],
        vec![("authorization", "")],
        vec![("authorization", "Bearer ")],
        vec![("authorization", "Bearer a b")],
        vec![("authorization", "Basic YTpi")],
        vec![("authorization", "bearer token")],
        vec![("authorization", "Bearer a"), ("authorization", "Bearer b")],
        vec![("cookie", "token=a"), ("x-forwarded-user", "admin"), ("x-forwarded-access-token", "a")],
    ] {
        for target in ALL {
            let answer = page.answer(call("GET", target, &headers, "")).await;
            assert_eq!(refusal(answer).await, (401, "NoToken".to_owned()), "{headers:?} {target}");
        }
    }
    assert_eq!((heard.lock().unwrap().len(), connections.load(Ordering::SeqCst)), (0, 0));
}

#[tokio::test]
async fn each_call_in_the_cluster_carries_its_own_token_over_its_own_connection() {
    let (server, heard, connections) = serve(Response::new(says_carol().to_string())).await;
    let page = in_cluster(&server);
    let tokens = [token("alice"), token("bob"), token("alice")];
    for own in &tokens {
        let headers = [("authorization", own.as_str()), ("cookie", "proxy=secret"), ("x-forwarded-user", "admin")];
        let (status, me) = told(page.answer(call("GET", "/api/me", &headers, "")).await).await;
        assert_eq!(status, StatusCode::OK, "{me}");
        assert_eq!((&me["place"], &me["expires"]), (&json!("cluster"), &json!("2030-03-17T17:46:40Z")));
    }
    let heard = heard.lock().unwrap().clone();
    let carried: Vec<&str> = heard.iter().map(|call| call.headers[AUTHORIZATION].to_str().unwrap()).collect();
    assert_eq!(carried, tokens);
    assert_eq!(connections.load(Ordering::SeqCst), tokens.len(), "no connection is shared between callers");
    let allowed = ["authorization", "accept", "content-type", "content-length", "user-agent", "host"];
    for name in heard.iter().flat_map(|call| call.headers.keys()) {
        assert!(allowed.contains(&name.as_str()), "{name}");
    }
}

#[tokio::test]
async fn a_token_is_shown_nowhere() {
    let (server, ..) = serve(Response::builder().status(500).body("broken".to_owned()).unwrap()).await;
    let secret = token("alice");
    for server in [server.as_str(), "http://127.0.0.1:1"] {
        let page = in_cluster(server);
        let headers = HeaderMap::from_iter([(AUTHORIZATION, secret.parse().unwrap())]);
        let login = page.caller.of(&headers).unwrap();
        let shown = format!("{login:?}");
        let (status, answer) = told(page.answer(call("GET", "/api/me", &[("authorization", &secret)], "")).await).await;
        assert!(!status.is_success());
        for text in [shown, answer.to_string()] {
            assert!(!text.contains(&secret[7..]), "{text}");
        }
    }
}

#[tokio::test]
async fn there_is_no_session_in_the_cluster() {
    let page = in_cluster("http://127.0.0.1:1");
    let headers = [("authorization", "Bearer a"), ("content-type", "application/json")];
    let answer = page.answer(call("POST", "/session", &headers, r#"{"token":"a"}"#)).await;
    assert_eq!(refusal(answer).await, (404, "NoSuchPage".to_owned()));
}
