//! Attempts to delete the requests of others, and one's own once it gave access.

use std::sync::Arc;

use daypass::api::State;
use libtest_mimic::Trial;
use serde_json::json;

use super::attempt::Attempt;
use super::call::{Call, create, delete};
use super::ground::{Ground, Scene};
use super::guard::Guard;
use super::metadata::tie;
use crate::harness::cast::{SOON, request};
use crate::harness::users::{ADMIN, ALICE, BOB, DAVE, EVE, HIDDEN, MALLORY, PETRA, User, with_odd_names};
use crate::harness::wait::poll;
use crate::harness::{Cluster, eventually, private, shared};

/// Of what was never granted.
const ONLY: &str = "only the requester, \"alice\", may delete this request, and who has the verb purge";
/// Of what was granted, to whom it is.
const RECORD: &str = "this request gave access and is the record of it: only who has the verb purge";
const NOTHING: &str = "it is over (Revoked), so there is no access left to end";

/// The command that ends alice's access, for somebody.
fn revoke(ground: &Ground, by: &str) -> String {
    let patch = format!(r#"{{"status":{{"reviews":{{"{by}":{{"verdict":"Revoke"}}}}}}}}"#);
    format!("kubectl patch areq fix -n {} --subresource=status --type=merge -p '{patch}'", ground.namespace)
}

pub fn attempts() -> Vec<Attempt> {
    let deletes = |name: &str, scene, words: &str, act: fn(&Ground) -> Call| {
        Attempt::refused(format!("deletion::{name}"), Guard::Deletion, scene, words, act)
    };
    vec![
        deletes("by_an_approver_before_the_decision", Scene::Pending, ONLY, |g| delete(BOB, g.areq("fix"))),
        deletes("by_a_colleague_of_what_runs", Scene::Active, RECORD, |g| delete(EVE, g.areq("fix"))),
        deletes("by_a_stranger_of_what_is_over", Scene::Denied, ONLY, |g| delete(MALLORY, g.areq("fix"))),
        deletes("in_the_foreground", Scene::Active, RECORD, |g| {
            delete(DAVE, g.areq("fix")).with("propagationPolicy=Foreground")
        }),
        deletes("with_orphans", Scene::Active, RECORD, |g| {
            delete(DAVE, g.areq("fix")).with("propagationPolicy=Orphan")
        }),
        deletes("of_all_at_once", Scene::Active, RECORD, |g| delete(PETRA, g.requests()).seen_at(g.areq("fix"))),
        deletes("of_all_that_have_a_name", Scene::Pending, ONLY, |g| {
            delete(PETRA, g.requests()).with("fieldSelector=metadata.name%3Dfix").seen_at(g.areq("fix"))
        }),
        deletes("by_whoever_must_review_it", Scene::BreakGlass, RECORD, |g| delete(DAVE, g.areq("fix"))),
        deletes("by_the_requester_of_what_runs", Scene::Active, RECORD, |g| delete(ALICE, g.areq("fix"))),
        deletes("by_the_requester_in_the_foreground", Scene::Active, RECORD, |g| {
            delete(ALICE, g.areq("fix")).with("propagationPolicy=Foreground")
        }),
        deletes("by_the_requester_with_orphans", Scene::Active, RECORD, |g| {
            delete(ALICE, g.areq("fix")).with("propagationPolicy=Orphan")
        }),
        deletes("by_the_requester_of_what_rests", Scene::Suspended, RECORD, |g| delete(ALICE, g.areq("fix"))),
        deletes("by_the_requester_of_an_emergency", Scene::BreakGlass, NOTHING, |g| delete(ALICE, g.areq("fix"))),
    ]
}

pub fn trials() -> Vec<Trial> {
    vec![
        shared("attack::deletion::through_the_garbage_collector", through_the_garbage_collector),
        shared("attack::deletion::of_what_was_granted_is_refused_in_every_form", refused_in_every_form),
        shared("attack::deletion::of_what_was_never_granted_is_free", free_when_never_granted),
        shared("attack::deletion::of_an_extension_that_moved_an_end_is_refused", of_an_extension),
        shared("attack::deletion::at_the_moment_of_the_grant_leaves_no_access_without_its_record", at_the_grant),
        shared("attack::deletion::is_answered_with_a_command_that_ends_the_access", says_how_to_end_it),
        shared("attack::deletion::is_for_whoever_has_the_verb_purge", whoever_may_purge),
        private("attack::deletion::is_free_in_a_namespace_that_goes", free_in_a_namespace_that_goes),
    ]
}

/// A request can say that it belongs to something that is gone: one that was made before its metadata was guarded. The
/// garbage collector then deletes it, for whoever wrote that.
async fn disown(ground: &Ground) {
    let gone = json!([{ "apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "00000000-0000-0000-0000-00000000dead" }]);
    tie(ground, json!({ "ownerReferences": gone })).await;
}

async fn through_the_garbage_collector(cluster: Arc<Cluster>) {
    let ground = Ground::prepare(&cluster, Scene::Active, true).await;
    disown(&ground).await;
    eventually("the garbage collector is refused", SOON, async || {
        let audit = cluster.control_plane.audit_log();
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
pub async fn the_garbage_collector_deletes(cluster: &Arc<Cluster>) -> Result<(), String> {
    let ground = Ground::prepare(cluster, Scene::Active, false).await;
    disown(&ground).await;
    poll(SOON, async || match ground.read(&ground.areq("fix")).await {
        None => std::ops::ControlFlow::Break(()),
        Some(_) => std::ops::ControlFlow::Continue("the garbage collector does not delete it".to_owned()),
    })
    .await
}

async fn refused_in_every_form(cluster: Arc<Cluster>) {
    let ground = Ground::prepare(&cluster, Scene::Active, true).await;
    let rule = json!({ "apiGroups": ["daypass.dev"], "resources": ["accessrequests"], "verbs": ["deletecollection"] });
    let role = json!({ "metadata": { "name": "cleans-up" }, "rules": [rule] });
    ground.ok(&create(ADMIN, ground.roles(), role)).await;
    let mut binding = ground.foreign_binding("alice-cleans-up");
    binding["roleRef"] = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "cleans-up" });
    ground.ok(&create(ADMIN, ground.bindings(), binding)).await;
    let all = delete(ALICE, ground.requests());
    eventually("alice may delete all of them, as RBAC goes", SOON, async || match ground.send(&all).await {
        Err(why) if why.contains(RECORD) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let one = delete(ALICE, ground.areq("fix"));
    let forms = [one.clone(), one.clone().dry(), one.clone().with("gracePeriodSeconds=0"), all.dry()];
    for form in forms.iter().chain([&one.with("propagationPolicy=Background")]) {
        let why = ground.send(form).await.expect_err("it is the record of access");
        assert!(why.contains(RECORD) && why.contains(&revoke(&ground, "alice")), "{why}");
    }
    let why = ground.send(&delete(BOB, ground.areq("fix"))).await.expect_err("it is not bob's");
    let counts = format!("{} (it counts if you are one of its approvers)", revoke(&ground, "bob"));
    assert!(why.contains(RECORD) && why.contains(&counts), "{why}");
    let fix = ground.read(&ground.areq("fix")).await.expect("the request");
    assert!(fix["metadata"]["deletionTimestamp"].is_null(), "{fix}");
    assert!(ground.read(&ground.binding()).await.is_some(), "the access goes on");
}

async fn free_when_never_granted(cluster: Arc<Cluster>) {
    let waiting = Ground::prepare(&cluster, Scene::Pending, true).await;
    let scheduled = waiting.prepare_beside(Scene::Scheduled).await;
    let denied = waiting.prepare_beside(Scene::Denied).await;
    // Approved, and taken back before it began.
    let taken_back = waiting.prepare_beside(Scene::Scheduled).await;
    taken_back.submit_review(ALICE, "Revoke").await;
    cluster.until(&taken_back.namespace, "fix", State::Revoked).await;
    for ground in [waiting, scheduled, denied, taken_back] {
        let deletion = delete(ALICE, ground.areq("fix"));
        ground.ok(&deletion.clone().dry()).await;
        ground.ok(&deletion).await;
        assert!(ground.read(&ground.areq("fix")).await.is_none());
        assert!(cluster.our_bindings(&ground.namespace).await.is_empty());
    }
}

/// It has no access of its own, and says who let another request go on for longer.
async fn of_an_extension(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("attack").await;
    cluster.allow(&namespace, &namespace, json!({ "extension": { "max": "1h", "count": 1 } })).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "30m" })).await;
    cluster.until(&namespace, "fix", State::Active).await;
    cluster.ask(ALICE, &namespace, "more", json!({ "extends": "fix", "duration": "5m" })).await;
    cluster.until(&namespace, "more", State::Extended).await;
    let why = cluster.kubectl(ALICE).refused(&["delete", "areq", "more", "-n", &namespace]).await;
    assert!(why.contains(RECORD) && why.contains("it is over (Extended)"), "{why}");
    // One that was not approved moved nothing.
    cluster.ask(ALICE, &namespace, "too-long", json!({ "extends": "fix", "duration": "2h" })).await;
    cluster.until(&namespace, "too-long", State::Denied).await;
    cluster.kubectl(ALICE).ok(&["delete", "areq", "too-long", "-n", &namespace]).await;
}

/// Approved is not granted yet: until the grant is on record the requester may delete it, and nothing is bound then;
/// afterwards the record stays.
async fn at_the_grant(cluster: Arc<Cluster>) {
    let ground = Ground::empty(&cluster, true).await;
    cluster.allow(&ground.namespace, &ground.namespace, json!({})).await;
    // Once the policy is in use, the grant comes a few milliseconds after the request.
    cluster.ask(ALICE, &ground.namespace, "first", json!({})).await;
    cluster.until(&ground.namespace, "first", State::Active).await;
    let (mut deleted, mut kept) = (Vec::new(), Vec::new());
    // How long the grant takes is the machine's affair. Each answer moves the next deletion nearer to it, from both
    // sides, so it comes before, at and after the grant on any machine.
    let mut wait = std::time::Duration::from_millis(1);
    for n in 0..120 {
        if deleted.len() >= 10 && kept.len() >= 10 {
            break;
        }
        let name = format!("race-{n}");
        let made = ground
            .ok(&create(ALICE, ground.requests(), request(&ground.namespace, &name, json!({ "duration": "30s" }))))
            .await;
        let uid = made["metadata"]["uid"].as_str().expect("a UID").to_owned();
        tokio::time::sleep(wait).await;
        match ground.send(&delete(ALICE, ground.areq(&name))).await {
            Ok(_) => {
                deleted.push(uid);
                wait = wait * 3 / 2;
            }
            Err(why) => {
                assert!(why.contains(RECORD), "{why}");
                cluster.until(&ground.namespace, &name, State::Active).await;
                kept.push(uid);
                wait = wait * 2 / 3;
            }
        }
    }
    assert!(!kept.is_empty(), "every deletion came first");
    let log = cluster.control_plane.audit_log();
    let binds =
        log.iter().filter(|event| event["verb"] == "create" && event["objectRef"]["resource"] == "rolebindings");
    let made: Vec<&str> = binds.filter_map(|event| event["objectRef"]["name"].as_str()).collect();
    let bound = |uid: &String| made.contains(&format!("daypass-{uid}").as_str());
    assert!(kept.iter().all(bound), "the audit log has them");
    let unrecorded: Vec<&String> = deleted.iter().filter(|uid| bound(uid)).collect();
    assert!(unrecorded.is_empty(), "access was given, and its record is gone: {unrecorded:?}");
}

/// What the refusal prints is typed into a shell, by people of whatever name.
async fn says_how_to_end_it(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("attack").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    for user in with_odd_names().into_iter().chain([ALICE]) {
        let name = format!("of-{}", user.login);
        cluster.ask(user, &namespace, &name, json!({ "duration": "1h" })).await;
        cluster.until(&namespace, &name, State::Active).await;
        let kubectl = cluster.kubectl(user);
        let refusal = kubectl.refused(&["delete", "areq", &name, "-n", &namespace]).await;
        let (_, command) = refusal.split_once("to end the access: ").unwrap_or_else(|| panic!("no command: {refusal}"));
        let output = cluster.control_plane.shell(user, command.trim_end()).await;
        assert!(output.ok, "{command}: {}{}", output.stdout, output.stderr);
        let over = cluster.until(&namespace, &name, State::Revoked).await;
        assert_eq!(over.status.expect("a status").history.pop().expect("an entry").by.as_deref(), Some(user.name));
        let refusal = kubectl.refused(&["delete", "areq", &name, "-n", &namespace]).await;
        assert!(refusal.contains(NOTHING) && !refusal.contains("kubectl patch"), "{refusal}");
    }
    // What no terminal shows, nobody can copy.
    cluster.ask(HIDDEN, &namespace, "of-hidden", json!({ "duration": "1h" })).await;
    cluster.until(&namespace, "of-hidden", State::Active).await;
    let refusal = cluster.kubectl(HIDDEN).refused(&["delete", "areq", "of-hidden", "-n", &namespace]).await;
    assert!(!refusal.contains("kubectl patch"), "{refusal}");
    assert!(refusal.contains("write a review with verdict Revoke under your username, in status.reviews"), "{refusal}");
}

async fn whoever_may_purge(cluster: Arc<Cluster>) {
    let ground = Ground::prepare(&cluster, Scene::Active, true).await;
    let deletion = delete(DAVE, ground.areq("fix"));
    ground.send(&deletion).await.expect_err("dave has no such right");
    let rule = json!({ "apiGroups": ["daypass.dev"], "resources": ["accessrequests"], "verbs": ["purge"] });
    let role = json!({ "metadata": { "name": "purges" }, "rules": [rule] });
    ground.ok(&create(ADMIN, ground.roles(), role)).await;
    let mut binding = ground.foreign_binding("dave-purges");
    binding["roleRef"] = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "purges" });
    binding["subjects"][0]["name"] = json!("dave");
    ground.ok(&create(ADMIN, ground.bindings(), binding)).await;
    eventually("dave may purge", SOON, async || ground.send(&deletion.clone().dry()).await.map(drop)).await;
    ground.ok(&deletion).await;
    cluster.until_unbound(&ground.namespace).await;
    // The right is for that namespace.
    let elsewhere = Ground::prepare(&cluster, Scene::Pending, true).await;
    elsewhere.send(&delete(DAVE, elsewhere.areq("fix"))).await.expect_err("dave has no such right there");
}

async fn free_in_a_namespace_that_goes(cluster: Arc<Cluster>) {
    let ground = Ground::prepare(&cluster, Scene::Active, true).await;
    let deletion = |by: User| delete(by, ground.areq("fix"));
    ground.send(&deletion(DAVE)).await.expect_err("the namespace stays");
    cluster.control_plane.stop_controller_manager();
    ground.ok(&delete(ADMIN, format!("/api/v1/namespaces/{}", ground.namespace))).await;
    eventually("the namespace goes, and with it the guard's concern", SOON, async || {
        ground.send(&deletion(DAVE).dry()).await.map(drop)
    })
    .await;
    ground.ok(&deletion(DAVE)).await;
}
