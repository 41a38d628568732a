//! Owns command lines as people type them: one kubeconfig with a context for each person, and the words of a line.

use std::path::Path;

use super::control_plane::ControlPlane;
use super::users;

/// Writes one kubeconfig with a context for each person. Who names none is the admin.
pub async fn contexts(control_plane: &ControlPlane, path: &Path) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("make the kubeconfig's folder");
    let _ = std::fs::remove_file(path);
    let kubectl = control_plane.kubectl_with(path);
    let (url, authority) = control_plane.address();
    let cluster = ["config", "set-cluster", "demo", "--server", &url];
    kubectl.ok(&[&cluster[..], &["--certificate-authority", &authority, "--embed-certs"]].concat()).await;
    for user in users::ALL {
        kubectl.ok(&["config", "set-credentials", user.name, "--token", &user.token()]).await;
        kubectl.ok(&["config", "set-context", user.name, "--cluster", "demo", "--user", user.name]).await;
    }
    kubectl.ok(&["config", "use-context", users::ADMIN.name]).await;
}

/// The words of a line, as a shell would split these: by spaces, but for what stands between single quotes.
pub fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    for letter in line.chars() {
        match letter {
            '\'' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.into_iter().chain(word).collect()
}
