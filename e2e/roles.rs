//! The roles for people: each may what it says and not more, as accounts of a real API server.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::authorization::v1::{SelfSubjectRulesReview, SelfSubjectRulesReviewSpec};
use kube::Api;
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::cast::{self, SOON};
use crate::harness::kubectl::Kubectl;
use crate::harness::users::{ADMIN, ALICE};
use crate::harness::{Cluster, ControlPlane, eventually, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("roles::each_may_what_it_says_and_not_more", each_may_what_it_says),
        shared("roles::an_auditor_reads_all_and_writes_nothing", an_auditor),
    ]
}

/// What each role gives, one line a resource. A new right must be added here too, with a reason in the chart.
const RIGHTS: [(&str, &[&str]); 5] = [
    (
        "daypass-requester",
        &[
            "daypass.dev/accesspolicies: get,list,watch",
            "daypass.dev/accessrequests/status: get,patch",
            "daypass.dev/accessrequests: create,delete,get,list,patch,watch",
        ],
    ),
    (
        "daypass-approver",
        &[
            "daypass.dev/accesspolicies: get,list,watch",
            "daypass.dev/accessrequests/status: get,patch",
            "daypass.dev/accessrequests: get,list,watch",
        ],
    ),
    ("daypass-viewer", &["daypass.dev/accesspolicies: get,list,watch", "daypass.dev/accessrequests: get,list,watch"]),
    (
        "daypass-auditor",
        &[
            "/events: get,list,watch",
            "/namespaces: get,list,watch",
            "admissionregistration.k8s.io/mutatingadmissionpolicies: get,list,watch",
            "admissionregistration.k8s.io/mutatingadmissionpolicybindings: get,list,watch",
            "admissionregistration.k8s.io/validatingadmissionpolicies: get,list,watch",
            "admissionregistration.k8s.io/validatingadmissionpolicybindings: get,list,watch",
            "daypass.dev/accesspolicies: get,list,watch",
            "daypass.dev/accessrequests: get,list,watch",
            "events.k8s.io/events: get,list,watch",
            "rbac.authorization.k8s.io/clusterrolebindings: get,list,watch",
            "rbac.authorization.k8s.io/clusterroles: get,list,watch",
            "rbac.authorization.k8s.io/rolebindings: get,list,watch",
            "rbac.authorization.k8s.io/roles: get,list,watch",
        ],
    ),
    (
        "daypass-policy-author",
        &["daypass.dev/accesspolicies: create,delete,deletecollection,get,list,patch,update,watch"],
    ),
];

/// A new account of a namespace, with a role there or everywhere, and what proves to be it.
async fn account(control_plane: &ControlPlane, namespace: &str, role: &str, everywhere: bool) -> String {
    let admin = control_plane.kubectl(ADMIN);
    let name = format!("has-{role}");
    admin.ok(&["create", "serviceaccount", &name, "-n", namespace]).await;
    let subject = format!("--serviceaccount={namespace}:{name}");
    let role_of = format!("--clusterrole={role}");
    if everywhere {
        admin.ok(&["create", "clusterrolebinding", &format!("{namespace}-{role}"), &role_of, &subject]).await;
    } else {
        admin.ok(&["create", "rolebinding", &name, &role_of, &subject, "-n", namespace]).await;
    }
    admin.ok(&["create", "token", &name, "-n", namespace]).await.trim().to_owned()
}

async fn kubectl(control_plane: &ControlPlane, namespace: &str, role: &str, everywhere: bool) -> Kubectl {
    let token = account(control_plane, namespace, role, everywhere).await;
    control_plane.kubectl_with(&control_plane.kubeconfig_for_token(&format!("{namespace}-{role}"), &token))
}

/// What an account may do in a namespace, as the API server tells it itself.
async fn rights(control_plane: &ControlPlane, namespace: &str, name: &str, token: &str) -> BTreeSet<String> {
    let reviews: Api<SelfSubjectRulesReview> = Api::all(control_plane.client_for_token(name, token).await);
    let spec = SelfSubjectRulesReviewSpec { namespace: Some(namespace.to_owned()) };
    let review = SelfSubjectRulesReview { spec, ..SelfSubjectRulesReview::default() };
    let answer = reviews.create(&Default::default(), &review).await.expect("a review");
    let mut rights = BTreeSet::new();
    for rule in answer.status.expect("a status").resource_rules {
        assert_eq!(rule.resource_names, None, "no role for people names objects");
        let mut verbs = rule.verbs;
        verbs.sort();
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                rights.insert(format!("{group}/{resource}: {}", verbs.join(",")));
            }
        }
    }
    rights
}

async fn each_may_what_it_says(cluster: Arc<Cluster>) {
    let control_plane = &cluster.control_plane;
    let namespace = cluster.namespace("roles").await;
    // What everybody has who is logged in. Everybody may ask here, so that is no part of what a role adds.
    control_plane
        .kubectl(ADMIN)
        .ok(&["create", "clusterrole", &format!("{namespace}-nothing"), "--verb=get", "--resource=nodes"])
        .await;
    let nobody = account(control_plane, &namespace, &format!("{namespace}-nothing"), false).await;
    let common = rights(control_plane, &namespace, &format!("{namespace}-nobody"), &nobody).await;
    let asks: BTreeSet<String> = RIGHTS[0].1.iter().map(|right| (*right).to_owned()).collect();
    assert!(common.is_superset(&asks), "{common:?}");
    for (role, expected) in RIGHTS {
        let token = account(control_plane, &namespace, role, true).await;
        let expected: BTreeSet<String> = expected.iter().map(|right| (*right).to_owned()).collect();
        eventually(&format!("{role} is in force"), SOON, async || {
            let all = rights(control_plane, &namespace, &format!("{namespace}-{role}"), &token).await;
            let surplus: Vec<_> = all.difference(&common).filter(|right| !expected.contains(*right)).collect();
            assert!(surplus.is_empty(), "{role} may more than it says: {surplus:?}");
            if expected.is_subset(&all) { Ok(()) } else { Err(format!("{all:?}")) }
        })
        .await;
    }
}

async fn an_auditor(cluster: Arc<Cluster>) {
    let (here, elsewhere) = (cluster.namespace("audited").await, cluster.namespace("audited").await);
    cluster.allow(&elsewhere, &elsewhere, json!({})).await;
    cluster.ask(ALICE, &elsewhere, "fix", json!({ "duration": "1h" })).await;
    let granted = cluster.until(&elsewhere, "fix", daypass::api::State::Active).await;
    cluster.until_events(&granted, &["Granted"]).await;
    let auditor = kubectl(&cluster.control_plane, &here, "daypass-auditor", true).await;
    eventually("the auditor's role is in force", SOON, async || {
        if auditor.can_i("list", "accessrequests", None).await { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    assert!(auditor.ok(&["get", "areq", "-A"]).await.contains(&elsewhere));
    assert!(auditor.ok(&["get", "apol"]).await.contains(&elsewhere));
    assert!(auditor.ok(&["get", "events", "-n", &elsewhere]).await.contains("accessrequest/fix"));
    let bindings = ["get", "rolebindings,clusterrolebindings", "-A", "-l", "app.kubernetes.io/managed-by=daypass"];
    assert!(auditor.ok(&bindings).await.contains(&elsewhere));
    assert!(auditor.ok(&["get", "validatingadmissionpolicies"]).await.contains("daypass-status-guard"));
    // Everybody may ask and review in this cluster, so the auditor's own rights are looked at where nobody else has any.
    for (verb, resource) in [
        ("create", "rolebindings"),
        ("delete", "rolebindings"),
        ("create", "accesspolicies.daypass.dev"),
        ("patch", "accesspolicies.daypass.dev"),
        ("update", "accessrequests.daypass.dev"),
        ("purge", "accessrequests.daypass.dev"),
        ("delete", "events"),
        ("get", "secrets"),
        ("list", "pods"),
        ("delete", "validatingadmissionpolicies"),
    ] {
        assert!(!auditor.can_i(verb, resource, None).await, "an auditor may {verb} {resource}");
    }
    let refusal = auditor.apply_refused(&cast::policy("by-auditor", &here).to_string()).await;
    assert!(refusal.contains("cannot create resource \"accesspolicies\""), "{refusal}");
    let name = cluster.our_bindings(&elsewhere).await[0].metadata.name.clone().expect("a name");
    let refusal = auditor.refused(&["delete", "rolebinding", &name, "-n", &elsewhere]).await;
    assert!(refusal.contains("cannot delete resource \"rolebindings\""), "{refusal}");
}

/// view, edit and admin have the roles of the chart in them, each no more than its own; bound in one namespace they
/// see no other. Here nobody has any right by a group that everybody is in.
pub async fn built_in_roles_contain_those_of_the_chart(control_plane: &ControlPlane) {
    let namespace = "built-in";
    control_plane.kubectl(ADMIN).ok(&["create", "namespace", namespace]).await;
    for (role, may, may_not) in [
        (
            "daypass-viewer",
            &["list accessrequests"][..],
            &["create accessrequests", "patch accessrequests/status", "list events", "list rolebindings"][..],
        ),
        ("view", &["list accessrequests"][..], &["create accessrequests", "patch accessrequests/status"][..]),
        ("edit", &["list accessrequests", "create accessrequests"], &["create accesspolicies", "list rolebindings"]),
        (
            "admin",
            &["create accessrequests", "patch accessrequests/status"],
            &["create accesspolicies", "purge accessrequests"],
        ),
    ] {
        let account = kubectl(control_plane, namespace, role, false).await;
        let can = async |right: &str| {
            let (verb, what) = right.split_once(' ').expect("a verb and a resource");
            let (resource, part) = what.split_once('/').unwrap_or((what, ""));
            let ours = format!("{resource}.daypass.dev");
            let resource = if resource.starts_with("access") { &ours } else { resource };
            let part = format!("--subresource={part}");
            let answer = account.run(&["auth", "can-i", verb, resource, &part, "-n", namespace]).await;
            match answer.stdout.trim() {
                "yes" => true,
                "no" => false,
                _ => panic!("{right}: {}", answer.stderr),
            }
        };
        for right in may {
            eventually(&format!("{role} may {right}"), SOON, async || {
                if can(right).await { Ok(()) } else { Err("not yet".to_owned()) }
            })
            .await;
        }
        for right in may_not {
            assert!(!can(right).await, "{role} may {right}");
        }
        let elsewhere = account.can_i("list", "accessrequests.daypass.dev", Some("default")).await;
        assert!(!elsewhere, "{role} of one namespace sees the requests of another");
    }
}
