//! What a controller and its archive say to each other about the use of grants.
//!
//! Owns the question and the answer. Must not judge them: `core::activity` says what is idle and what is not known.

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where the use of grants is asked for, with the token that records are delivered with.
pub const USES_PATH: &str = "/v1/activity/uses";
/// Most requests that are asked about at a time.
pub const MOST_USES: usize = 500;

/// The question: what was done with these grants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsesAsked {
    /// UIDs of the requests.
    pub requests: Vec<String>,
}

/// What the archive knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsesKnown {
    /// Each API server of which the canary's own calls have arrived, and since when and until when without a gap.
    pub servers: Vec<HeardServer>,
    /// What was done with each grant that was asked about; one that is left out was not seen at all.
    pub uses: Vec<KnownUse>,
}

/// An API server whose audit events arrive, as far as the canary's calls prove it. The times are those of the events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeardServer {
    /// Its address, as the canary called it: HOST:PORT.
    pub server: String,
    /// Since when its calls have arrived without a gap.
    pub from: Timestamp,
    /// The last of them.
    pub until: Timestamp,
}

/// What was done with one grant, as far as was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KnownUse {
    /// UID of the request.
    pub uid: String,
    /// How often it was used.
    #[serde(flatten)]
    pub count: UseCount,
    /// How many streams and watches are open under it.
    pub open: u64,
    /// How many are open that it would have allowed too, and that something else allowed.
    pub open_beside: u64,
}

/// How often a grant was used: a lower bound, since RBAC names only the first binding that allows a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UseCount {
    /// Calls that its bindings allowed.
    pub calls: u64,
    /// Those of them that the API server refused for another reason, such as admission.
    pub refused: u64,
    /// Calls that it would have allowed too and standing access did.
    pub standing: u64,
    /// Calls that it would have allowed too, and another grant did, or something that is not named.
    pub ambiguous: u64,
    /// The first call that its bindings allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Timestamp>,
    /// The last one; of a stream, its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Timestamp>,
    /// The last call that it would have allowed too and something else did; of a stream, its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_beside: Option<Timestamp>,
}

impl UseCount {
    /// Calls that it would have allowed too and something else did.
    pub fn beside(&self) -> u64 {
        self.standing.saturating_add(self.ambiguous)
    }
}
