//! `make upgrade-check FROM=COMMIT`: an earlier version with its own chart and program, upgraded to this one by Helm and
//! rolled back, while requests wait, are scheduled and run. Nothing is lost and nothing denied, either way. In between it is
//! given an archive, which receives what the earlier version decided too.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use daypass::api::State;
use serde_json::{Value, json};

use crate::harness::archive::RunningArchive;
use crate::harness::cast::{self, SOON};
use crate::harness::install::NAMESPACE;
use crate::harness::users::{ADMIN, ALICE, BOB, CAROL, MALLORY};
use crate::harness::wait::now_plus_seconds;
use crate::harness::{Cluster, ControlPlane, Controller, binaries, eventually, trial};

const LIMIT: Duration = Duration::from_secs(300);
/// Where people work.
const PLACE: &str = "shop";
/// The release of the earlier version with policies, behind the one with its definitions.
const OF_FORMER: &str = "2";
/// The policies, as they stand in the chart's values.
const POLICIES: [&str; 2] = ["shop-view", "shop-edit"];

/// Upgrades from the version in this folder, which was built there; fails by a panic.
pub fn run(former: Option<String>) -> ExitCode {
    let Some(former) = former else {
        eprintln!("from which version? `make upgrade-check FROM=COMMIT` knows");
        return ExitCode::FAILURE;
    };
    let checked = async { tokio::time::timeout(LIMIT, there_and_back(Path::new(&former))).await };
    trial::runtime().block_on(checked).expect("an end in time");
    println!("upgraded and rolled back: nothing was lost and nothing denied");
    ExitCode::SUCCESS
}

async fn there_and_back(former: &Path) {
    let control_plane = Arc::new(ControlPlane::start().await);
    let admin = control_plane.kubectl(ADMIN);
    let values = values(control_plane.dir());
    let chart = |folder: &Path| folder.join("charts/daypass").display().to_string();
    let release = ["-n", NAMESPACE, "--create-namespace"];
    let upgrade = async |chart: &str, more: &[&str]| {
        let args = [&["upgrade", "daypass", chart, "-f", &values], &release[..], more].concat();
        control_plane.helm(&args).await
    };
    admin.apply_namespace(PLACE).await;
    // The definitions first: Helm knows no policy before.
    control_plane.helm(&[&["install", "daypass", &chart(former)], &release[..]].concat()).await;
    admin.until_established().await;
    upgrade(&chart(former), &[]).await;
    cast::give_rights(&admin).await;
    control_plane.run_webhook().await;
    cast::until_stamped(&control_plane.kubectl(MALLORY)).await;
    let token = Controller::token(&control_plane).await;
    let kubeconfig = control_plane.kubeconfig_for_token("service-account-daypass", &token);
    let program = former.join("target/debug/daypass");
    let controller = Controller::start_program(&program, &control_plane, "controller", &kubeconfig, &[]).await;
    let mut cluster = Cluster { controller, control_plane: control_plane.clone() };

    ask_for_one_of_each(&cluster, "before").await;
    let before = stored(&cluster).await;
    println!("the former version runs; upgrading");
    cluster.controller.terminate().await;
    upgrade(&chart(binaries::repository()), &[]).await;
    cluster.controller.become_program(&Controller::program(), &control_plane).await;
    cluster.controller.restart().await;
    is_as_before(&cluster, &before).await;
    go_on(&cluster, "before").await;

    println!("this version runs; giving it an archive");
    cluster.controller.terminate().await;
    upgrade(&chart(binaries::repository()), &["--set", "archive.enabled=true"]).await;
    let archive = RunningArchive::start(&control_plane).await;
    let flags = archive.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    cluster.controller = Controller::start_as(&control_plane, "recorded", &kubeconfig, &flags).await;
    is_held(&cluster, &["pending", "scheduled", "running", "over"].map(|what| format!("{what}-before"))).await;

    ask_for_one_of_each(&cluster, "after").await;
    let before = stored(&cluster).await;
    println!("this version runs; rolling back");
    cluster.controller.terminate().await;
    control_plane.helm(&["rollback", "daypass", OF_FORMER, "-n", NAMESPACE]).await;
    cluster.controller = Controller::start_program(&program, &control_plane, "former", &kubeconfig, &[]).await;
    is_as_before(&cluster, &before).await;
    go_on(&cluster, "after").await;
}

/// The chart's values, with policies: one for which nobody is asked, and one that takes two approvals.
fn values(folder: &Path) -> String {
    let policy = |role: &str, more: Value| {
        let mut spec = json!({
            "effect": "Allow", "requesters": [{ "kind": "Group", "name": "dev" }], "roles": [{ "name": role }],
            "scope": { "namespaces": [PLACE] }, "duration": { "default": "1h", "max": "4h" }
        });
        spec.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        spec
    };
    let leads = json!({ "name": "leads", "required": 2, "approvers": [{ "kind": "Group", "name": "approvers" }] });
    let policies = json!({
        POLICIES[0]: policy("view", json!({})),
        POLICIES[1]: policy("edit", json!({ "approval": { "stages": [leads] } }))
    });
    let file: PathBuf = folder.join("values.json");
    std::fs::write(&file, json!({ "policies": policies }).to_string()).expect("write the values");
    file.display().to_string()
}

/// A request that waits for a second approval, one whose start lies ahead, one that runs, and one that is over.
async fn ask_for_one_of_each(cluster: &Cluster, when: &str) {
    let name = |what: &str| format!("{what}-{when}");
    cluster.ask(ALICE, PLACE, &name("pending"), json!({ "role": { "name": "edit" } })).await;
    cluster.until_reason(PLACE, &name("pending"), "Approved", "ApprovalNeeded").await;
    cluster.review(BOB, PLACE, &name("pending"), "Approve", "").await;
    let requests = cluster.requests(PLACE).await;
    eventually("one approval counts", SOON, async || {
        let request = requests.get(&name("pending")).await.map_err(|error| error.to_string())?;
        let counted = request.status.and_then(|status| status.stage).map(|stage| stage.approved);
        if counted == Some(1) { Ok(()) } else { Err(format!("{counted:?} do")) }
    })
    .await;
    let start = now_plus_seconds(3600);
    let view = json!({ "name": "view" });
    cluster.ask(ALICE, PLACE, &name("scheduled"), json!({ "role": view, "startTime": start })).await;
    cluster.until(PLACE, &name("scheduled"), State::Scheduled).await;
    for what in ["running", "over"] {
        cluster.ask(ALICE, PLACE, &name(what), json!({ "role": view })).await;
        cluster.until(PLACE, &name(what), State::Active).await;
    }
    cluster.review(ALICE, PLACE, &name("over"), "Revoke", "").await;
    cluster.until(PLACE, &name("over"), State::Revoked).await;
}

/// What must not change: the state, the end and the bindings of every request, and what was said.
async fn stored(cluster: &Cluster) -> Vec<Value> {
    let listed = cluster.requests(PLACE).await.list(&Default::default()).await.expect("list requests");
    let facts = listed.items.into_iter().map(|request| {
        let status = request.status.unwrap_or_default();
        let reviewers: Vec<String> = status.reviews.keys().cloned().collect();
        json!({
            "name": request.metadata.name, "state": status.state, "granted": status.granted_at, "end": status.expires_at,
            "bindings": status.bindings, "reviewers": reviewers, "policy": status.policy.map(|policy| policy.uid)
        })
    });
    facts.collect()
}

/// The controller has looked at everything, and found nothing to change.
async fn is_as_before(cluster: &Cluster, before: &[Value]) {
    for policy in POLICIES {
        eventually(&format!("{policy} is ready"), SOON, async || {
            let path = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
            let ready = cluster.kubectl(ADMIN).ok(&["get", "apol", policy, "-o", path]).await;
            if ready == "True" { Ok(()) } else { Err(ready) }
        })
        .await;
    }
    // What is asked for now is decided after what was there before.
    cluster.ask(ALICE, PLACE, "probe", json!({ "role": { "name": "view" }, "duration": "1m" })).await;
    cluster.until(PLACE, "probe", State::Active).await;
    cluster.review(ALICE, PLACE, "probe", "Revoke", "").await;
    cluster.until(PLACE, "probe", State::Revoked).await;
    cluster.kubectl(ADMIN).ok(&["delete", "areq", "probe", "-n", PLACE]).await;
    let now = stored(cluster).await;
    assert_eq!(now, before, "the upgrade changes nothing that is stored");
    assert_eq!(cluster.our_bindings(PLACE).await.len(), before.iter().filter(|it| it["state"] == "Active").count());
}

/// The archive has the whole history of these requests, and of those that are over it is noted.
async fn is_held(cluster: &Cluster, names: &[String]) {
    let requests = cluster.requests(PLACE).await;
    let path = format!("/apis/archive.daypass.dev/v1/namespaces/{PLACE}/records?limit=500");
    eventually("what is stored is held", SOON, async || {
        let held = cluster.kubectl(ADMIN).ok(&["get", "--raw", &path]).await;
        let held: Value = serde_json::from_str(&held).map_err(|error| error.to_string())?;
        for name in names {
            let status = requests.get(name).await.map_err(|error| error.to_string())?.status.unwrap_or_default();
            let items = held["items"].as_array().into_iter().flatten();
            let there = items.filter(|item| item["record"]["request"]["name"] == name.as_str()).count();
            // The request itself is its first record.
            let noted =
                !status.state.is_final() || usize::try_from(status.recorded.unwrap_or(-1)) == Ok(status.history.len());
            if there != status.history.len() + 1 || !noted {
                return Err(format!("{name}: {there} of {} and one, noted: {noted}", status.history.len()));
            }
        }
        Ok(())
    })
    .await;
}

/// What was asked for before goes on as if nothing had been.
async fn go_on(cluster: &Cluster, when: &str) {
    cluster.review(CAROL, PLACE, &format!("pending-{when}"), "Approve", "").await;
    cluster.until(PLACE, &format!("pending-{when}"), State::Active).await;
    cluster.review(ALICE, PLACE, &format!("running-{when}"), "Revoke", "").await;
    cluster.until(PLACE, &format!("running-{when}"), State::Revoked).await;
}
