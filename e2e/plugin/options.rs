//! `options`, and `request` without a role: what one may ask for here, and how one picks of it.

use std::sync::Arc;

use daypass::api::State;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::request::stages;
use crate::harness::plugin::{Plugin, only_request};
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::users::{ADMIN, ALICE, GRETA, MALLORY};
use crate::harness::{Cluster, ControlPlane, alone, private, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        private("plugin::options::lists_what_one_may_ask_for_and_the_line_that_asks", listed),
        private("plugin::options::says_where_a_ticket_is_needed_and_what_is_denied_now", terms),
        shared("plugin::options::says_what_may_not_be_read", unread),
        private("plugin::options::says_where_there_is_something_when_there_is_nothing_here", elsewhere),
        private("plugin::options::asks_at_a_terminal_for_what_is_picked", picked),
        alone("plugin::options::are_not_told_to_who_may_not_read_policies", AUDIT_POLICY, no_rights),
    ]
}

async fn listed(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("menu").await;
    let (asks, fire) = (format!("{namespace}-asks"), format!("{namespace}-fire"));
    cluster.allow(&namespace, &namespace, json!({ "roles": [{ "name": "view" }, { "name": "edit" }] })).await;
    let mut long = stages();
    long["duration"] = json!({ "max": "8h" });
    cluster.allow(&asks, &namespace, long).await;
    let fire_terms = json!({ "reviewers": [{ "kind": "Group", "name": "approvers" }], "reviewWithin": "24h" });
    cluster.allow(&fire, &namespace, json!({ "breakGlass": fire_terms })).await;
    let greta = Plugin::of(&cluster, GRETA);
    let n = &namespace;
    let expected = format!(
        "edit in namespace {n}, for up to 1h: granted at once (policy {n})\n    \
         kubectl daypass request edit -n {n} --reason WHY\n\
         edit in namespace {n}, for up to 8h: needs one of Group/approvers (stage leads) (policy {asks})\n    \
         kubectl daypass request edit -n {n} --for 8h --reason WHY\n\
         edit in namespace {n}, in an emergency, for up to 1h: granted at once (policy {fire})\n    \
         kubectl daypass request edit -n {n} --break-glass --reason WHY\n\
         view in namespace {n}, for up to 1h: granted at once (policy {n})\n    \
         kubectl daypass request view -n {n} --reason WHY\n"
    );
    let (out, err) = greta.ends(&["options", "-n", n], 0).await;
    assert_eq!(out, expected, "{err}");
    // The same of a request that names no role, which asks for nothing.
    let (out, err) = greta.ends(&["request", "--reason=x", "-n", n], 2).await;
    assert!(out == expected && err.contains("name the role that you ask for"), "{out}{err}");
    let (_, err) = greta.ends(&["request", "--reason=x", "--rule=get:pods", "-n", n], 2).await;
    assert!(err.contains("--rule: name the role"), "{err}");
    let json: Value = serde_json::from_str(&greta.done(&["options", "-n", n, "-o", "json"]).await).unwrap();
    assert_eq!(
        json["options"][0],
        json!({
            "role": { "kind": "ClusterRole", "name": "edit" }, "cluster": false, "breakGlass": false, "policy": n,
            "usualDuration": "1h", "maxDuration": "1h", "needsTicket": false, "allowed": true, "sure": true,
            "says": "granted at once", "command": format!("kubectl daypass request edit -n {n} --reason WHY")
        })
    );
    assert_eq!(greta.done(&["options", "-n", n, "-o", "name"]).await, "edit\nedit\nedit\nview\n");
    // The line that is shown is one that works, and what was said of it comes true.
    let line = json["options"][0]["command"].as_str().unwrap().replace("WHY", "because");
    let words: Vec<&str> = line.split(' ').skip(2).collect();
    let (out, err) = greta.ends(&words, 0).await;
    assert!(out.starts_with("granted at once"), "{out}{err}");
}

async fn terms(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("terms").await;
    let ticket = json!({ "expression": "request.ticket != ''", "message": "name a ticket" });
    cluster.allow(&namespace, &namespace, json!({ "conditions": [ticket] })).await;
    let pattern = json!({ "expression": "request.ticket.startsWith('CHG')", "message": "name a change" });
    let view = json!({ "roles": [{ "name": "view" }], "conditions": [pattern] });
    cluster.allow(&format!("{namespace}-view"), &namespace, view).await;
    let (out, err) = Plugin::of(&cluster, GRETA).ends(&["options", "-n", &namespace], 0).await;
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].contains("for up to 1h, with a ticket: granted at once"), "{out}{err}");
    assert!(lines[1].ends_with("--reason WHY --ticket TICKET"), "{out}{err}");
    assert!(lines[2].contains(": not now: policy ") && lines[2].contains("name a change"), "{out}{err}");
    assert_eq!(lines.len(), 3, "{out}");
    let spec = json!({ "effect": "Deny", "requesters": null, "roles": null, "duration": null });
    cluster.allow(&format!("{namespace}-no"), &namespace, spec).await;
    let (out, err) = Plugin::of(&cluster, GRETA).ends(&["options", "-n", &namespace], 0).await;
    assert!(out.lines().all(|line| line.contains("not now: policy ")) && out.lines().count() == 2, "{out}{err}");
}

async fn unread(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("unread").await;
    let by_label = json!({ "matchExpressions": [{ "key": "frozen", "operator": "DoesNotExist" }] });
    let scope = json!({ "namespaces": [namespace], "namespaceSelector": by_label });
    let roles = json!([{ "name": "view" }, { "name": "edit" }]);
    cluster.allow(&namespace, &namespace, json!({ "roles": roles, "scope": scope })).await;
    let (out, err) = Plugin::of(&cluster, ALICE).ends(&["options", "-n", &namespace], 0).await;
    assert_eq!(out.matches(": granted at once, as far as you can see (policy ").count(), 2, "{out}{err}");
    assert!(err.contains("note: you may not read ClusterRole/edit, ClusterRole/view: "), "{err}");
    assert!(err.contains(&format!("note: you may not read namespace {namespace}")), "{err}");
}

async fn elsewhere(cluster: Arc<Cluster>) {
    let (namespace, empty) = (cluster.namespace("full").await, cluster.namespace("empty").await);
    cluster.allow(&namespace, &namespace, json!({})).await;
    let greta = Plugin::of(&cluster, GRETA);
    let (out, err) = greta.ends(&["options", "-n", &empty], 0).await;
    assert!(out.starts_with(&format!("no policy lets greta ask for anything in namespace {empty}")), "{out}{err}");
    assert!(out.contains(&namespace) && out.contains("kubectl daypass options -n "), "{out}{err}");
    let (out, _) = Plugin::of(&cluster, MALLORY).ends(&["options", "-n", &namespace], 0).await;
    assert!(out.starts_with("no policy lets mallory ask"), "{out}");
}

async fn picked(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("pick").await;
    let ticket = json!({ "expression": "request.role != 'edit' || request.ticket != ''", "message": "name a ticket" });
    let spec =
        json!({ "roles": [{ "name": "view" }, { "name": "edit" }, { "name": "admin" }], "conditions": [ticket] });
    cluster.allow(&namespace, &namespace, spec).await;
    let greta = Plugin::of(&cluster, GRETA);
    let mut terminal = greta.start_at_terminal(&["request", "-n", &namespace]);
    terminal.until_shown("which one (1 to 3, or words of it)? ").await;
    terminal.types("with a ticket\n").await;
    terminal.until_shown("for how long (at most 1h) [1h]? ").await;
    terminal.types("20m\n").await;
    terminal.until_shown("why is access needed? ").await;
    terminal.types("the shop is down\n").await;
    terminal.until_shown("which ticket does it belong to? ").await;
    terminal.types("OPS-7\n").await;
    let (code, screen) = terminal.end().await;
    assert_eq!(code, Some(0), "{screen}");
    let name = only_request(&cluster, &namespace).await;
    let spec = cluster.until(&namespace, &name, State::Active).await.spec;
    assert_eq!((spec.role.name.as_str(), spec.duration.as_deref()), ("edit", Some("20m")));
    assert_eq!((spec.reason.as_str(), spec.ticket.as_deref()), ("the shop is down", Some("OPS-7")));
    // Whoever has enough has asked for nothing.
    let mut terminal = greta.start_at_terminal(&["request", "-n", &namespace]);
    terminal.until_shown("which one (1 to 3").await;
    terminal.types("\n").await;
    assert_eq!(terminal.end().await.0, Some(2));
    assert_eq!(cluster.requests(&namespace).await.list(&Default::default()).await.unwrap().items.len(), 1);
    // A number stands for the line that has it.
    let mut terminal = greta.start_at_terminal(&["request", "-n", &namespace, "--reason=to look"]);
    terminal.until_shown("which one (1 to 3").await;
    terminal.types("3\n").await;
    terminal.until_shown("for how long (at most 1h) [1h]? ").await;
    terminal.types("\n").await;
    let (code, screen) = terminal.end().await;
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains(&format!("request {namespace}/view-")), "{screen}");
    let mut terminal = greta.start_at_terminal(&["request", "view", "-n", &namespace]);
    terminal.until_shown("why is access needed? ").await;
    terminal.types("to look\n").await;
    assert_eq!(terminal.end().await.0, Some(0));
    let (_, err) = greta.ends(&["request", "view", "-n", &namespace], 2).await;
    assert!(err.contains("--reason: say why access is needed"), "{err}");
}

async fn no_rights(control_plane: Arc<ControlPlane>) {
    let cluster = Cluster::with(control_plane, &[]).await;
    cluster.kubectl(ADMIN).ok(&["delete", "clusterrolebinding", "everybody-may-ask"]).await;
    let (out, err) = Plugin::of(&cluster, ALICE).ends(&["options"], 1).await;
    assert!(
        out.is_empty() && err.contains("you may not list accesspolicies: have an admin add you to readers.subjects"),
        "{out}{err}"
    );
}
