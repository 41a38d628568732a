//! Attempts to delete the requests of others, and one's own before it is reviewed.

use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::json;

use super::attempt::Attempt;
use super::call::{Call, create, delete, merge};
use super::ground::{Ground, Scene};
use super::guard::Guard;
use crate::harness::cast::SOON;
use crate::harness::users::{ADMIN, ALICE, BOB, DAVE, EVE, MALLORY, PETRA, User};
use crate::harness::wait::{now_plus_seconds, poll};
use crate::harness::{World, eventually, private, shared};

pub fn attempts() -> Vec<Attempt> {
    let only = "only the requester, \"alice\", may delete this request";
    let deletes = |name: &str, scene, words: &str, act: fn(&Ground) -> Call| {
        Attempt::refused(format!("deletion::{name}"), Guard::Deletion, scene, words, act)
    };
    vec![
        deletes("by_an_approver_before_the_decision", Scene::Pending, only, |g| delete(BOB, g.areq("fix"))),
        deletes("by_a_colleague_of_what_runs", Scene::Active, only, |g| delete(EVE, g.areq("fix"))),
        deletes("by_a_stranger_of_what_is_over", Scene::Denied, only, |g| delete(MALLORY, g.areq("fix"))),
        deletes("in_the_foreground", Scene::Active, only, |g| {
            delete(DAVE, g.areq("fix")).with("propagationPolicy=Foreground")
        }),
        deletes("with_orphans", Scene::Active, only, |g| delete(DAVE, g.areq("fix")).with("propagationPolicy=Orphan")),
        deletes("of_all_at_once", Scene::Active, only, |g| delete(PETRA, g.requests()).seen_at(g.areq("fix"))),
        deletes("of_all_that_have_a_name", Scene::Pending, only, |g| {
            delete(PETRA, g.requests()).with("fieldSelector=metadata.name%3Dfix").seen_at(g.areq("fix"))
        }),
        deletes("by_whoever_must_review_it", Scene::BreakGlass, only, |g| delete(DAVE, g.areq("fix"))),
        deletes(
            "of_an_emergency_that_is_not_reviewed",
            Scene::BreakGlass,
            "must close the review first, by a review of Approve or Deny: User dave",
            |g| delete(ALICE, g.areq("fix")),
        ),
        deletes(
            "of_an_emergency_in_the_foreground",
            Scene::BreakGlass,
            "your break-glass access is not reviewed yet",
            |g| delete(ALICE, g.areq("fix")).with("propagationPolicy=Foreground"),
        ),
    ]
}

pub fn trials() -> Vec<Trial> {
    vec![
        shared("attack::deletion::through_the_garbage_collector", through_the_garbage_collector),
        shared("attack::deletion::of_an_emergency_is_free_once_it_is_reviewed", free_once_reviewed),
        shared("attack::deletion::is_for_whoever_has_the_verb_purge", whoever_may_purge),
        private("attack::deletion::is_free_in_a_namespace_that_goes", free_in_a_namespace_that_goes),
    ]
}

/// Whoever may patch a request can say that it belongs to something that is gone. The garbage collector then
/// deletes it, for whoever that was.
async fn disown(ground: &Ground) {
    let gone = json!([{ "apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "00000000-0000-0000-0000-00000000dead" }]);
    ground.ok(&merge(PETRA, ground.areq("fix"), json!({ "metadata": { "ownerReferences": gone } }))).await;
}

async fn through_the_garbage_collector(world: Arc<World>) {
    let ground = Ground::prepare(&world, Scene::Active, true).await;
    disown(&ground).await;
    eventually("the garbage collector is refused", SOON, async || {
        let audit = world.control_plane.audit_log();
        let refused = audit.iter().any(|event| {
            event["verb"] == "delete"
                && event["objectRef"]["namespace"] == ground.namespace.as_str()
                && event["user"]["username"] == "system:serviceaccount:kube-system:generic-garbage-collector"
                && event["responseStatus"]["code"] == 403
        });
        if refused { Ok(()) } else { Err("it has not tried") }.map_err(str::to_owned)
    })
    .await;
    let stored = ground.read(&ground.areq("fix")).await;
    assert!(stored.is_some_and(|fix| fix["metadata"]["deletionTimestamp"].is_null()));
}

/// The same without the guard.
pub async fn the_garbage_collector_deletes(world: &Arc<World>) -> Result<(), String> {
    let ground = Ground::prepare(world, Scene::Active, false).await;
    disown(&ground).await;
    poll(SOON, async || match ground.read(&ground.areq("fix")).await {
        None => std::ops::ControlFlow::Break(()),
        Some(_) => std::ops::ControlFlow::Continue("the garbage collector does not delete it".to_owned()),
    })
    .await
}

async fn free_once_reviewed(world: Arc<World>) {
    let ground = Ground::prepare(&world, Scene::BreakGlass, true).await;
    let deletion = delete(ALICE, ground.areq("fix"));
    ground.send(&deletion).await.expect_err("it is not reviewed");
    ground.as_controller(json!({ "breakGlass": { "closedAt": now_plus_seconds(0), "closedBy": "dave" } })).await;
    ground.ok(&deletion).await;
    assert!(ground.read(&ground.areq("fix")).await.is_none());
}

async fn whoever_may_purge(world: Arc<World>) {
    let ground = Ground::prepare(&world, Scene::Active, true).await;
    let deletion = delete(DAVE, ground.areq("fix"));
    ground.send(&deletion).await.expect_err("dave has no such right");
    let rbac = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}", ground.namespace);
    let rule = json!({ "apiGroups": ["daypass.dev"], "resources": ["accessrequests"], "verbs": ["purge"] });
    let role = json!({ "metadata": { "name": "purges" }, "rules": [rule] });
    ground.ok(&create(ADMIN, format!("{rbac}/roles"), role)).await;
    let mut binding = ground.foreign_binding("dave-purges");
    binding["roleRef"] = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "purges" });
    binding["subjects"][0]["name"] = json!("dave");
    ground.ok(&create(ADMIN, ground.bindings(), binding)).await;
    eventually("dave may purge", SOON, async || ground.send(&deletion.clone().dry()).await.map(drop)).await;
    ground.ok(&deletion).await;
    world.until_unbound(&ground.namespace).await;
    // The right is for that namespace.
    let elsewhere = Ground::prepare(&world, Scene::Pending, true).await;
    elsewhere.send(&delete(DAVE, elsewhere.areq("fix"))).await.expect_err("dave has no such right there");
}

async fn free_in_a_namespace_that_goes(world: Arc<World>) {
    let ground = Ground::prepare(&world, Scene::Active, true).await;
    let deletion = |by: User| delete(by, ground.areq("fix"));
    ground.send(&deletion(DAVE)).await.expect_err("the namespace stays");
    world.control_plane.stop_controller_manager();
    ground.ok(&delete(ADMIN, format!("/api/v1/namespaces/{}", ground.namespace))).await;
    eventually("the namespace goes, and with it the guard's concern", SOON, async || {
        ground.send(&deletion(DAVE).dry()).await.map(drop)
    })
    .await;
    ground.ok(&deletion(DAVE)).await;
}
