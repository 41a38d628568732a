//! What the controller goes by, and what it does not: names, annotations, what was there before, dry runs. Each trial
//! shows the same act with and without the one fact that matters.

use std::sync::Arc;

use daypass::api::State;
use daypass::core::lifecycle::hindrance::Hindrance;
use daypass::core::model::field_error::FieldError;
use daypass::core::model::problem::RequestProblem;
use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::attempt::is_truly;
use super::call::{Call, create, delete, merge, put};
use super::ground::{Ground, Scene, group};
use crate::harness::cast::{SOON, assert_says, lacks, request};
use crate::harness::users::{ADMIN, ALICE, BOB, CAROL, CROWDED, User, VOTERS, with_odd_names};
use crate::harness::wait::now_plus_seconds;
use crate::harness::{Cluster, eventually, shared};

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        shared("attack::facts::a_dry_run_leaves_nothing", dry_runs),
        shared("attack::facts::annotations_decide_nothing", annotations),
        shared("attack::facts::a_binding_that_was_there_before_is_not_taken_over", taken_name),
        shared("attack::facts::a_start_in_the_year_9998_is_denied", far_start),
        shared("attack::facts::rules_that_no_role_has_are_not_ignored", narrow_rules),
        shared("attack::facts::sixty_four_people_review_and_it_is_decided", sixty_four_reviews),
        shared("attack::facts::somebody_in_256_groups_asks_and_reviews", |cluster| named(cluster, *CROWDED)),
    ];
    for user in with_odd_names() {
        let name = format!("attack::facts::{}_has_an_odd_name_and_is_told_from_others", user.login);
        trials.push(shared(&name, move |cluster| named(cluster, user)));
    }
    trials
}

fn stages(approvers: Value) -> Value {
    json!([{ "name": "leads", "approvers": approvers }])
}

fn approves(by: User, ground: &Ground) -> Call {
    merge(by, ground.status(), json!({ "status": { "reviews": { by.name: { "verdict": "Approve" } } } }))
}

async fn dry_runs(cluster: Arc<Cluster>) {
    let ground = Ground::empty(&cluster, true).await;
    ground.allow(stages(group("approvers"))).await;
    let asks = create(ALICE, ground.requests(), request(&ground.namespace, "fix", json!({})));
    ground.ok(&asks.clone().dry()).await;
    assert!(ground.read(&ground.areq("fix")).await.is_none(), "a dry run made a request");
    ground.ok(&asks).await;
    cluster.until(&ground.namespace, "fix", State::Pending).await;

    let answer = ground.ok(&approves(BOB, &ground).dry()).await;
    assert_eq!(answer["status"]["reviews"]["bob"]["uid"], "u-bob");
    // Whatever the controller saw of the dry run, it saw before this.
    ground.submit_review(ALICE, "Approve").await;
    let waiting = cluster.until(&ground.namespace, "fix", State::Pending).await.status.expect("a status");
    assert!(!waiting.reviews.contains_key("bob") && cluster.our_bindings(&ground.namespace).await.is_empty());
    ground.ok(&approves(BOB, &ground)).await;
    cluster.until(&ground.namespace, "fix", State::Active).await;

    ground.ok(&delete(ADMIN, ground.areq("fix")).dry()).await;
    assert!(ground.read(&ground.areq("fix")).await.is_some(), "a dry run deleted a request");
    assert_eq!(cluster.our_bindings(&ground.namespace).await.len(), 1);
    ground.ok(&delete(ADMIN, ground.areq("fix"))).await;
    cluster.until_unbound(&ground.namespace).await;
}

/// The end in the annotation is for people; the one in the status is the end.
async fn annotations(cluster: Arc<Cluster>) {
    let ground = Ground::prepare(&cluster, Scene::Active, true).await;
    let before = ground.read(&ground.binding()).await.expect("the binding");
    let controller = ground.controller().await;
    for (annotation, value) in
        [("expires-at", "2020-01-01T00:00:00Z"), ("ttl", "1s"), ("granted-at", "2020-01-01T00:00:00Z")]
    {
        let annotated = json!({ "metadata": { "annotations": { format!("daypass.dev/{annotation}"): value } } });
        let mut edited = ground.read(&ground.binding()).await.expect("the binding");
        edited["metadata"]["annotations"][format!("daypass.dev/{annotation}")] = json!(value);
        // The guard lets only the controller do this.
        ground.send(&merge(ADMIN, ground.binding(), annotated)).await.expect_err("the guard refuses");
        put(ADMIN, ground.binding(), edited).send(&controller).await.expect("the controller edits");
        eventually("the annotation is put back", SOON, async || {
            let now = ground.read(&ground.binding()).await.ok_or("the binding is gone")?;
            if now["metadata"]["annotations"] == before["metadata"]["annotations"] {
                Ok(())
            } else {
                Err(now.to_string())
            }
        })
        .await;
    }
    let active = cluster.until(&ground.namespace, "fix", State::Active).await.status.expect("a status");
    assert_eq!(json!(active.expires_at), ground.request["status"]["expiresAt"], "the end was moved");
    ground.as_controller(json!({ "expiresAt": now_plus_seconds(-1) })).await;
    cluster.until(&ground.namespace, "fix", State::Expired).await;
    cluster.until_unbound(&ground.namespace).await;
}

/// The name of a binding is known as soon as the request is there.
async fn taken_name(cluster: Arc<Cluster>) {
    for taken in [true, false] {
        let ground = Ground::empty(&cluster, true).await;
        ground.allow(stages(group("approvers"))).await;
        let fix = request(&ground.namespace, "fix", json!({ "duration": "1h" }));
        let uid = ground.ok(&create(ALICE, ground.requests(), fix)).await["metadata"]["uid"].clone();
        cluster.until(&ground.namespace, "fix", State::Pending).await;
        // The same act, under the name of the binding or another.
        let name = format!("{}-{}", if taken { "daypass" } else { "other" }, uid.as_str().expect("a UID"));
        let mut placed = ground.foreign_binding(&name);
        placed["subjects"][0]["name"] = json!("mallory");
        placed["roleRef"]["name"] = json!("view");
        let placed = ground.ok(&create(ADMIN, ground.bindings(), placed)).await;
        ground.ok(&approves(BOB, &ground)).await;
        if taken {
            cluster.until(&ground.namespace, "fix", State::Failed).await;
            assert!(cluster.our_bindings(&ground.namespace).await.is_empty());
        } else {
            cluster.until(&ground.namespace, "fix", State::Active).await;
        }
        let now = ground.read(&format!("{}/{name}", ground.bindings())).await.expect("it is left where it was");
        assert_eq!(now["metadata"]["resourceVersion"], placed["metadata"]["resourceVersion"], "it was touched");
    }
}

/// Asks as alice, with nobody to approve, and waits for a state. The message that goes with it.
async fn answer(cluster: &Arc<Cluster>, spec: Value, state: State) -> String {
    let ground = Ground::empty(cluster, true).await;
    cluster.allow(&ground.namespace, &ground.namespace, json!({})).await;
    ground.ok(&create(ALICE, ground.requests(), request(&ground.namespace, "fix", spec))).await;
    let status = cluster.until(&ground.namespace, "fix", state).await.status.expect("a status");
    if state == State::Denied {
        assert!(cluster.our_bindings(&ground.namespace).await.is_empty());
    }
    status.message.expect("a message")
}

async fn far_start(cluster: Arc<Cluster>) {
    let at = |time: String| json!({ "duration": "1h", "startTime": time });
    let answered = answer(&cluster, at("9998-12-31T23:59:59Z".to_owned()), State::Denied).await;
    assert_says(&answered, &FieldError::new("spec.startTime", RequestProblem::StartsTooLate));
    answer(&cluster, at(now_plus_seconds(86_400)), State::Scheduled).await;
}

/// A rule without names is for all names: what is asked for as less must never be granted as more.
async fn narrow_rules(cluster: Arc<Cluster>) {
    let all = json!({ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] });
    let fine = json!({ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] });
    let mut for_no_name = json!({ "verbs": ["get"], "apiGroups": [""], "resources": ["nodes"] });
    for_no_name["resourceNames"] = json!([]);
    let escalate = json!({ "verbs": ["escalate"], "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"] });
    for (rules, lack) in [
        (json!([all]), lacks(&["*"], "*", "*", None)),
        (json!([fine, for_no_name]), lacks(&["get"], "", "nodes", None)),
        (json!([fine, escalate]), lacks(&["escalate"], "rbac.authorization.k8s.io", "roles", None)),
    ] {
        let answered = answer(&cluster, json!({ "rules": rules }), State::Denied).await;
        assert_says(&answered, &Hindrance::Lacks(vec![lack]));
    }
    answer(&cluster, json!({ "rules": [] }), State::Active).await;
}

/// As many reviews as there can be, none of which counts, do not keep an approver out who finds room.
async fn sixty_four_reviews(cluster: Arc<Cluster>) {
    let ground = Ground::empty(&cluster, true).await;
    ground.allow(stages(group("approvers"))).await;
    let fix = request(&ground.namespace, "fix", json!({ "duration": "1h" }));
    ground.ok(&create(ALICE, ground.requests(), fix)).await;
    cluster.until(&ground.namespace, "fix", State::Pending).await;
    for voter in VOTERS.iter() {
        ground.ok(&approves(*voter, &ground)).await;
    }
    let stored = ground.read(&ground.areq("fix")).await.expect("the request");
    for voter in VOTERS.iter() {
        is_truly(*voter, &stored["status"]["reviews"][voter.name]);
    }
    let refusal = ground.send(&approves(CAROL, &ground)).await.expect_err("there is no room");
    assert!(refusal.contains("status.reviews") && refusal.contains("64"), "{refusal}");
    let withdraws = json!({ "status": { "reviews": { VOTERS[7].name: null } } });
    ground.ok(&merge(VOTERS[7], ground.status(), withdraws)).await;
    ground.ok(&approves(CAROL, &ground)).await;
    let granted = cluster.until(&ground.namespace, "fix", State::Active).await.status.expect("a status");
    assert_eq!(granted.reviews.len(), 64);
}

/// Somebody whose login is out of the ordinary asks, and reviews what alice asks, as nobody but themselves.
async fn named(cluster: Arc<Cluster>, user: User) {
    let ground = Ground::empty(&cluster, true).await;
    cluster.allow(&ground.namespace, &ground.namespace, json!({})).await;
    let forged = json!({ "duration": "1h", "requester": { "username": "alice" } });
    let stored = ground.ok(&create(user, ground.requests(), request(&ground.namespace, "odd", forged))).await;
    is_truly(user, &stored["spec"]["requester"]);
    cluster.until(&ground.namespace, "odd", State::Active).await;
    let subjects = cluster.our_bindings(&ground.namespace).await.remove(0).subjects.expect("subjects");
    assert_eq!(subjects.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), [user.name]);

    let ground = Ground::empty(&cluster, true).await;
    ground.allow(stages(super::ground::person(user.name))).await;
    let fix = request(&ground.namespace, "fix", json!({ "duration": "1h" }));
    ground.ok(&create(ALICE, ground.requests(), fix)).await;
    cluster.until(&ground.namespace, "fix", State::Pending).await;
    let stored = ground.ok(&approves(user, &ground)).await;
    let reviews = stored["status"]["reviews"].as_object().expect("reviews");
    assert_eq!(reviews.keys().collect::<Vec<_>>(), [user.name]);
    is_truly(user, &reviews[user.name]);
    cluster.until(&ground.namespace, "fix", State::Active).await;
}
