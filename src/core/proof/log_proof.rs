//! What a walk through a whole log proves, and what it does not.
//!
//! Owns the judgement as values: which claims hold by what was walked, which checkpoints were there and who had seen them.
//! It must not say more than that: what only the cluster, its audit log or somebody else can tell is named as [`LogUnproven`].

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;

use super::audit::{AuditFinding, WalkedLog};
use super::checkpoint::{Checkpoint, SignedCheckpoint, SigningPlace};
use super::leaf::LeafKind;

/// What is proven of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogProven {
    /// The key of the log signed just these leaves, in their order.
    Signed {
        /// How many leaves there are.
        size: u64,
        /// When, in seconds since 1970, as the log says.
        at: Option<u64>,
    },
    /// The log only grew: each of its earlier checkpoints is of its beginning.
    OnlyGrew {
        /// How many there are.
        checkpoints: u64,
    },
    /// It is the history of checkpoints that whoever checks brought along.
    HeldElsewhere {
        /// Size of the largest of them.
        size: u64,
    },
    /// A witness saw the log, and that it continues all that it saw before.
    Seen {
        /// Name of its key.
        name: String,
        /// Size of the largest checkpoint that it cosigned.
        size: u64,
        /// When it did, in seconds since 1970, as it says.
        at: u64,
    },
    /// What is kept is what was recorded, byte for byte.
    Unchanged {
        /// Of how many leaves.
        leaves: u64,
    },
    /// Each request's records are there from the first on, each once and without a gap.
    Chained {
        /// How many records.
        records: u64,
        /// Of how many requests.
        requests: u64,
    },
    /// The log was alive.
    Alive {
        /// How many heartbeats there are.
        beats: u64,
        /// The longest time between two of them, in seconds.
        longest_silence: u64,
    },
}

/// What is not proven of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogUnproven {
    /// That what a record says happened, and that all that happened was recorded: only the API server's own audit log tells.
    Truth,
    /// That others are shown the same log: no witness that is known has seen it.
    OneHistory,
    /// The same of the leaves behind the last that a witness has seen.
    BehindWitnesses {
        /// How many there are.
        leaves: u64,
    },
    /// That the history was not made anew by whoever has the key: no checkpoint was brought from elsewhere, and no witness
    /// is known.
    NotMadeAnew,
    /// The same of the leaves behind the last checkpoint that was brought along or witnessed.
    BehindAnchors {
        /// How many there are.
        leaves: u64,
    },
    /// That whoever rules the cluster did not sign it: the key lies in the cluster.
    KeyOutside,
    /// That what is kept is what was recorded: only the leaves were read.
    Kept,
    /// What stood in records that were erased.
    Erased {
        /// In how many leaves.
        leaves: u64,
    },
    /// How requests ended: they are open.
    Ends {
        /// How many.
        requests: u64,
    },
    /// That the log was alive at all: it has no heartbeat.
    Alive,
}

/// What was known of a log besides its leaves. Signatures and origins are checked already.
#[derive(Clone, Debug)]
pub struct LogEvidence {
    /// The checkpoint of the log as it is.
    pub now: SignedCheckpoint,
    /// How many earlier ones the archive showed.
    pub earlier: u64,
    /// Those that whoever checks brought along.
    pub against: Vec<Checkpoint>,
    /// Of each witness the size of the largest checkpoint that it has cosigned, and when.
    pub seen: BTreeMap<String, (u64, u64)>,
    /// Whether what is kept beside the leaves was read.
    pub is_kept_read: bool,
}

/// A log that was walked, and what that is worth.
#[derive(Clone, Debug)]
pub struct LogVerdict {
    /// What came of the walk.
    pub walked: WalkedLog,
    /// The checkpoint that it was held against.
    pub checkpoint: Checkpoint,
    /// What is proven.
    pub proven: Vec<LogProven>,
    /// What is not.
    pub unproven: Vec<LogUnproven>,
}

/// What the findings leave of the claims.
#[derive(Clone, Copy, Debug)]
struct Standing {
    /// The leaves are those of all checkpoints.
    is_one_history: bool,
    /// The archive's earlier checkpoints are in order.
    is_filed: bool,
    is_chained: bool,
}

impl Standing {
    fn of(findings: &[AuditFinding]) -> Self {
        let has = |is: fn(&AuditFinding) -> bool| findings.iter().any(is);
        Self {
            is_one_history: !has(|finding| {
                matches!(
                    finding,
                    AuditFinding::OtherRoot { .. }
                        | AuditFinding::Cut { .. }
                        | AuditFinding::Unsigned { .. }
                        | AuditFinding::LackingTile(_)
                )
            }),
            is_filed: !has(|finding| {
                matches!(
                    finding,
                    AuditFinding::BadCheckpoint(..) | AuditFinding::Misfiled(_) | AuditFinding::ClockBack { .. }
                )
            }),
            is_chained: !has(|finding| {
                matches!(
                    finding,
                    AuditFinding::OutOfOrder { .. }
                        | AuditFinding::BrokenChain(_)
                        | AuditFinding::Nameless(_)
                        | AuditFinding::Leaf(..)
                )
            }),
        }
    }
}

impl LogVerdict {
    /// Of a walk that held the leaves against all of the evidence.
    pub fn of(walked: WalkedLog, evidence: &LogEvidence) -> Self {
        let stands = Standing::of(&walked.findings);
        let (proven, unproven) = (proven(&walked, evidence, stands), unproven(&walked, evidence));
        Self { walked, checkpoint: evidence.now.checkpoint.clone(), proven, unproven }
    }

    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.walked.findings.is_empty()
    }
}

fn proven(walked: &WalkedLog, evidence: &LogEvidence, stands: Standing) -> Vec<LogProven> {
    let mut proven = Vec::new();
    let beats = beats(walked);
    if stands.is_one_history {
        proven.push(LogProven::Signed { size: walked.size, at: evidence.now.checkpoint.at });
        if stands.is_filed && evidence.earlier > 0 {
            proven.push(LogProven::OnlyGrew { checkpoints: evidence.earlier });
        }
        let held = evidence.against.iter().map(|checkpoint| checkpoint.size).max();
        proven.extend(held.map(|size| LogProven::HeldElsewhere { size }));
        let seen =
            |(name, (size, at)): (&String, &(u64, u64))| LogProven::Seen { name: name.clone(), size: *size, at: *at };
        proven.extend(evidence.seen.iter().map(seen));
    }
    if walked.shown > 0 && evidence.is_kept_read {
        proven.push(LogProven::Unchanged { leaves: walked.shown });
    }
    if stands.is_chained && walked.requests > 0 {
        let records = walked.counts.get(&LeafKind::Record).copied().unwrap_or_default();
        proven.push(LogProven::Chained { records, requests: walked.requests });
    }
    if beats > 0 {
        proven.push(LogProven::Alive { beats, longest_silence: walked.longest_silence });
    }
    proven
}

fn unproven(walked: &WalkedLog, evidence: &LogEvidence) -> Vec<LogUnproven> {
    let mut unproven = vec![LogUnproven::Truth];
    let behind = |size: u64| walked.size.checked_sub(size).filter(|leaves| *leaves > 0);
    let witnessed = evidence.seen.values().map(|(size, _)| *size).max();
    match witnessed {
        None => unproven.push(LogUnproven::OneHistory),
        Some(size) => unproven.extend(behind(size).map(|leaves| LogUnproven::BehindWitnesses { leaves })),
    }
    match evidence.against.iter().map(|checkpoint| checkpoint.size).chain(witnessed).max() {
        None => unproven.push(LogUnproven::NotMadeAnew),
        Some(size) => unproven.extend(behind(size).map(|leaves| LogUnproven::BehindAnchors { leaves })),
    }
    if evidence.now.checkpoint.place == SigningPlace::Inside {
        unproven.push(LogUnproven::KeyOutside);
    }
    if !evidence.is_kept_read {
        unproven.push(LogUnproven::Kept);
    }
    if walked.erased > 0 {
        unproven.push(LogUnproven::Erased { leaves: walked.erased });
    }
    if !walked.open.is_empty() {
        unproven.push(LogUnproven::Ends { requests: u64::try_from(walked.open.len()).unwrap_or(u64::MAX) });
    }
    if beats(walked) == 0 {
        unproven.push(LogUnproven::Alive);
    }
    unproven
}

fn beats(walked: &WalkedLog) -> u64 {
    walked.counts.get(&LeafKind::Heartbeat).copied().unwrap_or_default()
}

/// That a later checkpoint says an earlier time than the one before it.
pub fn clock_back(former: Option<&Checkpoint>, later: &Checkpoint) -> Option<AuditFinding> {
    let (before, now) = (former?.at?, later.at?);
    (now < before).then_some(AuditFinding::ClockBack { size: later.size, before, now })
}

/// A time of a checkpoint or a cosignature; none when there is no such day.
pub fn instant(seconds: u64) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
}

#[cfg(test)]
mod tests;
