//! How every view looks and is used: on a phone, in light and dark, without a mouse, and with a screen reader, as far as
//! axe-core sees. It also draws the views into target/e2e.

use std::sync::Arc;

use daypass::api::State;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::chromium::{Chromium, ENTER, SPACE};
use super::deciding::until_focus;
use super::{Seat, until_read, with_approval};
use crate::harness::Cluster;
use crate::harness::binaries::repository;
use crate::harness::plugin::only_request;
use crate::harness::users::{ALICE, BOB, CAROL, EVE};

/// Width and height of a phone.
pub(super) const PHONE: (u32, u32) = (390, 844);
pub(super) const SCREEN: (u32, u32) = (1280, 900);
/// How wide a sheet of paper is, in the pixels of a browser.
const PAPER: u32 = 794;
/// What is opened for more than the usual.
const OPENED: (&str, &str) = ("DisclosureTriangle", "Less, elsewhere…");
const AXE: &str = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c";

/// axe-core 4.14.1, where e2e/page/axe.sh has fetched it.
pub fn axe() -> Option<String> {
    let text = std::fs::read_to_string(repository().join("target/axe/axe.min.js")).ok()?;
    let digest: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, AXE, "target/axe/axe.min.js is another one: remove it, and run e2e/page/axe.sh");
    Some(text)
}

/// What axe-core finds wrong with what is shown, each with where it is.
pub async fn violations(browser: &Chromium, axe: &str) -> Vec<String> {
    browser.run(&format!("if (!window.axe) {{ {axe} }}"), json!([])).await;
    let run = "const done = arguments[arguments.length - 1];
        axe.run(document, { resultTypes: ['violations'] }).then(
            (found) => done(found.violations.map((each) =>
                `${each.id}: ${each.help}: ${each.nodes.map((node) => node.html + ' ' + node.any.map((a) => a.message)).join(' | ')}`)),
            (error) => done([String(error)]));";
    let found = browser.run_until_called(run, json!([])).await;
    let found = found.as_array().cloned().unwrap_or_else(|| vec![found]);
    found.iter().map(|each| each.as_str().map_or_else(|| each.to_string(), str::to_owned)).collect()
}

/// What reaches over the right edge of the window, if anything makes the page scroll there.
pub async fn overhang(browser: &Chromium) -> Vec<Value> {
    let find = "const wide = document.documentElement.clientWidth;
        if (document.documentElement.scrollWidth <= wide) return [];
        return [...document.querySelectorAll('body *')].filter((each) => each.getBoundingClientRect().right > wide + 1)
            .slice(0, 8).map((each) => `${each.tagName} ${each.className} ${each.textContent.slice(0, 40)}`);";
    let found = browser.run(find, json!([])).await;
    found.as_array().cloned().unwrap_or_default()
}

/// Requests in every state that a view has something for.
async fn life(cluster: &Cluster) -> (String, String) {
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
    (namespace, open)
}

/// Who looks, the name of what is looked at, where it is, and what is pressed there, by role and name.
type Look<'a> = (&'a Seat, &'a str, &'a str, &'a [(&'a str, &'a str)]);

pub async fn every_view(cluster: Arc<Cluster>) {
    let (namespace, open) = life(&cluster).await;
    let (carol, alice) = tokio::join!(Seat::of(&cluster, CAROL), Seat::of(&cluster, ALICE));
    let axe = axe();
    if axe.is_none() {
        println!("axe-core is left out: it is not in target/axe, where e2e/page/axe.sh puts it");
    }
    let request = format!("/r/{namespace}/shop-0");
    let glass = format!("/r/{namespace}/checkout");
    let asked = format!("/ask?namespace={namespace}&role=edit");
    let gone = format!("/r/{namespace}/none");
    let other = format!("{request}?uid=another");
    let choose = format!("Choose {namespace}/deploy");
    let views: [Look<'_>; 15] = [
        (&carol, "now", "/now?state=all", &[]),
        (&carol, "inbox", "/inbox", &[]),
        (&carol, "several", "/inbox", &[("checkbox", &choose), ("button", "Decide 1 together")]),
        (&alice, "ask", &asked, &[]),
        (&alice, "ask-more", &asked, &[OPENED, ("checkbox", "Comes back every week"), ("button", "Add a window")]),
        (&alice, "own", "/r/OPEN/look", &[]),
        (&carol, "request", &request, &[]),
        (&carol, "another", &other, &[]),
        (&carol, "gone", &gone, &[]),
        (&carol, "emergency", &glass, &[]),
        (
            &carol,
            "policies",
            "/policies",
            &[("DisclosureTriangle", "Try a request…"), ("DisclosureTriangle", "Explain…")],
        ),
        (&carol, "history", "/history", &[]),
        (&carol, "health", "/health", &[]),
        (&carol, "you", "/you", &[]),
        (&alice, "signed-out", "/now", &[]),
    ];
    let mut wrong = Vec::new();
    for (seat, name, path, pressed) in views {
        if name == "signed-out" {
            seat.browser.forget_cookies().await;
        }
        seat.browser.open(&format!("{}{}", seat.origin, path.replace("OPEN", &open))).await;
        until_read(&seat.browser).await;
        for (role, what) in pressed {
            seat.browser.press(role, what).await;
        }
        if name == "now" {
            let bare = "return [...document.querySelectorAll('tbody tr')].filter((row) =>
                !(row.querySelector('.bar rect')?.getBoundingClientRect().width > 0)).length";
            assert_eq!(seat.browser.run(bare, json!([])).await, 0, "rows without a bar");
        }
        for theme in ["dark", "light"] {
            seat.browser.system_theme(theme).await;
            for (size, (width, height)) in [("phone", PHONE), ("screen", SCREEN)] {
                seat.browser.resize(width, height).await;
                let over = overhang(&seat.browser).await;
                if !over.is_empty() {
                    wrong.push(format!("{name} at {width} pixels scrolls to the side: {over:?}"));
                }
                if let Some(axe) = &axe {
                    let found = violations(&seat.browser, axe).await;
                    wrong.extend(found.into_iter().map(|each| format!("{name}, {theme}, {size}: {each}")));
                }
                seat.browser.picture(&format!("{name}-{theme}-{size}")).await;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

pub async fn paper(cluster: Arc<Cluster>) {
    let (namespace, _) = life(&cluster).await;
    let carol = Seat::of(&cluster, CAROL).await;
    carol.go("History").await;
    carol.browser.fill("Person", "alice").await;
    carol.browser.press("button", "Search").await;
    carol.browser.until_shows("shop-0 hangs, INC-4711").await;
    // Somebody who likes it dark prints it black on white all the same.
    carol.browser.run("document.documentElement.dataset.theme = 'dark'", json!([])).await;
    carol.browser.medium("print").await;
    carol.browser.resize(PAPER, 1123).await;
    carol.browser.until_shows("Cluster e2e, read by carol, Person: alice, printed").await;
    let text = carol.browser.text().await;
    assert!(text.contains(&format!("{namespace}/shop-0")) && text.contains("Needs approval"), "{text}");
    for left_out in ["Export as CSV", "Inbox", "Search", "Theme"] {
        assert!(!text.contains(left_out), "{left_out} is on the paper: {text}");
    }
    let colours = "const style = getComputedStyle(document.body); return [style.color, style.backgroundColor]";
    let colours = carol.browser.run(colours, json!([])).await;
    assert_eq!(colours, json!(["rgb(27, 31, 35)", "rgb(255, 255, 255)"]));
    let over = overhang(&carol.browser).await;
    assert!(over.is_empty(), "it does not fit the paper: {over:?}");
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
    // It goes on there, and is not lost with what was decided.
    until_focus(&carol, "Inbox").await;
    alice.browser.until_shows("Active").await;
    let granted = cluster.until(&namespace, &name, State::Active).await;
    assert_eq!(granted.status.expect("a status").reviews["carol"].comment.as_deref(), Some("seen"));
}
