//! What goes on in the namespace that Daypass runs in, though the self-guard lets hardly anybody write there: pods are
//! made and run, nodes are drained, what is left over is collected, and the release is upgraded by its manager.

use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::chart::chart;
use crate::harness::cast::SOON;
use crate::harness::install::NAMESPACE;
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::users::{ADMIN, DAVE, GITOPS, KUBELET, SCHEDULER, TRUDY, User};
use crate::harness::{Cluster, ControlPlane, alone, eventually, private};

pub fn trials() -> Vec<Trial> {
    vec![
        private("own_namespace::pods_run_are_drained_and_are_collected", pods_run),
        alone("own_namespace::a_manager_without_cluster_admin_upgrades", AUDIT_POLICY, a_manager_upgrades),
    ]
}

const REFUSED: &str = "'daypass-self-guard'";

/// Controllers of Kubernetes with work to do there, besides those that every test has.
const CONTROLLERS: [&str; 7] = [
    "deployment-controller",
    "replicaset-controller",
    "disruption-controller",
    "endpoints-controller",
    "endpointslice-controller",
    "root-ca-certificate-publisher-controller",
    "resourcequota-controller",
];

/// kubectl in that namespace, which must succeed.
async fn kubectl(cluster: &Cluster, by: User, args: &[&str]) -> String {
    cluster.kubectl(by).ok(&[&["-n", NAMESPACE], args].concat()).await
}

/// `POST` as somebody, of what kubectl has no command for.
async fn post(cluster: &Cluster, by: User, path: &str, body: &Value) -> Result<Value, String> {
    send(cluster, by, http::Request::post(format!("/api/v1/namespaces/{NAMESPACE}/{path}")), body).await
}

async fn send(cluster: &Cluster, by: User, request: http::request::Builder, body: &Value) -> Result<Value, String> {
    send_with(cluster.client(by).await, request, body).await
}

async fn send_with(client: kube::Client, request: http::request::Builder, body: &Value) -> Result<Value, String> {
    let patches = request.method_ref() == Some(&http::Method::PATCH);
    let content = if patches { "application/strategic-merge-patch+json" } else { "application/json" };
    let request = request.header("content-type", content);
    let request = request.body(serde_json::to_vec(body).expect("JSON")).expect("a request");
    client.request(request).await.map_err(|error| error.to_string())
}

/// The pods of the controller that nobody ends, with name and UID.
async fn pods(cluster: &Cluster) -> Vec<(String, String)> {
    let listed = kubectl(cluster, ADMIN, &["get", "pods", "-l", "app.kubernetes.io/name=daypass", "-o", "json"]).await;
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let stays = |pod: &&Value| pod["metadata"]["deletionTimestamp"].is_null();
    let items = listed["items"].as_array().expect("pods").iter().filter(stays);
    items.map(|pod| (text(&pod["metadata"]["name"]), text(&pod["metadata"]["uid"]))).collect()
}

async fn until_pods(cluster: &Cluster, many: usize) -> Vec<(String, String)> {
    eventually(&format!("there are {many} pods"), SOON, async || {
        let pods = pods(cluster).await;
        if pods.len() == many { Ok(pods) } else { Err(format!("{pods:?}")) }
    })
    .await
}

/// The scheduler binds a pod, and the kubelet runs it, as they do.
async fn runs(cluster: &Cluster, pod: &(String, String), address: &str) {
    let (name, uid) = pod;
    let node = json!({ "apiVersion": "v1", "kind": "Node", "name": "n1" });
    let binding = json!({ "metadata": { "name": name, "uid": uid }, "target": node });
    post(cluster, SCHEDULER, &format!("pods/{name}/binding"), &binding).await.expect("bind a pod");
    let bound = json!({ "apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid });
    let token = |spec: Value| json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec });
    let mounted = token(json!({ "boundObjectRef": bound }));
    post(cluster, KUBELET, "serviceaccounts/daypass/token", &mounted).await.expect("a token to mount");
    // For a pod only. Mostly NodeRestriction sees to that, which this cluster does not have.
    let why = post(cluster, KUBELET, "serviceaccounts/daypass/token", &token(json!({}))).await.expect_err("for no pod");
    assert!(why.contains(REFUSED), "{why}");
    let event = json!({
        "metadata": { "generateName": "pulled-" }, "reason": "Pulled", "message": "a trial", "type": "Normal",
        "involvedObject": { "kind": "Pod", "namespace": NAMESPACE, "name": name, "uid": uid }
    });
    post(cluster, KUBELET, "events", &event).await.expect("tell of it");
    let ready = json!([{ "type": "Ready", "status": "True" }, { "type": "ContainersReady", "status": "True" }]);
    let status = json!({ "phase": "Running", "conditions": ready, "podIP": address, "podIPs": [{ "ip": address }] });
    // Without a look first: a kubelet may not read the status alone.
    let patch = http::Request::patch(format!("/api/v1/namespaces/{NAMESPACE}/pods/{name}/status"));
    send(cluster, KUBELET, patch, &json!({ "status": status })).await.expect("say how a pod is");
}

/// An agent of the network, with the token of its account, writes the status of a pod. A person with the same right, or
/// the right to impersonate the agent, does not.
async fn the_network_notes_addresses(cluster: &Cluster, pod: &str) {
    let admin = cluster.kubectl(ADMIN);
    admin.ok(&["create", "serviceaccount", "network-agent", "-n", "kube-system"]).await;
    admin.ok(&["create", "clusterrole", "notes-addresses", "--verb=patch", "--resource=pods/status"]).await;
    let subjects = ["--serviceaccount=kube-system:network-agent", "--user=dave"];
    let bind = ["create", "clusterrolebinding", "notes-addresses", "--clusterrole=notes-addresses"];
    admin.ok(&[&bind[..], &subjects[..]].concat()).await;
    let token = admin.ok(&["create", "token", "network-agent", "-n", "kube-system"]).await;
    let agent = cluster.control_plane.client_for_token("network-agent", token.trim()).await;
    let note = json!({ "metadata": { "annotations": { "example.com/address": "10.1.0.1" } } });
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}/status");
    let writes = || http::Request::patch(path.clone());
    eventually("the agent notes an address", SOON, async || send_with(agent.clone(), writes(), &note).await.map(drop))
        .await;
    let as_agent = writes().header("Impersonate-User", "system:serviceaccount:kube-system:network-agent");
    for (by, request) in [(DAVE, writes()), (TRUDY, as_agent)] {
        let why = send(cluster, by, request, &note).await.expect_err("it is no agent");
        assert!(why.contains(REFUSED), "{}: {why}", by.name);
    }
}

async fn evict(cluster: &Cluster, pod: &str) -> Result<Value, String> {
    let eviction = json!({ "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": pod } });
    post(cluster, TRUDY, &format!("pods/{pod}/eviction"), &eviction).await
}

async fn prints(cluster: &Cluster, what: &str, args: &[&str], wanted: &str) {
    eventually(what, SOON, async || {
        let printed = kubectl(cluster, ADMIN, args).await;
        if printed == wanted { Ok(()) } else { Err(printed) }
    })
    .await;
}

async fn pods_run(cluster: Arc<Cluster>) {
    let admin = cluster.kubectl(ADMIN);
    admin.ok(&["create", "clusterrolebinding", "nodes", "--clusterrole=system:node", "--group=system:nodes"]).await;
    admin.apply("{apiVersion: v1, kind: Node, metadata: {name: n1}}").await;
    kubectl(&cluster, ADMIN, &["create", "quota", "few", "--hard=pods=9"]).await;
    cluster.control_plane.run_more_controllers(&CONTROLLERS).await;

    let running = until_pods(&cluster, 2).await;
    for (pod, address) in running.iter().zip(["10.1.0.1", "10.1.0.2"]) {
        runs(&cluster, pod, address).await;
    }
    let ready = ["get", "deployment", "daypass", "-o", "jsonpath={.status.readyReplicas}"];
    prints(&cluster, "both are ready", &ready, "2").await;
    let counted = ["get", "quota", "few", "-o", "jsonpath={.status.used.pods}"];
    prints(&cluster, "quotas are counted", &counted, "2").await;
    let behind = ["get", "endpointslices", "-o", "jsonpath={.items[*].endpoints[*].conditions.ready}"];
    prints(&cluster, "they stand behind the Service", &behind, "true true").await;
    kubectl(&cluster, ADMIN, &["get", "configmap", "kube-root-ca.crt"]).await;

    the_network_notes_addresses(&cluster, &running[0].0).await;

    // A drain, by somebody with no more rights than `edit`: one pod at a time, as the budget says.
    let allowed = ["get", "pdb", "daypass", "-o", "jsonpath={.status.disruptionsAllowed}"];
    prints(&cluster, "one may be away", &allowed, "1").await;
    let why = cluster.kubectl(TRUDY).refused(&["delete", "pod", &running[0].0, "-n", NAMESPACE]).await;
    assert!(why.contains(REFUSED), "{why}");
    evict(&cluster, &running[0].0).await.expect("evict a pod");
    let why = evict(&cluster, &running[1].0).await.expect_err("the other must stay");
    assert!(why.contains("disruption budget"), "{why}");
    kubectl(&cluster, KUBELET, &["delete", "pod", &running[0].0, "--grace-period=0", "--force"]).await;
    let again = until_pods(&cluster, 2).await;
    let new = again.iter().find(|pod| pod.0 != running[0].0 && pod.0 != running[1].0).expect("a new pod");
    runs(&cluster, new, "10.1.0.3").await;
    prints(&cluster, "one may be away again", &allowed, "1").await;

    // What is left of a Deployment is collected. The kubelet has the last word on pods of its node.
    kubectl(&cluster, ADMIN, &["delete", "deployment", "daypass", "--cascade=foreground", "--wait=false"]).await;
    until_pods(&cluster, 0).await;
    let ending = kubectl(&cluster, ADMIN, &["get", "pods", "-o", "name"]).await;
    for pod in ending.lines() {
        kubectl(&cluster, KUBELET, &["delete", pod, "--grace-period=0", "--force"]).await;
    }
    prints(&cluster, "nothing is left", &["get", "deployments,replicasets,pods", "-o", "name"], "").await;

    // Nobody of Kubernetes was refused on the way, as far as the self-guard goes.
    let of_kubernetes = |event: &&Value| {
        let who = event["user"]["username"].as_str().unwrap_or_default();
        let why = event["responseStatus"]["message"].as_str().unwrap_or_default();
        let expected = ["trudy", "dave", KUBELET.name, "system:serviceaccount:daypass-system:daypass-canary"];
        why.contains(REFUSED) && !expected.contains(&who) && event["impersonatedUser"].is_null()
    };
    let refusals = cluster.control_plane.refusals();
    let refused: Vec<&Value> = refusals.iter().filter(of_kubernetes).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

/// What Helm needs to make and change the objects of the chart, and no right on Daypass's own kinds but to read them.
const RIGHTS_OF_A_MANAGER: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: manages-releases}
rules:
- {apiGroups: [""], resources: [secrets, services, serviceaccounts, configmaps, pods], verbs: ["*"]}
- {apiGroups: [apps], resources: [deployments, replicasets], verbs: ["*"]}
- {apiGroups: [policy], resources: [poddisruptionbudgets], verbs: ["*"]}
- {apiGroups: [networking.k8s.io], resources: [networkpolicies], verbs: ["*"]}
- {apiGroups: [rbac.authorization.k8s.io], resources: [roles, rolebindings, clusterroles, clusterrolebindings], verbs: ["*"]}
- {apiGroups: [admissionregistration.k8s.io], resources: ["*"], verbs: ["*"]}
- {apiGroups: [apiextensions.k8s.io], resources: [customresourcedefinitions], verbs: ["*"]}
- {apiGroups: [daypass.dev], resources: ["*"], verbs: [get, list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: gitops-manages-releases}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: manages-releases}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: gitops}]
"#;

async fn a_manager_upgrades(control_plane: Arc<ControlPlane>) {
    let admin = control_plane.kubectl(ADMIN);
    admin.apply(RIGHTS_OF_A_MANAGER).await;
    let chart = chart();
    let upgrade = |values: &'static str| {
        ["upgrade", "--install", "daypass", &chart, "-n", NAMESPACE, "--create-namespace", "--set", values]
            .map(str::to_owned)
    };
    let by = async |who: User, values: &'static str| {
        let args = upgrade(values);
        control_plane.helm_as(who, &args.each_ref().map(String::as_str)).await
    };
    let replicas =
        async || admin.ok(&["get", "deployment", "daypass", "-n", NAMESPACE, "-o", "jsonpath={.spec.replicas}"]).await;
    let installed = by(ADMIN, "selfGuard.managers={gitops}").await;
    assert!(installed.ok, "{}", installed.stderr);
    let upgraded = by(GITOPS, "selfGuard.managers={gitops},replicas=3").await;
    assert!(upgraded.ok, "{}", upgraded.stderr);
    assert_eq!(replicas().await, "3");

    let unlisted = by(ADMIN, "replicas=2").await;
    assert!(unlisted.ok, "{}", unlisted.stderr);
    // In force a moment later.
    eventually("gitops is no manager any more", SOON, async || {
        let output = by(GITOPS, "replicas=4").await;
        let explained = output.stderr.contains(r#"add "gitops" to selfGuard.managers"#);
        if !output.ok && explained { Ok(()) } else { Err(output.stderr) }
    })
    .await;
    assert_eq!(replicas().await, "2");
}
