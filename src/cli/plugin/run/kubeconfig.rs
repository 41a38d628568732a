//! The kubeconfig that leads a command to the endpoint, in a folder that only the user can enter.
//!
//! It must not hold any login of the caller's. What is in it is of no use once the endpoint is closed.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rustls::crypto::CryptoProvider;
use serde_json::json;

use super::endpoint::Endpoint;
use crate::cli::plugin::cluster::Cluster;

/// Names of the context, cluster and user where the caller's kubeconfig has none.
const NAMELESS: &str = "daypass-run";

/// A kubeconfig in a folder of its own, which goes with this value.
pub struct RunKubeconfig {
    folder: PathBuf,
}

impl RunKubeconfig {
    /// Writes it.
    ///
    /// # Errors
    /// When no folder or file can be made.
    pub fn write(endpoint: &Endpoint, cluster: &Cluster) -> io::Result<Self> {
        let made = Self { folder: fresh_folder()? };
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(made.file())?.write_all(text(endpoint, cluster).as_bytes())?;
        Ok(made)
    }

    /// The file.
    pub fn file(&self) -> PathBuf {
        self.folder.join("config")
    }

    /// Where kubectl keeps what it has learnt of the cluster. It tells clusters apart by host and port, and another run may
    /// have the same port for another cluster.
    pub fn cache(&self) -> PathBuf {
        self.folder.join("cache")
    }
}

impl Drop for RunKubeconfig {
    fn drop(&mut self) {
        // The command may still write into the cache; what remains is of no use to anybody.
        let _ = std::fs::remove_file(self.file());
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A new folder for the user alone: where such folders go with the session, or else where temporary files are.
fn fresh_folder() -> io::Result<PathBuf> {
    let session = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let made = session.and_then(|session| fresh_folder_in(&session).ok());
    made.map_or_else(|| fresh_folder_in(&std::env::temp_dir()), Ok)
}

/// Fails when the name is taken already, so nobody can have laid the folder out beforehand.
fn fresh_folder_in(parent: &Path) -> io::Result<PathBuf> {
    let mut name = [0; 12];
    let provider = CryptoProvider::get_default().ok_or_else(|| io::Error::other("no cryptography is installed"))?;
    provider.secure_random.fill(&mut name).map_err(|_| io::Error::other("there are no random numbers"))?;
    let folder = parent.join(format!("daypass-run-{}", BASE64_URL_SAFE_NO_PAD.encode(name)));
    #[cfg_attr(not(unix), expect(unused_mut))]
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    std::fs::DirBuilder::create(&builder, &folder)?;
    Ok(folder)
}

fn text(endpoint: &Endpoint, cluster: &Cluster) -> String {
    let context = cluster.place.context.as_deref().unwrap_or(NAMELESS);
    let user = Some(cluster.place.user.as_str()).filter(|user| !user.is_empty()).unwrap_or(NAMELESS);
    let authority = BASE64_STANDARD.encode(&endpoint.authority);
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": context,
        "clusters": [{
            "name": context,
            "cluster": { "server": endpoint.server, "certificate-authority-data": authority }
        }],
        "users": [{ "name": user, "user": { "token": endpoint.token } }],
        "contexts": [{
            "name": context,
            "context": { "cluster": context, "user": user, "namespace": cluster.namespace }
        }]
    })
    .to_string()
}
