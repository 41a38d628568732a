//! What goes on record while people are asked.

use k8s_openapi::jiff::SignedDuration;
use serde_json::{Value, json};

use crate::api::policy::AccessPolicy;
use crate::api::reason::Reason;
use crate::api::request::{PolicyRef, ReviewVerdict, State};
use crate::core::decision::approvals::{Eligibility, Said};
use crate::core::decision::validate::validate;
use crate::core::guard::NotInForce;
use crate::core::laws::fixtures::{namespaces, noon, policy, request, review, user};
use crate::core::laws::simulator::Simulator;
use crate::core::lifecycle::happened::Happened;
use crate::core::lifecycle::plan::withdrawn;
use crate::core::policies::origin::Disbelief;
use crate::core::policies::{Entry, PolicySet};

fn asking(name: &str, approvers: &[&str], generation: i64) -> AccessPolicy {
    let approvers: Vec<Value> = approvers.iter().map(|n| json!({ "kind": "User", "name": n })).collect();
    let stages = json!([{ "name": "leads", "required": 2, "approvers": approvers }]);
    let mut policy = policy(name, json!({ "approval": { "stages": stages } }));
    policy.metadata.generation = Some(generation);
    policy
}

fn asked() -> Simulator {
    let mut simulator =
        Simulator::new(request(json!({})), vec![asking("p", &["bob", "carol"], 1)], namespaces(), noon());
    settle(&mut simulator);
    simulator
}

fn settle(simulator: &mut Simulator) {
    simulator.settle();
    assert!(simulator.breaches.is_empty(), "{:#?}", simulator.breaches);
}

fn submit_review(simulator: &mut Simulator, who: &str, verdict: ReviewVerdict) {
    simulator.request.status.get_or_insert_default().reviews.insert(who.to_owned(), review(verdict, &[]));
    simulator.version += 1;
    settle(simulator);
}

fn take_back(simulator: &mut Simulator, who: &str) {
    simulator.request.status.get_or_insert_default().reviews.remove(who);
    simulator.version += 1;
    settle(simulator);
}

/// What happened on record, and to whose review.
fn recorded(simulator: &Simulator) -> Vec<(Reason, Option<String>)> {
    let history = simulator.status().history.into_iter();
    history.map(|entry| (entry.event.known().unwrap(), entry.by)).collect()
}

fn of(reason: Reason, who: &str) -> (Reason, Option<String>) {
    (reason, Some(who.to_owned()))
}

#[test]
fn what_is_taken_back_counts_no_more_and_both_are_on_record() {
    let mut simulator = asked();
    submit_review(&mut simulator, "bob", ReviewVerdict::Approve);
    take_back(&mut simulator, "bob");
    submit_review(&mut simulator, "carol", ReviewVerdict::Approve);
    assert_eq!((simulator.state(), simulator.ours()), (State::Pending, 0));
    submit_review(&mut simulator, "bob", ReviewVerdict::Approve);
    assert_eq!((simulator.state(), simulator.ours()), (State::Active, 1));
    let said = [
        of(Reason::Reviewed, "bob"),
        of(Reason::ReviewWithdrawn, "bob"),
        of(Reason::Reviewed, "carol"),
        of(Reason::Reviewed, "bob"),
    ];
    assert_eq!(recorded(&simulator)[1..5], said);
}

#[test]
fn who_changes_their_mind_without_end_cannot_fill_the_record() {
    let mut simulator = asked();
    for _ in 0..40 {
        for who in ["bob", "mallory"] {
            submit_review(&mut simulator, who, ReviewVerdict::Approve);
            take_back(&mut simulator, who);
        }
    }
    let words = |who: &str| recorded(&simulator).iter().filter(|(_, by)| by.as_deref() == Some(who)).count();
    assert_eq!((words("bob"), words("mallory")), (32, 6));
}

/// Nothing else is noted of a running grant: what people said before it was decided upon.
#[test]
fn who_would_end_running_access_and_may_not_is_on_record() {
    let mut simulator = asked();
    for who in ["bob", "carol"] {
        submit_review(&mut simulator, who, ReviewVerdict::Approve);
    }
    let before = recorded(&simulator);
    simulator.policies = vec![asking("p", &["dave", "erin"], 2)];
    settle(&mut simulator);
    assert_eq!((simulator.state(), recorded(&simulator)), (State::Active, before.clone()));
    submit_review(&mut simulator, "mallory", ReviewVerdict::Revoke);
    let ignored = of(Reason::ReviewIgnored, "mallory");
    assert_eq!((simulator.state(), recorded(&simulator)), (State::Active, [before, vec![ignored]].concat()));
    let review = review(ReviewVerdict::Revoke, &[]);
    let said = Said { who: "mallory", review: &review, eligibility: Eligibility::NotAnApprover };
    assert_eq!(simulator.status().history.last().unwrap().message, said.to_string());
    submit_review(&mut simulator, "bob", ReviewVerdict::Revoke);
    assert_eq!(simulator.state(), State::Active, "bob approved it, and the policy does not name him any more");
    submit_review(&mut simulator, "dave", ReviewVerdict::Revoke);
    assert_eq!(simulator.state(), State::Revoked);
}

/// A simulator in which bob and carol have approved.
fn approved() -> Simulator {
    let mut simulator = asked();
    for who in ["bob", "carol"] {
        submit_review(&mut simulator, who, ReviewVerdict::Approve);
    }
    assert_eq!(simulator.state(), State::Active);
    simulator
}

/// Whether the Revoke of somebody ends access.
fn ends(simulator: &Simulator, policies: &PolicySet, who: &str) -> bool {
    let mut simulator = simulator.clone();
    simulator.request.status.as_mut().unwrap().reviews.insert(who.to_owned(), review(ReviewVerdict::Revoke, &[]));
    let ask = validate(&simulator.request).unwrap();
    withdrawn(&simulator.snapshot(policies, &[]), &simulator.status(), &ask).is_some()
}

#[test]
fn a_policy_that_is_not_believed_gives_nobody_the_right_to_end_access_and_takes_it_from_nobody() {
    let (simulator, edited) = (approved(), asking("p", &["mallory", "dave"], 2));
    let set = |doubt: Option<Disbelief>| PolicySet::default().renewed([&edited], |_| doubt.clone());
    let gap = Disbelief::GuardMissing(NotInForce::Untried);
    for (who, when_believed, when_doubted) in
        [("bob", false, true), ("mallory", true, false), ("alice", true, true), ("eve", false, false)]
    {
        assert_eq!(ends(&simulator, &set(None), who), when_believed, "{who}");
        assert_eq!(ends(&simulator, &set(Some(gap.clone())), who), when_doubted, "{who}, in doubt");
    }
}

#[test]
fn a_policy_with_a_slip_says_who_may_end_access() {
    let mut edited = asking("p", &["carol", "dave"], 2);
    let slip = json!([{ "expression": "request.reson == ''", "message": "m" }]);
    edited.spec.conditions = serde_json::from_value(slip).unwrap();
    let (mut simulator, set) = (approved(), PolicySet::new([&edited]));
    assert!(matches!(set.get("p"), Some(Entry::Faulty(_))));
    for (who, may) in [("bob", false), ("carol", true), ("dave", true), ("alice", true)] {
        assert_eq!(ends(&simulator, &set, who), may, "{who}");
    }
    simulator.policies = vec![edited];
    settle(&mut simulator);
    assert_eq!(simulator.state(), State::Active);
    submit_review(&mut simulator, "dave", ReviewVerdict::Revoke);
    assert_eq!((simulator.state(), simulator.ours()), (State::Revoked, 0));
}

#[test]
fn who_may_end_access_is_on_record_while_it_lasts() {
    let mut simulator = asked();
    let users = |names: &[&str]| Some(names.iter().map(|name| user(name)).collect::<Vec<_>>());
    assert_eq!(simulator.status().may_revoke, None, "it is not approved yet");
    for who in ["bob", "carol"] {
        submit_review(&mut simulator, who, ReviewVerdict::Approve);
    }
    assert_eq!(simulator.status().may_revoke, users(&["bob", "carol"]));
    simulator.policies = vec![asking("p", &["carol", "dave"], 2)];
    settle(&mut simulator);
    assert_eq!(simulator.status().may_revoke, users(&["carol", "dave"]));
    submit_review(&mut simulator, "dave", ReviewVerdict::Revoke);
    assert_eq!((simulator.state(), simulator.status().may_revoke), (State::Revoked, None));

    let mut alone = Simulator::new(request(json!({})), vec![policy("p", json!({}))], namespaces(), noon());
    settle(&mut alone);
    assert_eq!(alone.status().may_revoke, users(&[]), "nobody but the requester");
    alone.request.status.as_mut().unwrap().may_revoke = None;
    settle(&mut alone);
    assert_eq!(alone.status().may_revoke, None, "as an earlier version left it");
    let many = |count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("user-{n}")).collect();
        let stages: Vec<Value> = names
            .chunks(64)
            .enumerate()
            .map(|(n, names)| {
                let approvers: Vec<Value> = names.iter().map(|name| json!({ "kind": "User", "name": name })).collect();
                json!({ "name": format!("s{n}"), "approvers": approvers })
            })
            .collect();
        let spec = json!({ "approval": { "automaticWhen": "true", "stages": stages } });
        let mut simulator = Simulator::new(request(json!({})), vec![policy("p", spec)], namespaces(), noon());
        settle(&mut simulator);
        assert_eq!(simulator.state(), State::Active);
        simulator.status().may_revoke.map(|who| who.len())
    };
    assert_eq!((many(256), many(257)), (Some(256), None));
}

/// What is on record of changes of the policy that decides.
fn policy_changes(simulator: &Simulator) -> Vec<String> {
    let history = simulator.status().history.into_iter();
    history.filter(|entry| entry.event == Reason::PolicyChanged).map(|entry| entry.message).collect()
}

/// That policy `p` of generation 1 decides no more, but this one.
fn change((name, uid, generation): (&str, &str, i64)) -> String {
    let policy =
        |name: &str, uid: &str, generation| PolicyRef { name: name.to_owned(), uid: uid.to_owned(), generation };
    Happened::PolicyChanged { old: policy("p", "p-p", 1), new: policy(name, uid, generation) }.to_string()
}

#[test]
fn when_the_policy_changes_the_new_one_decides_and_that_is_on_record() {
    let again = |policies: Vec<AccessPolicy>| {
        let mut simulator = asked();
        submit_review(&mut simulator, "bob", ReviewVerdict::Approve);
        simulator.policies = policies;
        settle(&mut simulator);
        submit_review(&mut simulator, "carol", ReviewVerdict::Approve);
        simulator
    };
    let changed = again(vec![asking("p", &["bob", "carol"], 2)]);
    assert_eq!((changed.state(), policy_changes(&changed)), (State::Active, [change(("p", "p-p", 2))].into()));

    // bob has no say any more, so dave is still to come.
    let narrowed = again(vec![asking("p", &["carol", "dave"], 2)]);
    assert_eq!((narrowed.state(), narrowed.ours()), (State::Pending, 0));
    assert!(recorded(&narrowed).contains(&of(Reason::ReviewIgnored, "bob")));

    let renamed = again(vec![asking("q", &["bob", "carol"], 1)]);
    assert_eq!(policy_changes(&renamed), [change(("q", "p-q", 1))]);
    let mut anew = asking("p", &["bob", "carol"], 1);
    anew.metadata.uid = Some("another".to_owned());
    assert_eq!(policy_changes(&again(vec![anew])), [change(("p", "another", 1))]);
    let same = again(vec![asking("p", &["bob", "carol"], 1)]);
    assert_eq!(policy_changes(&same), Vec::<String>::new());
}

/// A stage with hours asks when an approval came: not when it was looked at last.
#[test]
fn an_approval_counts_since_it_first_did() {
    let mut simulator = asked();
    submit_review(&mut simulator, "bob", ReviewVerdict::Approve);
    let first = simulator.status().counted_reviews;
    assert_eq!(first.iter().map(|counted| counted.counted_at.0).collect::<Vec<_>>(), [noon()]);
    simulator.now += SignedDuration::from_mins(5);
    submit_review(&mut simulator, "eve", ReviewVerdict::Approve);
    assert_eq!(simulator.status().counted_reviews, first);
}
