//! The log of an archive: leaves made of records, the walk through all of them, and the proof of one request. No server is
//! measured.

use std::time::{Duration, Instant};

use daypass::core::proof::audit::{LeafStore, LogWalk};
use daypass::core::proof::checkpoint::{Checkpoint, SigningPlace, TrustedKeys};
use daypass::core::proof::climb::{FetchedTiles, prove_inclusion, root_of, tiles_of_inclusion};
use daypass::core::proof::field::{FieldSalt, FieldSalts};
use daypass::core::proof::leaf::LeafEntry;
use daypass::core::proof::note::{NoteKeyKind, VerifierKey};
use daypass::core::proof::proof_file::{ProofFile, ProvenLeaf};
use daypass::core::proof::tile::{Tile, TileKind, new_tiles};
use daypass::core::proof::tree::{GrowingTree, TreeHash};
use daypass::runtime::note_signer::{NoteSigner, SignerUse, is_signed};
use daypass::runtime::secret::random_bytes;

use super::archive::records::RecordMill;
use super::archive::wanted;

const ORIGIN: &str = "daypass.dev/archive/bench";

/// A leaf with what is stored beside it.
type Kept = (LeafEntry, String, FieldSalts);

/// Measures and prints.
pub fn measure() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let many = RecordMill::batches(wanted());
    println!("The proof: {} records", many.records);
    let (mut mill, mut rest) = (RecordMill::default(), many.batches);
    let (mut making, mut hashing, mut alone, mut all) =
        (Duration::ZERO, Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let (mut tree, mut leaves_walk, mut walk) = (GrowingTree::default(), LogWalk::new([]), LogWalk::new([]));
    let (mut hashes, mut bytes, mut first): (Vec<TreeHash>, usize, Vec<Kept>) = (Vec::new(), 0, Vec::new());
    let salt = || FieldSalt::new(random_bytes().expect("there are random numbers"));
    while rest > 0 {
        rest -= 1;
        let records: Vec<String> = mill.batch().delivery().records.into_iter().map(|arrival| arrival.bytes).collect();
        let begin = Instant::now();
        let leaf = |record: String| LeafEntry::of_record(&record, salt).map(|(leaf, salts)| (leaf, record, salts));
        let kept: Vec<Kept> = records.into_iter().map(|record| leaf(record).expect("it has a leaf")).collect();
        let entries: Vec<String> = kept.iter().map(|(leaf, ..)| leaf.bytes()).collect();
        making += begin.elapsed();
        bytes += entries.iter().map(String::len).sum::<usize>();
        let begin = Instant::now();
        for entry in &entries {
            hashes.push(TreeHash::of_leaf(entry.as_bytes()));
            tree.push(hashes[hashes.len() - 1]);
        }
        hashing += begin.elapsed();
        let begin = Instant::now();
        entries.iter().for_each(|entry| leaves_walk.step(entry.as_bytes(), LeafStore::NotRead));
        alone += begin.elapsed();
        let begin = Instant::now();
        entries
            .iter()
            .zip(&kept)
            .for_each(|(entry, (_, record, salts))| walk.step(entry.as_bytes(), LeafStore::Kept(record, salts)));
        all += begin.elapsed();
        if first.is_empty() {
            first = kept;
        }
    }
    let rate = |took: Duration| format!("{:>9.2?} {:>9.0}/s", took, hashes.len() as f64 / took.as_secs_f64());
    println!("{:<54} {}, {} bytes each", "leaves made of records", rate(making), bytes / hashes.len());
    println!("{:<54} {}", "hashes and root of the leaves", rate(hashing));
    println!("{:<54} {}", "the walk through the leaves alone", rate(alone));
    println!("{:<54} {}", "the walk with each record and its salts", rate(all));
    let (walked, by_leaves) = (walk.finish(), leaves_walk.finish());
    assert!(walked.findings.is_empty() && walked.root == tree.root() && by_leaves.root == tree.root());
    one_request(&hashes, tree.root(), &first);
}

/// The proof of the first request, all of whose records came in the first batch.
fn one_request(hashes: &[TreeHash], root: TreeHash, first: &[Kept]) {
    let size = hashes.len() as u64;
    let begin = Instant::now();
    let tiles = tiles(hashes);
    println!("{:<54} {:>9.2?} for {}", "tiles of the tree", begin.elapsed(), tiles.len());
    assert_eq!(root_of(size, &tiles), Ok(root));
    let name = first[0].0.record_name().expect("it is a record");
    let its = first
        .iter()
        .enumerate()
        .filter(|(_, (leaf, ..))| leaf.record_name().is_some_and(|of| of.request == name.request));
    let begin = Instant::now();
    let leaves = its.map(|(place, (leaf, record, salts))| ProvenLeaf {
        place: place as u64,
        leaf: leaf.clone(),
        path: prove_inclusion(place as u64, size, &tiles).expect("the tiles are there"),
        openings: leaf.compare(record, salts).expect("they are of this leaf"),
    });
    let leaves: Vec<ProvenLeaf> = leaves.collect();
    let signer = NoteSigner::generate(ORIGIN, SignerUse::Log).expect("make a key");
    let key = VerifierKey::read(&signer.verifier_key()).expect("it is a key");
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size, root, at: Some(0), place: SigningPlace::Outside };
    let file = ProofFile { checkpoint: checkpoint.signed(&key, |message| signer.sign(message)).to_string(), leaves };
    let text = file.text();
    let needed = tiles_of_inclusion(0, size).expect("it is in the tree").len();
    let made = begin.elapsed();
    println!(
        "{:<54} {made:>9.2?}, {} bytes for {} records, {needed} tiles each",
        "the file of one request, made",
        text.len(),
        file.leaves.len()
    );
    let trusted = TrustedKeys { origin: ORIGIN.to_owned(), log: vec![key], witnesses: Vec::new() };
    let arithmetic = |_: NoteKeyKind, public: &[u8], message: &[u8], bytes: &[u8]| is_signed(public, message, bytes);
    let begin = Instant::now();
    let proof = ProofFile::read(&text).and_then(|file| file.verify(&trusted, &arithmetic)).expect("it is right");
    println!("{:<54} {:>9.2?}, {} things proven\n", "the same, verified", begin.elapsed(), proof.proven.len());
}

/// All tiles of hashes.
fn tiles(hashes: &[TreeHash]) -> FetchedTiles {
    let mut rows = vec![hashes.to_vec()];
    while let Some(row) = rows.last().filter(|row| row.len() >= 256) {
        let full = row.chunks_exact(256).map(|chunk| {
            let mut tree = GrowingTree::default();
            chunk.iter().for_each(|hash| tree.push(*hash));
            tree.root()
        });
        let above = full.collect();
        rows.push(above);
    }
    let of = |tile: Tile| match tile.kind() {
        TileKind::Hashes(level) => {
            let start = usize::try_from(tile.start()).expect("it fits");
            Some((tile, rows[usize::from(level)][start..start + usize::from(tile.width())].to_vec()))
        }
        TileKind::Entries => None,
    };
    new_tiles(0, hashes.len() as u64).into_iter().filter_map(of).collect()
}
