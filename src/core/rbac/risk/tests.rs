//! What rules are said to be good for. The built-in roles are read from a real API server, in the trials.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::api::risk::RiskLevel::{Critical, High, Low, Medium};
use crate::core::laws::fixtures::{Words, any_rule};

const EXTENTS: [Extent; 3] = [Extent::Namespaces, Extent::SystemNamespaces, Extent::Cluster];

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(|word| word.replace("core", "")).collect()
}

/// A rule for resources, each list written as words.
fn rule(verbs: &str, group: &str, resources: &str) -> PolicyRule {
    let (api_groups, resources) = (Some(words(group)), Some(words(resources)));
    PolicyRule { verbs: words(verbs), api_groups, resources, ..PolicyRule::default() }
}

fn named(rule: PolicyRule, names: &str) -> PolicyRule {
    PolicyRule { resource_names: Some(words(names)), ..rule }
}

fn url(verbs: &str, urls: &str) -> PolicyRule {
    PolicyRule { verbs: words(verbs), non_resource_urls: Some(words(urls)), ..PolicyRule::default() }
}

/// The level in a namespace, that in the cluster, and words of a reason that is given in the latter. What is anything in
/// a namespace is in a protected one what it is in the cluster.
#[track_caller]
fn reads(rule: PolicyRule, here: RiskLevel, everywhere: RiskLevel, because: &str) {
    let rules = [rule];
    let (in_one, in_all) = (risk(&rules, Extent::Namespaces), risk(&rules, Extent::Cluster));
    assert_eq!((in_one.level, in_all.level), (here, everywhere), "{rules:?}: {in_one:?} {in_all:?}");
    let in_system = risk(&rules, Extent::SystemNamespaces);
    let there = if here == Low { Low } else { everywhere };
    assert_eq!(in_system.level, there, "{rules:?}: {in_system:?}");
    assert!(in_all.reasons.iter().any(|reason| reason.contains(because)), "{because}: {rules:?}: {in_all:?}");
}

#[test]
fn each_right_is_weighed_for_what_it_is_good_for() {
    const RBAC: &str = "rbac.authorization.k8s.io";
    const ADMISSION: &str = "admissionregistration.k8s.io";
    const CERTIFICATES: &str = "certificates.k8s.io";
    for (verbs, group, resources, here, everywhere, because) in [
        ("get list watch", "core", "secrets", High, Critical, "reads secrets"),
        ("update patch create delete deletecollection", "core", "secrets", Medium, Critical, "changes secrets"),
        ("create update patch", "core", "pods replicationcontrollers", High, Critical, "runs its own code"),
        (
            "create update patch",
            "apps",
            "deployments daemonsets statefulsets replicasets controllerrevisions",
            High,
            Critical,
            "runs its own code",
        ),
        ("create update patch", "batch", "jobs cronjobs", High, Critical, "runs its own code"),
        ("create get", "core", "pods/exec pods/attach */exec", High, Critical, "runs commands in running pods"),
        ("update patch", "core", "pods/ephemeralcontainers", High, Critical, "runs commands in running pods"),
        ("create get", "core", "pods/portforward pods/proxy services/proxy", Medium, Critical, "connects to pods"),
        ("get create", "core", "nodes/proxy", Low, Critical, "talks to the kubelet"),
        ("create update patch delete deletecollection", "core", "nodes nodes/status", Low, High, "changes nodes"),
        ("create", "core", "serviceaccounts/token", High, Critical, "makes tokens"),
        ("impersonate", "core", "users groups", Low, Critical, "impersonates users"),
        (
            "impersonate impersonate:user-info",
            "authentication.k8s.io",
            "users groups uids userextras userextras/scopes */scopes",
            Low,
            Critical,
            "impersonates users",
        ),
        ("impersonate:arbitrary-node", "authentication.k8s.io", "nodes", Low, Critical, "impersonates users"),
        (
            "impersonate",
            "core authentication.k8s.io",
            "serviceaccounts",
            High,
            Critical,
            "impersonates service accounts",
        ),
        ("escalate", RBAC, "roles", High, Critical, "escalates roles"),
        ("escalate", RBAC, "clusterroles", Low, Critical, "escalates cluster roles"),
        ("bind", RBAC, "roles clusterroles", High, Critical, "binds roles"),
        ("create update patch delete", RBAC, "roles rolebindings", High, Critical, "changes roles and their bindings"),
        (
            "create update patch delete",
            RBAC,
            "clusterroles clusterrolebindings",
            Low,
            Critical,
            "changes cluster roles",
        ),
        ("update patch", CERTIFICATES, "certificatesigningrequests/approval", Low, Critical, "has certificates signed"),
        ("approve sign", CERTIFICATES, "signers", Low, Critical, "has certificates signed"),
        (
            "create update patch delete",
            ADMISSION,
            "mutatingwebhookconfigurations validatingwebhookconfigurations",
            Low,
            Critical,
            "changes admission webhooks",
        ),
        (
            "create update patch delete",
            ADMISSION,
            "validatingadmissionpolicies validatingadmissionpolicybindings mutatingadmissionpolicies mutatingadmissionpolicybindings",
            Low,
            Critical,
            "changes admission policies",
        ),
        ("create patch delete", "apiextensions.k8s.io", "customresourcedefinitions", Low, High, "changes CRDs"),
        ("create patch delete", "apiregistration.k8s.io", "apiservices", Low, Critical, "changes API services"),
        ("create patch delete", "core", "persistentvolumes", Low, High, "hostPath"),
        ("update patch", "core", "namespaces", High, Critical, "pod security"),
        ("delete deletecollection", "core", "namespaces", High, Critical, "deletes namespaces"),
        ("create", "core", "namespaces", Low, Medium, "creates namespaces"),
        ("delete deletecollection", "core", "pods replicationcontrollers", Medium, Critical, "stops workloads"),
        (
            "delete deletecollection",
            "apps",
            "deployments daemonsets statefulsets replicasets",
            Medium,
            Critical,
            "stops workloads",
        ),
        ("delete deletecollection", "batch", "jobs cronjobs", Medium, Critical, "stops workloads"),
        ("create", "core", "pods/eviction", Medium, Critical, "stops workloads"),
        (
            "update patch",
            "apps",
            "deployments/scale statefulsets/scale replicasets/scale */scale",
            Medium,
            Critical,
            "stops workloads",
        ),
        ("delete", "core", "persistentvolumeclaims", Medium, Critical, "data goes with them"),
        ("create update patch delete", "core", "configmaps", Medium, Critical, "changes config maps"),
        ("create update patch", "core", "services endpoints", Medium, Critical, "where traffic goes"),
        (
            "create update patch",
            "networking.k8s.io",
            "ingresses networkpolicies",
            Medium,
            Critical,
            "where traffic goes",
        ),
        ("create", "authentication.k8s.io", "tokenreviews", Low, Medium, "tokens reviewed"),
        ("create update patch delete", "daypass.dev", "accesspolicies", Low, Critical, "decides who gets which role"),
        ("update patch", "daypass.dev", "accessrequests/status", Medium, High, "reviews requests"),
        ("create patch delete use", "example.com", "databases", Medium, Medium, "does not know"),
        ("get list watch", "core", "pods/log */log", Low, Low, "reads logs"),
    ] {
        // Each right on its own, or one of the table would pass for its neighbour.
        for verb in verbs.split(' ') {
            for group in group.split(' ') {
                for resource in resources.split(' ') {
                    reads(rule(verb, group, resource), here, everywhere, because);
                }
            }
        }
    }
}

/// Nothing by itself, and there it is how the leader is chosen, and what guards the rest.
#[test]
fn whatever_changes_in_a_protected_namespace_is_critical() {
    for (verbs, group, resources) in [
        ("create update patch delete", "coordination.k8s.io", "leases"),
        (
            "create update patch delete deletecollection",
            "core",
            "serviceaccounts limitranges resourcequotas podtemplates",
        ),
        ("create patch", "policy", "poddisruptionbudgets"),
        ("patch", "apps", "deployments/status"),
        ("patch", "resource.k8s.io", "resourceclaims"),
    ] {
        for (verb, resource) in verbs.split(' ').flat_map(|verb| resources.split(' ').map(move |of| (verb, of))) {
            let rules = [rule(verb, group, resource)];
            let level = |extent| risk(&rules, extent).level;
            assert_eq!(EXTENTS.map(level), [Low, Critical, Critical], "{rules:?}");
        }
    }
    let reason = risk(&[rule("patch", "coordination.k8s.io", "leases")], Extent::SystemNamespaces).reasons;
    assert_eq!(reason.len(), 1, "{reason:?}");
    assert!(
        reason[0].starts_with("Critical: changes what is in kube-system or in Daypass's own namespace"),
        "{reason:?}"
    );
    // A look is one look there as well, but for secrets; and what is not in a namespace is not in this one.
    for rules in [
        [rule("get list watch", "core apps batch", "pods configmaps deployments leases")],
        [rule("patch", "core", "nodes persistentvolumes")],
        [rule("create", "core events.k8s.io", "events")],
    ] {
        assert_eq!(risk(&rules, Extent::SystemNamespaces), Risk::default(), "{rules:?}");
    }
}

#[test]
fn what_is_harmless_has_no_reason() {
    for rules in [
        vec![],
        vec![rule("get list watch", "core", "pods configmaps services nodes namespaces events persistentvolumes")],
        vec![rule("get list watch", "apps batch", "deployments jobs deployments/scale")],
        vec![rule("get list watch", "rbac.authorization.k8s.io", "clusterroles roles rolebindings")],
        vec![rule("get list watch", "example.com", "databases")],
        vec![rule("create", "daypass.dev", "accessrequests"), rule("get", "daypass.dev", "accesspolicies")],
        // Near misses: the wrong group, no subresource, verbs that Kubernetes does not ask for there.
        vec![rule("get list", "apps", "secrets"), rule("get list", "core", "secrets/status Secrets secret pods/*")],
        vec![rule("create", "core", "deployments jobs"), rule("create", "apps", "pods")],
        vec![rule("impersonate", "core", "pods"), rule("bind", "core", "clusterroles")],
        vec![url("get", "/metrics /healthz /api/*")],
        // No verb, no group, no resource: no right.
        vec![PolicyRule { verbs: Vec::new(), ..rule("", "*", "*") }],
        vec![PolicyRule { api_groups: None, ..rule("*", "", "*") }],
        vec![PolicyRule { resources: Some(Vec::new()), ..rule("*", "*", "") }],
        vec![PolicyRule { verbs: Vec::new(), ..url("", "*") }],
    ] {
        for extent in EXTENTS {
            assert_eq!(risk(&rules, extent), Risk::default(), "{rules:?}");
        }
    }
}

#[test]
fn levels_are_ordered_and_printed_as_such() {
    let levels = [Low, Medium, High, Critical];
    assert!(levels.is_sorted());
    assert_eq!(levels.map(|level| level.to_string()), ["Low", "Medium", "High", "Critical"]);
}

#[test]
fn a_wildcard_is_told_first_and_as_one_and_then_what_it_implies() {
    for (rule, here, everywhere, first) in [
        (rule("*", "*", "*"), Critical, Critical, "Critical: may do everything"),
        (rule("get", "*", "*"), High, Critical, "Critical: has its verbs on every resource"),
        (rule("create", "apps", "*"), High, Critical, "High: has whole API groups"),
        (rule("get", "*", "secrets"), High, Critical, "High: has whole API groups"),
        (rule("*", "core", "secrets"), High, Critical, "High: has every verb"),
        (rule("*", "core", "events"), Medium, High, "High: has every verb"),
        (rule("*", "*", "events"), Medium, High, "High: has whole API groups"),
        (rule("*", "core", "*"), High, Critical, "High: has whole API groups"),
    ] {
        let rules = [rule];
        let (in_one, in_all) = (risk(&rules, Extent::Namespaces), risk(&rules, Extent::Cluster));
        assert_eq!((in_one.level, in_all.level), (here, everywhere), "{rules:?}: {in_all:?}");
        assert!(in_all.reasons[0].starts_with(first), "{in_all:?}");
        let wildcards = in_all.reasons.iter().filter(|reason| reason.contains("(*")).count();
        assert_eq!(wildcards, 1, "{in_all:?}");
    }
    let everything = risk(&[rule("*", "*", "*"), url("*", "*")], Extent::Cluster);
    // All that there is, but for the three lesser wildcards.
    assert_eq!(everything.reasons.len(), FINDINGS.len() - 3);
    assert!(everything.reasons[1..].is_sorted_by_key(|r| std::cmp::Reverse(level_of(r))), "the worst first");
    let read_all = risk(&[rule("get list watch", "*", "*")], Extent::Cluster);
    assert!(read_all.reasons.iter().any(|r| r.contains("reads secrets")), "{read_all:?}");
    assert!(read_all.reasons.iter().any(|r| r.contains("kubelet")), "{read_all:?}");
    assert!(!read_all.reasons.iter().any(|r| r.contains("changes")), "{read_all:?}");
}

fn level_of(reason: &str) -> RiskLevel {
    *[Low, Medium, High, Critical].iter().find(|l| reason.starts_with(&format!("{l}: "))).unwrap()
}

#[test]
fn urls_hold_in_the_whole_cluster_only() {
    reads(url("get", "*"), Low, High, "every URL");
    reads(url("get", "/*"), Low, High, "every URL");
    for inside in ["/debug/*", "/logs/kube.log", "/configz", "/de*", "/logs/"] {
        reads(url("get", inside), Low, Medium, "looks into the API server");
    }
    // A rule of resources says nothing of URLs.
    assert!(!risk(&[rule("*", "*", "*")], Extent::Cluster).reasons.iter().any(|reason| reason.contains("URL")));
}

#[test]
fn names_are_said_and_lower_nothing() {
    let secrets = || rule("get", "core", "secrets");
    let message = |rules: &[PolicyRule]| {
        let risk = risk(rules, Extent::Namespaces);
        (risk.level, risk.reasons[0].rsplit_once("as to get them").unwrap_or_default().1.to_owned())
    };
    assert_eq!(message(&[named(secrets(), "db")]), (High, " (only db)".to_owned()));
    assert_eq!(message(&[named(secrets(), "db"), named(secrets(), "app db")]), (High, " (only app, db)".to_owned()));
    assert_eq!(message(&[named(secrets(), "db"), secrets()]), (High, String::new()));
    let empty = PolicyRule { resource_names: Some(Vec::new()), ..secrets() };
    assert_eq!(message(&[empty]), (High, String::new()), "no names are all names");
    let many: Vec<String> = (0..30).map(|i| format!("n{i:02}")).collect();
    let (_, many) = message(&[named(secrets(), &many.join(" "))]);
    assert_eq!(many, " (only n00, n01, n02, n03, n04, n05, n06, n07 and 22 more)");
    let hostile = named(secrets(), &format!("\n{}", "x".repeat(9000)));
    let (_, hostile) = message(&[hostile]);
    assert!(hostile.starts_with(" (only \\nxxx") && hostile.len() < 100, "{hostile}");
    // Kubernetes does not look at names for URLs.
    assert!(
        risk(&[named(url("get", "*"), "x")], Extent::Cluster).reasons.iter().all(|reason| !reason.contains("only"))
    );
}

#[test]
fn every_finding_is_one_short_line_of_its_own() {
    let mut texts: Vec<&str> = FINDINGS.iter().map(|finding| finding.text).collect();
    assert!(texts.iter().all(|text| text.len() <= 130), "{texts:#?}");
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), FINDINGS.len());
    for finding in FINDINGS {
        assert!(finding.here.is_none_or(|here| here <= finding.everywhere), "{}", finding.text);
    }
}

/// Words for rules: every one that the table knows of is too many, so some of each kind, and some without meaning.
const WORDS: Words = Words {
    verbs: &["get", "create", "update", "delete", "bind", "impersonate:user-info", "*", ""],
    groups: &["", "apps", "rbac.authorization.k8s.io", "authentication.k8s.io", "example.com", "*"],
    resources: &[
        "pods",
        "pods/exec",
        "pods/log",
        "secrets",
        "deployments",
        "deployments/scale",
        "roles",
        "clusterroles",
        "nodes",
        "userextras/a",
        "*",
        "*/scale",
        "pods/*",
        "/",
    ],
    names: &["a", "b", "*"],
    urls: &["/metrics", "/logs/*", "/de*", "*", "**", ""],
};

fn any_rules() -> impl Strategy<Value = Vec<PolicyRule>> {
    prop::collection::vec(any_rule(&WORDS), 0..5)
}

/// Each single right as a rule of its own.
fn split(rule: &PolicyRule) -> Vec<PolicyRule> {
    let one = |text: &String| Some(vec![text.clone()]);
    let mut rights = Vec::new();
    for verb in &rule.verbs {
        let right = PolicyRule { verbs: vec![verb.clone()], ..PolicyRule::default() };
        for group in list(&rule.api_groups) {
            for resource in list(&rule.resources) {
                let right = PolicyRule { api_groups: one(group), resources: one(resource), ..right.clone() };
                let names = list(&rule.resource_names);
                if names.is_empty() {
                    rights.push(right.clone());
                }
                rights.extend(names.iter().map(|name| PolicyRule { resource_names: one(name), ..right.clone() }));
            }
        }
        let urls = list(&rule.non_resource_urls).iter();
        rights.extend(urls.map(|url| PolicyRule { non_resource_urls: one(url), ..right.clone() }));
    }
    rights
}

/// The findings without the names that they hold for.
fn findings(risk: &Risk) -> BTreeSet<&str> {
    risk.reasons.iter().map(|reason| reason.split(" (only ").next().unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_more_rule_never_says_less(rules in any_rules(), more in any_rule(&WORDS), extent in select(EXTENTS.to_vec())) {
        let before = risk(&rules, extent);
        let after = risk(&rules.into_iter().chain([more]).collect::<Vec<_>>(), extent);
        prop_assert!(after.level >= before.level, "{before:?} {after:?}");
        prop_assert!(findings(&after).is_superset(&findings(&before)), "{before:?} {after:?}");
    }

    #[test]
    fn rules_say_the_same_however_they_are_split(rules in any_rules(), extent in select(EXTENTS.to_vec())) {
        let rights: Vec<PolicyRule> = rules.iter().flat_map(split).collect();
        prop_assert_eq!(risk(&rights, extent), risk(&rules, extent));
    }

    #[test]
    fn the_order_of_rules_and_words_does_not_matter(
        (rules, shuffled) in any_rules().prop_flat_map(|rules| (Just(rules.clone()), Just(rules).prop_shuffle())),
        extent in select(EXTENTS.to_vec()),
    ) {
        let backwards = |texts: Vec<String>| texts.into_iter().rev().collect::<Vec<_>>();
        let shuffled: Vec<PolicyRule> = shuffled.into_iter().map(|rule| PolicyRule {
            verbs: backwards(rule.verbs),
            api_groups: rule.api_groups.map(backwards),
            resources: rule.resources.map(backwards),
            resource_names: rule.resource_names.map(backwards),
            non_resource_urls: rule.non_resource_urls.map(backwards),
        }).collect();
        prop_assert_eq!(risk(&shuffled, extent), risk(&rules, extent));
    }

    #[test]
    fn the_wider_it_holds_the_more_it_is(rules in any_rules()) {
        let [here, there, everywhere] = EXTENTS.map(|extent| risk(&rules, extent));
        prop_assert!(here.level <= there.level && there.level <= everywhere.level);
        prop_assert!(here.reasons.len() <= there.reasons.len() && there.reasons.len() <= everywhere.reasons.len());
    }

    #[test]
    fn the_level_is_that_of_the_worst_reason(rules in any_rules(), extent in select(EXTENTS.to_vec())) {
        let risk = risk(&rules, extent);
        let worst = risk.reasons.iter().map(|reason| level_of(reason)).max().unwrap_or_default();
        prop_assert_eq!(risk.level, worst);
    }

    #[test]
    fn no_rule_is_too_hostile(
        verb in select(vec!["*", "get", "\u{0}"]),
        texts in prop::collection::vec(".*", 0..6),
    ) {
        let rule = PolicyRule {
            verbs: vec![verb.to_owned()],
            api_groups: Some(texts.iter().cloned().chain(["*".into()]).collect()),
            resources: Some(texts.iter().cloned().chain(["*".into()]).collect()),
            resource_names: Some(texts.clone()),
            non_resource_urls: Some(texts),
        };
        let risk = risk(&[rule.clone(), rule], Extent::Cluster);
        prop_assert!(risk.reasons.len() <= FINDINGS.len());
        prop_assert!(risk.reasons.iter().all(|reason| !reason.contains(char::is_control) && reason.len() < 6000));
    }
}
