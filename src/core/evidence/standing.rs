//! Standing access: what bindings give that Daypass did not make, as the cluster had them when the pack was made. A row for
//! each subject of each binding.
//!
//! It must not say whether any of it should be there.

use k8s_openapi::api::rbac::v1::Subject;

use super::table::{EvidenceTable, TableSchema};
use crate::api::request::BindingKind;
use crate::core::rbac::binding::Observed;

/// The table.
pub static STANDING: TableSchema = TableSchema {
    file: "standing.csv",
    row: "Somebody who has a role by a binding that Daypass did not make, when the pack was made.",
    columns: &[
        ("subjectKind", "User, Group or ServiceAccount."),
        ("subject", "Name of the subject; of a ServiceAccount with its namespace."),
        ("role", "The role, by kind and name."),
        ("namespace", "Where it holds. Empty: in the whole cluster."),
        ("binding", "Kind and name of the binding."),
        ("createdAt", "When the binding was made."),
    ],
};

/// The rows of these bindings, sorted.
pub fn standing(bindings: &[Observed]) -> EvidenceTable {
    let of_others = bindings.iter().filter(|binding| binding.request_uid().is_none() && !binding.is_self_binding());
    let mut rows: Vec<Vec<String>> =
        of_others.flat_map(|binding| binding.subjects.iter().map(|subject| row(binding, subject))).collect();
    rows.sort();
    EvidenceTable::new(&STANDING, rows)
}

fn row(binding: &Observed, subject: &Subject) -> Vec<String> {
    let metadata = &binding.metadata;
    let kind = match binding.kind {
        BindingKind::RoleBinding => "RoleBinding",
        BindingKind::ClusterRoleBinding => "ClusterRoleBinding",
    };
    let name = match &subject.namespace {
        Some(namespace) => format!("{namespace}/{}", subject.name),
        None => subject.name.clone(),
    };
    vec![
        subject.kind.clone(),
        name,
        format!("{}/{}", binding.role.kind, binding.role.name),
        metadata.namespace.clone().unwrap_or_default(),
        format!("{kind}/{}", metadata.name.clone().unwrap_or_default()),
        metadata.creation_timestamp.as_ref().map(|at| at.0.to_string()).unwrap_or_default(),
    ]
}
