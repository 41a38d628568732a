//! The record of a request: what stands on standard output is what can be made again from the object, keeps its schema, and is
//! one chain.

use std::sync::Arc;

use daypass::api::State;
use daypass::api::record::Record;
use daypass::api::request::AccessRequest;
use daypass::core::record::v1;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, ResourceExt};
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::cast::SOON;
use crate::harness::records;
use crate::harness::users::{ADMIN, ALICE, BOB, CAROL};
use crate::harness::wait::eventually;
use crate::harness::{Cluster, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("record::of_a_life_is_printed_and_can_be_made_again", of_a_life),
        shared("record::says_who_decided_and_by_which_text", who_and_by_which_text),
    ]
}

async fn cluster_uid(cluster: &Cluster) -> String {
    let namespaces: Api<Namespace> = Api::all(cluster.client(ADMIN).await);
    namespaces.get("kube-system").await.unwrap().uid().unwrap()
}

/// The records of a request as they were printed, once there are as many as its history tells of.
async fn printed(cluster: &Cluster, request: &AccessRequest) -> Vec<String> {
    let uid = request.uid().unwrap();
    let expected = request.status.as_ref().unwrap().history.len() + 1;
    eventually("all records are printed", SOON, async || {
        let log = cluster.controller.log();
        let is_record = |line: &&str| line.contains("daypass.dev/record/v1") && line.contains(&uid);
        let lines: Vec<String> = log.lines().filter(is_record).map(str::to_owned).collect();
        if lines.len() == expected { Ok(lines) } else { Err(format!("{lines:#?}")) }
    })
    .await
}

fn assert_keeps_the_schema(lines: &[String]) {
    for line in lines {
        assert_eq!(records::fault(line), None, "{line}");
    }
}

async fn of_a_life(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("record").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "2s", "ticket": "OPS-7" })).await;
    let expired = cluster.until(&namespace, "fix", State::Expired).await;
    let lines = printed(&cluster, &expired).await;
    let again: Vec<String> = v1::records(&expired, &cluster_uid(&cluster).await).iter().map(Record::bytes).collect();
    assert_eq!(lines, again);
    assert_keeps_the_schema(&lines);
    let kinds: Vec<String> = v1::records(&expired, "").iter().map(|record| record.kind.to_string()).collect();
    assert_eq!(kinds, ["Requested", "Granted", "Expired"]);
    for (good, bad) in [
        (r#""outcome":"Begun""#, r#""outcome":"Perhaps""#),
        (r#""kind":"Granted""#, r#""kind":"Given""#),
        (r#""index":1"#, r#""index":-1"#),
        (r#""username":"alice""#, r#""user":"alice""#),
    ] {
        let spoilt = lines[1].replace(good, bad);
        assert!(spoilt != lines[1] && records::fault(&spoilt).is_some(), "{bad} is a record");
    }
}

async fn who_and_by_which_text(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("record").await;
    let stages = json!([{ "name": "leads", "approvers": [{ "kind": "User", "name": "bob" }] }]);
    cluster.allow(&namespace, &namespace, json!({ "approval": { "stages": stages } })).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "10m" })).await;
    cluster.until_reason(&namespace, "fix", "Approved", "ApprovalNeeded").await;
    cluster.review(CAROL, &namespace, "fix", "Approve", "me too").await;
    cluster.review(BOB, &namespace, "fix", "Approve", "go").await;
    cluster.until(&namespace, "fix", State::Active).await;
    cluster.review(ALICE, &namespace, "fix", "Revoke", "done").await;
    let over = cluster.until(&namespace, "fix", State::Revoked).await;
    let lines = printed(&cluster, &over).await;
    assert_keeps_the_schema(&lines);
    let all: Vec<Record> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(all.windows(2).all(|pair| pair[1].previous == Some(pair[0].digest())), "one chain");
    let of = |kind: &str| all.iter().find(|record| record.kind.as_str() == kind).unwrap_or_else(|| panic!("{all:#?}"));

    let reviewed = of("Reviewed");
    let bob = reviewed.actor.as_ref().unwrap();
    assert_eq!((bob.username.as_str(), bob.uid.as_deref()), ("bob", Some(BOB.uid)));
    assert!(bob.groups.is_some() && reviewed.stage.as_deref() == Some("leads"), "{reviewed:?}");
    assert_eq!(of("ReviewIgnored").actor.as_ref().unwrap().username, "carol");
    let granted = of("Granted");
    let policy = granted.policy.as_ref().unwrap();
    assert!(policy.name == namespace && policy.digest.is_some(), "{policy:?}");
    assert_eq!(granted.approved_by, ["bob"]);
    assert!(granted.access.role_digest.is_some() && granted.access.risk.is_some(), "{granted:?}");
    let status = over.status.as_ref().unwrap();
    let given = granted.given.as_ref().unwrap();
    assert_eq!(Some(given.until.0), status.expires_at.as_ref().map(|end| end.0));
    assert_eq!(given.from.as_ref().map(|from| from.0), status.granted_at.as_ref().map(|from| from.0));
    assert_eq!(of("Revoked").actor.as_ref().unwrap().username, "alice");
}
