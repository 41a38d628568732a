//! What counts of a delivery of events; the rest is let go at once.
//!
//! Owns the choice, and the questions that what counts raises. It asks no store itself.

use std::collections::BTreeSet;

use super::tables::{self, RunTable, key};
use super::{ActivityRules, ClusterAccounts, bindings};
use crate::archive::store::search::Statement;
use crate::core::activity::alive::{CanaryMark, mark};
use crate::core::activity::beside::GrantBook;
use crate::core::activity::bindings::BindingUse;
use crate::core::activity::deed::DeedKind;
use crate::core::activity::event::{AuditStage, ReadEvent};
use crate::core::activity::explained::{SuspectWrite, suspect};

/// What counts.
#[derive(Debug, Default)]
pub struct Sifted {
    /// Events of calls that belong to requests.
    pub counted: Vec<SiftedCall>,
    /// Events that came before, each tied only to grants that were not known then.
    pub late: Vec<SiftedCall>,
    /// Calls of the canary.
    pub marks: Vec<CanaryMark>,
    /// Writes that need an explanation, each with the id of its event.
    pub suspects: Vec<(String, SuspectWrite)>,
    /// Uses of bindings that Daypass did not make.
    pub uses: BTreeSet<BindingUse>,
}

/// An event of a call that belongs to requests.
#[derive(Debug)]
pub struct SiftedCall {
    pub event: ReadEvent,
    /// UID of each request, and what kind of call it is there.
    pub ties: Vec<(String, DeedKind)>,
}

impl Sifted {
    /// Of events of a cluster, with the grants that run there.
    pub fn of(events: Vec<ReadEvent>, cluster: &str, rules: &ActivityRules, book: Option<&GrantBook>) -> Self {
        let none = ClusterAccounts::default();
        let accounts = rules.clusters.get(cluster).unwrap_or(&none);
        let mut sifted = Self::default();
        for event in events.into_iter().filter(|event| event.stage != AuditStage::Received) {
            sifted.marks.extend(mark(&event, &accounts.canaries));
            let suspect = suspect(&event, &accounts.controllers);
            let is_harmless = |write: &SuspectWrite| write.takes_many() && book.is_none_or(|book| !book.ran_at(write));
            let suspect = suspect.filter(|write| !is_harmless(write));
            sifted.suspects.extend(suspect.map(|write| (event.id.clone(), write)));
            sifted.uses.extend(BindingUse::of(&event));
            let own = event.authorized.request().map(|uid| (uid.to_owned(), event.deed.kind(None)));
            let others = book.map(|book| book.beside(&event)).unwrap_or_default();
            let others = others.into_iter().map(|(uid, instead)| (uid, event.deed.kind(Some(instead))));
            let ties: Vec<(String, DeedKind)> = own.into_iter().chain(others).collect();
            if !ties.is_empty() {
                sifted.counted.push(SiftedCall { event, ties });
            }
        }
        sifted
    }

    /// What has to be known before it can be settled: ids of events that came before, rows that are there, counts of
    /// requests, runs of API servers, and of how many there are, and uses of bindings.
    pub fn questions(&self, cluster: &str) -> [Vec<Statement>; 6] {
        let all = || self.late.iter().chain(&self.counted);
        let mut ids: BTreeSet<String> = all().map(|call| call.event.id.clone()).collect();
        let tie =
            |call: &SiftedCall| call.ties.iter().map(|(uid, _)| tables::tie(&call.event.id, uid)).collect::<Vec<_>>();
        ids.extend(self.late.iter().flat_map(tie));
        let ties = || all().flat_map(|call| &call.ties);
        let keys: BTreeSet<String> = ties().map(|(uid, kind)| key(uid, kind)).collect();
        let requests: BTreeSet<&str> = ties().map(|(uid, _)| uid.as_str()).collect();
        let servers: BTreeSet<&str> = self.marks.iter().map(|mark| mark.server.as_str()).collect();
        let numbers: BTreeSet<String> = self.marks.iter().filter_map(|mark| Some(mark.servers?.to_string())).collect();
        [
            tables::seen(cluster, ids.iter().map(String::as_str)),
            tables::known_rows(cluster, keys.iter().map(String::as_str)),
            tables::counts(cluster, requests),
            tables::runs(RunTable::Heard, cluster, servers),
            tables::runs(RunTable::Fleet, cluster, numbers.iter().map(String::as_str)),
            bindings::known_uses(cluster, &self.uses),
        ]
    }
}
