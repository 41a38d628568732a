//! The walk through a whole log: each leaf once, from the first on, held against every checkpoint that is known of it.
//!
//! Owns what only the whole log shows: that a checkpoint is of just these leaves, that each request's records are there from
//! the first on, each once, which requests are open, how long the log was silent, and what of the records is not there any
//! more. It must not fetch, and keeps of a leaf no more than it needs for the next. What the findings come to is for
//! [`super::log_proof`].

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::checkpoint::{Checkpoint, CheckpointFault};
use super::field::{FieldOpenings, FieldSalts};
use super::leaf::{LeafEntry, LeafFault, LeafKind, OWN_DIGEST, PREVIOUS, RecordName};
use super::tile::Tile;
use super::tile_rows::{TileHashes, TileRows};
use super::tree::{GrowingTree, TreeHash};

/// What is wrong with a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditFinding {
    /// A leaf, by its place, is none that can be read.
    Leaf(u64, LeafFault),
    /// What is kept of a record or of something else, by the place of its leaf, is not what the leaf says.
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
    /// The log was silent for longer than whoever checks it takes.
    Silent {
        /// Time of the heartbeat before.
        from: Timestamp,
        /// Time of the next one, or until when none came.
        until: Timestamp,
    },
    /// A tile is not there.
    LackingTile(Tile),
    /// A tile is not what the leaves give, or cannot be read.
    OtherTile(Tile),
    /// An earlier checkpoint, by the size under which the archive keeps it, is none of this log.
    BadCheckpoint(u64, CheckpointFault),
    /// An earlier checkpoint, by the size under which the archive keeps it, is kept as one of another size or time, or out
    /// of order.
    Misfiled(u64),
    /// The log says an earlier time in a later checkpoint.
    ClockBack {
        /// Size that the later checkpoint says.
        size: u64,
        /// Time of the former, in seconds since 1970.
        before: u64,
        /// Time of the later.
        now: u64,
    },
    /// Records or parts of them are gone, and no leaf says that they were erased.
    Withheld {
        /// How many leaves it is about.
        leaves: u64,
        /// Place of the first of them.
        first: u64,
    },
}

/// What is kept beside a leaf, as far as whoever walks knows.
#[derive(Clone, Copy, Debug)]
pub enum LeafStore<'a> {
    /// It was not looked for.
    NotRead,
    /// There is nothing, or nothing any more.
    Gone,
    /// What the leaf is about, as it was kept, with its salts.
    Kept(&'a str, &'a FieldSalts),
}

/// What is known of a request on the way.
#[derive(Clone, Debug, Default)]
struct WalkedChain {
    next: u64,
    /// Place of the last record.
    place: u64,
    is_closed: bool,
    /// Digest of the last record, where it is shown.
    digest: Option<String>,
}

/// A request of which no record says that its access is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnclosedChain {
    /// UID of the namespace kube-system of its cluster.
    pub cluster: String,
    /// UID of the request.
    pub request: String,
    /// How many records it has.
    pub records: u64,
    /// Place of the last of them.
    pub place: u64,
}

/// A walk.
#[derive(Clone, Debug, Default)]
pub struct LogWalk {
    tree: GrowingTree,
    rows: TileRows,
    full: Vec<TileHashes>,
    /// By cluster and UID.
    chains: BTreeMap<(String, String), WalkedChain>,
    /// Those that are not reached yet, by size.
    checkpoints: BTreeMap<u64, Vec<TreeHash>>,
    /// Size of the largest checkpoint.
    signed: Option<u64>,
    most_silence: Option<u64>,
    counts: BTreeMap<LeafKind, u64>,
    last_beat: Option<Timestamp>,
    longest_silence: u64,
    shown: u64,
    /// Places of leaves of which something is not there.
    hidden: Vec<u64>,
    /// Places of leaves of which the log says that something was erased.
    erased: BTreeSet<u64>,
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
    /// Those of which no record says that they are over.
    pub open: Vec<UnclosedChain>,
    /// Time of the last heartbeat.
    pub last_beat: Option<Timestamp>,
    /// The longest time from one heartbeat to the next, in seconds.
    pub longest_silence: u64,
    /// Of how many leaves all is shown that they commit to, and right.
    pub shown: u64,
    /// Of how many leaves something is not there that the log says was erased.
    pub erased: u64,
    /// What is wrong.
    pub findings: Vec<AuditFinding>,
}

impl LogWalk {
    /// A walk that holds the leaves against these checkpoints, whose signatures and origin are checked already: that of the
    /// log as it is now, and each that was anchored or witnessed before.
    pub fn new<'a>(checkpoints: impl IntoIterator<Item = &'a Checkpoint>) -> Self {
        let mut walk = Self::default();
        checkpoints.into_iter().for_each(|checkpoint| walk.hold_against(checkpoint));
        walk
    }

    /// The same walk, where a longer time without a heartbeat, in seconds, is a finding.
    pub fn with_most_silence(self, seconds: u64) -> Self {
        Self { most_silence: Some(seconds), ..self }
    }

    /// One more checkpoint, whose signature and origin are checked already. The walk must not be past it.
    pub fn hold_against(&mut self, checkpoint: &Checkpoint) {
        let Checkpoint { size, root, .. } = checkpoint;
        self.signed = self.signed.max(Some(*size));
        if *size < self.tree.size() {
            self.findings.push(AuditFinding::Misfiled(*size));
        } else {
            self.checkpoints.entry(*size).or_default().push(*root);
            self.at_checkpoint();
        }
    }

    /// Something that whoever fetches found wrong.
    pub fn found(&mut self, finding: AuditFinding) {
        self.findings.push(finding);
    }

    /// How many leaves were walked.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The next leaf, and what is kept beside it.
    pub fn step(&mut self, bytes: &[u8], stored: LeafStore<'_>) {
        let place = self.tree.size();
        match LeafEntry::read(bytes) {
            Ok(leaf) => self.of_leaf(place, &leaf, stored),
            Err(fault) => self.findings.push(AuditFinding::Leaf(place, fault)),
        }
        let hash = TreeHash::of_leaf(bytes);
        self.tree.push(hash);
        self.full.extend(self.rows.push(hash));
        self.at_checkpoint();
    }

    /// The tiles that were filled since this was asked last. What the archive serves under their names must be the same.
    pub fn filled(&mut self) -> Vec<TileHashes> {
        std::mem::take(&mut self.full)
    }

    /// The tiles at the right edge as they are now.
    pub fn partial(&self) -> Vec<TileHashes> {
        self.rows.partial()
    }

    /// That there was no heartbeat after the last one until now.
    pub fn silent_until(&mut self, now: Timestamp) {
        if let Some(from) = self.last_beat {
            self.silence(from, now);
        }
    }

    /// The end: there are no more leaves.
    pub fn finish(mut self) -> WalkedLog {
        let size = self.tree.size();
        let cut = self.checkpoints.range(size + 1..).map(|(said, _)| AuditFinding::Cut { said: *said, real: size });
        self.findings.extend(cut.collect::<Vec<_>>());
        if let Some(said) = self.signed.filter(|said| *said < size) {
            self.findings.push(AuditFinding::Unsigned { said, real: size });
        }
        let (erased, withheld): (Vec<u64>, Vec<u64>) =
            self.hidden.iter().partition(|place| self.erased.contains(*place));
        if let Some(first) = withheld.first() {
            self.findings.push(AuditFinding::Withheld { leaves: count(withheld.len()), first: *first });
        }
        let open = self.chains.iter().filter(|(_, chain)| !chain.is_closed);
        let open = open.map(|((cluster, request), chain)| UnclosedChain {
            cluster: cluster.clone(),
            request: request.clone(),
            records: chain.next,
            place: chain.place,
        });
        WalkedLog {
            size,
            root: self.tree.root(),
            requests: count(self.chains.len()),
            open: open.collect(),
            counts: self.counts,
            last_beat: self.last_beat,
            longest_silence: self.longest_silence,
            shown: self.shown,
            erased: count(erased.len()),
            findings: self.findings,
        }
    }

    fn at_checkpoint(&mut self) {
        let size = self.tree.size();
        let Some(roots) = self.checkpoints.remove(&size) else { return };
        let real = self.tree.root();
        let others = roots.into_iter().filter(|said| *said != real);
        self.findings.extend(others.map(|said| AuditFinding::OtherRoot { size, said, real }));
    }

    fn of_leaf(&mut self, place: u64, leaf: &LeafEntry, stored: LeafStore<'_>) {
        *self.counts.entry(leaf.kind()).or_default() += 1;
        let openings = match stored {
            LeafStore::NotRead => FieldOpenings::new(),
            LeafStore::Gone => self.shown_of(place, leaf, FieldOpenings::new()),
            LeafStore::Kept(record, salts) => match leaf.compare(record, salts) {
                Ok(openings) => self.shown_of(place, leaf, openings),
                Err(fault) => {
                    self.findings.push(AuditFinding::OtherRecord(place, fault));
                    FieldOpenings::new()
                }
            },
        };
        match leaf.kind() {
            LeafKind::Record => self.of_record(place, leaf, &openings),
            LeafKind::Heartbeat => self.of_heartbeat(place, leaf),
            LeafKind::Erasure => {
                let leaves = leaf.clear("/leaves").and_then(Value::as_array);
                self.erased.extend(leaves.into_iter().flatten().filter_map(Value::as_u64));
            }
            LeafKind::Read | LeafKind::Hold => {}
        }
    }

    /// Counts how much of a leaf is shown.
    fn shown_of(&mut self, place: u64, leaf: &LeafEntry, openings: FieldOpenings) -> FieldOpenings {
        if leaf.committed().all(|path| openings.contains_key(path)) {
            self.shown += 1;
        } else {
            self.hidden.push(place);
        }
        openings
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
            let is_closed = chain.is_closed || leaf.closes();
            *chain = WalkedChain { next: found + 1, place, is_closed, digest: said(OWN_DIGEST) };
        }
    }

    fn of_heartbeat(&mut self, place: u64, leaf: &LeafEntry) {
        let at = leaf.clear("/at").and_then(Value::as_str).and_then(|at| at.parse::<Timestamp>().ok());
        let (Some(at), Some(before)) = (at, self.last_beat) else {
            self.last_beat = at.or(self.last_beat);
            return;
        };
        if at < before {
            self.findings.push(AuditFinding::TimeBack(place));
        }
        self.silence(before, at);
        self.last_beat = Some(at.max(before));
    }

    fn silence(&mut self, from: Timestamp, until: Timestamp) {
        let seconds = u64::try_from(until.as_second() - from.as_second()).unwrap_or(0);
        self.longest_silence = self.longest_silence.max(seconds);
        if self.most_silence.is_some_and(|most| seconds > most) {
            self.findings.push(AuditFinding::Silent { from, until });
        }
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
