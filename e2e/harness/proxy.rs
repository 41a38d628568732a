//! Owns a proxy between the controller and the API server that can stop time: it shows every
//! write to a watcher before it is passed on and after it was answered, and holds it while the watcher wants; and
//! it can hold back what the controller reads.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::control_plane::ControlPlane;

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

type Watcher = Arc<dyn Fn(Moment, &Write) -> Way + Send + Sync>;

/// A running proxy. It ends with the runtime that it was started on.
pub struct Proxy {
    address: SocketAddr,
    token: String,
    watcher: Arc<Mutex<Option<Watcher>>>,
    held: watch::Sender<Option<(&'static str, Read)>>,
    parted: Arc<AtomicBool>,
}

#[derive(Clone)]
struct Upstream {
    client: kube::Client,
    /// How the controller proves who it is. Its canary has another account, whose writes are not shown.
    controller: String,
    watcher: Arc<Mutex<Option<Watcher>>>,
    held: watch::Receiver<Option<(&'static str, Read)>>,
    parted: Arc<AtomicBool>,
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
        let upstream = Upstream { client, controller, watcher: watcher.clone(), held, parted: parted.clone() };
        let routes = Router::new().fallback(pass).with_state(upstream);
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { address, token, watcher, held: hold, parted }
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

    /// A kubeconfig that leads to the proxy.
    pub fn kubeconfig(&self, control_plane: &ControlPlane) -> PathBuf {
        let path = control_plane.dir().join("proxy.kubeconfig");
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
    loop {
        match shown(Moment::Before) {
            Way::On => break,
            Way::Cut => return cut(),
            Way::Wait => tokio::time::sleep(EVERY).await,
        }
    }
    let read =
        if request.uri().query().is_some_and(|query| query.contains("watch=")) { Read::Watch } else { Read::List };
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
    let request = axum::http::Request::from_parts(head, kube::client::Body::from(body));
    let answer = upstream.client.send(request).await;
    if shown(Moment::After) == Way::Cut {
        return cut();
    }
    match answer {
        Ok(answer) if read == Read::Watch => answer
            .map(|body| {
                let events = Body::new(body).into_data_stream();
                Body::from_stream(events.then(move |event| {
                    let (mut held, passes) = (held.clone(), passes.clone());
                    async move {
                        let _ = held.wait_for(passes).await;
                        event
                    }
                }))
            })
            .into_response(),
        Ok(answer) => answer.map(Body::new).into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

/// An answer whose body breaks off: the client sees a lost connection.
fn cut() -> Response {
    let broken = futures::stream::once(async { Err::<Vec<u8>, _>(std::io::Error::other("cut")) });
    Body::from_stream(broken).into_response()
}
