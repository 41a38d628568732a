//! Attempts to ask in another's name, and to change what was asked for.

use serde_json::{Value, json};

use super::attempt::Attempt;
use super::call::{apply, apply_with_force, create, json_patch, merge, put};
use super::ground::{Ground, Scene};
use super::guard::Guard;
use crate::harness::cast::request;
use crate::harness::install::CONTROLLER;
use crate::harness::users::{ADMIN, ALICE, CAROL, EVE, MALLORY, OVERFULL, TOO_LONG, User};

const FROZEN: &str = "what a request asks for cannot be changed: make a new request, under another name";

pub fn attempts() -> Vec<Attempt> {
    [forged(), frozen(), unrecordable()].into_iter().flatten().collect()
}

/// A new request that says it is from somebody.
fn from(ground: &Ground, requester: Value) -> Value {
    request(&ground.namespace, "forged", json!({ "requester": requester }))
}

fn alice() -> Value {
    json!({ "username": "alice", "uid": "u-alice", "groups": ["dev", "system:authenticated"] })
}

fn asks(name: &str, by: User, requester: Value) -> Attempt {
    Attempt::in_vain(format!("requester::{name}"), Guard::Requester, Scene::Pending, move |g| {
        create(by, g.requests(), from(g, requester.clone()))
    })
}

fn forged() -> Vec<Attempt> {
    let who = |name: &str, by, requester| asks(name, by, requester);
    vec![
        who("a_stranger_asks_as_alice", MALLORY, alice()),
        who("an_admin_asks_as_alice", ADMIN, alice()),
        who("a_stranger_asks_by_name_alone", MALLORY, json!({ "username": "alice" })),
        who("a_stranger_asks_with_the_uid_of_alice", MALLORY, json!({ "username": "mallory", "uid": "u-alice" })),
        who("a_stranger_asks_as_a_developer", MALLORY, json!({ "username": "mallory", "groups": ["dev"] })),
        who("somebody_hides_their_groups", EVE, json!({ "username": "eve", "uid": "u-eve", "groups": [] })),
        who("somebody_asks_as_a_service_account", EVE, json!({ "username": CONTROLLER })),
        Attempt::in_vain("requester::a_generated_name_is_no_way_around", Guard::Requester, Scene::Pending, |g| {
            let mut forged = from(g, alice());
            forged["metadata"] = json!({ "generateName": "forged-", "namespace": g.namespace });
            create(MALLORY, g.requests(), forged)
        }),
        Attempt::in_vain("requester::server_side_apply_is_no_way_around", Guard::Requester, Scene::Pending, |g| {
            apply(EVE, g.areq("forged"), from(g, alice()))
        }),
        Attempt::in_vain("requester::nor_is_apply_with_force", Guard::Requester, Scene::Pending, |g| {
            apply_with_force(EVE, g.areq("forged"), from(g, alice()))
        }),
        Attempt::in_vain("requester::a_new_request_brings_a_state_along", Guard::Subresource, Scene::Pending, |g| {
            let mut forged = request(&g.namespace, "forged", json!({}));
            forged["status"] = json!({ "state": "Active" });
            create(MALLORY, g.requests(), forged)
        }),
    ]
}

fn unrecordable() -> Vec<Attempt> {
    let too_many = |g: &Ground| create(*OVERFULL, g.requests(), request(&g.namespace, "forged", json!({})));
    let too_long = |g: &Ground| create(*TOO_LONG, g.requests(), request(&g.namespace, "forged", json!({})));
    let words = "cannot be recorded";
    vec![
        Attempt::refused("requester::of_more_groups_than_fit", Guard::Requester, Scene::Pending, words, too_many),
        Attempt::refused("requester::of_a_longer_name_than_fits", Guard::Requester, Scene::Pending, words, too_long),
    ]
}

fn changes(name: &str, scene: Scene, by: User, spec: Value) -> Attempt {
    Attempt::refused(format!("spec::{name}"), Guard::Schema, scene, FROZEN, move |g| {
        merge(by, g.areq("fix"), json!({ "spec": spec }))
    })
}

/// By those whom no other guard keeps off: the requester, and an admin.
fn frozen() -> Vec<Attempt> {
    let fix = |name: &str, act: fn(&Ground) -> super::call::Call| {
        Attempt::refused(format!("spec::{name}"), Guard::Schema, Scene::Active, FROZEN, act)
    };
    vec![
        changes("longer_after_the_approval", Scene::Active, ALICE, json!({ "duration": "700h" })),
        changes("another_role_after_the_approval", Scene::Active, ALICE, json!({ "role": { "name": "admin" } })),
        changes("somewhere_else_after_the_approval", Scene::Active, ADMIN, json!({ "scope": { "cluster": true } })),
        changes("another_role_while_it_waits", Scene::Pending, ALICE, json!({ "role": { "name": "admin" } })),
        changes("an_earlier_start", Scene::Scheduled, ALICE, json!({ "startTime": "2026-01-01T00:00:00Z" })),
        changes("another_requester", Scene::Active, ADMIN, json!({ "requester": { "username": "carol" } })),
        changes("no_requester", Scene::Active, ADMIN, json!({ "requester": null })),
        fix("a_role_by_json_patch", |g| {
            json_patch(ALICE, g.areq("fix"), json!([{ "op": "replace", "path": "/spec/role/name", "value": "admin" }]))
        }),
        fix("a_requester_by_json_patch", |g| {
            let swap = json!([
                { "op": "test", "path": "/spec/requester/username", "value": "alice" },
                { "op": "replace", "path": "/spec/requester/username", "value": "eve" }
            ]);
            json_patch(ALICE, g.areq("fix"), swap)
        }),
        fix("a_role_by_apply_with_force", |g| {
            let spec = json!({ "role": { "name": "admin" }, "reason": "a trial", "requester": alice() });
            apply_with_force(ALICE, g.areq("fix"), g.fix(json!({ "spec": spec })))
        }),
        fix("a_requester_by_apply_with_force", |g| {
            let spec = json!({ "role": { "name": "edit" }, "reason": "a trial", "requester": { "username": "eve" } });
            apply_with_force(ALICE, g.areq("fix"), g.fix(json!({ "spec": spec })))
        }),
        fix("a_role_by_a_replacement", |g| put(ADMIN, g.areq("fix"), g.fix_but("/spec/role/name", json!("admin")))),
        fix("a_requester_by_a_replacement", |g| {
            put(ADMIN, g.areq("fix"), g.fix_but("/spec/requester/username", json!("eve")))
        }),
        Attempt::in_vain("spec::through_the_status", Guard::Schema, Scene::Pending, |g| {
            merge(CAROL, g.status(), json!({ "spec": { "requester": { "username": "carol" } } }))
        })
        .without_guard(|g| merge(ADMIN, g.areq("fix"), json!({ "spec": { "requester": { "username": "carol" } } }))),
    ]
}
