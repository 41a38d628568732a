//! Owns somebody in the webhook's place, who has its certificate and answers as a trial says: late, or with lies.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use daypass::stamp::certificate::Certificate;
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

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
        let counted = calls.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, lie, calls) = (acceptor.clone(), lie.clone(), counted.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        answer(stream, after, &lie, &calls).await;
                    }
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

/// One review a connection: HTTP as far as the API server needs it.
async fn answer(mut stream: TlsStream<TcpStream>, after: Duration, lie: &Lie, calls: &AtomicUsize) {
    let Some(review) = read(&mut stream).await else { return };
    let caller = review["request"]["userInfo"]["username"].as_str().unwrap_or_default();
    if !caller.ends_with(":daypass-canary") {
        calls.fetch_add(1, Ordering::SeqCst);
    }
    tokio::time::sleep(after).await;
    let mut response = lie(&review["request"]);
    if response.is_object() {
        response["uid"] = review["request"]["uid"].clone();
    }
    let body =
        json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response }).to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await;
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut TlsStream<TcpStream>) -> Option<Value> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        let count = stream.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&chunk[..count]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())?;
        if bytes.len() >= end + 4 + length {
            return serde_json::from_slice(&bytes[end + 4..]).ok();
        }
    }
}
