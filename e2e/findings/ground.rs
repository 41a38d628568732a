//! The cluster that findings are looked for in: faults and roles of charts, planted, and requests of the past.
//!
//! The controller does not run while they are planted: it would clear some away. Its account writes what it would have written.

use std::collections::BTreeMap;

use daypass::api::AccessRequest;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::harness::kubectl::Kubectl;
use crate::harness::users::{ADMIN, MALLORY};
use crate::harness::wait::now;
use crate::harness::{ControlPlane, Controller, Daypass, cast};

const FAULTS: &str = include_str!("faults.yaml");
const ROLES: &str = include_str!("../risk_table/roles.jsonl");
/// The fault whose object cannot have its name, since a guard says how it is called, and how it is.
pub const LEFT: (&str, &str) = ("left-without-a-request", "daypass-0f0e2d1c-3b4a-4958-8776-00000000000f");
/// The policy under which the requests of the past were made.
pub const POLICY: &str = "of-the-past";
/// Roles of charts that no chart binds: they are for people, or join others.
const UNBOUND: [&str; 6] = ["-aggregate-to-", "-edit", "-view", "-admin", "-browse", "-kyverno-rbac-"];

/// A fault, as the list has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub fault: String,
    #[serde(default)]
    rules: Vec<String>,
    role: Option<String>,
    #[serde(rename = "in")]
    namespace: Option<String>,
    #[serde(default)]
    to: Vec<String>,
    /// By what other means it is made.
    made: Option<String>,
    /// The kind of finding that a reader would look for.
    pub expect: String,
}

pub fn faults() -> Vec<Fault> {
    serde_saphyr::from_str(FAULTS).expect("the list of faults")
}

#[derive(Deserialize)]
struct ChartRole {
    role: String,
    rules: Option<Value>,
}

fn all_chart_roles() -> Vec<ChartRole> {
    ROLES.lines().map(|line| serde_json::from_str(line).expect("a role")).collect()
}

/// Those that charts bind to accounts of their own.
pub fn chart_roles() -> Vec<String> {
    let is_bound = |role: &String| !UNBOUND.iter().any(|part| role.contains(part));
    all_chart_roles().into_iter().map(|role| role.role).filter(is_bound).collect()
}

/// Makes all of it.
pub async fn prepare(control_plane: &ControlPlane) {
    Daypass::install(control_plane, &["insight.enabled=true"]).await;
    let admin = control_plane.kubectl(ADMIN);
    let mut objects: Vec<Value> = ["shop", "bank", "ci", "argo", "charts"].map(namespace).into();
    objects.extend([("ci", "deployer"), ("ci", "tokens"), ("ci", "binder"), ("shop", "operator")].map(account));
    objects.extend(charts());
    objects.extend(harmless());
    objects.extend(faults().iter().filter(|fault| fault.made.is_none()).flat_map(planted));
    objects.extend(made_objects());
    admin.apply_server_side(&list(&objects)).await;
    let more =
        json!([{ "op": "add", "path": "/subjects/-", "value": subject("User/person-in-default-cluster-admin") }]);
    admin.ok(&["patch", "clusterrolebinding", "cluster-admin", "--type=json", "-p", &more.to_string()]).await;
    cast::until_stamped(&control_plane.kubectl(MALLORY)).await;
    requests(control_plane, &admin).await;
}

/// Takes the requests of the past away, before a controller comes that would wonder at them.
pub async fn clear(control_plane: &ControlPlane) {
    let admin = control_plane.kubectl(ADMIN);
    for namespace in ["shop", "bank"] {
        admin.ok(&["delete", "accessrequests", "--all", "-n", namespace, "--timeout=60s"]).await;
    }
}

fn list(items: &[Value]) -> String {
    json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()
}

fn namespace(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })
}

fn account((namespace, name): (&str, &str)) -> Value {
    json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name, "namespace": namespace } })
}

/// `User/NAME`, `Group/NAME` or `ServiceAccount/NAMESPACE/NAME`.
fn subject(word: &str) -> Value {
    let parts: Vec<&str> = word.split('/').collect();
    match parts[..] {
        ["ServiceAccount", namespace, name] => {
            json!({ "kind": "ServiceAccount", "namespace": namespace, "name": name })
        }
        [kind, name] => json!({ "kind": kind, "name": name, "apiGroup": "rbac.authorization.k8s.io" }),
        _ => panic!("{word}"),
    }
}

/// A binding; `role` is `KIND/NAME`.
fn binding(name: &str, namespace: Option<&str>, role: &str, to: &[&str]) -> Value {
    let (kind, role) = role.split_once('/').expect("KIND/NAME");
    let binding = if namespace.is_some() { "RoleBinding" } else { "ClusterRoleBinding" };
    let mut metadata = json!({ "name": name });
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": binding, "metadata": metadata,
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role },
        "subjects": to.iter().map(|word| subject(word)).collect::<Vec<_>>(),
    })
}

fn cluster_role(name: &str, rules: Value) -> Value {
    let kind = "ClusterRole";
    json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": { "name": name }, "rules": rules })
}

/// A rule, as `VERBS GROUP RESOURCES [NAME]`.
fn rule(line: &str) -> Value {
    let words: Vec<&str> = line.split(' ').collect();
    let list = |word: &str| word.split(',').map(str::to_owned).collect::<Vec<_>>();
    let group = if words[1] == "core" { "" } else { words[1] };
    let mut rule = json!({ "verbs": list(words[0]), "apiGroups": [group], "resources": list(words[2]) });
    if let Some(name) = words.get(3) {
        rule["resourceNames"] = json!([name]);
    }
    rule
}

fn planted(fault: &Fault) -> Vec<Value> {
    let to: Vec<&str> = fault.to.iter().map(String::as_str).collect();
    let (name, namespace) = (fault.fault.as_str(), fault.namespace.as_deref());
    match &fault.role {
        Some(role) => vec![binding(name, namespace, role, &to)],
        None => {
            let rules: Vec<Value> = fault.rules.iter().map(|line| rule(line)).collect();
            vec![cluster_role(name, json!(rules)), binding(name, namespace, &format!("ClusterRole/{name}"), &to)]
        }
    }
}

/// Each role of a chart, and a binding to an account of its own where the chart binds it.
fn charts() -> Vec<Value> {
    let bound = chart_roles();
    let mut objects = Vec::new();
    for ChartRole { role, rules } in all_chart_roles() {
        objects.push(cluster_role(&format!("chart-{role}"), rules.unwrap_or_else(|| json!([]))));
        if bound.contains(&role) {
            let place = if role.starts_with("argo-cd") { "argo" } else { "charts" };
            let who = format!("ServiceAccount/{place}/{role}");
            objects.push(account((place, &role)));
            objects.push(binding(&format!("chart-{role}"), None, &format!("ClusterRole/chart-{role}"), &[&who]));
        }
    }
    objects
}

/// What looks like a fault and is none.
fn harmless() -> Vec<Value> {
    vec![
        binding("everybody-may-ask", None, "ClusterRole/daypass-requester", &["Group/system:authenticated"]),
        binding("approvers-may-review", None, "ClusterRole/daypass-approver", &["Group/approvers"]),
        binding("auditors-read", None, "ClusterRole/daypass-viewer", &["Group/auditors"]),
        binding("person-views", None, "ClusterRole/view", &["User/p-views"]),
        binding("group-views-shop", Some("shop"), "ClusterRole/view", &["Group/g-views"]),
        binding("operator-of-shop", Some("shop"), "ClusterRole/edit", &["ServiceAccount/shop/operator"]),
        binding("scheduler-again", None, "ClusterRole/system:kube-scheduler", &["User/system:kube-scheduler"]),
        cluster_role("reads-pods", json!([rule("get,list,watch core pods,configmaps")])),
        binding("person-reads-pods", Some("bank"), "ClusterRole/reads-pods", &["User/p-reads"]),
    ]
}

fn made_objects() -> Vec<Value> {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {
            "name": "token-of-a-strong-account-in-a-secret", "namespace": "ci",
            "annotations": { "kubernetes.io/service-account.name": "tokens" },
        },
    });
    let outside = |name: &str| binding(name, Some("shop"), "ClusterRole/edit", &[&format!("User/{name}")]);
    vec![
        secret,
        cluster_role("role-that-nobody-holds", json!([rule("* * *")])),
        outside("bound-outside-during-a-grant"),
        outside("bound-outside-after-a-grant"),
        policy(POLICY),
        policy("policy-unused"),
        policy("policy-never-matched"),
    ]
}

fn policy(name: &str) -> Value {
    json!({
        "apiVersion": "daypass.dev/v1alpha1", "kind": "AccessPolicy", "metadata": { "name": name },
        "spec": {
            "requesters": [{ "kind": "Group", "name": "of-the-past" }],
            "roles": [{ "name": "edit" }], "scope": { "namespaces": ["shop", "bank"] },
            "duration": { "max": "1h" },
            "approval": { "stages": [{ "name": "s", "approvers": [{ "kind": "Group", "name": "approvers" }] }] },
        },
    })
}

/// Who asked, how often, under which policy, who agreed, and what else their statuses say.
struct Past {
    who: String,
    count: usize,
    policy: &'static str,
    by: &'static str,
    status: Value,
}

fn past() -> Vec<Past> {
    let ago = |hours: i64| (now() - SignedDuration::from_hours(hours)).to_string();
    let one = |who: &str, count, by, status| Past { who: who.to_owned(), count, policy: POLICY, by, status };
    let over = json!({ "state": "Expired", "grantedAt": ago(3), "expiresAt": ago(2) });
    let mut all: Vec<Past> =
        (1..=5).map(|n| one(&format!("asks-{n}"), 6, "approver-never-denies", over.clone())).collect();
    let with = |more: Value| {
        let mut status = over.clone();
        status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        status
    };
    let unused = with(json!({ "activity": { "used": "NotUsed", "calls": 0 } }));
    let running = json!({ "state": "Active", "grantedAt": ago(1), "expiresAt": ago(-1) });
    all.extend([
        one("same-pair", 12, "bob", over.clone()),
        one("activated-too-often", 15, "dave", over.clone()),
        // So that dave is not always the one of a pair.
        one("activated-too-often", 1, "bob", over.clone()),
        one("approved-and-never-used", 3, "carol", unused),
        one("bound-outside-during-a-grant", 1, "carol", running),
        one("bound-outside-after-a-grant", 1, "carol", over.clone()),
        Past { policy: "policy-unused", ..one("asks-1", 1, "carol", over) },
    ]);
    all
}

/// Has people ask, and writes what a controller would have written of that.
async fn requests(control_plane: &ControlPlane, admin: &Kubectl) {
    let token = Controller::token(control_plane).await;
    let controller = control_plane.client_for_token("who-writes-the-past", &token).await;
    let api: Api<AccessRequest> = Api::namespaced(controller, "shop");
    let mut asked: BTreeMap<String, Vec<(String, Value)>> = BTreeMap::new();
    for (n, past) in past().into_iter().enumerate() {
        let counted: Timestamp = now();
        for m in 0..past.count {
            let mut status = past.status.clone();
            let name = format!("past-{n}-{m}");
            status["policy"] = json!({ "name": past.policy, "uid": "u", "generation": 1 });
            status["countedReviews"] =
                json!([{ "reviewer": past.by, "verdict": "Approve", "countedAt": counted.to_string() }]);
            status["bindings"] =
                json!([{ "kind": "RoleBinding", "namespace": "shop", "name": format!("daypass-{name}") }]);
            asked.entry(past.who.clone()).or_default().push((name, status));
        }
    }
    for (who, all) in asked {
        let requests: Vec<Value> = all.iter().map(|(name, _)| cast::request("shop", name, json!({}))).collect();
        let line = ["create", "-f", "-", "--as", &who, "--as-group=system:authenticated", "--as-group=of-the-past"];
        let output = admin.run_with(&line, &list(&requests)).await;
        assert!(output.ok, "{who}: {}", output.stderr);
        for (name, status) in all {
            let patch = Patch::Merge(json!({ "status": status }));
            api.patch_status(&name, &PatchParams::default(), &patch).await.expect("write the past");
        }
    }
    let (_, name) = LEFT;
    let marked = json!({
        "app.kubernetes.io/managed-by": "daypass", "daypass.dev/request-uid": name.trim_start_matches("daypass-")
    });
    let mut left = binding(name, Some("bank"), "ClusterRole/edit", &["User/p-left"]);
    left["metadata"]["labels"] = marked;
    let file = control_plane.kubeconfig_for_token("who-left-it", &token);
    let output = control_plane.kubectl_with(&file).run_with(&["create", "-f", "-"], &left.to_string()).await;
    assert!(output.ok, "{}", output.stderr);
}
