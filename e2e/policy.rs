//! A policy says on itself whether it is in use, and if not, why.

use std::sync::Arc;

use daypass::api::conditions::{FINISHED, find};
use daypass::api::{AccessPolicy, AccessRequest, RoleKind, State};
use daypass::core::decision::shortfall::Shortfall;
use daypass::core::model::field_error::FieldError;
use daypass::core::model::problem::TimeProblem;
use daypass::core::policies::limits::{Count, Exceeded};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::SignedDuration;
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::cast::{SOON, assert_says, falls_short, no_longer, policy, request, why_over};
use crate::harness::users::{ADMIN, ALICE, CAROL, EVE, GITOPS};
use crate::harness::{Cluster, eventually, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("policy::that_cannot_be_used_says_so_until_it_can", says_so),
        shared("policy::a_kind_that_is_left_out_is_cluster_role_wherever_it_is_read", kind_left_out),
        shared("policy::conditions_say_what_the_fields_cannot", conditions),
        shared("policy::low_risk_waits_for_nobody", automatic),
        shared("policy::what_a_role_can_do_is_told_and_decides", risk),
        shared("policy::what_can_run_code_waits_for_people_however_narrow", runs_code),
        shared("policy::limits_hold_also_for_requests_of_the_same_moment", limits),
        shared("policy::limits_bound_what_waits_and_how_soon_again", limits_over_time),
    ]
}

async fn says_so(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("policy").await;
    let office =
        json!({ "timeZone": "Europe/Berln", "windows": [{ "days": ["Mon"], "start": "09:00", "end": "17:00" }] });
    cluster.allow(&namespace, &namespace, json!({ "schedule": office })).await;
    let alice = cluster.kubectl(ALICE);
    let ready = async |is: &str| {
        let condition = format!("--for=condition=Ready={is}");
        alice.ok(&["wait", &condition, "--timeout=30s", "apol", &namespace]).await;
        let message = "jsonpath={.status.conditions[?(@.type=='Ready')].message}";
        alice.ok(&["get", "apol", &namespace, "-o", message]).await
    };
    let why = ready("False").await;
    assert_says(&why, &FieldError::new("spec.schedule.timeZone", TimeProblem::NoZone("Europe/Berln".to_owned())));
    until_events(&cluster, &namespace, &[("Warning", "Invalid", "spec.schedule")]).await;
    cluster.ask(ALICE, &namespace, "too-early", json!({})).await;
    let denied = cluster.until(&namespace, "too-early", State::Denied).await.status.unwrap();
    assert!(denied.message.as_ref().unwrap().contains(&namespace), "{denied:?}");

    cluster.allow(&namespace, &namespace, json!({})).await;
    ready("True").await;
    until_events(&cluster, &namespace, &[("Warning", "Invalid", "spec.schedule"), ("Normal", "InUse", "")]).await;
    cluster.ask(ALICE, &namespace, "now", json!({})).await;
    cluster.until(&namespace, "now", State::Active).await;
}

/// By the admission policies and by the decision alike, in policies and requests, in Allow and Deny.
async fn kind_left_out(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("kind").await;
    let gitops = cluster.kubectl(GITOPS);
    // The author may bind the ClusterRole edit, and the Role deployer; not the other way round.
    cluster
        .allow(&namespace, &namespace, json!({ "roles": [{ "name": "edit" }, { "kind": "Role", "name": "deployer" }] }))
        .await;
    let stored: AccessPolicy = Api::all(cluster.client(ADMIN).await).get(&namespace).await.expect("the policy");
    let kinds: Vec<RoleKind> = stored.spec.roles.iter().map(|role| role.kind).collect();
    assert_eq!(kinds, [RoleKind::ClusterRole, RoleKind::Role]);
    let other = json!({ "roles": [{ "name": "deployer" }, { "kind": "Role", "name": "edit" }] });
    let mut other_kinds = policy(&format!("{namespace}-other"), &namespace);
    other_kinds["spec"]["roles"] = other["roles"].clone();
    let refused = gitops.apply_refused(&other_kinds.to_string()).await;
    assert!(refused.contains("you may not bind ClusterRole deployer"), "{refused}");
    // For the whole cluster only a ClusterRole can be meant.
    let mut everywhere = policy(&format!("{namespace}-everywhere"), &namespace);
    everywhere["spec"]["scope"] = json!({ "cluster": true });
    gitops.apply(&everywhere.to_string()).await;
    gitops.ok(&["delete", "apol", &format!("{namespace}-everywhere")]).await;

    cluster.ask(ALICE, &namespace, "without", json!({})).await;
    cluster.ask(ALICE, &namespace, "with", json!({ "role": { "kind": "ClusterRole", "name": "edit" } })).await;
    for name in ["without", "with"] {
        cluster.until(&namespace, name, State::Active).await;
    }
    for binding in cluster.our_bindings(&namespace).await {
        assert_eq!((binding.role_ref.kind.as_str(), binding.role_ref.name.as_str()), ("ClusterRole", "edit"));
    }
    for (name, role) in
        [("role-edit", json!({ "kind": "Role", "name": "edit" })), ("cluster-deployer", json!({ "name": "deployer" }))]
    {
        cluster.ask(ALICE, &namespace, name, json!({ "role": role })).await;
        cluster.until(&namespace, name, State::Denied).await;
    }

    // A denial without a kind is for the ClusterRole, written out or not, and for no Role of that name.
    let denial = json!({ "apiVersion": "daypass.dev/v1alpha1", "kind": "AccessPolicy",
        "metadata": { "name": format!("{namespace}-deny") },
        "spec": { "effect": "Deny", "roles": [{ "name": "edit" }], "scope": { "namespaces": [&namespace] } } });
    gitops.apply(&denial.to_string()).await;
    for name in ["without", "with"] {
        cluster.until(&namespace, name, State::Revoked).await;
    }
}

async fn conditions(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("cel").await;
    let ready = async |is: &str| {
        let condition = format!("--for=condition=Ready={is}");
        cluster.kubectl(ALICE).ok(&["wait", &condition, "--timeout=30s", "apol", &namespace]).await;
    };
    let condition =
        |expression: &str| json!({ "expression": expression, "message": "prod needs a ticket (spec.ticket)" });
    cluster.allow(&namespace, &namespace, json!({ "conditions": [condition("request.nothing(")] })).await;
    ready("False").await;
    let needs_ticket = condition("!('prod' in label('env')) || request.ticket.matches('^OPS-[0-9]+$')");
    cluster.allow(&namespace, &namespace, json!({ "conditions": [needs_ticket] })).await;
    ready("True").await;
    cluster.ask(ALICE, &namespace, "dev", json!({ "duration": "1h" })).await;
    cluster.until(&namespace, "dev", State::Active).await;

    cluster.kubectl(ADMIN).ok(&["label", "namespace", &namespace, "env=prod"]).await;
    // The label is news for what runs as well.
    let revoked = cluster.until(&namespace, "dev", State::Revoked).await.status.unwrap();
    let no_ticket = Shortfall::Condition("prod needs a ticket (spec.ticket)".to_owned());
    assert_eq!(why_over(&revoked), no_longer(&namespace, no_ticket.clone()).to_string());
    cluster.ask(ALICE, &namespace, "no-ticket", json!({ "ticket": "soon" })).await;
    let denied = cluster.until(&namespace, "no-ticket", State::Denied).await.status.unwrap().message.unwrap();
    assert_says(&denied, &falls_short(&namespace, [no_ticket]));
    cluster.ask(ALICE, &namespace, "ticket", json!({ "ticket": "OPS-7" })).await;
    cluster.until(&namespace, "ticket", State::Active).await;
}

async fn automatic(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("automatic").await;
    let stages = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }]);
    let short = json!({ "automaticWhen": "request.durationSeconds <= 600", "stages": stages });
    cluster.allow(&namespace, &namespace, json!({ "approval": short })).await;
    cluster.ask(ALICE, &namespace, "short", json!({ "duration": "10m" })).await;
    cluster.until(&namespace, "short", State::Active).await;
    cluster.ask(ALICE, &namespace, "long", json!({ "duration": "11m" })).await;
    cluster.until_reason(&namespace, "long", "Approved", "ApprovalNeeded").await;
    cluster.review(CAROL, &namespace, "long", "Approve", "").await;
    cluster.until(&namespace, "long", State::Active).await;
}

async fn risk(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("risk").await;
    let stages = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }]);
    let roles = json!([{ "name": "view" }, { "name": "edit" }, { "kind": "Role", "name": "deployer" }]);
    let low = json!({ "automaticWhen": "risk.score == 0", "stages": stages });
    cluster.allow(&namespace, &namespace, json!({ "roles": roles, "approval": low })).await;
    let role = |kind: &str, name: &str| json!({ "role": { "kind": kind, "name": name }, "duration": "1h" });
    cluster.ask(ALICE, &namespace, "look", role("ClusterRole", "view")).await;
    let granted = cluster.until(&namespace, "look", State::Active).await.status.unwrap();
    assert_eq!(granted.risk.unwrap().level.as_str(), "Low");

    cluster.ask(ALICE, &namespace, "change", role("ClusterRole", "edit")).await;
    let waits = cluster.until_reason(&namespace, "change", "Approved", "ApprovalNeeded").await.status.unwrap();
    let stated_risk = waits.risk.unwrap();
    assert_eq!(stated_risk.level.as_str(), "High");
    assert!(
        stated_risk.reasons.iter().any(|reason| reason.starts_with("High: ") && reason.contains("reads secrets")),
        "{stated_risk:?}"
    );

    // Nothing is known of a role that is not there.
    cluster.ask(ALICE, &namespace, "unknown", role("Role", "deployer")).await;
    let denied = cluster.until(&namespace, "unknown", State::Denied).await.status.unwrap();
    assert_eq!(denied.risk.unwrap().level.as_str(), "Unknown");
    let harmless = json!([{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get"] }]);
    let deployer = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": { "name": "deployer", "namespace": namespace }, "rules": harmless
    });
    cluster.kubectl(ADMIN).apply(&deployer.to_string()).await;
    cluster.ask(ALICE, &namespace, "known", role("Role", "deployer")).await;
    eventually("the Role has been read", SOON, async || {
        let status = cluster.requests(&namespace).await.get("known").await.map_err(|error| error.to_string())?.status;
        let level = status.and_then(|status| status.risk).map(|risk| risk.level);
        if level.as_ref().is_some_and(|level| level.as_str() == "Low") { Ok(()) } else { Err(format!("{level:?}")) }
    })
    .await;
}

/// The policy of the tour asks nobody for what does little harm. One verb on one kind can be what takes a cluster over.
async fn runs_code(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("code").await;
    let stages = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }]);
    let roles = json!([{ "name": "edit" }, { "kind": "Role", "name": "deployer" }]);
    let little = json!({ "automaticWhen": "risk.score <= 1", "stages": stages });
    cluster.allow(&namespace, &namespace, json!({ "roles": roles, "approval": little })).await;
    let rule = |verb: &str, group: &str, resource: &str| json!({ "verbs": [verb], "apiGroups": [group], "resources": [resource] });
    let operations = [
        ("workflow", rule("create", "argoproj.io", "workflows"), "High", "has controllers run its code"),
        ("taskrun", rule("create", "tekton.dev", "taskruns"), "High", "has controllers run its code"),
        ("service", rule("create", "serving.knative.dev", "services"), "High", "has controllers run its code"),
        ("release", rule("create", "helm.toolkit.fluxcd.io", "helmreleases"), "Critical", "has manifests applied"),
        ("application", rule("patch", "argoproj.io", "applications"), "Critical", "has manifests applied"),
        ("gizmo", rule("patch", "example.com", "gizmos"), "High", "that this reading does not know"),
        ("console", rule("get", "subresources.kubevirt.io", "virtualmachineinstances/console"), "High", "consoles"),
    ];
    let deployer = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": { "name": "deployer", "namespace": namespace },
        "rules": operations.iter().map(|(_, rule, ..)| rule).collect::<Vec<_>>()
    });
    cluster.kubectl(ADMIN).apply(&deployer.to_string()).await;
    let alice = cluster.kubectl(ALICE);
    for (name, rule, level, why) in operations {
        let role = json!({ "kind": "Role", "name": "deployer" });
        cluster.ask(ALICE, &namespace, name, json!({ "role": role, "rules": [rule] })).await;
        let waits = cluster.until_reason(&namespace, name, "Approved", "ApprovalNeeded").await.status.unwrap();
        let stated_risk = waits.risk.unwrap();
        assert_eq!(stated_risk.level.as_str(), level, "{name}: {stated_risk:?}");
        assert!(stated_risk.reasons.iter().any(|reason| reason.contains(why)), "{name}: {stated_risk:?}");
    }
    assert!(cluster.our_bindings(&namespace).await.is_empty());
    assert!(!alice.can_i("create", "workflows.argoproj.io", Some(&namespace)).await);
    // What does little harm is given at once, as before.
    let mut pod = rule("delete", "", "pods");
    pod["resourceNames"] = json!(["checkout-0"]);
    cluster.ask(ALICE, &namespace, "pod", json!({ "role": { "name": "edit" }, "rules": [pod] })).await;
    let granted = cluster.until(&namespace, "pod", State::Active).await.status.unwrap();
    assert_eq!(granted.risk.unwrap().level.as_str(), "Medium");
    assert!(alice.can_i("delete", "pods/checkout-0", Some(&namespace)).await);
}

async fn limits(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("limits").await;
    cluster.allow(&namespace, &namespace, json!({ "limits": { "liveGrantsPerPerson": 3 } })).await;
    let names: Vec<String> = (0..24).map(|n| format!("fix-{n}")).collect();
    let requests = Api::<AccessRequest>::namespaced(cluster.client(ALICE).await, &namespace);
    let ask = |name: &String| {
        let request = serde_json::from_value(request(&namespace, name, json!({ "duration": "1h" }))).unwrap();
        let requests = &requests;
        async move { requests.create(&PostParams::default(), &request).await.expect("ask") }
    };
    futures::future::join_all(names.iter().map(ask)).await;
    let decided = eventually("all are decided", SOON, async || {
        let all = requests.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
        let state = |request: &AccessRequest| request.status.as_ref().map(|status| status.state);
        let open = all.iter().filter(|r| !matches!(state(r), Some(State::Active | State::Denied))).count();
        if open == 0 { Ok(all) } else { Err(format!("{open} are not")) }
    })
    .await;
    let granted = decided.iter().filter(|r| r.status.as_ref().unwrap().state == State::Active).count();
    assert_eq!((granted, decided.len()), (3, 24));
    let denied = decided.iter().find(|r| r.status.as_ref().unwrap().state == State::Denied).unwrap();
    let message = denied.status.as_ref().unwrap().message.clone().unwrap();
    let full = Exceeded::Full { what: Count::GrantsOf("alice".to_owned()), there: 3, most: 3 };
    assert_says(&message, &falls_short(&namespace, [Shortfall::Limit(full)]));
    // Another person has room, and so has she when one is over.
    cluster.ask(EVE, &namespace, "of-eve", json!({ "duration": "1h" })).await;
    cluster.until(&namespace, "of-eve", State::Active).await;
    let one = decided.iter().find(|r| r.status.as_ref().unwrap().state == State::Active).unwrap().name_any();
    cluster.review(ALICE, &namespace, &one, "Revoke", "").await;
    cluster.until(&namespace, &one, State::Revoked).await;
    cluster.ask(ALICE, &namespace, "again", json!({ "duration": "1h" })).await;
    cluster.until(&namespace, "again", State::Active).await;
}

async fn limits_over_time(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("limits").await;
    let stages = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }]);
    let bounds = json!({ "openRequestsPerPerson": 1, "cooldown": "1h", "timePerDay": "90m" });
    cluster.allow(&namespace, &namespace, json!({ "approval": { "stages": stages }, "limits": bounds })).await;
    cluster.ask(ALICE, &namespace, "first", json!({ "duration": "1h" })).await;
    cluster.until_reason(&namespace, "first", "Approved", "ApprovalNeeded").await;
    let denied = async |name: &str, spec, why: Vec<Exceeded>| {
        cluster.ask(ALICE, &namespace, name, spec).await;
        let message = cluster.until(&namespace, name, State::Denied).await.status.unwrap().message.unwrap();
        let why: Vec<Shortfall> = why.into_iter().map(Shortfall::Limit).collect();
        assert_says(&message, &falls_short(&namespace, why));
    };
    let full = Exceeded::Full { what: Count::RequestsOf("alice".to_owned()), there: 1, most: 1 };
    denied("second", json!({}), vec![full]).await;
    cluster.review(CAROL, &namespace, "first", "Approve", "").await;
    cluster.until(&namespace, "first", State::Active).await;
    let [had, length, most] = [60, 31, 90].map(SignedDuration::from_mins);
    denied("third", json!({ "duration": "31m" }), vec![Exceeded::TimePerDay { had, length, most }]).await;
    cluster.review(ALICE, &namespace, "first", "Revoke", "").await;
    let over = cluster.until(&namespace, "first", State::Revoked).await.status.unwrap();
    let cooldown = SignedDuration::from_hours(1);
    let again = find(&over.conditions, FINISHED).unwrap().last_transition_time.0 + cooldown;
    denied("fourth", json!({ "duration": "1m" }), vec![Exceeded::Cooldown { again, cooldown }]).await;
}

/// Waits until the Events of a policy have these types, reasons and words. They are in namespace `default`.
pub async fn until_events(cluster: &Cluster, policy: &str, wanted: &[(&str, &str, &str)]) {
    let events: Api<Event> = Api::namespaced(cluster.client(ADMIN).await, "default");
    eventually(&format!("the Events {wanted:?}"), SOON, async || {
        let listed = events.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let of_it = |event: &Event| {
            event
                .regarding
                .as_ref()
                .is_some_and(|r| r.kind.as_deref() == Some("AccessPolicy") && r.name.as_deref() == Some(policy))
        };
        let mut events: Vec<Event> = listed.items.into_iter().filter(of_it).collect();
        events.sort_by_key(|event| event.event_time.as_ref().map(|t| t.0));
        let is = |(event, (type_, reason, words)): (&Event, &(&str, &str, &str))| {
            event.type_.as_deref() == Some(type_)
                && event.reason.as_deref() == Some(reason)
                && event.note.as_ref().is_some_and(|note| note.contains(words))
        };
        if events.len() == wanted.len() && events.iter().zip(wanted).all(is) {
            Ok(())
        } else {
            Err(format!("they are {:?}", events.iter().map(|e| (&e.type_, &e.reason, &e.note)).collect::<Vec<_>>()))
        }
    })
    .await;
}
