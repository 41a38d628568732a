//! A running grant is made longer: the end moves by what policy and approvers allow, and access has no gap.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use daypass::api::subject::RoleName;
use daypass::api::{AccessRequest, RoleKind, State};
use daypass::core::decision::answer::Lapse;
use daypass::core::decision::shortfall::Shortfall;
use daypass::core::lifecycle::extension::{NotExtendable, WhyNot};
use daypass::core::lifecycle::hindrance::Hindrance;
use daypass::core::model::field_error::FieldError;
use daypass::core::model::problem::RequestProblem;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::cast::{SOON, falls_short, no_longer, why_over};
use crate::harness::proxy::{Way, deaths};
use crate::harness::users::{ALICE, CAROL, EVE};
use crate::harness::wait::now;
use crate::harness::{Cluster, eventually, private, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("extend::moves_the_end_and_leaves_no_gap", no_gap),
        shared("extend::what_the_policy_does_not_allow_is_denied", not_allowed),
        shared("extend::when_the_grant_ends_first_it_lapses", too_late),
        private("extend::killed_at_every_write_it_happens_once", killed_at_every_write),
    ]
}

/// A policy in a namespace of its own, with one stage if `asks`, and extensions of up to an hour.
async fn allowed(cluster: &Cluster, asks: bool, count: i64) -> String {
    let namespace = cluster.namespace("extend").await;
    let mut spec = json!({ "extension": { "max": "1h", "count": count } });
    if asks {
        let approvers = json!([{ "kind": "Group", "name": "approvers" }]);
        spec["approval"] = json!({ "stages": [{ "name": "leads", "approvers": approvers }] });
    }
    cluster.allow(&namespace, &namespace, spec).await;
    namespace
}

fn more(of: &str, duration: &str) -> Value {
    json!({ "extends": of, "duration": duration })
}

/// Why an extension is denied that cannot be one.
fn not_extendable(of: &str, why: WhyNot) -> String {
    Hindrance::NotExtendable { why: NotExtendable { of: of.to_owned(), why }, could: false }.to_string()
}

fn end(request: &AccessRequest) -> Timestamp {
    request.status.as_ref().unwrap().expires_at.as_ref().unwrap().0
}

/// How often the binding of a request was created and deleted.
fn created_and_deleted(cluster: &Cluster, request: &AccessRequest) -> [usize; 2] {
    let name = format!("daypass-{}", request.uid().unwrap());
    ["create", "delete"].map(|verb| cluster.times_done(verb, "rolebindings", &name))
}

async fn no_gap(cluster: Arc<Cluster>) {
    let namespace = allowed(&cluster, true, 1).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "30s" })).await;
    cluster.until_reason(&namespace, "fix", "Approved", "ApprovalNeeded").await;
    cluster.review(CAROL, &namespace, "fix", "Approve", "go ahead").await;
    let granted = cluster.until(&namespace, "fix", State::Active).await;
    let binding = cluster.our_bindings(&namespace).await.remove(0);

    cluster.ask(ALICE, &namespace, "more", more("fix", "5s")).await;
    cluster.until_reason(&namespace, "more", "Approved", "ApprovalNeeded").await;
    assert_eq!(end(&cluster.until(&namespace, "fix", State::Active).await), end(&granted), "nobody has approved it");
    cluster.review(CAROL, &namespace, "more", "Approve", "it takes longer").await;
    let extended = cluster.until(&namespace, "more", State::Extended).await;
    let running = cluster.until(&namespace, "fix", State::Active).await;
    let later = end(&granted) + SignedDuration::from_secs(5);
    assert_eq!(end(&running), later);
    let status = running.status.clone().unwrap();
    assert_eq!((status.extensions[0].name.as_str(), status.extensions[0].from.0), ("more", end(&granted)));
    let done = Hindrance::Extended { of: "fix".to_owned(), from: end(&granted), to: later };
    assert_eq!(extended.status.unwrap().message.unwrap(), done.to_string());
    // One binding carries it all, with the new end on it for people.
    eventually("the binding names the new end", SOON, async || {
        let now = cluster.our_bindings(&namespace).await.remove(0);
        assert_eq!(now.uid(), binding.uid());
        let until = now.annotations()["daypass.dev/expires-at"].clone();
        if until == later.to_string() { Ok(()) } else { Err(until) }
    })
    .await;

    eventually(
        "the first end is past",
        SOON,
        async || {
            if now() > end(&granted) { Ok(()) } else { Err("not yet".to_owned()) }
        },
    )
    .await;
    assert!(cluster.kubectl(ALICE).can_i("create", "pods", Some(&namespace)).await);
    let expired = cluster.until(&namespace, "fix", State::Expired).await;
    assert!(!cluster.kubectl(ALICE).can_i("create", "pods", Some(&namespace)).await);
    cluster.until_events(&expired, &["ApprovalNeeded", "Reviewed", "Granted", "Extended", "Expired"]).await;
    assert_eq!(created_and_deleted(&cluster, &expired), [1, 1], "the binding was there all the time");
}

async fn not_allowed(cluster: Arc<Cluster>) {
    let namespace = allowed(&cluster, false, 1).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "1h" })).await;
    let granted = cluster.until(&namespace, "fix", State::Active).await;
    let edit = RoleName { kind: RoleKind::ClusterRole, name: "edit".to_owned() };
    let itself = FieldError::new("spec.extends", RequestProblem::ExtendsItself);
    let [asked, most] = [2, 1].map(SignedDuration::from_hours);
    let too_long = falls_short(&namespace, [Shortfall::ExtensionLength { asked, most }]);
    for (user, name, spec, why) in [
        (EVE, "of-another", more("fix", "10m"), not_extendable("fix", WhyNot::OtherPerson)),
        (ALICE, "of-nothing", more("nothing", "10m"), not_extendable("nothing", WhyNot::NotThere)),
        (ALICE, "of-itself", more("of-itself", "10m"), itself.to_string()),
        (ALICE, "too-long", more("fix", "2h"), too_long.to_string()),
        (
            ALICE,
            "other-role",
            json!({ "extends": "fix", "role": { "name": "view" } }),
            not_extendable("fix", WhyNot::OtherRole(edit)),
        ),
    ] {
        cluster.ask(user, &namespace, name, spec).await;
        let denied = cluster.until(&namespace, name, State::Denied).await.status.unwrap();
        assert_eq!(why_over(&denied), why, "{name}");
    }
    assert_eq!(end(&cluster.until(&namespace, "fix", State::Active).await), end(&granted));
    // What is allowed comes through beside all that, and with it everything that hangs on the policy.
    cluster.ask(ALICE, &namespace, "more", more("fix", "10m")).await;
    cluster.until(&namespace, "more", State::Extended).await;
    cluster.ask(ALICE, &namespace, "again", more("fix", "10m")).await;
    let denied = cluster.until(&namespace, "again", State::Denied).await.status.unwrap();
    assert_eq!(why_over(&denied), falls_short(&namespace, [Shortfall::Extensions(1)]).to_string());
    cluster.allow(&namespace, &namespace, json!({})).await;
    let revoked = cluster.until(&namespace, "fix", State::Revoked).await.status.unwrap();
    assert_eq!(why_over(&revoked), no_longer(&namespace, Shortfall::Extension).to_string());
    assert!(!cluster.kubectl(ALICE).can_i("create", "pods", Some(&namespace)).await);
}

async fn too_late(cluster: Arc<Cluster>) {
    let namespace = allowed(&cluster, true, 1).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "12s" })).await;
    cluster.review(CAROL, &namespace, "fix", "Approve", "").await;
    cluster.until(&namespace, "fix", State::Active).await;
    cluster.ask(ALICE, &namespace, "more", more("fix", "1h")).await;
    cluster.until_reason(&namespace, "more", "Approved", "ApprovalNeeded").await;
    cluster.until(&namespace, "fix", State::Expired).await;
    let lapsed = cluster.until(&namespace, "more", State::Lapsed).await.status.unwrap();
    let why = why_over(&lapsed);
    // Whether its own timer or the news of the other's end is faster.
    let over = NotExtendable { of: "fix".to_owned(), why: WhyNot::Over(State::Expired) };
    assert!([Lapse::Grant("fix".to_owned()).to_string(), over.to_string()].contains(&why), "{why}");
    assert!(cluster.our_bindings(&namespace).await.is_empty());
}

/// Writes of an extension without approvers: record of the decision, Event, record of the new end, Event, binding,
/// record of the end of it, Event. In some orders.
const WRITES: usize = 7;

async fn killed_at_every_write(cluster: Arc<Cluster>) {
    cluster.controller.kill();
    let (proxy, controller) = cluster.controller_through_proxy().await;
    let controller = Arc::new(controller);
    let namespace = allowed(&cluster, false, 100).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "1h" })).await;
    let mut before = cluster.until(&namespace, "fix", State::Active).await;
    cluster.until_events(&before, &["Granted"]).await;
    for (write, moment) in deaths(WRITES) {
        let (seen, died) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
        let (flag, victim) = (died.clone(), controller.clone());
        proxy.watch(move |at, _| {
            if flag.load(Ordering::SeqCst) {
                return Way::Cut;
            }
            if at != moment || seen.fetch_add(1, Ordering::SeqCst) != write {
                return Way::On;
            }
            victim.kill();
            flag.store(true, Ordering::SeqCst);
            Way::Cut
        });
        let name = format!("more-{write}-{moment:?}").to_lowercase();
        cluster.ask(ALICE, &namespace, &name, more("fix", "1m")).await;
        eventually(&format!("it dies at write {write}"), SOON, async || {
            if died.load(Ordering::SeqCst) { Ok(()) } else { Err("it lives".to_owned()) }
        })
        .await;
        proxy.pass_all();
        controller.restart().await;
        cluster.until(&namespace, &name, State::Extended).await;
        let after = cluster.until(&namespace, "fix", State::Active).await;
        assert_eq!(end(&after), end(&before) + SignedDuration::from_mins(1), "{moment:?} write {write}");
        before = after;
    }
    let restored = |entry: &daypass::api::request::HistoryEntry| entry.event.as_str() == "BindingRestored";
    assert!(!before.status.as_ref().unwrap().history.iter().any(restored), "nobody had changed the binding by hand");
    assert_eq!(created_and_deleted(&cluster, &before), [1, 0]);
}
