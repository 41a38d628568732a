//! Values of a request's status about people: what reviewers wrote, what of it counted, and what happened.
//!
//! Owns their schema. Must not say whose review counts: `core/decision/approvals` does.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::facts::{NotedFacts, NotedIdentity};
use crate::api::precise_time::PreciseTime;
use crate::api::reason::StoredReason;
use crate::api::subject::Subject;

/// What a reviewer says.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewVerdict {
    /// Grant it.
    Approve,
    /// Do not grant it.
    Deny,
    /// End it.
    Revoke,
}

impl ReviewVerdict {
    /// The verdict as the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "Approve",
            Self::Deny => "Deny",
            Self::Revoke => "Revoke",
        }
    }
}

/// What one approver said. Who they are is stamped by the cluster.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Review {
    /// Approve, Deny or Revoke.
    pub verdict: ReviewVerdict,
    /// Why, for the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub comment: Option<String>,
    /// UID of the reviewer. Written by the cluster from the reviewer's login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub uid: Option<String>,
    /// Groups of the reviewer. Written by the cluster from the reviewer's login.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512), inner(length(max = 253)))]
    pub groups: Vec<String>,
}

/// A review that counted.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CountedReview {
    /// Username of the reviewer.
    #[schemars(length(max = 1024))]
    pub reviewer: String,
    /// UID that their login gave them then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub uid: Option<String>,
    /// What they said.
    pub verdict: ReviewVerdict,
    /// Since when it has counted.
    pub counted_at: Time,
    /// The approval stage that was open then, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub stage: Option<String>,
}

/// The approval stage that is open, and how far it is.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct OpenStage {
    /// Name of the stage in the policy.
    #[schemars(length(max = 63))]
    pub name: String,
    /// When it opened.
    pub opened_at: Time,
    /// How many people must approve.
    pub required: i32,
    /// How many have.
    pub approved: i32,
    /// Who may approve now. A review by somebody else has no effect on this stage; the requester's own never has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub approvers: Vec<Subject>,
}

/// The review that break-glass access must have: by whom, by when, and what came of it.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BreakGlassReview {
    /// Who may close the review, as the policy said when access began. What the policy says now goes first.
    #[schemars(length(max = 64))]
    pub reviewers: Vec<Subject>,
    /// By when it must be closed. While it is overdue, the requester gets no further break-glass access.
    pub review_by: Time,
    /// When it was closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<Time>,
    /// Who closed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub closed_by: Option<String>,
    /// Approve: access was justified. Deny: it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<ReviewVerdict>,
}

impl BreakGlassReview {
    /// Whether it still waits for a reviewer.
    pub fn is_open(&self) -> bool {
        self.closed_at.is_none()
    }
}

/// Something that happened to a request.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// When it happened, to the microsecond.
    pub at: PreciseTime,
    /// What, in one word: the reason of the Event that announced it.
    #[schemars(length(max = 64))]
    pub event: StoredReason,
    /// Who did it. Left out: the controller, following policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub by: Option<String>,
    /// Who that was, as their login said then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<NotedIdentity>,
    /// The approval stage that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub stage: Option<String>,
    /// Of a review: what it said when it was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<NotedReview>,
    /// What is new since the entry before, for the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Box<NotedFacts>>,
    /// A sentence for people.
    #[schemars(length(max = 4096))]
    pub message: String,
}

/// What a review said when it was noted in the history.
#[derive(Serialize, Deserialize, KubeSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NotedReview {
    /// Approve, Deny or Revoke.
    pub verdict: ReviewVerdict,
    /// Why, in the reviewer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub comment: Option<String>,
    /// From when on it counts, if it was given outside of the hours of its stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts_from: Option<Time>,
}
