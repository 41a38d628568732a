//! How the items of a campaign stand.
//!
//! Owns which decision counts: the last one about the item as it was seen last. One about an earlier version is kept, and
//! says nothing of what is there now.

use k8s_openapi::jiff::Timestamp;

use super::so_far::{Campaign, CampaignItem, KeptDecision};
use crate::api::campaign::{CampaignCounts, ItemStanding, ItemVerdict};

impl CampaignItem {
    /// The decision that counts, if there is one.
    pub fn counting(&self) -> Option<&KeptDecision> {
        self.decisions.last().filter(|kept| kept.decision.digest == self.digest)
    }

    /// How it stands, where decisions are due then.
    pub fn standing(&self, due: Timestamp, now: Timestamp) -> ItemStanding {
        let is_gone = self.gone_at.is_some();
        match self.counting().map(|kept| kept.decision.verdict) {
            Some(ItemVerdict::Confirm) => ItemStanding::Confirmed,
            Some(ItemVerdict::Remove) if is_gone => ItemStanding::Removed,
            Some(ItemVerdict::Remove) => ItemStanding::StillThere,
            None if is_gone => ItemStanding::Gone,
            None if !self.decisions.is_empty() => ItemStanding::Changed,
            None if now > due => ItemStanding::Overdue,
            None => ItemStanding::Open,
        }
    }
}

impl Campaign {
    /// How many of its items that are looked at stand how. After it is closed nothing becomes due.
    pub fn counts(&self, wanted: impl Fn(&CampaignItem) -> bool, now: Timestamp) -> CampaignCounts {
        let mut counts = CampaignCounts::default();
        for item in self.items.values().filter(|item| wanted(item)) {
            counts.items += 1;
            counts.late += u32::from(item.counting().is_some_and(|kept| kept.late));
            let count = match item.standing(self.due, self.judged_at(now)) {
                ItemStanding::Overdue | ItemStanding::Changed | ItemStanding::Open => &mut counts.open,
                ItemStanding::StillThere => &mut counts.still_there,
                ItemStanding::Confirmed => &mut counts.confirmed,
                ItemStanding::Removed => &mut counts.removed,
                ItemStanding::Gone => &mut counts.gone,
            };
            *count += 1;
        }
        counts
    }

    /// How many of its items have no decision that counts although it was due; of one that is closed, none.
    pub fn overdue(&self, now: Timestamp) -> u32 {
        if self.closed.is_some() || now <= self.due { 0 } else { self.counts(|_| true, now).open }
    }

    /// When it is judged: now, or for good when it was closed.
    pub fn judged_at(&self, now: Timestamp) -> Timestamp {
        self.closed.as_ref().map_or(now, |closing| closing.at)
    }
}
