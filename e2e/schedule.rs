//! Access within weekly windows: it waits for one to open, and ends when it closes.

use std::sync::Arc;

use daypass::api::State;
use daypass::core::decision::period::NoTime;
use daypass::core::decision::shortfall::Shortfall;
use daypass::core::lifecycle::happened::{Happened, Next};
use daypass::core::model::schedule::Schedule;
use k8s_openapi::jiff::SignedDuration;
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::cast::{assert_says, falls_short, why_over};
use crate::harness::users::ALICE;
use crate::harness::wait::now;
use crate::harness::windows::{next_minute, schedule};
use crate::harness::{Cluster, eventually, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("schedule::access_waits_for_its_window_and_ends_with_it", waits_and_ends),
        shared("schedule::what_fits_no_window_is_denied", fits_no_window),
    ]
}

async fn waits_and_ends(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("window").await;
    // A few seconds to be seen waiting.
    let opens = next_minute(now() + SignedDuration::from_secs(8));
    let closes = opens + SignedDuration::from_secs(60);
    cluster.allow(&namespace, &namespace, json!({ "schedule": schedule(&[(opens, closes)]) })).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "1h" })).await;
    let waiting = cluster.until(&namespace, "fix", State::Scheduled).await.status.unwrap();
    assert_eq!(waiting.expires_at.clone().unwrap().0, closes, "it ends with the window");
    assert_says(&waiting.message.unwrap(), &Next::Begins(opens));
    assert!(
        now() >= opens || cluster.our_bindings(&namespace).await.is_empty(),
        "nothing is bound before the window opens"
    );
    let state = async |wanted: State| {
        let requests = cluster.requests(&namespace).await;
        let within = SignedDuration::from_secs(100).unsigned_abs();
        eventually(&format!("it is {wanted:?}"), within, async || {
            let status = requests.get("fix").await.map_err(|error| error.to_string())?.status.unwrap_or_default();
            if status.state == wanted { Ok(status) } else { Err(format!("{:?}: {:?}", status.state, status.message)) }
        })
        .await
    };
    let active = state(State::Active).await;
    assert!(active.granted_at.unwrap().0 >= opens);
    assert!(cluster.kubectl(ALICE).can_i("create", "pods", Some(&namespace)).await);
    let expired = state(State::Expired).await;
    assert!(now() >= closes);
    assert_eq!(why_over(&expired), Happened::Ended { at: closes, denied_by: None }.to_string());
    assert!(!cluster.kubectl(ALICE).can_i("create", "pods", Some(&namespace)).await);
}

async fn fits_no_window(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("window").await;
    let (from, to) = (now() + SignedDuration::from_hours(5), now() + SignedDuration::from_hours(6));
    let terms = json!({ "reviewers": [{ "kind": "Group", "name": "approvers" }], "reviewWithin": "1h" });
    let stages = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }]);
    let raw = schedule(&[(from, to)]);
    let read = serde_json::from_value(raw.clone()).expect("a schedule");
    let windows = Schedule::read(&read, "spec.schedule").expect("a schedule").describe();
    let spec = json!({
        "schedule": raw, "breakGlass": terms, "approval": { "automaticWhen": "true", "stages": stages }
    });
    cluster.allow(&namespace, &namespace, spec).await;
    let start = crate::harness::wait::now_plus_seconds(60);
    for (name, spec) in [
        ("early", json!({ "policy": namespace, "startTime": start, "duration": "30m" })),
        ("emergency", json!({ "policy": namespace, "breakGlass": true })),
    ] {
        cluster.ask(ALICE, &namespace, name, spec).await;
        let denied = cluster.until(&namespace, name, State::Denied).await.status.unwrap();
        let (windows, at) = (windows.clone(), denied.history.last().unwrap().at.0);
        let why = if name == "early" { NoTime::NotInTime { windows } } else { NoTime::NotOpen { windows, at } };
        let why = falls_short(&namespace, [Shortfall::NoTime(why)]).to_string();
        // The record counts whole seconds, the message does not.
        assert_says(&denied.message.unwrap(), &why.trim_end_matches('Z'));
    }
    cluster.ask(ALICE, &namespace, "whenever", json!({ "duration": "30m" })).await;
    cluster.until(&namespace, "whenever", State::Scheduled).await;
}
