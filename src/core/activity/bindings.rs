//! When the bindings that Daypass did not make were last used: the API server names for each call the binding that allowed it.
//!
//! Owns which calls count, how fine the time is, and since when it means something that a binding is not named. It must not
//! call a binding unused: what is not a call of its own, such as to act as somebody else, no API server names a binding for.

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::event::ReadEvent;
use super::idle::SKEW;
use super::reason::{Authorized, NamedBinding};
use super::verdict::{GrantTerm, HeardFeed, UnknownUse};

/// How fine the time of a use is: a later use in the same time changes nothing.
pub const PRECISION: SignedDuration = SignedDuration::from_hours(1);

/// That somebody used a binding, or acted as somebody else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BindingUse {
    /// None: a call as somebody else, of which nobody says which binding lets them do so.
    pub by: Option<NamedBinding>,
    /// As whom the call was made; of a call as somebody else, who was logged in.
    pub user: String,
    /// The start of the hour.
    pub hour: Timestamp,
}

impl BindingUse {
    /// The uses that an event shows. A binding of a grant has counts of its own, and nothing is said of what the cluster gives to
    /// everybody.
    pub fn of(event: &ReadEvent) -> impl Iterator<Item = Self> {
        let hour = hour(event.at);
        let deed = &event.deed;
        let named = match &event.authorized {
            Authorized::By(binding) if binding.request().is_none() && !event.authorized.is_for_everybody() => {
                let user = deed.impersonated.as_ref().unwrap_or(&deed.user).clone();
                Some(Self { by: Some(binding.clone()), user, hour })
            }
            _ => None,
        };
        let acted = deed.impersonated.as_ref().map(|_| Self { by: None, user: deed.user.clone(), hour });
        named.into_iter().chain(acted)
    }
}

/// The start of the hour that a time is in.
fn hour(at: Timestamp) -> Timestamp {
    let seconds = at.as_second() - at.as_second().rem_euclid(PRECISION.as_secs());
    Timestamp::from_second(seconds).unwrap_or(at)
}

impl HeardFeed {
    /// Since when every API server was heard, without a gap until now.
    ///
    /// # Errors
    /// Why none is.
    pub fn since(&self, now: Timestamp) -> Result<Timestamp, UnknownUse> {
        let mut begins: Vec<Timestamp> =
            self.runs.values().flatten().filter_map(|run| run.from.checked_add(SKEW).ok()).collect();
        begins.sort();
        let mut none = UnknownUse::ServersUnknown;
        for from in begins {
            match self.all_of(Some(GrantTerm { from, end: None }), now) {
                Ok(()) => return Ok(from),
                Err(why) => none = why,
            }
        }
        Err(none)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::alive::HeardRun;
    use super::super::event::read;
    use super::*;
    use crate::api::request::BindingKind;

    const UID: &str = "0f0e2d1c-3b4a-4958-8776-655443322110";

    fn uses(binding: &str, decision: &str, acting_as: Option<&str>) -> Vec<(Option<String>, String)> {
        let reason = format!("RBAC: allowed by ClusterRoleBinding \"{binding}\" of ClusterRole \"edit\" to User \"a\"");
        let event = json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "one", "stage": "ResponseComplete",
            "verb": "list", "requestURI": "/api/v1/pods", "stageTimestamp": "2026-11-30T12:59:59.5Z",
            "user": { "username": "alice" }, "impersonatedUser": acting_as.map(|name| json!({ "username": name })),
            "objectRef": { "resource": "pods" },
            "annotations": { "authorization.k8s.io/decision": decision, "authorization.k8s.io/reason": reason },
        });
        let event = read(&event.to_string()).unwrap();
        let found = BindingUse::of(&event);
        let name = |binding: NamedBinding| {
            assert_eq!(binding.kind, BindingKind::ClusterRoleBinding);
            binding.name
        };
        let found = found.map(|one| {
            assert_eq!(one.hour, "2026-11-30T12:00:00Z".parse().unwrap());
            (one.by.map(name), one.user)
        });
        found.collect()
    }

    #[test]
    fn a_call_is_a_use_of_the_binding_that_is_named_alone() {
        let alice = |binding: Option<&str>| (binding.map(str::to_owned), "alice".to_owned());
        assert_eq!(uses("admins", "allow", None), [alice(Some("admins"))]);
        for (binding, decision) in
            [("admins", "forbid"), ("system:discovery", "allow"), (&format!("daypass-{UID}"), "allow")]
        {
            assert_eq!(uses(binding, decision, None), [], "{binding} {decision}");
        }
        let of_bob = (Some("admins".to_owned()), "bob".to_owned());
        assert_eq!(uses("admins", "allow", Some("bob")), [of_bob, alice(None)]);
        assert_eq!(uses("admins", "forbid", Some("bob")), [alice(None)]);
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn silence_means_something_since_all_were_heard_without_a_gap() {
        let run = |from, until| HeardRun { from: at(from), until: at(until) };
        let feed = |a: &[HeardRun], b: &[HeardRun], servers: u32| HeardFeed {
            runs: [("a".to_owned(), a.to_vec()), ("b".to_owned(), b.to_vec())].into(),
            fleet: [(servers, vec![run(0, 9000)])].into(),
        };
        let whole = run(0, 9000);
        assert_eq!(feed(&[whole], &[run(100, 9000)], 2).since(at(9000)), Ok(at(110)));
        assert_eq!(feed(&[run(0, 4000), run(5000, 9000)], &[whole], 2).since(at(9000)), Ok(at(5010)));
        assert_eq!(feed(&[whole], &[whole], 2).since(at(9071)), Err(UnknownUse::Silence { heard: 0, servers: 2 }));
        assert_eq!(feed(&[whole], &[], 2).since(at(9000)), Err(UnknownUse::Silence { heard: 1, servers: 2 }));
        let mut third = feed(&[whole], &[whole], 2);
        third.runs.insert("c".to_owned(), vec![run(50, 9000)]);
        assert_eq!(third.since(at(9000)), Ok(at(10)), "the first of them counts");
        assert_eq!(HeardFeed::default().since(at(9000)), Err(UnknownUse::ServersUnknown));
    }
}
