//! Liveness, readiness and metrics over HTTP. Liveness never depends on the cluster; readiness says what it waits
//! for. What the figures are is for [`super::metrics`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;

use super::gate::Leadership;
use super::metrics;

/// The longest that an answer may be asked to wait, in seconds: whoever has gone away meanwhile is still waited for.
const LONGEST_WAIT: u64 = 60;

/// What the process still waits for before it is ready. A replica that stands by is ready like one that leads: a
/// rolling update waits for the new one to be ready before it stops the old one, which leads.
#[derive(Clone, Debug)]
pub struct Readiness {
    waiting: Arc<watch::Sender<BTreeMap<&'static str, String>>>,
    /// Namespaces that should be served and cannot be read, each with the kinds.
    unreadable: Arc<Mutex<BTreeMap<String, BTreeSet<&'static str>>>>,
    /// What is no reason to wait and should be known, by who says it; see [`Self::remark`].
    remarks: Arc<Mutex<BTreeMap<&'static str, String>>>,
    leadership: Leadership,
}

impl Readiness {
    /// Not ready until each of these is done.
    pub fn waiting_for(parts: impl IntoIterator<Item = &'static str>, leadership: Leadership) -> Self {
        let waiting = watch::Sender::new(parts.into_iter().map(|part| (part, String::new())).collect());
        Self { waiting: Arc::new(waiting), unreadable: Arc::default(), remarks: Arc::default(), leadership }
    }

    /// One of them is done.
    pub fn done(&self, part: &str) {
        self.waiting.send_modify(|waiting| drop(waiting.remove(part)));
    }

    /// One of them is not done, or not any more, and why.
    pub fn wait_for(&self, part: &'static str, why: &str) {
        self.waiting.send_modify(|waiting| drop(waiting.insert(part, why.to_owned())));
    }

    /// Whether a kind cannot be read in a namespace. That is said, and nobody waits for it.
    pub fn note_unreadable(&self, kind: &'static str, namespace: &str, is: bool) {
        let mut unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        let kinds = unreadable.entry(namespace.to_owned()).or_default();
        if is {
            kinds.insert(kind)
        } else {
            kinds.remove(kind)
        };
        unreadable.retain(|_, kinds| !kinds.is_empty());
    }

    /// Something that is no reason to wait and should be known, in place of what this part said last.
    pub fn remark(&self, part: &'static str, remark: Option<&str>) {
        let mut remarks = self.remarks.lock().unwrap_or_else(PoisonError::into_inner);
        match remark {
            Some(remark) => remarks.insert(part, remark.to_owned()),
            None => remarks.remove(part),
        };
    }

    /// What stands at the end of an answer: what cannot be read, and what else should be known.
    fn unread(&self) -> String {
        let remarks = self.remarks.lock().unwrap_or_else(PoisonError::into_inner);
        let remarks = remarks.values().map(|remark| format!("; {remark}"));
        let unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        let line = |(namespace, kinds): (&String, &BTreeSet<&str>)| {
            format!("; cannot read namespace {namespace} ({})", kinds.iter().copied().collect::<Vec<_>>().join(", "))
        };
        unreadable.iter().map(line).chain(remarks).collect()
    }

    /// Says why one of them is not done yet. Nothing when it is: what was read once is followed on.
    pub fn hindered(&self, part: &str, why: &str) {
        self.waiting.send_modify(|waiting| {
            if let Some(known) = waiting.get_mut(part) {
                why.clone_into(known);
            }
        });
    }

    /// The answer as soon as it is that all is done, and after `wait` in any case.
    async fn answer_within(&self, wait: Duration) -> (StatusCode, String) {
        let mut waiting = self.waiting.subscribe();
        let _ = timeout(wait, waiting.wait_for(BTreeMap::is_empty)).await;
        self.answer()
    }

    /// What `/readyz` answers.
    pub fn answer(&self) -> (StatusCode, String) {
        let waiting = self.waiting.borrow();
        if waiting.is_empty() {
            (StatusCode::OK, format!("ok: {}{}\n", self.leadership.role(), self.unread()))
        } else {
            let line = |(part, why): (&&str, &String)| {
                if why.is_empty() { (*part).to_owned() } else { format!("{part} ({why})") }
            };
            let parts: Vec<String> = waiting.iter().map(line).collect();
            (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for: {}{}\n", parts.join(", "), self.unread()))
        }
    }
}

/// A port that cannot be opened, or is lost.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {why}")]
pub struct NoListener {
    address: SocketAddr,
    #[source]
    why: std::io::Error,
}

impl NoListener {
    /// What an error about the port at this address comes to.
    pub fn on(address: SocketAddr) -> impl FnOnce(std::io::Error) -> Self + Copy {
        move |why| Self { address, why }
    }
}

/// Opens a port.
///
/// # Errors
/// When the address cannot be used.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, NoListener> {
    TcpListener::bind(address).await.map_err(NoListener::on(address))
}

/// Answers `/livez`, `/readyz` and `/metrics` for as long as the process runs. `scrape` gives the figures as OpenMetrics.
///
/// # Errors
/// When the port is lost.
pub async fn serve(
    listener: TcpListener,
    readiness: Readiness,
    scrape: impl Fn() -> Result<String, std::fmt::Error> + Clone + Send + Sync + 'static,
) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(move |uri: Uri| async move { ready(&readiness, &uri).await }))
        .route("/metrics", get(move || async move { scraped(&scrape) }));
    axum::serve(listener, routes).await
}

/// Answers `/livez` and `/readyz` over plain HTTP, for the kubelet. Ready is who is not asked to stop.
///
/// # Errors
/// When the port is lost.
pub async fn serve_probes(listener: TcpListener, stop: watch::Receiver<bool>) -> std::io::Result<()> {
    let ready = move || async move {
        if *stop.borrow() { (StatusCode::SERVICE_UNAVAILABLE, "stops\n") } else { (StatusCode::OK, "ok\n") }
    };
    let routes = Router::new().route("/livez", get(|| async { "ok\n" })).route("/readyz", get(ready));
    axum::serve(listener, routes).await
}

async fn ready(readiness: &Readiness, uri: &Uri) -> (StatusCode, String) {
    match wait(uri.query().unwrap_or_default()) {
        Ok(wait) => readiness.answer_within(wait).await,
        Err(why) => (StatusCode::BAD_REQUEST, why),
    }
}

/// For how long whoever asks would have a good answer waited for: `wait=SECONDS` of a query.
fn wait(query: &str) -> Result<Duration, String> {
    let Some(seconds) = query.split('&').find_map(|pair| pair.strip_prefix("wait=")) else { return Ok(Duration::ZERO) };
    let whole = seconds.parse().ok().filter(|whole| *whole <= LONGEST_WAIT);
    let why = || format!("wait: {seconds:?} is not a number of seconds up to {LONGEST_WAIT}; write it as wait=4\n");
    whole.map(Duration::from_secs).ok_or_else(why)
}

/// The answer to `/metrics`.
///
/// # Errors
/// When the figures cannot be written.
pub fn scraped(scrape: impl Fn() -> Result<String, std::fmt::Error>) -> Result<Response, StatusCode> {
    let text = scrape().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::runtime::gate::seat;

    #[test]
    fn readiness_says_what_it_waits_for() {
        let (seat, leadership) = seat();
        let readiness = Readiness::waiting_for(["policies", "namespaces"], leadership);
        readiness.done("policies");
        assert_eq!(readiness.answer(), (StatusCode::SERVICE_UNAVAILABLE, "waiting for: namespaces\n".to_owned()));
        readiness.hindered("namespaces", "forbidden");
        readiness.hindered("policies", "forbidden");
        let waiting = "waiting for: namespaces (forbidden)\n".to_owned();
        assert_eq!(readiness.answer(), (StatusCode::SERVICE_UNAVAILABLE, waiting));
        readiness.done("namespaces");
        assert_eq!(readiness.answer(), (StatusCode::OK, "ok: stands by\n".to_owned()));
        seat.stand_by(Some("daypass-0 leads".into()));
        assert_eq!(readiness.answer(), (StatusCode::OK, "ok: stands by; daypass-0 leads\n".to_owned()));
        seat.take_for_good();
        assert_eq!(readiness.answer(), (StatusCode::OK, "ok: leads\n".to_owned()));
        readiness.wait_for("guard", "it is missing");
        let waiting = "waiting for: guard (it is missing)\n".to_owned();
        assert_eq!(readiness.answer(), (StatusCode::SERVICE_UNAVAILABLE, waiting));
    }

    /// What a probe with this query is answered, and after how many milliseconds.
    async fn asked(readiness: &Readiness, query: &str) -> (StatusCode, u128) {
        let began = tokio::time::Instant::now();
        let (status, _) = ready(readiness, &format!("/readyz{query}").parse().unwrap()).await;
        (status, began.elapsed().as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_can_have_readiness_waited_for() {
        let readiness = Readiness::waiting_for(["policies", "guard"], seat().1);
        assert_eq!(asked(&readiness, "").await, (StatusCode::SERVICE_UNAVAILABLE, 0));
        assert_eq!(asked(&readiness, "?wait=4").await, (StatusCode::SERVICE_UNAVAILABLE, 4000));
        let becomes_ready = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            readiness.done("policies");
            tokio::time::sleep(Duration::from_millis(700)).await;
            readiness.done("guard");
        };
        let (answer, ()) = tokio::join!(asked(&readiness, "?verbose&wait=4"), becomes_ready);
        assert_eq!(answer, (StatusCode::OK, 1000));
        assert_eq!(asked(&readiness, "?wait=4").await, (StatusCode::OK, 0));
    }

    #[tokio::test]
    async fn a_wait_that_is_none_is_refused_by_its_name() {
        let readiness = Readiness::waiting_for([], seat().1);
        for query in ["wait=4s", "wait=", "wait=-1", "wait=61", "wait=99999999999999999999"] {
            let (status, why) = ready(&readiness, &format!("/readyz?{query}").parse().unwrap()).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
            assert!(why.starts_with("wait: ") && why.contains("wait=4"), "{query}: {why}");
        }
        assert_eq!(wait("wait=60"), Ok(Duration::from_secs(60)));
    }

    #[test]
    fn a_namespace_that_cannot_be_read_is_said_and_not_waited_for() {
        let readiness = Readiness::waiting_for(["policies"], seat().1);
        readiness.note_unreadable("roles", "shop", true);
        readiness.note_unreadable("accessrequests", "shop", true);
        readiness.note_unreadable("roles", "bank", true);
        let unread = "; cannot read namespace bank (roles); cannot read namespace shop (accessrequests, roles)\n";
        assert_eq!(readiness.answer(), (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for: policies{unread}")));
        readiness.done("policies");
        assert_eq!(readiness.answer(), (StatusCode::OK, format!("ok: stands by{unread}")));
        for (kind, namespace) in [("roles", "shop"), ("accessrequests", "shop"), ("roles", "bank")] {
            readiness.note_unreadable(kind, namespace, false);
        }
        assert_eq!(readiness.answer(), (StatusCode::OK, "ok: stands by\n".to_owned()));
    }

    #[test]
    fn a_scrape_says_that_it_is_open_metrics() {
        let answer = scraped(|| metrics::Metrics::default().text()).into_response();
        assert_eq!(answer.status(), StatusCode::OK);
        let content_type = answer.headers()[header::CONTENT_TYPE].to_str().unwrap();
        assert!(content_type.starts_with("application/openmetrics-text; version=1.0.0"), "{content_type}");
    }

    #[tokio::test]
    async fn probes_tell_who_is_about_to_stop() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(serve_probes(listener, stopped));
        let get = async |path: &str| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let asked = format!("GET {path} HTTP/1.1\r\nhost: s\r\nconnection: close\r\n\r\n");
            stream.write_all(asked.as_bytes()).await.unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).await.unwrap();
            text[9..12].to_owned()
        };
        assert_eq!((get("/livez").await.as_str(), get("/readyz").await.as_str()), ("200", "200"));
        stop.send_replace(true);
        assert_eq!((get("/livez").await.as_str(), get("/readyz").await.as_str()), ("200", "503"));
    }
}
