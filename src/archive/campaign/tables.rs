//! The statements by which campaigns are kept and asked for. Both stores understand each of them.
//!
//! Owns their words and columns. What happened is never changed: the place of each is taken once, so of two who write at the
//! same time one is told to look again.

use crate::api::campaign::{CampaignDeed, CampaignEntry};
use crate::api::record::digest;
use crate::archive::store::search::{BoundValue, Statement, statement};

/// Campaigns that are listed, the latest.
const LISTED: i64 = 50;

fn text(text: &str) -> BoundValue {
    BoundValue::Text(text.to_owned())
}

/// Takes the place of something that happened; no row when it is taken.
pub fn entry(entry: &CampaignEntry) -> Statement {
    let CampaignEntry { cluster, campaign, index, at, deed, .. } = entry;
    let kind = match deed {
        CampaignDeed::Started { .. } => "Started",
        CampaignDeed::Looked { .. } => "Looked",
        CampaignDeed::Decided { .. } => "Decided",
        CampaignDeed::Closed { .. } => "Closed",
    };
    let (idx, at) = (BoundValue::Number(i64::from(*index)), BoundValue::Number(at.0.as_microsecond()));
    statement(
        "INSERT INTO campaign_entry (cluster, campaign, idx, at, kind, body) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT DO NOTHING",
        [text(cluster), text(campaign), idx, at, text(kind), text(&entry.bytes())],
    )
}

/// Keeps what a digest is of.
pub fn body(of: &str) -> Statement {
    statement(
        "INSERT INTO campaign_text (digest, body) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        [text(&digest(of.as_bytes())), text(of)],
    )
}

/// What happened in a campaign, in its order.
pub fn entries(cluster: &str, campaign: &str) -> Statement {
    statement(
        "SELECT body FROM campaign_entry WHERE cluster = $1 AND campaign = $2 ORDER BY idx",
        [text(cluster), text(campaign)],
    )
}

/// Names of campaigns, the latest first.
pub fn names(cluster: &str) -> Statement {
    statement(
        "SELECT campaign FROM campaign_entry WHERE cluster = $1 AND kind = 'Started' ORDER BY at DESC, campaign LIMIT $2",
        [text(cluster), BoundValue::Number(LISTED)],
    )
}

/// Names of campaigns that nobody has closed, the latest first.
pub fn open(cluster: &str) -> Statement {
    statement(
        "SELECT campaign FROM campaign_entry s WHERE cluster = $1 AND kind = 'Started' AND NOT EXISTS (SELECT 1
         FROM campaign_entry c WHERE c.cluster = s.cluster AND c.campaign = s.campaign AND c.kind = 'Closed')
         ORDER BY at DESC, campaign LIMIT $2",
        [text(cluster), BoundValue::Number(LISTED)],
    )
}

/// What this digest is of.
pub fn body_of(digest: &str) -> Statement {
    statement("SELECT body FROM campaign_text WHERE digest = $1", [text(digest)])
}
