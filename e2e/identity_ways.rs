//! Who asks and who reviews is written by a policy, by a webhook, or by nobody. One table of trials is run for every way,
//! and held to the same answers: whatever writes, nobody is recorded as anybody else.

mod cert_manager;
mod lies;
mod table;

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daypass::api::State;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use self::table::{KEYS, Stamp, hold};
use crate::harness::binaries::Version;
use crate::harness::cast::{self, SOON, request};
use crate::harness::impostor::{Impostor, patching};
use crate::harness::install::NAMESPACE;
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::users::{ADMIN, ALICE, CAROL, MALLORY, User};
use crate::harness::webhook;
use crate::harness::{Cluster, ControlPlane, Controller, Daypass, alone, eventually, flagged};

pub fn trials() -> Vec<Trial> {
    vec![
        flagged("identity_ways::by_policy", &[], without_policies, by_policy),
        alone("identity_ways::by_webhook", AUDIT_POLICY, by_webhook),
        alone("identity_ways::by_a_webhook_that_is_dead_or_slow", AUDIT_POLICY, dead_or_slow),
        alone("identity_ways::by_a_webhook_that_lies", AUDIT_POLICY, lies::lying),
        alone("identity_ways::by_nobody", AUDIT_POLICY, by_nobody),
        alone(
            "identity_ways::cert_manager_writes_its_own_and_nothing_else",
            AUDIT_POLICY,
            cert_manager::writes_its_own,
        ),
        Trial::test("identity_ways::a_webhook_without_a_usable_certificate_ends_and_says_why", ends_and_says_why),
    ]
}

fn without_policies(version: &Version) -> Option<&'static str> {
    (version.number() < 36).then_some("MutatingAdmissionPolicy is off by default before Kubernetes 1.36")
}

async fn by_policy(control_plane: Arc<ControlPlane>) {
    let cluster = Cluster::with(control_plane, &["identity.stamp=policy", KEYS]).await;
    let kinds = cluster
        .kubectl(ADMIN)
        .ok(&["get", "mutatingadmissionpolicies,mutatingwebhookconfigurations", "-o", "name"])
        .await;
    assert!(kinds.contains("daypass-identity-stamp") && !kinds.contains("daypass-stamp"), "{kinds}");
    cast::until_stamped(&cluster.kubectl(MALLORY)).await;
    hold(&cluster, Stamp::Written).await;
    story(&cluster, Stamp::Written).await;
}

async fn by_webhook(control_plane: Arc<ControlPlane>) {
    let cluster = Cluster::with(control_plane, &["identity.stamp=webhook", KEYS]).await;
    no_policy_stamps(&cluster).await;
    cast::until_stamped(&cluster.kubectl(MALLORY)).await;
    hold(&cluster, Stamp::Written).await;
    story(&cluster, Stamp::Written).await;
    // What it was told is in no log.
    let log = cluster.control_plane.webhook_log().await;
    assert!(log.contains("answers reviews") && !log.contains("alice") && !log.contains("a trial"), "{log}");
    renewed(&cluster).await;
}

fn ends_and_says_why() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let ends = |words: &str| -> Result<(), Failed> {
        let certificates = format!("--certificates={}", folder.path().display());
        let args =
            ["10", &*Controller::program().to_string_lossy(), "stamp", "--listen=127.0.0.1:0", "--probes=127.0.0.1:0"]
                .map(str::to_owned);
        let output = Command::new("timeout").args(args).arg(&certificates).output()?;
        let log = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        // 124: it would have run on.
        assert_eq!(output.status.code(), Some(1), "{log}");
        assert!(log.contains(&folder.path().display().to_string()) && log.contains(words), "{log}");
        Ok(())
    };
    ends("/tls.crt: No such file or directory (os error 2); mount a Secret of type kubernetes.io/tls there")?;
    let made = || rcgen::generate_simple_self_signed(["stamp.test".to_owned()]);
    let (one, other) = (made()?, made()?);
    std::fs::write(folder.path().join("tls.crt"), one.cert.pem())?;
    std::fs::write(folder.path().join("tls.key"), other.signing_key.serialize_pem())?;
    ends("/tls.key cannot be used with the certificate beside it")
}

/// So that it is the webhook that is tried.
async fn no_policy_stamps(cluster: &Cluster) {
    if without_policies(&Version::run()).is_none() {
        let policies = cluster.kubectl(ADMIN).ok(&["get", "mutatingadmissionpolicies", "-o", "name"]).await;
        assert_eq!(policies, "");
    }
}

/// A new certificate with a new authority, as an upgrade of the chart makes it: the running webhook takes it up.
async fn renewed(cluster: &Cluster) {
    let secrets: Api<Secret> = Api::namespaced(cluster.client(ADMIN).await, NAMESPACE);
    let stored = async || secrets.get(webhook::NAME).await.expect("the Secret").data.expect("data");
    let before = stored().await;
    let (_, rest) = Daypass::render(&cluster.control_plane, &["identity.stamp=webhook", KEYS]).await;
    cluster.kubectl(ADMIN).apply_server_side(&rest).await;
    assert_ne!(stored().await["tls.crt"], before["tls.crt"]);
    // Until its pods have the new one, the API server does not know the webhook.
    eventually("the old certificate is not trusted any more", SOON, async || match stamped(cluster).await {
        Err(refusal) if refusal.contains("its webhook did not answer") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    webhook::mount_certificate(&cluster.control_plane).await;
    cast::until_stamped(&cluster.kubectl(MALLORY)).await;
    let log = cluster.control_plane.webhook_log().await;
    assert!(log.contains("the certificate has changed and is in use"), "{log}");
}

/// What comes of a request that says nothing of who asks.
async fn stamped(cluster: &Cluster) -> Result<String, String> {
    let args = ["create", "--dry-run=server", "-o", "jsonpath={.spec.requester.username}", "-f", "-"];
    let output = cluster.kubectl(ALICE).run_with(&args, &request("default", "plain", json!({})).to_string()).await;
    if output.ok { Ok(output.stdout) } else { Err(output.stderr) }
}

async fn by_nobody(control_plane: Arc<ControlPlane>) {
    let cluster = Cluster::with(control_plane, &["identity.stamp=off", KEYS]).await;
    no_policy_stamps(&cluster).await;
    let webhooks = cluster.kubectl(ADMIN).ok(&["get", "mutatingwebhookconfigurations", "-o", "name"]).await;
    assert_eq!(webhooks, "");
    let refusal = stamped(&cluster).await.expect_err("nobody stamps");
    assert!(refusal.contains("this cluster does not fill it in, so write username, uid and groups"), "{refusal}");
    hold(&cluster, Stamp::Missing).await;
    story(&cluster, Stamp::Missing).await;
}

async fn dead_or_slow(control_plane: Arc<ControlPlane>) {
    let cluster = Cluster::with(control_plane, &["identity.stamp=webhook", KEYS]).await;
    cast::until_stamped(&cluster.kubectl(MALLORY)).await;
    cluster.control_plane.stop_webhook().await;
    let refusal = stamped(&cluster).await.expect_err("the webhook is dead");
    for words in [
        "spec.requester must be you",
        "its webhook did not answer",
        "write username, uid and groups as `kubectl auth whoami -o yaml` shows them",
        "look at deployment daypass-stamp in namespace daypass-system",
    ] {
        assert!(refusal.contains(words), "{words}: {refusal}");
    }
    hold(&cluster, Stamp::Missing).await;
    story(&cluster, Stamp::Missing).await;

    let late = Arc::new(|_: &Value| {
        patching(&json!([{ "op": "add", "path": "/spec/requester", "value": { "username": "alice" } }]))
    });
    let impostor = Impostor::start(&cluster.control_plane, Duration::from_secs(20), late).await;
    eventually("the slow one is called", SOON, async || {
        let _ = stamped(&cluster).await;
        if impostor.calls() > 0 { Ok(()) } else { Err("it is not called".to_owned()) }
    })
    .await;
    let began = Instant::now();
    let refusal = stamped(&cluster).await.expect_err("the webhook is slow");
    let took = began.elapsed();
    assert!(refusal.contains("its webhook did not answer"), "{refusal}");
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(15), "{took:?}");
    // Who writes their own identity does not wait for it, and neither does the controller.
    let calls = impostor.calls();
    story(&cluster, Stamp::Missing).await;
    assert_eq!(impostor.calls(), calls, "somebody waited who had no need to");
    hold(&cluster, Stamp::Missing).await;
}

/// alice asks, carol approves, alice has access and gives it back, each as people must write it here.
async fn story(cluster: &Cluster, stamp: Stamp) {
    let namespace = cluster.namespace("story").await;
    let leads = json!({ "approval": { "stages": [{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }] } });
    cluster.allow(&namespace, &namespace, leads).await;
    let own = match stamp {
        Stamp::Written => json!({}),
        Stamp::Missing => json!({ "requester": table::identity(ALICE) }),
    };
    cluster.ask(ALICE, &namespace, "fix", own).await;
    cluster.until(&namespace, "fix", State::Pending).await;
    say(cluster, &namespace, CAROL, "Approve", stamp).await;
    let granted = cluster.until(&namespace, "fix", State::Active).await;
    assert_eq!(json!(granted.spec.requester), table::identity(ALICE));
    say(cluster, &namespace, ALICE, "Revoke", stamp).await;
    cluster.until(&namespace, "fix", State::Revoked).await;
}

async fn say(cluster: &Cluster, namespace: &str, by: User, verdict: &str, stamp: Stamp) {
    let mut review = json!({ "verdict": verdict });
    if stamp == Stamp::Missing {
        let identity = table::identity(by);
        (review["uid"], review["groups"]) = (identity["uid"].clone(), identity["groups"].clone());
    }
    let patch = json!({ "status": { "reviews": { by.name: review } } }).to_string();
    let args = ["patch", "areq", "fix", "-n", namespace, "--subresource=status", "--type=merge", "-p", &patch];
    cluster.kubectl(by).ok(&args).await;
}
