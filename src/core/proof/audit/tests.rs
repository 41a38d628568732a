use proptest::prelude::*;
use proptest::sample::Index;

use super::super::tests::{SAMPLE, SampleLog};
use super::*;

/// The leaves of a log as they are fetched: bytes, and of records what is stored.
type Fetched = Vec<(Vec<u8>, Option<(String, FieldSalts)>)>;

fn fetched(log: &SampleLog) -> Fetched {
    log.leaves.iter().map(|leaf| leaf.bytes().into_bytes()).zip(log.stored.clone()).collect()
}

fn walked(checkpoints: &[Checkpoint], fetched: &Fetched) -> WalkedLog {
    let mut walk = LogWalk::new(checkpoints);
    for (bytes, stored) in fetched {
        let stored = stored.as_ref().map_or(LeafStore::NotRead, |(record, salts)| LeafStore::Kept(record, salts));
        walk.step(bytes, stored);
    }
    walk.finish()
}

#[test]
fn nothing_is_wrong_with_a_log_that_nobody_touched() {
    let log = SampleLog::new();
    let sizes = [0, 1, 9, log.leaves.len()];
    let checkpoints: Vec<Checkpoint> = sizes.iter().map(|size| log.checkpoint(*size)).collect();
    let found = walked(&checkpoints, &fetched(&log));
    assert_eq!(found.findings, []);
    assert_eq!(found.size, log.leaves.len() as u64);
    assert_eq!(found.root, checkpoints[3].root);
    assert_eq!(found.counts.values().sum::<u64>(), found.size);
    assert_eq!(found.counts[&LeafKind::Heartbeat], 7);
    assert_eq!(found.longest_silence, 5);
    assert_eq!(found.requests, 7);
    // Without what is stored the leaves alone are walked.
    let leaves: Fetched = fetched(&log).into_iter().map(|(bytes, _)| (bytes, None)).collect();
    assert_eq!(walked(&checkpoints, &leaves).findings, []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_to_a_log_is_found(
        what in 0..7_usize, place in any::<Index>(), other in any::<Index>(), at in any::<Index>(), byte in 1_u8..=255,
    ) {
        let log = &*SAMPLE;
        let now = [log.checkpoint(log.leaves.len())];
        let mut all = fetched(log);
        let (place, other) = (place.index(all.len()), other.index(all.len()));
        match what {
            0 => {
                let at = at.index(all[place].0.len());
                all[place].0[at] ^= byte;
            }
            1 => drop(all.remove(place)),
            2 => all.insert(other, fetched(log)[place].clone()),
            3 => {
                prop_assume!(place != other);
                all.swap(place, other);
            }
            4 => all.truncate(place),
            5 => {
                let length = all[place].0.len();
                all[place].0.truncate(at.index(length));
            }
            // A stored record, while the log is as it was.
            _ => {
                prop_assume!(all[place].1.is_some());
                let Some((record, _)) = &mut all[place].1 else { return Ok(()) };
                let mut bytes = record.clone().into_bytes();
                let at = at.index(bytes.len());
                bytes[at] ^= byte & 0x7f;
                prop_assume!(byte & 0x7f != 0);
                let Ok(changed) = String::from_utf8(bytes) else { return Ok(()) };
                *record = changed;
            }
        }
        prop_assert!(!walked(&now, &all).findings.is_empty());
    }

    /// A log that was made anew, with another value somewhere: whoever holds a former checkpoint finds it.
    #[test]
    fn a_history_that_was_made_anew_is_found_by_an_anchor_behind_the_change(
        place in any::<Index>(), anchor in any::<Index>(),
    ) {
        let (log, mut anew) = (&*SAMPLE, SampleLog::new());
        let place = place.index(log.leaves.len());
        let anchor = log.checkpoint(anchor.index(log.leaves.len()) + 1);
        let mut leaf = anew.leaves[place].as_json();
        let kind = anew.leaves[place].kind().as_str();
        leaf[kind]["at"] = "2020-01-01T00:00:00.000000Z".into();
        anew.leaves[place] = LeafEntry::of_json(leaf).unwrap();
        let now = anew.checkpoint(anew.leaves.len());
        let alone: Fetched = fetched(&anew).into_iter().map(|(bytes, _)| (bytes, None)).collect();
        let is_found = walked(&[anchor.clone(), now.clone()], &alone).findings.iter().any(|f| matches!(f, AuditFinding::OtherRoot { .. }));
        prop_assert_eq!(is_found, anchor.size > place as u64);
    }
}

#[test]
fn records_of_a_request_come_once_and_in_order() {
    let log = SampleLog::new();
    let all = fetched(&log);
    let uid = log.leaves[1].record_name().unwrap().request;
    let order = |all: &Fetched| {
        walked(&[], all)
            .findings
            .into_iter()
            .filter_map(|finding| match finding {
                AuditFinding::OutOfOrder { place, request, wanted, found } if request == uid => {
                    Some((place, wanted, found))
                }
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(order(&all), []);
    // A log that was made so from the start has a right root, and is wrong all the same.
    let mut twice = all.clone();
    twice.insert(2, all[1].clone());
    assert_eq!(order(&twice), [(2, 2, 1)]);
    let mut lacking = all.clone();
    lacking.remove(1);
    assert_eq!(order(&lacking), [(1, 1, 2)]);
    let mut swapped = all.clone();
    swapped.swap(0, 1);
    assert_eq!(order(&swapped), [(0, 0, 1), (1, 2, 0)]);
}

#[test]
fn a_record_that_was_replaced_before_it_was_kept_breaks_the_chain() {
    let log = SampleLog::new();
    let mut all = fetched(&log);
    let (record, _) = all[1].1.clone().unwrap();
    let mut value: Value = serde_json::from_str(&record).unwrap();
    value["message"] = "another".into();
    let other = value.to_string();
    let (leaf, salts) = LeafEntry::of_record(&other, super::super::tests::salts()).unwrap();
    all[1] = (leaf.bytes().into_bytes(), Some((other, salts)));
    assert_eq!(walked(&[], &all).findings, [AuditFinding::BrokenChain(2)]);
}

#[test]
fn what_no_leaf_is_and_what_goes_back_is_told() {
    let log = SampleLog::new();
    let mut all = fetched(&log);
    all.push((b"{}".to_vec(), None));
    all.push((all[5].0.clone(), None));
    let last = all.len() as u64 - 1;
    let nameless = log.leaves[0].bytes().replace(r#""index":0"#, r#""index":4"#);
    all.push((nameless.into_bytes(), None));
    let findings = walked(&[], &all).findings;
    let told = [
        AuditFinding::Leaf(last - 1, LeafFault::UnknownSchema),
        AuditFinding::TimeBack(last),
        AuditFinding::Nameless(last + 1),
    ];
    assert_eq!(findings, told);
}

#[test]
fn what_nobody_signed_is_told() {
    let log = SampleLog::new();
    let unsigned = AuditFinding::Unsigned { said: 9, real: log.leaves.len() as u64 };
    assert_eq!(walked(&[log.checkpoint(3), log.checkpoint(9)], &fetched(&log)).findings, [unsigned]);
}

#[test]
fn a_log_that_was_cut_is_shorter_than_its_checkpoint() {
    let log = SampleLog::new();
    let (now, mut all) = (log.checkpoint(log.leaves.len()), fetched(&log));
    all.truncate(3);
    let cut = AuditFinding::Cut { said: now.size, real: 3 };
    assert_eq!(walked(&[now], &all).findings, [cut]);
}
