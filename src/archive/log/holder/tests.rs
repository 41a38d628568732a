use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::post;
use tokio::net::TcpListener;

use super::*;
use crate::archive::log::keeper::{DoneAt, LogKeeper};
use crate::archive::log::signer::LogSigner;
use crate::archive::store::sqlite::SqliteStore;
use crate::archive::tests::{Story, delivery};
use crate::core::proof::checkpoint::{Checkpoint, SigningPlace, TrustedKeys};
use crate::core::proof::note::NoteSignature;
use crate::core::proof::tree::{TreeHash, verify_consistency};
use crate::runtime::clock::Clock;
use crate::runtime::note_signer::{NoteSigner, SignerUse};

const ORIGIN: &str = "daypass.dev/archive/u";

/// A witness as the specification has it, over HTTP.
struct FakeWitness {
    signer: NoteSigner,
    last: Option<Checkpoint>,
    asked: usize,
    away: bool,
}

impl FakeWitness {
    fn key(&self) -> VerifierKey {
        VerifierKey::read(&self.signer.verifier_key()).unwrap()
    }

    fn add(&mut self, body: &str) -> (StatusCode, String) {
        self.asked += 1;
        if self.away {
            return (StatusCode::SERVICE_UNAVAILABLE, String::new());
        }
        let (head, note) = body.split_once("\n\n").unwrap();
        let mut lines = head.lines();
        let old: u64 = lines.next().unwrap().strip_prefix("old ").unwrap().parse().unwrap();
        let path: Vec<TreeHash> = lines.map(|line| TreeHash::from_base64(line).unwrap()).collect();
        let note = SignedNote::read(note).unwrap();
        let checkpoint = Checkpoint::read(note.text()).unwrap();
        let (size, root) = self.last.as_ref().map_or((0, TreeHash::of_nothing()), |last| (last.size, last.root));
        if old != size {
            return (StatusCode::CONFLICT, format!("{size}\n"));
        }
        if verify_consistency((size, root), (checkpoint.size, checkpoint.root), &path).is_err() {
            return (StatusCode::UNPROCESSABLE_ENTITY, String::new());
        }
        self.last = Some(checkpoint);
        let cosigned = NoteSignature::make(&self.key(), note.text(), 7, |bytes| self.signer.sign(bytes));
        (StatusCode::OK, cosigned.to_string())
    }
}

async fn listening() -> (Arc<Mutex<FakeWitness>>, LogWitness) {
    let signer = NoteSigner::generate("witness.example/w1", SignerUse::Witness).unwrap();
    let fake = Arc::new(Mutex::new(FakeWitness { signer, last: None, asked: 0, away: false }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answers = fake.clone();
    let routes =
        Router::new().route("/w/add-checkpoint", post(async move |body: String| answers.lock().unwrap().add(&body)));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let witness = LogWitness::at(&format!("{url}/w"), fake.lock().unwrap().key(), None).unwrap();
    (fake, witness)
}

struct GrowingLog {
    store: ArchiveStore,
    keeper: LogKeeper,
    records: u32,
    _folder: tempfile::TempDir,
}

impl GrowingLog {
    fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let store = ArchiveStore::Sqlite(SqliteStore::open(&folder.path().join("archive.db")).unwrap());
        let keeper = LogKeeper {
            store: store.clone(),
            origin: ORIGIN.to_owned(),
            signer: Some(LogSigner::Key(NoteSigner::generate(ORIGIN, SignerUse::Log).unwrap())),
            place: SigningPlace::Outside,
            every: Duration::ZERO,
            replica: "one".to_owned(),
            figures: LogFigures::default(),
            done: DoneAt::default(),
        };
        Self { store, keeper, records: 0, _folder: folder }
    }

    /// Grows by a record, and signs.
    async fn grow(&mut self) -> KeptCheckpoint {
        let story = Story::of("uid", self.records + 1);
        let record = story.records[self.records as usize].clone();
        self.store.take("here", delivery(vec![record])).await.unwrap();
        self.records += 1;
        self.keeper.pass(Clock::wall().now()).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_witness_cosigns_what_follows_and_its_cosignature_is_served() {
    let (fake, mut witness) = listening().await;
    let mut log = GrowingLog::new();
    for leaves in [2, 3, 4] {
        let checkpoint = log.grow().await;
        assert_eq!(checkpoint.size, leaves);
        witness.hold(&log.store, &checkpoint).await.unwrap();
        let kept = log.store.last_checkpoint().await.unwrap().unwrap();
        let log_key = log.keeper.signer.as_ref().unwrap().verifier(ORIGIN).unwrap();
        let trusted =
            TrustedKeys { origin: ORIGIN.to_owned(), log: vec![log_key], witnesses: vec![witness.key.clone()] };
        let check =
            |_: NoteKeyKind, public: &[u8], message: &[u8], signature: &[u8]| is_signed(public, message, signature);
        let opened = trusted.open(&kept.note, &check).unwrap();
        assert_eq!(opened.witnesses.get("witness.example/w1"), Some(&7));
        // It is not asked about the same once more.
        witness.hold(&log.store, &kept).await.unwrap();
        assert_eq!(fake.lock().unwrap().asked as u64, leaves - 1);
    }
    // After a restart it is not known how much the witness has seen, and the witness says it.
    let checkpoint = log.grow().await;
    witness.seen = 0;
    witness.hold(&log.store, &checkpoint).await.unwrap();
    assert_eq!(fake.lock().unwrap().last.as_ref().unwrap().size, 5);
}

#[tokio::test]
async fn what_a_witness_does_not_sign_counts_as_not_held() {
    let (fake, mut witness) = listening().await;
    let mut log = GrowingLog::new();
    let checkpoint = log.grow().await;
    fake.lock().unwrap().away = true;
    let fault = witness.hold(&log.store, &checkpoint).await.unwrap_err();
    assert!(matches!(fault, NotHeld::Answer(_)), "{fault}");
    fake.lock().unwrap().away = false;
    witness.hold(&log.store, &checkpoint).await.unwrap();
    // Another log, which has fewer leaves than the witness has seen.
    log.grow().await;
    let longer = log.grow().await;
    witness.hold(&log.store, &longer).await.unwrap();
    let mut other = GrowingLog::new();
    let short = other.grow().await;
    witness.seen = 0;
    let fault = witness.hold(&other.store, &short).await.unwrap_err();
    assert!(matches!(fault, NotHeld::Behind { witness: 4, log: 2 }), "{fault}");
    // And one of more leaves and another history, which the witness refuses.
    other.grow().await;
    other.grow().await;
    let fork = other.grow().await;
    witness.seen = 0;
    let fault = witness.hold(&other.store, &fork).await.unwrap_err();
    assert!(matches!(&fault, NotHeld::Answer(why) if why.contains("422")), "{fault}");
    // A cosignature of another key is none.
    let checkpoint = log.grow().await;
    let stranger = NoteSigner::generate("witness.example/w1", SignerUse::Witness).unwrap();
    witness.key = VerifierKey::read(&stranger.verifier_key()).unwrap();
    let fault = witness.hold(&log.store, &checkpoint).await.unwrap_err();
    assert!(matches!(&fault, NotHeld::Answer(_)), "{fault}");
    assert!(!log.store.last_checkpoint().await.unwrap().unwrap().note.contains("w1"), "it is served");
}

#[tokio::test]
async fn one_that_is_away_holds_up_nobody_else_and_is_told_by_a_figure() {
    let (fake, witness) = listening().await;
    fake.lock().unwrap().away = true;
    let mut log = GrowingLog::new();
    let folder = tempfile::tempdir().unwrap();
    let mut registry = prometheus_client::registry::Registry::default();
    let figures = LogFigures::registered(&mut registry);
    let checkpoint = log.grow().await;
    let (_sender, last) = watch::channel(Some(checkpoint.clone()));
    for holder in [CheckpointHolder::Witness(witness), CheckpointHolder::Folder(folder.path().to_owned())] {
        tokio::spawn(holder.serve(log.store.clone(), "u".to_owned(), figures.clone(), last.clone()));
    }
    let file = folder.path().join("u/checkpoint-2");
    let is_told = || {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let has = |holder: &str, at: u64| text.contains(&format!("{{holder=\"{holder}\"}} {at}.0\n"));
        has(&folder.path().display().to_string(), checkpoint.at) && has("witness.example/w1", 0)
    };
    while !(file.exists() && is_told() && fake.lock().unwrap().asked > 0) {
        tokio::task::yield_now().await;
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), checkpoint.note);
}

#[test]
fn a_folder_writes_over_nothing_and_notices_another_history() {
    let folder = tempfile::tempdir().unwrap();
    let signer = NoteSigner::generate(ORIGIN, SignerUse::Log).unwrap();
    let key = VerifierKey::read(&signer.verifier_key()).unwrap();
    let note = |root: TreeHash| {
        let (origin, place) = (ORIGIN.to_owned(), SigningPlace::Inside);
        let checkpoint = Checkpoint { origin, size: 3, root, at: Some(5), place };
        KeptCheckpoint { size: 3, at: 5, note: checkpoint.signed(&key, |text| signer.sign(text)).to_string() }
    };
    let (one, other) = (note(TreeHash::of_leaf(b"a")), note(TreeHash::of_leaf(b"b")));
    keep_file(folder.path(), &one).unwrap();
    let cosigned = KeptCheckpoint { note: format!("{}\u{2014} w AAAAAAAA\n", one.note), ..one.clone() };
    keep_file(folder.path(), &cosigned).unwrap();
    assert!(matches!(keep_file(folder.path(), &other), Err(NotHeld::Forked(_))));
    let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names, ["checkpoint-3"]);
    assert_eq!(std::fs::read_to_string(folder.path().join("checkpoint-3")).unwrap(), one.note);
}
