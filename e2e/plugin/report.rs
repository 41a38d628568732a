//! `report`: where requests wait for people, and for how long.

use std::sync::Arc;

use daypass::api::State;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::cast::SOON;
use crate::harness::plugin::Plugin;
use crate::harness::users::{ALICE, BOB, CAROL, DAVE};
use crate::harness::{Cluster, eventually, shared};

pub fn trials() -> Vec<Trial> {
    vec![shared("plugin::reports_where_requests_wait_and_for_whom", decisions)]
}

async fn decisions(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("decisions").await;
    let stages = json!([
        { "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] },
        { "name": "sre", "approvers": [{ "kind": "User", "name": "dave" }, { "kind": "Group", "name": "approvers" }] },
    ]);
    cluster.allow(&namespace, &namespace, json!({ "approval": { "stages": stages } })).await;
    for name in ["approved", "denied", "halfway", "waits"] {
        cluster.ask(ALICE, &namespace, name, json!({})).await;
        cluster.until_reason(&namespace, name, "Approved", "ApprovalNeeded").await;
    }
    let requests = cluster.requests(&namespace).await;
    cluster.review(BOB, &namespace, "denied", "Deny", "no").await;
    cluster.until(&namespace, "denied", State::Denied).await;
    for name in ["approved", "halfway"] {
        cluster.review(BOB, &namespace, name, "Approve", "yes").await;
        eventually("the second stage is open", SOON, async || {
            let status = requests.get(name).await.map_err(|error| error.to_string())?.status;
            let stage = status.and_then(|status| status.stage).map(|stage| stage.name);
            if stage.as_deref() == Some("sre") { Ok(()) } else { Err(format!("{stage:?}")) }
        })
        .await;
    }
    cluster.review(DAVE, &namespace, "approved", "Approve", "yes").await;
    cluster.until(&namespace, "approved", State::Active).await;

    let carol = Plugin::of(&cluster, CAROL);
    let line = ["report", "decisions", "-n", &namespace];
    let report: Value = serde_json::from_str(&carol.done(&[&line[..], &["-o", "json"]].concat()).await).unwrap();
    let figures = |of: &Value| json!([of["answered"], of["denied"], of["waiting"], of["lapsed"]]);
    let stages = report["stages"].as_array().expect("stages");
    let told: Vec<(&Value, Value)> = stages.iter().map(|stage| (&stage["stage"], figures(stage))).collect();
    assert_eq!(told, [(&json!("leads"), json!([3, 1, 1, 0])), (&json!("sre"), json!([1, 0, 1, 0]))]);
    assert_eq!(stages[1]["approvers"], json!(["User/dave", "Group/approvers"]));
    assert!(stages[0]["medianSeconds"].is_i64() && stages[0]["oldestWaitingSeconds"].is_i64(), "{report:#}");
    let people = report["approvers"].as_array().expect("approvers");
    let told: Vec<(&Value, Value)> = people.iter().map(|one| (&one["approver"], figures(one))).collect();
    // What waits for a group and a person waits for both.
    assert_eq!(told, [(&json!("Group/approvers"), json!([4, 1, 2, 0])), (&json!("User/dave"), json!([1, 0, 1, 0]))]);

    let table = carol.done(&line).await;
    let first: Vec<&str> = table.lines().next().expect("heads").split_whitespace().collect();
    assert_eq!(first, ["POLICY", "STAGE", "ANSWERED", "MEDIAN", "90%", "LONGEST", "WAITING", "LONGEST", "WAIT"]);
    let leads = table.lines().nth(1).expect("a stage");
    assert!(leads.starts_with(&namespace) && leads.contains("  leads  3 "), "{table}");
    assert!(table.contains("\nGroup/approvers  4 "), "{table}");

    let (out, err) = carol.ends(&[&line[..], &["--since", "2100-01-01"]].concat(), 0).await;
    assert!(out.is_empty() && !err.is_empty(), "{out}{err}");
}
