//! What the status of a policy says of it, as values: each with the condition that it belongs to, the reason, and `Display`
//! for people.
//!
//! It must not judge: [`policy_status`](super::policy_status) does.

use std::fmt;

use k8s_openapi::jiff::Timestamp;

use crate::api::conditions::{self, ConditionStatus};
use crate::api::policy_reason::{PolicyReason, UnusableReason};
use crate::core::model::field_error::{FieldError, sentence};
use crate::core::model::history::join;
use crate::core::policies::origin::Disbelief;
use crate::core::policies::unrecorded::{self, UnrecordedKey};
use crate::core::policies::usable::ListedRole;
use crate::core::policies::wildcards::{self, Wildcard};
use crate::core::policies::written_for::DeniesAlways;

/// What was found of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyFinding {
    /// It has faults, and what becomes of it until they are mended.
    Faulty {
        faults: Vec<FieldError>,
        consequence: &'static str,
    },
    /// It is not believed.
    Doubted(Disbelief),
    /// Requests are decided by it.
    InUse {
        /// These in it are nobody.
        nobody: Vec<Wildcard>,
        /// Its conditions ask for these, which no request has.
        unrecorded: Vec<UnrecordedKey>,
    },
    /// It denies in these windows, as people write them.
    DeniesInWindows(String),
    /// It denies always although it has a schedule.
    DeniesAlways(DeniesAlways),
    RolesUsable,
    /// These of its roles cannot be handed out, and why the first cannot.
    RolesUnusable {
        roles: Vec<ListedRole>,
        first: UnusableReason,
    },
    ReviewsInTime,
    ReviewsOverdue(Vec<OverdueReview>),
}

impl PolicyFinding {
    /// The condition, whether it is so, and why.
    pub fn condition(&self) -> (&'static str, ConditionStatus, PolicyReason) {
        use ConditionStatus::{False, True};
        match self {
            Self::Faulty { .. } => (conditions::READY, False, PolicyReason::Invalid),
            Self::Doubted(_) => (conditions::READY, False, PolicyReason::WrittenInGap),
            Self::InUse { .. } => (conditions::READY, True, PolicyReason::InUse),
            Self::DeniesInWindows(_) => (conditions::SCHEDULE_IN_FORCE, True, PolicyReason::InForce),
            Self::DeniesAlways(_) => (conditions::SCHEDULE_IN_FORCE, False, PolicyReason::WrittenForEarlierVersion),
            Self::RolesUsable => (conditions::ROLES_USABLE, True, PolicyReason::AllUsable),
            Self::RolesUnusable { first, .. } => {
                let reason = match first {
                    UnusableReason::Missing => PolicyReason::RoleMissing,
                    UnusableReason::NotBindable => PolicyReason::RoleNotBindable,
                };
                (conditions::ROLES_USABLE, False, reason)
            }
            Self::ReviewsInTime => (conditions::REVIEWED, True, PolicyReason::InTime),
            Self::ReviewsOverdue(_) => (conditions::REVIEWED, False, PolicyReason::ReviewOverdue),
        }
    }
}

impl fmt::Display for PolicyFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Faulty { faults, consequence } => write!(f, "{}; {consequence}", sentence(faults)),
            Self::Doubted(why) => write!(f, "{why}"),
            Self::InUse { nobody, unrecorded } => {
                f.write_str("requests are decided by it")?;
                nobody.iter().try_for_each(|wildcard| write!(f, "; {}: {wildcard}", wildcard.field))?;
                if !nobody.is_empty() {
                    write!(f, "; {}", wildcards::WAY_OUT)?;
                }
                unrecorded.iter().try_for_each(|key| write!(f, "; {}: {key}", key.field))?;
                if unrecorded.is_empty() { Ok(()) } else { write!(f, "; {}", unrecorded::WAY_OUT) }
            }
            Self::DeniesInWindows(windows) => write!(f, "it denies {windows}"),
            Self::DeniesAlways(why) => write!(f, "{why}"),
            Self::RolesUsable => f.write_str("every role that it lists is there, and Daypass may bind it"),
            Self::RolesUnusable { roles, .. } => {
                write!(f, "{}; until then requests for it are denied, and what runs goes on", join(roles))
            }
            Self::ReviewsInTime => f.write_str("no review of break-glass access is overdue"),
            Self::ReviewsOverdue(overdue) => {
                let mut each: Vec<String> = overdue.iter().map(OverdueReview::to_string).collect();
                each.sort();
                write!(f, "{} overdue: {}", each.len(), join(&each))
            }
        }
    }
}

/// Break-glass access that nobody reviewed in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverdueReview {
    /// Namespace and name of the request.
    pub place: String,
    /// Whose access it was.
    pub who: String,
    pub since: Timestamp,
}

impl fmt::Display for OverdueReview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, who, since } = self;
        write!(f, "{place} of {who} since {since}")
    }
}
