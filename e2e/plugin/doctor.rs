//! `doctor`: a healthy installation is found healthy, what may not be read is unknown, and each fault is named.

use std::net::SocketAddr;
use std::sync::Arc;

use daypass::api::State;
use daypass::cli::plugin::doctor::facts::InstalledController;
use daypass::cli::plugin::doctor::rights;
use k8s_openapi::api::apps::v1::Deployment;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::harness::binaries::Version;
use crate::harness::cast::SOON;
use crate::harness::install::NAMESPACE;
use crate::harness::plugin::Plugin;
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::users::{ADMIN, ALICE, EVE, GRETA, User};
use crate::harness::{Cluster, ControlPlane, alone, bare, eventually, private, webhook};
use crate::{chart, rights as operations};

pub fn trials() -> Vec<Trial> {
    vec![
        private("plugin::doctor_finds_a_healthy_installation_healthy", healthy),
        private("plugin::doctor_names_guards_that_do_not_stand", guards),
        private("plugin::doctor_names_what_the_controller_may_not_do", missing_rights),
        private("plugin::doctor_names_a_controller_that_is_gone_and_what_hangs_by_it", gone),
        bare("plugin::doctor_asks_for_each_right_that_the_chart_gives", table),
        alone("plugin::doctor_reads_until_when_the_webhook_is_trusted", AUDIT_POLICY, webhook_way),
        private("plugin::doctor_names_definitions_that_are_not_whole", definitions),
    ]
}

/// The findings of a run that ends with this code.
pub async fn findings(cluster: &Cluster, user: User, args: &[&str], code: i32) -> Vec<Value> {
    let plugin = Plugin::of(cluster, user);
    let (out, err) = plugin.ends(&[&["doctor", "-o", "json"], args].concat(), code).await;
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
    report["findings"].as_array().expect("findings").clone()
}

/// What is not ok, each as `level check object`.
fn complaints(findings: &[Value]) -> Vec<String> {
    let words = |finding: &Value| {
        let parts = ["level", "check", "object"].map(|part| finding[part].as_str().unwrap_or("-").to_owned());
        parts.join(" ")
    };
    findings.iter().filter(|finding| finding["level"] != "ok").map(words).collect()
}

/// The complaints that are errors.
fn errors(findings: &[Value]) -> Vec<String> {
    complaints(findings).into_iter().filter_map(|one| one.strip_prefix("error ").map(str::to_owned)).collect()
}

/// Plays the parts that no control plane of a test has: the controller of Deployments, and the kubelet, whose pod the
/// controller of this cluster is.
pub async fn run_as_pod(cluster: &Cluster) {
    let admin = cluster.kubectl(ADMIN);
    let port = forward(([127, 0, 0, 1], cluster.controller.port()).into()).await;
    let status = r#"{"status":{"replicas":2,"readyReplicas":2,"availableReplicas":2,"observedGeneration":1}}"#;
    let patch = ["-n", NAMESPACE, "--subresource=status", "--type=merge", "-p"];
    admin.ok(&[&["patch", "deployment", "daypass"], &patch[..], &[status]].concat()).await;
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "replica-7", "namespace": NAMESPACE, "labels": { "app.kubernetes.io/name": "daypass" } },
        "spec": { "serviceAccountName": "daypass", "nodeName": "n1", "containers": [{
            "name": "controller", "image": "daypass", "ports": [{ "name": "http", "containerPort": port }]
        }] }
    });
    admin.apply_server_side(&pod.to_string()).await;
    let ip = webhook::address();
    let status = json!({ "status": { "phase": "Running", "podIP": ip, "podIPs": [{ "ip": ip }] } }).to_string();
    admin.ok(&[&["patch", "pod", "replica-7"], &patch[..], &[&status]].concat()).await;
}

/// A port of an address that is no loopback one, behind which this is.
async fn forward(to: SocketAddr) -> u16 {
    let listener = TcpListener::bind((webhook::address(), 0)).await.expect("listen");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            tokio::spawn(async move {
                if let Ok(mut to) = TcpStream::connect(to).await {
                    let _ = copy_bidirectional(&mut from, &mut to).await;
                }
            });
        }
    });
    port
}

/// What is said of a healthy installation, each run of spaces as one.
const GOLDEN: &str = include_str!("doctor.txt");

async fn healthy(cluster: Arc<Cluster>) {
    run_as_pod(&cluster).await;
    let namespace = cluster.namespace("well").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "lumen", json!({ "duration": "1h", "reason": "zebra", "ticket": "OPS-77" })).await;
    cluster.until(&namespace, "lumen", State::Active).await;
    let found = findings(&cluster, ADMIN, &[], 0).await;
    // What kubectl finds is for the machine to have, and no trial installs it there; an archive not everybody wants.
    let is_wanted = |one: &String| !one.starts_with("note setup") && one != "note archive -";
    let complaints: Vec<String> = complaints(&found).into_iter().filter(is_wanted).collect();
    assert_eq!(complaints, Vec::<String>::new(), "{found:#?}");
    let checks: Vec<&str> = found.iter().filter_map(|finding| finding["check"].as_str()).collect();
    for check in
        ["guard", "stamp", "controller-rights", "leader", "controller-clock", "readiness", "metrics", "binding"]
    {
        assert!(checks.contains(&check), "nothing is said of {check}: {checks:?}");
    }
    assert_eq!(checks.iter().filter(|check| **check == "guard").count(), 13);
    let page = Plugin::of(&cluster, ADMIN).done(&["doctor", "--strict"]).await;
    let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    // What stands before is about the machine, and the last line counts that too.
    let lines = page.lines().map(squeezed).skip_while(|line| !line.starts_with("ok api-server"));
    let lines: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let version = Version::run().release;
    assert_eq!(lines.join("\n"), GOLDEN.trim_end().replace("VERSION", &version), "{page}");
    assert!(page.trim_end().ends_with(" note, 0 unknown, 0 warning, 0 error"), "{page}");
    others(&cluster, &namespace).await;
    bundle_of_healthy(&cluster, &namespace).await;
}

/// A bundle tells what was found, and nobody's name, place, word or secret: of these names none, though the page has those of
/// `told`.
async fn bundle(cluster: &Cluster, names: &[&str], told: &[&str], code: i32) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bundle.json");
    let path = file.display().to_string();
    let (page, _) = Plugin::of(cluster, ADMIN).ends(&["doctor", "--bundle", &path], code).await;
    let text = std::fs::read_to_string(&file).expect("a bundle");
    let (address, _) = cluster.control_plane.address();
    let (host, token, pod) = (address.trim_start_matches("https://"), ADMIN.token(), webhook::address().to_string());
    let always = [NAMESPACE, "alice", "u-admin", "system:masters", "replica-7", "zebra", "OPS-77", host, &token, &pod];
    for name in names.iter().copied().chain(always) {
        assert!(!text.contains(name), "{name} is in {text}");
    }
    assert!(told.iter().all(|name| page.contains(name)), "{told:?} is not in {page}");
    serde_json::from_str(&text).expect("JSON")
}

async fn bundle_of_healthy(cluster: &Cluster, namespace: &str) {
    let bundle = bundle(cluster, &[namespace, "lumen"], &["u-admin", "system:masters", "replica-7"], 0).await;
    assert_eq!(bundle["requests"]["open"][0]["state"], "Active");
    assert_eq!(bundle["policies"][0]["conditions"][0]["type"], "Ready");
    let leader = bundle["findings"].as_array().expect("findings").iter().find(|one| one["check"] == "leader");
    let message = leader.expect("a leader")["message"].as_str().expect("words").to_owned();
    assert!(message.starts_with("object-") && message.ends_with(" leads, and renews the Lease"), "{message}");
    let (_, err) = Plugin::of(cluster, ADMIN).ends(&["doctor", "--bundle", "/nowhere/bundle"], 2).await;
    assert!(err.contains("--bundle: cannot write /nowhere/bundle"), "{err}");
}

/// Whoever may read less is told what is not known, and never that it is well.
async fn others(cluster: &Cluster, namespace: &str) {
    let auditor = findings(cluster, GRETA, &["--release-namespace", NAMESPACE], 0).await;
    let of = |found: &[Value], level: &str| -> Vec<String> {
        let words = complaints(found).into_iter();
        words.filter_map(|one| one.strip_prefix(&format!("{level} ")).map(str::to_owned)).collect()
    };
    let unknown = of(&auditor, "unknown");
    for one in ["controller -", "definition -", "leader -", "readiness -", "controller-rights -", "guard self-guard"] {
        assert!(unknown.iter().any(|other| other == one), "{one} is not in {unknown:?}");
    }
    for check in ["policy -", "request -", "binding -", "stamp -"] {
        assert!(!complaints(&auditor).iter().any(|one| one.ends_with(check)), "{auditor:#?}");
    }
    let person = findings(cluster, EVE, &[], 0).await;
    let unknown = of(&person, "unknown");
    for one in ["guard -", "binding -", "controller -", "archive -"] {
        assert!(unknown.iter().any(|other| other == one), "{one} is not in {unknown:?}: {namespace}");
    }
    let strict = findings(cluster, EVE, &["--strict"], 1).await;
    assert_eq!(complaints(&strict), complaints(&person));
    let sentence = strict.iter().find(|finding| finding["check"] == "controller").expect("it is said");
    assert_eq!(sentence["message"], format!("you may not list deployments in namespace {NAMESPACE}"));
}

async fn guards(cluster: Arc<Cluster>) {
    run_as_pod(&cluster).await;
    let admin = cluster.kubectl(ADMIN);
    admin.ok(&["delete", "validatingadmissionpolicybinding", "daypass-status-guard"]).await;
    let audit = ["--type=merge", "-p", r#"{"spec":{"validationActions":["Audit"]}}"#];
    admin.ok(&[&["patch", "validatingadmissionpolicybinding", "daypass-self-guard"], &audit[..]].concat()).await;
    let narrow = r#"{"spec":{"matchConditions":[{"name":"never","expression":"false"}]}}"#;
    admin.ok(&["patch", "validatingadmissionpolicy", "daypass-deletion-guard", "--type=merge", "-p", narrow]).await;
    admin.ok(&["delete", "mutatingadmissionpolicybinding", "daypass-review-stamp", "--ignore-not-found"]).await;
    let found = eventually("the controller has noticed", SOON, async || {
        let found = findings(&cluster, ADMIN, &[], 1).await;
        let noticed = errors(&found).contains(&"readiness replica-7".to_owned());
        if noticed { Ok(found) } else { Err(format!("{:?}", complaints(&found))) }
    })
    .await;
    let mut errors = errors(&found);
    errors.retain(|one| one != "readiness replica-7");
    assert_eq!(errors, ["guard deletion-guard", "guard self-guard", "guard status-guard"]);
    let fixes: Vec<&Value> =
        found.iter().filter(|f| f["check"] == "guard" && f["level"] == "error").map(|f| &f["fix"]).collect();
    assert!(fixes.iter().all(|fix| fix.as_str().is_some_and(|fix| fix.contains("helm upgrade"))), "{fixes:?}");
    assert!(complaints(&found).contains(&"warning stamp -".to_owned()), "{:?}", complaints(&found));
}

async fn missing_rights(cluster: Arc<Cluster>) {
    run_as_pod(&cluster).await;
    let admin = cluster.kubectl(ADMIN);
    let role: Value =
        serde_json::from_str(&admin.ok(&["get", "clusterrole", "daypass", "-o", "json"]).await).expect("JSON");
    let mut rules = role["rules"].clone();
    for rule in rules.as_array_mut().expect("rules") {
        if rule["resources"] == json!(["rolebindings"]) {
            rule["verbs"] = json!(["get", "list", "watch", "create", "update"]);
        }
    }
    let patch = json!({ "rules": rules }).to_string();
    admin.ok(&["patch", "clusterrole", "daypass", "--type=merge", "-p", &patch]).await;
    let more = ["create", "clusterrolebinding", "too-much", "--clusterrole=cluster-admin"];
    let account = format!("--serviceaccount={NAMESPACE}:daypass");
    let found = eventually("the API server has learned of it", SOON, async || {
        let found = findings(&cluster, ADMIN, &[], 1).await;
        let errors = errors(&found);
        if errors.is_empty() { Err("nothing is missing".to_owned()) } else { Ok(errors) }
    })
    .await;
    assert_eq!(found, ["controller-rights delete rolebindings"]);
    admin.ok(&[&more[..], &[&account]].concat()).await;
    let found = eventually("the API server has learned of that too", SOON, async || {
        let (_, out, _) = Plugin::of(&cluster, ADMIN).run(&["doctor", "-o", "json"]).await;
        let report: Value = serde_json::from_str(&out).map_err(|error| error.to_string())?;
        let found = complaints(report["findings"].as_array().expect("findings"));
        if found.iter().any(|one| one.starts_with("warning controller-rights")) {
            Ok(found)
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await;
    for right in ["escalate clusterroles", "bind clusterroles", "impersonate users", "get secrets"] {
        assert!(found.contains(&format!("warning controller-rights {right}")), "{right}: {found:?}");
    }
}

async fn gone(cluster: Arc<Cluster>) {
    let admin = cluster.kubectl(ADMIN);
    let namespace = cluster.namespace("hang").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "lumen", json!({ "duration": "5s", "reason": "zebra" })).await;
    cluster.until(&namespace, "lumen", State::Active).await;
    cluster.controller.freeze();
    cluster.ask(ALICE, &namespace, "umbra", json!({ "duration": "1h" })).await;
    let bad = json!({
        "apiVersion": "daypass.dev/v1alpha1", "kind": "AccessPolicy", "metadata": { "name": format!("bad-{namespace}") },
        "spec": { "requesters": [{ "kind": "Group", "name": "dev" }], "roles": [{ "name": "view" }],
            "scope": { "namespaces": [namespace] }, "duration": { "max": "1h" },
            "conditions": [{ "expression": "nothing.known", "message": "no" }] }
    });
    admin.apply_server_side(&bad.to_string()).await;
    let stray = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": { "name": "foreign", "namespace": namespace },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view" }
    });
    // Only the controller may make one with the label while the guard stands.
    admin.ok(&["delete", "validatingadmissionpolicybinding", "daypass-binding-guard"]).await;
    let mut labelled = stray.clone();
    labelled["metadata"]["labels"] = json!({ "app.kubernetes.io/managed-by": "daypass" });
    eventually("nothing refuses the label any more", SOON, async || {
        let made = admin.run_with(&["apply", "--server-side", "-f", "-"], &labelled.to_string()).await;
        if made.ok { Ok(()) } else { Err(made.stderr) }
    })
    .await;
    let expected = [
        format!("error request {namespace}/lumen"),
        format!("error request {namespace}/umbra"),
        "error leader -".to_owned(),
        "error controller -".to_owned(),
        "error readiness -".to_owned(),
        "error guard binding-guard".to_owned(),
        format!("warning policy bad-{namespace}"),
        format!("warning binding RoleBinding {namespace}/foreign"),
    ];
    eventually("all of it is named", std::time::Duration::from_secs(90), async || {
        let found = findings(&cluster, ADMIN, &[], 1).await;
        let found = complaints(&found);
        let missing: Vec<&String> = expected.iter().filter(|one| !found.contains(one)).collect();
        let stray = format!("error binding RoleBinding {namespace}/daypass-");
        if missing.is_empty() && found.iter().any(|one| one.starts_with(&stray)) {
            Ok(())
        } else {
            Err(format!("{missing:?} of {found:?}"))
        }
    })
    .await;
    let names = [namespace.as_str(), "lumen", "umbra", "foreign"];
    bundle(&cluster, &names, &names, 1).await;
    cluster.controller.thaw();
    cluster.controller.revive();
    let error = format!("error policy bad-{namespace}");
    eventually("the policy is judged", SOON, async || {
        cluster.controller.revive();
        let found = complaints(&findings(&cluster, ADMIN, &[], 1).await);
        if found.contains(&error) { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

async fn definitions(cluster: Arc<Cluster>) {
    let admin = cluster.kubectl(ADMIN);
    let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/ticket";
    let patch = json!([{ "op": "remove", "path": path }]).to_string();
    admin.ok(&["patch", "crd", "accessrequests.daypass.dev", "--type=json", "-p", &patch]).await;
    let found = findings(&cluster, ADMIN, &[], 1).await;
    assert!(errors(&found).contains(&"definition accessrequests.daypass.dev".to_owned()), "{found:#?}");
    let message = found.iter().find(|f| f["check"] == "definition" && f["level"] == "error").expect("one");
    assert!(message["message"].as_str().is_some_and(|words| words.ends_with(": spec.ticket")), "{message}");
    cluster.controller.kill();
    admin.ok(&["delete", "crd", "accessrequests.daypass.dev"]).await;
    eventually("the kind is away", SOON, async || {
        let found = errors(&findings(&cluster, ADMIN, &[], 1).await);
        let all = ["kinds -", "definition accessrequests.daypass.dev"].map(str::to_owned);
        if all.iter().all(|one| found.contains(one)) { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    for [flag, value] in [["--server", "https://127.0.0.1:1"], ["--token", "of-yesterday"]] {
        let found = findings(&cluster, ADMIN, &[flag, value], 1).await;
        assert_eq!(errors(&found), ["api-server -"], "nothing else can be said: {found:?}");
    }
}

/// The table of rights that are asked for is that of the chart, in the whole cluster and in some namespaces.
async fn table(control_plane: Arc<ControlPlane>) {
    for values in ["bindableRoles={deployer}", "watchNamespaces={bank,shop}"] {
        let rendered = chart::render(&control_plane, &["--set", values]).await;
        let deployment = chart::find(&rendered, "Deployment", "daypass").expect("a Deployment").clone();
        let deployment: Deployment = serde_json::from_value(deployment).expect("a Deployment");
        let installed = InstalledController::of(&deployment).expect("the controller");
        assert_eq!(installed.guards.len(), 13, "{installed:?}");
        let given = operations::single(&chart::rights_of(&rendered, "daypass"));
        let asked = rights::needed(&installed, NAMESPACE);
        let asked = asked.iter().map(|right| format!("{} {}", right.verb, right.resource)).collect();
        operations::are_the_same(&given, &asked);
    }
}

async fn webhook_way(control_plane: Arc<ControlPlane>) {
    let cluster = Cluster::with(control_plane, &["identity.stamp=webhook"]).await;
    run_as_pod(&cluster).await;
    let certificate = async |code: i32| {
        let found = findings(&cluster, ADMIN, &[], code).await;
        let of = |check: &str| found.iter().find(|finding| finding["check"] == check).cloned();
        (of("stamp").expect("what stamps"), of("stamp-certificate").expect("its certificate"))
    };
    let (stamp, made) = certificate(0).await;
    assert_eq!((&stamp["level"], &made["level"]), (&json!("ok"), &json!("ok")), "{stamp}{made}");
    let mut params = rcgen::CertificateParams::new(vec!["old".to_owned()]).expect("a name");
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2020, 2, 1);
    let old = params.self_signed(&rcgen::KeyPair::generate().expect("a key")).expect("a certificate").pem();
    let bundle = json!(k8s_openapi::ByteString(old.into_bytes()));
    let patch = json!([0, 1].map(|n| {
        json!({ "op": "replace", "path": format!("/webhooks/{n}/clientConfig/caBundle"), "value": bundle })
    }));
    let name = ["mutatingwebhookconfiguration", webhook::NAME];
    let patch = ["--type=json", "-p", &patch.to_string()].map(str::to_owned);
    let args: Vec<&str> = ["patch"].into_iter().chain(name).chain(patch.iter().map(String::as_str)).collect();
    cluster.kubectl(ADMIN).ok(&args).await;
    let (_, old) = certificate(1).await;
    assert_eq!(old["level"], "error");
    assert!(old["message"].as_str().is_some_and(|words| words.contains("2020-02-01T00:00:00Z")), "{old}");
}
