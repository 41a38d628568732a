//! What a running controller tells those who operate it: figures, logs, probes; and how it ends when it is asked to.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use daypass::api::State;
use daypass::api::record::SCHEMA;
use kube::ResourceExt;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::cast::SOON;
use crate::harness::install::NAMESPACE;
use crate::harness::plugin::Plugin;
use crate::harness::proxy::{Moment, Way};
use crate::harness::users::{ADMIN, ALICE, BOB, CAROL, DAVE};
use crate::harness::{Cluster, Controller, eventually, private};

pub fn trials() -> Vec<Trial> {
    vec![
        private("operate::figures_tell_a_known_story_and_name_nobody", figures),
        private("operate::each_stage_that_people_decide_is_told_once_and_goes_with_its_policy", stages),
        private("operate::every_log_line_about_a_request_has_its_uid", logs),
        private("operate::liveness_does_not_depend_on_the_cluster", probes),
        private("operate::a_kubelet_has_no_failed_probe_to_tell_of_at_a_start", first_probe),
        private("operate::a_pass_under_way_is_finished_when_asked_to_stop", finished),
        private("operate::what_is_announced_is_sent_until_it_is_there", announced),
    ]
}

const DECIDED: [&str; 4] = ["Granted", "Denied", "Expired", "Revoked"];

/// A leader that outlives any outage of a trial.
const PATIENT: [&str; 2] = ["--lease-duration=300s", "--lease-renew-deadline=240s"];

async fn figures(cluster: Arc<Cluster>) {
    // The canary asks too, and is denied before anything is counted here.
    cluster.until(NAMESPACE, "daypass-canary", State::Denied).await;
    cluster.controller.terminate().await;
    let controller = cluster.replica("one", &PATIENT).await;
    let figure = |name: &str| {
        let name = name.to_owned();
        let controller = &controller;
        async move { controller.metric(&name).await }
    };
    let decided = async || {
        let mut all = HashMap::new();
        for reason in DECIDED {
            all.insert(reason, figure(&format!("daypass_decisions_total{{reason=\"{reason}\"}}")).await);
        }
        all
    };
    let namespace = cluster.namespace("nobody").await;
    let before = decided().await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "lumen", json!({ "duration": "2s" })).await;
    cluster.ask(ALICE, &namespace, "umbra", json!({ "duration": "1h" })).await;
    cluster.ask(ALICE, &namespace, "vesper", json!({ "duration": "1h" })).await;
    cluster.ask(ALICE, &namespace, "zenith", json!({ "role": { "name": "admin" } })).await;
    cluster.until(&namespace, "lumen", State::Expired).await;
    cluster.until(&namespace, "umbra", State::Active).await;
    cluster.until(&namespace, "vesper", State::Active).await;
    cluster.until(&namespace, "zenith", State::Denied).await;
    assert_eq!(figure(r#"daypass_requests{state="Active"}"#).await, 2.0);
    assert_eq!(figure("daypass_live_grants").await, 2.0);
    cluster.review(ALICE, &namespace, "vesper", "Revoke", "no more").await;
    cluster.until(&namespace, "vesper", State::Revoked).await;

    let after = decided().await;
    for (reason, times) in [("Granted", 3.0), ("Denied", 1.0), ("Expired", 1.0), ("Revoked", 1.0)] {
        assert_eq!(after[reason] - before[reason], times, "{reason}");
    }
    for (state, n) in [("Active", 1.0), ("Expired", 1.0), ("Revoked", 1.0), ("Denied", 2.0), ("Failed", 0.0)] {
        assert_eq!(figure(&format!("daypass_requests{{state=\"{state}\"}}")).await, n, "{state}");
    }
    for (name, n) in [
        ("daypass_leader", 1.0),
        ("daypass_live_grants", 1.0),
        ("daypass_overdue_grants", 0.0),
        ("daypass_foreign_bindings", 0.0),
        ("daypass_grant_seconds_count", 3.0),
        ("daypass_revoke_lateness_seconds_count", 1.0),
        ("daypass_revoke_seconds_count", 1.0),
        ("daypass_queue_depth", 0.0),
        ("daypass_clock_difference_seconds", 0.0),
    ] {
        assert_eq!(figure(name).await, n, "{name}");
    }
    for took in ["daypass_grant_seconds_sum", "daypass_revoke_lateness_seconds_sum", "daypass_revoke_seconds_sum"] {
        let seconds = figure(took).await;
        assert!(seconds > 0.0 && seconds < SOON.as_secs_f64(), "{took} is {seconds}");
    }
    // A status for each transition, three bindings made and two taken away.
    assert!(figure(r#"daypass_api_calls_total{verb="patch",code="200"}"#).await >= 6.0);
    assert!(figure(r#"daypass_api_calls_total{verb="create",code="201"}"#).await >= 3.0);
    assert!(figure(r#"daypass_api_calls_total{verb="delete",code="200"}"#).await >= 2.0);
    assert!(figure(r#"daypass_api_calls_total{verb="watch",code="200"}"#).await >= 6.0);
    overdue(&cluster, &controller, &namespace).await;

    let (_, text) = controller.get("/metrics").await.expect("an answer");
    let version = format!("daypass_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
    assert!(text.contains(&version), "{text}");
    for word in
        ["alice", "gitops", "dev\"", "lumen", "umbra", "vesper", "zenith", &namespace, "daypass-system", "canary"]
    {
        assert!(!text.contains(word), "{word} is in {text}");
    }
}

/// An end that comes while nothing can be written shows as overdue, until it is made good.
async fn overdue(cluster: &Cluster, controller: &Controller, namespace: &str) {
    cluster.ask(ALICE, namespace, "late", json!({ "duration": "3s" })).await;
    cluster.until(namespace, "late", State::Active).await;
    cluster.control_plane.stop_api_server();
    let until = async |n: f64| {
        eventually(&format!("{n} grants are overdue"), SOON, async || {
            let now = controller.metric("daypass_overdue_grants").await;
            if now == n { Ok(()) } else { Err(format!("{now} are")) }
        })
        .await;
    };
    until(1.0).await;
    eventually("the passes that fail and the calls that nobody answers are counted", SOON, async || {
        let (_, text) = controller.get("/metrics").await?;
        let failed = controller.metric(r#"daypass_pass_errors_total{kind="api"}"#).await >= 1.0;
        let unanswered = text.contains(r#"daypass_api_calls_total{verb="delete",code="none"}"#);
        if failed && unanswered { Ok(()) } else { Err(text) }
    })
    .await;
    cluster.control_plane.start_api_server().await;
    cluster.until(namespace, "late", State::Expired).await;
    until(0.0).await;
}

/// How many stages of this policy were decided so, by the replica that runs; none where it shows nothing of it.
async fn decided(cluster: &Cluster, stage: &str, outcome: &str) -> Option<f64> {
    let (_, text) = cluster.controller.get("/metrics").await.expect("an answer");
    let sample =
        format!("daypass_stage_decision_seconds_count{{policy=\"staged\",stage=\"{stage}\",outcome=\"{outcome}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&sample)?.parse().ok())
}

/// Waits until that many were. What a write tells is told when it is answered, so that others may see the write before.
async fn until_decided(cluster: &Cluster, stage: &str, outcome: &str, n: f64) {
    eventually(&format!("{n} stages {stage} were {outcome}"), SOON, async || {
        let now = decided(cluster, stage, outcome).await;
        if now == Some(n) { Ok(()) } else { Err(format!("{now:?} were")) }
    })
    .await;
}

async fn stages(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("stages").await;
    let shows_none = async || {
        let (_, text) = cluster.controller.get("/metrics").await.expect("an answer");
        assert!(!text.contains("daypass_stage_decision_seconds_count"), "{text}");
    };
    cluster.allow("at-once", &namespace, json!({ "roles": [{ "name": "view" }] })).await;
    let stages = json!([
        { "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] },
        { "name": "sre", "approvers": [{ "kind": "User", "name": "dave" }] },
    ]);
    cluster.allow("staged", &namespace, json!({ "approval": { "stages": stages } })).await;
    cluster.ask(ALICE, &namespace, "auto", json!({ "role": { "name": "view" } })).await;
    cluster.until(&namespace, "auto", State::Active).await;
    shows_none().await;

    for name in ["lumen", "umbra", "vesper"] {
        cluster.ask(ALICE, &namespace, name, json!({})).await;
        cluster.until_reason(&namespace, name, "Approved", "ApprovalNeeded").await;
    }
    until_decided(&cluster, "leads", "approved", 0.0).await;
    assert_eq!(decided(&cluster, "sre", "approved").await, None, "no such stage waits");
    cluster.review(BOB, &namespace, "lumen", "Approve", "yes").await;
    until_decided(&cluster, "leads", "approved", 1.0).await;
    cluster.review(CAROL, &namespace, "umbra", "Deny", "no").await;
    cluster.until(&namespace, "umbra", State::Denied).await;
    cluster.review(ALICE, &namespace, "vesper", "Revoke", "no more").await;
    cluster.until(&namespace, "vesper", State::Revoked).await;
    until_decided(&cluster, "leads", "denied", 1.0).await;
    assert_eq!(decided(&cluster, "leads", "approved").await, Some(1.0));
    assert_eq!(decided(&cluster, "leads", "lapsed").await, Some(0.0));
    assert_eq!(decided(&cluster, "sre", "approved").await, Some(0.0), "it waits");
    let report = Plugin::of(&cluster, CAROL).done(&["report", "decisions", "-n", &namespace, "-o", "json"]).await;
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let of_leads = &report["stages"][0];
    assert_eq!(json!([of_leads["stage"], of_leads["answered"], of_leads["denied"]]), json!(["leads", 2, 1]));

    // What was told is not told again, and what waits still is when it is decided.
    cluster.controller.terminate().await;
    cluster.controller.restart().await;
    shows_none().await;
    cluster.review(DAVE, &namespace, "lumen", "Approve", "yes").await;
    cluster.until(&namespace, "lumen", State::Active).await;
    until_decided(&cluster, "sre", "approved", 1.0).await;
    assert_eq!(decided(&cluster, "leads", "approved").await, None);
    let waited = r#"daypass_stage_decision_seconds_sum{policy="staged",stage="sre",outcome="approved"}"#;
    assert!(cluster.controller.metric(waited).await > 0.0);

    cluster.kubectl(ADMIN).ok(&["delete", "apol", "staged"]).await;
    eventually("the series go with their policy", SOON, async || match decided(&cluster, "sre", "approved").await {
        None => Ok(()),
        Some(n) => Err(format!("{n}")),
    })
    .await;
}

async fn logs(cluster: Arc<Cluster>) {
    cluster.controller.terminate().await;
    let (proxy, controller) = cluster
        .replica_through_proxy(
            "one",
            &["--cluster=eu-1", "--log=debug,hyper=off,rustls=off,tower=off,kube_client=info,h2=off"],
        )
        .await;
    let namespace = cluster.namespace("logs").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    // One pass fails, and is told of.
    let failed = Arc::new(AtomicBool::new(false));
    let flag = failed.clone();
    proxy.watch(move |_, write| {
        let first = write.path.ends_with("/rolebindings") && !flag.swap(true, Ordering::SeqCst);
        if first { Way::Cut } else { Way::On }
    });
    let names = ["lumen", "umbra", "vesper", "zenith"];
    cluster.ask(ALICE, &namespace, "lumen", json!({ "duration": "4s" })).await;
    cluster.ask(ALICE, &namespace, "umbra", json!({ "duration": "1h" })).await;
    cluster.ask(ALICE, &namespace, "vesper", json!({ "duration": "1h" })).await;
    cluster.ask(ALICE, &namespace, "zenith", json!({ "role": { "name": "admin" } })).await;
    let mut uids = HashMap::new();
    for (name, state) in names.into_iter().zip([State::Active, State::Active, State::Active, State::Denied]) {
        uids.insert(name, cluster.until(&namespace, name, state).await.uid().expect("a UID"));
    }
    assert!(failed.load(Ordering::SeqCst));
    // Somebody without a say, a binding taken away by hand, a request taken away.
    cluster.review(BOB, &namespace, "umbra", "Revoke", "mine").await;
    let binding = format!("daypass-{}", uids["umbra"]);
    cluster.kubectl(ADMIN).ok(&["delete", "rolebinding", &binding, "-n", &namespace]).await;
    cluster.until(&namespace, "umbra", State::Revoked).await;
    cluster.kubectl(ADMIN).ok(&["delete", "areq", "vesper", "-n", &namespace]).await;
    cluster.until(&namespace, "lumen", State::Expired).await;
    cluster.until_unbound(&namespace).await;
    assert!(controller.terminate().await.success());

    let log = controller.log();
    let mut line_counts: HashMap<&str, usize> = HashMap::new();
    for line in log.lines() {
        let parsed: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        // Records are on standard output, and the log is not.
        if parsed["schema"] == SCHEMA {
            continue;
        }
        assert_eq!(parsed["cluster"], "eu-1", "{line}");
        for name in names.into_iter().filter(|name| line.contains(name)) {
            assert_eq!(parsed["uid"], *uids[name], "{line}");
            *line_counts.entry(name).or_default() += 1;
        }
    }
    assert!(names.iter().all(|name| line_counts.get(name).is_some_and(|lines| *lines >= 1)), "{line_counts:?}");
    let failure = log.lines().find(|line| line.contains("pass failed")).expect("a line about the pass that failed");
    assert!(names.iter().any(|name| failure.contains(&uids[name])), "{failure}");
}

async fn probes(cluster: Arc<Cluster>) {
    cluster.controller.kill();
    cluster.control_plane.stop_api_server();
    cluster.controller.start_again();
    let answers = async |path: &str, status: u16, words: &[&str]| {
        eventually(&format!("{path} answers {status} with {words:?}"), SOON, async || {
            let (code, body) = cluster.controller.get(path).await?;
            let complete = code == status && words.iter().all(|word| body.contains(word));
            if complete { Ok(()) } else { Err(format!("{code}: {body}")) }
        })
        .await;
    };
    answers("/livez", 200, &["ok"]).await;
    answers("/readyz", 503, &["accessrequests", "accesspolicies", "guard (", "lease ("]).await;
    assert_eq!(cluster.controller.metric("daypass_leader").await, 0.0);
    cluster.control_plane.start_api_server().await;
    answers("/readyz", 200, &["ok: leads"]).await;
    // One that leads is alive too when it can reach nobody, for as long as it may hope.
    cluster.control_plane.stop_api_server();
    answers("/livez", 200, &["ok"]).await;
    cluster.control_plane.start_api_server().await;
    cluster.controller.revive();
    answers("/readyz", 200, &["ok: leads"]).await;
}

/// Asks as a kubelet does, as soon as the container runs: an answer other than 200 becomes an Event, and is asked for again
/// after the period.
async fn first_probe(cluster: Arc<Cluster>) {
    let probe = ["get", "deployment", "daypass", "-n", NAMESPACE, "-o"];
    let probe = [&probe[..], &["jsonpath={.spec.template.spec.containers[0].readinessProbe}"]].concat();
    let probe: Value = serde_json::from_str(&cluster.kubectl(ADMIN).ok(&probe).await).expect("a probe");
    let seconds = |field: &str| Duration::from_secs(probe[field].as_u64().expect("seconds"));
    let path = probe["httpGet"]["path"].as_str().expect("a path");
    let wait =
        path.split_once("wait=").and_then(|(_, wait)| wait.parse().ok()).map_or(Duration::ZERO, Duration::from_secs);
    assert!(seconds("timeoutSeconds") > wait, "{probe}: a kubelet gives up before it is answered");
    assert!(seconds("periodSeconds") <= Duration::from_secs(2), "{probe}");

    cluster.controller.start_again();
    let began = Instant::now();
    let (status, body) = eventually("the controller listens", SOON, async || cluster.controller.get(path).await).await;
    let patient = !wait.is_zero() && began.elapsed() >= wait;
    assert!(status == 200 || patient, "{status} after {:?}: {body}", began.elapsed());
}

async fn finished(cluster: Arc<Cluster>) {
    cluster.controller.terminate().await;
    let (proxy, controller) = cluster.replica_through_proxy("one", &[]).await;
    let namespace = cluster.namespace("finish").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let [held, go] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let (flag, may_go) = (held.clone(), go.clone());
    proxy.watch(move |at, write| {
        if at == Moment::After || !write.path.ends_with("/rolebindings") || may_go.load(Ordering::SeqCst) {
            return Way::On;
        }
        flag.store(true, Ordering::SeqCst);
        Way::Wait
    });
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "1h" })).await;
    let shown = async |what: &str, check: &dyn Fn() -> bool| {
        eventually(what, SOON, async || if check() { Ok(()) } else { Err("not yet".to_owned()) }).await;
    };
    shown("a binding is on its way", &|| held.load(Ordering::SeqCst)).await;
    controller.ask_to_end();
    shown("it has heard that it should stop", &|| controller.log().contains("asked to stop")).await;
    go.store(true, Ordering::SeqCst);
    assert!(controller.end().await.success(), "{}", controller.log());
    // Nobody else was there to write this.
    let granted = cluster.until(&namespace, "fix", State::Active).await;
    cluster.until_events(&granted, &["Granted"]).await;
    let holder = ["get", "lease", "daypass", "-n", NAMESPACE, "-o", "jsonpath={.spec.holderIdentity}"];
    let holder = cluster.kubectl(ADMIN).ok(&holder).await;
    assert_eq!(holder, "", "the lease is given back");
}

async fn announced(cluster: Arc<Cluster>) {
    cluster.controller.terminate().await;
    let (proxy, controller) = cluster.replica_through_proxy("one", &[]).await;
    let namespace = cluster.namespace("told").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let [sent, stored] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let (sending, storing) = (sent.clone(), stored.clone());
    let path = format!("/namespaces/{namespace}/events");
    proxy.watch(move |at, write| {
        // The first is lost on its way, the next one's answer on the way back.
        let cut = write.path.ends_with(&path)
            && match at {
                Moment::Before => sending.fetch_add(1, Ordering::SeqCst) == 0,
                Moment::After => storing.fetch_add(1, Ordering::SeqCst) == 0,
            };
        if cut { Way::Cut } else { Way::On }
    });
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "1h" })).await;
    let granted = cluster.until(&namespace, "fix", State::Active).await;
    cluster.until_events(&granted, &["Granted"]).await;
    let counts = || [&sent, &stored].map(|count| count.load(Ordering::SeqCst));
    eventually("it has heard that the Event is there", SOON, async || {
        if counts() == [3, 2] { Ok(()) } else { Err(format!("sent and answered: {:?}", counts())) }
    })
    .await;
    assert!(controller.terminate().await.success(), "{}", controller.log());
    assert_eq!(counts(), [3, 2], "nothing is sent again that is there");
    assert!(!controller.log().contains("cannot send an Event"), "{}", controller.log());
}
