//! `request -f` and `--every`: requests from manifests, and windows that come back.

use std::sync::Arc;

use daypass::api::State;
use k8s_openapi::jiff::Zoned;
use k8s_openapi::jiff::tz::TimeZone;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::request::stages;
use crate::harness::plugin::Plugin;
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::users::GRETA;
use crate::harness::wait::now;
use crate::harness::{Cluster, ControlPlane, alone, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("plugin::manifest::asks_for_all_that_a_file_asks_for", several),
        shared("plugin::manifest::refuses_what_contradicts_the_file", wrong),
        shared("plugin::manifest::asks_for_windows_that_come_back", weekly),
        shared("plugin::manifest::waits_for_no_window_that_opens_later", later),
        alone("plugin::manifest::writes_who_asks_where_the_cluster_does_not", AUDIT_POLICY, not_stamped),
    ]
}

fn manifest(name: &str, spec: Value) -> String {
    let mut request = json!({
        "apiVersion": "daypass.dev/v1alpha1", "kind": "AccessRequest", "metadata": {},
        "spec": { "role": { "name": "edit" }, "reason": "a trial" }
    });
    let field = if name.ends_with('-') { "generateName" } else { "name" };
    request["metadata"][field] = json!(name);
    for (field, value) in spec.as_object().unwrap() {
        request["spec"][field] = value.clone();
    }
    request.to_string()
}

async fn several(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("files").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let mut asks = stages();
    asks["roles"] = json!([{ "name": "view" }]);
    cluster.allow(&format!("{namespace}-asks"), &namespace, asks).await;
    let greta = Plugin::of(&cluster, GRETA);
    let view = manifest("look", json!({ "role": { "name": "view" } }));
    let text = [manifest("fix", json!({})), manifest("edit-", json!({ "duration": "8h" })), view].join("\n---\n");
    let args = ["request", "-f", "-", "-n", &namespace, "--timeout=8s"];
    let (code, out, err) = greta.fed(&args, &text).await;
    assert_eq!(code, Some(3), "{out}{err}");
    let parts = [
        "fix:\ngranted at once for 1h: policy ".to_owned(),
        format!("request {namespace}/fix is made\n"),
        "edit-:\nwould be denied".to_owned(),
        "look:\nneeds one of Group/approvers (stage leads)".to_owned(),
        format!("{namespace}/fix: granted until "),
    ];
    for part in parts {
        assert!(out.contains(&part), "{part}: {out}{err}");
    }
    assert!(err.contains(&format!("to come back: kubectl daypass show look -n {namespace}")), "{err}");
    let made = cluster.requests(&namespace).await.list(&Default::default()).await.unwrap().items;
    assert_eq!(made.len(), 2);
    // For programs it is a List, and a name that is taken keeps no other back.
    let text = [manifest("fix", json!({})), manifest("edit-", json!({}))].join("\n---\n");
    let (code, out, err) = greta.fed(&["request", "-f", "-", "-n", &namespace, "-o", "json"], &text).await;
    assert!(code == Some(1) && err.contains("already exists: give it another name"), "{code:?} {out}{err}");
    let list: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&list["kind"], list["items"].as_array().unwrap().len()), (&json!("List"), 1));
    assert!(list["items"][0]["metadata"]["name"].as_str().unwrap().starts_with("edit-"), "{list}");
}

async fn wrong(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("wrong").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let greta = Plugin::of(&cluster, GRETA);
    let ends = async |more: &[&str], text: &str| {
        let args = [&["request", "-f", "-", "-n", &namespace][..], more].concat();
        let (code, out, err) = greta.fed(&args, text).await;
        assert_eq!(code, Some(2), "{out}{err}");
        err
    };
    let plain = manifest("fix", json!({}));
    for more in
        [&["edit"][..], &["--for=1h"], &["--reason=x"], &["--rule=get:pods"], &["--cluster-wide"], &["--from-error"]]
    {
        assert!(ends(more, &plain).await.contains("cannot be used with"), "{more:?}");
    }
    let mallory = manifest("fix", json!({ "requester": { "username": "mallory" } }));
    assert!(ends(&[], &mallory).await.contains("spec.requester of fix is mallory, and you are greta: leave it out"));
    assert!(ends(&[], "").await.contains("there is no AccessRequest in this file"));
    let elsewhere = plain.replace(r#""metadata":{"#, r#""metadata":{"namespace":"bank","#);
    assert!(ends(&[], &elsewhere).await.contains("is for namespace bank"));
    assert!(ends(&[], &manifest("fix", json!({ "duration": 7 }))).await.contains("spec.duration"));
    assert_eq!(cluster.requests(&namespace).await.list(&Default::default()).await.unwrap().items.len(), 0);
}

async fn weekly(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("weekly").await;
    let spec = json!({ "recurrence": { "weeks": 4 }, "duration": { "max": "8h" } });
    cluster.allow(&namespace, &namespace, spec).await;
    let greta = Plugin::of(&cluster, GRETA);
    let n = &namespace;
    let asks = |windows: &'static str, weeks: &'static str| {
        ["request", "edit", "-n", n, "--reason=x", "--every", windows, "--weeks", weeks, "--dry-run"]
    };
    let yaml =
        greta.ends(&[&asks("Mon-Wed,Fri 02:00-04:00 Europe/Berlin", "4")[..], &["-o", "json"]].concat(), 0).await;
    let json: Value = serde_json::from_str(&yaml.0).unwrap();
    assert_eq!(
        json["spec"]["recurrence"],
        json!({
            "timeZone": "Europe/Berlin", "weeks": 4,
            "windows": [{ "days": ["Mon", "Tue", "Wed", "Fri"], "start": "02:00", "end": "04:00" }]
        })
    );
    let (out, err) = greta.ends(&asks("Mon-Fri 02:00-04:00 Europe/Berlin", "2"), 0).await;
    let granted = format!("granted at once for Mon-Fri 02:00-04:00 Europe/Berlin: policy {n} allows it\n");
    assert!(out.starts_with(&granted), "{out}{err}");
    let (out, err) = greta.ends(&asks("Tue 02:00-04:00 UTC", "9"), 3).await;
    let nearest =
        format!("    kubectl daypass request edit -n {n} --every 'Tue 02:00-04:00 UTC' --weeks 4 --reason x\n");
    assert!(out.ends_with(&nearest), "{out}{err}");
    for (windows, why) in
        [("Mon 02:00-04:00", "days and hours"), ("Mon 2-4 UTC", "HH:MM"), ("Mon 02:00-04:00 Mars/X", "Mars/X")]
    {
        let (_, err) = greta.ends(&asks(windows, "1"), 2).await;
        assert!(err.contains(why) && err.contains("such as 'Mon-Fri 09:00-17:00 Europe/Berlin'"), "{windows}: {err}");
    }
}

async fn later(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("later").await;
    cluster.allow(&namespace, &namespace, json!({ "recurrence": { "weeks": 4 } })).await;
    // At noon of tomorrow, so that it is not open now.
    let tomorrow = Zoned::new(now(), TimeZone::UTC).tomorrow().unwrap().date();
    let opens = tomorrow.at(12, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap().timestamp();
    let windows = format!("{} 12:00-13:00 UTC", tomorrow.strftime("%a"));
    let asks = ["request", "edit", "-n", &namespace, "--reason=x", "--every", &windows, "--weeks=2"];
    let (out, err) = Plugin::of(&cluster, GRETA).ends(&asks, 0).await;
    let ends = format!("approved: policy {namespace} allows it; access begins at {opens}\n");
    assert!(out.ends_with(&ends), "{out}{err}");
}

async fn not_stamped(control_plane: Arc<ControlPlane>) {
    let cluster = Cluster::with(control_plane, &["identity.stamp=off"]).await;
    let namespace = cluster.namespace("bare").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let args = ["request", "-f", "-", "-n", &namespace];
    let (code, out, err) = Plugin::of(&cluster, GRETA).fed(&args, &manifest("fix", json!({}))).await;
    assert_eq!(code, Some(0), "{out}{err}");
    let who = cluster.until(&namespace, "fix", State::Active).await.spec.requester.unwrap();
    assert_eq!((who.username.as_str(), who.uid.as_deref()), ("greta", Some("u-greta")));
}
