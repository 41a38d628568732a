//! What a witness is asked, and what it answers (C2SP tlog-witness, `add-checkpoint`).
//!
//! Owns the form of the question and the judgement of it: a checkpoint of a log that the witness knows, signed by that log,
//! and continuing the last one that the witness cosigned. It must not sign, nor keep what was cosigned.

use std::fmt::Write as _;

use super::checkpoint::{Checkpoint, CheckpointFault, TrustedKeys, decimal};
use super::note::{NoteFault, SignatureArithmetic, SignedNote};
use super::tree::{ProofFault, TreeHash, verify_consistency};

/// The word before the size of the former checkpoint.
const OLD: &str = "old";
/// Most hashes of a proof.
const MOST_HASHES: usize = 63;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size of the checkpoint that the witness cosigned last, as whoever asks believes.
    pub old: u64,
    /// That the log of that size is the beginning of this one.
    pub path: Vec<TreeHash>,
    /// The checkpoint as the log signed it.
    pub note: String,
}

/// Why a witness does not cosign. The numbers are those of HTTP.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessRefusal {
    /// 400: it is not of the form of a question.
    #[error("line {0} is not as it must be: `old SIZE`, at most 63 hashes in base64, an empty line, a checkpoint")]
    Form(usize),
    /// 400: the checkpoint cannot be read.
    #[error("{0}")]
    Checkpoint(CheckpointFault),
    /// 400: the log should have become smaller.
    #[error("old: {old} is over the size of the checkpoint, {size}; a log only grows")]
    Smaller {
        /// Size that the question names.
        old: u64,
        /// Size of the checkpoint.
        size: u64,
    },
    /// 404: nobody has told of this log.
    #[error("this witness does not know the log {0:?}; have its key put into `logs` of its config")]
    UnknownLog(String),
    /// 403: the log has not signed it.
    #[error("{0}")]
    NotSigned(NoteFault),
    /// 409: another checkpoint was cosigned last; its size.
    #[error("{0}")]
    OtherSize(u64),
    /// 422: it does not continue what was cosigned last.
    #[error("it does not continue the log of {old} leaves that was cosigned before: {fault}")]
    NoGrowth {
        /// Size of what was cosigned.
        old: u64,
        /// What is wrong.
        fault: ProofFault,
    },
    /// 422: it has no leaves and another root than such a tree.
    #[error("a log without leaves has the root of the empty tree")]
    EmptyRoot,
}

impl WitnessRefusal {
    /// The status that answers it.
    pub fn status(&self) -> u16 {
        match self {
            Self::Form(_) | Self::Checkpoint(_) | Self::Smaller { .. } => 400,
            Self::NotSigned(_) => 403,
            Self::UnknownLog(_) => 404,
            Self::OtherSize(_) => 409,
            Self::NoGrowth { .. } | Self::EmptyRoot => 422,
        }
    }
}

impl AddCheckpoint {
    /// Reads a question.
    ///
    /// # Errors
    /// By the first line that is wrong.
    pub fn read(body: &str) -> Result<Self, WitnessRefusal> {
        let form = WitnessRefusal::Form;
        let (head, note) = body.split_once("\n\n").ok_or(form(1))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.split_once(' ')).filter(|(word, _)| *word == OLD);
        let old = old.and_then(|(_, size)| decimal(size)).ok_or(form(1))?;
        let path = lines.enumerate().map(|(at, line)| TreeHash::from_base64(line).ok_or(form(at + 2)));
        let path: Vec<TreeHash> = path.collect::<Result<_, _>>()?;
        if path.len() > MOST_HASHES {
            Err(form(MOST_HASHES + 2))
        } else {
            Ok(Self { old, path, note: note.to_owned() })
        }
    }

    /// The question as it is posted.
    pub fn text(&self) -> String {
        let mut text = format!("{OLD} {}\n", self.old);
        for hash in &self.path {
            let _ = writeln!(text, "{hash}");
        }
        format!("{text}\n{}", self.note)
    }

    /// The first line of its checkpoint, which says of which log it is.
    pub fn origin(&self) -> &str {
        self.note.split('\n').next().unwrap_or_default()
    }

    /// Whether the log itself signed it, and what it says: no judgement of whether it continues anything.
    ///
    /// # Errors
    /// When it did not.
    pub fn signed(
        &self,
        keys: &TrustedKeys,
        arithmetic: &impl SignatureArithmetic,
    ) -> Result<(SignedNote, Checkpoint), WitnessRefusal> {
        let note = SignedNote::read(&self.note).map_err(|fault| WitnessRefusal::Checkpoint(fault.into()))?;
        note.signers(&keys.log, arithmetic).map_err(WitnessRefusal::NotSigned)?;
        match Checkpoint::read(note.text()) {
            Ok(checkpoint) if checkpoint.origin == keys.origin => Ok((note, checkpoint)),
            Ok(checkpoint) => Err(WitnessRefusal::UnknownLog(checkpoint.origin)),
            Err(CheckpointFault::Form(3)) if note.text().split('\n').nth(1) == Some("0") => {
                Err(WitnessRefusal::EmptyRoot)
            }
            Err(fault) => Err(WitnessRefusal::Checkpoint(fault)),
        }
    }

    /// Whether a checkpoint that is signed continues the one that was cosigned last.
    ///
    /// # Errors
    /// When it does not, or the question is about another one.
    pub fn continues(&self, checkpoint: &Checkpoint, last: Option<&Checkpoint>) -> Result<(), WitnessRefusal> {
        let (size, root) = last.map_or_else(|| (0, TreeHash::of_nothing()), |last| (last.size, last.root));
        if self.old > checkpoint.size {
            return Err(WitnessRefusal::Smaller { old: self.old, size: checkpoint.size });
        }
        if self.old != size {
            return Err(WitnessRefusal::OtherSize(size));
        }
        verify_consistency((size, root), (checkpoint.size, checkpoint.root), &self.path)
            .map_err(|fault| WitnessRefusal::NoGrowth { old: size, fault })
    }
}

/// Whether two checkpoints that a log has signed cannot both be of one history: so the log has lied to somebody.
pub fn is_fork(one: &Checkpoint, other: &Checkpoint) -> bool {
    one.size == other.size && one.root != other.root
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::proof::climb::prove_consistency;
    use crate::core::proof::tests::{SAMPLE, SampleLog, all_tiles, arithmetic};

    fn asked(log: &SampleLog, old: usize, size: usize) -> AddCheckpoint {
        let tiles = all_tiles(&log.hashes()[..size]);
        let path = prove_consistency(old as u64, size as u64, &tiles).unwrap_or_default();
        AddCheckpoint { old: old as u64, path, note: log.signed(&log.checkpoint(size)).to_string() }
    }

    fn judged(log: &SampleLog, question: &AddCheckpoint, last: Option<usize>) -> Result<(), WitnessRefusal> {
        let read = AddCheckpoint::read(&question.text())?;
        assert_eq!(&read, question);
        let (_, checkpoint) = read.signed(&log.trusted, &arithmetic)?;
        read.continues(&checkpoint, last.map(|size| log.checkpoint(size)).as_ref())
    }

    #[test]
    fn a_log_that_grows_is_cosigned() {
        let log = &*SAMPLE;
        for (old, size) in [(0, 0), (0, 1), (1, 9), (9, 9), (8, 20)] {
            let last = (old > 0).then_some(old);
            assert_eq!(judged(log, &asked(log, old, size), last), Ok(()), "{old} to {size}");
        }
    }

    #[test]
    fn each_rule_has_the_status_of_the_specification() {
        let log = &*SAMPLE;
        let good = asked(log, 4, 9);
        let status = |question: &AddCheckpoint, last| judged(log, question, last).map_err(|why| why.status());
        assert_eq!(status(&good, Some(4)), Ok(()));
        assert_eq!(judged(log, &good, Some(5)), Err(WitnessRefusal::OtherSize(5)));
        assert_eq!(status(&good, None), Err(409));
        assert_eq!(status(&AddCheckpoint { old: 10, ..good.clone() }, Some(10)), Err(400));
        assert_eq!(status(&AddCheckpoint { path: Vec::new(), ..good.clone() }, Some(4)), Err(422));
        assert_eq!(status(&AddCheckpoint { old: 0, ..good.clone() }, None), Err(422));
        let stranger = SampleLog::new();
        assert_eq!(status(&AddCheckpoint { note: asked(&stranger, 4, 9).note, ..good.clone() }, Some(4)), Err(403));
        assert_eq!(status(&AddCheckpoint { note: "x\n".to_owned(), ..good.clone() }, Some(4)), Err(400));
        // Another history of the same size, and a log without leaves that has a root.
        let mut other = log.checkpoint(9);
        other.root = TreeHash::of_leaf(b"other");
        let forked = AddCheckpoint { old: 9, path: Vec::new(), note: log.signed(&other).to_string() };
        assert_eq!(status(&forked, Some(9)), Err(422));
        assert!(is_fork(&other, &log.checkpoint(9)) && !is_fork(&other, &log.checkpoint(8)));
        other.size = 0;
        let empty = AddCheckpoint { old: 0, path: Vec::new(), note: log.signed(&other).to_string() };
        assert_eq!(judged(log, &empty, None), Err(WitnessRefusal::EmptyRoot));
        let elsewhere = Checkpoint { origin: "other".to_owned(), ..log.checkpoint(9) };
        let elsewhere = AddCheckpoint { note: log.signed(&elsewhere).to_string(), ..good };
        assert_eq!(status(&elsewhere, Some(4)), Err(404));
    }

    #[test]
    fn a_question_has_one_form() {
        let note = SAMPLE.signed(&SAMPLE.checkpoint(9)).to_string();
        let hash = TreeHash::of_leaf(b"");
        let read = |head: &str| AddCheckpoint::read(&format!("{head}\n{note}"));
        assert!(read("old 0\n").is_ok() && read(&format!("old 7\n{hash}\n")).is_ok());
        let many = format!("old 7\n{}", format!("{hash}\n").repeat(64));
        for (head, line) in
            [("", 1), ("old\n", 1), ("old 07\n", 1), ("old -1\n", 1), ("new 7\n", 1), ("old 7\nAAAA\n", 2), (&many, 65)]
        {
            assert_eq!(read(head), Err(WitnessRefusal::Form(line)), "{head:?}");
        }
        assert_eq!(AddCheckpoint::read("old 7\n"), Err(WitnessRefusal::Form(1)));
    }
}
