//! Owns the webhook that writes identities, run as its pod would be: with the arguments of the chart's Deployment, the
//! files of its Secret as a kubelet mounts them, and an address behind its Service. Somebody else can be put in its place.

use std::net::{IpAddr, UdpSocket};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::json;

use super::control_plane::ControlPlane;
use super::install::{Controller, NAMESPACE};
use super::process::Process;
use super::readiness;
use super::servers::free_ports;
use super::users;

/// Name of its Deployment, its Service and the Secret with its certificate.
pub const NAME: &str = "daypass-stamp";

/// The running webhook.
pub struct Webhook {
    process: Process,
}

impl Webhook {
    /// Starts the one that is installed, and waits until it is ready. None when the chart has none.
    pub async fn start(control_plane: &ControlPlane) -> Option<Self> {
        let client = control_plane.client(users::ADMIN).await;
        let deployments: Api<Deployment> = Api::namespaced(client, NAMESPACE);
        let installed = deployments.get_opt(NAME).await.expect("look for the webhook")?;
        let certificates = mount_certificate(control_plane).await;
        let (address, [calls]) = (address(), free_ports());
        let [probes] = free_ports();
        let pod = installed.spec.and_then(|spec| spec.template.spec).expect("a pod");
        let args = pod.containers.into_iter().filter_map(|container| container.args).flatten();
        let here = |arg: String| match arg.split_once('=') {
            Some(("--listen", "0.0.0.0:8443")) => format!("--listen={address}:{calls}"),
            Some(("--probes", "0.0.0.0:8080")) => format!("--probes=127.0.0.1:{probes}"),
            Some(("--certificates", "/certificates")) => format!("--certificates={}", certificates.display()),
            _ => arg,
        };
        let args: Vec<String> = args.map(here).collect();
        let process = Process::spawn(control_plane.dir(), NAME, &Controller::program(), &args, &[("RUST_LOG", "info")]);
        let mut webhook = Self { process };
        readiness::process("the webhook is ready", &mut webhook.process, probes).await;
        lead_to(control_plane, address, calls).await;
        Some(webhook)
    }

    /// Everything that it wrote.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// Puts an address of this machine behind the webhook's Service, as Kubernetes does for the addresses of pods.
pub async fn lead_to(control_plane: &ControlPlane, address: IpAddr, port: u16) {
    lead(control_plane, NAME, address, port).await;
}

/// The same for a Service of this name.
pub async fn lead(control_plane: &ControlPlane, name: &str, address: IpAddr, port: u16) {
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": name, "namespace": NAMESPACE, "labels": { "kubernetes.io/service-name": name }
        },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": [address], "conditions": { "ready": true } }],
        "ports": [{ "name": "https", "port": port, "protocol": "TCP" }]
    });
    let admin = control_plane.kubectl(users::ADMIN);
    admin.apply_server_side(&slice.to_string()).await;
    // The older form, by which API servers of 1.33 find a webhook.
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": { "name": name, "namespace": NAMESPACE },
        "subsets": [{ "addresses": [{ "ip": address }], "ports": [{ "name": "https", "port": port, "protocol": "TCP" }] }]
    });
    admin.apply_server_side(&endpoints.to_string()).await;
}

/// An address of this machine that is no loopback one, which no endpoint may have.
pub fn address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("open a socket");
    // Nothing is sent; it only chooses the address that would be sent from.
    socket
        .connect("192.0.2.1:9")
        .expect("this machine has no address but the loopback one, and the API server takes no such");
    socket.local_addr().expect("an address").ip()
}

/// Mounts the Secret as a kubelet does, and again when it has changed: the files lead through a link that is swapped.
pub async fn mount_certificate(control_plane: &ControlPlane) -> PathBuf {
    let secrets: Api<Secret> = Api::namespaced(control_plane.client(users::ADMIN).await, NAMESPACE);
    let data = secrets.get(NAME).await.expect("the Secret of the webhook").data.expect("data");
    let folder = control_plane.dir().join("stamp-certificates");
    std::fs::create_dir_all(&folder).expect("make a folder");
    let version = tempfile::Builder::new().prefix("..").tempdir_in(&folder).expect("make a folder").keep();
    let (draft, link) = (folder.join("..data_tmp"), folder.join("..data"));
    for file in ["tls.crt", "tls.key"] {
        std::fs::write(version.join(file), &data[file].0).expect("write a file of the Secret");
    }
    symlink(version.file_name().expect("a name"), &draft).expect("make a link");
    std::fs::rename(&draft, &link).expect("swap the link");
    for file in ["tls.crt", "tls.key"] {
        let path = folder.join(file);
        if path.symlink_metadata().is_err() {
            symlink(Path::new("..data").join(file), path).expect("make a link");
        }
    }
    folder
}
