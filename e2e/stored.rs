//! What earlier versions stored is read, kept and finished by this one. `stored/VERSION.json` holds objects as that
//! version left them; `cargo test --test e2e -- stored` writes the file of this version, once, when it is tagged.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use daypass::api::{AccessPolicy, AccessRequest, State};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::cast;
use crate::harness::install::Daypass;
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::users::{ADMIN, ALICE, BOB, CAROL, EVE, MALLORY};
use crate::harness::wait::now_plus_seconds;
use crate::harness::{Cluster, ControlPlane, Controller, alone, binaries, eventually, trial};

pub fn trials() -> Vec<Trial> {
    vec![alone("stored::objects_of_every_version_are_read_kept_and_finished", AUDIT_POLICY, of_every_version)]
}

/// Namespace of the requests.
const PLACE: &str = "stored";

/// Every state that a request can be in.
const STATES: [State; 10] = [
    State::Pending,
    State::Scheduled,
    State::Active,
    State::Suspended,
    State::Denied,
    State::Expired,
    State::Revoked,
    State::Extended,
    State::Lapsed,
    State::Failed,
];

fn folder() -> PathBuf {
    binaries::repository().join("e2e/stored")
}

/// Writes what this version stores.
pub fn write() -> ExitCode {
    let objects = trial::runtime().block_on(async {
        let cluster = Cluster::private().await;
        story(&cluster).await;
        objects(&cluster.control_plane).await
    });
    let file = folder().join(concat!(env!("CARGO_PKG_VERSION"), ".json"));
    let text = serde_json::to_string_pretty(&objects).expect("JSON") + "\n";
    std::fs::write(&file, text).expect("write the file");
    println!("{}: {} objects", file.display(), objects.len());
    ExitCode::SUCCESS
}

/// A request in every state, with all that a status can say.
async fn story(cluster: &Cluster) {
    let admin = cluster.kubectl(ADMIN);
    admin.apply_namespace(PLACE).await;
    let approvers = json!([{ "kind": "Group", "name": "approvers" }]);
    let stages = json!([{ "name": "leads", "approvers": approvers, "required": 2, "escalateAfter": "1h", "escalateTo": approvers }]);
    let deployer = json!({ "kind": "Role", "name": "deployer" });
    for (name, spec) in [
        ("plain", json!({ "extension": { "max": "1h", "count": 1 } })),
        ("people", json!({ "approval": { "stages": stages } })),
        ("hurry", json!({ "approval": { "stages": stages, "deadline": "1s" } })),
        ("emergency", json!({ "breakGlass": { "reviewers": approvers, "reviewWithin": "24h" } })),
        ("weekly", json!({ "recurrence": { "weeks": 4 }, "duration": { "max": "24h" } })),
        ("watched", json!({ "roles": [deployer], "onRoleChange": "Suspend" })),
    ] {
        cluster.allow(name, PLACE, spec).await;
    }
    admin.apply(&denies_in_windows().to_string()).await;
    let role = |verb: &str| ["create", "role", "deployer", "-n", PLACE, verb, "--resource=pods"].map(str::to_owned);
    admin.ok(&role("--verb=get").each_ref().map(String::as_str)).await;
    let one = json!([{ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["web-0"] }]);
    let always = json!({ "timeZone": "Etc/UTC", "weeks": 2,
        "windows": [{ "days": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], "start": "00:00", "end": "23:59" }] });
    let scope = json!({ "namespaces": [PLACE] });
    for (name, spec, state) in [
        ("active", json!({ "policy": "plain", "duration": "1h", "ticket": "OPS-1", "scope": scope }), State::Active),
        ("narrow", json!({ "policy": "plain", "rules": one }), State::Active),
        ("scheduled", json!({ "policy": "plain", "startTime": now_plus_seconds(3600) }), State::Scheduled),
        ("expired", json!({ "policy": "plain", "duration": "1s" }), State::Expired),
        ("denied", json!({ "policy": "plain", "role": { "name": "view" } }), State::Denied),
        ("more", json!({ "policy": "plain", "extends": "active", "duration": "30m" }), State::Extended),
        ("pending", json!({ "policy": "people" }), State::Pending),
        ("lapsed", json!({ "policy": "hurry" }), State::Lapsed),
        ("emergency", json!({ "policy": "emergency", "breakGlass": true }), State::Active),
        ("weekly", json!({ "policy": "weekly", "recurrence": always }), State::Active),
        ("watched", json!({ "policy": "watched", "role": deployer }), State::Active),
        ("revoked", json!({ "policy": "people" }), State::Pending),
    ] {
        cluster.ask(ALICE, PLACE, name, spec).await;
        cluster.until(PLACE, name, state).await;
    }
    for (who, name) in [(BOB, "pending"), (BOB, "revoked"), (CAROL, "revoked")] {
        cluster.review(who, PLACE, name, "Approve", "go ahead").await;
    }
    cluster.until(PLACE, "revoked", State::Active).await;
    cluster.review(ALICE, PLACE, "revoked", "Revoke", "done").await;
    cluster.until(PLACE, "revoked", State::Revoked).await;
    cluster.review(CAROL, PLACE, "emergency", "Approve", "the shop was down").await;
    cluster.until_reason(PLACE, "emergency", "Reviewed", "Justified").await;
    failed(cluster).await;
    let more = r#"[{"op":"add","path":"/rules/0/verbs/-","value":"delete"}]"#;
    admin.ok(&["patch", "role", "deployer", "-n", PLACE, "--type=json", "-p", more]).await;
    cluster.until(PLACE, "watched", State::Suspended).await;
}

/// A request whose binding cannot be made: somebody else's has its name.
async fn failed(cluster: &Cluster) {
    cluster.ask(ALICE, PLACE, "failed", json!({ "policy": "plain", "startTime": now_plus_seconds(6) })).await;
    let scheduled = cluster.until(PLACE, "failed", State::Scheduled).await;
    let name = format!("daypass-{}", scheduled.metadata.uid.expect("a UID"));
    let admin = cluster.kubectl(ADMIN);
    admin.ok(&["create", "rolebinding", &name, "-n", PLACE, "--clusterrole=edit", "--user=mallory"]).await;
    cluster.until(PLACE, "failed", State::Failed).await;
}

/// A policy that denies eve in a minute of the week. Versions that did not know windows of a Deny denied her always.
fn denies_in_windows() -> Value {
    let windows = json!([{ "days": ["Sat"], "start": "03:17", "end": "03:18" }]);
    let eve = json!([{ "kind": "User", "name": "eve" }]);
    json!({
        "apiVersion": "daypass.dev/v1alpha1", "kind": "AccessPolicy", "metadata": { "name": "frozen" },
        "spec": {
            "effect": "Deny", "requesters": eve, "scope": { "namespaces": [PLACE] },
            "schedule": { "timeZone": "Etc/UTC", "windows": windows }
        }
    })
}

/// Every policy and request, without what the API server puts there by itself.
async fn objects(control_plane: &ControlPlane) -> Vec<Value> {
    let listed = control_plane.kubectl(ADMIN).ok(&["get", "apol,areq", "-A", "-o", "json"]).await;
    let mut listed: Value = serde_json::from_str(&listed).expect("JSON");
    let mut objects: Vec<Value> = serde_json::from_value(listed["items"].take()).expect("a list");
    objects.retain(|object| object["metadata"]["namespace"].as_str().is_none_or(|namespace| namespace == PLACE));
    for object in &mut objects {
        let metadata = object["metadata"].as_object_mut().expect("metadata");
        metadata.retain(|field, _| ["name", "namespace"].contains(&field.as_str()));
    }
    objects
}

async fn of_every_version(control_plane: Arc<ControlPlane>) {
    let files: Vec<_> = std::fs::read_dir(folder()).expect("the folder").map(|file| file.unwrap().path()).collect();
    assert!(!files.is_empty(), "nothing is stored of any version");
    let (definitions, _) = Daypass::render(&control_plane, &[]).await;
    let admin = control_plane.kubectl(ADMIN);
    admin.apply_namespace(PLACE).await;
    admin.apply_server_side(&definitions).await;
    admin.until_established().await;
    for file in files {
        let text = std::fs::read_to_string(&file).expect("the file");
        let stored: Vec<Value> = serde_json::from_str(&text).expect("JSON");
        are_read(&stored);
        // Without the guards, which let nobody write such a record: as if it had been there before them.
        for object in &stored {
            let what = format!("{}: {object} is accepted", file.display());
            eventually(&what, cast::SOON, async || put(&control_plane, object).await).await;
        }
        assert_eq!(objects(&control_plane).await, stored, "{}: the definitions keep all of it", file.display());
        are_finished(&control_plane, &stored).await;
        admin.ok(&["delete", "areq,apol", "--all", "-A"]).await;
        Daypass::uninstall(&control_plane).await;
    }
}

/// Where the API server has an object.
fn path(object: &Value) -> String {
    let name = object["metadata"]["name"].as_str().expect("a name");
    match object["metadata"]["namespace"].as_str() {
        Some(place) => format!("/apis/daypass.dev/v1alpha1/namespaces/{place}/accessrequests/{name}"),
        None => format!("/apis/daypass.dev/v1alpha1/accesspolicies/{name}"),
    }
}

/// Stores an object with its status.
async fn put(control_plane: &ControlPlane, object: &Value) -> Result<(), String> {
    let admin = control_plane.kubectl(ADMIN);
    let text = object.to_string();
    let done = admin.run_with(&["apply", "--validate=strict", "-f", "-"], &text).await;
    let status = json!({ "status": object["status"] }).to_string();
    let (kind, name) = (object["kind"].as_str().expect("a kind"), object["metadata"]["name"].as_str().expect("a name"));
    let place = object["metadata"]["namespace"].as_str().unwrap_or("default");
    let args = ["patch", kind, name, "-n", place, "--subresource=status", "--type=merge", "-p", &status];
    let recorded = if done.ok { admin.run(&args).await } else { done };
    if recorded.ok { Ok(()) } else { Err(recorded.stderr) }
}

/// Every state is among them, and nothing is lost when one is read and written.
fn are_read(stored: &[Value]) {
    let mut states = BTreeSet::new();
    for object in stored {
        let again = match object["kind"].as_str() {
            Some("AccessPolicy") => json!(serde_json::from_value::<AccessPolicy>(object.clone()).expect("a policy")),
            _ => {
                let request: AccessRequest = serde_json::from_value(object.clone()).expect("a request");
                states.insert(format!("{:?}", request.status.as_ref().expect("a status").state));
                json!(request)
            }
        };
        assert_eq!(&again, object, "nothing is lost");
    }
    assert_eq!(states, STATES.map(|state| format!("{state:?}")).into());
}

/// This version's controller leaves what is over as it is, and ends the rest: its policies are others now, and its
/// bindings are gone. What was on record stays there.
async fn are_finished(control_plane: &ControlPlane, stored: &[Value]) {
    Daypass::install(control_plane, &[]).await;
    cast::give_rights(&control_plane.kubectl(ADMIN)).await;
    cast::until_stamped(&control_plane.kubectl(MALLORY)).await;
    let controller = Controller::start(control_plane).await;
    let is_request = |object: &&Value| object["kind"] == "AccessRequest";
    eventually("all requests are over", cast::SOON, async || {
        let now = objects(control_plane).await;
        let open = |object: &&Value| {
            let request: AccessRequest = serde_json::from_value((*object).clone()).expect("a request");
            !request.is_over()
        };
        let open: Vec<_> = now.iter().filter(is_request).filter(open).map(|r| r["metadata"]["name"].clone()).collect();
        if open.is_empty() { Ok(()) } else { Err(format!("{open:?} are not")) }
    })
    .await;
    windows_count_once_they_are_written_anew(control_plane).await;
    drop(controller);
    let finished = objects(control_plane).await;
    // As when another version of the API is the one that is stored.
    let admin = control_plane.kubectl(ADMIN);
    for object in &finished {
        let path = path(object);
        let as_is = admin.ok(&["get", "--raw", &path]).await;
        let rewritten = admin.run_with(&["replace", "--raw", &path, "-f", "-"], &as_is).await;
        assert!(rewritten.ok, "{}", rewritten.stderr);
    }
    assert_eq!(objects(control_plane).await, finished, "to rewrite all changes nothing");
    for (before, after) in stored.iter().zip(finished).filter(|(before, _)| is_request(before)) {
        let was: AccessRequest = serde_json::from_value(before.clone()).expect("a request");
        if was.is_over() {
            assert_eq!(&after, before, "what is over stays as it is");
        }
        let history = |object: &Value| object["status"]["history"].as_array().cloned().unwrap_or_default();
        assert_eq!(history(&after)[..history(before).len()], history(before), "history is only added to: {after}");
        assert_eq!(after["spec"], before["spec"]);
    }
}

/// What denied always goes on so and says it, whatever people try but to change its spec.
async fn windows_count_once_they_are_written_anew(control_plane: &ControlPlane) {
    let (admin, eve) = (control_plane.kubectl(ADMIN), control_plane.kubectl(EVE));
    let until = async |status: &str| {
        let wanted = format!("--for=condition=ScheduleInForce={status}");
        admin.ok(&["wait", &wanted, "--timeout=30s", "apol", "frozen"]).await;
    };
    let answer = async |name: &str, state: &str| {
        eve.apply(&cast::request(PLACE, name, json!({ "policy": "plain", "duration": "1m" })).to_string()).await;
        let wanted = format!("--for=jsonpath={{.status.state}}={state}");
        admin.ok(&["wait", &wanted, "--timeout=30s", "areq", name, "-n", PLACE]).await;
    };
    until("False").await;
    answer("always", "Denied").await;
    // Applied as it is, or with a mark, it is not written anew. And nobody but Daypass writes what it goes by.
    admin.apply(&denies_in_windows().to_string()).await;
    admin.ok(&["label", "apol", "frozen", "team=shop"]).await;
    for status in
        [r#"{"status":{"scheduleSince":1}}"#, r#"{"status":{"observedGeneration":null,"scheduleSince":null}}"#]
    {
        let patch = ["patch", "apol", "frozen", "--subresource=status", "--type=merge", "-p", status];
        let refused = admin.refused(&patch).await;
        cast::assert_refused_by(&refused, "daypass-policy-status-guard");
    }
    answer("still", "Denied").await;
    until("False").await;
    let choice = r#"{"spec":{"onBreakGlass":"Deny"}}"#;
    admin.ok(&["patch", "apol", "frozen", "--type=merge", "-p", choice]).await;
    until("True").await;
    answer("outside", "Active").await;
    admin.ok(&["label", "apol", "frozen", "team-"]).await;
    admin.ok(&["delete", "areq", "always", "still", "outside", "-n", PLACE]).await;
}
