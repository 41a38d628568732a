//! What was done with grants, told by the archive from the audit log of a real API server.
//!
//! Owns the way of the log into the archive: all of it each time, so that every trial also shows that events which come
//! again change nothing. It must not judge what the archive answers; [`uses`] and [`findings`] do.

mod findings;
mod narrower;
mod uses;

use std::sync::Arc;

use daypass::api::request::AccessRequest;
use http::Request;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::{Client, ResourceExt};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::cast::SOON;
use crate::harness::install::NAMESPACE;
use crate::harness::tail::{AUDIENCE, TAIL};
use crate::harness::users::ADMIN;
use crate::harness::wait::now;
use crate::harness::{Cluster, ControlPlane, audited, eventually};
use crate::idle::tell_api_servers;
use crate::outbox::Recorded;

/// No endpoint may have a loopback address, and the canary marks the log of API servers that have one.
const LISTENS: &[&str] = &["--bind-address=0.0.0.0"];
/// How the canary's marks name who calls.
const MARKS: &str = "daypass-canary/";
const POLICY: &str = include_str!("../../examples/audit/policy.yaml");

pub fn trials() -> Vec<Trial> {
    vec![
        fed("activity::a_call_is_tied_to_the_grant_that_is_named_and_told_beside_the_others", uses::tied),
        fed("activity::shells_ports_watches_and_borrowed_names_are_told", uses::reaching),
        fed("activity::narrower_rules_are_proposed_and_hold", narrower::proposed),
        fed("activity::what_no_record_explains_is_a_finding", findings::told),
    ]
}

/// A trial in a cluster whose archive is given the audit log.
fn fed<F>(name: &str, body: fn(Fed) -> F) -> Trial
where
    F: Future<Output = ()> + 'static,
{
    audited(name, POLICY, LISTENS, move |control_plane: Arc<ControlPlane>| async move {
        body(Fed::start(control_plane).await).await;
    })
}

/// A cluster, and an archive that is given its audit log.
pub struct Fed {
    recorded: Recorded,
    /// Calls the archive itself, as the controller.
    controller: Client,
    /// The same, as what feeds the audit log.
    feeder: Client,
}

impl Fed {
    /// On a control plane of its own.
    pub async fn private() -> Self {
        Self::start(Arc::new(ControlPlane::start_with(POLICY, LISTENS).await)).await
    }

    async fn start(control_plane: Arc<ControlPlane>) -> Self {
        tell_api_servers(&control_plane, &[control_plane.port()]).await;
        let recorded =
            Recorded::start(control_plane, None, &["archive.audit.enabled=true", "archive.audit.tail.enabled=true"])
                .await;
        let controller = caller(&recorded, "daypass", "daypass-archive").await;
        let feeder = caller(&recorded, TAIL, AUDIENCE).await;
        Self { recorded, controller, feeder }
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.recorded.cluster
    }

    /// The audit log so far.
    fn log(&self) -> Vec<Value> {
        self.cluster().control_plane.audit_log()
    }

    /// Waits until what is done from now on is wholly heard: a while after the first mark, since clocks may differ.
    pub async fn until_marked(&self) {
        eventually("the audit log is marked", SOON, async || {
            let is_mark = |event: &Value| event["userAgent"].as_str().is_some_and(|agent| agent.starts_with(MARKS));
            let first = self.log().into_iter().find(is_mark).ok_or("no mark yet")?;
            let at: Timestamp = first["stageTimestamp"].as_str().expect("a time").parse().expect("a time");
            if at + SignedDuration::from_secs(12) <= now() { Ok(()) } else { Err(format!("marked since {at}")) }
        })
        .await;
    }

    /// Gives these events to the archive.
    pub async fn send(&self, events: &[Value]) {
        let body: String = events.iter().map(|event| format!("{event}\n")).collect();
        let request = Request::post("/v1/audit/events").body(body.into_bytes()).expect("a request");
        let answer: Value = self.feeder.request(request).await.expect("the archive takes events");
        assert_eq!(answer["events"], json!(events.len()), "an event of the API server cannot be read");
    }

    /// What is listed at a path of the archive, by the API server.
    async fn listed(&self, path: &str) -> Vec<Value> {
        let path = format!("/apis/archive.daypass.dev/v1/{path}");
        let answer = self.cluster().kubectl(ADMIN).ok(&["get", "--raw", &path]).await;
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        answer["items"].as_array().expect("a list").clone()
    }

    /// What was done with a grant, once the log says so.
    pub async fn until(&self, request: &AccessRequest, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let path = format!("activity?request={}", request.uid().expect("a UID"));
        eventually(what, SOON, async || {
            self.send(&self.log()).await;
            let found = self.listed(&path).await.pop().unwrap_or_default();
            if holds(&found) { Ok(found) } else { Err(found.to_string()) }
        })
        .await
    }

    /// What a controller is answered about a grant.
    async fn known(&self, request: &AccessRequest) -> Value {
        let body = json!({ "requests": [request.uid()] }).to_string();
        let request = Request::post("/v1/activity/uses").body(body.into_bytes()).expect("a request");
        let answer: Value = self.controller.request(request).await.expect("the archive answers");
        answer["uses"][0].clone()
    }
}

/// A client of the archive itself, with a token of this account.
async fn caller(recorded: &Recorded, account: &str, audience: &str) -> Client {
    let audience = format!("--audience={audience}");
    let token = recorded.cluster.kubectl(ADMIN).ok(&["create", "token", account, "-n", NAMESPACE, &audience]).await;
    recorded.archive.client(token.trim())
}

/// The rows of an answer for a resource.
pub fn rows<'a>(found: &'a Value, resource: &str) -> Vec<&'a Value> {
    let rows = found["rows"].as_array().into_iter().flatten();
    rows.filter(|row| row["resource"] == resource).collect()
}

/// A number of an answer.
pub fn number(found: &Value, name: &str) -> u64 {
    found[name].as_u64().unwrap_or_default()
}
