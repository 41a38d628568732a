//! Liveness, readiness and metrics over HTTP. Liveness never depends on the cluster; readiness says what it waits
//! for. What the figures are is for [`super::metrics`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::gate::Leadership;
use super::metrics::{self, Metrics};

/// What the process still waits for before it is ready. A replica that stands by is ready like one that leads: a
/// rolling update waits for the new one to be ready before it stops the old one, which leads.
#[derive(Clone, Debug)]
pub struct Readiness {
    waiting: Arc<Mutex<BTreeMap<&'static str, String>>>,
    /// Namespaces that should be served and cannot be read, each with the kinds.
    unreadable: Arc<Mutex<BTreeMap<String, BTreeSet<&'static str>>>>,
    /// What is no reason to wait and should be known; see [`Self::remark`].
    remark: Arc<Mutex<Option<String>>>,
    leadership: Leadership,
}

impl Readiness {
    /// Not ready until each of these is done.
    pub fn waiting_for(parts: impl IntoIterator<Item = &'static str>, leadership: Leadership) -> Self {
        let waiting = parts.into_iter().map(|part| (part, String::new())).collect();
        Self { waiting: Arc::new(Mutex::new(waiting)), unreadable: Arc::default(), remark: Arc::default(), leadership }
    }

    /// One of them is done.
    pub fn done(&self, part: &str) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(part);
    }

    /// One of them is not done, or not any more, and why.
    pub fn wait_for(&self, part: &'static str, why: &str) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(part, why.to_owned());
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

    /// Something that is no reason to wait and should be known, in place of what was said last.
    pub fn remark(&self, remark: Option<&str>) {
        *self.remark.lock().unwrap_or_else(PoisonError::into_inner) = remark.map(str::to_owned);
    }

    /// What stands at the end of an answer: what cannot be read, and what else should be known.
    fn unread(&self) -> String {
        let remark = self.remark.lock().unwrap_or_else(PoisonError::into_inner);
        let remark = remark.as_ref().map(|remark| format!("; {remark}")).unwrap_or_default();
        let unreadable = self.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        let line = |(namespace, kinds): (&String, &BTreeSet<&str>)| {
            format!("; cannot read namespace {namespace} ({})", kinds.iter().copied().collect::<Vec<_>>().join(", "))
        };
        unreadable.iter().map(line).chain([remark]).collect()
    }

    /// Says why one of them is not done yet. Nothing when it is: what was read once is followed on.
    pub fn hindered(&self, part: &str, why: &str) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = waiting.get_mut(part) {
            why.clone_into(known);
        }
    }

    fn answer(&self) -> (StatusCode, String) {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
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

/// Opens the port for the probes and the metrics.
///
/// # Errors
/// When the address cannot be used.
pub async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Answers `/livez`, `/readyz` and `/metrics` for as long as the process runs.
///
/// # Errors
/// When the port is lost.
pub async fn serve(listener: TcpListener, readiness: Readiness, metrics: Metrics) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(move || async move { readiness.answer() }))
        .route("/metrics", get(move || async move { scraped(&metrics) }));
    axum::serve(listener, routes).await
}

fn scraped(metrics: &Metrics) -> Result<Response, StatusCode> {
    let text = metrics.text().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

#[cfg(test)]
mod tests {
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
        let answer = scraped(&Metrics::default()).into_response();
        assert_eq!(answer.status(), StatusCode::OK);
        let content_type = answer.headers()[header::CONTENT_TYPE].to_str().unwrap();
        assert!(content_type.starts_with("application/openmetrics-text; version=1.0.0"), "{content_type}");
    }
}
