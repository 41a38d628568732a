//! A database of PostgreSQL, for those who need more than one replica.
//!
//! Owns the connections. Writers take turns by a lock in the database, whichever replica they are of, so each judges what
//! the one before has committed.

mod leaves;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::try_join_all;
use tokio::sync::{Mutex, MutexGuard};
use tokio_postgres::config::SslMode;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, GenericClient, NoTls, Row as DatabaseRow, Transaction};
use tracing::warn;

use super::super::activity::Taken;
use super::super::activity::books::GrantBooks;
use super::super::activity::tables::FoundRow;
use super::super::intake::{Arrival, ArrivedText, Delivery, FoundBy};
use super::super::judge::{HeldBytes, judge};
use super::super::log::tables as log_tables;
use super::activity::ArrivedActivity;
use super::leaves::LogWrite;
use super::search::{self, BoundValue, FoundPage, FoundRecord, PagePlace, Search, Statement, WordIndex};
use super::tls::VerifiedTls;
use super::{HeldEnd, StoreError, WriteRule, closed_by, new_uid, schema};
use crate::api::delivery::{ChainAnswer, HeldChain, MOST_OPEN};

/// How many read at a time.
const READERS: usize = 2;
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long the other side may say nothing to what is sent before it is taken for gone.
const SILENCE: Duration = Duration::from_secs(15);
/// What the lock of the writers is known by in the database.
const LOCK: i64 = 0x6461_7970_6173_7301;

/// A handle on the database; clones share its connections.
#[derive(Clone)]
pub struct PostgresStore {
    way: Arc<Way>,
    writer: Arc<Mutex<Option<Client>>>,
    readers: Arc<[Mutex<Option<Client>>; READERS]>,
    turn: Arc<AtomicUsize>,
    /// What this replica has read of the records.
    books: Arc<Mutex<GrantBooks>>,
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

/// How to get there.
struct Way {
    config: Config,
    tls: Option<VerifiedTls>,
}

impl Way {
    /// What `sslmode` means here: `require` verifies the server and its name against the authority that is given, as
    /// `verify-full` does, and is what giving one means; without one nothing is encrypted.
    fn read(url: &str, authority: Option<&Path>) -> Result<Self, StoreError> {
        // The library knows no other word for it.
        let words = ["sslmode=verify-full", "sslmode=verify-ca"];
        let url =
            words.iter().fold(url.to_owned(), |url, word| url.split(word).collect::<Vec<_>>().join("sslmode=require"));
        let mut config: Config = url.parse()?;
        config
            .application_name("daypass-archive")
            .connect_timeout(CONNECT)
            .tcp_user_timeout(SILENCE)
            .keepalives_idle(SILENCE);
        let tls = match (config.get_ssl_mode(), authority) {
            (SslMode::Disable, Some(_)) => {
                let why = "sslmode=disable and --database-ca do not go together; leave one of them out";
                return Err(StoreError::Address(why.to_owned()));
            }
            (SslMode::Require, None) => {
                let why = "sslmode=require needs --database-ca, the authority that the certificate of the server is of";
                return Err(StoreError::Address(why.to_owned()));
            }
            (_, None) => None,
            (_, Some(authority)) => {
                config.ssl_mode(SslMode::Require);
                Some(VerifiedTls::trusting(authority)?)
            }
        };
        Ok(Self { config, tls })
    }

    async fn connect(&self) -> Result<Client, StoreError> {
        let lost = |error: tokio_postgres::Error| warn!(%error, "a connection to the database is lost");
        match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                tokio::spawn(async move { connection.await.unwrap_or_else(lost) });
                Ok(client)
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                tokio::spawn(async move { connection.await.unwrap_or_else(lost) });
                Ok(client)
            }
        }
    }
}

impl PostgresStore {
    /// Connects to the database of a URL, and brings its tables to this version. With an authority, in PEM, the connection
    /// is encrypted and the server's certificate verified.
    ///
    /// # Errors
    /// When it cannot be used, or is of a later version.
    pub async fn open(url: &str, authority: Option<&Path>) -> Result<Self, StoreError> {
        let way = Way::read(url, authority)?;
        let mut writer = way.connect().await?;
        migrate(&mut writer).await?;
        let readers = Arc::new([Mutex::new(None), Mutex::new(None)]);
        let writer = Arc::new(Mutex::new(Some(writer)));
        Ok(Self { way: Arc::new(way), writer, readers, turn: Arc::default(), books: Arc::default() })
    }

    pub(super) async fn take(&self, cluster: &str, delivery: Delivery) -> Result<Vec<ChainAnswer>, StoreError> {
        let mut place = self.writer.lock().await;
        let client = self.connected(&mut place).await?;
        let transaction = client.transaction().await?;
        let answers = take(&transaction, cluster, delivery).await?;
        transaction.commit().await?;
        Ok(answers)
    }

    pub(super) async fn take_activity(&self, arrived: ArrivedActivity) -> Result<Taken, StoreError> {
        let mut books = self.books.lock().await;
        let mut place = self.writer.lock().await;
        let client = self.connected(&mut place).await?;
        let transaction = client.transaction().await?;
        let taken = take_activity(&transaction, &mut books, arrived).await?;
        transaction.commit().await?;
        Ok(taken)
    }

    pub(super) async fn write(&self, statements: Vec<Statement>, rule: WriteRule) -> Result<bool, StoreError> {
        let mut place = self.writer.lock().await;
        let transaction = self.connected(&mut place).await?.transaction().await?;
        for (index, statement) in statements.iter().enumerate() {
            let values: Vec<&(dyn ToSql + Sync)> = statement.values.iter().map(bound).collect();
            let written = transaction.execute(&statement.sql, &values).await?;
            if index == 0 && written == 0 && rule == WriteRule::IfTheFirstIsNew {
                return Ok(false);
            }
        }
        transaction.commit().await?;
        Ok(true)
    }

    pub(super) async fn log(&self, write: LogWrite) -> Result<u64, StoreError> {
        let mut place = self.writer.lock().await;
        let transaction = self.connected(&mut place).await?.transaction().await?;
        let written = leaves::log(&transaction, write).await?;
        transaction.commit().await?;
        Ok(written)
    }

    /// All that is found by these, one behind the other.
    pub(super) async fn rows(&self, statements: Vec<Statement>) -> Result<Vec<FoundRow>, StoreError> {
        let mut place = self.reader().await;
        rows(self.connected(&mut place).await?, &statements).await
    }

    pub(super) async fn held(
        &self,
        cluster: &str,
        uids: Vec<String>,
    ) -> Result<HashMap<String, HeldChain>, StoreError> {
        let mut place = self.reader().await;
        let client = self.connected(&mut place).await?;
        let rows = client.query(&client.prepare(HELD).await?, &[&uids, &cluster]).await?;
        rows.iter().map(held_row).collect()
    }

    pub(super) async fn open_chains(&self, cluster: &str, after: i64) -> Result<Vec<HeldEnd>, StoreError> {
        let mut place = self.reader().await;
        let client = self.connected(&mut place).await?;
        let select =
            "SELECT q.n, q.digest, r.body FROM request q JOIN record r ON r.request = q.n AND r.idx = q.held - 1
            WHERE q.cluster = (SELECT n FROM cluster WHERE uid = $1) AND NOT q.closed AND q.n > $2
            ORDER BY q.n LIMIT $3";
        let rows = client.query(select, &[&cluster, &after, &(MOST_OPEN as i64)]).await?;
        let found =
            rows.iter().map(|row| Ok(HeldEnd { n: row.try_get(0)?, digest: row.try_get(1)?, bytes: row.try_get(2)? }));
        found.collect()
    }

    pub(super) async fn search(&self, search: Search) -> Result<FoundPage, StoreError> {
        let statement = search.statement(WordIndex::Array);
        let values: Vec<&(dyn ToSql + Sync)> = statement.values.iter().map(bound).collect();
        let mut place = self.reader().await;
        let client = self.connected(&mut place).await?;
        let held: i64 = client.query_one(search::HELD, &[]).await?.try_get(0)?;
        let rows = client.query(&statement.sql, &values).await?;
        let found = rows.iter().map(|row| {
            let place = PagePlace { at: row.try_get(0)?, n: row.try_get(1)? };
            Ok(FoundRecord { place, bytes: row.try_get(2)? })
        });
        Ok(search.page(found.collect::<Result<_, StoreError>>()?, held))
    }

    pub(super) async fn lacking(&self, digests: BTreeSet<String>) -> Result<Vec<String>, StoreError> {
        let mut place = self.reader().await;
        let client = self.connected(&mut place).await?;
        let asked: Vec<&String> = digests.iter().collect();
        let rows = client.query("SELECT digest FROM text WHERE digest = ANY ($1)", &[&asked]).await?;
        let found: BTreeSet<String> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
        Ok(digests.difference(&found).cloned().collect())
    }

    pub(super) async fn text(&self, digest: &str) -> Result<Option<String>, StoreError> {
        let mut place = self.reader().await;
        let client = self.connected(&mut place).await?;
        let row = client.query_opt("SELECT body FROM text WHERE digest = $1", &[&digest]).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    async fn reader(&self) -> MutexGuard<'_, Option<Client>> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.readers[turn % READERS].lock().await
    }

    /// The connection of this place, made anew where it is lost.
    async fn connected<'a>(&self, place: &'a mut Option<Client>) -> Result<&'a mut Client, StoreError> {
        match place.take().filter(|client| !client.is_closed()) {
            Some(client) => Ok(place.insert(client)),
            None => Ok(place.insert(self.way.connect().await?)),
        }
    }
}

fn bound(value: &BoundValue) -> &(dyn ToSql + Sync) {
    match value {
        BoundValue::Text(text) => text,
        BoundValue::Number(number) => number,
    }
}

async fn migrate(client: &mut Client) -> Result<(), StoreError> {
    let transaction = client.transaction().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    transaction.batch_execute(schema::VERSION_TABLE).await?;
    let found: Option<i64> = transaction.query_one(schema::VERSION, &[]).await?.try_get(0)?;
    for (version, step) in schema::outstanding(schema::POSTGRES, found.unwrap_or(0))? {
        transaction.batch_execute(step).await?;
        transaction.batch_execute(&schema::reached(version)).await?;
    }
    execute_all(&transaction, &[log_tables::begun(&new_uid()?)]).await?;
    Ok(transaction.commit().await?)
}

const HELD: &str = "SELECT q.uid, q.held, q.digest FROM request q
    WHERE q.uid = ANY ($1) AND q.cluster = (SELECT n FROM cluster WHERE uid = $2)";

fn held_row(row: &DatabaseRow) -> Result<(String, HeldChain), StoreError> {
    let held: i64 = row.try_get(1)?;
    Ok((row.try_get(0)?, HeldChain { held: u32::try_from(held).unwrap_or(u32::MAX), digest: row.try_get(2)? }))
}

async fn take(
    transaction: &Transaction<'_>,
    cluster: &str,
    delivery: Delivery,
) -> Result<Vec<ChainAnswer>, StoreError> {
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    keep_texts(transaction, &delivery.texts).await?;
    let uids: Vec<&str> = delivery.records.iter().map(|arrival| arrival.record.request.uid.as_str()).collect();
    let rows = transaction.query(HELD, &[&uids, &cluster]).await?;
    let held: HashMap<String, HeldChain> = rows.iter().map(held_row).collect::<Result<_, _>>()?;
    let bytes = held_bytes(transaction, cluster, &delivery.records, &held).await?;
    let judged = judge(delivery.records, &held, bytes);
    if !judged.new.is_empty() {
        let cluster = cluster_number(transaction, cluster).await?;
        let requests = keep_heads(transaction, cluster, &judged.new, &judged.answers).await?;
        let first = keep_records(transaction, cluster, &judged.new, &requests).await?;
        leaves::of_records(transaction, judged.new, first).await?;
    }
    Ok(judged.answers)
}

async fn take_activity(
    transaction: &Transaction<'_>,
    books: &mut GrantBooks,
    arrived: ArrivedActivity,
) -> Result<Taken, StoreError> {
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    let ask = async |statements: &[Statement]| rows(transaction, statements).await;
    let news = books.heed(&ask(&[books.news(arrived.now)]).await?, &arrived.cluster);
    if let Some(lacking) = books.lacking() {
        books.learn(&ask(&[lacking]).await?);
    }
    let [suspects, untold] = arrived.asked_again(&news);
    let (before, untold) = (ask(&suspects).await?, ask(&untold).await?);
    let sifting = arrived.sift(books, &before, untold);
    let [seen, rows_there, counts, runs, fleet, uses] = &sifting.questions;
    let held = [
        ask(seen).await?,
        ask(rows_there).await?,
        ask(counts).await?,
        ask(runs).await?,
        ask(fleet).await?,
        ask(uses).await?,
    ];
    let records = ask(&sifting.explanations).await?;
    let (taken, writes) = sifting.settle(books, held, &records);
    execute_all(transaction, &writes).await?;
    Ok(taken)
}

/// All of them, in their order.
async fn execute_all(transaction: &Transaction<'_>, writes: &[Statement]) -> Result<(), StoreError> {
    let mut prepared = BTreeMap::new();
    for statement in writes {
        if !prepared.contains_key(statement.sql.as_str()) {
            prepared.insert(statement.sql.as_str(), transaction.prepare(&statement.sql).await?);
        }
    }
    // All are sent before the first is answered, and the database takes them in this order.
    let sent = writes.iter().map(async |statement| {
        let values: Vec<&(dyn ToSql + Sync)> = statement.values.iter().map(bound).collect();
        transaction.execute(&prepared[statement.sql.as_str()], &values).await
    });
    try_join_all(sent).await?;
    Ok(())
}

async fn rows(client: &impl GenericClient, statements: &[Statement]) -> Result<Vec<FoundRow>, StoreError> {
    let mut all = Vec::new();
    for statement in statements {
        let values: Vec<&(dyn ToSql + Sync)> = statement.values.iter().map(bound).collect();
        for row in client.query(&statement.sql, &values).await? {
            let cells = (0..row.len()).map(|column| match *row.columns()[column].type_() {
                Type::INT8 => Ok(BoundValue::Number(row.try_get(column)?)),
                _ => Ok(BoundValue::Text(row.try_get(column)?)),
            });
            all.push(cells.collect::<Result<_, StoreError>>()?);
        }
    }
    Ok(all)
}

async fn keep_texts(transaction: &Transaction<'_>, texts: &[ArrivedText]) -> Result<(), StoreError> {
    let (digests, bodies): (Vec<&str>, Vec<&str>) =
        texts.iter().map(|text| (text.digest.as_str(), text.text.as_str())).unzip();
    let insert = "INSERT INTO text (digest, body) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING";
    transaction.execute(insert, &[&digests, &bodies]).await?;
    Ok(())
}

/// What is held under the ids that arrive once more.
async fn held_bytes(
    transaction: &Transaction<'_>,
    cluster: &str,
    arrivals: &[Arrival],
    held: &HashMap<String, HeldChain>,
) -> Result<HeldBytes, StoreError> {
    let again = arrivals.iter().map(|arrival| (arrival.record.request.uid.as_str(), i64::from(arrival.record.index)));
    let (uids, indices): (Vec<&str>, Vec<i64>) =
        again.filter(|(uid, index)| held.get(*uid).is_some_and(|held| *index < i64::from(held.held))).unzip();
    if uids.is_empty() {
        return Ok(HeldBytes::new());
    }
    let select = "SELECT a.uid, a.idx, r.body FROM unnest($1::text[], $2::bigint[]) AS a (uid, idx)
        JOIN request q ON q.uid = a.uid AND q.cluster = (SELECT n FROM cluster WHERE uid = $3)
        JOIN record r ON r.request = q.n AND r.idx = a.idx";
    let rows = transaction.query(select, &[&uids, &indices, &cluster]).await?;
    let bytes = rows.iter().map(|row| {
        let index: i64 = row.try_get(1)?;
        Ok(((row.try_get(0)?, u32::try_from(index).unwrap_or(u32::MAX)), row.try_get(2)?))
    });
    bytes.collect()
}

async fn cluster_number(transaction: &Transaction<'_>, uid: &str) -> Result<i64, StoreError> {
    transaction.execute("INSERT INTO cluster (uid) VALUES ($1) ON CONFLICT DO NOTHING", &[&uid]).await?;
    Ok(transaction.query_one("SELECT n FROM cluster WHERE uid = $1", &[&uid]).await?.try_get(0)?)
}

/// Moves the heads of requests that have new records. Their numbers, by UID.
async fn keep_heads(
    transaction: &Transaction<'_>,
    cluster: i64,
    new: &[Arrival],
    answers: &[ChainAnswer],
) -> Result<HashMap<String, i64>, StoreError> {
    let changed: BTreeMap<&str, ()> = new.iter().map(|new| (new.record.request.uid.as_str(), ())).collect();
    let moved: Vec<_> = answers.iter().filter(|answer| changed.contains_key(answer.uid.as_str())).collect();
    let uids: Vec<&str> = moved.iter().map(|answer| answer.uid.as_str()).collect();
    let held: Vec<i64> = moved.iter().map(|answer| i64::from(answer.held.held)).collect();
    let digests: Vec<&str> = moved.iter().filter_map(|answer| answer.held.digest.as_deref()).collect();
    let closing = closed_by(new);
    let closed: Vec<bool> = uids.iter().map(|uid| closing.contains(uid)).collect();
    let upsert = "INSERT INTO request (cluster, uid, held, digest, closed)
        SELECT $1, a.uid, a.held, a.digest, a.closed
        FROM unnest($2::text[], $3::bigint[], $4::text[], $5::bool[]) AS a (uid, held, digest, closed)
        ON CONFLICT (uid, cluster) DO UPDATE SET held = excluded.held, digest = excluded.digest,
            closed = request.closed OR excluded.closed RETURNING uid, n";
    let rows = transaction.query(upsert, &[&cluster, &uids, &held, &digests, &closed]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// The rows of a batch, column by column.
#[derive(Default)]
struct RecordColumns<'a> {
    requests: Vec<i64>,
    indices: Vec<i64>,
    times: Vec<i64>,
    kinds: Vec<String>,
    outcomes: Vec<String>,
    roles: Vec<String>,
    policies: Vec<Option<String>>,
    words: Vec<String>,
    bodies: Vec<&'a str>,
    /// Rows of the two lists: name, time, and place in this batch.
    people: (Vec<String>, Vec<i64>, Vec<i64>),
    places: (Vec<String>, Vec<i64>, Vec<i64>),
}

impl<'a> RecordColumns<'a> {
    fn of(new: &'a [Arrival], requests: &HashMap<String, i64>, first: i64) -> Self {
        let mut columns = Self::default();
        for (n, Arrival { record, bytes, .. }) in (first..).zip(new) {
            let by = FoundBy::of(record);
            for (list, names) in [(&mut columns.people, by.people), (&mut columns.places, by.places)] {
                for name in names {
                    list.0.push(name);
                    list.1.push(by.at);
                    list.2.push(n);
                }
            }
            columns.requests.push(requests.get(&record.request.uid).copied().unwrap_or_default());
            columns.indices.push(i64::from(record.index));
            columns.times.push(by.at);
            columns.kinds.push(by.kind);
            columns.outcomes.push(by.outcome);
            columns.roles.push(by.role);
            columns.policies.push(by.policy);
            columns.words.push(by.words);
            columns.bodies.push(bytes);
        }
        columns
    }
}

/// The number of the first; the others follow.
async fn keep_records(
    transaction: &Transaction<'_>,
    cluster: i64,
    new: &[Arrival],
    requests: &HashMap<String, i64>,
) -> Result<i64, StoreError> {
    let first = transaction.query_one("SELECT COALESCE(MAX(n), 0) + 1 FROM record", &[]).await?.try_get(0)?;
    let c = RecordColumns::of(new, requests, first);
    let insert = "INSERT INTO record (n, request, idx, cluster, at, kind, outcome, role, policy, words, body)
        SELECT $1 + a.ord - 1, a.request, a.idx, $2, a.at, a.kind, a.outcome, a.role, a.policy,
            string_to_array(a.words, ' '), a.body
        FROM unnest($3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
            $11::text[]) WITH ORDINALITY
            AS a (request, idx, at, kind, outcome, role, policy, words, body, ord)";
    let values: [&(dyn ToSql + Sync); 11] = [
        &first,
        &cluster,
        &c.requests,
        &c.indices,
        &c.times,
        &c.kinds,
        &c.outcomes,
        &c.roles,
        &c.policies,
        &c.words,
        &c.bodies,
    ];
    transaction.execute(insert, &values).await?;
    for (table, column, (names, times, places)) in
        [("person", "username", &c.people), ("place", "namespace", &c.places)]
    {
        let insert = format!(
            "INSERT INTO {table} ({column}, at, n) SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[])"
        );
        transaction.execute(&insert, &[names, times, places]).await?;
    }
    Ok(first)
}
