//! Attempts to stop or turn Daypass from within the namespace that it runs in, with rights to write in every namespace.
//! What must go on there all the same is in `own_namespace`.

use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::attempt::Attempt;
use super::call::{Call, apply_with_force, create, delete, json_patch, merge};
use super::ground::{Ground, Scene};
use super::guard::Guard;
use crate::harness::cast::{SOON, request};
use crate::harness::install::NAMESPACE;
use crate::harness::users::{ADMIN, OSCAR, TRUDY, User};
use crate::harness::{Cluster, eventually, private, shared};

/// What the self-guard says.
pub const OURS: &str =
    "'daypass-self-guard' with binding 'daypass-self-guard' denied request: Daypass runs in namespace";
/// What the guard of the Lease says.
pub const THEIR_LEASE: &str = "says which replica of Daypass writes, and is written by Daypass alone";

pub fn attempts() -> Vec<Attempt> {
    [workload(), settings(), rights(), the_lease()].into_iter().flatten().collect()
}

pub fn trials() -> Vec<Trial> {
    vec![
        shared("attack::self::each_try_of_the_canary_is_refused_by_its_own_guard", tries_of_the_canary),
        private("attack::self::nobody_enters_and_nobody_has_a_token", nobody_enters),
    ]
}

/// Where objects of the core are in the namespace that Daypass runs in.
pub fn core(rest: &str) -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/{rest}")
}

/// The same in an API group.
pub fn home(group: &str, rest: &str) -> String {
    format!("/apis/{group}/namespaces/{NAMESPACE}/{rest}")
}

fn pod_spec() -> Value {
    json!({ "automountServiceAccountToken": false, "containers": [{ "name": "it", "image": "localhost/it:1" }] })
}

/// Objects to attack, as if they were Daypass's own: the guard does not go by their names.
pub async fn furnish(ground: &Ground) {
    let name = ground.namespace.as_str();
    let metadata = json!({ "name": name, "labels": { "attack": name } });
    let template = json!({ "metadata": { "labels": { "attack": name } }, "spec": pod_spec() });
    let selector = json!({ "matchLabels": { "attack": name } });
    let deployment = json!({ "replicas": 2, "selector": selector, "template": template });
    for (collection, object) in [
        (home("apps/v1", "deployments"), json!({ "spec": deployment })),
        (core("pods"), json!({ "spec": pod_spec() })),
        (core("configmaps"), json!({ "data": { "key": "as it was" } })),
        (core("secrets"), json!({ "stringData": { "key": "as it was" } })),
        (core("serviceaccounts"), json!({})),
        (core("services"), json!({ "spec": { "selector": { "attack": name }, "ports": [{ "port": 80 }] } })),
        (home("policy/v1", "poddisruptionbudgets"), json!({ "spec": { "maxUnavailable": 1, "selector": selector } })),
    ] {
        let mut object = object;
        object["metadata"] = metadata.clone();
        ground.ok(&create(ADMIN, collection, object)).await;
    }
}

fn attempt(name: &str, act: impl Fn(&Ground) -> Call + Send + Sync + 'static) -> Attempt {
    Attempt::refused(format!("self::{name}"), Guard::OwnNamespace, Scene::Home, OURS, act)
}

fn deployment(g: &Ground) -> String {
    home("apps/v1", &format!("deployments/{}", g.namespace))
}

fn pod(g: &Ground) -> String {
    core(&format!("pods/{}", g.namespace))
}

/// A new object with a name of the ground's own.
fn made(by: User, g: &Ground, collection: String, mut rest: Value) -> Call {
    rest["metadata"] = json!({ "name": format!("{}-made", g.namespace) });
    create(by, collection, rest)
}

fn workload() -> Vec<Attempt> {
    vec![
        attempt("the_deployment_is_scaled_down", |g| {
            // To nothing it is the same, but what is nothing is not said in the answer.
            let fewer = json!({ "spec": { "replicas": 1 } });
            merge(TRUDY, format!("{}/scale", deployment(g)), fewer).seen_at(deployment(g))
        }),
        attempt("the_deployment_gets_another_image", |g| {
            let containers = json!([{ "name": "it", "image": "example.com/theirs:1" }]);
            merge(TRUDY, deployment(g), json!({ "spec": { "template": { "spec": { "containers": containers } } } }))
        }),
        attempt("the_deployment_is_paused_by_apply_with_force", |g| {
            let object = json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": g.namespace },
                "spec": { "paused": true }
            });
            apply_with_force(TRUDY, deployment(g), object)
        }),
        attempt("the_deployment_is_deleted", |g| delete(TRUDY, deployment(g))),
        attempt("the_deployment_is_deleted_and_its_pods_are_left", |g| {
            delete(TRUDY, deployment(g)).with("propagationPolicy=Orphan")
        }),
        attempt("a_pod_of_the_account_is_made", |g| {
            let mut spec = pod_spec();
            spec["serviceAccountName"] = json!("daypass");
            made(TRUDY, g, core("pods"), json!({ "spec": spec }))
        }),
        attempt("a_pod_is_deleted", |g| delete(TRUDY, pod(g))),
        attempt("a_pod_is_given_a_container_to_look_around", |g| {
            let guest = json!([{ "name": "guest", "image": "busybox" }]);
            let patch = json!({ "spec": { "ephemeralContainers": guest } });
            merge(OSCAR, format!("{}/ephemeralcontainers", pod(g)), patch).seen_at(pod(g))
        }),
        attempt("a_job_of_the_account_is_made", |g| {
            let mut pod = pod_spec();
            pod["serviceAccountName"] = json!("daypass");
            pod["restartPolicy"] = json!("Never");
            made(TRUDY, g, home("batch/v1", "jobs"), json!({ "spec": { "template": { "spec": pod } } }))
        }),
        attempt("the_replicas_are_scaled_by_an_autoscaler", |g| {
            let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": g.namespace });
            let spec = json!({ "minReplicas": 1, "maxReplicas": 1, "scaleTargetRef": target });
            made(TRUDY, g, home("autoscaling/v2", "horizontalpodautoscalers"), json!({ "spec": spec }))
        }),
    ]
}

fn settings() -> Vec<Attempt> {
    let changed = |name: &str, kind: &'static str| {
        attempt(name, move |g| {
            let path = core(&format!("{kind}/{}", g.namespace));
            merge(TRUDY, path, json!({ "metadata": { "annotations": { "changed": "by-trudy" } } }))
        })
    };
    vec![
        changed("a_secret_is_changed", "secrets"),
        changed("a_service_is_changed", "services"),
        changed("an_account_is_changed", "serviceaccounts"),
        attempt("a_secret_with_a_token_of_the_account_is_made", |g| {
            let name = format!("{}-made", g.namespace);
            let metadata = json!({ "name": name, "annotations": { "kubernetes.io/service-account.name": "daypass" } });
            let secret = json!({ "metadata": metadata, "type": "kubernetes.io/service-account-token" });
            create(TRUDY, core("secrets"), secret)
        }),
        attempt("a_configmap_is_made", |g| made(TRUDY, g, core("configmaps"), json!({ "data": { "a": "b" } }))),
        attempt("an_account_is_made", |g| made(TRUDY, g, core("serviceaccounts"), json!({}))),
        attempt("all_of_a_kind_are_deleted", |g| {
            delete(TRUDY, core("configmaps"))
                .with("labelSelector=attack")
                .seen_at(core(&format!("configmaps/{}", g.namespace)))
        }),
        attempt("the_network_is_cut_off", |g| {
            let spec = json!({ "podSelector": {}, "policyTypes": ["Egress"] });
            made(TRUDY, g, home("networking.k8s.io/v1", "networkpolicies"), json!({ "spec": spec }))
        }),
        attempt("the_budget_is_deleted", |g| {
            delete(TRUDY, home("policy/v1", &format!("poddisruptionbudgets/{}", g.namespace)))
        }),
    ]
}

/// With `admin`, which may hand its rights on.
fn rights() -> Vec<Attempt> {
    const RBAC: &str = "rbac.authorization.k8s.io/v1";
    vec![
        attempt("a_role_is_made", |g| {
            let rule = json!({ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] });
            made(OSCAR, g, home(RBAC, "roles"), json!({ "rules": [rule] }))
        }),
        attempt("the_account_of_the_canary_is_bound_to_admin", |g| {
            let admin = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin" });
            let canary = json!([{ "kind": "ServiceAccount", "name": "daypass-canary", "namespace": NAMESPACE }]);
            made(OSCAR, g, home(RBAC, "rolebindings"), json!({ "roleRef": admin, "subjects": canary }))
        }),
    ]
}

/// Where Leases are.
pub fn leases() -> String {
    home("coordination.k8s.io/v1", "leases")
}

/// Where the Lease is.
pub fn lease() -> String {
    home("coordination.k8s.io/v1", "leases/daypass")
}

/// Without the guard these are made one after the other: what is deleted has to be made again for the next.
fn the_lease() -> Vec<Attempt> {
    let attempt = |name: &str, act: fn(&Ground) -> Call| {
        Attempt::refused(format!("lease::{name}"), Guard::Lease, Scene::Home, THEIR_LEASE, act)
    };
    vec![
        attempt("is_held_by_nobody_for_a_day", |_| {
            merge(TRUDY, lease(), json!({ "spec": { "holderIdentity": "nobody", "leaseDurationSeconds": 86_400 } }))
        }),
        attempt("is_renewed_in_another_name", |_| {
            let somebody = json!([{ "op": "add", "path": "/spec/holderIdentity", "value": "somebody" }]);
            json_patch(TRUDY, lease(), somebody)
        }),
        // Given to an owner that is gone, the garbage collector deletes it.
        attempt("is_changed_beside_its_holder", |_| {
            merge(TRUDY, lease(), json!({ "metadata": { "annotations": { "changed": "by-trudy" } } }))
        }),
        attempt("is_written_by_the_admin", |_| {
            merge(ADMIN, lease(), json!({ "spec": { "holderIdentity": "the-admin" } }))
        }),
        attempt("is_deleted", |_| delete(TRUDY, lease())),
        attempt("is_applied_with_force", |_| {
            let object = json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": { "name": "daypass" },
                "spec": { "holderIdentity": "by-force" }
            });
            apply_with_force(TRUDY, lease(), object)
        }),
        attempt("is_deleted_with_all_others", |_| delete(TRUDY, leases()).seen_at(lease())),
        attempt("is_made_anew_as_the_controller", |_| {
            let spec = json!({ "holderIdentity": "as-the-controller" });
            let object = json!({ "metadata": { "name": "daypass" }, "spec": spec });
            create(TRUDY, leases(), object).acting_as("system:serviceaccount:daypass-system:daypass")
        }),
    ]
}

/// The canary proves that a guard is in force by its name in the refusal, so no other may refuse what it tries.
async fn tries_of_the_canary(cluster: Arc<Cluster>) {
    let ground = Ground::empty(&cluster, true).await;
    let canary = ground.service_account_in(ADMIN, NAMESPACE, "daypass-canary").await;
    let label = json!({ "app.kubernetes.io/managed-by": "daypass" });
    let role = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "daypass-canary" });
    let binding = json!({ "metadata": { "name": "daypass-canary", "labels": label }, "roleRef": role, "subjects": [] });
    let requests = home("daypass.dev/v1alpha1", "accessrequests");
    let forged = json!({ "requester": { "username": "system:admin", "groups": ["system:masters"] } });
    let state = json!({ "status": { "state": "Active" } });
    let configmap = json!({ "metadata": { "name": "daypass-canary-try" } });
    let holder = json!({ "spec": { "holderIdentity": "nobody" } });
    for (guard, call) in [
        ("status-guard", merge(ADMIN, format!("{requests}/daypass-canary/status"), state)),
        ("binding-guard", create(ADMIN, home("rbac.authorization.k8s.io/v1", "rolebindings"), binding.clone())),
        ("self-guard", create(ADMIN, core("configmaps"), configmap)),
        ("lease-guard", merge(ADMIN, lease(), holder)),
    ] {
        let why = call.dry().send(&canary).await.expect_err(guard);
        assert!(why.contains(&format!("'daypass-{guard}'")), "{guard}: {why}");
    }
    // The stamp takes the forged name away, so nobody has to refuse.
    let call = create(ADMIN, requests, request(NAMESPACE, "daypass-canary-forged", forged));
    let stamped = call.dry().send(&canary).await.expect("it is stamped");
    assert_eq!(stamped["spec"]["requester"]["username"], "system:serviceaccount:daypass-system:daypass-canary");
    // A binding that is no dry run is no try.
    let bound = create(ADMIN, home("rbac.authorization.k8s.io/v1", "rolebindings"), binding);
    let why = bound.send(&canary).await.expect_err("it is no try");
    assert!(why.contains("'daypass-self-guard'") || why.contains("'daypass-binding-guard'"), "{why}");
}

/// Acts that leave nothing to look at. Without the guard they come as far as they can without a node, or succeed.
async fn nobody_enters(cluster: Arc<Cluster>) {
    let ground = Ground::prepare(&cluster, Scene::Home, true).await;
    let token = |account: &str| {
        let asked = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {} });
        create(TRUDY, core(&format!("serviceaccounts/{account}/token")), asked)
    };
    let connect = |to: &str| create(TRUDY, format!("{}/{to}", pod(&ground)), Value::Null);
    let no_host = "does not have a host assigned";
    // trudy may not delete namespaces, and oscar not either by his role.
    let may_delete = ["create", "clusterrole", "deletes-namespaces", "--verb=delete", "--resource=namespaces"];
    let admin = cluster.kubectl(ADMIN);
    admin.ok(&may_delete).await;
    let bound = ["create", "clusterrolebinding", "oscar-deletes", "--clusterrole=deletes-namespaces", "--user=oscar"];
    admin.ok(&bound).await;
    let canarys = request(NAMESPACE, "daypass-canary", json!({}));
    // What each comes to without the guard; empty when it succeeds.
    let acts = [
        (connect("exec").with("command=sh").with("stdout=true"), no_host),
        (connect("attach").with("stdout=true"), no_host),
        (connect("portforward").with("ports=8080"), no_host),
        (connect("proxy"), ""),
        (create(TRUDY, core(&format!("services/{}/proxy", ground.namespace)), Value::Null), ""),
        (token("daypass"), ""),
        (token("daypass-canary"), ""),
        (token("default"), ""),
        (create(TRUDY, home("daypass.dev/v1alpha1", "accessrequests"), canarys), "already exists"),
        (delete(OSCAR, format!("/api/v1/namespaces/{NAMESPACE}")).dry(), ""),
    ];
    for (call, _) in &acts {
        eventually(&format!("{} is refused", call.path), SOON, async || match ground.send(call).await {
            // oscar's right comes into force a moment later.
            Err(why) if why.contains(OURS) => Ok(()),
            Err(why) if call.by.name == "oscar" => Err(why),
            other => panic!("{}: {other:?}", call.path),
        })
        .await;
    }
    the_way_out_leads_out(&ground).await;
    admin.ok(&["delete", "validatingadmissionpolicybinding", "daypass-self-guard"]).await;
    for (call, outcome) in &acts {
        eventually(&format!("{} is not refused", call.path), SOON, async || match ground.send(call).await {
            Err(why) if why.contains(OURS) => Err(why),
            Err(_) if call.path.contains("/proxy") => Ok(()),
            Err(why) if !outcome.is_empty() && why.contains(outcome) => Ok(()),
            Ok(_) if outcome.is_empty() => Ok(()),
            other => panic!("{}: {other:?}", call.path),
        })
        .await;
    }
}

/// The commands of the refusal make an admin of Daypass out of whoever was refused.
async fn the_way_out_leads_out(ground: &Ground) {
    let write = made(OSCAR, ground, core("configmaps"), json!({}));
    let why = ground.send(&write).await.expect_err("oscar does not administer Daypass");
    assert!(why.contains(r#"add "oscar" to selfGuard.managers"#), "{why}");
    let commands: Vec<&str> = why.match_indices("kubectl create ").map(|(at, _)| &why[at..]).collect();
    assert_eq!(commands.len(), 2, "{why}");
    let admin = ground.cluster.kubectl(ADMIN);
    for command in commands {
        let command = command.split(", and").next().expect("a command").replace('"', "");
        admin.ok(&command.split_whitespace().skip(1).collect::<Vec<_>>()).await;
    }
    eventually("oscar administers Daypass", SOON, async || ground.send(&write.clone().dry()).await.map(drop)).await;
    // And is an ordinary person again, for what comes after.
    admin.ok(&["delete", "clusterrolebinding", "daypass-administrator"]).await;
    eventually("oscar does not any more", SOON, async || match ground.send(&write.clone().dry()).await {
        Err(why) if why.contains(OURS) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}
