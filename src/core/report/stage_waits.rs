//! How long approval stages waited, and for what: read from records, so that it is known of requests that are gone too, or
//! from the history that records are made of. One rule reads both.
//!
//! It must not judge who was slow: it has instants and names only.

use std::collections::BTreeMap;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::api::reason::Reason;
use crate::api::record::{Record, RecordKind};
use crate::api::request::{HistoryEntry, NotedFacts};
use crate::core::model::facts;

/// One approval stage of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageRun {
    pub policy: String,
    pub stage: String,
    pub opened: Timestamp,
    /// When nobody had answered for so long that more people were asked.
    pub escalated: Option<Timestamp>,
    /// When it was over, and what had come of it. None: it waits.
    pub closed: Option<(Timestamp, StageEnd)>,
}

/// What came of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StageEnd {
    /// Enough people agreed.
    Approved,
    /// Somebody said no, or a policy does.
    Denied,
    /// Nobody decided in time.
    Lapsed,
    /// The request was taken back, or was deleted.
    Withdrawn,
    /// Another policy decides since then, or another version of it, whose stages begin anew.
    Replaced,
}

impl StageRun {
    /// What came of it, and after how long; none while it waits.
    pub fn waited(&self) -> Option<(StageEnd, SignedDuration)> {
        self.closed.map(|(at, end)| (end, at.duration_since(self.opened)))
    }
}

/// What happened to a request, as far as stages go by it.
struct StageNote {
    at: Timestamp,
    kind: RecordKind,
    policy: String,
    stage: String,
}

/// The stages of one request, from its records in their order.
pub fn of_records<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<StageRun> {
    let note = |record: &Record| {
        Some(StageNote {
            at: record.at.0,
            kind: record.kind.known()?,
            policy: record.policy.as_ref().map(|policy| policy.name.clone()).unwrap_or_default(),
            stage: record.stage.clone().unwrap_or_default(),
        })
    };
    runs(records.into_iter().filter_map(note))
}

/// The stages of one request, from its history.
pub fn of_history(history: &[HistoryEntry]) -> Vec<StageRun> {
    let note = |known: &mut NotedFacts, entry: &HistoryEntry| {
        *known = facts::with_entry(std::mem::take(known), entry);
        let note = entry.event.known().map(|reason| StageNote {
            at: entry.at.0,
            kind: RecordKind::Entry(reason),
            policy: known.policy.as_ref().map(|policy| policy.name.clone()).unwrap_or_default(),
            stage: entry.stage.clone().unwrap_or_default(),
        });
        Some(note)
    };
    runs(history.iter().scan(NotedFacts::default(), note).flatten())
}

/// What is new of the stages of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StageNews {
    /// Those that were opened; they may be over already.
    pub opened: Vec<StageRun>,
    /// Those that are over, and were not before.
    pub closed: Vec<StageRun>,
}

/// What those entries of a history say that were added to the first `before`.
pub fn since(history: &[HistoryEntry], before: usize) -> StageNews {
    let known = of_history(history.get(..before).unwrap_or(history));
    let over = known.iter().filter(|run| run.closed.is_some()).count();
    let all = of_history(history);
    // One stage is open at a time and none opens again, so those that were over before come first.
    let closed = all.iter().filter(|run| run.closed.is_some()).skip(over).cloned().collect();
    StageNews { opened: all.into_iter().skip(known.len()).collect(), closed }
}

fn runs(notes: impl Iterator<Item = StageNote>) -> Vec<StageRun> {
    let mut all: Vec<StageRun> = Vec::new();
    let mut policy_changed = None;
    for StageNote { at, kind, policy, stage } in notes {
        match kind {
            RecordKind::Entry(Reason::Escalated) => {
                if let Some(open) = open(&mut all) {
                    open.escalated.get_or_insert(at);
                }
            }
            // A stage of the same name goes on; one of another name is opened in the same pass.
            RecordKind::Entry(Reason::PolicyChanged) => policy_changed = Some(at),
            RecordKind::Entry(Reason::ApprovalNeeded) => {
                let end = if policy_changed == Some(at) { StageEnd::Replaced } else { StageEnd::Approved };
                close(&mut all, at, end);
                all.push(StageRun { policy, stage, opened: at, escalated: None, closed: None });
            }
            _ => {
                if let Some(end) = end_by(kind) {
                    close(&mut all, at, end);
                }
            }
        }
    }
    all
}

fn open(all: &mut [StageRun]) -> Option<&mut StageRun> {
    all.last_mut().filter(|wait| wait.closed.is_none())
}

fn close(all: &mut [StageRun], at: Timestamp, end: StageEnd) {
    if let Some(open) = open(all) {
        open.closed = Some((at, end));
    }
}

/// How a stage is over by this, if it is.
fn end_by(kind: RecordKind) -> Option<StageEnd> {
    let reason = match kind {
        RecordKind::Deleted => return Some(StageEnd::Withdrawn),
        RecordKind::Requested => return None,
        RecordKind::Entry(reason) => reason,
    };
    // Without a wildcard, so that whoever adds a reason has to say.
    match reason {
        Reason::Approved
        | Reason::Granted
        | Reason::BreakGlass
        | Reason::Binding
        | Reason::Extending
        | Reason::Extended
        | Reason::WaitingForStart
        | Reason::AwaitingRecord
        | Reason::Frozen
        | Reason::RoleUnusable
        | Reason::Failed => Some(StageEnd::Approved),
        Reason::Denied => Some(StageEnd::Denied),
        Reason::Lapsed => Some(StageEnd::Lapsed),
        Reason::Revoked | Reason::Idle | Reason::Expired => Some(StageEnd::Withdrawn),
        Reason::WrittenInGap => Some(StageEnd::Replaced),
        Reason::PolicyChanged
        | Reason::PolicyNotReady
        | Reason::GuardMissing
        | Reason::ClockWrong
        | Reason::ApprovalNeeded
        | Reason::Escalated
        | Reason::Reviewed
        | Reason::ReviewIgnored
        | Reason::ReviewWithdrawn
        | Reason::Unrecorded
        | Reason::RightUnknown
        | Reason::FreezeAhead
        | Reason::Suspended
        | Reason::Resumed
        | Reason::RoleChanged
        | Reason::BindingRestored
        | Reason::HistoryFull
        | Reason::ReviewOpen
        | Reason::ReviewOverdue
        | Reason::Justified
        | Reason::Unjustified => None,
    }
}

/// How the waits of one kind went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaitSummary {
    /// How many were answered: approved or denied.
    pub answered: usize,
    /// How many of those were denied.
    pub denied: usize,
    /// How many nobody answered in time.
    pub lapsed: usize,
    /// How many were taken back, or began anew under another policy.
    pub withdrawn: usize,
    /// How many wait.
    pub waiting: usize,
    /// How many came to more people since nobody had answered.
    pub escalated: usize,
    /// Lengths until the answer: half were no longer, nine of ten were no longer, none was longer.
    pub half: Option<SignedDuration>,
    pub nine_of_ten: Option<SignedDuration>,
    pub longest: Option<SignedDuration>,
    /// For how long the one waits that has waited for longest.
    pub oldest_waiting: Option<SignedDuration>,
}

/// Summaries by a key of each wait, in the order of the keys.
pub fn summaries<K: Ord>(
    waits: &[StageRun],
    keys: impl Fn(&StageRun) -> Vec<K>,
    now: Timestamp,
) -> BTreeMap<K, WaitSummary> {
    let mut by_key: BTreeMap<K, Vec<&StageRun>> = BTreeMap::new();
    for wait in waits {
        for key in keys(wait) {
            by_key.entry(key).or_default().push(wait);
        }
    }
    by_key.into_iter().map(|(key, waits)| (key, summary(&waits, now))).collect()
}

fn summary(waits: &[&StageRun], now: Timestamp) -> WaitSummary {
    let ended = |end: StageEnd| waits.iter().filter(|wait| wait.closed.is_some_and(|(_, is)| is == end)).count();
    let mut answered: Vec<SignedDuration> = waits.iter().filter_map(|wait| answer_after(wait)).collect();
    answered.sort();
    let waiting = || waits.iter().filter(|wait| wait.closed.is_none());
    WaitSummary {
        answered: answered.len(),
        denied: ended(StageEnd::Denied),
        lapsed: ended(StageEnd::Lapsed),
        withdrawn: ended(StageEnd::Withdrawn) + ended(StageEnd::Replaced),
        waiting: waiting().count(),
        escalated: waits.iter().filter(|wait| wait.escalated.is_some()).count(),
        half: quantile(&answered, 50),
        nine_of_ten: quantile(&answered, 90),
        longest: answered.last().copied(),
        oldest_waiting: waiting().map(|wait| now.duration_since(wait.opened)).max(),
    }
}

/// How long a stage waited for its answer, if it got one.
fn answer_after(wait: &StageRun) -> Option<SignedDuration> {
    let (end, after) = wait.waited()?;
    matches!(end, StageEnd::Approved | StageEnd::Denied).then_some(after)
}

/// The least of these sorted lengths that so many of a hundred do not exceed (the nearest rank).
fn quantile(sorted: &[SignedDuration], of_hundred: usize) -> Option<SignedDuration> {
    let rank = (sorted.len() * of_hundred).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::request::AccessRequest;
    use crate::core::laws::fixtures::{noon, request};
    use crate::core::record::golden::REQUESTS;
    use crate::core::record::v1::records;
    use serde_json::json;

    /// A request whose history has these entries, so many minutes after noon.
    fn recorded(entries: &[(i64, &str, Option<&str>)]) -> AccessRequest {
        let mut request = request(json!({}));
        let policy = json!({ "name": "edit-shop", "uid": "p", "generation": 1 });
        let history = entries.iter().map(|(minutes, event, stage)| {
            json!({ "at": at(*minutes).to_string(), "event": event, "stage": stage, "message": "", "facts": { "policy": policy } })
        });
        let history: Vec<_> = history.collect();
        request.status = serde_json::from_value(json!({ "history": history })).unwrap();
        request
    }

    fn history(request: &AccessRequest) -> &[HistoryEntry] {
        request.status.as_ref().map_or(&[], |status| &status.history)
    }

    fn at(minutes: i64) -> Timestamp {
        noon() + SignedDuration::from_mins(minutes)
    }

    fn waits(entries: &[(i64, &str, Option<&str>)]) -> Vec<StageRun> {
        let request = recorded(entries);
        let waits = of_records(&records(&request, "c-1"));
        assert_eq!(of_history(history(&request)), waits, "{entries:?}");
        waits
    }

    fn wait(stage: &str, opened: i64, closed: Option<(i64, StageEnd)>) -> StageRun {
        let closed = closed.map(|(minutes, end)| (at(minutes), end));
        StageRun {
            policy: "edit-shop".to_owned(),
            stage: stage.to_owned(),
            opened: at(opened),
            escalated: None,
            closed,
        }
    }

    const LEADS: Option<&str> = Some("leads");
    const SECURITY: Option<&str> = Some("security");

    #[test]
    fn each_stage_is_over_when_the_next_begins_or_the_request_is_decided() {
        use StageEnd::{Approved, Denied, Lapsed, Replaced, Withdrawn};
        for (entries, expected) in [
            (
                &[(0, "ApprovalNeeded", LEADS), (5, "ApprovalNeeded", SECURITY), (9, "Granted", None)][..],
                vec![wait("leads", 0, Some((5, Approved))), wait("security", 5, Some((9, Approved)))],
            ),
            (
                &[(0, "ApprovalNeeded", LEADS), (1, "Reviewed", LEADS), (2, "Denied", None), (3, "Deleted", None)],
                vec![wait("leads", 0, Some((2, Denied)))],
            ),
            (&[(0, "ApprovalNeeded", LEADS), (60, "Lapsed", None)], vec![wait("leads", 0, Some((60, Lapsed)))]),
            (&[(0, "ApprovalNeeded", LEADS), (3, "Revoked", None)], vec![wait("leads", 0, Some((3, Withdrawn)))]),
            (
                &[(0, "ApprovalNeeded", LEADS), (3, "PolicyChanged", None), (3, "ApprovalNeeded", SECURITY)],
                vec![wait("leads", 0, Some((3, Replaced))), wait("security", 3, None)],
            ),
            (
                &[(0, "ApprovalNeeded", LEADS), (3, "PolicyChanged", None), (5, "Granted", None)],
                vec![wait("leads", 0, Some((5, Approved)))],
            ),
            (
                &[(0, "ApprovalNeeded", LEADS), (3, "Frozen", None), (90, "Granted", None)],
                vec![wait("leads", 0, Some((3, Approved)))],
            ),
            (&[(0, "Granted", None), (9, "Expired", None)], Vec::new()),
            (&[(0, "ApprovalNeeded", LEADS), (1, "Tomorrow", None)], vec![wait("leads", 0, None)]),
        ] {
            assert_eq!(waits(entries), expected, "{entries:?}");
        }
    }

    #[test]
    fn the_first_escalation_of_a_stage_counts() {
        let waits = waits(&[
            (0, "ApprovalNeeded", LEADS),
            (10, "Escalated", LEADS),
            (20, "Escalated", LEADS),
            (30, "Granted", None),
        ]);
        assert_eq!(waits, [StageRun { escalated: Some(at(10)), ..wait("leads", 0, Some((30, StageEnd::Approved))) }]);
    }

    /// Of a history that grows entry by entry, each stage is told once, as it is told of the whole.
    #[test]
    fn each_stage_is_opened_and_closed_by_one_entry_alone() {
        let request = recorded(&[
            (0, "ApprovalNeeded", LEADS),
            (5, "Escalated", LEADS),
            (6, "ApprovalNeeded", SECURITY),
            (9, "Approved", None),
            (9, "Granted", None),
            (70, "Expired", None),
        ]);
        let history = history(&request);
        let news = |before: usize| since(&history[..history.len().min(before + 1)], before);
        let [leads, security] = of_history(history).try_into().unwrap();
        let still_open = |run: &StageRun| StageRun { closed: None, escalated: None, ..run.clone() };
        let opened = |run: &StageRun| StageNews { opened: vec![still_open(run)], closed: Vec::new() };
        let closed = |run: &StageRun| StageNews { opened: Vec::new(), closed: vec![run.clone()] };
        assert_eq!(news(0), opened(&leads));
        assert_eq!(news(1), StageNews::default());
        assert_eq!(news(2), StageNews { closed: vec![leads.clone()], ..opened(&security) });
        assert_eq!(news(3), closed(&security));
        for nothing in [4, 5, 6, 7] {
            assert_eq!(news(nothing), StageNews::default(), "{nothing}");
        }
        let both = vec![leads, security];
        assert_eq!(since(history, 0), StageNews { opened: both.clone(), closed: both });
    }

    #[test]
    fn the_history_of_every_request_that_was_recorded_has_the_stages_of_its_records() {
        let mut stages = 0;
        for line in REQUESTS.lines() {
            let request: AccessRequest = serde_json::from_str(line).unwrap();
            let runs = of_records(&records(&request, "c"));
            stages += runs.len();
            assert_eq!(of_history(history(&request)), runs, "{line}");
        }
        assert!(stages > 0);
    }

    #[test]
    fn summaries_count_what_was_answered_and_what_waits() {
        use StageEnd::{Approved, Denied, Lapsed, Replaced, Withdrawn};
        let mut all: Vec<StageRun> = (1..=10).map(|n| wait("leads", 0, Some((n, Approved)))).collect();
        all.extend([(20, Denied), (60, Lapsed), (1, Withdrawn), (2, Replaced)].map(|end| wait("leads", 0, Some(end))));
        all.extend([wait("leads", 40, None), wait("leads", 30, None), wait("security", 0, Some((7, Approved)))]);
        let by_stage = summaries(&all, |wait| vec![wait.stage.clone()], at(45));
        let minutes = |n| Some(SignedDuration::from_mins(n));
        let leads = WaitSummary {
            answered: 11,
            denied: 1,
            lapsed: 1,
            withdrawn: 2,
            waiting: 2,
            escalated: 0,
            half: minutes(6),
            nine_of_ten: minutes(10),
            longest: minutes(20),
            oldest_waiting: minutes(15),
        };
        assert_eq!(by_stage["leads"], leads);
        assert_eq!((by_stage["security"].half, by_stage["security"].nine_of_ten), (minutes(7), minutes(7)));
        let twice = summaries(&all, |_| vec!["a", "b"], at(45));
        assert_eq!(twice["a"], twice["b"]);
        assert_eq!(twice["a"].answered, 12);
    }

    #[test]
    fn of_nothing_there_is_no_length() {
        assert_eq!(quantile(&[], 50), None);
        let one = [SignedDuration::from_secs(3)];
        assert_eq!((quantile(&one, 1), quantile(&one, 100)), (Some(one[0]), Some(one[0])));
    }
}
