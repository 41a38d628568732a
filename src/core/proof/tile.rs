//! Tiles: the tree as files of up to 256 hashes, and the leaves as bundles of up to 256 entries (C2SP tlog-tiles).
//!
//! Owns their names and bytes. A name has one way to be written; what is not written so is refused, so that a path of a
//! request never leads anywhere else. It must not read or serve a file.

use std::fmt;

use super::tree::{HASH_BYTES, TreeHash};

/// How many hashes or entries a full tile has.
pub const TILE_WIDTH: u16 = 256;
/// How many levels of the tree one tile spans.
pub const TILE_HEIGHT: u8 = 8;
/// The highest level of tiles that a tree of 64-bit size has.
const MOST_LEVEL: u8 = 7;
/// How many bytes an entry has at most: its length is written with 16 bits.
pub const MOST_ENTRY_BYTES: usize = u16::MAX as usize;

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// Hashes of this level: 0 has those of leaves, each higher one the roots of full tiles of the level below.
    Hashes(u8),
    /// The leaves themselves.
    Entries,
}

/// One tile by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    kind: TileKind,
    number: u64,
    width: u16,
}

impl Tile {
    /// A tile; none when no tree has it: of a width of 0 or over 256, of a level over 7, or behind the last leaf that can
    /// be counted.
    pub fn new(kind: TileKind, number: u64, width: u16) -> Option<Self> {
        let level = match kind {
            TileKind::Hashes(level) => level,
            TileKind::Entries => 0,
        };
        let leaves = u64::BITS.checked_sub(u32::from(TILE_HEIGHT) * (u32::from(level) + 1))?;
        let most = if leaves == 0 { 0 } else { u64::MAX >> (u64::BITS - leaves) };
        let is_there = level <= MOST_LEVEL && (1..=TILE_WIDTH).contains(&width) && number <= most;
        is_there.then_some(Self { kind, number, width })
    }

    /// What it holds.
    pub fn kind(&self) -> TileKind {
        self.kind
    }

    /// Its place on its level, from 0.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How many hashes or entries it holds.
    pub fn width(&self) -> u16 {
        self.width
    }

    /// The first hash or entry of it on its level.
    pub fn start(&self) -> u64 {
        self.number << TILE_HEIGHT
    }

    /// The tile of this kind that a hash or entry stands in, as wide as a tree of this size has it. None when the tree has
    /// no such hash.
    pub fn holding(kind: TileKind, place: u64, size: u64) -> Option<Self> {
        let all = match kind {
            TileKind::Hashes(level) => size.checked_shr(u32::from(TILE_HEIGHT) * u32::from(level)).unwrap_or(0),
            TileKind::Entries => size,
        };
        let number = place >> TILE_HEIGHT;
        let left = all.checked_sub(number << TILE_HEIGHT).filter(|_| place < all)?;
        Self::new(kind, number, u16::try_from(left).unwrap_or(TILE_WIDTH).min(TILE_WIDTH))
    }

    /// Reads a name as [`fmt::Display`] writes it, without a slash before it; none when it is written in any other way.
    pub fn read(path: &str) -> Option<Self> {
        let rest = path.strip_prefix("tile/")?;
        let (kind, rest) = rest.split_once('/')?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes(level.parse().ok()?),
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, width.parse().ok().filter(|width| *width < TILE_WIDTH)?),
            None => (rest, TILE_WIDTH),
        };
        let digits: String = number.split('/').map(|part| part.strip_prefix('x').unwrap_or(part)).collect();
        let tile = Self::new(kind, digits.parse().ok()?, width)?;
        // The one way to write it: what was read loosely above must come out as it was.
        (tile.to_string() == path).then_some(tile)
    }
}

/// The name as a path, without a slash before it.
impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(f, "tile/{level}/")?,
            TileKind::Entries => f.write_str("tile/entries/")?,
        }
        let mut parts = vec![format!("{:03}", self.number % 1000)];
        let mut left = self.number / 1000;
        while left > 0 {
            parts.push(format!("x{:03}", left % 1000));
            left /= 1000;
        }
        parts.reverse();
        f.write_str(&parts.join("/"))?;
        if self.width < TILE_WIDTH { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

/// All tiles that a tree of `size` leaves has and one of `former` leaves had not: what must be written when it has grown.
/// Partial tiles are those of this size alone.
pub fn new_tiles(former: u64, size: u64) -> Vec<Tile> {
    let kinds = (0..=MOST_LEVEL).map(TileKind::Hashes).chain([TileKind::Entries]);
    kinds.flat_map(|kind| new_of(kind, former, size)).collect()
}

fn new_of(kind: TileKind, former: u64, size: u64) -> impl Iterator<Item = Tile> {
    let levels = match kind {
        TileKind::Hashes(level) => u32::from(level) * u32::from(TILE_HEIGHT),
        TileKind::Entries => 0,
    };
    let (before, all) = (former.checked_shr(levels).unwrap_or(0), size.checked_shr(levels).unwrap_or(0));
    let numbers = if before < all { (before >> TILE_HEIGHT)..(all.div_ceil(u64::from(TILE_WIDTH))) } else { 0..0 };
    numbers.filter_map(move |number| Tile::holding(kind, number << TILE_HEIGHT, size))
}

/// The bytes of a tile of hashes.
pub fn hash_bytes(hashes: &[TreeHash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// The hashes of a tile; none when the bytes are not as many as it has hashes.
pub fn read_hashes(tile: Tile, bytes: &[u8]) -> Option<Vec<TreeHash>> {
    let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
    let fits = rest.is_empty() && hashes.len() == usize::from(tile.width);
    fits.then(|| hashes.iter().filter_map(|hash| TreeHash::from_bytes(hash)).collect())
}

/// The bytes of a bundle of entries; none when one is longer than [`MOST_ENTRY_BYTES`].
pub fn entry_bytes<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend(u16::try_from(entry.len()).ok()?.to_be_bytes());
        bytes.extend(entry);
    }
    Some(bytes)
}

/// The entries of a bundle; none when the bytes do not hold just as many as it has.
pub fn read_entries(tile: Tile, bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let (mut rest, mut entries) = (bytes, Vec::new());
    while !rest.is_empty() {
        let (length, behind) = rest.split_first_chunk::<2>()?;
        let (entry, behind) = behind.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry);
        rest = behind;
    }
    (entries.len() == usize::from(tile.width)).then_some(entries)
}

#[cfg(test)]
mod tests;
