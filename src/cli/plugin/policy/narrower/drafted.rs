//! What could be applied: the narrower role, and the change of the policy that names it.
//!
//! Owns the manifests. It must not send them.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::api::AccessPolicy;
use crate::api::subject::{RoleKind, RoleName};

/// The annotation by which Kubernetes has objects described.
const DESCRIPTION: &str = "kubernetes.io/description";

/// A role that does not exist yet, and who would use it.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleDraft {
    pub name: RoleName,
    /// One for each namespace; one alone for a ClusterRole.
    pub manifests: Vec<Value>,
    /// The change of the policy, line by line.
    pub policy_change: Vec<String>,
}

impl RoleDraft {
    /// Of rules that are to be asked for in place of a role.
    pub fn new(policy: &AccessPolicy, role: &RoleName, rules: &[PolicyRule], namespaces: &BTreeSet<String>) -> Self {
        let name = RoleName { kind: role.kind, name: format!("{}-for-{}", role.name, policy.name_any()) };
        let manifest = |namespace: Option<&String>| {
            let note = format!("from {role}, as grants under AccessPolicy {} used it", policy.name_any());
            let mut metadata = json!({ "name": name.name, "annotations": { DESCRIPTION: note } });
            if let Some(namespace) = namespace {
                metadata["namespace"] = json!(namespace);
            }
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": name.kind.as_str(),
                "metadata": metadata, "rules": rules,
            })
        };
        let manifests = match role.kind {
            RoleKind::ClusterRole => vec![manifest(None)],
            RoleKind::Role => namespaces.iter().map(|namespace| manifest(Some(namespace))).collect(),
        };
        let policy_change = change(policy, role, &name);
        Self { name, manifests, policy_change }
    }
}

/// The roles of the policy, in which one stands for another.
fn change(policy: &AccessPolicy, role: &RoleName, name: &RoleName) -> Vec<String> {
    let title = format!("AccessPolicy {}", policy.name_any());
    let mut lines =
        vec![format!("--- {title}"), format!("+++ {title}"), "@@ spec @@".to_owned(), "   roles:".to_owned()];
    let item = |sign: &str, role: &RoleName| {
        [format!("{sign}  - kind: {}", role.kind.as_str()), format!("{sign}    name: {}", json!(role.name))]
    };
    for known in &policy.spec.roles {
        if known == role {
            lines.extend(item("-", known));
            lines.extend(item("+", name));
        } else {
            lines.extend(item(" ", known));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::policy;

    fn role(kind: RoleKind, name: &str) -> RoleName {
        RoleName { kind, name: name.to_owned() }
    }

    #[test]
    fn the_role_of_the_policy_gives_way_to_the_narrower_one() {
        let policy = policy("devs", json!({ "roles": [{ "name": "view" }, { "name": "edit" }] }));
        let draft = RoleDraft::new(&policy, &role(RoleKind::ClusterRole, "edit"), &[], &BTreeSet::new());
        assert_eq!(draft.name, role(RoleKind::ClusterRole, "edit-for-devs"));
        assert_eq!((draft.manifests.len(), &draft.manifests[0]["kind"]), (1, &json!("ClusterRole")));
        let signs = |sign: &str| -> Vec<&str> {
            let lines = draft.policy_change.iter().skip(2);
            lines.filter_map(|line| line.strip_prefix(sign)).filter_map(|line| line.split("name: ").nth(1)).collect()
        };
        assert_eq!(
            (signs("-"), signs("+"), signs(" ")),
            (vec!["\"edit\""], vec!["\"edit-for-devs\""], vec!["\"view\""])
        );
    }

    #[test]
    fn a_role_is_written_for_each_namespace() {
        let policy = policy("devs", json!({}));
        let namespaces = ["a".to_owned(), "b".to_owned()].into();
        let draft = RoleDraft::new(&policy, &role(RoleKind::Role, "fixer"), &[], &namespaces);
        let places: Vec<&Value> = draft.manifests.iter().map(|manifest| &manifest["metadata"]["namespace"]).collect();
        assert_eq!(places, [&json!("a"), &json!("b")]);
    }
}
