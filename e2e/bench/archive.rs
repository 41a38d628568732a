//! The archive beside plain SQL: the same records by its HTTP intake, as controllers push them, and as inserts of the same
//! rows into the same tables with the same indexes, in SQLite and in PostgreSQL. No API server is measured.

mod intake;
mod plain;
pub mod records;

use std::time::Duration;

use daypass::archive::store::ArchiveStore;
use daypass::archive::store::postgres::PostgresStore;
use daypass::archive::store::sqlite::SqliteStore;
use tokio::time::Instant;

use self::intake::BenchArchive;
use self::plain::{PlainPostgres, PlainSqlite};
use self::records::{BATCHES_APART, RecordMill, person};
use super::figures::Spread;
use super::in_millis;
use crate::harness::ControlPlane;
use crate::harness::issuer::Issuer;
use crate::harness::postgres::PostgresServer;

/// How many records are kept, if nobody says otherwise.
const RECORDS: usize = 1_000_000;
/// How many searches are timed.
const SEARCHES: usize = 500;
/// Records on a page that is searched for.
const PAGE: usize = 50;

/// How many records; `DAYPASS_RECORDS` says another number.
pub fn wanted() -> usize {
    let said = std::env::var("DAYPASS_RECORDS").ok().filter(|said| !said.is_empty());
    said.map_or(RECORDS, |said| said.parse().expect("DAYPASS_RECORDS is a number"))
}

/// Measures and prints.
pub async fn measure() {
    let (control_plane, issuer) = (ControlPlane::start().await, Issuer::start().await);
    let many = RecordMill::batches(wanted());
    println!(
        "The archive: {} records in batches of up to {} by {} clients",
        many.records,
        many.largest,
        intake::CLIENTS
    );
    println!("{:<54} {:>9} {:>9} {:>9}", "", "records/s", "bytes", "memory");
    let folder = tempfile::tempdir().expect("make a folder");
    let file = folder.path().join("archive.db");
    let of_sqlite = format!("--database={}", file.display());
    let size = |file: &std::path::Path| file.metadata().map_or(0, |file| file.len());
    let archive = BenchArchive::start(&control_plane, &issuer, &[of_sqlite]).await;
    let took = ingest(&many, async |bodies| archive.push(bodies).await).await;
    let through = search(async |person| archive.search(person).await).await;
    let memory = archive.memory();
    drop(archive);
    line("SQLite: by the archive", many.records, took, size(&file), &memory);
    let alone = ArchiveStore::Sqlite(SqliteStore::open(&folder.path().join("alone.db")).expect("open the store"));
    store_alone("SQLite: by the store alone", &alone).await;
    let mut plain = PlainSqlite::new(&folder.path().join("plain.db"));
    let took = ingest(&many, async |chunk| plain.insert(chunk)).await;
    let by_sql = search(async |person| plain.search(person)).await;
    let bytes = plain.size();
    line("SQLite: plain inserts", many.records, took, bytes, "");
    drop(plain);
    searched("SQLite", &through, &by_sql);

    let Some(server) = PostgresServer::start(&["shared_buffers=256MB", "max_wal_size=4GB"]) else {
        return PostgresServer::say_left_out("the part of the archive in PostgreSQL");
    };
    let url = server.database("archive");
    let archive = BenchArchive::start(&control_plane, &issuer, &[format!("--database-url={url}")]).await;
    let took = ingest(&many, async |bodies| archive.push(bodies).await).await;
    let through = search(async |person| archive.search(person).await).await;
    let memory = archive.memory();
    drop(archive);
    line("PostgreSQL: by the archive", many.records, took, plain::size_of(&url).await, &memory);
    let alone = PostgresStore::open(&server.database("alone"), None).await.expect("open the store");
    store_alone("PostgreSQL: by the store alone", &ArchiveStore::Postgres(alone)).await;
    let url = server.database("plain");
    let mut plain = PlainPostgres::new(&url).await;
    let took = ingest(&many, async |chunk| plain.copy(chunk).await).await;
    let by_sql = search(async |person| plain.search(person).await).await;
    line("PostgreSQL: plain COPY", many.records, took, plain::size_of(&url).await, "");
    searched("PostgreSQL", &through, &by_sql);
    println!();
}

/// Some of the records, one batch after the other, without HTTP and JSON.
async fn store_alone(what: &str, store: &ArchiveStore) {
    let some = RecordMill::batches(wanted() / 10);
    let taken = async |chunk: Vec<records::Batch>| {
        for batch in chunk {
            store.take("bench", batch.delivery()).await.expect("it is kept");
        }
    };
    let took = ingest(&some, taken).await;
    println!("{what:<54} {:>9.0}", some.records as f64 / took.as_secs_f64());
}

/// Has all records taken, chunk by chunk. The time that making them takes is left out.
async fn ingest(many: &records::Batches, mut take: impl AsyncFnMut(Vec<records::Batch>)) -> Duration {
    let (mut mill, mut took) = (RecordMill::default(), Duration::ZERO);
    let mut left = many.batches;
    while left > 0 {
        let chunk: Vec<_> = (0..left.min(BATCHES_APART)).map(|_| mill.batch()).collect();
        left -= chunk.len();
        let begin = Instant::now();
        take(chunk).await;
        took += begin.elapsed();
    }
    took
}

/// Each of some people is searched for once.
async fn search(mut find: impl AsyncFnMut(String) -> usize) -> Spread {
    let mut took = Vec::new();
    for n in 0..SEARCHES {
        let begin = Instant::now();
        let found = find(person(n * 7)).await;
        took.push(begin.elapsed());
        assert!(found > 0, "nothing is found of {}", person(n * 7));
    }
    Spread::of(in_millis(&took))
}

fn line(what: &str, records: usize, took: Duration, bytes: u64, memory: &str) {
    let (rate, each) = (records as f64 / took.as_secs_f64(), bytes as f64 / records as f64);
    println!("{what:<54} {rate:>9.0} {each:>9.0} {memory:>9}");
}

fn searched(engine: &str, through: &Spread, plain: &Spread) {
    let what = format!("{engine}: {PAGE} records of a person, p50 and p99, ms");
    println!("{what:<54} {:>9.2} {:>9.2}", through.p50, through.p99);
    println!("{:<54} {:>9.2} {:>9.2}", "  the same by plain SQL", plain.p50, plain.p99);
}
