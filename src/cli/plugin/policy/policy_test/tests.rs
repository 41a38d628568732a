use super::*;

const POLICY: &str = "
apiVersion: daypass.dev/v1alpha1
kind: AccessPolicy
metadata: {name: p}
spec:
  requesters: [{kind: Group, name: dev}]
  roles: [{name: edit}]
  scope: {namespaces: [shop]}
  duration: {max: 1h}
  limits: {liveGrantsPerPerson: 1, cooldown: 1h}
---
apiVersion: daypass.dev/v1alpha1
kind: AccessRequest
metadata: {name: fix, namespace: shop}
spec: {role: {name: edit}, reason: slow}
---
apiVersion: daypass.dev/v1alpha1
kind: AccessRequest
metadata: {name: all, namespace: shop}
spec: {role: {name: admin}, reason: slow}
";

/// What `policy test` says of a case under a policy with something more.
fn said_under(more: &str, case: &str) -> Result<TestReport, String> {
    said_in("namespaces: [{name: shop}]", more, case)
}

/// The same in a cluster of which the PolicyTest says this.
fn said_in(cluster: &str, more: &str, case: &str) -> Result<TestReport, String> {
    let folder = tempfile::tempdir().unwrap();
    let policy = POLICY.replace("  limits:", &format!("  {more}\n  limits:"));
    let head = "apiVersion: daypass.dev/v1alpha1, kind: PolicyTest";
    let test = format!("{policy}---\n{{{head}, {cluster}, cases: [{{name: c, {case}}}]}}\n");
    std::fs::write(folder.path().join("test.yaml"), test).unwrap();
    run(&[folder.path().to_owned()]).map_err(|error| error.to_string())
}

fn reply(case: &str) -> Result<TestReport, String> {
    said_under("", case)
}

fn passes(case: &str) {
    let reply = reply(case).unwrap();
    assert_eq!(reply.failed, 0, "{}", reply.text);
}

const ALICE: &str = "requester: {username: alice, groups: [dev]}";

#[test]
fn a_request_is_named_or_written_out() {
    passes(&format!("request: shop/fix, {ALICE}, expect: {{outcome: Granted}}"));
    passes("request: shop/fix, requester: {username: eve}, expect: {outcome: Denied, message: eve is not among}");
    for name in ["shop/nix", "fix", "yard/fix"] {
        let why = reply(&format!("request: {name}, {ALICE}, expect: {{outcome: Granted}}")).err().unwrap();
        assert!(why.contains(&format!("cases[0].request: no AccessRequest {name} is in these files")), "{why}");
    }
}

#[test]
fn what_was_before_counts() {
    let case = |before: &str, expect: &str| format!("request: shop/fix, {ALICE}, before: [{before}], expect: {expect}");
    let earlier = |over: bool| format!("{{request: shop/fix, {ALICE}, over: {over}}}");
    passes(&case(&earlier(false), "{outcome: Denied, message: 1 running grants of alice under it}"));
    passes(&case(&earlier(true), "{outcome: Denied, message: '2026-01-05T13:00:00Z, 1h after the last one ended'}"));
    let of_eve = "{request: shop/fix, requester: {username: eve, groups: [dev]}}";
    passes(&case(of_eve, "{outcome: Granted}"));
    // They count among themselves too, and one that could not have been is a failure.
    for (before, why) in [
        (format!("{}, {}", earlier(false), earlier(false)), "fix: denied because policy p: there are 1 running"),
        (format!("{{request: shop/all, {ALICE}}}"), "all: denied because policy p: ClusterRole/admin is not"),
    ] {
        let reply = reply(&case(&before, "{outcome: Granted}")).unwrap();
        assert!(reply.failed == 1 && reply.text.contains(why), "{}", reply.text);
    }
}

#[test]
fn where_requests_are_served_counts() {
    let limited = |served: &str, case: &str| {
        let reply = said_in(&format!("namespaces: [{{name: shop}}, {{name: bank}}], {served}"), "", case).unwrap();
        assert_eq!(reply.failed, 0, "{}", reply.text);
    };
    let fix = |expect: &str| format!("request: shop/fix, {ALICE}, expect: {expect}");
    let by_label = |expect: &str| {
        let metadata = "metadata: {name: by-label, namespace: shop}";
        let spec = "spec: {role: {name: edit}, reason: slow, scope: {namespaceSelector: {}}}";
        let head = "apiVersion: daypass.dev/v1alpha1, kind: AccessRequest";
        format!("request: {{{head}, {metadata}, {spec}}}, {ALICE}, expect: {expect}")
    };
    limited("watchNamespaces: []", &fix("{outcome: Granted}"));
    limited("watchNamespaces: [shop, yard]", &fix("{outcome: Granted}"));
    limited("watchNamespaces: [bank]", &fix("{outcome: Denied, message: nobody answers a request in namespace shop}"));
    // The policy is for shop alone; the label fits bank too, as far as that is served.
    limited("watchNamespaces: []", &by_label("{outcome: Denied, message: bank}"));
    limited("watchNamespaces: [shop]", &by_label("{outcome: Granted, namespaces: [shop]}"));
}

#[test]
fn protected_namespaces_are_protected_here_too() {
    let of = |release: &str, scope: &str, case: &str| {
        let policy = POLICY.replace("namespaces: [shop]", scope);
        let folder = tempfile::tempdir().unwrap();
        let head = "apiVersion: daypass.dev/v1alpha1, kind: PolicyTest";
        let namespaces = "namespaces: [{name: shop}, {name: daypass-system}, {name: guards}]";
        let test = format!("{policy}---\n{{{head}, {namespaces}, {release} cases: [{{name: c, {case}}}]}}\n");
        std::fs::write(folder.path().join("test.yaml"), test).unwrap();
        let reply = run(&[folder.path().to_owned()]).unwrap();
        assert_eq!(reply.failed, 0, "{}", reply.text);
    };
    let ask = |scope: &str, more: &str, expect: &str| {
        let spec = format!("spec: {{role: {{name: edit}}, reason: slow, scope: {{{scope}}}}}");
        let head = "apiVersion: daypass.dev/v1alpha1, kind: AccessRequest, metadata: {name: r, namespace: shop}";
        format!("request: {{{head}, {spec}}}, {ALICE}, {more} expect: {expect}")
    };
    let denied = |name: &str| format!("{{outcome: Denied, message: namespace {name} is protected}}");
    let granted = "{outcome: Granted}";
    let all = "namespaces: ['*'], cluster: true";
    of("", all, &ask("namespaces: [daypass-system]", "", &denied("daypass-system")));
    of("", all, &ask("namespaces: [guards]", "", granted));
    of("releaseNamespace: guards,", all, &ask("namespaces: [guards]", "", &denied("guards")));
    of("releaseNamespace: guards,", all, &ask("namespaces: [daypass-system]", "", granted));
    let system = "namespaces: ['*'], cluster: true, systemNamespaces: true";
    of("", system, &ask("namespaces: [daypass-system]", "", granted));
    // Nobody knows the role here, unless the case says that it only looks.
    let unknown = "{outcome: Denied, message: ClusterRole/edit is not known here}";
    of("", all, &ask("cluster: true", "", unknown));
    of("", all, &ask("cluster: true", "risk: Medium,", unknown));
    of("", all, &ask("cluster: true", "risk: Low,", granted));
    of("", system, &ask("cluster: true", "", granted));
}

#[test]
fn a_request_waits_as_long_as_the_case_says() {
    let asks = "approval: {deadline: 2h, stages: [{name: leads, approvers: [{kind: Group, name: leads}]}]}";
    let case =
        |waited: &str| said_under(asks, &format!("request: shop/fix, {ALICE}, {waited} expect: {{outcome: Waiting}}"));
    assert_eq!(case("").unwrap().failed, 0);
    assert_eq!(case("waited: 119m,").unwrap().failed, 0);
    let late = case("waited: 2h,").unwrap();
    assert!(late.failed == 1 && late.text.contains("lapsed: stage leads had no answer in time"), "{}", late.text);
    assert!(case("waited: soon,").err().unwrap().contains("cases[0].waited: "));
}
