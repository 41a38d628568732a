//! Daypass limited to some namespaces: all that it does elsewhere works in them, nothing is done or asked outside of
//! them, and its rights there are none.

mod lost;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use daypass::api::State;
use daypass::core::lifecycle::reap::Stray;
use daypass::core::model::field_error::FieldError;
use daypass::core::model::problem::{OutOfReach, ScopeProblem};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, Role, RoleBinding};
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::chart;
use crate::harness::cast::{SOON, assert_refused_by, assert_says, request, why_over};
use crate::harness::cluster::limits;
use crate::harness::install::CONTROLLER;
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::users::{ADMIN, ALICE, CAROL, EVE, GITOPS};
use crate::harness::{Cluster, ControlPlane, Controller, alone, eventually, install, private};
use crate::rights;

pub fn trials() -> Vec<Trial> {
    vec![
        alone("namespaces::access_comes_and_goes_in_those_that_are_served", AUDIT_POLICY, comes_and_goes),
        alone("namespaces::what_is_out_of_reach_is_denied_with_the_way_out", AUDIT_POLICY, out_of_reach),
        alone("namespaces::one_that_is_missing_keeps_nobody_waiting", AUDIT_POLICY, lost::one_is_missing),
        alone("namespaces::what_a_namespace_that_is_gone_gave_elsewhere_ends", AUDIT_POLICY, lost::gone_unseen),
        alone("namespaces::a_grant_over_one_that_is_gone_ends_on_record", AUDIT_POLICY, lost::gone_under_a_grant),
        alone("namespaces::what_one_that_cannot_be_read_gave_elsewhere_ends_when_noted", AUDIT_POLICY, lost::unread),
        alone("namespaces::a_right_that_goes_and_comes_back_is_noticed", AUDIT_POLICY, lost::right_goes_and_comes_back),
        alone("namespaces::each_right_is_used_and_nothing_else_is_called", AUDIT_POLICY, each_right_is_used),
        alone("namespaces::a_stolen_token_opens_nothing_elsewhere", AUDIT_POLICY, stolen_token),
        private("namespaces::no_grant_is_left_behind", none_is_left_behind),
    ]
}

/// Those that are served; `yard` is there too.
const SERVED: [&str; 2] = ["bank", "shop"];

/// Daypass limited to `bank` and `shop`, and a policy that lets group dev have much in all namespaces and the cluster.
async fn limited(control_plane: Arc<ControlPlane>) -> Cluster {
    make(&control_plane, &["bank", "shop", "yard"]).await;
    let cluster = Cluster::limited(control_plane, &SERVED).await;
    cluster.allow("much", "*", much()).await;
    cluster
}

async fn make(control_plane: &ControlPlane, namespaces: &[&str]) {
    for namespace in namespaces {
        control_plane.kubectl(ADMIN).ok(&["create", "namespace", namespace]).await;
    }
}

fn much() -> Value {
    let roles = json!([{ "name": "edit" }, { "name": "view" }, { "kind": "Role", "name": "deployer" }]);
    // Limits are counted over all that is served, so one that leads now reads it all anew.
    let limits = json!({ "liveGrants": 50 });
    json!({ "roles": roles, "scope": { "namespaces": ["*"], "cluster": true }, "limits": limits })
}

fn in_both() -> Value {
    json!({ "namespaces": SERVED })
}

async fn comes_and_goes(control_plane: Arc<ControlPlane>) {
    let cluster = limited(control_plane).await;
    // Asked, approved, granted, and over at its end.
    let leads = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }]);
    cluster.allow("asks", "bank", json!({ "approval": { "stages": leads } })).await;
    let asks = json!({ "policy": "asks", "duration": "4s" });
    cluster.ask(ALICE, "bank", "fix", asks).await;
    cluster.until_reason("bank", "fix", "Approved", "ApprovalNeeded").await;
    cluster.review(CAROL, "bank", "fix", "Approve", "go").await;
    cluster.until("bank", "fix", State::Active).await;
    assert!(cluster.kubectl(ALICE).can_i("delete", "pods", Some("bank")).await);
    let over = cluster.until("bank", "fix", State::Expired).await;
    assert!(!cluster.kubectl(ALICE).can_i("delete", "pods", Some("bank")).await);
    cluster.until_events(&over, &["ApprovalNeeded", "Reviewed", "Granted", "Expired"]).await;

    // Less than a role, and one grant over both.
    let one = json!([{ "verbs": ["delete"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["shop-0"] }]);
    cluster.ask(ALICE, "shop", "narrow", json!({ "policy": "much", "rules": one })).await;
    cluster.until("shop", "narrow", State::Active).await;
    let alice = cluster.kubectl(ALICE);
    assert!(alice.can_i("delete", "pods/shop-0", Some("shop")).await);
    assert!(!alice.can_i("delete", "pods/shop-1", Some("shop")).await);
    cluster.ask(EVE, "shop", "both", json!({ "policy": "much", "scope": in_both(), "duration": "20s" })).await;
    cluster.until("shop", "both", State::Active).await;
    for namespace in SERVED {
        assert!(cluster.kubectl(EVE).can_i("create", "pods", Some(namespace)).await, "{namespace}");
    }
    // Labels choose among those that are served.
    let anywhere = json!({ "namespaceSelector": {} });
    cluster.ask(ALICE, "bank", "labels", json!({ "policy": "much", "scope": anywhere, "duration": "20s" })).await;
    let chosen = cluster.until("bank", "labels", State::Active).await.status.expect("a status").bindings;
    let chosen: Vec<&str> = chosen.iter().filter_map(|binding| binding.namespace.as_deref()).collect();
    assert_eq!(chosen, SERVED);

    // Killed, and started when the ends have come: in both namespaces they are ends.
    cluster.review(ALICE, "shop", "narrow", "Revoke", "done").await;
    cluster.until("shop", "narrow", State::Revoked).await;
    cluster.controller.kill();
    let end = cluster.requests("bank").await.get("labels").await.expect("it").status.expect("a status").expires_at;
    let end = end.expect("an end").0;
    eventually("the end has come", SOON, async || {
        if crate::harness::wait::now() > end { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    assert_eq!((cluster.our_bindings("bank").await.len(), cluster.our_bindings("shop").await.len()), (2, 2));
    cluster.controller.restart().await;
    cluster.until("shop", "both", State::Expired).await;
    cluster.until("bank", "labels", State::Expired).await;
    for namespace in SERVED {
        assert!(cluster.our_bindings(namespace).await.is_empty(), "{namespace}");
    }
}

async fn out_of_reach(control_plane: Arc<ControlPlane>) {
    let cluster = limited(control_plane).await;
    let yard = OutOfReach::Namespaces(vec!["yard".to_owned()]);
    for (name, scope, field, what) in [
        ("cluster", json!({ "cluster": true }), "spec.scope.cluster", OutOfReach::Cluster),
        ("yard", json!({ "namespaces": ["yard", "shop"] }), "spec.scope.namespaces", yard),
    ] {
        cluster.ask(ALICE, "shop", name, json!({ "role": { "name": "view" }, "scope": scope })).await;
        let denied = cluster.until("shop", name, State::Denied).await;
        let out_of_reach = ScopeProblem::OutOfReach { what, served: SERVED.map(str::to_owned).into() };
        let message = why_over(&denied.status.expect("a status"));
        assert_eq!(message, FieldError::new(field, out_of_reach).to_string());
    }
    // Where nobody serves, nobody can ask, the admin included.
    for user in [ALICE, ADMIN] {
        let refusal = cluster.kubectl(user).apply_refused(&request("yard", "fix", json!({})).to_string()).await;
        assert_refused_by(&refusal, "daypass-identity-check");
    }
    // Nor in the namespace of the release, but for the canary.
    cluster.kubectl(ALICE).apply_refused(&request(install::NAMESPACE, "fix", json!({})).to_string()).await;
    cluster.requests(install::NAMESPACE).await.get("daypass-canary").await.expect("the canary's request");
    assert_eq!(cluster.controller.get("/readyz").await, Ok((200, "ok: leads\n".to_owned())));
}

async fn each_right_is_used(control_plane: Arc<ControlPlane>) {
    let cluster = limited(control_plane).await;
    story(&cluster).await;
    let value = limits(&SERVED).0;
    let rendered = chart::render(&cluster.control_plane, &["--set", "bindableRoles={deployer}", "--set", &value]).await;
    let listed = rights_of_the_controller(&rendered);
    let of_cluster: Vec<&str> = listed.iter().filter(|right| !right.contains(" in ")).map(String::as_str).collect();
    let expected = [
        "get clusterroles",
        "list accesspolicies",
        "list clusterroles",
        "list namespaces bank",
        "list namespaces kube-system",
        "list namespaces shop",
        "list validatingadmissionpolicies",
        "list validatingadmissionpolicybindings",
        "patch accesspolicies/status",
        "watch accesspolicies",
        "watch clusterroles",
        "watch namespaces bank",
        "watch namespaces shop",
        "watch validatingadmissionpolicies",
        "watch validatingadmissionpolicybindings",
    ];
    assert_eq!(of_cluster, expected);

    let called: BTreeSet<String> = cluster.control_plane.audit_log().iter().filter_map(call).collect();
    // `bind` is no call.
    let listed = listed.into_iter().filter(|right| !right.starts_with("bind ")).collect();
    rights::are_the_same(&listed, &called);
}

/// The chart's rights for the controller one by one, as `verb resource NAMES`, and ` in NAMESPACE` where only there. The
/// names that RBAC cannot compare with a call are left out.
fn rights_of_the_controller(objects: &[Value]) -> BTreeSet<String> {
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().map(|text| text.as_str().expect("a text").to_owned()).collect()
    };
    let mut rights = BTreeSet::new();
    for binding in objects.iter().filter(|binding| binding["subjects"][0]["name"] == "daypass") {
        let place = &binding["metadata"]["namespace"];
        let is_role = |object: &&Value| {
            object["kind"] == binding["roleRef"]["kind"]
                && object["metadata"]["name"] == binding["roleRef"]["name"]
                && object["metadata"]["namespace"] == *place
        };
        let role = objects.iter().find(is_role).expect("a role of the chart");
        for rule in role["rules"].as_array().expect("rules") {
            for (verb, resource) in texts(&rule["verbs"])
                .iter()
                .flat_map(|verb| texts(&rule["resources"]).into_iter().map(move |r| (verb, r)))
            {
                let names = if resource == "namespaces" { texts(&rule["resourceNames"]) } else { Vec::new() };
                let place = place.as_str().map(|place| format!(" in {place}")).unwrap_or_default();
                let right = format!("{verb} {resource}");
                if names.is_empty() {
                    rights.insert(format!("{right}{place}"));
                }
                rights.extend(names.iter().map(|name| format!("{right} {name}{place}")));
            }
        }
    }
    rights
}

/// What the controller called, in the same words.
fn call(event: &Value) -> Option<String> {
    let (call, object) = (rights::call(event)?, &event["objectRef"]);
    // Of a namespace, the API server says that it is in itself.
    let place = match (object["resource"].as_str(), object["namespace"].as_str(), object["name"].as_str()) {
        (Some("namespaces"), _, name) => format!(" {}", name.unwrap_or("*")),
        (_, Some(namespace), _) => format!(" in {namespace}"),
        _ => String::new(),
    };
    Some(call + &place)
}

/// Grants of each form in each namespace, each edited by hand and put back, and ended; and what is denied.
async fn story(cluster: &Cluster) {
    let admin = cluster.kubectl(ADMIN);
    // Who begins to lead reads what limits count.
    cluster.controller.restart().await;
    let deployer = json!({ "kind": "Role", "name": "deployer" });
    let one = json!([{ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["web-0"] }]);
    let escalate = json!([{ "verbs": ["escalate"], "apiGroups": [""], "resources": ["pods"] }]);
    for namespace in SERVED {
        admin.ok(&["create", "role", "deployer", "-n", namespace, "--verb=get", "--resource=pods"]).await;
        for (name, spec) in
            [("whole", json!({ "role": deployer })), ("narrow", json!({ "role": deployer, "rules": one }))]
        {
            cluster.ask(ALICE, namespace, name, spec).await;
            cluster.until(namespace, name, State::Active).await;
        }
        for (name, role) in [("denied", &deployer), ("denied-too", &json!({ "name": "view" }))] {
            cluster.ask(ALICE, namespace, name, json!({ "role": role, "rules": escalate })).await;
            cluster.until(namespace, name, State::Denied).await;
        }
    }
    rights::edit(cluster, &SERVED).await;
    for namespace in SERVED {
        rights::stray(cluster, namespace).await;
        for name in ["whole", "narrow"] {
            cluster.review(ALICE, namespace, name, "Revoke", "done").await;
            cluster.until(namespace, name, State::Revoked).await;
        }
    }
    // An Event of something that belongs to the cluster.
    let mut faulty = crate::harness::cast::policy("faulty", "shop");
    faulty["spec"]["schedule"] =
        json!({ "timeZone": "Mars/Olympus", "windows": [{ "days": ["Mon"], "start": "09:00", "end": "17:00" }] });
    cluster.kubectl(GITOPS).apply(&faulty.to_string()).await;
    eventually("the policy's fault is announced", SOON, async || {
        let events = admin.ok(&["get", "events", "-n", "default", "-o", "jsonpath={.items[*].reason}"]).await;
        if events.contains("Invalid") { Ok(()) } else { Err(events) }
    })
    .await;
}

async fn stolen_token(control_plane: Arc<ControlPlane>) {
    let cluster = limited(control_plane).await;
    let token = Controller::token(&cluster.control_plane).await;
    let thief = cluster.control_plane.client_for_token("thief", &token).await;
    // Named and marked as the controller guard wants it, so that nothing but the rights is in the way.
    let uid = "00000000-0000-0000-0000-000000000001";
    let metadata = json!({ "name": format!("daypass-{uid}"),
        "labels": { "app.kubernetes.io/managed-by": "daypass", "daypass.dev/request-uid": uid } });
    let binding = json!({ "metadata": metadata,
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view" },
        "subjects": [{ "kind": "ServiceAccount", "name": "daypass", "namespace": install::NAMESPACE }] });
    let (cluster_binding, binding): (ClusterRoleBinding, RoleBinding) =
        (serde_json::from_value(binding.clone()).expect("one"), serde_json::from_value(binding).expect("one"));
    let role: Role = serde_json::from_value(json!({ "metadata": metadata, "rules": [] })).expect("a role");
    let as_is = PostParams::default();
    let bindings = |namespace: &str| Api::<RoleBinding>::namespaced(thief.clone(), namespace);
    let roles = |namespace: &str| Api::<Role>::namespaced(thief.clone(), namespace);
    refused(
        Api::<ClusterRoleBinding>::all(thief.clone()).create(&as_is, &cluster_binding).await,
        "clusterrolebindings",
    );
    refused(bindings("yard").create(&as_is, &binding).await, "rolebindings");
    refused(bindings("kube-system").create(&as_is, &binding).await, "rolebindings");
    refused(roles("yard").create(&as_is, &role).await, "roles");
    refused(roles("yard").list(&ListParams::default()).await, "roles");
    for namespace in ["yard", "shop", install::NAMESPACE] {
        let secrets: Api<Secret> = Api::namespaced(thief.clone(), namespace);
        refused(secrets.list(&ListParams::default()).await, "secrets");
        refused(secrets.get("any").await, "secrets");
    }
    // The same objects are accepted where it serves.
    roles("shop").create(&as_is, &role).await.expect("a role in a namespace that is served");
    bindings("shop").create(&as_is, &binding).await.expect("a binding in a namespace that is served");
    cluster.until_unbound("shop").await;
}

/// RBAC is what refuses, and says of what.
fn refused<T: Debug>(result: Result<T, kube::Error>, resource: &str) {
    match result.expect_err("it must be refused") {
        kube::Error::Api(status) => {
            let why = format!("User \"{CONTROLLER}\" cannot ");
            assert!(status.is_forbidden() && status.message.contains(&why), "{}", status.message);
            assert!(status.message.contains(&format!("resource \"{resource}\"")), "{}", status.message);
        }
        error => panic!("{error}"),
    }
}

/// From the whole cluster to two namespaces: Helm refuses while it would leave something behind, and names it. Who goes
/// round Helm leaves nothing either, as far as the controller still reaches.
async fn none_is_left_behind(cluster: Arc<Cluster>) {
    make(&cluster.control_plane, &["bank", "shop", "yard"]).await;
    cluster.allow("much", "*", much()).await;
    let shop = json!({ "namespaces": ["shop"] });
    for (namespace, name, spec) in [
        ("shop", "here", json!({})),
        ("yard", "there", json!({})),
        ("yard", "from-there", json!({ "scope": shop })),
        ("shop", "everywhere", json!({ "role": { "name": "view" }, "scope": { "cluster": true } })),
    ] {
        cluster.ask(ALICE, namespace, name, spec).await;
        cluster.until(namespace, name, State::Active).await;
    }
    let uid = async |namespace: &str, name: &str| {
        cluster.requests(namespace).await.get(name).await.expect("a request").uid().expect("a UID")
    };
    let chart = chart::chart();
    let with = |value: &str| {
        let args = [
            "template",
            "daypass",
            &chart,
            "-n",
            install::NAMESPACE,
            "--dry-run=server",
            "--take-ownership",
            "--set",
            value,
        ];
        args.map(str::to_owned)
    };
    let refused = async |value: &str| {
        let args = with(value);
        cluster.control_plane.helm_refused(&args.each_ref().map(String::as_str)).await
    };
    let value = limits(&SERVED).0;
    let refusal = refused(&value).await;
    let (there, from_there) = (uid("yard", "there").await, uid("yard", "from-there").await);
    let everywhere = uid("shop", "everywhere").await;
    for named in [
        "watchNamespaces (bank, shop) leaves out what runs now, and nobody could end it any more: ".to_owned(),
        format!("RoleBinding yard/daypass-{there} of a request in yard"),
        format!("RoleBinding shop/daypass-{from_there} of a request in yard"),
        format!("ClusterRoleBinding daypass-{everywhere} of a request in shop"),
        "End it first, by a review of Revoke, or add its namespaces".to_owned(),
    ] {
        assert!(refusal.contains(&named), "{named}: {refusal}");
    }
    assert!(!refusal.contains(&uid("shop", "here").await), "what stays in reach is no hindrance: {refusal}");
    for (namespace, name) in [("yard", "there"), ("shop", "everywhere")] {
        cluster.review(ALICE, namespace, name, "Revoke", "done").await;
        cluster.until(namespace, name, State::Revoked).await;
    }
    let refusal = refused(&value).await;
    assert!(refusal.contains(&from_there) && !refusal.contains(&there), "{refusal}");
    let all = limits(&["bank", "shop", "yard"]).0;
    cluster.control_plane.helm(&with(&all).each_ref().map(String::as_str)).await;

    // A render that sees no cluster, as a GitOps tool's.
    cluster.controller.kill();
    let limited = Arc::new(Cluster::limited(cluster.control_plane.clone(), &SERVED).await);
    eventually("what nobody would end has ended", SOON, async || match cluster.our_bindings("shop").await.as_slice() {
        [here] if !here.name_any().contains(&from_there) => Ok(()),
        left => Err(format!("{} are left", left.len())),
    })
    .await;
    let log = limited.controller.log();
    assert_says(&log, &Stray::Unserved);
    limited.review(ALICE, "shop", "here", "Revoke", "done").await;
    limited.until("shop", "here", State::Revoked).await;
    cluster.control_plane.helm(&with(&value).each_ref().map(String::as_str)).await;
}
