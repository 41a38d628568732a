//! Where records are kept: one file of SQLite, or a database of PostgreSQL.
//!
//! Owns what a store does, the same for both: what it answered to be held is on disk. Statements that both understand are
//! in [`search`], tables in [`schema`]. It must not judge what arrives: [`super::judge`] does.

pub mod activity;
pub mod campaign;
pub mod keeping;
pub mod leaves;
#[cfg(test)]
mod lives;
pub mod postgres;
pub mod reads;
pub mod schema;
pub mod search;
pub mod sqlite;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::{BTreeSet, HashMap};

use self::postgres::PostgresStore;
use self::search::{FoundPage, Search};
use self::sqlite::SqliteStore;
use super::intake::{Arrival, Delivery};
use super::log::append::BrokenLog;
use super::log::leaf::NoLeaf;
use crate::api::delivery::{ChainAnswer, HeldChain};
use crate::core::record::v1::closes;
use crate::runtime::secret::random_bytes;

/// Whether statements are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::archive) enum WriteRule {
    Always,
    /// None of them where the first changes no row: what it would write has been there before.
    IfTheFirstIsNew,
}

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite says so.
    #[error("SQLite: {0}")]
    Sqlite(rusqlite::Error),
    /// PostgreSQL, or the way there.
    #[error("PostgreSQL: {}", with_cause(.0))]
    Postgres(tokio_postgres::Error),
    /// There is no space left.
    #[error("the store is full ({0}), and nothing of the delivery is kept; give its volume more space")]
    Full(String),
    /// The address of the database cannot be used.
    #[error("{0}")]
    Address(String),
    /// A later version of the archive made the tables.
    #[error(
        "the tables are of version {found}, and this archive knows none after {known}; run the version that made them"
    )]
    Newer { found: i64, known: i64 },
    /// What is to be noted cannot stand in the log.
    #[error(transparent)]
    Leaf(#[from] NoLeaf),
    /// The log in it is not whole.
    #[error(transparent)]
    Log(#[from] BrokenLog),
    /// The thread that writes has ended.
    #[error("the writer of the store has ended; restart the archive")]
    Ended,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let full = error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull);
        if full { Self::Full(error.to_string()) } else { Self::Sqlite(error) }
    }
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let full = error.code() == Some(&tokio_postgres::error::SqlState::DISK_FULL);
        if full { Self::Full(with_cause(&error)) } else { Self::Postgres(error) }
    }
}

/// Its own message says only at what; the cause says why.
fn with_cause(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

/// The last record that is held of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldEnd {
    /// Number of the request.
    pub n: i64,
    /// Digest of the record.
    pub digest: String,
    /// The record, as it came.
    pub bytes: String,
}

/// What tells one archive's log from all others.
fn new_uid() -> Result<String, StoreError> {
    let random = random_bytes().map_err(|_| NoLeaf::NoRandomness)?;
    let hex: String = random.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

/// Which requests some of these records close, by UID.
fn closed_by(new: &[Arrival]) -> BTreeSet<&str> {
    let closing = new.iter().filter(|arrival| closes(&arrival.record));
    closing.map(|arrival| arrival.record.request.uid.as_str()).collect()
}

/// A store.
#[derive(Clone, Debug)]
pub enum ArchiveStore {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

impl ArchiveStore {
    /// Keeps what fits of a delivery of one cluster, all at once, and says what is held of each of its requests.
    ///
    /// # Errors
    /// When the store fails; then nothing of it is kept.
    pub async fn take(&self, cluster: &str, delivery: Delivery) -> Result<Vec<ChainAnswer>, StoreError> {
        match self {
            Self::Sqlite(store) => store.take(cluster, delivery).await,
            Self::Postgres(store) => store.take(cluster, delivery).await,
        }
    }

    /// What is held of these requests of a cluster, by UID. Those of which nothing is held are left out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn held(&self, cluster: &str, uids: Vec<String>) -> Result<HashMap<String, HeldChain>, StoreError> {
        match self {
            Self::Sqlite(store) => store.held(cluster, uids).await,
            Self::Postgres(store) => store.held(cluster, uids).await,
        }
    }

    /// Requests of a cluster whose records do not end, known to the archive after the one with this number.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open_chains(&self, cluster: &str, after: i64) -> Result<Vec<HeldEnd>, StoreError> {
        match self {
            Self::Sqlite(store) => store.open_chains(cluster, after).await,
            Self::Postgres(store) => store.open_chains(cluster, after).await,
        }
    }

    /// A page of what is found.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn search(&self, search: Search) -> Result<FoundPage, StoreError> {
        match self {
            Self::Sqlite(store) => store.search(search).await,
            Self::Postgres(store) => store.search(search).await,
        }
    }

    /// Those of these digests of which there is no text, sorted.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn lacking(&self, digests: BTreeSet<String>) -> Result<Vec<String>, StoreError> {
        if digests.is_empty() {
            return Ok(Vec::new());
        }
        match self {
            Self::Sqlite(store) => store.lacking(digests).await,
            Self::Postgres(store) => store.lacking(digests).await,
        }
    }

    /// The text that has this digest.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn text(&self, digest: &str) -> Result<Option<String>, StoreError> {
        match self {
            Self::Sqlite(store) => store.text(digest).await,
            Self::Postgres(store) => store.text(digest).await,
        }
    }
}
