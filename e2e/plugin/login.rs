//! Logins as kubectl has them: of programs, files and issuers, and what is said when one is over.

use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use libtest_mimic::Trial;
use rcgen::{CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use serde_json::{Value, json};

use super::kubefile::{Kubefile, LISTS};
use crate::harness::cast::{SOON, request};
use crate::harness::issuer::{self, Issuer};
use crate::harness::plugin::Plugin;
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::trial::private_control_plane;
use crate::harness::users::{ADMIN, ALICE, GRETA};
use crate::harness::{Cluster, ControlPlane, eventually, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("plugin::logs_in_by_a_program", exec),
        shared("plugin::runs_the_login_program_again_only_when_its_answer_ended", exec_again),
        shared("plugin::says_what_is_wrong_with_a_login_program", exec_failures),
        Trial::test("plugin::logs_in_by_a_certificate_that_a_program_gives", || {
            private_control_plane(exec_certificate)
        }),
        shared("plugin::logs_in_by_the_token_of_a_file", token_file),
        shared("plugin::says_which_login_expired_and_which_cluster_is_away", told),
        Trial::test("plugin::logs_in_at_an_issuer_and_renews_the_login", || private_control_plane(oidc)),
    ]
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

/// Somebody who issues client certificates.
fn certifier(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// What a program prints that gives a client certificate for ida of group smiths, which ends in this year.
fn certified(by: &CertifiedIssuer<'_, KeyPair>, year: i32) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::OrganizationName, "smiths");
    params.distinguished_name.push(DnType::CommonName, "ida");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(year, 1, 1));
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, by).unwrap().pem();
    let status = json!({ "clientCertificateData": certificate, "clientKeyData": key.serialize_pem() });
    prints("v1beta1", &status)
}

async fn exec_certificate() {
    let (trusted, other) = (certifier("clients"), certifier("others"));
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("clients.crt");
    std::fs::write(&authority, trusted.pem()).unwrap();
    let flag: &'static str = String::leak(format!("--client-ca-file={}", authority.display()));
    let control_plane = ControlPlane::start_with(AUDIT_POLICY, Vec::leak(vec![flag])).await;
    let file = Kubefile::of(&control_plane, ALICE).user(by_program("v1beta1", json!({})));
    file.script(&certified(&trusted, 2199));
    // Nobody has rights here: the API server names whom it refuses.
    let (_, err) = file.plugin().ends(&LISTS, 1).await;
    assert!(err.contains("User \"ida\" cannot list resource"), "{err}");
    let binds = ["create", "clusterrolebinding", "smiths", "--clusterrole=cluster-admin", "--group=smiths"];
    control_plane.kubectl(ADMIN).ok(&binds).await;
    // There is no Daypass there, which she may be told.
    eventually("her group is what the certificate says", SOON, async || {
        let (_, _, err) = file.plugin().run(&LISTS).await;
        if err.contains("404 page not found") { Ok(()) } else { Err(err) }
    })
    .await;
    for bad in [certified(&trusted, 2021), certified(&other, 2199)] {
        file.script(&bad);
        let (_, err) = file.plugin().ends(&LISTS, 1).await;
        assert!(
            err.contains("does not accept the login of user alice, what ") && err.contains("log out and in"),
            "{err}"
        );
    }
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
        eventually(&what, SOON, async || {
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
