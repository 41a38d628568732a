//! Owns how a program is run as in a pod: its service account lies where a kubelet mounts it, and nowhere else.

use std::path::Path;

use tempfile::TempDir;

use super::cluster::Cluster;
use super::control_plane::ControlPlane;
use super::users::ADMIN;

/// Mounts the folder `$0` as a kubelet does, seen by nobody else, and runs the rest of its arguments.
const MOUNT: &str = "mount -t tmpfs tmpfs /run && mkdir -p /run/secrets/kubernetes.io && \
    cp -r \"$0\" /run/secrets/kubernetes.io/serviceaccount && exec \"$@\"";

/// Whether this machine lets a program have mounts of its own.
pub fn can_be_one() -> bool {
    let tried = std::process::Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/run"]).status();
    let run = Path::new("/var/run").canonicalize();
    tried.is_ok_and(|status| status.success()) && run.is_ok_and(|run| run == Path::new("/run"))
}

/// The arguments of `unshare` before a program and its arguments.
pub fn before(account: &TempDir) -> [&str; 5] {
    ["-rm", "sh", "-c", MOUNT, account.path().to_str().expect("a path")]
}

/// What a kubelet tells every pod.
pub fn variables(control_plane: &ControlPlane) -> [(&'static str, String); 2] {
    let (server, _) = control_plane.address();
    let (host, port) = server.trim_start_matches("https://").split_once(':').expect("host and port");
    [("KUBERNETES_SERVICE_HOST", host.to_owned()), ("KUBERNETES_SERVICE_PORT", port.to_owned())]
}

/// The files of a service account.
pub async fn account(cluster: &Cluster, namespace: &str, name: &str) -> TempDir {
    let token = cluster.kubectl(ADMIN).ok(&["create", "token", name, "-n", namespace]).await;
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(cluster.control_plane.address().1, folder.path().join("ca.crt")).expect("copy the certificate");
    std::fs::write(folder.path().join("token"), token.trim()).expect("write the token");
    std::fs::write(folder.path().join("namespace"), namespace).expect("write the namespace");
    folder
}
