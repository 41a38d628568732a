//! `policy`: policies tested and looked at before they are applied.

use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::plugin::Plugin;
use crate::harness::users::ADMIN;
use crate::harness::wait::eventually;
use crate::harness::{Cluster, binaries, cast, private, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("plugin::tests_policies_without_a_cluster", tests_policies),
        shared("plugin::tests_limits_risk_and_extensions_without_a_cluster", tests_circumstances),
        shared("plugin::warns_of_what_looks_wrong", warns),
        private("plugin::warns_of_the_others_beside_a_policy_that_cannot_be_read", warns_beside_unreadable),
    ]
}

/// The examples that belong together, as examples/README.md names them. Those of fields and of GitOps have trials of their own.
const STORIES: [&str; 4] = ["examples/tests", "examples/tour", "examples/chain", "examples/policies"];

async fn tests_policies(_: Arc<Cluster>) {
    let (code, out, err) = Plugin::without_cluster().run(&[&["policy", "test"], &STORIES[..]].concat()).await;
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.ends_with("9 passed, 0 failed\n"), "{out}");
    let page = std::fs::read_to_string(binaries::repository().join("examples/README.md")).unwrap();
    assert!(
        page.contains(&format!("$ kubectl daypass policy test {}\n{out}", STORIES.join(" "))),
        "examples/README.md: {out}"
    );

    let broken = tempfile::tempdir().unwrap();
    for (from, to) in [("examples/tests/payments.yaml", "test.yaml"), ("examples/tour/policies.yaml", "tour.yaml")] {
        std::fs::copy(binaries::repository().join(from), broken.path().join(to)).unwrap();
    }
    let policy = std::fs::read_to_string(binaries::repository().join("examples/chain/policy.yaml")).unwrap();
    let write = |text: String| std::fs::write(broken.path().join("policy.yaml"), text).unwrap();
    write(policy.replace("name: sre", "name: ops"));
    let folder = broken.path().display().to_string();
    let args = ["policy", "test", &folder];
    let (code, out, _) = Plugin::without_cluster().run(&args).await;
    assert_eq!(code, Some(1), "{out}");
    for words in ["FAIL  then somebody on call", "expected: Group/sre", "got:      Group/ops"] {
        assert!(out.contains(words), "{words}: {out}");
    }
    write(policy.replace("deadline: 24h", "deadlin: 24h"));
    let (code, _, err) = Plugin::without_cluster().run(&args).await;
    assert_eq!(code, Some(2));
    assert!(err.contains("policy.yaml: spec.approval.deadlin: unknown field"), "{err}");
    write(policy);
    let test = std::fs::read_to_string(broken.path().join("test.yaml")).unwrap();
    std::fs::write(
        broken.path().join("test.yaml"),
        test.replace("expect: {outcome: Granted, policy: s", "expect: {outcom: Granted, policy: s"),
    )
    .unwrap();
    let (code, _, err) = Plugin::without_cluster().run(&args).await;
    assert_eq!(code, Some(2));
    assert!(err.contains("test.yaml: cases[0].expect: unknown field `outcom`"), "{err}");
}

/// Cases that say more of the cluster than its namespaces.
const CIRCUMSTANCES: &str = r#"
apiVersion: daypass.dev/v1alpha1
kind: AccessPolicy
metadata: {name: shop-edit}
spec:
  requesters: [{kind: Group, name: dev}]
  roles: [{name: edit}]
  scope: {namespaces: [shop]}
  duration: {default: 30m, max: 1h}
  approval:
    automaticWhen: risk.score < 2
    stages: [{name: leads, approvers: [{kind: Group, name: leads}]}]
  limits: {liveGrantsPerPerson: 1, openRequestsPerPerson: 1, cooldown: 2h}
  extension: {max: 15m, count: 1}
---
apiVersion: daypass.dev/v1alpha1
kind: PolicyTest
namespaces: [{name: shop}]
cases:
  - name: a low risk asks nobody
    request: &fix
      apiVersion: daypass.dev/v1alpha1
      kind: AccessRequest
      metadata: {name: fix, namespace: shop}
      spec: {role: {name: edit}, reason: the shop is down, requester: {username: alice, groups: [dev]}}
    risk: Medium
    expect: {outcome: Granted}
  - name: a high risk does
    request: *fix
    risk: High
    expect: {outcome: Waiting, stage: leads}
  - name: what is not known counts as the worst
    request: *fix
    expect: {outcome: Waiting, stage: leads}
  - name: one grant at a time
    request: *fix
    risk: Low
    before: [{request: *fix, risk: Low, from: 2026-01-05T11:45:00Z}]
    expect: {outcome: Denied, message: there are 1 running grants of alice}
  - name: and not at once again
    request: *fix
    risk: Low
    before: [{request: *fix, risk: Low, from: 2026-01-05T10:00:00Z}]
    expect: {outcome: Denied, message: the next grant can begin at 2026-01-05T12:30:00Z}
  - name: but later
    request: *fix
    risk: Low
    at: 2026-01-05T12:30:00Z
    before: [{request: *fix, risk: Low, from: 2026-01-05T10:00:00Z}]
    expect: {outcome: Granted}
  - name: one request waits at a time
    request: *fix
    before: [{request: *fix}]
    expect: {outcome: Denied, message: there are 1 requests of alice that wait}
  - name: a running grant is extended
    request: &more
      apiVersion: daypass.dev/v1alpha1
      kind: AccessRequest
      metadata: {name: more, namespace: shop}
      spec:
        role: {name: edit}
        reason: not done yet
        extends: fix
        duration: 15m
        requester: {username: alice, groups: [dev]}
    risk: Low
    before: [{request: *fix, risk: Low, from: 2026-01-05T11:45:00Z}]
    expect: {outcome: Granted, policy: shop-edit, until: 2026-01-05T12:30:00Z, namespaces: [shop]}
  - name: and not after its end
    request: *more
    risk: Low
    before: [{request: *fix, risk: Low, from: 2026-01-05T11:00:00Z}]
    expect: {outcome: Denied, message: fix is over}
"#;

async fn tests_circumstances(_: Arc<Cluster>) {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    let path = file.path().display().to_string();
    let ran = async |text: String| {
        std::fs::write(file.path(), text).unwrap();
        Plugin::without_cluster().run(&["policy", "test", &path]).await
    };
    let (code, out, err) = ran(CIRCUMSTANCES.to_owned()).await;
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.ends_with("9 passed, 0 failed\n"), "{out}");
    for (from, to, printed) in [
        ("risk: Medium", "risk: Some", "cases[0]: unknown variant `Some`"),
        ("before: [{request: *fix}]", "before: [{request: *fix, until: never}]", "unknown field `until`"),
    ] {
        let (code, out, err) = ran(CIRCUMSTANCES.replace(from, to)).await;
        assert!(code == Some(2) && err.contains(printed), "{printed}: {out}{err}");
    }
}

async fn warns_beside_unreadable(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("lint").await;
    cluster.allow(&namespace, &format!("{namespace}-not-there"), json!({})).await;
    // As a newer version of Daypass might, or a CRD that somebody edited: it takes a day that there is not.
    let days = "properties/spec/properties/schedule/properties/windows/items/properties/days/items/enum";
    let path = format!("/spec/versions/0/schema/openAPIV3Schema/{days}");
    let patch = json!([{ "op": "remove", "path": path }]).to_string();
    let admin = cluster.kubectl(ADMIN);
    admin.ok(&["patch", "crd", "accesspolicies.daypass.dev", "--type=json", "-p", &patch]).await;
    let mut odd = cast::policy("odd", &namespace);
    let windows = json!([{ "days": ["Someday"], "start": "09:00", "end": "17:00" }]);
    odd["spec"]["schedule"] = json!({ "timeZone": "UTC", "windows": windows });
    let odd = odd.to_string();
    eventually("the schema takes it", cast::SOON, async || {
        let applied = admin.run_with(&["apply", "-f", "-"], &odd).await;
        if applied.ok { Ok(()) } else { Err(applied.stderr) }
    })
    .await;
    let (code, out, err) = Plugin::of(&cluster, ADMIN).run(&["policy", "lint", "--cluster"]).await;
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(out.contains("odd: spec: cannot be read: ") && out.contains("Someday"), "{out}");
    assert!(out.contains(&format!("{namespace}: spec.scope.namespaces: {namespace}-not-there fits none")), "{out}");
    assert!(out.ends_with("2 policies, 2 warnings\n"), "{out}");
}

async fn warns(cluster: Arc<Cluster>) {
    let (code, out, err) = Plugin::without_cluster().run(&[&["policy", "lint"], &STORIES[..]].concat()).await;
    assert_eq!((code, out.as_str()), (Some(0), "5 policies, 0 warnings\n"), "{err}");
    let mut policy = cast::policy("wide", "*");
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    let path = file.path().display().to_string();
    let page = std::fs::read_to_string(binaries::repository().join("examples/README.md")).unwrap();
    for role in ["edit", "admin"] {
        policy["spec"]["roles"] = json!([{ "name": role }]);
        std::fs::write(file.path(), policy.to_string()).unwrap();
        let (out, _) = Plugin::without_cluster().ends(&["policy", "lint", &path], 1).await;
        assert!(page.contains(&format!("policy lint wide.yaml\n{}```", out.replace(role, "admin"))), "{out}");
        Plugin::without_cluster().ends(&["policy", "lint", "--warn-only", &path], 0).await;
    }
    // Who means it can say so.
    let leads = json!([{ "name": "leads", "approvers": [{ "kind": "Group", "name": "leads" }] }]);
    policy["spec"]["approval"] = json!({ "automaticWhen": "true", "stages": leads });
    std::fs::write(file.path(), policy.to_string()).unwrap();
    let (out, _) = Plugin::without_cluster().ends(&["policy", "lint", &path], 0).await;
    assert_eq!(out, "1 policies, 0 warnings\n");

    let namespace = cluster.namespace("lint").await;
    cluster.allow(&namespace, &format!("{namespace}-not-there"), json!({})).await;
    let (code, out, err) = Plugin::of(&cluster, ADMIN).run(&["policy", "lint", "--cluster"]).await;
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(out.contains(&format!("{namespace}: spec.scope.namespaces: {namespace}-not-there fits none")), "{out}");
}
