//! Who read what of the archive: a row for each read, where the pages of one listing are one, and a leaf of the log for each
//! call.
//!
//! Owns how many are kept and for how long. A read is noted before it is answered, so that one that cannot be noted is not
//! answered.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::json;

use super::super::activity::tables::{FoundRow, count, number, text, time};
use super::super::log::leaf::MadeLeaf;
use super::search::{BoundValue, Statement};
use super::{ArchiveStore, StoreError};
use crate::api::record::RecordedPerson;
use crate::core::proof::event::{LogEvent, LoggedRead};
use crate::core::record::keeping::{READ_DAYS, kept_since};

/// How many are kept at most, the newest.
const MOST_KEPT: i64 = 500_000;
/// How long after a page the next one of the same listing is asked for at most.
const NEXT_PAGE: SignedDuration = SignedDuration::from_mins(30);
/// How many are told at a time.
pub const MOST_TOLD: i64 = 500;

/// A read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveRead {
    /// Who reads, as the cluster or the issuer says.
    pub user: String,
    /// What is read: records, texts, activity, findings or reads.
    pub resource: &'static str,
    /// Of which namespace; empty: of all.
    pub namespace: String,
    /// The question, without its place in a list.
    pub query: String,
    /// What it is for, as the reader says.
    pub purpose: String,
    /// How many rows are answered.
    pub rows: usize,
    /// Whether it goes on with a listing.
    pub goes_on: bool,
}

/// A read as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotedRead {
    /// Its number.
    #[serde(skip)]
    pub n: i64,
    pub at: Option<Timestamp>,
    /// When the last page was read.
    pub last: Option<Timestamp>,
    pub user: String,
    pub resource: String,
    pub namespace: String,
    pub query: String,
    pub purpose: String,
    pub rows: u64,
    pub calls: u64,
}

impl ArchiveRead {
    /// As the log says it. Who read and what stands there as commitments.
    fn logged(&self, now: Timestamp) -> LoggedRead {
        let by = RecordedPerson { username: self.user.clone(), uid: None, groups: None };
        let Self { resource, namespace, query, purpose, .. } = self;
        let what = json!({ "resource": resource, "namespace": namespace, "query": query, "purpose": purpose });
        LoggedRead { at: MicroTime(now), by, what: what.to_string(), found: self.rows as u64 }
    }

    /// What notes it, and forgets what is too old or too much.
    fn statements(&self, now: Timestamp) -> Vec<Statement> {
        let (at, since) = (now.as_microsecond(), earlier(now, NEXT_PAGE));
        let [user, resource, namespace, query, purpose] =
            [&self.user, self.resource, &self.namespace, &self.query, &self.purpose]
                .map(|text: &str| BoundValue::Text(text.replace('\0', "\u{fffd}")));
        let rows = BoundValue::Number(i64::try_from(self.rows).unwrap_or(i64::MAX));
        let number = BoundValue::Number;
        let is_same = "username = $3 AND resource = $4 AND place = $5 AND query = $6 AND purpose = $7 AND last_at > $8";
        let folded = format!(
            "UPDATE read_log SET row_count = row_count + $1, calls = calls + 1, last_at = $2
             WHERE n = (SELECT MAX(n) FROM read_log WHERE {is_same})"
        );
        let begun = "INSERT INTO read_log (row_count, last_at, at, username, resource, place, query, purpose, calls)
             VALUES ($1, $2, $2, $3, $4, $5, $6, $7, 1)";
        let values = vec![rows, number(at), user, resource, namespace, query, purpose];
        let noted = match self.goes_on {
            true => Statement { sql: folded, values: [values, vec![number(since)]].concat() },
            false => Statement { sql: begun.to_owned(), values },
        };
        let old = Statement {
            sql: "DELETE FROM read_log WHERE last_at < $1".to_owned(),
            values: vec![number(kept_since(READ_DAYS, now).as_microsecond())],
        };
        let many = Statement {
            sql: "DELETE FROM read_log WHERE n <= (SELECT MAX(n) FROM read_log) - $1".to_owned(),
            values: vec![number(MOST_KEPT)],
        };
        vec![noted, old, many]
    }
}

fn earlier(now: Timestamp, by: SignedDuration) -> i64 {
    now.saturating_sub(by).unwrap_or(Timestamp::MIN).as_microsecond()
}

impl ArchiveStore {
    /// Notes a read.
    ///
    /// # Errors
    /// When the store fails; then it is not noted.
    pub async fn note_read(&self, read: &ArchiveRead, now: Timestamp) -> Result<(), StoreError> {
        let leaf = MadeLeaf::of_event(&LogEvent::Read(read.logged(now)))?;
        self.keep_events(vec![leaf], read.statements(now)).await
    }

    /// Reads before the one with this number, the newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn reads(&self, before: i64) -> Result<Vec<NotedRead>, StoreError> {
        let sql = "SELECT n, at, last_at, username, resource, place, query, purpose, row_count, calls FROM read_log
             WHERE n < $1 ORDER BY n DESC LIMIT $2";
        let values = vec![BoundValue::Number(before), BoundValue::Number(MOST_TOLD)];
        let rows = self.rows(vec![Statement { sql: sql.to_owned(), values }]).await?;
        Ok(rows.iter().map(NotedRead::of).collect())
    }
}

impl NotedRead {
    fn of(row: &FoundRow) -> Self {
        let words = |column: usize| text(row, column).to_owned();
        Self {
            n: number(row, 0),
            at: time(row, 1),
            last: time(row, 2),
            user: words(3),
            resource: words(4),
            namespace: words(5),
            query: words(6),
            purpose: words(7),
            rows: count(row, 8),
            calls: count(row, 9),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::runtime::clock::Clock;

    fn read(query: &str, rows: usize, goes_on: bool) -> ArchiveRead {
        let [user, namespace, purpose] = ["ida\0", "", "audit 7"].map(str::to_owned);
        ArchiveRead { user, resource: "records", namespace, query: query.to_owned(), purpose, rows, goes_on }
    }

    /// Tried on each store.
    pub async fn pages_of_one_listing_are_one_read(store: &ArchiveStore) {
        let now = Clock::wall().now();
        let hour = SignedDuration::from_hours(1);
        for (read, at) in [
            (read("person=a", 2, false), now - hour * 24 * 401),
            (read("person=a", 2, false), now - hour * 2),
            (read("person=a", 3, true), now - hour * 2),
            (read("person=b", 1, false), now - hour),
            (read("person=a", 1, true), now - hour * 2),
            (read("person=a", 9, true), now),
            (read("person=a", 2, false), now),
        ] {
            store.note_read(&read, at).await.unwrap();
        }
        let told = store.reads(i64::MAX).await.unwrap();
        let short: Vec<(&str, u64, u64)> = told.iter().map(|one| (one.query.as_str(), one.rows, one.calls)).collect();
        // The page that came too late goes on with nothing, and what is too old is gone.
        assert_eq!(short, [("person=a", 2, 1), ("person=b", 1, 1), ("person=a", 6, 3)]);
        let first = &told[2];
        assert_eq!(
            (first.user.as_str(), first.resource.as_str(), first.purpose.as_str()),
            ("ida\u{fffd}", "records", "audit 7")
        );
        assert_eq!(store.reads(first.n).await.unwrap(), []);
    }
}
