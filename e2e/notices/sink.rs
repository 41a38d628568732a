//! A receiver of CloudEvents, written by Standard Webhooks and CloudEvents 1.0, not by what Daypass sends.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::outputs::hmac;

/// How a receiver answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkManner {
    /// It takes the event.
    Takes,
    /// It answers this status, and asks to wait for so many seconds.
    Refuses(u16, Option<u32>),
    /// It sends on to another address.
    SendsTo(String),
}

/// A receiver.
#[derive(Clone)]
pub struct EventSink {
    taken: Arc<Mutex<Vec<Value>>>,
    calls: Arc<Mutex<usize>>,
    manner: Arc<Mutex<SinkManner>>,
    pub url: String,
}

impl EventSink {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/in", listener.local_addr().expect("an address"));
        let manner = Arc::new(Mutex::new(SinkManner::Takes));
        let this = Self { taken: Arc::default(), calls: Arc::default(), manner, url };
        let routes = Router::new().route("/in", post(Self::take)).with_state(this.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        this
    }

    /// How it answers from now on.
    pub fn behave(&self, manner: SinkManner) {
        *self.manner.lock().expect("no panic") = manner;
    }

    /// How many calls it has had, taken or not.
    pub fn calls(&self) -> usize {
        *self.calls.lock().expect("no panic")
    }

    /// What it took, in order, repetitions included.
    pub fn taken(&self) -> Vec<Value> {
        self.taken.lock().expect("no panic").clone()
    }

    /// The types of what it took of a request, in order, repetitions included.
    pub fn of(&self, name: &str) -> Vec<String> {
        let taken = self.taken();
        let of_it = taken.iter().filter(|event| event["data"]["request"]["name"] == name);
        of_it.map(|event| event["data"]["event"].as_str().expect("an event").to_owned()).collect()
    }

    async fn take(Shared(this): Shared<Self>, headers: HeaderMap, body: String) -> Response {
        // Before the call counts: whoever sees that it came may change this.
        let manner = this.manner.lock().expect("no panic").clone();
        *this.calls.lock().expect("no panic") += 1;
        let of = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let signed = format!("{}.{}.{body}", of("webhook-id"), of("webhook-timestamp"));
        let signature = format!("v1,{}", STANDARD.encode(hmac(signed.as_bytes())));
        let event: Value = serde_json::from_str(&body).unwrap_or_default();
        let is_sound = of("webhook-signature") == signature
            && of("content-type").starts_with("application/cloudevents+json")
            && event["specversion"] == "1.0"
            && event["id"] == of("webhook-id");
        if !is_sound {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        match manner {
            SinkManner::Takes => {
                this.taken.lock().expect("no panic").push(event);
                StatusCode::NO_CONTENT.into_response()
            }
            SinkManner::Refuses(status, after) => {
                let status = StatusCode::from_u16(status).expect("a status");
                let after = after.map(|seconds| [(header::RETRY_AFTER, seconds.to_string())]);
                after.map_or(status.into_response(), |after| (status, after).into_response())
            }
            SinkManner::SendsTo(url) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, url)]).into_response(),
        }
    }
}
