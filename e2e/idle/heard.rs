//! The archive itself, a tail, and two API servers of which one is silent at first: neither silence nor what somebody makes up
//! ends access, and nothing that is made up keeps it.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use daypass::api::State;
use daypass::api::activity::{USES_PATH, UsesAsked, UsesKnown};
use daypass::api::request::{AccessRequest, GrantUse};
use http::Request;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::interval;

use super::{IdleGround, PROVEN, is_heard_for_a_while, tell_api_servers};
use crate::harness::archive::RunningArchive;
use crate::harness::control_plane::SecondApiServer;
use crate::harness::install::NAMESPACE;
use crate::harness::tail::{AUDIENCE, RunningTail, TAIL};
use crate::harness::users::{ADMIN, ALICE, EVE, MALLORY, User};
use crate::harness::{ControlPlane, eventually, webhook};
use crate::outbox::Recorded;

/// Time between two calls of somebody who calls all the time.
const OFTEN: Duration = Duration::from_secs(1);
/// By then a grant with a timeout of two seconds would have ended, if anybody said that all are heard: the difference of clocks,
/// two marks, and two questions of the controller.
const LONG_ENOUGH: SignedDuration = SignedDuration::from_secs(45);

/// An archive that hears the log of one of two API servers.
struct HeardGround {
    // Dropped before the control plane that they work on.
    _tail: RunningTail,
    archive: RunningArchive,
    second: SecondApiServer,
    /// Calls the archive itself, as the controller.
    controller: Client,
    /// The same, as what feeds the audit log.
    feeder: Client,
    ground: IdleGround,
}

/// What goes on until it is dropped.
struct Ongoing(JoinHandle<()>);

impl Drop for Ongoing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Makes a call again and again. That one fails is no matter of what is tried.
fn often(client: &Client, call: impl Fn() -> Request<Vec<u8>> + Send + 'static) -> Ongoing {
    let client = client.clone();
    Ongoing(tokio::spawn(async move {
        let mut ticks = interval(OFTEN);
        loop {
            ticks.tick().await;
            let _ = client.request::<Value>(call()).await;
        }
    }))
}

impl HeardGround {
    async fn start(control_plane: Arc<ControlPlane>) -> Self {
        let second = control_plane.start_second_api_server().await;
        tell_api_servers(&control_plane, &[control_plane.port(), second.port]).await;
        let values = ["archive.audit.enabled=true", "archive.audit.tail.enabled=true"];
        let Recorded { cluster, archive } = Recorded::start(control_plane, None, &values).await;
        let tail = RunningTail::start(&cluster.control_plane, &archive).await;
        let admin = cluster.kubectl(ADMIN);
        let caller = async |account: &str, audience: &str| {
            let audience = format!("--audience={audience}");
            let token = admin.ok(&["create", "token", account, "-n", NAMESPACE, &audience]).await;
            archive.client(token.trim())
        };
        let (controller, feeder) = (caller("daypass", "daypass-archive").await, caller(TAIL, AUDIENCE).await);
        let namespace = cluster.namespace("shop").await;
        let ground = IdleGround { cluster, namespace };
        Self { _tail: tail, archive, second, controller, feeder, ground }
    }

    /// Somebody reads what the canary reads, and calls themselves the canary of the second of nine API servers.
    async fn forges(&self, who: User) -> Ongoing {
        let agent = format!("daypass-canary/1 api-server={} api-servers=9", self.silent());
        let path = format!("/apis/daypass.dev/v1alpha1/namespaces/{NAMESPACE}/accessrequests/daypass-canary");
        let call = move || Request::get(&path).header("user-agent", &agent).body(Vec::new()).expect("a call");
        often(&self.ground.cluster.client(who).await, call)
    }

    /// Somebody lists ConfigMaps all the time.
    async fn works(&self, who: User) -> Ongoing {
        let path = format!("/api/v1/namespaces/{}/configmaps", self.ground.namespace);
        let call = move || Request::get(&path).body(Vec::new()).expect("a call");
        often(&self.ground.cluster.client(who).await, call)
    }

    /// From now on the log of the second API server arrives.
    fn is_heard(&self) -> Ongoing {
        let log = self.second.audit_file.clone();
        let call = move || {
            let text = fs::read_to_string(&log).unwrap_or_default();
            let whole = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
            Request::post("/v1/audit/events").body(whole.as_bytes().to_vec()).expect("a call")
        };
        often(&self.feeder, call)
    }

    /// The address of the second API server.
    fn silent(&self) -> String {
        format!("{}:{}", webhook::address(), self.second.port)
    }

    /// What a controller is answered about a grant.
    async fn known(&self, request: Option<&AccessRequest>) -> Result<UsesKnown, String> {
        let asked = UsesAsked { requests: request.and_then(ResourceExt::uid).into_iter().collect() };
        let call = Request::post(USES_PATH).body(json!(asked).to_string().into_bytes()).expect("a call");
        self.controller.request(call).await.map_err(|error| error.to_string())
    }

    /// Waits until one API server was heard until then. The other never is.
    async fn one_is_heard_until(&self, at: Timestamp) {
        eventually("one API server is heard for that long", PROVEN, async || {
            let servers = self.known(None).await?.servers;
            assert!(servers.iter().all(|run| run.server != self.silent()), "{servers:?}");
            if servers.iter().any(|run| run.until >= at) { Ok(()) } else { Err(format!("{servers:?}")) }
        })
        .await;
    }

    /// What the archive tells people of a grant.
    async fn told(&self, request: &AccessRequest) -> Value {
        let path = format!("/apis/archive.daypass.dev/v1/activity?request={}", request.uid().expect("a UID"));
        let answer = self.ground.cluster.kubectl(ADMIN).ok(&["get", "--raw", &path]).await;
        serde_json::from_str::<Value>(&answer).expect("JSON")["items"][0].clone()
    }
}

pub(super) async fn by_servers(control_plane: Arc<ControlPlane>) {
    let mut heard = HeardGround::start(control_plane).await;
    let forged = heard.forges(ALICE).await;
    // Standing access of eve's, which RBAC names before any grant in a namespace.
    let admin = heard.ground.cluster.kubectl(ADMIN);
    admin.ok(&["create", "clusterrolebinding", "eve-views", "--clusterrole=view", "--user=eve"]).await;
    eventually("the audit log of one is heard for a while", PROVEN, async || {
        let servers = heard.known(None).await?.servers;
        if servers.iter().any(is_heard_for_a_while) { Ok(()) } else { Err(format!("{servers:?}")) }
    })
    .await;
    let used = heard.ground.grant(ALICE, "used", "2s", json!({})).await;
    let unused = heard.ground.grant(MALLORY, "unused", "2s", json!({})).await;
    let beside = heard.ground.grant(EVE, "beside", "2s", json!({})).await;
    let began = beside.status.as_ref().and_then(|status| status.granted_at.as_ref()).expect("a time").0;
    // What is done by the second stands in its log alone, and nobody hears that yet.
    let by_second = heard.ground.cluster.control_plane.kubectl_with(&heard.second.kubeconfig(ALICE));
    by_second.ok(&["get", "configmaps", "-n", &heard.ground.namespace]).await;
    let works = heard.works(EVE).await;

    heard.one_is_heard_until(began + LONG_ENOUGH).await;
    for name in ["used", "unused", "beside"] {
        assert_eq!(heard.ground.state(name).await, State::Active, "{name} has ended, and one API server is silent");
    }
    assert_eq!(heard.ground.servers().await, (2.0, 1.0));
    for request in [&unused, &beside] {
        assert_eq!(heard.told(request).await["known"], "Unknown");
    }

    // It arrives, to an archive that was away.
    heard.archive.kill();
    heard.archive.run().await;
    let arrives = heard.is_heard();
    let ended = heard.ground.ends_as_idle("unused").await;
    assert_eq!(heard.ground.servers().await, (2.0, 2.0));
    assert_eq!(heard.ground.state("beside").await, State::Active, "eve works, by whatever allows it");
    drop((forged, works));
    heard.ground.ends_as_idle("beside").await;

    let told = heard.ground.told("unused").await;
    assert_eq!((told.used, told.calls), (GrantUse::NotUsed, 0), "ended at {ended}");
    let told = heard.ground.told("beside").await;
    assert_eq!((told.used, told.calls), (GrantUse::Redundant, 0));
    assert_eq!(heard.ground.told("used").await.used, GrantUse::Used);
    for (request, known) in [(&unused, "NotUsed"), (&beside, "Redundant"), (&used, "Used")] {
        let told = heard.told(request).await;
        assert_eq!(told["known"], known, "{told}");
    }
    drop(arrives);
}
