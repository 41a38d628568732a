//! The sentences of this room, in one place to read. Nowhere else in the tests of the room is a sentence compared.

use super::findings;
use super::tests::{cluster_binding, seen};

#[test]
fn what_a_finding_says() {
    let mut seen = seen();
    seen.cluster_role_bindings = Ok(vec![cluster_binding("binds", "binder", "User/alice")]);
    let found = findings(&seen).found;
    let forge = &found[0];
    assert_eq!(
        format!("{} {}: {}", forge.about, forge.kind.sentence(), forge.why()),
        "ClusterRoleBinding/binds can come by what Daypass decides by: its policies, its account, or the identity of others: \
         ClusterRole/binder; may bind clusterroles.rbac.authorization.k8s.io"
    );
}
