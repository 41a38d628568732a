//! What has become of the bindings of a grant: all there, never made, changed or deleted by hand.

use std::fmt;

use crate::api::request::{AccessRequestStatus, BindingRef};
use crate::core::decision::snapshot::Snapshot;
use crate::core::rbac::binding::{self, Wanted};
use crate::core::rbac::changed::ChangedPart;

/// What has become of the recorded bindings.
pub enum Bindings {
    /// One was deleted by hand, or all went with their namespaces: the grant is over.
    Lost(GrantLoss),
    /// Something else stands in the place of this one.
    Blocked(BindingRef),
    /// These were never made.
    Missing(Vec<Wanted>),
    /// These were changed by hand.
    Changed(Vec<ChangedBinding>),
    /// All are there; their UIDs, in the order of the record.
    Complete(Vec<Uids>),
}

/// Why a grant is over that nobody ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GrantLoss {
    /// Somebody deleted a binding.
    Deleted(BindingRef),
    /// Somebody deleted a binding and made another of its name.
    Replaced(BindingRef),
    /// Somebody deleted the role that was made for a binding.
    RoleDeleted(BindingRef),
    /// All its namespaces are gone.
    Namespaces,
    /// The same, and the one of this name was made anew.
    NamespaceRemade(String),
}

impl fmt::Display for GrantLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deleted(binding) => write!(f, "{} was deleted by hand", describe(binding)),
            Self::Replaced(binding) => {
                write!(f, "{} was deleted by hand and made anew by somebody else", describe(binding))
            }
            Self::RoleDeleted(binding) => write!(f, "the role of {} was deleted by hand", describe(binding)),
            Self::Namespaces => f.write_str("every namespace it was granted in is gone"),
            Self::NamespaceRemade(name) => {
                write!(f, "namespace {name}, which it was granted in, was deleted and made anew")
            }
        }
    }
}

/// What a binding is known by, and the role that was made for it.
pub struct Uids {
    /// UID of the binding.
    pub binding: Option<String>,
    /// UID of the role that was made for it, if one was.
    pub role: Option<String>,
}

/// A binding that was changed by hand.
pub struct ChangedBinding {
    /// The same object as it should be.
    pub restored: Wanted,
    /// What somebody made different; nothing when only the end was moved since it was written.
    pub what: Option<ChangedPart>,
}

/// Holds the recorded bindings against what stands in their places.
pub fn inspect(s: &Snapshot<'_>, status: &AccessRequestStatus) -> Bindings {
    let usable = |namespace: &Option<String>| {
        namespace.as_ref().is_none_or(|n| s.namespaces.get(n).is_some_and(|n| !n.terminating))
    };
    let remade = |namespace: &Option<String>| {
        let known =
            namespace.as_ref().and_then(|n| status.namespace_uids.get(n).zip(s.namespaces.get(n)?.uid.as_ref()));
        known.is_some_and(|(granted, there)| granted != there)
    };
    let own_uid = s.request.metadata.uid.as_deref();
    let (mut missing, mut changed, mut uids) = (Vec::new(), Vec::new(), Vec::new());
    let mut gone = 0;
    for recorded in &status.bindings {
        let wanted = binding::wanted(s.request, status, recorded);
        let Some(seen) = s.bindings.iter().find(|b| b.is_at(recorded)) else {
            if !usable(&recorded.namespace) || remade(&recorded.namespace) {
                gone += 1;
                uids.push(recorded_uids(recorded));
            } else if recorded.uid.is_some() {
                return Bindings::Lost(GrantLoss::Deleted(recorded.clone()));
            } else {
                missing.push(wanted);
            }
            continue;
        };
        match &recorded.uid {
            Some(uid) if seen.metadata.uid.as_ref() != Some(uid) => {
                return Bindings::Lost(GrantLoss::Replaced(recorded.clone()));
            }
            None if own_uid.is_none() || seen.request_uid() != own_uid || seen.role != wanted.role => {
                return Bindings::Blocked(recorded.clone());
            }
            _ if seen.metadata.deletion_timestamp.is_some() => {
                return Bindings::Lost(GrantLoss::Deleted(recorded.clone()));
            }
            _ => {}
        }
        match made_role(recorded, seen, own_uid) {
            RoleDrift::Lost => return Bindings::Lost(GrantLoss::RoleDeleted(recorded.clone())),
            RoleDrift::Missing => {
                missing.push(wanted);
                continue;
            }
            RoleDrift::AsRecorded(role) => uids.push(Uids { binding: seen.metadata.uid.clone(), role }),
        }
        if let Some(what) = seen.drift(&wanted) {
            let restored = seen.restored(wanted);
            let what = Some(what).filter(|_| !was_right_before(s, status, recorded, seen));
            changed.push(ChangedBinding { restored, what });
        }
    }
    if gone == status.bindings.len() {
        let remade = status.bindings.iter().map(|recorded| &recorded.namespace).find(|namespace| remade(namespace));
        let remade = remade.and_then(|namespace| namespace.clone());
        return Bindings::Lost(remade.map_or(GrantLoss::Namespaces, GrantLoss::NamespaceRemade));
    }
    if !missing.is_empty() {
        Bindings::Missing(missing)
    } else if !changed.is_empty() {
        Bindings::Changed(changed)
    } else {
        Bindings::Complete(uids)
    }
}

fn recorded_uids(recorded: &BindingRef) -> Uids {
    Uids { binding: recorded.uid.clone(), role: recorded.role.as_ref().and_then(|role| role.uid.clone()) }
}

/// What has become of the role that was made for a binding.
enum RoleDrift {
    /// Deleted by hand, or replaced by another.
    Lost,
    /// The binding is there, and the role is not yet.
    Missing,
    /// It is there, with this UID, or none was to be made.
    AsRecorded(Option<String>),
}

fn made_role(recorded: &BindingRef, seen: &binding::Observed, own_uid: Option<&str>) -> RoleDrift {
    let Some(role) = &recorded.role else { return RoleDrift::AsRecorded(None) };
    let there = seen.made_role.as_ref().filter(|role| role.metadata.deletion_timestamp.is_none());
    match (&role.uid, there) {
        (None, None) => RoleDrift::Missing,
        (Some(_), None) => RoleDrift::Lost,
        (Some(uid), Some(there)) if there.metadata.uid.as_ref() != Some(uid) => RoleDrift::Lost,
        (None, Some(there)) if there.request_uid() != own_uid => RoleDrift::Lost,
        (_, Some(there)) => RoleDrift::AsRecorded(there.metadata.uid.clone()),
    }
}

/// Whether the binding is as it should be but for an extension: it still names an end from before one.
fn was_right_before(
    s: &Snapshot<'_>,
    status: &AccessRequestStatus,
    recorded: &BindingRef,
    seen: &binding::Observed,
) -> bool {
    status.extensions.iter().any(|extension| {
        let before = AccessRequestStatus { expires_at: Some(extension.from.clone()), ..status.clone() };
        seen.drift(&binding::wanted(s.request, &before, recorded)).is_none()
    })
}

/// A binding in words.
pub fn describe(binding: &BindingRef) -> String {
    match &binding.namespace {
        Some(namespace) => format!("RoleBinding {} in namespace {namespace}", binding.name),
        None => format!("ClusterRoleBinding {}", binding.name),
    }
}
