//! The newcomer's path, from an installed chart to access that is granted: with kubectl alone, and with the plugin. Both are
//! run as they stand in `examples/README.md`, and it is printed how many commands and how long each took.

use std::sync::Arc;
use std::time::{Duration, Instant};

use daypass::api::State;
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::plugin::{Plugin, only_request};
use crate::harness::users::{ALICE, BOB};
use crate::harness::{Cluster, binaries, shared};

pub fn trials() -> Vec<Trial> {
    vec![shared("plugin::the_newcomers_path_is_short", path)]
}

async fn path(cluster: Arc<Cluster>) {
    let stages = json!({ "approval": { "stages": [{ "name": "leads", "approvers": [
        { "kind": "Group", "name": "approvers" }
    ] }] } });
    let namespaces = [cluster.namespace("by-hand").await, cluster.namespace("in-a-line").await];
    for namespace in &namespaces {
        cluster.allow(&format!("{namespace}-edit"), namespace, stages.clone()).await;
    }
    let before = by_hand(&cluster, &namespaces[0]).await;
    let after = in_a_line(&cluster, &namespaces[1]).await;
    let told = |(commands, time): (usize, Duration)| format!("{commands} commands, {:.1} s", time.as_secs_f64());
    println!("from nothing to granted access: kubectl alone {}; kubectl daypass {}", told(before), told(after));
    let page = std::fs::read_to_string(binaries::repository().join("examples/README.md")).unwrap();
    for (way, (commands, _)) in [("kubectl alone", before), ("`kubectl daypass`", after)] {
        assert!(
            page.contains(&format!("| {way} | {commands} |")),
            "examples/README.md: {way} takes {commands} commands"
        );
    }
}

/// alice looks for a policy, writes a request, and sees whom it waits for; bob finds it, reads it and approves; alice waits
/// and looks until when.
async fn by_hand(cluster: &Cluster, namespace: &str) -> (usize, Duration) {
    let (alice, bob) = (cluster.kubectl(ALICE), cluster.kubectl(BOB));
    let began = Instant::now();
    let manifest = json!({
        "apiVersion": "daypass.dev/v1alpha1", "kind": "AccessRequest",
        "metadata": { "generateName": "fix-", "namespace": namespace },
        "spec": { "role": { "name": "edit" }, "reason": "checkout hangs" }
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), manifest.to_string()).unwrap();
    let file = file.path().display().to_string();
    let patch = json!({ "status": { "reviews": { "bob": { "verdict": "Approve" } } } }).to_string();
    let made = alice.ok(&["create", "-f", &file, "-o", "name"]).await;
    let name = made.trim().rsplit('/').next().unwrap().to_owned();
    let of = |verb: &'static str, more: &[&str]| -> Vec<String> {
        [&[verb, "areq", &name, "-n", namespace], more].concat().into_iter().map(str::to_owned).collect()
    };
    let commands = [
        (&alice, of("wait", &["--for=jsonpath={.status.stage.name}=leads", "--timeout=60s"])),
        (&alice, of("get", &["-o", "jsonpath={.status.message}"])),
        (&bob, ["get", "areq", "-n", namespace].map(str::to_owned).to_vec()),
        (&bob, of("get", &["-o", "yaml"])),
        (&bob, of("patch", &["--subresource=status", "--type=merge", "-p", &patch])),
        (&alice, of("wait", &["--for=jsonpath={.status.state}=Active", "--timeout=60s"])),
    ];
    let mut answers = Vec::new();
    for (who, args) in &commands {
        answers.push(who.ok(&args.iter().map(String::as_str).collect::<Vec<_>>()).await);
    }
    assert!(answers[1].contains("approvers"), "{}", answers[1]);
    // The manifest is a command too: it is typed, or copied from somewhere and edited.
    (commands.len() + 2, began.elapsed())
}

/// alice asks and waits; bob looks at what waits for him and approves.
async fn in_a_line(cluster: &Cluster, namespace: &str) -> (usize, Duration) {
    let (alice, bob) = (Plugin::of(cluster, ALICE), Plugin::of(cluster, BOB));
    let began = Instant::now();
    let mut asks = alice.start(&["request", "edit", "--reason=checkout hangs", "-n", namespace]);
    asks.until_printed("is made").await;
    let waits = bob.done(&["pending", "-n", namespace]).await;
    let name = only_request(cluster, namespace).await;
    assert!(waits.contains(&name), "{waits}");
    bob.ends(&["approve", &name, "-n", namespace, "--yes"], 0).await;
    let (code, out, err) = asks.end().await;
    assert_eq!(code, Some(0), "{out}{err}");
    let took = began.elapsed();
    assert!(out.contains("approved by bob"), "{out}");
    cluster.until(namespace, &name, State::Active).await;
    (3, took)
}
