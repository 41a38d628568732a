//! All records that are looked for, the newest first: those of the archive, and between them those that it does not have yet.
//!
//! Owns the order and the bound. A page at a time is in memory.

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::jiff::Timestamp;

use super::archived::{self, ArchivedPage, PAGE};
use super::item::HistoryItem;
use super::still_there;
use crate::archive::store::search::Search;
use crate::cli::plugin::cluster::Cluster;
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::requests::Where;

/// Where somebody is who reads them.
pub struct HistoryPages<'a> {
    cluster: &'a Cluster,
    place: &'a Where,
    search: Search,
    /// What has been read and not handed over.
    ready: Option<ArchivedPage>,
    unsent: UnsentRecords,
    /// How many may still be handed over.
    left: usize,
    has_archive: bool,
    has_more: bool,
}

impl<'a> HistoryPages<'a> {
    /// Asks the archive, and else the requests; says when the archive is not what tells. Programs get the UID of the cluster
    /// too, as far as it may be read.
    ///
    /// # Errors
    /// When neither can be read.
    pub async fn open(
        cluster: &'a Cluster,
        place: &'a Where,
        search: Search,
        limit: usize,
        for_programs: bool,
        console: &mut Console,
    ) -> Result<Self, PluginError> {
        let search = Search { limit: page_of(limit), ..search };
        let (ready, has_archive) = match archived::page(cluster, place, &search).await {
            Ok(page) => (page, true),
            Err(none) => {
                none.say(place, console)?;
                (ArchivedPage::default(), false)
            }
        };
        let requests = still_there::requests(cluster, place, has_archive, console).await?;
        let home = if for_programs && !requests.is_empty() { still_there::home(cluster).await } else { None };
        if for_programs && home.is_none() && !requests.is_empty() {
            console.note(
                "you may not read namespace kube-system, so records of the requests have no cluster and no previous",
            );
        }
        let items = requests.iter().flat_map(|request| HistoryItem::of_request(request, home.as_deref()));
        let unsent = UnsentRecords::of(items.filter(|item| search.holds(&item.record)));
        Ok(Self { cluster, place, search, ready: Some(ready), unsent, left: limit, has_archive, has_more: false })
    }

    /// The next of them; none when there are no more, or no more may be shown.
    ///
    /// # Errors
    /// When the archive no longer answers: what was handed over is not all.
    pub async fn next(&mut self) -> Result<Option<Vec<HistoryItem>>, PluginError> {
        let Some(page) = self.ready.take() else { return Ok(None) };
        let mut items = self.unsent.with(page.items, page.next.is_none());
        self.has_more = items.len() > self.left;
        items.truncate(self.left);
        self.left -= items.len();
        if let (false, Some(next)) = (self.has_more, page.next) {
            self.search = Search { after: Some(next), limit: page_of(self.left), ..self.search.clone() };
            let page = archived::page(self.cluster, self.place, &self.search).await;
            self.ready = Some(page.map_err(|none| none.error(self.place))?);
        }
        Ok(Some(items))
    }

    /// Whether there are more than may be shown, once all of those have been handed over.
    pub fn has_more(&self) -> bool {
        self.has_more
    }

    /// Whether the archive answers.
    pub fn has_archive(&self) -> bool {
        self.has_archive
    }
}

/// One more than may be shown says whether there are more.
fn page_of(left: usize) -> usize {
    left.saturating_add(1).min(PAGE)
}

/// Records of requests that the archive may not have yet.
#[derive(Debug, Default)]
struct UnsentRecords {
    in_order: BTreeMap<(Timestamp, String, u32), HistoryItem>,
    /// Where each stands.
    by_id: HashMap<String, (Timestamp, String, u32)>,
}

impl UnsentRecords {
    fn of(items: impl Iterator<Item = HistoryItem>) -> Self {
        let mut all = Self::default();
        for item in items {
            let record = &item.record;
            let place = (record.at.0, record.request.uid.clone(), record.index);
            all.by_id.insert(record.id.clone(), place.clone());
            all.in_order.insert(place, item);
        }
        all
    }

    /// A page of the archive with those that it lacks, each at its place; behind the last page all that are left.
    fn with(&mut self, page: Vec<HistoryItem>, is_last: bool) -> Vec<HistoryItem> {
        for item in &page {
            if let Some(place) = self.by_id.remove(&item.record.id) {
                self.in_order.remove(&place);
            }
        }
        let mut all = Vec::new();
        for item in page {
            while self.in_order.last_key_value().is_some_and(|((at, ..), _)| *at > item.record.at.0) {
                all.extend(self.in_order.pop_last().map(|(_, item)| item));
            }
            all.push(item);
        }
        if is_last {
            all.extend(std::mem::take(&mut self.in_order).into_values().rev());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::request;
    use serde_json::json;

    fn items() -> Vec<HistoryItem> {
        let mut request = request(json!({}));
        request.metadata.uid = Some("u".to_owned());
        let entry = |minute: u32| json!({ "at": format!("2026-11-24T12:{minute:02}:00Z"), "event": "Reviewed", "message": "so" });
        request.status =
            serde_json::from_value(json!({ "state": "Active", "history": [entry(1), entry(2), entry(2)] })).unwrap();
        HistoryItem::of_request(&request, Some("c"))
    }

    fn at(index: usize) -> HistoryItem {
        items().remove(index)
    }

    fn merged(pages: &[&[usize]]) -> Vec<u32> {
        let mut unsent = UnsentRecords::of(items().into_iter());
        let mut all = Vec::new();
        for (n, page) in pages.iter().enumerate() {
            all.extend(unsent.with(page.iter().map(|index| at(*index)).collect(), n + 1 == pages.len()));
        }
        all.into_iter().map(|item| item.record.index).collect()
    }

    #[test]
    fn what_the_archive_lacks_stands_at_its_place_and_what_it_has_stands_once() {
        for pages in [&[&[3, 2, 1, 0][..]][..], &[&[]], &[&[3], &[2, 1], &[0]], &[&[1, 0]], &[&[2], &[]]] {
            let all = merged(pages);
            assert_eq!(all.iter().filter(|index| **index < 2).collect::<Vec<_>>(), [&1, &0], "{pages:?}: {all:?}");
            let mut newest = all[..2].to_vec();
            newest.sort_unstable();
            assert_eq!((newest, all.len()), (vec![2, 3], 4), "{pages:?}: {all:?}");
        }
    }

    #[test]
    fn a_page_has_one_more_than_may_be_shown() {
        assert_eq!([0, 7, PAGE - 1, PAGE, usize::MAX].map(page_of), [1, 8, PAGE, PAGE, PAGE]);
    }

    #[test]
    fn records_without_a_cluster_claim_none() {
        let mut alone = items();
        let named = alone.remove(1);
        assert_eq!(named.record_as_written()["cluster"], json!("c"));
        assert!(named.record_as_written()["previous"].is_string());
        let request = request(json!({}));
        let written = HistoryItem::of_request(&request, None).remove(0);
        assert_eq!(written.record_as_written().get("cluster"), None);
    }
}
