//! The page behind its sign-in in a real browser, which stays open longer than a token lasts.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use libtest_mimic::{Completion, Trial};
use serde_json::json;

use crate::harness::sign_in::{LEA, SignInCluster, Site};
use crate::harness::wait::now;
use crate::harness::{eventually, trial};
use crate::page::browser::PREFIX;
use crate::page::browser::chromium::{self, Chromium};

/// How long two tokens of six seconds may take to end.
const SOON: Duration = Duration::from_secs(60);

pub fn trials() -> Vec<Trial> {
    let name = format!("{PREFIX}signs_in_at_the_proxy_and_stays_live_beyond_a_token");
    vec![Trial::ignorable_test(name, || match chromium::is_missing() {
        Some(why) => Ok(Completion::ignored_with(why)),
        None => trial::browsed_signed_in(window).map(|()| Completion::Completed),
    })]
}

async fn window(shared: Arc<SignInCluster>) {
    let browser = Chromium::start(&shared.cluster.control_plane, "lea").await;
    let ignore = json!({ "ignore": true });
    browser.command("Security.setIgnoreCertificateErrors", ignore).await.expect("trust a certificate of the trial");
    let site = format!("https://{}", shared.site(Site::Short).host);
    let url = format!("{site}/inbox");
    browser.open(&url).await;
    sign_in(&browser).await;
    browser.until_there("heading", "Inbox").await;
    browser.until_shows(LEA.email).await;
    browser.until_shows("Live").await;
    assert_eq!(browser.url().await, url, "the sign-in leads back to where it began");
    browser.run("window.daypassTrial = true", json!([])).await;
    // Two lives of a token, in which watches end and begin again.
    let over: Timestamp = now() + SignedDuration::from_secs(13);
    eventually("two tokens have ended", SOON, async || {
        assert!(!browser.has("heading", "Sign in again").await, "{}", browser.text().await);
        if now() > over { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    browser.until_shows("Live").await;
    assert_eq!(browser.run("return window.daypassTrial", json!([])).await, true, "it was loaded anew");
    browser.forget_cookies().await;
    browser.until_there("heading", "Sign in again").await;
    browser.open(&format!("{site}/you")).await;
    sign_in(&browser).await;
    browser.press("link", "Sign out").await;
    browser.until_there_to_fill("Password").await;
}

/// Fills in the form of the provider.
async fn sign_in(browser: &Chromium) {
    browser.fill("Email", LEA.email).await;
    browser.fill("Password", LEA.password).await;
    browser.press("button", "Sign in").await;
}
