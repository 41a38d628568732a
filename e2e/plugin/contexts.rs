//! Several contexts at once: side by side, and one that fails keeps nothing back and is not hidden.

use std::path::Path;
use std::sync::Arc;

use daypass::api::State;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Barrier;

use crate::harness::plugin::Plugin;
use crate::harness::users::{ALICE, CAROL};
use crate::harness::{Cluster, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("plugin::shows_several_clusters_side_by_side", side_by_side),
        shared("plugin::asks_several_clusters_at_the_same_time", at_the_same_time),
        shared("plugin::says_which_context_a_note_and_a_hint_are_of", named),
    ]
}

/// A context of a kubeconfig: its name, the kubeconfig of a user, and a namespace.
fn add(all: &mut Value, name: &str, kubeconfig: &Path, namespace: &str) {
    let one: Value = serde_json::from_str(&std::fs::read_to_string(kubeconfig).unwrap()).unwrap();
    for (kind, inner) in [("clusters", "cluster"), ("users", "user")] {
        let entry = json!({ "name": name, inner: one[kind][0][inner] });
        all[kind].as_array_mut().unwrap().push(entry);
    }
    let context = json!({ "name": name, "context": { "cluster": name, "user": name, "namespace": namespace } });
    all["contexts"].as_array_mut().unwrap().push(context);
}

fn empty() -> Value {
    json!({ "apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": [] })
}

fn written(kubeconfig: &Value) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), kubeconfig.to_string()).unwrap();
    file
}

/// A namespace in which alice has `view`, and waits for `edit`.
async fn with_requests(cluster: &Cluster) -> String {
    let namespace = cluster.namespace("side").await;
    let leads = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }]);
    cluster.allow(&namespace, &namespace, json!({ "approval": { "stages": leads } })).await;
    cluster.allow(&format!("{namespace}-early"), &namespace, json!({ "roles": [{ "name": "view" }] })).await;
    cluster.ask(ALICE, &namespace, "early", json!({ "role": { "name": "view" }, "duration": "40m" })).await;
    cluster.until(&namespace, "early", State::Active).await;
    cluster.ask(ALICE, &namespace, "fix", json!({})).await;
    cluster.until_reason(&namespace, "fix", "Approved", "ApprovalNeeded").await;
    namespace
}

/// The first cells of each line of a table.
fn cells(table: &str, many: usize) -> Vec<String> {
    let of = |line: &str| line.split_whitespace().take(many).collect::<Vec<_>>().join(" ");
    table.lines().map(of).collect()
}

async fn side_by_side(eu: Arc<Cluster>) {
    let us = Cluster::private().await;
    let (in_eu, in_us) = tokio::join!(with_requests(&eu), with_requests(&us));
    let mut all = empty();
    add(&mut all, "eu", &eu.control_plane.kubeconfig(CAROL), &in_eu);
    add(&mut all, "us", &us.control_plane.kubeconfig(CAROL), &in_us);
    add(&mut all, "away", &us.control_plane.kubeconfig(CAROL), "shop");
    all["clusters"][2]["cluster"]["server"] = json!("https://127.0.0.1:1");
    let file = written(&all);
    let carol = Plugin::with(file.path());

    let two = ["--contexts", "eu,us"];
    let out = carol.done(&[&["list", "--everyone"][..], &two].concat()).await;
    let row = |context: &str, namespace: &str, name: &str| format!("{context} {namespace} {name}");
    let head = row("CONTEXT", "NAMESPACE", "NAME");
    let expected = [
        head.clone(),
        row("eu", &in_eu, "early"),
        row("eu", &in_eu, "fix"),
        row("us", &in_us, "early"),
        row("us", &in_us, "fix"),
    ];
    assert_eq!(cells(&out, 3), expected);
    let out = carol.done(&[&["pending", "-n", &format!("{in_eu},{in_us}")][..], &two].concat()).await;
    let mut pending = cells(&out, 3);
    pending[1..].sort();
    assert_eq!(pending, [head, row("eu", &in_eu, "fix"), row("us", &in_us, "fix")]);
    let out = carol.done(&[&["who", "--no-headers"][..], &two].concat()).await;
    assert_eq!(cells(&out, 3), [row("eu", "User/alice", "view"), row("us", "User/alice", "view")]);

    let out = carol.done(&[&["list", "--everyone", "-o", "name"][..], &two].concat()).await;
    let name = |name: &str, context: &str| format!("accessrequest.daypass.dev/{name} {context}");
    let names = [name("early", "eu"), name("fix", "eu"), name("early", "us"), name("fix", "us")];
    assert_eq!(out.lines().collect::<Vec<_>>(), names);

    // One that is away is told, and hides nothing of the others.
    for command in [&["list", "--everyone"][..], &["pending"], &["who"]] {
        let asked = [command, &["--all-contexts", "-o", "json"]].concat();
        let (out, err) = carol.ends(&asked, 1).await;
        let json: Value = serde_json::from_str(&out).unwrap();
        let contexts = json["items"].as_array().unwrap().iter().map(|item| item["context"].as_str().unwrap());
        let contexts: Vec<&str> = contexts.collect();
        assert!(contexts.contains(&"eu") && contexts.contains(&"us"), "{command:?}: {out}");
        assert_eq!(json["failed"][0]["context"], json!("away"), "{out}");
        assert!(err.lines().any(|line| line.starts_with("away: cannot ")), "{err}");
    }
    // To the doctor it is a finding.
    let examined = ["doctor", "--all-contexts"];
    let (out, _) = carol.ends(&[&examined[..], &["-o", "json"]].concat(), 1).await;
    let json: Value = serde_json::from_str(&out).unwrap();
    let away = |report: &Value| {
        let findings = report["findings"].as_array().unwrap();
        findings.iter().any(|finding| finding["check"] == "api-server" && finding["level"] == "error")
    };
    let of = |report: &Value| (report["context"].as_str().unwrap().to_owned(), away(report));
    let reports: Vec<(String, bool)> = json["items"].as_array().unwrap().iter().map(of).collect();
    assert_eq!(reports, [("eu".to_owned(), false), ("us".to_owned(), false), ("away".to_owned(), true)]);
    let (out, _) = carol.ends(&examined, 1).await;
    for line in ["CONTEXT LEVEL CHECK", "eu ok api-server", "us ok api-server", "away error api-server"] {
        assert!(cells(&out, 3).iter().any(|cells| cells == line), "{line}: {out}");
    }
    carol.ends(&[&examined[..], &["--bundle=x.json"]].concat(), 2).await;

    let (out, err) = carol.ends(&["list", "--everyone", "--contexts=us,nix"], 1).await;
    assert_eq!(cells(&out, 3)[1..], [row("us", &in_us, "early"), row("us", &in_us, "fix")]);
    assert!(err.lines().any(|line| line.starts_with("nix: ")), "{err}");
    for wrong in [["--watch", "--contexts=eu"], ["--context=eu", "--contexts=us"], ["--all-contexts", "--token=x"]] {
        carol.ends(&[&["list"][..], &wrong].concat(), 2).await;
    }
}

/// Two servers that hang up on their first caller once both have one: whoever asks one after the other gets no answer.
async fn at_the_same_time(cluster: Arc<Cluster>) {
    let (mut all, both) = (empty(), Arc::new(Barrier::new(2)));
    for name in ["one", "two"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        add(&mut all, name, &cluster.control_plane.kubeconfig(ALICE), "shop");
        let server = format!("http://{}", listener.local_addr().unwrap());
        all["clusters"].as_array_mut().unwrap().last_mut().unwrap()["cluster"] = json!({ "server": server });
        let both = both.clone();
        tokio::spawn(async move {
            let caller = listener.accept().await;
            both.wait().await;
            drop((caller, listener));
        });
    }
    let file = written(&all);
    let (out, err) = Plugin::with(file.path()).ends(&["list", "--everyone", "--all-contexts"], 1).await;
    assert_eq!(out, "", "{err}");
    let starts: Vec<&str> = err.lines().filter_map(|line| line.split_once(": cannot ")).map(|(name, _)| name).collect();
    assert_eq!(starts, ["one", "two"], "{err}");
    assert!(!err.contains("no answer within"), "{err}");
}

async fn named(cluster: Arc<Cluster>) {
    let namespace = with_requests(&cluster).await;
    let mut all = empty();
    add(&mut all, "few", &cluster.control_plane.kubeconfig(ALICE), &namespace);
    add(&mut all, "main", &cluster.control_plane.kubeconfig(CAROL), &namespace);
    all["current-context"] = json!("few");
    let file = written(&all);
    let plugin = Plugin::with(file.path());
    let (_, err) = plugin.ends(&["who", "--contexts=few"], 0).await;
    assert!(err.contains("few: note: you may not list rolebindings"), "{err}");
    // What is typed as it stands goes where the request is, and not to the context that is usual.
    let asks = ["pending", "-n", &namespace, "--contexts=few,main"];
    let (code, screen) = plugin.start_at_terminal(&asks).end().await;
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains(&format!("kubectl daypass approve fix -n {namespace} --context main")), "{screen}");
}
