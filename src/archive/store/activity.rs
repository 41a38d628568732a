//! What a store does with audit events: it takes deliveries of them, and answers what was done.
//!
//! Owns the order of questions and writes within one transaction, the same for both stores, so that two replicas count
//! nothing twice. What counts is for [`super::super::activity`].

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;

use super::super::activity::answers::{
    RequestActivity, WriteFinding, heard_feed, opened, records_from, summary_rows, uses_known, write_findings,
};
use super::super::activity::books::GrantBooks;
use super::super::activity::settle::{HeldActivity, Settling, explanations, suspects};
use super::super::activity::sift::Sifted;
use super::super::activity::tables::{self, FoundRow, RunTable, text};
use super::super::activity::{ActivityRules, Taken, bindings};
use super::search::Statement;
use super::{ArchiveStore, StoreError, WriteRule};
use crate::api::activity::UsesKnown;
use crate::core::activity::event::ReadEvent;
use crate::core::activity::explained::SuspectWrite;
use crate::core::activity::told::ToldBindings;
use crate::core::activity::verdict::{term, verdict};
use crate::runtime::clock::Clock;

/// Events kept as they are that are read at a time.
const LINES: i64 = 500;

/// A delivery of events of one cluster.
#[derive(Debug)]
pub struct ArrivedActivity {
    pub cluster: String,
    pub events: Vec<ReadEvent>,
    pub rules: Arc<ActivityRules>,
    /// When it came.
    pub now: Timestamp,
}

/// One of which is known what counts, and what has to be asked of the store for it.
#[derive(Debug)]
pub struct SiftedActivity {
    cluster: String,
    rules: Arc<ActivityRules>,
    now: Timestamp,
    taken: Taken,
    sifted: Sifted,
    /// Writes that were not explained when they came.
    before: Vec<(String, SuspectWrite)>,
    /// Those of them that are to be told of, unless they are explained now.
    untold: Vec<FoundRow>,
    pub questions: [Vec<Statement>; 6],
    pub explanations: Vec<Statement>,
}

impl ArrivedActivity {
    /// Asks for the writes that new records of these requests may explain, and for those that are to be told of.
    pub fn asked_again(&self, news: &BTreeSet<String>) -> [Vec<Statement>; 2] {
        let suspects = if news.is_empty() {
            Vec::new()
        } else {
            tables::suspects_of(&self.cluster, news.iter().map(String::as_str))
        };
        [suspects, vec![tables::untold(&self.cluster, self.now)]]
    }

    /// Takes out what counts.
    pub fn sift(self, books: &mut GrantBooks, before: &[FoundRow], untold: Vec<FoundRow>) -> SiftedActivity {
        let Self { cluster, events, rules, now } = self;
        let latest = events.iter().map(|event| event.at).max();
        let taken = Taken { events: events.len(), latest, ..Taken::default() };
        let late = books.late(&cluster);
        books.remember(&cluster, &events, now);
        let sifted = Sifted { late, ..Sifted::of(events, &cluster, &rules, books.of(&cluster)) };
        let before = [suspects(before), suspects(&untold)].concat();
        let writes: Vec<&SuspectWrite> = sifted.suspects.iter().chain(&before).map(|(_, write)| write).collect();
        let explanations = explanations(&cluster, &writes);
        let questions = sifted.questions(&cluster);
        SiftedActivity { cluster, rules, now, taken, sifted, before, untold, questions, explanations }
    }
}

impl SiftedActivity {
    /// What is to be written, from the answers to the questions.
    pub fn settle(
        mut self,
        books: &mut GrantBooks,
        held: [Vec<FoundRow>; 6],
        records: &[FoundRow],
    ) -> (Taken, Vec<Statement>) {
        let records = records_from(records);
        let (cluster, now, lines) = (self.cluster.as_str(), self.now, self.rules.lines);
        let mut settling = Settling { cluster, now, lines, taken: self.taken, writes: Vec::new() };
        let new = std::mem::take(&mut self.sifted.suspects);
        settling.count(self.sifted, HeldActivity::of(held));
        let explained = settling.explain(&new, &self.before, &records);
        settling.tell(&self.untold, &explained);
        if books.purge(now) {
            settling.writes.extend(tables::purges(now));
        }
        (settling.taken, settling.writes)
    }
}

impl ArchiveStore {
    /// Keeps what counts of audit events of one cluster, all at once. What came before changes nothing.
    ///
    /// # Errors
    /// When the store fails; then nothing of it is kept.
    pub async fn take_activity(
        &self,
        cluster: &str,
        events: Vec<ReadEvent>,
        rules: &Arc<ActivityRules>,
    ) -> Result<Taken, StoreError> {
        let (cluster, rules, now) = (cluster.to_owned(), rules.clone(), Clock::wall().now());
        let arrived = ArrivedActivity { cluster, events, rules, now };
        match self {
            Self::Sqlite(store) => store.take_activity(arrived).await,
            Self::Postgres(store) => store.take_activity(arrived).await,
        }
    }

    /// What was done with these grants of a cluster, and how far its API servers were heard.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn uses(&self, cluster: &str, requests: &[String]) -> Result<UsesKnown, StoreError> {
        let uids = || requests.iter().map(String::as_str);
        let counts = self.rows(tables::counts(cluster, uids())).await?;
        let open = self.rows(tables::open_streams(cluster, uids())).await?;
        let runs = self.rows(vec![tables::last_runs(cluster)]).await?;
        Ok(uses_known(&counts, &open, &runs))
    }

    /// All that is known of what was done with one grant of a cluster; none when there is no record of it and nothing was seen.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn activity(&self, cluster: &str, request: &str) -> Result<Option<RequestActivity>, StoreError> {
        let one = || [request];
        let records = self.rows(tables::records_of(cluster, one())).await?;
        let counts = self.rows(tables::counts(cluster, one())).await?;
        if records.is_empty() && counts.is_empty() {
            return Ok(None);
        }
        let open = self.rows(tables::open_streams(cluster, one())).await?;
        let runs = self.rows(vec![tables::all_runs(RunTable::Heard, cluster)]).await?;
        let fleet = self.rows(vec![tables::all_runs(RunTable::Fleet, cluster)]).await?;
        let rows = self.rows(vec![tables::rows_of(cluster, request)]).await?;
        let records = records_from(&records);
        let used = counts.first().map(tables::use_count).unwrap_or_default();
        let heard = heard_feed(&runs, &fleet).all_of(term(&records), Clock::wall().now());
        let (verdict, unseen, open) = (verdict(&used, heard), heard.err(), opened(&open, request));
        let (cluster, request) = (cluster.to_owned(), request.to_owned());
        let rows = summary_rows(&rows);
        Ok(Some(RequestActivity { cluster, request, records, verdict, unseen, used, open, rows }))
    }

    /// Events of a grant that are kept as they are, behind this place in their list; and the place to go on behind, where there
    /// may be more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn audit_lines(
        &self,
        cluster: &str,
        request: &str,
        after: i64,
    ) -> Result<(Vec<String>, Option<i64>), StoreError> {
        let rows = self.rows(vec![tables::lines_of(cluster, request, after, LINES)]).await?;
        let next = rows.last().filter(|_| rows.len() as i64 == LINES).map(|row| tables::number(row, 0));
        Ok((rows.iter().map(|row| text(row, 1).to_owned()).collect(), next))
    }

    /// Writes that no record explains by now, the latest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn findings(&self, now: Timestamp) -> Result<Vec<WriteFinding>, StoreError> {
        Ok(write_findings(&self.rows(vec![tables::findings(now)]).await?))
    }

    /// When the bindings of a cluster that Daypass did not make were last used.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn binding_uses(&self, cluster: &str) -> Result<ToldBindings, StoreError> {
        let runs = self.rows(vec![tables::all_runs(RunTable::Heard, cluster)]).await?;
        let fleet = self.rows(vec![tables::all_runs(RunTable::Fleet, cluster)]).await?;
        let now = Clock::wall().now();
        let heard = heard_feed(&runs, &fleet).since(now);
        let since = self.rows(vec![bindings::since(cluster)]).await?;
        let uses = self.rows(vec![bindings::all_uses(cluster)]).await?;
        Ok(bindings::told(cluster, heard, &since, &uses, now))
    }

    /// Writes all of these, or nothing. False: nothing, by the rule.
    pub(in crate::archive) async fn write(
        &self,
        statements: Vec<Statement>,
        rule: WriteRule,
    ) -> Result<bool, StoreError> {
        match self {
            Self::Sqlite(store) => store.write(statements, rule).await,
            Self::Postgres(store) => store.write(statements, rule).await,
        }
    }

    /// All that is found by these, one behind the other.
    pub(super) async fn rows(&self, statements: Vec<Statement>) -> Result<Vec<FoundRow>, StoreError> {
        match self {
            Self::Sqlite(store) => store.rows(statements).await,
            Self::Postgres(store) => store.rows(statements).await,
        }
    }
}
