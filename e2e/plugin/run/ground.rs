//! Owns what the commands of [`super::commands`] work on: it is put back before each run of one, by the admin's client alone, since
//! there are many runs.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod, Secret};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::harness::users::{ADMIN, EVE};
use crate::harness::wait::eventually;
use crate::harness::{Cluster, cast};

/// The pod that is held back when it is deleted.
pub const SLOW: &str = "slow";
const OBJECTS: &str = include_str!("ground.yaml");
/// How helm finds its releases.
const RELEASES: &str = "owner=helm";

/// Objects in a namespace, and files.
pub struct Ground<'a> {
    pub cluster: &'a Cluster,
    pub namespace: String,
    /// The admin.
    pub client: Client,
    pub folder: tempfile::TempDir,
    objects: Vec<Value>,
    /// What helm wrote down of the release that it upgrades, and what it made.
    release: (Vec<Secret>, Vec<ConfigMap>),
}

impl<'a> Ground<'a> {
    /// A policy that gives everything, and metrics of pods.
    pub async fn prepare(cluster: &'a Cluster) -> Self {
        let admin = cluster.kubectl(ADMIN);
        let namespace = cluster.namespace("commands").await;
        admin.apply_server_side(&metrics_of_pods().to_string()).await;
        admin.until_established().await;
        let everything = json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }]);
        admin.apply(&role("ClusterRole", "all-of-it", None, &everything).to_string()).await;
        for (kind, namespace) in [("Role", Some(namespace.as_str())), ("ClusterRole", None)] {
            admin.apply(&role(kind, "of-eve", namespace, &json!([])).to_string()).await;
            admin.apply(&binding(kind, namespace).to_string()).await;
        }
        let mut policy = cast::policy(&namespace, &namespace);
        policy["spec"]["roles"] = json!([{ "name": "all-of-it" }]);
        policy["spec"]["scope"] = json!({ "namespaces": [namespace], "cluster": true, "systemNamespaces": true });
        admin.apply(&policy.to_string()).await;
        let objects = OBJECTS.replace("NAMESPACE", &namespace);
        let objects = serde_saphyr::from_multiple(&objects).unwrap();
        let folder = files();
        let chart = folder.path().join("chart").display().to_string();
        cluster.control_plane.helm(&["install", "shop", &chart, "-n", &namespace]).await;
        let client = cluster.client(ADMIN).await;
        let labelled = ListParams::default().labels(RELEASES);
        let release =
            (listed(&client, &namespace, &labelled).await, listed(&client, &namespace, &Default::default()).await);
        Self { cluster, namespace, client, folder, objects, release }
    }

    fn of<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Puts everything as it was before any command.
    pub async fn restore(&self) {
        let (now, all) = (DeleteParams::default().grace_period(0), ListParams::default());
        self.let_go().await;
        self.of::<Pod>().delete_collection(&now, &all).await.unwrap();
        self.of::<Job>().delete_collection(&DeleteParams::background(), &all).await.unwrap();
        self.of::<ConfigMap>().delete_collection(&now, &all).await.unwrap();
        self.of::<Secret>().delete_collection(&now, &all.labels(RELEASES)).await.unwrap();
        for object in &self.objects {
            self.apply(object).await;
        }
        for secret in &self.release.0 {
            self.of::<Secret>().create(&Default::default(), secret).await.unwrap();
        }
        for made in &self.release.1 {
            self.of::<ConfigMap>().create(&Default::default(), made).await.unwrap();
        }
        let agent = self.of::<DaemonSet>().get("agent").await.unwrap();
        let owner = json!({ "apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": agent.uid(), "controller": true });
        let metadata = json!({ "name": "agent-0", "namespace": self.namespace, "ownerReferences": [owner] });
        let spec = json!({ "nodeName": "n1", "containers": [{ "name": "agent", "image": "agent" }] });
        self.apply(&json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec })).await;
        let (nodes, how): (Api<Node>, _) = (Api::all(self.client.clone()), PatchParams::default());
        let runs = json!({ "status": { "phase": "Running", "hostIP": "127.0.0.1", "containerStatuses": [{
            "name": "web", "ready": true, "restartCount": 0, "image": "web", "imageID": "web", "state": { "running": {} } }] } });
        self.of::<Pod>().patch_status("web-0", &how, &Patch::Merge(runs)).await.unwrap();
        let nobody = json!({ "status": { "addresses": [{ "type": "InternalIP", "address": "127.0.0.1" }],
            "daemonEndpoints": { "kubeletEndpoint": { "Port": 1 } } } });
        nodes.patch_status("n1", &how, &Patch::Merge(nobody)).await.unwrap();
        nodes.patch("n1", &how, &Patch::Merge(json!({ "spec": { "unschedulable": null } }))).await.unwrap();
    }

    /// Gives eve these rules and no others: in the namespace, or in the whole cluster.
    pub async fn give(&self, in_cluster: bool, rules: &Value) {
        let (kind, namespace) =
            if in_cluster { ("ClusterRole", None) } else { ("Role", Some(self.namespace.as_str())) };
        self.apply(&role(kind, "of-eve", namespace, rules)).await;
    }

    /// Lets the pod go that is held back.
    pub async fn let_go(&self) {
        let free = json!({ "metadata": { "finalizers": null } });
        // It may be gone.
        let _ = self.of::<Pod>().patch(SLOW, &PatchParams::default(), &Patch::Merge(free)).await;
    }

    async fn apply(&self, object: &Value) {
        let text = |of: &Value| of.as_str().unwrap_or_default().to_owned();
        let (group, version) = match object["apiVersion"].as_str().unwrap().split_once('/') {
            Some((group, version)) => (group, version),
            None => ("", object["apiVersion"].as_str().unwrap()),
        };
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, object["kind"].as_str().unwrap()));
        let client = self.client.clone();
        let api: Api<DynamicObject> = match object["metadata"]["namespace"].as_str() {
            Some(namespace) => Api::namespaced_with(client, namespace, &kind),
            None => Api::all_with(client, &kind),
        };
        let how = PatchParams::apply("ground").force();
        let name = text(&object["metadata"]["name"]);
        // What was deleted may take a moment to go.
        eventually(&format!("{} {name} is there", kind.kind), cast::SOON, async || {
            let applied = api.patch(&name, &how, &Patch::Apply(object)).await.map_err(|error| error.to_string())?;
            if applied.metadata.deletion_timestamp.is_none() { Ok(()) } else { Err("it goes".to_owned()) }
        })
        .await;
    }
}

/// Objects of a namespace, to be made anew.
async fn listed<K>(client: &Client, namespace: &str, which: &ListParams) -> Vec<K>
where
    K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let mut items = Api::<K>::namespaced(client.clone(), namespace).list(which).await.unwrap().items;
    items.iter_mut().for_each(|item| item.meta_mut().resource_version = None);
    items
}

/// What commands read: an object to apply, and a chart.
fn files() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let app =
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "app" }, "data": { "a": "applied" } });
    std::fs::write(folder.path().join("app.yaml"), app.to_string()).unwrap();
    let chart = folder.path().join("chart");
    std::fs::create_dir_all(chart.join("templates")).unwrap();
    std::fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: shop\nversion: 0.1.0\n").unwrap();
    std::fs::write(chart.join("values.yaml"), "a: b\nname: of-the-chart\n").unwrap();
    let template =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Values.name }}'}\ndata: {a: '{{ .Values.a }}'}\n";
    std::fs::write(chart.join("templates/app.yaml"), template).unwrap();
    folder
}

/// What `kubectl top` reads, as a kind of its own: there is no metrics server.
fn metrics_of_pods() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "pods.metrics.k8s.io", "annotations": { "api-approved.kubernetes.io": "unapproved, for trials" } },
        "spec": {
            "group": "metrics.k8s.io", "scope": "Namespaced",
            "names": { "kind": "PodMetrics", "listKind": "PodMetricsList", "plural": "pods" },
            "versions": [{ "name": "v1beta1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } } }]
        }
    })
}

fn role(kind: &str, name: &str, namespace: Option<&str>, rules: &Value) -> Value {
    let metadata = json!({ "name": name, "namespace": namespace });
    json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "rules": rules })
}

fn binding(kind: &str, namespace: Option<&str>) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": format!("{kind}Binding"),
        "metadata": { "name": "of-eve", "namespace": namespace },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "of-eve" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": EVE.name }]
    })
}
