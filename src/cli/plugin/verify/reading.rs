//! The walk through a log that is read piece by piece: bundles of leaves, what is kept beside them, tiles and checkpoints.
//!
//! Owns the order in which things are read, so that no more than a few bundles are held at a time. What is found is for
//! [`crate::core::proof::audit`].

use std::collections::{BTreeMap, VecDeque};

use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::jiff::Timestamp;

use super::keep::KeptFolder;
use super::keys::arithmetic;
use super::source::{CHECKPOINT, FiledCheckpoint, KeptOpening, LogSource};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::output::console::Console;
use crate::core::proof::audit::{AuditFinding, LeafStore, LogWalk};
use crate::core::proof::checkpoint::{Checkpoint, SignedCheckpoint, TrustedKeys};
use crate::core::proof::field::FieldSalts;
use crate::core::proof::leaf::LeafFault;
use crate::core::proof::log_proof::{LogEvidence, LogVerdict, clock_back};
use crate::core::proof::tile::{TILE_WIDTH, Tile, TileKind, hash_bytes, read_entries};
use crate::core::proof::tile_rows::TileHashes;

/// How many bundles are asked for at a time.
const AT_A_TIME: usize = 4;
/// From so many leaves on it is said how far the walk is.
pub const LONG: u64 = 20_000;

/// How a log is walked.
pub struct LogReading<'a> {
    /// Where it is read from.
    pub source: &'a LogSource,
    /// Whose word counts.
    pub keys: &'a TrustedKeys,
    /// Checkpoints that whoever checks brought along.
    pub against: Vec<Checkpoint>,
    /// The longest time without a heartbeat, in seconds.
    pub most_silence: u64,
    /// Now, where the log is read from an archive that runs.
    pub now: Option<Timestamp>,
}

/// What is read of one bundle.
struct BundleRead {
    tile: Tile,
    entries: Option<Vec<u8>>,
    hashes: Option<Vec<u8>>,
    openings: Option<Vec<KeptOpening>>,
}

/// A walk on its way.
struct Reader<'a> {
    of: &'a LogReading<'a>,
    walk: LogWalk,
    keep: Option<KeptFolder>,
    evidence: LogEvidence,
    ahead: VecDeque<FiledCheckpoint>,
    /// Size of the last earlier checkpoint that was read; none when there are no more.
    read_to: Option<u64>,
    former: Option<Checkpoint>,
}

impl LogReading<'_> {
    /// Walks through all of it. `keep` is where all that is read is written to.
    ///
    /// # Errors
    /// When it cannot be read, or its newest checkpoint is not signed by the key that was given.
    pub async fn walk(&self, keep: Option<KeptFolder>, console: &mut Console) -> Result<LogVerdict, PluginError> {
        let note = self.source.checkpoint().await?;
        let now = self.open(&note)?;
        if let Some(keep) = &keep {
            keep.file(CHECKPOINT, note.as_bytes())?;
        }
        let size = now.checkpoint.size;
        let is_kept_read = size > 0 && self.is_kept_shown(console).await?;
        let walk = LogWalk::new([&now.checkpoint].into_iter().chain(&self.against));
        let mut evidence = LogEvidence {
            now: now.clone(),
            earlier: 0,
            against: self.against.clone(),
            seen: BTreeMap::new(),
            is_kept_read,
        };
        see(&mut evidence, &now);
        let walk = walk.with_most_silence(self.most_silence);
        let mut reader =
            Reader { of: self, walk, keep, evidence, ahead: VecDeque::new(), read_to: Some(0), former: None };
        reader.bundles(size, console).await?;
        reader.finish(size).await
    }

    fn open(&self, note: &str) -> Result<SignedCheckpoint, PluginError> {
        let opened = self.keys.open(note, &arithmetic);
        opened.map_err(|fault| PluginError::NotTheLog { from: self.source.words(), fault })
    }

    /// Whether what is kept beside the leaves may be read; says so when not.
    async fn is_kept_shown(&self, console: &mut Console) -> Result<bool, PluginError> {
        match self.source.has_openings().await {
            Ok(has) => Ok(has),
            Err(error) if error.is_forbidden() => {
                console.note(&format!("only the leaves are walked: {error}"));
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    async fn bundle(&self, number: u64, size: u64, is_kept_read: bool) -> Result<Option<BundleRead>, PluginError> {
        let place = number * u64::from(TILE_WIDTH);
        let of = |kind| Tile::holding(kind, place, size);
        let (Some(tile), Some(hashes)) = (of(TileKind::Entries), of(TileKind::Hashes(0))) else { return Ok(None) };
        let entries = self.source.tile(tile).await?;
        let hashes = self.source.tile(hashes).await?;
        let openings = if is_kept_read { self.source.openings(number).await? } else { None };
        Ok(Some(BundleRead { tile, entries, hashes, openings }))
    }
}

impl Reader<'_> {
    async fn bundles(&mut self, size: u64, console: &mut Console) -> Result<(), PluginError> {
        let (of, is_kept_read) = (self.of, self.evidence.is_kept_read);
        let numbers = stream::iter(0..size.div_ceil(u64::from(TILE_WIDTH)));
        let mut read = numbers.map(|number| of.bundle(number, size, is_kept_read)).buffered(AT_A_TIME);
        while let Some(bundle) = read.try_next().await? {
            let Some(bundle) = bundle else { break };
            let end = bundle.tile.start() + u64::from(bundle.tile.width());
            self.checkpoints_to(end).await?;
            if !self.step_all(bundle).await? {
                break;
            }
            if size > LONG {
                console.wait_line("walks through the log", &format!(": {end} of {size} leaves"));
            }
        }
        Ok(())
    }

    /// Expects the earlier checkpoints up to this size.
    async fn checkpoints_to(&mut self, end: u64) -> Result<(), PluginError> {
        loop {
            match (self.ahead.front().map(|kept| kept.size), self.read_to) {
                (Some(next), _) if next > end => return Ok(()),
                (Some(_), _) => {
                    if let Some(kept) = self.ahead.pop_front() {
                        self.hold_against(&kept);
                    }
                }
                (None, None) => return Ok(()),
                (None, Some(after)) => {
                    let page = self.of.source.checkpoints(after).await?;
                    if let Some(keep) = &mut self.keep {
                        keep.checkpoints(&page)?;
                    }
                    // A page that does not lead on would be asked for without end.
                    self.read_to = page.last().map(|last| last.size).filter(|size| *size > after);
                    self.ahead.extend(page);
                }
            }
        }
    }

    fn hold_against(&mut self, kept: &FiledCheckpoint) {
        let opened = match self.of.keys.open(&kept.note, &arithmetic) {
            Ok(opened) => opened,
            Err(fault) => return self.walk.found(AuditFinding::BadCheckpoint(kept.size, fault)),
        };
        let Checkpoint { size, at, .. } = opened.checkpoint;
        if size != kept.size || at.unwrap_or(kept.at) != kept.at {
            self.walk.found(AuditFinding::Misfiled(kept.size));
        }
        // One that came since the newest was read is of a log that has grown, and is left to the next walk.
        if size > self.evidence.now.checkpoint.size {
            return;
        }
        if let Some(back) = clock_back(self.former.as_ref(), &opened.checkpoint) {
            self.walk.found(back);
        }
        self.walk.hold_against(&opened.checkpoint);
        see(&mut self.evidence, &opened);
        self.evidence.earlier += 1;
        self.former = Some(opened.checkpoint);
    }

    /// Steps through the leaves of a bundle. Whether the walk can go on.
    async fn step_all(&mut self, bundle: BundleRead) -> Result<bool, PluginError> {
        let BundleRead { tile, entries, hashes, openings } = bundle;
        let Some(bytes) = entries else {
            self.walk.found(AuditFinding::LackingTile(tile));
            return Ok(false);
        };
        let Some(entries) = read_entries(tile, &bytes) else {
            self.walk.found(AuditFinding::OtherTile(tile));
            return Ok(false);
        };
        if let Some(keep) = &self.keep {
            keep.file(&tile.to_string(), &bytes)?;
            if let Some(openings) = &openings {
                keep.openings(tile.number(), &below(openings, tile))?;
            }
        }
        if self.evidence.is_kept_read && openings.is_none() {
            return Err(self.of.source.none(&super::source::openings_file(tile.number())));
        }
        let stored = self.stored(tile, openings.unwrap_or_default())?;
        for (entry, place) in entries.into_iter().zip(tile.start()..) {
            let kept = match stored.get(&place) {
                Some((record, salts)) => LeafStore::Kept(record, salts),
                None if self.evidence.is_kept_read => LeafStore::Gone,
                None => LeafStore::NotRead,
            };
            self.walk.step(entry, kept);
        }
        let filled = self.walk.filled();
        self.compare(filled, hashes).await?;
        Ok(true)
    }

    /// What is kept, by the place of its leaf. A folder has it for just the leaves of the bundle, once and in order.
    fn stored(
        &mut self,
        tile: Tile,
        openings: Vec<KeptOpening>,
    ) -> Result<BTreeMap<u64, (String, FieldSalts)>, PluginError> {
        let source = self.of.source;
        let end = tile.start() + u64::from(if source.is_folder() { tile.width() } else { TILE_WIDTH });
        let (mut next, mut stored) = (tile.start(), BTreeMap::new());
        for opening in openings {
            let place = opening.place;
            let broken = |why: &str| source.broken("openings", &format!("place {place}: {why}"));
            if !(next..end).contains(&place) {
                return Err(broken("it is out of order, or of other leaves"));
            }
            next = place + 1;
            match opening.stored().ok_or_else(|| broken("it is not one record or event with its salts"))? {
                (Some(text), salts) => drop(stored.insert(place, (text, salts))),
                (None, salts) => {
                    let half = salts.into_keys().next().map(LeafFault::Half);
                    half.into_iter().for_each(|half| self.walk.found(AuditFinding::OtherRecord(place, half)));
                }
            }
        }
        Ok(stored)
    }

    /// Holds tiles against those of the source. The one of the leaves themselves may be read already.
    async fn compare(&mut self, tiles: Vec<TileHashes>, mut leaves: Option<Vec<u8>>) -> Result<(), PluginError> {
        for (tile, hashes) in tiles {
            let known = if tile.kind() == TileKind::Hashes(0) { leaves.take() } else { None };
            let read = match known {
                Some(known) => Some(known),
                None => self.of.source.tile(tile).await?,
            };
            let Some(bytes) = read else {
                self.walk.found(AuditFinding::LackingTile(tile));
                continue;
            };
            if let Some(keep) = &self.keep {
                keep.file(&tile.to_string(), &bytes)?;
            }
            if bytes != hash_bytes(&hashes) {
                self.walk.found(AuditFinding::OtherTile(tile));
            }
        }
        Ok(())
    }

    async fn finish(mut self, size: u64) -> Result<LogVerdict, PluginError> {
        self.checkpoints_to(size).await?;
        if self.walk.size() == size {
            self.compare(self.walk.partial(), None).await?;
        }
        if let Some(now) = self.of.now {
            self.walk.silent_until(now);
        }
        if let Some(keep) = self.keep {
            keep.finish()?;
        }
        Ok(LogVerdict::of(self.walk.finish(), &self.evidence))
    }
}

/// The openings of leaves that the bundle has: the archive may have more by now.
fn below(openings: &[KeptOpening], tile: Tile) -> Vec<KeptOpening> {
    let end = tile.start() + u64::from(tile.width());
    openings.iter().filter(|opening| (tile.start()..end).contains(&opening.place)).cloned().collect()
}

/// Notes who of the witnesses has seen how much.
fn see(evidence: &mut LogEvidence, opened: &SignedCheckpoint) {
    for (name, at) in &opened.witnesses {
        let seen = evidence.seen.entry(name.clone()).or_default();
        *seen = (opened.checkpoint.size, *at).max(*seen);
    }
}
