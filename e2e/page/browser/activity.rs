//! What was done with a grant: call for call to whoever may read that in the archive, and in a line to everybody else.

use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::{Seat, until_read};
use crate::activity::{Fed, number, rows};
use crate::harness::cast::SOON;
use crate::harness::install::Controller;
use crate::harness::users::{ADMIN, ALICE, CAROL, EVE};
use crate::harness::{Cluster, eventually};

const TITLE: &str = "What was done with it";

pub async fn told() {
    let fed = Fed::private().await;
    let cluster = fed.cluster();
    let (namespace, admin) = (cluster.namespace("done").await, cluster.kubectl(ADMIN));
    cluster.allow(&namespace, &namespace, json!({})).await;
    let reads = ["create", "clusterrolebinding", "carol-reads", "--clusterrole=daypass-archive-reader", "--user=carol"];
    admin.ok(&reads).await;
    admin.ok(&["create", "clusterrolebinding", "eve-views", "--clusterrole=view", "--user=eve"]).await;
    admin.ok(&["create", "configmap", "web", "-n", &namespace]).await;
    fed.until_marked().await;
    for (who, name) in [(ALICE, "fix"), (EVE, "eves")] {
        cluster.ask(who, &namespace, name, json!({ "duration": "1h" })).await;
    }
    let (fix, eves) = (fed.granted(&namespace, "fix").await, fed.granted(&namespace, "eves").await);
    // The archive reads records when events come.
    fed.send(&[]).await;
    for _ in 0..3 {
        cluster.kubectl(EVE).ok(&["get", "configmaps", "-n", &namespace]).await;
        cluster.kubectl(ALICE).ok(&["get", "configmap", "web", "-n", &namespace]).await;
    }
    let all = |found: &Value| rows(found, "configmaps").first().is_some_and(|row| number(row, "calls") == 3);
    fed.until(&fix, "alice's calls are known", all).await;
    let redundant = |found: &Value| all(found) && found["known"] == "Redundant";
    fed.until(&eves, "eve's calls are known", redundant).await;

    let (carol, alice) = (Seat::of(cluster, CAROL).await, Seat::of(cluster, ALICE).await);
    let page = |seat: &Seat, name: &str| format!("{}/r/{namespace}/{name}", seat.origin);
    carol.browser.open(&page(&carol, "fix")).await;
    carol.browser.until_there("heading", TITLE).await;
    carol.browser.until_shows("Used: its bindings allowed calls").await;
    assert_eq!(row(&carol, &format!("get configmaps {namespace}")).await[1..], ["alice", "3"].map(str::to_owned));
    carol.browser.open(&page(&carol, "eves")).await;
    carol.browser.until_shows("approved and not needed").await;
    let beside = row(&carol, &format!("list configmaps {namespace}")).await;
    assert!(beside[0].ends_with(" allowed by ClusterRoleBinding eve-views instead"), "{beside:?}");
    assert_eq!(beside[1..], ["eve", "3"].map(str::to_owned));

    // alice may not read the archive, and her access is not over.
    alice.browser.open(&page(&alice, "fix")).await;
    until_read(&alice.browser).await;
    alice.browser.until_there("heading", "History").await;
    assert!(!alice.browser.has("heading", TITLE).await, "{}", alice.browser.text().await);
    assert!(!alice.browser.text().await.contains("Recorded"), "it is not over, and so not recorded to its end");
    over(&alice, &format!("{namespace}/fix")).await;
    // As the controller writes it once all is heard, which takes minutes.
    let last: Timestamp = "2026-11-23T12:00:00Z".parse().expect("a time");
    let activity = json!({ "used": "Used", "calls": 3, "last": last });
    let told = json!({ "status": { "activity": activity } }).to_string();
    let patch = ["patch", "areq", "fix", "-n", &namespace, "--subresource=status", "--type=merge", "-p", &told];
    admin.ok(&[&patch[..], &["--token", &Controller::token(&cluster.control_plane).await]].concat()).await;
    alice.browser.until_there("heading", TITLE).await;
    alice.browser.until_shows("It was used. 3 calls, the last:").await;
    recorded(&alice, cluster, &namespace, "fix").await;
    assert!(!alice.browser.text().await.contains("get configmaps"), "she reads what she may not");
    kept_history(&carol, &alice, &format!("{namespace}/fix")).await;
}

/// The texts of the cells of the row that begins with these words, without addresses and times.
async fn row(seat: &Seat, begins: &str) -> Vec<String> {
    seat.browser.until_shows(begins).await;
    let cells = "const row = [...document.querySelectorAll('table tr')].find((each) => each.innerText.startsWith(arguments[0]));
        return [...row.cells].slice(0, 3).map((cell) => cell.innerText.replace(/ (127[.0-9]*|::1)$/, ''))";
    let cells = seat.browser.run(cells, json!([begins])).await;
    serde_json::from_value(cells).expect("texts")
}

/// Gives access back.
async fn over(alice: &Seat, key: &str) {
    alice.browser.press("button", &format!("Drop {key}")).await;
    alice.browser.until_shows("Revoked").await;
}

/// Waits until the request says that the archive has each entry of its history.
async fn recorded(alice: &Seat, cluster: &Cluster, namespace: &str, name: &str) {
    let requests = cluster.requests(namespace).await;
    let field = "return [...document.querySelectorAll('dt')].find((each) => each.innerText === 'Recorded')
        ?.nextElementSibling.innerText ?? null";
    eventually("all of it is recorded", SOON, async || {
        let status = requests.get(name).await.map_err(|error| error.to_string())?.status.unwrap_or_default();
        let entries = status.recorded.ok_or("nothing is recorded")?;
        assert_eq!(usize::try_from(entries), Ok(status.history.len()), "{:?}", status.history);
        let shown = alice.browser.run(field, json!([])).await;
        let expected = format!("the archive has {entries} entries of it");
        if shown == expected { Ok(()) } else { Err(format!("{shown} in place of {expected}")) }
    })
    .await;
}

/// The history is that of the archive for whoever may read it, and that of the requests for others, who are told so.
async fn kept_history(carol: &Seat, alice: &Seat, key: &str) {
    const NONE: &str = "There is no archive here that you may read";
    for seat in [carol, alice] {
        seat.browser.open(&format!("{}/history?person=alice", seat.origin)).await;
        seat.browser.until_shows(key).await;
        until_read(&seat.browser).await;
    }
    assert!(alice.browser.text().await.contains(NONE), "{}", alice.browser.text().await);
    let text = carol.browser.text().await;
    assert!(!text.contains(NONE) && !text.contains("eves"), "{text}");
}
