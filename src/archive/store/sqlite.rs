//! One file of SQLite. A thread writes, a few connections read beside it.
//!
//! Owns the file: with a write-ahead log and a sync at each commit, what is committed outlives a power cut, and what is erased
//! is overwritten.

mod leaves;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, OpenFlags, OptionalExtension, ToSql, Transaction, params, params_from_iter};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::super::activity::Taken;
use super::super::activity::books::GrantBooks;
use super::super::activity::tables::FoundRow;
use super::super::intake::{Arrival, ArrivedText, Delivery, FoundBy};
use super::super::judge::{HeldBytes, judge};
use super::super::log::tables as log_tables;
use super::activity::ArrivedActivity;
use super::leaves::LogWrite;
use super::search::{BoundValue, FoundPage, FoundRecord, HELD, PagePlace, Search, Statement, WordIndex};
use super::{HeldEnd, StoreError, WriteRule, closed_by, new_uid, schema};
use crate::api::delivery::{ChainAnswer, HeldChain, MOST_OPEN};

/// How many readers there are at a time.
const READERS: usize = 2;
/// How long a connection waits for another program that has locked the file: a backup.
const PATIENCE: Duration = Duration::from_secs(10);

/// A handle on the file; clones share it.
#[derive(Clone)]
pub struct SqliteStore {
    file: PathBuf,
    jobs: mpsc::Sender<Job>,
    readers: Arc<[Mutex<Connection>; READERS]>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore").field("file", &self.file).finish_non_exhaustive()
    }
}

/// Something for the writer, and where its answer goes.
enum Job {
    Records { cluster: String, delivery: Delivery, answer: oneshot::Sender<Result<Vec<ChainAnswer>, StoreError>> },
    Activity { arrived: ArrivedActivity, answer: oneshot::Sender<Result<Taken, StoreError>> },
    Statements { statements: Vec<Statement>, rule: WriteRule, answer: oneshot::Sender<Result<bool, StoreError>> },
    Log { write: LogWrite, answer: oneshot::Sender<Result<u64, StoreError>> },
}

impl SqliteStore {
    /// Opens the file, or makes it, and brings its tables to this version.
    ///
    /// # Errors
    /// When it cannot be used, or is of a later version.
    pub fn open(file: &Path) -> Result<Self, StoreError> {
        Self::open_as(file, |_| Ok(()))
    }

    /// One that is full at so many pages.
    #[cfg(test)]
    pub(super) fn open_within(file: &Path, pages: i64) -> Result<Self, StoreError> {
        Self::open_as(file, |connection| Ok(connection.pragma_update(None, "max_page_count", pages)?))
    }

    fn open_as(file: &Path, set: impl FnOnce(&Connection) -> Result<(), StoreError>) -> Result<Self, StoreError> {
        let mut connection = Connection::open(file)?;
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", "ON")?;
        connection.pragma_update(None, "secure_delete", "ON")?;
        connection.set_prepared_statement_cache_capacity(64);
        migrate(&mut connection)?;
        set(&connection)?;
        let readers: [Mutex<Connection>; READERS] = [reader(file)?.into(), reader(file)?.into()];
        let (jobs, queue) = mpsc::channel();
        std::thread::Builder::new()
            .name("sqlite".to_owned())
            .spawn(move || write(&mut connection, &queue))
            .map_err(|_| StoreError::Ended)?;
        Ok(Self { file: file.to_owned(), jobs, readers: Arc::new(readers) })
    }

    pub(super) async fn take(&self, cluster: &str, delivery: Delivery) -> Result<Vec<ChainAnswer>, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job = Job::Records { cluster: cluster.to_owned(), delivery, answer };
        self.jobs.send(job).map_err(|_| StoreError::Ended)?;
        answered.await.map_err(|_| StoreError::Ended)?
    }

    pub(super) async fn take_activity(&self, arrived: ArrivedActivity) -> Result<Taken, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.jobs.send(Job::Activity { arrived, answer }).map_err(|_| StoreError::Ended)?;
        answered.await.map_err(|_| StoreError::Ended)?
    }

    pub(super) async fn write(&self, statements: Vec<Statement>, rule: WriteRule) -> Result<bool, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.jobs.send(Job::Statements { statements, rule, answer }).map_err(|_| StoreError::Ended)?;
        answered.await.map_err(|_| StoreError::Ended)?
    }

    pub(super) async fn log(&self, write: LogWrite) -> Result<u64, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.jobs.send(Job::Log { write, answer }).map_err(|_| StoreError::Ended)?;
        answered.await.map_err(|_| StoreError::Ended)?
    }

    /// All that is found by these, one behind the other.
    pub(super) async fn rows(&self, statements: Vec<Statement>) -> Result<Vec<FoundRow>, StoreError> {
        self.read(move |connection| rows(connection, &statements)).await
    }

    pub(super) async fn held(
        &self,
        cluster: &str,
        uids: Vec<String>,
    ) -> Result<HashMap<String, HeldChain>, StoreError> {
        let cluster = cluster.to_owned();
        self.read(move |connection| held(connection, &cluster, uids.iter().map(String::as_str))).await
    }

    pub(super) async fn open_chains(&self, cluster: &str, after: i64) -> Result<Vec<HeldEnd>, StoreError> {
        let cluster = cluster.to_owned();
        self.read(move |connection| {
            let mut prepared = connection.prepare_cached(
                "SELECT q.n, q.digest, r.body FROM request q JOIN record r ON r.request = q.n AND r.idx = q.held - 1
                 WHERE q.cluster = (SELECT n FROM cluster WHERE uid = $1) AND q.closed = 0 AND q.n > $2
                 ORDER BY q.n LIMIT $3",
            )?;
            let found = prepared.query_map(params![cluster, after, MOST_OPEN as i64], |row| {
                Ok(HeldEnd { n: row.get(0)?, digest: row.get(1)?, bytes: row.get(2)? })
            })?;
            Ok(found.collect::<Result<_, _>>()?)
        })
        .await
    }

    pub(super) async fn search(&self, search: Search) -> Result<FoundPage, StoreError> {
        self.read(move |connection| {
            let held = connection.prepare_cached(HELD)?.query_row([], |row| row.get(0))?;
            let statement = search.statement(WordIndex::Fts5);
            let mut prepared = connection.prepare_cached(&statement.sql)?;
            let found = prepared.query_map(params_from_iter(statement.values), |row| {
                Ok(FoundRecord { place: PagePlace { at: row.get(0)?, n: row.get(1)? }, bytes: row.get(2)? })
            })?;
            Ok(search.page(found.collect::<Result<_, _>>()?, held))
        })
        .await
    }

    pub(super) async fn lacking(&self, digests: BTreeSet<String>) -> Result<Vec<String>, StoreError> {
        self.read(move |connection| {
            let mut prepared = connection.prepare_cached("SELECT 1 FROM text WHERE digest = $1")?;
            let mut lacking = Vec::new();
            for digest in digests {
                if !prepared.exists([&digest])? {
                    lacking.push(digest);
                }
            }
            Ok(lacking)
        })
        .await
    }

    pub(super) async fn text(&self, digest: &str) -> Result<Option<String>, StoreError> {
        let digest = digest.to_owned();
        self.read(move |connection| {
            let mut prepared = connection.prepare_cached("SELECT body FROM text WHERE digest = $1")?;
            Ok(prepared.query_row([digest], |row| row.get(0)).optional()?)
        })
        .await
    }

    /// Reads on whichever connection is free.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = self.readers.clone();
        let read = spawn_blocking(move || {
            let free = readers.iter().find_map(|reader| reader.try_lock().ok());
            let reader = free.unwrap_or_else(|| readers[0].lock().unwrap_or_else(PoisonError::into_inner));
            read(&reader)
        });
        read.await.map_err(|_| StoreError::Ended)?
    }
}

/// Writes a copy of the file as it is now, while others write to it, into a new file.
///
/// # Errors
/// When it cannot be read, or the copy is there already or cannot be written.
pub fn copy(file: &Path, into: &Path) -> Result<(), StoreError> {
    let connection = reader(file)?;
    connection.execute("VACUUM INTO $1", [into.to_string_lossy()])?;
    Ok(())
}

impl ToSql for BoundValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Text(text) => ToSqlOutput::from(text.as_str()),
            Self::Number(number) => ToSqlOutput::Owned(Value::Integer(*number)),
        })
    }
}

fn reader(file: &Path) -> Result<Connection, StoreError> {
    let connection =
        Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(PATIENCE)?;
    Ok(connection)
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute_batch(schema::VERSION_TABLE)?;
    let found: Option<i64> = transaction.query_row(schema::VERSION, [], |row| row.get(0))?;
    for (version, step) in schema::outstanding(schema::SQLITE, found.unwrap_or(0))? {
        transaction.execute_batch(step)?;
        transaction.execute_batch(&schema::reached(version))?;
    }
    execute(&transaction, vec![log_tables::begun(&new_uid()?)], WriteRule::Always)?;
    Ok(transaction.commit()?)
}

/// Writes one delivery after the other until nobody can send any more.
fn write(connection: &mut Connection, queue: &mpsc::Receiver<Job>) {
    let mut books = GrantBooks::default();
    while let Ok(job) = queue.recv() {
        // Whoever asked may have gone; what is held is held.
        match job {
            Job::Records { cluster, delivery, answer } => {
                let _ = answer.send(at_once(connection, |transaction| take(transaction, &cluster, delivery)));
            }
            Job::Statements { statements, rule, answer } => {
                let _ = answer.send(at_once(connection, |transaction| execute(transaction, statements, rule)));
            }
            Job::Log { write, answer } => {
                let _ = answer.send(at_once(connection, |transaction| leaves::log(transaction, write)));
            }
            Job::Activity { arrived, answer } => {
                let _ = answer.send(at_once(connection, |transaction| take_activity(transaction, &mut books, arrived)));
            }
        }
    }
}

/// All of it, or nothing.
fn at_once<T>(
    connection: &mut Connection,
    write: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let done = write(&transaction)?;
    transaction.commit()?;
    Ok(done)
}

fn take_activity(
    transaction: &Transaction<'_>,
    books: &mut GrantBooks,
    arrived: ArrivedActivity,
) -> Result<Taken, StoreError> {
    let ask = |statements: &[Statement]| rows(transaction, statements);
    let news = books.heed(&ask(&[books.news(arrived.now)])?, &arrived.cluster);
    if let Some(lacking) = books.lacking() {
        books.learn(&ask(&[lacking])?);
    }
    let [suspects, untold] = arrived.asked_again(&news);
    let (before, untold) = (ask(&suspects)?, ask(&untold)?);
    let sifting = arrived.sift(books, &before, untold);
    let [seen, rows_there, counts, runs, fleet, uses] = &sifting.questions;
    let held = [ask(seen)?, ask(rows_there)?, ask(counts)?, ask(runs)?, ask(fleet)?, ask(uses)?];
    let records = ask(&sifting.explanations)?;
    let (taken, writes) = sifting.settle(books, held, &records);
    execute(transaction, writes, WriteRule::Always)?;
    Ok(taken)
}

fn execute(transaction: &Transaction<'_>, statements: Vec<Statement>, rule: WriteRule) -> Result<bool, StoreError> {
    for (index, statement) in statements.into_iter().enumerate() {
        let written = transaction.prepare_cached(&statement.sql)?.execute(params_from_iter(statement.values))?;
        if index == 0 && written == 0 && rule == WriteRule::IfTheFirstIsNew {
            return Ok(false);
        }
    }
    Ok(true)
}

fn rows(connection: &Connection, statements: &[Statement]) -> Result<Vec<FoundRow>, StoreError> {
    let mut all = Vec::new();
    for statement in statements {
        let mut prepared = connection.prepare_cached(&statement.sql)?;
        let columns = prepared.column_count();
        let found = prepared.query_map(params_from_iter(&statement.values), |row| {
            (0..columns).map(|column| row.get_ref(column).map(cell)?).collect()
        })?;
        for row in found {
            all.push(row?);
        }
    }
    Ok(all)
}

fn cell(value: ValueRef<'_>) -> rusqlite::Result<BoundValue> {
    Ok(match value {
        ValueRef::Integer(number) => BoundValue::Number(number),
        other => BoundValue::Text(other.as_str().unwrap_or_default().to_owned()),
    })
}

fn take(transaction: &Transaction<'_>, cluster: &str, delivery: Delivery) -> Result<Vec<ChainAnswer>, StoreError> {
    keep_texts(transaction, &delivery.texts)?;
    let uids = delivery.records.iter().map(|arrival| arrival.record.request.uid.as_str());
    let held = held(transaction, cluster, uids)?;
    let bytes = held_bytes(transaction, cluster, &delivery.records, &held)?;
    let judged = judge(delivery.records, &held, bytes);
    if !judged.new.is_empty() {
        let cluster = cluster_number(transaction, cluster)?;
        let requests = keep_heads(transaction, cluster, &judged.new, &judged.answers)?;
        let numbers = keep_records(transaction, cluster, &judged.new, &requests)?;
        leaves::of_records(transaction, judged.new, &numbers)?;
    }
    Ok(judged.answers)
}

fn keep_texts(transaction: &Transaction<'_>, texts: &[ArrivedText]) -> Result<(), StoreError> {
    let mut insert = transaction.prepare_cached("INSERT OR IGNORE INTO text (digest, body) VALUES ($1, $2)")?;
    for text in texts {
        insert.execute([&text.digest, &text.text])?;
    }
    Ok(())
}

fn held<'a>(
    connection: &Connection,
    cluster: &str,
    uids: impl Iterator<Item = &'a str>,
) -> Result<HashMap<String, HeldChain>, StoreError> {
    let mut prepared = connection.prepare_cached(
        "SELECT held, digest FROM request WHERE uid = $1 AND cluster = (SELECT n FROM cluster WHERE uid = $2)",
    )?;
    let mut all = HashMap::new();
    for uid in uids {
        if all.contains_key(uid) {
            continue;
        }
        let found = prepared.query_row([uid, cluster], |row| Ok(HeldChain { held: row.get(0)?, digest: row.get(1)? }));
        if let Some(found) = found.optional()? {
            all.insert(uid.to_owned(), found);
        }
    }
    Ok(all)
}

/// What is held under the ids that arrive once more, and is not erased.
fn held_bytes(
    transaction: &Transaction<'_>,
    cluster: &str,
    arrivals: &[Arrival],
    held: &HashMap<String, HeldChain>,
) -> Result<HeldBytes, StoreError> {
    let mut prepared = transaction.prepare_cached(
        "SELECT r.body FROM record r JOIN request q ON q.n = r.request
         WHERE q.uid = $1 AND q.cluster = (SELECT n FROM cluster WHERE uid = $2) AND r.idx = $3",
    )?;
    let mut bytes = HeldBytes::new();
    for Arrival { record, .. } in arrivals {
        let uid = &record.request.uid;
        if held.get(uid).is_some_and(|held| record.index < held.held) {
            let body = prepared.query_row(params![uid, cluster, record.index], |row| row.get(0)).optional()?;
            bytes.extend(body.map(|body| ((uid.clone(), record.index), body)));
        }
    }
    Ok(bytes)
}

fn cluster_number(transaction: &Transaction<'_>, uid: &str) -> Result<i64, StoreError> {
    transaction.prepare_cached("INSERT OR IGNORE INTO cluster (uid) VALUES ($1)")?.execute([uid])?;
    let mut prepared = transaction.prepare_cached("SELECT n FROM cluster WHERE uid = $1")?;
    Ok(prepared.query_row([uid], |row| row.get(0))?)
}

/// Moves the heads of requests that have new records. Their numbers, by UID.
fn keep_heads(
    transaction: &Transaction<'_>,
    cluster: i64,
    new: &[Arrival],
    answers: &[ChainAnswer],
) -> Result<HashMap<String, i64>, StoreError> {
    let mut upsert = transaction.prepare_cached(
        "INSERT INTO request (cluster, uid, held, digest, closed) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (uid, cluster) DO UPDATE SET held = excluded.held, digest = excluded.digest,
             closed = MAX(request.closed, excluded.closed) RETURNING n",
    )?;
    let closed = closed_by(new);
    let changed: std::collections::HashSet<&str> = new.iter().map(|new| new.record.request.uid.as_str()).collect();
    let mut numbers = HashMap::new();
    for answer in answers.iter().filter(|answer| changed.contains(answer.uid.as_str())) {
        let is_closed = closed.contains(answer.uid.as_str());
        let row = params![cluster, answer.uid, answer.held.held, answer.held.digest, is_closed];
        numbers.insert(answer.uid.clone(), upsert.query_row(row, |row| row.get(0))?);
    }
    Ok(numbers)
}

/// Their numbers, in their order.
fn keep_records(
    transaction: &Transaction<'_>,
    cluster: i64,
    new: &[Arrival],
    requests: &HashMap<String, i64>,
) -> Result<Vec<i64>, StoreError> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO record (request, idx, cluster, at, kind, outcome, role, policy, body)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )?;
    let mut person = transaction.prepare_cached("INSERT INTO person (username, at, n) VALUES ($1, $2, $3)")?;
    let mut place = transaction.prepare_cached("INSERT INTO place (namespace, at, n) VALUES ($1, $2, $3)")?;
    let mut word = transaction.prepare_cached("INSERT INTO word (rowid, words) VALUES ($1, $2)")?;
    let mut numbers = Vec::new();
    for Arrival { record, bytes, .. } in new {
        let by = FoundBy::of(record);
        let request = requests.get(&record.request.uid);
        insert.execute(params![
            request,
            record.index,
            cluster,
            by.at,
            by.kind,
            by.outcome,
            by.role,
            by.policy,
            bytes
        ])?;
        let n = transaction.last_insert_rowid();
        numbers.push(n);
        for name in &by.people {
            person.execute(params![name, by.at, n])?;
        }
        for name in &by.places {
            place.execute(params![name, by.at, n])?;
        }
        word.execute(params![n, by.words])?;
    }
    Ok(numbers)
}
