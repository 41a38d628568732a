//! The reports of the plugin as pages: whole in themselves, on a screen, on a phone and on paper. It draws them into target/e2e.

use std::sync::Arc;

use daypass::api::State;
use serde_json::json;

use super::chromium::Chromium;
use super::looks::{axe, overhang, violations};
use crate::harness::Cluster;
use crate::harness::plugin::Plugin;
use crate::harness::users::{ADMIN, ALICE, EVE};

/// A phone, a screen, and a sheet of paper on its side, in the pixels of a browser.
const SIZES: [(&str, (u32, u32)); 3] = [("phone", (390, 844)), ("screen", (1280, 900)), ("paper", (1122, 794))];
/// What a page has, and what it has not.
const LOOKED_AT: &str = "return {
    scripts: document.scripts.length,
    loaded: performance.getEntriesByType('resource').map((each) => each.name),
    tables: document.querySelectorAll('table').length,
    bare: [...document.querySelectorAll('section')].filter((part) => part.querySelector('svg') && !part.querySelector('table')).length,
    charts: document.querySelectorAll('svg rect').length,
    injected: document.querySelectorAll('b, i, img').length,
    lang: document.documentElement.lang,
};";

pub async fn pages(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("audited").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    for (who, name) in [(ALICE, "look"), (ALICE, "again"), (EVE, "fix")] {
        cluster.ask(who, &namespace, name, json!({ "reason": "<b>bold</b> <img src=x onerror=alert(1)>" })).await;
        cluster.until(&namespace, name, State::Active).await;
    }
    let admin = Plugin::of(&cluster, ADMIN);
    let browser = Chromium::start(&cluster.control_plane, ADMIN.login).await;
    let axe = axe();
    let mut wrong = Vec::new();
    for (report, least) in [("access", 5), ("usage", 1), ("standing", 3)] {
        let page = admin.done(&["report", report, "-n", &namespace, "-o", "html"]).await;
        let file = cluster.control_plane.dir().join(format!("report-{report}.html"));
        std::fs::write(&file, page).expect("write a page");
        browser.open(&format!("file://{}", file.display())).await;
        let found = browser.run(LOOKED_AT, json!([])).await;
        let none = [("scripts", json!(0)), ("loaded", json!([])), ("bare", json!(0)), ("injected", json!(0))];
        for (what, expected) in none {
            assert_eq!(found[what], expected, "{report}: {what}: {found}");
        }
        assert!(found["tables"].as_u64() >= Some(least) && found["lang"] == "en", "{report}: {found}");
        assert_eq!(found["charts"].as_u64() == Some(0), report == "usage", "{report}: {found}");
        for (size, (width, height)) in SIZES {
            browser.medium(if size == "paper" { "print" } else { "screen" }).await;
            browser.resize(width, height).await;
            let over = overhang(&browser).await;
            if !over.is_empty() {
                wrong.push(format!("{report} at {width} pixels scrolls to the side: {over:?}"));
            }
            if let Some(axe) = &axe {
                let found = violations(&browser, axe).await;
                wrong.extend(found.into_iter().map(|each| format!("{report}, {size}: {each}")));
            }
            browser.picture(&format!("report-{report}-{size}")).await;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
