//! What rules are said to be good for. The built-in roles are read from a real API server, in the trials, and what is said
//! of real roles and of single rights, word for word, is a table there (`e2e/risk_table`).

use proptest::prelude::*;
use proptest::sample::select;

use super::finding::{CHANGE, READ};
use super::kinds::{HARMLESS, known};
use super::*;
use crate::api::risk::RiskLevel::{Critical, High, Low, Medium};
use crate::core::laws::fixtures::{Words, any_rule};
use crate::core::rbac::rules::list;

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
            "deployments daemonsets statefulsets replicasets",
            High,
            Critical,
            "runs its own code",
        ),
        ("create", "apps", "controllerrevisions", High, Critical, "runs its own code"),
        // Neither the template of a job nor what is in a revision can be changed.
        ("update patch", "apps", "controllerrevisions", Medium, Critical, "stops workloads"),
        ("update patch", "batch", "jobs", Medium, Critical, "stops workloads"),
        ("create", "batch", "jobs cronjobs", High, Critical, "runs its own code"),
        ("update patch", "batch", "cronjobs", High, Critical, "runs its own code"),
        ("create get", "core", "pods/exec pods/attach */exec", High, Critical, "runs commands in running pods"),
        ("update patch", "core", "pods/ephemeralcontainers", High, Critical, "runs commands in running pods"),
        ("create get", "core", "pods/portforward pods/proxy services/proxy", Medium, Critical, "connects to pods"),
        ("get create", "core", "nodes/proxy", Low, Critical, "talks to the kubelets"),
        ("create update patch delete deletecollection", "core", "nodes nodes/status", Low, High, "changes nodes"),
        ("create", "core", "serviceaccounts/token", High, Critical, "makes tokens"),
        ("impersonate", "core", "users groups", Low, Critical, "impersonates users"),
        (
            "impersonate impersonate:user-info",
            "authentication.k8s.io",
            "users groups uids userextras userextras/scopes",
            Low,
            Critical,
            "impersonates users",
        ),
        // A part of that name of every kind, also of those that are not known.
        ("impersonate", "authentication.k8s.io", "*/scopes", High, Critical, "impersonates users"),
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
        ("bind", RBAC, "roles", High, Critical, "binds roles"),
        ("bind", RBAC, "clusterroles", High, Critical, "binds cluster roles that it does not hold"),
        ("create update patch delete", RBAC, "roles rolebindings", High, Critical, "changes roles and their bindings"),
        (
            "create update patch delete",
            RBAC,
            "clusterroles clusterrolebindings",
            Low,
            Critical,
            "changes cluster roles",
        ),
        ("update patch", CERTIFICATES, "certificatesigningrequests/approval", Low, High, "approves or fills in"),
        ("create", CERTIFICATES, "certificatesigningrequests/nodeclient", Low, Critical, "acts as any node"),
        ("create", CERTIFICATES, "podcertificaterequests", High, High, "certificates of pods"),
        ("create update patch delete", CERTIFICATES, "clustertrustbundles", Low, High, "whose certificates pods trust"),
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
        ("administer", "daypass.dev", "accesspolicies", Low, Critical, "administers it"),
        ("delete", "daypass.dev", "accessrequests", Medium, Medium, "ends the access of others"),
        ("create patch delete use purge", "example.com", "databases databases/status", High, Critical, "does not know"),
        ("update patch", "example.com", "databases/scale", Medium, High, "scales what is not built in"),
        ("create patch delete", "core apps", "sidecarsets pods/checkpoint", High, Critical, "does not know"),
        ("purge", "core apps", "pods deployments", Medium, High, "verbs that this reading does not know"),
        ("create", "argoproj.io", "workflows cronworkflows", High, Critical, "run its code"),
        ("create patch", "tekton.dev", "taskruns pipelineruns", High, Critical, "run its code"),
        ("create patch", "serving.knative.dev", "services", High, Critical, "run its code"),
        ("create patch", "helm.toolkit.fluxcd.io", "helmreleases", Critical, Critical, "has manifests applied"),
        ("create patch", "kustomize.toolkit.fluxcd.io", "kustomizations", Critical, Critical, "has manifests applied"),
        ("create patch", "argoproj.io", "applications", Critical, Critical, "has manifests applied"),
        ("get", "subresources.kubevirt.io", "virtualmachineinstances/console", High, Critical, "opens consoles"),
        ("approve", "cert-manager.io", "signers", Medium, Medium, "approves certificates"),
        ("update", "tekton.dev", "taskruns/status", High, Critical, "run its code"),
        ("patch", "source.toolkit.fluxcd.io", "gitrepositories/status", Critical, Critical, "has manifests applied"),
        ("create", "bitnami.com", "sealedsecrets", Medium, Critical, "has secrets made"),
        ("create patch delete", "cert-manager.io", "certificates", Medium, High, "has certificates issued"),
        ("create update patch delete", "coordination.k8s.io", "leases", Medium, Critical, "changes leases"),
        ("create update patch delete", "core", "resourcequotas limitranges", Medium, Critical, "changes quotas"),
        ("create update patch delete", "core", "serviceaccounts", Medium, Critical, "changes service accounts"),
        (
            "create update patch delete",
            "flowcontrol.apiserver.k8s.io",
            "flowschemas prioritylevelconfigurations",
            Low,
            High,
            "whose calls the API server serves first",
        ),
        ("create patch delete", "storage.k8s.io", "csidrivers storageclasses", Low, High, "how volumes are made"),
        ("create patch", "core events.k8s.io", "events", Low, Low, "writes events"),
        ("delete", "core events.k8s.io", "events", Medium, Medium, "deletes events"),
        ("get list watch", "core", "pods/log", Low, Low, "reads logs of pods"),
        ("get list watch", "core", "nodes/log nodes/configz */log", Low, Medium, "reads logs and settings of nodes"),
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

/// Little by itself, and there it is how the leader is chosen, and what guards the rest.
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
            assert_eq!(EXTENTS.map(level), [Medium, Critical, Critical], "{rules:?}");
        }
    }
    let reason = risk(&[rule("patch", "coordination.k8s.io", "leases")], Extent::SystemNamespaces).reasons;
    assert_eq!(reason.len(), 2, "{reason:?}");
    assert!(
        reason[0].starts_with("Critical: changes what is in kube-system or in Daypass's own namespace"),
        "{reason:?}"
    );
    // A look is one look there as well, but for secrets; and what is not in a namespace is not in this one.
    for rules in [
        [rule("get list watch", "core apps batch", "pods configmaps deployments leases")],
        [rule("patch", "core", "nodes persistentvolumes")],
    ] {
        assert_eq!(risk(&rules, Extent::SystemNamespaces), Risk::default(), "{rules:?}");
    }
    let events = risk(&[rule("create", "core events.k8s.io", "events")], Extent::SystemNamespaces);
    assert_eq!((events.level, events.reasons.len()), (Low, 1), "{events:?}");
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
        vec![
            rule("create", "core", "deployments jobs"),
            rule("create", "apps", "pods"),
            rule("create", "apps", "pods/*"),
        ],
        vec![rule("patch", "extensions", "deployments deployments/scale ingresses")],
        vec![rule("update", "example.com apps", "databases/finalizers deployments/finalizers")],
        vec![rule("get list watch", "example.com", "*"), rule("get list watch", "apps batch", "*")],
        vec![rule("*", "metrics.k8s.io custom.metrics.k8s.io", "pods *")],
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
fn what_is_left_out_of_the_record_is_counted() {
    let reasons = |count: usize| (0..count).map(|n| format!("Medium: reason {n}")).collect::<Vec<_>>();
    let recorded = |count| Risk { level: Medium, reasons: reasons(count) }.on_record().reasons;
    assert_eq!(recorded(16), reasons(16));
    let cut = recorded(20);
    assert_eq!((cut.len(), &cut[..15]), (16, &reasons(15)[..]));
    assert_eq!(cut[15], "and 5 more, none of them worse");
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
        (rule("create", "apps", "*"), High, Critical, "High: writes whole API groups"),
        (rule("patch", "*", "secrets"), Medium, Critical, "High: writes whole API groups"),
        (rule("*", "core", "secrets"), High, Critical, "High: has every verb"),
        (rule("*", "core", "events"), Medium, High, "High: has every verb"),
        (rule("*", "*", "events"), Medium, High, "High: writes whole API groups"),
        (rule("*", "core", "*"), High, Critical, "High: writes whole API groups"),
    ] {
        let rules = [rule];
        let (in_one, in_all) = (risk(&rules, Extent::Namespaces), risk(&rules, Extent::Cluster));
        assert_eq!((in_one.level, in_all.level), (here, everywhere), "{rules:?}: {in_all:?}");
        assert!(in_all.reasons[0].starts_with(first), "{in_all:?}");
        let wildcards = in_all.reasons.iter().filter(|reason| reason.contains("(*")).count();
        assert_eq!(wildcards, 1, "{in_all:?}");
    }
    let everything = risk(&[rule("*", "*", "*"), url("*", "*")], Extent::Cluster);
    // All that there is, but for the three lesser wildcards, two that are about some names alone, and two that are about
    // verbs and parts of kinds that nobody has written out.
    assert_eq!(everything.reasons.len(), findings::all().count() - 7, "{everything:#?}");
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
    let mut texts: Vec<&str> = findings::all().map(|finding| finding.text).collect();
    assert!(texts.iter().all(|text| text.len() <= 130), "{texts:#?}");
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), findings::all().count());
    for finding in findings::all() {
        assert!(finding.here.is_none_or(|here| here <= finding.everywhere), "{}", finding.text);
    }
}

/// Words for rules: every one that the table knows of is too many, so some of each kind, and some without meaning.
const WORDS: Words = Words {
    verbs: &["get", "create", "update", "delete", "bind", "impersonate:user-info", "purge", "*", ""],
    groups: &["", "apps", "rbac.authorization.k8s.io", "certificates.k8s.io", "argoproj.io", "example.com", "*"],
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
        "signers",
        "workflows",
        "workflows/status",
        "databases/scale",
        "userextras/a",
        "*",
        "*/scale",
        "pods/*",
        "/",
    ],
    names: &["a", "view", "kubernetes.io/*"],
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

/// What a kind is for is told of every write, or it is on the list of those with which no harm is done: nobody forgets a
/// verb in the table.
#[test]
fn every_write_of_a_known_kind_has_a_reason() {
    let harmless = |group: &str, resource: &str| {
        HARMLESS.iter().any(|(of, resources)| *of == group && resources.contains(&resource))
    };
    // Rights that are no objects: nothing else is asked for there.
    let of_no_objects = |group: &str, resource: &str| {
        (group == "authentication.k8s.io" && resource != "tokenreviews")
            || ["groups", "signers", "uids", "userextras", "users"].contains(&resource)
    };
    let mut looked_at = 0;
    for (group, resource) in known().filter(|(group, resource)| !harmless(group, resource) && !resource.contains('/')) {
        if of_no_objects(group, resource) {
            continue;
        }
        for verb in CHANGE {
            let rules = [rule(verb, if group.is_empty() { "core" } else { group }, resource)];
            // A question is asked and not kept.
            let unasked = (resource.ends_with("reviews") || resource == "projectrequests") && *verb != "create";
            assert!(unasked || !risk(&rules, Extent::Cluster).reasons.is_empty(), "{verb} {group} {resource}");
            looked_at += 1;
        }
    }
    assert!(looked_at > 700, "only {looked_at}");
}

/// A kind of the next version of Kubernetes or of another project is a write that this reading does not know, whatever
/// its group and name; to look at it is nothing.
#[test]
fn what_is_not_known_is_high_to_write_and_nothing_to_look_at() {
    for group in ["core", "apps", "scheduling.k8s.io", "argoproj.io", "kubevirt.io", "example.com", "*"] {
        for resource in ["gizmos", "gizmos/status", "pods/gizmo", "*/gizmo"] {
            for verb in CHANGE.iter().chain(&["purge"]) {
                let read = risk(&[rule(verb, group, resource)], Extent::Namespaces);
                assert_eq!(read.level, High, "{verb} {group} {resource}: {read:?}");
            }
            for verb in READ {
                assert_eq!(
                    risk(&[rule(verb, group, resource)], Extent::Cluster),
                    Risk::default(),
                    "{verb} {group} {resource}"
                );
            }
        }
    }
}

#[test]
fn names_count_where_it_is_known_what_they_stand_for() {
    const RBAC: &str = "rbac.authorization.k8s.io";
    const CERTIFICATES: &str = "certificates.k8s.io";
    let both = |rule: PolicyRule| {
        let of = |extent| risk(std::slice::from_ref(&rule), extent);
        (of(Extent::Namespaces).level, of(Extent::Cluster).level, of(Extent::Cluster).reasons)
    };
    for (verb, group, resource, names, here, everywhere) in [
        ("bind", RBAC, "clusterroles", "view", Medium, Medium),
        ("bind", RBAC, "clusterroles", "view edit", High, Critical),
        ("bind", RBAC, "clusterroles", "view-all", High, Critical),
        // A Role of that name is whatever somebody wrote.
        ("bind", RBAC, "roles", "view", High, Critical),
        ("sign approve", CERTIFICATES, "signers", "kubernetes.io/kube-apiserver-client", Low, Critical),
        ("sign approve", CERTIFICATES, "signers", "kubernetes.io/*", Low, Critical),
        (
            "sign approve",
            CERTIFICATES,
            "signers",
            "issuers.cert-manager.io/* clusterissuers.cert-manager.io/*",
            Low,
            Medium,
        ),
        (
            "sign approve",
            CERTIFICATES,
            "signers",
            "issuers.cert-manager.io/* kubernetes.io/kubelet-serving",
            Low,
            Critical,
        ),
    ] {
        let (in_one, in_all, reasons) = both(named(rule(verb, group, resource), names));
        assert_eq!((in_one, in_all), (here, everywhere), "{verb} {resource} {names}: {reasons:?}");
    }
    // Each reason has the names for which it counts, and no others.
    let (_, _, reasons) = both(named(rule("bind", RBAC, "clusterroles"), "view edit"));
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons[0].ends_with(" (only edit)") && reasons[1].ends_with(" (only view)"), "{reasons:?}");
    // What EKS reads its administrators from is told by name, in a protected namespace.
    let aws_auth = |names: &str| {
        let read = risk(&[named(rule("patch", "core", "configmaps"), names)], Extent::SystemNamespaces);
        read.reasons.iter().any(|reason| reason.starts_with("Critical: ") && reason.contains("aws-auth says"))
    };
    assert!(aws_auth("aws-auth") && aws_auth("other aws-auth") && !aws_auth("other"));
}

/// A sentence about all objects is not said of one: `every` and `any` are left to those who are given all of them.
#[test]
fn what_is_said_of_named_objects_does_not_speak_of_every_one() {
    for (verb, group, resource) in [
        ("get", "core", "secrets"),
        ("patch", "core", "secrets"),
        ("create", "core", "serviceaccounts/token"),
        ("impersonate", "core", "users"),
        ("impersonate", "core", "serviceaccounts"),
        ("bind", "rbac.authorization.k8s.io", "roles"),
        ("bind", "rbac.authorization.k8s.io", "clusterroles"),
        ("get", "core", "nodes/proxy"),
        ("approve", "certificates.k8s.io", "signers"),
    ] {
        let name = if resource == "signers" { "kubernetes.io/kubelet-serving" } else { "one" };
        for reason in risk(&[named(rule(verb, group, resource), name)], Extent::Cluster).reasons {
            let about_all = [" every ", " any ", " all "].iter().any(|word| reason.contains(word));
            assert!(reason.ends_with(&format!(" (only {name})")) && !about_all, "{reason}");
        }
    }
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
        prop_assert!(risk.reasons.len() <= findings::all().count());
        prop_assert!(risk.reasons.iter().all(|reason| !reason.contains(char::is_control) && reason.len() < 6000));
    }
}
