//! What of a campaign is shown to whom: all of it to who may read all records or close it, and to an owner what they decide on.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;

use super::judge::{is_own, owner_of};
use super::so_far::{Campaign, CampaignItem};
use crate::api::campaign::{ItemStanding, ShownCampaign, ShownClosing, ShownDecision, ShownItem};
use crate::api::subject::Identity;

/// Who looks, and at how much.
#[derive(Clone, Debug)]
pub struct CampaignReader<'a> {
    pub who: &'a Identity,
    /// Whether they may see all of it.
    pub whole: bool,
    pub now: Timestamp,
}

impl CampaignReader<'_> {
    /// The campaign, with its items or without. None of who may not see it all and decides on nothing of it.
    pub fn shows(&self, campaign: &Campaign, with_items: bool) -> Option<ShownCampaign> {
        let sees = |item: &CampaignItem| self.whole || owner_of(self.who, item).is_some();
        let counts = campaign.counts(sees, self.now);
        if counts.items == 0 && !self.whole {
            return None;
        }
        let seen = campaign.items.iter().filter(|(_, item)| with_items && sees(item));
        let closed = campaign.closed.as_ref().map(|closing| ShownClosing {
            by: closing.by.username.clone(),
            at: MicroTime(closing.at),
            acknowledged: closing.acknowledged.clone(),
        });
        let mut items: Vec<ShownItem> = seen.map(|(id, item)| self.item(campaign, id, item)).collect();
        items.sort_by_key(order);
        Some(ShownCampaign {
            name: campaign.name.clone(),
            cluster: campaign.cluster.clone(),
            purpose: campaign.purpose.clone(),
            started_by: campaign.started_by.username.clone(),
            started_at: MicroTime(campaign.started_at),
            due: MicroTime(campaign.due),
            closed,
            looked_at: MicroTime(campaign.looked_at),
            last: campaign.last.clone(),
            whole: self.whole,
            counts,
            items,
        })
    }

    fn item(&self, campaign: &Campaign, id: &str, kept: &CampaignItem) -> ShownItem {
        let own = is_own(self.who, &kept.item);
        let decisions = kept.decisions.iter().map(|made| ShownDecision {
            by: made.by.username.clone(),
            owner: made.decision.owner.clone(),
            at: MicroTime(made.at),
            verdict: made.decision.verdict,
            reason: made.decision.reason.clone(),
            late: made.late,
            counts: made.decision.digest == kept.digest,
        });
        ShownItem {
            id: id.to_owned(),
            digest: kept.digest.clone(),
            standing: kept.standing(campaign.due, campaign.judged_at(self.now)),
            mine: !own && owner_of(self.who, kept).is_some(),
            own,
            owners: kept.owners.clone(),
            item: kept.item.clone(),
            changed_at: kept.changed_at.map(MicroTime),
            gone_at: kept.gone_at.map(MicroTime),
            decisions: decisions.collect(),
        }
    }
}

/// What the reader has to decide comes first, then what is open; like stands by like.
fn order(item: &ShownItem) -> (bool, ItemStanding, String) {
    let holder = item.item.holder.as_ref().map(|holder| holder.subject.to_string()).unwrap_or_default();
    let place = format!("{} {holder} {} {}", item.item.namespaces.join(","), item.item.object.name, item.id);
    (!item.mine, item.standing, place)
}
