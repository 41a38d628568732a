//! A policy says which of its roles cannot be handed out, and a request for one of them is denied before anybody is asked.
//! What runs, and what people were asked about already, goes on.

use std::sync::Arc;

use daypass::api::policy::UnusableRole;
use daypass::api::policy_reason::{PolicyReason, UnusableReason};
use daypass::api::reason::Reason;
use daypass::api::word::Vocabulary;
use daypass::api::{AccessPolicy, AccessRequest, RoleKind, RoleName, State};
use daypass::core::decision::answer::HeldBy;
use daypass::core::decision::shortfall::Shortfall;
use daypass::core::policies::usable::{ListedRole, Sought, Unusable};
use kube::{Api, ResourceExt};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::cast::{SOON, assert_says, cluster_role, denies, falls_short, not_bindable, policy};
use crate::harness::install::{CONTROLLER, Daypass};
use crate::harness::plugin::Plugin;
use crate::harness::users::{ADMIN, ALICE, CAROL};
use crate::harness::wait::now_plus_seconds;
use crate::harness::{Cluster, eventually, private, shared};
use crate::policy::until_events;

pub fn trials() -> Vec<Trial> {
    vec![
        private("usable_roles::are_told_live_and_decide_who_is_asked", told_live),
        shared("usable_roles::a_role_of_namespaces_must_be_in_one_that_the_policy_covers", of_namespaces),
        shared("usable_roles::a_denial_may_name_a_role_that_is_not_there", denied_ahead),
    ]
}

/// What the condition says, and the roles that it names.
async fn until_usable(
    cluster: &Cluster,
    policy: &str,
    reason: PolicyReason,
    unusable: &[(&str, UnusableReason)],
) -> String {
    let policies: Api<AccessPolicy> = Api::all(cluster.client(ADMIN).await);
    eventually(&format!("RolesUsable of {policy} is so because of {reason:?}"), SOON, async || {
        let status = policies.get(policy).await.map_err(|error| error.to_string())?.status.unwrap_or_default();
        let said = daypass::api::conditions::find(&status.conditions, "RolesUsable").cloned();
        let named: Vec<(&str, UnusableReason)> = status
            .unusable_roles
            .iter()
            .filter_map(|role| Some((role.role.name.as_str(), role.why.known()?)))
            .collect();
        match said.filter(|said| said.reason == reason.as_str() && named == unusable) {
            Some(said) => Ok(said.message),
            None => Err(json!(status).to_string()),
        }
    })
    .await
}

/// A policy of an admin, who may hand out every role: a stage of people, and these roles.
async fn allow(cluster: &Cluster, namespace: &str, roles: Value) {
    let mut policy = policy(namespace, namespace);
    policy["spec"]["roles"] = roles;
    policy["spec"]["approval"] =
        json!({ "stages": [{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }] });
    cluster.kubectl(ADMIN).apply(&policy.to_string()).await;
}

/// Asks as alice, and sees that this is denied with nobody asked. Why it is.
async fn denied_at_once(cluster: &Cluster, namespace: &str, name: &str, role: Value) -> String {
    cluster.ask(ALICE, namespace, name, json!({ "role": role, "duration": "1h" })).await;
    let denied = cluster.until(namespace, name, State::Denied).await.status.expect("a status");
    let events: Vec<&str> = denied.history.iter().map(|entry| entry.event.as_str()).collect();
    assert_eq!((events.as_slice(), &denied.stage, &denied.policy), (&["Denied"][..], &None, &None));
    denied.message.expect("a message")
}

/// What the chart lets the controller bind from now on.
async fn bindable(cluster: &Cluster, cluster_roles: &str) {
    let value = format!("bindableClusterRoles={{{cluster_roles}}}");
    Daypass::install(&cluster.control_plane, &["bindableRoles={deployer}", &value]).await;
}

async fn told_live(cluster: Arc<Cluster>) {
    let (namespace, admin) = (cluster.namespace("usable").await, cluster.kubectl(ADMIN));
    let ops = json!({ "name": "ops" });
    allow(&cluster, &namespace, json!([{ "name": "edit" }, ops])).await;
    let gone = [("ops", UnusableReason::Missing)];
    let missing =
        ListedRole { index: 1, why: Unusable::Missing { role: cluster_role("ops"), sought: Sought::Cluster } };
    let message = until_usable(&cluster, &namespace, PolicyReason::RoleMissing, &gone).await;
    assert_says(&message, &missing);
    admin.ok(&["wait", "--for=condition=Ready", "--timeout=30s", "apol", &namespace]).await;
    until_events(&cluster, &namespace, &[("Warning", "RoleMissing", "spec.roles[1]")]).await;
    let why = denied_at_once(&cluster, &namespace, "missing", ops.clone()).await;
    assert_says(&why, &falls_short(&namespace, [Shortfall::RoleUnusable(missing)]));
    cluster.ask(ALICE, &namespace, "other", json!({ "duration": "1h" })).await;
    cluster.until_reason(&namespace, "other", "Approved", "ApprovalNeeded").await;
    the_command_line_says_the_same(&cluster, &namespace).await;

    let role = ["create", "clusterrole", "ops", "--verb=get", "--resource=pods"];
    admin.ok(&role).await;
    let refused = [("ops", UnusableReason::NotBindable)];
    let message = until_usable(&cluster, &namespace, PolicyReason::RoleNotBindable, &refused).await;
    assert_says(&message, &not_bindable(1, "ops"));
    let why = denied_at_once(&cluster, &namespace, "unbindable", ops.clone()).await;
    assert_says(&why, &falls_short(&namespace, [Shortfall::RoleUnusable(not_bindable(1, "ops"))]));
    the_command_line_says_the_same(&cluster, &namespace).await;

    let before = version(&cluster, &namespace).await;
    bindable(&cluster, "view,edit,ops").await;
    until_usable(&cluster, &namespace, PolicyReason::AllUsable, &[]).await;
    assert_eq!(version(&cluster, &namespace).await, before, "the policy was touched");
    let asks = [("runs", None), ("later", Some(now_plus_seconds(3600))), ("waits", None)];
    for (name, start) in asks {
        cluster.ask(ALICE, &namespace, name, json!({ "role": ops, "duration": "1h", "startTime": start })).await;
        cluster.until_reason(&namespace, name, "Approved", "ApprovalNeeded").await;
    }
    cluster.review(CAROL, &namespace, "runs", "Approve", "").await;
    cluster.review(CAROL, &namespace, "later", "Approve", "").await;
    let running = cluster.until(&namespace, "runs", State::Active).await;
    cluster.until(&namespace, "later", State::Scheduled).await;

    bindable(&cluster, "view,edit").await;
    until_usable(&cluster, &namespace, PolicyReason::RoleNotBindable, &refused).await;
    waits_for_its_role(&cluster, &namespace).await;
    goes_on(&cluster, &running).await;

    // Another way to the same right, which no chart knows of.
    let bind = ["--verb=bind", "--resource=clusterroles", "--resource-name=ops"];
    admin.ok(&[&["create", "clusterrole", "hands-out-ops"], &bind[..]].concat()).await;
    let to = format!("--user={CONTROLLER}");
    admin.ok(&["create", "clusterrolebinding", "hands-out-ops", "--clusterrole=hands-out-ops", &to]).await;
    until_usable(&cluster, &namespace, PolicyReason::AllUsable, &[]).await;
    cluster.until(&namespace, "waits", State::Active).await;

    admin.ok(&["delete", "clusterrole", "ops"]).await;
    until_usable(&cluster, &namespace, PolicyReason::RoleMissing, &gone).await;
    goes_on(&cluster, &running).await;
    admin.ok(&role).await;
    until_usable(&cluster, &namespace, PolicyReason::AllUsable, &[]).await;
}

async fn version(cluster: &Cluster, policy: &str) -> Option<i64> {
    let policies: Api<AccessPolicy> = Api::all(cluster.client(ADMIN).await);
    policies.get(policy).await.expect("the policy").metadata.generation
}

/// A request that people were asked about keeps what they say, and is not granted without its role.
async fn waits_for_its_role(cluster: &Cluster, namespace: &str) {
    eventually("it says what it waits for", SOON, async || {
        let request = cluster.requests(namespace).await.get("waits").await.map_err(|error| error.to_string())?;
        let message = request.status.and_then(|status| status.message).unwrap_or_default();
        let waits = HeldBy::Role(not_bindable(1, "ops").why).to_string();
        if message.contains(&waits) { Ok(()) } else { Err(message) }
    })
    .await;
    cluster.review(CAROL, namespace, "waits", "Approve", "").await;
    let waiting = cluster.until_reason(namespace, "waits", "Approved", Reason::RoleUnusable.as_str()).await;
    assert_eq!(waiting.status.expect("a status").state, State::Pending);
}

/// What runs is bound as it was, and what is to begin later still is.
async fn goes_on(cluster: &Cluster, running: &AccessRequest) {
    let namespace = running.namespace().expect("a namespace");
    let recorded = |request: &AccessRequest| request.status.as_ref().expect("a status").bindings.clone();
    // A pass over each, made after the role was lost.
    for name in ["runs", "later"] {
        let seen = format!("seen={}", now_plus_seconds(0));
        cluster.kubectl(ALICE).ok(&["annotate", "areq", name, "-n", &namespace, &seen, "--overwrite"]).await;
    }
    let now = cluster.until(&namespace, "runs", State::Active).await;
    assert_eq!(recorded(&now), recorded(running));
    let bound = cluster.bindings(&namespace).await.get(&recorded(running)[0].name).await.expect("its binding");
    assert_eq!(bound.uid(), recorded(running)[0].uid);
    cluster.until(&namespace, "later", State::Scheduled).await;
}

/// `explain` and `lint` say of the role what the condition says.
async fn the_command_line_says_the_same(cluster: &Cluster, namespace: &str) {
    let policies: Api<AccessPolicy> = Api::all(cluster.client(ADMIN).await);
    let status = policies.get(namespace).await.expect("the policy").status.expect("a status");
    let unusable: Vec<UnusableRole> = status.unusable_roles;
    let told = Unusable::recorded(&unusable[0]).expect("a word of this version");
    let (_, linted, err) = Plugin::of(cluster, ADMIN).run(&["policy", "lint", "--cluster"]).await;
    let warned = format!("{namespace}: spec.roles[1]: {}\n    way out: {}\n", told.why(), told.way_out());
    assert!(linted.contains(&warned), "{warned}: {linted}{err}");
    let draft = crate::plugin::draft(namespace, json!({ "role": { "name": "ops" } }));
    let path = draft.path().display().to_string();
    let (_, explained, err) =
        Plugin::of(cluster, ADMIN).run(&["explain", "-f", &path, "--for-user=alice", "--for-group=dev"]).await;
    assert!(explained.contains(&format!("spec.roles[1]: {told}")), "{explained}{err}");
}

async fn of_namespaces(cluster: Arc<Cluster>) {
    let (namespace, elsewhere) = (cluster.namespace("usable").await, cluster.namespace("usable").await);
    let admin = cluster.kubectl(ADMIN);
    let deployer = json!({ "kind": "Role", "name": "deployer" });
    allow(&cluster, &namespace, json!([deployer])).await;
    let gone = [("deployer", UnusableReason::Missing)];
    let create = |namespace: &str| {
        ["create", "role", "deployer", "-n", namespace, "--verb=get", "--resource=pods"].map(str::to_owned)
    };
    admin.ok(&create(&elsewhere).each_ref().map(String::as_str)).await;
    until_usable(&cluster, &namespace, PolicyReason::RoleMissing, &gone).await;
    let why = denied_at_once(&cluster, &namespace, "missing", deployer.clone()).await;
    let role = RoleName { kind: RoleKind::Role, name: "deployer".to_owned() };
    let sought = Sought::Namespaces([namespace.clone()].into());
    let missing = Shortfall::RoleUnusable(ListedRole { index: 0, why: Unusable::Missing { role, sought } });
    assert_says(&why, &falls_short(&namespace, [missing]));
    admin.ok(&create(&namespace).each_ref().map(String::as_str)).await;
    until_usable(&cluster, &namespace, PolicyReason::AllUsable, &[]).await;
    cluster.ask(ALICE, &namespace, "there", json!({ "role": deployer, "duration": "1h" })).await;
    cluster.until_reason(&namespace, "there", "Approved", "ApprovalNeeded").await;
    admin.ok(&["delete", "role", "deployer", "-n", &namespace]).await;
    until_usable(&cluster, &namespace, PolicyReason::RoleMissing, &gone).await;
}

async fn denied_ahead(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("usable").await;
    let role = RoleName { kind: RoleKind::ClusterRole, name: format!("{namespace}-later") };
    let denial = json!({ "apiVersion": "daypass.dev/v1alpha1", "kind": "AccessPolicy",
        "metadata": { "name": namespace },
        "spec": { "effect": "Deny", "roles": [role], "scope": { "namespaces": [&namespace] } } });
    let admin = cluster.kubectl(ADMIN);
    admin.apply(&denial.to_string()).await;
    admin.ok(&["wait", "--for=condition=Ready", "--timeout=30s", "apol", &namespace]).await;
    let policies: Api<AccessPolicy> = Api::all(cluster.client(ADMIN).await);
    let status = policies.get(&namespace).await.expect("the policy").status.expect("a status");
    assert_eq!(daypass::api::conditions::find(&status.conditions, "RolesUsable"), None);
    cluster.ask(ALICE, &namespace, "fix", json!({ "role": { "name": role.name } })).await;
    let why = cluster.until(&namespace, "fix", State::Denied).await.status.and_then(|status| status.message);
    let why = why.expect("a message");
    assert_says(&why, &denies(&namespace));
}
