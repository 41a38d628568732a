//! `kubectl daypass proof`: the proof of one request as a file, for somebody who trusts neither the cluster nor the archive.
//!
//! Owns what is fetched for it. The file is checked before it is written, but for signatures, which whoever gets it checks
//! by keys of his own. What a file proves is for `core::proof`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::ValueHint;
use clap::builder::NonEmptyStringValueParser;

use super::cluster::Connection;
use super::error::PluginError;
use super::exit::Exit;
use super::history::lives::{self, WantedLife};
use super::output::console::Console;
use super::requests::Where;
use super::verify::reading::LONG;
use super::verify::served;
use super::verify::source::{ArchiveAddress, CHECKPOINT, KeptOpening, LogSource};
use crate::core::proof::checkpoint::Checkpoint;
use crate::core::proof::climb::{FetchedTiles, NoProof, prove_inclusion, tiles_of_inclusion};
use crate::core::proof::leaf::LeafEntry;
use crate::core::proof::note::SignedNote;
use crate::core::proof::proof_file::{ProofFile, ProvenLeaf};
use crate::core::proof::tile::{TILE_WIDTH, Tile, TileKind, read_entries, read_hashes};
use crate::core::proof::tree::verify_inclusion;

/// The command line of `proof`.
#[derive(Debug, clap::Args)]
pub struct ProofArgs {
    /// Name or UID of the request.
    #[arg(value_name = "REQUEST", value_parser = NonEmptyStringValueParser::new())]
    request: String,
    /// Namespace that the request is in, where it is given by name. Left out: that of the context.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// The file to write, which must not be there yet. Left out: standard output.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Option<PathBuf>,
    /// Read from this folder, which `verify --keep` wrote, and no archive. Then the request is given by its UID.
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath, conflicts_with = "archive")]
    folder: Option<PathBuf>,
    #[command(flatten)]
    address: ArchiveAddress,
    #[command(flatten)]
    connection: Connection,
}

/// Writes the proof.
///
/// # Errors
/// When the request has no record in the log, or the log cannot be read.
pub async fn run(args: ProofArgs, console: &mut Console) -> Result<Exit, PluginError> {
    let source = match &args.folder {
        Some(folder) => LogSource::Folder(folder.clone()),
        None => served(&args.address, &args.connection).await?,
    };
    let log = OpenedLog::at(&source).await?;
    let request = uid(&args, &source, console).await?;
    let proof = log.proof(&request, console).await?;
    let text = proof.text();
    let Some(file) = &args.file else {
        console.print(&text);
        return Ok(Exit::Done);
    };
    let written =
        std::fs::File::create_new(file).and_then(|mut out| std::io::Write::write_all(&mut out, text.as_bytes()));
    written.map_err(|error| {
        let problem = format!("cannot write {}: {error}: name a new file", file.display());
        PluginError::Flag { flag: "--file", problem }
    })?;
    console.say(format!("{} proves {} records of request {request}", file.display(), proof.leaves.len()));
    console.next(&format!("kubectl daypass verify {} --key KEY", file.display()));
    Ok(Exit::Done)
}

/// The UID of the request that is meant.
async fn uid(args: &ProofArgs, source: &LogSource, console: &mut Console) -> Result<String, PluginError> {
    let wanted = WantedLife::of(&args.request);
    let (LogSource::Served(cluster), WantedLife::Name(name)) = (source, &wanted) else {
        return Ok(args.request.clone());
    };
    let place = Where::of(cluster, false, &args.namespace);
    let lives = lives::archived(cluster, &place, &wanted, console).await?;
    let uids: Vec<String> =
        lives.iter().filter_map(|life| life.items.first()).map(|item| item.record.request.uid.clone()).collect();
    match uids.as_slice() {
        [] => Err(PluginError::NoRecords { request: name.clone(), place: place.words() }),
        [one] => Ok(one.clone()),
        _ => Err(PluginError::SeveralRequests { name: name.clone(), uids }),
    }
}

/// A log at one checkpoint, with the tiles that were fetched of it.
pub struct OpenedLog<'a> {
    source: &'a LogSource,
    note: String,
    checkpoint: Checkpoint,
    tiles: FetchedTiles,
}

impl<'a> OpenedLog<'a> {
    /// A log as its newest checkpoint says.
    ///
    /// # Errors
    /// When that cannot be read.
    pub async fn at(source: &'a LogSource) -> Result<Self, PluginError> {
        let note = source.checkpoint().await?;
        let broken = |error: String| source.broken(CHECKPOINT, &error);
        let read = SignedNote::read(&note).map_err(|fault| broken(fault.to_string()))?;
        let checkpoint = Checkpoint::read(read.text()).map_err(|fault| broken(fault.to_string()))?;
        Ok(Self { source, note, checkpoint, tiles: FetchedTiles::new() })
    }

    /// The proof of a request, of all that is kept of it. All leaves are looked through: who serves them is not believed when
    /// it says which are all.
    ///
    /// # Errors
    /// When it has no record in the log, or the log cannot be read.
    pub async fn proof(mut self, request: &str, console: &mut Console) -> Result<ProofFile, PluginError> {
        let kept = self.looked_for(request, console).await?;
        if kept.is_empty() {
            let place = format!(" in the log of {} leaves", self.checkpoint.size);
            return Err(PluginError::NoRecords { request: request.to_owned(), place });
        }
        let mut leaves = Vec::new();
        for opening in kept.into_values() {
            leaves.push(self.leaf(&opening).await?);
        }
        Ok(ProofFile { checkpoint: self.note, leaves })
    }

    async fn leaf(&mut self, opening: &KeptOpening) -> Result<ProvenLeaf, PluginError> {
        let (source, place, Checkpoint { size, root, .. }) = (self.source, opening.place, self.checkpoint.clone());
        let broken = |error: String| source.broken(&format!("leaf {place}"), &error);
        let entry = self.entry(place).await?;
        let leaf = LeafEntry::read(&entry).map_err(|fault| broken(fault.to_string()))?;
        let (record, salts) = opening.stored().ok_or_else(|| broken("its salts are none".to_owned()))?;
        let openings = match record {
            Some(record) => leaf.compare(&record, &salts).map_err(|fault| broken(fault.to_string()))?,
            None => Default::default(),
        };
        for tile in tiles_of_inclusion(place, size).map_err(|none| broken(none.to_string()))? {
            self.fetch(tile).await?;
        }
        let path = prove_inclusion(place, size, &self.tiles).map_err(|none| broken(none.to_string()))?;
        verify_inclusion(leaf.hash(), place, size, &path, root).map_err(|fault| broken(fault.to_string()))?;
        Ok(ProvenLeaf { place, leaf, path, openings })
    }

    async fn entry(&self, place: u64) -> Result<Vec<u8>, PluginError> {
        let none = || self.source.none(&format!("leaf {place}"));
        let tile = Tile::holding(TileKind::Entries, place, self.checkpoint.size).ok_or_else(none)?;
        let bytes = self.source.tile(tile).await?.ok_or_else(none)?;
        let entries = read_entries(tile, &bytes);
        let entries = entries.ok_or_else(|| self.source.broken(&tile.to_string(), "it is no bundle of leaves"))?;
        let at = usize::try_from(place - tile.start()).unwrap_or(usize::MAX);
        entries.get(at).map(|entry| entry.to_vec()).ok_or_else(none)
    }

    async fn fetch(&mut self, tile: Tile) -> Result<(), PluginError> {
        if self.tiles.contains_key(&tile) {
            return Ok(());
        }
        let name = NoProof::Lacking(tile).to_string();
        let bytes = self.source.tile(tile).await?.ok_or_else(|| self.source.none(&tile.to_string()))?;
        let hashes = read_hashes(tile, &bytes).ok_or_else(|| self.source.broken(&tile.to_string(), &name))?;
        self.tiles.insert(tile, hashes);
        Ok(())
    }

    /// What is kept beside the leaves of a request, of all leaves that there are.
    async fn looked_for(
        &self,
        request: &str,
        console: &mut Console,
    ) -> Result<BTreeMap<u64, KeptOpening>, PluginError> {
        let (mut found, width) = (BTreeMap::new(), u64::from(TILE_WIDTH));
        for bundle in 0..self.checkpoint.size.div_ceil(width) {
            if self.checkpoint.size > LONG {
                console.wait_line("looks for its leaves", &format!(": {} of {}", bundle * width, self.checkpoint.size));
            }
            let none = || self.source.none(&format!("bundle {bundle}"));
            let tile = Tile::holding(TileKind::Entries, bundle * width, self.checkpoint.size).ok_or_else(none)?;
            let bytes = self.source.tile(tile).await?.ok_or_else(none)?;
            let entries = read_entries(tile, &bytes);
            let entries = entries.ok_or_else(|| self.source.broken(&tile.to_string(), "it is no bundle of leaves"))?;
            let is_its = |entry: &[u8]| {
                let name = LeafEntry::read(entry).ok().and_then(|leaf| leaf.record_name());
                name.is_some_and(|name| name.request == request)
            };
            let places: Vec<u64> = entries
                .into_iter()
                .zip(tile.start()..)
                .filter(|(entry, _)| is_its(entry))
                .map(|(_, place)| place)
                .collect();
            if places.is_empty() {
                continue;
            }
            let openings = self.source.openings(bundle).await?.unwrap_or_default();
            let mut openings: BTreeMap<u64, KeptOpening> =
                openings.into_iter().map(|opening| (opening.place, opening)).collect();
            found.extend(places.into_iter().map(|place| {
                let gone = KeptOpening { place, record: None, event: None, salts: BTreeMap::new() };
                (place, openings.remove(&place).unwrap_or(gone))
            }));
        }
        Ok(found)
    }
}
