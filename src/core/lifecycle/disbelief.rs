//! What becomes of a request that somebody may have written to while the cluster's guard was missing.
//! `guard/touched` finds such requests.
//!
//! Nothing that the status says of the time before is believed. What was not granted is decided from the beginning, and
//! reviewers review again. What was granted ends, since somebody may have written its end. The history stays, with an entry
//! that marks what was written there before.

use k8s_openapi::jiff::Timestamp;

use crate::api::reason::Reason;
use crate::api::request::{AccessRequestStatus, HistoryEntry};
use crate::core::lifecycle::happened::Happened;
use crate::core::model::history;

/// What is left of the status of a request that is not granted: where it came from, and nothing of where it stood.
pub fn start_over(status: AccessRequestStatus, now: Timestamp) -> AccessRequestStatus {
    let marked = without_reviews(status, now);
    AccessRequestStatus {
        history: marked.history,
        history_dropped: marked.history_dropped,
        history_dropped_digest: marked.history_dropped_digest,
        ..AccessRequestStatus::default()
    }
}

/// The status without what reviewers said, and with a mark that says so.
pub fn without_reviews(mut status: AccessRequestStatus, now: Timestamp) -> AccessRequestStatus {
    let why = Happened::WrittenInGap { reviewers: status.reviews.keys().cloned().collect() };
    status.reviews.clear();
    history::add(&mut status.history, now, Reason::WrittenInGap, None, &why);
    status
}

/// The part of a history that is believed.
pub fn believed(history: &[HistoryEntry]) -> &[HistoryEntry] {
    history.rsplit(|entry| entry.event == Reason::WrittenInGap).next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
