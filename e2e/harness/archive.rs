//! Owns a running `daypass-archive` of an installed chart, started as its pod would be and as its own account, and what a
//! controller needs to deliver to it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client, Config};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::control_plane::ControlPlane;
use super::install::NAMESPACE;
use super::process::{Process, signal};
use super::servers::free_ports;
use super::users::ADMIN;
use super::{http, readiness, tail, webhook};

/// Name of the archive's objects and of its account.
pub const ARCHIVE: &str = "daypass-archive";
/// The file of the authority of its certificate.
const AUTHORITY: &str = "ca.crt";
/// Its program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_daypass-archive");

/// Where an archive keeps records.
pub enum ArchiveDatabase {
    File(PathBuf),
    Postgres(String),
}

/// An archive on a control plane whose chart has one.
pub struct RunningArchive {
    address: IpAddr,
    port: u16,
    /// Of the control plane.
    dir: PathBuf,
    folder: PathBuf,
    database: ArchiveDatabase,
    /// The arguments of its container and the kubeconfig of its account.
    args: Vec<String>,
    process: Option<Process>,
    /// Port of its probes.
    probes: u16,
}

impl fmt::Display for ArchiveDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => write!(f, "--database={}", file.display()),
            Self::Postgres(url) => write!(f, "--database-url={url}"),
        }
    }
}

impl RunningArchive {
    /// Starts it on a file of its own, and waits until the API server serves it.
    pub async fn start(control_plane: &ControlPlane) -> Self {
        let file = control_plane.dir().join("archive/archive.db");
        Self::start_on(control_plane, ArchiveDatabase::File(file)).await
    }

    /// Starts it on this database.
    pub async fn start_on(control_plane: &ControlPlane, database: ArchiveDatabase) -> Self {
        let (address, [port]) = (webhook::address(), free_ports());
        let folder = control_plane.dir().join("archive");
        std::fs::create_dir_all(&folder).expect("make a folder");
        let admin = control_plane.kubectl(ADMIN);
        write_files(control_plane, &folder).await;
        let push = ["create", "token", "daypass", "-n", NAMESPACE, "--audience=daypass-archive", "--duration=24h"];
        std::fs::write(folder.join("token"), admin.ok(&push).await.trim()).expect("write the token");
        webhook::lead(control_plane, ARCHIVE, address, port).await;
        let token = admin.ok(&["create", "token", ARCHIVE, "-n", NAMESPACE, "--duration=24h"]).await;
        let kubeconfig = control_plane.kubeconfig_for_token("service-account-daypass-archive", token.trim());
        let mut args = arguments(control_plane).await;
        args.push(format!("--kubeconfig={}", kubeconfig.display()));
        let dir = control_plane.dir().to_owned();
        let mut archive = Self { address, port, dir, folder, database, args, process: None, probes: 0 };
        archive.run().await;
        admin.ok(&["wait", "--for=condition=Available", "--timeout=60s", "apiservice/v1.archive.daypass.dev"]).await;
        archive
    }

    /// Starts it again on its database, and waits until it is ready.
    pub async fn run(&mut self) {
        let [probed] = free_ports();
        let at = |name: &str| self.folder.join(name).display().to_string();
        // As its pod is started, in places of this machine.
        let places = [
            ("--listen=0.0.0.0:8443", format!("--listen={}:{}", self.address, self.port)),
            ("--probes=0.0.0.0:8080", format!("--probes=127.0.0.1:{probed}")),
            ("--certificates=/certificates", format!("--certificates={}", self.folder.display())),
            ("--database=/data/archive.db", self.database.to_string()),
            ("--config=/config/archive.yaml", format!("--config={}", at("archive.yaml"))),
        ];
        let here = |arg: &String| places.iter().find(|(of_pod, _)| arg == of_pod).map_or(arg, |(_, here)| here).clone();
        let args: Vec<String> = self.args.iter().map(here).collect();
        let mut process = Process::spawn(&self.dir, ARCHIVE, Path::new(PROGRAM), &args, &[]);
        readiness::process("the archive is ready", &mut process, probed).await;
        (self.process, self.probes) = (Some(process), probed);
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Takes its database away. It must not run.
    pub fn forget_all(&self) {
        assert!(self.process.is_none(), "the archive runs");
        for file in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{file}", self.database().display()));
        }
    }

    /// Stops it in its tracks, until it is thawed.
    pub fn freeze(&self) {
        self.send("STOP");
    }

    /// Lets it go on as if no time had passed.
    pub fn thaw(&self) {
        self.send("CONT");
    }

    fn send(&self, name: &str) {
        let process = self.process.as_ref().expect("an archive that runs");
        signal(name, &process.pid().to_string());
    }

    /// A figure of its, by its name and labels as they stand in the text.
    pub async fn figure(&self, name: &str) -> Result<f64, String> {
        tail::figure(self.probes, name).await
    }

    /// All that it tells of itself.
    pub async fn told(&self) -> String {
        http::get(self.probes, "/metrics").await.expect("its figures").1
    }

    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("an archive that runs").pid()
    }

    /// The file of its database.
    pub fn database(&self) -> &Path {
        match &self.database {
            ArchiveDatabase::File(file) => file,
            ArchiveDatabase::Postgres(url) => panic!("its database is no file: {url}"),
        }
    }

    /// Where it listens.
    pub fn listens(&self) -> SocketAddr {
        (self.address, self.port).into()
    }

    /// Its own address.
    pub fn url(&self) -> String {
        format!("https://{}:{}", self.address, self.port)
    }

    /// The authority of its certificate, in PEM.
    pub fn authority(&self) -> Vec<u8> {
        std::fs::read(self.folder.join(AUTHORITY)).expect("read the authority of the archive")
    }

    /// A client of it, with a token, and not by way of the API server.
    pub fn client(&self, token: &str) -> Client {
        let certificate = CertificateDer::from_pem_slice(&self.authority()).expect("a certificate");
        let mut config = Config::new(self.url().parse().expect("a URL"));
        config.root_cert = Some(vec![certificate.to_vec()]);
        config.tls_server_name = Some(format!("{ARCHIVE}.{NAMESPACE}.svc"));
        config.auth_info.token = Some(token.to_owned().into());
        Client::try_from(config).expect("make a client")
    }

    /// What tells a controller to deliver to it.
    pub fn flags(&self) -> Vec<String> {
        self.flags_by(self.listens())
    }

    /// The same by a line that leads to it.
    pub fn flags_by(&self, line: SocketAddr) -> Vec<String> {
        let file = |name: &str| self.folder.join(name).display().to_string();
        vec![
            format!("--archive=https://{line}"),
            format!("--archive-ca={}", file(AUTHORITY)),
            format!("--archive-token={}", file("token")),
            format!("--archive-server-name={ARCHIVE}.{NAMESPACE}.svc"),
        ]
    }
}

/// The files that its pod mounts, of its Secret and of its ConfigMap.
pub async fn write_files(control_plane: &ControlPlane, folder: &Path) {
    let client = control_plane.client(ADMIN).await;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let data = secrets.get(ARCHIVE).await.expect("the Secret of the archive").data.expect("data");
    for file in ["tls.crt", "tls.key", AUTHORITY] {
        std::fs::write(folder.join(file), &data[file].0).expect("write a file of the Secret");
    }
    let maps: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
    let files = maps.get_opt(ARCHIVE).await.expect("ask for its files").and_then(|map| map.data);
    for (file, text) in files.into_iter().flatten() {
        let text = text.replace("/config/", &format!("{}/", folder.display()));
        std::fs::write(folder.join(file), text).expect("write a file of the ConfigMap");
    }
}

/// What its container is started with.
async fn arguments(control_plane: &ControlPlane) -> Vec<String> {
    let deployments: Api<Deployment> = Api::namespaced(control_plane.client(ADMIN).await, NAMESPACE);
    let deployment = deployments.get(ARCHIVE).await.expect("the Deployment of the archive");
    let containers = deployment.spec.and_then(|spec| spec.template.spec).expect("a pod").containers;
    containers.into_iter().find_map(|container| container.args).expect("arguments")
}
