//! What `run` asks for, whom, and what is left when it ends.

use std::path::Path;
use std::sync::Arc;

use daypass::api::State;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::super::request::stages;
use crate::harness::cast::SOON;
use crate::harness::plugin::{Plugin, Ran, only_request};
use crate::harness::users::{ADMIN, ALICE, CAROL, GRETA, User};
use crate::harness::wait::eventually;
use crate::harness::{Cluster, private, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("plugin::run::hold::a_refused_command_goes_on_and_its_access_goes_with_it", goes_on),
        shared("plugin::run::hold::a_call_is_held_until_somebody_approves", approved),
        shared("plugin::run::hold::what_is_denied_is_refused_and_asked_for_once", denied),
        shared("plugin::run::hold::the_person_at_the_terminal_is_asked", asked),
        shared("plugin::run::hold::asks_nothing_where_nobody_can_be_asked", nobody),
        shared("plugin::run::hold::a_script_gets_no_more_than_it_was_allowed", harvest),
        shared("plugin::run::hold::asks_for_nothing_where_what_was_refused_is_not_covered", not_covered),
        // What the policies of other trials offer would be asked for.
        private("plugin::run::hold::does_without_what_nothing_covers_beside", does_without),
        shared("plugin::run::hold::asks_for_less_where_policy_denies_the_whole", whole_denied),
        shared("plugin::run::hold::what_is_no_refusal_of_rbac_goes_through", admission),
        shared("plugin::run::hold::an_interrupt_leaves_no_access", interrupted),
    ]
}

/// The plugin, or by way of `env` another program, where kubectl is found.
pub(super) fn run_as(cluster: &Cluster, user: User) -> Plugin {
    let home = cluster.control_plane.dir().join("home").display().to_string();
    let program = Plugin::of(cluster, user).through(Path::new("env"));
    program.found_in(&cluster.control_plane.tools()).variable("HOME", home)
}

/// Runs `kubectl daypass run FLAGS -- COMMAND`.
pub(super) async fn run(cluster: &Cluster, namespace: &str, flags: &[&str], command: &[&str]) -> Ran {
    run_as(cluster, ALICE).run(&line(namespace, flags, command)).await
}

pub(super) fn line<'a>(namespace: &'a str, flags: &[&'a str], command: &[&'a str]) -> Vec<&'a str> {
    [&[crate::harness::plugin::PROGRAM, "run", "-n", namespace][..], flags, &["--"], command].concat()
}

/// The rules of all requests of a namespace, a request each, sorted by their text.
pub(super) async fn asked_for(cluster: &Cluster, namespace: &str) -> Vec<Value> {
    let requests = cluster.requests(namespace).await.list(&Default::default()).await.unwrap().items;
    sorted(requests.iter().map(|request| json!(request.spec.rules)).collect())
}

pub(super) fn sorted(mut rules: Vec<Value>) -> Vec<Value> {
    rules.sort_by_key(Value::to_string);
    rules
}

pub(super) fn rule(verbs: &[&str], resource: &str, names: &[&str]) -> Value {
    let mut rule = json!({ "verbs": verbs, "apiGroups": [""], "resources": [resource] });
    if !names.is_empty() {
        rule["resourceNames"] = json!(names);
    }
    rule
}

/// That all requests of a namespace are over, and nothing is bound.
pub(super) async fn nothing_is_left(cluster: &Cluster, namespace: &str) {
    let requests = cluster.requests(namespace).await.list(&Default::default()).await.unwrap().items;
    let open: Vec<String> =
        requests.iter().filter(|request| !request.is_over()).filter_map(|r| r.metadata.name.clone()).collect();
    assert!(open.is_empty(), "{open:?} are not over");
    assert!(cluster.our_bindings(namespace).await.is_empty(), "something is bound");
}

pub(super) async fn configmap(cluster: &Cluster, namespace: &str) {
    cluster.kubectl(ADMIN).ok(&["create", "configmap", "app", "-n", namespace]).await;
}

pub(super) const SCRIPT: [&str; 4] = ["--yes", "--reason=fix it", "--max-risk=Critical", "--for=20m"];

async fn goes_on(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run").await;
    let n = &namespace;
    cluster.allow(n, n, json!({})).await;
    configmap(&cluster, n).await;
    let (code, out, err) = run(&cluster, n, &SCRIPT, &["kubectl", "delete", "configmap", "app"]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    assert_eq!(out, format!("configmap \"app\" deleted from {n} namespace\n"), "{err}");
    assert_eq!(asked_for(&cluster, n).await, [json!([rule(&["delete", "get"], "configmaps", &["app"])])]);
    let name = only_request(&cluster, n).await;
    assert!(err.contains(&format!("{n}/{name}: granted until")), "{err}");
    assert!(err.contains(&format!("dropped {n}/{name}: its access is gone")), "{err}");
    let request = cluster.until(n, &name, State::Revoked).await;
    assert_eq!((request.spec.reason.as_str(), request.spec.duration.as_deref()), ("fix it", Some("20m")));
    nothing_is_left(&cluster, n).await;
    // The command's own failure is its own.
    let (code, _, err) = run(&cluster, n, &SCRIPT, &["kubectl", "get", "configmap", "app"]).await;
    assert!(code == Some(1) && err.contains("not found"), "{code:?} {err}");
}

async fn approved(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run-held").await;
    let n = &namespace;
    cluster.allow(n, n, stages()).await;
    configmap(&cluster, n).await;
    let args = line(n, &SCRIPT, &["kubectl", "get", "configmap", "app", "-o", "name"]);
    let running = run_as(&cluster, ALICE).start(&args);
    let name = only_request(&cluster, n).await;
    cluster.until(n, &name, State::Pending).await;
    cluster.review(CAROL, n, &name, "Approve", "go on").await;
    let (code, out, err) = running.end().await;
    assert_eq!((code, out.as_str()), (Some(0), "configmap/app\n"), "{err}");
    cluster.until(n, &name, State::Revoked).await;
    nothing_is_left(&cluster, n).await;
}

async fn denied(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run-denied").await;
    let n = &namespace;
    cluster.allow(n, n, stages()).await;
    // The same call twice.
    let twice = format!("kubectl get --raw /api/v1/namespaces/{n}/pods; kubectl get --raw /api/v1/namespaces/{n}/pods");
    let running = run_as(&cluster, ALICE).start(&line(n, &SCRIPT, &["sh", "-c", &twice]));
    let name = only_request(&cluster, n).await;
    cluster.until(n, &name, State::Pending).await;
    cluster.review(CAROL, n, &name, "Deny", "not today").await;
    let (code, out, err) = running.end().await;
    assert!(code == Some(1) && out.is_empty(), "{code:?} {out}{err}");
    assert_eq!(err.matches("(Forbidden)").count(), 2, "{err}");
    assert_eq!(err.matches("denied: ").count(), 1, "{err}");
    assert_eq!(asked_for(&cluster, n).await.len(), 1);
}

async fn asked(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run-asked").await;
    let n = &namespace;
    cluster.allow(n, n, json!({})).await;
    configmap(&cluster, n).await;
    let alice = Plugin::of(&cluster, ALICE).found_in(&cluster.control_plane.tools());
    let get = ["run", "-n", n, "--", "kubectl", "get", "configmap", "app", "-o", "name"];
    let mut terminal = alice.start_at_terminal(&get);
    terminal.until_shown("ask for it? [y/N] ").await;
    // Enter alone is no yes.
    terminal.types("\n").await;
    let (code, screen) = terminal.end().await;
    assert!(code == Some(1) && screen.contains("(Forbidden)"), "{code:?} {screen}");
    assert!(asked_for(&cluster, n).await.is_empty());
    let mut terminal = alice.start_at_terminal(&get);
    terminal.until_shown(&format!("get configmaps app in namespace {n}: ClusterRole/edit covers it: ")).await;
    terminal.until_shown("ask for it? [y/N] ").await;
    terminal.types("y\n").await;
    terminal.until_shown("why is access needed? ").await;
    terminal.types("to look\n").await;
    let (code, screen) = terminal.end().await;
    assert!(code == Some(0) && screen.contains("configmap/app\r\n"), "{code:?} {screen}");
    let name = only_request(&cluster, n).await;
    assert_eq!(cluster.until(n, &name, State::Revoked).await.spec.reason, "to look");
}

async fn nobody(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run-nobody").await;
    let n = &namespace;
    cluster.allow(n, n, json!({})).await;
    // Whoever runs the trials may have a terminal.
    let away = [&["setsid", "--wait"], &line(n, &["--reason=x"], &["kubectl", "get", "pods"])[..]].concat();
    let (code, _, err) = run_as(&cluster, ALICE).run(&away).await;
    assert!(
        code == Some(1) && err.contains("(Forbidden)") && err.contains("nobody can be asked here"),
        "{code:?} {err}"
    );
    assert!(asked_for(&cluster, n).await.is_empty());
}

/// A command that calls all that it can think of.
async fn harvest(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run-harvest").await;
    let other = cluster.namespace("run-other").await;
    let n = &namespace;
    cluster.allow(n, n, json!({})).await;
    cluster.allow(&other, &other, json!({})).await;
    configmap(&cluster, n).await;
    let calls = [
        "get secrets",
        "delete configmap app",
        "create deployment x --image=x",
        "get --raw '/api/v1/namespaces/NS/*'",
        "get pods -n OTHER",
        "get pods -A",
        "delete configmaps --all",
        "get services -o name",
    ];
    let script = calls.map(|call| format!("kubectl {call}")).join("\n").replace("NS", n).replace("OTHER", &other);
    let (_, _, err) = run(&cluster, n, &["--yes", "--reason=x"], &["sh", "-c", &script]).await;
    let listed = |resource| json!([rule(&["list"], resource, &[])]);
    // `delete --all` lists what there is first.
    let low = [listed("configmaps"), listed("services")];
    assert_eq!(asked_for(&cluster, n).await, low, "{err}");
    assert!(asked_for(&cluster, &other).await.is_empty());
    for said in ["see --max-risk", &format!("it is in namespace {other}: see --namespaces")] {
        assert!(err.contains(said), "{said}: {err}");
    }
    cluster.kubectl(ADMIN).ok(&["get", "configmap", "app", "-n", n]).await;
    nothing_is_left(&cluster, n).await;
    // Nothing but what is named, though it is less harm.
    let allow = ["--yes", "--reason=x", "--allow=get,delete:configmaps/app"];
    let (_, _, err) = run(&cluster, n, &allow, &["sh", "-c", &script]).await;
    let app = |verb| json!([rule(&[verb], "configmaps", &["app"])]);
    let all = sorted([&low[..], &[app("delete"), app("get")]].concat());
    assert_eq!(asked_for(&cluster, n).await, all, "{err}");
    nothing_is_left(&cluster, n).await;
}

/// To read what is to be deleted would be covered, and to delete it is not. greta may read roles, so she is told.
async fn not_covered(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run-uncovered").await;
    let n = &namespace;
    cluster.allow(n, n, json!({ "roles": [{ "name": "view" }] })).await;
    configmap(&cluster, n).await;
    let (code, _, err) =
        run_as(&cluster, GRETA).run(&line(n, &SCRIPT, &["kubectl", "delete", "configmap", "app"])).await;
    assert!(code == Some(1) && err.contains("(Forbidden)"), "{code:?} {err}");
    assert!(asked_for(&cluster, n).await.is_empty(), "{err}");
}

/// A policy that gives these rights alone.
async fn allow_only(cluster: &Cluster, namespace: &str, rules: Value) {
    let metadata = json!({ "name": "deployer", "namespace": namespace });
    let kind = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role" });
    let role = json!({ "apiVersion": kind["apiVersion"], "kind": kind["kind"], "metadata": metadata, "rules": rules });
    cluster.kubectl(ADMIN).apply(&role.to_string()).await;
    cluster.allow(namespace, namespace, json!({ "roles": [{ "kind": "Role", "name": "deployer" }] })).await;
}

/// To delete is covered, and to read, which kubectl does when it waits for the end, is not.
async fn does_without(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run-beside").await;
    let n = &namespace;
    allow_only(&cluster, n, json!([rule(&["delete"], "configmaps", &[])])).await;
    configmap(&cluster, n).await;
    cluster.kubectl(ADMIN).ok(&["create", "configmap", "other", "-n", n]).await;
    let greta = Plugin::of(&cluster, GRETA).found_in(&cluster.control_plane.tools());
    let delete = line(n, &["--reason=fix it"], &["kubectl", "delete", "configmap", "app", "other"]);
    let mut terminal = greta.start_at_terminal(&delete[1..]);
    terminal.until_shown("ask for it? [y/N] ").await;
    terminal.types("y\n").await;
    let (code, screen) = terminal.end().await;
    assert_eq!(code, Some(0), "{screen}");
    assert_eq!(asked_for(&cluster, n).await, [json!([rule(&["delete"], "configmaps", &["app", "other"])])], "{screen}");
    // What is left out is told of when it is refused.
    let question = screen.split("ask for it?").next().unwrap_or_default();
    assert!(!question.contains("get configmaps"), "{screen}");
}

/// alice cannot read roles: that hers lacks what goes with a command she learns by the denial.
async fn whole_denied(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run-whole").await;
    let n = &namespace;
    let mut of_deployments = rule(&["get"], "deployments", &[]);
    of_deployments["apiGroups"] = json!(["apps"]);
    let mut of_replicas = rule(&["list"], "replicasets", &[]);
    of_replicas["apiGroups"] = json!(["apps"]);
    let rules = json!([rule(&["delete"], "configmaps", &[]), of_deployments, of_replicas]);
    allow_only(&cluster, n, rules).await;
    configmap(&cluster, n).await;
    let (code, _, err) = run(&cluster, n, &SCRIPT, &["kubectl", "delete", "configmap", "app"]).await;
    assert!(
        code == Some(0) && err.contains(&format!("now it asks for delete configmaps app in namespace {n} alone")),
        "{code:?} {err}"
    );
    let of_app = |verbs: &[&str]| json!([rule(verbs, "configmaps", &["app"])]);
    // To read it is all that can have been too much.
    let asked = sorted(vec![of_app(&["delete", "get"]), of_app(&["delete"])]);
    assert_eq!(asked_for(&cluster, n).await, asked, "{err}");
    nothing_is_left(&cluster, n).await;
    // Of several, each is asked for as it is refused: events are not to be had, and replica sets are.
    cluster.kubectl(ADMIN).ok(&["create", "deployment", "web", "--image=x", "-n", n]).await;
    let (code, out, err) = run(&cluster, n, &SCRIPT, &["kubectl", "describe", "deployment", "web"]).await;
    assert!(code == Some(0) && out.contains("StrategyType:"), "{code:?} {out}{err}");
    assert_eq!((err.matches(": denied: ").count(), err.matches(": granted until ").count()), (2, 2), "{err}");
    nothing_is_left(&cluster, n).await;
    // Whom an approver denies it has had an answer.
    let namespace = cluster.namespace("run-no").await;
    let n = &namespace;
    cluster.allow(n, n, stages()).await;
    let running = run_as(&cluster, ALICE).start(&line(n, &SCRIPT, &["sh", "-c", "kubectl delete configmap app"]));
    let name = only_request(&cluster, n).await;
    cluster.until(n, &name, State::Pending).await;
    cluster.review(CAROL, n, &name, "Deny", "not today").await;
    let (_, _, err) = running.end().await;
    assert_eq!(asked_for(&cluster, n).await, [json!([rule(&["delete", "get"], "configmaps", &["app"])])], "{err}");
}

/// alice may make pods, and admission takes none that is privileged.
async fn admission(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run-admission").await;
    let n = &namespace;
    cluster.allow(n, n, json!({})).await;
    let admin = cluster.kubectl(ADMIN);
    admin.ok(&["label", "namespace", n, "pod-security.kubernetes.io/enforce=restricted"]).await;
    admin.ok(&["create", "rolebinding", "alice", "--clusterrole=edit", "--user=alice", "-n", n]).await;
    eventually("alice may make pods", SOON, async || {
        if cluster.kubectl(ALICE).can_i("create", "pods", Some(n)).await { Ok(()) } else { Err(String::new()) }
    })
    .await;
    let privileged = ["kubectl", "run", "x", "--image=x", "--privileged"];
    let (code, out, err) = run(&cluster, n, &SCRIPT, &privileged).await;
    assert!(code == Some(1) && out.is_empty() && err.contains("(Forbidden)"), "{code:?} {out}{err}");
    assert!(asked_for(&cluster, n).await.is_empty(), "{err}");
}

async fn interrupted(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run-interrupt").await;
    let n = &namespace;
    cluster.allow(n, n, stages()).await;
    // While somebody is to approve.
    let running = run_as(&cluster, ALICE).start(&line(n, &SCRIPT, &["kubectl", "get", "pods"]));
    let name = only_request(&cluster, n).await;
    cluster.until(n, &name, State::Pending).await;
    running.interrupt();
    let (_, _, err) = running.end().await;
    assert!(err.contains(&format!("dropped {n}/{name}")), "{err}");
    cluster.until(n, &name, State::Revoked).await;
    nothing_is_left(&cluster, n).await;
    // While the command has access and goes on.
    let namespace = cluster.namespace("run-stopped").await;
    let n = &namespace;
    cluster.allow(n, n, json!({})).await;
    let mut running = run_as(&cluster, ALICE).start(&line(n, &SCRIPT, &["kubectl", "get", "pods", "-w"]));
    let name = only_request(&cluster, n).await;
    cluster.until(n, &name, State::Active).await;
    running.until_said("granted until").await;
    running.interrupt();
    running.end().await;
    cluster.until(n, &name, State::Revoked).await;
    nothing_is_left(&cluster, n).await;
}
