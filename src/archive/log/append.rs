//! How leaves are put behind the last one: which rows are needed for it, and which are written.
//!
//! Owns the tree as it grows. It is pure, and the same for both stores, which ask and write within one transaction. What is
//! wrong with the rows that are there stops it: on a tree that is not whole nothing is built.

use std::collections::BTreeMap;

use super::leaf::MadeLeaf;
use super::tables;
use crate::archive::activity::tables::{FoundRow, count, number, text};
use crate::archive::store::search::Statement;
use crate::core::proof::tile::{TILE_HEIGHT, TILE_WIDTH};
use crate::core::proof::tree::{GrowingTree, TreeHash};

/// What is wrong with the log in a store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokenLog {
    /// There is no log.
    #[error("the store has no log; restart the archive, which begins one")]
    NoEnd,
    /// Hashes are lacking, or are none.
    #[error(
        "the log of the store is not whole: on level {level} of its tree there are {found} hashes where {wanted} must be; \
         rows were changed by hand, so restore the store from a backup"
    )]
    Edge {
        /// Level of tiles.
        level: u8,
        /// How many there are.
        found: u64,
        /// How many there must be.
        wanted: u64,
    },
}

/// Where a log ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEnd {
    /// Which log it is: drawn when it began.
    pub uid: String,
    /// How many leaves it has.
    pub size: u64,
    /// Number of the last record that has a leaf; 0 is none.
    pub record: i64,
    /// When it said last that it is alive, in microseconds since 1970; 0 is never.
    pub beat_at: i64,
}

impl LogEnd {
    /// From what [`tables::end`] finds.
    ///
    /// # Errors
    /// When there is no log.
    pub fn of(rows: &[FoundRow]) -> Result<Self, BrokenLog> {
        let row = rows.first().ok_or(BrokenLog::NoEnd)?;
        Ok(Self { uid: text(row, 0).to_owned(), size: count(row, 1), record: number(row, 2), beat_at: number(row, 3) })
    }

    /// Asks for the hashes beside which the next `added` leaves fill a tile.
    pub fn edge(&self, added: u64) -> Vec<Statement> {
        let levels = (0..).take_while(|level| full_tiles(*level, self.size) < full_tiles(*level, self.size + added));
        levels.map(|level| tables::hashes_from(level, full_tiles(level, self.size) << TILE_HEIGHT)).collect()
    }

    /// What keeps these leaves, each with the number of its record, or 0. `edge` is what was found beside them, and `record` the
    /// last record that needs no leaf any more.
    ///
    /// # Errors
    /// When the hashes that are there are not those of a tree of this size.
    pub fn append(
        &self,
        edge: &[FoundRow],
        leaves: Vec<(i64, MadeLeaf)>,
        record: i64,
    ) -> Result<Vec<Statement>, BrokenLog> {
        let added = leaves.len() as u64;
        let mut writes = vec![tables::moved(self.size, self.size + added, record.max(self.record))];
        let mut new: Vec<TreeHash> = leaves.iter().map(|(_, leaf)| leaf.hash()).collect();
        for (place, (record, leaf)) in (self.size..).zip(leaves) {
            writes.extend(tables::leaf(place, record, leaf));
        }
        let edge = hashes_by_level(edge);
        for level in 0.. {
            let first = hashes_on(level, self.size);
            writes.extend((first..).zip(&new).map(|(place, hash)| tables::hash(level, place, *hash)));
            if full_tiles(level, self.size) == full_tiles(level, self.size + added) {
                break;
            }
            let beside = edge.get(&level).map_or(&[][..], Vec::as_slice);
            let (found, wanted) = (beside.len() as u64, first % u64::from(TILE_WIDTH));
            if found != wanted {
                return Err(BrokenLog::Edge { level, found, wanted });
            }
            let all = [beside, &new].concat();
            new = all.chunks_exact(TILE_WIDTH.into()).map(root).collect();
        }
        Ok(writes)
    }
}

/// How many hashes a level of tiles has in a tree of this size.
fn hashes_on(level: u8, size: u64) -> u64 {
    size.checked_shr(u32::from(TILE_HEIGHT) * u32::from(level)).unwrap_or(0)
}

/// How many of the tiles of a level are full in a tree of this size.
fn full_tiles(level: u8, size: u64) -> u64 {
    hashes_on(level, size) >> TILE_HEIGHT
}

/// The root of a full tile.
fn root(tile: &[TreeHash]) -> TreeHash {
    let mut tree = GrowingTree::default();
    tile.iter().for_each(|hash| tree.push(*hash));
    tree.root()
}

/// What is no hash is left out, and then one is lacking.
fn hashes_by_level(rows: &[FoundRow]) -> BTreeMap<u8, Vec<TreeHash>> {
    let mut levels: BTreeMap<u8, Vec<TreeHash>> = BTreeMap::new();
    for row in rows {
        let level = u8::try_from(number(row, 0)).unwrap_or(u8::MAX);
        levels.entry(level).or_default().extend(TreeHash::from_base64(text(row, 1)));
    }
    levels
}
