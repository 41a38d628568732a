//! What an archive keeps and for how long: legal holds, and what it answers to those who ask.
//!
//! Owns the forms of calls and answers. Must not say what may be erased when: `core::record::keeping` does.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use serde::{Deserialize, Serialize};

/// That records are to be kept beyond their time: those of requests, of a person, or of both.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HoldAsked {
    /// Name of the hold, which no other has or had.
    pub name: String,
    /// UIDs of requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<String>,
    /// Username of somebody who got access or did something: all requests whose records name them, those to come included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Until when, exclusive. Left out: until it is lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<MicroTime>,
    /// Why.
    pub reason: String,
}

/// A legal hold as it is kept.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct KeptHold {
    /// What was asked for.
    #[serde(flatten)]
    pub asked: HoldAsked,
    /// When it was set.
    pub at: MicroTime,
    /// Username of who set it.
    pub by: String,
    /// That it was lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifted: Option<LiftedHold>,
}

/// That a legal hold was lifted.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LiftedHold {
    /// When.
    pub at: MicroTime,
    /// Username of who did.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// For how long an archive keeps what, in days. What is left out is kept for good.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct KeepingTimes {
    /// Records of requests that are over, and campaigns that are closed: what people did, and what was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_days: Option<u32>,
    /// What was done with access, call by call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity_days: Option<u32>,
    /// Who read what of the archive.
    pub read_days: u32,
    /// Writes that no record explains.
    pub finding_days: u32,
}

/// That what the archive holds of somebody is to be erased: the requests that they made.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ErasureAsked {
    /// Username of the person, as the cluster's login gave it.
    pub person: String,
    /// Why.
    pub reason: String,
}

/// What came of an erasure, in requests.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ErasureTold {
    /// Requests of theirs whose records, and what was done with their access, are erased.
    pub erased: u64,
    /// Requests of theirs that are not over, or held, or the latest that the archive heard of; they stay.
    pub kept: u64,
    /// Requests of others in which they did something. They are the evidence of somebody else's access, and stay until their
    /// time is over.
    pub of_others: u64,
}
