//! Owns somebody in the webhook's place, who has its certificate and answers as a trial says: late, or with lies.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use daypass::runtime::certificate::Certificate;
use daypass::stamp::server::BOUNDS;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::control_plane::ControlPlane;
use super::webhook::{address, lead_to, mount_certificate};

/// What is answered to the `request` of an AdmissionReview: the `response`, without its `uid`.
pub type Lie = Arc<dyn Fn(&Value) -> Value + Send + Sync>;

/// The impostor. It ends when it is dropped.
pub struct Impostor {
    calls: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Impostor {
    /// Takes the webhook's place, and answers after this time.
    pub async fn start(control_plane: &ControlPlane, after: Duration, lie: Lie) -> Self {
        let folder = mount_certificate(control_plane).await;
        let acceptor = acceptor(&folder);
        let listener = TcpListener::bind((address(), 0)).await.expect("open a port");
        let port = listener.local_addr().expect("an address").port();
        let calls = Arc::new(AtomicUsize::new(0));
        let answering = Answering { after, lie, calls: calls.clone() };
        let most = DefaultBodyLimit::max(BOUNDS.body);
        let routes = Router::new().fallback(answer).layer(most).with_state(answering);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, routes) = (acceptor.clone(), routes.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    // One review a connection, so that none outlives the impostor. A caller that gives up is no matter.
                    let service = TowerToHyperService::new(routes);
                    let http = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
                    let _ = http.await;
                });
            }
        });
        lead_to(control_plane, address(), port).await;
        Self { calls, task }
    }

    /// How many writes of people have come. The controller's canary tries the guards all the time.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An answer that allows, with this JSON patch.
pub fn patching(operations: &Value) -> Value {
    let patch = k8s_openapi::ByteString(operations.to_string().into_bytes());
    json!({ "allowed": true, "patchType": "JSONPatch", "patch": patch })
}

fn acceptor(folder: &Path) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let certificate = Certificate::read(folder, provider).expect("the certificate of the webhook");
    TlsAcceptor::from(Arc::new(ServerConfig::builder().with_no_client_auth().with_cert_resolver(certificate)))
}

/// Whom the API server asks instead of the webhook.
#[derive(Clone)]
struct Answering {
    after: Duration,
    lie: Lie,
    calls: Arc<AtomicUsize>,
}

async fn answer(State(Answering { after, lie, calls }): State<Answering>, review: Bytes) -> impl IntoResponse {
    let review: Value = serde_json::from_slice(&review).expect("a review");
    let caller = review["request"]["userInfo"]["username"].as_str().unwrap_or_default();
    if !caller.ends_with(":daypass-canary") {
        calls.fetch_add(1, Ordering::SeqCst);
    }
    tokio::time::sleep(after).await;
    let mut response = lie(&review["request"]);
    if response.is_object() {
        response["uid"] = review["request"]["uid"].clone();
    }
    let body = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response });
    ([(CONTENT_TYPE, "application/json")], body.to_string())
}
