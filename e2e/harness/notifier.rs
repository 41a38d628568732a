//! Owns what the pod of the notifier of an installed chart is started with and as whom, in places of this machine.

use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, PodSpec, Secret};
use kube::Api;

use super::control_plane::ControlPlane;
use super::install::NAMESPACE;
use super::users::ADMIN;

/// Name of the notifier's objects, of its account and of its Lease.
pub const NOTIFIER: &str = "daypass-notify";
/// The ConfigMap of what was told.
pub const STATE: &str = "daypass-notify-state";
/// The file of routes.
const CONFIG: &str = "notify.yaml";
/// Folders of the pod that files are mounted in.
const MOUNTED: [&str; 3] = ["/etc/daypass-notify", "/secrets", "/authorities"];

/// Values with which the chart has a notifier.
pub const VALUES: [&str; 6] = [
    "notify.enabled=true",
    "notify.secrets={slack}",
    "notify.authorities.configMap=public-authorities",
    "notify.config.routes[0].name=platform",
    "notify.config.routes[0].slack.channel=C024BE91L",
    "notify.config.routes[0].slack.tokenFile=/secrets/slack/token",
];

/// The pod of the notifier, as its Deployment has it.
pub struct NotifierPod {
    /// Its arguments. Files are where they were written, and the address is still that of the pod.
    pub args: Vec<String>,
    /// Variables with a value, likewise.
    pub env: Vec<(String, String)>,
    /// Its ServiceAccount.
    pub account: String,
    folder: PathBuf,
}

impl NotifierPod {
    /// That of the installed chart. What it mounts is written into a folder: the routes, and Secrets and authorities that are
    /// there.
    pub async fn of(control_plane: &ControlPlane, folder: &Path) -> Self {
        let deployments: Api<Deployment> = Api::namespaced(control_plane.client(ADMIN).await, NAMESPACE);
        let deployment = deployments.get(NOTIFIER).await.expect("the Deployment of the notifier");
        let pod = deployment.spec.and_then(|spec| spec.template.spec).expect("a pod");
        mount(control_plane, &pod, folder).await;
        let container = pod.containers.into_iter().next().expect("a container");
        let args = container.args.into_iter().flatten().map(|arg| here(folder, &arg));
        let variables = container.env.into_iter().flatten();
        let env = variables.filter_map(|variable| Some((variable.name, here(folder, &variable.value?))));
        let account = pod.service_account_name.expect("an account");
        Self { args: args.collect(), env: env.collect(), account, folder: folder.to_owned() }
    }

    /// Its file of routes.
    pub fn routes(&self) -> PathBuf {
        self.folder.join(MOUNTED[0].trim_start_matches('/')).join(CONFIG)
    }

    /// A token of its account.
    pub async fn token(&self, control_plane: &ControlPlane) -> String {
        let ask = ["create", "token", &self.account, "-n", NAMESPACE, "--duration=24h"];
        control_plane.kubectl(ADMIN).ok(&ask).await.trim().to_owned()
    }
}

/// A text of the pod, such as an argument, with the places of this machine.
fn here(folder: &Path, text: &str) -> String {
    let in_folder = |text: String, mounted: &&str| text.replace(*mounted, &format!("{}{mounted}", folder.display()));
    MOUNTED.iter().fold(text.to_owned(), in_folder)
}

/// Writes the files of a pod's volumes.
async fn mount(control_plane: &ControlPlane, pod: &PodSpec, folder: &Path) {
    let client = control_plane.client(ADMIN).await;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let maps: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
    for mount in pod.containers.iter().flat_map(|container| container.volume_mounts.iter().flatten()) {
        let volume = pod.volumes.iter().flatten().find(|volume| volume.name == mount.name).expect("a volume");
        let at = folder.join(mount.mount_path.trim_start_matches('/'));
        std::fs::create_dir_all(&at).expect("make a folder");
        if let Some(name) = volume.secret.as_ref().and_then(|source| source.secret_name.as_deref()) {
            let data = secrets.get_opt(name).await.expect("ask for a Secret").and_then(|secret| secret.data);
            for (key, value) in data.into_iter().flatten() {
                std::fs::write(at.join(key), value.0).expect("write a file of a Secret");
            }
        }
        if let Some(source) = &volume.config_map {
            let data = maps.get_opt(&source.name).await.expect("ask for a ConfigMap").and_then(|map| map.data);
            for (key, text) in data.into_iter().flatten() {
                std::fs::write(at.join(key), here(folder, &text)).expect("write a file of a ConfigMap");
            }
        }
    }
}
