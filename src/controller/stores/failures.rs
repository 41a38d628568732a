//! How many passes over a request have failed in a row, and when the last Event about that was sent.
//!
//! It must not say how long a request waits for its next pass.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kube::runtime::reflector::ObjectRef;
use tokio::time::Instant;

use super::packed::PackedRequest;
use crate::controller::error::Error;

/// After how long people are told again of what still keeps a request from going on. Events are kept for an hour.
const REPORTED_AGAIN: Duration = Duration::from_secs(1800);

/// Failed passes, by request.
#[derive(Default)]
pub struct Failures(Mutex<HashMap<ObjectRef<PackedRequest>, FailureCount>>);

#[derive(Clone, Copy, Default)]
struct FailureCount {
    all: u32,
    /// The last ones, of what the API server answered.
    hindered: u32,
    /// When people were told of those.
    reported_at: Option<Instant>,
}

impl Failures {
    /// Counts a failed pass: how many there are now, and whether people must be told of it.
    pub fn count(&self, request: ObjectRef<PackedRequest>, error: &Error) -> (u32, bool) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = failures.entry(request).or_default();
        counted.all = counted.all.saturating_add(1);
        let Some(reported_after) = error.reported_after() else {
            (counted.hindered, counted.reported_at) = (0, None);
            return (counted.all, false);
        };
        counted.hindered = counted.hindered.saturating_add(1);
        let is_due = counted.reported_at.is_none_or(|reported_at| reported_at.elapsed() >= REPORTED_AGAIN);
        let report = is_due && counted.hindered >= reported_after;
        if report {
            counted.reported_at = Some(Instant::now());
        }
        (counted.all, report)
    }

    /// Forgets failed passes: one succeeded, or the request is gone.
    pub fn forget(&self, request: &ObjectRef<PackedRequest>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(request);
    }
}
