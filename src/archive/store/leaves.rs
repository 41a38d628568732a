//! What a store does with the log: it puts leaves behind the last one, and tells tiles of them.
//!
//! Owns that each record gets a leaf, those that were there before there was a log too, in the order of their numbers. How
//! they are put behind each other is for [`super::super::log::append`].

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;

use super::super::activity::tables::{FoundRow, count, number, text, time};
use super::super::log::append::LogEnd;
use super::super::log::leaf::{MadeLeaf, NoLeaf};
use super::super::log::tables;
use super::search::Statement;
use super::{ArchiveStore, StoreError, WriteRule};
use crate::core::proof::climb::FetchedTiles;
use crate::core::proof::event::ClusterBeat;
use crate::core::proof::tile::{Tile, TileKind};
use crate::core::proof::tree::TreeHash;

/// What is put into the log beside what arrives.
pub(super) enum LogWrite {
    /// Leaves for records that have none, some at a time.
    Backlog,
    /// Leaves of what the archive says of itself, and what is written with them.
    Events(Vec<MadeLeaf>, Vec<Statement>),
}

/// Leaves of records, each with its number, and the number of the last record that they are made of.
pub(super) struct BacklogLeaves {
    pub leaves: Vec<(i64, MadeLeaf)>,
    pub last: i64,
}

impl BacklogLeaves {
    /// Of records as [`tables::backlog`] finds them. One that was taken before there was a log and cannot be told in a leaf
    /// stays without.
    pub fn of(rows: &[FoundRow]) -> Self {
        let mut made = Self { leaves: Vec::new(), last: 0 };
        for row in rows {
            let n = number(row, 0);
            match MadeLeaf::of_record(text(row, 1)) {
                Ok(leaf) => made.leaves.push((n, leaf)),
                Err(NoLeaf::NoRandomness) => break,
                Err(why) => {
                    tracing::error!(record = n, %why, "an old record cannot stand in the log and stays outside")
                }
            }
            made.last = n;
        }
        made
    }
}

/// A checkpoint as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptCheckpoint {
    /// How many leaves it is of.
    pub size: u64,
    /// When it was signed, in seconds since 1970, as it says itself.
    pub at: u64,
    /// It, with its signatures.
    pub note: String,
}

impl KeptCheckpoint {
    fn of(row: &FoundRow) -> Self {
        Self { size: count(row, 0), at: count(row, 1), note: text(row, 2).to_owned() }
    }
}

/// What opens a leaf. What was erased is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafOpening {
    /// Place of the leaf.
    pub place: u64,
    /// Salts, as an object of JSON.
    pub salts: String,
    /// What the archive says of itself, as an object of JSON.
    pub event: String,
    /// The record, as it came.
    pub record: String,
}

impl ArchiveStore {
    /// Gives leaves to some of the records that have none, the first first. How many were done: none when all have one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn catch_up(&self) -> Result<u64, StoreError> {
        self.log(LogWrite::Backlog).await
    }

    /// Puts leaves of what the archive says of itself into the log, and writes what belongs to them, all at once.
    ///
    /// # Errors
    /// When the store fails; then nothing of it is kept.
    pub async fn keep_events(&self, leaves: Vec<MadeLeaf>, with: Vec<Statement>) -> Result<(), StoreError> {
        self.log(LogWrite::Events(leaves, with)).await.map(|_| ())
    }

    async fn log(&self, write: LogWrite) -> Result<u64, StoreError> {
        match self {
            Self::Sqlite(store) => store.log(write).await,
            Self::Postgres(store) => store.log(write).await,
        }
    }

    /// Where the log ends.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn log_end(&self) -> Result<LogEnd, StoreError> {
        Ok(LogEnd::of(&self.rows(vec![tables::end()]).await?)?)
    }

    /// The hashes of a tile, or none when the tree has not as many.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn hashes(&self, tile: Tile) -> Result<Option<Vec<TreeHash>>, StoreError> {
        let TileKind::Hashes(level) = tile.kind() else { return Ok(None) };
        let rows = self.rows(vec![tables::hashes_of(level, tile)]).await?;
        let hashes: Vec<TreeHash> = rows.iter().filter_map(|row| TreeHash::from_base64(text(row, 0))).collect();
        Ok((hashes.len() == usize::from(tile.width())).then_some(hashes))
    }

    /// These tiles. Those that the tree has not are left out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn fetched(&self, tiles: Vec<Tile>) -> Result<FetchedTiles, StoreError> {
        let mut fetched = FetchedTiles::new();
        for tile in tiles {
            fetched.extend(self.hashes(tile).await?.map(|hashes| (tile, hashes)));
        }
        Ok(fetched)
    }

    /// The leaves of a tile, or none when the tree has not as many.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn entries(&self, tile: Tile) -> Result<Option<Vec<String>>, StoreError> {
        let rows = self.rows(vec![tables::leaves_of(tile)]).await?;
        let leaves: Vec<String> = rows.iter().map(|row| text(row, 0).to_owned()).collect();
        Ok((leaves.len() == usize::from(tile.width())).then_some(leaves))
    }

    /// The last checkpoint; none before the first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn last_checkpoint(&self) -> Result<Option<KeptCheckpoint>, StoreError> {
        Ok(self.rows(vec![tables::last_checkpoint()]).await?.first().map(KeptCheckpoint::of))
    }

    /// Some checkpoints of more leaves than this, the first first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn checkpoints(&self, after: u64) -> Result<Vec<KeptCheckpoint>, StoreError> {
        Ok(self.rows(vec![tables::checkpoints(after)]).await?.iter().map(KeptCheckpoint::of).collect())
    }

    /// Keeps a checkpoint. False: there is one of as many leaves, and nothing is kept.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn keep_checkpoint(&self, checkpoint: &KeptCheckpoint) -> Result<bool, StoreError> {
        let KeptCheckpoint { size, at, note } = checkpoint;
        self.write(vec![tables::checkpoint(*size, *at, note)], WriteRule::IfTheFirstIsNew).await
    }

    /// Puts the line of a cosignature to the checkpoint of so many leaves.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn add_cosignature(&self, size: u64, line: &str) -> Result<(), StoreError> {
        self.write(vec![tables::cosigned(size, line)], WriteRule::Always).await.map(|_| ())
    }

    /// Takes the row by which one replica does at a time what is due. False: another has it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn claim(&self, replica: &str, now: Timestamp, until: Timestamp) -> Result<bool, StoreError> {
        self.write(vec![tables::claimed(replica, now, until)], WriteRule::IfTheFirstIsNew).await
    }

    /// What opens some leaves from a place on.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn openings(&self, from: u64) -> Result<Vec<LeafOpening>, StoreError> {
        let rows = self.rows(vec![tables::openings(from)]).await?;
        let words = |row: &FoundRow, column: usize| text(row, column).to_owned();
        let of = |row: &FoundRow| LeafOpening {
            place: count(row, 0),
            salts: words(row, 1),
            event: words(row, 2),
            record: words(row, 3),
        };
        Ok(rows.iter().map(of).collect())
    }

    /// What is known of each cluster, by its UID.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn beat_of_clusters(&self, now: Timestamp) -> Result<BTreeMap<String, ClusterBeat>, StoreError> {
        let mut beats: BTreeMap<String, ClusterBeat> = BTreeMap::new();
        for row in self.rows(tables::states().to_vec()).await? {
            let beat = beats.entry(text(&row, 0).to_owned()).or_default();
            beat.requests.insert(text(&row, 1).to_owned(), count(&row, 2));
        }
        for row in self.rows(vec![tables::heard()]).await? {
            let lag = time(&row, 1).map(|at| u64::try_from(now.duration_since(at).as_secs()).unwrap_or_default());
            beats.entry(text(&row, 0).to_owned()).or_default().feed_lag_seconds = lag;
        }
        Ok(beats)
    }
}
