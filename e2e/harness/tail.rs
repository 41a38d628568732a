//! Owns a running `daypass-archive tail` of an installed chart: started as the pod of its DaemonSet would be, with a token of
//! its account, on the log of the control plane.

use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::DaemonSet;
use kube::Api;

use super::archive::{ARCHIVE, PROGRAM, RunningArchive};
use super::control_plane::ControlPlane;
use super::install::NAMESPACE;
use super::process::Process;
use super::servers::free_ports;
use super::users::ADMIN;
use super::{http, readiness};

/// Name of its DaemonSet and its account.
pub const TAIL: &str = "daypass-archive-tail";
/// The audience of its token.
pub const AUDIENCE: &str = "daypass-archive-audit";

/// A tail of the log of a control plane.
pub struct RunningTail {
    dir: PathBuf,
    args: Vec<String>,
    probes: u16,
    process: Option<Process>,
}

impl RunningTail {
    /// Starts it. Whether it is ready is not waited for.
    pub async fn start(control_plane: &ControlPlane, archive: &RunningArchive) -> Self {
        let folder = control_plane.dir().join("tail");
        std::fs::create_dir_all(&folder).expect("make a folder");
        let audience = format!("--audience={AUDIENCE}");
        let admin = control_plane.kubectl(ADMIN);
        let token = admin.ok(&["create", "token", TAIL, "-n", NAMESPACE, &audience, "--duration=24h"]).await;
        std::fs::write(folder.join("token"), token.trim()).expect("write the token");
        std::fs::write(folder.join("ca.crt"), archive.authority()).expect("write the authority");
        let sets: Api<DaemonSet> = Api::namespaced(control_plane.client(ADMIN).await, NAMESPACE);
        let set = sets.get(TAIL).await.expect("the DaemonSet of the tail");
        let containers = set.spec.and_then(|spec| spec.template.spec).expect("a pod").containers;
        let args = containers.into_iter().find_map(|container| container.args).expect("arguments");
        let [probes] = free_ports();
        let at = |name: &str| folder.join(name).display().to_string();
        let here = |arg: String| match arg.split_once('=') {
            Some(("--audit-log", _)) => format!("--audit-log={}", control_plane.audit_log_file().display()),
            Some(("--archive", _)) => format!("--archive={}", archive.url()),
            Some(("--archive-ca", _)) => format!("--archive-ca={}", at("ca.crt")),
            Some(("--archive-token", _)) => format!("--archive-token={}", at("token")),
            Some(("--state", _)) => format!("--state={}", at("position.json")),
            Some(("--probes", _)) => format!("--probes=127.0.0.1:{probes}"),
            _ => arg,
        };
        let mut args: Vec<String> = args.into_iter().map(here).collect();
        args.push(format!("--archive-server-name={ARCHIVE}.{NAMESPACE}.svc"));
        let mut tail = Self { dir: control_plane.dir().to_owned(), args, probes, process: None };
        tail.run();
        tail
    }

    /// Starts it again where it was.
    pub fn run(&mut self) {
        self.process = Some(Process::spawn(&self.dir, TAIL, Path::new(PROGRAM), &self.args, &[]));
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Waits until the archive has taken what it read.
    pub async fn until_ready(&mut self) {
        let process = self.process.as_mut().expect("a tail that runs");
        readiness::process("the tail is ready", process, self.probes).await;
    }

    /// A figure of its, by its name and labels as they stand in the text.
    pub async fn figure(&self, name: &str) -> Result<f64, String> {
        figure(self.probes, name).await
    }

    /// All that it tells of itself.
    pub async fn told(&self) -> String {
        http::get(self.probes, "/metrics").await.expect("its figures").1
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("a tail that runs").pid()
    }
}

/// A figure that a process tells at the port of its probes; 0, where it does not name it yet.
pub async fn figure(probes: u16, name: &str) -> Result<f64, String> {
    let (code, text) = http::get(probes, "/metrics").await?;
    if code != 200 {
        return Err(format!("/metrics answers {code}: {text}"));
    }
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(Ok(0.0), |number| number.trim().parse().map_err(|error| format!("{name}: {error}")))
}
