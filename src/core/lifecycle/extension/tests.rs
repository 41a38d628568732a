//! Stories of extensions, from the side of the request that asks for one. How the running grant takes them up is
//! in `laws`.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{NotExtendable, WhyNot};
use crate::api::conditions;
use crate::api::policy::AccessPolicy;
use crate::api::request::{AccessRequest, State};
use crate::api::subject::{RoleKind, RoleName};
use crate::core::decision::answer::AllowedBy;
use crate::core::decision::shortfall::Shortfall;
use crate::core::laws::fixtures::{approve, falls_short, message_of, namespaces, noon, policy, request};
use crate::core::laws::simulator::Simulator;
use crate::core::lifecycle::granted::NoLonger;
use crate::core::lifecycle::happened::{Happened, Next};
use crate::core::lifecycle::hindrance::Hindrance;
use crate::core::model::history::join;

fn with_stage(spec: Value) -> AccessPolicy {
    let stages = json!([{ "name": "leads", "approvers": [{ "kind": "User", "name": "bob" }] }]);
    let mut whole = json!({ "approval": { "stages": stages }, "extension": { "max": "30m", "count": 1 } });
    spec.as_object().unwrap().iter().for_each(|(key, value)| whole[key] = value.clone());
    policy("p", whole)
}

/// A grant of alice that runs from noon for an hour.
fn running() -> AccessRequest {
    let mut simulator = Simulator::new(request(json!({})), vec![with_stage(json!({}))], namespaces(), noon());
    simulator.request.status.get_or_insert_default().reviews = [approve("bob")].into();
    simulator.settle();
    assert_eq!(simulator.state(), State::Active);
    simulator.request
}

/// A request for so much more of it.
fn more(spec: Value) -> AccessRequest {
    let mut whole = json!({ "extends": "fix", "duration": "20m" });
    spec.as_object().unwrap().iter().for_each(|(key, value)| whole[key] = value.clone());
    let mut extension = request(whole);
    extension.metadata.name = Some("more".to_owned());
    extension.metadata.uid = Some("e-1".to_owned());
    extension
}

fn simulator(extension: AccessRequest, running: Option<AccessRequest>) -> Simulator {
    let mut simulator = Simulator::new(extension, vec![with_stage(json!({}))], namespaces(), noon());
    simulator.role = Some(crate::core::rbac::role::RoleSeen::with_every_right());
    simulator.extended = running;
    simulator
}

fn text(simulator: &mut Simulator) -> (State, String) {
    simulator.settle();
    assert!(simulator.breaches.is_empty(), "{:#?}", simulator.breaches);
    (simulator.state(), message_of(simulator.status().message))
}

fn allowed() -> AllowedBy {
    AllowedBy { policy: "p".to_owned(), approvers: vec!["bob".to_owned()] }
}

/// What an extension says that is approved and adds so many minutes.
fn moves(minutes: i64) -> String {
    let by = SignedDuration::from_mins(minutes);
    Happened::AllowedAnd(allowed(), Next::EndMoves { of: "fix".to_owned(), by }).to_string()
}

fn not_extendable(why: WhyNot, could: bool) -> String {
    Hindrance::NotExtendable { why: NotExtendable { of: "fix".to_owned(), why }, could }.to_string()
}

fn added(asked: i64, most: i64) -> Shortfall {
    let [asked, most] = [asked, most].map(SignedDuration::from_mins);
    Shortfall::ExtensionLength { asked, most }
}

fn at(time: &str) -> Timestamp {
    format!("2026-11-23T{time}Z").parse().unwrap()
}

#[test]
fn it_asks_the_approvers_again_and_is_done_when_the_end_has_moved() {
    let mut running = running();
    let mut asking = simulator(more(json!({})), Some(running.clone()));
    assert_eq!(text(&mut asking).0, State::Pending, "the approval of the first request is not one of this");
    assert_eq!(asking.status().extends.unwrap().uid, "r-1");
    asking.request.status.get_or_insert_default().reviews = [approve("bob")].into();
    assert_eq!(text(&mut asking), (State::Scheduled, moves(20)));
    assert_eq!((asking.ours(), asking.plan().wake), (0, Some(at("13:00:00"))));

    let mut moving = simulator(running.clone(), None);
    moving.extensions = vec![asking.request.clone()];
    moving.bindings = bindings_of(&running);
    assert_eq!(text(&mut moving).0, State::Active);
    assert_eq!(moving.end(), Some(at("13:20:00")));
    running = moving.request;
    asking.extended = Some(running);
    let done = Hindrance::Extended { of: "fix".to_owned(), from: at("13:00:00"), to: at("13:20:00") };
    assert_eq!(text(&mut asking), (State::Extended, done.to_string()));
}

fn bindings_of(running: &AccessRequest) -> Vec<crate::core::laws::simulator::ClusterBinding> {
    let mut simulator = Simulator::new(request(json!({})), vec![with_stage(json!({}))], namespaces(), noon());
    simulator.request.status.get_or_insert_default().reviews = [approve("bob")].into();
    simulator.settle();
    assert_eq!(simulator.request, *running);
    simulator.bindings
}

#[test]
fn what_cannot_be_extended_is_refused_with_the_reason() {
    let one = json!({ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["web-0"] });
    let window = json!({ "days": ["Mon"], "start": "11:00", "end": "14:00" });
    let weekly = json!({ "timeZone": "UTC", "windows": [window], "weeks": 1 });
    let changed = |change: &dyn Fn(&mut AccessRequest)| {
        let mut running = running();
        change(&mut running);
        Some(running)
    };
    let status = |change: &dyn Fn(&mut crate::api::request::AccessRequestStatus)| {
        changed(&|running| change(running.status.as_mut().unwrap()))
    };
    let bob = json!({ "username": "bob", "uid": "u-bob", "groups": ["dev"] });
    let namesake = json!({ "username": "alice", "uid": "another", "groups": ["dev"] });
    let edit = RoleName { kind: RoleKind::ClusterRole, name: "edit".to_owned() };
    let deleted = changed(&|r| r.metadata.deletion_timestamp = r.metadata.creation_timestamp.clone());
    for (extension, running, why) in [
        (json!({}), None, WhyNot::NotThere),
        (json!({}), changed(&|r| r.status = None), WhyNot::NotGranted),
        (json!({}), status(&|s| s.granted_at = None), WhyNot::NotRunning),
        (json!({}), status(&|s| s.state = State::Expired), WhyNot::Over(State::Expired)),
        (json!({}), deleted, WhyNot::Over(State::Active)),
        (json!({ "requester": bob }), changed(&|_| {}), WhyNot::OtherPerson),
        (json!({ "requester": namesake }), changed(&|_| {}), WhyNot::OtherPerson),
        (json!({ "role": { "name": "admin" } }), changed(&|_| {}), WhyNot::OtherRole(edit)),
        // Or what does little harm would ask nobody, and move the end of what does much.
        (json!({ "rules": [one] }), changed(&|_| {}), WhyNot::OtherRules),
        (
            json!({}),
            changed(&|r| r.spec.rules = vec![serde_json::from_value(one.clone()).unwrap()]),
            WhyNot::OtherRules,
        ),
        (
            json!({}),
            changed(&|r| r.spec.recurrence = Some(serde_json::from_value(weekly.clone()).unwrap())),
            WhyNot::Recurring,
        ),
        (json!({ "policy": "q" }), changed(&|_| {}), WhyNot::OtherPolicy("p".to_owned())),
        (json!({}), changed(&|r| r.spec.extends = Some("first".to_owned())), WhyNot::ExtensionItself),
    ] {
        let answer = text(&mut simulator(more(extension), running));
        assert_eq!(answer, (State::Denied, not_extendable(why, false)));
    }
}

#[test]
fn the_policy_bounds_how_long_and_how_often() {
    let spent = || {
        let mut running = running();
        let status = running.status.as_mut().unwrap();
        let (from, to) = (status.expires_at.clone().unwrap(), status.expires_at.clone().unwrap());
        let name = "before".to_owned();
        status.extensions =
            vec![crate::api::request::GrantExtension { name: name.clone(), uid: name, at: from.clone(), from, to }];
        running
    };
    for (policy, duration, running, why) in [
        (with_stage(json!({})), "31m", running(), added(31, 30)),
        (with_stage(json!({})), "20m", spent(), Shortfall::Extensions(1)),
        (with_stage(json!({ "extension": null })), "20m", running(), Shortfall::Extension),
    ] {
        let mut simulator = simulator(more(json!({ "duration": duration })), Some(running));
        simulator.policies = vec![policy];
        assert_eq!(text(&mut simulator), (State::Denied, join(&falls_short("p", [why]))));
    }
    // The maximum is that of the first grant; an extension may be longer than what is left of it.
    let mut simulator = simulator(more(json!({ "duration": "30m" })), Some(running()));
    assert_eq!(text(&mut simulator).0, State::Pending);
}

#[test]
fn without_a_duration_it_adds_the_default_but_no_more_than_may_be_added() {
    let mut extension = more(json!({}));
    extension.spec.duration = None;
    let mut asking = simulator(extension, Some(running()));
    asking.request.status.get_or_insert_default().reviews = [approve("bob")].into();
    assert_eq!(text(&mut asking), (State::Scheduled, moves(30)));
}

#[test]
fn when_the_grant_ends_first_it_lapses() {
    let mut asking = simulator(more(json!({})), Some(running()));
    assert_eq!((text(&mut asking).0, asking.plan().wake), (State::Pending, Some(at("13:00:00"))));
    asking.extended.as_mut().unwrap().status.as_mut().unwrap().state = State::Revoked;
    assert_eq!(text(&mut asking), (State::Lapsed, not_extendable(WhyNot::Over(State::Revoked), true)));
    let mut late = simulator(more(json!({})), Some(running()));
    text(&mut late);
    late.now = noon() + SignedDuration::from_hours(1);
    assert_eq!(text(&mut late).0, State::Lapsed);
}

/// Approvers saw which grant it was for.
#[test]
fn an_approval_does_not_carry_over_to_another_grant_of_the_same_name() {
    let mut asking = simulator(more(json!({})), Some(running()));
    text(&mut asking);
    asking.extended.as_mut().unwrap().metadata.uid = Some("r-2".to_owned());
    asking.request.status.get_or_insert_default().reviews = [approve("bob")].into();
    assert_eq!(text(&mut asking), (State::Lapsed, not_extendable(WhyNot::MadeAnew, true)));
}

/// What its record says is decided once more by the grant that it is for.
#[test]
fn an_extension_that_is_not_approved_any_more_moves_nothing() {
    let mut asking = simulator(more(json!({})), Some(running()));
    asking.request.status.get_or_insert_default().reviews = [approve("bob")].into();
    assert_eq!(text(&mut asking).0, State::Scheduled);
    let approved = asking.request;
    let end_with = |change: &dyn Fn(&mut Simulator)| {
        let mut moving = simulator(running(), None);
        moving.bindings = bindings_of(&running());
        moving.extensions = vec![approved.clone()];
        change(&mut moving);
        moving.settle();
        moving.end().unwrap()
    };
    let (stays, moves) = (at("13:00:00"), at("13:20:00"));
    assert_eq!(end_with(&|_| {}), moves);
    let carol = json!([{ "name": "leads", "approvers": [{ "kind": "User", "name": "carol" }] }]);
    let other = with_stage(json!({ "approval": { "stages": carol } }));
    assert_eq!(end_with(&|w| w.policies = vec![other.clone()]), stays);
    assert_eq!(end_with(&|w| w.extensions[0].status.as_mut().unwrap().reviews.clear()), stays);
    assert_eq!(end_with(&|w| w.extensions[0].status.as_mut().unwrap().state = State::Pending), stays);
    assert_eq!(
        end_with(&|w| w.extensions[0].metadata.deletion_timestamp = w.extensions[0].metadata.creation_timestamp.clone()),
        stays
    );
    assert_eq!(end_with(&|w| w.extensions[0].spec.requester.as_mut().unwrap().username = "bob".to_owned()), stays);
    assert_eq!(
        end_with(&|w| w.extensions[0].status.as_mut().unwrap().extends.as_mut().unwrap().uid = "r-0".to_owned()),
        stays
    );
    assert_eq!(
        end_with(&|w| w.guard = crate::core::guard::Guard::Missing(crate::core::guard::NotInForce::Untried)),
        stays
    );
    let later = noon() + SignedDuration::from_secs(1);
    assert_eq!(end_with(&|w| w.guard = crate::core::guard::Guard::since(later)), stays);
    assert_eq!(end_with(&|w| w.wrong_clock = Some(crate::core::model::own_clock::WrongClock::Behind)), stays);
}

/// Access that hangs on an extension hangs on the policy that allowed it.
#[test]
fn a_policy_that_allows_less_takes_extended_access_away() {
    let extended = || {
        let mut asking = simulator(more(json!({})), Some(running()));
        asking.request.status.get_or_insert_default().reviews = [approve("bob")].into();
        asking.settle();
        let mut moving = simulator(running(), None);
        moving.bindings = bindings_of(&running());
        moving.extensions = vec![asking.request];
        moving.settle();
        assert_eq!(moving.end(), Some(at("13:20:00")));
        moving
    };
    for (extension, why) in [(json!(null), Shortfall::Extension), (json!({ "max": "10m", "count": 1 }), added(20, 10))]
    {
        let mut simulator = extended();
        simulator.policies = vec![with_stage(json!({ "extension": extension }))];
        let revoked = NoLonger::FallsShort { policy: "p".to_owned(), shortfalls: vec![why] };
        assert_eq!(text(&mut simulator), (State::Revoked, revoked.to_string()));
    }
    // Its first hour is bounded by the maximum, the rest is not.
    let mut simulator = extended();
    simulator.policies = vec![with_stage(json!({ "duration": { "max": "1h" } }))];
    assert_eq!(text(&mut simulator).0, State::Active);
    simulator.policies = vec![with_stage(json!({ "duration": { "max": "59m" } }))];
    assert_eq!(text(&mut simulator).0, State::Revoked);
}

/// The maximum bounds the first part of it, however often the end has moved since.
#[test]
fn a_second_extension_leaves_the_first_length_as_it_was() {
    let twice = json!({ "duration": { "max": "1h" }, "extension": { "max": "30m", "count": 2 } });
    let mut moving = simulator(running(), None);
    moving.policies = vec![with_stage(twice.clone())];
    moving.bindings = bindings_of(&running());
    for uid in ["e-1", "e-2"] {
        let mut extension = more(json!({}));
        extension.metadata.name = Some(uid.to_owned());
        extension.metadata.uid = Some(uid.to_owned());
        let mut asking = simulator(extension, Some(moving.request.clone()));
        asking.policies = vec![with_stage(twice.clone())];
        asking.request.status.get_or_insert_default().reviews = [approve("bob")].into();
        asking.settle();
        moving.extensions.push(asking.request);
        moving.settle();
    }
    assert_eq!(text(&mut moving).0, State::Active);
    let approved = conditions::find(&moving.request.status.as_ref().unwrap().conditions, conditions::APPROVED);
    assert_eq!(approved.unwrap().message, Happened::Allowed(allowed()).to_string());
    assert_eq!(moving.end(), Some(at("13:40:00")));
}
