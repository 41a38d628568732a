//! Standing access: what bindings give that Daypass did not make, as the cluster had them when the pack was made, and when it
//! was last used. A row for each subject of each binding.
//!
//! It must not say whether any of it should be there.

use k8s_openapi::api::rbac::v1::Subject;

use super::table::{EvidenceTable, TableSchema};
use crate::api::request::BindingKind;
use crate::core::insight::bound::about;
use crate::core::insight::seen::{BindingUses, username};
use crate::core::rbac::binding::Observed;
use crate::core::report::who::bound_subject;

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
        (
            "lastUsed",
            "Start of the hour in which the subject last made a call that the API server says this binding allowed; of a group, anybody. Empty: none is known.",
        ),
        (
            "heardSince",
            "Since when every API server's audit log is known to have arrived: without a last use there was none since. Empty: that is not known.",
        ),
    ],
};

/// The rows of these bindings, sorted; `uses`: when they were last used, where that is known.
pub fn standing(bindings: &[Observed], uses: Option<&BindingUses>) -> EvidenceTable {
    let of_others = bindings.iter().filter(|binding| binding.is_of_others());
    let mut rows: Vec<Vec<String>> =
        of_others.flat_map(|binding| binding.subjects.iter().map(|subject| row(binding, subject, uses))).collect();
    rows.sort();
    EvidenceTable::new(&STANDING, rows)
}

fn row(binding: &Observed, subject: &Subject, uses: Option<&BindingUses>) -> Vec<String> {
    let metadata = &binding.metadata;
    let kind = match binding.kind {
        BindingKind::RoleBinding => "RoleBinding",
        BindingKind::ClusterRoleBinding => "ClusterRoleBinding",
    };
    let name = match &subject.namespace {
        Some(namespace) => format!("{namespace}/{}", subject.name),
        None => subject.name.clone(),
    };
    let who = bound_subject(subject, metadata.namespace.as_deref());
    let last = uses.and_then(|uses| uses.last_of(&about(binding), username(&who?).as_deref()));
    let heard = uses.and_then(|uses| uses.heard_since.as_ref().ok());
    vec![
        subject.kind.clone(),
        name,
        format!("{}/{}", binding.role.kind, binding.role.name),
        metadata.namespace.clone().unwrap_or_default(),
        format!("{kind}/{}", metadata.name.clone().unwrap_or_default()),
        metadata.creation_timestamp.as_ref().map(|at| at.0.to_string()).unwrap_or_default(),
        last.map(|last| last.to_string()).unwrap_or_default(),
        heard.map(ToString::to_string).unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::api::rbac::v1::RoleBinding;
    use serde_json::json;

    use super::*;
    use crate::core::laws::fixtures::noon;

    #[test]
    fn each_subject_has_its_own_last_use_and_a_group_that_of_anybody() {
        let binding: RoleBinding = serde_json::from_value(json!({
            "metadata": { "name": "ops", "namespace": "shop" },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit" },
            "subjects": [
                { "kind": "User", "name": "alice" }, { "kind": "User", "name": "bob" }, { "kind": "Group", "name": "dev" },
                { "kind": "ServiceAccount", "name": "ci" },
            ],
        }))
        .unwrap();
        let observed = vec![Observed::from(&binding)];
        let by = BTreeMap::from([("alice".to_owned(), noon()), ("system:serviceaccount:shop:ci".to_owned(), noon())]);
        let uses = BindingUses {
            heard_since: Ok(noon()),
            last: BTreeMap::from([(about(&observed[0]), by)]),
            acted: BTreeMap::new(),
        };
        let cells = |table: &EvidenceTable| -> Vec<[String; 3]> {
            let row =
                |row: &Vec<String>| ["subject", "lastUsed", "heardSince"].map(|name| table.cell(row, name).to_owned());
            table.rows.iter().map(row).collect()
        };
        let told = |last: bool, subject: &str| {
            let noon = noon().to_string();
            [subject.to_owned(), if last { noon.clone() } else { String::new() }, noon]
        };
        assert_eq!(
            cells(&standing(&observed, Some(&uses))),
            [told(true, "dev"), told(true, "ci"), told(true, "alice"), told(false, "bob")]
        );
        let unread = cells(&standing(&observed, None));
        assert!(unread.iter().all(|[_, last, heard]| last.is_empty() && heard.is_empty()), "{unread:?}");
    }
}
