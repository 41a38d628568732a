//! How a read is noted, before it is answered.
//!
//! Owns what of a question is noted: all but its place in a list, so that the pages of one listing are one read.

use super::super::store::reads::ArchiveRead;
use super::super::store::search::Search;
use super::super::who::readers::RESOURCE;
use super::answer::FailedCall;
use super::{ArchiveDesk, query};
use crate::runtime::clock::Clock;

/// A read of nothing yet.
pub(super) fn of(user: String, resource: &'static str, namespace: Option<&str>, query: String) -> ArchiveRead {
    let namespace = namespace.unwrap_or_default().to_owned();
    ArchiveRead { user, resource, namespace, query, purpose: String::new(), rows: 0, goes_on: false }
}

/// A read of records.
pub(super) fn of_search(user: String, namespace: Option<&str>, search: &Search) -> ArchiveRead {
    let question = Search { after: None, limit: 0, purpose: None, ..search.clone() };
    let purpose = search.purpose.clone().unwrap_or_default();
    let goes_on = search.after.is_some();
    ArchiveRead { purpose, goes_on, ..of(user, RESOURCE, namespace, query::written(&question)) }
}

impl ArchiveDesk {
    /// Notes a read.
    ///
    /// # Errors
    /// When it cannot be noted: then it must not be answered.
    pub(super) async fn note(&self, read: &ArchiveRead) -> Result<(), FailedCall> {
        Ok(self.store.note_read(read, Clock::wall().now()).await?)
    }
}
