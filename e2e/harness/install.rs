//! Owns the product under test: its chart, installed on a control plane, and its controller, which runs as
//! the chart's own service account with the rights that the chart gives, never as the admin.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, ResourceExt};
use serde_json::Value;

use super::binaries::{self, Version};
use super::control_plane::ControlPlane;
use super::http;
use super::process::{Process, signal};
use super::records;
use super::servers::free_ports;
use super::users;
use super::wait::eventually;
use super::webhook;

/// Where the product lives.
pub const NAMESPACE: &str = "daypass-system";
/// The controller, as the API server knows it.
pub const CONTROLLER: &str = "system:serviceaccount:daypass-system:daypass";

/// Names another program to run as the controller than the one that was just built: that of the image.
pub const PROGRAM: &str = "DAYPASS_PROGRAM";

/// How long a part of the installation may take to work.
const LIMIT: Duration = Duration::from_secs(60);

/// The chart, installed.
pub struct Daypass;

impl Daypass {
    /// Installs the chart with `--set` values and waits until its guards are in force.
    pub async fn install(control_plane: &ControlPlane, extra_values: &[&str]) {
        Self::apply(control_plane, extra_values).await;
        control_plane.run_webhook().await;
        policies_are_seen(control_plane).await;
    }

    /// Applies all objects of the chart with `--set` values, and waits for nothing but its definitions.
    pub async fn apply(control_plane: &ControlPlane, extra_values: &[&str]) {
        let (definitions, rest) = Self::render(control_plane, extra_values).await;
        let admin = control_plane.kubectl(users::ADMIN);
        admin.apply_namespace(NAMESPACE).await;
        if !definitions.is_empty() {
            admin.apply_server_side(&definitions).await;
            admin.until_established().await;
        }
        admin.apply_server_side(&rest).await;
    }

    /// What the Deployments of the chart tell of its guards, as flags: what is installed, not what is here.
    pub async fn guards(control_plane: &ControlPlane) -> Vec<String> {
        Self::flags(control_plane).await.into_iter().filter(|flag| flag.starts_with("--guard=")).collect()
    }

    /// What they tell of its guards and of the keys of a login that it records.
    async fn flags(control_plane: &ControlPlane) -> Vec<String> {
        let deployments: Api<Deployment> = Api::namespaced(control_plane.client(users::ADMIN).await, NAMESPACE);
        let installed = deployments.list(&Default::default()).await.expect("list deployments");
        let pods = installed.items.into_iter().filter_map(|deployment| deployment.spec?.template.spec);
        let args = pods.flat_map(|pod| pod.containers).filter_map(|container| container.args).flatten();
        let flags: BTreeSet<String> =
            args.filter(|arg| arg.starts_with("--guard=") || arg.starts_with("--extra-key=")).collect();
        flags.into_iter().collect()
    }

    /// Takes the chart away as `helm uninstall` would: all but the definitions, which the chart says to keep.
    pub async fn uninstall(control_plane: &ControlPlane) {
        let (_, rest) = Self::render(control_plane, &[]).await;
        control_plane.kubectl(users::ADMIN).delete(&rest).await;
    }

    /// Takes away what writes identities, and nothing that verifies them. What it was, to be applied again.
    pub async fn take_stamp_away(control_plane: &ControlPlane) -> String {
        let admin = control_plane.kubectl(users::ADMIN);
        let webhook = ["mutatingwebhookconfiguration", webhook::NAME];
        let webhooks = admin.ok(&[&["get", "--ignore-not-found", "-o", "json"], &webhook[..]].concat()).await;
        if !webhooks.is_empty() {
            admin.ok(&[&["delete"], &webhook[..]].concat()).await;
            return as_new(serde_json::from_str(&webhooks).expect("JSON")).to_string();
        }
        let bindings = ["mutatingadmissionpolicybindings", "daypass-identity-stamp", "daypass-review-stamp"];
        let stored = admin.ok(&[&["get", "-o", "json"], &bindings[..]].concat()).await;
        admin.ok(&[&["delete"], &bindings[..]].concat()).await;
        let mut stored: Value = serde_json::from_str(&stored).expect("JSON");
        let items = stored["items"].as_array_mut().expect("a list");
        items.iter_mut().for_each(|item| *item = as_new(item.take()));
        stored.to_string()
    }

    /// The chart's custom resource definitions, and everything else. No hooks: what `helm test` runs is not installed.
    pub async fn render(control_plane: &ControlPlane, values: &[&str]) -> (String, String) {
        let chart = binaries::repository().join("charts/daypass").display().to_string();
        let mut args = vec!["template", "daypass", &chart, "--namespace", NAMESPACE, "--include-crds", "--no-hooks"];
        // Or Helm would render for the newest version that it knows.
        let asked = Version::asked().expect("a version");
        if let Some(version) = &asked {
            args.extend(["--kube-version", &version.release]);
        }
        for value in values {
            args.extend(["--set", value]);
        }
        split(&control_plane.helm(&args).await)
    }
}

/// An object as it can be applied again.
pub fn as_new(mut object: Value) -> Value {
    let metadata = object["metadata"].as_object_mut().expect("metadata");
    metadata.retain(|key, _| matches!(key.as_str(), "name" | "labels" | "annotations"));
    object
}

/// The custom resource definitions of a rendered chart, and everything else: the second may only be
/// applied when the first are served.
fn split(rendered: &str) -> (String, String) {
    let documents = rendered.split("\n---").map(|document| document.trim_start_matches("---"));
    let (definitions, rest): (Vec<_>, Vec<_>) = documents
        .partition(|document| document.lines().any(|line| line.trim_end() == "kind: CustomResourceDefinition"));
    (definitions.join("\n---\n"), rest.join("\n---\n"))
}

/// Waits until the control plane has looked at every validating policy. Its bindings exist by then, since
/// they were applied together.
async fn policies_are_seen(control_plane: &ControlPlane) {
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(control_plane.client(users::ADMIN).await);
    eventually("the admission policies are in force", LIMIT, async || {
        for policy in policies.list(&Default::default()).await.map_err(|error| error.to_string())? {
            let seen = policy.status.as_ref().and_then(|status| status.observed_generation);
            if seen != policy.metadata.generation {
                return Err(format!("{} is not checked yet", policy.name_any()));
            }
        }
        Ok(())
    })
    .await;
}

/// The running controller of the installed product.
pub struct Controller {
    process: Mutex<Running>,
    launch: Launch,
}

struct Running {
    process: Process,
    port: u16,
}

/// How the controller is started, each time.
struct Launch {
    folder: PathBuf,
    /// Of its log, and of its pod.
    name: String,
    kubeconfig: PathBuf,
    program: Mutex<PathBuf>,
    flags: Mutex<Vec<String>>,
}

impl Controller {
    /// Starts the controller as the chart's service account and waits until it says that it is ready.
    pub async fn start(control_plane: &ControlPlane) -> Self {
        Self::start_with(control_plane, "controller", &[]).await
    }

    /// The same as the pod `name`, with more flags.
    pub async fn start_with(control_plane: &ControlPlane, name: &str, flags: &[&str]) -> Self {
        let token = Self::token(control_plane).await;
        let kubeconfig = control_plane.kubeconfig_for_token(&format!("service-account-of-{name}"), &token);
        Self::start_as(control_plane, name, &kubeconfig, flags).await
    }

    /// Starts a controller as the pod `name`, with a kubeconfig and more flags, and waits until it is ready. Its log
    /// is `NAME.log`, and the audit log has the name.
    pub async fn start_as(control_plane: &ControlPlane, name: &str, kubeconfig: &Path, flags: &[&str]) -> Self {
        Self::start_program(&Self::program(), control_plane, name, kubeconfig, flags).await
    }

    /// The program that was built, or that is named in the environment.
    pub fn program() -> PathBuf {
        let given = std::env::var_os(PROGRAM).filter(|given| !given.is_empty());
        given.map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_daypass")), PathBuf::from)
    }

    /// The same with a program of another version.
    pub async fn start_program(
        program: &Path,
        control_plane: &ControlPlane,
        name: &str,
        kubeconfig: &Path,
        flags: &[&str],
    ) -> Self {
        let installed = Daypass::flags(control_plane).await.into_iter();
        let launch = Launch {
            folder: control_plane.dir().to_owned(),
            name: name.to_owned(),
            kubeconfig: kubeconfig.to_owned(),
            program: Mutex::new(program.to_owned()),
            flags: Mutex::new(installed.chain(flags.iter().map(|flag| (*flag).to_owned())).collect()),
        };
        let controller = Self { process: Mutex::new(launch.spawn()), launch };
        controller.ready().await;
        controller
    }

    /// A token of the chart's service account.
    pub async fn token(control_plane: &ControlPlane) -> String {
        let admin = control_plane.kubectl(users::ADMIN);
        let token = admin.ok(&["create", "token", "daypass", "--namespace", NAMESPACE, "--duration=24h"]).await;
        token.trim().to_owned()
    }

    /// Ends the controller at once, as a crash would.
    pub fn kill(&self) {
        self.running().process.kill();
    }

    /// Asks the controller to end, as a rollout would, and waits until it has.
    pub async fn terminate(&self) -> ExitStatus {
        self.ask_to_end();
        self.end().await
    }

    /// Asks the controller to end, as a rollout would.
    pub fn ask_to_end(&self) {
        self.running().process.ask_to_end();
    }

    /// Waits until the controller ends by itself.
    pub async fn end(&self) -> ExitStatus {
        eventually("the controller ends", LIMIT, async || {
            self.running().process.exited().ok_or_else(|| "it still runs".to_owned())
        })
        .await
    }

    /// Starts the controller again if it has ended, as the kubelet would. True when it had.
    pub fn revive(&self) -> bool {
        let ended = self.running().process.exited().is_some();
        if ended {
            self.start_again();
        }
        ended
    }

    /// Makes the controller's wall clock wrong by this many milliseconds, from now on and in its next lives. A release
    /// build has no ear for that.
    pub fn set_clock(&self, wrong_by: i64) {
        // A rename never shows half of it.
        let draft = self.launch.folder.join(format!("{}.clock-draft", self.launch.name));
        std::fs::write(&draft, wrong_by.to_string()).expect("write the offset of a clock");
        std::fs::rename(&draft, self.launch.clock()).expect("put the offset of a clock in place");
    }

    /// From its next start on, the controller takes this guard for what the chart made, as if its chart were another.
    pub fn hand_over(&self, guard: &str, digest: &str) {
        let prefix = format!("--guard={guard}=");
        let mut flags = self.launch.flags.lock().unwrap_or_else(PoisonError::into_inner);
        let flag = flags.iter_mut().find(|flag| flag.starts_with(&prefix)).expect("a guard of the chart");
        *flag = format!("{prefix}{digest}");
    }

    /// From its next start on, the controller is this program, and goes by the guards of the chart that is installed then.
    pub async fn become_program(&self, program: &Path, control_plane: &ControlPlane) {
        *self.launch.program.lock().unwrap_or_else(PoisonError::into_inner) = program.to_owned();
        let installed = Daypass::flags(control_plane).await;
        let mut flags = self.launch.flags.lock().unwrap_or_else(PoisonError::into_inner);
        flags.retain(|flag| !flag.starts_with("--guard=") && !flag.starts_with("--extra-key="));
        flags.extend(installed);
    }

    /// Stops the controller in its tracks, until it is thawed.
    pub fn freeze(&self) {
        signal("STOP", &self.pid().to_string());
    }

    /// Lets a frozen controller go on as if no time had passed.
    pub fn thaw(&self) {
        signal("CONT", &self.pid().to_string());
    }

    /// Kills the controller if it runs, starts it again and waits until it is ready.
    pub async fn restart(&self) {
        self.start_again();
        self.ready().await;
    }

    /// Kills the controller if it runs and starts it again.
    pub fn start_again(&self) {
        self.kill();
        let again = self.launch.spawn();
        *self.running() = again;
    }

    /// The status code and the body of `GET path` on the controller's own server.
    pub async fn get(&self, path: &str) -> Result<(u16, String), String> {
        let port = self.running().port;
        http::get(port, path).await
    }

    /// The port of its probes and metrics, until it is started again.
    pub fn port(&self) -> u16 {
        self.running().port
    }

    /// What `/metrics` says now of one figure, written as there: `name` or `name{label="value"}`.
    pub async fn metric(&self, figure: &str) -> f64 {
        let (status, text) = self.get("/metrics").await.expect("an answer");
        assert_eq!(status, 200, "{text}");
        let sample = text.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(' '));
        let sample = sample.unwrap_or_else(|| panic!("nothing is said of {figure}: {text}"));
        sample.parse().unwrap_or_else(|error| panic!("{figure} is {sample:?}: {error}"))
    }

    /// Everything that the controller wrote, in all its lives.
    pub fn log(&self) -> String {
        self.running().process.log()
    }

    pub fn pid(&self) -> u32 {
        self.running().process.pid()
    }

    async fn ready(&self) {
        eventually("the controller is ready", LIMIT, async || {
            if let Some(end) = self.running().process.gone() {
                panic!("{end}");
            }
            match self.get("/readyz").await? {
                (200, _) => Ok(()),
                (status, body) => Err(format!("/readyz answers {status}: {body}")),
            }
        })
        .await;
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        self.kill();
        records::check(&format!("{}/{}.log", self.launch.folder.display(), self.launch.name), &self.log());
    }
}

impl Launch {
    fn spawn(&self) -> Running {
        let [port] = free_ports();
        let mut args = vec![
            "controller".to_owned(),
            format!("--kubeconfig={}", self.kubeconfig.display()),
            format!("--listen=127.0.0.1:{port}"),
            format!("--instance={}", self.name),
        ];
        args.extend(self.flags.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned());
        let program = self.program.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let clock = self.clock().display().to_string();
        let env = [("RUST_LOG", "info"), ("DAYPASS_CLOCK_OFFSET", clock.as_str())];
        Running { process: Process::spawn(&self.folder, &self.name, &program, &args, &env), port }
    }

    /// The file that says by how many milliseconds its clock is wrong.
    fn clock(&self) -> PathBuf {
        self.folder.join(format!("{}.clock", self.name))
    }
}
