//! Records: what happened to a request, one for each transition, in a form that outlives its objects.
//!
//! Owns the schema `daypass.dev/record/v1` and its bytes. Both are frozen: a later version of Daypass writes the same bytes
//! for the same request, so fields are added under a new schema only. Must not say what happened: `core::record` does.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::reason::Reason;
use super::request::{NarrowRule, Recurrence, ReviewVerdict};
use super::subject::RoleName;
use super::word::Word;

/// The schema that this version writes.
pub const SCHEMA: &str = "daypass.dev/record/v1";

/// Name of the file that has the JSON schema.
pub const SCHEMA_FILE: &str = "record.v1.schema.json";

/// The JSON schema of records.
pub fn schema_as_json() -> String {
    published(schemars::schema_for!(Record), SCHEMA)
}

/// A JSON schema as it is published, with its name as its `$id`.
pub fn published(mut schema: Schema, name: &str) -> String {
    schema.insert("$id".to_owned(), format!("https://{name}").into());
    format!("{:#}\n", schema.to_value())
}

/// One transition of a request.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// `daypass.dev/record/v1`.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// UID of the request and `index`, with a slash between them. No other record has it.
    pub id: String,
    /// UID of the namespace kube-system of the cluster, by which clusters are told apart.
    pub cluster: String,
    /// The request that it happened to.
    pub request: RecordedRequest,
    /// Place of this record among those of its request, from 0.
    pub index: u32,
    /// When it happened, in UTC. Creation has whole seconds, since the API server has no more; so have records of
    /// requests that an earlier version handled.
    pub at: MicroTime,
    /// What happened, in one word. Readers must expect words that they do not know.
    pub kind: StoredRecordKind,
    /// What it means for access.
    pub outcome: RecordOutcome,
    /// Who did it. Left out: Daypass, following policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<RecordedPerson>,
    /// Who gets access, and asked for it. Left out: the request was made while the cluster did not say who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<RecordedPerson>,
    /// What access it is about.
    pub access: RecordedAccess,
    /// What was asked for besides: in the first record of a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<RecordedQuestion>,
    /// The policy that decides, in its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<RecordedPolicy>,
    /// Name of the approval stage that is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// What a reviewer said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<RecordedReview>,
    /// Usernames of those whose approval counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved_by: Vec<String>,
    /// From when to when access was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<RecordedTerm>,
    /// A sentence for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What the request's history had no room for, up to here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<RecordedGap>,
    /// Digest of the request's former record. Left out of the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
}

/// A request by its names.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RecordedRequest {
    /// Namespace of the AccessRequest.
    pub namespace: String,
    /// Name of the AccessRequest.
    pub name: String,
    /// UID of the AccessRequest.
    pub uid: String,
}

/// Somebody, as the API server authenticated them.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RecordedPerson {
    /// Name of the user.
    pub username: String,
    /// UID that the cluster's login gives the user, where it gives one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Digest of the user's groups as they were then: of a JSON array of their names, sorted. Left out where they are not
    /// known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<String>,
}

/// A role, how much of it, and where.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RecordedAccess {
    /// The role.
    pub role: RoleName,
    /// Digest of the role's rules as they were when the request was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_digest: Option<String>,
    /// The rights, where they are fewer than the role has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<NarrowRule>,
    /// Whether it holds in the whole cluster.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cluster_wide: bool,
    /// The namespaces that it holds in, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// The labels that its namespaces have, where they are not known by name yet, as kubectl writes a selector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// How much harm it can do: Low, Medium, High, Critical or Unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<String>,
    /// Whether it is break-glass access.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub break_glass: bool,
}

/// What a request asks for besides a role and a place.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RecordedQuestion {
    /// Why access is needed, in the requester's words.
    pub reason: String,
    /// Number or link of the ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// For how long, as GEP-2257 writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// From when on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<MicroTime>,
    /// In which windows it comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recurrence: Option<Recurrence>,
    /// Name of the policy asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Name of the running request whose end should move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extends: Option<String>,
    /// Groups of the requester, as the cluster's login gave them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// A policy in one version.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RecordedPolicy {
    /// Name of the AccessPolicy.
    pub name: String,
    /// UID of the AccessPolicy.
    pub uid: String,
    /// Generation of its spec.
    pub generation: i64,
    /// Digest of its spec, by which its text is found. Left out where it was gone or could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// What a reviewer said.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RecordedReview {
    /// Approve, Deny or Revoke.
    pub verdict: ReviewVerdict,
    /// Why, in the reviewer's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// From when on it counts, if it was given outside of the hours of its stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts_from: Option<MicroTime>,
}

/// From when to when.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RecordedTerm {
    /// When access began. Left out: it has not begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<MicroTime>,
    /// When it ends, or was to end.
    pub until: MicroTime,
}

/// Entries that a history had no room for.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RecordedGap {
    /// How many.
    pub count: i64,
    /// Digest of all of them in their order. Left out of what an earlier version left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// What a record says happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// Somebody made the request.
    Requested,
    /// The object is gone: it was deleted, or its namespace was.
    Deleted,
    /// What an entry of the history says.
    Entry(Reason),
}

/// A kind as it is stored.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(transparent)]
pub struct StoredRecordKind(String);

impl StoredRecordKind {
    /// The word as it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The kind, if this version knows the word.
    pub fn known(&self) -> Option<RecordKind> {
        match self.as_str() {
            REQUESTED => Some(RecordKind::Requested),
            DELETED => Some(RecordKind::Deleted),
            word => Word::<Reason>::from(word).known().map(RecordKind::Entry),
        }
    }
}

const REQUESTED: &str = "Requested";
const DELETED: &str = "Deleted";

impl From<RecordKind> for StoredRecordKind {
    fn from(kind: RecordKind) -> Self {
        let word = match kind {
            RecordKind::Requested => REQUESTED,
            RecordKind::Deleted => DELETED,
            RecordKind::Entry(reason) => reason.as_str(),
        };
        Self(word.to_owned())
    }
}

impl From<&Word<Reason>> for StoredRecordKind {
    fn from(event: &Word<Reason>) -> Self {
        Self(event.as_str().to_owned())
    }
}

/// What a transition means for access.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordOutcome {
    /// Access was asked for.
    Asked,
    /// It was allowed.
    Allowed,
    /// It was refused, or could not be given.
    Refused,
    /// It began, or came back.
    Begun,
    /// Its end was moved.
    Moved,
    /// It rests.
    Rested,
    /// It ended.
    Ended,
    /// Nothing changed for access.
    Noted,
}

/// The digest of some bytes, as records write it: `sha256:` and 64 hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    digest_of_sum(&Sha256::digest(bytes))
}

/// The same, of a SHA-256 that is computed already.
pub fn digest_of_sum(sum: &[u8]) -> String {
    format!("sha256:{}", sum.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// Canonical JSON (RFC 8785): members sorted by name, no white space. Numbers must be whole, and names ASCII.
pub fn canonical(value: &impl Serialize) -> String {
    // A map of serde_json is sorted. What is given here is data of our own types, of which each is an object.
    serde_json::to_value(value).map(|value| value.to_string()).unwrap_or_default()
}

impl Record {
    /// Its bytes: what digests are made of, what is sent and what is stored.
    pub fn bytes(&self) -> String {
        canonical(self)
    }

    /// Digest of its bytes.
    pub fn digest(&self) -> String {
        digest(self.bytes().as_bytes())
    }
}

impl fmt::Display for StoredRecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_in_the_examples_is_what_the_types_say() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/record").join(SCHEMA_FILE);
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(stored == schema_as_json(), "{} is not what src/api says: run `make crds`", path.display());
    }

    #[test]
    fn canonical_json_is_sorted_and_has_no_white_space() {
        let value = serde_json::json!({ "b": [1, { "d": null, "c": "\u{1}\n\"ü" }], "a": true });
        assert_eq!(canonical(&value), r#"{"a":true,"b":[1,{"c":"\u0001\n\"ü","d":null}]}"#);
        assert_eq!(digest(b""), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
