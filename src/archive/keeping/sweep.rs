//! What is done with what is due: found, and erased for good.
//!
//! Owns that it is done in small steps, each of which is whole by itself, so that deliveries wait for none of them and a stop
//! in between harms nothing.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tracing::{info, warn};

use crate::api::keeping::KeepingTimes;
use crate::archive::store::{ArchiveStore, StoreError};
use crate::core::record::keeping::kept_since;
use crate::runtime::clock::Clock;

/// Time between two looks at what is due.
const SWEEPS: Duration = Duration::from_secs(3600);

/// Erases what is due, for as long as the archive runs.
pub async fn follow(store: ArchiveStore, times: KeepingTimes) {
    loop {
        match sweep(&store, times, Clock::wall().now()).await {
            Ok(0) => {}
            Ok(erased) => info!(requests = erased, "erased the records of requests whose time is over"),
            Err(error) => warn!("{error}; what is due is erased later"),
        }
        tokio::time::sleep(SWEEPS).await;
    }
}

/// Erases what is due now. How many requests it was.
///
/// # Errors
/// When the store fails; what is due still is erased later.
pub async fn sweep(store: &ArchiveStore, times: KeepingTimes, now: Timestamp) -> Result<usize, StoreError> {
    if let Some(days) = times.activity_days {
        store.erase_calls(kept_since(days, now), now).await?;
    }
    store.erase_reads(kept_since(times.read_days, now), now).await?;
    let Some(days) = times.decision_days else { return Ok(0) };
    let before = kept_since(days, now);
    store.erase_campaigns(before).await?;
    let mut erased = 0;
    loop {
        match store.erase_due(before, now).await? {
            0 => return Ok(erased),
            some => erased += some,
        }
    }
}
