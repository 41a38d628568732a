use super::super::checkpoint::{Checkpoint, CheckpointFault, LogBreak, SigningPlace, TrustedKeys, follows};
use super::super::tests::{ORIGIN, SampleLog, arithmetic, key};
use super::super::tree::{ProofFault, TreeHash};
use super::*;
use crate::runtime::note_signer::SignerUse;

/// The example of the specification.
const VERIFIER: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const NOTE: &str = "This is an example message.\n\n\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

#[test]
fn the_example_of_the_specification_is_checked() {
    let verifier = VerifierKey::read(VERIFIER).unwrap();
    assert_eq!((verifier.name(), verifier.kind()), ("example.com/foo", NoteKeyKind::Ed25519));
    assert_eq!(verifier.to_string(), VERIFIER);
    let note = SignedNote::read(NOTE).unwrap();
    assert_eq!(note.to_string(), NOTE);
    let signers = note.signers([&verifier], &arithmetic).unwrap();
    assert_eq!(signers, [(&verifier, SignedAt::Unsaid)].into());
    let other = SignedNote::read(&NOTE.replace("example message", "example massage")).unwrap();
    assert_eq!(other.signers([&verifier], &arithmetic), Err(NoteFault::WrongSignature("example.com/foo".to_owned())));
}

#[test]
fn a_key_has_the_id_of_its_name_and_bytes() {
    for (text, fault) in [
        ("", NoteFault::NotAKey),
        ("example.com/foo+530d903a", NoteFault::NotAKey),
        ("+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", NoteFault::NotAKey),
        ("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3Q==", NoteFault::NotAKey),
        ("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2l", NoteFault::OtherKeyId),
        ("example.com/fop+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", NoteFault::OtherKeyId),
        ("example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", NoteFault::OtherKeyId),
        ("example.com/foo+530d903a+BukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", NoteFault::UnknownKind(6)),
    ] {
        assert_eq!(VerifierKey::read(text), Err(fault), "{text}");
    }
}

#[test]
fn what_is_no_note_is_none() {
    let line = NOTE.lines().last().unwrap();
    let many = format!("text\n\n{}", format!("{line}\n").repeat(65));
    let long = format!("{}\n\n{line}\n", "x".repeat(1 << 20));
    for (text, fault) in [
        ("", NoteFault::NotANote),
        ("text\n", NoteFault::NotANote),
        ("text\n\n", NoteFault::NotANote),
        (&format!("text\n{line}\n"), NoteFault::NotANote),
        (&format!("text\n\n{line}"), NoteFault::NotANote),
        (&format!("text\n\n{line}\n\n"), NoteFault::NotANote),
        (&format!("text\n\n{line}\nmore\n"), NoteFault::NotANote),
        (&format!("te\txt\n\n{line}\n"), NoteFault::NotANote),
        (&format!("text\n\n{}\r\n", line), NoteFault::NotANote),
        (&format!("text\n\n{}\n", line.replace('\u{2014}', "-")), NoteFault::NotANote),
        (&format!("text\n\n{} \n", line), NoteFault::NotANote),
        (&format!("text\n\n{}\n", line.replace("aQM=", "aQN=")), NoteFault::NotANote),
        (&many, NoteFault::TooLong),
        (&long, NoteFault::TooLong),
    ] {
        assert_eq!(SignedNote::read(text), Err(fault), "{text:.90}");
    }
    // A text may have empty lines; the last one parts it from the signatures.
    assert_eq!(SignedNote::read(&format!("a\n\nb\n\n{line}\n")).unwrap().text(), "a\n\nb\n");
}

#[test]
fn whose_signature_counts_is_who_was_named_before() {
    let ((one, one_key), (two, two_key)) = (key("log.example", SignerUse::Log), key("log.example", SignerUse::Log));
    let text = "a text\n";
    let signature = |key: &VerifierKey, by: &crate::runtime::note_signer::NoteSigner| {
        NoteSignature::make(key, text, 0, |message| by.sign(message))
    };
    let note =
        |signatures: &[&NoteSignature]| SignedNote::new(text.to_owned(), signatures.iter().copied().cloned().collect());
    let (good, other, forged) = (signature(&one_key, &one), signature(&two_key, &two), signature(&one_key, &two));
    let signers = |note: SignedNote| note.signers([&one_key], &arithmetic).map(|signers| signers.len());
    assert_eq!(signers(note(&[&good])), Ok(1));
    // A key of the same name is another key.
    assert_eq!(signers(note(&[&other])), Err(NoteFault::NotSigned));
    assert_eq!(signers(note(&[&other, &good])), Ok(1));
    // Twice by one key is once, and a wrong one is not saved by a good one, wherever it stands.
    assert_eq!(signers(note(&[&good, &good])), Ok(1));
    for both in [[&good, &forged], [&forged, &good]] {
        assert_eq!(signers(note(&both)), Err(NoteFault::WrongSignature("log.example".to_owned())));
    }
    let both = note(&[&good, &other]);
    assert_eq!(both.signers([&one_key, &two_key], &arithmetic).unwrap().len(), 2);
    assert_eq!(note(&[&forged, &other]).with(good.clone()), note(&[&other, &good]));
    assert_eq!(both.signers([], &arithmetic), Err(NoteFault::NotSigned));
}

#[test]
fn a_cosignature_says_when_and_its_time_is_signed() {
    let (witness, verifier) = key("w.example", SignerUse::Witness);
    let text = "log.example\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
    let at = |at: u64| NoteSignature::make(&verifier, text, at, |message| witness.sign(message));
    let signed = |signatures| SignedNote::new(text.to_owned(), signatures).signers([&verifier], &arithmetic);
    let twice = [at(70), at(60)];
    assert_eq!(signed(twice.to_vec()).map(|mut all| all.pop_first()), Ok(Some((&verifier, SignedAt::Second(70)))));
    let mut later = at(60);
    later.bytes[7] += 1;
    let wrong = Err(NoteFault::WrongSignature("w.example".to_owned()));
    assert_eq!(signed(vec![later]).map(drop), wrong);
    assert_eq!(signed(vec![at(1 << 63)]).map(drop), wrong);
    let mut short = at(60);
    short.bytes.truncate(7);
    assert_eq!(signed(vec![short]).map(drop), wrong);
    // What it signs is not the note alone, so that no signature of a log is one of a witness.
    assert_eq!(cosigned("a\n", 7), "cosignature/v1\ntime 7\na\n");
}

#[test]
fn a_checkpoint_has_one_form() {
    let root = TreeHash::of_leaf(b"");
    let good = format!("log.example\n1\n{root}\n");
    let read = |text: &str| Checkpoint::read(text);
    let checkpoint = read(&good).unwrap();
    assert_eq!((checkpoint.size, checkpoint.root, checkpoint.at), (1, root, None));
    assert_eq!(checkpoint.place, SigningPlace::Outside);
    for place in [SigningPlace::Inside, SigningPlace::Outside] {
        let dated = Checkpoint { at: Some(7), place, ..checkpoint.clone() };
        assert_eq!(read(&dated.text()), Ok(dated));
    }
    assert_eq!(read(&format!("{good}of tomorrow\n")), Ok(checkpoint));
    let empty = TreeHash::of_nothing();
    assert!(read(&format!("log.example\n0\n{empty}\n")).is_ok());
    for (text, line) in [
        (String::new(), 0),
        (format!("log.example\n1\n{root}"), 0),
        ("log.example\n1\n".to_owned(), 2),
        (format!("\n1\n{root}\n"), 1),
        (format!("log.example\n01\n{root}\n"), 2),
        (format!("log.example\n+1\n{root}\n"), 2),
        (format!("log.example\n18446744073709551616\n{root}\n"), 2),
        (format!("log.example\n0\n{root}\n"), 3),
        ("log.example\n1\nAAAA\n".to_owned(), 3),
        (format!("{good}\n"), 4),
        (format!("{good}time x\n"), 4),
        (format!("{good}time 07\n"), 4),
        (format!("{good}time 7\ntime 8\n"), 5),
        (format!("{good}signed inside\nsigned inside\n"), 5),
    ] {
        assert_eq!(read(&text), Err(CheckpointFault::Form(line)), "{text:?}");
    }
}

#[test]
fn a_checkpoint_counts_when_the_log_itself_signed_it() {
    let log = SampleLog::new();
    let checkpoint = log.checkpoint(9);
    let note = log.signed(&checkpoint);
    let opened = log.trusted.open(&note.to_string(), &arithmetic).unwrap();
    assert_eq!((&opened.checkpoint, opened.witnesses.len()), (&checkpoint, 0));
    let seen = log.cosigned(log.cosigned(note.clone(), 5), 6);
    let opened = log.trusted.open(&seen.to_string(), &arithmetic).unwrap();
    assert_eq!(opened.witnesses, [("w.example/1".to_owned(), 6)].into());
    // A witness alone makes no checkpoint, nor does its key as one of the log, nor the log's as one of a witness.
    let alone = log.cosigned(SignedNote::new(note.text().to_owned(), Vec::new()), 5).to_string();
    let not_signed = Err(CheckpointFault::Note(NoteFault::NotSigned));
    assert_eq!(log.trusted.open(&alone, &arithmetic), not_signed);
    let swapped =
        TrustedKeys { log: log.trusted.witnesses.clone(), witnesses: log.trusted.log.clone(), ..log.trusted.clone() };
    assert_eq!(swapped.open(&seen.to_string(), &arithmetic), not_signed);
    // The same key for two logs signs for one at a time.
    let elsewhere = Checkpoint { origin: "daypass.dev/archive/other".to_owned(), ..checkpoint };
    let (found, wanted) = (elsewhere.origin.clone(), ORIGIN.to_owned());
    let other = log.trusted.open(&log.signed(&elsewhere).to_string(), &arithmetic);
    assert_eq!(other, Err(CheckpointFault::OtherOrigin { found, wanted }));
}

#[test]
fn a_log_only_grows() {
    let log = SampleLog::new();
    let tiles = super::super::tests::all_tiles(&log.hashes());
    let (former, later) = (log.checkpoint(9), log.checkpoint(log.leaves.len()));
    let path = super::super::climb::prove_consistency(9, later.size, &tiles).unwrap();
    assert_eq!(follows(&former, &later, &path), Ok(()));
    assert_eq!(follows(&later, &later, &[]), Ok(()));
    assert_eq!(follows(&later, &former, &path), Err(LogBreak::Cut { before: later.size, now: 9 }));
    let forked = Checkpoint { root: TreeHash::of_leaf(b"other"), ..former.clone() };
    assert_eq!(follows(&forked, &later, &path), Err(LogBreak::Forked(ProofFault::OtherFormerRoot)));
    assert_eq!(follows(&former, &forked, &[]), Err(LogBreak::Forked(ProofFault::OtherFormerRoot)));
    let other = Checkpoint { origin: "other".to_owned(), ..later.clone() };
    assert_eq!(follows(&former, &other, &path), Err(LogBreak::OtherLog));
    let back = Checkpoint { at: Some(7), ..later.clone() };
    assert_eq!(follows(&former, &back, &path), Err(LogBreak::TimeBack { before: 1_009, now: 7 }));
}
