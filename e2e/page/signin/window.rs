//! The page behind its sign-in in a real browser, which stays open longer than a token lasts.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use libtest_mimic::{Completion, Trial};
use serde_json::json;

use crate::harness::sign_in::{IDA, LEA, Person, SignInCluster, Site};
use crate::harness::wait::now;
use crate::harness::{eventually, trial};
use crate::page::browser::PREFIX;
use crate::page::browser::chromium::{self, Chromium};
use crate::page::browser::looks::{axe, violations};

/// How long two tokens of six seconds may take to end.
const SOON: Duration = Duration::from_secs(60);

pub fn trials() -> Vec<Trial> {
    vec![
        browsed("signs_in_at_the_proxy_and_stays_live_beyond_a_token", window),
        browsed("a_login_that_the_cluster_does_not_take_is_told_where_it_works", not_taken),
    ]
}

fn browsed<F>(name: &str, body: fn(Arc<SignInCluster>) -> F) -> Trial
where
    F: Future<Output = ()> + 'static,
{
    Trial::ignorable_test(format!("{PREFIX}{name}"), move || match chromium::is_missing() {
        Some(why) => Ok(Completion::ignored_with(why)),
        None => trial::browsed_signed_in(body).map(|()| Completion::Completed),
    })
}

/// A browser that trusts the certificate of the trial.
async fn browser(shared: &SignInCluster, whose: &str) -> Chromium {
    let browser = Chromium::start(&shared.cluster.control_plane, whose).await;
    let ignore = json!({ "ignore": true });
    browser.command("Security.setIgnoreCertificateErrors", ignore).await.expect("trust a certificate of the trial");
    browser
}

/// Signing in again would give the same token, so that is not what somebody is told to do.
async fn not_taken(shared: Arc<SignInCluster>) {
    let browser = browser(&shared, "foreign").await;
    let url = format!("https://{}/inbox", shared.site(Site::Foreign).host);
    browser.open(&url).await;
    sign_in(&browser, IDA).await;
    browser.until_there("heading", "This cluster does not accept your login").await;
    for words in
        ["signing in again does not help", "kubectl daypass ui", "Own API server, structured authentication", "GKE"]
    {
        browser.until_shows(words).await;
    }
    assert_eq!(
        browser.run("return document.title", json!([])).await,
        "This cluster does not accept your login · Daypass"
    );
    assert!(!browser.has("link", "Inbox…").await && !browser.has("heading", "Sign in again").await);
    if let Some(axe) = axe() {
        let found = violations(&browser, &axe).await;
        assert!(found.is_empty(), "{found:?}");
    }
}

async fn window(shared: Arc<SignInCluster>) {
    let browser = browser(&shared, "lea").await;
    let site = format!("https://{}", shared.site(Site::Short).host);
    let url = format!("{site}/inbox");
    browser.open(&url).await;
    sign_in(&browser, LEA).await;
    browser.until_there("heading", "Inbox").await;
    browser.until_shows(LEA.email).await;
    browser.until_shows("Live").await;
    // It ends so soon that it is pointed at.
    browser.until_shows("Sign-in ends in ").await;
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
    sign_in(&browser, LEA).await;
    browser.press("link", "Sign out").await;
    browser.until_there_to_fill("Password").await;
}

/// Fills in the form of the provider.
async fn sign_in(browser: &Chromium, who: Person) {
    browser.fill("Email", who.email).await;
    browser.fill("Password", who.password).await;
    browser.press("button", "Sign in").await;
}
