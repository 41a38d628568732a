//! Hashes of the tree, its root, and the two proofs about it (RFC 6962, sections 2.1 to 2.1.2).
//!
//! Owns the arithmetic. A leaf and a node are hashed under different first bytes, so that no bytes are both. A proof that
//! says more than it must is refused like one that says less. It must not know what a leaf says, nor where hashes are kept.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// How many bytes a hash has.
pub const HASH_BYTES: usize = 32;
const LEAF: u8 = 0;
const NODE: u8 = 1;

/// A hash of the tree: of a leaf, of a node, or of all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreeHash([u8; HASH_BYTES]);

impl TreeHash {
    /// Of the bytes of a leaf.
    pub fn of_leaf(entry: &[u8]) -> Self {
        Self(Sha256::new().chain_update([LEAF]).chain_update(entry).finalize().into())
    }

    /// Of a node with these two below it.
    pub fn of_node(left: Self, right: Self) -> Self {
        Self(Sha256::new().chain_update([NODE]).chain_update(left.0).chain_update(right.0).finalize().into())
    }

    /// The root of the tree that has no leaf.
    pub fn of_nothing() -> Self {
        Self(Sha256::digest([]).into())
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }

    /// A hash from its bytes; none when they are not 32.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// A hash from its base64 (RFC 4648, section 4); none when it is not that of 32 bytes, in the one way there is to
    /// write them.
    pub fn from_base64(text: &str) -> Option<Self> {
        Self::from_bytes(&STANDARD.decode(text).ok()?)
    }
}

/// As base64.
impl fmt::Display for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A tree that grows: of each full subtree at its right edge the root, and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrowingTree {
    size: u64,
    /// From the left, so the tallest first.
    peaks: Vec<TreeHash>,
}

impl GrowingTree {
    /// How many leaves it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf by its hash.
    pub fn push(&mut self, leaf: TreeHash) {
        let mut peak = leaf;
        for _ in 0..self.size.trailing_ones() {
            let Some(left) = self.peaks.pop() else { break };
            peak = TreeHash::of_node(left, peak);
        }
        self.peaks.push(peak);
        self.size += 1;
    }

    /// The root.
    pub fn root(&self) -> TreeHash {
        joined(&self.peaks).unwrap_or_else(TreeHash::of_nothing)
    }
}

/// The root over full subtrees that stand side by side, the tallest first. None when there are none.
pub fn joined(peaks: &[TreeHash]) -> Option<TreeHash> {
    peaks.iter().rev().copied().reduce(|right, left| TreeHash::of_node(left, right))
}

/// What is wrong with a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    /// The leaf is not in a tree of that size, or the former tree is larger.
    #[error("place {place} is not in a tree of {size} leaves; the proof belongs to another checkpoint")]
    OutOfTree {
        /// Place of the leaf, or size of the former tree.
        place: u64,
        /// Size of the tree.
        size: u64,
    },
    /// It has not as many hashes as the sizes ask for.
    #[error("the proof has {found} hashes and must have {wanted}; it is cut, or something was added")]
    Length {
        /// How many there are.
        found: usize,
        /// How many there must be.
        wanted: usize,
    },
    /// It leads to another root.
    #[error("the proof does not lead to the root of the checkpoint; leaf, proof or checkpoint was changed")]
    OtherRoot,
    /// It starts from another root than the former one.
    #[error("the proof does not start from the root of the former checkpoint; the log was forked or rewritten")]
    OtherFormerRoot,
}

/// Checks that a leaf stands at this place in the tree of this size and root. `path` starts beside the leaf.
///
/// # Errors
/// When the path does not show it.
pub fn verify_inclusion(
    leaf: TreeHash,
    index: u64,
    size: u64,
    path: &[TreeHash],
    root: TreeHash,
) -> Result<(), ProofFault> {
    if index >= size {
        return Err(ProofFault::OutOfTree { place: index, size });
    }
    expect_length(path, inclusion_length(index, size))?;
    let (mut at, mut last, mut hash) = (index, size - 1, leaf);
    for beside in path {
        if at % 2 == 1 || at == last {
            hash = TreeHash::of_node(*beside, hash);
            // At the right edge are levels on which nothing stands beside.
            while at % 2 == 0 && at != 0 {
                (at, last) = (at / 2, last / 2);
            }
        } else {
            hash = TreeHash::of_node(hash, *beside);
        }
        (at, last) = (at / 2, last / 2);
    }
    if hash == root { Ok(()) } else { Err(ProofFault::OtherRoot) }
}

/// How many hashes the path of a leaf has.
fn inclusion_length(index: u64, size: u64) -> usize {
    // Below the place where the ways to this leaf and to the last one part, each level has a neighbour; above it, those to
    // the left alone.
    let inner = u64::BITS - (index ^ (size - 1)).leading_zeros();
    let left = index.checked_shr(inner).unwrap_or(0).count_ones();
    (inner + left) as usize
}

fn expect_length(path: &[TreeHash], wanted: usize) -> Result<(), ProofFault> {
    if path.len() == wanted { Ok(()) } else { Err(ProofFault::Length { found: path.len(), wanted }) }
}

/// Checks that the tree of `former` leaves is the beginning of the one of `size` leaves. Both roots are known already.
///
/// # Errors
/// When the path does not show it: the log was forked, or cut.
pub fn verify_consistency(
    former: (u64, TreeHash),
    (size, root): (u64, TreeHash),
    path: &[TreeHash],
) -> Result<(), ProofFault> {
    let (former, former_root) = former;
    if former > size {
        return Err(ProofFault::OutOfTree { place: former, size });
    }
    if former == size || former == 0 {
        expect_length(path, 0)?;
        let nothing = former == 0 && former_root != TreeHash::of_nothing();
        let other = nothing || (former == size && former_root != root);
        return if other { Err(ProofFault::OtherFormerRoot) } else { Ok(()) };
    }
    expect_length(path, consistency_length(former, size))?;
    let levels = former.trailing_zeros();
    let (mut at, mut last) = ((former - 1) >> levels, (size - 1) >> levels);
    // A former tree that is full is itself where the path starts.
    let (start, rest) = match path.split_first() {
        Some((first, rest)) if !former.is_power_of_two() => (*first, rest),
        _ => (former_root, path),
    };
    let (mut old, mut new) = (start, start);
    for beside in rest {
        if at % 2 == 1 || at == last {
            (old, new) = (TreeHash::of_node(*beside, old), TreeHash::of_node(*beside, new));
            while at % 2 == 0 && at != 0 {
                (at, last) = (at / 2, last / 2);
            }
        } else {
            new = TreeHash::of_node(new, *beside);
        }
        (at, last) = (at / 2, last / 2);
    }
    match (old == former_root, new == root) {
        (true, true) => Ok(()),
        (false, _) => Err(ProofFault::OtherFormerRoot),
        (true, false) => Err(ProofFault::OtherRoot),
    }
}

/// How many hashes the path from a former tree has, which is neither empty nor all.
fn consistency_length(former: u64, size: u64) -> usize {
    let levels = former.trailing_zeros();
    let start = usize::from(!former.is_power_of_two());
    start + inclusion_length((former - 1) >> levels, ((size - 1) >> levels) + 1)
}
