//! How audit events come to the archive of the chart: the tail, and the feeds of the values.

use std::collections::BTreeSet;
use std::sync::Arc;

use daypass::archive::config::ArchiveConfig;
use daypass::archive::feed::FEED_AUDIENCE;
use serde_json::{Value, json};

use super::{chart, find, folder, render};
use crate::harness::ControlPlane;

const TAIL: &str = "archive.enabled=true,archive.audit.tail.enabled=true,networkPolicy.enabled=true";
const ACCOUNT: &str = "system:serviceaccount:daypass-system:daypass-archive-tail";
const DAEMON_SETS: &str = "system:serviceaccount:kube-system:daemon-set-controller";

fn self_guard(objects: &[Value]) -> String {
    find(objects, "ValidatingAdmissionPolicy", "-self-guard").expect("the self-guard").to_string()
}

/// The arguments of the archive.
fn arguments(objects: &[Value]) -> String {
    find(objects, "Deployment", "-archive").expect("a Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
        .to_string()
}

pub async fn has_no_right_and_reads_one_folder(control_plane: Arc<ControlPlane>) {
    // As an upgrade renders it that reuses the values of a chart which knew nothing of audit events.
    for former in [
        "archive.audit=null",
        "archive.enabled=true,archive.audit=null,archive.activity=null",
        "archive.audit.tail=null",
    ] {
        let objects = render(&control_plane, &["--set", former]).await;
        assert!(find(&objects, "DaemonSet", "").is_none() && !self_guard(&objects).contains(DAEMON_SETS), "{former}");
    }
    let none = render(&control_plane, &["--set", "archive.enabled=true"]).await;
    assert!(find(&none, "DaemonSet", "").is_none());
    assert!(!self_guard(&none).contains(DAEMON_SETS) && !arguments(&none).contains("--feeder"));

    let objects = render(&control_plane, &["--set", TAIL]).await;
    let pod = &find(&objects, "DaemonSet", "-archive-tail").expect("a DaemonSet")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(
        (&pod["securityContext"]["runAsUser"], &pod["securityContext"]["runAsNonRoot"]),
        (&json!(0), &json!(false))
    );
    assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    let volumes = pod["volumes"].as_array().expect("volumes");
    let on_node: Vec<&str> = volumes.iter().filter_map(|volume| volume["hostPath"]["path"].as_str()).collect();
    assert_eq!(on_node, ["/var/log/kubernetes/audit", "/var/lib/daypass-archive-tail"]);
    let mounts = container["volumeMounts"].as_array().expect("mounts").iter();
    let writable: Vec<&Value> = mounts.filter(|mount| mount["readOnly"] != true).map(|mount| &mount["name"]).collect();
    assert_eq!(writable, [&json!("state")]);
    let audience = &volumes[2]["projected"]["sources"][0]["serviceAccountToken"]["audience"];
    assert_eq!(*audience, FEED_AUDIENCE);
    assert_eq!(pod["automountServiceAccountToken"], false);
    let bound = objects.iter().filter(|object| object["subjects"].is_array());
    let rights: Vec<&Value> =
        bound.filter(|binding| binding["subjects"].to_string().contains("-archive-tail")).collect();
    assert!(rights.is_empty(), "{rights:?}");
    assert!(arguments(&objects).contains(&format!("--feeder={ACCOUNT}")) && self_guard(&objects).contains(DAEMON_SETS));
    let egress = &find(&objects, "NetworkPolicy", "-archive-tail").expect("a NetworkPolicy")["spec"]["egress"];
    assert_eq!(egress.as_array().map(Vec::len), Some(2), "names and the archive: {egress}");
    assert!(egress[1]["to"].to_string().contains("daypass-archive"), "{egress}");

    let elsewhere = "archive.url=https://archive:9443,archive.urlAuthority=PEM,archive.audit.tail.enabled=true";
    let objects = render(&control_plane, &["--set", elsewhere, "--set", "networkPolicy.enabled=true"]).await;
    let pod = &find(&objects, "DaemonSet", "-archive-tail").expect("a DaemonSet")["spec"]["template"]["spec"];
    assert!(pod["containers"][0]["args"].to_string().contains("--archive=https://archive:9443"));
    let egress = &find(&objects, "NetworkPolicy", "-archive-tail").expect("a NetworkPolicy")["spec"]["egress"];
    assert_eq!(egress[1], json!({ "ports": [{ "protocol": "TCP", "port": 9443 }] }));
}

pub async fn feeds_are_written_as_the_program_reads_them(control_plane: Arc<ControlPlane>) {
    let values = folder().join("ci/audit-values.yaml").display().to_string();
    let objects = render(&control_plane, &["-f", &values]).await;
    let data = &find(&objects, "ConfigMap", "-archive").expect("its files")["data"];
    let here = tempfile::tempdir().expect("a folder");
    for (file, text) in data.as_object().expect("files") {
        std::fs::write(here.path().join(file), text.as_str().expect("a text")).expect("write it");
    }
    let config = ArchiveConfig::read(&here.path().join("archive.yaml")).unwrap_or_else(|error| panic!("{error}"));
    let believed = config.believed("home").unwrap_or_else(|error| panic!("{error}"));
    let feeds: Vec<(&str, &str)> =
        believed.feeds.iter().map(|feed| (feed.name.as_str(), feed.cluster.as_str())).collect();
    assert_eq!(feeds, [("webhook", "home"), ("eks", "of-eks"), ("aks", "of-aks"), ("gke", "of-gke")]);
    assert_eq!(believed.feeders[0].accounts, BTreeSet::from([ACCOUNT.to_owned()]));
    assert!(believed.clusters.is_empty(), "who feeds writes no records");
    let pod = &find(&objects, "Deployment", "-archive").expect("a Deployment")["spec"]["template"]["spec"];
    for (name, secret) in [("webhook", "daypass-audit-webhook"), ("aks", "daypass-aks")] {
        let mounts = pod["containers"][0]["volumeMounts"].as_array().expect("mounts");
        let mount = mounts.iter().find(|mount| mount["mountPath"] == format!("/feeds/{name}")).expect("a mount");
        assert_eq!(mount["readOnly"], true);
        let volume = pod["volumes"].as_array().expect("volumes").iter().find(|volume| volume["name"] == mount["name"]);
        assert_eq!(volume.expect("a volume")["secret"]["secretName"], secret);
    }
    let ingress = &find(&objects, "NetworkPolicy", "-archive").expect("a NetworkPolicy")["spec"]["ingress"][0]["from"];
    assert!(ingress.to_string().contains("daypass-archive-tail"), "the tail is shut out: {ingress}");
    refusals(&control_plane).await;
}

async fn refusals(control_plane: &ControlPlane) {
    let secret = json!({ "name": "w", "kind": "Webhook", "secretName": "s" });
    let with = |changes: Value| {
        let mut feed = secret.clone();
        for (name, value) in changes.as_object().expect("changes") {
            feed[name] = value.clone();
        }
        format!("archive.audit.feeds={}", json!([feed]))
    };
    let at = "at '/archive/audit/feeds/0";
    for (value, words) in [
        (with(json!({ "name": "W" })), format!("{at}/name': 'W' does not match pattern")),
        (with(json!({ "kind": "Kafka" })), format!("{at}/kind': value must be one of")),
        (with(json!({ "sha256": "ab".repeat(32) })), format!("{at}': 'oneOf' failed")),
        (with(json!({ "sha256": "hunter2" })), format!("{at}/sha256': 'hunter2' does not match pattern")),
        (with(json!({ "kind": "PubSub" })), format!("{at}': missing property 'oidc'")),
        (with(json!({ "oidc": {} })), format!("{at}': 'not' failed")),
        (with(json!({ "token": "x" })), format!("{at}': additional properties 'token' not allowed")),
        ("archive.audit.tail.log=\"/audit.log\"".to_owned(), "at '/archive/audit/tail/log'".to_owned()),
        ("archive.audit.tail.log=\"/var/../etc/x\"".to_owned(), "at '/archive/audit/tail/log'".to_owned()),
        (
            "archive.audit.enabled=\"yes\"".to_owned(),
            "at '/archive/audit/enabled': got string, want boolean".to_owned(),
        ),
        ("archive.audit.tails={}".to_owned(), "at '/archive/audit': additional properties 'tails' not".to_owned()),
        ("archive.audit.tail.runAsUser=-1".to_owned(), "at '/archive/audit/tail/runAsUser'".to_owned()),
    ] {
        let args = ["template", "daypass", &chart(), "--set", "archive.enabled=true", "--set-json", &value];
        let refusal = control_plane.helm_refused(&args).await;
        assert!(refusal.contains(&words), "{value}: {refusal}");
    }
    let args = ["template", "daypass", &chart(), "--set", "archive.audit.tail.enabled=true"];
    let refusal = control_plane.helm_refused(&args).await;
    assert!(refusal.contains("archive.audit.tail.enabled: there is no archive to feed"), "{refusal}");
}
