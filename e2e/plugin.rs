//! The kubectl plugin: why a request is decided as it is, for those who ask and those who approve, and policies
//! tested before they are applied.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use daypass::api::State;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::users::{ADMIN, ALICE, CAROL, MALLORY, User};
use crate::harness::wait::eventually;
use crate::harness::{Cluster, binaries, cast, private, shared};

pub fn trials() -> Vec<Trial> {
    vec![
        shared("plugin::explains_a_request_to_those_who_ask_and_approve", explains),
        shared("plugin::explains_what_is_not_asked_yet", dry_run),
        shared("plugin::counts_limits_and_reads_the_risk_for_what_is_not_asked_yet", dry_run_counts),
        shared("plugin::says_which_right_is_missing", missing_right),
        shared("plugin::tests_policies_without_a_cluster", tests_policies),
        shared("plugin::tests_limits_risk_and_extensions_without_a_cluster", tests_circumstances),
        shared("plugin::warns_of_what_looks_wrong", warns),
        private("plugin::warns_of_the_others_beside_a_policy_that_cannot_be_read", warns_beside_unreadable),
        shared("plugin::kubectl_finds_it", found),
    ]
}

/// The examples that belong together, as examples/README.md names them. Those of fields and of GitOps have trials of their own.
const STORIES: [&str; 4] = ["examples/tests", "examples/tour", "examples/chain", "examples/policies"];

const PLUGIN: &str = env!("CARGO_BIN_EXE_kubectl-daypass");

/// What a run left behind: exit code, standard output, standard error.
type Ran = (Option<i32>, String, String);

async fn run(program: &Path, kubeconfig: Option<PathBuf>, args: &[&str]) -> Ran {
    let folder = Path::new(PLUGIN).parent().unwrap().display().to_string();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    let kubeconfig = kubeconfig.unwrap_or_else(|| "/nowhere".into());
    let mut command = Command::new(program);
    command.args(args).env("KUBECONFIG", kubeconfig).env("PATH", path).current_dir(binaries::repository());
    let output = command.output().await.expect("run the plugin");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

pub async fn plugin(cluster: &Cluster, user: User, args: &[&str]) -> Ran {
    run(Path::new(PLUGIN), Some(cluster.control_plane.kubeconfig(user)), args).await
}

async fn explained(cluster: &Cluster, user: User, args: &[&str]) -> String {
    let (code, out, err) = plugin(cluster, user, &[&["explain"], args].concat()).await;
    assert_eq!(code, Some(0), "{out}{err}");
    out
}

fn asks() -> Value {
    json!({ "approval": { "stages": [{ "name": "leads", "approvers": [{ "kind": "Group", "name": "approvers" }] }] } })
}

pub fn draft(namespace: &str, spec: Value) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
    std::fs::write(file.path(), cast::request(namespace, "draft", spec).to_string()).unwrap();
    file
}

async fn explains(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("told").await;
    cluster.allow(&namespace, &namespace, asks()).await;
    cluster.ask(ALICE, &namespace, "fix", json!({})).await;
    let waiting = cluster.until_reason(&namespace, "fix", "Approved", "ApprovalNeeded").await;
    cluster.review(ALICE, &namespace, "fix", "Approve", "").await;
    for user in [ALICE, CAROL] {
        let printed = explained(&cluster, user, &["fix", "-n", &namespace]).await;
        let waits = format!("waits for one more approval in stage leads of policy {namespace}, until ");
        for words in
            [&waits, "decides: no other policy matches", "0 of 1", "Group/approvers", "nobody reviews their own"]
        {
            assert!(printed.contains(words), "{words}: {printed}");
        }
    }
    let json = explained(&cluster, CAROL, &["fix", "-n", &namespace, "-o", "json"]).await;
    let printed: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&printed["outcome"], &printed["stages"][0]["state"]), (&json!("Waiting"), &json!("Open")));
    // The same as the controller says.
    let message = waiting.status.unwrap().message.unwrap();
    assert!(message.contains("needs one more approval"), "{message}");
    cluster.review(CAROL, &namespace, "fix", "Approve", "").await;
    cluster.until(&namespace, "fix", State::Active).await;
    let printed = explained(&cluster, ALICE, &["fix", "-n", &namespace]).await;
    assert!(printed.contains("granted, and still allowed, until "), "{printed}");
}

async fn dry_run(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("draft").await;
    cluster.allow(&namespace, &namespace, json!({})).await;
    let file = draft(&namespace, json!({ "duration": "20m" }));
    let path = file.path().display().to_string();
    let printed = explained(&cluster, ALICE, &["-f", &path]).await;
    let words = format!("granted at once: policy {namespace} allows it");
    assert!(printed.contains("alice asks for ClusterRole/edit") && printed.contains(&words), "{printed}");
    // alice may not read namespaces, and is told what that means.
    assert!(printed.contains(&format!("note: you may not read namespace {namespace}")), "{printed}");
    let printed = explained(&cluster, ALICE, &["-f", &path, "--as-user", "eve", "--as-group", "ops"]).await;
    assert!(printed.contains("eve is not among its requesters") && printed.contains("denied because"), "{printed}");
    // Where nobody serves, nothing is granted, whatever policies say. It has to be told.
    let served = async |names: &str| explained(&cluster, ALICE, &["-f", &path, "--watch-namespaces", names]).await;
    let printed = served("bank,yard").await;
    assert!(
        printed
            .contains(&format!("denied because metadata.namespace: nobody answers a request in namespace {namespace}")),
        "{printed}"
    );
    let printed = served(&format!("bank,{namespace}")).await;
    assert!(printed.contains(&words), "{printed}");
    // Of less than a role it says what it has and what it lacks.
    let rules = |resource: &str| json!([{ "verbs": ["get"], "apiGroups": [""], "resources": [resource] }]);
    for (resource, words) in [
        ("pods", "get on pods of ClusterRole/edit in namespace"),
        ("nodes", "spec.rules: the role does not allow get on nodes of the core group"),
    ] {
        let file = draft(&namespace, json!({ "rules": rules(resource) }));
        let path = file.path().display().to_string();
        let printed = explained(&cluster, ADMIN, &["-f", &path, "--as-user", "alice", "--as-group", "dev"]).await;
        assert!(printed.contains(words), "{printed}");
    }
    // Nothing was asked for.
    assert!(cluster.requests(&namespace).await.list(&Default::default()).await.unwrap().items.is_empty());
}

async fn dry_run_counts(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("draft").await;
    let stages = asks()["approval"]["stages"].clone();
    let known = json!({ "automaticWhen": "risk.level != 'Unknown'", "stages": stages });
    let limits = json!({ "liveGrantsPerPerson": 1 });
    cluster.allow(&namespace, &namespace, json!({ "approval": known, "limits": limits })).await;
    let file = draft(&namespace, json!({}));
    let path = file.path().display().to_string();
    let printed = explained(&cluster, ADMIN, &["-f", &path, "--as-user", "alice", "--as-group", "dev"]).await;
    assert!(printed.contains(&format!("granted at once: policy {namespace} allows it")), "{printed}");
    // alice may not read roles: the answer is another, and she is told why.
    let printed = explained(&cluster, ALICE, &["-f", &path]).await;
    assert!(printed.contains("waits for one more approval"), "{printed}");
    assert!(printed.contains("note: ClusterRole/edit could not be read"), "{printed}");

    cluster.ask(ALICE, &namespace, "first", json!({})).await;
    cluster.until(&namespace, "first", State::Active).await;
    let printed = explained(&cluster, ALICE, &["-f", &path]).await;
    cluster.ask(ALICE, &namespace, "second", json!({})).await;
    let denied = cluster.until(&namespace, "second", State::Denied).await;
    let why = denied.status.unwrap().message.unwrap();
    let full = format!("policy {namespace}: there are 1 running grants of alice under it, and it allows 1");
    assert!(why.contains(&full), "{why}");
    assert!(
        printed.contains("denied because") && printed.contains(&full),
        "not what the controller says, {why}: {printed}"
    );
    // The one that runs does not count for itself.
    let printed = explained(&cluster, ALICE, &["first", "-n", &namespace]).await;
    assert!(printed.contains("granted, and still allowed"), "{printed}");
}

async fn missing_right(cluster: Arc<Cluster>) {
    let namespace = cluster.namespace("none").await;
    let file = draft(&namespace, json!({}));
    let token = cluster.control_plane.kubeconfig(MALLORY);
    let mut kubeconfig: Value = serde_json::from_str(&std::fs::read_to_string(token).unwrap()).unwrap();
    kubeconfig["users"][0]["user"] = json!({});
    let nobody = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(nobody.path(), kubeconfig.to_string()).unwrap();
    let path = file.path().display().to_string();
    let args = ["explain", "-f", &path, "--as-user", "eve"];
    let (code, _, err) = run(Path::new(PLUGIN), Some(nobody.path().to_owned()), &args).await;
    assert_eq!(code, Some(1));
    assert!(err.contains("you may not list accesspolicies") && err.contains("daypass-requester"), "{err}");
}

async fn tests_policies(_: Arc<Cluster>) {
    let (code, out, err) = run(Path::new(PLUGIN), None, &[&["policy", "test"], &STORIES[..]].concat()).await;
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
    let (code, out, _) = run(Path::new(PLUGIN), None, &args).await;
    assert_eq!(code, Some(1), "{out}");
    for words in ["FAIL  then somebody on call", "expected: Group/sre", "got:      Group/ops"] {
        assert!(out.contains(words), "{words}: {out}");
    }
    write(policy.replace("deadline: 24h", "deadlin: 24h"));
    let (code, _, err) = run(Path::new(PLUGIN), None, &args).await;
    assert_eq!(code, Some(2));
    assert!(err.contains("policy.yaml: spec.approval.deadlin: unknown field"), "{err}");
    write(policy);
    let test = std::fs::read_to_string(broken.path().join("test.yaml")).unwrap();
    std::fs::write(
        broken.path().join("test.yaml"),
        test.replace("expect: {outcome: Granted, policy: s", "expect: {outcom: Granted, policy: s"),
    )
    .unwrap();
    let (code, _, err) = run(Path::new(PLUGIN), None, &args).await;
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
        run(Path::new(PLUGIN), None, &["policy", "test", &path]).await
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
    let (code, out, err) = plugin(&cluster, ADMIN, &["policy", "lint", "--cluster"]).await;
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(out.contains("odd: spec: cannot be read: ") && out.contains("Someday"), "{out}");
    assert!(out.contains(&format!("{namespace}: spec.scope.namespaces: {namespace}-not-there fits none")), "{out}");
    assert!(out.ends_with("2 policies, 2 warnings\n"), "{out}");
}

async fn warns(cluster: Arc<Cluster>) {
    let (code, out, err) = run(Path::new(PLUGIN), None, &[&["policy", "lint"], &STORIES[..]].concat()).await;
    assert_eq!((code, out.as_str()), (Some(0), "5 policies, 0 warnings\n"), "{err}");
    let mut policy = cast::policy("wide", "*");
    policy["spec"]["roles"] = json!([{ "name": "admin" }]);
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    std::fs::write(file.path(), policy.to_string()).unwrap();
    let path = file.path().display().to_string();
    let (code, out, _) = run(Path::new(PLUGIN), None, &["policy", "lint", &path]).await;
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("wide: spec.scope.namespaces: admin in every namespace"), "{out}");
    let (code, ..) = run(Path::new(PLUGIN), None, &["policy", "lint", "--warn-only", &path]).await;
    assert_eq!(code, Some(0));

    let namespace = cluster.namespace("lint").await;
    cluster.allow(&namespace, &format!("{namespace}-not-there"), json!({})).await;
    let (code, out, err) = plugin(&cluster, ADMIN, &["policy", "lint", "--cluster"]).await;
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(out.contains(&format!("{namespace}: spec.scope.namespaces: {namespace}-not-there fits none")), "{out}");
}

async fn found(cluster: Arc<Cluster>) {
    let kubectl = binaries::Binaries::find().unwrap().kubectl;
    let kubeconfig = Some(cluster.control_plane.kubeconfig(ALICE));
    let (code, out, err) = run(&kubectl, kubeconfig, &["daypass", "--help"]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    assert!(out.contains("Usage: kubectl daypass") && out.contains("explain"), "{out}");
}
