//! Owns a proxy between the controller and the API server that can stop time: it shows every
//! write to a watcher before it is passed on and after it was answered, and holds it while the watcher wants;
//! it can hold back what the controller reads; and it can do to any request what networks and API servers do.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::control_plane::ControlPlane;
use super::wait::now;

/// How often a watcher is asked again about a write that it holds.
const EVERY: Duration = Duration::from_millis(25);

/// When a request is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It has not reached the API server.
    Before,
    /// The API server has carried it out; the controller does not know yet.
    After,
}

/// The points of so many writes at which a controller may die. A death before a write leaves what one after the write before
/// it leaves.
pub fn deaths(writes: usize) -> impl Iterator<Item = (usize, Moment)> {
    std::iter::once((0, Moment::Before)).chain((0..writes).map(|write| (write, Moment::After)))
}

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Let it pass.
    On,
    /// Break the connection.
    Cut,
    /// Not yet: the watcher is asked again in a moment.
    Wait,
}

/// How a kind is read as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// All objects at once.
    List,
    /// The changes since.
    Watch,
}

/// A write of the controller.
#[derive(Clone, Debug)]
pub struct Write {
    pub method: Method,
    pub path: String,
}

/// A request of the controller, or of its canary.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    pub path: String,
    /// Whether it is a watch, which has no end.
    pub watch: bool,
}

/// What can happen to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The connection breaks before the API server has it.
    Drop,
    /// The API server carries it out, and the connection breaks before the answer.
    Lose,
    /// It takes this much longer, but not longer than faults are on.
    Delay(Duration),
    /// The API server gets it twice, one after the other, and the second answer counts.
    Twice,
    /// The API server does not get it; this is the answer.
    Answer(u16),
}

type Watcher = Arc<dyn Fn(Moment, &Write) -> Way + Send + Sync>;
type Chooser = Arc<dyn Fn(&Call) -> Option<Fault> + Send + Sync>;

/// A running proxy. It ends with the runtime that it was started on.
pub struct Proxy {
    address: SocketAddr,
    token: String,
    watcher: Arc<Mutex<Option<Watcher>>>,
    held: watch::Sender<Option<(&'static str, Read)>>,
    parted: Arc<AtomicBool>,
    weather: watch::Sender<Option<Chooser>>,
    cuts: watch::Sender<u64>,
    open_watches: Arc<AtomicUsize>,
    redates: Arc<Mutex<Option<SignedDuration>>>,
}

#[derive(Clone)]
struct Upstream {
    client: kube::Client,
    /// How the controller proves who it is. Its canary has another account, whose writes are not shown.
    controller: String,
    watcher: Arc<Mutex<Option<Watcher>>>,
    held: watch::Receiver<Option<(&'static str, Read)>>,
    parted: Arc<AtomicBool>,
    weather: watch::Receiver<Option<Chooser>>,
    cuts: watch::Receiver<u64>,
    open_watches: Arc<AtomicUsize>,
    /// By how much the `Date` of answers is changed.
    redates: Arc<Mutex<Option<SignedDuration>>>,
}

impl Proxy {
    /// Starts a proxy for a controller with this token.
    pub async fn start(control_plane: &ControlPlane, token: String) -> Self {
        let client = control_plane.anonymous().await;
        let controller = format!("Bearer {token}");
        let watcher = Arc::new(Mutex::new(None));
        let (hold, held) = watch::channel(None);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let parted = Arc::new(AtomicBool::new(false));
        let (weather, seen_weather) = watch::channel(None);
        let (cuts, seen_cuts) = watch::channel(0);
        let open_watches = Arc::new(AtomicUsize::new(0));
        let redates = Arc::new(Mutex::new(None));
        let upstream = Upstream {
            client,
            controller,
            watcher: watcher.clone(),
            held,
            parted: parted.clone(),
            weather: seen_weather,
            cuts: seen_cuts,
            open_watches: open_watches.clone(),
            redates: redates.clone(),
        };
        let routes = Router::new().fallback(pass).with_state(upstream);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { address, token, watcher, held: hold, parted, weather, cuts, open_watches, redates }
    }

    /// From now on this sees every write. It is called on the proxy's runtime and must not block for long.
    pub fn watch(&self, watcher: impl Fn(Moment, &Write) -> Way + Send + Sync + 'static) {
        *self.watcher.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(watcher));
    }

    /// From now on nothing is watched.
    pub fn pass_all(&self) {
        *self.watcher.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// From now on these reads of a kind, such as `accesspolicies`, bring nothing. Watches that run go silent.
    pub fn hold(&self, kind: &'static str, read: Read) {
        self.held.send_replace(Some((kind, read)));
    }

    /// What was held back comes, and nothing is held from now on.
    pub fn release(&self) {
        self.held.send_replace(None);
    }

    /// From now on nothing that is sent arrives, whoever sends it. What was on its way before goes on.
    pub fn part(&self) {
        self.parted.store(true, Ordering::SeqCst);
    }

    /// From now on this says of every request, whoever sends it, what happens to it.
    pub fn disturb(&self, chooser: impl Fn(&Call) -> Option<Fault> + Send + Sync + 'static) {
        self.weather.send_replace(Some(Arc::new(chooser)));
    }

    /// From now on everything passes, also what is being delayed.
    pub fn calm(&self) {
        self.weather.send_replace(None);
    }

    /// From now on the `Date` of every answer is changed by this much, as by a proxy whose clock is wrong.
    pub fn redate(&self, by: SignedDuration) {
        *self.redates.lock().unwrap_or_else(PoisonError::into_inner) = Some(by);
    }

    /// Breaks off the watches that are open; how many.
    pub fn cut_watches(&self) -> usize {
        let open = self.open_watches.load(Ordering::SeqCst);
        self.cuts.send_modify(|cuts| *cuts += 1);
        open
    }

    /// A kubeconfig that leads to the proxy.
    pub fn kubeconfig(&self, control_plane: &ControlPlane) -> PathBuf {
        let path = control_plane.dir().join(format!("proxy-{}.kubeconfig", self.address.port()));
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: proxy\nclusters: [{{name: proxy, cluster: {{server: 'http://{}'}}}}]\n\
             users: [{{name: proxy, user: {{token: {}}}}}]\ncontexts: [{{name: proxy, context: {{cluster: proxy, user: proxy}}}}]\n",
            self.address, self.token
        );
        std::fs::write(&path, text).expect("write a kubeconfig");
        path
    }
}

async fn pass(State(upstream): State<Upstream>, request: Request) -> Response {
    let watcher = || upstream.watcher.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let write = Write { method: request.method().clone(), path: request.uri().path().to_owned() };
    let controller = request.headers().get(header::AUTHORIZATION).is_some_and(|a| a == upstream.controller.as_str());
    let reads = [Method::GET, Method::HEAD].contains(&write.method);
    let shown = |moment| {
        let watcher = watcher().filter(|_| controller && !reads);
        watcher.map_or(Way::On, |watcher| watcher(moment, &write))
    };
    if upstream.parted.load(Ordering::SeqCst) {
        return cut();
    }
    let read =
        if request.uri().query().is_some_and(|query| query.contains("watch=")) { Read::Watch } else { Read::List };
    let call = Call { method: write.method.clone(), path: write.path.clone(), watch: reads && read == Read::Watch };
    let mut weather = upstream.weather.clone();
    let chooser = weather.borrow_and_update().clone();
    let fault = chooser.and_then(|choose| choose(&call));
    match fault {
        Some(Fault::Drop) => return cut(),
        Some(Fault::Answer(code)) => return refusal(code),
        Some(Fault::Delay(longer)) => {
            let _ = tokio::time::timeout(longer, weather.wait_for(Option::is_none)).await;
        }
        Some(Fault::Lose | Fault::Twice) | None => {}
    }
    loop {
        match shown(Moment::Before) {
            Way::On => break,
            Way::Cut => return cut(),
            Way::Wait => tokio::time::sleep(EVERY).await,
        }
    }
    let path = write.path.clone();
    let passes = move |held: &Option<(&str, Read)>| {
        held.is_none_or(|(kind, held)| !reads || held != read || !path.ends_with(&format!("/{kind}")))
    };
    let mut held = upstream.held.clone();
    if read == Read::List {
        let _ = held.wait_for(&passes).await;
    }
    let (mut head, body) = request.into_parts();
    head.headers.remove(header::HOST);
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let send = |body: Bytes| {
        let body = kube::client::Body::from(body);
        upstream.client.send(axum::http::Request::from_parts(head.clone(), body))
    };
    let mut answer = send(body.clone()).await;
    if fault == Some(Fault::Twice) {
        answer = send(body).await;
    }
    if fault == Some(Fault::Lose) || shown(Moment::After) == Way::Cut {
        return cut();
    }
    let redates = *upstream.redates.lock().unwrap_or_else(PoisonError::into_inner);
    let redated = redates.and_then(|by| HeaderValue::from_str(&http_date(now() + by)).ok());
    let answer = answer.map(|mut answer| {
        redated.and_then(|date| answer.headers_mut().insert(header::DATE, date));
        answer
    });
    match answer {
        Ok(answer) if read == Read::Watch => {
            let (open, mut cuts) = (Open::one_more(&upstream.open_watches), upstream.cuts.clone());
            cuts.mark_unchanged();
            let broken = async move {
                let _open = open;
                let _ = cuts.changed().await;
            };
            answer
                .map(|body| {
                    let events = Body::new(body).into_data_stream();
                    let events = events.then(move |event| {
                        let (mut held, passes) = (held.clone(), passes.clone());
                        async move {
                            let _ = held.wait_for(passes).await;
                            event
                        }
                    });
                    Body::from_stream(events.take_until(broken))
                })
                .into_response()
        }
        Ok(answer) => answer.map(Body::new).into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Counts a watch for as long as it is open.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn one_more(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What an API server answers that does not do what it is asked.
fn refusal(code: u16) -> Response {
    let reason = match code {
        400 => "BadRequest",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        413 => "RequestEntityTooLarge",
        422 => "Invalid",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    };
    let status = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "reason": reason, "message": "a fault of the trial"
    });
    let code = StatusCode::from_u16(code).expect("a status code");
    let mut answer = (code, [(header::CONTENT_TYPE, "application/json")], status.to_string()).into_response();
    if code == StatusCode::TOO_MANY_REQUESTS {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

/// An answer whose body breaks off: the client sees a lost connection.
fn cut() -> Response {
    let broken = futures::stream::once(async { Err::<Vec<u8>, _>(std::io::Error::other("cut")) });
    Body::from_stream(broken).into_response()
}
