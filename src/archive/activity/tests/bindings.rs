//! What stores keep of the use of bindings that Daypass did not make, tried on both.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{UID, call, mark, start, take, with};
use crate::archive::store::ArchiveStore;
use crate::core::activity::bindings::PRECISION;
use crate::core::activity::told::ToldBindings;

/// A call of somebody that a ClusterRoleBinding of this name allowed.
pub fn call_by(id: &str, user: &str, binding: &str, at: Timestamp) -> Value {
    let reason =
        format!("RBAC: allowed by ClusterRoleBinding \"{binding}\" of ClusterRole \"edit\" to User \"{user}\"");
    let annotations = json!({ "authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": reason });
    with(call(id, UID, at, 0), json!({ "user": { "username": user }, "annotations": annotations }))
}

fn of(told: &ToldBindings) -> Vec<(&str, &str, Timestamp)> {
    told.uses.iter().map(|one| (one.name.as_str(), one.user.as_str(), one.hour)).collect()
}

/// In any order and however often events come.
pub async fn the_last_use_of_each_is_kept(empty: &mut impl AsyncFnMut(&str) -> ArchiveStore) {
    let hour = Timestamp::from_second(start().as_second() / 3600 * 3600).unwrap() - PRECISION;
    let at = |minutes: i64| hour + SignedDuration::from_mins(minutes);
    let events = [
        call_by("one", "alice", "admins", at(1)),
        call_by("two", "alice", "admins", at(-59)),
        call_by("three", "alice", "admins", at(59)),
        call_by("four", "bob", "admins", at(-121)),
        call_by("five", "alice", "devs", at(2)),
        call_by("six", "alice", "system:discovery", at(3)),
        with(call_by("seven", "carol", "devs", at(-1)), json!({ "impersonatedUser": { "username": "bob" } })),
        call("eight", UID, hour, 1),
    ];
    let reversed: Vec<Value> = events.iter().rev().cloned().collect();
    let doubled = [&events[..], &events[..]].concat();
    for (n, (order, size)) in [(&events[..], 8), (&reversed, 1), (&doubled, 3)].into_iter().enumerate() {
        let store = empty(&format!("bindings-{n}")).await;
        for batch in order.chunks(size) {
            take(&store, batch).await;
        }
        let told = store.binding_uses("here").await.unwrap();
        let expected = [
            ("", "carol", at(-60)),
            ("admins", "alice", at(0)),
            ("admins", "bob", at(-180)),
            ("devs", "alice", at(0)),
            ("devs", "bob", at(-60)),
        ];
        assert_eq!(of(&told), expected);
        assert_eq!(told.since, None, "no API server was heard: {told:?}");
        assert_eq!(store.binding_uses("there").await.unwrap().uses, []);
    }
}

/// What was not looked for from the first mark on says nothing, however long API servers were heard.
pub async fn silence_counts_since_uses_are_looked_for(store: &ArchiveStore) {
    let start = start();
    let marks: Vec<Value> = (0..11).flat_map(|n| ["a:1", "b:1"].map(|server| mark(server, start, n * 60))).collect();
    let before = crate::runtime::clock::Clock::wall().now();
    take(store, &marks[..4]).await;
    let after = crate::runtime::clock::Clock::wall().now();
    take(store, &marks[4..]).await;
    let told = store.binding_uses("here").await.unwrap();
    assert!(told.since.is_some_and(|since| before <= since && since <= after), "{before} {after} {told:?}");
    assert_eq!(told.unheard, None);
}
