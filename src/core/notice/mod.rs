//! Notices: what of a request is told to people who are not looking at it.
//!
//! Owns which entries of a history are worth a notice, what time alone brings, and what has become pointless to tell. It must
//! not know who is told, nor how: routes and providers do.

mod cloud_event;
mod history;
mod told;

#[cfg(test)]
mod tests;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::cloud_event::{NOTICE_SCHEMA_FILE, event_of_notice, notice_schema_as_json};
pub use self::history::of_history;
pub use self::told::{by_time, deleted, is_pointless, next_by_time};
use crate::api::risk::StoredRiskLevel;
use crate::api::subject::Subject;

/// The schema of a notice as programs get it.
pub const NOTICE_SCHEMA: &str = "daypass.dev/notice/v1";

/// How long before something notices go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foresight {
    /// Before access ends.
    pub end: SignedDuration,
    /// Before the review of break-glass access is overdue.
    pub review: SignedDuration,
}

impl Default for Foresight {
    fn default() -> Self {
        Self { end: SignedDuration::from_mins(10), review: SignedDuration::from_hours(24) }
    }
}

/// What is told.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NoticeEvent {
    /// A stage waits for its approvers.
    Waits,
    /// A stage had no answer in time, so that more people may approve.
    Escalated,
    /// Access is allowed.
    Approved,
    /// Policy or an approver said no.
    Denied,
    /// Nobody decided in time.
    Lapsed,
    /// Access was allowed, and could not be given.
    Failed,
    /// The end of access was moved.
    Extended,
    /// Access ends soon.
    EndsSoon,
    /// The stated end has come.
    Expired,
    /// Access was ended early.
    Revoked,
    /// The request was deleted before its end.
    Deleted,
    /// Access was taken in an emergency.
    BreakGlass,
    /// The review of break-glass access is due.
    ReviewDue,
    /// It was not reviewed in time.
    ReviewOverdue,
    /// A reviewer found it to be justified.
    Justified,
    /// A reviewer found it not to be justified.
    Unjustified,
    /// The cluster's admission policies are missing, and nothing is granted.
    GuardMissing,
}

/// What a route chooses by.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NoticeTopic {
    /// Somebody must approve: a stage opened.
    Waits,
    /// More people may approve, since a stage had no answer.
    Escalated,
    /// Approved, denied, lapsed, failed, or extended.
    Decided,
    /// Access ends soon.
    EndsSoon,
    /// Access ended, by itself or early.
    Ended,
    /// Access was taken in an emergency.
    BreakGlass,
    /// A review of it is due, or was closed.
    ReviewDue,
    /// It was not reviewed in time.
    ReviewOverdue,
    /// The cluster's admission policies are missing.
    GuardMissing,
}

impl NoticeTopic {
    /// Every topic.
    pub const ALL: [Self; 9] = [
        Self::Waits,
        Self::Escalated,
        Self::Decided,
        Self::EndsSoon,
        Self::Ended,
        Self::BreakGlass,
        Self::ReviewDue,
        Self::ReviewOverdue,
        Self::GuardMissing,
    ];
}

impl NoticeEvent {
    /// Every event.
    pub const ALL: [Self; 17] = [
        Self::Waits,
        Self::Escalated,
        Self::Approved,
        Self::Denied,
        Self::Lapsed,
        Self::Failed,
        Self::Extended,
        Self::EndsSoon,
        Self::Expired,
        Self::Revoked,
        Self::Deleted,
        Self::BreakGlass,
        Self::ReviewDue,
        Self::ReviewOverdue,
        Self::Justified,
        Self::Unjustified,
        Self::GuardMissing,
    ];

    /// What a route chooses it by.
    pub fn topic(self) -> NoticeTopic {
        match self {
            Self::Waits => NoticeTopic::Waits,
            Self::Escalated => NoticeTopic::Escalated,
            Self::Approved | Self::Denied | Self::Lapsed | Self::Failed | Self::Extended => NoticeTopic::Decided,
            Self::EndsSoon => NoticeTopic::EndsSoon,
            Self::Expired | Self::Revoked | Self::Deleted => NoticeTopic::Ended,
            Self::BreakGlass => NoticeTopic::BreakGlass,
            Self::ReviewDue | Self::Justified | Self::Unjustified => NoticeTopic::ReviewDue,
            Self::ReviewOverdue => NoticeTopic::ReviewOverdue,
            Self::GuardMissing => NoticeTopic::GuardMissing,
        }
    }

    /// Whether somebody must act on it: then it must be heard, and not only seen by whoever looks.
    pub fn calls_for_action(self) -> bool {
        matches!(
            self,
            Self::Waits
                | Self::Escalated
                | Self::EndsSoon
                | Self::BreakGlass
                | Self::ReviewDue
                | Self::ReviewOverdue
                | Self::GuardMissing
        )
    }
}

/// Something that is told, with all that is said of it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// UID of the request, a slash, and what tells its notices apart. A notice that is sent again has it again.
    pub id: String,
    /// What is told.
    pub event: NoticeEvent,
    /// When it happened, in UTC.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The request that it is about.
    pub request: NoticedRequest,
    /// Whether policy decided alone, without asking anybody and without an emergency.
    pub automatic: bool,
    /// Who did it. Left out: Daypass, following policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What they said about it, in their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// A sentence of the controller about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A request as a notice tells it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct NoticedRequest {
    /// Namespace of the AccessRequest.
    pub namespace: String,
    /// Name of the AccessRequest.
    pub name: String,
    /// UID of the AccessRequest.
    pub uid: String,
    /// Username of whoever asks.
    pub requester: String,
    /// The role, and what of it, in words.
    pub access: String,
    /// Where, in words.
    pub place: String,
    /// For how long, in words.
    pub length: String,
    /// Why, in the requester's words.
    pub reason: String,
    /// Number or link of the ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Name of the policy that decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// How much harm the role can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<StoredRiskLevel>,
    /// Whether it is an emergency.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub break_glass: bool,
    /// Name of the running request whose end should move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extends: Option<String>,
    /// Name of the stage that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Who may approve that stage, or review break-glass access.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<Subject>,
    /// How many must approve the stage, and how many have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<Approvals>,
    /// Usernames of those whose approval counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved_by: Vec<String>,
    /// When access begins, or began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub begins: Option<Timestamp>,
    /// When access ends, or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub ends: Option<Timestamp>,
    /// By when break-glass access must be reviewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub review_by: Option<Timestamp>,
}

/// How far a stage is.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approvals {
    /// How many people must approve.
    pub required: i32,
    /// How many have.
    pub given: i32,
}
