//! `pending`: what waits for a person's own decision, and what of it they may not see.

use std::sync::Arc;

use daypass::api::State;
use k8s_openapi::jiff::SignedDuration;
use kube::ResourceExt;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::plugin::Plugin;
use crate::harness::users::{ADMIN, ALICE, BOB, CAROL, DAVE, EVE};
use crate::harness::{Cluster, private, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("plugin::lists_what_waits_for_ones_own_decision", waits),
        shared("plugin::lists_break_glass_access_that_waits_for_a_review", reviews),
        shared("plugin::reads_a_role_once_for_all_that_waits", reads_once),
        private("plugin::says_which_namespaces_it_cannot_look_into", limited),
    ]
}

async fn asks_leads(cluster: &Cluster, name: &str, namespace: &str, role: &str, deadline: &str) {
    let leads = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }]);
    let approval = json!({ "stages": leads, "deadline": deadline });
    cluster.allow(name, namespace, json!({ "roles": [{ "name": role }], "approval": approval })).await;
}

/// The cells of each line of a table.
fn cells(table: &str) -> Vec<Vec<String>> {
    let of = |line: &str| line.split("  ").map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).collect();
    table.lines().map(of).collect()
}

async fn waits(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("pending").await;
    asks_leads(&cluster, &namespace, &namespace, "edit", "4h").await;
    asks_leads(&cluster, &format!("{namespace}-soon"), &namespace, "view", "1h").await;
    let (carol, bob) = (Plugin::of(&cluster, CAROL), Plugin::of(&cluster, BOB));
    let pending = ["pending", "-n", &namespace];
    let (out, err) = carol.ends(&pending, 0).await;
    assert_eq!((out.as_str(), err.as_str()), ("", "nothing waits for your decision\n"));
    cluster.ask(ALICE, &namespace, "later", json!({ "duration": "40m" })).await;
    cluster.ask(BOB, &namespace, "soon", json!({ "role": { "name": "view" }, "duration": "20m" })).await;
    let mut rows = vec![
        ["NAMESPACE", "NAME", "REQUESTER", "ROLE", "FOR", "RISK", "DEADLINE", "AGE", "REASON"]
            .map(String::from)
            .to_vec(),
    ];
    // What is due first is at the top, although it was asked for last.
    for (name, who, role, long, hours) in [("soon", "bob", "view", "20m", 1), ("later", "alice", "edit", "40m", 4)] {
        let request = cluster.until_reason(&namespace, name, "Approved", "ApprovalNeeded").await;
        let due = request.creation_timestamp().unwrap().0 + SignedDuration::from_hours(hours);
        let risk = request.status.unwrap().risk.unwrap().level;
        rows.push(
            [&namespace, name, who, role, long, risk.as_str(), &due.to_string(), "a trial"].map(String::from).to_vec(),
        );
    }
    let mut shown = cells(&carol.done(&pending).await);
    // Ages are as they are.
    shown.iter_mut().skip(1).for_each(|row| drop(row.remove(7)));
    assert_eq!(shown, rows);
    let names = |table: String| cells(&table).into_iter().skip(1).map(|row| row[1].clone()).collect::<Vec<_>>();
    assert_eq!(names(bob.done(&pending).await), ["later"], "nobody decides on their own");
    let all = carol.done(&["pending", "--no-headers"]).await;
    assert_eq!(all.lines().filter(|line| line.starts_with(&format!("{namespace} "))).count(), 2, "{all}");
    let json: Value = serde_json::from_str(&carol.done(&[&pending[..], &["-o", "json"]].concat()).await).unwrap();
    let of = |index: usize| json["items"][index]["metadata"]["name"].clone();
    assert_eq!((&json["kind"], of(0), of(1)), (&json!("List"), json!("soon"), json!("later")));
    // eve may read it all, and nothing of it is for her to decide.
    let (out, err) = Plugin::of(&cluster, EVE).ends(&pending, 0).await;
    assert_eq!((out.as_str(), err.as_str()), ("", "nothing waits for your decision\n"));
    carol.done(&["approve", "soon", "-n", &namespace, "--yes"]).await;
    assert_eq!(names(carol.done(&pending).await), ["later"]);
}

async fn reads_once(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("once").await;
    let role = ["create", "role", "deployer", "--verb=get", "--resource=pods", "-n", &namespace];
    cluster.kubectl(ADMIN).ok(&role).await;
    let leads = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }]);
    let deployer = json!({ "kind": "Role", "name": "deployer" });
    cluster.allow(&namespace, &namespace, json!({ "roles": [deployer], "approval": { "stages": leads } })).await;
    for name in ["one", "two", "three"] {
        cluster.ask(ALICE, &namespace, name, json!({ "role": deployer })).await;
        cluster.until_reason(&namespace, name, "Approved", "ApprovalNeeded").await;
    }
    let names = Plugin::of(&cluster, CAROL).done(&["pending", "-n", &namespace, "-o", "name"]).await;
    assert_eq!(names.lines().count(), 3, "{names}");
    let of_it = |event: &Value| {
        event["objectRef"]["resource"] == "roles" && event["objectRef"]["namespace"] == json!(namespace)
    };
    let reads = cluster.control_plane.calls_of(CAROL.name).into_iter().filter(|event| of_it(event)).count();
    assert_eq!(reads, 1);
}

async fn reviews(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("review").await;
    let reviewers = json!([{ "kind": "Group", "name": "approvers" }]);
    let terms = json!({ "reviewers": reviewers, "reviewWithin": "2h" });
    cluster.allow(&namespace, &namespace, json!({ "breakGlass": terms })).await;
    cluster.ask(ALICE, &namespace, "fire", json!({ "breakGlass": true, "duration": "40m" })).await;
    let status = cluster.until(&namespace, "fire", State::Active).await.status.unwrap();
    let by = status.break_glass.unwrap().review_by.0.to_string();
    let carol = Plugin::of(&cluster, CAROL);
    let wide = carol.done(&["pending", "-n", &namespace, "-o", "wide"]).await;
    assert!(wide.contains(&format!("  {by}  ")) && wide.contains("review of break-glass access"), "{wide}");
    carol.done(&["approve", "fire", "-n", &namespace, "--yes"]).await;
    let (out, _) = carol.ends(&["pending", "-n", &namespace], 0).await;
    assert_eq!(out, "");
}

/// carol approves in namespace `default` and in another one, and may not look into all.
async fn limited(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("other").await;
    let admin = cluster.kubectl(ADMIN);
    admin.ok(&["delete", "clusterrolebinding", "everybody-may-ask", "approvers-may-review"]).await;
    for place in ["default", &namespace] {
        for (role, group) in [("daypass-requester", "dev"), ("daypass-approver", "approvers")] {
            let (role, group) = (format!("--clusterrole={role}"), format!("--group={group}"));
            admin.ok(&["create", "rolebinding", &group[8..], "-n", place, &role, &group]).await;
        }
        asks_leads(&cluster, &format!("in-{place}"), place, "edit", "4h").await;
        cluster.ask(ALICE, place, "fix", json!({})).await;
        cluster.until_reason(place, "fix", "Approved", "ApprovalNeeded").await;
    }
    let carol = Plugin::of(&cluster, CAROL);
    let (out, err) = carol.ends(&["pending", "--no-headers"], 0).await;
    assert!(out.starts_with("default  ") && out.lines().count() == 1, "{out}{err}");
    assert!(
        err.contains("you may not list the requests of all namespaces, so only those of default are shown"),
        "{err}"
    );
    assert!(err.contains("you may not list policies, so deadlines are not known"), "{err}");
    let both = format!("default,{namespace}");
    let (out, err) = carol.ends(&["pending", "--no-headers", "-n", &both], 0).await;
    assert!(out.lines().count() == 2 && !err.contains("only those"), "{out}{err}");
    let (out, err) = carol.ends(&["pending", "-A"], 1).await;
    assert!(out.is_empty() && err.contains("you may not list accessrequests in all namespaces"), "{out}{err}");
    let (_, err) = Plugin::of(&cluster, DAVE).ends(&["pending"], 1).await;
    assert!(err.contains("you may not list accessrequests in namespace default: have an admin bind you"), "{err}");
}
