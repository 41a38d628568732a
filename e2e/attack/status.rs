//! Attempts to write what only the controller may, and to say something when all is said.

use std::sync::Arc;

use daypass::api::State;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::attempt::Attempt;
use super::call::{Call, apply_with_force, json_patch, merge, put};
use super::ground::{Ground, Scene};
use super::guard::Guard;
use crate::harness::users::{ADMIN, ALICE, BOB, CAROL, DAVE, PETRA, User};
use crate::harness::{Cluster, private};

pub fn attempts() -> Vec<Attempt> {
    [fields(), other_ways(), after_the_decision(), of_a_policy()].into_iter().flatten().collect()
}

pub fn trials() -> Vec<Trial> {
    vec![private("attack::status::what_is_not_over_can_be_revoked_in_every_state", revoked_in_every_state)]
}

const LATER: &str = "2031-01-01T00:00:00Z";

fn writes(name: &str, scene: Scene, field: &str, by: User, value: Value) -> Attempt {
    let status = json!({ field: value });
    Attempt::refused(
        format!("status::{name}"),
        Guard::Status,
        scene,
        format!("only Daypass writes status.{field}"),
        move |g| merge(by, g.status(), json!({ "status": status })),
    )
}

fn fields() -> Vec<Attempt> {
    use Scene::{Active, BreakGlass, Denied, Pending};
    let fact = json!([{ "at": LATER, "event": "Granted", "message": "all is well" }]);
    let granted = json!([{ "type": "Granted", "status": "True", "reason": "Granted", "message": "", "lastTransitionTime": LATER }]);
    let binding = json!([{ "kind": "ClusterRoleBinding", "name": "cluster-admin" }]);
    let stage = json!({ "name": "leads", "openedAt": LATER, "required": 0, "approved": 3 });
    let policy = json!({ "name": "another", "uid": "u", "generation": 1 });
    let moved = json!([{ "name": "more", "uid": "u", "at": LATER, "from": LATER, "to": LATER }]);
    let closed = json!({ "closedAt": LATER, "closedBy": "dave", "verdict": "Approve" });
    vec![
        writes("grants_by_the_state", Pending, "state", CAROL, json!("Active")),
        writes("revives_by_the_state", Denied, "state", ADMIN, json!("Pending")),
        writes("moves_the_end", Active, "expiresAt", ALICE, json!(LATER)),
        writes("removes_the_end", Active, "expiresAt", ADMIN, Value::Null),
        writes("moves_the_beginning", Active, "grantedAt", ALICE, json!(LATER)),
        writes("forges_a_condition", Pending, "conditions", CAROL, granted),
        writes("points_at_another_binding", Active, "bindings", CAROL, binding),
        writes("forgets_the_bindings", Active, "bindings", ALICE, Value::Null),
        writes("writes_history", Pending, "history", CAROL, fact),
        writes("erases_history", Denied, "history", ADMIN, Value::Null),
        writes("has_another_policy_decide", Active, "policy", ALICE, policy),
        writes("closes_a_stage", Pending, "stage", CAROL, stage),
        writes("escalates_a_stage", Pending, "escalated", DAVE, json!(["leads"])),
        writes("writes_the_message", Pending, "message", CAROL, json!("granted")),
        writes("extends_another_request", Pending, "extends", ALICE, json!({ "uid": "u" })),
        writes("extends_itself", Active, "extensions", ALICE, moved),
        writes("closes_its_own_review", BreakGlass, "breakGlass", ALICE, closed),
        writes("takes_its_review_away", BreakGlass, "breakGlass", ADMIN, Value::Null),
    ]
}

fn other_ways() -> Vec<Attempt> {
    let moves = |name: &str, words: &str, act: fn(&Ground) -> Call| {
        Attempt::refused(format!("status::{name}"), Guard::Status, Scene::Active, words, act)
    };
    let end = "only Daypass writes status.expiresAt";
    vec![
        moves("moves_the_end_by_json_patch", end, |g| {
            json_patch(ALICE, g.status(), json!([{ "op": "replace", "path": "/status/expiresAt", "value": LATER }]))
        }),
        moves("removes_the_end_by_json_patch", end, |g| {
            json_patch(ALICE, g.status(), json!([{ "op": "remove", "path": "/status/expiresAt" }]))
        }),
        moves("moves_the_end_by_apply_with_force", end, |g| {
            apply_with_force(ALICE, g.status(), g.fix(json!({ "status": { "expiresAt": LATER } })))
        }),
        moves("moves_the_end_by_a_replacement", end, |g| {
            put(PETRA, g.status(), g.fix_but("/status/expiresAt", json!(LATER)))
        }),
        moves("moves_the_end_along_with_a_review", end, |g| {
            let own = json!({ "alice": { "verdict": "Revoke" } });
            merge(ALICE, g.status(), json!({ "status": { "expiresAt": LATER, "reviews": own } }))
        }),
        Attempt::in_vain("status::through_the_request", Guard::Subresource, Scene::Pending, |g| {
            merge(ALICE, g.areq("fix"), json!({ "status": { "state": "Active" } }))
        }),
        Attempt::in_vain("status::through_the_request_with_force", Guard::Subresource, Scene::Pending, |g| {
            apply_with_force(ALICE, g.areq("fix"), g.fix(json!({ "status": { "state": "Active" } })))
        }),
    ]
}

fn reviews(name: &str, scene: Scene, by: User, review: Value, words: &str) -> Attempt {
    Attempt::refused(format!("decided::{name}"), Guard::Status, scene, words, move |g| {
        merge(by, g.status(), json!({ "status": { "reviews": { by.name: review } } }))
    })
}

fn after_the_decision() -> Vec<Attempt> {
    use Scene::{Active, BreakGlass, Denied, Scheduled, Suspended};
    let verdict = |verdict: &str| json!({ "verdict": verdict });
    let (active, over) = ("the request is decided (Active)", "the request is over (Denied)");
    let scheduled =
        "the request is decided (Scheduled), and from now on a review can only end it: write verdict Revoke";
    vec![
        reviews("takes_the_approval_back", Active, BOB, verdict("Deny"), active),
        reviews("removes_the_approval", Active, BOB, Value::Null, active),
        reviews("rewrites_the_comment", Active, BOB, json!({ "comment": "I was against it" }), active),
        reviews("joins_the_approvers", Active, CAROL, verdict("Approve"), active),
        reviews("denies_what_runs", Active, CAROL, verdict("Deny"), active),
        reviews("joins_before_the_start", Scheduled, CAROL, verdict("Approve"), scheduled),
        reviews("removes_the_approval_before_the_start", Scheduled, BOB, Value::Null, scheduled),
        reviews(
            "joins_the_approvers_of_what_rests",
            Suspended,
            CAROL,
            verdict("Approve"),
            "the request is decided (Suspended)",
        ),
        reviews(
            "removes_the_approval_of_what_rests",
            Suspended,
            BOB,
            Value::Null,
            "the request is decided (Suspended)",
        ),
        reviews("approves_what_was_denied", Denied, CAROL, verdict("Approve"), over),
        reviews("removes_the_denial", Denied, CAROL, Value::Null, over),
        reviews("revokes_what_is_over", Denied, ALICE, verdict("Revoke"), over),
        reviews("removes_what_it_said_of_an_emergency", BreakGlass, DAVE, Value::Null, "stays on record"),
    ]
}

/// Whether a review of Revoke can be written in a state. A new state has to be thought of here.
pub fn can_be_ended(state: State) -> bool {
    match state {
        // Not decided: whatever can be said can be said.
        State::Pending => true,
        State::Scheduled | State::Active | State::Suspended => true,
        State::Denied | State::Expired | State::Revoked | State::Lapsed | State::Failed | State::Extended => false,
    }
}

/// Every state, as the API server's schema has them.
async fn states(ground: &Ground) -> Vec<State> {
    let schema = super::schema::schema(ground).await;
    let states = schema["properties"]["state"]["enum"].as_array().expect("states").iter();
    let states: Vec<State> = states.map(|state| serde_json::from_value(state.clone()).expect("a state")).collect();
    assert!(states.len() > 1, "{schema}");
    states
}

/// What is not over can be ended in every state, by the requester and by an approver, and in no other.
async fn revoked_in_every_state(cluster: Arc<Cluster>) {
    // It would put the state right again.
    cluster.controller.kill();
    let ground = Ground::prepare(&cluster, Scene::Active, false).await;
    for state in states(&ground).await {
        assert_eq!(can_be_ended(state), !state.is_final(), "{state:?}");
        ground.as_controller(json!({ "state": state })).await;
        for by in [ALICE, BOB, CAROL] {
            let reviews = json!({ "status": { "reviews": { by.name: { "verdict": "Revoke" } } } });
            let answer = ground.send(&merge(by, ground.status(), reviews).dry()).await;
            match (can_be_ended(state), answer) {
                (true, Ok(answer)) => assert_eq!(answer["status"]["reviews"][by.name]["verdict"], "Revoke"),
                (true, Err(why)) => panic!("{} cannot end it while it is {state:?}: {why}", by.name),
                (false, Ok(answer)) => panic!("{} can speak of what is {state:?}: {answer}", by.name),
                (false, Err(why)) => {
                    assert!(why.contains(&format!("the request is over ({})", state.as_str())), "{why}");
                }
            }
        }
    }
}

fn of_a_policy() -> Vec<Attempt> {
    let words = "only Daypass writes the status of a policy";
    let forge = |name: &str, act: fn(&Ground) -> Call| {
        Attempt::refused(format!("policy_status::{name}"), Guard::PolicyStatus, Scene::Pending, words, act)
    };
    vec![
        forge("is_ready", |g| {
            let ready = json!([{ "type": "Ready", "status": "True", "reason": "Forged", "message": "", "lastTransitionTime": LATER }]);
            merge(ADMIN, format!("{}/status", g.policy()), json!({ "status": { "conditions": ready } }))
        }),
        forge("is_of_another_generation", |g| {
            merge(ADMIN, format!("{}/status", g.policy()), json!({ "status": { "observedGeneration": 7 } }))
        }),
        forge("lists_a_role_as_unusable", |g| {
            let unusable = json!([{ "role": { "kind": "ClusterRole", "name": "edit" }, "why": "NotBindable" }]);
            merge(ADMIN, format!("{}/status", g.policy()), json!({ "status": { "unusableRoles": unusable } }))
        }),
        forge("is_applied_with_force", |g| {
            let policy = json!({
                "apiVersion": "daypass.dev/v1alpha1", "kind": "AccessPolicy", "metadata": { "name": g.namespace },
                "status": { "observedGeneration": 7 }
            });
            apply_with_force(ADMIN, format!("{}/status", g.policy()), policy)
        }),
    ]
}
