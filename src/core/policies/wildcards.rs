//! Names with a `*` in a policy. In names of people and groups it stands for nothing but itself, as in RBAC, so such a
//! subject is nobody: an author who wanted many has named none.
//!
//! Owns where there are such names. A policy that has one is used all the same: to refuse it would end what runs under
//! its other names.

use std::fmt;

use crate::api::policy::AccessPolicySpec;
use crate::api::subject::{Subject, SubjectKind};

/// What to do about one.
pub const WAY_OUT: &str = "write each name out; for everybody who is logged in: kind Group, name system:authenticated";

/// A subject that is nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wildcard {
    /// Path of the subject, for example `spec.requesters[0]`.
    pub field: String,
    pub subject: Subject,
}

impl fmt::Display for Wildcard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} stands for nobody: * is no wildcard in names", self.subject)
    }
}

/// Every subject of a policy that is nobody because of its name, in the order of the fields.
pub fn wildcards(spec: &AccessPolicySpec) -> Vec<Wildcard> {
    let mut found = among("spec.requesters", &spec.requesters);
    for (index, stage) in spec.approval.iter().flat_map(|approval| &approval.stages).enumerate() {
        found.extend(among(&format!("spec.approval.stages[{index}].approvers"), &stage.approvers));
        found.extend(among(&format!("spec.approval.stages[{index}].escalateTo"), &stage.escalate_to));
    }
    found.extend(spec.break_glass.iter().flat_map(|terms| among("spec.breakGlass.reviewers", &terms.reviewers)));
    found
}

fn among(field: &str, subjects: &[Subject]) -> Vec<Wildcard> {
    let by_name = subjects.iter().enumerate().filter(|(_, s)| s.kind != SubjectKind::ServiceAccount);
    by_name
        .filter(|(_, subject)| subject.name.contains('*'))
        .map(|(index, subject)| Wildcard { field: format!("{field}[{index}]"), subject: subject.clone() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::policy;
    use serde_json::json;

    #[test]
    fn every_list_of_people_is_looked_at() {
        let group = |name: &str| json!({ "kind": "Group", "name": name });
        let (star, dev) = (group("team-*"), group("dev"));
        let stage = json!({ "name": "s", "approvers": [dev, star], "escalateAfter": "1h", "escalateTo": [star] });
        let spec = json!({
            "requesters": [dev, star, { "kind": "User", "name": "*" }],
            "approval": { "stages": [{ "name": "r", "approvers": [dev] }, stage] },
            "breakGlass": { "reviewers": [star], "reviewWithin": "1h" }
        });
        let found = wildcards(&policy("p", spec).spec);
        let fields: Vec<&str> = found.iter().map(|wildcard| wildcard.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "spec.requesters[1]",
                "spec.requesters[2]",
                "spec.approval.stages[1].approvers[1]",
                "spec.approval.stages[1].escalateTo[0]",
                "spec.breakGlass.reviewers[0]"
            ]
        );
        assert_eq!(wildcards(&policy("p", json!({})).spec), []);
    }
}
