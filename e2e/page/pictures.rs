//! `make page-pictures`: tells a small story in a cluster, opens the page in a browser and draws the views that people read
//! about into `examples/pictures`.
//!
//! The story has the same names in each run; times and versions differ.

use std::path::Path;
use std::process::ExitCode;

use daypass::api::State;
use libtest_mimic::Trial;
use serde_json::json;

use super::browser::chromium::{self, Chromium};
use super::browser::{opened, until_read};
use crate::harness::plugin::Plugin;
use crate::harness::users::{ADMIN, ALICE, BOB, CAROL, EVE, GITOPS, User};
use crate::harness::wait::now_plus_seconds;
use crate::harness::{Cluster, binaries, trial, without_cluster};

const FOLDER: &str = "examples/pictures";
/// A page with several pictures has to load quickly.
const LARGEST: u64 = 120 << 10;
/// How wide they are, in the pixels of a page.
const WIDE: u32 = 1200;
/// Where they are shown.
const PAGES: [&str; 2] = ["README.md", "examples/README.md"];
const POLICIES: &str = r#"
apiVersion: daypass.dev/v1alpha1
kind: AccessPolicy
metadata: {name: shop-edit}
spec:
  description: Change the shop, with an approval of the leads
  requesters: [{kind: Group, name: dev}]
  roles: [{name: edit}]
  scope: {namespaces: [shop]}
  duration: {default: 30m, max: 2h}
  approval:
    deadline: 24h
    stages: [{name: leads, approvers: [{kind: Group, name: approvers}]}]
  breakGlass: {reviewers: [{kind: Group, name: approvers}], reviewWithin: 24h}
---
apiVersion: daypass.dev/v1alpha1
kind: AccessPolicy
metadata: {name: shop-view}
spec:
  description: Look around in the shop, at once
  requesters: [{kind: Group, name: dev}]
  roles: [{name: view}]
  scope: {namespaces: [shop, stock]}
  duration: {default: 1h, max: 4h}
"#;

pub fn trials() -> Vec<Trial> {
    vec![without_cluster("page::pictures_are_small_and_shown_with_their_words", are_shown)]
}

/// Draws them.
pub fn run() -> ExitCode {
    if let Some(why) = chromium::is_missing() {
        eprintln!("{why}");
        return ExitCode::FAILURE;
    }
    trial::runtime().block_on(draw());
    ExitCode::SUCCESS
}

async fn draw() {
    let cluster = Cluster::private().await;
    tell(&cluster).await;
    std::fs::create_dir_all(binaries::repository().join(FOLDER)).expect("make the folder of the pictures");
    // Who looks, at what, which words are the last to come, and in which theme.
    let draws = [
        (CAROL, "now", "/now?span=3h", "shop-0", "light"),
        (CAROL, "inbox", "/inbox", "stage leads", "light"),
        (ALICE, "ask", "/ask?again=shop%2Frestart-shop-0", "It needs approval.", "light"),
        (CAROL, "request", "/r/shop/restart-shop-0", "0 of 1 so far", "dark"),
    ];
    for (user, name, path, last, theme) in draws {
        let (_ui, url) = opened(&Plugin::with(&kubeconfig(&cluster, user)), &[]).await;
        let browser = Chromium::start(&cluster.control_plane, user.login).await;
        browser.system_theme(theme).await;
        browser.resize_sharp((WIDE, 400)).await;
        browser.open(&url).await;
        browser.until_shows("Live").await;
        let (origin, _) = url.split_once("/#").expect("a token");
        browser.open(&format!("{origin}{path}")).await;
        browser.until_shows("Live").await;
        browser.until_shows(last).await;
        until_read(&browser).await;
        // All of it, and nothing below.
        let high = browser.run("return document.documentElement.scrollHeight", json!([])).await;
        browser.resize_sharp((WIDE, high.as_u64().and_then(|high| u32::try_from(high).ok()).expect("a height"))).await;
        let drawn = browser.drawn().await;
        let file = Path::new(FOLDER).join(format!("{name}.webp"));
        std::fs::write(binaries::repository().join(&file), &drawn).expect("write a picture");
        println!("{}: {} KiB", file.display(), drawn.len() >> 10);
    }
}

/// A kubeconfig that calls the cluster what people call one.
fn kubeconfig(cluster: &Cluster, user: User) -> std::path::PathBuf {
    let own = cluster.control_plane.kubeconfig(user);
    let text = std::fs::read_to_string(&own).expect("a kubeconfig").replace("\"e2e\"", "\"production\"");
    let named = own.with_extension("production");
    std::fs::write(&named, text).expect("write a kubeconfig");
    named
}

async fn tell(cluster: &Cluster) {
    let admin = cluster.kubectl(ADMIN);
    for namespace in ["shop", "stock"] {
        admin.ok(&["create", "namespace", namespace]).await;
    }
    cluster.kubectl(GITOPS).apply(POLICIES).await;
    // So that nothing of what decides is hidden from them.
    let users = ["--user=alice", "--user=carol"];
    let reads = ["create", "clusterrolebinding", "all-is-readable", "--clusterrole=daypass-auditor"];
    admin.ok(&[&reads[..], &users].concat()).await;
    let view =
        |duration: &str, reason: &str| json!({ "role": { "name": "view" }, "duration": duration, "reason": reason });
    let edit = |duration: &str, reason: &str| json!({ "duration": duration, "reason": reason });
    cluster.ask(ALICE, "stock", "look-around", view("2h", "compare the price lists")).await;
    cluster.ask(EVE, "shop", "read-logs", view("45m", "why does the cart time out? INC-4711")).await;
    cluster.ask(BOB, "stock", "done", view("1s", "read one config map")).await;
    cluster.ask(EVE, "shop", "migrate", edit("2h", "migrate the orders, CHG-118")).await;
    let rules = json!([{ "verbs": ["delete"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["shop-0"] }]);
    let mut restart = edit("20m", "shop-0 hangs since the last deployment, INC-4711");
    restart["rules"] = rules;
    let mut later = edit("1h", "swap the certificates");
    later["startTime"] = json!(now_plus_seconds(2_700));
    let mut glass = edit("30m", "checkout is down, nobody can pay");
    glass["breakGlass"] = json!(true);
    glass["rules"] = json!([{
        "verbs": ["get", "patch"], "apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["checkout"]
    }]);
    cluster.ask(ALICE, "shop", "swap-certificates", later).await;
    cluster.ask(BOB, "shop", "checkout-is-down", glass).await;
    for name in ["migrate", "swap-certificates"] {
        cluster.until_reason("shop", name, "Approved", "ApprovalNeeded").await;
        cluster.review(CAROL, "shop", name, "Approve", "go ahead").await;
    }
    cluster.ask(ALICE, "shop", "restart-shop-0", restart).await;
    cluster.until("shop", "migrate", State::Active).await;
    cluster.until("shop", "swap-certificates", State::Scheduled).await;
    cluster.until("shop", "checkout-is-down", State::Active).await;
    cluster.until("stock", "done", State::Expired).await;
    cluster.until_reason("shop", "restart-shop-0", "Approved", "ApprovalNeeded").await;
}

fn are_shown() {
    let texts = PAGES.map(|page| std::fs::read_to_string(binaries::repository().join(page)).expect("a page"));
    let folder = std::fs::read_dir(binaries::repository().join(FOLDER)).expect("the folder of the pictures");
    let mut there = 0;
    for entry in folder.map(|entry| entry.expect("a file")) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let bytes = std::fs::read(entry.path()).expect("a picture");
        assert!(bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP".as_slice()), "{name} is no WebP");
        assert!(bytes.len() as u64 <= LARGEST, "{name} has {} bytes", bytes.len());
        let words = texts.iter().find_map(|text| {
            let (before, _) = text.split_once(&format!("pictures/{name})"))?;
            let (_, words) = before.rsplit_once("![")?;
            words.split_once("](").map(|(words, _)| words.to_owned())
        });
        let words = words.unwrap_or_else(|| panic!("{name} is shown on none of {PAGES:?}"));
        assert!(words.split(' ').count() >= 5, "{name} says too little to those who cannot see it: {words:?}");
        there += 1;
    }
    assert!(there >= 3, "only {there} pictures are there: make page-pictures draws them");
}
