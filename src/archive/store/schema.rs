//! The tables, and how those of an earlier version become those of this one.
//!
//! Owns the steps. They go forward only, and one that is released is never changed. `record.n` is the place of a record in
//! the archive: later ones have higher numbers, and those of one request follow its order. `request.closed` is as
//! `core::record::v1::closes` says of any of its records. What is kept of activity is by the UID of a request, which may come
//! before its first record does. What happened in a review campaign has its place in it once, and is never written over. A hold
//! that is over stays, so that its name is not given again. Leaves of the log are by their place in it, as
//! `archive::log::tables` says.

use super::StoreError;

/// The version table, which both engines understand.
pub const VERSION_TABLE: &str = "CREATE TABLE IF NOT EXISTS archive_schema (version BIGINT NOT NULL)";
/// The version that the tables have; none before the first step.
pub const VERSION: &str = "SELECT MAX(version) FROM archive_schema";

/// The steps of SQLite, from version 0 on.
pub const SQLITE: &[&str] = &[
    "
CREATE TABLE cluster (n INTEGER PRIMARY KEY, uid TEXT NOT NULL UNIQUE);
CREATE TABLE request (n INTEGER PRIMARY KEY, cluster INTEGER NOT NULL REFERENCES cluster (n), uid TEXT NOT NULL,
    held INTEGER NOT NULL, digest TEXT NOT NULL, UNIQUE (uid, cluster));
CREATE TABLE record (n INTEGER PRIMARY KEY, request INTEGER NOT NULL REFERENCES request (n), idx INTEGER NOT NULL,
    cluster INTEGER NOT NULL, at INTEGER NOT NULL, kind TEXT NOT NULL, outcome TEXT NOT NULL, role TEXT NOT NULL,
    policy TEXT, body TEXT NOT NULL, UNIQUE (request, idx));
CREATE INDEX record_at ON record (at);
CREATE INDEX record_role ON record (role, at);
CREATE INDEX record_policy ON record (policy, at) WHERE policy IS NOT NULL;
CREATE TABLE person (username TEXT NOT NULL, at INTEGER NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY (username, at, n)) WITHOUT ROWID;
CREATE TABLE place (namespace TEXT NOT NULL, at INTEGER NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY (namespace, at, n)) WITHOUT ROWID;
CREATE VIRTUAL TABLE word USING fts5 (words, content = '', columnsize = 0, detail = none, tokenize = 'ascii');
CREATE TABLE text (digest TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
",
    "
ALTER TABLE request ADD COLUMN closed INTEGER NOT NULL DEFAULT 0;
UPDATE request SET closed = 1 WHERE EXISTS (SELECT 1 FROM record r WHERE r.request = request.n
    AND (r.outcome IN ('Ended', 'Refused') OR r.kind = 'Deleted'));
CREATE INDEX request_open ON request (cluster, n) WHERE closed = 0;
",
    "
CREATE TABLE audit_seen (cluster TEXT NOT NULL, id TEXT NOT NULL, stages INTEGER NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (cluster, id)) WITHOUT ROWID;
CREATE INDEX audit_seen_at ON audit_seen (at);
CREATE TABLE used (cluster TEXT NOT NULL, request TEXT NOT NULL, row_count INTEGER NOT NULL, line_count INTEGER NOT NULL,
    calls INTEGER NOT NULL, refused INTEGER NOT NULL, standing INTEGER NOT NULL, ambiguous INTEGER NOT NULL, first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (cluster, request)) WITHOUT ROWID;
CREATE TABLE deed (cluster TEXT NOT NULL, key TEXT NOT NULL, request TEXT NOT NULL, what TEXT NOT NULL,
    calls INTEGER NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL, claimed TEXT NOT NULL, PRIMARY KEY (cluster, key));
CREATE INDEX deed_request ON deed (request);
CREATE TABLE open_stream (cluster TEXT NOT NULL, id TEXT NOT NULL, request TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (cluster, id)) WITHOUT ROWID;
CREATE INDEX open_stream_request ON open_stream (request);
CREATE TABLE heard (cluster TEXT NOT NULL, server TEXT NOT NULL, from_at INTEGER NOT NULL, until_at INTEGER NOT NULL,
    PRIMARY KEY (cluster, server, from_at)) WITHOUT ROWID;
CREATE TABLE feed (cluster TEXT PRIMARY KEY, servers INTEGER NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE unexplained (cluster TEXT NOT NULL, id TEXT NOT NULL, at INTEGER NOT NULL, due INTEGER NOT NULL,
    request TEXT NOT NULL, what TEXT NOT NULL, why TEXT NOT NULL, told INTEGER NOT NULL, PRIMARY KEY (cluster, id));
CREATE INDEX unexplained_request ON unexplained (request);
CREATE TABLE audit_line (n INTEGER PRIMARY KEY, cluster TEXT NOT NULL, request TEXT NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX audit_line_request ON audit_line (request, n);
",
    "
ALTER TABLE used ADD COLUMN beside_at INTEGER NOT NULL DEFAULT 0;
CREATE TABLE stream (cluster TEXT NOT NULL, id TEXT NOT NULL, request TEXT NOT NULL, beside INTEGER NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (cluster, id, request)) WITHOUT ROWID;
INSERT INTO stream (cluster, id, request, beside, at) SELECT cluster, id, request, 0, at FROM open_stream;
DROP TABLE open_stream;
ALTER TABLE stream RENAME TO open_stream;
CREATE INDEX open_stream_request ON open_stream (request);
DROP TABLE feed;
CREATE TABLE fleet (cluster TEXT NOT NULL, servers TEXT NOT NULL, from_at INTEGER NOT NULL, until_at INTEGER NOT NULL,
    PRIMARY KEY (cluster, servers, from_at)) WITHOUT ROWID;
",
    "
ALTER TABLE deed ADD COLUMN names TEXT NOT NULL DEFAULT 'null';
",
    "
CREATE TABLE read_log (n INTEGER PRIMARY KEY, at INTEGER NOT NULL, last_at INTEGER NOT NULL, username TEXT NOT NULL,
    resource TEXT NOT NULL, place TEXT NOT NULL, query TEXT NOT NULL, purpose TEXT NOT NULL, row_count INTEGER NOT NULL,
    calls INTEGER NOT NULL);
CREATE INDEX read_log_last ON read_log (last_at);
",
    "
CREATE TABLE campaign_entry (cluster TEXT NOT NULL, campaign TEXT NOT NULL, idx INTEGER NOT NULL, at INTEGER NOT NULL,
    kind TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (cluster, campaign, idx));
CREATE INDEX campaign_entry_kind ON campaign_entry (cluster, kind, at);
CREATE TABLE campaign_text (digest TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
",
    "
CREATE TABLE legal_hold (name TEXT PRIMARY KEY, person TEXT NOT NULL, until_at INTEGER NOT NULL, at INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE held_request (request TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (request, name));
",
    "
CREATE TABLE log (one INTEGER PRIMARY KEY CHECK (one = 1), uid TEXT NOT NULL, size INTEGER NOT NULL, record INTEGER NOT NULL,
    beat_at INTEGER NOT NULL, signer TEXT NOT NULL, signer_until INTEGER NOT NULL);
CREATE TABLE leaf (place INTEGER PRIMARY KEY, record INTEGER NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX leaf_record ON leaf (record) WHERE record > 0;
CREATE TABLE leaf_opening (place INTEGER PRIMARY KEY, salts TEXT NOT NULL, event TEXT NOT NULL);
CREATE TABLE log_hash (level INTEGER NOT NULL, place INTEGER NOT NULL, hash TEXT NOT NULL,
    PRIMARY KEY (level, place)) WITHOUT ROWID;
CREATE TABLE checkpoint (size INTEGER PRIMARY KEY, at INTEGER NOT NULL, note TEXT NOT NULL);
",
    "
CREATE TABLE binding_use (cluster TEXT NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL, namespace TEXT NOT NULL,
    name TEXT NOT NULL, username TEXT NOT NULL, hour INTEGER NOT NULL, PRIMARY KEY (cluster, key)) WITHOUT ROWID;
CREATE INDEX binding_use_hour ON binding_use (cluster, hour);
CREATE TABLE binding_since (cluster TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
",
];

/// The steps of PostgreSQL, from version 0 on.
pub const POSTGRES: &[&str] = &[
    "
CREATE TABLE cluster (n BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY, uid TEXT NOT NULL UNIQUE);
CREATE TABLE request (n BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY, cluster BIGINT NOT NULL REFERENCES cluster (n),
    uid TEXT NOT NULL, held BIGINT NOT NULL, digest TEXT NOT NULL, UNIQUE (uid, cluster));
CREATE TABLE record (n BIGINT PRIMARY KEY, request BIGINT NOT NULL REFERENCES request (n), idx BIGINT NOT NULL,
    cluster BIGINT NOT NULL, at BIGINT NOT NULL, kind TEXT NOT NULL, outcome TEXT NOT NULL, role TEXT NOT NULL,
    policy TEXT, words TEXT[] NOT NULL, body TEXT NOT NULL, UNIQUE (request, idx));
CREATE INDEX record_at ON record (at, n);
CREATE INDEX record_role ON record (role, at, n);
CREATE INDEX record_policy ON record (policy, at, n) WHERE policy IS NOT NULL;
CREATE INDEX record_words ON record USING gin (words);
CREATE TABLE person (username TEXT NOT NULL, at BIGINT NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (username, at, n));
CREATE TABLE place (namespace TEXT NOT NULL, at BIGINT NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (namespace, at, n));
CREATE TABLE text (digest TEXT PRIMARY KEY, body TEXT NOT NULL);
",
    "
ALTER TABLE request ADD COLUMN closed BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE request SET closed = TRUE WHERE EXISTS (SELECT 1 FROM record r WHERE r.request = request.n
    AND (r.outcome IN ('Ended', 'Refused') OR r.kind = 'Deleted'));
CREATE INDEX request_open ON request (cluster, n) WHERE NOT closed;
",
    "
CREATE TABLE audit_seen (cluster TEXT NOT NULL, id TEXT NOT NULL, stages BIGINT NOT NULL, at BIGINT NOT NULL,
    PRIMARY KEY (cluster, id));
CREATE INDEX audit_seen_at ON audit_seen (at);
CREATE TABLE used (cluster TEXT NOT NULL, request TEXT NOT NULL, row_count BIGINT NOT NULL, line_count BIGINT NOT NULL,
    calls BIGINT NOT NULL, refused BIGINT NOT NULL, standing BIGINT NOT NULL, ambiguous BIGINT NOT NULL, first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL, at BIGINT NOT NULL, PRIMARY KEY (cluster, request));
CREATE TABLE deed (cluster TEXT NOT NULL, key TEXT NOT NULL, request TEXT NOT NULL, what TEXT NOT NULL,
    calls BIGINT NOT NULL, first_at BIGINT NOT NULL, last_at BIGINT NOT NULL, claimed TEXT NOT NULL, PRIMARY KEY (cluster, key));
CREATE INDEX deed_request ON deed (request);
CREATE TABLE open_stream (cluster TEXT NOT NULL, id TEXT NOT NULL, request TEXT NOT NULL, at BIGINT NOT NULL,
    PRIMARY KEY (cluster, id));
CREATE INDEX open_stream_request ON open_stream (request);
CREATE TABLE heard (cluster TEXT NOT NULL, server TEXT NOT NULL, from_at BIGINT NOT NULL, until_at BIGINT NOT NULL,
    PRIMARY KEY (cluster, server, from_at));
CREATE TABLE feed (cluster TEXT PRIMARY KEY, servers BIGINT NOT NULL, at BIGINT NOT NULL);
CREATE TABLE unexplained (cluster TEXT NOT NULL, id TEXT NOT NULL, at BIGINT NOT NULL, due BIGINT NOT NULL,
    request TEXT NOT NULL, what TEXT NOT NULL, why TEXT NOT NULL, told BIGINT NOT NULL, PRIMARY KEY (cluster, id));
CREATE INDEX unexplained_request ON unexplained (request);
CREATE TABLE audit_line (n BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY, cluster TEXT NOT NULL, request TEXT NOT NULL, at BIGINT NOT NULL, body TEXT NOT NULL);
CREATE INDEX audit_line_request ON audit_line (request, n);
",
    "
ALTER TABLE used ADD COLUMN beside_at BIGINT NOT NULL DEFAULT 0;
CREATE TABLE stream (cluster TEXT NOT NULL, id TEXT NOT NULL, request TEXT NOT NULL, beside BIGINT NOT NULL, at BIGINT NOT NULL,
    PRIMARY KEY (cluster, id, request));
INSERT INTO stream (cluster, id, request, beside, at) SELECT cluster, id, request, 0, at FROM open_stream;
DROP TABLE open_stream;
ALTER TABLE stream RENAME TO open_stream;
CREATE INDEX open_stream_request ON open_stream (request);
DROP TABLE feed;
CREATE TABLE fleet (cluster TEXT NOT NULL, servers TEXT NOT NULL, from_at BIGINT NOT NULL, until_at BIGINT NOT NULL,
    PRIMARY KEY (cluster, servers, from_at));
",
    "
ALTER TABLE deed ADD COLUMN names TEXT NOT NULL DEFAULT 'null';
",
    "
CREATE TABLE read_log (n BIGINT PRIMARY KEY GENERATED ALWAYS AS IDENTITY, at BIGINT NOT NULL, last_at BIGINT NOT NULL,
    username TEXT NOT NULL, resource TEXT NOT NULL, place TEXT NOT NULL, query TEXT NOT NULL, purpose TEXT NOT NULL,
    row_count BIGINT NOT NULL, calls BIGINT NOT NULL);
CREATE INDEX read_log_last ON read_log (last_at);
",
    "
CREATE TABLE campaign_entry (cluster TEXT NOT NULL, campaign TEXT NOT NULL, idx BIGINT NOT NULL, at BIGINT NOT NULL,
    kind TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (cluster, campaign, idx));
CREATE INDEX campaign_entry_kind ON campaign_entry (cluster, kind, at);
CREATE TABLE campaign_text (digest TEXT PRIMARY KEY, body TEXT NOT NULL);
",
    "
CREATE TABLE legal_hold (name TEXT PRIMARY KEY, person TEXT NOT NULL, until_at BIGINT NOT NULL, at BIGINT NOT NULL, body TEXT NOT NULL);
CREATE TABLE held_request (request TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (request, name));
",
    "
CREATE TABLE log (one BIGINT PRIMARY KEY CHECK (one = 1), uid TEXT NOT NULL, size BIGINT NOT NULL, record BIGINT NOT NULL,
    beat_at BIGINT NOT NULL, signer TEXT NOT NULL, signer_until BIGINT NOT NULL);
CREATE TABLE leaf (place BIGINT PRIMARY KEY, record BIGINT NOT NULL, body TEXT NOT NULL);
CREATE UNIQUE INDEX leaf_record ON leaf (record) WHERE record > 0;
CREATE TABLE leaf_opening (place BIGINT PRIMARY KEY, salts TEXT NOT NULL, event TEXT NOT NULL);
CREATE TABLE log_hash (level BIGINT NOT NULL, place BIGINT NOT NULL, hash TEXT NOT NULL,
    PRIMARY KEY (level, place));
CREATE TABLE checkpoint (size BIGINT PRIMARY KEY, at BIGINT NOT NULL, note TEXT NOT NULL);
",
    "
CREATE TABLE binding_use (cluster TEXT NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL, namespace TEXT NOT NULL,
    name TEXT NOT NULL, username TEXT NOT NULL, hour BIGINT NOT NULL, PRIMARY KEY (cluster, key));
CREATE INDEX binding_use_hour ON binding_use (cluster, hour);
CREATE TABLE binding_since (cluster TEXT PRIMARY KEY, at BIGINT NOT NULL);
",
];

/// The steps that tables of version `found` still need, each with the version that it leads to.
///
/// # Errors
/// When a later version of the archive has been here.
pub fn outstanding(steps: &[&'static str], found: i64) -> Result<Vec<(i64, &'static str)>, StoreError> {
    let numbered: Vec<(i64, &str)> = (1..).zip(steps.iter().copied()).collect();
    let known = numbered.last().map_or(0, |(version, _)| *version);
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    Ok(numbered.into_iter().filter(|(version, _)| *version > found).collect())
}

/// The version that the last step leads to.
#[cfg(test)]
pub fn newest() -> i64 {
    i64::try_from(SQLITE.len()).unwrap()
}

/// Says that the tables have this version now.
pub fn reached(version: i64) -> String {
    format!("INSERT INTO archive_schema (version) VALUES ({version})")
}
