//! Liveness and readiness over HTTP. Liveness never depends on the cluster; readiness says what it waits for.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;

/// What the process still waits for before it is ready.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Readiness {
    /// Not ready until each of these is done.
    pub fn waiting_for(parts: impl IntoIterator<Item = &'static str>) -> Self {
        Self(Arc::new(Mutex::new(parts.into_iter().map(|part| (part, String::new())).collect())))
    }

    /// One of them is done.
    pub fn done(&self, part: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(part);
    }

    /// One of them is not done, or not any more, and why.
    pub fn wait_for(&self, part: &'static str, why: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(part, why.to_owned());
    }

    fn answer(&self) -> (StatusCode, String) {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.is_empty() {
            (StatusCode::OK, "ok\n".to_owned())
        } else {
            let said = |(part, why): (&&str, &String)| {
                if why.is_empty() { (*part).to_owned() } else { format!("{part} ({why})") }
            };
            let parts: Vec<String> = waiting.iter().map(said).collect();
            (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for: {}\n", parts.join(", ")))
        }
    }
}

/// Opens the port for the probes.
///
/// # Errors
/// When the address cannot be used.
pub async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Answers `/livez` and `/readyz` for as long as the process runs.
///
/// # Errors
/// When the port is lost.
pub async fn serve(listener: TcpListener, readiness: Readiness) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(|State(readiness): State<Readiness>| async move { readiness.answer() }))
        .with_state(readiness);
    axum::serve(listener, routes).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_says_what_it_waits_for() {
        let readiness = Readiness::waiting_for(["policies", "namespaces"]);
        readiness.done("policies");
        assert_eq!(readiness.answer(), (StatusCode::SERVICE_UNAVAILABLE, "waiting for: namespaces\n".to_owned()));
        readiness.done("namespaces");
        assert_eq!(readiness.answer().0, StatusCode::OK);
        readiness.wait_for("guard", "it is missing");
        let waiting = "waiting for: guard (it is missing)\n".to_owned();
        assert_eq!(readiness.answer(), (StatusCode::SERVICE_UNAVAILABLE, waiting));
    }
}
