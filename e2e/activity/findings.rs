//! What no record explains: made by hand while the controller is away, and in the name of the controller; and standing access
//! that nobody uses.

use daypass::api::State;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use serde_json::{Value, json};

use super::Fed;
use crate::harness::cast::SOON;
use crate::harness::eventually;
use crate::harness::install::{CONTROLLER, NAMESPACE};
use crate::harness::plugin::Plugin;
use crate::harness::users::{ADMIN, ALICE, EVE};
use crate::harness::wait::now_plus_seconds;

const MADE_UP: &str = "0f0e2d1c-3b4a-4958-8776-655443322110";

pub(super) async fn told(fed: Fed) {
    let cluster = fed.cluster();
    let (namespace, admin) = (cluster.namespace("findings").await, cluster.kubectl(ADMIN));
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "1h" })).await;
    let granted = cluster.until(&namespace, "fix", State::Active).await;
    fed.recorded.until_recorded(&namespace, "fix", &["Requested", "Granted"]).await;
    unused(&fed).await;
    cluster.controller.kill();
    // The guards are no part of this.
    admin.ok(&["delete", "validatingadmissionpolicybindings", "--all"]).await;
    let of_fix = format!("daypass-{}", granted.uid().expect("a UID"));
    let made_up = format!("daypass-{MADE_UP}");
    let bind = async |name: &str, who: &str, more: &[&str]| {
        let user = format!("--user={who}");
        let args = [&["create", "rolebinding", name, "--clusterrole=edit", &user][..], more].concat();
        eventually("the guards are gone", SOON, async || {
            let made = admin.run(&args).await;
            if made.ok { Ok(()) } else { Err(made.stderr) }
        })
        .await;
    };
    bind(&made_up, "mallory", &["-n", &namespace]).await;
    bind(&of_fix, "mallory", &["-n", "default"]).await;
    let controller = format!("--as={CONTROLLER}");
    let role = format!("daypass-{MADE_UP}-loan");
    bind(&role, "mallory", &["-n", NAMESPACE, &controller]).await;

    admin.ok(&["delete", "rolebinding", &of_fix, "-n", &namespace]).await;
    let all = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings");
    admin.ok(&["delete", "--raw", &all]).await;

    let found = eventually("five findings", SOON, async || {
        fed.send(&fed.log()).await;
        let found = fed.listed("findings").await;
        if found.len() >= 5 { Ok(found) } else { Err(format!("{found:#?}")) }
    })
    .await;
    let told = |name: &str| -> Vec<&Value> { found.iter().filter(|one| one["name"] == name).collect() };
    for (name, place, why) in [
        (&made_up, namespace.as_str(), "OtherHand"),
        (&of_fix, "default", "OtherHand"),
        (&of_fix, namespace.as_str(), "DeletedByHand"),
    ] {
        let there: Vec<&Value> = told(name).into_iter().filter(|one| one["namespace"] == json!(place)).collect();
        let [one] = there[..] else { panic!("{found:#?}") };
        assert_eq!((&one["why"], &one["user"]), (&json!(why), &json!("admin")), "{one}");
        assert_eq!(one["resource"], "rolebindings", "{one}");
    }
    let [acted] = told(&role)[..] else { panic!("{found:#?}") };
    assert_eq!((&acted["why"], &acted["impersonated"]), (&json!("AsController"), &json!(CONTROLLER)), "{acted}");
    let many: Vec<&Value> = found.iter().filter(|one| one["why"] == "ManyDeleted").collect();
    let [many] = many[..] else { panic!("{found:#?}") };
    assert_eq!((&many["verb"], &many["namespace"]), (&json!("deletecollection"), &json!(namespace)), "{many}");
    let (_, doctor, err) = Plugin::of(cluster, ADMIN).run(&["doctor", "-o", "json"]).await;
    let doctor: Value = serde_json::from_str(&doctor).unwrap_or_else(|error| panic!("{error}: {err}"));
    let of_findings = doctor["findings"].as_array().into_iter().flatten().find(|one| one["object"] == "findings");
    let words = of_findings.map(|one| one["message"].to_string()).unwrap_or_default();
    assert!(words.contains("without a record: 5, "), "{doctor:#}");
    assert_eq!(found.len(), 5, "what the controller did is explained: {found:#?}");
    reported(&fed, &made_up).await;
}

/// The same in the report, in each form of it.
async fn reported(fed: &Fed, made_up: &str) {
    let plugin = Plugin::of(fed.cluster(), ADMIN);
    let report = ["report", "findings", "-A", "--kind=UnexplainedWrite"];
    let form = async |form: &str| plugin.done(&[&report[..], &["-o", form]].concat()).await;
    let json: Value = serde_json::from_str(&form("json").await).expect("JSON");
    let found = json["findings"].as_array().expect("findings");
    assert_eq!((found.len(), &json["unread"]), (5, &json!([])), "{json:#}");
    assert!(found.iter().any(|one| one["about"]["name"] == made_up && one["who"]["name"] == "admin"), "{json:#}");
    let csv = form("csv").await;
    assert_eq!(csv.lines().count(), 6, "{csv}");
    let page = form("html").await;
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains(made_up), "{page}");
    for line in form("ocsf").await.lines() {
        let event: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!((&event["class_uid"], &event["severity"]), (&json!(2004), &json!("High")), "{event}");
        assert!(event["metadata"]["tenant_uid"].is_string(), "{event}");
    }
}

/// Of two who hold the same all the time, one uses it: the other is found, in the report, in the list and in the pack.
async fn unused(fed: &Fed) {
    let (cluster, admin) = (fed.cluster(), fed.cluster().kubectl(ADMIN));
    for who in ["eve", "bob"] {
        let (name, user) = (format!("{who}-edits"), format!("--user={who}"));
        admin.ok(&["create", "clusterrolebinding", &name, "--clusterrole=edit", &user]).await;
    }
    let plugin = Plugin::of(cluster, ADMIN);
    let high = ["report", "findings", "-A", "--kind=UnusedHighRights", "-o", "json"];
    let (_, early, _) = plugin.run(&high).await;
    let early: Value = serde_json::from_str(&early).expect("JSON");
    assert_eq!(early["findings"], json!([]), "nothing is known of ninety days");
    assert_eq!(early["unread"][0]["what"], "when bindings were last used", "{early}");

    fed.until_marked().await;
    fed.send(&fed.log()).await;
    let since = now_plus_seconds(2);
    cluster.kubectl(EVE).ok(&["get", "secrets", "-A"]).await;
    let found = eventually("who did not use it is found", SOON, async || {
        fed.send(&fed.log()).await;
        let (_, out, err) = plugin.run(&[&high[..], &["--since", &since]].concat()).await;
        let report: Value = serde_json::from_str(&out).map_err(|_| err)?;
        let found = report["findings"].as_array().cloned().unwrap_or_default();
        let of = |name: &str| found.iter().any(|one| one["about"]["name"] == name);
        // Until eve's call has arrived, she has not used it either.
        if of("bob-edits") && !of("eve-edits") { Ok(report) } else { Err(report.to_string()) }
    })
    .await;
    assert_eq!(found["unread"], json!([]), "{found}");

    let list: Value = serde_json::from_str(&plugin.done(&["report", "standing", "-A", "-o", "json"]).await).unwrap();
    let all = list["parts"].as_array().expect("parts").last().expect("a part")["rows"].clone();
    let last = |who: &str| {
        let binding = json!(format!("ClusterRoleBinding/{who}-edits"));
        let row = all.as_array().expect("rows").iter().find(|row| row["binding"] == binding);
        row.expect("its row")["lastUsed"].as_str().expect("a text").to_owned()
    };
    assert!(last("eve").parse::<Timestamp>().is_ok() && last("bob").is_empty(), "{list:#}");

    let folder = tempfile::tempdir().expect("a folder");
    let pack = folder.path().join("pack");
    plugin.done(&["report", "pack", "--from", "1h", "--file", &pack.display().to_string()]).await;
    let table = std::fs::read_to_string(pack.join("standing.csv")).expect("the table");
    let row =
        |who: &str| table.lines().find(|line| line.contains(&format!("{who}-edits"))).expect("its row").to_owned();
    let cells = |who: &str| -> Vec<bool> { row(who).split(',').rev().take(2).map(str::is_empty).collect() };
    assert_eq!((cells("eve"), cells("bob")), (vec![false, false], vec![false, true]), "{table}");
}
