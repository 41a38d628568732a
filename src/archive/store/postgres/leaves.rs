//! Leaves in the database of PostgreSQL, within the transaction of what they are about, whose turn it is by the writers' lock.

use tokio_postgres::Transaction;

use super::super::super::log::append::LogEnd;
use super::super::super::log::leaf::MadeLeaf;
use super::super::super::log::tables;
use super::super::StoreError;
use super::super::leaves::{BacklogLeaves, LogWrite};
use super::{Arrival, LOCK, execute_all, rows};

/// Leaves for records that have just been kept from this number on. Where earlier ones have none yet, theirs come first, and
/// these wait.
pub(super) async fn of_records(transaction: &Transaction<'_>, new: Vec<Arrival>, first: i64) -> Result<(), StoreError> {
    let end = LogEnd::of(&rows(transaction, &[tables::end()]).await?)?;
    if !rows(transaction, &[tables::between(end.record, first)]).await?.is_empty() {
        return Ok(());
    }
    let leaves: Vec<(i64, MadeLeaf)> = (first..).zip(new.into_iter().map(|arrival| arrival.leaf)).collect();
    let last = leaves.last().map_or(end.record, |(record, _)| *record);
    append(transaction, &end, leaves, last).await
}

/// Writes, and says how many leaves it was.
pub(super) async fn log(transaction: &Transaction<'_>, write: LogWrite) -> Result<u64, StoreError> {
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    let end = LogEnd::of(&rows(transaction, &[tables::end()]).await?)?;
    match write {
        LogWrite::Backlog => {
            let found = rows(transaction, &[tables::backlog(end.record)]).await?;
            let BacklogLeaves { leaves, last } = BacklogLeaves::of(&found);
            append(transaction, &end, leaves, last).await?;
            Ok(found.len() as u64)
        }
        LogWrite::Events(leaves, with) => {
            let count = leaves.len() as u64;
            execute_all(transaction, &with).await?;
            append(transaction, &end, leaves.into_iter().map(|leaf| (0, leaf)).collect(), end.record).await?;
            Ok(count)
        }
    }
}

async fn append(
    transaction: &Transaction<'_>,
    end: &LogEnd,
    leaves: Vec<(i64, MadeLeaf)>,
    record: i64,
) -> Result<(), StoreError> {
    let edge = rows(transaction, &end.edge(leaves.len() as u64)).await?;
    execute_all(transaction, &end.append(&edge, leaves, record)?).await
}
