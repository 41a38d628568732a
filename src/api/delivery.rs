//! What a controller and its archive say to each other when records are delivered.
//!
//! A delivery is lines of JSON (<https://jsonlines.org>): records, each as [`super::record::Record::bytes`] makes it, and texts. Must
//! not judge a delivery: `archive::judge` does, and `core::record::outbox` judges the answer.

use serde::{Deserialize, Serialize};

use super::record::Record;

/// The schema of a line that holds a text: what a digest in a record is the digest of.
pub const TEXT_SCHEMA: &str = "daypass.dev/text/v1";
/// Most bytes of a delivery.
pub const MOST_BYTES: usize = 8 << 20;
/// Most requests that an archive is asked about at a time.
pub const MOST_ASKED: usize = 500;
/// The audience of the token that a controller delivers with.
pub const AUDIENCE: &str = "daypass-archive";
/// Where records are delivered.
pub const RECORDS_PATH: &str = "/v1/records";
/// Where it is asked what is held.
pub const HEADS_PATH: &str = "/v1/heads";
/// Where it is asked which requests have records that do not end.
pub const OPEN_PATH: &str = "/v1/open";
/// How many of them are answered at a time.
pub const MOST_OPEN: usize = 200;

/// What is answered to the question which requests have records that do not end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OpenChains {
    /// In the order that the archive came to know them.
    pub chains: Vec<OpenChain>,
    /// What to ask on after, where there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// The records of a request, which say neither that it is over nor that it is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenChain {
    /// Digest of the last of them.
    pub digest: String,
    /// The last of them.
    pub last: Record,
}

/// What is answered to a delivery, and to the question what is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainAnswers {
    /// One for each request that was delivered or asked about.
    pub requests: Vec<ChainAnswer>,
    /// Digests that the delivered records name and of which no text is held. An archive of an earlier version does not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
}

/// A text as it is delivered, on a line before the first record that names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TextLine<'a> {
    /// [`TEXT_SCHEMA`].
    pub schema: &'static str,
    /// Digest of the text.
    pub digest: &'a str,
    /// What the digest is of, to the byte.
    pub text: &'a str,
}

impl<'a> TextLine<'a> {
    /// Of a text and its digest.
    pub fn of(digest: &'a str, text: &'a str) -> Self {
        Self { schema: TEXT_SCHEMA, digest, text }
    }
}

/// How much of a request is held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldChain {
    /// How many records, from index 0 on without a gap.
    pub held: u32,
    /// Digest of the last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// The rule that a record breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ChainRule {
    /// A record before it is not held.
    Gap,
    /// Other bytes are held under its id.
    Conflict,
    /// It does not continue the record before it.
    Previous,
}

/// A record that is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainRefusal {
    /// Its index. What came behind it is not kept either.
    pub index: u32,
    /// Which rule it breaks.
    pub rule: ChainRule,
    /// The index to go on from.
    pub send_from: u32,
    /// For people.
    pub message: String,
}

/// What became of the records of one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainAnswer {
    /// UID of the request.
    pub uid: String,
    /// What is held now, on disk.
    #[serde(flatten)]
    pub held: HeldChain,
    /// Why the rest is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<ChainRefusal>,
}
