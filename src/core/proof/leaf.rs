//! Leaves of the log: one for each record that an archive keeps, and between them what the archive says of itself.
//!
//! Owns the schema `daypass.dev/leaf/v1` and its bytes, which are frozen: canonical JSON of the schema, of one member that is
//! named after what the leaf is about, and of `commitments`. A leaf is made once, when what it is about is kept; salts and
//! values lie elsewhere. The leaf of a record is the record with each field cut out that may tell of a person, and a
//! commitment in its place ([`super::field`]); with all of them opened it is the record again, byte for byte.
//!
//! | Field of a record | In a leaf | Why |
//! | --- | --- | --- |
//! | `schema`, `cluster`, `index`, `at`, `kind`, `outcome`, `request.uid` | clear | numbers, times, and words of Daypass; the UIDs are random, and an auditor counts by them |
//! | `id` | clear | the UID and the index once more |
//! | `access.role`, `access.risk`, `access.clusterWide`, `access.breakGlass` | clear | what was given, by names that administrators make |
//! | `policy.name`, `policy.uid`, `policy.generation`, `asked.policy` | clear | by which rule, likewise |
//! | `asked.duration`, `asked.from`, `given`, `review.verdict`, `review.countsFrom`, `leftOut.count` | clear | times, numbers and words of Daypass |
//! | `actor.*`, `subject.*`, `approvedBy`, `asked.groups` | committed | persons; digests of groups can be guessed |
//! | `asked.reason`, `asked.ticket`, `review.comment`, `message` | committed | what people wrote, and sentences with their names |
//! | `request.name`, `request.namespace`, `asked.extends` | committed | whoever asks chooses the name, and a namespace may be a person's |
//! | `access.namespaces`, `access.selector`, `access.rules` | committed | places and objects that may be a person's, without bound in size |
//! | `access.roleDigest`, `policy.digest`, `leftOut.digest`, `previous` | committed | unsalted digests of texts that may name a person: with all else known, a name can be tried |
//! | `stage`, `asked.recurrence` | committed | words of a policy or a person, free in form |
//! | all others | committed | nobody knows what a field of tomorrow says |
//! | `digest`, which is no field of it | committed | digest of the record, by which the next record's `previous` is held against it |
//!
//! Whoever erases a field of a record erases with it the salts of that record's `digest` and of `previous` in the next
//! record, or a guess of the value could be tried on them.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::canonical::{self, CanonicalFault};
use super::field::{ClearFields, CutObject, FieldOpening, FieldOpenings, FieldSalt, FieldSalts, commitment};
use super::tile::MOST_ENTRY_BYTES;
use super::tree::TreeHash;
use crate::api::record::digest;

/// The schema of leaves.
pub const LEAF_SCHEMA: &str = "daypass.dev/leaf/v1";
/// Under what a leaf commits to the digest of its record. No path, since each of those begins with a slash.
pub const OWN_DIGEST: &str = "digest";
/// The path of the digest of the record before.
pub const PREVIOUS: &str = "/previous";

/// What a leaf is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeafKind {
    /// A record of a request.
    Record,
    /// That the log was alive, and what it saw.
    Heartbeat,
    /// That somebody read.
    Read,
    /// That something must be kept, or need no longer.
    Hold,
    /// That something was erased.
    Erasure,
}

impl LeafKind {
    const ALL: [Self; 5] = [Self::Record, Self::Heartbeat, Self::Read, Self::Hold, Self::Erasure];

    /// The member of a leaf that tells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Heartbeat => "heartbeat",
            Self::Read => "read",
            Self::Hold => "hold",
            Self::Erasure => "erasure",
        }
    }

    /// What of it stands in clear. For each other than a record, [`super::event`] says why.
    pub fn clear_fields(self) -> ClearFields {
        match self {
            Self::Record => ClearFields { clear: RECORD_CLEAR, cut: RECORD_CUT },
            Self::Heartbeat => ClearFields { clear: &["/at", "/clusters"], cut: &[] },
            Self::Read => ClearFields { clear: &["/at", "/found"], cut: &["/by"] },
            Self::Hold => ClearFields { clear: &["/at", "/lifted", "/requests", "/until"], cut: &["/by"] },
            Self::Erasure => ClearFields { clear: &["/at", "/leaves", "/paths"], cut: &["/by"] },
        }
    }
}

const RECORD_CLEAR: &[&str] = &[
    "/schema",
    "/id",
    "/cluster",
    "/index",
    "/at",
    "/kind",
    "/outcome",
    "/request/uid",
    "/access/role",
    "/access/risk",
    "/access/clusterWide",
    "/access/breakGlass",
    "/policy/name",
    "/policy/uid",
    "/policy/generation",
    "/asked/policy",
    "/asked/duration",
    "/asked/from",
    "/given",
    "/review/verdict",
    "/review/countsFrom",
    "/leftOut/count",
];
const RECORD_CUT: &[&str] = &["/request", "/actor", "/subject", "/access", "/asked", "/policy", "/review", "/leftOut"];

/// What is wrong with a leaf, or with what is said to be in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeafFault {
    /// It is not in the one form that it can have.
    #[error("{0}")]
    Canonical(#[from] CanonicalFault),
    /// It is longer than a leaf can be.
    #[error("the leaf has {0} bytes and may have 65535; make several of it")]
    TooLong(usize),
    /// It is of another schema.
    #[error("schema: it is not {LEAF_SCHEMA}; use a later version")]
    UnknownSchema,
    /// It is about something that this version does not know.
    #[error("its kind {0:?} is unknown to this version; use a later one")]
    UnknownKind(String),
    /// A member is lacking, or one is there that must not be.
    #[error("it is not of schema, one object and commitments")]
    Form,
    /// A field stands in clear that must be committed to.
    #[error("a field stands in clear that must be committed to, so it could not be erased")]
    InClear,
    /// Something else stands in clear than is said.
    #[error("what stands in clear is not what the record says; one of them was changed")]
    OtherClear,
    /// Nothing is committed to under this path.
    #[error("{0}: the leaf has no such field; it was added")]
    NotCommitted(String),
    /// Another value is committed to under this path.
    #[error("{0}: the value or its salt is not what the leaf commits to; it was changed")]
    OtherValue(String),
    /// A value is there whose salt is not, or the other way round.
    #[error("{0}: of value and salt only one is there; it was removed or added")]
    Half(String),
}

/// Which record a leaf is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordName {
    /// UID of the namespace kube-system of the cluster.
    pub cluster: String,
    /// UID of the request.
    pub request: String,
    /// Place among the records of the request, from 0.
    pub index: u64,
}

/// A leaf.
#[derive(Clone, Debug, PartialEq)]
pub struct LeafEntry {
    kind: LeafKind,
    clear: Map<String, Value>,
    commitments: BTreeMap<String, String>,
}

impl LeafEntry {
    /// The leaf of a record, from the record's bytes, with the salts that were drawn for it.
    ///
    /// # Errors
    /// When the record cannot be told in a leaf. An archive takes no such record.
    pub fn of_record(record: &str, salts: impl FnMut() -> FieldSalt) -> Result<(Self, FieldSalts), LeafFault> {
        let Value::Object(object) = canonical::read(record)? else { return Err(LeafFault::Form) };
        let mut cut = LeafKind::Record.clear_fields().cut(object);
        cut.hidden.insert(OWN_DIGEST.to_owned(), digest(record.as_bytes()).into());
        Self::of_cut(LeafKind::Record, cut, salts)
    }

    /// The leaf of something else.
    ///
    /// # Errors
    /// When it is too long, or has a number that JSON cannot tell.
    pub fn of_object(
        kind: LeafKind,
        object: Map<String, Value>,
        salts: impl FnMut() -> FieldSalt,
    ) -> Result<(Self, FieldSalts), LeafFault> {
        object.values().try_for_each(canonical::check)?;
        Self::of_cut(kind, kind.clear_fields().cut(object), salts)
    }

    fn of_cut(
        kind: LeafKind,
        cut: CutObject,
        mut salts: impl FnMut() -> FieldSalt,
    ) -> Result<(Self, FieldSalts), LeafFault> {
        let drawn: FieldSalts = cut.hidden.keys().map(|path| (path.clone(), salts())).collect();
        let commit = |(path, value): (String, Value)| {
            let commitment = drawn.get(&path).map(|salt| commitment(&path, salt, &value));
            commitment.map(|commitment| (path, commitment))
        };
        let commitments = cut.hidden.into_iter().filter_map(commit).collect();
        let leaf = Self { kind, clear: cut.clear, commitments };
        let length = leaf.bytes().len();
        if length > MOST_ENTRY_BYTES { Err(LeafFault::TooLong(length)) } else { Ok((leaf, drawn)) }
    }

    /// Reads the bytes of a leaf.
    ///
    /// # Errors
    /// When they are not those of a leaf that this version knows.
    pub fn read(bytes: &[u8]) -> Result<Self, LeafFault> {
        let text = std::str::from_utf8(bytes).map_err(|error| CanonicalFault::NotJson(error.to_string()))?;
        Self::of_json(canonical::read(text)?)
    }

    /// Reads a leaf from JSON that was read from a canonical text.
    ///
    /// # Errors
    /// When it is no leaf that this version knows.
    pub fn of_json(value: Value) -> Result<Self, LeafFault> {
        let Value::Object(mut members) = value else { return Err(LeafFault::Form) };
        if members.remove("schema").as_ref().and_then(Value::as_str) != Some(LEAF_SCHEMA) {
            return Err(LeafFault::UnknownSchema);
        }
        let commitments = members.remove("commitments").map(read_commitments);
        let commitments = commitments.unwrap_or_else(|| Some(BTreeMap::new())).ok_or(LeafFault::Form)?;
        let mut subjects = members.into_iter();
        let (Some((name, Value::Object(clear))), None) = (subjects.next(), subjects.next()) else {
            return Err(LeafFault::Form);
        };
        let kind = LeafKind::ALL.into_iter().find(|kind| kind.as_str() == name);
        let kind = kind.ok_or(LeafFault::UnknownKind(name))?;
        if !kind.clear_fields().allows(&clear) {
            return Err(LeafFault::InClear);
        }
        Ok(Self { kind, clear, commitments })
    }

    /// The leaf as JSON.
    pub fn as_json(&self) -> Value {
        let mut members = Map::new();
        members.insert("schema".to_owned(), LEAF_SCHEMA.into());
        members.insert(self.kind.as_str().to_owned(), self.clear.clone().into());
        if !self.commitments.is_empty() {
            let commitments = self.commitments.iter().map(|(path, hash)| (path.clone(), hash.as_str().into()));
            members.insert("commitments".to_owned(), commitments.collect::<Map<_, _>>().into());
        }
        members.into()
    }

    /// Its bytes.
    pub fn bytes(&self) -> String {
        self.as_json().to_string()
    }

    /// Its hash in the tree.
    pub fn hash(&self) -> TreeHash {
        TreeHash::of_leaf(self.bytes().as_bytes())
    }

    /// What it is about.
    pub fn kind(&self) -> LeafKind {
        self.kind
    }

    /// A field that stands in clear, by its path.
    pub fn clear(&self, path: &str) -> Option<&Value> {
        let mut names = path.strip_prefix('/')?.split('/');
        let first = self.clear.get(names.next()?)?;
        names.try_fold(first, |at, name| at.get(name))
    }

    /// Which record it is about. None when it is not about one, or names none, or two.
    pub fn record_name(&self) -> Option<RecordName> {
        let text = |path: &str| Some(self.clear(path)?.as_str()?.to_owned());
        let (cluster, request) = (text("/cluster")?, text("/request/uid")?);
        let index = self.clear("/index")?.as_u64()?;
        let is_one = self.kind == LeafKind::Record && text("/id")? == format!("{request}/{index}");
        is_one.then_some(RecordName { cluster, request, index })
    }

    /// Whether no more need be told of the request after it, as [`crate::core::record::v1::closes`] says of a record.
    pub fn closes(&self) -> bool {
        let word = |path: &str| self.clear(path).and_then(Value::as_str).unwrap_or_default();
        let has_place = self.clear("/access/clusterWide").is_some()
            || self.commits_to("/access/selector")
            || self.commits_to("/access/namespaces");
        match word("/kind") {
            "Deleted" => true,
            "Extended" => !has_place,
            _ => matches!(word("/outcome"), "Ended" | "Refused"),
        }
    }

    /// Paths of the fields that it commits to.
    pub fn committed(&self) -> impl Iterator<Item = &str> {
        self.commitments.keys().map(String::as_str)
    }

    /// Whether it commits to a field.
    pub fn commits_to(&self, path: &str) -> bool {
        self.commitments.contains_key(path)
    }

    /// Checks that a value is the one that the leaf commits to.
    ///
    /// # Errors
    /// When it is not.
    pub fn opens(&self, path: &str, opening: &FieldOpening) -> Result<(), LeafFault> {
        let commitment = self.commitments.get(path).ok_or_else(|| LeafFault::NotCommitted(path.to_owned()))?;
        canonical::check(&opening.value)?;
        if opening.commitment(path) == *commitment { Ok(()) } else { Err(LeafFault::OtherValue(path.to_owned())) }
    }

    /// The object that it is about, if all that it commits to is opened. The openings are those that [`LeafEntry::opens`]
    /// found right.
    pub fn restored(&self, openings: &FieldOpenings) -> Option<Map<String, Value>> {
        let fields = self.commitments.keys().filter(|path| *path != OWN_DIGEST);
        let hidden = fields.map(|path| Some((path.clone(), openings.get(path)?.value.clone())));
        let hidden = hidden.collect::<Option<_>>()?;
        self.kind.clear_fields().joined(CutObject { clear: self.clear.clone(), hidden })
    }

    /// Checks that a record is the one of this leaf, and gives what it opens. Of a field that was erased neither value nor
    /// salt may be there.
    ///
    /// # Errors
    /// When anything of the record is not what the leaf says.
    pub fn compare(&self, record: &str, salts: &FieldSalts) -> Result<FieldOpenings, LeafFault> {
        let Value::Object(object) = canonical::read(record)? else { return Err(LeafFault::Form) };
        let mut cut = self.kind.clear_fields().cut(object);
        if cut.clear != self.clear {
            return Err(LeafFault::OtherClear);
        }
        if salts.contains_key(OWN_DIGEST) {
            cut.hidden.insert(OWN_DIGEST.to_owned(), digest(record.as_bytes()).into());
        }
        if let Some(half) = salts.keys().find(|path| !cut.hidden.contains_key(*path)) {
            return Err(LeafFault::Half(half.clone()));
        }
        let mut openings = FieldOpenings::new();
        for (path, value) in cut.hidden {
            let salt = salts.get(&path).ok_or_else(|| LeafFault::Half(path.clone()))?.clone();
            let opening = FieldOpening { salt, value };
            self.opens(&path, &opening)?;
            openings.insert(path, opening);
        }
        Ok(openings)
    }
}

/// Commitments as a leaf writes them: at least one, each under a path or [`OWN_DIGEST`].
fn read_commitments(value: Value) -> Option<BTreeMap<String, String>> {
    let Value::Object(all) = value else { return None };
    let one = |(path, hash): (String, Value)| {
        let digits = hash.as_str()?.strip_prefix("sha256:")?;
        let is_hash = digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        (is_hash && (path.starts_with('/') || path == OWN_DIGEST)).then(|| (path, format!("sha256:{digits}")))
    };
    if all.is_empty() { None } else { all.into_iter().map(one).collect() }
}

#[cfg(test)]
mod tests;
