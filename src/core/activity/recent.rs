//! Calls of the last minutes beside which there may have been a grant that no record has told of yet.
//!
//! Records and audit events come by ways of their own, so calls beside a grant may come before its first record; without these
//! calls it would look unused. Owns which calls are kept, how many, and for how long. It must not judge them, which
//! [`beside`](super::beside) does.

use std::collections::{BTreeMap, VecDeque};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::beside::may_be_beside;
use super::event::ReadEvent;

/// For how long a call is kept after it came: longer than records are on their way.
const KEPT: SignedDuration = SignedDuration::from_mins(10);
/// Most calls of one user: a program that calls all the time must not push out those of people.
const MOST_OF_USER: usize = 200;
/// Most calls, of which each takes less than a kilobyte.
const MOST: usize = 20_000;

/// Calls of the last minutes in one cluster.
#[derive(Clone, Debug, Default)]
pub struct RecentCalls {
    /// In the order that they came in, each with when.
    calls: VecDeque<(Timestamp, ReadEvent)>,
    /// How many there are of whom.
    of_users: BTreeMap<String, usize>,
}

impl RecentCalls {
    /// Keeps an event that came now, if it counts, and lets go what is old.
    pub fn keep(&mut self, event: &ReadEvent, now: Timestamp) {
        while self.calls.len() >= MOST || self.calls.front().is_some_and(|(came, _)| now.duration_since(*came) > KEPT) {
            self.drop_first();
        }
        let count = self.of_users.get(event.deed.actor()).copied().unwrap_or_default();
        if may_be_beside(event) && count < MOST_OF_USER {
            self.of_users.insert(event.deed.actor().to_owned(), count + 1);
            self.calls.push_back((now, event.without_text()));
        }
    }

    fn drop_first(&mut self) {
        let Some((_, event)) = self.calls.pop_front() else { return };
        let user = event.deed.actor();
        if let Some(count) = self.of_users.get_mut(user) {
            *count -= 1;
            if *count == 0 {
                self.of_users.remove(user);
            }
        }
    }

    /// Those that are kept, in the order that they came in.
    pub fn calls(&self) -> impl Iterator<Item = &ReadEvent> {
        self.calls.iter().map(|(_, event)| event)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::core::activity::event::read;
    use crate::core::laws::fixtures::noon;

    fn call(id: usize, user: &str, binding: &str) -> ReadEvent {
        let reason = format!("RBAC: allowed by ClusterRoleBinding \"{binding}\" of ClusterRole \"view\" to User \"x\"");
        let event = json!({
            "kind": "Event", "auditID": id.to_string(), "stage": "ResponseComplete", "verb": "list",
            "stageTimestamp": noon(), "user": { "username": user },
            "annotations": { "authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": reason },
        });
        read(&event.to_string()).unwrap()
    }

    #[test]
    fn a_few_calls_of_each_user_are_kept_for_a_few_minutes() {
        let mut recent = RecentCalls::default();
        let users = |recent: &RecentCalls| -> Vec<String> {
            let mut users: Vec<String> = recent.calls().map(|event| event.deed.user.clone()).collect();
            users.dedup();
            users
        };
        recent.keep(&call(0, "alice", "system:discovery"), noon());
        assert_eq!(users(&recent), [""; 0], "what everybody has says nothing of a grant");
        (0..MOST_OF_USER + 50).for_each(|id| recent.keep(&call(id, "robot", "robots"), noon()));
        recent.keep(&call(9999, "alice", "devs"), noon() + KEPT);
        assert_eq!((recent.calls().count(), users(&recent)), (MOST_OF_USER + 1, vec!["robot".into(), "alice".into()]));
        let later = noon() + KEPT + SignedDuration::from_secs(1);
        recent.keep(&call(1, "robot", "robots"), later);
        assert_eq!(users(&recent), ["alice", "robot"], "those of before are let go, and there is room again");
        for n in 0..=MOST / MOST_OF_USER {
            (0..MOST_OF_USER).for_each(|id| recent.keep(&call(id, &format!("user-{n}"), "devs"), later));
        }
        assert_eq!(recent.calls().count(), MOST);
        assert!(!users(&recent).contains(&"alice".to_owned()), "the oldest make room");
        assert_eq!(recent.of_users.values().sum::<usize>(), MOST);
    }
}
