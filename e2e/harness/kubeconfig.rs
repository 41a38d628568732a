//! Owns kubeconfig files: how any client is told where the API server is and who it is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};

/// Writes the kubeconfig of the user `name`, who has `token`, into `folder` and returns its path.
pub fn write(folder: &Path, name: &str, server: &str, authority: &Path, token: &str) -> PathBuf {
    let content = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "e2e",
        "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": name}}],
        "clusters": [{"name": "e2e", "cluster": {"server": server, "certificate-authority": authority}}],
        "users": [{"name": name, "user": {"token": token}}],
    });
    std::fs::create_dir_all(folder).expect("create the folder of the kubeconfig files");
    let path = folder.join(format!("{name}.json"));
    // Trials write the same file at the same time; a rename never shows a reader half of it.
    let draft = tempfile::NamedTempFile::new_in(folder).expect("create a kubeconfig");
    std::fs::write(draft.path(), content.to_string()).expect("write a kubeconfig");
    draft.persist(&path).expect("put a kubeconfig in place");
    path
}

/// A client with the identity of a kubeconfig file. It belongs to the runtime it was made on.
pub async fn client(path: &Path) -> kube::Client {
    connected(config(path).await)
}

/// A client of the same API server that says nothing of who it is.
pub async fn anonymous(path: &Path) -> kube::Client {
    let mut config = config(path).await;
    config.auth_info = kube::config::AuthInfo::default();
    connected(config)
}

/// A client that connects as the controller does, so that no trial waits for the socket alone.
fn connected(config: kube::Config) -> kube::Client {
    daypass::runtime::connection::builder(config).expect("make a client").build()
}

async fn config(path: &Path) -> kube::Config {
    let file = Kubeconfig::read_from(path).expect("read the kubeconfig");
    let mut config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .expect("understand the kubeconfig");
    // A test wants the first answer, soon: no silent retries, no proxy of the developer's machine.
    config.read_timeout = Some(Duration::from_secs(15));
    config.default_retry = false;
    config.proxy_url = None;
    config
}
