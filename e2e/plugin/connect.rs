//! Which cluster and as whom: what kubectl takes, the plugin takes.

use std::path::PathBuf;
use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::plugin::{Plugin, only_request};
use crate::harness::users::{ADMIN, ALICE, GRETA, MALLORY, User};
use crate::harness::{Cluster, binaries, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("plugin::kubectl_finds_it", found),
        shared("plugin::says_its_exit_codes_and_keeps_to_them", exit_codes),
        shared("plugin::several_kubeconfigs_are_merged_and_a_context_is_chosen", merged),
        shared("plugin::impersonates_and_logs_in_as_kubectl_does", as_others),
        shared("plugin::says_that_the_cluster_is_away_or_the_login_expired", away),
    ]
}

async fn found(cluster: Arc<Cluster>) {
    let kubectl = binaries::Binaries::find().unwrap().kubectl;
    let out = Plugin::of(&cluster, ALICE).through(&kubectl).done(&["daypass", "--help"]).await;
    assert!(out.contains("Usage: kubectl daypass") && out.contains("explain"), "{out}");
}

async fn exit_codes(_: Arc<Cluster>) {
    let plugin = Plugin::without_cluster();
    let help = plugin.done(&["--help"]).await;
    assert!(help.contains("Exit codes:\n  0  done\n  1  error\n  2  "), "{help}");
    for args in [&["show"][..], &["nonsense"], &["list", "--as-group=dev"], &["list", "--state=Done"], &[]] {
        plugin.ends(args, 2).await;
    }
    let (_, err) = plugin.ends(&["request", "edit", "--reason=x", "--for=soon"], 2).await;
    assert!(err.contains("--for: ") && err.contains("write 30m or 1h30m"), "{err}");
    let (_, err) = plugin.ends(&["list"], 1).await;
    assert!(err.contains("kubeconfig"), "{err}");
}

fn read(cluster: &Cluster, user: User) -> Value {
    serde_json::from_str(&std::fs::read_to_string(cluster.control_plane.kubeconfig(user)).unwrap()).unwrap()
}

/// A kubeconfig with its context and user named anew, in a folder.
fn renamed(folder: &std::path::Path, mut kubeconfig: Value, name: &str, namespace: &str) -> PathBuf {
    let cluster = kubeconfig["contexts"][0]["context"]["cluster"].clone();
    kubeconfig["users"][0]["name"] = json!(name);
    kubeconfig["contexts"] =
        json!([{ "name": name, "context": { "cluster": cluster, "user": name, "namespace": namespace } }]);
    kubeconfig["current-context"] = json!(name);
    let path = folder.join(name);
    std::fs::write(&path, kubeconfig.to_string()).unwrap();
    path
}

async fn merged(cluster: Arc<Cluster>) {
    let folder = tempfile::tempdir().unwrap();
    let namespace = cluster.namespace("merged").await;
    let files = [(MALLORY, "first"), (ALICE, "second")]
        .map(|(user, name)| renamed(folder.path(), read(&cluster, user), name, &namespace).display().to_string());
    let plugin = Plugin::with(files.join(":").as_ref());
    // The first file says which context is meant, and a flag says otherwise.
    plugin.ends(&["request", "edit", "--reason=x", "--no-wait", "--context=second"], 0).await;
    let name = only_request(&cluster, &namespace).await;
    let mine = plugin.done(&["list", "-o", "name", "--context", "second"]).await;
    assert_eq!(mine, format!("accessrequest.daypass.dev/{name}\n"));
    let (out, err) = plugin.ends(&["list", "-o", "name"], 0).await;
    assert_eq!(out, "", "{err}");
    let out = plugin.done(&["list", "--kubeconfig", &files[1], "-o", "name"]).await;
    assert_eq!(out, mine);
}

async fn as_others(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("other").await;
    let asks = ["request", "edit", "--reason=x", "--no-wait", "-n", &namespace];
    let admin = Plugin::of(&cluster, ADMIN);
    let flags = ["--as=alice", "--as-group=dev", "--as-group=system:authenticated", "--as-uid=u-alice"];
    admin.ends(&[&asks[..], &flags].concat(), 0).await;
    let name = only_request(&cluster, &namespace).await;
    let made = cluster.requests(&namespace).await.get(&name).await.unwrap();
    let who = made.spec.requester.unwrap();
    assert_eq!((who.username.as_str(), who.uid.as_deref()), ("alice", Some("u-alice")));
    assert_eq!(who.groups, ["dev", "system:authenticated"]);
    // alice finds it as hers, by her own login and by her token in place of another's.
    let own = ["list", "-n", &namespace, "-o", "jsonpath={.items[*].metadata.name}"];
    assert_eq!(Plugin::of(&cluster, ALICE).done(&own).await, name);
    let (token, mallory) = (ALICE.token(), Plugin::of(&cluster, MALLORY));
    assert_eq!(mallory.done(&[&own[..], &["--token", &token]].concat()).await, name);
    assert_eq!(mallory.done(&own).await, "");
    // Who may not impersonate is told so by the API server.
    let (_, err) = mallory.ends(&[&own[..], &["--as", "alice"]].concat(), 1).await;
    assert!(err.contains("you may not act as somebody else: leave --as out"), "{err}");
}

async fn away(cluster: Arc<Cluster>) {
    let greta = Plugin::of(&cluster, GRETA);
    let (_, err) = greta.ends(&["list", "--server", "https://127.0.0.1:1"], 1).await;
    assert!(
        err.contains("cannot list accessrequests in namespace default: https://127.0.0.1:1 (context e2e)"),
        "{err}"
    );
    // What the doctor proposes leads to the same cluster, and the report for strangers does not say which that is.
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("bundle.json").display().to_string();
    let flags = ["--context", "e2e", "--server", "https://127.0.0.1:1"];
    let (out, err) = greta.ends(&[&["doctor", "--bundle", &bundle][..], &flags].concat(), 1).await;
    let fix = "see that the cluster is there (kubectl version --context e2e --server https://127.0.0.1:1), and sign in";
    assert!(out.contains(fix), "{out}{err}");
    let bundle = std::fs::read_to_string(&bundle).unwrap();
    assert!(bundle.contains("see that the cluster is there (kubectl version), and sign in"), "{bundle}");
    let (_, err) = greta.ends(&["list", "--token", "of-yesterday"], 1).await;
    assert!(err.contains("does not accept the token of --token: get a new one"), "{err}");
}
