use std::path::Path;

use super::*;
use crate::archive::store::sqlite::SqliteStore;
use crate::archive::tests::{Story, delivery};
use crate::core::proof::audit::{AuditFinding, LeafStore, LogWalk};
use crate::core::proof::checkpoint::{SignedCheckpoint, TrustedKeys};
use crate::core::proof::leaf::LeafKind;
use crate::core::proof::note::NoteKeyKind;
use crate::core::proof::tile::{TILE_WIDTH, Tile, TileKind};
use crate::runtime::note_signer::{NoteSigner, SignerUse, is_signed};

const ORIGIN: &str = "daypass.dev/archive/u";
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

fn arithmetic(_: NoteKeyKind, public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    is_signed(public, message, signature)
}

fn open(folder: &Path) -> ArchiveStore {
    ArchiveStore::Sqlite(SqliteStore::open(&folder.join("archive.db")).unwrap())
}

fn keeper(store: &ArchiveStore, replica: &str, key: &str) -> LogKeeper {
    LogKeeper {
        store: store.clone(),
        origin: ORIGIN.to_owned(),
        signer: Some(LogSigner::Key(NoteSigner::read(key, ORIGIN, SignerUse::Log).unwrap())),
        place: SigningPlace::Inside,
        every: Duration::from_secs(60),
        replica: replica.to_owned(),
        figures: LogFigures::default(),
        done: DoneAt::default(),
    }
}

fn new_key() -> String {
    NoteSigner::generate(ORIGIN, SignerUse::Log).unwrap().private_key().unwrap()
}

/// What the key of the keeper signed.
fn signed(keeper: &LogKeeper, kept: &KeptCheckpoint) -> SignedCheckpoint {
    let log = vec![keeper.signer.as_ref().unwrap().verifier(ORIGIN).unwrap()];
    let trusted = TrustedKeys { origin: ORIGIN.to_owned(), log, witnesses: Vec::new() };
    trusted.open(&kept.note, &arithmetic).unwrap()
}

/// The whole log, held against all checkpoints of it.
async fn walked(store: &ArchiveStore, checkpoints: &[Checkpoint]) -> (Vec<AuditFinding>, u64) {
    let size = store.log_end().await.unwrap().size;
    let mut walk = LogWalk::new(checkpoints);
    for start in (0..size).step_by(TILE_WIDTH.into()) {
        let tile = Tile::holding(TileKind::Entries, start, size).unwrap();
        for leaf in store.entries(tile).await.unwrap().unwrap() {
            walk.step(leaf.as_bytes(), LeafStore::NotRead);
        }
    }
    let walked = walk.finish();
    (walked.findings, walked.counts.get(&LeafKind::Heartbeat).copied().unwrap_or_default())
}

#[tokio::test]
async fn what_grew_is_signed_each_minute_and_the_log_beats_each_hour() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (mut keeper, story) = (keeper(&store, "one", &new_key()), Story::of("uid", 300));
    let begin: Timestamp = "2026-11-30T10:00:00Z".parse().unwrap();
    let mut kept = Vec::new();
    // A pass at this time, after these records have come; how many leaves a new checkpoint is of.
    let mut at = async |minutes: i64, records: std::ops::Range<usize>| {
        store.take("here", delivery(story.records[records].to_vec())).await.unwrap();
        let checkpoint = keeper.pass(begin + MINUTE * i32::try_from(minutes).unwrap()).await.unwrap();
        kept.extend(checkpoint.iter().map(|checkpoint| signed(&keeper, checkpoint).checkpoint));
        checkpoint.map(|checkpoint| checkpoint.size)
    };
    assert_eq!(at(0, 0..0).await, Some(1), "the first heartbeat");
    assert_eq!(at(0, 0..1).await, None, "a minute has not passed");
    assert_eq!(at(1, 1..3).await, Some(4));
    assert_eq!(at(5, 3..3).await, None, "nothing has changed");
    assert_eq!(at(5, 3..280).await, Some(281));
    assert_eq!(at(60, 280..280).await, Some(282), "an hour later");
    assert_eq!(at(61, 280..280).await, None);
    // The clock is set back by a day.
    assert_eq!(at(-1440, 280..290).await, None, "it was signed a moment ago");
    let times: Vec<u64> = kept.iter().map(|checkpoint| checkpoint.at.unwrap()).collect();
    let second = u64::try_from(begin.as_second()).unwrap();
    assert_eq!(times, [0, 60, 300, 3600].map(|passed| second + passed));
    assert!(kept.iter().all(|checkpoint| checkpoint.place == SigningPlace::Inside));
    let told = store.checkpoints(1).await.unwrap();
    assert_eq!(told.iter().map(|one| one.size).collect::<Vec<_>>(), [4, 281, 282]);
    let (findings, beats) = walked(&store, &kept).await;
    assert_eq!((findings, beats), (vec![AuditFinding::Unsigned { said: 282, real: 292 }], 2));
}

#[tokio::test]
async fn a_clock_that_was_set_back_makes_no_earlier_time() {
    let folder = tempfile::tempdir().unwrap();
    let (store, key) = (open(folder.path()), new_key());
    let late: Timestamp = "2026-11-30T10:00:00Z".parse().unwrap();
    keeper(&store, "one", &key).pass(late).await.unwrap().unwrap();
    // A process that starts then knows of no other clock.
    let mut after = keeper(&store, "one", &key);
    let kept = after.pass(late - SignedDuration::from_hours(5)).await.unwrap().unwrap();
    let checkpoint = signed(&after, &kept).checkpoint;
    assert_eq!(checkpoint.at, u64::try_from(late.as_second()).ok());
    assert_eq!(walked(&store, &[checkpoint]).await, (Vec::new(), 2));
}

#[tokio::test]
async fn one_replica_does_it_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let (store, key) = (open(folder.path()), new_key());
    let now: Timestamp = "2026-11-30T10:00:00Z".parse().unwrap();
    let (mut one, mut other) = (keeper(&store, "one", &key), keeper(&store, "other", &key));
    assert!(one.pass(now).await.unwrap().is_some());
    store.take("here", Story::of("uid", 2).delivery()).await.unwrap();
    let soon = now + SignedDuration::from_secs(59);
    let mut hasty = keeper(&store, "hasty", &key);
    hasty.every = Duration::from_secs(1);
    assert!(hasty.pass(soon).await.unwrap().is_none(), "the first has it still");
    assert!(other.pass(now + MINUTE * 2).await.unwrap().is_some(), "it is given up in the end");
    let (findings, beats) = walked(&store, &[]).await;
    assert_eq!((findings, beats), (Vec::new(), 1));
}

#[tokio::test]
async fn nothing_is_signed_on_a_store_that_was_changed_by_hand() {
    let now: Timestamp = "2026-11-30T10:00:00Z".parse().unwrap();
    for (change, is_lacking) in [
        (
            "UPDATE log_hash SET hash = (SELECT hash FROM log_hash WHERE place = 2 AND level = 0) WHERE place = 1 AND level = 0",
            false,
        ),
        ("DELETE FROM log_hash WHERE level = 0 AND place = 3", true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let (mut keeper, story) = (keeper(&store, "one", &new_key()), Story::of("uid", 9));
        store.take("here", delivery(story.records[..5].to_vec())).await.unwrap();
        let first = keeper.pass(now).await.unwrap().unwrap();
        store.take("here", delivery(story.records[5..].to_vec())).await.unwrap();
        let beside = rusqlite::Connection::open(folder.path().join("archive.db")).unwrap();
        assert_eq!(beside.execute(change, []).unwrap(), 1);
        match keeper.pass(now + MINUTE).await {
            Err(KeeperFault::Forked(LogBreak::Forked(_))) => assert!(!is_lacking, "{change}"),
            Err(KeeperFault::Tree(NoProof::Lacking(_))) => assert!(is_lacking, "{change}"),
            other => panic!("{change}: {other:?}"),
        }
        assert_eq!(store.last_checkpoint().await.unwrap(), Some(first), "{change}");
    }
}

#[tokio::test]
async fn a_heartbeat_tells_what_is_known_of_each_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let ended = Story::told("ended", 2, |record| {
        record.outcome = if record.index == 1 { crate::api::record::RecordOutcome::Ended } else { record.outcome };
    });
    for story in [ended, Story::of("asked", 3), Story::told("there", 1, |record| record.cluster = "there".to_owned())] {
        store.take(&story.cluster, story.delivery()).await.unwrap();
    }
    let beats = store.beat_of_clusters(Clock::wall().now()).await.unwrap();
    let of =
        |cluster: &str| beats[cluster].requests.iter().map(|(state, n)| format!("{state} {n}")).collect::<Vec<_>>();
    assert_eq!(
        (of("here"), of("there")),
        (vec!["Asked 1".to_owned(), "Closed 1".to_owned()], vec!["Asked 1".to_owned()])
    );
    assert_eq!((&beats["here"].guards, beats["here"].feed_lag_seconds), (&None, None));
}
