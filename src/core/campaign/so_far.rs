//! A campaign as all that happened in it makes it.
//!
//! Owns the reading: what happened is taken in its order, each held against the digest of the one before, and each text
//! against its own. What does not fit is no campaign.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::api::campaign::{
    CAMPAIGN_SCHEMA, CampaignDeed, CampaignEntry, ItemDecision, ItemSight, OwnedItem, ReviewItem,
};
use crate::api::record::{RecordedPerson, digest};
use crate::api::subject::Subject;

/// A campaign.
#[derive(Clone, Debug, PartialEq)]
pub struct Campaign {
    pub name: String,
    /// UID of the cluster that is reviewed.
    pub cluster: String,
    pub purpose: String,
    pub due: Timestamp,
    pub started_by: RecordedPerson,
    pub started_at: Timestamp,
    /// By what they are called.
    pub items: BTreeMap<String, CampaignItem>,
    pub closed: Option<CampaignClosing>,
    /// When somebody looked last what is there.
    pub looked_at: Timestamp,
    /// How often somebody has looked.
    pub looks: usize,
    /// Index of what happens next.
    pub next: u32,
    /// Digest of what happened last.
    pub last: String,
}

/// An item of a campaign.
#[derive(Clone, Debug, PartialEq)]
pub struct CampaignItem {
    pub owners: Vec<Subject>,
    /// As it was seen last.
    pub item: ReviewItem,
    /// Of the item as it was seen last.
    pub digest: String,
    /// When it was last seen to be another than before.
    pub changed_at: Option<Timestamp>,
    /// When it was seen to be gone, if nobody saw it again.
    pub gone_at: Option<Timestamp>,
    /// In the order that they were made in.
    pub decisions: Vec<KeptDecision>,
}

/// A decision that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptDecision {
    pub by: RecordedPerson,
    pub at: Timestamp,
    /// Whether it was due before.
    pub late: bool,
    pub decision: ItemDecision,
}

/// How a campaign was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignClosing {
    pub by: RecordedPerson,
    pub at: Timestamp,
    /// What they said to the result.
    pub acknowledged: String,
}

/// Why what is kept is no campaign: somebody has changed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokenCampaign {
    /// A line that cannot be read, or is of another version.
    #[error("entry {0} of the campaign cannot be read; it was changed, or is of a later version")]
    Unread(usize),
    /// One is missing, or another stands in its place.
    #[error("entry {0} of the campaign does not continue the one before it; something was changed or taken out")]
    Astray(usize),
    /// A text that is not what its digest says, or is not there.
    #[error("the text {0} of the campaign is not there, or was changed")]
    Text(String),
}

/// The texts that digests are of.
pub type CampaignTexts = BTreeMap<String, String>;

impl Campaign {
    /// Reads what happened, in its order, each as its bytes.
    ///
    /// # Errors
    /// When something of it was changed.
    pub fn read<'a>(lines: impl IntoIterator<Item = &'a str>, texts: &CampaignTexts) -> Result<Self, BrokenCampaign> {
        let mut campaign = None;
        for (index, line) in lines.into_iter().enumerate() {
            let entry: CampaignEntry = serde_json::from_str(line).map_err(|_| BrokenCampaign::Unread(index))?;
            if entry.schema != CAMPAIGN_SCHEMA {
                return Err(BrokenCampaign::Unread(index));
            }
            campaign = Some(match campaign {
                None => Self::begin(entry, texts)?,
                Some(campaign) => Self::go_on(campaign, index, entry, texts)?,
            });
            if let Some(campaign) = &mut campaign {
                campaign.last = digest(line.as_bytes());
            }
        }
        campaign.ok_or(BrokenCampaign::Unread(0))
    }

    fn begin(entry: CampaignEntry, texts: &CampaignTexts) -> Result<Self, BrokenCampaign> {
        let CampaignEntry { cluster, campaign, index, at: MicroTime(at), by, deed, previous, .. } = entry;
        let CampaignDeed::Started { purpose, due, items, .. } = deed else { return Err(BrokenCampaign::Astray(0)) };
        if index != 0 || previous.is_some() {
            return Err(BrokenCampaign::Astray(0));
        }
        let owned: Vec<OwnedItem> = text_of(&items, texts)?;
        let items = owned.into_iter().map(|OwnedItem { item, owners }| {
            let digest = item.digest();
            let kept = CampaignItem { owners, digest, changed_at: None, gone_at: None, decisions: Vec::new(), item };
            (kept.item.id(), kept)
        });
        Ok(Self {
            name: campaign,
            cluster,
            purpose,
            due: due.0,
            started_by: by,
            started_at: at,
            items: items.collect(),
            closed: None,
            looked_at: at,
            looks: 0,
            next: 1,
            last: String::new(),
        })
    }

    fn go_on(mut self, index: usize, entry: CampaignEntry, texts: &CampaignTexts) -> Result<Self, BrokenCampaign> {
        let continues = entry.previous.as_ref() == Some(&self.last) && entry.index == self.next;
        let is_of_it = entry.campaign == self.name && entry.cluster == self.cluster;
        if !continues || !is_of_it || self.closed.is_some() {
            return Err(BrokenCampaign::Astray(index));
        }
        let CampaignEntry { at: MicroTime(at), by, deed, .. } = entry;
        match deed {
            CampaignDeed::Started { .. } => return Err(BrokenCampaign::Astray(index)),
            CampaignDeed::Looked { items, .. } => {
                for sight in text_of::<Vec<ItemSight>>(&items, texts)? {
                    self.see(sight, at);
                }
                (self.looked_at, self.looks) = (at, self.looks + 1);
            }
            CampaignDeed::Decided { decisions, late } => {
                for decision in decisions {
                    let Some(item) = self.items.get_mut(&decision.item) else {
                        return Err(BrokenCampaign::Astray(index));
                    };
                    item.decisions.push(KeptDecision { by: by.clone(), at, late, decision });
                }
            }
            CampaignDeed::Closed { acknowledged, .. } => self.closed = Some(CampaignClosing { by, at, acknowledged }),
        }
        self.next += 1;
        Ok(self)
    }

    fn see(&mut self, sight: ItemSight, at: Timestamp) {
        let Some(kept) = self.items.get_mut(&sight.id) else { return };
        match sight.item {
            None => kept.gone_at = kept.gone_at.or(Some(at)),
            Some(item) => {
                let digest = item.digest();
                kept.gone_at = None;
                if digest != kept.digest {
                    (kept.item, kept.digest, kept.changed_at) = (item, digest, Some(at));
                }
            }
        }
    }
}

fn text_of<T: DeserializeOwned>(name: &str, texts: &CampaignTexts) -> Result<T, BrokenCampaign> {
    let broken = || BrokenCampaign::Text(name.to_owned());
    let text = texts.get(name).filter(|text| digest(text.as_bytes()) == name).ok_or_else(broken)?;
    serde_json::from_str(text).map_err(|_| broken())
}
