//! `policy diff`: which requests two sets of policies decide differently, offline and on a cluster.

use std::sync::Arc;

use daypass::api::State;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::plugin::Plugin;
use crate::harness::users::{ALICE, EVE, GRETA};
use crate::harness::{Cluster, binaries, cast, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("plugin::diff_tells_which_cases_are_decided_differently", offline),
        shared("plugin::diff_tells_which_requests_of_the_cluster_would_be_decided_differently", recent),
    ]
}

async fn offline(_: Arc<Cluster>) {
    let folder = tempfile::tempdir().unwrap();
    let (old, tests) = ("examples/gitops/policies", "examples/gitops/tests");
    let read = |name: &str| std::fs::read_to_string(binaries::repository().join(old).join(name)).unwrap();
    let policy = read("shop.yaml");
    let new = folder.path().join("new");
    std::fs::create_dir(&new).unwrap();
    std::fs::write(new.join("protect.yaml"), read("protect.yaml")).unwrap();
    std::fs::write(new.join("shop.yaml"), policy.replace("name: approvers", "name: sre")).unwrap();
    let new = new.display().to_string();
    let plugin = Plugin::without_cluster();
    let diff = ["policy", "diff", old, &new, "-f", tests];
    let out = plugin.done(&diff).await;
    let page = std::fs::read_to_string(binaries::repository().join("examples/README.md")).unwrap();
    assert!(page.contains(&format!("policy diff {old} new -f {tests}\n{out}```")), "examples/README.md: {out}");
    plugin.ends(&[&diff[..], &["--exit-code"]].concat(), 1).await;
    // What NEW does not name goes on as it is, where NEW goes on top; without that it is gone.
    let protect = format!("{new}/protect.yaml");
    let alone = ["policy", "diff", old, &protect, "-f", tests];
    let out = plugin.done(&[&alone[..], &["--on-top"]].concat()).await;
    assert_eq!(out, "3 requests looked at, 0 decided differently, 0 undecidable\n");
    let out = plugin.done(&alone).await;
    assert!(out.ends_with("3 requests looked at, 2 decided differently, 0 undecidable\n"), "{out}");
    let same = plugin.done(&["policy", "diff", old, old, "-f", tests, "--exit-code"]).await;
    assert_eq!(same, "3 requests looked at, 0 decided differently, 0 undecidable\n");
    // For programs.
    let json: Value = serde_json::from_str(&plugin.done(&[&diff[..], &["-o", "json"]].concat()).await).unwrap();
    let given = |group: &str| {
        let stage = json!({ "name": "leads", "required": 1, "approvers": [group] });
        let policy = "gitops-shop-edit";
        json!({ "outcome": "Waiting", "stages": [stage], "duration": "30m", "policy": policy })
    };
    let mut difference = json["differences"][0].clone();
    for side in ["before", "after"] {
        let summary = difference[side].as_object_mut().unwrap().remove("summary");
        assert!(summary.is_some_and(|summary| summary.as_str().unwrap().starts_with("waits for ")));
    }
    let request = json!({ "request": "a change waits for a lead", "requester": "alice", "what": "edit" });
    assert_eq!((&json["lookedAt"], &json["undecidable"]), (&json!(3), &json!([])));
    for (key, value) in request.as_object().unwrap() {
        assert_eq!(&difference[key], value);
    }
    assert_eq!((&difference["before"], &difference["after"]), (&given("Group/approvers"), &given("Group/sre")));
    // What cannot be decided is counted and told, and what cannot be used is refused.
    let nobody = folder.path().join("nobody.json");
    std::fs::write(&nobody, cast::request("payments", "fix", json!({})).to_string()).unwrap();
    let nobody = nobody.display().to_string();
    let out = plugin.done(&["policy", "diff", old, &new, "-f", &nobody]).await;
    assert!(out.contains("undecidable: payments/fix: it does not say who asks: add spec.requester\n"), "{out}");
    assert!(out.ends_with("1 requests looked at, 0 decided differently, 1 undecidable\n"), "{out}");
    let broken = folder.path().join("broken.yaml");
    std::fs::write(&broken, policy.replace("deadline: 24h", "deadlin: 24h")).unwrap();
    let broken = broken.display().to_string();
    let (_, err) = plugin.ends(&["policy", "diff", old, &broken, "-f", &nobody], 2).await;
    assert!(err.contains("spec.approval.deadlin: unknown field"), "{err}");
    let (_, err) = plugin.ends(&["policy", "diff", old, "-f", &nobody], 2).await;
    assert!(err.contains("give the policies of OLD and of NEW, or --cluster"), "{err}");
}

async fn recent(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("diff").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "short", json!({ "duration": "10m" })).await;
    cluster.ask(EVE, &namespace, "long", json!({ "duration": "1h" })).await;
    for name in ["short", "long"] {
        cluster.until(&namespace, name, State::Active).await;
    }
    let mut changed = cast::policy(&namespace, &namespace);
    changed["spec"]["duration"] = json!({ "max": "30m" });
    let stage = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }]);
    let stages = json!({ "automaticWhen": "requester.username == 'nobody'", "stages": stage });
    changed["spec"]["approval"] = stages;
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    std::fs::write(file.path(), changed.to_string()).unwrap();
    let new = file.path().display().to_string();
    let greta = Plugin::of(&cluster, GRETA);
    let diff = ["policy", "diff", "--cluster", "--on-top", &new, "--recent", "-n", &namespace];
    let out = greta.done(&diff).await;
    let lines: Vec<Vec<&str>> =
        out.lines().map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect();
    let needs = "needs 1 of Group/approvers (leads), for 10m";
    let because = format!("policy {namespace}");
    let (short, long) = (format!("{namespace}/short"), format!("{namespace}/long"));
    assert_eq!(lines[0], ["REQUEST", "REQUESTER", "ROLE", "BEFORE", "AFTER", "WHY"], "{out}");
    // Those of the same second have no order.
    let row = |name: &str| lines.iter().find(|line| line.first() == Some(&name)).expect("a row");
    assert_eq!(*row(&short), [&*short, "alice", "edit", "granted at once, for 10m", needs, &because], "{out}");
    assert_eq!(row(&long)[..5], [&*long, "eve", "edit", "granted at once, for 1h", "denied"], "{out}");
    assert!(out.ends_with("2 requests looked at, 2 decided differently, 0 undecidable\n"), "{out}");
    greta.ends(&[&diff[..], &["--exit-code"]].concat(), 1).await;
    // What is in force is no different from itself, and in its place nothing is given.
    std::fs::write(file.path(), cast::policy(&namespace, &namespace).to_string()).unwrap();
    let out = greta.done(&[&diff[..], &["--exit-code"]].concat()).await;
    // Policies of other trials may have limits, and that is noted.
    assert!(out.ends_with("2 requests looked at, 0 decided differently, 0 undecidable\n"), "{out}");
    // Written to a file they are looked at too, by whoever has no cluster.
    let stored = cluster.kubectl(GRETA).ok(&["get", "areq", "-n", &namespace, "-o", "json"]).await;
    let requests = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    std::fs::write(requests.path(), stored).unwrap();
    let requests = requests.path().display().to_string();
    let after = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    std::fs::write(after.path(), changed.to_string()).unwrap();
    let after = after.path().display().to_string();
    let out = Plugin::without_cluster().done(&["policy", "diff", &new, &after, "-f", &requests]).await;
    assert!(out.ends_with("2 requests looked at, 2 decided differently, 0 undecidable\n"), "{out}");
    assert!(out.contains(&format!("note: namespace {namespace} is in no PolicyTest of the files")), "{out}");
    // A login that is over, and a cluster that is away.
    let (_, err) = greta.ends(&[&diff[..], &["--token=of-yesterday"]].concat(), 2).await;
    assert!(err.contains("does not accept the token of --token"), "{err}");
    let (_, err) = greta.ends(&[&diff[..], &["--server=https://127.0.0.1:1"]].concat(), 2).await;
    assert!(err.contains("cannot list accesspolicies"), "{err}");
}
