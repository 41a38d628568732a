//! Stories of single requests, told step by step. What holds in every story is in `laws`.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::api::conditions::ConditionStatus;
use crate::api::policy::AccessPolicy;
use crate::api::request::{HistoryEntry, NarrowRule, ReviewVerdict};
use crate::api::subject::{RoleKind, RoleName};
use crate::core::decision::answer::AllowedBy;
use crate::core::decision::approvals::{Eligibility, Said};
use crate::core::decision::shortfall::Shortfall;
use crate::core::guard::{Guard, NotInForce, Unguarded};
use crate::core::laws::fixtures::{deny, falls_short, message_of, namespaces, noon, policy, request, review, user};
use crate::core::laws::simulator::{Simulator, cannot_bind};
use crate::core::lifecycle::drift::GrantLoss;
use crate::core::lifecycle::end::ASK_ANEW;
use crate::core::lifecycle::granted::NoLonger;
use crate::core::lifecycle::happened::{Asking, StageWait};
use crate::core::lifecycle::step::Write;
use crate::core::model::history::ORDINARY_ENTRIES;
use crate::core::model::own_clock::WrongClock;
use crate::core::policies::PolicySet;
use crate::core::policies::origin::Disbelief;
use crate::core::policies::usable::{ListedRole, Sought, Unusable};
use crate::core::rbac::role::{Lack, RoleSeen};
use crate::core::rbac::rules::Uncovered;

const BOTH: &str = r#"{ "scope": { "namespaces": ["bank", "shop"] } }"#;

fn simulator(spec: Value, policies: Vec<AccessPolicy>) -> Simulator {
    Simulator::new(request(spec), policies, namespaces(), noon())
}

/// A live grant in `bank` and `shop`.
fn granted_in_both() -> Simulator {
    let both: Value = serde_json::from_str(BOTH).unwrap();
    let mut simulator = simulator(both, vec![policy("base", json!({ "scope": { "namespaces": ["*"] } }))]);
    simulator.settle();
    assert_eq!((simulator.state(), simulator.ours()), (State::Active, 2));
    simulator
}

fn asking_bob(spec: Value) -> AccessPolicy {
    let mut policy = policy("ask-bob", spec);
    let stages =
        json!({ "deadline": "2h", "stages": [{ "name": "leads", "approvers": [{ "kind": "User", "name": "bob" }] }] });
    policy.spec.approval = Some(serde_json::from_value(stages).unwrap());
    policy
}

fn submit_review(simulator: &mut Simulator, who: &str, verdict: ReviewVerdict, comment: Option<&str>) {
    let mut answer = review(verdict, &[]);
    answer.comment = comment.map(str::to_owned);
    simulator.request.status.get_or_insert_default().reviews.insert(who.to_owned(), answer);
    simulator.version += 1;
}

fn at(time: &str) -> Timestamp {
    format!("2026-11-23T{time}Z").parse().unwrap()
}

fn go_to(simulator: &mut Simulator, time: &str) {
    simulator.now = at(time);
    simulator.settle();
    assert!(simulator.breaches.is_empty(), "{:#?}", simulator.breaches);
}

/// That somebody deleted this one of its bindings.
fn deleted(simulator: &Simulator, index: usize) -> String {
    GrantLoss::Deleted(simulator.status().bindings[index].clone()).to_string()
}

/// Without what every request says that is over.
fn message(simulator: &Simulator) -> String {
    message_of(simulator.status().message)
}

/// That the stage of [`asking_bob`] waits for one of these.
fn waits_for(people: &[&str]) -> StageWait {
    StageWait {
        policy: "ask-bob".to_owned(),
        stage: "leads".to_owned(),
        missing: 1,
        approvers: people.iter().copied().map(user).collect(),
        hours: None,
        holds: Vec::new(),
    }
}

fn events(simulator: &Simulator) -> Vec<String> {
    simulator.status().history.iter().map(|entry| entry.event.as_str().to_owned()).collect()
}

#[test]
fn a_request_that_is_over_says_what_to_do_however_long_its_reasons_are() {
    use Ending::{Denied, Expired, Extended, Failed, Lapsed, Revoked};
    let simulator = simulator(json!({}), Vec::new());
    let set = PolicySet::default();
    for (ending, tells) in
        [(Denied, true), (Lapsed, true), (Expired, true), (Revoked, true), (Failed, true), (Extended, false)]
    {
        for why in ["because".to_owned(), "x".repeat(5000)] {
            let step =
                finish(&simulator.snapshot(&set, &[]), AccessRequestStatus::default(), ending, None, &why, noon());
            let status = step.record.unwrap();
            let message = status.message.unwrap();
            assert_eq!(message.ends_with(ASK_ANEW), tells, "{ending:?}: {message}");
            assert!(message.starts_with(&why[..5]) && message.len() <= 4096, "{}", message.len());
            let finished = conditions::find(&status.conditions, conditions::FINISHED).unwrap();
            assert!(!finished.message.contains(ASK_ANEW), "the reason alone");
        }
    }
}

/// From its first record to its last, in whichever state: the role alone would say too much.
#[test]
fn what_a_request_was_narrowed_to_stands_beside_its_role() {
    let rule = json!({ "verbs": ["delete"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["web-0"] });
    for policies in [Vec::new(), vec![policy("base", json!({}))], vec![asking_bob(json!({}))]] {
        let narrowed = |rules: Value| {
            let mut simulator = simulator(json!({ "rules": rules }), policies.clone());
            simulator.role = Some(RoleSeen::with_every_right());
            simulator.settle();
            (simulator.state(), simulator.status().narrowed_to)
        };
        let (state, only) = narrowed(json!([rule]));
        let rules: Vec<NarrowRule> = serde_json::from_value(json!([rule])).unwrap();
        assert_eq!(only, Some(describe(&rules)), "{state:?}");
        assert_eq!(narrowed(json!([])).1, None);
        let long = vec![json!({ "verbs": ["get"], "apiGroups": [""], "resources": ["p".repeat(200)] }); 4];
        assert!(narrowed(json!(long)).1.is_some_and(|only| only.len() <= 256));
    }
}

#[test]
fn from_request_to_end_takes_five_writes() {
    let mut simulator = simulator(json!({}), vec![policy("base", json!({}))]);
    let mut writes = Vec::new();
    for now in [noon(), noon() + SignedDuration::from_hours(1)] {
        simulator.now = now;
        for _ in 0..4 {
            let step = simulator.plan();
            if !simulator.step(usize::MAX) {
                break;
            }
            writes.extend(step.writes().map(|write| match write {
                Write::Record(status) => format!("record {}", status.state.as_str()),
                Write::Bind(_) => "bind".to_owned(),
                Write::Unbind(_) => "unbind".to_owned(),
                Write::Restore(_) => "restore".to_owned(),
            }));
        }
    }
    assert_eq!(writes, ["record Scheduled", "bind", "record Active", "unbind", "record Expired"]);
    assert_eq!(events(&simulator), ["Granted", "Expired"]);
}

#[test]
fn how_much_harm_a_role_can_do_is_on_record_before_anybody_decides() {
    let mut simulator = simulator(json!({}), vec![asking_bob(json!({}))]);
    simulator.risk =
        Some(crate::api::request::RoleRisk { level: "High".into(), reasons: vec!["High: it is".to_owned()] });
    simulator.settle();
    assert_eq!((simulator.state(), simulator.status().risk), (State::Pending, simulator.risk.clone()));
}

/// Nobody is asked for what the role does not have, and without a look at the role nothing of it is given.
#[test]
fn what_the_role_does_not_have_is_denied_before_anybody_is_asked() {
    let rule = json!({ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] });
    let role = json!({ "metadata": { "name": "edit" }, "rules": [rule] });
    let role = RoleSeen::OfCluster(Some(std::sync::Arc::new(serde_json::from_value(role).unwrap())));
    let text = str::to_owned;
    let (verbs, group, resource) = (vec![text("delete")], String::new(), text("pods"));
    let deletes = Uncovered::Resource { verbs, group, resource, name: None };
    let lacks = |lack| Some(Hindrance::Lacks(vec![lack]).to_string());
    let edit = RoleName { kind: RoleKind::ClusterRole, name: text("edit") };
    let nowhere = ListedRole { index: 0, why: Unusable::Missing { role: edit, sought: Sought::Cluster } };
    let nowhere = falls_short("ask-bob", [Shortfall::RoleUnusable(nowhere)]);
    for (verb, role, denied) in [
        ("delete", Some(role.clone()), lacks(Lack::Right { what: deletes, namespace: None })),
        ("get", Some(RoleSeen::OfCluster(None)), Some(join(&nowhere))),
        ("get", None, lacks(Lack::Unread)),
        ("get", Some(role), None),
    ] {
        let rules = json!([{ "verbs": [verb], "apiGroups": [""], "resources": ["pods"] }]);
        let mut simulator = simulator(json!({ "rules": rules }), vec![asking_bob(json!({}))]);
        simulator.role = role;
        simulator.settle();
        assert_eq!(simulator.state(), if denied.is_some() { State::Denied } else { State::Pending }, "{denied:?}");
        assert!(denied.is_none_or(|why| why == message(&simulator)), "{}", message(&simulator));
    }
}

/// What the process that died while it made a role left behind: the controller holds nothing longer than it takes.
#[test]
fn a_loan_that_was_left_behind_is_given_back_first() {
    let rule = json!({ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] });
    let mut simulator = simulator(json!({ "rules": [rule] }), vec![policy("base", json!({}))]);
    simulator.role = Some(RoleSeen::with_every_right());
    simulator.settle();
    assert_eq!((simulator.state(), simulator.ours()), (State::Active, 1));
    let status = simulator.status();
    let wanted = crate::core::rbac::binding::wanted(&simulator.request, &status, &status.bindings[0]);
    let within = wanted.made_role.clone().unwrap().within;
    let self_binding =
        crate::core::rbac::binding::self_binding(&wanted, &within, "system:serviceaccount:daypass-system:daypass");
    let mut self_binding = crate::core::rbac::binding::Observed::from(&self_binding.role_binding());
    self_binding.metadata.uid = Some("loan-1".to_owned());
    assert_eq!(self_binding.role.name, "edit");
    simulator.bindings.push(crate::core::laws::simulator::ClusterBinding { object: self_binding.clone(), ours: false });
    let step = simulator.plan();
    assert_eq!((step.unbind, step.record), (vec![self_binding.reference()], None));
    simulator.settle();
    assert_eq!((simulator.state(), simulator.bindings.len()), (State::Active, 1));
}

/// The window that is on record was cut to the policy's of that time.
#[test]
fn a_policy_that_closes_earlier_ends_the_window_that_is_open() {
    let window = |start: &str, end: &str| json!({ "timeZone": "UTC", "windows": [{ "days": ["Mon"], "start": start, "end": end }] });
    let base = |end: &str| {
        policy(
            "base",
            json!({ "recurrence": { "weeks": 1 }, "duration": { "max": "4h" }, "schedule": window("11:00", end) }),
        )
    };
    let mut recurrence = window("11:30", "13:30");
    recurrence["weeks"] = json!(1);
    let mut simulator = simulator(json!({ "recurrence": recurrence }), vec![base("14:00")]);
    simulator.settle();
    assert_eq!((simulator.state(), simulator.plan().wake), (State::Active, Some(at("13:30:00"))));
    simulator.policies = vec![base("13:00")];
    simulator.settle();
    assert_eq!((simulator.state(), simulator.plan().wake), (State::Active, Some(at("13:00:00"))));
    go_to(&mut simulator, "13:00:00");
    assert_eq!((simulator.state(), simulator.ours()), (State::Suspended, 0));
}

#[test]
fn a_grant_begins_in_whole_seconds_and_is_never_longer_than_asked_for() {
    let mut simulator = simulator(json!({ "duration": "10m" }), vec![policy("base", json!({}))]);
    go_to(&mut simulator, "12:00:07.999999999");
    assert_eq!(simulator.end(), Some(at("12:10:07")));
    go_to(&mut simulator, "12:10:06.999999999");
    assert_eq!(simulator.state(), State::Active);
    go_to(&mut simulator, "12:10:07");
    assert_eq!((simulator.state(), simulator.ours()), (State::Expired, 0));
}

#[test]
fn approved_ahead_of_its_start_it_waits_and_its_end_is_settled() {
    let spec = json!({ "startTime": at("13:00:00").to_string(), "duration": "30m" });
    let mut simulator = simulator(spec, vec![policy("base", json!({}))]);
    simulator.settle();
    assert_eq!((simulator.state(), simulator.ours()), (State::Scheduled, 0));
    assert_eq!((simulator.end(), simulator.plan().wake), (Some(at("13:30:00")), Some(at("13:00:00"))));
    go_to(&mut simulator, "12:59:59.9");
    assert_eq!(simulator.ours(), 0);
    go_to(&mut simulator, "13:00:00");
    assert_eq!((simulator.state(), simulator.ours(), simulator.end()), (State::Active, 1, Some(at("13:30:00"))));
}

#[test]
fn a_policy_s_new_default_does_not_move_an_end_that_is_settled() {
    let spec = json!({ "startTime": at("13:00:00").to_string() });
    let mut simulator = simulator(spec, vec![policy("base", json!({ "duration": { "max": "4h", "default": "20m" } }))]);
    simulator.settle();
    simulator.policies = vec![policy("base", json!({ "duration": { "max": "4h", "default": "3h" } }))];
    go_to(&mut simulator, "13:05:00");
    assert_eq!((simulator.state(), simulator.end()), (State::Active, Some(at("13:20:00"))));
}

#[test]
fn granted_late_it_ends_when_it_would_have_ended_anyway() {
    let spec = json!({ "startTime": at("12:10:00").to_string(), "duration": "1h" });
    let mut simulator = simulator(spec, vec![asking_bob(json!({}))]);
    go_to(&mut simulator, "12:50:00");
    assert_eq!((simulator.state(), simulator.plan().wake), (State::Pending, Some(at("13:10:00"))));
    submit_review(&mut simulator, "bob", ReviewVerdict::Approve, None);
    go_to(&mut simulator, "13:09:59");
    assert_eq!((simulator.state(), simulator.end()), (State::Active, Some(at("13:10:00"))));
}

#[test]
fn a_window_that_has_passed_lapses_even_when_it_is_approved() {
    let spec = json!({ "startTime": at("12:10:00").to_string(), "duration": "1h" });
    let mut simulator = simulator(spec, vec![asking_bob(json!({}))]);
    simulator.settle();
    submit_review(&mut simulator, "bob", ReviewVerdict::Approve, None);
    go_to(&mut simulator, "13:10:00");
    assert_eq!((simulator.state(), simulator.binds), (State::Lapsed, 0));
}

#[test]
fn a_scheduled_request_is_decided_again_when_its_time_comes() {
    let spec = json!({ "startTime": at("13:00:00").to_string() });
    let changes: [(&str, Vec<AccessPolicy>, State); 4] = [
        ("deleted", vec![], State::Denied),
        ("denied", vec![policy("base", json!({})), deny("no", json!({}))], State::Denied),
        ("shortened", vec![policy("base", json!({ "duration": { "max": "30m" } }))], State::Denied),
        ("asks people now", vec![asking_bob(json!({}))], State::Pending),
    ];
    for (what, policies, state) in changes {
        let mut simulator = simulator(spec.clone(), vec![policy("base", json!({}))]);
        simulator.settle();
        assert_eq!(simulator.state(), State::Scheduled);
        simulator.policies = policies;
        go_to(&mut simulator, "13:00:00");
        assert_eq!((simulator.state(), simulator.binds), (state, 0), "{what}");
    }
}

#[test]
fn nobody_answers_in_time_and_it_lapses() {
    let mut simulator = simulator(json!({}), vec![asking_bob(json!({}))]);
    simulator.settle();
    assert_eq!(message(&simulator), Asking::Waits(waits_for(&["bob"])).to_string());
    assert_eq!(simulator.plan().wake, Some(at("14:00:00")));
    go_to(&mut simulator, "13:59:59");
    assert_eq!(simulator.state(), State::Pending);
    go_to(&mut simulator, "14:00:00");
    assert_eq!(simulator.state(), State::Lapsed);
    submit_review(&mut simulator, "bob", ReviewVerdict::Approve, None);
    go_to(&mut simulator, "14:00:01");
    assert_eq!((simulator.state(), simulator.binds), (State::Lapsed, 0));
}

#[test]
fn an_approver_ends_a_live_grant_and_is_named_in_the_record() {
    let mut simulator = simulator(json!({}), vec![asking_bob(json!({}))]);
    submit_review(&mut simulator, "bob", ReviewVerdict::Approve, None);
    simulator.settle();
    assert_eq!(simulator.state(), State::Active);
    submit_review(&mut simulator, "mallory", ReviewVerdict::Revoke, None);
    simulator.settle();
    assert_eq!(simulator.state(), State::Active, "mallory has no say");
    submit_review(&mut simulator, "bob", ReviewVerdict::Revoke, Some("incident is over"));
    simulator.settle();
    let last = simulator.status().history.pop().unwrap();
    assert_eq!((last.event.as_str(), last.by.as_deref()), ("Revoked", Some("bob")));
    let comment = Some("incident is over".to_owned());
    assert_eq!(last.message, Happened::EndedBy { by: "bob".to_owned(), comment }.to_string());
    assert_eq!(simulator.ours(), 0);
}

#[test]
fn one_namespace_that_is_gone_does_not_cost_the_others() {
    let mut simulator = granted_in_both();
    simulator.namespaces.remove("bank");
    simulator.bindings.retain(|b| b.object.metadata.namespace.as_deref() != Some("bank"));
    simulator.settle();
    assert_eq!((simulator.state(), simulator.ours()), (State::Active, 1));
    simulator.namespaces.clear();
    simulator.bindings.clear();
    simulator.settle();
    assert_eq!(message(&simulator), GrantLoss::Namespaces.to_string());
}

#[test]
fn one_namespace_that_goes_away_halfway_does_not_block_the_others() {
    let both: Value = serde_json::from_str(BOTH).unwrap();
    let mut simulator = simulator(both, vec![policy("base", json!({ "scope": { "namespaces": ["*"] } }))]);
    simulator.step(usize::MAX);
    simulator.namespaces.get_mut("bank").unwrap().terminating = true;
    simulator.settle();
    assert_eq!((simulator.state(), simulator.ours()), (State::Active, 1));
}

#[test]
fn a_role_that_cannot_be_bound_fails_the_request_and_says_why() {
    let mut simulator = simulator(json!({}), vec![policy("base", json!({}))]);
    simulator.refuses = true;
    simulator.settle();
    assert_eq!((simulator.state(), message(&simulator)), (State::Failed, cannot_bind().to_string()));
    assert_eq!(events(&simulator), ["Failed"]);
}

#[test]
fn a_stranger_in_one_namespace_takes_back_what_was_bound_in_the_other() {
    let both: Value = serde_json::from_str(BOTH).unwrap();
    let mut simulator = simulator(both, vec![policy("base", json!({ "scope": { "namespaces": ["*"] } }))]);
    simulator.step(usize::MAX);
    simulator.step(1);
    assert_eq!(simulator.ours(), 1);
    let mut stranger = simulator.bindings[0].clone();
    stranger.ours = false;
    stranger.object.metadata.namespace = Some("shop".to_owned());
    stranger.object.metadata.labels = None;
    simulator.bindings.push(stranger);
    simulator.settle();
    assert_eq!((simulator.state(), simulator.ours(), simulator.bindings.len()), (State::Failed, 0, 1));
    let blocked = simulator.status().bindings.into_iter().find(|binding| binding.namespace.as_deref() == Some("shop"));
    assert_eq!(message(&simulator), Happened::Blocked(blocked.unwrap()).to_string());
}

#[test]
fn a_binding_of_another_role_is_not_adopted_whatever_marks_it_carries() {
    let mut simulator = simulator(json!({}), vec![policy("base", json!({}))]);
    simulator.step(usize::MAX);
    simulator.step(usize::MAX);
    simulator.bindings[0].object.role.name = "cluster-admin".to_owned();
    simulator.settle();
    assert_eq!((simulator.state(), simulator.bindings.len()), (State::Failed, 0));
}

#[test]
fn a_binding_is_put_back_for_ever_but_the_record_of_it_has_an_end() {
    let mut simulator = granted_in_both();
    let before = simulator.status().history.len();
    for _ in 0..ORDINARY_ENTRIES + 5 {
        simulator.bindings[0].object.subjects.clear();
        simulator.bindings[0].touch();
        simulator.settle();
        assert_eq!(simulator.bindings[0].object.subjects[0].name, "alice");
    }
    let status = simulator.status();
    let dropped = i64::try_from(before + 5).unwrap();
    assert_eq!((status.history.len(), status.history_dropped), (ORDINARY_ENTRIES + 1, Some(dropped)));
    assert_eq!(events(&simulator).last().map(String::as_str), Some("HistoryFull"));
    go_to(&mut simulator, "13:00:00");
    assert_eq!(events(&simulator).last().map(String::as_str), Some("Expired"));
}

/// Its namespace can be gone and back before anybody looks.
#[test]
fn a_namespace_that_was_made_anew_is_not_the_one_that_was_granted() {
    let with_uid = |simulator: &mut Simulator, name: &str, uid: &str| {
        simulator.namespaces.get_mut(name).unwrap().uid = Some(uid.to_owned());
    };
    let granted = |places: serde_json::Value| {
        let spec = json!({ "scope": { "namespaces": places } });
        let mut simulator = simulator(spec, vec![policy("base", json!({ "scope": { "namespaces": ["*"] } }))]);
        with_uid(&mut simulator, "bank", "n-1");
        with_uid(&mut simulator, "shop", "n-2");
        simulator.settle();
        assert_eq!(simulator.state(), State::Active);
        simulator
    };
    let remake = |simulator: &mut Simulator| {
        with_uid(simulator, "shop", "n-3");
        simulator.bindings.retain(|standing| standing.object.metadata.namespace.as_deref() != Some("shop"));
        simulator.settle();
    };
    let mut alone = granted(json!(["shop"]));
    remake(&mut alone);
    let why = GrantLoss::NamespaceRemade("shop".to_owned()).to_string();
    assert_eq!((alone.state(), alone.ours(), message(&alone)), (State::Revoked, 0, why));
    // In the other one access goes on, as after a namespace that is gone.
    let mut both = granted(json!(["bank", "shop"]));
    remake(&mut both);
    assert_eq!((both.state(), both.ours()), (State::Active, 1));
    assert!(both.breaches.is_empty() && alone.breaches.is_empty());
    // What a version without these UIDs stored.
    let mut former = granted(json!(["shop"]));
    former.request.status.as_mut().unwrap().namespace_uids.clear();
    remake(&mut former);
    assert_eq!((former.state(), message(&former)), (State::Revoked, deleted(&former, 0)));
}

#[test]
fn a_policy_that_comes_and_goes_does_not_use_up_the_record() {
    let spec = json!({ "startTime": at("13:00:00").to_string() });
    let mut simulator = simulator(spec, vec![policy("base", json!({}))]);
    for _ in 0..300 {
        simulator.policies.truncate(1);
        simulator.settle();
        simulator.policies.push(deny("no", json!({ "duration": { "max": "soon" } })));
        simulator.settle();
    }
    simulator.policies.truncate(1);
    for (time, event) in [("13:00:00", "Granted"), ("14:00:00", "Expired")] {
        go_to(&mut simulator, time);
        assert_eq!(events(&simulator).last().map(String::as_str), Some(event));
    }
}

#[test]
fn a_request_that_lingers_while_it_is_deleted_ends_on_record() {
    let mut simulator = granted_in_both();
    simulator.request.metadata.deletion_timestamp = Some(Time(simulator.now));
    simulator.settle();
    assert_eq!((simulator.state(), simulator.ours()), (State::Revoked, 0));
    assert_eq!(message(&simulator), Happened::Deleted.to_string());
}

#[test]
fn a_request_that_is_deleted_before_it_is_decided_is_left_alone() {
    let mut simulator = simulator(json!({}), vec![policy("base", json!({}))]);
    simulator.request.metadata.deletion_timestamp = Some(Time(simulator.now));
    assert_eq!(simulator.plan(), Step::default());
}

#[test]
fn a_grant_without_an_end_on_record_is_ended() {
    let mut simulator = granted_in_both();
    simulator.request.status.get_or_insert_default().expires_at = None;
    simulator.settle();
    assert_eq!((simulator.state(), simulator.ours()), (State::Revoked, 0));
}

#[test]
fn the_longest_list_of_approvers_fits_a_message() {
    let names: Vec<String> = (0..32).map(|i| format!("{i:0>250}")).collect();
    let approvers: Vec<Value> = names.iter().map(|n| json!({ "kind": "User", "name": n })).collect();
    let stage = |name: &str| json!({ "name": name, "required": 16, "approvers": approvers });
    let mut policy = policy("p", json!({}));
    policy.spec.approval = Some(serde_json::from_value(json!({ "stages": [stage("a"), stage("b")] })).unwrap());
    for start in [Value::Null, json!(at("13:00:00").to_string())] {
        let mut simulator = simulator(json!({ "startTime": start }), vec![policy.clone()]);
        simulator.settle();
        for name in &names {
            submit_review(&mut simulator, name, ReviewVerdict::Approve, None);
        }
        go_to(&mut simulator, "12:30:00");
        assert!(message(&simulator).ends_with('…'));
        go_to(&mut simulator, "13:00:00");
        assert_eq!(simulator.state(), State::Active);
    }
}

/// RBAC honours a binding until it is gone, so a mark of deletion is taken for the deed, and nothing may hold
/// a binding back from being deleted.
#[test]
fn a_binding_that_lingers_while_it_is_deleted_ends_the_grant() {
    let mut simulator = granted_in_both();
    simulator.bindings[0].object.metadata.deletion_timestamp = Some(Time(simulator.now));
    simulator.bindings[0].object.metadata.finalizers = Some(vec!["foregroundDeletion".to_owned()]);
    simulator.bindings[0].touch();
    simulator.settle();
    assert_eq!((simulator.state(), simulator.ours()), (State::Revoked, 0));
    let lost: Vec<String> = (0..2).map(|index| deleted(&simulator, index)).collect();
    assert!(lost.contains(&message(&simulator)), "{}", message(&simulator));
}

#[test]
fn a_finalizer_on_a_binding_is_put_back_to_none() {
    let mut simulator = granted_in_both();
    let theirs = ("example.com/seen".to_owned(), "yes".to_owned());
    simulator.bindings[0].object.metadata.labels.get_or_insert_default().extend([theirs.clone()]);
    simulator.bindings[0].object.metadata.finalizers = Some(vec!["example.com/keep".to_owned()]);
    simulator.bindings[0].touch();
    simulator.settle();
    assert_eq!((simulator.state(), simulator.ours()), (State::Active, 2));
    assert!(simulator.bindings.iter().all(|b| b.object.metadata.finalizers.is_none()));
    assert_eq!(simulator.bindings[0].object.metadata.labels.as_ref().unwrap().get(&theirs.0), Some(&theirs.1));
    assert_eq!(events(&simulator), ["Granted", "BindingRestored"]);
}

#[test]
fn nothing_new_is_granted_while_the_guard_is_missing_and_what_runs_still_ends() {
    let mut simulator = simulator(json!({}), vec![policy("base", json!({}))]);
    simulator.guard = Guard::Missing(NotInForce::Untried);
    simulator.settle();
    assert_eq!(
        (simulator.state(), simulator.ours(), message(&simulator)),
        (State::Pending, 0, NotInForce::Untried.to_string())
    );
    simulator.guard = Guard::since(noon());
    simulator.settle();
    assert_eq!((simulator.state(), simulator.ours()), (State::Active, 1));
    simulator.guard = Guard::Missing(NotInForce::Untried);
    simulator.settle();
    assert_eq!((simulator.state(), simulator.ours()), (State::Active, 1));
    go_to(&mut simulator, "13:00:00");
    assert_eq!((simulator.state(), simulator.ours()), (State::Expired, 0));
}

#[test]
fn a_grant_on_record_is_not_bound_while_the_guard_is_missing() {
    let mut simulator = simulator(json!({}), vec![policy("base", json!({}))]);
    simulator.step(usize::MAX);
    assert!(simulator.status().granted_at.is_some());
    simulator.guard = Guard::Missing(NotInForce::Untried);
    simulator.settle();
    assert_eq!((simulator.ours(), simulator.plan().wake), (0, Some(at("13:00:00"))));
    go_to(&mut simulator, "13:00:00");
    assert_eq!((simulator.state(), simulator.ours()), (State::Expired, 0));
}

#[test]
fn by_a_wrong_clock_nothing_new_is_granted_or_extended_and_what_runs_still_ends() {
    for wrong in [WrongClock::Unheard, WrongClock::Ahead, WrongClock::Behind] {
        let mut simulator = simulator(json!({}), vec![policy("base", json!({}))]);
        simulator.wrong_clock = Some(wrong);
        go_to(&mut simulator, "12:30:00");
        let status = simulator.status();
        let approved = conditions::find(&status.conditions, conditions::APPROVED).unwrap();
        assert_eq!((status.state, simulator.ours(), message(&simulator)), (State::Pending, 0, wrong.to_string()));
        assert_eq!(
            (approved.status, approved.reason.as_str()),
            (ConditionStatus::Unknown, Reason::ClockWrong.as_str())
        );
        assert!(status.history.is_empty() && status.expires_at.is_none());
        simulator.wrong_clock = None;
        go_to(&mut simulator, "12:30:01");
        assert_eq!((simulator.state(), simulator.end()), (State::Active, Some(at("13:30:01"))));
        simulator.wrong_clock = Some(wrong);
        go_to(&mut simulator, "13:00:00");
        assert_eq!((simulator.state(), simulator.ours()), (State::Active, 1));
        go_to(&mut simulator, "13:30:01");
        assert_eq!((simulator.state(), simulator.ours()), (State::Expired, 0));
    }
}

#[test]
fn a_grant_on_record_is_not_bound_by_a_wrong_clock() {
    let mut simulator = simulator(json!({}), vec![policy("base", json!({}))]);
    simulator.step(usize::MAX);
    assert!(simulator.status().granted_at.is_some());
    simulator.wrong_clock = Some(WrongClock::Ahead);
    simulator.settle();
    assert_eq!((simulator.ours(), simulator.plan().wake), (0, Some(at("13:00:00"))));
    simulator.wrong_clock = None;
    simulator.settle();
    assert_eq!((simulator.state(), simulator.ours()), (State::Active, 1));
}

#[test]
fn a_request_from_before_the_guard_is_never_granted() {
    let mut simulator = simulator(json!({}), vec![policy("base", json!({}))]);
    simulator.guard = Guard::since(noon() + SignedDuration::from_secs(1));
    simulator.settle();
    assert_eq!((simulator.state(), simulator.ours()), (State::Denied, 0));
    let gap = Unguarded { from: None, to: noon() + SignedDuration::from_secs(1) };
    assert_eq!(message(&simulator), Hindrance::MadeInGap(gap).to_string());
}

#[test]
fn a_stage_that_stays_silent_is_escalated_once_and_says_so() {
    let mut policy = asking_bob(json!({}));
    let stage = &mut policy.spec.approval.as_mut().unwrap().stages[0];
    stage.escalate_after = Some("30m".to_owned());
    stage.escalate_to = vec![crate::core::laws::fixtures::user("dave")];
    let mut simulator = simulator(json!({}), vec![policy]);
    simulator.settle();
    assert_eq!(simulator.plan().wake, Some(at("12:30:00")));
    submit_review(&mut simulator, "dave", ReviewVerdict::Approve, None);
    go_to(&mut simulator, "12:29:59");
    assert_eq!((simulator.state(), simulator.ours()), (State::Pending, 0));
    go_to(&mut simulator, "12:30:00");
    assert_eq!((simulator.state(), simulator.ours()), (State::Active, 1));
    let text = ["ApprovalNeeded", "ReviewIgnored", "Escalated", "Reviewed", "Granted"];
    assert_eq!(events(&simulator), text);
    let status = simulator.status();
    let approved = conditions::find(&status.conditions, conditions::APPROVED).unwrap();
    let allowed = AllowedBy { policy: "ask-bob".to_owned(), approvers: vec!["dave".to_owned()] };
    assert_eq!(approved.message, Happened::Allowed(allowed).to_string());
}

#[test]
fn an_escalated_stage_stays_so_when_the_next_one_opens() {
    let mut policy = asking_bob(json!({}));
    let stages = &mut policy.spec.approval.as_mut().unwrap().stages;
    stages[0].escalate_after = Some("30m".to_owned());
    stages[0].escalate_to = vec![crate::core::laws::fixtures::user("dave")];
    stages.push(crate::core::laws::fixtures::stage("second", 1, vec![crate::core::laws::fixtures::user("carol")]));
    let mut simulator = simulator(json!({}), vec![policy]);
    simulator.settle();
    go_to(&mut simulator, "12:30:00");
    assert_eq!(message(&simulator), Asking::Waits(waits_for(&["bob", "dave"])).to_string());
    submit_review(&mut simulator, "dave", ReviewVerdict::Approve, None);
    go_to(&mut simulator, "12:40:00");
    assert_eq!(simulator.status().stage.map(|s| s.name), Some("second".to_owned()));
    submit_review(&mut simulator, "carol", ReviewVerdict::Approve, None);
    go_to(&mut simulator, "12:50:00");
    assert_eq!(simulator.state(), State::Active);
}

#[test]
fn a_review_without_effect_is_put_on_record_with_the_reason_but_cannot_flood_it() {
    let mut simulator = simulator(json!({}), vec![asking_bob(json!({}))]);
    simulator.settle();
    submit_review(&mut simulator, "alice", ReviewVerdict::Approve, None);
    for n in 0..20 {
        submit_review(&mut simulator, "mallory", ReviewVerdict::Approve, Some(&format!("please {n}")));
        simulator.settle();
    }
    submit_review(&mut simulator, "system:serviceaccount:ci:bot", ReviewVerdict::Approve, None);
    simulator.settle();
    let history = simulator.status().history;
    let ignored = |who: &str| {
        let of = |e: &&HistoryEntry| e.event == Reason::ReviewIgnored && e.by.as_deref() == Some(who);
        history.iter().filter(of).collect::<Vec<_>>()
    };
    let bot = "system:serviceaccount:ci:bot";
    for (who, eligibility) in [("alice", Eligibility::OwnRequest), (bot, Eligibility::UnnamedServiceAccount)] {
        let said = Said { who, review: &review(ReviewVerdict::Approve, &[]), eligibility };
        let texts: Vec<&str> = ignored(who).into_iter().map(|entry| entry.message.as_str()).collect();
        assert_eq!(texts, [said.to_string()], "{who}");
    }
    assert_eq!(ignored("mallory").len(), 3);
    assert_eq!((simulator.state(), simulator.ours()), (State::Pending, 0));
}

#[test]
fn a_policy_that_is_doubted_ends_nothing_that_runs() {
    let simulator = granted_in_both();
    let narrower = policy("base", json!({ "scope": { "namespaces": ["shop"] }, "duration": { "max": "1m" } }));
    let changed = [narrower, deny("base", json!({})), deny("no", json!({}))];
    let ended = |policies: &[&AccessPolicy], doubt: Option<Disbelief>| {
        let set = PolicySet::default().renewed(policies.iter().copied(), |_| doubt.clone());
        let ask = validate(&simulator.request).unwrap();
        active::still_allowed(&simulator.snapshot(&set, &[]), &simulator.status(), &ask, noon()).err()
    };
    let gap = || Some(Disbelief::GuardMissing(NotInForce::Untried));
    let base = policy("base", json!({ "scope": { "namespaces": ["*"] } }));
    for policies in [vec![&changed[0]], vec![&changed[1]], vec![&base, &changed[2]]] {
        assert!(ended(&policies, None).is_some(), "{policies:?}");
        assert_eq!(ended(&policies, gap()), None);
    }
    let elsewhere = deny("base", json!({ "roles": [{ "name": "admin" }] }));
    assert_eq!(ended(&[&elsewhere], None), Some(NoLonger::PolicyDenies("base".to_owned())));
    let mut anew = base.clone();
    anew.metadata.uid = Some("another".to_owned());
    assert_eq!(ended(&[&anew], gap()), Some(NoLonger::PolicyMadeAnew("base".to_owned())));
    assert_eq!(ended(&[], gap()), Some(NoLonger::PolicyGone("base".to_owned())));
}

/// Somebody made it anew while nobody looked: by its marks it is the request's, and nobody else would take it away.
#[test]
fn at_the_end_goes_what_is_on_record_and_what_stands_in_its_place() {
    let mut simulator = granted_in_both();
    let recorded = simulator.status().bindings;
    simulator.bindings[0].object.metadata.uid = Some("another".to_owned());
    let another = simulator.bindings[0].object.reference();
    simulator.now = simulator.end().unwrap();
    let unbind = simulator.plan().unbind;
    assert_eq!((recorded.len(), unbind.len()), (2, 3));
    assert!(recorded.iter().chain([&another]).all(|binding| unbind.contains(binding)), "{unbind:?}");
}

#[test]
fn a_role_of_somebody_else_is_not_taken_for_the_one_that_was_made() {
    let rule = json!({ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] });
    let mut simulator = simulator(json!({ "rules": [rule] }), vec![policy("base", json!({}))]);
    simulator.role = Some(RoleSeen::with_every_right());
    simulator.step(1);
    simulator.step(1);
    assert_eq!(simulator.status().bindings[0].uid, None, "it is bound, and that is not on record yet");
    simulator.bindings[0].object.made_role.as_mut().unwrap().metadata.labels = None;
    simulator.settle();
    assert_eq!((simulator.state(), simulator.ours()), (State::Revoked, 0));
    let lost = GrantLoss::RoleDeleted(simulator.status().bindings[0].clone());
    assert_eq!(message(&simulator), lost.to_string());
}

/// A slip ends nothing, and what else is changed with it holds. One in a policy that denies ends what it touches.
#[test]
fn a_slip_in_an_expression_of_its_policy_ends_no_grant() {
    let slip = |expression: &str| json!([{ "expression": expression, "message": "m" }]);
    for expression in ["request.reson == ''", "risk.level == 'low'", "request.role =="] {
        let mut simulator = granted_in_both();
        simulator.policies[0].spec.conditions = serde_json::from_value(slip(expression)).unwrap();
        simulator.policies[0].metadata.generation = Some(2);
        simulator.settle();
        assert_eq!((simulator.state(), simulator.ours()), (State::Active, 2), "{expression}");
        submit_review(&mut simulator, "alice", ReviewVerdict::Revoke, None);
        simulator.settle();
        assert_eq!(
            (simulator.state(), simulator.ours()),
            (State::Revoked, 0),
            "{expression}: who may end it still may"
        );

        let mut simulator = granted_in_both();
        simulator
            .policies
            .push(deny("no", json!({ "scope": { "namespaces": ["yard"] }, "conditions": slip(expression) })));
        simulator.settle();
        assert_eq!((simulator.state(), simulator.ours()), (State::Active, 2), "{expression}: it does not touch this");
        simulator.policies[1].spec.scope.namespaces = vec!["shop".to_owned()];
        simulator.policies[1].metadata.generation = Some(2);
        simulator.settle();
        assert_eq!((simulator.state(), simulator.ours()), (State::Revoked, 0), "{expression}");
    }
    let mut simulator = granted_in_both();
    simulator.policies[0].spec.conditions = serde_json::from_value(slip("request.reson == ''")).unwrap();
    simulator.policies[0].spec.roles[0].name = "view".to_owned();
    simulator.policies[0].metadata.generation = Some(2);
    simulator.settle();
    assert_eq!(simulator.state(), State::Revoked);
    let [asked, view] = ["edit", "view"].map(|name| RoleName { kind: RoleKind::ClusterRole, name: name.to_owned() });
    let shortfalls = vec![Shortfall::Role { asked, listed: vec![view] }];
    let why = NoLonger::FallsShort { policy: "base".to_owned(), shortfalls };
    assert_eq!(message(&simulator), why.to_string());
}

#[test]
fn a_binding_that_somebody_made_anew_is_not_the_one_that_was_granted() {
    let mut simulator = granted_in_both();
    let recorded = simulator.status().bindings[1].clone();
    let standing = simulator.bindings.iter_mut().find(|standing| standing.object.is_at(&recorded)).unwrap();
    standing.object.metadata.uid = Some("another".to_owned());
    simulator.settle();
    assert_eq!((simulator.state(), message(&simulator)), (State::Revoked, GrantLoss::Replaced(recorded).to_string()));
}

#[test]
fn what_comes_back_after_a_rest_is_bound_anew() {
    let window = json!({ "days": ["Mon"], "start": "12:00", "end": "13:00" });
    let asked = request(json!({ "recurrence": { "timeZone": "UTC", "windows": [window], "weeks": 2 } }));
    let allows = policy("base", json!({ "recurrence": { "weeks": 4 } }));
    let mut simulator = Simulator::new(asked, vec![allows], namespaces(), noon());
    simulator.settle();
    assert_eq!((simulator.state(), simulator.ours()), (State::Active, 1));
    go_to(&mut simulator, "13:00:00");
    assert_eq!((simulator.state(), simulator.ours()), (State::Suspended, 0));
    assert!(simulator.status().bindings.iter().all(|binding| binding.uid.is_none()));
    simulator.now = noon() + SignedDuration::from_hours(7 * 24);
    simulator.settle();
    assert_eq!((simulator.state(), simulator.ours()), (State::Active, 1));
}
