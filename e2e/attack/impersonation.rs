//! Attempts in the name of accounts that the guards trust. `edit` lets its holders impersonate every service account,
//! so a name proves nothing; what a token brings along does.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::attempt::Attempt;
use super::call::{Call, create, delete, merge};
use super::ground::{Ground, Scene};
use super::guard::Guard;
use super::self_guard::{OURS, core, home};
use crate::harness::cast::SOON;
use crate::harness::install::{CONTROLLER, NAMESPACE};
use crate::harness::users::{ADMIN, TRUDY};
use crate::harness::{Cluster, eventually, shared};

const CANARY: &str = "system:serviceaccount:daypass-system:daypass-canary";
const LATER: &str = "2031-01-01T00:00:00Z";

pub fn attempts() -> Vec<Attempt> {
    [the_controller(), parts_of_kubernetes()].into_iter().flatten().collect()
}

pub fn trials() -> Vec<Trial> {
    vec![
        shared("attack::impersonation::what_a_token_brings_cannot_be_claimed", facts_of_a_token),
        shared("attack::impersonation::of_an_account_that_administers_is_refused", of_an_administrator),
    ]
}

fn the_controller() -> Vec<Attempt> {
    let forges = |name: &str, scene, words: &str, status: Value| {
        Attempt::refused(format!("impersonation::{name}"), Guard::Status, scene, words, move |g| {
            merge(TRUDY, g.status(), json!({ "status": status })).acting_as(CONTROLLER)
        })
    };
    let history = json!([{ "at": LATER, "event": "Granted", "message": "all is well" }]);
    let ready =
        json!([{ "type": "Ready", "status": "True", "reason": "Forged", "message": "", "lastTransitionTime": LATER }]);
    vec![
        forges(
            "forges_an_approval",
            Scene::Pending,
            r#"the review of "carol" is not yours"#,
            json!({ "reviews": { "carol": { "verdict": "Approve", "groups": ["approvers"] } } }),
        ),
        forges("forges_the_state", Scene::Pending, "only Daypass writes status.state", json!({ "state": "Active" })),
        forges("moves_the_end", Scene::Active, "only Daypass writes status.expiresAt", json!({ "expiresAt": LATER })),
        forges("writes_history", Scene::Pending, "only Daypass writes status.history", json!({ "history": history })),
        Attempt::refused(
            "impersonation::calls_a_policy_ready",
            Guard::PolicyStatus,
            Scene::Pending,
            "only Daypass writes the status of a policy",
            move |g| {
                let status = json!({ "status": { "conditions": ready } });
                merge(TRUDY, format!("{}/status", g.policy()), status).acting_as(CONTROLLER)
            },
        ),
        Attempt::refused(
            "impersonation::binds_what_waits",
            Guard::Bindings,
            Scene::Pending,
            "are written by its controller only",
            |g| create(TRUDY, g.bindings(), g.binding_of(&g.binding_name(), g.uid())).acting_as(CONTROLLER),
        ),
    ]
}

fn parts_of_kubernetes() -> Vec<Attempt> {
    let attempt = |name: &str, account: &'static str, act: fn(&Ground) -> Call| {
        Attempt::refused(format!("impersonation::{name}"), Guard::OwnNamespace, Scene::Home, OURS, move |g| {
            act(g).acting_as(&format!("system:serviceaccount:kube-system:{account}"))
        })
    };
    vec![
        attempt("makes_replicas_with_another_image", "deployment-controller", |g| {
            let labels = json!({ "attack": "replicas" });
            let container = json!({ "name": "it", "image": "example.com/theirs:1" });
            let template = json!({ "metadata": { "labels": labels }, "spec": { "containers": [container] } });
            let spec = json!({ "replicas": 1, "selector": { "matchLabels": labels }, "template": template });
            create(TRUDY, home("apps/v1", "replicasets"), json!({ "metadata": { "name": g.namespace }, "spec": spec }))
        }),
        attempt("makes_a_pod", "replicaset-controller", |g| {
            let name = format!("{}-made", g.namespace);
            let container = json!({ "name": "it", "image": "example.com/theirs:1" });
            let spec = json!({ "serviceAccountName": "daypass", "containers": [container] });
            create(TRUDY, core("pods"), json!({ "metadata": { "name": name }, "spec": spec }))
        }),
        attempt("collects_what_is_no_garbage", "generic-garbage-collector", |g| {
            delete(TRUDY, home("apps/v1", &format!("deployments/{}", g.namespace)))
        }),
        attempt("empties_a_namespace_that_stays", "namespace-controller", |g| {
            delete(TRUDY, core(&format!("secrets/{}", g.namespace)))
        }),
        attempt("writes_what_pods_mount", "root-ca-cert-publisher", |g| {
            create(TRUDY, core("configmaps"), json!({ "metadata": { "name": format!("{}-made", g.namespace) } }))
        }),
        attempt("ends_a_pod_of_a_node_that_answers", "node-controller", |g| {
            delete(TRUDY, core(&format!("pods/{}", g.namespace)))
        }),
    ]
}

/// The API server asks for a right of its own for each fact besides the name, and `edit` has none.
async fn facts_of_a_token(cluster: Arc<Cluster>) {
    let ground = Ground::prepare(&cluster, Scene::Pending, true).await;
    let forged = || merge(TRUDY, ground.status(), json!({ "status": { "state": "Active" } })).acting_as(CONTROLLER);
    for (what, value, words) in [
        ("Extra-authentication.kubernetes.io%2fcredential-id", "JTI=any", r#"cannot impersonate resource "userextras"#),
        ("Uid", "any", r#"cannot impersonate resource "uids"#),
        ("Group", "system:nodes", r#"cannot impersonate resource "groups"#),
        ("Group", "system:masters", r#"cannot impersonate resource "groups"#),
    ] {
        let why = ground.send(&forged().impersonating(what, value)).await.expect_err(what);
        assert!(why.contains(words), "{what}: {why}");
    }
    // The note on the canary's request says since when the guards hold.
    let note = json!({ "metadata": { "annotations": { "daypass.dev/guarded-since": "2020-01-01T00:00:00Z" } } });
    let noted = home("daypass.dev/v1alpha1", "accessrequests/daypass-canary");
    let why = ground.send(&merge(TRUDY, noted, note).acting_as(CANARY)).await.expect_err("it is not the canary");
    assert!(why.contains("ValidatingAdmissionPolicy 'daypass-"), "{why}");
}

/// A service account that may do everything, as that of a GitOps tool: its token passes, also an old one that never
/// ends, and who impersonates it does not.
async fn of_an_administrator(cluster: Arc<Cluster>) {
    let ground = Ground::empty(&cluster, true).await;
    let name = format!("system:serviceaccount:{}:tool", ground.namespace);
    let accounts = format!("/api/v1/namespaces/{}", ground.namespace);
    ground.ok(&create(ADMIN, format!("{accounts}/serviceaccounts"), json!({ "metadata": { "name": "tool" } }))).await;
    let mut bound = ground.foreign_binding(&ground.namespace);
    bound["kind"] = json!("ClusterRoleBinding");
    bound["metadata"].as_object_mut().expect("metadata").remove("namespace");
    bound["roleRef"]["name"] = json!("cluster-admin");
    bound["subjects"] = json!([{ "kind": "ServiceAccount", "name": "tool", "namespace": ground.namespace }]);
    ground.ok(&create(ADMIN, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings".to_owned(), bound)).await;
    let annotations = json!({ "kubernetes.io/service-account.name": "tool" });
    let secret = json!({ "metadata": { "name": "tool", "annotations": annotations }, "type": "kubernetes.io/service-account-token" });
    ground.ok(&create(ADMIN, format!("{accounts}/secrets"), secret)).await;
    let secrets: Api<Secret> = Api::namespaced(cluster.client(ADMIN).await, &ground.namespace);
    let old = eventually("there is a token that never ends", SOON, async || {
        let secret = secrets.get("tool").await.map_err(|error| error.to_string())?;
        secret.data.and_then(|mut data| data.remove("token")).ok_or_else(|| "no token".to_owned())
    })
    .await;
    let old = String::from_utf8(old.0).expect("a token");
    let old = cluster.control_plane.client_for_token("old-tool", &old).await;
    let new = ground.service_account_of(ADMIN, "tool").await;
    let write = || {
        let configmap = json!({ "metadata": { "name": "daypass-of-a-tool" } });
        create(TRUDY, format!("/api/v1/namespaces/{NAMESPACE}/configmaps"), configmap).dry()
    };
    for client in [&old, &new] {
        eventually("its own token passes", SOON, async || write().send(client).await.map(drop)).await;
    }
    let why = ground.send(&write().acting_as(&name)).await.expect_err("trudy is not that tool");
    assert!(why.contains(OURS), "{why}");
    cluster.kubectl(ADMIN).ok(&["delete", "clusterrolebinding", &ground.namespace]).await;
}
