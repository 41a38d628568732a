//! `watch` and `list -w`: a line for each change, until somebody ends it.

use std::sync::Arc;

use daypass::api::State;
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::plugin::Plugin;
use crate::harness::users::{ALICE, CAROL, EVE, MALLORY};
use crate::harness::{Cluster, shared};

pub fn trials() -> Vec<Trial> {
    vec![shared("plugin::watches_requests_change", watches)]
}

async fn watches(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("watch").await;
    let leads = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }]);
    cluster.allow(&namespace, &namespace, json!({ "approval": { "stages": leads } })).await;
    let (alice, carol) = (Plugin::of(&cluster, ALICE), Plugin::of(&cluster, CAROL));
    let mut mine = alice.start(&["watch", "-n", &namespace]);
    let mut all = carol.start(&["list", "-w", "--everyone", "-n", &namespace, "-o", "name"]);
    for (user, name) in [(EVE, "hers"), (ALICE, "fix"), (ALICE, "more")] {
        cluster.ask(user, &namespace, name, json!({})).await;
        cluster.until_reason(&namespace, name, "Approved", "ApprovalNeeded").await;
    }
    let line = |name: &str, how: &str| format!("  {namespace}/{name}  alice  edit  {how}");
    let mut seen = mine.until_printed(&line("fix", "Pending: stage leads of policy")).await;
    carol.done(&["approve", "fix", "-n", &namespace, "--yes"]).await;
    let active = cluster.until(&namespace, "fix", State::Active).await.status.unwrap();
    seen += &mine.until_printed(&line("fix", &format!("Active: {}\n", active.message.unwrap()))).await;
    cluster.kubectl(ALICE).ok(&["delete", "areq", "more", "-n", &namespace]).await;
    seen += &mine.until_printed(&line("more", "deleted\n")).await;
    assert!(!seen.contains("hers"), "{seen}");
    // A review that changes nothing that is told, such as carol's before it counts, is no change.
    let mut lines: Vec<&str> = seen.lines().collect();
    lines.sort_unstable();
    let all_lines = lines.len();
    lines.dedup();
    assert_eq!(lines.len(), all_lines, "each change once: {seen}");
    all.until_printed("accessrequest.daypass.dev/hers\n").await;
    for watching in [mine, all] {
        watching.interrupt();
        let (code, out, err) = watching.end().await;
        assert_eq!(code, Some(0), "{out}{err}");
    }
    // It does not go on trying what it may not.
    let (_, err) = Plugin::of(&cluster, MALLORY).ends(&["watch", "--everyone", "-A", "--as", "alice"], 1).await;
    assert!(err.contains("watch accessrequests in all namespaces"), "{err}");
}
