//! Whose reviews count is for the controller to say, so no guard can be taken away here. Each trial makes the same
//! act twice: where the rule forbids it, and where nothing but the one fact differs that the rule is about.

use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::call::{Call, create, delete, merge};
use super::ground::{Ground, group, person};
use crate::harness::cast::{SOON, request};
use crate::harness::users::{
    ADMIN, ALICE, ALICE_APPROVES, ALICE_RENAMED, BOB, BOB_LEFT, CAROL, DAVE, EVE, MALLORY, NOT_ALICE, User,
};
use crate::harness::{Cluster, eventually, shared};
use daypass::api::State;
use daypass::api::reason::Reason;
use daypass::api::request::AccessRequestStatus;
use daypass::core::decision::approvals::Eligibility;

/// Who asks, under which stages, and what is said: by whom and which verdict, in this order.
struct Case {
    by: User,
    stages: Value,
    submitted: Vec<(User, &'static str)>,
}

/// A case that must wait, with what is then on record, and one that must be granted.
struct Contrast {
    name: &'static str,
    waits: Case,
    record: Vec<Noted>,
    granted: Case,
}

/// Something on the record of a request.
#[derive(Clone, Debug)]
enum Noted {
    /// The review of this person counts.
    Counts(&'static str),
    /// The review of this person has no effect, and why.
    InVain(String, Eligibility),
    /// So many approvals are missing in the open stage.
    Missing(i32),
    /// The stage of this name is open.
    Open(&'static str),
}

impl Noted {
    fn is_on(&self, status: &AccessRequestStatus) -> bool {
        let said = |reason: Reason, by: &str| {
            status.history.iter().find(|entry| entry.event == reason && entry.by.as_deref() == Some(by))
        };
        match self {
            Self::Counts(by) => said(Reason::Reviewed, by).is_some(),
            Self::InVain(by, why) => {
                said(Reason::ReviewIgnored, by).is_some_and(|e| e.message.contains(&why.to_string()))
            }
            Self::Missing(n) => status.stage.as_ref().is_some_and(|stage| stage.required - stage.approved == *n),
            Self::Open(name) => status.stage.as_ref().is_some_and(|stage| stage.name == *name),
        }
    }
}

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        shared("attack::people::a_service_account_counts_only_when_it_is_named", a_service_account),
        shared("attack::people::approvals_are_for_one_request_not_for_its_name", made_again),
        shared("attack::people::a_stranger_can_neither_deny_nor_end_it", a_stranger),
    ];
    for contrast in contrasts() {
        trials.push(shared(&format!("attack::people::{}", contrast.name), |cluster| holds(cluster, contrast)));
    }
    trials
}

fn stage(name: &str, required: i32, approvers: Value) -> Value {
    json!({ "name": name, "required": required, "approvers": approvers })
}

fn leads(required: i32) -> Value {
    json!([stage("leads", required, group("approvers"))])
}

fn case(by: User, stages: Value, approve: &[User]) -> Case {
    Case { by, stages, submitted: approve.iter().map(|user| (*user, "Approve")).collect() }
}

fn contrasts() -> Vec<Contrast> {
    let two = || json!([stage("first", 1, group("approvers")), stage("second", 1, group("approvers"))]);
    let everybody = || json!([stage("leads", 1, group("system:authenticated"))]);
    let alice = || json!([stage("leads", 1, person("alice"))]);
    let escalating = |after: &str| {
        let mut stage = stage("leads", 1, group("approvers"));
        stage["escalateAfter"] = json!(after);
        stage["escalateTo"] = person("dave");
        json!([stage])
    };
    let own = |by: &str| vec![Noted::InVain(by.to_owned(), Eligibility::OwnRequest)];
    let nobody = |by: &str| vec![Noted::InVain(by.to_owned(), Eligibility::NotAnApprover)];
    let one_more = vec![Noted::Counts("bob"), Noted::Missing(1)];
    let contrast = |name, waits, record, granted| Contrast { name, waits, record, granted };
    vec![
        contrast(
            "nobody_approves_their_own_request",
            case(ALICE, alice(), &[ALICE]),
            own("alice"),
            case(EVE, alice(), &[ALICE]),
        ),
        contrast(
            "nor_as_one_of_everybody",
            case(ALICE, everybody(), &[ALICE]),
            own("alice"),
            case(EVE, everybody(), &[ALICE]),
        ),
        contrast(
            "nor_by_a_second_group",
            case(ALICE, leads(1), &[ALICE_APPROVES]),
            own("alice"),
            case(EVE, leads(1), &[ALICE_APPROVES]),
        ),
        contrast(
            "nor_under_another_name",
            case(ALICE, leads(1), &[ALICE_RENAMED]),
            own("alice-renamed"),
            case(ALICE, leads(1), &[NOT_ALICE]),
        ),
        contrast(
            "a_person_has_one_seat_in_two_stages",
            case(ALICE, two(), &[BOB]),
            vec![Noted::Counts("bob"), Noted::Open("second")],
            case(ALICE, two(), &[BOB, CAROL]),
        ),
        contrast(
            "saying_it_twice_is_saying_it_once",
            case(ALICE, leads(2), &[BOB, BOB]),
            one_more,
            case(ALICE, leads(2), &[BOB, CAROL]),
        ),
        contrast(
            "nor_under_two_names_of_one_login",
            case(EVE, leads(2), &[ALICE_APPROVES, ALICE_RENAMED]),
            vec![Noted::Counts("alice"), Noted::Counts("alice-renamed"), Noted::Missing(1)],
            case(EVE, leads(2), &[ALICE_APPROVES, NOT_ALICE]),
        ),
        contrast(
            "a_stranger_does_not_count",
            case(ALICE, leads(1), &[DAVE]),
            nobody("dave"),
            case(ALICE, leads(1), &[BOB]),
        ),
        contrast(
            "who_has_left_the_group_does_not_count",
            case(ALICE, leads(1), &[BOB_LEFT]),
            nobody("bob"),
            case(ALICE, leads(1), &[BOB]),
        ),
        contrast(
            "who_approves_leaves_the_group_and_says_it_again_does_not_count",
            case(ALICE, leads(2), &[BOB, BOB_LEFT, CAROL]),
            [nobody("bob"), vec![Noted::Counts("carol"), Noted::Missing(1)]].concat(),
            case(ALICE, leads(2), &[BOB, BOB, CAROL]),
        ),
        contrast(
            "a_second_line_does_not_count_before_its_time",
            case(ALICE, escalating("1h"), &[DAVE]),
            nobody("dave"),
            case(ALICE, escalating("1s"), &[DAVE]),
        ),
    ]
}

async fn asked(cluster: &Arc<Cluster>, by: User, stages: Value) -> Ground {
    let mut ground = Ground::empty(cluster, true).await;
    ground.allow(stages).await;
    let fix = request(&ground.namespace, "fix", json!({ "duration": "1h" }));
    ground.ok(&create(by, ground.requests(), fix)).await;
    cluster.until(&ground.namespace, "fix", State::Pending).await;
    ground.request = ground.read(&ground.areq("fix")).await.expect("the request");
    ground
}

async fn holds(cluster: Arc<Cluster>, contrast: Contrast) {
    let ground = asked(&cluster, contrast.waits.by, contrast.waits.stages).await;
    for (user, verdict) in contrast.waits.submitted {
        ground.submit_review(user, verdict).await;
    }
    until_on_record(&ground, &contrast.record).await;
    let waiting = cluster.until(&ground.namespace, "fix", State::Pending).await;
    assert!(waiting.status.expect("a status").granted_at.is_none());
    assert!(cluster.our_bindings(&ground.namespace).await.is_empty());

    let ground = asked(&cluster, contrast.granted.by, contrast.granted.stages).await;
    for (user, verdict) in contrast.granted.submitted {
        ground.submit_review(user, verdict).await;
    }
    cluster.until(&ground.namespace, "fix", State::Active).await;
}

/// Waits until all of this is on the record of the request.
async fn until_on_record(ground: &Ground, record: &[Noted]) {
    eventually(&format!("{record:?} are on record"), SOON, async || {
        let status = ground.read(&ground.areq("fix")).await.expect("the request")["status"].take();
        let read = serde_json::from_value(status.clone()).map_err(|error| error.to_string())?;
        if record.iter().all(|noted| noted.is_on(&read)) { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
}

fn approves(by: User, ground: &Ground, name: &str) -> Call {
    merge(by, ground.status(), json!({ "status": { "reviews": { name: { "verdict": "Approve" } } } }))
}

/// alice may make service accounts and has their tokens; each of them is in groups of the cluster's own.
async fn a_service_account(cluster: Arc<Cluster>) {
    let bot = |namespace: &str| json!([{ "kind": "ServiceAccount", "name": "bot", "namespace": namespace }]);
    for named in [false, true] {
        let ground = Ground::empty(&cluster, true).await;
        let mut approvers = group("system:serviceaccounts");
        approvers.as_array_mut().expect("a list").extend(group("system:authenticated").as_array().cloned().unwrap());
        ground.allow(json!([stage("leads", 1, if named { bot(&ground.namespace) } else { approvers })])).await;
        let mut may_edit = ground.foreign_binding("alice-edits");
        may_edit["roleRef"]["name"] = json!("edit");
        ground.ok(&create(ADMIN, ground.bindings(), may_edit)).await;
        let accounts = format!("/api/v1/namespaces/{}/serviceaccounts", ground.namespace);
        eventually("alice makes a service account", SOON, async || {
            ground.send(&create(ALICE, accounts.clone(), json!({ "metadata": { "name": "bot" } }))).await.map(drop)
        })
        .await;
        let fix = request(&ground.namespace, "fix", json!({ "duration": "1h" }));
        ground.ok(&create(ALICE, ground.requests(), fix)).await;
        cluster.until(&ground.namespace, "fix", State::Pending).await;
        let (robot, name) =
            (ground.service_account_of(ALICE, "bot").await, format!("system:serviceaccount:{}:bot", ground.namespace));
        approves(ALICE, &ground, &name).send(&robot).await.expect("a service account reviews");
        if named {
            cluster.until(&ground.namespace, "fix", State::Active).await;
        } else {
            until_on_record(&ground, &[Noted::InVain(name, Eligibility::UnnamedServiceAccount)]).await;
            cluster.until(&ground.namespace, "fix", State::Pending).await;
            assert!(cluster.our_bindings(&ground.namespace).await.is_empty());
        }
    }
}

/// A request that is deleted and made again under its name is another one, and nobody has approved it.
async fn made_again(cluster: Arc<Cluster>) {
    let ground = asked(&cluster, ALICE, leads(1)).await;
    ground.submit_review(BOB, "Approve").await;
    cluster.until(&ground.namespace, "fix", State::Active).await;
    ground.ok(&delete(ADMIN, ground.areq("fix"))).await;
    let again = request(&ground.namespace, "fix", json!({ "duration": "30m" }));
    ground.ok(&create(ALICE, ground.requests(), again)).await;
    until_on_record(&ground, &[Noted::Open("leads")]).await;
    let waiting = cluster.until(&ground.namespace, "fix", State::Pending).await;
    assert!(waiting.status.expect("a status").reviews.is_empty());
    cluster.until_unbound(&ground.namespace).await;
    ground.submit_review(BOB, "Approve").await;
    cluster.until(&ground.namespace, "fix", State::Active).await;
}

async fn a_stranger(cluster: Arc<Cluster>) {
    let ground = asked(&cluster, ALICE, leads(2)).await;
    ground.submit_review(MALLORY, "Deny").await;
    ground.submit_review(DAVE, "Revoke").await;
    let nobody = |by: &str| Noted::InVain(by.to_owned(), Eligibility::NotAnApprover);
    until_on_record(&ground, &[nobody("mallory"), nobody("dave")]).await;
    cluster.until(&ground.namespace, "fix", State::Pending).await;
    ground
        .ok(&merge(CAROL, ground.status(), json!({ "status": { "reviews": { "carol": { "verdict": "Deny" } } } })))
        .await;
    cluster.until(&ground.namespace, "fix", State::Denied).await;
    let ground = asked(&cluster, ALICE, leads(2)).await;
    ground.submit_review(BOB, "Revoke").await;
    cluster.until(&ground.namespace, "fix", State::Revoked).await;
}
