//! Access that begins only when an archive has acknowledged its decision, where the policy asks for that.
//!
//! Owns when such access waits, and by when. Access that runs is never its business. It must not know how records are
//! delivered.

use k8s_openapi::jiff::Timestamp;

use crate::api::conditions;
use crate::api::reason::Reason;
use crate::api::request::{AccessRequest, AccessRequestStatus, State};
use crate::core::decision::answer::Approved;
use crate::core::decision::held_up::deadline;
use crate::core::decision::snapshot::Snapshot;
use crate::core::lifecycle::happened::Happened;
use crate::core::model::ask::{RequestKind, ValidRequest};
use crate::core::model::history;
use crate::core::policies::Policy;

/// By when the archive must have the decision; none when access need not wait for that. It has it when it holds the whole
/// history in which the request is approved.
pub fn by(
    s: &Snapshot<'_>,
    status: &AccessRequestStatus,
    ask: &ValidRequest<'_>,
    approved: &Approved<'_>,
) -> Option<Timestamp> {
    let is_asked = approved.policy.requires_record && matches!(ask.aim, RequestKind::Grant);
    let holds = s.archive.is_some_and(|archive| archive.holds >= status.history.len());
    let is_held = status.state == State::Scheduled && holds;
    (is_asked && !is_held).then(|| deadline(ask, approved.policy, approved.period))
}

/// Notes that break-glass access begins though the archive does not answer.
pub fn warn(
    s: &Snapshot<'_>,
    status: &mut AccessRequestStatus,
    ask: &ValidRequest<'_>,
    policy: &Policy,
    now: Timestamp,
) {
    let is_away = s.archive.is_none_or(|archive| !archive.answers);
    if policy.requires_record && is_away && matches!(ask.aim, RequestKind::BreakGlass) {
        let why = Happened::Unrecorded(policy.reference.name.clone());
        history::add(&mut status.history, now, Reason::Unrecorded, None, &why);
    }
}

/// Whether a request is approved and waits for the archive.
pub fn awaits_record(request: &AccessRequest) -> bool {
    let conditions = request.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let granted = conditions::find(conditions, conditions::GRANTED);
    granted.is_some_and(|condition| condition.reason == Reason::AwaitingRecord.as_str())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::SignedDuration;
    use serde_json::{Value, json};

    use super::*;
    use crate::core::decision::answer::AllowedBy;
    use crate::core::decision::snapshot::ArchiveSight;
    use crate::core::laws::fixtures::{message_of, namespaces, noon, policy, request};
    use crate::core::laws::simulator::Simulator;
    use crate::core::lifecycle::happened::Next;

    fn asked(spec: Value, archive: Option<ArchiveSight>) -> Simulator {
        let reviewers = json!([{ "kind": "User", "name": "bob" }]);
        let glass = json!({ "reviewers": reviewers, "reviewWithin": "1h" });
        let stages = json!([{ "name": "bob", "approvers": reviewers }]);
        let approval = json!({ "automaticWhen": "!request.breakGlass", "deadline": "2h", "stages": stages });
        let policy = policy("first", json!({ "requireRecord": true, "breakGlass": glass, "approval": approval }));
        let mut simulator = Simulator::new(request(spec), vec![policy], namespaces(), noon());
        simulator.archive = archive;
        simulator.settle();
        simulator
    }

    fn holds(entries: usize) -> Option<ArchiveSight> {
        Some(ArchiveSight { holds: entries, answers: true })
    }

    fn events(simulator: &Simulator) -> Vec<String> {
        simulator.status().history.iter().map(|entry| entry.event.as_str().to_owned()).collect()
    }

    #[test]
    fn nothing_is_bound_before_the_archive_has_the_decision() {
        let mut simulator = asked(json!({}), holds(0));
        assert_eq!((simulator.state(), simulator.binds), (State::Scheduled, 0));
        assert_eq!(events(&simulator), ["Approved"]);
        assert!(awaits_record(&simulator.request));
        simulator.archive = holds(1);
        simulator.settle();
        assert_eq!((simulator.state(), simulator.binds), (State::Active, 1));
        assert!(!awaits_record(&simulator.request));
        // Running access waits for nothing more.
        simulator.archive = Some(ArchiveSight { holds: 0, answers: false });
        simulator.now += SignedDuration::from_secs(60);
        simulator.settle();
        assert_eq!(simulator.state(), State::Active);
        assert!(simulator.breaches.is_empty(), "{:?}", simulator.breaches);
    }

    #[test]
    fn without_an_archive_it_waits_and_says_what_is_missing_and_lapses() {
        let mut simulator = asked(json!({}), None);
        assert_eq!((simulator.state(), simulator.binds), (State::Scheduled, 0));
        let (allowed, next) =
            (AllowedBy { policy: "first".to_owned(), approvers: Vec::new() }, Next::Recorded { archive: false });
        assert_eq!(message_of(simulator.status().message), Happened::AllowedAnd(allowed, next).to_string());
        simulator.now += SignedDuration::from_hours(2);
        simulator.settle();
        assert_eq!((simulator.state(), simulator.binds), (State::Lapsed, 0));
    }

    #[test]
    fn an_emergency_waits_for_nothing_and_is_told_of_when_the_archive_is_away() {
        let glass = || json!({ "breakGlass": true });
        let simulator = asked(glass(), holds(0));
        assert_eq!(
            (simulator.state(), events(&simulator)),
            (State::Active, vec!["BreakGlass".to_owned(), "Granted".to_owned()])
        );
        for archive in [None, Some(ArchiveSight { holds: 0, answers: false })] {
            let simulator = asked(glass(), archive);
            assert_eq!(simulator.state(), State::Active);
            assert_eq!(events(&simulator)[0], "Unrecorded", "{archive:?}");
        }
    }

    #[test]
    fn a_start_ahead_waits_for_both() {
        let begin = noon() + SignedDuration::from_secs(600);
        let mut simulator = asked(json!({ "startTime": begin.to_string() }), holds(0));
        simulator.now = begin;
        simulator.settle();
        assert_eq!((simulator.state(), simulator.binds), (State::Scheduled, 0));
        simulator.archive = holds(1);
        simulator.settle();
        assert_eq!(simulator.state(), State::Active);
    }
}
