//! A thousand requests: how long the page takes to show and to filter them. Times are printed, and none is held.

use std::sync::Arc;

use futures::StreamExt;
use kube::Api;
use serde_json::{Value, json};

use super::chromium::Chromium;
use super::{started, with_approval};
use crate::harness::cast::{self, SOON};
use crate::harness::plugin::Running;
use crate::harness::process::size;
use crate::harness::users::{ALICE, CAROL, EVE, User};
use crate::harness::{Cluster, eventually};

const MANY: usize = 1_000;
/// How many of them are of eve.
const OF_EVE: usize = 7;
const AT_A_TIME: usize = 16;

async fn ask(cluster: &Cluster, namespace: &str, user: User, many: usize) {
    let requests: Api<daypass::api::AccessRequest> = Api::namespaced(cluster.client(user).await, namespace);
    let requests = &requests;
    futures::stream::iter(0..many)
        .for_each_concurrent(AT_A_TIME, async |n| {
            let request = cast::request(namespace, &format!("{}-{n}", user.name), json!({ "duration": "30m" }));
            let request = serde_json::from_value(request).expect("a request");
            requests.create(&Default::default(), &request).await.expect("ask");
        })
        .await;
}

pub async fn thousand(cluster: Arc<Cluster>) {
    let namespace = with_approval(&cluster).await;
    ask(&cluster, &namespace, EVE, OF_EVE).await;
    drop(first_view(&cluster, OF_EVE).await);
    ask(&cluster, &namespace, ALICE, MANY - OF_EVE).await;
    let (browser, ui) = first_view(&cluster, MANY).await;
    let measured = "const done = arguments[arguments.length - 1];
        const field = [...document.querySelectorAll('form.filters input')][0];
        const began = performance.now();
        new MutationObserver((_, self) => {
            self.disconnect();
            requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
        }).observe(document.querySelector('table.grants tbody'), { subtree: true, childList: true });
        field.value = 'eve';
        field.dispatchEvent(new Event('input', { bubbles: true }));";
    let filtered: Value = browser.run_until_called(measured, json!([])).await;
    browser.until_shows(&format!("\n{OF_EVE} of ")).await;
    println!("{MANY} requests: filtered in {:.0} ms", filtered.as_f64().unwrap_or_default());
    assert!(!browser.text().await.contains("alice"), "what does not fit is shown");
    let memory = size(ui.pid(), "VmHWM");
    println!("{MANY} requests: kubectl daypass ui has needed {memory} of memory");
}

/// Opens the page where there are so many requests, and prints what it took until the first of them was seen.
async fn first_view(cluster: &Cluster, many: usize) -> (Chromium, Running) {
    let (ui, url) = started(cluster, CAROL, &[]).await;
    let browser = Chromium::start(&cluster.control_plane, CAROL.login).await;
    let watch = "addEventListener('DOMContentLoaded', () => {
        const look = () => {
            if (!document.querySelector('tbody tr') || window.firstRow) return;
            window.firstRow = -1;
            requestAnimationFrame(() => setTimeout(() => { window.firstRow = performance.now(); }));
        };
        new MutationObserver(look).observe(document.documentElement, { subtree: true, childList: true });
    });";
    browser.command("Page.addScriptToEvaluateOnNewDocument", json!({ "source": watch })).await.expect("watch");
    browser.open(&url).await;
    browser.until_shows(&format!("{many} of ")).await;
    let first = eventually("a row is drawn", SOON, async || {
        let at = browser.run("return window.firstRow ?? null", json!([])).await;
        at.as_f64().filter(|at| *at > 0.0).ok_or_else(|| "none is".to_owned())
    })
    .await;
    let calls = "const all = performance.getEntriesByType('resource');
        return [all.length + 1, all.reduce((sum, each) => sum + each.transferSize, 0)]";
    let calls = browser.run(calls, json!([])).await;
    println!("{many} requests: the first row after {first:.0} ms, in {} calls and {} bytes", calls[0], calls[1]);
    browser.command("Performance.enable", json!({})).await.expect("count");
    let metrics = browser.command("Performance.getMetrics", json!({})).await.expect("metrics");
    let heap = metrics["metrics"].as_array().and_then(|all| all.iter().find(|one| one["name"] == "JSHeapUsedSize"));
    let heap = heap.and_then(|heap| heap["value"].as_f64()).unwrap_or_default() / f64::from(1 << 20);
    println!("{many} requests: the page needs {heap:.1} MiB of memory in the browser");
    (browser, ui)
}
