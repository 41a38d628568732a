//! Where the notifier runs: the pod in which something of it can be tried, or why there is none.
//!
//! It must not do anything in a pod: [`super::exec`] does.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use crate::api::policy::AccessPolicy;
use crate::cli::plugin::cluster::{Cluster, quoted};
use crate::cli::plugin::error::PluginError;

/// Label of the notifier's pods, and its value.
const NOTIFIER: (&str, &str) = ("app.kubernetes.io/name", "daypass-notify");
/// The notifier's container: a pod may have been given others.
const CONTAINER: &str = "notify";

/// A pod in which the notifier runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifierPod {
    pub name: String,
    /// The one that is the notifier.
    pub container: String,
}

/// A pod of the notifier that is ready; of several the newest, which has the newest configuration. `flags` lead further
/// commands to the same cluster.
///
/// # Errors
/// When there is none, or pods may not be listed.
pub async fn ready(cluster: &Cluster, namespace: &str, flags: &str) -> Result<NotifierPod, PluginError> {
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let selector = format!("{}={}", NOTIFIER.0, NOTIFIER.1);
    let what = format!("list pods in namespace {namespace}");
    let mut pods = cluster.call(what, api.list(&ListParams::default().labels(&selector))).await?.items;
    pods.sort_by_key(|pod| (pod.creation_timestamp().map(|made| made.0), pod.name_any()));
    if let Some(pod) = pods.iter().rev().find(|pod| standing(pod) == PodStanding::Ready) {
        return Ok(NotifierPod { name: pod.name_any(), container: container(pod) });
    }
    let not_ready = |why: Vec<String>| PluginError::NotifierNotReady {
        namespace: namespace.to_owned(),
        why: if why.is_empty() { "it has none".to_owned() } else { why.join(", ") },
        look: format!("kubectl describe pods -n {} -l {selector}{flags}", quoted(namespace)),
    };
    if pods.is_empty() && is_absent(deployments(cluster, namespace).await?.as_deref()) {
        return Err(PluginError::NoNotifier { namespace: namespace.to_owned() });
    }
    Err(not_ready(pods.iter().map(|pod| format!("{} {}", pod.name_any(), standing(pod).words())).collect()))
}

/// The Deployments of the namespace; none when they may not be listed.
///
/// # Errors
/// When nothing of Daypass is installed in the cluster.
async fn deployments(cluster: &Cluster, namespace: &str) -> Result<Option<Vec<Deployment>>, PluginError> {
    let policies: Api<AccessPolicy> = Api::all(cluster.client.clone());
    let asked = cluster.call("list accesspolicies", policies.list_metadata(&ListParams::default().limit(1))).await;
    if let Err(error) = asked
        && error.is_not_found()
    {
        return Err(error);
    }
    let api: Api<Deployment> = Api::namespaced(cluster.client.clone(), namespace);
    Ok(cluster.read(api.list(&ListParams::default())).await.ok().map(|all| all.items))
}

/// Whether it is known that the chart has made no notifier.
fn is_absent(deployments: Option<&[Deployment]>) -> bool {
    deployments.is_some_and(|all| !all.iter().any(runs_notifiers))
}

fn runs_notifiers(deployment: &Deployment) -> bool {
    let labels = deployment.spec.as_ref().and_then(|spec| spec.selector.match_labels.as_ref());
    labels.and_then(|labels| labels.get(NOTIFIER.0)).is_some_and(|name| name == NOTIFIER.1)
}

fn container(pod: &Pod) -> String {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let names: Vec<&str> = containers.map(|container| container.name.as_str()).collect();
    let first = names.first().copied().unwrap_or(CONTAINER);
    if names.contains(&CONTAINER) { CONTAINER.to_owned() } else { first.to_owned() }
}

/// How a pod is, as far as it is of use.
#[derive(Clone, Debug, PartialEq, Eq)]
enum PodStanding {
    Ready,
    /// It is being taken away.
    Ends,
    /// A container waits, and for what.
    Waits(String),
    /// It runs, and says that it is not ready.
    NotReady,
    /// Nothing of it runs: its phase.
    Phase(String),
}

impl PodStanding {
    fn words(&self) -> String {
        match self {
            Self::Ready => "is ready".to_owned(),
            Self::Ends => "ends".to_owned(),
            Self::Waits(why) => format!("waits ({why})"),
            Self::NotReady => "is not ready".to_owned(),
            Self::Phase(phase) => format!("is {phase}"),
        }
    }
}

fn standing(pod: &Pod) -> PodStanding {
    if pod.metadata.deletion_timestamp.is_some() {
        return PodStanding::Ends;
    }
    let status = pod.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref());
    if conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True") {
        return PodStanding::Ready;
    }
    let containers = status.and_then(|status| status.container_statuses.as_ref());
    let waits = containers.into_iter().flatten().find_map(|container| container.state.as_ref()?.waiting.as_ref());
    if let Some(reason) = waits.and_then(|waiting| waiting.reason.clone()) {
        return PodStanding::Waits(reason);
    }
    match status.and_then(|status| status.phase.clone()) {
        Some(phase) if phase == "Running" => PodStanding::NotReady,
        phase => PodStanding::Phase(phase.unwrap_or_else(|| "Pending".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(containers: &[&str], status: Value) -> Pod {
        let containers: Vec<Value> = containers.iter().map(|name| json!({ "name": name, "image": "it" })).collect();
        let metadata = json!({ "name": "notify-1" });
        serde_json::from_value(json!({ "metadata": metadata, "spec": { "containers": containers }, "status": status }))
            .unwrap()
    }

    #[test]
    fn only_a_pod_that_is_ready_and_stays_is_of_use() {
        let ready = |is: &str| json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": is }] });
        let waiting = json!({ "name": "notify", "ready": false, "restartCount": 3, "image": "", "imageID": "",
            "state": { "waiting": { "reason": "CrashLoopBackOff" } } });
        for (status, expected) in [
            (ready("True"), PodStanding::Ready),
            (ready("False"), PodStanding::NotReady),
            (
                json!({ "phase": "Running", "containerStatuses": [waiting] }),
                PodStanding::Waits("CrashLoopBackOff".into()),
            ),
            (json!({ "phase": "Failed" }), PodStanding::Phase("Failed".into())),
            (json!({}), PodStanding::Phase("Pending".into())),
        ] {
            assert_eq!(standing(&pod(&[CONTAINER], status.clone())), expected, "{status}");
        }
        let mut ends = pod(&[CONTAINER], ready("True"));
        ends.metadata.deletion_timestamp = Some(serde_json::from_value(json!("2026-11-30T09:00:00Z")).unwrap());
        assert_eq!(standing(&ends), PodStanding::Ends);
    }

    #[test]
    fn what_was_added_to_a_pod_is_not_the_notifier() {
        for (containers, expected) in
            [(&["notify"][..], "notify"), (&["proxy", "notify"], "notify"), (&["renamed", "proxy"], "renamed")]
        {
            assert_eq!(container(&pod(containers, json!({}))), expected, "{containers:?}");
        }
    }

    #[test]
    fn the_notifier_is_absent_when_no_deployment_makes_its_pods() {
        let deployment = |name: &str| -> Deployment {
            let labels = json!({ "app.kubernetes.io/name": name });
            let spec = json!({ "selector": { "matchLabels": labels }, "template": {} });
            serde_json::from_value(json!({ "metadata": {}, "spec": spec })).unwrap()
        };
        let (controller, notifier) = (deployment("daypass"), deployment("daypass-notify"));
        assert!(is_absent(Some(&[])));
        assert!(is_absent(Some(std::slice::from_ref(&controller))));
        assert!(!is_absent(Some(&[controller, notifier])));
        assert!(!is_absent(None), "nobody knows");
    }
}
