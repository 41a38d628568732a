//! How the page begins, what it streams, and what it says while the API server is away.

use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::tab::{OpenPage, Tab, requests, unchunked};
use crate::harness::cast::SOON;
use crate::harness::plugin::Plugin;
use crate::harness::users::{ADMIN, ALICE, CAROL};
use crate::harness::{Cluster, private, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("page::is_opened_at_a_request_and_ends_with_ctrl_c", opened),
        shared("page::says_who_one_is", me),
        shared("page::sees_what_happens_at_once", watches),
        private("page::says_that_the_api_server_is_away_and_goes_on_when_it_is_back", away),
    ]
}

async fn opened(cluster: Arc<Cluster>) {
    let alice = Plugin::of(&cluster, ALICE);
    for (named, view) in [("shop/fix", "/r/shop/fix"), ("fix", "/r/default/fix")] {
        assert_eq!(OpenPage::by(&alice, &[named]).await.view, view);
    }
    let page = OpenPage::of(&cluster, ALICE).await;
    assert_eq!(page.view, "/");
    for view in
        ["/", "/now", "/inbox", "/ask", "/policies", "/history", "/health", "/you", "/r/shop/fix", "/r/shop/fix?uid=u"]
    {
        let answer = page.call(&format!("GET {view}"), "", "").await;
        assert!(answer.status == 200 && answer.body.contains("<title>Daypass</title>"), "{view}: {answer:?}");
        for header in ["content-security-policy: default-src 'none'", "x-content-type-options: nosniff"] {
            assert!(answer.head.contains(header), "{view}: {answer:?}");
        }
    }
    for none in ["/assets/../Cargo.toml", "/assets/", "/assets/index.html", "/favicon.ico", "/r/shop", "/r/shop/Fix"] {
        assert_eq!(page.call(&format!("GET {none}"), "", "").await.status, 404, "{none}");
    }
    let taken = page.host.rsplit_once(':').unwrap().1;
    let (_, err) = alice.ends(&["ui", "--no-browser", "--port", taken], 1).await;
    assert!(err.contains(&format!("cannot serve the page on 127.0.0.1:{taken}: ")), "{err}");
    let (_, err) = alice.ends(&["ui", "--no-browser", "Shop/../fix"], 2).await;
    assert!(err.contains("NAME: Shop/../fix "), "{err}");
    page.running.interrupt();
    assert_eq!(page.running.end().await.0, Some(0));
}

async fn me(cluster: Arc<Cluster>) {
    let tab = Tab::of(&cluster, ALICE).await;
    let answer = tab.get("/api/me").await;
    let expected = json!({
        "username": "alice", "groups": ["dev", "system:authenticated"], "cluster": "e2e", "place": "loopback",
        "expires": null, "version": env!("CARGO_PKG_VERSION")
    });
    assert_eq!(answer.ok(), expected);
    assert!(answer.head.contains("cache-control: no-store"), "{answer:?}");
    let plugin = Plugin::of(&cluster, ADMIN);
    let as_carol = OpenPage::by(&plugin, &["--as", CAROL.name, "--as-group=approvers"]).await.signed_in().await;
    assert_eq!(as_carol.get("/api/me").await.ok()["username"], "carol", "who is acted as, and not who does so");
}

/// A watch, as the page begins one.
struct OpenWatch {
    stream: TcpStream,
    came: Vec<u8>,
    /// How many of its events were handed over.
    told: usize,
}

impl OpenWatch {
    async fn begin(tab: &Tab, path: &str) -> Self {
        let mut stream = TcpStream::connect(&tab.page.host).await.unwrap();
        let call = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{}\r\n", tab.page.host, tab.headers());
        stream.write_all(call.as_bytes()).await.unwrap();
        Self { stream, came: Vec::new(), told: 0 }
    }

    /// The next event. On a busy machine it comes in several chunks.
    async fn next(&mut self) -> Value {
        let mut piece = [0; 4096];
        loop {
            let came = String::from_utf8_lossy(&self.came);
            if let Some(event) = self.told_of(&came) {
                self.told += 1;
                return event;
            }
            let read = tokio::time::timeout(SOON, self.stream.read(&mut piece)).await;
            let read = read.unwrap_or_else(|_| panic!("nothing came: {came}")).unwrap();
            assert!(read > 0, "it ended: {came}");
            self.came.extend_from_slice(&piece[..read]);
        }
    }

    fn told_of(&self, came: &str) -> Option<Value> {
        let body = unchunked(came.split_once("\r\n\r\n")?.1);
        let whole = &body[..=body.rfind('\n')?];
        let event = whole.lines().filter(|line| !line.is_empty()).nth(self.told)?;
        Some(serde_json::from_str(event).unwrap_or_else(|error| panic!("{error}: {event}")))
    }
}

async fn watches(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("page").await;
    let tab = Tab::of(&cluster, ALICE).await;
    let version = tab.get(&requests(&namespace)).await.ok()["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    let path = format!("{}?watch=true&resourceVersion={version}&allowWatchBookmarks=true", requests(&namespace));
    let mut watch = OpenWatch::begin(&tab, &path).await;
    for name in ["first", "second"] {
        cluster.ask(ALICE, &namespace, name, json!({})).await;
        loop {
            let event = watch.next().await;
            if event["type"] == "ADDED" && event["object"]["metadata"]["name"] == name {
                break;
            }
        }
    }
}

async fn away(cluster: Arc<Cluster>) {
    let tab = Tab::of(&cluster, CAROL).await;
    tab.get("/api/me").await.ok();
    cluster.control_plane.stop_api_server();
    for path in ["/api/me", "/api/inbox", "/api/options?namespace=default", "/api/lint", &requests("default")] {
        assert_eq!(tab.get(path).await.refusal(), (503, "Away".to_owned()), "{path}");
    }
    cluster.control_plane.start_api_server().await;
    assert_eq!(tab.get("/api/me").await.ok()["username"], "carol");
    assert_eq!(tab.get("/api/inbox").await.ok()["requests"], json!([]));
}
