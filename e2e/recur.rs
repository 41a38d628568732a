//! Access that comes back every week, and access that rests while its role is another.

use std::sync::Arc;

use daypass::api::{AccessRequest, RoleKind, RoleName, State};
use daypass::core::decision::shortfall::Shortfall;
use daypass::core::lifecycle::end::ASK_ANEW;
use daypass::core::lifecycle::happened::{Happened, Rest};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::cast::{assert_says, falls_short, why_over};
use crate::harness::users::{ADMIN, ALICE, BOB, CAROL, EVE};
use crate::harness::wait::now;
use crate::harness::windows::{WITHIN, in_state, recurrence};
use crate::harness::{Cluster, eventually, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("recur::the_role_is_bound_in_each_window_and_not_between", bound_in_each_window),
        shared("recur::what_an_approver_ends_between_two_windows_never_opens_again", ended_between_windows),
        shared("recur::what_a_policy_does_not_allow_is_denied", not_allowed),
        shared("recur::access_rests_while_its_role_is_another", rests_while_its_role_is_another),
    ]
}

async fn bound_in_each_window(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("recur").await;
    cluster.allow(&namespace, &namespace, json!({ "recurrence": { "weeks": 4 } })).await;
    let minute = |n: i64| Timestamp::from_second((now().as_second() / 60 + n) * 60).unwrap();
    // Time to be granted in the first one, and no more.
    let length = if now().as_second() % 60 < 45 { 1 } else { 2 };
    let (first, second) = ((minute(0), minute(length)), (minute(length + 1), minute(length + 11)));
    cluster.ask(ALICE, &namespace, "weekly", json!({ "recurrence": recurrence(&[first, second], 2) })).await;
    let alice = cluster.kubectl(ALICE);
    let active = in_state(&cluster, &namespace, "weekly", State::Active).await;
    assert!(alice.can_i("create", "pods", Some(&namespace)).await);
    let status = active.status.clone().unwrap();
    assert_eq!(status.window.as_ref().unwrap().closes_at.0, first.1);
    let end = status.expires_at.unwrap().0;
    assert_eq!(end.duration_since(status.granted_at.unwrap().0), SignedDuration::from_hours(2 * 7 * 24));

    let rests = in_state(&cluster, &namespace, "weekly", State::Suspended).await;
    let seen = now();
    assert!(first.1 <= seen && seen < second.0, "the window is {first:?}, and it is {seen}");
    assert!(
        !alice.can_i("create", "pods", Some(&namespace)).await && cluster.our_bindings(&namespace).await.is_empty()
    );
    let window = eventually("the next window is on record", WITHIN, async || {
        let status = cluster.requests(&namespace).await.get("weekly").await.unwrap().status.unwrap();
        status.window.ok_or_else(|| "it is not".to_owned())
    })
    .await;
    assert_eq!((window.opens_at.0, window.closes_at.0), second);
    assert_eq!(rests.status.unwrap().expires_at.unwrap().0, end, "the end stays");

    let again = in_state(&cluster, &namespace, "weekly", State::Active).await;
    assert!(now() >= second.0);
    assert!(alice.can_i("create", "pods", Some(&namespace)).await);
    let late = again.status.unwrap().history.pop().unwrap().at.0.duration_since(second.0);
    assert!(late < SignedDuration::from_secs(10), "it came back {late} late");
    let expected = ["Granted", "Suspended", "Resumed"];
    cluster.until_events(&again_as_stored(&cluster, &namespace).await, &expected).await;
    // The next ones are a week away; she needs them no more.
    cluster.review(ALICE, &namespace, "weekly", "Revoke", "done").await;
    cluster.until_unbound(&namespace).await;
}

/// Two that are the same, of which one is ended while both rest: the other says when the window has opened.
async fn ended_between_windows(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("recur").await;
    let stage = json!({ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] });
    let terms = json!({ "recurrence": { "weeks": 4 }, "approval": { "stages": [stage] } });
    cluster.allow(&namespace, &namespace, terms).await;
    let minute = |n: i64| Timestamp::from_second((now().as_second() / 60 + n) * 60).unwrap();
    let length = if now().as_second() % 60 < 45 { 1 } else { 2 };
    let (first, second) = ((minute(0), minute(length)), (minute(length + 1), minute(length + 11)));
    for (name, who) in [("ended", ALICE), ("goes-on", EVE)] {
        cluster.ask(who, &namespace, name, json!({ "recurrence": recurrence(&[first, second], 2) })).await;
        cluster.until_reason(&namespace, name, "Approved", "ApprovalNeeded").await;
        cluster.review(CAROL, &namespace, name, "Approve", "every week").await;
        in_state(&cluster, &namespace, name, State::Active).await;
    }
    for name in ["ended", "goes-on"] {
        in_state(&cluster, &namespace, name, State::Suspended).await;
    }
    cluster.review(BOB, &namespace, "ended", "Revoke", "no longer").await;
    let ended = cluster.until(&namespace, "ended", State::Revoked).await;
    let status = ended.status.as_ref().unwrap();
    let by_bob = Happened::EndedBy { by: "bob".to_owned(), comment: Some("no longer".to_owned()) };
    assert_eq!(why_over(status), by_bob.to_string());
    assert_says(status.message.as_deref().unwrap_or_default(), &ASK_ANEW);
    cluster.until_events(&ended, &["ApprovalNeeded", "Reviewed", "Granted", "Suspended", "Revoked"]).await;
    in_state(&cluster, &namespace, "goes-on", State::Active).await;
    assert!(now() >= second.0);
    let status = cluster.requests(&namespace).await.get("ended").await.unwrap().status.unwrap();
    assert_eq!(status.state, State::Revoked);
    assert_eq!(cluster.our_bindings(&namespace).await.len(), 1, "the other's");
    assert!(!cluster.kubectl(ALICE).can_i("create", "pods", Some(&namespace)).await);
    let binding = format!("daypass-{}", ended.uid().unwrap());
    assert_eq!(cluster.times_done("create", "rolebindings", &binding), 1, "it was bound in the first window alone");
    cluster.review(EVE, &namespace, "goes-on", "Revoke", "done").await;
    cluster.until_unbound(&namespace).await;
}

async fn again_as_stored(cluster: &Cluster, namespace: &str) -> AccessRequest {
    cluster.requests(namespace).await.get("weekly").await.expect("the request")
}

async fn not_allowed(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("recur").await;
    let at = |hours: i64| now() + SignedDuration::from_hours(hours);
    let short = [(at(1), at(1) + SignedDuration::from_mins(30))];
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "none", json!({ "recurrence": recurrence(&short, 1) })).await;
    let denied =
        async |name: &str| cluster.until(&namespace, name, State::Denied).await.status.unwrap().message.unwrap();
    assert_says(&denied("none").await, &falls_short(&namespace, [Shortfall::Recurrence]));
    cluster.allow(&namespace, &namespace, json!({ "recurrence": { "weeks": 2 } })).await;
    cluster.ask(ALICE, &namespace, "weeks", json!({ "recurrence": recurrence(&short, 3) })).await;
    assert_says(&denied("weeks").await, &falls_short(&namespace, [Shortfall::Weeks { asked: 3, most: 2 }]));
    cluster.ask(ALICE, &namespace, "long", json!({ "recurrence": recurrence(&[(at(1), at(3))], 1) })).await;
    let hours = SignedDuration::from_hours;
    let longer = Shortfall::WindowLength { asked: hours(2), most: hours(1) };
    assert_says(&denied("long").await, &falls_short(&namespace, [longer]));
    cluster.ask(ALICE, &namespace, "later", json!({ "recurrence": recurrence(&short, 2) })).await;
    let waits = cluster.until(&namespace, "later", State::Scheduled).await;
    assert!(cluster.our_bindings(&namespace).await.is_empty(), "{waits:?}");
    // The schema refuses what does not go together.
    let both = crate::harness::cast::request(
        &namespace,
        "both",
        json!({ "duration": "1h", "recurrence": recurrence(&short, 1) }),
    );
    let refusal = cluster.kubectl(ALICE).apply_refused(&both.to_string()).await;
    assert!(refusal.contains("spec: Invalid value"), "{refusal}");
}

async fn rests_while_its_role_is_another(cluster: Arc<Cluster>) {
    let (warned, suspended) = (cluster.namespace("role").await, cluster.namespace("role").await);
    let deployer = json!({ "kind": "Role", "name": "deployer" });
    let role = |verbs: Value| {
        json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": { "name": "deployer" },
            "rules": [{ "verbs": verbs, "apiGroups": ["apps"], "resources": ["deployments"] }] })
    };
    let admin = cluster.kubectl(ADMIN);
    let write = async |verbs: Value| {
        for namespace in [&warned, &suspended] {
            let mut role = role(verbs.clone());
            role["metadata"]["namespace"] = json!(namespace);
            admin.apply(&role.to_string()).await;
        }
    };
    write(json!(["get"])).await;
    cluster.allow(&warned, &warned, json!({ "roles": [deployer] })).await;
    cluster.allow(&suspended, &suspended, json!({ "roles": [deployer], "onRoleChange": "Suspend" })).await;
    for namespace in [&warned, &suspended] {
        cluster.ask(ALICE, namespace, "look", json!({ "role": deployer })).await;
        cluster.until(namespace, "look", State::Active).await;
    }
    // Somebody adds a right, and those who have the role would have it too.
    write(json!(["get", "delete"])).await;
    in_state(&cluster, &suspended, "look", State::Suspended).await;
    let alice = cluster.kubectl(ALICE);
    assert!(!alice.can_i("get", "deployments.apps", Some(&suspended)).await);
    let granted = in_state(&cluster, &warned, "look", State::Active).await;
    let expected = cluster.until_events(&granted, &["Granted", "RoleChanged"]).await;
    assert_eq!(expected[1].type_.as_deref(), Some("Warning"));
    let changed = Rest::RoleChanged(RoleName { kind: RoleKind::Role, name: "deployer".to_owned() });
    assert_says(expected[1].note.as_ref().unwrap(), &changed);
    assert!(alice.can_i("delete", "deployments.apps", Some(&warned)).await, "a warning takes nothing away");

    write(json!(["get"])).await;
    let back = in_state(&cluster, &suspended, "look", State::Active).await;
    assert!(alice.can_i("get", "deployments.apps", Some(&suspended)).await);
    let events = ["Granted", "RoleChanged", "Suspended", "RoleChanged", "Resumed"];
    cluster.until_events(&back, &events).await;
    assert_eq!(back.status.as_ref().unwrap().role.as_ref().unwrap().changed_to, None);
    assert_eq!(back.name_any(), "look");
}
