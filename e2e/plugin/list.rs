//! `list` and `show`: what was asked for, in tables, on a page and for programs.

use std::sync::Arc;

use daypass::api::State;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::plugin::Plugin;
use crate::harness::users::{ALICE, CAROL, EVE};
use crate::harness::{Cluster, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("plugin::lists_requests_of_ones_own_and_of_everybody", lists),
        shared("plugin::shows_a_request_on_a_page", shows),
    ]
}

async fn lists(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("list").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "40m" })).await;
    cluster.ask(EVE, &namespace, "wide", json!({ "role": { "name": "admin" } })).await;
    let until = cluster.until(&namespace, "fix", State::Active).await.status.unwrap().expires_at.unwrap().0;
    cluster.until(&namespace, "wide", State::Denied).await;
    let alice = Plugin::of(&cluster, ALICE);
    let table = alice.done(&["list", "-n", &namespace]).await;
    let age = table.lines().nth(1).unwrap().split_whitespace().last().unwrap().to_owned();
    let head = format!("NAME  REQUESTER  ROLE  STATE   UNTIL{}  AGE", " ".repeat(until.to_string().len() - 5));
    assert_eq!(table, format!("{head}\nfix   alice      edit  Active  {until}  {age}\n"));
    let names = |more: &[&str]| {
        let args: Vec<String> =
            [&["list", "-n", &namespace, "-o", "name"], more].concat().into_iter().map(String::from).collect();
        let alice = alice.clone();
        async move {
            let out = alice.done(&args.iter().map(String::as_str).collect::<Vec<_>>()).await;
            out.lines().map(|line| line.rsplit('/').next().unwrap().to_owned()).collect::<Vec<_>>()
        }
    };
    assert_eq!(names(&[]).await, ["fix"]);
    assert_eq!(names(&["--everyone"]).await, ["fix", "wide"]);
    assert_eq!(names(&["--everyone", "--state", "denied"]).await, ["wide"]);
    assert_eq!(names(&["--requester", "eve"]).await, ["wide"]);
    assert_eq!(names(&["--everyone", "--policy", &namespace]).await, ["fix"]);
    let all = alice.done(&["list", "-A", "--no-headers", "-o", "wide"]).await;
    let mine = all.lines().find(|line| line.starts_with(&namespace)).expect("the one of this trial");
    assert!(
        mine.contains("a trial") && mine.contains(&format!("  {namespace}  ")) && !all.contains("NAMESPACE"),
        "{all}"
    );
    // As kubectl writes it, so that what reads the one reads the other.
    let json: Value = serde_json::from_str(&alice.done(&["list", "-n", &namespace, "-o", "json"]).await).unwrap();
    assert_eq!((&json["kind"], &json["items"][0]["kind"]), (&json!("List"), &json!("AccessRequest")));
    assert_eq!(json["items"][0]["status"]["state"], json!("Active"));
    let (out, err) = Plugin::of(&cluster, CAROL).ends(&["list", "-n", &namespace], 0).await;
    assert!(out.is_empty() && err.contains("no such request of yours"), "{out}{err}");
}

async fn shows(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("show").await;
    let leads = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }]);
    cluster.allow(&namespace, &namespace, json!({ "approval": { "stages": leads } })).await;
    // Words that would write over others, if a terminal obeyed them.
    let reason = "all is well\u{1b}[2K\rapproved\u{202e}";
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "40m", "reason": reason, "ticket": "OPS-7" })).await;
    let waiting = cluster.until_reason(&namespace, "fix", "Approved", "ApprovalNeeded").await.status.unwrap();
    let carol = Plugin::of(&cluster, CAROL);
    let page = carol.done(&["show", "fix", "-n", &namespace]).await;
    let start = format!(
        "{namespace}/fix Pending\n{}\n\nwho     alice\nrole    edit\nwhere   {namespace}\nfor     40m\nwhy     {}\nticket  OPS-7\nrisk    High\n",
        waiting.message.unwrap(),
        r"all is well\u{1b}[2K\rapproved\u{202e}"
    );
    assert!(page.starts_with(&start), "{start}\n--- and not\n{page}");
    assert!(page.contains("\nstage leads: 0 of 1, may approve: Group/approvers\n"), "{page}");
    assert!(page.contains("WHEN") && page.contains("ApprovalNeeded"), "{page}");
    let json: Value =
        serde_json::from_str(&carol.done(&["show", "fix", "-n", &namespace, "-o", "json"]).await).unwrap();
    assert_eq!(json["spec"]["reason"], json!(reason));
    let (_, err) = carol.ends(&["show", "nix", "-n", &namespace], 1).await;
    assert!(err.contains(&format!("there is no request nix in namespace {namespace}")), "{err}");
}
