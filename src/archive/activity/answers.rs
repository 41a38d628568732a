//! What is answered about activity, made of what is found in the tables.
//!
//! Owns the form of what is found. What it means is for `core::activity`.

use super::settle::finding;
use super::tables::{FoundRow, count, names, text, time, use_count};
use crate::api::activity::{HeardServer, KnownUse, UseCount, UsesKnown};
use crate::api::record::Record;
use crate::core::activity::alive::HeardRun;
use crate::core::activity::explained::{SuspectWrite, Unexplained};
use crate::core::activity::summary::SummaryRow;
use crate::core::activity::verdict::{HeardFeed, UnknownUse, UseVerdict};

/// What was done with one grant.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestActivity {
    /// UID of the cluster.
    pub cluster: String,
    /// UID of the request.
    pub request: String,
    /// Its records in their order.
    pub records: Vec<Record>,
    pub verdict: UseVerdict,
    /// Why it is not known whether all was seen that was done with it; none when it was.
    pub unseen: Option<UnknownUse>,
    pub used: UseCount,
    /// How many streams are open under it, and beside it.
    pub open: [u64; 2],
    /// The most used first.
    pub rows: Vec<SummaryRow>,
}

/// A write that no record explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteFinding {
    /// UID of the cluster.
    pub cluster: String,
    pub write: SuspectWrite,
    pub why: Unexplained,
}

/// The answer to a controller, of counts, open streams and last runs.
pub fn uses_known(counts: &[FoundRow], open: &[FoundRow], runs: &[FoundRow]) -> UsesKnown {
    let uses = counts.iter().map(|row| {
        let (uid, count) = (text(row, 0).to_owned(), use_count(row));
        let [open, open_beside] = opened(open, &uid);
        KnownUse { uid, count, open, open_beside }
    });
    let uses = uses.collect();
    let servers = heard(runs).map(|(server, run)| HeardServer { server, from: run.from, until: run.until }).collect();
    UsesKnown { servers, uses }
}

/// How many streams are open under a request, and beside it.
pub fn opened(open: &[FoundRow], uid: &str) -> [u64; 2] {
    open.iter().find(|row| text(row, 0) == uid).map_or([0, 0], |row| [count(row, 1), count(row, 2)])
}

/// When API servers were heard, and when there were how many.
pub fn heard_feed(runs: &[FoundRow], fleet: &[FoundRow]) -> HeardFeed {
    let mut feed = HeardFeed::default();
    for (server, run) in heard(runs) {
        feed.runs.entry(server).or_default().push(run);
    }
    for (servers, run) in heard(fleet) {
        // What is held is a number.
        let Ok(servers) = servers.parse() else { continue };
        feed.fleet.entry(servers).or_default().push(run);
    }
    feed
}

fn heard(runs: &[FoundRow]) -> impl Iterator<Item = (String, HeardRun)> {
    runs.iter()
        .filter_map(|row| Some((text(row, 0).to_owned(), HeardRun { from: time(row, 1)?, until: time(row, 2)? })))
}

/// Rows of a summary.
pub fn summary_rows(rows: &[FoundRow]) -> Vec<SummaryRow> {
    let read = |row: &FoundRow| {
        let (kind, claimed) = (serde_json::from_str(text(row, 0)).ok()?, serde_json::from_str(text(row, 4)).ok()?);
        let (calls, first, last) = (count(row, 1), time(row, 2)?, time(row, 3)?);
        Some(SummaryRow { kind, calls, first, last, claimed, names: names(row, 5) })
    };
    rows.iter().filter_map(read).collect()
}

/// Findings, of cluster, write and why.
pub fn write_findings(rows: &[FoundRow]) -> Vec<WriteFinding> {
    let read = |row: &FoundRow| {
        let (write, why) = finding(text(row, 1), text(row, 2))?;
        Some(WriteFinding { cluster: text(row, 0).to_owned(), write, why })
    };
    rows.iter().filter_map(read).collect()
}

/// Records as they came.
pub fn records_from(rows: &[FoundRow]) -> Vec<Record> {
    // What is held was read when it came.
    rows.iter().filter_map(|row| serde_json::from_str(text(row, 0)).ok()).collect()
}
