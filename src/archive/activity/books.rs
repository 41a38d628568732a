//! The running grants of all clusters, in memory, kept up with the records that arrive.
//!
//! Owns what was read of the records so far, and the calls that came before the records of their time. A grant that was long
//! over before the archive started is not among them.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::sift::SiftedCall;
use super::tables::{self, FoundRow, number, text};
use crate::api::record::Record;
use crate::archive::store::search::Statement;
use crate::core::activity::beside::{GrantBook, REMEMBERED};
use crate::core::activity::event::{AuditStage, ReadEvent};
use crate::core::activity::recent::RecentCalls;

/// How often is let go what has long been over.
const PURGES: SignedDuration = SignedDuration::from_hours(1);

/// The grants, by UID of their cluster.
#[derive(Clone, Debug, Default)]
pub struct GrantBooks {
    /// The last record that was read.
    seen: Option<i64>,
    clusters: BTreeMap<String, GrantBook>,
    recent: BTreeMap<String, RecentCalls>,
    purged: Option<Timestamp>,
}

impl GrantBooks {
    /// Asks for records that were not read yet: at first, of all grants of which events may still come.
    pub fn news(&self, now: Timestamp) -> Statement {
        tables::records_after(self.seen, now.saturating_sub(REMEMBERED).unwrap_or(now))
    }

    /// Takes them up. The requests of one cluster that they are of: UIDs.
    pub fn heed(&mut self, rows: &[FoundRow], cluster: &str) -> BTreeSet<String> {
        let mut changed = BTreeSet::new();
        for row in rows {
            self.seen = self.seen.max(Some(number(row, 0)));
            // What is held was read when it came.
            let Ok(record) = serde_json::from_str::<Record>(text(row, 1)) else { continue };
            if record.cluster == cluster {
                changed.insert(record.request.uid.clone());
            }
            self.clusters.entry(record.cluster.clone()).or_default().heed(&record);
        }
        self.seen = self.seen.or(Some(0));
        changed
    }

    /// Asks for the texts that rules of grants have and that were not read yet, if there are any.
    pub fn lacking(&self) -> Option<Statement> {
        let digests: BTreeSet<String> = self.clusters.values().flat_map(GrantBook::lacking).collect();
        (!digests.is_empty()).then(|| tables::texts(&digests))
    }

    /// Takes them up.
    pub fn learn(&mut self, rows: &[FoundRow]) {
        for row in rows {
            for book in self.clusters.values_mut().filter(|book| book.lacking().contains(text(row, 0))) {
                book.learn(text(row, 0).to_owned(), text(row, 1));
            }
        }
    }

    /// The grants of a cluster.
    pub fn of(&self, cluster: &str) -> Option<&GrantBook> {
        self.clusters.get(cluster)
    }

    /// Calls of a cluster that came before, tied to the grants beside them that are known since then.
    pub fn late(&mut self, cluster: &str) -> Vec<SiftedCall> {
        let new = self.clusters.get_mut(cluster).map(GrantBook::new_since_asked).unwrap_or_default();
        let (Some(book), Some(recent), false) = (self.of(cluster), self.recent.get(cluster), new.is_empty()) else {
            return Vec::new();
        };
        let tied = |event: &ReadEvent| {
            let beside = book.beside(event).into_iter().filter(|(uid, _)| new.contains(uid));
            let ties = beside.map(|(uid, instead)| (uid, event.deed.kind(Some(instead)))).collect();
            SiftedCall { event: event.clone(), ties }
        };
        recent.calls().map(tied).filter(|call| !call.ties.is_empty()).collect()
    }

    /// Keeps what came now for grants that are not known yet.
    pub fn remember(&mut self, cluster: &str, events: &[ReadEvent], now: Timestamp) {
        let recent = self.recent.entry(cluster.to_owned()).or_default();
        let decided = events.iter().filter(|event| event.stage != AuditStage::Received);
        decided.for_each(|event| recent.keep(event, now));
    }

    /// Lets go what has long been over, and whether it is time that the tables do so too.
    pub fn purge(&mut self, now: Timestamp) -> bool {
        let is_due = self.purged.is_none_or(|purged| now.duration_since(purged) >= PURGES);
        if is_due {
            self.purged = Some(now);
            self.clusters.values_mut().for_each(|book| book.forget(now));
        }
        is_due
    }
}
