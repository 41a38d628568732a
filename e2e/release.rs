//! The chart as Helm installs, upgrades and removes it on a real API server: every values file that it is shipped
//! with, and what a release leaves of what was stored.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::chart::{chart, find, render};
use crate::harness::cast::{self, SOON};
use crate::harness::install::NAMESPACE;
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::users::{ADMIN, GITOPS};
use crate::harness::{ControlPlane, Controller, alone, binaries, eventually};

/// What a namespace for which the pods of Daypass are otherwise fit says of the tail.
const OF_NODE: &str = "Warning: would violate PodSecurity \"restricted:latest\": restricted volume types (volumes \"log\", \"state\" use \
                       restricted volume type \"hostPath\")";
use crate::roles;

pub fn trials() -> Vec<Trial> {
    vec![
        alone("release::every_values_file_installs_and_upgrades", AUDIT_POLICY, every_values_file),
        alone("release::an_upgrade_keeps_what_is_stored", AUDIT_POLICY, keeps_what_is_stored),
        alone("release::a_test_asks_the_controller", AUDIT_POLICY, a_test_asks_the_controller),
        alone("release::a_fresh_install_has_nothing_to_warn_of", AUDIT_POLICY, fresh_install),
    ]
}

/// A release of the chart.
struct Release<'a> {
    control_plane: &'a ControlPlane,
    chart: String,
}

impl<'a> Release<'a> {
    fn of(control_plane: &'a ControlPlane, chart: String) -> Self {
        Self { control_plane, chart }
    }

    async fn helm(&self, verb: &str, args: &[&str]) -> String {
        let whole = [&[verb, "daypass", &self.chart, "-n", NAMESPACE, "--create-namespace"], args].concat();
        self.control_plane.helm(&whole[..]).await
    }

    async fn install(&self, args: &[&str]) -> String {
        self.helm("install", args).await
    }

    async fn upgrade(&self, args: &[&str]) -> String {
        self.helm("upgrade", &[&["--install"], args].concat()).await
    }

    /// Everything that would be sent, as this cluster would have it, is accepted by the API server.
    async fn is_accepted(&self, args: &[&str]) {
        let template = [&["template", "daypass", &self.chart, "-n", NAMESPACE, "--dry-run=server"], args].concat();
        let rendered = self.control_plane.helm(&template).await;
        let admin = self.control_plane.kubectl(ADMIN);
        let apply =
            ["apply", "--server-side", "--dry-run=server", "--field-manager=helm", "--force-conflicts", "-f", "-"];
        let answer = admin.run_with(&apply, &rendered).await;
        assert!(answer.ok, "{args:?}: {}", answer.stderr);
        let warned: Vec<&str> = answer.stderr.lines().filter(|line| line.contains("Warning")).collect();
        // What follows a log on a node mounts folders of the node.
        let expected = if rendered.contains("kind: DaemonSet") { &[OF_NODE][..] } else { &[] };
        assert_eq!(warned, expected, "{args:?}: {}", answer.stderr);
    }

    async fn uninstall(&self) {
        self.control_plane.helm(&["uninstall", "daypass", "-n", NAMESPACE]).await;
    }
}

fn values_files() -> Vec<PathBuf> {
    let folder = binaries::repository().join("charts/daypass/ci");
    let entries = std::fs::read_dir(folder).expect("the values files");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    assert!(files.len() >= 4, "{files:?}");
    files
}

async fn every_values_file(control_plane: Arc<ControlPlane>) {
    let admin = control_plane.kubectl(ADMIN);
    let of_the_operator = [("ServiceMonitor", "servicemonitors"), ("PrometheusRule", "prometheusrules")];
    admin.define("monitoring.coreos.com", &of_the_operator).await;
    // The strictest of the cluster's own standards: a pod that breaks it is refused, a Deployment is warned of.
    let strict = ["enforce", "warn"].map(|what| format!("pod-security.kubernetes.io/{what}=restricted"));
    admin.ok(&["create", "namespace", NAMESPACE]).await;
    admin.ok(&["label", "namespace", NAMESPACE, &strict[0], &strict[1]]).await;
    let release = Release::of(&control_plane, chart());
    for (nth, file) in values_files().iter().enumerate() {
        let values = file.display().to_string();
        // The first is a fresh cluster, those after it find the definitions that the one before has left.
        let fresh = admin.run(&["get", "crd", "accesspolicies.daypass.dev"]).await;
        assert_eq!(fresh.ok, nth > 0, "the definitions outlive a release: {}", fresh.stderr);
        release.is_accepted(&["-f", &values]).await;
        let notes = release.install(&["-f", &values]).await;
        ends_with_three_commands(&notes);
        release.is_accepted(&["-f", &values]).await;
        release.upgrade(&["-f", &values]).await;
        if file.ends_with("production-values.yaml") {
            everything_is_there(&control_plane).await;
            roles::built_in_roles_contain_those_of_the_chart(&control_plane).await;
        }
        release.uninstall().await;
    }
    with_policies(&control_plane, &release).await;
}

async fn everything_is_there(control_plane: &ControlPlane) {
    let admin = control_plane.kubectl(ADMIN);
    for object in [
        "servicemonitor/daypass",
        "prometheusrule/daypass",
        "configmap/daypass-dashboard",
        "networkpolicy/daypass",
        "service/daypass-metrics",
    ] {
        admin.ok(&["get", object, "-n", NAMESPACE]).await;
    }
    let alert = admin.ok(&[
        "get",
        "prometheusrule",
        "daypass",
        "-n",
        NAMESPACE,
        "-o",
        "jsonpath={.spec.groups[0].rules[*].alert}",
    ]);
    assert!(alert.await.contains("DaypassGrantPastItsEnd"));
    let board =
        admin.ok(&["get", "configmap", "daypass-dashboard", "-n", NAMESPACE, "-o", r"jsonpath={.data.daypass\.json}"]);
    let board: Value = serde_json::from_str(&board.await).expect("JSON");
    assert_eq!(board["title"], "Daypass");
}

/// The notes end with three numbered commands, the last of which is the last line.
fn ends_with_three_commands(notes: &str) {
    let next = notes.split("\nNext:\n").nth(1).unwrap_or_else(|| panic!("no next steps: {notes}"));
    let commands: Vec<&str> = next.lines().map(str::trim_start).filter(|line| line.starts_with("kubectl ")).collect();
    assert_eq!(commands.len(), 3, "{next}");
    assert_eq!(next.trim_end().lines().last().map(str::trim_start), commands.last().copied(), "{next}");
}

/// Policies of a release: refused as a whole while their kind is unknown, then made, changed and removed with it.
async fn with_policies(control_plane: &ControlPlane, release: &Release<'_>) {
    let admin = control_plane.kubectl(ADMIN);
    admin.ok(&["delete", "crd", "accessrequests.daypass.dev", "accesspolicies.daypass.dev", "--timeout=60s"]).await;
    let values = binaries::repository().join("charts/daypass/ci/policies-values.yaml").display().to_string();
    let chart = chart();
    let at_once = ["install", "daypass", &chart, "-n", NAMESPACE, "-f", &values];
    let refusal = control_plane.helm_refused(&at_once).await;
    assert!(refusal.contains("AccessPolicy") && refusal.contains("ensure CRDs are installed first"), "{refusal}");
    let left = admin.ok(&["get", "deployments,clusterroles,validatingadmissionpolicies", "-A", "-o", "name"]).await;
    assert!(!left.contains("daypass"), "a refused install left something: {left}");
    control_plane.helm(&[&at_once[..], &["--set", "policies=null", "--rollback-on-failure=false"]].concat()).await;
    release.upgrade(&["-f", &values]).await;
    let names = async || admin.ok(&["get", "accesspolicies", "-o", "name"]).await;
    let policy = |name: &str| format!("accesspolicy.daypass.dev/{name}\n");
    assert_eq!(names().await, ["never-kube-system", "shop-deploy", "shop-view"].map(policy).concat());
    let uid =
        async || admin.ok(&["get", "apol", "shop-view", "-o", "jsonpath={.metadata.uid} {.spec.duration.max}"]).await;
    let before = uid().await;
    release.upgrade(&["-f", &values, "--set", "policies.shop-view.duration.max=2h,policies.shop-deploy=null"]).await;
    // The same object: one that was replaced would have ended what was granted under it.
    assert_eq!(uid().await, before.replace(" 1h", " 2h"));
    assert_eq!(names().await, ["never-kube-system", "shop-view"].map(policy).concat());
    release.uninstall().await;
    assert_eq!(names().await, "");
}

/// A copy of the chart as it was before a field of its policies came.
fn previous_chart(folder: &Path) -> String {
    let previous = folder.join("previous");
    copy(Path::new(&chart()), &previous);
    let edit = |name: &str, change: &dyn Fn(Value) -> Value| {
        let path = previous.join(name);
        let text = std::fs::read_to_string(&path).expect("read the chart");
        let changed = change(serde_saphyr::from_str(&text).expect("YAML"));
        std::fs::write(path, serde_saphyr::to_string(&changed).expect("YAML")).expect("write the chart");
    };
    edit("files/crds/accesspolicies.yaml", &|mut definition| {
        let spec = definition.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec").expect("a spec");
        assert!(spec["properties"].as_object_mut().expect("fields").remove("limits").is_some());
        // Its rules speak of the field.
        spec.as_object_mut().expect("a schema").remove("x-kubernetes-validations");
        definition
    });
    edit("Chart.yaml", &|mut about| {
        about["version"] = json!("0.0.9");
        about
    });
    previous.display().to_string()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("make a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("copy a file");
        }
    }
}

async fn keeps_what_is_stored(control_plane: Arc<ControlPlane>) {
    let admin = control_plane.kubectl(ADMIN);
    let (previous, current) =
        (Release::of(&control_plane, previous_chart(control_plane.dir())), Release::of(&control_plane, chart()));
    previous.install(&[]).await;
    admin.until_established().await;
    cast::give_rights(&admin).await;
    control_plane.run_webhook().await;
    cast::until_stamped(&control_plane.kubectl(crate::harness::users::MALLORY)).await;
    let mut limited = cast::policy("stored", "default");
    limited["spec"]["limits"] = json!({ "liveGrants": 1 });
    let gitops = control_plane.kubectl(GITOPS);
    let refusal = gitops.apply_refused(&limited.to_string()).await;
    assert!(refusal.contains("unknown field \"spec.limits\""), "{refusal}");
    gitops.apply(&cast::policy("stored", "default").to_string()).await;
    admin.apply(&cast::request("default", "stored", json!({ "duration": "1h" })).to_string()).await;
    let printed =
        json!({ "status": { "reviews": { "admin": { "verdict": "Deny", "comment": "a trial" } } } }).to_string();
    admin.ok(&["patch", "areq", "stored", "--subresource=status", "--type=merge", "-p", &printed]).await;
    let stored = async || {
        let objects = admin.ok(&["get", "areq/stored", "apol/stored", "-n", "default", "-o", "json"]).await;
        let mut objects: Value = serde_json::from_str(&objects).expect("JSON");
        objects["items"].take()
    };
    let before = stored().await;
    assert_eq!(before[0]["status"]["reviews"]["admin"]["uid"], "u-admin");

    current.is_accepted(&[]).await;
    current.upgrade(&[]).await;
    assert_eq!(stored().await, before, "an upgrade changes nothing that is stored");
    // The new field is known now, by a moment after the definition was changed.
    eventually("a new field is served", SOON, async || {
        let answer = gitops.run_with(&["apply", "-f", "-"], &limited.to_string()).await;
        if answer.ok { Ok(()) } else { Err(answer.stderr) }
    })
    .await;
    let after = stored().await;
    assert_eq!(after[1]["spec"]["limits"], limited["spec"]["limits"]);
    assert_eq!((&after[1]["metadata"]["uid"], &after[0]), (&before[1]["metadata"]["uid"], &before[0]));

    current.uninstall().await;
    assert_eq!(stored().await, after, "an uninstall keeps the record");
    current.install(&[]).await;
    assert_eq!(stored().await, after);
}

/// Two replicas start before their kinds are served, and before anybody could try a guard.
async fn fresh_install(control_plane: Arc<ControlPlane>) {
    let release = Release::of(&control_plane, chart());
    release.install(&["--set", "crds.install=false"]).await;
    let token = Controller::token(&control_plane).await;
    let kubeconfig = control_plane.kubeconfig_for_token("service-account-daypass", &token);
    let log = |name: &str| std::fs::read_to_string(control_plane.dir().join(format!("{name}.log"))).unwrap_or_default();
    let names = ["one", "two"];
    let definitions = async {
        for name in names {
            eventually("a kind is not served yet", SOON, async || {
                let of_kind = |line: &str| line.contains(r#""kind":"accessrequests""#) && line.contains(r#""error":"#);
                let met = log(name).lines().any(of_kind);
                if met { Ok(()) } else { Err(log(name)) }
            })
            .await;
        }
        let crds = binaries::repository().join("crds").display().to_string();
        control_plane.kubectl(ADMIN).ok(&["apply", "--server-side", "-f", &crds]).await;
    };
    let start = |name: &'static str| Controller::start_as(&control_plane, name, &kubeconfig, &[]);
    let (_one, _two, ()) = tokio::join!(start(names[0]), start(names[1]), definitions);
    for name in names {
        let log = log(name);
        assert!(log.contains(r#""gaps":0"#), "{name}: {log}");
        // Nobody shall be given what the canary asks for; its denial is no news.
        let lines = log.lines().filter(|line| !line.contains("daypass-system/daypass-canary"));
        let warnings: Vec<&str> =
            lines.filter(|line| line.contains(r#""WARN""#) || line.contains(r#""ERROR""#)).collect();
        assert!(warnings.is_empty(), "{name}: {}", warnings.join("\n"));
    }
}

/// What `helm test` runs in a pod, run here: the controller's answer is its own.
async fn a_test_asks_the_controller(control_plane: Arc<ControlPlane>) {
    let release = Release::of(&control_plane, chart());
    release.install(&[]).await;
    let admin = control_plane.kubectl(ADMIN);
    let rendered = render(&control_plane, &[]).await;
    let pod = find(&rendered, "Pod", "-test-ready").expect("the pod of helm test");
    assert_eq!(pod["metadata"]["annotations"]["helm.sh/hook"], "test");
    let args: Vec<&str> =
        pod["spec"]["containers"][0]["args"].as_array().unwrap().iter().flat_map(Value::as_str).collect();
    let controller = Controller::start(&control_plane).await;
    let here = format!("127.0.0.1:{}", controller.port());
    let check = async || {
        let args =
            args.iter().map(|arg| arg.replace("daypass-metrics.daypass-system:8080", &here).replace("=60", "=1"));
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_daypass")).args(args).output().await;
        let output = output.expect("run the check");
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    assert_eq!(check().await, (true, "ok: leads\n".to_owned()));
    admin.ok(&["delete", "validatingadmissionpolicybinding", "daypass-status-guard"]).await;
    eventually("the check says which guard is missing", SOON, async || match check().await {
        (false, printed) if printed.contains("answers 503") && printed.contains("guard") => Ok(()),
        (_, printed) => Err(printed),
    })
    .await;
}
