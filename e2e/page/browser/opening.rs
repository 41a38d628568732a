//! How the page begins, what it says when a sign-in is lost, and how it gets over a lost connection.

use std::sync::Arc;

use serde_json::json;

use super::chromium::Chromium;
use super::{Seat, started, with_approval};
use crate::harness::cast::{self, SOON};
use crate::harness::users::{ALICE, CAROL};
use crate::harness::{Cluster, eventually};

/// What is to be run again, as it stands on the page.
const WAY: &str = "If you opened this page from your own machine, run this again: kubectl daypass ui";

pub async fn once(cluster: Arc<Cluster>) {
    let (_ui, url) = started(&cluster, ALICE, &["shop/fix"]).await;
    let browser = Chromium::start(&cluster.control_plane, "first").await;
    browser.open(&url).await;
    browser.until_shows("There is no request shop/fix.").await;
    let (clean, _) = url.split_once('#').expect("a token");
    assert_eq!(browser.url().await, clean, "the token stays in no address");
    browser.open(clean).await;
    browser.until_shows("There is no request shop/fix.").await;
    browser.open("about:blank").await;
    browser.open(&url).await;
    browser.until_shows("There is no request shop/fix.").await;

    let other = Chromium::start(&cluster.control_plane, "second").await;
    other.open(&url).await;
    other.until_there("heading", "Sign in again").await;
    other.until_shows("this URL is of another run, or was opened already: run kubectl daypass ui again.").await;
    other.until_shows(WAY).await;
    assert!(!other.has("link", "Inbox…").await, "it shows a view to somebody who is not signed in");

    browser.press("link", "Health").await;
    browser.until_there("heading", "Health").await;
    browser.forget_cookies().await;
    browser.press("button", "Look again").await;
    browser.until_there("heading", "Sign in again").await;
    browser.until_shows("this browser is not signed in: open the URL that kubectl daypass ui has printed").await;
    let (_, port) = clean.trim_start_matches("http://").split_once(':').expect("a port");
    let port = port.split('/').next().unwrap_or_default();
    browser.until_shows(&format!("kubectl daypass ui --port {port}")).await;
    assert!(!browser.has("link", "Inbox…").await, "it goes on as if somebody were signed in");
}

pub async fn away(cluster: Arc<Cluster>) {
    let namespace = with_approval(&cluster).await;
    let carol = Seat::of(&cluster, CAROL).await;
    // The one that the controller tries its guard on is nobody's.
    carol.browser.until_shows("Nobody has asked for access here yet.").await;
    cluster.control_plane.stop_api_server();
    carol.browser.until_shows("The connection to the cluster is lost. What you see may be out of date.").await;
    carol.browser.until_shows("the API server cannot be reached").await;
    cluster.control_plane.start_api_server().await;
    let request = cast::request(&namespace, "fix", json!({})).to_string();
    eventually("one can ask again", SOON, async || {
        let asked = cluster.kubectl(ALICE).run_with(&["apply", "-f", "-"], &request).await;
        if asked.stdout.contains("fix") { Ok(()) } else { Err(asked.stderr) }
    })
    .await;
    carol.browser.until_there("link", "alice").await;
    carol.browser.until_shows("Live").await;
    carol.browser.until_shows("1 request waits for your decision.").await;
    let marked = carol.browser.run("return Boolean(window.daypassTrial)", json!([])).await;
    assert_eq!(marked, true, "the page was loaded anew");
}
