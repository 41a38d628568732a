//! The statements by which activity is kept and asked for. Both stores understand each of them.
//!
//! Owns their words, the columns of what is found, and the key of a row. Values stand in the order of their numbers, since
//! SQLite counts them in the order that it meets them. Times are microseconds since 1970; 0 is none.

use std::collections::BTreeSet;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::api::activity::UseCount;
use crate::api::record::digest;
use crate::archive::store::search::{BoundValue, Statement, statement};
use crate::core::activity::alive::HeardRun;
use crate::core::activity::deed::DeedKind;
use crate::core::activity::explained::{SuspectWrite, Unexplained};
use crate::core::activity::names::ObjectNames;
use crate::core::activity::summary::{RowKind, SummaryRow};
use crate::core::record::keeping::{ACTIVITY_DAYS, FINDING_DAYS};

/// A row that was found.
pub type FoundRow = Vec<BoundValue>;

/// Where runs of marks are kept.
#[derive(Clone, Copy, Debug)]
pub enum RunTable {
    /// When an API server was heard, by its address.
    Heard,
    /// When there were how many, by the number as text.
    Fleet,
}

impl RunTable {
    /// Its name, and that of its column of what the runs are of.
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::Heard => ["heard", "server"],
            Self::Fleet => ["fleet", "servers"],
        }
    }
}

/// How many values a statement lists at most.
const LISTED: usize = 500;
/// Most writes without an explanation that are looked at again at a time, and that are told of.
const MOST_SUSPECTS: i64 = 1000;
/// For how many days it is known which events came before: longer than a feed holds any back.
const SEEN_DAYS: i64 = 7;
/// For how many days it is known when an API server was heard: without it nobody could say of a grant that it was not used.
const HEARD_DAYS: i64 = 400;
/// For how many days a stream is open whose end was not seen.
const STREAM_DAYS: i64 = 8;
/// Most records of a namespace that are read to explain a write.
const MOST_RECORDS: i64 = 5000;

/// The text in a column.
pub fn text(row: &FoundRow, column: usize) -> &str {
    match row.get(column) {
        Some(BoundValue::Text(text)) => text,
        _ => "",
    }
}

/// The number in a column.
pub fn number(row: &FoundRow, column: usize) -> i64 {
    match row.get(column) {
        Some(BoundValue::Number(number)) => *number,
        _ => 0,
    }
}

/// A count in a column.
pub fn count(row: &FoundRow, column: usize) -> u64 {
    u64::try_from(number(row, column)).unwrap_or_default()
}

/// The time in a column.
pub fn time(row: &FoundRow, column: usize) -> Option<Timestamp> {
    Some(number(row, column)).filter(|micros| *micros != 0).and_then(|micros| Timestamp::from_microsecond(micros).ok())
}

/// The names in a column. What cannot be read says nothing of them.
pub fn names(row: &FoundRow, column: usize) -> ObjectNames {
    serde_json::from_str(text(row, column)).unwrap_or(ObjectNames::Many)
}

/// What a row of a request is known by.
pub fn key(request: &str, kind: &DeedKind) -> String {
    key_of(request, &json!(kind).to_string())
}

fn key_of(request: &str, what: &str) -> String {
    digest(format!("{request}\n{what}").as_bytes())
}

pub(super) fn text_value(text: &str) -> BoundValue {
    BoundValue::Text(text.to_owned())
}

pub(super) fn micros(time: Timestamp) -> BoundValue {
    BoundValue::Number(time.as_microsecond())
}

fn amount(count: u64) -> BoundValue {
    BoundValue::Number(i64::try_from(count).unwrap_or(i64::MAX))
}

/// The same statement for a few of many values at a time, behind the cluster.
pub(super) fn listed<'a>(sql: &str, cluster: &str, values: impl IntoIterator<Item = &'a str>) -> Vec<Statement> {
    let values: Vec<&str> = values.into_iter().collect();
    let some = values.chunks(LISTED).map(|some| {
        let places: Vec<String> = (2..some.len() + 2).map(|n| format!("${n}")).collect();
        let bound = [cluster].into_iter().chain(some.iter().copied()).map(text_value);
        statement(&sql.split("(?)").collect::<Vec<_>>().join(&format!("({})", places.join(", "))), bound)
    });
    some.collect()
}

/// Records behind the one with this number; without one, those of requests that are not over or were not at this time, and the
/// last number there is.
pub fn records_after(seen: Option<i64>, since: Timestamp) -> Statement {
    match seen {
        Some(seen) => statement("SELECT n, body FROM record WHERE n > $1 ORDER BY n", [BoundValue::Number(seen)]),
        None => statement(
            "SELECT r.n, r.body FROM record r JOIN request q ON q.n = r.request
             WHERE NOT q.closed OR q.n IN (SELECT request FROM record WHERE at > $1)
             UNION ALL SELECT COALESCE(MAX(n), 0), '' FROM record ORDER BY 1",
            [micros(since)],
        ),
    }
}

/// Texts of these digests: digest, text.
pub fn texts(digests: &BTreeSet<String>) -> Statement {
    let places: Vec<String> = (1..=digests.len()).map(|n| format!("${n}")).collect();
    let sql = format!("SELECT digest, body FROM text WHERE digest IN ({})", places.join(", "));
    statement(&sql, digests.iter().map(|digest| text_value(digest)))
}

/// What a call counts by that was tied to a request apart from its others. Ids have no space.
pub fn tie(id: &str, request: &str) -> String {
    format!("{id} {request}")
}

/// Which of these ids came before: id, stages.
pub fn seen<'a>(cluster: &str, ids: impl IntoIterator<Item = &'a str>) -> Vec<Statement> {
    listed("SELECT id, stages FROM audit_seen WHERE cluster = $1 AND id IN (?)", cluster, ids)
}

/// Which of these rows are there: key, names.
pub fn known_rows<'a>(cluster: &str, keys: impl IntoIterator<Item = &'a str>) -> Vec<Statement> {
    listed("SELECT key, names FROM deed WHERE cluster = $1 AND key IN (?)", cluster, keys)
}

/// The counts of requests: UID, rows, lines, calls, refused, standing, ambiguous, first, last, last beside.
pub fn counts<'a>(cluster: &str, requests: impl IntoIterator<Item = &'a str>) -> Vec<Statement> {
    let sql = "SELECT request, row_count, line_count, calls, refused, standing, ambiguous, first_at, last_at,
        beside_at FROM used WHERE cluster = $1 AND request IN (?) ORDER BY request";
    listed(sql, cluster, requests)
}

/// A count, from its columns.
pub fn use_count(row: &FoundRow) -> UseCount {
    UseCount {
        calls: count(row, 3),
        refused: count(row, 4),
        standing: count(row, 5),
        ambiguous: count(row, 6),
        first: time(row, 7),
        last: time(row, 8),
        last_beside: time(row, 9),
    }
}

/// Runs of these: of what, from, until.
pub fn runs<'a>(table: RunTable, cluster: &str, of: impl IntoIterator<Item = &'a str>) -> Vec<Statement> {
    let [name, of_what] = table.names();
    let sql = format!(
        "SELECT {of_what}, from_at, until_at FROM {name} WHERE cluster = $1 AND {of_what} IN (?) ORDER BY {of_what}, from_at"
    );
    listed(&sql, cluster, of)
}

/// The last run of each API server of a cluster: server, from, until.
pub fn last_runs(cluster: &str) -> Statement {
    let sql = "SELECT server, from_at, until_at FROM heard h WHERE cluster = $1 AND from_at =
        (SELECT MAX(from_at) FROM heard o WHERE o.cluster = h.cluster AND o.server = h.server) ORDER BY server";
    statement(sql, [text_value(cluster)])
}

/// All runs of a cluster: of what, from, until.
pub fn all_runs(table: RunTable, cluster: &str) -> Statement {
    let [name, of_what] = table.names();
    statement(&format!("SELECT {of_what}, from_at, until_at FROM {name} WHERE cluster = $1"), [text_value(cluster)])
}

/// How many streams are open under each request, and beside it: UID, number, number beside.
pub fn open_streams<'a>(cluster: &str, requests: impl IntoIterator<Item = &'a str>) -> Vec<Statement> {
    let sql = "SELECT request, COUNT(CASE WHEN beside = 0 THEN 1 END), COUNT(CASE WHEN beside = 1 THEN 1 END)
        FROM open_stream WHERE cluster = $1 AND request IN (?) GROUP BY request";
    listed(sql, cluster, requests)
}

/// The rows of a request, the most used first: what, calls, first, last, claimed, names.
pub fn rows_of(cluster: &str, request: &str) -> Statement {
    let sql = "SELECT what, calls, first_at, last_at, claimed, names FROM deed WHERE cluster = $1 AND request = $2
        ORDER BY calls DESC, first_at, key";
    statement(sql, [text_value(cluster), text_value(request)])
}

/// The events of a request that are kept, in the order of time, behind this place: number, event.
pub fn lines_of(cluster: &str, request: &str, after: i64, most: i64) -> Statement {
    let sql = "SELECT n, body FROM audit_line WHERE cluster = $1 AND request = $2 AND n > $3 ORDER BY n LIMIT $4";
    let bound = [BoundValue::Number(after), BoundValue::Number(most)];
    statement(sql, [text_value(cluster), text_value(request)].into_iter().chain(bound))
}

/// The records of these requests, each in its order: record.
pub fn records_of<'a>(cluster: &str, requests: impl IntoIterator<Item = &'a str>) -> Vec<Statement> {
    let sql = "SELECT r.body FROM record r JOIN request q ON q.n = r.request
        WHERE q.cluster = (SELECT n FROM cluster WHERE uid = $1) AND q.uid IN (?) ORDER BY r.request, r.idx";
    listed(sql, cluster, requests)
}

/// Records about a namespace from a time on: record.
pub fn records_about(cluster: &str, namespace: &str, since: i64) -> Statement {
    let sql = "SELECT r.body FROM place p JOIN record r ON r.n = p.n
        WHERE r.cluster = (SELECT n FROM cluster WHERE uid = $1) AND p.namespace = $2 AND p.at >= $3
        ORDER BY r.n LIMIT $4";
    let bound = [BoundValue::Number(since), BoundValue::Number(MOST_RECORDS)];
    statement(sql, [text_value(cluster), text_value(namespace)].into_iter().chain(bound))
}

/// Writes without an explanation that belong to these requests, or to none by its UID: id, write.
pub fn suspects_of<'a>(cluster: &str, requests: impl IntoIterator<Item = &'a str>) -> Vec<Statement> {
    let requests = requests.into_iter().chain([""]);
    listed("SELECT id, what FROM unexplained WHERE cluster = $1 AND request IN (?)", cluster, requests)
}

/// Writes that are to be told of for the first time: id, write, why.
pub fn untold(cluster: &str, now: Timestamp) -> Statement {
    let sql =
        "SELECT id, what, why FROM unexplained WHERE cluster = $1 AND told = 0 AND due <= $2 ORDER BY due LIMIT $3";
    statement(sql, [text_value(cluster), micros(now), BoundValue::Number(MOST_SUSPECTS)])
}

/// Writes without an explanation, the latest first: cluster, write, why.
pub fn findings(now: Timestamp) -> Statement {
    let sql = "SELECT cluster, what, why FROM unexplained WHERE due <= $1 ORDER BY at DESC, id LIMIT $2";
    statement(sql, [micros(now), BoundValue::Number(MOST_SUSPECTS)])
}

/// Keeps that these stages of a call came.
pub fn keep_seen(cluster: &str, id: &str, stages: i64, now: Timestamp) -> Statement {
    let sql = "INSERT INTO audit_seen (cluster, id, stages, at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (cluster, id) DO UPDATE SET stages = audit_seen.stages | excluded.stages";
    statement(sql, [text_value(cluster), text_value(id), BoundValue::Number(stages), micros(now)])
}

/// Adds to a row, whose names are all that it has from now on.
pub fn keep_row(cluster: &str, request: &str, row: &SummaryRow) -> Statement {
    let sql = "INSERT INTO deed (cluster, key, request, what, calls, first_at, last_at, claimed, names)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (cluster, key) DO UPDATE SET
            calls = deed.calls + excluded.calls,
            first_at = CASE WHEN excluded.first_at < deed.first_at THEN excluded.first_at ELSE deed.first_at END,
            last_at = CASE WHEN excluded.last_at > deed.last_at THEN excluded.last_at ELSE deed.last_at END,
            claimed = CASE WHEN excluded.last_at > deed.last_at THEN excluded.claimed ELSE deed.claimed END,
            names = excluded.names";
    let (key, what) = match &row.kind {
        RowKind::Alike(kind) => (key(request, kind), json!(row.kind)),
        RowKind::Others => (key_of(request, ""), json!(row.kind)),
    };
    let texts = [cluster, &key, request, &what.to_string()].map(text_value);
    let numbers = [amount(row.calls), micros(row.first), micros(row.last)];
    let lists = [json!(row.claimed), json!(row.names)].map(|list| text_value(&list.to_string()));
    statement(sql, texts.into_iter().chain(numbers).chain(lists))
}

/// Adds to the counts of a request: new rows and new lines, and uses.
pub fn keep_count(cluster: &str, request: &str, new: [u64; 2], used: &UseCount, now: Timestamp) -> Statement {
    let sql =
        "INSERT INTO used (cluster, request, row_count, line_count, calls, refused, standing, ambiguous, first_at,
            last_at, beside_at, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        ON CONFLICT (cluster, request) DO UPDATE SET row_count = used.row_count + excluded.row_count,
            line_count = used.line_count + excluded.line_count, calls = used.calls + excluded.calls,
            refused = used.refused + excluded.refused, standing = used.standing + excluded.standing,
            ambiguous = used.ambiguous + excluded.ambiguous,
            first_at = CASE WHEN used.first_at = 0 OR (excluded.first_at <> 0 AND excluded.first_at < used.first_at)
                THEN excluded.first_at ELSE used.first_at END,
            last_at = CASE WHEN excluded.last_at > used.last_at THEN excluded.last_at ELSE used.last_at END,
            beside_at = CASE WHEN excluded.beside_at > used.beside_at THEN excluded.beside_at ELSE used.beside_at END,
            at = excluded.at";
    let time = |time: Option<Timestamp>| time.map_or(BoundValue::Number(0), micros);
    let counts = [new[0], new[1], used.calls, used.refused, used.standing, used.ambiguous].map(amount);
    let times = [time(used.first), time(used.last), time(used.last_beside), micros(now)];
    let values = [text_value(cluster), text_value(request)].into_iter().chain(counts).chain(times);
    statement(sql, values)
}

/// Keeps that a stream is open under a request, or beside it.
pub fn keep_stream(cluster: &str, id: &str, request: &str, beside: bool, at: Timestamp) -> Statement {
    let sql =
        "INSERT INTO open_stream (cluster, id, request, beside, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
    let beside = BoundValue::Number(i64::from(beside));
    statement(sql, [cluster, id, request].map(text_value).into_iter().chain([beside, micros(at)]))
}

/// Keeps that a stream is over.
pub fn end_stream(cluster: &str, id: &str) -> Statement {
    statement("DELETE FROM open_stream WHERE cluster = $1 AND id = $2", [cluster, id].map(text_value))
}

/// Takes a run away which another has taken in.
pub fn drop_run(table: RunTable, cluster: &str, of: &str, run: HeardRun) -> Statement {
    let [name, of_what] = table.names();
    let sql = format!("DELETE FROM {name} WHERE cluster = $1 AND {of_what} = $2 AND from_at = $3");
    statement(&sql, [cluster, of].map(text_value).into_iter().chain([micros(run.from)]))
}

/// Keeps a run.
pub fn keep_run(table: RunTable, cluster: &str, of: &str, run: HeardRun) -> Statement {
    let [name, of_what] = table.names();
    let sql = format!("INSERT INTO {name} (cluster, {of_what}, from_at, until_at) VALUES ($1, $2, $3, $4)");
    statement(&sql, [cluster, of].map(text_value).into_iter().chain([micros(run.from), micros(run.until)]))
}

/// Keeps a write that is not explained, which is told of from `due` on.
pub fn keep_suspect(cluster: &str, id: &str, write: &SuspectWrite, why: Unexplained, due: Timestamp) -> Statement {
    let sql = "INSERT INTO unexplained (cluster, id, at, due, request, what, why, told)
        VALUES ($1, $2, $3, $4, $5, $6, $7, 0) ON CONFLICT DO NOTHING";
    let texts = [write.request.as_deref().unwrap_or_default(), &json!(write).to_string(), &json!(why).to_string()];
    let values = [cluster, id].map(text_value).into_iter().chain([micros(write.at), micros(due)]);
    statement(sql, values.chain(texts.map(text_value)))
}

/// Takes away a write that is explained now.
pub fn drop_suspect(cluster: &str, id: &str) -> Statement {
    statement("DELETE FROM unexplained WHERE cluster = $1 AND id = $2", [cluster, id].map(text_value))
}

/// Keeps that a write was told of.
pub fn keep_told(cluster: &str, id: &str) -> Statement {
    statement("UPDATE unexplained SET told = 1 WHERE cluster = $1 AND id = $2", [cluster, id].map(text_value))
}

/// Keeps an event as it is.
pub fn keep_line(cluster: &str, request: &str, at: Timestamp, body: &str) -> Statement {
    let sql = "INSERT INTO audit_line (cluster, request, at, body) VALUES ($1, $2, $3, $4)";
    statement(sql, [text_value(cluster), text_value(request), micros(at), text_value(body)])
}

/// Lets go what is kept for a time only: ids and runs, streams whose end was never seen, uses of what was no request after
/// all, writes that nobody could explain, and uses of bindings.
pub fn purges(now: Timestamp) -> Vec<Statement> {
    let before = |days: i64| micros(now.saturating_sub(SignedDuration::from_hours(24 * days)).unwrap_or(now));
    let unknown =
        "SELECT request FROM used WHERE at < $1 AND NOT EXISTS (SELECT 1 FROM request q WHERE q.uid = used.request)";
    let of_unknown = ["deed", "audit_line", "used"]
        .map(|table| statement(&format!("DELETE FROM {table} WHERE request IN ({unknown})"), [before(SEEN_DAYS)]));
    let timed = [
        ("audit_seen WHERE at", SEEN_DAYS),
        ("heard WHERE until_at", HEARD_DAYS),
        ("fleet WHERE until_at", HEARD_DAYS),
        ("open_stream WHERE at", STREAM_DAYS),
        ("unexplained WHERE due", i64::from(FINDING_DAYS)),
        ("binding_use WHERE hour", i64::from(ACTIVITY_DAYS)),
    ];
    let timed = timed.map(|(place, days)| statement(&format!("DELETE FROM {place} < $1"), [before(days)]));
    of_unknown.into_iter().chain(timed).collect()
}
