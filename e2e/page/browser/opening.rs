//! How the page begins, and what it says when a sign-in is lost.

use std::sync::Arc;

use super::chromium::Chromium;
use super::started;
use crate::harness::Cluster;
use crate::harness::users::ALICE;

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
    browser.until_shows(WAY).await;
    assert!(!browser.has("link", "Inbox…").await, "it goes on as if somebody were signed in");
}
