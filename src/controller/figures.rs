//! What `/metrics` says of requests and grants, derived in one place: from the stores when it is asked for, and from
//! the old and the new status when one is stored. Changes nothing.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::runtime::reflector::ObjectRef;
use tokio::time::Instant;

use super::context::{ACCESS_REQUESTS, Context};
use super::error::Error;
use super::kept::{KeptRequest, reference};
use crate::api::reason::Reason;
use crate::api::request::{AccessRequest, AccessRequestStatus, State};
use crate::runtime::gate::Leadership;
use crate::runtime::metrics::{Counted, Metrics};

const STATES: [State; 10] = [
    State::Pending,
    State::Scheduled,
    State::Active,
    State::Denied,
    State::Expired,
    State::Revoked,
    State::Lapsed,
    State::Failed,
    State::Extended,
    State::Suspended,
];

/// What history is made of, as far as somebody may want to alert on the first of it.
const SHOWN_AS_ZERO: [Reason; 13] = [
    Reason::Approved,
    Reason::Granted,
    Reason::Extended,
    Reason::Denied,
    Reason::Lapsed,
    Reason::Expired,
    Reason::Revoked,
    Reason::Failed,
    Reason::Escalated,
    Reason::BreakGlass,
    Reason::ReviewOverdue,
    Reason::Unjustified,
    Reason::BindingRestored,
];

/// Tells [`Metrics`] what happens to requests.
///
/// How long a grant takes is measured for requests that this replica saw arrive while it led and that waited for
/// nobody: no approver, no guard, no policy that could not be read. It begins when the watch brought the request, since
/// the API server notes its creation to the second only; for one with a start ahead, when that start was due. It ends
/// when the last binding has been made.
pub struct Figures {
    /// Where they are shown.
    pub metrics: Metrics,
    leadership: Leadership,
    /// Since when requests have been waiting for nobody but this process.
    waits: Mutex<HashMap<ObjectRef<KeptRequest>, Timestamp>>,
}

/// On what occasion a status is stored.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// When the pass began.
    pub began: Instant,
    /// When the request is looked at again.
    pub wake: Option<Timestamp>,
}

impl Figures {
    /// Nothing has happened yet.
    pub fn new(metrics: Metrics, leadership: Leadership) -> Self {
        metrics.may_decide(SHOWN_AS_ZERO.map(Reason::as_str));
        metrics.may_fail(Error::KINDS);
        Self { metrics, leadership, waits: Mutex::default() }
    }

    /// A watch has brought a request.
    pub fn came(&self, request: &AccessRequest, now: Timestamp) {
        if request.status.is_none() && self.leadership.holds() {
            self.waits().entry(reference(request)).or_insert(now);
        }
    }

    /// A request is gone.
    pub fn forget(&self, request: &ObjectRef<KeptRequest>) {
        self.waits().remove(request);
    }

    /// A status has been stored over the one that `request` has.
    pub fn recorded(&self, request: &AccessRequest, new: &AccessRequestStatus, look: Look, now: Timestamp) {
        let nothing = AccessRequestStatus::default();
        let old = request.status.as_ref().unwrap_or(&nothing);
        for entry in new.history.iter().skip(old.history.len()) {
            self.metrics.decided(entry.event.as_str());
            let end = old.next_end().filter(|_| old.granted_at.is_some());
            match (end, entry.event.known()) {
                (Some(end), Some(Reason::Expired | Reason::Suspended)) if end <= now => {
                    self.metrics.ended(between(end, now));
                }
                (Some(_), Some(Reason::Revoked)) => self.metrics.revoked(look.began.elapsed()),
                _ => {}
            }
        }
        let mut waits = self.waits();
        match new.state {
            State::Active => {
                let since = waits.remove(&reference(request));
                since.into_iter().for_each(|since| self.metrics.granted(between(since, now)));
            }
            // The binding follows in the same pass.
            State::Scheduled if new.granted_at.is_some() => {}
            State::Scheduled => {
                if let (Some(since), Some(start)) = (waits.get_mut(&reference(request)), look.wake) {
                    *since = start;
                }
            }
            _ => {
                waits.remove(&reference(request));
            }
        }
    }

    fn waits(&self) -> std::sync::MutexGuard<'_, HashMap<ObjectRef<KeptRequest>, Timestamp>> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn between(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}

/// What the stores and the queues have now. Requests that cannot be decoded are in no state.
pub fn count(context: &Context) -> Counted {
    let mut requests = STATES.map(|state| (state.as_str(), 0));
    for glance in context.requests.state().iter().filter_map(|kept| kept.glance.as_ref()) {
        requests[index(glance.state)].1 += 1;
    }
    Counted {
        leads: context.writer.figures.leadership.holds(),
        live_grants: requests[index(State::Active)].1,
        requests: requests.to_vec(),
        overdue_grants: overdue(context),
        queue_depth: context.queues.depth(),
    }
}

fn index(state: State) -> usize {
    match state {
        State::Pending => 0,
        State::Scheduled => 1,
        State::Active => 2,
        State::Denied => 3,
        State::Expired => 4,
        State::Revoked => 5,
        State::Lapsed => 6,
        State::Failed => 7,
        State::Extended => 8,
        State::Suspended => 9,
    }
}

/// How many requests are past their end, or over, or gone, and have a binding.
fn overdue(context: &Context) -> usize {
    // Before the requests are known, every binding would seem to have none.
    if !context.has_listed(&[ACCESS_REQUESTS]) {
        return 0;
    }
    let now = context.clock.now();
    let may_stay = |uid: &str| {
        let stored = context.by_uid.get(uid).and_then(|reference| context.requests.get(&reference));
        let glance = stored.as_ref().and_then(|kept| kept.glance.as_ref());
        glance.is_some_and(|glance| !glance.state.is_final() && glance.ends.is_none_or(|end| end > now))
    };
    let (roles, cluster_roles) = (context.role_bindings.state(), context.cluster_role_bindings.state());
    let owners = roles.iter().map(|kept| &kept.glance).chain(cluster_roles.iter().map(|kept| &kept.glance));
    let owners: HashSet<&str> = owners.map(|owner| owner.as_deref().unwrap_or_default()).collect();
    owners.into_iter().filter(|uid| !may_stay(uid)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::history;
    use crate::runtime::gate::seat;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use k8s_openapi::jiff::SignedDuration;

    const SECOND: SignedDuration = SignedDuration::from_secs(1);

    fn noon() -> Timestamp {
        "2026-11-24T12:00:00Z".parse().unwrap()
    }

    /// A request on its way through its states.
    struct Story {
        figures: Figures,
        request: AccessRequest,
    }

    impl Story {
        fn new(leads: bool) -> Self {
            let (seat, leadership) = seat();
            if leads {
                seat.take_for_good();
            }
            let request = serde_json::json!({
                "apiVersion": "daypass.dev/v1alpha1", "kind": "AccessRequest",
                "metadata": { "name": "fix", "namespace": "shop" },
                "spec": { "role": { "name": "edit" }, "reason": "a test" }
            });
            let request = serde_json::from_value(request).unwrap();
            let story = Self { figures: Figures::new(Metrics::default(), leadership), request };
            story.figures.came(&story.request, noon());
            story
        }

        fn becomes(&mut self, state: State, reason: Option<Reason>, wake: Option<Timestamp>, now: Timestamp) {
            let mut status = self.request.status.clone().unwrap_or_default();
            status.state = state;
            if let Some(reason) = reason {
                history::add(&mut status.history, now, reason, None, "so");
            }
            if state == State::Scheduled && wake.is_none() {
                (status.granted_at, status.expires_at) = (Some(Time(now)), Some(Time(noon() + SECOND * 60)));
            }
            let look = Look { began: Instant::now(), wake };
            self.figures.recorded(&self.request, &status, look, now);
            self.request.status = Some(status);
        }

        fn said(&self, figure: &str) -> String {
            let text = self.figures.metrics.text().unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(' '));
            line.unwrap_or_else(|| panic!("{figure} is not in {text}")).to_owned()
        }
    }

    #[test]
    fn a_grant_at_once_and_its_end() {
        let mut story = Story::new(true);
        story.becomes(State::Scheduled, None, None, noon() + SECOND);
        story.becomes(State::Active, Some(Reason::Granted), None, noon() + SECOND * 2);
        assert_eq!(story.said("daypass_grant_seconds_sum"), "2.0");
        assert_eq!(story.said("daypass_grant_seconds_count"), "1");
        // A status that is stored again while it runs is no other grant.
        story.becomes(State::Active, Some(Reason::BindingRestored), None, noon() + SECOND * 30);
        story.becomes(State::Expired, Some(Reason::Expired), None, noon() + SECOND * 63);
        assert_eq!(story.said("daypass_grant_seconds_count"), "1");
        assert_eq!(story.said("daypass_revoke_lateness_seconds_sum"), "3.0");
        assert_eq!(story.said("daypass_revoke_seconds_count"), "0");
        for reason in ["Granted", "BindingRestored", "Expired"] {
            assert_eq!(story.said(&format!("daypass_decisions_total{{reason=\"{reason}\"}}")), "1", "{reason}");
        }
        assert_eq!(story.said(r#"daypass_decisions_total{reason="Denied"}"#), "0");
    }

    #[test]
    fn a_start_that_lies_ahead_counts_from_when_it_is_due() {
        let mut story = Story::new(true);
        story.becomes(State::Scheduled, Some(Reason::Approved), Some(noon() + SECOND * 20), noon());
        story.becomes(State::Scheduled, None, None, noon() + SECOND * 21);
        story.becomes(State::Active, Some(Reason::Granted), None, noon() + SECOND * 24);
        assert_eq!(story.said("daypass_grant_seconds_sum"), "4.0");
    }

    #[test]
    fn waiting_for_people_is_not_measured() {
        let mut story = Story::new(true);
        story.becomes(State::Pending, Some(Reason::ApprovalNeeded), None, noon());
        story.becomes(State::Scheduled, Some(Reason::Approved), Some(noon() + SECOND * 20), noon() + SECOND * 9);
        story.becomes(State::Scheduled, None, None, noon() + SECOND * 20);
        story.becomes(State::Active, Some(Reason::Granted), None, noon() + SECOND * 21);
        assert_eq!(story.said("daypass_grant_seconds_count"), "0");
    }

    #[test]
    fn what_came_while_another_led_is_not_measured() {
        let mut story = Story::new(false);
        story.becomes(State::Scheduled, None, None, noon() + SECOND);
        story.becomes(State::Active, Some(Reason::Granted), None, noon() + SECOND * 2);
        assert_eq!(story.said("daypass_grant_seconds_count"), "0");
    }

    #[test]
    fn an_early_end_is_measured_only_where_something_was_granted() {
        let mut story = Story::new(true);
        story.becomes(State::Scheduled, None, None, noon());
        story.becomes(State::Revoked, Some(Reason::Revoked), None, noon() + SECOND);
        assert_eq!(story.said("daypass_revoke_seconds_count"), "1");
        assert_eq!(story.said("daypass_revoke_lateness_seconds_count"), "0");
        let mut story = Story::new(true);
        story.becomes(State::Revoked, Some(Reason::Revoked), None, noon());
        assert_eq!(story.said("daypass_revoke_seconds_count"), "0");
    }

    #[test]
    fn every_state_is_counted_in_its_own_place() {
        for (place, state) in STATES.into_iter().enumerate() {
            assert_eq!(index(state), place, "{state:?}");
        }
    }
}
