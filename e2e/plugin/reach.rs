//! All of kubectl's ways to a cluster: proxies, names of certificates, logins of programs, issuers, files and pods.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use libtest_mimic::{Completion, Trial};
use serde_json::{Value, json};

use crate::harness::cast::request;
use crate::harness::issuer::{self, Issuer};
use crate::harness::plugin::{PROGRAM, Plugin, only_request};
use crate::harness::pod;
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::trial::{private_control_plane, within};
use crate::harness::tunnel::{Speaks, TunnelAsked, Tunnels};
use crate::harness::users::{ADMIN, ALICE, GRETA, User};
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
        shared("plugin::logs_in_by_a_program", exec),
        shared("plugin::runs_the_login_program_again_only_when_its_answer_ended", exec_again),
        shared("plugin::says_what_is_wrong_with_a_login_program", exec_failures),
        shared("plugin::logs_in_by_the_token_of_a_file", token_file),
        shared("plugin::says_which_login_expired_and_which_cluster_is_away", told),
        shared("plugin::says_what_the_kubeconfig_lacks", lacks),
        Trial::test("plugin::logs_in_at_an_issuer_and_renews_the_login", || private_control_plane(oidc)),
        Trial::ignorable_test("plugin::takes_the_service_account_of_its_pod", || {
            if !pod::can_be_one() {
                return Ok(Completion::ignored_with("this machine lets nobody mount what a pod has"));
            }
            within(in_pod).map(|()| Completion::Completed)
        }),
    ]
}

/// A kubeconfig that is changed for a trial.
struct Kubefile {
    folder: tempfile::TempDir,
    value: Value,
}

impl Kubefile {
    fn of(cluster: &ControlPlane, user: User) -> Self {
        let text = std::fs::read_to_string(cluster.kubeconfig(user)).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), value: serde_json::from_str(&text).unwrap() }
    }

    fn cluster(&mut self) -> &mut Value {
        &mut self.value["clusters"][0]["cluster"]
    }

    fn user(mut self, user: Value) -> Self {
        self.value["users"][0]["user"] = user;
        self
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    fn plugin(&self) -> Plugin {
        std::fs::write(self.path(), self.value.to_string()).unwrap();
        Plugin::with(&self.path())
    }

    /// A script beside it, by the name that the kubeconfig has for it.
    fn script(&self, text: &str) -> &'static str {
        let path = self.folder.path().join("login");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        "./login"
    }

    fn lines(&self, name: &str) -> usize {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default().lines().count()
    }
}

fn address(control_plane: &ControlPlane) -> SocketAddr {
    control_plane.address().0.trim_start_matches("https://").parse().unwrap()
}

/// A command that asks the API server more than once.
const LISTS: [&str; 3] = ["list", "-o", "name"];

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

/// The user of a kubeconfig who logs in by a script.
fn by_program(version: &str, more: Value) -> Value {
    let mut exec = json!({ "apiVersion": format!("client.authentication.k8s.io/{version}"), "command": "./login" });
    exec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "exec": exec })
}

/// Prints an ExecCredential with this status.
fn prints(version: &str, status: &Value) -> String {
    let answer = json!({
        "kind": "ExecCredential", "apiVersion": format!("client.authentication.k8s.io/{version}"), "status": status
    });
    format!("cat <<'END'\n{answer}\nEND")
}

async fn exec(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("exec").await;
    cluster.kubectl(ALICE).apply(&request(&namespace, "mine", json!({})).to_string()).await;
    let lists = ["list", "-n", &namespace, "-o", "jsonpath={.items[*].metadata.name}"];
    for (version, more) in [("v1", json!({ "interactiveMode": "IfAvailable" })), ("v1beta1", json!({}))] {
        let mut user = by_program(version, more);
        user["exec"]["args"] = json!(["get", "token"]);
        user["exec"]["env"] = json!([{ "name": "WHO", "value": "alice" }]);
        user["exec"]["provideClusterInfo"] = json!(true);
        let file = Kubefile::of(&cluster.control_plane, GRETA).user(user);
        let folder = file.folder.path().display().to_string();
        file.script(&format!(
            "echo \"$*\" >>{folder}/runs\nprintf %s \"$KUBERNETES_EXEC_INFO\" >{folder}/told\n{}",
            prints(version, &json!({ "token": "token-of-$WHO" })).replace("'END'", "END"),
        ));
        assert_eq!(file.plugin().done(&lists).await, "mine", "{version}");
        assert_eq!(std::fs::read_to_string(file.folder.path().join("runs")).unwrap(), "get token\n");
        let told: Value =
            serde_json::from_str(&std::fs::read_to_string(file.folder.path().join("told")).unwrap()).unwrap();
        assert_eq!(told["apiVersion"], format!("client.authentication.k8s.io/{version}"));
        assert_eq!(told["spec"]["interactive"], false, "nobody is at this terminal");
        assert_eq!(told["spec"]["cluster"]["server"], cluster.control_plane.address().0);
    }
}

async fn exec_again(cluster: Arc<Cluster>) {
    let good = |end: &str| json!({ "token": ALICE.token(), "expirationTimestamp": end });
    let runs = async |script: &dyn Fn(&str) -> String| {
        let file = Kubefile::of(&cluster.control_plane, ALICE).user(by_program("v1beta1", json!({})));
        file.script(&script(&file.folder.path().display().to_string()));
        file.plugin().done(&LISTS).await;
        file.lines("runs")
    };
    let counted = |status: Value| move |folder: &str| format!("echo >>{folder}/runs\n{}", prints("v1beta1", &status));
    assert_eq!(runs(&counted(good("2199-01-01T00:00:00Z"))).await, 1);
    assert!(runs(&counted(good("2020-01-01T00:00:00Z"))).await > 1, "an answer that ended is not used again");
    // One that does not say when it ends, and has ended.
    let bad_first = |folder: &str| {
        format!(
            "echo >>{folder}/runs\n[ \"$(wc -l <{folder}/runs)\" -gt 1 ] || {{\n{}\nexit\n}}\n{}",
            prints("v1beta1", &json!({ "token": "of-yesterday" })),
            prints("v1beta1", &json!({ "token": ALICE.token() }))
        )
    };
    assert_eq!(runs(&bad_first).await, 2);
}

async fn exec_failures(cluster: Arc<Cluster>) {
    let fails = async |user: Value, script: &str| {
        let file = Kubefile::of(&cluster.control_plane, ALICE).user(user);
        file.script(script);
        file.plugin().ends(&LISTS, 1).await.1
    };
    let hint = json!({ "command": "kubelogin-that-is-not-there", "installHint": "brew install kubelogin\n" });
    let err = fails(by_program("v1beta1", hint), "").await;
    assert!(err.contains("kubelogin-that-is-not-there, which is not there: brew install kubelogin"), "{err}");
    let err = fails(by_program("v1", json!({ "interactiveMode": "Always" })), "").await;
    assert!(err.contains("asks at a terminal, and this is none"), "{err}");
    let err = fails(by_program("v1", json!({})), "").await;
    assert!(err.contains("exec.interactiveMode is missing: write Never, IfAvailable or Always"), "{err}");
    let err = fails(by_program("v1alpha1", json!({})), "").await;
    assert!(err.contains("v1alpha1: write client.authentication.k8s.io/v1, or"), "{err}");
    let err = fails(by_program("v1beta1", json!({})), "echo your session is over >&2; exit 7").await;
    assert!(err.contains("your session is over\n"), "{err}");
    assert!(err.contains("the login of user alice failed: ") && err.contains("ended with exit status: 7"), "{err}");
    for (status, why) in [(json!({}), "neither a token"), (json!({ "clientKeyData": "x" }), "go together")] {
        let err = fails(by_program("v1beta1", json!({})), &prints("v1beta1", &status)).await;
        assert!(err.contains("printed no ExecCredential") && err.contains(why), "{err}");
    }
    let err = fails(by_program("v1beta1", json!({})), &prints("v1", &json!({ "token": "t" }))).await;
    assert!(err.contains("and not client.authentication.k8s.io/v1beta1"), "{err}");
    let err = fails(by_program("v1beta1", json!({})), &prints("v1beta1", &json!({ "token": "of-yesterday" }))).await;
    assert!(err.contains("does not accept the login of user alice, what ") && err.contains("log out and in"), "{err}");
}

async fn token_file(cluster: Arc<Cluster>) {
    let file = Kubefile::of(&cluster.control_plane, GRETA).user(json!({ "tokenFile": "token" }));
    let plugin = file.plugin();
    let (_, err) = plugin.ends(&LISTS, 1).await;
    assert!(err.contains("tokenFile: ") && err.contains("No such file"), "{err}");
    // Editors end a file with a line feed.
    std::fs::write(file.folder.path().join("token"), format!("{}\n", ALICE.token())).unwrap();
    plugin.done(&LISTS).await;
    std::fs::write(file.folder.path().join("token"), "of-yesterday").unwrap();
    let (_, err) = plugin.ends(&LISTS, 1).await;
    assert!(err.contains("/token, which may have expired: see that whoever writes the file runs"), "{err}");
}

async fn told(cluster: Arc<Cluster>) {
    let server = cluster.control_plane.address().0;
    let claims = |end: i64| {
        let claims = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(json!({ "exp": end }).to_string());
        json!({ "token": format!("e30.{claims}.c2ln") })
    };
    let said = async |user: Value| {
        let file = Kubefile::of(&cluster.control_plane, ALICE).user(user);
        file.plugin().ends(&LISTS, 1).await.1
    };
    let err = said(claims(1_700_000_000)).await;
    assert!(err.contains("the login of user alice expired at 2023-11-14T22:13:20Z"), "{err}");
    let err = said(json!({ "token": "opaque" })).await;
    assert!(err.contains(&format!("{server} (context e2e) does not accept the login of user alice")), "{err}");
    assert!(err.contains("log in again, which writes a new one"), "{err}");
    let err = said(json!({})).await;
    assert!(err.contains("system:anonymous"), "{err}");
    let err = said(json!({ "auth-provider": { "name": "gcp", "config": {} } })).await;
    assert!(err.contains("auth-provider gcp is none of kubectl's any longer: use an exec plugin"), "{err}");
    let plugin = Plugin::of(&cluster, ALICE);
    let (_, err) = plugin.ends(&["list", "--server=https://127.0.0.1:1"], 1).await;
    assert!(err.contains("https://127.0.0.1:1 (context e2e) cannot be reached"), "{err}");
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

async fn oidc() {
    let issuer = Issuer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("issuer.crt");
    std::fs::write(&authority, &issuer.certificate).unwrap();
    let flags = [
        format!("--oidc-issuer-url={}", issuer.url),
        format!("--oidc-client-id={}", issuer::CLIENT),
        format!("--oidc-ca-file={}", authority.display()),
        "--oidc-signing-algs=ES256".to_owned(),
        "--oidc-username-prefix=-".to_owned(),
    ];
    let flags: Vec<&'static str> = flags.into_iter().map(|flag| &*String::leak(flag)).collect();
    let control_plane = ControlPlane::start_with(AUDIT_POLICY, Vec::leak(flags)).await;
    let file = |id_token: &str| {
        Kubefile::of(&control_plane, ALICE).user(json!({ "auth-provider": issuer.provider(id_token) }))
    };
    // Nobody has rights here: the API server names whom it refuses.
    let refused = async |file: &Kubefile, plugin: &Plugin| {
        let what = format!("{} is whom the API server knows", file.path().display());
        crate::harness::eventually(&what, crate::harness::cast::SOON, async || {
            let (_, _, err) = plugin.run(&LISTS).await;
            if err.contains("User \"ida\" cannot list resource") { Ok(()) } else { Err(err) }
        })
        .await;
    };
    let good = file(&issuer.token("ida", 3600));
    refused(&good, &good.plugin()).await;
    assert_eq!(issuer.renewals(), 0);
    let ended = file(&issuer.token("ida", -60));
    let plugin = ended.plugin();
    refused(&ended, &plugin).await;
    assert_eq!(issuer.renewals(), 1);
    // The new login is kept, or this refresh token, which is taken once, would be the last one.
    refused(&ended, &plugin).await;
    assert_eq!(issuer.renewals(), 1);
    let kept: Value = serde_json::from_str(&yaml_as_json(&ended.path())).unwrap();
    assert_eq!(kept["users"][0]["user"]["auth-provider"]["config"]["refresh-token"], "refresh-1");
    let (_, err) = file(&issuer.token("ida", -60)).plugin().ends(&LISTS, 1).await;
    let over = format!("the login of user alice at {} has expired: its ID token ended at ", issuer.url);
    assert!(err.contains(&over) && err.contains("(the session is over); log in there again"), "{err}");
    let mut alone = file(&issuer.token("ida", -60));
    alone.value["users"][0]["user"]["auth-provider"]["config"]["refresh-token"] = json!("");
    let (_, err) = alone.plugin().ends(&LISTS, 1).await;
    assert!(err.contains("without refresh-token no new one can be had"), "{err}");
    let mut away = file(&issuer.token("ida", -60));
    away.value["users"][0]["user"]["auth-provider"]["config"]["idp-issuer-url"] = json!("https://127.0.0.1:1");
    let (_, err) = away.plugin().ends(&LISTS, 1).await;
    assert!(err.contains("cannot be renewed at https://127.0.0.1:1"), "{err}");
}

fn yaml_as_json(path: &Path) -> String {
    let read: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    read.to_string()
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
