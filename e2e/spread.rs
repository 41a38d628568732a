//! Where the pods of the chart come to stand: the real scheduler places them on Node objects that no kubelet is behind.
//! One node of each place has more room than the others, so a scheduler that does not look at where the other pod is puts
//! both there.

use std::collections::BTreeMap;
use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::chart::chart;
use crate::harness::cast::SOON;
use crate::harness::install::NAMESPACE;
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::users::ADMIN;
use crate::harness::{ControlPlane, alone, eventually};

pub fn trials() -> Vec<Trial> {
    vec![alone("spread::two_replicas_are_on_two_nodes_and_in_two_zones", AUDIT_POLICY, two_replicas)]
}

/// What makes pods of a Deployment.
const CONTROLLERS: [&str; 2] = ["deployment-controller", "replicaset-controller"];
const ZONE: &str = "topology.kubernetes.io/zone";
/// What a node has, and what a pod on a busy one takes of it.
const ROOM: (&str, &str) = ("4", "8Gi");
const TAKEN: (&str, &str) = ("2", "4Gi");

/// A node by its name, the zone that it is in, and whether much runs on it.
type NodeIs = (&'static str, Option<&'static str>, bool);

async fn two_replicas(control_plane: Arc<ControlPlane>) {
    let admin = control_plane.kubectl(ADMIN);
    admin.ok(&["create", "namespace", "busy"]).await;
    control_plane.run_more_controllers(&CONTROLLERS).await;
    let _scheduler = control_plane.start_scheduler();

    let no_zones: [NodeIs; 2] = [("n1", None, false), ("n2", None, true)];
    for (deployment, placed) in placed_on(&control_plane, &no_zones).await {
        assert_eq!(names(&placed), ["n1", "n2"], "{deployment} on nodes without a zone");
        for pod in placed.values() {
            assert_eq!(tolerated(pod), [("node.kubernetes.io/not-ready", 30), ("node.kubernetes.io/unreachable", 30)]);
        }
    }

    let one_zone = no_zones.map(|(name, _, busy)| (name, Some("a"), busy));
    for (deployment, placed) in placed_on(&control_plane, &one_zone).await {
        assert_eq!(names(&placed), ["n1", "n2"], "{deployment} on nodes of one zone");
    }

    // The two of zone a have the most room.
    let two_zones = [("n1", Some("a"), false), ("n2", Some("a"), false), ("n3", Some("b"), true)];
    for (deployment, placed) in placed_on(&control_plane, &two_zones).await {
        let zones: Vec<_> =
            two_zones.iter().filter(|(name, ..)| placed.contains_key(*name)).filter_map(|(_, zone, _)| *zone).collect();
        assert_eq!(zones, ["a", "b"], "{deployment}: one in each zone, but: {:?}", names(&placed));
    }
}

/// The pods of one Deployment, by the node that the scheduler chose for each.
type Placed = BTreeMap<String, Value>;

/// What the release runs, with the webhook that it has on clusters without MutatingAdmissionPolicy.
const DEPLOYMENTS: [&str; 2] = ["daypass", "daypass-stamp"];

/// Installs the release where there are these nodes and no others, and takes it and them away again. Where the pods of each
/// Deployment were.
async fn placed_on(control_plane: &ControlPlane, nodes: &[NodeIs]) -> BTreeMap<&'static str, Placed> {
    for node in nodes {
        there_is(control_plane, *node).await;
    }
    let webhook = ["--set", "identity.stamp=webhook"];
    let install = ["install", "daypass", &chart(), "-n", NAMESPACE, "--create-namespace"];
    control_plane.helm(&[&install[..], &webhook[..]].concat()).await;
    let placed = eventually("both pods of each have a node", SOON, async || {
        let pods = pods(control_plane, NAMESPACE).await;
        let node = |pod: &Value| pod["spec"]["nodeName"].as_str().map(str::to_owned);
        let of = |deployment: &'static str| {
            let own = pods.iter().filter(|pod| pod["metadata"]["labels"]["app.kubernetes.io/name"] == deployment);
            let placed: Vec<_> = own.filter_map(|pod| Some((node(pod)?, pod.clone()))).collect();
            (placed.len() == 2).then(|| (deployment, placed.into_iter().collect()))
        };
        let placed: BTreeMap<&str, Placed> = DEPLOYMENTS.into_iter().filter_map(of).collect();
        if placed.len() == DEPLOYMENTS.len() { Ok(placed) } else { Err(json!(pods).to_string()) }
    })
    .await;
    control_plane.helm(&["uninstall", "daypass", "-n", NAMESPACE]).await;
    let admin = control_plane.kubectl(ADMIN);
    for namespace in [NAMESPACE, "busy"] {
        // No kubelet says that they have ended.
        let forced = ["delete", "pods", "--all", "-n", namespace, "--grace-period=0", "--force"];
        eventually("the pods are gone", SOON, async || {
            let output = admin.run(&forced).await;
            let left = pods(control_plane, namespace).await.len();
            if left == 0 { Ok(()) } else { Err(format!("{left} are left: {}", output.stderr)) }
        })
        .await;
    }
    admin.ok(&["delete", "nodes", "--all"]).await;
    placed
}

/// A node as a kubelet would have made it, ready, with a pod on it that takes half of it when it is busy.
async fn there_is(control_plane: &ControlPlane, (name, zone, busy): NodeIs) {
    let admin = control_plane.kubectl(ADMIN);
    let (cpu, memory) = ROOM;
    let mut labels = json!({ "kubernetes.io/hostname": name, "kubernetes.io/os": "linux" });
    if let Some(zone) = zone {
        labels[ZONE] = json!(zone);
    }
    let room = json!({ "cpu": cpu, "memory": memory, "pods": "110" });
    let node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": { "name": name, "labels": labels },
        "status": { "capacity": room, "allocatable": room, "conditions": [{ "type": "Ready", "status": "True" }] }
    });
    admin.apply(&node.to_string()).await;
    // Admission taints each new node; who would take the taint away is the controller of nodes.
    admin.ok(&["patch", "node", name, "--type=merge", "-p", r#"{"spec":{"taints":null}}"#]).await;
    if busy {
        let (cpu, memory) = TAKEN;
        let takes = json!({ "requests": { "cpu": cpu, "memory": memory } });
        let container = json!({ "name": "it", "image": "localhost/it:1", "resources": takes });
        let spec = json!({ "nodeName": name, "automountServiceAccountToken": false, "containers": [container] });
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": "busy" }, "spec": spec
        });
        eventually("the namespace takes pods", SOON, async || {
            let output = admin.run_with(&["apply", "-f", "-"], &pod.to_string()).await;
            if output.ok { Ok(()) } else { Err(output.stderr) }
        })
        .await;
    }
}

async fn pods(control_plane: &ControlPlane, namespace: &str) -> Vec<Value> {
    let listed = control_plane.kubectl(ADMIN).ok(&["get", "pods", "-n", namespace, "-o", "json"]).await;
    let mut listed: Value = serde_json::from_str(&listed).expect("JSON");
    serde_json::from_value(listed["items"].take()).expect("pods")
}

fn names(placed: &Placed) -> Vec<&str> {
    placed.keys().map(String::as_str).collect()
}

/// Which taints that would end a pod it bears for a time, and for how many seconds.
fn tolerated(pod: &Value) -> Vec<(&str, i64)> {
    let tolerations = pod["spec"]["tolerations"].as_array().expect("tolerations").iter();
    let limited = tolerations.filter(|toleration| toleration["effect"] == "NoExecute");
    let mut taints: Vec<_> =
        limited.filter_map(|taint| taint["key"].as_str().zip(taint["tolerationSeconds"].as_i64())).collect();
    taints.sort_unstable();
    taints
}
