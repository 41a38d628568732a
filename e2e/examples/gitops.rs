//! The GitOps examples: what they name is there, their policies become ready, and their health checks say of real
//! policies what Argo CD and Flux should make of them.
//!
//! Neither tool runs here. Their checks do: the Lua of Argo CD in a Lua of the version that it speaks, with the base
//! library alone, and the CEL of Flux in the interpreter that Daypass has.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use cel::{Context, Env, Value as Cel};
use daypass::api::State;
use mlua::{Lua, LuaOptions, LuaSerdeExt, StdLib};
use serde_json::{Value, json};

use super::{documents, files, of_kind};
use crate::harness::cast::{self, SOON};
use crate::harness::users::{ADMIN, ALICE, GITOPS};
use crate::harness::{Cluster, binaries, eventually};

const POLICIES: &str = "examples/gitops/policies";
const ARGO_CD: &str = "examples/gitops/argocd/argocd-cm.yaml";
const HEALTH_OF_POLICY: &str = "resource.customizations.health.daypass.dev_AccessPolicy";
const HEALTH_OF_APPLICATION: &str = "resource.customizations.health.argoproj.io_Application";
const FLUX: &str = "examples/gitops/flux/sync.yaml";
const RELEASE: &str = "examples/gitops/flux/daypass/release.yaml";

/// Every manifest of the two tools, by path.
fn manifests() -> BTreeMap<String, Vec<Value>> {
    let folders = ["argocd", "argocd/apps", "flux", "flux/daypass"];
    folders.into_iter().flat_map(|folder| files(&format!("examples/gitops/{folder}"))).collect()
}

/// The one document of this kind and name.
fn the(path: &str, kind: &str, name: &str) -> Value {
    let found = documents(path).into_iter().find(|d| d["kind"] == kind && d["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("{path} has no {kind} {name}"))
}

/// Paths lead somewhere, names name something, and the policies come after the chart.
pub fn fit_together() {
    let all: Vec<Value> = manifests().into_values().flatten().collect();
    assert!(all.len() >= 8, "there are {} manifests", all.len());
    for manifest in &all {
        let what = format!("{} {}", manifest["kind"], manifest["metadata"]["name"]);
        let chart = &manifest["spec"]["chart"]["spec"];
        for path in [&manifest["spec"]["path"], &manifest["spec"]["source"]["path"], &chart["chart"]] {
            if let Some(path) = path.as_str() {
                assert!(binaries::repository().join(path).is_dir(), "{what}: {path} is no folder");
            }
        }
        for source in [&manifest["spec"]["sourceRef"], &chart["sourceRef"]].into_iter().filter(|s| s.is_object()) {
            let is_it = |d: &&Value| d["kind"] == source["kind"] && d["metadata"]["name"] == source["name"];
            assert!(all.iter().any(|d| is_it(&d)), "{what}: there is no source {source}");
        }
        for on in manifest["spec"]["dependsOn"].as_array().into_iter().flatten() {
            let is_it = |d: &&Value| d["kind"] == manifest["kind"] && d["metadata"]["name"] == on["name"];
            assert!(all.iter().any(|d| is_it(&d)), "{what}: it depends on {on}, which is not there");
        }
    }
    let wave = |name: &str| -> i64 {
        let path = format!("examples/gitops/argocd/apps/{name}.yaml");
        let application = documents(&path).remove(0);
        let wave = application["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"].as_str();
        wave.and_then(|wave| wave.parse().ok()).unwrap_or_else(|| panic!("{path} has no wave"))
    };
    assert!(wave("daypass") < wave("policies"), "the chart comes first");
    let depends = the(FLUX, "Kustomization", "access-policies")["spec"]["dependsOn"].clone();
    assert_eq!(depends, json!([{ "name": "daypass" }]), "the chart comes first");
    // What both tools sync holds policies and nothing else: they apply all that they find.
    for (path, found) in files(POLICIES) {
        assert!(found.iter().all(|document| document["kind"] == "AccessPolicy"), "{path} holds something else");
    }
}

/// The chart takes the values of both examples.
pub async fn values_fit(cluster: Arc<Cluster>) {
    let application = documents("examples/gitops/argocd/apps/daypass.yaml").remove(0);
    let release = the(RELEASE, "HelmRelease", "daypass");
    let chart = binaries::repository().join("charts/daypass").display().to_string();
    for values in [&application["spec"]["source"]["helm"]["valuesObject"], &release["spec"]["values"]] {
        let file = tempfile::Builder::new().suffix(".json").tempfile().expect("a file");
        std::fs::write(file.path(), values.to_string()).expect("write the values");
        let path = file.path().display().to_string();
        let rendered = cluster.control_plane.helm(&["template", "daypass", &chart, "-f", &path]).await;
        assert!(rendered.contains("registry.example.com/daypass"), "{values}");
    }
}

/// The commands of the workflow, as they stand there.
pub fn checks_pass() {
    let workflow = documents("examples/gitops/github-actions.yaml").remove(0);
    let steps = workflow["jobs"]["policies"]["steps"].as_array().expect("steps");
    let lines: Vec<&str> = steps.iter().filter_map(|step| step["run"].as_str()).collect();
    let ours: Vec<&str> = lines.into_iter().filter_map(|line| line.strip_prefix("kubectl-daypass ")).collect();
    assert_eq!(ours.len(), 2, "{ours:?}");
    for (line, expected) in ours.into_iter().zip([" passed, 0 failed", "3 policies, 0 warnings"]) {
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_kubectl-daypass")));
        command.args(line.split(' ')).current_dir(binaries::repository());
        let output = command.output().expect("run the plugin");
        let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success() && printed.contains(expected), "{line}: {printed}");
    }
}

/// In a cluster of its own: nobody else's access may meet the rule that denies.
pub async fn see_readiness(cluster: Arc<Cluster>) {
    let gitops = cluster.kubectl(GITOPS);
    for policy in files(POLICIES).values().flat_map(|found| of_kind(found, "AccessPolicy")) {
        gitops.apply(&policy.to_string()).await;
        let name = policy["metadata"]["name"].as_str().expect("a name");
        gitops.ok(&["wait", "--for=condition=Ready", "--timeout=30s", "apol", name]).await;
        judged("ready", &object(&cluster, name, "True").await, "Healthy", "current");
    }
    let ready = object(&cluster, "gitops-shop-edit", "True").await;
    let mut untouched = ready.clone();
    untouched.as_object_mut().expect("an object").remove("status");
    judged("without status", &untouched, "Progressing", "inProgress");
    let newer = |object: &Value| {
        let mut newer = object.clone();
        let generation = newer["metadata"]["generation"].as_i64().expect("a generation");
        newer["metadata"]["generation"] = json!(generation + 1);
        newer
    };
    judged("changed since it was ready", &newer(&ready), "Progressing", "inProgress");

    let mut broken = cast::policy("gitops-broken", "nowhere");
    let office = json!([{ "days": ["Mon"], "start": "09:00", "end": "17:00" }]);
    broken["spec"]["schedule"] = json!({ "timeZone": "Europe/Berln", "windows": office });
    gitops.apply(&broken.to_string()).await;
    let broken = object(&cluster, "gitops-broken", "False").await;
    judged("broken", &broken, "Degraded", "failed");
    judged("changed since it was broken", &newer(&broken), "Progressing", "inProgress");
    let (_, why) = argo_cd(HEALTH_OF_POLICY, &broken);
    assert!(why.contains("spec.schedule.timeZone"), "people see what is wrong: {why}");

    let application = json!({ "metadata": {}, "status": { "health": { "status": "Degraded" } } });
    assert_eq!(argo_cd(HEALTH_OF_APPLICATION, &application).0, "Degraded");
    assert_eq!(argo_cd(HEALTH_OF_APPLICATION, &json!({ "metadata": {} })).0, "Progressing");
    prune(&cluster).await;
}

/// What a sync does with a policy that is no longer in Git.
async fn prune(cluster: &Cluster) {
    let namespace = "gitops-shop-web";
    cluster.kubectl(ADMIN).ok(&["create", "namespace", namespace]).await;
    cluster.ask(ALICE, namespace, "look", json!({ "role": { "name": "view" } })).await;
    cluster.until(namespace, "look", State::Active).await;
    cluster.kubectl(GITOPS).ok(&["delete", "apol", "gitops-shop-view"]).await;
    cluster.until(namespace, "look", State::Revoked).await;
    cluster.until_unbound(namespace).await;
}

/// A policy as the API server has it, once its Ready is so.
async fn object(cluster: &Cluster, name: &str, ready: &str) -> Value {
    eventually(&format!("policy {name} says Ready={ready}"), SOON, async || {
        let text = cluster.kubectl(GITOPS).ok(&["get", "apol", name, "-o", "json"]).await;
        let object: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
        let is = conditions.filter(|c| c["type"] == "Ready").any(|c| c["status"] == ready);
        if is { Ok(object) } else { Err(object["status"].to_string()) }
    })
    .await
}

fn judged(what: &str, object: &Value, by_argo_cd: &str, by_flux: &str) {
    let seen = (argo_cd(HEALTH_OF_POLICY, object).0, flux(object));
    assert_eq!(seen, (by_argo_cd.to_owned(), by_flux), "{what}: {object}");
}

/// What the Lua of Argo CD makes of an object: its health, and the words for it.
fn argo_cd(check: &str, object: &Value) -> (String, String) {
    let script = the(ARGO_CD, "ConfigMap", "argocd-cm")["data"][check].as_str().expect("a script").to_owned();
    let lua = Lua::new_with(StdLib::NONE, LuaOptions::default()).expect("start Lua");
    lua.globals().set("obj", lua.to_value(object).expect("an object for Lua")).expect("set it");
    let health: mlua::Table = lua.load(script).eval().expect("run the script");
    (health.get("status").expect("a status"), health.get("message").expect("a message"))
}

/// What the CEL of Flux makes of an object, asked in the order in which Flux asks. One that cannot be evaluated ends
/// the asking, and Flux goes on waiting.
fn flux(object: &Value) -> &'static str {
    let kustomization = the(FLUX, "Kustomization", "access-policies");
    let checks = kustomization["spec"]["healthCheckExprs"].as_array().expect("checks");
    let check = checks.iter().find(|c| c["apiVersion"] == object["apiVersion"] && c["kind"] == object["kind"]);
    let check = check.expect("a check for policies");
    for outcome in ["inProgress", "failed", "current"] {
        match holds(check[outcome].as_str().expect("an expression"), object) {
            Ok(true) => return outcome,
            Ok(false) => {}
            Err(_) => return "inProgress",
        }
    }
    "inProgress"
}

fn holds(expression: &str, object: &Value) -> Result<bool, String> {
    let environment = Arc::new(Env::stdlib());
    let program = environment.compile(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    let mut context = Context::with_env(environment);
    for (name, value) in object.as_object().expect("an object") {
        context.add_variable_from_value(name.as_str(), cel::to_value(value).map_err(|error| error.to_string())?);
    }
    match program.execute(&context) {
        Ok(Cel::Bool(holds)) => Ok(holds),
        Ok(other) => Err(format!("{other:?}")),
        Err(error) => Err(error.to_string()),
    }
}
