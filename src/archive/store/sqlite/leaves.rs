//! Leaves in the file of SQLite, within the transaction of what they are about.

use rusqlite::Transaction;

use super::super::super::log::append::LogEnd;
use super::super::super::log::leaf::MadeLeaf;
use super::super::super::log::tables;
use super::super::leaves::{BacklogLeaves, LogWrite};
use super::super::{StoreError, WriteRule};
use super::{Arrival, execute, rows};

/// Leaves for records that have just been kept under these numbers. Where earlier ones have none yet, theirs come first, and
/// these wait.
pub(super) fn of_records(transaction: &Transaction<'_>, new: Vec<Arrival>, numbers: &[i64]) -> Result<(), StoreError> {
    let end = LogEnd::of(&rows(transaction, &[tables::end()])?)?;
    let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else { return Ok(()) };
    if !rows(transaction, &[tables::between(end.record, *first)])?.is_empty() {
        return Ok(());
    }
    let leaves = numbers.iter().copied().zip(new.into_iter().map(|arrival| arrival.leaf));
    append(transaction, &end, leaves.collect(), *last)
}

/// Writes, and says how many leaves it was.
pub(super) fn log(transaction: &Transaction<'_>, write: LogWrite) -> Result<u64, StoreError> {
    let end = LogEnd::of(&rows(transaction, &[tables::end()])?)?;
    match write {
        LogWrite::Backlog => {
            let found = rows(transaction, &[tables::backlog(end.record)])?;
            let BacklogLeaves { leaves, last } = BacklogLeaves::of(&found);
            append(transaction, &end, leaves, last)?;
            Ok(found.len() as u64)
        }
        LogWrite::Events(leaves, with) => {
            let count = leaves.len() as u64;
            execute(transaction, with, WriteRule::Always)?;
            append(transaction, &end, leaves.into_iter().map(|leaf| (0, leaf)).collect(), end.record)?;
            Ok(count)
        }
    }
}

fn append(
    transaction: &Transaction<'_>,
    end: &LogEnd,
    leaves: Vec<(i64, MadeLeaf)>,
    record: i64,
) -> Result<(), StoreError> {
    let edge = rows(transaction, &end.edge(leaves.len() as u64))?;
    execute(transaction, end.append(&edge, leaves, record)?, WriteRule::Always)?;
    Ok(())
}
