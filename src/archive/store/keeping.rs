//! What a store does with what is held, what is due, and what somebody has erased.
//!
//! Owns that records go together with the salts of their leaves and with all by which they are found, and that a leaf says so
//! in the same write. The leaves themselves stay, so every proof holds on.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::super::activity::tables::{FoundRow, number, text};
use super::super::intake::FoundBy;
use super::super::keeping::tables;
use super::super::log::leaf::MadeLeaf;
use super::search::Statement;
use super::{ArchiveStore, StoreError, WriteRule};
use crate::api::keeping::{ErasureAsked, ErasureTold, KeptHold, LiftedHold};
use crate::api::record::{Record, RecordedPerson};
use crate::core::proof::event::{LegalHold, LogEvent, LoggedErasure};
use crate::core::proof::leaf::{LeafEntry, LeafKind};

/// Who erases what is due, as the log says it.
const ARCHIVE: &str = "daypass-archive";

/// Who erases, when and why.
#[derive(Clone, Copy)]
struct Erasing<'a> {
    by: &'a str,
    reason: &'a str,
    now: Timestamp,
}

impl Erasing<'_> {
    /// The leaf that says that all that opened these leaves is erased, if there are any: rows of place and salts.
    fn leaf(&self, openings: impl Iterator<Item = (u64, String)>) -> Result<Option<MadeLeaf>, StoreError> {
        let (mut leaves, mut paths) = (Vec::new(), BTreeSet::new());
        for (place, salts) in openings {
            let salts: BTreeMap<String, Value> = serde_json::from_str(&salts).unwrap_or_default();
            leaves.push(place);
            paths.extend(salts.into_keys());
        }
        if leaves.is_empty() {
            return Ok(None);
        }
        let (by, reason) = (person(self.by), self.reason.to_owned());
        let paths = paths.into_iter().collect();
        let erasure = LoggedErasure { at: MicroTime(self.now), by, leaves, paths, reason };
        Ok(Some(MadeLeaf::of_event(&LogEvent::Erasure(erasure))?))
    }
}

fn person(username: &str) -> RecordedPerson {
    RecordedPerson { username: username.to_owned(), uid: None, groups: None }
}

impl ArchiveStore {
    /// Keeps a hold. False: there is or was one of its name, and nothing is kept.
    ///
    /// # Errors
    /// When the store fails; then nothing is kept.
    pub async fn keep_hold(&self, hold: &KeptHold) -> Result<bool, StoreError> {
        let is_new = self.write(tables::hold(hold), WriteRule::IfTheFirstIsNew).await?;
        if is_new {
            self.log_hold(hold, hold.at.0, &hold.by, &hold.asked.reason, false).await?;
        }
        Ok(is_new)
    }

    /// Ends a hold; none when there is none of this name that lasts.
    ///
    /// # Errors
    /// When the store fails; then it lasts on.
    pub async fn lift_hold(&self, name: &str, lifted: LiftedHold) -> Result<Option<KeptHold>, StoreError> {
        let rows = self.rows(vec![tables::hold_of(name)]).await?;
        let Some(mut hold) = rows.first().and_then(|row| kept(text(row, 0))) else { return Ok(None) };
        hold.lifted = Some(lifted.clone());
        let is_lifted = self.write(vec![tables::lift(&hold, lifted.at.0)], WriteRule::IfTheFirstIsNew).await?;
        if !is_lifted {
            return Ok(None);
        }
        self.log_hold(&hold, lifted.at.0, &lifted.by, &lifted.reason, true).await?;
        Ok(Some(hold))
    }

    async fn log_hold(
        &self,
        hold: &KeptHold,
        at: Timestamp,
        by: &str,
        reason: &str,
        lifted: bool,
    ) -> Result<(), StoreError> {
        let asked = &hold.asked;
        let event = LegalHold {
            at: MicroTime(at),
            by: person(by),
            requests: asked.requests.clone(),
            person: asked.person.clone(),
            until: asked.until.clone(),
            lifted,
            reason: reason.to_owned(),
        };
        self.keep_events(vec![MadeLeaf::of_event(&LogEvent::Hold(event))?], Vec::new()).await
    }

    /// The latest holds, those that are over included.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn holds(&self) -> Result<Vec<KeptHold>, StoreError> {
        let rows = self.rows(vec![tables::holds()]).await?;
        Ok(rows.iter().filter_map(|row| kept(text(row, 0))).collect())
    }

    /// Erases the records of some requests whose last record is from before, with what is known of their use. How many
    /// requests it was; none when nothing is due any more.
    ///
    /// # Errors
    /// When the store fails; then what was erased so far is.
    pub async fn erase_due(&self, before: Timestamp, now: Timestamp) -> Result<usize, StoreError> {
        let due = self.rows(vec![tables::due(before, now)]).await?;
        let erasing = Erasing { by: ARCHIVE, reason: "its time is over", now };
        for row in &due {
            let records = self.records_numbered(row).await?;
            self.erase(row, &records, erasing).await?;
        }
        Ok(due.len())
    }

    /// Erases the requests that somebody made, as far as they are over and nothing holds them.
    ///
    /// # Errors
    /// When the store fails; then what was erased so far is.
    pub async fn erase_person(
        &self,
        asked: &ErasureAsked,
        by: &str,
        now: Timestamp,
    ) -> Result<ErasureTold, StoreError> {
        let mut told = ErasureTold::default();
        let erasing = Erasing { by, reason: &asked.reason, now };
        for row in self.rows(vec![tables::of_person(&asked.person, now)]).await? {
            let records = self.records_numbered(&row).await?;
            let is_theirs =
                |record: &Record| record.subject.as_ref().is_some_and(|subject| subject.username == asked.person);
            if !records.iter().filter_map(|(_, record)| record.as_ref()).any(is_theirs) {
                told.of_others += 1;
            } else if number(&row, 3) == 0 {
                told.kept += 1;
            } else {
                self.erase(&row, &records, erasing).await?;
                told.erased += 1;
            }
        }
        Ok(told)
    }

    /// Erases what opens the leaves of reads that the log had before.
    ///
    /// # Errors
    /// When the store fails; then what was erased so far is.
    pub async fn erase_reads(&self, before: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        let erasing = Erasing { by: ARCHIVE, reason: "its time is over", now };
        let mut after = -1;
        loop {
            let rows = self.rows(vec![tables::openings_of_events(after, before)]).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = number(last, 0);
            let is_read = |row: &&FoundRow| {
                LeafEntry::read(text(row, 1).as_bytes()).is_ok_and(|leaf| leaf.kind() == LeafKind::Read)
            };
            let reads: Vec<&FoundRow> = rows.iter().filter(is_read).collect();
            let opened = reads.iter().map(|row| (place(row), text(row, 2).to_owned()));
            let leaf = erasing.leaf(opened)?;
            let shut = reads.iter().map(|row| tables::shut(number(row, 0))).collect();
            self.keep_events(leaf.into_iter().collect(), shut).await?;
        }
    }

    /// The records of a request in a row, each with its number. What is held was read when it came, so all can be read but
    /// what was changed where it lies.
    async fn records_numbered(&self, request: &FoundRow) -> Result<Vec<(i64, Option<Record>)>, StoreError> {
        let rows = self.rows(vec![tables::records_of(number(request, 0))]).await?;
        Ok(rows.iter().map(|row| (number(row, 0), serde_json::from_str(text(row, 1)).ok())).collect())
    }

    /// Erases a request that stands in a row: number, UID, UID of the cluster.
    async fn erase(
        &self,
        request: &FoundRow,
        records: &[(i64, Option<Record>)],
        erasing: Erasing<'_>,
    ) -> Result<(), StoreError> {
        let opened = self.rows(vec![tables::openings_of(number(request, 0))]).await?;
        let leaf = erasing.leaf(opened.iter().map(|row| (place(row), text(row, 1).to_owned())))?;
        let mut writes: Vec<Statement> = opened.iter().map(|row| tables::shut(number(row, 0))).collect();
        writes.extend(tables::erase_uses(text(request, 2), text(request, 1)));
        for (n, record) in records {
            if let Some(record) = record {
                let by = FoundBy::of(record);
                writes.extend(tables::erase_found_by(*n, &by));
                if matches!(self, Self::Sqlite(_)) {
                    writes.push(tables::erase_words_of_sqlite(*n, &by.words));
                }
            }
            writes.push(tables::erase_record(*n));
        }
        self.keep_events(leaf.into_iter().collect(), writes).await
    }

    /// Erases single calls made before, of requests that are over.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn erase_calls(&self, before: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        self.write(tables::erase_calls(before, now), WriteRule::Always).await.map(|_| ())
    }

    /// Erases campaigns that were closed before.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn erase_campaigns(&self, before: Timestamp) -> Result<(), StoreError> {
        self.write(tables::erase_campaigns(before), WriteRule::Always).await.map(|_| ())
    }
}

fn place(row: &FoundRow) -> u64 {
    u64::try_from(number(row, 0)).unwrap_or_default()
}

fn kept(body: &str) -> Option<KeptHold> {
    serde_json::from_str(body).ok()
}
