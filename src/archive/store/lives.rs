//! What a store lives through: a kill at each write, a full disk, a backup and its restore, an earlier version, and two
//! archives on one database.

use std::path::Path;
use std::process::Stdio;

use rusqlite::Connection;

use super::super::tests::{Story, delivery};
use super::postgres::PostgresStore;
use super::search::Search;
use super::sqlite::{self, SqliteStore};
use super::tests::{PostgresServer, all, keep};
use super::{ArchiveStore, StoreError};

fn open(file: &Path) -> ArchiveStore {
    ArchiveStore::Sqlite(SqliteStore::open(file).unwrap())
}

/// Each write goes to the end of the log beside the file, so a kill leaves the log up to some byte.
#[tokio::test]
async fn a_kill_at_any_write_loses_nothing_that_was_answered_and_leaves_nothing_half() {
    let folder = tempfile::tempdir().unwrap();
    let (file, log) = (folder.path().join("archive.db"), folder.path().join("archive.db-wal"));
    let (answered, cut) = (Story::of("answered", 3), Story::of("cut", 4));
    let store = open(&file);
    let begin = log.metadata().unwrap().len();
    keep(&store, &answered).await;
    let answered_at = log.metadata().unwrap().len();
    keep(&store, &cut).await;
    let whole = std::fs::read(&log).unwrap();
    let main = std::fs::read(&file).unwrap();
    assert!(begin < answered_at && answered_at < whole.len() as u64, "nothing is written to the log");
    // A frame is a page with a head of 24 bytes. Cut behind each, and within each.
    let frame = 4096 + 24;
    let (first, last) = (usize::try_from(answered_at).unwrap(), whole.len());
    let cuts: Vec<usize> = (first..=last).filter(|at| [0, 12, 2000].contains(&((at - first) % frame))).collect();
    let mut seen = [0, 0];
    for at in &cuts {
        let life = tempfile::tempdir().unwrap();
        let copy = life.path().join("archive.db");
        std::fs::write(&copy, &main).unwrap();
        std::fs::write(life.path().join("archive.db-wal"), &whole[..*at]).unwrap();
        let store = open(&copy);
        let held = store.held("here", vec!["answered".into(), "cut".into()]).await.unwrap();
        assert_eq!(held.get("answered"), Some(&answered.held(3)), "cut at {at}");
        let of_cut = all(&store, Search { request: Some("cut".into()), ..Search::default() }).await.len();
        assert_eq!(of_cut, held.get("cut").map_or(0, |held| held.held as usize), "half of it, cut at {at}");
        assert!([0, 4].contains(&of_cut), "half of it, cut at {at}");
        seen[usize::from(of_cut == 4)] += 1;
        // Whoever sends again is answered as if nothing had been.
        keep(&store, &cut).await;
        keep(&store, &answered).await;
        assert_eq!(all(&store, Search::default()).await.len(), 7);
    }
    assert!(seen[0] > 10 && seen[1] > 0, "{seen:?}");
}

#[tokio::test]
async fn a_full_disk_refuses_keeps_nothing_half_and_goes_on_when_there_is_space() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("archive.db");
    drop(open(&file));
    let beside = Connection::open(&file).unwrap();
    beside.execute_batch("CREATE TABLE ballast (b BLOB); INSERT INTO ballast VALUES (zeroblob(400000));").unwrap();
    let pages: i64 = beside.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    let store = ArchiveStore::Sqlite(SqliteStore::open_within(&file, pages + 60).unwrap());
    let (mut kept, mut refused) = (0, None);
    while refused.is_none() {
        let story = Story::of(&format!("r{kept}"), 5);
        match store.take("here", story.delivery()).await {
            Ok(answers) => assert_eq!(answers[0].held, story.held(5)),
            Err(error) => refused = Some((story, error)),
        }
        kept += 1;
        assert!(kept < 1000, "it is never full");
    }
    let (story, error) = refused.unwrap();
    assert!(matches!(error, StoreError::Full(_)), "{error}");
    let uid = story.records[0].request.uid.clone();
    assert!(kept > 2, "it was full from the start");
    assert_eq!(store.held("here", vec![uid.clone()]).await.unwrap().len(), 0);
    assert_eq!(all(&store, Search { request: Some(uid.clone()), ..Search::default() }).await.len(), 0);
    assert_eq!(all(&store, Search { limit: 1000, ..Search::default() }).await.len(), (kept - 1) * 5);
    beside.execute_batch("DROP TABLE ballast").unwrap();
    keep(&store, &story).await;
    assert_eq!(all(&store, Search { request: Some(uid), ..Search::default() }).await.len(), 5);
    let sound: String = beside.pragma_query_value(None, "integrity_check", |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}

/// What came after a backup is told to be missing, and comes again. `restored` is what a backup of the first three came to.
async fn is_made_whole_again(restored: &ArchiveStore, story: &Story) {
    assert_eq!(all(restored, Search { text: Some("fix".into()), ..Search::default() }).await.len(), 3);
    assert_eq!(restored.held("here", vec!["uid".into()]).await.unwrap()["uid"], story.held(3));
    let answer = restored.take("here", delivery(story.records[6..].to_vec())).await.unwrap().remove(0);
    assert_eq!(answer.refused.map(|refused| refused.send_from), Some(3));
    let answer = restored.take("here", delivery(story.records[3..].to_vec())).await.unwrap().remove(0);
    assert_eq!((answer.held, answer.refused), (story.held(9), None));
    let newest_first: Vec<String> = story.bytes().into_iter().rev().collect();
    assert_eq!(all(restored, Search::default()).await, newest_first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_sqlite_is_made_while_others_write_and_what_came_later_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let (file, copy) = (folder.path().join("archive.db"), folder.path().join("copy.db"));
    let (store, story) = (open(&file), Story::of("uid", 9));
    store.take("here", delivery(story.records[..3].to_vec())).await.unwrap();
    sqlite::copy(&file, &copy).unwrap();
    store.take("here", delivery(story.records[3..].to_vec())).await.unwrap();
    is_made_whole_again(&open(&copy), &story).await;
    assert!(sqlite::copy(&file, &copy).is_err(), "it writes over a file");
    // While others write: each copy has whole deliveries, and all that was answered before it began.
    let writer = {
        let store = store.clone();
        tokio::spawn(async move {
            for n in 0..60 {
                keep(&store, &Story::of(&format!("w{n}"), 4)).await;
            }
        })
    };
    for n in 0.. {
        let before = all(&store, Search::default()).await.len();
        let into = folder.path().join(format!("copy-{n}.db"));
        let from = file.clone();
        let to = into.clone();
        tokio::task::spawn_blocking(move || sqlite::copy(&from, &to)).await.unwrap().unwrap();
        let copied = all(&open(&into), Search::default()).await.len();
        assert!(copied >= before && (copied - 9).is_multiple_of(4), "{before} before, {copied} in the copy");
        if writer.is_finished() {
            break;
        }
    }
    writer.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_archives_on_one_postgres_lose_nothing_and_a_dump_is_restored() {
    let Some(server) = PostgresServer::start(&["fsync=off"]) else {
        return PostgresServer::say_left_out("archive::store::lives::two_archives_on_one_postgres_lose_nothing");
    };
    let url = server.database("two");
    let replica = async || ArchiveStore::Postgres(PostgresStore::open(&url, None).await.unwrap());
    let replicas = [replica().await, replica().await];
    // Both push the same, as two leaders do for a moment, and each something of its own.
    let pushing = replicas.iter().enumerate().map(|(n, store)| {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0..60 {
                let (both, own) = (Story::of(&format!("both-{round}"), 3), Story::of(&format!("own-{n}-{round}"), 2));
                let records = [both.records.clone(), own.records.clone()].concat();
                let answers = store.take("here", delivery(records)).await.unwrap();
                assert!(answers.iter().all(|answer| answer.refused.is_none()), "{answers:?}");
                assert_eq!(answers.iter().map(|answer| answer.held.held).collect::<Vec<_>>(), [3, 2]);
            }
        })
    });
    for replica in pushing.collect::<Vec<_>>() {
        replica.await.unwrap();
    }
    let found = all(&replicas[0], Search { limit: 1000, ..Search::default() }).await;
    assert_eq!(found.len(), 60 * (3 + 2 + 2));
    assert_eq!(found.iter().collect::<std::collections::BTreeSet<_>>().len(), found.len(), "something is there twice");

    let (url, story) = (server.database("dumped"), Story::of("uid", 9));
    let store = ArchiveStore::Postgres(PostgresStore::open(&url, None).await.unwrap());
    store.take("here", delivery(story.records[..3].to_vec())).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let dump = folder.path().join("dump");
    let program = |program: &str, args: &[&str]| {
        let status = server.client(program).args(args).arg(&dump).stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), "{program}");
    };
    program("pg_dump", &["--format=custom", "--dbname=dumped", "--file"]);
    store.take("here", delivery(story.records[3..].to_vec())).await.unwrap();
    let url = server.database("restored");
    program("pg_restore", &["--dbname=restored", "--exit-on-error"]);
    is_made_whole_again(&ArchiveStore::Postgres(PostgresStore::open(&url, None).await.unwrap()), &story).await;
}

/// Written by the first version of these tables.
const SCHEMA_1: &[u8] = include_bytes!("schema-1.db");

#[tokio::test]
async fn a_file_of_the_first_version_is_taken_over_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("archive.db");
    std::fs::write(&file, SCHEMA_1).unwrap();
    let (store, story) = (open(&file), Story::of("uid", 9));
    let ends = store.open_chains("here", 0).await.unwrap();
    assert_eq!(ends.iter().map(|end| &end.bytes).collect::<Vec<_>>(), [&story.bytes()[2]]);
    is_made_whole_again(&store, &story).await;
    for search in [
        Search { person: Some("carol".into()), ..Search::default() },
        Search { kind: Some("Reviewed".into()), until: Some(story.at(2)), ..Search::default() },
    ] {
        assert_eq!(all(&store, search).await, [story.bytes()[1].clone()]);
    }
    assert_eq!(store.text(&crate::api::record::digest(b"{}")).await.unwrap(), Some("{}".to_owned()));
}

#[tokio::test]
async fn postgres_is_spoken_to_by_tls_that_verifies_it_or_not_at_all() {
    let authority = Authority::new();
    let (chain, key) = authority.server("localhost");
    let Some(server) = PostgresServer::start_with_tls(&["fsync=off"], &chain, &key) else {
        return PostgresServer::say_left_out("archive::store::lives::postgres_is_spoken_to_by_tls");
    };
    let folder = tempfile::tempdir().unwrap();
    let (right, wrong) = (folder.path().join("ca.crt"), folder.path().join("other.crt"));
    std::fs::write(&right, authority.0.pem()).unwrap();
    std::fs::write(&wrong, Authority::new().0.pem()).unwrap();
    let by_socket = server.database("archive");
    let url = |host: &str, mode: &str| format!("postgresql://postgres@{host}:{}/archive{mode}", server.port);
    for mode in ["", "?sslmode=require", "?sslmode=verify-full"] {
        let store = PostgresStore::open(&url("localhost", mode), Some(&right)).await.unwrap();
        let connections = "SELECT count(*), bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
            WHERE application_name = 'daypass-archive' AND state IS NOT NULL";
        let output = server.client("psql").args(["-qtA", "-d", "archive", "-c", connections]).output().unwrap();
        let counted = String::from_utf8(output.stdout).unwrap();
        assert!(counted.trim().ends_with("|t"), "{mode}: {counted}");
        drop(store);
        for (host, authority) in [("localhost", &wrong), ("127.0.0.1", &right)] {
            let refused = PostgresStore::open(&url(host, mode), Some(authority)).await.unwrap_err();
            assert!(matches!(refused, StoreError::Postgres(_)), "{host} {mode}: {refused}");
        }
    }
    for mode in ["?sslmode=require", "?sslmode=verify-full"] {
        let refused = PostgresStore::open(&url("localhost", mode), None).await.unwrap_err();
        assert!(matches!(refused, StoreError::Address(_)), "{mode}: {refused}");
    }
    says_nothing_to_a_server_without_tls(&right).await;
    // There is no TLS on a socket, and an authority demands it.
    assert!(PostgresStore::open(&by_socket, Some(&right)).await.is_err());
    assert!(PostgresStore::open(&by_socket, None).await.is_ok());
}

/// Neither a name nor a password goes to whoever answers that it speaks no TLS.
async fn says_nothing_to_a_server_without_tls(authority: &Path) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgresql://postgres:secret@localhost:{}/archive", listener.local_addr().unwrap().port());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 8];
        stream.read_exact(&mut asked).await.unwrap();
        stream.write_all(b"N").await.unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        rest
    });
    let refused = PostgresStore::open(&url, Some(authority)).await.unwrap_err();
    assert!(matches!(refused, StoreError::Postgres(_)), "{refused}");
    assert_eq!(server.await.unwrap(), b"", "it was told something in the clear");
}

/// An authority that signs certificates of servers.
struct Authority(rcgen::CertifiedIssuer<'static, rcgen::KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        Self(rcgen::CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// A certificate for this name and its key, in PEM.
    fn server(&self, name: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}
