//! What is written for a delivery of events, and what is said of it.
//!
//! Owns that each event counts once, in whatever order they come, and that a call counts once, of which the start and the
//! end come apart. It asks no store itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::sift::{Sifted, SiftedCall};
use super::tables::{self, FoundRow, RunTable, count, key, names, number, text, time};
use super::{Taken, bindings};
use crate::api::record::Record;
use crate::archive::store::search::Statement;
use crate::core::activity::alive::{HeardRun, join};
use crate::core::activity::deed::DeedKind;
use crate::core::activity::event::AuditStage;
use crate::core::activity::explained::{SuspectWrite, Unexplained};
use crate::core::activity::names::ObjectNames;
use crate::core::activity::summary::{CountedEvent, KnownRows, RowKind, SummaryRow, fold};

/// For how long a record may be on its way before what it would explain is told.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);
/// By how much the record of a status may be older than its write.
const SLACK: SignedDuration = SignedDuration::from_mins(2);
/// Most events of a request that are kept as they are.
const MOST_LINES: u64 = 10_000;

/// What is held, as far as it makes a difference.
#[derive(Debug, Default)]
pub struct HeldActivity {
    /// Stages that came, by the id of their events.
    seen: HashMap<String, i64>,
    /// Names in rows that there are, by the key of the row.
    rows: HashMap<String, ObjectNames>,
    /// Rows and lines that there are, by UID of the request.
    counts: HashMap<String, [u64; 2]>,
    runs: HeldRuns,
    fleet: HeldRuns,
    /// Uses of bindings that there are.
    uses: Vec<FoundRow>,
}

/// Runs, by the server or the number of servers that they are of.
type HeldRuns = BTreeMap<String, Vec<HeardRun>>;

impl HeldActivity {
    /// From the answers to the questions of [`Sifted::questions`].
    pub fn of(answers: [Vec<FoundRow>; 6]) -> Self {
        let [seen, rows, counts, runs, fleet, uses] = answers;
        Self {
            seen: seen.iter().map(|row| (text(row, 0).to_owned(), number(row, 1))).collect(),
            rows: rows.iter().map(|row| (text(row, 0).to_owned(), names(row, 1))).collect(),
            counts: counts.iter().map(|row| (text(row, 0).to_owned(), [count(row, 1), count(row, 2)])).collect(),
            runs: held_runs(&runs),
            fleet: held_runs(&fleet),
            uses,
        }
    }
}

fn held_runs(rows: &[FoundRow]) -> HeldRuns {
    let mut held = HeldRuns::new();
    for row in rows {
        if let (Some(from), Some(until)) = (time(row, 1), time(row, 2)) {
            held.entry(text(row, 0).to_owned()).or_default().push(HeardRun { from, until });
        }
    }
    held
}

impl HeldActivity {
    /// Adds to a row the names that it has already.
    fn name(&self, request: &str, row: &mut SummaryRow) {
        if let RowKind::Alike(kind) = &row.kind
            && let Some(names) = self.rows.get(&key(request, kind))
        {
            row.names.add(names);
        }
    }
}

impl KnownRows for HeldActivity {
    fn has(&self, request: &str, kind: &DeedKind) -> bool {
        self.rows.contains_key(&key(request, kind))
    }

    fn count(&self, request: &str) -> u64 {
        self.counts.get(request).map_or(0, |[rows, _]| *rows)
    }
}

/// A delivery on its way into the tables of a cluster.
#[derive(Debug)]
pub struct Settling<'a> {
    pub cluster: &'a str,
    pub now: Timestamp,
    /// Whether events are kept as they are.
    pub lines: bool,
    pub taken: Taken,
    pub writes: Vec<Statement>,
}

impl Settling<'_> {
    /// Counts calls, keeps uses of bindings, and joins marks.
    pub fn count(&mut self, sifted: Sifted, mut held: HeldActivity) {
        let mut counted = self.late(sifted.late, &mut held);
        let mut lines: BTreeMap<String, u64> = BTreeMap::new();
        for call in sifted.counted {
            let before = held.seen.get(&call.event.id).copied().unwrap_or(0);
            let stage = stage(call.event.stage);
            if before & stage != 0 {
                continue;
            }
            self.saw(&mut held, call.event.id.clone(), stage);
            for (request, _) in call.ties.iter().filter(|(_, kind)| kind.instead.is_some()) {
                self.saw(&mut held, tables::tie(&call.event.id, request), stage);
            }
            self.stream(&call, before | stage);
            if self.lines {
                self.line(&call, &held, &mut lines);
            }
            counted.extend(self.counted(call, before == 0));
        }
        let change = fold(counted, &held);
        for ((request, _), mut row) in change.rows {
            held.name(&request, &mut row);
            self.writes.push(tables::keep_row(self.cluster, &request, &row));
        }
        for (request, used) in &change.counts {
            let new = [change.new_rows.get(request), lines.get(request)].map(|new| new.copied().unwrap_or(0));
            self.writes.push(tables::keep_count(self.cluster, request, new, used, self.now));
        }
        let heard = sifted.marks.iter().map(|mark| (mark.server.clone(), mark.at));
        self.join(RunTable::Heard, heard, held.runs);
        let numbers = sifted.marks.iter().filter_map(|mark| Some((mark.servers?.to_string(), mark.at)));
        self.join(RunTable::Fleet, numbers, held.fleet);
        if !sifted.marks.is_empty() {
            self.writes.push(bindings::keep_since(self.cluster, self.now));
        }
        self.writes.extend(bindings::keep_uses(self.cluster, sifted.uses, &held.uses));
        self.taken.marks = sifted.marks;
    }

    /// Counts calls beside grants that became known after the calls came. Each counts by itself, whatever else it was tied to.
    fn late(&mut self, calls: Vec<SiftedCall>, held: &mut HeldActivity) -> Vec<CountedEvent> {
        let mut counted = Vec::new();
        for SiftedCall { event, ties } in calls {
            let stage = stage(event.stage);
            for (request, kind) in ties {
                let tie = tables::tie(&event.id, &request);
                let before = held.seen.get(&tie).copied().unwrap_or(0);
                if before & stage != 0 {
                    continue;
                }
                self.saw(held, tie, stage);
                self.saw(held, event.id.clone(), stage);
                let call = SiftedCall { event: event.clone(), ties: vec![(request, kind)] };
                self.stream(&call, before | stage);
                counted.extend(self.counted(call, before == 0));
            }
        }
        counted
    }

    fn saw(&mut self, held: &mut HeldActivity, id: String, stage: i64) {
        self.writes.push(tables::keep_seen(self.cluster, &id, stage, self.now));
        *held.seen.entry(id).or_default() |= stage;
    }

    fn counted(&mut self, call: SiftedCall, is_new: bool) -> Vec<CountedEvent> {
        let SiftedCall { event, ties } = call;
        let counted = ties.into_iter().map(|(request, kind)| {
            let which = if kind.instead.is_none() { &mut self.taken.tied } else { &mut self.taken.beside };
            *which += usize::from(is_new);
            let (from, until) = (event.received, event.at);
            let (claimed, names) = (event.deed.claimed.clone(), event.deed.names());
            CountedEvent { request, kind, is_new, from, until, claimed, names }
        });
        counted.collect()
    }

    /// A stream is open between its two events; the second may come first.
    fn stream(&mut self, call: &SiftedCall, stages: i64) {
        let ended = stage(AuditStage::Complete) | stage(AuditStage::Panic);
        let event = &call.event;
        if event.stage != AuditStage::Started {
            self.writes.push(tables::end_stream(self.cluster, &event.id));
        } else if stages & ended == 0 && !event.deed.is_refused() {
            let keep = |(request, kind): &(String, DeedKind)| {
                tables::keep_stream(self.cluster, &event.id, request, kind.instead.is_some(), event.at)
            };
            self.writes.extend(call.ties.iter().map(keep));
        }
    }

    fn line(&mut self, call: &SiftedCall, held: &HeldActivity, lines: &mut BTreeMap<String, u64>) {
        let Some(request) = call.event.authorized.request() else { return };
        let new = lines.entry(request.to_owned()).or_default();
        if held.counts.get(request).map_or(0, |[_, lines]| *lines) + *new < MOST_LINES {
            *new += 1;
            self.writes.push(tables::keep_line(self.cluster, request, call.event.at, &call.event.line.kept()));
        }
    }

    fn join(&mut self, table: RunTable, marks: impl Iterator<Item = (String, Timestamp)>, before: HeldRuns) {
        let mut runs = before.clone();
        for (of, at) in marks {
            join(runs.entry(of).or_default(), at);
        }
        for (of, now) in runs {
            let before = before.get(&of).map_or(&[][..], Vec::as_slice);
            let gone = before.iter().filter(|run| !now.contains(run));
            self.writes.extend(gone.map(|run| tables::drop_run(table, self.cluster, &of, *run)));
            let new = now.iter().filter(|run| !before.contains(run));
            self.writes.extend(new.map(|run| tables::keep_run(table, self.cluster, &of, *run)));
        }
    }

    /// Judges writes by the records that are held: new ones, and those that were not explained before. The ids of those of
    /// them that are explained now.
    pub fn explain(
        &mut self,
        new: &[(String, SuspectWrite)],
        before: &[(String, SuspectWrite)],
        records: &[Record],
    ) -> BTreeSet<String> {
        let why = |write: &SuspectWrite| {
            let about: Vec<Record> = records.iter().filter(|record| write.is_about(record)).cloned().collect();
            write.unexplained(&about)
        };
        for (id, write) in new {
            if let Some(why) = why(write) {
                // What no record can explain need not wait for one.
                let due = if write.may_be_explained() { self.now + PATIENCE } else { self.now };
                self.writes.push(tables::keep_suspect(self.cluster, id, write, why, due));
            }
        }
        let explained = before.iter().filter(|(_, write)| why(write).is_none());
        let explained: BTreeSet<String> = explained.map(|(id, _)| id.clone()).collect();
        self.writes.extend(explained.iter().map(|id| tables::drop_suspect(self.cluster, id)));
        explained
    }

    /// Tells what is due, but for what is explained.
    pub fn tell(&mut self, untold: &[FoundRow], explained: &BTreeSet<String>) {
        for row in untold.iter().filter(|row| !explained.contains(text(row, 0))) {
            self.writes.push(tables::keep_told(self.cluster, text(row, 0)));
            self.taken.told.extend(finding(text(row, 1), text(row, 2)));
        }
    }
}

/// What has to be asked to explain writes: the records of the requests that they are about.
pub fn explanations(cluster: &str, writes: &[&SuspectWrite]) -> Vec<Statement> {
    let mut questions = tables::records_of(cluster, writes.iter().filter_map(|write| write.request.as_deref()));
    let statuses = writes.iter().filter(|write| write.request.is_none());
    let mut places: BTreeMap<&str, i64> = BTreeMap::new();
    for write in statuses {
        let since = (write.at - SLACK).as_microsecond();
        let place = write.deed.namespace.as_deref().unwrap_or_default();
        places.entry(place).and_modify(|first| *first = since.min(*first)).or_insert(since);
    }
    questions.extend(places.into_iter().map(|(place, since)| tables::records_about(cluster, place, since)));
    questions
}

/// Writes from rows of id and write.
pub fn suspects(rows: &[FoundRow]) -> Vec<(String, SuspectWrite)> {
    rows.iter().filter_map(|row| Some((text(row, 0).to_owned(), serde_json::from_str(text(row, 1)).ok()?))).collect()
}

/// A write and why it is not explained, as they are kept.
pub fn finding(what: &str, why: &str) -> Option<(SuspectWrite, Unexplained)> {
    Some((serde_json::from_str(what).ok()?, serde_json::from_str(why).ok()?))
}

/// A bit of its own for each stage.
fn stage(stage: AuditStage) -> i64 {
    match stage {
        AuditStage::Received => 0,
        AuditStage::Started => 1,
        AuditStage::Complete => 2,
        AuditStage::Panic => 4,
    }
}
