//! Owns a page as the chart starts one in the cluster, in places of this machine, and how it is called over one connection.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::binaries;
use super::control_plane::ControlPlane;
use super::install::NAMESPACE;
use super::process::{Process, size};
use super::servers::free_ports;
use super::wait::eventually;
use super::{http, readiness};

/// Name of the page's objects, and of its account.
pub const PAGE: &str = "daypass-page";
/// Its program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_daypass-page");
/// Values with which the chart has a page.
pub const VALUES: [&str; 3] = [
    "page.enabled=true",
    "page.origin=https://access.example.com",
    "page.ingressFrom[0].podSelector.matchLabels.app=oauth2-proxy",
];
/// The host of that origin.
pub const HOST: &str = "access.example.com";
/// What the page's own calls carry, beside host and token.
pub const OF_PAGE: &str = "Sec-Fetch-Site: same-origin\r\nX-Daypass: page\r\n";
/// How long it may take to end: it goes on for a while, until proxies know.
const LIMIT: Duration = Duration::from_secs(60);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(60);

/// A page that runs as its pod would.
pub struct ClusterPage {
    process: Process,
    /// Where the proxy calls, on this machine.
    pub port: u16,
    probed: u16,
}

impl ClusterPage {
    /// Starts the page of the chart with these values and more flags, and waits until it is ready.
    pub async fn start(control_plane: &ControlPlane, name: &str, values: &[&str], more: &[&str]) -> Self {
        let [port, probed] = free_ports();
        let (server, authority) = control_plane.address();
        let place = |arg: String| match arg.split_once('=') {
            Some(("--listen", _)) => format!("--listen=127.0.0.1:{port}"),
            Some(("--probes", _)) => format!("--probes=127.0.0.1:{probed}"),
            Some(("--api-server-ca", _)) => format!("--api-server-ca={authority}"),
            _ => arg,
        };
        let args: Vec<String> = args(control_plane, values).await.into_iter().map(place).collect();
        let flag = |arg: &str| arg.split('=').next().map(str::to_owned);
        let kept = args.into_iter().filter(|arg| !more.iter().any(|other| flag(other) == flag(arg)));
        let args: Vec<String> = kept.chain(more.iter().map(|arg| (*arg).to_owned())).collect();
        // As a kubelet tells every pod.
        let (host, at) = server.trim_start_matches("https://").rsplit_once(':').expect("a port");
        let env = [("KUBERNETES_SERVICE_HOST", host), ("KUBERNETES_SERVICE_PORT", at)];
        let process = Process::spawn(control_plane.dir(), name, Path::new(PROGRAM), &args, &env);
        let mut page = Self { process, port, probed };
        readiness::process("the page is ready", &mut page.process, probed).await;
        page
    }

    /// A connection to it, as a proxy keeps one.
    pub async fn connect(&self) -> KeptConnection {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("connect to the page");
        KeptConnection { stream, read: Vec::new() }
    }

    /// Asks it to end, and waits until it has. The answers of its readiness until then.
    pub async fn terminate(mut self) -> (Vec<u16>, bool) {
        let mut seen = Vec::new();
        self.process.ask_to_end();
        let ended = eventually("the page ends", LIMIT, async || {
            if let Ok((status, _)) = http::get(self.probed, "/readyz").await {
                seen.push(status);
            }
            self.process.exited().ok_or_else(|| "it runs".to_owned())
        });
        let ended = ended.await;
        (seen, ended.success())
    }

    /// What its probes answer at a path.
    pub async fn probe(&self, path: &str) -> Result<(u16, String), String> {
        http::get(self.probed, path).await
    }

    /// The most memory that it had.
    pub fn memory(&self) -> String {
        size(self.process.pid(), "VmHWM")
    }

    /// Everything that it wrote.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// The arguments that the chart gives its container.
async fn args(control_plane: &ControlPlane, values: &[&str]) -> Vec<String> {
    let chart: PathBuf = binaries::repository().join("charts/daypass");
    let chart = chart.display().to_string();
    let mut args = vec!["template", "daypass", &chart, "-n", NAMESPACE, "--show-only", "templates/page.yaml"];
    args.extend(values.iter().flat_map(|value| ["--set", value]));
    let rendered: Vec<Value> = serde_saphyr::from_multiple(&control_plane.helm(&args).await).expect("YAML");
    let deployment = rendered.iter().find(|object| object["kind"] == "Deployment").expect("a Deployment");
    let args = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
    args.as_array().expect("arguments").iter().map(|arg| arg.as_str().expect("a text").to_owned()).collect()
}

/// A connection that one call after the other is made over, by whomever.
pub struct KeptConnection {
    stream: TcpStream,
    /// What came and was not asked for yet.
    read: Vec<u8>,
}

/// What came back over one.
#[derive(Debug)]
pub struct KeptAnswer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl KeptAnswer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code, and the word of a refusal.
    pub fn refusal(&self) -> (u16, String) {
        (self.status, self.json()["reason"].as_str().unwrap_or_default().to_owned())
    }

    /// A header of it.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

impl KeptConnection {
    /// Makes a call of the page's own, with these headers, each with its end of line.
    pub async fn call(&mut self, line: &str, headers: &str, body: &str) -> KeptAnswer {
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        self.send(&format!("{line} HTTP/1.1\r\nHost: {HOST}\r\n{OF_PAGE}{headers}{length}\r\n{body}")).await;
        self.answer().await.expect("an answer")
    }

    /// Writes these bytes.
    pub async fn send(&mut self, bytes: &str) {
        self.stream.write_all(bytes.as_bytes()).await.expect("write to the page");
    }

    /// The next answer; none when the other side has ended the connection.
    pub async fn answer(&mut self) -> Option<KeptAnswer> {
        let head = self.until(|read| find(read, b"\r\n\r\n").map(|at| at + 4)).await?;
        let head = String::from_utf8_lossy(&head).into_owned();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let mut answer = KeptAnswer { status, head, body: Vec::new() };
        if let Some(length) = answer.header("content-length").map(|length| length.parse::<usize>().expect("a length")) {
            answer.body = self.until(|read| (read.len() >= length).then_some(length)).await?;
        } else if answer.header("transfer-encoding").is_some() {
            while let Some(piece) = self.chunk().await {
                answer.body.extend(piece);
            }
        }
        Some(answer)
    }

    /// The head of an answer that goes on.
    pub async fn head(&mut self) -> String {
        let head = self.until(|read| find(read, b"\r\n\r\n").map(|at| at + 4)).await.expect("a head");
        String::from_utf8_lossy(&head).into_owned()
    }

    /// The next piece of an answer that goes on; none at its end.
    pub async fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.until(|read| find(read, b"\r\n").map(|at| at + 2)).await?;
        let length = usize::from_str_radix(String::from_utf8_lossy(&line).trim(), 16).expect("a length");
        let piece = self.until(|read| (read.len() >= length + 2).then_some(length + 2)).await?;
        (length > 0).then(|| piece[..length].to_vec())
    }

    /// So many bytes as `length` says that are whole; none when the other side ends before.
    async fn until(&mut self, length: impl Fn(&[u8]) -> Option<usize>) -> Option<Vec<u8>> {
        loop {
            if let Some(length) = length(&self.read) {
                return Some(self.read.drain(..length).collect());
            }
            let mut piece = [0; 16384];
            let read = tokio::time::timeout(ANSWER, self.stream.read(&mut piece)).await.expect("an answer in time");
            match read {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.read.extend(&piece[..count]),
            }
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
