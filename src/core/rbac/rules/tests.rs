//! What a role covers. That the API server says the same is shown against a real one.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::core::laws::fixtures::{Words, any_rule, fault};

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

/// That a role lacks these verbs on a resource, on every object or the named one.
fn lacks(verbs: &str, group: &str, resource: &str, name: Option<&str>) -> Uncovered {
    let verbs = verbs.split(' ').map(str::to_owned).collect();
    Uncovered::Resource { verbs, group: group.to_owned(), resource: resource.to_owned(), name: name.map(str::to_owned) }
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
    let missing = vec![lacks("get", "", "deployments", None), lacks("get", "apps", "pods", None)];
    assert_eq!(covers(&role, &both), Err(missing));
    let union =
        [rule("get delete", "core", "pods", "a"), urls("get", "/metrics"), rule("get", "apps", "deployments", "")];
    assert_eq!(covers(&role, &union), Ok(()));
    // The verb of one rule and the resource of another make no right.
    let list = vec![lacks("list", "apps", "deployments", None)];
    assert_eq!(covers(&role, &[rule("list", "apps", "deployments", "")]), Err(list));
}

#[test]
fn what_is_not_covered_is_told_once_and_in_order() {
    let wanted = [
        rule("list get list", "core", "secrets", ""),
        rule("get", "core", "secrets", ""),
        rule("get", "*", "pods", "web"),
        urls("get", "/metrics"),
    ];
    let url = Uncovered::Url { verbs: vec!["get".to_owned()], url: "/metrics".to_owned() };
    let missing = vec![lacks("get list", "", "secrets", None), lacks("get", "*", "pods", Some("web")), url];
    assert_eq!(covers(&[], &wanted), Err(missing));
}

#[test]
fn what_is_told_is_bounded() {
    let many = |n: usize| (0..n).map(|i| format!("r{i:03}")).collect::<Vec<_>>().join(" ");
    let uncovered = |wanted: PolicyRule| covers(&[], &[wanted]).unwrap_err();
    assert_eq!(uncovered(rule("get", "core", &many(8), "")).len(), 8);
    let nine = uncovered(rule("get", "core", &many(9), ""));
    assert_eq!((nine.len(), &nine[8]), (9, &Uncovered::More(1)));
    let more = uncovered(rule("get list", "core", &many(100), ""));
    assert_eq!((more.len(), &more[8]), (9, &Uncovered::More(184)));
    let verbs = uncovered(rule(&many(20), "core", "pods", ""));
    assert_eq!(verbs, [lacks(&many(20), "", "pods", None)]);
    let told = verbs[0].to_string();
    assert!((0..20).all(|n| told.contains(&format!("r{n:03}")) == (n < MOST_NAMED)), "{told}");
    let hostile = rule(&format!("\n\u{202e}{}", "x".repeat(9000)), &"y".repeat(9000), &"z".repeat(9000), "a\u{0}");
    let hostile: Vec<String> = uncovered(hostile).iter().map(Uncovered::to_string).collect();
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
    assert_eq!(covers(&all, &too_many), Err(vec![Uncovered::TooMany(4097)]));
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

fn found(rules: Value) -> Vec<FieldError> {
    let rules: Vec<NarrowRule> = serde_json::from_value(rules).unwrap();
    faults(&rules)
}

/// A word in a list of the rule at this index.
fn word(field: &str, written: &str, word_fault: WordFault) -> FieldError {
    fault(&format!("spec.rules{field}"), RuleProblem::Word { written: quote(written), fault: word_fault })
}

#[test]
fn ordinary_rules_have_no_fault() {
    let rules = json!([
        { "verbs": ["get", "*", "impersonate:user-info"], "apiGroups": ["", "*", "apps", "metrics.k8s.io"],
          "resources": ["*", "pods", "pods/log", "*/scale", "queue_length"], "resourceNames": ["Web-1", "system:node", "me@x.org"] },
        { "verbs": ["approve"], "apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "resourceNames": ["example.com/*"] },
        { "verbs": ["get", "post"], "nonResourceURLs": ["*", "/metrics", "/logs/*", "/Logs*"] },
    ]);
    assert_eq!(found(rules), []);
    assert_eq!(found(json!([])), []);
}

#[test]
fn a_fault_names_its_field() {
    let ok = json!({ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] });
    let long = "x".repeat(254);
    use WordFault::{AllNames, AllSubresources, Empty, Letter, NoSlash, Star, TooLong, UpperCase};
    let with = |field: &str, value: Value| {
        let mut rule = ok.clone();
        rule[field] = value;
        found(json!([ok, rule]))
    };
    let long_verb = "x".repeat(64);
    for (field, wrong, expected) in [
        ("verbs", "", Empty),
        ("verbs", "Get", UpperCase),
        ("verbs", "ge*", Star),
        ("verbs", "get list", Letter),
        ("verbs", &long_verb, TooLong),
        ("apiGroups", "Apps", UpperCase),
        ("apiGroups", "*.k8s.io", Star),
        ("apiGroups", "apps/v1", Letter),
        ("apiGroups", &long, TooLong),
        ("resources", "", Empty),
        ("resources", "Pods", UpperCase),
        ("resources", "pods/*", AllSubresources),
        ("resources", "*/*", AllSubresources),
        ("resources", "po*", Star),
        ("resources", "pods/", Empty),
        ("resources", "/log", Empty),
        ("resources", "pods/Log", UpperCase),
        ("resources", "pods/a/b", Letter),
        ("resources", &long, TooLong),
        ("resourceNames", "", Empty),
        ("resourceNames", "*", AllNames),
        ("resourceNames", "web-*", Star),
        ("resourceNames", "example.com/*", Star),
        ("resourceNames", "a\nb", Letter),
        ("resourceNames", &long, TooLong),
    ] {
        let expected = word(&format!("[1].{field}[0]"), wrong, expected);
        assert_eq!(with(field, json!([wrong])), [expected], "{field} {wrong}");
    }
    assert_eq!(with("verbs", json!(["get", ""])), [word("[1].verbs[1]", "", Empty)]);
    assert_eq!(with("verbs", json!([])), [fault("spec.rules[1].verbs", RuleProblem::NoVerb)]);
    assert_eq!(with("apiGroups", json!([])), [fault("spec.rules[1].apiGroups", RuleProblem::NoGroup)]);
    let both = with("nonResourceURLs", json!(["/metrics"]));
    assert!(both.contains(&fault("spec.rules[1]", RuleProblem::ResourcesOrUrls)), "{both:?}");
    let long_url = format!("/{long}");
    for (url, expected) in
        [("", Empty), ("metrics", NoSlash), ("/a/*/b", Star), ("/a/**", Star), ("/a b", Letter), (&long_url, TooLong)]
    {
        let found = found(json!([{ "verbs": ["get"], "nonResourceURLs": [url] }]));
        assert_eq!(found, [word("[0].nonResourceURLs[0]", url, expected)]);
    }
    let neither = || fault("spec.rules[0]", RuleProblem::ResourcesOrUrls);
    let more = || fault("spec.rules[0].nonResourceURLs", RuleProblem::UrlsAndMore);
    for (rule, expected) in [
        (json!({ "verbs": ["get"] }), neither()),
        (json!({ "verbs": ["get"], "apiGroups": [""], "resourceNames": ["a"] }), neither()),
        (json!({ "verbs": ["get"], "nonResourceURLs": ["/a"], "apiGroups": [""] }), more()),
        (json!({ "verbs": ["get"], "nonResourceURLs": ["/a"], "resourceNames": ["a"] }), more()),
    ] {
        assert_eq!(found(json!([rule])), [expected], "{rule}");
    }
}

#[test]
fn faults_are_bounded_and_too_many_rights_are_one() {
    let bad = json!({ "verbs": ["G", "H"], "apiGroups": ["A"], "resources": ["P"] });
    assert_eq!(found(json!(vec![bad; 32])).len(), MOST_NAMED);
    let words = |n: usize| (0..n).map(|i| format!("w{i}")).collect::<Vec<_>>();
    let wide = json!({ "verbs": words(16), "apiGroups": words(16), "resources": words(16) });
    assert_eq!(found(json!([wide])), [], "exactly as many as may be");
    let more = json!({ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] });
    let many = RuleProblem::TooMany { there: MOST_RIGHTS + 1, most: MOST_RIGHTS };
    assert_eq!(found(json!([wide, more])), [fault("spec.rules", many)]);
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
    let (first, second) = (describe(std::slice::from_ref(&one)), describe(std::slice::from_ref(&url)));
    assert!(["delete", "pods", "web-0"].iter().all(|word| first.contains(word)), "{first}");
    assert_eq!(describe(&[one.clone(), url.clone()]), format!("{first} and {second}"));
    let many = describe(&vec![one; 5]);
    assert!(many.len() < 100 && many.matches("web-0").count() == 3, "{many}");
}
