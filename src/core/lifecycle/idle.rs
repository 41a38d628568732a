//! When a grant ends, or rests, since nobody uses it.
//!
//! Owns from when on it must have been used, and what its policy says of that. What proves that it was not is for
//! `core::activity::idle`. It must not end anything.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::api::conditions::{self, ConditionStatus};
use crate::api::reason::Reason;
use crate::api::request::{AccessRequestStatus, State};
use crate::core::activity::idle::{IdleTerms, Idleness, judge};
use crate::core::decision::snapshot::Snapshot;
use crate::core::lifecycle::happened::Happened;
use crate::core::policies::{Entry, PolicySet};

/// That nobody used a grant for as long as its policy asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unused {
    /// For how long.
    pub timeout: SignedDuration,
    /// From when on.
    pub since: Timestamp,
}

impl Unused {
    /// As what happens to the grant.
    pub fn happened(self) -> Happened {
        Happened::Unused { timeout: self.timeout, since: self.since }
    }
}

/// When a running grant is idle; none while it does not run, and where its policy says nothing of that. What a policy says
/// that is doubted ends nothing.
pub fn terms(status: &AccessRequestStatus, policies: &PolicySet) -> Option<IdleTerms> {
    let decided = status.policy.as_ref()?;
    let timeout = match policies.get(&decided.name)? {
        Entry::Valid(policy) | Entry::Faulty(policy) if policy.reference.uid == decided.uid => policy.idle_timeout?,
        _ => return None,
    };
    Some(IdleTerms { begin: begin(status)?, timeout })
}

/// Since when it could be used without a break. Who has it extended says that it is used.
fn begin(status: &AccessRequestStatus) -> Option<Timestamp> {
    let granted = conditions::find(&status.conditions, conditions::GRANTED)?;
    let runs = status.state == State::Active && granted.status == ConditionStatus::True;
    let extended = status.history.iter().filter(|entry| entry.event == Reason::Extended).map(|entry| entry.at.0).max();
    let bound = granted.last_transition_time.0;
    runs.then(|| extended.map_or(bound, |extended| extended.max(bound)))
}

/// Whether it is proven that nobody used a grant for as long as its policy asks. By a wrong clock nothing is.
pub fn unused(s: &Snapshot<'_>, status: &AccessRequestStatus, now: Timestamp) -> Option<Unused> {
    let heard = s.uses.filter(|_| s.wrong_clock.is_none())?;
    let terms = terms(status, s.policies)?;
    match judge(heard, terms, now) {
        Idleness::Idle { since } => Some(Unused { timeout: terms.timeout, since }),
        Idleness::InUse { .. } | Idleness::Unknown(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::activity::{HeardServer, KnownUse, UseCount};
    use crate::core::activity::idle::{ServersKnown, UsesHeard};
    use crate::core::laws::fixtures::{message_of, namespaces, noon, policy, request};
    use crate::core::laws::simulator::Simulator;
    use crate::core::lifecycle::happened::Rest;
    use crate::core::model::own_clock::WrongClock;

    fn after(minutes: i64) -> Timestamp {
        noon() + SignedDuration::from_mins(minutes)
    }

    /// One API server, heard all the time, and the last use.
    fn heard(now: Timestamp, last: Option<Timestamp>) -> UsesHeard {
        let servers = ["a:1".to_owned()].into();
        let run = HeardServer { server: "a:1".to_owned(), from: after(-600), until: now };
        let used = last.map(|last| KnownUse {
            uid: "u".to_owned(),
            count: UseCount { calls: 1, first: Some(last), last: Some(last), ..UseCount::default() },
            open: 0,
            open_beside: 0,
        });
        UsesHeard { at: now, known: ServersKnown { servers, since: after(-600), until: now }, heard: vec![run], used }
    }

    /// A grant that runs from noon on, under a policy that ends it after ten minutes without use.
    fn granted(asked: Value, spec: Value) -> Simulator {
        let mut spec = spec;
        spec["idleTimeout"] = json!("10m");
        let mut simulator = Simulator::new(request(asked), vec![policy("p", spec)], namespaces(), noon());
        simulator.settle();
        assert_eq!(simulator.state(), State::Active);
        simulator
    }

    fn hears(simulator: &mut Simulator, minutes: i64, last: Option<i64>) {
        simulator.now = after(minutes);
        simulator.uses = Some(heard(after(minutes), last.map(after)));
        simulator.settle();
    }

    #[test]
    fn a_grant_that_nobody_uses_ends_and_one_in_use_goes_on() {
        let mut simulator = granted(json!({}), json!({}));
        hears(&mut simulator, 9, None);
        assert_eq!(simulator.state(), State::Active);
        hears(&mut simulator, 11, Some(8));
        assert_eq!((simulator.state(), simulator.ours()), (State::Active, 1));
        hears(&mut simulator, 20, Some(8));
        assert_eq!((simulator.state(), simulator.ours()), (State::Revoked, 0));
        let status = simulator.status();
        let (last, granted) =
            (status.history.last().unwrap(), conditions::find(&status.conditions, "Granted").unwrap());
        let since = after(8) + SignedDuration::from_secs(10);
        let why = Happened::Unused { timeout: SignedDuration::from_mins(10), since }.to_string();
        assert_eq!((&last.event, &last.by, &granted.reason), (&Reason::Idle.into(), &None, &"Idle".to_owned()));
        assert_eq!(message_of(status.message.clone()), why);
        assert!(simulator.breaches.is_empty(), "{:?}", simulator.breaches);
    }

    #[test]
    fn without_an_answer_or_by_a_wrong_clock_nothing_ends_and_no_answer_makes_it_longer() {
        let mut simulator = granted(json!({}), json!({}));
        simulator.now = after(30);
        simulator.settle();
        assert_eq!(simulator.state(), State::Active);
        // What was heard a while ago.
        simulator.uses = Some(heard(after(20), None));
        simulator.settle();
        assert_eq!(simulator.state(), State::Active);
        simulator.wrong_clock = Some(WrongClock::Ahead);
        hears(&mut simulator, 31, None);
        assert_eq!(simulator.state(), State::Active);
        simulator.wrong_clock = None;
        hears(&mut simulator, 60, Some(60));
        assert_eq!(simulator.state(), State::Expired);
    }

    #[test]
    fn an_extension_counts_as_use_and_a_policy_without_the_field_ends_nothing() {
        let mut simulator = granted(json!({}), json!({}));
        let entry = json!({ "at": after(15).to_string(), "event": "Extended", "message": "so" });
        let mut status = simulator.status();
        status.history.push(serde_json::from_value(entry).unwrap());
        simulator.request.status = Some(status);
        hears(&mut simulator, 20, None);
        assert_eq!(simulator.state(), State::Active);
        let timed = std::mem::replace(&mut simulator.policies, vec![policy("p", json!({}))]);
        hears(&mut simulator, 30, None);
        assert_eq!(simulator.state(), State::Active);
        simulator.policies = timed;
        hears(&mut simulator, 30, None);
        assert_eq!(simulator.state(), State::Revoked);
    }

    #[test]
    fn recurring_access_rests_until_its_next_window() {
        let windows = json!([{ "days": ["Mon", "Tue"], "start": "12:00", "end": "14:00" }]);
        let weekly = json!({ "recurrence": { "timeZone": "UTC", "windows": windows, "weeks": 1 } });
        let mut simulator = granted(weekly, json!({ "recurrence": { "weeks": 4 }, "duration": { "max": "4h" } }));
        hears(&mut simulator, 15, None);
        let tomorrow = after(24 * 60);
        assert_eq!((simulator.state(), simulator.ours()), (State::Suspended, 0));
        let why =
            Rest::Unused { timeout: SignedDuration::from_mins(10), since: after(0), opens: Some(tomorrow) }.to_string();
        assert_eq!(simulator.status().message, Some(why));
        assert_eq!(simulator.status().window.map(|window| window.opens_at.0), Some(tomorrow));
        assert_eq!(simulator.plan().wake, Some(tomorrow));
        // It stays so for the rest of the window, whatever is heard.
        hears(&mut simulator, 60, Some(59));
        assert_eq!(simulator.state(), State::Suspended);
        // It counts anew from when the next one opens.
        hears(&mut simulator, 24 * 60, None);
        assert_eq!((simulator.state(), simulator.ours()), (State::Active, 1));
        hears(&mut simulator, 24 * 60 + 9, None);
        assert_eq!(simulator.state(), State::Active);
        // The last one: it rests to its end.
        hears(&mut simulator, 24 * 60 + 11, None);
        assert_eq!((simulator.state(), simulator.status().window), (State::Suspended, None));
        hears(&mut simulator, 24 * 60 + 12, None);
        assert_eq!(simulator.state(), State::Suspended);
        hears(&mut simulator, 8 * 24 * 60, None);
        assert_eq!(simulator.state(), State::Expired);
        assert!(simulator.breaches.is_empty(), "{:?}", simulator.breaches);
    }
}
