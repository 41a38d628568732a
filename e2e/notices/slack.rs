//! A workspace of Slack, as far as a bot sees it: written by Slack's documentation of chat.postMessage and chat.update, not by
//! what Daypass sends.

use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub const TOKEN: &str = "xoxb-not-a-real-token";
pub const CHANNEL: &str = "C024BE91L";

/// A message in the channel.
#[derive(Clone, Debug)]
pub struct SlackMessage {
    pub ts: String,
    /// The message that it answers to.
    pub thread: Option<String>,
    /// What it said, from the first to the last.
    pub versions: Vec<Value>,
}

impl SlackMessage {
    /// Its titles, from the first to the last.
    pub fn titles(&self) -> Vec<&str> {
        self.versions.iter().map(|version| version["text"].as_str().expect("a text")).collect()
    }

    /// All that its last version shows.
    pub fn shown(&self) -> String {
        self.versions.last().expect("a version").to_string()
    }
}

/// The workspace.
#[derive(Clone, Default)]
pub struct SlackWorkspace {
    messages: Arc<Mutex<Vec<SlackMessage>>>,
    calls: Arc<Mutex<usize>>,
}

impl SlackWorkspace {
    /// Starts it. Where its API is.
    pub async fn start() -> (Self, String) {
        let this = Self::default();
        let routes = Router::new().route("/api/{method}", post(Self::call)).with_state(this.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/api", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (this, url)
    }

    /// The messages of the channel, in order.
    pub fn messages(&self) -> Vec<SlackMessage> {
        self.lock().clone()
    }

    /// The one message of which the last or an earlier title has these words, no answers of threads.
    pub fn message(&self, words: &str) -> Result<SlackMessage, String> {
        let all = self.messages();
        let of_it =
            |message: &&SlackMessage| message.thread.is_none() && message.versions[0].to_string().contains(words);
        match all.iter().filter(of_it).collect::<Vec<_>>()[..] {
            [one] => Ok(one.clone()),
            ref some => Err(format!("{} messages speak of {words}: {all:#?}", some.len())),
        }
    }

    /// How many calls it has had.
    pub fn calls(&self) -> usize {
        *self.calls.lock().expect("no panic")
    }

    fn lock(&self) -> MutexGuard<'_, Vec<SlackMessage>> {
        self.messages.lock().expect("no panic")
    }

    async fn call(
        Shared(this): Shared<Self>,
        Path(method): Path<String>,
        headers: HeaderMap,
        body: String,
    ) -> Response {
        *this.calls.lock().expect("no panic") += 1;
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if header("authorization") != format!("Bearer {TOKEN}") {
            return error("invalid_auth");
        }
        if header("content-type") != "application/json; charset=utf-8" {
            return error("invalid_post_type");
        }
        let Ok(sent) = serde_json::from_str::<Value>(&body) else { return error("invalid_json") };
        if sent["channel"] != CHANNEL {
            return error("channel_not_found");
        }
        if !are_blocks(&sent["blocks"]) {
            return error("invalid_blocks");
        }
        match method.as_str() {
            "chat.postMessage" => this.post(sent),
            "chat.update" => this.update(sent),
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    }

    fn post(&self, sent: Value) -> Response {
        let mut messages = self.lock();
        let thread = sent["thread_ts"].as_str().map(str::to_owned);
        if thread.as_ref().is_some_and(|thread| !messages.iter().any(|message| message.ts == *thread)) {
            return error("thread_not_found");
        }
        let ts = format!("1764500000.{:06}", messages.len() + 1);
        messages.push(SlackMessage { ts: ts.clone(), thread, versions: vec![sent] });
        answer(json!({ "ok": true, "channel": CHANNEL, "ts": ts, "message": { "type": "message" } }))
    }

    fn update(&self, sent: Value) -> Response {
        let mut messages = self.lock();
        let Some(message) = messages.iter_mut().find(|message| sent["ts"] == message.ts) else {
            return error("message_not_found");
        };
        message.versions.push(sent);
        answer(json!({ "ok": true, "channel": CHANNEL, "ts": message.ts, "text": "" }))
    }
}

/// Slack says by HTTP that all is well, and in the body that it is not.
fn error(word: &str) -> Response {
    answer(json!({ "ok": false, "error": word }))
}

fn answer(body: Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], body.to_string()).into_response()
}

/// Whether these are blocks within the limits of Slack's reference of Block Kit.
fn are_blocks(blocks: &Value) -> bool {
    let length = |value: &Value| value["text"].as_str().map_or(0, |text| text.chars().count());
    let text = |value: &Value, most: usize| (1..=most).contains(&length(value));
    let fits = |block: &Value| match block["type"].as_str() {
        Some("header") => block["text"]["type"] == "plain_text" && text(&block["text"], 150),
        Some("section") => {
            let fields = block["fields"].as_array();
            let fields_fit =
                fields.is_none_or(|fields| fields.len() <= 10 && fields.iter().all(|field| text(field, 2000)));
            fields_fit && (block["text"].is_null() || text(&block["text"], 3000))
        }
        _ => false,
    };
    blocks.as_array().is_some_and(|blocks| blocks.len() <= 50 && blocks.iter().all(fits))
}
