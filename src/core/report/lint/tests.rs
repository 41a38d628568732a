use super::*;
use crate::core::laws::fixtures::{deny, namespaces, policy};
use serde_json::{Value, json};

/// The policies and fields that are warned of, with what is said.
fn text(policies: &[AccessPolicy]) -> Vec<(String, String, String)> {
    lint(policies, None, Protected::default()).into_iter().map(|w| (w.policy, w.field, w.why)).collect()
}

/// Whether exactly one warning comes, of this policy, with these words; or none, without words.
fn assert_finding(policies: &[AccessPolicy], policy: &str, field: &str, words: &str) {
    let text = text(policies);
    if words.is_empty() {
        assert!(text.is_empty(), "{policy}: {text:?}");
    } else {
        let [(of, at, why)] = text.as_slice() else { panic!("{words}: {text:?}") };
        assert!(of == policy && at == field && why.contains(words), "{words}: {text:?}");
    }
}

fn alone(spec: Value, field: &str, words: &str) {
    assert_finding(&[policy("p", spec)], "p", field, words);
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
    let never = "policy no denies all of it";
    for (allow, no, words) in [
        (json!({}), all.clone(), never),
        (json!({ "scope": { "namespaces": ["team-a*"] } }), json!({ "scope": { "namespaces": ["team-*"] } }), never),
        (
            json!({ "scope": { "cluster": true, "systemNamespaces": true }, "approval": stages(group("leads")) }),
            all.clone(),
            never,
        ),
        (json!({}), json!({ "roles": [{ "name": "edit" }], "requesters": group("dev") }), never),
        // Not provable, or not so.
        (json!({ "scope": { "namespaces": ["team-*"] } }), json!({ "scope": { "namespaces": ["team-a*"] } }), ""),
        (json!({}), json!({ "roles": [{ "name": "view" }] }), ""),
        (json!({}), json!({ "requesters": group("ops") }), ""),
        (json!({}), json!({ "conditions": [{ "expression": "true", "message": "no" }] }), ""),
        (json!({}), json!({ "scope": { "namespaceSelector": { "matchLabels": { "a": "b" } } } }), ""),
        (json!({}), json!({ "scope": { "cluster": true } }), ""),
    ] {
        assert_finding(&[policy("p", allow), deny("no", no)], "p", "spec.scope", words);
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
    assert_finding(std::slice::from_ref(&silent), "no", "spec.onBreakGlass", "emergencies are denied too");
    for choice in ["Deny", "Exempt"] {
        assert_finding(&[deny("no", json!({ "schedule": on(&["Sat"]), "onBreakGlass": choice }))], "no", "", "");
    }
    assert_finding(&[deny("no", json!({}))], "no", "", "");
    let always = deny("no", json!({ "schedule": on(&every_day), "onBreakGlass": "Deny" }));
    assert_finding(std::slice::from_ref(&always), "no", "spec.schedule", "no minute of the week");
    let mut earlier = silent.clone();
    earlier.status = Some(serde_json::from_value(json!({ "observedGeneration": 1 })).unwrap());
    let fields: Vec<String> = text(&[earlier.clone()]).into_iter().map(|(_, field, _)| field).collect();
    assert_eq!(fields, ["spec.onBreakGlass", "spec.schedule"]);
    // What denies in windows leaves something of an Allow, and so does what spares emergencies.
    let fields = |policies: &[AccessPolicy]| text(policies).into_iter().map(|w| (w.0, w.1)).collect::<Vec<_>>();
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
    let wide = json!({ "scope": { "namespaces": ["*"] }, "duration": { "max": "2h" } });
    let glass = json!({ "reviewers": group("leads"), "reviewWithin": "1h" });
    for (first, second, words) in [
        (wide.clone(), json!({}), "policy a allows all of it"),
        (json!({}), asks(1), "policy a allows all of it"),
        (asks(1), asks(2), "policy a allows all of it"),
        (json!({}), json!({ "duration": { "max": "2h" } }), ""),
        (asks(1), json!({ "roles": [{ "name": "view" }] }), ""),
        (json!({ "conditions": [{ "expression": "true", "message": "no" }] }), json!({}), ""),
        (json!({ "breakGlass": glass }), json!({}), ""),
        (json!({}), json!({ "breakGlass": glass }), ""),
        (json!({ "requesters": group("ops") }), json!({}), ""),
    ] {
        assert_finding(&[policy("a", first), policy("b", second)], "b", "spec", words);
    }
    // A later name goes before only when it asks less.
    assert_finding(&[policy("a", asks(2)), policy("b", asks(1))], "a", "spec", "policy b allows all of it");
    assert_finding(&[policy("a", asks(1)), policy("b", json!({}))], "a", "spec", "policy b allows all of it");
    let may_spare = json!({ "automaticWhen": "true", "stages": asks(1)["approval"]["stages"] });
    assert_finding(&[policy("a", json!({ "approval": may_spare })), policy("b", json!({}))], "a", "spec", "");
}

#[test]
fn approvers_should_be_others_than_those_who_ask() {
    let field = "spec.approval.stages[0].approvers";
    let me = json!([{ "kind": "User", "name": "alice" }]);
    alone(json!({ "approval": stages(group("dev")) }), field, "approve each other");
    alone(json!({ "approval": stages(me.clone()), "requesters": me }), field, "nobody can approve");
    alone(json!({ "approval": stages(group("leads")) }), field, "");
    let both = json!([{ "kind": "Group", "name": "dev" }, { "kind": "Group", "name": "leads" }]);
    alone(json!({ "approval": stages(both) }), field, "");
}

#[test]
fn everybody_and_robots_are_no_approvers() {
    let field = "spec.approval.stages[0].approvers";
    alone(json!({ "approval": stages(group("system:authenticated")) }), field, "any two accounts");
    alone(json!({ "approval": stages(group("system:serviceaccounts")) }), field, "stands for nobody");
    alone(json!({ "approval": stages(group("system:serviceaccounts:ci")) }), field, "stands for nobody");
    alone(json!({ "approval": stages(group("system:serviceaccounts-of-ours")) }), field, "");
    let robot = json!([{ "kind": "ServiceAccount", "namespace": "ci", "name": "bot" }]);
    alone(json!({ "approval": stages(robot) }), field, "");
    let glass = json!({ "reviewers": group("system:authenticated"), "reviewWithin": "1h" });
    alone(json!({ "breakGlass": glass }), "spec.breakGlass.reviewers", "any two accounts");
}

#[test]
fn much_access_without_approval_is_too_much() {
    let everywhere = json!({ "namespaces": ["*"] });
    let role = |name: &str| json!([{ "name": name }]);
    let asks = stages(group("leads"));
    let field = "spec.scope.namespaces";
    alone(json!({ "scope": everywhere, "roles": role("admin") }), field, "admin in every namespace");
    alone(json!({ "scope": everywhere, "roles": role("cluster-admin") }), field, "cluster-admin in every");
    alone(json!({ "scope": everywhere, "roles": role("view") }), field, "");
    alone(json!({ "scope": everywhere, "roles": role("admin"), "approval": asks }), field, "");
    alone(json!({ "scope": { "namespaces": ["team-*"] }, "roles": role("admin") }), field, "");
    let glass = json!({ "reviewers": group("leads"), "reviewWithin": "1h" });
    alone(json!({ "scope": everywhere, "roles": role("admin"), "breakGlass": glass }), field, "");

    let cluster = json!({ "cluster": true, "systemNamespaces": true });
    alone(json!({ "scope": cluster }), "spec.scope.cluster", "the whole cluster");
    alone(json!({ "scope": cluster, "approval": asks }), "spec.scope.cluster", "");

    let everybody = group("system:authenticated");
    alone(json!({ "requesters": everybody }), "spec.requesters", "robots too, can have edit");
    alone(json!({ "requesters": everybody, "roles": role("view") }), "spec.requesters", "");
    alone(json!({ "requesters": everybody, "approval": asks }), "spec.requesters", "");

    alone(json!({ "duration": { "max": "25h" } }), "spec.duration.max", "up to 25h");
    alone(json!({ "duration": { "max": "24h" } }), "spec.duration.max", "");
    alone(json!({ "duration": { "max": "25h" }, "approval": asks }), "spec.duration.max", "");
}

#[test]
fn what_a_policy_names_and_never_gives_is_told() {
    let asks = stages(group("leads"));
    let of = |scope: Value, role: &str| json!({ "scope": scope, "roles": [{ "name": role }], "approval": asks });
    let (named, cluster) = ("spec.scope.namespaces", "spec.scope.cluster");
    let way_out = |policies: &[AccessPolicy]| lint(policies, None, Protected::with_release("guards")).remove(0).way_out;
    for name in ["kube-system", "daypass-system"] {
        alone(of(json!({ "namespaces": [name] }), "view"), named, &format!("{name} is protected"));
        alone(of(json!({ "namespaces": [name], "systemNamespaces": true }), "view"), named, "");
    }
    let elsewhere = [policy("p", of(json!({ "namespaces": ["guards"] }), "view"))];
    assert!(way_out(&elsewhere).contains("scope.systemNamespaces: true set by somebody who has the verb administer"));
    // A glob says what there is, and an Allow of it gives the rest.
    alone(of(json!({ "namespaces": ["*"] }), "edit"), named, "");
    alone(of(json!({ "cluster": true }), "edit"), cluster, "edit is never granted in the whole cluster");
    alone(of(json!({ "cluster": true }), "view"), cluster, "");
    assert_finding(
        &[deny("p", json!({ "scope": { "namespaces": ["kube-system"], "cluster": true } }))],
        "p",
        named,
        "",
    );
}

/// One that reaches more is not covered by one that does not.
#[test]
fn a_policy_that_reaches_protected_namespaces_is_not_shadowed_by_one_that_does_not() {
    let scope = |system: bool| json!({ "scope": { "namespaces": ["kube-*"], "systemNamespaces": system } });
    assert_finding(&[policy("a", scope(false)), policy("b", scope(true))], "b", "spec", "");
    assert_finding(&[policy("a", scope(true)), policy("b", scope(false))], "b", "spec", "policy a allows all of it");
}

#[test]
fn long_reviews_and_extensions_are_warned_of() {
    let glass = |within: &str| json!({ "breakGlass": { "reviewers": group("leads"), "reviewWithin": within } });
    alone(glass("169h"), "spec.breakGlass.reviewWithin", "unreviewed for 169h");
    alone(glass("168h"), "spec.breakGlass.reviewWithin", "");
    let extension = |max: &str, count: i32| json!({ "extension": { "max": max, "count": count } });
    alone(extension("24h", 31), "spec.extension", "744h in all");
    alone(extension("24h", 30), "spec.extension", "");
}

#[test]
fn what_is_broken_is_told_as_such() {
    let two = json!([{ "name": "s", "required": 2, "approvers": [{ "kind": "User", "name": "bob" }] }]);
    alone(json!({ "approval": { "stages": two } }), "spec.approval.stages[0]", "cannot be complete");
    let slip = json!({ "conditions": [{ "expression": "request.reson == ''", "message": "m" }] });
    let fault = "character 9: request has no reson, did you mean reason?";
    alone(slip.clone(), "spec.conditions[0].expression", fault);
    let way_out = |policy: AccessPolicy| lint(&[policy], None, Protected::default()).remove(0).way_out;
    assert!(way_out(policy("p", slip.clone())).starts_with("mend it: until then the policy grants nothing new"));
    assert!(way_out(deny("p", slip)).starts_with("mend it: until then the policy denies all"));
}

#[test]
fn a_glob_that_fits_no_known_namespace_is_found() {
    let policies = [policy("p", json!({ "scope": { "namespaces": ["shop", "sop*"] } }))];
    let all = namespaces();
    let [warning] = lint(&policies, Some(&all), Protected::default()).try_into().unwrap();
    assert_eq!((warning.field.as_str(), warning.why.split(' ').next()), ("spec.scope.namespaces", Some("sop*")));
    assert!(lint(&policies, None, Protected::default()).is_empty());
}

#[test]
fn a_star_in_a_name_is_nobody_in_an_allow_and_in_a_deny() {
    alone(json!({ "requesters": group("team-*") }), "spec.requesters[0]", "Group/team-* stands for nobody");
    let approval = json!({ "approval": stages(group("lead*")) });
    alone(approval, "spec.approval.stages[0].approvers[0]", "Group/lead* stands for nobody");
    assert_finding(
        &[deny("no", json!({ "requesters": group("*") }))],
        "no",
        "spec.requesters[0]",
        "Group/* stands for nobody",
    );
}

#[test]
fn a_role_that_cannot_be_handed_out_is_told_as_the_status_of_this_spec_has_it() {
    let mut policy = policy("p", json!({ "roles": [{ "name": "edit" }, { "name": "ops" }] }));
    let unusable = json!([{ "role": { "name": "ops" }, "why": "Missing" }]);
    policy.status =
        Some(serde_json::from_value(json!({ "observedGeneration": 1, "unusableRoles": unusable })).unwrap());
    assert_finding(std::slice::from_ref(&policy), "p", "spec.roles[1]", "there is no ClusterRole/ops");
    // What was said of another spec is no word about this one.
    policy.metadata.generation = Some(2);
    assert_finding(&[policy], "p", "", "");
}
