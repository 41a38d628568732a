//! Policies that deny in windows: access ends where one opens, and waits or rests until it closes.

use std::sync::Arc;
use std::time::Duration;

use daypass::api::request::FreezeAhead;
use daypass::api::{AccessRequest, State};
use daypass::core::decision::answer::HeldBy;
use daypass::core::decision::freeze::{Denying, FreezeEdge, Frozen, Moment};
use daypass::core::lifecycle::granted::NoLonger;
use daypass::core::lifecycle::happened::Happened;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::cast::{assert_says, denies, why_over};
use crate::harness::users::{ALICE, EVE, GITOPS};
use crate::harness::wait::now;
use crate::harness::windows::{in_state, next_minute, recurrence, schedule};
use crate::harness::{Cluster, eventually, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("freeze::access_ends_at_the_opening_and_waits_for_the_closing", ends_and_waits),
        shared("freeze::a_denial_made_later_is_told_and_revokes_at_its_opening", made_later),
    ]
}

/// Applies a policy that denies `edit` in a namespace in a window, and waits until its status says so.
async fn deny_in(cluster: &Cluster, namespace: &str, from: Timestamp, to: Timestamp) -> String {
    let name = format!("freeze-{namespace}");
    let spec = json!({
        "effect": "Deny", "roles": [{ "name": "edit" }], "scope": { "namespaces": [namespace] },
        "schedule": schedule(&[(from, to)])
    });
    let policy = json!({
        "apiVersion": "daypass.dev/v1alpha1", "kind": "AccessPolicy", "metadata": { "name": name }, "spec": spec
    });
    let gitops = cluster.kubectl(GITOPS);
    gitops.apply(&policy.to_string()).await;
    gitops.ok(&["wait", "--for=condition=ScheduleInForce", "--timeout=30s", "apol", &name]).await;
    name
}

fn denies_in_window(policy: &str, window: Frozen) -> Denying {
    Denying { window: Some(window), ..denies(policy) }
}

fn message(request: AccessRequest) -> String {
    request.status.and_then(|status| status.message).unwrap_or_default()
}

async fn ends_and_waits(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("freeze").await;
    let approvers = json!([{ "kind": "Group", "name": "approvers" }]);
    let spec = json!({
        "breakGlass": { "reviewers": approvers, "reviewWithin": "1h" },
        "approval": { "automaticWhen": "true", "stages": [{ "name": "leads", "approvers": approvers }] }
    });
    cluster.allow(&namespace, &namespace, spec).await;
    // Time to be granted before, and to try all that is tried within.
    let opens = next_minute(now() + SignedDuration::from_secs(12));
    let closes = opens + SignedDuration::from_secs(60);
    let freeze = deny_in(&cluster, &namespace, opens, closes).await;
    let alice = cluster.kubectl(ALICE);

    cluster.ask(ALICE, &namespace, "runs", json!({ "duration": "1h" })).await;
    let active = cluster.until(&namespace, "runs", State::Active).await;
    assert_eq!(active.status.as_ref().unwrap().expires_at.as_ref().unwrap().0, opens, "it ends where the window opens");
    let text = message(active);
    assert_says(&text, &Happened::FreezeAhead(FreezeAhead { policy: freeze.clone(), opens_at: Time(opens) }));
    assert!(alice.can_i("create", "pods", Some(&namespace)).await);
    let start = opens + SignedDuration::from_secs(20);
    cluster.ask(ALICE, &namespace, "within", json!({ "startTime": start.to_string(), "duration": "10m" })).await;
    let denied = message(cluster.until(&namespace, "within", State::Denied).await);
    let denies_until = |what, at| denies_in_window(&freeze, Frozen { what, at, until: closes });
    assert_says(&denied, &denies_until(Moment::Start, start));

    let expired = in_state(&cluster, &namespace, "runs", State::Expired).await;
    assert!(now() >= opens && !alice.can_i("create", "pods", Some(&namespace)).await);
    assert!(cluster.our_bindings(&namespace).await.is_empty());
    cluster.until_events(&expired, &["Granted", "Expired"]).await;
    let text = why_over(&expired.status.unwrap());
    assert_eq!(text, Happened::Ended { at: opens, denied_by: Some(freeze.clone()) }.to_string());

    cluster.ask(ALICE, &namespace, "waits", json!({ "duration": "10m" })).await;
    let waits = cluster.until_reason(&namespace, "waits", "Approved", "Frozen").await;
    assert_eq!(waits.status.as_ref().unwrap().state, State::Pending);
    assert_says(&message(waits), &HeldBy::Frozen(FreezeEdge { policy: freeze.clone(), at: closes }));
    cluster.ask(EVE, &namespace, "emergency", json!({ "breakGlass": true })).await;
    let denied = message(cluster.until(&namespace, "emergency", State::Denied).await);
    assert_says(&denied, &denies_until(Moment::Emergency, now()));
    let exempt = r#"{"spec":{"onBreakGlass":"Exempt"}}"#;
    cluster.kubectl(GITOPS).ok(&["patch", "apol", &freeze, "--type=merge", "-p", exempt]).await;
    eventually("an emergency is let in", Duration::from_secs(30), async || {
        let name = format!("exempt-{}", now().as_millisecond());
        cluster.ask(EVE, &namespace, &name, json!({ "breakGlass": true })).await;
        let reason = cluster.until_reason(&namespace, &name, "Approved", "Approved");
        tokio::time::timeout(Duration::from_secs(5), reason).await.map(drop).map_err(|_| "it is not".to_owned())
    })
    .await;
    assert!(now() < closes, "all that took longer than the window, so it shows nothing");
    assert!(!alice.can_i("create", "pods", Some(&namespace)).await, "what is exempt is the emergency");

    let granted = in_state(&cluster, &namespace, "waits", State::Active).await.status.unwrap();
    let began = granted.granted_at.unwrap().0;
    assert!(
        began >= closes && began < closes + SignedDuration::from_secs(10),
        "began at {began}, and {closes} is when"
    );
    assert_eq!(granted.expires_at.unwrap().0, began + SignedDuration::from_mins(10), "with all of its time");
    assert!(alice.can_i("create", "pods", Some(&namespace)).await);
}

async fn made_later(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("freeze").await;
    cluster.allow(&namespace, &namespace, json!({ "recurrence": { "weeks": 4 }, "duration": { "max": "24h" } })).await;
    let begin = Timestamp::from_second(now().as_second() / 60 * 60).unwrap();
    let hours = recurrence(&[(begin, begin + SignedDuration::from_hours(2))], 2);
    cluster.ask(ALICE, &namespace, "weekly", json!({ "recurrence": hours })).await;
    cluster.ask(EVE, &namespace, "runs", json!({ "duration": "1h" })).await;
    in_state(&cluster, &namespace, "weekly", State::Active).await;
    let end = in_state(&cluster, &namespace, "runs", State::Active).await.status.unwrap().expires_at;

    let opens = next_minute(now() + SignedDuration::from_secs(12));
    let closes = opens + SignedDuration::from_secs(60);
    let freeze = deny_in(&cluster, &namespace, opens, closes).await;
    let why = eventually("what runs says when it is cut", Duration::from_secs(10), async || {
        let request = cluster.requests(&namespace).await.get("runs").await.unwrap();
        let ahead = request.status.as_ref().unwrap().freeze_ahead.clone();
        ahead.map(|ahead| (ahead, request)).ok_or_else(|| "it does not".to_owned())
    })
    .await;
    let (ahead, request) = why;
    assert_eq!((ahead.policy, ahead.opens_at.0), (freeze.clone(), opens));
    assert!(now() < opens, "told before");
    let status = request.status.clone().unwrap();
    assert_eq!((status.state, status.expires_at), (State::Active, end), "the end is written once");
    cluster.until_events(&request, &["Granted", "FreezeAhead"]).await;

    let revoked = in_state(&cluster, &namespace, "runs", State::Revoked).await;
    let rests = in_state(&cluster, &namespace, "weekly", State::Suspended).await;
    let seen = now();
    assert!(opens <= seen && seen < closes, "from {opens} until {closes}, and it is {seen}");
    for (who, request) in [(EVE, &revoked), (ALICE, &rests)] {
        let late = request.status.as_ref().unwrap().history.last().unwrap().at.0.duration_since(opens);
        assert!(!late.is_negative() && late < SignedDuration::from_secs(10), "{late} late");
        assert!(!cluster.kubectl(who).can_i("create", "pods", Some(&namespace)).await);
    }
    assert!(cluster.our_bindings(&namespace).await.is_empty());
    let status = revoked.status.unwrap();
    let at = status.history.last().unwrap().at.0;
    let running = denies_in_window(&freeze, Frozen { what: Moment::Running, at, until: closes });
    assert_eq!(why_over(&status), NoLonger::Denied(running).to_string());

    in_state(&cluster, &namespace, "weekly", State::Active).await;
    assert!(now() >= closes && cluster.kubectl(ALICE).can_i("create", "pods", Some(&namespace)).await);
    assert!(!cluster.kubectl(EVE).can_i("create", "pods", Some(&namespace)).await, "what was revoked stays so");
    cluster.review(ALICE, &namespace, "weekly", "Revoke", "done").await;
    cluster.until_unbound(&namespace).await;
}
