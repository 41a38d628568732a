//! The log as it grows, in both stores, held against an independent tree.

use std::collections::BTreeMap;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use sha2::Sha256;

use super::append::{BrokenLog, LogEnd};
use super::leaf::{MadeLeaf, NoLeaf};
use super::tables;
use crate::api::record::RecordedPerson;
use crate::archive::activity::tables::FoundRow;
use crate::archive::store::ArchiveStore;
use crate::archive::store::search::{BoundValue, Statement};
use crate::archive::tests::{Story, delivery};
use crate::core::proof::climb::{FetchedTiles, root_of, tiles_of_root};
use crate::core::proof::event::{LogEvent, LoggedRead};
use crate::core::proof::leaf::{LeafEntry, LeafFault, LeafKind};
use crate::core::proof::tile::{TILE_WIDTH, Tile, TileKind};
use crate::core::proof::tree::TreeHash;
use crate::runtime::clock::Clock;

/// A tree of the leaves by another program.
fn oracle<'a>(leaves: impl IntoIterator<Item = &'a String>) -> TreeHash {
    let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    leaves.into_iter().for_each(|leaf| tree.push(leaf.clone().into_bytes()));
    TreeHash::from_bytes(tree.root().as_bytes()).unwrap()
}

fn said(value: &BoundValue) -> u64 {
    match value {
        BoundValue::Number(number) => u64::try_from(*number).unwrap(),
        BoundValue::Text(text) => panic!("{text} is no number"),
    }
}

/// Rows of hashes, without a store.
#[derive(Default)]
struct HashRows(BTreeMap<(u64, u64), String>);

impl HashRows {
    fn found(&self, asked: &[Statement]) -> Vec<FoundRow> {
        let of = |statement: &Statement| {
            let (level, from) = (said(&statement.values[0]), said(&statement.values[1]));
            assert_eq!(*statement, tables::hashes_from(u8::try_from(level).unwrap(), from));
            let rows = self.0.range((level, from)..(level + 1, 0));
            rows.map(|((level, _), hash)| vec![BoundValue::Number(*level as i64), BoundValue::Text(hash.clone())])
                .collect::<Vec<_>>()
        };
        asked.iter().flat_map(of).collect()
    }

    fn write(&mut self, writes: &[Statement]) {
        for statement in writes.iter().filter(|statement| statement.sql.contains("INTO log_hash")) {
            let BoundValue::Text(hash) = &statement.values[2] else { panic!("{statement:?}") };
            let place = (said(&statement.values[0]), said(&statement.values[1]));
            assert_eq!(self.0.insert(place, hash.clone()), None, "{place:?} is written twice");
        }
    }

    fn tiles(&self, size: u64) -> FetchedTiles {
        let of = |tile: Tile| {
            let TileKind::Hashes(level) = tile.kind() else { panic!("{tile}") };
            let (level, start) = (u64::from(level), tile.start());
            let rows = self.0.range((level, start)..(level, start + u64::from(tile.width())));
            (tile, rows.map(|(_, hash)| TreeHash::from_base64(hash).unwrap()).collect())
        };
        tiles_of_root(size).into_iter().map(of).collect()
    }
}

fn plain(n: u64) -> MadeLeaf {
    MadeLeaf { bytes: format!("leaf {n}"), salts: "{}".to_owned(), event: String::new() }
}

#[test]
fn a_tree_that_grows_by_any_steps_is_the_one_of_its_leaves() {
    let mut rows = HashRows::default();
    let mut end = LogEnd { uid: "u".to_owned(), size: 0, record: 0, beat_at: 0 };
    let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    // Beyond the second level of tiles, which begins at 65536.
    for added in [1, 254, 1, 1, 255, 300, 2000, 0, 62_000, 700, 23, 1, 1, 600] {
        let new: Vec<(i64, MadeLeaf)> = (end.size..end.size + added).map(|n| (n as i64 + 1, plain(n))).collect();
        new.iter().for_each(|(_, leaf)| tree.push(leaf.bytes.clone().into_bytes()));
        let edge = rows.found(&end.edge(added));
        let last = new.last().map_or(end.record, |(record, _)| *record);
        rows.write(&end.append(&edge, new, last).unwrap());
        (end.size, end.record) = (end.size + added, last);
        let root = root_of(end.size, &rows.tiles(end.size)).unwrap();
        assert_eq!(root.as_bytes(), tree.root().as_bytes().as_slice(), "at {}", end.size);
    }
    assert!(end.size > 1 << 16 && rows.0.contains_key(&(2, 0)), "{}", end.size);
}

#[test]
fn nothing_is_built_on_a_tree_that_is_not_whole() {
    let mut rows = HashRows::default();
    let mut end = LogEnd { uid: "u".to_owned(), size: 0, record: 0, beat_at: 0 };
    rows.write(&end.append(&[], (0..200).map(|n| (0, plain(n))).collect(), 0).unwrap());
    end.size = 200;
    let more = || (200..256).map(|n| (0, plain(n))).collect::<Vec<_>>();
    let whole = rows.0.clone();
    rows.0.remove(&(0, 7));
    let lacking = end.append(&rows.found(&end.edge(56)), more(), 0).unwrap_err();
    assert_eq!(lacking, BrokenLog::Edge { level: 0, found: 199, wanted: 200 });
    rows.0 = whole;
    rows.0.insert((0, 7), "no hash".to_owned());
    assert_eq!(end.append(&rows.found(&end.edge(56)), more(), 0).unwrap_err(), lacking);
    assert_eq!(LogEnd::of(&[]), Err(BrokenLog::NoEnd));
}

#[test]
fn salts_are_drawn_for_each_leaf_and_are_told_to_nobody_by_chance() {
    let record = Story::of("uid", 1).bytes().remove(0);
    let [one, other] = [(); 2].map(|()| MadeLeaf::of_record(&record).unwrap());
    assert_ne!(one.bytes, other.bytes, "the same salts twice");
    assert_eq!(one.event, "");
    let read = MadeLeaf::of_event(&LogEvent::Read(read_of("ida"))).unwrap();
    assert!(read.event.contains("ida") && !read.bytes.contains("ida"), "{read:?}");
    let told = format!("{one:?} {read:?}");
    assert!(!told.contains(&one.salts) && !told.contains("ida"), "{told}");
    assert_eq!(
        MadeLeaf::of_record("{ }"),
        Err(NoLeaf::Unfit(LeafFault::Canonical(crate::core::proof::canonical::CanonicalFault::OtherForm,)))
    );
}

fn read_of(user: &str) -> LoggedRead {
    let by = RecordedPerson { username: user.to_owned(), uid: None, groups: None };
    LoggedRead { at: MicroTime(Clock::wall().now()), by, what: "records".to_owned(), found: 1 }
}

/// All leaves, as they are served; every tile and the root are those of the leaves.
pub async fn whole(store: &ArchiveStore) -> Vec<String> {
    let size = store.log_end().await.unwrap().size;
    let mut leaves = Vec::new();
    for start in (0..size).step_by(TILE_WIDTH.into()) {
        let tile = Tile::holding(TileKind::Entries, start, size).unwrap();
        leaves.extend(store.entries(tile).await.unwrap().unwrap());
        let hashes = store.hashes(Tile::holding(TileKind::Hashes(0), start, size).unwrap()).await.unwrap().unwrap();
        let some = &leaves[usize::try_from(start).unwrap()..];
        assert_eq!(hashes, some.iter().map(|leaf| TreeHash::of_leaf(leaf.as_bytes())).collect::<Vec<_>>());
    }
    assert_eq!(leaves.len() as u64, size);
    let root = root_of(size, &store.fetched(tiles_of_root(size)).await.unwrap()).unwrap();
    let other = if leaves.is_empty() { TreeHash::of_nothing() } else { oracle(&leaves) };
    assert_eq!(root, other, "{size} leaves");
    let beyond = Tile::new(TileKind::Entries, size >> 8, u16::try_from(size % 256 + 1).unwrap()).unwrap();
    assert_eq!(store.entries(beyond).await.unwrap(), None, "it has what it has not");
    leaves
}

/// The ids of the records, in the order of their leaves.
fn ids(leaves: &[String]) -> Vec<String> {
    let leaves = leaves.iter().map(|leaf| LeafEntry::read(leaf.as_bytes()).unwrap());
    let records = leaves.filter(|leaf| leaf.kind() == LeafKind::Record);
    records.map(|leaf| leaf.clear("/id").unwrap().as_str().unwrap().to_owned()).collect()
}

/// Tried on each store.
pub async fn each_record_is_one_leaf(store: &ArchiveStore) {
    assert_eq!(whole(store).await, [""; 0]);
    let mut wanted = Vec::new();
    for (n, count) in [3, 300, 1, 250, 7].into_iter().enumerate() {
        let story = Story::of(&format!("r{n}"), count);
        // What comes again, or does not fit, becomes nothing.
        for some in [&story.records[..1], &story.records, &story.records] {
            store.take("here", delivery(some.to_vec())).await.unwrap();
        }
        wanted.extend(story.records.iter().map(|record| record.id.clone()));
        store
            .keep_events(vec![MadeLeaf::of_event(&LogEvent::Read(read_of("ida"))).unwrap()], Vec::new())
            .await
            .unwrap();
        let leaves = whole(store).await;
        assert_eq!(ids(&leaves), wanted);
        assert_eq!(leaves.len(), wanted.len() + n + 1, "leaves of reads");
    }
    assert_eq!(store.catch_up().await.unwrap(), 0);
}

/// What a store was before it had a log.
pub async fn without_log(store: &ArchiveStore) {
    let tables =
        ["DELETE FROM leaf", "DELETE FROM leaf_opening", "DELETE FROM log_hash", "UPDATE log SET size = 0, record = 0"];
    let all = tables.map(|sql| Statement { sql: sql.to_owned(), values: Vec::new() });
    store.keep_events(Vec::new(), all.to_vec()).await.unwrap();
}

/// Tried on each store.
pub async fn records_from_before_the_log_get_leaves_in_their_order(store: &ArchiveStore) {
    let mut wanted = Vec::new();
    let mut keep = async |uid: &str, count: u32| {
        let story = Story::of(uid, count);
        store.take("here", story.delivery()).await.unwrap();
        wanted.extend(story.records.iter().map(|record| record.id.clone()));
        wanted.clone()
    };
    for uid in ["old-1", "old-2"] {
        keep(uid, 400).await;
    }
    without_log(store).await;
    assert_eq!(whole(store).await, [""; 0]);
    // What comes meanwhile waits for those before it, and what the archive says of itself for nobody.
    keep("new", 2).await;
    assert_eq!(store.catch_up().await.unwrap(), 256);
    assert_eq!(ids(&whole(store).await).len(), 256);
    store.keep_events(vec![MadeLeaf::of_event(&LogEvent::Read(read_of("ida"))).unwrap()], Vec::new()).await.unwrap();
    keep("newer", 2).await;
    for left in [256, 256, 36, 0] {
        assert_eq!(store.catch_up().await.unwrap(), left);
    }
    let wanted = keep("newest", 1).await;
    assert_eq!(ids(&whole(store).await), wanted);
}
