//! What a store does with review campaigns: it keeps what happens in them, and hands it over to the byte.

use std::collections::BTreeSet;

use super::super::activity::tables::text;
use super::super::campaign::tables;
use super::{ArchiveStore, StoreError, WriteRule};
use crate::api::campaign::{CampaignDeed, CampaignEntry};
use crate::core::campaign::judge::NextEntry;
use crate::core::campaign::so_far::CampaignTexts;

/// What is kept of a campaign.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptCampaign {
    /// What happened, each as its bytes.
    pub lines: Vec<String>,
    /// What it names by digests.
    pub texts: CampaignTexts,
}

impl ArchiveStore {
    /// Keeps what is next in a campaign, with its text. False: something else has taken its place, and nothing is kept.
    ///
    /// # Errors
    /// When the store fails; then nothing is kept.
    pub async fn keep_entry(&self, next: &NextEntry) -> Result<bool, StoreError> {
        let first = tables::entry(&next.entry);
        let statements = [first].into_iter().chain(next.text.as_deref().map(tables::body)).collect();
        self.write(statements, WriteRule::IfTheFirstIsNew).await
    }

    /// All of a campaign of a cluster; none when there is no such.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn campaign(&self, cluster: &str, name: &str) -> Result<Option<KeptCampaign>, StoreError> {
        let rows = self.rows(vec![tables::entries(cluster, name)]).await?;
        let lines: Vec<String> = rows.iter().map(|row| text(row, 0).to_owned()).collect();
        let digests: BTreeSet<String> = lines.iter().filter_map(|line| named(line)).collect();
        let mut texts = CampaignTexts::new();
        for digest in digests {
            let rows = self.rows(vec![tables::body_of(&digest)]).await?;
            texts.extend(rows.first().map(|row| (digest, text(row, 0).to_owned())));
        }
        Ok((!lines.is_empty()).then_some(KeptCampaign { lines, texts }))
    }

    /// Names of the latest campaigns of a cluster, the latest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn campaigns(&self, cluster: &str) -> Result<Vec<String>, StoreError> {
        let rows = self.rows(vec![tables::names(cluster)]).await?;
        Ok(rows.iter().map(|row| text(row, 0).to_owned()).collect())
    }

    /// Names of the latest campaigns of a cluster that nobody has closed, the latest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn open_campaigns(&self, cluster: &str) -> Result<Vec<String>, StoreError> {
        let rows = self.rows(vec![tables::open(cluster)]).await?;
        Ok(rows.iter().map(|row| text(row, 0).to_owned()).collect())
    }
}

/// The text that a line names. One that cannot be read names none, which whoever reads the campaign finds.
fn named(line: &str) -> Option<String> {
    match serde_json::from_str::<CampaignEntry>(line).ok()?.deed {
        CampaignDeed::Started { items, .. } | CampaignDeed::Looked { items, .. } => Some(items),
        CampaignDeed::Decided { .. } | CampaignDeed::Closed { .. } => None,
    }
}
