//! Attempts on the metadata of requests: on that of others, and to tie a request to something that outlives it or
//! takes it along.

use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::attempt::Attempt;
use super::call::{Call, apply, apply_with_force, create, delete, json_patch, merge, put};
use super::ground::{Ground, Scene};
use super::guard::Guard;
use crate::harness::cast::{SOON, request};
use crate::harness::users::{ADMIN, ALICE, BOB, CAROL, DAVE, EDDA, EVE, MALLORY, PETRA, User};
use crate::harness::{Cluster, eventually, shared};

const NOT_YOURS: &str = "only the requester, \"alice\", may change metadata.";
const NO_FINALIZER: &str = "leave metadata.finalizers out";
const NO_OWNER: &str = "leave metadata.ownerReferences out";
const STAYS: &str = "a finalizer of a request is taken off by Kubernetes itself, or by who has the verb purge";

/// The garbage collector, as the API server knows it.
pub const COLLECTOR: &str = "system:serviceaccount:kube-system:generic-garbage-collector";

pub fn attempts() -> Vec<Attempt> {
    [of_others(), ties(), new_ones(), in_the_name_of_kubernetes()].into_iter().flatten().collect()
}

pub fn trials() -> Vec<Trial> {
    vec![
        shared("attack::metadata::kubernetes_and_who_may_purge_take_finalizers_off", finalizers_come_off),
        shared("attack::metadata::what_others_find_there_they_cannot_take_away", stays_as_it_is),
        shared("attack::metadata::a_deletion_in_the_foreground_or_with_orphans_comes_to_its_end", deletions_end),
        shared("attack::metadata::writing_a_request_as_it_is_is_free", rewriting_is_free),
        shared("attack::metadata::a_service_account_is_known_by_its_token", known_by_its_token),
    ]
}

fn attempt(name: &str, words: &str, act: impl Fn(&Ground) -> Call + Send + Sync + 'static) -> Attempt {
    Attempt::refused(format!("metadata::{name}"), Guard::Metadata, Scene::Active, words, act)
}

fn merges(name: &str, by: User, metadata: Value, words: &str) -> Attempt {
    attempt(name, words, move |g| merge(by, g.areq("fix"), json!({ "metadata": metadata })))
}

fn label() -> Value {
    json!({ "team": "mine" })
}

fn finalizers() -> Value {
    json!(["example.com/stays"])
}

fn owners() -> Value {
    json!([{ "apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "00000000-0000-0000-0000-00000000dead" }])
}

/// A request that is somebody else's.
fn of_others() -> Vec<Attempt> {
    let labels = format!("{NOT_YOURS}labels of this request");
    let annotations = format!("{NOT_YOURS}annotations of this request");
    vec![
        merges("labels_by_a_colleague", EVE, json!({ "labels": label() }), &labels),
        merges("labels_by_an_editor_of_everything", EDDA, json!({ "labels": label() }), &labels),
        merges("labels_by_an_approver", BOB, json!({ "labels": label() }), &labels),
        merges("labels_by_an_admin", ADMIN, json!({ "labels": label() }), &labels),
        merges("annotations_by_a_colleague", EVE, json!({ "annotations": label() }), &annotations),
        attempt("labels_by_an_update", &labels, |g| {
            let mut labelled = g.request.clone();
            labelled["metadata"]["labels"] = label();
            put(PETRA, g.areq("fix"), labelled)
        }),
        attempt("annotations_by_an_update", &annotations, |g| {
            let mut annotated = g.request.clone();
            annotated["metadata"]["annotations"] = label();
            put(PETRA, g.areq("fix"), annotated)
        }),
        attempt("labels_by_apply", &labels, |g| {
            let mut labelled = g.fix(json!({}));
            labelled["metadata"]["labels"] = label();
            apply(EVE, g.areq("fix"), labelled)
        }),
        attempt("annotations_by_apply_with_force", &annotations, |g| {
            let mut annotated = g.fix(json!({}));
            annotated["metadata"]["annotations"] = label();
            apply_with_force(MALLORY, g.areq("fix"), annotated)
        }),
        attempt("labels_by_json_patch", &labels, |g| {
            json_patch(CAROL, g.areq("fix"), json!([{ "op": "add", "path": "/metadata/labels", "value": label() }]))
        }),
        // Nothing of the request changes, but who is said to have written it; there is no end to such notes.
        attempt("a_note_of_having_applied_it", &format!("{NOT_YOURS}managedFields"), |g| {
            let spec = json!({ "role": { "name": "edit" }, "reason": "a trial" });
            let noted = |fix: &Value| fix["metadata"]["managedFields"].to_string().contains(r#""manager":"attack""#);
            apply(EVE, g.areq("fix"), g.fix(json!({ "spec": spec }))).seen_by(noted)
        }),
    ]
}

/// What would keep a request from going, or would take it along; on that of others and on one's own.
fn ties() -> Vec<Attempt> {
    let mut attempts = Vec::new();
    for (whose, by, patcher) in [("on_anothers", PETRA, EVE), ("on_ones_own", ALICE, ALICE)] {
        for (what, field, value, words) in [
            ("a_finalizer", "finalizers", finalizers(), NO_FINALIZER),
            ("an_owner", "ownerReferences", owners(), NO_OWNER),
        ] {
            let (merged, applied, patched) = (value.clone(), value.clone(), value.clone());
            attempts.push(attempt(&format!("{what}_{whose}"), words, move |g| {
                merge(patcher, g.areq("fix"), json!({ "metadata": { field: merged } }))
            }));
            attempts.push(attempt(&format!("{what}_{whose}_by_apply"), words, move |g| {
                let mut tied = g.fix(json!({}));
                tied["metadata"][field] = applied.clone();
                apply_with_force(patcher, g.areq("fix"), tied)
            }));
            attempts.push(attempt(&format!("{what}_{whose}_by_json_patch"), words, move |g| {
                let add = json!([{ "op": "add", "path": format!("/metadata/{field}"), "value": patched }]);
                json_patch(patcher, g.areq("fix"), add)
            }));
            if by.login == PETRA.login {
                attempts.push(attempt(&format!("{what}_{whose}_by_an_update"), words, move |g| {
                    let mut tied = g.request.clone();
                    tied["metadata"][field] = value.clone();
                    put(by, g.areq("fix"), tied)
                }));
            }
        }
    }
    // Even the finalizers that mean something to Kubernetes itself.
    attempts.push(merges("the_mark_of_a_deletion", EVE, json!({ "finalizers": ["foregroundDeletion"] }), NO_FINALIZER));
    attempts.push(merges("a_finalizer_by_an_admin", ADMIN, json!({ "finalizers": finalizers() }), NO_FINALIZER));
    attempts
}

/// A request that is tied from the beginning.
fn new_ones() -> Vec<Attempt> {
    let makes = |name: &str, field: &'static str, value: Value, words: &str| {
        let tied = move |g: &Ground| {
            let mut tied = request(&g.namespace, "tied", json!({}));
            tied["metadata"][field] = value.clone();
            tied
        };
        let applied = tied.clone();
        [
            attempt(name, words, move |g| create(EVE, g.requests(), tied(g))),
            attempt(&format!("{name}_by_apply"), words, move |g| apply(EVE, g.areq("tied"), applied(g))),
        ]
    };
    let of_finalizer = makes("made_with_a_finalizer", "finalizers", finalizers(), NO_FINALIZER);
    let of_owner = makes("made_with_an_owner", "ownerReferences", owners(), NO_OWNER);
    of_finalizer.into_iter().chain(of_owner).collect()
}

/// Who may edit in every namespace may act as the service accounts there, but has none of their tokens.
fn in_the_name_of_kubernetes() -> Vec<Attempt> {
    let name = |name: &str, metadata: Value, words: &str| {
        attempt(name, words, move |g| merge(EDDA, g.areq("fix"), json!({ "metadata": metadata })).acting_as(COLLECTOR))
    };
    vec![
        name("a_label_as_the_garbage_collector", json!({ "labels": label() }), NOT_YOURS),
        name("a_finalizer_as_the_garbage_collector", json!({ "finalizers": finalizers() }), NO_FINALIZER),
        name("an_owner_as_the_garbage_collector", json!({ "ownerReferences": owners() }), NO_OWNER),
    ]
}

/// Writes metadata of alice's request as a part of Kubernetes, with its token.
pub async fn tie(ground: &Ground, metadata: Value) {
    let collector = ground.service_account_of_system("generic-garbage-collector").await;
    let call = merge(ADMIN, ground.areq("fix"), json!({ "metadata": metadata }));
    call.send(&collector).await.unwrap_or_else(|why| panic!("as the garbage collector: {why}"));
}

/// One that somebody left, before there was this guard.
async fn finalizers_come_off(cluster: Arc<Cluster>) {
    let ground = Ground::prepare(&cluster, Scene::Pending, true).await;
    tie(&ground, json!({ "finalizers": finalizers() })).await;
    let off = |by: User| merge(by, ground.areq("fix"), json!({ "metadata": { "finalizers": null } }));
    ground.ok(&delete(ALICE, ground.areq("fix"))).await;
    for by in [ALICE, EVE, EDDA, PETRA] {
        let why = ground.send(&off(by)).await.expect_err("it stays");
        assert!(why.contains(STAYS), "{why}");
    }
    let why = ground.send(&off(EDDA).acting_as(COLLECTOR)).await.expect_err("it is not the garbage collector");
    assert!(why.contains(STAYS), "{why}");
    assert!(ground.read(&ground.areq("fix")).await.is_some(), "it waits for its finalizer");
    // Nothing but the finalizers is free, even to an admin.
    let both = json!({ "metadata": { "finalizers": null, "labels": label() } });
    let why = ground.send(&merge(ADMIN, ground.areq("fix"), both)).await.expect_err("a label");
    assert!(why.contains(NOT_YOURS), "{why}");
    ground.ok(&off(ADMIN)).await;
    assert!(ground.read(&ground.areq("fix")).await.is_none(), "nothing keeps it");

    let ground = ground.prepare_beside(Scene::Pending).await;
    tie(&ground, json!({ "finalizers": finalizers() })).await;
    ground.ok(&delete(ALICE, ground.areq("fix"))).await;
    let collector = ground.service_account_of_system("generic-garbage-collector").await;
    let off = merge(ADMIN, ground.areq("fix"), json!({ "metadata": { "finalizers": null } }));
    off.send(&collector).await.expect("the garbage collector itself");
    assert!(ground.read(&ground.areq("fix")).await.is_none(), "nothing keeps it");
}

async fn stays_as_it_is(cluster: Arc<Cluster>) {
    let ground = Ground::prepare(&cluster, Scene::Active, true).await;
    let own = json!({ "metadata": { "labels": { "team": "shop" }, "annotations": { "note": "of alice" } } });
    ground.ok(&merge(ALICE, ground.areq("fix"), own)).await;
    for field in ["labels", "annotations"] {
        for by in [EVE, PETRA, ADMIN] {
            let remove =
                json_patch(by, ground.areq("fix"), json!([{ "op": "remove", "path": format!("/metadata/{field}") }]));
            let why = ground.send(&remove).await.expect_err("it is alice's");
            assert!(why.contains(&format!("{NOT_YOURS}{field}")), "{why}");
        }
        ground.ok(&merge(ALICE, ground.areq("fix"), json!({ "metadata": { field: null } }))).await;
    }
}

async fn deletions_end(cluster: Arc<Cluster>) {
    for propagation in ["propagationPolicy=Foreground", "propagationPolicy=Orphan"] {
        let ground = Ground::prepare(&cluster, Scene::Pending, true).await;
        ground.ok(&delete(ALICE, ground.areq("fix")).with(propagation)).await;
        eventually(&format!("it is gone, with {propagation}"), SOON, async || {
            match ground.read(&ground.areq("fix")).await {
                None => Ok(()),
                Some(fix) => Err(fix["metadata"].to_string()),
            }
        })
        .await;
    }
}

/// So does who moves what is stored to another version.
async fn rewriting_is_free(cluster: Arc<Cluster>) {
    let ground = Ground::prepare(&cluster, Scene::Active, true).await;
    let stored = async || ground.read(&ground.areq("fix")).await.expect("the request");
    for by in [ADMIN, PETRA] {
        ground.ok(&put(by, ground.areq("fix"), stored().await)).await;
        // As kubectl prints it.
        let mut shown = stored().await;
        shown["metadata"].as_object_mut().expect("metadata").remove("managedFields");
        ground.ok(&put(by, ground.areq("fix"), shown)).await;
        ground.ok(&merge(by, ground.areq("fix"), json!({}))).await;
    }
    // dave may do no such thing, as RBAC has it for whoever may only ask: there is no right to update.
    let why = ground.send(&put(DAVE, ground.areq("fix"), stored().await)).await.expect_err("no right to update");
    assert!(why.contains("cannot update resource"), "{why}");
}

/// What the guards go by: nobody can act as a service account and bring what its token brings.
async fn known_by_its_token(cluster: Arc<Cluster>) {
    const CREDENTIAL: &str = "authentication.kubernetes.io/credential-id";
    const REVIEWS: &str = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let ground = Ground::empty(&cluster, true).await;
    let asks = create(
        EDDA,
        REVIEWS.to_owned(),
        json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" }),
    );
    let real =
        asks.send(&ground.service_account_of_system("generic-garbage-collector").await).await.expect("an answer");
    assert_eq!(real["status"]["userInfo"]["username"], COLLECTOR);
    assert!(real["status"]["userInfo"]["extra"][CREDENTIAL].is_array(), "{real}");
    let played = ground.ok(&asks.acting_as(COLLECTOR)).await;
    assert_eq!(played["status"]["userInfo"]["username"], COLLECTOR);
    assert!(played["status"]["userInfo"]["extra"][CREDENTIAL].is_null(), "{played}");
    // Nor may they say it.
    let extra = format!("{CREDENTIAL}=JTI=forged");
    let claims = ["get", "areq", "-n", &ground.namespace, "--as", COLLECTOR, "--as-user-extra", &extra];
    let why = cluster.kubectl(EDDA).refused(&claims).await;
    assert!(
        why.contains("cannot impersonate resource \"userextras/authentication.kubernetes.io/credential-id\""),
        "{why}"
    );
}
