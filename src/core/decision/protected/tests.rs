use std::sync::Arc;

use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::api::policy::AccessPolicy;
use crate::api::subject::RoleKind;
use crate::core::decision::shortfall::Shortfall;
use crate::core::laws::fixtures::{denied_by, deny, falls_short, message_of, namespaces, noon, policy, request};
use crate::core::laws::simulator::Simulator;
use crate::core::lifecycle::granted::NoLonger;
use crate::core::model::history::join;
use crate::core::model::namespaces::Namespace;

/// The usual namespaces, and the protected ones, which team `pay` has as well.
fn with_protected() -> Namespaces {
    let pay = Namespace { labels: [("team".to_owned(), "pay".to_owned())].into(), ..Namespace::default() };
    let protected = ["kube-system", "daypass-system"].map(|name| (name.to_owned(), pay.clone()));
    namespaces().into_iter().chain(protected).collect()
}

fn role(rules: Value) -> RoleSeen {
    let role: ClusterRole = serde_json::from_value(json!({ "metadata": { "name": "edit" }, "rules": rules })).unwrap();
    RoleSeen::OfCluster(Some(Arc::new(role)))
}

fn rule(verbs: &[&str], group: &str, resources: &[&str]) -> Value {
    json!({ "verbs": verbs, "apiGroups": [group], "resources": resources })
}

fn edit() -> RoleSeen {
    role(json!([rule(&["get", "list"], "", &["pods"]), rule(&["create"], "apps", &["deployments"])]))
}

fn view() -> RoleSeen {
    role(json!([rule(&["get", "list", "watch"], "", &["pods", "pods/log", "configmaps"])]))
}

fn simulator(spec: Value, policies: Vec<AccessPolicy>, role: Option<RoleSeen>) -> Simulator {
    let mut simulator = Simulator::new(request(spec), policies, with_protected(), noon());
    simulator.role = role;
    simulator
}

/// How a request ends up, and what it says.
fn settled(mut simulator: Simulator) -> (State, String) {
    simulator.settle();
    assert!(simulator.breaches.is_empty(), "{:#?}", simulator.breaches);
    (simulator.state(), message_of(simulator.status().message))
}

/// What a request says that is denied since policy `p` does not reach these namespaces.
fn protected(reached: &[&str], selected: bool, approved: bool) -> String {
    let reached = reached.iter().map(|name| (*name).to_owned()).collect();
    beyond(ProtectedBy::Namespaces { reached, selected }, approved)
}

fn beyond(of: ProtectedBy, approved: bool) -> String {
    join(&falls_short("p", [Shortfall::Protected(Protection { of, approved })]))
}

fn everywhere() -> Value {
    json!({ "namespaces": ["*"], "cluster": true })
}

fn and_system(mut scope: Value) -> Value {
    scope["systemNamespaces"] = json!(true);
    scope
}

#[test]
fn neither_name_nor_glob_nor_label_reaches_a_protected_namespace() {
    let pay = json!({ "matchLabels": { "team": "pay" } });
    for covers in [
        everywhere(),
        json!({ "namespaces": ["kube-*", "daypass-*", "shop", "bank"] }),
        json!({ "namespaces": ["kube-system", "daypass-system", "shop", "bank"] }),
        json!({ "namespaceSelector": pay }),
        json!({ "namespaces": ["*"], "namespaceSelector": pay }),
    ] {
        let both = ["daypass-system", "kube-system"];
        for (asked, reached, selected) in [
            (json!({ "namespaces": ["kube-system"] }), &both[1..], false),
            (json!({ "namespaces": ["daypass-system"] }), &both[..1], false),
            (json!({ "namespaces": ["shop", "kube-system", "daypass-system"] }), &both[..], false),
            (json!({ "namespaceSelector": pay }), &both[..], true),
        ] {
            for role in [edit(), view()] {
                let asked = json!({ "scope": asked });
                let plain = policy("p", json!({ "scope": covers }));
                let answer = settled(simulator(asked.clone(), vec![plain], Some(role.clone())));
                let expected = (State::Denied, protected(reached, selected, false));
                assert_eq!(answer, expected, "{covers} {asked}");
                let opened = policy("p", json!({ "scope": and_system(covers.clone()) }));
                assert_eq!(settled(simulator(asked, vec![opened], Some(role))).0, State::Active, "{covers}");
            }
        }
        let shop = json!({ "scope": { "namespaces": ["shop", "bank"] } });
        let plain = policy("p", json!({ "scope": covers }));
        assert_eq!(settled(simulator(shop, vec![plain], Some(edit()))).0, State::Active, "{covers}");
    }
}

#[test]
fn a_request_made_in_a_protected_namespace_is_one_for_it() {
    for namespace in ["kube-system", "daypass-system"] {
        let mut simulator = simulator(json!({}), vec![policy("p", json!({ "scope": everywhere() }))], Some(edit()));
        simulator.request.metadata.namespace = Some(namespace.to_owned());
        assert_eq!(settled(simulator), (State::Denied, protected(&[namespace], false, false)));
    }
}

#[test]
fn the_release_is_where_it_is() {
    let protected = Protected::with_release("guards");
    assert!(protected.contains("guards") && protected.contains("kube-system"));
    assert!(!protected.contains("daypass-system") && !protected.contains("kube-public") && !protected.contains(""));
}

#[test]
fn the_whole_cluster_is_given_to_those_who_only_look() {
    let ask = |narrow: Option<Value>, role| {
        let mut spec = json!({ "scope": { "cluster": true } });
        if let Some(narrow) = narrow {
            spec["rules"] = json!([narrow]);
        }
        move |scope: Value| settled(simulator(spec.clone(), vec![policy("p", json!({ "scope": scope }))], role))
    };
    let create = || BeyondReading::Resource { verb: "create".to_owned(), resource: "deployments".to_owned() };
    for (narrow, role, expected) in [
        (None, Some(view()), None),
        (None, Some(edit()), Some(create())),
        (None, None, Some(BeyondReading::Unknown)),
        // What is asked for counts, and not what the role has besides.
        (Some(rule(&["get"], "", &["pods"])), Some(edit()), None),
        (Some(rule(&["create"], "apps", &["deployments"])), Some(edit()), Some(create())),
    ] {
        let (state, answer) = ask(narrow.clone(), role.clone())(everywhere());
        assert_eq!(state, if expected.is_some() { State::Denied } else { State::Active }, "{answer}");
        if let Some(more) = expected {
            let role = RoleName { kind: RoleKind::ClusterRole, name: "edit".to_owned() };
            let of = ProtectedBy::Cluster { release: USUAL_RELEASE.to_owned(), role, beyond: more };
            assert_eq!(answer, beyond(of, false));
        }
        let (state, answer) = ask(narrow, role)(and_system(everywhere()));
        assert_eq!(state, State::Active, "{answer}");
    }
}

#[test]
fn more_than_looking_is_what_it_is_called() {
    let beyond = |rule: Value| more_than_reading(&serde_json::from_value(rule).unwrap());
    let looks = |verbs: &[&str], group: &str, resources: &[&str]| beyond(rule(verbs, group, resources));
    for verb in
        ["create", "update", "patch", "delete", "deletecollection", "*", "bind", "use", "impersonate", "Get", ""]
    {
        assert!(looks(&["get", verb], "apps", &["deployments"]).is_some(), "{verb}");
    }
    for verb in ["get", "list", "watch"] {
        for (group, resources) in NOT_TO_BE_READ {
            for resource in resources.iter().copied().chain(["*"]) {
                assert!(looks(&[verb], group, &["pods", resource]).is_some(), "{verb} {group} {resource}");
                assert!(looks(&[verb], "*", &["pods", resource]).is_some(), "{verb} {group} {resource}");
            }
        }
        for resource in ["*/proxy", "*/exec", "*/attach", "*/portforward"] {
            assert!(looks(&[verb], "", &[resource]).is_some(), "{verb} {resource}");
        }
    }
    assert!(looks(&["get"], "subresources.kubevirt.io", &["virtualmachineinstances/console"]).is_some());
    let named = json!({ "verbs": ["get"], "apiGroups": [""], "resources": ["secrets"], "resourceNames": ["db"] });
    let secrets = BeyondReading::Resource { verb: "get".to_owned(), resource: "secrets".to_owned() };
    assert_eq!(beyond(named), Some(secrets), "one of them can be the one that counts");
    for (verbs, verb) in [(json!(["post"]), "post"), (json!(["get", "*"]), "*"), (json!(["delete"]), "delete")] {
        let found = beyond(json!({ "verbs": verbs, "nonResourceURLs": ["/debug/flags/v"] }));
        let url = BeyondReading::Url { verb: verb.to_owned(), url: "/debug/flags/v".to_owned() };
        assert_eq!(found, Some(url));
    }
    for harmless in [
        rule(
            &["get", "list", "watch"],
            "",
            &["pods", "pods/log", "configmaps", "nodes", "nodes/stats", "serviceaccounts"],
        ),
        rule(&["get"], "apps", &["*", "secrets"]),
        rule(&["get"], "subresources.kubevirt.io", &["virtualmachineinstances/guestosinfo"]),
        rule(&["get"], "kubevirt.io", &["*"]),
        rule(&["get", "list"], "rbac.authorization.k8s.io", &["clusterroles"]),
        json!({ "verbs": ["get", "head"], "nonResourceURLs": ["/metrics", "*"] }),
        // No right at all.
        json!({ "verbs": ["create"], "apiGroups": [], "resources": ["pods"] }),
        json!({ "verbs": ["create"], "apiGroups": [""], "resources": [] }),
        json!({ "verbs": [], "apiGroups": ["*"], "resources": ["*"] }),
    ] {
        assert_eq!(beyond(harmless.clone()), None, "{harmless}");
    }
}

#[test]
fn a_policy_that_denies_reaches_everything() {
    let allow = policy("p", json!({ "scope": and_system(everywhere()) }));
    let no = deny("no", json!({ "scope": { "namespaces": ["kube-*"] } }));
    for scope in [json!({ "namespaces": ["kube-system"] }), json!({ "cluster": true })] {
        let answer = settled(simulator(json!({ "scope": scope }), vec![allow.clone(), no.clone()], Some(edit())));
        assert_eq!(answer, (State::Denied, join(&denied_by(&["no"]))), "{scope}");
    }
}

#[test]
fn a_policy_that_says_so_decides_beside_one_that_does_not() {
    let wide = policy("a-wide", json!({ "scope": everywhere() }));
    let nodes = policy("nodes", json!({ "scope": { "namespaces": ["kube-system"], "systemNamespaces": true } }));
    let kube = json!({ "scope": { "namespaces": ["kube-system"] } });
    let mut simulator = simulator(kube, vec![wide, nodes], Some(edit()));
    simulator.settle();
    assert_eq!(simulator.status().policy.unwrap().name, "nodes");
}

/// A grant in kube-system, as an earlier version or a policy that reached it left it.
fn running(spec: Value) -> Simulator {
    let mut spec = spec;
    spec["scope"] = json!({ "namespaces": ["kube-system"] });
    let extension = json!({ "max": "30m", "count": 1 });
    let opened = policy("p", json!({ "scope": and_system(everywhere()), "extension": extension }));
    let mut simulator = simulator(spec, vec![opened], Some(edit()));
    simulator.settle();
    simulator
}

/// Takes the word out of the policy, without an edit of it, as reading it anew with this version does.
fn as_before(simulator: &mut Simulator) {
    simulator.policies[0].spec.scope.system_namespaces = false;
}

#[test]
fn what_runs_already_runs_on_and_is_not_extended() {
    let mut simulator = running(json!({}));
    as_before(&mut simulator);
    simulator.now = noon() + SignedDuration::from_mins(10);
    simulator.settle();
    assert_eq!((simulator.state(), simulator.ours()), (State::Active, 1));
    let mut more = request(json!({ "extends": "fix", "duration": "20m" }));
    more.metadata.name = Some("more".to_owned());
    more.metadata.uid = Some("e-1".to_owned());
    let mut extension = Simulator::new(more, simulator.policies.clone(), with_protected(), simulator.now);
    (extension.role, extension.extended) = (Some(edit()), Some(simulator.request.clone()));
    assert_eq!(settled(extension.clone()), (State::Denied, protected(&["kube-system"], false, false)));
    // Nor does the running grant take up one that was approved before.
    extension.policies[0].spec.scope.system_namespaces = true;
    extension.settle();
    assert_eq!(extension.state(), State::Scheduled);
    simulator.extensions = vec![extension.request];
    simulator.settle();
    assert!(simulator.status().extensions.is_empty() && simulator.state() == State::Active);
    simulator.policies[0].spec.scope.system_namespaces = true;
    simulator.settle();
    assert_eq!(simulator.status().extensions.len(), 1);
}

#[test]
fn what_was_approved_before_and_begins_now_is_something_new() {
    let mut simulator = running(json!({ "startTime": "2026-11-23T13:00:00Z" }));
    assert_eq!(simulator.state(), State::Scheduled);
    as_before(&mut simulator);
    simulator.now = noon() + SignedDuration::from_hours(1);
    assert_eq!(settled(simulator), (State::Denied, protected(&["kube-system"], false, true)));
}

/// A version that weighs a role another way ends nothing by that; a role that was changed is weighed as it is.
#[test]
fn a_condition_about_the_risk_ends_a_grant_only_when_its_role_changed() {
    let risk = |level: &str| Some(crate::api::request::RoleRisk { level: level.into(), reasons: Vec::new() });
    let mut simulator = running(json!({}));
    let modest = json!([{ "expression": "risk.level != 'Critical'", "message": "not with that" }]);
    simulator.policies[0].spec.conditions = serde_json::from_value(modest).unwrap();
    simulator.request.status.as_mut().unwrap().risk = risk("High");
    simulator.risk = risk("Critical");
    simulator.settle();
    assert_eq!(simulator.state(), State::Active);
    simulator.role = Some(role(json!([rule(&["*"], "*", &["*"])])));
    let shortfalls = vec![Shortfall::Condition("not with that".to_owned())];
    let why = NoLonger::FallsShort { policy: "p".to_owned(), shortfalls };
    assert_eq!(settled(simulator), (State::Revoked, why.to_string()));
}

#[test]
fn where_a_role_holds_is_known_before_and_after_the_grant() {
    let all = with_protected();
    let extent = |request: &AccessRequest, extended: Option<&AccessRequest>| {
        Protected::default().extent(request, extended, &all)
    };
    let of = |scope: Value| extent(&request(json!({ "scope": scope })), None);
    assert_eq!(of(json!({ "namespaces": ["shop"] })), Extent::Namespaces);
    assert_eq!(of(json!({ "namespaces": ["shop", "kube-system"] })), Extent::SystemNamespaces);
    assert_eq!(of(json!({ "namespaceSelector": {} })), Extent::SystemNamespaces);
    assert_eq!(of(json!({ "cluster": true })), Extent::Cluster);
    assert_eq!(of(json!({ "namespaces": ["kube-public"] })), Extent::Namespaces);
    let simulator = running(json!({}));
    let mut unlabelled = simulator.request.clone();
    unlabelled.spec.scope = None;
    assert_eq!(extent(&unlabelled, None), Extent::SystemNamespaces, "what is bound counts");
    let more = request(json!({ "extends": "fix" }));
    assert_eq!(extent(&more, Some(&simulator.request)), Extent::SystemNamespaces);
    assert_eq!(extent(&more, Some(&request(json!({ "scope": { "cluster": true } })))), Extent::Cluster);
    assert_eq!(extent(&more, None), Extent::Namespaces);
}
