//! The bare client that everything is compared with: it only creates and deletes RoleBindings, on a control plane of its
//! own without the chart and without a controller, while nothing of Daypass runs. What the API server and this machine
//! take is in its figures, and nothing else is.

use std::time::Duration;

use daypass::core::model::instants::whole_second;
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::seen::Seen;
use super::waiting::AT_ONCE;
use super::{BURST, CLIENTS, ENDS, ENDS_WITHIN, ONE_AT_A_TIME, OVERDUE, Spread, late, salvo};
use crate::harness::control_plane::ControlPlane;
use crate::harness::users::ADMIN;
use crate::harness::wait::now;

const NAMESPACE: &str = "bare";
/// Bindings that are made and deleted before anything is measured: the first calls of an API server are its slowest.
const TO_WARM_UP: usize = 100;
/// From how many clients at a time many are deleted. The best of them counts.
const DELETE_FROM: [usize; 3] = [8, 16, 64];

/// Creates and deletes RoleBindings, and sees them come and go.
pub struct BareClient {
    bindings: Api<RoleBinding>,
    seen: Seen,
}

/// What a bare client takes, in milliseconds where nothing else is said.
pub struct Bare {
    /// One binding after the other, from the call until it is seen.
    pub one: Spread,
    /// As many as a burst has, from several clients at a time, until all are seen.
    pub burst: Duration,
    /// Each of those, from the answer until it is seen.
    pub each: Spread,
    /// Deleted each at its time, from that time until it is seen to be gone.
    pub ends: Spread,
    /// Many deleted at the same time, from that time until each is seen to be gone.
    pub at_once: Spread,
    /// From how many clients at a time that was.
    pub at_once_from: usize,
    /// As many as are overdue after a restart, until the last is seen to be gone.
    pub overdue: Duration,
}

impl Bare {
    /// Measures on a control plane of its own, which has ended when this is done.
    pub async fn measure() -> Self {
        let control_plane = ControlPlane::start().await;
        let client = BareClient::start(control_plane.client(ADMIN).await).await;
        client.salvo("warm", TO_WARM_UP).await;
        client.delete_all("warm", TO_WARM_UP, CLIENTS).await;

        let mut one = Vec::new();
        for n in 0..ONE_AT_A_TIME {
            let (name, begin) = (format!("one-{n}"), Instant::now());
            client.bind(&name).await;
            one.push(client.seen.added(&name).await.duration_since(begin).as_secs_f64() * 1000.0);
        }
        client.delete_all("one", ONE_AT_A_TIME, CLIENTS).await;
        let (burst, each) = client.salvo("burst", BURST).await;
        client.delete_all("burst", BURST, CLIENTS).await;
        let ends = client.lateness("end").await;
        let (at_once_from, at_once) = client.fastest(AT_ONCE).await;
        let (_, overdue) = client.fastest(OVERDUE).await;
        Self {
            one: Spread::of(one),
            burst,
            each: Spread::of(each),
            ends: Spread::of(ends),
            at_once,
            at_once_from,
            overdue: Duration::from_secs_f64(overdue.max / 1000.0),
        }
    }
}

impl BareClient {
    async fn start(client: Client) -> Self {
        let namespace = json!({ "metadata": { "name": NAMESPACE } });
        let namespace: Namespace = serde_json::from_value(namespace).expect("a namespace");
        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces.create(&PostParams::default(), &namespace).await.expect("create a namespace");
        let bindings: Api<RoleBinding> = Api::namespaced(client, NAMESPACE);
        Self { seen: Seen::start(bindings.clone(), |_| true).await, bindings }
    }

    async fn bind(&self, name: &str) {
        bind(&self.bindings, name).await;
    }

    async fn unbind(&self, name: &str) {
        self.bindings.delete(name, &DeleteParams::default()).await.expect("delete a RoleBinding");
    }

    async fn salvo(&self, prefix: &str, many: usize) -> (Duration, Vec<f64>) {
        let bind = async |name: String| {
            self.bind(&name).await;
            name
        };
        salvo(&self.seen, prefix, many, bind).await
    }

    /// Deletes those of a salvo from so many clients at a time, from a time on. For each, the milliseconds from that time
    /// until it was seen to be gone.
    async fn delete_all(&self, prefix: &str, many: usize, clients: usize) -> Vec<f64> {
        let begin = now();
        let deleted = stream::iter(0..many).map(|n| async move { self.unbind(&format!("{prefix}-{n}")).await });
        deleted.buffer_unordered(clients).collect::<Vec<()>>().await;
        self.gone(prefix, many).await.into_iter().map(|gone| late(gone, begin)).collect()
    }

    /// When each of those was seen to be gone. One wait for all, so that waiting takes nothing from who is measured.
    async fn gone(&self, prefix: &str, many: usize) -> Vec<Timestamp> {
        self.seen.many(0).await;
        let mut gone = Vec::new();
        for n in 0..many {
            gone.push(self.seen.removed(&format!("{prefix}-{n}")).await);
        }
        gone
    }

    /// How many clients at a time delete so many the fastest, and how fast that is.
    async fn fastest(&self, many: usize) -> (usize, Spread) {
        let mut best: Option<(usize, Spread)> = None;
        for clients in DELETE_FROM {
            let prefix = format!("of-{many}-from-{clients}");
            self.salvo(&prefix, many).await;
            let took = Spread::of(self.delete_all(&prefix, many, clients).await);
            if best.as_ref().is_none_or(|(_, best)| took.p99 < best.p99) {
                best = Some((clients, took));
            }
        }
        best.expect("one was tried")
    }

    /// How late a client is that only deletes each binding at its time, in milliseconds.
    async fn lateness(&self, prefix: &str) -> Vec<f64> {
        self.salvo(prefix, ENDS).await;
        let ends = stated_ends();
        let deleted = stream::iter(ends.iter().enumerate()).map(|(n, end)| async move {
            sleep(Duration::try_from(end.duration_since(now())).unwrap_or_default()).await;
            self.unbind(&format!("{prefix}-{n}")).await;
        });
        deleted.buffer_unordered(ENDS).collect::<Vec<()>>().await;
        self.gone(prefix, ENDS).await.into_iter().zip(ends).map(|(gone, end)| late(gone, end)).collect()
    }
}

/// Ends as Daypass states them: at whole seconds, so in as many salvos as there are seconds.
pub fn stated_ends() -> Vec<Timestamp> {
    let first = whole_second(now()) + SignedDuration::from_secs(3);
    let second = |n: usize| SignedDuration::from_secs(i64::try_from(n * ENDS_WITHIN / ENDS).expect("a small number"));
    (0..ENDS).map(|n| first + second(n)).collect()
}

/// Creates the RoleBinding that Daypass would.
pub async fn bind(bindings: &Api<RoleBinding>, name: &str) {
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": { "name": name, "labels": { "bench": "bare" } },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit" },
        "subjects": [{ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "alice" }]
    }))
    .expect("a RoleBinding");
    bindings.create(&PostParams::default(), &binding).await.expect("create a RoleBinding");
}
