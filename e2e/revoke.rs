//! Access ends early when its request, its policy or its binding goes, and nothing is granted against policy.

use std::sync::Arc;

use daypass::api::State;
use daypass::api::request::AccessRequestStatus;
use daypass::api::subject::Subject;
use daypass::core::decision::answer::Lapse;
use daypass::core::decision::period::NoTime;
use daypass::core::decision::shortfall::{Denial, Requesters, Shortfall};
use daypass::core::lifecycle::drift::GrantLoss;
use daypass::core::lifecycle::granted::NoLonger;
use daypass::core::lifecycle::hindrance::Hindrance;
use daypass::core::model::field_error::FieldError;
use daypass::core::model::instants::whole_second;
use daypass::core::model::problem::{ScopeProblem, TimeProblem};
use daypass::core::model::schedule::Schedule;
use k8s_openapi::jiff::SignedDuration;
use kube::ResourceExt;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::cast::{SOON, assert_says, cluster_role, denies, falls_short, lacks, no_longer, policy, why_over};
use crate::harness::users::{ADMIN, ALICE, EVE, GITOPS, MALLORY};
use crate::harness::wait::now;
use crate::harness::{Cluster, eventually, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("revoke::a_denied_request_never_has_a_binding", denied_never_has_a_binding),
        shared("revoke::a_deny_wins_and_ends_what_was_granted", a_deny_wins),
        shared("revoke::deleting_the_request", deleting_the_request),
        shared("revoke::deleting_the_policy", deleting_the_policy),
        shared("revoke::making_the_policy_narrower", making_the_policy_narrower),
        shared("revoke::a_binding_deleted_by_hand_is_not_granted_again", deleted_by_hand),
        shared("revoke::a_terminating_binding_is_not_left_to_linger", terminating_binding),
        shared("revoke::deleting_a_namespace_with_requests", deleting_a_namespace),
    ]
}

async fn granted(cluster: &Cluster, namespace: &str) -> kube::core::ObjectMeta {
    cluster.allow(namespace, namespace, json!({})).await;
    cluster.ask(ALICE, namespace, "fix", json!({ "duration": "1h" })).await;
    cluster.until(namespace, "fix", State::Active).await;
    cluster.our_bindings(namespace).await.remove(0).metadata
}

/// No binding, and alice is an ordinary user again.
async fn over(cluster: &Cluster, namespace: &str) {
    cluster.until_unbound(namespace).await;
    assert!(!cluster.kubectl(ALICE).can_i("create", "pods", Some(namespace)).await);
}

fn not_a_requester(who: &str, kind: &str, named: &str) -> Shortfall {
    let named: Subject = serde_json::from_value(json!({ "kind": kind, "name": named })).expect("a subject");
    Shortfall::Requester { who: who.to_owned(), wanted: Requesters::of(&[named]), near: None }
}

fn not_among(asked: &str, listed: &str) -> Shortfall {
    Shortfall::Role { asked: cluster_role(asked), listed: vec![cluster_role(listed)] }
}

/// In minutes.
fn longer(asked: i64, most: i64) -> Shortfall {
    Shortfall::Length { asked: SignedDuration::from_mins(asked), most: SignedDuration::from_mins(most) }
}

async fn denied_never_has_a_binding(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("denied").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let short = |shortfall| falls_short(&namespace, [shortfall]).to_string();
    let missing = FieldError::new("spec.scope.namespaces", ScopeProblem::Missing(vec!["nowhere".to_owned()]));
    let unnamed = Denial::NamesNone { name: "nowhere".to_owned(), near: Vec::new() };
    let cases = [
        ("mallory-asks", MALLORY, json!({}), short(not_a_requester("mallory", "Group", "dev"))),
        ("other-role", ALICE, json!({ "role": { "name": "admin" } }), short(not_among("admin", "edit"))),
        ("too-long", ALICE, json!({ "duration": "2h" }), short(longer(120, 60))),
        ("no-such-policy", ALICE, json!({ "policy": "nowhere" }), unnamed.to_string()),
        ("no-such-namespace", ALICE, json!({ "scope": { "namespaces": ["nowhere"] } }), missing.to_string()),
        (
            "other-place",
            ALICE,
            json!({ "scope": { "namespaces": ["default"] } }),
            short(Shortfall::Namespaces(vec!["default".to_owned()])),
        ),
        ("cluster", EVE, json!({ "scope": { "cluster": true } }), short(Shortfall::Cluster)),
        ("past", ALICE, json!({ "startTime": "2020-01-01T00:00:00Z", "duration": "1h" }), Lapse::Time.to_string()),
        (
            "narrow",
            ALICE,
            json!({ "rules": [{ "verbs": ["get"], "resources": ["nodes"], "apiGroups": [""] }] }),
            Hindrance::Lacks(vec![lacks(&["get"], "", "nodes", None)]).to_string(),
        ),
    ];
    for (name, user, spec, why) in cases {
        cluster.ask(user, &namespace, name, spec).await;
        let wanted = if name == "past" { State::Lapsed } else { State::Denied };
        let denied = cluster.until(&namespace, name, wanted).await;
        let status = denied.status.clone().unwrap();
        assert_says(status.message.as_ref().unwrap(), &why);
        assert!(status.bindings.is_empty() && status.granted_at.is_none());
        let events = cluster.until_events(&denied, &[if name == "past" { "Lapsed" } else { "Denied" }]).await;
        assert_eq!(events[0].type_.as_deref(), Some("Warning"));
        // The audit log has every write: no binding was created for it, not even for a moment.
        let binding = format!("daypass-{}", denied.uid().unwrap());
        let audit = cluster.control_plane.audit_log();
        assert!(!audit.iter().any(|e| e["objectRef"]["name"] == binding.as_str()), "{name} had a binding");
    }
    assert!(cluster.our_bindings(&namespace).await.is_empty());
}

async fn a_deny_wins(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("deny").await;
    granted(&cluster, &namespace).await;
    let freeze = format!("{namespace}-freeze");
    cluster.deny(&freeze, &namespace).await;
    let revoked = cluster.until(&namespace, "fix", State::Revoked).await;
    assert_eq!(why_over(&revoked.status.unwrap()), NoLonger::Denied(denies(&freeze)).to_string());
    over(&cluster, &namespace).await;
    cluster.ask(ALICE, &namespace, "again", json!({})).await;
    cluster.until(&namespace, "again", State::Denied).await;
}

async fn deleting_the_request(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("del-request").await;
    granted(&cluster, &namespace).await;
    cluster.kubectl(ADMIN).ok(&["delete", "areq", "fix", "-n", &namespace]).await;
    over(&cluster, &namespace).await;

    // With its dependents orphaned, or in the foreground, the request lingers with a deletion mark.
    for (name, cascade) in [("orphan", "--cascade=orphan"), ("foreground", "--cascade=foreground")] {
        cluster.ask(ALICE, &namespace, name, json!({ "duration": "1h" })).await;
        cluster.until(&namespace, name, State::Active).await;
        cluster.kubectl(ADMIN).ok(&["delete", "areq", name, "-n", &namespace, cascade, "--wait=false"]).await;
        over(&cluster, &namespace).await;
    }
}

async fn deleting_the_policy(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("del-policy").await;
    granted(&cluster, &namespace).await;
    cluster.kubectl(GITOPS).ok(&["delete", "apol", &namespace]).await;
    let revoked = cluster.until(&namespace, "fix", State::Revoked).await;
    assert_eq!(why_over(revoked.status.as_ref().unwrap()), NoLonger::PolicyGone(namespace.clone()).to_string());
    over(&cluster, &namespace).await;
    cluster.until_events(&revoked, &["Granted", "Revoked"]).await;
}

/// Windows that are as far from now as they can be.
fn closed_now() -> Value {
    let days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let today = now().to_zoned(k8s_openapi::jiff::tz::TimeZone::UTC).weekday().to_monday_zero_offset();
    let day = days[(usize::from(today.unsigned_abs()) + 3) % 7];
    json!({ "timeZone": "UTC", "windows": [{ "days": [day], "start": "09:00", "end": "17:00" }] })
}

/// Windows in a time zone that there is not.
fn nowhere() -> Value {
    let mut closed = closed_now();
    closed["timeZone"] = json!("Europe/Berln");
    closed
}

async fn making_the_policy_narrower(cluster: Arc<Cluster>) {
    type Narrowed<'a> = (&'a str, Value, Box<dyn Fn(&str) -> NoLonger + Send>);
    let short = |shortfall: Shortfall| Box::new(move |policy: &str| no_longer(policy, shortfall.clone()));
    let ticket = "name a ticket".to_owned();
    let no_zone = FieldError::new("spec.schedule.timeZone", TimeProblem::NoZone("Europe/Berln".to_owned()));
    let cases: [Narrowed<'_>; 6] = [
        ("duration", json!({ "max": "30m" }), short(longer(60, 30))),
        ("requesters", json!([{ "kind": "User", "name": "bob" }]), short(not_a_requester("alice", "User", "bob"))),
        ("roles", json!([{ "name": "view" }]), short(not_among("edit", "view"))),
        (
            "scope",
            json!({ "namespaces": ["elsewhere"] }),
            Box::new(|own| no_longer(own, Shortfall::Namespaces(vec![own.to_owned()]))),
        ),
        (
            "schedule",
            nowhere(),
            Box::new(move |own| NoLonger::PolicyNotReady { policy: own.to_owned(), faults: vec![no_zone.clone()] }),
        ),
        (
            "conditions",
            json!([{ "expression": "request.ticket != ''", "message": ticket }]),
            short(Shortfall::Condition(ticket)),
        ),
    ];
    for (field, value, why) in cases {
        let (namespace, status) = narrowed(&cluster, field, value).await;
        assert_eq!(why_over(&status), why(&namespace).to_string(), "{field}");
    }
    let (namespace, status) = narrowed(&cluster, "schedule", closed_now()).await;
    let raw = serde_json::from_value(closed_now()).expect("a schedule");
    let windows = Schedule::read(&raw, "spec.schedule").expect("a schedule").describe();
    // What runs is judged by whole seconds.
    let at = whole_second(status.history.last().expect("an entry").at.0);
    let closed = no_longer(&namespace, Shortfall::NoTime(NoTime::NotOpen { windows, at }));
    assert_eq!(why_over(&status), closed.to_string());
}

/// Grants, makes one field of the policy narrower and waits until that has ended the access: where, and its record then.
async fn narrowed(cluster: &Cluster, field: &str, value: Value) -> (String, AccessRequestStatus) {
    let namespace = cluster.namespace("narrow").await;
    granted(cluster, &namespace).await;
    let mut narrower = policy(&namespace, &namespace);
    narrower["spec"][field] = value;
    cluster.kubectl(GITOPS).apply(&narrower.to_string()).await;
    let revoked = cluster.until(&namespace, "fix", State::Revoked).await;
    over(cluster, &namespace).await;
    (namespace, revoked.status.expect("a status"))
}

async fn deleted_by_hand(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("by-hand").await;
    let binding = granted(&cluster, &namespace).await.name.unwrap();
    cluster.kubectl(ADMIN).ok(&["delete", "rolebinding", &binding, "-n", &namespace]).await;
    let revoked = cluster.until(&namespace, "fix", State::Revoked).await;
    let status = revoked.status.as_ref().unwrap();
    assert_eq!(why_over(status), GrantLoss::Deleted(status.bindings[0].clone()).to_string());
    over(&cluster, &namespace).await;
    let audit = cluster.control_plane.audit_log();
    let created = audit.iter().filter(|e| {
        e["verb"] == "create"
            && e["objectRef"]["namespace"] == namespace.as_str()
            && e["objectRef"]["resource"] == "rolebindings"
    });
    assert_eq!(created.count(), 1, "it was bound once");
}

/// RBAC goes on honouring a binding that waits for its finalizers.
async fn terminating_binding(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("lingering").await;
    let binding = granted(&cluster, &namespace).await.name.unwrap();
    let admin = cluster.kubectl(ADMIN);
    admin.ok(&["delete", "rolebinding", &binding, "-n", &namespace, "--cascade=foreground", "--wait=false"]).await;
    cluster.until(&namespace, "fix", State::Revoked).await;
    over(&cluster, &namespace).await;
}

async fn deleting_a_namespace(cluster: Arc<Cluster>) {
    let (home, away) = (cluster.namespace("ns-home").await, cluster.namespace("ns-away").await);
    cluster.allow(&home, &home, json!({ "scope": { "namespaces": [home, away] } })).await;
    let both = json!({ "duration": "1h", "scope": { "namespaces": [home, away] } });
    cluster.ask(ALICE, &home, "both", both.clone()).await;
    cluster.ask(ALICE, &away, "from-away", both).await;
    cluster.until(&home, "both", State::Active).await;
    cluster.until(&away, "from-away", State::Active).await;
    let admin = cluster.kubectl(ADMIN);

    admin.ok(&["delete", "namespace", &away, "--timeout=80s"]).await;
    // The request that lived there is gone, and with it the access it had given here.
    eventually("one binding is left", SOON, async || {
        let left = cluster.our_bindings(&home).await;
        if left.len() == 1 { Ok(()) } else { Err(format!("{} are", left.len())) }
    })
    .await;
    // The other request goes on where it can.
    let still = cluster.requests(&home).await.get("both").await.unwrap();
    assert_eq!(still.status.unwrap().state, State::Active);
    assert!(cluster.kubectl(ALICE).can_i("create", "pods", Some(&home)).await);

    admin.ok(&["delete", "namespace", &home, "--timeout=80s"]).await;
}
