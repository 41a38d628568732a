//! What a store keeps of campaigns, tried on both.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::super::store::ArchiveStore;
use crate::core::campaign::judge::{CampaignCaller, NextEntry};
use crate::core::campaign::so_far::Campaign;
use crate::core::campaign::tests::{person, started};
use crate::core::laws::fixtures::noon;

fn first(name: &str, cluster: &str) -> NextEntry {
    let (who, mut start) = (person("carol", &[]), started(name));
    cluster.clone_into(&mut start.cluster);
    CampaignCaller { who: &who, now: noon() }.start(start, cluster).unwrap()
}

/// Another of the same place, which may not win over the first.
fn other(next: &NextEntry) -> NextEntry {
    let mut entry = next.entry.clone();
    entry.at = MicroTime(noon() + k8s_openapi::jiff::SignedDuration::from_secs(1));
    NextEntry { entry, text: Some("[]".to_owned()) }
}

pub async fn what_happens_is_kept_once_and_to_the_byte(store: &ArchiveStore) {
    let h2 = first("h2", "here");
    assert_eq!(store.campaign("here", "h2").await.unwrap(), None);
    assert!(store.keep_entry(&h2).await.unwrap());
    assert!(!store.keep_entry(&other(&h2)).await.unwrap(), "its place is taken");
    let kept = store.campaign("here", "h2").await.unwrap().unwrap();
    assert_eq!(kept.lines, [h2.entry.bytes()]);
    assert_eq!(kept.texts.values().collect::<Vec<_>>(), h2.text.iter().collect::<Vec<_>>());
    let campaign = Campaign::read(kept.lines.iter().map(String::as_str), &kept.texts).unwrap();
    assert_eq!((campaign.name.as_str(), campaign.items.len(), campaign.next), ("h2", 3, 1));
    // Two archives may have one database: each sees the campaigns of its cluster.
    let there = first("h2", "there");
    assert_eq!(store.campaign("there", "h2").await.unwrap(), None);
    assert!(store.keep_entry(&there).await.unwrap());
    assert_eq!(store.campaign("here", "h2").await.unwrap().unwrap().lines, [h2.entry.bytes()]);
    assert!(store.keep_entry(&first("a1", "here")).await.unwrap());
    assert_eq!(store.campaigns("here").await.unwrap(), ["a1", "h2"]);
    assert_eq!(store.campaigns("there").await.unwrap(), ["h2"]);
}
