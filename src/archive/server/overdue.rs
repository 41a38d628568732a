//! How many campaigns are open, and how many of their items somebody should have decided on by now.
//!
//! Owns the pace of the counting, since items become overdue without anybody calling. What is overdue is for `core::campaign`.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::time::sleep;
use tracing::warn;

use super::super::store::{ArchiveStore, StoreError};
use super::figures::{ArchiveFigures, ReviewsLeft};
use crate::core::campaign::so_far::Campaign;
use crate::runtime::clock::Clock;

/// Time between two counts.
const PACE: Duration = Duration::from_secs(60);

/// Counts for as long as the archive runs. What cannot be counted is in the log, and the figures stay.
pub async fn follow(store: &ArchiveStore, cluster: &str, figures: &ArchiveFigures) {
    loop {
        match left(store, cluster, Clock::wall().now()).await {
            Ok(left) => figures.reviewing(left),
            Err(error) => warn!(%error, "cannot count what is left to review; trying again"),
        }
        sleep(PACE).await;
    }
}

/// What is left at a time.
///
/// # Errors
/// When the store fails.
pub async fn left(store: &ArchiveStore, cluster: &str, now: Timestamp) -> Result<ReviewsLeft, StoreError> {
    let mut left = ReviewsLeft::default();
    for name in store.open_campaigns(cluster).await? {
        let kept = store.campaign(cluster, &name).await?.unwrap_or_default();
        left.open += 1;
        match Campaign::read(kept.lines.iter().map(String::as_str), &kept.texts) {
            Ok(campaign) => left.overdue += u64::from(campaign.overdue(now)),
            Err(broken) => warn!(%broken, campaign = name, "what is overdue in a campaign is not known"),
        }
    }
    Ok(left)
}
