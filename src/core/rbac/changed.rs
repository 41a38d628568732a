//! What somebody changed of a binding, or of the role that was made for it, and how either is put back.
//!
//! Labels and annotations that others add are theirs. It must not say whether a binding should exist, nor put back
//! anything.

use std::fmt;

use super::binding::{Observed, Wanted};
use super::made_role::{ObservedRole, WantedRole};
use super::ownership::{carries, has, has_finalizers, over, owners};

/// A part that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangedPart {
    /// The role that is bound.
    Role,
    Subjects,
    Labels,
    Annotations,
    Finalizers,
    Owner,
    /// What the role allows that was made for it.
    RoleRules,
    RoleMetadata,
}

impl fmt::Display for ChangedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Role => "its role",
            Self::Subjects => "its subjects",
            Self::Labels => "its labels",
            Self::Annotations => "its annotations",
            Self::Finalizers => "its finalizers",
            Self::Owner => "its owner",
            Self::RoleRules => "the rules of its role",
            Self::RoleMetadata => "the metadata of its role",
        })
    }
}

impl Observed {
    /// In what it differs from what it should be, if it does. Labels and annotations of others are theirs.
    pub fn drift(&self, wanted: &Wanted) -> Option<ChangedPart> {
        if self.role != wanted.role {
            return Some(ChangedPart::Role);
        }
        if self.subjects.len() != 1 || self.subjects.first() != Some(&wanted.subject) {
            return Some(ChangedPart::Subjects);
        }
        if !has(&self.metadata.labels, &wanted.metadata.labels) {
            return Some(ChangedPart::Labels);
        }
        if !has(&self.metadata.annotations, &wanted.metadata.annotations) {
            return Some(ChangedPart::Annotations);
        }
        if has_finalizers(&self.metadata) {
            return Some(ChangedPart::Finalizers);
        }
        if owners(&self.metadata) != owners(&wanted.metadata) {
            return Some(ChangedPart::Owner);
        }
        self.made_role.as_ref().zip(wanted.made_role.as_ref()).and_then(|(made, wanted)| made.drift(wanted))
    }

    /// This object as it should be: what is wanted, with the labels and annotations of others left on it, and
    /// bound to the version that was seen.
    pub fn restored(&self, wanted: Wanted) -> Wanted {
        let made_role = wanted.made_role.map(|role| match &self.made_role {
            Some(seen) if seen.drift(&role).is_some() => {
                WantedRole { metadata: over(&seen.metadata, role.metadata), ..role }
            }
            _ => role,
        });
        Wanted { metadata: over(&self.metadata, wanted.metadata), made_role, ..wanted }
    }
}

impl ObservedRole {
    /// In what it differs from what it should be, if it does.
    pub fn drift(&self, wanted: &WantedRole) -> Option<ChangedPart> {
        if self.rules != wanted.rules {
            return Some(ChangedPart::RoleRules);
        }
        (!carries(&self.metadata, &wanted.metadata)).then_some(ChangedPart::RoleMetadata)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::request::AccessRequestStatus;
    use crate::core::laws::fixtures::request;
    use crate::core::model::grant_scope::GrantScope;
    use crate::core::rbac::binding::{references, wanted};
    use serde_json::json;

    #[test]
    fn what_others_add_to_labels_is_theirs_and_everything_else_is_ours() {
        let (request, place) = (request(json!({})), GrantScope::Namespaces(["shop".to_owned()].into()));
        let wanted = wanted(&request, &AccessRequestStatus::default(), &references(&request, &place)[0]);
        let sound = Observed::from(&wanted.role_binding());
        let changed = |change: &dyn Fn(&mut Observed)| {
            let mut seen = sound.clone();
            change(&mut seen);
            seen.drift(&wanted)
        };
        assert_eq!(changed(&|_| {}), None);
        assert_eq!(
            changed(&|b| drop(b.metadata.labels.get_or_insert_default().insert("team".into(), "pay".into()))),
            None
        );
        assert_eq!(changed(&|b| b.subjects.push(b.subjects[0].clone())), Some(ChangedPart::Subjects));
        assert_eq!(changed(&|b| b.subjects[0].name = "mallory".into()), Some(ChangedPart::Subjects));
        assert_eq!(changed(&|b| b.subjects.clear()), Some(ChangedPart::Subjects));
        assert_eq!(changed(&|b| b.role.name = "admin".into()), Some(ChangedPart::Role));
        assert_eq!(changed(&|b| b.metadata.labels = None), Some(ChangedPart::Labels));
        assert_eq!(changed(&|b| b.metadata.annotations = None), Some(ChangedPart::Annotations));
        assert_eq!(changed(&|b| b.metadata.owner_references = None), Some(ChangedPart::Owner));
    }
}
