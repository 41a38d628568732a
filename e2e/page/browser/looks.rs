//! How every view looks and is used: on a phone, in light and dark, without a mouse, and with a screen reader, as far as
//! axe-core sees. It also draws the views into target/e2e.

use std::sync::Arc;

use daypass::api::State;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::chromium::{ENTER, SPACE};
use super::{Seat, with_approval};
use crate::harness::binaries::repository;
use crate::harness::cast::SOON;
use crate::harness::plugin::only_request;
use crate::harness::users::{ALICE, BOB, CAROL, EVE};
use crate::harness::{Cluster, eventually};

/// Width and height of a phone.
const PHONE: (u32, u32) = (390, 844);
const SCREEN: (u32, u32) = (1280, 900);
const AXE: &str = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c";

/// axe-core 4.14.1, where e2e/page/axe.sh has fetched it.
fn axe() -> Option<String> {
    let text = std::fs::read_to_string(repository().join("target/axe/axe.min.js")).ok()?;
    let digest: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, AXE, "target/axe/axe.min.js is another one: remove it, and run e2e/page/axe.sh");
    Some(text)
}

/// What axe-core finds wrong with what is shown, each with where it is.
async fn violations(seat: &Seat, axe: &str) -> Vec<String> {
    seat.browser.run(&format!("if (!window.axe) {{ {axe} }}"), json!([])).await;
    let run = "const done = arguments[arguments.length - 1];
        axe.run(document, { resultTypes: ['violations'] }).then(
            (found) => done(found.violations.map((each) =>
                `${each.id}: ${each.help}: ${each.nodes.map((node) => node.html + ' ' + node.any.map((a) => a.message)).join(' | ')}`)),
            (error) => done([String(error)]));";
    let found = seat.browser.run_until_called(run, json!([])).await;
    let found = found.as_array().cloned().unwrap_or_else(|| vec![found]);
    found.iter().map(|each| each.as_str().map_or_else(|| each.to_string(), str::to_owned)).collect()
}

/// What reaches over the right edge of the window, if anything makes the page scroll there.
async fn overhang(seat: &Seat) -> Vec<Value> {
    let find = "const wide = document.documentElement.clientWidth;
        if (document.documentElement.scrollWidth <= wide) return [];
        return [...document.querySelectorAll('body *')].filter((each) => each.getBoundingClientRect().right > wide + 1)
            .slice(0, 8).map((each) => `${each.tagName} ${each.className} ${each.textContent.slice(0, 40)}`);";
    let found = seat.browser.run(find, json!([])).await;
    found.as_array().cloned().unwrap_or_default()
}

/// Requests in every state that a view has something for.
async fn life(cluster: &Cluster) -> String {
    let namespace = with_approval(cluster).await;
    let open = cluster.namespace("lab").await;
    cluster.allow(&open, &open, json!({})).await;
    cluster.ask(ALICE, &open, "look", json!({ "duration": "45m", "reason": "compare the config maps" })).await;
    cluster.ask(EVE, &open, "done", json!({ "duration": "1s", "reason": "restart one pod" })).await;
    let rules = json!([{ "verbs": ["delete"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["shop-0"] }]);
    let narrow = json!({ "duration": "20m", "rules": rules, "reason": "shop-0 hangs, INC-4711" });
    cluster.ask(ALICE, &namespace, "shop-0", narrow).await;
    cluster.ask(EVE, &namespace, "deploy", json!({ "duration": "1h", "reason": "roll back 2.4.1" })).await;
    let glass = json!({ "breakGlass": true, "duration": "30m", "reason": "checkout is down" });
    cluster.ask(BOB, &namespace, "checkout", glass).await;
    cluster.until(&namespace, "checkout", State::Active).await;
    cluster.until(&open, "look", State::Active).await;
    cluster.until(&open, "done", State::Expired).await;
    cluster.until_reason(&namespace, "shop-0", "Approved", "ApprovalNeeded").await;
    cluster.until_reason(&namespace, "deploy", "Approved", "ApprovalNeeded").await;
    namespace
}

/// Waits until a view has all that it reads.
async fn until_read(seat: &Seat) {
    eventually("the view has read all", SOON, async || {
        let text = seat.browser.text().await;
        let reads = text.contains("Loading.") || seat.browser.has("status", "Loading.").await;
        if reads { Err(text) } else { Ok(()) }
    })
    .await;
}

pub async fn every_view(cluster: Arc<Cluster>) {
    let namespace = life(&cluster).await;
    let (carol, alice) = tokio::join!(Seat::of(&cluster, CAROL), Seat::of(&cluster, ALICE));
    let axe = axe();
    if axe.is_none() {
        println!("axe-core is left out: it is not in target/axe, where e2e/page/axe.sh puts it");
    }
    let request = format!("/r/{namespace}/shop-0");
    let glass = format!("/r/{namespace}/checkout");
    let asked = format!("/ask?namespace={namespace}&role=edit");
    let views = [
        (&carol, "now", "/now?state=all", "Now"),
        (&carol, "inbox", "/inbox", "Inbox"),
        (&alice, "ask", asked.as_str(), "Ask"),
        (&carol, "request", request.as_str(), "…"),
        (&carol, "emergency", glass.as_str(), "…"),
        (&carol, "policies", "/policies", "Policies"),
        (&carol, "history", "/history", "History"),
        (&carol, "health", "/health", "Health"),
        (&carol, "you", "/you", "Your login here"),
    ];
    let mut wrong = Vec::new();
    for (seat, name, path, heading) in views {
        seat.browser.open(&format!("{}{path}", seat.origin)).await;
        seat.browser
            .until_there("heading", if heading == "…" { path.trim_start_matches("/r/") } else { heading })
            .await;
        until_read(seat).await;
        for theme in ["dark", "light"] {
            seat.browser.system_theme(theme).await;
            for (size, (width, height)) in [("phone", PHONE), ("screen", SCREEN)] {
                seat.browser.resize(width, height).await;
                let over = overhang(seat).await;
                if !over.is_empty() {
                    wrong.push(format!("{name} at {width} pixels scrolls to the side: {over:?}"));
                }
                if let Some(axe) = &axe {
                    let found = violations(seat, axe).await;
                    wrong.extend(found.into_iter().map(|each| format!("{name}, {theme}, {size}: {each}")));
                }
                if theme == "light" || name == "now" {
                    seat.browser.picture(&format!("{name}-{theme}-{size}")).await;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

pub async fn keys_only(cluster: Arc<Cluster>) {
    let namespace = with_approval(&cluster).await;
    let (alice, carol) = tokio::join!(Seat::of(&cluster, ALICE), Seat::of(&cluster, CAROL));
    alice.browser.tab_to("Ask").await;
    alice.browser.keys(ENTER).await;
    alice.browser.until_there("heading", "Ask").await;
    assert_eq!(alice.browser.focus().await.1, "Ask", "who goes to a view begins at its heading");
    for (field, text) in [("Namespace", namespace.as_str()), ("Role", "edit"), ("Reason", "no mouse is here")] {
        alice.browser.until_there_to_fill(field).await;
        alice.browser.tab_to(field).await;
        alice.browser.keys(text).await;
    }
    alice.browser.until_shows("It needs approval.").await;
    alice.browser.tab_to("Ask for access").await;
    alice.browser.keys(SPACE).await;
    let name = only_request(&cluster, &namespace).await;
    let key = format!("{namespace}/{name}");
    alice.browser.until_there("heading", &key).await;

    carol.browser.tab_to("Inbox…").await;
    carol.browser.keys(ENTER).await;
    carol.browser.until_shows("no mouse is here").await;
    carol.browser.tab_to("Comment, for the record").await;
    carol.browser.keys("seen").await;
    carol.browser.tab_to(&format!("Approve {key}")).await;
    carol.browser.keys(ENTER).await;
    carol.browser.until_shows(&format!("You approved {key}.")).await;
    eventually("the focus is on what goes on, not lost with what was decided", SOON, async || {
        let (role, name) = carol.browser.focus().await;
        if name == "Inbox" { Ok(()) } else { Err(format!("it is on {role} {name:?}")) }
    })
    .await;
    alice.browser.until_shows("Active").await;
    let granted = cluster.until(&namespace, &name, State::Active).await;
    assert_eq!(granted.status.expect("a status").reviews["carol"].comment.as_deref(), Some("seen"));
}
