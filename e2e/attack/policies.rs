//! Attempts to write policy without the right to hand out what it hands out, and to write policies and requests that
//! say less than they must.

use serde_json::{Value, json};

use super::attempt::Attempt;
use super::call::{Call, apply_with_force, create, json_patch, merge};
use super::ground::{Ground, Scene};
use super::guard::Guard;
use crate::harness::cast::{policy, request};
use crate::harness::users::{ADMIN, ALICE, GITOPS, PETRA};

pub fn attempts() -> Vec<Attempt> {
    [loosened(), new_ones(), to_protected(), unbounded_policies(), unbounded_requests()].into_iter().flatten().collect()
}

const MAY_NOT_BIND: &str = "you may not bind";

fn author(name: &str, act: impl Fn(&Ground) -> Call + Send + Sync + 'static) -> Attempt {
    Attempt::refused(format!("author::{name}"), Guard::Author, Scene::Pending, MAY_NOT_BIND, act)
}

fn widened(name: &str, spec: Value) -> Attempt {
    author(name, move |g| merge(PETRA, g.policy(), json!({ "spec": spec })))
}

/// The policy that is there, made wider by somebody who may bind nothing.
fn loosened() -> Vec<Attempt> {
    let cluster_admin = json!([{ "name": "cluster-admin" }]);
    vec![
        widened("to_more_roles", json!({ "roles": [{ "name": "edit" }, { "name": "cluster-admin" }] })),
        widened("to_everybody", json!({ "requesters": [{ "kind": "Group", "name": "system:authenticated" }] })),
        widened("to_everywhere", json!({ "scope": { "namespaces": ["*"] } })),
        widened("to_a_month", json!({ "duration": { "max": "720h" } })),
        widened("to_no_approval", json!({ "approval": null })),
        widened(
            "to_another_approver",
            json!({ "approval": { "stages": [{ "name": "leads", "required": 1, "approvers": [{ "kind": "User", "name": "petra" }] }] } }),
        ),
        author("to_more_roles_by_json_patch", |g| {
            let add = json!([{ "op": "add", "path": "/spec/roles/1", "value": { "name": "cluster-admin" } }]);
            json_patch(PETRA, g.policy(), add)
        }),
        // Whoever confirms a policy that was written without the guard stands in for all that it hands out.
        author("by_a_confirmation", |g| {
            merge(PETRA, g.policy(), json!({ "metadata": { "annotations": { "daypass.dev/confirm": "anything" } } }))
        }),
        author("to_more_roles_by_apply_with_force", move |g| {
            let mut policy = policy(&g.namespace, &g.namespace);
            policy["spec"]["roles"] = cluster_admin.clone();
            apply_with_force(PETRA, g.policy(), policy)
        }),
        Attempt::refused("author::to_a_role_it_may_not_bind", Guard::Author, Scene::Pending, MAY_NOT_BIND, |g| {
            merge(GITOPS, g.policy(), json!({ "spec": { "roles": [{ "name": "edit" }, { "name": "cluster-admin" }] } }))
        }),
        // Who may bind the Role deployer, and no ClusterRole of that name.
        Attempt::refused(
            "author::to_a_role_whose_kind_is_left_out",
            Guard::Author,
            Scene::Pending,
            MAY_NOT_BIND,
            |g| merge(GITOPS, g.policy(), json!({ "spec": { "roles": [{ "name": "deployer" }] } })),
        ),
        Attempt::refused("author::of_a_new_policy_without_kinds", Guard::Author, Scene::Pending, MAY_NOT_BIND, |g| {
            create(GITOPS, policies(), with_roles(g, vec![json!({ "name": "edit" }), json!({ "name": "deployer" })]))
        }),
        Attempt::refused("author::to_a_role_of_another_kind", Guard::Author, Scene::Pending, MAY_NOT_BIND, |g| {
            merge(GITOPS, g.policy(), json!({ "spec": { "roles": [{ "kind": "Role", "name": "edit" }] } }))
        }),
    ]
}

fn with_roles(g: &Ground, roles: Vec<Value>) -> Value {
    let mut policy = policy(&format!("{}-more", g.namespace), &g.namespace);
    policy["spec"]["roles"] = json!(roles);
    policy
}

/// Each part of the guard looks at sixteen roles; none is too far down.
fn new_ones() -> Vec<Attempt> {
    let at = |position: usize| {
        author(&format!("of_a_new_policy_with_the_role_at_position_{position}"), move |g| {
            let mut roles = vec![json!({ "name": "edit" }); position - 1];
            roles.push(json!({ "name": "cluster-admin" }));
            create(GITOPS, policies(), with_roles(g, roles))
        })
    };
    vec![at(1), at(16), at(17), at(33), at(49), at(64)]
}

/// Policies that reach where Daypass runs, written by somebody who may bind every role in them.
fn to_protected() -> Vec<Attempt> {
    let validation = |name: &str, act: fn(&Ground) -> Call| {
        let words = "only who administers Daypass may let a policy reach kube-system";
        Attempt::refused(format!("author::{name}"), Guard::Author, Scene::Pending, words, act)
    };
    vec![
        validation("to_protected_namespaces", |g| {
            merge(GITOPS, g.policy(), json!({ "spec": { "scope": { "systemNamespaces": true } } }))
        }),
        validation("to_protected_namespaces_by_json_patch", |g| {
            let add = json!([{ "op": "add", "path": "/spec/scope/systemNamespaces", "value": true }]);
            json_patch(GITOPS, g.policy(), add)
        }),
        validation("to_protected_namespaces_by_apply_with_force", |g| {
            let mut policy = policy(&g.namespace, &g.namespace);
            policy["spec"]["scope"]["systemNamespaces"] = json!(true);
            apply_with_force(GITOPS, g.policy(), policy)
        }),
        validation("of_a_new_policy_for_protected_namespaces", |g| {
            let mut policy = with_roles(g, vec![json!({ "name": "edit" })]);
            policy["spec"]["scope"] = json!({ "namespaces": ["*"], "cluster": true, "systemNamespaces": true });
            create(GITOPS, policies(), policy)
        }),
        // With as many roles as one part of the guard looks at, each by its name: the most that it can cost.
        validation("of_a_new_policy_with_many_roles_for_protected_namespaces", |g| {
            let mut policy = with_roles(g, vec![json!({ "name": "edit" }); 64]);
            policy["spec"]["scope"]["systemNamespaces"] = json!(true);
            create(GITOPS, policies(), policy)
        }),
    ]
}

fn policies() -> String {
    "/apis/daypass.dev/v1alpha1/accesspolicies".to_owned()
}

fn stage(over: Value) -> Value {
    let mut stage = json!({ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] });
    over.as_object().expect("fields").iter().for_each(|(key, value)| stage[key] = value.clone());
    json!({ "approval": { "stages": [stage] } })
}

/// Policies that leave out what bounds them.
fn unbounded_policies() -> Vec<Attempt> {
    let validation = |name: &str, words: &str, spec: Value| {
        Attempt::refused(format!("policy::{name}"), Guard::Schema, Scene::Pending, words, move |g| {
            let mut policy = policy(&format!("{}-bad", g.namespace), &g.namespace);
            spec.as_object().expect("fields").iter().for_each(|(key, value)| policy["spec"][key] = value.clone());
            create(ADMIN, policies(), policy)
        })
    };
    vec![
        validation("for_nobody_in_particular", "must name its requesters", json!({ "requesters": [] })),
        validation("for_no_role_in_particular", "must list its roles", json!({ "roles": [] })),
        validation("for_every_role", "no wildcards", json!({ "roles": [{ "name": "*" }] })),
        validation("for_nowhere_in_particular", "give at least one of namespaces", json!({ "scope": {} })),
        validation("with_no_approver", "should have at least 1 items", stage(json!({ "approvers": [] }))),
        validation("with_no_stage", "should have at least 1 items", json!({ "approval": { "stages": [] } })),
        validation("with_no_approval_needed", "greater than or equal to 1", stage(json!({ "required": 0 }))),
        validation("with_fewer_than_no_approvals", "greater than or equal to 1", stage(json!({ "required": -1 }))),
        validation(
            "with_a_nameless_approver",
            "at least 1 chars",
            stage(json!({ "approvers": [{ "kind": "User", "name": "" }] })),
        ),
        validation("for_longer_than_may_be", "between 1s and 720h", json!({ "duration": { "max": "8760h" } })),
        validation(
            "with_a_longer_default",
            "default must not be longer than max",
            json!({ "duration": { "max": "1h", "default": "2h" } }),
        ),
        validation(
            "with_a_role_for_the_whole_cluster",
            "only a ClusterRole",
            json!({ "roles": [{ "kind": "Role", "name": "x" }], "scope": { "cluster": true } }),
        ),
        Attempt::refused(
            "policy::denies_and_reaches_more",
            Guard::Schema,
            Scene::Pending,
            "a policy that denies reaches every namespace",
            |g| {
                let mut policy = policy(&format!("{}-bad", g.namespace), &g.namespace);
                let scope = json!({ "namespaces": [g.namespace], "systemNamespaces": true });
                policy["spec"] = json!({ "effect": "Deny", "scope": scope });
                create(ADMIN, policies(), policy)
            },
        ),
        Attempt::refused(
            "policy::loses_its_requesters",
            Guard::Schema,
            Scene::Pending,
            "must name its requesters",
            |g| merge(ADMIN, g.policy(), json!({ "spec": { "requesters": null } })),
        ),
        Attempt::refused("policy::loses_its_approvers", Guard::Schema, Scene::Pending, "at least 1 items", |g| {
            json_patch(
                ADMIN,
                g.policy(),
                json!([{ "op": "replace", "path": "/spec/approval/stages/0/approvers", "value": [] }]),
            )
        }),
    ]
}

/// Requests that say nonsense or nothing.
fn unbounded_requests() -> Vec<Attempt> {
    let length = "between 1s and 720h";
    let validation = |name: &str, words: &str, spec: Value| {
        Attempt::refused(format!("request::{name}"), Guard::Schema, Scene::Pending, words, move |g| {
            create(ALICE, g.requests(), request(&g.namespace, "bad", spec.clone()))
        })
    };
    let nothing = json!({ "rules": [{ "verbs": ["get"] }] });
    let no_verbs = json!({ "rules": [{ "verbs": [], "resources": ["pods"] }] });
    let nameless = json!({ "rules": [{ "verbs": ["get"], "resources": ["pods"], "resourceNames": [""] }] });
    vec![
        validation("for_less_than_no_time", length, json!({ "duration": "-1h" })),
        validation("for_no_time", length, json!({ "duration": "0s" })),
        validation("for_ever", length, json!({ "duration": "forever" })),
        validation("for_more_than_a_month", length, json!({ "duration": "721h" })),
        validation("for_so_long_that_it_overflows", "Too long", json!({ "duration": "9".repeat(40) + "h" })),
        validation("for_a_fraction", length, json!({ "duration": "1.5h" })),
        validation("for_a_time_in_signs_of_another_script", length, json!({ "duration": "\u{661}h" })),
        validation("for_every_role", "no wildcards", json!({ "role": { "name": "*" } })),
        validation("for_a_role_of_another_place", "no / or %", json!({ "role": { "name": "../edit" } })),
        validation("for_no_reason", "must say why", json!({ "reason": " " })),
        validation(
            "for_a_role_in_the_whole_cluster",
            "ask for a ClusterRole",
            json!({ "role": { "kind": "Role", "name": "x" }, "scope": { "cluster": true } }),
        ),
        validation("for_two_scopes", "give one of", json!({ "scope": { "namespaces": ["a"], "cluster": true } })),
        validation("from_no_time_at_all", "date-time", json!({ "startTime": "soon" })),
        validation("from_a_time_without_a_zone", "date-time", json!({ "startTime": "2030-01-01T00:00:00" })),
        // Beyond what the controller's calendar knows: it could not even read the request, and so never answer.
        validation("from_the_end_of_all_time", "within a year", json!({ "startTime": "9999-12-31T23:59:59Z" })),
        validation("by_a_rule_for_nothing", "give one of the two", nothing),
        validation("by_a_rule_without_verbs", "should have at least 1 items", no_verbs),
        validation("by_a_rule_for_an_empty_name", "at least 1 chars", nameless),
        Attempt::refused("request::by_a_name_too_long_for_events", Guard::Schema, Scene::Pending, "at most 200", |g| {
            create(ALICE, g.requests(), request(&g.namespace, &"n".repeat(201), json!({})))
        }),
        Attempt::refused("policy::loses_its_roles", Guard::Schema, Scene::Pending, "must list its roles", |g| {
            json_patch(ADMIN, g.policy(), json!([{ "op": "replace", "path": "/spec/roles", "value": [] }]))
        }),
    ]
}
