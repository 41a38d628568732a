//! Why something is so: the reason of a condition, of an Event and of a history entry.

use super::word::{Vocabulary, Word};

/// A reason as it is stored.
pub type StoredReason = Word<Reason>;

/// What happened or holds: the reason of a condition, of an Event and of a history entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A policy that might deny cannot be read.
    PolicyNotReady,
    /// The cluster's admission policies are missing.
    GuardMissing,
    /// The controller's clock is too far from the API server's.
    ClockWrong,
    /// People must agree.
    ApprovalNeeded,
    /// A stage had no answer in time, so more people may approve.
    Escalated,
    /// An approver has said something that counts.
    Reviewed,
    /// Somebody has said something that does not count.
    ReviewIgnored,
    /// Somebody has taken back what they said.
    ReviewWithdrawn,
    /// Somebody may have written to the request while the guard was missing.
    WrittenInGap,
    /// Another policy decides than before, or another version of it.
    PolicyChanged,
    /// Approved by people or by policy.
    Approved,
    /// Approved, and the start lies ahead.
    WaitingForStart,
    /// Approved, and access waits until the archive has acknowledged that.
    AwaitingRecord,
    /// Access begins in an emergency though the archive, which should have the decision first, does not answer.
    Unrecorded,
    /// Approved, and a policy denies it for now: access waits until its window closes.
    Frozen,
    /// Its role is gone, or cannot be bound any more, since people were asked: access waits until it can.
    RoleUnusable,
    /// The API server has yet to say whether the controller may bind the role.
    RightUnknown,
    /// A policy will deny access that runs, before its stated end.
    FreezeAhead,
    /// Approved, and the binding is being made.
    Binding,
    /// Approved, and the end of the running request is being moved.
    Extending,
    /// Granted at once in an emergency, to be reviewed afterwards.
    BreakGlass,
    /// The role is bound.
    Granted,
    /// Access rests, and comes back by itself.
    Suspended,
    /// Access is back.
    Resumed,
    /// Somebody changed the rules of the role, or changed them back.
    RoleChanged,
    /// The end of a grant was moved.
    Extended,
    /// Policy or an approver said no.
    Denied,
    /// Nobody decided in time.
    Lapsed,
    /// The stated end has come.
    Expired,
    /// Ended early.
    Revoked,
    /// Ended early, since nobody used it.
    Idle,
    /// The role could not be bound.
    Failed,
    /// A binding had been changed by hand and was put back.
    BindingRestored,
    /// The history had no room for an entry.
    HistoryFull,
    /// Break-glass access has yet to be reviewed.
    ReviewOpen,
    /// Break-glass access was not reviewed in time.
    ReviewOverdue,
    /// A reviewer found break-glass access to be justified.
    Justified,
    /// A reviewer found break-glass access not to be justified.
    Unjustified,
}

impl Vocabulary for Reason {
    const ALL: &'static [Self] = &[
        Self::PolicyNotReady,
        Self::GuardMissing,
        Self::ClockWrong,
        Self::ApprovalNeeded,
        Self::Escalated,
        Self::Reviewed,
        Self::ReviewIgnored,
        Self::ReviewWithdrawn,
        Self::WrittenInGap,
        Self::PolicyChanged,
        Self::Approved,
        Self::WaitingForStart,
        Self::AwaitingRecord,
        Self::Unrecorded,
        Self::Frozen,
        Self::RoleUnusable,
        Self::RightUnknown,
        Self::FreezeAhead,
        Self::Binding,
        Self::Extending,
        Self::BreakGlass,
        Self::Granted,
        Self::Suspended,
        Self::Resumed,
        Self::RoleChanged,
        Self::Extended,
        Self::Denied,
        Self::Lapsed,
        Self::Expired,
        Self::Revoked,
        Self::Idle,
        Self::Failed,
        Self::BindingRestored,
        Self::HistoryFull,
        Self::ReviewOpen,
        Self::ReviewOverdue,
        Self::Justified,
        Self::Unjustified,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::PolicyNotReady => "PolicyNotReady",
            Self::GuardMissing => "GuardMissing",
            Self::ClockWrong => "ClockWrong",
            Self::ApprovalNeeded => "ApprovalNeeded",
            Self::Escalated => "Escalated",
            Self::Reviewed => "Reviewed",
            Self::ReviewIgnored => "ReviewIgnored",
            Self::ReviewWithdrawn => "ReviewWithdrawn",
            Self::WrittenInGap => "WrittenInGap",
            Self::PolicyChanged => "PolicyChanged",
            Self::Approved => "Approved",
            Self::WaitingForStart => "WaitingForStart",
            Self::AwaitingRecord => "AwaitingRecord",
            Self::Unrecorded => "Unrecorded",
            Self::Frozen => "Frozen",
            Self::RoleUnusable => "RoleUnusable",
            Self::RightUnknown => "RightUnknown",
            Self::FreezeAhead => "FreezeAhead",
            Self::Binding => "Binding",
            Self::Extending => "Extending",
            Self::BreakGlass => "BreakGlass",
            Self::Granted => "Granted",
            Self::Extended => "Extended",
            Self::Suspended => "Suspended",
            Self::Resumed => "Resumed",
            Self::RoleChanged => "RoleChanged",
            Self::Denied => "Denied",
            Self::Lapsed => "Lapsed",
            Self::Expired => "Expired",
            Self::Revoked => "Revoked",
            Self::Idle => "Idle",
            Self::Failed => "Failed",
            Self::BindingRestored => "BindingRestored",
            Self::HistoryFull => "HistoryFull",
            Self::ReviewOpen => "ReviewOpen",
            Self::ReviewOverdue => "ReviewOverdue",
            Self::Justified => "Justified",
            Self::Unjustified => "Unjustified",
        }
    }
}

impl Reason {
    /// The word as the API writes it.
    pub fn as_str(self) -> &'static str {
        Vocabulary::as_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Conditions, Events and histories are read by programs: a word that is stored stays what it is.
    #[test]
    fn every_reason_is_stored_under_its_own_name() {
        for reason in Reason::ALL {
            assert_eq!(reason.as_str(), format!("{reason:?}"));
            assert_eq!(StoredReason::from(reason.as_str()).known(), Some(*reason));
        }
    }
}
