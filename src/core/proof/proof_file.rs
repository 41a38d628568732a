//! The proof of one request as a file that is handed to somebody else: its leaves, what opens them, and one checkpoint.
//!
//! Owns the schema `daypass.dev/proof/v1`, canonical JSON, and the judgement of such a file. One file has several leaves and
//! one checkpoint: so it shows besides each record that they are of one log at one moment, in their order, from the first
//! on and without a gap. C2SP tlog-proof is about one leaf; [`ProofFile::single`] gives each in that form too.
//!
//! It must not say more than the file shows: what cannot be known from it is named as [`NotProven`].

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::canonical::{self, CanonicalFault};
use super::checkpoint::{CheckpointFault, SignedCheckpoint, SigningPlace, TrustedKeys};
use super::field::{FieldOpening, FieldOpenings};
use super::leaf::{LeafEntry, LeafFault, OWN_DIGEST, PREVIOUS, RecordName};
use super::note::SignatureArithmetic;
use super::tree::{ProofFault, TreeHash, verify_inclusion};
use crate::api::record::{Record, canonical, digest};

/// The schema of the file.
pub const PROOF_SCHEMA: &str = "daypass.dev/proof/v1";

/// A leaf, and that it is in the tree.
#[derive(Clone, Debug, PartialEq)]
pub struct ProvenLeaf {
    /// Its place in the log, from 0.
    pub place: u64,
    /// The leaf.
    pub leaf: LeafEntry,
    /// The way from it to the root.
    pub path: Vec<TreeHash>,
    /// What of it is shown.
    pub openings: FieldOpenings,
}

/// The file.
#[derive(Clone, Debug, PartialEq)]
pub struct ProofFile {
    /// The checkpoint as the log signed it, and witnesses cosigned.
    pub checkpoint: String,
    /// The leaves of the request's records, by index.
    pub leaves: Vec<ProvenLeaf>,
}

/// What is wrong with a proof of a request. Records are named by their index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProof {
    /// It is not in the one form that it can have.
    #[error("{0}")]
    Canonical(#[from] CanonicalFault),
    /// It is no such file.
    #[error("schema: it is not a file of {PROOF_SCHEMA}, which `kubectl daypass proof` writes")]
    Form,
    /// There is no record in it.
    #[error("leaves: there is none; a proof is of at least one record")]
    Empty,
    /// The checkpoint.
    #[error("{0}")]
    Checkpoint(#[from] CheckpointFault),
    /// A leaf by itself, or what is said to be in it. Counted from 0.
    #[error("leaves[{0}]: {1}")]
    Leaf(usize, LeafFault),
    /// A leaf is not in the tree. Counted from 0.
    #[error("leaves[{0}]: {1}")]
    NotInTree(usize, ProofFault),
    /// A leaf is not about a record of a request. Counted from 0.
    #[error("leaves[{0}]: no record stands in it, or one with two names; take it out")]
    NotARecord(usize),
    /// Leaves are of two requests. Counted from 0.
    #[error("leaves[{0}]: it is of another request than the first; make a file for each")]
    OtherRequest(usize),
    /// Two records claim one index, or come in another order. Counted from 0.
    #[error(
        "leaves[{0}]: its index or its place in the log does not come after those of the leaf before; the log was wrongly made, or the file changed"
    )]
    Order(usize),
    /// A record names another former record than the one that is there.
    #[error(
        "record {0}: previous: it is not the digest of the record before; one of them was replaced before it came to the archive"
    )]
    BrokenChain(u64),
    /// A record that is shown as a whole is not the one whose digest the leaf commits to.
    #[error("record {0}: digest: it is not that of the record; the archive made the leaf of something else")]
    OtherDigest(u64),
}

/// What a file proves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proven {
    /// The log signed a checkpoint of this size, and each record of the file is in the tree.
    InLog {
        /// How many leaves the log had.
        size: u64,
        /// How many of them are in the file.
        records: usize,
    },
    /// A witness saw this checkpoint, and that it continues all that it saw before.
    Witnessed {
        /// Name of its key.
        name: String,
        /// When, in seconds since 1970, as it says.
        at: u64,
    },
    /// The records are the request's first ones, and none between them is lacking.
    FromTheFirst,
    /// The record with this index names the one before by its digest.
    Linked(u64),
    /// The record with this index is shown as a whole.
    Whole(u64),
    /// The request's access is over or was refused, by the record with this index.
    Closed(u64),
}

/// What a file does not prove.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotProven {
    /// That what a record says happened, happened: only the API server's own audit log tells.
    Truth,
    /// That the log has no other leaf of the request: only a walk through the whole log tells.
    NothingElse,
    /// That others are shown the same log: no witness that is known has cosigned.
    OneHistory,
    /// That the history was not made anew: the key lies in the cluster that it tells of.
    KeyOutside,
    /// What comes before the record with this index.
    Before(u64),
    /// What comes between the records with these indexes.
    Between(u64, u64),
    /// That the record with this index names the one before: it is not shown.
    Link(u64),
    /// What stands in a field of the record with this index: it is not shown, or erased.
    Hidden(u64, String),
    /// How it ended: no record of the file closes it.
    End,
}

/// A record of a file that was found right.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownRecord {
    /// Which record it is.
    pub name: RecordName,
    /// Its place in the log.
    pub place: u64,
    /// The leaf, with what stands in clear.
    pub leaf: LeafEntry,
    /// What else is shown of it.
    pub openings: FieldOpenings,
    /// The record, where all of it is shown.
    pub record: Option<Record>,
}

/// What came of a file that nothing is wrong with.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestProof {
    /// UID of the request.
    pub request: String,
    /// UID of the namespace kube-system of its cluster.
    pub cluster: String,
    /// The checkpoint.
    pub checkpoint: SignedCheckpoint,
    /// The records, by index.
    pub records: Vec<ShownRecord>,
    /// What is proven.
    pub proven: Vec<Proven>,
    /// What is not.
    pub unproven: Vec<NotProven>,
}

impl ProofFile {
    /// The file's text.
    pub fn text(&self) -> String {
        let leaf = |proven: &ProvenLeaf| {
            let openings = proven.openings.iter().map(|(path, opening)| (path.clone(), opening.as_json()));
            json!({
                "entry": proven.leaf.as_json(),
                "openings": openings.collect::<Map<_, _>>(),
                "path": proven.path.iter().map(TreeHash::to_string).collect::<Vec<_>>(),
                "place": proven.place,
            })
        };
        let leaves: Vec<Value> = self.leaves.iter().map(leaf).collect();
        let file = json!({ "checkpoint": self.checkpoint, "leaves": leaves, "schema": PROOF_SCHEMA });
        format!("{}\n", canonical(&file))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it is not of the form that [`ProofFile::text`] writes.
    pub fn read(text: &str) -> Result<Self, BadProof> {
        let value = canonical::read(text.strip_suffix('\n').unwrap_or(text))?;
        let members = value.as_object().filter(|members| members.len() == 3).ok_or(BadProof::Form)?;
        if value["schema"].as_str() != Some(PROOF_SCHEMA) {
            return Err(BadProof::Form);
        }
        let member = |name: &str| members.get(name).ok_or(BadProof::Form);
        let checkpoint = member("checkpoint")?.as_str().ok_or(BadProof::Form)?.to_owned();
        let leaves = member("leaves")?.as_array().ok_or(BadProof::Form)?;
        let leaves =
            leaves.iter().enumerate().map(|(at, leaf)| ProvenLeaf::read(at, leaf)).collect::<Result<_, _>>()?;
        Ok(Self { checkpoint, leaves })
    }

    /// The proof of one leaf by itself, as C2SP tlog-proof has it. The bytes of the leaf stand in the line `extra`.
    pub fn single(&self, at: usize) -> Option<String> {
        use base64::Engine;
        let proven = self.leaves.get(at)?;
        let entry = base64::engine::general_purpose::STANDARD.encode(proven.leaf.bytes());
        let mut text = format!("c2sp.org/tlog-proof@v1\nextra {entry}\nindex {}\n", proven.place);
        for hash in &proven.path {
            let _ = writeln!(text, "{hash}");
        }
        Some(format!("{text}\n{}", self.checkpoint))
    }

    /// Judges the file by the keys that whoever reads it trusts.
    ///
    /// # Errors
    /// By the first thing that is wrong. What is only not shown is none: it is told as [`NotProven`].
    pub fn verify(&self, keys: &TrustedKeys, arithmetic: &impl SignatureArithmetic) -> Result<RequestProof, BadProof> {
        let checkpoint = keys.open(&self.checkpoint, arithmetic)?;
        let records: Vec<ShownRecord> =
            self.leaves.iter().enumerate().map(|(at, leaf)| leaf.shown(at, &checkpoint)).collect::<Result<_, _>>()?;
        let first = records.first().ok_or(BadProof::Empty)?;
        let RecordName { request, cluster, .. } = first.name.clone();
        for (at, pair) in records.windows(2).enumerate() {
            let [before, now] = pair else { continue };
            if (&before.name.request, &before.name.cluster) != (&now.name.request, &now.name.cluster) {
                return Err(BadProof::OtherRequest(at + 1));
            }
            if now.name.index <= before.name.index || now.place <= before.place {
                return Err(BadProof::Order(at + 1));
            }
        }
        let mut findings = Findings::default();
        findings.of_checkpoint(&checkpoint, records.len());
        findings.of_chain(&records)?;
        let Findings { proven, unproven } = findings;
        Ok(RequestProof { request, cluster, checkpoint, records, proven, unproven })
    }
}

impl ProvenLeaf {
    fn read(at: usize, value: &Value) -> Result<Self, BadProof> {
        let members = value.as_object().filter(|members| members.len() == 4).ok_or(BadProof::Form)?;
        let member = |name: &str| members.get(name).ok_or(BadProof::Form);
        let leaf = LeafEntry::of_json(member("entry")?.clone()).map_err(|fault| BadProof::Leaf(at, fault))?;
        let path = member("path")?.as_array().ok_or(BadProof::Form)?.iter();
        let path = path.map(|hash| hash.as_str().and_then(TreeHash::from_base64).ok_or(BadProof::Form));
        let openings = member("openings")?.as_object().ok_or(BadProof::Form)?.iter();
        let openings = openings.map(|(path, opening)| {
            FieldOpening::read(opening).map(|opening| (path.clone(), opening)).ok_or(BadProof::Form)
        });
        let place = member("place")?.as_u64().ok_or(BadProof::Form)?;
        Ok(Self { place, leaf, path: path.collect::<Result<_, _>>()?, openings: openings.collect::<Result<_, _>>()? })
    }

    /// The record of it, once all that is said of it is found right.
    fn shown(&self, at: usize, checkpoint: &SignedCheckpoint) -> Result<ShownRecord, BadProof> {
        let tree = &checkpoint.checkpoint;
        verify_inclusion(self.leaf.hash(), self.place, tree.size, &self.path, tree.root)
            .map_err(|fault| BadProof::NotInTree(at, fault))?;
        for (path, opening) in &self.openings {
            self.leaf.opens(path, opening).map_err(|fault| BadProof::Leaf(at, fault))?;
        }
        let name = self.leaf.record_name().ok_or(BadProof::NotARecord(at))?;
        let whole = self.leaf.restored(&self.openings).map(|object| Value::Object(object).to_string());
        if let (Some(whole), Some(own)) = (&whole, self.openings.get(OWN_DIGEST))
            && own.value.as_str() != Some(digest(whole.as_bytes()).as_str())
        {
            return Err(BadProof::OtherDigest(name.index));
        }
        let record = whole.and_then(|whole| serde_json::from_str(&whole).ok());
        let (place, leaf, openings) = (self.place, self.leaf.clone(), self.openings.clone());
        Ok(ShownRecord { name, place, leaf, openings, record })
    }
}

impl ShownRecord {
    /// The digest of the record, if it is shown or follows from what is.
    fn digest(&self) -> Option<String> {
        let own = self.openings.get(OWN_DIGEST).and_then(|own| own.value.as_str()).map(str::to_owned);
        own.or_else(|| {
            self.leaf.restored(&self.openings).map(|whole| digest(Value::Object(whole).to_string().as_bytes()))
        })
    }
}

#[derive(Default)]
struct Findings {
    proven: Vec<Proven>,
    unproven: Vec<NotProven>,
}

impl Findings {
    fn of_checkpoint(&mut self, signed: &SignedCheckpoint, records: usize) {
        self.proven.push(Proven::InLog { size: signed.checkpoint.size, records });
        let witnessed = |(name, at): (&String, &u64)| Proven::Witnessed { name: name.clone(), at: *at };
        self.proven.extend(signed.witnesses.iter().map(witnessed));
        self.unproven.extend([NotProven::Truth, NotProven::NothingElse]);
        if signed.witnesses.is_empty() {
            self.unproven.push(NotProven::OneHistory);
        }
        if signed.checkpoint.place == SigningPlace::Inside {
            self.unproven.push(NotProven::KeyOutside);
        }
    }

    fn of_chain(&mut self, records: &[ShownRecord]) -> Result<(), BadProof> {
        let mut former: Option<&ShownRecord> = None;
        let mut gaps = Vec::new();
        for now in records {
            let before = former.filter(|before| before.name.index + 1 == now.name.index);
            match former {
                None if now.name.index > 0 => gaps.push(NotProven::Before(now.name.index)),
                Some(former) if before.is_none() => gaps.push(NotProven::Between(former.name.index, now.name.index)),
                _ => {}
            }
            self.of_link(before, now)?;
            let hidden = now.leaf.committed().filter(|path| !now.openings.contains_key(*path));
            let hidden: Vec<NotProven> =
                hidden.map(|path| NotProven::Hidden(now.name.index, path.to_owned())).collect();
            if now.record.is_some() {
                self.proven.push(Proven::Whole(now.name.index));
            }
            self.unproven.extend(hidden);
            former = Some(now);
        }
        if gaps.is_empty() {
            self.proven.push(Proven::FromTheFirst);
        }
        self.unproven.extend(gaps);
        match records.iter().find(|record| record.leaf.closes()) {
            Some(closing) => self.proven.push(Proven::Closed(closing.name.index)),
            None => self.unproven.push(NotProven::End),
        }
        Ok(())
    }

    /// Whether a record names the one before. The first of a request names none, and each other one does.
    fn of_link(&mut self, before: Option<&ShownRecord>, now: &ShownRecord) -> Result<(), BadProof> {
        if now.leaf.commits_to(PREVIOUS) == (now.name.index == 0) {
            return Err(BadProof::BrokenChain(now.name.index));
        }
        let said = now.openings.get(PREVIOUS).map(|previous| previous.value.as_str().unwrap_or_default());
        match (before.and_then(ShownRecord::digest), said) {
            (Some(real), Some(said)) if real == said => self.proven.push(Proven::Linked(now.name.index)),
            (Some(_), Some(_)) => return Err(BadProof::BrokenChain(now.name.index)),
            _ if now.name.index > 0 => self.unproven.push(NotProven::Link(now.name.index)),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
