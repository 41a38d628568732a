//! What a role covers. That the API server says the same is shown against a real one.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::core::laws::fixtures::{Words, any_rule};

fn rules(rules: Value) -> Vec<PolicyRule> {
    serde_json::from_value(rules).unwrap()
}

/// A rule for resources, each list written as words.
fn rule(verbs: &str, groups: &str, resources: &str, names: &str) -> PolicyRule {
    let words = |text: &str| text.split(' ').map(|word| word.replace("core", "")).collect::<Vec<_>>();
    let some = |text: &str| (!text.is_empty()).then(|| words(text));
    PolicyRule {
        verbs: if verbs.is_empty() { Vec::new() } else { words(verbs) },
        api_groups: some(groups),
        resources: some(resources),
        resource_names: some(names),
        non_resource_urls: None,
    }
}

fn urls(verbs: &str, urls: &str) -> PolicyRule {
    PolicyRule { resources: None, non_resource_urls: rule("", "", urls, "").resources, ..rule(verbs, "", "", "") }
}

fn message(role: &[PolicyRule], wanted: &[PolicyRule]) -> Vec<String> {
    covers(role, wanted).err().unwrap_or_default().iter().map(Uncovered::to_string).collect()
}

#[test]
fn a_right_is_covered_as_kubernetes_says() {
    for (role, wanted, is) in [
        (("get list", "core", "pods", ""), ("get", "core", "pods", ""), true),
        (("get", "core", "pods", ""), ("get list", "core", "pods", ""), false),
        (("get", "core", "pods", ""), ("Get", "core", "pods", ""), false),
        (("get", "apps", "pods", ""), ("get", "core", "pods", ""), false),
        (("*", "core", "pods", ""), ("get *", "core", "pods", ""), true),
        (("get list watch", "core", "pods", ""), ("*", "core", "pods", ""), false),
        (("get", "*", "pods", ""), ("get", "core apps *", "pods", ""), true),
        (("get", "core apps", "pods", ""), ("get", "*", "pods", ""), false),
        (("get", "core", "*", ""), ("get", "core", "* pods pods/log */log", ""), true),
        (("get", "core", "pods", ""), ("get", "core", "*", ""), false),
        (("get", "core", "pods", ""), ("get", "core", "pods/log", ""), false),
        (("get", "core", "pods/log", ""), ("get", "core", "pods", ""), false),
        (("get", "core", "*/log", ""), ("get", "core", "pods/log */log", ""), true),
        (("get", "core", "*/log", ""), ("get", "core", "pods/status", ""), false),
        (("get", "core", "*/log", ""), ("get", "core", "pods/catalog", ""), false),
        (("get", "core", "*/catalog", ""), ("get", "core", "pods/log", ""), false),
        (("get", "core", "*/log", ""), ("get", "core", "log", ""), false),
        (("get", "core", "pods/log", ""), ("get", "core", "*/log", ""), false),
        // No such thing as all subresources of one resource, nor of all.
        (("get", "core", "pods/*", ""), ("get", "core", "pods/log", ""), false),
        (("get", "core", "pods/*", ""), ("get", "core", "pods/*", ""), true),
        (("get", "core", "*/*", ""), ("get", "core", "pods/log", ""), false),
        (("get", "core", "*/*", ""), ("get", "core", "pods/*", ""), true),
        (("get", "core", "p*", ""), ("get", "core", "pods", ""), false),
        // Only the first slash parts a resource from its subresource.
        (("get", "core", "*/a/b", ""), ("get", "core", "pods/a/b", ""), true),
        (("get", "core", "*/b", ""), ("get", "core", "pods/a/b", ""), false),
        (("get", "core", "pods", "a b"), ("get", "core", "pods", "b"), true),
        (("get", "core", "pods", "a b"), ("get", "core", "pods", "a c"), false),
        (("get", "core", "pods", ""), ("get", "core", "pods", "a"), true),
        (("get", "core", "pods", "a"), ("get", "core", "pods", ""), false),
        (("get", "core", "pods", "*"), ("get", "core", "pods", "a"), false),
        (("get", "core", "pods", "*"), ("get", "core", "pods", ""), false),
        (("", "core", "pods", ""), ("get", "core", "pods", ""), false),
        (("get", "", "pods", ""), ("get", "core", "pods", ""), false),
        // No verb, no group or no resource is no right, and nothing is always covered.
        (("", "", "", ""), ("", "core", "pods", ""), true),
        (("", "", "", ""), ("get", "", "pods", ""), true),
        (("", "", "", ""), ("get", "core", "", ""), true),
    ] {
        let rule = |(verbs, groups, resources, names)| rule(verbs, groups, resources, names);
        assert_eq!(covers(&[rule(role)], &[rule(wanted)]).is_ok(), is, "{role:?} {wanted:?}");
    }
}

#[test]
fn a_url_is_covered_as_kubernetes_says() {
    for (role, wanted, is) in [
        ("/metrics", "/metrics", true),
        ("/metrics", "/metrics/", false),
        ("/logs/*", "/logs/ /logs/a /logs/a/b /logs/* /logs/a*", true),
        ("/logs/*", "/logs", false),
        ("/logs*", "/logs /logsother /logs/*", true),
        ("/logs/**", "/logs/a", true),
        ("/logs/*/a", "/logs/b/a", false),
        ("/logs/*/a", "/logs/*/a", true),
        ("/logs/a", "/logs/*", false),
        ("*", "* /metrics", true),
        ("/*", "/metrics /*", true),
        ("/*", "*", false),
        ("", "/metrics", false),
    ] {
        assert_eq!(covers(&[urls("get", role)], &[urls("get", wanted)]).is_ok(), is, "{role:?} {wanted:?}");
    }
    assert!(covers(&[urls("*", "*")], &[urls("get *", "/metrics")]).is_ok());
    assert!(covers(&[urls("get", "*")], &[urls("post", "/metrics")]).is_err());
    let resources = rule("*", "*", "*", "");
    assert!(covers(std::slice::from_ref(&resources), &[urls("get", "/metrics")]).is_err());
    assert!(covers(&[urls("*", "*")], &[rule("get", "core", "pods", "")]).is_err());
    // A rule for both, which the API server would not store, still has nothing of a URL when it has names.
    let named = PolicyRule { non_resource_urls: Some(vec!["*".into()]), ..rule("*", "*", "*", "a") };
    assert!(covers(&[named], &[urls("get", "/metrics")]).is_err());
}

#[test]
fn a_role_covers_with_all_its_rules_together() {
    let role = [
        rule("get list", "core", "pods", ""),
        rule("delete", "core", "*", "a"),
        rule("get", "apps", "deployments", ""),
        urls("get", "/metrics"),
    ];
    let both = [rule("get", "core apps", "pods deployments", "")];
    let missing =
        ["the role does not allow get on deployments of the core group", "the role does not allow get on pods of apps"];
    assert_eq!(message(&role, &both), missing);
    let union =
        [rule("get delete", "core", "pods", "a"), urls("get", "/metrics"), rule("get", "apps", "deployments", "")];
    assert_eq!(covers(&role, &union), Ok(()));
    // The verb of one rule and the resource of another make no right.
    assert_eq!(message(&role, &[rule("list", "apps", "deployments", "")]).len(), 1);
}

#[test]
fn what_is_not_covered_is_told_once_and_in_order() {
    let wanted = [
        rule("list get list", "core", "secrets", ""),
        rule("get", "core", "secrets", ""),
        rule("get", "*", "pods", "web"),
        urls("get", "/metrics"),
    ];
    assert_eq!(
        message(&[], &wanted),
        [
            "the role does not allow get, list on secrets of the core group",
            "the role does not allow get on pods of every API group named web",
            "the role does not allow get on URL /metrics",
        ]
    );
}

#[test]
fn what_is_told_is_bounded() {
    let many = |n: usize| (0..n).map(|i| format!("r{i:03}")).collect::<Vec<_>>().join(" ");
    let eight = message(&[], &[rule("get", "core", &many(8), "")]);
    assert_eq!(eight.len(), 8);
    let nine = message(&[], &[rule("get", "core", &many(9), "")]);
    assert_eq!((nine.len(), nine[8].as_str()), (9, "nor does it allow 1 more right"));
    let more = message(&[], &[rule("get list", "core", &many(100), "")]);
    assert_eq!((more.len(), more[8].as_str()), (9, "nor does it allow 184 more rights"));
    let verbs = message(&[], &[rule(&many(20), "core", "pods", "")]);
    assert!(verbs[0].contains("r007 and 12 more on pods"), "{verbs:?}");
    let hostile = rule(&format!("\n\u{202e}{}", "x".repeat(9000)), &"y".repeat(9000), &"z".repeat(9000), "a\u{0}");
    let hostile = message(&[], &[hostile]);
    assert!(hostile[0].len() < 400 && !hostile[0].contains(char::is_control), "{hostile:?}");
    assert!(hostile[0].contains("\\n\\u{202e}xxx"), "{hostile:?}");
}

#[test]
fn too_many_rights_are_not_compared_and_never_covered() {
    let all = [rule("*", "*", "*", "")];
    let names = |n: usize| (0..n).map(|i| format!("n{i}")).collect::<Vec<_>>().join(" ");
    assert_eq!(MOST_RIGHTS, 4096);
    assert_eq!(covers(&all, &[rule("get", "core", "pods", &names(4096))]), Ok(()));
    let too_many = [rule("get", "core", "pods", &names(4096)), rule("get", "core", "pods", "")];
    assert_eq!(
        message(&all, &too_many),
        ["4097 single rights are wanted, at most 4096 are compared: split the request"]
    );
    let urls = PolicyRule { non_resource_urls: Some(vec!["/a".into(); 1025]), ..rule("a b c d", "", "", "") };
    assert_eq!(covers(&[], &[urls]), Err(vec![Uncovered::TooMany(4100)]));
    let huge = vec!["x".to_owned(); 70_000];
    let huge = PolicyRule {
        verbs: huge.clone(),
        api_groups: Some(huge.clone()),
        resources: Some(huge.clone()),
        resource_names: Some(huge),
        non_resource_urls: None,
    };
    assert_eq!(rights(&[huge.clone(), huge.clone()]), usize::MAX, "counted without overflow");
    assert!(covers(&all, &[huge]).is_err());
}

#[test]
fn a_rule_of_a_request_is_the_same_rule_in_a_role() {
    let narrow: NarrowRule = serde_json::from_value(json!({
        "verbs": ["get"], "apiGroups": ["", "apps"], "resources": ["pods"], "resourceNames": ["a"],
    }))
    .unwrap();
    assert_eq!(from_narrow(&narrow), rule("get", "core apps", "pods", "a"));
    let narrow: NarrowRule =
        serde_json::from_value(json!({ "verbs": ["get"], "nonResourceURLs": ["/metrics"] })).unwrap();
    // Empty lists are left out, as the API server would.
    assert_eq!(vec![from_narrow(&narrow)], rules(json!([{ "verbs": ["get"], "nonResourceURLs": ["/metrics"] }])));
}

fn found(rules: Value) -> Vec<String> {
    let rules: Vec<NarrowRule> = serde_json::from_value(rules).unwrap();
    faults(&rules).iter().map(FieldError::to_string).collect()
}

#[test]
fn ordinary_rules_have_no_fault() {
    let rules = json!([
        { "verbs": ["get", "*", "impersonate:user-info"], "apiGroups": ["", "*", "apps", "metrics.k8s.io"],
          "resources": ["*", "pods", "pods/log", "*/scale", "queue_length"], "resourceNames": ["Web-1", "system:node", "me@x.org"] },
        { "verbs": ["approve"], "apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "resourceNames": ["example.com/*"] },
        { "verbs": ["get", "post"], "nonResourceURLs": ["*", "/metrics", "/logs/*", "/Logs*"] },
    ]);
    assert_eq!(found(rules), Vec::<String>::new());
    assert_eq!(found(json!([])), Vec::<String>::new());
}

#[test]
fn a_fault_names_its_field() {
    let ok = json!({ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] });
    let long = "x".repeat(254);
    for (field, value, message) in [
        ("verbs", json!([]), "spec.rules[1].verbs: give at least one verb"),
        ("verbs", json!(["get", ""]), "spec.rules[1].verbs[1]: \"\" is empty"),
        ("verbs", json!(["Get"]), "spec.rules[1].verbs[0]: \"Get\" must be in lower case"),
        ("verbs", json!(["ge*"]), "spec.rules[1].verbs[0]: \"ge*\" has a *"),
        ("verbs", json!(["get list"]), "spec.rules[1].verbs[0]: \"get list\" has a letter"),
        ("verbs", json!(["x".repeat(64)]), "is too long"),
        ("apiGroups", json!([]), "spec.rules[1].apiGroups: give at least one API group"),
        ("apiGroups", json!(["Apps"]), "spec.rules[1].apiGroups[0]: \"Apps\" must be in lower case"),
        ("apiGroups", json!(["*.k8s.io"]), "spec.rules[1].apiGroups[0]: \"*.k8s.io\" has a *"),
        ("apiGroups", json!(["apps/v1"]), "spec.rules[1].apiGroups[0]: \"apps/v1\" has a letter"),
        ("apiGroups", json!([long]), "is too long"),
        ("resources", json!(["pods", ""]), "spec.rules[1].resources[1]: \"\" is empty"),
        ("resources", json!(["Pods"]), "spec.rules[1].resources[0]: \"Pods\" must be in lower case"),
        ("resources", json!(["pods/*"]), "spec.rules[1].resources[0]: \"pods/*\" asks for all subresources"),
        ("resources", json!(["*/*"]), "spec.rules[1].resources[0]: \"*/*\" asks for all subresources"),
        ("resources", json!(["po*"]), "spec.rules[1].resources[0]: \"po*\" has a *"),
        ("resources", json!(["pods/"]), "spec.rules[1].resources[0]: \"pods/\" is empty"),
        ("resources", json!(["/log"]), "spec.rules[1].resources[0]: \"/log\" is empty"),
        ("resources", json!(["pods/Log"]), "must be in lower case"),
        ("resources", json!(["pods/a/b"]), "has a letter"),
        ("resources", json!([long]), "is too long"),
        ("resourceNames", json!([""]), "spec.rules[1].resourceNames[0]: \"\" is empty"),
        ("resourceNames", json!(["*"]), "spec.rules[1].resourceNames[0]: \"*\" is one object of that name"),
        ("resourceNames", json!(["web-*"]), "spec.rules[1].resourceNames[0]: \"web-*\" has a *"),
        ("resourceNames", json!(["example.com/*"]), "spec.rules[1].resourceNames[0]: \"example.com/*\" has a *"),
        ("resourceNames", json!(["a\nb"]), "spec.rules[1].resourceNames[0]: \"a\\nb\" has a letter"),
        ("resourceNames", json!([long]), "is too long"),
        ("nonResourceURLs", json!(["/metrics"]), "spec.rules[1]: a rule is for resources or for nonResourceURLs"),
    ] {
        let mut rule = ok.clone();
        rule[field] = value;
        let found = found(json!([ok, rule]));
        assert!(found.iter().any(|fault| fault.contains(message)), "{message}: {found:?}");
    }
    for (urls, message) in [
        (json!([""]), "nonResourceURLs[0]: \"\" is empty"),
        (json!(["metrics"]), "nonResourceURLs[0]: \"metrics\" must begin with /"),
        (json!(["/a/*/b"]), "nonResourceURLs[0]: \"/a/*/b\" has a *"),
        (json!(["/a/**"]), "has a *"),
        (json!(["/a b"]), "has a letter"),
        (json!([format!("/{long}")]), "is too long"),
    ] {
        let found = found(json!([{ "verbs": ["get"], "nonResourceURLs": urls }]));
        assert!(found.len() == 1 && found[0].contains(message), "{message}: {found:?}");
    }
    for (rule, message) in [
        (json!({ "verbs": ["get"] }), "spec.rules[0]: a rule is for"),
        (json!({ "verbs": ["get"], "apiGroups": [""], "resourceNames": ["a"] }), "spec.rules[0]: a rule is for"),
        (
            json!({ "verbs": ["get"], "nonResourceURLs": ["/a"], "apiGroups": [""] }),
            "spec.rules[0].nonResourceURLs: URLs have no",
        ),
        (
            json!({ "verbs": ["get"], "nonResourceURLs": ["/a"], "resourceNames": ["a"] }),
            "spec.rules[0].nonResourceURLs: URLs have no",
        ),
    ] {
        let found = found(json!([rule]));
        assert!(found.iter().any(|fault| fault.starts_with(message)), "{message}: {found:?}");
    }
}

#[test]
fn faults_are_bounded_and_too_many_rights_are_one() {
    let bad = json!({ "verbs": ["G", "H"], "apiGroups": ["A"], "resources": ["P"] });
    assert_eq!(found(json!(vec![bad; 32])).len(), MOST_NAMED);
    let words = |n: usize| (0..n).map(|i| format!("w{i}")).collect::<Vec<_>>();
    let wide = json!({ "verbs": words(16), "apiGroups": words(16), "resources": words(16) });
    assert_eq!(found(json!([wide])), Vec::<String>::new(), "exactly as many as may be");
    let more = json!({ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] });
    assert_eq!(
        found(json!([wide, more])),
        ["spec.rules: 4097 single rights are wanted, at most 4096 are compared: split the request"]
    );
}

/// Words for rules, some with a meaning and some without.
const WORDS: Words = Words {
    verbs: &["get", "list", "*", ""],
    groups: &["", "apps", "*", "a/b"],
    resources: &["pods", "pods/log", "*", "*/log", "pods/*", "*/*", "/", "jobs"],
    names: &["a", "b", "*"],
    urls: &["/", "/a", "/a/b", "/a/*", "/a*", "*", "**", ""],
};

fn any_rules() -> impl Strategy<Value = Vec<PolicyRule>> {
    prop::collection::vec(any_rule(&WORDS), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn more_in_the_role_covers_no_less(role in any_rules(), wanted in any_rules(), more in any_rule(&WORDS)) {
        if covers(&role, &wanted).is_ok() {
            let larger: Vec<PolicyRule> = std::iter::once(more).chain(role).collect();
            prop_assert_eq!(covers(&larger, &wanted), Ok(()));
        }
    }

    #[test]
    fn what_is_wanted_is_judged_rule_by_rule(role in any_rules(), wanted in any_rules()) {
        let each = wanted.iter().all(|rule| covers(&role, std::slice::from_ref(rule)).is_ok());
        prop_assert_eq!(covers(&role, &wanted).is_ok(), each);
    }

    #[test]
    fn what_covers_a_role_covers_what_that_role_covers(
        a in any_rules(), b in any_rules(), c in any_rules()
    ) {
        if covers(&a, &b).is_ok() && covers(&b, &c).is_ok() {
            prop_assert_eq!(covers(&a, &c), Ok(()));
        }
    }

    #[test]
    fn a_role_of_resources_or_urls_covers_itself(role in any_rules()) {
        let apart: Vec<PolicyRule> = role.into_iter().flat_map(|rule| [
            PolicyRule { non_resource_urls: None, ..rule.clone() },
            PolicyRule { resources: None, resource_names: None, ..rule },
        ]).collect();
        prop_assert_eq!(covers(&apart, &apart), Ok(()));
    }

    #[test]
    fn no_rule_is_too_hostile(verbs in prop::collection::vec(".*", 0..3), texts in prop::collection::vec(".*", 0..4)) {
        let narrow = NarrowRule {
            verbs: verbs.clone(),
            api_groups: texts.clone(),
            resources: texts.clone(),
            resource_names: texts.clone(),
            non_resource_urls: texts,
        };
        let message = faults(&[narrow.clone(), narrow.clone()]);
        prop_assert!(!message.is_empty() && message.len() <= MOST_NAMED);
        prop_assert!(message.iter().all(|fault| fault.to_string().len() < 1200));
        let rules = [from_narrow(&narrow)];
        let missing = covers(&[], &rules).err().unwrap_or_default();
        prop_assert!(missing.iter().all(|m| !m.to_string().contains(char::is_control)));
    }
}

#[test]
fn the_rules_of_a_request_are_told_in_a_few_words() {
    let rule = |value: serde_json::Value| serde_json::from_value::<NarrowRule>(value).unwrap();
    let one =
        rule(json!({ "verbs": ["delete"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["web-0"] }));
    let url = rule(json!({ "verbs": ["get"], "nonResourceURLs": ["/metrics"] }));
    assert_eq!(describe(std::slice::from_ref(&one)), "delete on pods web-0");
    assert_eq!(describe(&[one.clone(), url.clone()]), "delete on pods web-0 and get on /metrics");
    let many = vec![one; 5];
    assert!(describe(&many).ends_with(" and 2 rules more") && describe(&many).len() < 100);
}
