//! What somebody can do who has stolen the controller's own token: nothing to roles and bindings of others.

use std::fmt::Debug;
use std::sync::Arc;

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::cast::SOON;
use crate::harness::install::Controller;
use crate::harness::users::ADMIN;
use crate::harness::{Cluster, eventually, private};

pub fn trials() -> Vec<Trial> {
    vec![private("attack::controller::leaves_the_roles_and_bindings_of_others_alone", leaves_others_alone)]
}

const GUARD: &str = "writes only roles and bindings that belong to a request";

async fn leaves_others_alone(cluster: Arc<Cluster>) {
    let (admin, namespace) = (cluster.kubectl(ADMIN), cluster.namespace("stolen").await);
    admin.ok(&["create", "role", "theirs", "-n", &namespace, "--verb=get", "--resource=pods"]).await;
    admin.ok(&["create", "clusterrole", "theirs", "--verb=get", "--resource=pods"]).await;
    let token = Controller::token(&cluster.control_plane).await;
    let thief = cluster.control_plane.client_for_token("thief", &token).await;
    let roles: Api<Role> = Api::namespaced(thief.clone(), &namespace);
    let cluster_roles: Api<ClusterRole> = Api::all(thief.clone());
    let bindings: Api<ClusterRoleBinding> = Api::all(thief.clone());
    refused(roles.delete("theirs", &DeleteParams::default()).await);
    refused(cluster_roles.delete("theirs", &DeleteParams::default()).await);
    refused(cluster_roles.delete("view", &DeleteParams::default()).await);
    refused(bindings.delete("everybody-may-ask", &DeleteParams::default()).await);
    let mut theirs = cluster_roles.get("theirs").await.expect("a role");
    theirs.rules = Some(Vec::new());
    refused(cluster_roles.replace("theirs", &PostParams::default(), &theirs).await);
    refused(bind_itself(&thief, "mine", json!({})).await);
    refused(bind_itself(&thief, "daypass-mine", json!({ "daypass.dev/request-uid": "another" })).await);

    // It is the guard that keeps them: RBAC cannot tell one role from another.
    admin.ok(&["delete", "validatingadmissionpolicybinding", "daypass-controller-guard"]).await;
    eventually("without the guard it can", SOON, async || {
        cluster_roles.delete("theirs", &DeleteParams::default()).await.map(drop).map_err(|error| error.to_string())
    })
    .await;
}

/// Binds `edit`, which the controller may bind, to the controller.
async fn bind_itself(thief: &Client, name: &str, labels: serde_json::Value) -> Result<ClusterRoleBinding, kube::Error> {
    let binding = json!({
        "metadata": { "name": name, "labels": labels },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit" },
        "subjects": [{ "kind": "ServiceAccount", "name": "daypass", "namespace": "daypass-system" }]
    });
    let binding = serde_json::from_value(binding).expect("a binding");
    Api::all(thief.clone()).create(&PostParams::default(), &binding).await
}

fn refused<T: Debug>(result: Result<T, kube::Error>) {
    let why = result.expect_err("it must be refused").to_string();
    assert!(why.contains(GUARD), "{why}");
}
