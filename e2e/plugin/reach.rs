//! All of kubectl's ways to a cluster: proxies, names of certificates, files and pods.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use libtest_mimic::{Completion, Trial};
use serde_json::json;

use super::kubefile::{Kubefile, LISTS};
use crate::harness::issuer;
use crate::harness::plugin::{PROGRAM, Plugin, only_request};
use crate::harness::pod;
use crate::harness::trial::within;
use crate::harness::tunnel::{Speaks, TunnelAsked, Tunnels};
use crate::harness::users::{ADMIN, ALICE};
use crate::harness::{Cluster, ControlPlane, shared};

/// A name that leads nowhere but through a proxy.
const AWAY: &str = "https://api.example.invalid:6443";
/// A name that the API server's certificate is for.
const NAME: &str = "kubernetes";

pub fn trials() -> Vec<Trial> {
    vec![
        shared("plugin::reaches_the_cluster_through_proxies", proxies),
        shared("plugin::follows_the_proxy_variables_as_kubectl_does", variables),
        shared("plugin::judges_the_server_as_the_kubeconfig_says", certificates),
        shared("plugin::says_what_the_kubeconfig_lacks", lacks),
        Trial::ignorable_test("plugin::takes_the_service_account_of_its_pod", || {
            if !pod::can_be_one() {
                return Ok(Completion::ignored_with("this machine lets nobody mount what a pod has"));
            }
            within(in_pod).map(|()| Completion::Completed)
        }),
    ]
}

fn address(control_plane: &ControlPlane) -> SocketAddr {
    control_plane.address().0.trim_start_matches("https://").parse().unwrap()
}

fn asked(login: Option<&str>) -> TunnelAsked {
    TunnelAsked { target: "api.example.invalid:6443".to_owned(), login: login.map(str::to_owned) }
}

async fn proxies(cluster: Arc<Cluster>) {
    let to = address(&cluster.control_plane);
    let own = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let authority = std::fs::read_to_string(cluster.control_plane.address().1).unwrap();
    // Its certificate is judged as that of the API server is.
    let both = BASE64_STANDARD.encode(format!("{authority}\n{}", own.cert.pem()));
    let basic = format!("Basic {}", BASE64_STANDARD.encode("ann:p@ss"));
    for (scheme, speaks, login, expected) in [
        ("http", Speaks::Http, "", None),
        ("http", Speaks::Http, "ann:p%40ss@", Some(basic.as_str())),
        ("https", Speaks::Https(issuer::acceptor(&own)), "", None),
        ("socks5", Speaks::Socks5, "", None),
        ("socks5", Speaks::Socks5, "ann:p%40ss@", Some("ann:p@ss")),
    ] {
        let proxy = Tunnels::start(speaks, to).await;
        let mut file = Kubefile::of(&cluster.control_plane, ALICE);
        *file.cluster() = json!({
            "server": AWAY, "tls-server-name": NAME, "certificate-authority-data": both,
            "proxy-url": format!("{scheme}://{login}{}", proxy.address)
        });
        file.plugin().done(&LISTS).await;
        let seen = proxy.asked();
        assert!(!seen.is_empty() && seen.iter().all(|one| *one == asked(expected)), "{scheme} {login}: {seen:?}");
    }
    // A proxy that is away is named, and its password is not.
    let mut file = Kubefile::of(&cluster.control_plane, ALICE);
    file.cluster()["proxy-url"] = json!("http://ann:secret@127.0.0.1:1");
    let (_, err) = file.plugin().ends(&LISTS, 1).await;
    assert!(
        err.contains("by way of the proxy http://127.0.0.1:1 cannot be reached") && !err.contains("secret"),
        "{err}"
    );
    file.cluster()["proxy-url"] = json!("ftp://127.0.0.1:1");
    let (_, err) = file.plugin().ends(&LISTS, 1).await;
    assert!(err.contains("proxy-url: ftp://127.0.0.1:1 cannot be the proxy"), "{err}");
}

async fn variables(cluster: Arc<Cluster>) {
    let proxy = Tunnels::start(Speaks::Http, address(&cluster.control_plane)).await;
    let url = format!("http://{}", proxy.address);
    let mut file = Kubefile::of(&cluster.control_plane, ALICE);
    // This machine is reached without, whatever the variable says.
    file.plugin().variable("HTTPS_PROXY", "http://127.0.0.1:1").done(&LISTS).await;
    (file.cluster()["server"], file.cluster()["tls-server-name"]) = (json!(AWAY), json!(NAME));
    for (name, value) in [("HTTPS_PROXY", url.clone()), ("https_proxy", proxy.address.to_string())] {
        let before = proxy.asked().len();
        file.plugin().variable(name, value).done(&LISTS).await;
        assert!(proxy.asked().len() > before, "{name}");
    }
    let before = proxy.asked().len();
    for direct in ["api.example.invalid", ".invalid", "*"] {
        let plugin = file.plugin().variable("HTTPS_PROXY", &url).variable("NO_PROXY", direct);
        let (_, err) = plugin.ends(&LISTS, 1).await;
        assert!(err.contains(AWAY) && !err.contains("proxy http"), "{direct}: {err}");
    }
    // What the kubeconfig says is meant for whatever host.
    file.cluster()["proxy-url"] = json!(url);
    assert_eq!(proxy.asked().len(), before);
    file.plugin().variable("NO_PROXY", "*").variable("HTTPS_PROXY", "http://127.0.0.1:1").done(&LISTS).await;
    assert!(proxy.asked().len() > before);
}

async fn certificates(cluster: Arc<Cluster>) {
    let control_plane = &cluster.control_plane;
    let (server, authority) = control_plane.address();
    let mut file = Kubefile::of(control_plane, ALICE);
    let other = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let wrong = file.folder.path().join("other.crt");
    std::fs::write(&wrong, other.cert.pem()).unwrap();
    *file.cluster() = json!({ "server": server, "certificate-authority": wrong });
    let plugin = file.plugin();
    let (_, err) = plugin.ends(&LISTS, 1).await;
    assert!(err.contains(&format!("{server} (context e2e) cannot be reached (invalid peer certificate")), "{err}");
    plugin.done(&["list", "--certificate-authority", &authority]).await;
    plugin.done(&["list", "--insecure-skip-tls-verify"]).await;
    let (_, err) = plugin.ends(&["list", "--certificate-authority", &authority, "--tls-server-name=other"], 1).await;
    assert!(err.contains("invalid peer certificate"), "{err}");
    *file.cluster() = json!({ "server": server, "insecure-skip-tls-verify": true });
    file.plugin().done(&LISTS).await;
}

async fn lacks(cluster: Arc<Cluster>) {
    let mut file = Kubefile::of(&cluster.control_plane, ALICE);
    let (_, err) = file.plugin().ends(&["list", "--context=prod"], 1).await;
    assert!(err.contains("there is no context prod in the kubeconfig ") && err.contains(": it has e2e"), "{err}");
    let whole = file.value.clone();
    file.value["current-context"] = json!("");
    let (_, err) = file.plugin().ends(&LISTS, 1).await;
    assert!(err.contains("has no current context: give --context, one of e2e"), "{err}");
    for (list, kind) in [("users", "user"), ("clusters", "cluster")] {
        file.value = whole.clone();
        file.value[list][0]["name"] = json!("other");
        let (_, err) = file.plugin().ends(&LISTS, 1).await;
        assert!(err.contains(&format!("there is no {kind} ")) && err.contains("it has other"), "{err}");
    }
    // A context is named whatever it is called, also by the words for a cluster that no context names.
    file.value = whole.clone();
    for name in ["of the command line", "in this pod"] {
        (file.value["current-context"], file.value["contexts"][0]["name"]) = (json!(name), json!(name));
        let (_, err) = file.plugin().ends(&["list", "--token=of-yesterday"], 1).await;
        assert!(err.contains(&format!("(context {name}) does not accept")), "{err}");
    }
    // kubectl passes over files that are not there, and takes what the flags say when none is.
    let here = cluster.control_plane.kubeconfig(ALICE).display().to_string();
    Plugin::with(format!("/nowhere/first:{here}:/nowhere/last").as_ref()).done(&LISTS).await;
    let (server, authority) = cluster.control_plane.address();
    let token = ALICE.token();
    let bare = ["list", "--server", &server, "--certificate-authority", &authority, "--token"];
    Plugin::without_cluster().done(&[&bare[..], &[&token]].concat()).await;
    let (_, err) = Plugin::without_cluster().ends(&[&bare[..], &["of-yesterday"]].concat(), 1).await;
    assert!(err.contains(&format!("{server} does not accept the token of --token")), "{err}");
    let (_, err) = Plugin::without_cluster().ends(&["list", "--kubeconfig=/nowhere/named"], 1).await;
    assert!(err.contains("/nowhere/named"), "{err}");
    let both = format!("/nowhere/first:{here}");
    let (_, err) = Plugin::without_cluster().ends(&["list", "--kubeconfig", &both], 1).await;
    assert!(err.contains("/nowhere/first"), "a file that is named must be there: {err}");
    let (_, err) = Plugin::without_cluster().ends(&LISTS, 1).await;
    assert!(err.contains("there is no kubeconfig in /nowhere, and this is no pod"), "{err}");
}

async fn in_pod(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("pod").await;
    let admin = cluster.kubectl(ADMIN);
    admin.ok(&["create", "serviceaccount", "robot", "-n", &namespace]).await;
    let subject = format!("--serviceaccount={namespace}:robot");
    let binds = ["create", "rolebinding", "robot", "--clusterrole=daypass-requester", &subject, "-n", &namespace];
    admin.ok(&binds).await;
    let account = pod::account(&cluster, &namespace, "robot").await;
    let [host, port] = pod::variables(&cluster.control_plane);
    let plugin =
        Plugin::without_cluster().through(Path::new("unshare")).variable(host.0, host.1).variable(port.0, port.1);
    let before = [&pod::before(&account)[..], &[PROGRAM]].concat();
    plugin.ends(&[&before[..], &["request", "view", "--reason=x", "--no-wait"]].concat(), 0).await;
    let name = only_request(&cluster, &namespace).await;
    let made = cluster.requests(&namespace).await.get(&name).await.unwrap();
    assert_eq!(made.spec.requester.unwrap().username, format!("system:serviceaccount:{namespace}:robot"));
    // Somebody who names a cluster means that one.
    let (_, err) = plugin.ends(&[&before[..], &["list", "--context=prod"]].concat(), 1).await;
    assert!(err.contains("there is no context prod"), "{err}");
}
