//! Reasons of the conditions of a policy, and why a role that it lists cannot be handed out, each as one word.

use super::word::Vocabulary;

/// Why a condition of a policy is as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyReason {
    /// Of Ready: it is used in decisions.
    InUse,
    /// Of Ready: it has faults and grants nothing new.
    Invalid,
    /// Of Ready: it was written while the author guard was not in place.
    WrittenInGap,
    /// Of ScheduleInForce: it denies in its windows.
    InForce,
    /// Of ScheduleInForce: it denies always, since its spec was written for a version that knew no windows of it.
    WrittenForEarlierVersion,
    /// Of Reviewed: no review is overdue.
    InTime,
    /// Of Reviewed: one is.
    ReviewOverdue,
    /// Of RolesUsable: every role is there and can be bound.
    AllUsable,
    /// Of RolesUsable: a role is not there. Of several that cannot be handed out, the first counts.
    RoleMissing,
    /// Of RolesUsable: Daypass may not bind a role.
    RoleNotBindable,
}

impl Vocabulary for PolicyReason {
    const ALL: &'static [Self] = &[
        Self::InUse,
        Self::Invalid,
        Self::WrittenInGap,
        Self::InForce,
        Self::WrittenForEarlierVersion,
        Self::InTime,
        Self::ReviewOverdue,
        Self::AllUsable,
        Self::RoleMissing,
        Self::RoleNotBindable,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::InUse => "InUse",
            Self::Invalid => "Invalid",
            Self::WrittenInGap => "WrittenInGap",
            Self::InForce => "InForce",
            Self::WrittenForEarlierVersion => "WrittenForEarlierVersion",
            Self::InTime => "InTime",
            Self::ReviewOverdue => "ReviewOverdue",
            Self::AllUsable => "AllUsable",
            Self::RoleMissing => "RoleMissing",
            Self::RoleNotBindable => "RoleNotBindable",
        }
    }
}

/// Why a role that a policy lists cannot be handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnusableReason {
    /// There is no such role.
    Missing,
    /// Daypass may not bind it.
    NotBindable,
}

impl Vocabulary for UnusableReason {
    const ALL: &'static [Self] = &[Self::Missing, Self::NotBindable];

    fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "Missing",
            Self::NotBindable => "NotBindable",
        }
    }
}
