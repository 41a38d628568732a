//! Keys, and what other programs make of what is signed with them: Python that ships with the examples, and Go.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde::Deserialize;

use super::*;
use crate::core::proof::climb::{prove_consistency, prove_inclusion};
use crate::core::proof::leaf::OWN_DIGEST;
use crate::core::proof::note::{NoteSignature, SignedNote, VerifierKey};
use crate::core::proof::proof_file::ProofFile;
use crate::core::proof::tests::{ORIGIN, SampleLog, all_tiles, arithmetic, key, leaf_hashes};
use crate::core::proof::tile::{hash_bytes, new_tiles};
use crate::core::proof::tree::GrowingTree;

#[test]
fn a_key_comes_back_from_its_line_and_signs_the_same() {
    for usage in [SignerUse::Log, SignerUse::Witness] {
        let signer = NoteSigner::generate(ORIGIN, usage).unwrap();
        let line = signer.private_key().unwrap();
        let again = NoteSigner::read(&format!("\n{line}\n"), "another", usage).unwrap();
        assert_eq!((again.name(), again.verifier_key()), (ORIGIN, signer.verifier_key()));
        assert_eq!(again.sign(b"x"), signer.sign(b"x"));
        assert_eq!(VerifierKey::read(&signer.verifier_key()).unwrap().to_string(), signer.verifier_key());
        assert_eq!(format!("{signer:?}"), signer.verifier_key());
        let secret = line.rsplit('+').next().unwrap();
        assert!(!format!("{signer:?}").contains(secret));
    }
}

#[test]
fn a_key_that_is_not_one_is_refused_without_a_word_of_it() {
    let line = NoteSigner::generate(ORIGIN, SignerUse::Log).unwrap().private_key().unwrap();
    let read = |text: &str, usage| NoteSigner::read(text, ORIGIN, usage).map(drop);
    assert_eq!(read(&line, SignerUse::Log), Ok(()));
    assert_eq!(read(&line, SignerUse::Witness), Err(SignerFault::OtherUse));
    let renamed = line.replace("archive/test", "archive/toast");
    assert_eq!(read(&renamed, SignerUse::Log), Err(SignerFault::OtherId));
    for text in ["", "PRIVATE+KEY+", "PRIVATE+KEY+a+b", "PRIVATE+KEY+a+00000000+AQ==", &line[..line.len() - 4]] {
        assert_eq!(read(text, SignerUse::Log), Err(SignerFault::Form), "{text:.20}");
    }
    let ecdsa = rcgen::KeyPair::generate().unwrap().serialize_pem();
    assert_eq!(read(&ecdsa, SignerUse::Log), Err(SignerFault::Form));
    for name in ["", "a b", "a+b", "a\nb"] {
        assert_eq!(NoteSigner::generate(name, SignerUse::Log).map(drop), Err(SignerFault::Name));
    }
}

#[test]
fn a_key_in_pem_is_read_as_openssl_writes_it() {
    let pem = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let signer = NoteSigner::read(&pem.serialize_pem(), ORIGIN, SignerUse::Log).unwrap();
    assert!(is_signed(pem.public_key_raw(), b"x", &signer.sign(b"x")));
    // RFC 8410, section 10.3, which has no public key in it, like those of openssl.
    let openssl = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    let signer = NoteSigner::read(openssl, ORIGIN, SignerUse::Log).unwrap();
    let public = STANDARD.decode("Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=").unwrap();
    assert_eq!(signer.pair.public_key().as_ref(), public);
}

#[test]
fn a_signature_is_of_one_message_by_one_key() {
    let (one, other) =
        (NoteSigner::generate("a", SignerUse::Log).unwrap(), NoteSigner::generate("a", SignerUse::Log).unwrap());
    let (public, signature) = (one.pair.public_key().as_ref(), one.sign(b"x"));
    assert!(is_signed(public, b"x", &signature));
    assert!(!is_signed(public, b"y", &signature));
    assert!(!is_signed(other.pair.public_key().as_ref(), b"x", &signature));
    assert!(!is_signed(&public[..31], b"x", &signature) && !is_signed(public, b"x", &signature[..63]));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What a program says to this input; none where the program is not there.
fn run(command: &mut Command, input: &str) -> Option<Output> {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match piped.spawn() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        child => child.unwrap(),
    };
    // A program that ends before it has read all is judged by what it says.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    Some(child.wait_with_output().unwrap())
}

/// The script of the examples on a file: what it says, and whether it finds it right.
struct Script {
    folder: tempfile::TempDir,
    keys: Vec<String>,
}

impl Script {
    fn new(log: &SampleLog) -> Self {
        let keys = log.trusted.log.iter().chain(&log.trusted.witnesses).map(ToString::to_string);
        Self { folder: tempfile::tempdir().unwrap(), keys: keys.collect() }
    }

    fn judges(&self, text: &str) -> Option<(bool, String)> {
        let file: PathBuf = self.folder.path().join("proof.json");
        std::fs::write(&file, text).unwrap();
        let mut python = Command::new("python3");
        python.arg(root().join("examples/record/verify.py")).arg(file).args(&self.keys);
        let said = run(&mut python, "")?;
        let text = String::from_utf8([said.stdout, said.stderr].concat()).unwrap();
        assert!(!text.contains("Traceback"), "{text}");
        Some((said.status.success(), text))
    }
}

#[test]
fn the_script_of_the_examples_finds_right_what_is_right() {
    let log = SampleLog::new();
    let script = Script::new(&log);
    for request in ["full-uid", "all-uid"] {
        let file = log.proof(request);
        let Some((is_right, said)) = script.judges(&file.text()) else { return };
        assert!(is_right, "{said}");
        assert_eq!(said.lines().count(), file.leaves.len() + 1, "{said}");
        assert_eq!(said.matches("hidden: nothing").count(), file.leaves.len(), "{said}");
        assert_eq!(said.matches("follows the one before").count(), file.leaves.len() - 1, "{said}");
        assert!(said.contains("witnesses: w.example/1"), "{said}");
        let mut erased = file.clone();
        for leaf in &mut erased.leaves {
            leaf.openings.retain(|path, _| !path.starts_with("/subject") && path != OWN_DIGEST);
        }
        let (is_right, said) = script.judges(&erased.text()).unwrap();
        assert!(is_right && said.contains("/subject/username digest"), "{said}");
    }
}

/// What this program refuses, the script refuses too.
#[test]
fn the_script_of_the_examples_finds_wrong_what_is_wrong() {
    let log = SampleLog::new();
    let script = Script::new(&log);
    let whole = log.proof("full-uid");
    let text = whole.text();
    let with = |change: &dyn Fn(&mut ProofFile)| {
        let mut file = whole.clone();
        change(&mut file);
        file.text()
    };
    let smaller = log.cosigned(log.signed(&log.checkpoint(9)), 7).to_string();
    let alone = log.cosigned(SignedNote::new(log.checkpoint(log.leaves.len()).text(), Vec::new()), 7).to_string();
    let wrong = [
        text.replacen("\"at\":\"2", "\"at\":\"1", 1),
        text.replacen("\"place\":1", "\"place\":2", 1),
        text.replacen("{\"checkpoint\"", "{\"a\":1,\"checkpoint\"", 1),
        text.replacen("{\"checkpoint\"", "{\"checkpoint\":1,\"checkpoint\"", 1),
        text.replacen("{\"checkpoint\"", "{ \"checkpoint\"", 1),
        text.replacen("\"value\":\"", "\"value\":\"x", 1),
        text.replacen("\"place\":1", "\"place\":1.0", 1),
        text.replacen("\"place\":1", "\"place\":9007199254740993", 1),
        with(&|file| file.leaves.swap(0, 1)),
        with(&|file| file.leaves.insert(0, whole.leaves[0].clone())),
        with(&|file| file.leaves.clear()),
        with(&|file| file.leaves[1].path.push(whole.leaves[0].path[0])),
        with(&|file| file.leaves[1].path.truncate(1)),
        with(&|file| file.leaves[1].path.swap(0, 1)),
        with(&|file| file.leaves.push(log.proof("all-uid").leaves[0].clone())),
        with(&|file| file.checkpoint.clone_from(&smaller)),
        with(&|file| file.checkpoint.clone_from(&alone)),
        with(&|file| file.checkpoint.truncate(file.checkpoint.len() - 1)),
        String::new(),
        "{}".to_owned(),
    ];
    for (at, file) in wrong.iter().enumerate() {
        assert_ne!(*file, text, "{at} is not changed");
        let ours = ProofFile::read(file).and_then(|file| file.verify(&log.trusted, &arithmetic));
        assert!(ours.is_err(), "{at}");
        let Some((is_right, said)) = script.judges(file) else { return };
        assert!(!is_right && said.contains("BAD"), "{at}: {said}");
    }
    let stranger = Script { keys: vec![key(ORIGIN, SignerUse::Log).1.to_string()], ..Script::new(&log) };
    assert!(stranger.judges(&text).is_some_and(|(is_right, _)| !is_right));
}

#[derive(Deserialize)]
struct OtherProof {
    from: u64,
    size: u64,
    path: Vec<String>,
}

#[derive(Deserialize)]
struct OtherLog {
    roots: Vec<String>,
    inclusion: Vec<OtherProof>,
    consistency: Vec<OtherProof>,
    tiles: BTreeMap<String, String>,
    opened: String,
    signed: String,
}

/// The program that Go checks its modules with makes the same roots, proofs and tiles, reads our notes and writes ours.
#[test]
fn go_finds_the_same_log_and_opens_the_same_notes() {
    const LEAVES: u64 = 66_000;
    let (signer, verifier) = key(ORIGIN, SignerUse::Log);
    let text = format!("{ORIGIN}\n7\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n");
    let signature = NoteSignature::make(&verifier, &text, 0, |message| signer.sign(message));
    let note = SignedNote::new(text.clone(), vec![signature]).to_string();
    let question = serde_json::json!({
        "leaves": LEAVES, "note": note, "verifier": verifier.to_string(), "signer": signer.private_key().unwrap(),
    });
    let mut go = Command::new("go");
    go.args(["run", "."]).current_dir(root().join("e2e/proof/oracle"));
    let Some(said) = run(&mut go, &question.to_string()) else { return };
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let other: OtherLog = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((other.opened, other.signed), (text, note));

    let leaves = leaf_hashes(LEAVES);
    let mut tree = GrowingTree::default();
    for (leaf, root) in leaves.iter().zip(&other.roots) {
        tree.push(*leaf);
        assert_eq!(tree.root().to_string(), *root, "of {}", tree.size());
    }
    let tiles = all_tiles(&leaves);
    let ours = new_tiles(0, LEAVES)
        .into_iter()
        .filter_map(|tile| tiles.get(&tile).map(|hashes| (tile.to_string(), STANDARD.encode(hash_bytes(hashes)))));
    assert_eq!(ours.collect::<BTreeMap<_, _>>(), other.tiles);
    let parts: BTreeMap<u64, _> =
        [1, 2, 3, 7, 8, 100, LEAVES].map(|size| (size, all_tiles(&leaves[..usize::try_from(size).unwrap()]))).into();
    let texts =
        |path: Vec<crate::core::proof::tree::TreeHash>| path.iter().map(ToString::to_string).collect::<Vec<_>>();
    for proof in other.inclusion {
        assert_eq!(texts(prove_inclusion(proof.from, proof.size, &parts[&proof.size]).unwrap()), proof.path);
    }
    for proof in other.consistency {
        assert_eq!(texts(prove_consistency(proof.from, proof.size, &parts[&proof.size]).unwrap()), proof.path);
    }
}
