//! What `/metrics` counts of requests and grants as they change, derived in one place: from the old and the new status
//! when one is stored.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use tokio::time::Instant;

use crate::api::reason::Reason;
use crate::api::request::{AccessRequest, AccessRequestStatus, State};
use crate::api::word::Vocabulary;
use crate::controller::error::Error;
use crate::controller::stores::packed::{PackedRequest, reference};
use crate::core::lifecycle::expiry::has_come;
use crate::core::report::stage_waits::{StageEnd, since};
use crate::runtime::gate::Leadership;
use crate::runtime::metrics::Metrics;
use crate::runtime::metrics::stages::StageOutcome;

/// Whether somebody may want to alert on the first of it in a history: it is shown as zero before it happens.
fn shown_as_zero(reason: Reason) -> bool {
    // Without a wildcard, so that whoever adds a reason has to say.
    match reason {
        Reason::Approved
        | Reason::BindingRestored
        | Reason::BreakGlass
        | Reason::Denied
        | Reason::Escalated
        | Reason::Expired
        | Reason::Extended
        | Reason::Failed
        | Reason::Granted
        | Reason::Idle
        | Reason::Lapsed
        | Reason::ReviewOverdue
        | Reason::Revoked
        | Reason::Unjustified
        | Reason::Unrecorded => true,
        Reason::ApprovalNeeded
        | Reason::AwaitingRecord
        | Reason::Binding
        | Reason::ClockWrong
        | Reason::Extending
        | Reason::FreezeAhead
        | Reason::Frozen
        | Reason::GuardMissing
        | Reason::HistoryFull
        | Reason::Justified
        | Reason::PolicyChanged
        | Reason::PolicyNotReady
        | Reason::Resumed
        | Reason::ReviewIgnored
        | Reason::ReviewOpen
        | Reason::ReviewWithdrawn
        | Reason::Reviewed
        | Reason::RoleChanged
        | Reason::RightUnknown
        | Reason::RoleUnusable
        | Reason::Suspended
        | Reason::WaitingForStart
        | Reason::WrittenInGap => false,
    }
}

/// Tells [`Metrics`] what happens to requests.
///
/// How long a grant takes is measured for requests that this replica saw arrive while it led and that waited for
/// nobody: no approver, no guard, no policy that could not be read. It begins when the watch brought the request, since
/// the API server notes its creation to the second only; for one with a start ahead, when that start was due. It ends
/// when the last binding has been made.
pub struct TransitionMetrics {
    /// Where they are shown.
    pub shown: Metrics,
    leadership: Leadership,
    /// Since when requests have been waiting for nobody but this process.
    waits: Mutex<HashMap<ObjectRef<PackedRequest>, Timestamp>>,
}

/// On what occasion a status is stored.
#[derive(Clone, Copy, Debug)]
pub struct PassInfo {
    /// When the pass began.
    pub began: Instant,
    /// When the request is looked at again.
    pub wake: Option<Timestamp>,
    /// When its bindings were gone, if they were before the pass.
    pub unbound_at: Option<Timestamp>,
}

impl TransitionMetrics {
    /// Nothing has happened yet.
    pub fn new(metrics: Metrics, leadership: Leadership) -> Self {
        metrics.may_decide(Reason::ALL.iter().filter(|reason| shown_as_zero(**reason)).map(|reason| reason.as_str()));
        metrics.may_fail(Error::KINDS);
        Self { shown: metrics, leadership, waits: Mutex::default() }
    }

    /// Whether this replica leads.
    pub fn leads(&self) -> bool {
        self.leadership.holds()
    }

    /// A watch has brought a request.
    pub fn came(&self, request: &AccessRequest, now: Timestamp) {
        if request.status.is_none() && self.leadership.holds() {
            self.waits().entry(reference(request)).or_insert(now);
        }
    }

    /// A request is gone.
    pub fn forget(&self, request: &ObjectRef<PackedRequest>) {
        self.waits().remove(request);
    }

    /// A status has been stored over the one that `request` has.
    pub fn recorded(&self, request: &AccessRequest, new: &AccessRequestStatus, pass: PassInfo, now: Timestamp) {
        let nothing = AccessRequestStatus::default();
        let old = request.status.as_ref().unwrap_or(&nothing);
        for entry in new.history.iter().skip(old.history.len()) {
            self.shown.decided(entry.event.as_str());
            let end = old.next_end().filter(|_| old.granted_at.is_some());
            match (end, entry.event.known()) {
                (Some(end), Some(Reason::Expired | Reason::Suspended)) if has_come(end, now) => {
                    self.shown.ended(between(end, pass.unbound_at.unwrap_or(now)));
                }
                (Some(_), Some(Reason::Revoked)) => self.shown.revoked(pass.began.elapsed()),
                _ => {}
            }
        }
        self.tell_stages(new, old.history.len());
        let mut waits = self.waits();
        match new.state {
            State::Active => {
                let since = waits.remove(&reference(request));
                since.into_iter().for_each(|since| self.shown.granted(between(since, now)));
            }
            // The binding follows in the same pass.
            State::Scheduled if new.granted_at.is_some() => {}
            State::Scheduled => {
                if let (Some(since), Some(start)) = (waits.get_mut(&reference(request)), pass.wake) {
                    *since = start;
                }
            }
            _ => {
                waits.remove(&reference(request));
            }
        }
    }

    /// The stages that what is new in a history opens and decides, as `report decisions` reads it.
    fn tell_stages(&self, new: &AccessRequestStatus, before: usize) {
        if new.history.len() == before {
            return;
        }
        let news = since(&new.history, before);
        news.opened.iter().for_each(|run| self.shown.stages.opened(&run.policy, &run.stage));
        for run in news.closed {
            if let Some((end, waited)) = run.waited()
                && let Some(outcome) = outcome(end)
            {
                self.shown.stages.decided(&run.policy, &run.stage, outcome, waited.try_into().unwrap_or_default());
            }
        }
    }

    fn waits(&self) -> std::sync::MutexGuard<'_, HashMap<ObjectRef<PackedRequest>, Timestamp>> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was decided; none where nobody decided, since the request was taken back or began anew.
fn outcome(end: StageEnd) -> Option<StageOutcome> {
    match end {
        StageEnd::Approved => Some(StageOutcome::Approved),
        StageEnd::Denied => Some(StageOutcome::Denied),
        StageEnd::Lapsed => Some(StageOutcome::Lapsed),
        StageEnd::Withdrawn | StageEnd::Replaced => None,
    }
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::history;
    use crate::runtime::gate::seat;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::SignedDuration;
    use serde_json::json;

    const SECOND: SignedDuration = SignedDuration::from_secs(1);

    fn noon() -> Timestamp {
        "2026-11-24T12:00:00Z".parse().unwrap()
    }

    /// A request on its way through its states.
    struct Story {
        figures: TransitionMetrics,
        request: AccessRequest,
    }

    impl Story {
        fn new(leads: bool) -> Self {
            let (seat, leadership) = seat();
            if leads {
                seat.take_for_good();
            }
            let request = json!({
                "apiVersion": "daypass.dev/v1alpha1", "kind": "AccessRequest",
                "metadata": { "name": "fix", "namespace": "shop" },
                "spec": { "role": { "name": "edit" }, "reason": "a test" }
            });
            let request = serde_json::from_value(request).unwrap();
            let story = Self { figures: TransitionMetrics::new(Metrics::default(), leadership), request };
            story.figures.came(&story.request, noon());
            story
        }

        fn becomes(&mut self, state: State, reason: Option<Reason>, wake: Option<Timestamp>, now: Timestamp) {
            let mut status = self.request.status.clone().unwrap_or_default();
            status.state = state;
            if let Some(reason) = reason {
                history::add(&mut status.history, now, reason, None, &"so");
            }
            if state == State::Scheduled && wake.is_none() {
                (status.granted_at, status.expires_at) = (Some(Time(now)), Some(Time(noon() + SECOND * 60)));
            }
            let pass = PassInfo { began: Instant::now(), wake, unbound_at: None };
            self.figures.recorded(&self.request, &status, pass, now);
            self.request.status = Some(status);
        }

        /// A stage is open, under policy `shop`.
        fn becomes_in_stage(&mut self, stage: &str, now: Timestamp) {
            let mut status = self.request.status.clone().unwrap_or_default();
            history::add_of_stage(&mut status.history, now, Reason::ApprovalNeeded, stage, &"so");
            let facts = json!({ "policy": { "name": "shop", "uid": "p", "generation": 1 } });
            status.history.last_mut().unwrap().facts = serde_json::from_value(facts).unwrap();
            let pass = PassInfo { began: Instant::now(), wake: None, unbound_at: None };
            self.figures.recorded(&self.request, &status, pass, now);
            self.request.status = Some(status);
        }

        fn answer(&self, figure: &str) -> String {
            let text = self.figures.shown.text().unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("{figure} is not in {text}")).to_owned()
        }
    }

    #[test]
    fn a_grant_at_once_and_its_end() {
        let mut story = Story::new(true);
        story.becomes(State::Scheduled, None, None, noon() + SECOND);
        story.becomes(State::Active, Some(Reason::Granted), None, noon() + SECOND * 2);
        assert_eq!(story.answer("daypass_grant_seconds_sum"), "2.0");
        assert_eq!(story.answer("daypass_grant_seconds_count"), "1");
        // A status that is stored again while it runs is no other grant.
        story.becomes(State::Active, Some(Reason::BindingRestored), None, noon() + SECOND * 30);
        story.becomes(State::Expired, Some(Reason::Expired), None, noon() + SECOND * 63);
        assert_eq!(story.answer("daypass_grant_seconds_count"), "1");
        assert_eq!(story.answer("daypass_revoke_lateness_seconds_sum"), "3.0");
        assert_eq!(story.answer("daypass_revoke_seconds_count"), "0");
        for reason in ["Granted", "BindingRestored", "Expired"] {
            assert_eq!(story.answer(&format!("daypass_decisions_total{{reason=\"{reason}\"}}")), "1", "{reason}");
        }
        assert_eq!(story.answer(r#"daypass_decisions_total{reason="Denied"}"#), "0");
    }

    #[test]
    fn a_start_that_lies_ahead_counts_from_when_it_is_due() {
        let mut story = Story::new(true);
        story.becomes(State::Scheduled, Some(Reason::Approved), Some(noon() + SECOND * 20), noon());
        story.becomes(State::Scheduled, None, None, noon() + SECOND * 21);
        story.becomes(State::Active, Some(Reason::Granted), None, noon() + SECOND * 24);
        assert_eq!(story.answer("daypass_grant_seconds_sum"), "4.0");
    }

    #[test]
    fn waiting_for_people_is_not_measured() {
        let mut story = Story::new(true);
        story.becomes(State::Pending, Some(Reason::ApprovalNeeded), None, noon());
        story.becomes(State::Scheduled, Some(Reason::Approved), Some(noon() + SECOND * 20), noon() + SECOND * 9);
        story.becomes(State::Scheduled, None, None, noon() + SECOND * 20);
        story.becomes(State::Active, Some(Reason::Granted), None, noon() + SECOND * 21);
        assert_eq!(story.answer("daypass_grant_seconds_count"), "0");
    }

    /// What a status says of its history, stored entry by entry as passes do; each stage is told at the write that decides it.
    #[test]
    fn a_stage_is_told_once_at_the_write_that_decides_it() {
        let mut story = Story::new(true);
        let count = |story: &Story, labels: &str| {
            let name = format!("daypass_stage_decision_seconds_count{{policy=\"shop\",{labels}}} ");
            let text = story.figures.shown.text().unwrap();
            text.lines().find_map(|line| line.strip_prefix(&name)?.parse::<u64>().ok())
        };
        let (leads, sre) = (r#"stage="leads",outcome="approved""#, r#"stage="sre",outcome="denied""#);
        story.becomes_in_stage("leads", noon());
        story.becomes(State::Pending, Some(Reason::Reviewed), None, noon() + SECOND * 5);
        assert_eq!((count(&story, leads), count(&story, sre)), (Some(0), None));
        story.becomes_in_stage("sre", noon() + SECOND * 90);
        assert_eq!((count(&story, leads), count(&story, sre)), (Some(1), Some(0)));
        assert_eq!(
            story.answer(r#"daypass_stage_decision_seconds_sum{policy="shop",stage="leads",outcome="approved"}"#),
            "90.0"
        );
        story.becomes(State::Pending, None, None, noon() + SECOND * 91);
        story.becomes(State::Denied, Some(Reason::Denied), None, noon() + SECOND * 100);
        story.becomes(State::Denied, None, None, noon() + SECOND * 101);
        assert_eq!((count(&story, leads), count(&story, sre)), (Some(1), Some(1)));

        let mut taken_back = Story::new(true);
        taken_back.becomes_in_stage("leads", noon());
        taken_back.becomes(State::Revoked, Some(Reason::Revoked), None, noon() + SECOND);
        for outcome in ["approved", "denied", "lapsed"] {
            let labels = format!("stage=\"leads\",outcome=\"{outcome}\"");
            assert_eq!(count(&taken_back, &labels), Some(0), "{outcome}");
        }
    }

    /// A replica that takes over counts from its first write on.
    #[test]
    fn what_another_replica_has_recorded_is_not_told_again() {
        let mut story = Story::new(true);
        story.becomes_in_stage("leads", noon());
        story.becomes(State::Scheduled, Some(Reason::Approved), Some(noon() + SECOND * 20), noon() + SECOND * 9);
        let mut next = Story::new(true);
        next.request = story.request.clone();
        next.becomes(State::Scheduled, None, None, noon() + SECOND * 20);
        next.becomes(State::Active, Some(Reason::Granted), None, noon() + SECOND * 21);
        next.becomes(State::Expired, Some(Reason::Expired), None, noon() + SECOND * 63);
        assert!(!next.figures.shown.text().unwrap().contains("daypass_stage_decision_seconds_count"));
    }

    #[test]
    fn what_came_while_another_led_is_not_measured() {
        let mut story = Story::new(false);
        story.becomes(State::Scheduled, None, None, noon() + SECOND);
        story.becomes(State::Active, Some(Reason::Granted), None, noon() + SECOND * 2);
        assert_eq!(story.answer("daypass_grant_seconds_count"), "0");
    }

    #[test]
    fn an_early_end_is_measured_only_where_something_was_granted() {
        let mut story = Story::new(true);
        story.becomes(State::Scheduled, None, None, noon());
        story.becomes(State::Revoked, Some(Reason::Revoked), None, noon() + SECOND);
        assert_eq!(story.answer("daypass_revoke_seconds_count"), "1");
        assert_eq!(story.answer("daypass_revoke_lateness_seconds_count"), "0");
        let mut story = Story::new(true);
        story.becomes(State::Revoked, Some(Reason::Revoked), None, noon());
        assert_eq!(story.answer("daypass_revoke_seconds_count"), "0");
    }
}
