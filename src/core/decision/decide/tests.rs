use super::*;
use crate::api::policy::AccessPolicy;
use crate::api::request::ReviewVerdict;
use crate::api::subject::{RoleKind, RoleName};
use crate::core::decision::approvals::Reviews;
use crate::core::decision::freeze::{Denying, NoAnswer};
use crate::core::decision::shortfall::Requesters;
use crate::core::decision::validate::validate;
use crate::core::guard::NotInForce;
use crate::core::laws::fixtures::{denied_by, deny, falls_short, group, namespaces, noon, policy, request, review};
use crate::core::laws::simulator::Simulator;
use crate::core::model::ask::{RequestKind, RunningGrant};
use crate::core::model::duration;
use crate::core::model::field_error::FieldError;
use crate::core::model::problem::PolicyProblem;
use crate::core::policies::PolicySet;
use crate::core::policies::cel::Unevaluated;
use crate::core::policies::limits::{Count, Counted, Exceeded};
use crate::core::policies::origin::Disbelief;
use crate::core::rbac::role::RoleSeen;
use serde_json::{Value, json};

/// The policy and length that a request is granted under, or why it is not.
type Answered = Result<(String, String), No>;

/// What keeps a request from being granted at once.
#[derive(Debug, PartialEq)]
enum No {
    Denied(Vec<Denial>),
    /// The policy of this name asks people.
    Waits(String),
}

fn answer(spec: Value, policies: &[AccessPolicy]) -> Answered {
    answer_beside(&[], spec, policies)
}

fn answer_beside(others: &[Counted], spec: Value, policies: &[AccessPolicy]) -> Answered {
    let (request, set) = (request(spec), PolicySet::new(policies));
    let mut simulator = Simulator::new(request, Vec::new(), namespaces(), noon());
    simulator.others = others.to_vec();
    let log = ReviewLog { reviews: &Reviews::new(), escalated: &[], counted: &[] };
    match decide(&validate(&simulator.request).unwrap(), &simulator.snapshot(&set, &[]), log, noon()) {
        Decision::Approved(a) => Ok((a.policy.reference.name.clone(), duration::format(a.period.length()))),
        Decision::Denied(reasons) => Err(No::Denied(reasons)),
        Decision::Waiting(waiting) => Err(No::Waits(waiting.policy.reference.name.clone())),
        other => panic!("{other:?}"),
    }
}

fn by(name: &str, length: &str) -> Answered {
    Ok((name.to_owned(), length.to_owned()))
}

fn waits(policy: &str) -> Answered {
    Err(No::Waits(policy.to_owned()))
}

fn denied(reasons: Vec<Denial>) -> Answered {
    Err(No::Denied(reasons))
}

fn short(policy: &str, shortfall: Shortfall) -> Answered {
    denied(falls_short(policy, [shortfall]))
}

fn length(asked: &str, most: &str) -> Shortfall {
    let [asked, most] = [asked, most].map(|text| duration::parse(text).unwrap());
    Shortfall::Length { asked, most }
}

fn role(kind: RoleKind, name: &str) -> RoleName {
    RoleName { kind, name: name.to_owned() }
}

/// The only shortfall of the only policy.
fn only(answered: Answered) -> Shortfall {
    let Err(No::Denied(reasons)) = answered else { panic!("{answered:?}") };
    let [Denial::FallsShort { shortfalls, .. }] = reasons.as_slice() else { panic!("{reasons:?}") };
    let [shortfall] = shortfalls.as_slice() else { panic!("{shortfalls:?}") };
    shortfall.clone()
}

#[test]
fn a_doubted_policy_denies_what_is_new_and_allows_nothing() {
    let gap = || Disbelief::GuardMissing(NotInForce::Untried);
    let (allow, deny) = (policy("allow", json!({})), deny("no", json!({})));
    let asked_of = |role: RoleSeen, policies: &[&AccessPolicy], spec: Value| {
        let doubted = |_: &AccessPolicy| Some(gap());
        let set = PolicySet::default().renewed(policies.iter().copied(), doubted);
        let mut simulator = Simulator::new(request(spec), Vec::new(), namespaces(), noon());
        simulator.role = Some(role);
        let log = ReviewLog { reviews: &Reviews::new(), escalated: &[], counted: &[] };
        match decide(&validate(&simulator.request).unwrap(), &simulator.snapshot(&set, &[]), log, noon()) {
            Decision::Denied(reasons) => reasons,
            other => panic!("{other:?}"),
        }
    };
    let asked = |policies: &[&AccessPolicy], spec| asked_of(RoleSeen::that_only_looks(), policies, spec);
    let disbelieved = Shortfall::Disbelieved(gap());
    assert_eq!(asked(&[&allow], json!({})), falls_short("allow", [disbelieved.clone()]));
    // A role that is not there is another fault of the policy, and hides no first one.
    let gone = asked_of(RoleSeen::OfCluster(None), &[&allow], json!({}));
    let [Denial::FallsShort { shortfalls, .. }] = gone.as_slice() else { panic!("{gone:?}") };
    assert_eq!(shortfalls[0], disbelieved);
    assert!(matches!(&shortfalls[1..], [Shortfall::RoleUnusable(listed)] if listed.index == 0), "{gone:?}");
    let longer = asked(&[&allow], json!({ "duration": "700h" }));
    assert_eq!(longer, falls_short("allow", [length("700h", "1h")]));
    assert_eq!(asked(&[&allow, &deny], json!({})), denied_by(&["no"]));
}

#[test]
fn deny_wins_over_every_allow_and_says_all_that_deny() {
    let allow = policy("allow", json!({}));
    let both = answer(json!({}), &[deny("no-b", json!({})), allow.clone(), deny("no-a", json!({}))]);
    assert_eq!(both, denied(denied_by(&["no-a", "no-b"])));
    let elsewhere = deny("no", json!({ "scope": { "namespaces": ["bank"] } }));
    let others = deny("no", json!({ "requesters": [{ "kind": "User", "name": "mallory" }] }));
    let admins = deny("no", json!({ "roles": [{ "name": "admin" }] }));
    for deny in [elsewhere, others, admins] {
        assert_eq!(answer(json!({}), &[allow.clone(), deny]), by("allow", "1h"));
    }
}

#[test]
fn a_deny_for_one_namespace_stops_requests_that_reach_it_from_above() {
    let allow = policy("allow", json!({ "scope": { "namespaces": ["*"], "cluster": true } }));
    let policies = [allow, deny("no", json!({ "scope": { "namespaces": ["bank"] } }))];
    let no = denied(denied_by(&["no"]));
    assert_eq!(answer(json!({ "scope": { "cluster": true } }), &policies), no);
    assert_eq!(answer(json!({ "scope": { "namespaces": ["bank", "shop"] } }), &policies), no);
    assert_eq!(answer(json!({ "scope": { "namespaces": ["shop"] } }), &policies), by("allow", "1h"));
}

#[test]
fn the_policy_with_least_friction_decides_then_the_first_by_name() {
    let stages = |required: &[i32]| {
        let approvers = json!([{ "kind": "Group", "name": "leads" }]);
        let stage = |(i, n)| json!({ "name": format!("s{i}"), "required": n, "approvers": approvers });
        let stages: Vec<Value> = required.iter().enumerate().map(stage).collect();
        json!({ "approval": { "stages": stages } })
    };
    let (two, one_of_two, one) = (stages(&[1, 1]), stages(&[2]), stages(&[1]));
    let all = |specs: &[(&str, &Value)]| specs.iter().map(|(n, s)| policy(n, (*s).clone())).collect::<Vec<_>>();
    assert_eq!(answer(json!({}), &all(&[("a", &two), ("b", &one_of_two)])), waits("b"));
    assert_eq!(answer(json!({}), &all(&[("a", &one_of_two), ("b", &one)])), waits("b"));
    assert_eq!(answer(json!({}), &all(&[("a", &one), ("c", &json!({})), ("b", &json!({}))])), by("b", "1h"));
}

#[test]
fn of_policies_that_fall_short_the_closest_comes_first_and_those_for_other_places_last() {
    let elsewhere = json!({ "scope": { "namespaces": ["bank"] } });
    let shorter = json!({ "duration": { "default": "10m", "max": "10m" } });
    let both = json!({ "scope": { "namespaces": ["bank"] }, "duration": { "default": "10m", "max": "10m" } });
    let policies = [policy("a", both), policy("b", elsewhere), policy("z", shorter)];
    let Err(No::Denied(reasons)) = answer(json!({ "duration": "1h" }), &policies) else { panic!("it is allowed") };
    let of = |denial: &Denial| match denial {
        Denial::FallsShort { policy, .. } => policy.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(reasons.iter().map(of).collect::<Vec<_>>(), ["z", "b", "a"]);
}

#[test]
fn a_named_policy_decides_alone_but_never_over_a_deny() {
    let policies = [policy("easy", json!({})), policy("hard", json!({ "duration": { "max": "5m" } }))];
    assert_eq!(answer(json!({ "policy": "hard" }), &policies), by("hard", "5m"));
    for (name, near) in [("ghost", vec![]), ("eazy", vec!["easy".to_owned()])] {
        let none = Denial::NamesNone { name: name.to_owned(), near };
        assert_eq!(answer(json!({ "policy": name }), &policies), denied(vec![none]));
    }
    let long = answer(json!({ "policy": "hard", "duration": "10m" }), &policies);
    assert_eq!(long, short("hard", length("10m", "5m")));
    let beside = [policies[0].clone(), deny("no", json!({}))];
    assert_eq!(answer(json!({ "policy": "easy" }), &beside), denied(denied_by(&["no"])));
    let far = deny("no", json!({ "scope": { "namespaces": ["bank"] } }));
    let names = denied(vec![Denial::NamesDenying("no".to_owned())]);
    assert_eq!(answer(json!({ "policy": "no" }), &[far]), names);
}

#[test]
fn a_length_that_is_not_named_is_the_policy_s_default() {
    for (limits, length) in [
        (json!({ "max": "8h" }), "1h"),
        (json!({ "max": "20m" }), "20m"),
        (json!({ "max": "8h", "default": "2h" }), "2h"),
    ] {
        assert_eq!(answer(json!({}), &[policy("p", json!({ "duration": limits }))]), by("p", length));
    }
    let at_most = answer(json!({ "duration": "60m" }), &[policy("p", json!({}))]);
    assert_eq!(at_most, by("p", "1h"));
    let longer = answer(json!({ "duration": "3601s" }), &[policy("p", json!({}))]);
    assert_eq!(longer, short("p", length("1h1s", "1h")));
}

#[test]
fn an_allow_covers_everything_that_is_asked_for_or_it_does_not_match() {
    let asked = |spec, policy| answer(spec, &[policy]);
    let edit = |kind| role(kind, "edit");
    let other = Shortfall::Role { asked: edit(RoleKind::ClusterRole), listed: vec![edit(RoleKind::Role)] };
    let roles = json!([{ "kind": "Role", "name": "edit" }]);
    assert_eq!(asked(json!({}), policy("p", json!({ "roles": roles }))), short("p", other));
    let outside = |name: &str| short("p", Shortfall::Namespaces(vec![name.to_owned()]));
    let both = json!({ "scope": { "namespaces": ["bank", "shop"] } });
    assert_eq!(asked(both, policy("p", json!({}))), outside("bank"));
    let all = policy("p", json!({ "scope": { "namespaces": ["*"] } }));
    assert_eq!(asked(json!({ "scope": { "cluster": true } }), all), short("p", Shortfall::Cluster));
    let cluster = json!({ "scope": { "cluster": true } });
    assert_eq!(asked(json!({}), policy("p", cluster.clone())), outside("shop"));
    let eve = asked(json!({ "requester": { "username": "eve" }, "duration": "2h" }), policy("p", json!({})));
    let wanted = Requesters { named: vec![group("dev")], more: 0 };
    let unnamed = Shortfall::Requester { who: "eve".to_owned(), wanted, near: None };
    assert_eq!(eve, denied(falls_short("p", [unnamed, length("2h", "1h")])));
    assert_eq!(asked(json!({}), deny("p", cluster)), denied(vec![Denial::NoPolicy]));
}

fn when(expression: &str, message: &str) -> Value {
    json!({ "conditions": [{ "expression": expression, "message": message }] })
}

#[test]
fn a_condition_that_does_not_hold_is_told_in_its_author_s_words() {
    let ticket = || policy("p", when("request.ticket != ''", "name a ticket (spec.ticket)"));
    let words = Shortfall::Condition("name a ticket (spec.ticket)".to_owned());
    assert_eq!(answer(json!({}), &[ticket()]), short("p", words));
    assert_eq!(answer(json!({ "ticket": "OPS-7" }), &[ticket()]), by("p", "1h"));
    let easier = answer(json!({}), &[ticket(), policy("q", json!({}))]);
    assert_eq!(easier, by("q", "1h"));
    // The length of a request that names none is the policy's, also for its conditions.
    let short = policy("p", when("request.durationSeconds <= 60", "at most a minute"));
    assert!(answer(json!({}), std::slice::from_ref(&short)).is_err());
    assert_eq!(answer(json!({ "duration": "1m" }), &[short]), by("p", "1m"));
}

/// What a condition of the policy that denies names as the reason why it cannot be evaluated.
fn unevaluated(answered: Answered) -> NoAnswer {
    let Err(No::Denied(reasons)) = answered else { panic!("{answered:?}") };
    match reasons.as_slice() {
        [Denial::Policy(Denying { policy, unevaluated: Some(why), window: None })] if policy == "no" => why.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_condition_that_cannot_be_evaluated_lets_nobody_in() {
    let shortfall = only(answer(json!({}), &[policy("p", when("1 / 0 == 1", "m"))]));
    let failed = |why: &Unevaluated| matches!(why, Unevaluated::Failed { source, .. } if source == "1 / 0 == 1");
    assert!(matches!(&shortfall, Shortfall::ConditionUnevaluated(why) if failed(why)), "{shortfall:?}");
    let denial = deny("no", when("1 / 0 == 1", "m"));
    let why = unevaluated(answer(json!({}), &[policy("p", json!({})), denial]));
    assert!(matches!(&why, NoAnswer::Evaluation(why) if failed(why)), "{why:?}");
}

#[test]
fn what_the_login_did_not_say_lets_nobody_in() {
    let asked = |extra: Value| {
        let who = json!({ "username": "alice", "uid": "u-alice", "groups": ["dev"], "extra": extra });
        json!({ "requester": who })
    };
    let lacks = |why: &Unevaluated| matches!(why, Unevaluated::NoExtra { key, .. } if key == "amr");
    let (said, unsaid) = (asked(json!({ "amr": ["mfa"] })), asked(json!({ "other": ["mfa"] })));
    for condition in ["'mfa' in requester.extra['amr']", "!('pwd' in requester.extra['amr'])"] {
        let allow = || [policy("p", when(condition, "m"))];
        assert_eq!(answer(said.clone(), &allow()), by("p", "1h"));
        let shortfall = only(answer(unsaid.clone(), &allow()));
        assert!(matches!(&shortfall, Shortfall::ConditionUnevaluated(why) if lacks(why)), "{shortfall:?}");
        let automatic = only(answer(unsaid.clone(), &[policy("p", staged(condition))]));
        assert!(matches!(&automatic, Shortfall::AutomaticUnevaluated(why) if lacks(why)), "{automatic:?}");
    }
    // One that denies by what is said denies where nothing is said.
    let denial = || [policy("p", json!({})), deny("no", when("'pwd' in requester.extra['amr']", "m"))];
    assert_eq!(answer(said, &denial()), by("p", "1h"));
    let why = unevaluated(answer(unsaid.clone(), &denial()));
    assert!(matches!(&why, NoAnswer::Evaluation(why) if lacks(why)), "{why:?}");
    // Where it is asked for, people can be asked instead.
    let people = "'amr' in requester.extra && 'mfa' in requester.extra['amr']";
    assert_eq!(answer(unsaid, &[policy("p", staged(people))]), waits("p"));
}

#[test]
fn a_denial_with_conditions_denies_when_they_all_hold() {
    let denial = |expression| deny("no", when(expression, "m"));
    let all = |expression| [policy("p", json!({})), denial(expression)];
    assert_eq!(answer(json!({}), &all("request.role == 'edit'")), denied(denied_by(&["no"])));
    assert_eq!(answer(json!({}), &all("request.role == 'admin'")), by("p", "1h"));
    let mut both = denial("request.role == 'edit'");
    both.spec.conditions.extend(denial("'ops' in requester.groups").spec.conditions);
    assert_eq!(answer(json!({}), &[policy("p", json!({})), both]), by("p", "1h"));
}

#[test]
fn a_slip_in_an_expression_lets_nobody_in_and_hinders_nobody_else() {
    let slip = || when("request.reson == ''", "m");
    let faulty = |answered| match only(answered) {
        Shortfall::Faulty(faults) => faults.into_iter().map(|fault| fault.field).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(faulty(answer(json!({}), &[policy("p", slip())])), ["spec.conditions[0].expression"]);
    assert_eq!(answer(json!({}), &[policy("a", slip()), policy("b", json!({}))]), by("b", "1h"));
    // What its fields say against the request comes first.
    let [asked, edit] = ["admin", "edit"].map(|name| role(RoleKind::ClusterRole, name));
    let admin = answer(json!({ "role": { "name": "admin" } }), &[policy("p", slip())]);
    assert_eq!(admin, short("p", Shortfall::Role { asked, listed: vec![edit] }));
    let automatic = answer(json!({}), &[policy("p", staged("risk.level == 'low'"))]);
    assert_eq!(faulty(automatic), ["spec.approval.automaticWhen"]);
}

/// Its other conditions do not count either: nobody knows what was meant.
#[test]
fn a_slip_in_a_deny_denies_what_its_fields_touch_and_no_more() {
    let slip = |mut spec: Value| {
        let conditions = [when("1 == 2", "m"), when("request.reson == ''", "m")].map(|c| c["conditions"][0].clone());
        spec["conditions"] = json!(conditions);
        deny("no", spec)
    };
    let all = |spec| [policy("p", json!({})), slip(spec)];
    let why = unevaluated(answer(json!({}), &all(json!({}))));
    let NoAnswer::Faults(faults) = why else { panic!("{why:?}") };
    assert_eq!(faults.iter().map(|f| f.field.as_str()).collect::<Vec<_>>(), ["spec.conditions[1].expression"]);
    for elsewhere in [
        json!({ "roles": [{ "name": "admin" }] }),
        json!({ "scope": { "namespaces": ["bank"] } }),
        json!({ "requesters": [{ "kind": "User", "name": "mallory" }] }),
    ] {
        assert_eq!(answer(json!({}), &all(elsewhere)), by("p", "1h"));
    }
}

fn staged(automatic_when: &str) -> Value {
    let stages = json!([{ "name": "s", "approvers": [{ "kind": "Group", "name": "leads" }] }]);
    json!({ "approval": { "automaticWhen": automatic_when, "stages": stages } })
}

#[test]
fn low_risk_waits_for_nobody_and_the_rest_for_people() {
    let short = || policy("p", staged("request.durationSeconds <= 600"));
    assert_eq!(answer(json!({ "duration": "10m" }), &[short()]), by("p", "10m"));
    assert_eq!(answer(json!({ "duration": "11m" }), &[short()]), waits("p"));
    // Asking nobody, it asks least.
    let plain = policy("a", json!({ "approval": staged("false")["approval"] }));
    assert_eq!(answer(json!({ "duration": "10m" }), &[plain, short()]), by("p", "10m"));
    let shortfall = only(answer(json!({}), &[policy("p", staged("1 / 0 == 1"))]));
    assert!(matches!(&shortfall, Shortfall::AutomaticUnevaluated(_)), "{shortfall:?}");
}

#[test]
fn a_policy_that_is_full_leaves_room_for_another() {
    let mut other = request(json!({}));
    other.metadata.uid = Some("r-2".to_owned());
    let binding = json!({ "kind": "RoleBinding", "namespace": "shop", "name": "daypass-r-2" });
    let status = json!({
        "state": "Active", "grantedAt": noon().to_string(), "expiresAt": "2026-11-23T13:00:00Z", "bindings": [binding],
        "policy": { "name": "full", "uid": "p-full", "generation": 1 }
    });
    other.status = Some(serde_json::from_value(status).unwrap());
    let others = [Counted::of(&other).unwrap()];
    let full = policy("full", json!({ "limits": { "liveGrants": 1 } }));
    let exceeded = |what| Shortfall::Limit(Exceeded::Full { what, there: 1, most: 1 });
    let beside = answer_beside(&others, json!({}), std::slice::from_ref(&full));
    assert_eq!(beside, short("full", exceeded(Count::Grants)));
    assert_eq!(answer_beside(&others, json!({}), &[full.clone(), policy("other", json!({}))]), by("other", "1h"));
    assert_eq!(answer_beside(&[], json!({}), &[full]), by("full", "1h"));
    // The same for what would have to wait.
    let waiting = json!({ "state": "Pending", "policy": { "name": "p", "uid": "p-p", "generation": 1 } });
    other.status = Some(serde_json::from_value(waiting).unwrap());
    let mut spec = staged("false");
    spec["limits"] = json!({ "openRequestsPerPerson": 1 });
    let beside = answer_beside(&[Counted::of(&other).unwrap()], json!({}), &[policy("p", spec.clone())]);
    assert_eq!(beside, short("p", exceeded(Count::RequestsOf("alice".to_owned()))));
    assert_eq!(answer(json!({}), &[policy("p", spec)]), waits("p"));
}

#[test]
fn a_broken_allow_grants_nobody_anything() {
    let faults = vec![FieldError::new("spec.requesters", PolicyProblem::NoRequesters)];
    let broken = answer(json!({}), &[policy("p", json!({ "requesters": [] }))]);
    assert_eq!(broken, denied(vec![Denial::NotReady { policy: "p".to_owned(), faults }]));
}

#[test]
fn a_broken_allow_is_no_hindrance_to_a_sound_one() {
    let unread = policy("a", json!({ "duration": { "max": "soon" } }));
    assert_eq!(answer(json!({}), &[unread, policy("b", json!({}))]), by("b", "1h"));
}

#[test]
fn who_has_a_say_still_refuses_what_waits_for_nobody() {
    let set = PolicySet::new(&[policy("p", staged("true"))]);
    let simulator = Simulator::new(request(json!({})), Vec::new(), namespaces(), noon());
    let answer = |groups: &[&str]| {
        let reviews: Reviews = [("bob".to_owned(), review(ReviewVerdict::Deny, groups))].into();
        let log = ReviewLog { reviews: &reviews, escalated: &[], counted: &[] };
        match decide(&validate(&simulator.request).unwrap(), &simulator.snapshot(&set, &[]), log, noon()) {
            Decision::Approved(_) => None,
            Decision::Refused { refusal, .. } => Some(refusal.by),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(answer(&["leads"]).as_deref(), Some("bob"));
    assert_eq!(answer(&["dev"]), None);
}

#[test]
fn an_extension_that_comes_too_late_says_of_what() {
    let set = PolicySet::new(&[policy("p", json!({ "extension": { "max": "1h", "count": 1 } }))]);
    let simulator = Simulator::new(request(json!({ "extends": "first" })), Vec::new(), namespaces(), noon());
    let aim = RequestKind::Extension { of: "first", running: Some(RunningGrant { extended: 0, end: noon() }) };
    let ask = ValidRequest { aim, ..validate(&simulator.request).unwrap() };
    let log = ReviewLog { reviews: &Reviews::new(), escalated: &[], counted: &[] };
    let answer = decide(&ask, &simulator.snapshot(&set, &[]), log, noon());
    let Decision::Lapsed(why) = answer else { panic!("{answer:?}") };
    assert_eq!(why, Lapse::Grant("first".to_owned()));
}
