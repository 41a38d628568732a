//! What a command finds at the endpoint: the API server with all that it can, and an end without remains.

use std::sync::Arc;
use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::{OpenRun, StandIn, alone, call};
use crate::harness::binaries::Binaries;
use crate::harness::plugin::{Plugin, Ran};
use crate::harness::process::{alive, signal};
use crate::harness::users::{ADMIN, ALICE};
use crate::harness::{Cluster, eventually, issuer, shared, webhook};

/// How long what ended may take to be gone.
const SOON: Duration = Duration::from_secs(20);

pub fn trials() -> Vec<Trial> {
    vec![
        shared("plugin::run::kubectl_finds_the_cluster_there", kubectl),
        shared("plugin::run::helm_finds_the_cluster_there", helm),
        shared("plugin::run::what_happens_is_seen_at_once", watches),
        shared("plugin::run::logs_and_upgraded_calls_go_through", kubelet),
        shared("plugin::run::ends_as_its_command_ends", ends),
        shared("plugin::run::signals_reach_the_command_and_leave_nothing", signals),
        shared("plugin::run::ctrl_c_reaches_the_command_once", ctrl_c),
        shared("plugin::run::what_a_killed_run_leaves_is_of_no_use", killed),
        shared("plugin::run::runs_within_a_run", nested),
        alone("plugin::run::says_what_it_cannot_run", cannot_run),
    ]
}

/// A program of the tests, as it is typed.
fn program(of: impl FnOnce(Binaries) -> std::path::PathBuf) -> String {
    of(Binaries::find().unwrap()).display().to_string()
}

/// Runs kubectl within a run.
async fn within(plugin: &Plugin, args: &[&str]) -> Ran {
    let kubectl = program(|binaries| binaries.kubectl);
    plugin.run(&[&["run", "--", kubectl.as_str()], args].concat()).await
}

async fn done(plugin: &Plugin, args: &[&str]) -> String {
    let (code, out, err) = within(plugin, args).await;
    assert_eq!(code, Some(0), "{args:?}: {out}{err}");
    out
}

async fn kubectl(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run").await;
    let home = tempfile::tempdir().unwrap();
    let admin = Plugin::of(&cluster, ADMIN).variable("HOME", home.path().display().to_string());
    let file = home.path().join("large.json");
    let large = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "large", "namespace": namespace },
        "data": { "all": "x".repeat(1_000_000) }
    });
    std::fs::write(&file, large.to_string()).unwrap();
    let n = ["-n", namespace.as_str()];
    done(&admin, &["apply", "--server-side", "-f", file.to_str().unwrap()]).await;
    let get = [&["get", "configmap", "large", "-o", "json"], &n[..]].concat();
    assert_eq!(done(&admin, &get).await, cluster.kubectl(ADMIN).ok(&get).await, "nothing differs from plain kubectl");
    done(
        &admin,
        &[&["patch", "configmap", "large", "--type=merge", "-p", r#"{"data": {"all": "y"}}"#], &n[..]].concat(),
    )
    .await;
    assert_eq!(done(&admin, &[&["get", "cm/large", "-o", "jsonpath={.data.all}"], &n[..]].concat()).await, "y");
    done(&admin, &[&["delete", "configmap", "large"], &n[..]].concat()).await;
    // Nothing is kept beside the kubeconfig, which went.
    assert!(!home.path().join(".kube").exists(), "what kubectl learnt at a port that another cluster may have");
    // The context of the caller, and what the API server says to somebody else.
    assert_eq!(done(&admin, &["config", "current-context"]).await, "e2e\n");
    let alice = Plugin::of(&cluster, ALICE);
    let secrets = [&["get", "secrets"], &n[..]].concat();
    let (code, _, err) = within(&alice, &secrets).await;
    assert!(code == Some(1) && err.ends_with(&cluster.kubectl(ALICE).refused(&secrets).await), "{code:?}: {err}");
    let whoami = ["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"];
    assert_eq!(done(&admin, &[&whoami[..], &["--as", "bob"]].concat()).await, "bob");
    let kubectl = program(|binaries| binaries.kubectl);
    let as_bob = [&["run", "--as", "bob", "--", &kubectl], &whoami[..]].concat();
    assert_eq!(admin.done(&as_bob).await, "bob");
}

async fn helm(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run").await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("chart/templates")).unwrap();
    std::fs::write(folder.path().join("chart/Chart.yaml"), "{apiVersion: v2, name: chart, version: 1.0.0}").unwrap();
    let template = r#"{apiVersion: v1, kind: ConfigMap, metadata: {name: made}, data: {is: "{{ .Values.is }}"}}"#;
    std::fs::write(folder.path().join("chart/templates/made.yaml"), template).unwrap();
    let admin = Plugin::of(&cluster, ADMIN).variable("HOME", folder.path().display().to_string());
    let chart = folder.path().join("chart").display().to_string();
    let helm = program(|binaries| binaries.helm);
    for is in ["one", "two"] {
        let set = format!("is={is}");
        let line = ["run", "--", &helm, "upgrade", "--install", "shop", &chart, "-n", &namespace, "--set", &set];
        admin.done(&line).await;
        let get = ["get", "configmap", "made", "-n", &namespace, "-o", "jsonpath={.data.is}"];
        assert_eq!(cluster.kubectl(ADMIN).ok(&get).await, is);
    }
}

async fn watches(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run").await;
    let kubectl = program(|binaries| binaries.kubectl);
    let get = ["run", "--", &kubectl, "get", "configmaps", "-w", "-o", "name", "-n", &namespace];
    let mut running = Plugin::of(&cluster, ADMIN).start(&get);
    for name in ["first", "second"] {
        cluster.kubectl(ADMIN).ok(&["create", "configmap", name, "-n", &namespace]).await;
        running.until_printed(&format!("configmap/{name}\n")).await;
    }
    running.interrupt();
    let (code, ..) = running.end().await;
    assert!(code.is_some(), "kubectl ends by itself, and so does the run");
}

/// A kubelet that has one container, which says a line and later another one, and echoes whoever upgrades a call.
async fn serve_kubelet(listener: TcpListener, later: Arc<Notify>) {
    let own = rcgen::generate_simple_self_signed(["n".to_owned()]).unwrap();
    let acceptor = issuer::acceptor(&own);
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, later) = (acceptor.clone(), later.clone());
        tokio::spawn(async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let Some(call) = call(&mut stream).await else { return };
            let upgrade = call.lines().find_map(|line| line.strip_prefix("Upgrade: "));
            let Some(to) = upgrade else {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
                stream.write_all(format!("{head}6\r\nfirst\n\r\n").as_bytes()).await.unwrap();
                later.notified().await;
                return stream.write_all(b"7\r\nsecond\n\r\n0\r\n\r\n").await.unwrap();
            };
            let head = format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {to}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let (mut from, mut into) = tokio::io::split(stream);
            let _ = tokio::io::copy(&mut from, &mut into).await;
        });
    }
}

async fn kubelet(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("run").await;
    // The API server makes no calls for others to a loopback address.
    let address = webhook::address();
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let later = Arc::<Notify>::default();
    tokio::spawn(serve_kubelet(listener, later.clone()));
    let node = format!("node-of-{namespace}");
    let admin = cluster.kubectl(ADMIN);
    admin.apply(&json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": node } }).to_string()).await;
    let status = json!({ "status": {
        "addresses": [{ "type": "InternalIP", "address": address.to_string() }],
        "daemonEndpoints": { "kubeletEndpoint": { "Port": port } }
    } });
    admin.ok(&["patch", "node", &node, "--subresource=status", "--type=merge", "-p", &status.to_string()]).await;
    let pod: Value = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a", "namespace": namespace },
        "spec": {
            "nodeName": node, "automountServiceAccountToken": false, "containers": [{ "name": "c", "image": "c" }]
        }
    });
    eventually("a pod", SOON, async || {
        let made = admin.run_with(&["apply", "-f", "-"], &pod.to_string()).await;
        if made.ok { Ok(()) } else { Err(made.stderr) }
    })
    .await;

    let plugin = Plugin::of(&cluster, ADMIN);
    let kubectl = program(|binaries| binaries.kubectl);
    let mut logs = plugin.start(&["run", "--", &kubectl, "logs", "-f", "a", "-n", &namespace]);
    logs.until_printed("first\n").await;
    later.notify_one();
    let (code, rest, err) = logs.end().await;
    assert_eq!((code, rest.as_str()), (Some(0), "second\n"), "{err}");

    let run = OpenRun::start(&plugin).await;
    let exec = format!("/api/v1/namespaces/{namespace}/pods/a/exec?command=sh&stdin=true&container=c");
    let proxy = format!("/api/v1/nodes/{node}/proxy/echo");
    let socket = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    for (line, to, more) in [
        (format!("POST {exec}"), "SPDY/3.1", "X-Stream-Protocol-Version: v4.channel.k8s.io\r\nContent-Length: 0\r\n"),
        (format!("GET {proxy}"), "websocket", socket),
    ] {
        let call = run.head(&line, &format!("Upgrade: {to}\r\n{more}"));
        let mut stream = run.connect().await;
        stream.write_all(call.replace("Connection: close", "Connection: Upgrade").as_bytes()).await.unwrap();
        let mut answer = String::new();
        while !answer.ends_with("\r\n\r\n") {
            answer.push(char::from(stream.read_u8().await.unwrap()));
        }
        assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
        // Both ways, more than once, and more than any buffer holds.
        for piece in [vec![1_u8; 7], vec![2; 300_000]] {
            let mut echo = vec![0; piece.len()];
            let (mut from, mut into) = tokio::io::split(&mut stream);
            let (sent, got) = tokio::join!(into.write_all(&piece), from.read_exact(&mut echo));
            assert!(sent.is_ok() && got.is_ok() && echo == piece, "{to}");
        }
    }
}

async fn ends(cluster: Arc<Cluster>) {
    let admin = Plugin::of(&cluster, ADMIN);
    let line = |script: &'static str| ["run", "--", "sh", "-c", script];
    assert_eq!(admin.run(&line("echo out; echo err >&2; exit 7")).await, (Some(7), "out\n".into(), "err\n".into()));
    assert_eq!(admin.run(&line("kill -KILL $$")).await.0, Some(137));
    assert_eq!(admin.fed(&line("cat"), "of the terminal").await.1, "of the terminal");
}

async fn cannot_run() {
    let stand_in = StandIn::kind().await;
    let folder = tempfile::tempdir().unwrap();
    let plugin = stand_in.plugin(&folder);
    let (code, _, err) = plugin.run(&["run", "--", "kubectl-that-is-not-there"]).await;
    assert_eq!(code, Some(127), "{err}");
    assert!(err.contains("cannot run kubectl-that-is-not-there"), "{err}");
    let (code, _, err) = plugin.run(&["run", "--", folder.path().join("config").to_str().unwrap()]).await;
    assert_eq!(code, Some(126), "{err}");
    assert_eq!(plugin.run(&["run"]).await.0, Some(2));
    assert_eq!(Plugin::without_cluster().run(&["run", "--", "echo", "never"]).await, {
        let (_, _, err) = Plugin::without_cluster().run(&["list"]).await;
        (Some(1), String::new(), err)
    });
}

async fn signals(cluster: Arc<Cluster>) {
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129), ("USR1", 138)] {
        let run = OpenRun::start(&Plugin::of(&cluster, ADMIN)).await;
        assert!(run.kubeconfig.exists() && alive(run.command));
        signal(name, &run.running.pid().to_string());
        let folder = run.kubeconfig.parent().unwrap().to_owned();
        assert_eq!(run.running.end().await.0, Some(code), "{name}");
        assert!(!folder.exists() && !alive(run.command), "{name}");
        assert!(TcpStream::connect(&run.host).await.is_err(), "{name}: nobody listens there any more");
    }
}

async fn ctrl_c(cluster: Arc<Cluster>) {
    let script = "n=0; trap 'n=$((n+1))' INT; echo rea''dy; \
        while [ \"$line\" != end ]; do read line; echo saw-$line; done; echo got-$n-of-them";
    let mut terminal = Plugin::of(&cluster, ADMIN).start_at_terminal(&["run", "--", "sh", "-c", script]);
    terminal.until_shown("ready").await;
    terminal.types("\u{3}").await;
    terminal.types("one\n").await;
    terminal.until_shown("saw-one").await;
    terminal.types("end\n").await;
    let (code, shown) = terminal.end().await;
    assert!(code == Some(0) && shown.contains("got-1-of-them"), "{code:?}: {shown}");
    // Two that come at once would look like one. A command in a session of its own gets what is handed on, and nothing else:
    // here what it sends to its parent itself, after Ctrl-C.
    let script = "n=0; trap 'n=$((n+1))' INT; trap 'echo got-$n-of-them; exit 0' USR1; echo rea''dy; \
        read line; kill -USR1 $PPID; while read line; do :; done";
    let mut terminal = Plugin::of(&cluster, ADMIN).start_at_terminal(&["run", "--", "setsid", "sh", "-c", script]);
    terminal.until_shown("ready").await;
    terminal.types("\u{3}").await;
    terminal.until_shown("^C").await;
    terminal.types("go\n").await;
    terminal.until_shown("got-0-of-them").await;
    let (code, shown) = terminal.end().await;
    assert_eq!(code, Some(0), "{shown}");
}

async fn killed(cluster: Arc<Cluster>) {
    let run = OpenRun::start(&Plugin::of(&cluster, ADMIN)).await;
    signal("KILL", &run.running.pid().to_string());
    eventually("the port is closed", SOON, async || match TcpStream::connect(&run.host).await {
        Ok(_) => Err("somebody listens there".to_owned()),
        Err(_) => Ok(()),
    })
    .await;
    let left = std::fs::read_to_string(&run.kubeconfig).unwrap();
    assert!(!left.contains(&ADMIN.token()), "the login was never in it");
    // It does not see that the run is gone.
    signal("TERM", &run.command.to_string());
    assert_eq!(run.running.end().await.0, None);
    std::fs::remove_dir_all(run.kubeconfig.parent().unwrap()).unwrap();
}

async fn nested(cluster: Arc<Cluster>) {
    let kubectl = program(|binaries| binaries.kubectl);
    let inner = ["run", "--", crate::harness::plugin::PROGRAM, "run", "--", &kubectl];
    let line = [&inner[..], &["get", "ns", "default", "-o", "name"]].concat();
    assert_eq!(Plugin::of(&cluster, ADMIN).done(&line).await, "namespace/default\n");
}
