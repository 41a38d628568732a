//! Owns two stories that are measured and not judged: the API server, and then etcd, is gone for a minute while access
//! comes to its end.

use std::sync::Arc;
use std::time::Duration;

use daypass::api::State;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::harness::users::ALICE;
use crate::harness::wait::{now, poll};
use crate::harness::{Cluster, Controller};

const GONE_FOR: Duration = Duration::from_secs(60);
/// Grants whose ends are spread over the minute.
const GRANTS: i64 = 20;

/// Tells both, each on a control plane of its own with two controllers under the chart's terms.
pub async fn play() {
    println!(
        "\nStories, measured and not judged. Two controllers under the chart's terms; one that ends is started again at once."
    );
    story("the API server is killed and away for a minute", Part::ApiServer).await;
    story("etcd is killed and away for a minute", Part::Etcd).await;
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    ApiServer,
    Etcd,
}

async fn story(what: &str, part: Part) {
    let cluster = Cluster::private().await;
    cluster.controller.terminate().await;
    let (one, two) = (Arc::new(cluster.replica("one", &[]).await), Arc::new(cluster.replica("two", &[]).await));
    let namespace = cluster.namespace("story").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let mut names = Vec::new();
    for number in 0..GRANTS {
        let name = format!("fix-{number}");
        // The first ends after all are granted, the last before the minute is over.
        cluster.ask(ALICE, &namespace, &name, json!({ "duration": format!("{}s", 25 + number * 2) })).await;
        names.push(name);
    }
    let mut ends = Vec::new();
    for name in &names {
        let request = cluster.until(&namespace, name, State::Active).await;
        let end = request.status.as_ref().and_then(|status| status.expires_at.clone()).expect("an end").0;
        ends.push((format!("daypass-{}", request.uid().expect("a uid")), end));
    }
    let stopped = now();
    match part {
        Part::ApiServer => cluster.control_plane.stop_api_server(),
        Part::Etcd => cluster.control_plane.stop_etcd(),
    }
    let mut restarts = 0;
    let minute = tokio::time::Instant::now() + GONE_FOR;
    while tokio::time::Instant::now() < minute {
        restarts += revived(&one, &two);
        sleep(Duration::from_millis(100)).await;
    }
    match part {
        Part::ApiServer => cluster.control_plane.start_api_server().await,
        Part::Etcd => cluster.control_plane.start_etcd().await,
    }
    let back = now();
    let over = poll(Duration::from_secs(90), async || {
        restarts += revived(&one, &two);
        let left = cluster.our_bindings(&namespace).await.len();
        if left == 0 { std::ops::ControlFlow::Break(()) } else { std::ops::ControlFlow::Continue(left.to_string()) }
    })
    .await;
    over.unwrap_or_else(|left| panic!("{left} bindings are left"));
    for name in &names {
        cluster.until(&namespace, name, State::Expired).await;
    }
    tell_ends(what, &cluster.control_plane.audit_log(), &ends, [stopped, back]);
    println!("  controllers that ended because the lease could not be renewed, and were started again: {restarts}");
}

fn revived(one: &Controller, two: &Controller) -> usize {
    [one, two].into_iter().filter(|controller| controller.revive()).count()
}

fn tell_ends(what: &str, audit: &[Value], ends: &[(String, Timestamp)], [stopped, back]: [Timestamp; 2]) {
    let gone = |name: &str| {
        audit.iter().find_map(|event| {
            let is_it = event["verb"] == "delete"
                && event["objectRef"]["name"] == name
                && event["responseStatus"]["code"].as_u64().is_some_and(|code| code < 300);
            event["stageTimestamp"].as_str().filter(|_| is_it)?.parse::<Timestamp>().ok()
        })
    };
    let millis = |length: SignedDuration| length.as_secs_f64() * 1000.0;
    let (mut after_back, mut after_end) = (Vec::new(), Vec::new());
    for (name, end) in ends {
        let gone = gone(name).expect("the audit log has its deletion");
        if *end >= stopped && *end < back {
            after_back.push(millis(gone.duration_since(back)));
            after_end.push(millis(gone.duration_since(*end)));
        }
    }
    println!("{what} ({:.0} s until ready again):", back.duration_since(stopped).as_secs_f64());
    super::figures("  gone after the API server is ready again", &after_back);
    super::figures("  gone after the stated end", &after_end);
}
