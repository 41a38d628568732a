//! Owns where the programs of the control plane are found.

use std::path::{Path, PathBuf};

/// The folder of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The programs that the harness runs.
pub struct Binaries {
    pub etcd: PathBuf,
    pub kube_apiserver: PathBuf,
    pub kube_controller_manager: PathBuf,
    pub kubectl: PathBuf,
    pub helm: PathBuf,
}

impl Binaries {
    /// Finds every program: first in the folder that `KUBEBUILDER_ASSETS` names, then in `target/controlplane`.
    pub fn find() -> Result<Self, String> {
        let mut folders = Vec::new();
        if let Some(assets) = std::env::var_os("KUBEBUILDER_ASSETS").filter(|assets| !assets.is_empty()) {
            folders.push(PathBuf::from(assets));
        }
        folders.push(repository().join("target/controlplane"));
        let find = |name: &str| {
            folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file()).ok_or_else(|| {
                let looked: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
                format!("{name} is not built (looked in {}): run `make controlplane`", looked.join(" and "))
            })
        };
        Ok(Self {
            etcd: find("etcd")?,
            kube_apiserver: find("kube-apiserver")?,
            kube_controller_manager: find("kube-controller-manager")?,
            kubectl: find("kubectl")?,
            helm: find("helm")?,
        })
    }
}
