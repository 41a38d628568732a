//! What is said of calls: which grant each is tied to, which others it is told beside of, and how it went.

use daypass::api::State;
use daypass::api::request::AccessRequest;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::WatchParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::{Fed, number, rows};
use crate::harness::plugin::Plugin;
use crate::harness::users::{ADMIN, ALICE, EVE};

/// A node that has no kubelet, and a pod on it.
const POD: &str = r#"
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: NAMESPACE}
spec:
  nodeName: n1
  automountServiceAccountToken: false
  containers: [{name: app, image: app}]
"#;
const NODE: &str = r#"
apiVersion: v1
kind: Node
metadata: {name: n1}
"#;
const NODE_STATUS: &str = r#"{"status": {
  "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
  "daemonEndpoints": {"kubeletEndpoint": {"Port": 9}}
}}"#;

impl Fed {
    /// A grant that runs, once the archive knows of it.
    pub async fn granted(&self, namespace: &str, name: &str) -> AccessRequest {
        let granted = self.cluster().until(namespace, name, State::Active).await;
        self.recorded.until_recorded(namespace, name, &["Requested", "Granted"]).await;
        granted
    }
}

pub(super) async fn tied(fed: Fed) {
    let cluster = fed.cluster();
    let (namespace, admin) = (cluster.namespace("activity").await, cluster.kubectl(ADMIN));
    cluster.allow(&namespace, &namespace, json!({})).await;
    let wide = format!("{namespace}-wide");
    cluster.allow(&wide, &namespace, json!({ "roles": [{ "name": "view" }], "scope": { "cluster": true } })).await;
    for name in ["web", "db"] {
        admin.ok(&["create", "configmap", name, "-n", &namespace]).await;
    }
    // Standing access of eve's, which RBAC names before any grant in a namespace.
    admin.ok(&["create", "clusterrolebinding", "eve-views", "--clusterrole=view", "--user=eve"]).await;
    let narrow =
        json!([{ "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["web"], "verbs": ["get"] }]);
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "1h" })).await;
    cluster.ask(ALICE, &namespace, "narrow", json!({ "duration": "1h", "rules": narrow })).await;
    cluster.ask(EVE, &namespace, "eves", json!({ "duration": "1h" })).await;
    let fix = fed.granted(&namespace, "fix").await;
    let narrow = fed.granted(&namespace, "narrow").await;
    let eves = fed.granted(&namespace, "eves").await;
    // The archive reads records when events come.
    fed.send(&[]).await;

    let (alice, eve) = (cluster.kubectl(ALICE), cluster.kubectl(EVE));
    for _ in 0..3 {
        alice.ok(&["get", "configmap", "web", "-n", &namespace]).await;
    }
    alice.ok(&["get", "configmap", "db", "-n", &namespace]).await;
    alice.ok(&["create", "configmap", "new", "-n", &namespace]).await;
    alice.refused(&["create", "configmap", "new", "-n", &namespace]).await;
    for _ in 0..2 {
        eve.ok(&["get", "configmaps", "-n", &namespace]).await;
    }

    let are_told = |found: &Value| maps(found, false) + maps(found, true) == 6;
    let of_fix = fed.until(&fix, "alice's calls are told", are_told).await;
    let of_narrow = fed.until(&narrow, "alice's calls are told", |found| !found.is_null()).await;
    assert_eq!(of_fix["known"], "Used", "{of_fix}");
    // Which of both allows what both would, RBAC chooses; each is told of what the other allowed.
    assert_eq!(maps(&of_fix, false) + maps(&of_narrow, false), 6, "{of_fix}\n{of_narrow}");
    assert_eq!(maps(&of_narrow, false) + maps(&of_narrow, true), 3, "{of_narrow}");
    assert_eq!(maps(&of_fix, true), maps(&of_narrow, false), "{of_fix}\n{of_narrow}");
    assert!(maps(&of_fix, false) >= 3 && number(&of_fix, "refused") == 1, "{of_fix}");
    let word = if number(&of_narrow, "calls") > 0 { "Used" } else { "Unknown" };
    assert_eq!(of_narrow["known"], word, "{of_narrow}");
    for (found, other) in [(&of_fix, &narrow), (&of_narrow, &fix)] {
        let beside: Vec<&Value> =
            rows(found, "configmaps").into_iter().filter(|row| !row["instead"].is_null()).collect();
        assert!(beside.iter().all(|row| row["instead"]["request"] == json!(other.uid())), "{found}");
    }

    let of_eve = fed.until(&eves, "eve's calls are told", |found| number(found, "standing") >= 2).await;
    // No API server says here that there is one: that it was not needed would have to be proven.
    assert_eq!((&of_eve["known"], number(&of_eve, "calls")), (&json!("Unknown"), 0), "{of_eve}");
    assert_eq!(rows(&of_eve, "configmaps")[0]["instead"]["by"], "ClusterRoleBinding eve-views", "{of_eve}");

    shadowed(&fed, &namespace, &fix).await;
    orders_and_doubles(&fed, &fix).await;
}

/// How many calls about ConfigMaps a grant allowed; or how many something else did that it would have allowed too.
fn maps(found: &Value, beside: bool) -> u64 {
    let rows = rows(found, "configmaps");
    rows.iter().filter(|row| row["instead"].is_null() != beside).map(|row| number(row, "calls")).sum()
}

/// A grant in the whole cluster is named before one in a namespace, of which nothing more is said than that it may not have
/// been needed.
async fn shadowed(fed: &Fed, namespace: &str, fix: &AccessRequest) {
    let cluster = fed.cluster();
    let wide = json!({ "duration": "1h", "role": { "name": "view" }, "scope": { "cluster": true } });
    cluster.ask(ALICE, namespace, "wide", wide).await;
    let wide = fed.granted(namespace, "wide").await;
    fed.send(&[]).await;
    for _ in 0..2 {
        cluster.kubectl(ALICE).ok(&["get", "services", "-n", namespace]).await;
    }
    let of_wide = fed.until(&wide, "the calls are told", |found| number(found, "calls") >= 2).await;
    assert_eq!(rows(&of_wide, "services")[0]["calls"], 2, "{of_wide}");
    let of_fix = fed.until(fix, "they are told beside", |found| !rows(found, "services").is_empty()).await;
    let [row] = rows(&of_fix, "services")[..] else { panic!("{of_fix}") };
    assert_eq!((&row["calls"], &row["instead"]["request"]), (&json!(2), &json!(wide.uid())), "{of_fix}");
}

/// All of it once more, and backwards.
async fn orders_and_doubles(fed: &Fed, fix: &AccessRequest) {
    let before = (fed.until(fix, "it is told", |_| true).await, fed.known(fix).await);
    let mut log = fed.log();
    log.retain(|event| event["user"]["username"] == "alice");
    fed.send(&log).await;
    log.reverse();
    for events in log.chunks(7) {
        fed.send(events).await;
    }
    let after = (fed.until(fix, "it is told", |_| true).await, fed.known(fix).await);
    assert_eq!(before, after);
    assert_eq!(before.0["calls"], before.1["calls"]);
}

pub(super) async fn reaching(fed: Fed) {
    let cluster = fed.cluster();
    let (namespace, admin) = (cluster.namespace("reaching").await, cluster.kubectl(ADMIN));
    cluster.allow(&namespace, &namespace, json!({})).await;
    admin.apply(NODE).await;
    admin.ok(&["patch", "node", "n1", "--subresource=status", "--type=merge", "-p", NODE_STATUS]).await;
    admin.apply(&POD.replace("NAMESPACE", &namespace)).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "1h" })).await;
    let fix = fed.granted(&namespace, "fix").await;
    let alice = cluster.kubectl(ALICE);
    // There is no kubelet, so none of these comes to anything; the API server has let them through all the same.
    alice.run(&["exec", "web", "-n", &namespace, "--", "psql", "-psecret"]).await;
    let at = format!("/api/v1/namespaces/{namespace}/pods/web");
    let exec = format!("{at}/exec?command=psql&command=-psecret&stdout=true");
    alice.run_with(&["create", "--raw", &exec, "-f", "-"], "{}").await;
    let forward = format!("{at}/portforward?ports=8080");
    alice.run_with(&["create", "--raw", &forward, "-f", "-"], "{}").await;
    admin.ok(&["get", "secrets", "-n", &namespace, "--as=alice"]).await;

    let watched: Api<ConfigMap> = Api::namespaced(cluster.client(ALICE).await, &namespace);
    let mut watch = watched.watch(&WatchParams::default().timeout(290), "0").await.expect("a watch").boxed();
    admin.ok(&["create", "configmap", "seen", "-n", &namespace]).await;
    watch.try_next().await.expect("no error");
    let told = |found: &Value, resource: &str| !rows(found, resource).is_empty();
    let open = fed.until(&fix, "the watch is open", |found| number(found, "open") == 1 && told(found, "secrets")).await;
    drop(watch);
    let closed = fed.until(&fix, "the watch is over", |found| number(found, "open") == 0).await;
    let watches = |found: &Value| rows(found, "configmaps").iter().map(|row| number(row, "calls")).sum::<u64>();
    assert_eq!((watches(&open), watches(&closed)), (1, 1), "it is one call\n{open}\n{closed}");
    assert_ne!(closed["last"], open["last"], "its end is use\n{open}\n{closed}");

    let execs = rows(&closed, "pods/exec");
    let verbs: Vec<&str> = execs.iter().filter_map(|row| row["verb"].as_str()).collect();
    assert!(verbs.contains(&"get") && verbs.contains(&"create"), "{closed}");
    for row in &execs {
        assert_eq!((&row["target"], &row["program"]), (&json!("web"), &json!("psql")), "{closed}");
    }
    let forwarded = rows(&closed, "pods/portforward");
    assert_eq!((&forwarded[0]["target"], &forwarded[0]["ports"]), (&json!("web"), &json!(["8080"])), "{closed}");
    let borrowed = rows(&closed, "secrets");
    assert_eq!((&borrowed[0]["user"], &borrowed[0]["impersonated"]), (&json!("admin"), &json!("alice")), "{closed}");
    assert!(borrowed[0]["address"].is_string(), "{closed}");
    assert!(!closed.to_string().contains("-psecret"), "{closed}");
    listed(&fed, &namespace).await;
    let file = std::fs::read(fed.recorded.archive.database()).expect("read the database");
    assert!(!file.windows(8).any(|bytes| bytes == b"-psecret"), "an argument of an exec is in the database");
}

/// The same by the plugin, for who may read it.
async fn listed(fed: &Fed, namespace: &str) {
    let cluster = fed.cluster();
    let page = Plugin::of(cluster, ADMIN).ends(&["activity", "fix", "-n", namespace], 0).await.0;
    let line = |words: &[&str]| {
        let found = page.lines().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(found, "{words:?} are in no line of\n{page}");
    };
    line(&["Used"]);
    line(&["get", "pods/exec", &format!("{namespace}/web"), "ran psql"]);
    line(&["create", "pods/exec", "ran psql"]);
    line(&["pods/portforward", "port 8080"]);
    line(&["watch", "configmaps"]);
    line(&["list", "secrets", "admin as alice"]);
    let json = Plugin::of(cluster, ADMIN).ends(&["activity", "fix", "-n", namespace, "-o", "json"], 0).await.0;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["kind"], &json["known"]), (&json!("Activity"), &json!("Used")), "{json}");
    let (out, err) = Plugin::of(cluster, ALICE).ends(&["activity", "fix", "-n", namespace], 1).await;
    let why = format!("you may not list activity.archive.daypass.dev in namespace {namespace}: ask for a RoleBinding");
    assert!(out.is_empty() && err.contains("cannot be known") && err.contains(&why), "{out}{err}");
}
