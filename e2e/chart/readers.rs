//! The role for readers of the chart, as it is rendered: what it gives, and whom.

use std::sync::Arc;

use serde_json::json;

use super::{find, render, rights_of};
use crate::harness::ControlPlane;

/// No right beyond its list, and nobody bound whom the values do not name.
pub async fn see_what_decides(control_plane: Arc<ControlPlane>) {
    let subjects = json!([
        { "kind": "Group", "name": "system:authenticated" },
        { "kind": "ServiceAccount", "name": "deployer", "namespace": "ci" }
    ]);
    let named = format!("readers.subjects={subjects}");
    let objects = render(&control_plane, &["--set", "bindableRoles={deployer}", "--set-json", &named]).await;
    let expected =
        ["accesspolicies: get,list,watch", "clusterroles: get view,edit", "roles: get deployer"].map(String::from);
    assert_eq!(rights_of(&objects, "system:authenticated"), expected);
    let binding = find(&objects, "ClusterRoleBinding", "-reader").expect("a binding");
    let group = "rbac.authorization.k8s.io";
    let bound = json!([
        { "kind": "Group", "name": "system:authenticated", "apiGroup": group },
        { "kind": "ServiceAccount", "name": "deployer", "namespace": "ci" }
    ]);
    assert_eq!(binding["subjects"], bound);

    let objects = render(&control_plane, &["--set-json", "bindableClusterRoles=[]"]).await;
    assert!(find(&objects, "ClusterRoleBinding", "-reader").is_none(), "nobody is named");
    let role = find(&objects, "ClusterRole", "-reader").expect("the role is there to be bound by others");
    // An empty resourceNames would mean every role.
    let policies =
        json!([{ "apiGroups": ["daypass.dev"], "resources": ["accesspolicies"], "verbs": ["get", "list", "watch"] }]);
    assert_eq!(role["rules"], policies);
}
