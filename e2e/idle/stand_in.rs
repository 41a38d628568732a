//! Owns an archive of the trials: it takes records, and says of the use of grants what a trial has it say: by the audit logs of
//! the API servers, lies, or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use daypass::api::activity::{HeardServer, KnownUse, USES_PATH, UseCount, UsesAsked, UsesKnown};
use daypass::api::delivery::{ChainAnswer, ChainAnswers, HEADS_PATH, HeldChain, OPEN_PATH, OpenChains, RECORDS_PATH};
use daypass::api::record::digest;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::harness::ControlPlane;
use crate::harness::issuer;
use crate::harness::wait::now;

/// The canary, as the API server knows it.
const CANARY: &str = "system:serviceaccount:daypass-system:daypass-canary";
/// A longer time without a mark is a gap.
const GAP: SignedDuration = SignedDuration::from_secs(60);

/// What is said of the use of grants; none for no answer.
pub type Saying = Box<dyn Fn(&UsesAsked) -> Option<UsesKnown> + Send>;

/// The archive. It ends with the runtime that it was started on.
pub struct StandInArchive {
    flags: Vec<String>,
    state: Arc<StandInArchiveState>,
}

struct StandInArchiveState {
    says: Mutex<Saying>,
    /// How often each request was asked about since it says this.
    asked: Mutex<BTreeMap<String, usize>>,
    held: Mutex<BTreeMap<String, HeldChain>>,
}

impl StandInArchive {
    pub async fn start(control_plane: &ControlPlane) -> Self {
        let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("make a certificate");
        let acceptor = issuer::acceptor(&own);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let at = |name: &str| control_plane.dir().join(name);
        std::fs::write(at("stand-in.crt"), own.cert.pem()).expect("write its certificate");
        std::fs::write(at("stand-in.token"), "token").expect("write a token");
        let flags = vec![
            format!("--archive=https://{}", listener.local_addr().expect("its address")),
            format!("--archive-ca={}", at("stand-in.crt").display()),
            format!("--archive-token={}", at("stand-in.token").display()),
            "--activity".to_owned(),
        ];
        let state = Arc::new(StandInArchiveState {
            says: Mutex::new(Box::new(|_| None)),
            asked: Mutex::default(),
            held: Mutex::default(),
        });
        let routes = Router::new()
            .route(USES_PATH, post(uses))
            .route(HEADS_PATH, get(heads))
            .route(OPEN_PATH, get(async || said(&OpenChains::default())))
            .route(RECORDS_PATH, post(records))
            .with_state(state.clone());
        issuer::serve(listener, acceptor, routes);
        Self { flags, state }
    }

    /// What tells a controller to call it.
    pub fn flags(&self) -> Vec<&str> {
        self.flags.iter().map(String::as_str).collect()
    }

    /// From now on it says what stands in these audit logs, and nothing else.
    pub fn hears(&self, logs: Vec<PathBuf>) {
        self.says(Box::new(move |asked| Some(heard(&logs, asked))));
    }

    /// From now on it says this.
    pub fn says(&self, says: Saying) {
        *lock(&self.state.says) = says;
        lock(&self.state.asked).clear();
    }

    /// What it says now of the API servers that it hears.
    pub fn servers(&self) -> Vec<HeardServer> {
        let nothing = UsesAsked { requests: Vec::new() };
        lock(&self.state.says)(&nothing).map(|known| known.servers).unwrap_or_default()
    }

    /// How often it was asked about a request since it says what it does.
    pub fn asked(&self, uid: &str) -> usize {
        lock(&self.state.asked).get(uid).copied().unwrap_or_default()
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn said(answer: &impl serde::Serialize) -> Response {
    ([(CONTENT_TYPE, "application/json")], json!(answer).to_string()).into_response()
}

async fn uses(State(state): State<Arc<StandInArchiveState>>, body: String) -> Response {
    let asked: UsesAsked = serde_json::from_str(&body).expect("a question");
    for uid in &asked.requests {
        *lock(&state.asked).entry(uid.clone()).or_default() += 1;
    }
    let answer = lock(&state.says)(&asked);
    answer.map_or_else(|| StatusCode::SERVICE_UNAVAILABLE.into_response(), |known| said(&known))
}

async fn heads(State(state): State<Arc<StandInArchiveState>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let uids = query.split('&').filter_map(|part| part.strip_prefix("uid=")).map(str::to_owned);
    said(&state.answers(uids.collect()))
}

async fn records(State(state): State<Arc<StandInArchiveState>>, body: String) -> Response {
    let mut uids = BTreeSet::new();
    for line in body.lines() {
        let record: Value = serde_json::from_str(line).expect("a line of JSON");
        let Some(uid) = record["request"]["uid"].as_str() else { continue };
        let index = u32::try_from(record["index"].as_u64().expect("an index")).expect("a small one");
        let held = HeldChain { held: index + 1, digest: Some(digest(line.as_bytes())) };
        lock(&state.held).insert(uid.to_owned(), held);
        uids.insert(uid.to_owned());
    }
    said(&state.answers(uids))
}

impl StandInArchiveState {
    fn answers(&self, uids: BTreeSet<String>) -> ChainAnswers {
        let held = lock(&self.held);
        let answer =
            |uid: String| ChainAnswer { held: held.get(&uid).cloned().unwrap_or_default(), uid, refused: None };
        ChainAnswers { requests: uids.into_iter().map(answer).collect(), lacks: Vec::new() }
    }
}

/// What stands in audit logs, as an archive counts it.
fn heard(logs: &[PathBuf], asked: &UsesAsked) -> UsesKnown {
    let mut known = UsesKnown::default();
    for event in logs.iter().flat_map(events) {
        mark(&event, &mut known.servers);
        let Some(uid) = request_of(&event).filter(|uid| asked.requests.contains(uid)) else { continue };
        count(&event, uid, &mut known.uses);
    }
    known
}

fn events(log: &PathBuf) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let complete = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
    complete.lines().map(|line| serde_json::from_str(line).expect("an audit event")).collect()
}

fn time(event: &Value) -> Timestamp {
    event["stageTimestamp"].as_str().and_then(|at| at.parse().ok()).unwrap_or_else(now)
}

/// A mark of the canary. What others say of themselves is none.
fn mark(event: &Value, servers: &mut Vec<HeardServer>) {
    if event["user"]["username"] != CANARY {
        return;
    }
    let mut words = event["userAgent"].as_str().unwrap_or_default().split(' ');
    let Some(server) = words.find_map(|word| word.strip_prefix("api-server=")) else { return };
    let at = time(event);
    match servers.iter_mut().find(|run| run.server == server) {
        Some(run) if at.duration_since(run.until) <= GAP => run.until = run.until.max(at),
        Some(run) => (run.from, run.until) = (at, at),
        None => servers.push(HeardServer { server: server.to_owned(), from: at, until: at }),
    }
}

/// The request whose binding allowed a call.
fn request_of(event: &Value) -> Option<String> {
    let reason = event["annotations"]["authorization.k8s.io/reason"].as_str()?;
    let binding = reason.strip_prefix("RBAC: allowed by RoleBinding \"daypass-")?;
    binding.split_once('/').map(|(uid, _)| uid.to_owned())
}

fn count(event: &Value, uid: String, uses: &mut Vec<KnownUse>) {
    let at = time(event);
    let index = uses.iter().position(|used| used.uid == uid).unwrap_or(uses.len());
    if index == uses.len() {
        let count = UseCount { first: Some(at), ..UseCount::default() };
        uses.push(KnownUse { uid, count, open: 0, open_beside: 0 });
    }
    let used = &mut uses[index];
    match event["stage"].as_str() {
        Some("ResponseStarted") => (used.open, used.count.calls) = (used.open + 1, used.count.calls + 1),
        Some("ResponseComplete") if is_stream(event) => used.open = used.open.saturating_sub(1),
        _ => used.count.calls += 1,
    }
    used.count.last = used.count.last.max(Some(at));
}

fn is_stream(event: &Value) -> bool {
    event["verb"] == "watch"
}
