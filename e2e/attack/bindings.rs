//! Attempts to make bindings that look like Daypass's, and to change those that are.

use serde_json::{Value, json};

use super::attempt::Attempt;
use super::call::{Call, apply_with_force, create, json_patch, merge, put};
use super::ground::{Ground, Scene};
use super::guard::Guard;
use crate::harness::users::ADMIN;

const OURS: &str = "are written by its controller only";
const CLUSTER_BINDINGS: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";

pub fn attempts() -> Vec<Attempt> {
    [made(), changed(), of_the_cluster(), roles()].into_iter().flatten().collect()
}

fn attempt(name: &str, scene: Scene, act: impl Fn(&Ground) -> Call + Send + Sync + 'static) -> Attempt {
    Attempt::refused(format!("binding::{name}"), Guard::Bindings, scene, OURS, act)
}

fn labelled(mut binding: Value, labels: Value) -> Value {
    binding["metadata"]["labels"] = labels;
    binding
}

fn made() -> Vec<Attempt> {
    let with = |name: &str, labels: Value| {
        attempt(name, Scene::Pending, move |g| {
            create(ADMIN, g.bindings(), labelled(g.foreign_binding("mine"), labels.clone()))
        })
    };
    vec![
        with("is_made_with_the_mark", json!({ "app.kubernetes.io/managed-by": "daypass" })),
        with("is_made_with_the_uid_of_some_request", json!({ "daypass.dev/request-uid": "any" })),
        with("is_made_with_an_empty_uid", json!({ "daypass.dev/request-uid": "" })),
        attempt("is_made_whole_for_a_request_that_waits", Scene::Pending, |g| {
            create(ADMIN, g.bindings(), g.binding_of(&g.binding_name(), g.uid()))
        }),
        attempt("is_made_a_second_time_under_another_name", Scene::Active, |g| {
            create(ADMIN, g.bindings(), g.binding_of("a-second-one", g.uid()))
        }),
        attempt("is_applied_with_the_mark", Scene::Pending, |g| {
            let path = format!("{}/mine", g.bindings());
            apply_with_force(
                ADMIN,
                path,
                labelled(g.foreign_binding("mine"), json!({ "app.kubernetes.io/managed-by": "daypass" })),
            )
        }),
        attempt("is_made_with_a_generated_name", Scene::Active, |g| {
            let mut binding = g.binding_of("unused", g.uid());
            binding["metadata"].as_object_mut().expect("metadata").remove("name");
            binding["metadata"]["generateName"] = json!("daypass-");
            create(ADMIN, g.bindings(), binding)
        }),
    ]
}

fn changed() -> Vec<Attempt> {
    let merges =
        |name: &str, patch: Value| attempt(name, Scene::Active, move |g| merge(ADMIN, g.binding(), patch.clone()));
    let metadata = |name: &str, patch: Value| merges(name, json!({ "metadata": patch }));
    let everybody =
        json!([{ "kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:authenticated" }]);
    let subjects = everybody.clone();
    vec![
        merges("is_for_everybody", json!({ "subjects": everybody })),
        merges("is_for_nobody", json!({ "subjects": null })),
        metadata("loses_its_mark", json!({ "labels": { "app.kubernetes.io/managed-by": null } })),
        metadata("changes_its_mark", json!({ "labels": { "app.kubernetes.io/managed-by": "Helm" } })),
        metadata("belongs_to_another_request", json!({ "labels": { "daypass.dev/request-uid": "another" } })),
        metadata("belongs_to_no_request", json!({ "labels": { "daypass.dev/request-uid": null } })),
        metadata("loses_all_labels", json!({ "labels": null })),
        metadata("says_another_end", json!({ "annotations": { "daypass.dev/expires-at": "2031-01-01T00:00:00Z" } })),
        metadata("says_a_longer_time", json!({ "annotations": { "daypass.dev/ttl": "720h" } })),
        metadata("has_no_owner", json!({ "ownerReferences": null })),
        metadata(
            "has_another_owner",
            json!({ "ownerReferences": [{ "apiVersion": "v1", "kind": "Namespace", "name": "default", "uid": "another" }] }),
        ),
        metadata("cannot_be_deleted", json!({ "finalizers": ["example.com/stays"] })),
        attempt("is_for_one_more_by_json_patch", Scene::Active, |g| {
            let mallory = json!({ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "mallory" });
            json_patch(ADMIN, g.binding(), json!([{ "op": "add", "path": "/subjects/1", "value": mallory }]))
        }),
        attempt("is_for_everybody_by_apply_with_force", Scene::Active, move |g| {
            let mut binding = g.foreign_binding(&g.binding_name());
            binding["subjects"] = subjects.clone();
            apply_with_force(ADMIN, g.binding(), binding)
        }),
        attempt("is_replaced_by_one_without_marks", Scene::Active, |g| {
            let mut binding = g.foreign_binding(&g.binding_name());
            binding["subjects"][0]["name"] = json!("mallory");
            put(ADMIN, g.binding(), binding)
        }),
    ]
}

/// A role that looks as if it was made for a request: whoever binds it lets it pass for Daypass's.
fn roles() -> Vec<Attempt> {
    let role = |g: &Ground, name: &str, labels: Value| {
        let rules = json!([{ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }]);
        json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": { "name": name, "namespace": g.namespace, "labels": labels }, "rules": rules })
    };
    let path = |g: &Ground| g.bindings().replace("rolebindings", "roles");
    vec![
        attempt("as_a_role_is_made_with_the_mark", Scene::Pending, move |g| {
            create(ADMIN, path(g), role(g, "mine", json!({ "app.kubernetes.io/managed-by": "daypass" })))
        }),
        attempt("as_a_role_is_made_in_the_place_of_one_to_come", Scene::Pending, move |g| {
            create(ADMIN, path(g), role(g, &g.binding_name(), json!({ "daypass.dev/request-uid": g.uid() })))
        }),
    ]
}

fn cluster_binding(g: &Ground, labels: Value) -> Value {
    let mut binding = labelled(g.foreign_binding(&g.namespace), labels);
    binding["kind"] = json!("ClusterRoleBinding");
    binding["metadata"].as_object_mut().expect("metadata").remove("namespace");
    binding["roleRef"]["name"] = json!("cluster-admin");
    binding["subjects"][0]["name"] = json!("mallory");
    binding
}

fn of_the_cluster() -> Vec<Attempt> {
    vec![
        attempt("of_the_cluster_is_made_with_the_mark", Scene::Pending, |g| {
            let binding = cluster_binding(g, json!({ "app.kubernetes.io/managed-by": "daypass" }));
            create(ADMIN, CLUSTER_BINDINGS.to_owned(), binding)
        }),
        attempt("of_the_cluster_is_made_for_a_request", Scene::Active, |g| {
            let binding = cluster_binding(g, json!({ "daypass.dev/request-uid": g.uid() }));
            create(ADMIN, CLUSTER_BINDINGS.to_owned(), binding)
        }),
        attempt("of_somebody_else_is_given_the_mark", Scene::Pending, |_| {
            let mark = json!({ "metadata": { "labels": { "app.kubernetes.io/managed-by": "daypass" } } });
            merge(ADMIN, format!("{CLUSTER_BINDINGS}/everybody-may-ask"), mark)
        }),
        attempt("of_somebody_else_is_given_a_request", Scene::Pending, |g| {
            let uid = json!({ "metadata": { "labels": { "daypass.dev/request-uid": g.uid() } } });
            merge(ADMIN, format!("{CLUSTER_BINDINGS}/approvers-may-review"), uid)
        }),
    ]
}
