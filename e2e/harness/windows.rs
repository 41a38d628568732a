//! Owns windows as trials use them: of whole minutes, in a zone whose clocks are off, and the wait for one.

use std::time::Duration;

use daypass::api::{AccessRequest, State};
use k8s_openapi::jiff::Timestamp;
use k8s_openapi::jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::cluster::Cluster;
use super::wait::eventually;

/// Clocks there are off by five hours and three quarters.
const ZONE: &str = "Asia/Kathmandu";

/// How long to wait for a window to open or close.
pub const WITHIN: Duration = Duration::from_secs(150);

/// Windows from one whole minute to another, on whichever days those are there.
pub fn schedule(windows: &[(Timestamp, Timestamp)]) -> Value {
    let there = TimeZone::get(ZONE).expect("a zone");
    let window = |(from, to): &(Timestamp, Timestamp)| {
        let (from, to) = (from.to_zoned(there.clone()), to.to_zoned(there.clone()));
        let clock = |at: &k8s_openapi::jiff::Zoned| at.strftime("%H:%M").to_string();
        json!({ "days": [from.strftime("%a").to_string()], "start": clock(&from), "end": clock(&to) })
    };
    json!({ "timeZone": ZONE, "windows": windows.iter().map(window).collect::<Vec<_>>() })
}

/// The same for some weeks, as a request asks for them.
pub fn recurrence(windows: &[(Timestamp, Timestamp)], weeks: i32) -> Value {
    let mut recurrence = schedule(windows);
    recurrence["weeks"] = json!(weeks);
    recurrence
}

/// The first whole minute after an instant.
pub fn next_minute(after: Timestamp) -> Timestamp {
    Timestamp::from_second((after.as_second() / 60 + 1) * 60).expect("a time of this age")
}

/// Waits until a window has brought a request into a state.
pub async fn in_state(cluster: &Cluster, namespace: &str, name: &str, state: State) -> AccessRequest {
    let requests = cluster.requests(namespace).await;
    eventually(&format!("{namespace}/{name} is {state:?}"), WITHIN, async || {
        let request = requests.get(name).await.map_err(|error| error.to_string())?;
        let status = request.status.clone().unwrap_or_default();
        if status.state == state { Ok(request) } else { Err(format!("{:?}: {:?}", status.state, status.message)) }
    })
    .await
}
