//! Less than a role: what is granted is the rules that were asked for, and they fit inside the role.

use std::sync::Arc;

use daypass::api::{RoleKind, RoleName, State};
use daypass::core::decision::shortfall::Shortfall;
use daypass::core::lifecycle::drift::GrantLoss;
use daypass::core::lifecycle::granted::NoLonger;
use daypass::core::lifecycle::happened::Happened;
use daypass::core::lifecycle::hindrance::Hindrance;
use daypass::core::model::field_error::FieldError;
use daypass::core::model::problem::{RuleProblem, WordFault};
use daypass::core::rbac::changed::ChangedPart;
use daypass::core::rbac::role::Lack;
use daypass::core::rbac::rules::Uncovered;
use k8s_openapi::api::rbac::v1::{ClusterRole, Role};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::cast::{SOON, assert_refused_by, assert_says, falls_short, lacks, not_bindable, why_over};
use crate::harness::install::CONTROLLER;
use crate::harness::users::{ADMIN, ALICE, EVE};
use crate::harness::{Cluster, eventually, private, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("narrow::one_verb_on_one_named_object", one_verb_on_one_named_object),
        shared("narrow::in_the_whole_cluster_it_is_a_cluster_role", whole_cluster),
        shared("narrow::what_the_role_does_not_have_is_denied", not_in_the_role),
        shared("narrow::the_controller_s_own_rights_are_not_lent", own_rights),
        shared("narrow::a_role_that_loses_what_was_granted_ends_it", role_loses),
        shared("narrow::a_made_role_that_is_deleted_by_hand_ends_the_grant", deleted_by_hand),
        private("narrow::a_made_role_that_is_edited_is_put_back", edited),
    ]
}

fn delete_configmap(name: &str) -> Value {
    json!([{ "verbs": ["delete"], "apiGroups": [""], "resources": ["configmaps"], "resourceNames": [name] }])
}

/// Roles that were made in a namespace.
async fn made_roles(cluster: &Cluster, namespace: &str) -> Vec<Role> {
    let api: Api<Role> = Api::namespaced(cluster.client(ADMIN).await, namespace);
    let ours = ListParams::default().labels("app.kubernetes.io/managed-by=daypass");
    api.list(&ours).await.expect("list roles").items
}

async fn until_unmade(cluster: &Cluster, namespace: &str) {
    eventually("no made role is left", SOON, async || {
        let left = made_roles(cluster, namespace).await;
        if left.is_empty() { Ok(()) } else { Err(format!("{} are", left.len())) }
    })
    .await;
}

async fn one_verb_on_one_named_object(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("narrow").await;
    let (admin, alice) = (cluster.kubectl(ADMIN), cluster.kubectl(ALICE));
    // The policy asks nobody for what does little harm. The whole of `edit` is another matter.
    let leads = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }]);
    let approval = json!({ "automaticWhen": "risk.score <= 1", "stages": leads });
    cluster.allow(&namespace, &namespace, json!({ "approval": approval })).await;
    for name in ["stuck", "precious"] {
        admin.ok(&["create", "configmap", name, "-n", &namespace]).await;
    }
    cluster.ask(ALICE, &namespace, "whole", json!({})).await;
    cluster.ask(ALICE, &namespace, "one", json!({ "duration": "15s", "rules": delete_configmap("stuck") })).await;
    let granted = cluster.until(&namespace, "one", State::Active).await;

    let bindings = cluster.our_bindings(&namespace).await;
    assert_eq!(bindings.len(), 1, "the loan is given back: {bindings:?}");
    let name = format!("daypass-{}", granted.uid().unwrap());
    assert_eq!(
        (bindings[0].name_any(), &*bindings[0].role_ref.kind, &*bindings[0].role_ref.name),
        (name.clone(), "Role", &*name)
    );
    let status = granted.status.as_ref().unwrap();
    assert_eq!(status.risk.as_ref().unwrap().level.as_str(), "Medium", "{status:?}");
    let made = made_roles(&cluster, &namespace).await;
    assert_eq!((made.len(), made[0].uid()), (1, status.bindings[0].role.as_ref().unwrap().uid.clone()));

    let refusal = alice.refused(&["delete", "configmap", "precious", "-n", &namespace]).await;
    assert!(refusal.contains("cannot delete"), "{refusal}");
    assert!(!alice.can_i("get", "configmaps/stuck", Some(&namespace)).await, "one verb");
    assert!(!alice.can_i("delete", "pods/stuck", Some(&namespace)).await, "one resource");
    assert!(!alice.can_i("delete", "configmaps", Some(&namespace)).await, "one object");
    assert!(!cluster.kubectl(EVE).can_i("delete", "configmaps/stuck", Some(&namespace)).await, "one person");
    // What the controller held for a moment it does not hold any more.
    let as_controller = ["auth", "can-i", "delete", "configmaps", "-n", &namespace, "--as", CONTROLLER];
    let groups = ["--as-group=system:serviceaccounts", "--as-group=system:authenticated"];
    assert_eq!(admin.run(&[&as_controller[..], &groups].concat()).await.stdout.trim(), "no");
    alice.ok(&["delete", "configmap", "stuck", "-n", &namespace]).await;

    cluster.until(&namespace, "one", State::Expired).await;
    assert!(cluster.our_bindings(&namespace).await.is_empty() && made_roles(&cluster, &namespace).await.is_empty());
    assert!(!alice.can_i("delete", "configmaps/stuck", Some(&namespace)).await);
    cluster.until(&namespace, "whole", State::Pending).await;
    // The audit log ties what she did to the request.
    let by_request = |event: &Value| {
        event["user"]["username"] == "alice"
            && event["objectRef"]["name"] == "stuck"
            && event["annotations"]["authorization.k8s.io/reason"].as_str().is_some_and(|why| why.contains(&name))
    };
    assert!(cluster.control_plane.audit_log().iter().any(by_request));
}

async fn whole_cluster(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("narrow").await;
    let scope = json!({ "cluster": true });
    cluster.allow(&namespace, &namespace, json!({ "roles": [{ "name": "view" }], "scope": scope })).await;
    let rules = json!([{ "verbs": ["list"], "apiGroups": [""], "resources": ["pods"] }]);
    let spec = json!({ "role": { "name": "view" }, "scope": scope, "rules": rules, "policy": namespace });
    cluster.ask(EVE, &namespace, "pods", spec).await;
    let granted = cluster.until(&namespace, "pods", State::Active).await;
    let eve = cluster.kubectl(EVE);
    assert!(eve.can_i("list", "pods", Some("kube-system")).await);
    assert!(!eve.can_i("get", "pods", Some("kube-system")).await && !eve.can_i("list", "services", None).await);
    let name = format!("daypass-{}", granted.uid().unwrap());
    let roles: Api<ClusterRole> = Api::all(cluster.client(ADMIN).await);
    assert_eq!(roles.get(&name).await.unwrap().rules.unwrap().len(), 1);
    cluster.review(EVE, &namespace, "pods", "Revoke", "done").await;
    eventually("the made role is gone", SOON, async || {
        let left = roles.get_opt(&name).await.map_err(|error| error.to_string())?;
        if left.is_none() { Ok(()) } else { Err("it is there".to_owned()) }
    })
    .await;
    assert!(!eve.can_i("list", "pods", Some("kube-system")).await);
}

async fn not_in_the_role(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("narrow").await;
    cluster.allow(&namespace, &namespace, json!({ "roles": [{ "name": "view" }, { "name": "edit" }] })).await;
    let upper_case = RuleProblem::Word { written: "Get".to_owned(), fault: WordFault::UpperCase };
    let upper_case = FieldError::new("spec.rules[0].verbs[0]", upper_case).to_string();
    let without = |verb, resource| Hindrance::Lacks(vec![lacks(&[verb], "", resource, None)]).to_string();
    for (number, (verb, resource, expected)) in [
        ("get", "secrets", without("get", "secrets")),
        ("*", "pods", without("*", "pods")),
        ("get", "*", without("get", "*")),
        ("Get", "pods", upper_case),
    ]
    .into_iter()
    .enumerate()
    {
        let rules = json!([{ "verbs": [verb], "apiGroups": [""], "resources": [resource] }]);
        let name = format!("more-{number}");
        cluster.ask(ALICE, &namespace, &name, json!({ "role": { "name": "view" }, "rules": rules })).await;
        let why = cluster.until(&namespace, &name, State::Denied).await.status.unwrap().message.unwrap();
        assert_says(&why, &expected);
    }
    assert!(made_roles(&cluster, &namespace).await.is_empty());
}

/// The API server would let the controller make a role of its own rights. It hands out those of a listed role only.
async fn own_rights(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("narrow").await;
    let roles = json!([{ "name": "edit" }, { "name": "admin" }]);
    cluster.allow(&namespace, &namespace, json!({ "roles": roles })).await;
    let rules = |resource: &str| json!([{ "verbs": ["create"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": [resource] }]);
    cluster.ask(ALICE, &namespace, "bind", json!({ "rules": rules("rolebindings") })).await;
    let why = cluster.until(&namespace, "bind", State::Denied).await.status.unwrap().message.unwrap();
    let lacks = lacks(&["create"], "rbac.authorization.k8s.io", "rolebindings", None);
    assert_says(&why, &Hindrance::Lacks(vec![lacks]));
    // `admin` has that right, and the chart's values do not let it be bound, by nobody's policy and in no part.
    cluster
        .ask(ALICE, &namespace, "admin", json!({ "role": { "name": "admin" }, "rules": rules("rolebindings") }))
        .await;
    let why = cluster.until(&namespace, "admin", State::Denied).await.status.unwrap().message.unwrap();
    assert_says(&why, &falls_short(&namespace, [Shortfall::RoleUnusable(not_bindable(1, "admin"))]));
    assert!(made_roles(&cluster, &namespace).await.is_empty() && cluster.our_bindings(&namespace).await.is_empty());
    assert!(!cluster.kubectl(ALICE).can_i("create", "rolebindings", Some(&namespace)).await);
}

/// A Role of the namespace, which its admin can edit.
async fn deployer(cluster: &Cluster, namespace: &str, verbs: &[&str]) {
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": { "name": "deployer", "namespace": namespace },
        "rules": [{ "verbs": verbs, "apiGroups": ["apps"], "resources": ["deployments"] }]
    });
    cluster.kubectl(ADMIN).apply(&role.to_string()).await;
}

async fn role_loses(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("narrow").await;
    let deployer_role = json!({ "kind": "Role", "name": "deployer" });
    cluster.allow(&namespace, &namespace, json!({ "roles": [deployer_role] })).await;
    deployer(&cluster, &namespace, &["get", "patch"]).await;
    let rules =
        json!([{ "verbs": ["patch"], "apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["web"] }]);
    cluster.ask(ALICE, &namespace, "roll", json!({ "role": deployer_role, "rules": rules })).await;
    cluster.until(&namespace, "roll", State::Active).await;
    let alice = cluster.kubectl(ALICE);
    assert!(alice.can_i("patch", "deployments.apps/web", Some(&namespace)).await);
    deployer(&cluster, &namespace, &["get"]).await;
    let why = cluster.until(&namespace, "roll", State::Revoked).await.status.unwrap().message.unwrap();
    let mut lacks = lacks(&["patch"], "apps", "deployments", Some(&namespace));
    if let Lack::Right { what: Uncovered::Resource { name, .. }, .. } = &mut lacks {
        *name = Some("web".to_owned());
    }
    let role = RoleName { kind: RoleKind::Role, name: "deployer".to_owned() };
    assert_says(&why, &NoLonger::RoleNarrowed { role, lacks: Box::new(lacks) });
    assert!(!alice.can_i("patch", "deployments.apps/web", Some(&namespace)).await);
    until_unmade(&cluster, &namespace).await;
}

/// A namespace in which alice may delete one ConfigMap, and the name of the role that was made for that.
async fn granted(cluster: &Cluster) -> (String, String) {
    let namespace = cluster.namespace("narrow").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "one", json!({ "rules": delete_configmap("stuck") })).await;
    let granted = cluster.until(&namespace, "one", State::Active).await;
    (namespace, format!("daypass-{}", granted.uid().unwrap()))
}

/// What somebody would make of it.
const WIDER: &str = r#"{"rules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}]}"#;

async fn deleted_by_hand(cluster: Arc<Cluster>) {
    let (namespace, name) = granted(&cluster).await;
    let admin = cluster.kubectl(ADMIN);
    let refusal = admin.refused(&["patch", "role", &name, "-n", &namespace, "--type=merge", "-p", WIDER]).await;
    assert_refused_by(&refusal, "daypass-binding-guard");
    admin.ok(&["delete", "role", &name, "-n", &namespace]).await;
    let status = cluster.until(&namespace, "one", State::Revoked).await.status.unwrap();
    assert_eq!(why_over(&status), GrantLoss::RoleDeleted(status.bindings[0].clone()).to_string());
    cluster.until_unbound(&namespace).await;
}

async fn edited(cluster: Arc<Cluster>) {
    let (namespace, name) = granted(&cluster).await;
    let admin = cluster.kubectl(ADMIN);
    admin.ok(&["delete", "validatingadmissionpolicybinding", "daypass-binding-guard"]).await;
    eventually("the edit is accepted", SOON, async || {
        let output = admin.run(&["patch", "role", &name, "-n", &namespace, "--type=merge", "-p", WIDER]).await;
        if output.ok { Ok(()) } else { Err(output.stderr) }
    })
    .await;
    eventually("the role is as it was", SOON, async || {
        let rules = made_roles(&cluster, &namespace).await.remove(0).rules.unwrap_or_default();
        if rules[0].resource_names.as_deref() == Some(&["stuck".to_owned()]) {
            Ok(())
        } else {
            Err(format!("{rules:?}"))
        }
    })
    .await;
    let request = cluster.until(&namespace, "one", State::Active).await;
    let events = cluster.until_events(&request, &["Granted", "BindingRestored"]).await;
    let binding = request.status.as_ref().unwrap().bindings[0].clone();
    let put_back = Happened::PutBack { binding, what: ChangedPart::RoleRules };
    assert_says(events[1].note.as_ref().unwrap(), &put_back);
    assert_eq!(cluster.our_bindings(&namespace).await.len(), 1, "the loan is given back");
}
