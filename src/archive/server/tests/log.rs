//! The log as it is served, and who may have it.

use super::*;
use crate::archive::log::figures::LogFigures;
use crate::archive::log::keeper::{DoneAt, LogKeeper};
use crate::archive::log::leaf::MadeLeaf;
use crate::archive::log::signer::{LogSigner, SignerSource};
use crate::core::proof::checkpoint::{Checkpoint, SigningPlace};
use crate::core::proof::climb::root_of;
use crate::core::proof::field::{FieldSalt, FieldSalts};
use crate::core::proof::leaf::{LeafEntry, LeafKind};
use crate::core::proof::note::SignedNote;
use crate::core::proof::tile::{Tile, read_entries, read_hashes};
use crate::core::proof::tree::TreeHash;
use crate::runtime::clock::Clock;

const LOG: &str = "/apis/archive.daypass.dev/v1/log";
const OPENINGS: &str = "/apis/archive.daypass.dev/v1/openings";

impl OpenArchive {
    /// Does what is due, and signs.
    async fn sign(&self) {
        let database = self._folder.path().join("archive.db");
        let signer = LogSigner::open(SignerSource::Own, "daypass.dev/archive/u", Some(&database)).unwrap();
        let mut keeper = LogKeeper {
            store: self.store.clone(),
            origin: "daypass.dev/archive/u".to_owned(),
            signer,
            place: SigningPlace::Inside,
            every: std::time::Duration::ZERO,
            replica: "one".to_owned(),
            figures: LogFigures::default(),
            done: DoneAt::default(),
        };
        keeper.pass(Clock::wall().now()).await.unwrap();
    }

    async fn log(&self, path: &str) -> (StatusCode, Vec<u8>) {
        self.call_for_bytes(Some(&self.proxy), get_for("auditor", &format!("{LOG}?path={path}"))).await.unwrap()
    }
}

fn salts(item: &Value) -> FieldSalts {
    use base64::Engine;
    let all = item["salts"].as_object().unwrap().iter().map(|(path, salt)| {
        let bytes = base64::engine::general_purpose::STANDARD.decode(salt.as_str().unwrap()).unwrap();
        (path.clone(), FieldSalt::new(bytes.try_into().unwrap()))
    });
    all.collect()
}

#[tokio::test]
async fn the_log_is_served_as_tiles_that_give_the_root_of_its_checkpoint() {
    let archive = OpenArchive::start().await;
    assert_eq!(archive.log("checkpoint").await.0, StatusCode::NOT_FOUND);
    let story = Story::of("uid", 259);
    archive.store.take("here", story.delivery()).await.unwrap();
    archive.sign().await;
    let (code, note) = archive.log("checkpoint").await;
    assert_eq!(code, StatusCode::OK);
    let note = String::from_utf8(note).unwrap();
    let checkpoint = Checkpoint::read(SignedNote::read(&note).unwrap().text()).unwrap();
    assert_eq!((checkpoint.size, checkpoint.place), (260, SigningPlace::Inside));
    let (mut leaves, mut tiles) = (Vec::new(), crate::core::proof::climb::FetchedTiles::new());
    for path in ["tile/0/000", "tile/0/001.p/4", "tile/1/000.p/1"] {
        let tile = Tile::read(path).unwrap();
        tiles.insert(tile, read_hashes(tile, &archive.log(path).await.1).unwrap());
    }
    assert_eq!(root_of(260, &tiles), Ok(checkpoint.root));
    for path in ["tile/entries/000", "tile/entries/001.p/4"] {
        let (tile, bytes) = (Tile::read(path).unwrap(), archive.log(path).await.1);
        leaves.extend(read_entries(tile, &bytes).unwrap().into_iter().map(|leaf| LeafEntry::read(leaf).unwrap()));
    }
    let first: Vec<TreeHash> = leaves[..256].iter().map(LeafEntry::hash).collect();
    assert_eq!(Some(&first), tiles.get(&Tile::read("tile/0/000").unwrap()));
    for path in ["tile/0/001", "tile/0/001.p/9", "tile/2/000.p/1", "tile/0/0", "../archive.db", "", "records"] {
        assert_eq!(archive.log(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    let openings = archive.read("auditor", &format!("{OPENINGS}?from=3")).await.1;
    let openings: Value = serde_json::from_str(&openings).unwrap();
    assert_eq!((openings["items"].as_array().unwrap().len(), &openings["size"]), (256, &json!(260)));
    let item = &openings["items"][0];
    let (record, place) = (item["record"].as_str().unwrap(), item["place"].as_u64().unwrap());
    assert_eq!((record, place), (story.bytes()[3].as_str(), 3));
    assert!(leaves[3].compare(record, &salts(item)).unwrap().contains_key("/subject/username"));
    // That was a read, which is a leaf too, and opened for who may read all.
    archive.sign().await;
    let rest: Value = serde_json::from_str(&archive.read("auditor", &format!("{OPENINGS}?from=260")).await.1).unwrap();
    let event = &rest["items"][0]["event"];
    assert_eq!((&event["by"]["username"], &event["found"]), (&json!("auditor"), &json!(256)));
    assert!(event["what"].as_str().unwrap().contains("openings"), "{event}");
    assert_eq!(rest["items"][0]["record"], Value::Null);
    let told = archive.log("checkpoints&after=259").await.1;
    let told: Value = serde_json::from_slice(&told).unwrap();
    let sizes: Vec<u64> = told["items"].as_array().unwrap().iter().map(|one| one["size"].as_u64().unwrap()).collect();
    assert_eq!(sizes, [260, 261]);
    assert_eq!((&told["items"][0]["note"], &told["items"][0]["at"]), (&json!(note), &json!(checkpoint.at)));
    let reads = archive.read("auditor", "/apis/archive.daypass.dev/v1/reads").await.1;
    assert!(reads.contains("openings") && !reads.contains("\"log\""), "{reads}");
}

#[tokio::test]
async fn only_who_has_the_right_gets_the_log_and_erased_fields_are_left_out() {
    let archive = OpenArchive::start().await;
    archive.store.take("here", Story::of("uid", 2).delivery()).await.unwrap();
    archive.sign().await;
    for path in [format!("{LOG}?path=checkpoint"), OPENINGS.to_owned()] {
        for (user, code) in [("auditor", 200), ("reader-of-records", 403), ("shopkeeper", 403), ("alice", 403)] {
            assert_eq!(archive.read(user, &path).await.0.as_u16(), code, "{user} {path}");
        }
        assert_eq!(archive.call(None, get_for("auditor", &path)).await.unwrap().0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(archive.read("auditor", "/log/checkpoint").await.0, StatusCode::OK);
    assert_eq!(archive.read("alice", "/log/checkpoint").await.0, StatusCode::FORBIDDEN);
    for bad in [
        LOG,
        &format!("{LOG}?path=checkpoint&after=3"),
        &format!("{LOG}?path=checkpoint&size=3"),
        &format!("{OPENINGS}?from=x"),
    ] {
        assert_eq!(archive.read("auditor", bad).await.0, StatusCode::BAD_REQUEST, "{bad}");
    }
    let beside = rusqlite::Connection::open(archive._folder.path().join("archive.db")).unwrap();
    beside.execute_batch("DELETE FROM leaf_opening WHERE place = 0; DELETE FROM record WHERE n = 1").unwrap();
    let openings: Value = serde_json::from_str(&archive.read("auditor", OPENINGS).await.1).unwrap();
    assert_eq!(openings["items"][0], json!({ "place": 0 }));
    assert!(openings["items"][1]["record"].is_string(), "{openings}");
}

#[tokio::test]
async fn a_record_that_cannot_be_a_leaf_is_refused_with_the_reason() {
    let archive = OpenArchive::start().await;
    // A record may have fields of tomorrow, and one of them a name that readers sort differently.
    let good = Story::of("uid", 1).bytes().remove(0);
    let bad = good.replacen('{', "{\"\u{e9}\":1,", 1);
    let value: Value = serde_json::from_str(&bad).unwrap();
    let (code, answer) = archive.push("push", value.to_string()).await;
    assert_eq!(code, StatusCode::BAD_REQUEST, "{answer}");
    assert!(
        answer["message"].as_str().unwrap().starts_with("line 1: it cannot stand in the archive's log"),
        "{answer}"
    );
    assert!(
        MadeLeaf::of_record(&good)
            .is_ok_and(|leaf| LeafEntry::read(leaf.bytes.as_bytes()).unwrap().kind() == LeafKind::Record)
    );
}
