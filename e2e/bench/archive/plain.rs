//! The same rows by plain SQL, as fast as it can be written: prepared statements in a transaction a batch for SQLite, COPY in
//! a transaction a batch for PostgreSQL. Tables and indexes are the archive's.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use daypass::archive::store::schema;
use futures::SinkExt;
use hyper::body::Bytes;
use rusqlite::{Connection, params};
use tokio_postgres::{NoTls, Transaction};

use super::PAGE;
use super::records::{Batch, uid};

const FIND: &str = "SELECT r.body FROM person d JOIN record r ON r.n = d.n WHERE d.username = $1
    ORDER BY d.at DESC, d.n DESC LIMIT $2";

/// A file with the tables of the archive.
pub struct PlainSqlite {
    file: PathBuf,
    connection: Connection,
}

impl PlainSqlite {
    pub fn new(file: &Path) -> Self {
        let connection = Connection::open(file).expect("open the file");
        connection.pragma_update(None, "journal_mode", "WAL").expect("set");
        connection.pragma_update(None, "synchronous", "FULL").expect("set");
        connection.execute_batch(&schema::SQLITE.join("\n")).expect("make the tables");
        connection.execute("INSERT INTO cluster VALUES (1, 'bench')", []).expect("insert");
        Self { file: file.to_owned(), connection }
    }

    pub fn insert(&mut self, batches: Vec<Batch>) {
        for batch in batches {
            let transaction = self.connection.transaction().expect("begin");
            insert(&transaction, &batch).expect("insert");
            transaction.commit().expect("commit");
        }
    }

    pub fn search(&self, person: String) -> usize {
        let mut find = self.connection.prepare_cached(FIND).expect("a statement");
        let rows = find.query_map(params![person, PAGE as i64], |row| row.get::<_, String>(0)).expect("rows");
        rows.collect::<rusqlite::Result<Vec<_>>>().expect("rows").len()
    }

    /// Of the file, with all that was in its log.
    pub fn size(&self) -> u64 {
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("a checkpoint");
        self.file.metadata().expect("its size").len()
    }
}

fn insert(connection: &Connection, batch: &Batch) -> rusqlite::Result<()> {
    let mut request =
        connection.prepare_cached("INSERT INTO request (n, cluster, uid, held, digest) VALUES ($1, 1, $2, 4, '')")?;
    for new in batch.new.clone() {
        request.execute(params![new as i64 + 1, uid(new)])?;
    }
    let mut record = connection.prepare_cached(
        "INSERT INTO record (request, idx, cluster, at, kind, outcome, role, policy, body)
         VALUES ($1, $2, 1, $3, $4, $5, $6, $7, $8)",
    )?;
    let mut person = connection.prepare_cached("INSERT INTO person VALUES ($1, $2, $3)")?;
    let mut place = connection.prepare_cached("INSERT INTO place VALUES ($1, $2, $3)")?;
    let mut word = connection.prepare_cached("INSERT INTO word (rowid, words) VALUES ($1, $2)")?;
    for (request, arrival, by) in batch.rows() {
        let (request, index, body) = (request as i64 + 1, arrival.record.index, &arrival.bytes);
        record.execute(params![request, index, by.at, by.kind, by.outcome, by.role, by.policy, body])?;
        let n = connection.last_insert_rowid();
        for name in &by.people {
            person.execute(params![name, by.at, n])?;
        }
        for name in &by.places {
            place.execute(params![name, by.at, n])?;
        }
        word.execute(params![n, by.words])?;
    }
    Ok(())
}

/// A database with the tables of the archive.
pub struct PlainPostgres {
    client: tokio_postgres::Client,
    last: i64,
}

async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("connect");
    tokio::spawn(connection);
    client
}

/// How large a database is.
pub async fn size_of(url: &str) -> u64 {
    let client = connect(url).await;
    let row = client.query_one("SELECT pg_database_size(current_database())", &[]).await.expect("its size");
    u64::try_from(row.get::<_, i64>(0)).expect("a size")
}

impl PlainPostgres {
    pub async fn new(url: &str) -> Self {
        let client = connect(url).await;
        client.batch_execute(&schema::POSTGRES.join("\n")).await.expect("make the tables");
        client.batch_execute("INSERT INTO cluster (uid) VALUES ('bench')").await.expect("insert");
        Self { client, last: 0 }
    }

    pub async fn copy(&mut self, batches: Vec<Batch>) {
        for batch in batches {
            let [mut requests, mut records, mut people, mut places] = [const { String::new() }; 4];
            for new in batch.new.clone() {
                let _ = writeln!(requests, "{}\t1\t{}\t4\t", new + 1, uid(new));
            }
            for (request, arrival, by) in batch.rows() {
                self.last += 1;
                let (n, at, policy) = (self.last, by.at, by.policy.as_deref().unwrap_or("\\N"));
                let words = by.words.replace(' ', ",");
                // JSON has no control characters, and of what COPY escapes the backslash alone.
                let body = arrival.bytes.replace('\\', "\\\\");
                let _ = writeln!(
                    records,
                    "{n}\t{}\t{}\t1\t{at}\t{}\t{}\t{}\t{policy}\t{{{words}}}\t{body}",
                    request + 1,
                    arrival.record.index,
                    by.kind,
                    by.outcome,
                    by.role
                );
                for (list, names) in [(&mut people, by.people), (&mut places, by.places)] {
                    for name in names {
                        let _ = writeln!(list, "{name}\t{at}\t{n}");
                    }
                }
            }
            let transaction = self.client.transaction().await.expect("begin");
            // Whether it is closed has a default.
            let request = "request (n, cluster, uid, held, digest)";
            for (table, rows) in [(request, requests), ("record", records), ("person", people), ("place", places)] {
                copy(&transaction, table, rows).await;
            }
            transaction.commit().await.expect("commit");
        }
    }

    pub async fn search(&self, person: String) -> usize {
        let find = self.client.prepare(FIND).await.expect("a statement");
        let rows = self.client.query(&find, &[&person, &(PAGE as i64)]).await.expect("rows");
        rows.iter().map(|row| row.get(0)).collect::<Vec<String>>().len()
    }
}

async fn copy(transaction: &Transaction<'_>, table: &str, rows: String) {
    let sink = transaction.copy_in(&format!("COPY {table} FROM STDIN")).await.expect("begin a COPY");
    let mut sink = std::pin::pin!(sink);
    sink.send(Bytes::from(rows)).await.expect("send rows");
    sink.finish().await.expect("end a COPY");
}
