//! What happens in campaigns, on standard output: a line of schema `daypass.dev/campaign/v1` each, as it is kept.

use tokio::io::{AsyncWriteExt, stdout};
use tracing::warn;

use crate::api::campaign::CampaignEntry;

/// Prints it. What cannot be printed is kept all the same, and that is in the log.
pub async fn print(entry: &CampaignEntry) {
    let line = entry.bytes() + "\n";
    let mut out = stdout();
    let written = async {
        out.write_all(line.as_bytes()).await?;
        out.flush().await
    };
    if let Err(error) = written.await {
        warn!(%error, campaign = entry.campaign, index = entry.index, "what happened in a campaign is not printed; it is kept");
    }
}
