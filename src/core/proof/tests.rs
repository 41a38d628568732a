//! The room as a whole: against a naive tree, against another one, and against whoever changes something.

use std::cell::Cell;
use std::sync::LazyLock;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use proptest::prelude::*;
use sha2::Sha256;

use super::checkpoint::{Checkpoint, SigningPlace, TrustedKeys};
use super::climb::{
    FetchedTiles, NoProof, prove_consistency, prove_inclusion, root_of, tiles_of_consistency, tiles_of_inclusion,
    tiles_of_root,
};
use super::event::{ClusterBeat, Heartbeat, LogEvent};
use super::field::{FieldOpenings, FieldSalt, FieldSalts};
use super::leaf::LeafEntry;
use super::note::{NoteKeyKind, NoteSignature, SignedNote, VerifierKey};
use super::proof_file::{ProofFile, ProvenLeaf};
use super::tile::{TileKind, new_tiles};
use super::tree::{GrowingTree, ProofFault, TreeHash, verify_consistency, verify_inclusion};
use crate::core::laws::fixtures::noon;
use crate::core::record::golden::RECORDS;
use crate::runtime::note_signer::{NoteSigner, SignerUse, is_signed};

/// The log that tests sign.
pub const ORIGIN: &str = "daypass.dev/archive/test";

/// The log of tests that change nothing of it but in copies: it is made once.
pub static SAMPLE: LazyLock<SampleLog> = LazyLock::new(SampleLog::new);

/// Real arithmetic.
pub fn arithmetic(_: NoteKeyKind, public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    is_signed(public, message, signature)
}

/// A key, and what checks it.
pub fn key(name: &str, usage: SignerUse) -> (NoteSigner, VerifierKey) {
    let signer = NoteSigner::generate(name, usage).unwrap();
    let verifier = VerifierKey::read(&signer.verifier_key()).unwrap();
    (signer, verifier)
}

/// Salts that are numbers: no two the same.
pub fn salts() -> impl FnMut() -> FieldSalt {
    let next = Cell::new(0_u64);
    move || {
        next.set(next.get() + 1);
        FieldSalt::new([next.get().to_be_bytes(); 4].concat().try_into().unwrap())
    }
}

/// A log of the records that the golden tests freeze, with a heartbeat behind every fifth.
pub struct SampleLog {
    pub leaves: Vec<LeafEntry>,
    /// Of a record, its bytes and salts.
    pub stored: Vec<Option<(String, FieldSalts)>>,
    signer: NoteSigner,
    witness: NoteSigner,
    pub trusted: TrustedKeys,
}

impl SampleLog {
    pub fn new() -> Self {
        Self::of(RECORDS.lines().map(str::to_owned))
    }

    /// The same records so many times, each time of other requests.
    pub fn repeated(copies: usize) -> Self {
        let mut last: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
        let mut all = Vec::new();
        for copy in 0..copies {
            for line in RECORDS.lines() {
                let mut record: crate::api::record::Record = serde_json::from_str(line).unwrap();
                record.request.uid = format!("{}-{copy}", record.request.uid);
                record.id = format!("{}/{}", record.request.uid, record.index);
                record.previous = last.get(&record.request.uid).cloned();
                last.insert(record.request.uid.clone(), record.digest());
                all.push(record.bytes());
            }
        }
        Self::of(all)
    }

    fn of(records: impl IntoIterator<Item = String>) -> Self {
        let (mut salts, mut leaves, mut stored) = (salts(), Vec::new(), Vec::new());
        for (at, record) in records.into_iter().enumerate() {
            let (leaf, drawn) = LeafEntry::of_record(&record, &mut salts).unwrap();
            leaves.push(leaf);
            stored.push(Some((record, drawn)));
            if at % 5 == 4 {
                let seconds = k8s_openapi::jiff::SignedDuration::from_secs(i64::try_from(at).unwrap());
                let clusters = [("cluster-uid".to_owned(), ClusterBeat::default())].into();
                let beat = Heartbeat { at: MicroTime(noon() + seconds), clusters };
                leaves.push(LogEvent::Heartbeat(beat).leaf(&mut salts).unwrap().0);
                stored.push(None);
            }
        }
        let ((signer, log), (witness, seen)) = (key(ORIGIN, SignerUse::Log), key("w.example/1", SignerUse::Witness));
        let trusted = TrustedKeys { origin: ORIGIN.to_owned(), log: vec![log], witnesses: vec![seen] };
        Self { leaves, stored, signer, witness, trusted }
    }

    pub fn hashes(&self) -> Vec<TreeHash> {
        self.leaves.iter().map(LeafEntry::hash).collect()
    }

    pub fn checkpoint(&self, size: usize) -> Checkpoint {
        let root = naive_root(&self.hashes()[..size]);
        let origin = ORIGIN.to_owned();
        Checkpoint { origin, size: size as u64, root, at: Some(1_000 + size as u64), place: SigningPlace::Outside }
    }

    pub fn signed(&self, checkpoint: &Checkpoint) -> SignedNote {
        checkpoint.signed(&self.trusted.log[0], |message| self.signer.sign(message))
    }

    pub fn cosigned(&self, note: SignedNote, at: u64) -> SignedNote {
        let key = &self.trusted.witnesses[0];
        let signature = NoteSignature::make(key, note.text(), at, |message| self.witness.sign(message));
        note.with(signature)
    }

    pub fn openings(&self, place: usize) -> FieldOpenings {
        let (record, salts) = self.stored[place].as_ref().unwrap();
        self.leaves[place].compare(record, salts).unwrap()
    }

    /// The proof of a request, all of it shown.
    pub fn proof(&self, request: &str) -> ProofFile {
        let size = self.leaves.len();
        let tiles = all_tiles(&self.hashes());
        let is_its = |leaf: &LeafEntry| leaf.record_name().is_some_and(|name| name.request == request);
        let its = self.leaves.iter().enumerate().filter(|(_, leaf)| is_its(leaf));
        let leaves = its.map(|(place, leaf)| ProvenLeaf {
            place: place as u64,
            leaf: leaf.clone(),
            path: prove_inclusion(place as u64, size as u64, &tiles).unwrap(),
            openings: self.openings(place),
        });
        let note = self.cosigned(self.signed(&self.checkpoint(size)), 2_000);
        ProofFile { checkpoint: note.to_string(), leaves: leaves.collect() }
    }
}

/// Leaves that are their numbers.
pub fn leaf_hashes(count: u64) -> Vec<TreeHash> {
    (0..count).map(|n| TreeHash::of_leaf(n.to_string().as_bytes())).collect()
}

/// RFC 6962, section 2.1, word by word.
pub fn naive_root(leaves: &[TreeHash]) -> TreeHash {
    match leaves {
        [] => TreeHash::of_nothing(),
        [one] => *one,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            TreeHash::of_node(naive_root(left), naive_root(right))
        }
    }
}

/// Section 2.1.1, likewise.
fn naive_path(index: usize, leaves: &[TreeHash]) -> Vec<TreeHash> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    let middle = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(middle);
    let (mut path, beside) = if index < middle {
        (naive_path(index, left), naive_root(right))
    } else {
        (naive_path(index - middle, right), naive_root(left))
    };
    path.push(beside);
    path
}

/// Section 2.1.2, likewise.
fn naive_consistency(former: usize, leaves: &[TreeHash], is_known: bool) -> Vec<TreeHash> {
    if former == leaves.len() {
        return if is_known { Vec::new() } else { vec![naive_root(leaves)] };
    }
    let middle = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(middle);
    let (mut path, beside) = if former <= middle {
        (naive_consistency(former, left, is_known), naive_root(right))
    } else {
        (naive_consistency(former - middle, right, false), naive_root(left))
    };
    path.push(beside);
    path
}

/// All tiles of a tree, made without any arithmetic of tiles.
pub fn all_tiles(leaves: &[TreeHash]) -> FetchedTiles {
    let size = leaves.len() as u64;
    let (mut level, mut row, mut tiles) = (0, leaves.to_vec(), FetchedTiles::new());
    while !row.is_empty() {
        for (number, hashes) in (0..).zip(row.chunks(256)) {
            let tile = super::tile::Tile::holding(TileKind::Hashes(level), number * 256, size).unwrap();
            tiles.insert(tile, hashes.to_vec());
        }
        row = row.chunks_exact(256).map(naive_root).collect();
        level += 1;
    }
    tiles
}

#[test]
fn the_roots_of_certificate_transparency_come_out() {
    let leaves: [&[u8]; 8] = [
        b"",
        b"\0",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let hex = |hash: TreeHash| hash.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut tree = GrowingTree::default();
    for (size, root) in roots.iter().enumerate() {
        assert_eq!(hex(tree.root()), *root, "of {size} leaves");
        if let Some(leaf) = leaves.get(size) {
            tree.push(TreeHash::of_leaf(leaf));
        }
    }
}

#[test]
fn every_small_tree_is_the_one_of_the_specification_and_of_another_program() {
    let leaves = leaf_hashes(300);
    let mut grown = GrowingTree::default();
    let mut other: MemoryBackedTree<Sha256, String> = MemoryBackedTree::new();
    for size in 0..=leaves.len() {
        let root = naive_root(&leaves[..size]);
        assert_eq!(grown.root(), root, "of {size}");
        assert_eq!(grown.size(), size as u64);
        if size > 0 {
            assert_eq!(other.root().as_bytes()[..], root.as_bytes()[..], "of {size}");
        }
        let tiles = all_tiles(&leaves[..size]);
        assert_eq!(root_of(size as u64, &tiles), Ok(root));
        if let Some(leaf) = leaves.get(size) {
            grown.push(*leaf);
            other.push(size.to_string());
        }
    }
}

#[test]
fn every_proof_of_a_small_tree_is_that_of_the_specification() {
    let leaves = leaf_hashes(300);
    for size in (0..=70).chain([127, 128, 129, 255, 256, 257, 258, 300]) {
        let (here, count) = (&leaves[..size], size as u64);
        let (tiles, root) = (all_tiles(here), naive_root(here));
        for (index, leaf) in here.iter().enumerate() {
            let path = prove_inclusion(index as u64, count, &tiles).unwrap();
            assert_eq!(path, naive_path(index, here), "{index} of {size}");
            assert_eq!(verify_inclusion(*leaf, index as u64, count, &path, root), Ok(()), "{index} of {size}");
        }
        for former in 0..=size {
            let path = prove_consistency(former as u64, count, &tiles).unwrap();
            if former > 0 {
                assert_eq!(path, naive_consistency(former, here, true), "{former} to {size}");
            }
            let before = (former as u64, naive_root(&leaves[..former]));
            assert_eq!(verify_consistency(before, (count, root), &path), Ok(()), "{former} to {size}");
        }
        assert_eq!(prove_inclusion(count, count, &tiles), Err(NoProof::Beyond { place: count, size: count }));
        let beyond = NoProof::Beyond { place: count + 1, size: count };
        assert_eq!(prove_consistency(count + 1, count, &tiles), Err(beyond));
    }
}

#[test]
fn the_tiles_that_a_proof_says_it_needs_are_all_that_it_needs() {
    let leaves = leaf_hashes(70_000);
    let all = all_tiles(&leaves);
    let only = |tiles: Vec<super::tile::Tile>| -> FetchedTiles {
        tiles.into_iter().map(|tile| (tile, all[&tile].clone())).collect()
    };
    for index in [0, 1, 255, 256, 65_535, 65_536, 69_887, 69_888, 69_999] {
        let needed = only(tiles_of_inclusion(index, 70_000).unwrap());
        assert!(needed.len() <= 4, "{}", needed.len());
        let path = prove_inclusion(index, 70_000, &needed).unwrap();
        assert_eq!(path, naive_path(usize::try_from(index).unwrap(), &leaves));
        let needed = only(tiles_of_consistency(index + 1, 70_000).unwrap());
        assert!(prove_consistency(index + 1, 70_000, &needed).is_ok());
        for lacking in needed.keys() {
            let others: FetchedTiles = needed.clone().into_iter().filter(|(tile, _)| tile != lacking).collect();
            assert_eq!(prove_consistency(index + 1, 70_000, &others), Err(NoProof::Lacking(*lacking)));
        }
    }
    assert_eq!(root_of(70_000, &only(tiles_of_root(70_000))), Ok(naive_root(&leaves)));
}

/// The example of the specification: 70,000 leaves.
#[test]
fn a_tree_has_the_tiles_that_the_specification_counts() {
    let tiles = new_tiles(0, 70_000);
    let of = |kind| tiles.iter().filter(|tile| tile.kind() == kind).map(|tile| tile.width()).collect::<Vec<_>>();
    let row = |full: usize, last: u16| [vec![256; full], vec![last]].concat();
    assert_eq!(of(TileKind::Hashes(0)), row(273, 112));
    assert_eq!(of(TileKind::Entries), row(273, 112));
    assert_eq!(of(TileKind::Hashes(1)), row(1, 17));
    assert_eq!(of(TileKind::Hashes(2)), [1]);
    assert_eq!(tiles.len(), 274 * 2 + 2 + 1);
    let named = |from, to| new_tiles(from, to).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(named(0, 256), ["tile/0/000", "tile/1/000.p/1", "tile/entries/000"]);
    assert_eq!(
        named(255, 257),
        ["tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/1"]
    );
    assert_eq!(named(256, 257), ["tile/0/001.p/1", "tile/entries/001.p/1"]);
    assert!(named(7, 7).is_empty() && named(9, 7).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever somebody does to a proof, it proves nothing any more.
    #[test]
    fn a_proof_that_was_changed_proves_nothing(
        size in 2_u64..3_000,
        places in (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        bit in 0_usize..256,
    ) {
        let leaves = leaf_hashes(size);
        let (tiles, root) = (all_tiles(&leaves), naive_root(&leaves));
        let index = places.0.index(leaves.len());
        let (leaf, at) = (leaves[index], index as u64);
        let path = prove_inclusion(at, size, &tiles).unwrap();
        prop_assert_eq!(verify_inclusion(leaf, at, size, &path, root), Ok(()));

        let former = places.1.index(leaves.len() - 1) + 1;
        let before = (former as u64, naive_root(&leaves[..former]));
        let growth = prove_consistency(before.0, size, &tiles).unwrap();
        prop_assert_eq!(verify_consistency(before, (size, root), &growth), Ok(()));

        let flipped = |hash: TreeHash| {
            let mut bytes = *hash.as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            TreeHash::from_bytes(&bytes).unwrap()
        };
        let mut changed: Vec<Vec<TreeHash>> = Vec::new();
        for path in [&path, &growth] {
            for at in 0..path.len() {
                let mut other = path.clone();
                other[at] = flipped(other[at]);
                changed.push(other);
                let mut other = path.clone();
                other.remove(at);
                changed.push(other);
                let mut other = path.clone();
                other.insert(at, path[at]);
                changed.push(other);
                if at > 0 {
                    let mut other = path.clone();
                    other.swap(at, at - 1);
                    changed.push(other);
                }
            }
            changed.push([path.as_slice(), &[root]].concat());
        }
        for other in &changed {
            prop_assert!(*other == path || verify_inclusion(leaf, at, size, other, root).is_err());
            prop_assert!(*other == growth || verify_consistency(before, (size, root), other).is_err());
        }
        prop_assert!(verify_inclusion(flipped(leaf), at, size, &path, root).is_err());
        prop_assert!(verify_inclusion(leaf, at, size, &path, flipped(root)).is_err());
        prop_assert!(verify_consistency((before.0, flipped(before.1)), (size, root), &growth).is_err());
        prop_assert!(verify_consistency(before, (size, flipped(root)), &growth).is_err());
        let elsewhere = places.2.index(leaves.len()) as u64;
        prop_assert!(elsewhere == at || verify_inclusion(leaf, elsewhere, size, &path, root).is_err());
        prop_assert_eq!(
            verify_inclusion(leaf, size, size, &path, root),
            Err(ProofFault::OutOfTree { place: size, size })
        );
    }
}

/// Numbers at the end of what can be counted are refused or computed, and nothing overflows.
#[test]
fn the_largest_numbers_are_no_way_out() {
    let (hash, none) = (TreeHash::of_leaf(b""), FetchedTiles::new());
    for size in [1, 2, 1 << 63, (1 << 63) + 1, u64::MAX - 1, u64::MAX] {
        for place in [0, 1, size / 2, size - 1, size, u64::MAX] {
            for length in [0, 1, 63, 64, 65, 200] {
                let path = vec![hash; length];
                let _ = verify_inclusion(hash, place, size, &path, hash);
                let _ = verify_consistency((place, hash), (size, hash), &path);
            }
            let _ = tiles_of_inclusion(place, size);
            let _ = tiles_of_consistency(place, size);
            assert!(place < size || prove_inclusion(place, size, &none).is_err());
        }
        let _ = tiles_of_root(size);
    }
    assert!(new_tiles(u64::MAX - 1, u64::MAX).len() <= 9);
}

#[test]
fn a_node_is_no_leaf_and_a_leaf_no_node() {
    let (left, right) = (TreeHash::of_leaf(b"l"), TreeHash::of_leaf(b"r"));
    let root = TreeHash::of_node(left, right);
    // The bytes below the root, given out as if they were one leaf.
    let both = [left.as_bytes().as_slice(), right.as_bytes()].concat();
    assert_ne!(TreeHash::of_leaf(&both), root);
    assert_ne!(TreeHash::of_leaf(&[b"\x01", both.as_slice()].concat()), root);
    assert_eq!(verify_inclusion(root, 0, 1, &[], root), Ok(()));
    assert!(verify_inclusion(root, 0, 2, &[], root).is_err());
}

#[test]
fn of_nothing_only_nothing_follows() {
    let (nothing, one) = (TreeHash::of_nothing(), TreeHash::of_leaf(b"1"));
    assert_eq!(verify_consistency((0, nothing), (0, nothing), &[]), Ok(()));
    assert_eq!(verify_consistency((0, nothing), (1, one), &[]), Ok(()));
    assert_eq!(verify_consistency((0, one), (1, one), &[]), Err(ProofFault::OtherFormerRoot));
    assert_eq!(verify_consistency((0, nothing), (0, one), &[]), Err(ProofFault::OtherFormerRoot));
    assert_eq!(verify_consistency((0, nothing), (1, one), &[one]), Err(ProofFault::Length { found: 1, wanted: 0 }));
    assert_eq!(verify_consistency((1, one), (0, nothing), &[]), Err(ProofFault::OutOfTree { place: 1, size: 0 }));
    assert_eq!(verify_inclusion(one, 0, 0, &[], nothing), Err(ProofFault::OutOfTree { place: 0, size: 0 }));
}
