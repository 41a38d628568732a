//! How a witness is asked: HTTP/1.1 by anybody who can reach the port, so all that a caller can take is bounded. Over TLS,
//! or on this machine behind what speaks TLS.
//!
//! Owns the routes, of C2SP tlog-witness, and what is said of a log that has lied. It must not judge.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, error, info};

use super::book::{NotCosigned, WitnessBook};
use crate::core::proof::add_checkpoint::WitnessRefusal;
use crate::runtime::clock::Clock;
use crate::runtime::door::DoorBounds;

/// What connections can take.
const BOUNDS: DoorBounds = DoorBounds {
    connections: 64,
    handshake: Duration::from_secs(5),
    idle: Duration::from_secs(120),
    head: 16 << 10,
    linger: Duration::ZERO,
    drain: Duration::from_secs(5),
};
/// Most bytes of a question: a proof, and a checkpoint with the signatures of many.
const MOST_BYTES: usize = 64 << 10;
/// For how long a question may arrive.
const ARRIVES: Duration = Duration::from_secs(10);

/// Answers until it is asked to stop; `tls`: over that, else in the clear.
pub async fn serve(
    listener: TcpListener,
    book: Arc<WitnessBook>,
    tls: Option<TlsAcceptor>,
    stop: watch::Receiver<bool>,
) {
    let routes = routes(book);
    let answer = |stream, watcher| {
        let (tls, service) = (tls.clone(), TowerToHyperService::new(routes.clone()));
        async move {
            match tls {
                None => BOUNDS.answer(stream, service, watcher).await,
                Some(tls) => {
                    if let Some(stream) = BOUNDS.shake_hands(&tls, stream).await {
                        BOUNDS.answer(stream, service, watcher).await;
                    }
                }
            }
        }
    };
    BOUNDS.take(listener, stop, answer).await;
}

/// What it answers.
pub fn routes(book: Arc<WitnessBook>) -> Router {
    Router::new()
        .route("/add-checkpoint", post(add))
        .route("/{log}/checkpoint", get(last))
        .route("/livez", get(async || "ok\n"))
        .with_state(book)
}

async fn add(State(book): State<Arc<WitnessBook>>, request: Request<Body>) -> Response {
    let body = match timeout(ARRIVES, to_bytes(request.into_body(), MOST_BYTES)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return (StatusCode::PAYLOAD_TOO_LARGE, "it is longer than 64 KiB\n").into_response(),
        Err(_) => return (StatusCode::REQUEST_TIMEOUT, "it did not arrive in time\n").into_response(),
    };
    let Ok(body) = String::from_utf8(body.to_vec()) else {
        return (StatusCode::BAD_REQUEST, "it is no text\n").into_response();
    };
    let at = u64::try_from(Clock::wall().now().as_second()).unwrap_or_default();
    // It waits for the disk.
    match tokio::task::spawn_blocking(move || book.add(&body, at)).await {
        Ok(Ok(line)) => {
            info!("cosigned a checkpoint");
            line.into_response()
        }
        Ok(Err(NotCosigned::Forked { refusal, evidence })) => {
            error!(evidence = %evidence.display(), "A LOG HAS SIGNED TWO HISTORIES, and nothing of it is cosigned: {refusal}");
            refused(&refusal)
        }
        Ok(Err(NotCosigned::Refused(refusal))) => {
            debug!(%refusal, "refused a checkpoint");
            refused(&refusal)
        }
        Ok(Err(NotCosigned::Unkept(error))) => {
            error!(%error, "cannot keep a checkpoint, so it is not cosigned");
            (StatusCode::SERVICE_UNAVAILABLE, "the checkpoint cannot be kept\n").into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn last(State(book): State<Arc<WitnessBook>>, Path(log): Path<String>) -> Response {
    match book.last(&log) {
        Some(note) => note.into_response(),
        None => (StatusCode::NOT_FOUND, "no checkpoint of such a log was cosigned\n").into_response(),
    }
}

fn refused(refusal: &WitnessRefusal) -> Response {
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
    match refusal {
        WitnessRefusal::OtherSize(size) => {
            (status, [(header::CONTENT_TYPE, "text/x.tlog.size")], format!("{size}\n")).into_response()
        }
        refusal => (status, format!("{refusal}\n")).into_response(),
    }
}
