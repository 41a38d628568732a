//! Proofs made from tiles: which hashes of the tree a proof is made of, in which tiles they stand, and the proof.
//!
//! Owns the way through the tree. First [`tiles_of_inclusion`] and its like say what to fetch, then the proof is made of
//! what was fetched, so that nothing waits in here. What tiles say is believed by nobody: a proof made of wrong ones does
//! not verify. It must not fetch.

use std::collections::BTreeMap;

use super::tile::{TILE_HEIGHT, Tile, TileKind};
use super::tree::{TreeHash, joined};

/// Tiles that were fetched.
pub type FetchedTiles = BTreeMap<Tile, Vec<TreeHash>>;

/// Where hashes of the tree come from.
pub trait TreeSource {
    /// The hashes of a tile, as many as it is wide; none when it cannot be had.
    fn hashes(&self, tile: Tile) -> Option<&[TreeHash]>;
}

impl TreeSource for FetchedTiles {
    fn hashes(&self, tile: Tile) -> Option<&[TreeHash]> {
        self.get(&tile).map(Vec::as_slice).filter(|hashes| hashes.len() == usize::from(tile.width()))
    }
}

/// Why there is no proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoProof {
    /// The leaf, or the former tree, is not in the tree.
    #[error("place {place} is not in a tree of {size} leaves; ask with a later checkpoint")]
    Beyond {
        /// Place of the leaf, or size of the former tree.
        place: u64,
        /// Size of the tree.
        size: u64,
    },
    /// A tile cannot be had.
    #[error("{0} is not there, or not as wide as its name says; fetch it again")]
    Lacking(Tile),
}

/// A full subtree: the one at `place` among those of `1 << level` leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Subtree {
    level: u32,
    place: u64,
}

impl Subtree {
    /// The tile that has the hash of the subtree, or those that it is made of, and where they begin there.
    fn tile(self, size: u64) -> Option<(Tile, usize, usize)> {
        let within = self.level % u32::from(TILE_HEIGHT);
        let level = u8::try_from(self.level / u32::from(TILE_HEIGHT)).ok()?;
        let first = self.place << within;
        let tile = Tile::holding(TileKind::Hashes(level), first, size)?;
        Some((tile, usize::try_from(first - tile.start()).ok()?, 1 << within))
    }

    fn hash(self, size: u64, source: &impl TreeSource) -> Result<TreeHash, NoProof> {
        let beyond = NoProof::Beyond { place: self.place, size };
        let (tile, start, width) = self.tile(size).ok_or(beyond)?;
        let hashes = source.hashes(tile).and_then(|hashes| hashes.get(start..start + width));
        let mut hashes = hashes.ok_or(NoProof::Lacking(tile))?.to_vec();
        while hashes.len() > 1 {
            let (pairs, _) = hashes.as_chunks::<2>();
            hashes = pairs.iter().map(|[left, right]| TreeHash::of_node(*left, *right)).collect();
        }
        hashes.first().copied().ok_or(NoProof::Lacking(tile))
    }
}

/// The full subtrees that leaves from `start` to `end` consist of, the tallest first. `start` is where such a run may begin:
/// 0, or a multiple of a power of two that is not smaller than the run.
fn subtrees(start: u64, end: u64) -> Vec<Subtree> {
    let (mut at, mut all) = (start, Vec::new());
    while at < end {
        let level = (end - at).ilog2();
        all.push(Subtree { level, place: at >> level });
        at += 1 << level;
    }
    all
}

/// One hash of a proof each: the subtrees that it is over.
type Climb = Vec<Vec<Subtree>>;

fn inclusion(index: u64, size: u64) -> Result<Climb, NoProof> {
    if index >= size {
        return Err(NoProof::Beyond { place: index, size });
    }
    let (mut start, mut end, mut climb) = (0, size, Vec::new());
    while end - start > 1 {
        let middle = start + largest_below(end - start);
        if index < middle {
            climb.push(subtrees(middle, end));
            end = middle;
        } else {
            climb.push(subtrees(start, middle));
            start = middle;
        }
    }
    climb.reverse();
    Ok(climb)
}

fn consistency(former: u64, size: u64) -> Result<Climb, NoProof> {
    if former > size {
        return Err(NoProof::Beyond { place: former, size });
    }
    if former == 0 || former == size {
        return Ok(Vec::new());
    }
    let (mut start, mut end, mut climb) = (0, size, Vec::new());
    while former != end {
        let middle = start + largest_below(end - start);
        if former <= middle {
            climb.push(subtrees(middle, end));
            end = middle;
        } else {
            climb.push(subtrees(start, middle));
            start = middle;
        }
    }
    // Who checks it has the root of the former tree, and so of this part where it is all of that.
    if start > 0 {
        climb.push(subtrees(start, end));
    }
    climb.reverse();
    Ok(climb)
}

/// The largest power of two below this number, which is over 1.
fn largest_below(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

fn tiles(climb: &Climb, size: u64) -> Vec<Tile> {
    let tiles = climb.iter().flatten().filter_map(|subtree| subtree.tile(size).map(|(tile, ..)| tile));
    let mut tiles: Vec<Tile> = tiles.collect();
    tiles.sort_unstable();
    tiles.dedup();
    tiles
}

fn hashes(climb: &Climb, size: u64, source: &impl TreeSource) -> Result<Vec<TreeHash>, NoProof> {
    let over = |subtrees: &Vec<Subtree>| -> Result<TreeHash, NoProof> {
        let peaks: Vec<TreeHash> = subtrees.iter().map(|one| one.hash(size, source)).collect::<Result<_, _>>()?;
        Ok(joined(&peaks).unwrap_or_else(TreeHash::of_nothing))
    };
    climb.iter().map(over).collect()
}

/// The tiles that [`prove_inclusion`] needs.
///
/// # Errors
/// When the leaf is not in the tree.
pub fn tiles_of_inclusion(index: u64, size: u64) -> Result<Vec<Tile>, NoProof> {
    inclusion(index, size).map(|climb| tiles(&climb, size))
}

/// That a leaf stands at this place of a tree of this size, for [`super::tree::verify_inclusion`].
///
/// # Errors
/// When it is not in the tree, or a tile is lacking.
pub fn prove_inclusion(index: u64, size: u64, source: &impl TreeSource) -> Result<Vec<TreeHash>, NoProof> {
    hashes(&inclusion(index, size)?, size, source)
}

/// The tiles that [`prove_consistency`] needs.
///
/// # Errors
/// When the former tree is larger.
pub fn tiles_of_consistency(former: u64, size: u64) -> Result<Vec<Tile>, NoProof> {
    consistency(former, size).map(|climb| tiles(&climb, size))
}

/// That a tree of `former` leaves is the beginning of one of `size`, for [`super::tree::verify_consistency`].
///
/// # Errors
/// When the former tree is larger, or a tile is lacking.
pub fn prove_consistency(former: u64, size: u64, source: &impl TreeSource) -> Result<Vec<TreeHash>, NoProof> {
    hashes(&consistency(former, size)?, size, source)
}

/// The tiles that [`root_of`] needs.
pub fn tiles_of_root(size: u64) -> Vec<Tile> {
    tiles(&vec![subtrees(0, size)], size)
}

/// The root of a tree of this size, from its tiles.
///
/// # Errors
/// When a tile is lacking.
pub fn root_of(size: u64, source: &impl TreeSource) -> Result<TreeHash, NoProof> {
    let all = hashes(&vec![subtrees(0, size)], size, source)?;
    Ok(all.first().copied().unwrap_or_else(TreeHash::of_nothing))
}
