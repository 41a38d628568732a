//! What happens to a request, as values that its history, its conditions and its message show.
//!
//! Owns their sentences. Why a request is denied, or may not go on, stands where that is decided. It must not decide
//! anything, and nothing may compare its text.

use std::fmt;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::api::request::{BindingRef, FreezeAhead, PolicyRef};
use crate::api::subject::{RoleName, Subject};
use crate::core::decision::answer::{AllowedBy, HeldBy};
use crate::core::lifecycle::drift::describe;
use crate::core::model::duration;
use crate::core::rbac::changed::ChangedPart;

/// What happened to a request on its way from the decision to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// Policy allows it.
    Allowed(AllowedBy),
    /// Policy allows it, and this is still to come.
    AllowedAnd(AllowedBy, Next),
    /// Another policy decides, or another version of it.
    PolicyChanged { old: PolicyRef, new: PolicyRef },
    /// A binding of the name is there, and not Daypass's.
    Blocked(BindingRef),
    /// Somebody changed a binding; `what` of it was put back.
    PutBack { binding: BindingRef, what: ChangedPart },
    /// The request of this name moved the end.
    EndMoved { by: String, from: Timestamp, to: Timestamp, allowed: AllowedBy },
    /// A policy will deny it before its end.
    FreezeAhead(FreezeAhead),
    /// Access begins in an emergency before an archive has the decision, which this policy asks for.
    Unrecorded(String),
    /// Somebody may have written to it while the guard was missing. These have reviewed it by then.
    WrittenInGap { reviewers: Vec<String> },
    /// The same, and it had been granted, so it ends.
    NotBelieved,
    /// The time asked for was over before access began.
    NeverBegan,
    /// Access ended as stated.
    Ended {
        at: Timestamp,
        /// The policy that began to deny it then, if that is why.
        denied_by: Option<String>,
    },
    /// Somebody who may ended it.
    EndedBy { by: String, comment: Option<String> },
    /// It is proven that nobody used it for so long, from `since` on.
    Unused { timeout: SignedDuration, since: Timestamp },
    /// Somebody deleted the request.
    Deleted,
}

/// What is still to come when policy allows a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// What holds access up goes away.
    Held(HeldBy),
    /// The end of the grant of this name moves.
    EndMoves {
        of: String,
        by: SignedDuration,
    },
    Begins(Timestamp),
    /// The archive acknowledges the decision, if there is one.
    Recorded {
        /// Whether there is.
        archive: bool,
    },
}

impl fmt::Display for Happened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed(allowed) => write!(f, "{allowed}"),
            Self::AllowedAnd(allowed, next) => write!(f, "{allowed}; {next}"),
            Self::PolicyChanged { old, new } if old.name != new.name => {
                write!(f, "policy {} decides now, no longer {}", new.name, old.name)
            }
            Self::PolicyChanged { old, new } if old.uid != new.uid => {
                write!(f, "policy {} was deleted and made anew; the new one decides", new.name)
            }
            Self::PolicyChanged { old, new } => {
                let (name, before, now) = (&new.name, old.generation, new.generation);
                write!(f, "policy {name} was changed (generation {before} to {now}); the new one decides")
            }
            Self::Blocked(binding) => {
                let binding = describe(binding);
                write!(f, "{binding} is there already and is not Daypass's: delete it, then ask again")
            }
            Self::PutBack { binding, what } => {
                write!(f, "{}: somebody changed {what}; it was put back", describe(binding))
            }
            Self::EndMoved { by, from, to, allowed } => write!(f, "{by} moved the end from {from} to {to}; {allowed}"),
            Self::FreezeAhead(FreezeAhead { policy, opens_at }) => {
                write!(f, "policy {policy} denies it from {} on: access ends then", opens_at.0)
            }
            Self::WrittenInGap { reviewers } => {
                f.write_str(
                    "somebody may have written to it while the cluster's guard was not in place; nothing before counts",
                )?;
                match reviewers.as_slice() {
                    [] => Ok(()),
                    who => write!(f, ", also not what was said as {}: who meant it may say it again", who.join(", ")),
                }
            }
            Self::Unrecorded(policy) => write!(
                f,
                "policy {policy} asks that the archive has the decision first, and it is away: access begins all the \
                 same, since it is an emergency"
            ),
            Self::NotBelieved => f.write_str(
                "somebody may have written to its record while the cluster's guard was not in place, so neither the \
                 grant nor its end is believed: make the request again",
            ),
            Self::NeverBegan => f.write_str("the time asked for ended before access began"),
            Self::Ended { at, denied_by: None } => write!(f, "access ended as stated at {at}"),
            Self::Ended { at, denied_by: Some(policy) } => {
                write!(f, "access ended as stated at {at}, when policy {policy} began to deny it")
            }
            Self::EndedBy { by, comment } => write!(f, "{by} ended it{}", Comment(comment.as_deref())),
            Self::Unused { timeout, since } => write!(f, "{}", UnusedFor { timeout: *timeout, since: *since }),
            Self::Deleted => f.write_str("the request was deleted"),
        }
    }
}

impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held(hold) => write!(f, "{hold}"),
            Self::EndMoves { of, by } => write!(f, "the end of {of} moves by {}", duration::format(*by)),
            Self::Begins(at) => write!(f, "access begins at {at}"),
            Self::Recorded { archive: true } => f.write_str("access begins when the archive has acknowledged that"),
            Self::Recorded { archive: false } => f.write_str(
                "access waits for an archive to acknowledge that, and there is none: set archive.enabled or archive.url \
                 in the chart's values, or take requireRecord out of the policy",
            ),
        }
    }
}

/// What happens while people are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asking {
    /// A stage opened.
    Opened { stage: String, required: i32 },
    /// A stage waits for people.
    Waits(StageWait),
    /// A stage had no answer in time, and these may approve as well.
    Escalated { stage: String, to: Vec<Subject> },
    /// An approval was given outside of the hours of its stage.
    CountsFrom { who: String, opens: Timestamp },
    /// Somebody took back what they had said.
    TakenBack(String),
}

/// Whom a stage waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageWait {
    pub policy: String,
    pub stage: String,
    /// How many approvals are missing.
    pub missing: i32,
    /// Who may give them.
    pub approvers: Vec<Subject>,
    /// The hours in which they count, as people write them.
    pub hours: Option<String>,
    /// What would hold access up meanwhile.
    pub holds: Vec<HeldBy>,
}

impl fmt::Display for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened { stage, required } => write!(f, "stage {stage} is open: {required} must approve"),
            Self::Waits(StageWait { policy, stage, missing, approvers, hours, holds }) => {
                let (missing, approvers) = (more_approvals(*missing), names(approvers));
                write!(f, "stage {stage} of policy {policy} needs {missing} of: {approvers}")?;
                hours.iter().try_for_each(|hours| write!(f, " (counted {hours})"))?;
                holds.iter().try_for_each(|hold| write!(f, "; {hold}"))
            }
            Self::Escalated { stage, to } => {
                write!(f, "stage {stage} had no answer in time: {} may approve as well", names(to))
            }
            Self::CountsFrom { who, opens } => {
                write!(f, "Approve of {who} counts from {opens} on: its stage has hours")
            }
            Self::TakenBack(who) => write!(f, "{who} took back what they had said"),
        }
    }
}

/// What happens to break-glass access that must be reviewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GlassReview {
    /// It was taken, for this reason.
    Broken { who: String, reason: String, reviewers: Vec<Subject>, by: Timestamp },
    /// It must be reviewed by then.
    Open { reviewers: Vec<Subject>, by: Timestamp },
    /// Nobody reviewed the access of this person in time.
    Overdue { who: String, reviewers: Vec<Subject>, since: Timestamp },
    /// A reviewer found it to be justified or not.
    Found { by: String, justified: bool, comment: Option<String> },
}

impl fmt::Display for GlassReview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken { who, reason, reviewers, by } => {
                let open = Self::Open { reviewers: reviewers.clone(), by: *by };
                write!(f, "{who} broke the glass ({reason}); {open}")
            }
            Self::Open { reviewers, by } => write!(f, "one of {} must review it by {by}", names(reviewers)),
            Self::Overdue { who, reviewers, since } => write!(
                f,
                "its review is overdue since {since}: one of {} must say Approve or Deny; until then {who} gets no \
                 further break-glass access",
                names(reviewers)
            ),
            Self::Found { by, justified, comment } => {
                let found = if *justified { "justified" } else { "not justified" };
                write!(f, "{by} found the access to be {found}{}", Comment(comment.as_deref()))
            }
        }
    }
}

/// What suspends access and lets it come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Its window closed as stated.
    WindowClosed(Timestamp),
    /// Its next window opens then, if one does in the next two weeks.
    UntilWindow(Option<Timestamp>),
    /// It is proven that nobody used it for so long, and its next window opens then, if one does in the next two weeks.
    Unused { timeout: SignedDuration, since: Timestamp, opens: Option<Timestamp> },
    /// The rules of its role are not what was decided on.
    ForRole(RoleName),
    /// It comes back.
    Over,
    /// Somebody changed the rules of its role before the decision.
    RoleChangedBefore(RoleName),
    /// The same after the decision.
    RoleChanged(RoleName),
    /// They are again what was decided on.
    RoleRestored(RoleName),
}

impl fmt::Display for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WindowClosed(at) => write!(f, "the window closed as stated at {at}"),
            Self::UntilWindow(Some(opens)) => write!(f, "it rests until its next window opens at {opens}"),
            Self::UntilWindow(None) => f.write_str("it rests: no window opens in the next two weeks"),
            Self::Unused { timeout, since, opens } => {
                write!(f, "{}; {}", UnusedFor { timeout: *timeout, since: *since }, Self::UntilWindow(*opens))
            }
            Self::ForRole(role) => write!(
                f,
                "it rests while the rules of {role} are not what was decided on: put them back, or make a new request"
            ),
            Self::Over => f.write_str("it comes back"),
            Self::RoleChangedBefore(role) => {
                write!(f, "somebody changed the rules of {role} while the request was open")
            }
            Self::RoleChanged(role) => {
                write!(f, "somebody changed the rules of {role}: they are not what was decided on")
            }
            Self::RoleRestored(role) => write!(f, "the rules of {role} are again what was decided on"),
        }
    }
}

/// That nobody used it.
struct UnusedFor {
    timeout: SignedDuration,
    since: Timestamp,
}

impl fmt::Display for UnusedFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (timeout, since) = (duration::format(self.timeout), self.since);
        write!(f, "nobody used it for {timeout} from {since} on, by the audit log of every API server")
    }
}

/// What somebody wrote to it, behind a sentence.
struct Comment<'a>(Option<&'a str>);

impl fmt::Display for Comment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|comment| write!(f, ": {comment}"))
    }
}

/// The names of subjects, in a row.
pub fn names(subjects: &[Subject]) -> String {
    subjects.iter().map(|subject| subject.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// So many approvals that are still missing, in words.
pub fn more_approvals(n: i32) -> String {
    if n == 1 { "one more approval".to_owned() } else { format!("{n} more approvals") }
}
