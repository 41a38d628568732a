//! How the page begins, what it says when a sign-in is lost, and how it gets over a lost connection.

use std::sync::Arc;

use serde_json::{Value, json};

use super::chromium::Chromium;
use super::{Seat, asks_approvers, opened, started, with_approval};
use crate::harness::cast::{self, SOON};
use crate::harness::plugin::{Plugin, only_request};
use crate::harness::users::{ADMIN, ALICE, CAROL};
use crate::harness::{Cluster, eventually};

/// What is to be run again, as it stands on the page.
const WAY: &str = "If you opened this page from your own machine, run this again: kubectl daypass ui";

pub async fn once(cluster: Arc<Cluster>) {
    let (ui, url) = started(&cluster, ALICE, &["shop/fix"]).await;
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

    // Whoever signs in beside it and is somebody else gets nothing of what the first has seen and typed.
    browser.run("window.seenByAlice = true", json!([])).await;
    ui.interrupt();
    ui.end().await;
    let (_ui, url) = started(&cluster, CAROL, &["--port", port]).await;
    browser.new_tab().await;
    browser.open(&url).await;
    browser.until_shows("Live").await;
    browser.first_tab().await;
    browser.press("button", "Go on here").await;
    browser.until_shows("carol").await;
    eventually("the page is loaded anew", SOON, async || {
        let kept = browser.run("return window.seenByAlice ?? null", json!([])).await;
        if kept.is_null() { Ok(()) } else { Err("it goes on as it was".to_owned()) }
    })
    .await;
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

/// A page of a login that ends when its account is removed.
async fn of_account(cluster: &Cluster, namespace: &str, more: &[&str]) -> (crate::harness::plugin::Running, String) {
    let admin = cluster.kubectl(ADMIN);
    admin.ok(&["create", "serviceaccount", "robot", "-n", namespace]).await;
    let token = admin.ok(&["create", "token", "robot", "-n", namespace]).await;
    let kubeconfig = cluster.control_plane.kubeconfig_for_token("robot", token.trim());
    opened(&Plugin::with(&kubeconfig), more).await
}

pub async fn ended(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("shop").await;
    let mut policy = asks_approvers();
    policy["requesters"] = json!([{ "kind": "ServiceAccount", "name": "robot", "namespace": namespace }]);
    cluster.allow(&namespace, &namespace, policy).await;
    let (ui, url) = of_account(&cluster, &namespace, &[]).await;
    let origin = url.split_once("/#").expect("a token").0.to_owned();
    let browser = Chromium::start(&cluster.control_plane, "robot").await;
    browser.open(&url).await;
    browser.until_shows("Live").await;
    browser.until_shows(&format!("service account {namespace}/robot")).await;
    browser.press("link", "Ask").await;
    browser.fill("Namespace", &namespace).await;
    browser.fill("Role", "edit").await;
    browser.fill("Reason", "a long story").await;
    browser.until_shows("It needs approval.").await;

    // From here on the API server does not take the token any longer.
    cluster.kubectl(ADMIN).ok(&["delete", "serviceaccount", "robot", "-n", &namespace]).await;
    eventually("the page says that the sign-in is over", SOON, async || {
        if browser.has("heading", "Sign in again").await {
            return Ok(());
        }
        // Each change asks the server what would be decided, once nobody has typed for a moment.
        let types = "if (document.querySelector('.forecast')?.getAttribute('aria-busy') === 'true') return;
            const field = document.querySelector('input[placeholder=\"1h30m\"]');
            field.value = field.value === '20m' ? '21m' : '20m';
            field.dispatchEvent(new Event('input', { bubbles: true }));";
        browser.run(types, json!([])).await;
        Err(browser.text().await)
    })
    .await;
    assert!(!browser.has("link", "Inbox…").await && !browser.text().await.contains("a long story"), "it shows a view");
    let port = origin.rsplit_once(':').expect("a port").1.to_owned();
    browser.until_shows(&format!("kubectl daypass ui --port {port}")).await;
    browser.until_shows("What you have typed is kept until you go on.").await;
    browser.press("button", "Go on here").await;
    browser.until_there("heading", "Sign in again").await;

    ui.interrupt();
    ui.end().await;
    let (_ui, url) = of_account(&cluster, &namespace, &["--port", &port]).await;
    browser.new_tab().await;
    browser.open(&url).await;
    browser.until_shows("Live").await;
    browser.first_tab().await;
    browser.press("button", "Go on here").await;
    browser.until_there("heading", "Ask").await;
    assert_eq!(browser.value("Reason").await, "a long story");
    browser.until_shows("Live").await;
    browser.press("button", "Ask for access").await;
    let name = only_request(&cluster, &namespace).await;
    browser.until_there("heading", &format!("{namespace}/{name}")).await;
    browser.until_shows("a long story").await;
}

/// Takes a binding away, and hands over what makes it again.
async fn without(cluster: &Cluster, binding: &str) -> Value {
    let admin = cluster.kubectl(ADMIN);
    let json = admin.ok(&["get", "clusterrolebinding", binding, "-o", "json"]).await;
    let mut binding_of: Value = serde_json::from_str(&json).expect("JSON");
    for key in ["uid", "resourceVersion", "creationTimestamp"] {
        binding_of["metadata"].as_object_mut().expect("metadata").remove(key);
    }
    admin.ok(&["delete", "clusterrolebinding", binding]).await;
    binding_of
}

/// As an API server refuses that has just started, and does not know its roles yet.
pub async fn refused(cluster: Arc<Cluster>) {
    let (_ui, url) = started(&cluster, ALICE, &[]).await;
    let browser = Chromium::start(&cluster.control_plane, "alice").await;
    let admin = cluster.kubectl(ADMIN);
    let everybody = without(&cluster, "everybody-may-ask").await;
    let basic = without(&cluster, "system:basic-user").await;
    eventually("the API server refuses alice", SOON, async || {
        let asked = cluster.kubectl(ALICE).run(&["auth", "whoami"]).await;
        if asked.stdout.is_empty() { Ok(()) } else { Err(asked.stdout) }
    })
    .await;
    browser.open(&url).await;
    browser.until_there("button", "Try again").await;
    browser.until_shows("the API server does not say who you are").await;
    admin.apply(&basic.to_string()).await;
    browser.until_shows("You may not list the requests of all namespaces.").await;
    browser.until_there("button", "Try again").await;
    admin.apply(&everybody.to_string()).await;
    browser.until_shows("Live").await;
    browser.until_shows("Nobody has asked for access here yet.").await;
}
