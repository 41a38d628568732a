//! The statements by which holds are kept, and what is due is found and erased. Both stores understand each of them but
//! those that have the name of one.
//!
//! Owns their words and columns. Values stand in the order of their numbers, since SQLite counts them in the order that it
//! meets them. Times are microseconds since 1970; 0 is none.

use k8s_openapi::jiff::Timestamp;
use serde_json::json;

use crate::api::keeping::{HoldAsked, KeptHold};
use crate::archive::intake::FoundBy;
use crate::archive::store::search::{BoundValue, Statement, statement};

/// Most requests that are erased at a time.
pub const MOST_AT_A_TIME: usize = 200;
/// Most holds that are listed, the latest.
const MOST_LISTED: i64 = 1000;
/// That a request `q` is held, with the time as the first value.
const HELD: &str = "(EXISTS (SELECT 1 FROM held_request w JOIN legal_hold h ON h.name = w.name
        WHERE w.request = q.uid AND h.until_at > $1)
    OR EXISTS (SELECT 1 FROM legal_hold h JOIN person p ON p.username = h.person JOIN record o ON o.n = p.n
        WHERE o.request = q.n AND h.until_at > $1))";
/// That a request `q` has the latest record of all. It stays until another comes, so that no number is given twice, by which
/// leaves of the log know their records.
const LATEST: &str = "q.n = (SELECT request FROM record ORDER BY n DESC LIMIT 1)";
/// Until when a hold lasts that nothing ends.
const FOR_GOOD: i64 = i64::MAX;

fn text(text: &str) -> BoundValue {
    // A column of PostgreSQL has no zero character, and neither has what it would be compared with.
    BoundValue::Text(text.replace('\0', "\u{fffd}"))
}

fn micros(time: Timestamp) -> BoundValue {
    BoundValue::Number(time.as_microsecond())
}

/// Keeps a hold, first, and what it names; no row when the name is taken.
pub fn hold(hold: &KeptHold) -> Vec<Statement> {
    let KeptHold { asked, at, .. } = hold;
    let HoldAsked { name, requests, person, until, .. } = asked;
    let until = until.as_ref().map_or(FOR_GOOD, |until| until.0.as_microsecond());
    let first = statement(
        "INSERT INTO legal_hold (name, person, until_at, at, body) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        [
            text(name),
            text(person.as_deref().unwrap_or_default()),
            BoundValue::Number(until),
            micros(at.0),
            text(&json!(hold).to_string()),
        ],
    );
    let each = requests.iter().map(|request| {
        let sql = "INSERT INTO held_request (request, name) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        statement(sql, [text(request), text(name)])
    });
    [first].into_iter().chain(each).collect()
}

/// Ends a hold that is there; no row when it is over already.
pub fn lift(hold: &KeptHold, at: Timestamp) -> Statement {
    statement(
        "UPDATE legal_hold SET until_at = $1, body = $2 WHERE name = $3 AND until_at > $1",
        [micros(at), text(&json!(hold).to_string()), text(&hold.asked.name)],
    )
}

/// Holds, the latest first: hold.
pub fn holds() -> Statement {
    statement("SELECT body FROM legal_hold ORDER BY at DESC, name LIMIT $1", [BoundValue::Number(MOST_LISTED)])
}

/// One of them: hold.
pub fn hold_of(name: &str) -> Statement {
    statement("SELECT body FROM legal_hold WHERE name = $1", [text(name)])
}

/// Requests that are over, not held, and have records of which the last is from before: number, UID, UID of the cluster.
pub fn due(before: Timestamp, now: Timestamp) -> Statement {
    let sql = format!(
        "SELECT DISTINCT q.n, q.uid, c.uid FROM record r JOIN request q ON q.n = r.request JOIN cluster c ON c.n = q.cluster
        WHERE NOT {HELD} AND r.at < $2 AND q.closed AND NOT {LATEST}
            AND NOT EXISTS (SELECT 1 FROM record l WHERE l.request = q.n AND l.at >= $2)
        ORDER BY q.n LIMIT $3"
    );
    let most = BoundValue::Number(i64::try_from(MOST_AT_A_TIME).unwrap_or(i64::MAX));
    statement(&sql, [micros(now), micros(before), most])
}

/// Requests whose records name somebody: number, UID, UID of the cluster, and 1 for those that may be erased now.
pub fn of_person(person: &str, now: Timestamp) -> Statement {
    let sql = format!(
        "SELECT DISTINCT q.n, q.uid, c.uid, CAST(CASE WHEN NOT {HELD} AND q.closed AND NOT {LATEST} THEN 1 ELSE 0 END AS BIGINT)
        FROM person n JOIN record r ON r.n = n.n JOIN request q ON q.n = r.request JOIN cluster c ON c.n = q.cluster
        WHERE n.username = $2 ORDER BY q.n"
    );
    statement(&sql, [micros(now), text(person)])
}

/// What opens the leaves of a request: place, salts.
pub fn openings_of(request: i64) -> Statement {
    let sql = "SELECT o.place, o.salts FROM record r JOIN leaf l ON l.record = r.n
        JOIN leaf_opening o ON o.place = l.place WHERE r.request = $1 ORDER BY o.place";
    statement(sql, [BoundValue::Number(request)])
}

/// What opens leaves of what the archive says of itself, behind a place and as far as a checkpoint signed before: place, leaf,
/// salts.
pub fn openings_of_events(after: i64, before: Timestamp) -> Statement {
    let sql = "SELECT o.place, l.body, o.salts FROM leaf_opening o JOIN leaf l ON l.place = o.place
        WHERE o.place > $1 AND o.event <> '' AND o.place < (SELECT COALESCE(MAX(size), 0) FROM checkpoint WHERE at < $2)
        ORDER BY o.place LIMIT $3";
    let most = BoundValue::Number(i64::try_from(MOST_AT_A_TIME).unwrap_or(i64::MAX));
    statement(sql, [BoundValue::Number(after), BoundValue::Number(before.as_second()), most])
}

/// Erases what opens a leaf. The leaf stays, and says nothing any more.
pub fn shut(place: i64) -> Statement {
    statement("UPDATE leaf_opening SET salts = '{}', event = '' WHERE place = $1", [BoundValue::Number(place)])
}

/// The records of a request: number, record.
pub fn records_of(request: i64) -> Statement {
    statement("SELECT n, body FROM record WHERE request = $1 ORDER BY idx", [BoundValue::Number(request)])
}

/// Erases a record.
pub fn erase_record(n: i64) -> Statement {
    statement("DELETE FROM record WHERE n = $1", [BoundValue::Number(n)])
}

/// Erases by whom and where a record was found.
pub fn erase_found_by(n: i64, by: &FoundBy) -> Vec<Statement> {
    let (n, at) = (BoundValue::Number(n), BoundValue::Number(by.at));
    let found = |sql: &str, name: &String| statement(sql, [text(name), at.clone(), n.clone()]);
    let people =
        by.people.iter().map(|name| found("DELETE FROM person WHERE username = $1 AND at = $2 AND n = $3", name));
    let places =
        by.places.iter().map(|name| found("DELETE FROM place WHERE namespace = $1 AND at = $2 AND n = $3", name));
    people.chain(places).collect()
}

/// Erases the words of a record from the index of SQLite, which must be told them once more.
pub fn erase_words_of_sqlite(n: i64, words: &str) -> Statement {
    statement("INSERT INTO word (word, rowid, words) VALUES ('delete', $1, $2)", [BoundValue::Number(n), text(words)])
}

/// Erases what is known of the use of a request.
pub fn erase_uses(cluster: &str, request: &str) -> Vec<Statement> {
    let tables = ["used", "deed", "audit_line", "open_stream", "unexplained"];
    let erase = |table| {
        statement(&format!("DELETE FROM {table} WHERE cluster = $1 AND request = $2"), [text(cluster), text(request)])
    };
    tables.map(erase).into()
}

/// Erases the single calls of requests that are over and not held, which were made before. How many there were stays with
/// the records.
pub fn erase_calls(before: Timestamp, now: Timestamp) -> Vec<Statement> {
    let over = format!("SELECT q.uid FROM request q WHERE q.closed AND NOT {HELD}");
    [("deed", "last_at"), ("audit_line", "at")]
        .map(|(table, at)| {
            let sql = format!("DELETE FROM {table} WHERE request IN ({over}) AND {at} < $2");
            statement(&sql, [micros(now), micros(before)])
        })
        .into()
}

/// Erases campaigns that were closed before.
pub fn erase_campaigns(before: Timestamp) -> Vec<Statement> {
    let closed = "SELECT 1 FROM campaign_entry c WHERE c.cluster = campaign_entry.cluster
        AND c.campaign = campaign_entry.campaign AND c.kind = 'Closed' AND c.at < $1";
    vec![statement(&format!("DELETE FROM campaign_entry WHERE EXISTS ({closed})"), [micros(before)])]
}
