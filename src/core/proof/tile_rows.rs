//! The tiles of hashes of a log that grows leaf by leaf, each given out when it is full.
//!
//! Owns the unfinished tile of each level and nothing else, so a log of any size is followed in little memory. It must not
//! keep a tile that was given out, nor read one: [`super::climb`] reads.

use super::tile::{TILE_WIDTH, Tile, TileKind};
use super::tree::{GrowingTree, TreeHash};

/// A tile with its hashes.
pub type TileHashes = (Tile, Vec<TreeHash>);

/// The unfinished tiles of a log.
#[derive(Clone, Debug, Default)]
pub struct TileRows {
    /// By level.
    rows: Vec<UnfinishedTile>,
}

#[derive(Clone, Debug, Default)]
struct UnfinishedTile {
    number: u64,
    hashes: Vec<TreeHash>,
}

impl TileRows {
    /// Adds a leaf by its hash, and gives the tiles that it fills, the lowest level first.
    pub fn push(&mut self, leaf: TreeHash) -> Vec<TileHashes> {
        let (mut full, mut next) = (Vec::new(), leaf);
        for level in 0_u8.. {
            let at = usize::from(level);
            if self.rows.len() == at {
                self.rows.push(UnfinishedTile::default());
            }
            let Some(row) = self.rows.get_mut(at) else { break };
            row.hashes.push(next);
            if row.hashes.len() < usize::from(TILE_WIDTH) {
                break;
            }
            let hashes = std::mem::take(&mut row.hashes);
            let tile = Tile::new(TileKind::Hashes(level), row.number, TILE_WIDTH);
            row.number += 1;
            next = root(&hashes);
            full.extend(tile.map(|tile| (tile, hashes)));
        }
        full
    }

    /// The tiles that are not full: those that a log of this size has at its right edge.
    pub fn partial(&self) -> Vec<TileHashes> {
        let one = |(row, level): (&UnfinishedTile, u8)| {
            let width = u16::try_from(row.hashes.len()).ok()?;
            Tile::new(TileKind::Hashes(level), row.number, width).map(|tile| (tile, row.hashes.clone()))
        };
        self.rows.iter().zip(0_u8..).filter_map(one).collect()
    }
}

/// The root over the hashes of a full tile.
fn root(hashes: &[TreeHash]) -> TreeHash {
    let mut tree = GrowingTree::default();
    hashes.iter().for_each(|hash| tree.push(*hash));
    tree.root()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::proof::climb::FetchedTiles;
    use crate::core::proof::tests::{all_tiles, leaf_hashes};

    #[test]
    fn a_log_that_grew_has_the_tiles_of_one_that_is_there_at_once() {
        let leaves = leaf_hashes(66_000);
        for size in [0, 1, 255, 256, 257, 65_535, 65_536, 65_537, 66_000] {
            let (mut rows, mut grown) = (TileRows::default(), FetchedTiles::new());
            for leaf in &leaves[..size] {
                grown.extend(rows.push(*leaf));
            }
            grown.extend(rows.partial());
            assert_eq!(grown, all_tiles(&leaves[..size]), "of {size}");
        }
    }
}
