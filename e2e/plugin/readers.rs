//! What `request` and `explain` promise to somebody who has RoleBindings only, without and with the chart's role for readers.

use std::sync::Arc;

use daypass::api::State;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::draft;
use crate::harness::cast::SOON;
use crate::harness::install::Daypass;
use crate::harness::plugin::{Plugin, only_request};
use crate::harness::users::{ADMIN, ALICE, EVE};
use crate::harness::{Cluster, eventually, private};

pub fn trials() -> Vec<Trial> {
    vec![private("plugin::promises_to_readers_what_the_cluster_does", promises)]
}

/// Until alice may list policies, or may not any more.
async fn until_policies_are_listed(cluster: &Cluster, listed: bool) {
    eventually(&format!("that alice may list policies is {listed}"), SOON, async || {
        let may = cluster.kubectl(ALICE).can_i("list", "accesspolicies.daypass.dev", None).await;
        if may == listed { Ok(()) } else { Err(format!("it is {may}")) }
    })
    .await;
}

async fn promises(cluster: Arc<Cluster>) {
    let (namespace, admin) = (cluster.namespace("reader").await, cluster.kubectl(ADMIN));
    cluster.allow("plain", &namespace, json!({})).await;
    admin.ok(&["delete", "clusterrolebinding", "everybody-may-ask"]).await;
    admin
        .ok(&["create", "rolebinding", "ask", "--clusterrole=daypass-requester", "--group=dev", "-n", &namespace])
        .await;
    until_policies_are_listed(&cluster, false).await;
    let alice = Plugin::of(&cluster, ALICE);
    let asks = ["request", "edit", "--for=20m", "--reason=x", "-n", &namespace];
    let tries = [&asks[..], &["--dry-run"]].concat();
    let out = alice.done(&tries).await;
    let unknown = "what would be decided is not known: you may not list accesspolicies: have an admin add you to \
                   readers.subjects in the values of the chart";
    assert!(out.starts_with(unknown) && !out.contains("granted at once"), "{out}");
    let file = draft(&namespace, json!({ "duration": "20m" }));
    let path = file.path().display().to_string();
    let (_, err) = alice.ends(&["explain", "-f", &path], 1).await;
    assert!(err.contains("you may not list accesspolicies"), "{err}");

    let readers = ["bindableRoles={deployer}", "readers.subjects[0].kind=Group", "readers.subjects[0].name=dev"];
    Daypass::install(&cluster.control_plane, &readers).await;
    until_policies_are_listed(&cluster, true).await;
    assert!(!cluster.kubectl(ALICE).can_i("list", "namespaces", None).await);
    let (out, err) = alice.ends(&asks, 0).await;
    let name = only_request(&cluster, &namespace).await;
    let until = cluster.until(&namespace, &name, State::Active).await.status.unwrap().expires_at.unwrap().0;
    let said = format!(
        "granted at once for 20m: policy plain allows it\nrequest {namespace}/{name} is made\ngranted until {until}, allowed by policy plain\n"
    );
    assert_eq!((out.as_str(), err.contains("note:")), (said.as_str(), false), "{err}");
    let told = alice.done(&["explain", "-f", &path]).await;
    assert!(told.contains("granted at once: policy plain allows it") && !told.contains("note:"), "{told}");
    // A role of the values can be read, and no other.
    assert!(cluster.kubectl(ALICE).can_i("get", "clusterroles/view", None).await);
    assert!(!cluster.kubectl(ALICE).can_i("get", "clusterroles/admin", None).await);
    grants(&cluster, &namespace, &name).await;
    labels(&cluster, &namespace).await;
    limits(&cluster, &namespace).await;
}

/// Who has what is told as far as a namespace goes, with the roles of the values read one by one.
async fn grants(cluster: &Cluster, namespace: &str, name: &str) {
    let eve = Plugin::of(cluster, EVE);
    let (out, err) = eve.ends(&["who", "--can=delete:pods", "-n", namespace, "-o", "json"], 0).await;
    let json: Value = serde_json::from_str(&out).unwrap();
    let row = &json["items"][0];
    assert_eq!((&row["request"]["name"], &row["state"]), (&json!(name), &json!("onRecord")), "{err}");
    assert_eq!(row["roleUnread"], json!(false), "{err}");
    assert!(err.contains("note: you may not list the requests of all namespaces"), "{err}");
    let out = eve.done(&["who", "--can=get:nodes", "-n", namespace, "-o", "name"]).await;
    assert_eq!(out, "");
    eve.ends(&["who", "-A"], 1).await;
}

/// What hangs on labels is promised to whoever may read them.
async fn labels(cluster: &Cluster, namespace: &str) {
    let eve = Plugin::of(cluster, EVE);
    let by_label = json!({ "matchExpressions": [{ "key": "frozen", "operator": "DoesNotExist" }] });
    let scope = json!({ "namespaces": [namespace], "namespaceSelector": by_label });
    cluster.allow("labelled", namespace, json!({ "roles": [{ "name": "view" }], "scope": scope })).await;
    let asks = ["request", "view", "--for=20m", "--reason=x", "-n", namespace, "--dry-run"];
    let (out, err) = eve.ends(&asks, 0).await;
    assert!(out.starts_with("policy labelled would allow it at once, but you do not see all that decides\n"), "{out}");
    assert!(err.contains(&format!("note: you may not read namespace {namespace}")), "{err}");
    // Who may look into the namespace may get it, and still not list all of them.
    let admin = cluster.kubectl(ADMIN);
    admin.ok(&["create", "rolebinding", "look", "--clusterrole=view", "--group=dev", "-n", namespace]).await;
    eventually("eve may get the namespace", SOON, async || {
        let may = cluster.kubectl(EVE).can_i("get", &format!("namespaces/{namespace}"), Some(namespace)).await;
        if may { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    let (out, err) = eve.ends(&asks, 0).await;
    assert!(out.starts_with("granted at once for 20m: policy labelled allows it\n"), "{out}{err}");
    // For the whole cluster the labels of all namespaces count.
    let nowhere = json!([{ "expression": "!('yes' in label('frozen'))", "message": "a namespace is frozen" }]);
    let wide = json!({ "roles": [{ "name": "view" }], "scope": { "cluster": true }, "conditions": nowhere });
    cluster.allow("wide", namespace, wide).await;
    let (out, err) = eve.ends(&[&asks[..], &["--cluster-wide"]].concat(), 0).await;
    assert!(out.starts_with("policy wide would allow it at once, but you do not see all that decides\n"), "{out}");
    assert!(err.contains("note: you may not list namespaces"), "{err}");
}

/// Limits count what other namespaces have too.
async fn limits(cluster: &Cluster, namespace: &str) {
    let few = json!({ "roles": [{ "name": "view" }], "scope": { "cluster": true }, "limits": { "liveGrants": 5 } });
    cluster.allow("few", namespace, few).await;
    let asks = ["request", "view", "--for=20m", "--reason=x", "-n", namespace, "--cluster-wide", "--policy=few"];
    let (out, err) = Plugin::of(cluster, EVE).ends(&[&asks[..], &["--dry-run"]].concat(), 0).await;
    assert!(out.starts_with("policy few would allow it at once, but you do not see all that decides\n"), "{out}{err}");
    assert!(err.contains("note: the requests of all namespaces could not be listed"), "{err}");
}
