//! How few questions a command of several objects takes, and that a script gets nothing by that.

use std::sync::Arc;

use daypass::api::State;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::super::request::stages;
use super::hold::{SCRIPT, asked_for, configmap, line, nothing_is_left, rule, run, run_as, sorted};
use crate::harness::cast::SOON;
use crate::harness::plugin::{Plugin, Terminal, only_request};
use crate::harness::users::{ADMIN, ALICE, CAROL};
use crate::harness::wait::eventually;
use crate::harness::{Cluster, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("plugin::run::together::files_are_asked_for_whole", files),
        shared("plugin::run::together::kinds_and_objects_of_a_line_are_one_question", kinds),
        shared("plugin::run::together::a_script_gets_no_more_by_it", scripts),
        shared("plugin::run::together::one_object_after_the_other_is_offered_for_all", offered),
        shared("plugin::run::together::what_waits_for_the_same_goes_on_with_it", same),
        shared("plugin::run::together::a_program_that_asks_first_is_told_yes", asks_first),
        shared("plugin::run::together::what_is_refused_while_somebody_thinks_is_asked_for_too", meanwhile),
    ]
}

fn in_apps(verbs: &[&str], names: &[&str]) -> Value {
    let mut rule = rule(verbs, "deployments", names);
    rule["apiGroups"] = json!(["apps"]);
    rule
}

async fn files(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run-files").await;
    let n = &namespace;
    cluster.allow(n, n, json!({})).await;
    configmap(&cluster, n).await;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, objects: &[Value]| {
        let text: Vec<String> = objects.iter().map(Value::to_string).collect();
        std::fs::write(folder.path().join(name), text.join("\n---\n")).unwrap();
    };
    let configmap = |name: &str| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } });
    let web = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
        "spec": {
            "replicas": 0, "selector": { "matchLabels": { "a": "b" } },
            "template": {
                "metadata": { "labels": { "a": "b" } }, "spec": { "containers": [{ "name": "c", "image": "c" }] }
            }
        }
    });
    write("a.yaml", &[configmap("app"), configmap("new")]);
    write("b.yaml", &[web]);
    write("c.txt", &[configmap("not-a-manifest")]);
    let folder = folder.path().display().to_string();
    cluster.kubectl(ADMIN).ok(&["apply", "-n", n, "-f", &format!("{folder}/b.yaml")]).await;
    let (code, out, err) = run(&cluster, n, &SCRIPT, &["kubectl", "apply", "-f", &folder]).await;
    assert!(code == Some(0) && out.contains("configmap/new created"), "{code:?} {out}{err}");
    // What is there already is not made.
    let read = json!([rule(&["get", "patch"], "configmaps", &["app", "new"]), in_apps(&["get", "patch"], &["web"])]);
    let made = json!([rule(&["create"], "configmaps", &[])]);
    assert_eq!(asked_for(&cluster, n).await, sorted(vec![read.clone(), made]), "{err}");
    nothing_is_left(&cluster, n).await;
    // Now all of it is there, so nothing is made.
    let (code, _, err) = run(&cluster, n, &SCRIPT, &["kubectl", "apply", "-f", &folder]).await;
    assert_eq!(code, Some(0), "{err}");
    let asked = asked_for(&cluster, n).await;
    assert!(asked.len() == 3 && asked.iter().filter(|rules| **rules == read).count() == 2, "{asked:?} {err}");
    let (code, _, err) = run(&cluster, n, &SCRIPT, &["kubectl", "delete", "--wait=false", "-f", &folder]).await;
    assert_eq!(code, Some(0), "{err}");
    let deleted = json!([rule(&["delete"], "configmaps", &["app", "new"]), in_apps(&["delete"], &["web"])]);
    let asked = asked_for(&cluster, n).await;
    assert!(asked.len() == 4 && asked.contains(&deleted), "{asked:?} {err}");
}

async fn kinds(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run-kinds").await;
    let n = &namespace;
    cluster.allow(n, n, json!({})).await;
    configmap(&cluster, n).await;
    let (code, _, err) = run(&cluster, n, &SCRIPT, &["kubectl", "get", "cm,Secret,services", "-o", "name"]).await;
    assert_eq!(code, Some(0), "{err}");
    let listed = ["configmaps", "secrets", "services"].map(|kind| rule(&["list"], kind, &[]));
    assert_eq!(asked_for(&cluster, n).await, [json!(listed)], "{err}");
    let both = ["kubectl", "get", "configmap/app", "secret/x"];
    let (_, _, err) = run(&cluster, n, &SCRIPT, &both).await;
    let looked = json!([rule(&["get"], "configmaps", &["app"]), rule(&["get"], "secrets", &["x"])]);
    let asked = asked_for(&cluster, n).await;
    assert!(asked.len() == 2 && asked.contains(&looked), "{asked:?} {err}");
    nothing_is_left(&cluster, n).await;
}

async fn scripts(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run-scripts").await;
    let n = &namespace;
    cluster.allow(n, n, json!({})).await;
    configmap(&cluster, n).await;
    // Beside it kubectl would delete another one, which is not allowed.
    let allow = ["--yes", "--reason=x", "--allow=delete:configmaps/app"];
    let delete = ["kubectl", "delete", "--wait=false", "configmap", "app", "other"];
    let (code, out, err) = run(&cluster, n, &allow, &delete).await;
    assert!(code == Some(1) && out.contains("\"app\" deleted") && err.contains("(Forbidden)"), "{code:?} {out}{err}");
    assert_eq!(asked_for(&cluster, n).await, [json!([rule(&["delete"], "configmaps", &["app"])])], "{err}");
    // One object after the other stays one object after the other.
    for name in ["a", "b", "c"] {
        cluster.kubectl(ADMIN).ok(&["create", "configmap", name, "-n", n]).await;
    }
    let script = ["a", "b", "c"].map(|name| format!("kubectl get configmap {name}")).join("; ");
    let (_, _, err) = run(&cluster, n, &SCRIPT, &["sh", "-c", &script]).await;
    let asked = asked_for(&cluster, n).await;
    let all = ["a", "b", "c"].map(|name| json!([rule(&["get"], "configmaps", &[name])]));
    assert!(asked.len() == 4 && all.iter().all(|one| asked.contains(one)), "{asked:?} {err}");
    nothing_is_left(&cluster, n).await;
}

fn at_terminal(cluster: &Cluster, namespace: &str, command: &[&str]) -> Terminal {
    let alice = Plugin::of(cluster, ALICE).found_in(&cluster.control_plane.tools());
    alice.start_at_terminal(&line(namespace, &["--reason=look"], command)[1..])
}

const QUESTION: &str = "ask for it? [y/N] ";

async fn offered(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run-offered").await;
    let n = &namespace;
    cluster.allow(n, n, json!({})).await;
    let names = ["a", "b", "c", "d"];
    for name in names {
        cluster.kubectl(ADMIN).ok(&["create", "configmap", name, "-n", n]).await;
    }
    let script = names.map(|name| format!("kubectl get configmap {name} -o name")).join("; ");
    let mut terminal = at_terminal(&cluster, n, &["sh", "-c", &script]);
    terminal.until_shown(QUESTION).await;
    terminal.types("y\n").await;
    terminal.until_shown("answer a to ask for all of them").await;
    terminal.until_shown(&format!("get configmaps in namespace {n}: ClusterRole/edit covers it: ")).await;
    terminal.until_shown("ask for it? [y/N/a] ").await;
    terminal.types("a\n").await;
    let (code, screen) = terminal.end().await;
    assert!(code == Some(0) && screen.contains("configmap/d\r\n"), "{code:?} {screen}");
    assert_eq!(screen.matches("ask for it?").count(), 2, "{screen}");
    let asked = [json!([rule(&["get"], "configmaps", &["a"])]), json!([rule(&["get"], "configmaps", &[])])];
    assert_eq!(asked_for(&cluster, n).await, sorted(asked.to_vec()), "{screen}");
    nothing_is_left(&cluster, n).await;
}

async fn meanwhile(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run-meanwhile").await;
    let n = &namespace;
    cluster.allow(n, n, json!({})).await;
    let folder = tempfile::tempdir().unwrap();
    let begin = folder.path().join("begin").display().to_string();
    let pods = format!("kubectl get --raw /api/v1/namespaces/{n}/pods");
    let secrets = pods.replace("/pods", "/secrets");
    let script = format!("{pods} & mkfifo {begin}; cat {begin}; {secrets} & wait");
    let mut terminal = at_terminal(&cluster, n, &["sh", "-c", &script]);
    terminal.until_shown(QUESTION).await;
    std::fs::write(&begin, "").unwrap();
    eventually("the second call is refused too", SOON, async || {
        let is_it =
            |event: &Value| event["objectRef"]["resource"] == "secrets" && event["objectRef"]["namespace"] == *n;
        if cluster.control_plane.refusals().iter().any(is_it) { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    terminal.types("y\n").await;
    terminal.until_shown("the command needs more by now").await;
    terminal.until_shown(&format!("list secrets in namespace {n}")).await;
    terminal.types("y\n").await;
    let (code, screen) = terminal.end().await;
    assert_eq!(code, Some(0), "{screen}");
    assert_eq!(screen.matches(QUESTION).count(), 2, "{screen}");
    let both = json!([rule(&["list"], "pods", &[]), rule(&["list"], "secrets", &[])]);
    assert_eq!(asked_for(&cluster, n).await, [both], "{screen}");
    let requests = cluster.requests(n).await.list(&Default::default()).await.unwrap().items;
    cluster.until(n, requests[0].metadata.name.as_deref().unwrap(), State::Revoked).await;
}

/// The same call of two processes, of which one comes while somebody is to approve what the other one needs.
async fn same(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run-same").await;
    let n = &namespace;
    cluster.allow(n, n, stages()).await;
    let folder = tempfile::tempdir().unwrap();
    let begin = folder.path().join("begin").display().to_string();
    let pods = format!("kubectl get --raw /api/v1/namespaces/{n}/pods");
    let script = format!("mkfifo {begin}; {pods} & cat {begin}; {pods}; wait");
    let running = run_as(&cluster, ALICE).start(&line(n, &SCRIPT, &["sh", "-c", &script]));
    let name = only_request(&cluster, n).await;
    cluster.until(n, &name, State::Pending).await;
    std::fs::write(&begin, "").unwrap();
    eventually("both are refused", SOON, async || {
        let is_it = |event: &&Value| event["objectRef"]["resource"] == "pods" && event["objectRef"]["namespace"] == *n;
        let refused = cluster.control_plane.refusals().iter().filter(is_it).count();
        if refused == 2 { Ok(()) } else { Err(format!("{refused} are")) }
    })
    .await;
    cluster.review(CAROL, n, &name, "Approve", "go on").await;
    let (code, out, err) = running.end().await;
    assert_eq!((code, out.matches("\"kind\":\"PodList\"").count()), (Some(0), 2), "{out}{err}");
    assert_eq!(asked_for(&cluster, n).await.len(), 1);
}

/// kubectl under the name of a program that is known to ask before it calls, and under its own.
async fn asks_first(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run-asks").await;
    let n = &namespace;
    cluster.allow(n, n, json!({})).await;
    let folder = tempfile::tempdir().unwrap();
    let k9s = folder.path().join("k9s");
    std::os::unix::fs::symlink(cluster.control_plane.tools().join("kubectl"), &k9s).unwrap();
    let asks = ["auth", "can-i", "list", "pods"];
    let (_, out, err) = run(&cluster, n, &SCRIPT, &[&["kubectl"], &asks[..]].concat()).await;
    assert_eq!(out, "no\n", "{err}");
    assert!(asked_for(&cluster, n).await.is_empty(), "{err}");
    let (code, out, err) = run(&cluster, n, &SCRIPT, &[&[k9s.to_str().unwrap()], &asks[..]].concat()).await;
    assert_eq!((code, out.as_str()), (Some(0), "yes\n"), "{err}");
    assert_eq!(asked_for(&cluster, n).await, [json!([rule(&["list"], "pods", &[])])], "{err}");
    nothing_is_left(&cluster, n).await;
}
