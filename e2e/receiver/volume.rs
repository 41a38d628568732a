//! The volume of the archive: Kubernetes binds it though the self-guard lets hardly anybody write there, and the accounts
//! that do can be used for nothing else.

use serde_json::{Value, json};

use crate::harness::archive::ARCHIVE;
use crate::harness::cast::SOON;
use crate::harness::install::NAMESPACE;
use crate::harness::users::{ADMIN, TRUDY};
use crate::harness::{Cluster, eventually};

const BINDER: &str = "persistent-volume-binder";
const PROTECTION: &str = "pvc-protection-controller";
const REFUSED: &str = "'daypass-self-guard'";

/// A volume, and a claim that is not the archive's.
const GROUND: &str = "
apiVersion: v1
kind: PersistentVolume
metadata: {name: of-the-archive}
spec: {capacity: {storage: 10Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /nowhere}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: another, namespace: daypass-system}
spec: {accessModes: [ReadWriteOnce], storageClassName: none, resources: {requests: {storage: 1Gi}}}
";

pub async fn is_bound_and_nothing_else_changes(cluster: &Cluster) {
    let admin = cluster.kubectl(ADMIN);
    admin.apply(GROUND).await;
    let controllers = ["persistentvolume-binder-controller", "persistentvolumeclaim-protection-controller"];
    cluster.control_plane.run_more_controllers(&controllers).await;
    let of_claim = |path: &'static str| ["get", "pvc", ARCHIVE, "-n", NAMESPACE, "--ignore-not-found", "-o", path];
    eventually("the claim is bound", SOON, async || {
        let printed = admin.ok(&of_claim("jsonpath={.status.phase} {.spec.volumeName}")).await;
        if printed == "Bound of-the-archive" { Ok(()) } else { Err(printed) }
    })
    .await;
    attacks(cluster).await;
    admin.ok(&["delete", "pvc", ARCHIVE, "-n", NAMESPACE, "--wait=false"]).await;
    eventually("what protects the claim lets go of it", SOON, async || {
        let printed = admin.ok(&of_claim("name")).await;
        if printed.is_empty() { Ok(()) } else { Err(printed) }
    })
    .await;
}

/// With a token of each account, and every right but to administer Daypass.
async fn attacks(cluster: &Cluster) {
    let admin = cluster.kubectl(ADMIN);
    for account in [BINDER, PROTECTION] {
        let of = format!("--serviceaccount=kube-system:{account}");
        admin.ok(&["create", "clusterrolebinding", &format!("edits-{account}"), "--clusterrole=edit", &of]).await;
        let token = admin.ok(&["create", "token", account, "-n", "kube-system"]).await;
        let kubeconfig = cluster.control_plane.kubeconfig_for_token(&format!("of-{account}"), token.trim());
        let by = cluster.control_plane.kubectl_with(&kubeconfig);
        let note = annotation("by-a-thief");
        let patch = |what: &'static str| vec!["patch", what, "-n", NAMESPACE, "--type=merge", "-p", &note];
        // The right is in force by then, since this is not refused by anything.
        eventually("its own claim is open", SOON, async || {
            let output = by.run(&patch("pvc/daypass-archive")).await;
            if output.ok { Ok(()) } else { Err(output.stderr) }
        })
        .await;
        let another = ["pvc/another", "deployment/daypass", "deployment/daypass-archive", "secret/daypass-archive"];
        let deletes = ["pvc/daypass-archive", "pvc/another", "service/daypass-archive"];
        let patches = another.into_iter().map(patch);
        let deletes = deletes.into_iter().map(|what| vec!["delete", what, "-n", NAMESPACE, "--wait=false"]);
        let makes = [
            vec!["create", "configmap", "made", "-n", NAMESPACE],
            vec!["create", "token", "daypass", "-n", NAMESPACE],
            vec!["scale", "deployment/daypass-archive", "--replicas=0", "-n", NAMESPACE],
        ];
        for args in patches.chain(deletes).chain(makes) {
            let why = by.refused(&args).await;
            assert!(why.contains(REFUSED), "{account}: {args:?}: {why}");
        }
    }
    // Without its token, somebody who may impersonate it.
    let patch = http::Request::patch(format!("/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims/{ARCHIVE}"))
        .header("content-type", "application/merge-patch+json")
        .header("impersonate-user", format!("system:serviceaccount:kube-system:{BINDER}"))
        .body(annotation("as-another").into_bytes());
    let answer = cluster.client(TRUDY).await.request::<Value>(patch.expect("a request")).await;
    let why = answer.expect_err("she has no token of it").to_string();
    assert!(why.contains(REFUSED), "{why}");
}

fn annotation(value: &str) -> String {
    json!({ "metadata": { "annotations": { "changed": value } } }).to_string()
}
