//! Owns a page that is open for somebody, and the calls that a browser, or somebody who plays one, makes to it.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::Cluster;
use crate::harness::plugin::{Plugin, Running};
use crate::harness::users::User;

/// What a call of the page itself carries, beside its host and the cookie.
pub const OF_PAGE: &str = "Sec-Fetch-Site: same-origin\r\nX-Daypass: page\r\n";
/// How a body of JSON says what it is.
pub const JSON: &str = "Content-Type: application/json\r\n";

/// `kubectl daypass ui` of somebody.
pub struct OpenPage {
    pub running: Running,
    /// Host and port.
    pub host: String,
    /// Path of the view that it opens.
    pub view: String,
    /// The one-time token.
    pub token: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn of(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
        let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
        let body = if chunked { unchunked(body) } else { body.to_owned() };
        Self { status, head: head.to_owned(), body }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code, and the word of a refusal.
    pub fn refusal(&self) -> (u16, String) {
        (self.status, self.json()["reason"].as_str().unwrap_or_default().to_owned())
    }

    /// Likewise, of a call that must be answered.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()
    }
}

/// A body without its chunks, as far as it came.
pub fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((length, rest)) = body.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap_or_default();
        let Some(piece) = rest.get(..length).filter(|piece| !piece.is_empty()) else { break };
        whole += piece;
        body = rest[length..].trim_start_matches("\r\n");
    }
    whole
}

impl OpenPage {
    pub async fn of(cluster: &Cluster, user: User) -> Self {
        Self::by(&Plugin::of(cluster, user), &[]).await
    }

    pub async fn by(plugin: &Plugin, more: &[&str]) -> Self {
        let mut running = plugin.start(&[&["ui", "--no-browser"], more].concat());
        let printed = running.until_printed("\n").await;
        let (page, token) = printed.trim().split_once("#token=").unwrap();
        let (host, view) = page.trim_start_matches("http://").split_once('/').unwrap();
        Self { host: host.to_owned(), view: format!("/{view}"), token: token.to_owned(), running }
    }

    /// What is answered to these bytes, until the other side ends the connection.
    pub async fn raw(&self, call: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.host).await.unwrap();
        stream.write_all(call.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // One that is refused in the middle may be reset.
        let _ = stream.read_to_end(&mut answer).await;
        Answer::of(&String::from_utf8_lossy(&answer))
    }

    /// A call with these headers, each with its end of line.
    pub async fn call(&self, line: &str, headers: &str, body: &str) -> Answer {
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let host = &self.host;
        self.raw(&format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}{length}\r\n{body}")).await
    }

    /// Exchanges a token for a cookie.
    pub async fn exchange(&self, token: &str) -> Answer {
        self.call("POST /session", &format!("{OF_PAGE}{JSON}"), &json!({ "token": token }).to_string()).await
    }

    /// The page in a browser that has opened its URL.
    pub async fn signed_in(self) -> Tab {
        let answer = self.exchange(&self.token).await;
        assert_eq!(answer.status, 204, "{answer:?}");
        let set = answer.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        Tab { cookie: set.split_once(';').unwrap().0.to_owned(), page: self }
    }
}

/// A browser in which the page is open.
pub struct Tab {
    pub page: OpenPage,
    /// Name and value.
    pub cookie: String,
}

impl Tab {
    pub async fn of(cluster: &Arc<Cluster>, user: User) -> Self {
        OpenPage::of(cluster, user).await.signed_in().await
    }

    /// What the page's own calls carry.
    pub fn headers(&self) -> String {
        format!("{OF_PAGE}Cookie: {}\r\n", self.cookie)
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.page.call(&format!("GET {path}"), &self.headers(), "").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let headers = format!("{}{JSON}", self.headers());
        self.page.call(&format!("POST {path}"), &headers, &body.to_string()).await
    }

    pub async fn review(&self, namespace: &str, name: &str, patch: &Value) -> Answer {
        let path = format!("{}/{name}/status", requests(namespace));
        let headers = format!("{}Content-Type: application/merge-patch+json\r\n", self.headers());
        self.page.call(&format!("PATCH {path}"), &headers, &patch.to_string()).await
    }
}

/// Where the requests of a namespace are on the page.
pub fn requests(namespace: &str) -> String {
    format!("/k/apis/daypass.dev/v1alpha1/namespaces/{namespace}/accessrequests")
}
