//! Owns a running `daypass-archive` of an installed chart, as its own account, and what a controller needs to deliver to it.

use std::net::IpAddr;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use super::control_plane::ControlPlane;
use super::install::NAMESPACE;
use super::process::Process;
use super::servers::free_ports;
use super::users::ADMIN;
use super::{readiness, webhook};

/// Name of the archive's objects and of its account.
pub const ARCHIVE: &str = "daypass-archive";

/// An archive on a control plane whose chart has one.
pub struct RunningArchive {
    address: IpAddr,
    port: u16,
    /// Of the control plane.
    dir: PathBuf,
    folder: PathBuf,
    kubeconfig: PathBuf,
    process: Option<Process>,
}

impl RunningArchive {
    /// Starts it, and waits until the API server serves it.
    pub async fn start(control_plane: &ControlPlane) -> Self {
        let (address, [port]) = (webhook::address(), free_ports());
        let folder = control_plane.dir().join("archive");
        std::fs::create_dir_all(&folder).expect("make a folder");
        let admin = control_plane.kubectl(ADMIN);
        let secrets: Api<Secret> = Api::namespaced(control_plane.client(ADMIN).await, NAMESPACE);
        let data = secrets.get(ARCHIVE).await.expect("the Secret of the archive").data.expect("data");
        for file in ["tls.crt", "tls.key", "ca.crt"] {
            std::fs::write(folder.join(file), &data[file].0).expect("write a file of the Secret");
        }
        let push = ["create", "token", "daypass", "-n", NAMESPACE, "--audience=daypass-archive", "--duration=24h"];
        std::fs::write(folder.join("token"), admin.ok(&push).await.trim()).expect("write the token");
        webhook::lead(control_plane, ARCHIVE, address, port).await;
        let token = admin.ok(&["create", "token", ARCHIVE, "-n", NAMESPACE, "--duration=24h"]).await;
        let kubeconfig = control_plane.kubeconfig_for_token("service-account-daypass-archive", token.trim());
        let dir = control_plane.dir().to_owned();
        let mut archive = Self { address, port, dir, folder, kubeconfig, process: None };
        archive.run().await;
        admin.ok(&["wait", "--for=condition=Available", "--timeout=60s", "apiservice/v1.archive.daypass.dev"]).await;
        archive
    }

    /// Starts it again on its database, and waits until it is ready.
    pub async fn run(&mut self) {
        let [probed] = free_ports();
        let args = [
            format!("--listen={}:{}", self.address, self.port),
            format!("--probes=127.0.0.1:{probed}"),
            format!("--certificates={}", self.folder.display()),
            format!("--database={}", self.database().display()),
            format!("--kubeconfig={}", self.kubeconfig.display()),
        ];
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_daypass-archive"));
        let mut process = Process::spawn(&self.dir, ARCHIVE, program, &args, &[]);
        readiness::process("the archive is ready", &mut process, probed).await;
        self.process = Some(process);
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Its database.
    pub fn database(&self) -> PathBuf {
        self.folder.join("archive.db")
    }

    /// What tells a controller to deliver to it.
    pub fn flags(&self) -> Vec<String> {
        let file = |name: &str| self.folder.join(name).display().to_string();
        vec![
            format!("--archive=https://{}:{}", self.address, self.port),
            format!("--archive-ca={}", file("ca.crt")),
            format!("--archive-token={}", file("token")),
            format!("--archive-server-name={ARCHIVE}.{NAMESPACE}.svc"),
        ]
    }
}
