use super::*;
use crate::core::laws::fixtures::{self, deny, namespaces, policy};
use crate::core::policies::unrecorded::UnrecordedKey;
use crate::core::policies::usable::Sought;
use crate::core::policies::wildcards::Wildcard;
use serde_json::{Value, json};

/// The policies and fields that are warned of.
fn fields(policies: &[AccessPolicy]) -> Vec<(String, String)> {
    lint(policies, None, Protected::default()).into_iter().map(|w| (w.policy, w.field)).collect()
}

/// Whether exactly one warning comes, of this policy and field; or none.
#[track_caller]
fn assert_finding(policies: &[AccessPolicy], policy: &str, field: &str, what: Option<Oddity>) {
    let found = lint(policies, None, Protected::default());
    let expected = what.map(|what| Warning { policy: policy.to_owned(), field: field.to_owned(), what });
    assert_eq!(found, Vec::from_iter(expected));
}

#[track_caller]
fn alone(spec: Value, field: &str, what: Option<Oddity>) {
    assert_finding(&[policy("p", spec)], "p", field, what);
}

fn own(text: &str) -> String {
    text.to_owned()
}

fn hours(hours: i64) -> SignedDuration {
    SignedDuration::from_hours(hours)
}

fn shadowed(by: &str) -> Option<Oddity> {
    Some(Oddity::ShadowedBy(own(by)))
}

fn everybody() -> Option<Oddity> {
    Some(Oddity::EverybodyApproves(own("system:authenticated")))
}

fn robots(of: &str) -> Option<Oddity> {
    Some(Oddity::RobotsApprove(format!("system:serviceaccounts{of}")))
}

fn everywhere_alone(role: &str) -> Option<Oddity> {
    Some(Oddity::EverywhereAlone(own(role)))
}

fn nobody(field: &str, name: &str) -> Option<Oddity> {
    Some(Oddity::Nobody(Wildcard { field: own(field), subject: fixtures::group(name) }))
}

fn group(name: &str) -> Value {
    json!([{ "kind": "Group", "name": name }])
}

fn stages(approvers: Value) -> Value {
    json!({ "stages": [{ "name": "s", "approvers": approvers }] })
}

#[test]
fn an_allow_that_a_deny_covers_never_allows() {
    let all = json!({ "scope": { "namespaces": ["*"] } });
    let never = || Some(Oddity::DeniedBy(own("no")));
    for (allow, no, what) in [
        (json!({}), all.clone(), never()),
        (json!({ "scope": { "namespaces": ["team-a*"] } }), json!({ "scope": { "namespaces": ["team-*"] } }), never()),
        (
            json!({ "scope": { "cluster": true, "systemNamespaces": true }, "approval": stages(group("leads")) }),
            all.clone(),
            never(),
        ),
        (json!({}), json!({ "roles": [{ "name": "edit" }], "requesters": group("dev") }), never()),
        // Not provable, or not so.
        (json!({ "scope": { "namespaces": ["team-*"] } }), json!({ "scope": { "namespaces": ["team-a*"] } }), None),
        (json!({}), json!({ "roles": [{ "name": "view" }] }), None),
        (json!({}), json!({ "requesters": group("ops") }), None),
        (json!({}), json!({ "conditions": [{ "expression": "true", "message": "no" }] }), None),
        (json!({}), json!({ "scope": { "namespaceSelector": { "matchLabels": { "a": "b" } } } }), None),
        (json!({}), json!({ "scope": { "cluster": true } }), None),
    ] {
        assert_finding(&[policy("p", allow), deny("no", no)], "p", "spec.scope", what);
    }
}

#[test]
fn a_denial_in_windows_says_what_it_does_in_emergencies_and_leaves_a_time_for_access() {
    let on = |days: &[&str]| {
        let windows = json!([{ "days": days, "start": "00:00", "end": "24:00" }]);
        json!({ "timeZone": "UTC", "windows": windows })
    };
    let every_day = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let silent = deny("no", json!({ "schedule": on(&["Sat"]) }));
    assert_finding(std::slice::from_ref(&silent), "no", "spec.onBreakGlass", Some(Oddity::EmergenciesUnsaid));
    for choice in ["Deny", "Exempt"] {
        assert_finding(&[deny("no", json!({ "schedule": on(&["Sat"]), "onBreakGlass": choice }))], "no", "", None);
    }
    assert_finding(&[deny("no", json!({}))], "no", "", None);
    let always = deny("no", json!({ "schedule": on(&every_day), "onBreakGlass": "Deny" }));
    assert_finding(std::slice::from_ref(&always), "no", "spec.schedule", Some(Oddity::WindowsAlways));
    let mut earlier = silent.clone();
    earlier.status = Some(serde_json::from_value(json!({ "observedGeneration": 1 })).unwrap());
    let found = fields(&[earlier.clone()]);
    assert_eq!(found.iter().map(|(_, at)| at.as_str()).collect::<Vec<_>>(), ["spec.onBreakGlass", "spec.schedule"]);
    // What denies in windows leaves something of an Allow, and so does what spares emergencies.
    let stopped = ("p".to_owned(), "spec.scope".to_owned());
    assert!(!fields(&[policy("p", json!({})), silent]).contains(&stopped));
    assert!(fields(&[policy("p", json!({})), always]).contains(&stopped));
    assert!(fields(&[policy("p", json!({})), earlier]).contains(&stopped));
    let glass = json!({ "breakGlass": { "reviewers": group("leads"), "reviewWithin": "1h" } });
    let exempts = deny("no", json!({ "onBreakGlass": "Exempt" }));
    assert!(!fields(&[policy("p", glass), exempts.clone()]).contains(&stopped));
    assert!(fields(&[policy("p", json!({})), exempts]).contains(&stopped));
}

#[test]
fn an_allow_that_another_goes_before_is_shadowed() {
    let asks = |required: i32| {
        json!({ "approval": { "stages": [
        { "name": "s", "required": required, "approvers": group("leads") }] } })
    };
    let wide = json!({ "scope": { "namespaces": ["sh*"] }, "duration": { "max": "2h" } });
    let glass = json!({ "reviewers": group("leads"), "reviewWithin": "1h" });
    for (first, second, what) in [
        (wide.clone(), json!({}), shadowed("a")),
        (json!({}), asks(1), shadowed("a")),
        (asks(1), asks(2), shadowed("a")),
        (json!({}), json!({ "duration": { "max": "2h" } }), None),
        (asks(1), json!({ "roles": [{ "name": "view" }] }), None),
        (json!({ "conditions": [{ "expression": "true", "message": "no" }] }), json!({}), None),
        (json!({ "breakGlass": glass }), json!({}), None),
        (json!({}), json!({ "breakGlass": glass }), None),
        (json!({ "requesters": group("ops") }), json!({}), None),
    ] {
        assert_finding(&[policy("a", first), policy("b", second)], "b", "spec", what);
    }
    // A later name goes before only when it asks less.
    assert_finding(&[policy("a", asks(2)), policy("b", asks(1))], "a", "spec", shadowed("b"));
    assert_finding(&[policy("a", asks(1)), policy("b", json!({}))], "a", "spec", shadowed("b"));
    let may_spare = json!({ "automaticWhen": "true", "stages": asks(1)["approval"]["stages"] });
    assert_finding(&[policy("a", json!({ "approval": may_spare })), policy("b", json!({}))], "a", "spec", None);
}

#[test]
fn approvers_should_be_others_than_those_who_ask() {
    let field = "spec.approval.stages[0].approvers";
    let me = json!([{ "kind": "User", "name": "alice" }]);
    alone(json!({ "approval": stages(group("dev")) }), field, Some(Oddity::ApproveEachOther { stage: own("s") }));
    alone(
        json!({ "approval": stages(me.clone()), "requesters": me }),
        field,
        Some(Oddity::NobodyCanApprove { stage: own("s") }),
    );
    alone(json!({ "approval": stages(group("leads")) }), field, None);
    let both = json!([{ "kind": "Group", "name": "dev" }, { "kind": "Group", "name": "leads" }]);
    alone(json!({ "approval": stages(both) }), field, None);
}

#[test]
fn everybody_and_robots_are_no_approvers() {
    let field = "spec.approval.stages[0].approvers";
    alone(json!({ "approval": stages(group("system:authenticated")) }), field, everybody());
    alone(json!({ "approval": stages(group("system:serviceaccounts")) }), field, robots(""));
    alone(json!({ "approval": stages(group("system:serviceaccounts:ci")) }), field, robots(":ci"));
    alone(json!({ "approval": stages(group("system:serviceaccounts-of-ours")) }), field, None);
    let robot = json!([{ "kind": "ServiceAccount", "namespace": "ci", "name": "bot" }]);
    alone(json!({ "approval": stages(robot) }), field, None);
    let glass = json!({ "reviewers": group("system:authenticated"), "reviewWithin": "1h" });
    alone(json!({ "breakGlass": glass }), "spec.breakGlass.reviewers", everybody());
}

#[test]
fn much_access_without_approval_is_too_much() {
    let everywhere = json!({ "namespaces": ["*"] });
    let role = |name: &str| json!([{ "name": name }]);
    let asks = stages(group("leads"));
    let field = "spec.scope.namespaces";
    alone(json!({ "scope": everywhere, "roles": role("admin") }), field, everywhere_alone("admin"));
    alone(json!({ "scope": everywhere, "roles": role("cluster-admin") }), field, everywhere_alone("cluster-admin"));
    alone(json!({ "scope": everywhere, "roles": role("edit") }), field, everywhere_alone("edit"));
    alone(json!({ "scope": everywhere, "roles": role("view") }), field, None);
    let by_label = |labels: Value| json!({ "scope": { "namespaceSelector": labels } });
    alone(by_label(json!({})), "spec.scope.namespaceSelector", everywhere_alone("edit"));
    alone(by_label(json!({ "matchLabels": { "env": "dev" } })), field, None);
    alone(json!({ "scope": { "namespaces": ["*"], "namespaceSelector": {} } }), field, everywhere_alone("edit"));
    alone(json!({ "scope": { "namespaces": ["sh*"], "namespaceSelector": {} } }), field, None);
    // Who means it says so: there are people who may say no, and nobody has to say yes.
    let meant = json!({ "automaticWhen": "true", "stages": asks["stages"] });
    alone(json!({ "scope": everywhere, "roles": role("edit"), "approval": meant }), field, None);
    alone(json!({ "scope": everywhere, "roles": role("admin"), "approval": asks }), field, None);
    alone(json!({ "scope": { "namespaces": ["team-*"] }, "roles": role("admin") }), field, None);
    let glass = json!({ "reviewers": group("leads"), "reviewWithin": "1h" });
    alone(json!({ "scope": everywhere, "roles": role("admin"), "breakGlass": glass }), field, None);

    let cluster = json!({ "cluster": true, "systemNamespaces": true });
    alone(json!({ "scope": cluster }), "spec.scope.cluster", Some(Oddity::ClusterAlone));
    alone(json!({ "scope": cluster, "approval": asks }), "spec.scope.cluster", None);

    let everybody = group("system:authenticated");
    alone(json!({ "requesters": everybody }), "spec.requesters", Some(Oddity::EverybodyAlone(own("edit"))));
    alone(json!({ "requesters": everybody, "roles": role("view") }), "spec.requesters", None);
    alone(json!({ "requesters": everybody, "approval": asks }), "spec.requesters", None);

    alone(json!({ "duration": { "max": "25h" } }), "spec.duration.max", Some(Oddity::LongAlone(hours(25))));
    alone(json!({ "duration": { "max": "24h" } }), "spec.duration.max", None);
    alone(json!({ "duration": { "max": "25h" }, "approval": asks }), "spec.duration.max", None);
}

#[test]
fn what_a_policy_names_and_never_gives_is_told() {
    let asks = stages(group("leads"));
    let of = |scope: Value, role: &str| json!({ "scope": scope, "roles": [{ "name": role }], "approval": asks });
    let (named, cluster) = ("spec.scope.namespaces", "spec.scope.cluster");
    for name in ["kube-system", "daypass-system"] {
        alone(of(json!({ "namespaces": [name] }), "view"), named, Some(Oddity::Protected(own(name))));
        alone(of(json!({ "namespaces": [name], "systemNamespaces": true }), "view"), named, None);
    }
    let elsewhere = [policy("p", of(json!({ "namespaces": ["guards"] }), "view"))];
    let [found] = lint(&elsewhere, None, Protected::with_release("guards")).try_into().unwrap();
    assert_eq!(found.what, Oddity::Protected(own("guards")));
    // A glob says what there is, and an Allow of it gives the rest.
    alone(of(json!({ "namespaces": ["*"] }), "edit"), named, None);
    alone(of(json!({ "cluster": true }), "edit"), cluster, Some(Oddity::NeverInCluster(own("edit"))));
    alone(of(json!({ "cluster": true }), "view"), cluster, None);
    assert_finding(
        &[deny("p", json!({ "scope": { "namespaces": ["kube-system"], "cluster": true } }))],
        "p",
        named,
        None,
    );
}

/// One that reaches more is not covered by one that does not.
#[test]
fn a_policy_that_reaches_protected_namespaces_is_not_shadowed_by_one_that_does_not() {
    let scope = |system: bool| json!({ "scope": { "namespaces": ["kube-*"], "systemNamespaces": system } });
    assert_finding(&[policy("a", scope(false)), policy("b", scope(true))], "b", "spec", None);
    assert_finding(&[policy("a", scope(true)), policy("b", scope(false))], "b", "spec", shadowed("a"));
}

#[test]
fn long_reviews_and_extensions_are_warned_of() {
    let glass = |within: &str| json!({ "breakGlass": { "reviewers": group("leads"), "reviewWithin": within } });
    alone(glass("169h"), "spec.breakGlass.reviewWithin", Some(Oddity::LongReview(hours(169))));
    alone(glass("168h"), "spec.breakGlass.reviewWithin", None);
    let extension = |max: &str, count: i32| json!({ "extension": { "max": max, "count": count } });
    alone(extension("24h", 31), "spec.extension", Some(Oddity::LongExtension(hours(744))));
    alone(extension("24h", 30), "spec.extension", None);
    let idle = |timeout: &str| json!({ "idleTimeout": timeout, "duration": { "max": "2h" } });
    let minutes = SignedDuration::from_mins;
    alone(idle("4m"), "spec.idleTimeout", Some(Oddity::ShortIdle(minutes(4))));
    alone(idle("5m"), "spec.idleTimeout", None);
    let never = Oddity::IdleNeverComes { timeout: hours(2), longest: hours(2) };
    alone(idle("2h"), "spec.idleTimeout", Some(never));
    alone(idle("119m"), "spec.idleTimeout", None);
    let extended =
        json!({ "idleTimeout": "2h", "duration": { "max": "2h" }, "extension": { "max": "3h", "count": 1 } });
    alone(extended, "spec.idleTimeout", None);
}

#[test]
fn what_is_broken_is_told_as_such() {
    let two = json!([{ "name": "s", "required": 2, "approvers": [{ "kind": "User", "name": "bob" }] }]);
    let slip = json!({ "conditions": [{ "expression": "request.reson == ''", "message": "m" }] });
    for (policy, field) in [
        (policy("p", json!({ "approval": { "stages": two } })), "spec.approval.stages[0]"),
        (policy("p", slip.clone()), "spec.conditions[0].expression"),
        (deny("p", slip), "spec.conditions[0].expression"),
    ] {
        let entry = Entry::read(&policy);
        let (problem, consequence) = (entry.faults()[0].problem.clone(), entry.consequence().unwrap());
        assert_finding(&[policy], "p", field, Some(Oddity::Fault { problem, consequence }));
    }
}

#[test]
fn a_glob_that_fits_no_known_namespace_is_found() {
    let policies = [policy("p", json!({ "scope": { "namespaces": ["shop", "sop*"] } }))];
    let all = namespaces();
    let [warning] = lint(&policies, Some(&all), Protected::default()).try_into().unwrap();
    let what = Oddity::FitsNothing { glob: own("sop*"), known: all.len() };
    assert_eq!((warning.field.as_str(), warning.what), ("spec.scope.namespaces", what));
    assert!(lint(&policies, None, Protected::default()).is_empty());
}

#[test]
fn a_star_in_a_name_is_nobody_in_an_allow_and_in_a_deny() {
    alone(json!({ "requesters": group("team-*") }), "spec.requesters[0]", nobody("spec.requesters[0]", "team-*"));
    let approval = json!({ "approval": stages(group("lead*")) });
    let approver = "spec.approval.stages[0].approvers[0]";
    alone(approval, approver, nobody(approver, "lead*"));
    assert_finding(
        &[deny("no", json!({ "requesters": group("*") }))],
        "no",
        "spec.requesters[0]",
        nobody("spec.requesters[0]", "*"),
    );
}

#[test]
fn a_key_that_is_not_recorded_is_told_as_the_status_of_this_spec_has_it() {
    let condition = json!({ "expression": "'CH' in requester.extra['contry']", "message": "m" });
    let mut policy = policy("p", json!({ "conditions": [condition] }));
    let field = "spec.conditions[0].expression";
    assert_finding(std::slice::from_ref(&policy), "p", field, None);
    let status = |recorded: &[&str]| json!({ "observedGeneration": 1, "extraKeys": recorded });
    policy.status = Some(serde_json::from_value(status(&["country"])).unwrap());
    let key = UnrecordedKey {
        field: field.to_owned(),
        key: "contry".to_owned(),
        near: Some("country".to_owned()),
        effect: Effect::Allow,
    };
    assert_finding(std::slice::from_ref(&policy), "p", field, Some(Oddity::Unrecorded(key)));
    policy.status = Some(serde_json::from_value(status(&["contry"])).unwrap());
    assert_finding(std::slice::from_ref(&policy), "p", field, None);
    // What was said of another spec is no word about this one.
    policy.status = Some(serde_json::from_value(status(&["country"])).unwrap());
    policy.metadata.generation = Some(2);
    assert_finding(&[policy], "p", field, None);
}

#[test]
fn a_role_that_cannot_be_handed_out_is_told_as_the_status_of_this_spec_has_it() {
    let mut policy = policy("p", json!({ "roles": [{ "name": "edit" }, { "name": "ops" }] }));
    let unusable = json!([{ "role": { "name": "ops" }, "why": "Missing" }]);
    policy.status =
        Some(serde_json::from_value(json!({ "observedGeneration": 1, "unusableRoles": unusable })).unwrap());
    let role = policy.spec.roles[1].clone();
    let missing = Unusable::Missing { role, sought: Sought::Cluster };
    assert_finding(std::slice::from_ref(&policy), "p", "spec.roles[1]", Some(Oddity::RoleUnusable(missing)));
    // What was said of another spec is no word about this one.
    policy.metadata.generation = Some(2);
    assert_finding(&[policy], "p", "", None);
}
