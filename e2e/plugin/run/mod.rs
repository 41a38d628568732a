//! A command that is run with its refused calls held: [`endpoint`] is what it talks to, and [`attacks`] what others try there.
//! [`calls`] is what a call is, [`hold`] what is asked for and whom, [`together`] how few questions that takes, [`held`] how long a
//! call may wait, and [`breaks`] what an interrupt leaves at each step. [`commands`] has what real commands need, [`ground`] what
//! they work on, and [`story`] plays the page that tells of it.

mod attacks;
mod breaks;
mod calls;
mod commands;
mod endpoint;
mod ground;
mod held;
mod hold;
mod story;
mod together;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use libtest_mimic::{Failed, Trial};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::plugin::{Plugin, Running};
use crate::harness::process::signal;
use crate::harness::trial::runtime;

pub fn trials() -> Vec<Trial> {
    let trials = [
        endpoint::trials(),
        attacks::trials(),
        calls::trials(),
        hold::trials(),
        together::trials(),
        held::trials(),
        breaks::trials(),
        commands::trials(),
        story::trials(),
    ];
    trials.into_iter().flatten().collect()
}

/// No trial without a cluster takes longer.
const LIMIT: Duration = Duration::from_secs(60);

/// A trial with a server in the API server's place.
fn alone<F>(name: &str, body: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = ()>,
{
    Trial::test(name, move || timed(body()))
}

fn timed(body: impl Future<Output = ()>) -> Result<(), Failed> {
    runtime().block_on(async { tokio::time::timeout(LIMIT, body).await }).map_err(|_| "no end".into())
}

/// Says where its kubeconfig is and who it is, and goes on until it is ended.
const STAYS: &str = "echo $KUBECONFIG $$; exec tail -f /dev/null";

/// A run whose command stays.
struct OpenRun {
    running: Running,
    kubeconfig: PathBuf,
    /// Process of the command.
    command: u32,
    host: String,
    token: String,
    authority: Vec<u8>,
    _remains: Remains,
}

/// What a run leaves that is killed when its trial is over: its command and its folder.
struct Remains(String, PathBuf);

impl Drop for Remains {
    fn drop(&mut self) {
        signal("KILL", &self.0);
        let _ = std::fs::remove_dir_all(&self.1);
    }
}

impl OpenRun {
    async fn start(plugin: &Plugin) -> Self {
        let mut running = plugin.start(&["run", "--", "sh", "-c", STAYS]);
        let said = running.until_printed("\n").await;
        let (kubeconfig, command) = said.trim().split_once(' ').unwrap();
        let file: Value = serde_json::from_slice(&std::fs::read(kubeconfig).unwrap()).unwrap();
        let cluster = &file["clusters"][0]["cluster"];
        let authority = cluster["certificate-authority-data"].as_str().unwrap();
        Self {
            running,
            _remains: Remains(command.to_owned(), Path::new(kubeconfig).parent().unwrap().to_owned()),
            kubeconfig: kubeconfig.into(),
            command: command.parse().unwrap(),
            host: cluster["server"].as_str().unwrap().trim_start_matches("https://").to_owned(),
            token: file["users"][0]["user"]["token"].as_str().unwrap().to_owned(),
            authority: base64::Engine::decode(&base64::prelude::BASE64_STANDARD, authority).unwrap(),
        }
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&self.authority).unwrap()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(&self.host).await.unwrap();
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await.unwrap()
    }

    /// What is answered to these bytes until the connection ends.
    async fn answer(&self, call: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(call.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // What cannot be understood may be answered by a reset.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The head of a call that would be taken, with more headers; the connection ends with it.
    fn head(&self, line: &str, more: &str) -> String {
        let Self { host, token, .. } = self;
        format!("{line} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n{more}\r\n")
    }
}

/// A server in the API server's place, which writes down each call as it comes and answers as a trial says.
struct StandIn {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl StandIn {
    async fn start(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, answer) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(answer));
        let hears = heard.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (hears, answer) = (hears.clone(), answer.clone());
                tokio::spawn(async move {
                    while let Some(call) = call(&mut stream).await {
                        // The run itself asks who it is.
                        let said = if call.starts_with("POST /apis/authentication.k8s.io/v1/selfsubjectreviews") {
                            answered(201, "", &caller().to_string())
                        } else {
                            hears.lock().unwrap().push(call.clone());
                            answer(&call)
                        };
                        if stream.write_all(said.as_bytes()).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        Self { address, heard }
    }

    /// One that has an object for every call.
    async fn kind() -> Self {
        Self::start(|_| answered(200, "", &json!({ "kind": "Status", "apiVersion": "v1" }).to_string())).await
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// A kubeconfig that leads to it, with a token.
    fn plugin(&self, folder: &tempfile::TempDir) -> Plugin {
        let file = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "stand-in",
            "clusters": [{ "name": "c", "cluster": { "server": format!("http://{}", self.address) } }],
            "users": [{ "name": "u", "user": { "token": "the-callers-own" } }],
            "contexts": [{ "name": "stand-in", "context": { "cluster": "c", "user": "u", "namespace": "shop" } }]
        });
        let path = folder.path().join("config");
        std::fs::write(&path, file.to_string()).unwrap();
        Plugin::with(&path)
    }
}

/// Who calls, as an API server says it.
fn caller() -> Value {
    json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {},
        "status": { "userInfo": { "username": "u", "groups": ["system:authenticated"] } }
    })
}

/// An answer as it goes over the line.
fn answered(code: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {code} Said\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
}

/// The next call on a connection, head and body, in the letters of the line.
async fn call(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut call = Vec::new();
    while !call.ends_with(b"\r\n\r\n") {
        call.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&call).to_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    call.extend(body);
    Some(String::from_utf8_lossy(&call).into_owned())
}
