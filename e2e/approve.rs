//! Approvers decide with kubectl alone: stages, distinct people, denial, escalation, withdrawal, deadlines.

use std::sync::Arc;

use daypass::api::reason::Reason;
use daypass::api::request::{AccessRequestStatus, HistoryEntry, OpenStage, PolicyRef};
use daypass::api::{AccessRequest, State};
use daypass::core::decision::answer::{Lapse, Refusal};
use daypass::core::decision::approvals::{Eligibility, Said};
use daypass::core::lifecycle::happened::Happened;
use daypass::core::model::field_error::FieldError;
use daypass::core::model::problem::PolicyProblem;
use futures::{StreamExt, stream};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use libtest_mimic::Trial;
use serde_json::{Value, json};

use crate::harness::cast::{self, SOON, assert_says, why_over};
use crate::harness::users::{ALICE, BOB, CAROL, DAVE, EVE, GITOPS, User};
use crate::harness::{Cluster, eventually, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("approve::each_stage_takes_another_person", each_stage_takes_another_person),
        shared("approve::a_denial_ends_it", a_denial_ends_it),
        shared("approve::what_does_not_count_is_put_on_record", what_does_not_count),
        shared("approve::who_reviews_in_vain_is_told_at_once", in_vain),
        shared("approve::a_silent_stage_is_escalated", a_silent_stage_is_escalated),
        shared("approve::nobody_answers_and_it_lapses", nobody_answers),
        shared("approve::the_requester_gives_access_back", the_requester_gives_access_back),
        shared("approve::an_approver_ends_what_was_granted", an_approver_ends_it),
        shared("approve::two_approvers_at_the_same_moment", at_the_same_moment),
        shared("approve::what_is_taken_back_counts_no_more", taken_back),
        shared("approve::when_the_policy_changes_the_new_one_decides", policy_changes),
        shared("approve::a_policy_that_nobody_can_satisfy_is_reported", an_impossible_policy),
    ]
}

/// How often two people approve at the same moment.
const PAIRS: usize = 100;
/// How many pairs do so beside each other.
const PAIRS_AT_A_TIME: usize = 4;

const APPROVERS: &str = r#"[{ "kind": "Group", "name": "approvers" }]"#;

fn stage(name: &str, over: Value) -> Value {
    let approvers: Value = serde_json::from_str(APPROVERS).unwrap();
    let mut stage = json!({ "name": name, "approvers": approvers });
    over.as_object().unwrap().iter().for_each(|(key, value)| stage[key] = value.clone());
    stage
}

/// A namespace whose policy has these stages, in which alice has asked.
async fn asked(cluster: &Cluster, stages: Value, more: Value) -> String {
    let namespace = cluster.namespace("approve").await;
    let mut approval = json!({ "stages": stages });
    more.as_object().unwrap().iter().for_each(|(key, value)| approval[key] = value.clone());
    cluster.allow(&namespace, &namespace, json!({ "approval": approval })).await;
    cluster.ask(ALICE, &namespace, "fix", json!({ "duration": "1h" })).await;
    cluster.until(&namespace, "fix", State::Pending).await;
    namespace
}

async fn submit_review(cluster: &Cluster, namespace: &str, user: User, verdict: &str, comment: &str) {
    cluster.review(user, namespace, "fix", verdict, comment).await;
}

/// Waits until this stage is open and so many approvals are missing in it. Who may give them.
async fn until_missing(cluster: &Cluster, namespace: &str, name: &str, missing: i32) -> Vec<String> {
    until_stage(cluster, namespace, |stage| stage.name == name && stage.required - stage.approved == missing).await
}

/// Waits until the stage is so that is open. Who may approve in it.
async fn until_stage(cluster: &Cluster, namespace: &str, is: impl Fn(&OpenStage) -> bool) -> Vec<String> {
    let requests = cluster.requests(namespace).await;
    eventually("the stage is open and as expected", SOON, async || {
        let status = requests.get("fix").await.map_err(|e| e.to_string())?.status.unwrap_or_default();
        let stage = status.stage.filter(&is).ok_or_else(|| format!("{:?}", status.message))?;
        Ok(stage.approvers.into_iter().map(|subject| subject.name).collect())
    })
    .await
}

/// Whose reviews counted.
fn counted(status: &AccessRequestStatus) -> Vec<&str> {
    status.counted_reviews.iter().map(|counted| counted.reviewer.as_str()).collect()
}

/// The last entry of the history that is about what somebody said.
fn last_of<'a>(status: &'a AccessRequestStatus, who: &str) -> &'a HistoryEntry {
    status.history.iter().rfind(|entry| entry.by.as_deref() == Some(who)).expect("an entry of theirs")
}

async fn each_stage_takes_another_person(cluster: Arc<Cluster>) {
    let namespace = asked(&cluster, json!([stage("first", json!({})), stage("second", json!({}))]), json!({})).await;
    submit_review(&cluster, &namespace, BOB, "Approve", "first").await;
    until_missing(&cluster, &namespace, "second", 1).await;
    // bob may approve in both stages, and counts in one.
    submit_review(&cluster, &namespace, BOB, "Approve", "second as well").await;
    until_missing(&cluster, &namespace, "second", 1).await;
    submit_review(&cluster, &namespace, CAROL, "Approve", "").await;
    let granted = cluster.until(&namespace, "fix", State::Active).await;
    assert_eq!(counted(&granted.status.unwrap()), ["bob", "carol"]);
    assert!(cluster.kubectl(ALICE).can_i("create", "pods", Some(&namespace)).await);
}

async fn a_denial_ends_it(cluster: Arc<Cluster>) {
    let namespace = asked(&cluster, json!([stage("leads", json!({ "required": 2 }))]), json!({})).await;
    submit_review(&cluster, &namespace, BOB, "Approve", "fine").await;
    submit_review(&cluster, &namespace, CAROL, "Deny", "not during the sale").await;
    let denied = cluster.until(&namespace, "fix", State::Denied).await;
    let status = denied.status.unwrap();
    let refusal = Refusal { by: "carol".to_owned(), comment: "not during the sale".to_owned() };
    assert_eq!(why_over(&status), refusal.to_string());
    assert_eq!(status.history.last().unwrap().by.as_deref(), Some("carol"));
    assert!(cluster.our_bindings(&namespace).await.is_empty());
}

async fn what_does_not_count(cluster: Arc<Cluster>) {
    let namespace = asked(&cluster, json!([stage("leads", json!({}))]), json!({})).await;
    submit_review(&cluster, &namespace, ALICE, "Approve", "it is urgent").await;
    submit_review(&cluster, &namespace, EVE, "Approve", "she is right").await;
    submit_review(&cluster, &namespace, DAVE, "Deny", "no").await;
    let waiting = cluster.until(&namespace, "fix", State::Pending).await;
    let reasons = ["ApprovalNeeded", "ReviewIgnored", "ReviewIgnored", "ReviewIgnored"];
    let events = cluster.until_events(&waiting, &reasons).await;
    assert!(events[1..].iter().all(|event| event.type_.as_deref() == Some("Warning")));
    let status = cluster.until(&namespace, "fix", State::Pending).await.status.unwrap();
    for (who, eligibility) in [("alice", Eligibility::OwnRequest), ("dave", Eligibility::NotAnApprover)] {
        let said = Said { who, review: &status.reviews[who], eligibility };
        assert_eq!(last_of(&status, who).message, said.to_string());
    }
    assert!(cluster.our_bindings(&namespace).await.is_empty());
}

async fn a_silent_stage_is_escalated(cluster: Arc<Cluster>) {
    let dave = json!([{ "kind": "User", "name": "dave" }]);
    let silent = stage("leads", json!({ "escalateAfter": "2s", "escalateTo": dave }));
    let namespace = asked(&cluster, json!([silent]), json!({})).await;
    let escalated = |stage: &OpenStage| stage.approvers.len() == 2;
    assert_eq!(until_stage(&cluster, &namespace, escalated).await, ["approvers", "dave"]);
    submit_review(&cluster, &namespace, DAVE, "Approve", "").await;
    let granted = cluster.until(&namespace, "fix", State::Active).await;
    cluster.until_events(&granted, &["ApprovalNeeded", "Escalated", "Reviewed", "Granted"]).await;
}

async fn nobody_answers(cluster: Arc<Cluster>) {
    // Long enough for a controller on a busy machine to see the request before its deadline.
    let namespace = asked(&cluster, json!([stage("leads", json!({}))]), json!({ "deadline": "8s" })).await;
    let lapsed = cluster.until(&namespace, "fix", State::Lapsed).await;
    assert_eq!(why_over(&lapsed.status.unwrap()), Lapse::Stage("leads".to_owned()).to_string());
    let patch = r#"{"status":{"reviews":{"bob":{"verdict":"Approve","comment":"too late"}}}}"#;
    let late = ["patch", "areq", "fix", "-n", &namespace, "--subresource=status", "--type=merge", "-p", patch];
    let refusal = cluster.kubectl(BOB).refused(&late).await;
    assert!(refusal.contains("the request is over (Lapsed)"), "{refusal}");
    cluster.until(&namespace, "fix", State::Lapsed).await;
    assert!(cluster.our_bindings(&namespace).await.is_empty());
}

async fn the_requester_gives_access_back(cluster: Arc<Cluster>) {
    let namespace = asked(&cluster, json!([stage("leads", json!({}))]), json!({})).await;
    submit_review(&cluster, &namespace, CAROL, "Approve", "").await;
    cluster.until(&namespace, "fix", State::Active).await;
    submit_review(&cluster, &namespace, ALICE, "Revoke", "done early").await;
    let over = cluster.until(&namespace, "fix", State::Revoked).await.status.unwrap();
    assert_eq!(over.history.last().unwrap().by.as_deref(), Some("alice"));
    assert!(!cluster.kubectl(ALICE).can_i("create", "pods", Some(&namespace)).await);
}

async fn an_approver_ends_it(cluster: Arc<Cluster>) {
    let namespace = asked(&cluster, json!([stage("leads", json!({}))]), json!({})).await;
    submit_review(&cluster, &namespace, CAROL, "Approve", "").await;
    let granted = cluster.until(&namespace, "fix", State::Active).await;
    // eve is no approver.
    submit_review(&cluster, &namespace, EVE, "Revoke", "").await;
    cluster.until_events(&granted, &["ApprovalNeeded", "Reviewed", "Granted", "ReviewIgnored"]).await;
    submit_review(&cluster, &namespace, BOB, "Revoke", "the incident is over").await;
    let over = cluster.until(&namespace, "fix", State::Revoked).await.status.unwrap();
    let ended = Happened::EndedBy { by: "bob".to_owned(), comment: Some("the incident is over".to_owned()) };
    assert_eq!(why_over(&over), ended.to_string());
    assert!(cluster.our_bindings(&namespace).await.is_empty());
}

/// Reviews are a map by username, so merge patches of two people cannot undo each other.
async fn at_the_same_moment(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("same-moment").await;
    let stages = json!({ "stages": [stage("leads", json!({ "required": 2 }))] });
    cluster.allow(&namespace, &namespace, json!({ "approval": stages })).await;
    let of = async |user| Api::<AccessRequest>::namespaced(cluster.client(user).await, &namespace);
    let (alice, bob, carol) = (of(ALICE).await, of(BOB).await, of(CAROL).await);

    let asked = stream::iter(0..PAIRS).map(|n| {
        let request = cast::request(&namespace, &format!("fix-{n}"), json!({ "duration": "1h" }));
        let request = serde_json::from_value(request).unwrap();
        let alice = &alice;
        async move { alice.create(&PostParams::default(), &request).await.expect("ask") }
    });
    asked.buffer_unordered(PAIRS_AT_A_TIME).collect::<Vec<_>>().await;
    until_all(&cluster, &namespace, State::Pending).await;

    let reviewed = stream::iter(0..PAIRS).map(|n| {
        let name = format!("fix-{n}");
        let (bob, carol) = (&bob, &carol);
        async move { tokio::join!(approve(bob, BOB, &name), approve(carol, CAROL, &name)) }
    });
    reviewed.buffer_unordered(PAIRS_AT_A_TIME).collect::<Vec<_>>().await;
    let granted = until_all(&cluster, &namespace, State::Active).await;
    each_was_granted_once(&cluster, &namespace, &granted).await;
}

async fn taken_back(cluster: Arc<Cluster>) {
    let namespace = asked(&cluster, json!([stage("leads", json!({ "required": 2 }))]), json!({})).await;
    submit_review(&cluster, &namespace, BOB, "Approve", "").await;
    until_missing(&cluster, &namespace, "leads", 1).await;
    let patch = r#"{"status":{"reviews":{"bob":null}}}"#;
    cluster
        .kubectl(BOB)
        .ok(&["patch", "areq", "fix", "-n", &namespace, "--subresource=status", "--type=merge", "-p", patch])
        .await;
    until_missing(&cluster, &namespace, "leads", 2).await;
    submit_review(&cluster, &namespace, CAROL, "Approve", "").await;
    until_missing(&cluster, &namespace, "leads", 1).await;
    assert!(cluster.our_bindings(&namespace).await.is_empty());
    submit_review(&cluster, &namespace, BOB, "Approve", "after all").await;
    let granted = cluster.until(&namespace, "fix", State::Active).await;
    let recorded = ["ApprovalNeeded", "Reviewed", "ReviewWithdrawn", "Reviewed", "Reviewed", "Granted"];
    cluster.until_events(&granted, &recorded).await;
}

/// What people said under the old policy is weighed by the new one, and the record says that it was another.
async fn policy_changes(cluster: Arc<Cluster>) {
    let namespace = asked(&cluster, json!([stage("leads", json!({ "required": 2 }))]), json!({})).await;
    submit_review(&cluster, &namespace, BOB, "Approve", "").await;
    until_missing(&cluster, &namespace, "leads", 1).await;
    let only = |name: &str| json!([{ "kind": "User", "name": name }]);
    let stages = |name| json!({ "approval": { "stages": [stage("leads", json!({ "approvers": only(name) }))] } });
    cluster.allow(&namespace, &namespace, stages("carol")).await;
    let of_carol = |stage: &OpenStage| stage.approvers.iter().all(|subject| subject.name == "carol");
    assert_eq!(until_stage(&cluster, &namespace, of_carol).await, ["carol"]);
    cluster.allow(&namespace, &namespace, stages("bob")).await;
    let granted = cluster.until(&namespace, "fix", State::Active).await.status.unwrap();
    assert_eq!(counted(&granted), ["bob"]);
    let policy = granted.policy.clone().unwrap();
    let of = |generation| PolicyRef { generation, ..policy.clone() };
    let changed = |from| Happened::PolicyChanged { old: of(from), new: of(from + 1) }.to_string();
    let recorded = |reason: Reason| granted.history.iter().filter(move |entry| entry.event == reason);
    let changes: Vec<&str> = recorded(Reason::PolicyChanged).map(|entry| entry.message.as_str()).collect();
    assert_eq!(changes, [changed(1), changed(2)]);
    let ignored: Vec<_> = recorded(Reason::ReviewIgnored).map(|entry| entry.by.as_deref()).collect();
    assert_eq!(ignored, [Some("bob")]);
}

/// The patch that kubectl sends, without the time that a process takes to start: that would set two people apart.
async fn approve(requests: &Api<AccessRequest>, user: User, name: &str) {
    let patch = Patch::Merge(json!({ "status": { "reviews": { user.name: { "verdict": "Approve" } } } }));
    let reviewed = requests.patch_status(name, &PatchParams::apply("kubectl-patch"), &patch).await;
    reviewed.unwrap_or_else(|error| panic!("{} approves {name}: {error}", user.name));
}

/// Waits until all pairs' requests are in a state, and hands them over.
async fn until_all(cluster: &Cluster, namespace: &str, state: State) -> Vec<AccessRequest> {
    let requests = cluster.requests(namespace).await;
    eventually(&format!("{PAIRS} requests are {state:?}"), SOON, async || {
        let listed = requests.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
        let there = listed.iter().filter(|request| request.status.as_ref().is_some_and(|s| s.state == state)).count();
        if there == PAIRS { Ok(listed) } else { Err(format!("{there} of {} are", listed.len())) }
    })
    .await
}

async fn each_was_granted_once(cluster: &Cluster, namespace: &str, granted: &[AccessRequest]) {
    for request in granted {
        let (name, status) = (request.name_any(), request.status.as_ref().expect("a status"));
        assert!(status.reviews.keys().eq(["bob", "carol"]), "{name}: {:?}", status.reviews);
        assert_eq!(counted(status), ["bob", "carol"], "{name}");
        let history: Vec<&str> = status.history.iter().map(|entry| entry.event.as_str()).collect();
        assert_eq!(history, ["ApprovalNeeded", "Reviewed", "Reviewed", "Granted"], "{name}");
    }
    let sorted = |names: &mut dyn Iterator<Item = String>| {
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        names
    };
    let expected = sorted(&mut granted.iter().map(|request| format!("daypass-{}", request.uid().expect("a UID"))));
    let bound = cluster.our_bindings(namespace).await;
    assert_eq!(sorted(&mut bound.iter().map(ResourceExt::name_any)), expected, "each has one binding");
    let done = done_in(cluster, namespace);
    let created = done.iter().filter(|e| e["verb"] == "create" && e["objectRef"]["resource"] == "rolebindings");
    let created = sorted(&mut created.map(|event| event["objectRef"]["name"].as_str().expect("a name").to_owned()));
    assert_eq!(created, expected, "each was bound once");
    let together = granted.iter().filter(|request| were_together(&done, &request.name_any())).count();
    assert!(together > PAIRS / 2, "only {together} of {PAIRS} pairs approved at the same moment");
}

/// What the audit log says was done in a namespace; what was refused is left out.
fn done_in(cluster: &Cluster, namespace: &str) -> Vec<Value> {
    let done = |event: &Value| event["responseStatus"]["code"].as_u64().is_some_and(|code| code < 300);
    let here = |event: &Value| event["objectRef"]["namespace"] == namespace;
    cluster.control_plane.audit_log().into_iter().filter(|event| here(event) && done(event)).collect()
}

/// Whether the API server had both approvals of a request in hand at the same time.
fn were_together(done: &[Value], name: &str) -> bool {
    let approvals = done.iter().filter(|event| {
        event["verb"] == "patch"
            && event["objectRef"]["name"] == name
            && [BOB, CAROL].iter().any(|user| event["user"]["username"] == user.name)
    });
    let time = |event: &Value, key: &str| event[key].as_str().expect("a time").to_owned();
    let times: Vec<(String, String)> =
        approvals.map(|event| (time(event, "requestReceivedTimestamp"), time(event, "stageTimestamp"))).collect();
    let [(first, first_end), (second, second_end)] = &times[..] else { panic!("{name} has {times:?}") };
    first < second_end && second < first_end
}

async fn an_impossible_policy(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("impossible").await;
    let bob = json!([{ "kind": "User", "name": "bob" }]);
    let stages = json!([stage("two-of-one", json!({ "approvers": bob, "required": 2 }))]);
    cluster.allow(&namespace, &namespace, json!({ "approval": { "stages": stages } })).await;
    let gitops = cluster.kubectl(GITOPS);
    gitops.ok(&["wait", "--for=condition=Ready=False", "apol", &namespace, "--timeout=30s"]).await;
    let ready = r#"jsonpath={.status.conditions[?(@.type=="Ready")].message}"#;
    let message = gitops.ok(&["get", "apol", &namespace, "-o", ready]).await;
    assert_says(&message, &FieldError::new("spec.approval.stages[0]", PolicyProblem::StageImpossible));
}

/// By a warning beside the answer of kubectl: what has no effect is told before anybody waits for it.
async fn in_vain(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("vain").await;
    let bob = json!([{ "kind": "User", "name": "bob" }]);
    let first = stage("first", json!({ "approvers": bob }));
    let second = stage("second", json!({}));
    let terms = json!({ "reviewers": bob, "reviewWithin": "1h" });
    cluster
        .allow(&namespace, &namespace, json!({ "approval": { "stages": [first, second] }, "breakGlass": terms }))
        .await;
    cluster.ask(ALICE, &namespace, "fix", json!({})).await;
    let waits = cluster.until_reason(&namespace, "fix", "Approved", "ApprovalNeeded").await.status.unwrap();
    assert_eq!(json!(waits.stage.unwrap().approvers), bob);
    let reviewed_by = async |who: User, name: &str, verdict: &str| {
        let patch = json!({ "status": { "reviews": { who.name: { "verdict": verdict } } } }).to_string();
        let args = ["patch", "areq", name, "-n", &namespace, "--subresource=status", "--type=merge", "-p", &patch];
        let output = cluster.kubectl(who).run(&args).await;
        assert!(output.ok, "a warning refuses nothing: {}", output.stderr);
        output.stderr
    };
    // Admission policies come into force a moment after they are made.
    eventually("alice is told that her word has no effect", SOON, async || {
        let warning = reviewed_by(ALICE, "fix", "Approve").await;
        let wanted = "your Approve has no effect: nobody reviews their own request; who may: User/bob";
        if warning.contains("Warning: ") && warning.contains(wanted) { Ok(()) } else { Err(warning) }
    })
    .await;
    let too_early = reviewed_by(CAROL, "fix", "Approve").await;
    let wanted = "your Approve does not count in stage first, which is open; who may approve now: User/bob";
    assert!(too_early.contains(wanted), "{too_early}");
    assert_eq!(reviewed_by(BOB, "fix", "Approve").await, "", "who may is told nothing");
    let runs = cluster.until(&namespace, "fix", State::Active).await.status.unwrap();
    let may_revoke = json!([{ "kind": "User", "name": "bob" }, { "kind": "Group", "name": "approvers" }]);
    assert_eq!(json!(runs.may_revoke), may_revoke);
    let warning = reviewed_by(EVE, "fix", "Revoke").await;
    let wanted = "your Revoke has no effect: who may end this access is its requester, and User/bob, Group/approvers";
    assert!(warning.contains(wanted), "{warning}");
    assert_eq!(reviewed_by(CAROL, "fix", "Revoke").await, "", "an approver may end it");
    cluster.until(&namespace, "fix", State::Revoked).await;
    let alone = format!("{namespace}-alone");
    cluster.allow(&alone, &namespace, json!({})).await;
    cluster.ask(ALICE, &namespace, "unasked", json!({ "policy": alone })).await;
    cluster.until(&namespace, "unasked", State::Active).await;
    let warning = reviewed_by(BOB, "unasked", "Revoke").await;
    assert!(warning.trim_end().ends_with("who may end this access is its requester"), "{warning}");
    assert_eq!(reviewed_by(ALICE, "unasked", "Revoke").await, "", "everybody may give back what is theirs");

    cluster.ask(ALICE, &namespace, "emergency", json!({ "breakGlass": true })).await;
    cluster.until(&namespace, "emergency", State::Active).await;
    let warning = reviewed_by(CAROL, "emergency", "Approve").await;
    assert!(warning.contains("has no effect: who may review this access is User/bob"), "{warning}");
    let warning = reviewed_by(ALICE, "emergency", "Approve").await;
    assert!(warning.contains("nobody reviews their own request"), "{warning}");
    assert_eq!(reviewed_by(BOB, "emergency", "Approve").await, "");
    assert_eq!(reviewed_by(ALICE, "emergency", "Revoke").await, "", "everybody may give back what is theirs");
}
