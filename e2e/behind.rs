//! A controller that is behind does no harm: what it would do on old news, it asks about first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use daypass::api::State;
use kube::ResourceExt;
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::cast::SOON;
use crate::harness::install::CONTROLLER;
use crate::harness::proxy::{Moment, Read, Way};
use crate::harness::users::{ADMIN, ALICE};
use crate::harness::{Cluster, eventually, private};

/// How often a controller is started for what happens at one start in ten.
const STARTS: usize = 40;

pub fn trials() -> Vec<Trial> {
    vec![
        private("behind::nobody_is_denied_or_revoked_on_old_policies", old_policies),
        private("behind::nothing_is_bound_for_a_request_that_is_gone", gone_request),
        private("behind::a_binding_that_was_made_unseen_is_its_own", made_unseen),
        private("behind::an_end_does_not_wait_for_policies", no_policies),
        private("behind::what_a_pass_wrote_itself_hides_nothing_from_the_next", own_echo),
        private("behind::a_binding_that_another_controller_made_is_left_alone", two_controllers),
        private("behind::a_write_that_comes_late_changes_nothing", late_write),
    ]
}

/// Waits until a controller has asked the API server for a request, and got this answer.
async fn until_asked(cluster: &Cluster, namespace: &str, name: &str, code: u16) {
    eventually(&format!("a controller asks for {name} and is told {code}"), SOON, async || {
        let asked = |event: &&serde_json::Value| {
            event["verb"] == "get"
                && event["user"]["username"] == CONTROLLER
                && event["objectRef"]["resource"] == "accessrequests"
                && event["objectRef"]["namespace"] == namespace
                && event["objectRef"]["name"] == name
                && event["responseStatus"]["code"] == code
        };
        let times = cluster.control_plane.audit_log().iter().filter(asked).count();
        if times > 0 { Ok(()) } else { Err("none has".to_owned()) }
    })
    .await;
}

/// Each start writes that the guard is not tried yet, and hears at that moment that it is: the next pass has to see what
/// the one before wrote, though nobody looks at the echo of it.
async fn own_echo(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("echo").await;
    let nobody = json!([{ "name": "nobody", "approvers": [{ "kind": "User", "name": "nobody" }] }]);
    cluster.allow(&namespace, &namespace, json!({ "approval": { "stages": nobody } })).await;
    cluster.ask(ALICE, &namespace, "waits", json!({})).await;
    for _ in 0..STARTS {
        cluster.controller.restart().await;
        cluster.until_reason(&namespace, "waits", "Approved", "ApprovalNeeded").await;
    }
}

async fn old_policies(cluster: Arc<Cluster>) {
    cluster.controller.kill();
    let (proxy, _controller) = cluster.controller_through_proxy().await;
    let namespace = cluster.namespace("old").await;
    proxy.hold("accesspolicies", Read::Watch);
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "2s" })).await;
    cluster.until(&namespace, "fix", State::Active).await;
    let expired = cluster.until(&namespace, "fix", State::Expired).await;
    cluster.until_events(&expired, &["Granted", "Expired"]).await;
}

async fn gone_request(cluster: Arc<Cluster>) {
    cluster.controller.kill();
    let (proxy, _controller) = cluster.controller_through_proxy().await;
    let namespace = cluster.namespace("gone").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let tried = Arc::new(AtomicBool::new(false));
    let was_tried = tried.clone();
    proxy.watch(move |_, write| {
        if !write.path.ends_with("/rolebindings") {
            return Way::On;
        }
        was_tried.store(true, Ordering::SeqCst);
        Way::Cut
    });
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "1h" })).await;
    eventually("it tries to bind", SOON, async || {
        if tried.load(Ordering::SeqCst) { Ok(()) } else { Err("it does not".to_owned()) }
    })
    .await;
    // From here on the controller tries again and again, for a request that it does not know to be gone.
    proxy.hold("accessrequests", Read::Watch);
    cluster.kubectl(ADMIN).ok(&["delete", "areq", "fix", "-n", &namespace]).await;
    until_asked(&cluster, &namespace, "fix", 404).await;
    proxy.pass_all();
    proxy.release();
    assert!(cluster.our_bindings(&namespace).await.is_empty());
}

/// The answer to the bind is lost, and the watch does not tell of it either.
async fn made_unseen(cluster: Arc<Cluster>) {
    cluster.controller.kill();
    let (proxy, _controller) = cluster.controller_through_proxy().await;
    let namespace = cluster.namespace("unseen").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    proxy.hold("rolebindings", Read::Watch);
    let lost = Arc::new(AtomicBool::new(false));
    let was_lost = lost.clone();
    proxy.watch(move |at, write| {
        let answer = at == Moment::After && write.path.ends_with("/rolebindings");
        if answer && !was_lost.swap(true, Ordering::SeqCst) { Way::Cut } else { Way::On }
    });
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "3s" })).await;
    cluster.until(&namespace, "fix", State::Active).await;
    assert!(lost.load(Ordering::SeqCst), "no answer was lost");
    let expired = cluster.until(&namespace, "fix", State::Expired).await;
    assert!(cluster.our_bindings(&namespace).await.is_empty());
    cluster.until_events(&expired, &["Granted", "Expired"]).await;
}

async fn no_policies(cluster: Arc<Cluster>) {
    cluster.controller.kill();
    let (proxy, controller) = cluster.controller_through_proxy().await;
    let namespace = cluster.namespace("end").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "2s" })).await;
    cluster.until(&namespace, "fix", State::Active).await;
    controller.kill();
    proxy.hold("accesspolicies", Read::List);
    controller.start_again();
    cluster.until(&namespace, "fix", State::Expired).await;
    assert!(cluster.our_bindings(&namespace).await.is_empty());
    let (status, waits) = controller.get("/readyz").await.expect("an answer");
    assert!(status == 503 && waits.contains("accesspolicies"), "{status}: {waits}");
}

async fn two_controllers(cluster: Arc<Cluster>) {
    let (proxy, _controller) = cluster.controller_through_proxy().await;
    let namespace = cluster.namespace("two").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    proxy.hold("accessrequests", Read::Watch);
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "1h" })).await;
    cluster.until(&namespace, "fix", State::Active).await;
    // It sees a binding of a request that it has not heard of.
    until_asked(&cluster, &namespace, "fix", 200).await;
    proxy.release();
    cluster.until(&namespace, "fix", State::Active).await;
    assert_eq!(cluster.our_bindings(&namespace).await.len(), 1);
}

async fn late_write(cluster: Arc<Cluster>) {
    cluster.controller.kill();
    let (proxy, _controller) = cluster.controller_through_proxy().await;
    let namespace = cluster.namespace("late").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let [held, go, sent] = [(); 3].map(|()| Arc::new(AtomicBool::new(false)));
    let (tell_held, may_go, tell_sent) = (held.clone(), go.clone(), sent.clone());
    proxy.watch(move |at, write| {
        if !write.path.ends_with("/accessrequests/fix/status") {
            return Way::On;
        }
        match at {
            Moment::Before if may_go.load(Ordering::SeqCst) => {}
            Moment::Before => {
                tell_held.store(true, Ordering::SeqCst);
                return Way::Wait;
            }
            Moment::After => tell_sent.store(true, Ordering::SeqCst),
        }
        Way::On
    });
    let set = async |what: &str, flag: &AtomicBool| {
        eventually(what, SOON, async || if flag.load(Ordering::SeqCst) { Ok(()) } else { Err("not yet".to_owned()) })
            .await;
    };
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "1s" })).await;
    set("its first write is on the way", &held).await;
    // While it is, another controller takes the request to its end.
    cluster.controller.restart().await;
    let ended = cluster.until(&namespace, "fix", State::Expired).await;
    go.store(true, Ordering::SeqCst);
    set("the late write has arrived", &sent).await;
    let now = cluster.until(&namespace, "fix", State::Expired).await;
    assert_eq!(now.resource_version(), ended.resource_version(), "{:?}", now.status);
}
