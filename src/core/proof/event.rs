//! What an archive says of itself in its log: that it was alive, who read, what must be kept, and who erased what.
//!
//! Owns these leaves as types. In clear stand times, counts, UIDs, and paths; committed to is who did it (`by`), what was
//! looked for (`what`) and why (`reason`), which tell of persons. Of what was erased stands where it was, and never what it
//! was. It must not count or erase anything.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::field::{FieldSalt, FieldSalts};
use super::leaf::{LeafEntry, LeafFault, LeafKind};
use crate::api::record::RecordedPerson;

/// That the log was alive.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// When, by the clock of the archive.
    pub at: MicroTime,
    /// What it knew of each cluster, by the UID of its namespace kube-system.
    pub clusters: BTreeMap<String, ClusterBeat>,
}

/// What an archive knew of a cluster.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ClusterBeat {
    /// How many requests are in which state, as their records say.
    pub requests: BTreeMap<String, u64>,
    /// Names of the guards that were in force. Left out where nobody told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guards: Option<Vec<String>>,
    /// How old the newest audit event is, in seconds. Left out where no audit log comes in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed_lag_seconds: Option<u64>,
}

/// That somebody read.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LoggedRead {
    /// When.
    pub at: MicroTime,
    /// Who.
    pub by: RecordedPerson,
    /// What was looked for, as the call said it.
    pub what: String,
    /// How many records were given out.
    pub found: u64,
}

/// That records must be kept beyond their time, or need be no longer.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LegalHold {
    /// When it was set or lifted.
    pub at: MicroTime,
    /// Who did.
    pub by: RecordedPerson,
    /// UIDs of the requests.
    pub requests: Vec<String>,
    /// Username of somebody, all of whose requests it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Until when. Left out: until it is lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<MicroTime>,
    /// Whether it is lifted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lifted: bool,
    /// Why.
    pub reason: String,
}

/// That fields were erased: each of these paths in each of these leaves, value and salt.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LoggedErasure {
    /// When.
    pub at: MicroTime,
    /// Who did.
    pub by: RecordedPerson,
    /// Places of the leaves in the log.
    pub leaves: Vec<u64>,
    /// Paths of the fields.
    pub paths: Vec<String>,
    /// Why.
    pub reason: String,
}

/// One of these.
#[derive(Clone, Debug, PartialEq)]
pub enum LogEvent {
    /// That the log was alive.
    Heartbeat(Heartbeat),
    /// That somebody read.
    Read(LoggedRead),
    /// That records must be kept, or need be no longer.
    Hold(LegalHold),
    /// That fields were erased.
    Erasure(LoggedErasure),
}

impl LogEvent {
    /// Its leaf, with the salts that were drawn for it.
    ///
    /// # Errors
    /// When it is too long for one; then several of it must be made.
    pub fn leaf(&self, salts: impl FnMut() -> FieldSalt) -> Result<(LeafEntry, FieldSalts), LeafFault> {
        let (kind, object) = self.told()?;
        LeafEntry::of_object(kind, object, salts)
    }

    /// What it says in clear, and the kind of its leaf.
    ///
    /// # Errors
    /// When it is no object.
    pub fn told(&self) -> Result<(LeafKind, Map<String, Value>), LeafFault> {
        let (kind, value) = match self {
            Self::Heartbeat(event) => (LeafKind::Heartbeat, serde_json::to_value(event)),
            Self::Read(event) => (LeafKind::Read, serde_json::to_value(event)),
            Self::Hold(event) => (LeafKind::Hold, serde_json::to_value(event)),
            Self::Erasure(event) => (LeafKind::Erasure, serde_json::to_value(event)),
        };
        let Ok(Value::Object(object)) = value else { return Err(LeafFault::Form) };
        Ok((kind, object))
    }
}
