//! Owns what the pod of the notifier of an installed chart is started with and as whom, in places of this machine, and a
//! notifier that runs so.

use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, PodSpec, Secret};
use kube::Api;
use serde_json::Value;

use super::control_plane::ControlPlane;
use super::install::NAMESPACE;
use super::process::Process;
use super::servers::free_ports;
use super::users::ADMIN;
use super::wait::eventually;
use super::{http, readiness};

/// Name of the notifier's objects, of its account and of its Lease.
pub const NOTIFIER: &str = "daypass-notify";
/// The ConfigMap of what was told.
pub const STATE: &str = "daypass-notify-state";
/// Its program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_daypass-notify");
/// How long it may take to end.
const LIMIT: Duration = Duration::from_secs(60);
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

/// A notifier of an installed chart, started as its pod would be and as its own account.
pub struct RunningNotifier {
    /// Of the control plane.
    dir: PathBuf,
    name: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    probed: u16,
    process: Option<Process>,
}

impl RunningNotifier {
    /// Starts the replica of this name with these routes, and waits until it is ready. Secrets that routes name stand in `dir`
    /// already.
    pub async fn start(control_plane: &ControlPlane, name: &str, config: &Value) -> Self {
        let folder = control_plane.dir().join(name);
        let pod = NotifierPod::of(control_plane, &folder).await;
        std::fs::write(pod.routes(), config.to_string()).expect("write the routes");
        let token = pod.token(control_plane).await;
        let kubeconfig = control_plane.kubeconfig_for_token(name, &token);
        let [probed] = free_ports();
        let listens = |arg: String| match arg.starts_with("--listen=") {
            true => format!("--listen=127.0.0.1:{probed}"),
            false => arg,
        };
        let mut args: Vec<String> = pod.args.into_iter().map(listens).collect();
        args.extend([format!("--kubeconfig={}", kubeconfig.display()), format!("--instance={name}")]);
        args.push(format!("--namespace={NAMESPACE}"));
        let clock = folder.join("clock-offset").display().to_string();
        let env = pod.env.into_iter().chain([("DAYPASS_CLOCK_OFFSET".to_owned(), clock)]).collect();
        let dir = control_plane.dir().to_owned();
        let mut notifier = Self { dir, name: name.to_owned(), args, env, probed, process: None };
        notifier.run().await;
        notifier
    }

    /// Starts it again, and waits until it is ready.
    pub async fn run(&mut self) {
        self.spawn();
        let process = self.process.as_mut().expect("it runs");
        readiness::process("the notifier is ready", process, self.probed).await;
    }

    /// Starts it again, without waiting.
    pub fn spawn(&mut self) {
        let env: Vec<(&str, &str)> = self.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let process = Process::spawn(&self.dir, &self.name, Path::new(PROGRAM), &self.args, &env);
        self.process = Some(process);
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Asks it to end, and waits until it has.
    pub async fn terminate(&mut self) {
        let process = self.process.as_mut().expect("it runs");
        process.ask_to_end();
        let ended =
            eventually("the notifier ends", LIMIT, async || process.exited().ok_or_else(|| "it runs".to_owned()));
        assert!(ended.await.success(), "{}", process.log());
    }

    /// Sets its clock this much ahead.
    pub fn ahead(&self, time: Duration) {
        let file = self.dir.join(&self.name).join("clock-offset");
        std::fs::write(file, time.as_millis().to_string()).expect("set the clock");
    }

    /// What it shows at a path of its probes.
    pub async fn get(&self, path: &str) -> Result<(u16, String), String> {
        http::get(self.probed, path).await
    }

    /// A figure of its metrics, by its name and labels as they are written.
    pub async fn figure(&self, series: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics").await.ok()?;
        text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }

    /// Everything that it wrote, in all its lives.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join(format!("{}.log", self.name))).expect("read the log")
    }
}
