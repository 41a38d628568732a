//! What every command says to whoever may not do it, or has no cluster.

use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::draft;
use crate::harness::plugin::Plugin;
use crate::harness::users::{ADMIN, GRETA, MALLORY};
use crate::harness::{Cluster, private, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("plugin::each_command_names_the_right_that_is_missing", no_rights),
        shared("plugin::each_command_says_that_the_cluster_is_away", away),
        private("plugin::each_command_copes_with_a_cluster_without_policies", no_policy),
    ]
}

/// Every command that talks to a cluster, with the exit code of its errors, and the call that it makes first.
const COMMANDS: [(&[&str], i32, &str); 14] = [
    (&["request", "edit", "--reason=x"], 1, "create selfsubjectreviews"),
    (&["extend", "fix", "--by=5m"], 1, "get accessrequests in namespace default"),
    (&["again", "fix"], 1, "get accessrequests in namespace default"),
    (&["list"], 1, "list accessrequests in namespace default"),
    (&["list", "-A"], 1, "list accessrequests in all namespaces"),
    (&["watch", "--everyone"], 1, "watch accessrequests in namespace default"),
    (&["show", "fix"], 1, "get accessrequests in namespace default"),
    (&["pending", "-A"], 1, "create selfsubjectreviews"),
    (&["approve", "fix", "--yes"], 1, "create selfsubjectreviews"),
    (&["deny", "fix", "--yes"], 1, "create selfsubjectreviews"),
    (&["revoke", "fix", "--yes"], 1, "create selfsubjectreviews"),
    (&["drop", "fix"], 1, "create selfsubjectreviews"),
    (&["explain", "fix"], 1, "get accessrequests in namespace default"),
    (&["policy", "lint", "--cluster"], 2, "list accesspolicies"),
];

async fn no_rights(cluster: Arc<Cluster>) {
    let kubeconfig = cluster.control_plane.kubeconfig(MALLORY);
    let mut kubeconfig: Value = serde_json::from_str(&std::fs::read_to_string(kubeconfig).unwrap()).unwrap();
    // Whoever does not log in is let in as nobody, and may do nothing of this.
    kubeconfig["users"][0]["user"] = json!({});
    let nobody = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(nobody.path(), kubeconfig.to_string()).unwrap();
    let nobody = Plugin::with(nobody.path());
    for (args, code, what) in COMMANDS {
        let (out, err) = nobody.ends(args, code).await;
        assert!(out.is_empty() && err.contains(&format!("you may not {what}")), "{args:?}: {out}{err}");
    }
}

async fn away(cluster: Arc<Cluster>) {
    let greta = Plugin::of(&cluster, GRETA);
    for (args, code, what) in COMMANDS {
        let (out, err) = greta.ends(&[args, &["--server=https://127.0.0.1:1"]].concat(), code).await;
        assert!(out.is_empty() && err.contains(&format!("cannot {what}")), "{args:?}: {out}{err}");
    }
}

async fn no_policy(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("bare").await;
    let admin = Plugin::of(&cluster, ADMIN);
    let asks = ["request", "edit", "--reason=x", "-n", &namespace];
    let (out, err) = admin.ends(&asks, 3).await;
    assert!(out.starts_with("would be denied"), "{out}{err}");
    let file = draft(&namespace, json!({}));
    let file = file.path().display().to_string();
    let out = admin.done(&["explain", "-f", &file]).await;
    assert!(out.contains("denied because"), "{out}");
    let (out, err) = admin.ends(&["pending", "-A"], 0).await;
    assert!(out.is_empty(), "{out}{err}");
    assert_eq!(admin.done(&["policy", "lint", "--cluster"]).await, "0 policies, 0 warnings\n");
}
