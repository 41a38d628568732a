//! Access that nobody uses ends, and only what is proven to be: by the audit logs of every API server there is.

mod heard;
mod stand_in;

use std::sync::Arc;
use std::time::Duration;

use daypass::api::activity::{HeardServer, KnownUse, UseCount, UsesKnown};
use daypass::api::request::{AccessRequest, GrantActivity, GrantUse};
use daypass::api::{State, conditions};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::process::Child;

use self::stand_in::StandInArchive;
use crate::harness::install::Controller;
use crate::harness::users::{ADMIN, ALICE, MALLORY, User};
use crate::harness::wait::now;
use crate::harness::{Cluster, ControlPlane, Daypass, cast, eventually, flagged, webhook};

/// How long it may take until something is proven idle: the timeout, the difference of clocks, and two marks.
const PROVEN: Duration = Duration::from_secs(120);

pub fn trials() -> Vec<Trial> {
    // No endpoint may have a loopback address, so that the API servers listen on others too.
    const FLAGS: &[&str] = &["--bind-address=0.0.0.0"];
    let lies = "idle::an_archive_that_is_away_or_lies_ends_nothing_early_and_makes_nothing_longer";
    let silent = "idle::nothing_ends_while_the_log_of_one_of_two_api_servers_is_silent";
    vec![
        flagged("idle::what_nobody_uses_ends_and_what_is_used_goes_on", FLAGS, |_| None, by_use),
        flagged(lies, FLAGS, |_| None, by_answers),
        flagged(silent, FLAGS, |_| None, heard::by_servers),
    ]
}

/// A cluster whose controller asks an archive.
struct IdleGround {
    cluster: Cluster,
    namespace: String,
}

impl IdleGround {
    /// With one API server and a stand-in of the archive.
    async fn start(control_plane: Arc<ControlPlane>) -> (Self, StandInArchive) {
        let port = control_plane.port();
        let values = ["bindableRoles={deployer}", "archive.enabled=true", "archive.audit.enabled=true"];
        Daypass::install(&control_plane, &values).await;
        cast::give_rights(&control_plane.kubectl(ADMIN)).await;
        tell_api_servers(&control_plane, &[port]).await;
        let archive = StandInArchive::start(&control_plane).await;
        archive.hears(vec![control_plane.audit_log_file()]);
        let controller = Controller::start_with(&control_plane, "controller", &archive.flags()).await;
        let cluster = Cluster { controller, control_plane };
        cast::until_stamped(&cluster.kubectl(MALLORY)).await;
        let namespace = cluster.namespace("shop").await;
        eventually("the audit log is heard for a while", PROVEN, async || {
            let servers = archive.servers();
            if servers.iter().any(is_heard_for_a_while) { Ok(()) } else { Err(format!("{servers:?}")) }
        })
        .await;
        (Self { cluster, namespace }, archive)
    }

    /// Somebody gets a role under a policy of its own that ends what nobody uses for so long.
    async fn grant(&self, who: User, name: &str, timeout: &str, spec: Value) -> AccessRequest {
        let (cluster, namespace) = (&self.cluster, &self.namespace);
        let policy = format!("{namespace}-{name}");
        let subject = json!([{ "kind": "User", "name": who.login }]);
        cluster.allow(&policy, namespace, json!({ "idleTimeout": timeout, "requesters": subject })).await;
        let mut spec = spec;
        spec["policy"] = json!(policy);
        cluster.ask(who, namespace, name, spec).await;
        cluster.until(namespace, name, State::Active).await
    }

    /// What the controller says of API servers: how many there are, and how many are heard.
    async fn servers(&self) -> (f64, f64) {
        let controller = &self.cluster.controller;
        (controller.metric("daypass_api_servers").await, controller.metric("daypass_api_servers_heard").await)
    }

    async fn now(&self, name: &str) -> AccessRequest {
        self.cluster.requests(&self.namespace).await.get(name).await.expect("the request")
    }

    async fn state(&self, name: &str) -> State {
        self.now(name).await.status.expect("a status").state
    }

    /// Waits until it has ended as idle. When.
    async fn ends_as_idle(&self, name: &str) -> Timestamp {
        let ended = eventually("it ends as idle", PROVEN, async || {
            let request = self.now(name).await;
            let status = request.status.clone().expect("a status");
            if status.state.is_final() { Ok(request) } else { Err(json!(status).to_string()) }
        })
        .await;
        let status = ended.status.as_ref().expect("a status");
        let granted = conditions::find(&status.conditions, conditions::GRANTED).expect("a condition");
        assert_eq!((status.state, granted.reason.as_str()), (State::Revoked, "Idle"), "{}", json!(status));
        assert_eq!(status.history.last().expect("an entry").event.as_str(), "Idle");
        self.cluster.until_events(&ended, &["Granted", "Idle"]).await;
        granted.last_transition_time.0
    }

    /// Waits until it is told how access was used.
    async fn told(&self, name: &str) -> GrantActivity {
        eventually("it is told how access was used", PROVEN * 2, async || {
            let status = self.now(name).await.status.expect("a status");
            status.activity.clone().ok_or_else(|| json!(status).to_string())
        })
        .await
    }
}

/// What begins right after the first mark was not wholly heard, since clocks may differ.
fn is_heard_for_a_while(run: &HeardServer) -> bool {
    run.from + SignedDuration::from_secs(12) <= now()
}

/// Waits until the archive was asked about a request so many times.
async fn until_asked(archive: &StandInArchive, request: &AccessRequest, times: usize) {
    let uid = request.uid().expect("a UID");
    eventually("the archive is asked", PROVEN, async || match archive.asked(&uid) {
        asked if asked >= times => Ok(()),
        asked => Err(format!("{asked} times")),
    })
    .await;
}

/// Writes what API servers write themselves that have other addresses than these.
pub async fn tell_api_servers(control_plane: &ControlPlane, ports: &[u16]) {
    let served =
        |(index, port): (usize, &u16)| json!({ "name": format!("https-{index}"), "port": port, "protocol": "TCP" });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": { "name": "kubernetes", "namespace": "default",
            "labels": { "kubernetes.io/service-name": "kubernetes" } },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": [webhook::address()], "conditions": { "ready": true } }],
        "ports": ports.iter().enumerate().map(served).collect::<Vec<_>>()
    });
    control_plane.kubectl(ADMIN).apply_server_side(&slice.to_string()).await;
}

/// A watch that stays open as long as it is not dropped.
fn watch(control_plane: &ControlPlane, namespace: &str) -> Child {
    let kubectl = control_plane.tools().join("kubectl");
    let kubeconfig = control_plane.kubeconfig(ALICE);
    let mut command = tokio::process::Command::new(kubectl);
    command.args(["get", "configmaps", "-n", namespace, "--watch"]).arg("--kubeconfig").arg(kubeconfig);
    command.stdout(std::process::Stdio::null()).kill_on_drop(true).spawn().expect("start kubectl")
}

async fn by_use(control_plane: Arc<ControlPlane>) {
    let (ground, _archive) = IdleGround::start(control_plane).await;
    let (cluster, namespace) = (&ground.cluster, &ground.namespace);
    let view = || json!({ "role": { "name": "edit" } });
    let unused = ground.grant(MALLORY, "unused", "5s", view()).await;
    let began = unused.status.expect("a status").granted_at.expect("a time").0;
    // One person each: the API server names only the first binding that allows a call.
    ground.grant(ALICE, "watched", "5s", view()).await;
    let watching = watch(&cluster.control_plane, namespace);
    let ended = ground.ends_as_idle("unused").await;
    assert!(ended >= began + SignedDuration::from_secs(5), "{ended}");
    assert_eq!(ground.state("watched").await, State::Active, "an open watch is use");
    assert_eq!(ground.told("unused").await, GrantActivity { used: GrantUse::NotUsed, calls: 0, last: None });
    drop(watching);
    let last = now();
    let ended = ground.ends_as_idle("watched").await;
    assert!(ended >= last + SignedDuration::from_secs(5) - SignedDuration::from_secs(1), "{ended}");
    let told = ground.told("watched").await;
    assert!(told.used == GrantUse::Used && told.calls > 0 && told.last.is_some(), "{told:?}");
}

async fn by_answers(control_plane: Arc<ControlPlane>) {
    let port = control_plane.port();
    let (ground, archive) = IdleGround::start(control_plane).await;
    let (cluster, namespace) = (&ground.cluster, &ground.namespace);
    // Away.
    archive.says(Box::new(|_| None));
    let kept = ground.grant(ALICE, "kept", "2s", json!({})).await;
    until_asked(&archive, &kept, 4).await;
    assert_eq!(ground.state("kept").await, State::Active);
    // It says what was true once.
    let run = move |from: Timestamp, until: Timestamp| HeardServer {
        server: format!("{}:{port}", webhook::address()),
        from,
        until,
    };
    let hours = SignedDuration::from_hours;
    archive.says(Box::new(move |_| {
        Some(UsesKnown { servers: vec![run(now() - hours(9), now() - hours(1))], uses: Vec::new() })
    }));
    until_asked(&archive, &kept, 3).await;
    assert_eq!(ground.state("kept").await, State::Active);
    // It says that all is heard, also what is yet to come, and that nothing is used: not before the timeout.
    let all_idle = move |ahead: SignedDuration| -> stand_in::Saying {
        Box::new(move |_| Some(UsesKnown { servers: vec![run(now() - hours(9), now() + ahead)], uses: Vec::new() }))
    };
    archive.says(all_idle(hours(1)));
    until_asked(&archive, &kept, 3).await;
    assert_eq!(ground.state("kept").await, State::Active, "nobody has heard what is yet to come");
    archive.says(all_idle(SignedDuration::ZERO));
    ground.ends_as_idle("kept").await;
    let long = ground.grant(MALLORY, "long", "20s", json!({})).await;
    let began = long.status.as_ref().and_then(|status| status.granted_at.clone()).expect("a time").0;
    let ended = ground.ends_as_idle("long").await;
    assert!(ended >= began + SignedDuration::from_secs(20), "{ended}");
    // It says that one is used for ever: that makes it no longer than it was to be.
    archive.says(Box::new(move |asked| {
        let later = Some(now() + hours(9));
        let used = |uid: &String| KnownUse {
            uid: uid.clone(),
            count: UseCount { calls: 1, first: later, last: later, ..UseCount::default() },
            open: 9,
            open_beside: 0,
        };
        let uses = asked.requests.iter().map(used).collect();
        Some(UsesKnown { servers: vec![run(now() - hours(9), now())], uses })
    }));
    ground.grant(ALICE, "used", "2s", json!({ "duration": "8s" })).await;
    let over = cluster.until(namespace, "used", State::Expired).await;
    let status = over.status.expect("a status");
    assert_eq!(
        status.expires_at.expect("an end").0,
        status.granted_at.expect("a time").0 + SignedDuration::from_secs(8)
    );
}
