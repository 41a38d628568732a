//! `request`: what is said before, what is made, and how the wait ends.

use std::sync::Arc;

use daypass::api::State;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::plugin::{Plugin, only_request};
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::users::{ADMIN, ALICE, CAROL, GRETA};
use crate::harness::{Cluster, ControlPlane, alone, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("plugin::asks_in_one_line_and_is_granted_at_once", at_once),
        shared("plugin::asks_and_waits_until_somebody_approves", approved),
        shared("plugin::says_why_not_and_asks_nothing", refused),
        shared("plugin::nearest::names_the_nearest_line_that_would_be_allowed", nearest),
        shared("plugin::promises_nothing_by_what_may_not_be_read", unsure),
        shared("plugin::asks_for_one_right_on_one_object", narrow),
        shared("plugin::asks_nothing_in_a_dry_run", dry_run),
        shared("plugin::leaves_the_request_when_nobody_waits_any_more", interrupted),
        shared("plugin::says_that_the_request_was_deleted_while_it_waited", deleted),
        shared("plugin::does_not_wait_for_who_does_not_want_to", not_at_all),
        shared("plugin::every_flag_of_a_request_is_in_it", flags),
        shared("plugin::waits_no_longer_than_it_is_told", timeout),
        alone("plugin::writes_who_asks_where_the_cluster_does_not", AUDIT_POLICY, not_stamped),
    ]
}

/// A policy that asks the approvers.
pub fn stages() -> Value {
    let leads = json!([{ "kind": "Group", "name": "approvers" }]);
    json!({ "approval": { "stages": [{ "name": "leads", "approvers": leads }], "deadline": "4h" } })
}

async fn made(cluster: &Cluster, namespace: &str) -> usize {
    cluster.requests(namespace).await.list(&Default::default()).await.unwrap().items.len()
}

async fn at_once(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("once").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let greta = Plugin::of(&cluster, GRETA);
    let asks = ["request", "edit", "--for", "20m", "--reason", "a trial", "-n", &namespace];
    let (out, err) = greta.ends(&asks, 0).await;
    let name = only_request(&cluster, &namespace).await;
    let status = cluster.until(&namespace, &name, State::Active).await.status.unwrap();
    let until = status.expires_at.unwrap().0;
    let said = format!(
        "granted at once for 20m: policy {namespace} allows it\nrequest {namespace}/{name} is made\ngranted until {until}, allowed by policy {namespace}\n"
    );
    assert_eq!(out, said, "{err}");
    // Hints and live lines are for terminals.
    assert!(!err.contains("next:"), "{err}");
    assert!(cluster.kubectl(GRETA).can_i("delete", "pods", Some(&namespace)).await);
    // The same line works again; for programs there is the request and nothing else.
    let (out, err) = greta.ends(&[&asks[..], &["-o", "json"]].concat(), 0).await;
    let json: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&json["kind"], &json["status"]["state"]), (&json!("AccessRequest"), &json!("Active")), "{err}");
    assert!(json["metadata"]["name"].as_str().unwrap().starts_with("edit-") && json["metadata"]["name"] != json!(name));
    assert!(err.contains("granted at once"), "{err}");
    // At a terminal comes what to type next.
    let (code, screen) = greta.start_at_terminal(&asks).end().await;
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains(&format!("kubectl auth can-i --list -n {namespace}")), "{screen}");
    assert!(screen.contains("\u{1b}[32mgranted until"), "no colour on a terminal: {screen:?}");
}

async fn approved(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("wait").await;
    cluster.allow(&namespace, &namespace, stages()).await;
    let mut asking = Plugin::of(&cluster, GRETA).start(&["request", "edit", "--reason=x", "-n", &namespace]);
    asking.until_said("waiting: stage leads of policy").await;
    let name = only_request(&cluster, &namespace).await;
    Plugin::of(&cluster, CAROL).done(&["approve", &name, "-n", &namespace, "--yes", "-m", "go ahead"]).await;
    let (code, out, err) = asking.end().await;
    assert_eq!(code, Some(0), "{out}{err}");
    let needs = "needs one of Group/approvers (stage leads), by ";
    assert!(
        out.starts_with(needs) && out.contains(": policy ") && out.ends_with(", approved by carol\n"),
        "{out}{err}"
    );
    let request = cluster.until(&namespace, &name, State::Active).await;
    assert_eq!(request.status.unwrap().reviews["carol"].comment.as_deref(), Some("go ahead"));
}

async fn refused(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("no").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let greta = Plugin::of(&cluster, GRETA);
    let (out, err) = greta.ends(&["request", "admin", "--reason=x", "-n", &namespace], 3).await;
    assert!(
        out.starts_with("would be denied") && out.contains("ClusterRole/admin is not among its roles"),
        "{out}{err}"
    );
    assert_eq!(made(&cluster, &namespace).await, 0);
    // alice does not see the role, so she cannot be told for certain: the cluster says it.
    let (out, err) = Plugin::of(&cluster, ALICE).ends(&["request", "admin", "--reason=x", "-n", &namespace], 3).await;
    assert!(out.starts_with("may be denied") && out.contains("\ndenied: "), "{out}{err}");
    assert_eq!(made(&cluster, &namespace).await, 1);
}

/// What would be allowed in place of what would not; each such line is tried.
async fn nearest(cluster: Arc<Cluster>) {
    let (namespace, other) = (cluster.namespace("near").await, cluster.namespace("far").await);
    let ticket = json!({ "expression": "request.role != 'view' || request.ticket != ''", "message": "name a ticket" });
    let roles = json!([{ "name": "edit" }, { "name": "view" }]);
    cluster.allow(&namespace, &namespace, json!({ "roles": roles, "conditions": [ticket] })).await;
    let greta = Plugin::of(&cluster, GRETA);
    let both = format!("{namespace},{other}");
    for (asked, nearest) in [
        (&["edit", "--for=8h"][..], "edit -n NS --for 1h --reason 'fix it'"),
        (&["edit", "--cluster-wide"], "edit -n NS --reason 'fix it'"),
        (&["edit", "--namespaces", &both], "edit -n NS --reason 'fix it'"),
        (&["edit", "--break-glass", "--for=2h"], "edit -n NS --for 1h --reason 'fix it'"),
        (&["edit", "--policy=gone"], "edit -n NS --reason 'fix it'"),
        (&["view"], "view -n NS --reason 'fix it' --ticket TICKET"),
        (&["admin", "--rule=delete:pods/web-0"], "edit -n NS --rule delete:pods/web-0 --reason 'fix it'"),
        (&["view", "--ticket=T", "--rule=delete:pods"], "edit -n NS --rule delete:pods --reason 'fix it' --ticket T"),
    ] {
        let asks = [&["request"][..], asked, &["--reason=fix it", "-n", &namespace]].concat();
        let (out, err) = greta.ends(&asks, 3).await;
        let line = format!("kubectl daypass request {}", nearest.replace("NS", &namespace));
        let says = format!("the nearest that you may ask for: granted at once\n    {line}\n");
        assert!(out.starts_with("would be denied") && out.ends_with(&says), "{asked:?}: {out}{err}");
        let line = line.replace("'fix it'", "fix");
        let words: Vec<&str> = line.split(' ').skip(2).chain(["--dry-run"]).collect();
        let (out, err) = greta.ends(&words, 0).await;
        assert!(out.starts_with("granted at once"), "{line}: {out}{err}");
    }
    // Neither of the two roles has it, so the other one is not near.
    let (out, _) = greta.ends(&["request", "edit", "--rule=delete:nodes", "--reason=x", "-n", &namespace], 3).await;
    assert!(out.starts_with("would be denied") && !out.contains("the nearest"), "{out}");
    // Whom no policy means, nothing is near.
    let (out, _) = greta.ends(&["request", "edit", "--reason=x", "-n", &other], 3).await;
    assert!(!out.contains("the nearest"), "{out}");
    assert_eq!(made(&cluster, &namespace).await, 0);
}

async fn unsure(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("unsure").await;
    let by_label = json!({ "matchExpressions": [{ "key": "frozen", "operator": "DoesNotExist" }] });
    cluster
        .allow(&namespace, &namespace, json!({ "scope": { "namespaces": [namespace], "namespaceSelector": by_label } }))
        .await;
    let (out, err) = Plugin::of(&cluster, ALICE).ends(&["request", "edit", "--reason=x", "-n", &namespace], 0).await;
    assert!(!out.contains("granted at once") && out.contains("you do not see all that decides"), "{out}{err}");
    assert!(err.contains("note: ClusterRole/edit could not be read"), "{err}");
    assert!(err.contains(&format!("note: you may not read namespace {namespace}")), "{err}");
}

async fn narrow(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("narrow").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let greta = Plugin::of(&cluster, GRETA);
    let rules = ["--rule=delete:pods/shop-0", "--rule", "get,list:deployments"];
    greta.done(&[&["request", "edit", "--reason=x", "-n", &namespace], &rules[..]].concat()).await;
    let name = only_request(&cluster, &namespace).await;
    let spec = cluster.until(&namespace, &name, State::Active).await.spec;
    let rules = json!([
        { "verbs": ["delete"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["shop-0"] },
        { "verbs": ["get", "list"], "apiGroups": ["apps"], "resources": ["deployments"] }
    ]);
    assert_eq!(json!(spec.rules), rules);
    let (_, err) = greta.ends(&["request", "edit", "--reason=x", "-n", &namespace, "--rule=get:pod"], 2).await;
    assert!(err.contains("--rule: the cluster serves no resource pod: did you mean pods?"), "{err}");
    assert_eq!(made(&cluster, &namespace).await, 1);
}

async fn dry_run(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("dry").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let greta = Plugin::of(&cluster, GRETA);
    let asks = ["request", "edit", "--reason=x", "-n", &namespace, "--dry-run"];
    let out = greta.done(&asks).await;
    assert!(out.starts_with("granted at once") && out.ends_with("that was a dry run\n"), "{out}");
    let yaml = greta.done(&[&asks[..], &["-o", "yaml"]].concat()).await;
    assert!(yaml.contains("kind: AccessRequest") && yaml.contains("username: greta"), "{yaml}");
    // The API server has looked at it: its own rules are told too.
    let (_, err) = greta.ends(&["request", "edit", "--reason=", "-n", &namespace, "--dry-run"], 1).await;
    assert!(err.contains("spec.reason"), "{err}");
    assert_eq!(made(&cluster, &namespace).await, 0);
}

async fn interrupted(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("left").await;
    cluster.allow(&namespace, &namespace, stages()).await;
    let mut asking = Plugin::of(&cluster, GRETA).start(&["request", "edit", "--reason=x", "-n", &namespace]);
    asking.until_said("waiting: stage leads of policy").await;
    asking.interrupt();
    let (code, out, err) = asking.end().await;
    assert_eq!(code, Some(4), "{out}{err}");
    let name = only_request(&cluster, &namespace).await;
    assert!(err.contains(&format!("to come back: kubectl daypass show {name} -n {namespace}\n")), "{err}");
    let request = cluster.requests(&namespace).await.get(&name).await.unwrap();
    assert_eq!(request.status.unwrap().state, State::Pending);
}

async fn not_at_all(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("nowait").await;
    cluster.allow(&namespace, &namespace, stages()).await;
    let asks = ["request", "edit", "--reason=x", "--no-wait", "-n", &namespace];
    let (code, screen) = Plugin::of(&cluster, GRETA).start_at_terminal(&asks).end().await;
    let name = only_request(&cluster, &namespace).await;
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains(&format!("request {namespace}/{name} is made")) && !screen.contains("waiting"), "{screen}");
    assert!(screen.contains(&format!("kubectl daypass show {name} -n {namespace}")), "no way back: {screen}");
    let request = cluster.requests(&namespace).await.get(&name).await.unwrap();
    assert_eq!(request.status.unwrap_or_default().state, State::Pending);
}

async fn deleted(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("gone").await;
    cluster.allow(&namespace, &namespace, stages()).await;
    let mut asking = Plugin::of(&cluster, GRETA).start(&["request", "edit", "--reason=x", "-n", &namespace]);
    asking.until_said("waiting: stage leads of policy").await;
    let name = only_request(&cluster, &namespace).await;
    cluster.kubectl(ADMIN).ok(&["delete", "areq", &name, "-n", &namespace]).await;
    let (code, out, err) = asking.end().await;
    assert!(code == Some(3) && err.ends_with("the request was deleted before it was decided\n"), "{code:?} {out}{err}");
}

async fn flags(cluster: Arc<Cluster>) {
    let (namespace, other) = (cluster.namespace("flags").await, cluster.namespace("flags").await);
    let both = json!({ "scope": { "namespaces": [namespace, other], "cluster": true }, "duration": { "max": "2h" } });
    cluster.allow(&namespace, &namespace, both).await;
    let greta = Plugin::of(&cluster, GRETA);
    let spec = async |more: &[&str]| {
        let asks = ["request", "view", "--reason=x", "-n", &namespace, "--dry-run", "-o", "json"];
        let (code, out, err) = greta.run(&[&asks[..], more].concat()).await;
        let json = serde_json::from_str::<Value>(&out).map(|json| json["spec"].clone());
        (code, json.unwrap_or_default(), err)
    };
    let view = ["--policy", &namespace];
    let (code, none, err) = spec(&view).await;
    assert!(code == Some(3) && none.is_null() && err.contains("would be denied"), "{code:?} {none}{err}");
    let roles =
        json!({ "roles": [{ "name": "view" }], "scope": { "namespaces": [namespace, other], "cluster": true } });
    cluster.allow(&namespace, &namespace, roles).await;
    let start = "2099-01-05T18:00:00Z";
    let (code, none, err) = spec(&["--at", start]).await;
    assert!(code == Some(3) && none.is_null() && err.contains("startTime"), "{code:?} {none}{err}");
    let soon = crate::harness::wait::now_plus_seconds(3600);
    let names = format!("{namespace},{other}");
    let some = ["--at", &soon, "--for=30m", "--ticket=OPS-7", "--policy", &namespace, "--namespaces", &names];
    let (code, spec_of_some, err) = spec(&some).await;
    let mut expected = json!({
        "role": { "kind": "ClusterRole", "name": "view" }, "reason": "x", "ticket": "OPS-7", "duration": "30m",
        "startTime": soon, "policy": namespace, "scope": { "namespaces": [namespace, other] }
    });
    expected["requester"] = spec_of_some["requester"].clone();
    assert_eq!((code, &spec_of_some), (Some(0), &expected), "{err}");
    assert_eq!(expected["requester"]["username"], "greta");
    let (code, whole, err) = spec(&["--cluster-wide"]).await;
    assert_eq!((code, &whole["scope"]), (Some(0), &json!({ "cluster": true })), "{err}");
    let (code, none, err) = spec(&["--break-glass"]).await;
    assert!(code == Some(3) && none.is_null() && err.contains("breakGlass"), "{code:?} {none}{err}");
    for wrong in [&["--at", "18:00"][..], &["--cluster-wide", "--namespaces=a"], &["--at", start, "--break-glass"]] {
        assert_eq!(spec(wrong).await.0, Some(2), "{wrong:?}");
    }
}

async fn timeout(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("late").await;
    cluster.allow(&namespace, &namespace, stages()).await;
    let asks = ["request", "edit", "--reason=x", "-n", &namespace, "--timeout=1s", "-o", "name"];
    let (out, err) = Plugin::of(&cluster, GRETA).ends(&asks, 4).await;
    let name = only_request(&cluster, &namespace).await;
    assert_eq!(out, format!("accessrequest.daypass.dev/{name}\n"), "{err}");
    assert!(err.contains("no answer in time: the request stays"), "{err}");
}

/// The plugin writes who asks and who reviews, and it is the truth: the cluster verifies it.
async fn not_stamped(control_plane: Arc<ControlPlane>) {
    let cluster = Cluster::with(control_plane, &["identity.stamp=off"]).await;
    let namespace = cluster.namespace("bare").await;
    cluster.allow(&namespace, &namespace, stages()).await;
    let mut asking = Plugin::of(&cluster, GRETA).start(&["request", "edit", "--reason=x", "-n", &namespace]);
    asking.until_said("waiting: stage leads of policy").await;
    let name = only_request(&cluster, &namespace).await;
    let who = cluster.requests(&namespace).await.get(&name).await.unwrap().spec.requester.unwrap();
    assert_eq!((who.username.as_str(), who.uid.as_deref()), ("greta", Some("u-greta")));
    assert_eq!(who.groups, ["dev", "system:authenticated"]);
    Plugin::of(&cluster, CAROL).done(&["approve", &name, "-n", &namespace, "--yes"]).await;
    let (code, out, err) = asking.end().await;
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.ends_with(", approved by carol\n"), "{out}{err}");
}
