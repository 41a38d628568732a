//! Ends beside decisions: how late access ends while many requests wait under a policy with limits that is edited on and
//! on, and when many ends come in the same second.

use std::time::Duration;

use daypass::api::{AccessPolicy, AccessRequest};
use daypass::core::model::instants::whole_second;
use futures::{StreamExt, stream};
use k8s_openapi::jiff::SignedDuration;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use tokio::time::sleep;

use super::{Bench, CLIENTS, ENDS, ENDS_WITHIN, Spread, beside, binding_of, create, late, request};
use crate::harness::users::{ADMIN, ALICE};
use crate::harness::wait::{eventually, now};

/// How many requests wait for approval.
const WAITING: usize = 1000;
/// Time between two edits of their policy: each has all of them decided again.
const EDIT_EVERY: Duration = Duration::from_millis(500);
/// How many ends come in one second.
pub const AT_ONCE: usize = 500;

impl Bench {
    pub async fn waiting(&self) {
        let made = self.make_ends("alone").await;
        let alone = Spread::of(self.lateness_of(made).await);
        beside("stated end -> binding gone, nobody waits", &alone, &self.bare.ends);
        let namespace = self.cluster.namespace("waiting").await;
        let limits = json!({ "openRequests": WAITING * 2, "liveGrants": 1 });
        let approvers = json!([{ "kind": "Group", "name": "approvers" }]);
        let stages = json!({ "stages": [{ "name": "team", "approvers": approvers }] });
        self.cluster.allow(&namespace, &namespace, json!({ "limits": limits, "approval": stages })).await;
        self.fill_waiting(&namespace).await;
        // Before the edits, so that only their ends are measured: decisions wait for each other.
        let made = self.make_ends("beside").await;
        let policies: Api<AccessPolicy> = Api::all(self.cluster.client(ADMIN).await);
        let edits = async {
            for n in 2.. {
                let edit = json!({ "spec": { "limits": { "liveGrants": n } } });
                policies
                    .patch(&namespace, &PatchParams::default(), &Patch::Merge(edit))
                    .await
                    .expect("edit the policy");
                sleep(EDIT_EVERY).await;
            }
        };
        let (ours, other) = tokio::select! {
            () = edits => unreachable!("it goes on"),
            both = async { (self.lateness_of(made).await, self.bare_lateness("bare-beside").await) } => both,
        };
        let what = format!("the same beside {WAITING} waiting, edits every {EDIT_EVERY:?}");
        beside(&what, &Spread::of(ours), &self.bare.ends);
        beside("beside the same, a client that only deletes", &other, &self.bare.ends);
        let waiting: Api<AccessRequest> = Api::namespaced(self.cluster.client(ADMIN).await, &namespace);
        waiting.delete_collection(&Default::default(), &Default::default()).await.expect("delete those that wait");
        self.clear().await;
    }

    /// Requests whose access runs; it ends within the time of the section `ends`, a while from now.
    async fn make_ends(&self, prefix: &str) -> Vec<AccessRequest> {
        let made = stream::iter(0..ENDS).map(|n| async move {
            let made = self.file(&format!("{prefix}-{n}"), &format!("{}s", 10 + n * ENDS_WITHIN / ENDS)).await;
            self.seen.added(&binding_of(&made)).await;
            made
        });
        made.buffer_unordered(CLIENTS).collect().await
    }

    /// How late each of these ends is, in milliseconds. They are waited for together, when all are gone, so that waiting
    /// takes nothing from who is measured.
    async fn lateness_of(&self, made: Vec<AccessRequest>) -> Vec<f64> {
        self.seen.many(0).await;
        let each = stream::iter(made).map(|made| async move {
            let gone = self.seen.removed(&binding_of(&made)).await;
            let status = self.requests.get(&made.name_any()).await.expect("read it").status.expect("a status");
            late(gone, status.expires_at.expect("an end").0)
        });
        each.buffer_unordered(CLIENTS).collect().await
    }

    /// Many ends in the same second.
    pub async fn ends_at_once(&self) {
        let start = whole_second(now()) + SignedDuration::from_secs(15);
        let made = stream::iter(0..AT_ONCE).map(|n| async move {
            let spec = json!({ "startTime": start.to_string(), "duration": "20s" });
            create(&self.requests, &request(&format!("at-once-{n}"), spec)).await
        });
        let made: Vec<AccessRequest> = made.buffer_unordered(CLIENTS).collect().await;
        for made in &made {
            self.seen.added(&binding_of(made)).await;
        }
        let ours = Spread::of(self.lateness_of(made).await);
        beside(&format!("stated end -> binding gone, {AT_ONCE} at once"), &ours, &self.bare.at_once);
        self.clear().await;
    }

    async fn fill_waiting(&self, namespace: &str) {
        let asked: Api<AccessRequest> = Api::namespaced(self.cluster.client(ALICE).await, namespace);
        let asked = &asked;
        let made = stream::iter(0..WAITING)
            .map(|n| async move { create(asked, &request(&format!("waits-{n}"), json!({ "duration": "1h" }))).await });
        made.buffer_unordered(CLIENTS).collect::<Vec<_>>().await;
        eventually("all of them wait for approval", super::LIMIT, async || {
            let listed = asked.list(&Default::default()).await.map_err(|error| error.to_string())?;
            let is_open = |request: &&AccessRequest| request.status.as_ref().is_some_and(|s| s.stage.is_some());
            match listed.iter().filter(is_open).count() {
                WAITING => Ok(()),
                open => Err(format!("{open} do")),
            }
        })
        .await;
    }
}
