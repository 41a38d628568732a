//! Checkpoints: how large a log is and what its root is, signed (C2SP tlog-checkpoint).
//!
//! Owns their text, whose signature makes one count, and whether one may follow another. The log says the time and where
//! its key lies in lines of its own, which its signature covers. It must not say what a checkpoint proves of a record.

use std::collections::BTreeMap;

use super::note::{NoteFault, NoteKeyKind, NoteSignature, SignatureArithmetic, SignedAt, SignedNote, VerifierKey};
use super::tree::{ProofFault, TreeHash, verify_consistency};

/// The word before the time.
const TIME: &str = "time";
/// The word before where the key lies.
const SIGNED: &str = "signed";
/// What a log says whose key lies in the cluster that it tells of.
const INSIDE: &str = "inside";

/// Where the key of a log lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningPlace {
    /// In the cluster that the log tells of: who rules that can sign another history.
    Inside,
    /// Somewhere else, as the log says. No proof of it.
    Outside,
}

/// A log at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log it is.
    pub origin: String,
    /// How many leaves it has.
    pub size: u64,
    /// Root of its tree.
    pub root: TreeHash,
    /// When it was made, in seconds since 1970, as the log says. None of logs of others.
    pub at: Option<u64>,
    /// Where its key lies, as the log says.
    pub place: SigningPlace,
}

/// What is wrong with a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointFault {
    /// The note around it.
    #[error("checkpoint: {0}")]
    Note(#[from] NoteFault),
    /// The text is none of a checkpoint.
    #[error("checkpoint: line {0} is not as it must be: origin, size, root, time, `signed inside`; fetch it again")]
    Form(usize),
    /// It is of another log.
    #[error("checkpoint: it is of {found:?} and not of {wanted:?}; give the checkpoint of this log")]
    OtherOrigin {
        /// Which log it is of.
        found: String,
        /// Which log was asked for.
        wanted: String,
    },
}

impl Checkpoint {
    /// The text that is signed.
    pub fn text(&self) -> String {
        let at = self.at.map(|at| format!("{TIME} {at}\n")).unwrap_or_default();
        let inside = if self.place == SigningPlace::Inside { format!("{SIGNED} {INSIDE}\n") } else { String::new() };
        format!("{}\n{}\n{}\n{at}{inside}", self.origin, self.size, self.root)
    }

    /// The checkpoint as a note with the signature of the log. `sign` signs bytes with the private key of `key`.
    pub fn signed(&self, key: &VerifierKey, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> SignedNote {
        let text = self.text();
        let signature = NoteSignature::make(key, &text, self.at.unwrap_or_default(), sign);
        SignedNote::new(text, vec![signature])
    }

    /// Reads the text of a checkpoint. Lines after the third that this version does not know are passed over.
    ///
    /// # Errors
    /// By the first line that is wrong.
    pub fn read(text: &str) -> Result<Self, CheckpointFault> {
        let form = CheckpointFault::Form;
        let lines: Vec<&str> = text.strip_suffix('\n').ok_or(form(0))?.split('\n').collect();
        if let Some(at) = lines.iter().position(|line| line.is_empty()) {
            return Err(form(at + 1));
        }
        let [origin, size, root, rest @ ..] = lines.as_slice() else { return Err(form(lines.len())) };
        let size = decimal(size).ok_or(form(2))?;
        let root = TreeHash::from_base64(root).ok_or(form(3))?;
        if size == 0 && root != TreeHash::of_nothing() {
            return Err(form(3));
        }
        let mut read = Self { origin: (*origin).to_owned(), size, root, at: None, place: SigningPlace::Outside };
        for (line, number) in rest.iter().zip(4..) {
            match line.split_once(' ') {
                Some((TIME, at)) if read.at.is_none() => read.at = Some(decimal(at).ok_or(form(number))?),
                Some((SIGNED, INSIDE)) if read.place == SigningPlace::Outside => read.place = SigningPlace::Inside,
                Some((TIME | SIGNED, _)) => return Err(form(number)),
                _ => {}
            }
        }
        Ok(read)
    }
}

/// A number that is written in the one way there is.
pub fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// Whose word counts on a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKeys {
    /// Which log it is.
    pub origin: String,
    /// Keys of the log: while one takes the place of another, both.
    pub log: Vec<VerifierKey>,
    /// Keys of witnesses.
    pub witnesses: Vec<VerifierKey>,
}

/// A checkpoint that the log has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// Names of witnesses that have cosigned it, and when each saw it last, in seconds since 1970. One that has two keys is
    /// one witness.
    pub witnesses: BTreeMap<String, u64>,
}

impl TrustedKeys {
    /// Reads a checkpoint that one of the log's keys has signed.
    ///
    /// # Errors
    /// When none has, when a known signature is wrong, or when it is of another log.
    pub fn open(&self, note: &str, arithmetic: &impl SignatureArithmetic) -> Result<SignedCheckpoint, CheckpointFault> {
        let note = SignedNote::read(note)?;
        // A key that may only witness does not make a log, and the other way round.
        let of_log = self.log.iter().filter(|key| key.kind() == NoteKeyKind::Ed25519);
        let of_witness = self.witnesses.iter().filter(|key| key.kind() == NoteKeyKind::CosignatureEd25519);
        note.signers(of_log, arithmetic)?;
        let signers = match note.signers(of_witness, arithmetic) {
            Ok(signers) => signers,
            Err(NoteFault::NotSigned) => BTreeMap::new(),
            Err(fault) => return Err(fault.into()),
        };
        let checkpoint = Checkpoint::read(note.text())?;
        if checkpoint.origin != self.origin {
            return Err(CheckpointFault::OtherOrigin { found: checkpoint.origin, wanted: self.origin.clone() });
        }
        let mut witnesses = BTreeMap::new();
        for (key, at) in signers {
            if let SignedAt::Second(at) = at {
                let latest = witnesses.entry(key.name().to_owned()).or_insert(at);
                *latest = at.max(*latest);
            }
        }
        Ok(SignedCheckpoint { checkpoint, witnesses })
    }
}

/// Why a checkpoint does not follow another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogBreak {
    /// They are of two logs.
    #[error("they are checkpoints of two logs; compare those of one")]
    OtherLog,
    /// The later one is smaller: the log was cut, or set back.
    #[error("the log had {before} leaves and has {now}; it was cut, or an old one was put back")]
    Cut {
        /// Leaves of the former.
        before: u64,
        /// Leaves of the later.
        now: u64,
    },
    /// The time of the later one is before that of the former.
    #[error("the log says {now}, in seconds since 1970, after it said {before}; its clock was set back")]
    TimeBack {
        /// Time of the former.
        before: u64,
        /// Time of the later.
        now: u64,
    },
    /// There are two histories.
    #[error("the log has two histories: {0}")]
    Forked(ProofFault),
}

/// Checks that one checkpoint follows another, by a proof of consistency between them. A log whose clock was set back goes on
/// with the time that it had, so that it never says an earlier one.
///
/// # Errors
/// When it does not, or the proof does not show it.
pub fn follows(former: &Checkpoint, later: &Checkpoint, path: &[TreeHash]) -> Result<(), LogBreak> {
    if former.origin != later.origin {
        return Err(LogBreak::OtherLog);
    }
    if later.size < former.size {
        return Err(LogBreak::Cut { before: former.size, now: later.size });
    }
    verify_consistency((former.size, former.root), (later.size, later.root), path).map_err(LogBreak::Forked)?;
    match (former.at, later.at) {
        (Some(before), Some(now)) if now < before => Err(LogBreak::TimeBack { before, now }),
        _ => Ok(()),
    }
}
