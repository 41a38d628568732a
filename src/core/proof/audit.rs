//! The walk through a whole log: each leaf once, from the first on, held against every checkpoint that is known of it.
//!
//! Owns what only the whole log shows: that a checkpoint is of just these leaves, that each request's records are there from
//! the first on, each once, and how long the log was silent. It must not fetch, and keeps of a leaf no more than it needs
//! for the next.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::checkpoint::Checkpoint;
use super::field::{FieldOpenings, FieldSalts};
use super::leaf::{LeafEntry, LeafFault, LeafKind, OWN_DIGEST, PREVIOUS, RecordName};
use super::tree::{GrowingTree, TreeHash};

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditFinding {
    /// A leaf, by its place, is none that can be read.
    Leaf(u64, LeafFault),
    /// A record, by the place of its leaf, is not what the leaf says.
    OtherRecord(u64, LeafFault),
    /// The leaf of a record, by its place, does not name one record.
    Nameless(u64),
    /// The records of a request do not follow each other.
    OutOfOrder {
        /// Place of the leaf.
        place: u64,
        /// UID of the request.
        request: String,
        /// Index that should come.
        wanted: u64,
        /// Index that comes: a lower one was there already, before a higher one some are lacking.
        found: u64,
    },
    /// A record, by the place of its leaf, names another former record than the one that is there.
    BrokenChain(u64),
    /// The leaves up to a checkpoint do not give its root: it is of another history.
    OtherRoot {
        /// Size that the checkpoint says.
        size: u64,
        /// Root that the checkpoint says.
        said: TreeHash,
        /// Root of the leaves.
        real: TreeHash,
    },
    /// There are fewer leaves than a checkpoint says: the end was cut.
    Cut {
        /// Size that the checkpoint says.
        said: u64,
        /// How many leaves there are.
        real: u64,
    },
    /// There are leaves behind the last checkpoint, which nobody has signed: they were added, or came since.
    Unsigned {
        /// Size that the last checkpoint says.
        said: u64,
        /// How many leaves there are.
        real: u64,
    },
    /// The time of a heartbeat, by its place, is before that of the one before.
    TimeBack(u64),
}

/// What is known of a request on the way.
#[derive(Clone, Debug, Default)]
struct WalkedChain {
    next: u64,
    /// Digest of the last record, where it is shown.
    digest: Option<String>,
}

/// A walk.
#[derive(Clone, Debug, Default)]
pub struct LogWalk {
    tree: GrowingTree,
    /// By cluster and UID.
    chains: BTreeMap<(String, String), WalkedChain>,
    /// By size.
    checkpoints: BTreeMap<u64, Vec<TreeHash>>,
    counts: BTreeMap<LeafKind, u64>,
    last_beat: Option<Timestamp>,
    longest_silence: u64,
    findings: Vec<AuditFinding>,
}

/// What came of a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkedLog {
    /// How many leaves there are.
    pub size: u64,
    /// Their root.
    pub root: TreeHash,
    /// How many leaves of each kind there are.
    pub counts: BTreeMap<LeafKind, u64>,
    /// How many requests have a record.
    pub requests: u64,
    /// The longest time from one heartbeat to the next, in seconds.
    pub longest_silence: u64,
    /// What is wrong.
    pub findings: Vec<AuditFinding>,
}

impl LogWalk {
    /// A walk that holds the leaves against these checkpoints, whose signatures and origin are checked already: that of the
    /// log as it is now, and each that was anchored or witnessed before.
    pub fn new<'a>(checkpoints: impl IntoIterator<Item = &'a Checkpoint>) -> Self {
        let mut walk = Self::default();
        for checkpoint in checkpoints {
            walk.checkpoints.entry(checkpoint.size).or_default().push(checkpoint.root);
        }
        walk.at_checkpoint();
        walk
    }

    /// The next leaf. `stored` is the record that it is about with its salts, where whoever walks has it.
    pub fn step(&mut self, bytes: &[u8], stored: Option<(&str, &FieldSalts)>) {
        let place = self.tree.size();
        match LeafEntry::read(bytes) {
            Ok(leaf) => self.of_leaf(place, &leaf, stored),
            Err(fault) => self.findings.push(AuditFinding::Leaf(place, fault)),
        }
        self.tree.push(TreeHash::of_leaf(bytes));
        self.at_checkpoint();
    }

    /// The end: there are no more leaves.
    pub fn finish(mut self) -> WalkedLog {
        let size = self.tree.size();
        let cut = self.checkpoints.range(size + 1..).map(|(said, _)| AuditFinding::Cut { said: *said, real: size });
        self.findings.extend(cut.collect::<Vec<_>>());
        if let Some((said, _)) = self.checkpoints.last_key_value().filter(|(said, _)| **said < size) {
            self.findings.push(AuditFinding::Unsigned { said: *said, real: size });
        }
        WalkedLog {
            size,
            root: self.tree.root(),
            counts: self.counts,
            requests: u64::try_from(self.chains.len()).unwrap_or(u64::MAX),
            longest_silence: self.longest_silence,
            findings: self.findings,
        }
    }

    fn at_checkpoint(&mut self) {
        let size = self.tree.size();
        let Some(roots) = self.checkpoints.get(&size) else { return };
        let real = self.tree.root();
        let others = roots.iter().filter(|said| **said != real);
        self.findings.extend(others.map(|said| AuditFinding::OtherRoot { size, said: *said, real }));
    }

    fn of_leaf(&mut self, place: u64, leaf: &LeafEntry, stored: Option<(&str, &FieldSalts)>) {
        *self.counts.entry(leaf.kind()).or_default() += 1;
        let openings = match stored.map(|(record, salts)| leaf.compare(record, salts)) {
            Some(Ok(openings)) => openings,
            Some(Err(fault)) => {
                self.findings.push(AuditFinding::OtherRecord(place, fault));
                FieldOpenings::new()
            }
            None => FieldOpenings::new(),
        };
        match leaf.kind() {
            LeafKind::Record => self.of_record(place, leaf, &openings),
            LeafKind::Heartbeat => self.of_heartbeat(place, leaf),
            LeafKind::Read | LeafKind::Hold | LeafKind::Erasure => {}
        }
    }

    fn of_record(&mut self, place: u64, leaf: &LeafEntry, openings: &FieldOpenings) {
        let Some(RecordName { cluster, request, index: found }) = leaf.record_name() else {
            self.findings.push(AuditFinding::Nameless(place));
            return;
        };
        let chain = self.chains.entry((cluster, request.clone())).or_default();
        let said = |path: &str| openings.get(path).and_then(|opening| opening.value.as_str()).map(str::to_owned);
        if found != chain.next {
            let wanted = chain.next;
            self.findings.push(AuditFinding::OutOfOrder { place, request, wanted, found });
        } else if leaf.commits_to(PREVIOUS) == (found == 0)
            || matches!((&chain.digest, said(PREVIOUS)), (Some(real), Some(said)) if *real != said)
        {
            self.findings.push(AuditFinding::BrokenChain(place));
        }
        // One that came again changes nothing; behind a gap the walk goes on, so that the gap is told once.
        if found >= chain.next {
            *chain = WalkedChain { next: found + 1, digest: said(OWN_DIGEST) };
        }
    }

    fn of_heartbeat(&mut self, place: u64, leaf: &LeafEntry) {
        let at = leaf.clear("/at").and_then(Value::as_str).and_then(|at| at.parse::<Timestamp>().ok());
        let (Some(at), Some(before)) = (at, self.last_beat) else {
            self.last_beat = at.or(self.last_beat);
            return;
        };
        match u64::try_from(at.as_second() - before.as_second()) {
            Ok(silence) if at >= before => self.longest_silence = self.longest_silence.max(silence),
            _ => self.findings.push(AuditFinding::TimeBack(place)),
        }
        self.last_beat = Some(at.max(before));
    }
}

#[cfg(test)]
mod tests;
