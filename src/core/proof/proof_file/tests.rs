use proptest::prelude::*;
use proptest::sample::Index;

use super::super::tests::{SAMPLE, SampleLog, arithmetic, salts};
use super::*;
use crate::core::record::golden::RECORDS;
use crate::core::record::v1::closes;

fn requests(log: &SampleLog) -> Vec<String> {
    let names = log.leaves.iter().filter_map(LeafEntry::record_name).map(|name| name.request);
    names.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

fn verified(log: &SampleLog, file: &ProofFile) -> Result<RequestProof, BadProof> {
    ProofFile::read(&file.text()).and_then(|file| file.verify(&log.trusted, &arithmetic))
}

#[test]
fn a_request_is_proven_from_its_first_record_to_its_last() {
    let log = SampleLog::new();
    for request in requests(&log) {
        let file = log.proof(&request);
        assert_eq!(ProofFile::read(&file.text()).as_ref(), Ok(&file));
        let proof = verified(&log, &file).unwrap();
        assert_eq!((proof.request.as_str(), proof.cluster.as_str()), (request.as_str(), "cluster-uid"));
        let records: Vec<Record> = proof.records.iter().filter_map(|shown| shown.record.clone()).collect();
        let golden: Vec<Record> = RECORDS.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let golden: Vec<Record> = golden.into_iter().filter(|record| record.request.uid == request).collect();
        assert_eq!(records, golden);
        let count = records.len() as u64;
        let closing = golden.iter().find(|record| closes(record)).unwrap();
        let mut proven = vec![
            Proven::InLog { size: log.leaves.len() as u64, records: records.len() },
            Proven::Witnessed { name: "w.example/1".to_owned(), at: 2_000 },
            Proven::FromTheFirst,
            Proven::Closed(closing.index.into()),
        ];
        proven.extend((0..count).map(Proven::Whole));
        proven.extend((1..count).map(Proven::Linked));
        proven.sort();
        let mut found = proof.proven;
        found.sort();
        assert_eq!(found, proven);
        assert_eq!(proof.unproven, [NotProven::Truth, NotProven::NothingElse]);
    }
}

#[test]
fn what_is_not_shown_is_named() {
    let log = SampleLog::new();
    let whole = log.proof(&requests(&log)[0]);
    let unproven = |change: &dyn Fn(&mut ProofFile)| {
        let mut file = whole.clone();
        change(&mut file);
        let proof = verified(&log, &file).unwrap();
        let known = [NotProven::Truth, NotProven::NothingElse];
        proof.unproven.into_iter().filter(|what| !known.contains(what)).collect::<Vec<_>>()
    };
    assert_eq!(unproven(&|_| {}), []);
    let name = "/subject/username";
    assert_eq!(unproven(&|file| drop(file.leaves[1].openings.remove(name))), [NotProven::Hidden(1, name.to_owned())]);
    // Without a digest nothing can be held against it, unless the record is there as a whole.
    let own = OWN_DIGEST.to_owned();
    assert_eq!(unproven(&|file| drop(file.leaves[0].openings.remove(OWN_DIGEST))), [NotProven::Hidden(0, own.clone())]);
    let hidden = unproven(&|file| {
        file.leaves[0].openings.remove(name);
        file.leaves[0].openings.remove(OWN_DIGEST);
    });
    assert_eq!(hidden, [NotProven::Hidden(0, name.to_owned()), NotProven::Hidden(0, own), NotProven::Link(1)]);
    let from_two = unproven(&|file| drop(file.leaves.drain(..2)));
    assert_eq!(from_two, [NotProven::Link(2), NotProven::Before(2)]);
    let between = unproven(&|file| drop(file.leaves.remove(1)));
    assert_eq!(between, [NotProven::Link(2), NotProven::Between(0, 2)]);
    assert_eq!(unproven(&|file| file.leaves.truncate(1)), [NotProven::End]);
}

#[test]
fn a_checkpoint_says_how_much_it_is_worth() {
    let log = SampleLog::new();
    let mut file = log.proof(&requests(&log)[0]);
    let mut checkpoint = log.checkpoint(log.leaves.len());
    checkpoint.place = SigningPlace::Inside;
    file.checkpoint = log.signed(&checkpoint).to_string();
    let unproven = verified(&log, &file).unwrap().unproven;
    assert!(unproven.contains(&NotProven::OneHistory) && unproven.contains(&NotProven::KeyOutside), "{unproven:?}");
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let log = SampleLog::new();
    let (one, other) = (log.proof(&requests(&log)[0]), log.proof(&requests(&log)[1]));
    let of = |leaves: Vec<&ProvenLeaf>| {
        verified(&log, &ProofFile { leaves: leaves.into_iter().cloned().collect(), ..one.clone() }).map(drop)
    };
    let [first, second, ..] = one.leaves.as_slice() else { panic!("too few") };
    assert_eq!(of(vec![first, second]), Ok(()));
    assert_eq!(of(vec![]), Err(BadProof::Empty));
    assert_eq!(of(vec![second, first]), Err(BadProof::Order(1)));
    assert_eq!(of(vec![first, first]), Err(BadProof::Order(1)));
    assert_eq!(of(vec![first, &other.leaves[1]]), Err(BadProof::OtherRequest(1)));
    let elsewhere = ProvenLeaf { place: first.place + 1, ..first.clone() };
    assert!(matches!(of(vec![&elsewhere]), Err(BadProof::NotInTree(0, _))));
    let mut moved = first.clone();
    moved.openings.insert("/message".to_owned(), second.openings["/message"].clone());
    assert!(matches!(of(vec![&moved]), Err(BadProof::Leaf(0, LeafFault::NotCommitted(_)))));
    let mut swapped = second.clone();
    swapped.openings.insert("/message".to_owned(), second.openings["/request/name"].clone());
    assert!(matches!(of(vec![&swapped]), Err(BadProof::Leaf(0, LeafFault::OtherValue(_)))));
    let beat = log.leaves.iter().position(|leaf| leaf.record_name().is_none()).unwrap();
    let tiles = super::super::tests::all_tiles(&log.hashes());
    let path = super::super::climb::prove_inclusion(beat as u64, log.leaves.len() as u64, &tiles).unwrap();
    let beat = ProvenLeaf { place: beat as u64, leaf: log.leaves[beat].clone(), path, openings: FieldOpenings::new() };
    assert_eq!(of(vec![&beat]), Err(BadProof::NotARecord(0)));
}

/// An archive that makes leaves as it likes: each is in the log, and what they say does not hold together.
#[test]
fn a_log_that_was_wrongly_made_proves_nothing() {
    let mut log = SampleLog::new();
    let request = log.leaves[0].record_name().unwrap().request;
    let record = log.stored[1].clone().unwrap().0;
    let mut value: Value = serde_json::from_str(&record).unwrap();
    value["previous"] = digest(b"another").into();
    let (leaf, drawn) = LeafEntry::of_record(&value.to_string(), salts()).unwrap();
    log.leaves[1] = leaf;
    log.stored[1] = Some((value.to_string(), drawn));
    assert_eq!(verified(&log, &log.proof(&request)).map(drop), Err(BadProof::BrokenChain(1)));
    // The digest of another record.
    let mut log = SampleLog::new();
    let (_, drawn) = log.stored[1].clone().unwrap();
    let salt = drawn[OWN_DIGEST].clone();
    let other = FieldOpening { salt, value: digest(b"another").into() };
    let mut leaf = log.leaves[1].as_json();
    leaf["commitments"][OWN_DIGEST] = other.commitment(OWN_DIGEST).into();
    let openings = log.openings(1);
    log.leaves[1] = LeafEntry::of_json(leaf).unwrap();
    let tiles = super::super::tests::all_tiles(&log.hashes());
    let size = log.leaves.len();
    let path = super::super::climb::prove_inclusion(1, size as u64, &tiles).unwrap();
    let mut proven = ProvenLeaf { place: 1, leaf: log.leaves[1].clone(), path, openings };
    proven.openings.insert(OWN_DIGEST.to_owned(), other);
    let checkpoint = log.signed(&log.checkpoint(size)).to_string();
    let file = ProofFile { checkpoint, leaves: vec![proven] };
    assert_eq!(verified(&log, &file).map(drop), Err(BadProof::OtherDigest(1)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_file_of_which_a_byte_was_changed_proves_nothing(at in any::<Index>(), byte in 1_u8..128, which in any::<Index>()) {
        let log = &*SAMPLE;
        let requests = requests(log);
        let mut bytes = log.proof(&requests[which.index(requests.len())]).text().into_bytes();
        // The new line at the end may be lacking.
        let at = at.index(bytes.len() - 1);
        bytes[at] ^= byte;
        let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
        let found = ProofFile::read(&text).and_then(|file| file.verify(&log.trusted, &arithmetic));
        // A witness whose name was changed is one that nobody knows.
        let is_unknown = found.as_ref().is_ok_and(|proof| proof.checkpoint.witnesses.is_empty());
        prop_assert!(found.is_err() || is_unknown, "{}", &text[at.saturating_sub(40)..]);
    }
}

#[test]
fn one_leaf_goes_alone_in_the_form_of_others() {
    let log = SampleLog::new();
    let file = log.proof(&requests(&log)[0]);
    let single = file.single(1).unwrap();
    let lines: Vec<&str> = single.lines().collect();
    assert_eq!(lines[0], "c2sp.org/tlog-proof@v1");
    assert_eq!(lines[2], format!("index {}", file.leaves[1].place));
    let length = file.leaves[1].path.len();
    assert_eq!(lines[3..3 + length], file.leaves[1].path.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(lines[3 + length], "");
    assert!(single.ends_with(&format!("\n\n{}", file.checkpoint)));
    assert_eq!(file.single(99), None);
}
