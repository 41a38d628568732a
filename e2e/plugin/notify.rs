//! `notify test`: which pod it runs in and with whose rights, what it says where nothing can run, and what the pod says.
//!
//! No control plane of a test has a kubelet: a stand-in for an API server is in its place where something has to run.

use std::sync::Arc;

use futures::{SinkExt, StreamExt};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use crate::harness::cast::SOON;
use crate::harness::install::NAMESPACE;
use crate::harness::plugin::Plugin;
use crate::harness::trial::runtime;
use crate::harness::users::{ADMIN, DAVE, TRUDY};
use crate::harness::{Cluster, eventually, private, without_cluster};

pub fn trials() -> Vec<Trial> {
    vec![
        private("plugin::a_route_is_tried_in_the_notifier_by_whoever_may_enter_it", rights),
        without_cluster("plugin::a_route_that_was_tried_is_told_as_the_notifier_tells_it", told),
    ]
}

const TRY: [&str; 3] = ["notify", "test", "ops"];

/// The notifier as the chart makes it, and its routes.
async fn install(cluster: &Cluster) {
    let (ours, its) = (json!({ "app.kubernetes.io/name": "daypass" }), labels());
    let template = json!({ "metadata": { "labels": its }, "spec": { "containers": [container()] } });
    let routes = "routes: [{name: ops, teams: {urlFile: /secrets/ops}}, {name: sre, teams: {urlFile: /secrets/sre}}]";
    for object in [
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "spec": { "selector": { "matchLabels": its }, "template": template }
        }),
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "notify.yaml": routes } }),
    ] {
        let mut object = object;
        object["metadata"] = json!({ "name": "daypass-notify", "namespace": NAMESPACE, "labels": ours });
        cluster.kubectl(ADMIN).apply_server_side(&object.to_string()).await;
    }
}

fn labels() -> Value {
    json!({ "app.kubernetes.io/name": "daypass-notify" })
}

fn container() -> Value {
    json!({ "name": "notify", "image": "localhost/daypass-notify:1" })
}

/// A pod of the notifier that no kubelet runs, in this phase.
async fn pod(cluster: &Cluster, name: &str, status: Value) {
    let metadata = json!({ "name": name, "namespace": NAMESPACE, "labels": labels() });
    let spec = json!({ "automountServiceAccountToken": false, "containers": [container()] });
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec });
    let admin = cluster.kubectl(ADMIN);
    admin.apply_server_side(&pod.to_string()).await;
    let status = json!({ "status": status }).to_string();
    admin.ok(&["patch", "pod", name, "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", &status]).await;
}

async fn rights(cluster: Arc<Cluster>) {
    let admin = Plugin::of(&cluster, ADMIN);
    let fails = async |plugin: &Plugin, line: &[&str], words: &[&str]| {
        let (out, err) = plugin.ends(line, 1).await;
        assert_eq!(out, "", "{line:?}");
        let missing: Vec<_> = words.iter().filter(|words| !err.contains(**words)).collect();
        assert!(missing.is_empty(), "{line:?}: {missing:?} is not in {err}");
    };
    fails(&admin, &TRY, &["no notifier in namespace daypass-system", "notify.enabled", "--release-namespace"]).await;
    install(&cluster).await;
    fails(&admin, &TRY, &["no pod of the notifier", "it has none"]).await;
    let elsewhere = [&TRY[..], &["--release-namespace=default"]].concat();
    fails(&admin, &elsewhere, &["no notifier in namespace default"]).await;
    pod(&cluster, "notify-1", json!({ "phase": "Pending" })).await;
    let look = "kubectl describe pods -n daypass-system -l app.kubernetes.io/name=daypass-notify --context e2e";
    fails(&admin, &[&TRY[..], &["--context=e2e"]].concat(), &["notify-1 is Pending", look]).await;

    let ready = json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] });
    pod(&cluster, "notify-2", ready).await;
    // As far as it comes without a node: the API server was asked for this, and lets the admin.
    let exec = "cannot create pods/exec in namespace daypass-system";
    fails(&admin, &TRY, &[exec, "notify-2 does not have a host assigned"]).await;
    let asked = "/pods/notify-2/exec?";
    let command =
        "command=%2Fdaypass&command=test&command=ops&command=--config&command=%2Fetc%2Fdaypass-notify%2Fnotify.yaml";
    eventually("the exec is on record", SOON, async || {
        let calls = cluster.control_plane.calls_of("admin");
        let uris: Vec<&str> = calls.iter().filter_map(|call| call["requestURI"].as_str()).collect();
        let found =
            uris.iter().any(|uri| uri.contains(asked) && uri.contains(command) && uri.contains("container=notify"));
        if found { Ok(()) } else { Err(format!("{uris:?}")) }
    })
    .await;

    // Whoever may exec as RBAC goes is kept out all the same, by their own name or another's.
    let guarded = ["'daypass-self-guard'", r#"add "trudy" to selfGuard.managers"#];
    fails(&Plugin::of(&cluster, TRUDY), &TRY, &[&[exec], &guarded[..]].concat()).await;
    fails(&admin, &[&TRY[..], &["--as=trudy"]].concat(), &guarded).await;
    // Whoever may not is told which rights it takes.
    let dave = Plugin::of(&cluster, DAVE);
    fails(&dave, &TRY, &["you may not list pods in namespace daypass-system", "create and get on pods/exec"]).await;
    let looks = ["create", "rolebinding", "dave-looks", "--clusterrole=view", "--user=dave", "-n", NAMESPACE];
    cluster.kubectl(ADMIN).ok(&looks).await;
    eventually("dave may list pods", SOON, async || {
        let (code, out, err) = dave.run(&TRY).await;
        assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
        let told =
            err.contains("you may not create pods/exec in namespace daypass-system") && err.contains("selfGuard");
        if told { Ok(()) } else { Err(err) }
    })
    .await;

    let offered = ["__complete", "notify", "test", ""];
    assert_eq!(admin.done(&offered).await, "ops\nsre\n:36\n");
    assert_eq!(dave.done(&offered).await, "ops\nsre\n:36\n", "view reads ConfigMaps");
    let elsewhere = ["__complete", "notify", "test", "--release-namespace=default", ""];
    assert_eq!(admin.done(&elsewhere).await, ":36\n");
}

/// What a pod writes and how it ends: streams by their number, and in the third the last word of the API server.
fn ending(out: &str, err: &str, code: i32) -> Vec<Message> {
    let piece = |channel: u8, text: &str| Message::binary([&[channel], text.as_bytes()].concat());
    let causes = json!([{ "reason": "ExitCode", "message": code.to_string() }]);
    let status = match code {
        0 => json!({ "metadata": {}, "status": "Success" }),
        _ => json!({ "metadata": {}, "status": "Failure", "details": { "causes": causes } }),
    };
    vec![piece(1, out), piece(2, err), piece(3, &status.to_string())]
}

/// A stand-in for an API server with two pods of the notifier, of which the newer one answers so.
async fn serve(listener: TcpListener, messages: Vec<Message>) {
    while let Ok((stream, _)) = listener.accept().await {
        let mut head = [0; 4096];
        let read = stream.peek(&mut head).await.expect("a head");
        let line = String::from_utf8_lossy(&head[..read]).lines().next().unwrap_or_default().to_owned();
        let messages = messages.clone();
        tokio::spawn(async move {
            if line.starts_with("GET /api/v1/namespaces/daypass-system/pods/notify-new/exec?") {
                entered(stream, messages).await;
            } else {
                let selected = line.contains("labelSelector=app.kubernetes.io%2Fname%3Ddaypass-notify");
                listed(stream, selected).await;
            }
        });
    }
}

async fn entered(stream: TcpStream, messages: Vec<Message>) {
    #[expect(clippy::result_large_err, reason = "the library wants it so")]
    let look = |_: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        response.headers_mut().insert("sec-websocket-protocol", "v5.channel.k8s.io".parse().expect("a header"));
        Ok(response)
    };
    let mut socket = accept_hdr_async(stream, look).await.expect("a WebSocket");
    for message in messages {
        socket.send(message).await.expect("send");
    }
    let _ = socket.close(None).await;
    while let Some(Ok(_)) = socket.next().await {}
}

async fn listed(mut stream: TcpStream, selected: bool) {
    let mut head = [0; 4096];
    assert!(stream.read(&mut head).await.is_ok_and(|read| read > 0));
    let pod = |name: &str, made: &str| {
        json!({
            "metadata": { "name": name, "creationTimestamp": made }, "spec": { "containers": [container()] },
            "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] }
        })
    };
    let pods = [pod("notify-new", "2026-11-30T09:00:00Z"), pod("notify-old", "2026-11-29T09:00:00Z")];
    let items = if selected { pods.to_vec() } else { Vec::new() };
    let list = json!({ "apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": items }).to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{list}",
        list.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
}

fn told() {
    runtime().block_on(async {
        for (out, err, code) in [
            ("route ops: a test message was taken\n", "", 0),
            ("route ops: answered 403: invalid_token\n", "WARN one\nWARN two\n", 1),
            ("", "there is no route ops: there are sre, dev\n", 1),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let server = format!("http://{}", listener.local_addr().expect("an address"));
            let serving = tokio::spawn(serve(listener, ending(out, err, code)));
            let nowhere = Plugin::without_cluster();
            let ran = nowhere.run(&["notify", "test", "ops", "--server", &server, "--token=x"]).await;
            assert_eq!(ran, (Some(code), out.to_owned(), err.to_owned()));
            serving.abort();
        }
    });
}
