use super::super::audit::{LeafStore, LogWalk};
use super::super::tests::SampleLog;
use super::*;

fn evidence(log: &SampleLog) -> LogEvidence {
    let now = SignedCheckpoint { checkpoint: log.checkpoint(log.leaves.len()), witnesses: BTreeMap::new() };
    LogEvidence { now, earlier: 0, against: Vec::new(), seen: BTreeMap::new(), is_kept_read: true }
}

fn verdict(log: &SampleLog, evidence: &LogEvidence, leaves: usize) -> LogVerdict {
    let mut walk = LogWalk::new([&evidence.now.checkpoint].into_iter().chain(&evidence.against));
    for (leaf, stored) in log.leaves.iter().zip(&log.stored).take(leaves) {
        let stored = match stored {
            _ if !evidence.is_kept_read => LeafStore::NotRead,
            Some((record, salts)) => LeafStore::Kept(record, salts),
            None => LeafStore::Gone,
        };
        walk.step(leaf.bytes().as_bytes(), stored);
    }
    LogVerdict::of(walk.finish(), evidence)
}

#[test]
fn a_log_alone_proves_itself_and_no_more() {
    let log = SampleLog::new();
    let size = log.leaves.len() as u64;
    let found = verdict(&log, &evidence(&log), log.leaves.len());
    assert!(found.is_sound(), "{:?}", found.walked.findings);
    let records = log.stored.iter().flatten().count() as u64;
    let proven = [
        LogProven::Signed { size, at: found.checkpoint.at },
        LogProven::Unchanged { leaves: size },
        LogProven::Chained { records, requests: found.walked.requests },
        LogProven::Alive { beats: size - records, longest_silence: 5 },
    ];
    assert_eq!(found.proven, proven);
    assert_eq!(found.unproven, [LogUnproven::Truth, LogUnproven::OneHistory, LogUnproven::NotMadeAnew]);
    let leaves_alone = verdict(&log, &LogEvidence { is_kept_read: false, ..evidence(&log) }, log.leaves.len());
    assert!(leaves_alone.unproven.contains(&LogUnproven::Kept));
    assert!(!leaves_alone.proven.iter().any(|what| matches!(what, LogProven::Unchanged { .. })));
}

#[test]
fn a_head_elsewhere_is_worth_what_it_covers() {
    let log = SampleLog::new();
    let size = log.leaves.len() as u64;
    let mut known = evidence(&log);
    known.against = vec![log.checkpoint(9), log.checkpoint(4)];
    known.earlier = 3;
    let found = verdict(&log, &known, log.leaves.len());
    assert!(found.proven.contains(&LogProven::HeldElsewhere { size: 9 }));
    assert!(found.proven.contains(&LogProven::OnlyGrew { checkpoints: 3 }));
    assert!(found.unproven.contains(&LogUnproven::BehindAnchors { leaves: size - 9 }));
    assert!(found.unproven.contains(&LogUnproven::OneHistory));
    known.seen = [("w".to_owned(), (size - 1, 7))].into();
    let found = verdict(&log, &known, log.leaves.len());
    assert!(found.proven.contains(&LogProven::Seen { name: "w".to_owned(), size: size - 1, at: 7 }));
    assert!(found.unproven.contains(&LogUnproven::BehindWitnesses { leaves: 1 }));
    assert!(found.unproven.contains(&LogUnproven::BehindAnchors { leaves: 1 }));
    known.now.checkpoint.place = SigningPlace::Inside;
    assert!(verdict(&log, &known, log.leaves.len()).unproven.contains(&LogUnproven::KeyOutside));
}

#[test]
fn a_log_that_was_cut_proves_no_signature_and_its_open_requests_are_named() {
    let log = SampleLog::new();
    let found = verdict(&log, &evidence(&log), 1);
    assert!(!found.is_sound());
    assert!(!found.proven.iter().any(|what| matches!(what, LogProven::Signed { .. })));
    assert_eq!(found.walked.open.len(), 1);
    assert!(
        found.unproven.contains(&LogUnproven::Ends { requests: 1 }) && found.unproven.contains(&LogUnproven::Alive)
    );
}

#[test]
fn a_clock_that_went_back_is_found() {
    let log = SampleLog::new();
    let (former, later) = (log.checkpoint(4), log.checkpoint(9));
    assert_eq!(clock_back(Some(&former), &later), None);
    assert_eq!(clock_back(None, &later), None);
    let back = Checkpoint { at: Some(7), ..later };
    assert_eq!(clock_back(Some(&former), &back), Some(AuditFinding::ClockBack { size: 9, before: 1_004, now: 7 }));
}
