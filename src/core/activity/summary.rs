//! What was done with one grant, counted: a row for each kind of call, and no more rows than somebody reads.
//!
//! Owns the folding of calls into rows, which is the same in whatever order and however often they come. The two events of
//! a call that goes on are one call. It must not know where rows are kept.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::deed::DeedKind;
use super::names::ObjectNames;
use crate::api::activity::UseCount;

/// Most rows of a request. What does not fit is counted in one more, which says so.
pub const MOST_ROWS: u64 = 1000;

/// What a row counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RowKind {
    /// Calls that are alike.
    Alike(Box<DeedKind>),
    /// Calls of any kind, for which there was no row left.
    Others,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryRow {
    pub kind: RowKind,
    /// How many calls.
    pub calls: u64,
    /// When the first came in.
    pub first: Timestamp,
    /// When the last was over, as far as it was seen.
    pub last: Timestamp,
    /// Where the last is said to have come from, which whoever calls can make up.
    pub claimed: Vec<String>,
    /// Names of the objects that they were about, where those are no part of the kind.
    pub names: ObjectNames,
}

/// An event of a call that belongs to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedEvent {
    /// UID of the request.
    pub request: String,
    pub kind: DeedKind,
    /// Whether the call is counted for the first time.
    pub is_new: bool,
    pub from: Timestamp,
    pub until: Timestamp,
    pub claimed: Vec<String>,
    pub names: ObjectNames,
}

/// Rows that are there already, of the requests that are counted for.
pub trait KnownRows {
    /// Whether there is one of this kind.
    fn has(&self, request: &str, kind: &DeedKind) -> bool;
    /// How many there are, but for that of others.
    fn count(&self, request: &str) -> u64;
}

/// What comes to the rows and to the counts of requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SummaryChange {
    /// What is added to rows, by UID of the request.
    pub rows: BTreeMap<(String, RowKind), SummaryRow>,
    /// What is added to the counts.
    pub counts: BTreeMap<String, UseCount>,
    /// How many rows each request gets, but for that of others.
    pub new_rows: BTreeMap<String, u64>,
}

/// Folds events into what is added.
pub fn fold(events: Vec<CountedEvent>, known: &impl KnownRows) -> SummaryChange {
    let mut change = SummaryChange::default();
    let mut made: BTreeSet<(String, DeedKind)> = BTreeSet::new();
    for event in events {
        let calls = u64::from(event.is_new);
        add(change.counts.entry(event.request.clone()).or_default(), &event, calls);
        let row = (event.request, event.kind);
        let is_there = known.has(&row.0, &row.1) || made.contains(&row);
        let kind = if is_there {
            RowKind::Alike(Box::new(row.1))
        } else {
            let new = change.new_rows.entry(row.0.clone()).or_default();
            if known.count(&row.0) + *new < MOST_ROWS {
                *new += 1;
                made.insert(row.clone());
                RowKind::Alike(Box::new(row.1))
            } else {
                RowKind::Others
            }
        };
        let (first, last, claimed, names) = (event.from, event.until, event.claimed, event.names);
        let added = SummaryRow { kind: kind.clone(), calls, first, last, claimed, names };
        change.rows.entry((row.0, kind)).and_modify(|row| row.add(&added)).or_insert(added);
    }
    change
}

impl SummaryRow {
    fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        if (other.last, &other.claimed) > (self.last, &self.claimed) {
            self.claimed.clone_from(&other.claimed);
        }
        self.names.add(&other.names);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

fn add(count: &mut UseCount, event: &CountedEvent, calls: u64) {
    let until = |last: Option<Timestamp>| Some(last.map_or(event.until, |last| last.max(event.until)));
    let Some(instead) = &event.kind.instead else {
        count.calls += calls;
        count.refused += if event.kind.refused { calls } else { 0 };
        count.first = Some(count.first.map_or(event.from, |first| first.min(event.from)));
        count.last = until(count.last);
        return;
    };
    let which = if instead.is_ambiguous() { &mut count.ambiguous } else { &mut count.standing };
    *which += calls;
    count.last_beside = until(count.last_beside);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::activity::deed::Instead;

    #[derive(Default)]
    struct Rows(BTreeMap<(String, RowKind), SummaryRow>);

    impl KnownRows for Rows {
        fn has(&self, request: &str, kind: &DeedKind) -> bool {
            self.0.contains_key(&(request.to_owned(), RowKind::Alike(Box::new(kind.clone()))))
        }

        fn count(&self, request: &str) -> u64 {
            self.0.keys().filter(|(uid, kind)| uid == request && *kind != RowKind::Others).count() as u64
        }
    }

    impl Rows {
        fn take(&mut self, events: Vec<CountedEvent>) -> SummaryChange {
            let change = fold(events, self);
            for (key, row) in change.rows.clone() {
                self.0.entry(key).and_modify(|there| there.add(&row)).or_insert(row);
            }
            change
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn event(request: &str, verb: &str, second: i64) -> CountedEvent {
        let kind = DeedKind { verb: verb.to_owned(), ..DeedKind::default() };
        let (from, until) = (at(second), at(second + 1));
        let names = ObjectNames::of(Some(format!("at-{second}")));
        CountedEvent { request: request.to_owned(), kind, is_new: true, from, until, claimed: Vec::new(), names }
    }

    #[test]
    fn calls_that_are_alike_are_one_row() {
        let mut rows = Rows::default();
        let again = CountedEvent { is_new: false, ..event("r", "get", 90) };
        let change = rows.take(vec![event("r", "get", 5), event("r", "list", 7), event("r", "get", 1), again]);
        let count = UseCount { calls: 3, first: Some(at(1)), last: Some(at(91)), ..UseCount::default() };
        assert_eq!(change.counts["r"], count);
        assert_eq!(change.new_rows["r"], 2);
        let of: Vec<u64> = rows.0.values().map(|row| row.calls).collect();
        assert_eq!(of, [2, 1]);
    }

    #[test]
    fn what_others_allowed_is_no_use() {
        let beside = |request: Option<&str>| {
            let mut event = event("r", "get", 1);
            event.kind.instead =
                Some(Instead { by: "devs".to_owned(), request: request.map(str::to_owned), unsaid: false });
            event
        };
        let mut refused = event("r", "create", 2);
        refused.kind.refused = true;
        let change = Rows::default().take(vec![beside(None), beside(Some("other")), beside(Some("other")), refused]);
        let count = &change.counts["r"];
        assert_eq!((count.calls, count.refused, count.standing, count.ambiguous), (1, 1, 1, 2));
        assert_eq!((count.first, count.last, count.last_beside), (Some(at(2)), Some(at(3)), Some(at(2))));
    }

    #[test]
    fn rows_are_bounded_and_say_so() {
        let mut rows = Rows::default();
        for n in 0..3 {
            let events = (0..500).map(|verb| event("r", &format!("{n}-{verb}"), n)).collect();
            rows.take(events);
        }
        rows.take(vec![event("r", "0-0", 9), event("r", "later", 9), event("s", "get", 9)]);
        assert_eq!(rows.count("r"), MOST_ROWS);
        assert_eq!(rows.0[&("r".to_owned(), RowKind::Others)].calls, 501);
        assert_eq!(rows.0.values().filter(|row| row.calls == 2).count(), 1, "a row that is there goes on");
        assert_eq!(rows.count("s"), 1);
    }

    proptest! {
        #[test]
        fn the_order_and_the_batches_make_no_difference(
            events in prop::collection::vec(("[ab]", "[a-d]", 0..50i64), 1..40), cut in 0..40usize, turn in 0..40usize
        ) {
            let events: Vec<CountedEvent> = events.iter().map(|(r, verb, second)| event(r, verb, *second)).collect();
            let (mut whole, mut parts) = (Rows::default(), Rows::default());
            whole.take(events.clone());
            let mut other = events;
            let length = other.len();
            other.rotate_left(turn % length);
            let rest = other.split_off(cut.min(length));
            parts.take(rest);
            parts.take(other);
            prop_assert_eq!(whole.0, parts.0);
        }
    }
}
