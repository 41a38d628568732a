//! The statements by which the log is kept and read. Both stores understand each of them.
//!
//! Owns their words, and what stands in the columns. A record without a leaf is one behind `log.record`; `leaf.record` is 0 for
//! what is no record, and `leaf_opening.event` empty for what is one. `log_hash` has the hashes of leaves on level 0, and on
//! each level above those of full tiles of the level below, so that each tile is one run of rows.

use k8s_openapi::jiff::Timestamp;

use super::leaf::MadeLeaf;
use crate::archive::store::search::{BoundValue, Statement, statement};
use crate::core::proof::tile::Tile;
use crate::core::proof::tree::TreeHash;

/// How many records without a leaf get one at a time.
pub const BACKLOG: i64 = 256;
/// How many openings are told at a time.
pub const MOST_OPENINGS: i64 = 256;
/// How many checkpoints are told at a time.
pub const MOST_CHECKPOINTS: i64 = 256;

/// A count or a place, which no store counts beyond 63 bits.
fn amount(count: u64) -> BoundValue {
    BoundValue::Number(i64::try_from(count).unwrap_or(i64::MAX))
}

fn words(text: &str) -> BoundValue {
    BoundValue::Text(text.to_owned())
}

/// Begins the log, where there is none.
pub fn begun(uid: &str) -> Statement {
    let sql = "INSERT INTO log (one, uid, size, record, beat_at, signer, signer_until) SELECT 1, $1, 0, 0, 0, '', 0
        WHERE NOT EXISTS (SELECT 1 FROM log)";
    statement(sql, [words(uid)])
}

/// Where the log ends.
pub fn end() -> Statement {
    statement("SELECT uid, size, record, beat_at FROM log", [])
}

/// Moves the end, from where it was.
pub fn moved(before: u64, size: u64, record: i64) -> Statement {
    let sql = "UPDATE log SET size = $1, record = $2 WHERE size = $3";
    statement(sql, [amount(size), BoundValue::Number(record), amount(before)])
}

/// Hashes of a level from a place on, with the level.
pub fn hashes_from(level: u8, place: u64) -> Statement {
    let sql = "SELECT level, hash FROM log_hash WHERE level = $1 AND place >= $2 ORDER BY place";
    statement(sql, [BoundValue::Number(level.into()), amount(place)])
}

/// The hashes of a tile.
pub fn hashes_of(level: u8, tile: Tile) -> Statement {
    let sql = "SELECT hash FROM log_hash WHERE level = $1 AND place >= $2 AND place < $3 ORDER BY place";
    let (start, end) = (tile.start(), tile.start().saturating_add(tile.width().into()));
    statement(sql, [BoundValue::Number(level.into()), amount(start), amount(end)])
}

/// The leaves of a tile.
pub fn leaves_of(tile: Tile) -> Statement {
    let sql = "SELECT body FROM leaf WHERE place >= $1 AND place < $2 ORDER BY place";
    let (start, end) = (tile.start(), tile.start().saturating_add(tile.width().into()));
    statement(sql, [amount(start), amount(end)])
}

/// Keeps a leaf and what opens it. `record` is the number of its record, or 0.
pub fn leaf(place: u64, record: i64, leaf: MadeLeaf) -> [Statement; 2] {
    let kept = "INSERT INTO leaf (place, record, body) VALUES ($1, $2, $3)";
    let opened = "INSERT INTO leaf_opening (place, salts, event) VALUES ($1, $2, $3)";
    let [body, salts, event] = [leaf.bytes, leaf.salts, leaf.event].map(BoundValue::Text);
    [
        statement(kept, [amount(place), BoundValue::Number(record), body]),
        statement(opened, [amount(place), salts, event]),
    ]
}

/// Keeps a hash.
pub fn hash(level: u8, place: u64, hash: TreeHash) -> Statement {
    let sql = "INSERT INTO log_hash (level, place, hash) VALUES ($1, $2, $3)";
    statement(sql, [BoundValue::Number(level.into()), amount(place), BoundValue::Text(hash.to_string())])
}

/// Records that have no leaf, behind the one of this number.
pub fn backlog(record: i64) -> Statement {
    let sql = "SELECT n, body FROM record WHERE n > $1 ORDER BY n LIMIT $2";
    statement(sql, [BoundValue::Number(record), BoundValue::Number(BACKLOG)])
}

/// The first record behind this one that is before the other.
pub fn between(record: i64, first: i64) -> Statement {
    let sql = "SELECT n FROM record WHERE n > $1 AND n < $2 ORDER BY n LIMIT 1";
    statement(sql, [BoundValue::Number(record), BoundValue::Number(first)])
}

/// Takes the row by which one replica does at a time what is due, unless another has it.
pub fn claimed(replica: &str, now: Timestamp, until: Timestamp) -> Statement {
    let sql = "UPDATE log SET signer = $1, signer_until = $2 WHERE signer = $3 OR signer_until < $4";
    let micros = |time: Timestamp| BoundValue::Number(time.as_microsecond());
    statement(sql, [words(replica), micros(until), words(replica), micros(now)])
}

/// Notes a heartbeat.
pub fn beaten(at: Timestamp) -> Statement {
    statement("UPDATE log SET beat_at = $1", [BoundValue::Number(at.as_microsecond())])
}

/// Keeps a checkpoint, unless there is one of as many leaves.
pub fn checkpoint(size: u64, at: u64, note: &str) -> Statement {
    let sql = "INSERT INTO checkpoint (size, at, note) SELECT $1, $2, $3
        WHERE NOT EXISTS (SELECT 1 FROM checkpoint WHERE size >= $4)";
    statement(sql, [amount(size), amount(at), words(note), amount(size)])
}

/// Puts the line of a cosignature to a checkpoint.
pub fn cosigned(size: u64, line: &str) -> Statement {
    statement("UPDATE checkpoint SET note = note || $1 WHERE size = $2", [words(line), amount(size)])
}

/// The last checkpoint.
pub fn last_checkpoint() -> Statement {
    statement("SELECT size, at, note FROM checkpoint ORDER BY size DESC LIMIT 1", [])
}

/// Checkpoints of more leaves than this.
pub fn checkpoints(after: u64) -> Statement {
    let sql = "SELECT size, at, note FROM checkpoint WHERE size > $1 ORDER BY size LIMIT $2";
    statement(sql, [amount(after), BoundValue::Number(MOST_CHECKPOINTS)])
}

/// What opens the leaves from a place on, with the record that each is about.
pub fn openings(from: u64) -> Statement {
    let sql = "SELECT l.place, COALESCE(o.salts, ''), COALESCE(o.event, ''), COALESCE(r.body, '') FROM leaf l
        LEFT JOIN leaf_opening o ON o.place = l.place LEFT JOIN record r ON r.n = l.record
        WHERE l.place >= $1 ORDER BY l.place LIMIT $2";
    statement(sql, [amount(from), BoundValue::Number(MOST_OPENINGS)])
}

/// By cluster and state how many requests go on, and how many are over.
pub fn states() -> [Statement; 2] {
    let open = "SELECT c.uid, COALESCE((SELECT r.outcome FROM record r WHERE r.request = q.n AND r.outcome <> 'Noted'
            ORDER BY r.idx DESC LIMIT 1), 'Noted') AS state, COUNT(*)
        FROM request q JOIN cluster c ON c.n = q.cluster WHERE NOT q.closed GROUP BY 1, 2";
    let closed = "SELECT c.uid, 'Closed', COUNT(*) FROM request q JOIN cluster c ON c.n = q.cluster WHERE q.closed
        GROUP BY c.uid";
    [open, closed].map(|sql| statement(sql, []))
}

/// By cluster when an audit log was heard last.
pub fn heard() -> Statement {
    statement("SELECT cluster, MAX(until_at) FROM heard GROUP BY cluster", [])
}
